"""The preset of all systems: every network that a store's features allow, on the same splits and seeds.

All are trained alike, with msmt's own settings or those that the user gives: a paper's own are for its own table. Each
is trained apart, so that its seconds are its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import EncoderError, SettingError
from ...features.spec import FeatureSpec
from ...train.binding import fitting
from ...train.config import TrainConfig, slot_option
from ...train.models.contract import Slot
from ...train.models.registry import NETWORKS, network_named
from ...train.plans import settings_from
from .asking import command_for
from .contract import Rows, System
from .registry import is_here, system_of
from .settling import settled_rows, slots_named, without_slots


def rows_of_all(store, options: Mapping[str, object]) -> tuple[Rows, list[str]]:
    """A row for each network that the store has features for; remarks on the others, and on what each learns from."""
    kept: Rows = {}
    remarks: list[str] = []
    done: set[str] = set()
    has_speakers = any(store.segments["speaker"])
    for name in NETWORKS:
        system = system_of(name)
        if system is not None and not is_here(system):
            continue
        called = system.name if system and len(system.networks) > 1 else name
        if called in done:
            continue
        done.add(called)
        if network_named(name).asks_speakers and not has_speakers:
            remarks.append(f"{called} is left out: {store.path} does not say who speaks")
        elif called != name:
            rows, said = settled_rows(system, system.bench, store, options, any_feature=True)
            kept |= {row: _comparable(changes) for row, changes in rows.items()}
            remarks += said
        else:
            row, said = _row_of(name, system, store, options)
            kept |= row
            remarks += said
    return kept, remarks


def _row_of(name: str, system: System | None, store, options: Mapping[str, object]) -> tuple[Rows, list[str]]:
    """A network with what its system's table gives it, as far as that is there, and else with what fits."""
    network = network_named(name)
    preferred = next((row for row in system.bench if row.options.get("model") == name), None) if system else None
    wanted = dict(preferred.slots) if preferred else {}
    own = slots_named(options)
    declared = {slot.name: slot for slot in network.slots(network.settings())}
    filled, empty = {}, []
    for slot, declaration in declared.items():
        found = own.get(slot) or _feature_for(declaration, wanted.get(slot, ""), store)
        if slot in own and found in store.specs and not _fits(store.specs[found], declaration):
            return {}, [f"{name} is left out: {found} does not fit its slot {slot}"]
        if found is None and not declaration.may_be_empty:
            return {}, [_lacks(name, [str(wanted.get(slot, slot))], system, store)]
        filled[slot] = found or ""
        empty += [] if found else [str(wanted.get(slot, slot))]
    if not any(filled.values()):
        return {}, [_lacks(name, empty, system, store)]
    if why := _unsettled(name, options, [slot for slot, feature in filled.items() if feature]):
        return {}, [f"{name} is left out: {why}"]
    more = {slot: feature for slot, feature in wanted.items() if slot not in declared and feature in store.specs}
    remarks = [f"{name} learns without {', '.join(empty)}"] if empty and system else []
    read = ", ".join(f"{slot} {feature}" for slot, feature in {**filled, **more}.items() if feature)
    return {name: {"model": name, "slot": slot_option({**filled, **more})}}, [*remarks, f"{name} learns from {read}"]


def _unsettled(name: str, options: Mapping[str, object], filled: list[str]) -> str:
    """Why a network cannot be had as it is asked for, such as for want of frozen layers; empty where it can."""
    network = network_named(name)
    try:
        network.settle(settings_from(network.settings, options), filled)
    except EncoderError as error:
        return str(error)
    return ""


def _feature_for(slot: Slot, wanted: str, store) -> str | None:
    """What is wanted if it is there, else the first that fits; vectors of runs are of other networks."""
    if wanted in store.specs:
        return wanted
    fit = [name for name in fitting(store.specs, slot) if store.specs[name].kind != "run"]
    return fit[0] if fit else None


def _fits(spec: FeatureSpec, slot: Slot) -> bool:
    return spec.unit in slot.units and spec.modality in slot.modalities


def _lacks(name: str, lacking: list[str], system: System | None, store) -> str:
    if system is None:
        return f"{name} is left out: {store.path} has no feature that fits, add one with msmt extract"
    return f"{name} is left out: add {', '.join(lacking)} with {command_for(system, lacking, store)}"


def _comparable(changes: Mapping[str, object]) -> dict[str, object]:
    """A row without the training settings of its paper."""
    of_training = {name for name in without_slots(changes) if name in TrainConfig.__dataclass_fields__}
    return {name: value for name, value in changes.items() if name not in of_training}


def one_at_a_time(together: int) -> int:
    """How many runs share a pass: one. Raises SettingError where the user asks for more."""
    if together not in (0, 1):
        raise SettingError("the preset all-systems tells seconds, so it trains one run at a time: leave out --together")
    return 1
