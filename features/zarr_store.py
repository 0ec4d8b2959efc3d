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
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DamageError, StoreError
from .durable import ASIDE, read_regular, refuse_links
from .head import TO_MEND, StoreHead, check_name, without_remedy
from .manifest import Manifest, check_head
from .rows import BLOCK_ROWS, MISSING, STATES, Extent, RowStates, block_range, explained_read, merged_extents
from .segments import segment_table, table_digest
from .store import Damage, FeatureStore
from .zarr_blocks import (
    ABSENT,
    chunks_in_row,
    digest_of_states,
    index_bytes,
    shard_index,
    shard_path,
    sizes_fit,
    state_chunks,
)
from .zarr_tree import (
    MANIFEST,
    ONE_STRING,
    attributes_of,
    check_path,
    digest_of_file,
    explained_tree,
    files_below,
)


class ZarrStore(FeatureStore):
    """A Zarr v3 folder, read without zarr-python where rows are concerned."""

    is_folder = True

    def _read_manifest(self) -> Manifest | None:
        path = self.path / MANIFEST
        refuse_links(self.path, path)
        try:
            content = read_regular(path)
        except FileNotFoundError as error:
            if attributes_of(self.path).get("format_version") == 1 and not (self.path / "manifest").exists():
                return None
            raise DamageError(f"{path}: is missing; {TO_MEND}") from error
        except OSError as error:
            raise DamageError(f"{path}: cannot be read ({error.strerror}); {TO_MEND}") from error
        # zarr's vlen-utf8 codec: how many strings, the bytes of the first, and these
        if content[:4] != ONE_STRING or int.from_bytes(content[4:8], "little") != len(content) - 8:
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
        attributes = attributes_of(self.path)
        check_head(self.path, attributes)
        with explained_tree(self.path):
            features = {}
            for folder in sorted(self.path.iterdir()):
                if folder.name in ("segments", "manifest") or folder.suffix or not (folder / "zarr.json").exists():
                    continue
                refuse_links(self.path, folder / "zarr.json")
                for array in ("features", *STATES):
                    refuse_links(self.path, folder / array / "c")
                features[folder.name] = attributes_of(folder)
            if attributes["format_version"] == 1:
                attributes["tasks"] = attributes_of(self._segments_folder())["tasks"]
            return StoreHead.from_json({**attributes, "features": features})

    def _segments_folder(self) -> Path:
        # Between the two renames that replace the table, the new one is still under its other name.
        folder = self.path / "segments"
        return folder if folder.exists() else self.path / f"segments{ASIDE}"

    def _plain_table(self, tasks: Sequence) -> pd.DataFrame:
        import zarr

        folder = self._segments_folder()
        with explained_tree(folder):
            refuse_links(self.path, folder)
            attributes = attributes_of(folder)
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
        return [state_chunks(self.path / feature, block) for block in blocks]

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
            with explained_tree(self.path / feature):
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
                if sealed is not None and sealed[block : block + 1] != [digest_of_states(of_block)]:
                    where = f"lengths, checksums or identities of rows {first} to {first + BLOCK_ROWS - 1}"
                    yield Damage(feature, -1, f"{where} are not those that were written", block)

    def _extents(self, feature: str, row: int, rows: int) -> list[Extent]:
        head = self.head.features[feature]
        block, within = divmod(row, BLOCK_ROWS)
        path = shard_path(self.path, feature, block)
        needed = -(-rows // head.chunk_rows)
        offsets = self._index(feature, block)[within, :needed, 0]
        if (offsets == ABSENT).any():
            offsets = offsets[: int(np.argmax(offsets == ABSENT))]
        chunk_bytes = head.chunk_rows * head.spec.row_bytes
        return merged_extents(path, offsets.tolist(), chunk_bytes, head.chunk_rows)

    def _index(self, feature: str, block: int) -> np.ndarray:
        path = shard_path(self.path, feature, block)
        with explained_read(path):
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "is no regular file")
            # A shard is never changed, only replaced, so its size, time and file number tell whether the index still holds.
            version = (status.st_ino, status.st_mtime_ns, status.st_size)
            return shard_index(self.path, path, chunks_in_row(self.head.features[feature]), version)

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
                path = shard_path(self.path, name, block)
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
                stored = len(np.unique(offsets[offsets != ABSENT]))  # rows of equal values share their chunks
                expected = stored * chunk_bytes + index_bytes(chunks_in_row(head))
                if path.stat().st_size != expected:
                    yield Damage(name, -1, f"the shard has {path.stat().st_size} bytes, not {expected}", block)
                elif (beyond := offsets[len(members) :] != ABSENT).any() or not sizes_fit(
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
                if digest_of_file(self.path / name) != digest:
                    found.append((name, "is not what was written"))
            except FileNotFoundError:
                found.append((name, "is missing"))
            except OSError as error:
                found.append((name, f"cannot be read ({error.strerror})"))
            except StoreError as error:
                found.append((name, f"cannot be read ({error})"))
        # A column whose cells are all alike has no chunk, and one that appears would be read all the same.
        added = files_below(self.path / "segments", self.path) - set(sealed) if sealed else ()
        return [*found, *((name, "is no file of the store") for name in sorted(added))]

    @property
    def is_finished(self) -> bool:
        """Whether lengths, checksums and identities are sealed too."""
        return bool(self.manifest and self.manifest.rows and "states" in self.manifest.rows)
