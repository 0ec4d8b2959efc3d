"""The one family of errors a user can cause and can mend, and how they are shown: in one line of bounded length."""

from __future__ import annotations

from .shown import OBEYED

_LONGEST_LINE = 1000  # characters of an error
_LONGEST_VALUE = 80  # characters of a value within it


class MsmtError(Exception):
    """Says what is wrong, where, and what to do about it, in one line.

    The command line prints it as that line and ends with exit status 2. Anything else that is
    raised is a defect of msmt and shows its traceback.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


class CorpusError(MsmtError):
    """The corpus on disk is not what its adapter expects; names the file and the row."""


class AudioError(MsmtError):
    """One recording cannot be used. Extraction lists it and goes on."""


class EncoderError(MsmtError):
    """An encoder cannot be loaded, or does not fit the purpose."""


class StoreError(MsmtError):
    """A feature store is missing, unreadable, or does not hold what is asked of it."""


class DamageError(StoreError):
    """What a store says of itself, or of its rows, is not what was written."""


class LockedError(StoreError):
    """Another process is writing the store."""


class SpecMismatchError(StoreError):
    """The store holds features made in another way than is asked for now."""


class ExchangeError(MsmtError):
    """A file of another program cannot be read as one of its kind, or cannot be written."""


class SettingError(MsmtError):
    """An option has a value that makes no sense."""


class RunError(MsmtError):
    """A run directory is missing, incomplete, or belongs to other data."""


def one_line(text: object, most: int = _LONGEST_LINE) -> str:
    """A text as it may be printed: what would break the line or steer a terminal is written out, as ``\\x1b`` is.

    A text of more than ``most`` characters loses its middle, for file and remedy stand at the ends.
    """
    return "".join(
        each.encode("unicode_escape").decode() if is_control(each) else each for each in _cut(str(text), most)
    )


def shown(value: object, most: int = _LONGEST_VALUE) -> str:
    """A value as an error shows it: as Python writes it, without its middle where that is long."""
    try:
        return _cut(repr(value), most)
    except (ValueError, RecursionError):  # Python writes no number of over 4,300 digits
        return f"a huge {type(value).__name__}"


def is_control(character: str) -> bool:
    """Whether a character ends a line, steers a terminal, turns what follows round, or is half of one."""
    return OBEYED.match(character) is not None


def _cut(text: str, most: int) -> str:
    end = most // 3
    return text if len(text) <= most else f"{text[: most - end - 1]}…{text[-end:]}"
