"""What a staged model is: networks that are trained one after another, each on what those before make of a segment.

A file of this folder declares one as its ``STAGED`` and is named in registry.py; train/staged.py trains it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..config import NetworkSettings


@dataclass(frozen=True)
class Stage:
    """One stage: a network, how it is trained, and what it learns from."""

    name: str
    """What it is called; its run is called after the model and it."""

    network: str
    """Its network."""

    settings: Mapping[str, object] = field(default_factory=dict)
    """Sizes and switches of the network that are not its defaults."""

    training: Mapping[str, object] = field(default_factory=dict)
    """Options of training unless others are asked for."""

    reads: tuple[str, ...] = ()
    """Slots that features of the store fill, as ``--slot`` says or as fits."""

    learns_from: Mapping[str, str] = field(default_factory=dict)
    """By slot the stage whose vectors fill it."""

    embeds: str = ""
    """Its vectors that others learn from: ``segment`` or ``context``; empty for none."""


@dataclass(frozen=True)
class StagedModel:
    """The declaration of a staged model."""

    name: str
    """What it is called in ``--model NAME``."""

    help: str
    """What it is, in a few words."""

    settings: type[NetworkSettings]
    """Its switches; each becomes an option. ``modalities`` is never ``auto`` when ``stages`` is asked."""

    stages: Callable[[NetworkSettings], tuple[Stage, ...]]
    """Its stages under some settings; the last one gives the answers."""
