"""What every form of a table says of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...features.tasks import Task
from ..chance import shown_answer
from ..published.registry import CORPORA, dataset_with, published_figure, rows_named
from ..results import SEEDS_FOR_A_MARK, Comparison, Difference, Row, figures_of
from ..uncertainty import has_width


def without_width(comparison: Comparison, row: Row) -> list[str]:
    """The figures and differences of a row whose intervals say nothing, such as ``five accuracy``."""
    found = []
    for task in comparison.tasks:
        cell = row.cells.get(task.name)
        if cell:
            found += [f"{task.name} {name}" for name, of in cell.figures.items() if not has_width(of.low, of.high)]
            if cell.difference and not has_width(cell.difference.low, cell.difference.high):
                found.append(f"{task.name} difference")
    return found


def over(comparison: Comparison, difference: Difference) -> str:
    """What a p is over."""
    return f"{comparison.unit}s and seeds" if difference.is_over_seeds else f"{comparison.unit}s only"


def has_mcnemar(comparison: Comparison, task: Task) -> bool:
    return any(row.cells[task.name].mcnemar for row in comparison.rows if task.name in row.cells)


def paper_figure(row: Row, task: Task, figure: str) -> float | None:
    """A figure of the published row that stands beside a row, in percent where it is a share."""
    return published_figure(row.paper, row.dataset, task, figure) if row.paper else None


def published_beside(row: Row) -> list[str]:
    """``the paper's MSMT-FN, table 6,``, or where there are several, ``the published MSMT-FN (paper, table 3)``."""
    published = [each for each in rows_named(row.paper, row.dataset) if each.figures.keys() & row.cells.keys()]
    if not published:
        return []
    corpus = CORPORA[dataset_with(row.paper, row.dataset)]
    if corpus.is_of_the_paper:
        return [f"the paper's {each.name}, {each.table}," for each in published]
    return [f"the published {each.name} ({each.source})" for each in published]


def figure_beside(comparison: Comparison, task: Task) -> str:
    """The first figure of a task that any row's published one has, of the tested one and the others; empty if none."""
    names = figures_of(task)
    rows = comparison.rows
    return next((name for name in names if any(paper_figure(row, task, name) is not None for row in rows)), "")


def is_marked(row: Row, task: Task) -> bool:
    difference = row.cells[task.name].difference if task.name in row.cells else None
    return difference is not None and difference.is_marked


def may_be_marked(row: Row) -> bool:
    """Whether it has, on any task, enough seeds."""
    return any(cell.difference and cell.difference.seeds >= SEEDS_FOR_A_MARK for cell in row.cells.values())


def constant_answers(row: Row, tasks: Sequence[Task]) -> str:
    """``text (five: C; two: A, 1 of 3 seeds)``; empty for a row without constant answers."""
    found = []
    for task in tasks:
        answers = row.cells[task.name].constant_answers if task.name in row.cells else ()
        if answers:
            shown = ", ".join(dict.fromkeys(shown_answer(task, answer) for answer in answers))
            few = f", {len(answers)} of {len(row.seeds)} seeds" if len(answers) < len(row.seeds) else ""
            found.append(f"{task.name}: {shown}{few}")
    return f"{row.variant} ({'; '.join(found)})" if found else ""


def about(row: Row, escape: Callable[[str], str]) -> str:
    """Which stores with which fingerprints, how often the row was scored, and which published row stands beside."""
    stores = "; ".join(f"store {escape(store)}" for store in row.stores)
    fingerprints = ", ".join(row.fingerprints)
    often = "once" if row.times_scored == 1 else f"{row.times_scored} times"
    beside = "".join(f"; {escape(each)} stands beside" for each in published_beside(row))
    return f"{stores}, fingerprint {fingerprints}, scored {often}{beside}"
