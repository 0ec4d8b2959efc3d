"""Names and texts of a corpus as people may read them, on a screen, in a document or in a spreadsheet.

A corpus comes from anywhere, and a terminal or a spreadsheet obeys what it is given. What is stored and read back by
programs stays exact; what is shown goes through one of these.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# Control characters, halves of characters, and the marks that turn the direction of a line around.
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Spreadsheets of East Asia take the wide forms for the same.
_BEGINS_A_FORMULA = tuple("=+-@＝＋－＠")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def as_line(text: object) -> str:
    """``text`` in one line, without anything that a terminal obeys: an escape character is shown as ``\\x1b``."""
    return OBEYED.sub(_spelled, " ".join(str(text).split()))


def as_lines(text: object) -> str:
    """The same of a text that may have several lines, with their indentation."""
    return "\n".join(OBEYED.sub(_spelled, line) for line in str(text).split("\n"))


def as_cell(value: object) -> object:
    """``value`` for a csv that is opened in a spreadsheet: in one line, and no formula.

    What would be taken for one gets an apostrophe in front, as one types it to say that a cell is text. Numbers stay.
    """
    if not isinstance(value, str):
        return value
    text = as_line(value)
    if text.startswith(_BEGINS_A_FORMULA) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def from_cell(text: str) -> str:
    """A cell of a csv that was written for spreadsheets, without the apostrophe that keeps it from being a formula."""
    bare = text[1:]
    return bare if text[:1] == "'" and as_cell(bare) == text else text


def counted(count: int, what: str) -> str:
    """``1 hidden file``, ``2,000 hidden files``"""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right; a Chinese character takes two places of a terminal."""
    widths = [max(_places(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        gaps = [" " * (width - _places(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = [row[0] + gaps[0]] + [gap + cell for gap, cell in zip(gaps[1:], row[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _places(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _spelled(match: re.Match) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
