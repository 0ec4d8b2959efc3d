"""The store as a Zarr v3 folder.

A row block is one shard: a file of whole chunks, one segment's after the other, and zarr's index of
them at the end, so a segment's valid rows are one stretch of bytes, which rows of equal values share.
Length, checksum and identity of a block are one raw chunk each. A commit replaces these files one by one, each written aside, synced
and renamed; the lengths come last, and rows that are about to change lose theirs first. Writers of
different blocks touch different files and need no lock.

zarr makes the metadata and the string columns; shards and raw chunks are written here, because the
order of chunks in a shard and the moment at which bytes reach the disk are what the promises rest on.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import google_crc32c
import numpy as np
import pandas as pd

from ..errors import StoreError
from .durable import ASIDE, put_in_place, sync_tree, write_all_whole, write_whole
from .segments import segment_table, table_digest
from .spec import FeatureSpec
from .store import (
    BLOCK_ROWS,
    FORMAT,
    FORMAT_VERSION,
    MISSING,
    STATES,
    Damage,
    Extent,
    FeatureHead,
    FeatureStore,
    Row,
    RowStates,
    StoreHead,
    StoreWriter,
    block_range,
    check_head,
    checksum_of,
    damaged_rows,
    merged_extents,
)
from .tasks import Task

_ABSENT = np.uint64(2**64 - 1)  # offset and size of a chunk that is not in its shard (Zarr v3, sharding codec)
_CRC_BYTES = 4


class ZarrStore(FeatureStore):
    """A Zarr v3 folder, read without zarr-python where rows are concerned."""

    def _read_head(self) -> StoreHead:
        attributes = _attributes(self.path)
        check_head(self.path, attributes)
        features = {}
        for folder in sorted(self.path.iterdir()):
            if folder.name == "segments" or folder.suffix or not (folder / "zarr.json").exists():
                continue
            feature = _attributes(folder)
            features[folder.name] = FeatureHead(FeatureSpec.from_json(feature["spec"]), feature["chunk_rows"])
        tasks = tuple(Task.from_json(task) for task in _attributes(self._segments_folder())["tasks"])
        named = (attributes[name] for name in ("created", "msmt_version"))
        return StoreHead(attributes["dataset"], tasks, *named, features, attributes.get("facts", {}))

    def _segments_folder(self) -> Path:
        # Between the two renames that replace the table, the new one is still under its other name.
        folder = self.path / "segments"
        return folder if folder.exists() else self.path / f"segments{ASIDE}"

    def _read_table(self) -> tuple[pd.DataFrame, str]:
        import zarr

        folder = self._segments_folder()
        group = zarr.open_group(str(folder), mode="r")
        columns = {name: group[name][:] for name in _attributes(folder)["columns"]}
        return segment_table(pd.DataFrame(columns), self.tasks), _attributes(folder)["digest"]

    def _read_states(self, feature: str) -> RowStates:
        rows = len(self.segments)
        return RowStates(**{name: _read_raw(self.path / feature / name, name, rows) for name in STATES})

    def _extents(self, feature: str, row: int, rows: int) -> list[Extent]:
        head = self.head.features[feature]
        block, within = divmod(row, BLOCK_ROWS)
        path = _shard_path(self.path, feature, block)
        needed = -(-rows // head.chunk_rows)
        offsets = self._index(feature, block)[within, :needed, 0]
        if (offsets == _ABSENT).any():
            offsets = offsets[: int(np.argmax(offsets == _ABSENT))]
        chunk_bytes = head.chunk_rows * head.spec.width * 2
        return merged_extents(path, offsets.tolist(), chunk_bytes, head.chunk_rows)

    def _index(self, feature: str, block: int) -> np.ndarray:
        path = _shard_path(self.path, feature, block)
        status = path.stat()
        # A shard is never changed, only replaced, so its size, time and file number tell whether the index still holds.
        version = (status.st_ino, status.st_mtime_ns, status.st_size)
        return _shard_index(path, _chunks_per_row(self.head.features[feature]), version)

    def _files(self) -> list[Path]:
        return [Path(folder, name) for folder, _, names in os.walk(self.path) for name in names]

    def _damage_of_files(self) -> Iterable[Damage]:
        for name, head in self.head.features.items():
            try:
                states = self.states(name)
            except StoreError:
                continue  # named already
            chunk_bytes = head.chunk_rows * head.spec.width * 2
            for block in range(-(-len(self.segments) // BLOCK_ROWS)):
                members = block_range(block, len(self.segments))
                path = _shard_path(self.path, name, block)
                if not path.exists():
                    continue  # its rows, if any should be there, are named one by one
                if (states.length[members.start : members.stop] == MISSING).any():
                    continue  # a killed commit may leave values of rows that are still marked missing
                try:
                    offsets = self._index(name, block)[..., 0]
                except StoreError:
                    continue  # its rows are named already
                stored = len(np.unique(offsets[offsets != _ABSENT]))  # rows of equal values share their chunks
                expected = stored * chunk_bytes + _index_bytes(_chunks_per_row(head))
                if path.stat().st_size != expected:
                    yield Damage(name, -1, f"the shard has {path.stat().st_size} bytes, not {expected}", block)


class ZarrWriter(StoreWriter):
    """Writes blocks of a Zarr store. With ``shared``, several writers of different blocks may work at once."""

    store: ZarrStore

    def commit(self, feature: str, block: int, rows: Mapping[int, Row | None]) -> None:
        states = self.store.states(feature)
        members = block_range(block, len(self.store.segments))
        if not set(rows) <= set(members):
            raise StoreError(f"{self.path}: rows {sorted(set(rows) - set(members))} are not in block {block}")
        new = {name: getattr(states, name)[members.start : members.stop].copy() for name in STATES}
        changed = np.array([row - members.start for row in rows], int)
        kept = [row for row in members if row not in rows and states.length[row] != MISSING]
        values = {row: self.store.read(feature, row) for row in kept}
        if (new["length"][changed] != MISSING).any():
            new["length"][changed] = MISSING
            write_whole(*self._state(feature, "length", block, new["length"]))
        for row, content in rows.items():
            at = row - members.start
            if content is None:
                new["length"][at], new["checksum"][at], new["identity"][at] = MISSING, 0, 0
                continue
            values[row] = content.values
            new["length"][at] = len(content.values)
            new["checksum"][at] = checksum_of(content.values)
            new["identity"][at] = content.identity
        head = self.store.head.features[feature]
        shard = _shard_path(self.path, feature, block)
        shard.parent.mkdir(parents=True, exist_ok=True)
        pieces = _shard_pieces(head, [values.get(row) for row in _whole_block(block)], new["checksum"])
        others = [self._state(feature, name, block, new[name]) for name in ("checksum", "identity")]
        write_all_whole({shard: pieces, **dict(others)})
        write_whole(*self._state(feature, "length", block, new["length"]))
        for name in STATES:
            getattr(states, name)[members.start : members.stop] = new[name]

    def mend(self, damages: Sequence[Damage]) -> None:
        for feature in self.store.specs:
            for name, (kind, _) in STATES.items():
                for chunk in (self.path / feature / name / "c").glob("*"):
                    if chunk.stat().st_size != BLOCK_ROWS * np.dtype(kind).itemsize:
                        chunk.unlink()
        self.store._forget()
        rows = damaged_rows(damages)
        for damage in damages:
            if damage.block >= 0:
                rows.setdefault((damage.feature, damage.block), [])
        for (feature, block), members in rows.items():
            self.commit(feature, block, dict.fromkeys(members))

    def finish(self) -> None:
        """Nothing to do: a Zarr store is in its final form after each commit."""

    def _state(self, feature: str, name: str, block: int, values: np.ndarray) -> tuple[Path, list[bytes]]:
        """Path and content of a block's lengths, checksums or identities."""
        kind, absent = STATES[name]
        chunk = np.full(BLOCK_ROWS, absent, kind)
        chunk[: len(values)] = values
        path = self.path / feature / name / "c" / str(block)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path, [chunk.tobytes()]

    def _create(self, head: StoreHead, table: pd.DataFrame) -> None:
        import zarr

        aside = self.path.with_name(self.path.name + ASIDE)
        shutil.rmtree(aside, ignore_errors=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        zarr.create_group(str(aside), attributes=_root_attributes(head))
        _make_segments(aside / "segments", head, table)
        for name, feature in head.features.items():
            _make_feature(aside / name, feature, len(table))
        sync_tree(aside)
        put_in_place(aside, self.path)

    def _replace(self, head: StoreHead, table: pd.DataFrame, emptied: set[str]) -> None:
        rows = len(table)
        # First, because it is the table that tells whether there is anything left to replace.
        _write_attributes(self.path, _root_attributes(head))
        for name, feature in head.features.items():
            folder = self.path / name
            if name in emptied or name not in self.store.specs:
                self._put_folder(folder, lambda aside, feature=feature: _make_feature(aside, feature, rows))
                continue
            if rows != len(self.store.segments):
                # Rows are added before the table names them: until then they are missing rows beyond its end.
                for array in ("features", *STATES):
                    _resize(folder / array, rows)
            if feature != self.store.head.features[name]:
                _write_attributes(folder, _feature_attributes(feature))
        self._put_folder(self.path / "segments", lambda aside: _make_segments(aside, head, table))

    def _put_folder(self, folder: Path, make) -> None:
        aside, old = folder.with_name(folder.name + ASIDE), folder.with_name(folder.name + ".old")
        shutil.rmtree(aside, ignore_errors=True)
        make(aside)
        sync_tree(aside)
        if folder.exists():
            os.replace(folder, old)
        put_in_place(aside, folder)
        shutil.rmtree(old, ignore_errors=True)

    def _recover(self) -> None:
        """Complete a replacement of the table that was cut off between its two renames; drop what it left."""
        folder = self.path / "segments"
        aside = folder.with_name(folder.name + ASIDE)
        if not folder.exists() and aside.exists():
            put_in_place(aside, folder)
        for left in (*self.path.glob("*.old"), *self.path.glob(f"*{ASIDE}")):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _root_attributes(head: StoreHead) -> dict:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "msmt_version": head.msmt_version,
        "dataset": head.dataset,
        "tasks": [task.to_json() for task in head.tasks],
        "created": head.created,
        **({"facts": dict(head.facts)} if head.facts else {}),
    }


def _make_segments(folder: Path, head: StoreHead, table: pd.DataFrame) -> None:
    import zarr

    attributes = {
        "columns": list(table.columns),
        "digest": table_digest(table),
        "tasks": [task.to_json() for task in head.tasks],
    }
    group = zarr.create_group(str(folder), attributes=attributes)
    for column in table.columns:
        values = table[column].to_numpy()
        if values.dtype == object:
            values = values.astype(np.dtypes.StringDType())
        group.create_array(column, data=values, compressors=None)


def _feature_attributes(feature: FeatureHead) -> dict:
    spec = feature.spec
    return {"spec": spec.to_json(), "fingerprint": spec.fingerprint, "chunk_rows": feature.chunk_rows}


def _make_feature(folder: Path, feature: FeatureHead, rows: int) -> None:
    import zarr

    spec, chunk_rows = feature.spec, feature.chunk_rows
    group = zarr.create_group(str(folder), attributes=_feature_attributes(feature))
    group.create_array(
        "features",
        shape=(rows, spec.max_rows, spec.width),
        dtype="<f2",
        chunks=(1, chunk_rows, spec.width),
        shards=(BLOCK_ROWS, _chunks_per_row(feature) * chunk_rows, spec.width),
        compressors=None,
        fill_value=0,
    )
    for name, (kind, absent) in STATES.items():
        group.create_array(name, shape=(rows,), dtype=kind, chunks=(BLOCK_ROWS,), compressors=None, fill_value=absent)


def _write_attributes(folder: Path, attributes: dict) -> None:
    document = json.loads((folder / "zarr.json").read_text())
    document["attributes"] = attributes
    write_whole(folder / "zarr.json", [json.dumps(document, indent=2).encode()])


def _resize(array: Path, rows: int) -> None:
    document = json.loads((array / "zarr.json").read_text())
    document["shape"][0] = rows
    write_whole(array / "zarr.json", [json.dumps(document, indent=2).encode()])


def _attributes(folder: Path) -> dict:
    try:
        return json.loads((folder / "zarr.json").read_text())["attributes"]
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{folder}: is not a feature store of msmt ({error}); name one with --store") from error


def _read_raw(array: Path, name: str, rows: int) -> np.ndarray:
    kind, absent = STATES[name]
    values = np.full(-(-rows // BLOCK_ROWS) * BLOCK_ROWS, absent, kind)
    for block in range(len(values) // BLOCK_ROWS):
        try:
            content = (array / "c" / str(block)).read_bytes()
        except FileNotFoundError:
            continue
        if len(content) != BLOCK_ROWS * values.itemsize:
            raise StoreError(f"{array}: chunk {block} is damaged; run msmt verify")
        values[block * BLOCK_ROWS : (block + 1) * BLOCK_ROWS] = np.frombuffer(content, kind)
    return values[:rows]


def _whole_block(block: int) -> range:
    return range(block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS)


def _shard_path(store: Path, feature: str, block: int) -> Path:
    return store / feature / "features" / "c" / str(block) / "0" / "0"


def _chunks_per_row(feature: FeatureHead) -> int:
    return -(-feature.spec.max_rows // feature.chunk_rows)


def _index_bytes(chunks_per_row: int) -> int:
    return BLOCK_ROWS * chunks_per_row * 16 + _CRC_BYTES


def _shard_pieces(
    feature: FeatureHead, values: list[np.ndarray | None], checksums: np.ndarray
) -> Iterator[bytes | memoryview]:
    """The bytes of a shard: each row's chunks in order, then (offset, size) of every chunk, then a CRC32C of those.

    Rows of equal values are stored once, and the index leads to the same chunks for all of them.
    """
    chunk_rows, chunk_bytes = feature.chunk_rows, feature.chunk_rows * feature.spec.width * 2
    index = np.full((BLOCK_ROWS, _chunks_per_row(feature), 2), _ABSENT, "<u8")
    stored: dict[int, int] = {}  # the row that holds the values of a checksum
    at = 0
    for row, content in enumerate(values):
        if content is None:
            continue
        other = stored.setdefault(int(checksums[row]), row)
        if other != row and np.array_equal(values[other].view(np.uint16), content.view(np.uint16)):
            index[row] = index[other]
            continue
        chunks = -(-len(content) // chunk_rows)
        index[row, :chunks, 0] = at + chunk_bytes * np.arange(chunks, dtype=np.uint64)
        index[row, :chunks, 1] = chunk_bytes
        at += chunks * chunk_bytes
        yield memoryview(np.ascontiguousarray(content, "<f2")).cast("B")
        yield bytes(chunks * chunk_bytes - content.size * 2)
    raw = index.tobytes()
    yield raw
    yield google_crc32c.value(raw).to_bytes(_CRC_BYTES, "little")


@lru_cache(maxsize=1024)
def _shard_index(path: Path, chunks_per_row: int, version: tuple) -> np.ndarray:
    """(BLOCK_ROWS, chunks per row, 2) uint64: offset and size of each chunk in the shard."""
    size = _index_bytes(chunks_per_row)
    with open(path, "rb") as file:
        file.seek(max(version[-1] - size, 0))
        raw = file.read(size)
    body, crc = raw[:-_CRC_BYTES], raw[-_CRC_BYTES:]
    if len(raw) != size or google_crc32c.value(body).to_bytes(_CRC_BYTES, "little") != crc:
        raise StoreError(f"{path}: its index is damaged; run msmt verify")
    return np.frombuffer(body, "<u8").reshape(BLOCK_ROWS, chunks_per_row, 2)
