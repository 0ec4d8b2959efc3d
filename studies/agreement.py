"""How far made labels agree with labels that people gave: overlap, Cohen's kappa, and which is taken for which.

Letters in shapes: n rows, C classes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import SettingError, shown
from ..evaluate.metrics import TaskReport, evaluate
from ..features.tasks import Task
from ..shown import aligned, as_line, counted

_ELSE = "*"  # in a map: all other values
_BIN = re.compile(r"(-?\d+(?:\.\d+)?)?:(-?\d+(?:\.\d+)?)?")  # 1:3, :3 or 5:


@dataclass(frozen=True)
class Agreement:
    """Labels beside gold labels."""

    report: TaskReport
    """Accuracy is the overlap; rows of the confusion are gold labels."""

    kappa: float
    """Agreement beyond what two would have who label at random, each class as often; NaN where there is one class."""

    unusable: int
    """Rows with a gold label, but no label."""

    unknown: Counter
    """Rows by gold value that means none of the classes."""

    @property
    def overlap(self) -> float:
        """Share of the rows with both labels that have the same."""
        return self.report.figures["accuracy"].value

    @property
    def overlap_of_all(self) -> float:
        """The same of all rows with a gold label: one that could not be labelled is wrong."""
        return self.overlap * self.report.count / (self.report.count + self.unusable)

    def to_json(self) -> dict:
        """All of it, as a file keeps it."""
        return {
            "rows": self.report.count,
            "overlap": self.overlap,
            "overlap_interval": [self.report.figures["accuracy"].low, self.report.figures["accuracy"].high],
            "overlap_of_all": self.overlap_of_all,
            "kappa": None if np.isnan(self.kappa) else self.kappa,
            "figures": {name: figure.value for name, figure in self.report.figures.items()},
            "classes": list(self.report.task.classes),
            "confusion": self.report.confusion.tolist(),  # rows are gold labels
            "unusable": self.unusable,
            "gold_without_class": dict(self.unknown.most_common()),
        }

    def lines(self) -> list[str]:
        """For the screen."""
        figure = self.report.figures["accuracy"]
        kappa = "not defined, for one class is all there is" if np.isnan(self.kappa) else f"{self.kappa:.3f}"
        table = [[f"gold ({self.report.count:,} rows)", *map(as_line, self.report.task.classes), "recall"]]
        for row, counts in zip(self.report.classes, self.report.confusion, strict=True):
            table.append([as_line(row.name), *(f"{count:,}" for count in counts), f"{100 * row.recall:.1f} %"])
        table.append(["precision", *(f"{100 * each.precision:.1f} %" for each in self.report.classes), ""])
        lines = [
            f"overlap {100 * figure.value:.1f} % [{100 * figure.low:.1f}, {100 * figure.high:.1f}],"
            f" Cohen's kappa {kappa}",
            *aligned(table).split("\n"),
        ]
        if self.unusable:
            lines.append(
                f"{counted(self.unusable, 'row')} with a gold label could not be labelled;"
                f" counted as wrong, the overlap is {100 * self.overlap_of_all:.1f} %"
            )
        if self.unknown:
            examples = ", ".join(
                f"{as_line(value) or 'empty'} ({count:,})" for value, count in self.unknown.most_common(5)
            )
            lines.append(f"{counted(self.unknown.total(), 'row')} left out, whose gold means no class: {examples}")
        return lines


def agreement(
    labels: Sequence[str],
    gold: Sequence[str],
    classes: Sequence[str],
    meaning: Callable[[str], str | None],
    groups: Sequence[str] | None = None,
) -> Agreement:
    """Labels (n), empty where there is none, held against gold values, of which ``meaning`` says the class.

    ``groups`` are the recordings of the rows, over which intervals are. Raises SettingError where no row has both.
    """
    meant = [meaning(value) for value in gold]
    unknown = Counter(value for value, name in zip(gold, meant, strict=True) if name is None)
    both = [number for number, name in enumerate(meant) if name is not None and labels[number]]
    if not both:
        raise SettingError(
            f"no row has both a label and a gold label that means {', '.join(classes)}; say with --gold-map what the"
            f" gold values mean, which are {', '.join(shown(value, 30) for value, _ in unknown.most_common(4))}"
        )
    task = Task("label", tuple(classes), level="segment")
    number_of = {name: number for number, name in enumerate(classes)}
    truth = np.array([number_of[meant[row]] for row in both])
    given = np.eye(len(classes))[[number_of[labels[row]] for row in both]]  # (n, C)
    homes = None if groups is None else [groups[row] for row in both]
    report = evaluate([task], {task.name: truth}, {task.name: given}, homes)[task.name]
    unusable = sum(name is not None and not label for name, label in zip(meant, labels, strict=True))
    return Agreement(report, cohens_kappa(report.confusion), unusable, unknown)


def cohens_kappa(confusion: np.ndarray) -> float:
    """(C, C) counts -> agreement beyond chance: (observed - expected) / (1 - expected); NaN where all is expected."""
    shares = confusion / confusion.sum()
    expected = float(shares.sum(0) @ shares.sum(1))
    return (float(np.trace(shares)) - expected) / (1 - expected) if expected < 1 else float("nan")


def meaning_of(asked: str, classes: Sequence[str]) -> Callable[[str], str | None]:
    """What a gold value means: itself, or what a map says, such as ``joy=positive,anger=negative,*=neutral``.

    ``1:3=negative`` means the numbers from 1 to 3, both included; the first that fits counts. Raises SettingError.
    """
    by_plain = {name.casefold(): name for name in classes}
    if not asked.strip():
        return lambda value: by_plain.get(value.strip().casefold())
    named: dict[str, str] = {}
    bins: list[tuple[float, float, str]] = []
    for part in asked.split(","):
        value, equals, name = (piece.strip() for piece in part.rpartition("="))
        if not equals or not value or name.casefold() not in by_plain:
            raise SettingError(
                f"gold-map must name a class for each value, such as joy={classes[0]} or 1:3={classes[-1]}, of"
                f" {', '.join(classes)}, but has {shown(part)}"
            )
        if (found := _BIN.fullmatch(value)) and value != ":":
            low, high = (
                float(end) if end else sign * np.inf for end, sign in zip(found.groups(), (-1, 1), strict=True)
            )
            bins.append((low, high, by_plain[name.casefold()]))
        else:
            named[value.casefold()] = by_plain[name.casefold()]
    return lambda value: _meant(value.strip(), named, bins)


def _meant(value: str, named: Mapping[str, str], bins: Sequence[tuple[float, float, str]]) -> str | None:
    if value.casefold() in named:
        return named[value.casefold()]
    try:
        number = float(value)
    except ValueError:
        number = np.nan
    inside = (name for low, high, name in bins if low <= number <= high)
    return next(inside, named.get(_ELSE) if value else None)
