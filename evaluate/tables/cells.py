"""The tables themselves, cell by cell, in whatever form they are to be written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ...features.tasks import Task
from ...shown import as_line
from ..chance import chance_name
from ..folds import OverFolds
from ..report import CONSTANT_MARK, FIGURE_NAMES, NOT_SHARES, bracketed, heading, shown_as
from ..results import Comparison, Measured, Row, figures_of, tested_figure
from ..uncertainty import CONFIDENCE
from .rows import figure_beside, has_mcnemar, is_marked, over, paper_figure

MARK = "†"
BOLD = " The best of each column is bold, unless it is one answer to everything."


class Screen:
    """How a table marks things as plain text."""

    none = "–"
    plus_minus = " ± "
    signs = (f" {MARK}", f" {CONSTANT_MARK}")
    spaces = ("  ", "  ")  # keep the figures of a column below each other

    @staticmethod
    def text(text: str) -> str:
        return as_line(text)

    @staticmethod
    def best(text: str) -> str:
        return text


def main_table(comparison: Comparison, failed: Mapping[str, str], style: type[Screen]) -> list[list[str]]:
    """A header and a row for each variant: the tested figure of each task, and the paper's where there are any.

    Where papers have another figure only, ours of that stands beside it. Where rows are pooled of folds, the mean over
    the folds' own figures stands beside each figure.
    """
    beside = {task.name: name for task in comparison.tasks if (name := figure_beside(comparison, task))}
    header = ["variant", *_columns_of_rows(comparison)]
    for task in comparison.tasks:
        tested = tested_figure(task)
        header.append(style.text(task.name if tested == "accuracy" else f"{task.name} ({FIGURE_NAMES[tested]})"))
        header += [style.text(f"{task.name} over folds")] if comparison.folds else []
        header += map(style.text, _headings_beside(task, beside.get(task.name)))
    best = {task.name: best_rows(comparison, task) for task in comparison.tasks}
    signs = {task.name: _signs(comparison, task, style) for task in comparison.tasks}
    table = [header]
    for row in comparison.rows:
        line = [style.text(row.variant), *map(style.text, _columns_of_rows(comparison, row).values())]
        for task in comparison.tasks:
            cell = row.cells.get(task.name)
            if cell is None:
                line.append(style.none + signs[task.name][row.variant])
            else:
                is_best = row.variant in best[task.name]
                shown = _mean_and_deviation(cell.figures[tested_figure(task)], task, style, is_best)
                line.append(shown + signs[task.name][row.variant])
            if comparison.folds:
                line.append(_over_folds(cell and cell.figures[tested_figure(task)].folds, task, style))
            if task.name in beside:
                line += _beside(row, task, beside[task.name], style)
        table.append(line)
    if comparison.chance:
        line = [style.text(chance_name(comparison.tasks)), *[style.none] * len(_columns_of_rows(comparison))]
        for task in comparison.tasks:
            known = comparison.chance.get(task.name)
            shown = shown_as(tested_figure(task))(known.figures[tested_figure(task)]) if known else style.none
            line.append(shown + signs[task.name][""])
            if comparison.folds:
                of_folds = known.by_fold.get(tested_figure(task)) if known else None
                line.append(_over_folds(OverFolds(of_folds) if of_folds else None, task, style))
            line += [style.none] * len(_headings_beside(task, beside.get(task.name)))
        table.append(line)
    for variant in failed:
        about = {**dict.fromkeys(_columns_of_rows(comparison), style.none), "seeds": "0"}
        table.append([style.text(variant), *about.values(), *[style.none] * (len(header) - len(about) - 1)])
    return table


def _headings_beside(task: Task, figure: str | None) -> list[str]:
    """Of the columns for what is published of a task: the paper's, and before it ours where that is not the tested."""
    if figure is None:
        return []
    if figure == tested_figure(task):
        return [f"{task.name} (paper)"]
    return [f"{task.name} ({FIGURE_NAMES[figure]})", f"{task.name} ({FIGURE_NAMES[figure]}, paper)"]


def _beside(row: Row, task: Task, figure: str, style: type[Screen]) -> list[str]:
    published = paper_figure(row, task, figure)
    shown = style.none if published is None else f"{published:.3f}" if figure in NOT_SHARES else f"{published:.2f}"
    if figure == tested_figure(task):
        return [shown]
    cell = row.cells.get(task.name)
    return [style.none if cell is None else shown_as(figure)(cell.figures[figure].mean), shown]


def _columns_of_rows(comparison: Comparison, row: Row | None = None) -> dict[str, str]:
    """What stands of a row between its name and its figures, by the column's heading."""
    columns = {"network": row.network if row else ""} if comparison.mixes_networks else {}
    if comparison.shows_costs:
        columns["parameters"] = _thousands(row.parameters) if row else ""
        columns["s/epoch"] = _seconds(row.epoch_seconds) if row else ""
    columns["seeds"] = str(len(row.seeds)) if row else ""
    return columns | ({"pooled": f"{len(comparison.folds)} folds"} if comparison.folds else {})


def _thousands(count: int | None) -> str:
    return "–" if count is None else f"{count:,}"


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.3g}" if seconds < 100 else f"{seconds:,.0f}"


def _over_folds(folds: OverFolds | None, task: Task, style: type[Screen]) -> str:
    if folds is None:
        return style.none
    shown = shown_as(tested_figure(task))
    return shown(folds.mean) + ("" if folds.deviation is None else f"{style.plus_minus}{shown(folds.deviation)}")


def _signs(comparison: Comparison, task: Task, style: type[Screen]) -> dict[str, str]:
    """What follows the figure of each variant, and of none (""): signs, and room for those that others have."""
    has = {"": (False, False)}
    for row in comparison.rows:
        cell = row.cells.get(task.name)
        has[row.variant] = (is_marked(row, task), bool(cell and cell.constant_answers))
    anywhere = [any(column) for column in zip(*has.values(), strict=True)]
    return {
        variant: "".join(
            sign if own else space if other else ""
            for sign, space, own, other in zip(style.signs, style.spaces, own_signs, anywhere, strict=True)
        )
        for variant, own_signs in has.items()
    }


def _mean_and_deviation(figure: Measured, task: Task, style: type[Screen], is_best: bool) -> str:
    shown = shown_as(tested_figure(task))
    mean = style.best(shown(figure.mean)) if is_best else shown(figure.mean)
    return mean if figure.deviation is None else f"{mean}{style.plus_minus}{shown(figure.deviation)}"


def difference_table(comparison: Comparison, task: Task, style: type[Screen]) -> list[list[str]]:
    """A header and a row for each variant that has the task: all its figures, and what separates it from the first."""
    names = figures_of(task)
    tested, others = names[0], names[1:]
    with_test = has_mcnemar(comparison, task)
    interval = f" [{CONFIDENCE:.0%} interval]"
    header = [
        style.text(task.name),
        FIGURE_NAMES.get(tested, tested) + interval,
        "difference" + interval,
        "over",
        "p",
        "p (Holm)",
    ]
    header += (["McNemar p"] if with_test else []) + [
        heading(name) if task.scale else FIGURE_NAMES[name] for name in others
    ]
    table, shown = [header], shown_as(tested)
    for row in comparison.rows:
        cell = row.cells.get(task.name)
        if cell is None:
            continue
        figure, difference = cell.figures[tested], cell.difference
        line = [style.text(row.variant), f"{shown(figure.mean)} {bracketed(figure.low, figure.high, shown)}"]
        if difference:
            signed = partial(_signed, shown=shown)
            interval = bracketed(difference.low, difference.high, signed)
            line += [f"{signed(difference.value)} {interval}", over(comparison, difference)]
            line += [_probability(difference.p), _probability(difference.p_holm)]
        else:
            line += [style.none] * 4
        if with_test:
            line.append(_probability(cell.mcnemar.p) if cell.mcnemar else style.none)
        table.append(line + [shown_as(name)(cell.figures[name].mean) for name in others])
    if task.name in comparison.chance:
        chance = comparison.chance[task.name]
        line = [style.text(f"{chance_name([task])} ({chance.answer})"), shown(chance.figures[tested])]
        line += [style.none] * (len(header) - len(others) - 2)
        table.append(line + [shown_as(name)(chance.figures[name]) for name in others])
    return table


def best_rows(comparison: Comparison, task: Task) -> set[str]:
    """Variants whose mean is the best as it is shown, so that rows that look equal are treated equally.

    Rows that give one answer to everything are left aside, unless there are no others.
    """
    cells = {row.variant: row.cells[task.name] for row in comparison.rows if task.name in row.cells}
    judged = {variant: cell for variant, cell in cells.items() if not cell.is_constant} or cells
    name = tested_figure(task)
    best = (min if task.is_value else max)(cell.figures[name].mean for cell in judged.values())
    return {
        variant for variant, cell in judged.items() if shown_as(name)(cell.figures[name].mean) == shown_as(name)(best)
    }


def _signed(value: float, shown: Callable[[float], str]) -> str:
    text = shown(abs(value))
    return text if float(text) == 0 else f"{'+' if value > 0 else '−'}{text}"


def _probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
