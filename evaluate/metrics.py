"""Figures of merit for each task, with intervals over recordings.

Letters in shapes: n recordings or segments, C classes, G recordings or other units that are resampled.

Definitions, where conventions differ:

- Macro F1 is the mean over the classes that occur among labels or predictions; the F1 of a class that is
  predicted but never labelled is 0.
- UAR, unweighted average recall, is the mean over the classes that occur among the labels: others have no recall.
- The precision of a class that is never predicted, and the recall and F1 of one that is never labelled, are 0.
- A correlation with a constant is 0. What else real values are judged by, ``values`` says for each scale.
- An interval is a 95 % one over recordings, by leaving each out once with all its segments: ``uncertainty`` says how.
  It lies within the figure's range, and it is the same in ``eval`` and in a comparison. Without a recording the rules
  above hold for the classes that still occur. It has no width, and says so, for a single recording, a correlation with
  a constant and an error of 0.
- What is resampled may be speakers instead of recordings: a speaker's recordings are then left out together.
- The chance line is a model that has learnt nothing but the training split's labels: for classes the most frequent of
  them, for real values their mean, given as the answer to every item.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import RunError
from ..features.tasks import NO_LABEL, Task
from . import uncertainty
from .chance import ChanceLine, constant_answer, shown_answer
from .tally import Tally
from .values import figures_of_sums, looks_like_sentiment, names_of_figures, value_terms


@dataclass(frozen=True)
class Prediction:
    """What is predicted for one task."""

    values: np.ndarray
    """(n,) class index, or the real value."""

    probabilities: np.ndarray | None
    """(n, C) of the classes; None for a real value."""

    derived_from: str | None = None
    """The finer task whose prediction was made coarser; None if the task had a head of its own."""


@dataclass(frozen=True)
class Figure:
    """One number and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def has_width(self) -> bool:
        """Whether the interval says anything."""
        return uncertainty.has_width(self.low, self.high)


@dataclass(frozen=True)
class ClassFigures:
    """How one class fares against all others."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    """How often it is the label."""


@dataclass(frozen=True)
class TaskReport:
    """All figures of one task on one split."""

    task: Task
    count: int
    """Labelled recordings, or segments where the task is one of segments."""

    recordings: int
    """Recordings that they belong to."""

    unit: str
    """What was resampled: ``recording`` or ``speaker``."""

    units: int
    """How many of these there are (G)."""

    figures: Mapping[str, Figure]
    """accuracy, weighted_f1, macro_f1 and uar as shares of 1; for real values mae, corr and those of their scale."""

    classes: tuple[ClassFigures, ...]
    """In the order of the task's classes; empty for real values."""

    confusion: np.ndarray | None
    """(C, C) int, rows are labels and columns predictions; None for real values."""

    derived_from: str | None
    """The finer task whose prediction was made coarser, if any."""

    chance: ChanceLine | None
    """What the most frequent class, or the mean, of the training split scores; None if it is not known."""

    constant: str
    """The one answer that was given to every item; empty if there were several."""


def with_coarser(tasks: Sequence[Task], outputs: Mapping[str, np.ndarray]) -> dict[str, Prediction]:
    """Predictions of the tasks that a model was trained on, and of the coarser tasks that follow from them.

    ``outputs`` holds probabilities (n, C), or values (n, 1), for the trained tasks. A coarser task without a head
    takes the class that the finer one's predicted class belongs to; its probabilities are sums over the members,
    so the largest of them need not be the prediction.
    """
    by_name = {task.name: task for task in tasks}
    predictions: dict[str, Prediction] = {}

    def predict(task: Task) -> Prediction | None:
        if task.name in predictions:
            return predictions[task.name]
        if task.name in outputs:
            return _own_prediction(task, np.asarray(outputs[task.name]))
        fine = by_name.get(task.coarsens)
        source = predict(fine) if fine else None
        if source is None:
            return None
        home = np.array(task.coarse_index(fine))
        merging = (home[:, None] == np.arange(len(task.classes))).astype(source.probabilities.dtype)
        return Prediction(home[source.values], source.probabilities @ merging, fine.name)

    for task in tasks:
        prediction = predict(task)
        if prediction is not None:
            predictions[task.name] = prediction
    return predictions


def _own_prediction(task: Task, output: np.ndarray) -> Prediction:
    if output.ndim != 2 or output.shape[1] != task.outputs:
        raise ValueError(f"outputs of task {task.name} must have shape (n, {task.outputs}), but have {output.shape}")
    return Prediction(output[:, 0], None) if task.is_value else Prediction(output.argmax(axis=1), output)


def score(
    tasks: Sequence[Task], labels: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """The figures that a training loop watches, such as ``five/accuracy``; tasks without any label are left out.

    ``labels`` holds (n,) class indices or values, -1 or NaN where there is none; ``outputs`` as for ``with_coarser``.
    """
    return {
        f"{task.name}/{name}": value
        for task, truth, prediction in _labelled(tasks, labels, outputs)
        for name, value in figures_of_answers(task, truth, prediction.values).items()
    }


def evaluate(
    tasks: Sequence[Task],
    labels: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    groups: Sequence[str] | None = None,
    chance: Mapping[str, float] | None = None,
    units: Sequence[str] | None = None,
    unit: str = "recording",
) -> dict[str, TaskReport]:
    """A report for each task that has labels and predictions, trained or made coarser.

    ``groups`` names the recording of each of the n items, where they are segments. ``units`` names what is resampled,
    where that is not the recording but ``unit``. ``chance`` is the constant answer of each task, as
    ``chance.constant_answers`` gives it. Raises RunError when a model has put out something that is not a number.
    """
    check_finite(outputs)
    reports = {}
    for task, truth, prediction in _labelled(tasks, labels, outputs):
        name = task.name
        present = has_label(task, np.asarray(labels[name]))
        recordings = np.flatnonzero(present) if groups is None else np.asarray(groups)[present]
        homes = np.unique(recordings if units is None else np.asarray(units)[present], return_inverse=True)[1]
        answer = (chance or {}).get(name)
        constant = constant_answer(task, truth, prediction.values)
        reports[name] = TaskReport(
            task=task,
            count=len(truth),
            recordings=len(np.unique(recordings)),
            unit=unit,
            units=int(homes.max()) + 1,
            figures=figures_with_intervals(task, truth, prediction.values, homes),
            classes=() if task.is_value else _class_figures(task, truth, prediction.values),
            confusion=None if task.is_value else _confusion(task, truth, prediction.values),
            derived_from=prediction.derived_from,
            chance=None if answer is None else chance_line(task, truth, answer),
            constant="" if constant is None else shown_answer(task, constant),
        )
    return reports


def figures_with_intervals(
    task: Task, truth: np.ndarray, predicted: np.ndarray, homes: np.ndarray
) -> dict[str, Figure]:
    """Each figure of one run; ``homes`` (n,) numbers what is resampled, 0 to G - 1."""
    tally = Tally.of(task, truth, predicted, homes)
    figures = {}
    for name, value in figures_of_answers(task, truth, predicted).items():
        sure = uncertainty.of_mean(tally.estimates[name])
        figures[name] = Figure(value, *uncertainty.interval(name, value, sure, tally.most_items[name]))
    return figures


def chance_line(task: Task, truth: np.ndarray, answer: float) -> ChanceLine:
    """What this one answer scores on (n,) labels."""
    return ChanceLine(
        shown_answer(task, answer), figures_of_answers(task, truth, np.full(len(truth), answer, truth.dtype))
    )


def chance_line_of_folds(task: Task, truth: np.ndarray, answers: Sequence[float], folds: np.ndarray) -> ChanceLine:
    """What the answer of each fold scores on (n,) labels, of which ``folds`` (n,) says the fold."""
    predicted = np.asarray(answers, truth.dtype)[folds]
    if task.is_value:
        low, high = (shown_answer(task, end) for end in (min(answers), max(answers)))
        shown = low if low == high else f"{low} to {high}"
    else:
        counts = Counter(shown_answer(task, answer) for answer in answers).most_common()
        in_folds = [f"{answer} in {count} {'folds' if count > 1 else 'fold'}" for answer, count in counts]
        shown = counts[0][0] if len(counts) == 1 else ", ".join(in_folds)
    return ChanceLine(
        shown, figures_of_answers(task, truth, predicted), by_fold(task, truth, predicted, folds, len(answers))
    )


def by_fold(
    task: Task, truth: np.ndarray, predicted: np.ndarray, folds: np.ndarray, count: int
) -> dict[str, tuple[float, ...]]:
    """Each figure of each of ``count`` folds by itself; NaN for one without labels."""
    whole = figures_of_answers(task, truth, predicted)
    found = []
    for fold in range(count):
        mine = folds == fold
        found.append(figures_of_answers(task, truth[mine], predicted[mine]) if mine.any() else {})
    return {name: tuple(of_fold.get(name, math.nan) for of_fold in found) for name in whole}


def check_finite(outputs: Mapping[str, np.ndarray]) -> None:
    """Raises RunError when a model has put out something that is not a number."""
    for name, output in outputs.items():
        broken = int((~np.isfinite(np.asarray(output, float))).any(axis=1).sum())
        if broken:
            raise RunError(
                f"task {name}: {broken} of {len(output)} predictions are not finite numbers;"
                " train with a lower learning rate"
            )


def _labelled(tasks, labels, outputs) -> list[tuple[Task, np.ndarray, Prediction]]:
    """Task, labels and prediction of the labelled items, for each task that has any."""
    found = []
    for name, prediction in with_coarser(tasks, outputs).items():
        task = next(task for task in tasks if task.name == name)
        truth = np.asarray(labels[name])
        if truth.shape != prediction.values.shape:
            raise ValueError(
                f"task {name} has labels of shape {truth.shape}, but predictions of shape {prediction.values.shape}"
            )
        present = has_label(task, truth)
        if present.any():
            kept = None if prediction.probabilities is None else prediction.probabilities[present]
            found.append((task, truth[present], Prediction(prediction.values[present], kept, prediction.derived_from)))
    return found


def has_label(task: Task, truth: np.ndarray) -> np.ndarray:
    """(n,) whether each item has a label."""
    return ~np.isnan(truth) if task.is_value else truth != NO_LABEL


def figures_of_answers(task: Task, truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Each figure of (n,) answers, by its name."""
    if task.is_value:
        sums = value_terms(task.scale, truth, predicted).sum(axis=0, keepdims=True)
        figures = {name: float(values[0]) for name, values in figures_of_sums(task.scale, sums).items()}
        is_known = task.scale or looks_like_sentiment(truth)
        return figures if is_known else {name: figures[name] for name in names_of_figures(task.scale)}
    from sklearn.metrics import accuracy_score, f1_score, recall_score

    return {
        "accuracy": float(accuracy_score(truth, predicted)),
        "weighted_f1": float(f1_score(truth, predicted, average="weighted", zero_division=0)),
        "macro_f1": float(f1_score(truth, predicted, average="macro", zero_division=0)),
        "uar": float(recall_score(truth, predicted, labels=np.unique(truth), average="macro", zero_division=0)),
    }


def _class_figures(task: Task, truth: np.ndarray, predicted: np.ndarray) -> tuple[ClassFigures, ...]:
    from sklearn.metrics import precision_recall_fscore_support

    indices = range(len(task.classes))
    columns = precision_recall_fscore_support(truth, predicted, labels=indices, zero_division=0)
    return tuple(
        ClassFigures(name, float(precision), float(recall), float(f1), int(support))
        for name, precision, recall, f1, support in zip(task.classes, *columns, strict=True)
    )


def _confusion(task: Task, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(truth, predicted, labels=range(len(task.classes)))
