"""How long the encoding of given rows will take here, from encoding some of them.

The rows to try are spread over the lengths that the corpus has, for a segment's time does not grow as its length does,
and each view is tried by itself, for what it costs to make differs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_TRIALS = 6  # rows that are timed of each view
_MOST_SECONDS = 15.0  # after which no further row of a view is tried


@dataclass(frozen=True)
class Trial:
    """One row that was loaded and encoded."""

    rows: int
    """Frames or tokens that came of it."""

    loading: float
    """Seconds to load it, by one thread."""

    encoding: float
    """Seconds to encode it."""


@dataclass(frozen=True)
class Timed:
    """What was made of one row, which counts for as many frames or tokens as were expected of it."""

    rows: int
    values: tuple

    def __len__(self) -> int:
        return self.rows

    def cpu(self) -> Timed:
        """The same once all of it is there, wherever it was computed."""
        return Timed(self.rows, tuple(one.cpu() for one in self.values))


def estimated_seconds(
    rows_by_view: Mapping[str, Sequence[int]],
    lengths: np.ndarray,
    load: Callable[[int], object | None],
    encode: Callable[[list], Sequence],
    most_rows: int,
    loaders: int,
    shares_cores: bool,
) -> float:
    """Seconds that the rows of all views will take together; 0 for those of which none can be loaded.

    ``lengths`` (N,) are the frames or tokens expected of each row, ``load`` gives what ``encode`` takes of a row, or
    None, ``most_rows`` is what fits in a batch, ``loaders`` how many rows are loaded at once. Where loading and
    encoding share the processor's cores, their times add up; else the slower of them decides.
    """
    total = 0.0
    is_warm = False
    for rows in rows_by_view.values():
        if not len(rows):
            continue
        trials = []
        started = time.perf_counter()
        for batch in _tried(rows, lengths, most_rows):
            began = time.perf_counter()
            loaded = [one for one in map(load, batch) if one is not None]
            loading = time.perf_counter() - began
            if not loaded:
                continue
            if not is_warm:
                encode(loaded)  # what is set up at the first call is no measure for the others
                is_warm = True
                started = time.perf_counter()
            began = time.perf_counter()
            made = sum(len(one.cpu()) for one in encode(loaded))
            trials.append(Trial(made, loading, time.perf_counter() - began))
            if time.perf_counter() - started > _MOST_SECONDS:
                break
        if trials:
            total += _total(trials, lengths[np.asarray(rows)], most_rows, loaders, shares_cores)
    return total


def _tried(rows: Sequence[int], lengths: np.ndarray, most_rows: int) -> list[list[int]]:
    """Some rows, each in the middle of an equal share of all by length; where batches are large, one batch of them."""
    ordered = sorted(rows, key=lambda row: lengths[row])
    if most_rows <= 1:
        places = (np.arange(_TRIALS) + 0.5) / _TRIALS * len(ordered)
        return [[ordered[place]] for place in dict.fromkeys(places.astype(int).tolist())]
    mean = max(1.0, float(np.mean([lengths[row] for row in ordered])))
    count = min(len(ordered), max(1, int(most_rows / mean)))
    places = ((np.arange(count) + 0.5) / count * len(ordered)).astype(int)
    return [[ordered[place] for place in dict.fromkeys(places.tolist())]]


def _total(trials: Sequence[Trial], lengths: np.ndarray, most_rows: int, loaders: int, shares_cores: bool) -> float:
    """Seconds for rows of these lengths, by the trials of rows of other lengths."""
    made = sum(trial.rows for trial in trials) or 1
    # Loading costs as the length does; encoding a segment alone has a part for each length, found between the trials.
    loading = sum(trial.loading for trial in trials) / made * lengths.sum()
    if most_rows > 1:
        encoding = sum(trial.encoding for trial in trials) / made * lengths.sum()
    else:
        in_order = sorted(trials, key=lambda trial: trial.rows)
        known = np.array([trial.rows for trial in in_order], float)
        seconds = np.array([trial.encoding for trial in in_order])
        inside = np.interp(lengths, known, seconds)
        # Beyond the longest and the shortest that were tried, in proportion.
        scale = np.maximum(lengths / max(known[-1], 1.0), 1.0) * np.minimum(lengths / max(known[0], 1.0), 1.0)
        encoding = float((inside * scale).sum())
    if shares_cores:
        return float(encoding + loading / (os.cpu_count() or 1))
    return float(max(encoding, loading / max(loaders, 1)))
