"""What `msmt corpus` costs per file, beside a plain loop that stats, opens and hashes each file.

    python benchmarks/reconcile_speed.py [--items 2000 20000 22856] [--repeats 3] [--threads 0] [--json FILE]

A corpus in CMU-MOSEI's layout is made of so many clips (MOSEI has 22,856): mp4 files of 0.5 s with picture and sound,
copies of one that differ in some bytes at their end. All are of one size, so that all of them have to be hashed, which
is more than a real corpus asks for. Timed are reading the annotation and finding the clips, which every command on the
dataset begins with; reconciling, which is that and reads every header and compares all files; and the reference: a loop
over the files in one thread that stats each, opens its header with PyAV and hashes its bytes. Each is measured in a
process of its own; ways take turns. Printed are the median of seconds, that of one item, which should not grow with
their number, and the largest peak of memory on top of what the imports have taken. The files have been written a moment
before and are in memory: a disk that has to be read comes on top, for each way alike.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from msmt.extract.corpora.config import CorpusOptions
from msmt.extract.corpora.label_csv_releases import BY_NAME
from msmt.extract.corpora.registry import adapter_of
from msmt.extract.layouts.writing import write_video
from msmt.extract.reconcile import reconcile

RATE = 16000
SECONDS = 0.5
CLIPS_OF_A_VIDEO = 7  # as in MOSEI


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[2000, 20_000, 22_856])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    for items in options.items:
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            size = write_corpus(Path(folder), items)
            print(f"{items:,} items, {size / 1e6:,.0f} MB, made in {time.perf_counter() - started:.0f} s")
            results[items] = measured(Path(folder), options.repeats, options.threads)
        for way, (seconds, megabytes) in results[items].items():
            each = 1e3 * seconds / items
            print(f"  {way:<32}{seconds:>9.2f} s{each:>9.3f} ms an item{megabytes:>9,.0f} MB")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


def measured(folder: Path, repeats: int, threads: int) -> dict[str, tuple[float, float]]:
    """By way the median of seconds, and the largest growth of the peak of memory in megabytes."""
    ways: dict[str, Callable[[Path, int], None]] = {
        "reading annotation and folder": read,
        "reconciling": reconciled,
        "plain loop: stat, PyAV, hash": plain_loop,
    }
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    # A process that knows nothing yet, for digests are remembered, and a peak of memory never falls.
    fresh = multiprocessing.get_context("spawn")
    for _ in range(repeats):
        for way, work in ways.items():
            with fresh.Pool(1) as pool:
                taken[way].append(pool.apply(timed, (work, folder, threads)))
    return {
        way: (statistics.median(seconds for seconds, _ in each), max(grown for _, grown in each))
        for way, each in taken.items()
    }


def timed(work: Callable[[Path, int], None], folder: Path, threads: int) -> tuple[float, float]:
    before = peak()
    started = time.perf_counter()
    work(folder, threads)
    return time.perf_counter() - started, peak() - before


def peak() -> float:
    """The most memory that this process has held so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read(folder: Path, threads: int) -> None:
    adapter_of("mosei").read(folder, CorpusOptions())


def reconciled(folder: Path, threads: int) -> None:
    reading = adapter_of("mosei").read(folder, CorpusOptions())
    found = reconcile(reading, threads=threads)
    assert not len(found.unexpected), found.problems


def plain_loop(folder: Path, threads: int) -> None:
    seen = {}
    for path in sorted((folder / "Raw").rglob("*.*")):
        if path.stat().st_size:
            with av.open(str(path)) as container:
                stream = container.streams.audio[0]
                seconds = float(stream.duration * stream.time_base)
            seen[hashlib.blake2b(path.read_bytes(), digest_size=16).digest()] = seconds
    assert seen


def write_corpus(folder: Path, items: int) -> int:
    """Write label.csv and Raw/; returns the bytes of all clips."""
    template = folder / "template.mp4"
    write_video(template, np.random.default_rng(0).normal(0, 0.1, round(SECONDS * RATE)), RATE)
    container = template.read_bytes()
    template.unlink()
    size = 0
    with (folder / "label.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, BY_NAME["mosei"].header, restval="")
        writer.writeheader()
        for item in range(items):
            video, clip = f"-{item // CLIPS_OF_A_VIDEO:010d}", item % CLIPS_OF_A_VIDEO
            row = {"video_id": video, "clip_id": clip, "text": f"This is clip {item}.", "label": 0.0}
            writer.writerow(row | {"annotation": "Neutral", "mode": "train"})
            path = folder / "Raw" / video / f"{clip}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            # A box that players skip makes each file another.
            size += path.write_bytes(container + (16).to_bytes(4, "big") + b"free" + item.to_bytes(8, "big"))
    return size


if __name__ == "__main__":
    main()
