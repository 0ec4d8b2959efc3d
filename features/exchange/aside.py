"""Exports and imports that are whole or absent: made in a folder beside their place, and put there when complete."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import ExchangeError, LockedError
from ..durable import exchanged, explained, sync_folder, sync_tree


@contextmanager
def made_aside(path: Path, overwrite: bool, is_one: Callable[[Path], bool] = Path.is_file) -> Iterator[Path]:
    """A place to make a file or a folder at, of the same name; it takes its place at ``path`` when the block ends well.

    Until then whatever is at ``path`` stays. Raises ExchangeError where there is something, unless ``overwrite`` and it
    ``is_one`` of what is made, and LockedError where another process is making it.
    """
    check_place(path, overwrite, is_one)
    folder = path.with_name(f".{path.name}.making")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _held(folder):
            try:
                yield folder / path.name
                _put_in_place(folder / path.name, path, folder / "replaced")
            finally:
                shutil.rmtree(folder, ignore_errors=True)


def check_place(path: Path, overwrite: bool, is_one: Callable[[Path], bool]) -> None:
    """Raise ExchangeError unless there is nothing at ``path``, or what may be replaced."""
    if not path.name:
        raise ExchangeError(f"{path}: is no name of a file or folder to write")
    if path.exists() and not is_one(path):
        raise ExchangeError(f"{path}: exists, and is nothing that this command writes; name another")
    if path.exists() and not overwrite:
        raise ExchangeError(f"{path}: exists; name another, or replace it with --overwrite")


def check_room(path: Path, size: int, remedy: str) -> None:
    """Raise ExchangeError where the disk that is to hold ``path`` has not so many bytes left."""
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ExchangeError(
            f"{path}: would have {in_gigabytes(size)}, and {folder} has room for {in_gigabytes(free)}; {remedy}"
        )


def memory_bytes() -> int:
    """The memory of this machine; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


def in_gigabytes(size: int) -> str:
    """``12.3 GB``, and ``4.5 MB`` of what is smaller."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """An empty folder that no other process works in; what a killed one has left there goes."""
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in folder.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        yield
    except BlockingIOError:
        raise LockedError(f"{folder}: another process is writing there; wait until it ends, or stop it") from None
    finally:
        os.close(descriptor)


def _put_in_place(new: Path, path: Path, old: Path) -> None:
    """``new`` goes to ``path``: a file at one stroke, a folder too where the system can, else by way of ``old``."""
    sync_tree(new.parent)
    if not path.is_dir():
        os.replace(new, path)
    elif not exchanged(new, path):
        os.replace(path, old)
        try:
            os.replace(new, path)
        except OSError:
            os.replace(old, path)
            raise
    sync_folder(path.parent)
