"""OpenL3's network on a CPU: the same values with about a fifth of the multiplications.

Windows overlap by 90 % and share nothing: the hop between windows is no whole number of frames, so each window has
frames of its own, and its decibels are relative to its own maximum. What can be saved is saved within a window:

- Each normalisation is part of the convolution before it; the maximum of 2 x 2 is taken before bias and ReLU, which it
  commutes with; rows and columns that no maximum sees are not computed.
- A convolution of 3 x 3 is computed by tiles, as openl3_tiles.py says, in steps that stay in the cache.
- Each thread takes windows of its own: threads that share each product wait for each other at each.

Rounding differs by about 1e-5 of the greatest value; how many threads there are changes nothing. Letters as in
openl3_network.py.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional

from .openl3_network import POOLED_AFTER, OpenL3, Pictures
from .openl3_tiles import PLACES, TILE, ByMatrices, Layer, Steps, by_place

_ALONE = 3  # layers that are run window by window, for one fills the cache
_WINDOWS_AT_ONCE = 4  # in the other layers, where a window has few tiles; fewer towards the end, as ``_shares`` says


class QuickOpenL3:
    """Windows (B, 48000) -> (B, 6144 or 512) values, as ``pictures`` and OpenL3 make them in float32."""

    def __init__(self, pictures: Pictures, network: OpenL3, steps: Steps | None = None) -> None:
        self.pictures, self.size = pictures, pictures.shape.size
        self.steps = steps or best_steps()
        self.pool = network.pool
        # The picture's own cannot be part of a convolution: beyond the picture's edges are zeros behind it.
        first = network.norms[0]
        scale = first.weight.detach() / (first.running_var + first.eps).sqrt()
        self.scale, self.shift = float(scale), float(first.bias.detach() - first.running_mean * scale)
        folded = [_folded(network, number) for number in range(1, 9)]
        self.first_kernels = folded[0][0].flatten(1).t().float().contiguous()  # (9, C)
        self.first_bias = folded[0][1].float()
        self.layers = []
        height, width = self.size
        for number, (kernels, bias) in enumerate(folded[1:], 2):
            is_pooled = number in POOLED_AFTER
            if is_pooled:
                height, width = height // 2 * 2, width // 2 * 2
            layer = Layer(by_place(kernels), bias.float(), height, width, is_pooled, has_relu=number < 8)
            self.layers.append(layer)
            height, width = layer.kept
        self.width = len(bias) * (height // self.pool[0]) * (width // self.pool[1])

    def __call__(self, windows: Tensor) -> Tensor:
        made = torch.empty(len(windows), self.width)
        sizes = _shares(len(windows))
        todo = deque(zip(windows.split(sizes), made.split(sizes), strict=True))
        threads = torch.get_num_threads()
        workers = min(threads, len(todo))
        try:
            torch.set_num_threads(1)  # for each worker
            with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                for future in [pool.submit(self._work, todo) for _ in range(workers)]:
                    future.result()
        finally:
            torch.set_num_threads(threads)
        return made

    @torch.inference_mode()
    def _work(self, todo: deque[tuple[Tensor, Tensor]]) -> None:
        """Take windows, and where their values go, until there are none."""
        desk = _Desk.of(self)
        while True:
            try:
                windows, into = todo.popleft()
            except IndexError:
                return
            into.copy_(self._of_some(self.pictures(windows), desk))

    def _of_some(self, pictures: Tensor, desk: _Desk) -> Tensor:
        seen = [room[: len(pictures)] for room in desk.rooms]
        for number, picture in enumerate(pictures):
            padded = functional.pad(picture * self.scale + self.shift, (1, 1, 1, 1))
            self.steps.first(padded, self.first_kernels, self.first_bias, seen[0])
            for index, layer in enumerate(self.layers[:_ALONE]):
                goes = seen[index + 1][number : number + 1] if index + 1 == _ALONE else seen[index + 1]
                self._convolve(layer, seen[index], goes, desk)
        for index, layer in enumerate(self.layers[_ALONE:], _ALONE):
            self._convolve(layer, seen[index], seen[index + 1], desk)
        return _greatest(seen[-1][:, 1:, 1:], self.layers[-1].kept, self.pool)

    def _convolve(self, layer: Layer, seen: Tensor, into: Tensor, desk: _Desk) -> None:
        """(B, height, width, C in), a margin of zeros around -> the same of C out, ``into`` from row and column 1 on."""
        ins, outs = layer.kernels.shape[1:]
        for strips in layer.strips(len(seen)):
            ends = [0, *accumulate(strip.tiles for strip in strips)]
            places = desk.places[: PLACES * ends[-1] * ins].view(PLACES, -1, ins)
            for strip, start in zip(strips, ends, strict=False):
                self.steps.apart(strip, seen, places, start)
            products = desk.products[: PLACES * ends[-1] * outs].view(PLACES, -1, outs)
            torch.bmm(places, layer.kernels, out=products)
            for strip, start in zip(strips, ends, strict=False):
                self.steps.together(layer, strip, products, start, into)
        height, width = layer.kept
        into[:, 1 + height :].zero_()  # what the last tiles made beyond the values
        into[:, :, 1 + width :].zero_()


def _greatest(values: Tensor, kept: tuple[int, int], pool: tuple[int, int]) -> Tensor:
    """(B, height, width, C), of which so many rows and columns are kept -> (B, all maxima of ``pool``, channels last)"""
    high, wide = (size // side for size, side in zip(kept, pool, strict=True))
    rows = values[:, : high * pool[0], : wide * pool[1]].unflatten(1, (high, pool[0])).amax(dim=2)
    return rows.unflatten(2, (wide, pool[1])).amax(dim=3).flatten(1)


def _shares(windows: int) -> list[int]:
    """How many of so many windows are taken together, in turn: fewer towards the end, so that threads end together."""
    shares: list[int] = []
    while windows:
        shares.append(max(1, min(_WINDOWS_AT_ONCE, windows // 2)))
        windows -= shares[-1]
    return shares


def best_steps() -> Steps:
    """Compiled where numba is installed, and can be loaded."""
    try:
        from .openl3_compiled import Compiled
    except Exception:  # noqa: BLE001  a library that it lacks is an OSError, another's module of some name anything
        return ByMatrices()
    return Compiled()


@dataclass(frozen=True)
class _Desk:
    """What a worker computes in."""

    rooms: list[Tensor]
    """Zeros (B, height, width, C), for what each layer sees with its margin, and for what comes of the last."""

    places: Tensor
    products: Tensor

    @classmethod
    def of(cls, network: QuickOpenL3) -> _Desk:
        layers = network.layers
        rooms = [_room(1, network.size, len(network.first_bias), layers[0])]
        for number, layer in enumerate(layers, 1):
            kept = layer.tiles[0] * layer.side, layer.tiles[1] * layer.side
            after = layers[number] if number < len(layers) else None
            rooms.append(_room(1 if number < _ALONE else _WINDOWS_AT_ONCE, kept, len(layer.bias), after))
        tiles = [sum(strip.tiles for strip in layer.strips(_WINDOWS_AT_ONCE)[0]) for layer in layers]
        most = (
            max(count * layer.kernels.shape[side] for layer, count in zip(layers, tiles, strict=True))
            for side in (1, 2)
        )
        return cls(rooms, *(torch.empty(PLACES * values) for values in most))


def _room(count: int, size: tuple[int, int], channels: int, layer: Layer | None) -> Tensor:
    """Zeros for so many values, their margin, and what the tiles of the ``layer`` that sees them reach beyond."""
    height, width = size
    if layer:
        seen = [tiles * TILE + 1 for tiles in layer.tiles]
        height, width = max(height, seen[0]), max(width, seen[1])
    return torch.zeros(count, 1 + height, 1 + width, channels)


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
