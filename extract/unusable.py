"""Audio files that cannot be used, told by names, sizes and headers alone: for what is said before a decoder runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from .sound import audio


@dataclass(frozen=True)
class Failure:
    """A segment that lacks a feature, and why."""

    segment_id: str
    recording_id: str
    split: str
    view: str
    audio: str
    origin: str
    """File and row of the corpus that name the segment."""

    reason: str
    feature: str = ""
    """The features that it lacks for this reason; empty where these are all that are made of its audio."""

    known: str = ""
    """What is wrong with it wherever the corpus is, so that it is no reason to stop; empty where that is not known."""


def failure_of(
    segment: pd.Series, origins: Mapping[str, str], reason: str, known: Mapping[str, str] = MappingProxyType({})
) -> Failure:
    """The failure of a row of the segment table; ``known`` as in Corpus."""
    columns = ("segment_id", "recording_id", "split", "view", "audio")
    name = segment["segment_id"]
    return Failure(*(segment[each] for each in columns), origins[name], reason, known=known.get(name, ""))


def unusable(
    root: Path, table: pd.DataFrame, origins: Mapping[str, str], known: Mapping[str, str] = MappingProxyType({})
) -> Sequence[Failure]:
    """The segments of a table whose files are missing, empty, or no audio by their headers."""
    reasons = {path: audio.problem_of(root / path) for path in dict.fromkeys(table["audio"])}
    rows = table[table["audio"].map(lambda path: reasons[path] is not None)]
    return [failure_of(segment, origins, reasons[segment["audio"]], known) for _, segment in rows.iterrows()]
