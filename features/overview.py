"""What was read of a corpus: counted by class and split, with what looks like a mistake, and what has changed."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from ..shown import aligned, as_line
from .segments import ORIGINAL, REMOVED
from .splits import is_usual, usual_names
from .tasks import NO_LABEL, Task

_MOST_CLASSES = 40  # that a table has rows for
_MOST_NAMES = 3  # that a line names
_SHORTEST = 4  # letters of names in which one that differs is a slip rather than a system, as in A and B, neu and neg
_FEW, _RARE = 2, 0.1  # segments, and their share of the likely name's: a slip is rare
_NO_LABEL = "(no label)"


def counts_table(table: pd.DataFrame, tasks: Sequence[Task]) -> list[str]:
    """Lines for the screen: for each task the segments of each class and split, and below them the speakers.

    Recordings stand in brackets where they have several segments. Coarser tasks follow from the finest and have none.
    """
    rows = _counted(table)
    splits = rows["split"].unique().tolist()
    several = rows["recording_id"].nunique() < len(rows)
    lines = ["segments (recordings) by class and split:" if several else "segments by class and split:"]
    for task in [task for task in tasks if not task.coarsens] or [None]:
        cells = [[as_line(task.name) if task else "", *map(as_line, splits), *(["all"] if len(splits) > 1 else [])]]
        for name, chosen in _classes(rows, task):
            cells.append([as_line(name), *_by_split(rows[chosen], splits, several)])
        left_out = len(task.classes) - _MOST_CLASSES if task else 0
        cells.append(["all" if len(cells) > 1 else "segments", *_by_split(rows, splits, several)])
        lines += ["", aligned(cells)]
        if left_out > 0:
            lines.append(f"and {left_out} more classes")
        if task and task.is_value:
            lines += _ranges(rows, task, splits)
    speakers = rows[rows["speaker"] != ""]
    if len(speakers):
        counts = [
            f"{speakers['speaker'][speakers['split'] == split].nunique()} in {as_line(split)}" for split in splits
        ]
        unknown = len(rows) - len(speakers)
        lines += ["", f"speakers: {', '.join(counts)}" + (f"; unknown of {_segments(unknown)}" if unknown else "")]
    return "\n".join(lines).split("\n")


def suspicions(
    table: pd.DataFrame, tasks: Sequence[Task], stretches: Sequence | None = None, with_text: bool = True
) -> list[str]:
    """What looks like a mistake of the corpus, a line each, with names.

    ``stretches`` (N,) are equal where two rows have the very same audio, ``""`` where they have none. ``with_text``
    is false where transcripts are not wanted.
    """
    rows = _counted(table)
    lines = []
    for task in tasks:
        if not task.coarsens and not task.is_value:
            lines += _alike_classes(rows, task)
    lines += _odd_splits(rows)
    for task in tasks:
        if not task.coarsens and not task.is_value:
            lines += _absent_classes(rows, task)
    if with_text and len(rows) and (rows["text"] == "").all():
        lines.append("every transcript is empty, so text says nothing")
    if stretches is not None:
        lines += _heard_differently(rows, tasks, np.asarray(stretches, object)[rows.index.to_numpy()])
    return lines


def changes(old: pd.DataFrame, old_tasks: Sequence[Task], new: pd.DataFrame, tasks: Sequence[Task]) -> list[str]:
    """What a corpus says otherwise now of segments that a store holds: recordings, splits, speakers and labels."""
    before, after = (_counted(table).drop_duplicates("segment_id").set_index("segment_id") for table in (old, new))
    both = after.index[after.index.isin(before.index)]
    before, after = before.loc[both], after.loc[both]
    columns = [
        (name, before[column].to_numpy(), after[column].to_numpy())
        for name, column in (("recording", "recording_id"), ("split", "split"), ("speaker", "speaker"))
    ]
    known = {task.name: task for task in old_tasks}
    for task in tasks:
        if task.name in known:
            columns.append((f"label of {task.name}", _names(before, known[task.name]), _names(after, task)))
    lines = []
    for what, was, now in columns:
        differ = np.flatnonzero(was != now)
        if len(differ):
            named = [f"{both[row]} {was[row] or 'none'} → {now[row] or 'none'}" for row in differ[:_MOST_NAMES]]
            lines.append(f"{as_line(what)} changed for {_segments(len(differ))}: {_listed(named, len(differ))}")
    lines += [
        f"task {as_line(name)} is not in the corpus any more" for name in known if name not in {t.name for t in tasks}
    ]
    lines += [f"task {as_line(task.name)} is new" for task in tasks if task.name not in known]
    return lines


def _counted(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["view"] == ORIGINAL) & (table["split"] != REMOVED)]


def _classes(rows: pd.DataFrame, task: Task | None) -> list[tuple[str, np.ndarray]]:
    """Each class with the rows that have it, and those without a label if there are any."""
    if task is None:
        return []
    labels = rows[task.column].to_numpy()
    if task.is_value:
        found = [("with a value", ~np.isnan(labels))]
    else:
        found = [(name, labels == index) for index, name in enumerate(task.classes[:_MOST_CLASSES])]
    unlabelled = np.isnan(labels) if task.is_value else labels == NO_LABEL
    return found + ([(_NO_LABEL, unlabelled)] if unlabelled.any() else [])


def _by_split(rows: pd.DataFrame, splits: Sequence[str], several: bool) -> list[str]:
    parts = [rows[rows["split"] == split] for split in splits] + ([rows] if len(splits) > 1 else [])
    return [f"{len(part)} ({part['recording_id'].nunique()})" if several else str(len(part)) for part in parts]


def _ranges(rows: pd.DataFrame, task: Task, splits: Sequence[str]) -> list[str]:
    parts = []
    for split in splits:
        values = rows[task.column][rows["split"] == split].dropna()
        if len(values):
            parts.append(f"{values.min():g} to {values.max():g} in {as_line(split)}")
    return [f"{as_line(task.name)} lies from {', '.join(parts)}"] if parts else []


def _alike_classes(rows: pd.DataFrame, task: Task) -> list[str]:
    """Pairs of names that differ by case, accents or spacing, or by one letter where one of them is rare."""
    counts = np.bincount(rows[task.column] + 1, minlength=len(task.classes) + 1)[1:].tolist()  # from -1, no label
    lines = []
    for (name, count), (other, others) in combinations(zip(task.classes, counts, strict=True), 2):
        if not count or not others:
            continue
        how = ""
        if _folded(name) and _folded(name) == _folded(other):
            how = "by case, accents or spacing alone"
        elif _is_slip(_folded(name), _folded(other)) and min(count, others) <= max(_FEW, _RARE * max(count, others)):
            how = "by one letter" if count != others else ""
        if how:
            lines.append(
                f"classes {as_line(name)!r} ({_segments(count)}) and {as_line(other)!r} ({_segments(others)}) of"
                f" {as_line(task.name)} differ {how}: are they one?"
            )
    return lines


def _folded(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in letters if letter.isalnum() or letter in "+-")


def _is_slip(one: str, other: str) -> bool:
    """Whether two names in an alphabet differ by one letter added, lost, replaced or swapped with its neighbour."""
    is_word = all(len(name) >= _SHORTEST and name.isalpha() and max(name) < "\u2e80" for name in (one, other))
    return is_word and within_one_edit(one, other)


def within_one_edit(one: str, other: str) -> bool:
    """Whether one letter added, lost, replaced or swapped with its neighbour makes ``one`` of ``other``."""
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    swapped = short[:start] + short[start : start + 2][::-1] + short[start + 2 :]
    return short[start + 1 :] == long[start + 1 :] or swapped == long


def _odd_splits(rows: pd.DataFrame) -> list[str]:
    lines = []
    for split in rows["split"].unique():
        if not is_usual(split):
            near = next((name for name in usual_names() if within_one_edit(split.casefold(), name)), "")
            meant = f"is it {near}?" if near else "train and eval find it by --train-split and --split alone"
            count = _segments(int((rows["split"] == split).sum()))
            lines.append(f"split {as_line(split)!r} ({count}) is none of the usual names: {meant}")
    return lines


def _absent_classes(rows: pd.DataFrame, task: Task) -> list[str]:
    """Classes that a split lacks though others have them; splits without any label have none to lack."""
    lines = []
    there = set(rows[task.column]) - {NO_LABEL}
    for split in rows["split"].unique():
        here = set(rows[task.column][rows["split"] == split]) - {NO_LABEL}
        absent = [task.classes[index] for index in sorted(there - here)]
        if here and absent:
            plural = "es" if len(absent) > 1 else ""
            lines.append(
                f"split {as_line(split)} has no segment of class{plural} {_listed(absent)} of {as_line(task.name)}"
            )
    return lines


def _heard_differently(rows: pd.DataFrame, tasks: Sequence[Task], stretches: np.ndarray) -> list[str]:
    """The very same audio with more than one label."""
    repeated = pd.Series(stretches).duplicated(keep=False).to_numpy() & (stretches != "")
    if not repeated.any():
        return []
    groups: dict[object, list[int]] = {}
    for place in np.flatnonzero(repeated):
        groups.setdefault(stretches[place], []).append(int(place))
    ids = rows["segment_id"].to_numpy()
    lines = []
    for task in [task for task in tasks if not task.coarsens]:
        labels = _names(rows, task)
        named = []
        for places in groups.values():
            first = {labels[place]: place for place in reversed(places) if labels[place]}
            if len(first) > 1:
                one, other = sorted(first.values())[:2]
                named.append(f"{ids[one]} {labels[one]}, {ids[other]} {labels[other]}")
        if named:
            lines.append(
                f"the same audio has different labels of {as_line(task.name)} in {len(named)}"
                f" case{'s' if len(named) != 1 else ''}: {_listed(named, len(named), '; ')}"
            )
    return lines


def _names(rows: pd.DataFrame, task: Task) -> np.ndarray:
    """(n,) the label of each row as text, empty without one."""
    labels = rows[task.column].to_numpy()
    if task.is_value:
        return np.array(["" if np.isnan(value) else f"{value:g}" for value in labels], object)
    return np.array([task.classes[index] if index >= 0 else "" for index in labels], object)


def _segments(count: int) -> str:
    return f"{count} segment{'s' if count != 1 else ''}"


def _listed(names: Sequence[str], count: int | None = None, between: str = ", ") -> str:
    left = (len(names) if count is None else count) - min(len(names), _MOST_NAMES)
    return between.join(map(as_line, names[:_MOST_NAMES])) + (f" and {left} more" if left else "")
