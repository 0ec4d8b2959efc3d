"""The steps of openl3_tiles.py in one pass over each tile, compiled by numba for the machine that they run on.

Loops over channels become vectors only where it is plain to the compiler that nothing which is written is read: so their
number is fixed, what is on its way lies in one array at fixed places, arrays are flat, and no index has a sign.
"""

from __future__ import annotations

import numba
import numpy as np
from torch import Tensor

from .openl3_tiles import SEEN, TILE, Layer, Strip

CHANNELS = 64  # at once; the network's are multiples of it
_compiled = numba.njit(nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
_2_0, _4_0, _5_0, _8_0, _16_0, _32_0 = map(np.float32, (2, 4, 5, 8, 16, 32))
_0_03125, _0_0625, _0_125, _0_25, _0_5 = map(np.float32, (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2))
_1_25, _2_5, _4_25, _5_25 = map(np.float32, (1.25, 2.5, 4.25, 5.25))
_1, _2, _3, _4, _5, _6, _7, _8 = map(np.uint64, range(1, 9))
_C = np.uint64(CHANNELS)
_OF_SEEN, _OF_TILE = np.uint64(SEEN * CHANNELS), np.uint64(TILE * CHANNELS)


class Compiled:
    """``Steps`` of loops."""

    def first(self, picture: Tensor, kernels: Tensor, bias: Tensor, into: Tensor) -> None:
        _first(_flat(picture), picture.shape[1], _flat(kernels), _flat(bias), _flat(into), *into.shape[1:3])

    def apart(self, strip: Strip, seen: Tensor, places: Tensor, start: int) -> None:
        sizes = places.shape[1], *seen.shape[1:]
        _apart(_flat(seen), _flat(places), *sizes, strip.window, strip.row, strip.rows, strip.wide, start)

    def together(self, layer: Layer, strip: Strip, products: Tensor, start: int, into: Tensor) -> None:
        sizes, least = (products.shape[1], *into.shape[1:]), np.float32(0 if layer.has_relu else -np.inf)
        arrays = _flat(products), _flat(layer.bias), _flat(into)
        of_strip = strip.window, strip.row, strip.rows, strip.wide, start
        _together(*arrays, *sizes, *of_strip, layer.is_pooled, least)


def _flat(values: Tensor) -> np.ndarray:
    return values.view(-1).numpy()


@_compiled
def _first(picture, across, kernels, bias, into, high, wide):
    one = np.uint64(across)
    for y in range(len(picture) // across - 2):
        for x in range(across - 2):
            at = np.uint64(y * across + x)
            a0, a1, a2 = picture[at], picture[at + _1], picture[at + _2]
            a3, a4, a5 = picture[at + one], picture[at + one + _1], picture[at + one + _2]
            a6, a7, a8 = picture[at + _2 * one], picture[at + _2 * one + _1], picture[at + _2 * one + _2]
            goes = np.uint64(((1 + y) * wide + 1 + x) * CHANNELS)
            for c in range(_C):
                above = a0 * kernels[c] + a1 * kernels[_C + c] + a2 * kernels[_2 * _C + c]
                beside = a3 * kernels[_3 * _C + c] + a4 * kernels[_4 * _C + c] + a5 * kernels[_5 * _C + c]
                below = a6 * kernels[_6 * _C + c] + a7 * kernels[_7 * _C + c] + a8 * kernels[_8 * _C + c]
                into[goes + c] = max(above + beside + below + bias[c], np.float32(0))


@_compiled
def _to_places(a0, a1, a2, a3, a4, a5, a6, a7):
    """A row or column of a tile at its eight places."""
    even, odd = a2 + a6 - _4_25 * a4, a1 + a5 - _4_25 * a3
    near, near_odd = a6 + _0_25 * a2 - _1_25 * a4, _0_5 * a1 - _2_5 * a3 + _2_0 * a5
    far, far_odd = a6 + _4_0 * a2 - _5_0 * a4, _2_0 * a1 - _2_5 * a3 + _0_5 * a5
    first, last = a0 - a6 + _5_25 * (a4 - a2), a7 - a1 + _5_25 * (a3 - a5)
    return first, even + odd, even - odd, near + near_odd, near - near_odd, far + far_odd, far - far_odd, last


@_compiled
def _to_values(a0, a1, a2, a3, a4, a5, a6, a7):
    """Eight places of a row or column back to its six values."""
    b0, b1, b2, b3, b4, b5 = a1 + a2, a1 - a2, a3 + a4, a3 - a4, a5 + a6, a5 - a6
    return (
        a0 + b0 + b2 + b4,
        b1 + _2_0 * b3 + _0_5 * b5,
        b0 + _4_0 * b2 + _0_25 * b4,
        b1 + _8_0 * b3 + _0_125 * b5,
        b0 + _16_0 * b2 + _0_0625 * b4,
        b1 + _32_0 * b3 + _0_03125 * b5 + a7,
    )


@_compiled
def _apart(seen, places, tiles, height, width, channels, window, row, rows, wide, start):
    on_way = np.empty((SEEN + 1) * SEEN * CHANNELS, np.float32)
    line = np.uint64(width * channels)
    for tile in range(rows * wide):
        top, left = window * height + TILE * (row + tile // wide), TILE * (tile % wide)
        for first in range(0, channels, CHANNELS):
            for j in range(SEEN):
                at = np.uint64((top * width + left + j) * channels + first)
                half = np.uint64(j * SEEN * CHANNELS)
                for c in range(_C):
                    a0, a1, a2 = seen[at + c], seen[at + line + c], seen[at + _2 * line + c]
                    a3, a4, a5 = seen[at + _3 * line + c], seen[at + _4 * line + c], seen[at + _5 * line + c]
                    a6, a7 = seen[at + _6 * line + c], seen[at + _7 * line + c]
                    b0, b1, b2, b3, b4, b5, b6, b7 = _to_places(a0, a1, a2, a3, a4, a5, a6, a7)
                    on_way[half + c], on_way[half + _C + c], on_way[half + _2 * _C + c] = b0, b1, b2
                    on_way[half + _3 * _C + c], on_way[half + _4 * _C + c], on_way[half + _5 * _C + c] = b3, b4, b5
                    on_way[half + _6 * _C + c], on_way[half + _7 * _C + c] = b6, b7
            made = np.uint64(SEEN * SEEN * CHANNELS)
            for i in range(SEEN):
                half = np.uint64(i * CHANNELS)
                for c in range(_C):
                    a0, a1, a2 = on_way[half + c], on_way[half + _OF_SEEN + c], on_way[half + _2 * _OF_SEEN + c]
                    a3, a4 = on_way[half + _3 * _OF_SEEN + c], on_way[half + _4 * _OF_SEEN + c]
                    a5, a6 = on_way[half + _5 * _OF_SEEN + c], on_way[half + _6 * _OF_SEEN + c]
                    a7 = on_way[half + _7 * _OF_SEEN + c]
                    b0, b1, b2, b3, b4, b5, b6, b7 = _to_places(a0, a1, a2, a3, a4, a5, a6, a7)
                    on_way[made + c], on_way[made + _C + c], on_way[made + _2 * _C + c] = b0, b1, b2
                    on_way[made + _3 * _C + c], on_way[made + _4 * _C + c], on_way[made + _5 * _C + c] = b3, b4, b5
                    on_way[made + _6 * _C + c], on_way[made + _7 * _C + c] = b6, b7
                for k in range(SEEN):
                    goes = np.uint64(((SEEN * i + k) * tiles + start + tile) * channels + first)
                    comes = made + np.uint64(k * CHANNELS)
                    for c in range(_C):
                        places[goes + c] = on_way[comes + c]


@_compiled
def _together(products, bias, into, tiles, height, width, channels, window, row, rows, wide, start, is_pooled, least):
    on_way = np.empty((SEEN + TILE) * TILE * CHANNELS, np.float32)
    side = TILE // 2 if is_pooled else TILE
    line = np.uint64(SEEN * tiles * channels)
    for tile in range(rows * wide):
        top, left = window * height + 1 + side * (row + tile // wide), 1 + side * (tile % wide)
        for first in range(0, channels, CHANNELS):
            for j in range(SEEN):
                at = np.uint64((j * tiles + start + tile) * channels + first)
                half = np.uint64(j * TILE * CHANNELS)
                for c in range(_C):
                    a0, a1, a2 = products[at + c], products[at + line + c], products[at + _2 * line + c]
                    a3, a4 = products[at + _3 * line + c], products[at + _4 * line + c]
                    a5, a6 = products[at + _5 * line + c], products[at + _6 * line + c]
                    b0, b1, b2, b3, b4, b5 = _to_values(a0, a1, a2, a3, a4, a5, a6, products[at + _7 * line + c])
                    on_way[half + c], on_way[half + _C + c], on_way[half + _2 * _C + c] = b0, b1, b2
                    on_way[half + _3 * _C + c], on_way[half + _4 * _C + c], on_way[half + _5 * _C + c] = b3, b4, b5
            for i in range(TILE):
                half, made = np.uint64(i * CHANNELS), np.uint64((SEEN + i) * TILE * CHANNELS)
                for c in range(_C):
                    a0, a1, a2 = on_way[half + c], on_way[half + _OF_TILE + c], on_way[half + _2 * _OF_TILE + c]
                    a3, a4 = on_way[half + _3 * _OF_TILE + c], on_way[half + _4 * _OF_TILE + c]
                    a5, a6 = on_way[half + _5 * _OF_TILE + c], on_way[half + _6 * _OF_TILE + c]
                    b0, b1, b2, b3, b4, b5 = _to_values(a0, a1, a2, a3, a4, a5, a6, on_way[half + _7 * _OF_TILE + c])
                    on_way[made + c], on_way[made + _C + c], on_way[made + _2 * _C + c] = b0, b1, b2
                    on_way[made + _3 * _C + c], on_way[made + _4 * _C + c], on_way[made + _5 * _C + c] = b3, b4, b5
            shift = np.uint64(first)
            for i in range(side):
                for j in range(side):
                    goes = np.uint64(((top + i) * width + left + j) * channels + first)
                    if is_pooled:
                        comes = np.uint64(((SEEN + 2 * i) * TILE + 2 * j) * CHANNELS)
                        for c in range(_C):
                            above = max(on_way[comes + c], on_way[comes + _C + c])
                            below = max(on_way[comes + _OF_TILE + c], on_way[comes + _OF_TILE + _C + c])
                            into[goes + c] = max(max(above, below) + bias[shift + c], least)
                    else:
                        comes = np.uint64(((SEEN + i) * TILE + j) * CHANNELS)
                        for c in range(_C):
                            into[goes + c] = max(on_way[comes + c] + bias[shift + c], least)
