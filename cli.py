"""The command line: every command's name, where it is, and what it is for. Nothing else is imported until one is called."""

from __future__ import annotations

import sys

import click

from . import __version__
from .errors import MsmtError, one_line
from .options import Commands, Place

COMMANDS = {
    "extract": Place("extraction", "extract", "Run the encoders once over a corpus and store their features."),
    "train": Place("training", "train", "Train one variant of a network on a store."),
    "eval": Place("training", "evaluate", "Score a run on a split: RUN, by name or path, or else the latest."),
    "predict": Place("training", "predict", "Apply a run to other recordings, with labels or without."),
    "embed": Place("training", "embed", "Write a run's vectors into a store, as a feature that others learn from."),
    "annotate": Place("annotating", "annotate", "Have a language model label transcripts."),
    "finetune": Place("finetuning", "finetune", "Fine-tune an encoder on labels; extract then takes its folder."),
    "ablate": Place(
        "comparing", "ablate", "Train variants with several seeds, and compare them in tables and a picture."
    ),
    "systems": Place("systems", "systems", "List the systems of the papers: features, settings, tables, readings."),
    "compare": Place("comparing", "compare", "Compare runs on the same recordings: differences, tests, disagreements."),
    "sweep": Place("comparing", "sweep", "Search for options that do best on validation."),
    "info": Place("stores", "info", "Say what a store holds."),
    "verify": Place("stores", "verify", "Recompute every checksum of a store and name every bad row."),
    "convert": Place("stores", "convert", "Copy a store from Zarr to HDF5 or back, exactly."),
    "export": Place("exchange", "export", "Write a store for MMSA, numpy, or Hugging Face's datasets."),
    "import": Place(
        "exchange", "import_file", "Make a store of a feature file in MMSA's layout; nothing in it is run."
    ),
    "split": Place("stores", "split", "Add folds to a store: each recording is tested once, groups are never parted."),
    "compact": Place("stores", "compact", "Drop the rows of segments that have left the corpus, and their features."),
    "features": Place("extraction", "features", "List the kinds of features, their options, and what each would cost."),
    "corpus": Place("corpora", "corpus", "Hold a public corpus, as it was unpacked, against what it should be."),
    "doctor": Place("extraction", "doctor", "Show how far computed and stored features lie from their definition."),
    "listen": Place("extraction", "listen", "Hear and see what an encoder was given of a segment."),
    "demo": Place("demonstration", "demo", "Make a small synthetic corpus and random encoders, and run all on them."),
}


@click.group(cls=Commands, places=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="msmt")
def msmt() -> None:
    """Classify recorded conversations from speech and text.

    Encoders run once (extract), small networks learn from what they said (train), and are scored (eval).
    """


def main() -> None:
    """Run the command line; errors a user can mend become one line and exit status 2."""
    try:
        msmt(prog_name="msmt")
    except MsmtError as error:
        click.echo(f"msmt: error: {error}", err=True)
        sys.exit(2)
    except MemoryError as error:
        click.echo(f"msmt: error: this machine has not enough memory for that {one_line(error)}".rstrip(), err=True)
        sys.exit(2)
