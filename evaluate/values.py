"""Figures of real values, by what their scale means.

Letters in shapes: n items, r sets of items, k sums.

Values of any scale have a mean absolute error and a correlation (Pearson's; 0 with a constant). Those of the field's
corpora are also cut into classes, on both sides alike, and judged as these:

- ``sentiment``, -3 to 3 (CMU-MOSI, CMU-MOSEI). Two classes *has0*: 0 counts as positive. Two classes *non0*: items
  whose label is 0 are left out; then only what is above 0 is positive, so that a predicted 0 is negative. Seven and five
  classes: clipped to ±3 and to ±2, then rounded, halves to the even side. Error and correlation are of the values as
  they are, however far beyond 3.
- ``sims``, -1 to 1 (CH-SIMS). Everything is clipped to ±1 first, also for error and correlation. Two classes are cut at
  0, three at ±0.1, five at ±0.1 and ±0.7; what lies on a cut belongs to the class below it, so 0 is negative. Values and
  cuts are compared in single precision, in which networks answer: there a label read as 0.7 lies on its cut.

F1 is that of two classes, each weighted by how often it is the label, as for tasks of classes.

Values whose scale is not known have the accuracies of ``sentiment``, where ``looks_like_sentiment`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..features.tasks import SCALES, SENTIMENT, SIMS
from .confusion import figures_of_confusion, ratio

_ROUNDING = 1e-12  # relative: what differs by less is equal
_MOMENTS = ("n", "error", "x", "y", "xx", "yy", "xy")


@dataclass(frozen=True)
class Cut:
    """One way of cutting values into classes."""

    name: str
    """What follows ``accuracy_`` and ``f1_`` in the names of its figures."""

    class_of: Callable[[np.ndarray], np.ndarray]
    """(n,) values -> (n,) class."""

    has_f1: bool = False
    """Whether F1 is a figure too; then there are two classes, False and True."""

    without_zero: bool = False
    """Whether items whose label is 0 are left out."""

    @property
    def sums(self) -> tuple[str, ...]:
        """Names of the sums that its figures are functions of."""
        cells = ("00", "01", "10", "11") if self.has_f1 else ("wrong", "right")
        return tuple(f"{self.name} {cell}" for cell in cells)

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of its figures."""
        return (f"accuracy_{self.name}", *([f"f1_{self.name}"] if self.has_f1 else []))

    def terms(self, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """(len(sums), n) what each item adds to each sum."""
        label, answer = self.class_of(truth), self.class_of(predicted)
        found = 2 * label.astype(int) + answer if self.has_f1 else (label == answer).astype(int)
        cells = np.arange(len(self.sums))[:, None] == found
        return cells & (truth != 0) if self.without_zero else cells

    def figures_of(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """(r, len(sums)) -> (r,) of each figure."""
        if not self.has_f1:
            return {self.figures[0]: ratio(sums[:, 1], sums.sum(axis=1))}
        of_classes = figures_of_confusion(sums.reshape(-1, 2, 2))
        return dict(zip(self.figures, (of_classes["accuracy"], of_classes["weighted_f1"]), strict=True))


def _rounded(limit: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda values: np.round(np.clip(values, -limit, limit))


def _between(*edges: float) -> Callable[[np.ndarray], np.ndarray]:
    """Which of the classes between rising edges; an edge belongs to the class below it."""
    single = np.array(edges, np.float32)
    return lambda values: np.searchsorted(single, values.astype(np.float32), side="left")


_SEVEN = Cut("7", _rounded(SCALES[SENTIMENT]))
_HAS_ZERO = Cut("2_has0", lambda values: values >= 0, has_f1=True)
_NON_ZERO = Cut("2_non0", lambda values: values > 0, has_f1=True, without_zero=True)
_CUTS = {
    SENTIMENT: (_HAS_ZERO, _NON_ZERO, _SEVEN, Cut("5", _rounded(2.0))),
    SIMS: (
        Cut("2", _between(0.0), has_f1=True),
        Cut("3", _between(-0.1, 0.1)),
        Cut("5", _between(-0.7, -0.1, 0.1, 0.7)),
    ),
    "": (_SEVEN, _HAS_ZERO, _NON_ZERO),
}
_CLIPPED = {SIMS: SCALES[SIMS]}
# In the order in which papers print them.
_FIGURES = {
    SENTIMENT: (
        *("accuracy_2_has0", "f1_2_has0", "accuracy_2_non0", "f1_2_non0"),
        *("accuracy_7", "accuracy_5", "mae", "corr"),
    ),
    SIMS: ("accuracy_2", "accuracy_3", "accuracy_5", "f1_2", "mae", "corr"),
    "": ("mae", "corr", "accuracy_7", "accuracy_2_has0", "accuracy_2_non0"),
}


def names_of_figures(scale: str) -> tuple[str, ...]:
    """The figures that any values of this scale have, in the order in which papers print them."""
    return _FIGURES[scale] if scale else ("mae", "corr")


def looks_like_sentiment(truth: np.ndarray) -> bool:
    """Whether accuracies of the sign and of the rounded value mean something: both signs occur, within -3 to 3."""
    return bool(truth.min() < 0 < truth.max() and np.abs(truth).max() <= SCALES[SENTIMENT])


def value_terms(scale: str, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(n, k) what each item adds to each of the sums that ``figures_of_sums`` takes."""
    truth, predicted = truth.astype(np.float64), predicted.astype(np.float64)
    if scale in _CLIPPED:
        truth, predicted = (np.clip(values, -_CLIPPED[scale], _CLIPPED[scale]) for values in (truth, predicted))
    x, y = _centred(truth), _centred(predicted)  # sums of squares lose digits far from 0
    moments = [np.ones_like(truth), np.abs(truth - predicted), x, y, x * x, y * y, x * y]
    return np.vstack([*moments, *(cut.terms(truth, predicted) for cut in _CUTS[scale])]).T


def _centred(values: np.ndarray) -> np.ndarray:
    """(n,) values less their mean; zeros where they differ by no more than rounding, as a constant's correlation is 0."""
    is_constant = np.ptp(values) <= _ROUNDING * np.abs(values).max()
    return np.zeros_like(values) if is_constant else values - values.mean()


def figures_of_sums(scale: str, sums: np.ndarray) -> dict[str, np.ndarray]:
    """(r, k) sums -> (r,) each figure."""
    of = dict(zip(_MOMENTS, sums.T, strict=False))
    covariance = of["n"] * of["xy"] - of["x"] * of["y"]
    spread_x, spread_y = of["n"] * of["xx"] - of["x"] ** 2, of["n"] * of["yy"] - of["y"] ** 2
    # Equal values leave a rest of rounding instead of a spread of 0.
    varies = (spread_x > _ROUNDING * of["n"] * of["xx"]) & (spread_y > _ROUNDING * of["n"] * of["yy"])
    figures = {
        "mae": ratio(of["error"], of["n"]),
        "corr": np.clip(ratio(covariance, np.sqrt(np.where(varies, spread_x * spread_y, 0))), -1, 1),
    }
    for cut, cells in _cells(scale, sums):
        figures |= cut.figures_of(cells)
    return {name: figures[name] for name in _FIGURES[scale]}


def items_behind(scale: str, total: np.ndarray) -> Mapping[str, float]:
    """(k,) sums over all items -> how many items each figure is of."""
    counts = dict.fromkeys(_FIGURES[scale], float(total[_MOMENTS.index("n")]))
    for cut, cells in _cells(scale, total[None]):
        counts |= dict.fromkeys(cut.figures, float(cells.sum()))
    return {name: counts[name] for name in _FIGURES[scale]}


def _cells(scale: str, sums: np.ndarray) -> list[tuple[Cut, np.ndarray]]:
    """Each cut of a scale, and the columns of (r, k) sums that are its own."""
    found, start = [], len(_MOMENTS)
    for cut in _CUTS[scale]:
        found.append((cut, sums[:, start : start + len(cut.sums)]))
        start += len(cut.sums)
    return found
