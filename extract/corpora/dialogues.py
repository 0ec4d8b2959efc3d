"""What dialogue corpora have in common: the label of what is said next."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...features.tasks import NO_LABEL, Task


def with_next(items: pd.DataFrame, task: Task) -> tuple[pd.DataFrame, Task]:
    """The items with the label that the next segment of the recording has, and the task of predicting it.

    The last segment of a recording has none, nor has one before a segment without a label. What follows is what stands
    next in the annotation, which may leave out what nobody labelled.
    """
    ordered = items.sort_values(["recording_id", "index"], kind="stable")
    following = ordered.groupby("recording_id", sort=False)[task.column].shift(-1)
    derived = Task(f"next_{task.name}", task.classes, "segment", follows=task.name)
    labels = following.fillna(NO_LABEL).astype(np.int64) if task.classes else following
    return items.assign(**{derived.column: labels.reindex(items.index)}), derived
