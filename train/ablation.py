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

from ..errors import MsmtError, SettingError
from ..features.opening import open_store
from ..progress import Track, silent
from . import chains, runs
from .assembly import build_on_paper
from .binding import modalities_seen, slots_filled
from .config import NetworkSettings, TrainConfig
from .devices import choose_device
from .embed import embed
from .jobs import Job, job_for
from .learner import Score
from .loop import passes, train_together
from .models.registry import network_named, settings_of
from .plans import Plan, Variant, command_for, waves_of
from .processes import Processes
from .stream import free_memory
from .trained import FAILED, FINISHED, INTERRUPTED, STOPPED_EARLY, Trained

NOT_BEGUN = "not begun"  # what became of a run when the ones before it were interrupted
_OF_ANY_RUN = {"seed": 0, "name": ""}  # in place of those, where runs of one variant are sought
_BYTES_PER_WEIGHT = 16  # the weight, its gradient and AdamW's two averages, float32
_SHARE_OF_FREE_MEMORY = 0.5  # for networks that are trained together
_MOST_TOGETHER = 64
_Key = tuple[str, int]  # a variant's name, and a seed


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
    runs_dir: Path | None = None,
    part_of: Mapping[str, object] | None = None,
) -> list[Outcome]:
    """Train what is not yet trained of a plan, in ``out/runs``; an outcome per variant and seed, in the plan's order.

    ``together`` is how many runs share a pass at most, 0 for as many as fit in memory. Runs with the same settings on
    the same data are one run. ``after_each`` is called with each outcome as soon as it is there. Variants that learn
    from others are trained after these, whose vectors are embedded into the store.

    ``runs_dir`` is for runs that shall lie elsewhere, ``part_of`` for what they shall record that they are part of.

    Raises before anything is trained when a variant's settings or store will not do.
    """
    if Processes().count > 1:
        raise SettingError("an ablation's runs share passes in one process: start it without torchrun")
    chains.check_stores(plan)
    work = _Work(plan, runs_dir or out / "runs", score, together, track, say, after_each, part_of)
    waves = waves_of(plan.variants)
    work.prepare(waves[0])
    if len(waves) > 1:
        chains.check_ahead(plan, work.jobs_of(plan.seeds[0]), work.stores)
    for number, wave in enumerate(waves):
        if number:
            work.prepare(wave)
        if not work.train(wave) or not work.embed(wave):
            work.leave_the_rest()
            break
    return [work.outcomes[variant.name, seed] for seed in plan.seeds for variant in plan.variants]


class _Work:
    """What has come of a plan so far."""

    def __init__(
        self,
        plan: Plan,
        runs_dir: Path,
        score: Score,
        together: int,
        track: Track,
        say: Callable[[str], None],
        after_each: Callable[[Outcome], None],
        part_of: Mapping[str, object] | None,
    ) -> None:
        self._plan, self._runs_dir, self._score, self._together = plan, runs_dir, score, together
        self._track, self._say, self._after_each, self._part_of = track, say, after_each, part_of
        self._there = Found(runs_dir)
        self._by_name = {variant.name: variant for variant in plan.variants}
        self._needed = chains.sources_in(plan.variants)
        self._not_embedded: dict[_Key, str] = {}  # why, where it failed
        self._wanted: dict[_Key, Job] = {}
        self.stores: dict[Path, object] = {}
        self.outcomes: dict[_Key, Outcome] = {}

    def jobs_of(self, seed: int) -> dict[str, Job]:
        """What is prepared of a seed, by variant."""
        return {name: job for (name, own), job in self._wanted.items() if own == seed}

    def prepare(self, wave: Sequence[Variant]) -> None:
        """Check the settings of variants, whose sources are done. Those of a first wave raise, others have failed."""
        for seed in self._plan.seeds:
            for variant in wave:
                if why := self._lacks(variant, seed):
                    self._settle((variant.name, seed), None, None, FAILED, why)
                    continue
                try:
                    self._wanted[variant.name, seed] = self._job_of(variant, seed)
                except MsmtError as error:
                    if not variant.sources:
                        raise
                    self._settle((variant.name, seed), None, None, FAILED, " ".join(str(error).split()))

    def _lacks(self, variant: Variant, seed: int) -> str:
        """Why a variant cannot be fed; empty where it can."""
        for source in variant.sources.values():
            outcome = self.outcomes[source, seed]
            if not outcome.is_done or (source, seed) in self._not_embedded:
                why = self._not_embedded.get((source, seed)) or outcome.error or outcome.status
                return f"its source {source} has no vectors: {why}"
        return ""

    def _job_of(self, variant: Variant, seed: int) -> Job:
        path = self._path_of(variant.name)
        if path not in self.stores:
            self.stores[path] = open_store(path)
        store, ready = self.stores[path], chains.fed(self._plan.variants, variant.name, seed)
        config = ready.settings_for(seed)
        command = shlex.split(command_for(ready, path, seed))
        slots = self._there.slots_for(ready.model, config, store)
        job = job_for(store, ready.model, config, command=command, slots=slots)
        return dataclasses.replace(job, part_of=self._part_of)

    def _path_of(self, name: str) -> Path:
        return self._by_name[name].store or self._plan.store

    def train(self, wave: Sequence[Variant]) -> bool:
        """Train what is lacking of variants that are prepared; False if that was interrupted."""
        names = {variant.name for variant in wave}
        wanted = {key: job for key, job in self._wanted.items() if key[0] in names}
        # Variants that differ by nothing but their names, as some rows of a table may, are one run.
        leaders: dict[tuple, _Key] = {}
        alike: dict[_Key, list[_Key]] = {}
        for key, job in wanted.items():
            alike.setdefault(leaders.setdefault((str(self._path_of(key[0])), _nameless(job.settings)), key), []).append(
                key
            )
        todo: list[tuple[_Key, Job]] = []
        for key in alike:
            job, store = wanted[key], self.stores[self._path_of(key[0])]
            run = self._there.run_of(job, store)
            status = run.status if run else ""
            if status in (FINISHED, STOPPED_EARLY):
                self._say(f"{job.settings.train.name}: finished before, {run.path}")
                self._settle_all(alike[key], None, run, status, "")
            else:
                todo.append((key, job_for(store, None, None, run, job.command) if run else job))
        for path, store in self.stores.items():
            mine = [(key, job) for key, job in todo if self._path_of(key[0]) == path]
            most = self._together or together_for([job for _, job in mine])
            for members in passes([job for _, job in mine], most):
                keys = [mine[number][0] for number in members]
                jobs = [mine[number][1] for number in members]
                counted = f"{len(jobs)} run{'s' if len(jobs) > 1 else ''}"
                self._say(f"{counted} in one pass: {', '.join(job.settings.train.name for job in jobs)}")
                # A single run that fails is an outcome here, as it is beside others.
                results = train_together(store, jobs, self._runs_dir, self._score, self._track, self._say, alone=False)
                for key, trained in zip(keys, results, strict=True):
                    self._settle_all(alike[key], trained, trained.run, trained.status, trained.error)
                if any(self.outcomes[key].status == INTERRUPTED for key in keys):
                    return False
        return True

    def embed(self, wave: Sequence[Variant]) -> bool:
        """Bring the vectors that others learn from into the stores; False if that was interrupted."""
        written = set()
        for seed in self._plan.seeds:
            for variant in wave:
                key, path = (variant.name, seed), self._path_of(variant.name)
                if variant.name not in self._needed or not self.outcomes[key].is_done:
                    continue
                feature = chains.feature_of(self._plan.variants, variant.name, seed)
                try:
                    # The name says the settings; whatever else is new there is what they came to.
                    done = embed(self.outcomes[key].run, path, feature, variant.embeds, True, track=self._track)
                except MsmtError as error:
                    self._not_embedded[key] = " ".join(str(error).split())
                    self._say(f"{variant.name}, seed {seed}: failed to embed: {self._not_embedded[key]}")
                    continue
                except KeyboardInterrupt:
                    self._say(f"interrupted, the rows of {feature} that were written are kept")
                    return False
                written.add(path)
                if done.computed:
                    self._say(done.line(path))
        self.stores |= {path: open_store(path) for path in written}
        return True

    def leave_the_rest(self) -> None:
        """After an interruption: what has no outcome was not begun."""
        for seed in self._plan.seeds:
            for variant in self._plan.variants:
                if (variant.name, seed) not in self.outcomes:
                    self._settle((variant.name, seed), None, None, NOT_BEGUN, "")

    def _settle_all(self, keys: Sequence[_Key], *what) -> None:
        for key in keys:
            self._settle(key, *what)

    def _settle(self, key: _Key, trained: Trained | None, run: runs.Run | None, status: str, error: str) -> None:
        name, seed = key
        self.outcomes[key] = Outcome(self._by_name[name], seed, self._path_of(name), trained, run, status, error)
        self._after_each(self.outcomes[key])


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
