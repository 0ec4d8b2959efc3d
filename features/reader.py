"""Rows of a store copied straight from its files into memory that is given, at the speed of memory.

Chunks are uncompressed, so a row is one stretch of bytes, or a few. Where it lies is looked up once. Its first reading
goes through the operating system's ``read`` and is checked against the stored checksum, so that an unreadable file
is an error that can be named, and wrong bytes never reach a network. Later readings may copy from mapped
files, which needs no call into the operating system; mapped pages count as the process's own, so only what fits in
the memory allowed is mapped.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import BinaryIO, NamedTuple

import numpy as np

from ..errors import DamageError, StoreError
from .head import TO_MEND
from .rows import MISSING, checksum_of, explained_read
from .store import FeatureStore

_FILES_KEPT_OPEN = 256
_MOST_MAPPED_FILES = 16384  # well below the number of mappings that Linux allows a process


class _Stretch(NamedTuple):
    """Consecutive bytes of a row in a file."""

    file: int
    """Number of the file, in the order in which files were first needed."""

    start: int
    """Its first byte."""

    stop: int
    """The byte after its last."""


class RowReader:
    """Reads rows of one feature, from any number of threads at once. Made in the process that reads."""

    def __init__(self, store: FeatureStore, feature: str, mapped: bool = False) -> None:
        """With ``mapped``, rows are copied from mapped files from their second reading on."""
        self.store, self.feature = store, feature
        self.spec = store.specs[feature]
        self.width = self.spec.width
        self.lengths = store.lengths(feature)
        self._mapped = mapped
        self._places: dict[int, tuple[_Stretch, ...]] = {}
        self._checked = np.zeros(len(self.lengths), bool)
        self._paths: dict[Path, int] = {}
        self._open: OrderedDict[int, BinaryIO] = OrderedDict()
        self._maps: dict[int, np.ndarray] = {}
        self._lock = Lock()

    def copy(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Put the valid values of ``rows``, one row after another, into ``out``: (sum of their lengths, d) of the
        type that the spec names.

        Raises StoreError when a row is missing, unreadable, or not what its checksum says.
        """
        raw, at = out.reshape(-1).view(np.uint8), 0
        for row, checked in zip(rows.tolist(), self._checked[rows].tolist(), strict=True):
            places = self._places.get(row)
            if places is None:
                places = self._places[row] = self._look_up(row)
            begin = at
            for file, start, stop in places:
                end = at + stop - start
                if checked and self._mapped:
                    raw[at:end] = self._map(file)[start:stop]
                else:
                    self._read(file, start, raw[at:end])
                at = end
            if not checked:
                self._check(row, raw[begin:at])

    def is_mapped(self, rows: np.ndarray) -> bool:
        """Whether all these rows have been read once, and may be had from mapped files."""
        return self._mapped and bool(self._checked[rows].all())

    def parts(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """The values of mapped rows, in order and without a copy: some (n, d) for each row, never to be changed."""
        for row in rows.tolist():
            for file, start, stop in self._places[row]:
                yield self._map(file)[start:stop].view(self.spec.stored_type).reshape(-1, self.width)

    def _check(self, row: int, raw: np.ndarray) -> None:
        if checksum_of(raw) != self.store.states(self.feature).checksum[row]:
            raise DamageError(
                f"{self.store.path}: the {self.feature} features of segment "
                f"{self.store.segments['segment_id'].iloc[row]} (row {row}) are damaged; {TO_MEND}"
            )
        self._checked[row] = True

    def _look_up(self, row: int) -> tuple[_Stretch, ...]:
        length = int(self.lengths[row])
        if length == MISSING:
            raise StoreError(f"{self.store.path}: row {row} of {self.feature} is missing; run msmt extract to fill it")
        left, places = length, []
        for extent in self.store._extents(self.feature, row, length):
            rows = min(extent.rows, left)
            with self._lock:
                file = self._paths.setdefault(extent.path, len(self._paths))
            places.append(_Stretch(file, extent.offset, extent.offset + rows * self.spec.row_bytes))
            left -= rows
        if left:
            raise DamageError(f"{self.store.path}: row {row} of {self.feature} is cut short; {TO_MEND}")
        return tuple(places)

    def _read(self, number: int, start: int, raw: np.ndarray) -> None:
        file, done = self._file(number), 0
        while done < len(raw):
            with explained_read(Path(file.name)):
                count = os.preadv(file.fileno(), [raw[done:]], start + done)
            if not count:
                raise DamageError(f"{file.name}: ends before byte {start + len(raw)}; {TO_MEND}")
            done += count

    def _file(self, number: int) -> BinaryIO:
        with self._lock:
            file = self._open.pop(number, None)
            if file is None:
                path = self._path(number)
                with explained_read(path):
                    file = open(path, "rb", buffering=0)
                while len(self._open) >= _FILES_KEPT_OPEN:
                    self._open.popitem(last=False)  # closed when no thread reads from it any more
            self._open[number] = file
            return file

    def _map(self, number: int) -> np.ndarray:
        there = self._maps.get(number)
        if there is None:
            with self._lock:
                # Copy on write, and nobody writes: torch warns of arrays that are read-only.
                there = self._maps[number] = np.asarray(np.memmap(self._path(number), np.uint8, mode="c"))
        return there

    def _path(self, number: int) -> Path:
        return next(path for path, own in self._paths.items() if own == number)


def may_map(files: int) -> bool:
    """Whether so many files can be mapped at once; raises the process's limit of open files if it has to and may."""
    if sys.platform == "win32" or files > _MOST_MAPPED_FILES:
        return False
    import resource

    needed = files + 2 * _FILES_KEPT_OPEN + 256  # a mapping keeps its file open
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return True
    if hard != resource.RLIM_INFINITY and hard < needed:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return True
