"""What the answers of a run are worth, and beside them what one answer to everything is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from ..evaluate import chance, groups, metrics
from ..features.splits import split_named
from ..features.store import FeatureStore
from ..train.predict import Prediction
from ..train.runs import Run
from .schemes import segments_by


def answers_of_chance(run: Run, store: FeatureStore) -> Mapping[str, float]:
    """The chance line of a run's own store: what is answered by whoever knows its training labels and nothing else."""
    table = segments_by(store, run.settings.train.scheme)
    learnt = split_named(run.settings.train.train_split, table["split"].unique())
    return chance.constant_answers(store.tasks, table, learnt)


def reports_of(
    prediction: Prediction,
    answered_always: Mapping[str, float] | None = None,
    by_speaker: Sequence[str] | None = None,
    unit: str = "recording",
) -> dict[str, metrics.TaskReport]:
    answers = prediction.labels, prediction.outputs
    return metrics.evaluate(
        prediction.tasks, *answers, _recordings_of_segments(prediction), answered_always, by_speaker, unit
    )


def grouped_by(
    table: pd.DataFrame,
    column: str,
    prediction: Prediction,
    reports: Mapping[str, metrics.TaskReport],
    answered_always: Mapping[str, float] | None = None,
    by_speaker: Sequence[str] | None = None,
    unit: str = "recording",
) -> groups.Grouped:
    ids = prediction.recording_ids, prediction.segment_ids
    """Figures of each group that a column of a segment table makes, by the splits of the table."""
    of_items = groups.groups_of(table, column, *ids, prediction.splits)
    answers = prediction.tasks, prediction.labels, prediction.outputs, _recordings_of_segments(prediction)
    return groups.evaluate_groups(column, of_items, reports, *answers, answered_always, by_speaker, unit)


def _recordings_of_segments(prediction: Prediction) -> Sequence[str] | None:
    """(n,) the recording of each item where items are segments."""
    return prediction.recording_ids if prediction.segment_ids is not None else None
