"""What an evaluation leaves as files: predictions, metrics and confusion matrices; and how figures are written."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..features.durable import write_whole
from ..features.tasks import NO_LABEL, Task
from ..shown import as_cell
from .lettering import Lettering
from .metrics import Figure, TaskReport, with_coarser
from .results import tested_figure
from .uncertainty import CONFIDENCE, has_width
from .units import counted_units

FIGURE_NAMES = {
    "accuracy": "accuracy",
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "uar": "UAR",
    "mae": "MAE",
    "corr": "correlation",
    "accuracy_7": "7-class accuracy",
    "accuracy_5": "5-class accuracy",
    "accuracy_3": "3-class accuracy",
    "accuracy_2": "2-class accuracy, 0 counts as negative",
    "f1_2": "2-class weighted F1, 0 counts as negative",
    "accuracy_2_has0": "2-class accuracy, 0 counts as positive",
    "f1_2_has0": "2-class weighted F1, 0 counts as positive",
    "accuracy_2_non0": "2-class accuracy without 0",
    "f1_2_non0": "2-class weighted F1 without 0",
}
_HEADINGS = {
    "corr": "corr",
    "accuracy_7": "acc-7",
    "accuracy_5": "acc-5",
    "accuracy_3": "acc-3",
    "accuracy_2": "acc-2",
    "f1_2": "F1",
    "accuracy_2_has0": "acc-2 has0",
    "f1_2_has0": "F1 has0",
    "accuracy_2_non0": "acc-2 non0",
    "f1_2_non0": "F1 non0",
}
NOT_SHARES = ("mae", "corr")
CONSTANT_MARK = "‡"
NO_WIDTH = "[no width]"
_AXES_SHARE = 0.77  # of the canvas, which is cut to its content in the end


def write_report(
    folder: Path,
    split: str,
    tasks: Sequence[Task],
    labels: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    reports: Mapping[str, TaskReport],
    recording_ids: Sequence[str],
    segment_ids: Sequence[str] | None = None,
    about: Mapping | None = None,
) -> list[Path]:
    """Write all files of an evaluation into ``folder``; returns their paths, metrics first.

    ``labels``, ``outputs`` and ``reports`` are those of ``evaluate``; the ids have length n, and ``segment_ids`` are
    given where the tasks are ones of segments. ``about`` goes into the metrics as it is: what was evaluated on what.
    """
    folder = Path(folder)
    contents = {
        f"metrics-{for_a_file(split)}.json": metrics_json(split, reports, about or {}).encode(),
        f"predictions-{for_a_file(split)}.csv": predictions_csv(
            tasks, labels, outputs, recording_ids, segment_ids
        ).encode(),
    }
    for report in reports.values():
        if report.confusion is not None:
            contents[confusion_name(report.task.name, split)] = confusion_png(report, split)
    for name, content in contents.items():
        write_whole(folder / name, [content])
    return [folder / name for name in contents]


def confusion_name(task: str, split: str) -> str:
    """File of a task's confusion matrix; any split but ``test`` is named in it, so that none replaces another's."""
    return f"confusion-{for_a_file(task)}{'' if split == 'test' else '-' + for_a_file(split)}.png"


def predictions_csv(
    tasks: Sequence[Task],
    labels: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    recording_ids: Sequence[str],
    segment_ids: Sequence[str] | None = None,
) -> str:
    """A row per recording or segment: ids, then label, prediction and the probability of each class for every task.

    It is opened in spreadsheets, so names are written as ``as_cell`` has them; the exact ones are in ``scored``'s file.
    """
    columns: dict[str, Sequence] = {"recording_id": recording_ids}
    if segment_ids is not None:
        columns["segment_id"] = segment_ids
    by_name = {task.name: task for task in tasks}
    for name, prediction in with_coarser(tasks, outputs).items():
        task, truth = by_name[name], np.asarray(labels[name])
        if task.is_value:
            columns[f"{name}_label"] = ["" if np.isnan(value) else f"{value:.6g}" for value in truth]
            columns[f"{name}_prediction"] = [f"{value:.6g}" for value in prediction.values]
            continue
        columns[f"{name}_label"] = ["" if index == NO_LABEL else task.classes[index] for index in truth]
        columns[f"{name}_prediction"] = [task.classes[index] for index in prediction.values]
        for index, class_name in enumerate(task.classes):
            columns[f"{name}_p_{class_name}"] = [f"{share:.6f}" for share in prediction.probabilities[:, index]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(as_cell, columns))
    writer.writerows(map(as_cell, row) for row in zip(*columns.values(), strict=True))
    return text.getvalue()


def metrics_json(split: str, reports: Mapping[str, TaskReport], about: Mapping) -> str:
    """Strict JSON of everything in the reports; shares are of 1, not percent."""
    document = {**about, "split": split, "confidence": CONFIDENCE}
    document["tasks"] = {name: report_json(report) for name, report in reports.items()}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def report_json(report: TaskReport) -> dict:
    """Everything in one report."""
    entry = {
        "level": report.task.level,
        "count": report.count,
        "recordings": report.recordings,
        "resampled": report.unit,
        "resampled_units": report.units,
        "derived_from": report.derived_from,
        "constant_answer": report.constant or None,
        "figures": {
            figure: asdict(value) | {"interval_has_width": value.has_width} for figure, value in report.figures.items()
        },
        "chance": asdict(report.chance) if report.chance else None,  # the most frequent class, or mean, of training
    }
    if report.confusion is not None:
        entry["classes"] = [asdict(figures) for figures in report.classes]
        entry["confusion"] = report.confusion.tolist()  # rows are labels
    return entry


def bracketed(low: float, high: float, shown: Callable[[float], str]) -> str:
    """An interval as tables show it; one without width says so."""
    return f"[{shown(low)}, {shown(high)}]" if has_width(low, high) else NO_WIDTH


def heading(figure: str) -> str:
    """A figure's name above a column of many, as short as papers have it."""
    return _HEADINGS.get(figure, FIGURE_NAMES[figure])


def shown_as(figure: str) -> Callable[[float], str]:
    """How tables show a figure of this name."""
    return plain if figure in NOT_SHARES else percent


def percent(share: float) -> str:
    """A share of 1 in per cent, as tables show it."""
    return f"{100 * share:.1f}"


def plain(value: float) -> str:
    """An error or a correlation, as tables show it."""
    return f"{value:.3f}"


def counted_items(report: TaskReport) -> str:
    """``88 recordings``, ``328 segments of 88 recordings``, or ``180 recordings of 12 speakers``."""
    recordings = counted_units("recording", report.recordings)
    if report.unit != "recording":
        recordings += f" of {counted_units(report.unit, report.units)}"
    if report.task.level == "recording":
        return recordings
    return f"{report.count:,} segment{'s' if report.count != 1 else ''} of {recordings}"


def for_a_file(name: str) -> str:
    """``name`` without what has a meaning in paths."""
    return re.sub(r"[^\w.-]+", "_", name)


def confusion_png(report: TaskReport, split: str) -> bytes:
    """The confusion matrix as a picture: counts, and shares of each label's row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    counts = report.confusion
    size = len(counts)
    support = counts.sum(axis=1)
    shares = np.divide(counts, support[:, None], out=np.zeros(counts.shape), where=support[:, None] > 0)
    lettering = Lettering()
    names, fonts = lettering.class_names(report.task.classes), lettering.fonts
    cell = 1.0 if size <= 6 else 0.75 if size <= 10 else 0.6  # inches
    number_size = 13 if size <= 6 else 10 if size <= 10 else 8
    upright = max(map(len, names)) * 0.1 > cell  # names that would run into each other under their columns

    canvas = Canvas(figsize=(size * cell / _AXES_SHARE, size * cell / _AXES_SHARE))
    FigureCanvasAgg(canvas)
    axes = canvas.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(size):
        for column in range(size):
            _write_cell(axes, row, column, counts[row, column], shares[row, column], support[row], number_size)
    axes.set_xticks(range(size), names, rotation=90 if upright else 0, fontfamily=fonts)
    axes.set_yticks(
        range(size), [f"{name}\nn = {count}" for name, count in zip(names, support, strict=True)], fontfamily=fonts
    )
    axes.set_xlabel("predicted (count, and share of the label's row)", labelpad=8)
    axes.set_ylabel("label", labelpad=8)
    axes.set_xticks(np.arange(1, size) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, size) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    task = lettering.shown(report.task.name, "labels")
    axes.set_title(_title(report, task, lettering.shown(split, "split")), fontsize=11, fontfamily=fonts, pad=10)
    png = io.BytesIO()
    canvas.savefig(png, format="png", dpi=150, bbox_inches="tight", metadata={"Software": None})
    return png.getvalue()


def _write_cell(axes, row: int, column: int, count: int, share: float, support: int, size: int) -> None:
    if not count:
        axes.text(column, row, "0" if support else "–", ha="center", va="center", fontsize=size * 0.85, color="0.6")
        return
    color = "white" if share > 0.55 else "black"
    axes.text(column, row - 0.08, f"{count}", ha="center", va="center", fontsize=size, color=color)
    axes.text(column, row + 0.2, f"{share:.0%}", ha="center", va="center", fontsize=size * 0.75, color=color)


def _title(report: TaskReport, task: str, split: str) -> str:
    name = tested_figure(report.task)
    figure: Figure = report.figures[name]
    interval = bracketed(figure.low, figure.high, percent)
    return f"{task}, {split}, {counted_items(report)}\n{FIGURE_NAMES[name]} {percent(figure.value)}% {interval}"
