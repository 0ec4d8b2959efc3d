"""Stage III of MERITS-L: both modalities ask each other over the dialogue, on the vectors of stage II.

- ``block``, of the authors' later code: 1,024 values a vector; each modality asks the other and then itself, each with
  queries, keys and values of 120 in 3 heads, residual and norm; several blocks. Padding is masked, which theirs is not.
- ``simple``: vectors are projected to 256, and each modality asks the other once, with residual and norm.

What both became and what both were, [T', A', T, A], goes through one hidden layer to the classes. ``joint`` has the
context of stage II inside, trained with the rest on the embeddings of stage I (figure 4). One modality alone asks itself.

Letters: R recordings, S segments of all of them together, N rows of all segments together, d values per row inside the
network, a values of queries, keys and values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...errors import SettingError
from ...features.tasks import Task
from ...values import check_least, check_most
from ..config import NetworkSettings
from ..linear import Linear
from ..rows import Layout, Rows, attend
from .contract import Network, SlotInput, Trainable
from .merits import DialogueContext, linear_heads, mean_rows, of_recordings, slots_of, without_autocast

BLOCK, SIMPLE = "block", "simple"
_USUAL = {  # what 0 stands for
    BLOCK: {"blocks": 4, "width": 1024, "attention_width": 120, "heads": 3},
    SIMPLE: {"blocks": 1, "width": 256, "attention_width": 256, "heads": 8},
}


@dataclass(frozen=True)
class MeritsStage3Settings(NetworkSettings):
    """One variant of stage III."""

    network: ClassVar[str] = "merits-stage3"
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"co_attention": (BLOCK, SIMPLE)}

    joint: bool = False
    """Train stages II and III as one, on the embeddings of stage I."""

    co_attention: str = BLOCK
    """How the modalities ask each other: block asks the other and then itself, simple asks the other alone."""

    blocks: int = 0
    """Co-attention layers, one after another; 0 for 4 of block and 1 of simple."""

    width: int = 0
    """Values per vector inside, to which others are projected; 0 for 1,024 with block and 256 with simple."""

    attention_width: int = 0
    """Values of queries, keys and values; 0 for 120 with block and 256 with simple."""

    heads: int = 0
    """Attention heads; must divide attention_width; 0 for 3 with block and 8 with simple."""

    head_width: int = 256
    """Values of the hidden layer before the classes."""

    dropout: float = 0.5
    """Share of values dropped of what co-attention brings, and before the classes."""

    gru_layers: int = 2
    """Layers of each Bi-GRU, where stages II and III are one."""

    gru_width: int = 512
    """Values per direction of each Bi-GRU, where stages II and III are one."""

    context_heads: int = 8
    """Heads of the self-attention over the dialogue, where stages II and III are one."""

    context_dropout: float = 0.5
    """Share of values dropped in the context, where stages II and III are one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, 1, ("head_width", "gru_layers", "gru_width", "context_heads"))
        check_least(self, 0, ("blocks", "width", "attention_width", "heads"))
        check_most(self, {"blocks": 256, "attention_width": 65_536, "context_heads": 65_536})
        self.check_shares("dropout", "context_dropout")
        sizes = self.sizes
        if sizes["attention_width"] % sizes["heads"]:
            raise SettingError(
                f"heads must divide attention_width {sizes['attention_width']}, but are {sizes['heads']}"
            )
        if 2 * self.gru_width % self.context_heads:
            raise SettingError(
                f"context_heads must divide twice the gru_width {self.gru_width}, but are {self.context_heads}"
            )

    @property
    def sizes(self) -> dict[str, int]:
        """``blocks``, ``width``, ``attention_width`` and ``heads``, with the usual ones in place of 0."""
        return {name: getattr(self, name) or usual for name, usual in _USUAL[self.co_attention].items()}

    @property
    def variant(self) -> str:
        simple = "-simple" if self.co_attention == SIMPLE else ""
        return super().variant + simple + ("-joint" if self.joint else "")


class NarrowAttention(nn.Module):
    """Attention in fewer values than the vectors have, with residual and layer norm."""

    def __init__(self, width: int, inner: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (Linear(width, inner) for _ in range(3))
        self.out = Linear(inner, width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, asking: Tensor, asked: Tensor, layout: Layout) -> Tensor:
        """Twice (S, d) -> (S, d)"""
        found = attend(self.query(asking), self.key(asked), self.value(asked), self.heads, layout, layout)
        return self.norm(asking + self.dropout(self.out(found)))


class CoAttention(nn.Module):
    """Each modality asks the other, both as they were; then each asks itself, where it does."""

    def __init__(
        self, names: Sequence[str], width: int, inner: int, heads: int, dropout: float, asks_itself: bool
    ) -> None:
        super().__init__()
        self.other = dict(zip(names, reversed(names), strict=True))

        def one_each() -> nn.ModuleDict:
            return nn.ModuleDict({name: NarrowAttention(width, inner, heads, dropout) for name in names})

        self.cross = one_each()
        self.own = one_each() if asks_itself else None

    def forward(self, streams: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
        """(S, d) of each -> the same, one step on."""
        crossed = {name: self.cross[name](each, streams[self.other[name]], layout) for name, each in streams.items()}
        if self.own is None:
            return crossed
        return {name: self.own[name](each, each, layout) for name, each in crossed.items()}


class MeritsStage3(Trainable):
    """Co-attention over the dialogue, and a head for each task on every utterance."""

    def __init__(
        self,
        outputs: Mapping[str, int],
        inputs: Mapping[str, SlotInput],
        *,
        per_segment: bool,
        asks_itself: bool,
        blocks: int,
        width: int,
        attention_width: int,
        heads: int,
        head_width: int,
        dropout: float,
        joint: bool,
        gru_layers: int,
        gru_width: int,
        context_heads: int,
        context_dropout: float,
    ) -> None:
        """``outputs``: numbers to predict per task; ``per_segment``: one output per segment, not per recording."""
        super().__init__()
        self.names, self.tasks, self.per_segment = tuple(inputs), tuple(outputs), per_segment
        widths = {name: each.width for name, each in inputs.items()}
        self.contexts = None
        if joint:
            self.contexts = nn.ModuleDict(
                {
                    name: DialogueContext(each, gru_layers, gru_width, context_heads, context_dropout)
                    for name, each in widths.items()
                }
            )
            widths = dict.fromkeys(widths, 2 * gru_width)
        self.projections = nn.ModuleDict(
            {name: Linear(each, width) if each != width else nn.Identity() for name, each in widths.items()}
        )
        self.blocks = nn.ModuleList(
            CoAttention(self.names, width, attention_width, heads, dropout, asks_itself) for _ in range(blocks)
        )
        self.hidden = Linear(2 * len(widths) * width, head_width)
        self.dropout = nn.Dropout(dropout)
        self.heads = linear_heads(tuple(outputs.values()), head_width)

    def segment_vectors(self, slots: Mapping[str, Rows]) -> Tensor:
        """(N, ·) of each slot -> (S, h): each segment as if it were all of its dialogue."""
        return self.context_vectors(slots, (1,) * len(next(iter(slots.values())).lengths))

    def context_vectors(self, slots: Mapping[str, Rows], segments: Sequence[int], speakers=None) -> Tensor:
        """(N, ·) of each slot -> (S, h) the hidden layer."""
        with without_autocast(slots):
            vectors = {name: mean_rows(slots, [name]) for name in self.names}
            if self.contexts is not None:
                vectors = {name: self.contexts[name](each, segments) for name, each in vectors.items()}
            before = {name: self.projections[name](each) for name, each in vectors.items()}
            layout = Layout(tuple(segments), next(iter(before.values())).device)
            after = before
            for block in self.blocks:
                after = block(after, layout)
            return torch.relu(self.hidden(torch.cat([*after.values(), *before.values()], dim=1)))

    def forward(self, slots: Mapping[str, Rows], segments: Sequence[int], speakers=None) -> dict[str, Tensor]:
        """Logits or values of each task: (S, outputs) if ``per_segment``, else (R, outputs) of the segments' mean."""
        vectors = self.context_vectors(slots, segments)
        with without_autocast(slots):
            vectors = self.dropout(vectors if self.per_segment else of_recordings(vectors, segments))
            return {task: head(vectors) for task, head in zip(self.tasks, self.heads, strict=True)}


def build(settings: MeritsStage3Settings, tasks: Sequence[Task], inputs: Mapping[str, SlotInput]) -> MeritsStage3:
    """The network for these tasks, which share one level."""
    names = ("head_width", "dropout", "joint", "gru_layers", "gru_width", "context_heads", "context_dropout")
    return MeritsStage3(
        {task.name: task.outputs for task in tasks},
        inputs,
        per_segment=tasks[0].level == "segment",
        asks_itself=settings.co_attention == BLOCK,
        **settings.sizes,
        **{name: getattr(settings, name) for name in names},
    )


NETWORK = Network(
    name="merits-stage3",
    help="MERITS-L, stage III: text and audio ask each other over the dialogue; --joint trains stages II and III as one",
    settings=MeritsStage3Settings,
    slots=slots_of,
    build=build,
    sees_future=lambda settings: True,
)
