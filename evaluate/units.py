"""What counts as one observation: a recording, or a speaker with all that he or she says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import RunError, SettingError
from ..features.segments import ORIGINAL

if TYPE_CHECKING:
    import pandas as pd

UNITS = ("recording", "speaker")
TOGETHER = " + "


def speakers_of(segments: pd.DataFrame, split: str, recording_ids: Sequence[str]) -> tuple[str, ...]:
    """(n,) who speaks in each item's recording; empty where a segment of it has no speaker.

    Recordings that share a speaker are one observation, and so are speakers that share a recording: all that hang
    together are named together, such as ``anna + ben``. ``recording_ids`` (n,) are of items of the split.
    """
    table = segments[((segments["split"] == split) & (segments["view"] == ORIGINAL)).to_numpy()]
    heads: dict[str, str] = {}  # of each speaker, another one who is spoken with, up to one who stands for all

    def head(speaker: str) -> str:
        while heads.setdefault(speaker, speaker) != speaker:
            speaker = heads[speaker]
        return speaker

    heard: dict[str, list[str]] = {}
    for recording, speaker in zip(table["recording_id"], table["speaker"], strict=True):
        heard.setdefault(recording, []).append(speaker)
    for speakers in heard.values():
        known = [speaker for speaker in speakers if speaker]
        for other in known[1:]:
            heads[head(other)] = head(known[0])
    together: dict[str, list[str]] = {}
    for speaker in sorted({speaker for speakers in heard.values() for speaker in speakers if speaker}):
        together.setdefault(head(speaker), []).append(speaker)
    names = {
        recording: TOGETHER.join(together[head(speakers[0])]) if all(speakers) else ""
        for recording, speakers in heard.items()
    }
    return tuple(names.get(recording, "") for recording in recording_ids)


def check_unit(unit: str) -> None:
    """Raises SettingError for a unit that there is not."""
    if unit not in UNITS:
        raise SettingError(f"resample must be {' or '.join(UNITS)}, but is {unit!r}")


def units_by_speaker(speakers: Sequence[str] | None, recording_ids: Sequence[str], run: str, split: str) -> np.ndarray:
    """(n,) the speaker of each item, to resample by. Raises RunError where one is not known, or there is only one."""
    if speakers is None:
        raise RunError(f"run {run} was scored on {split} before msmt kept speakers: score it again with msmt eval")
    units = np.asarray(speakers, object)
    without = sorted({recording for recording, speaker in zip(recording_ids, units, strict=True) if not speaker})
    if without:
        raise RunError(
            f"{len(without)} of {len(set(recording_ids))} recordings of {split} have no speaker, the first is"
            f" {without[0]}: resample recordings, or extract with a column of speakers"
        )
    if len(set(units)) < 2:
        raise RunError(
            f"all recordings of {split} are of one speaker, or share speakers with each other, so that there is nothing"
            " to resample by speaker: resample recordings"
        )
    return units


def counted_units(unit: str, count: int) -> str:
    """``12 speakers``."""
    return f"{count:,} {unit}{'s' if count != 1 else ''}"
