"""The store: segments, labels and features of one dataset, in one Zarr folder or HDF5 file.

Format, version 2. Both formats hold the same tree, readable with plain zarr or h5py:

    attributes            format "msmt-features", format_version, msmt_version, dataset, tasks (JSON), created (ISO 8601)
    segments/<column>     (N,)        one array per column of the segment table, see segments.py
    segments attributes   digest of the table, tasks (JSON)
    <feature>/features    (N, T, d)   float16 or float32, little-endian, uncompressed, chunks (1, c, d), zeros past the
                                      length; T is 1 for a feature of one vector per segment
    <feature>/length      (N,)        int32, valid rows; -1 = missing
    <feature>/checksum    (N,)        uint64, XXH3 of the bytes of the valid rows
    <feature>/identity    (N,)        uint64, hash of what the row was made from: audio or text, spec, and its view's recipe
    <feature> attributes  spec (JSON, with the recipe of each view that the feature knows), fingerprint, chunk_rows

What msmt believes of all this is the manifest (manifest.py): head and table once more under one checksum, and in a finished
store digests of lengths, checksums and identities, and of all that plain libraries read. So a byte that changed anywhere
is noticed, and what is there twice can be mended. Version 1 had no manifest; it is read as it is, and brought to
version 2 by the next command that writes.

A chunk that is all padding is not stored, so padding costs nothing but the rest of a segment's last
chunk. A row is complete when its length is not -1, and nothing else makes it so: every writer puts
values, checksum and identity on the disk before the length. Rows are written, committed and shared
out among writers in blocks of BLOCK_ROWS; zarr_store.py and hdf5_store.py say how each format commits
a block.
"""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import xxhash

from ..errors import DamageError, SpecMismatchError, StoreError
from .durable import explained, writer_lock
from .head import TO_MEND, FeatureHead, StoreHead
from .manifest import FORMAT, FORMAT_VERSION, Manifest
from .segments import REMOVED, segment_table, table_digest
from .spec import FeatureSpec
from .tasks import Task

BLOCK_ROWS = 32  # rows of a block: a Zarr shard, or an HDF5 part
MISSING = -1
# Arrays with one value per row beside the features: their type, and the value of a row that is not there yet.
STATES = {"length": ("<i4", MISSING), "checksum": ("<u8", 0), "identity": ("<u8", 0)}
SUFFIXES = {"zarr": ".zarr", "hdf5": ".h5"}

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


@dataclass(frozen=True)
class Damage:
    """A place where the bytes on disk are not what was written."""

    feature: str
    """Empty when the damage is not in one feature."""

    row: int
    """-1 when it is not in one row."""

    reason: str

    block: int = -1
    """Row block that holds it, when it is not in one row; -1 when it is not in one block either."""


def _is_of_lengths(states: RowStates, spec: FeatureSpec) -> bool:
    """Whether some length is none that a row can have, so that the row itself is named as damaged."""
    return bool(((states.length < MISSING) | (states.length > spec.max_rows)).any())


class FeatureStore(ABC):
    """A store opened for reading. Holds no open file, so it can be pickled and used after a fork."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._believes_copies = False
        self._forget()

    def __getstate__(self) -> dict:
        return {"path": self.path}

    def __setstate__(self, state: dict) -> None:
        self.__init__(state["path"])

    def believe_copies(self) -> None:
        """Read head and table from the second copy, for a store whose manifest is damaged."""
        self._forget()
        self._believes_copies = True

    def _forget(self) -> None:
        self._manifest: Manifest | None = None
        self._head: StoreHead | None = None
        self._table: pd.DataFrame | None = None
        self._states: dict[str, RowStates] = {}

    @property
    def manifest(self) -> Manifest | None:
        """What msmt wrote of the store under a checksum; None for a store of version 1. Raises DamageError."""
        if self._manifest is None and not self._believes_copies:
            self._manifest = self._read_manifest()
        return self._manifest

    @property
    def head(self) -> StoreHead:
        if self._head is None:
            self._head = self.manifest.head if self.manifest else self._plain_head()
        return self._head

    @property
    @abstractmethod
    def is_finished(self) -> bool:
        """Whether no extraction is at work or was cut off, so that the states of rows are sealed too."""

    @property
    def dataset(self) -> str:
        return self.head.dataset

    @property
    def tasks(self) -> tuple[Task, ...]:
        return self.head.tasks

    @property
    def specs(self) -> dict[str, FeatureSpec]:
        """The spec of each feature, by name."""
        return {name: feature.spec for name, feature in self.head.features.items()}

    @property
    def segments(self) -> pd.DataFrame:
        """The segment table; row i describes row i of every feature."""
        if self._table is None:
            self._table = self.manifest.table if self.manifest else self._plain_table(self.tasks)
        return self._table

    @property
    def recipes(self) -> dict[str, Mapping]:
        """The recipe of each view that the store holds, by the view's name; a view has one, whatever the feature."""
        return {view: recipe for spec in self.specs.values() for view, recipe in spec.views.items()}

    def states(self, feature: str) -> RowStates:
        """Length, checksum and identity of every row of a feature, read once."""
        if feature not in self._states:
            if feature not in self.head.features:
                raise StoreError(
                    f"{self.path}: has no feature {feature!r}, only {', '.join(self.specs) or 'none'};"
                    " run msmt extract with the encoder that makes it"
                )
            states = self._read_states(feature)
            length, longest = states.length, self.specs[feature].max_rows
            wrong = np.flatnonzero((length < MISSING) | (length > longest))
            if len(wrong):
                raise DamageError(
                    f"{self.path}: the length of row {wrong[0]} of {feature} is {length[wrong[0]]}, outside -1 to"
                    f" {longest}; {TO_MEND}"
                )
            self._states[feature] = states
        return self._states[feature]

    def lengths(self, feature: str) -> np.ndarray:
        """(N,) int32: valid rows of each segment, -1 where the feature is missing."""
        return self.states(feature).length

    def read(self, feature: str, row: int, checked: bool = True) -> np.ndarray:
        """The valid rows of one segment, (length, d) float16 or float32 as the spec says, straight from the file.

        Raises StoreError when the row is missing, and unless ``checked`` is False when it is not what its checksum says.
        """
        states = self.states(feature)
        if not 0 <= row < len(states.length):
            raise StoreError(f"{self.path}: has no row {row}, its rows are 0 to {len(states.length) - 1}")
        length = int(states.length[row])
        if length == MISSING:
            raise StoreError(f"{self.path}: row {row} of {feature} is missing; run msmt extract to fill it")
        spec = self.specs[feature]
        values = np.empty((length, spec.width), spec.stored_type)
        at = 0
        for extent in self._extents(feature, row, length):
            taken = min(extent.rows, length - at)
            _read_into(values[at : at + taken], extent)
            at += taken
        if at < length:
            raise DamageError(f"{self.path}: row {row} of {feature} is cut short; {TO_MEND}")
        if checked and checksum_of(values) != states.checksum[row]:
            raise DamageError(f"{self.path}: row {row} of {feature} is damaged; {TO_MEND}")
        return values

    def reader(self, feature: str, mapped: bool = False):
        """A ``RowReader`` for many rows of one feature; see there for ``mapped``."""
        from .reader import RowReader

        return RowReader(self, feature, mapped)

    def changed_specs(self, specs: Mapping[str, FeatureSpec]) -> dict[str, list[str]]:
        """For each feature that the store holds with another spec, or with another recipe for a view, the differences."""
        recipes = {view: recipe for spec in specs.values() for view, recipe in spec.views.items()}
        differences = {
            name: spec.differences(specs[name]) if name in specs else spec.differences_of_views(recipes)
            for name, spec in self.specs.items()
        }
        return {name: phrases for name, phrases in differences.items() if phrases}

    def mismatch(self, changed: Mapping[str, Sequence[str]]) -> SpecMismatchError:
        """The error that spells the differences out."""
        details = "; ".join(f"{name}: {', '.join(phrases)}" for name, phrases in sorted(changed.items()))
        return SpecMismatchError(
            f"{self.path}: holds features made in another way ({details});"
            " replace them with --overwrite, or keep both with another --store"
        )

    def fingerprint(self) -> str:
        """Hash of tasks, specs, table and every row: changes when anything that a model could see changes.

        When and by which msmt the store was made is not in it, so that the same features have the same fingerprint.
        """
        says = {name: value for name, value in self.head.to_json().items() if name in ("dataset", "tasks", "facts")}
        said = hashlib.sha256(json.dumps(says, sort_keys=True).encode()).hexdigest()
        return hashlib.sha256(f"{said} {self.fingerprint_version_1()}".encode()).hexdigest()[:32]

    def fingerprint_version_1(self) -> str:
        """The fingerprint that msmt took of stores of version 1, by which runs of that time know theirs."""
        digest = hashlib.sha256(table_digest(self.segments).encode())
        for name in sorted(self.specs):
            states = self.states(name)
            digest.update(f"{name} {self.specs[name].fingerprint}".encode())
            digest.update(states.length.tobytes())
            digest.update(np.where(states.length == MISSING, 0, states.checksum).tobytes())
        return digest.hexdigest()[:32]

    def bytes_on_disk(self) -> int:
        """Sum of the sizes of the store's files."""
        return sum(path.stat().st_size for path in self._files())

    def damage(self, advance: Callable[[int], None] = lambda rows: None) -> Iterable[Damage]:
        """Recompute every checksum; yield each place where the bytes are not what was written."""
        for name in self.specs:
            try:
                states = self.states(name)
            except StoreError as error:
                try:
                    found = list(self._damaged_states(name))
                    states = self._raw_states(name)
                except StoreError as other:
                    yield Damage(name, -1, str(other))
                    continue
                yield from found or ([] if _is_of_lengths(states, self.specs[name]) else [Damage(name, -1, str(error))])
            for row in np.flatnonzero(states.length != MISSING):
                reason = self._row_damage(name, int(row), states)
                if reason:
                    yield Damage(name, int(row), reason)
                advance(1)
        yield from self._damage_of_files()

    def _row_damage(self, feature: str, row: int, states: RowStates) -> str | None:
        spec = self.specs[feature]
        length = int(states.length[row])
        if not 0 <= length <= spec.max_rows:
            return f"its length is {length}, outside 0 to {spec.max_rows}"
        chunk_rows = self.head.features[feature].chunk_rows
        stored_rows = -(-length // chunk_rows) * chunk_rows
        try:
            extents = self._extents(feature, row, stored_rows)
            values = np.empty((sum(extent.rows for extent in extents), spec.width), spec.stored_type)
            at = 0
            for extent in extents:
                _read_into(values[at : at + extent.rows], extent)
                at += extent.rows
        except (StoreError, OSError) as error:
            return f"cannot be read ({error})"
        except MemoryError:
            return "cannot be read (it asks for more memory than there is)"
        if len(values) != stored_rows:
            return f"holds {len(values)} stored rows, where its length of {length} needs {stored_rows}"
        if checksum_of(values[:length]) != states.checksum[row]:
            return "its checksum does not match its values"
        if values[length:].view(np.uint8).any():
            return "its padding is not zero"
        return None

    @abstractmethod
    def _read_manifest(self) -> Manifest | None:
        """The manifest; None where the store is of version 1. Raises DamageError where it is not what was written."""

    @abstractmethod
    def _plain_head(self) -> StoreHead:
        """The head as plain libraries read it: the second copy, and the only one of version 1. Raises DamageError."""

    @abstractmethod
    def _plain_table(self, tasks: Sequence[Task]) -> pd.DataFrame:
        """The segment table as plain libraries read it, checked by its own digest. Raises DamageError."""

    @abstractmethod
    def _read_states(self, feature: str) -> RowStates:
        """The states of a feature. Raises DamageError where they are not those that were sealed."""

    @abstractmethod
    def _raw_states(self, feature: str) -> RowStates:
        """The states of a feature as far as they can be read, whatever they are: what cannot is missing."""

    @abstractmethod
    def _damaged_states(self, feature: str) -> Iterable[Damage]:
        """The blocks whose states are not those that were sealed."""

    @abstractmethod
    def _extents(self, feature: str, row: int, rows: int) -> list[Extent]:
        """Where the first ``rows`` stored rows of a segment lie, in order; neighbours are merged."""

    @abstractmethod
    def _files(self) -> list[Path]:
        """Every file of the store."""

    @abstractmethod
    def _damage_of_files(self) -> Iterable[Damage]:
        """Damage that shows in a file as a whole."""


@dataclass(frozen=True)
class Anew:
    """What a corpus says of its segments, for a store whose own table is lost."""

    tasks: tuple[Task, ...]
    table: pd.DataFrame


class StoreWriter(ABC):
    """The right to write one store, held as a context manager by one process.

    ``commit`` puts rows on the disk block by block; ``finish`` leaves the store in its final form.
    Whatever ends the process in between, each row is complete or missing.
    """

    store: FeatureStore

    def __init__(self, path: Path, shared: bool = False) -> None:
        self.path = Path(path)
        self._shared = shared
        self._held = ExitStack()

    def __enter__(self) -> StoreWriter:
        self._held.enter_context(writer_lock(self.path, self._shared))
        return self

    def __exit__(self, *error) -> None:
        self._held.close()

    def prepare(
        self,
        dataset: str,
        tasks: Sequence[Task],
        table: pd.DataFrame,
        specs: Mapping[str, FeatureSpec],
        expected_lengths: Mapping[str, np.ndarray],
        overwrite: bool = False,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        """Make the store hold these segments and features, so that rows can be committed.

        A new store takes ``table`` as it is. In an existing one every known segment keeps its row,
        new segments follow at the end, and segments that are gone keep their rows under the split
        ``removed``; labels and other columns are brought up to date.

        A feature may be given further views. Raises SpecMismatchError when it exists with another spec, or with another
        recipe for a view, unless ``overwrite``; then its rows, or those of the view, are dropped.
        ``expected_lengths`` (N,) decides the chunk size of a new feature. ``facts`` replace those of the store's head,
        unless None.
        """
        path = self.path
        if not path.exists():
            features = {
                name: FeatureHead(spec, chunk_rows_for(spec, expected_lengths[name])) for name, spec in specs.items()
            }
            with explained(path):
                self._create(_new_head(dataset, tasks, features, facts or {}), table)
            self.store = open_store(path)
            return
        self.recover()
        self.store = store = open_store(path)
        if store.dataset != dataset:
            raise StoreError(f"{path}: holds dataset {store.dataset!r}, not {dataset!r}; name another with --store")
        changed = store.changed_specs(specs)
        if changed and not overwrite:
            raise store.mismatch(changed)
        emptied = {name for name in changed if name in specs and not store.specs[name].is_extended_by(specs[name])}
        self._empty_views(specs, emptied)
        made = {
            name: FeatureHead(spec, chunk_rows_for(spec, expected_lengths[name]))
            for name, spec in specs.items()
            if name not in store.specs or name in emptied
        }
        head = replace(
            store.head,
            tasks=tuple(tasks),
            features={**_extended(store, specs), **made},
            facts=store.head.facts if facts is None else dict(facts),
        )
        merged = merged_table(store.segments, store.tasks, table, tasks)
        is_other = head != store.head
        if emptied or is_other or table_digest(merged) != table_digest(store.segments):
            with explained(path):
                self._replace(head, merged, emptied)
        self.store = open_store(path)

    def _empty_views(self, specs: Mapping[str, FeatureSpec], emptied: set[str]) -> None:
        """Mark the rows of each view missing that is to have another recipe.

        Before the recipe is replaced: whatever the specs say, a row that is there was made so.
        """
        store = self.store
        recipes = {view: recipe for spec in specs.values() for view, recipe in spec.views.items()}
        for name, spec in store.specs.items():
            changed = [view for view, recipe in spec.views.items() if recipes.get(view, recipe) != recipe]
            if name in emptied or not changed:
                continue
            rows = np.flatnonzero(store.segments["view"].isin(changed).to_numpy() & (store.lengths(name) != MISSING))
            for block in sorted({block_of(int(row)) for row in rows}):
                self.commit(name, block, {int(row): None for row in rows if block_of(int(row)) == block})

    @abstractmethod
    def commit(self, feature: str, block: int, rows: Mapping[int, Row | None]) -> None:
        """Replace some rows of a block, durably, and leave its other rows as they are.

        Keys are row numbers within the block's range; None marks a row missing.
        """

    def would_change(
        self,
        dataset: str,
        tasks: Sequence[Task],
        table: pd.DataFrame,
        specs: Mapping[str, FeatureSpec],
        facts: Mapping[str, object] | None = None,
    ) -> bool:
        """Whether ``prepare`` with these has anything to do."""
        if not self.path.exists():
            return True
        store = open_store(self.path)
        if store.dataset != dataset or store.tasks != tuple(tasks):
            return True
        if facts is not None and store.head.facts != facts:
            return True
        if set(specs) - set(store.specs) or store.changed_specs(specs):
            return True
        if _extended(store, specs) != store.head.features:
            return True
        merged = merged_table(store.segments, store.tasks, table, tasks)
        return table_digest(merged) != table_digest(store.segments)

    def begin_copy(self, source: FeatureStore) -> None:
        """Make the store one with the head and table of ``source``, or go on with one that was begun so.

        Raises StoreError when there is a store of something else.
        """
        if not self.path.exists():
            with explained(self.path):
                self._create(source.head, source.segments)
        self.recover()
        self.store = open_store(self.path)
        if self.store.head != source.head or table_digest(self.store.segments) != table_digest(source.segments):
            raise StoreError(f"{self.path}: exists and is no copy of {source.path}; name another, or delete it")

    @abstractmethod
    def recover(self, anew: Anew | None = None) -> list[str]:
        """Complete what a writer that was killed left half-way, and bring manifest and its second copy in line.

        Where the segment table can be read from neither, it becomes that of ``anew``: rows are then known again by what
        they were made from. Returns what was damaged and mended, a sentence each. Raises DamageError for what cannot be.
        """

    @abstractmethod
    def mend(self, damages: Sequence[Damage]) -> list[str]:
        """Mark damaged rows missing and rewrite damaged files, so that an extraction can fill them again.

        Returns what was done, a sentence each.
        """

    @abstractmethod
    def finish(self) -> None:
        """Bring the store into its final form and drop what only an extraction in progress needs."""

    @abstractmethod
    def _create(self, head: StoreHead, table: pd.DataFrame) -> None: ...

    @abstractmethod
    def _replace(self, head: StoreHead, table: pd.DataFrame, emptied: set[str]) -> None:
        """Give an existing store another head and table; rows keep their numbers, ``emptied`` features lose theirs."""


def open_store(path: str | os.PathLike) -> FeatureStore:
    """The store at ``path``, for reading.

    Raises StoreError when there is none, or it is not one of msmt's, or is of a newer format.
    """
    store = _reader(Path(path))
    if not store.path.exists():
        raise StoreError(f"{store.path}: there is no such store; run msmt extract to make it")
    if not (store.path.is_file() if store.path.suffix != SUFFIXES["zarr"] else store.path.is_dir()):
        raise StoreError(f"{store.path}: is not a feature store of msmt, nor a regular file or folder; name another")
    store.head  # noqa: B018  a file that is not a store is refused here and not at the first read
    return store


def open_for_verification(path: str | os.PathLike) -> tuple[FeatureStore | None, list[Damage]]:
    """The store at ``path`` as far as it can be read, and what is damaged of that which it says of itself.

    Raises StoreError where there is no store of msmt. The store is None where nothing of it can be read.
    """
    try:
        return open_store(path), []
    except DamageError as error:
        damages = [Damage("", -1, str(error))]
    store = _reader(Path(path))
    try:
        store.believe_copies()
        store.head  # noqa: B018
        return store, damages
    except DamageError as error:
        return None, [*damages, Damage("", -1, str(error))]


def default_store(folder: Path, dataset: str | None = None) -> Path:
    """The store that a command means when none is named: the newest in ``folder``, or that of a dataset."""
    pattern = dataset or "*"
    found = [path for suffix in SUFFIXES.values() for path in Path(folder).glob(pattern + suffix)]
    if not found:
        what = f"store of {dataset}" if dataset else "store"
        raise StoreError(f"{folder}: there is no {what}; run msmt extract first, or name one with --store")
    return max(found, key=lambda path: path.stat().st_mtime)


def writer_for(path: str | os.PathLike, shared: bool = False) -> StoreWriter:
    """A writer for the store at ``path``, whose suffix tells the format. Use it as a context manager."""
    from .hdf5_store import Hdf5Writer
    from .zarr_store import ZarrWriter

    path = Path(path)
    return ZarrWriter(path, shared) if _format_of(path) == "zarr" else Hdf5Writer(path, shared)


def merged_table(
    old: pd.DataFrame, old_tasks: Sequence[Task], new: pd.DataFrame, tasks: Sequence[Task]
) -> pd.DataFrame:
    """The table of a store that held ``old`` once it holds ``new``: known rows keep their numbers, see ``prepare``."""
    keys = ["segment_id", "view"]
    new = new.set_index(keys, drop=False)
    old_keys = pd.MultiIndex.from_frame(old[keys])
    staying = old_keys.isin(new.index)
    gone = old[~staying].assign(split=REMOVED)
    if list(old_tasks) != list(tasks):
        gone = gone.drop(columns=[task.column for task in old_tasks])
    gone = segment_table(gone, tasks).set_index(old_keys[~staying])
    known = pd.concat([new[new.index.isin(old_keys)], gone]).loc[list(old_keys)]
    added = new[~new.index.isin(old_keys)]
    return segment_table(pd.concat([known, added]).reset_index(drop=True), tasks)


def _extended(store: FeatureStore, specs: Mapping[str, FeatureSpec]) -> dict[str, FeatureHead]:
    """The features of a store with the views of ``specs`` besides their own; one that has another recipe loses the view."""
    recipes = {view: recipe for spec in specs.values() for view, recipe in spec.views.items()}
    features = {}
    for name, head in store.head.features.items():
        kept = {view: recipe for view, recipe in head.spec.views.items() if recipes.get(view, recipe) == recipe}
        views = {**kept, **(specs[name].views if name in specs else {})}
        features[name] = replace(head, spec=replace(head.spec, views=views))
    return features


def _new_head(
    dataset: str, tasks: Sequence[Task], features: Mapping[str, FeatureHead], facts: Mapping[str, object]
) -> StoreHead:
    from .. import __version__

    # Reproducible builds fix the clock with this variable; two stores made under it can be compared byte by byte.
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.fromtimestamp(int(fixed), UTC) if fixed else datetime.now(UTC)
    return StoreHead(dataset, tuple(tasks), now.isoformat(timespec="seconds"), __version__, features, dict(facts))


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


def check_rows(feature: str, spec: FeatureSpec, rows: Mapping[int, Row | None]) -> None:
    """Raise StoreError unless every row is what a store of this spec can hold: its shape, its type, finite numbers."""
    for row, content in rows.items():
        values = None if content is None else content.values
        if values is None:
            continue
        if not isinstance(values, np.ndarray) or values.dtype != spec.stored_type:
            kind = getattr(values, "dtype", type(values).__name__)
            raise StoreError(f"row {row} of {feature} must be {spec.dtype}, but is {kind}; nothing was written")
        if values.ndim != 2 or values.shape[1] != spec.width or len(values) > spec.max_rows:
            raise StoreError(
                f"row {row} of {feature} must be up to ({spec.max_rows}, {spec.width}), but is {values.shape};"
                " nothing was written"
            )
        if not _are_finite(values):
            raise StoreError(
                f"row {row} of {feature} has values that {spec.dtype} cannot hold (infinite, or not numbers);"
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


def identity_of(*parts: str) -> int:
    """Unsigned 64-bit hash of what a row was made from."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return int.from_bytes(digest.digest(), "little")


def damaged_rows(damages: Sequence[Damage]) -> dict[tuple[str, int], list[int]]:
    """The rows among ``damages``, by feature and block."""
    rows: dict[tuple[str, int], list[int]] = {}
    for damage in damages:
        if damage.row >= 0:
            rows.setdefault((damage.feature, block_of(damage.row)), []).append(damage.row)
    return rows


def block_of(row: int) -> int:
    return row // BLOCK_ROWS


def block_range(block: int, rows: int) -> range:
    """The row numbers of a block in a store of ``rows`` rows."""
    return range(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, rows))


def check_head(path: Path, attributes: Mapping) -> None:
    """Raise StoreError unless these attributes are those of a store that this version can read."""
    if attributes.get("format") != FORMAT:
        raise StoreError(f"{path}: is not a feature store of msmt; name one with --store")
    version = attributes.get("format_version")
    if not isinstance(version, int | np.integer) or isinstance(version, bool):
        raise DamageError(f"{path}: has format version {version!r:.20}, which is none; {TO_MEND}")
    if not 1 <= version <= FORMAT_VERSION:
        raise StoreError(f"{path}: has format version {version}, this msmt reads up to {FORMAT_VERSION}; update msmt")


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


def _read_into(values: np.ndarray, extent: Extent) -> None:
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


def _format_of(path: Path) -> str:
    for name, suffix in SUFFIXES.items():
        if path.suffix == suffix:
            return name
    if path.suffix == ".hdf5":
        return "hdf5"
    raise StoreError(f"{path}: a store's name must end in .zarr, .h5 or .hdf5")


def _reader(path: Path) -> FeatureStore:
    from .hdf5_store import Hdf5Store
    from .zarr_store import ZarrStore

    return ZarrStore(path) if _format_of(path) == "zarr" else Hdf5Store(path)
