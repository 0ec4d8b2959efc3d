"""What a network is. Training, prediction and embedding know of it what stands here, and nothing else.

A file of this folder declares one network as its ``NETWORK`` and is named in registry.py. Letters: R recordings, S
segments of all of them together, N rows of all segments together (see rows.py), d values of each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ...features.spec import MODALITIES, UNITS, FeatureSpec
from ...features.tasks import Task
from ..config import NetworkSettings
from ..inputs import Inputs
from ..rows import Rows


@dataclass(frozen=True)
class Slot:
    """One of a network's inputs, which a feature of the store fills."""

    name: str
    """What it is called in ``--slot NAME=FEATURE``."""

    units: tuple[str, ...] = UNITS
    """What rows may be, of ``frame``, ``token`` and ``vector``; the first that is there is preferred."""

    modalities: tuple[str, ...] = MODALITIES
    """Modalities of features that fit."""

    may_be_empty: bool = False
    """Whether the network does without it in a store that has no feature of its modalities."""

    standardises: bool = True
    """Whether vectors in it are brought to mean 0 and deviation 1, by what the training split says."""

    kinds: tuple[str, ...] = ()
    """Kinds of features of which one is taken where none is named; none for all but those that stand ``apart``."""

    apart: tuple[str, ...] = ("kwrt",)
    """Kinds that are taken only where one is named, for they say little alone."""

    beside: str = ""
    """The slot that it goes with: it is empty where that one is."""

    is_row_for_row: bool = False
    """Whether each segment must have as many rows as in the slot ``beside``."""


@dataclass(frozen=True)
class SlotInput:
    """What a network is built for: the rows that it will find in a slot."""

    width: int
    """Values per row (d)."""

    positions: int
    """Most rows that a segment can have; 1 for vectors."""

    unit: str
    """What rows are: ``frame``, ``token`` or ``vector``."""

    layers: int = 1
    """How many features are summed in it."""

    @classmethod
    def of(cls, spec: FeatureSpec, layers: int = 1) -> SlotInput:
        """The rows of features that were made so."""
        return cls(spec.width, spec.max_rows, spec.unit, layers)


@dataclass(frozen=True)
class SlotAnswers:
    """What a network says from one slot alone, for a loss of its own."""

    outputs: Mapping[str, Tensor]
    """Logits or values per task, as those of the network."""

    weight: float = 1.0
    """How much their loss counts beside that of the network's own answers."""


class Answers(dict[str, Tensor]):
    """Logits or values per task, and beside them what single slots say, which only the loss is about."""

    def __init__(self, outputs: Mapping[str, Tensor], by_slot: Mapping[str, SlotAnswers]) -> None:
        super().__init__(outputs)
        self.by_slot = dict(by_slot)


class Trainable(nn.Module, ABC):
    """The module that a network builds.

    ``slots`` are the rows of each slot that is filled: (N, d) float32, valid ones alone. ``segments`` are how many of
    them each recording has. ``speakers`` (S,) int64 say who speaks, counted within each recording from 0 in order of
    appearance, -1 where that is not known; None for a network that does not ask for them.
    """

    inputs: Inputs
    """What brings features to slots; assembly.py puts it there, and the weights of a run hold it too."""

    @abstractmethod
    def forward(
        self, slots: Mapping[str, Rows], segments: Sequence[int], speakers: Tensor | None = None
    ) -> Mapping[str, Tensor]:
        """Logits or values of each task: (R, outputs), or (S, outputs) where the tasks are of segments.

        A network with losses per slot returns ``Answers``.
        """

    def start(self) -> None:  # noqa: B027  most networks have nothing to take
        """Take the weights that are not learnt from where the settings say; called once, when a run begins.

        They are among the module's weights afterwards, so a run that is loaded has them.
        """

    @abstractmethod
    def segment_vectors(self, slots: Mapping[str, Rows]) -> Tensor:
        """One vector per segment, made of its own rows alone: (S, d)."""

    @abstractmethod
    def context_vectors(
        self, slots: Mapping[str, Rows], segments: Sequence[int], speakers: Tensor | None = None
    ) -> Tensor:
        """One vector per segment that has heard of the others of its recording: (S, d).

        Raises SettingError for a network that treats segments apart.
        """


@dataclass(frozen=True)
class Network:
    """The declaration of a network."""

    name: str
    """What it is called in ``--model NAME``."""

    help: str
    """What it is, in a few words."""

    settings: type[NetworkSettings]
    """Its sizes and switches; each becomes an option."""

    slots: Callable[[NetworkSettings], tuple[Slot, ...]]
    """Its inputs under some settings."""

    build: Callable[[NetworkSettings, Sequence[Task], Mapping[str, SlotInput]], Trainable]
    """The module for tasks of one level and the slots that are filled. Raises SettingError for sizes that do not fit."""

    sees_future: Callable[[NetworkSettings], bool]
    """Whether the answer to a segment may depend on segments after it."""

    more_slots: Slot | None = None
    """What slots of other names are like, which may be filled besides; None where there may be no others."""

    asks_speakers: bool = False
    """Whether it is told who speaks."""

    settle: Callable[[NetworkSettings, Collection[str]], NetworkSettings] = lambda settings, filled: settings
    """The settings of a new run with what had to be found out for these slots to be filled. Raises MsmtError."""

    settled: tuple[str, ...] = ()
    """Fields that ``settle`` fills in; empty in settings that leave them open."""
