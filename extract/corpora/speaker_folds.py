"""Splits of a corpus that brings none: whole speakers, by their numbers alone, so that anybody can make them again.

The speakers of each sex, in the order of their numbers, are dealt to parts in turn, like cards. A part is never decided
by which files are there, so that no split moves when one is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...features.splits import TEST, TRAIN, VALIDATION
from .held_out import leave_one_out

FOLDS = 5
_FEWEST = 3  # parts that are there, for one to test, one to validate and one to train


def dealt(sexes: Mapping[str, str], parts: int) -> dict[str, int]:
    """The part of each speaker, from 0, by the sex of each in the order of their numbers."""
    places: dict[str, int] = {}
    part_of = {}
    for speaker, sex in sexes.items():
        place = places.setdefault(sex, 0)
        part_of[speaker] = place % parts
        places[sex] = place + 1
    return part_of


def standard_splits(sexes: Mapping[str, str], parts: int) -> dict[str, str]:
    """The split of each speaker: the last part is tested, the one before validates."""
    special = {parts - 1: TEST, parts - 2: VALIDATION}
    return {speaker: special.get(part, TRAIN) for speaker, part in dealt(sexes, parts).items()}


def fold_columns(speakers: Sequence[str], part_of: Mapping[str, int], names: Sequence[str]) -> dict[str, np.ndarray]:
    """For each fold, by its name, the split of each row, whose ``speakers`` are given.

    Fold ``names[i]`` tests part i and validates on the next one that is there. Parts of which no speaker is there have
    no fold; nor has any where there are too few of them to train, validate and test.
    """
    there = [names[part] for part in sorted({part_of[speaker] for speaker in speakers})]
    if len(there) < _FEWEST:
        return {}
    validates = dict(zip(there, [*there[1:], there[0]], strict=True))
    return leave_one_out([names[part_of[speaker]] for speaker in speakers], validates)


def family_fact(schemes: Sequence[str]) -> dict[str, object]:
    """What a store's head says of such folds, see features/schemes.py."""
    return {"schemes": list(schemes), "by": "speaker", "stratify": "", "seed": None, "validation": "next"}
