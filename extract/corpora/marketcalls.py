"""MarketCalls: 877 sales calls in Mandarin, each labelled with the customer's intent to buy.

The folder holds train.csv, val.csv and test.csv, or one calls.csv with a column ``split``, and audio/.
A recording is a ``phone``, its segments are ordered by ``Segment_number``, its label is A (very positive)
to E (no intent), see section 4.1 of the paper.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ...errors import CorpusError
from ...features.tasks import Task, merged
from .checks import (
    audio_paths,
    check_filled,
    check_folder,
    check_same_within_recording,
    check_several_classes,
    integers,
)
from .config import GenericOptions
from .corpus import Corpus, assembled
from .tables import CsvTable, kept_columns, read_csv

NAME = "marketcalls"
SPLITS = ("train", "val", "test")
COLUMNS = ("phone", "Audio_id", "Segment_number", "text", "label")
_COLUMN_OF = {"audio": "Audio_id", "text": "text"}  # that only one modality needs
ONE_FILE = "calls.csv"

FIVE = Task("five", classes=("A", "B", "C", "D", "E"))
TASKS = (
    FIVE,
    merged(FIVE, "four", "A", "B", "C", "D+E"),
    merged(FIVE, "three", "A", "B+C", "D+E"),
    merged(FIVE, "two", "A+B+C", "D+E"),
)


def load(data_dir: Path, options: GenericOptions | None = None, modalities: str = "both") -> Corpus:
    """Read and check the corpus in ``data_dir``; of the options, ``keep_columns`` counts. Raises CorpusError.

    With ``modalities`` audio or text, the column of the other may be absent, and audio files too.
    """
    check_folder(data_dir)
    options = options or GenericOptions()
    optional = {column for modality, column in _COLUMN_OF.items() if modalities not in ("both", modality)}
    required = (*(column for column in COLUMNS if column not in optional), *options.kept)
    tables = _tables(data_dir, required)
    rows = pd.concat([_rows_of(table, split, options) for split, table in tables.items()], ignore_index=True)
    check_filled(rows, "recording_id", "phone")
    if rows["audio"].any() or modalities != "text":
        check_filled(rows, "audio", "Audio_id")
    _check_splits(rows, data_dir)
    rows["index"] = integers(rows, "index", "Segment_number")
    for label, origin in zip(rows["label"], rows["origin"], strict=True):
        if label not in FIVE.classes:
            raise CorpusError(f"{origin}: label must be one of {', '.join(FIVE.classes)}, but is {label!r}")
    check_same_within_recording(rows, rows["label"], "label")
    check_several_classes(data_dir, "label", rows["label"])
    if rows["audio"].any():
        rows["audio"] = audio_paths(rows, data_dir, data_dir / "audio", are_needed=modalities != "text")
    rows = pd.concat([rows, labels_of(rows["label"])], axis=1)
    notes = [note for table in tables.values() for note in table.notes]
    return assembled(NAME, data_dir, rows, TASKS, notes, has_texts=modalities != "audio")


def labels_of(letters: pd.Series) -> pd.DataFrame:
    """The class index of every task, one column a task, from the letters A to E."""
    five = letters.map(FIVE.classes.index)
    columns = {FIVE.column: five}
    for task in TASKS[1:]:
        columns[task.column] = five.map(task.coarse_index(FIVE).__getitem__)
    return pd.DataFrame(columns)


def _tables(data_dir: Path, columns: tuple[str, ...]) -> dict[str, CsvTable]:
    """The csv files by split; under ``""`` if one file holds all."""
    present = [split for split in SPLITS if (data_dir / f"{split}.csv").exists()]
    if (data_dir / ONE_FILE).exists():
        if present:
            raise CorpusError(f"{data_dir}: holds {ONE_FILE} and {present[0]}.csv; keep one or the other")
        return {"": read_csv(data_dir / ONE_FILE, (*columns, "split"))}
    if not present:
        raise CorpusError(
            f"{data_dir}: holds neither train.csv, val.csv and test.csv nor {ONE_FILE}; name the corpus with --data"
        )
    return {split: read_csv(data_dir / f"{split}.csv", columns) for split in SPLITS}


def _rows_of(table: CsvTable, split: str, options: GenericOptions) -> pd.DataFrame:
    columns = {
        "origin": table.origins,
        "recording_id": table.rows["phone"].tolist(),
        "index": table.rows["Segment_number"].tolist(),
        "split": [split] * len(table.rows) if split else table.rows["split"].tolist(),
        **{name: _optional(table, column) for name, column in _COLUMN_OF.items()},
        "label": table.rows["label"].tolist(),
    }
    columns |= kept_columns(table, options.keep_columns, options.kept, {*COLUMNS, "split"})
    return pd.DataFrame(columns, dtype=object)


def _optional(table: CsvTable, column: str) -> list[str]:
    return table.rows[column].tolist() if column in table.rows else [""] * len(table.rows)


def _check_splits(rows: pd.DataFrame, data_dir: Path) -> None:
    for split, origin in zip(rows["split"], rows["origin"], strict=True):
        if split not in SPLITS:
            raise CorpusError(f"{origin}: split must be one of {', '.join(SPLITS)}, but is {split!r}")
    for split in SPLITS:
        if not (rows["split"] == split).any():
            raise CorpusError(f"{data_dir / ONE_FILE}: no row is in split {split}")
