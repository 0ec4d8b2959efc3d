"""What a system of a paper is. A file of this folder declares one as its ``SYSTEM`` and is named in registry.py.

All of it is data: which features it is made of, how its paper trained it, the rows of its tables, and how its paper is
read. Names of networks, kinds and features are looked up when they are used, so that a declaration imports nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Rows = dict[str, dict[str, object]]
"""The options that each row of a plan changes, by the row's name, as a file of a plan has them."""


@dataclass(frozen=True)
class Given:
    """What a feature needs that msmt cannot bring along."""

    name: str
    """What the user calls it in ``--given NAME=PATH``."""

    option: str
    """The option of the feature's kind that it becomes."""

    what: str
    """What it is and where it comes from, to follow ``is``."""


@dataclass(frozen=True)
class Feature:
    """One entry of what a system is made of, as a file of features has it."""

    name: str
    kind: str

    options: Mapping[str, object] = field(default_factory=dict)
    """Of its kind, by name."""

    options_on: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """By dataset, what takes the place of these options there."""

    given: Given | None = None
    """What the user must name; None where nothing is needed."""

    is_optional: bool = False
    """Whether it is left out where that is not named, instead of an error."""

    instead_of: str = ""
    """The optional feature in whose place it is made where that one is left out."""

    makes: tuple[str, ...] = ()
    """What it is called in a store, as names or patterns; its own name unless said."""

    def options_for(self, dataset: str) -> dict[str, object]:
        """Its options for a corpus."""
        return {**self.options, **self.options_on.get(dataset, {})}

    @property
    def in_store(self) -> tuple[str, ...]:
        """What it is called in a store, as names or patterns."""
        return self.makes or (self.name,)


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    name: str

    options: Mapping[str, object] = field(default_factory=dict)
    """What it changes, as in a file of a plan."""

    slots: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    """By slot of the network the feature that fills it: a name, a pattern of layers, ``@ROW`` for the vectors of another
    row, nothing for a slot left empty; of several the first that is there."""

    paper: str = ""
    """The published row that stands beside it; empty for none."""


@dataclass(frozen=True)
class Preset:
    """A plan that a system brings along."""

    name: str
    """In ``msmt ablate --preset NAME``."""

    about: str
    """Which tables of the paper it is, and of what corpus."""

    rows: tuple[Row, ...]
    """The first is what the others are compared with."""

    options: Mapping[str, object] = field(default_factory=dict)
    """Of all rows, unless a row or the user says otherwise."""

    dataset: str = ""
    """The corpus that its figures are of; empty for several."""

    tasks: tuple[str, ...] = ()
    """What it predicts: of these the first that the store has; none for whatever the store has."""

    needs_task: bool = True
    """Whether it is refused where the store has none of these tasks, instead of learning all that are there."""

    lengths: Mapping[str, float] = field(default_factory=dict)
    """Longest inputs that the paper takes, ``tokens`` and ``seconds``; a store that has others is told of."""

    any_feature: bool = False
    """Whether another feature that fits takes the place of one that the store lacks."""

    settle: Callable[[object, Preset, Mapping[str, object]], tuple[Rows, list[str]]] | None = None
    """What chooses the rows for a store and the user's options, and says why others are left out; None for the usual."""


@dataclass(frozen=True)
class Reading:
    """One place where a paper leaves something open."""

    says: str
    """What the paper says, or does not."""

    read: str
    """How that is read here."""

    switch: str = ""
    """The option under which the other reading is tried; empty for none."""


@dataclass(frozen=True)
class System:
    """A system of a paper."""

    name: str
    paper: str
    """Authors, title, place and year."""

    networks: tuple[str, ...]
    """What is trained, by the names of ``--model``; the last is what answers."""

    features: tuple[Feature, ...]
    """What it learns from."""

    training: Mapping[str, Mapping[str, object]]
    """By network the settings of the paper, which ``msmt train --preset paper`` sets."""

    presets: tuple[Preset, ...]
    """Its tables."""

    readings: tuple[Reading, ...]
    """Where its paper is unclear."""

    bench: tuple[Row, ...] = ()
    """How it stands in the table of all systems."""

    needs_speakers: bool = False
    """Whether its features say who speaks."""

    def feature_named(self, pattern: str) -> Feature | None:
        """The feature that puts what is called so into a store."""
        return next((each for each in self.features if pattern in each.in_store), None)

    def preset_named(self, name: str) -> Preset:
        return next(each for each in self.presets if each.name == name)


def alternatives(chosen: str | Sequence[str]) -> tuple[str, ...]:
    """What may fill a slot, the best first."""
    return (chosen,) if isinstance(chosen, str) else tuple(chosen)
