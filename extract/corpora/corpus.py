"""What every adapter makes of its corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ...features.segments import segment_table
from ...features.tasks import Task
from .checks import check_numbers_differ, check_one_split, stem


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


def assembled(
    name: str, root: Path, rows: pd.DataFrame, tasks: Sequence[Task], notes: Sequence[str], has_texts: bool = True
) -> Corpus:
    """Check what concerns several rows at once, put the rows in order and name the segments.

    ``rows`` has the columns of a segment table but ``segment_id``, and ``origin``; where nobody asked for texts it may
    lack them.
    Raises CorpusError for a recording in two splits and for repeated segment numbers.
    """
    check_one_split(rows)
    check_numbers_differ(rows)
    appearance = {recording: place for place, recording in enumerate(dict.fromkeys(rows["recording_id"]))}
    rows = (
        rows.assign(place=[appearance[recording] for recording in rows["recording_id"]])
        .sort_values(["place", "index"], kind="stable")
        .reset_index(drop=True)
    )
    rows["segment_id"] = _segment_ids(rows)
    untranscribed = int((rows["text"] == "").sum()) if has_texts else 0
    if untranscribed:
        notes = [*notes, f"{untranscribed} of {len(rows)} segments have an empty transcript"]
    origins = dict(zip(rows["segment_id"], rows["origin"], strict=True))
    return Corpus(name, root, segment_table(rows, tasks), tuple(tasks), origins, tuple(notes))


def _segment_ids(rows: pd.DataFrame) -> list[str]:
    """The names of the audio files where these differ, else recordings with numbers, which always do."""
    stems = [stem(path) for path in rows["audio"]]
    if len(set(stems)) == len(stems) and all(stems):
        return stems
    return [f"{recording}_{number}" for recording, number in zip(rows["recording_id"], rows["index"], strict=True)]
