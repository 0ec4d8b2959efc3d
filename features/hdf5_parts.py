"""What one file of an HDF5 store says of its rows, and the parts of a store that is not finished; see hdf5_store.py."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DamageError
from .head import FeatureHead
from .rows import MISSING, STATES, Extent, RowStates
from .sealed import seal_of


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


def parts_folder(store: Path) -> Path:
    """Where an unfinished store keeps its parts."""
    return store.with_name(store.name + ".parts")


def part_path(store: Path, feature: str, block: int) -> Path:
    """The file of one row block of an unfinished store."""
    return parts_folder(store) / f"{feature}-{block:06d}.h5"


def blocks_with_parts(store: Path, feature: str) -> frozenset[int]:
    """The row blocks of a feature whose files are there."""
    numbers = (path.stem.removeprefix(f"{feature}-") for path in parts_folder(store).glob(f"{feature}-??????.h5"))
    return frozenset(int(number) for number in numbers if number.isdecimal())


def digest_in(path: Path) -> str:
    """The digest of what msmt says of a finished file; empty for one of version 1."""
    seal, _ = seal_of(path)
    return seal.manifest if seal else ""


def name_of_part(feature: str, path: Path, head: FeatureHead) -> list[str]:
    """What tells a part from every other: its feature, its name, and how the original rows of the feature are made."""
    return [feature, path.name, head.spec.of_originals.fingerprint]


def states_of_so_many(states: RowStates, rows: int, most: int) -> RowStates:
    """The states of so many rows, of which the last may be missing, as are those of more than ``most`` frames or tokens."""
    arrays = {name: np.full(rows, absent, kind) for name, (kind, absent) in STATES.items()}
    for name, values in arrays.items():
        there = getattr(states, name)[:rows]
        values[: len(there)] = there
    arrays["length"][(arrays["length"] < MISSING) | (arrays["length"] > most)] = MISSING
    return RowStates(**arrays)


def _encoded(values: np.ndarray) -> str:
    return b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _decoded(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(b64decode(text, validate=True), kind).copy()
