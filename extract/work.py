"""What a store lacks of what it should hold, and what is in it of what has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..features.rows import BLOCK_ROWS, MISSING, RowStates
from ..features.segments import REMOVED
from ..features.store import FeatureStore


@dataclass(frozen=True)
class FeatureWork:
    """What an extraction finds to do for one feature, as row numbers of the store."""

    feature: str
    missing: np.ndarray
    stale: np.ndarray
    """Rows whose audio or text has changed since they were made."""

    done: int
    """Rows that are complete and need nothing."""

    @property
    def rows(self) -> np.ndarray:
        return np.sort(np.concatenate([self.missing, self.stale]))


def find_work(
    store: FeatureStore,
    identities: Mapping[str, np.ndarray],
    share: tuple[int, int] = (1, 1),
    segments: pd.DataFrame | None = None,
) -> list[FeatureWork]:
    """Compare what a store holds with the identities its rows should have; removed rows need nothing.

    ``share`` is the number, from 1, and the count of the shares that row blocks are dealt out to; ``segments``
    stands in for the store's own table where that is not yet up to date.
    """
    segments = store.segments if segments is None else segments
    number, count = share
    mine = np.arange(len(segments)) // BLOCK_ROWS % count == number - 1
    present = mine & (segments["split"] != REMOVED).to_numpy()
    works = []
    for feature, identity in identities.items():
        states = states_of(store, feature, len(segments))
        complete = states.length != MISSING
        same = states.identity == identity
        works.append(
            FeatureWork(
                feature,
                missing=np.flatnonzero(present & ~complete),
                stale=np.flatnonzero(present & complete & ~same),
                done=int((present & complete & same).sum()),
            )
        )
    return works


def states_of(store: FeatureStore, feature: str, rows: int) -> RowStates:
    """The states of a feature's rows, as many as a store will have that may have fewer yet."""
    states = store.states(feature)
    absent = rows - len(states.length)
    return RowStates(
        np.pad(states.length, (0, absent), constant_values=MISSING),
        np.pad(states.checksum, (0, absent)),
        np.pad(states.identity, (0, absent)),
    )


def no_states(rows: int) -> RowStates:
    """The states of a feature of which nothing is there yet."""
    return RowStates(np.full(rows, MISSING, np.int32), np.zeros(rows, np.uint64), np.zeros(rows, np.uint64))
