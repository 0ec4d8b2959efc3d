"""The networks by name. A file is imported when its network is asked for."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from typing import TYPE_CHECKING

from ...errors import SettingError, shown
from ..config import ModelConfig, NetworkSettings

if TYPE_CHECKING:
    from .contract import Network
    from .staged import StagedModel

NETWORKS = {
    "msmt-fn": "msmt_fn",
    "linear": "linear",
    "bigru": "bigru",
    "cm-roberta": "cm_roberta",
    "mmml": "mmml",
    "emotional-cues": "emotional_cues",
    "merits-stage1": "merits_stage1",
    "merits-stage2": "merits_stage2",
    "merits-stage3": "merits_stage3",
}
STAGED = {"merits-l": "merits_l"}  # models whose stages are networks, each trained on what those before it make
DEFAULT = "msmt-fn"


def network_named(name: str) -> Network:
    """The network of that name. Raises SettingError when there is none."""
    if name in STAGED:
        raise SettingError(
            f"{name} is a chain of stages, which msmt train alone makes of it: name each stage as a variant of a plan,"
            f" see docs/systems/{name}.md"
        )
    if name not in NETWORKS:
        raise SettingError(f"model must be one of {', '.join(NETWORKS)}, but is {shown(name)}")
    return import_module(f".{NETWORKS[name]}", __package__).NETWORK


def staged_named(name: str) -> StagedModel:
    """The staged model of that name. Raises SettingError when there is none."""
    if name not in STAGED:
        raise SettingError(f"a model in stages must be one of {', '.join(STAGED)}, but is {shown(name)}")
    return import_module(f".{STAGED[name]}", __package__).STAGED


def settings_of(name: str) -> type[NetworkSettings]:
    """The class of a network's settings. Raises SettingError when there is no such network."""
    return ModelConfig if name == DEFAULT else network_named(name).settings  # without torch where that can be


def all_options() -> dict[str, list[str]]:
    """The options of all networks by the names of their fields, and the networks that have each."""
    found: dict[str, list[str]] = {}
    for name in NETWORKS:
        for field in dataclasses.fields(settings_of(name)):
            found.setdefault(field.name, []).append(name)
    return found


def check_option(option: str, settings: type[NetworkSettings], *others: type, dashed: bool = False) -> None:
    """Raises SettingError for an option of another network, which says whose it is."""
    if option == "model" or option in {
        field.name for kind in (settings, *others) for field in dataclasses.fields(kind)
    }:
        return
    whose = all_options().get(option)
    if whose:
        called = f"--{option.replace('_', '-')}" if dashed else option
        owners = f"{', '.join(whose[:-1])} and {whose[-1]}" if len(whose) > 1 else whose[0]
        raise SettingError(f"{called} is an option of {owners}, not of {settings.network}")
