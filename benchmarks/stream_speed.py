"""How fast batches come out of a store, against a memmap of the same valid rows, lhotse, and plain zarr and h5py.

    python benchmarks/stream_speed.py [--segments 1024] [--repeats 7] [--cold] [--json FILE]

The limit is a memmap that holds nothing but the valid rows, copied segment by segment, in the same random order, into
one buffer that is used again for every batch of 12 segments. All ways read the audio feature (768 float16 values, mean
15 s at 25 frames a second) in that order; the ways of one round run one after another, and medians over rounds are
printed. "Batches" are what the network gets, text and audio as float32 tensors; there the limit converts as well.
With --cold every way opens its files anew in each round, after the system was asked to forget them; msmt then
checks every row against its checksum, as it does whenever it reads a row for the first time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import torch
import zarr
from msmt.features.reader import RowReader
from msmt.train.config import TrainConfig
from msmt.train.data import recordings_of
from msmt.train.stream import Stream

sys.path.insert(0, str(Path(__file__).parent))
from made import write_store  # noqa: E402

SEGMENTS_A_BATCH = 12
FEATURES = {"text": "roberta", "audio": "hubert"}
NAMES = {"zarr": "store.zarr", "hdf5": "store.h5"}


class Memmap:
    """The valid rows of one feature behind each other in one file, and nothing else."""

    def __init__(self, path: Path, store, feature: str) -> None:
        self.lengths = store.lengths(feature)
        self.ends = np.cumsum(self.lengths)
        self.path = path
        rows = np.memmap(path, np.float16, "w+", shape=(int(self.ends[-1]), 768))
        for row in range(len(self.lengths)):
            rows[self.ends[row] - self.lengths[row] : self.ends[row]] = store.read(feature, row)
        rows.flush()

    def opened(self) -> Memmap:
        self.rows = np.memmap(self.path, np.float16, "r", shape=(int(self.ends[-1]), 768))
        return self

    def copy(self, rows, out: np.ndarray) -> None:
        at = 0
        for row in rows:
            end, length = self.ends[row], self.lengths[row]
            np.copyto(out[at : at + length], self.rows[end - length : end])
            at += length


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options.segments, options.repeats, options.cold)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


def measure(folder: Path, segments: int, repeats: int, cold: bool) -> dict:
    stores = {name: write_store(folder / file, segments) for name, file in NAMES.items()}
    limits = {name: Memmap(folder / f"{name}.f16", stores["zarr"], name) for name in FEATURES.values()}
    lengths = limits["hubert"].lengths
    order = np.random.default_rng(1).permutation(segments)
    groups = [order[start : start + SEGMENTS_A_BATCH] for start in range(0, segments, SEGMENTS_A_BATCH)]
    most = max(int(lengths[group].sum()) for group in groups)
    buffers = [np.zeros((most, 768), np.float16) for _ in range(5)]

    def gather(copy: Callable, group: np.ndarray, number: int) -> None:
        copy(group, buffers[number % len(buffers)][: int(lengths[group].sum())])

    # Each way is a function that opens what it reads and returns what is measured.
    def in_one_thread(make: Callable) -> Callable:
        def opened() -> Callable:
            copy = make().copy

            def run() -> None:
                for group in groups:
                    gather(copy, group, 0)

            return run

        return opened

    def ahead(make: Callable, threads: int) -> Callable:
        def opened() -> Callable:
            copy = make().copy
            return lambda: read_ahead(copy, threads)

        return opened

    def read_ahead(copy: Callable, threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            todo, coming = iter(enumerate(groups)), deque()
            for number, group in islice(todo, threads + 1):
                coming.append(pool.submit(gather, copy, group, number))
            while coming:
                coming.popleft().result()
                for number, group in islice(todo, 1):
                    coming.append(pool.submit(gather, copy, group, number))

    ways: dict[str, Callable] = {"memmap of the valid rows (the limit)": in_one_thread(limits["hubert"].opened)}
    for name, store in stores.items():
        mapped, unmapped = (partial(RowReader, store, "hubert", mapped=choice) for choice in (True, False))
        ways[f"msmt {name}, no reader thread"] = in_one_thread(mapped)
        for threads in (1, 2):
            ways[f"msmt {name}, {threads} reader thread{'s' * (threads > 1)}"] = ahead(mapped, threads)
        ways[f"msmt {name}, 2 threads, not mapped"] = ahead(unmapped, 2)
    ways |= others(folder, stores, groups, lengths)
    print(f"{segments} segments, mean {lengths.mean():.0f} frames, {'cold' if cold else 'warm'}, random order")
    rates = rounds(folder, ways, segments, repeats, cold)
    limit = rates["memmap of the valid rows (the limit)"]
    show(rates, limit)

    recordings = {name: recordings_of(store, "train", FEATURES) for name, store in stores.items()}
    of_split = recordings["zarr"]
    positions = np.random.default_rng(2).permutation(len(of_split))
    batches = [positions[start : start + 4] for start in range(0, len(positions), 4)]
    room = {name: np.zeros((most * 2, 768), np.float16) for name in FEATURES.values()}
    converted = {name: torch.zeros(most * 2, 768) for name in FEATURES.values()}

    def limit_batches() -> Callable:
        for limit in limits.values():
            limit.opened()
        return copy_and_convert

    def copy_and_convert() -> None:
        for positions in batches:
            rows = of_split.rows_at(positions)
            for name in FEATURES.values():
                values = room[name][: int(limits[name].lengths[rows].sum())]
                limits[name].copy(rows, values)
                converted[name][: len(values)].copy_(torch.from_numpy(values))

    def streamed(name: str, readers: int) -> Callable:
        def opened() -> Callable:
            config = TrainConfig(readers=readers, cache_in="none")
            stream = Stream(stores[name], FEATURES, [recordings[name]], torch.device("cpu"), config)
            return lambda: deque(stream.batches(recordings[name], batches), maxlen=0)

        return opened

    ways = {"memmap of the valid rows (the limit)": limit_batches}
    for name in stores:
        for readers in (0, 1, 2):
            ways[f"msmt {name}, --readers {readers}"] = streamed(name, readers)
    print("\nbatches of 4 recordings for the network: text and audio, float32, labels")
    batch_rates = rounds(folder, ways, of_split.segments, repeats, cold)
    show(batch_rates, batch_rates["memmap of the valid rows (the limit)"])
    return {"rows": rates, "batches": batch_rates, "cold": cold, "segments": segments}


def others(folder: Path, stores, groups, lengths) -> dict[str, Callable]:
    """What users of other libraries would write."""

    def sliced(open_array: Callable) -> Callable:
        def opened() -> Callable:
            array = open_array()

            def run() -> None:
                for group in groups:
                    np.concatenate([array[int(row), : int(lengths[row])] for row in group])

            return run

        return opened

    ways = {
        "zarr-python, array[row, :length]": sliced(
            lambda: zarr.open_group(str(folder / NAMES["zarr"]), mode="r")["hubert/features"]
        ),
        "h5py, array[row, :length]": sliced(lambda: h5py.File(folder / NAMES["hdf5"], "r")["hubert/features"]),
    }
    try:
        from lhotse.features.io import NumpyHdf5Reader, NumpyHdf5Writer
    except ImportError:
        print("lhotse is not installed, so it is left out: pip install lhotse urllib3", file=sys.stderr)
        return ways
    path = folder / "lhotse.h5"
    with NumpyHdf5Writer(path) as writer:
        for row in range(len(lengths)):
            writer.write(f"s{row}", stores["zarr"].read("hubert", row))

    def lhotse() -> Callable:
        reader = NumpyHdf5Reader(path)

        def run() -> None:
            for group in groups:
                np.concatenate([reader.read(f"s{row}") for row in group])

        return run

    return {**ways, "lhotse, NumpyHdf5Reader": lhotse}


def rounds(folder: Path, ways: dict[str, Callable], segments: int, repeats: int, cold: bool) -> dict[str, float]:
    """Median segments a second of each way, the ways interleaved; the first round is not counted."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    opened = {} if cold else {name: make() for name, make in ways.items()}
    for number in range(repeats + 1):
        for name, make in ways.items():
            if cold:
                run = make()
                forget(folder)
            else:
                run = opened[name]
            started = time.perf_counter()
            run()
            if number:
                rates[name].append(segments / (time.perf_counter() - started))
            run = None
    return {name: float(np.median(found)) for name, found in rates.items()}


def forget(folder: Path) -> None:
    """Ask the system to drop what it keeps of the files."""
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def show(rates: dict[str, float], limit: float) -> None:
    print(f"{'':<42}{'segments/s':>12}{'of the limit':>14}")
    for name, rate in rates.items():
        print(f"{name:<42}{rate:>12,.0f}{rate / limit:>14.2f}")


if __name__ == "__main__":
    main()
