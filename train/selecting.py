"""Which figure of validation an epoch is chosen by, and which tasks have it."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import SettingError
from ..features.tasks import SENTIMENT, SIMS, Task

_OF_CLASSES = ("accuracy", "weighted_f1", "macro_f1", "uar")
_OF_VALUES = ("mae", "corr")
_OF_SCALES = {
    SENTIMENT: (*("accuracy_2_has0", "f1_2_has0", "accuracy_2_non0", "f1_2_non0"), "accuracy_7", "accuracy_5"),
    SIMS: ("accuracy_2", "f1_2", "accuracy_3", "accuracy_5"),
}
FIGURES = tuple(dict.fromkeys([*_OF_CLASSES, *_OF_VALUES, *(name for names in _OF_SCALES.values() for name in names)]))


def figures_of(task: Task) -> tuple[str, ...]:
    """What an epoch can be chosen by where this task is learnt; values have more where their scale is known."""
    return (*_OF_VALUES, *_OF_SCALES.get(task.scale, ())) if task.is_value else _OF_CLASSES


def figure_to_select(select: str, tasks: Sequence[Task]) -> str:
    """The figure behind one choice of ``TrainConfig.select``. Raises SettingError if no task has it."""
    of_classes = [task for task in tasks if not task.is_value]
    if select == "auto":
        if not of_classes:
            return "mae"
        # What comes next is mostly the frequent class, and an accuracy is highest where nothing else is ever answered.
        return "uar" if all(task.follows for task in of_classes) else "accuracy"
    if select == "loss" or tasks_with(select, tasks):
        return select
    if len({task.is_value for task in tasks}) == 1 and select in (*_OF_CLASSES, *_OF_VALUES):
        kind = "classes" if of_classes else "real values"
        raise SettingError(f"select cannot be {select}, for all tasks have {kind}: choose --select auto or loss")
    there = dict.fromkeys(name for task in tasks for name in figures_of(task))
    raise SettingError(
        f"select cannot be {select}, for no task has that figure: choose --select auto, loss, {', '.join(there)}"
    )


def tasks_with(select: str, tasks: Sequence[Task]) -> list[Task]:
    """The tasks that an epoch is judged by."""
    return [task for task in tasks if select == "loss" or select in figures_of(task)]
