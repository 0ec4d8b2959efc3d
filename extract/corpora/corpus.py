"""What every adapter makes of its corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ...errors import CorpusError
from ...features.segments import REMOVED, segment_table
from ...features.tasks import Task
from .checks import check_names_differ, check_numbers_differ, check_one_split, stem


@dataclass(frozen=True)
class Corpus:
    """A corpus that was found to be in order."""

    name: str
    """Name of the dataset, such as ``marketcalls``."""

    root: Path
    """Data folder; the paths in ``table["audio"]`` are relative to it."""

    table: pd.DataFrame
    """The segment table, see features/segments.py: recordings in the order of their first row, segments by index."""

    tasks: tuple[Task, ...]
    """The finest first."""

    origins: Mapping[str, str]
    """By segment id, the file and row that name it, such as ``train.csv row 17``."""

    notes: tuple[str, ...]
    """One line for each thing a user should know before anything is computed."""

    sounds: tuple[str, ...] = ()
    """For each row of the table the first file with the same bytes as its own; empty until files were compared."""

    facts: Mapping[str, object] = field(default_factory=dict)
    """What the store of this corpus has to keep in mind of it, see StoreHead."""

    known: Mapping[str, str] = field(default_factory=dict)
    """By segment id what is known to be wrong with an item as everybody has it: no reason to stop an extraction."""


def assembled(
    name: str, root: Path, rows: pd.DataFrame, tasks: Sequence[Task], notes: Sequence[str], has_texts: bool = True
) -> Corpus:
    """Check what concerns several rows at once, put the rows in order and name the segments.

    ``rows`` has the columns of a segment table, and ``origin``; without ``segment_id`` segments are named here. Where
    nobody asked for texts it may lack them.
    Raises CorpusError for a recording in two splits, for repeated segment numbers and names, and for the split
    ``removed``, by which a store knows what has left its corpus.
    """
    for split, origin in zip(rows["split"], rows["origin"], strict=True):
        if split == REMOVED:
            raise CorpusError(
                f"{origin}: a split cannot be called {REMOVED}, the name of what has left a corpus in its store;"
                " give it another name, or leave the row out"
            )
    check_one_split(rows)
    check_numbers_differ(rows)
    appearance = {recording: place for place, recording in enumerate(dict.fromkeys(rows["recording_id"]))}
    rows = (
        rows.assign(place=[appearance[recording] for recording in rows["recording_id"]])
        .sort_values(["place", "index"], kind="stable")
        .reset_index(drop=True)
    )
    if "segment_id" not in rows:
        rows["segment_id"] = _segment_ids(rows)
    check_names_differ(rows)
    untranscribed = int((rows["text"] == "").sum()) if has_texts else 0
    if untranscribed:
        notes = [*notes, f"{untranscribed} of {len(rows)} segments have an empty transcript"]
    origins = dict(zip(rows["segment_id"], rows["origin"], strict=True))
    return Corpus(name, root, segment_table(rows, tasks), tuple(tasks), origins, tuple(notes))


def _segment_ids(rows: pd.DataFrame) -> list[str]:
    """The names of the audio files; where several segments have one, their recordings and numbers."""
    stems = [stem(path) for path in rows["audio"]]
    counts = Counter(stems)
    return [
        name if name and counts[name] == 1 else f"{recording}_{number}"
        for name, recording, number in zip(stems, rows["recording_id"], rows["index"], strict=True)
    ]
