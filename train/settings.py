"""All that a run's network is built from, as config.json keeps it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from ..features.spec import FeatureSpec
from ..features.tasks import Task
from .config import NetworkSettings, TrainConfig
from .models.registry import DEFAULT, settings_of

_CHOOSERS = ("slot", "text_feature", "audio_feature", "views")  # options that say nothing that slots and rows do not


@dataclass(frozen=True)
class Settings:
    """All that a run's network is built from."""

    model: NetworkSettings
    """Sizes and switches of the network; their class says which network it is."""

    train: TrainConfig
    """How it is trained."""

    tasks: tuple[Task, ...]
    """Tasks that have a head."""

    slots: Mapping[str, tuple[str, ...]]
    """By slot of the network, in its order, the names of the store's features that fill it: one, or layers to sum."""

    specs: Mapping[str, FeatureSpec]
    """How each of these features was made, by its name."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of all features, each once, in the order of the slots."""
        return tuple(dict.fromkeys(name for names in self.slots.values() for name in names))

    def mean_the_same(self, other: Settings) -> bool:
        """Whether both build and train the same, given the same rows, however features and views were chosen."""
        ours, theirs = (
            (
                each.model,
                dataclasses.replace(each.train, **dict.fromkeys(_CHOOSERS, "")),
                each.tasks,
                list(each.slots.items()),
            )
            for each in (self, other)
        )
        return ours == theirs

    def to_json(self) -> dict:
        return {
            "network": self.model.network,
            "model": dataclasses.asdict(self.model),
            "train": dataclasses.asdict(self.train),
            "tasks": [task.to_json() for task in self.tasks],
            "features": {
                slot: [{"name": name, "spec": self.specs[name].to_json()} for name in names]
                for slot, names in self.slots.items()
            },
        }

    @classmethod
    def from_json(cls, fields: dict) -> Settings:
        """What ``to_json`` has made; before networks had names there was one, and one feature for each of its slots."""
        filled = {
            slot: features if isinstance(features, list) else [features]
            for slot, features in fields["features"].items()
        }
        return cls(
            model=settings_of(fields.get("network", DEFAULT))(**fields["model"]),
            train=TrainConfig(**fields["train"]),
            tasks=tuple(Task.from_json(task) for task in fields["tasks"]),
            slots={slot: tuple(feature["name"] for feature in features) for slot, features in filled.items()},
            specs={
                feature["name"]: FeatureSpec.from_json(feature["spec"])
                for features in filled.values()
                for feature in features
            },
        )
