"""Leaving one out: a family of schemes that tests each group of a corpus once, such as a session or a speaker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...features.splits import TEST, TRAIN, VALIDATION


def leave_one_out(groups: Sequence[str], validates: Mapping[str, str]) -> dict[str, np.ndarray]:
    """For each group that is tested, by its name, the (n,) splits of items of these groups (n,).

    ``validates`` names beside each tested group the one that validates; what is of neither is learnt from.
    """
    of_item = np.asarray(groups, object)
    return {
        tested: np.where(of_item == tested, TEST, np.where(of_item == other, VALIDATION, TRAIN)).astype(object)
        for tested, other in validates.items()
    }
