"""The store as an HDF5 file.

A finished store is one plain file with ordinary chunked datasets, sealed as sealed.py says: the manifest behind what HDF5
wrote holds head and table once more, and for each feature the states of its rows and where they lie, "rows":
{"features": {name: {"length", "checksum", "identity", "places": base64 of little-endian values}}}. msmt reads nothing else
of a file but the rows themselves; the tree is for plain h5py. A store whose manifest was lost with the seal of its tree
says {"unproved": true} besides, until an extraction has come to its end: nothing shows then what its rows were made from.

While an extraction is in progress the file holds the segment table and, for each feature, virtual
datasets over the files of the folder ``<name>.parts``: one part per row block, and ``base.h5``, the
finished file that this extraction started from, for blocks it does not touch; "rows": {"parts": {name: [blocks]}}. A part
that is not there yet reads as missing rows. A commit writes a part aside, syncs it and renames it. The end of the
extraction merges everything into a new plain file aside and renames that over the store; a folder of
parts beside a plain file is therefore a leftover and is deleted by the next writer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from ..errors import DamageError
from . import hdf5_tree
from .durable import refuse_links
from .hdf5_parts import Contents, blocks_with_parts, digest_in, name_of_part, part_path, parts_folder
from .head import TO_MEND, UNREADABLE, FeatureHead, StoreHead, reason_of
from .manifest import Manifest, check_head
from .rows import BLOCK_ROWS, STATES, Extent, RowStates, block_of, block_range, explained_read
from .sealed import manifest_in, seal_of, tree_is_whole
from .store import Damage, FeatureStore

UNPROVED = "unproved"  # in what a manifest says of rows: identities that were read from a damaged tree


class Hdf5Store(FeatureStore):
    """An HDF5 file, finished or in progress, read without the HDF5 library unless it is of version 1."""

    is_folder = False

    def _forget(self) -> None:
        super()._forget()
        self._contents: dict[tuple[Path, str], Contents] = {}
        self._parts: dict[str, frozenset[int] | None] | None = None
        self._base: Hdf5Store | None = None
        self._is_safe = False

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
        check_head(self.path, attributes)
        if attributes["format_version"] != 1:
            raise DamageError(
                f"{self.path}: has lost what msmt says of it in its first and last bytes, which other software may not"
                f" keep; {TO_MEND}"
            )

    def check_plain(self) -> None:
        """Raise DamageError where HDF5 would not come to an end with what it wrote."""
        if self._is_safe:
            return
        with explained_read(self.path):
            seal, _ = seal_of(self.path)
            if seal is None or not tree_is_whole(self.path, seal):
                hdf5_tree.check_tree(self.path)
        self._is_safe = True

    def _plain_head(self) -> StoreHead:
        self.check_plain()
        head, self._parts = hdf5_tree.head_of(self.path)
        return head

    def _plain_table(self, tasks: Sequence) -> pd.DataFrame:
        self.check_plain()
        return hdf5_tree.table_of(self.path, tasks)

    def believe_features(self) -> tuple[str, dict[str, FeatureHead]]:
        """The dataset and the features of a store that says nothing whole of itself, each as far as it can be read."""
        dataset, features, self._parts = hdf5_tree.readable_features(self.path)
        return dataset, features

    def believe(self, head: StoreHead, table: pd.DataFrame, contents: Mapping[str, Contents]) -> None:
        """Read a finished file as one with this head, this table and these rows."""
        self._head, self._table, self._parts = head, table, dict.fromkeys(head.features)
        self._contents = {(self.path, name): content for name, content in contents.items()}
        self._states = {name: content.states for name, content in contents.items()}

    @property
    def parts(self) -> dict[str, frozenset[int] | None]:
        """For each feature the blocks that have a part of their own; None where the file is finished."""
        if self._parts is None and self.manifest is None:
            self._plain_head()
        elif self._parts is None:
            parts = (self.manifest.rows or {}).get("parts")
            self._parts = {name: None if parts is None else frozenset(parts[name]) for name in self.head.features}
        if None in self._parts.values() and set(self._parts.values()) != {None}:
            # What plain libraries read of a feature has lost which blocks have a part: those whose file is there.
            self._parts = {
                name: blocks_with_parts(self.path, name) if blocks is None else blocks
                for name, blocks in self._parts.items()
            }
        return self._parts

    @property
    def in_progress(self) -> bool:
        """Whether the file is one of virtual datasets, so that an extraction has yet to finish it."""
        return any(parts is not None for parts in self.parts.values())

    @property
    def is_finished(self) -> bool:
        return not self.in_progress and not (self.manifest and (self.manifest.rows or {}).get(UNPROVED))

    @property
    def base(self) -> Hdf5Store | None:
        """The finished store that an extraction in progress started from, if there was one."""
        path = parts_folder(self.path) / "base.h5"
        if self._base is None:
            refuse_links(self.path.parent, path)
            if not path.exists():
                return None
            wanted = (self.manifest.rows or {}).get("base") if self.manifest else None
            with explained_read(path):
                is_other = wanted and digest_in(path) != wanted
            if is_other:
                raise DamageError(f"{path}: is not the file that this extraction started from; {TO_MEND}")
            self._base = Hdf5Store(path)
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
                    if says["of"] != name_of_part(feature, path, head):
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
        return [self.path, *(sorted(folder.iterdir()) if self.in_progress and folder.is_dir() else [])]

    def _damage_of_files(self) -> Iterator[Damage]:
        if self._believes_copies:
            return  # named already
        folder = parts_folder(self.path)
        if self.in_progress and folder.is_symlink():
            yield Damage("", -1, f"{folder} is a link, which a store has none of")
            return
        if self.in_progress and folder.exists() and not folder.is_dir():
            yield Damage("", -1, f"{folder} is no folder")
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


def _raised(error: DamageError) -> None:
    raise error
