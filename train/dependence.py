"""The rows that a run read, and whether a store still has them as they were.

A run's numbers follow from some rows of its store: from their segments and views, their order, their labels for its
tasks, and the values and specs of its features. Nothing else of a store matters to it, so a store may grow under its
runs, by features, views, tasks, or recordings of other splits. What was read is kept beside the run as a hash for each
row and each kind of thing, so that it can be said which of them have changed, and where:

    rows-train.npz           the split that the run learns from, with the views it learns from
    rows-validation.npz      the split that it is judged by
    rows-scored-<split>.npz  a split, as it was when the run was last scored on it

Each holds arrays of n rows, in the order in which the run reads them: segments, places, lengths, labels/<task> and
values/<feature>, and ``about``, UTF-8 JSON. At 8 bytes a hash that is some 60 bytes a row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import xxhash

from ..errors import RunError
from ..features.rows import MISSING
from ..features.spec import FeatureSpec
from ..features.tasks import Task
from .data import Recordings

_FORMAT_VERSION = 2
_NOT_A_CLASS = 0  # hash of the label of a row that has none
_HASHED_TOGETHER = "\x1f"  # separates parts of what is hashed; csv files of corpora do not hold it


@dataclass(frozen=True, eq=False)
class RowsRead:
    """What a run read of one split: n rows, a segment and view each, in the order in which it reads them."""

    split: str
    """Name of the split."""

    features: Mapping[str, str]
    """What the store called each feature, by the run's own name for it."""

    specs: Mapping[str, FeatureSpec]
    """How each feature was made, by the run's name, with the recipes of those views alone that were read."""

    views: tuple[str, ...]
    """The views that were read."""

    tasks: tuple[Task, ...]
    """Tasks whose labels were read."""

    segments: np.ndarray
    """(n,) uint64, hash of the segment's id and the view."""

    places: np.ndarray
    """(n,) uint64, hash of the segment's recording and its number there."""

    lengths: np.ndarray
    """(n,) int32, by which recordings of similar length share a batch; of whichever feature that was."""

    labels: Mapping[str, np.ndarray]
    """Per task (n,) uint64, hash of the name of the class, or of the value."""

    values: Mapping[str, np.ndarray]
    """By the run's name of the feature (n,) uint64, checksum of the row's values."""

    def differences(self, now: RowsRead, store, in_order: bool = True) -> list[str]:
        """What is not as it was, a phrase for each kind of thing: ``labels of 3 recordings of val (the first: a)``.

        ``now`` is what would be read of ``store``. Tasks that only ``now`` has are no difference, nor is the order
        unless ``in_order``.
        """
        phrases = [
            f"{self.features[feature]} has {' and '.join(now.specs[feature].differences(spec))}"
            for feature, spec in self.specs.items()
            if now.specs[feature].differences(spec)
        ]
        theirs = {task.name: task for task in now.tasks}
        for task in self.tasks:
            phrases += task_differences(task, theirs.get(task.name))
        names = _Names(store)
        _, ours, others = np.intersect1d(self.segments, now.segments, assume_unique=True, return_indices=True)
        gone = np.delete(self.segments, ours)
        added = np.delete(now.segments, others)
        phrases += names.counted(gone, "segment", f"no longer in {self.split}")
        phrases += names.counted(added, "segment", f"more in {self.split}")

        def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
            return now.segments[others[before[ours] != after[others]]]

        of_split = f"of {self.split}"
        phrases += names.counted(changed(self.places, now.places), "segment", of_split, "recording or number of ")
        for task in self.tasks:
            if task.name not in theirs or (theirs[task.name].is_value, theirs[task.name].level) != (
                task.is_value,
                task.level,
            ):
                continue
            relabelled = changed(self.labels[task.name], now.labels[task.name])
            phrases += names.counted(relabelled, task.level, of_split, f"labels of task {task.name} of ")
        for feature, values in self.values.items():
            if not now.specs[feature].differences(self.specs[feature]):
                remade = changed(values, now.values[feature])
                phrases += names.counted(remade, "segment", of_split, f"{self.features[feature]} features of ")
        if in_order and not phrases and not np.array_equal(self.segments, now.segments):
            phrases.append(f"order of the segments of {self.split}")
        return phrases

    def is_in(self, store) -> bool:
        """Whether any of the rows is in the store, as it was read."""
        rows = np.flatnonzero(np.isin(_hashes_of_segments(store.segments), self.segments))
        there = np.ones(len(rows), bool)
        for feature, values in self.values.items():
            alike = [name for name, spec in store.specs.items() if self.specs[feature].is_extended_by(spec)]
            found = [np.isin(_values_of(store, name, rows), values) for name in alike]
            there &= np.logical_or.reduce(found) if found else False
        return bool(there.any())

    def shared_with(self, other: RowsRead) -> int:
        """How many rows of ``other`` hold the very values of rows that were read here, under whatever name."""
        same = [np.isin(other.values[feature], values) for feature, values in self.values.items()]
        return int(np.logical_and.reduce(same).sum())

    @property
    def digest(self) -> str:
        """Hash of all that the numbers of a run follow from."""
        alike = [spec.modality for spec in self.specs.values()]  # names do not matter, where there is no need for them
        keys = {name: name if alike.count(spec.modality) > 1 else spec.modality for name, spec in self.specs.items()}
        specs = dict(sorted((keys[name], spec.fingerprint) for name, spec in self.specs.items()))
        digest = xxhash.xxh3_128(json.dumps([specs, [task.to_json() for task in self.tasks]]).encode())
        for hashes in (self.segments, self.places, *self.labels.values(), *self.values.values()):
            digest.update(hashes.tobytes())
        return digest.hexdigest()

    @property
    def of_segments(self) -> str:
        """Hash of which segments were read, whatever their order."""
        order = np.argsort(self.segments)
        return xxhash.xxh3_128_hexdigest(self.segments[order].tobytes() + self.places[order].tobytes())

    @property
    def of_values(self) -> dict[str, str]:
        """By the fingerprint of each feature's spec, a hash of the values that were read, whatever their order."""
        order = np.argsort(self.segments)
        return {
            spec.of_originals.fingerprint: xxhash.xxh3_128_hexdigest(self.values[feature][order].tobytes())
            for feature, spec in self.specs.items()
        }

    def save(self, path: Path) -> None:
        """Write it to ``path``, which is not put in place atomically."""
        about = {
            "format_version": _FORMAT_VERSION,
            "split": self.split,
            "views": list(self.views),
            "features": dict(self.features),
            "specs": {feature: spec.to_json() for feature, spec in self.specs.items()},
            "tasks": [task.to_json() for task in self.tasks],
        }
        arrays = {f"labels/{name}": hashes for name, hashes in self.labels.items()}
        arrays |= {f"values/{feature}": hashes for feature, hashes in self.values.items()}
        written = np.frombuffer(json.dumps(about, ensure_ascii=False).encode(), np.uint8)
        with open(path, "wb") as file:
            np.savez(file, about=written, segments=self.segments, places=self.places, lengths=self.lengths, **arrays)

    @classmethod
    def load(cls, path: Path) -> RowsRead | None:
        """What ``save`` has written; None if there is none. Raises RunError for what is damaged or of another version."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                about = json.loads(arrays["about"].tobytes())
                if about["format_version"] not in (1, _FORMAT_VERSION):
                    raise ValueError(f"format version {about['format_version']}")
                keys = {key: key for key in about["specs"]}
                if about["format_version"] == 1:  # features went by their modalities then
                    keys = {name: modality for modality, name in about["features"].items()}
                return cls(
                    split=about["split"],
                    views=tuple(about["views"]),
                    features={name: about["features"][key] for name, key in keys.items()},
                    specs={name: FeatureSpec.from_json(about["specs"][key]) for name, key in keys.items()},
                    tasks=tuple(Task.from_json(task) for task in about["tasks"]),
                    **{name: arrays[name] for name in ("segments", "places", "lengths")},
                    labels={task["name"]: arrays[f"labels/{task['name']}"] for task in about["tasks"]},
                    values={name: arrays[f"values/{key}"] for name, key in keys.items()},
                )
        except FileNotFoundError:
            return None
        except Exception as error:  # zip, JSON, KeyError and more mean the same here
            raise RunError(f"{path} cannot be read ({type(error).__name__}: {error}): train again") from error


def rows_read(recordings: Recordings, tasks: Sequence[Task]) -> RowsRead:
    """What is read of these recordings by whoever is trained for ``tasks``, which the store has."""
    store, rows = recordings.store, np.concatenate(recordings.rows)
    table = store.segments.iloc[rows]
    views = tuple(dict.fromkeys(table["view"]))
    return RowsRead(
        split=recordings.split,
        views=views,
        features=dict(recordings.features),
        specs={
            feature: replace(spec, views={view: recipe for view, recipe in spec.views.items() if view in views})
            for feature, spec in ((each, store.specs[name]) for each, name in recordings.features.items())
        },
        tasks=tuple(tasks),
        segments=_hashes_of_segments(table),
        places=_hashed(table["recording_id"], table["index"].astype(str)),
        lengths=recordings.lengths,
        labels={task.name: _hashes_of_labels(table[task.column].to_numpy(), task) for task in tasks},
        values={feature: _values_of(store, name, rows) for feature, name in recordings.features.items()},
    )


def task_differences(task: Task, other: Task | None) -> list[str]:
    """What ``other`` means otherwise than ``task``: none or one phrase."""
    if other is None:
        return [f"task {task.name} is not there"]
    if task == other:
        return []
    if task.classes != other.classes:
        mine, theirs = (", ".join(each.classes) or "values" for each in (task, other))
        return [f"task {task.name} has {theirs}, not {mine}"]
    if task.level != other.level:
        return [f"task {task.name} has a label per {other.level}, not per {task.level}"]
    if task.scale != other.scale:
        return [f"values of task {task.name} have {_scale_of(other)}, not {_scale_of(task)}"]
    if task.follows != other.follows:
        return [f"task {task.name} follows {other.follows or 'nothing'}, not {task.follows or 'nothing'}"]
    return [f"classes of task {task.name} merge others of {other.coarsens or 'nothing'}"]


def _scale_of(task: Task) -> str:
    return f"the scale {task.scale}" if task.scale else "no scale"


class _Names:
    """Says which segments hashes are of; looks them up only when asked."""

    def __init__(self, store) -> None:
        self._store = store
        self._rows: dict[int, int] | None = None

    def counted(self, hashes: np.ndarray, kind: str, where: str, what: str = "") -> list[str]:
        """``labels of 3 recordings of val (the first: call-7)``; nothing for no hashes. Kinds: segment, recording."""
        if not len(hashes):
            return []
        if self._rows is None:
            known = _hashes_of_segments(self._store.segments).tolist()
            self._rows = {number: row for row, number in enumerate(known)}
        rows = [self._rows[number] for number in hashes.tolist() if number in self._rows]
        ids = list(dict.fromkeys(self._store.segments[f"{kind}_id"].iloc[sorted(rows)]))
        count = len(ids) if len(rows) == len(hashes) else len(hashes)
        first = f" (the first: {ids[0]})" if ids else ""
        return [f"{what}{count:,} {kind}{'s' if count != 1 else ''} {where}{first}"]


def _hashes_of_segments(table: pd.DataFrame) -> np.ndarray:
    return _hashed(table["segment_id"], table["view"])


def _hashed(first: pd.Series, second: pd.Series) -> np.ndarray:
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    joined = (_HASHED_TOGETHER.join(pair).encode() for pair in pairs)
    return np.fromiter((xxhash.xxh3_64_intdigest(each) for each in joined), np.uint64, len(first))


def _hashes_of_labels(labels: np.ndarray, task: Task) -> np.ndarray:
    if task.is_value:
        return np.where(np.isnan(labels), np.nan, labels).astype(np.float64).view(np.uint64)
    names = [xxhash.xxh3_64_intdigest(name.encode()) for name in task.classes]
    return np.array([*names, _NOT_A_CLASS], np.uint64)[labels]  # -1, no label, is the last


def _values_of(store, feature: str, rows: np.ndarray) -> np.ndarray:
    states = store.states(feature)
    return np.where(states.length[rows] == MISSING, 0, states.checksum[rows]).astype(np.uint64)
