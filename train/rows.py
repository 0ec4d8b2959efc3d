"""Rows of many segments, one segment after another, without padding.

Segments last from a second to forty, so most of a padded batch would be padding. Everything that treats rows one by one
(projections, feed-forward, norms) runs on the valid rows alone; only attention has to know where a segment ends.

Letters: N rows of all segments together, S segments, L rows of the longest one, d values per row, h heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


@dataclass(frozen=True)
class Rows:
    """The rows of one feature for some segments."""

    values: Tensor
    """(N, d) the rows of the first segment, then those of the second, and so on."""

    lengths: tuple[int, ...]
    """Rows of each segment."""


@dataclass(frozen=True)
class Layout:
    """Which of N rows belong to which segment: the first ``lengths[0]`` to the first, and so on."""

    lengths: tuple[int, ...]
    """Rows of each segment."""

    device: torch.device
    """Where the rows are."""

    def longer(self, count: int) -> Layout:
        """The layout after ``count`` rows were added to each segment."""
        return Layout(tuple(length + count for length in self.lengths), self.device)

    @property
    def longest(self) -> int:
        return max(self.lengths)

    @cached_property
    def sizes(self) -> Tensor:
        """(S,) rows of each segment."""
        return torch.tensor(self.lengths).to(self.device)

    @cached_property
    def starts(self) -> Tensor:
        """(S,) the first row of each segment."""
        return self.sizes.cumsum(0) - self.sizes

    @cached_property
    def place(self) -> Tensor:
        """(N,) where each row stands in a grid of S·L rows."""
        places = [torch.arange(length) + i * self.longest for i, length in enumerate(self.lengths)]
        return torch.cat(places).to(self.device)

    @cached_property
    def valid(self) -> Tensor:
        """(S, L) False where the grid has no row."""
        return torch.arange(self.longest, device=self.device) < self.sizes[:, None]

    @property
    def has_padding(self) -> bool:
        """Whether the grid has more places than there are rows."""
        return min(self.lengths) < self.longest

    def pad(self, rows: Tensor) -> Tensor:
        """(N, d) -> (S, L, d), zeros where there is no row."""
        segments, longest = len(self.lengths), self.longest
        if not self.has_padding:
            return rows.view(segments, longest, -1)
        grid = rows.new_zeros(segments * longest, rows.shape[1])
        return grid.index_copy_(0, self.place, rows).view(segments, longest, -1)

    def unpad(self, grid: Tensor) -> Tensor:
        """(S, L, d) -> (N, d)"""
        rows = grid.flatten(0, 1)
        return rows.index_select(0, self.place) if self.has_padding else rows


def interleave(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """All rows of ``first[0]``, then of ``second[0]``, ``first[1]``, ``second[1]`` and so on: (N, d)."""
    return torch.cat([rows for pair in zip(first, second, strict=True) for rows in pair])


def attend(queries: Tensor, keys: Tensor, values: Tensor, heads: int, asking: Layout, asked: Layout) -> Tensor:
    """Scaled dot-product attention (equation 1) of each segment's queries over its own keys and values.

    ``queries`` (N, d) lie as ``asking`` says, ``keys`` and ``values`` (M, d) as ``asked`` says; returns (N, d).
    """
    # One call per segment does no work on padding, which a CPU notices; many small calls keep a GPU waiting.
    way = attend_one_by_one if queries.device.type == "cpu" else attend_padded
    return way(queries, keys, values, heads, asking, asked)


def attend_one_by_one(
    queries: Tensor, keys: Tensor, values: Tensor, heads: int, asking: Layout, asked: Layout
) -> Tensor:
    """``attend`` with one call per segment, no padding and no mask."""

    def split(rows: Tensor, layout: Layout) -> Sequence[Tensor]:
        # (N, d) -> (1, h, N, d/h) -> per segment (1, h, length, d/h)
        return rows.unflatten(1, (heads, -1)).transpose(0, 1).unsqueeze(0).split(layout.lengths, dim=2)

    segments = zip(split(queries, asking), split(keys, asked), split(values, asked), strict=True)
    answers = [scaled_dot_product_attention(*segment) for segment in segments]
    return torch.cat(answers, dim=2).squeeze(0).transpose(0, 1).flatten(1)  # (1, h, N, d/h) -> (N, d)


def attend_padded(queries: Tensor, keys: Tensor, values: Tensor, heads: int, asking: Layout, asked: Layout) -> Tensor:
    """``attend`` with one call for all segments, padded to the longest; what is padding is masked."""

    def grid(rows: Tensor, layout: Layout) -> Tensor:
        return layout.pad(rows).unflatten(2, (heads, -1)).transpose(1, 2)  # (N, d) -> (S, h, L, d/h)

    mask = asked.valid[:, None, None, :] if asked.has_padding else None
    answers = scaled_dot_product_attention(
        grid(queries, asking), grid(keys, asked), grid(values, asked), attn_mask=mask
    )
    return asking.unpad(answers.transpose(1, 2).flatten(2))  # (S, h, L, d/h) -> (S, L, d) -> (N, d)
