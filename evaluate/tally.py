"""What each recording adds to the figures of one task, from which the figures without it follow.

Letters in shapes: n recordings or segments, C classes, G recordings or other units that are resampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..features.tasks import Task
from . import uncertainty

SENTIMENT_RANGE = 3.0  # CMU-MOSI and its relatives: -3 strongly negative to 3 strongly positive
_CELLS_AT_ONCE = 2_000_000  # cells of confusion matrices held in memory, 16 MB


@dataclass(frozen=True)
class Tally:
    """What each recording adds to the sums that the figures of one task are functions of."""

    task: Task
    """The task whose figures these are."""

    sums: np.ndarray
    """(G, k) counts of the confusion matrix's cells, or sums of what real values are judged by."""

    cells: np.ndarray | None
    """(k,) which cell of the flattened confusion matrix each column counts; None for real values."""

    @classmethod
    def of(cls, task: Task, truth: np.ndarray, predicted: np.ndarray, homes: np.ndarray) -> Tally:
        """From (n,) labels and predictions of labelled items, and the number of each one's recording, 0 to G - 1."""
        if task.is_value:
            sums = np.zeros((homes.max() + 1, len(_VALUE_TERMS)))
            np.add.at(sums, homes, value_terms(truth, predicted))
            return cls(task, sums, None)
        # Only the cells that occur: C² columns would be many for 20 classes and 10,000 recordings.
        cells, cell = np.unique(truth.astype(np.int64) * len(task.classes) + predicted, return_inverse=True)
        counts = np.zeros((homes.max() + 1, len(cells)))
        np.add.at(counts, (homes, cell), 1)
        return cls(task, counts, cells)

    @cached_property
    def estimates(self) -> dict[str, uncertainty.Estimates]:
        """Each figure as it is, and without each recording; of one seed."""
        total = self.sums.sum(axis=0, keepdims=True)
        as_it_is, without = self.figures(total), self.figures(total - self.sums)
        return {name: uncertainty.Estimates(as_it_is[name], without[name][None]) for name in as_it_is}

    @cached_property
    def most_items(self) -> dict[str, float]:
        """How many independent items each figure cannot be surer than.

        A mean over classes is no surer than the rarer of them let it be: C² / sum(1 / n_c) of C classes of n_c labels.
        """
        total = self.sums.sum(axis=0)
        if self.cells is None:
            most = dict.fromkeys(self.estimates, float(total[_VALUE_TERMS.index("n")]))
            return most | {"accuracy_2_non0": float(total[_VALUE_TERMS.index("nonzero")])}
        support = np.bincount(self.cells // len(self.task.classes), total)
        support = support[support > 0]
        most = dict.fromkeys(self.estimates, float(support.sum()))
        return most | dict.fromkeys(("macro_f1", "uar"), float(len(support) ** 2 / (1 / support).sum()))

    def figures(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """(r, k) sums -> (r,) of each figure."""
        if self.cells is None:
            return figures_of_sums(sums)
        size = len(self.task.classes)
        step = max(1, _CELLS_AT_ONCE // size**2)
        pieces = []
        for start in range(0, len(sums), step):
            confusion = np.zeros((len(sums[start : start + step]), size * size))
            confusion[:, self.cells] = sums[start : start + step]
            pieces.append(figures_of_confusion(confusion.reshape(-1, size, size)))
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def figures_of_confusion(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """(r, C, C) counts, rows are labels -> (r,) accuracy, weighted_f1, macro_f1 and uar."""
    correct = np.diagonal(confusion, axis1=1, axis2=2)  # (r, C)
    support, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    total = support.sum(axis=1)
    f1 = _ratio(2 * correct, support + predicted)
    occurs, labelled = support + predicted > 0, support > 0
    return {
        "accuracy": _ratio(correct.sum(axis=1), total),
        "weighted_f1": _ratio((f1 * support).sum(axis=1), total),
        "macro_f1": _ratio(f1.sum(axis=1), occurs.sum(axis=1)),
        "uar": _ratio(_ratio(correct, support).sum(axis=1), labelled.sum(axis=1)),
    }


# What real values are judged by are functions of these sums over items.
_VALUE_TERMS = ("n", "error", "x", "y", "xx", "yy", "xy", "correct_7", "correct_has0", "nonzero", "correct_non0")


def value_terms(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(n, len(_VALUE_TERMS)) what each item adds to each sum."""
    truth, predicted = truth.astype(np.float64), predicted.astype(np.float64)
    x, y = truth - truth.mean(), predicted - predicted.mean()  # sums of squares lose digits far from 0
    sevens = [np.round(np.clip(values, -SENTIMENT_RANGE, SENTIMENT_RANGE)) for values in (truth, predicted)]
    nonzero = truth != 0
    terms = {
        "n": np.ones_like(truth),
        "error": np.abs(truth - predicted),
        "x": x,
        "y": y,
        "xx": x * x,
        "yy": y * y,
        "xy": x * y,
        "correct_7": sevens[0] == sevens[1],
        "correct_has0": (truth >= 0) == (predicted >= 0),
        "nonzero": nonzero,
        "correct_non0": nonzero & ((truth > 0) == (predicted > 0)),
    }
    return np.stack([terms[name].astype(np.float64) for name in _VALUE_TERMS], axis=1)


def figures_of_sums(sums: np.ndarray) -> dict[str, np.ndarray]:
    """(r, len(_VALUE_TERMS)) sums -> (r,) each figure of real values."""
    of = dict(zip(_VALUE_TERMS, sums.T, strict=True))
    covariance = of["n"] * of["xy"] - of["x"] * of["y"]
    spread_x, spread_y = of["n"] * of["xx"] - of["x"] ** 2, of["n"] * of["yy"] - of["y"] ** 2
    # Equal values leave a rest of rounding instead of a spread of 0.
    varies = (spread_x > 1e-12 * of["n"] * of["xx"]) & (spread_y > 1e-12 * of["n"] * of["yy"])
    return {
        "mae": _ratio(of["error"], of["n"]),
        "corr": np.clip(_ratio(covariance, np.sqrt(np.where(varies, spread_x * spread_y, 0))), -1, 1),
        "accuracy_7": _ratio(of["correct_7"], of["n"]),
        "accuracy_2_has0": _ratio(of["correct_has0"], of["n"]),
        "accuracy_2_non0": _ratio(of["correct_non0"], of["nonzero"]),
    }


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """0 where the denominator is."""
    return np.divide(
        numerator, denominator, out=np.zeros(np.broadcast(numerator, denominator).shape), where=denominator != 0
    )
