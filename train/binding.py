"""Which features of a store fill the slots of a network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np

from ..errors import SettingError, StoreError
from ..features.spec import RUN, FeatureSpec
from .config import NetworkSettings
from .models.contract import Network, Slot
from .models.registry import network_named

_PATTERN = re.compile(r"[*?\[]")


def bind(
    store, network: Network, slots: Sequence[Slot], asked: Mapping[str, str], modalities: str = "auto"
) -> dict[str, tuple[str, ...]]:
    """The features of the store that fill each slot, in the order of the slots: those asked for, or the only one fitting.

    ``asked`` holds by slot a feature's name, a pattern of several layers, or nothing for a slot to be left empty.
    Slots that may be empty are so where the store has no feature of their modalities, unless ``modalities`` say more.

    Raises SettingError when the choice is open or impossible, StoreError when the store has nothing that fits.
    """
    own = {slot.name: slot for slot in slots}
    bound = {}
    for name in slots_filled(store, network, slots, asked, modalities):
        slot = own.get(name, network.more_slots)
        wanted = asked.get(name)
        bound[name] = _asked_for(store, network, slot, wanted) if wanted else (_only_one(store, network, slot),)
    if not bound:
        if all(name in asked for name in own):
            raise SettingError(f"all slots of {network.name} are left empty: fill one, such as --slot text=FEATURE")
        raise _nothing_of(store, slots[0])
    return bound


def slots_filled(
    store, network: Network, slots: Sequence[Slot], asked: Mapping[str, str], modalities: str = "auto"
) -> list[str]:
    """The slots that ``bind`` would fill, whatever with. Raises SettingError for slots that are none."""
    own = {slot.name: slot for slot in slots}
    unknown = [name for name in asked if name not in own]
    if unknown and network.more_slots is None:
        raise SettingError(f"{network.name} has no slot {unknown[0]}: its slots are {', '.join(own)}")
    filled = []
    for slot in slots:
        may_be_empty = slot.may_be_empty and modalities == "auto"
        is_left_empty = slot.name in asked and not asked[slot.name]
        if slot.beside and slot.beside not in filled:
            if asked.get(slot.name):
                raise SettingError(f"slot {slot.name} of {network.name} goes with slot {slot.beside}, which is empty")
            continue
        if is_left_empty and not slot.may_be_empty:
            raise SettingError(f"slot {slot.name} of {network.name} cannot be left empty")
        there_is_one = any(spec.modality in slot.modalities for spec in store.specs.values())
        if not is_left_empty and (slot.name in asked or there_is_one or not may_be_empty):
            filled.append(slot.name)
    return filled + [name for name in unknown if asked[name]]


def modalities_seen(slots: Mapping[str, object], asked: str) -> str:
    """What ``auto`` has come to: ``both``, or the one of text and audio that is filled; other choices stay."""
    seen = [name for name in ("text", "audio") if name in slots]
    return asked if asked != "auto" or not seen else seen[0] if len(seen) == 1 else "both"


def check_slots(store, model: NetworkSettings, slots: Mapping[str, Sequence[str]], rows: np.ndarray) -> None:
    """Raises SettingError where what fills a network's slots does not go together in some rows of a store."""
    check_layers(store, slots, rows)
    _check_beside(store, model, slots, rows)


def check_layers(store, slots: Mapping[str, Sequence[str]], rows: np.ndarray) -> None:
    """Raises SettingError for layers of one slot that cannot be summed: of other widths, or of other rows."""
    for slot, features in slots.items():
        first = features[0]
        for other in features[1:]:
            widths = [store.specs[name].width for name in (first, other)]
            if widths[0] != widths[1]:
                raise SettingError(
                    f"slot {slot} cannot sum {first} and {other}, for they are {widths[0]} and {widths[1]} values wide:"
                    f" name layers of one encoder"
                )
            if apart := _first_apart(store, first, other, rows):
                segment, one, two = apart
                raise SettingError(
                    f"slot {slot} cannot sum {first} and {other}, for of segment {segment} they have "
                    f"{one} and {two} rows: name layers of one encoder"
                )


def _check_beside(store, model: NetworkSettings, slots: Mapping[str, Sequence[str]], rows: np.ndarray) -> None:
    """Raises SettingError for a slot whose rows must lie beside those of another and do not."""
    for slot in network_named(model.network).slots(model):
        if not slot.is_row_for_row or slot.name not in slots:
            continue
        own, other = slots[slot.name][0], slots[slot.beside][0]
        if apart := _first_apart(store, own, other, rows):
            segment, one, two = apart
            raise SettingError(
                f"{own} in slot {slot.name} has {one} rows of segment {segment}, and {other} in slot "
                f"{slot.beside} {two}: make {own} with the encoder, tokens, turns and speakers of {other}"
            )


def _first_apart(store, one: str, other: str, rows: np.ndarray) -> tuple[str, int, int] | None:
    """The first of some segments of which two features have other numbers of rows, and these; None if there is none."""
    lengths = [store.lengths(name)[rows] for name in (one, other)]
    apart = np.flatnonzero(lengths[0] != lengths[1])
    if not len(apart):
        return None
    first = apart[0]
    return store.segments["segment_id"].iloc[rows[first]], int(lengths[0][first]), int(lengths[1][first])


def fitting(specs: Mapping[str, FeatureSpec], slot: Slot) -> list[str]:
    """The features that may fill a slot unless others are named: of the unit that it likes best among those there.

    Features without silence, or of one speaker, lie beside the plain one; they are meant only when named. So are
    vectors of runs where there is anything else.
    """
    there = [name for name, spec in specs.items() if _fits(spec, slot) and _is_of_its_kinds(spec, slot)]
    there = [name for name in there if specs[name].kind != RUN] or there
    for unit in slot.units:
        alike = [name for name in there if specs[name].unit == unit]
        if alike:
            plain = [name for name in alike if specs[name].is_plain]
            return plain if len(plain) == 1 else alike
    return []


def _only_one(store, network: Network, slot: Slot) -> str:
    found = fitting(store.specs, slot)
    if len(found) == 1:
        return found[0]
    if found:
        raise SettingError(
            f"{store.path} has several features for slot {slot.name}: choose --slot {slot.name}=FEATURE from "
            f"{', '.join(found)}"
        )
    if slot.kinds:
        kind = slot.kinds[0]
        raise StoreError(
            f"{store.path} has no feature of kind {kind} for slot {slot.name} of {network.name}: run msmt extract "
            f"--feature {kind}={kind}:… (msmt features lists its options), or leave it empty (--slot {slot.name}=)"
        )
    if not any(spec.modality in slot.modalities for spec in store.specs.values()):
        raise _nothing_of(store, slot)
    raise StoreError(
        f"{store.path} has no feature for slot {slot.name} of {network.name}, which takes {_kinds(slot)}; it holds "
        f"{_described(store.specs)}"
    )


def _nothing_of(store, slot: Slot) -> StoreError:
    return StoreError(
        f"{store.path} has no {slot.name} feature, it holds {', '.join(store.specs) or 'nothing'}: run msmt extract "
        f"again, or train without it (--modalities)"
    )


def _asked_for(store, network: Network, slot: Slot, wanted: str) -> tuple[str, ...]:
    if wanted in store.specs or not _PATTERN.search(wanted):
        names = [wanted]
    else:
        names = sorted((name for name in store.specs if fnmatchcase(name, wanted)), key=_by_number)
    called = f"slot {slot.name} of {network.name}" if slot.name else f"a slot of {network.name}"
    if not names or names[0] not in store.specs:
        option = f"--slot {slot.name}=FEATURE" if slot.name else "a feature"
        there = [own for own, spec in store.specs.items() if _fits(spec, slot)] or list(store.specs)
        raise SettingError(f"{store.path} has no feature {wanted}: choose {option} from {', '.join(there) or 'none'}")
    for name in names:
        spec = store.specs[name]
        if not _fits(spec, slot):
            raise SettingError(
                f"{name} does not fit {called}: it has {_kind(spec.unit, spec.modality)}, the slot takes {_kinds(slot)}"
            )
    return tuple(names)


def _fits(spec: FeatureSpec, slot: Slot) -> bool:
    return spec.unit in slot.units and spec.modality in slot.modalities


def _is_of_its_kinds(spec: FeatureSpec, slot: Slot) -> bool:
    return spec.kind in slot.kinds if slot.kinds else spec.kind not in slot.apart


def _by_number(name: str) -> list:
    """``layer9`` comes before ``layer12``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _kind(unit: str, modality: str) -> str:
    return f"{unit}s of {'both audio and text' if modality == 'both' else modality}"


def _kinds(slot: Slot) -> str:
    return " or ".join(_kind(unit, modality) for modality in slot.modalities for unit in slot.units)


def _described(specs: Mapping[str, FeatureSpec]) -> str:
    return ", ".join(f"{name} ({_kind(spec.unit, spec.modality)})" for name, spec in specs.items()) or "nothing"
