"""From the features of a batch to the slots of a network: vectors of one scale, and layers summed with learned weights.

Letters: N rows of all segments together, d values of each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from ..features.spec import FeatureSpec
from .rows import Rows

# Below this share of its mean a column's deviation is what float32 makes of a constant.
_ROUNDING = 1e-6


class Standardise(nn.Module):
    """Brings each column to mean 0 and deviation 1; one that was constant when it was measured becomes 0.

    While it is ``measuring``, rows go through as they are and are counted: mean and deviation are those of all of them,
    in float64.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.is_measured = False
        self._seen: tuple[int, Tensor, Tensor] | None = None  # rows, their mean, the sum of squared distances from it

    def forward(self, rows: Tensor) -> Tensor:
        """(N, d) -> (N, d)"""
        if self._seen is not None:
            self._count(rows.detach().double())
            return rows
        return (rows - self.mean) * self.scale

    def begin(self) -> None:
        """Measure what goes through from now on."""
        nothing = torch.zeros_like(self.mean, dtype=torch.float64)
        self._seen = 0, nothing, nothing

    def end(self) -> None:
        """Take what was measured."""
        count, mean, squares = self._seen
        deviation = (squares / max(count, 1)).sqrt()
        is_constant = deviation <= _ROUNDING * mean.abs()
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(is_constant, 0.0, 1 / deviation.masked_fill(is_constant, 1.0)))
        self._seen, self.is_measured = None, True

    def _count(self, rows: Tensor) -> None:
        before, mean, squares = self._seen
        count = before + len(rows)
        own = rows.mean(dim=0)
        step = own - mean
        squares = squares + (rows - own).square().sum(dim=0) + step.square() * (before * len(rows) / count)
        self._seen = count, mean + step * (len(rows) / count), squares

    def _load_from_state_dict(self, *arguments, **more) -> None:
        super()._load_from_state_dict(*arguments, **more)
        self.is_measured = True


class Inputs(nn.Module):
    """The rows of each slot. A slot that one feature fills as it is costs nothing, and has no weights."""

    def __init__(
        self, slots: Mapping[str, Sequence[str]], specs: Mapping[str, FeatureSpec], standardised: Collection[str] = ()
    ) -> None:
        """``slots``: the features that fill each; ``specs`` by feature; ``standardised``: slots whose vectors are."""
        super().__init__()
        self._slots = {slot: tuple(features) for slot, features in slots.items()}
        self.standards = nn.ModuleList(
            nn.ModuleList(
                Standardise(specs[feature].width)
                if slot in standardised and specs[feature].unit == "vector"
                else nn.Identity()
                for feature in features
            )
            for slot, features in self._slots.items()
        )
        self.layers = nn.ParameterList(
            nn.Parameter(torch.zeros(len(features))) for features in self._slots.values() if len(features) > 1
        )

    def forward(self, features: Mapping[str, Rows]) -> dict[str, Rows]:
        """Rows of each feature -> rows of each slot."""
        layers, rows = iter(self.layers), {}
        for (slot, names), standards in zip(self._slots.items(), self.standards, strict=True):
            first = features[names[0]]
            values = [standard(features[name].values) for name, standard in zip(names, standards, strict=True)]
            if len(names) > 1:
                weights = next(layers).softmax(dim=0)
                values = [sum(weight * each for weight, each in zip(weights, values, strict=True))]
            rows[slot] = first if values[0] is first.values else Rows(values[0], first.lengths)
        return rows

    @property
    def layer_weights(self) -> dict[str, dict[str, float]]:
        """For each slot that several features fill, how much each weighs; they add up to 1."""
        layers = iter(self.layers)
        return {
            slot: dict(zip(names, next(layers).detach().softmax(dim=0).tolist(), strict=True))
            for slot, names in self._slots.items()
            if len(names) > 1
        }


def to_measure(model: nn.Module) -> list[Standardise]:
    """What of a network has still to see what it learns from."""
    return [each for each in model.modules() if isinstance(each, Standardise) and not each.is_measured]


def measure(models: Sequence[nn.Module], batches: Iterator, answer) -> None:
    """Let the networks see each batch once; ``answer(model, batch)`` takes it through one of them."""
    measured = [each for model in models for each in to_measure(model)]
    was_training = [model.training for model in models]
    for each in measured:
        each.begin()
    for model in models:
        model.eval()
    with torch.no_grad():
        for batch in batches:
            for model in models:
                answer(model, batch)
    for each in measured:
        each.end()
    for model, training in zip(models, was_training, strict=True):
        model.train(training)
