"""The text files of IEMOCAP: what annotators said of a dialogue's utterances, and its transcript.

``dialog/EmoEvaluation/Ses01F_impro01.txt`` has a line for each utterance, and after it those of the annotators:

    [6.2901 - 8.2357]	Ses01F_impro01_F000	neu	[2.5000, 2.5000, 2.5000]
    C-E2:	Neutral;	()

``dialog/transcriptions/Ses01F_impro01.txt`` has one as well: ``Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.``
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from ...errors import CorpusError

_MOST_BYTES = 10_000_000  # of a file; the longest has some 100,000
_NAME = re.compile(r"(Ses0([1-5])[FM]_(impro|script)\w+)_([FM])\w+")
_ANNOTATION = re.compile(r"\[([^]\[]+) - ([^]\[]+)\]\s+(\S+)\s+(\S+)\s+\[([^],]+),([^],]+),([^],]+)\]")
_TRANSCRIPT = re.compile(r"(Ses\w+)\s*\[[^]]*\]\s*:(.*)")


@dataclass(frozen=True)
class Utterance:
    """What an annotation says of one."""

    name: str
    """``Ses01F_impro01_M003``: the dialogue up to the last ``_``, then who speaks, and a number for each of both."""

    start: float
    """Seconds within the dialogue."""

    end: float

    category: str
    """``neu``, ``ang`` and so on; ``xxx`` where annotators did not agree."""

    valence: float
    """1 to 5, the mean over annotators; so are the other two."""

    activation: float

    dominance: float

    origin: str
    """File and line."""

    @property
    def dialogue(self) -> str:
        return _parts(self.name)[0]

    @property
    def session(self) -> str:
        """``1`` to ``5``."""
        return _parts(self.name)[1]

    @property
    def setting(self) -> str:
        """``improvised`` or ``scripted``."""
        return {"impro": "improvised", "script": "scripted"}[_parts(self.name)[2]]

    @property
    def speaker(self) -> str:
        """``Ses01M``: the man of session 1."""
        return f"Ses0{self.session}{_parts(self.name)[3]}"


@dataclass(frozen=True)
class Annotation:
    """A file of ``EmoEvaluation``."""

    utterances: tuple[Utterance, ...]

    unreadable: tuple[tuple[str, str], ...]
    """Of each line that should be an utterance but is none, its name or what can be had of it, and file and line."""

    is_utf8: bool


@dataclass(frozen=True)
class Transcript:
    """A file of ``transcriptions``."""

    texts: dict[str, str]
    """By the name of the utterance; the first where one has several."""

    unreadable: tuple[str, ...]
    """File and line of those that begin like an utterance's but cannot be read."""

    repeated: tuple[str, ...]
    """File and line of those that say something else of an utterance than a line before."""

    is_utf8: bool


def read_annotation(path: Path, called: str) -> Annotation:
    """What a file says of utterances; the lines of each annotator are passed over. Origins name it as ``called``.

    Raises CorpusError where it cannot be read at all.
    """
    lines, is_utf8 = _lines(path)
    utterances, unreadable = [], []
    for number, line in enumerate(lines, start=1):
        if not line.startswith("[") and not _NAME.search(line):
            continue
        origin = f"{called} line {number}"
        utterance = _utterance(line, origin)
        if utterance:
            utterances.append(utterance)
        elif not line.startswith("%"):
            name = _NAME.search(line)
            unreadable.append((name.group() if name else line[:40], origin))
    return Annotation(tuple(utterances), tuple(unreadable), is_utf8)


def read_transcript(path: Path, called: str) -> Transcript:
    """What was said, by utterance; remarks that belong to none are passed over. Origins name the file as ``called``.

    Raises CorpusError where it cannot be read at all.
    """
    lines, is_utf8 = _lines(path)
    texts: dict[str, str] = {}
    unreadable, repeated = [], []
    for number, line in enumerate(lines, start=1):
        if not line.startswith("Ses"):
            continue
        match = _TRANSCRIPT.fullmatch(line)
        if not match:
            unreadable.append(f"{called} line {number}")
            continue
        name, text = match.group(1), match.group(2).strip()
        if texts.setdefault(name, text) != text:
            repeated.append(f"{called} line {number}")
    return Transcript(texts, tuple(unreadable), tuple(repeated), is_utf8)


def is_dialogue(name: str) -> bool:
    """Whether a file without its extension is called like a dialogue: ``Ses01F_impro01``, ``Ses05M_script01_1b``."""
    return _NAME.fullmatch(f"{name}_F000") is not None


def _parts(name: str) -> tuple[str, ...]:
    match = _NAME.fullmatch(name)
    assert match, name  # no other is made an utterance
    return match.groups()


def _utterance(line: str, origin: str) -> Utterance | None:
    match = _ANNOTATION.fullmatch(line)
    if not match or not _NAME.fullmatch(match.group(3)):
        return None
    start, end, name, category, *ratings = match.groups()
    try:
        numbers = [float(text) for text in (start, end, *ratings)]
    except ValueError:
        return None
    if not all(map(math.isfinite, numbers)) or numbers[0] < 0:
        return None
    return Utterance(name, numbers[0], numbers[1], category.lower(), *numbers[2:], origin)


def _lines(path: Path) -> tuple[list[str], bool]:
    """The lines of a file without the blanks around each, and whether it is UTF-8."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > _MOST_BYTES or b"\0" in content:
        raise CorpusError(f"{path}: is no text of a dialogue, it is longer, or holds NUL; unpack it anew")
    try:
        text, is_utf8 = content.decode("utf-8-sig"), True
    except UnicodeDecodeError:
        # As Windows extends latin-1, where apostrophes are; bytes that it does not have are of latin-1 alone.
        text, is_utf8 = "".join(_windows.get(byte, chr(byte)) for byte in content), False
    return [line.strip() for line in re.split(r"\r\n|\r|\n", text)], is_utf8


_windows = {
    byte: character for byte in range(0x80, 0xA0) if (character := bytes([byte]).decode("cp1252", errors="ignore"))
}
