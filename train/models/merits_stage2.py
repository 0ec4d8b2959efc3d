"""Stage II of MERITS-L: one modality over the dialogue, on the embeddings of stage I.

A Bi-GRU reads the utterances in order; its layer-normed outputs attend over the dialogue, with residual and norm. What
comes of that for each utterance is what stage III learns from.

Letters: R recordings, S segments of all of them together, N rows of all segments together, d values per row, g values
per direction of the GRU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ...errors import SettingError
from ...features.tasks import Task
from ...values import check_least
from ..config import NetworkSettings
from ..rows import Rows
from .contract import Network, SlotInput, Trainable
from .merits import (
    DialogueContext,
    check_hears_one,
    check_is_one,
    linear_heads,
    mean_rows,
    of_recordings,
    slots_of,
    without_autocast,
)


@dataclass(frozen=True)
class MeritsStage2Settings(NetworkSettings):
    """One variant of stage II."""

    network: ClassVar[str] = "merits-stage2"
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"modalities": ("auto", "text", "audio")}

    gru_layers: int = 2
    """Layers of the Bi-GRU."""

    gru_width: int = 512
    """Values per direction of the Bi-GRU; an utterance's vector has twice as many."""

    heads: int = 8
    """Heads of the self-attention; must divide twice gru_width."""

    dropout: float = 0.5
    """Share of values dropped between the layers of the Bi-GRU, of what attention brings, and before the classes."""

    def __post_init__(self) -> None:
        check_hears_one(self)
        super().__post_init__()
        check_least(self, 1, ("gru_layers", "gru_width", "heads"))
        self.check_shares("dropout")
        if 2 * self.gru_width % self.heads:
            raise SettingError(f"heads must divide twice the gru_width {self.gru_width}, but are {self.heads}")


class MeritsStage2(Trainable):
    """Context over the dialogue, and a head for each task on every utterance."""

    def __init__(
        self,
        outputs: Mapping[str, int],
        inputs: Mapping[str, SlotInput],
        *,
        per_segment: bool,
        gru_layers: int,
        gru_width: int,
        heads: int,
        dropout: float,
    ) -> None:
        """``outputs``: numbers to predict per task; ``per_segment``: one output per segment, not per recording."""
        super().__init__()
        self.slots, self.tasks, self.per_segment = tuple(inputs), tuple(outputs), per_segment
        width = sum(each.width for each in inputs.values())
        self.context = DialogueContext(width, gru_layers, gru_width, heads, dropout)
        self.dropout = nn.Dropout(dropout)
        self.heads = linear_heads(tuple(outputs.values()), 2 * gru_width)

    def segment_vectors(self, slots: Mapping[str, Rows]) -> Tensor:
        """(N, d) of each slot -> (S, 2g): each segment as if it were all of its dialogue."""
        return self.context_vectors(slots, (1,) * len(next(iter(slots.values())).lengths))

    def context_vectors(self, slots: Mapping[str, Rows], segments: Sequence[int], speakers=None) -> Tensor:
        """(N, d) of each slot -> (S, 2g)"""
        with without_autocast(slots):
            return self.context(mean_rows(slots, self.slots), segments)

    def forward(self, slots: Mapping[str, Rows], segments: Sequence[int], speakers=None) -> dict[str, Tensor]:
        """Logits or values of each task: (S, outputs) if ``per_segment``, else (R, outputs) of the segments' mean."""
        vectors = self.context_vectors(slots, segments)
        with without_autocast(slots):
            vectors = self.dropout(vectors if self.per_segment else of_recordings(vectors, segments))
            return {task: head(vectors) for task, head in zip(self.tasks, self.heads, strict=True)}


def build(settings: MeritsStage2Settings, tasks: Sequence[Task], inputs: Mapping[str, SlotInput]) -> MeritsStage2:
    """The network for these tasks, which share one level."""
    check_is_one(settings.network, inputs)
    return MeritsStage2(
        {task.name: task.outputs for task in tasks},
        inputs,
        per_segment=tasks[0].level == "segment",
        **{name: getattr(settings, name) for name in ("gru_layers", "gru_width", "heads", "dropout")},
    )


NETWORK = Network(
    name="merits-stage2",
    help="MERITS-L, stage II: one modality, a Bi-GRU with self-attention over the dialogue",
    settings=MeritsStage2Settings,
    slots=slots_of,
    build=build,
    sees_future=lambda settings: True,
)
