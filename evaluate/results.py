"""What a comparison of runs comes to: rows, their figures, and what separates them from the first row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..features.schemes import STANDARD
from ..features.tasks import Task
from .chance import ChanceLine
from .folds import OverFolds
from .values import names_of_figures

CLASS_FIGURES = ("accuracy", "weighted_f1", "macro_f1", "uar")
FIGURES_OF_WHAT_FOLLOWS = ("uar", "macro_f1", "accuracy", "weighted_f1")
LEVEL = 0.05  # below which a corrected p-value is marked
SEEDS_FOR_A_MARK = 3  # of either row


@dataclass(frozen=True)
class Measured:
    """One figure of one row."""

    mean: float
    """Over the seeds; a share of 1, or an error or correlation."""

    deviation: float | None
    """Standard deviation over the seeds (n - 1); None for one seed."""

    low: float
    """Lower end of the 95 % interval over recordings, and over seeds where there are several."""

    high: float
    """Upper end."""

    by_seed: tuple[float, ...]
    """The figure of each seed, in the order of the row's runs."""

    folds: OverFolds | None = None
    """The same figure of each fold by itself; None where nothing was pooled."""


@dataclass(frozen=True)
class Difference:
    """A row's tested figure minus the reference's."""

    value: float
    """In the figure's unit; a negative difference of errors is an improvement."""

    low: float
    """Lower end of the 95 % interval over recordings, and over seeds where both rows have several."""

    high: float
    """Upper end."""

    p: float
    """Two-sided, over the same as the interval."""

    p_holm: float
    """p corrected for the number of rows that are compared on this task."""

    seeds: int
    """Seeds of the row that has fewer."""

    @property
    def is_over_seeds(self) -> bool:
        """Whether it is known what another seed would change."""
        return self.seeds > 1

    @property
    def is_marked(self) -> bool:
        """Whether tables say that the row differs from the reference."""
        return self.seeds >= SEEDS_FOR_A_MARK and self.p_holm < LEVEL


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test of two runs."""

    b_only: int
    """Items that only the second run has right."""

    a_only: int
    """Items that only the first run has right."""

    p: float
    """Two-sided binomial probability of so uneven a division; 1 if there is nothing to divide."""


@dataclass(frozen=True)
class Cell:
    """One row's results on one task."""

    figures: Mapping[str, Measured]
    """Those of ``figures_of`` the task."""

    difference: Difference | None
    """To the reference; None for the reference itself, and where it does not have the task."""

    mcnemar: McNemar | None
    """Against the reference, where both rows are single runs and the task has classes."""

    constant_answers: tuple[float, ...] = ()
    """The class, or value, that a seed answered to every item; of each seed that did."""

    @property
    def is_constant(self) -> bool:
        """Whether no seed answered more than one thing."""
        return len(self.constant_answers) == len(next(iter(self.figures.values())).by_seed)


@dataclass(frozen=True)
class Row:
    """One variant."""

    variant: str
    """Name of the row."""

    seeds: tuple[int, ...]
    """Seeds that have a result."""

    runs: tuple[str, ...]
    """Names of the runs, a run for each seed."""

    cells: Mapping[str, Cell]
    """By the name of the task; tasks that the variant does not predict are absent."""

    stores: tuple[str, ...]
    """Paths of the stores that were read: one, as a rule."""

    fingerprints: tuple[str, ...]
    """Their fingerprints."""

    commands: tuple[str, ...]
    """The commands that rerun it."""

    times_scored: int
    """How often one of its runs has been scored on this split, at most."""

    paper: str
    """Name of the published row to show beside it; empty for none."""

    network: str = ""
    """What was trained, such as ``bigru``; empty where it is not known."""

    dataset: str = ""
    """Whose published rows ``paper`` is one of; empty where it is not known."""

    parameters: int | None = None
    """Weights that each run trained, the most where they differ; None where it is not known."""

    epoch_seconds: float | None = None
    """What the training steps of an epoch took, the median over its runs; None where it is not known."""


@dataclass(frozen=True)
class Comparison:
    """All rows, on the same items of the same split."""

    split: str
    """What was scored."""

    tasks: tuple[Task, ...]
    """Columns, in the order in which the rows name them."""

    rows: tuple[Row, ...]
    """In the order of first appearance; the first is the reference."""

    recordings: Mapping[str, int]
    """Recordings with a label, by task."""

    items: Mapping[str, int]
    """Recordings or segments with a label, by task (n)."""

    unit: str = "recording"
    """What was resampled: ``recording`` or ``speaker``."""

    units: Mapping[str, int] = field(default_factory=dict)
    """How many of these have a label, by task (G)."""

    chance: Mapping[str, ChanceLine] = field(default_factory=dict)
    """What the most frequent class, or the mean, of training scores, by task; where it is known."""

    notes: tuple[str, ...] = ()
    """What else a reader of the table has to know, a sentence each."""

    scheme: str = STANDARD
    """The way of splitting that the split is one of."""

    folds: tuple[str, ...] = ()
    """The folds of the scheme over which all figures are pooled; empty where nothing was."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds that any row has."""
        return tuple(sorted({seed for row in self.rows for seed in row.seeds}))

    @property
    def mixes_networks(self) -> bool:
        """Whether rows are of more than one network."""
        return len({row.network for row in self.rows}) > 1

    @property
    def shows_costs(self) -> bool:
        """Whether tables say what rows cost: where networks differ, and anything is known of it."""
        return self.mixes_networks and any(row.parameters or row.epoch_seconds for row in self.rows)


def tested_figure(task: Task) -> str:
    """The figure that rows are tested by: of what comes next, which is mostly the frequent class, the mean recall."""
    return "mae" if task.is_value else "uar" if task.follows else "accuracy"


def figures_of(task: Task) -> tuple[str, ...]:
    """All figures of a task, the tested one first, and the others in the order in which papers print them."""
    if task.is_value:
        return ("mae", *(name for name in names_of_figures(task.scale) if name != "mae"))
    return FIGURES_OF_WHAT_FOLLOWS if task.follows else CLASS_FIGURES
