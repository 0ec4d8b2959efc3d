"""The commands of msmt. Each one reads its options, calls one function, and prints what came back."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from . import __version__
from .errors import MsmtError
from .extract import config as extract_config
from .extract.corpora.options import GenericOptions
from .options import config_option, options_of, taken

PATH = click.Path(path_type=Path)


class Console:
    """What is printed: nothing but errors with -q, details with -v."""

    def __init__(self, quiet: bool, verbose: bool) -> None:
        self.quiet, self.verbose = quiet, verbose

    def say(self, line: str) -> None:
        if not self.quiet:
            click.echo(line)

    def detail(self, line: str) -> None:
        if self.verbose:
            click.echo(line)

    def track(self):
        from .progress import for_terminal, silent

        return silent if self.quiet else for_terminal()


def output_options(command):
    """Give a command -q and -v, and hand it a Console instead."""

    def with_console(quiet: bool, verbose: bool, **values):
        return command(console=Console(quiet, verbose), **values)

    with_console.__name__, with_console.__doc__ = command.__name__, command.__doc__
    with_console.__click_params__ = getattr(command, "__click_params__", [])
    with_console = click.option("-v", "--verbose", is_flag=True, help="Print details.")(with_console)
    return click.option("-q", "--quiet", is_flag=True, help="Print errors and results only.")(with_console)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="msmt")
def msmt() -> None:
    """Classify recorded conversations from speech and text.

    Encoders run once (extract), small networks learn from what they said (train), and are scored (eval).
    """


@msmt.command()
@click.option("--dataset", default="marketcalls", show_default=True, help="Kind of corpus: marketcalls, or generic for one csv and a folder of audio.")
@click.option("--data", type=PATH, help="Folder of the corpus. [default: data/DATASET]")
@click.option("--store", type=PATH, help="Where the features go; .zarr or .h5. [default: cache/DATASET.zarr]")
@options_of(extract_config.ExtractConfig, extract_config.CHOICES)
@options_of(GenericOptions, GenericOptions.CHOICES)
@config_option
@output_options
@click.pass_context
def extract(context: click.Context, console: Console, dataset: str, data: Path | None, store: Path | None, **values) -> None:
    """Run the encoders once over a corpus and store their features."""
    generic = taken(GenericOptions, values)
    config = taken(extract_config.ExtractConfig, values)
    from .extract.corpora.registry import load_corpus
    from .features.store import SUFFIXES

    corpus = load_corpus(dataset, data or Path("data") / dataset, generic)
    for note in corpus.notes:
        console.say(note)
    from .extract.pipeline import extract as run

    store = store or Path("cache") / (dataset + SUFFIXES[config.format])
    summary = run(corpus, store, config, console.track(), console.say)
    for line in summary.lines():
        console.say(line)
    if summary.failures:
        context.exit(1)


def main() -> None:
    """Run the command line; errors a user can mend become one line and exit status 2."""
    try:
        msmt(prog_name="msmt")
    except MsmtError as error:
        click.echo(f"msmt: error: {error}", err=True)
        sys.exit(2)
