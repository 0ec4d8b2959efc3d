"""MSMT-FN: from the features of a recording's segments to one output per task (paper section 3).

Letters: R recordings, S segments of all of them together, N rows of the stream and M of the audio of all segments
together (see rows.py), K bottleneck tokens, d values per row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...errors import SettingError
from ...features.tasks import Task
from ..config import ModelConfig
from ..linear import Linear
from ..rows import Layout, Rows, interleave
from .contract import Network, Slot, SlotInput, Trainable
from .layers import (
    SPREAD,
    FeedForward,
    GruContext,
    MeanContext,
    SelfAttention,
    TransformerLayer,
    pooling_named,
    task_heads,
)

BOTH_STREAMS = ("text", "complementary")


class Audio(NamedTuple):
    """What the text asks."""

    rows: Tensor
    """(M, d) the audio of each segment, with a row of zeros before it."""

    layout: Layout
    """How the rows lie."""

    cls: Tensor
    """(1, d) the learned vector that stands in place of those zeros."""


class CrossAttention(SelfAttention):
    """Multi-head attention of a stream over the audio (equation 1), with residual and layer norm."""

    def forward(self, stream: Tensor, layout: Layout, audio: Audio) -> Tensor:  # type: ignore[override]
        """(N, d) -> (N, d)"""
        keys_values = self.key_value(audio.rows)
        # Features are constants. Kept apart from the one row that learns, they need no gradient of their own,
        # and that would be a third of the work on audio.
        of_cls = self.key_value(audio.cls).expand(len(audio.layout.lengths), -1)
        keys_values.index_copy_(0, audio.layout.starts, of_cls)
        return self._answer(stream, layout, keys_values, audio.layout)


class ComplementaryLayer(nn.Module):
    """The stream asks the audio, then itself, then goes through a feed-forward block (section 3.4)."""

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.cross_attention = CrossAttention(width, heads, dropout)
        self.self_attention = SelfAttention(width, heads, dropout)
        self.feed_forward = FeedForward(width, feed_forward, dropout)

    def forward(self, stream: Tensor, layout: Layout, audio: Audio) -> Tensor:
        """(N, d) -> (N, d)"""
        stream = self.cross_attention(stream, layout, audio)
        return self.feed_forward(self.self_attention(stream, layout))


class Streams(NamedTuple):
    """What goes from one bottleneck layer to the next."""

    text: Tensor
    """(N, d)"""

    complementary: Tensor
    """(N, d)"""

    bottleneck: Tensor
    """(S·K, d) the bottleneck tokens of each segment."""


class BottleneckLayer(nn.Module):
    """One step of equations 3 to 5. Each stream has a Transformer of its own, as in MBT (reference 15), or one is
    ``shared`` by both, as the paper's equations read."""

    def __init__(
        self,
        width: int,
        heads: int,
        feed_forward: int,
        dropout: float,
        shared: bool = False,
        streams: Sequence[str] = BOTH_STREAMS,
    ) -> None:
        """``streams``: those that are read after this step; the other one stays as it is, and costs nothing."""
        super().__init__()
        self.streams = tuple(streams)
        self.shared = self.text = self.complementary = None
        for name in ("shared",) if shared else self.streams:
            setattr(self, name, TransformerLayer(width, heads, feed_forward, dropout))

    def forward(
        self, text: Tensor, complementary: Tensor, bottleneck: Tensor, layout: Layout, joint: Layout
    ) -> Streams:
        """Two streams (N, d) and the bottleneck tokens of all segments (S·K, d) -> the same three, one step on.

        ``layout`` says how each stream lies, ``joint`` how one lies with K rows more after each segment's own.
        """
        from_text = from_complementary = bottleneck
        if "text" in self.streams:
            text, from_text = self._step(self.shared or self.text, text, bottleneck, layout, joint)  # eq. 3
        if "complementary" in self.streams:
            complementary, from_complementary = self._step(  # eq. 4
                self.shared or self.complementary, complementary, bottleneck, layout, joint
            )
        return Streams(text, complementary, bottleneck=(from_text + from_complementary) / 2)  # eq. 5

    @staticmethod
    def _step(
        transformer: nn.Module, stream: Tensor, bottleneck: Tensor, layout: Layout, joint: Layout
    ) -> tuple[Tensor, Tensor]:
        tokens = len(bottleneck) // len(layout.lengths)
        both = interleave(stream.split(layout.lengths), bottleneck.split(tokens))  # (N, d), (S·K, d) -> (N + S·K, d)
        parts = transformer(both, joint).split([rows for length in layout.lengths for rows in (length, tokens)])
        return torch.cat(parts[0::2]), torch.cat(parts[1::2])


class BottleneckFusion(nn.Module):
    """Bottleneck layers one after another, from learned tokens that are the same for every segment (section 3.5)."""

    def __init__(
        self,
        width: int,
        heads: int,
        feed_forward: int,
        layers: int,
        tokens: int,
        dropout: float,
        shared: bool = False,
        streams: Sequence[str] = BOTH_STREAMS,
    ) -> None:
        """``shared``: one Transformer for both streams; ``streams``: those that are read after the last layer."""
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(tokens, width) * SPREAD)
        self.layers = nn.ModuleList(
            BottleneckLayer(
                width, heads, feed_forward, dropout, shared, streams if layer == layers - 1 else BOTH_STREAMS
            )
            for layer in range(layers)
        )

    def forward(self, text: Tensor, complementary: Tensor, layout: Layout) -> Streams:
        """Two streams (N, d) that lie alike -> both, and the tokens, after the last layer.

        Where one stream alone is read, the last layer leaves the other as it is.
        """
        streams = Streams(text, complementary, bottleneck=self.tokens.repeat(len(layout.lengths), 1))
        joint = layout.longer(len(self.tokens))
        for layer in self.layers:
            streams = layer(*streams, layout, joint)
        return streams


class MsmtFn(Trainable):
    """The whole network. ``widths`` and ``positions`` hold an entry for each modality that it sees."""

    def __init__(
        self,
        outputs: Mapping[str, int],
        widths: Mapping[str, int],
        positions: Mapping[str, int],
        *,
        per_segment: bool = False,
        bottleneck: bool = True,
        segment_vector: str = "mean",
        shared_bottleneck: bool = False,
        pooling: str = "attention",
        width: int = 0,
        heads: int = 12,
        feed_forward: int = 3072,
        complementary_layers: int = 4,
        text_layers: int = 1,
        bottleneck_layers: int = 2,
        bottleneck_tokens: int = 4,
        context: bool = True,
        gru_layers: int = 2,
        gru_width: int = 128,
        head_width: int = 512,
        dropout: float = 0.3,
        context_dropout: float = 0.5,
    ) -> None:
        """``outputs``: numbers to predict per task; ``widths``: values per row of each modality's feature;
        ``positions``: most rows of each; ``per_segment``: one output per segment instead of one per recording."""
        super().__init__()
        main = "text" if "text" in widths else "audio"  # the stream that becomes the segment vector
        width = width or widths[main]
        if width % heads:
            raise SettingError(f"heads must divide the width, but {heads} does not divide {width}: choose --heads")
        self.main, self.per_segment, self.tasks = main, per_segment, tuple(outputs)
        self.cls = nn.ParameterDict({name: nn.Parameter(torch.randn(1, width) * SPREAD) for name in widths})
        self.projection = nn.ModuleDict(
            {name: Linear(own, width) if own != width else nn.Identity() for name, own in widths.items()}
        )
        self.segment_vector = segment_vector
        # A stream that reaches the output by no way has no layers: their weights would never learn.
        if segment_vector == "complementary" and not bottleneck:
            text_layers = 0
        self.self_attention = nn.ModuleList(SelfAttention(width, heads, dropout) for _ in range(text_layers))
        self.complementary = self.fusion = None
        if len(widths) == 2:
            self.complementary = nn.ModuleList(
                ComplementaryLayer(width, heads, feed_forward, dropout) for _ in range(complementary_layers)
            )
        if len(widths) == 2 and bottleneck:
            self.fusion = BottleneckFusion(
                width,
                heads,
                feed_forward,
                bottleneck_layers,
                bottleneck_tokens,
                dropout,
                shared_bottleneck,
                streams=BOTH_STREAMS if segment_vector == "mean" else (segment_vector,),
            )
        self.pooling = pooling_named(pooling, width, positions[main] + 1)
        self.context = GruContext(width, gru_layers, gru_width) if context else MeanContext(width)
        self.context_dropout = nn.Dropout(context_dropout)
        self.heads = task_heads(outputs.values(), width, head_width, dropout)

    def segment_vectors(self, features: Mapping[str, Rows]) -> Tensor:
        """Rows of each modality -> one vector per segment (S, d)."""
        main, layout = self._with_cls(self.main, features, self.cls[self.main])
        stream = main
        for attention in self.self_attention:
            stream = attention(stream, layout)
        if self.complementary is not None:
            cls = self.cls["audio"]
            audio = Audio(*self._with_cls("audio", features, torch.zeros_like(cls)), cls)
            complementary = main
            for layer in self.complementary:
                complementary = layer(complementary, layout, audio)
            if self.fusion is not None:
                stream, complementary, _ = self.fusion(stream, complementary, layout)
            if self.segment_vector == "mean":
                stream = (stream + complementary) / 2
            elif self.segment_vector == "complementary":
                stream = complementary
        return self.pooling(stream, layout)

    def _with_cls(self, modality: str, features: Mapping[str, Rows], cls: Tensor) -> tuple[Tensor, Layout]:
        """The rows of one modality, (N, own width) -> (N + S, d), with ``cls`` before each segment."""
        rows = features[modality]
        segments = self.projection[modality](rows.values).split(rows.lengths)
        return interleave([cls] * len(segments), segments), Layout(rows.lengths, cls.device).longer(1)

    def forward(self, features: Mapping[str, Rows], counts: Sequence[int], speakers=None) -> dict[str, Tensor]:
        """``features``: rows of each modality; ``counts``: segments of each recording.

        Returns logits or values of each task: (R, outputs), or (S, outputs) if ``per_segment``.
        """
        vectors = self.segment_vectors(features)  # (S, d)
        # The rest is a sliver of the work, and a recurrence gathers rounding errors: always float32.
        with torch.autocast(vectors.device.type, enabled=False):
            context = self.context(vectors.float(), counts, self.per_segment)  # (S, d) -> (R or S, d)
            context = self.context_dropout(torch.relu(context))
            return {task: head(context) for task, head in zip(self.tasks, self.heads, strict=True)}

    def context_vectors(self, features: Mapping[str, Rows], counts: Sequence[int], speakers=None) -> Tensor:
        """Rows of each modality -> what the context makes of each segment (S, d)."""
        vectors = self.segment_vectors(features)
        with torch.autocast(vectors.device.type, enabled=False):
            return self.context(vectors.float(), counts, per_segment=True)


def slots(settings: ModelConfig) -> tuple[Slot, ...]:
    """Tokens of text and frames of audio, or one of them."""
    both = (Slot("text", ("token",), ("text",), True), Slot("audio", ("frame",), ("audio",), True))
    return tuple(slot for slot in both if settings.modalities in ("auto", "both", slot.name))


def build(settings: ModelConfig, tasks: Sequence[Task], inputs: Mapping[str, SlotInput]) -> MsmtFn:
    """The network of one variant for these tasks, which share one level."""
    sizes = dataclasses.asdict(settings)
    del sizes["mtl"], sizes["modalities"]  # they chose the tasks and the slots
    return MsmtFn(
        outputs={task.name: task.outputs for task in tasks},
        widths={modality: each.width for modality, each in inputs.items()},
        positions={modality: each.positions for modality, each in inputs.items()},
        per_segment=tasks[0].level == "segment",
        **sizes,
    )


NETWORK = Network(
    name="msmt-fn",
    help="the paper's: text asks audio, bottleneck fusion, Bi-GRU",
    settings=ModelConfig,
    slots=slots,
    build=build,
    sees_future=lambda settings: settings.context,
)
