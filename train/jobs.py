"""A run to train or to go on with, from settings that fit the store."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import SettingError, StoreError
from . import runs
from .assembly import build_on_paper
from .binding import bind, modalities_seen
from .config import ModelConfig, NetworkSettings, TrainConfig
from .data import choose_tasks
from .material import Material, material_for, material_of
from .models.registry import network_named


@dataclass(frozen=True)
class Job:
    """One run to train, or to go on with."""

    settings: runs.Settings
    """All that its network is built from."""

    material: Material
    """What it learns from and is judged by."""

    resumed: runs.Run | None = None
    """The run to go on with; None to start one."""

    command: Sequence[str] | None = None
    """What the run records as its command line; None for that of this process."""

    part_of: Mapping[str, object] | None = None
    """The staged model that the run is a stage of, as environment.json keeps it; None for a run by itself."""


def job_for(
    store,
    model: NetworkSettings | None,
    config: TrainConfig | None,
    resumed: runs.Run | None = None,
    command: Sequence[str] | None = None,
    slots: Mapping[str, tuple[str, ...]] | None = None,
) -> Job:
    """Checks the settings against the store. Raises StoreError, SettingError or RunError when they will not do.

    With ``resumed``, that run's settings hold, and the two configs must be None or equal to them; the rows that it read
    must be in the store as they were. ``slots`` are the features that fill each, where the settings leave that open.
    """
    if resumed is None:
        settings = _settings_for(store, model or ModelConfig(), config or TrainConfig(), slots)
        build_on_paper(settings)
        return Job(settings, material_for(store, settings), None, command)
    settings = resumed.settings
    _check_same_settings(resumed, settings, model, config)
    return Job(settings, material_of(resumed, store, settings), resumed, command)


def _settings_for(
    store, model: NetworkSettings, config: TrainConfig, slots: Mapping[str, tuple[str, ...]] | None
) -> runs.Settings:
    if not store.tasks:
        raise StoreError(
            f"{store.path} has no tasks, for its corpus has no labels: name their columns with msmt extract "
            f"--label-columns"
        )
    network = network_named(model.network)
    if slots is None:
        slots = bind(store, network, network.slots(model), config.slots, model.modalities)
    slots = {slot: tuple(features) for slot, features in slots.items()}
    return runs.Settings(
        # What a run's settings say holds whatever its store is given later.
        model=dataclasses.replace(network.settle(model, slots), modalities=modalities_seen(slots, model.modalities)),
        train=config,
        tasks=choose_tasks(store.tasks, config.task_names, model.mtl),
        slots=slots,
        specs={name: store.specs[name] for features in slots.values() for name in features},
    )


def _check_same_settings(
    run: runs.Run, settings: runs.Settings, model_config: NetworkSettings | None, train_config: TrainConfig | None
) -> None:
    if model_config is not None and model_config.network != settings.model.network:
        raise SettingError(
            f"run {run.name} goes on with its own network, {settings.model.network} and not {model_config.network}: "
            f"start a new run to change it"
        )
    for given, own in ((model_config, settings.model), (train_config, settings.train)):
        for name, value in dataclasses.asdict(given or own).items():
            settled = network_named(settings.model.network).settled
            is_open = name == "modalities" and value == "auto" or name in settled and not value
            if value != getattr(own, name) and not is_open:
                raise SettingError(
                    f"run {run.name} goes on with its own settings, {name} {getattr(own, name)!r} and not {value!r}: "
                    f"start a new run to change them"
                )
