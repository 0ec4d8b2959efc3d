"""What plain HDF5 reads of a store: how it is written, and read as the second copy of head and table, and as all that
there is of version 1.

Nothing here follows a link, and no data outside the file is read. A damaged tree can lead the HDF5 library in circles,
so a file is handed to it only when its bytes are those that were written, or after another process has come through.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import xxhash

from ..errors import DamageError, StoreError
from .head import TO_MEND, UNREADABLE, FeatureHead, StoreHead, check_name, reason_of
from .manifest import FORMAT, FORMAT_VERSION, check_head
from .rows import STATES, RowStates
from .segments import segment_table, table_digest

LIBRARY = ("v110", "v110")  # the oldest file format that has virtual datasets; metadata carries checksums
IN_PROGRESS = "parts"  # attribute of a feature of an unfinished store: the blocks that have a part file
_PREFACE_BYTES = 512  # HDF5's user block, which held a digest in version 1
_PREFACE = "msmt-features, XXH3-128 of all bytes after the first 512: {}\n"
_QUICKLY_READ = 1 << 28  # bytes: a file up to this size is read whole before HDF5 gets it
_PATIENCE = 30.0  # seconds that another process may take to go through a tree
_LOOK = Path(__file__).with_name("hdf5_look.py")


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file for reading; whatever HDF5 cannot make of it is a DamageError."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except StoreError as error:
        if str(error).startswith(str(path)):
            raise
        raise DamageError(f"{path}: cannot be read ({reason_of(error)}); {TO_MEND}") from error
    except UNREADABLE as error:
        raise DamageError(f"{path}: is not a readable HDF5 file ({reason_of(error)}); {TO_MEND}") from error


def check_tree(path: Path) -> None:
    """Raise DamageError for a file, sealed by nothing but what version 1 knew, whose tree HDF5 would not come through."""
    status = path.stat()
    if not _comes_to_an_end(path, (status.st_ino, status.st_mtime_ns, status.st_size)):
        raise DamageError(
            f"{path}: is damaged so that HDF5 cannot come to an end with it; delete it and run msmt extract"
        )


@lru_cache(maxsize=64)
def _comes_to_an_end(path: Path, version: tuple) -> bool:
    if version[-1] <= _QUICKLY_READ and is_as_sealed_in_version_1(path):
        return True
    try:
        # -P: what is imported there is never a module of this folder.
        looked = subprocess.run([sys.executable, "-P", str(_LOOK), str(path)], capture_output=True, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        return False
    return looked.returncode >= 0  # a signal ends a process that HDF5 led astray in memory


def is_as_sealed_in_version_1(path: Path) -> bool:
    """Whether a finished store of version 1 has the bytes that were written. Reads the whole file."""
    digest = xxhash.xxh3_128()
    with open(path, "rb") as file:
        preface = file.read(_PREFACE_BYTES)
        while piece := file.read(1 << 24):
            digest.update(piece)
    return preface == _PREFACE.format(digest.hexdigest()).encode().ljust(_PREFACE_BYTES, b"\0")


def head_of(path: Path) -> tuple[StoreHead, dict[str, frozenset[int] | None]]:
    """The head, and for each feature the blocks that have a part; None where the store is finished."""
    with opened(path) as file:
        check_head(path, file.attrs)
        features, parts = {}, {}
        for name in file:
            if name == "segments":
                continue
            features[name], parts[name] = _feature_in(file, check_name(name))
        says = {name: file.attrs[name] for name in ("dataset", "created", "msmt_version")}
        for name, otherwise in (("tasks", None), ("facts", "{}")):
            says[name] = json.loads(file.attrs.get(name, otherwise))
        if "digest" in file.attrs:
            says["digest"] = file.attrs["digest"]
        return StoreHead.from_json({**says, "features": features}), parts


def readable_features(path: Path) -> tuple[str, dict[str, FeatureHead], dict[str, frozenset[int] | None]]:
    """The dataset, and each feature whose own attributes are whole, with its parts as ``head_of`` has them.

    Whatever else cannot be read: the dataset is then empty.
    """
    with opened(path) as file:
        features, parts = {}, {}
        try:
            dataset = str(file.attrs["dataset"])
            dataset.encode()  # what is no text in UTF-8 was never written
        except UNREADABLE:
            dataset = ""
        for encoded in list(file.id):
            try:
                name = check_name(encoded.decode())
                says, blocks = _feature_in(file, name)
                features[name] = FeatureHead.from_json(says)
                parts[name] = blocks
            except UNREADABLE:
                continue
    return dataset, features, parts


def _feature_in(file: h5py.File, name: str) -> tuple[dict, frozenset[int] | None]:
    """What a feature says of itself, and the blocks that have a part; None where the store is finished."""
    group = _own(file, name, h5py.Group)
    spec, chunk_rows = json.loads(group.attrs["spec"]), int(group.attrs["chunk_rows"])
    says = {"spec": spec, "chunk_rows": chunk_rows, "fingerprint": group.attrs["fingerprint"]}
    blocks = group.attrs.get(IN_PROGRESS)
    return says, None if blocks is None else frozenset(np.asarray(blocks, np.int64).ravel().tolist())


def table_of(path: Path, tasks: Sequence) -> pd.DataFrame:
    """The segment table, checked by its digest."""
    with opened(path) as file:
        group = _own(file, "segments", h5py.Group)
        columns = {}
        for name in json.loads(group.attrs["columns"]):
            column = _own(group, check_name(name), h5py.Dataset)
            is_text = h5py.check_string_dtype(column.dtype) is not None
            columns[name] = column.asstr()[:] if is_text else column[:]
        table = segment_table(pd.DataFrame(columns), tasks)
        if table_digest(table) != group.attrs["digest"]:
            raise DamageError(f"{path}: the segment table is damaged; run msmt extract, which writes it anew")
    return table


def rows_of(path: Path, feature: str, head: FeatureHead) -> tuple[RowStates, np.ndarray]:
    """States of a feature's rows in this file, and where they lie; ``feature`` is empty for a part.

    The places are (k, 3) int64: a row, the byte at which a stretch of it begins, and how many frames or tokens it has,
    rows in order and the stretches of a row in order.
    """
    with opened(path) as file:
        group = _own(file, feature, h5py.Group) if feature else file
        states = {}
        for name, (kind, _) in STATES.items():
            values = _own(group, name, h5py.Dataset)
            if values.ndim != 1 or values.dtype.kind not in "iu":
                raise DamageError(f"{path}: {name} is no list of numbers; {TO_MEND}")
            states[name] = values[:].astype(kind)
        data = _own(group, "features", h5py.Dataset)
        is_other = data.chunks != (1, head.chunk_rows, head.spec.width) or data.dtype != head.spec.stored_type
        if is_other or data.compression or data.shuffle:
            raise DamageError(
                f"{path}: its features were rewritten in another layout by other software; run msmt extract again"
            )
        chunks: list[tuple[int, int, int]] = []  # row, frame, byte
        data.id.chunk_iter(lambda chunk: chunks.append((*chunk.chunk_offset[:2], chunk.byte_offset)))
    return RowStates(**states), _stretches(sorted(chunks), head)


def _stretches(chunks: Sequence[tuple[int, int, int]], head: FeatureHead) -> np.ndarray:
    chunk_bytes = head.chunk_rows * head.spec.row_bytes
    places: list[list[int]] = []
    ends: dict[int, int] = {}  # frames of a row so far: a hole in it ends it
    for row, frame, byte in chunks:
        if ends.get(row, 0) != frame:
            continue
        ends[row] = frame + head.chunk_rows
        last = places[-1] if places else None
        if last and last[0] == row and last[1] + last[2] // head.chunk_rows * chunk_bytes == byte:
            last[2] += head.chunk_rows
        else:
            places.append([row, byte, head.chunk_rows])
    return np.array(places, np.int64).reshape(-1, 3)


def _own(group: h5py.Group, name: str, kind: type):
    """A member of a group that lies in the same file. Raises DamageError for a link, or for data elsewhere."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise DamageError(f"{name!r:.80} is missing, or a link, which a store has none of")
    member = group[name]
    if not isinstance(member, kind):
        raise DamageError(f"{name!r:.80} is no {kind.__name__.lower()}")
    if kind is h5py.Dataset and (member.external or member.is_virtual):
        raise DamageError(f"{name!r:.80} leads out of the file, which a store's data never does")
    return member


@contextmanager
def in_memory() -> Iterator[tuple[h5py.File, list[bytes]]]:
    """A file to fill, and the list that its bytes are put into in the end.

    For files that are small: what cannot fill a disk need not be written by HDF5, which does not recover from a full one.
    """
    image: list[bytes] = []
    with h5py.File("in memory", "w", driver="core", backing_store=False, libver=LIBRARY) as file:
        yield file, image
        file.flush()
        image.append(file.id.get_file_image())


def write_head(file: h5py.File, head: StoreHead, table: pd.DataFrame) -> None:
    tasks = json.dumps([task.to_json() for task in head.tasks])
    file.attrs.update(
        format=FORMAT,
        format_version=FORMAT_VERSION,
        msmt_version=head.msmt_version,
        dataset=head.dataset,
        tasks=tasks,
        created=head.created,
        facts=json.dumps(dict(head.facts)),
        digest=head.digest,
    )
    group = file.create_group("segments")
    group.attrs.update(columns=json.dumps(list(table.columns)), digest=table_digest(table), tasks=tasks)
    for column in table.columns:
        values = table[column].to_numpy()
        kind = h5py.string_dtype() if values.dtype == object else values.dtype
        group.create_dataset(check_name(column), data=values, dtype=kind)


def make_group(file: h5py.File, name: str, feature: FeatureHead) -> h5py.Group:
    group = file.create_group(check_name(name))
    group.attrs.update(
        spec=json.dumps(feature.spec.to_json()), fingerprint=feature.spec.fingerprint, chunk_rows=feature.chunk_rows
    )
    return group


def make_features(group: h5py.Group, feature: FeatureHead, rows: int) -> h5py.Dataset:
    spec = feature.spec
    shape, chunks = (rows, spec.max_rows, spec.width), (1, feature.chunk_rows, spec.width)
    return group.create_dataset("features", shape, spec.stored_type, chunks=chunks, fillvalue=0)


def write_row(dataset: h5py.Dataset, row: int, values: np.ndarray, chunk_rows: int) -> None:
    values = np.ascontiguousarray(values, dataset.dtype)
    for start in range(0, len(values), chunk_rows):
        chunk = values[start : start + chunk_rows]
        if len(chunk) < chunk_rows:
            chunk = np.concatenate([chunk, np.zeros((chunk_rows - len(chunk), chunk.shape[1]), dataset.dtype)])
        dataset.id.write_direct_chunk((row, start, 0), chunk)
