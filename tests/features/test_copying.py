"""Copies are exact in both directions, and damage is found, named and mended."""

from __future__ import annotations

import numpy as np
import pytest
from msmt.errors import StoreError
from msmt.features.copying import convert, repair, verify
from msmt.features.opening import open_store
from msmt.features.rows import MISSING
from msmt.features.writer import StoreWriter
from msmt.tests.features.made import make_store

SUFFIXES = [".zarr", ".h5"]


def files_of(path):
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_there_and_back_again_is_the_same_bytes(tmp_path, suffix):
    other = next(s for s in SUFFIXES if s != suffix)
    make_store(tmp_path / f"a{suffix}", without=(5,))
    convert(open_store(tmp_path / f"a{suffix}"), tmp_path / f"b{other}")
    convert(open_store(tmp_path / f"b{other}"), tmp_path / f"c{suffix}")
    assert files_of(tmp_path / f"c{suffix}") == files_of(tmp_path / f"a{suffix}")
    assert open_store(tmp_path / f"b{other}").fingerprint() == open_store(tmp_path / f"a{suffix}").fingerprint()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_conversion_cut_short_goes_on_where_it_stopped(tmp_path, suffix, monkeypatch):
    other = next(s for s in SUFFIXES if s != suffix)
    make_store(tmp_path / f"a{suffix}")
    source = open_store(tmp_path / f"a{suffix}")
    whole, cut = tmp_path / f"whole{other}", tmp_path / f"cut{other}"
    convert(source, whole)
    writer = type_of_writer(other)
    commit, done = writer.commit, []

    def only_two(self, feature, block, rows):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append((feature, block))
        commit(self, feature, block, rows)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(writer, "commit", only_two)
        convert(source, cut)
    again = []
    with monkeypatch.context() as patch:
        patch.setattr(writer, "commit", lambda self, *what: (again.append(what[:2]), commit(self, *what)))
        convert(source, cut)
    assert len(done) == 2 and len(again) == 7 and not set(done) & set(again)
    assert list(files_of(cut).values()) == list(files_of(whole).values())


def type_of_writer(suffix) -> type[StoreWriter]:
    from msmt.features.hdf5_writer import Hdf5Writer
    from msmt.features.zarr_writer import ZarrWriter

    return ZarrWriter if suffix == ".zarr" else Hdf5Writer


def test_a_target_that_holds_something_else_is_refused(tmp_path):
    make_store(tmp_path / "a.zarr")
    make_store(tmp_path / "b.h5", rows=40)
    with pytest.raises(StoreError, match="exists and is no copy of"):
        convert(open_store(tmp_path / "a.zarr"), tmp_path / "b.h5")
    with pytest.raises(StoreError, match="into itself"):
        convert(open_store(tmp_path / "a.zarr"), tmp_path / "a.zarr")


def flip(path, needle: bytes) -> None:
    for file in [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]:
        content = file.read_bytes()
        at = content.find(needle)
        if at >= 0:
            file.write_bytes(content[: at + 3] + bytes([content[at + 3] ^ 1]) + content[at + 4 :])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_rows_are_named_and_repair_marks_just_them_missing(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    made = make_store(path)
    for name, row in (("hubert", 2), ("roberta", 60)):
        flip(path, made[name][row].values.tobytes())
    damages = verify(open_store(path))
    assert {(damage.feature, damage.row) for damage in damages if damage.row >= 0} == {("hubert", 2), ("roberta", 60)}
    with pytest.raises(StoreError, match="row 2 of hubert is damaged; run msmt verify --repair"):
        convert(open_store(path), tmp_path / f"copy{'.h5' if suffix == '.zarr' else '.zarr'}")
    repair(path, damages)
    store = open_store(path)
    assert verify(store) == []
    assert np.flatnonzero(store.lengths("hubert") == MISSING).tolist() == [2]
    assert np.flatnonzero(store.lengths("roberta") == MISSING).tolist() == [60]
    assert np.array_equal(store.read("hubert", 3), made["hubert"][3].values)


def test_a_damaged_shard_index_loses_its_block_alone(tmp_path):
    path = tmp_path / "a.zarr"
    made = make_store(path)
    shard = path / "hubert/features/c/1/0/0"
    content = shard.read_bytes()
    shard.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    damages = verify(open_store(path))
    assert {damage.row for damage in damages if damage.row >= 0} == set(range(32, 64))
    repair(path, damages)
    store = open_store(path)
    assert verify(store) == [] and (store.lengths("hubert") == MISSING).sum() == 32
    assert np.array_equal(store.read("hubert", 64), made["hubert"][64].values)


def test_bytes_added_to_a_shard_and_a_truncated_length_are_mended(tmp_path):
    path = tmp_path / "a.zarr"
    made = make_store(path)
    shard, lengths = path / "hubert/features/c/0/0/0", path / "roberta/length/c/0"
    content = shard.read_bytes()
    shard.write_bytes(content[: -len(content) // 2] + b"12345678" + content[-len(content) // 2 :])
    lengths.write_bytes(lengths.read_bytes()[:-1])
    repair(path, verify(open_store(path)))
    store = open_store(path)
    assert verify(store) == []
    assert (store.lengths("roberta")[:32] == MISSING).all() and (store.lengths("roberta")[32:] > 0).all()
    assert np.array_equal(store.read("hubert", 64), made["hubert"][64].values)


def test_an_hdf5_file_whose_unused_bytes_changed_is_written_anew(tmp_path):
    path = tmp_path / "a.h5"
    made = make_store(path)
    content = path.read_bytes()
    path.write_bytes(content[:400] + b"x" + content[401:])  # within the preface
    damages = verify(open_store(path))
    assert [(damage.feature, damage.row) for damage in damages] == [("", -1)]
    repair(path, damages)
    assert verify(open_store(path)) == [] and path.read_bytes() == content
    assert np.array_equal(open_store(path).read("hubert", 3), made["hubert"][3].values)
