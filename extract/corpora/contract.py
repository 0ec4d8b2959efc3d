"""What an adapter of a public corpus says: how the corpus lies on disk, and what should be there.

An adapter reads annotation and folders and finds for each annotated item where its audio should be. It refuses nothing
that can be named instead: a Reading holds every item, whatever state it is in, so that the same reading becomes the
corpus that an extraction takes (reading.py) and the report on what is there (reconcile.py). A corpus with known defects
carries them as data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ...features.tasks import Task
from .config import CorpusOptions

# What can be wrong with an item: these words stand in the report's csv.
NO_AUDIO = "no audio file"
UNREADABLE = "audio cannot be read"
MISCUT = "too long for one utterance"
NO_LENGTH = "no length by its time stamps"
LONGER = "longer than its time stamps say"
DUPLICATE = "the same audio as another"
NO_TEXT = "empty transcript"
UNANNOTATED = "not in the annotation"

WITHOUT_AUDIO = (NO_AUDIO, UNREADABLE, NO_LENGTH)  # of which there may be nothing to hear


@dataclass(frozen=True)
class Count:
    """How many items, recordings or speakers a corpus should have of one kind."""

    where: Mapping[str, str]
    """What they have in common: value by column, such as ``{"split": "train", "emotion": "joy"}``; class names for tasks."""

    expected: int

    unit: str = "item"
    """What is counted: ``item``, ``recording`` or ``speaker``."""

    source: str = ""
    """Who says so, where that is disputed; empty for the release itself."""


@dataclass(frozen=True)
class KnownDefect:
    """Something that is wrong with a corpus as everybody has it."""

    item: str
    """Segment id, or the id of a recording that is missing as a whole."""

    problem: str
    """One of the words above: what must be found for the defect to be met."""

    what: str
    """What is wrong, in words: ``its clip cannot be decoded``."""

    action: str
    """What an extraction does about it: ``its audio is left out``."""


@dataclass(frozen=True)
class Aside:
    """A file or an annotated item that is not taken, and why."""

    name: str
    reason: str

    origin: str = ""
    """File and row that name it; empty for a file that nothing names."""

    split: str = ""


@dataclass(frozen=True)
class Reading:
    """A corpus as it lies in a folder."""

    name: str
    root: Path

    arrangement: str
    """Which of the usual arrangements was found, in words."""

    items: pd.DataFrame
    """A row per annotated item that is asked for, with ``origin`` and the columns of a segment table except that ``audio``
    is where its file is or should be, relative to ``root``; ``label_*`` of the tasks, ``scheme_*``, ``extra_*``; and
    ``stated``: seconds by its time stamps, NaN where it has none."""

    tasks: tuple[Task, ...]

    counts: tuple[Count, ...] = ()
    """What should be there, in the order of the report."""

    defects: tuple[KnownDefect, ...] = ()

    orphans: tuple[Aside, ...] = ()
    """Audio and video files that no annotation names."""

    left_out: tuple[Aside, ...] = ()
    """Annotated items that are not asked for, such as those of other classes, or that cannot be placed."""

    notes: tuple[str, ...] = ()

    schemes: Mapping[str, Mapping] = field(default_factory=dict)
    """Families of folds among the ``scheme_*`` columns, as the facts of a store's head keep them, see features/schemes.py."""

    longest: float = 60.0
    """Seconds beyond which an item is taken for miscut."""


@dataclass(frozen=True)
class Adapter:
    """One dataset that ``--dataset`` names."""

    name: str

    title: str
    """What it is, in a line, for the list of datasets."""

    read: Callable[[Path, CorpusOptions], Reading]
    """Finds it in a folder. Raises CorpusError where nothing of the corpus is there."""

    max_seconds: float = 0.0
    """Longest audio input unless another is asked for; 0 for what holds for all."""

    max_tokens: int = 0
    """Longest text input unless another is asked for; 0 for what holds for all."""

    options: tuple[str, ...] = ()
    """Fields of CorpusOptions that it knows."""
