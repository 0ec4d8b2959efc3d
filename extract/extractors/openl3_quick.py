"""OpenL3's network on a CPU: the same values with about a third of the multiplications.

Windows overlap by 90 % and share nothing: the hop between windows is no whole number of frames, so each window has
frames of its own, and its decibels are relative to its own maximum. What can be saved is saved within a window:

- Each normalisation is part of the convolution before it; the maximum of 2 x 2 is taken before bias and ReLU, which it
  commutes with; rows and columns that no maximum sees are not computed.
- A convolution of 3 x 3 is computed by tiles of 4 x 4 values, 36 products instead of 144 (Winograd, with the points 0,
  1, -1, 2, -2). Tiles go through three matrix products that stay in the cache: to 36 places, channels to channels in
  each place, and back.

Rounding differs by about 1e-5 of the greatest value. Letters as in openl3_network.py; t tiles of 4 x 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .openl3_network import POOLED_AFTER, OpenL3

_TILE = 4  # values of a side that are made at once
_SEEN = _TILE + 2  # values of a side that they are made of
_PLACES = _SEEN * _SEEN
_TILES_AT_ONCE = 200  # so that what they become stays in the cache
_WINDOWS_AT_ONCE = 8  # in the last layers, where a window has few tiles

_TO_PLACES = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
_OF_KERNELS = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
_FROM_PLACES = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]


@dataclass(frozen=True)
class Layer:
    """A convolution with the normalisation behind it."""

    kernels: Tensor
    """(36, C in, C out)"""

    bias: Tensor
    """(C out,)"""

    height: int
    width: int
    """Values that are made, before any maximum."""

    is_pooled: bool
    has_relu: bool

    @property
    def tiles(self) -> tuple[int, int]:
        """Of height and width, the last ones reaching beyond the values."""
        return -(-self.height // _TILE), -(-self.width // _TILE)

    @property
    def side(self) -> int:
        """Values of a tile's side that are kept."""
        return _TILE // 2 if self.is_pooled else _TILE

    @property
    def kept(self) -> tuple[int, int]:
        """Height and width of what comes of it."""
        return (self.height // 2, self.width // 2) if self.is_pooled else (self.height, self.width)


class QuickOpenL3:
    """Pictures (B, H, W) -> (B, 6144 or 512) values, as OpenL3 makes them in float32."""

    def __init__(self, network: OpenL3, size: tuple[int, int]) -> None:
        self.pool = network.pool
        first = network.norms[
            0
        ]  # which cannot be part of a convolution: beyond the picture's edges are zeros behind it
        scale = first.weight.detach() / (first.running_var + first.eps).sqrt()
        self.scale, self.shift = float(scale), float(first.bias.detach() - first.running_mean * scale)
        folded = [_folded(network, number) for number in range(1, 9)]
        self.first_kernels, self.first_bias = (each.float() for each in folded[0])
        self.size, self.layers = size, []
        height, width = size
        for number, (kernels, bias) in enumerate(folded[1:], 2):
            is_pooled = number in POOLED_AFTER
            if is_pooled:
                height, width = height // 2 * 2, width // 2 * 2
            layer = Layer(_by_place(kernels), bias.float(), height, width, is_pooled, has_relu=number < 8)
            self.layers.append(layer)
            height, width = layer.kept
        matrices = (torch.tensor(each, dtype=torch.float32) for each in (_TO_PLACES, _FROM_PLACES))
        self.to_places, self.from_places = (torch.kron(each, each) for each in matrices)

    @torch.inference_mode()
    def __call__(self, pictures: Tensor) -> Tensor:
        made = [self._of_some(some) for some in pictures.split(_WINDOWS_AT_ONCE)]
        return torch.cat(made)

    def _of_some(self, pictures: Tensor) -> Tensor:
        count, early = len(pictures), 3  # layers that are run window by window, for they fill the cache
        middle = self._room(count, early, self.layers[early - 1])
        rooms = [self._room(1, number, self.layers[number - 1] if number else None) for number in range(early)]
        for number, picture in enumerate(pictures):
            self._first(picture, rooms[0])
            for index in range(early):
                into = rooms[index + 1] if index + 1 < early else middle[number : number + 1]
                self._convolve(self.layers[index], rooms[index], into)
        for index in range(early, len(self.layers)):
            into = self._room(count, index + 1, self.layers[index])
            self._convolve(self.layers[index], middle, into)
            middle = into
        height, width = self.layers[-1].kept
        values = middle[:, 1 : 1 + height, 1 : 1 + width].permute(0, 3, 1, 2)
        return functional.max_pool2d(values, self.pool).permute(0, 2, 3, 1).flatten(1)

    def _room(self, count: int, number: int, before: Layer | None) -> Tensor:
        """Zeros (count, height, width, C) for what layer ``number`` sees, which ``before`` writes, its margin with it."""
        if before is None:
            height, width, channels = *self.size, len(self.first_bias)
        else:
            height, width = (tiles * before.side for tiles in before.tiles)
            channels = len(before.bias)
        if number < len(self.layers):
            seen = [tiles * _TILE + 1 for tiles in self.layers[number].tiles]
            height, width = max(height, seen[0]), max(width, seen[1])
        return torch.zeros(count, 1 + height, 1 + width, channels)

    def _first(self, picture: Tensor, into: Tensor) -> None:
        """The convolution of the picture itself, which has one channel: as it stands."""
        values = (picture * self.scale + self.shift)[None, None]
        made = functional.conv2d(values, self.first_kernels, self.first_bias, padding=1)  # (1, C, H, W)
        height, width = self.size
        into[:, 1 : 1 + height, 1 : 1 + width].copy_(made.relu_().permute(0, 2, 3, 1))

    def _convolve(self, layer: Layer, seen: Tensor, into: Tensor) -> None:
        """(B, height, width, C in), a margin of zeros around -> the same of C out, ``into`` from row and column 1 on."""
        count, (high, wide), side = len(seen), layer.tiles, layer.side
        windows = max(1, min(count, _TILES_AT_ONCE // (high * wide)))
        rows = min(high, max(1, _TILES_AT_ONCE // wide)) if windows == 1 else high
        ins, outs = layer.kernels.shape[1:]
        most = windows * rows * wide
        one, other = (torch.empty(_PLACES * most * ins) for _ in range(2))
        product, back = torch.empty(_PLACES * most * outs), torch.empty(_TILE * _TILE * most * outs)
        from_rows, to_rows = seen.stride(), into.stride()
        for window in range(0, count, windows):
            here = min(windows, count - window)
            for row in range(0, high, rows):
                these = min(rows, high - row)
                tiles = here * these * wide
                view = seen.as_strided(
                    (_SEEN, _SEEN, here, these, wide, ins),
                    (from_rows[1], from_rows[2], from_rows[0], _TILE * from_rows[1], _TILE * from_rows[2], 1),
                    seen.storage_offset() + window * from_rows[0] + row * _TILE * from_rows[1],
                )
                apart = one[: _PLACES * tiles * ins]
                apart.view(view.shape).copy_(view)
                places = other[: _PLACES * tiles * ins].view(_PLACES, -1)
                torch.mm(self.to_places, apart.view(_PLACES, -1), out=places)  # (36, t · C in)
                products = product[: _PLACES * tiles * outs].view(_PLACES, tiles, outs)
                torch.bmm(places.view(_PLACES, tiles, ins), layer.kernels, out=products)
                values = back[: _TILE * _TILE * tiles * outs].view(_TILE * _TILE, -1)
                torch.mm(self.from_places, products.view(_PLACES, -1), out=values)  # (16, t · C out)
                if layer.is_pooled:
                    pairs = values.view(_TILE, side, 2, -1)
                    pairs = torch.maximum(pairs[:, :, 0], pairs[:, :, 1]).view(side, 2, side, -1)
                    values = torch.maximum(pairs[:, 0], pairs[:, 1])
                values = values.view(side, side, here, these, wide, outs).add_(layer.bias)
                if layer.has_relu:
                    values = values.relu_()
                target = into.as_strided(
                    (side, side, here, these, wide, outs),
                    (to_rows[1], to_rows[2], to_rows[0], side * to_rows[1], side * to_rows[2], 1),
                    into.storage_offset() + window * to_rows[0] + (1 + row * side) * to_rows[1] + to_rows[2],
                )
                target.copy_(values)
        height, width = layer.kept
        into[:, 1 + height :].zero_()  # what the last tiles made beyond the values
        into[:, :, 1 + width :].zero_()


def _folded(network: OpenL3, number: int) -> tuple[Tensor, Tensor]:
    """Kernels (C out, C in, 3, 3) and bias of a convolution with the normalisation behind it, in float64."""
    convolution = network.convolutions[number - 1]
    kernels, bias = convolution.weight.detach().double(), convolution.bias.detach().double()
    if number == 8:
        return kernels, bias
    norm = network.norms[number]
    scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    return kernels * scale[:, None, None, None], (
        bias - norm.running_mean.double()
    ) * scale + norm.bias.detach().double()


def _by_place(kernels: Tensor) -> Tensor:
    """(C out, C in, 3, 3) -> (36, C in, C out)"""
    matrix = torch.tensor(_OF_KERNELS, dtype=torch.float64)
    places = torch.einsum("ai,bj,ocij->abco", matrix, matrix, kernels)
    return places.flatten(0, 1).float().contiguous()
