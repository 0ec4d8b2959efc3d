"""A plan that is trained on every fold of a scheme, and what its runs answer together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..errors import SettingError, StoreError
from ..evaluate import scored, units
from ..evaluate.folds import pooled
from ..features.schemes import families_in, schemes_in
from ..features.segments import ORIGINAL, REMOVED
from ..features.splits import split_named
from ..features.store import FeatureStore
from ..features.tasks import NO_LABEL, Task
from ..shown import as_line
from ..train import ablation, plans
from ..train.data import split_names
from ..train.trained import FAILED
from .schemes import segments_by, tested_by


def folds_of_plan(plan: plans.Plan, stores: Mapping[Path, FeatureStore]) -> tuple[str, ...]:
    """The folds that all variants of a plan are to be trained on; empty where its scheme is a single way of splitting.

    Raises SettingError for a scheme that a store does not have, and for variants of several schemes.
    """
    schemes = {variant.train.scheme: variant.name for variant in plan.variants}
    if len(schemes) > 1:
        (one, first), (other, second), *_ = schemes.items()
        raise SettingError(
            f"variant {first} has the scheme {one} and {second} has {other}, but rows of one table are scored on the"
            f" same recordings: name one scheme for all"
        )
    (scheme,) = schemes
    found = {path: _folds_in(store, scheme) for path, store in stores.items()}
    (path, folds), *others = found.items()
    for other, theirs in others:
        if theirs != folds:
            raise SettingError(
                f"{path} and {other} have different folds of {scheme}: make the same ones with msmt split"
            )
    return folds


def _folds_in(store: FeatureStore, scheme: str) -> tuple[str, ...]:
    families = families_in(store.head)
    if scheme in families:
        if len(families[scheme]) < 2:
            raise SettingError(
                f"{store.path}: {as_line(scheme)} has one fold, {families[scheme][0]}, so there is nothing to pool:"
                f" train on it with --scheme {families[scheme][0]}, or make more with msmt split"
            )
        return families[scheme]
    if scheme not in schemes_in(store.segments):
        there = ", ".join(map(as_line, (*families, *schemes_in(store.segments))))
        raise SettingError(f"{store.path} has no scheme {as_line(scheme)!r}, it has {there}; msmt split makes others")
    return ()


@dataclass(frozen=True)
class Fold:
    """Which row of the table a variant of an expanded plan belongs to."""

    variant: str
    """Name of the row."""

    name: str
    """The fold that it is trained on."""


@dataclass(frozen=True)
class FoldedPlan:
    """A plan with a variant for every fold."""

    of: plans.Plan
    """The plan, whose variants are the rows of the table."""

    folds: tuple[str, ...]
    """On each of which every variant is trained."""

    stores: Mapping[Path, FeatureStore]
    """What is read, by path."""

    plan: plans.Plan
    """What is to be trained."""

    rows: Mapping[str, Fold]
    """By the name of each variant of it."""

    refused: tuple[ablation.Outcome, ...]
    """What cannot be trained, and why: the folds of variants that lack a class."""


def over_folds(plan: plans.Plan, folds: Sequence[str], stores: Mapping[Path, FeatureStore], split: str) -> FoldedPlan:
    """Every variant on every fold. Raises SettingError unless ``split`` has each item in one of them.

    A variant of which a fold has a class to learn in no recording of its training split is not trained at all. Raises
    StoreError where that leaves no variant.
    """
    for store in stores.values():
        _check_each_is_once(store, folds, split)
    names = [f"{variant.name}-{fold}" for variant in plan.variants for fold in folds]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SettingError(f"{as_line(twice)} would be the name of two runs: name variants otherwise")
    kept, rows, refused = [], {}, []
    for variant in plan.variants:
        path = variant.store or plan.store
        each = [_on(plan, variant, fold) for fold in folds]
        lacking = {one: lack for one in each if (lack := lacking_classes(stores[path], one.train))}
        rows |= {one.name: Fold(variant.name, fold) for one, fold in zip(each, folds, strict=True)}
        for one, lack in lacking.items():
            refused += [ablation.Outcome(one, seed, path, None, None, FAILED, lack) for seed in plan.seeds]
        kept += [] if lacking else each
    kept, further = _with_sources(plan, stores, kept)
    refused += further
    if not kept:
        raise StoreError(f"{refused[0].store}: {refused[0].error}")
    to_train = dataclasses.replace(plan, variants=tuple(kept))
    return FoldedPlan(plan, tuple(folds), stores, to_train, rows, tuple(refused))


def _on(plan: plans.Plan, variant: plans.Variant, fold: str) -> plans.Variant:
    """A variant on one fold, which learns from what other variants have made of that fold."""
    renamed = variant.renamed({other.name: f"{other.name}-{fold}" for other in plan.variants})
    return dataclasses.replace(renamed, train=dataclasses.replace(renamed.train, scheme=fold))


def _with_sources(
    plan: plans.Plan, stores: Mapping[Path, FeatureStore], variants: Sequence[plans.Variant]
) -> tuple[list[plans.Variant], list[ablation.Outcome]]:
    """Those whose sources are all trained, and why the others are not."""
    kept, refused = list(variants), []
    while True:
        names = {variant.name for variant in kept}
        without = [variant for variant in kept if not names.issuperset(variant.sources.values())]
        if not without:
            return kept, refused
        for variant in without:
            source = next(source for source in variant.sources.values() if source not in names)
            why = f"it learns from {source}, which is not trained"
            path = variant.store or plan.store
            refused += [ablation.Outcome(variant, seed, path, None, None, FAILED, why) for seed in plan.seeds]
        kept = [variant for variant in kept if variant not in without]


def _check_each_is_once(store: FeatureStore, folds: Sequence[str], split: str) -> None:
    """Refuses folds that would score a recording twice or never, or a segment where segments are what has labels."""
    kind = "segment" if all(task.level == "segment" for task in store.tasks) else "recording"
    column = f"{kind}_id"
    tested: dict[str, str] = {}
    used: set[str] = set()
    for fold in folds:
        table = segments_by(store, fold)
        there = split_names(store, fold)
        named = split_named(split, there)
        if named not in there:
            raise SettingError(
                f"{store.path} has no split {as_line(split)} in {fold}: choose --split from"
                f" {', '.join(map(as_line, there))}"
            )
        used |= set(table[column][table["split"].isin(there)])
        for item in table[column][table["split"] == named].unique():
            if item in tested:
                raise SettingError(
                    f"{store.path}: {kind} {as_line(item)} is in the split {as_line(named)} of {tested[item]} and of"
                    f" {fold}, but to be pooled each must be there once: make other folds with msmt split"
                )
            tested[item] = fold
    if never := sorted(used - set(tested)):
        raise SettingError(
            f"{store.path}: {len(never)} of {len(used)} {kind}s are in the split {as_line(split)} of no fold,"
            f" the first is {as_line(never[0])}: make other folds with msmt split"
        )


def lacking_classes(store: FeatureStore, config) -> str:
    """Which classes a training split lacks though the corpus has them; empty where there is nothing to say.

    ``config`` is the TrainConfig that says what is trained, and on what.
    """
    table = segments_by(store, config.scheme)
    table = table[(table["view"] == ORIGINAL) & (table["split"] != REMOVED)]
    learnt = table[table["split"] == split_named(config.train_split, table["split"].unique())]
    wanted = config.task_names or tuple(task.name for task in store.tasks)
    for task in store.tasks:
        if task.name in wanted and not task.is_value:
            gone = [task.classes[index] for index in sorted(_classes_in(table, task) - _classes_in(learnt, task))]
            if gone:
                one = f"class {gone[0]}" if len(gone) == 1 else f"classes {', '.join(gone)}"
                return as_line(
                    f"{config.scheme} has no {task.level} of {one} of task {task.name} in its split"
                    f" {config.train_split}: make folds that are stratified by {task.name} with msmt split, or"
                    " leave the task out with tasks"
                )
    return ""


def _classes_in(table: pd.DataFrame, task: Task) -> set[int]:
    return set(table[task.column].unique()) - {NO_LABEL}


def pooled_answers(
    folded: FoldedPlan,
    outcomes: Sequence[ablation.Outcome],
    answers: Mapping[tuple[str, int], scored.Scored],
) -> tuple[list[scored.Scored], dict[str, str], list[str]]:
    """The pooled answers of each variant and seed that has all folds, why others have none, and a note on each of those.

    ``answers`` are those of each run, by the variant's name in the plan that was trained, and the seed.
    """
    plan = folded.of
    (scheme,) = {variant.train.scheme for variant in plan.variants}
    by_fold = {(folded.rows[name], seed): answer for (name, seed), answer in answers.items()}
    why = {}
    for outcome in outcomes:
        fold = folded.rows[outcome.variant.name]
        if not outcome.is_done:
            why.setdefault((fold.variant, outcome.seed), f"{fold.name} failed: {outcome.error or outcome.status}")
    found, failed, notes = [], {}, []
    for variant in plan.variants:
        whole = [seed for seed in plan.seeds if (variant.name, seed) not in why]
        for seed in whole:
            parts = [by_fold[Fold(variant.name, fold), seed] for fold in folded.folds]
            whose = _speakers(folded.stores[variant.store or plan.store], folded.folds, parts)
            found.append(dataclasses.replace(pooled(parts, scheme, whose), variant=variant.name))
        if not whole:
            failed[variant.name] = why[variant.name, plan.seeds[0]]
            continue
        for seed in plan.seeds:
            if seed not in whole:
                notes.append(f"{variant.name}, seed {seed}, is not pooled: {why[variant.name, seed].rstrip('.')}.")
    return found, failed, notes


def _speakers(store: FeatureStore, folds: Sequence[str], parts: Sequence[scored.Scored]) -> dict[str, str]:
    """Who speaks in each tested recording, over all folds: one who speaks in two of them is one."""
    split = parts[0].split
    recordings = list(dict.fromkeys(recording for part in parts for recording in part.recording_ids))
    return dict(zip(recordings, units.speakers_of(tested_by(store, folds, split), split, recordings), strict=True))
