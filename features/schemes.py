"""Schemes: named ways of splitting one corpus.

The corpus's own split is the scheme ``standard``. Every other one is a column of the segment table with the split of
each row, empty where it is in none. Folds are a family of schemes: ``folds`` of five are ``fold1`` to ``fold5``, and the
facts of the store's head say what they are called and how they were made:

    facts["schemes"]   {family: {"schemes": names in order, "by", "stratify", "seed", "validation"}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from ..errors import StoreError
from ..shown import as_line
from .head import StoreHead
from .segments import REMOVED, SCHEME

STANDARD = "standard"
FACT = "schemes"  # in the facts of a store's head


def schemes_in(table: pd.DataFrame) -> tuple[str, ...]:
    """The names of all schemes of a segment table, ``standard`` first."""
    return (STANDARD, *(column.removeprefix(SCHEME) for column in table.columns if column.startswith(SCHEME)))


def splits_of(table: pd.DataFrame, scheme: str = STANDARD) -> pd.Series:
    """(N,) the split of each row by a scheme: empty where in none, ``removed`` where its segment has left the corpus.

    Raises StoreError for a scheme that the table does not have.
    """
    if scheme == STANDARD:
        return table["split"]
    if scheme not in schemes_in(table):
        raise StoreError(
            f"there is no scheme {as_line(scheme)!r}, only {_listed(schemes_in(table))}; msmt split makes others"
        )
    return table[SCHEME + scheme].mask(table["split"] == REMOVED, REMOVED).rename("split")


def folds_of(head: StoreHead, family: str) -> tuple[str, ...]:
    """The schemes of a family of folds in order: ``fold1``, ``fold2``, … of ``folds``.

    Raises StoreError where the store has no such family.
    """
    families = families_in(head)
    if family not in families:
        there = f"only {_listed(tuple(families))}" if families else "nor any other"
        raise StoreError(f"there are no folds {as_line(family)!r}, {there}; msmt split makes some")
    return families[family]


def families_in(head: StoreHead) -> dict[str, tuple[str, ...]]:
    """The schemes of each family of folds, by its name. What cannot be read as one is passed over."""
    return families_of(head.facts)


def families_of(facts: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    """The same of the facts of a head."""
    known = facts.get(FACT)
    found = {}
    for family, made in known.items() if isinstance(known, dict) else ():
        match made:
            case {"schemes": [*names]} if names and all(isinstance(name, str) for name in names):
                found[family] = tuple(names)
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(as_line, names))
