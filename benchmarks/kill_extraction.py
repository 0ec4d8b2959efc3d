"""Kill extractions again and again, and compare what they leave with an extraction that nobody disturbed.

    python benchmarks/kill_extraction.py [--kills 100] [--data FOLDER] [--features FILE] [--seed 0] [--json FILE]

In each format a small corpus (48 recordings of 3 segments, tiny encoders) is extracted by processes that are killed
with SIGKILL, until one outlives its kill. Then the corpus changes (sounds, transcripts and a label change, a sound
breaks, a recording leaves and one comes) and the extraction goes on under the same treatment; then all from the beginning.
``--data`` is another corpus, in the MarketCalls layout, of which copies are changed; ``--features`` names the features,
as for msmt extract, with encoders of one's own. Kills by turns come after a random time, and just before a random one
of the calls that put something on the disk.

After each kill the store, if there is one yet, must open; its complete rows must verify and be those of the undisturbed
extraction; no row may be missing that was complete before, or whose commit had returned, and is still wanted. After each
completion every file must be, byte for byte, that of the undisturbed extraction. The exit status is 1 if anything is not so.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import pandas as pd
import soundfile
import torch
from msmt.errors import StoreError
from msmt.extract.config import ExtractConfig
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.extractors.registry import KINDS
from msmt.extract.pipeline import extract
from msmt.features import hdf5_tree
from msmt.features.copying import verify
from msmt.features.hdf5_writer import Hdf5Writer
from msmt.features.opening import open_store
from msmt.features.rows import MISSING
from msmt.features.zarr_writer import ZarrWriter
from msmt.progress import for_terminal
from msmt.tests.extract.made import save_encoders, speech_like, write_calls
from transformers.utils import logging

# Everything is imported once, here, and each extraction is a fork. torch must not compute in this
# process: its threads would not survive the fork.
FORK = multiprocessing.get_context("fork")
ON_THE_DISK = (
    *((os, name) for name in ("mkdir", "link", "replace", "fsync", "unlink", "rmdir")),
    (h5py.Group, "create_dataset"),
    (h5py.File, "close"),
    (hdf5_tree, "write_row"),
)
Rows = dict[tuple[str, str], tuple[int, int]]  # checksum and identity of the complete rows, by feature and segment


@dataclass
class Found:
    """What the kills in one format did."""

    kills: int = 0
    completions: int = 0
    rows_seen: int = 0
    """Complete rows looked at after a kill, all kills together."""

    unopened: int = 0
    """Stores that could not be opened."""

    lost: int = 0
    """Rows that were complete and are not."""

    wrong: int = 0
    """Places where the bytes are not what was written, and rows of other values than the undisturbed extraction's."""

    crashed: int = 0
    """Extractions that ended with an error of their own."""

    different: int = 0
    """Completions that left other bytes."""

    @property
    def is_good(self) -> bool:
        return not (self.unopened or self.lost or self.wrong or self.crashed or self.different)


@dataclass(frozen=True)
class Stage:
    """A corpus, and what an undisturbed extraction of it leaves."""

    corpus: Path
    folder: Path
    """The store and what lies beside it."""

    rows: Rows
    seconds: float
    calls: int
    """Calls that put something on the disk."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="half of them in each format")
    parser.add_argument("--data", type=Path, help="folder of a corpus in the MarketCalls layout [a small one is made]")
    parser.add_argument("--features", type=Path, help="file of the features to make [one of audio and one of text]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"  # fixes the time of creation that a store carries
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)  # the encoders are too small to share out
    logging.disable_progress_bar()
    random.seed(options.seed)
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpora = (folder / "before", folder / "after")
        write_corpora(options.data, *corpora)
        config = config_for(options.features, folder)
        for kind, suffix in (("zarr", ".zarr"), ("hdf5", ".h5")):
            with for_terminal()(kind, total=options.kills // 2, unit="kills") as advance:
                found[kind] = kill(folder / kind, suffix, corpora, config, options.kills // 2, advance)
            print(kind, ", ".join(f"{what} {count}" for what, count in asdict(found[kind]).items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps({kind: asdict(each) for kind, each in found.items()}, indent=2))
    sys.exit(0 if all(each.is_good for each in found.values()) else 1)


def config_for(features: Path | None, folder: Path) -> ExtractConfig:
    """The settings of every extraction: named features, or two of tiny encoders, which are saved in ``folder``."""
    settings = {"precision": "float32", "device": "cpu", "max_failures": "5"}
    if features:
        config = ExtractConfig(features=str(features), **settings)
        for one in config.named:
            KINDS[one.kind].load()
        return config
    encoders = FORK.Process(target=save_encoders, args=(folder,))
    encoders.start()
    encoders.join()
    audio, text = (str(folder / "encoders" / name) for name in ("audio", "text"))
    return ExtractConfig(audio, text, max_seconds=1.5, max_tokens=30, **settings)


def write_corpora(data: Path | None, before: Path, after: Path) -> None:
    """A copy of the corpus in ``data``, or one that is made, and the same after changes to its training split."""
    if data:
        shutil.copytree(data, before)
    else:
        write_calls(before, recordings=48, segments=3)
    table = pd.read_csv(before / "train.csv")
    sounds, recordings = table["Audio_id"].tolist(), list(dict.fromkeys(table["phone"]))
    shutil.copy(before / "audio" / sounds[0], before / "audio" / sounds[-2])  # computed once, copied
    shutil.copytree(before, after)
    for number, name in enumerate((sounds[1], sounds[len(sounds) // 2], sounds[-1])):
        soundfile.write(after / "audio" / name, speech_like(0.9, seed=number), 8000)
    (after / "audio" / sounds[-4]).write_bytes(b"broken")
    soundfile.write(after / "audio/new_1.wav", speech_like(0.5), 8000)
    table.loc[table["Audio_id"].isin([sounds[2], sounds[-5]]), "text"] = "yes yes yes"
    table.loc[table["phone"] == recordings[2], "label"] = "E"
    new = pd.DataFrame([["new", "new_1.wav", 1, "hello", "B"]], columns=table.columns)
    pd.concat([table[table["phone"] != recordings[1]], new]).to_csv(after / "train.csv", index=False)


def kill(
    folder: Path,
    suffix: str,
    corpora: tuple[Path, Path],
    config: ExtractConfig,
    kills: int,
    advance: Callable[[int], None],
) -> Found:
    stages = undisturbed(folder, suffix, corpora, config)
    right = {(key, row) for stage in stages for key, row in stage.rows.items()}
    found = Found()
    store = folder / f"killed/store{suffix}"
    while found.kills < kills:
        shutil.rmtree(store.parent, ignore_errors=True)
        store.parent.mkdir()
        for stage in stages:
            while found.kills < kills:
                safe = {
                    key for key, row in rows_of(store).items() if stage.rows.get(key) == row
                }  # not what is out of date
                after_seconds = random.uniform(0, stage.seconds) if found.kills % 2 else None
                at_call = None if found.kills % 2 else random.randrange(stage.calls)
                ended, committed = attempt(stage.corpus, store, config, after_seconds, at_call)
                if ended == 0:
                    found.completions += 1
                    different = {name for name, _ in content(store.parent).items() ^ content(stage.folder).items()}
                    found.different += bool(different)
                    for name in sorted(different):
                        print(f"{name} is not what the undisturbed extraction leaves")
                    break
                found.crashed += ended != -signal.SIGKILL
                found.kills += ended == -signal.SIGKILL
                advance(1)
                check(store, stage, right, safe | committed, found)
    return found


def undisturbed(folder: Path, suffix: str, corpora: tuple[Path, Path], config: ExtractConfig) -> list[Stage]:
    stages: list[Stage] = []
    for corpus in corpora:
        whole = folder / f"whole-{corpus.name}/store{suffix}"
        if stages:
            shutil.copytree(stages[-1].folder, whole.parent)
        else:
            whole.parent.mkdir(parents=True)
        started = time.perf_counter()
        ended, _ = attempt(corpus, whole, config, None, None)
        seconds = time.perf_counter() - started
        assert ended == 0
        calls = int(log_of(whole).read_text().rpartition("calls ")[2])
        stages.append(Stage(corpus, whole.parent, rows_of(whole), seconds, calls))
    return stages


def attempt(
    corpus: Path, store: Path, config: ExtractConfig, after_seconds: float | None, at_call: int | None
) -> tuple[int, set[tuple[str, str]]]:
    """Extract in another process and kill it; its exit code, and the rows whose commit returned."""
    begun = FORK.Event()
    process = FORK.Process(target=extraction, args=(corpus, store, config, at_call, begun))
    process.start()
    begun.wait()
    process.join(after_seconds)
    if process.is_alive():
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
    lines = (line.split() for line in log_of(store).read_text().splitlines())
    return process.exitcode, {
        (feature, segment) for what, feature, segment in (line for line in lines if len(line) == 3)
    }


def extraction(corpus: Path, store: Path, config: ExtractConfig, at_call: int | None, begun) -> None:
    """What ``msmt extract`` does, in a process group of its own; dies before the call of that number."""
    os.setsid()
    calls = 0

    def counted(function: Callable) -> Callable:
        def call(*arguments, **options):
            nonlocal calls
            if calls == at_call:
                os.killpg(0, signal.SIGKILL)
            calls += 1
            return function(*arguments, **options)

        return call

    def logged(commit: Callable) -> Callable:
        def call(writer, feature, block, rows):
            commit(writer, feature, block, rows)
            segments = writer.store.segments["segment_id"]
            log.write("".join(f"committed {feature} {segments[row]}\n" for row, new in rows.items() if new is not None))
            log.flush()

        return call

    for owner, name in ON_THE_DISK:
        setattr(owner, name, counted(getattr(owner, name)))
    for writer in (ZarrWriter, Hdf5Writer):
        writer.commit = logged(writer.commit)
    with open(log_of(store), "w") as log:
        begun.set()
        extract(load_corpus("marketcalls", corpus), store, config)
        log.write(f"calls {calls}\n")


def check(store: Path, stage: Stage, right: set, safe: set[tuple[str, str]], found: Found) -> None:
    """Count what is wrong with a store after a kill."""
    try:
        rows = rows_of(store)
        damages = verify(open_store(store)) if store.exists() else []
    except StoreError as error:
        print(f"{store.name} does not open: {error}")
        found.unopened += 1
        return
    wrong = [key for key, row in rows.items() if (key, row) not in right]
    lost = safe - set(rows)
    for what in (*damages, *wrong, *lost):
        print(f"{store.name}: {what} is {'lost' if what in lost else 'wrong'}")
    found.rows_seen += len(rows)
    found.wrong += len(damages) + len(wrong)
    found.lost += len(lost)


def rows_of(path: Path) -> Rows:
    if not path.exists():
        return {}
    store = open_store(path)
    rows = {}
    for feature in store.specs:
        states = store.states(feature)
        of_rows = zip(store.segments["segment_id"], states.length, states.checksum, states.identity, strict=True)
        for segment, length, checksum, identity in of_rows:
            if length != MISSING:
                rows[feature, segment] = int(checksum), int(identity)
    return rows


def content(folder: Path) -> dict[str, bytes]:
    """Every file but the lock."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".lock"]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def log_of(store: Path) -> Path:
    return store.parent.with_suffix(".log")


if __name__ == "__main__":
    main()
