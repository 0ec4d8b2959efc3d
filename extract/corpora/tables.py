"""Csv files as people save them: UTF-8 or a Chinese code page, quoted newlines, blank rows."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ...errors import CorpusError
from ...features.segments import EXTRA

_LONGEST_FIELD = 10_000_000  # characters; a lost quote swallows the rest of a file into one field
_NO_ACCIDENT = 4  # GBK text does not happen to begin with so many characters of three UTF-8 bytes
_SAID = {"utf-8-sig": "UTF-8 with a byte order mark", "utf-16": "UTF-16", "gb18030": "GB18030"}
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs"}


@dataclass(frozen=True)
class CsvTable:
    """The rows of one csv, every field a stripped str."""

    path: Path

    encoding: str
    """``utf-8``, ``utf-8-sig``, ``utf-16``, ``gb18030``, or what else the corpus's language suggests."""

    rows: pd.DataFrame
    """Indexed by the row number a spreadsheet shows: the header is row 1, a record with line breaks is one row."""

    blank: int
    """Rows without anything in any field; they are not in ``rows``."""

    @property
    def origins(self) -> list[str]:
        """File and row of each row, as errors name them."""
        return [f"{self.path.name} row {number}" for number in self.rows.index]

    @property
    def notes(self) -> list[str]:
        """What a user should know about how the file was read."""
        notes = []
        if self.encoding not in ("utf-8", *_SAID):
            notes.append(f"{self.path.name} is not UTF-8 and was read as {self.encoding}")
        elif self.encoding == "gb18030":
            notes.append(f"{self.path.name} is not UTF-8 and was read as GB18030 (which includes GBK)")
        elif self.encoding != "utf-8":
            notes.append(f"{self.path.name} was read as {_SAID[self.encoding]}")
        if self.blank:
            notes.append(f"{self.path.name} has {self.blank} blank rows, which were passed over")
        return notes


def read_csv(
    path: Path, required: Sequence[str], otherwise: str = "gb18030", header: Sequence[str] | None = None
) -> CsvTable:
    """Read a csv that must have the columns ``required``; no field is taken for a number or for missing.

    ``otherwise`` is the encoding of what is not UTF-8: that of Chinese text unless the corpus is of another language.
    ``header`` names the columns of a file whose first row has none of their names, as some releases come.

    Raises CorpusError when the file is absent or empty, has no rows, lacks a column, or a row does not fit the header.
    """
    path = Path(path)
    text, encoding = _decoded(path, otherwise)
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    records: list[list[str]] = []
    try:
        for record in reader:
            records.append([field.strip() for field in record])
    except csv.Error as error:
        raise CorpusError(
            f"{path} row {len(records) + 1}: {error};"
            " quotes inside a quoted field must be doubled, and each quote closed"
        ) from error
    if not records or not any(records[0]):
        raise CorpusError(f"{path}: the first row is blank; it must hold the names of the columns")
    if "\0" in text:
        damaged = next(number for number, record in enumerate(records, start=1) if "\0" in "".join(record))
        raise CorpusError(f"{path} row {damaged}: holds NUL characters, so the file is damaged; save it anew as UTF-8")
    is_headless = bool(header) and not set(header) & set(records[0])
    if is_headless:
        records = [list(header), *records]
    header = records[0]
    _check_header(path, header, required)
    numbers, rows = [], []
    for number, record in enumerate(records[1:], start=1 if is_headless else 2):
        if not any(record):
            continue
        if len(record) != len(header):
            raise CorpusError(
                f"{path} row {number}: has {len(record)} fields, but the header has {len(header)};"
                " quote fields that hold commas"
            )
        numbers.append(number)
        rows.append(record)
    if not rows:
        raise CorpusError(f"{path}: has a header but no rows")
    frame = pd.DataFrame(rows, columns=header, index=pd.Index(numbers, name="row"), dtype=object)
    return CsvTable(path, encoding, frame, blank=len(records) - 1 - len(rows))


def kept_columns(csv: CsvTable, asked: str, names: Sequence[str], used: Collection[str]) -> dict[str, list[str]]:
    """The columns of a csv that are kept beside those that msmt knows, by their names in the segment table.

    ``names`` are those asked for; where ``asked`` holds none of them but is not empty, all are kept that are not
    ``used``. Raises CorpusError when two would get one name.
    """
    if not asked.strip():
        return {}
    chosen = names or [name for name in csv.rows.columns if name and name not in used]
    kept: dict[str, list[str]] = {}
    for name in chosen:
        column = EXTRA + re.sub(r"[^\w-]+", "_", name)
        if column in kept:
            raise CorpusError(f"{csv.path} row 1: column {name} and another would both be kept as {column}; rename one")
        kept[column] = csv.rows[name].tolist()
    return kept


def _decoded(path: Path, otherwise: str) -> tuple[str, str]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise CorpusError(f"{path}: there is no such file") from None
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror})") from error
    if not content.strip(codecs.BOM_UTF8 + b" \r\n\t"):
        raise CorpusError(f"{path}: is empty")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    elif content.startswith(codecs.BOM_UTF8):
        encodings = ["utf-8-sig"]
    else:
        encodings = ["utf-8", otherwise]
    for encoding in encodings:
        try:
            return content.decode(encoding), encoding
        except UnicodeDecodeError as error:
            problem = error
        line = content.count(b"\n", 0, problem.start) + 1
        if encoding == "utf-8" and _wide_characters(content[: problem.start].decode()) >= _NO_ACCIDENT:
            # GB18030 would turn the whole file into other characters for the sake of one broken byte.
            raise CorpusError(f"{path}: line {line} is damaged: it is not UTF-8, but what stands before it is")
    raise CorpusError(
        f"{path}: line {line} is neither UTF-8 nor {_SAID.get(otherwise, otherwise)}; save the file as UTF-8"
    )


def _wide_characters(text: str) -> int:
    """Characters of three bytes or more in UTF-8, as Chinese ones are."""
    return sum(ord(character) >= 0x800 for character in text)


def _check_header(path: Path, header: list[str], required: Sequence[str]) -> None:
    named = [name for name in header if name]
    repeated = sorted(name for name, count in Counter(named).items() if count > 1)
    if repeated:
        raise CorpusError(f"{path} row 1: column {', '.join(repeated)} is there more than once")
    missing = [name for name in required if name not in header]
    if not missing:
        return
    for separator, name in _OTHER_SEPARATORS.items():
        if len(header) == 1 and separator in header[0]:
            raise CorpusError(f"{path}: its columns are separated by {name}; save it with commas")
    noun = "columns" if len(missing) > 1 else "column"
    raise CorpusError(f"{path} row 1: {noun} {', '.join(missing)} missing; it has {', '.join(named)}")
