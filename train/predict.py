"""What a network says about recordings: while it is validated, and from a run that is finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..errors import RunError
from ..features.tasks import Task
from ..progress import Track, silent
from .config import TrainConfig
from .data import Recordings, groups_of_similar_length, recordings_of
from .devices import arithmetic, choose_device
from .model import MsmtFn, build
from .processes import Processes
from .runs import Run
from .stream import Stream


@dataclass(frozen=True)
class Prediction:
    """A run's answers for one split. n counts recordings, or segments if the store's tasks belong to segments."""

    run: str
    """Name of the run."""

    split: str
    """Name of the split."""

    recording_ids: tuple[str, ...]
    """(n,) the recording of each answer."""

    segment_ids: tuple[str, ...] | None
    """(n,) the segment of each answer; None when recordings are classified."""

    labels: dict[str, np.ndarray]
    """Per task of the store (n,): class index or value; -1 or NaN where there is none."""

    outputs: dict[str, np.ndarray]
    """Per trained task (n, classes) probabilities, or (n, 1) values."""

    left_out: pd.DataFrame
    """Segments that had no features: segment_id, recording_id, split, reason."""


def predict(
    run_dir: Path | str,
    store,
    split: str,
    track: Track = silent,
    *,
    device: str | None = None,
    skip_missing: bool | None = None,
) -> Prediction:
    """Answers of the run's best weights for one split of the store that it was trained on.

    ``device`` and ``skip_missing`` default to the run's settings. Raises RunError when the run is incomplete or the
    store has changed since, StoreError when the split has no segments or lacks features.
    """
    run = Run(Path(run_dir).resolve())
    settings = run.settings
    weights = run.load_best()
    run.check_store(store)
    skip_missing = settings.train.skip_missing if skip_missing is None else skip_missing
    recordings = recordings_of(store, split, settings.features, skip_missing)
    target = choose_device(device or settings.train.device)
    model = build(settings.model, settings.tasks, settings.specs)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(f"run {run.name}: best.safetensors does not fit config.json, train again") from error
    config = replace(settings.train, cache_in="none")  # everything is read once
    stream = Stream(store, settings.features, [recordings], target, config)
    with stream, track(f"predict {split}", total=len(recordings), unit="recordings") as advance:
        [logits] = infer([model.to(target)], recordings, stream, [config], target, Processes(count=1), advance)
    return Prediction(
        run=run.name,
        split=split,
        recording_ids=recordings.recording_ids,
        segment_ids=recordings.segment_ids if recordings.per_segment else None,
        labels=dict(recordings.labels),
        outputs=answers(settings.tasks, logits),
        left_out=recordings.left_out,
    )


def infer(
    models: Sequence[MsmtFn],
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
                    answered = model(batch.features, batch.counts)
                outputs.append({task: output.float().cpu().numpy() for task, output in answered.items()})
            found.append((recordings.labelled(batch.positions), outputs))
            advance(sum(map(len, groups[number : number + processes.count])))  # the others do theirs meanwhile
    results: list[dict[str, torch.Tensor]] = [{} for _ in models]
    for where, outputs in (part for parts in processes.gather(found) for part in parts):
        for result, answered in zip(results, outputs, strict=True):
            for task, output in answered.items():
                if task not in result:
                    result[task] = torch.empty(len(recordings.labels[task]), output.shape[1])
                result[task][where] = torch.from_numpy(output)
    return results


def answers(tasks: Sequence[Task], logits: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Logits -> probabilities; real values stay as they are."""
    return {
        task.name: (logits[task.name] if task.is_value else logits[task.name].softmax(dim=1)).numpy() for task in tasks
    }
