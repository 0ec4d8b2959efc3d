"""The prosody encoder of S. Yang et al., *Speech Representation Disentanglement with Adversarial Mutual Information
Learning for One-shot Voice Conversion*, Interspeech 2022, on rows of features instead of a spectrogram and a pitch
contour.

Rhythm is heard by one block of convolution, group norm and ReLU and a bidirectional LSTM of one value each way;
pitch by three blocks and an LSTM of 32. Of every 8 rows the last of the forward and the first of the backward
direction are kept, and stand for all 8.

Letters: N rows of all segments together, S segments, L rows of the longest, d values per row, c channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..linear import Linear
from ..rows import Layout

EVERY = 8  # rows that one value stands for
_KERNEL = 5


class ValidGroupNorm(nn.Module):
    """Group norm over a segment's own rows: padding has no part in mean and deviation."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, grid: Tensor, layout: Layout) -> Tensor:
        """(S, L, c) -> (S, L, c), zeros where there is no row"""
        valid = layout.valid[:, :, None, None]
        grouped = grid.unflatten(2, (self.groups, -1))  # (S, L, g, c/g)
        count = layout.sizes[:, None, None, None] * grouped.shape[3]
        mean = (grouped * valid).sum(dim=(1, 3), keepdim=True) / count
        apart = (grouped - mean) * valid
        deviation = (apart.square().sum(dim=(1, 3), keepdim=True) / count + 1e-5).sqrt()
        return ((apart / deviation).flatten(2) * self.weight + self.bias) * layout.valid[:, :, None]


class Heard(nn.Module):
    """Blocks of convolution, norm and ReLU, and a bidirectional LSTM, every so many rows of which are kept."""

    def __init__(self, width: int, channels: int, groups: int, blocks: int, inner: int) -> None:
        super().__init__()
        widths = [width, *[channels] * blocks]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, channels, _KERNEL, padding=_KERNEL // 2) for before in widths[:-1]
        )
        self.norms = nn.ModuleList(ValidGroupNorm(groups, channels) for _ in range(blocks))
        self.lstm = nn.LSTM(channels, inner, batch_first=True, bidirectional=True)

    def forward(self, rows: Tensor, layout: Layout) -> Tensor:
        """(N, d) -> (N, 2·inner)"""
        grid = layout.pad(rows)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            grid = torch.relu(norm(convolution(grid.transpose(1, 2)).transpose(1, 2), layout))
        packed = pack_padded_sequence(grid, torch.tensor(layout.lengths), batch_first=True, enforce_sorted=False)
        heard = layout.unpad(pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0])
        forward, backward = heard.chunk(2, dim=1)
        starts, sizes = (each.repeat_interleave(layout.sizes) for each in (layout.starts, layout.sizes))
        first = (torch.arange(len(rows), device=rows.device) - starts) // EVERY * EVERY
        last = (first + EVERY - 1).minimum(sizes - 1)  # of what is left at the end
        return torch.cat([forward[starts + last], backward[starts + first]], dim=1)


class ProsodyEncoder(nn.Module):
    """Rhythm and pitch side by side, brought back to the width of the rows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rhythm = Heard(width, channels=128, groups=8, blocks=1, inner=1)
        self.pitch = Heard(width, channels=256, groups=16, blocks=3, inner=32)
        self.out = Linear(2 * (1 + 32), width)

    def forward(self, rows: Tensor, layout: Layout) -> Tensor:
        """(N, d) -> (N, d)"""
        with torch.autocast(rows.device.type, enabled=False):  # a recurrence gathers rounding errors
            rows = rows.float()
            return self.out(torch.cat([self.rhythm(rows, layout), self.pitch(rows, layout)], dim=1))
