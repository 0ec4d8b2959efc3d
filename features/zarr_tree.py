"""What plain zarr reads of a store besides rows, how it is made, and the manifest that seals it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import xxhash

from ..errors import DamageError, StoreError
from .durable import read_regular, refuse_links, write_whole
from .head import TO_MEND, UNREADABLE, FeatureHead, StoreHead, check_name, reason_of
from .manifest import FORMAT, FORMAT_VERSION, Manifest
from .rows import BLOCK_ROWS, STATES
from .segments import table_digest
from .zarr_blocks import chunks_in_row

MANIFEST = Path("manifest", "c", "0")
ONE_STRING = (1).to_bytes(4, "little")  # what zarr's vlen-utf8 codec puts before the lengths of a chunk's strings


def write_manifest(store: Path, manifest: Manifest) -> None:
    path, text = store / MANIFEST, manifest.to_bytes()
    refuse_links(store, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, [ONE_STRING + len(text).to_bytes(4, "little"), text])


def make_tree(folder: Path, head: StoreHead, table: pd.DataFrame) -> None:
    """What plain zarr reads of a store that has no rows yet, and the place of the manifest."""
    import zarr

    group = zarr.create_group(str(folder), attributes=_root_attributes(head))
    kind = np.dtypes.StringDType()
    group.create_array("manifest", shape=(1,), dtype=kind, chunks=(1,), compressors=None)
    make_segments(folder / "segments", head, table)
    for name, feature in head.features.items():
        make_feature(folder / check_name(name), feature, len(table))


def _root_attributes(head: StoreHead) -> dict:
    says = head.to_json()
    del says["features"]  # each has its own
    return {"format": FORMAT, "format_version": FORMAT_VERSION, **says, "digest": head.digest}


def make_segments(folder: Path, head: StoreHead, table: pd.DataFrame) -> None:
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


def make_feature(folder: Path, feature: FeatureHead, rows: int) -> None:
    import zarr

    spec, chunk_rows = feature.spec, feature.chunk_rows
    group = zarr.create_group(str(folder), attributes=feature.to_json())
    group.create_array(
        "features",
        shape=(rows, spec.max_rows, spec.width),
        dtype=spec.stored_type,
        chunks=(1, chunk_rows, spec.width),
        shards=(BLOCK_ROWS, chunks_in_row(feature) * chunk_rows, spec.width),
        compressors=None,
        fill_value=0,
    )
    for name, (kind, absent) in STATES.items():
        group.create_array(name, shape=(rows,), dtype=kind, chunks=(BLOCK_ROWS,), compressors=None, fill_value=absent)


def attributes_of(folder: Path) -> dict:
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
def explained_tree(path: Path) -> Iterator[None]:
    """Turn whatever reading garbled metadata raises into a DamageError that names the file and the remedy."""
    try:
        yield
    except StoreError as error:
        if str(error).startswith(str(path)):
            raise
        raise DamageError(f"{path}: cannot be read ({reason_of(error)}); {TO_MEND}") from error
    except Exception as error:  # zarr's own errors share no base
        raise DamageError(f"{path}: cannot be read ({reason_of(error)}); {TO_MEND}") from error


def sealed_files(made: Path) -> dict[str, str]:
    """XXH3-128 of every file of a tree that ``make_tree`` made: what plain zarr reads, but of the manifest and of rows."""
    return {name: digest_of_file(made / name) for name in sorted(files_below(made, made))}


def check_path(name: str) -> str:
    """A path that a manifest names. Raises DamageError for one that leads out of its store."""
    if name.startswith("/") or ".." in Path(name).parts:
        raise DamageError(f"{name!r:.80} leads out of the store")
    return name


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder; None for a link."""
    paths = {name: folder / name for name in files_below(folder, folder)}
    return {name: None if path.is_symlink() else path.read_bytes() for name, path in paths.items()}


def files_below(folder: Path, root: Path) -> set[str]:
    """Every file below a folder, by its path from ``root``; nothing where the folder is a link."""
    if folder.is_symlink():
        return set()
    return {path.relative_to(root).as_posix() for path in folder.rglob("*") if path.is_file() or path.is_symlink()}


def digest_of_file(path: Path) -> str:
    return xxhash.xxh3_128_hexdigest(read_regular(path))
