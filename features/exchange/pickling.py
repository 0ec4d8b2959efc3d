"""Pickles written piece by piece, so that an array larger than memory can be written, and numpy 1 and 2 read it.

Protocol 4. Names of numpy are those of numpy 1, which numpy 2 knows too.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
_NDARRAY = b"cnumpy\nndarray\n"
_DTYPE = b"cnumpy\ndtype\n"
_OBJECT = "O8"


@dataclass(frozen=True)
class Streamed:
    """An array whose values come one after another."""

    shape: tuple[int, ...]
    dtype: str
    """``f4`` or ``i8``; values are little-endian."""

    values: Callable[[], Iterable[np.ndarray]]
    """Gives all of them, in order, in pieces of any size."""

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def pickled(value: object) -> Iterator[bytes | memoryview]:
    """The pieces of a pickle of dictionaries by names, arrays of numbers, ``Streamed`` or not, and of texts."""
    yield b"\x80\x04"
    yield from _parts(value)
    yield b"."


def _parts(value: object) -> Iterator[bytes | memoryview]:
    match value:
        case Mapping():
            yield b"}("
            for name, each in value.items():
                yield from _parts(name)
                yield from _parts(each)
            yield b"u"
        case str():
            content = value.encode("utf-8", "surrogatepass")
            yield b"X" + struct.pack("<I", len(content)) + content
        case int():
            yield b"\x8a\x08" + struct.pack("<q", value)
        case Streamed():
            yield from _array(value.shape, value.dtype, _streamed(value))
        case np.ndarray() if value.dtype.kind == "O":
            yield from _array(value.shape, _OBJECT, _listed(value.reshape(-1).tolist()))
        case np.ndarray():
            content = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
            yield from _array(value.shape, value.dtype.str[1:], [_size(content.nbytes), content.tobytes()])
        case _:
            raise TypeError(f"a {type(value).__name__} is not written")


def _array(shape: Sequence[int], dtype: str, content: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """An empty array, and its state: (version, shape, type, whether the first index runs fastest, content)"""
    order, flags = (b"X\x01\0\0\0|", b"K\x3f") if dtype == _OBJECT else (b"X\x01\0\0\0<", b"K\0")
    yield _RECONSTRUCT + _NDARRAY + b"K\0\x85C\x01b\x87R(K\x01("
    for size in shape:
        yield from _parts(int(size))
    yield b"t" + _DTYPE
    yield from _parts(dtype)
    yield b"\x89\x88\x87R(K\x03" + order + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff" + flags + b"tb\x89"
    yield from content
    yield b"tb"


def _listed(items: Sequence[str]) -> Iterator[bytes | memoryview]:
    yield b"]("
    for item in items:
        yield from _parts(item)
    yield b"e"


def _size(size: int) -> bytes:
    return b"\x8e" + struct.pack("<Q", size)


def _streamed(array: Streamed) -> Iterator[bytes | memoryview]:
    yield _size(array.bytes)
    written = 0
    for piece in array.values():
        content = np.ascontiguousarray(piece, np.dtype(array.dtype).newbyteorder("<"))
        written += content.nbytes
        if content.nbytes:
            yield memoryview(content).cast("B")
    assert written == array.bytes, f"an array of {array.bytes} bytes came as {written}"
