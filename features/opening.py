"""Stores and writers by the name of a file: the suffix tells the format."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import DamageError, StoreError
from .hdf5_store import Hdf5Store
from .hdf5_writer import Hdf5Writer
from .store import Damage, FeatureStore
from .writer import StoreWriter
from .zarr_store import ZarrStore
from .zarr_writer import ZarrWriter

SUFFIXES = {"zarr": ".zarr", "hdf5": ".h5"}


def open_store(path: str | os.PathLike) -> FeatureStore:
    """The store at ``path``, for reading.

    Raises StoreError when there is none, or it is not one of msmt's, or is of a newer format.
    """
    return _kind_of(Path(path)).open(Path(path))


def open_for_verification(path: str | os.PathLike) -> tuple[FeatureStore | None, list[Damage]]:
    """The store at ``path`` as far as it can be read, and what is damaged of that which it says of itself.

    Raises StoreError where there is no store of msmt. The store is None where nothing of it can be read.
    """
    try:
        return open_store(path), []
    except DamageError as error:
        damages = [Damage("", -1, str(error))]
    store = _kind_of(Path(path))(Path(path))
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
    path = Path(path)
    return ZarrWriter(path, shared) if _kind_of(path) is ZarrStore else Hdf5Writer(path, shared)


def _kind_of(path: Path) -> type[FeatureStore]:
    if path.suffix == SUFFIXES["zarr"]:
        return ZarrStore
    if path.suffix in (SUFFIXES["hdf5"], ".hdf5"):
        return Hdf5Store
    raise StoreError(f"{path}: a store's name must end in .zarr, .h5 or .hdf5")
