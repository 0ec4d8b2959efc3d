"""The commands of msmt. Each one reads its options, calls one function, and prints what came back."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click

from . import __version__
from .errors import MsmtError, SettingError, one_line, shown
from .extract import config as extract_config
from .extract import silence as extract_silence
from .extract import views as extract_views
from .extract.corpora import config as corpora_config
from .options import Commands, config_option, given, options_of, place_of, taken
from .shown import as_line, as_lines
from .train import config as train_config
from .values import LARGEST_SEED

PATH = click.Path(path_type=Path)
_ALLOWED_WITH_RESUME = ("store", "runs", "resume", "quiet", "verbose")


def echo(text: str, err: bool = False) -> None:
    """Print lines without anything that a terminal would obey: the names in them come from anywhere."""
    click.echo(as_lines(text), err=err)


class Console:
    """What is printed: nothing but errors with -q, details with -v."""

    def __init__(self, quiet: bool, verbose: bool) -> None:
        self.quiet, self.verbose = quiet, verbose

    def say(self, line: str) -> None:
        if not self.quiet:
            echo(line)

    def detail(self, line: str) -> None:
        if self.verbose:
            echo(line)

    def track(self):
        from .progress import for_terminal, silent

        return silent if self.quiet else for_terminal()


def output_options(command):
    """Give a command -q and -v, and hand it a Console instead."""

    def with_console(quiet: bool, verbose: bool, **values):
        is_first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun has started
        return command(console=Console(quiet or not is_first, verbose), **values)

    with_console.__name__, with_console.__doc__ = command.__name__, command.__doc__
    with_console.__click_params__ = getattr(command, "__click_params__", [])
    with_console = click.option("-v", "--verbose", is_flag=True, help="Print details.")(with_console)
    return click.option("-q", "--quiet", is_flag=True, help="Print errors and results only.")(with_console)


resample_option = click.option(
    "--resample",
    type=click.Choice(("recording", "speaker")),
    default="recording",
    show_default=True,
    help="What intervals are over: recordings, or speakers with all their recordings.",
)


by_option = click.option(
    "--by",
    metavar="COLUMN",
    default="",
    help="Also show figures for each value of this column: speaker, split, or one kept by extract --keep-columns.",
)


device_option = click.option(
    "--device",
    type=click.Choice(train_config.CHOICES["device"]),
    help="Where the network runs. [default: as in training]",
)


def threads_option(command):
    """Give a command --threads, which holds before anything is computed."""

    def use(context: click.Context, parameter: click.Parameter, value: int) -> None:
        from .threads import use_threads

        use_threads(value)

    return click.option(
        "--threads",
        type=click.IntRange(0, 1024),
        default=0,
        show_default=True,
        expose_value=False,
        callback=use,
        help="Threads that torch computes with; 0 leaves it to torch, which takes every core.",
    )(command)


def corpus_options(command):
    """Give a command the options that say which corpus and which store."""
    for option in (
        click.option("--store", type=PATH, help="Where the features go; .zarr or .h5. [default: cache/DATASET.zarr]"),
        click.option("--data", type=PATH, help="Folder of the corpus. [default: data/DATASET]"),
        click.option(
            "--dataset",
            type=click.Choice(corpora_config.DATASETS),
            default="marketcalls",
            show_default=True,
            help="Kind of corpus; generic is one csv and a folder of audio.",
        ),
    ):
        command = option(command)
    return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="msmt")
def msmt() -> None:
    """Classify recorded conversations from speech and text.

    Encoders run once (extract), small networks learn from what they said (train), and are scored (eval).
    """


@msmt.command()
@corpus_options
@options_of(extract_config.ExtractConfig, extract_config.CHOICES)
@options_of(extract_views.ViewOptions, extract_views.CHOICES)
@options_of(extract_silence.SilenceOptions, extract_silence.CHOICES)
@options_of(corpora_config.GenericOptions, corpora_config.CHOICES)
@click.option("--devices", metavar="LIST", help="Share the work among several GPUs, such as 0,1,2; Zarr only.")
@click.option("--plan", is_flag=True, help="Compute nothing: say what would be done, and how long it would take.")
@threads_option
@config_option
@output_options
def extract(
    console: Console, dataset: str, data: Path | None, store: Path | None, devices: str | None, plan: bool, **values
) -> None:
    """Run the encoders once over a corpus and store their features."""
    views = taken(extract_views.ViewOptions, values)
    silence = taken(extract_silence.SilenceOptions, values)
    corpus, store, config = _corpus_and_store(console, dataset, data, store, values)
    if plan:
        from .extract.plan import make_plan

        made = make_plan(corpus, store, config, console.track(), views, silence)
        for line in made.about:
            console.say(line)
        echo("\n".join(made.lines()))
        return
    if devices:
        from .extract.several import extract_on_devices

        click.get_current_context().exit(extract_on_devices(devices, corpus, store, config, views, sys.argv[1:]))
    from .extract.pipeline import extract as run

    try:
        summary = run(corpus, store, config, console.track(), console.say, views, silence)
    except KeyboardInterrupt:
        click.echo("interrupted; what was committed stays: run the same command to go on", err=True)
        click.get_current_context().exit(130)
    for line in summary.lines():
        console.say(line)
    if summary.failures:
        if console.quiet:
            echo(f"{len(summary.failures)} segments have no audio feature, see {summary.failures_file}", err=True)
        click.get_current_context().exit(1)


def _corpus_and_store(console: Console, dataset: str, data: Path | None, store: Path | None, values: dict):
    """What the options of a corpus, an extraction and a store mean: a Corpus, a path, an ExtractConfig."""
    generic = taken(corpora_config.GenericOptions, values)
    config = taken(extract_config.ExtractConfig, values)
    from .extract.corpora.registry import load_corpus
    from .features.store import SUFFIXES

    corpus = load_corpus(dataset, data or Path("data") / dataset, generic, config.modalities)
    for note in corpus.notes:
        console.say(as_line(note))
    return corpus, store or Path("cache") / (dataset + SUFFIXES[config.format]), config


@msmt.command()
@corpus_options
@options_of(extract_config.ExtractConfig, extract_config.CHOICES)
@options_of(extract_silence.SilenceOptions, extract_silence.CHOICES)
@options_of(corpora_config.GenericOptions, corpora_config.CHOICES)
@click.option(
    "--segments",
    type=click.IntRange(1, 1000),
    default=4,
    show_default=True,
    help="Segments to compare, spread over the corpus.",
)
@threads_option
@config_option
@output_options
def doctor(console: Console, dataset: str, data: Path | None, store: Path | None, segments: int, **values) -> None:
    """Show how far computed and stored features lie from their definition."""
    silence = taken(extract_silence.SilenceOptions, values)
    corpus, store, config = _corpus_and_store(console, dataset, data, store, values)
    from .extract.doctor import examine, table_of

    echo(table_of(examine(corpus, store, config, segments, silence, echo)))


@msmt.command()
@click.argument("store", type=PATH)
@click.argument("segment")
@click.option("--view", default="original", show_default=True, help="View of the segment, such as speed or noise-2.")
@click.option("-o", "--out", type=PATH, help="WAV file to write, the picture beside it. [default: SEGMENT-VIEW.wav]")
@click.option("--data", type=PATH, help="Folder of the corpus. [default: data/DATASET of the store]")
@click.option("--feature", default="", help="Audio feature, unless it is the plain one.")
@output_options
def listen(
    console: Console, store: Path, segment: str, view: str, out: Path | None, data: Path | None, feature: str
) -> None:
    """Hear and see what an encoder was given of a segment.

    Writes the very samples, 32-bit float at the encoder's rate and at the recording's own level (the encoder gets them
    shifted to zero mean and scaled to unit variance), and a PNG with waveform and spectrogram of the original above the
    view's. Of a view of the text, prints both transcripts with what was replaced in brackets.
    """
    from .extract.listen import listen as run
    from .features.store import open_store

    opened = open_store(store)
    heard = run(opened, segment, view, out, data or Path("data") / opened.dataset, feature)
    echo("\n".join(heard.lines))


@msmt.command()
@click.argument("store", type=PATH)
@click.option("--repair", is_flag=True, help="Mark damaged rows missing, so that msmt extract fills them.")
@output_options
def verify(console: Console, store: Path, repair: bool) -> None:
    """Recompute every checksum of a store and name every bad row."""
    from .features import copying
    from .features.store import open_for_verification

    opened, damages = open_for_verification(store)
    damages += copying.verify(opened, console.track()) if opened else []
    for damage in damages:
        echo(damage_line(store, opened, damage))
    if opened and not opened.is_finished:
        console.say(f"{store}: is not finished; what its rows were made from is sealed when msmt extract ends")
    if not damages:
        console.say(f"{store}: every checksum matches")
        return
    if repair:
        for line in copying.repair(store, damages):
            console.say(line if line.startswith(str(store)) else f"{store}: {line}")
    click.get_current_context().exit(1)


def damage_line(path: Path, store, damage) -> str:
    """Where the damage is and what it is, with the segment where it is known."""
    from .errors import StoreError
    from .features.head import without_remedy

    place = damage.feature
    if damage.row >= 0:
        try:
            segment = f" ({store.segments['segment_id'].iloc[damage.row]})"
        except (StoreError, IndexError):
            segment = ""
        place = f"{damage.feature} row {damage.row}{segment}"
    reason = without_remedy(damage.reason).removeprefix(f"{path}: ")
    return f"{path}: {place + ': ' if place else ''}{reason}"


@msmt.command()
@click.argument("store", type=PATH)
@output_options
def compact(console: Console, store: Path) -> None:
    """Drop the rows of segments that have left the corpus, and their features."""
    from .features.compacting import compact as run

    console.say("\n".join(run(store, console.track()).lines()))


@msmt.command()
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
@output_options
def convert(console: Console, source: Path, target: Path) -> None:
    """Copy a store from Zarr to HDF5 or back, exactly."""
    from .features import copying
    from .features.store import open_store

    made = copying.convert(open_store(source), target, console.track())
    console.say(f"{made.path}: {len(made.segments)} segments, fingerprint {made.fingerprint()}")


@msmt.command()
@click.option("--store", type=PATH, help="Store to learn from. [default: the newest in cache]")
@click.option("--runs", type=PATH, default="runs", show_default=True, help="Folder that the run's directory goes into.")
@click.option(
    "--preset",
    type=click.Choice(tuple(train_config.PRESETS)),
    help="Set several options at once; those given besides win.",
)
@click.option("--resume", metavar="RUN", help="Go on with a run, named or latest, under its own settings.")
@options_of(train_config.ModelConfig, train_config.CHOICES)
@options_of(train_config.TrainConfig, train_config.CHOICES)
@threads_option
@config_option
@output_options
def train(console: Console, store: Path | None, runs: Path, preset: str | None, resume: str | None, **values) -> None:
    """Train one variant of the network on a store."""
    command = click.get_current_context()
    for name, value in train_config.PRESETS.get(preset, {}).items():
        if not given(command, name):
            values[name] = value
    model = taken(train_config.ModelConfig, values)
    config = taken(train_config.TrainConfig, values)
    from .evaluate.metrics import score
    from .features.store import default_store, open_store
    from .studies import existing_store
    from .train.loop import train as run
    from .train.runs import resolve

    if resume is not None:
        changed = [name for name in command.params if given(command, name) and name not in _ALLOWED_WITH_RESUME]
        if changed:
            raise SettingError(
                f"--resume goes on under the run's own settings, so --{changed[0].replace('_', '-')} cannot be set"
            )
        store = store or existing_store(resolve(runs, resume), runs)
        model = config = None
    trained = run(
        open_store(store or default_store(Path("cache"))),
        model,
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


@msmt.command(name="eval")
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
    from .studies import existing_store, score_run
    from .train.runs import LATEST, resolve

    run = resolve(runs, run_argument or run_name or LATEST)
    scores = score_run(run, store or existing_store(run, runs), split, device, resample, console.track(), by)
    if scores.left_out:
        console.say(f"{scores.left_out} segments of {as_line(split)} have no features and were left out")
    for note in scores.notes:
        echo(f"note: {note}", err=True)
    echo(scores.table)
    console.say("\n".join(["", *map(str, scores.files)]))


@msmt.command()
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
    from .studies import predict_on
    from .train.runs import resolve

    predicted = predict_on(resolve(runs, run_name), store, split, out, device, console.track(), by)
    if predicted.left_out:
        console.say(f"{predicted.left_out} segments have no features and were left out")
    for note in predicted.notes:
        echo(f"note: {note}", err=True)
    echo(predicted.table)
    console.say("\n".join(["", *map(str, predicted.files)]))


@msmt.command()
@click.argument("plan", type=PATH, required=False)
@click.option("--preset", type=click.Choice(train_config.PLANS), help="A plan that msmt brings along.")
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
@options_of(train_config.ModelConfig, train_config.CHOICES)
@options_of(train_config.TrainConfig, train_config.CHOICES, without=("seed", "name"))
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
    A rerun of the same plan goes on where it stopped.
    """
    from .studies import ablate as run

    command = click.get_current_context()
    ablated = run(
        plan,
        preset or "",
        {name: value for name, value in values.items() if given(command, name)},
        seeds,
        store,
        out or Path("ablations") / (preset or (plan.stem if plan else "")),
        split,
        _whole_number(together, place_of("together"), "auto"),
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


@msmt.command()
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
    from .studies import compare as run

    table, files = run(runs_to_compare, runs, split, out, store, console.track(), console.say, resample)
    echo(table)
    console.say("\n".join(["", *map(str, files)]))


@msmt.command()
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
@options_of(train_config.ModelConfig, train_config.CHOICES)
@options_of(train_config.TrainConfig, train_config.CHOICES, without=("name",))
@threads_option
@config_option
@output_options
def sweep(
    console: Console,
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
    from .evaluate.metrics import score
    from .features.store import default_store, open_store
    from .train.sweep import sweep as run

    model, config = taken(train_config.ModelConfig, values), taken(train_config.TrainConfig, {**values, "name": ""})
    swept = run(
        open_store(store or default_store(Path("cache"))),
        model,
        config,
        vary,
        out,
        score,
        sampler=sampler,
        trials=trials,
        prune=prune,
        together=_whole_number(together, place_of("together")),
        track=console.track(),
        say=console.say,
    )
    echo("\n".join(swept.lines()))
    if swept.is_interrupted:
        click.echo("interrupted; what was finished stays: run the same command to go on", err=True)
        click.get_current_context().exit(130)


def _whole_number(value: str, option: str, automatic: str = "") -> int:
    """A number from 1, or 0 for the word that means it is chosen."""
    if automatic and value == automatic:
        return 0
    if not re.fullmatch(r"[1-9]\d{0,3}", value, re.ASCII):
        words = f" or {automatic}" if automatic else ", at most 9999"
        raise SettingError(f"{option} must be a number from 1{words}, but is {shown(value)}")
    return int(value)


@msmt.command()
@click.argument("store", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def info(store: Path, as_json: bool) -> None:
    """Say what a store holds."""
    from .features.info import describe, table_of
    from .features.store import open_store

    description = describe(open_store(store))
    if as_json:
        import json

        click.echo(json.dumps(description, indent=2, ensure_ascii=False))
    else:
        echo(table_of(description))


@msmt.command()
@click.option("--out", type=PATH, default="demo", show_default=True, help="Folder to make.")
@click.option(
    "--seed",
    type=click.IntRange(0, LARGEST_SEED),
    default=0,
    show_default=True,
    help="Seed of the corpus and of the encoders' weights.",
)
@output_options
def demo(console: Console, out: Path, seed: int) -> None:
    """Make a small synthetic corpus and random encoders, and run extract, train and eval on them."""
    import contextlib
    import shlex

    from .extract.demo import make_demo

    paths = make_demo(out, seed)
    console.say((paths.data / "README.txt").read_text())
    steps = (
        ["extract", "--dataset", "marketcalls", "--audio-encoder", "encoders/audio", "--text-encoder", "encoders/text"],
        ["train", "--no-mtl", "--config", paths.config.name],
        ["eval", "--split", "test"],
    )
    with contextlib.chdir(out):
        for step in steps:
            console.say(f"\n$ msmt {shlex.join(step)}")
            status = msmt.main([*step, *(["--quiet"] if console.quiet else [])], "msmt", standalone_mode=False)
            if status:
                click.get_current_context().exit(status)
    console.say(
        f"\nAll of it is in {out}. The corpus is synthetic and the encoders are random: the scores mean nothing else."
    )
    console.say(f"See the curves with: tensorboard --logdir {out / 'runs'}")


def main() -> None:
    """Run the command line; errors a user can mend become one line and exit status 2."""
    try:
        msmt(prog_name="msmt")
    except MsmtError as error:
        click.echo(f"msmt: error: {error}", err=True)
        sys.exit(2)
    except MemoryError as error:
        click.echo(f"msmt: error: this machine has not enough memory for that {one_line(error)}".rstrip(), err=True)
        sys.exit(2)
