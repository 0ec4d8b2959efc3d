"""A run's answers for recordings that it need not have been trained beside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import SettingError
from ..evaluate import groups, metrics, report
from ..evaluate.score_table import score_table
from ..features.durable import explained, write_whole
from ..features.opening import open_store
from ..features.schemes import STANDARD, schemes_in
from ..progress import Track, silent
from ..train.predict import EVERYTHING, Prediction, predict
from ..train.runs import Run
from .figures import answers_of_chance, grouped_by, reports_of
from .schemes import segments_by


@dataclass(frozen=True)
class Predicted:
    """A run's answers for recordings that it need not have been trained beside."""

    table: str
    """The figures for the screen where there are labels, or what the answers are, counted."""

    files: tuple[Path, ...]
    """The predictions, and what else was written."""

    left_out: int
    """Segments without features, which were left out."""

    notes: tuple[str, ...]
    """What else a reader of the answers has to know, a sentence each."""


def predict_on(
    run: Run,
    store_path: Path,
    split: str = EVERYTHING,
    out: Path | None = None,
    device: str | None = None,
    track: Track = silent,
    by: str = "",
) -> Predicted:
    """A run's answers for any store whose features were made as its own, for one split of it or all segments.

    The predictions go to ``out``, a csv, or into the run's directory; beside them, where there are labels, what
    ``eval`` writes. That counts as scoring a split only where it is one of the run's own store, and has labels.
    ``by`` names a column of the segment table whose groups get figures of their own.
    """
    store = open_store(store_path)
    scheme = run.settings.train.scheme
    table = segments_by(store, scheme if scheme in schemes_in(store.segments) else STANDARD)
    column = groups.column_named(by, table) if by else ""
    path = out or run.path / f"predictions-of-{report.for_a_file('-'.join(filter(None, (store.path.stem, split))))}.csv"
    if path.is_dir():
        raise SettingError(f"{path} is a folder: name the csv to write with --out")
    prediction = predict(run.path, store, split, track, device=device, any_store=True)
    answered_always = answers_of_chance(run, store) if prediction.is_own_store else None
    reports = reports_of(prediction, answered_always)
    grouped = grouped_by(table, column, prediction, reports, answered_always) if column and reports else None
    called = split or "all splits"
    written = prediction.labels, prediction.outputs, prediction.recording_ids, prediction.segment_ids
    contents = {path: report.predictions_csv(prediction.tasks, *written).encode()}
    notes = list(prediction.notes)
    if reports:
        about = {"run": run.name, "store": str(store.path), "store_fingerprint": store.fingerprint()}
        if grouped:
            about["by"] = groups.groups_json(grouped)
            contents[path.with_name(f"{path.stem}-{grouped.file_name}.csv")] = groups.groups_csv(grouped).encode()
        contents[path.with_name(f"{path.stem}-metrics.json")] = report.metrics_json(called, reports, about).encode()
        for each in reports.values():
            if each.confusion is not None:
                picture = path.with_name(f"{path.stem}-{report.confusion_name(each.task.name, 'test')}")
                contents[picture] = report.confusion_png(each, called)
        if prediction.is_own_store:
            counts = [f"{name} {run.count_scoring(name)}" for name in prediction.splits]
            notes.append(f"{store.path} is the run's own store; times that it was scored: {', '.join(counts)}")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for each, content in contents.items():
            write_whole(each, [content])
    shown = score_table(called, reports) if reports else _answers_counted(prediction, called)
    if grouped:
        shown += f"\n\n{groups.groups_table(grouped)}"
    elif column:
        notes.append(f"there are no labels, so there are no figures by {column}")
    return Predicted(shown, tuple(contents), len(prediction.left_out), tuple(notes))


def _answers_counted(prediction: Prediction, called: str) -> str:
    """``new: 20 recordings, without labels``, and how often each class is the answer to each task."""
    kind = "recording" if prediction.segment_ids is None else "segment"
    count = len(prediction.recording_ids)
    lines = [f"{called}: {count:,} {kind}{'s' if count != 1 else ''} without labels"]
    for name, answer in metrics.with_coarser(prediction.tasks, prediction.outputs).items():
        task = next(task for task in prediction.tasks if task.name == name)
        if task.is_value:
            values = answer.values
            lines.append(f"{name}: {values.min():.3f} to {values.max():.3f}, mean {values.mean():.3f}")
        else:
            counts = [(label, int((answer.values == index).sum())) for index, label in enumerate(task.classes)]
            lines.append(f"{name}: {', '.join(f'{label} {times:,}' for label, times in counts)}")
    return "\n".join(lines)
