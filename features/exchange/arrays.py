"""Numpy arrays from the parts that a pickle gives: a type, a shape and bytes. numpy's own way of making them is unused.

numpy would take any type that a pickle describes, also one that makes it take bytes for addresses. Here a type is one
of few, by its name, and bytes and shape must agree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_CODE = re.compile(r"([<>|=]?)([biufSUO?])(\d{0,9})")
_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}
_MOST_DIMENSIONS = 8


class Malformed(Exception):
    """What is wrong with a pickle, as the end of a sentence about the file."""


@dataclass
class Type:
    """A type of values: truth, whole and real numbers, bytes, texts, or objects."""

    kind: str
    """The letter that numpy gives it."""

    size: int
    """Bytes of a value; characters of a text."""

    order: str = "="
    """``<`` and ``>`` are the orders of bytes, anything else is that of this machine."""

    @classmethod
    def named(cls, code: object, *others: object) -> Type:
        """The type of a name such as ``f4`` or ``<U12``."""
        match = _CODE.fullmatch(code) if isinstance(code, str) else None
        if not match:
            raise Malformed(f"has an array of type {code!r:.40}, which is not read")
        order, kind, size = match.groups()
        kind = "b" if kind == "?" else kind
        made = cls(kind, int(size or (1 if kind == "b" else 8)), order)
        if kind in _SIZES and made.size not in _SIZES[kind]:
            raise Malformed(f"has an array of type {code!r:.40}, which is not read")
        return made

    def take_state(self, state: object) -> None:
        """The order of bytes, and no fields: (version, order, base, names, fields, size, alignment, flags)"""
        if not isinstance(state, tuple) or len(state) < 5 or any(state[2:5]):
            raise Malformed("has an array of records, which is not read")
        if state[1] in ("<", ">"):
            self.order = state[1]

    @property
    def numpy(self) -> np.dtype:
        """Never one of objects."""
        order = self.order if self.order in ("<", ">") else "="
        return np.dtype(f"{order}{self.kind}{self.size}")


class Array:
    """An array whose parts are given one after another."""

    def __init__(self) -> None:
        self._state: tuple | None = None

    def take_state(self, state: object) -> None:
        """(version, shape, type, whether the first index runs fastest, bytes or a list of objects)"""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise Malformed("has an array without its values")
        self._state = state[-4:]

    def made(self, settled: Callable[[object], object]) -> np.ndarray:
        """The array; ``settled`` gives objects in it the arrays in them."""
        if self._state is None:
            raise Malformed("has an array without its values")
        shape, kind, is_fortran, content = self._state
        if isinstance(kind, Type) and kind.kind == "O":
            return _of_objects(_checked(shape), content, settled)
        return _of_bytes(shape, kind, content, "F" if is_fortran else "C")


def array_of_buffer(content: object, kind: object, shape: object, order: object = "C") -> np.ndarray:
    """The array that numpy writes as a buffer (protocol 5)."""
    return _of_bytes(shape, kind, content, order)


def scalar_of(kind: object, content: object = b"") -> object:
    """A single value."""
    return _of_bytes((), kind, content, "C")[()]


def _of_bytes(shape: object, kind: object, content: object, order: object) -> np.ndarray:
    shape = _checked(shape)
    if not isinstance(kind, Type) or kind.kind == "O" or order not in ("C", "F"):
        raise Malformed("has an array of a type that is not read")
    content = content.encode("latin-1") if isinstance(content, str) else content
    if not isinstance(content, bytes | memoryview):
        raise Malformed("has an array without its values")
    item = kind.numpy.itemsize
    if math.prod(shape) * item != len(content):
        raise Malformed(f"has an array of shape {shape} and type {kind.kind}{kind.size} in {len(content):,} bytes")
    if not len(content):
        return np.empty(shape, kind.numpy)
    return np.frombuffer(content, kind.numpy).reshape(shape, order=order)


def _of_objects(shape: tuple[int, ...], content: object, settled: Callable[[object], object]) -> np.ndarray:
    if not isinstance(content, list) or math.prod(shape) != len(content):
        raise Malformed("has an array of objects without its values")
    values = np.empty(len(content), object)
    for place, item in enumerate(settled(content)):
        values[place] = item
    return values.reshape(shape)


def _checked(shape: object) -> tuple[int, ...]:
    is_one = isinstance(shape, tuple) and len(shape) <= _MOST_DIMENSIONS
    if not is_one or not all(type(size) is int and size >= 0 for size in shape):
        raise Malformed("has an array of a shape that is none")
    return shape
