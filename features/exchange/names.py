"""The names in a pickle that are read, and what is made where it calls one of them. None is imported from anywhere."""

from __future__ import annotations

from collections.abc import Callable

from .arrays import Array, Malformed, Type, array_of_buffer, scalar_of


class Name:
    """One of the names that are read, as it lies on the stack; calling it makes what numpy, or Python, would make."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[..., object]) -> None:
        self.make = make


def _reconstruct(kind: object, shape: object, code: object) -> Array:
    if kind is not _NDARRAY:
        raise Malformed("has an array that is none of numpy")
    return Array()


def _encode(text: object, encoding: object = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise Malformed("has bytes in an encoding that pickle does not use")
    return text.encode("latin-1")


def _bytes_of(content: object = b"", encoding: object = "latin1") -> bytes:
    return _encode(content, encoding) if isinstance(content, str) else bytes(memoryview(content))


def _dict_of(pairs: object = ()) -> dict:
    return dict(pairs)


def _defaults_of(factory: object = None, pairs: object = ()) -> dict:
    return dict(pairs)


def _set_of(items: object = ()) -> set:
    return set(items)


def _none(*arguments: object) -> None:
    raise Malformed("calls what cannot be called")


_NDARRAY = Name(_none)
_TYPE = Name(Type.named)
_PLAIN = Name(_none)  # the factory of a defaultdict
NAMES: dict[tuple[str, str], Name] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _TYPE,
    ("_codecs", "encode"): Name(_encode),
    ("collections", "OrderedDict"): Name(_dict_of),
    ("collections", "defaultdict"): Name(_defaults_of),
}
for _numpy in ("numpy.core", "numpy._core"):
    NAMES[f"{_numpy}.multiarray", "_reconstruct"] = Name(_reconstruct)
    NAMES[f"{_numpy}.multiarray", "scalar"] = Name(scalar_of)
    NAMES[f"{_numpy}.numeric", "_frombuffer"] = Name(array_of_buffer)
for _builtins in ("builtins", "__builtin__"):
    NAMES[_builtins, "bytes"] = NAMES[_builtins, "bytearray"] = Name(_bytes_of)
    NAMES[_builtins, "set"] = NAMES[_builtins, "frozenset"] = Name(_set_of)
    for _kind in ("list", "dict", "int", "float", "str"):
        NAMES[_builtins, _kind] = _PLAIN
