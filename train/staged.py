"""Training a staged model: its stages are the variants of a plan, which is trained with one seed among other runs.

Nothing is kept of it but the runs, each of which says in environment.json what it is part of, and the vectors in the
store. So the same call again finds what is done, and goes on from there.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import RunError, SettingError
from ..features.durable import writer_lock
from ..features.opening import open_store
from ..features.spec import RUN
from ..progress import Track, silent
from .ablation import NOT_BEGUN, Outcome, run_plan
from .config import NetworkSettings, TrainConfig, slot_option
from .learner import Score
from .models.registry import staged_named
from .models.staged import Stage, StagedModel
from .plans import Plan, variants_of
from .processes import Processes
from .runs import Run, point_latest_to
from .trained import INTERRUPTED

_SET_APART = ("name", "seed", "slot", "text_feature", "audio_feature")  # options that no stage takes as they are


@dataclass(frozen=True)
class TrainedStages:
    """What training a staged model came to."""

    outcomes: tuple[Outcome, ...]
    """A run per stage, in order."""

    stages: tuple[str, ...]
    """Their names."""

    @property
    def is_interrupted(self) -> bool:
        """Whether stages are still to be trained."""
        return any(outcome.status in (INTERRUPTED, NOT_BEGUN) for outcome in self.outcomes)

    @property
    def run(self) -> Run:
        """The run of the last stage, which gives the answers."""
        return self.outcomes[-1].run

    def lines(self) -> list[str]:
        """A line for each stage that is done: ``text-1: best epoch 3 of 8 by validation accuracy 0.6120; run …``"""
        return [
            f"{stage}: {_best_of(outcome.run)}; run {outcome.run.path}"
            for stage, outcome in zip(self.stages, self.outcomes, strict=True)
            if outcome.is_done
        ]


def train_stages(
    settings: NetworkSettings,
    options: Mapping[str, object],
    store: Path,
    runs_dir: Path,
    score: Score,
    track: Track = silent,
    say: Callable[[str], None] = print,
) -> TrainedStages:
    """Train the stages that are lacking of the staged model that the settings are of, and make the last the latest run.

    ``options`` are fields of TrainConfig that were asked for: they hold for all stages, in place of their own.

    Raises before anything is trained when settings or store will not do, and RunError when a stage fails.
    """
    model = staged_named(settings.network)
    if Processes().count > 1:
        raise SettingError(f"the stages of {model.name} are trained in one process: start it without torchrun")
    config = TrainConfig(**options)
    stages = model.stages(dataclasses.replace(settings, modalities=_modalities(settings, config, store)))
    prefix = config.name or model.name
    variants = variants_of(_variants(model, stages, config, options), {}, model.name)
    plan = Plan(variants, (config.seed,), store)
    part_of = {"model": model.name, "settings": dataclasses.asdict(settings), "options": dict(options)}
    with writer_lock(runs_dir / f"{prefix}-seed{config.seed}"):
        outcomes = run_plan(plan, runs_dir, score, track=track, say=say, runs_dir=runs_dir, part_of=part_of)
    trained = TrainedStages(tuple(outcomes), tuple(stage.name for stage in stages))
    if trained.is_interrupted:
        return trained
    for stage, outcome in zip(trained.stages, outcomes, strict=True):
        if not outcome.is_done:
            raise RunError(f"stage {stage} of {model.name}: {outcome.error or outcome.status}")
    point_latest_to(trained.run)
    return trained


def goes_on_with(run: Run) -> tuple[NetworkSettings, dict[str, object]] | None:
    """The settings and options that ``train_stages`` was called with for a run; None if it is of no staged model.

    Raises RunError for what a staged model of this version of msmt does not take.
    """
    part_of = run.environment.get("part_of")
    if part_of is None:
        return None
    try:
        settings = staged_named(part_of["model"]).settings(**part_of["settings"])
        TrainConfig(**part_of["options"])
    except (KeyError, TypeError, SettingError) as error:
        raise RunError(f"{run.path / 'environment.json'}: what it is part of cannot be read ({error})") from error
    return settings, dict(part_of["options"])


def _variants(
    model: StagedModel, stages: Sequence[Stage], config: TrainConfig, options: Mapping[str, object]
) -> dict[str, dict[str, object]]:
    """The stages as a plan names them."""
    prefix = config.name or model.name
    slots = [slot for stage in stages for slot in stage.reads]
    unknown = [slot for slot, feature in config.slots.items() if slot not in slots and feature]
    if unknown:
        raise SettingError(f"{model.name} has no slot {unknown[0]}: its slots are {', '.join(slots)}")
    for_all = {name: value for name, value in options.items() if name not in _SET_APART}
    variants = {}
    for stage in stages:
        filled = {slot: config.slots[slot] for slot in stage.reads if slot in config.slots}
        filled |= {slot: f"@{prefix}-{source}" for slot, source in stage.learns_from.items()}
        variants[f"{prefix}-{stage.name}"] = {
            "model": stage.network,
            **stage.settings,
            **stage.training,
            **for_all,
            **({"slot": slot_option(filled)} if filled else {}),
            **({"embeds": stage.embeds} if stage.embeds else {}),
        }
    return variants


def _modalities(settings: NetworkSettings, config: TrainConfig, store: Path) -> str:
    """What ``auto`` comes to: both, or the one of text and audio that there is and that is not left out."""
    if settings.modalities != "auto":
        return settings.modalities
    there = {spec.modality for spec in open_store(store).specs.values() if spec.kind != RUN}
    there |= {slot for slot, feature in config.slots.items() if feature}
    seen = [each for each in ("text", "audio") if each in there and config.slots.get(each, "some")]
    return seen[0] if len(seen) == 1 else "both"


def _best_of(run: Run) -> str:
    """``best epoch 3 of 8 by validation accuracy 0.6120``"""
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    best = [line for line in lines if line["best"]][-1]
    return f"best epoch {best['epoch']} of {len(lines)} by validation {best['select']} {best['selected']:.4f}"
