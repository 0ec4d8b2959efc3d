"""Hashes of audio files: the same bytes are the same sound, whatever the files are called."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from ..progress import Track, silent

_THREADS = 2
_MOST_REMEMBERED = 1 << 20  # files


def file_digest(path: Path) -> str:
    """The hash of a file's bytes, which are read once while size and time of the file stay as they are."""
    state = os.stat(path)
    return _digest(os.fspath(path), state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(_MOST_REMEMBERED)
def _digest(path: str, *state: int) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def same_sounds(root: Path, paths: Iterable[str], track: Track = silent) -> dict[str, str]:
    """For each of the files below ``root``, the first of them that has the same bytes, mostly itself.

    Only files of one size are read. One that is empty or cannot be read is like no other.
    """
    by_size: dict[int, list[str]] = {}
    homes: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        homes[path] = path
        size = _or_zero(lambda path=path: os.stat(root / path).st_size)
        if size:
            by_size.setdefault(size, []).append(path)
    alike = [path for group in by_size.values() if len(group) > 1 for path in group]
    if not alike:
        return homes
    first: dict[str, str] = {}
    with (
        track("comparing audio files", total=len(alike), unit="files") as advance,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        digests = pool.map(lambda path: _or_zero(lambda: file_digest(root / path)), alike)
        for path, digest in zip(alike, digests, strict=True):
            if digest:
                homes[path] = first.setdefault(digest, path)
            advance(1)
    return homes


def _or_zero(read: Callable):
    """What ``read`` returns, or 0 where the file cannot be read; extraction says so when it comes to it."""
    try:
        return read()
    except OSError:
        return 0
