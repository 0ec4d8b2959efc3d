"""MMML: text and audio cross, each with a CLS of its own, and each modality has a loss of its own.

Z. Wu, Z. Gong, J. Koo, J. Hirschberg, *Multimodal Multi-loss Fusion Network for Sentiment Analysis*, NAACL 2024; the
MSMT-FN paper's reference 19 and its baseline. Here its encoders stay as they are, and what stands on them is trained:

- A learned CLS stands before the rows of each modality; rows have no positions but those that their encoders gave them.
- A layer lets each modality ask the other, then itself, then goes through a feed-forward block; weights are its own.
- What the fusion says is predicted from both CLS; what the text alone says from its first token, what the audio alone
  says from the mean of its frames, each with a loss beside that of the fusion. Where a modality has labels of its own,
  as in CH-SIMS, what it says alone is held against those: of tasks ``sentiment`` and ``sentiment_text`` the fusion
  answers the first, the text alone the second.
- With context the texts of the two segments before, and the audio of the one before, go through the same layers; where
  the authors' code encodes the texts together, here they lie side by side as they were encoded.

Letters: R recordings, S segments of all of them together, N and M rows of text and audio of all segments together, d
values per row inside the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...errors import SettingError
from ...features.tasks import Task
from ...values import check_least
from ..config import NetworkSettings
from ..linear import Linear
from ..rows import Layout, Rows, interleave
from .contract import Answers, Network, Slot, SlotAnswers, SlotInput, Trainable
from .layers import SPREAD, Crossing, FeedForward, SelfAttention
from .windows import before_each

TEXT, AUDIO = "text", "audio"
_BEFORE = {TEXT: 2, AUDIO: 1}  # segments that are a segment's context


@dataclass(frozen=True)
class MmmlSettings(NetworkSettings):
    """One variant of MMML."""

    network: ClassVar[str] = "mmml"

    context: bool = True
    """Hear the texts of the two segments before, and the audio of the one before, in the same recording."""

    unimodal_weight: float = 1.0
    """How much the losses of what text and audio say alone count, each beside that of both."""

    width: int = 768
    """Values per row inside the network, to which features of another width are projected."""

    layers: int = 5
    """Fusion layers, one after another."""

    heads: int = 12
    """Attention heads; must divide the width."""

    feed_forward: int = 0
    """Values inside each feed-forward block; 0 for four times the width."""

    head_width: int = 512
    """Values of the inner layer of the fusion's head, without context."""

    dropout: float = 0.3
    """Share of values dropped in the layers and heads."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, 1, ("width", "layers", "heads", "head_width"))
        check_least(self, 0, ("feed_forward", "unimodal_weight"))
        self.check_shares("dropout")
        if self.width % self.heads:
            raise SettingError(f"heads must divide the width {self.width}, but are {self.heads}")

    @property
    def variant(self) -> str:
        return super().variant + ("" if self.context else "-no-context")


class FusionLayer(nn.Module):
    """Each stream asks the other, then itself, then goes through a feed-forward block; one stream alone asks itself."""

    def __init__(self, names: Sequence[str], width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.crossing = nn.ModuleDict()
        if len(names) == 2:
            self.crossing.update({name: Crossing(width, heads, dropout) for name in names})
        self.own = nn.ModuleDict({name: SelfAttention(width, heads, dropout) for name in names})
        self.feed_forward = nn.ModuleDict({name: FeedForward(width, feed_forward, dropout) for name in names})

    def forward(self, streams: Mapping[str, Tensor], layouts: Mapping[str, Layout]) -> dict[str, Tensor]:
        """(N, d) of each -> the same, one step on."""
        crossed = self._crossed(streams, layouts)
        return {name: self.feed_forward[name](self.own[name](each, layouts[name])) for name, each in crossed.items()}

    def of_first(self, streams: Mapping[str, Tensor], layouts: Mapping[str, Layout]) -> dict[str, Tensor]:
        """(N, d) of each -> (S, d): what ``forward`` makes of each segment's first row."""
        crossed = self._crossed(streams, layouts)
        return {
            name: self.feed_forward[name](self.own[name].of_first(each, layouts[name]))
            for name, each in crossed.items()
        }

    def _crossed(self, streams: Mapping[str, Tensor], layouts: Mapping[str, Layout]) -> Mapping[str, Tensor]:
        if not len(self.crossing):
            return streams
        other = {TEXT: AUDIO, AUDIO: TEXT}
        return {
            name: self.crossing[name](streams[name], layouts[name], streams[other[name]], layouts[other[name]])
            for name in streams
        }


class Mmml(Trainable):
    """Fusion of both modalities and what each says alone."""

    def __init__(
        self,
        outputs: Mapping[str, int],
        inputs: Mapping[str, SlotInput],
        *,
        per_segment: bool,
        context: bool,
        unimodal_weight: float,
        width: int,
        layers: int,
        heads: int,
        feed_forward: int,
        head_width: int,
        dropout: float,
    ) -> None:
        """``outputs``: numbers to predict per task; ``per_segment``: one output per segment, not per recording."""
        super().__init__()
        self.names, self.per_segment = tuple(inputs), per_segment
        self.context, self.unimodal_weight = context, unimodal_weight
        self.own = _own_tasks(outputs, self.names) if unimodal_weight else {}
        self.fused = tuple(task for task in outputs if task not in self.own)
        times = 2 if context else 1
        self.projection = nn.ModuleDict(
            {name: Linear(each.width, width) if each.width != width else nn.Identity() for name, each in inputs.items()}
        )
        self.cls = nn.ParameterDict({name: nn.Parameter(torch.randn(1, width) * SPREAD) for name in inputs})
        inner = feed_forward or 4 * width
        self.layers = nn.ModuleList(FusionLayer(self.names, width, heads, inner, dropout) for _ in range(layers))
        both = times * len(inputs) * width
        self.heads = nn.ModuleList(
            _fusion_head(both, width, head_width, outputs[task], context, dropout) for task in self.fused
        )
        self.alone = nn.ModuleDict(
            {
                name: nn.ModuleList(Linear(times * each.width, outputs[task]) for task in self.fused)
                for name, each in inputs.items()
            }
        )

    def _fused(self, slots: Mapping[str, Rows]) -> Tensor:
        """The CLS of each modality side by side after the last layer: (S, k·d)."""
        streams, layouts = {}, {}
        for name in self.names:
            rows = slots[name]
            pieces = self.projection[name](rows.values).split(rows.lengths)
            streams[name] = interleave([self.cls[name].to(pieces[0].dtype)] * len(pieces), pieces)
            layouts[name] = Layout(rows.lengths, rows.values.device).longer(1)
        *layers, last = self.layers
        for layer in layers:
            streams = layer(streams, layouts)
        return torch.cat(list(last.of_first(streams, layouts).values()), dim=1)

    def _alone(self, slots: Mapping[str, Rows]) -> dict[str, Tensor]:
        """What each modality says alone is said of: its first token, or the mean of its frames; zeros of no rows."""
        pooled = {}
        for name in self.names:
            rows = slots[name]
            if not max(rows.lengths):  # nothing was before any of them
                pooled[name] = rows.values.new_zeros(len(rows.lengths), rows.values.shape[1])
                continue
            grid = Layout(rows.lengths, rows.values.device).pad(rows.values)  # (N, w) -> (S, L, w)
            sizes = torch.tensor(rows.lengths, device=grid.device).clamp(min=1)
            pooled[name] = grid[:, 0] if name == TEXT else grid.sum(dim=1) / sizes[:, None]
        return pooled

    def segment_vectors(self, slots: Mapping[str, Rows]) -> Tensor:
        """(N, w) of each slot -> (S, k·d)"""
        return self._fused(slots)

    def context_vectors(self, slots: Mapping[str, Rows], segments: Sequence[int], speakers=None) -> Tensor:
        """(N, w) of each slot -> (S, 2k·d): the segment, and what was before it. Raises SettingError without context."""
        if not self.context:
            raise SettingError("mmml without context treats segments apart, so there are no vectors of their context")
        before = {name: before_each(slots[name], segments, _BEFORE[name]) for name in self.names}
        return torch.cat([self._fused(slots), self._fused(before)], dim=1)

    def forward(self, slots: Mapping[str, Rows], segments: Sequence[int], speakers=None) -> Mapping[str, Tensor]:
        """Logits or values of each task: (S, outputs) if ``per_segment``, else (R, outputs) of the segments' mean."""
        fused = self.context_vectors(slots, segments) if self.context else self._fused(slots)
        with torch.autocast(fused.device.type, enabled=False):
            said = self._said(self.heads, fused.float(), segments)
            is_learning = self.training and self.unimodal_weight and len(self.names) == 2
            if not is_learning and not self.own:
                return said
            alone = self._alone(slots)
            if self.context:
                before = self._alone({n: before_each(slots[n], segments, _BEFORE[n]) for n in self.names})
                alone = {name: torch.cat([alone[name], before[name]], dim=1) for name in self.names}
            by_slot = {
                name: self._as_own(name, self._said(self.alone[name], alone[name].float(), segments))
                for name in self.names
            }
        if is_learning:
            return Answers(said, {name: SlotAnswers(each, self.unimodal_weight) for name, each in by_slot.items()})
        return said | {task: by_slot[name][task] for task, (_, name) in self.own.items()}

    def _as_own(self, name: str, said: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a modality says alone, by the tasks that it is held against: those of its own where there are any."""
        own = {task: own for own, (task, of) in self.own.items() if of == name}
        return {own.get(task, task): values for task, values in said.items()}

    def _said(self, heads: nn.ModuleList, vectors: Tensor, segments: Sequence[int]) -> dict[str, Tensor]:
        if not self.per_segment:
            vectors = torch.stack([each.mean(dim=0) for each in vectors.split(list(segments))])
        return {task: head(vectors) for task, head in zip(self.fused, heads, strict=True)}


def _own_tasks(outputs: Mapping[str, int], names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Tasks that are another one as a single modality shows it: by their names that task's, and the modality.

    Of two modalities alone, for what one says by itself the fusion says too; and of as many outputs as that task.
    """
    if len(names) < 2:
        return {}
    found = {
        f"{task}_{name}": (task, name)
        for task in outputs
        for name in names
        if outputs.get(f"{task}_{name}") == outputs[task]
    }
    return {own: (task, name) for own, (task, name) in found.items() if task not in found}


def _fusion_head(both: int, width: int, inner: int, outputs: int, context: bool, dropout: float) -> nn.Sequential:
    """With context two layers, else three, as the authors' code has them."""
    layers = [nn.Dropout(dropout), Linear(both, width), nn.ReLU(), nn.Dropout(dropout)]
    if context:
        return nn.Sequential(*layers, Linear(width, outputs))
    return nn.Sequential(*layers, Linear(width, inner), nn.ReLU(), Linear(inner, outputs))


def slots(settings: MmmlSettings) -> tuple[Slot, ...]:
    """Tokens of text and frames of audio, or one of them."""
    both = (Slot(TEXT, ("token",), ("text",), True), Slot(AUDIO, ("frame",), ("audio",), True))
    return tuple(slot for slot in both if settings.modalities in ("auto", "both", slot.name))


def build(settings: MmmlSettings, tasks: Sequence[Task], inputs: Mapping[str, SlotInput]) -> Mmml:
    """The network of one variant for these tasks, which share one level."""
    names = ("context", "unimodal_weight", "width", "layers", "heads", "feed_forward", "head_width", "dropout")
    return Mmml(
        {task.name: task.outputs for task in tasks},
        inputs,
        per_segment=tasks[0].level == "segment",
        **{name: getattr(settings, name) for name in names},
    )


NETWORK = Network(
    name="mmml",
    help="MMML: text and audio cross, a loss for each modality, the segments before as context",
    settings=MmmlSettings,
    slots=slots,
    build=build,
    sees_future=lambda settings: False,
)
