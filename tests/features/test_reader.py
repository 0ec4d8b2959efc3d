"""Reading many rows: the same values as one by one, and no wrong bytes unnoticed."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from msmt.errors import StoreError
from msmt.features import reader as reader_module
from msmt.features.opening import open_store
from msmt.features.reader import RowReader
from msmt.tests.features.made import ROWS, SPECS, make_store

FORMATS = (".zarr", ".h5")


@pytest.fixture(scope="module", params=FORMATS)
def made(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("stores") / f"made{request.param}"
    return path, make_store(path)


def gathered(reader, rows) -> np.ndarray:
    out = np.full((int(reader.lengths[rows].sum()), reader.width), np.nan, reader.spec.dtype)
    reader.copy(rows, out)
    return out


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("feature", SPECS)
def test_rows_come_in_the_order_asked_for_however_often(made, feature, mapped):
    path, content = made
    reader = RowReader(open_store(path), feature, mapped)
    rows = np.random.default_rng(0).permutation(ROWS)
    for asked in (rows, rows[:5], rows):  # the first reading is checked, later ones may be mapped
        assert np.array_equal(gathered(reader, asked), np.concatenate([content[feature][row].values for row in asked]))


def test_mapped_rows_are_had_without_a_copy_once_they_have_been_checked(made):
    path, content = made
    reader, rows = RowReader(open_store(path), "hubert", mapped=True), np.array([9, 4, 40])
    assert not reader.is_mapped(rows)
    gathered(reader, rows)
    assert reader.is_mapped(rows) and not reader.is_mapped(np.array([9, 5]))
    assert not RowReader(open_store(path), "hubert").is_mapped(rows)
    parts = np.concatenate(list(reader.parts(rows)))
    assert np.array_equal(parts, np.concatenate([content["hubert"][row].values for row in rows]))


def test_many_threads_read_at_once(made, monkeypatch):
    monkeypatch.setattr(reader_module, "_FILES_KEPT_OPEN", 1)  # files are closed and opened all the time
    path, content = made
    reader = RowReader(open_store(path), "hubert")
    orders = [np.random.default_rng(seed).permutation(ROWS) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for rows, values in zip(orders, pool.map(lambda rows: gathered(reader, rows), orders), strict=True):
            assert np.array_equal(values, np.concatenate([content["hubert"][row].values for row in rows]))


def copied(made, tmp_path):
    path, _ = made
    target = tmp_path / path.name
    (shutil.copytree if path.is_dir() else shutil.copy)(path, target)
    return target


def spoiled(path, old: bytes, change) -> None:
    """Replace a file's content where it holds ``old``."""
    for file in [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]:
        content = file.read_bytes()
        if old in content:
            file.write_bytes(change(content, content.index(old)))
            return
    raise AssertionError("no file holds the row")


def test_a_flipped_byte_never_reaches_the_reader(made, tmp_path):
    path, (_, content) = copied(made, tmp_path), made
    values = content["hubert"][7].values.tobytes()[:64]
    spoiled(path, values, lambda old, at: old[: at + 9] + bytes([old[at + 9] ^ 1]) + old[at + 10 :])
    with pytest.raises(StoreError, match=r"hubert features of segment s7 \(row 7\) are damaged; run msmt verify"):
        gathered(RowReader(open_store(path), "hubert", mapped=True), np.array([6, 7]))


def test_a_file_that_ends_too_early_is_an_error(made, tmp_path):
    path = copied(made, tmp_path)
    store = open_store(path)
    reader = RowReader(store, "hubert")
    reader.store.states("hubert"), gathered(reader, np.array([0]))
    places = store._extents("hubert", 9, 1)
    place = places[0].path
    place.write_bytes(place.read_bytes()[: places[0].offset + 5])
    with pytest.raises(StoreError, match="ends before byte|is damaged"):
        gathered(reader, np.array([9]))


def test_a_missing_row_is_an_error(tmp_path):
    make_store(tmp_path / "made.zarr", without=(4,))
    with pytest.raises(StoreError, match="row 4 of hubert is missing; run msmt extract to fill it"):
        reader = RowReader(open_store(tmp_path / "made.zarr"), "hubert")
        reader.copy(np.array([4]), np.empty((0, reader.width), np.float16))
