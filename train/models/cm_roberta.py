"""CM-RoBERTa: one vector of each modality per utterance, crossed and attended over the dialogue.

J. Luo, H. Phan, J. Reiss, *Cross-Modal Fusion Techniques for Utterance-Level Emotion Recognition from Text and Speech*,
ICASSP 2023. Where the paper can be read in more than one way:

- ``⊕`` inside the layer norms of equations 3 to 9 is a residual sum, as in its reference 28; ``join`` concatenates instead.
- Equation 3 is taken as printed: the audio is joined with what the text's queries draw from it, and equation 4 likewise.
- Attention has one head, as its equations have; feed-forward blocks have the paper's 128 hidden neurons.
- The fusion of equation 10 has two stacked LSTMs per modality; both, side by side, go through a bidirectional one.

Letters: R recordings, S segments of all of them together, N rows of all segments together, d values of an LSTM's both
directions, m modality, ``a`` or ``t``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

from ...errors import SettingError
from ...features.tasks import Task
from ...values import check_least
from ..config import NetworkSettings
from ..linear import Linear
from ..rows import Layout, Rows, attend
from .contract import Network, Slot, SlotInput, Trainable
from .layers import MeanPooling, task_heads

TEXT, AUDIO = "text", "audio"


@dataclass(frozen=True)
class CmRobertaSettings(NetworkSettings):
    """One variant of CM-RoBERTa."""

    network: ClassVar[str] = "cm-roberta"
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"join": ("residual", "concat")}

    attention: bool = True
    """Cross- and self-attention over the dialogue (equations 1 to 9); without it the LSTMs' fusion and the residual remain."""

    attention_layers: int = 2
    """Cross- and self-attention layers, one after another."""

    join: str = "residual"
    """What the sign of concatenation inside the layer norms does: a residual sum, or side by side and projected."""

    heads: int = 1
    """Attention heads; must divide twice the width."""

    width: int = 128
    """Values per direction of the LSTMs."""

    feed_forward: int = 128
    """Values inside the feed-forward blocks."""

    head_width: int = 128
    """Values inside each task's head."""

    dropout: float = 0.0
    """Share of values dropped in the heads; the paper names none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, 1, ("attention_layers", "heads", "width", "feed_forward", "head_width"))
        self.check_shares("dropout")
        if 2 * self.width % self.heads:
            raise SettingError(f"heads must divide twice the width {self.width}, but are {self.heads}")

    @property
    def variant(self) -> str:
        return super().variant + ("" if self.attention else "-no-attention")


class Lstm(nn.Module):
    """A bidirectional LSTM, or several in one direction, over the segments of each recording."""

    def __init__(self, width: int, inner: int, layers: int = 1, both_ways: bool = True) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, inner, num_layers=layers, batch_first=True, bidirectional=both_ways)

    def forward(self, vectors: Tensor, counts: Sequence[int]) -> Tensor:
        """(S, i) -> (S, o)"""
        outputs, _ = self.lstm(pack_sequence(vectors.split(list(counts)), enforce_sorted=False))
        return torch.cat(unpack_sequence(outputs))


class Join(nn.Module):
    """A vector and what was found out about it, as one: LayerNorm(x ⊕ y)."""

    def __init__(self, width: int, how: str) -> None:
        super().__init__()
        self.project = Linear(2 * width, width) if how == "concat" else None
        self.norm = nn.LayerNorm(width)

    def forward(self, vectors: Tensor, found: Tensor) -> Tensor:
        """Twice (S, d) -> (S, d)"""
        if self.project is None:
            return self.norm(vectors + found)
        return self.norm(self.project(torch.cat([vectors, found], dim=1)))


class AttentionLayer(nn.Module):
    """One stacked layer for one modality: what attention brings is joined, then what a feed-forward block makes of it."""

    def __init__(self, width: int, inner: int, how: str) -> None:
        super().__init__()
        self.query, self.key, self.value = (Linear(width, width) for _ in range(3))
        self.joined, self.fed = Join(width, how), Join(width, how)
        self.feed_forward = nn.Sequential(Linear(width, inner), nn.ReLU(), Linear(inner, width))

    def forward(self, vectors: Tensor, queries: Tensor, layout: Layout, heads: int) -> Tensor:
        """(S, d) of the modality, and those that ask -> (S, d); ``queries`` are already projected."""
        found = attend(queries, self.key(vectors), self.value(vectors), heads, layout, layout)
        joined = self.joined(vectors, found)  # eqs. 3, 4, 8
        return self.fed(joined, self.feed_forward(joined))  # eqs. 5, 6, 9


class CmRoberta(Trainable):
    """Sequences of both modalities through LSTMs, attention and mid-level fusion, and beside all of it what they were."""

    def __init__(
        self,
        outputs: Mapping[str, int],
        inputs: Mapping[str, SlotInput],
        *,
        per_segment: bool,
        attention: bool,
        attention_layers: int,
        join: str,
        heads: int,
        width: int,
        feed_forward: int,
        head_width: int,
        dropout: float,
    ) -> None:
        """``outputs``: numbers to predict per task; ``per_segment``: one output per segment, not per recording."""
        super().__init__()
        self.tasks, self.per_segment, self.heads_of_attention = tuple(outputs), per_segment, heads
        self.pooling = MeanPooling()
        # A slot of another name is audio too: x_a is all of them side by side (section 3.1).
        self.slots = {
            modality: tuple(name for name in inputs if (name == TEXT) == (modality == TEXT))
            for modality in (AUDIO, TEXT)
        }
        self.slots = {modality: names for modality, names in self.slots.items() if names}
        both = 2 * width
        widths = {modality: sum(inputs[name].width for name in names) for modality, names in self.slots.items()}
        self.encoders = nn.ModuleDict({modality: Lstm(each, width) for modality, each in widths.items()})
        self.residuals = nn.ModuleDict(
            {modality: nn.Sequential(Linear(each, both), nn.LayerNorm(both)) for modality, each in widths.items()}
        )
        parts = len(widths)  # of the residual
        self.cross = self.own = self.stacks = None
        if len(widths) == 1:
            parts += 1  # a model of one modality is LSTM and residual (table 1)
        else:
            if attention:
                self.cross, self.own = (
                    nn.ModuleDict(
                        {
                            modality: nn.ModuleList(
                                AttentionLayer(both, feed_forward, join) for _ in range(attention_layers)
                            )
                            for modality in widths
                        }
                    )
                    for _ in range(2)
                )
                parts += 4
            self.stacks = nn.ModuleDict({modality: Lstm(both, width, 2, both_ways=False) for modality in widths})
            self.fusion = Lstm(both, width)
            self.fused = nn.Sequential(Linear(both, feed_forward), nn.ReLU(), Linear(feed_forward, both))
            parts += 1
        self.heads = task_heads(outputs.values(), parts * both, head_width, dropout)

    def _vectors(self, slots: Mapping[str, Rows]) -> dict[str, Tensor]:
        """(S, ·) x_a and x_t; rows of frames or tokens are averaged."""
        vectors = {}
        for modality, names in self.slots.items():
            pooled = [self.pooling(slots[n].values, Layout(slots[n].lengths, slots[n].values.device)) for n in names]
            vectors[modality] = torch.cat(pooled, dim=1).float()
        return vectors

    def segment_vectors(self, slots: Mapping[str, Rows]) -> Tensor:
        """(N, ·) of each slot -> (S, d) or (S, 2d): the residuals, which know nothing of other segments."""
        with torch.autocast(_device_of(slots), enabled=False):
            return torch.cat([self.residuals[name](x) for name, x in self._vectors(slots).items()], dim=1)

    def context_vectors(self, slots: Mapping[str, Rows], segments: Sequence[int], speakers=None) -> Tensor:
        """(N, ·) of each slot -> (S, k·d): all parts side by side, seven of the full network."""
        with torch.autocast(_device_of(slots), enabled=False):  # recurrences gather rounding errors
            vectors = self._vectors(slots)
            residuals = [self.residuals[name](x) for name, x in vectors.items()]
            heard = {name: self.encoders[name](x, segments) for name, x in vectors.items()}  # H_a, H_t
            if self.stacks is None:
                return torch.cat([*heard.values(), *residuals], dim=1)
            parts = self._attended(heard, Layout(tuple(segments), next(iter(heard.values())).device))
            stacked = [self.stacks[name](x, segments) for name, x in heard.items()]
            parts.append(self.fused(self.fusion(torch.cat(stacked, dim=1), segments)))  # eq. 10
            return torch.cat([*parts, *residuals], dim=1)

    def _attended(self, heard: Mapping[str, Tensor], layout: Layout) -> list[Tensor]:
        """H_a^c, H_t^c, H_a^s and H_t^s; none without attention."""
        if self.cross is None:
            return []
        crossed, own = dict(heard), dict(heard)
        for crossing, keeping in zip(
            zip(*(self.cross[name] for name in heard), strict=True),
            zip(*(self.own[name] for name in heard), strict=True),
            strict=True,
        ):
            layers = dict(zip(heard, crossing, strict=True))
            asks = {name: layers[name].query(crossed[name]) for name in heard}
            others = {AUDIO: TEXT, TEXT: AUDIO}
            crossed = {  # both from what both were (eqs. 1 and 2)
                name: layers[name](crossed[name], asks[others[name]], layout, self.heads_of_attention) for name in heard
            }
            own = {
                name: layer(own[name], layer.query(own[name]), layout, self.heads_of_attention)
                for name, layer in zip(heard, keeping, strict=True)
            }
        return [*crossed.values(), *own.values()]

    def forward(self, slots: Mapping[str, Rows], segments: Sequence[int], speakers=None) -> dict[str, Tensor]:
        """Logits or values of each task: (S, outputs) if ``per_segment``, else (R, outputs) of the segments' mean."""
        vectors = self.context_vectors(slots, segments)
        with torch.autocast(vectors.device.type, enabled=False):
            if not self.per_segment:
                vectors = torch.stack([each.mean(dim=0) for each in vectors.split(list(segments))])
            return {task: head(vectors) for task, head in zip(self.tasks, self.heads, strict=True)}


def _device_of(slots: Mapping[str, Rows]) -> str:
    return next(iter(slots.values())).values.device.type


def slots(settings: CmRobertaSettings) -> tuple[Slot, ...]:
    """Text, audio, or both, as vectors or what is averaged to one."""
    both = (
        Slot(TEXT, ("vector", "token"), ("text",), may_be_empty=True),
        Slot(AUDIO, ("vector", "frame"), ("audio",), may_be_empty=True),
    )
    return tuple(slot for slot in both if settings.modalities in ("auto", "both", slot.name))


def build(settings: CmRobertaSettings, tasks: Sequence[Task], inputs: Mapping[str, SlotInput]) -> CmRoberta:
    """The network of one variant for these tasks, which share one level."""
    names = ("attention", "attention_layers", "join", "heads", "width", "feed_forward", "head_width", "dropout")
    return CmRoberta(
        {task.name: task.outputs for task in tasks},
        inputs,
        per_segment=tasks[0].level == "segment",
        **{name: getattr(settings, name) for name in names},
    )


NETWORK = Network(
    name="cm-roberta",
    help="CM-RoBERTa: a vector per modality and utterance, cross- and self-attention over the dialogue",
    settings=CmRobertaSettings,
    slots=slots,
    build=build,
    sees_future=lambda settings: True,
    more_slots=Slot("", ("vector", "frame"), ("audio",)),
)
