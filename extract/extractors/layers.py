"""Which hidden states of an encoder become features, what these are called, and what their specs say.

Hidden states are counted as transformers counts them: 0 is what enters the first layer, i what leaves the i-th of n.
What the encoder calls its last, -1, is the n-th, but for encoders that norm it once more behind their layers, as large
ones of speech do: of these both can be had, n without that norm and -1 with it.

Letters in shapes: T frames or tokens, d width of the encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from ...errors import EncoderError, SettingError, shown
from ...features.spec import FeatureSpec
from ..exact.transformer import LAST
from ..exact.valid import Hidden


@dataclass(frozen=True)
class Chosen:
    """The hidden states that a feature is made of."""

    layers: tuple[int, ...]
    """From 0 on, or LAST; side by side where there are several."""

    def of(self, hidden: Hidden) -> torch.Tensor:
        """The feature's values, (T, d) or (T, d of all layers)."""
        if len(self.layers) == 1:
            return hidden[self.layers[0]]
        return torch.cat([hidden[layer] for layer in self.layers], dim=-1)

    def spec_of(self, spec: FeatureSpec) -> FeatureSpec:
        """The feature's spec, of the one that is the last layer's."""
        if len(self.layers) == 1:
            return replace(spec, layer=self.layers[0])
        joined = {**spec.options, "layers": list(self.layers)}
        return replace(spec, width=spec.width * len(self.layers), options=joined)


def check_asked(layers: tuple[int, ...], join: bool) -> None:
    """Raise SettingError for layers that no encoder has, or that cannot be joined."""
    if any(type(layer) is not int for layer in layers):
        raise SettingError(f"layers must be whole numbers, such as [3, 6, 9], but are {shown(list(layers))}")
    if join and len(layers) < 2:
        raise SettingError("join puts several layers side by side: name at least two with layers, or leave it out")


def chosen_layers(
    name: str, asked: tuple[int, ...], join: bool, model: nn.Module, trial: Mapping[str, torch.Tensor], source: str
) -> dict[str, Chosen]:
    """The features to make, by their names: one for each layer asked for, or one of all that are joined.

    ``trial`` is what the model can be run on, which is only done where layers before its last are asked for. Raises
    EncoderError for layers that the model, loaded from ``source``, has not, or that are asked for twice.
    """
    if set(asked) <= {LAST}:
        return {name: Chosen((LAST,))}
    count = model.config.num_hidden_layers
    for layer in asked:
        if not -count - 1 <= layer <= count:
            raise EncoderError(
                f"{source}: has {count} layers, so there is no layer {layer}: name 0 to {count}, or {-count - 1} to -1"
            )
    is_normed = _is_last_another(model, trial, source)
    layers = [layer if layer >= 0 or layer == LAST else count + 1 + layer for layer in asked]
    layers = [LAST if layer == count and not is_normed else layer for layer in layers]
    twice = next((layer for place, layer in enumerate(layers) if layer in layers[:place]), None)
    if twice is not None:
        raise EncoderError(
            f"{source}: layer {twice if is_normed or twice != LAST else count} is asked for twice; name it once"
        )
    if join:
        return {name: Chosen(tuple(layers))}
    last = "last" if is_normed else f"layer{count}"
    return {f"{name}-{last if layer == LAST else f'layer{layer}'}": Chosen((layer,)) for layer in layers}


@torch.inference_mode()
def _is_last_another(model: nn.Module, trial: Mapping[str, torch.Tensor], source: str) -> bool:
    """Whether what the model calls its last hidden state is not what leaves its last layer."""
    output = model.eval()(**trial, output_hidden_states=True)
    last, inside = output.last_hidden_state, output.hidden_states
    if any(rows.shape != last.shape for rows in inside):
        raise EncoderError(
            f"{source}: is a {type(model).__name__} whose layers have other frames than its last; leave layers out"
        )
    return not torch.equal(inside[-1], last)
