"""A network that does what the contract allows and no other does: it asks who speaks, and has losses per slot."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from msmt.train.config import NetworkSettings
from msmt.train.models import registry
from msmt.train.models.contract import Answers, Network, Slot, SlotAnswers, Trainable
from msmt.train.rows import Layout
from torch import Tensor, nn

NAME = "fake"


@dataclass(frozen=True)
class FakeSettings(NetworkSettings):
    """One variant of the fake."""

    network: ClassVar[str] = NAME

    depth: int = 6
    """Values of a segment's vector."""

    beside: float = 0.5
    """How much what each slot says alone counts in the loss."""

    listens: bool = True
    """Whether it matters who speaks."""


class Fake(Trainable):
    """Means of rows, who speaks, a running mean over the recording so far, and a layer for each task."""

    def __init__(self, outputs, inputs, per_segment: bool, depth: int, beside: float, listens: bool) -> None:
        super().__init__()
        self.per_segment, self.beside, self.listens, self.names = per_segment, beside, listens, tuple(inputs)
        self.read = nn.ModuleList(nn.Linear(each.width, depth) for each in inputs.values())
        self.speaker = nn.Embedding(8, depth)
        self.heads = nn.ModuleDict({task: nn.Linear(depth, count) for task, count in outputs.items()})

    def _means(self, slots) -> list[Tensor]:
        made = []
        for name, read in zip(self.names, self.read, strict=True):
            layout = Layout(slots[name].lengths, slots[name].values.device)
            made.append(torch.tanh(read(layout.pad(slots[name].values).sum(dim=1) / layout.sizes[:, None])))
        return made

    def segment_vectors(self, slots) -> Tensor:
        return sum(self._means(slots))

    def context_vectors(self, slots, segments, speakers=None) -> Tensor:
        return self._so_far(self._heard(self.segment_vectors(slots), speakers), segments, True)

    def _heard(self, vectors: Tensor, speakers: Tensor) -> Tensor:
        return vectors + torch.tanh(self.speaker(speakers + 1)) if self.listens else vectors

    def _so_far(self, vectors: Tensor, segments: Sequence[int], per_segment: bool) -> Tensor:
        counts = [torch.arange(1, len(each) + 1, device=each.device)[:, None] for each in vectors.split(list(segments))]
        means = [each.cumsum(0) / count for each, count in zip(vectors.split(list(segments)), counts, strict=True)]
        return torch.cat(means) if per_segment else torch.stack([each[-1] for each in means])

    def forward(self, slots, segments, speakers=None) -> Mapping[str, Tensor]:
        means = self._means(slots)
        said = self._so_far(self._heard(sum(means), speakers), segments, self.per_segment)
        answers = {task: head(said) for task, head in self.heads.items()}
        if not self.beside or not self.training:
            return answers
        beside = {}
        for name, mean in zip(self.names, means, strict=True):
            alone = self._so_far(mean, segments, self.per_segment)
            beside[name] = SlotAnswers({task: head(alone) for task, head in self.heads.items()}, self.beside)
        return Answers(answers, beside)


def _slots(settings) -> tuple[Slot, ...]:
    both = (
        Slot("text", ("token", "vector"), ("text",), may_be_empty=True),
        Slot("audio", ("frame", "vector"), ("audio",), may_be_empty=True),
    )
    return tuple(slot for slot in both if settings.modalities in ("auto", "both", slot.name))


def _build(settings, tasks, inputs) -> Fake:
    outputs = {task.name: task.outputs for task in tasks}
    per_segment = tasks[0].level == "segment"
    return Fake(outputs, inputs, per_segment, settings.depth, settings.beside, settings.listens)


NETWORK = Network(
    name=NAME,
    help="for tests",
    settings=FakeSettings,
    slots=_slots,
    build=_build,
    sees_future=lambda settings: False,
    more_slots=Slot(""),
    asks_speakers=True,
)


def known() -> None:
    """Make it one of the networks that are known by name."""
    registry.NETWORKS[NAME] = NAME
    sys.modules[f"{registry.__package__}.{NAME}"] = sys.modules[__name__]


def forgotten() -> None:
    """Make it unknown again, to whatever else the process tests."""
    del registry.NETWORKS[NAME], sys.modules[f"{registry.__package__}.{NAME}"]
