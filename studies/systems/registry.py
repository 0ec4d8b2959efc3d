"""The systems by name. A file is imported when its system is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from ...errors import SettingError, shown
from ...train.models.registry import DEFAULT, NETWORKS
from .contract import System

SYSTEMS = {
    "msmt-fn": "msmt_fn",
    "mmml": "mmml",
    "cm-roberta": "cm_roberta",
    "emotional-cues": "emotional_cues",
    "merits-l": "merits_l",
}
ALL_SYSTEMS = "all-systems"  # the preset that trains every network on one store
PAPER = "paper"  # the preset of msmt train: the settings of the network's paper


def system_named(name: str) -> System:
    """The system of that name, or the one that has a preset of that name. Raises SettingError when there is none."""
    if name in SYSTEMS:
        return import_module(f".{SYSTEMS[name]}", __package__).SYSTEM
    for each in map(system_named, SYSTEMS):
        if any(preset.name == name for preset in each.presets):
            return each
    raise SettingError(f"there is no system {shown(name)}: choose from {', '.join(SYSTEMS)}")


def system_of(network: str) -> System | None:
    """The system that a network is of; None for the baselines."""
    return next((each for each in map(system_named, SYSTEMS) if network in each.networks), None)


def is_here(system: System) -> bool:
    """Whether all networks of a system are."""
    return all(network in NETWORKS for network in system.networks)


def preset_names() -> tuple[str, ...]:
    """All plans that systems bring along, and the one of all systems."""
    return (*(preset.name for name in SYSTEMS for preset in system_named(name).presets), ALL_SYSTEMS)


def network_of_preset(name: str) -> str:
    """The network whose options a plan of that name has; the default one's for a preset of several, or of none."""
    system = next((each for each in map(system_named, SYSTEMS) if any(name == own.name for own in each.presets)), None)
    if system is None or len(system.networks) > 1 or not is_here(system):
        return DEFAULT
    return system.networks[0]


def paper_settings(network: str) -> Mapping[str, object]:
    """The training settings of a network's paper, none for a chain of stages, which brings its own. Raises SettingError for a network that no paper here is about."""
    if network in SYSTEMS and network not in NETWORKS:  # a chain, whose stages have their own settings
        return {}
    system = system_of(network)
    if system is None or network not in system.training:
        have = [name for each in map(system_named, SYSTEMS) for name in each.training if name in NETWORKS]
        raise SettingError(
            f"--preset {PAPER} sets options of {', '.join(have)}, not of {network}: leave one of them out"
        )
    return system.training[network]
