"""The command that makes a corpus, and shows all of it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ..values import LARGEST_SEED
from .common import PATH, Console, output_options


@click.command()
@click.option("--out", type=PATH, default="demo", show_default=True, help="Folder to make.")
@click.option(
    "--layout",
    default="",
    help="Make a corpus in the layout of this public one instead, as it comes after download, and print the commands"
    " that take it: meld, iemocap, mosi, mosei, sims, simsv2, emodb, ravdess or crema-d.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, LARGEST_SEED),
    default=0,
    show_default=True,
    help="Seed of the corpus and of the encoders' weights.",
)
@output_options
def demo(console: Console, out: Path, layout: str, seed: int) -> None:
    """Make a small synthetic corpus and random encoders, and run extract, train and eval on them.

    With --layout nothing is run: the commands to type are printed.
    """
    import contextlib

    from ..extract.demo import make_demo

    paths = make_demo(out, seed, layout)
    console.say((paths.data / "README.txt").read_text())
    encoders = ["--audio-encoder", "encoders/audio", "--text-encoder", "encoders/text"]
    steps = [
        ["extract", "--dataset", layout or "marketcalls", *encoders],
        ["train", "--no-mtl", "--config", paths.config.name],
        ["eval", "--split", "test"],
    ]
    if layout:
        steps[1].append("--skip-missing")  # a layout has files that nobody can use, as downloads do
        console.say(f"All of it is in {out}. Type next:\n")
        for step in (["cd", str(out)], ["msmt", "corpus", layout], *(["msmt", *step] for step in steps)):
            console.say(shlex.join(step))
        console.say(
            "\nThe systems of the papers: docs/systems.md. What they are given besides is in the folder encoders."
        )
        return
    msmt = click.get_current_context().find_root().command
    with contextlib.chdir(out):
        for step in steps:
            console.say(f"\n$ msmt {shlex.join(step)}")
            status = msmt.main([*step, *(["--quiet"] if console.quiet else [])], "msmt", standalone_mode=False)
            if status:
                click.get_current_context().exit(status)
    console.say(
        f"\nAll of it is in {out}. The corpus is synthetic and the encoders are random: the scores mean nothing else."
    )
    console.say(f"See the curves with: tensorboard --logdir {out / 'runs'}")
