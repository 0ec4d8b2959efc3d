"""Stage I of MERITS-L: a light head on the vector of one utterance in one modality, utterances apart.

For audio it is the head of CARE's code: the 13 layers summed with learned weights (a slot that sums several features does
that), the pooled vector beside them, Linear 2304 -> 768, dropout, Linear 768 -> 256, which are the utterance's embedding,
dropout, and a linear layer to the classes. Nothing bends between the first two layers. For text the paper's stage I is
the fine-tuning of RoBERTa-FT itself; on its vectors as they were extracted, the same light head stands in its place.

Letters: R recordings, S segments of all of them together, N rows of all segments together, d values per row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ...errors import SettingError
from ...features.tasks import Task
from ...values import check_least, check_most
from ..config import NetworkSettings
from ..linear import Linear
from ..rows import Rows
from .contract import Network, Slot, SlotInput, Trainable
from .merits import check_hears_one, check_is_one, linear_heads, mean_rows, of_recordings, slots_of, without_autocast


@dataclass(frozen=True)
class MeritsStage1Settings(NetworkSettings):
    """One variant of stage I."""

    network: ClassVar[str] = "merits-stage1"
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"modalities": ("auto", "text", "audio")}

    hidden: int = 768
    """Values of the first layer."""

    width: int = 256
    """Values of an utterance's embedding, which stage II learns from."""

    dropout: float = 0.2
    """Share of values dropped after the first layer and before the classes."""

    def __post_init__(self) -> None:
        check_hears_one(self)
        super().__post_init__()
        check_least(self, 1, ("hidden", "width"))
        check_most(self, {"hidden": 65_536})
        self.check_shares("dropout")


class MeritsStage1(Trainable):
    """Two linear layers on an utterance's vector, and a head for each task."""

    def __init__(
        self,
        outputs: Mapping[str, int],
        inputs: Mapping[str, SlotInput],
        *,
        per_segment: bool,
        hidden: int,
        width: int,
        dropout: float,
    ) -> None:
        """``outputs``: numbers to predict per task; ``per_segment``: one output per segment, not per recording."""
        super().__init__()
        self.slots, self.tasks, self.per_segment = tuple(inputs), tuple(outputs), per_segment
        self.embedding = nn.Sequential(
            Linear(sum(each.width for each in inputs.values()), hidden), nn.Dropout(dropout), Linear(hidden, width)
        )
        self.dropout = nn.Dropout(dropout)
        self.heads = linear_heads(tuple(outputs.values()), width)

    def segment_vectors(self, slots: Mapping[str, Rows]) -> Tensor:
        """(N, d) of each slot -> (S, w)"""
        with without_autocast(slots):
            return self.embedding(mean_rows(slots, self.slots))

    def context_vectors(self, slots: Mapping[str, Rows], segments: Sequence[int], speakers=None) -> Tensor:
        raise SettingError(
            "merits-stage1 treats segments apart, so it has no vectors of their context: embed --from segment"
        )

    def forward(self, slots: Mapping[str, Rows], segments: Sequence[int], speakers=None) -> dict[str, Tensor]:
        """Logits or values of each task: (S, outputs) if ``per_segment``, else (R, outputs) of the segments' mean."""
        vectors = self.segment_vectors(slots)
        with without_autocast(slots):
            vectors = self.dropout(vectors if self.per_segment else of_recordings(vectors, segments))
            return {task: head(vectors) for task, head in zip(self.tasks, self.heads, strict=True)}


def build(settings: MeritsStage1Settings, tasks: Sequence[Task], inputs: Mapping[str, SlotInput]) -> MeritsStage1:
    """The network for these tasks, which share one level."""
    check_is_one(settings.network, inputs)
    return MeritsStage1(
        {task.name: task.outputs for task in tasks},
        inputs,
        per_segment=tasks[0].level == "segment",
        **{name: getattr(settings, name) for name in ("hidden", "width", "dropout")},
    )


NETWORK = Network(
    name="merits-stage1",
    help="MERITS-L, stage I: one modality, a light head on the vector of each utterance",
    settings=MeritsStage1Settings,
    slots=slots_of,
    build=build,
    sees_future=lambda settings: False,
    more_slots=Slot("", ("vector", "frame"), ("audio",)),
)
