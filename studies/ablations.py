"""Ablations: a plan is trained, each run is scored once, and tables and a picture are written."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import RunError, SettingError
from ..evaluate import comparison, metrics, results, scored, units
from ..evaluate.published import registry
from ..evaluate.same_items import on_common_items
from ..evaluate.tables.files import write_comparison
from ..evaluate.tables.screen import table_text
from ..features.durable import explained, write_whole, writer_lock
from ..features.opening import default_store, open_store
from ..features.splits import split_named
from ..features.store import FeatureStore
from ..progress import Track, silent
from ..train import ablation, chains, plans
from ..train.data import split_names
from ..train.runs import Run
from ..train.trained import INTERRUPTED
from .folds import FoldedPlan, folds_of_plan, over_folds, pooled_answers
from .schemes import tested_by
from .scoring import scores_of
from .systems.bench import one_at_a_time
from .systems.presets import preset_plan
from .systems.registry import ALL_SYSTEMS

CACHE = Path("cache")


@dataclass(frozen=True)
class Ablated:
    """What an ablation came to."""

    outcomes: tuple[ablation.Outcome, ...]
    """A run per variant and seed."""

    comparison: results.Comparison | None
    """The figures of all variants; None if it was interrupted."""

    failures: Mapping[str, str]
    """Why a variant has no result, by its name."""

    files: tuple[Path, ...]
    """Tables and picture."""

    @property
    def is_interrupted(self) -> bool:
        """Whether runs are still to be trained."""
        return self.comparison is None

    def table(self, brief: bool = True) -> str:
        """The table for the screen; ``brief`` without the tables of differences, which the files have."""
        return table_text(self.comparison, self.failures, brief)

    @property
    def failed(self) -> list[ablation.Outcome]:
        """Runs without a result."""
        return [outcome for outcome in self.outcomes if not outcome.is_done]


class Looks:
    """How often each variant of an ablation was scored on each split, over all starts of it; kept in its folder.

    A run that is trained anew, since its data has changed, begins its own count at 0; whoever looks does not.
    """

    def __init__(self, out: Path) -> None:
        self._path, self._runs = out / "looks.json", out / "runs"

    def after(self, name: str, split: str, scored_now: bool) -> int:
        """How often runs called ``name`` have been scored on ``split``, with this time."""
        counts = json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}
        of_split = counts.setdefault(split, {})
        of_runs = sum(
            run.times_scored.get(split, 0)
            for run in map(Run, sorted(path.parent for path in self._runs.glob("*/scored.json")))
            if not run.path.is_symlink() and run.settings.train.name == name
        )
        looks = max(of_split.get(name, 0) + scored_now, of_runs)
        if looks != of_split.get(name):
            of_split[name] = looks
            write_whole(self._path, [(json.dumps(counts, indent=2, ensure_ascii=False) + "\n").encode()])
        return looks


def ablate(
    plan_file: Path | None,
    preset: str,
    options: Mapping[str, object],
    seeds: str,
    store: Path | None,
    out: Path,
    split: str,
    together: int,
    track: Track = silent,
    say: Callable[[str], None] = print,
    resample: str = "recording",
) -> Ablated:
    """Train what a plan lacks, score each run once on ``split``, and write the tables and the picture into ``out``.

    ``options`` hold for all variants that do not say otherwise. What was finished by an earlier call is not repeated.
    """
    if (plan_file is None) == (not preset):
        raise SettingError("an ablation needs either a plan or a preset: msmt ablate PLAN.yaml, or --preset table6")
    if preset == ALL_SYSTEMS:
        together = one_at_a_time(together)
    notes: list[str] = []
    if plan_file is not None:
        plan = plans.read_plan(plan_file, options, seeds)
        plan = dataclasses.replace(plan, store=store or plan.store or default_store(CACHE))
    else:
        store = store or default_store(CACHE)
        plan, notes = preset_plan(preset, open_store(store), options, seeds)
        plan = dataclasses.replace(plan, store=store)
    stores = _stores(plan)
    folds = folds_of_plan(plan, stores)
    folded = over_folds(plan, folds, stores, split) if folds else None
    _check(plan, stores, folds or (plan.variants[0].train.scheme,), split, resample)
    ablation.check_folder(out)
    for note in notes:
        say(note)
    with writer_lock(out), explained(out):
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / "plan.json", [json.dumps(plan.to_json(), indent=2, ensure_ascii=False).encode()])
        return _ablate(plan, folded, notes, out, split, together, track, say, resample)


def _stores(plan: plans.Plan) -> dict[Path, FeatureStore]:
    """All stores that a plan reads, by their paths."""
    return {path: open_store(path) for path in dict.fromkeys(variant.store or plan.store for variant in plan.variants)}


def _check(
    plan: plans.Plan, stores: Mapping[Path, FeatureStore], schemes: Sequence[str], split: str, resample: str
) -> None:
    """Refuses, before anything is trained, what could not be scored or shown in the end."""
    for variant in plan.variants:
        if variant.paper and not registry.is_published(variant.paper):
            names = "; ".join(registry.names_in(stores[variant.store or plan.store].dataset))
            raise SettingError(f"variant {variant.name}: the paper has no row {variant.paper!r}, it has: {names}")
    units.check_unit(resample)
    for path, store in stores.items():
        for scheme in schemes:
            splits = split_names(store, scheme)
            if split_named(split, splits) not in splits:
                raise SettingError(f"{path} has no split {split} to score: choose --split from {', '.join(splits)}")
        if resample == "speaker":
            table = tested_by(store, schemes, split)
            recordings = tuple(table["recording_id"].unique())
            units.units_by_speaker(units.speakers_of(table, split, recordings), recordings, "", split)


def _ablate(
    plan: plans.Plan,
    folded: FoldedPlan | None,
    notes: Sequence[str],
    out: Path,
    split: str,
    together: int,
    track: Track,
    say: Callable[[str], None],
    resample: str,
) -> Ablated:
    to_train = folded.plan if folded else plan
    outcomes, answers = _trained_and_scored(to_train, out, split, together, track, say)
    if any(outcome.status in (INTERRUPTED, ablation.NOT_BEGUN) for outcome in outcomes):
        return Ablated(tuple(outcomes), None, {}, ())
    common, lines = on_common_items([*answers.values()])
    answers, notes = dict(zip(answers, common, strict=True)), [*notes, *lines]
    if folded:
        outcomes = [*folded.refused, *outcomes]
        of_rows, failed, further = pooled_answers(folded, outcomes, answers)
        notes = [*notes, *further]
    else:
        done = [(variant.name, seed) for variant in plan.variants for seed in plan.seeds]
        of_rows = [dataclasses.replace(answers[key], variant=key[0]) for key in done if key in answers]
        failed = ablation.failed_variants(outcomes)
    if not of_rows:
        raise RunError(f"no variant has a result; the first says: {next(iter(failed.values()))}")
    compared = dataclasses.replace(comparison.compare(of_rows, same_store=False, unit=resample), notes=tuple(notes))
    files = write_comparison(out, "ablation", compared, failed=failed)
    return Ablated(tuple(outcomes), compared, failed, tuple(files))


def _trained_and_scored(
    plan: plans.Plan, out: Path, split: str, together: int, track: Track, say: Callable[[str], None]
) -> tuple[list[ablation.Outcome], dict[tuple[str, int], scored.Scored]]:
    """What became of each run of a plan, and the answers of those that have a result, by variant and seed."""
    answers: dict[tuple[str, int], scored.Scored] = {}
    looks = Looks(out)
    say = _once(say, plan)

    def score_it(outcome: ablation.Outcome) -> None:
        if outcome.is_done:
            before = sum(outcome.run.times_scored.values())
            answer = scores_of(outcome.run, outcome.store, split, track, say)
            is_new = sum(outcome.run.times_scored.values()) > before
            times = looks.after(outcome.run.settings.train.name, answer.split, is_new)
            command = chains.commands_for(plan, outcome.variant, outcome.store, outcome.seed)
            command += f" && msmt eval --run {shlex.quote(outcome.variant.settings_for(outcome.seed).name)}"
            command += f" --split {shlex.quote(split)}"
            answers[outcome.variant.name, outcome.seed] = dataclasses.replace(
                answer, command=command, paper=outcome.variant.paper, times_scored=times
            )

    return ablation.run_plan(plan, out, metrics.score, together, track, say, after_each=score_it), answers


def _once(say: Callable[[str], None], plan: plans.Plan) -> Callable[[str], None]:
    """Says what all runs say of their data, such as which speakers their splits share, for the first of them alone."""
    stores = tuple(f"{variant.store or plan.store} has " for variant in plan.variants)
    said = set()

    def say_it(line: str) -> None:
        remark = line.partition(": ")[2]
        if not remark.startswith((*stores, "splits are not apart: ")):
            say(line)
        elif remark not in said:
            said.add(remark)
            say(line)

    return say_it
