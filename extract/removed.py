"""What the removal of silence took from each segment, listed in a csv beside the store."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ..features.durable import write_whole
from ..shown import as_cell, as_line
from .extractors.contract import Loaded

COLUMNS = ("segment_id", "recording_id", "split", "seconds", "removed_seconds", "had_speech", "identity")


class SilenceLog:
    """One entry for every segment of a feature without silence, kept over all extractions of it.

    Segments are found again by the identity of their rows, so an entry is forgotten when its audio changes.
    """

    def __init__(self, path: Path, segments: pd.DataFrame, identities: np.ndarray) -> None:
        """``segments`` are the originals, with the identity (n,) that the row of each should have."""
        self.path = path
        self._segments = segments
        self._identities = [int(identity) for identity in identities]
        self._entries: dict[int, tuple[float, float, bool]] = {}  # seconds, seconds removed, whether there was speech
        self._is_new = False
        with contextlib.suppress(OSError, ValueError, KeyError), open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                entry = float(row["seconds"]), float(row["removed_seconds"]), row["had_speech"] == "yes"
                self._entries[int(row["identity"], 16)] = entry

    def note(self, identity: int, got: Loaded) -> None:
        """Add what was found in the audio of a row; the rows of views are no segments of their own."""
        said = got.said
        self._entries[identity] = said["seconds"], said["removed_seconds"], bool(said["had_speech"])
        self._is_new = True

    def write(self) -> None:
        """Put the list on the disk, if there is anything new."""
        if not self._is_new:
            return
        text = io.StringIO()
        rows = csv.writer(text)
        rows.writerow(COLUMNS)
        for segment, identity, (seconds, removed, had_speech) in self._known():
            where = (segment.segment_id, segment.recording_id, segment.split)
            rows.writerow(
                (
                    *map(as_cell, where),
                    f"{seconds:.3f}",
                    f"{removed:.3f}",
                    "yes" if had_speech else "no",
                    f"{identity:016x}",
                )
            )
        write_whole(self.path, [text.getvalue().encode()])
        self._is_new = False

    def removed(self) -> Mapping[str, tuple[float, float]]:
        """For each split the seconds of its segments, and how many of them were removed."""
        totals: dict[str, tuple[float, float]] = {}
        for segment, _, (seconds, removed, _) in self._known():
            before = totals.get(segment.split, (0.0, 0.0))
            totals[segment.split] = before[0] + seconds, before[1] + removed
        return totals

    def without_speech(self) -> list[str]:
        """Ids of the segments that kept their audio because no speech was found in it."""
        return [segment.segment_id for segment, _, (_, _, had_speech) in self._known() if not had_speech]

    def lines(self) -> list[str]:
        """The same for the screen."""
        lines = [
            f"silence removed of {as_line(split)}: {removed:.1f} s of {seconds:.1f} s, {removed / seconds:.1%}"
            for split, (seconds, removed) in self.removed().items()
            if seconds
        ]
        silent = self.without_speech()
        if silent:
            plural = "s have" if len(silent) > 1 else " has"
            lines.append(f"{len(silent)} segment{plural} no speech and kept all audio, listed in {self.path}")
        return lines

    def _known(self):
        for segment, identity in zip(self._segments.itertuples(), self._identities, strict=True):
            if identity in self._entries:
                yield segment, identity, self._entries[identity]
