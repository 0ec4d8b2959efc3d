"""Figures of classes, as functions of how often each was taken for which.

Letters in shapes: r sets of items, C classes.
"""

from __future__ import annotations

import numpy as np


def figures_of_confusion(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """(r, C, C) counts, rows are labels -> (r,) accuracy, weighted_f1, macro_f1 and uar."""
    correct = np.diagonal(confusion, axis1=1, axis2=2)  # (r, C)
    support, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    total = support.sum(axis=1)
    f1 = ratio(2 * correct, support + predicted)
    occurs, labelled = support + predicted > 0, support > 0
    return {
        "accuracy": ratio(correct.sum(axis=1), total),
        "weighted_f1": ratio((f1 * support).sum(axis=1), total),
        "macro_f1": ratio(f1.sum(axis=1), occurs.sum(axis=1)),
        "uar": ratio(ratio(correct, support).sum(axis=1), labelled.sum(axis=1)),
    }


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """0 where the denominator is."""
    return np.divide(
        numerator, denominator, out=np.zeros(np.broadcast(numerator, denominator).shape), where=denominator != 0
    )
