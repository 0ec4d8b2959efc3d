"""From a store to batches of whole recordings.

The seam for a faster reader: ``read_ahead`` yields a ``Batch`` for each group of recordings it is given, in that order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..errors import SettingError, StoreError
from ..features.segments import ORIGINAL, REMOVED
from ..features.tasks import Task
from .objective import has_label
from .rows import Rows

MODALITIES = {"both": ("text", "audio"), "text": ("text",), "audio": ("audio",)}
LEFT_OUT_COLUMNS = ("segment_id", "recording_id", "split", "reason")


@dataclass(frozen=True)
class Recordings:
    """The recordings of one split, in the order of the store."""

    store: object
    """The open store they are read from."""

    split: str
    """Name of the split."""

    features: Mapping[str, str]
    """Name of the feature that serves each modality."""

    ids: tuple[str, ...]
    """(R,) recording ids."""

    rows: tuple[np.ndarray, ...]
    """(R,) for each recording the store's rows of its segments, in order."""

    longest: np.ndarray
    """(R,) rows of each recording's longest segment, audio if there is audio."""

    labels: Mapping[str, np.ndarray]
    """Per task of the store (n,) class indexes or values; n counts recordings, or segments recording by recording."""

    per_segment: bool
    """Whether labels belong to segments."""

    left_out: pd.DataFrame
    """Segments that are not among the rows: segment_id, recording_id, split and the reason."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def segments(self) -> int:
        """Segments of all recordings together."""
        return sum(map(len, self.rows))

    @property
    def segment_ids(self) -> tuple[str, ...]:
        """(S,) ids of all segments, one recording after another."""
        return tuple(self.store.segments["segment_id"].to_numpy()[np.concatenate(self.rows)])

    @property
    def recording_ids(self) -> tuple[str, ...]:
        """(n,) the recording that each label belongs to."""
        if not self.per_segment:
            return self.ids
        return tuple(np.repeat(np.array(self.ids, dtype=object), [len(rows) for rows in self.rows]))

    def labelled(self, positions: np.ndarray) -> np.ndarray:
        """Where in ``labels`` the labels of the recordings at ``positions`` are."""
        if not self.per_segment:
            return positions
        return np.concatenate([np.arange(self._ends[i] - len(self.rows[i]), self._ends[i]) for i in positions])

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([len(rows) for rows in self.rows])

    def labels_of(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        """``labels`` of the recordings at ``positions``, in that order."""
        where = self.labelled(positions)
        return {name: labels[where] for name, labels in self.labels.items()}


@dataclass(frozen=True)
class Batch:
    """Whole recordings, ready for the network."""

    positions: np.ndarray
    """(R,) where in the split its recordings stand."""

    counts: tuple[int, ...]
    """(R,) segments of each recording."""

    features: Mapping[str, Rows]
    """Per modality the rows of all segments; float16, as they are stored."""

    labels: Mapping[str, Tensor]
    """Per task (n,) class indexes as int64, or values as float32."""

    def pinned(self) -> Batch:
        """The batch in memory from which a GPU can copy while it computes."""
        return self._with(Tensor.pin_memory)

    def to(self, device: torch.device) -> Batch:
        """The batch on ``device``, features in float32."""
        moved = self._with(lambda tensor: tensor.to(device, non_blocking=True))
        return replace(
            moved, features={name: replace(rows, values=rows.values.float()) for name, rows in moved.features.items()}
        )

    def _with(self, change) -> Batch:
        return replace(
            self,
            features={name: replace(rows, values=change(rows.values)) for name, rows in self.features.items()},
            labels={name: change(labels) for name, labels in self.labels.items()},
        )


def choose_features(store, modalities: str, text_feature: str = "", audio_feature: str = "") -> dict[str, str]:
    """The feature of the store that serves each modality: the one asked for, or the only one there is.

    Raises StoreError when there is none, SettingError when the choice is open or impossible.
    """
    asked = {"text": text_feature, "audio": audio_feature}
    chosen = {}
    for modality in MODALITIES[modalities]:
        there = [name for name, spec in store.specs.items() if spec.modality == modality]
        if not there:
            raise StoreError(
                f"{store.path} has no {modality} feature, it holds {_listed(store.specs)}: run msmt extract again, "
                f"or train without it (--modalities)"
            )
        if asked[modality] and asked[modality] not in there:
            raise SettingError(
                f"{store.path} has no {modality} feature {asked[modality]}: "
                f"choose --{modality}-feature from {_listed(there)}"
            )
        if not asked[modality] and len(there) > 1:
            raise SettingError(
                f"{store.path} has several {modality} features: choose --{modality}-feature from {_listed(there)}"
            )
        chosen[modality] = asked[modality] or there[0]
    return chosen


def choose_tasks(there: Sequence[Task], names: Sequence[str], mtl: bool) -> tuple[Task, ...]:
    """The tasks to train: those named, or all; without ``mtl`` only the finest of them.

    Raises SettingError for a name that is not there.
    """
    unknown = [name for name in names if name not in {task.name for task in there}]
    if unknown:
        raise SettingError(f"there is no task {unknown[0]}: choose --tasks from {_listed(t.name for t in there)}")
    chosen = tuple(task for task in there if not names or task.name in names)
    if mtl:
        return chosen
    return next((task,) for task in chosen if task.coarsens not in {other.name for other in chosen})


def recordings_of(store, split: str, features: Mapping[str, str], skip_missing: bool = False) -> Recordings:
    """The recordings of one split with their original segments, in order.

    Raises StoreError when the split has no segments, when features of some are missing (unless ``skip_missing``, which
    leaves those segments out) or of all, and when the labels of one recording differ where they must not.
    """
    table = store.segments
    splits = table["split"].to_numpy()
    usable = (table["view"].to_numpy() == ORIGINAL) & (splits != REMOVED)
    rows = np.flatnonzero(usable & (splits == split))
    if not len(rows):
        there = _listed(dict.fromkeys(splits[usable]))
        raise StoreError(f"{store.path} has no segments in split {split}: its splits are {there}")

    # Missing features are looked for first in all of the split: one message has to say how much is missing.
    missing = {name: store.lengths(name)[rows] < 0 for name in features.values()}
    absent = np.logical_or.reduce(list(missing.values()))
    left_out = table.iloc[rows[absent]][["segment_id", "recording_id", "split"]].assign(
        reason=[
            "no features: " + ", ".join(name for name in missing if missing[name][i]) for i in np.flatnonzero(absent)
        ]
    )
    if absent.any() and not (skip_missing and not absent.all()):
        remedy = "" if absent.all() else ", or leave them out with --skip-missing"
        raise StoreError(
            f"{absent.sum()} of {len(rows)} segments of split {split} in {store.path} have no features of "
            f"{_listed(name for name in missing if missing[name].any())} "
            f"(the first: {left_out['segment_id'].iloc[0]}): run msmt extract again{remedy}"
        )

    labels = _labels(store, rows)
    kept = ~absent
    recording, ids = pd.factorize(table["recording_id"].to_numpy()[rows[kept]])
    order = np.lexsort((table["index"].to_numpy()[rows[kept]], recording))
    starts = np.flatnonzero(np.diff(recording[order], prepend=-1))
    per_segment = any(task.level == "segment" for task in store.tasks)
    places = order if per_segment else order[starts]
    segments = np.split(rows[kept][order], starts[1:])
    lengths = store.lengths(features.get("audio") or features["text"])
    return Recordings(
        store=store,
        split=split,
        features=dict(features),
        ids=tuple(ids),
        rows=tuple(segments),
        longest=np.array([lengths[rows].max() for rows in segments]),
        labels={name: values[kept][places] for name, values in labels.items()},
        per_segment=per_segment,
        left_out=left_out[list(LEFT_OUT_COLUMNS)].reset_index(drop=True),
    )


def _labels(store, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Per task the labels of these rows, checked to agree within a recording where they belong to it as a whole."""
    labels = {}
    table = store.segments.iloc[rows]
    for task in store.tasks:
        labels[task.name] = table[task.column].to_numpy()
        if task.level == "recording":
            kinds = table.groupby("recording_id", sort=False)[task.column].nunique(dropna=False)
            if (kinds > 1).any():
                raise StoreError(
                    f"{store.path}: recording {kinds.index[kinds > 1][0]} has more than one label of task {task.name}, "
                    f"which has one per recording: correct the corpus and run msmt extract again"
                )
    return labels


def check_learnable(recordings: Recordings, tasks: Sequence[Task]) -> None:
    """Raises StoreError for a task that has no labels in the split, or only one class."""
    for task in tasks:
        labels = recordings.labels[task.name]
        found = np.unique(labels[has_label(labels)])
        where = f"split {recordings.split} of {recordings.store.path}"
        if not len(found):
            raise StoreError(f"{where} has no label of task {task.name}: leave it out with --tasks")
        if len(found) == 1:
            only = f"value {found[0]:g}" if task.is_value else f"class {task.classes[found[0]]}"
            raise StoreError(
                f"{where} has only {only} of task {task.name}, so nothing can be learnt: leave it out with --tasks"
            )


def with_labels(recordings: Recordings, tasks: Sequence[Task]) -> np.ndarray:
    """Positions of the recordings that have a label of at least one task."""
    there = np.logical_or.reduce([has_label(recordings.labels[task.name]) for task in tasks])
    return np.array([i for i in range(len(recordings)) if there[recordings.labelled(np.array([i]))].any()], dtype=int)


def training_steps(
    positions: np.ndarray, longest: np.ndarray, seed: int, epoch: int, batch_recordings: int, accumulation: int
) -> list[list[np.ndarray]]:
    """One epoch: for each optimizer step its batches, each an array of positions. Every position occurs once.

    The order follows from ``seed`` and ``epoch`` alone. Which recordings share a step is left to chance; within a
    step those of similar length share a batch, which pads less and learns the same.
    """
    shuffled = np.random.default_rng([seed, epoch]).permutation(positions)
    step_size = batch_recordings * accumulation
    steps = [shuffled[start : start + step_size] for start in range(0, len(shuffled), step_size)]
    return [groups_of_similar_length(step, longest, batch_recordings) for step in steps]


def groups_of_similar_length(positions: np.ndarray, longest: np.ndarray, size: int) -> list[np.ndarray]:
    """All positions, the longest first, in groups of ``size``; a batch that is too big for memory shows at once."""
    ordered = positions[np.argsort(-longest[positions], kind="stable")]
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def read_ahead(recordings: Recordings, groups: Sequence[np.ndarray], pin: bool = False) -> Iterator[Batch]:
    """A batch for each group of positions; the next one is read while the caller works on the last."""

    def read(group: np.ndarray) -> Batch:
        batch = read_batch(recordings, group)
        return batch.pinned() if pin else batch

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="msmt-reader") as reader:
        coming = reader.submit(read, groups[0])
        for group in groups[1:]:
            batch, coming = coming.result(), reader.submit(read, group)
            yield batch
        yield coming.result()


def read_batch(recordings: Recordings, positions: np.ndarray) -> Batch:
    """The recordings at ``positions``, whole."""
    rows = [row for i in positions for row in recordings.rows[i]]
    features = {}
    for modality, name in recordings.features.items():
        segments = [recordings.store.read(name, int(row)) for row in rows]
        values = torch.from_numpy(np.concatenate(segments))
        features[modality] = Rows(values, tuple(len(segment) for segment in segments))
    counts = tuple(len(recordings.rows[i]) for i in positions)
    return Batch(positions, counts, features, label_tensors(recordings.labels_of(positions)))


def label_tensors(labels: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Class indexes as int64 and values as float32, the types that losses ask for."""
    return {
        name: torch.from_numpy(values.astype(np.float32 if values.dtype.kind == "f" else np.int64))
        for name, values in labels.items()
    }


def _listed(names) -> str:
    return ", ".join(names) or "nothing"
