"""Copies of a store in either format, and the check and mending of a damaged one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DamageError, StoreError
from ..progress import Track, silent
from .opening import open_store, writer_for
from .rows import MISSING, Row, block_of, block_range
from .store import Damage, FeatureStore
from .tasks import Task
from .writer import Anew


def convert(source: FeatureStore, target: Path, track: Track = silent) -> FeatureStore:
    """Copy a store, row for row, into one of the format that the target's suffix names; resumable.

    Raises StoreError when a row of the source is damaged, or the target holds something else.
    """
    target = Path(target)
    if target.resolve() == source.path.resolve():
        raise StoreError(f"{target}: cannot be converted into itself; name another file")
    with writer_for(target) as writer:
        writer.begin_copy(source)
        for name in source.specs:
            wanted, there = source.states(name), writer.store.states(name)
            lacking = (wanted.length != there.length) | (wanted.checksum != there.checksum)
            lacking |= wanted.identity != there.identity
            blocks = sorted({block_of(int(row)) for row in np.flatnonzero(lacking)})
            with track(name, total=int(lacking.sum()), unit="segments") as advance:
                for block in blocks:
                    rows = [row for row in block_range(block, len(lacking)) if lacking[row]]
                    writer.commit(name, block, {row: _copied(source, name, row) for row in rows})
                    advance(len(rows))
        writer.finish()
    return open_store(target)


def verify(store: FeatureStore, track: Track = silent) -> list[Damage]:
    """Recompute every checksum of a store and look at every file; the places where something is wrong."""
    complete = sum(int((store.lengths(name) != MISSING).sum()) for name in store.specs if _has_states(store, name))
    with track("verify", total=complete, unit="rows") as advance:
        return list(store.damage(advance))


def repair(path: Path, damages: list[Damage]) -> list[str]:
    """Mend what a store says of itself, and mark damaged rows missing, so that the next extraction computes them again.

    Returns what was done, a sentence each. Raises DamageError for what cannot be mended, with what to do.
    """
    with writer_for(path) as writer:
        return writer.mend(damages)


def recover(
    path: Path,
    tasks: Sequence[Task],
    table: pd.DataFrame,
    dataset: str = "",
    facts: Mapping[str, object] | None = None,
) -> list[str]:
    """Make a store readable again whose head or table is damaged, if need be with those of its corpus.

    Rows that cannot be read are missing then. Does nothing where there is no store, or where it can be read. Returns
    what was done, a sentence each.
    """
    if not path.exists():
        return []
    try:
        open_store(path).segments  # noqa: B018
        return []
    except DamageError:
        with writer_for(path) as writer:
            notes = writer.recover(Anew(tuple(tasks), table, dataset, facts or {}))
            return [*notes, *writer.lose_unreadable()]


def _has_states(store: FeatureStore, name: str) -> bool:
    try:
        store.states(name)
    except StoreError:
        return False
    return True


def _copied(source: FeatureStore, name: str, row: int) -> Row | None:
    states = source.states(name)
    if states.length[row] == MISSING:
        return None
    return Row(source.read(name, row), int(states.identity[row]))
