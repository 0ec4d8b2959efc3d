"""Rows that need no computing: the store holds the features of the same input, in whatever row.

A segment that was renamed, that left the corpus and came back, or that took another's place is found again by the
identity of its row. Rows may trade places, so values that are overwritten while a later row still needs them are kept
in files beside the store until then. A kill loses these files' use and no more: what is in the store was made from
what it says, and what is missing is computed.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import StoreError
from ..features.durable import explained
from ..features.opening import open_store
from ..features.rows import MISSING, Row, RowStates, checksum_of
from ..features.spec import FeatureSpec
from ..features.writer import StoreWriter
from .windows import windows


def identities_are_sealed(path: Path) -> bool:
    """Whether what the store at ``path`` says its rows were made from is under a checksum, and so to be relied on.

    Before it is finished a Zarr store cannot tell an identity that was damaged from a right one. A row whose own identity
    was changed is made again; that of another row must not be believed. Raises DamageError for states that were changed.
    """
    if not path.exists():
        return False
    store = open_store(path)
    for feature in store.specs:
        store.states(feature)  # checked where they are sealed
    return store.is_finished


def holders_of(rows: Sequence[int], identity: np.ndarray, states: RowStates, are_sealed: bool = True) -> dict[int, int]:
    """For each of the rows whose features the store holds already the row that has them, best one that keeps them.

    ``identity`` (N,) is what each row should be made from, ``states`` what the store's rows were made from. Unless these
    ``are_sealed``, only rows count that are what they should be themselves.
    """
    complete = np.flatnonzero(states.length != MISSING)
    if not are_sealed:
        complete = complete[states.identity[complete] == identity[complete]]
    keeps = states.identity[complete] == identity[complete]
    # The last entry wins: rows that keep their values after those that do not, and of each kind the first.
    in_order = np.concatenate([complete[~keeps][::-1], complete[keeps][::-1]])
    holder = {int(made_from): int(row) for made_from, row in zip(states.identity[in_order], in_order, strict=True)}
    return {int(row): holder[int(identity[row])] for row in rows if int(identity[row]) in holder}


def first_of_each(rows: Sequence[int], identity: np.ndarray) -> tuple[np.ndarray, dict[int, int]]:
    """Which of the rows must be computed, and for each other one the row among them that has the same input."""
    first: dict[int, int] = {}
    followers: dict[int, int] = {}
    for row in rows:
        leader = first.setdefault(int(identity[row]), int(row))
        if leader != row:
            followers[int(row)] = leader
    return np.array(list(first.values()), int), followers


def move_rows(
    writer: StoreWriter,
    feature: str,
    holders: Mapping[int, int],
    identity: np.ndarray,
    commit: Callable[[Mapping[int, Row]], None],
    aside: Path,
) -> set[int]:
    """Give each row the features of its holder, window by window; returns the rows that got theirs.

    The others are those whose holder cannot be read, or is no longer what it was when this began, as another process
    may have replaced it. ``aside`` is a folder for values that are overwritten before all that need them have them; it
    is there only as long as it is needed.
    """
    checksums = writer.store.states(feature).checksum.copy()  # a commit changes the store's own
    needed = Counter(holders.values())
    kept = _KeptAside(aside, writer.store.specs[feature])
    unreadable: set[int] = set()
    moved: set[int] = set()

    def held(row: int) -> np.ndarray | None:
        """What a row had when this began."""
        if row in unreadable:
            return None
        try:
            values = kept.read(row) if row in kept else writer.store.read(feature, row)
        except (StoreError, OSError):
            values = None
        if values is None or checksum_of(values) != checksums[row]:
            unreadable.add(row)
            return None
        return values

    try:
        for window, _ in windows(np.array(sorted(holders), int)):
            results = {}
            for row in window:
                needed[holders[row]] -= 1
                values = held(holders[row])
                if values is not None:
                    results[row] = Row(values, int(identity[row]))
            still_needed = {row: held(row) for row in results if needed[row] and row not in kept}
            with explained(aside):
                kept.add({row: values for row, values in still_needed.items() if values is not None})
                kept.drop(row for row in {holders[row] for row in window} if not needed[row])
            commit(results)
            moved |= set(results)
    finally:
        kept.close()
    return moved


@dataclass(frozen=True)
class _Place:
    """Where the values of a row are kept."""

    path: Path
    offset: int
    """Bytes from the beginning of the file."""

    rows: int


class _KeptAside:
    """Values by row number, in a file for each time that some were added, which goes when its last values go."""

    def __init__(self, folder: Path, spec: FeatureSpec) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
        self._folder, self._spec = folder, spec
        self._places: dict[int, _Place] = {}
        self._left: dict[Path, int] = {}  # how many rows of each file are still needed
        self._files = 0

    def __contains__(self, row: int) -> bool:
        return row in self._places

    def add(self, values: Mapping[int, np.ndarray]) -> None:
        if not values:
            return
        self._folder.mkdir(exist_ok=True)
        path, at = self._folder / str(self._files), 0
        self._files += 1
        with open(path, "wb") as file:
            for row, content in values.items():
                self._places[row] = _Place(path, at, len(content))
                at += file.write(np.ascontiguousarray(content, self._spec.stored_type).tobytes())
        self._left[path] = len(values)

    def read(self, row: int) -> np.ndarray:
        place = self._places[row]
        width = self._spec.width
        values = np.fromfile(place.path, self._spec.stored_type, place.rows * width, offset=place.offset)
        return values.reshape(-1, width)

    def drop(self, rows) -> None:
        for row in rows:
            place = self._places.pop(row, None)
            if place:
                self._left[place.path] -= 1
                if not self._left[place.path]:
                    place.path.unlink(missing_ok=True)

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
