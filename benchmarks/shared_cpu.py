"""What another process on one core costs msmt, with idle threads that spin and with idle threads that sleep.

    python benchmarks/shared_cpu.py [--segments 48] [--epochs 3] [--repeats 3] [--threads 0] [--json FILE]

Extraction (encoders of the base size), training (the network's own sizes) and reading (batches of the stream) each run
in a process of their own, with idle threads as the runtimes have them by themselves, spinning (OMP_WAIT_POLICY=ACTIVE),
and sleeping, as msmt sets it; on a quiet machine, and beside a process that counts on one core. Printed are medians in
seconds, how fast busy is of quiet, and how long quiet takes of what it takes by itself. The aims: sleeping is at most
3 % slower than that on a quiet machine, and busy at least 0.6 times as fast as quiet.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BY_ITSELF = "by itself"  # what the runtimes do unless told
WAITING = {
    BY_ITSELF: {"KMP_LIBRARY": "throughput"},  # LLVM's default, unknown to GNU's; msmt leaves the others alone then
    "spinning": {"OMP_WAIT_POLICY": "ACTIVE"},
    "sleeping": {},
}
SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
WORK = ("extraction", "training", "reading")
_PASSES = 200  # over the store in an epoch of reading, which is soon done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=48)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="as msmt's --threads; 0 for every core")
    parser.add_argument("--only", choices=list(WORK), help="measure one kind of work")
    parser.add_argument("--small", action="store_true", help="encoders and network of no size, to see that it runs")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", choices=WORK, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the busy process never outlives this one
    if options.work:
        print(json.dumps(measured(options)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), options)
        seconds = {
            work: {state: {waiting: [] for waiting in WAITING} for state in ("quiet", "busy")}
            for work in WORK
            if options.only in (None, work)
        }
        # Ways of waiting take turns, so that what else changes on the machine changes for all of them.
        for _ in range(options.repeats):
            for work in seconds:
                for state in ("quiet", "busy"):
                    for waiting in WAITING:
                        with counting(state == "busy"):
                            seconds[work][state][waiting].append(in_own_process(work, waiting, Path(folder), options))
    medians = {
        work: {state: {way: statistics.median(runs) for way, runs in ways.items()} for state, ways in states.items()}
        for work, states in seconds.items()
    }
    print(table_of(medians))
    if options.json:
        options.json.write_text(json.dumps(medians, indent=2))
    return 0


def table_of(medians: dict) -> str:
    """Seconds, and how fast busy is of quiet, by work and way of waiting."""
    lines = [f"{'':<12}{'idle threads':<14}{'quiet':>10}{'busy':>10}{'quiet/busy':>12}{'quiet, of by itself':>21}"]
    for work, states in medians.items():
        for waiting in WAITING:
            quiet, busy = states["quiet"][waiting], states["busy"][waiting]
            against = quiet / states["quiet"][BY_ITSELF]
            lines.append(f"{work:<12}{waiting:<14}{quiet:>9.2f}s{busy:>9.2f}s{quiet / busy:>12.2f}{against:>21.3f}")
    return "\n".join(lines)


@contextmanager
def counting(is_busy: bool) -> Iterator[None]:
    """A process that never rests, on the first of the cores that this one may use."""
    if not is_busy:
        yield
        return
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nwhile os.getppid() > 1: pass"
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        time.sleep(0.3)
        yield
    finally:
        process.kill()
        process.wait()


def in_own_process(work: str, waiting: str, folder: Path, options: argparse.Namespace) -> float:
    """Seconds that the work took, its start not counted."""
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    arguments = ["--work", work, "--folder", str(folder), "--epochs", str(options.epochs)]
    arguments += ["--threads", str(options.threads), *(["--small"] if options.small else [])]
    done = subprocess.run(
        [sys.executable, __file__, *arguments], env={**kept, **WAITING[waiting]}, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(json.loads(done.stdout.splitlines()[-1]))


def prepare(folder: Path, options: argparse.Namespace) -> None:
    """A corpus, encoders, and a store to learn and read from."""
    from made import save_real_size_encoders, write_marketcalls, write_store

    write_marketcalls(folder / "data", options.segments, distinct=4)
    if options.small:
        from msmt.tests.extract.made import save_encoders

        save_encoders(folder)
    else:
        save_real_size_encoders(folder / "encoders")
    write_store(folder / "read.zarr", max(options.segments, 36))


def measured(options: argparse.Namespace) -> float:
    """Seconds of one kind of work in this process."""
    import msmt  # settles how threads wait, before torch is there
    from msmt.threads import use_threads

    assert msmt.__version__
    use_threads(options.threads)
    return {"extraction": extraction, "training": training, "reading": reading}[options.work](options)


def extraction(options: argparse.Namespace) -> float:
    from msmt.extract.config import ExtractConfig
    from msmt.extract.corpora.registry import load_corpus
    from msmt.extract.pipeline import extract

    encoders = [str(options.folder / "encoders" / name) for name in ("audio", "text")]
    config = ExtractConfig(*encoders, precision="float32", max_tokens=30 if options.small else 199, device="cpu")
    corpus = load_corpus("marketcalls", options.folder / "data")
    store = options.folder / f"extracted-{os.getpid()}.zarr"
    started = time.perf_counter()
    extract(corpus, store, config)
    return time.perf_counter() - started


def training(options: argparse.Namespace) -> float:
    from msmt.evaluate.metrics import score
    from msmt.features.opening import open_store
    from msmt.train.config import ModelConfig, TrainConfig
    from msmt.train.loop import train

    small = {"width": 16, "heads": 2, "feed_forward": 32, "gru_width": 8, "head_width": 16}
    model = ModelConfig(**(small if options.small else {}))
    config = TrainConfig(epochs=options.epochs, patience=0, device="cpu", precision="float32")
    store, runs = open_store(options.folder / "read.zarr"), options.folder / f"runs-{os.getpid()}"
    started = time.perf_counter()
    train(store, model, config, runs, score, say=lambda line: None)
    return time.perf_counter() - started


def reading(options: argparse.Namespace) -> float:
    import numpy as np
    import torch
    from msmt.features.opening import open_store
    from msmt.train.config import TrainConfig
    from msmt.train.data import recordings_of
    from msmt.train.stream import Stream

    store = open_store(options.folder / "read.zarr")
    features = {"text": "roberta", "audio": "hubert"}
    recordings = recordings_of(store, "train", features)
    batches = [np.array([place]) for place in range(len(recordings))]
    with Stream(store, features, (recordings,), torch.device("cpu"), TrainConfig(device="cpu")) as stream:
        started = time.perf_counter()
        for _ in range(options.epochs * _PASSES):
            for batch in stream.batches(recordings, batches):
                assert len(batch.positions)
        return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
