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
from pathlib import Path

import numpy as np
import torch

from ..errors import RunError
from ..features.schemes import STANDARD
from ..features.segments import REMOVED
from ..features.sharing import Shared, shared_between_splits, shared_in, sounds_in
from ..features.tasks import Task
from ..shown import as_line
from ..shown import counted as counted_of
from . import runs
from .assembly import answer, build
from .config import TrainConfig
from .data import Batch, label_tensors, splits_by
from .devices import arithmetic, describe
from .inputs import to_measure
from .jobs import Job
from .material import Material
from .models.layers import FeedForward
from .predict import answers
from .processes import Processes
from .said import (
    counted,
    in_words,
    layers_in_words,
    of_other_schemes,
    segment_not_finite,
    tensorboard,
    why_not_finite,
    write_curves,
)
from .schedule import learning_rate_at, seed_of
from .trained import FAILED, FINISHED, INTERRUPTED, PRUNED, RUNNING, STOPPED_EARLY, Progress, Trained

Score = Callable[[Sequence[Task], Mapping[str, np.ndarray], Mapping[str, np.ndarray]], dict[str, float]]

LOWER_IS_BETTER = ("mae", "loss")
# The state of a run is four times its weights. Saving it may take a twentieth of the time, and always a moment.
_SAVING_SHARE, _MOMENT = 0.05, 0.25  # share, seconds


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
        is_apart: bool = True,
    ) -> None:
        """Builds the network from the run's seed and makes the run's directory, or loads both.

        ``stop`` is asked after each epoch, with its line of metrics.jsonl, whether to end the run there. ``is_apart``
        says whether no other run shares its passes.
        """
        self.settings, self.material, self.config = job.settings, job.material, job.settings.train
        self.store, self.device, self.processes = store, device, processes
        self.say, self._stop, self._board = say, stop, None
        # A GPU works on what several runs have asked for at once, and nobody can say whose time it is.
        self._can_tell_its_time = is_apart or device.type == "cpu"
        torch.manual_seed(self.config.seed)
        self.model = build(self.settings)
        if job.resumed is None or job.resumed.is_untouched:
            with torch.random.fork_rng(devices=[]):  # loading must not move what is drawn afterwards
                self.model.start()
        self.model.to(device)
        if self.config.compile:
            compile_rows(self.model)
        kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[self.config.optimizer]
        self.optimizer = kind(
            self.model.parameters(), lr=self.config.learning_rate, weight_decay=self.config.weight_decay, fused=True
        )
        if job.resumed is None:
            created = None
            if processes.is_first:
                details = runs.environment(store, self.config.seed, describe(device), job.command, job.part_of)
                details["parameters"] = sum(each.numel() for each in self.model.parameters() if each.requires_grad)
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

    def _shared(self) -> list[Shared]:
        """What the splits of the run's scheme have in common that should be apart."""
        if self.config.scheme == STANDARD:
            return shared_in(self.store)
        splits = splits_by(self.store, self.config.scheme)
        table = self.store.segments.assign(split=splits.mask(splits == "", REMOVED))
        return shared_between_splits(table, sounds_in(self.store)[0])

    def closing(self) -> Iterator[str]:
        """What there is to say after the last epoch."""
        if self.progress.status == STOPPED_EARLY and not self.error:
            best, patience = self.progress.best_epoch, self.config.patience
            yield f"stopped early: epoch {best} is still the best after {patience} more"
        if not self.error and self.progress.best_epoch:
            yield from layers_in_words(self.progress.lines[self.progress.best_epoch - 1])

    @property
    def has_to_measure(self) -> bool:
        """Whether the network has to see what it learns from before its first step."""
        return bool(to_measure(self.model))

    def check_measured(self) -> None:
        """Raises RunError where what was measured are no numbers, for features are none."""
        if not all(torch.isfinite(buffer).all() for buffer in self.model.buffers()):
            material = self.material
            culprit = segment_not_finite(material.learning, material.learnt) or "extract them again"
            raise RunError(f"the mean or deviation of vectors is not a number: {culprit}")

    def begin_epoch(self) -> None:
        self._started = time.monotonic()
        self._total_loss = self._train_seconds = 0.0
        self.model.train()

    def begin_step(self, members: np.ndarray) -> None:
        """``members`` are the positions of all recordings of the optimizer step."""
        self._weights = self.material.objective.weights(self.material.learning.labels_of(members))
        self._step_loss = torch.zeros((), device=self.device)

    def learn(self, batch: Batch, number: int) -> None:
        """Forward and backward. ``number`` counts the epoch's batches, over all processes."""
        began = time.monotonic()
        # The random numbers of a batch follow from its number, not from what was drawn before, so that neither
        # other runs, nor other processes, nor an interruption can change them.
        torch.manual_seed(seed_of(self.config.seed, self.progress.epoch + 1, number))
        with arithmetic(self.device, self.config.precision):
            outputs = answer(self.model, batch)
            loss = self.material.objective.loss(outputs, batch.labels, self._weights)
        loss.backward()
        self._step_loss += loss.detach()
        self._train_seconds += time.monotonic() - began

    def step(self, number: int, steps: int, members: np.ndarray) -> None:
        """The optimizer step ``number`` (from 0) of the epoch's ``steps``. Raises RunError when a number is none."""
        config, epoch, began = self.config, self.progress.epoch + 1, time.monotonic()
        step_loss = self.processes.add_up(self._step_loss, self.model.parameters())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm or math.inf)
        if not torch.isfinite(step_loss + norm):
            raise RunError(why_not_finite(float(step_loss), self.material.learning, members, epoch, number + 1, config))
        rate = learning_rate_at((epoch - 1) * steps + number, config.epochs * steps, config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._total_loss += float(step_loss) * len(members)
        self._train_seconds += time.monotonic() - began

    def end_epoch(self, logits: Mapping[str, torch.Tensor], score: Score, waited: float) -> None:
        """Judges the epoch by the validation split and writes all that the run keeps of it.

        ``waited`` are the seconds in which no data was there.
        """
        progress, material, config, epoch = self.progress, self.material, self.config, self.progress.epoch + 1
        val_loss = _validation_loss(material, logits, epoch)
        figures = score(material.tasks, material.validation.labels, answers(self.settings.tasks, logits))
        rank = (_selected(figures, material.select, val_loss), -val_loss)
        is_best = progress.best_epoch is None or rank > progress.best_rank
        layers = self.model.inputs.layer_weights
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
            # What its own steps took: neither reading, nor validation, nor the runs beside it.
            **({"train_seconds": round(self._train_seconds, 6)} if self._can_tell_its_time else {}),
            **({"layers": layers} if layers else {}),
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
                if layers:
                    self.run.save_layer_weights(layers)
            if now.status != RUNNING or self._may_save():
                self._save(now)
            write_curves(self._board, line)
            self.run.save_metrics(now.lines)
        self.progress = now
        self.say(in_words(line, config.epochs))

    def forget(self) -> None:
        """Give back the memory of gradients; a run that has failed needs none."""
        self.optimizer.zero_grad(set_to_none=True)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While the run's TensorBoard file is open; processes that do not write have none."""
        if not self.processes.is_first:
            yield
            return
        with tensorboard(self.run, first_epoch=self.progress.epoch + 1) as self._board:
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
        weights, frozen = (
            sum(each.numel() for each in self.model.parameters() if each.requires_grad == learns) / 1e6
            for learns in (True, False)
        )
        beside = f", and {frozen:.1f} million that do not learn," if frozen else ""
        yield (
            f"run {self.run.path}: {weights:.1f} million weights{beside} on {describe(self.device)}, "
            f"from store {self.store.path} (dataset {self.store.dataset})"
        )
        yield (
            f"learns from {counted(learning)} of split {as_line(learning.split)}, "
            f"is judged by {counted(validation)} of split {as_line(validation.split)}"
        )
        for shared in self._shared():
            if learning.split in shared.splits or validation.split in shared.splits:
                yield f"splits are not apart: {shared.line}"
        yield from of_other_schemes(self.settings.slots, self.store.specs, self.settings.train.scheme)
        for slot, features in self.settings.slots.items():
            if len(features) > 1:
                yield f"slot {slot} is a learned sum of {', '.join(features)}"
        modalities = {spec.modality for spec in learning.store.specs.values()}
        if len(modalities) == 1:
            yield f"{learning.store.path} has features of {modalities.pop()} alone: the network learns from these"
        if len(self.material.left_out):
            count = len(self.material.left_out)
            yield f"left out: {count} segments without features, see {self.run.path / 'left-out.csv'}"
        if len(self.material.learnt) < len(learning):
            labelled = {learning.ids[position] for position in self.material.learnt}
            unlabelled = counted_of(len(set(learning.ids) - labelled), "recording")
            yield f"left out: {unlabelled} of split {as_line(learning.split)} without a label"


def compile_rows(model: torch.nn.Module, backend: str = "inductor") -> None:
    """Let torch.compile fuse the blocks that treat rows one by one, whatever their number.

    Attention is left as it is: how many rows each segment has differs in every batch. Compiled dropout draws other
    random numbers, so a compiled run comes to other figures than one that is not, and always to the same.
    """
    for module in model.modules():
        if isinstance(module, FeedForward):
            module.compile(dynamic=True, backend=backend)


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
    loss = float(
        material.objective.loss(logits, label_tensors(labels), material.objective.weights(labels), smooth=False)
    )
    if not math.isfinite(loss):
        everyone = np.arange(len(material.validation))
        culprit = segment_not_finite(material.validation, everyone) or "lower --learning-rate"
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


def _finite(figure: float) -> float | None:
    return float(figure) if math.isfinite(figure) else None  # JSON has no NaN
