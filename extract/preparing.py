"""The store that an extraction writes, with the corpus's segments and the features' specs in it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import LockedError
from ..features.opening import open_store, writer_for
from ..features.spec import FeatureSpec
from ..features.writer import StoreWriter
from .config import ExtractConfig
from .corpora.corpus import Corpus

_PATIENCE = 60.0  # seconds that a share waits for another to prepare the store


@contextmanager
def prepared(
    store: Path,
    corpus: Corpus,
    table: pd.DataFrame,
    specs: Mapping[str, FeatureSpec],
    expected: Mapping[str, np.ndarray],
    config: ExtractConfig,
) -> Iterator[StoreWriter]:
    """A writer of the store, which holds the corpus's segments and the features' specs.

    Shares of one extraction write at once. Whoever comes first prepares the store alone; the others wait for that.
    """
    if not config.shard:
        with writer_for(store) as writer:
            writer.prepare(corpus.name, corpus.tasks, table, specs, expected, config.overwrite, corpus.facts)
            yield writer
        return
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with writer_for(store, shared=True) as writer:
                if not writer.would_change(corpus.name, corpus.tasks, table, specs, corpus.facts):
                    writer.store = open_store(store)
                    yield writer
                    return
            with writer_for(store) as writer:
                writer.prepare(corpus.name, corpus.tasks, table, specs, expected, config.overwrite, corpus.facts)
        except LockedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
