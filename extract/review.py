"""What a user should see of a corpus before it costs anything: counts, likely mistakes, and what splits share."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import CorpusError, StoreError
from ..features.opening import open_store
from ..features.overview import changes, counts_table, suspicions
from ..features.sharing import fact_of, shared_between_splits, sharing_lines
from ..progress import Track, silent
from .corpora.corpus import Corpus
from .digests import same_sounds


def reviewed(corpus: Corpus, allow_shared_audio: bool = False, track: Track = silent) -> Corpus:
    """The corpus with what its audio files were found to have in common.

    Raises CorpusError, which names both rows, when one file or the same bytes are in two splits and may not be.
    """
    homes = same_sounds(corpus.root, [path for path in corpus.table["audio"] if path], track)
    sounds = tuple(homes.get(path, "") for path in corpus.table["audio"])
    shared = [each for each in shared_between_splits(corpus.table, sounds) if each.what == "audio"]
    if shared and not allow_shared_audio:
        (one, other), splits = shared[0].places[0], shared[0].splits
        names, paths = corpus.table["segment_id"], corpus.table["audio"]
        what = "is the same file" if paths[one] == paths[other] else f"has the very bytes of {paths[other]}"
        count = sum(len(each.names) for each in shared)
        others = f"; {count} of the kind in all" if count > 1 else ""
        rows = f"{corpus.origins[names[one]]} and {corpus.origins[names[other]]}"
        raise CorpusError(
            f"{rows}: {paths[one]} in split {splits[0]} {what},"
            f" which is in split {splits[1]}{others}: put both into one split, or allow it with --allow-shared-audio"
        )
    return replace(corpus, sounds=sounds, facts={**corpus.facts, **fact_of(shared)})


def announced(corpus: Corpus, store: Path, with_text: bool = True) -> list[str]:
    """Lines on a corpus that was reviewed: counts, likely mistakes, and what a store that exists has otherwise.

    ``with_text`` is false where transcripts are not wanted.
    """
    table = corpus.table
    lines = ["", *counts_table(table, corpus.tasks), ""]
    lines += sharing_lines(shared_between_splits(table, corpus.sounds), table)
    stretches = [
        " ".join(map(str, place)) if place[0] else ""
        for place in zip(corpus.sounds, table["start"], table["end"], table["channel"], strict=True)
    ]
    lines += [f"warning: {line}" for line in suspicions(table, corpus.tasks, np.array(stretches, object), with_text)]
    return [*lines, *(f"{store}: {line}" for line in _changes(corpus, store)), ""]


def _changes(corpus: Corpus, path: Path) -> list[str]:
    if not path.exists():
        return []
    with suppress(StoreError):  # of a store that cannot be read or is of something else the extraction itself says so
        store = open_store(path)
        if store.dataset == corpus.name:
            return changes(store.segments, store.tasks, corpus.table, corpus.tasks)
    return []
