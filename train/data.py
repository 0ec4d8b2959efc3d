"""Which recordings of a store are learnt from, in which order, and what a batch of them is; stream.py reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..errors import SettingError, StoreError
from ..features.defects import defects_in
from ..features.schemes import STANDARD, splits_of
from ..features.segments import ORIGINAL, REMOVED
from ..features.spec import RUN, FeatureSpec
from ..features.splits import split_named
from ..features.tasks import Task
from .objective import has_label
from .rows import Rows

UNKNOWN_SPEAKER = -1
LEFT_OUT_COLUMNS = ("segment_id", "recording_id", "split", "reason")


@dataclass(frozen=True)
class Recordings:
    """The recordings of one split, in the order of the store."""

    store: object
    """The open store they are read from."""

    split: str
    """Name of the split."""

    features: Mapping[str, str]
    """What the store calls each feature that is read, by the name that whoever reads knows it under."""

    ids: tuple[str, ...]
    """(R,) recording ids; a recording occurs once per view."""

    rows: tuple[np.ndarray, ...]
    """(R,) for each recording the store's rows of its segments, in order."""

    lengths: np.ndarray
    """(S,) frames of each segment, or tokens in a store without frames, one recording after another.

    The same for every variant, so that all of them see the same batches."""

    labels: Mapping[str, np.ndarray]
    """Per task (n,) class indexes or values; n counts recordings, or segments recording by recording."""

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
    def answers(self) -> int:
        """How many answers they ask for: one for each recording, or for each segment (n)."""
        return self.segments if self.per_segment else len(self)

    @cached_property
    def longest(self) -> np.ndarray:
        """(R,) the length of each recording's longest segment."""
        return np.maximum.reduceat(self.lengths, self._ends - [len(rows) for rows in self.rows])

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
    def _speakers(self) -> np.ndarray:
        return self.store.segments["speaker"].to_numpy(object)

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([len(rows) for rows in self.rows])

    def rows_at(self, positions: np.ndarray) -> np.ndarray:
        """The store's rows of the segments of the recordings at ``positions``, one recording after another."""
        return np.concatenate([self.rows[i] for i in positions])

    def counts_at(self, positions: np.ndarray) -> tuple[int, ...]:
        """Segments of each recording at ``positions``."""
        return tuple(len(self.rows[i]) for i in positions)

    def speakers_at(self, positions: np.ndarray) -> np.ndarray:
        """(S,) int64: who speaks, counted within each recording in order of appearance; -1 where that is not known."""
        numbered = []
        for i in positions:
            known: dict[str, int] = {}
            own = self._speakers[self.rows[i]].tolist()
            numbered += [known.setdefault(name, len(known)) if name else UNKNOWN_SPEAKER for name in own]
        return np.array(numbered, np.int64)

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
    """Per feature the rows of all segments; float32, unless the batch is yet to be moved to its device."""

    labels: Mapping[str, Tensor]
    """Per task (n,) class indexes as int64, or values as float32."""

    speakers: Tensor
    """(S,) int64 who speaks, counted within each recording in order of appearance; -1 where that is not known."""


def matching_features(store, features: Mapping[str, str], specs: Mapping[str, FeatureSpec]) -> dict[str, str]:
    """The features of a store that were made as ``specs`` say, by the names of these: those so named, else any.

    ``features`` are what they were called. Raises StoreError that spells the differences out where there is none.
    """
    matching = {}
    for key, wanted in specs.items():
        name = features[key]
        there = {own: spec for own, spec in store.specs.items() if spec.modality == wanted.modality}
        fitting = [own for own, spec in there.items() if wanted.is_extended_by(spec)]
        if not fitting:
            named = {name: there[name]} if name in there else there
            differences = "; ".join(
                f"its {own} has {' and '.join(spec.of_originals.differences(wanted.of_originals))}"
                for own, spec in named.items()
            )
            what = "feature" if wanted.modality == "both" else f"{wanted.modality} feature"
            raise StoreError(
                f"{store.path} has no {what} that was made as {name} was: "
                f"{differences or f'it holds {_listed(store.specs)}'}; extract with the same encoder and options"
            )
        matching[key] = name if name in fitting else fitting[0]
    return matching


def answered_tasks(there: Sequence[Task], trained: Sequence[Task]) -> tuple[Task, ...]:
    """Those of a store's tasks that a network has an answer for: the trained ones, and coarser ones that follow."""
    names = {task.name for task in trained}
    while more := {task.name for task in there if task.coarsens in names} - names:
        names |= more
    return tuple(task for task in there if task.name in names)


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


def views_of(store, split: str, names: Sequence[str], scheme: str = STANDARD) -> tuple[str, ...]:
    """The views of a split that ``names`` mean: ``noise`` means every copy, and no name at all every view.

    Raises StoreError for one that the split has not.
    """
    split = split_named(split, split_names(store, scheme))
    is_of_split = (splits_by(store, scheme) == split).to_numpy()
    there = tuple(dict.fromkeys(store.segments["view"][is_of_split]))
    kinds = {view: re.sub(r"-\d+$", "", view) for view in there}
    for name in names:
        if name not in kinds and name not in kinds.values():
            raise StoreError(
                f"{store.path} has no view {name} of split {split}, only {_listed(there)}: "
                f"add it with msmt extract --augment {name}"
            )
    return tuple(view for view in there if not names or {view, kinds[view]} & set(names))


def recordings_of(
    store,
    split: str,
    features: Mapping[str, str],
    skip_missing: bool = False,
    views: Sequence[str] = (ORIGINAL,),
    tasks: Sequence[Task] | None = None,
    per_segment: bool | None = None,
    measured_by: str | None = None,
    scheme: str = STANDARD,
) -> Recordings:
    """The recordings of one split of a scheme with their segments in order, once per view; ``train`` finds ``Train``
    too, and an empty ``split`` is all of them.

    ``tasks`` are those whose labels are wanted, by default all of the store; answers are ``per_segment`` where theirs
    are. ``measured_by`` names the feature whose lengths say which recordings are of similar length.

    Raises StoreError when the split has no segments, when features of some are missing (unless ``skip_missing``, which
    leaves those segments out, as those with a known defect always are) or of all, and when the labels of one recording differ where they must not.
    """
    table = store.segments
    split = split_named(split, split_names(store, scheme)) if split else split
    tasks = store.tasks if tasks is None else tasks
    splits = splits_by(store, scheme).to_numpy()
    usable = table["view"].isin(views).to_numpy() & (splits != REMOVED)
    rows = np.flatnonzero(usable & (splits == split) if split else usable)
    if not len(rows):
        of_scheme = "" if scheme == STANDARD else f" of scheme {scheme}"
        where = (
            f"in split {split}{of_scheme}: its splits are {_listed(split_names(store, scheme))}"
            if split
            else "of recordings that are still in its corpus"
        )
        raise StoreError(f"{store.path} has no segments {where}")

    # Missing features are looked for first in all of the split: one message has to say how much is missing.
    missing = {name: store.lengths(name)[rows] < 0 for name in features.values()}
    absent = np.logical_or.reduce(list(missing.values()))
    defects = defects_in(store.facts) if absent.any() else {}
    left_out = table.iloc[rows[absent]][["segment_id", "recording_id"]].assign(split=splits[rows[absent]])
    is_known = left_out["segment_id"].isin(defects)
    reasons = []
    for place, segment in zip(np.flatnonzero(absent), left_out["segment_id"], strict=True):
        reason = "no features: " + ", ".join(name for name in missing if missing[name][place])
        reasons.append(f"{reason}; a known defect: {defects[segment]}" if segment in defects else reason)
    left_out["reason"] = reasons
    if absent.all() or not (skip_missing or is_known.all()):
        remedy = "" if absent.all() else ", or leave them out with --skip-missing"
        how = "embed" if {store.specs[name].kind for name in missing if missing[name].any()} == {RUN} else "extract"
        raise StoreError(
            f"{absent.sum()} of {len(rows)} segments {f'of split {split} ' if split else ''}in {store.path} have no "
            f"features of "
            f"{_listed(name for name in missing if missing[name].any())} "
            f"(the first: {left_out['segment_id'][~is_known | absent.all()].iloc[0]}): run msmt {how} again{remedy}"
        )

    labels = _labels(store, rows, tasks)
    kept = ~absent
    table = table.iloc[rows[kept]]
    recording, ids = pd.factorize(pd.MultiIndex.from_frame(table[["recording_id", "view"]]))
    order = np.lexsort((table["index"].to_numpy(), recording))
    starts = np.flatnonzero(np.diff(recording[order], prepend=-1))
    if per_segment is None:
        per_segment = any(task.level == "segment" for task in tasks)
    places = order if per_segment else order[starts]
    segments = np.split(rows[kept][order], starts[1:])
    measured_by = measured_by or measuring_feature(store.specs)
    return Recordings(
        store=store,
        split=split,
        features=dict(features),
        ids=tuple(recording_id for recording_id, _ in ids),
        rows=tuple(segments),
        lengths=store.lengths(measured_by)[np.concatenate(segments)],
        labels={name: values[kept][places] for name, values in labels.items()},
        per_segment=per_segment,
        left_out=left_out[list(LEFT_OUT_COLUMNS)].reset_index(drop=True),
    )


def measuring_feature(specs: Mapping[str, FeatureSpec]) -> str:
    """The feature whose lengths say which recordings are of similar length: of frames, else of tokens.

    Vectors of runs are the last to say, since they come and go.
    """
    return min(
        specs, key=lambda name: (specs[name].unit == "vector", specs[name].kind == RUN, specs[name].modality, name)
    )


def splits_by(store, scheme: str) -> pd.Series:
    """(N,) the split of each row by a scheme. Raises StoreError, naming the store, for one that it does not have."""
    try:
        return splits_of(store.segments, scheme)
    except StoreError as error:
        raise StoreError(f"{store.path}: {error}") from error


def split_names(store, scheme: str = STANDARD) -> tuple[str, ...]:
    """The splits of a scheme, in the order of the table."""
    return tuple(name for name in splits_by(store, scheme).unique() if name not in (REMOVED, ""))


def _labels(store, rows: np.ndarray, tasks: Sequence[Task]) -> dict[str, np.ndarray]:
    """Per task the labels of these rows, checked to agree within a recording where they belong to it as a whole."""
    labels = {}
    table = store.segments.iloc[rows]
    for task in tasks:
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


def read_batch(recordings: Recordings, positions: np.ndarray) -> Batch:
    """The recordings at ``positions``, whole, features as they are stored: one batch apart from all others."""
    features = {}
    for feature, name in recordings.features.items():
        segments = [recordings.store.read(name, int(row)) for row in recordings.rows_at(positions)]
        values = torch.from_numpy(np.concatenate(segments))
        features[feature] = Rows(values, tuple(len(segment) for segment in segments))
    return batch_of(recordings, positions, features)


def batch_of(recordings: Recordings, positions: np.ndarray, features: Mapping[str, Rows]) -> Batch:
    """The batch of the recordings at ``positions``, whose rows these are; all else that it has is on the CPU."""
    labels = label_tensors(recordings.labels_of(positions))
    speakers = torch.from_numpy(recordings.speakers_at(positions))
    return Batch(positions, recordings.counts_at(positions), features, labels, speakers)


def label_tensors(labels: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Class indexes as int64 and values as float32, the types that losses ask for."""
    return {
        name: torch.from_numpy(values.astype(np.float32 if values.dtype.kind == "f" else np.int64))
        for name, values in labels.items()
    }


def _listed(names) -> str:
    return ", ".join(names) or "nothing"
