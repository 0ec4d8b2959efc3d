"""The store as an HDF5 file.

A finished store is one plain file with ordinary chunked datasets, sealed as sealed.py says: the manifest behind what HDF5
wrote holds head and table once more, and for each feature the states of its rows and where they lie, "rows":
{"features": {name: {"length", "checksum", "identity", "places": base64 of little-endian values}}}. msmt reads nothing else
of a file but the rows themselves; the tree is for plain h5py.

While an extraction is in progress the file holds the segment table and, for each feature, virtual
datasets over the files of the folder ``<name>.parts``: one part per row block, and ``base.h5``, the
finished file that this extraction started from, for blocks it does not touch; "rows": {"parts": {name: [blocks]}}. A part
that is not there yet reads as missing rows. A commit writes a part aside, syncs it and renames it. The end of the
extraction merges everything into a new plain file aside and renames that over the store; a folder of
parts beside a plain file is therefore a leftover and is deleted by the next writer.
"""

from __future__ import annotations

import json
import os
import shutil
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from ..errors import DamageError, StoreError
from . import hdf5_tree
from .durable import ASIDE, explained, put_in_place, refuse_links, sync_file, sync_folder, write_whole
from .head import TO_MEND, UNREADABLE, FeatureHead, StoreHead, check_name, reason_of, without_remedy
from .manifest import FORMAT, FORMAT_VERSION, Manifest
from .sealed import SEAL_BYTES, manifest_in, seal_of, sealed, tree_is_whole, write_seal
from .segments import segment_table, table_digest
from .store import (
    BLOCK_ROWS,
    MISSING,
    STATES,
    Anew,
    Damage,
    Extent,
    FeatureStore,
    Row,
    RowStates,
    StoreWriter,
    block_of,
    block_range,
    check_rows,
    checksum_of,
    damaged_rows,
    explained_read,
)

_LIBRARY = ("v110", "v110")  # the oldest file format that has virtual datasets; metadata carries checksums
_SPARE_BYTES = 4 << 20  # that a part may take beyond its values: the rest of each row's last chunk, and metadata


@dataclass(frozen=True)
class Contents:
    """The rows of one feature in one file."""

    states: RowStates

    places: np.ndarray
    """(k, 3) int64: a row, the byte at which a stretch of it begins, and its frames or tokens; see hdf5_tree.rows_of."""

    def to_json(self) -> dict:
        """A plain dictionary that ``from_json`` turns back into this."""
        arrays = {name: getattr(self.states, name).astype(kind) for name, (kind, _) in STATES.items()}
        return {name: _encoded(values) for name, values in (*arrays.items(), ("places", self.places.astype("<i8")))}

    @classmethod
    def from_json(cls, fields: Mapping[str, str], rows: int) -> Contents:
        """The first so many rows: a part may have more, which a kill kept the store from naming.

        Raises DamageError where there are fewer.
        """
        states = {name: _decoded(fields[name], kind) for name, (kind, _) in STATES.items()}
        places = _decoded(fields["places"], "<i8").reshape(-1, 3)
        if any(len(values) < rows for values in states.values()) or (np.diff(places[:, 0]) < 0).any():
            raise DamageError("the states of its rows are not as many as its rows")
        return cls(RowStates(**{name: values[:rows] for name, values in states.items()}), places)

    def extents(self, path: Path, row: int, rows: int) -> list[Extent]:
        """Where the first ``rows`` stored rows of a segment lie."""
        first, last = np.searchsorted(self.places[:, 0], [row, row + 1])
        extents, left = [], rows
        for _, offset, length in self.places[first:last].tolist():
            if left > 0:
                extents.append(Extent(path, offset, min(length, left)))
                left -= length
        return extents


class Hdf5Store(FeatureStore):
    """An HDF5 file, finished or in progress, read without the HDF5 library unless it is of version 1."""

    def _forget(self) -> None:
        super()._forget()
        self._contents: dict[tuple[Path, str], Contents] = {}
        self._parts: dict[str, frozenset[int] | None] | None = None
        self._base: Hdf5Store | None = None

    def _read_manifest(self) -> Manifest | None:
        with explained_read(self.path):
            seal, _ = seal_of(self.path)
            if seal is None:
                self._check_unsealed()
                return None
            return Manifest.from_bytes(manifest_in(self.path, seal), str(self.path))

    def _check_unsealed(self) -> None:
        """A file without a seal is of version 1, no store, or one whose seals are lost."""
        hdf5_tree.check_tree(self.path)
        try:
            with h5py.File(self.path, "r") as file:
                attributes = dict(file.attrs)
        except UNREADABLE as error:
            raise DamageError(
                f"{self.path}: is not a readable HDF5 file ({reason_of(error)}); delete it, or name another"
            ) from error
        hdf5_tree.check_head(self.path, attributes)
        if attributes["format_version"] != 1:
            raise DamageError(
                f"{self.path}: has lost what msmt says of it in its first and last bytes, which other software may not"
                f" keep; {TO_MEND}"
            )

    def _plain_head(self) -> StoreHead:
        head, self._parts = hdf5_tree.head_of(self.path)
        return head

    def _plain_table(self, tasks: Sequence) -> pd.DataFrame:
        return hdf5_tree.table_of(self.path, tasks)

    @property
    def parts(self) -> dict[str, frozenset[int] | None]:
        """For each feature the blocks that have a part of their own; None where the file is finished."""
        if self._parts is None and self.manifest is None:
            self._plain_head()
        elif self._parts is None:
            parts = (self.manifest.rows or {}).get("parts")
            self._parts = {name: None if parts is None else frozenset(parts[name]) for name in self.head.features}
        return self._parts

    @property
    def in_progress(self) -> bool:
        """Whether the file is one of virtual datasets, so that an extraction has yet to finish it."""
        return any(parts is not None for parts in self.parts.values())

    @property
    def is_finished(self) -> bool:
        return not self.in_progress

    @property
    def base(self) -> Hdf5Store | None:
        """The finished store that an extraction in progress started from, if there was one."""
        path = parts_folder(self.path) / "base.h5"
        if self._base is None:
            refuse_links(self.path.parent, path)
            self._base = Hdf5Store(path) if path.exists() else None
            wanted = (self.manifest.rows or {}).get("base") if self.manifest else None
            if self._base and wanted and _says(path) != wanted:
                self._base = None
                raise DamageError(f"{path}: is not the file that this extraction started from; {TO_MEND}")
        return self._base

    def _read_states(self, feature: str) -> RowStates:
        if not self.in_progress:
            return self._of_file(self.path, feature, len(self.segments)).states
        return self._gathered(feature, lambda block, error: _raised(error))

    def _raw_states(self, feature: str) -> RowStates:
        if not self.in_progress:
            return self._read_states(feature)
        return self._gathered(feature, lambda block, error: None)

    def _damaged_states(self, feature: str) -> Iterator[Damage]:
        if self.in_progress:
            damaged: dict[int, DamageError] = {}
            self._gathered(feature, damaged.__setitem__)
            yield from (Damage(feature, -1, str(error), block) for block, error in damaged.items())

    def _gathered(self, feature: str, when_damaged) -> RowStates:
        """The states of an unfinished store from its parts, and from its base where a block has no part."""
        rows = len(self.segments)
        arrays = {name: np.full(rows, absent, kind) for name, (kind, absent) in STATES.items()}
        for block in range(-(-rows // BLOCK_ROWS)):
            members = block_range(block, rows)
            try:
                states = self._states_of_block(feature, block, len(members))
            except DamageError as error:
                when_damaged(block, error)
                continue
            for name, values in arrays.items() if states else ():
                values[members.start : members.stop] = getattr(states, name)
        return RowStates(**arrays)

    def _states_of_block(self, feature: str, block: int, rows: int) -> RowStates | None:
        """None where there is no part yet."""
        path = part_path(self.path, feature, block)
        if block in self.parts[feature]:
            refuse_links(self.path.parent, path)
            return self._of_file(path, feature, rows).states if path.exists() else None
        if self.base is None or feature not in self.base.head.features:
            raise DamageError(f"{parts_folder(self.path) / 'base.h5'}: is missing or damaged; {TO_MEND}")
        whole, first = self.base.states(feature), block * BLOCK_ROWS
        states = {name: getattr(whole, name)[first : first + rows] for name in STATES}
        if len(states["length"]) != rows:
            raise DamageError(f"{self.base.path}: has fewer rows than it should; {TO_MEND}")
        return RowStates(**states)

    def _of_file(self, path: Path, feature: str, rows: int) -> Contents:
        """What one file holds of a feature: the finished store, or a part."""
        key = (path, feature)
        if key not in self._contents:
            self._contents[key] = self._read_contents(path, feature, rows)
        return self._contents[key]

    def _read_contents(self, path: Path, feature: str, rows: int) -> Contents:
        head, is_part = self.head.features[feature], path != self.path
        with explained_read(path):
            try:
                if not is_part and self.manifest is not None:
                    return Contents.from_json(self.manifest.rows["features"][feature], rows)
                seal = seal_of(path)[0] if is_part else None
                if seal is not None:
                    says = json.loads(manifest_in(path, seal))
                    if says["of"] != _named(feature, path, head):
                        raise DamageError("is a part of something else")
                    return Contents.from_json(says, rows)
                if is_part:
                    hdf5_tree.check_tree(path)
                states, places = hdf5_tree.rows_of(path, "" if is_part else feature, head)
                return Contents.from_json(Contents(states, places).to_json(), rows)
            except FileNotFoundError:
                raise
            except UNREADABLE as error:
                if isinstance(error, DamageError) and str(error).startswith(str(path)):
                    raise
                raise DamageError(f"{path}: cannot be read ({reason_of(error)}); {TO_MEND}") from error

    def _extents(self, feature: str, row: int, rows: int) -> list[Extent]:
        parts, block = self.parts[feature], block_of(row)
        if parts is None:
            return self._of_file(self.path, feature, len(self.segments)).extents(self.path, row, rows)
        if block not in parts and self.base is not None:
            return self.base._extents(feature, row, rows)
        path = part_path(self.path, feature, block)
        members = block_range(block, len(self.segments))
        return self._of_file(path, feature, len(members)).extents(path, row - members.start, rows)

    def forget_part(self, feature: str, block: int) -> None:
        """A part was replaced, so where its rows lie must be read again."""
        self._contents.pop((part_path(self.path, feature, block), feature), None)

    def _files(self) -> list[Path]:
        folder = parts_folder(self.path)
        return [self.path, *(sorted(folder.iterdir()) if self.in_progress and folder.exists() else [])]

    def _damage_of_files(self) -> Iterator[Damage]:
        if self._believes_copies:
            return  # named already
        if self.in_progress and parts_folder(self.path).is_symlink():
            yield Damage("", -1, f"{parts_folder(self.path)} is a link, which a store has none of")
            return
        for path in self._files():
            if path.suffix != ".h5" and path != self.path:
                continue  # what a kill left aside
            if path != self.path and (path.is_symlink() or not path.is_file()):
                yield Damage("", -1, f"{path.name}: is a link or no regular file, which a store has none of")
                continue
            seal, are_both_whole = seal_of(path)
            if seal is None:
                is_finished = path.name == "base.h5" or path == self.path and not self.in_progress
                if is_finished and not hdf5_tree.is_as_sealed_in_version_1(path):
                    yield Damage("", -1, f"{path.name}: the file's bytes are not those that were written")
                continue
            if not are_both_whole:
                yield Damage("", -1, f"{path.name}: its first 512 bytes, or its last, are not those that were written")
            if not tree_is_whole(path, seal):
                yield Damage("", -1, f"{path.name}: the bytes that HDF5 reads are not those that were written")


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
        check_rows(feature, store.specs[feature], rows)
        parts = store.parts[feature]
        if parts is None or block not in parts:
            self._open_for_parts({feature: {block}}, but=rows)
        states = store.states(feature)
        content: dict[int, Row] = {row: new for row, new in rows.items() if new is not None}
        for row in members:
            if row not in rows and states.length[row] != MISSING:
                content[row] = Row(store.read(feature, row), int(states.identity[row]))
        written = self._write_part(feature, block, content, store.head.features[feature], len(members))
        for name, values in written.items():
            getattr(states, name)[members.start : members.stop] = values
        store.forget_part(feature, block)

    def recover(self, anew: Anew | None = None) -> list[str]:
        refuse_links(self.path.parent, parts_folder(self.path))
        store = Hdf5Store(self.path)
        try:
            if store.manifest is not None:
                return []
            store._plain_table(store.head.tasks)
            return []
        except DamageError as error:
            notes = [f"{without_remedy(error)}: it is written anew from what plain HDF5 reads"]
        store.believe_copies()
        with explained_read(self.path):
            seal, _ = seal_of(self.path)
            is_whole = seal is not None and tree_is_whole(self.path, seal)
            if not is_whole:
                hdf5_tree.check_tree(self.path)
        end = seal.start if is_whole else None
        try:
            head = store.head
        except StoreError as error:
            raise DamageError(
                f"{self.path}: neither what msmt says of it nor what HDF5 reads is whole ({without_remedy(error)});"
                " delete it and run msmt extract"
            ) from error
        try:
            table = store._plain_table(head.tasks)
        except DamageError as error:
            if anew is None:
                raise
            notes = [f"{without_remedy(error)}: it is written anew from the corpus"]
            head, table = replace(head, tasks=anew.tasks), segment_table(anew.table, anew.tasks)
        self._tell_anew(store, head, table, end)
        return notes

    def _tell_anew(self, store: Hdf5Store, head: StoreHead, table: pd.DataFrame, end: int | None) -> None:
        """Give a file another manifest, whose table may have another number of rows than the one that is lost.

        ``end`` is the byte behind what HDF5 wrote, where that is known.
        """
        if store.in_progress:
            self._write_virtual(head, table, {name: parts or frozenset() for name, parts in store.parts.items()})
            return
        aside = self.path.with_name(self.path.name + ASIDE)
        with explained(self.path):
            shutil.copyfile(self.path, aside)
            if end is not None:
                os.truncate(aside, end)
            features = {}
            for name, feature in head.features.items():
                try:
                    states, places = hdf5_tree.rows_of(aside, name, feature)
                except DamageError as error:
                    aside.unlink()
                    raise DamageError(
                        f"{self.path}: neither what msmt says of it nor what HDF5 reads is whole; delete it and run msmt"
                        " extract"
                    ) from error
                features[name] = Contents(_of_rows(states, len(table), feature.spec.max_rows), places).to_json()
            write_seal(aside, Manifest(head, table, {"features": features}).to_bytes())
            put_in_place(aside, self.path)

    def mend(self, damages: Sequence[Damage]) -> list[str]:
        notes = self.recover()
        self.store = store = Hdf5Store(self.path)
        rows = {key: set(members) for key, members in damaged_rows(damages).items()}
        for feature in store.specs:
            for damage in store._damaged_states(feature):
                rows[feature, damage.block] = set(block_range(damage.block, len(store.segments)))
        for feature in store.specs:
            store._states[feature] = store._raw_states(feature)
        if not store.in_progress:
            self._open_for_parts({}, but={row: None for members in rows.values() for row in members})
        for (feature, block), members in rows.items():
            self._mark_missing(feature, block, members)
        self.finish()
        marked = sum(map(len, rows.values()))
        notes.append(f"{self.path}: was written anew")
        return [*notes, *([f"{marked} rows are marked missing; run msmt extract to fill them"] if marked else [])]

    def _mark_missing(self, feature: str, block: int, rows: set[int]) -> None:
        """Unlike ``commit`` where the whole block cannot be read."""
        store = self.store
        members = block_range(block, len(store.segments))
        if feature not in store._states:
            store._states[feature] = store._raw_states(feature)
        if rows >= set(members) and block in (store.parts[feature] or ()):
            _remove(part_path(self.path, feature, block))
            store.forget_part(feature, block)
            for name, (_, absent) in STATES.items():
                getattr(store._states[feature], name)[members.start : members.stop] = absent
            return
        self.commit(feature, block, dict.fromkeys(sorted(rows)))

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
        self._write_virtual(head, table, {name: every_block for name in head.features})

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
        but: Mapping[int, Row | None] = {},  # noqa: B006  never changed
    ) -> None:
        """Make the store one of virtual datasets in which the wanted blocks, besides those that are, have parts.

        The parts that take over rows from elsewhere are written first, then one rename of the store makes them count.
        The rows in ``but`` are not taken over: they are about to be replaced.
        """
        store = self.store
        head = head or store.head
        rows = len(store.segments if table is None else table)
        folder = parts_folder(self.path)
        refuse_links(self.path.parent, folder)
        if not store.in_progress:
            shutil.rmtree(folder, ignore_errors=True)  # a leftover, see above
        folder.mkdir(exist_ok=True)
        parts = {}
        for name, feature in head.features.items():
            is_kept = name in store.specs and name not in emptied
            old = (store.parts[name] if is_kept else None) or frozenset()
            parts[name] = old | wanted.get(name, set())
            for block in sorted(wanted.get(name, set())):
                if not is_kept:
                    _remove(part_path(self.path, name, block))
                    continue
                states = store.states(name)
                content = {
                    row: Row(store.read(name, row), int(states.identity[row]))
                    for row in block_range(block, len(store.segments))
                    if states.length[row] != MISSING and row not in but
                }
                if content:
                    self._write_part(name, block, content, feature, len(block_range(block, rows)))
        if not store.in_progress:
            _link(self.path, folder / "base.h5")
        self._write_virtual(head, store.segments if table is None else table, parts)
        store._forget()

    def _write_part(
        self, feature: str, block: int, content: Mapping[int, Row], head: FeatureHead, rows: int
    ) -> dict[str, np.ndarray]:
        first = block * BLOCK_ROWS
        states = {name: np.full(rows, absent, kind) for name, (kind, absent) in STATES.items()}
        path = part_path(self.path, feature, block)
        refuse_links(self.path.parent, path)
        aside = path.with_name(path.name + ASIDE)
        path.parent.mkdir(exist_ok=True)
        _check_space(path, sum(new.values.nbytes for new in content.values()) + _SPARE_BYTES)
        with explained(path):
            with h5py.File(aside, "w", libver=_LIBRARY, userblock_size=SEAL_BYTES) as file:
                dataset = _make_features(file, head, rows)
                for row in sorted(content):
                    at, new = row - first, content[row]
                    _write_row(dataset, at, new.values, head.chunk_rows)
                    states["length"][at] = len(new.values)
                    states["checksum"][at] = checksum_of(new.values)
                    states["identity"][at] = new.identity
                for name, values in states.items():
                    file.create_dataset(name, data=values)
            _, places = hdf5_tree.rows_of(aside, "", head)
            says = {"of": _named(feature, path, head), **Contents(RowStates(**states), places).to_json()}
            write_seal(aside, json.dumps(says).encode())
            put_in_place(aside, path)
        return states

    def _write_virtual(self, head: StoreHead, table: pd.DataFrame, parts: Mapping[str, frozenset]) -> None:
        rows = len(table)
        folder = parts_folder(self.path)
        folder.mkdir(exist_ok=True)
        base = Hdf5Store(folder / "base.h5") if (folder / "base.h5").exists() else None
        base_rows = len(base.segments) if base else 0
        with _in_memory() as (file, image):
            _write_head(file, head, table)
            for name, feature in head.features.items():
                group = _make_group(file, name, feature)
                group.attrs[hdf5_tree.IN_PROGRESS] = np.array(sorted(parts[name]), np.int64)
                spec = feature.spec
                kinds = {"features": (spec.stored_type, 0), **STATES}
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
        says = {"parts": {name: sorted(blocks) for name, blocks in parts.items()}}
        says |= {"base": _says(folder / "base.h5")} if base else {}
        write_whole(self.path, sealed(image[0], Manifest(head, table, says).to_bytes()))

    def _write_plain(self, path: Path, head: StoreHead, table: pd.DataFrame, source: Hdf5Store) -> None:
        with h5py.File(path, "w", libver=_LIBRARY, userblock_size=SEAL_BYTES) as file:
            _write_head(file, head, table)
            for name, feature in head.features.items():
                group = _make_group(file, name, feature)
                dataset = _make_features(group, feature, len(table))
                states = source.states(name)
                for row in np.flatnonzero(states.length != MISSING):
                    _write_row(dataset, int(row), source.read(name, int(row)), feature.chunk_rows)
                for state in STATES:
                    group.create_dataset(state, data=getattr(states, state))
        features = {
            name: Contents(source.states(name), hdf5_tree.rows_of(path, name, feature)[1]).to_json()
            for name, feature in head.features.items()
        }
        write_seal(path, Manifest(head, table, {"features": features}).to_bytes())


def parts_folder(store: Path) -> Path:
    """Where an unfinished store keeps its parts."""
    return store.with_name(store.name + ".parts")


def part_path(store: Path, feature: str, block: int) -> Path:
    """The file of one row block of an unfinished store."""
    return parts_folder(store) / f"{feature}-{block:06d}.h5"


def _remove(path: Path) -> None:
    """A file, or whatever is in its place; nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _says(path: Path) -> str:
    """The digest of what msmt says of a finished file; empty for one of version 1."""
    seal, _ = seal_of(path)
    return seal.manifest if seal else ""


def _named(feature: str, path: Path, head: FeatureHead) -> list[str]:
    """What tells a part from every other: its feature, its name, and how the original rows of the feature are made."""
    return [feature, path.name, head.spec.of_originals.fingerprint]


def _raised(error: DamageError) -> None:
    raise error


def _encoded(values: np.ndarray) -> str:
    return b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _decoded(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(b64decode(text, validate=True), kind).copy()


def _of_rows(states: RowStates, rows: int, most: int) -> RowStates:
    """The states of so many rows, of which the last may be missing, as are those of more than ``most`` frames or tokens."""
    arrays = {name: np.full(rows, absent, kind) for name, (kind, absent) in STATES.items()}
    for name, values in arrays.items():
        there = getattr(states, name)[:rows]
        values[: len(there)] = there
    arrays["length"][(arrays["length"] < MISSING) | (arrays["length"] > most)] = MISSING
    return RowStates(**arrays)


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
        facts=json.dumps(dict(head.facts)),
        digest=head.digest,
    )
    group = file.create_group("segments")
    group.attrs.update(columns=json.dumps(list(table.columns)), digest=table_digest(table), tasks=tasks)
    for column in table.columns:
        values = table[column].to_numpy()
        kind = h5py.string_dtype() if values.dtype == object else values.dtype
        group.create_dataset(check_name(column), data=values, dtype=kind)


def _make_group(file: h5py.File, name: str, feature: FeatureHead) -> h5py.Group:
    group = file.create_group(check_name(name))
    group.attrs.update(
        spec=json.dumps(feature.spec.to_json()), fingerprint=feature.spec.fingerprint, chunk_rows=feature.chunk_rows
    )
    return group


def _make_features(group: h5py.Group, feature: FeatureHead, rows: int) -> h5py.Dataset:
    spec = feature.spec
    shape, chunks = (rows, spec.max_rows, spec.width), (1, feature.chunk_rows, spec.width)
    return group.create_dataset("features", shape, spec.stored_type, chunks=chunks, fillvalue=0)


def _write_row(dataset: h5py.Dataset, row: int, values: np.ndarray, chunk_rows: int) -> None:
    values = np.ascontiguousarray(values, dataset.dtype)
    for start in range(0, len(values), chunk_rows):
        chunk = values[start : start + chunk_rows]
        if len(chunk) < chunk_rows:
            chunk = np.concatenate([chunk, np.zeros((chunk_rows - len(chunk), chunk.shape[1]), dataset.dtype)])
        dataset.id.write_direct_chunk((row, start, 0), chunk)


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
        sync_file(target)
    sync_folder(target.parent)
