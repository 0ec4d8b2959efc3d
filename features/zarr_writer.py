"""Writing a Zarr store: blocks, table and manifest, each put in place by renames; zarr_store.py has the format."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DamageError, LockedError
from .durable import ASIDE, put_in_place, refuse_links, sync_tree, write_all_whole, write_whole, writer_lock
from .head import StoreHead, without_remedy
from .manifest import Manifest
from .rows import BLOCK_ROWS, MISSING, STATES, Row, block_range, checksum_of
from .writer import Anew, StoreWriter
from .zarr_blocks import digest_of_states, shard_path, shard_pieces, state_chunks
from .zarr_store import ZarrStore
from .zarr_tree import contents, make_feature, make_segments, make_tree, sealed_files, write_manifest


class ZarrWriter(StoreWriter):
    """Writes blocks of a Zarr store. With ``shared``, several writers of different blocks may work at once."""

    kind = ZarrStore
    store: ZarrStore

    def _commit(self, feature: str, block: int, rows: Mapping[int, Row | None]) -> None:
        states = self.store.states(feature)
        members = block_range(block, len(self.store.segments))
        self._unseal()
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
        shard = shard_path(self.path, feature, block)
        refuse_links(self.path, shard)
        self._make_room(shard)
        pieces = shard_pieces(head, [values.get(row) for row in _whole_block(block)], new["checksum"])
        others = [self._state(feature, name, block, new[name]) for name in ("checksum", "identity")]
        write_all_whole({shard: pieces, **dict(others)})
        write_whole(*self._state(feature, "length", block, new["length"]))
        for name in STATES:
            getattr(states, name)[members.start : members.stop] = new[name]

    def _mark_missing(self, rows: Mapping[tuple[str, int], set[int]]) -> list[str]:
        self._unseal()
        for feature in self.store.specs:
            self.store._states[feature] = self.store._raw_states(feature)
        for (feature, block), members in rows.items():
            self.commit(feature, block, dict.fromkeys(sorted(members)))
        return []

    def finish(self) -> None:
        """Seal the store, unless another share of the extraction is still at work."""
        if self._shared:
            self._held.close()
            try:
                self._held.enter_context(writer_lock(self.path))
            except LockedError:
                return  # whoever ends last seals it
        store = ZarrStore.open(self.path)
        if store.is_finished or not self._are_identities_proved:
            return
        for name in store.specs:
            store.states(name)  # raises where they are not what a store can hold
        blocks = range(-(-len(store.segments) // BLOCK_ROWS))
        states = {
            name: [digest_of_states(state_chunks(self.path / name, block)) for block in blocks] for name in store.specs
        }
        write_manifest(self.path, replace(store.manifest, rows={**store.manifest.rows, "states": states}))
        self.store._manifest = None

    def recover(self, anew: Anew | None = None) -> list[str]:
        folder = self.path / "segments"
        aside = folder.with_name(folder.name + ASIDE)
        if not folder.exists() and aside.exists():
            put_in_place(aside, folder)
        for left in (*self.path.glob("*.old"), *self.path.glob(f"*{ASIDE}")):
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        notes = []
        store = ZarrStore(self.path)
        try:
            manifest = store.manifest
        except DamageError as error:
            manifest = None
            notes.append(f"{without_remedy(error)}: it is written anew from what plain zarr reads")
        if manifest is None:
            store.believe_copies()
            self._are_identities_proved = not notes
            head, table = self._from_copies(store, anew, notes)
            manifest = Manifest(head, table, None)
            write_manifest(self.path, manifest)
        damaged = store.damaged_files()
        if damaged:
            # What seals lengths, checksums and identities stays: they may be damaged too.
            manifest = replace(
                manifest, rows={name: manifest.rows[name] for name in ("states",) if name in manifest.rows}
            )
            write_manifest(self.path, manifest)
            notes += [f"{self.path / name} {reason}: it is written anew" for name, reason in damaged]
        if not manifest.rows or "files" not in manifest.rows:
            self._bring_in_line(manifest)
        return notes

    def _from_copies(self, store: ZarrStore, anew: Anew | None, notes: list[str]) -> tuple[StoreHead, pd.DataFrame]:
        try:
            head = store.head
        except DamageError as error:
            raise DamageError(
                f"{without_remedy(error)}; the store says nowhere else what it holds: delete it and run msmt extract"
            ) from error
        try:
            return head, store._plain_table(head.tasks)
        except DamageError as error:
            if anew is None:
                raise DamageError(f"{without_remedy(error)}; run msmt extract, which writes it anew") from error
            head, table, lost = anew.told_to(head)
            notes.append(f"{without_remedy(error)}: it is written anew from the corpus{lost}")
            return head, table

    def _bring_in_line(self, manifest: Manifest) -> None:
        """Write what plain zarr reads of head and table where it is not as the manifest says; then seal it."""
        aside = self.path / f"copies{ASIDE}"
        make_tree(aside, manifest.head, manifest.table)
        files = sealed_files(aside)  # and not what else may be in the store, such as a stranger's link
        segments = self.path / "segments"
        if segments.is_symlink():
            segments.unlink()  # rather than read what it leads to
        if contents(segments) != contents(aside / "segments"):
            self._put_folder(segments, lambda other: make_segments(other, manifest.head, manifest.table))
        shutil.rmtree(aside / "segments")
        for made in sorted(path for path in aside.rglob("*") if path.is_file()):
            path = self.path / made.relative_to(aside)
            refuse_links(self.path, path)
            content = made.read_bytes()
            self._make_room(path)
            if not path.is_file() or path.read_bytes() != content:
                write_whole(path, [content])
        shutil.rmtree(aside)
        write_manifest(self.path, replace(manifest, rows={**(manifest.rows or {}), "files": files}))

    def _unseal(self) -> None:
        """Before rows change."""
        if self.store.is_finished:
            self.store._manifest = replace(self.store.manifest, rows={"files": self.store.manifest.rows["files"]})
            write_manifest(self.path, self.store._manifest)

    def _state(self, feature: str, name: str, block: int, values: np.ndarray) -> tuple[Path, list[bytes]]:
        """Path and content of a block's lengths, checksums or identities."""
        kind, absent = STATES[name]
        chunk = np.full(BLOCK_ROWS, absent, kind)
        chunk[: len(values)] = values
        path = self.path / feature / name / "c" / str(block)
        self._make_room(path)
        return path, [chunk.tobytes()]

    def _make_room(self, path: Path) -> None:
        """A file can be put at ``path``, whatever was in its place."""
        refuse_links(self.path, path.parent)
        for parent in path.parents:
            if parent != self.path and parent.exists() and not parent.is_dir():
                parent.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)

    def _create(self, head: StoreHead, table: pd.DataFrame) -> None:
        aside = self.path.with_name(self.path.name + ASIDE)
        shutil.rmtree(aside, ignore_errors=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        make_tree(aside, head, table)
        write_manifest(aside, Manifest(head, table, {"files": sealed_files(aside)}))
        sync_tree(aside)
        put_in_place(aside, self.path)

    def _replace(self, head: StoreHead, table: pd.DataFrame, emptied: set[str]) -> None:
        write_manifest(self.path, replace(self.store.manifest, rows=None))
        for name, feature in head.features.items():
            if name in emptied or name not in self.store.specs:
                # Empty until the manifest says what its rows will be.
                self._put_folder(self.path / name, lambda aside, of=feature: make_feature(aside, of, len(table)))
        # Rows are added by naming them here: until they are committed they are missing.
        manifest = Manifest(head, table, None)
        write_manifest(self.path, manifest)
        self._bring_in_line(manifest)

    def _put_folder(self, folder: Path, make) -> None:
        aside, old = folder.with_name(folder.name + ASIDE), folder.with_name(folder.name + ".old")
        shutil.rmtree(aside, ignore_errors=True)
        make(aside)
        sync_tree(aside)
        if folder.exists():
            os.replace(folder, old)
        put_in_place(aside, folder)
        shutil.rmtree(old, ignore_errors=True)


def _whole_block(block: int) -> range:
    return range(block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS)
