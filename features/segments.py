"""The segment table: one row per segment and view, in the order of the store's rows.

| column        | type    | meaning                                                                    |
|---------------|---------|----------------------------------------------------------------------------|
| segment_id    | str     | unique together with ``view``                                              |
| recording_id  | str     | the call or dialogue it belongs to                                         |
| index         | int32   | position within the recording, ascending, not necessarily from 0           |
| split         | str     | ``train``, ``val``, ``test`` or what the corpus calls them                 |
| audio         | str     | path of the audio file, relative to the data folder                        |
| start, end    | float64 | seconds within that file; NaN for its beginning and its end                |
| channel       | int32   | channel of that file, -1 for the mean over all                             |
| text          | str     | transcript, as the view has it; may be empty                               |
| speaker       | str     | who speaks, empty when unknown or several                                  |
| view          | str     | ``original``, or the name of an augmentation                               |
| agent_channel | int32   | channel that the agent is on, -1 if unknown; only in stores that were told |
| label_<task>  | int32   | class index, -1 when there is none; float64 and NaN for real values        |
| extra_<name>  | str     | another column of the corpus's csv that was to be kept; empty when unknown |
| scheme_<name> | str     | split of another scheme, such as ``fold3``; empty when in none, see schemes.py |
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from .tasks import NO_LABEL, Task

ORIGINAL = "original"
REMOVED = "removed"  # split of a row whose segment has left the corpus; its features stay until a rebuild
MEAN_OF_CHANNELS = -1

_TYPES = {
    "segment_id": str,
    "recording_id": str,
    "index": np.int32,
    "split": str,
    "audio": str,
    "start": np.float64,
    "end": np.float64,
    "channel": np.int32,
    "text": str,
    "speaker": str,
    "view": str,
}
_WHEN_ABSENT = {
    "start": np.nan,
    "end": np.nan,
    "channel": MEAN_OF_CHANNELS,
    "text": "",
    "speaker": "",
    "view": ORIGINAL,
}
AGENT_CHANNEL = "agent_channel"
UNKNOWN_CHANNEL = -1
EXTRA = "extra_"  # begins the name of a column that a corpus has beside those that msmt knows
VIDEO = EXTRA + "video_id"  # the video that a recording is a part of, where splits may part a video
SCHEME = "scheme_"  # begins the name of a column of splits besides ``split``, which is the scheme ``standard``


def segment_table(rows: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """``rows`` with exactly the columns and types above; optional columns that are absent are filled in."""
    table = {}
    for column, kind in _TYPES.items():
        values = rows[column] if column in rows else np.full(len(rows), _WHEN_ABSENT[column])
        table[column] = _typed(values, kind)
    if AGENT_CHANNEL in rows:
        table[AGENT_CHANNEL] = rows[AGENT_CHANNEL].fillna(UNKNOWN_CHANNEL).to_numpy().astype(np.int32)
    for task in tasks:
        absent = np.nan if task.is_value else NO_LABEL
        values = rows[task.column] if task.column in rows else np.full(len(rows), absent)
        table[task.column] = _typed(values, np.float64 if task.is_value else np.int32)
    for column in rows:
        if column.startswith((EXTRA, SCHEME)):
            table[column] = _typed(rows[column].fillna(""), str)
    return pd.DataFrame(table)


def _typed(values, kind) -> np.ndarray:
    if kind is str:
        plain = values.tolist() if hasattr(values, "tolist") else values  # pandas is slow to go through one by one
        return np.array([str(value) for value in plain], dtype=object)
    return np.asarray(values).astype(kind)


def merged_table(
    old: pd.DataFrame, old_tasks: Sequence[Task], new: pd.DataFrame, tasks: Sequence[Task]
) -> pd.DataFrame:
    """The table of a store that held ``old`` once it holds ``new``: known rows keep their numbers, see ``prepare``.

    Schemes that ``new`` does not bring stay what they were of each segment and its views; a new segment is in none.
    """
    keys = ["segment_id", "view"]
    new = new.set_index(keys, drop=False)
    old_keys = pd.MultiIndex.from_frame(old[keys])
    staying = old_keys.isin(new.index)
    gone = old[~staying].assign(split=REMOVED)
    if list(old_tasks) != list(tasks):
        gone = gone.drop(columns=[task.column for task in old_tasks])
    gone = segment_table(gone, tasks).set_index(old_keys[~staying])
    known = pd.concat([new[new.index.isin(old_keys)], gone]).loc[list(old_keys)]
    added = new[~new.index.isin(old_keys)]
    merged = segment_table(pd.concat([known, added]).reset_index(drop=True), tasks)
    originals = old[old["view"] == ORIGINAL].drop_duplicates("segment_id").set_index("segment_id")
    for column in old:
        if column.startswith(SCHEME) and column not in new:
            merged[column] = merged["segment_id"].map(originals[column]).fillna("").astype(object)
    return merged


def table_digest(table: pd.DataFrame) -> str:
    """A hash of every cell, so that half a table or a changed label cannot go unnoticed."""
    digest = hashlib.sha256()
    for column in table.columns:
        cells = [None if isinstance(cell, float) and np.isnan(cell) else cell for cell in table[column].tolist()]
        digest.update(json.dumps([column, cells], ensure_ascii=True).encode())
    return digest.hexdigest()[:32]
