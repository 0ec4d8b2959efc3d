"""The store as a Zarr v3 folder.

A row block is one shard: a file of whole chunks, one segment's after the other, and zarr's index of
them at the end, so a segment's valid rows are one stretch of bytes, which rows of equal values share.
Length, checksum and identity of a block are one raw chunk each. A commit replaces these files one by one, each written aside, synced
and renamed; the lengths come last, and rows that are about to change lose theirs first. Writers of
different blocks touch different files and need no lock.

The manifest is the one string of the array ``manifest``. One rename of its chunk gives the store another head and table;
the attributes and columns that plain zarr reads follow, and are brought in line with it by the next writer if they did
not. It seals the rest, "rows": {"files": {path: XXH3-128 of each file but shards and states}, "states": {feature: [XXH3-64
of the bytes of length, checksum and identity of each block]}}: files from when they are in line with the manifest, states
once the store is finished. Rows are sealed by their checksums.

zarr makes the metadata and the string columns; shards and raw chunks are written here, because the
order of chunks in a shard and the moment at which bytes reach the disk are what the promises rest on.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import google_crc32c
import numpy as np
import pandas as pd
import xxhash

from ..errors import DamageError, LockedError, StoreError
from .durable import (
    ASIDE,
    put_in_place,
    read_regular,
    refuse_links,
    sync_tree,
    write_all_whole,
    write_whole,
    writer_lock,
)
from .head import TO_MEND, UNREADABLE, FeatureHead, StoreHead, check_name, reason_of, without_remedy
from .manifest import FORMAT, FORMAT_VERSION, Manifest
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
    check_head,
    check_rows,
    checksum_of,
    damaged_rows,
    explained_read,
    merged_extents,
)

_ABSENT = np.uint64(2**64 - 1)  # offset and size of a chunk that is not in its shard (Zarr v3, sharding codec)
_CRC_BYTES = 4
_MANIFEST = Path("manifest", "c", "0")
_ONE_STRING = (1).to_bytes(4, "little")  # what zarr's vlen-utf8 codec puts before the lengths of a chunk's strings


class ZarrStore(FeatureStore):
    """A Zarr v3 folder, read without zarr-python where rows are concerned."""

    def _read_manifest(self) -> Manifest | None:
        path = self.path / _MANIFEST
        refuse_links(self.path, path)
        try:
            content = read_regular(path)
        except FileNotFoundError as error:
            if _attributes(self.path).get("format_version") == 1 and not (self.path / "manifest").exists():
                return None
            raise DamageError(f"{path}: is missing; {TO_MEND}") from error
        except OSError as error:
            raise DamageError(f"{path}: cannot be read ({error.strerror}); {TO_MEND}") from error
        # zarr's vlen-utf8 codec: how many strings, the bytes of the first, and these
        if content[:4] != _ONE_STRING or int.from_bytes(content[4:8], "little") != len(content) - 8:
            raise DamageError(f"{path}: is damaged; {TO_MEND}")
        try:
            manifest = Manifest.from_bytes(content[8:], str(path))
        except DamageError as error:
            raise DamageError(f"{error}; {TO_MEND}") from error
        if manifest.rows is not None:
            sealed = [manifest.rows.get(name, {}) for name in ("states", "files")]
            if not all(isinstance(each, dict) for each in sealed):
                raise DamageError(f"{path}: does not say how its rows are sealed; {TO_MEND}")
        for name in manifest.head.features:
            for array in ("features", *STATES):
                refuse_links(self.path, self.path / name / array / "c")
        return manifest

    def _plain_head(self) -> StoreHead:
        attributes = _attributes(self.path)
        check_head(self.path, attributes)
        with _unreadable(self.path):
            features = {}
            for folder in sorted(self.path.iterdir()):
                if folder.name in ("segments", "manifest") or folder.suffix or not (folder / "zarr.json").exists():
                    continue
                refuse_links(self.path, folder / "zarr.json")
                for array in ("features", *STATES):
                    refuse_links(self.path, folder / array / "c")
                features[folder.name] = _attributes(folder)
            if attributes["format_version"] == 1:
                attributes["tasks"] = _attributes(self._segments_folder())["tasks"]
            return StoreHead.from_json({**attributes, "features": features})

    def _segments_folder(self) -> Path:
        # Between the two renames that replace the table, the new one is still under its other name.
        folder = self.path / "segments"
        return folder if folder.exists() else self.path / f"segments{ASIDE}"

    def _plain_table(self, tasks: Sequence) -> pd.DataFrame:
        import zarr

        folder = self._segments_folder()
        with _unreadable(folder):
            refuse_links(self.path, folder)
            attributes = _attributes(folder)
            names = [check_name(name) for name in attributes["columns"]]
            rows = set()
            for name in names:
                refuse_links(self.path, folder / name / "c" / "0")
                shape = json.loads(read_regular(folder / name / "zarr.json"))["shape"]
                rows.add(tuple(shape))
                for chunk in (folder / name / "c").glob("*"):
                    read_regular(chunk)
            if len(rows) != 1:  # also a garbled size that would be a large allocation
                raise DamageError(f"{folder}: its columns differ in length; {TO_MEND}")
            group = zarr.open_group(str(folder), mode="r")
            table = segment_table(pd.DataFrame({name: group[name][:] for name in names}), tasks)
            is_whole = table_digest(table) == attributes["digest"]
        if not is_whole:
            raise DamageError(
                f"{folder}: the segment table is damaged; run msmt extract, which writes it anew, or {TO_MEND[4:]}"
            )
        return table

    def _read_states(self, feature: str) -> RowStates:
        chunks = self._all_state_chunks(feature)
        for damage in self._damaged_states(feature, chunks):
            raise DamageError(f"{self.path / feature}: {damage.reason}; {TO_MEND}")
        return self._raw_states(feature, chunks)

    def _all_state_chunks(self, feature: str) -> list[dict[str, bytes | None]]:
        """The bytes of each state of each block."""
        blocks = range(-(-self._rows(feature) // BLOCK_ROWS))
        return [_state_chunks(self.path / feature, block) for block in blocks]

    def _raw_states(self, feature: str, chunks: Sequence[dict[str, bytes | None]] | None = None) -> RowStates:
        chunks = self._all_state_chunks(feature) if chunks is None else chunks
        rows, blocks = self._rows(feature), len(chunks)
        arrays = {name: np.full(blocks * BLOCK_ROWS, absent, kind) for name, (kind, absent) in STATES.items()}
        for block, of_block in enumerate(chunks):
            for name, content in of_block.items():
                values = arrays[name][block * BLOCK_ROWS : (block + 1) * BLOCK_ROWS]
                if content is not None and len(content) == values.nbytes:
                    values[:] = np.frombuffer(content, STATES[name][0])
        return RowStates(**{name: values[:rows] for name, values in arrays.items()})

    def _rows(self, feature: str) -> int:
        """How many rows there are; what the feature itself says where the table cannot be read."""
        try:
            return len(self.segments)
        except StoreError:
            with _unreadable(self.path / feature):
                rows = json.loads(read_regular(self.path / feature / "length" / "zarr.json"))["shape"][0]
                if type(rows) is not int or not 0 <= rows < 2**31:
                    raise DamageError(f"{self.path / feature}: cannot have {rows!r:.20} rows") from None
                return rows

    def _damaged_states(
        self, feature: str, chunks: Sequence[dict[str, bytes | None]] | None = None
    ) -> Iterator[Damage]:
        sealed = self.manifest.rows["states"].get(feature, []) if self.is_finished else None
        for block, of_block in enumerate(self._all_state_chunks(feature) if chunks is None else chunks):
            first = block * BLOCK_ROWS
            for name, content in of_block.items():
                if content is not None and len(content) != BLOCK_ROWS * np.dtype(STATES[name][0]).itemsize:
                    yield Damage(feature, -1, f"{name}/c/{block} is damaged: it has {len(content)} bytes", block)
                    break
            else:
                if sealed is not None and sealed[block : block + 1] != [_digest_of_states(of_block)]:
                    where = f"lengths, checksums or identities of rows {first} to {first + BLOCK_ROWS - 1}"
                    yield Damage(feature, -1, f"{where} are not those that were written", block)

    def _extents(self, feature: str, row: int, rows: int) -> list[Extent]:
        head = self.head.features[feature]
        block, within = divmod(row, BLOCK_ROWS)
        path = _shard_path(self.path, feature, block)
        needed = -(-rows // head.chunk_rows)
        offsets = self._index(feature, block)[within, :needed, 0]
        if (offsets == _ABSENT).any():
            offsets = offsets[: int(np.argmax(offsets == _ABSENT))]
        chunk_bytes = head.chunk_rows * head.spec.row_bytes
        return merged_extents(path, offsets.tolist(), chunk_bytes, head.chunk_rows)

    def _index(self, feature: str, block: int) -> np.ndarray:
        path = _shard_path(self.path, feature, block)
        with explained_read(path):
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "is no regular file")
            # A shard is never changed, only replaced, so its size, time and file number tell whether the index still holds.
            version = (status.st_ino, status.st_mtime_ns, status.st_size)
            return _shard_index(self.path, path, _chunks_per_row(self.head.features[feature]), version)

    def _files(self) -> list[Path]:
        return [Path(folder, name) for folder, _, names in os.walk(self.path) for name in names]

    def _damage_of_files(self) -> Iterator[Damage]:
        yield from (Damage("", -1, f"{path} {reason}") for path, reason in self.damaged_files())
        if not self.manifest:
            try:
                self._plain_table(self.tasks)
            except StoreError as error:
                yield Damage("", -1, str(error))
        for name, head in self.head.features.items():
            states, rows = self._raw_states(name), self._rows(name)
            chunk_bytes = head.chunk_rows * head.spec.row_bytes
            for block in range(-(-rows // BLOCK_ROWS)):
                members = block_range(block, rows)
                path = _shard_path(self.path, name, block)
                if not path.exists():
                    continue  # its rows, if any should be there, are named one by one
                if (states.length[members.start : members.stop] == MISSING).any():
                    # A killed commit may leave values of rows that are still marked missing, but a whole shard.
                    try:
                        self._index(name, block)
                    except StoreError as error:
                        yield Damage(name, -1, without_remedy(error), block)
                    continue
                try:
                    offsets = self._index(name, block)[..., 0]
                except StoreError:
                    continue  # its rows are named already
                stored = len(np.unique(offsets[offsets != _ABSENT]))  # rows of equal values share their chunks
                expected = stored * chunk_bytes + _index_bytes(_chunks_per_row(head))
                if path.stat().st_size != expected:
                    yield Damage(name, -1, f"the shard has {path.stat().st_size} bytes, not {expected}", block)
                elif (beyond := offsets[len(members) :] != _ABSENT).any() or not _sizes_fit(
                    self._index(name, block), chunk_bytes
                ):
                    what = "rows beyond the table's" if beyond.any() else "chunks of another size"
                    yield Damage(name, -1, f"the shard of rows {members.start} to {members.stop - 1} has {what}", block)

    def damaged_files(self) -> list[tuple[str, str]]:
        """Files that plain zarr reads and that are not those that were sealed, with what is wrong, such as is missing."""
        found = []
        sealed = (self.manifest.rows or {}).get("files", {}) if self.manifest else {}
        for name, digest in sealed.items():
            try:
                refuse_links(self.path, self.path / check_path(name))
                if _digest_of_file(self.path / name) != digest:
                    found.append((name, "is not what was written"))
            except FileNotFoundError:
                found.append((name, "is missing"))
            except OSError as error:
                found.append((name, f"cannot be read ({error.strerror})"))
            except StoreError as error:
                found.append((name, f"cannot be read ({error})"))
        return found

    @property
    def is_finished(self) -> bool:
        """Whether lengths, checksums and identities are sealed too."""
        return bool(self.manifest and self.manifest.rows and "states" in self.manifest.rows)


class ZarrWriter(StoreWriter):
    """Writes blocks of a Zarr store. With ``shared``, several writers of different blocks may work at once."""

    store: ZarrStore

    def commit(self, feature: str, block: int, rows: Mapping[int, Row | None]) -> None:
        states = self.store.states(feature)
        members = block_range(block, len(self.store.segments))
        if not set(rows) <= set(members):
            raise StoreError(f"{self.path}: rows {sorted(set(rows) - set(members))} are not in block {block}")
        check_rows(feature, self.store.specs[feature], rows)
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
        shard = _shard_path(self.path, feature, block)
        refuse_links(self.path, shard)
        self._make_room(shard)
        pieces = _shard_pieces(head, [values.get(row) for row in _whole_block(block)], new["checksum"])
        others = [self._state(feature, name, block, new[name]) for name in ("checksum", "identity")]
        write_all_whole({shard: pieces, **dict(others)})
        write_whole(*self._state(feature, "length", block, new["length"]))
        for name in STATES:
            getattr(states, name)[members.start : members.stop] = new[name]

    def mend(self, damages: Sequence[Damage]) -> list[str]:
        notes = self.recover()
        self.store = open_zarr(self.path)
        rows = {key: set(members) for key, members in damaged_rows(damages).items()}
        for damage in damages:
            if damage.block >= 0:
                rows.setdefault((damage.feature, damage.block), set())  # its shard is written anew
        for feature in self.store.specs:
            for damage in self.store._damaged_states(feature):
                # Nothing says any more which of the block's rows are whole.
                rows[feature, damage.block] = set(block_range(damage.block, len(self.store.segments)))
        self._unseal()
        for feature in self.store.specs:
            self.store._states[feature] = self.store._raw_states(feature)
            length = self.store._states[feature].length
            for row in np.flatnonzero((length < MISSING) | (length > self.store.specs[feature].max_rows)):
                rows.setdefault((feature, block_of(int(row))), set()).add(int(row))
        for (feature, block), members in rows.items():
            self.commit(feature, block, dict.fromkeys(sorted(members)))
        self.finish()
        marked = sum(map(len, rows.values()))
        return [*notes, *([f"{marked} rows are marked missing; run msmt extract to fill them"] if marked else [])]

    def finish(self) -> None:
        """Seal the store, unless another share of the extraction is still at work."""
        if self._shared:
            self._held.close()
            try:
                self._held.enter_context(writer_lock(self.path))
            except LockedError:
                return  # whoever ends last seals it
        store = open_zarr(self.path)
        if store.is_finished:
            return
        for name in store.specs:
            store.states(name)  # raises where they are not what a store can hold
        blocks = range(-(-len(store.segments) // BLOCK_ROWS))
        states = {
            name: [_digest_of_states(_state_chunks(self.path / name, block)) for block in blocks]
            for name in store.specs
        }
        _write_manifest(self.path, replace(store.manifest, rows={**store.manifest.rows, "states": states}))
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
            head, table = self._from_copies(store, anew, notes)
            manifest = Manifest(head, table, None)
            _write_manifest(self.path, manifest)
        damaged = store.damaged_files()
        if damaged:
            manifest = replace(manifest, rows=None)
            _write_manifest(self.path, manifest)
            notes += [f"{self.path / name} {reason}: it is written anew" for name, reason in damaged]
        if not manifest.rows:
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
            notes.append(f"{without_remedy(error)}: it is written anew from the corpus")
            return replace(head, tasks=anew.tasks), segment_table(anew.table, anew.tasks)

    def _bring_in_line(self, manifest: Manifest) -> None:
        """Write what plain zarr reads of head and table where it is not as the manifest says; then seal it."""
        aside = self.path / f"copies{ASIDE}"
        _make_tree(aside, manifest.head, manifest.table)
        segments = self.path / "segments"
        if _contents(segments) != _contents(aside / "segments"):
            self._put_folder(segments, lambda other: _make_segments(other, manifest.head, manifest.table))
        shutil.rmtree(aside / "segments")
        for made in sorted(path for path in aside.rglob("*") if path.is_file()):
            path = self.path / made.relative_to(aside)
            refuse_links(self.path, path)
            content = made.read_bytes()
            self._make_room(path)
            if not path.is_file() or path.read_bytes() != content:
                write_whole(path, [content])
        shutil.rmtree(aside)
        files = _sealed_files(self.path, manifest.head)
        _write_manifest(self.path, replace(manifest, rows={"files": files}))

    def _unseal(self) -> None:
        """Before rows change."""
        if self.store.is_finished:
            self.store._manifest = replace(self.store.manifest, rows={"files": self.store.manifest.rows["files"]})
            _write_manifest(self.path, self.store._manifest)

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
        _make_tree(aside, head, table)
        _write_manifest(aside, Manifest(head, table, {"files": _sealed_files(aside, head)}))
        sync_tree(aside)
        put_in_place(aside, self.path)

    def _replace(self, head: StoreHead, table: pd.DataFrame, emptied: set[str]) -> None:
        _write_manifest(self.path, replace(self.store.manifest, rows=None))
        for name, feature in head.features.items():
            if name in emptied or name not in self.store.specs:
                # Empty until the manifest says what its rows will be.
                self._put_folder(self.path / name, lambda aside, of=feature: _make_feature(aside, of, len(table)))
        # Rows are added by naming them here: until they are committed they are missing.
        manifest = Manifest(head, table, None)
        _write_manifest(self.path, manifest)
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


def open_zarr(path: Path) -> ZarrStore:
    """The Zarr store at ``path``, whose head was read. Raises StoreError."""
    store = ZarrStore(path)
    store.head  # noqa: B018
    return store


def _write_manifest(store: Path, manifest: Manifest) -> None:
    path, text = store / _MANIFEST, manifest.to_bytes()
    refuse_links(store, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, [_ONE_STRING + len(text).to_bytes(4, "little"), text])


def _make_tree(folder: Path, head: StoreHead, table: pd.DataFrame) -> None:
    """What plain zarr reads of a store that has no rows yet, and the place of the manifest."""
    import zarr

    group = zarr.create_group(str(folder), attributes=_root_attributes(head))
    kind = np.dtypes.StringDType()
    group.create_array("manifest", shape=(1,), dtype=kind, chunks=(1,), compressors=None)
    _make_segments(folder / "segments", head, table)
    for name, feature in head.features.items():
        _make_feature(folder / check_name(name), feature, len(table))


def _root_attributes(head: StoreHead) -> dict:
    says = head.to_json()
    del says["features"]  # each has its own
    return {"format": FORMAT, "format_version": FORMAT_VERSION, **says, "digest": head.digest}


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
        group.create_array(check_name(column), data=values, compressors=None)


def _make_feature(folder: Path, feature: FeatureHead, rows: int) -> None:
    import zarr

    spec, chunk_rows = feature.spec, feature.chunk_rows
    group = zarr.create_group(str(folder), attributes=feature.to_json())
    group.create_array(
        "features",
        shape=(rows, spec.max_rows, spec.width),
        dtype=spec.stored_type,
        chunks=(1, chunk_rows, spec.width),
        shards=(BLOCK_ROWS, _chunks_per_row(feature) * chunk_rows, spec.width),
        compressors=None,
        fill_value=0,
    )
    for name, (kind, absent) in STATES.items():
        group.create_array(name, shape=(rows,), dtype=kind, chunks=(BLOCK_ROWS,), compressors=None, fill_value=absent)


def _attributes(folder: Path) -> dict:
    """Raises StoreError where there is no group of zarr, DamageError where what it says cannot be read."""
    path = folder / "zarr.json"
    try:
        attributes = json.loads(read_regular(path))["attributes"]
        if not isinstance(attributes, dict):
            raise DamageError("has no attributes")
        return attributes
    except FileNotFoundError as error:
        if (folder / "segments").exists() or (folder.parent / "zarr.json").exists():
            raise DamageError(f"{path}: is missing; {TO_MEND}") from error
        raise StoreError(f"{folder}: is not a feature store of msmt; name one with --store") from error
    except UNREADABLE as error:
        raise DamageError(f"{path}: cannot be read ({reason_of(error)}); {TO_MEND}") from error


@contextmanager
def _unreadable(path: Path) -> Iterator[None]:
    """Turn whatever reading garbled metadata raises into a DamageError that names the file and the remedy."""
    try:
        yield
    except StoreError as error:
        if str(error).startswith(str(path)):
            raise
        raise DamageError(f"{path}: cannot be read ({reason_of(error)}); {TO_MEND}") from error
    except Exception as error:  # zarr's own errors share no base
        raise DamageError(f"{path}: cannot be read ({reason_of(error)}); {TO_MEND}") from error


def _sealed_files(folder: Path, head: StoreHead) -> dict[str, str]:
    """XXH3-128 of every file that plain zarr reads, but of the manifest, shards, and states."""
    rows = tuple(folder / name / array / "c" for name in head.features for array in ("features", *STATES))
    made = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path != folder / _MANIFEST
        and not path.name.startswith(".")
        and path.suffix != ASIDE
        and not any(path.is_relative_to(each) for each in rows)
    )
    return {path.relative_to(folder).as_posix(): _digest_of_file(path) for path in made}


def check_path(name: str) -> str:
    """A path that a manifest names. Raises DamageError for one that leads out of its store."""
    if name.startswith("/") or ".." in Path(name).parts:
        raise DamageError(f"{name!r:.80} leads out of the store")
    return name


def _contents(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder; None for a link."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def _digest_of_file(path: Path) -> str:
    return xxhash.xxh3_128_hexdigest(read_regular(path))


def _state_chunks(feature: Path, block: int) -> dict[str, bytes | None]:
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


def _digest_of_states(chunks: Mapping[str, bytes | None]) -> str:
    """XXH3-64 of the states of a block, an absent chunk counting as what it means."""
    digest = xxhash.xxh3_64()
    for name, (kind, absent) in STATES.items():
        content = chunks[name]
        digest.update(np.full(BLOCK_ROWS, absent, kind).tobytes() if content is None else content)
    return digest.hexdigest()


def _whole_block(block: int) -> range:
    return range(block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS)


def _shard_path(store: Path, feature: str, block: int) -> Path:
    return store / feature / "features" / "c" / str(block) / "0" / "0"


def _chunks_per_row(feature: FeatureHead) -> int:
    return -(-feature.spec.max_rows // feature.chunk_rows)


def _index_bytes(chunks_per_row: int) -> int:
    return BLOCK_ROWS * chunks_per_row * 16 + _CRC_BYTES


def _sizes_fit(index: np.ndarray, chunk_bytes: int) -> bool:
    """Whether every chunk that is in the shard has the one size that chunks have."""
    is_there = index[..., 0] != _ABSENT
    return bool((index[..., 1][is_there] == chunk_bytes).all() and (index[..., 1][~is_there] == _ABSENT).all())


def _shard_pieces(
    feature: FeatureHead, values: list[np.ndarray | None], checksums: np.ndarray
) -> Iterator[bytes | memoryview]:
    """The bytes of a shard: each row's chunks in order, then (offset, size) of every chunk, then a CRC32C of those.

    Rows of equal values are stored once, and the index leads to the same chunks for all of them.
    """
    chunk_rows, chunk_bytes = feature.chunk_rows, feature.chunk_rows * feature.spec.row_bytes
    index = np.full((BLOCK_ROWS, _chunks_per_row(feature), 2), _ABSENT, "<u8")
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
def _shard_index(store: Path, path: Path, chunks_per_row: int, version: tuple) -> np.ndarray:
    """(BLOCK_ROWS, chunks per row, 2) uint64: offset and size of each chunk in the shard."""
    size = _index_bytes(chunks_per_row)
    refuse_links(store, path)
    with open(path, "rb") as file:
        file.seek(max(version[-1] - size, 0))
        raw = file.read(size)
    body, crc = raw[:-_CRC_BYTES], raw[-_CRC_BYTES:]
    if len(raw) != size or google_crc32c.value(body).to_bytes(_CRC_BYTES, "little") != crc:
        raise DamageError(f"{path}: its index is damaged; {TO_MEND}")
    return np.frombuffer(body, "<u8").reshape(BLOCK_ROWS, chunks_per_row, 2)
