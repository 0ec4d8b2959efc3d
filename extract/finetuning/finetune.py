"""Fine-tuning from examples to an ordinary encoder folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from ... import __version__
from ...errors import RunError
from ...features.durable import writer_lock
from ...progress import Track, silent
from ...shown import as_line, counted
from ..extractors.loading import choose_device, weights_digest
from .config import FinetuneOptions
from .examples import TRAIN, VALIDATION, Examples
from .folder import LEFT_OUT, Folder
from .inputs import Encoder
from .network import Finetuned, Head, balanced_weights, for_training, freeze
from .training import Figures, Trained, steps_in_epoch, train


@dataclass(frozen=True)
class Result:
    """A finished run."""

    folder: Folder
    record: Mapping
    """What the encoder's folder says of itself."""

    lines: list[str]
    warnings: list[str]


def finetune(
    examples: Examples,
    encoder: Encoder,
    options: FinetuneOptions,
    folder: Folder,
    figures: Figures,
    track: Track = silent,
    say: Callable[[str], None] = lambda line: None,
    asked: Mapping | None = None,
) -> Result:
    """Train in ``folder``, or go on there, and write the encoder.

    ``figures`` gives the figures of merit of labels and answers. ``asked`` is kept for going on: what the examples were
    read by. Raises RunError where a run that is to go on had other examples or another encoder.
    """
    task, device = examples.task, choose_device(options.device)
    options.figure(task.is_value)  # checked before anything is computed
    with writer_lock(folder.path):
        examples = examples.without(encoder.unusable(examples, track))
        if examples.left_out:
            folder.write_left_out(examples.left_out)
            say(f"{counted(len(examples.left_out), 'segment')} cannot be heard, see {folder.path / LEFT_OUT}")
        record = _record(examples, encoder, options)
        _begin(folder, record, asked or {})
        for part in (TRAIN, VALIDATION):
            say(f"{part}: {_described(examples, part)}")
        network = _network(examples, encoder, options)
        steps = options.epochs * steps_in_epoch(len(examples.of(TRAIN)), options)
        parts = {part: encoder.dataset(examples.of(part), examples.root) for part in (TRAIN, VALIDATION)}
        with track("fine-tune", total=steps, unit="steps") as advance, for_training(encoder.module):
            trained = train(network, parts, encoder.batch, task, options, folder.path, device, figures, advance, say)
        network.load_state_dict(trained.weights)
        network.eval()
        folder.write_metrics(trained.epochs)
        record = {**record, "validation": _best(trained), "weights": _digest(encoder)}
        folder.finish(encoder, network.head.state_dict(), record)
    return Result(folder, record, _lines(folder, trained, options, task.is_value), _warnings(trained, task))


def _network(examples: Examples, encoder: Encoder, options: FinetuneOptions) -> Finetuned:
    freeze(encoder.module, options.freeze_layers, options.encoder)
    weights = None
    if options.class_weights == "balanced" and not examples.task.is_value:
        weights = balanced_weights(list(examples.counts(TRAIN).values()))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        head = Head(encoder.spec.width, examples.task.outputs, options.dropout)
    return Finetuned(encoder.module, head, weights, options.label_smoothing, examples.task.is_value)


def _record(examples: Examples, encoder: Encoder, options: FinetuneOptions) -> dict:
    """What an encoder is made from: with the same record comes the same encoder."""
    task = examples.task
    return {
        "msmt": __version__,
        "trained_on": {**examples.source, "parts": examples.digests(encoder.modality)},
        "task": task.to_json(),
        "classes": examples.counts(TRAIN) if not task.is_value else {},
        "base": {
            "encoder": encoder.spec.encoder,
            "class": encoder.spec.encoder_class,
            "revision": encoder.spec.revision,
            "weights": encoder.spec.weights,
        },
        "input": {
            "modality": encoder.modality,
            "tokens": encoder.spec.max_rows if encoder.modality == "text" else None,
            "sample_rate": encoder.spec.sample_rate,
            "max_samples": encoder.spec.max_samples,
            "channel": encoder.spec.channel,
            "silence": encoder.spec.silence,
        },
        "settings": dataclasses.asdict(options),
    }


def _begin(folder: Folder, record: Mapping, asked: Mapping) -> None:
    """Keep what the encoder is made from, or hold it against what it was when the run was begun."""
    before = folder.settings if folder.has_settings else {}
    for name, called in (("trained_on", "the examples"), ("base", "the encoder it begins with"), ("task", "the task")):
        if name in before and before[name] != record[name]:
            raise RunError(f"{folder.path}: {called} changed since it was begun, so it cannot go on: begin anew")
    if "trained_on" not in before:
        folder.write_settings({"asked": asked, **record})


def _digest(encoder: Encoder) -> str:
    """As extraction will find it in the spec of its features."""
    return weights_digest(encoder.module, encoder.tokenizer)


def _best(trained: Trained) -> dict:
    best = next(each for each in trained.epochs if each["epoch"] == trained.epoch)
    return {**best, "epochs": len(trained.epochs)}


def _described(examples: Examples, part: str) -> str:
    rows = examples.of(part)
    if examples.task.is_value:
        return f"{len(rows):,} examples, values from {rows['label'].min():g} to {rows['label'].max():g}"
    counts = ", ".join(f"{as_line(name)} {count:,}" for name, count in examples.counts(part).items())
    return f"{len(rows):,} examples ({counts})"


def _lines(folder: Folder, trained: Trained, options: FinetuneOptions, is_value: bool) -> list[str]:
    name = options.figure(is_value)
    best = _best(trained)
    modality = "--text-encoder" if (folder.encoder / "tokenizer_config.json").exists() else "--audio-encoder"
    return [
        f"best of {counted(best['epochs'], 'epoch')} is {trained.epoch}: {name} {best[name]:.4f} on validation",
        f"{folder.encoder}: give it to msmt extract {modality}",
    ]


def _warnings(trained: Trained, task) -> list[str]:
    if trained.is_constant and not task.is_value:
        return [
            "every answer to validation is the same class: nothing was learnt; try another --learning-rate,"
            " more --epochs, or --class-weights balanced"
        ]
    return []
