"""What one run answered on one split, kept, so that a table can be made again without scoring again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import MsmtError, RunError
from ..features.durable import write_whole
from ..features.schemes import STANDARD
from ..features.tasks import Task
from .metrics import check_finite, has_label, with_coarser

_FORMAT = "msmt-scored"
_FORMAT_VERSION = 1
_OF_LATER_VERSIONS = ("segments", "values", "scheme", "network", "dataset")  # files of earlier ones do without


@dataclass(frozen=True, eq=False)
class Scored:
    """The answers of one run on one split, as an evaluation left them; n recordings or segments."""

    variant: str
    """Name of the row of a table that the run belongs to."""

    seed: int
    """Seed that the run was trained with."""

    run: str
    """Name of the run."""

    split: str
    """What was scored, such as ``test``."""

    recording_ids: tuple[str, ...]
    """(n,) the recording of each item."""

    segment_ids: tuple[str, ...] | None
    """(n,) the items themselves, where the tasks are ones of segments."""

    tasks: tuple[Task, ...]
    """Tasks that have labels and predictions, coarser ones that follow from a finer one included."""

    labels: Mapping[str, np.ndarray]
    """(n,) class index or value of each task; -1 or NaN where there is none."""

    predictions: Mapping[str, np.ndarray]
    """(n,) class index or value of each task."""

    store: str
    """Path of the store that was read."""

    fingerprint: str
    """The store's fingerprint."""

    command: str
    """The command that trains and scores the run again."""

    times_scored: int
    """How often this run has been scored on this split."""

    paper: str = ""
    """Name of the published row to show beside it; empty for none."""

    chance: Mapping[str, float] = field(default_factory=dict)
    """The training split's most frequent class, or mean value, of each task; without tasks of which it is not known."""

    speakers: tuple[str, ...] | None = None
    """(n,) who speaks in each item's recording, as ``units.speakers_of`` says it; None in files of earlier versions."""

    segments: str = ""
    """Hash of which segments of which recordings were read; empty in files of versions that did not keep it."""

    values: Mapping[str, str] = field(default_factory=dict)
    """By the fingerprint of each feature's spec, a hash of its values for these segments."""

    scheme: str = STANDARD
    """The way of splitting that ``split`` is of, such as ``fold3``; of a pooled result, what its folds are called."""

    network: str = ""
    """Name of the network that answered; empty where it is not known."""

    dataset: str = ""
    """What the store was made of, such as ``meld``; empty where it is not known."""

    parameters: int | None = None
    """Weights that were trained; None where it is not known. Its run knows it, and no file of answers."""

    epoch_seconds: float | None = None
    """What the steps of an epoch took, the median over its epochs; as ``parameters``."""

    parts: tuple[Scored, ...] = ()
    """The answers in each fold that these are pooled of, see folds.py; empty for the answers of one run."""

    @property
    def items(self) -> tuple[str, ...]:
        """(n,) what tells the items apart: segments where the tasks are ones of segments, else recordings."""
        return self.recording_ids if self.segment_ids is None else self.segment_ids


def scored_from(
    variant: str,
    seed: int,
    run: str,
    split: str,
    tasks: Sequence[Task],
    labels: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    recording_ids: Sequence[str],
    segment_ids: Sequence[str] | None,
    store: str,
    fingerprint: str,
    command: str,
    times_scored: int,
    paper: str = "",
    chance: Mapping[str, float] | None = None,
    speakers: Sequence[str] | None = None,
    segments: str = "",
    values: Mapping[str, str] | None = None,
    scheme: str = STANDARD,
    network: str = "",
    dataset: str = "",
) -> Scored:
    """What to keep of a model's outputs; ``tasks``, ``labels``, ``outputs`` and ``chance`` as for ``metrics.evaluate``.

    Tasks without any label on this split are left out. Raises RunError when an output is not a number.
    """
    check_finite(outputs)
    answers = {
        name: _exact(prediction.values)
        for name, prediction in with_coarser(tasks, outputs).items()
        if has_label(_named(tasks, name), np.asarray(labels[name])).any()
    }
    return Scored(
        variant=variant,
        seed=int(seed),
        run=run,
        split=split,
        recording_ids=tuple(map(str, recording_ids)),
        segment_ids=None if segment_ids is None else tuple(map(str, segment_ids)),
        tasks=tuple(task for task in tasks if task.name in answers),
        labels={name: _exact(labels[name]) for name in answers},
        predictions=answers,
        store=str(store),
        fingerprint=fingerprint,
        command=command,
        times_scored=int(times_scored),
        paper=paper,
        chance={name: answer for name, answer in (chance or {}).items() if name in answers},
        speakers=None if speakers is None else tuple(map(str, speakers)),
        segments=segments,
        values=dict(values or {}),
        scheme=scheme,
        network=network,
        dataset=dataset,
    )


def save(scored: Scored, path: Path) -> None:
    """Write it as strict JSON, whole or not at all."""
    document = {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "variant": scored.variant,
        "seed": scored.seed,
        "run": scored.run,
        "split": scored.split,
        "store": scored.store,
        "fingerprint": scored.fingerprint,
        "command": scored.command,
        "times_scored": scored.times_scored,
        "paper": scored.paper,
        "chance": dict(scored.chance),
        "speakers": None if scored.speakers is None else list(scored.speakers),
        "segments": scored.segments,
        "values": dict(scored.values),
        "scheme": scored.scheme,
        "network": scored.network,
        "dataset": scored.dataset,
        "tasks": [task.to_json() for task in scored.tasks],
        "recording_ids": list(scored.recording_ids),
        "segment_ids": None if scored.segment_ids is None else list(scored.segment_ids),
        "labels": {name: _plain_numbers(values) for name, values in scored.labels.items()},
        "predictions": {name: _plain_numbers(values) for name, values in scored.predictions.items()},
    }
    text = json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(Path(path), [text.encode()])


def load(path: Path) -> Scored:
    """What ``save`` has written. Raises RunError when the file is missing, damaged, or of another version."""
    try:
        fields = json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise RunError(f"{path} is not there: score the run again") from None
    except ValueError as error:
        raise RunError(f"{path} is not whole JSON ({error}): score the run again") from error
    if not isinstance(fields, dict) or (fields.get("format"), fields.get("format_version")) != (
        _FORMAT,
        _FORMAT_VERSION,
    ):
        raise RunError(f"{path} does not hold scores of this version of msmt: score the run again")
    try:
        tasks = tuple(Task.from_json(task) for task in fields["tasks"])
        speakers = fields.get("speakers")  # neither this nor chance is in files of earlier versions
        kinds = {task.name: np.float64 if task.is_value else np.int64 for task in tasks}
        return Scored(
            **{name: fields[name] for name in ("variant", "seed", "run", "split", "store", "fingerprint", "command")},
            **{name: fields[name] for name in ("times_scored", "paper")},
            **{name: fields[name] for name in _OF_LATER_VERSIONS if name in fields},
            tasks=tasks,
            recording_ids=tuple(fields["recording_ids"]),
            segment_ids=None if fields["segment_ids"] is None else tuple(fields["segment_ids"]),
            chance=dict(fields.get("chance") or {}),
            speakers=None if speakers is None else tuple(speakers),
            labels={name: np.array(fields["labels"][name], kind) for name, kind in kinds.items()},
            predictions={name: np.array(fields["predictions"][name], kind) for name, kind in kinds.items()},
        )
    except (KeyError, TypeError, ValueError, MsmtError) as error:
        raise RunError(f"{path} is damaged ({error!r}): score the run again") from error


def _named(tasks: Sequence[Task], name: str) -> Task:
    return next(task for task in tasks if task.name == name)


def _exact(values: np.ndarray) -> np.ndarray:
    """As int64 or float64, which JSON gives back bit for bit."""
    values = np.asarray(values)
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)


def _plain_numbers(values: np.ndarray) -> list:
    """JSON has no NaN, so a missing value is null."""
    return [None if number != number else number for number in values.tolist()]
