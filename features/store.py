"""The store, for reading: segments, labels and features of one dataset, in one Zarr folder or HDF5 file.

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
a block. writer.py is the contract for writing, and opening.py chooses between the formats.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DamageError, SpecMismatchError, StoreError
from .head import TO_MEND, StoreHead
from .manifest import Manifest
from .rows import MISSING, Extent, RowStates, checksum_of, read_into
from .segments import table_digest
from .spec import FeatureSpec
from .tasks import Task


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


class FeatureStore(ABC):
    """A store opened for reading. Holds no open file, so it can be pickled and used after a fork."""

    is_folder: bool
    """Whether a store of this format is a folder, not a file."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._believes_copies = False
        self._forget()

    @classmethod
    def open(cls, path: Path) -> FeatureStore:
        """The store at ``path``.

        Raises StoreError when there is none, or it is not one of msmt's, or is of a newer format.
        """
        if not path.exists():
            raise StoreError(f"{path}: there is no such store; run msmt extract to make it")
        if not (path.is_dir() if cls.is_folder else path.is_file()):
            raise StoreError(f"{path}: is not a feature store of msmt, nor a regular file or folder; name another")
        store = cls(path)
        store.head  # noqa: B018  a file that is not a store is refused here and not at the first read
        return store

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
    def facts(self) -> Mapping[str, object]:
        """What else the store has to keep in mind of its corpus, see StoreHead."""
        return self.head.facts

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
            read_into(values[at : at + taken], extent)
            at += taken
        if at < length:
            raise DamageError(f"{self.path}: row {row} of {feature} is cut short; {TO_MEND}")
        if checked and checksum_of(values) != states.checksum[row]:
            raise DamageError(f"{self.path}: row {row} of {feature} is damaged; {TO_MEND}")
        return values

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
            " replace them with --overwrite, or keep both with another --store or under another name"
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
                read_into(values[at : at + extent.rows], extent)
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


def _is_of_lengths(states: RowStates, spec: FeatureSpec) -> bool:
    """Whether some length is none that a row can have, so that the row itself is named as damaged."""
    return bool(((states.length < MISSING) | (states.length > spec.max_rows)).any())
