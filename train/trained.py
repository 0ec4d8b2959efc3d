"""How far a run has come, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from . import runs

RUNNING, FINISHED, STOPPED_EARLY, INTERRUPTED = "running", "finished", "stopped early", "interrupted"
PRUNED, FAILED = "pruned", "failed"


@dataclass(frozen=True)
class Trained:
    """What became of a run."""

    run: runs.Run
    """Its directory."""

    status: str
    """``finished``, ``stopped early``, ``interrupted``, ``pruned`` or ``failed``."""

    epochs: int
    """Epochs it went through."""

    best_epoch: int | None
    """The epoch whose weights were kept; None when none was finished."""

    select: str
    """The validation figure that picked it."""

    best: Mapping[str, object]
    """The line of metrics.jsonl of that epoch; empty when none was finished."""

    left_out: pd.DataFrame
    """Segments of either split that had no features: segment_id, recording_id, split, reason."""

    error: str = ""
    """Why it failed, if it did."""


@dataclass(frozen=True)
class Progress:
    """How far a run has come: with weights and optimizer, all that resuming needs."""

    status: str = RUNNING
    """``running``, or how it ended."""

    epoch: int = 0
    """Epochs that are done. The schedule, the order of recordings and the random numbers of the next follow from it."""

    best_epoch: int | None = None
    """The best of them."""

    best_rank: tuple[float, float] = (-math.inf, -math.inf)
    """Its selected figure and its validation loss, both signed so that more is better."""

    lines: tuple[dict, ...] = ()
    """A line of metrics.jsonl per epoch."""
