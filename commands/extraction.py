"""Commands that run encoders, or look at what they were given."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..extract import config as extract_config
from ..extract.corpora import config as corpora_config
from ..extract.sound import silence as extract_silence
from ..extract.sound import views as extract_views
from ..options import config_option, given, options_of, taken
from ..errors import SettingError
from ..shown import as_line
from ..studies.systems.asking import features_asked, files_given, without_speakers
from ..studies.systems.registry import SYSTEMS, preset_names, system_named
from .common import PATH, Console, corpus_options, echo, output_options, threads_option


@click.command()
@corpus_options
@click.option(
    "--preset",
    type=click.Choice((*SYSTEMS, *preset_names()[:-1])),
    help="Make the features of a paper's system, see msmt systems; --text-encoder and --audio-encoder take the place of"
    " its own encoders, and a --feature that of its feature of that name.",
)
@click.option(
    "--given",
    "files",
    multiple=True,
    metavar="NAME=PATH",
    help="A file that the preset needs and msmt cannot bring along, such as openl3=FILE; msmt systems names them.",
)
@options_of(extract_config.ExtractConfig, extract_config.CHOICES, without=("asked",))
@options_of(extract_views.ViewOptions, extract_views.CHOICES)
@options_of(extract_silence.SilenceOptions, extract_silence.CHOICES)
@options_of(corpora_config.GenericOptions, corpora_config.CHOICES)
@options_of(corpora_config.CorpusOptions)
@click.option("--devices", metavar="LIST", help="Share the work among several GPUs, such as 0,1,2; Zarr only.")
@click.option("--plan", is_flag=True, help="Compute nothing: say what would be done, and how long it would take.")
@threads_option
@config_option
@output_options
def extract(
    console: Console,
    dataset: str,
    data: Path | None,
    store: Path | None,
    preset: str | None,
    files: tuple[str, ...],
    devices: str | None,
    plan: bool,
    **values,
) -> None:
    """Run the encoders once over a corpus and store their features."""
    if files and not preset:
        raise SettingError("--given is a file that a preset needs: name the preset too, such as --preset cm-roberta")
    values["preset"] = preset, files
    views = taken(extract_views.ViewOptions, values)
    silence = taken(extract_silence.SilenceOptions, values)
    corpus, store, config = _corpus_and_store(console, dataset, data, store, values)
    if plan:
        from ..extract.plan import make_plan

        made = make_plan(corpus, store, config, console.track(), views, silence)
        for line in made.about:
            console.say(line)
        echo("\n".join(made.lines()))
        return
    if devices:
        from ..extract.several import extract_on_devices

        click.get_current_context().exit(extract_on_devices(devices, corpus, store, config, views, sys.argv[1:]))
    from ..extract.pipeline import extract as run

    try:
        summary = run(corpus, store, config, console.track(), console.say, views, silence)
    except KeyboardInterrupt:
        click.echo("interrupted; what was committed stays: run the same command to go on", err=True)
        click.get_current_context().exit(130)
    for line in summary.lines():
        console.say(line)
    if summary.failures:
        if console.quiet:
            echo(f"{summary.failed()}, see {summary.failures_file}", err=True)
        if summary.unknown_failures:
            click.get_current_context().exit(1)


def _corpus_and_store(console: Console, dataset: str, data: Path | None, store: Path | None, values: dict):
    """What the options of a corpus, an extraction and a store mean: a Corpus, a path, an ExtractConfig."""
    generic = taken(corpora_config.GenericOptions, values)
    of_corpus = taken(corpora_config.CorpusOptions, values)
    from ..extract.corpora.registry import lengths_of, load_corpus
    from ..features.opening import SUFFIXES

    for name, longest in lengths_of(dataset).items():
        if not given(click.get_current_context(), name):
            values[name] = longest
    path = store or Path("cache") / (dataset + SUFFIXES[values["format"]])
    system = None
    preset, files = values.pop("preset", (None, ()))
    values["asked"] = ()
    if preset:
        system, values["asked"] = _asked_by(preset, files, dataset, path, values, console)
    config = taken(extract_config.ExtractConfig, values)

    corpus = load_corpus(dataset, data or Path("data") / dataset, generic, config.made_from, of_corpus)
    for note in corpus.notes:
        console.say(as_line(note))
    if system:
        without_speakers(system, set(corpus.table["speaker"]), f"the corpus {dataset}")
    return corpus, path, config


def _asked_by(preset: str, files: tuple[str, ...], dataset: str, path: Path, values: dict, console: Console):
    """The system that a preset is of, and what it asks for besides the features that the user names."""
    from ..extract.asked import named_features
    from ..features.opening import open_store

    system = system_named(preset)
    encoders = {}
    for modality in ("text", "audio"):
        name = f"{modality}_encoder"
        if given(click.get_current_context(), name):
            encoders[modality] = values[name]
            values[name] = extract_config.ExtractConfig().__dict__[name]
    elsewhere = {one.name for one in named_features(values["features"], values["feature"])}
    there = open_store(path).specs if path.exists() else ()
    asked = features_asked(system, dataset, files_given(files), encoders, elsewhere, there)
    for remark in asked.remarks:
        console.say(remark)
    return system, asked.named


@click.command()
@corpus_options
@options_of(extract_config.ExtractConfig, extract_config.CHOICES, without=("asked",))
@options_of(extract_silence.SilenceOptions, extract_silence.CHOICES)
@options_of(corpora_config.GenericOptions, corpora_config.CHOICES)
@options_of(corpora_config.CorpusOptions)
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
    from ..extract.doctor import examine, table_of

    echo(table_of(examine(corpus, store, config, segments, silence, echo)))


@click.command()
@click.argument("store", type=PATH, required=False)
@click.option("--data", type=PATH, help="Folder of the corpus. [default: data/DATASET of the store]")
@output_options
def features(console: Console, store: Path | None, data: Path | None) -> None:
    """List the kinds of features, their options, and what each would cost.

    With a STORE, also what its features take for each hour of audio. Features are named in a file for
    msmt extract --features, or in words for msmt extract --feature:

    \b
    features:
      wavlm:   {kind: speech, encoder: microsoft/wavlm-base-plus, layers: [3, 6, 9, 12]}
      mel:     {kind: mel, bands: 128, hop: 0.01}
      egemaps: {kind: opensmile, set: eGeMAPSv02}

    \b
    msmt extract --feature mel=mel:bands=64 --feature wavlm=speech:encoder=FOLDER,layers=[3,6]
    """
    from ..extract.kinds import costs_of, lines_of_costs, lines_of_kinds

    if store:
        from ..features.opening import open_store

        opened = open_store(store)
        echo("\n".join(lines_of_costs(opened, costs_of(opened, data or Path("data") / opened.dataset))) + "\n")
    echo("\n".join(lines_of_kinds()))


@click.command()
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
    from ..extract.listen import listen as run
    from ..features.opening import open_store

    opened = open_store(store)
    heard = run(opened, segment, view, out, data or Path("data") / opened.dataset, feature)
    echo("\n".join(heard.lines))
