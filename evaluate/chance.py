"""What a model scores that has learnt nothing but how frequent labels are, and how one that does no more is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..features.segments import ORIGINAL
from ..features.tasks import NO_LABEL, Task

if TYPE_CHECKING:
    import pandas as pd

_CONSTANT_SPREAD = 1e-3  # real values that vary by less than this share of the labels' range are one answer
CLASS_CHANCE = "most frequent class"
VALUE_CHANCE = "mean of training"


@dataclass(frozen=True)
class ChanceLine:
    """One constant answer and what it scores on a task."""

    answer: str
    """The class, or the value, as tables show it."""

    figures: Mapping[str, float]
    """By name; those that a model has on this task."""

    by_fold: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """The same of each fold, where each fold gives the answer of its own training split."""


def constant_answers(tasks: Sequence[Task], segments: pd.DataFrame, split: str) -> dict[str, float]:
    """For each task the most frequent class's index, or the mean value, among the labels of a split.

    Each recording counts once where it has one label, and copies of a segment do not count. Of classes that are equally
    frequent it is the first. Tasks without a label in the split are left out, so a split that is not there gives none.
    """
    table = segments[((segments["split"] == split) & (segments["view"] == ORIGINAL)).to_numpy()]
    answers = {}
    for task in tasks:
        rows = table.drop_duplicates("recording_id") if task.level == "recording" else table
        labels = rows[task.column].to_numpy()
        labels = labels[~np.isnan(labels)] if task.is_value else labels[labels != NO_LABEL]
        if len(labels):
            answers[task.name] = float(labels.mean()) if task.is_value else int(np.bincount(labels).argmax())
    return answers


def constant_answer(task: Task, truth: np.ndarray, predicted: np.ndarray) -> float | None:
    """The one answer to (n,) items whose labels differ; None where answers differ too, or labels do not."""
    if len(np.unique(truth)) < 2:
        return None
    if task.is_value:
        is_constant = np.ptp(predicted) <= _CONSTANT_SPREAD * np.ptp(truth)
        return float(np.mean(predicted)) if is_constant else None
    return int(predicted[0]) if (predicted == predicted[0]).all() else None


def chance_name(tasks: Sequence[Task]) -> str:
    """What the chance line of these tasks is called."""
    kinds = {task.is_value for task in tasks}
    return {False: CLASS_CHANCE, True: VALUE_CHANCE}[kinds.pop()] if len(kinds) == 1 else f"{CLASS_CHANCE}, or mean"


def shown_answer(task: Task, answer: float) -> str:
    """The class's name, or the value."""
    return f"{answer:.3g}" if task.is_value else task.classes[int(answer)]
