"""Presets of ablations, for a store: the rows that it has the features for, and what adds the others."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import SettingError
from ...train.plans import Plan, seeds_from, variants_of
from .bench import rows_of_all
from .contract import Preset, Rows
from .registry import ALL_SYSTEMS, system_named
from .settling import check_here, settled_rows, slots_named, without_slots


def preset_plan(name: str, store, options: Mapping[str, object], seeds: str = "") -> tuple[Plan, list[str]]:
    """A preset for a store, without the rows that the store has no data for, and a remark on each of those.

    ``options`` hold for all rows that do not say otherwise. Raises SettingError where the preset makes no sense of the
    store: it has not its task, or nobody's name where speakers are told apart.
    """
    if name == ALL_SYSTEMS:
        kept, remarks = rows_of_all(store, options)
        for_all = without_slots(options)
    else:
        system = system_named(name)
        preset = system.preset_named(name)
        if preset.settle:
            kept, remarks = preset.settle(store, preset, options)
            for_all = {**preset.options, **options}
        else:
            check_here(system, store)
            kept, remarks = settled_rows(system, preset.rows, store, options, preset.any_feature)
            for_all = {**preset.options, **_tasks_for(preset, store, options), **without_slots(options)}
            remarks += _on_another_corpus(preset, store) + _of_other_lengths(preset, store, kept)
    if not kept:
        raise SettingError(f"preset {name} has no row that {store.path} has the features for: {'; '.join(remarks)}")
    return Plan(variants_of(kept, for_all, f"preset {name}"), seeds_from(seeds or 1, "seeds")), remarks


def _tasks_for(preset: Preset, store, options: Mapping[str, object]) -> dict[str, object]:
    """The task of a preset, unless the user names others. Raises SettingError where the store has it not."""
    if not preset.tasks or "tasks" in options:
        return {}
    there = [task.name for task in store.tasks]
    found = next((name for name in preset.tasks if name in there), None)
    if found:
        return {"tasks": found}
    if not preset.needs_task:
        return {}
    task = preset.tasks[0]
    why = (
        "its recordings are single segments or no dialogues, so that nothing comes next"
        if task.startswith("next_")
        else f"it has {', '.join(there) or 'none'}: name one of them with --tasks"
    )
    raise SettingError(f"preset {preset.name} is about the task {task}, which {store.path} has not: {why}")


def _on_another_corpus(preset: Preset, store) -> list[str]:
    if preset.dataset in ("", store.dataset):
        return []
    return [f"preset {preset.name} is about {preset.dataset}, and {store.path} is of {store.dataset}"]


def _of_other_lengths(preset: Preset, store, kept: Rows) -> list[str]:
    """Features whose longest inputs are not those of the paper."""
    remarks = []
    used = {feature for changes in kept.values() for feature in slots_named(changes).values()}
    for name, spec in store.specs.items():
        if name not in used:
            continue
        if spec.unit == "token" and preset.lengths.get("tokens", spec.max_rows) != spec.max_rows:
            remarks.append(f"{name} has up to {spec.max_rows} tokens, the paper takes {preset.lengths['tokens']}")
        if spec.unit == "frame" and spec.max_samples and spec.sample_rate and "seconds" in preset.lengths:
            seconds = spec.max_samples / spec.sample_rate
            if seconds != preset.lengths["seconds"]:
                remarks.append(f"{name} has up to {seconds:g} s, the paper takes {preset.lengths['seconds']:g}")
    return remarks
