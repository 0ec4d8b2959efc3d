"""Chains: variants of a plan that learn from what other variants' runs make of each segment.

Where a slot names a variant, as ``text=@stage1``, each run is fed by the run of that variant with its own seed. What that
run makes of the segments becomes a feature of the store, called ``stage1-seed0-1a2b3c4d``: the run, and a digest of all
settings that lead to it, so that plans which mean something else by ``stage1`` do not meet.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from ..errors import MsmtError, SettingError
from ..features.rows import MISSING, RowStates
from ..features.spec import RUN, FeatureSpec
from ..features.store import FeatureStore
from .assembly import build, vectors
from .data import Batch
from .jobs import Job, job_for
from .plans import Plan, Variant, command_for, waves_of
from .rows import Rows
from .runs import Settings

_LONGEST_STEM = 150  # characters of a run's name in that of its feature


def feature_of(variants: Sequence[Variant], name: str, seed: int) -> str:
    """The feature that holds what the run of a variant with a seed makes of each segment."""
    variant = fed(variants, name, seed)
    config = variant.settings_for(seed)
    says = [variant.model.network, dataclasses.asdict(variant.model), dataclasses.asdict(config), variant.embeds]
    digest = hashlib.sha256(json.dumps(says).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', config.name)[:_LONGEST_STEM]}-{digest}"


def fed(variants: Sequence[Variant], name: str, seed: int) -> Variant:
    """The variant of that name, its slots filled by the features of its sources' runs with a seed."""
    variant = next(each for each in variants if each.name == name)
    return variant.fed({source: feature_of(variants, source, seed) for source in variant.sources.values()})


def sources_in(variants: Sequence[Variant]) -> set[str]:
    """The names of all variants that others learn from."""
    return {source for variant in variants for source in variant.sources.values()}


def commands_for(plan: Plan, variant: Variant, store: Path, seed: int) -> str:
    """The commands that train one variant with one seed by itself, to the same numbers: its sources first."""
    lines = []
    for each in _before(plan.variants, variant.name):
        own = next(other for other in plan.variants if other.name == each)
        ready = fed(plan.variants, each, seed)
        lines.append(command_for(ready, store, seed))
        feature = feature_of(plan.variants, each, seed)
        words = ["msmt", "embed", own.settings_for(seed).name, "--name", feature, "--from", own.embeds]
        lines.append(shlex.join([*words, "--store", str(store)]))
    return " && ".join([*lines, command_for(fed(plan.variants, variant.name, seed), store, seed)])


def _before(variants: Sequence[Variant], name: str) -> list[str]:
    """All variants that one of that name waits for, each after those that it waits for itself."""
    own = next(each for each in variants if each.name == name)
    found: list[str] = []
    for source in own.sources.values():
        found += [each for each in (*_before(variants, source), source) if each not in found]
    return found


def check_stores(plan: Plan) -> None:
    """Raises SettingError where a variant is to learn from vectors that will be in the store of another."""
    stores = {variant.name: variant.store or plan.store for variant in plan.variants}
    for variant in plan.variants:
        for source in variant.sources.values():
            if stores[source] != stores[variant.name]:
                raise SettingError(
                    f"variant {variant.name} learns from {stores[variant.name]}, but the vectors of its source {source}"
                    f" will be in {stores[source]}: give both one store"
                )


def check_ahead(plan: Plan, jobs: Mapping[str, Job], stores: Mapping[Path, object]) -> None:
    """Checks variants that learn from others as far as can be before these are trained; ``jobs`` are of all the rest.

    Raises what ``job_for`` raises, and SettingError for a source that cannot embed what it is to.
    """
    seed, settings = plan.seeds[0], {name: job.settings for name, job in jobs.items()}
    to_be = {path: _StoreToBe(store) for path, store in stores.items()}
    needed = sources_in(plan.variants)
    for wave in waves_of(plan.variants):
        for variant in wave:
            store = to_be[variant.store or plan.store]
            try:
                if variant.name not in settings:
                    ready = fed(plan.variants, variant.name, seed)
                    settings[variant.name] = job_for(store, ready.model, ready.settings_for(seed)).settings
                if variant.name in needed:
                    store.promise(feature_of(plan.variants, variant.name, seed), settings[variant.name], variant.embeds)
            except MsmtError as error:
                raise type(error)(f"variant {variant.name}: {error}") from error


class _StoreToBe:
    """A store with features that are still to be embedded into it."""

    def __init__(self, store: FeatureStore) -> None:
        self._store, self.specs = store, dict(store.specs)
        self._lengths: dict[str, np.ndarray] = {}

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    def lengths(self, name: str) -> np.ndarray:
        return self._lengths[name] if name in self._lengths else self._store.lengths(name)

    def states(self, name: str) -> RowStates:
        if name not in self._lengths:
            return self._store.states(name)
        unknown = np.zeros(len(self._lengths[name]), np.uint64)
        return RowStates(self._lengths[name], unknown, unknown)

    def promise(self, name: str, settings: Settings, source: str) -> None:
        """A feature of what a network with these settings will make of each segment."""
        read = list(settings.features)
        modalities = {settings.specs[feature].modality for feature in read}
        is_there = np.all([self.lengths(feature) != MISSING for feature in read], axis=0)
        self._lengths[name] = np.where(is_there, 1, MISSING).astype(np.int32)
        self.specs[name] = FeatureSpec(
            modality=modalities.pop() if len(modalities) == 1 else "both",
            encoder="",
            encoder_class=settings.model.network,
            weights="",
            width=_width_of(settings, source),
            max_rows=1,
            dtype="float32",
            kind=RUN,
            unit="vector",
        )


def _width_of(settings: Settings, source: str) -> int:
    """Values of a network's vectors, from its first weights and one segment of one row."""
    features = {name: Rows(torch.zeros(1, spec.width), (1,)) for name, spec in settings.specs.items()}
    batch = Batch(np.zeros(1, int), (1,), features, {}, torch.zeros(1, dtype=torch.int64))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        return vectors(build(settings).eval(), batch, source == "context").shape[1]
