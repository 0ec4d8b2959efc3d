"""What it costs to open a store of 10,000 rows, to say what is in it, and to read rows, beside plain zarr and h5py.

    python benchmarks/open_speed.py [--rows 10000] [--repeats 7] [--json FILE]

Opening means head and segment table, as plain zarr or h5py give them column by column; info is what `msmt info` counts,
with the states of all rows; reading takes every fifth row, checked against its checksum and not, and by the plain library. The
ways take turns, and medians in seconds are printed. Features are narrow (16 values): what is measured is not the disk.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import zarr
from msmt.features.info import describe
from msmt.features.opening import open_store
from msmt.tests.features.made import make_store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    medians = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("store.zarr", "store.h5"):
            path = Path(folder, name)
            make_store(path, rows=options.rows)
            seconds: dict[str, list[float]] = {way: [] for way in ways(path, options.rows)}
            for _ in range(options.repeats + 1):  # the first round warms up
                for way, work in ways(path, options.rows).items():
                    started = time.perf_counter()
                    work()
                    seconds[way].append(time.perf_counter() - started)
            medians[name] = {way: statistics.median(each[1:]) for way, each in seconds.items()}
            print(f"{name}, {options.rows:,} rows")
            for way, median in medians[name].items():
                print(f"  {way:<40}{median:>9.4f} s")
            opening = medians[name]["opening, plain library"] / medians[name]["opening"]
            checking = medians[name]["reading 1 in 5, checked"] / medians[name]["reading 1 in 5, not checked"]
            print(
                f"  opening {opening:.1f} x as fast as the plain library; checked reading takes {checking:.2f} x the time\n"
            )
    if options.json:
        options.json.write_text(json.dumps(medians, indent=2))


def ways(path: Path, rows: int) -> dict[str, Callable[[], object]]:
    """What is timed, by its name."""
    some = range(0, rows, 5)
    return {
        "opening": lambda: open_store(path).segments,
        "opening, plain library": partial(plain_table, path),
        "info": lambda: describe(open_store(path)),
        "reading 1 in 5, checked": partial(read_rows, path, some, True),
        "reading 1 in 5, not checked": partial(read_rows, path, some, False),
        "reading 1 in 5, plain library": partial(plain_rows, path, some),
    }


def read_rows(path: Path, rows: range, checked: bool) -> None:
    store = open_store(path)
    for row in rows:
        store.read("hubert", row, checked)


def plain_table(path: Path) -> None:
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            for column in file["segments"].values():
                (column.asstr() if h5py.check_string_dtype(column.dtype) else column)[:]
        return
    segments = zarr.open_group(str(path), mode="r")["segments"]
    for name in segments.attrs["columns"]:
        segments[name][:]


def plain_rows(path: Path, rows: range) -> None:
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            features, lengths = file["hubert/features"], file["hubert/length"][:]
            for row in rows:
                features[row, : lengths[row]]
        return
    group = zarr.open_group(str(path), mode="r")["hubert"]
    lengths = group["length"][:]
    for row in rows[:: max(1, len(rows) // 200)]:  # slow enough that a few tell
        group["features"][row, : lengths[row]]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
