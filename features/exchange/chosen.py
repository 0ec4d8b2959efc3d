"""What of a store is exported: rows by split, features, labels; and what is left out, in lines for the screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...errors import ExchangeError, SettingError, StoreError
from ...shown import as_line
from ..rows import MISSING
from ..schemes import STANDARD, splits_of
from ..segments import ORIGINAL, REMOVED
from ..store import FeatureStore
from ..tasks import NO_LABEL, Task


@dataclass(frozen=True)
class Chosen:
    """Rows of a store."""

    splits: dict[str, np.ndarray]
    """By the name of the split, in the order of the table, the numbers of its rows."""

    lines: list[str]
    """What was left out."""


@dataclass
class Exported:
    """What was written."""

    path: Path
    lines: list[str] = field(default_factory=list)
    """What is in it, and what was left out, for the screen."""


def choose_rows(store: FeatureStore, scheme: str = STANDARD, views: Sequence[str] = (ORIGINAL,)) -> Chosen:
    """The rows of the splits of a scheme that are of these views and whose segments are still in the corpus.

    Raises StoreError for a scheme, and SettingError for a view, that the store does not have.
    """
    table = store.segments
    try:
        splits = splits_of(table, scheme)
    except StoreError as error:
        raise StoreError(f"{store.path}: {error}") from error
    there = list(dict.fromkeys(table["view"]))
    for view in views:
        if view not in there:
            raise SettingError(
                f"{store.path} has no view {as_line(view)!r}, only {_listed(there)}: choose another --view"
            )
    is_there = (table["split"] != REMOVED).to_numpy()
    is_of_view = table["view"].isin(views).to_numpy()
    in_split = (splits != "").to_numpy() & is_there & is_of_view
    lines = []
    others = is_there & ~is_of_view
    if others.any():
        names = _listed(dict.fromkeys(table["view"][others]))
        lines.append(f"left out: {others.sum()} rows of other views ({names}); --view takes them")
    outside = is_there & is_of_view & ~in_split
    if outside.any():
        lines.append(f"left out: {outside.sum()} segments that are in no split of {as_line(scheme)}")
    rows = np.flatnonzero(in_split)
    if not len(rows):
        raise StoreError(f"{store.path} has no segments to export")
    names = splits.to_numpy()[rows]
    return Chosen({name: rows[names == name] for name in dict.fromkeys(names)}, lines)


def choose_feature(store: FeatureStore, modality: str, asked: str) -> str:
    """The feature that is asked for, or the only one of a modality; ``""`` where there is none.

    Features without silence, or of one speaker, lie beside the plain one; they are meant only when named. Raises
    SettingError where there are several, or not the one asked for.
    """
    if asked:
        if asked not in store.specs:
            there = _listed(store.specs) or "none"
            raise SettingError(f"{store.path} has no feature {as_line(asked)!r}: choose --{modality} from {there}")
        return asked
    there = [name for name, spec in store.specs.items() if spec.modality == modality]
    plain = [name for name in there if store.specs[name].is_plain]
    found = plain if len(plain) == 1 else there
    if len(found) > 1:
        raise SettingError(
            f"{store.path} has several features of {modality}: choose --{modality} from {_listed(found)}"
        )
    return found[0] if found else ""


def choose_features(store: FeatureStore, asked: Sequence[str]) -> tuple[str, ...]:
    """The features that are asked for, or all. Raises SettingError for one that is not there."""
    for name in asked:
        if name not in store.specs:
            there = _listed(store.specs) or "none"
            raise SettingError(f"{store.path} has no feature {as_line(name)!r}: choose --features from {there}")
    if not store.specs:
        raise ExchangeError(f"{store.path}: has no features to export; run msmt extract first")
    return tuple(dict.fromkeys(asked)) or tuple(store.specs)


def choose_task(tasks: Sequence[Task], asked: str, where: object, option: str = "task") -> Task:
    """The task that is asked for; else the only one of values, else the only one of classes.

    Coarser tasks, those of the next segment, and those of single modalities follow another, and are meant when named.
    """
    named = {task.name: task for task in tasks}
    if not tasks:
        raise ExchangeError(f"{where}: has no labels, and MMSA's layout needs some; extract it with labels first")
    if asked:
        if asked not in named:
            raise SettingError(f"{where} has no task {as_line(asked)!r}: choose --{option} from {_listed(named)}")
        return named[asked]
    first = [task for task in tasks if not task.coarsens and not task.follows and not _is_of_modality(task, named)]
    found = [task for task in first if task.is_value] or first or list(tasks)
    if len(found) > 1:
        names = _listed(task.name for task in found)
        raise SettingError(f"{where} has several tasks that fit: choose --{option} from {names}")
    return found[0]


def of_modality(task: Task, named: Iterable[str], letter: str) -> str:
    """The name of the task whose labels are those of ``task`` by one modality: T, A or V; ``""`` if there is none."""
    there = set(named)
    ends = (letter, {"T": "text", "A": "audio", "V": "vision"}[letter])
    return next((name for end in ends if (name := f"{task.name}_{end}") in there), "")


def _is_of_modality(task: Task, named: Iterable[str]) -> bool:
    stem, _, end = task.name.rpartition("_")
    return task.is_value and stem in named and end in ("T", "A", "V", "text", "audio", "vision")


def with_all_of(store: FeatureStore, chosen: Chosen, features: Sequence[str], task: Task | None = None) -> Chosen:
    """``chosen`` without segments that have no row of a feature, or no label of the task."""
    kept, lines = dict(chosen.splits), list(chosen.lines)
    for name in features:
        length = store.lengths(name)
        kept = _only(kept, length != MISSING, f"segments without {name}", lines)
    if task is not None:
        labels = store.segments[task.column].to_numpy()
        there = ~np.isnan(labels) if task.is_value else labels != NO_LABEL
        kept = _only(kept, there, f"segments without a label of {as_line(task.name)}", lines)
    return Chosen(kept, lines)


def _only(splits: dict[str, np.ndarray], there: np.ndarray, called: str, lines: list[str]) -> dict[str, np.ndarray]:
    counts = {name: int((~there[rows]).sum()) for name, rows in splits.items()}
    if any(counts.values()):
        each = ", ".join(f"{count} of {as_line(name)}" for name, count in counts.items() if count)
        lines.append(f"left out: {sum(counts.values())} {called} ({each})")
    return {name: rows[there[rows]] for name, rows in splits.items()}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(as_line, names))
