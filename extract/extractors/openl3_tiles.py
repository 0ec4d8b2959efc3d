"""Convolutions of 3 x 3 by tiles of 6 x 6 values: 64 products a channel instead of 324.

(Winograd, points 0, ±1, ±2, ±1/2.) A tile is made of 8 x 8 values. They are brought to 64 places; in each place channels are mixed, a matrix product over all
tiles; and what comes of it is brought back to the 6 x 6 values. Both ways are here as a product with a matrix that holds
all of it; openl3_compiled.py goes them with far fewer multiplications, where numba is installed.

Letters: t tiles, C channels; 64 places count the tile's rows first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

TILE = 6  # values of a side that are made at once
SEEN = TILE + 2  # values of a side that they are made of
PLACES = SEEN * SEEN
_COLUMNS_AT_ONCE = 12_800  # tiles x channels of a strip, so that its places stay in the cache
_TILES_AT_ONCE = 200  # of strips whose channels are mixed together

_TO_PLACES = [
    [1, 0, -21 / 4, 0, 21 / 4, 0, -1, 0],
    [0, 1, 1, -17 / 4, -17 / 4, 1, 1, 0],
    [0, -1, 1, 17 / 4, -17 / 4, -1, 1, 0],
    [0, 1 / 2, 1 / 4, -5 / 2, -5 / 4, 2, 1, 0],
    [0, -1 / 2, 1 / 4, 5 / 2, -5 / 4, -2, 1, 0],
    [0, 2, 4, -5 / 2, -5, 1 / 2, 1, 0],
    [0, -2, 4, 5 / 2, -5, -1 / 2, 1, 0],
    [0, -1, 0, 21 / 4, 0, -21 / 4, 0, 1],
]
_OF_KERNELS = [
    [1, 0, 0],
    [-2 / 9, -2 / 9, -2 / 9],
    [-2 / 9, 2 / 9, -2 / 9],
    [1 / 90, 1 / 45, 2 / 45],
    [1 / 90, -1 / 45, 2 / 45],
    [32 / 45, 16 / 45, 8 / 45],
    [32 / 45, -16 / 45, 8 / 45],
    [0, 0, 1],
]
_FROM_PLACES = [
    [1, 1, 1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 1 / 2, -1 / 2, 0],
    [0, 1, 1, 4, 4, 1 / 4, 1 / 4, 0],
    [0, 1, -1, 8, -8, 1 / 8, -1 / 8, 0],
    [0, 1, 1, 16, 16, 1 / 16, 1 / 16, 0],
    [0, 1, -1, 32, -32, 1 / 32, -1 / 32, 1],
]


@dataclass(frozen=True)
class Strip:
    """Some rows of a window's tiles."""

    window: int
    row: int
    rows: int
    wide: int

    @property
    def tiles(self) -> int:
        return self.rows * self.wide


@dataclass(frozen=True)
class Layer:
    """A convolution, and what follows on it: a maximum of 2 x 2 perhaps, its bias, and a ReLU perhaps."""

    kernels: Tensor
    """(64, C in, C out)"""

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
        return -(-self.height // TILE), -(-self.width // TILE)

    @property
    def side(self) -> int:
        """Values of a tile's side that are kept."""
        return TILE // 2 if self.is_pooled else TILE

    @property
    def kept(self) -> tuple[int, int]:
        """Height and width of what comes of it."""
        return (self.height // 2, self.width // 2) if self.is_pooled else (self.height, self.width)

    def strips(self, windows: int) -> list[list[Strip]]:
        """All tiles of so many windows, in strips that the cache holds, and as many of these at once as pay."""
        high, wide = self.tiles
        rows = min(high, max(1, _COLUMNS_AT_ONCE // (wide * max(self.kernels.shape[1:]))))
        starts = range(0, high, rows)
        each = [Strip(window, row, min(rows, high - row), wide) for window in range(windows) for row in starts]
        together = max(1, _TILES_AT_ONCE // (rows * wide))
        return [each[start : start + together] for start in range(0, len(each), together)]


class Steps(Protocol):
    """What is done besides mixing channels."""

    def first(self, picture: Tensor, kernels: Tensor, bias: Tensor, into: Tensor) -> None:
        """The first convolution, which sees one channel, as it stands, and its ReLU.

        ``picture`` (H + 2, W + 2), kernels (9, C), bias (C,), ``into`` (1, height, width, C) inside its margin of one.
        """
        ...

    def apart(self, strip: Strip, seen: Tensor, places: Tensor, start: int) -> None:
        """A strip of ``seen`` (B, height, width, C in), margin and all, into ``places`` (64, t, C in) from a tile on."""
        ...

    def together(self, layer: Layer, strip: Strip, products: Tensor, start: int, into: Tensor) -> None:
        """(64, t, C out) from a tile on -> a strip ``into`` (B, height, width, C out), inside its margin of one.

        With the layer's maximum, bias and ReLU.
        """
        ...


class ByMatrices:
    """``Steps`` whose ways to the places and back are products with matrices of 64 columns."""

    def __init__(self) -> None:
        matrices = (torch.tensor(each, dtype=torch.float32) for each in (_TO_PLACES, _FROM_PLACES))
        self.to_places, self.from_places = (torch.kron(each, each) for each in matrices)

    def first(self, picture: Tensor, kernels: Tensor, bias: Tensor, into: Tensor) -> None:
        kernels = kernels.t().reshape(-1, 1, 3, 3)
        made = functional.conv2d(picture[None, None], kernels, bias)  # (1, C, H, W)
        _, _, height, width = made.shape
        into[:, 1 : 1 + height, 1 : 1 + width].copy_(made.relu_().permute(0, 2, 3, 1))

    def apart(self, strip: Strip, seen: Tensor, places: Tensor, start: int) -> None:
        view = _tiles(seen, strip, TILE, SEEN)
        channels = seen.shape[-1]
        there = places.view(PLACES, -1)[:, start * channels : (start + strip.tiles) * channels]
        torch.mm(self.to_places, view.reshape(PLACES, -1), out=there)

    def together(self, layer: Layer, strip: Strip, products: Tensor, start: int, into: Tensor) -> None:
        channels, side = len(layer.bias), layer.side
        values = self.from_places @ products.view(PLACES, -1)[:, start * channels : (start + strip.tiles) * channels]
        if layer.is_pooled:
            pairs = values.view(TILE, side, 2, -1)
            pairs = torch.maximum(pairs[:, :, 0], pairs[:, :, 1]).view(side, 2, side, -1)
            values = torch.maximum(pairs[:, 0], pairs[:, 1])
        values = values.view(-1, channels).add_(layer.bias)
        target = _tiles(into[:, 1:, 1:], strip, side, side)
        target.copy_((values.relu_() if layer.has_relu else values).view(target.shape))


def _tiles(values: Tensor, strip: Strip, step: int, side: int) -> Tensor:
    """(B, height, width, C) -> (side, side, rows, wide, C), a view of tiles that begin ``step`` values apart."""
    by_window, by_row, by_column, _ = values.stride()
    return values.as_strided(
        (side, side, strip.rows, strip.wide, values.shape[-1]),
        (by_row, by_column, step * by_row, step * by_column, 1),
        values.storage_offset() + strip.window * by_window + strip.row * step * by_row,
    )


def by_place(kernels: Tensor) -> Tensor:
    """(C out, C in, 3, 3) -> (64, C in, C out)"""
    matrix = torch.tensor(_OF_KERNELS, dtype=torch.float64)
    places = torch.einsum("ai,bj,ocij->abco", matrix, matrix, kernels)
    return places.flatten(0, 1).float().contiguous()
