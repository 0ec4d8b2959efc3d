"""A store's segments as a scheme splits them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..features.schemes import STANDARD, splits_of
from ..features.segments import REMOVED
from ..features.splits import split_named
from ..features.store import FeatureStore
from ..train.data import split_names


def segments_by(store: FeatureStore, scheme: str) -> pd.DataFrame:
    """The segment table of a store with the splits of one scheme as its own; what is in none counts as removed."""
    if scheme == STANDARD:
        return store.segments
    return store.segments.assign(split=splits_of(store.segments, scheme).replace("", REMOVED))


def tested_by(store: FeatureStore, schemes: Sequence[str], split: str) -> pd.DataFrame:
    """The rows of a split by any of some schemes, as if it were one split."""
    tables = []
    for scheme in schemes:
        table = segments_by(store, scheme)
        tables.append(table[table["split"] == split_named(split, split_names(store, scheme))])
    return pd.concat(tables).assign(split=split)
