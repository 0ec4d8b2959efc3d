"""Where the clips of a ``label.csv`` are: in a folder for each video, or flat, as video or as sound."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from .arranging import Listing, preferred

_SOUND = (".wav", ".flac")
_ENOUGH = 0.9  # of the clips found in any folder; sound alone that has so many is taken instead of video
_BETWEEN = "$_$"  # of video and clip, where a file is called by both as MMSA writes them
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Clips:
    """The clips below a folder, by the folder that holds those of all videos."""

    home: str
    """The folder that clips are taken from; where it should be, if there is none."""

    found: Mapping[str, Mapping[tuple[str, int], list[str]]]
    """By folder, video and number, the files of a clip."""

    strangers: tuple[str, ...]
    """Audio and video files that are of no video of the csv."""

    @property
    def said(self) -> str:
        """Where clips were found, in words."""
        count = len(self.videos)
        return f"clips of {count:,} video{'s' if count != 1 else ''} in {self.home}" if count else "no clips"

    @property
    def videos(self) -> set[str]:
        """The videos that have a clip in the folder that clips are taken from."""
        return {video for video, _ in self.found.get(self.home, {})}

    @property
    def others(self) -> list[str]:
        """Further folders with clips of the same videos."""
        return sorted(set(self.found) - {self.home})

    def path_of(self, video: str, number: int, written: str, digits: int) -> str:
        """The file of a clip; where there is none, where it should be, its number padded to ``digits``.

        Of files that differ in their zeros alone, the one that is called as it is ``written`` in the csv.
        """
        files = self.found.get(self.home, {}).get((video, number))
        if not files:
            return str(PurePosixPath(self.home) / video / f"{number:0{digits}d}.mp4")
        if len(files) == 1:
            return files[0]
        exact = [path for path in files if _parts(path, {video})[2] == written]
        return preferred(exact or files)

    def beside(self, used: Iterable[str]) -> Iterator[tuple[str, bool]]:
        """Every file that is not ``used``, and whether it is a clip in another folder than that of the others."""
        used = set(used)
        unused = {
            path: home != self.home
            for home, of_home in self.found.items()
            for paths in of_home.values()
            for path in paths
            if path not in used
        }
        return iter(sorted((unused | dict.fromkeys(self.strangers, False)).items()))


def clips_of(listing: Listing, items: pd.DataFrame, base: str) -> Clips:
    """Where the clips of the csv in the folder ``base`` are: below it, or anywhere where none is below it."""
    videos = set(items["recording_id"])
    below = [path for path in listing.media if base == "." or path.startswith(f"{base}/")]
    found, strangers = _by_folder(below, videos)
    if not found and base != ".":
        found, _ = _by_folder(listing.media, videos)
    if not found:
        return Clips(str(PurePosixPath(base) / "Raw"), {}, tuple(strangers))
    named = set(zip(items["recording_id"], items["number"], strict=True))
    counts = {home: len(named & set(of_home)) for home, of_home in found.items()}
    enough = _ENOUGH * max(counts.values())

    def rank(home: str) -> tuple:
        first = preferred(path for paths in found[home].values() for path in paths)
        is_sound = PurePosixPath(first).suffix.lower() in _SOUND
        return (not (is_sound and counts[home] >= enough), -counts[home], home)

    return Clips(min(found, key=rank), found, tuple(strangers))


def _by_folder(paths: Iterable[str], videos: set[str]) -> tuple[dict[str, dict[tuple[str, int], list[str]]], list[str]]:
    """The files of each clip by the folder that holds all videos, and the files that are of none of the ``videos``."""
    found: dict[str, dict[tuple[str, int], list[str]]] = {}
    strangers = []
    for path in paths:
        home, video, clip = _parts(path, videos)
        if video in videos and _NUMBER.fullmatch(clip):
            found.setdefault(home, {}).setdefault((video, int(clip)), []).append(path)
        else:
            strangers.append(path)
    return found, strangers


def _parts(path: str, videos: set[str]) -> tuple[str, str, str]:
    """The folder that holds all videos, the video, and the clip as its file is called.

    ``Raw/03bSnISJMiM/1.mp4``, ``Raw/03bSnISJMiM/03bSnISJMiM_1.mp4`` and ``Raw/03bSnISJMiM_1.mp4`` -> ``Raw``,
    ``03bSnISJMiM``, ``1``
    """
    folder, stem = PurePosixPath(path).parent, PurePosixPath(path).stem
    if folder.name in videos:
        return str(folder.parent), folder.name, stem.removeprefix(folder.name).removeprefix(_BETWEEN).removeprefix("_")
    video, _, clip = stem.rpartition(_BETWEEN if _BETWEEN in stem else "_")
    return str(folder), video, clip
