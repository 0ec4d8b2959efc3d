"""What stands beside a table: what its figures are, and what a reader must know to believe them."""

from __future__ import annotations

from collections.abc import Mapping

from ...features.schemes import STANDARD
from ..chance import chance_name
from ..published.registry import caution, dataset_with
from ..report import CONSTANT_MARK
from ..results import LEVEL, SEEDS_FOR_A_MARK, Comparison, tested_figure
from ..uncertainty import CONFIDENCE
from ..units import counted_units
from .cells import MARK
from .rows import constant_answers, figure_beside, may_be_marked, paper_figure, without_width


_PHRASES = {
    "accuracy": "accuracy in per cent",
    "uar": "UAR (mean recall of the classes) in per cent of what comes next",
    "mae": "mean absolute error of real values",
}


def caption(comparison: Comparison) -> str:
    """What the figures of the main table are, and what its mark means."""
    tested = {tested_figure(task) for task in comparison.tasks}
    figure = ", ".join(phrase for name, phrase in _PHRASES.items() if name in tested) or _PHRASES["accuracy"]
    figure = figure.removesuffix(" of real values") if tested == {"mae"} else figure + ("," if "mae" in tested else "")
    figure = figure[0].upper() + figure[1:]
    spread = ", mean ± standard deviation over seeds" if any(len(row.seeds) > 1 for row in comparison.rows) else ""
    sentences = [f"{figure}{_on_what(comparison)} ({counted(comparison)}){spread}."]
    if comparison.folds:
        sentences.append("Over folds: mean ± standard deviation of the folds' own figures.")
    if any(may_be_marked(row) for row in comparison.rows):
        holm = ", corrected by Holm's method over all rows compared on a task" if len(comparison.rows) > 2 else ""
        sentences.append(
            f"{MARK}: differs from the first row, {comparison.rows[0].variant}, with p < {LEVEL} over"
            f" {comparison.unit}s and seeds (t test of the paired difference{holm})."
        )
    return " ".join(sentences)


def _on_what(comparison: Comparison) -> str:
    """`` on the split test``, or which folds are pooled."""
    if comparison.folds:
        folds = f"all {len(comparison.folds)} folds (scheme {comparison.scheme})"
        item = "segment" if all(task.level == "segment" for task in comparison.tasks) else "recording"
        return f", pooled over the split {comparison.split} of {folds}, each {item} tested once"
    of_scheme = f" of {comparison.scheme}" if comparison.scheme != STANDARD else ""
    return f" on the split {comparison.split}{of_scheme}"


def notes_on(comparison: Comparison, failed: Mapping[str, str]) -> list[str]:
    """What a reader must know to believe the figures, a sentence or two each."""
    rows, unit = comparison.rows, comparison.unit
    several = [len(row.seeds) > 1 for row in rows]
    seeds = "" if not any(several) else " and seeds" if all(several) else ", of rows of several seeds also over seeds"
    notes = [f"{CONFIDENCE:.0%} intervals are over {unit}s{seeds}."]
    if comparison.shows_costs:
        notes.append(
            "parameters: weights that are trained. s/epoch: seconds that the training steps of an epoch took, without"
            " reading features and without validation, the median of all epochs."
        )
    if comparison.folds:
        notes.append(
            "Folds share most of what they learn from: their deviation says how much they differ, and is no error of"
            " their mean. Intervals and tests are of the pooled answers, for the folds as they are."
        )
    notes += _notes_on_seeds(comparison)
    if comparison.chance:
        between = "; " if comparison.folds else ", "
        answers = between.join(f"{chance.answer} ({task})" for task, chance in comparison.chance.items())
        training = "training split of each fold" if comparison.folds else "training split"
        notes.append(
            f"{chance_name(comparison.tasks).capitalize()}: what a model scores that gives this answer of the"
            f" {training} to everything: {answers}."
        )
    constant = [constant_answers(row, comparison.tasks) for row in rows]
    if any(constant):
        named = "; ".join(filter(None, constant))
        notes.append(f"{CONSTANT_MARK}: answers one thing only, whatever it is given: {named}.")
    unsure = [f"{row.variant} ({', '.join(found)})" for row in rows if (found := without_width(comparison, row))]
    if unsure:
        notes.append(
            f"Without any {unit} these figures are the same, so that their intervals have no width and say nothing:"
            f" {'; '.join(unsure)}."
        )
    lacking = {row.variant: sorted(set(comparison.seeds) - set(row.seeds)) for row in rows}
    # Rows that share no seed at all are single runs that somebody compares, and lack nothing.
    if set.intersection(*(set(row.seeds) for row in rows)) and any(lacking.values()):
        missing = [f"{name} (seed {', '.join(map(str, seeds))})" for name, seeds in lacking.items() if seeds]
        notes.append(f"Without a result: {'; '.join(missing)}.")
    notes += [f"No seed of {variant} has a result: {why.rstrip('.')}." for variant, why in failed.items()]
    most = max(row.times_scored for row in rows)
    if most > 1:
        notes.append(
            f"One run was scored on {comparison.split} {most} times: figures that were looked at before a choice was"
            " made are too good."
        )
    else:
        notes.append(f"Each run was scored on {comparison.split} once.")
    return [*notes, *_cautions(comparison), *comparison.notes]


def _cautions(comparison: Comparison) -> list[str]:
    """Why published figures cannot be compared with those beside which they stand, a sentence for each reason."""
    found = []
    for task in comparison.tasks:
        figure = figure_beside(comparison, task)
        for row in comparison.rows:
            if figure and paper_figure(row, task, figure) is not None:
                dataset = dataset_with(row.paper, row.dataset)
                items = comparison.items[task.name] if task.level != "recording" else _most_recordings(comparison)
                found.append(caution(dataset, comparison.split, items, task))
    return [sentence for sentence in dict.fromkeys(found) if sentence]


def _notes_on_seeds(comparison: Comparison) -> list[str]:
    """Which rows cannot be marked, for want of seeds."""
    compared = [row for row in comparison.rows if any(cell.difference for cell in row.cells.values())]
    few = [row.variant for row in compared if not may_be_marked(row)]
    if not few:
        return []
    which = "No row is marked" if len(few) == len(compared) else f"Not marked, whatever their p: {', '.join(few)}"
    reason = f"a mark ({MARK}) needs {SEEDS_FOR_A_MARK} seeds or more of the row and of the first one"
    notes = [f"{which}: {reason}."]
    if any(cell.difference and not cell.difference.is_over_seeds for row in compared for cell in row.cells.values()):
        notes.append(f"A p over {comparison.unit}s only does not account for seeds: another seed may turn it around.")
    return notes


def counted(comparison: Comparison) -> str:
    """``88 recordings``, or ``328 segments of 88 recordings``, of the task that has most."""
    if not comparison.tasks:
        return "no labels"
    task = max(comparison.tasks, key=lambda task: comparison.items[task.name])
    count = comparison.recordings[task.name]
    recordings = counted_units("recording", count)
    if comparison.unit != "recording":
        recordings += f" of {counted_units(comparison.unit, comparison.units[task.name])}"
    if task.level == "recording":
        return recordings
    return f"{comparison.items[task.name]:,} segments of {recordings}"


def _most_recordings(comparison: Comparison) -> int:
    return max(comparison.recordings.values(), default=0)
