"""The files of a row block in a Zarr store: its shard, and one raw chunk each of lengths, checksums and identities.

zarr_store.py says what they hold and why they are written here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import google_crc32c
import numpy as np
import xxhash

from ..errors import DamageError
from .durable import read_regular, refuse_links
from .head import TO_MEND, FeatureHead
from .rows import BLOCK_ROWS, STATES

ABSENT = np.uint64(2**64 - 1)  # offset and size of a chunk that is not in its shard (Zarr v3, sharding codec)
_CRC_BYTES = 4


def state_chunks(feature: Path, block: int) -> dict[str, bytes | None]:
    """The bytes of each state of a block; None where there are none."""
    chunks = {}
    for name in STATES:
        path = feature / name / "c" / str(block)
        try:
            chunks[name] = read_regular(path)
        except FileNotFoundError:
            chunks[name] = None
        except OSError:
            chunks[name] = b""  # something else than a file: as damaged as one of another size
    return chunks


def digest_of_states(chunks: Mapping[str, bytes | None]) -> str:
    """XXH3-64 of the states of a block, an absent chunk counting as what it means."""
    digest = xxhash.xxh3_64()
    for name, (kind, absent) in STATES.items():
        content = chunks[name]
        digest.update(np.full(BLOCK_ROWS, absent, kind).tobytes() if content is None else content)
    return digest.hexdigest()


def shard_path(store: Path, feature: str, block: int) -> Path:
    return store / feature / "features" / "c" / str(block) / "0" / "0"


def chunks_in_row(feature: FeatureHead) -> int:
    return -(-feature.spec.max_rows // feature.chunk_rows)


def index_bytes(chunks_per_row: int) -> int:
    return BLOCK_ROWS * chunks_per_row * 16 + _CRC_BYTES


def sizes_fit(index: np.ndarray, chunk_bytes: int) -> bool:
    """Whether every chunk that is in the shard has the one size that chunks have."""
    is_there = index[..., 0] != ABSENT
    return bool((index[..., 1][is_there] == chunk_bytes).all() and (index[..., 1][~is_there] == ABSENT).all())


def shard_pieces(
    feature: FeatureHead, values: list[np.ndarray | None], checksums: np.ndarray
) -> Iterator[bytes | memoryview]:
    """The bytes of a shard: each row's chunks in order, then (offset, size) of every chunk, then a CRC32C of those.

    Rows of equal values are stored once, and the index leads to the same chunks for all of them.
    """
    chunk_rows, chunk_bytes = feature.chunk_rows, feature.chunk_rows * feature.spec.row_bytes
    index = np.full((BLOCK_ROWS, chunks_in_row(feature), 2), ABSENT, "<u8")
    stored: dict[int, int] = {}  # the row that holds the values of a checksum
    at = 0
    for row, content in enumerate(values):
        if content is None:
            continue
        other = stored.setdefault(int(checksums[row]), row)
        if other != row and np.array_equal(values[other].view(np.uint8), content.view(np.uint8)):
            index[row] = index[other]
            continue
        chunks = -(-len(content) // chunk_rows)
        index[row, :chunks, 0] = at + chunk_bytes * np.arange(chunks, dtype=np.uint64)
        index[row, :chunks, 1] = chunk_bytes
        at += chunks * chunk_bytes
        yield memoryview(np.ascontiguousarray(content, feature.spec.stored_type)).cast("B")
        yield bytes(chunks * chunk_bytes - content.nbytes)
    raw = index.tobytes()
    yield raw
    yield google_crc32c.value(raw).to_bytes(_CRC_BYTES, "little")


@lru_cache(maxsize=1024)
def shard_index(store: Path, path: Path, chunks_per_row: int, version: tuple) -> np.ndarray:
    """(BLOCK_ROWS, chunks per row, 2) uint64: offset and size of each chunk in the shard."""
    size = index_bytes(chunks_per_row)
    refuse_links(store, path)
    with open(path, "rb") as file:
        file.seek(max(version[-1] - size, 0))
        raw = file.read(size)
    body, crc = raw[:-_CRC_BYTES], raw[-_CRC_BYTES:]
    if len(raw) != size or google_crc32c.value(body).to_bytes(_CRC_BYTES, "little") != crc:
        raise DamageError(f"{path}: its index is damaged; {TO_MEND}")
    return np.frombuffer(body, "<u8").reshape(BLOCK_ROWS, chunks_per_row, 2)
