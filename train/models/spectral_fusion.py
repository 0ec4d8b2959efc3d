"""The second step of the emotional-cues network: its fusion with a mel spectrogram through frozen layers (equations 3
to 6).

In each block a few learned bridge vectors go through a frozen layer of one side beside the rows of that side, and
then, mapped by an MLP, through a frozen layer of the other side beside the rows of the other. Both directions use
the same layer of each side, as in the paper's reference 22. What the first layers make of the rows themselves is
used nowhere, so it is not computed; keys and values of the rows are computed for both directions alike.

Letters: N rows of the language side and M of the vision side of all segments together, S segments, K bridge vectors.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..inputs import Standardise
from ..linear import Linear
from ..rows import Layout, Rows
from .frozen_layers import LANGUAGE, VISION, Found, FrozenLayer, Weights
from .layers import SPREAD


class Patches(nn.Module):
    """Patches of a spectrogram as ViT takes them: of one scale, embedded, with their band and time."""

    def __init__(self, values: int, width: int, bands: int) -> None:
        super().__init__()
        self.bands = bands
        self.standard = Standardise(values)
        self.embed = Linear(values, width)
        self.band = nn.Parameter(torch.randn(bands, width) * SPREAD)
        self.time = nn.Parameter(torch.tensor(SPREAD))  # how much the time counts

    def start(self, weights: Weights) -> None:
        """Begin with ViT's own embedding, where patches are as large."""
        if weights.patches["weight"].shape == self.embed.weight.shape:
            with torch.no_grad():
                self.embed.weight.copy_(weights.patches["weight"])
                self.embed.bias.copy_(weights.patches["bias"])

    def forward(self, patches: Rows, layout: Layout) -> Tensor:
        """(M, values) -> (M, d): those of one moment after another, from the lowest band up."""
        place = torch.arange(len(patches.values), device=layout.device)
        place = place - layout.starts.repeat_interleave(layout.sizes)
        rows = self.embed(self.standard(patches.values)) + self.band[place % self.bands]
        return rows + self.time * _waves(place // self.bands, rows.shape[1])


def _waves(places: Tensor, width: int) -> Tensor:
    """(M,) -> (M, width) sines and cosines of each place, from fast to slow."""
    pairs = (width + 1) // 2
    speeds = torch.exp(torch.arange(pairs, device=places.device) * (-math.log(10_000.0) / pairs))
    angles = places[:, None] * speeds
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :width]


class Block(nn.Module):
    """Equations 3 to 6."""

    def __init__(self, language: Found, vision: Found, bridge: int) -> None:
        super().__init__()
        self.language, self.vision = FrozenLayer(LANGUAGE, language), FrozenLayer(VISION, vision)
        self.from_vision = nn.Parameter(torch.randn(bridge, vision.width) * SPREAD)
        self.from_language = nn.Parameter(torch.randn(bridge, language.width) * SPREAD)
        self.to_language, self.to_vision = (
            nn.Sequential(Linear(before, after), nn.GELU(), Linear(after, after))
            for before, after in ((vision.width, language.width), (language.width, vision.width))
        )

    def forward(self, fused: Tensor, of_fused: Layout, mel: Tensor, of_mel: Layout) -> tuple[Tensor, Tensor]:
        """(N, d_l) and (M, d_v) -> the same, each having heard of the other."""
        segments = len(of_fused.lengths)
        seen, heard = self.from_vision.repeat(segments, 1), self.from_language.repeat(segments, 1)
        [seen] = self.vision(mel, of_mel, seen, of_rows=False, of_more=True)  # eq. 3
        [heard] = self.language(fused, of_fused, heard, of_rows=False, of_more=True)  # eq. 5
        [fused_on] = self.language(fused, of_fused, self.to_language(seen), of_rows=True, of_more=False)  # eq. 4
        [mel_on] = self.vision(mel, of_mel, self.to_vision(heard), of_rows=True, of_more=False)  # eq. 6
        return fused_on, mel_on


class SpectralFusion(nn.Module):
    """Blocks one after another, between what was fused first and the spectrogram."""

    def __init__(
        self, width: int, patch: int, bands: int, language: Found, vision: Found, blocks: int, bridge: int
    ) -> None:
        """``width`` is that of what was fused first, ``patch`` the values of a patch, ``bands`` the patches of a moment."""
        super().__init__()
        self.into = Linear(width, language.width)
        self.patches = Patches(patch, vision.width, bands)
        self.blocks = nn.ModuleList(Block(language, vision, bridge) for _ in range(blocks))

    def start(self, language: Weights, vision: Weights) -> None:
        """Take the weights that do not learn."""
        self.patches.start(vision)
        for number, block in enumerate(self.blocks):
            block.language.load_state_dict(language.layers[number])
            block.vision.load_state_dict(vision.layers[number])

    def forward(self, fused: Tensor, layout: Layout, mel: Rows) -> tuple[Tensor, Tensor, Layout]:
        """(N, d) and patches -> (N, d_l), (M, d_v) and how these lie."""
        of_mel = Layout(mel.lengths, layout.device)
        rows, patches = self.into(fused), self.patches(mel, of_mel)
        for block in self.blocks:
            rows, patches = block(rows, layout, patches, of_mel)
        return rows, patches, of_mel
