"""The command that looks a public corpus over before anything is computed."""

from __future__ import annotations

from pathlib import Path

import click

from ..extract.corpora import config as corpora_config
from ..options import config_option, options_of, taken
from .common import PATH, Console, echo, output_options

_PUBLIC = tuple(name for name, file in corpora_config.FILES.items() if file not in ("generic", "marketcalls"))


@click.command()
@click.argument("dataset", type=click.Choice(_PUBLIC), metavar="DATASET")
@click.option("--data", type=PATH, help="Folder of the corpus. [default: data/DATASET]")
@options_of(corpora_config.CorpusOptions)
@click.option("--decode", is_flag=True, help="Decode every file as a whole, in parallel, instead of reading headers.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--csv", type=PATH, help="Csv of every item with its verdict. [default: DATASET.items.csv]")
@config_option
@output_options
def corpus(
    console: Console, dataset: str, data: Path | None, decode: bool, as_json: bool, csv: Path | None, **values
) -> None:
    """Hold a public corpus, as it was unpacked, against what it should be.

    DATASET is meld, iemocap, mosi, mosei, sims, simsv2, emodb, ravdess or crema-d.

    Counts splits, classes and speakers, says of each known defect whether it is met, and lists every item with its
    verdict and what msmt extract would do of it. Exit status 1 where something is off.
    """
    options = taken(corpora_config.CorpusOptions, values)
    from ..extract.corpora.registry import adapter_of
    from ..extract.corpus_report import as_json as plain
    from ..extract.corpus_report import lines_of, write_items
    from ..extract.reconcile import reconcile

    found = reconcile(adapter_of(dataset).read(data or Path("data") / dataset, options), console.track(), decode)
    path = csv or Path(f"{dataset}.items.csv")
    write_items(found, path)
    if as_json:
        import json

        click.echo(json.dumps(plain(found), indent=2, ensure_ascii=False))
    else:
        echo("\n".join(lines_of(found)))
        console.say(f"every item with its verdict: {path}")
    if not found.is_in_order:
        click.get_current_context().exit(1)
