"""What splits are called: a corpus keeps its own names, and the usual ones are understood in any spelling."""

from __future__ import annotations

import re
from collections.abc import Iterable

TRAIN, VALIDATION, TEST = "train", "val", "test"
_NAMES = {
    TRAIN: ("train", "training", "trn"),
    VALIDATION: ("val", "valid", "validation", "dev", "devel", "development"),
    TEST: ("test", "testing", "tst", "eval", "evaluation"),
}
_KINDS = {name: kind for kind, names in _NAMES.items() for name in names}
# Names that say as much as the usual ones, of what is no split of the three, or of folds.
_KNOWN_BESIDES = ("all", "new", "predict", "holdout", "unlabelled", "unlabeled", "fold", "session", "part", "cv")


def kind_of_split(name: str) -> str:
    """``train``, ``val`` or ``test`` where ``name`` is one of the usual names for it in any case, else ``""``."""
    return _KINDS.get(name.strip().casefold(), "")


def split_named(asked: str, there: Iterable[str]) -> str:
    """The split that is meant by ``asked`` among those that are there: itself, or the only one that it can mean.

    Case does not count, and ``train``, ``val`` and ``test`` mean whatever is called by a usual name for them, such as
    ``dev`` for ``val``. What means none of them stays as it is.
    """
    there = list(dict.fromkeys(there))
    if asked in there:
        return asked
    same = [name for name in there if name.casefold() == asked.casefold()]
    found = same or [name for name in there if asked in _NAMES and kind_of_split(name) == asked]
    return found[0] if len(found) == 1 else asked


def is_usual(name: str) -> bool:
    """Whether a split's name tells what it is for, as do ``Dev``, ``test-clean`` and ``fold3``, but not ``tset``."""
    words = [word for word in re.split(r"[^a-z]+", name.casefold()) if word]
    return not words or any(word in _KINDS or word in _KNOWN_BESIDES for word in words)


def usual_names() -> tuple[str, ...]:
    """Every name that is understood."""
    return tuple(_KINDS)
