"""What ConceptNet knows of words: its public file of assertions, brought once into a small database beside it.

The file has a line for each of its 34 million assertions, tab-separated and without a header: uri, relation, start,
end, and JSON. Start and end are ``/c/LANGUAGE/TERM``, which a part of speech and a sense may follow. Of one language
three relations are kept, between terms without part of speech or sense, as pairs in both directions:

    related      (word, other, relations)    relations is the sum of a bit each of IsA, HasContext and Causes
    about        (name, value)               format, the file's digest, size and time, lines read and kept, ``knowledge``,
                                             the digest of what was kept: of the pairs, not of the file's bytes

A database is written aside and renamed, so one that is there is whole, and two processes that make it at once do no
harm.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import sqlite3
import tempfile
import time
import zlib
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import SettingError
from ..progress import Track, silent

RELATIONS = ("IsA", "HasContext", "Causes")
_FORMAT = "1"
_COLUMNS = 5
_BLOCK = 1 << 22  # bytes of text that are looked through at once
_LONGEST_LINE = 1 << 24  # bytes; no assertion comes near
_BATCH = 50_000  # pairs that are written at once
_MOST_ASKED = 500  # words in one question to the database
_ABANDONED = 24 * 3600  # seconds after which what a killed process was writing is removed
_OTHERS = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ": "packed by xz",
    b"SQLi": "a database",
}


@dataclass(frozen=True)
class Knowledge:
    """The database of one file of assertions and one language."""

    path: Path
    """Where it lies."""

    digest: str
    """Of the pairs that were kept: equal where the knowledge is, whatever the file looked like."""

    read: int
    """Assertions in the file."""

    kept: int
    """Of these the ones of the language and of the three relations."""

    is_new: bool
    """Whether it was made just now."""

    def relations_between(self, new: Collection[str], known: Collection[str]) -> dict[str, dict[str, int]]:
        """For each of the ``new`` words related to some of the ``known``: these, and how many relations (1 to 3)."""
        known, found, words = frozenset(known), {}, sorted(new)
        with closing(_opened(self.path)) as database:
            for first in range(0, len(words), _MOST_ASKED):
                asked = words[first : first + _MOST_ASKED]
                marks = ",".join("?" * len(asked))
                query = f"SELECT word, other, relations FROM related WHERE word IN ({marks})"
                for word, other, relations in database.execute(query, asked):
                    if other in known:
                        found.setdefault(word, {})[other] = relations.bit_count()
        return found


def knowledge_of(dump: Path, language: str, folder: Path | None = None, track: Track = silent) -> Knowledge:
    """The database of a file of assertions, made beside it, or in ``folder``, unless it is there and of this very file.

    Raises SettingError, in one line, for a file that is none of ConceptNet's assertions or was cut short.
    """
    if not dump.is_file():
        raise SettingError(
            f"conceptnet {dump}: there is no such file; it wants ConceptNet's assertions, such as "
            f"conceptnet-assertions-5.7.0.csv.gz"
        )
    if folder is not None and not folder.is_dir():
        raise SettingError(f"index {folder}: there is no such folder")
    path = (folder or dump.parent) / f"{dump.name}.{language}.sqlite"
    about = _about(path)
    if about is not None and _is_of(about, dump, language):
        return _knowledge(path, about, is_new=False)
    if not os.access(path.parent, os.W_OK):
        raise SettingError(
            f"conceptnet {dump}: its folder cannot be written to, and what is kept of the file goes beside it: name "
            f"another with index=FOLDER"
        )
    _make(dump, language, path, track)
    return _knowledge(path, _about(path), is_new=True)


def _knowledge(path: Path, about: dict[str, str], is_new: bool) -> Knowledge:
    return Knowledge(path, about["knowledge"], int(about["read"]), int(about["kept"]), is_new)


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)


def _about(path: Path) -> dict[str, str] | None:
    """What a database says of itself; None where there is none that can be read."""
    if not path.is_file():
        return None
    try:
        with closing(_opened(path)) as database:
            about = dict(database.execute("SELECT name, value FROM about"))
            database.execute("SELECT word, other, relations FROM related LIMIT 1").fetchall()
    except (sqlite3.Error, ValueError):
        return None
    wanted = {"format", "language", "size", "time", "digest", "read", "kept", "knowledge"}
    return about if about.keys() >= wanted and about["format"] == _FORMAT else None


def _is_of(about: dict[str, str], dump: Path, language: str) -> bool:
    """Whether a database was made of this file as it is: by size and time, or else by all its bytes."""
    state = dump.stat()
    if about["language"] != language or about["size"] != str(state.st_size):
        return False
    if about["time"] == str(state.st_mtime_ns):
        return True
    digest = hashlib.blake2b(digest_size=16)
    with open(dump, "rb") as file:
        while piece := file.read(_BLOCK):
            digest.update(piece)
    return about["digest"] == digest.hexdigest()


def _make(dump: Path, language: str, path: Path, track: Track) -> None:
    """Read the file once, and put the database in its place when it is whole."""
    _clear_abandoned(path)
    state = dump.stat()
    handle, aside = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    try:
        with closing(sqlite3.connect(aside, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode=OFF")
            database.execute("PRAGMA synchronous=OFF")
            database.execute(
                "CREATE TABLE related (word TEXT, other TEXT, relations INTEGER, PRIMARY KEY (word, other))"
                " WITHOUT ROWID"
            )
            database.execute("CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT)")
            reading = _Reading(dump, language)
            database.execute("BEGIN")
            with track(f"indexing {dump.name}", total=max(1, state.st_size >> 20), unit="MB") as advance:
                for pairs in reading.pairs(advance):
                    database.executemany(
                        "INSERT INTO related VALUES (?, ?, ?)"
                        " ON CONFLICT DO UPDATE SET relations = relations | excluded.relations",
                        pairs,
                    )
            if not reading.kept:
                raise SettingError(
                    f"conceptnet {dump}: none of its {reading.read:,} assertions is {', '.join(RELATIONS[:-1])} or "
                    f"{RELATIONS[-1]} between words of language {language}"
                )
            about = {
                "format": _FORMAT,
                "language": language,
                "size": str(state.st_size),
                "time": str(state.st_mtime_ns),
                "digest": reading.digest.hexdigest(),
                "read": str(reading.read),
                "kept": str(reading.kept),
                "knowledge": _digest_of_pairs(database, language),
            }
            database.executemany("INSERT INTO about VALUES (?, ?)", about.items())
            database.execute("COMMIT")
        with open(aside, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except (OSError, sqlite3.Error) as error:
        raise SettingError(f"conceptnet {dump}: what is kept of it cannot be written to {path} ({error})") from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(aside)


def _digest_of_pairs(database: sqlite3.Connection, language: str) -> str:
    digest = hashlib.sha256(f"{language} {' '.join(RELATIONS)}".encode())
    for row in database.execute("SELECT word, other, relations FROM related ORDER BY word, other"):
        digest.update("\t".join(map(str, row)).encode() + b"\n")
    return digest.hexdigest()[:32]


def _clear_abandoned(path: Path) -> None:
    """Remove what processes that were killed have left of this database, long ago."""
    for part in path.parent.glob(f"{path.name}.*.part"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _ABANDONED:
                part.unlink()


class _Reading:
    """One way through a file of assertions."""

    def __init__(self, dump: Path, language: str) -> None:
        self.dump = dump
        self.digest = hashlib.blake2b(digest_size=16)
        self.read = self.kept = 0
        name = re.escape(language.encode())
        node = rb"/c/" + name + rb"/([^/\t\n]+)[^\t\n]*"
        self._wanted = re.compile(rb"\t/r/(" + "|".join(RELATIONS).encode() + rb")\t" + node + rb"\t" + node + rb"\t")
        self._bits = {relation.encode(): 1 << place for place, relation in enumerate(RELATIONS)}

    def pairs(self, advance) -> Iterator[list[tuple[str, str, int]]]:
        """The pairs of words in both directions, some at a time."""
        pairs: list[tuple[str, str, int]] = []
        for block in self._blocks(advance):
            self.read += block.count(b"\n")
            for relation, start, end in self._wanted.findall(block):
                self.kept += 1
                if start != end:  # a word and itself are no pair, such as two senses of it
                    words = start.decode(errors="replace"), end.decode(errors="replace")
                    pairs += [(*words, self._bits[relation]), (*reversed(words), self._bits[relation])]
            if len(pairs) >= _BATCH:
                yield pairs
                pairs = []
        yield pairs

    def _blocks(self, advance) -> Iterator[bytes]:
        """Whole lines, some megabytes at a time. SettingError where they are none of assertions, or one is not whole."""
        rest, last = b"", b""
        with self._text(advance) as text:
            while piece := self._next(text):
                block, end, tail = (rest + piece).rpartition(b"\n")
                if end:
                    if not last:
                        self._check(block.partition(b"\n")[0], 1)
                    last = block.rpartition(b"\n")[2]
                    yield block + end
                elif not last and len(tail) >= 1 << 20:
                    self._check(tail, 1)
                if len(tail) > _LONGEST_LINE:
                    raise self._wrong("has a line of more than 16 MB")
                rest = tail
        if rest:
            if not last:
                self._check(rest, 1)
            if not _is_whole(rest):
                raise self._wrong("is cut short in its last line; fetch it again")
            yield rest + b"\n"
        elif not last:
            raise self._wrong("is empty")
        else:
            self._check(last, self.read + last.count(b"\n"))

    @contextmanager
    def _text(self, advance) -> Iterator[io.BufferedIOBase]:
        """The unpacked file, which is hashed as it is read."""
        try:
            with open(self.dump, "rb") as file:
                start = file.read(8)
                for magic, what in _OTHERS.items():
                    if start.startswith(magic):
                        raise self._wrong(f"is {what}: unpack it, or take the .csv.gz")
                file.seek(0)
                watched = io.BufferedReader(_Watched(file, self.digest, advance), _BLOCK)
                yield gzip.GzipFile(fileobj=watched) if start.startswith(b"\x1f\x8b") else watched
        except OSError as error:
            raise self._wrong(f"cannot be read ({error.strerror or error})") from error

    def _next(self, text) -> bytes:
        try:
            return text.read(_BLOCK)
        except EOFError:
            raise self._wrong("is cut short; fetch it again") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise self._wrong(f"is damaged ({error}); fetch it again") from None

    def _check(self, line: bytes, number: int) -> None:
        columns = line.count(b"\t") + 1
        if columns == _COLUMNS and line.startswith(b"/a/") and b"\t/r/" in line and _is_whole(line):
            return
        if line.startswith(b"/a/") and columns != _COLUMNS:
            raise self._wrong(
                f"has {columns} columns in line {number}, and the assertions of ConceptNet 5.5 to 5.7 have {_COLUMNS}: "
                f"take one of these"
            )
        raise self._wrong(
            f"does not hold ConceptNet's assertions: line {number} is not uri, relation, start, end and JSON, by tabs"
        )

    def _wrong(self, what: str) -> SettingError:
        return SettingError(f"conceptnet {self.dump}: {what}")


def _is_whole(line: bytes) -> bool:
    """Whether a line has all columns, to the end of its JSON."""
    if line.count(b"\t") + 1 != _COLUMNS:
        return False
    try:
        return isinstance(json.loads(line.rpartition(b"\t")[2]), dict)
    except ValueError:
        return False


class _Watched(io.RawIOBase):
    """A file that is hashed and counted while it is read."""

    def __init__(self, file, digest, advance) -> None:
        self._file, self._digest, self._advance, self._seen, self._told = file, digest, advance, 0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        count = self._file.readinto(buffer)
        self._digest.update(memoryview(buffer)[:count])
        self._seen += count
        if (self._seen >> 20) > self._told:
            self._advance((self._seen >> 20) - self._told)
            self._told = self._seen >> 20
        return count
