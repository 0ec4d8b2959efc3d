"""A Bi-GRU over segment vectors: each slot's rows pooled, projected, side by side, and read in order.

Letters: R recordings, S segments of all of them together, N rows of all segments together, d values per row of a slot,
w values that a slot is projected to, k slots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...features.tasks import Task
from ...values import check_least
from ..config import NetworkSettings
from ..linear import Linear
from ..rows import Layout, Rows
from .contract import Network, Slot, SlotInput, Trainable
from .layers import AttentionPooling, ClsPooling, GruContext, MeanPooling, task_heads


@dataclass(frozen=True)
class BiGruSettings(NetworkSettings):
    """One variant of the Bi-GRU."""

    network: ClassVar[str] = "bigru"
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"pooling": ("attention", "mean", "cls")}

    pooling: str = "attention"
    """How a segment's rows become one vector; cls takes the first token of text, and the mean of frames."""

    width: int = 256
    """Values that each slot's vector is projected to."""

    gru_layers: int = 1
    """Layers of the GRU."""

    gru_width: int = 128
    """Values per direction of the GRU."""

    both_ways: bool = True
    """Read a recording backwards too; without it nothing said of a segment depends on later ones."""

    head_width: int = 256
    """Values inside each task's head."""

    dropout: float = 0.3
    """Share of values dropped before the GRU, after it and in the heads."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, 1, ("width", "gru_layers", "gru_width", "head_width"))
        self.check_shares("dropout")

    @property
    def variant(self) -> str:
        return super().variant + ("" if self.both_ways else "-one-way")


class BiGru(Trainable):
    """Pooled and projected slots, a GRU over the segments of each recording, and a head for each task."""

    def __init__(
        self,
        outputs: Mapping[str, int],
        inputs: Mapping[str, SlotInput],
        *,
        per_segment: bool,
        pooling: str,
        width: int,
        gru_layers: int,
        gru_width: int,
        both_ways: bool,
        head_width: int,
        dropout: float,
    ) -> None:
        """``outputs``: numbers to predict per task; ``per_segment``: one output per segment, not per recording."""
        super().__init__()
        self.slots, self.tasks, self.per_segment = tuple(inputs), tuple(outputs), per_segment
        # Not by name: a slot may be called what a module cannot be called.
        self.poolings = nn.ModuleList(_pooling(pooling, each) for each in inputs.values())
        self.projections = nn.ModuleList(Linear(each.width, width) for each in inputs.values())
        both = len(inputs) * width
        self.dropout = nn.Dropout(dropout)
        self.context = GruContext(both, gru_layers, gru_width, both_ways)
        self.heads = task_heads(outputs.values(), both, head_width, dropout)

    def segment_vectors(self, slots: Mapping[str, Rows]) -> Tensor:
        """(N, d) of each slot -> (S, k·w)"""
        vectors = []
        for name, pooling, projection in zip(self.slots, self.poolings, self.projections, strict=True):
            rows = slots[name]
            pooled = pooling(rows.values, Layout(rows.lengths, rows.values.device))  # (N, d) -> (S, d)
            vectors.append(torch.relu(projection(pooled)))
        return torch.cat(vectors, dim=1)

    def forward(self, slots: Mapping[str, Rows], segments: Sequence[int], speakers=None) -> dict[str, Tensor]:
        """Logits or values of each task: (R, outputs), or (S, outputs) if ``per_segment``."""
        vectors = self.dropout(self.segment_vectors(slots))
        with torch.autocast(vectors.device.type, enabled=False):  # a recurrence gathers rounding errors
            context = self.context(vectors.float(), segments, self.per_segment)  # (S, k·w) -> (R or S, k·w)
            context = self.dropout(torch.relu(context))
            return {task: head(context) for task, head in zip(self.tasks, self.heads, strict=True)}

    def context_vectors(self, slots: Mapping[str, Rows], segments: Sequence[int], speakers=None) -> Tensor:
        """(N, d) of each slot -> (S, k·w)"""
        vectors = self.segment_vectors(slots)
        with torch.autocast(vectors.device.type, enabled=False):
            return self.context(vectors.float(), segments, per_segment=True)


def _pooling(name: str, rows: SlotInput) -> nn.Module:
    if rows.unit == "vector":
        return ClsPooling()  # its only row
    if name == "attention":
        return AttentionPooling(rows.width)
    return ClsPooling() if name == "cls" and rows.unit == "token" else MeanPooling()


def slots(settings: BiGruSettings) -> tuple[Slot, ...]:
    """Text, audio, or both, as frames, tokens or vectors."""
    both = (
        Slot("text", ("token", "vector"), ("text",), may_be_empty=True),
        Slot("audio", ("frame", "vector"), ("audio",), may_be_empty=True),
    )
    return tuple(slot for slot in both if settings.modalities in ("auto", "both", slot.name))


def build(settings: BiGruSettings, tasks: Sequence[Task], inputs: Mapping[str, SlotInput]) -> BiGru:
    """The network of one variant for these tasks, which share one level."""
    return BiGru(
        {task.name: task.outputs for task in tasks},
        inputs,
        per_segment=tasks[0].level == "segment",
        pooling=settings.pooling,
        width=settings.width,
        gru_layers=settings.gru_layers,
        gru_width=settings.gru_width,
        both_ways=settings.both_ways,
        head_width=settings.head_width,
        dropout=settings.dropout,
    )


NETWORK = Network(
    name="bigru",
    help="pooled segment vectors of any slots, a Bi-GRU over the recording",
    settings=BiGruSettings,
    slots=slots,
    build=build,
    sees_future=lambda settings: settings.both_ways,
    more_slots=Slot(""),
)
