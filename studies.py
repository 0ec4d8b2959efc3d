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

from .errors import RunError, SettingError
from .evaluate import chance, comparison, comparison_report, metrics, paper, report, scored, units
from .features.durable import explained, write_whole, writer_lock
from .features.segments import REMOVED
from .features.sharing import remarks_on, shared_in
from .features.splits import split_named
from .features.store import default_store, open_store
from .progress import Track, silent
from .shown import as_line
from .train import ablation
from .train.learner import FINISHED, INTERRUPTED, PRUNED, STOPPED_EARLY
from .train.predict import predict
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
) -> Scores:
    """Score a run's best weights on a split, write what comes of it into its directory, and count that it was scored.

    ``resample`` is what intervals are over: ``recording``, or ``speaker`` with all of his or her recordings.
    """
    units.check_unit(resample)
    store = open_store(store_path)
    split = split_named(split, store.segments["split"].unique())
    prediction = predict(run.path, store, split, track, device=device)
    groups = prediction.recording_ids if prediction.segment_ids is not None else None
    speakers = units.speakers_of(store.segments, split, prediction.recording_ids)
    by_speaker = None
    if resample == "speaker":
        by_speaker = units.units_by_speaker(speakers, prediction.recording_ids, run.name, split)
    learnt = split_named(run.settings.train.train_split, store.segments["split"].unique())
    answered_always = chance.constant_answers(store.tasks, store.segments, learnt)
    reports = metrics.evaluate(
        store.tasks, prediction.labels, prediction.outputs, groups, answered_always, by_speaker, resample
    )
    ended = _how_it_ended(run, store.path)
    about = {
        "run": run.name,
        "status": ended.status,
        "epochs": run.epochs,
        "store": str(store.path),
        "store_fingerprint": store.fingerprint(),
        "times_scored": run.count_scoring(split),
    }
    files = report.write_report(
        run.path,
        split,
        store.tasks,
        prediction.labels,
        prediction.outputs,
        reports,
        prediction.recording_ids,
        prediction.segment_ids,
        about,
    )
    answers = scored.scored_from(
        variant=run.name,
        seed=run.settings.train.seed,
        run=run.name,
        split=split,
        tasks=store.tasks,
        labels=prediction.labels,
        outputs=prediction.outputs,
        recording_ids=prediction.recording_ids,
        segment_ids=prediction.segment_ids,
        store=str(store.path),
        fingerprint=store.fingerprint(),
        command=shlex.join(run.environment["command"]),
        times_scored=about["times_scored"],
        chance=answered_always,
        speakers=speakers,
    )
    scored.save(answers, scored_file(run, split))
    table = report.score_table(split, reports, paper.BESIDE if store.dataset == paper.DATASET else ())
    if ended.remark:
        table += f"\n\n{ended.remark}"
    for remark in remarks_on(split, store.head.facts, shared_in(store)):
        table += f"\n\n{remark}"
    if answers.times_scored > 1:
        table += f"\n\nThis run has now been scored on {as_line(split)} {answers.times_scored} times."
    return Scores(answers, table, tuple(files), len(prediction.left_out))


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


def scores_of(run: Run, store_path: Path, split: str, track: Track = silent) -> scored.Scored:
    """A run's answers on a split, without scoring it again if it was."""
    split = split_named(split, open_store(store_path).segments["split"].unique())
    path = scored_file(run, split)
    if path.exists():
        kept = scored.load(path)
        return dataclasses.replace(kept, times_scored=run.times_scored.get(split, kept.times_scored))
    return score_run(run, store_path, split, track=track).scored


def recorded_store(run: Run, runs: Path) -> Path:
    """The store that a run was trained on; a relative path counts from here, or from beside the folder of runs."""
    recorded = Path(run.environment["store"]["path"])
    return recorded if recorded.exists() else runs.parent / recorded


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

    def score_it(outcome: ablation.Outcome) -> None:
        if outcome.is_done:
            answer = scores_of(outcome.run, outcome.store, split, track)
            command = ablation.command_for(outcome.variant, outcome.store, outcome.seed)
            command += f" && msmt eval --run {shlex.quote(outcome.variant.settings_for(outcome.seed).name)}"
            command += f" --split {shlex.quote(split)}"
            name, shown = outcome.variant.name, outcome.variant.paper
            answers.append(dataclasses.replace(answer, variant=name, command=command, paper=shown))

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
    resample: str = "recording",
) -> tuple[str, list[Path]]:
    """A table of any runs on the same recordings, and its files; runs that were not scored on ``split`` are scored.

    Raises RunError when their stores, splits, recordings or labels differ.
    """
    if len(names) < 2:
        raise SettingError("there is nothing to compare with: name two runs or more")
    answers = []
    for name in names:
        run = resolve(runs, name)
        answers.append(scores_of(run, store or recorded_store(run, runs), split, track))
    compared = comparison.compare(answers, unit=resample)
    files = comparison_report.write_comparison(
        out, "comparison", compared, disagreements=comparison.disagreements(answers)
    )
    return comparison_report.table_text(compared), files
