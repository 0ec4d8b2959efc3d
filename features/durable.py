"""Files that are whole or absent, also after a power cut: written aside, synced, renamed."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import LockedError, StoreError

# Linux gathers a larger write in larger pages, which take it longer to find than the write takes (measured: a third slower).
_BYTES_A_WRITE = 1 << 16
_HOLDER = "process"  # first word in a lock
_LOCK_BYTES = 512
_RENAME_EXCHANGE = 2  # of Linux's renameat2
_AT_FDCWD = -100
ASIDE = ".aside"  # suffix of a file or folder that is still being written


def write_whole(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Put a file with these bytes at ``path``; a reader sees the old file or the new one, never a part.

    Raises StoreError when the disk is full or the folder cannot be written; the old file then stays.
    """
    write_all_whole({path: pieces})


def write_all_whole(contents: Mapping[Path, Iterable[bytes | memoryview]]) -> None:
    """Several such files at once: all of them are on the disk when this returns, in no order among themselves.

    Forcing them to the disk together costs hardly more than forcing one, because it is mostly waiting.
    """
    asides = {path: path.with_name(path.name + ASIDE) for path in contents}
    with explained(next(iter(contents))):
        try:
            for path, pieces in contents.items():
                _write(asides[path], [memoryview(piece).cast("B") for piece in pieces if len(piece)])
            _sync_together(list(asides.values()))
            for path, aside in asides.items():
                os.replace(aside, path)
        except OSError:
            for aside in asides.values():
                aside.unlink(missing_ok=True)
            raise
        _sync_together(sorted({path.parent for path in contents}))


def _write(path: Path, pieces: Sequence[memoryview]) -> None:
    with open(path, "wb", buffering=0) as file:  # pieces are large, and a buffer would copy them once more
        for piece in pieces:
            while len(piece):
                piece = piece[file.write(piece[:_BYTES_A_WRITE]) :]


def _sync_together(paths: Sequence[Path]) -> None:
    if len(paths) == 1:
        sync_file(paths[0])
        return
    with ThreadPoolExecutor(len(paths)) as pool:
        for _ in pool.map(sync_file, paths):
            pass


def put_in_place(aside: Path, path: Path) -> None:
    """Rename a finished file or folder over ``path`` and make the rename durable."""
    with explained(path):
        os.replace(aside, path)
        sync_folder(path.parent)


def exchanged(one: Path, other: Path) -> bool:
    """Let two paths change places. False where the system or the file system does not know how."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    return rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0


def sync_file(path: Path) -> None:
    """Force a file's bytes to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Force a folder's entries to the disk, so that a rename in it survives a power cut."""
    sync_file(path)


def sync_tree(path: Path) -> None:
    """Force every file and folder below ``path`` to the disk."""
    for folder, _, files in os.walk(path):
        for name in files:
            sync_file(Path(folder, name))
        sync_folder(Path(folder))


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write into errors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"{path}: no space left on the disk; all that was committed stays: make room and run the command again"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreError(f"{path}: cannot be written ({error.strerror}); choose another folder") from error
        raise


def _check_lock(path: Path, descriptor: int) -> None:
    """Raise StoreError unless the open file is a lock that msmt made: the name of the holder is written into it."""
    status = os.fstat(descriptor)
    is_ours = stat.S_ISREG(status.st_mode) and status.st_nlink <= 1
    if is_ours and status.st_size:
        is_ours = os.pread(descriptor, len(_HOLDER), 0) == _HOLDER.encode()
    if not is_ours:
        raise StoreError(f"{path}: is no lock of msmt but another's file; remove it")


def open_regular(path: Path, follow: bool = False) -> BinaryIO:
    """A file to read from. OSError for what is none, such as a pipe, which would have the reader wait, or a link.

    With ``follow`` the last part of the path may be a link, as a store's own place may be.
    """
    return open(_regular(path, follow), "rb")


def read_regular(path: Path) -> bytes:
    """The bytes of a file, as ``open_regular`` would open it."""
    descriptor = _regular(path)
    try:
        pieces, left = [], os.fstat(descriptor).st_size
        while left > 0 and (piece := os.read(descriptor, left)):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def _regular(path: Path, follow: bool = False) -> int:
    """The descriptor of a file that ``open_regular`` would open."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "is no regular file", str(path))


def refuse_links(root: Path, path: Path) -> None:
    """Raise StoreError where a part of ``path`` below ``root`` is a link: a store from a stranger may lead anywhere."""
    at = root
    for part in path.relative_to(root).parts:
        at = at / part
        if at.is_symlink():
            raise StoreError(f"{at}: is a link, which a store has none of; put in its place what it leads to")


@contextmanager
def writer_lock(path: Path, shared: bool = False) -> Iterator[None]:
    """Hold the right to write the store at ``path``; a lock file beside it names the holder.

    The lock belongs to the process and ends with it, however it ends. With ``shared``, several
    processes may hold it, as long as none wants it alone.
    """
    lock_path = path.with_name(f".{path.name}.lock")
    with explained(lock_path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise
            raise StoreError(f"{lock_path}: is no lock of msmt but a link or a folder; remove it") from error
    try:
        _check_lock(lock_path, descriptor)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 4096, 0).decode(errors="replace").strip() or "another process"
            raise LockedError(f"{path}: is being written by {holder}; wait until it ends, or stop it") from None
        holder = f"{_HOLDER} {os.getpid()} on {socket.gethostname()} ({' '.join(sys.argv)})"
        written = holder.encode(errors="replace")[: _LOCK_BYTES - 1]
        os.pwrite(descriptor, written.ljust(_LOCK_BYTES - 1) + b"\n", 0)  # never truncated, always as long
        yield
    finally:
        os.close(descriptor)
