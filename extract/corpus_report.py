"""What was found of a public corpus, for the screen, for programs, and for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..features.durable import write_whole
from ..features.segments import EXTRA
from ..shown import aligned, as_cell, as_line, counted
from .config import ExtractConfig
from .corpora.contract import UNANNOTATED, Count
from .reconcile import ACTIONS, FATAL, LEFT_OUT, SPLIT_LEFT_OUT, Counted, Reconciled

_MOST_NAMED = 5  # items of one problem, on the screen


def lines_of(found: Reconciled) -> list[str]:
    """The report for the screen."""
    reading = found.reading
    lines = [f"{reading.name} in {as_line(reading.root)}: {as_line(reading.arrangement)}"]
    lines += [f"note: {as_line(note)}" for note in reading.notes]
    lines += [*_table(found), "", *_lines_of_problems(found), *_lines_of_defects(found), *_lines_of_asides(found)]
    how = "decoded as a whole" if found.are_decoded else "told by their headers alone; --decode decodes all of them"
    lines += ["", *_lines_of_actions(found), "", f"audio files were {how}"]
    return [*lines, "in order" if found.is_in_order else "NOT in order: see above"]


def _lines_of_actions(found: Reconciled) -> list[str]:
    taken = Counter(found.items["action"])
    if set(taken) == {SPLIT_LEFT_OUT}:
        return ["msmt extract would refuse it, for none of the audio is there; --modalities text needs none"]
    rows = [(f"  {action}", f"{count:,}") for action, count in taken.most_common()]
    lines = ["msmt extract would have its items:", *aligned(rows).split("\n")]
    allowed = ExtractConfig().failures_allowed(len(found.items))
    known = {met.defect.item for met in found.defects}
    listed = ~found.items["segment_id"].isin(known) & found.items["action"].isin([ACTIONS[word] for word in FATAL])
    if listed.sum() > allowed:
        lines.append(f"it would stop at so many that are listed: --max-failures {int(listed.sum())} goes on")
    return lines


def _table(found: Reconciled) -> list[str]:
    """A row for each kind, a column for each split, or one for all: annotated, in brackets with audio.

    Of single speakers, who can be a hundred, those of whom a part is there; of the others how many they are.
    """
    if not found.counts:
        return []
    whole = [each for each in found.counts if _is_of_speaker(each) and not each.is_off]
    absent = [each for each in found.counts if _is_of_speaker(each) and each.is_off and not each.annotated]
    shown = [each for each in found.counts if each not in (*whole, *absent)]
    columns: dict[str, None] = {}
    cells: dict[str, dict[str, str]] = {}
    for each in shown:
        place, kind = _placed(each.count)
        columns.setdefault(place)
        cells.setdefault(kind, {}).setdefault(place, _cell(each))  # what is disputed stands below
    rows = [("", *map(as_line, columns))]
    rows += [(as_line(kind), *(found_in.get(place, "") for place in columns)) for kind, found_in in cells.items()]
    lines = [
        "",
        "annotated (with audio that can be used); ≠ stands before what is expected",
        *aligned(rows).split("\n"),
    ]
    if whole:
        lines.append(f"{len(whole)} speakers have the items that they should, each")
    if absent:
        lines.append(f"{len(absent)} speakers have none: {_named([each.count.where['speaker'] for each in absent])}")
    disputed = [
        f"{_placed(each.count)[1]}: {each.count.expected:,} according to {each.count.source},"
        f" {each.annotated - each.count.expected:+,} here"
        for each in found.counts
        if each.count.source
    ]
    return [*lines, *disputed]


def _is_of_speaker(each: Counted) -> bool:
    return set(each.count.where) == {"speaker"}


def _named(names: Sequence[str]) -> str:
    return ", ".join(map(as_line, names[:_MOST_NAMED])) + (", …" if len(names) > _MOST_NAMED else "")


def _placed(count: Count) -> tuple[str, str]:
    """Column and row of the table."""
    where = dict(count.where)
    place = where.pop("split", "all")
    what = ", ".join(f"{column.removeprefix(EXTRA)} {value}" for column, value in where.items())
    kind = f"{count.unit}s"
    return place, what if what and count.unit == "item" else f"{kind} of {what}" if what else kind


def _cell(each: Counted) -> str:
    differs = f" ≠ {each.count.expected:,}" if each.is_off else ""
    return f"{each.annotated:,}{differs} ({each.usable:,})"


def _lines_of_problems(found: Reconciled) -> list[str]:
    lines = []
    for word, count in found.problems.items():
        rows = found.items[[word in words for words in found.items["problems"]]][:_MOST_NAMED]
        names = []
        for name, words, details in zip(rows["segment_id"], rows["problems"], rows["details"], strict=True):
            detail = details[words.index(word)]
            names.append(as_line(f"{name} ({detail})" if detail else name))
        more = ", …" if count > _MOST_NAMED else ""
        lines.append(f"{count:,} × {word} ({ACTIONS[word]}): {', '.join(names)}{more}")
    return lines or ["no item has a problem"]


def _lines_of_defects(found: Reconciled) -> list[str]:
    if not found.defects:
        return []
    words = {True: "met", False: "NOT met", None: "cannot be told here"}
    lines = ["", "known defects:"]
    for met in found.defects:
        lines.append(f"  {words[met.is_met]}: {as_line(met.defect.item)}, {met.defect.what}; {met.defect.action}")
    return lines


def _lines_of_asides(found: Reconciled) -> list[str]:
    lines = []
    for kind, asides in (("file", found.reading.orphans), ("item", found.reading.left_out)):
        by_reason: dict[str, list[str]] = {}
        for aside in asides:
            by_reason.setdefault(aside.reason, []).append(aside.name)
        for reason, names in by_reason.items():
            lines.append(f"{counted(len(names), kind)} left out, {as_line(reason)}: {_named(names)}")
    return ["", *lines] if lines else []


def write_items(found: Reconciled, path: Path) -> None:
    """A csv of every item, annotated or not, with its verdict; made for a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ("segment_id", "split", "speaker", "audio", "origin", "stated", "seconds")
    writer.writerow((*columns, "verdict", "detail", "extract"))
    rows = found.items
    for values in zip(
        *(rows[name] for name in columns), rows["problems"], rows["details"], rows["action"], strict=True
    ):
        *plain, problems, details, action = values
        detail = "; ".join(filter(None, details))
        cells = [_rounded(value) for value in plain]
        writer.writerow([as_cell(cell) for cell in (*cells, "; ".join(problems) or "in order", detail, action)])
    for aside in found.reading.left_out:
        writer.writerow([as_cell(cell) for cell in _aside(aside.name, aside.split, "", aside.origin, aside.reason)])
    for orphan in found.reading.orphans:
        writer.writerow([as_cell(cell) for cell in _aside("", orphan.split, orphan.name, "", orphan.reason)])
    write_whole(path, [text.getvalue().encode()])


def _aside(name: str, split: str, audio_path: str, origin: str, reason: str) -> tuple[str, ...]:
    verdict = UNANNOTATED if audio_path else "not asked for"
    return (name, split, "", audio_path, origin, "", "", verdict, reason, LEFT_OUT)


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.3f}"
    return value


def as_json(found: Reconciled) -> Mapping[str, object]:
    """The report as plain values."""
    reading = found.reading
    return {
        "dataset": reading.name,
        "folder": str(reading.root),
        "arrangement": reading.arrangement,
        "in_order": found.is_in_order,
        "decoded": found.are_decoded,
        "items": len(found.items),
        "counts": [
            {
                "where": dict(each.count.where),
                "unit": each.count.unit,
                "expected": each.count.expected,
                "source": each.count.source,
                "annotated": each.annotated,
                "usable": each.usable,
            }
            for each in found.counts
        ],
        "problems": found.problems,
        "extract": dict(Counter(found.items["action"]).most_common()),
        "defects": [
            {"item": met.defect.item, "what": met.defect.what, "action": met.defect.action, "met": met.is_met}
            for met in found.defects
        ],
        "orphans": dict(Counter(aside.reason for aside in reading.orphans)),
        "left_out": dict(Counter(aside.reason for aside in reading.left_out)),
        "notes": list(reading.notes),
    }
