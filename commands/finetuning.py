"""The command that fine-tunes an encoder."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import SettingError
from ..extract.corpora import config as corpora_config
from ..extract.finetuning import config as finetune_config
from ..extract.sound import silence as extract_silence
from ..options import config_option, given, options_of, place_of, taken
from .common import PATH, Console, echo, output_options, threads_option

_WITH_RESUME = ("resume", "runs", "device", "console", "threads")  # all else is what the run was begun with


@click.command()
@click.option("--dataset", type=click.Choice(corpora_config.DATASETS), help="Corpus to learn from.")
@click.option("--data", type=PATH, help="Folder of the corpus. [default: data/DATASET]")
@click.option("--label-column", default="label", show_default=True, help="Column of the labels of a --csv of texts.")
@options_of(finetune_config.FinetuneOptions, finetune_config.CHOICES)
@options_of(extract_silence.SilenceOptions, extract_silence.CHOICES)
@options_of(corpora_config.GenericOptions, corpora_config.CHOICES)
@options_of(corpora_config.CorpusOptions)
@click.option("--name", default="", help="Name of the run, whose encoder is then in RUNS/NAME/encoder.")
@click.option("--runs", type=PATH, default="runs", show_default=True, help="Folder of the runs.")
@click.option("--resume", default="", metavar="RUN", help="Go on with a run that was stopped: its name, or latest.")
@threads_option
@config_option
@output_options
def finetune(
    console: Console,
    dataset: str | None,
    data: Path | None,
    label_column: str,
    name: str,
    runs: Path,
    resume: str,
    **values,
) -> None:
    """Fine-tune an encoder of text or speech, on a corpus or a csv, into a folder that msmt extract takes.

    \b
    msmt finetune --csv labels.csv --encoder FacebookAI/roberta-large --name roberta-ft
    msmt finetune --dataset meld --encoder runs/roberta-ft/encoder --name roberta-meld
    msmt extract --dataset meld --text-encoder runs/roberta-meld/encoder

    Without --dataset, --csv is a file of texts with --text-column and --label-column, such as msmt annotate writes;
    its --split-column says what is for training and validation, or a share is held out. Only training and validation
    are looked at, never test.
    """
    context = click.get_current_context()
    from ..studies.finetuning import Asked, begin, go_on

    if resume:
        for option in context.params:
            if option not in _WITH_RESUME and given(context, option):
                raise SettingError(f"{place_of(option)} cannot be given with --resume: a run goes on as it was begun")
    options = taken(finetune_config.FinetuneOptions, values)
    silence = taken(extract_silence.SilenceOptions, values)
    generic = taken(corpora_config.GenericOptions, values)
    of_corpus = taken(corpora_config.CorpusOptions, values)
    try:
        if resume:
            device = options.device if given(context, "device") else ""
            result = go_on(runs, resume, device, console.track(), console.say)
        else:
            if not options.encoder:
                raise SettingError("name the encoder to fine-tune with --encoder: a hub id or a folder")
            if not dataset and not generic.csv:
                raise SettingError("name what to learn from: --dataset, or --csv with texts and labels")
            if dataset and given(context, "label_column"):
                raise SettingError("--label-column is for a --csv of texts; a corpus has --label-columns")
            asked = Asked(dataset or "", str(data or ""), label_column, options, silence, generic, of_corpus)
            result = begin(asked, runs, name, console.track(), console.say)
    except KeyboardInterrupt:
        click.echo("interrupted; go on with msmt finetune --resume latest", err=True)
        context.exit(130)
    for line in result.lines:
        console.say(line)
    for line in result.warnings:
        echo(line, err=True)
