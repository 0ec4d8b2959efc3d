"""A store from a feature file in MMSA's layout, see mmsa_file.py: rows, splits, texts and labels, block by block."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import DamageError, ExchangeError, SettingError, StoreError
from ...progress import Track, silent
from ...shown import as_line
from ..durable import writer_lock
from ..opening import open_store, writer_for
from ..rows import BLOCK_ROWS, Row, block_range, identity_of
from ..segments import segment_table
from ..spec import FeatureSpec
from ..tasks import NO_LABEL, SCALES, Task
from .aside import check_place, made_aside
from .mmsa_file import BETWEEN, MmsaFile, MmsaSplit, read_mmsa
from .options import AUTO, NONE, MmsaImportOptions

LABEL, ANNOTATION = "label", "annotation"  # tasks
KIND = "imported"  # of the features' specs
FACT = "imported"  # in the facts of the store's head
_UNITS = {"audio": "frame", "text": "token", "vision": "frame"}
_USUAL_CLASSES = ("Negative", "Weakly Negative", "Neutral", "Weakly Positive", "Positive")
_INDEX = re.compile(r"\d{1,9}")
_BRACKETED = re.compile(r"(.+)\[(\d{1,9})\]")


@dataclass
class Imported:
    """What became of a file."""

    path: Path
    """The store."""

    lines: list[str] = field(default_factory=list)
    """What was read, what was left out and why, for the screen."""


def import_mmsa(
    source: Path,
    path: Path,
    options: MmsaImportOptions = MmsaImportOptions(),  # noqa: B008  frozen
    overwrite: bool = False,
    track: Track = silent,
) -> Imported:
    """Make a store at ``path`` of the feature file ``source``.

    Raises ExchangeError for a file that is not in the layout, and leaves no store then.
    """
    with ExitStack() as held:
        check_place(path, overwrite, _is_store)
        if path.exists():
            held.enter_context(writer_lock(path))  # until the new store is in its place
        aside = held.enter_context(made_aside(path, overwrite, _is_store))
        file = read_mmsa(source)
        imported = Imported(path, [_about(file)])
        features = {}
        for key in file.splits[0].rows:
            reason = _why_not(file, key, options)
            if reason:
                imported.lines.append(f"{key}: left out, {reason}")
            else:
                features[options.names[key]] = _Feature(file, key)
        if not features:
            raise ExchangeError(f"{source}: nothing is left to import ({'; '.join(imported.lines[1:])})")
        tasks, labels = _tasks(file, options)
        places, table = _table(file, tasks, labels)
        specs = {name: feature.spec for name, feature in features.items()}
        lengths = {name: feature.lengths_at(places) for name, feature in features.items()}
        facts = {FACT: {"layout": "mmsa", "file": source.name, "sha256": file.digest}}
        with writer_for(aside) as writer:
            writer.prepare(options.name, tasks, table, specs, lengths, facts=facts)
            for name, feature in features.items():
                with track(name, total=len(places), unit="segments") as advance:
                    for block in range(-(-len(places) // BLOCK_ROWS)):
                        rows = block_range(block, len(places))
                        writer.commit(name, block, {row: feature.row(*places[row]) for row in rows})
                        advance(len(rows))
                imported.lines += feature.lines(name, lengths[name])
            writer.vouch_for(features)
            writer.finish()
        imported.lines += [_about_task(task, table) for task in tasks]
        unread = sorted({key for split in file.splits for key in split.unread})
        if unread:
            imported.lines.append(f"not imported: {as_line(', '.join(unread))}")
    return imported


def _is_store(path: Path) -> bool:
    try:
        open_store(path)
    except DamageError:
        return True  # of a store of msmt, which may be replaced
    except StoreError:
        return False
    return True


class _Feature:
    """The rows of one modality, as the file has them."""

    def __init__(self, file: MmsaFile, key: str) -> None:
        self.file, self.key = file, key
        self.lengths, self.measure = _lengths_of(file.splits, key)
        self.is_vector = max(split.rows[key].shape[1] for split in file.splits) == 1
        self.odd = {"-inf": [0, 0], "+inf or no numbers": [0, 0]}
        """Values, and segments that have such."""

    @property
    def spec(self) -> FeatureSpec:
        arrays = [split.rows[self.key] for split in self.file.splits]
        return FeatureSpec(
            modality=self.key,
            encoder=self.file.path.name,
            encoder_class="MMSA",
            weights=f"sha256:{self.file.digest}",
            width=arrays[0].shape[2],
            max_rows=max(array.shape[1] for array in arrays),
            padding=self.measure,
            dtype="float32",
            kind=KIND,
            unit="vector" if self.is_vector else _UNITS[self.key],
            options={"layout": "mmsa", "key": self.key},
        )

    def lengths_at(self, places: Sequence[tuple[int, int]]) -> np.ndarray:
        return np.array([max(1, self.lengths[split][place]) for split, place in places], int)

    def row(self, split: int, place: int) -> Row:
        """The valid rows of a segment, by its split and its place in it."""
        length = self.lengths[split][place]
        stored = self.file.splits[split].rows[self.key][place, :length]
        with np.errstate(over="ignore"):
            values = np.array(stored, np.float32) if length else np.zeros((1, stored.shape[1]), np.float32)
        if not np.isfinite(values).all():
            below = values == -np.inf
            for name, where in {"-inf": below, "+inf or no numbers": ~np.isfinite(values) & ~below}.items():
                self.odd[name][0] += int(where.sum())
                self.odd[name][1] += bool(where.any())
            values = np.where(np.isfinite(values), values, np.float32(0))
        segment = self.file.splits[split].ids[place]
        return Row(values, identity_of("mmsa", self.file.digest, self.key, segment))

    def lines(self, name: str, lengths: np.ndarray) -> list[str]:
        """What to say of it once all rows are written."""
        spec = self.spec
        shape = (
            f"{spec.width} values" if self.is_vector else f"up to {lengths.max()} {spec.unit}s of {spec.width} values"
        )
        lines = [f"{name}: {shape} (float32), {self.measure}"]
        empty = sum(int((each == 0).sum()) for each in self.lengths)
        if empty:
            lines.append(f"{name}: {empty} segments have no rows; one row of zeros stands for them")
        for kind, (values, segments) in self.odd.items():
            if values:
                lines.append(f"{name}: {values:,} values of {segments} segments are {kind}; they are 0 now")
        return lines


def _lengths_of(splits: Sequence[MmsaSplit], key: str) -> tuple[list[np.ndarray], str]:
    """By split (n,) the valid rows of each segment, and how they were found."""
    if all(key in split.lengths for split in splits):
        return [split.lengths[key] for split in splits], f"lengths as {key}_lengths says"
    if all(split.rows[key].shape[1] == 1 for split in splits):
        return [np.ones(len(split), np.int64) for split in splits], "one row each"
    masked = [split.mask is not None and split.mask.shape[1] == split.rows[key].shape[1] for split in splits]
    if all(masked):
        lengths = [split.mask.sum(axis=1).astype(np.int64) for split in splits]
        # Encoders of text fill what is behind the mask; anything else that is aligned to tokens has nothing there.
        if key == "text" or not any(
            split.rows[key][place, length:].any()
            for split, own in zip(splits, lengths, strict=True)
            for place, length in enumerate(own)
        ):
            return lengths, "lengths as the mask of text_bert says"
    return [
        _until_zero(split.rows[key]) for split in splits
    ], "without lengths: up to the last row that is not all zero"


def _until_zero(rows: np.ndarray) -> np.ndarray:
    """(n,) int64 the rows of each segment up to the last that has a value."""
    lengths = np.zeros(len(rows), np.int64)
    for place, values in enumerate(rows):
        filled = np.flatnonzero(values.any(axis=1))
        lengths[place] = filled[-1] + 1 if len(filled) else 0
    return lengths


def _why_not(file: MmsaFile, key: str, options: MmsaImportOptions) -> str:
    """Why a modality is not imported; empty where it is."""
    if options.names[key] == NONE:
        return "as asked"
    arrays = [split.rows[key] for split in file.splits]
    if not all(array.shape[1] and array.shape[2] for array in arrays):
        return f"it has the shape {arrays[0].shape}"
    if not any(values.any() for array in arrays for values in array):
        return "all of it is zero"
    return ""


def _tasks(file: MmsaFile, options: MmsaImportOptions) -> tuple[tuple[Task, ...], dict[str, list[np.ndarray]]]:
    """The tasks, and by task the labels of each split."""
    tasks, labels = [], {}
    ends = list(file.splits[0].values)
    reach = max((np.nanmax(np.abs(split.values[end]), initial=0) for split in file.splits for end in ends), default=0)
    scale = _scale_of(reach, options.scale)
    for end in ends:
        task = Task(f"{LABEL}_{end}" if end else LABEL, level="segment", scale=scale)
        tasks.append(task)
        labels[task.name] = [split.values[end] for split in file.splits]
    classes, numbers = _classes(file)
    if len(classes) > 1:
        tasks.append(Task(ANNOTATION, classes, "segment"))
        labels[ANNOTATION] = numbers
    if not tasks:
        raise ExchangeError(f"{file.path}: every segment has the same label, so nothing can be learnt")
    return tuple(tasks), labels


def _scale_of(reach: float, asked: str) -> str:
    """The scale of values of which the largest is ``reach``, whatever its sign."""
    if asked == NONE:
        return ""
    if asked != AUTO:
        if reach > SCALES[asked]:
            raise SettingError(
                f"scale {asked} is from {-SCALES[asked]:g} to {SCALES[asked]:g}, but a label is {reach:g}"
            )
        return asked
    fitting = [scale for scale in sorted(SCALES, key=SCALES.get) if reach <= SCALES[scale]]
    return fitting[0] if fitting else ""


def _classes(file: MmsaFile) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """The classes of annotations, or of class numbers where there are none, and by split their indexes."""
    if all(split.annotations is not None for split in file.splits):
        named = [np.array(split.annotations, object) for split in file.splits]
    elif all(split.classes is not None for split in file.splits):
        named = [np.array([_number_shown(number) for number in split.classes], object) for split in file.splits]
    else:
        return (), []
    found = dict.fromkeys(name for names in named for name in names if name not in ("", "nan", "None"))
    numbers: dict[str, set[float]] = {name: set() for name in found}
    for split, names in zip(file.splits, named, strict=True):
        for name, number in zip(names, () if split.classes is None else split.classes, strict=False):
            if name in numbers:
                numbers[name].add(number)
    if found and all(len(each) == 1 for each in numbers.values()) and len(set.union(*numbers.values())) == len(found):
        order = sorted(found, key=lambda name: min(numbers[name]))
    else:
        usual = {name.casefold(): place for place, name in enumerate(_USUAL_CLASSES)}
        order = sorted(found, key=lambda name: (usual.get(name.casefold(), len(usual)), name))
    index = {name: place for place, name in enumerate(order)}
    return tuple(order), [np.array([index.get(name, NO_LABEL) for name in names], np.int32) for names in named]


def _number_shown(number: float) -> str:
    return "" if np.isnan(number) else f"{number:g}"


def _table(
    file: MmsaFile, tasks: Sequence[Task], labels: Mapping[str, Sequence[np.ndarray]]
) -> tuple[list[tuple[int, int]], pd.DataFrame]:
    """Where the segment of each row of the store stands in the file, by split and place, and the segment table."""
    rows = []
    for number, split in enumerate(file.splits):
        order = {name: place for place, name in enumerate(dict.fromkeys(_parts(each)[0] for each in split.ids))}
        for place, each in enumerate(split.ids):
            video, clip = _parts(each)
            rows.append((number, order[video], _rank(clip), place, video, clip, each))
    rows.sort(key=lambda row: row[:4])
    places = [(row[0], row[3]) for row in rows]
    columns = {
        "segment_id": [row[6] for row in rows],
        "recording_id": [row[4] for row in rows],
        "index": _indexes([(row[4], row[5]) for row in rows]),
        "split": [file.splits[split].name for split, _ in places],
        "audio": [""] * len(rows),
        "text": [file.splits[split].texts[place] for split, place in places],
        **{task.column: [labels[task.name][split][place] for split, place in places] for task in tasks},
    }
    return places, segment_table(pd.DataFrame(columns), tasks)


def _parts(segment: str) -> tuple[str, str]:
    """Video and clip of an id such as ``video$_$clip`` or ``video[3]``; of any other the whole, and clip 0."""
    if BETWEEN in segment:
        video, _, clip = segment.rpartition(BETWEEN)
        return (video, clip) if video else (segment, "0")
    match = _BRACKETED.fullmatch(segment)
    return (match[1], match[2]) if match else (segment, "0")


def _rank(clip: str) -> tuple:
    """Clips in the order of their numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,18})", clip)]


def _indexes(parts: Sequence[tuple[str, str]]) -> list[int]:
    """The numbers of clips; where a video has one that is no number, or two that are equal, its clips are counted."""
    clips: dict[str, list[str]] = {}
    for video, clip in parts:
        clips.setdefault(video, []).append(clip)
    numbered = {
        video: all(_INDEX.fullmatch(clip) for clip in own) and len(set(map(int, own))) == len(own)
        for video, own in clips.items()
    }
    ranks = {
        video: {clip: place for place, clip in enumerate(sorted(own, key=_rank))}
        for video, own in clips.items()
        if not numbered[video]
    }
    return [int(clip) if numbered[video] else ranks[video][clip] for video, clip in parts]


def _about(file: MmsaFile) -> str:
    counts = ", ".join(f"{len(split)} {split.name}" for split in file.splits)
    return f"{file.path}: segments {counts}; sha256 {file.digest}"


def _about_task(task: Task, table: pd.DataFrame) -> str:
    labels = table[task.column].to_numpy()
    if task.is_value:
        known = labels[~np.isnan(labels)]
        lacking = f"; {len(labels) - len(known)} segments have none" if len(known) < len(labels) else ""
        span = f"{known.min():g} to {known.max():g}" if len(known) else "none"
        return f"task {task.name}: values {span}{f', scale {task.scale}' if task.scale else ''}{lacking}"
    counts = ", ".join(f"{as_line(name)} {(labels == place).sum()}" for place, name in enumerate(task.classes))
    return f"task {task.name}: {counts}"
