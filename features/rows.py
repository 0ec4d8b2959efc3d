"""Rows and their blocks, as both formats keep them: shapes, checksums, identities, and where a row lies in a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from ..errors import DamageError, StoreError
from .head import TO_MEND
from .spec import FeatureSpec

BLOCK_ROWS = 32  # rows of a block: a Zarr shard, or an HDF5 part
MISSING = -1
# Arrays with one value per row beside the features: their type, and the value of a row that is not there yet.
STATES = {"length": ("<i4", MISSING), "checksum": ("<u8", 0), "identity": ("<u8", 0)}

# Small chunks waste less on the last chunk of a segment, large ones read faster through plain
# libraries. The largest that wastes no more than this share is chosen when a feature is created.
_WASTE_ALLOWED = 0.06
_SMALLEST_CHUNK = 4


@dataclass(frozen=True)
class Row:
    """One row to commit: the valid values of one segment, and the hash of what they were made from."""

    values: np.ndarray
    """(length, d), of the type that the feature's spec names; finite."""

    identity: int
    """Unsigned 64-bit hash, see ``identity_of``."""


@dataclass(frozen=True)
class RowStates:
    """What a store knows of each row of a feature, as three arrays of shape (N,)."""

    length: np.ndarray
    """int32, valid rows; -1 = missing."""

    checksum: np.ndarray
    """uint64, XXH3 of the valid rows' bytes."""

    identity: np.ndarray
    """uint64, hash of what the row was made from."""


@dataclass(frozen=True)
class Extent:
    """Consecutive rows of a feature as they lie, uncompressed, in a file."""

    path: Path
    offset: int
    """Bytes from the beginning of the file."""

    rows: int


def block_of(row: int) -> int:
    return row // BLOCK_ROWS


def block_range(block: int, rows: int) -> range:
    """The row numbers of a block in a store of ``rows`` rows."""
    return range(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, rows))


def chunk_rows_for(spec: FeatureSpec, expected_lengths: np.ndarray) -> int:
    """The largest chunk, in frames or tokens, that wastes little on segments of these lengths."""
    lengths = np.asarray(expected_lengths)
    lengths = np.clip(lengths[lengths > 0], 1, spec.max_rows)
    for pieces in range(1, spec.max_rows + 1):
        rows = -(-spec.max_rows // pieces)
        if rows <= _SMALLEST_CHUNK or not len(lengths):
            break
        stored = (-(-lengths // rows) * rows).sum()
        if stored <= (1 + _WASTE_ALLOWED) * lengths.sum():
            break
    return rows if len(lengths) else -(-spec.max_rows // 9)


def checksum_of(values: np.ndarray) -> int:
    """XXH3 (64 bit) of the bytes of (length, d) values in their own type, little-endian."""
    return xxhash.xxh3_64_intdigest(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data)


def identity_of(*parts: str) -> int:
    """Unsigned 64-bit hash of what a row was made from."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return int.from_bytes(digest.digest(), "little")


def check_rows(path: Path, feature: str, spec: FeatureSpec, rows: Mapping[int, Row | None]) -> None:
    """Raise StoreError unless every row is what a store of this spec can hold: its shape, its type, finite numbers."""
    for row, content in rows.items():
        values = None if content is None else content.values
        if values is None:
            continue
        if not isinstance(values, np.ndarray) or values.dtype != spec.stored_type:
            kind = getattr(values, "dtype", type(values).__name__)
            raise StoreError(f"{path}: row {row} of {feature} must be {spec.dtype}, but is {kind}; nothing was written")
        if values.ndim != 2 or values.shape[1] != spec.width or len(values) > spec.max_rows:
            raise StoreError(
                f"{path}: row {row} of {feature} must be up to ({spec.max_rows}, {spec.width}), but is {values.shape};"
                " nothing was written"
            )
        if not _are_finite(values):
            raise StoreError(
                f"{path}: row {row} of {feature} has values that {spec.dtype} cannot hold (infinite, or not numbers);"
                " nothing was written"
            )


def _are_finite(values: np.ndarray) -> bool:
    """Whether no value is infinite or not a number: by the largest bit patterns of either sign, which cost no copy."""
    whole, infinity = (np.int16, 0x7C00) if values.dtype.itemsize == 2 else (np.int32, 0x7F800000)
    bits = np.ascontiguousarray(values).view(whole)
    if not bits.size:
        return True
    unsigned = bits.view(f"u{bits.itemsize}")
    return bool(bits.max() < infinity and unsigned.max() < infinity + np.iinfo(whole).max + 1)


def merged_extents(path: Path, offsets: Sequence[int], chunk_bytes: int, chunk_rows: int) -> list[Extent]:
    """Chunks at ``offsets`` of one file, in order, neighbours joined so that each is read at once."""
    extents: list[Extent] = []
    for offset in offsets:
        last = extents[-1] if extents else None
        if last and last.offset + last.rows // chunk_rows * chunk_bytes == offset:
            extents[-1] = Extent(path, last.offset, last.rows + chunk_rows)
        else:
            extents.append(Extent(path, int(offset), chunk_rows))
    return extents


def read_into(values: np.ndarray, extent: Extent) -> None:
    if not values.size:
        return
    view = memoryview(values).cast("B")
    with explained_read(extent.path), open(extent.path, "rb", buffering=0) as file:
        file.seek(extent.offset)
        done = 0
        while done < len(view):
            count = file.readinto(view[done:])
            if not count:
                raise DamageError(f"{extent.path}: ends before byte {extent.offset + len(view)}; {TO_MEND}")
            done += count


@contextmanager
def explained_read(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to read a store's file into errors that say what to do."""
    try:
        yield
    except FileNotFoundError as error:
        raise DamageError(f"{path}: is missing; {TO_MEND}") from error
    except OSError as error:
        raise DamageError(f"{path}: cannot be read ({error.strerror}); {TO_MEND}") from error
