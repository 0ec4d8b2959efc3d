"""A store as one ``.npz`` of plain arrays, read by numpy alone and without ``allow_pickle``.

    <feature>/values        (sum of lengths, d)  float16 or float32: the valid rows of all segments, one after another
    <feature>/offsets       (N + 1,) int64: the rows of segment i are values[offsets[i]:offsets[i + 1]]
    <feature>/complete      (N,) bool: False where the store has no row, which has no values here
    segments/<column>       (N,) one array per column of the segment table, see segments.py
    classes/<task>          the names of the classes that segments/label_<task> counts, from 0; -1 is no label
    scheme                  the scheme that segments/split is of

Segments are in the order of the table. Rows are written as they are read, so memory stays small.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ...errors import ExchangeError
from ...progress import Track, silent
from ..rows import MISSING
from ..schemes import STANDARD, splits_of
from ..segments import ORIGINAL
from ..store import FeatureStore
from .aside import check_room, in_gigabytes, made_aside
from .chosen import Exported, choose_features, choose_rows

_TEXTS_AT_ONCE = 1024
_CLASSES = "classes"


def export_npz(
    store: FeatureStore,
    path: Path,
    features: Sequence[str] = (),
    scheme: str = STANDARD,
    views: Sequence[str] = (ORIGINAL,),
    overwrite: bool = False,
    track: Track = silent,
) -> Exported:
    """Write features, by default all, and the segment table.

    Raises ExchangeError or SettingError, and writes nothing then.
    """
    if path.suffix != ".npz":
        raise ExchangeError(f"{path}: must end in .npz, for numpy to know it")
    names = choose_features(store, features)
    if _CLASSES in names:
        raise ExchangeError(f"{store.path}: its feature {_CLASSES} has the name of another part; convert it without")
    chosen = choose_rows(store, scheme, views)
    rows = np.sort(np.concatenate(list(chosen.splits.values())))
    lengths = {name: np.maximum(store.lengths(name)[rows], 0).astype(np.int64) for name in names}
    size = sum(int(lengths[name].sum()) * store.specs[name].row_bytes for name in names)
    check_room(path, size, "name fewer --features, or write it elsewhere")
    exported = Exported(path, list(chosen.lines))
    with (
        made_aside(path, overwrite) as aside,
        zipfile.ZipFile(aside, "w", allowZip64=True) as archive,
        track("export", total=len(rows) * len(names), unit="rows") as advance,
    ):
        table = store.segments.iloc[rows].assign(split=splits_of(store.segments, scheme).to_numpy()[rows])
        for column in table:
            _write(archive, f"segments/{column}", *_column(table[column].to_numpy()))
        for task in store.tasks:
            if not task.is_value:
                _write(archive, f"{_CLASSES}/{task.name}", *_column(np.array(task.classes, object)))
        _write(archive, "scheme", *_column(np.array([scheme], object)))
        for name in names:
            spec, own = store.specs[name], lengths[name]
            complete = store.lengths(name)[rows] != MISSING
            _write(archive, f"{name}/offsets", *_whole(np.concatenate([[0], np.cumsum(own)]).astype(np.int64)))
            _write(archive, f"{name}/complete", *_whole(complete))
            pieces = _rows(store, name, rows[complete], advance)
            _write(archive, f"{name}/values", (int(own.sum()), spec.width), np.dtype(spec.stored_type), pieces, False)
            missing = int((~complete).sum())
            lacking = f", {missing} missing" if missing else ""
            exported.lines.append(f"{name}: {own.sum():,} rows of {spec.width} values, {spec.dtype}{lacking}")
    counts = ", ".join(f"{len(own)} {split}" for split, own in chosen.splits.items())
    exported.lines.append(f"{path}: segments {counts}; {in_gigabytes(path.stat().st_size)}")
    return exported


def _rows(store: FeatureStore, name: str, rows: np.ndarray, advance: Callable[[int], None]) -> Iterator[np.ndarray]:
    for row in rows.tolist():
        yield store.read(name, row)
        advance(1)


def _whole(values: np.ndarray) -> tuple[tuple[int, ...], np.dtype, list[np.ndarray]]:
    return values.shape, values.dtype, [values]


def _column(values: np.ndarray) -> tuple[tuple[int, ...], np.dtype, Iterator[np.ndarray]]:
    """Shape, type and pieces of a column; texts as numpy's own, all as wide as the longest."""
    if values.dtype.kind != "O":
        return values.shape, values.dtype, iter([values])
    dtype = np.dtype(f"<U{max(1, max(map(len, values), default=1))}")
    pieces = (values[start : start + _TEXTS_AT_ONCE].astype(dtype) for start in range(0, len(values), _TEXTS_AT_ONCE))
    return values.shape, dtype, pieces


def _write(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype,
    pieces: Iterator[np.ndarray] | Sequence[np.ndarray],
    compressed: bool = True,
) -> None:
    """Put one array into the archive. Columns are compressed, for texts are padded; features would not get smaller."""
    entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))  # the same content has the same bytes
    entry.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with archive.open(entry, "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for piece in pieces:
            if piece.size:
                file.write(np.ascontiguousarray(piece).data.cast("B") if piece.dtype.kind != "U" else piece.tobytes())
