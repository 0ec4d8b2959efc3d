"""Writing an HDF5 store: parts while an extraction is at work, one file in the end; hdf5_store.py has the format."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from ..errors import DamageError, StoreError
from . import hdf5_tree
from .durable import ASIDE, explained, put_in_place, refuse_links, sync_file, sync_folder, write_whole
from .hdf5_parts import Contents, digest_in, name_of_part, part_path, parts_folder, states_of_so_many
from .hdf5_salvage import salvage
from .hdf5_store import UNPROVED, Hdf5Store
from .head import FeatureHead, StoreHead, without_remedy
from .manifest import Manifest
from .rows import BLOCK_ROWS, MISSING, STATES, Row, RowStates, block_range, checksum_of, explained_read
from .sealed import SEAL_BYTES, seal_of, sealed, tree_is_whole, write_seal
from .writer import Anew, StoreWriter

_SPARE_BYTES = 4 << 20  # that a part may take beyond its values: the rest of each row's last chunk, and metadata


class Hdf5Writer(StoreWriter):
    """Writes an HDF5 store; one process at a time."""

    kind = Hdf5Store
    store: Hdf5Store

    def __init__(self, path: Path, shared: bool = False) -> None:
        if shared:
            raise StoreError(f"{path}: an HDF5 store has one writer at a time; use --format zarr for several")
        super().__init__(path)

    def _commit(self, feature: str, block: int, rows: Mapping[int, Row | None]) -> None:
        store = self.store
        members = block_range(block, len(store.segments))
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

    def _mark_missing(self, rows: Mapping[tuple[str, int], set[int]]) -> list[str]:
        store = self.store
        for feature in store.specs:
            store._states[feature] = store._raw_states(feature)
        if not store.in_progress:
            self._open_for_parts({}, but={row: None for members in rows.values() for row in members})
        for (feature, block), members in rows.items():
            self._empty(feature, block, members)
        return [f"{self.path}: was written anew"]

    def _empty(self, feature: str, block: int, rows: set[int]) -> None:
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

    def recover(self, anew: Anew | None = None) -> list[str]:
        refuse_links(self.path.parent, parts_folder(self.path))
        if not parts_folder(self.path).is_dir():
            _remove(parts_folder(self.path))  # what is in its place would keep it from being made
        store = Hdf5Store(self.path)
        try:
            if store.manifest is not None:
                return []
            store._plain_table(store.head.tasks)
            return []
        except DamageError as error:
            notes = [f"{without_remedy(error)}: it is written anew from what plain HDF5 reads"]
        store.believe_copies()
        store.check_plain()
        head = self._head_from_copies(store, anew, notes)
        try:
            table = store._plain_table(head.tasks)
        except DamageError as error:
            if anew is None:
                raise DamageError(f"{without_remedy(error)}; run msmt extract, which writes it anew") from error
            head, table, lost = anew.told_to(head)
            notes.append(f"{without_remedy(error)}: it is written anew from the corpus{lost}")
        if store.in_progress:
            parts = {name: store.parts[name] or frozenset() for name in head.features}
            base = _believed_base(store)
            if base is None and any(len(blocks) * BLOCK_ROWS < len(table) for blocks in parts.values()):
                lost = f"{parts_folder(self.path) / 'base.h5'}: is missing or damaged"
                notes.append(f"{lost}, and the rows that only it has are missing now")
            self._write_virtual(head, table, parts, base)
            return notes
        with explained_read(self.path):
            seal, _ = seal_of(self.path)
            is_whole = seal is not None and tree_is_whole(self.path, seal)
        aside = self.path.with_name(self.path.name + ASIDE)
        with explained(self.path):
            if is_whole:
                shutil.copyfile(self.path, aside)
                os.truncate(aside, seal.start)
                write_seal(aside, Manifest(head, table, self._rows_in(aside, head, len(table))).to_bytes())
            else:
                self._are_identities_proved = False
                lost_rows = salvage(store, head, table)
                notes += [f"{self.path}: {lost_rows} rows cannot be read and are missing now"] if lost_rows else []
                _check_space(self.path, self.path.stat().st_size)
                self._write_plain(aside, head, table, store)
            put_in_place(aside, self.path)
        return notes

    def _head_from_copies(self, store: Hdf5Store, anew: Anew | None, notes: list[str]) -> StoreHead:
        """The head that plain HDF5 reads, or one that the corpus tells of those features that can be read."""
        try:
            return store.head
        except StoreError as error:
            why = without_remedy(error).removeprefix(f"{self.path}: ")
            lost = f"{self.path}: neither what msmt says of it nor what HDF5 reads is whole ({why})"
            try:
                dataset, features = store.believe_features()
            except DamageError:
                features = {}
            if not features:
                raise DamageError(f"{lost}; delete it and run msmt extract") from error
            if anew is None or not anew.dataset:
                raise DamageError(f"{lost}; run msmt extract, which keeps what can be read") from error
            if dataset not in ("", anew.dataset):
                raise DamageError(
                    f"{lost}; it seems to hold dataset {dataset!r:.80}: delete it, or name another"
                ) from error
            notes.append(
                f"{self.path}: what it says of itself is written anew from the corpus, with its readable features but"
                " not the names of their encoders, which extracting them says again"
            )
            return anew.head_with(features)

    def _rows_in(self, path: Path, head: StoreHead, rows: int) -> dict:
        """What the manifest of a finished file says of its rows."""
        features = {}
        for name, feature in head.features.items():
            states, places = hdf5_tree.rows_of(path, name, feature)
            features[name] = Contents(states_of_so_many(states, rows, feature.spec.max_rows), places).to_json()
        return {"features": features, **({} if self._are_identities_proved else {UNPROVED: True})}

    def finish(self) -> None:
        """Merge parts and base into one plain file, if there are any."""
        if not self.store.in_progress:
            shutil.rmtree(parts_folder(self.path), ignore_errors=True)
            if self._are_identities_proved and not self.store.is_finished:
                self._prove()
            return
        _check_space(self.path, sum(path.stat().st_size for path in self.store._files()))
        with explained(self.path):
            aside = self.path.with_name(self.path.name + ASIDE)
            self._write_plain(aside, self.store.head, self.store.segments, self.store)
            put_in_place(aside, self.path)
            shutil.rmtree(parts_folder(self.path), ignore_errors=True)
        self.store._forget()

    def _prove(self) -> None:
        """Say that rows were made from what they say, of a plain file that said otherwise."""
        store, aside = self.store, self.path.with_name(self.path.name + ASIDE)
        with explained(self.path):
            seal, _ = seal_of(self.path)
            if not tree_is_whole(self.path, seal):
                return  # not to be sealed so; verify names it
            shutil.copyfile(self.path, aside)
            os.truncate(aside, seal.start)
            says = {"features": store.manifest.rows["features"]}
            write_seal(aside, Manifest(store.head, store.segments, says).to_bytes())
            put_in_place(aside, self.path)
        store._forget()

    def _create(self, head: StoreHead, table: pd.DataFrame) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _remove(parts_folder(self.path))  # also a link, rather than write through it
        every_block = frozenset(range(-(-len(table) // BLOCK_ROWS)))
        self._write_virtual(head, table, {name: every_block for name in head.features}, None)

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
        if store.in_progress:
            base = _believed_base(store)
        else:
            _link(self.path, folder / "base.h5")
            base = Hdf5Store(folder / "base.h5")
        self._write_virtual(head, store.segments if table is None else table, parts, base)
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
            with h5py.File(aside, "w", libver=hdf5_tree.LIBRARY, userblock_size=SEAL_BYTES) as file:
                dataset = hdf5_tree.make_features(file, head, rows)
                for row in sorted(content):
                    at, new = row - first, content[row]
                    hdf5_tree.write_row(dataset, at, new.values, head.chunk_rows)
                    states["length"][at] = len(new.values)
                    states["checksum"][at] = checksum_of(new.values)
                    states["identity"][at] = new.identity
                for name, values in states.items():
                    file.create_dataset(name, data=values)
            _, places = hdf5_tree.rows_of(aside, "", head)
            says = {"of": name_of_part(feature, path, head), **Contents(RowStates(**states), places).to_json()}
            write_seal(aside, json.dumps(says).encode())
            put_in_place(aside, path)
        return states

    def _write_virtual(
        self, head: StoreHead, table: pd.DataFrame, parts: Mapping[str, frozenset], base: Hdf5Store | None
    ) -> None:
        rows = len(table)
        folder = parts_folder(self.path)
        folder.mkdir(exist_ok=True)
        if base is None:
            _remove(folder / "base.h5")  # whatever is in its place
        base_rows = len(base.segments) if base else 0
        # Blocks that the base does not have have parts, even where these are lost: their rows are missing then.
        every, has_base = range(-(-rows // BLOCK_ROWS)), base.head.features if base else ()
        parts = {
            name: blocks
            | {block for block in every if name not in has_base or block_range(block, rows).stop > base_rows}
            for name, blocks in parts.items()
        }
        with hdf5_tree.in_memory() as (file, image):
            hdf5_tree.write_head(file, head, table)
            for name, feature in head.features.items():
                group = hdf5_tree.make_group(file, name, feature)
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
        says |= {"base": digest_in(base.path)} if base else {}
        write_whole(self.path, sealed(image[0], Manifest(head, table, says).to_bytes()))

    def _write_plain(self, path: Path, head: StoreHead, table: pd.DataFrame, source: Hdf5Store) -> None:
        with h5py.File(path, "w", libver=hdf5_tree.LIBRARY, userblock_size=SEAL_BYTES) as file:
            hdf5_tree.write_head(file, head, table)
            for name, feature in head.features.items():
                group = hdf5_tree.make_group(file, name, feature)
                dataset = hdf5_tree.make_features(group, feature, len(table))
                states = source.states(name)
                for row in np.flatnonzero(states.length != MISSING):
                    hdf5_tree.write_row(dataset, int(row), source.read(name, int(row)), feature.chunk_rows)
                for state in STATES:
                    group.create_dataset(state, data=getattr(states, state))
        write_seal(path, Manifest(head, table, self._rows_in(path, head, len(table))).to_bytes())


def _believed_base(store: Hdf5Store) -> Hdf5Store | None:
    """The file that an unfinished store started from; None where it is lost, and with it the rows that it had."""
    try:
        if store.base is not None:
            store.base.segments  # noqa: B018
        return store.base
    except DamageError:
        return None


def _remove(path: Path) -> None:
    """A file, or whatever is in its place; nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _check_space(path: Path, needed: int) -> None:
    """Raise StoreError unless the disk has room: HDF5 does not recover from a disk that fills up under it."""
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise StoreError(
            f"{path}: no space left on the disk ({needed / 1e6:.1f} MB are needed, {free / 1e6:.1f} MB are free);"
            " all that was committed stays: make room and run the command again"
        )


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
        sync_file(target)
    sync_folder(target.parent)
