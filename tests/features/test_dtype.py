"""Features of either type: what was given is what every reader gets, and what the type cannot hold is refused."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import zarr
from msmt.errors import StoreError
from msmt.features.copying import convert, repair, verify
from msmt.features.info import describe, table_of
from msmt.features.opening import open_store, writer_for
from msmt.features.reader import RowReader
from msmt.features.rows import MISSING, Row, checksum_of
from msmt.features.tasks import Task
from msmt.tests.features.made import TASKS, spec, table

FORMATS = pytest.mark.parametrize("suffix", [".zarr", ".h5"])
WIDTH = 6373  # of ComParE's functionals
COMPARE = spec(width=WIDTH, max_rows=1, kind="opensmile", unit="vector", dtype="float32", encoder_class="ComParE_2016")
BOTH = {"compare": COMPARE, "hubert": spec()}
ROWS = 40


def values_of(row: int) -> np.ndarray:
    """One vector with values from 1e-7 to 1e7, as functionals have them."""
    random = np.random.default_rng(row)
    return (random.choice([-1, 1], WIDTH) * 10.0 ** random.uniform(-7, 7, WIDTH)).astype(np.float32)[None]


def made_store(path):
    with writer_for(path) as writer:
        writer.prepare("marketcalls", TASKS, table(ROWS), {"compare": COMPARE}, {"compare": np.ones(ROWS, int)})
        for block, rows in ((0, range(32)), (1, range(32, ROWS))):
            writer.commit("compare", block, {row: Row(values_of(row), row + 1) for row in rows})
        writer.finish()
    return open_store(path)


def plain(path):
    return zarr.open_group(str(path), mode="r") if path.suffix == ".zarr" else h5py.File(path, "r")


def files_of(path) -> dict[str, bytes]:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


@FORMATS
def test_wide_ranging_vectors_are_what_every_reader_gets(tmp_path, suffix):
    store = made_store(tmp_path / f"a{suffix}")
    data = plain(store.path)["compare/features"]
    assert data.shape == (ROWS, 1, WIDTH) and data.dtype == np.float32 and store.specs["compare"] == COMPARE
    assert np.abs(values_of(5)).max() > 1e6
    everything = np.concatenate([values_of(row) for row in range(ROWS)])
    assert np.array_equal(data[:, 0], everything)
    assert all(np.array_equal(store.read("compare", row), values_of(row)) for row in range(ROWS))
    for mapped in (False, True):
        reader, out = RowReader(store, "compare", mapped), np.empty((ROWS, WIDTH), np.float32)
        for _ in range(2):
            reader.copy(np.arange(ROWS), out)
            assert np.array_equal(out, everything)
    assert all(part.dtype == np.float32 for part in reader.parts(np.arange(3))) and verify(store) == []


@FORMATS
def test_vectors_are_converted_there_and_back_to_the_same_bytes(tmp_path, suffix):
    store = made_store(tmp_path / f"a{suffix}")
    other = convert(store, tmp_path / f"b{'.h5' if suffix == '.zarr' else '.zarr'}")
    assert np.array_equal(plain(other.path)["compare/features"][:], plain(store.path)["compare/features"][:])
    back = convert(other, tmp_path / f"c{suffix}")
    assert files_of(back.path) == files_of(store.path) and other.fingerprint() == store.fingerprint()


@FORMATS
def test_a_flipped_bit_of_a_vector_is_named_and_the_row_can_be_filled_again(tmp_path, suffix):
    store = made_store(tmp_path / f"a{suffix}")
    needle = values_of(33).tobytes()
    for name, content in files_of(store.path).items():
        if (at := content.find(needle)) >= 0:
            path = store.path / name if suffix == ".zarr" else store.path
            path.write_bytes(content[: at + 9] + bytes([content[at + 9] ^ 1]) + content[at + 10 :])
    damages = verify(open_store(store.path))
    assert [(damage.feature, damage.row) for damage in damages if damage.row >= 0] == [("compare", 33)]
    repair(store.path, damages)
    mended = open_store(store.path)
    assert np.flatnonzero(mended.lengths("compare") == MISSING).tolist() == [33] and verify(mended) == []
    with writer_for(store.path) as writer:
        writer.store = mended
        writer.commit("compare", 1, {33: Row(values_of(33), 34)})
        writer.finish()
    assert np.array_equal(open_store(store.path).read("compare", 33), values_of(33))


@FORMATS
def test_what_plain_libraries_read_is_enough_to_give_the_vectors_back(tmp_path, suffix):
    store = made_store(tmp_path / f"a{suffix}")
    if suffix == ".h5":  # what msmt says of the file is lost, as other software may do; HDF5's own tree is whole
        content = store.path.read_bytes()
        store.path.write_bytes(b"\0" * 512 + content[512:-512] + b"\0" * 512)
    else:
        (store.path / "manifest/c/0").write_bytes(b"lost")
    repair(store.path, [])
    mended = open_store(store.path)
    assert mended.specs["compare"] == COMPARE and verify(mended) == []
    assert all(np.array_equal(mended.read("compare", row), values_of(row)) for row in range(ROWS))


@FORMATS
def test_a_row_has_a_chunk_of_its_own_and_its_padding_is_nothing(tmp_path, suffix):
    store = made_store(tmp_path / f"a{suffix}")
    assert store.head.features["compare"].chunk_rows == 1
    assert store.bytes_on_disk() <= 1.10 * ROWS * WIDTH * 4


WRONG = {
    "infinity": (lambda: np.full((1, WIDTH), np.inf, np.float32), "compare", "values that float32 cannot hold"),
    "minus infinity": (lambda: np.full((2, 16), -np.inf, np.float16), "hubert", "values that float16 cannot hold"),
    "no number": (lambda: np.full((2, 16), np.nan, np.float16), "hubert", "values that float16 cannot hold"),
    "another type": (lambda: np.zeros((1, WIDTH), np.float16), "compare", "must be float32, but is float16"),
    "a wider type": (lambda: np.zeros((2, 16)), "hubert", "must be float16, but is float64"),
    "no array": (lambda: [[0.0] * 16], "hubert", "must be float16, but is list"),
    "another width": (lambda: np.zeros((2, 15), np.float16), "hubert", r"up to \(99, 16\), but is \(2, 15\)"),
    "too many rows": (lambda: np.zeros((100, 16), np.float16), "hubert", r"up to \(99, 16\), but is \(100, 16\)"),
    "no rows": (lambda: np.zeros(16, np.float16), "hubert", r"up to \(99, 16\), but is \(16,\)"),
}


@FORMATS
@pytest.mark.parametrize("kind", WRONG)
def test_what_a_feature_cannot_hold_is_refused_and_nothing_is_written(tmp_path, suffix, kind):
    path = tmp_path / f"a{suffix}"
    made, feature, reason = WRONG[kind]
    good = {"compare": values_of(0), "hubert": np.ones((3, 16), np.float16)}
    with writer_for(path) as writer:
        expected = {name: np.ones(ROWS, int) for name in BOTH}
        writer.prepare("marketcalls", TASKS, table(ROWS), BOTH, expected)
        for name, values in good.items():
            writer.commit(name, 0, {0: Row(values, 1)})
        writer.finish()
    before = files_of(path)
    with writer_for(path) as writer:
        writer.store = open_store(path)
        with pytest.raises(StoreError, match=f"row 1 of {feature} .*{reason}.*nothing was written"):
            writer.commit(feature, 0, {0: Row(good[feature], 2), 1: Row(made(), 3)})
    assert files_of(path) == before and open_store(path).states(feature).identity[0] == 1


def test_the_largest_numbers_of_either_type_are_held(tmp_path):
    path = tmp_path / "a.zarr"
    rows = {"compare": np.finfo(np.float32).max, "hubert": np.finfo(np.float16).max}
    with writer_for(path) as writer:
        writer.prepare("marketcalls", TASKS, table(4), BOTH, {name: np.ones(4, int) for name in BOTH})
        for name, most in rows.items():
            for row, value in enumerate((most, -most, 0.0, -0.0)):
                values = np.full((1, BOTH[name].width), value, BOTH[name].dtype)
                writer.commit(name, 0, {row: Row(values, 1)})
        writer.finish()
    store = open_store(path)
    for name, most in rows.items():
        assert [float(store.read(name, row)[0, 0]) for row in range(3)] == [most, -most, 0]
        assert np.signbit(store.read(name, 3)).all() and not np.signbit(store.read(name, 2)).any()


def test_a_checksum_is_of_the_bytes_as_they_are_stored():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert checksum_of(values) == checksum_of(values.astype(">f4")) != checksum_of(values.astype(np.float16))


def test_info_says_of_what_type_and_kind_features_are(tmp_path):
    description = describe(made_store(tmp_path / "a.zarr"))
    assert {name: description["features"]["compare"][name] for name in ("dtype", "unit", "kind")} == {
        "dtype": "float32",
        "unit": "vector",
        "kind": "opensmile",
    }
    assert description["bytes_valid"] == description["bytes_padded"] == ROWS * WIDTH * 4
    line = next(line for line in table_of(description).splitlines() if line.startswith("compare"))
    assert "40 x 1 x 6373" in line and "float32 vectors" in line and "opensmile: ComParE_2016" in line


def test_info_puts_the_labels_of_all_tasks_below_each_other_whatever_they_are_called(tmp_path):
    description = describe(made_store(tmp_path / "a.zarr"))
    split = next(iter(description["splits"]))
    labels = {"five": {"A": 1}, "sentiment_vision": {"count": 1}}
    description = description | {
        "tasks": [Task(name, level="segment").to_json() for name in labels],
        "splits": {split: description["splits"][split] | {"labels": labels}},
    }
    lines = [line for line in table_of(description).splitlines() if line.lstrip().startswith(tuple(labels))]
    assert [line.split()[0] for line in lines] == list(labels)
    assert lines[0].index("A 1") == lines[1].index("count 1") == 2 + len("sentiment_vision") + 1
