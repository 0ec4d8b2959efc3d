"""The command that shows the systems of the papers."""

from __future__ import annotations

import click

from ..extract.corpora import config as corpora_config
from ..studies.systems.registry import SYSTEMS, system_named
from .common import Console, echo, output_options


@click.command()
@click.argument("name", type=click.Choice(tuple(SYSTEMS)), required=False)
@click.option(
    "--dataset",
    type=click.Choice(corpora_config.DATASETS),
    help="Show the features as they are for this corpus: encoders and lengths differ.",
)
@output_options
def systems(console: Console, name: str | None, dataset: str | None) -> None:
    """List the systems of the papers, or with a NAME all of one: features, settings, tables with figures, readings.

    \b
    msmt extract --preset SYSTEM          makes its features
    msmt train --model NETWORK --preset paper
    msmt ablate --preset NAME             its table, the paper's figures beside ours
    """
    from ..studies.systems.listing import lines_of_system, lines_of_systems

    echo("\n".join(lines_of_system(system_named(name), dataset or "") if name else lines_of_systems()))
