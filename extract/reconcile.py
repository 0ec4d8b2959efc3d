"""A public corpus as it is, held against what it should be: before anything is computed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import AudioError
from ..progress import Track, silent
from .corpora.contract import (
    DUPLICATE,
    LONGER,
    MISCUT,
    NO_AUDIO,
    NO_LENGTH,
    NO_TEXT,
    UNANNOTATED,
    UNREADABLE,
    Count,
    KnownDefect,
    Reading,
)
from .digests import same_sounds
from .sound import audio

_TOLERANCE = 1.0  # seconds that a clip may be longer than its time stamps say,
_SHARE = 1.5  # or this many times as long: cuts fall on key frames of the video
_AT_ONCE = 256  # files that are handed to the threads together
# What keeps the audio of an item from being used.
FATAL = (NO_AUDIO, UNREADABLE)

ACTIONS = {
    NO_AUDIO: "listed, without audio features",
    UNREADABLE: "listed, without audio features",
    MISCUT: "taken, cut at the longest input",
    NO_LENGTH: "taken as its file is",
    LONGER: "taken as its file is, cut at the longest input",
    DUPLICATE: "taken; refused where the other is in another split",
    NO_TEXT: "taken, with an empty text",
}
TAKEN, LEFT_OUT, SPLIT_LEFT_OUT = "taken", "left out", "left out with its split"


@dataclass(frozen=True)
class Counted:
    """An expected count beside what was found."""

    count: Count
    annotated: int

    usable: int
    """Of these, items of which the audio can be used; recordings and speakers that have such an item."""

    @property
    def is_off(self) -> bool:
        """Whether the annotation is not that of the release; a disputed count is never off."""
        return not self.count.source and self.annotated != self.count.expected


@dataclass(frozen=True)
class Met:
    """A known defect, and whether it is there."""

    defect: KnownDefect

    is_met: bool | None
    """None where the item, or what could tell, is not there at all."""


@dataclass(frozen=True)
class Reconciled:
    """What was found."""

    reading: Reading

    items: pd.DataFrame
    """The items of the reading with ``seconds`` by the header of the file, or as decoded, ``problems`` (a tuple of words
    of corpora/contract.py), ``details`` (for each what the decoder says, or which other file, or nothing) and ``action`` of an extraction."""

    counts: tuple[Counted, ...]
    defects: tuple[Met, ...]

    are_decoded: bool

    @property
    def problems(self) -> dict[str, int]:
        """How many items have each problem, the most frequent first."""
        return dict(Counter(word for words in self.items["problems"] for word in words).most_common())

    @property
    def unexpected(self) -> pd.DataFrame:
        """The items with a problem that is not that of a known defect."""
        known = {(met.defect.item, met.defect.problem) for met in self.defects}
        is_new = [
            any((name, word) not in known for word in words)
            for name, words in zip(self.items["segment_id"], self.items["problems"], strict=True)
        ]
        return self.items[np.array(is_new, bool)]

    @property
    def is_in_order(self) -> bool:
        """Whether nothing is off besides what is known to be."""
        return not (len(self.unexpected) or self.reading.orphans or any(each.is_off for each in self.counts))


def reconcile(reading: Reading, track: Track = silent, decode: bool = False, threads: int = 0) -> Reconciled:
    """Look at every file of a reading: by its header, or with ``decode`` by decoding all of it.

    Files are read in parallel, by ``threads`` or one for each core. Nothing is written.
    """
    paths = list(dict.fromkeys(reading.items["audio"]))
    look = _decoded if decode else _header
    looked = _looked_at([reading.root / path for path in paths], look, track, threads, decode)
    of_path = dict(zip(paths, looked, strict=True))
    homes = same_sounds(reading.root, paths, track)
    first = dict(zip(reading.items["audio"], reading.items["segment_id"], strict=True))
    problems, details, seconds = [], [], []
    rows = reading.items
    stated, starts, ends = (rows[name] if name in rows else [np.nan] * len(rows) for name in ("stated", "start", "end"))
    for path, text, claimed, start, end in zip(rows["audio"], rows["text"], stated, starts, ends, strict=True):
        problem, length = of_path[path]
        said: dict[str, str] = {}  # by the word for a problem what else there is to say of it
        if problem:
            said |= {NO_AUDIO: ""} if problem == _ABSENT else {UNREADABLE: problem}
        is_stretch = not (np.isnan(start) and np.isnan(end))
        if is_stretch and length is not None:
            length = (length if np.isnan(end) else end) - (0.0 if np.isnan(start) else start)
        said |= dict.fromkeys(_of_lengths(claimed, length, reading.longest), "")
        if homes[path] != path and not is_stretch:
            said[DUPLICATE] = f"as {first[homes[path]]}"
        if not text:
            said[NO_TEXT] = ""
        problems.append(tuple(said))
        details.append(tuple(said.values()))
        seconds.append(np.nan if length is None else length)
    items = reading.items.assign(problems=problems, details=details, seconds=seconds)
    items["action"] = _actions(items)
    counts = tuple(_counted(items, count, reading) for count in reading.counts)
    defects = tuple(Met(defect, _is_met(items, defect, decode)) for defect in reading.defects)
    return Reconciled(reading, items, counts, defects, decode)


_ABSENT = "there is no such file"  # as audio.problem_of says it


def _header(path: Path) -> tuple[str | None, float | None]:
    header = audio.header_of(path)
    return header.problem, header.seconds


def _decoded(path: Path) -> tuple[str | None, float | None]:
    problem = audio.problem_of(path)
    if problem:
        return problem, None
    try:
        return None, audio.decoded_seconds(path)
    except AudioError as error:
        return str(error), None


def _looked_at(
    paths: Sequence[Path], look: Callable, track: Track, threads: int, decode: bool
) -> list[tuple[str | None, float | None]]:
    doing = "decoding" if decode else "reading headers"
    found: list = []
    with (
        ThreadPoolExecutor(threads or os.cpu_count()) as pool,
        track(doing, total=len(paths), unit="files") as advance,
    ):
        for start in range(0, len(paths), _AT_ONCE):
            piece = list(pool.map(look, paths[start : start + _AT_ONCE]))
            found += piece
            advance(len(piece))
    return found


def _of_lengths(stated: float, seconds: float | None, longest: float) -> list[str]:
    words = []
    if stated <= 0:
        words.append(NO_LENGTH)
    if max(seconds or 0.0, stated if stated > 0 else 0.0) > longest:
        words.append(MISCUT)
    elif seconds is not None and stated > 0 and seconds > max(stated * _SHARE, stated + _TOLERANCE):
        words.append(LONGER)
    return words


def _actions(items: pd.DataFrame) -> list[str]:
    """What an extraction would do of each item, as reading.corpus_of does it."""
    lacks = np.array([NO_AUDIO in words for words in items["problems"]], bool)
    absent = {
        split for split, all_lack in pd.Series(lacks).groupby(items["split"].to_numpy()).all().items() if all_lack
    }
    actions = []
    for split, words in zip(items["split"], items["problems"], strict=True):
        if split in absent:
            actions.append(SPLIT_LEFT_OUT)
        else:
            worst = next((word for word in (*FATAL, *ACTIONS) if word in words), None)
            actions.append(ACTIONS[worst] if worst else TAKEN)
    return actions


def _counted(items: pd.DataFrame, count: Count, reading: Reading) -> Counted:
    chosen = np.ones(len(items), bool)
    for column, value in count.where.items():
        chosen &= _is(items, column, value, reading)
    usable = chosen & np.array([not set(words) & set(FATAL) for words in items["problems"]], bool)
    column = {"recording": "recording_id", "speaker": "speaker"}.get(count.unit)
    if column is None:
        return Counted(count, int(chosen.sum()), int(usable.sum()))
    return Counted(count, items[column][chosen].nunique(), items[column][usable].nunique())


def _is(items: pd.DataFrame, column: str, value: str, reading: Reading) -> np.ndarray:
    task = next((task for task in reading.tasks if task.name == column), None)
    if task is not None:
        return (
            (items[task.column] == task.classes.index(value)).to_numpy()
            if value in task.classes
            else np.zeros(len(items), bool)
        )
    return (items[column] == value).to_numpy()


def _is_met(items: pd.DataFrame, defect: KnownDefect, are_decoded: bool) -> bool | None:
    rows = items[(items["segment_id"] == defect.item) | (items["recording_id"] == defect.item)]
    if defect.problem == UNANNOTATED:
        return not len(rows)
    if not len(rows):
        return None
    lacks = all(NO_AUDIO in words for words in rows["problems"])
    if lacks and (defect.problem == UNREADABLE or (rows["action"] == SPLIT_LEFT_OUT).all()):
        return None
    is_found = any(defect.problem in words for words in rows["problems"])
    return None if defect.problem == UNREADABLE and not is_found and not are_decoded else is_found
