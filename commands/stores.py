"""Commands on a store as a whole."""

from __future__ import annotations

from pathlib import Path

import click

from .common import PATH, Console, echo, output_options


@click.command()
@click.argument("store", type=PATH)
@click.option("--repair", is_flag=True, help="Mark damaged rows missing, so that msmt extract fills them.")
@output_options
def verify(console: Console, store: Path, repair: bool) -> None:
    """Recompute every checksum of a store and name every bad row."""
    from ..features import copying
    from ..features.opening import open_for_verification

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
    from ..errors import StoreError
    from ..features.head import without_remedy

    place = damage.feature
    if damage.row >= 0:
        try:
            segment = f" ({store.segments['segment_id'].iloc[damage.row]})"
        except (StoreError, IndexError):
            segment = ""
        place = f"{damage.feature} row {damage.row}{segment}"
    reason = without_remedy(damage.reason).removeprefix(f"{path}: ")
    return f"{path}: {place + ': ' if place else ''}{reason}"


@click.command()
@click.argument("store", type=PATH)
@output_options
def compact(console: Console, store: Path) -> None:
    """Drop the rows of segments that have left the corpus, and their features."""
    from ..features.compacting import compact as run

    console.say("\n".join(run(store, console.track()).lines()))


@click.command()
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
@output_options
def convert(console: Console, source: Path, target: Path) -> None:
    """Copy a store from Zarr to HDF5 or back, exactly."""
    from ..features import copying
    from ..features.opening import open_store

    made = copying.convert(open_store(source), target, console.track())
    console.say(f"{made.path}: {len(made.segments)} segments, fingerprint {made.fingerprint()}")


@click.command()
@click.argument("store", type=PATH)
@click.option("--scheme", default="folds", show_default=True, help="Name of the folds: folds makes fold1, fold2, …")
@click.option("--folds", type=int, default=5, show_default=True, help="How many; each recording is tested in one.")
@click.option(
    "--by",
    metavar="COLUMN",
    default="recording",
    show_default=True,
    help="What is never parted: recording, speaker, or a column kept by extract --keep-columns.",
)
@click.option("--stratify", metavar="TASK", default="", help="Every fold gets its share of each class of this task.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another one shares out otherwise.")
@click.option(
    "--validation",
    metavar="next|SHARE",
    default="next",
    show_default=True,
    help="What validates: what the next fold tests, or a share of what is left to train on, such as 0.1.",
)
@click.option("--overwrite", is_flag=True, help="Replace folds of that name.")
@output_options
def split(console: Console, store: Path, scheme: str, overwrite: bool, **settings) -> None:
    """Add folds to a store, by which train, eval and ablate may split it; no feature is touched."""
    from ..features.fold_table import describe_folds, fold_lines
    from ..features.folds import FoldConfig, add_folds

    made = add_folds(store, FoldConfig(family=scheme, **settings), overwrite)
    console.say("\n".join(fold_lines({scheme: describe_folds(made)[scheme]}, made.tasks)).lstrip("\n"))


@click.command()
@click.argument("store", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def info(store: Path, as_json: bool) -> None:
    """Say what a store holds."""
    from ..features.info import describe, table_of
    from ..features.opening import open_store

    description = describe(open_store(store))
    if as_json:
        import json

        click.echo(json.dumps(description, indent=2, ensure_ascii=False))
    else:
        echo(table_of(description))
