"""What networks share: attention, pooling of a segment's rows, context over a recording's segments, heads.

Letters: R recordings, S segments of all of them together, N rows of all segments together (see rows.py), L rows of the
longest segment in the batch, P of the longest that can be, d values per row, g values per direction of a GRU.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

from ..linear import Linear
from ..rows import Layout, attend

SPREAD = 0.02  # standard deviation of learned vectors at the start, as is usual for CLS tokens


class SelfAttention(nn.Module):
    """Multi-head attention of a stream over itself, with residual and layer norm."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = Linear(width, width)
        self.key_value = Linear(width, 2 * width)
        self.out = Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, stream: Tensor, layout: Layout) -> Tensor:
        """(N, d) -> (N, d)"""
        return self._answer(stream, layout, self.key_value(stream), layout)

    def of_first(self, stream: Tensor, layout: Layout) -> Tensor:
        """(N, d) -> (S, d): what ``forward`` makes of each segment's first row, where the others are not read."""
        first, alone = stream.index_select(0, layout.starts), Layout((1,) * len(layout.lengths), layout.device)
        return self._answer(first, alone, self.key_value(stream), layout)

    def _answer(self, stream: Tensor, asking: Layout, keys_values: Tensor, asked: Layout) -> Tensor:
        keys, values = keys_values.chunk(2, dim=1)  # (M, 2d) -> twice (M, d)
        answers = attend(self.query(stream), keys, values, self.heads, asking, asked)
        return self.norm(stream + self.dropout(self.out(answers)))


class Crossing(SelfAttention):
    """Multi-head attention of one stream over another, with residual and layer norm."""

    def forward(self, stream: Tensor, layout: Layout, other: Tensor, of_other: Layout) -> Tensor:  # type: ignore[override]
        """(N, d) and (M, d) -> (N, d)"""
        return self._answer(stream, layout, self.key_value(other), of_other)


class FeedForward(nn.Module):
    """Two layers on each row, with residual and layer norm."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.inner = Linear(width, inner)
        self.out = Linear(inner, width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, stream: Tensor) -> Tensor:
        """(N, d) -> (N, d)"""
        return self.norm(stream + self.dropout(self.out(torch.relu(self.inner(stream)))))


class TransformerLayer(nn.Module):
    """The Transformer of equations 3 and 4: self-attention and feed-forward, each with residual and norm after it."""

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = SelfAttention(width, heads, dropout)
        self.feed_forward = FeedForward(width, feed_forward, dropout)

    def forward(self, stream: Tensor, layout: Layout) -> Tensor:
        """(N, d) -> (N, d)"""
        return self.feed_forward(self.self_attention(stream, layout))


class ClsPooling(nn.Module):
    """The row of the CLS vector, which is each segment's first."""

    def forward(self, stream: Tensor, layout: Layout) -> Tensor:
        """(N, d) -> (S, d)"""
        return stream.index_select(0, layout.starts)


class MeanPooling(nn.Module):
    """The mean of a segment's rows."""

    def forward(self, stream: Tensor, layout: Layout) -> Tensor:
        """(N, d) -> (S, d)"""
        return layout.pad(stream).sum(dim=1) / layout.sizes[:, None]


class AttentionPooling(nn.Module):
    """A mean of a segment's rows with learned weights."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = Linear(width, 1)

    def forward(self, stream: Tensor, layout: Layout) -> Tensor:
        """(N, d) -> (S, d)"""
        scores = layout.pad(self.score(stream)).masked_fill(~layout.valid[:, :, None], -torch.inf)  # (S, L, 1)
        return (layout.pad(stream) * scores.softmax(dim=1)).sum(dim=1)


class FlattenPooling(nn.Module):
    """A weight for every position and value, P·d -> d.

    Positions past a segment's end count as zeros, so a batch needs the weights of its own longest segment only.
    """

    def __init__(self, width: int, positions: int) -> None:
        super().__init__()
        bound = (positions * width) ** -0.5  # as nn.Linear(positions * width, width) starts
        self.weight = nn.Parameter(torch.empty(positions * width, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, stream: Tensor, layout: Layout) -> Tensor:
        """(N, d) -> (S, d)"""
        flat = layout.pad(stream).flatten(1)  # (S, L, d) -> (S, L·d)
        return torch.addmm(self.bias, flat, self.weight[: flat.shape[1]])


def pooling_named(name: str, width: int, positions: int) -> nn.Module:
    """The module behind ``flatten``, ``cls``, ``mean`` or ``attention``."""
    if name == "flatten":
        return FlattenPooling(width, positions)
    return {"cls": ClsPooling, "mean": MeanPooling}[name]() if name != "attention" else AttentionPooling(width)


class GruContext(nn.Module):
    """A GRU over the segments of each recording, in order (section 3.6 of MSMT-FN), by default in both directions."""

    def __init__(self, width: int, layers: int, gru_width: int, both_ways: bool = True) -> None:
        super().__init__()
        self.gru = nn.GRU(width, gru_width, num_layers=layers, batch_first=True, bidirectional=both_ways)
        self.out = Linear(2 * gru_width if both_ways else gru_width, width)

    def forward(self, segments: Tensor, counts: Sequence[int], per_segment: bool) -> Tensor:
        """(S, d) -> (S, d) if ``per_segment``, else (R, d); ``counts`` are the segments of each recording."""
        outputs, last = self.gru(pack_sequence(segments.split(counts), enforce_sorted=False))
        if per_segment:
            return self.out(torch.cat(unpack_sequence(outputs)))  # (S, 2g) -> (S, d)
        if not self.gru.bidirectional:
            return self.out(last[-1])  # (R, g) -> (R, d)
        return self.out(torch.cat([last[-2], last[-1]], dim=1))  # forward ‖ backward, (R, 2g) -> (R, d)


class MeanContext(nn.Module):
    """The mean of a recording's segments, whatever their order."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = Linear(width, width)

    def forward(self, segments: Tensor, counts: Sequence[int], per_segment: bool) -> Tensor:
        """As ``GruContext``."""
        if per_segment:
            return self.out(segments)
        return self.out(torch.stack([recording.mean(dim=0) for recording in segments.split(counts)]))


def task_heads(counts: Iterable[int], width: int, inner: int, dropout: float) -> nn.ModuleList:
    """Two layers for each task, d -> ``inner`` -> as many numbers as ``counts`` says."""
    return nn.ModuleList(  # not by name: a task may be called what a module cannot be called
        nn.Sequential(nn.Dropout(dropout), Linear(width, inner), nn.ReLU(), Linear(inner, count)) for count in counts
    )
