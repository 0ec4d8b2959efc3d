"""What a run learns from and is judged by, as a store has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import RunError, SettingError
from ..features.tasks import Task
from . import runs
from .binding import check_slots
from .data import (
    Recordings,
    answered_tasks,
    check_learnable,
    matching_features,
    recordings_of,
    views_of,
    with_labels,
)
from .dependence import RowsRead, rows_read, task_differences
from .objective import Objective, balanced_weights
from .selecting import figure_to_select, tasks_with


@dataclass(frozen=True)
class Material:
    """What a run learns from and is judged by."""

    learning: Recordings
    """The training split."""

    learnt: np.ndarray
    """Positions of its recordings that have a label."""

    validation: Recordings
    """The validation split."""

    objective: Objective
    """What is minimised."""

    select: str
    """The validation figure that picks the best epoch."""

    tasks: tuple[Task, ...]
    """Tasks that there are answers for: those with a head, and coarser ones that follow."""

    learnt_rows: RowsRead
    """All that the network learns from, row by row."""

    judged_rows: RowsRead
    """All that its epochs are judged by."""

    @property
    def left_out(self) -> pd.DataFrame:
        """Segments of either split that have no features."""
        return pd.concat([self.learning.left_out, self.validation.left_out], ignore_index=True)


def material_for(store, settings: runs.Settings, task_names: Sequence[str] = (), views: Sequence[str] = ()) -> Material:
    """``task_names`` are the tasks that there are answers for, ``views`` those to learn from: by default, what the
    settings mean in the store as it is today."""
    config, tasks = settings.train, settings.tasks
    there = [task for task in store.tasks if not task_names or task.name in task_names]
    for task in tasks:
        phrases = task_differences(task, next((each for each in there if each.name == task.name), None))
        if phrases:
            raise RunError(f"{store.path}: {phrases[0]}: start a new run")
    answered = answered_tasks(there, tasks)
    select = figure_to_select(config.select, tasks)
    views = views or views_of(store, config.train_split, config.view_names, config.scheme)
    features, skip = {name: name for name in settings.features}, config.skip_missing
    learning = recordings_of(store, config.train_split, features, skip, views, scheme=config.scheme)
    validation = recordings_of(store, config.validation_split, features, skip, scheme=config.scheme)
    check_slots(store, settings.model, settings.slots, np.concatenate(learning.rows + validation.rows))
    check_learnable(learning, tasks)
    judged = tasks_with(select, tasks)
    if not len(with_labels(validation, judged)):
        raise SettingError(
            f"split {validation.split} of {store.path} has no label to select an epoch by: choose another "
            f"--validation-split"
        )
    balanced = {}
    if config.class_weights == "balanced":
        kinds = [task for task in tasks if not task.is_value]
        balanced = {task.name: balanced_weights(learning.labels[task.name], len(task.classes)) for task in kinds}
    return Material(
        learning=learning,
        learnt=with_labels(learning, tasks),
        validation=validation,
        objective=Objective(tasks, balanced, config.label_smoothing, config.value_loss),
        select=select,
        tasks=answered,
        learnt_rows=rows_read(learning, answered),
        judged_rows=rows_read(validation, answered),
    )


def material_of(run: runs.Run, store, settings: runs.Settings) -> Material:
    """What a run goes on with. Raises RunError when it is not what the run began with."""
    learnt, judged = run.learnt, run.judged
    if learnt is None or judged is None:
        if not run.is_of_exactly(store):
            raise run.not_its_store(store)
        return material_for(store, settings)
    matching_features(store, {name: name for name in settings.features}, settings.specs)
    if not learnt.is_in(store):
        raise run.not_its_store(store)
    material = material_for(store, settings, [task.name for task in learnt.tasks], learnt.views)
    changes = run.changes(store, material.learnt_rows, material.judged_rows)
    if changes:
        raise RunError(
            f"run {run.name} cannot go on with {store.path}, where since it began has changed: {'; '.join(changes)}; "
            f"bring that back, or start a new run"
        )
    # Lengths may be of a feature that the run does not read; they decide which recordings share a batch.
    return dataclasses.replace(
        material,
        learning=dataclasses.replace(material.learning, lengths=learnt.lengths),
        validation=dataclasses.replace(material.validation, lengths=judged.lengths),
        learnt_rows=learnt,
        judged_rows=judged,
    )
