"""Ablations: training the variants of a plan with as few passes over the data as there can be."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import SettingError
from ..features.opening import open_store
from ..progress import Track, silent
from . import runs
from .assembly import build_on_paper
from .binding import modalities_seen, slots_filled
from .config import NetworkSettings, TrainConfig
from .devices import choose_device
from .jobs import Job, job_for
from .learner import FAILED, FINISHED, INTERRUPTED, STOPPED_EARLY, Score, Trained
from .loop import passes, train_together
from .models.registry import network_named, settings_of
from .plans import Plan, Variant, command_for
from .processes import Processes
from .stream import free_memory

NOT_BEGUN = "not begun"  # what became of a run when the ones before it were interrupted
_OF_ANY_RUN = {"seed": 0, "name": ""}  # in place of those, where runs of one variant are sought
_BYTES_PER_WEIGHT = 16  # the weight, its gradient and AdamW's two averages, float32
_SHARE_OF_FREE_MEMORY = 0.5  # for networks that are trained together
_MOST_TOGETHER = 64


@dataclass(frozen=True)
class Outcome:
    """What became of one variant with one seed."""

    variant: Variant
    seed: int
    store: Path
    trained: Trained | None
    """None if it was not begun before an interruption, or was finished before."""

    run: runs.Run | None
    """Its directory; None if it was not begun."""

    status: str
    """As in ``Trained``, or ``not begun``."""

    error: str = ""
    """Why it failed, if it did."""

    @property
    def is_done(self) -> bool:
        """Whether there is a result to score."""
        return self.status in (FINISHED, STOPPED_EARLY)


def run_plan(
    plan: Plan,
    out: Path,
    score: Score,
    together: int = 0,
    track: Track = silent,
    say: Callable[[str], None] = print,
    after_each: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Train what is not yet trained of a plan, in ``out/runs``; an outcome per variant and seed, in the plan's order.

    ``together`` is how many runs share a pass at most, 0 for as many as fit in memory. Runs with the same settings on
    the same data are one run. ``after_each`` is called with each outcome as soon as it is there.

    Raises before anything is trained when a variant's settings or store will not do.
    """
    if Processes().count > 1:
        raise SettingError("an ablation's runs share passes in one process: start it without torchrun")
    stores: dict[Path, object] = {}
    wanted: dict[tuple[str, int], tuple[Path, Job]] = {}
    there = Found(out / "runs")
    outcomes: dict[tuple[str, int], Outcome] = {}
    for seed in plan.seeds:
        for variant in plan.variants:
            path = variant.store or plan.store
            if path not in stores:
                stores[path] = open_store(path)
            config = variant.settings_for(seed)
            command = command_for(variant, path, seed)
            slots = there.slots_for(variant.model, config, stores[path])
            job = job_for(stores[path], variant.model, config, command=shlex.split(command), slots=slots)
            wanted[variant.name, seed] = path, job
    # Variants that differ by nothing but their names, as some rows of a table may, are one run.
    leaders: dict[tuple, tuple[str, int]] = {}
    alike: dict[tuple[str, int], tuple[str, int]] = {}
    for key, (path, job) in wanted.items():
        alike[key] = leaders.setdefault((str(path), _nameless(job.settings)), key)

    def settle(key: tuple[str, int], trained: Trained | None, run: runs.Run | None, status: str, error: str) -> None:
        for other, leader in alike.items():
            if leader == key:
                variant = next(each for each in plan.variants if each.name == other[0])
                outcomes[other] = Outcome(variant, other[1], wanted[other][0], trained, run, status, error)
                after_each(outcomes[other])

    todo: list[tuple[tuple[str, int], Job]] = []
    for key in dict.fromkeys(alike.values()):
        path, job = wanted[key]
        run = there.run_of(job, stores[path])
        status = run.status if run else ""
        if status in (FINISHED, STOPPED_EARLY):
            say(f"{job.settings.train.name}: finished before, {run.path}")
            settle(key, None, run, status, "")
        else:
            todo.append((key, job_for(stores[path], None, None, run, job.command) if run else job))
    for store_path, store in stores.items():
        mine = [(key, job) for key, job in todo if wanted[key][0] == store_path]
        most = together or together_for([job for _, job in mine])
        for members in passes([job for _, job in mine], most):
            keys = [mine[number][0] for number in members]
            jobs = [mine[number][1] for number in members]
            counted = f"{len(jobs)} run{'s' if len(jobs) > 1 else ''}"
            say(f"{counted} in one pass: {', '.join(job.settings.train.name for job in jobs)}")
            for key, trained in zip(keys, _trained(store, jobs, out, score, track, say), strict=True):
                settle(key, trained, trained.run, trained.status, trained.error)
            if any(outcomes[key].status == INTERRUPTED for key in keys):
                for key in dict.fromkeys(alike.values()):
                    if key not in outcomes:
                        settle(key, None, None, NOT_BEGUN, "")
                return [outcomes[key] for key in wanted]
    return [outcomes[key] for key in wanted]


def together_for(jobs: Sequence[Job]) -> int:
    """How many of the jobs' networks fit in memory at once while they are trained."""
    if not jobs:
        return 1
    device = choose_device(jobs[0].settings.train.device)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    largest = max(sum(each.numel() for each in build_on_paper(job.settings).parameters()) for job in jobs)
    return min(_MOST_TOGETHER, max(1, math.floor(_SHARE_OF_FREE_MEMORY * free / (largest * _BYTES_PER_WEIGHT))))


def check_folder(out: Path) -> None:
    """Raises SettingError when results cannot go into ``out`` because it is something else."""
    if out.exists() and not out.is_dir():
        raise SettingError(f"{out} is there and is no folder: name another with --out")


class Found:
    """Runs that are there from an earlier start of the same plan."""

    def __init__(self, folder: Path) -> None:
        self._runs = [
            runs.Run(path.parent) for path in sorted(folder.glob("*/config.json")) if not path.parent.is_symlink()
        ]

    def run_of(self, job: Job, store) -> runs.Run | None:
        """The newest run that is what ``job`` would train: with its settings, on the rows that it reads."""
        for run in reversed(self._runs):
            settings, rows = run.settings, (job.material.learnt_rows, job.material.judged_rows)
            if run.learnt is None:
                is_it = settings == job.settings and run.is_of_exactly(store)
            else:
                is_it = settings.mean_the_same(job.settings) and not run.changes(store, *rows)
            if is_it:
                return run
        return None

    def slots_for(self, model: NetworkSettings, config: TrainConfig, store) -> dict[str, tuple[str, ...]] | None:
        """The features that runs of a variant were given; None if there are none, or not of the store as it is.

        A choice that was clear when the variant was first trained stays so when the store is given further features.
        """
        network = network_named(model.network)
        filled = slots_filled(store, network, network.slots(model), config.slots, model.modalities)
        model = dataclasses.replace(model, modalities=modalities_seen(filled, model.modalities))
        for run in reversed(self._runs):
            own = run.settings
            same = own.model == model and dataclasses.replace(own.train, **_OF_ANY_RUN) == dataclasses.replace(
                config, **_OF_ANY_RUN
            )
            if same and all(
                name in store.specs and spec.is_extended_by(store.specs[name]) for name, spec in own.specs.items()
            ):
                return dict(own.slots)
        return None


def _trained(store, jobs: Sequence[Job], out: Path, score: Score, track: Track, say) -> list[Trained]:
    """One pass. A single run that fails is an outcome here, as it is beside others."""
    return train_together(store, jobs, out / "runs", score, track, say, alone=False)


def settings_made(
    model: NetworkSettings, config: TrainConfig, changes: Mapping[str, object]
) -> tuple[NetworkSettings, TrainConfig]:
    """Both settings with some options changed. Raises SettingError for values that make no sense.

    Another network takes those options of ``model`` that it has too, and its own defaults for all others.
    """
    changes = dict(changes)
    kind = settings_of(changes.pop("model", model.network))

    def made(settings, kind):
        names = {option.name for option in dataclasses.fields(kind)}
        now = {name: value for name, value in dataclasses.asdict(settings).items() if name in names}
        if kind is not type(settings):  # only what was chosen goes with it
            defaults = {option.name: option.default for option in dataclasses.fields(settings)}
            now = {name: value for name, value in now.items() if value != defaults[name]}
        return kind(**{**now, **{name: value for name, value in changes.items() if name in names}})

    return made(model, kind), made(config, type(config))


def _nameless(settings: runs.Settings) -> str:
    fields = settings.to_json()
    del fields["train"]["name"]
    return json.dumps(fields, sort_keys=True)


def failed_variants(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """For each variant without any finished run, why."""
    reasons: dict[str, str] = {}
    done = {outcome.variant.name for outcome in outcomes if outcome.is_done}
    for outcome in outcomes:
        if outcome.variant.name not in done:
            why = outcome.error if outcome.status == FAILED else outcome.status
            reasons.setdefault(outcome.variant.name, why)
    return reasons
