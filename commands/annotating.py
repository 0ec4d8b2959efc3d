"""The command that has a language model label transcripts."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..errors import SettingError
from ..extract.annotating import config as annotate_config
from ..extract.corpora import config as corpora_config
from ..options import config_option, options_of, taken
from .common import PATH, Console, echo, output_options, threads_option


@click.command()
@click.argument("transcripts", type=PATH, required=False)
@click.option(
    "-o", "--out", type=PATH, default="labels.csv", show_default=True, help="Csv to write, journal beside it."
)
@options_of(annotate_config.AnnotateOptions, annotate_config.CHOICES)
@click.option(
    "--gold", default="", metavar="COLUMN", help="Column of labels by people, or a corpus's task, to agree with."
)
@click.option(
    "--gold-map", default="", metavar="MAP", help="What gold values mean: joy=positive,1:3=negative,*=neutral."
)
@click.option(
    "--dataset", type=click.Choice(corpora_config.DATASETS), help="Label a corpus's transcripts, not a csv's."
)
@click.option("--data", type=PATH, help="Folder of the corpus. [default: data/DATASET]")
@click.option("--split", default="", help="Label this split of the corpus alone.")
@options_of(corpora_config.GenericOptions, corpora_config.CHOICES)
@options_of(corpora_config.CorpusOptions, without=("classes",))
@click.option("--corpus-classes", default="", help="Emotions that are taken of iemocap: 4, 6, or all.")
@click.option("--plan", is_flag=True, help="Send nothing: say how many texts, requests and tokens there are.")
@threads_option
@config_option
@output_options
def annotate(
    console: Console,
    transcripts: Path | None,
    out: Path,
    gold: str,
    gold_map: str,
    dataset: str | None,
    data: Path | None,
    split: str,
    corpus_classes: str,
    plan: bool,
    **values,
) -> None:
    """Label transcripts by a language model: those of a csv, or of a corpus.

    \b
    msmt annotate transcripts.csv --endpoint http://localhost:8000/v1 --model NAME -o labels.csv
    msmt annotate --dataset meld --local FOLDER --gold sentiment -o labels.csv

    Equal texts are asked about once. Answers are kept in LABELS.csv.journal as they come: run again after a kill, or
    with more transcripts, and nothing is asked twice. The key of an endpoint comes from the environment alone. The
    csv is one that msmt finetune --csv takes.
    """
    options = taken(annotate_config.AnnotateOptions, values)
    options.check_backend()
    generic = taken(corpora_config.GenericOptions, values)
    of_corpus = taken(corpora_config.CorpusOptions, {**values, "classes": corpus_classes})
    if (transcripts is None) == (dataset is None):
        raise SettingError("name what to label: a csv of transcripts, or a corpus with --dataset")
    from ..extract.annotating.annotate import annotate as run
    from ..extract.annotating.annotate import check_out
    from ..extract.annotating.annotate import plan as make_plan
    from ..extract.annotating.transcripts import of_corpus as transcripts_of_corpus
    from ..extract.annotating.transcripts import of_csv
    from ..features.durable import write_whole
    from ..studies.agreement import agreement, meaning_of

    meaning = meaning_of(gold_map, options.labels)
    check_out(out, transcripts)
    if dataset:
        from ..extract.corpora.registry import load_corpus

        corpus = load_corpus(dataset, data or Path("data") / dataset, generic, "text", of_corpus)
        read = transcripts_of_corpus(corpus, split)
    else:
        read = of_csv(transcripts, generic.text_column)
    for note in read.notes:
        console.say(note)
    held_against = read.gold(gold) if gold else None
    if plan:
        echo("\n".join(make_plan(read, out, options)))
        return
    try:
        made = run(read, out, options, console.track(), console.say)
    except KeyboardInterrupt:
        click.echo("interrupted; answers that came are kept: run the same command to go on", err=True)
        click.get_current_context().exit(130)
    for line in made.lines:
        console.say(line)
    for line in made.warnings:
        echo(line, err=True)
    if held_against is not None and any(made.labels):
        groups = read.rows["recording_id"].tolist() if "recording_id" in read.rows else None
        compared = agreement(made.labels, held_against, options.labels, meaning, groups)
        echo("\n".join(compared.lines()))
        path = out.with_suffix(".agreement.json")
        write_whole(path, [json.dumps(compared.to_json(), indent=2, ensure_ascii=False).encode() + b"\n"])
        console.say(f"written to {path}")
    if made.is_rubbish:
        click.get_current_context().exit(1)
