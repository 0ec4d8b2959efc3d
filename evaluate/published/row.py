"""One row of a published table, as it was printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...features.tasks import Task

MSMT_FN = "MSMT-FN"
CM_ROBERTA = "CM-RoBERTa"
EMOTIONAL_CUES = "Emotional cues"


@dataclass(frozen=True)
class PublishedRow:
    """What a paper says that one system scores on one corpus."""

    name: str
    """What tables call it here, and by which a plan names it. Rows of several tables may share one."""

    paper: str
    """The paper that printed it, which need not be the one that introduced the system."""

    table: str
    """Where in the paper, such as ``table 2``."""

    figures: Mapping[str, Mapping[str, float]]
    """By task and by the figure's name: shares in percent, errors and correlations as they are."""

    f1_of_classes: Mapping[str, float] = field(default_factory=dict)
    """Percent, by class; of those that the table prints."""

    classes: int | None = None
    """How many classes were told apart; None for real values, and where tasks or the paper do not settle it."""

    test_items: int | None = None
    """How many recordings or segments the paper says it was tested on; None where it does not say."""

    note: str = ""
    """What else keeps it from being compared, a sentence; empty for nothing that is known."""

    @property
    def accuracy(self) -> Mapping[str, float]:
        """Percent, by task; of tasks for which it was printed."""
        return {task: figures["accuracy"] for task, figures in self.figures.items() if "accuracy" in figures}

    @property
    def source(self) -> str:
        """``MSMT-FN, table 2``."""
        return f"{self.paper}, {self.table}"

    def fits(self, task: Task) -> bool:
        """Whether it is of this task, with as many classes."""
        return task.name in self.figures and self.classes in (None, len(task.classes))


@dataclass(frozen=True)
class PublishedCorpus:
    """All that is published here on one corpus."""

    title: str
    """As papers write its name."""

    rows: tuple[PublishedRow, ...]
    """In the order of the papers' tables."""

    beside: tuple[str, ...]
    """Names of the rows that an evaluation shows; all others are in its files."""

    test_items: int | None
    """Items of the test split that the field uses; None where papers differ."""

    items: str = "segments"
    """What these are: ``segments`` or ``recordings``."""

    whose: str = "The published"
    """How sentences on its figures begin: ``The paper's`` where there is a single one, which need not be named."""

    in_columns: bool = False
    """Whether accuracies are all that is printed, of several tasks, so that each row is a column beside ours."""

    @property
    def is_of_the_paper(self) -> bool:
        """Whether it goes without saying which paper has printed its rows."""
        return self.whose == "The paper's"

    @property
    def shown(self) -> tuple[PublishedRow, ...]:
        """The rows that an evaluation shows, in the order of ``beside``."""
        return tuple(row for name in self.beside for row in self.rows if row.name == name)
