"""All that is published here, by corpus, and which of it is of a task."""

from __future__ import annotations

from ...features.tasks import Task
from . import iemocap, marketcalls, meld, mosei, mosi
from .row import PublishedCorpus, PublishedRow

NEARLY = 0.01  # of a split, that may lack labels or be unreadable before it counts as another set

CORPORA: dict[str, PublishedCorpus] = {
    "marketcalls": marketcalls.CORPUS,
    "mosi": mosi.CORPUS,
    "mosei": mosei.CORPUS,
    "meld": meld.CORPUS,
    "iemocap": iemocap.CORPUS,
}
"""By the name of a store's dataset."""


def rows_of(task: Task, dataset: str) -> tuple[PublishedRow, ...]:
    """All that is published of a task of a dataset, with as many classes."""
    corpus = CORPORA.get(dataset)
    return tuple(row for row in corpus.rows if row.fits(task)) if corpus else ()


def dataset_with(name: str, dataset: str = "") -> str:
    """Where a row of this name is looked up: in the dataset if it has one, else in MarketCalls; empty if in neither.

    Earlier versions knew no other rows, and did not keep the dataset.
    """
    for candidate in (dataset, "marketcalls"):
        if candidate in CORPORA and any(row.name == name for row in CORPORA[candidate].rows):
            return candidate
    return ""


def rows_named(name: str, dataset: str = "") -> tuple[PublishedRow, ...]:
    """The rows of this name, one for each table that has it; none if nobody has published such a row."""
    there = dataset_with(name, dataset)
    return tuple(row for row in CORPORA[there].rows if row.name == name) if there else ()


def is_published(name: str) -> bool:
    """Whether any corpus has a row of this name."""
    return any(row.name == name for corpus in CORPORA.values() for row in corpus.rows)


def names_in(dataset: str) -> tuple[str, ...]:
    """What rows can be named beside a variant: those of a dataset, or all where nothing is published on it."""
    corpora = [CORPORA[dataset]] if dataset in CORPORA else CORPORA.values()
    return tuple(dict.fromkeys(row.name for corpus in corpora for row in corpus.rows))


def published_figure(name: str, dataset: str, task: Task, figure: str) -> float | None:
    """One figure of the rows of this name as it was printed, in percent if it is a share; None if it was not."""
    found = (row.figures[task.name].get(figure) for row in rows_named(name, dataset) if row.fits(task))
    return next((number for number in found if number is not None), None)


def caution(dataset: str, split: str, items: int, task: Task | None = None) -> str:
    """Why published figures cannot be compared with those of this evaluation; empty if nothing speaks against it.

    ``items`` is how many recordings or segments of the split have a label.
    """
    corpus = CORPORA[dataset]
    # How many segments are followed by another one no paper says.
    known = None if task is not None and task.follows else corpus.test_items
    if split == "test" and known in (None, items):
        return ""
    are = "are" if known is None or any(row.test_items for row in corpus.rows) else "are taken to be"
    count = f"{known:,} " if known else ""
    figures = f"{corpus.whose} figures {are} for the {count}test {corpus.items} of {corpus.title}."
    if split == "test" and abs(items - known) < NEARLY * known:
        return f"{figures} This split has {items:,} with a label, so they are of nearly the same {corpus.items}."
    return f"{figures} This split, {split}, is another set and has {items:,}, so the figures cannot be compared."
