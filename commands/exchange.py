"""Commands that write a store for other programs, and read what these wrote."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import SettingError
from ..features.exchange.options import CHOICES, MmsaExportOptions, MmsaImportOptions
from ..options import given, options_of, place_of, taken
from .common import PATH, Console, output_options

_FOR_MMSA = ("audio", "text", "vision", "task", "classes", "max_rows", "tokenizer")


@click.command()
@click.argument("store", type=PATH)
@click.option(
    "--to",
    "kind",
    type=click.Choice(("mmsa", "npz", "hf")),
    required=True,
    help="Layout: mmsa is a pickle for MMSA, npz arrays for numpy, hf a folder for Hugging Face's datasets.",
)
@click.option("-o", "--out", type=PATH, required=True, help="File to write; with --to hf a folder.")
@click.option("--scheme", default="standard", show_default=True, help="Splits: standard, or another of the store.")
@click.option(
    "--view",
    "views",
    multiple=True,
    help="Rows: original, or a view of the store. May be repeated. [default: original]",
)
@click.option(
    "--features", default="", metavar="LIST", help="With npz and hf: names with commas between. [default: all]"
)
@options_of(MmsaExportOptions)
@click.option(
    "--tokenizer", default="", help="With mmsa: folder or hub id; text_bert gets its tokens, as of bert-base-uncased."
)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@output_options
def export(
    console: Console,
    store: Path,
    kind: str,
    out: Path,
    scheme: str,
    views: tuple[str, ...],
    features: str,
    tokenizer: str,
    overwrite: bool,
    **values,
) -> None:
    """Write features, splits, labels and transcripts for MMSA, numpy, or Hugging Face's datasets."""
    context = click.get_current_context()
    for name in _FOR_MMSA if kind != "mmsa" else ("features",):
        if given(context, name):
            others = "mmsa" if kind != "mmsa" else "npz and hf"
            raise SettingError(f"{place_of(name)} is for --to {others}, not for --to {kind}")
    options = taken(MmsaExportOptions, values)
    from ..features.opening import open_store
    from ..features.segments import ORIGINAL

    opened = open_store(store)
    same = {"scheme": scheme, "views": views or (ORIGINAL,), "overwrite": overwrite, "track": console.track()}
    if kind == "mmsa":
        tokenize = None
        if tokenizer:
            from ..extract.extractors.loading import token_numbers_by

            tokenize = token_numbers_by(tokenizer, "--tokenizer")
        from ..features.exchange.to_mmsa import export_mmsa

        exported = export_mmsa(opened, out, options, tokenize=tokenize, **same)
    else:
        from ..features.exchange.to_hf import export_hf
        from ..features.exchange.to_npz import export_npz

        names = tuple(name.strip() for name in features.split(",") if name.strip())
        exported = (export_npz if kind == "npz" else export_hf)(opened, out, names, **same)
    for line in exported.lines:
        console.say(line)


@click.command("import")
@click.argument("file", type=PATH)
@click.argument("store", type=PATH)
@click.option("--from", "kind", type=click.Choice(("mmsa",)), required=True, help="Layout of the file.")
@options_of(MmsaImportOptions, CHOICES)
@click.option("--overwrite", is_flag=True, help="Replace a store that is there.")
@output_options
def import_file(console: Console, file: Path, store: Path, kind: str, overwrite: bool, **values) -> None:
    """Make a store of a feature file in MMSA's layout. Nothing in the file is run."""
    options = taken(MmsaImportOptions, values)
    from ..features.exchange.from_mmsa import import_mmsa

    imported = import_mmsa(file, store, options, overwrite, console.track())
    for line in imported.lines:
        console.say(line)
    console.say(f"{store}: made; msmt info {store} says what is in it")
