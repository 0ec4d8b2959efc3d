"""The answers that have come, on the disk as soon as they are there: what was paid for once is not asked again.

    LABELS.csv.journal     a line per answer: eight hex digits of its CRC-32, a space, and JSON
                           {"key": digest of what was asked, "answer": text, "prompt_tokens": n, "answer_tokens": n}

Lines are appended and forced to the disk. A kill may leave half a line at the end, which is cut off; a line that is
damaged elsewhere is passed over and counted, and its text is asked about again.
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

from ...errors import SettingError
from ...features.durable import explained, sync_folder

SUFFIX = ".journal"
_SUM_DIGITS = 8


@dataclass(frozen=True)
class Answer:
    """What a model said."""

    text: str

    prompt_tokens: int = 0
    """What the request cost, as the model's server counts; 0 where it does not say."""

    answer_tokens: int = 0


class Journal:
    """The answers of one output file, by the digest of what was asked; several threads may add to it."""

    def __init__(self, path: Path) -> None:
        """Reads what is there. Raises SettingError for a file that is no journal."""
        self.path = path
        self.answers: dict[str, list[Answer]] = {}
        self.damaged = 0  # lines that cannot be used
        self.added = 0  # answers since it was opened
        self._file = None
        self._adding = threading.Lock()
        self._whole = self._read()

    def _read(self) -> int:
        """Takes in the lines; the bytes up to the last whole one."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return 0
        whole = content.rfind(b"\n") + 1
        for line in content[:whole].splitlines():
            entry = _entry_of(line)
            if entry is None:
                self.damaged += 1
            else:
                key = entry.pop("key")
                self.answers.setdefault(key, []).append(Answer(**entry))
        if self.damaged and not self.answers:
            raise SettingError(f"{self.path}: is no journal of msmt annotate; move it away, or write to another file")
        return whole

    def of(self, key: str) -> list[Answer]:
        """The answers to one question, in the order in which they came."""
        return self.answers.get(key, [])

    def add(self, key: str, answer: Answer) -> None:
        """Keep an answer: it is on the disk when this returns."""
        entry = {"key": key, **asdict(answer)}
        line = json.dumps(entry, ensure_ascii=True).encode()
        with self._adding, explained(self.path):
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = open(self.path, "ab")  # noqa: SIM115  closed by close
                self._file.truncate(self._whole)
                sync_folder(self.path.parent)
            self._file.write(b"%08x %s\n" % (zlib.crc32(line), line))
            self._file.flush()
            os.fsync(self._file.fileno())
            self.answers.setdefault(key, []).append(answer)
            self.added += 1

    def close(self) -> None:
        """Whatever was added stays."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _entry_of(line: bytes) -> dict | None:
    """What a line says; None for a damaged one."""
    digits, content = line[:_SUM_DIGITS], line[_SUM_DIGITS + 1 :]
    try:
        if int(digits, 16) != zlib.crc32(content):
            return None
        entry = json.loads(content)
        Answer(**{name: value for name, value in entry.items() if name != "key"})
        return entry if isinstance(entry["key"], str) else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
