"""A store without the rows of segments that have left the corpus: written aside, checked, and put in its place.

Until the last rename the store is what it was. Where the operating system can, new and old change places at one stroke;
elsewhere there are two renames, and the next ``compact`` completes one that was cut off between them.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import StoreError
from ..progress import Track, silent
from .durable import exchanged, explained, sync_folder, writer_lock
from .opening import open_store, writer_for
from .rows import MISSING, STATES, Row, block_of, block_range, checksum_of
from .segments import REMOVED, table_digest
from .store import FeatureStore


@dataclass(frozen=True)
class Compacted:
    """What became of a store."""

    store: FeatureStore
    dropped: int
    """Rows that it has no longer."""

    bytes_before: int
    bytes_after: int

    def lines(self) -> list[str]:
        """The same for the screen."""
        if not self.dropped:
            return [f"{self.store.path}: all of its {len(self.store.segments)} rows are of the corpus, nothing to drop"]
        sizes = f"{self.bytes_before / 1e6:.1f} MB before, {self.bytes_after / 1e6:.1f} MB now"
        return [f"{self.store.path}: {self.dropped} rows dropped, {len(self.store.segments)} kept; {sizes}"]


def compact(path: Path, track: Track = silent) -> Compacted:
    """Drop the rows of split ``removed`` and their features; every other row is kept as it is, missing ones missing.

    Raises StoreError when a row to keep is damaged, when none would be left, and when the disk has no room for both.
    """
    path = Path(path)
    if not path.name:
        raise StoreError(f"{path}: is no name of a store; it must end in .zarr, .h5 or .hdf5")
    folder = path.with_name(f".{path.name}.compacting")
    old, new = folder / "old" / path.name, folder / path.name
    if not path.exists() and old.exists():
        with writer_lock(path):
            os.replace(old, path)
    open_store(path)  # one that is not there, or cannot be read, is no reason for a lock
    with writer_for(path) as writer:
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
        store = writer.go_on()
        writer.finish()  # an HDF5 store in parts becomes one file
        store = open_store(path)
        kept = np.flatnonzero((store.segments["split"] != REMOVED).to_numpy())
        dropped, before = len(store.segments) - len(kept), store.bytes_on_disk()
        if not dropped:
            return Compacted(store, 0, before, before)
        if not len(kept):
            raise StoreError(f"{path}: all of its segments have left the corpus; delete it, or extract them again")
        try:
            with explained(path):
                folder.mkdir()
                _copy(store, kept, new, track)
                _check(store, kept, open_store(new))
                old.parent.mkdir()
                _put_in_place(new, path, old)
        finally:
            if path.exists():
                shutil.rmtree(folder, ignore_errors=True)
    made = open_store(path)
    return Compacted(made, dropped, before, made.bytes_on_disk())


def _copy(store: FeatureStore, kept: np.ndarray, path: Path, track: Track) -> None:
    """Write the kept rows into a new store, in their order."""
    table = store.segments.iloc[kept].reset_index(drop=True)
    lengths = {name: np.maximum(store.lengths(name)[kept], 0) for name in store.specs}
    with writer_for(path) as writer:
        writer.prepare(store.dataset, store.tasks, table, store.specs, lengths, facts=store.head.facts)
        for name in store.specs:
            states = store.states(name)
            complete = np.flatnonzero(states.length[kept] != MISSING)
            with track(name, total=len(complete), unit="segments") as advance:
                for block in sorted({block_of(int(row)) for row in complete}):
                    rows = [row for row in block_range(block, len(kept)) if states.length[kept[row]] != MISSING]
                    writer.commit(name, block, {row: _row(store, name, int(kept[row])) for row in rows})
                    advance(len(rows))
        writer.vouch_as(store)
        writer.finish()


def _row(store: FeatureStore, name: str, row: int) -> Row:
    states, values = store.states(name), store.read(name, row)
    if checksum_of(values) != states.checksum[row]:
        raise StoreError(f"{store.path}: row {row} of {name} is damaged; run msmt verify --repair, then msmt extract")
    return Row(values, int(states.identity[row]))


def _check(store: FeatureStore, kept: np.ndarray, made: FeatureStore) -> None:
    """The new store is to hold the kept rows, undamaged. Raises StoreError otherwise; the old one is untouched then."""
    table = store.segments.iloc[kept].reset_index(drop=True)
    same = table_digest(table) == table_digest(made.segments) and dict(store.specs) == dict(made.specs)
    for name in store.specs:
        one, other = store.states(name), made.states(name)
        there = one.length[kept] != MISSING
        same &= bool((one.length[kept] == other.length).all())
        same &= all((getattr(one, state)[kept][there] == getattr(other, state)[there]).all() for state in STATES)
    damage = next(iter(made.damage()), None)
    if not same or damage:
        what = f"{damage.feature} row {damage.row}: {damage.reason}" if damage else "other rows than were to be kept"
        raise StoreError(f"{store.path}: its copy came out wrong ({what}) and was not used; check the disk, try again")


def _put_in_place(new: Path, path: Path, old: Path) -> None:
    """The new store goes to ``path``, at one stroke where that can be had; else the one there goes to ``old`` first."""
    if path.is_file():
        os.replace(new, path)
    elif not exchanged(new, path):
        os.replace(path, old)
        os.replace(new, path)
    sync_folder(path.parent)
