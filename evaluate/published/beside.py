"""What is published of the tasks of an evaluation, beside its own figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from ...features.tasks import Task
from ...shown import aligned, as_line
from ..metrics import TaskReport
from ..report import FIGURE_NAMES, NOT_SHARES, for_a_file, heading, percent, shown_as
from ..results import figures_of
from ..tables.markdown import in_markdown, markdown_table
from ..values import names_of_figures
from .registry import CORPORA, caution, rows_of
from .row import PublishedRow

OURS = "this run"
_NONE = "–"


def file_for(split: str) -> str:
    """What holds all published rows of an evaluation, in its run's folder."""
    return f"published-{for_a_file(split)}.md"


def published_blocks(split: str, report: TaskReport, dataset: str) -> list[str]:
    """For the screen: the best known rows of a task, F1 of each class where one of them has it, and what differs."""
    rows = rows_of(report.task, dataset)
    shown = [row for row in CORPORA[dataset].shown if row in rows]
    if not shown:
        return []
    blocks = [aligned(table) for table in _tables(report, shown, as_line)]
    says = [sentence for sentence in [caution(dataset, split, report.count, report.task)] if sentence]
    says += dict.fromkeys(row.note for row in shown if row.note)
    if len(rows) > len(shown):
        says.append(f"All {len(rows)} published rows of {as_line(report.task.name)} are in the Markdown file.")
    return [*blocks, *(["\n".join(says)] if says else [])]


def _tables(report: TaskReport, rows: Sequence[PublishedRow], escaped) -> list[list[list[str]]]:
    """Figures, and F1 of each class where a row has it; ours come first in both."""
    task = report.task
    names = _columns(task, rows)
    header = [escaped(f"{task.name}, published"), "printed in", *map(heading, names)]
    ours = [OURS, ""]
    ours += [shown_as(name)(report.figures[name].value) if name in report.figures else _NONE for name in names]
    tables = [[header, ours]]
    for row in rows:
        of = row.figures[task.name]
        tables[0].append([row.name, row.source, *(_printed(name, of.get(name)) for name in names)])
    with_classes = [row for row in rows if row.f1_of_classes]
    if with_classes:
        by_class = [[escaped(f"{task.name}, F1 of each class"), "printed in", *map(escaped, task.classes)]]
        by_class.append([OURS, "", *(percent(each.f1) for each in report.classes)])
        by_class.append(["  n", "", *(f"{each.support:,}" for each in report.classes)])
        for row in with_classes:
            of_classes = [_printed("f1", row.f1_of_classes.get(name)) for name in task.classes]
            by_class.append([row.name, row.source, *of_classes])
        tables.append(by_class)
    return tables


def _columns(task: Task, rows: Sequence[PublishedRow]) -> list[str]:
    """The figures that any of the rows has, in the order in which papers print them."""
    order = names_of_figures(task.scale) if task.is_value else figures_of(task)
    printed = {name for row in rows for name in row.figures[task.name]}
    return [name for name in dict.fromkeys([*order, *FIGURE_NAMES]) if name in printed]


def _printed(name: str, number: float | None) -> str:
    if number is None:
        return _NONE
    return f"{number:.3f}" if name in NOT_SHARES else f"{number:.2f}"


def published_markdown(split: str, reports: Mapping[str, TaskReport], dataset: str) -> str:
    """All that is published of the tasks of an evaluation, beside its figures; empty where nothing is, or the table
    on the screen has it in columns."""
    if dataset not in CORPORA or CORPORA[dataset].in_columns:
        return ""
    blocks = []
    for report in reports.values():
        rows = rows_of(report.task, dataset)
        if not rows:
            continue
        blocks.append(f"## Task {in_markdown(report.task.name)}")
        blocks += [markdown_table(table) for table in _tables(report, rows, in_markdown)]
        says = [sentence for sentence in [caution(dataset, split, report.count, report.task)] if sentence]
        says += dict.fromkeys(row.note for row in rows if row.note)
        said = {row.paper: row.test_items for row in rows if row.test_items}
        says += [f"{paper} says that it was tested on {items:,} {_items_of(dataset)}." for paper, items in said.items()]
        blocks += ["\n".join(f"- {in_markdown(sentence)}" for sentence in says)] if says else []
    if not blocks:
        return ""
    title = f"# Published figures on {CORPORA[dataset].title}, beside those on {in_markdown(split)}"
    about = "Shares are in per cent. Figures of others are as their papers, or those that cite them, have printed them."
    return "\n\n".join([title, about, *blocks]) + "\n"


def _items_of(dataset: str) -> str:
    return CORPORA[dataset].items


def published_json(reports: Mapping[str, TaskReport], dataset: str) -> dict[str, list[dict]]:
    """The same for programs, by task; shares in percent, as printed."""
    found = {name: rows_of(report.task, dataset) for name, report in reports.items()}
    return {
        name: [asdict(row) | {"figures": dict(row.figures[name])} for row in rows]
        for name, rows in found.items()
        if rows
    }
