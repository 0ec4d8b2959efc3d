"""What is left of a finished HDF5 store whose manifest is lost and whose tree is damaged."""

from __future__ import annotations

import numpy as np
import pandas as pd

from . import hdf5_tree
from .hdf5_parts import Contents, states_of_so_many
from .hdf5_store import Hdf5Store
from .head import UNREADABLE, StoreHead
from .rows import MISSING, STATES, RowStates


def salvage(store: Hdf5Store, head: StoreHead, table: pd.DataFrame) -> int:
    """Have a store read what this head and table say of it, with every row missing that is not what its checksum says.

    Returns how many rows are missing now that were to be there; those of a feature that cannot be read at all count as
    rows that were.
    """
    lost = 0
    contents = {}
    for name, feature in head.features.items():
        try:
            states, places = hdf5_tree.rows_of(store.path, name, feature)
        except UNREADABLE:
            states = RowStates(**{state: np.empty(0, kind) for state, (kind, _) in STATES.items()})
            places = np.empty((0, 3), np.int64)
            lost += len(table)
        contents[name] = Contents(states_of_so_many(states, len(table), feature.spec.max_rows), places)
    store.believe(head, table, contents)
    for name, content in contents.items():
        length = content.states.length
        for row in np.flatnonzero(length != MISSING):
            try:
                store.read(name, int(row))
            except UNREADABLE:
                length[row] = MISSING
                lost += 1
    return lost
