"""What a fuzzing campaign tries, finds and counts, and a command line that is typed in this process."""

from __future__ import annotations

import io
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

LONGEST_MESSAGE = 2000  # characters of an error
# What a terminal would obey instead of show: everything below a space but line ends and tabs, DEL, and C1.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Lines that click puts before the one that says what is wrong; a long usage goes on behind many spaces.
_OF_USAGE = re.compile(r"Usage: | {8}|Try '|$")


@dataclass(frozen=True)
class Case:
    """One thing to try; the same kind and seed are the same case, always."""

    kind: str
    """What is damaged or mutated, such as ``truncated``."""

    seed: int
    """Decides all else: which store or file, where, and what is written there."""

    def __str__(self) -> str:
        return f"{self.kind}:{self.seed}"


@dataclass(frozen=True)
class Finding:
    """Something that must not be."""

    kind: str
    """Such as ``traceback`` or ``unnoticed damage``."""

    operation: str
    """What was being done."""

    detail: str
    """What happened, in full."""

    cause: str = ""
    """What findings of one cause have in common; they are counted together."""


@dataclass
class Outcome:
    """What came of one case."""

    case: Case
    about: str = ""
    """What was damaged or mutated, in words."""

    endings: list[tuple[str, str]] = field(default_factory=list)
    """Each operation with how it ended: fine, told, refused or one of the kinds of finding."""

    findings: list[Finding] = field(default_factory=list)

    def ended(self, operation: str, ending: str) -> None:
        if (operation, ending) not in self.endings:
            self.endings.append((operation, ending))

    def find(self, kind: str, operation: str, detail: str, cause: str = "") -> None:
        """Note a finding, once for each cause, and that the operation ended so."""
        if (kind, operation, cause) not in {(each.kind, each.operation, each.cause) for each in self.findings}:
            self.findings.append(Finding(kind, operation, detail, cause))
        self.ended(operation, kind)


class Reached(Exception):
    """Stands for the costly work at the end of a command: it was reached, with these arguments."""

    def __init__(self, name: str, arguments: tuple, options: dict) -> None:
        super().__init__(name)
        self.arguments = (*arguments, *options.values())


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    status: int
    """Exit status; 0 also where the costly work was reached."""

    shown: str
    """Standard output."""

    error: str
    """Standard error."""

    trace: BaseException | None = None
    """What the command let through that is no exit."""

    reached: Reached | None = None

    @property
    def message(self) -> str:
        """The error without what click says of the usage before it."""
        lines = self.error.strip("\n").split("\n")
        while lines and _OF_USAGE.match(lines[0]):
            lines.pop(0)
        return "\n".join(lines)

    @property
    def word(self) -> str:
        """One of fine, told (status 1) and refused (status 2)."""
        return {0: "fine", 1: "told", 2: "refused"}.get(self.status, f"status {self.status}")


def typed(arguments: Sequence[str]) -> Ending:
    """Run ``msmt`` with these arguments as its main function does, in this process."""
    import msmt.cli

    shown = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    error = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace", write_through=True)
    before = sys.argv, sys.stdout, sys.stderr
    sys.argv, sys.stdout, sys.stderr = ["msmt", *map(str, arguments)], shown, error
    status, trace, reached = 0, None, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            msmt.cli.main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except Reached as end:
        reached = end
    except BaseException as end:  # whatever a command lets through is what is looked for
        trace = end
    finally:
        sys.argv, sys.stdout, sys.stderr = before
    texts = (stream.buffer.getvalue().decode(errors="backslashreplace") for stream in (shown, error))
    return Ending(status, *texts, trace, reached)


def judge(outcome: Outcome, operation: str, ending: Ending, must_name: Sequence[str] = ()) -> bool:
    """Note how a command ended, and what is wrong with its manners; whether it did its work.

    With ``must_name``, an error must hold one of these.
    """
    if ending.trace is not None:
        note_trace(outcome, operation, ending.trace)
        return False
    before = len(outcome.findings)
    if ending.status not in (0, 1, 2):
        outcome.find("status", operation, f"exit status {ending.status}: {ending.message[:500]}")
    for said in (ending.shown, ending.error):
        if sign := _CONTROL.search(said):
            near = said[max(sign.start() - 80, 0) : sign.end() + 80]
            outcome.find("control character", operation, f"{sign[0]!r} is shown: {near!r}")
            break
    if ending.status == 2:
        message = ending.message
        if len(message.split("\n")) != 1:
            outcome.find("message", operation, f"an error of {len(message.split(chr(10)))} lines: {message[:1000]!r}")
        elif len(message) > LONGEST_MESSAGE:
            outcome.find("message", operation, f"an error of {len(message)} characters: {message[:300]!r} …")
        elif must_name and not any(name in message for name in must_name):
            outcome.find("message", operation, f"an error that names no file: {message!r}", message[-60:])
    if len(outcome.findings) == before:
        outcome.ended(operation, ending.word)
    return ending.status == 0


def note_trace(outcome: Outcome, operation: str, trace: BaseException) -> None:
    """Note an exception that is no error of msmt's."""
    frames = traceback.extract_tb(trace.__traceback__)
    own = [frame for frame in frames if "/msmt/" in frame.filename and "/benchmarks/" not in frame.filename]
    place = f"{Path(own[-1].filename).name} {own[-1].name}" if own else ""
    said = "".join(traceback.format_exception_only(trace)).strip()[:600]
    steps = " < ".join(f"{Path(each.filename).name}:{each.lineno}" for each in reversed(frames[-12:]))
    cause = f"{type(trace).__name__} in {place}"
    kind = "memory" if isinstance(trace, MemoryError) or "DefaultCPUAllocator" in said else "traceback"
    outcome.find(kind, operation, f"{said} ({steps})", cause)
