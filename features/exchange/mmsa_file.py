"""A feature file in the layout of MMSA, checked: a pickle of three splits, each of them a dictionary of arrays.

{"train": …, "valid": …, "test": …}      n segments each
id                      n texts, ``video$_$clip``
raw_text                n transcripts
text, audio, vision     (n, T, d) rows; what lies past a segment's length may be anything
text_lengths, audio_lengths, vision_lengths      (n,) valid rows; aligned files have none
text_bert               (n, 3, L) token numbers, mask and segment numbers
regression_labels       (n,) values; of single modalities regression_labels_T, _A and _V
classification_labels, annotations      (n,) numbers and names of classes
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import ExchangeError, shown
from ..splits import TEST, TRAIN, VALIDATION, kind_of_split
from .options import MODALITIES
from .unpickling import read_pickle

SPLITS = {TRAIN: "train", VALIDATION: "valid", TEST: "test"}  # what MMSA calls them
BETWEEN = "$_$"  # video and clip, in the id of a segment
OF_MODALITY = ("T", "A", "V")  # ends of the names of labels that are of one modality
LABELS = "regression_labels"
_LONGEST_TEXT = 100_000  # characters of a transcript


@dataclass(frozen=True)
class MmsaSplit:
    """One split; n segments."""

    name: str
    """``train``, ``val`` or ``test``."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    rows: Mapping[str, np.ndarray]
    """By modality (n, T, d) numbers, mapped from the file."""

    lengths: Mapping[str, np.ndarray]
    """By modality (n,) int64, where the file gives them."""

    mask: np.ndarray | None
    """(n, L) whether there is a token, from text_bert; None without it, or where tokens are not first."""

    values: Mapping[str, np.ndarray]
    """(n,) float64 labels; under the name ``""``, and under T, A and V those of single modalities."""

    annotations: tuple[str, ...] | None
    classes: np.ndarray | None
    """(n,) numbers of classes."""

    unread: tuple[str, ...]
    """What else is in the file."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class MmsaFile:
    """All of a file."""

    path: Path
    digest: str
    """SHA-256 of its bytes."""

    splits: tuple[MmsaSplit, ...]


def read_mmsa(path: Path) -> MmsaFile:
    """The feature file at ``path``. Raises ExchangeError, naming file, split and key, for one that is not as above."""
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise ExchangeError(f"{path}: holds {_kind(content)}, not splits by name")
    named = {SPLITS.get(kind_of_split(name)): each for name, each in content.items() if isinstance(name, str)}
    named |= {name: content[name] for name in SPLITS.values() if name in content}  # where dev stands beside valid
    absent = [name for name in SPLITS.values() if not isinstance(named.get(name), dict)]
    if absent:
        there = ", ".join(shown(name) for name in list(content)[:8]) or "nothing"
        raise ExchangeError(f"{path}: has no split {absent[0]}, only {there}; MMSA's files have train, valid and test")
    splits = tuple(_Reader(path, name, named[name]).split(own) for own, name in SPLITS.items())
    for what in ("rows", "values"):
        kinds = [set(getattr(split, what)) for split in splits]
        for split, other in zip(splits, kinds, strict=True):
            if other != kinds[0]:
                odd = min(other ^ kinds[0])
                key = odd if what == "rows" else f"{LABELS}{odd and '_' + odd}"
                raise ExchangeError(f"{path}: {key} is in one of train and {SPLITS[split.name]}, and not in the other")
    for key in splits[0].rows:
        sizes = [split.rows[key].shape[2] for split in splits]
        if len(set(sizes)) > 1:
            raise ExchangeError(f"{path}: {key} is {sizes[0]} values wide in train, and {sizes[1:]} in valid and test")
    _check_ids(path, splits)
    with open(path, "rb") as file:
        return MmsaFile(path, hashlib.file_digest(file, "sha256").hexdigest(), splits)


def _check_ids(path: Path, splits: tuple[MmsaSplit, ...]) -> None:
    seen: dict[str, str] = {}
    for split in splits:
        for each in split.ids:
            if each in seen:
                where = SPLITS[split.name] + (f" and {SPLITS[seen[each]]}" if seen[each] != split.name else ", twice")
                raise ExchangeError(f"{path}: id {shown(each)} is in {where}; a segment has an id of its own")
            seen[each] = split.name


@dataclass(frozen=True)
class _Reader:
    """One split of a file, which errors name."""

    path: Path
    name: str
    content: Mapping

    def split(self, own: str) -> MmsaSplit:
        ids = self.texts("id")
        if not ids:
            raise self.problem("id is missing, or empty")
        if "" in ids:
            raise self.problem(f"id of segment {ids.index('')} is empty")
        rows = {key: self.rows(key, len(ids)) for key in MODALITIES if self.content.get(key) is not None}
        if not rows:
            raise self.problem(f"has none of {', '.join(MODALITIES)}")
        lengths = {key: self.lengths(key, rows[key], ids) for key in rows if self.has(f"{key}_lengths")}
        keys = {"": LABELS, **{end: f"{LABELS}_{end}" for end in OF_MODALITY}}
        values = {end: self.numbers(key, len(ids)) for end, key in keys.items() if self.has(key)}
        classes = self.numbers("classification_labels", len(ids)) if self.has("classification_labels") else None
        annotations = self.texts("annotations", len(ids)) if self.has("annotations") else None
        if not values and classes is None and annotations is None:
            raise self.problem(f"has no labels: {LABELS} is missing")
        read = {"id", "raw_text", "text_bert", "annotations", "classification_labels", *keys.values()}
        read |= {*rows, *(f"{key}_lengths" for key in lengths)}
        return MmsaSplit(
            name=own,
            ids=ids,
            texts=self.texts("raw_text", len(ids)) if self.has("raw_text") else ("",) * len(ids),
            rows=rows,
            lengths=lengths,
            mask=self.mask(len(ids)) if self.has("text_bert") else None,
            values=values,
            annotations=annotations,
            classes=classes,
            unread=tuple(str(key) for key in self.content if key not in read),
        )

    def has(self, key: str) -> bool:
        """Whether there is something under a key."""
        value = self.content.get(key)
        size = value.size if isinstance(value, np.ndarray) else len(value) if isinstance(value, list | tuple) else 1
        return value is not None and size > 0

    def problem(self, said: str) -> ExchangeError:
        return ExchangeError(f"{self.path}: {self.name}: {said}")

    def array(self, key: str, segments: int | None = None, value: object = None) -> np.ndarray:
        """What is under a key, or ``value`` in its place, as an array of so many segments."""
        value = self.content.get(key) if value is None else value
        if isinstance(value, list | tuple):
            try:
                value = np.array(value)
            except ValueError as error:
                raise self.problem(f"{key} is ragged: its items have different shapes") from error
        if not isinstance(value, np.ndarray) or not value.ndim:
            raise self.problem(f"{key} must be an array, but is {_kind(value)}")
        if segments is not None and len(value) != segments:
            raise self.problem(f"{key} is of {len(value)} segments, and id of {segments}")
        return value

    def texts(self, key: str, segments: int | None = None) -> tuple[str, ...]:
        if not self.has(key):
            return ()
        value = self.content[key]
        if isinstance(value, list | tuple):  # an array of them would be as wide as the longest
            items = np.empty(len(value), object)
            for place, item in enumerate(value):
                items[place] = item
            value = items
        value = self.array(key, segments, value)
        if value.size != len(value):
            raise self.problem(f"{key} must be a text of each segment, but has the shape {value.shape}")
        read = tuple(_text(item) for item in value.reshape(-1).tolist())
        if any(len(text) > _LONGEST_TEXT for text in read):
            raise self.problem(f"{key} has a text of over {_LONGEST_TEXT:,} characters")
        return read

    def rows(self, key: str, segments: int) -> np.ndarray:
        value = self.array(key, segments)
        if value.dtype.kind == "O":
            raise self.problem(f"{key} is ragged: an array of objects; MMSA's are numbers of shape (n, T, d)")
        if value.dtype.kind not in "fiu" or value.ndim not in (2, 3):
            raise self.problem(f"{key} must be numbers of shape (n, T, d), but is {value.dtype} of shape {value.shape}")
        return value if value.ndim == 3 else value[:, None]

    def lengths(self, key: str, rows: np.ndarray, ids: tuple[str, ...]) -> np.ndarray:
        lengths = self.numbers(f"{key}_lengths", len(rows))
        wrong = np.flatnonzero(~((lengths >= 0) & (lengths <= rows.shape[1]) & (lengths == np.trunc(lengths))))
        if len(wrong):
            raise self.problem(
                f"{key}_lengths of {shown(ids[wrong[0]])} is {lengths[wrong[0]]:g}, and {key} has {rows.shape[1]} rows"
            )
        return lengths.astype(np.int64)

    def numbers(self, key: str, segments: int) -> np.ndarray:
        """(n,) float64"""
        value = self.array(key, segments)
        if value.dtype.kind == "O":
            try:
                value = value.astype(np.float64)
            except (TypeError, ValueError, OverflowError) as error:
                raise self.problem(f"{key} has something other than numbers") from error
        if value.dtype.kind not in "fiub" or value.size != len(value):
            raise self.problem(f"{key} must be a number of each segment, but is {value.dtype} of shape {value.shape}")
        value = value.reshape(-1).astype(np.float64)
        if np.isinf(value).any():
            raise self.problem(f"{key} has an infinite number")
        return value

    def mask(self, segments: int) -> np.ndarray | None:
        value = self.array("text_bert", segments)
        if value.dtype.kind not in "fiub" or value.ndim != 3 or value.shape[1] != 3:
            raise self.problem(f"text_bert must be numbers of shape (n, 3, L), but is {value.dtype} of {value.shape}")
        mask = np.asarray(value[:, 1] > 0)
        return mask if (mask[:, :-1] >= mask[:, 1:]).all() else None


def _text(item: object) -> str:
    while isinstance(item, list | tuple | np.ndarray) and len(item) == 1:
        item = item[0]
    text = item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
