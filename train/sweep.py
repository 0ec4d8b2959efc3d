"""Searching for options that do best on validation, by a grid or by Optuna's tree-structured Parzen estimator.

A sweep's folder holds ``journal.log``, Optuna's record of all trials, ``runs/`` with a run per trial, ``trials.csv``
and, from the best trial, ``best.yaml``, which msmt train takes as --config. Trials are chosen some at a time and share
passes over the data where they see the same batches. Only validation figures are looked at.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..errors import SettingError, shown
from ..features.durable import explained, writer_lock
from ..progress import Track, silent
from ..shown import as_cell
from ..values import from_text
from . import runs
from .ablation import Found, check_folder, settings_made
from .config import CHOICES, NetworkSettings, TrainConfig
from .jobs import job_for
from .learner import LOWER_IS_BETTER, Score
from .loop import passes, train_together
from .material import Material
from .models.registry import DEFAULT, NETWORKS, all_options, check_option, settings_of
from .processes import Processes
from .trained import FINISHED, INTERRUPTED, PRUNED, STOPPED_EARLY

_BEFORE_PRUNING = (5, 3)  # finished trials, and epochs of a trial, before any is ended early
_MOST_VALUES = 1000  # of one option
_MOST_COMBINATIONS = 100_000  # of a grid
_BEGUN_WITH = "settings"  # user attribute of a study: what it was begun with


@dataclass(frozen=True)
class Range:
    """The values that one option may take."""

    name: str
    """Field of a network's settings or of TrainConfig, or ``model`` for the network itself."""

    values: tuple = ()
    """To choose from; empty where there is a range."""

    low: float = 0.0
    high: float = 0.0
    """Ends of the range, both included."""

    is_log: bool = False
    """Whether factors count, and not differences."""

    is_whole: bool = False
    """Whether only whole numbers are meant."""


@dataclass(frozen=True)
class Swept:
    """What a sweep came to."""

    trials: pd.DataFrame
    """A row per trial: number, status, the validation figure, epochs, the options varied, and the run."""

    select: str
    """The validation figure."""

    best_file: Path | None
    """Configuration file of the best trial; None if none was finished."""

    table_file: Path
    """Where the trials are listed."""

    is_interrupted: bool
    """Whether trials are still to come."""

    def lines(self) -> list[str]:
        """The summary for the screen."""
        counts = ", ".join(f"{count} {status}" for status, count in self.trials["status"].value_counts().items())
        lines = [f"{len(self.trials)} trials: {counts or 'none'}", f"all of them: {self.table_file}"]
        if self.best_file:
            best = self.trials.sort_values("rank", ascending=False).iloc[0]
            varied = [name for name in self.trials.columns if name.startswith("--")]
            lines.append(
                f"best, by validation {self.select} ({best[self.select]:.4f}): trial {best['trial']}, "
                + ", ".join(f"{name} {best[name]}" for name in varied)
            )
            lines.append(f"train it with: msmt train --config {self.best_file}")
        return lines


def parse_range(text: str) -> Range:
    """``pooling=cls,mean``, ``dropout=0.0:0.5``, ``heads=2:12`` or ``learning-rate=1e-5:1e-3:log``.

    Raises SettingError that names what is wrong with it.
    """
    name, equals, given = text.partition("=")
    name = name.strip().replace("-", "_")
    kinds = [TrainConfig, *(settings_of(network) for network in NETWORKS)]
    defaults = {
        "model": DEFAULT,
        **{option.name: option.default for kind in kinds for option in dataclasses.fields(kind)},
    }
    if name not in defaults or name == "name":
        raise SettingError(f"--vary {text}: {shown(name.replace('_', '-'))} is no option of msmt train")
    if not equals or not given.strip():
        raise SettingError(f"--vary {text}: must be NAME=VALUES, such as pooling=cls,mean or dropout=0.0:0.5")
    kind = type(defaults[name])
    if ":" in given and kind in (int, float):
        low, high, *how = (part.strip() for part in given.split(":"))
        if how not in ([], ["log"]):
            raise SettingError(f"--vary {text}: a range is LOW:HIGH or LOW:HIGH:log")
        ends = _value(kind, low, text), _value(kind, high, text)
        if not -math.inf < ends[0] < ends[1] < math.inf or (how and ends[0] <= 0):
            above = " above 0" if how else ""
            raise SettingError(f"--vary {text}: the range must go from a lower to a higher number{above}")
        return Range(name, low=ends[0], high=ends[1], is_log=bool(how), is_whole=kind is int)
    parts = [part.strip() for part in given.split(",")]
    if not all(parts) or len(parts) > _MOST_VALUES:
        raise SettingError(f"--vary {text}: needs 2 to {_MOST_VALUES} values with commas between them")
    values = tuple(_value(kind, part, text) for part in parts)
    if len(set(values)) < max(2, len(values)):
        raise SettingError(f"--vary {text}: needs two different values or more")
    choices = _words_for(name)
    wrong = [value for value in values if choices and value not in choices]
    if wrong:
        raise SettingError(f"--vary {text}: {name} must be one of {', '.join(choices)}, but is {shown(wrong[0])}")
    return Range(name, values=values)


def _words_for(name: str) -> tuple[str, ...]:
    """What an option may be in some network; nothing where it need not be one of some words."""
    if name == "model":
        return tuple(NETWORKS)
    words = [settings_of(network).choices.get(name, ()) for network in all_options().get(name, ())]
    return tuple(dict.fromkeys(word for each in words for word in each)) or CHOICES.get(name, ())


def sweep(
    store,
    model: NetworkSettings,
    config: TrainConfig,
    vary: Sequence[str],
    out: Path,
    score: Score,
    sampler: str = "tpe",
    trials: int = 20,
    prune: bool = True,
    together: int = 4,
    track: Track = silent,
    say: Callable[[str], None] = print,
) -> Swept:
    """Train trials in ``out/runs`` until there are ``trials`` of them, or the grid is done.

    A sweep that was interrupted goes on where it stopped: trials that are done count, those that are not are resumed.

    Raises SettingError before anything is trained for ranges that make no sense, and when ``out`` holds a sweep of
    other ranges, options or data.
    """
    if Processes().count > 1:
        raise SettingError("a sweep's trials share passes in one process: start it without torchrun")
    ranges = [parse_range(text) for text in vary]
    if not ranges:
        raise SettingError("there is nothing to search: say what to vary, such as --vary learning-rate=1e-5:1e-3:log")
    if len({each.name for each in ranges}) < len(ranges):
        raise SettingError("an option is varied twice: give each --vary another name")
    if sampler == "grid" and not all(each.values for each in ranges):
        raise SettingError("a grid needs lists of values, such as dropout=0.1,0.3: ranges are for --sampler tpe")
    if sampler == "grid" and math.prod(len(each.values) for each in ranges) > _MOST_COMBINATIONS:
        raise SettingError(f"a grid has at most {_MOST_COMBINATIONS:,} combinations: vary less, or use --sampler tpe")
    networks = next((each.values for each in ranges if each.name == "model"), (model.network,))
    for text, each in zip(vary, ranges, strict=True):  # both ends must be values that the settings allow
        mine = [name for name in networks if name in all_options().get(each.name, networks)]
        if not mine:
            check_option(each.name, settings_of(networks[0]), TrainConfig, dashed=True)
        for value in each.values or (each.low, each.high):
            refused = [_refusal(model, config, {"model": network, each.name: value}) for network in mine]
            if all(refused):
                raise SettingError(f"--vary {text}: {refused[0]}")
    job = job_for(store, model, config)
    model, material = job.settings.model, job.material
    select = material.select
    check_folder(out)
    with writer_lock(out), explained(out):
        out.mkdir(parents=True, exist_ok=True)
        study = _study(out, ranges, sampler, prune, config.seed, select in LOWER_IS_BETTER)
        _check_same(study, out, store, material, model, config, vary, sampler)
        is_interrupted = False
        while not is_interrupted:
            asked = _ask(study, ranges, sampler, min(together, trials - _done(study)))
            if not asked:
                break
            found, ready = Found(out / "runs"), []
            for trial, changes in asked:
                try:  # some values do not go together, such as a width and heads
                    job = job_for(store, *settings_made(model, config, {**changes, "name": f"trial-{trial.number}"}))
                except SettingError as error:
                    say(f"trial {trial.number}: {error}")
                    _tell(study, trial, None, out, "failed", "", 0)
                    continue
                run = found.run_of(job, store)
                ready.append((trial, job_for(store, None, None, run) if run else job))
            for members in passes([job for _, job in ready], together):
                group = [ready[number] for number in members]

                def stop(number: int, line: dict, group=group) -> bool:
                    trial, value = group[number][0], line["selected"]
                    if value is not None:
                        trial.report(value, line["epoch"])
                    return prune and trial.should_prune()

                results = train_together(
                    store, [job for _, job in group], out / "runs", score, track, say, stop=stop, alone=False
                )
                for (trial, _), trained in zip(group, results, strict=True):
                    if trained.status == INTERRUPTED:
                        is_interrupted = True
                    else:
                        value = trained.best.get("selected") if trained.best else None
                        _tell(study, trial, value, out, trained.status, trained.run.name, trained.epochs)
                if is_interrupted:
                    break
        return _result(study, ranges, select, out, is_interrupted)


def _refusal(model: NetworkSettings, config: TrainConfig, changes: dict[str, object]) -> str:
    """Why settings with these changes are none; empty where they are."""
    try:
        settings_made(model, config, changes)
    except SettingError as error:
        return str(error)
    return ""


def _study(out: Path, ranges: Sequence[Range], sampler: str, prune: bool, seed: int, lower: bool):
    try:
        import optuna
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise SettingError("msmt sweep needs Optuna: install it with pip install 'msmt[sweep]'") from None

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    startup, epochs = _BEFORE_PRUNING
    study = optuna.create_study(
        study_name="sweep",
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(out / "journal.log"))),
        sampler=optuna.samplers.TPESampler(seed=seed % 2**32, constant_liar=True),
        pruner=optuna.pruners.MedianPruner(startup, epochs) if prune else optuna.pruners.NopPruner(),
        direction="minimize" if lower else "maximize",
        load_if_exists=True,
    )
    if sampler == "grid":  # all of it waits in the record from the start, so that a sweep that is cut off loses none
        for values in itertools.product(*(each.values for each in ranges)):
            study.enqueue_trial(dict(zip([each.name for each in ranges], values, strict=True)), skip_if_exists=True)
    return study


def _check_same(
    study, out: Path, store, material: Material, model: NetworkSettings, config: TrainConfig, vary, sampler: str
) -> None:
    wanted = {
        "store": [material.learnt_rows.digest, material.judged_rows.digest],
        "network": model.network,
        "model": dataclasses.asdict(model),
        "train": dataclasses.asdict(config),
        "vary": sorted(vary),
        "sampler": sampler,
    }
    wanted = json.loads(json.dumps(wanted))
    kept = study.user_attrs.get(_BEGUN_WITH)
    if kept is not None:  # options that came later were at their defaults
        kept = {"network": DEFAULT, **kept}
        own = settings_of(kept["network"]) if kept["network"] in NETWORKS else type(model)
        defaults = {"model": dataclasses.asdict(own()), "train": dataclasses.asdict(TrainConfig())}
        kept = {**kept, **{name: {**values, **kept.get(name, {})} for name, values in defaults.items()}}
    if kept is None:
        study.set_user_attr(_BEGUN_WITH, wanted)
        return
    if kept.get("store") in (store.fingerprint(), getattr(store, "fingerprint_version_1", store.fingerprint)()):
        kept["store"] = wanted["store"]  # of a sweep that was begun before rows were told apart
    if kept != wanted:
        differing = [name for name in wanted if kept.get(name) != wanted[name]]
        raise SettingError(
            f"{out} holds a sweep with another {' and '.join(differing)}: name another folder with --out"
        )


def _ask(study, ranges: Sequence[Range], sampler: str, count: int) -> list[tuple]:
    """The next trials, each with its options: those that were cut off first, then new ones."""
    from optuna.trial import Trial, TrialState

    left = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    trials = [Trial(study, trial._trial_id) for trial in left[:count]]
    while len(trials) < count:
        if sampler == "grid" and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            break
        trials.append(study.ask())
    # A trial that was cut off keeps the values that were drawn for it, and is given those that were not.
    return [(trial, {each.name: _suggested(trial, each) for each in ranges}) for trial in trials]


def _suggested(trial, each: Range):
    if each.values:
        return trial.suggest_categorical(each.name, list(each.values))
    if each.is_whole:
        return trial.suggest_int(each.name, int(each.low), int(each.high), log=each.is_log)
    return trial.suggest_float(each.name, each.low, each.high, log=each.is_log)


def _done(study) -> int:
    return sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))


def _tell(study, trial, value: float | None, out: Path, status: str, run: str, epochs: int) -> None:
    import optuna

    for name, content in (("status", status), ("run", run), ("epochs", epochs), ("selected", value)):
        trial.set_user_attr(name, content)
    if status == PRUNED:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    elif value is None or status not in (FINISHED, STOPPED_EARLY):
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    else:
        study.tell(trial, value)


def _result(study, ranges: Sequence[Range], select: str, out: Path, is_interrupted: bool) -> Swept:
    import yaml

    rows, sign = [], -1 if select in LOWER_IS_BETTER else 1
    for trial in study.get_trials(deepcopy=False):
        if not trial.params:
            continue  # of a grid, and yet to come
        told = trial.user_attrs
        value = told.get("selected")
        done = told.get("status") in (FINISHED, STOPPED_EARLY) and value is not None
        rows.append(
            {
                "trial": trial.number,
                "status": told.get("status", "not finished"),
                select: value,
                "rank": sign * value if done else -math.inf,
                "epochs": told.get("epochs", 0),
                **{f"--{each.name.replace('_', '-')}": trial.params.get(each.name) for each in ranges},
                "run": told.get("run", ""),
            }
        )
    columns = [
        "trial",
        "status",
        select,
        "rank",
        "epochs",
        *(f"--{each.name.replace('_', '-')}" for each in ranges),
        "run",
    ]
    table = pd.DataFrame(rows, columns=columns)
    with runs.written_aside(out / "trials.csv") as path:
        table.drop(columns="rank").map(as_cell).to_csv(path, index=False)
    best_file = None
    if len(table) and table["rank"].max() > -math.inf:
        best = runs.Run(out / "runs" / table.sort_values("rank", ascending=False).iloc[0]["run"])
        settings = best.settings
        chosen = {**dataclasses.asdict(settings.model), **dataclasses.asdict(settings.train)}
        own = dataclasses.asdict(type(settings.model)())
        defaults = {**own, **dataclasses.asdict(TrainConfig()), "name": chosen["name"]}
        best_file = out / "best.yaml"
        content = {"model": settings.model.network} if settings.model.network != DEFAULT else {}
        content |= {name: value for name, value in chosen.items() if value != defaults[name]}
        with runs.written_aside(best_file) as path:
            path.write_text(
                f"# The best of {len(table)} trials by validation {select}: trial {best.name}.\n"
                + yaml.safe_dump(content, sort_keys=False)
            )
    return Swept(table, select, best_file, out / "trials.csv", is_interrupted)


def _value(kind: type, text: str, where: str):
    try:
        return from_text(where, text, kind)
    except SettingError:
        wanted = "must be true or false" if kind is bool else f"is not of type {kind.__name__}"
        raise SettingError(f"--vary {where}: {shown(text)} {wanted}") from None
