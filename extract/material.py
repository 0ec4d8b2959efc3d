"""What extractors are given: the rows of a store's segment table, and the digests of their files."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from ..features.segments import REMOVED
from ..progress import Track
from .digests import file_digest
from .extractors.contract import Material

_THREADS = 2  # that hash files


class Digests:
    """The digest of each audio file's bytes by its path; all are taken when the first is asked for.

    A file that cannot be read has a digest of its own, which no row was ever made from.
    """

    def __init__(self, root: Path, files: Sequence[str], track: Track) -> None:
        self._root, self._files, self._track = root, files, track
        self._known: dict[str, str] = {}

    def __call__(self, path: str) -> str:
        if not self._known:
            self._known = self._all()
        return self._known[path]

    def _all(self) -> dict[str, str]:
        digests = {}
        with (
            self._track("checking audio files", total=len(self._files), unit="files") as advance,
            ThreadPoolExecutor(_THREADS) as pool,
        ):
            for path, digest in zip(self._files, pool.map(self._one, self._files), strict=True):
                digests[path] = digest
                advance(1)
        return digests

    def _one(self, path: str) -> str:
        try:
            return file_digest(self._root / path)
        except OSError:
            return f"unreadable: {path}"


def material_of(root: Path, table: pd.DataFrame, track: Track) -> Material:
    """What there is to make features of the rows of a store's segment table from."""
    present = table["audio"][table["split"] != REMOVED]
    return Material(root, table, Digests(root, sorted(set(present)), track))


def seconds_of_rows(root: Path, table: pd.DataFrame) -> np.ndarray:
    """(N,) length of each segment in seconds as far as the table or the headers of files tell; NaN where they do not."""
    return Material(root, table, str).seconds
