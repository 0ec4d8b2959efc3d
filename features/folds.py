"""Folds of a corpus: a family of schemes in which every recording is tested once, made and added to a store.

Groups are dealt out to folds one after another, the largest first, each to the fold that has the least of its classes so
far. What belongs together is never parted: a group has all recordings of a speaker, or of whatever the folds are by, and
a recording with several speakers brings their groups together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DamageError, SettingError, StoreError
from ..shown import as_line
from .head import check_name
from .opening import open_store, writer_for
from .schemes import FACT, STANDARD, families_in, schemes_in
from .segments import EXTRA, ORIGINAL, REMOVED, SCHEME
from .splits import TEST, TRAIN, VALIDATION
from .store import FeatureStore
from .tasks import NO_LABEL, Task

NEXT = "next"  # validation is what the next fold tests
_MOST_FOLDS = 1000
_ATTEMPTS = 10  # to deal out groups so that no fold lacks a class
_BINS = 4  # of a real value that folds are to be alike in: as many groups of equal size


@dataclass(frozen=True)
class FoldConfig:
    """How folds are made. The same settings make the same folds of the same corpus, whatever the order of its rows."""

    family: str = "folds"
    """Name of all of them; each is called by it without its last ``s``, and a number: ``fold1``."""

    folds: int = 5

    by: str = "recording"
    """What is never parted: ``recording``, ``speaker``, or a column that the corpus was read with."""

    stratify: str = ""
    """Task whose classes, or values, every fold is to have alike; empty for none."""

    seed: int = 0

    validation: str = NEXT
    """What validates: ``next`` for what the next fold tests, or a share of what is left to train on, such as ``0.1``."""

    def __post_init__(self) -> None:
        if not 2 <= self.folds <= _MOST_FOLDS:
            raise SettingError(f"folds must be 2 to {_MOST_FOLDS}, but are {self.folds}")
        if self.seed < 0:
            raise SettingError(f"seed must be 0 or more, but is {self.seed}")
        if self.validation != NEXT and not 0 < self.share <= 0.5:
            raise SettingError(f"validation must be next or a share up to 0.5, but is {as_line(self.validation)!r}")
        if self.validation == NEXT and self.folds == 2:
            raise SettingError("the next of 2 folds is all that is left to train on: choose --validation 0.1")
        for name in self.schemes:
            try:
                check_name(SCHEME + name)
            except DamageError as error:
                raise SettingError(
                    f"{as_line(self.family)!r:.80} cannot be the name of folds: letters, digits, - and _ can, up to 190"
                ) from error

    @property
    def schemes(self) -> tuple[str, ...]:
        """``fold1``, ``fold2``, …"""
        stem = self.family.removesuffix("s") or self.family
        return tuple(f"{stem}{number + 1}" for number in range(self.folds))

    @property
    def share(self) -> float:
        """The share of what is left to train on that validates; 0 where the next fold does, or it is no number."""
        try:
            return 0.0 if self.validation == NEXT else float(self.validation)
        except ValueError:
            return 0.0

    def to_json(self) -> dict:
        """What a store's head says of them, see schemes.py."""
        return {
            "schemes": list(self.schemes),
            "by": self.by,
            "stratify": self.stratify,
            "seed": self.seed,
            "validation": self.validation,
        }


def add_folds(path: Path, config: FoldConfig, overwrite: bool = False) -> FeatureStore:
    """Add folds to a store; its features stay as they are, byte for byte. Returns the store as it is then.

    Raises StoreError or SettingError, and changes nothing, where such folds cannot be made, or there are any of that name
    unless ``overwrite``.
    """
    open_store(path)  # a store that is not there is no reason for a lock
    with writer_for(path) as writer:
        store = open_store(path)
        families = families_in(store.head)
        replaced = families.get(config.family, ()) if overwrite else ()
        _check_names(store, config, replaced)
        table = store.segments.drop(columns=[SCHEME + name for name in replaced if SCHEME + name in store.segments])
        for name, splits in make_folds(table, store.tasks, config).items():
            table[SCHEME + name] = splits
        known = store.head.facts.get(FACT)
        made = {**(known if isinstance(known, dict) else {}), config.family: config.to_json()}
        writer.retell(table, {**store.head.facts, FACT: made})
        if store.is_finished:
            writer.finish()
    return open_store(path)


def make_folds(table: pd.DataFrame, tasks: Sequence[Task], config: FoldConfig) -> dict[str, np.ndarray]:
    """For each fold, by the name of its scheme, the (N,) splits of the rows of a segment table.

    Views are where their originals are; rows of segments that have left the corpus are in no split. Raises SettingError
    where there are fewer groups than folds, or a fold would train on, or test, none of a class that the corpus has.
    """
    originals = table[(table["view"] == ORIGINAL) & (table["split"] != REMOVED)]
    task = _task_named(config.stratify, tasks)
    group = _groups(originals, config.by)
    groups = int(group.max()) + 1 if len(group) else 0
    if groups < config.folds:
        why = "" if config.by == "recording" else ", as recordings are never parted"
        raise SettingError(
            f"{config.folds} folds need as many groups, but by {as_line(config.by)} there are {groups}{why}: choose fewer"
            " --folds, or other groups with --by"
        )
    counts = _counts(originals, group, task)
    for attempt in range(_ATTEMPTS):
        try:
            splits = _splits_of_groups(counts, config, np.random.default_rng([config.seed, attempt]))
            for name, of_group in splits.items():
                _check_classes(originals, group, of_group[group], [task] if task else tasks, name)
            break
        except SettingError:  # by another order of the groups there may be some of each class for each fold
            if attempt == _ATTEMPTS - 1:
                raise
    columns = {}
    for name, of_group in splits.items():
        of_segment = pd.Series(of_group[group], originals["segment_id"].to_numpy())
        of_row = table["segment_id"].map(of_segment).where(table["split"] != REMOVED).fillna("")
        columns[name] = of_row.to_numpy(object)
    return columns


def _splits_of_groups(counts: np.ndarray, config: FoldConfig, random: np.random.Generator) -> dict[str, np.ndarray]:
    """For each fold the (groups,) splits."""
    tested_in = _dealt(counts, config.folds, random)
    columns = {}
    for fold, name in enumerate(config.schemes):
        splits = np.full(len(counts), TRAIN, object)
        splits[tested_in == fold] = TEST
        if config.validation == NEXT:
            splits[tested_in == (fold + 1) % config.folds] = VALIDATION
        else:
            splits[_for_validation(counts, np.flatnonzero(splits == TRAIN), config, name, random)] = VALIDATION
        columns[name] = splits
    return columns


def _check_names(store: FeatureStore, config: FoldConfig, replaced: Sequence[str]) -> None:
    if config.family in families_in(store.head) and not replaced:
        raise StoreError(
            f"{store.path}: has folds {as_line(config.family)!r} already; choose another --scheme, or replace them, as by"
            " those of another --seed, with --overwrite"
        )
    taken = [name for name in config.schemes if name in schemes_in(store.segments) and name not in replaced]
    if taken or config.family == STANDARD:
        raise StoreError(
            f"{store.path}: has a scheme {as_line((taken or [STANDARD])[0])!r} already that is not one of such folds; choose"
            " another --scheme"
        )


def _task_named(name: str, tasks: Sequence[Task]) -> Task | None:
    for task in tasks:
        if task.name == name:
            return task
    if name:
        there = ", ".join(as_line(task.name) for task in tasks) or "none"
        raise SettingError(f"there is no task {as_line(name)!r} to stratify by, only {there}")
    return None


def _groups(rows: pd.DataFrame, by: str) -> np.ndarray:
    """(n,) the number of each row's group, in the order of their recordings' names."""
    column = {"recording": "recording_id", "speaker": "speaker"}.get(by, EXTRA + by)
    if column not in rows:
        kept = [name.removeprefix(EXTRA) for name in rows if name.startswith(EXTRA)]
        raise SettingError(
            f"there is no column {as_line(by)!r}, only {', '.join(map(as_line, ['recording', 'speaker', *kept]))};"
            " extract --keep-columns keeps others"
        )
    names = rows[column].to_numpy()
    if (names == "").all() and len(names):
        raise SettingError(f"no row has a {as_line(by)}, so folds cannot be by it")
    head: dict[
        tuple[str, str], tuple[str, str]
    ] = {}  # of each recording and name the least that it belongs together with

    def head_of(item: tuple[str, str]) -> tuple[str, str]:
        while head.setdefault(item, item) != item:
            head[item] = item = head[head[item]]
        return item

    for recording, name in dict.fromkeys(zip(rows["recording_id"], names, strict=True)):
        if name != "":  # nobody knows who, or what: the recording by itself
            one, other = sorted((head_of(("recording", recording)), head_of(("name", name))), reverse=True)
            head[other] = one
    heads = [head_of(("recording", recording)) for recording in rows["recording_id"]]
    first: dict[tuple[str, str], str] = {}
    for item, recording in zip(heads, rows["recording_id"], strict=True):
        first[item] = min(first.get(item, recording), recording)
    number = {item: place for place, item in enumerate(sorted(first, key=first.__getitem__))}
    return np.array([number[item] for item in heads], int)


def _counts(rows: pd.DataFrame, group: np.ndarray, task: Task | None) -> np.ndarray:
    """(groups, classes + 1) how many of each class a group has, recordings or segments as they are labelled; and segments."""
    columns = [np.ones(len(rows))]
    if task:
        one_each = (
            ~rows["recording_id"].duplicated().to_numpy() if task.level == "recording" else np.ones(len(rows), bool)
        )
        labels = _classes_of(rows[task.column].to_numpy(), task)
        columns = [*((labels == label) & one_each for label in np.unique(labels)), *columns]
    return np.stack([np.bincount(group, weights=column) for column in columns], axis=1)


def _classes_of(labels: np.ndarray, task: Task) -> np.ndarray:
    if not task.is_value:
        return labels
    known = ~np.isnan(labels)
    edges = np.quantile(labels[known], np.linspace(0, 1, _BINS + 1)[1:-1]) if known.any() else []
    return np.where(known, np.digitize(labels, edges), NO_LABEL)


def _dealt(counts: np.ndarray, parts: int, random: np.random.Generator) -> np.ndarray:
    """(groups,) which of the parts each group goes to, so that they have alike of everything that is counted."""
    order = random.permutation(len(counts))
    order = order[np.argsort(-counts[order, -1], kind="stable")]
    weights = 1 / np.maximum(counts.sum(axis=0), 1) ** 2  # a rare class is as much to be shared out as a frequent one
    had = np.zeros((parts, counts.shape[1]))
    part_of = np.zeros(len(counts), int)
    for group in order:
        cost = had @ (weights * counts[group])  # by how much the sum of squares would grow, more or less
        part = int(np.lexsort((had[:, -1], cost))[0])
        part_of[group] = part
        had[part] += counts[group]
    return part_of


def _for_validation(
    counts: np.ndarray, training: np.ndarray, config: FoldConfig, name: str, random: np.random.Generator
) -> np.ndarray:
    """The groups among those to train on that validate."""
    if len(training) < 2:
        raise SettingError(f"{name} has one group to train on, and none is left to validate: choose fewer --folds")
    parts = min(max(2, round(1 / config.share)), len(training))
    return training[_dealt(counts[training], parts, random) == 0]


def _check_classes(rows: pd.DataFrame, group: np.ndarray, splits: np.ndarray, tasks: Sequence[Task], name: str) -> None:
    for task in tasks:
        if task.is_value:
            continue
        labels = rows[task.column].to_numpy()
        there = set(labels.tolist()) - {NO_LABEL}
        for split in (TRAIN, TEST):
            for label in sorted(there - set(labels[splits == split].tolist())):
                having = len(np.unique(group[labels == label]))
                advice = "" if len(tasks) == 1 else f"--stratify {as_line(task.name)}, "
                raise SettingError(
                    f"{split} of {name} would have no segment of class {as_line(task.classes[label])} of"
                    f" {as_line(task.name)}, which {having} group{'s have' if having != 1 else ' has'}: choose"
                    f" {advice}fewer --folds or another --seed"
                )
