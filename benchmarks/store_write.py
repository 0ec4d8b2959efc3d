"""The store's writer alone against a plain memmap to which the same valid bytes are written one after the other.

    python benchmarks/store_write.py [--segments 256] [--repetitions 9] [--folder FOLDER] [--json FILE]

Segments have the lengths of calls (mean 15 s: 375 frames of 768 float16). Both sides write them in blocks of 32, ready
in memory, and force each block to the disk before the next: the memmap with flush and fsync, the store with a commit.
Stated apart: a memmap that is forced to the disk only at its end, and HDF5's finish, which merges the blocks into one
plain file and so writes everything once more. In each repetition every way takes its turn; figures are medians.
The ratio is the rate of a way over that of the memmap with fsync; the aim is 0.5 for commits.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from msmt.features.opening import SUFFIXES, writer_for
from msmt.features.rows import BLOCK_ROWS, Row
from msmt.features.segments import segment_table
from msmt.features.spec import FeatureSpec
from msmt.features.tasks import Task

sys.path.insert(0, str(Path(__file__).parent))
from made import call_lengths  # noqa: E402

SPEC = FeatureSpec("audio", "made", "HubertModel", "made", width=768, max_rows=999, sample_rate=8000)
FRAMES_PER_SECOND = 25
REFERENCE = "memmap, fsync each block"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=256)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--folder", type=Path, help="on the disk to measure [a temporary folder]")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lengths = (call_lengths(options.segments) * FRAMES_PER_SECOND).round().astype(int).clip(50, SPEC.max_rows)
    random = np.random.default_rng(0)
    values = [random.standard_normal((length, SPEC.width), np.float32).astype(np.float16) for length in lengths]
    megabytes = sum(value.nbytes for value in values) / 1e6

    times: dict[str, list[float]] = {}
    turns = [memmap_each_block, memmap_at_the_end, *(store_of(kind) for kind in SUFFIXES)]
    for _ in range(options.repetitions):
        turns = (
            turns[1:] + turns[:1]
        )  # whatever a turn leaves to the next in caches, it does not always hit the same one
        for write in turns:
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                os.sync()  # what others left to be written is not this turn's to wait for
                for way, seconds in write(values, Path(folder)).items():
                    times.setdefault(way, []).append(seconds)

    print(f"{options.segments} segments, {megabytes:.0f} MB of valid values, {options.repetitions} repetitions")
    result = {"segments": options.segments, "megabytes": megabytes, "repetitions": options.repetitions, "ways": {}}
    for way, each in sorted(times.items(), reverse=True):
        median = statistics.median(each)
        ratio = statistics.median(times[REFERENCE]) / median
        result["ways"][way] = {"seconds": each, "median": median, "ratio": ratio}
        print(
            f"{way:<26}{median:>8.2f} s {options.segments / median:>8.0f} segments/s {megabytes / median:>8.0f} MB/s {ratio:>7.2f} x"
        )
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


def memmap_each_block(values: list[np.ndarray], folder: Path) -> dict[str, float]:
    return {REFERENCE: write_memmap(values, folder / "values", each_block=True)}


def memmap_at_the_end(values: list[np.ndarray], folder: Path) -> dict[str, float]:
    return {"memmap, fsync at the end": write_memmap(values, folder / "values", each_block=False)}


def write_memmap(values: list[np.ndarray], path: Path, each_block: bool) -> float:
    started = time.perf_counter()
    target = np.memmap(path, np.float16, "w+", shape=(sum(map(len, values)), SPEC.width))
    with open(path, "rb") as file:
        at = 0
        for row, value in enumerate(values, 1):
            target[at : at + len(value)] = value
            at += len(value)
            if row == len(values) or each_block and row % BLOCK_ROWS == 0:
                target.flush()
                os.fsync(file.fileno())
    return time.perf_counter() - started


def store_of(kind: str) -> Callable[[list[np.ndarray], Path], dict[str, float]]:
    """A way of writing the values into a store of this format."""

    def write(values: list[np.ndarray], folder: Path) -> dict[str, float]:
        names = [str(row) for row in range(len(values))]
        task = Task("five", tuple("ABCDE"))
        columns = {"segment_id": names, "recording_id": names, "index": 0, "split": "train", "audio": names}
        lengths = {"hubert": np.array([len(value) for value in values])}
        with writer_for(folder / f"store{SUFFIXES[kind]}") as writer:
            writer.prepare("made", (task,), segment_table(pd.DataFrame(columns), (task,)), {"hubert": SPEC}, lengths)
            started = time.perf_counter()
            for first in range(0, len(values), BLOCK_ROWS):
                rows = range(first, min(first + BLOCK_ROWS, len(values)))
                writer.commit("hubert", first // BLOCK_ROWS, {row: Row(values[row], row) for row in rows})
            committed = time.perf_counter()
            writer.finish()
            finished = time.perf_counter()
        times = {f"{kind}, commits": committed - started}
        if kind == "hdf5":  # a Zarr store has nothing to finish
            times["hdf5, commits and finish"] = finished - started
        return times

    return write


if __name__ == "__main__":
    main()
