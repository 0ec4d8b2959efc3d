"""The texts that are to be labelled: a csv's, with all its other columns, or a corpus's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import CorpusError
from ...features.segments import EXTRA
from ...features.tasks import NO_LABEL, Task
from ..corpora.corpus import Corpus
from ..corpora.tables import read_csv

LABEL, REASON = "label", "unusable"  # the columns that labelling adds
_GIVEN = "given_"  # begins the name of a column of the input that is called like one of these


@dataclass(frozen=True)
class Transcripts:
    """Rows to be labelled."""

    rows: pd.DataFrame
    """All columns that go on into the output, each of text."""

    text_column: str
    notes: tuple[str, ...] = ()
    """What a user should know of how they were read."""

    @property
    def texts(self) -> list[str]:
        return self.rows[self.text_column].tolist()

    def labelled(self, labels: Sequence[str], reasons: Sequence[str]) -> pd.DataFrame:
        """The rows with the columns ``label`` and ``unusable``: one of the two is empty."""
        return self.rows.rename(columns=_kept_name).assign(**{LABEL: list(labels), REASON: list(reasons)})

    def gold(self, column: str) -> list[str]:
        """The column that labels are held against. Raises CorpusError where there is none."""
        if column not in self.rows:
            there = ", ".join(map(str, self.rows.columns))
            raise CorpusError(f"there is no column {column} to hold the labels against; there are {there}")
        return self.rows[column].tolist()


def of_csv(path: Path, text_column: str) -> Transcripts:
    """The rows of a csv. Raises CorpusError, which names file and row."""
    csv = read_csv(path, [text_column])
    renamed = [name for name in (LABEL, REASON) if name in csv.rows]
    notes = [f"column {name} of {path.name} is called {_kept_name(name)} in what is written" for name in renamed]
    return Transcripts(csv.rows, text_column, (*csv.notes, *notes))


def of_corpus(corpus: Corpus, split: str = "") -> Transcripts:
    """The segments of a corpus, of all splits or one. Raises CorpusError for a split without any."""
    table = corpus.table
    if split:
        if split not in set(table["split"]):
            there = ", ".join(sorted(set(table["split"])))
            raise CorpusError(f"{corpus.root}: there is no split {split}, only {there}")
        table = table[table["split"] == split]
    kept = ["segment_id", "recording_id", "split", "speaker", "text"]
    kept += [column for column in table if column.startswith(EXTRA)]
    rows = table[kept].astype(str).reset_index(drop=True)
    for task in corpus.tasks:
        rows[task.name] = [_shown(task, value) for value in table[task.column].tolist()]
    return Transcripts(rows, "text", corpus.notes)


def _shown(task: Task, value: float) -> str:
    if task.is_value:
        return "" if np.isnan(value) else f"{value:g}"
    return "" if value == NO_LABEL else task.classes[int(value)]


def _kept_name(column: str) -> str:
    return _GIVEN + column if column in (LABEL, REASON) else column
