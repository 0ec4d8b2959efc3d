"""A training step of each paper's system on cached features against one of the published way, on the same machine.

    python benchmarks/system_speed.py [--systems mmml,cm-roberta] [--utterances 8] [--repeats 2] [--device cpu]
                                      [--busy 1] [--json FILE]

A step is one recording of so many utterances, or several where the paper's batch is large: forward, backward and the
optimizer's. The published way has the encoders in it, of their real sizes with random weights: those that the paper
trains go forward and backward and are updated, frozen ones go forward alone; then comes the same network. Its inputs are
padded as its paper pads them; where it does not say, to the longest of a batch of the paper's size, as MELD's annotation
has it. Turns before an utterance that belong to its sample are encoded with it. Where all of that does not fit in memory,
it is done for some utterances at a time, and gradients are added up. What is computed before any encoder (openSMILE,
spectrograms, OpenL3) is left out, which makes the published way faster. msmt's step sees the rows of the valid frames and
tokens. Systems whose network is not here are named as such.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from msmt.features.tasks import Task
from msmt.train.models.contract import SlotInput, Trainable
from msmt.train.models.registry import NETWORKS, network_named
from msmt.train.objective import Objective
from msmt.train.rows import Rows
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from shared_cpu import counting  # noqa: E402
from step_speed import timed  # noqa: E402

EMOTION = Task("emotion", tuple("abcdefg"), "segment")
RATE = 16_000
SECONDS, TOKENS, WINDOW = 3.6, 15, 45  # of an utterance of MELD, and of three turns of it
# The longest of MELD's training split, medians over batches: of 64 utterances, of 32 windows of three turns, and of the 96
# utterances in these.
LONGEST_TOKENS, LONGEST_WINDOW, LONGEST_SECONDS = 37, 73, 12.3
BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}


@dataclass(frozen=True)
class Encoder:
    """One encoder of the published way, and the slot that it fills."""

    slot: str
    kind: str
    """``roberta``, ``data2vec``, ``hubert`` or ``wavlm``."""

    size: Mapping[str, int]
    valid: float
    """Tokens, or seconds, of an utterance."""

    padded: float
    """The same after padding."""

    is_trained: bool
    """Whether it goes backward too."""

    turns: int = 1
    """Utterances that are encoded one by one for each: its own and those before it, as batches of shuffled samples need."""

    last_layers: int = 0
    """Of the first token, so many layers side by side instead of all tokens of the last."""

    @property
    def is_text(self) -> bool:
        return self.kind == "roberta"

    def build(self) -> torch.nn.Module:
        """With random weights; masking in time is left out, which changes values and not the work."""
        import transformers

        if self.is_text:
            config = transformers.RobertaConfig(vocab_size=50_265, max_position_embeddings=514, **self.size)
            return transformers.RobertaModel(config, add_pooling_layer=False)
        names = {"data2vec": "Data2VecAudio", "hubert": "Hubert", "wavlm": "WavLM"}
        config = getattr(transformers, f"{names[self.kind]}Config")(apply_spec_augment=False, **self.size)
        return getattr(transformers, f"{names[self.kind]}Model")(config)

    def input(self, utterances: int) -> Tensor:
        """(U · turns, padded) token ids or samples."""
        if self.is_text:
            return torch.randint(5, 1000, (utterances * self.turns, int(self.padded)))
        return torch.randn(utterances * self.turns, round(self.padded * RATE))

    def rows(self, model: torch.nn.Module) -> int:
        """Valid rows of an utterance."""
        if self.last_layers:
            return 1
        if self.is_text:
            return int(self.valid)
        return int(model._get_feat_extract_output_lengths(torch.tensor(round(self.valid * RATE))))

    def __call__(self, model: torch.nn.Module, inputs: Tensor) -> Tensor:
        """(U · turns, padded) -> (U · T, d) the valid rows of each utterance itself."""
        utterances = len(inputs) // self.turns
        with torch.set_grad_enabled(self.is_trained):
            said = model(inputs, output_hidden_states=bool(self.last_layers))
        if self.last_layers:
            return torch.cat([layer[:, 0] for layer in said.hidden_states[-self.last_layers :]], dim=1)
        rows = said.last_hidden_state[:, : self.rows(model)].unflatten(0, (self.turns, utterances))
        if self.is_trained and self.turns > 1:  # the network draws nothing from the others, but they go backward too
            return (rows[0] + 0 * rows[1:].sum(0)).flatten(0, 1)
        return rows[0].flatten(0, 1)


@dataclass(frozen=True)
class Case:
    """A system and its published way."""

    name: str
    network: str
    encoders: tuple[Encoder, ...]
    others: Mapping[str, tuple[str, int, int]] = field(default_factory=dict)
    """Slots that no encoder fills: unit, width, and rows of an utterance."""

    settings: Mapping[str, object] = field(default_factory=dict)
    recordings: int = 1
    """In a step; fewer than the paper's batch where encoders would take minutes."""

    at_once: int = 0
    """Utterances that the published way computes at a time; 0 for all of a step."""

    most: float = 1 / 30
    """What msmt's step may cost of the published one's."""


def text(size: Mapping, valid: float, padded: float = 0, is_trained: bool = False, **more) -> Encoder:
    return Encoder("text", "roberta", size, valid, padded or valid, is_trained, **more)


def audio(kind: str, size: Mapping, padded: float = 0.0, is_trained: bool = False, **more) -> Encoder:
    return Encoder("audio", kind, size, SECONDS, padded or SECONDS, is_trained, **more)


CASES = (
    Case("msmt-fn", "msmt-fn", (text(BASE, TOKENS, 60, True), audio("hubert", BASE, 6.0, True))),
    Case(
        "mmml",
        "mmml",
        (
            text(LARGE, TOKENS, 96, True, turns=2),
            audio("data2vec", LARGE, 6.0, True, turns=2),
        ),
        at_once=2,
    ),
    Case(
        "cm-roberta",
        "cm-roberta",
        (text(LARGE, TOKENS, LONGEST_TOKENS, last_layers=4),),
        {"audio": ("vector", 6552, 1), "openl3": ("vector", 6144, 1)},
        recordings=8,
    ),
    Case(
        "emotional-cues",
        "emotional-cues",
        (text(BASE, WINDOW, LONGEST_WINDOW), audio("wavlm", BASE, LONGEST_SECONDS, turns=3)),
        {
            "importance": ("token", 1, WINDOW),
            "mel": ("frame", 16 * 16, 8 * 22),
        },  # patches: bands by a sixth of a second
        recordings=4,
        at_once=8,
        most=1 / 5,
    ),
    Case(
        "merits-l, text, stage I", "merits-stage1", (text(LARGE, TOKENS, 128, True),), settings={"modalities": "text"}
    ),
    Case("merits-l, audio, stage I", "merits-stage1", (audio("wavlm", BASE),), settings={"modalities": "audio"}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", default="", help="names, separated by commas; all unless given")
    parser.add_argument("--utterances", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--busy", type=int, choices=(0, 1), default=0, help="processes that count on a core meanwhile")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    chosen = options.systems.split(",") if options.systems else []
    with counting(bool(options.busy)), tempfile.TemporaryDirectory() as folder:
        result = {}
        print(f"recordings of {options.utterances} utterances of {SECONDS:g} s and {TOKENS} tokens, {options.device}")
        print(f"{'':<26}{'published':>12}{'msmt':>12}{'ratio':>8}{'at least':>10}   seconds a step, medians")
        for case in (case for case in CASES if not chosen or case.name.split(",")[0] in chosen):
            if case.network not in NETWORKS:
                print(f"{case.name:<26}{'not here':>12}")
                continue
            result[case.name] = measured = measure(case, options, Path(folder))
            shown = f"{measured['published']:>12.3f}{measured['msmt']:>12.4f}{measured['ratio']:>8.1f}"
            counted = f"{case.recordings} recording{'s' if case.recordings > 1 else ''}"
            print(f"{case.name:<26}{shown}{1 / case.most:>10.0f}   {counted}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


def measure(case: Case, options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Medians of both ways' steps, which take turns."""
    device, counts = torch.device(options.device), (options.utterances,) * case.recordings
    utterances = sum(counts)
    torch.manual_seed(0)
    models = {encoder.slot: encoder.build().to(device).train(encoder.is_trained) for encoder in case.encoders}
    for encoder in case.encoders:
        models[encoder.slot].requires_grad_(encoder.is_trained)
    at_once = case.at_once or utterances
    inputs = {encoder.slot: encoder.input(at_once).to(device) for encoder in case.encoders}
    lengths = {encoder.slot: encoder.rows(models[encoder.slot]) for encoder in case.encoders}
    shapes = {
        encoder.slot: (
            "vector" if encoder.last_layers else "token" if encoder.is_text else "frame",
            encoder.size["hidden_size"] * (encoder.last_layers or 1),
            lengths[encoder.slot],
        )
        for encoder in case.encoders
    } | dict(case.others)
    stored = {
        slot: torch.randn(utterances * rows, width).half().to(device) for slot, (_, width, rows) in shapes.items()
    }

    def cached(count: int) -> dict[str, Rows]:
        rows = {slot: shapes[slot][2] for slot in stored}
        return {
            slot: Rows(values[: count * rows[slot]].float(), (rows[slot],) * count) for slot, values in stored.items()
        }

    def computed(count: int) -> dict[str, Rows]:
        made = {each.slot: each(models[each.slot], inputs[each.slot]) for each in case.encoders}
        return cached(count) | {slot: Rows(values, (shapes[slot][2],) * count) for slot, values in made.items()}

    network = network_of(case, shapes, folder).to(device)
    encoders = [weight for model in models.values() for weight in model.parameters() if weight.requires_grad]
    parts = [(at_once,)] * (utterances // at_once) if case.at_once else [counts]
    steps = {
        "published": step_of(network, computed, parts, encoders),
        "msmt": step_of(network, cached, [counts], []),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(options.repeats + 1):
        for name, step in steps.items():
            for _ in range(1 if name == "published" else 3):
                taken = timed(step, device)
                if number:
                    seconds[name].append(taken)
    medians = {name: float(np.median(found)) for name, found in seconds.items()}
    return {**medians, "ratio": medians["published"] / medians["msmt"], "at_least": 1 / case.most}


def network_of(case: Case, shapes: Mapping[str, tuple[str, int, int]], folder: Path) -> Trainable:
    """The network of a case; frozen layers that it takes from an encoder are of one with random weights."""
    network = network_named(case.network)
    settings = dict(case.settings)
    for each in dataclasses.fields(network.settings):
        if isinstance(each.default, str) and (kind := next((k for k in ("bert", "vit") if k in each.default), "")):
            settings[each.name] = str(saved(kind, folder))
    inputs = {slot: SlotInput(width, max(rows, 1), unit) for slot, (unit, width, rows) in shapes.items()}
    made = network.settings(**settings)
    settle = getattr(network, "settle", None)
    model = network.build(settle(made, shapes) if settle else made, (EMOTION,), inputs)
    getattr(model, "start", lambda: None)()  # which loads what is frozen
    return model


def saved(kind: str, folder: Path) -> Path:
    """A BERT or a ViT of the base size."""
    import transformers

    path = folder / kind
    if not path.exists():
        model = {"bert": ("BertModel", "BertConfig"), "vit": ("ViTModel", "ViTConfig")}[kind]
        getattr(transformers, model[0])(getattr(transformers, model[1])()).save_pretrained(path)
    return path


def step_of(
    network: Trainable,
    features: Callable[[int], dict[str, Rows]],
    parts: Sequence[tuple[int, ...]],
    encoders: Sequence[torch.nn.Parameter],
) -> Callable[[], None]:
    """A function that does one training step of the network, and of encoders, on what ``features`` gives.

    Parts, each with so many utterances per recording, are computed one after another, and their gradients are added up.
    """
    objective = Objective((EMOTION,))
    device = next(network.parameters()).device
    trained = [each for each in network.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW([*trained, *encoders], lr=1e-5, fused=True)
    network.train()

    def step() -> None:
        for counts in parts:
            labels = {EMOTION.name: np.zeros(sum(counts), int)}
            tensors = {name: torch.from_numpy(values).to(device) for name, values in labels.items()}
            outputs = network(features(sum(counts)), counts, None)
            objective.loss(outputs, tensors, objective.weights(labels)).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


if __name__ == "__main__":
    main()
