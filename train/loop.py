"""The training loop: one variant, one seed, one run directory."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..errors import RunError, SettingError
from ..features.tasks import Task
from ..progress import Track, silent
from . import runs
from .config import ModelConfig, TrainConfig
from .data import (
    Recordings,
    check_learnable,
    choose_features,
    choose_tasks,
    read_ahead,
    read_batch,
    recordings_of,
    training_steps,
    with_labels,
)
from .devices import arithmetic, choose_device, describe, reproducible
from .model import MsmtFn, build
from .objective import Objective, balanced_weights
from .predict import answers, infer

Score = Callable[[Sequence[Task], Mapping[str, np.ndarray], Mapping[str, np.ndarray]], dict[str, float]]

FINISHED, STOPPED_EARLY, INTERRUPTED = "finished", "stopped early", "interrupted"
_RUNNING = "running"
_OF_VALUES = ("mae", "corr")  # figures of tasks with real values; the others are of tasks with classes
_LOWER_IS_BETTER = ("mae", "loss")


@dataclass(frozen=True)
class Trained:
    """What became of a run."""

    run: runs.Run
    """Its directory."""

    status: str
    """``finished``, ``stopped early`` or ``interrupted``."""

    epochs: int
    """Epochs that it went through."""

    best_epoch: int | None
    """The epoch whose weights were kept; None when none was finished."""

    select: str
    """The validation figure that picked it."""

    best: Mapping[str, float]
    """The line of metrics.jsonl of that epoch; empty when none was finished."""

    left_out: pd.DataFrame
    """Segments of either split that had no features: segment_id, recording_id, split, reason."""


@dataclass
class Progress:
    """How far a run has come; with weights and optimizer, all that resuming needs."""

    status: str = _RUNNING
    """``running``, or how it ended."""

    epoch: int = 0
    """Epochs that are done."""

    best_epoch: int | None = None
    """The best of them."""

    best_rank: list[float] = field(default_factory=lambda: [-math.inf, -math.inf])
    """Its selected figure and its validation loss, both signed so that more is better."""

    lines: list[dict] = field(default_factory=list)
    """A line of metrics.jsonl per epoch."""

    def result(self, run: runs.Run, select: str, left_out: pd.DataFrame, status: str | None = None) -> Trained:
        best = self.lines[self.best_epoch - 1] if self.best_epoch else {}
        return Trained(run, status or self.status, self.epoch, self.best_epoch, select, best, left_out)


def train(
    store,
    model_config: ModelConfig | None,
    train_config: TrainConfig | None,
    runs_dir: Path | str,
    score: Score,
    track: Track = silent,
    resume: Path | str | None = None,
    say: Callable[[str], None] = print,
    command: Sequence[str] | None = None,
) -> Trained:
    """Trains one variant on the store's training split and keeps the epoch that validation likes best.

    ``resume`` names a run to go on with; the settings are then that run's own, and the two configs None or equal to
    them. ``score`` turns labels and outputs of the validation split into named figures. ``command`` is recorded, the
    command line unless told otherwise. Ctrl-C ends training after the files are in order.

    Raises StoreError, SettingError or RunError before anything is written when the store, the settings or the run to
    resume will not do, and RunError when the loss is no longer a number.
    """
    run = None
    if resume is not None:
        run = runs.resolve(runs_dir, resume)
        settings = run.settings
        _check_same_settings(run, settings, model_config, train_config)
        run.check_store(store)
    else:
        settings = _settings_for(store, model_config or ModelConfig(), train_config or TrainConfig())
    config, tasks = settings.train, settings.tasks
    select = _figure_to_select(config.select, tasks)
    device = choose_device(config.device)
    learning = recordings_of(store, config.train_split, settings.features, config.skip_missing)
    validation = recordings_of(store, config.validation_split, settings.features, config.skip_missing)
    left_out = pd.concat([learning.left_out, validation.left_out], ignore_index=True)
    check_learnable(learning, tasks)
    learnt = with_labels(learning, tasks)
    if not len(with_labels(validation, [task for task in tasks if _has_figure(task, select)])):
        raise SettingError(
            f"no recording in split {validation.split} of {store.path} has a label to select by: "
            f"choose another --validation-split"
        )
    objective = Objective(tasks, _class_weights(config.class_weights, learning, tasks))
    steps_per_epoch = math.ceil(len(learnt) / (config.batch_recordings * config.accumulation))

    with reproducible(device, config.seed):
        model = build(settings.model, tasks, settings.specs).to(device)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        progress = Progress()
        if run is None:
            details = runs.environment(store, config.seed, describe(device), command)
            run = runs.create(runs_dir, settings, details, left_out)
            _save(run, progress, model, optimizer)
        else:
            progress = _load(run, device, model, optimizer)
            if progress.status != _RUNNING:
                say(f"run {run.name} is done ({progress.status} after epoch {progress.epoch}): nothing to resume")
                return progress.result(run, select, left_out)
            run.save_metrics(progress.lines)
        weights = sum(parameter.numel() for parameter in model.parameters())
        say(
            f"run {run.path}: {_count(learnt, 'recordings')} of split {learning.split} ({learning.segments:,} segments), "
            f"{_count(validation, 'recordings')} of {validation.split}; {weights / 1e6:.1f} M weights on {describe(device)}"
        )
        if len(left_out):
            say(f"left out: {_count(left_out, 'segments')} without features, listed in {run.path / 'left-out.csv'}")
        if len(learnt) < len(learning):
            say(f"left out: {len(learning) - len(learnt)} recordings of split {learning.split} without a label")

        try:
            with _tensorboard(run, first_epoch=progress.epoch + 1) as board:
                while progress.status == _RUNNING:
                    epoch, started = progress.epoch + 1, time.monotonic()
                    # An epoch's random numbers follow from its number, so that a resumed run draws the same ones.
                    torch.manual_seed(_seed_of(config.seed, epoch))
                    steps = training_steps(
                        learnt, learning.longest, config.seed, epoch, config.batch_recordings, config.accumulation
                    )
                    with track(f"epoch {epoch}", total=len(learnt) + len(validation), unit="recordings") as advance:
                        train_loss = _learn(
                            model, optimizer, objective, learning, steps, epoch, steps_per_epoch, config, device, advance
                        )
                        logits = infer(model, validation, config, device, advance)
                    labels = {task.name: torch.from_numpy(validation.labels[task.name]) for task in tasks}
                    val_loss = float(objective.loss(logits, labels, objective.weights(validation.labels)))
                    figures = score(store.tasks, validation.labels, answers(tasks, logits))
                    selected = _selected(figures, select, val_loss)
                    better = [selected, -val_loss] > progress.best_rank or progress.best_epoch is None
                    line = {
                        "epoch": epoch,
                        "train_loss": train_loss,
                        "val_loss": val_loss,
                        f"val_{select}": val_loss if select == "loss" else _unsigned(selected, select),
                        "best": better,
                        "learning_rate": optimizer.param_groups[0]["lr"],
                        "seconds": round(time.monotonic() - started, 3),
                        **{f"val/{name}": _finite(value) for name, value in figures.items()},
                    }

                    progress.epoch = epoch
                    progress.lines.append(line)
                    if better:
                        progress.best_epoch, progress.best_rank = epoch, [selected, -val_loss]
                        run.save_best(model.state_dict(), epoch)
                    if epoch == config.epochs:
                        progress.status = FINISHED
                    elif config.patience and epoch - progress.best_epoch >= config.patience:
                        progress.status = STOPPED_EARLY
                    _write(board, line)
                    _save(run, progress, model, optimizer)
                    run.save_metrics(progress.lines)
                    say(_in_words(line, select, config.epochs))
        except KeyboardInterrupt:
            # What counts is what is on disk: the last epoch that was saved.
            saved = _progress_of(run.load_last())
            if saved.status == _RUNNING:
                say(f"interrupted after {saved.epoch} epochs: {run.how_to_resume}")
                return saved.result(run, select, left_out, status=INTERRUPTED)
            progress = saved

    if progress.status == STOPPED_EARLY:
        say(f"stopped early: no better epoch since {progress.best_epoch}")
    return progress.result(run, select, left_out)
