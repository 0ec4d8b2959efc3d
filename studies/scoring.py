"""Scoring a run on a split of its own store, and what is kept of that."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..errors import RunError, StoreError
from ..evaluate import groups, report, scored, units
from ..evaluate.published import beside
from ..evaluate.score_table import score_table
from ..features.durable import write_whole
from ..features.opening import open_store
from ..features.schemes import STANDARD
from ..features.sharing import remarks_on, shared_between_splits, sounds_in
from ..features.splits import split_named
from ..progress import Track, silent
from ..shown import as_line
from ..train.data import matching_features, recordings_of, split_names
from ..train.dependence import rows_read
from ..train.predict import predict
from ..train.runs import Run
from ..train.trained import FINISHED, PRUNED, STOPPED_EARLY
from .figures import answers_of_chance, grouped_by, reports_of
from .schemes import segments_by


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
    scheme = run.settings.train.scheme
    table = segments_by(store, scheme)
    column = groups.column_named(by, table) if by else ""
    split = split_named(split, table["split"].unique())
    prediction = predict(run.path, store, split, track, device=device)
    speakers = units.speakers_of(table, split, prediction.recording_ids)
    by_speaker = None
    if resample == "speaker":
        by_speaker = units.units_by_speaker(speakers, prediction.recording_ids, run.name, split)
    answered_always = answers_of_chance(run, store)
    reports = reports_of(prediction, answered_always, by_speaker, resample)
    grouped = grouped_by(table, column, prediction, reports, answered_always, by_speaker, resample) if column else None
    ended = _how_it_ended(run, store.path)
    about = {
        "run": run.name,
        "scheme": scheme,
        "status": ended.status,
        "epochs": run.epochs,
        "store": str(store.path),
        "store_fingerprint": store.fingerprint(),
        "times_scored": run.count_scoring(split),
    }
    called = split if scheme == STANDARD else f"{split} of {scheme}"
    if published := beside.published_json(reports, store.dataset):
        about["published"] = published
    page = beside.published_markdown(called, reports, store.dataset)
    if grouped:
        about["by"] = groups.groups_json(grouped)
    _forget_groups(run, split)
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
        files.append(run.path / groups.file_for(column, split))
        write_whole(files[-1], [groups.groups_csv(grouped).encode()])
    if page:
        files.append(run.path / beside.file_for(split))
        write_whole(files[-1], [page.encode()])
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
        scheme=scheme,
        network=network_of(run),
        dataset=store.dataset,
    )
    run.save_scored_rows(prediction.rows)
    scored.save(answers, scored_file(run, split))
    shown = score_table(called, reports, store.dataset)
    if grouped and grouped.of_tasks():
        shown += f"\n\n{groups.groups_table(grouped)}"
    if ended.remark:
        shown += f"\n\n{ended.remark}"
    facts = store.head.facts if scheme == STANDARD else {}  # which are of the corpus's own splits
    for remark in remarks_on(split, facts, shared_between_splits(table, sounds_in(store)[0])):
        shown += f"\n\n{remark}"
    if answers.times_scored > 1:
        shown += f"\n\nThis run has now been scored on {as_line(split)} {answers.times_scored} times."
    return Scores(answers, shown, tuple(files), len(prediction.left_out), prediction.notes)


def _forget_groups(run: Run, split: str) -> None:
    """Removes the figures by group of the scoring before, which would stand beside figures that are not theirs."""
    metrics = run.path / f"metrics-{report.for_a_file(split)}.json"
    try:
        column = json.loads(metrics.read_bytes())["by"]["column"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # there are none, or they are nobody's any more
    if isinstance(column, str):
        (run.path / groups.file_for(column, split)).unlink(missing_ok=True)


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


def network_of(run: Run) -> str:
    """The name of the network that it trained."""
    return run.settings.model.network


def scored_file(run: Run, split: str) -> Path:
    """Where a run's answers on a split are kept."""
    return run.path / f"scored-{report.for_a_file(split)}.json"


def scores_of(
    run: Run, store_path: Path, split: str, track: Track = silent, say: Callable[[str], None] = print
) -> scored.Scored:
    """A run's answers on a split, without scoring it again if it was, unless what it was scored on has changed."""
    if store_path.exists():
        split = split_named(split, split_names(open_store(store_path), run.settings.train.scheme))
    path = scored_file(run, split)
    if path.exists():
        kept = scored.load(path)
        changes = _changes_since_scored(run, store_path, split)
        if not changes:
            times = run.times_scored.get(split, kept.times_scored)
            scheme = run.settings.train.scheme
            dataset = kept.dataset or (open_store(store_path).dataset if store_path.exists() else "")
            kept = dataclasses.replace(
                kept, times_scored=times, scheme=scheme, network=network_of(run), dataset=dataset
            )
            return _with_costs(run, kept)
        say(f"{run.name} is scored on {split} again, where since then has changed: {'; '.join(changes)}")
    made = score_run(run, store_path, split, track=track)
    for note in made.notes:
        say(note)
    return _with_costs(run, made.scored)


def _with_costs(run: Run, answers: scored.Scored) -> scored.Scored:
    """The answers with what their run knows of its size and pace."""
    return dataclasses.replace(answers, parameters=run.parameters, epoch_seconds=run.epoch_seconds)


def _changes_since_scored(run: Run, store_path: Path, split: str) -> list[str]:
    """What of the rows that a run was scored on is no longer as it was; nothing where that cannot be known."""
    before = run.scored_rows(split)
    if before is None or not store_path.exists():
        return []
    store = open_store(store_path)
    tasks = [task for task in store.tasks if task.name in {own.name for own in before.tasks}]
    try:
        features = matching_features(store, before.features, before.specs)
        config = run.settings.train
        now = recordings_of(store, split, features, config.skip_missing, tasks=tasks, scheme=config.scheme)
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
