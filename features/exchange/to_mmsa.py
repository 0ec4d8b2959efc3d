"""A store as a feature file in MMSA's layout, see mmsa_file.py, written row by row.

Letters: n segments of a split, T rows of the longest, d values of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import ExchangeError, SettingError
from ...progress import Track, silent
from ...shown import as_line
from ..schemes import STANDARD
from ..segments import ORIGINAL
from ..splits import kind_of_split
from ..store import FeatureStore
from ..tasks import Task
from .aside import check_room, in_gigabytes, made_aside, memory_bytes
from .chosen import Chosen, Exported, choose_feature, choose_rows, choose_task, of_modality, with_all_of
from .mmsa_file import BETWEEN, LABELS, OF_MODALITY, SPLITS
from .options import MODALITIES, NONE, MmsaExportOptions
from .pickling import Streamed, pickled

_SIGNS = ("Negative", "Neutral", "Positive")  # what MMSA calls values below, at and above zero
_ROWS_AT_ONCE = 1 << 16  # of padding that is written at once

Tokenize = Callable[[str], Sequence[int]]
"""The numbers of a text's tokens, special ones included."""


def export_mmsa(
    store: FeatureStore,
    path: Path,
    options: MmsaExportOptions = MmsaExportOptions(),  # noqa: B008  frozen
    scheme: str = STANDARD,
    views: Sequence[str] = (ORIGINAL,),
    tokenize: Tokenize | None = None,
    overwrite: bool = False,
    track: Track = silent,
) -> Exported:
    """Write a store's features, labels and transcripts as MMSA reads them.

    With ``tokenize``, text_bert holds the tokens of the transcripts; without, zeros under a true mask. Raises
    ExchangeError or SettingError, and writes nothing, where the store lacks something that MMSA needs.
    """
    features = _features(store, options)
    task = choose_task(store.tasks, options.task, store.path)
    chosen = with_all_of(store, choose_rows(store, scheme, views), [name for name in features.values() if name], task)
    splits = _named_as_mmsa_does(store, chosen)
    rows = np.concatenate(list(splits.values()))
    inputs = {key: _Input.of(store, key, name, options, rows) for key, name in features.items()}
    labels = _Labels.of(store, task, options)
    tokens = _Tokens(store, inputs["text"], tokenize, rows)
    size = sum(each.bytes_of(len(rows)) for each in inputs.values())
    check_room(path, size, "cut segments with --max-rows, or write it elsewhere")
    exported = Exported(path)
    with made_aside(path, overwrite) as aside, track("export", total=len(rows), unit="segments") as advance:
        content = {name: _split(store, own, inputs, labels, tokens, advance) for name, own in splits.items()}
        with open(aside, "wb", buffering=1 << 20) as file:
            for piece in pickled(content):
                file.write(piece)
    exported.lines += chosen.lines
    exported.lines += [each.line for each in inputs.values()]
    exported.lines += [labels.line, tokens.line]
    counts = ", ".join(f"{len(own)} {name}" for name, own in splits.items())
    written = path.stat().st_size
    exported.lines.append(f"{path}: segments {counts}; {in_gigabytes(written)}, which MMSA reads whole")
    if 2 * size > memory_bytes() > 0:  # MMSA makes a copy
        exported.lines.append(
            f"that is more than this machine's {in_gigabytes(memory_bytes())} of memory hold twice, as MMSA does: cut"
            " segments with --max-rows, or train on a larger one"
        )
    return exported


def _features(store: FeatureStore, options: MmsaExportOptions) -> dict[str, str]:
    """By modality the name of the feature; empty for zeros."""
    found = {}
    for key in MODALITIES:
        asked = getattr(options, key)
        found[key] = "" if asked == NONE else choose_feature(store, key, asked)
        if not found[key] and asked != NONE and key != "vision":
            there = ", ".join(store.specs) or "nothing"
            raise ExchangeError(
                f"{store.path}: has no feature of {key}, it holds {there}: name one with --{key}, or none for zeros"
            )
    if not any(found.values()):
        raise ExchangeError(f"{store.path}: no feature is left to export")
    return found


def _named_as_mmsa_does(store: FeatureStore, chosen: Chosen) -> dict[str, np.ndarray]:
    """The rows of train, valid and test."""
    found: dict[str, list[str]] = {name: [] for name in SPLITS.values()}
    for name in chosen.splits:
        kind = kind_of_split(name)
        if kind:
            found[SPLITS[kind]].append(name)
        else:
            chosen.lines.append(f"left out: {len(chosen.splits[name])} segments of split {as_line(name)}")
    splits = {}
    for name, own in found.items():
        if len(own) > 1:
            raise ExchangeError(f"{store.path}: splits {' and '.join(map(as_line, own))} would both be MMSA's {name}")
        splits[name] = chosen.splits[own[0]] if own else np.empty(0, int)
        if not len(splits[name]):
            there = ", ".join(f"{as_line(each)} {len(rows)}" for each, rows in chosen.splits.items())
            raise ExchangeError(
                f"{store.path}: has no segments for MMSA's split {name} ({there}): choose another --scheme, or make one"
                " with msmt split"
            )
    return splits


@dataclass(frozen=True)
class _Input:
    """One modality of the file."""

    store: FeatureStore
    key: str
    feature: str
    """Empty for zeros."""

    rows: int
    """Of every segment, padding included (T)."""

    width: int
    cut: int
    """Segments that lose rows."""

    @classmethod
    def of(cls, store: FeatureStore, key: str, feature: str, options: MmsaExportOptions, rows: np.ndarray) -> _Input:
        if not feature:
            return cls(store, key, "", 1, 1, 0)
        lengths = store.lengths(feature)[rows]
        most = options.most_rows(key, int(lengths.max()))
        return cls(store, key, feature, max(1, most), store.specs[feature].width, int((lengths > most).sum()))

    def bytes_of(self, segments: int) -> int:
        return segments * self.rows * self.width * 4

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """(n,) int64 valid rows."""
        if not self.feature:
            return np.ones(len(rows), np.int64)
        return np.minimum(self.store.lengths(self.feature)[rows], self.rows).astype(np.int64)

    def values(self, rows: np.ndarray, advance: Callable[[int], None]) -> Streamed:
        """(n, T, d) float32, zeros past the lengths."""

        def pieces() -> Iterator[np.ndarray]:
            for row in rows.tolist():
                own = self.store.read(self.feature, row)[: self.rows] if self.feature else np.empty((0, self.width))
                yield own.astype(np.float32)
                yield np.zeros((self.rows - len(own), self.width), np.float32)
                advance(1)

        return Streamed((len(rows), self.rows, self.width), "f4", pieces)

    @property
    def line(self) -> str:
        if not self.feature:
            return f"{self.key}: zeros, one row of one value"
        cut = f"; {self.cut} segments are cut there" if self.cut else ""
        return f"{self.key}: {self.feature}, {self.rows} rows of {self.width} values{cut}"


@dataclass(frozen=True)
class _Labels:
    """What MMSA is to predict."""

    store: FeatureStore
    task: Task
    classes: Task | None
    """None for the signs of values."""

    singles: Mapping[str, Task]
    """Tasks of single modalities, by their letter."""

    @classmethod
    def of(cls, store: FeatureStore, task: Task, options: MmsaExportOptions) -> _Labels:
        named = {each.name: each for each in store.tasks}
        classes = None
        if options.classes:
            classes = choose_task(store.tasks, options.classes, store.path, "classes")
            if classes.is_value:
                raise SettingError(f"task {as_line(classes.name)} has values and no classes: choose another --classes")
        elif not task.is_value:
            classes = task
        letters = {letter: of_modality(task, named, letter) for letter in OF_MODALITY}
        return cls(store, task, classes, {letter: named[name] for letter, name in letters.items() if name})

    def of_rows(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        table = self.store.segments
        values = table[self.task.column].to_numpy()[rows].astype(np.float32)
        if self.classes is None:
            numbers = np.sign(values).astype(np.int64) + 1
            names = _SIGNS
        else:
            numbers = table[self.classes.column].to_numpy()[rows].astype(np.int64)
            names = self.classes.classes
        named = _texts([names[number] if number >= 0 else "" for number in numbers])
        found = {"annotations": named, "classification_labels": numbers, LABELS: values}
        for letter, task in self.singles.items():
            found[f"{LABELS}_{letter}"] = table[task.column].to_numpy()[rows].astype(np.float32)
        return found

    @property
    def line(self) -> str:
        name = as_line(self.task.name)
        if not self.task.is_value:
            numbered = ", ".join(f"{place} = {as_line(each)}" for place, each in enumerate(self.task.classes))
            return f"{LABELS}: the numbers of the classes of {name} ({numbered}), for MMSA predicts values"
        classes = f"classes of {as_line(self.classes.name)}" if self.classes else "classes by its sign"
        singles = "".join(f"; _{letter} {as_line(task.name)}" for letter, task in self.singles.items())
        return f"{LABELS}: {name}{singles}; {classes}"


class _Tokens:
    """text_bert: (n, 3, L) token numbers, mask and segment numbers."""

    def __init__(self, store: FeatureStore, text: _Input, tokenize: Tokenize | None, rows: np.ndarray) -> None:
        self.text, self.numbers = text, None
        self.length = text.rows
        if tokenize is not None:
            texts = store.segments["text"].to_numpy()
            self.numbers = {int(row): np.array(tokenize(texts[row]), np.int64) for row in rows}
            self.length = max(1, max(map(len, self.numbers.values())))

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        values = np.zeros((len(rows), 3, self.length), np.int32)
        if self.numbers is None:
            values[:, 1] = np.arange(self.length) < self.text.lengths(rows)[:, None]
            return values
        for place, row in enumerate(rows.tolist()):
            own = self.numbers[row]
            values[place, 0, : len(own)], values[place, 1, : len(own)] = own, 1
        return values

    @property
    def line(self) -> str:
        if self.numbers is None:
            return (
                "text_bert: zeros in place of tokens, under a true mask: networks that run BERT themselves (use_bert)"
                " would see no words; --tokenizer gives them some"
            )
        return f"text_bert: tokens of the transcripts, up to {self.length}"


def _split(
    store: FeatureStore,
    rows: np.ndarray,
    inputs: Mapping[str, _Input],
    labels: _Labels,
    tokens: _Tokens,
    advance: Callable[[int], None],
) -> dict[str, object]:
    """One split, as MMSA reads it."""
    table = store.segments.iloc[rows]
    content: dict[str, object] = {
        "raw_text": _texts(table["text"]),
        "id": _texts(_ids(table)),
        "text_bert": tokens.of_rows(rows),
    }
    first = next(key for key, each in inputs.items() if each.feature)  # progress counts its segments alone
    for key, each in inputs.items():
        content[key] = each.values(rows, advance if key == first else lambda count: None)
        content[f"{key}_lengths"] = each.lengths(rows)
    return {**content, **labels.of_rows(rows)}


def _ids(table) -> list[str]:
    """``video$_$clip`` of each row; a view has its name at the video's, so that it has an id of its own."""
    columns = (table[name].tolist() for name in ("recording_id", "index", "view"))
    return [
        f"{video}{'' if view == ORIGINAL else f'~{view}'}{BETWEEN}{index}"
        for video, index, view in zip(*columns, strict=True)
    ]


def _texts(items: Sequence[str]) -> np.ndarray:
    """(n,) texts, each an object, for one long text would make an array of characters huge."""
    values = np.empty(len(items), object)
    values[:] = list(items)
    return values
