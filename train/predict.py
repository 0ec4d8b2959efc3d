"""What a network says about recordings: while it is validated, and from a run that is finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..errors import RunError, StoreError
from ..features.schemes import STANDARD, schemes_in
from ..features.tasks import NO_LABEL, Task
from ..progress import Track, silent
from .assembly import answer, build
from .binding import check_slots
from .config import TrainConfig
from .data import (
    Recordings,
    answered_tasks,
    groups_of_similar_length,
    matching_features,
    measuring_feature,
    recordings_of,
    splits_by,
)
from .dependence import RowsRead, rows_read, task_differences
from .devices import arithmetic, choose_device
from .models.contract import Trainable
from .processes import Processes
from .runs import Run, Settings
from .stream import Stream


EVERYTHING = ""  # in place of a split's name: the segments of all of them


@dataclass(frozen=True)
class Prediction:
    """A run's answers for one split. n counts recordings, or segments if the run's tasks belong to segments."""

    run: str
    """Name of the run."""

    split: str
    """Name of the split; empty for all of them."""

    recording_ids: tuple[str, ...]
    """(n,) the recording of each answer."""

    segment_ids: tuple[str, ...] | None
    """(n,) the segment of each answer; None when recordings are classified."""

    tasks: tuple[Task, ...]
    """Tasks that there are answers for, trained or coarser. Classes that only the store has come after the run's."""

    labels: dict[str, np.ndarray]
    """Per task (n,): class index or value; -1 or NaN where there is none."""

    outputs: dict[str, np.ndarray]
    """Per trained task (n, classes) probabilities, or (n, 1) values."""

    left_out: pd.DataFrame
    """Segments that had no features: segment_id, recording_id, split, reason."""

    rows: RowsRead
    """The rows that were read."""

    splits: tuple[str, ...]
    """Splits that they are of."""

    is_own_store: bool
    """Whether the store holds what the run was trained on."""

    notes: tuple[str, ...]
    """What else a reader of the scores has to know, a sentence each."""


def predict(
    run_dir: Path | str,
    store,
    split: str,
    track: Track = silent,
    *,
    device: str | None = None,
    skip_missing: bool | None = None,
    any_store: bool = False,
) -> Prediction:
    """Answers of the run's best weights for one split of the store that it was trained on, which may have grown since.

    ``any_store`` allows one that it was not trained on, with labels or without, as long as the features were made in
    the same way. ``device`` and ``skip_missing`` default to the run's settings. Raises RunError when the run is incomplete,
    or the store is another one or means other things by its tasks, StoreError when the split has no segments or lacks
    features.
    """
    run = Run(Path(run_dir).resolve())
    settings = run.settings
    weights = run.load_best()
    learnt = run.learnt
    if learnt is None and not any_store and not run.is_of_exactly(store):
        raise run.not_its_store(store)
    features = matching_features(store, {name: name for name in settings.features}, settings.specs)
    is_own_store = run.is_of_exactly(store) if learnt is None else learnt.is_in(store)
    if not any_store and not is_own_store:
        raise run.not_its_store(store)
    tasks = learnt.tasks if learnt else answered_tasks(store.tasks, settings.tasks) or settings.tasks
    theirs = {task.name: _like(task, store.tasks, any_store) for task in tasks}
    if not any_store:
        _check_tasks(run, store, tasks, theirs)
    skip_missing = settings.train.skip_missing if skip_missing is None else skip_missing
    there = [task for task in theirs.values() if task]
    per_segment = tasks[0].level == "segment"
    measured_by = features[measuring_feature(settings.specs)]  # by its own: the store may be given others
    scheme = scheme_for(run, store, is_own_store)
    recordings = recordings_of(
        store,
        split,
        features,
        skip_missing,
        tasks=there,
        per_segment=per_segment,
        measured_by=measured_by,
        scheme=scheme,
    )
    slots = in_names_of(settings.slots, features)
    check_slots(store, settings.model, slots, np.concatenate(recordings.rows))
    target = choose_device(device or settings.train.device)
    model = with_weights(run, settings, weights)
    config = replace(settings.train, cache_in="none")  # everything is read once
    stream = Stream(store, features, [recordings], target, config)
    with stream, track(f"predict {split or 'all splits'}", total=len(recordings), unit="recordings") as advance:
        [logits] = infer([model.to(target)], recordings, stream, [config], target, Processes(count=1), advance)
    rows = rows_read(recordings, there)
    known = _in_classes_of_the_run(tasks, theirs, recordings, answers(settings.tasks, logits))
    splits = tuple(dict.fromkeys(splits_by(store, scheme).iloc[np.concatenate(recordings.rows)]))
    notes = [*known.notes, *(_what_changed(run, store, features) if is_own_store and learnt and not any_store else ())]
    if any_store and learnt and (count := learnt.shared_with(rows)):
        notes.append(
            f"{count:,} of {recordings.segments:,} segments have the very features of segments that run {run.name} "
            f"learnt from: figures that include them say little"
        )
    return Prediction(
        run=run.name,
        split=split,
        recording_ids=recordings.recording_ids,
        segment_ids=recordings.segment_ids if recordings.per_segment else None,
        tasks=known.tasks,
        labels=known.labels,
        outputs=known.outputs,
        left_out=recordings.left_out,
        rows=rows,
        splits=splits,
        is_own_store=is_own_store,
        notes=tuple(notes),
    )


def with_weights(run: Run, settings: Settings, weights: Mapping[str, torch.Tensor]) -> Trainable:
    """The network of a run with these weights. Raises RunError where they are not its own."""
    model = build(settings)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(f"run {run.name}: best.safetensors does not fit config.json, train again") from error
    return model


def in_names_of(slots: Mapping[str, Sequence[str]], features: Mapping[str, str]) -> dict[str, list[str]]:
    """The features of each slot as a store calls them, by ``features``."""
    return {slot: [features[name] for name in names] for slot, names in slots.items()}


def scheme_for(run: Run, store, is_own_store: bool) -> str:
    """The scheme that splits are of: the run's own where it is, or must be; elsewhere that of the corpus."""
    scheme = run.settings.train.scheme
    return scheme if is_own_store or scheme in schemes_in(store.segments) else STANDARD


def _like(task: Task, there: Sequence[Task], any_name: bool) -> Task | None:
    """The store's task that labels can be had from: of the same name, or else the only one of the same classes."""
    fitting = [other for other in there if (other.is_value, other.level) == (task.is_value, task.level)]
    named = [other for other in fitting if other.name == task.name]
    alike = [other for other in fitting if any_name and other.classes and set(other.classes) <= set(task.classes)]
    if not named and len(alike) == 1 and not task.coarsens:
        return alike[0]
    return named[0] if named else None


def _check_tasks(run: Run, store, tasks: Sequence[Task], theirs: Mapping[str, Task | None]) -> None:
    """The run's own store may have been given classes, but must not have lost any, nor mean other things by tasks."""
    for task in tasks:
        other = theirs[task.name]
        if other and (task == other or not task.coarsens and set(task.classes) <= set(other.classes)):
            continue
        now = other or next((each for each in store.tasks if each.name == task.name), None)
        raise RunError(
            f"{store.path}: {task_differences(task, now)[0]} as run {run.name} knows it: train again with msmt train, "
            f"or score it as other data with msmt predict"
        )


@dataclass(frozen=True)
class _Known:
    """Labels and outputs in terms of the run's tasks."""

    tasks: tuple[Task, ...]
    labels: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    notes: tuple[str, ...]


def _in_classes_of_the_run(
    tasks: Sequence[Task],
    theirs: Mapping[str, Task | None],
    recordings: Recordings,
    outputs: Mapping[str, np.ndarray],
) -> _Known:
    """The store's labels under the run's class numbers; classes that the run does not know follow, never predicted."""
    known, labels, notes, extended = [], {}, [], set()
    outputs = dict(outputs)
    for task in tasks:
        other, has_head = theirs[task.name], task.name in outputs
        if task.coarsens in extended and not has_head:
            continue  # where its new classes belong in the coarser task is not known
        if other is None:
            labels[task.name] = np.full(recordings.answers, np.nan if task.is_value else NO_LABEL)
        elif task.is_value:
            labels[task.name] = recordings.labels[other.name]
        else:
            given = recordings.labels[other.name]
            occurring = [name for index, name in enumerate(other.classes) if (given == index).any()]
            foreign = [name for name in occurring if name not in task.classes]
            if foreign and not has_head:
                continue
            if foreign:
                extended.add(task.name)
                task = replace(task, classes=(*task.classes, *foreign), coarsens=None, members=())
                outputs[task.name] = np.pad(outputs[task.name], ((0, 0), (0, len(foreign))))
                count = int(np.isin(given, [other.classes.index(name) for name in foreign]).sum())
                of = f"{count:,} {task.level}s are" if count != 1 else f"1 {task.level} is"
                notes.append(
                    f"task {task.name}: {of} of classes that the run was never shown ({', '.join(foreign)}), which "
                    f"cannot be right"
                )
            home = [task.classes.index(name) if name in task.classes else NO_LABEL for name in other.classes]
            labels[task.name] = np.array([*home, NO_LABEL])[given]  # -1, no label, is the last
        known.append(task)
    return _Known(tuple(known), labels, outputs, tuple(notes))


def _what_changed(run: Run, store, features: Mapping[str, str]) -> list[str]:
    """A sentence if what the run learnt from and was judged by is not in the store as it was: its answers stay."""
    changes = []
    for kept in (run.learnt, run.judged):
        tasks = [task for task in store.tasks if task.name in {own.name for own in kept.tasks}]
        try:
            now = recordings_of(store, kept.split, features, True, kept.views, tasks, scheme=run.settings.train.scheme)
        except StoreError as error:
            changes.append(str(error))
        else:
            changes += kept.differences(rows_read(now, tasks), store)
    return [f"since run {run.name} was trained has changed: {'; '.join(changes)}"] if changes else []


def infer(
    models: Sequence[Trainable],
    recordings: Recordings,
    stream: Stream,
    configs: Sequence[TrainConfig],
    device: torch.device,
    processes: Processes,
    advance=lambda count: None,
) -> list[dict[str, torch.Tensor]]:
    """For each model, per trained task (n, outputs) float32 logits or values on the CPU, as ``recordings.labels`` lie.

    All models answer to one reading of the recordings.
    """
    if not models:
        return []
    groups = groups_of_similar_length(np.arange(len(recordings)), recordings.longest, configs[0].batch_recordings)
    own = processes.share(groups)
    found: list[tuple[np.ndarray, list[dict[str, np.ndarray]]]] = []
    for model in models:
        model.eval()
    with torch.no_grad():
        batches = stream.batches(recordings, [group for _, group in own])
        for (number, _), batch in zip(own, batches, strict=True):
            outputs = []
            for model, config in zip(models, configs, strict=True):
                with arithmetic(device, config.precision):
                    answered = answer(model, batch)
                outputs.append({task: output.float().cpu().numpy() for task, output in answered.items()})
            found.append((recordings.labelled(batch.positions), outputs))
            advance(sum(map(len, groups[number : number + processes.count])))  # the others do theirs meanwhile
    results: list[dict[str, torch.Tensor]] = [{} for _ in models]
    for where, outputs in (part for parts in processes.gather(found) for part in parts):
        for result, answered in zip(results, outputs, strict=True):
            for task, output in answered.items():
                if task not in result:
                    result[task] = torch.empty(recordings.answers, output.shape[1])
                result[task][where] = torch.from_numpy(output)
    return results


def answers(tasks: Sequence[Task], logits: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Logits -> probabilities; real values stay as they are."""
    return {
        task.name: (logits[task.name] if task.is_value else logits[task.name].softmax(dim=1)).numpy() for task in tasks
    }
