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
- Pooled results (``folds``) are compared like those of single runs: each recording was tested once, by the weights of
  its fold, and is left out with what they answered. That others would have given other folds is not accounted for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..errors import RunError
from ..features.tasks import Task
from . import uncertainty
from .chance import ChanceLine, constant_answer
from .disagreements import all_tasks, mcnemar, with_task
from .folds import OverFolds, answers_by_fold, fold_of_items
from .metrics import by_fold, chance_line, chance_line_of_folds, has_label
from .results import Cell, Comparison, Difference, Measured, Row, figures_of, tested_figure
from .same_items import on_the_same_items
from .scored import Scored
from .tally import Tally
from .uncertainty import Estimates
from .units import check_unit, units_by_speaker

_TIED = 1e-9  # differences that are rounding


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

    tasks = all_tasks(scored)
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
            for variant, runs in ((variant, with_task(runs, task)) for variant, runs in members.items())
            if runs
        }
        first = next(iter(having.values()))[0]
        present = has_label(task, first.labels[task.name])
        recordings[task.name] = len(set(np.asarray(first.recording_ids, object)[present]))
        items[task.name], units[task.name] = int(present.sum()), len(set(homes[present]))
        for variant, cell in _judge(task, having, next(iter(members)), present, homes).items():
            cells[variant][task.name] = cell
        known = _chance(task, [one for runs in having.values() for one in runs], present)
        if known:
            chance[task.name] = known
    rows = tuple(_row(variant, runs, cells[variant]) for variant, runs in members.items())
    return Comparison(
        scored[0].split,
        tasks,
        rows,
        recordings,
        items,
        unit,
        units,
        chance,
        scheme=scored[0].scheme,
        folds=tuple(part.scheme for part in scored[0].parts),
    )


def _chance(task: Task, runs: Sequence[Scored], present: np.ndarray) -> ChanceLine | None:
    """What the training split's labels alone score, by the first run that knows; of folds, each fold's own."""
    for one in runs:
        truth = one.labels[task.name][present]
        if task.name in one.chance:
            return chance_line(task, truth, one.chance[task.name])
        if answers := answers_by_fold(one, task):
            return chance_line_of_folds(task, truth, answers, fold_of_items(one)[present])
    return None


def _row(variant: str, runs: Sequence[Scored], cells: Mapping[str, Cell]) -> Row:
    trained = [part for one in runs for part in one.parts or (one,)]
    seconds = [one.epoch_seconds for one in trained if one.epoch_seconds is not None]
    return Row(
        variant=variant,
        seeds=tuple(one.seed for one in runs),
        runs=tuple(one.run for one in trained),
        cells=cells,
        stores=_unique(one.store for one in trained),
        fingerprints=_unique(one.fingerprint for one in trained),
        commands=_unique(one.command for one in trained),
        times_scored=max(one.times_scored for one in trained),
        paper=next((one.paper for one in runs if one.paper), ""),
        network=next((one.network for one in runs if one.network), ""),
        dataset=next((one.dataset for one in runs if one.dataset), ""),
        parameters=max((one.parameters for one in trained if one.parameters is not None), default=None),
        epoch_seconds=float(np.median(seconds)) if seconds else None,
    )


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
        folds = _over_folds(task, truth, runs, answers[variant], present)
        measured = {
            name: _measured(name, row, most_items[name], folds.get(name)) for name, row in estimates[variant].items()
        }
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


def _of_seeds(tallies: Sequence[Tally], name: str) -> Estimates:
    """One figure of all seeds of a row."""
    of_each = [tally.estimates[name] for tally in tallies]
    return Estimates(*(np.concatenate([getattr(one, part) for one in of_each]) for part in ("by_seed", "without")))


def _over_folds(
    task: Task, truth: np.ndarray, runs: Sequence[Scored], answers: Sequence[np.ndarray], present: np.ndarray
) -> dict[str, OverFolds]:
    """Each figure of each fold, the mean over a row's seeds; nothing where nothing was pooled."""
    if not runs[0].parts:
        return {}
    of_seeds = [
        by_fold(task, truth, predicted, fold_of_items(one)[present], len(one.parts))
        for one, predicted in zip(runs, answers, strict=True)
    ]
    return {
        name: OverFolds(tuple(map(float, np.mean([of_seed[name] for of_seed in of_seeds], axis=0))))
        for name in figures_of(task)
    }


def _measured(name: str, row: Estimates, most_items: float, folds: OverFolds | None) -> Measured:
    by_seed = row.by_seed
    deviation = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None
    ends = uncertainty.interval(name, row.mean, uncertainty.of_mean(row), most_items)
    return Measured(row.mean, deviation, *ends, tuple(map(float, by_seed)), folds)


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


def _unique(values) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
