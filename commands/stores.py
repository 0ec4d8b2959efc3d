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
