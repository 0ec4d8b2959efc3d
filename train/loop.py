"""The training loop: one variant, one seed, one run directory."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..errors import RunError, SettingError
from ..features.tasks import Task
from ..progress import Advance, Track, silent
from . import runs
from .config import ModelConfig, TrainConfig
from .data import (
    Recordings,
    check_learnable,
    choose_features,
    choose_tasks,
    label_tensors,
    read_ahead,
    read_batch,
    recordings_of,
    training_steps,
    with_labels,
)
from .devices import arithmetic, choose_device, describe, reproducible
from .model import build
from .objective import Objective, balanced_weights
from .predict import answers, infer

Score = Callable[[Sequence[Task], Mapping[str, np.ndarray], Mapping[str, np.ndarray]], dict[str, float]]

RUNNING, FINISHED, STOPPED_EARLY, INTERRUPTED = "running", "finished", "stopped early", "interrupted"
_OF_VALUES = ("mae", "corr")  # figures of tasks with real values; all others but loss are of tasks with classes
_LOWER_IS_BETTER = ("mae", "loss")


@dataclass(frozen=True)
class Trained:
    """What became of a run."""

    run: runs.Run
    """Its directory."""

    status: str
    """``finished``, ``stopped early`` or ``interrupted``."""

    epochs: int
    """Epochs it went through."""

    best_epoch: int | None
    """The epoch whose weights were kept; None when none was finished."""

    select: str
    """The validation figure that picked it."""

    best: Mapping[str, object]
    """The line of metrics.jsonl of that epoch; empty when none was finished."""

    left_out: pd.DataFrame
    """Segments of either split that had no features: segment_id, recording_id, split, reason."""


@dataclass(frozen=True)
class Progress:
    """How far a run has come: with weights and optimizer, all that resuming needs."""

    status: str = RUNNING
    """``running``, or how it ended."""

    epoch: int = 0
    """Epochs that are done. The schedule, the order of recordings and the random numbers of the next follow from it."""

    best_epoch: int | None = None
    """The best of them."""

    best_rank: tuple[float, float] = (-math.inf, -math.inf)
    """Its selected figure and its validation loss, both signed so that more is better."""

    lines: tuple[dict, ...] = ()
    """A line of metrics.jsonl per epoch."""


@dataclass(frozen=True)
class Material:
    """What a run learns from and is judged by."""

    learning: Recordings
    """The training split."""

    learnt: np.ndarray
    """Positions of its recordings that have a label."""

    validation: Recordings
    """The validation split."""

    objective: Objective
    """What is minimised."""

    select: str
    """The validation figure that picks the best epoch."""

    @property
    def left_out(self) -> pd.DataFrame:
        """Segments of either split that have no features."""
        return pd.concat([self.learning.left_out, self.validation.left_out], ignore_index=True)


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
    """Trains one variant on the store's training split and keeps the epoch that does best on validation.

    ``resume`` names a run to go on with: its settings hold, and the two configs must be None or equal to them.
    ``score`` turns labels and outputs of the validation split into figures called ``task/figure``. ``command`` is
    recorded; by default the command line. Ctrl-C ends training with the files in order.

    Raises StoreError, SettingError or RunError before anything is written when the store, the settings or the run to
    resume will not do, and RunError when the loss is no longer a number.
    """
    resumed = None if resume is None else runs.resolve(runs_dir, resume)
    if resumed is None:
        settings = _settings_for(store, model_config or ModelConfig(), train_config or TrainConfig())
    else:
        settings = resumed.settings
        _check_same_settings(resumed, settings, model_config, train_config)
        resumed.check_store(store)
    config, tasks = settings.train, settings.tasks
    device = choose_device(config.device)
    material = _material_for(store, settings)

    with reproducible(device, config.seed):
        model = build(settings.model, tasks, settings.specs).to(device)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        if resumed is None:
            details = runs.environment(store, config.seed, describe(device), command)
            run, progress = runs.create(runs_dir, settings, details, material.left_out), Progress()
        else:
            run, progress = resumed, _load(resumed, device, model, optimizer)
            run.save_metrics(progress.lines)
            if progress.status != RUNNING:
                say(f"run {run.name} is done ({progress.status} after epoch {progress.epoch}): nothing to resume")
                return _result(run, progress, material)

        try:
            for line in _announcement(run, material, model, device):
                say(line)
            with _tensorboard(run, first_epoch=progress.epoch + 1) as board:
                while progress.status == RUNNING:
                    epoch, started = progress.epoch + 1, time.monotonic()
                    torch.manual_seed(_seed_of(config.seed, epoch))
                    total = len(material.learnt) + len(material.validation)
                    with track(f"epoch {epoch}", total=total, unit="recordings") as advance:
                        train_loss = _learn(model, optimizer, material, config, epoch, device, advance)
                        logits = infer(model, material.validation, config, device, advance)
                    val_loss = _validation_loss(material, logits, epoch)
                    figures = score(store.tasks, material.validation.labels, answers(tasks, logits))

                    rank = (_selected(figures, material.select, val_loss), -val_loss)
                    is_best = progress.best_epoch is None or rank > progress.best_rank
                    line = {
                        "epoch": epoch,
                        "train_loss": train_loss,
                        "val_loss": val_loss,
                        "select": material.select,
                        "selected": _finite(-rank[0] if material.select in _LOWER_IS_BETTER else rank[0]),
                        "best": is_best,
                        "learning_rate": optimizer.param_groups[0]["lr"],
                        "seconds": round(time.monotonic() - started, 3),
                        **{f"val/{name}": _finite(figure) for name, figure in figures.items()},
                    }
                    now = Progress(
                        epoch=epoch,
                        best_epoch=epoch if is_best else progress.best_epoch,
                        best_rank=rank if is_best else progress.best_rank,
                        lines=(*progress.lines, line),
                    )
                    now = dataclasses.replace(now, status=_status(now, config))

                    if is_best:
                        run.save_best(model.state_dict(), epoch)
                    _write(board, line)
                    _save(run, now, model, optimizer)
                    progress = now
                    run.save_metrics(progress.lines)
                    say(_in_words(line, config.epochs))
        except KeyboardInterrupt:
            say(f"interrupted, {progress.epoch} of {config.epochs} epochs are done: {run.how_to_resume}")
            return _result(run, dataclasses.replace(progress, status=INTERRUPTED), material)

    if progress.status == STOPPED_EARLY:
        say(f"stopped early: epoch {progress.best_epoch} is still the best after {config.patience} more")
    return _result(run, progress, material)


def learning_rate_at(step: int, steps: int, config: TrainConfig) -> float:
    """Learning rate of optimizer step ``step`` (from 0) of ``steps``."""
    warmup = round(config.warmup * steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    done = (step - warmup) / (steps - warmup)
    share = {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "constant": 1.0}[config.schedule]
    return config.learning_rate * share


def _learn(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    material: Material,
    config: TrainConfig,
    epoch: int,
    device: torch.device,
    advance: Advance,
) -> float:
    """One epoch of optimizer steps; returns the mean loss of its recordings."""
    learning, objective = material.learning, material.objective
    steps = training_steps(
        material.learnt, learning.longest, config.seed, epoch, config.batch_recordings, config.accumulation
    )
    groups = [group for step in steps for group in step]
    total_loss = 0.0
    model.train()
    with closing(read_ahead(learning, groups, pin=device.type == "cuda")) as batches:
        for number, step in enumerate(steps):
            members = np.concatenate(step)
            weights = objective.weights(learning.labels_of(members))
            step_loss = torch.zeros((), device=device)
            for _ in step:
                batch = next(batches).to(device)
                with arithmetic(device, config.precision):
                    loss = objective.loss(model(batch.features, batch.counts), batch.labels, weights)
                loss.backward()
                step_loss += loss.detach()
                advance(len(batch.positions))
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm or math.inf)
            if not torch.isfinite(step_loss + norm):
                raise RunError(_why_not_finite(float(step_loss), learning, members, epoch, number + 1, config))
            rate = learning_rate_at((epoch - 1) * len(steps) + number, config.epochs * len(steps), config)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total_loss += float(step_loss) * len(members)
    return total_loss / len(material.learnt)


def _settings_for(store, model_config: ModelConfig, config: TrainConfig) -> runs.Settings:
    features = choose_features(store, model_config.modalities, config.text_feature, config.audio_feature)
    return runs.Settings(
        model=model_config,
        train=config,
        tasks=choose_tasks(store.tasks, config.task_names, model_config.mtl),
        features=features,
        specs={modality: store.specs[name] for modality, name in features.items()},
    )


def _check_same_settings(
    run: runs.Run, settings: runs.Settings, model_config: ModelConfig | None, train_config: TrainConfig | None
) -> None:
    for given, own in ((model_config, settings.model), (train_config, settings.train)):
        for name, value in dataclasses.asdict(given or own).items():
            if value != getattr(own, name):
                raise SettingError(
                    f"run {run.name} goes on with its own settings, {name} {getattr(own, name)!r} and not {value!r}: "
                    f"start a new run to change them"
                )


def _material_for(store, settings: runs.Settings) -> Material:
    config, tasks = settings.train, settings.tasks
    select = _figure_to_select(config.select, tasks)
    learning = recordings_of(store, config.train_split, settings.features, config.skip_missing)
    validation = recordings_of(store, config.validation_split, settings.features, config.skip_missing)
    check_learnable(learning, tasks)
    judged = [task for task in tasks if select == "loss" or task.is_value == (select in _OF_VALUES)]
    if not len(with_labels(validation, judged)):
        raise SettingError(
            f"split {validation.split} of {store.path} has no label to select an epoch by: choose another "
            f"--validation-split"
        )
    balanced = {}
    if config.class_weights == "balanced":
        kinds = [task for task in tasks if not task.is_value]
        balanced = {task.name: balanced_weights(learning.labels[task.name], len(task.classes)) for task in kinds}
    return Material(learning, with_labels(learning, tasks), validation, Objective(tasks, balanced), select)


def _figure_to_select(select: str, tasks: Sequence[Task]) -> str:
    """The figure behind one choice of ``TrainConfig.select``. Raises SettingError if no task has it."""
    values = [task for task in tasks if task.is_value]
    if select == "auto":
        return "mae" if len(values) == len(tasks) else "accuracy"
    if select != "loss" and len(values) == (0 if select in _OF_VALUES else len(tasks)):
        kind = "classes" if select in _OF_VALUES else "real values"
        raise SettingError(f"select cannot be {select}, for all tasks have {kind}: choose --select auto or loss")
    return select


def _selected(figures: Mapping[str, float], select: str, val_loss: float) -> float:
    """The selected figure, averaged over tasks and signed so that more is better; -inf where it is not a number."""
    values = [val_loss]
    if select != "loss":
        values = [value for name, value in figures.items() if name.rpartition("/")[2] == select]
    values = [value for value in values if math.isfinite(value)]
    if not values:
        return -math.inf
    return float(np.mean(values)) * (-1 if select in _LOWER_IS_BETTER else 1)


def _validation_loss(material: Material, logits: Mapping[str, torch.Tensor], epoch: int) -> float:
    labels = material.validation.labels
    loss = float(material.objective.loss(logits, label_tensors(labels), material.objective.weights(labels)))
    if not math.isfinite(loss):
        everyone = np.arange(len(material.validation))
        culprit = _segment_not_finite(material.validation, everyone) or "lower --learning-rate"
        raise RunError(f"the loss on split {material.validation.split} is {loss} after epoch {epoch}: {culprit}")
    return loss


def _status(progress: Progress, config: TrainConfig) -> str:
    if progress.epoch == config.epochs:
        return FINISHED
    if config.patience and progress.epoch - progress.best_epoch >= config.patience:
        return STOPPED_EARLY
    return RUNNING


def _seed_of(seed: int, epoch: int) -> int:
    """The seed of one epoch's random numbers, so that a resumed run draws those of an uninterrupted one."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1)


def _save(run: runs.Run, progress: Progress, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Writes ``last.pt``. A run that is done keeps only its progress: its weights are in ``best.safetensors``."""
    state = {"progress": {**dataclasses.asdict(progress), "lines": list(progress.lines)}}
    if progress.status == RUNNING:
        state |= {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    run.save_last(state)


def _load(run: runs.Run, device: torch.device, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Brings network and optimizer to where the run was left: where it began, if that was in its first epoch."""
    if run.is_untouched:
        return Progress()
    state = run.load_last(device)
    try:
        progress = Progress(**{**state["progress"], "lines": tuple(state["progress"]["lines"])})
        if progress.status == RUNNING:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(f"run {run.name}: last.pt does not fit config.json, train again") from error
    return progress


def _result(run: runs.Run, progress: Progress, material: Material) -> Trained:
    return Trained(
        run=run,
        status=progress.status,
        epochs=progress.epoch,
        best_epoch=progress.best_epoch,
        select=material.select,
        best=progress.lines[progress.best_epoch - 1] if progress.best_epoch else {},
        left_out=material.left_out,
    )


@contextmanager
def _tensorboard(run: runs.Run, first_epoch: int) -> Iterator:
    from torch.utils.tensorboard import SummaryWriter

    # Epochs that were written but not saved before an interruption are written again: hide the old ones.
    with SummaryWriter(str(run.path), purge_step=first_epoch if first_epoch > 1 else None) as board:
        yield board


def _write(board, line: Mapping[str, object]) -> None:
    """Curves of one epoch, grouped by figure, such as ``accuracy/five`` beside ``accuracy/two``."""
    epoch = line["epoch"]
    board.add_scalar("loss/train", line["train_loss"], epoch)
    board.add_scalar("loss/validation", line["val_loss"], epoch)
    board.add_scalar("learning rate", line["learning_rate"], epoch)
    for name, figure in line.items():
        if name.startswith("val/") and figure is not None:
            task, _, kind = name.removeprefix("val/").rpartition("/")
            board.add_scalar(f"{kind}/{task}", figure, epoch)
    board.flush()


def _announcement(run: runs.Run, material: Material, model: torch.nn.Module, device: torch.device) -> Iterator[str]:
    learning, validation = material.learning, material.validation
    weights = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    yield f"run {run.path}: {weights:.1f} million weights on {describe(device)}"
    yield (
        f"learns from {len(learning):,} recordings ({learning.segments:,} segments) of split {learning.split}, "
        f"is judged by {len(validation):,} ({validation.segments:,} segments) of split {validation.split}"
    )
    if len(material.left_out):
        yield f"left out: {len(material.left_out)} segments without features, see {run.path / 'left-out.csv'}"
    if len(material.learnt) < len(learning):
        yield f"left out: {len(learning) - len(material.learnt)} recordings of split {learning.split} without a label"


def _in_words(line: Mapping[str, object], epochs: int) -> str:
    selected = "not a number" if line["selected"] is None else f"{line['selected']:.4f}"
    return (
        f"epoch {line['epoch']}/{epochs}: loss {line['train_loss']:.4f}, validation loss {line['val_loss']:.4f}, "
        f"{line['select']} {selected}, {line['seconds']:.0f} s{', best so far' if line['best'] else ''}"
    )


def _why_not_finite(
    loss: float, learning: Recordings, members: np.ndarray, epoch: int, step: int, config: TrainConfig
) -> str:
    culprit = _segment_not_finite(learning, members)
    culprit = culprit or f"lower --learning-rate (now {config.learning_rate:g}), or raise --warmup"
    what = "the gradient is not finite" if math.isfinite(loss) else f"the loss is {loss}"
    return f"{what} in epoch {epoch}, step {step}: {culprit}"


def _segment_not_finite(recordings: Recordings, positions: np.ndarray) -> str:
    """Names the first segment whose features hold NaN or infinity, and the remedy; empty if none does."""
    for position in positions:
        batch = read_batch(recordings, np.array([position]))
        for modality, rows in batch.features.items():
            for segment, values in zip(recordings.rows[position], rows.values.split(rows.lengths), strict=True):
                if not torch.isfinite(values).all():
                    name = recordings.store.segments["segment_id"].iloc[segment]
                    feature = recordings.features[modality]
                    return f"the {feature} features of segment {name} are not all numbers, extract them again"
    return ""


def _finite(figure: float) -> float | None:
    return float(figure) if math.isfinite(figure) else None  # JSON has no NaN
