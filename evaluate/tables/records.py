"""A comparison as a csv, for programs to read."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from ...features.tasks import Task
from ...shown import as_cell
from ..chance import chance_name
from ..folds import OverFolds
from ..report import NOT_SHARES
from ..results import Comparison, Row, figures_of
from .rows import has_mcnemar, over, paper_figure, without_width


def comparison_csv(comparison: Comparison, failed: Mapping[str, str] | None = None) -> str:
    """A row per variant, and one for the chance line. Accuracies, F1, recalls and their differences are shares of 1.

    The paper's figures are too: ``<task>_paper`` is of the tested one, ``<task>_<figure>_paper`` of any other that is
    published. ``<task>_p_over`` says whether p and interval are over recordings, or seeds too;
    ``<task>_constant_seeds`` counts the seeds that answer one class, or value, only. ``parameters`` were trained, and
    ``epoch_seconds`` are what the training steps of an epoch took, where these are known. Where rows are pooled of folds,
    ``<task>_<figure>_over_folds_mean`` and ``_std`` are of the folds' own figures, which have a column for each fold.
    """
    records = [_record(comparison, row) for row in comparison.rows]
    columns = list(dict.fromkeys(column for record in records for column in record))
    if comparison.chance:
        records.append(_chance_record(comparison))
    records += [{"variant": variant, "seeds": 0} for variant in failed or ()]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(as_cell, columns))
    writer.writerows([as_cell(record.get(column, "")) for column in columns] for record in records)
    return text.getvalue()


def _record(comparison: Comparison, row: Row) -> dict[str, str | int]:
    record: dict[str, str | int] = {"variant": row.variant, "seeds": len(row.seeds)}
    if comparison.mixes_networks:
        record["network"] = row.network
    if comparison.folds:
        record |= {"scheme": comparison.scheme, "folds": len(comparison.folds)}
    for task in comparison.tasks:
        cell = row.cells.get(task.name)
        for name in figures_of(task):
            figure = cell.figures[name] if cell else None
            record[f"{task.name}_{name}_mean"] = _number(figure and figure.mean)
            record[f"{task.name}_{name}_std"] = _number(figure and figure.deviation)
            record[f"{task.name}_{name}_low"] = _number(figure and figure.low)
            record[f"{task.name}_{name}_high"] = _number(figure and figure.high)
            if comparison.folds:
                record |= _of_folds(comparison, f"{task.name}_{name}", figure and figure.folds)
        difference = cell.difference if cell else None
        record[f"{task.name}_difference"] = _number(difference and difference.value)
        record[f"{task.name}_difference_low"] = _number(difference and difference.low)
        record[f"{task.name}_difference_high"] = _number(difference and difference.high)
        record[f"{task.name}_p"] = _number(difference and difference.p)
        record[f"{task.name}_p_holm"] = _number(difference and difference.p_holm)
        record[f"{task.name}_p_over"] = over(comparison, difference) if difference else ""
        record[f"{task.name}_marked"] = int(difference.is_marked) if difference else ""
        record[f"{task.name}_constant_seeds"] = len(cell.constant_answers) if cell else ""
        if has_mcnemar(comparison, task):
            record[f"{task.name}_p_mcnemar"] = _number(cell and cell.mcnemar and cell.mcnemar.p)
        tested, *others = figures_of(task)
        record[f"{task.name}_paper"] = _published(row, task, tested)
        for name in others:
            if any(paper_figure(other, task, name) is not None for other in comparison.rows):
                record[f"{task.name}_{name}_paper"] = _published(row, task, name)
    record[f"{comparison.split}_scored"] = row.times_scored
    record["store"] = "; ".join(row.stores)
    record["fingerprint"] = "; ".join(row.fingerprints)
    record["command"] = "; ".join(row.commands)
    record["runs"] = "; ".join(row.runs)
    record["without_width"] = "; ".join(without_width(comparison, row))
    record["parameters"] = "" if row.parameters is None else row.parameters
    record["epoch_seconds"] = _number(row.epoch_seconds)
    return record


def _published(row: Row, task: Task, figure: str) -> str:
    """In the unit of ours."""
    number = paper_figure(row, task, figure)
    return _number(number if number is None or figure in NOT_SHARES else number / 100)


def _chance_record(comparison: Comparison) -> dict[str, str | int]:
    record: dict[str, str | int] = {"variant": chance_name(comparison.tasks), "seeds": 0}
    for task in comparison.tasks:
        if task.name in comparison.chance:
            for name in figures_of(task):
                record[f"{task.name}_{name}_mean"] = _number(comparison.chance[task.name].figures[name])
                if of_folds := comparison.chance[task.name].by_fold.get(name):
                    record |= _of_folds(comparison, f"{task.name}_{name}", OverFolds(of_folds))
    return record


def _of_folds(comparison: Comparison, name: str, folds: OverFolds | None) -> dict[str, str]:
    """Mean and deviation over the folds, and the figure of each."""
    single = folds.by_fold if folds else [None] * len(comparison.folds)
    return {
        f"{name}_over_folds_mean": _number(folds and folds.mean),
        f"{name}_over_folds_std": _number(folds and folds.deviation),
        **{f"{name}_{fold}": _number(value) for fold, value in zip(comparison.folds, single, strict=True)},
    }


def _number(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.6g}"
