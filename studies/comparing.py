"""Comparing runs that are there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import SettingError
from ..evaluate import comparison, disagreements
from ..evaluate.same_items import on_common_items
from ..evaluate.tables.files import write_comparison
from ..evaluate.tables.screen import table_text
from ..progress import Track, silent
from ..train.runs import resolve
from .scoring import existing_store, recorded_store, scored_file, scores_of


def compare(
    names: Sequence[str],
    runs: Path,
    split: str,
    out: Path,
    store: Path | None = None,
    track: Track = silent,
    say: Callable[[str], None] = print,
    resample: str = "recording",
) -> tuple[str, list[Path]]:
    """A table of any runs on the same recordings, and its files.

    Runs that were not scored on ``split`` are scored, and those where what they were scored on has changed since.
    Raises RunError when their splits, recordings, segments, labels, or values of the same feature differ.
    """
    if len(names) < 2:
        raise SettingError("there is nothing to compare with: name two runs or more")
    answers = []
    for name in names:
        run = resolve(runs, name)
        path = store or recorded_store(run, runs)
        if not path.exists() and not scored_file(run, split).exists():
            path = store or existing_store(run, runs)
        answers.append(scores_of(run, path, split, track, say))
    answers, lines = on_common_items(answers)
    for line in lines:
        say(line)
    compared = comparison.compare(answers, unit=resample)
    compared = dataclasses.replace(compared, notes=(*compared.notes, *lines))
    files = write_comparison(out, "comparison", compared, disagreements=disagreements.disagreements(answers))
    return table_text(compared), files
