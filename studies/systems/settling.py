"""Filling the slots of a preset's rows with what a store has."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from ...errors import SettingError
from ...train.binding import fitting
from ...train.config import TrainConfig, slot_option
from ...train.models.registry import DEFAULT, NETWORKS, network_named
from .asking import command_for, without_speakers
from .contract import Row, Rows, System, alternatives

_OF_SLOTS = ("slot", "text_feature", "audio_feature")  # options that fill slots


def slots_named(options: Mapping[str, object]) -> dict[str, str]:
    """What the user fills slots with."""
    return TrainConfig(**{name: str(options[name]) for name in _OF_SLOTS if name in options}).slots


def check_here(system: System, store) -> None:
    """Raises SettingError where a system's network is not here, or a store does not say who speaks and it asks."""
    for network in system.networks:
        if network not in NETWORKS:
            raise SettingError(f"{system.name} needs the network {network}, which is not here: {', '.join(NETWORKS)}")
    without_speakers(system, set(store.segments["speaker"]), str(store.path))


def settled_rows(
    system: System, rows: tuple[Row, ...], store, options: Mapping[str, object], any_feature: bool
) -> tuple[Rows, list[str]]:
    """Rows with their slots filled by what a store has; a remark on each that lacks something, with what adds it.

    What the user fills a slot with takes the place of the row's feature. With ``any_feature`` so does what else fits.
    """
    own = slots_named(options)
    kept: Rows = {}
    without: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        filled, lacking = {}, []
        for slot, wanted in row.slots.items():
            others = alternatives(wanted)
            if others != ("",) and slot in own and not others[0].startswith("@"):
                filled[slot] = own[slot]
                continue
            found = next((each for each in others if _is_there(each, store, kept)), None)
            if found is None and any_feature:
                found = _other_for(row, slot, store)
            if found is None:
                lacking.append(others[0])
            else:
                filled[slot] = found
        if lacking:
            without.setdefault(tuple(lacking), []).append(row.name)
            continue
        kept[row.name] = {
            **row.options,
            **({"slot": slot_option(filled)} if filled else {}),
            **({"paper": row.paper} if row.paper else {}),
        }
    remarks = [_left_out(system, names, lacking, store) for lacking, names in without.items()]
    return _without_orphans(kept, remarks), remarks


def _is_there(wanted: str, store, kept: Rows) -> bool:
    """Whether a slot can be filled so: nothing is always there, and another row may still come."""
    return not wanted or wanted.startswith("@") or any(fnmatchcase(name, wanted) for name in store.specs)


def _without_orphans(kept: Rows, remarks: list[str]) -> Rows:
    """The rows without those that learn from the vectors of one that is left out."""
    while True:
        needs = {name: _rows_needed(changes) for name, changes in kept.items()}
        orphans = {name: next(iter(sorted(each - set(kept)))) for name, each in needs.items() if each - set(kept)}
        if not orphans:
            return kept
        remarks += [f"{name} is left out, for it learns from {other}" for name, other in orphans.items()]
        kept = {name: changes for name, changes in kept.items() if name not in orphans}


def _rows_needed(changes: Mapping[str, object]) -> set[str]:
    return {feature[1:] for feature in slots_named(changes).values() if feature.startswith("@")}


def _other_for(row: Row, slot: str, store) -> str | None:
    """The only feature of a store that fits a slot of a row's network; None where there is none, or a choice."""
    network = network_named(str(row.options.get("model", DEFAULT)))
    declared = {each.name: each for each in network.slots(network.settings())}
    found = fitting(store.specs, declared[slot]) if slot in declared else []
    return found[0] if len(found) == 1 else None


def _left_out(system: System, names: list[str], lacking: tuple[str, ...], store) -> str:
    are = "is" if len(names) == 1 else "are"
    command = command_for(system, lacking, store)
    return f"{', '.join(names)} {are} left out: add {', '.join(lacking)} with {command}, or name others with --slot"


def without_slots(options: Mapping[str, object]) -> dict[str, object]:
    """The options that rows take as they are; those of slots have been taken into each row's own."""
    return {name: value for name, value in options.items() if name not in _OF_SLOTS}
