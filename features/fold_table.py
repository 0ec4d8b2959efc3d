"""Folds counted: what each trains on and tests, and what both have in common that should be apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from ..shown import aligned, as_line
from .schemes import FACT, families_in, schemes_in, splits_of
from .segments import ORIGINAL, REMOVED
from .sharing import Shared, shared_between_splits, sounds_in
from .splits import TEST, TRAIN, VALIDATION
from .store import FeatureStore
from .tasks import Task

_MOST_CLASSES = 12  # that a table has columns for
_ORDER = {name: place for place, name in enumerate((TRAIN, VALIDATION, TEST))}


def describe_folds(store: FeatureStore, sounds: Sequence | None = None) -> dict:
    """How each family of folds was made, and of each of its schemes the splits, counted, and what they share.

    ``sounds`` are those of ``sharing.sounds_in``. Plain JSON types.
    """
    families = families_in(store.head)
    if not families:
        return {}
    sounds = sounds_in(store)[0] if sounds is None else sounds
    return {
        family: {
            **store.head.facts[FACT][family],
            "speakers_known": bool((store.segments["speaker"] != "").any()),
            "schemes": {
                scheme: _described(store, scheme, sounds) for scheme in schemes if scheme in schemes_in(store.segments)
            },
        }
        for family, schemes in families.items()
    }


def fold_lines(folds: Mapping[str, Mapping], tasks: Sequence[Task]) -> list[str]:
    """What ``describe_folds`` says, for the screen: for each family how it was made, a line for each fold, what is shared."""
    lines = []
    for family, made in folds.items():
        lines += ["", f"{as_line(family)}: {_how(made)}"]
        task = _shown_task(made, tasks)
        classes = task.classes[:_MOST_CLASSES] if task else ()
        title = f"segments (recordings); {as_line(task.name)} in train/val/test" if task else "segments (recordings)"
        splits = list(dict.fromkeys(name for each in made["schemes"].values() for name in each["splits"] if name))
        rows = [[title, *map(as_line, splits), *map(as_line, classes)]]
        for scheme, said in made["schemes"].items():
            counted = [said["splits"].get(split, {}) for split in splits]
            sizes = [f"{each.get('segments', 0)} ({each.get('recordings', 0)})" for each in counted]
            by_class = [
                "/".join(str(each.get("labels", {}).get(task.name, {}).get(n, 0)) for each in counted) for n in classes
            ]
            rows.append([as_line(scheme), *sizes, *by_class])
        lines += aligned(rows).split("\n")
        outside = max((each["splits"].get("", {}).get("segments", 0) for each in made["schemes"].values()), default=0)
        if outside:
            lines.append(
                f"{outside} segments are in none of them: they came later; msmt split --overwrite shares all out anew"
            )
        said = [f"{as_line(scheme)}: {line}" for scheme, each in made["schemes"].items() for line in each["sharing"]]
        nothing = "no speaker, no" if made["speakers_known"] else "no"
        lines += said or [f"{nothing} recording and no audio is in {TRAIN} and {TEST} of any of them"]
    return lines


def shared_in_scheme(table: pd.DataFrame, scheme: str, sounds: Sequence | None = None) -> list[Shared]:
    """What train and test of a scheme have in common: speakers, recordings and audio. See sharing.py for ``sounds``."""
    shared = shared_between_splits(table.assign(split=splits_of(table, scheme)), sounds, (TRAIN, TEST))
    return [each for each in shared if each.splits == (TRAIN, TEST)]


def labels_counted(task: Task, rows: pd.DataFrame) -> dict[str, float]:
    """Segments per class, or the range of the values."""
    labels = rows[task.column]
    if task.is_value:
        known = labels.dropna()
        return {"count": len(known), **({"min": float(known.min()), "max": float(known.max())} if len(known) else {})}
    counts = {name: int((labels == index).sum()) for index, name in enumerate(task.classes)}
    unlabelled = int((labels < 0).sum())
    return {**counts, **({"none": unlabelled} if unlabelled else {})}


def _described(store: FeatureStore, scheme: str, sounds: Sequence) -> dict:
    table = store.segments
    splits = splits_of(table, scheme)
    rows = table[(table["view"] == ORIGINAL) & (table["split"] != REMOVED)].assign(split=splits)
    shared = shared_in_scheme(table, scheme, sounds)
    return {
        "splits": {
            split: {
                "segments": len(part),
                "recordings": int(part["recording_id"].nunique()),
                "labels": {task.name: labels_counted(task, part) for task in store.tasks},
            }
            for split, part in sorted(rows.groupby("split"), key=lambda item: _ORDER.get(item[0], len(_ORDER)))
        },
        "shared": [{"what": each.what, "splits": list(each.splits), "names": list(each.names)} for each in shared],
        "sharing": [each.line for each in shared],
    }


def _shown_task(made: Mapping, tasks: Sequence[Task]) -> Task | None:
    """The task that folds are alike in, else the first one of classes."""
    of_classes = [task for task in tasks if not task.is_value and not task.coarsens]
    return next((task for task in of_classes if task.name == made.get("stratify")), next(iter(of_classes), None))


def _how(made: Mapping) -> str:
    """``by recording, stratified by five, seed 0, validation by the next fold``; a corpus's own folds have no seed."""
    stratified = f", stratified by {as_line(made['stratify'])}" if made.get("stratify") else ""
    seed = "" if made.get("seed") is None else f", seed {as_line(made['seed'])}"
    said = as_line(made.get("validation"))
    is_share = said.replace(".", "", 1).isdecimal()
    validation = "the next fold" if said == "next" else f"{said} of the rest" if is_share else said
    return f"by {as_line(made.get('by'))}{stratified}{seed}, validation by {validation}"
