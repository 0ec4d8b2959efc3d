"""The table of an evaluation on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..shown import aligned, as_line
from .chance import chance_name
from .metrics import TaskReport
from .published.beside import published_blocks
from .published.registry import CORPORA, caution
from .published.row import PublishedRow
from .report import CONSTANT_MARK, FIGURE_NAMES, NO_WIDTH, bracketed, counted_items, percent, shown_as
from .results import figures_of, tested_figure
from .uncertainty import CONFIDENCE


def score_table(split: str, reports: Mapping[str, TaskReport], dataset: str = "") -> str:
    """The reports as text for the screen, in percent; beside them the best known of what is published on a dataset."""
    if not reports:
        return f"{as_line(split)}: no labels, so no scores"
    reports = list(reports.values())
    largest = max(reports, key=lambda report: report.recordings)
    blocks = [f"{as_line(split)}: {counted_items(largest)}, {CONFIDENCE:.0%} intervals over {largest.unit}s"]
    corpus = CORPORA.get(dataset)
    columns = corpus.shown if corpus and corpus.in_columns else ()
    classes = [report for report in reports if report.confusion is not None]
    for tested in dict.fromkeys(tested_figure(report.task) for report in classes):
        blocks.append(_class_table([report for report in classes if tested_figure(report.task) == tested], columns))
    blocks += [_value_table(report) for report in reports if report.confusion is None]
    if corpus and not corpus.in_columns:
        blocks += [block for report in reports for block in published_blocks(split, report, dataset)]
    derived = {}
    for report in classes:
        if report.derived_from:
            derived.setdefault(report.derived_from, []).append(report.task.name)
    blocks += _warnings(reports)
    blocks += [
        f"{as_line(', '.join(names))}: from the prediction of {as_line(fine)}, made coarser"
        for fine, names in derived.items()
    ]
    if any(report.task.name in row.accuracy for report in classes for row in columns):
        blocks += [warning for warning in [caution(dataset, split, largest.recordings)] if warning]
    return "\n\n".join(blocks)


def _warnings(reports: Sequence[TaskReport]) -> list[str]:
    """What a reader must not overlook, a line each."""
    lines = [
        f"{CONSTANT_MARK} {as_line(report.task.name)}: the model answers {as_line(report.constant)} to each of"
        f" {report.count:,} {report.task.level}s, whatever it is given"
        for report in reports
        if report.constant
    ]
    if any(not figure.has_width for report in reports for figure in report.figures.values()):
        lines.append(f"{NO_WIDTH}: without any {reports[0].unit} the figure is the same, so its interval says nothing")
    return lines


def _class_table(reports: Sequence[TaskReport], published: Sequence[PublishedRow]) -> str:
    """Reports that are tested by the same figure, which comes first and has its interval."""
    tested, *others = figures_of(reports[0].task)
    header = ["task", "n", FIGURE_NAMES[tested], ""] + [FIGURE_NAMES[name] for name in others]
    header += [f"{row.name} (paper)" for row in published]
    rows = [header]
    for report in reports:
        figure = report.figures[tested]
        row = [
            as_line(report.task.name) + (f" {CONSTANT_MARK}" if report.constant else ""),
            str(report.count),
            percent(figure.value),
            bracketed(figure.low, figure.high, percent),
        ]
        row += [percent(report.figures[name].value) for name in others]
        row += [f"{of.accuracy[report.task.name]:.2f}" if report.task.name in of.accuracy else "" for of in published]
        rows.append(row)
        if report.chance:
            figures = report.chance.figures
            row = [
                f"  {chance_name([report.task])} ({as_line(report.chance.answer)})",
                "",
                percent(figures[tested]),
                "",
            ]
            rows.append([*row, *(percent(figures[name]) for name in others), *[""] * len(published)])
    return aligned(rows)


def _value_table(report: TaskReport) -> str:
    mark = f" {CONSTANT_MARK}" if report.constant else ""
    rows = [[f"{as_line(report.task.name)} (n = {report.count}){mark}", "", ""]]
    if report.chance:
        rows[0].append(f"{chance_name([report.task])} ({as_line(report.chance.answer)})")
    for name, figure in report.figures.items():
        shown = shown_as(name)
        row = [f"  {FIGURE_NAMES[name]}", shown(figure.value), bracketed(figure.low, figure.high, shown)]
        rows.append(row + ([shown(report.chance.figures[name])] if report.chance else []))
    return aligned(rows)
