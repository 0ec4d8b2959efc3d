"""Several processes that train together, one per GPU: each takes its part of every optimizer step.

``torchrun`` starts them, accelerate makes them known to each other. Gradients are added up once per optimizer step, so
that a step learns the same from the same recordings however many processes share it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ..errors import SettingError


class Processes:
    """This process among those that train together."""

    def __init__(self, count: int | None = None) -> None:
        """As torchrun has started them, unless ``count`` says 1."""
        self.count = int(os.environ.get("WORLD_SIZE", "1")) if count is None else count
        self.number = int(os.environ.get("RANK", "0")) if self.count > 1 else 0

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.number == 0

    def join(self, device: torch.device) -> torch.device:
        """Wait for the others; returns the device of this process, of the type of ``device``."""
        if self.count == 1:
            return device
        from accelerate import PartialState

        state = PartialState(cpu=device.type == "cpu")
        if state.num_processes != self.count:
            raise SettingError(
                f"{self.count} processes were started, but only {state.num_processes} found each other: "
                "start them with torchrun"
            )
        return state.device

    def share(self, items: Sequence) -> list[tuple[int, object]]:
        """The items that fall to this process, each with its number among all."""
        return [(i, items[i]) for i in range(self.number, len(items), self.count)]

    def add_up(self, total: Tensor, parameters: Iterable[Tensor]) -> Tensor:
        """Sum ``total`` () and the gradients of ``parameters`` over all processes; gradients in place.

        A parameter that had no part in the step has no gradient in any process, as if there were one process.
        """
        if self.count == 1:
            return total
        parameters = list(parameters)
        has_gradient = self._sum(
            torch.tensor([float(each.grad is not None) for each in parameters], device=total.device)
        )
        used = [each for each, there in zip(parameters, has_gradient.tolist(), strict=True) if there]
        flat = [torch.zeros_like(each) if each.grad is None else each.grad for each in used]
        summed = self._sum(torch.cat([total.reshape(1), *(gradient.reshape(-1) for gradient in flat)]))
        parts = summed[1:].split([each.numel() for each in used])
        for each, part in zip(used, parts, strict=True):
            each.grad = part.view_as(each).clone()
        return summed[0]

    def gather(self, own) -> list:
        """What every process has, in the order of their numbers."""
        if self.count == 1:
            return [own]
        from accelerate.utils import gather_object

        return gather_object([own])

    def from_first(self, value):
        """What the first process has."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        values = [value]
        broadcast_object_list(values)
        return values[0]

    def _sum(self, values: Tensor) -> Tensor:
        from accelerate.utils import reduce

        return reduce(values, reduction="sum")
