"""Peak memory of an extraction of 2,000 segments against one of 200, in both formats.

    python benchmarks/memory.py [--segments 200 2000] [--longest 3] [--json FILE]

Each extraction runs in a process of its own, with wav files and encoders made beforehand: features of 768 as in the
real thing, but one layer and a narrow front end, so that it is quick. Segments last from a third of --longest to
--longest seconds. Printed are the largest resident memory of the process, what of it came after the imports, and the
ratio to the smallest number of segments; the aim is 1.1.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

FORMATS = {"zarr": ".zarr", "hdf5": ".h5"}
RATE = 8000
MEBIBYTE = 2**20 if sys.platform == "darwin" else 2**10  # in the unit of ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--longest", type=float, default=3.0, help="seconds")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result: dict[str, dict] = {kind: {} for kind in FORMATS}
    # A process starts with the peak of the one that starts it, so this one stays small: all is made elsewhere.
    context = get_context("spawn")
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(1, context, max_tasks_per_child=1) as processes:
        folder = Path(name)
        processes.submit(make, folder, options.segments, options.longest).result()
        for kind, suffix in FORMATS.items():
            for count in sorted(options.segments):
                peak, imports, seconds = processes.submit(measure, folder, count, suffix, options.longest).result()
                result[kind][count] = {"peak_mib": peak, "after_imports_mib": peak - imports, "seconds": seconds}
                ratio = peak / result[kind][min(options.segments)]["peak_mib"]
                result[kind][count]["ratio"] = ratio
                print(
                    f"{kind} {count:>6} segments: peak {peak:.0f} MiB, {peak - imports:.0f} after the imports, {ratio:.3f} x ({seconds:.0f} s)"
                )
    if options.json:
        options.json.write_text(json.dumps({"longest_seconds": options.longest, **result}, indent=2))


def make(folder: Path, counts: list[int], longest: float) -> None:
    """Two encoders, and a corpus of each size."""
    import numpy as np
    import soundfile
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast, HubertConfig, HubertModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(0)
    HubertModel(HubertConfig(num_hidden_layers=1, conv_dim=(32,) * 7)).save_pretrained(folder / "audio")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(1000))]
    BertModel(BertConfig(num_hidden_layers=1, vocab_size=len(words))).save_pretrained(folder / "text")
    BertTokenizerFast(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder / "text")
    random = np.random.default_rng(0)
    for count in counts:
        data = folder / str(count)
        (data / "audio").mkdir(parents=True)
        lines = ["split,phone,Audio_id,Segment_number,text,label"]
        for number in range(count):
            samples = 0.1 * random.standard_normal(round(RATE * random.uniform(longest / 3, longest)))
            soundfile.write(data / f"audio/{number}.wav", samples, RATE)
            text = " ".join(f"w{word}" for word in random.integers(0, 1000, 4 * len(samples) // RATE))
            recording = number // 3
            split = ("train", "train", "train", "val", "test")[recording % 5]
            lines.append(f"{split},r{recording},{number}.wav,{number},{text},{'ABCDE'[recording % 5]}")
        (data / "calls.csv").write_text("\n".join(lines) + "\n")


def measure(folder: Path, count: int, suffix: str, longest: float) -> tuple[float, float, float]:
    """Peak memory of this process in MiB after an extraction and before it, and its seconds."""
    import torch  # noqa: F401
    from msmt.extract.config import ExtractConfig
    from msmt.extract.corpora.registry import load_corpus
    from msmt.extract.pipeline import extract

    before = peak()
    started = time.perf_counter()
    audio, text = str(folder / "audio"), str(folder / "text")
    config = ExtractConfig(audio, text, max_seconds=longest, precision="float32", device="cpu")
    summary = extract(load_corpus("marketcalls", folder / str(count)), folder / f"{count}{suffix}", config)
    assert set(summary.computed.values()) == {count}
    return peak(), before, time.perf_counter() - started


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEBIBYTE


if __name__ == "__main__":
    main()
