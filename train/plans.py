"""Plans of ablations: which variants to train, with which seeds.

A plan is a YAML or JSON file:

    store: cache/marketcalls.zarr      # optional
    seeds: 3                           # how many, from 0, or a list of them
    epochs: 20                         # any option of msmt train, for all variants
    variants:
      full: {}                         # the first is what the others are compared with
      no-mtl: {mtl: false}             # the options that it changes
      baseline: {model: linear}        # another network, and options of it
      quiet: {audio_feature: hubert-nosilence, store: cache/other.zarr, paper: "MSMT-FN, silence removed"}
      first: {model: bigru, embeds: context}              # what its runs make of each segment, in its recording,
      second: {model: bigru, slot: "text=,audio=,before=@first"}  # fills a slot of another; see chains.py
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import SettingError, shown
from ..values import LARGEST_SEED, check_text, for_field, read_file
from .config import NetworkSettings, TrainConfig, slot_option
from .models.registry import DEFAULT, all_options, check_option, settings_of

_OF_A_PLAN = ("variants", "seeds", "store")
_OF_A_VARIANT = ("store", "paper", "embeds")
EMBEDS = ("segment", "context")  # what a variant's runs may make of each segment, for others to learn from
_SOURCE = "@"  # stands before the name of a variant where that of a feature may stand
_PER_RUN = ("seed", "name")  # options that a plan sets by itself
_MOST_VARIANTS = 1000
_MOST_SEEDS = 1000
_MOST_RUNS = 10_000
_LONGEST_NAME = 500  # characters of a variant's name
_LONGEST_STEM = 100  # bytes of a variant's name in that of a folder


@dataclass(frozen=True)
class Variant:
    """One row of an ablation."""

    name: str
    """Its name in the table."""

    model: NetworkSettings
    """Its network."""

    train: TrainConfig
    """How it is trained; seed and name are set for each run."""

    store: Path | None = None
    """The store it learns from; None for the plan's."""

    paper: str = ""
    """Name of the paper's row that stands beside it; empty for none."""

    embeds: str = ""
    """The vectors of its runs that others may learn from, ``segment`` or ``context``; empty for none."""

    @property
    def sources(self) -> dict[str, str]:
        """By slot the variant whose vectors fill it, where the slot names one: ``text=@stage1``."""
        return {
            slot: feature.removeprefix(_SOURCE)
            for slot, feature in self.train.slots.items()
            if feature.startswith(_SOURCE)
        }

    def fed(self, features: Mapping[str, str]) -> Variant:
        """With features in place of the variants that its slots name, by the names of these."""
        if not self.sources:
            return self
        slots = {**self.train.slots, **{slot: features[source] for slot, source in self.sources.items()}}
        return dataclasses.replace(
            self, train=dataclasses.replace(self.train, slot=slot_option(slots), text_feature="", audio_feature="")
        )

    def renamed(self, names: Mapping[str, str]) -> Variant:
        """Under another name, with its sources under theirs; ``names`` are the new ones by the old."""
        fed = self.fed({source: _SOURCE + names[source] for source in self.sources.values()})
        return dataclasses.replace(fed, name=names[self.name])

    def settings_for(self, seed: int) -> TrainConfig:
        """How its run with ``seed`` is trained."""
        stem = re.sub(r"[^\w.+=-]+", "-", self.name).strip("-.").encode()[:_LONGEST_STEM].decode(errors="ignore")
        if stem != self.name:  # others may be cut to the same
            stem = f"{stem or 'variant'}-{hashlib.sha256(self.name.encode()).hexdigest()[:6]}"
        return dataclasses.replace(self.train, seed=seed, name=f"{stem}-seed{seed}")


@dataclass(frozen=True)
class Plan:
    """The variants and seeds of an ablation."""

    variants: tuple[Variant, ...]
    """In the order of the table; the first is what the others are compared with."""

    seeds: tuple[int, ...]
    """Every variant is trained with each of them."""

    store: Path | None = None
    """The store of variants that name none."""

    def __post_init__(self) -> None:
        count = len(self.variants) * len(self.seeds)
        if count > _MOST_RUNS:
            raise SettingError(
                f"{count:,} runs are too many for one ablation: {_MOST_RUNS:,} at most, take fewer seeds"
            )

    def to_json(self) -> dict:
        """All of it, to keep beside the results."""
        return {
            "store": str(self.store),
            "seeds": list(self.seeds),
            "variants": {
                variant.name: {
                    **({"model": variant.model.network} if variant.model.network != DEFAULT else {}),
                    **dataclasses.asdict(variant.model),
                    **{
                        name: value for name, value in dataclasses.asdict(variant.train).items() if name not in _PER_RUN
                    },
                    **({"store": str(variant.store)} if variant.store else {}),
                    **({"paper": variant.paper} if variant.paper else {}),
                    **({"embeds": variant.embeds} if variant.embeds else {}),
                }
                for variant in self.variants
            },
        }


def read_plan(path: Path, options: Mapping[str, object], seeds: str = "") -> Plan:
    """The plan in a file; ``options`` hold for all variants that do not say otherwise, ``seeds`` over the file's.

    Raises SettingError, naming the file and the key, for what is not a plan.
    """
    content = read_file(Path(path))
    if not isinstance(content, dict) or not isinstance(content.get("variants"), dict) or not content["variants"]:
        raise SettingError(f"{path}: must have variants, such as 'variants: {{full: {{}}, no-mtl: {{mtl: false}}}}'")
    for_all = _named_options({name: value for name, value in content.items() if name not in _OF_A_PLAN}, str(path))
    chosen = seeds_from(seeds or content.get("seeds", 1), f"{path}: seeds" if not seeds else "seeds")
    variants = variants_of(content["variants"], {**for_all, **options}, str(path))
    return Plan(variants, chosen, _store_in(content, str(path)))


def _store_in(content: Mapping, where: str) -> Path | None:
    if "store" not in content:
        return None
    store = content["store"]
    if not isinstance(store, str) or not store:
        raise SettingError(f"{where}: store must be a path, but is {shown(store)}")
    check_text(f"{where}: store", store)
    return Path(store)


def variants_of(
    variants: Mapping[str, Mapping[str, object]], for_all: Mapping[str, object], where: str
) -> tuple[Variant, ...]:
    """Variants by name from the options that each changes. Raises SettingError for options that are none."""
    if len(variants) > _MOST_VARIANTS:
        raise SettingError(f"{where}: has {len(variants):,} variants, but an ablation has {_MOST_VARIANTS:,} at most")
    found = []
    for name, changes in variants.items():
        if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME:
            raise SettingError(
                f"{where}: the name of a variant must be text of 1 to {_LONGEST_NAME} characters, but is {shown(name)}"
            )
        here = f"{where}: variant {name}"
        check_text(here, name)
        if not isinstance(changes, Mapping | None):
            raise SettingError(f"{here} must be options by name, such as {{mtl: false}}, but is {shown(changes)}")
        changes = dict(changes or {})
        store = _store_in(changes, here)
        paper = _field("paper", changes.get("paper", ""), str, here)
        embeds = _field("embeds", changes.get("embeds", ""), str, here)
        if embeds not in ("", *EMBEDS):
            raise SettingError(f"{here}: embeds must be {' or '.join(EMBEDS)}, but is {shown(embeds)}")
        for key in _OF_A_VARIANT:
            changes.pop(key, None)
        own = _named_options(changes, here)
        values = {**for_all, **own}
        try:
            kind = settings_of(_field("model", values.pop("model", DEFAULT), str, here))
            for option in own:
                check_option(option, kind, TrainConfig)
            model, train = settings_from(kind, values), settings_from(TrainConfig, values)
        except SettingError as error:
            raise error if str(error).startswith(here) else SettingError(f"{here}: {error}") from error
        found.append(Variant(name, model, train, store, paper, embeds))
    for option in for_all:  # of a network that none of them is
        if not any(hasattr(settings, option) for each in found for settings in (each.model, each.train)):
            check_option(option, type(found[0].model), TrainConfig)
    try:
        waves_of(found)
    except SettingError as error:
        raise SettingError(f"{where}: {error}") from error
    return tuple(found)


def waves_of(variants: Sequence[Variant]) -> list[list[Variant]]:
    """The variants in the order of training: those that learn from no other, then those that learn from these, …

    Raises SettingError for a source that is no variant or embeds nothing, and for variants that wait for each other.
    """
    by_name = {variant.name: variant for variant in variants}
    for variant in variants:
        for slot, source in variant.sources.items():
            there = f"variant {variant.name}: slot {slot} is to learn from {_SOURCE}{source}"
            if source not in by_name:
                raise SettingError(f"{there}, but there is no such variant: name one of {', '.join(by_name)}")
            if not by_name[source].embeds:
                raise SettingError(f"{there}, which embeds nothing: give {source} embeds: {' or '.join(EMBEDS)}")
    waves, left = [], list(variants)
    while left:
        waiting = {variant.name for variant in left}
        wave = [variant for variant in left if waiting.isdisjoint(variant.sources.values())]
        if not wave:
            circle = [left[0]]
            while (after := _one_of(circle[-1], waiting)) not in [each.name for each in circle]:
                circle.append(by_name[after])
            names = [each.name for each in circle]
            circle_names = [*names[names.index(after) :], after]
            raise SettingError(f"variants learn from each other in a circle: {' from '.join(circle_names)}")
        waves.append(wave)
        left = [variant for variant in left if variant not in wave]
    return waves


def _one_of(variant: Variant, waiting: set[str]) -> str:
    return next(source for source in variant.sources.values() if source in waiting)


def seeds_from(value, where: str) -> tuple[int, ...]:
    """Seeds from how many, or from a list: ``3`` means 0, 1, 2; ``[3]`` or ``"3,"`` means the seed 3.

    Raises SettingError for anything else.
    """
    try:
        if isinstance(value, str) and "," in value:
            value = [int(part) for part in value.split(",") if part.strip()]
        elif isinstance(value, str):
            value = int(value)
    except ValueError:
        value = str(value)
    if isinstance(value, list | tuple):
        seeds, count = value, len(value)
    else:
        count = value if type(value) is int else 0
        seeds = range(min(count, _MOST_SEEDS))
    if count > _MOST_SEEDS:
        raise SettingError(f"{where} must be {_MOST_SEEDS:,} at most, but are {shown(count)}")
    is_right = all(type(seed) is int and 0 <= seed <= LARGEST_SEED for seed in seeds)
    if count < 1 or not is_right or len(set(seeds)) < count:
        raise SettingError(
            f"{where} must be how many, or different numbers from 0, such as 3 or 0,7,9; is {shown(value)}"
        )
    return tuple(seeds)


def command_for(variant: Variant, store: Path, seed: int) -> str:
    """The command that trains one variant with one seed by itself, to the same numbers."""
    words = ["msmt", "train", "--store", str(store)]
    words += ["--model", variant.model.network] if variant.model.network != DEFAULT else []
    for config in (variant.model, variant.settings_for(seed)):
        for option in dataclasses.fields(config):
            value = getattr(config, option.name)
            if value == option.default:
                continue
            name = option.name.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{name}" if value else f"--no-{name}")
            else:
                words += [f"--{name}", str(value)]
    return shlex.join(words)


def _named_options(content: Mapping, where: str) -> dict[str, object]:
    """Options by the names of their fields. Raises SettingError for a name that is none."""
    known = {"model", *(option.name for option in dataclasses.fields(TrainConfig)), *all_options()}
    named = {name.replace("-", "_"): value for name, value in content.items()}
    if isinstance(named.get("slot"), list) and all(isinstance(part, str) for part in named["slot"]):
        named["slot"] = ",".join(named["slot"])
    twice = [name for name in content if name.replace("-", "_") != name and name.replace("-", "_") in content]
    if len(named) < len(content):
        raise SettingError(f"{where} sets {shown((twice or list(content))[0])} twice, with - and with _")
    for name in named:
        if name in _PER_RUN:
            raise SettingError(
                f"{where} sets {name}, which a plan sets for each run: use seeds, and the variants' names"
            )
        if name not in known:
            raise SettingError(f"{where} sets {shown(name)}, which is no option of msmt train")
    return named


def settings_from(kind: type, values: Mapping[str, object]):
    """A settings object from those of ``values`` that are its fields."""
    own = [option for option in dataclasses.fields(kind) if option.name in values]
    return kind(**{option.name: for_field(option.name, values[option.name], type(option.default)) for option in own})


def _field(called: str, value: object, kind: type, where: str):
    try:
        return for_field(called, value, kind)
    except SettingError as error:
        raise SettingError(f"{where}: {error}") from error
