"""Commands that set several runs beside each other."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import one_line
from ..options import config_option, given, options_of, place_of, taken
from ..studies.systems.registry import preset_names
from ..train import config as train_config
from .common import PATH, Console, echo, output_options, resample_option, threads_option, whole_number
from .networks import OfNetworks, model_option, network_settings


@click.command(cls=OfNetworks)
@model_option
@click.argument("plan", type=PATH, required=False)
@click.option(
    "--preset",
    type=click.Choice(preset_names()),
    help="A plan that msmt brings along: the tables of a paper's system, see msmt systems, or all systems on one store.",
)
@click.option("--seeds", default="", help="How many seeds, or which, such as 3 or 0,7,9. [default: the plan's, else 1]")
@click.option("--store", type=PATH, help="Store to learn from. [default: the plan's, else the newest in cache]")
@click.option("--out", type=PATH, help="Folder of the runs and tables. [default: ablations/PLAN]")
@click.option(
    "--split", default="test", show_default=True, help="Split that the table is about; nothing is chosen by it."
)
@click.option(
    "--together", default="auto", show_default=True, help="Most runs that share a pass over the data; auto by memory."
)
@resample_option
@options_of(train_config.TrainConfig, train_config.CHOICES, without=("seed", "name", "scheme"), repeated=("slot",))
@click.option(
    "--scheme",
    help="Way of splitting the recordings; with the name of several folds, all are run and what they answer is pooled."
    " [default: the plan's, else standard]",
)
@threads_option
@config_option
@output_options
def ablate(
    console: Console,
    plan: Path | None,
    preset: str | None,
    seeds: str,
    store: Path | None,
    out: Path | None,
    split: str,
    together: str,
    resample: str,
    **values,
) -> None:
    """Train variants with several seeds, and compare them in tables and a picture.

    PLAN is a YAML or JSON file: variants, each with the options that it changes, and beside them options for all.
    With --scheme folds every variant is trained on each of these folds, and tested once on every recording.
    A rerun of the same plan goes on where it stopped.
    """
    from ..studies.ablations import ablate as run

    command = click.get_current_context()
    ablated = run(
        plan,
        preset or "",
        {name: value for name, value in values.items() if given(command, name)},
        seeds,
        store,
        out or Path("ablations") / (preset or (plan.stem if plan else "")),
        split,
        whole_number(together, place_of("together"), "auto"),
        console.track(),
        console.say,
        resample,
    )
    if ablated.is_interrupted:
        click.echo("interrupted; what was finished stays: run the same command to go on", err=True)
        command.exit(130)
    echo(ablated.table(brief=not console.verbose))
    console.say("\n".join(["", *map(str, ablated.files)]))
    for outcome in ablated.failed:
        why = one_line(outcome.error or outcome.status)
        echo(f"{outcome.variant.name}, seed {outcome.seed}: {why}", err=True)
    if ablated.failed:
        command.exit(1)


@click.command()
@click.argument("runs_to_compare", metavar="RUN RUN...", nargs=-1)
@click.option("--runs", type=PATH, default="runs", show_default=True, help="Folder of the runs that are given by name.")
@click.option("--split", default="test", show_default=True, help="Split that they are compared on.")
@click.option("--store", type=PATH, help="The store, if it was moved. [default: the one each was trained on]")
@click.option("--out", type=PATH, default="comparison", show_default=True, help="Folder of the tables and the picture.")
@resample_option
@config_option
@output_options
def compare(
    console: Console,
    runs_to_compare: tuple[str, ...],
    runs: Path,
    split: str,
    store: Path | None,
    out: Path,
    resample: str,
) -> None:
    """Compare runs on the same recordings: differences, tests, and where they disagree."""
    from ..studies.comparing import compare as run

    table, files = run(runs_to_compare, runs, split, out, store, console.track(), console.say, resample)
    echo(table)
    console.say("\n".join(["", *map(str, files)]))


@click.command(cls=OfNetworks)
@model_option
@click.option(
    "--vary",
    multiple=True,
    metavar="NAME=VALUES",
    help="An option of msmt train and its values: pooling=cls,mean, dropout=0.0:0.5, or learning-rate=1e-5:1e-3:log.",
)
@click.option(
    "--sampler",
    type=click.Choice(train_config.SAMPLERS),
    default="tpe",
    show_default=True,
    help="How values are chosen.",
)
@click.option(
    "--trials",
    type=click.IntRange(1, 100_000),
    default=20,
    show_default=True,
    help="Most trials; a grid ends by itself.",
)
@click.option(
    "--prune/--no-prune", default=True, show_default=True, help="End trials that do worse than most at the same epoch."
)
@click.option(
    "--together", default="4", show_default=True, help="Trials that are chosen at once and share passes where they can."
)
@click.option("--store", type=PATH, help="Store to learn from. [default: the newest in cache]")
@click.option("--out", type=PATH, default="sweep", show_default=True, help="Folder of the trials and the result.")
@options_of(train_config.TrainConfig, train_config.CHOICES, without=("name",), repeated=("slot",))
@threads_option
@config_option
@output_options
def sweep(
    console: Console,
    model: str,
    vary: tuple[str, ...],
    sampler: str,
    trials: int,
    prune: bool,
    together: str,
    store: Path | None,
    out: Path,
    **values,
) -> None:
    """Search for options that do best on validation; the result is a configuration file for msmt train."""
    from ..evaluate.metrics import score
    from ..features.opening import default_store, open_store
    from ..train.sweep import sweep as run

    network = taken(network_settings(click.get_current_context()), values)
    config = taken(train_config.TrainConfig, {**values, "name": ""})
    swept = run(
        open_store(store or default_store(Path("cache"))),
        network,
        config,
        vary,
        out,
        score,
        sampler=sampler,
        trials=trials,
        prune=prune,
        together=whole_number(together, place_of("together")),
        track=console.track(),
        say=console.say,
    )
    echo("\n".join(swept.lines()))
    if swept.is_interrupted:
        click.echo("interrupted; what was finished stays: run the same command to go on", err=True)
        click.get_current_context().exit(130)
