"""MELD: dialogues of the series Friends, a clip for each utterance, with emotion, sentiment and speaker.

As downloaded it is one csv and one folder of clips for each split: ``train_sent_emo.csv`` and ``train_splits/``,
``dev_sent_emo.csv`` and ``dev_splits_complete/``, ``test_sent_emo.csv`` and ``output_repeated_splits_test/``, each archive
in a folder of its own or all of them in one. Clips are called ``dia12_utt3``; the same names occur in all splits.
Source: S. Poria et al., MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in Conversations, ACL 2019.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from ...errors import CorpusError
from ...features.splits import TEST, TRAIN, VALIDATION, kind_of_split
from ...features.tasks import Task
from .arranging import Listing, listing_of, preferred
from .checks import check_filled, integers
from .config import CorpusOptions
from .contract import (
    MISCUT,
    NO_AUDIO,
    NO_LENGTH,
    UNANNOTATED,
    UNREADABLE,
    Adapter,
    Aside,
    Count,
    KnownDefect,
    Reading,
)
from .dialogues import with_next
from .tables import CsvTable, read_csv

NAME = "meld"
EMOTION = Task("emotion", ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"), "segment")
SENTIMENT = Task("sentiment", ("negative", "neutral", "positive"), "segment")

# Columns by what they are called; the order differs between releases.
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID", "StartTime", "EndTime")
_CSV = {TRAIN: "train_sent_emo.csv", VALIDATION: "dev_sent_emo.csv", TEST: "test_sent_emo.csv"}
_FOLDER = {TRAIN: "train_splits", VALIDATION: "dev_splits_complete", TEST: "output_repeated_splits_test"}
_CLIP = re.compile(r"dia\d+_utt\d+", re.IGNORECASE)
_TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})[,.](\d{1,3})")
_ENDING = "cp1252"  # of older copies of the csv files, with typographic quotes
_LONGEST = 30.0  # seconds; all but the known ones are shorter

_ITEMS = {TRAIN: 9989, VALIDATION: 1109, TEST: 2610}
_DIALOGUES = {TRAIN: 1038, VALIDATION: 114, TEST: 280}
_SPEAKERS = {TRAIN: 260, VALIDATION: 47, TEST: 100}
_EMOTIONS = {
    TRAIN: (1109, 271, 268, 1743, 4710, 683, 1205),
    VALIDATION: (153, 22, 40, 163, 470, 111, 150),
    TEST: (345, 68, 50, 402, 1256, 208, 281),
}
_SENTIMENTS = {TRAIN: (2945, 4710, 2334), VALIDATION: (406, 470, 233), TEST: (833, 1256, 521)}

DEFECTS = (
    KnownDefect("train_dia60", UNANNOTATED, "train has no dialogue 60", "nothing is missing"),
    KnownDefect("train_dia125_utt3", UNREADABLE, "its clip cannot be decoded", "its audio is left out"),
    KnownDefect("train_dia309_utt0", MISCUT, "its clip has 41 s", "the beginning is heard"),
    KnownDefect("val_dia110_utt7", NO_AUDIO, "it has no clip", "its audio is left out"),
    KnownDefect("test_dia38_utt4", MISCUT, "its clip has 305 s", "the beginning is heard"),
    KnownDefect("test_dia220_utt0", MISCUT, "its clip has 235 s", "the beginning is heard"),
    KnownDefect("test_dia155_utt3", NO_LENGTH, "it ends when it begins", "what its clip holds is heard, if anything"),
)


def read(data_dir: Path, options: CorpusOptions) -> Reading:
    """Find MELD in a folder. Raises CorpusError where no csv of it is there, or one cannot be read."""
    listing = listing_of(data_dir)
    tables = {split: path for split, name in _CSV.items() if (path := listing.the_one(name))}
    if not tables:
        raise CorpusError(
            f"{data_dir}: holds none of {', '.join(_CSV.values())}; unpack MELD.Raw.tar.gz, or name its folder with --data"
        )
    clips = _clips(listing)
    notes = list(listing.notes)
    parts, orphans = [], []
    for split, name in _CSV.items():
        folders = clips.get(split, {})
        home = _chosen(folders, split, notes)
        if split not in tables:
            notes.append(f"{split}: there is no {name}, so the split is left out as a whole")
            reason = f"for there is no {name}"
            orphans += [Aside(path, reason, split=split) for found in folders.values() for path in found.values()]
            continue
        table = read_csv(data_dir / tables[split], _COLUMNS, otherwise=_ENDING)
        notes += table.notes
        part = _items(table, split, folders.get(home, {}), home)
        used = set(part["audio"])
        for folder, found in folders.items():
            reason = (
                "for no row of the csv names them"
                if folder == home
                else f"for the clips of {split} are those of {home}"
            )
            orphans += [Aside(path, reason, split=split) for path in found.values() if path not in used]
        parts.append(part)
    listed = {path for folders in clips.values() for found in folders.values() for path in found.values()}
    orphans += [Aside(path, "for they are not called as a clip") for path in listing.media if path not in listed]
    items = pd.concat(parts, ignore_index=True)
    items, following = with_next(items, EMOTION)
    return Reading(
        NAME,
        data_dir,
        _arrangement(tables, clips),
        items,
        (EMOTION, SENTIMENT, following),
        _counts(),
        DEFECTS,
        tuple(orphans),
        notes=tuple(notes),
        longest=_LONGEST,
    )


ADAPTERS = {
    NAME: Adapter(NAME, "MELD: dialogues of Friends, emotion and sentiment of each utterance", read, 6.0, 60),
}


def _clips(listing: Listing) -> dict[str, dict[str, dict[str, str]]]:
    """By split and folder the path of each clip by its name. A folder's split is told by its name, or by one above it."""
    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    for path in listing.media:
        name = PurePosixPath(path).stem.lower()
        split = _split_of(PurePosixPath(path).parent)
        if split and _CLIP.fullmatch(name):
            folder = str(PurePosixPath(path).parent)
            found.setdefault(split, {}).setdefault(folder, {}).setdefault(name, []).append(path)
    return {
        split: {folder: {name: preferred(paths) for name, paths in names.items()} for folder, names in folders.items()}
        for split, folders in found.items()
    }


def _split_of(folder: PurePosixPath) -> str:
    for part in reversed(folder.parts):
        for word in re.split(r"[^a-z]+", part.lower()):
            if kind := kind_of_split(word):
                return kind
    return ""


def _chosen(folders: Mapping[str, Mapping[str, str]], split: str, notes: list[str]) -> str:
    """The folder that the clips of a split are taken from: that of sound alone before that of video, then the fuller."""
    if not folders:
        return _FOLDER[split]

    def rank(folder: str) -> tuple:
        paths = folders[folder].values()
        is_sound = preferred(paths).lower().endswith((".wav", ".flac"))
        return (not is_sound, -len(folders[folder]), folder)

    home = min(folders, key=rank)
    for other in sorted(set(folders) - {home}):
        notes.append(f"{split}: clips are taken from {home}; those in {other} are not read")
    return home


def _items(table: CsvTable, split: str, clips: Mapping[str, str], folder: str) -> pd.DataFrame:
    rows = table.rows
    items = pd.DataFrame({"origin": table.origins, "split": split}, dtype=object)
    for column in ("Dialogue_ID", "Utterance_ID"):
        items[column] = rows[column].tolist()
        items[column] = integers(items, column, column)
    items["recording_id"] = [f"{split}_dia{number}" for number in items["Dialogue_ID"]]
    items["index"] = items["Utterance_ID"]
    names = [f"dia{one}_utt{other}" for one, other in zip(items["Dialogue_ID"], items["Utterance_ID"], strict=True)]
    items["segment_id"] = [f"{split}_{name}" for name in names]
    items["audio"] = [clips.get(name, f"{folder}/{name}.mp4") for name in names]
    items["text"], items["speaker"] = rows["Utterance"].tolist(), rows["Speaker"].tolist()
    for task, column in ((EMOTION, "Emotion"), (SENTIMENT, "Sentiment")):
        items[column] = [label.lower() for label in rows[column]]
        check_filled(items, column, column)
        for label, origin in zip(items[column], items["origin"], strict=True):
            if label not in task.classes:
                raise CorpusError(f"{origin}: {column} must be one of {', '.join(task.classes)}, but is {label!r:.80}")
        items[task.column] = items[column].map(task.classes.index)
    items["stated"] = [
        _seconds(end) - _seconds(start) for start, end in zip(rows["StartTime"], rows["EndTime"], strict=True)
    ]
    return items.drop(columns=["Dialogue_ID", "Utterance_ID", "Emotion", "Sentiment"])


def _seconds(text: str) -> float:
    """``00:16:16,059`` -> 976.059; NaN where it is none."""
    match = _TIME.fullmatch(text)
    if not match:
        return math.nan
    hours, minutes, seconds, fraction = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")


def _arrangement(tables: Mapping[str, str], clips: Mapping[str, Mapping[str, object]]) -> str:
    described = []
    for split, name in _CSV.items():
        table = tables.get(split, f"no {name}")
        folders = " and ".join(sorted(clips.get(split, ()))) or "no folder of clips"
        described.append(f"{split} of {table} and {folders}")
    return "found " + "; ".join(described)


def _counts() -> tuple[Count, ...]:
    counts = [Count({"split": split}, number) for split, number in _ITEMS.items()]
    counts += [Count({"split": split}, number, "recording") for split, number in _DIALOGUES.items()]
    counts += [Count({"split": split}, number, "speaker") for split, number in _SPEAKERS.items()]
    for task, numbers in ((EMOTION, _EMOTIONS), (SENTIMENT, _SENTIMENTS)):
        for split, each in numbers.items():
            counts += [
                Count({"split": split, task.name: name}, number)
                for name, number in zip(task.classes, each, strict=True)
            ]
    return tuple(counts)
