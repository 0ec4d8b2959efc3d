"""Whether one model is better than another: over recordings and over seeds, with corrected p-values.

Letters in shapes: n recordings or segments, G recordings or other units that are resampled, S seeds.

A *row* is all runs of one variant, one for each seed; the first row is the *reference*. The figures are those of
``metrics``; the one that rows are tested by is the accuracy, for real values the mean absolute error.

- A row's figure is the mean over its seeds of each seed's figure.
- An interval of a row of one seed speaks of other recordings, with the same weights; it is that of an evaluation. An
  interval of a row of several seeds speaks of other recordings and of other seeds. ``uncertainty`` says how.
- A difference to the reference is a paired one: each recording is left out of both rows at once. Its interval and its p
  speak of recordings and seeds where both rows have several seeds, and else of recordings alone.
- p is two-sided, of Student's t: the difference by its standard error, with the degrees of freedom of Welch and
  Satterthwaite. It is never below 2^(1 - m), where m is the number of recordings on which the two rows differ: the
  least that a sign test of m recordings can give.
- Holm's correction holds for the family of all rows but the reference, within one task: among all rows that it calls
  better or worse on that task, the chance of any false one stays below the level. Tasks are not corrected for
  each other.
- A row is *marked* where the corrected p is below the level and both rows have three seeds or more. One seed cannot say
  what another would have given, and two hardly can. How often rows are marked that differ by nothing but seeds, and how
  often rows that differ by more, is what ``benchmarks/false_marks.py`` counts.
- What is resampled may be speakers instead of recordings; then these are left out, and counted for m.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import RunError
from ..features.tasks import Task
from . import uncertainty
from .chance import ChanceLine, constant_answer
from .metrics import Tally, chance_line, has_label
from .same_items import on_the_same_items
from .scored import Scored
from .uncertainty import Estimates
from .units import check_unit, units_by_speaker

CLASS_FIGURES = ("accuracy", "weighted_f1", "macro_f1", "uar")
VALUE_FIGURES = ("mae", "corr")
LEVEL = 0.05  # below which a corrected p-value is marked
SEEDS_FOR_A_MARK = 3  # of either row
_TIED = 1e-9  # differences that are rounding


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
    """accuracy, weighted_f1, macro_f1 and uar; for real values mae and corr."""

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
    """Name of the paper's row to show beside it; empty for none."""


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

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds that any row has."""
        return tuple(sorted({seed for row in self.rows for seed in row.seeds}))


def tested_figure(task: Task) -> str:
    """The figure that rows are tested by."""
    return "mae" if task.is_value else "accuracy"


def compare(scored: Sequence[Scored], *, same_store: bool = True, unit: str = "recording") -> Comparison:
    """All runs as rows of one table, with what separates each from the first.

    A row may lack seeds that others have. ``same_store=False`` lets rows be read from several stores, as variants of
    an ablation may be, as long as recordings and labels are the same. ``unit`` is what is resampled.
    Raises RunError when splits, recordings, labels or (unless allowed) stores differ, or a row has a seed twice.
    """
    check_unit(unit)
    scored = on_the_same_items(scored, same_store)
    members: dict[str, list[Scored]] = {}
    for one in scored:
        twin = next((other for other in members.get(one.variant, ()) if other.seed == one.seed), None)
        if twin:
            raise RunError(
                f"{one.variant} has two results for seed {one.seed}, of runs {twin.run} and {one.run}: leave one out"
            )
        members.setdefault(one.variant, []).append(one)

    tasks = _all_tasks(scored)
    if not tasks:
        raise RunError(f"{scored[0].split} has no labels, so its runs cannot be compared: score a split that has some")
    homes = np.asarray(scored[0].recording_ids, object)
    if unit == "speaker":
        homes = units_by_speaker(scored[0].speakers, scored[0].recording_ids, scored[0].run, scored[0].split)
    cells: dict[str, dict[str, Cell]] = {variant: {} for variant in members}
    recordings, items, units, chance = {}, {}, {}, {}
    for task in tasks:
        having = {
            variant: runs
            for variant, runs in ((variant, _with_task(runs, task)) for variant, runs in members.items())
            if runs
        }
        first = next(iter(having.values()))[0]
        present = has_label(task, first.labels[task.name])
        recordings[task.name] = len(set(np.asarray(first.recording_ids, object)[present]))
        items[task.name], units[task.name] = int(present.sum()), len(set(homes[present]))
        for variant, cell in _judge(task, having, next(iter(members)), present, homes).items():
            cells[variant][task.name] = cell
        known = [one.chance[task.name] for runs in having.values() for one in runs if task.name in one.chance]
        if known:
            chance[task.name] = chance_line(task, first.labels[task.name][present], known[0])
    rows = tuple(
        Row(
            variant=variant,
            seeds=tuple(one.seed for one in runs),
            runs=tuple(one.run for one in runs),
            cells=cells[variant],
            stores=_unique(one.store for one in runs),
            fingerprints=_unique(one.fingerprint for one in runs),
            commands=_unique(one.command for one in runs),
            times_scored=max(one.times_scored for one in runs),
            paper=next((one.paper for one in runs if one.paper), ""),
        )
        for variant, runs in members.items()
    )
    return Comparison(scored[0].split, tasks, rows, recordings, items, unit, units, chance)


def _judge(
    task: Task, having: Mapping[str, Sequence[Scored]], reference: str, present: np.ndarray, homes: np.ndarray
) -> dict[str, Cell]:
    """Each row's cell of one task; (n,) which items have a label, and what is resampled that each belongs to."""
    truth = next(iter(having.values()))[0].labels[task.name][present]
    homes = np.unique(homes[present].astype(str), return_inverse=True)[1]
    tested = tested_figure(task)
    answers = {variant: [one.predictions[task.name][present] for one in runs] for variant, runs in having.items()}
    estimates, most_items = {}, {}
    for variant, predictions in answers.items():
        tallies = [Tally.of(task, truth, predicted, homes) for predicted in predictions]
        estimates[variant] = {name: _of_seeds(tallies, name) for name in figures_of(task)}
        most_items = tallies[0].most_items  # labels alone decide it

    cells = {}
    for variant, runs in having.items():
        measured = {name: _measured(name, row, most_items[name]) for name, row in estimates[variant].items()}
        difference = test = None
        if variant != reference and reference in having:
            difference = _difference(
                tested,
                estimates[variant][tested],
                estimates[reference][tested],
                _units_that_differ(task, truth, homes, answers[variant], answers[reference]),
            )
            if len(runs) == len(having[reference]) == 1 and not task.is_value:
                test = mcnemar(having[reference][0], runs[0], task)
        constant = [constant_answer(task, truth, predicted) for predicted in answers[variant]]
        cells[variant] = Cell(measured, difference, test, tuple(answer for answer in constant if answer is not None))
    return _corrected(cells)


def figures_of(task: Task) -> tuple[str, ...]:
    """All figures of a task, the tested one first."""
    return VALUE_FIGURES if task.is_value else CLASS_FIGURES


def _of_seeds(tallies: Sequence[Tally], name: str) -> Estimates:
    """One figure of all seeds of a row."""
    of_each = [tally.estimates[name] for tally in tallies]
    return Estimates(*(np.concatenate([getattr(one, part) for one in of_each]) for part in ("by_seed", "without")))


def _measured(name: str, row: Estimates, most_items: float) -> Measured:
    by_seed = row.by_seed
    deviation = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None
    ends = uncertainty.interval(name, row.mean, uncertainty.of_mean(row), most_items)
    return Measured(row.mean, deviation, *ends, tuple(map(float, by_seed)))


def _difference(name: str, row: Estimates, reference: Estimates, differing: int) -> Difference:
    """``differing`` is the number of recordings on which the rows differ, which bounds p."""
    value = row.mean - reference.mean
    value = 0.0 if abs(value) < _TIED else value
    sure = uncertainty.of_difference(row, reference)
    low, high = uncertainty.interval_of_difference(value, sure, widest=np.inf if name == "mae" else 1.0)
    p = max(uncertainty.probability(value, sure), 2.0 ** (1 - differing))
    seeds = min(len(row.by_seed), len(reference.by_seed))
    return Difference(value, low, high, p=min(1.0, p), p_holm=np.nan, seeds=seeds)


def _units_that_differ(task, truth, homes, ours, theirs) -> int:
    """Recordings, or speakers, on which the means over the seeds of two rows are not the same."""

    def merit(predictions: Sequence[np.ndarray]) -> np.ndarray:
        each = [np.abs(truth - predicted) if task.is_value else truth == predicted for predicted in predictions]
        return np.bincount(homes, np.mean(each, axis=0))

    return int((np.abs(merit(ours) - merit(theirs)) > _TIED).sum())


def _corrected(cells: Mapping[str, Cell]) -> dict[str, Cell]:
    """Holm's step-down correction over the rows that have a difference."""
    cells = dict(cells)
    compared = sorted((cell.difference.p, variant) for variant, cell in cells.items() if cell.difference)
    least = 0.0
    for place, (p, variant) in enumerate(compared):
        least = max(least, min(1.0, (len(compared) - place) * p))
        cells[variant] = replace(cells[variant], difference=replace(cells[variant].difference, p_holm=least))
    return cells


def mcnemar(a: Scored, b: Scored, task: Task | str) -> McNemar:
    """Whether two runs are right on the same items equally often, by the exact binomial test.

    Segments of a recording count as independent here; for the p of ``compare`` they do not.
    Raises RunError when the runs do not answer for the same items, or the task is one of real values.
    """
    a, b = on_the_same_items([a, b], same_store=False)
    task = _task_of(a, task)
    _task_of(b, task)
    if task.is_value:
        raise RunError(f"task {task.name} has real values, and McNemar's test is one of classes: use its difference")
    from scipy.stats import binomtest

    truth = a.labels[task.name]
    present = has_label(task, truth)
    right_a, right_b = (one.predictions[task.name][present] == truth[present] for one in (a, b))
    b_only, a_only = int((right_b & ~right_a).sum()), int((right_a & ~right_b).sum())
    p = float(binomtest(b_only, b_only + a_only).pvalue) if b_only + a_only else 1.0
    return McNemar(b_only, a_only, p)


def disagreements(scored: Sequence[Scored], task: Task | str | None = None):
    """A pandas.DataFrame of the items on which the runs predict different classes, in the order of the first run.

    Its columns are task (unless one is asked for), recording_id, segment_id (where tasks are ones of segments),
    label, and one for each row; a row of several seeds has a column for each of them. Tasks of real values, and
    runs that lack a task, have nothing to disagree about. Raises RunError as ``compare`` does.
    """
    import pandas as pd

    scored = on_the_same_items(scored, same_store=False)
    tasks = _all_tasks(scored) if task is None else (_task_of(scored[0], task),)
    ids = {"recording_id": np.asarray(scored[0].recording_ids, object)}
    if scored[0].segment_ids is not None:
        ids["segment_id"] = np.asarray(scored[0].segment_ids, object)
    headings = _headings(scored, taken={"task", "label", *ids})
    frames = []
    for one_task in tasks:
        if one_task.is_value:
            continue
        having = _with_task(scored, one_task)
        answers = np.stack([one.predictions[one_task.name] for one in having], axis=1)  # (n, runs)
        differ = (answers != answers[:, :1]).any(axis=1)
        names = np.array([*one_task.classes, ""], object)  # the last one is of no label, -1
        columns = {"task": np.full(differ.sum(), one_task.name, object)} if task is None else {}
        columns |= {name: values[differ] for name, values in ids.items()}
        columns["label"] = names[having[0].labels[one_task.name][differ]]
        for one, heading in zip(scored, headings, strict=True):
            has_task = one_task.name in one.predictions
            columns[heading] = names[one.predictions[one_task.name][differ]] if has_task else ""
        frames.append(pd.DataFrame(columns))
    if not frames:
        return pd.DataFrame(columns=[*(["task"] if task is None else []), *ids, "label", *headings])
    return pd.concat(frames, ignore_index=True)


def _headings(scored: Sequence[Scored], taken: set[str]) -> list[str]:
    """A column's name for each run: that of its row, with the seed where the row has several."""
    variants = [one.variant for one in scored]
    headings = []
    for one in scored:
        several = variants.count(one.variant) > 1
        heading = f"{one.variant}, seed {one.seed}" if several else one.variant
        headings.append(f"{heading} (row)" if heading in taken else heading)
    return headings


def _task_of(scored: Scored, task: Task | str) -> Task:
    name = task if isinstance(task, str) else task.name
    found = next((own for own in scored.tasks if own.name == name), None)
    if found is None:
        has = ", ".join(own.name for own in scored.tasks) or "none"
        raise RunError(f"run {scored.run} has no labelled predictions of task {name}: choose one of its own ({has})")
    return found


def _all_tasks(scored: Sequence[Scored]) -> tuple[Task, ...]:
    return tuple({task.name: task for one in scored for task in one.tasks}.values())


def _with_task(scored: Sequence[Scored], task: Task) -> list[Scored]:
    return [one for one in scored if task.name in one.predictions]


def _unique(values) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
