"""WavLM's attention by distance: a learnt bias of each head for how far apart two frames are, gated by the frame that asks.

The bias is the same in all layers and segments, so it is made once for a batch; each layer has a gate of its own.

Letters in shapes: T frames, h heads, e values of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class RelativePositions:
    """The bias of the frames of one segment for each other."""

    def __init__(self, attention: nn.Module) -> None:
        """``attention`` is the first layer's, which holds the bias of all."""
        self.buckets = attention._relative_positions_bucket
        self.table = attention.rel_attn_embed.weight.detach().float()  # (buckets, h)

    def __call__(self, frames: int) -> Tensor:
        """(h, T, T) float32: what each frame adds to its score for each other."""
        distances = torch.arange(1 - frames, frames, device=self.table.device)
        by_distance = self.table[self.buckets(distances)].T  # (h, 2T - 1)
        # The window that starts at -i holds the distances of frame i to all, 0 - i … T - 1 - i.
        return by_distance.unfold(1, frames, 1).flip(1)


class Gate:
    """How much of the bias a frame takes, by what it is."""

    def __init__(self, attention: nn.Module) -> None:
        linear = attention.gru_rel_pos_linear
        self.weight, self.bias = linear.weight.detach().float(), linear.bias.detach().float()  # (8, e), (8,)
        self.constant = attention.gru_rel_pos_const.detach().float().view(-1, 1)  # (h, 1)

    def __call__(self, rows: Tensor) -> Tensor:
        """(T, h, e) float32, as they enter the attention -> (h, T, 1)."""
        length, heads, _ = rows.shape
        projected = functional.linear(rows, self.weight, self.bias).view(length, heads, 2, 4).sum(-1)
        reset, update = projected.sigmoid().chunk(2, dim=-1)  # (T, h, 1) each
        return (reset * (update * self.constant - 1) + 2).transpose(0, 1)
