"""Look at everything in an HDF5 file that msmt reads of it, but features: a process of its own to see whether it ends.

A damaged file can lead the HDF5 library in circles, so this runs before msmt reads such a file itself, and is killed if
it does not come through. It looks at whatever it can: what cannot be read does not keep it from what comes next.
"""

from __future__ import annotations

import json
import sys

import h5py

ATTRIBUTES = (
    *("format", "format_version", "msmt_version", "dataset", "tasks", "created", "facts", "digest"),
    *("columns", "spec", "fingerprint", "chunk_rows", "parts"),
)
ARRAYS = ("length", "checksum", "identity", "features")
DEEPEST = 2  # an array in a group in the file


def look_at(thing: h5py.Group | h5py.Dataset, members: tuple[str, ...] = ("segments", *ARRAYS), depth: int = 0) -> None:
    """Read attributes and members, those by these names even where a list of them cannot be had."""
    for name in {*(_tried(list, thing.attrs) or ()), *ATTRIBUTES}:
        _tried(thing.attrs.get, name)
    if isinstance(thing, h5py.Dataset):
        _tried(_look_at_array, thing)
    if not isinstance(thing, h5py.Group) or depth == DEEPEST:
        return
    columns = _tried(lambda: json.loads(thing.attrs["columns"]))
    listed = [_tried(bytes.decode, name) for name in _tried(list, thing.id) or ()]
    for name in {*listed, *members, *(columns if isinstance(columns, list) else ())} - {None}:
        if isinstance(_tried(lambda name=name: thing.get(name, getlink=True)), h5py.HardLink):
            member = _tried(thing.get, name)
            if member is not None:
                look_at(member, ARRAYS, depth + 1)


def _look_at_array(array: h5py.Dataset) -> None:
    if array.ndim == 1 and not array.external and not array.is_virtual:
        _tried(lambda: array[:])
    if array.chunks:
        _tried(array.id.chunk_iter, lambda chunk: None)


def _tried(step, *arguments):
    """What a step returns; None where it fails."""
    try:
        return step(*arguments)
    except Exception:  # noqa: BLE001  what matters is that it came back
        return None


if __name__ == "__main__":
    with h5py.File(sys.argv[1], "r") as file:
        look_at(file)
