"""Pickles of strangers, read without running anything.

A pickle is a program: it names functions and calls them. This reader follows such a program without Python's own
``pickle``: it knows the few names by which numpy arrays and plain containers are written, and for each of them what is
to be built; nothing is imported or called because a file says so. Any other name is noted and stands for nothing, so
that an error can list all of them. Arrays are views of the file, which is mapped: it may be larger than memory.

Python's opcodes up to protocol 5 are read, and what numpy 1 and 2, and Python 2, wrote with them.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from pathlib import Path

from ...errors import ExchangeError, shown
from ..durable import open_regular
from .arrays import Array, Malformed, Type
from .names import NAMES, Name

_MOST_PARTS = 20_000_000  # opcodes; each may make an object of some ten bytes
_MOSTNAMES = 8  # that an error lists
_LONG = 1 << 16  # bytes from which on a text or a buffer stays in the file
_DEEPEST = 16  # containers in containers


class _Unknown:
    """What a name that is not read would have made."""


class _Mark:
    """A place on the stack."""


def read_pickle(path: Path) -> object:
    """What a pickle holds: dictionaries, lists, tuples, texts, numbers, and numpy arrays that are views of the file.

    Raises ExchangeError, one line, for a file that asks for anything else, that is cut off, or that is no pickle.
    """
    try:
        with open_regular(path, follow=True) as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise ExchangeError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ExchangeError(f"{path}: is empty") from error
    if content[:4] == b"PK\x03\x04":
        raise ExchangeError(f"{path}: is a zip archive, as files of numpy and torch are, and no pickle")
    machine = _Machine(content)
    problem = value = None
    try:
        value = _settled(machine.run(), {}, 0)
    except Malformed as error:
        problem = str(error)
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError, struct.error) as error:
        problem = f"is no pickle, or a damaged one (at byte {machine.at:,}: {type(error).__name__})"
    if machine.unknown:
        names = [shown(name).strip("'\"") for name in machine.unknown]
        more = f" and {len(names) - _MOSTNAMES} more" if len(names) > _MOSTNAMES else ""
        raise ExchangeError(
            f"{path}: asks for {', '.join(names[:_MOSTNAMES])}{more}; only numpy arrays, plain containers, texts and"
            " numbers are read, and nothing of it was run: do not open it with pickle unless you trust who made it"
        )
    if problem:
        raise ExchangeError(f"{path}: {problem}")
    return value


def _settled(value: object, done: dict[int, tuple[object, object]], level: int) -> object:
    """``value`` with the arrays in it made; containers stay the objects they are, for they may occur several times.

    ``done`` has by the id of each object met the object, so that it stays, and what it has become.
    """
    if not isinstance(value, Array | list | dict | tuple):
        return value
    if id(value) in done:
        return done[id(value)][1]
    if level > _DEEPEST:
        raise Malformed("is nested too deep")

    def inner(item: object) -> object:
        return _settled(item, done, level + 1)

    done[id(value)] = value, value
    match value:
        case Array():
            done[id(value)] = value, value.made(inner)
        case list():
            value[:] = map(inner, value)
        case dict():
            for key, item in value.items():
                value[key] = inner(item)
        case tuple():
            done[id(value)] = value, tuple(map(inner, value))
    return done[id(value)][1]


class _Machine:
    """The stack that a pickle's opcodes work on."""

    def __init__(self, file: mmap.mmap) -> None:
        self.file, self.content, self.at = file, memoryview(file), 0
        self.stack: list = []
        self.memo: dict[int, object] = {}
        self.unknown: dict[str, None] = {}
        """Names that the file asks for and that are not read, in their order."""

    def run(self) -> object:
        """What is left on the stack at the end."""
        for _ in range(_MOST_PARTS):
            opcode = self.byte()
            if opcode == _STOP:
                return self.stack.pop()
            step = _STEPS.get(opcode)
            if step is None:
                raise Malformed(f"is no pickle, or a damaged one (byte {self.at - 1:,} is {opcode:#04x})")
            step(self)
        raise Malformed(f"has over {_MOST_PARTS:,} parts; save features as numpy arrays, not as lists")

    def take(self, size: int) -> memoryview:
        """The next bytes."""
        if not 0 <= size <= len(self.content) - self.at:
            raise Malformed("ends too early: it is cut off, or damaged")
        self.at += size
        return self.content[self.at - size : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self, form: str) -> int:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def buffer(self, size: int) -> bytes | memoryview:
        """The next bytes, as an object of their own where they are few."""
        piece = self.take(size)
        return piece if size >= _LONG else bytes(piece)

    def line(self) -> str:
        """The text up to the end of the line."""
        return self.raw_line().decode("utf-8", "surrogateescape")

    def raw_line(self) -> bytes:
        end = self.file.find(b"\n", self.at)
        line = bytes(self.take((len(self.content) if end < 0 else end) - self.at))
        self.take(1)
        return line

    def push(self, value: object) -> None:
        self.stack.append(value)

    def since_mark(self) -> list:
        """What lies above the last mark, which goes with it."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _Mark:
                above = self.stack[place + 1 :]
                del self.stack[place:]
                return above
        raise Malformed("is no pickle, or a damaged one (a mark is missing)")

    def tuple_of(self, size: int) -> None:
        if len(self.stack) < size:
            raise Malformed("is no pickle, or a damaged one (its stack is empty)")
        self.stack[-size:] = [tuple(self.stack[-size:])]

    def extend(self, items: list) -> None:
        match self.stack[-1]:
            case list() as values:
                values.extend(items)
            case set() as values:
                values.update(items)
            case _Unknown():
                pass
            case _:
                raise Malformed("is no pickle, or a damaged one (it adds to what is no list)")

    def set_items(self, items: list) -> None:
        target = self.stack[-1]
        if isinstance(target, _Unknown):
            return
        if not isinstance(target, dict) or len(items) % 2:
            raise Malformed("is no pickle, or a damaged one (it puts names into what is no dictionary)")
        target.update(zip(items[::2], items[1::2], strict=True))

    def named(self, module: object, name: object) -> None:
        """Push what a name stands for."""
        self.push(NAMES.get((module, name)) if (module, name) in NAMES else self.refused(f"{module}.{name}"))

    def refused(self, name: str) -> _Unknown:
        self.unknown.setdefault(name)
        return _Unknown()

    def call(self, function: object, arguments: object) -> None:
        if isinstance(function, _Unknown):
            self.push(_Unknown())
        elif not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise Malformed("calls what cannot be called")
        elif any(isinstance(argument, _Unknown) for argument in arguments):
            self.push(_Unknown())
        else:
            self.push(function.make(*arguments))

    def build(self) -> None:
        state = self.stack.pop()
        match self.stack[-1]:
            case Array() | Type() as target:
                if not isinstance(state, _Unknown):
                    target.take_state(state)
            case _Unknown():
                pass
            case _:
                raise Malformed("gives a state to what has none")

    def new(self, arguments: int) -> None:
        """An object made by its class: of those that are read none is."""
        del self.stack[-arguments:]
        made = self.stack.pop()
        self.push(made if isinstance(made, _Unknown) else self.refused("an object of a class"))

    def remember(self, place: int) -> None:
        self.memo[place] = self.stack[-1]


def _whole(text: str) -> int | bool:
    return {"00": False, "01": True}[text] if text in ("00", "01") else int(text.removesuffix("L"))


def _quoted(text: str) -> str:
    """The text of Python 2 between its quotes, whose escapes are those of bytes."""
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
        raise Malformed("is no pickle, or a damaged one (a text has no quotes)")
    return text[1:-1].encode("latin-1").decode("unicode_escape")


def _utf8(machine: _Machine, size: int) -> str:
    return str(machine.take(size), "utf-8", "surrogatepass")


def _latin1(machine: _Machine, size: int) -> str:
    return str(machine.take(size), "latin-1")


def _two(machine: _Machine) -> list:
    if len(machine.stack) < 2:
        raise Malformed("is no pickle, or a damaged one (its stack is empty)")
    pair = machine.stack[-2:]
    del machine.stack[-2:]
    return pair


def _integer(machine: _Machine, size: int) -> int:
    return int.from_bytes(machine.take(size), "little", signed=True)


def _named_after(machine: _Machine) -> None:
    """``i``: the arguments lie on the stack, the name stands in two lines."""
    arguments = tuple(machine.since_mark())
    machine.named(machine.line(), machine.line())
    machine.call(machine.stack.pop(), arguments)


def _object(machine: _Machine) -> None:
    function, *arguments = machine.since_mark()
    machine.call(function, tuple(arguments))


def _dictionary(machine: _Machine) -> None:
    items = machine.since_mark()
    machine.push({})
    machine.set_items(items)


_Step = Callable[[_Machine], object]
_STOP = ord(".")
_STEPS: dict[int, _Step] = {
    # frames and marks
    0x80: lambda m: m.take(1),  # protocol
    0x95: lambda m: m.take(8),  # frame
    ord("("): lambda m: m.push(_Mark),
    ord("0"): lambda m: m.stack.pop(),
    ord("1"): lambda m: m.since_mark(),
    ord("2"): lambda m: m.push(m.stack[-1]),
    # numbers, truth, nothing
    ord("N"): lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    ord("I"): lambda m: m.push(_whole(m.line())),
    ord("L"): lambda m: m.push(_whole(m.line())),
    ord("J"): lambda m: m.push(m.number("<i")),
    ord("K"): lambda m: m.push(m.byte()),
    ord("M"): lambda m: m.push(m.number("<H")),
    0x8A: lambda m: m.push(_integer(m, m.byte())),
    0x8B: lambda m: m.push(_integer(m, m.number("<i"))),
    ord("F"): lambda m: m.push(float(m.line())),
    ord("G"): lambda m: m.push(m.number(">d")),
    # texts and bytes
    ord("S"): lambda m: m.push(_quoted(m.line())),
    ord("T"): lambda m: m.push(_latin1(m, m.number("<i"))),
    ord("U"): lambda m: m.push(_latin1(m, m.byte())),
    ord("V"): lambda m: m.push(m.raw_line().decode("raw_unicode_escape")),
    ord("X"): lambda m: m.push(_utf8(m, m.number("<I"))),
    0x8C: lambda m: m.push(_utf8(m, m.byte())),
    0x8D: lambda m: m.push(_utf8(m, m.number("<Q"))),
    ord("B"): lambda m: m.push(m.buffer(m.number("<I"))),
    ord("C"): lambda m: m.push(m.buffer(m.byte())),
    0x8E: lambda m: m.push(m.buffer(m.number("<Q"))),
    0x96: lambda m: m.push(m.buffer(m.number("<Q"))),
    # containers
    ord("]"): lambda m: m.push([]),
    ord("a"): lambda m: m.extend([m.stack.pop()]),
    ord("e"): lambda m: m.extend(m.since_mark()),
    ord("l"): lambda m: m.push(m.since_mark()),
    ord(")"): lambda m: m.push(()),
    ord("t"): lambda m: m.push(tuple(m.since_mark())),
    0x85: lambda m: m.tuple_of(1),
    0x86: lambda m: m.tuple_of(2),
    0x87: lambda m: m.tuple_of(3),
    ord("}"): lambda m: m.push({}),
    ord("d"): _dictionary,
    ord("s"): lambda m: m.set_items(_two(m)),
    ord("u"): lambda m: m.set_items(m.since_mark()),
    0x8F: lambda m: m.push(set()),
    0x90: lambda m: m.extend(m.since_mark()),
    0x91: lambda m: m.push(frozenset(m.since_mark())),
    # what was met before
    ord("g"): lambda m: m.push(m.memo[int(m.line())]),
    ord("h"): lambda m: m.push(m.memo[m.byte()]),
    ord("j"): lambda m: m.push(m.memo[m.number("<I")]),
    ord("p"): lambda m: m.remember(int(m.line())),
    ord("q"): lambda m: m.remember(m.byte()),
    ord("r"): lambda m: m.remember(m.number("<I")),
    0x94: lambda m: m.remember(len(m.memo)),
    # names, and what is made by them
    ord("c"): lambda m: m.named(m.line(), m.line()),
    0x93: lambda m: m.named(*_two(m)),
    ord("R"): lambda m: m.call(*_two(m)),
    ord("b"): lambda m: m.build(),
    ord("i"): _named_after,
    ord("o"): _object,
    0x81: lambda m: m.new(1),
    0x92: lambda m: m.new(2),
    # what only the program that wrote the file could give
    ord("P"): lambda m: m.push(m.refused(f"the persistent object {m.line()}")),
    ord("Q"): lambda m: m.push(m.refused(f"the persistent object {shown(m.stack.pop())}")),
    0x82: lambda m: m.push(m.refused(f"extension {m.byte()}")),
    0x83: lambda m: m.push(m.refused(f"extension {m.number('<H')}")),
    0x84: lambda m: m.push(m.refused(f"extension {m.number('<i')}")),
    0x97: lambda m: m.push(m.refused("a buffer outside the file")),
    0x98: lambda m: None,  # the buffer is only to be read, as all are here
}
