"""Training and evaluation together: scoring a run, ablations, and comparing runs that are there.

The command line calls these; they know both halves, which do not know each other.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .errors import RunError, SettingError, StoreError
from .evaluate import chance, comparison, comparison_report, groups, metrics, paper, report, scored, units
from .features.durable import explained, write_whole, writer_lock
from .features.opening import default_store, open_store
from .features.segments import REMOVED
from .features.sharing import remarks_on, shared_in
from .features.splits import split_named
from .features.store import FeatureStore
from .progress import Track, silent
from .shown import as_line
from .train import ablation
from .train.data import matching_features, recordings_of
from .train.dependence import rows_read
from .train.learner import FINISHED, INTERRUPTED, PRUNED, STOPPED_EARLY
from .train.predict import EVERYTHING, Prediction, predict
from .train.runs import Run, resolve

CACHE = Path("cache")


@dataclass(frozen=True)
class Scores:
    """What scoring one run on one split gave."""

    scored: scored.Scored
    """The answers, as comparisons need them."""

    table: str
    """The table for the screen."""

    files: tuple[Path, ...]
    """What was written into the run's directory."""

    left_out: int
    """Segments without features, which were left out."""

    notes: tuple[str, ...]
    """What else a reader of the table has to know, a sentence each."""


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


@dataclass(frozen=True)
class Ablated:
    """What an ablation came to."""

    outcomes: tuple[ablation.Outcome, ...]
    """A run per variant and seed."""

    comparison: comparison.Comparison | None
    """The figures of all variants; None if it was interrupted."""

    failures: Mapping[str, str]
    """Why a variant has no result, by its name."""

    files: tuple[Path, ...]
    """Tables and picture."""

    @property
    def is_interrupted(self) -> bool:
        """Whether runs are still to be trained."""
        return self.comparison is None

    def table(self, brief: bool = True) -> str:
        """The table for the screen; ``brief`` without the tables of differences, which the files have."""
        return comparison_report.table_text(self.comparison, self.failures, brief)

    @property
    def failed(self) -> list[ablation.Outcome]:
        """Runs without a result."""
        return [outcome for outcome in self.outcomes if not outcome.is_done]


def score_run(
    run: Run,
    store_path: Path,
    split: str,
    device: str | None = None,
    resample: str = "recording",
    track: Track = silent,
    by: str = "",
) -> Scores:
    """Score a run's best weights on a split, write what comes of it into its directory, and count that it was scored.

    ``resample`` is what intervals are over: ``recording``, or ``speaker`` with all of his or her recordings. ``by``
    names a column of the segment table whose groups get figures of their own.
    """
    units.check_unit(resample)
    store = open_store(store_path)
    column = groups.column_named(by, store.segments) if by else ""
    split = split_named(split, store.segments["split"].unique())
    prediction = predict(run.path, store, split, track, device=device)
    speakers = units.speakers_of(store.segments, split, prediction.recording_ids)
    by_speaker = None
    if resample == "speaker":
        by_speaker = units.units_by_speaker(speakers, prediction.recording_ids, run.name, split)
    answered_always = _answered_always(run, store)
    reports = _reports(prediction, answered_always, by_speaker, resample)
    grouped = _grouped(store, column, prediction, reports, answered_always, by_speaker, resample) if column else None
    ended = _how_it_ended(run, store.path)
    about = {
        "run": run.name,
        "status": ended.status,
        "epochs": run.epochs,
        "store": str(store.path),
        "store_fingerprint": store.fingerprint(),
        "times_scored": run.count_scoring(split),
    }
    if grouped:
        about["by"] = groups.groups_json(grouped)
    files = report.write_report(
        run.path,
        split,
        prediction.tasks,
        prediction.labels,
        prediction.outputs,
        reports,
        prediction.recording_ids,
        prediction.segment_ids,
        about,
    )
    if grouped:
        files.append(run.path / f"{grouped.file_name}-{report.for_a_file(split)}.csv")
        write_whole(files[-1], [groups.groups_csv(grouped).encode()])
    answers = scored.scored_from(
        variant=run.name,
        seed=run.settings.train.seed,
        run=run.name,
        split=split,
        tasks=prediction.tasks,
        labels=prediction.labels,
        outputs=prediction.outputs,
        recording_ids=prediction.recording_ids,
        segment_ids=prediction.segment_ids,
        store=str(store.path),
        fingerprint=about["store_fingerprint"],
        command=shlex.join(run.environment["command"]),
        times_scored=about["times_scored"],
        chance=answered_always,
        speakers=speakers,
        segments=prediction.rows.of_segments,
        values=prediction.rows.of_values,
    )
    run.save_scored_rows(prediction.rows)
    scored.save(answers, scored_file(run, split))
    table = report.score_table(split, reports, paper.BESIDE if store.dataset == paper.DATASET else ())
    if grouped and grouped.of_tasks():
        table += f"\n\n{groups.groups_table(grouped)}"
    if ended.remark:
        table += f"\n\n{ended.remark}"
    for remark in remarks_on(split, store.head.facts, shared_in(store)):
        table += f"\n\n{remark}"
    if answers.times_scored > 1:
        table += f"\n\nThis run has now been scored on {as_line(split)} {answers.times_scored} times."
    return Scores(answers, table, tuple(files), len(prediction.left_out), prediction.notes)


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
    column = groups.column_named(by, store.segments) if by else ""
    path = out or run.path / f"predictions-of-{report.for_a_file('-'.join(filter(None, (store.path.stem, split))))}.csv"
    if path.is_dir():
        raise SettingError(f"{path} is a folder: name the csv to write with --out")
    prediction = predict(run.path, store, split, track, device=device, any_store=True)
    answered_always = _answered_always(run, store) if prediction.is_own_store else None
    reports = _reports(prediction, answered_always)
    grouped = _grouped(store, column, prediction, reports, answered_always) if column and reports else None
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
    table = report.score_table(called, reports) if reports else _answers_counted(prediction, called)
    if grouped:
        table += f"\n\n{groups.groups_table(grouped)}"
    elif column:
        notes.append(f"there are no labels, so there are no figures by {column}")
    return Predicted(table, tuple(contents), len(prediction.left_out), tuple(notes))


def _answered_always(run: Run, store: FeatureStore) -> Mapping[str, float]:
    """The chance line of a run's own store: what is answered by whoever knows its training labels and nothing else."""
    learnt = split_named(run.settings.train.train_split, store.segments["split"].unique())
    return chance.constant_answers(store.tasks, store.segments, learnt)


def _reports(
    prediction: Prediction,
    answered_always: Mapping[str, float] | None = None,
    by_speaker: Sequence[str] | None = None,
    unit: str = "recording",
) -> dict[str, metrics.TaskReport]:
    answers = prediction.labels, prediction.outputs
    return metrics.evaluate(
        prediction.tasks, *answers, _recordings_of_segments(prediction), answered_always, by_speaker, unit
    )


def _grouped(
    store: FeatureStore,
    column: str,
    prediction: Prediction,
    reports: Mapping[str, metrics.TaskReport],
    answered_always: Mapping[str, float] | None = None,
    by_speaker: Sequence[str] | None = None,
    unit: str = "recording",
) -> groups.Grouped:
    ids = prediction.recording_ids, prediction.segment_ids
    of_items = groups.groups_of(store.segments, column, *ids, prediction.splits)
    answers = prediction.tasks, prediction.labels, prediction.outputs, _recordings_of_segments(prediction)
    return groups.evaluate_groups(column, of_items, reports, *answers, answered_always, by_speaker, unit)


def _recordings_of_segments(prediction: Prediction) -> Sequence[str] | None:
    """(n,) the recording of each item where items are segments."""
    return prediction.recording_ids if prediction.segment_ids is not None else None


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


class _Ended(NamedTuple):
    """How far a run was trained."""

    status: str
    """``finished``, ``stopped early``, ``pruned``, ``unfinished`` or ``unknown``."""

    remark: str
    """What readers of its scores have to know; empty for a run that was trained to its end."""


def _how_it_ended(run: Run, store_path: Path) -> _Ended:
    try:
        status = run.status
    except RunError:  # its weights may be there all the same
        return _Ended("unknown", f"Run {run.name} has no readable last.pt: whether it was finished is not known.")
    if status in (FINISHED, STOPPED_EARLY):
        return _Ended(status, "")
    epochs = f"{run.epochs} of {run.settings.train.epochs} epochs"
    if status == PRUNED:
        return _Ended(status, f"Run {run.name} was ended by its sweep after {epochs}.")
    return _Ended(
        "unfinished",
        f"Run {run.name} is not finished, {epochs} are done and the best of them is scored: "
        f"{run.how_to_resume(store_path)}",
    )


def scored_file(run: Run, split: str) -> Path:
    """Where a run's answers on a split are kept."""
    return run.path / f"scored-{report.for_a_file(split)}.json"


def scores_of(
    run: Run, store_path: Path, split: str, track: Track = silent, say: Callable[[str], None] = print
) -> scored.Scored:
    """A run's answers on a split, without scoring it again if it was, unless what it was scored on has changed."""
    if store_path.exists():
        split = split_named(split, open_store(store_path).segments["split"].unique())
    path = scored_file(run, split)
    if path.exists():
        kept = scored.load(path)
        changes = _changes_since_scored(run, store_path, split)
        if not changes:
            return dataclasses.replace(kept, times_scored=run.times_scored.get(split, kept.times_scored))
        say(f"{run.name} is scored on {split} again, where since then has changed: {'; '.join(changes)}")
    made = score_run(run, store_path, split, track=track)
    for note in made.notes:
        say(note)
    return made.scored


def _changes_since_scored(run: Run, store_path: Path, split: str) -> list[str]:
    """What of the rows that a run was scored on is no longer as it was; nothing where that cannot be known."""
    before = run.scored_rows(split)
    if before is None or not store_path.exists():
        return []
    store = open_store(store_path)
    tasks = [task for task in store.tasks if task.name in {own.name for own in before.tasks}]
    try:
        features = matching_features(store, before.features, before.specs)
        now = recordings_of(store, split, features, run.settings.train.skip_missing, tasks=tasks)
    except StoreError as error:
        return [str(error)]
    return before.differences(rows_read(now, tasks), store, in_order=False)


def recorded_store(run: Run, runs: Path) -> Path:
    """The store that a run was trained on; a relative path counts from here, or from beside the folder of runs."""
    recorded = Path(run.environment["store"]["path"])
    return recorded if recorded.exists() else runs.parent / recorded


def existing_store(run: Run, runs: Path) -> Path:
    """The store that a run was trained on. Raises RunError when it is no longer there."""
    path = recorded_store(run, runs)
    if not path.exists():
        raise RunError(
            f"{run.environment['store']['path']}, the store that run {run.name} was trained on, is not there: if it "
            f"was moved, say where it is with --store"
        )
    return path


class Looks:
    """How often each variant of an ablation was scored on each split, over all starts of it; kept in its folder.

    A run that is trained anew, since its data has changed, begins its own count at 0; whoever looks does not.
    """

    def __init__(self, out: Path) -> None:
        self._path, self._runs = out / "looks.json", out / "runs"

    def after(self, name: str, split: str, scored_now: bool) -> int:
        """How often runs called ``name`` have been scored on ``split``, with this time."""
        counts = json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}
        of_split = counts.setdefault(split, {})
        of_runs = sum(
            run.times_scored.get(split, 0)
            for run in map(Run, sorted(path.parent for path in self._runs.glob("*/scored.json")))
            if not run.path.is_symlink() and run.settings.train.name == name
        )
        looks = max(of_split.get(name, 0) + scored_now, of_runs)
        if looks != of_split.get(name):
            of_split[name] = looks
            write_whole(self._path, [(json.dumps(counts, indent=2, ensure_ascii=False) + "\n").encode()])
        return looks


def ablate(
    plan_file: Path | None,
    preset: str,
    options: Mapping[str, object],
    seeds: str,
    store: Path | None,
    out: Path,
    split: str,
    together: int,
    track: Track = silent,
    say: Callable[[str], None] = print,
    resample: str = "recording",
) -> Ablated:
    """Train what a plan lacks, score each run once on ``split``, and write the tables and the picture into ``out``.

    ``options`` hold for all variants that do not say otherwise. What was finished by an earlier call is not repeated.
    """
    if (plan_file is None) == (not preset):
        raise SettingError("an ablation needs either a plan or a preset: msmt ablate PLAN.yaml, or --preset table6")
    notes: list[str] = []
    if plan_file is not None:
        plan = ablation.read_plan(plan_file, options, seeds)
        plan = dataclasses.replace(plan, store=store or plan.store or default_store(CACHE))
    else:
        store = store or default_store(CACHE)
        plan, notes = ablation.preset_plan(preset, open_store(store), options, seeds)
        plan = dataclasses.replace(plan, store=store)
    _check(plan, split, resample)
    ablation.check_folder(out)
    for note in notes:
        say(note)
    with writer_lock(out), explained(out):
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / "plan.json", [json.dumps(plan.to_json(), indent=2, ensure_ascii=False).encode()])
        return _ablate(plan, notes, out, split, together, track, say, resample)


def _check(plan: ablation.Plan, split: str, resample: str) -> None:
    """Refuses, before anything is trained, what could not be scored or shown in the end."""
    for variant in plan.variants:
        if variant.paper and paper.row_named(variant.paper) is None:
            names = "; ".join(row.name for row in paper.ROWS)
            raise SettingError(f"variant {variant.name}: the paper has no row {variant.paper!r}, it has: {names}")
    units.check_unit(resample)
    for path in {variant.store or plan.store for variant in plan.variants}:
        table = open_store(path).segments
        splits = [name for name in dict.fromkeys(table["split"]) if name != REMOVED]
        if split_named(split, splits) not in splits:
            raise SettingError(f"{path} has no split {split} to score: choose --split from {', '.join(splits)}")
        if resample == "speaker":
            named = split_named(split, splits)
            recordings = tuple(dict.fromkeys(table["recording_id"][table["split"] == named]))
            units.units_by_speaker(units.speakers_of(table, named, recordings), recordings, "", named)


def _ablate(
    plan: ablation.Plan,
    notes: Sequence[str],
    out: Path,
    split: str,
    together: int,
    track: Track,
    say: Callable[[str], None],
    resample: str,
) -> Ablated:
    answers: list[scored.Scored] = []
    looks = Looks(out)

    def score_it(outcome: ablation.Outcome) -> None:
        if outcome.is_done:
            before = sum(outcome.run.times_scored.values())
            answer = scores_of(outcome.run, outcome.store, split, track, say)
            is_new = sum(outcome.run.times_scored.values()) > before
            times = looks.after(outcome.run.settings.train.name, answer.split, is_new)
            command = ablation.command_for(outcome.variant, outcome.store, outcome.seed)
            command += f" && msmt eval --run {shlex.quote(outcome.variant.settings_for(outcome.seed).name)}"
            command += f" --split {shlex.quote(split)}"
            name, shown = outcome.variant.name, outcome.variant.paper
            answers.append(dataclasses.replace(answer, variant=name, command=command, paper=shown, times_scored=times))

    outcomes = ablation.run_plan(plan, out, metrics.score, together, track, say, after_each=score_it)
    if any(outcome.status in (INTERRUPTED, ablation.NOT_BEGUN) for outcome in outcomes):
        return Ablated(tuple(outcomes), None, {}, ())
    failed = ablation.failed_variants(outcomes)
    if not answers:
        raise RunError(f"no variant has a result; the first says: {next(iter(failed.values()))}")
    order = {(outcome.variant.name, outcome.seed): number for number, outcome in enumerate(outcomes)}
    rank = {variant.name: number for number, variant in enumerate(plan.variants)}
    answers.sort(key=lambda answer: (rank[answer.variant], order[answer.variant, answer.seed]))
    compared = dataclasses.replace(comparison.compare(answers, same_store=False, unit=resample), notes=tuple(notes))
    files = comparison_report.write_comparison(out, "ablation", compared, failed=failed)
    return Ablated(tuple(outcomes), compared, failed, tuple(files))


def compare(
    names: Sequence[str],
    runs: Path,
    split: str,
    out: Path,
    store: Path | None = None,
    track: Track = silent,
    say: Callable[[str], None] = print,
    resample: str = "recording",
) -> tuple[str, list[Path]]:
    """A table of any runs on the same recordings, and its files.

    Runs that were not scored on ``split`` are scored, and those where what they were scored on has changed since.
    Raises RunError when their splits, recordings, segments, labels, or values of the same feature differ.
    """
    if len(names) < 2:
        raise SettingError("there is nothing to compare with: name two runs or more")
    answers = []
    for name in names:
        run = resolve(runs, name)
        path = store or recorded_store(run, runs)
        if not path.exists() and not scored_file(run, split).exists():
            path = store or existing_store(run, runs)
        answers.append(scores_of(run, path, split, track, say))
    compared = comparison.compare(answers, unit=resample)
    files = comparison_report.write_comparison(
        out, "comparison", compared, disagreements=comparison.disagreements(answers)
    )
    return comparison_report.table_text(compared), files
