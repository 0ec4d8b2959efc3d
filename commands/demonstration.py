"""The command that shows all of it on a made corpus."""

from __future__ import annotations

from pathlib import Path

import click

from ..values import LARGEST_SEED
from .common import Console, PATH, output_options


@click.command()
@click.option("--out", type=PATH, default="demo", show_default=True, help="Folder to make.")
@click.option(
    "--seed",
    type=click.IntRange(0, LARGEST_SEED),
    default=0,
    show_default=True,
    help="Seed of the corpus and of the encoders' weights.",
)
@output_options
def demo(console: Console, out: Path, seed: int) -> None:
    """Make a small synthetic corpus and random encoders, and run extract, train and eval on them."""
    import contextlib
    import shlex

    from ..extract.demo import make_demo

    paths = make_demo(out, seed)
    console.say((paths.data / "README.txt").read_text())
    steps = (
        ["extract", "--dataset", "marketcalls", "--audio-encoder", "encoders/audio", "--text-encoder", "encoders/text"],
        ["train", "--no-mtl", "--config", paths.config.name],
        ["eval", "--split", "test"],
    )
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
