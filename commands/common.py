"""What several commands share: the console and options that mean the same everywhere."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from ..errors import SettingError, shown
from ..extract.corpora import config as corpora_config
from ..shown import as_lines
from ..train import config as train_config

PATH = click.Path(path_type=Path)


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
        from ..progress import for_terminal, silent

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
        from ..threads import use_threads

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


def whole_number(value: str, option: str, automatic: str = "") -> int:
    """A number from 1, or 0 for the word that means it is chosen."""
    if automatic and value == automatic:
        return 0
    if not re.fullmatch(r"[1-9]\d{0,3}", value, re.ASCII):
        words = f" or {automatic}" if automatic else ", at most 9999"
        raise SettingError(f"{option} must be a number from 1{words}, but is {shown(value)}")
    return int(value)
