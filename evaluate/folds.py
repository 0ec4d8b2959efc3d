"""Folds of one scheme: each item is tested in one of them, so that their answers together are answers to all.

Items are recordings, or segments where these have the labels: then folds may part a recording, as those that leave one
of its two speakers out do.

Letters in shapes: n recordings or segments.

A *pooled* result is what the runs of one variant and seed answered, each on the test split of its own fold. Its figures
are those of all these answers taken together, which is not the mean of the folds' own figures: a fold of few recordings
does not count as much as one of many, and UAR and F1 are not means over recordings. How much the folds' own figures
differ is what ``OverFolds`` keeps. Their training splits overlap, so that this deviation is no error of their mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import RunError
from ..features.tasks import NO_LABEL, Task
from .scored import Scored


@dataclass(frozen=True)
class OverFolds:
    """One figure of each fold by itself."""

    by_fold: tuple[float, ...]
    """In the order of the folds, each the mean over the seeds; NaN for a fold without a label of the task."""

    @property
    def mean(self) -> float:
        """Over the folds, each of which counts the same."""
        return float(np.nanmean(self.by_fold))

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the folds (n - 1); None where only one has labels."""
        known = [figure for figure in self.by_fold if figure == figure]
        return float(np.std(known, ddof=1)) if len(known) > 1 else None


def pooled(parts: Sequence[Scored], scheme: str, speakers: Mapping[str, str] | None = None) -> Scored:
    """The answers of one variant and seed to the items of all folds of ``scheme``; a part is those of one fold.

    ``speakers`` names who speaks in each recording, over all folds. Raises RunError where an item is tested in two of
    them, or they do not answer the same kind of question.
    """
    first = parts[0]
    home: dict[str, Scored] = {}
    for part in parts:
        if part.split != first.split or (part.segment_ids is None) != (first.segment_ids is None):
            raise RunError(f"runs {first.run} and {part.run} are not folds of one variant: train and score them again")
        for item in dict.fromkeys(part.items):
            other = home.setdefault(item, part)
            if other is not part:
                kind = "recording" if part.segment_ids is None else "segment"
                raise RunError(
                    f"{kind} {item} is in the split {part.split} of {other.scheme} and of {part.scheme}, but to"
                    f" be pooled each must be tested once: make other folds with msmt split"
                )
    recording_ids = tuple(recording for part in parts for recording in part.recording_ids)
    tasks = tuple({task.name: task for part in parts for task in part.tasks}.values())
    return replace(
        first,
        run=", ".join(part.run for part in parts),
        recording_ids=recording_ids,
        segment_ids=None if first.segment_ids is None else tuple(item for part in parts for item in part.segment_ids),
        tasks=tasks,
        labels={task.name: np.concatenate([_labels(part, task) for part in parts]) for task in tasks},
        predictions={task.name: np.concatenate([_predictions(part, task) for part in parts]) for task in tasks},
        times_scored=max(part.times_scored for part in parts),
        chance={},
        speakers=None if speakers is None else tuple(speakers.get(recording, "") for recording in recording_ids),
        segments="",
        values={},
        scheme=scheme,
        parts=tuple(parts),
    )


def _labels(part: Scored, task: Task) -> np.ndarray:
    """(n,) none at all where the fold has no label of the task."""
    absent = np.full(len(part.recording_ids), np.nan if task.is_value else NO_LABEL)
    return part.labels.get(task.name, absent.astype(np.float64 if task.is_value else np.int64))


def _predictions(part: Scored, task: Task) -> np.ndarray:
    """(n,) anything where the fold has no label of the task: it does not count."""
    return part.predictions.get(task.name, np.zeros(len(part.recording_ids), np.float64 if task.is_value else np.int64))


def fold_of_items(scored: Scored) -> np.ndarray:
    """(n,) the number of the fold in which each item of a pooled result was tested, in whatever order items are."""
    number = {item: index for index, part in enumerate(scored.parts) for item in part.items}
    return np.array([number[item] for item in scored.items], int)


def answers_by_fold(scored: Scored, task: Task) -> tuple[float, ...] | None:
    """The constant answer of each fold's training split, in order; None where it is not known of all."""
    if not scored.parts or not all(task.name in part.chance for part in scored.parts):
        return None
    return tuple(part.chance[task.name] for part in scored.parts)
