"""One run while it is trained: its network, its optimizer, how far it has come, and what it writes.

What it does depends on its own settings and on the batches alone, so that it comes to the same numbers whether it is
trained by itself or beside others that see the same batches.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..errors import RunError, SettingError, StoreError
from ..features.sharing import shared_in
from ..features.tasks import Task
from ..shown import as_line
from . import runs
from .config import ModelConfig, TrainConfig
from .data import (
    Batch,
    Recordings,
    answered_tasks,
    check_learnable,
    choose_features,
    choose_tasks,
    label_tensors,
    matching_features,
    modalities_of,
    read_batch,
    recordings_of,
    views_of,
    with_labels,
)
from .dependence import RowsRead, rows_read, task_differences
from .devices import arithmetic, describe
from .models.msmt_fn import FeedForward, build
from .objective import Objective, balanced_weights
from .predict import answers
from .processes import Processes

Score = Callable[[Sequence[Task], Mapping[str, np.ndarray], Mapping[str, np.ndarray]], dict[str, float]]

RUNNING, FINISHED, STOPPED_EARLY, INTERRUPTED = "running", "finished", "stopped early", "interrupted"
PRUNED, FAILED = "pruned", "failed"
_OF_VALUES = ("mae", "corr")  # figures of tasks with real values; all others but loss are of tasks with classes
LOWER_IS_BETTER = ("mae", "loss")
# The state of a run is four times its weights. Saving it may take a twentieth of the time, and always a moment.
_SAVING_SHARE, _MOMENT = 0.05, 0.25  # share, seconds
_MUCH_WAITING = 0.03  # share of an epoch's time, above which it is worth a word


@dataclass(frozen=True)
class Trained:
    """What became of a run."""

    run: runs.Run
    """Its directory."""

    status: str
    """``finished``, ``stopped early``, ``interrupted``, ``pruned`` or ``failed``."""

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

    error: str = ""
    """Why it failed, if it did."""


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

    tasks: tuple[Task, ...]
    """Tasks that there are answers for: those with a head, and coarser ones that follow."""

    learnt_rows: RowsRead
    """All that the network learns from, row by row."""

    judged_rows: RowsRead
    """All that its epochs are judged by."""

    @property
    def left_out(self) -> pd.DataFrame:
        """Segments of either split that have no features."""
        return pd.concat([self.learning.left_out, self.validation.left_out], ignore_index=True)


@dataclass(frozen=True)
class Job:
    """One run to train, or to go on with."""

    settings: runs.Settings
    """All that its network is built from."""

    material: Material
    """What it learns from and is judged by."""

    resumed: runs.Run | None = None
    """The run to go on with; None to start one."""

    command: Sequence[str] | None = None
    """What the run records as its command line; None for that of this process."""


class Learner:
    """One run while it is trained."""

    def __init__(
        self,
        store,
        job: Job,
        runs_dir: Path | str,
        device: torch.device,
        processes: Processes,
        say: Callable[[str], None],
        stop: Callable[[dict], bool],
    ) -> None:
        """Builds the network from the run's seed and makes the run's directory, or loads both.

        ``stop`` is asked after each epoch, with its line of metrics.jsonl, whether to end the run there.
        """
        self.settings, self.material, self.config = job.settings, job.material, job.settings.train
        self.store, self.device, self.processes = store, device, processes
        self.say, self._stop, self._board = say, stop, None
        torch.manual_seed(self.config.seed)
        self.model = build(self.settings.model, self.settings.tasks, self.settings.specs).to(device)
        if self.config.compile:
            compile_rows(self.model)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=self.config.learning_rate, weight_decay=self.config.weight_decay, fused=True
        )
        if job.resumed is None:
            created = None
            if processes.is_first:
                details = runs.environment(store, self.config.seed, describe(device), job.command)
                rows = self.material.learnt_rows, self.material.judged_rows
                created = runs.create(runs_dir, self.settings, details, self.material.left_out, *rows).path
            self.run, self.progress = runs.Run(processes.from_first(created)), Progress()
        else:
            self.run, self.progress = job.resumed, _load(job.resumed, device, self.model, self.optimizer)
            if processes.is_first:
                self.run.save_metrics(self.progress.lines)
        self.error = ""
        self.saved = self.progress
        """What resuming would go on from."""
        self._saved_at, self._saving_took = time.monotonic(), 0.0

    @property
    def is_running(self) -> bool:
        """Whether there are epochs to come."""
        return self.progress.status == RUNNING and not self.error

    def begin_epoch(self) -> None:
        self._started = time.monotonic()
        self._total_loss = 0.0
        self.model.train()

    def begin_step(self, members: np.ndarray) -> None:
        """``members`` are the positions of all recordings of the optimizer step."""
        self._weights = self.material.objective.weights(self.material.learning.labels_of(members))
        self._step_loss = torch.zeros((), device=self.device)

    def learn(self, batch: Batch, number: int) -> None:
        """Forward and backward. ``number`` counts the epoch's batches, over all processes."""
        # The random numbers of a batch follow from its number, not from what was drawn before, so that neither
        # other runs, nor other processes, nor an interruption can change them.
        torch.manual_seed(seed_of(self.config.seed, self.progress.epoch + 1, number))
        with arithmetic(self.device, self.config.precision):
            outputs = self.model(batch.features, batch.counts)
            loss = self.material.objective.loss(outputs, batch.labels, self._weights)
        loss.backward()
        self._step_loss += loss.detach()

    def step(self, number: int, steps: int, members: np.ndarray) -> None:
        """The optimizer step ``number`` (from 0) of the epoch's ``steps``. Raises RunError when a number is none."""
        config, epoch = self.config, self.progress.epoch + 1
        step_loss = self.processes.add_up(self._step_loss, self.model.parameters())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm or math.inf)
        if not torch.isfinite(step_loss + norm):
            raise RunError(
                _why_not_finite(float(step_loss), self.material.learning, members, epoch, number + 1, config)
            )
        rate = learning_rate_at((epoch - 1) * steps + number, config.epochs * steps, config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._total_loss += float(step_loss) * len(members)

    def end_epoch(self, logits: Mapping[str, torch.Tensor], score: Score, waited: float) -> None:
        """Judges the epoch by the validation split and writes all that the run keeps of it.

        ``waited`` are the seconds in which no data was there.
        """
        progress, material, config, epoch = self.progress, self.material, self.config, self.progress.epoch + 1
        val_loss = _validation_loss(material, logits, epoch)
        figures = score(material.tasks, material.validation.labels, answers(self.settings.tasks, logits))
        rank = (_selected(figures, material.select, val_loss), -val_loss)
        is_best = progress.best_epoch is None or rank > progress.best_rank
        line = {
            "epoch": epoch,
            "train_loss": self._total_loss / len(material.learnt),
            "val_loss": val_loss,
            "select": material.select,
            "selected": _finite(-rank[0] if material.select in LOWER_IS_BETTER else rank[0]),
            "best": is_best,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds": round(time.monotonic() - self._started, 3),
            "waited_seconds": round(waited, 3),
            **{f"val/{name}": _finite(figure) for name, figure in figures.items()},
        }
        now = Progress(
            epoch=epoch,
            best_epoch=epoch if is_best else progress.best_epoch,
            best_rank=rank if is_best else progress.best_rank,
            lines=(*progress.lines, line),
        )
        now = dataclasses.replace(now, status=_status(now, config))
        if now.status == RUNNING and self.processes.from_first(self._stop(line)):
            now = dataclasses.replace(now, status=PRUNED)
        if self.processes.is_first:
            if is_best:
                self.run.save_best(self.model.state_dict(), epoch)
            if now.status != RUNNING or self._may_save():
                self._save(now)
            _write(self._board, line)
            self.run.save_metrics(now.lines)
        self.progress = now
        self.say(_in_words(line, config.epochs))

    def forget(self) -> None:
        """Give back the memory of gradients; a run that has failed needs none."""
        self.optimizer.zero_grad(set_to_none=True)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While the run's TensorBoard file is open; processes that do not write have none."""
        if not self.processes.is_first:
            yield
            return
        with _tensorboard(self.run, first_epoch=self.progress.epoch + 1) as self._board:
            yield

    def _may_save(self) -> bool:
        took = self._saving_took  # not known before the first time
        return not self.saved.epoch or took <= _MOMENT or time.monotonic() - self._saved_at >= took / _SAVING_SHARE

    def _save(self, progress: Progress) -> None:
        began = time.monotonic()
        _save(self.run, progress, self.model, self.optimizer)
        self._saved_at, self.saved = time.monotonic(), progress
        self._saving_took = self._saved_at - began

    def result(self, interrupted: bool = False) -> Trained:
        progress = self.saved if interrupted else self.progress
        status = (
            FAILED if self.error else INTERRUPTED if interrupted and progress.status == RUNNING else progress.status
        )
        return Trained(
            run=self.run,
            status=status,
            epochs=progress.epoch,
            best_epoch=progress.best_epoch,
            select=self.material.select,
            best=progress.lines[progress.best_epoch - 1] if progress.best_epoch else {},
            left_out=self.material.left_out,
            error=self.error,
        )

    def announcement(self) -> Iterator[str]:
        """What there is to say before the first epoch."""
        learning, validation = self.material.learning, self.material.validation
        weights = sum(parameter.numel() for parameter in self.model.parameters()) / 1e6
        yield (
            f"run {self.run.path}: {weights:.1f} million weights on {describe(self.device)}, "
            f"from store {self.store.path} (dataset {self.store.dataset})"
        )
        yield (
            f"learns from {_counted(learning)} of split {as_line(learning.split)}, "
            f"is judged by {_counted(validation)} of split {as_line(validation.split)}"
        )
        for shared in shared_in(self.store):
            if learning.split in shared.splits or validation.split in shared.splits:
                yield f"splits are not apart: {shared.line}"
        modalities = {spec.modality for spec in learning.store.specs.values()}
        if len(modalities) == 1:
            yield f"{learning.store.path} has features of {modalities.pop()} alone: the network learns from these"
        if len(self.material.left_out):
            left_out = f"{len(self.material.left_out)} segments without features"
            yield f"left out: {left_out}, see {self.run.path / 'left-out.csv'}"
        if len(self.material.learnt) < len(learning):
            labelled = {learning.ids[position] for position in self.material.learnt}
            unlabelled = len(set(learning.ids) - labelled)
            plural = "s" if unlabelled != 1 else ""
            yield f"left out: {unlabelled} recording{plural} of split {as_line(learning.split)} without a label"


def compile_rows(model: torch.nn.Module, backend: str = "inductor") -> None:
    """Let torch.compile fuse the blocks that treat rows one by one, whatever their number.

    Attention is left as it is: how many rows each segment has differs in every batch. Compiled dropout draws other
    random numbers, so a compiled run comes to other figures than one that is not, and always to the same.
    """
    for module in model.modules():
        if isinstance(module, FeedForward):
            module.compile(dynamic=True, backend=backend)


def job_for(
    store,
    model: ModelConfig | None,
    config: TrainConfig | None,
    resumed: runs.Run | None = None,
    command: Sequence[str] | None = None,
    features: Mapping[str, str] | None = None,
) -> Job:
    """Checks the settings against the store. Raises StoreError, SettingError or RunError when they will not do.

    With ``resumed``, that run's settings hold, and the two configs must be None or equal to them; the rows that it read
    must be in the store as they were. ``features`` are those to learn from, where the settings leave that open.
    """
    if resumed is None:
        settings = _settings_for(store, model or ModelConfig(), config or TrainConfig(), features)
        build_on_paper(settings)
        return Job(settings, _material_for(store, settings), None, command)
    settings = resumed.settings
    _check_same_settings(resumed, settings, model, config)
    return Job(settings, _material_of(resumed, store, settings), resumed, command)


def _material_of(run: runs.Run, store, settings: runs.Settings) -> Material:
    """What a run goes on with. Raises RunError when it is not what the run began with."""
    learnt, judged = run.learnt, run.judged
    if learnt is None or judged is None:
        if not run.is_of_exactly(store):
            raise run.not_its_store(store)
        return _material_for(store, settings)
    matching_features(store, settings.features, settings.specs)
    if not learnt.is_in(store):
        raise run.not_its_store(store)
    material = _material_for(store, settings, [task.name for task in learnt.tasks], learnt.views)
    changes = run.changes(store, material.learnt_rows, material.judged_rows)
    if changes:
        raise RunError(
            f"run {run.name} cannot go on with {store.path}, where since it began has changed: {'; '.join(changes)}; "
            f"bring that back, or start a new run"
        )
    # Lengths may be of a feature that the run does not read; they decide which recordings share a batch.
    return dataclasses.replace(
        material,
        learning=dataclasses.replace(material.learning, lengths=learnt.lengths),
        validation=dataclasses.replace(material.validation, lengths=judged.lengths),
        learnt_rows=learnt,
        judged_rows=judged,
    )


def build_on_paper(settings: runs.Settings) -> torch.nn.Module:
    """The network without memory for its weights. Raises SettingError when its sizes do not fit."""
    with torch.device("meta"):
        return build(settings.model, settings.tasks, settings.specs)


def learning_rate_at(step: int, steps: int, config: TrainConfig) -> float:
    """Learning rate of optimizer step ``step`` (from 0) of ``steps``."""
    warmup = round(config.warmup * steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    done = (step - warmup) / (steps - warmup)
    share = {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "constant": 1.0}[config.schedule]
    return config.learning_rate * share


def seed_of(seed: int, epoch: int, batch: int) -> int:
    """The seed of one batch's random numbers."""
    return int(np.random.SeedSequence([seed, epoch, batch]).generate_state(1, np.uint64)[0] >> 1)


def _counted(recordings: Recordings) -> str:
    """``59 recordings (203 segments)``, or ``59 recordings in 5 views, 295 in all (1,015 segments)``."""
    different = len(set(recordings.ids))
    views = set(recordings.store.segments["view"].to_numpy()[np.concatenate(recordings.rows)])
    altered = f" in {len(views)} views, {len(recordings):,} in all" if len(views) > 1 else ""
    return f"{different:,} recording{'s' if different != 1 else ''}{altered} ({recordings.segments:,} segments)"


def _settings_for(
    store, model_config: ModelConfig, config: TrainConfig, features: Mapping[str, str] | None
) -> runs.Settings:
    if not store.tasks:
        raise StoreError(
            f"{store.path} has no tasks, for its corpus has no labels: name their columns with msmt extract "
            f"--label-columns"
        )
    if features is None:
        modalities = modalities_of(store, model_config.modalities)
    else:
        modalities = "both" if len(features) > 1 else next(iter(features))
    # What a run's settings say holds whatever its store is given later.
    model_config = dataclasses.replace(model_config, modalities=modalities)
    if features is None:
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
            is_open = name == "modalities" and value == "auto"
            if value != getattr(own, name) and not is_open:
                raise SettingError(
                    f"run {run.name} goes on with its own settings, {name} {getattr(own, name)!r} and not {value!r}: "
                    f"start a new run to change them"
                )


def _material_for(
    store, settings: runs.Settings, task_names: Sequence[str] = (), views: Sequence[str] = ()
) -> Material:
    """``task_names`` are the tasks that there are answers for, ``views`` those to learn from: by default, what the
    settings mean in the store as it is today."""
    config, tasks = settings.train, settings.tasks
    there = [task for task in store.tasks if not task_names or task.name in task_names]
    for task in tasks:
        phrases = task_differences(task, next((each for each in there if each.name == task.name), None))
        if phrases:
            raise RunError(f"{store.path}: {phrases[0]}: start a new run")
    answered = answered_tasks(there, tasks)
    select = _figure_to_select(config.select, tasks)
    views = views or views_of(store, config.train_split, config.view_names)
    features, skip = settings.features, config.skip_missing
    learning = recordings_of(store, config.train_split, features, skip, views)
    validation = recordings_of(store, config.validation_split, features, skip)
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
    return Material(
        learning=learning,
        learnt=with_labels(learning, tasks),
        validation=validation,
        objective=Objective(tasks, balanced),
        select=select,
        tasks=answered,
        learnt_rows=rows_read(learning, answered),
        judged_rows=rows_read(validation, answered),
    )


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
    return float(np.mean(values)) * (-1 if select in LOWER_IS_BETTER else 1)


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


def _in_words(line: Mapping[str, object], epochs: int) -> str:
    selected = "not a number" if line["selected"] is None else f"{line['selected']:.4f}"
    share = line["waited_seconds"] / line["seconds"] if line["seconds"] else 0.0
    waiting = f" ({share:.0%} waiting for data)" if share > _MUCH_WAITING and line["seconds"] > 1 else ""
    return (
        f"epoch {line['epoch']}/{epochs}: loss {line['train_loss']:.4f}, validation loss {line['val_loss']:.4f}, "
        f"{line['select']} {selected}, {line['seconds']:.0f} s{waiting}{', best so far' if line['best'] else ''}"
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
