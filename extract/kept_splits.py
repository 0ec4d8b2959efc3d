"""Splits that msmt made stay as a store has them.

Made splits follow from all rows of a corpus at once, so one corrected label or one more file could deal half of them out
anew, and a run made before would be scored on what it has learnt.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import StoreError
from ..features.opening import open_store
from ..features.segments import ORIGINAL, REMOVED
from .corpora.config import BY_SPEAKER
from .corpora.corpus import Corpus

MADE_SPLITS = "made_splits"  # the fact that says how splits were made: seed, ratios and what they keep together


def with_known_splits(corpus: Corpus, path: Path) -> tuple[Corpus, str]:
    """The corpus with its recordings in the splits that the store at ``path`` has them in, and a line that says so.

    Only where both were split in the same way. A new recording goes where its speaker is, where splits keep speakers
    together, and else where it was put. The line is empty where nothing had to be moved back.
    """
    how = corpus.facts.get(MADE_SPLITS)
    if not how or not path.exists():
        return corpus, ""
    try:
        store = open_store(path)
        known = store.segments[(store.segments["view"] == ORIGINAL) & (store.segments["split"] != REMOVED)]
        if store.dataset != corpus.name or store.head.facts.get(MADE_SPLITS) != how:
            return corpus, ""
    except StoreError:  # the extraction itself says what is wrong with it
        return corpus, ""
    table = corpus.table
    of_recording = dict(zip(known["recording_id"], known["split"], strict=True))
    of_speaker = {}
    if how["by"] == BY_SPEAKER:
        of_speaker = {who: split for who, split in zip(known["speaker"], known["split"], strict=True) if who}
    at_home: dict[str, str] = {}  # new recordings of speakers that are known
    for recording, speaker in zip(table["recording_id"], table["speaker"], strict=True):
        if recording not in of_recording and speaker in of_speaker:
            at_home.setdefault(recording, of_speaker[speaker])
    homes = {**at_home, **of_recording}
    splits = [
        homes.get(recording, split) for recording, split in zip(table["recording_id"], table["split"], strict=True)
    ]
    moved = table["recording_id"][np.array(splits, object) != table["split"].to_numpy()].nunique()
    if not moved:
        return corpus, ""
    line = (
        f"{path}: {moved} recording{'s stay in the splits' if moved != 1 else ' stays in the split'} that the store has"
        " known; another --split-seed splits anew"
    )
    return replace(corpus, table=table.assign(split=np.array(splits, object))), line
