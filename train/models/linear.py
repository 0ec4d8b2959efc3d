"""A linear layer on means and deviations: what there is to learn without a network. The honest baseline of a table.

Letters: R recordings, S segments of all of them together, N rows of all segments together, d values per row of a slot,
v values of all slots' summaries side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...errors import SettingError
from ...features.tasks import Task
from ..config import NetworkSettings
from ..inputs import Standardise
from ..linear import Linear
from ..rows import Layout, Rows
from .contract import Network, Slot, SlotInput, Trainable

_LEAST_VARIANCE = 1e-12  # so that the deviation of a single row has a derivative


@dataclass(frozen=True)
class LinearSettings(NetworkSettings):
    """One variant of the linear baseline."""

    network: ClassVar[str] = "linear"

    deviation: bool = True
    """Give the deviation of a slot's rows beside their mean; vectors are given as they are."""

    @property
    def variant(self) -> str:
        return super().variant + ("" if self.deviation else "-no-deviation")


class LinearNetwork(Trainable):
    """Summaries of all slots side by side, brought to one scale, and a linear layer for each task."""

    def __init__(
        self, outputs: Mapping[str, int], inputs: Mapping[str, SlotInput], *, per_segment: bool, deviation: bool
    ) -> None:
        """``outputs``: numbers to predict per task; ``per_segment``: one output per segment, not per recording."""
        super().__init__()
        self.slots = {slot: deviation and each.unit != "vector" for slot, each in inputs.items()}
        self.tasks, self.per_segment = tuple(outputs), per_segment
        width = sum(each.width * (2 if self.slots[slot] else 1) for slot, each in inputs.items())
        self.standard = Standardise(width)
        self.layers = nn.ModuleList(Linear(width, count) for count in outputs.values())

    def segment_vectors(self, slots: Mapping[str, Rows]) -> Tensor:
        """(N, d) of each slot -> (S, v)"""
        return self.standard(torch.cat([self._summary(slots[name], both) for name, both in self.slots.items()], dim=1))

    @staticmethod
    def _summary(rows: Rows, with_deviation: bool) -> Tensor:
        """(N, d) -> (S, 2d), or (S, d) without deviations."""
        layout = Layout(rows.lengths, rows.values.device)
        values, sizes = rows.values.float(), layout.sizes[:, None]
        mean = layout.pad(values).sum(dim=1) / sizes
        if not with_deviation:
            return mean
        apart = values - mean.repeat_interleave(layout.sizes, dim=0)
        variance = layout.pad(apart.square()).sum(dim=1) / sizes
        return torch.cat([mean, (variance + _LEAST_VARIANCE).sqrt()], dim=1)

    def forward(self, slots: Mapping[str, Rows], segments: Sequence[int], speakers=None) -> dict[str, Tensor]:
        """Logits or values of each task: (R, outputs), or (S, outputs) if ``per_segment``."""
        with torch.autocast(next(iter(slots.values())).values.device.type, enabled=False):  # there is little to save
            vectors = self.segment_vectors(slots)
            if not self.per_segment:  # (S, v) -> (R, v)
                vectors = torch.stack([recording.mean(dim=0) for recording in vectors.split(list(segments))])
            return {task: layer(vectors) for task, layer in zip(self.tasks, self.layers, strict=True)}

    def context_vectors(self, slots: Mapping[str, Rows], segments: Sequence[int], speakers=None) -> Tensor:
        raise SettingError("linear treats segments apart, so it has no vectors of their context: embed --from segment")


def slots(settings: LinearSettings) -> tuple[Slot, ...]:
    """Text, audio, or both, as frames, tokens or vectors."""
    both = (
        Slot("text", ("token", "vector"), ("text",), may_be_empty=True, standardises=False),
        Slot("audio", ("frame", "vector"), ("audio",), may_be_empty=True, standardises=False),
    )
    return tuple(slot for slot in both if settings.modalities in ("auto", "both", slot.name))


def build(settings: LinearSettings, tasks: Sequence[Task], inputs: Mapping[str, SlotInput]) -> LinearNetwork:
    """The baseline for these tasks, which share one level."""
    outputs = {task.name: task.outputs for task in tasks}
    return LinearNetwork(outputs, inputs, per_segment=tasks[0].level == "segment", deviation=settings.deviation)


NETWORK = Network(
    name="linear",
    help="mean and deviation of each slot, one linear layer",
    settings=LinearSettings,
    slots=slots,
    build=build,
    sees_future=lambda settings: False,
    more_slots=Slot("", standardises=False),
)
