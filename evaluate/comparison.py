"""Whether one model is better than another: seeds, paired resampling of recordings, and corrected p-values.

Letters in shapes: n recordings or segments, G recordings, R resamples.

A *row* is all runs of one variant, one for each seed; the first row is the *reference*. The figures are those of
``metrics``; the one that rows are tested by is the accuracy, for real values the mean absolute error.

- A row's figure is the mean over its seeds of each seed's figure. So is its figure in a resample.
- A resample is G recordings drawn with replacement, the same for all rows and seeds, which makes the comparison a
  paired one; a recording's segments stay together.
- An interval is the 2.5 % to 97.5 % quantile over the resamples, of a row's figure or of its difference to the
  reference. It speaks of other recordings, not of other seeds: those are in the standard deviation.
- The two-sided p of a difference d that is d* in a resample: p = (count + 1) / (R + 1), where count is the number of
  resamples with |d* - d| >= |d|. Resamples scatter around d as d does around the truth, so this is how often as large
  a difference would be seen if there were none. p is never 0.
- p is also never below 2^(1 - m), where m is the number of recordings on which the two rows differ: the least that a
  sign test of m recordings can give. Resamples of few recordings scatter too little to be believed alone: five
  that all went from wrong to right would be called certain.
- Holm's correction holds for the family of all rows but the reference, within one task: among all rows that it calls
  better or worse on that task, the chance of any false one stays below the level. Tasks are not corrected for
  each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import RunError
from ..features.tasks import Task
from .metrics import Tally, has_label, interval, resampling_weights
from .scored import Scored

CLASS_FIGURES = ("accuracy", "weighted_f1", "macro_f1", "uar")
VALUE_FIGURES = ("mae", "corr")
LEVEL = 0.05  # below which a corrected p-value is marked
_TIED = 1e-9  # differences that are rounding


@dataclass(frozen=True)
class Measured:
    """One figure of one row."""

    mean: float
    """Over the seeds; a share of 1, or an error or correlation."""

    deviation: float | None
    """Standard deviation over the seeds (n - 1); None for one seed."""

    low: float
    """Lower end of the 95 % interval over recordings."""

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
    """Lower end of the 95 % interval over recordings."""

    high: float
    """Upper end."""

    p: float
    """Two-sided, by the paired bootstrap."""

    p_holm: float
    """p corrected for the number of rows that are compared on this task."""


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
    """Recordings with a label, by task (G)."""

    items: Mapping[str, int]
    """Recordings or segments with a label, by task (n)."""

    resamples: int
    """R."""

    notes: tuple[str, ...] = ()
    """What else a reader of the table has to know, a sentence each."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds that any row has."""
        return tuple(sorted({seed for row in self.rows for seed in row.seeds}))


def tested_figure(task: Task) -> str:
    """The figure that rows are tested by."""
    return "mae" if task.is_value else "accuracy"


def compare(scored: Sequence[Scored], resamples: int = 10_000, seed: int = 0, same_store: bool = True) -> Comparison:
    """All runs as rows of one table, with what separates each from the first.

    A row may lack seeds that others have. ``same_store=False`` lets rows be read from several stores, as variants of
    an ablation may be, as long as recordings and labels are the same.
    Raises RunError when splits, recordings, labels or (unless allowed) stores differ, or a row has a seed twice.
    """
    scored = _on_the_same_items(scored, same_store)
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
    cells: dict[str, dict[str, Cell]] = {variant: {} for variant in members}
    recordings, items = {}, {}
    for task in tasks:
        having = {
            variant: runs
            for variant, runs in ((variant, _with_task(runs, task)) for variant, runs in members.items())
            if runs
        }
        reference = next(iter(members))
        judged, recordings[task.name], items[task.name] = _judge(task, having, reference, resamples, seed)
        for variant, cell in judged.items():
            cells[variant][task.name] = cell
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
    return Comparison(scored[0].split, tasks, rows, recordings, items, resamples)


def _judge(
    task: Task, having: Mapping[str, Sequence[Scored]], reference: str, resamples: int, seed: int
) -> tuple[dict[str, Cell], int, int]:
    """Each row's cell of one task, the number of recordings, and that of labelled items."""
    first = next(iter(having.values()))[0]
    present = has_label(task, first.labels[task.name])
    truth = first.labels[task.name][present]
    homes = np.unique(np.asarray(first.recording_ids)[present], return_inverse=True)[1]
    recordings = int(homes.max()) + 1
    names = VALUE_FIGURES if task.is_value else CLASS_FIGURES
    tested = tested_figure(task)

    answers = {variant: [one.predictions[task.name][present] for one in runs] for variant, runs in having.items()}
    tallies = {
        variant: [Tally.of(task, truth, predicted, homes) for predicted in predictions]
        for variant, predictions in answers.items()
    }

    def figures(variant: str, weights: np.ndarray) -> dict[str, np.ndarray]:
        """(r, G) -> (r, seeds) of each figure."""
        of_seeds = [tally.figures(weights) for tally in tallies[variant]]
        return {name: np.stack([figures[name] for figures in of_seeds], axis=1) for name in names}

    as_they_are = {variant: figures(variant, np.ones((1, recordings))) for variant in having}
    pieces: dict[str, dict[str, list[np.ndarray]]] = {variant: {name: [] for name in names} for variant in having}
    for weights in resampling_weights(recordings, resamples, seed):
        for variant in having:
            for name, values in figures(variant, weights).items():
                pieces[variant][name].append(values.mean(axis=1))
    drawn = {
        variant: {name: np.concatenate(parts) for name, parts in of.items()} for variant, of in pieces.items()
    }  # (R,) each

    cells = {}
    for variant, runs in having.items():
        measured = {name: _measured(as_they_are[variant][name][0], *interval(drawn[variant][name])) for name in names}
        difference = test = None
        if variant != reference and reference in having:
            difference = _difference(
                measured[tested].mean - cells[reference].figures[tested].mean,
                drawn[variant][tested] - drawn[reference][tested],
                _recordings_that_differ(task, truth, homes, answers[variant], answers[reference]),
            )
            if len(runs) == len(having[reference]) == 1 and not task.is_value:
                test = mcnemar(having[reference][0], runs[0], task)
        cells[variant] = Cell(measured, difference, test)
    return _corrected(cells), recordings, len(truth)


def _measured(by_seed: np.ndarray, low: float, high: float) -> Measured:
    deviation = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None
    return Measured(float(by_seed.mean()), deviation, low, high, tuple(map(float, by_seed)))


def _difference(value: float, drawn: np.ndarray, differing: int) -> Difference:
    """``drawn`` (R,) are the differences in the resamples; p as the head of this file says."""
    if abs(value) < _TIED:
        value = 0.0
    as_far = int((np.abs(drawn - value) >= abs(value) - _TIED).sum())
    p = max((as_far + 1) / (len(drawn) + 1), 2.0 ** (1 - differing))
    return Difference(value, *interval(drawn), p=min(1.0, p), p_holm=np.nan)


def _recordings_that_differ(task, truth, homes, ours, theirs) -> int:
    """Recordings on which the means over the seeds of two rows are not the same."""

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

    Segments of a recording count as independent here; the bootstrap of ``compare`` does not make them so.
    Raises RunError when the runs do not answer for the same items, or the task is one of real values.
    """
    a, b = _on_the_same_items([a, b], same_store=False)
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

    scored = _on_the_same_items(scored, same_store=False)
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


def _on_the_same_items(scored: Sequence[Scored], same_store: bool) -> list[Scored]:
    """The runs, each with its items in the order of the first one's. Raises RunError unless they can be compared."""
    if not scored:
        raise RunError("there is no scored run to compare: train and score one first")
    first = scored[0]
    ordered = [first]
    for other in scored[1:]:
        pair = f"runs {first.run} ({first.variant}) and {other.run} ({other.variant})"
        if other.split != first.split:
            raise RunError(
                f"{pair} were scored on different splits, {first.split} and {other.split}: score both on one"
            )
        if same_store and other.fingerprint != first.fingerprint:
            _check_same_rows(first, other, pair)
        if (other.segment_ids is None) != (first.segment_ids is None):
            raise RunError(f"{pair}: one predicts for recordings and one for segments; compare each with its like")
        ordered.append(_reordered(other, first.items, pair))
    known: dict[str, tuple[Task, Scored]] = {}
    for one in ordered:
        for task in one.tasks:
            of, earlier = known.setdefault(task.name, (task, one))
            _check_task(task, of, one, earlier)
    return ordered


def _check_same_rows(first: Scored, other: Scored, pair: str) -> None:
    """Stores that differ, or one that has grown between, must hold the same of what the runs were scored on.

    Recordings and labels are compared by themselves; here, their segments, and the values of features that both read.
    """
    stores = f"{first.store} ({first.fingerprint}) and {other.store} ({other.fingerprint})"
    if not (first.segments and other.segments):
        raise RunError(f"{pair} were scored on different stores, {stores}: train and score both on one")
    if first.segments == other.segments:
        shared = set(first.values) & set(other.values)
        if all(first.values[spec] == other.values[spec] for spec in shared):
            return
        raise RunError(
            f"{pair} were scored on different values of the same feature for the same segments of {first.split}, in "
            f"stores {stores}: score both on one"
        )
    if set(first.items) == set(other.items):
        raise RunError(
            f"{pair} were scored on recordings of {first.split} with other segments, in stores {stores}: score both on "
            f"one"
        )


def _reordered(scored: Scored, items: Sequence[str], pair: str) -> Scored:
    if scored.items == tuple(items):
        return scored
    place = {item: index for index, item in enumerate(scored.items)}
    kind = "recordings" if scored.segment_ids is None else "segments"
    gone, added = [item for item in items if item not in place], set(place) - set(items)
    if gone or added or len(items) != len(scored.items):
        odd = gone[0] if gone else min(added, default="one that is there twice")
        raise RunError(
            f"{pair} were scored on different {kind} of {scored.split} ({len(items)} and {len(scored.items)}; only one has"
            f" {odd}): extract what is missing and score again, or leave one of them out"
        )
    order = np.array([place[item] for item in items], int)
    return replace(
        scored,
        recording_ids=tuple(scored.recording_ids[index] for index in order),
        segment_ids=None if scored.segment_ids is None else tuple(items),
        labels={name: values[order] for name, values in scored.labels.items()},
        predictions={name: values[order] for name, values in scored.predictions.items()},
    )


def _check_task(task: Task, of: Task, one: Scored, earlier: Scored) -> None:
    if task != of:
        raise RunError(
            f"runs {earlier.run} and {one.run} mean different things by task {task.name} (its classes or what it merges):"
            " score both on stores of one corpus"
        )
    ours, theirs = one.labels[task.name], earlier.labels[task.name]
    same = (ours == theirs) | ((ours != ours) & (theirs != theirs))  # NaN is no label, and not itself
    same &= np.asarray(one.recording_ids, object) == np.asarray(earlier.recording_ids, object)
    if not same.all():
        at = one.items[int(np.argmin(same))]
        raise RunError(
            f"runs {earlier.run} and {one.run} were scored on different labels of task {task.name}, first at {at}:"
            " extract both stores from one corpus and score again"
        )


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
