"""A store as a folder that Hugging Face's ``datasets.load_from_disk`` reads: a table of segments per split.

A row is a segment: the columns of the segment table (see segments.py), labels of classes as ClassLabel under the task's
name, values as float64, and a column per feature: (T, d) rows, or d values of a vector; None where the store has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ...errors import ExchangeError
from ...progress import Track, silent
from ...shown import as_line
from ..rows import MISSING
from ..schemes import STANDARD
from ..segments import ORIGINAL
from ..splits import TEST, TRAIN, VALIDATION, kind_of_split
from ..store import FeatureStore
from ..tasks import NO_LABEL
from .aside import check_room, in_gigabytes, made_aside
from .chosen import Exported, choose_features, choose_rows

EXTRA = "hf"  # of setup.cfg
_SPLITS = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}  # what the hub calls them
_BYTES_AT_ONCE = 1 << 26
_FEATURES = "_features"  # ends the name of a feature that a column of the table has
_DICT = "dataset_dict.json"  # by which such a folder is known


def export_hf(
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
    datasets = _library()
    names = choose_features(store, features)
    chosen = choose_rows(store, scheme, views)
    called = _names_of(chosen.splits)
    columns = {name: name + _FEATURES if name in store.segments else name for name in names}
    kinds = datasets.Features(_kinds(store, columns, datasets))
    rows = np.concatenate(list(chosen.splits.values()))
    longest = {name: np.maximum(store.lengths(name)[rows], 0) * store.specs[name].row_bytes for name in names}
    size = sum(int(each.sum()) for each in longest.values())
    check_room(path, 2 * size, "name fewer --features, or write it elsewhere")  # it is written twice
    at_once = max(1, _BYTES_AT_ONCE // max(1, sum(int(each.max()) for each in longest.values())))
    exported = Exported(path, list(chosen.lines))
    with (
        made_aside(path, overwrite, _is_dataset) as aside,
        track("export", total=len(rows), unit="segments") as advance,
        _quiet(datasets),
    ):
        made = datasets.DatasetDict()
        for split, own in chosen.splits.items():
            made[called[split]] = datasets.Dataset.from_generator(
                _Rows(store, own, split, columns, advance),
                features=kinds,
                cache_dir=str(aside.with_name("cache")),
                writer_batch_size=at_once,
                split=called[split],
                fingerprint=f"{store.fingerprint()}-{called[split]}",
            )
        made.save_to_disk(str(aside))
        written = sum(file.stat().st_size for file in aside.rglob("*") if file.is_file())
    for name, column in columns.items():
        spec = store.specs[name]
        what = "vectors" if spec.unit == "vector" else f"{spec.unit}s"
        exported.lines.append(f"{column}: {what} of {spec.width} values, {spec.dtype}")
    counts = ", ".join(f"{len(own)} {as_line(called[split])}" for split, own in chosen.splits.items())
    exported.lines.append(f"{path}: segments {counts}; {in_gigabytes(written)}")
    return exported


class _Rows:
    """The rows of one split, one after another."""

    def __init__(
        self,
        store: FeatureStore,
        rows: np.ndarray,
        split: str,
        columns: Mapping[str, str],
        advance: Callable[[int], None],
    ) -> None:
        self.store, self.rows, self.split, self.columns, self.advance = store, rows, split, columns, advance

    def __call__(self) -> Iterator[dict[str, object]]:
        store = self.store
        table = store.segments.iloc[self.rows].assign(split=self.split)
        numbered = [task.column for task in store.tasks if not task.is_value]
        values = {column: table[column].tolist() for column in table}
        lengths = {name: store.lengths(name) for name in self.columns}
        for place, row in enumerate(self.rows.tolist()):
            made = {column: cells[place] for column, cells in values.items()}
            for column in numbered:
                made[column] = None if made[column] == NO_LABEL else made[column]
            for column, cell in made.items():
                made[column] = None if isinstance(cell, float) and np.isnan(cell) else cell
            for name, column in self.columns.items():
                own = None if lengths[name][row] == MISSING else store.read(name, row)
                made[column] = own[0] if own is not None and store.specs[name].unit == "vector" else own
            yield made
            self.advance(1)


def _library():
    try:
        import datasets
    except ImportError as error:
        raise ExchangeError(f"--to hf needs the library datasets: pip install 'msmt[{EXTRA}]'") from error
    return datasets


def _kinds(store: FeatureStore, columns: Mapping[str, str], datasets) -> dict[str, object]:
    """What the library is told of each column."""
    plain = {"O": "string", "i": "int32", "f": "float64"}
    kinds = {name: datasets.Value(plain[values.dtype.kind]) for name, values in store.segments.items()}
    for task in store.tasks:
        if not task.is_value:
            kinds[task.column] = datasets.ClassLabel(names=list(task.classes))
    for name, column in columns.items():
        spec = store.specs[name]
        row = datasets.List(datasets.Value(spec.dtype), length=spec.width)
        kinds[column] = row if spec.unit == "vector" else datasets.List(row)
    return kinds


def _names_of(splits: Mapping[str, np.ndarray]) -> dict[str, str]:
    """What each split is called: the hub's own names for the usual three, letters and digits of others."""
    kinds = [kind_of_split(name) for name in splits]
    names = {}
    for name, kind in zip(splits, kinds, strict=True):
        is_only = kind and kinds.count(kind) == 1
        names[name] = _SPLITS[kind] if is_only else re.sub(r"\W", "_", name)
    if len(set(names.values())) < len(names):
        raise ExchangeError(f"splits {', '.join(map(as_line, names))} would have the same names: rename them")
    return names


def _is_dataset(path: Path) -> bool:
    return (path / _DICT).is_file()


@contextmanager
def _quiet(datasets) -> Iterator[None]:
    """Without the library's own progress, which would stand beside that of msmt."""
    were_on = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if were_on:
            datasets.enable_progress_bars()
