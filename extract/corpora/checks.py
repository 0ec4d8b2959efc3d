"""What must hold of the rows of any corpus; each breach is an error that names file and row.

The rows are a DataFrame whose column ``origin`` says where each came from, such as ``train.csv row 17``.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from ...errors import CorpusError, shown

# Tried in this order where a csv names audio without its extension.
AUDIO_EXTENSIONS = (
    ".wav",
    ".flac",
    ".mp3",
    ".m4a",
    ".ogg",
    ".opus",
    ".aac",
    ".wma",
    ".amr",
    ".mp4",
    ".webm",
    ".WAV",
    ".MP3",
)

_LONGEST_NUMBER = 400  # characters; Python makes no number of some thousand digits
_MOST_MISSING = 0.5  # of a corpus's audio files; where more are not there, they are somewhere else

_INTEGER = re.compile(r"[+-]?\d+(\.0*)?")  # spreadsheets write 1.0 for 1


def check_folder(data_dir: Path) -> None:
    """The folder of the corpus must exist."""
    if not data_dir.is_dir():
        raise CorpusError(f"{data_dir}: there is no such folder; put the corpus there, or name its folder with --data")


def check_filled(rows: pd.DataFrame, column: str, called: str) -> None:
    """``column``, which the csv calls ``called``, must not be empty anywhere."""
    for origin, value in zip(rows["origin"], rows[column], strict=True):
        if not value:
            raise CorpusError(f"{origin}: {called} is empty")


def integers(rows: pd.DataFrame, column: str, called: str) -> np.ndarray:
    """(n,) int64 of the texts in ``column``."""
    values = np.empty(len(rows), np.int64)
    for i, (origin, text) in enumerate(zip(rows["origin"], rows[column], strict=True)):
        if not _INTEGER.fullmatch(text) or len(text) > _LONGEST_NUMBER or abs(int(text.split(".")[0])) >= 2**31:
            raise CorpusError(f"{origin}: {called} must be a whole number, but is {shown(text)}")
        values[i] = int(text.split(".")[0])
    return values


def numbers(rows: pd.DataFrame, column: str, called: str) -> np.ndarray:
    """(n,) float64 of the texts in ``column``; NaN where it is empty."""
    values = np.full(len(rows), np.nan)
    for i, (origin, text) in enumerate(zip(rows["origin"], rows[column], strict=True)):
        if not text:
            continue
        with contextlib.suppress(ValueError):
            values[i] = float(text)
        if not math.isfinite(values[i]):
            raise CorpusError(f"{origin}: {called} must be a number, but is {shown(text)}")
    return values


def check_one_split(rows: pd.DataFrame) -> None:
    """All segments of a recording must be in one split."""
    check_same_within_recording(rows, rows["split"], "split")


def check_same_within_recording(rows: pd.DataFrame, values: Sequence, called: str, remedy: str = "") -> None:
    """All segments of a recording must have one of the ``values`` (n,)."""
    seen: dict = {}
    for recording, value, origin in zip(rows["recording_id"], values, rows["origin"], strict=True):
        known, where = seen.setdefault(recording, (value, origin))
        if known != value:
            raise CorpusError(
                f"{origin}: recording {recording} has {called} {shown(value)}, but {shown(known)} in {where}{remedy}"
            )


def check_numbers_differ(rows: pd.DataFrame) -> None:
    """No two segments of a recording may have one number."""
    seen: dict[tuple[str, int], str] = {}
    for recording, number, origin in zip(rows["recording_id"], rows["index"], rows["origin"], strict=True):
        where = seen.setdefault((recording, number), origin)
        if where is not origin:
            raise CorpusError(
                f"{origin}: recording {recording} has segment number {number} twice, the first is in {where}"
            )


def check_names_differ(rows: pd.DataFrame) -> None:
    """No two segments may have one name."""
    seen: dict[str, tuple[str, str]] = {}
    for name, origin, audio in zip(rows["segment_id"], rows["origin"], rows["audio"], strict=True):
        where, other = seen.setdefault(name, (origin, audio))
        if where is not origin:
            raise CorpusError(
                f"{origin}: {audio} would be called {name}, as {other} in {where} is; rename one of the files"
            )


def check_several_classes(where: Path, called: str, labels: Sequence) -> None:
    """Something must differ, or nothing can be learnt."""
    values = sorted(set(labels))
    if not values:
        raise CorpusError(f"{where}: {called} is empty in all rows")
    if len(values) == 1:
        raise CorpusError(f"{where}: {called} is {values[0]!r} in all rows; with one class only nothing can be learnt")


def audio_paths(rows: pd.DataFrame, root: Path, folder: Path, are_needed: bool = True) -> list[str]:
    """Paths relative to ``root`` of the files that ``rows["audio"]`` names within ``folder``.

    A file that is not there keeps the path that the csv gives, and an extraction lists it as it lists one that is no
    audio. Raises CorpusError for a name that leads out of ``root``, and when most files are not there, for then it is
    the folder that is wrong; unless no file is needed.
    """
    if are_needed and not folder.is_dir():
        raise CorpusError(f"{folder}: there is no such folder; it must hold the audio files")
    inside = os.path.relpath(folder, root)
    paths, missing = [], []
    for origin, name in zip(rows["origin"], rows["audio"], strict=True):
        name = name.replace("\\", "/")
        if os.path.isabs(name):
            name = os.path.relpath(name, os.path.abspath(folder))
        # By its text alone: an audio folder that is a link to another disk is no way out.
        path = os.path.normpath(os.path.join(inside, name))
        if leads_out(path):
            raise CorpusError(f"{origin}: audio file {name} lies outside {root}")
        found = next((path + end for end in ("", *AUDIO_EXTENSIONS) if os.path.isfile(root / (path + end))), None)
        if found is None:
            missing.append((origin, path))
        paths.append(found or path)
    if are_needed and len(missing) > _MOST_MISSING * len(rows):
        origin, path = missing[0]
        others = f" ({len(missing)} of {len(rows)} rows lack theirs)" if len(missing) > 1 else ""
        raise CorpusError(
            f"{origin}: there is no audio file {root / path}, with or without an extension such as .wav{others}"
        )
    return paths


def leads_out(path: str) -> bool:
    """Whether a path that should be relative to a folder leads out of it, by its text alone."""
    return os.path.isabs(path) or PurePosixPath(os.path.normpath(path)).parts[:1] == ("..",)


def stem(path: str) -> str:
    """``a/b.c.wav`` -> ``b.c``"""
    return PurePosixPath(path).stem
