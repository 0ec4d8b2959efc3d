"""Finding files of a corpus wherever its users have unpacked it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...errors import CorpusError
from ...shown import counted
from .checks import AUDIO_EXTENSIONS, check_folder

VIDEO_EXTENSIONS = (".mp4", ".avi", ".mkv", ".mov", ".flv", ".webm", ".mpg")
_MEDIA = {extension.lower() for extension in (*AUDIO_EXTENSIONS, *VIDEO_EXTENSIONS)}
# Sound alone before video, and what keeps every sample before what does not.
_PREFERRED = (".wav", ".flac", *sorted(_MEDIA - {".wav", ".flac", *VIDEO_EXTENSIONS}), *VIDEO_EXTENSIONS)


@dataclass(frozen=True)
class Listing:
    """Every file below a folder, by path relative to it with ``/`` between its parts."""

    root: Path

    files: tuple[str, ...]
    """In order of their names; without those that a Mac or a file browser leaves."""

    ignored: int
    """How many of these left-overs there are: ``._dia0_utt0.mp4``, ``.DS_Store``."""

    @property
    def media(self) -> tuple[str, ...]:
        """Audio and video files."""
        return tuple(path for path in self.files if is_media(path))

    @property
    def notes(self) -> list[str]:
        """A line on what was passed over."""
        if not self.ignored:
            return []
        return [f"passed over: {counted(self.ignored, 'hidden file')}, such as a Mac leaves"]

    def named(self, name: str) -> list[str]:
        """The files of this name in any folder, whatever the case of its letters; the least deep first."""
        found = [path for path in self.files if PurePosixPath(path).name.lower() == name.lower()]
        return sorted(found, key=lambda path: (path.count("/"), path))

    def the_one(self, *names: str) -> str | None:
        """The only file of one of these names in the least deep folder that has any; None where there is none.

        Raises CorpusError where two lie equally deep.
        """
        found = [path for name in names for path in self.named(name)]
        if not found:
            return None
        least = min(path.count("/") for path in found)
        nearest = [path for path in found if path.count("/") == least]
        if len(nearest) > 1:
            raise CorpusError(
                f"{self.root}: holds both {nearest[0]} and {nearest[1]}; name the folder of one with --data"
            )
        return nearest[0]


def listing_of(root: Path) -> Listing:
    """What is below a folder; links to folders are followed, once each. Raises CorpusError where there is no folder."""
    check_folder(root)
    files: list[str] = []
    ignored = 0
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not _is_left_over(name))
        inside = os.path.relpath(folder, root).replace(os.sep, "/")
        for name in sorted(names):
            if _is_left_over(name):
                ignored += 1
            else:
                files.append(name if inside == "." else f"{inside}/{name}")
    return Listing(root, tuple(files), ignored)


def is_media(path: str) -> bool:
    """Whether a file is audio or video by its name."""
    return PurePosixPath(path).suffix.lower() in _MEDIA


def preferred(paths: Iterable[str]) -> str:
    """Of several files of one item the one to hear: sound alone before video, then the first by name."""
    return min(paths, key=lambda path: (_PREFERRED.index(PurePosixPath(path).suffix.lower()), path))


def _is_left_over(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini")
