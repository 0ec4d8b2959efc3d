"""From the settings of a run to the module that is trained: its network, and what brings features to its slots."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .data import Batch
from .inputs import Inputs
from .models.contract import SlotInput, Trainable
from .models.registry import network_named
from .runs import Settings


def build(settings: Settings) -> Trainable:
    """The network of a run with its first weights. Raises SettingError when its sizes do not fit."""
    network = network_named(settings.model.network)
    inputs = {
        slot: SlotInput.of(settings.specs[features[0]], len(features)) for slot, features in settings.slots.items()
    }
    model = network.build(settings.model, settings.tasks, inputs)
    own = {slot.name: slot for slot in network.slots(settings.model)}
    standardised = [slot for slot in settings.slots if own.get(slot, network.more_slots).standardises]
    model.inputs = Inputs(settings.slots, settings.specs, standardised)
    return model


def build_on_paper(settings: Settings) -> Trainable:
    """The network without memory for its weights. Raises SettingError when its sizes do not fit."""
    with torch.device("meta"):
        return build(settings)


def answer(model: Trainable, batch: Batch) -> Mapping[str, Tensor]:
    """What a network says of a batch: logits or values per task."""
    return model(model.inputs(batch.features), batch.counts, batch.speakers)


def vectors(model: Trainable, batch: Batch, in_context: bool) -> Tensor:
    """(S, d) what a network makes of each segment of a batch: of it alone, or ``in_context`` of its recording."""
    slots = model.inputs(batch.features)
    if in_context:
        return model.context_vectors(slots, batch.counts, batch.speakers)
    return model.segment_vectors(slots)
