"""The store as an HDF5 file.

A finished store is one plain file with ordinary chunked datasets. The first 512 bytes, which HDF5
leaves to applications, hold a digest of all that follows, so that a change of any byte is noticed.

While an extraction is in progress the file holds the segment table and, for each feature, virtual
datasets over the files of the folder ``<name>.parts``: one part per row block, and ``base.h5``, the
finished file that this extraction started from, for blocks it does not touch. A part that is not
there yet reads as missing rows. A commit writes a part aside, syncs it and renames it. The end of the
extraction merges everything into a new plain file aside and renames that over the store; a folder of
parts beside a plain file is therefore a leftover and is deleted by the next writer.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import xxhash

from ..errors import StoreError
from .durable import ASIDE, explained, put_in_place, sync_file, sync_folder, write_whole
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
    block_of,
    block_range,
    check_head,
    checksum_of,
    damaged_rows,
    merged_extents,
)
from .tasks import Task

_LIBRARY = ("v110", "v110")  # the oldest file format that has virtual datasets; metadata carries checksums
_SPARE_BYTES = 4 << 20  # that a part may take beyond its values: the rest of each row's last chunk, and metadata
_PREFACE_BYTES = 512  # HDF5's user block
_PREFACE = "msmt-features, XXH3-128 of all bytes after the first 512: {}\n"
_IN_PROGRESS = "parts"  # attribute of a feature of an unfinished store: the blocks that have a part file


class Hdf5Store(FeatureStore):
    """An HDF5 file, finished or in progress, whose rows are read without the HDF5 library."""

    def _forget(self) -> None:
        super()._forget()
        self._offsets: dict[tuple[Path, str], np.ndarray] = {}
        self._parts: dict[str, frozenset[int] | None] = {}

    def _read_head(self) -> StoreHead:
        with _opened(self.path) as file:
            check_head(self.path, file.attrs)
            features = {}
            for name, group in file.items():
                if name == "segments":
                    continue
                spec = FeatureSpec.from_json(json.loads(group.attrs["spec"]))
                features[name] = FeatureHead(spec, int(group.attrs["chunk_rows"]))
                parts = group.attrs.get(_IN_PROGRESS)
                self._parts[name] = None if parts is None else frozenset(parts.tolist())
            tasks = tuple(Task.from_json(task) for task in json.loads(file.attrs["tasks"]))
            attributes = file.attrs
            named = (attributes[name] for name in ("created", "msmt_version"))
            return StoreHead(attributes["dataset"], tasks, *named, features, json.loads(attributes.get("facts", "{}")))

    def _read_table(self) -> tuple[pd.DataFrame, str]:
        with _opened(self.path) as file:
            group = file["segments"]
            columns = {}
            for name in json.loads(group.attrs["columns"]):
                is_text = h5py.check_string_dtype(group[name].dtype) is not None
                columns[name] = group[name].asstr()[:] if is_text else group[name][:]
            return segment_table(pd.DataFrame(columns), self.tasks), group.attrs["digest"]

    def _read_states(self, feature: str) -> RowStates:
        with _opened(self.path) as file:
            group = file[feature]
            return RowStates(**{name: group[name][:].astype(kind) for name, (kind, _) in STATES.items()})

    @property
    def in_progress(self) -> bool:
        """Whether the file is one of virtual datasets, so that an extraction has yet to finish it."""
        self.head  # noqa: B018  reads the parts of each feature
        return any(parts is not None for parts in self._parts.values())

    def _home(self, feature: str, row: int) -> tuple[Path, str, int]:
        """The file that holds a row, the name of the feature's dataset there, and the row's number in it."""
        parts = self._parts_of(feature)
        if parts is None:
            return self.path, f"{feature}/features", row
        block = block_of(row)
        if block in parts:
            return part_path(self.path, feature, block), "features", row - block * BLOCK_ROWS
        return parts_folder(self.path) / "base.h5", f"{feature}/features", row

    def _parts_of(self, feature: str) -> frozenset[int] | None:
        self.head  # noqa: B018  reads the parts of each feature
        return self._parts[feature]

    def _extents(self, feature: str, row: int, rows: int) -> list[Extent]:
        path, dataset, at = self._home(feature, row)
        head = self.head.features[feature]
        key = (path, dataset)
        if key not in self._offsets:
            self._offsets[key] = _chunk_offsets(path, dataset, head)
        offsets = self._offsets[key][at, : -(-rows // head.chunk_rows)]
        if (offsets < 0).any():
            offsets = offsets[: int(np.argmax(offsets < 0))]
        return merged_extents(path, offsets.tolist(), head.chunk_rows * head.spec.width * 2, head.chunk_rows)

    def forget_part(self, feature: str, block: int) -> None:
        """A part was replaced, so where its chunks lie must be read again."""
        self._offsets.pop((part_path(self.path, feature, block), "features"), None)

    def _files(self) -> list[Path]:
        folder = parts_folder(self.path)
        return [self.path, *(sorted(folder.iterdir()) if self.in_progress and folder.exists() else [])]

    def _damage_of_files(self) -> Iterable[Damage]:
        with open(self.path, "rb") as file:
            preface = file.read(_PREFACE_BYTES)
        if not self.in_progress and preface != _preface(self.path):
            yield Damage("", -1, "the file's bytes are not those that were written")


class Hdf5Writer(StoreWriter):
    """Writes an HDF5 store; one process at a time."""

    store: Hdf5Store

    def __init__(self, path: Path, shared: bool = False) -> None:
        if shared:
            raise StoreError(f"{path}: an HDF5 store has one writer at a time; use --format zarr for several")
        super().__init__(path)

    def commit(self, feature: str, block: int, rows: Mapping[int, Row | None]) -> None:
        store = self.store
        members = block_range(block, len(store.segments))
        if not set(rows) <= set(members):
            raise StoreError(f"{self.path}: rows {sorted(set(rows) - set(members))} are not in block {block}")
        parts = store._parts_of(feature)
        if parts is None or block not in parts:
            self._open_for_parts({feature: {block}})
        states = store.states(feature)
        content: dict[int, Row] = {row: new for row, new in rows.items() if new is not None}
        for row in members:
            if row not in rows and states.length[row] != MISSING:
                content[row] = Row(store.read(feature, row), int(states.identity[row]))
        written = self._write_part(feature, block, content, store.head.features[feature], len(members))
        for name, values in written.items():
            getattr(states, name)[members.start : members.stop] = values
        store.forget_part(feature, block)

    def mend(self, damages: Sequence[Damage]) -> None:
        for (feature, block), rows in damaged_rows(damages).items():
            self.commit(feature, block, dict.fromkeys(rows))
        if not self.store.in_progress:
            self._open_for_parts({})  # nothing but unused bytes or metadata: writing the file again mends it
        self.finish()

    def finish(self) -> None:
        """Merge parts and base into one plain file, if there are any."""
        if not self.store.in_progress:
            shutil.rmtree(parts_folder(self.path), ignore_errors=True)
            return
        _check_space(self.path, sum(path.stat().st_size for path in self.store._files()))
        with explained(self.path):
            aside = self.path.with_name(self.path.name + ASIDE)
            self._write_plain(aside, self.store.head, self.store.segments, self.store)
            put_in_place(aside, self.path)
            shutil.rmtree(parts_folder(self.path), ignore_errors=True)
        self.store._forget()

    def _create(self, head: StoreHead, table: pd.DataFrame) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(parts_folder(self.path), ignore_errors=True)
        every_block = frozenset(range(-(-len(table) // BLOCK_ROWS)))
        self._write_virtual(head, table, {name: every_block for name in head.features}, base_rows=0)

    def _replace(self, head: StoreHead, table: pd.DataFrame, emptied: set[str]) -> None:
        store, blocks = self.store, range(-(-len(table) // BLOCK_ROWS))
        full = {}  # blocks that can stay as they are in base.h5 or in their part
        for name in head.features:
            if name in store.specs and name not in emptied:
                full[name] = {
                    block
                    for block in blocks
                    if len(block_range(block, len(store.segments))) == len(block_range(block, len(table)))
                }
        self._open_for_parts(
            {name: set(blocks) - full.get(name, set()) for name in head.features}, head, table, emptied
        )

    def _open_for_parts(
        self,
        wanted: Mapping[str, set[int]],
        head: StoreHead | None = None,
        table: pd.DataFrame | None = None,
        emptied: set[str] = frozenset(),
    ) -> None:
        """Make the store one of virtual datasets in which the wanted blocks, besides those that are, have parts.

        The parts that take over rows from elsewhere are written first, then one rename of the store makes them count.
        """
        store = self.store
        head = head or store.head
        rows = len(store.segments if table is None else table)
        folder = parts_folder(self.path)
        if not store.in_progress:
            shutil.rmtree(folder, ignore_errors=True)  # a leftover, see above
        folder.mkdir(exist_ok=True)
        parts = {}
        for name, feature in head.features.items():
            is_kept = name in store.specs and name not in emptied
            old = (store._parts_of(name) if is_kept else None) or frozenset()
            parts[name] = old | wanted.get(name, set())
            for block in sorted(wanted.get(name, set())):
                if not is_kept:
                    part_path(self.path, name, block).unlink(missing_ok=True)
                    continue
                states = store.states(name)
                content = {
                    row: Row(store.read(name, row), int(states.identity[row]))
                    for row in block_range(block, len(store.segments))
                    if states.length[row] != MISSING
                }
                if content:
                    self._write_part(name, block, content, feature, len(block_range(block, rows)))
        if not store.in_progress:
            _link(self.path, folder / "base.h5")
        base_rows = 0
        if (folder / "base.h5").exists():
            with _opened(folder / "base.h5") as base:
                base_rows = len(base["segments/segment_id"])
        self._write_virtual(head, store.segments if table is None else table, parts, base_rows)
        store._forget()

    def _write_part(
        self, feature: str, block: int, content: Mapping[int, Row], head: FeatureHead, rows: int
    ) -> dict[str, np.ndarray]:
        first = block * BLOCK_ROWS
        states = {name: np.full(rows, absent, kind) for name, (kind, absent) in STATES.items()}
        path = part_path(self.path, feature, block)
        aside = path.with_name(path.name + ASIDE)
        path.parent.mkdir(exist_ok=True)
        _check_space(path, sum(new.values.nbytes for new in content.values()) + _SPARE_BYTES)
        with explained(path):
            with h5py.File(aside, "w", libver=_LIBRARY) as file:
                dataset = _make_features(file, head, rows)
                for row in sorted(content):
                    at, new = row - first, content[row]
                    _write_row(dataset, at, new.values, head.chunk_rows)
                    states["length"][at] = len(new.values)
                    states["checksum"][at] = checksum_of(new.values)
                    states["identity"][at] = new.identity
                for name, values in states.items():
                    file.create_dataset(name, data=values)
            sync_file(aside)
            put_in_place(aside, path)
        return states

    def _write_virtual(
        self, head: StoreHead, table: pd.DataFrame, parts: Mapping[str, frozenset], base_rows: int
    ) -> None:
        rows = len(table)
        folder = parts_folder(self.path)
        folder.mkdir(exist_ok=True)
        with _in_memory() as (file, image):
            _write_head(file, head, table)
            for name, feature in head.features.items():
                group = _make_group(file, name, feature)
                group.attrs[_IN_PROGRESS] = np.array(sorted(parts[name]), np.int64)
                spec = feature.spec
                kinds = {"features": ("<f2", 0), **STATES}
                for dataset, (kind, absent) in kinds.items():
                    tail = (spec.max_rows, spec.width) if dataset == "features" else ()
                    layout = h5py.VirtualLayout((rows, *tail), kind)
                    for block in range(-(-rows // BLOCK_ROWS)):
                        members = block_range(block, rows)
                        if block in parts[name]:
                            where, shape = part_path(self.path, name, block), (len(members), *tail)
                            source = h5py.VirtualSource(f"{folder.name}/{where.name}", dataset, shape, kind)
                            layout[members.start : members.stop] = source
                        else:
                            shape = (base_rows, *tail)
                            source = h5py.VirtualSource(f"{folder.name}/base.h5", f"{name}/{dataset}", shape, kind)
                            layout[members.start : members.stop] = source[members.start : members.stop]
                    group.create_virtual_dataset(dataset, layout, fillvalue=absent)
        write_whole(self.path, image)

    def _write_plain(self, path: Path, head: StoreHead, table: pd.DataFrame, source: Hdf5Store) -> None:
        with h5py.File(path, "w", libver=_LIBRARY, userblock_size=_PREFACE_BYTES) as file:
            _write_head(file, head, table)
            for name, feature in head.features.items():
                group = _make_group(file, name, feature)
                dataset = _make_features(group, feature, len(table))
                states = source.states(name)
                for row in np.flatnonzero(states.length != MISSING):
                    values = source.read(name, int(row))
                    if checksum_of(values) != states.checksum[row]:
                        raise StoreError(
                            f"{self.path}: row {row} of {name} is damaged; run msmt verify --repair, then msmt extract"
                        )
                    _write_row(dataset, int(row), values, feature.chunk_rows)
                for state in STATES:
                    group.create_dataset(state, data=getattr(states, state))
        preface = _preface(path)
        with open(path, "r+b") as file:
            file.write(preface)
        sync_file(path)


def parts_folder(store: Path) -> Path:
    """Where an unfinished store keeps its parts."""
    return store.with_name(store.name + ".parts")


def part_path(store: Path, feature: str, block: int) -> Path:
    """The file of one row block of an unfinished store."""
    return parts_folder(store) / f"{feature}-{block:06d}.h5"


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """The file for reading; whatever HDF5 cannot make of it is a StoreError."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        reason = str(error.args[0] if error.args else error)
        raise StoreError(
            f"{path}: is not a readable HDF5 file ({reason}); run msmt verify, or name another store"
        ) from error


def _check_space(path: Path, needed: int) -> None:
    """Raise StoreError unless the disk has room: HDF5 does not recover from a disk that fills up under it."""
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise StoreError(
            f"{path}: no space left on the disk ({needed / 1e6:.1f} MB are needed, {free / 1e6:.1f} MB are free);"
            " all that was committed stays: make room and run the command again"
        )


@contextmanager
def _in_memory() -> Iterator[tuple[h5py.File, list[bytes]]]:
    """A file to fill, and the list that its bytes are put into in the end.

    For files that are small: what cannot fill a disk need not be written by HDF5, which does not recover from a full one.
    """
    image: list[bytes] = []
    with h5py.File("in memory", "w", driver="core", backing_store=False, libver=_LIBRARY) as file:
        yield file, image
        file.flush()
        image.append(file.id.get_file_image())


def _write_head(file: h5py.File, head: StoreHead, table: pd.DataFrame) -> None:
    tasks = json.dumps([task.to_json() for task in head.tasks])
    file.attrs.update(
        format=FORMAT,
        format_version=FORMAT_VERSION,
        msmt_version=head.msmt_version,
        dataset=head.dataset,
        tasks=tasks,
        created=head.created,
    )
    if head.facts:
        file.attrs["facts"] = json.dumps(head.facts)
    group = file.create_group("segments")
    group.attrs.update(columns=json.dumps(list(table.columns)), digest=table_digest(table), tasks=tasks)
    for column in table.columns:
        values = table[column].to_numpy()
        kind = h5py.string_dtype() if values.dtype == object else values.dtype
        group.create_dataset(column, data=values, dtype=kind)


def _make_group(file: h5py.File, name: str, feature: FeatureHead) -> h5py.Group:
    group = file.create_group(name)
    group.attrs.update(
        spec=json.dumps(feature.spec.to_json()), fingerprint=feature.spec.fingerprint, chunk_rows=feature.chunk_rows
    )
    return group


def _make_features(group: h5py.Group, feature: FeatureHead, rows: int) -> h5py.Dataset:
    spec = feature.spec
    chunks = (1, feature.chunk_rows, spec.width)
    return group.create_dataset("features", (rows, spec.max_rows, spec.width), "<f2", chunks=chunks, fillvalue=0)


def _write_row(dataset: h5py.Dataset, row: int, values: np.ndarray, chunk_rows: int) -> None:
    values = np.ascontiguousarray(values, "<f2")
    for start in range(0, len(values), chunk_rows):
        chunk = values[start : start + chunk_rows]
        if len(chunk) < chunk_rows:
            chunk = np.concatenate([chunk, np.zeros((chunk_rows - len(chunk), chunk.shape[1]), "<f2")])
        dataset.id.write_direct_chunk((row, start, 0), chunk)


def _chunk_offsets(path: Path, dataset: str, feature: FeatureHead) -> np.ndarray:
    """(rows of the dataset, chunks per row) int64: byte offset of each chunk in the file, -1 if it is not stored."""
    with _opened(path) as file:
        data = file[dataset]
        if data.chunks != (1, feature.chunk_rows, feature.spec.width) or data.compression or data.shuffle:
            raise StoreError(
                f"{path}: {dataset} was rewritten in another layout by other software; run msmt extract again"
            )
        offsets = np.full((data.shape[0], -(-data.shape[1] // feature.chunk_rows)), -1, np.int64)

        def note(chunk) -> None:
            row, frame, _ = chunk.chunk_offset
            offsets[row, frame // feature.chunk_rows] = chunk.byte_offset

        data.id.chunk_iter(note)
    return offsets


def _preface(path: Path) -> bytes:
    digest = xxhash.xxh3_128()
    with open(path, "rb") as file:
        file.seek(_PREFACE_BYTES)
        while piece := file.read(1 << 24):
            digest.update(piece)
    return _PREFACE.format(digest.hexdigest()).encode().ljust(_PREFACE_BYTES, b"\0")


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
        sync_file(target)
    sync_folder(target.parent)
