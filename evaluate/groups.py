"""The figures of an evaluation for each group of its items: by speaker, by split, by any column that a store keeps.

An item, a recording or a segment where the tasks are ones of segments, belongs to one group:

- that of its value in the column; a recording has one if all of its segments have the same;
- ``several``, a recording whose segments have different values;
- ``unknown``, where the value is empty, for a recording in one of its segments or more.

Figures, intervals and chance lines of a group are those that ``metrics.evaluate`` gives for its items alone. A group
with a single recording has no width. The chance line is the same answer in all groups: what is most frequent, or the
mean, in the whole training split.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import SettingError
from ..features.segments import AGENT_CHANNEL, EXTRA, ORIGINAL, REMOVED, UNKNOWN_CHANNEL
from ..features.tasks import Task
from ..shown import aligned, as_cell, as_line
from .chance import chance_name
from .metrics import TaskReport, evaluate
from .report import FIGURE_NAMES, NO_WIDTH, bracketed, for_a_file, report_json, shown_as
from .results import tested_figure

if TYPE_CHECKING:
    import pandas as pd

MOST_GROUPS = 50
VALUE, SEVERAL, UNKNOWN = "value", "several", "unknown"
_COLUMNS = ("speaker", "split", "recording_id", "channel", AGENT_CHANNEL)


@dataclass(frozen=True)
class Group:
    """Items that are alike in one column."""

    name: str
    """The column's value, exactly; ``several`` or ``unknown`` where there is not one."""

    kind: str = VALUE
    """``value``, ``several`` or ``unknown``: a value may be called by these names too."""

    @property
    def shown(self) -> str:
        """As tables show it."""
        return as_line(self.name) if self.kind == VALUE else f"({self.name})"


@dataclass(frozen=True)
class Grouped:
    """The reports of each group."""

    column: str
    """The column's name in the segment table."""

    reports: Mapping[Group, Mapping[str, TaskReport]]
    """By group, in the order of tables, and by task; without tasks that a group has no labels of."""

    @property
    def file_name(self) -> str:
        """``by-COLUMN``, without what has a meaning in paths."""
        return f"by-{for_a_file(self.column)}"

    def of_tasks(self) -> dict[str, dict[Group, TaskReport]]:
        """By task, and by each group that has labels of it."""
        tasks: dict[str, dict[Group, TaskReport]] = {}
        for group, reports in self.reports.items():
            for name, report in reports.items():
                tasks.setdefault(name, {})[group] = report
        return tasks


def column_named(asked: str, segments: pd.DataFrame) -> str:
    """The column of the segment table that is meant: ``dialect`` means ``extra_dialect``, where that was kept.

    Raises SettingError, which names the columns that there are, for any other.
    """
    there = [name for name in segments if name in _COLUMNS or name.startswith(EXTRA)]
    for name in (asked, EXTRA + asked):
        if name in there:
            return name
    plain_names = [name.removeprefix(EXTRA) if name.removeprefix(EXTRA) not in _COLUMNS else name for name in there]
    raise SettingError(
        f"the store has no column {asked!r} to group by, it has {', '.join(plain_names)}: others of the corpus's csv "
        f"are kept by msmt extract --keep-columns"
    )


def file_for(column: str, split: str) -> str:
    """What the figures by a column are called in a run's folder."""
    return f"by-{for_a_file(column)}-{for_a_file(split)}.csv"


def groups_of(
    segments: pd.DataFrame,
    column: str,
    recording_ids: Sequence[str],
    segment_ids: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
) -> tuple[Group, ...]:
    """(n,) the group of each item; ``segment_ids`` (n,) are given where items are segments.

    ``splits`` are those that the items are of, by default all. Raises SettingError for more groups than a table holds.
    """
    of_splits = (segments["split"] != REMOVED) if splits is None else segments["split"].isin(list(splits))
    table = segments[(of_splits & (segments["view"] == ORIGINAL)).to_numpy()]
    key, items = ("recording_id", recording_ids) if segment_ids is None else ("segment_id", segment_ids)
    values: dict[str, set[str]] = {}
    for item, value in zip(table[key], table[column], strict=True):
        values.setdefault(item, set()).add(_text(column, value))
    groups = tuple(_group(values.get(item, {""})) for item in items)
    count = len(set(groups))
    if count > MOST_GROUPS:
        raise SettingError(
            f"there are {count:,} groups by {column}, and tables hold {MOST_GROUPS}: keep a column of the corpus's csv "
            f"that has fewer values"
        )
    return groups


def _text(column: str, value: object) -> str:
    """A cell's value; empty where it is not known."""
    return "" if column == AGENT_CHANNEL and value == UNKNOWN_CHANNEL else str(value)


def _group(values: set[str]) -> Group:
    known = {value for value in values if value.strip()}
    if len(known) > 1:
        return Group(SEVERAL, SEVERAL)
    return Group(UNKNOWN, UNKNOWN) if len(known) < len(values) else Group(*known)


def evaluate_groups(
    column: str,
    groups: Sequence[Group],
    whole: Mapping[str, TaskReport],
    tasks: Sequence[Task],
    labels: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    recordings: Sequence[str] | None = None,
    chance: Mapping[str, float] | None = None,
    units: Sequence[str] | None = None,
    unit: str = "recording",
) -> Grouped:
    """Reports of each group's items; ``groups`` (n,) as ``groups_of`` gives them, the rest as for ``metrics.evaluate``.

    ``whole`` are the reports of all items: a group has no figures that these lack.
    """
    reports = {}
    for group in _in_order(set(groups)):
        its = np.array([each == group for each in groups])
        found = evaluate(
            tasks,
            {name: np.asarray(values)[its] for name, values in labels.items()},
            {name: np.asarray(values)[its] for name, values in outputs.items()},
            None if recordings is None else np.asarray(recordings)[its],
            chance,
            None if units is None else np.asarray(units)[its],
            unit,
        )
        reports[group] = {name: _with_figures_of(whole[name], report) for name, report in found.items()}
    return Grouped(column, reports)


def _with_figures_of(whole: TaskReport, report: TaskReport) -> TaskReport:
    """Which figures apply to real values is told by all of them, not by those that a group happens to have."""
    chance = report.chance and replace(
        report.chance, figures={name: of for name, of in report.chance.figures.items() if name in whole.figures}
    )
    figures = {name: figure for name, figure in report.figures.items() if name in whole.figures}
    return replace(report, figures=figures, chance=chance)


def _in_order(groups: set[Group]) -> list[Group]:
    """Values first, as numbers where all are ones, then ``several`` and ``unknown``."""
    kinds = (VALUE, SEVERAL, UNKNOWN)
    numbers = {group: _number(group.name) for group in groups if group.kind == VALUE}
    in_numbers = all(math.isfinite(number) for number in numbers.values())
    return sorted(
        groups,
        key=lambda group: (kinds.index(group.kind), numbers.get(group, 0.0) if in_numbers else 0.0, group.name),
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def groups_json(grouped: Grouped) -> dict:
    """For the metrics, beside the figures of all items."""
    return {
        "column": grouped.column,
        "groups": [
            {"group": group.name, "kind": group.kind, "tasks": {name: report_json(of) for name, of in reports.items()}}
            for group, reports in grouped.reports.items()
        ],
    }


def groups_csv(grouped: Grouped) -> str:
    """A row per task and group: what is counted, then each figure with its interval and its chance; shares are of 1.

    It is opened in spreadsheets, so names are written as ``as_cell`` has them; the exact ones are in the metrics.
    """
    rows = []
    for task, reports in grouped.of_tasks().items():
        for group, report in reports.items():
            row = {"task": task, "group": group.name, "kind": group.kind, "count": report.count}
            row |= {"recordings": report.recordings, "resampled": report.unit, "resampled_units": report.units}
            for name, figure in report.figures.items():
                row |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
                row[f"{name}_interval_has_width"] = figure.has_width
                row[f"{name}_chance"] = report.chance.figures.get(name, "") if report.chance else ""
            row["chance_answer"] = report.chance.answer if report.chance else ""
            rows.append(row)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(as_cell, columns))
    writer.writerows([as_cell(row.get(column, "")) for column in columns] for row in rows)
    return text.getvalue()


def groups_table(grouped: Grouped) -> str:
    """A table per task for the screen, shares in percent."""
    blocks = [_task_table(grouped.column, reports) for reports in grouped.of_tasks().values()]
    reports = [report for of_group in grouped.reports.values() for report in of_group.values()]
    if any(not report.figures[name].has_width for report in reports for name in _shown_figures(report)[:1]):
        blocks.append(
            f"{NO_WIDTH}: a group of one {reports[0].unit}, or one whose figure is the same without any of them: its"
            " interval says nothing"
        )
    return "\n\n".join(blocks)


def _shown_figures(report: TaskReport) -> tuple[str, ...]:
    """Which figures of a task the screen shows; the first with its interval and its chance."""
    tested = tested_figure(report.task)
    return (tested,) if report.task.is_value else (tested, "macro_f1")


def _task_table(column: str, reports: Mapping[Group, TaskReport]) -> str:
    first = next(iter(reports.values()))
    main, *others = _shown_figures(first)
    shown = shown_as(main)
    counts_recordings = first.task.level != "recording"
    header = [f"{as_line(first.task.name)} by {as_line(column)}", "n"]
    header += ["recordings"] if counts_recordings else []
    header += [f"{first.unit}s"] if first.unit != "recording" else []
    header += [FIGURE_NAMES.get(main, main), "", *(FIGURE_NAMES[name] for name in others)]
    header += [f"{chance_name([first.task])} ({as_line(first.chance.answer)})"] if first.chance else []
    rows = [header]
    for group, report in reports.items():
        figure = report.figures[main]
        row = [group.shown, str(report.count)]
        row += [str(report.recordings)] if counts_recordings else []
        row += [str(report.units)] if first.unit != "recording" else []
        row += [shown(figure.value), bracketed(figure.low, figure.high, shown)]
        row += [shown(report.figures[name].value) for name in others]
        rows.append(row + ([shown(report.chance.figures[main])] if report.chance else []))
    return aligned(rows)
