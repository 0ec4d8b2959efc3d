"""What each recording adds to the figures of one task, from which the figures without it follow.

Letters in shapes: n recordings or segments, C classes, G recordings or other units that are resampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..features.tasks import Task
from . import uncertainty
from .confusion import figures_of_confusion
from .values import figures_of_sums, items_behind, value_terms

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
            terms = value_terms(task.scale, truth, predicted)
            sums = np.zeros((homes.max() + 1, terms.shape[1]))
            np.add.at(sums, homes, terms)
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
            return dict(items_behind(self.task.scale, total))
        support = np.bincount(self.cells // len(self.task.classes), total)
        support = support[support > 0]
        most = dict.fromkeys(self.estimates, float(support.sum()))
        return most | dict.fromkeys(("macro_f1", "uar"), float(len(support) ** 2 / (1 / support).sum()))

    def figures(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """(r, k) sums -> (r,) of each figure."""
        if self.cells is None:
            return figures_of_sums(self.task.scale, sums)
        size = len(self.task.classes)
        step = max(1, _CELLS_AT_ONCE // size**2)
        pieces = []
        for start in range(0, len(sums), step):
            confusion = np.zeros((len(sums[start : start + step]), size * size))
            confusion[:, self.cells] = sums[start : start + step]
            pieces.append(figures_of_confusion(confusion.reshape(-1, size, size)))
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
