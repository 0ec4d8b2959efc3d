"""The loop: transformers' Trainer, with checkpoints that are whole or absent; validation alone chooses the epoch."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from ...errors import RunError
from ...features.durable import sync_tree, write_whole
from ...features.tasks import Task
from .config import SMALLER_IS_BETTER, FinetuneOptions
from .network import Finetuned

CHECKPOINTS = "checkpoints"
_WHOLE = "whole"  # a file in each checkpoint, written last
_PREFIX = "checkpoint-"
_STATE = "trainer_state.json"

Figures = Callable[[Task, np.ndarray, np.ndarray], Mapping[str, float]]  # of labels (n) and answers (n)


@dataclass(frozen=True)
class Trained:
    """What training has found."""

    weights: Mapping[str, torch.Tensor]
    """Of encoder and head together, at the best epoch."""

    epoch: int
    """The best, from 1."""

    epochs: list[dict]
    """Figures of each epoch: ``epoch``, ``train_loss``, and those of validation."""

    is_constant: bool
    """Whether every answer to validation was the same at the best epoch."""


def train(
    network: Finetuned,
    parts: Mapping[str, Dataset],
    batch: Callable,
    task: Task,
    options: FinetuneOptions,
    folder: Path,
    device: torch.device,
    figures: Figures,
    advance: Callable[[int], None],
    say: Callable[[str], None],
) -> Trained:
    """Train, or go on from the newest whole checkpoint below ``folder``.

    ``parts`` are ``train`` and ``val``; ``figures`` are those of merit by name. Raises RunError where the loss is no
    number.
    """
    checkpoints = folder / CHECKPOINTS
    chosen = options.figure(task.is_value)
    steps_of_epoch = steps_in_epoch(len(parts["train"]), options)
    keeper = _Keeper(checkpoints, options, steps_of_epoch, chosen, advance, say)
    trainer = Trainer(
        model=network,
        args=_arguments(options, checkpoints, steps_of_epoch, chosen, device),
        data_collator=batch,
        train_dataset=parts["train"],
        eval_dataset=parts["val"],
        compute_metrics=lambda given: _figures_of(task, given, figures),
        callbacks=[keeper],
    )
    for callback in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    last = newest(checkpoints)
    if last is None or not _is_over(_state(last), options, steps_of_epoch):
        advance(0 if last is None else _state(last)["global_step"])
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    last = newest(checkpoints)
    state = _state(last)
    best = checkpoints / f"{_PREFIX}{state['best_global_step']}"
    weights = load_file(best / "model.safetensors")
    epochs = epochs_of(state["log_history"])
    epoch = round(state["best_global_step"] / steps_of_epoch)
    found = next(each for each in epochs if each["epoch"] == epoch)
    return Trained(weights, epoch, epochs, bool(found["distinct_answers"] == 1 and len(parts["val"]) > 1))


def steps_in_epoch(examples: int, options: FinetuneOptions) -> int:
    """Steps that go through the training data once."""
    batches = math.ceil(examples / options.batch)
    return math.ceil(batches / options.accumulation)


def newest(checkpoints: Path) -> Path | None:
    """The newest whole checkpoint; None where there is none."""
    found = [path for path in checkpoints.glob(f"{_PREFIX}*") if (path / _WHOLE).exists()]
    return max(found, key=_step_of, default=None)


def epochs_of(history: list[Mapping]) -> list[dict]:
    """The figures of each epoch, from the Trainer's log."""
    epochs, losses = [], []
    for entry in history:
        if "loss" in entry:
            losses.append(entry["loss"])
        elif "eval_loss" in entry:
            said = {name.removeprefix("eval_"): value for name, value in entry.items() if name.startswith("eval_")}
            said = {name: value for name, value in said.items() if not name.endswith(("runtime", "_per_second"))}
            epochs.append({"epoch": round(entry["epoch"]), "train_loss": float(np.mean(losses)), **said})
            losses = []
    return epochs


def _arguments(
    options: FinetuneOptions, checkpoints: Path, steps_of_epoch: int, chosen: str, device: torch.device
) -> TrainingArguments:
    steps = steps_of_epoch * options.epochs
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch,
        per_device_eval_batch_size=options.batch,
        gradient_accumulation_steps=options.accumulation,
        learning_rate=options.learning_rate,
        lr_scheduler_type="constant_with_warmup" if options.schedule == "constant" else options.schedule,
        warmup_steps=round(options.warmup * steps),
        weight_decay=options.weight_decay,
        max_grad_norm=options.clip_norm,
        bf16=options.precision == "bfloat16",
        use_cpu=device.type == "cpu",
        seed=options.seed % 2**32,  # numpy takes no larger one
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        logging_nan_inf_filter=False,
        metric_for_best_model=chosen,
        greater_is_better=chosen not in SMALLER_IS_BETTER,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_num_workers=2 if device.type == "cuda" else 0,
        dataloader_pin_memory=device.type == "cuda",
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # the Trainer would copy the network to each GPU in every step
    return arguments


class _Keeper(TrainerCallback):
    """Makes checkpoints whole, keeps the newest and the best, ends training when it is time, and says how it goes."""

    def __init__(
        self, checkpoints: Path, options: FinetuneOptions, steps_of_epoch: int, chosen: str, advance, say
    ) -> None:
        self.checkpoints, self.options, self.steps_of_epoch = checkpoints, options, steps_of_epoch
        self.chosen, self.advance, self.say = chosen, advance, say

    def on_step_end(self, args, state, control, **rest):
        self.advance(1)
        if self.options.save_steps and state.global_step % self.options.save_steps == 0:
            control.should_save = True
        return control

    def on_evaluate(self, args, state, control, metrics=None, **rest):
        figures = {name.removeprefix("eval_"): value for name, value in (metrics or {}).items()}
        if not math.isfinite(figures["loss"]):
            raise RunError("the loss of validation is no finite number: use a lower --learning-rate")
        loss = next((entry["loss"] for entry in reversed(state.log_history) if "loss" in entry), math.nan)
        self.say(
            f"epoch {round(state.epoch)}: loss {loss:.4f}, validation loss {figures['loss']:.4f},"
            f" {self.chosen} {figures[self.chosen]:.4f}"
        )

    def on_save(self, args, state, control, **rest):
        made = self.checkpoints / f"{_PREFIX}{state.global_step}"
        sync_tree(made)
        write_whole(made / _WHOLE, [b"\n"])
        kept = {state.global_step, state.best_global_step}
        for path in self.checkpoints.glob(f"{_PREFIX}*"):
            if _step_of(path) not in kept:
                (path / _WHOLE).unlink(missing_ok=True)
                shutil.rmtree(path)
        if _is_over(
            {"global_step": state.global_step, "best_global_step": state.best_global_step},
            self.options,
            self.steps_of_epoch,
        ):
            control.should_training_stop = True
        return control


def _is_over(state: Mapping, options: FinetuneOptions, steps_of_epoch: int) -> bool:
    """Whether all epochs are done, or none has been better for as long as patience lasts."""
    done, best = state["global_step"], state.get("best_global_step") or 0
    is_out_of_patience = bool(options.patience and best and done - best >= options.patience * steps_of_epoch)
    return done >= options.epochs * steps_of_epoch or is_out_of_patience


def _figures_of(task: Task, given, figures: Figures) -> dict[str, float]:
    """What an epoch is judged by, of logits (n, C) and labels (n)."""
    logits, labels = np.asarray(given.predictions), np.asarray(given.label_ids)
    answers = logits[:, 0] if task.is_value else logits.argmax(axis=1)
    truth = labels.astype(np.float64) if task.is_value else labels
    return {**figures(task, truth, answers), "distinct_answers": int(len(np.unique(answers)))}


def _state(checkpoint: Path) -> dict:
    return json.loads((checkpoint / _STATE).read_text(encoding="utf-8"))


def _step_of(path: Path) -> int:
    digits = path.name.removeprefix(_PREFIX)
    return int(digits) if digits.isdigit() else -1
