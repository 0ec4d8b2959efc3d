"""Commands that train a run, score it, and apply it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from ..errors import SettingError
from ..options import config_option, given, options_of, taken
from ..shown import as_line
from ..studies.systems.registry import PAPER, paper_settings
from ..train import config as train_config
from ..train.models.registry import STAGED
from .common import PATH, Console, by_option, device_option, echo, output_options, resample_option, threads_option
from .networks import OfNetworks, model_option, network_settings

_OF_TRAINING = tuple(field.name for field in dataclasses.fields(train_config.TrainConfig))
_ALLOWED_WITH_RESUME = ("store", "runs", "resume", "quiet", "verbose")


@click.command(cls=OfNetworks)
@model_option
@click.option("--store", type=PATH, help="Store to learn from. [default: the newest in cache]")
@click.option("--runs", type=PATH, default="runs", show_default=True, help="Folder that the run's directory goes into.")
@click.option(
    "--preset",
    type=click.Choice((PAPER,)),
    help="Set the options of the network's paper, see msmt systems; those given besides win.",
)
@click.option("--resume", metavar="RUN", help="Go on with a run, named or latest, under its own settings.")
@options_of(train_config.TrainConfig, train_config.CHOICES, repeated=("slot",))
@threads_option
@config_option
@output_options
def train(
    console: Console, model: str, store: Path | None, runs: Path, preset: str | None, resume: str | None, **values
) -> None:
    """Train one variant of a network on a store.

    merits-l is a chain of stages: options hold for all of them, and the same command again goes on where it stopped.
    """
    command = click.get_current_context()
    for name, value in (paper_settings(model) if preset else {}).items():
        if not given(command, name):
            values[name] = value
    asked = {name: values[name] for name in _OF_TRAINING if given(command, name)}
    network = taken(network_settings(command), values)
    config = taken(train_config.TrainConfig, values)
    from ..evaluate.metrics import score
    from ..features.opening import default_store, open_store
    from ..studies.scoring import existing_store
    from ..train.loop import train as run
    from ..train.runs import resolve

    going_on = None
    if resume is not None:
        from ..train.staged import goes_on_with

        going_on = goes_on_with(resolve(runs, resume))
        allowed = (*_ALLOWED_WITH_RESUME, *(["model"] if going_on and model == going_on[0].network else []))
        changed = [name for name in command.params if given(command, name) and name not in allowed]
        if changed:
            raise SettingError(
                f"--resume goes on under the run's own settings, so --{changed[0].replace('_', '-')} cannot be set"
            )
        store = store or existing_store(resolve(runs, resume), runs)
        network, asked = going_on or (None, {})
        config = None
    store = store or default_store(Path("cache"))
    if going_on or model in STAGED:
        _train_stages(console, network, asked, store, runs)
        return
    trained = run(
        open_store(store),
        network,
        config,
        runs,
        score,
        track=console.track(),
        resume=resume,
        say=console.say,
    )
    if trained.status == "interrupted":
        click.get_current_context().exit(130)
    console.say(
        f"best epoch {trained.best_epoch} of {trained.epochs} by validation {trained.select}; run {trained.run.path}"
    )


def _train_stages(console: Console, network, asked: dict, store: Path, runs: Path) -> None:
    from ..evaluate.metrics import score
    from ..train.staged import train_stages

    trained = train_stages(network, asked, store, runs, score, console.track(), console.say)
    if trained.is_interrupted:
        click.echo("interrupted; what was finished stays: run the same command to go on", err=True)
        click.get_current_context().exit(130)
    console.say("\n".join(trained.lines()))


@click.command(name="eval")
@click.argument("run_argument", metavar="[RUN]", required=False)
@click.option("--run", "run_name", help="Run to score, by name or path; the same as RUN. [default: latest]")
@click.option("--runs", type=PATH, default="runs", show_default=True, help="Folder of the runs.")
@click.option("--split", default="test", show_default=True, help="Split to score.")
@click.option("--store", type=PATH, help="The store, if it was moved. [default: the one the run was trained on]")
@device_option
@resample_option
@by_option
@threads_option
@config_option
@output_options
def evaluate(
    console: Console,
    run_argument: str | None,
    run_name: str | None,
    runs: Path,
    split: str,
    store: Path | None,
    device: str | None,
    resample: str,
    by: str,
) -> None:
    """Score a run on a split: RUN, by name or path, or else the latest.

    The store may have grown since the run was trained, and a line says what of its training data has changed.
    """
    if run_argument and run_name:
        raise SettingError("two runs are named: give either RUN or --run RUN")
    from ..studies.scoring import existing_store, score_run
    from ..train.runs import LATEST, resolve

    run = resolve(runs, run_argument or run_name or LATEST)
    scores = score_run(run, store or existing_store(run, runs), split, device, resample, console.track(), by)
    if scores.left_out:
        console.say(f"{scores.left_out} segments of {as_line(split)} have no features and were left out")
    for note in scores.notes:
        echo(f"note: {note}", err=True)
    echo(scores.table)
    console.say("\n".join(["", *map(str, scores.files)]))


@click.command()
@click.argument("run_name", metavar="[RUN]", default="latest")
@click.option("--runs", type=PATH, default="runs", show_default=True, help="Folder of the runs.")
@click.option("--store", type=PATH, required=True, help="Store of the recordings, extracted as the run's own were.")
@click.option("--split", default="", help="Split to predict. [default: all segments of the store]")
@click.option("--out", type=PATH, help="Csv to write. [default: predictions-of-STORE.csv in the run's directory]")
@device_option
@by_option
@threads_option
@config_option
@output_options
def predict(
    console: Console,
    run_name: str,
    runs: Path,
    store: Path,
    split: str,
    out: Path | None,
    device: str | None,
    by: str,
) -> None:
    """Apply a run to other recordings, with labels or without.

    RUN is a run's name or path, or else the latest. Writes a csv with the prediction and the probability of each class
    for every recording, or every segment where the tasks are ones of segments. Where there are labels, prints what eval
    prints. Nothing counts as scoring a split unless the store is the run's own.
    """
    from ..studies.applying import predict_on
    from ..train.runs import resolve

    predicted = predict_on(resolve(runs, run_name), store, split, out, device, console.track(), by)
    if predicted.left_out:
        console.say(f"{predicted.left_out} segments have no features and were left out")
    for note in predicted.notes:
        echo(f"note: {note}", err=True)
    echo(predicted.table)
    console.say("\n".join(["", *map(str, predicted.files)]))


@click.command()
@click.argument("run_name", metavar="[RUN]", default="latest")
@click.option("--name", required=True, help="Name of the feature, such as stage1.")
@click.option(
    "--from",
    "source",
    type=click.Choice(("segment", "context")),
    default="segment",
    show_default=True,
    help="What becomes a vector: each segment alone, or each segment as its recording's context makes it.",
)
@click.option("--runs", type=PATH, default="runs", show_default=True, help="Folder of the runs.")
@click.option("--store", type=PATH, help="Store to write into. [default: the one the run was trained on]")
@click.option("--overwrite", is_flag=True, help="Replace a feature of that name that was made in another way.")
@device_option
@threads_option
@config_option
@output_options
def embed(
    console: Console,
    run_name: str,
    name: str,
    source: str,
    runs: Path,
    store: Path | None,
    overwrite: bool,
    device: str | None,
) -> None:
    """Write a run's vectors of all segments into a store, as a feature that other networks can learn from.

    RUN is a run's name or path, or else the latest. A rerun computes only rows that what they were made from has
    changed of.
    """
    from ..studies.scoring import existing_store
    from ..train.embed import embed as run
    from ..train.runs import resolve

    found = resolve(runs, run_name)
    path = store or existing_store(found, runs)
    console.say(run(found, path, name, source, overwrite, device, console.track()).line(path))
