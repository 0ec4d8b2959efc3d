"""Compacting drops the rows of segments that are gone, and nothing else, or leaves the store as it was."""

from __future__ import annotations

import numpy as np
import pytest
from msmt.errors import LockedError, StoreError
from msmt.features import compacting
from msmt.features.compacting import compact
from msmt.features.copying import verify
from msmt.features.opening import default_store, open_store, writer_for
from msmt.features.rows import MISSING
from msmt.features.segments import REMOVED
from msmt.tests.features.made import ROWS, SPECS, TASKS, fill, lengths_of, make_store, table

GONE = {*range(3, 9), *range(30, 40), ROWS - 1}


@pytest.fixture(params=[".zarr", ".h5"])
def made(request, tmp_path):
    """A store some of whose segments have left the corpus, of which one row that stays is missing; and its contents."""
    path = tmp_path / f"a{request.param}"
    contents = make_store(path, without=(12,))
    left = table()[[row not in GONE for row in range(ROWS)]].reset_index(drop=True)
    with writer_for(path) as writer:
        writer.prepare("marketcalls", TASKS, left, SPECS, lengths_of(contents))
        writer.finish()
    assert (open_store(path).segments["split"] == REMOVED).sum() == len(GONE)
    return path, contents


def files(folder) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if "lock" not in file.name}


def test_every_other_row_is_kept_and_the_dropped_take_no_room(made):
    path, contents = made
    before = open_store(path)
    done = compact(path)
    store = open_store(path)
    kept = [row for row in range(ROWS) if row not in GONE]
    assert done.dropped == len(GONE) and done.bytes_after < done.bytes_before and verify(store) == []
    assert store.segments["segment_id"].tolist() == [f"s{row}" for row in kept] and store.specs == before.specs
    for name in SPECS:
        for new, row in enumerate(kept):
            if row == 12:
                assert store.lengths(name)[new] == MISSING
                continue
            assert np.array_equal(store.read(name, new), contents[name][row].values)
            assert store.states(name).identity[new] == contents[name][row].identity
    assert f"{len(GONE)} rows dropped, {len(kept)} kept" in done.lines()[0]
    assert not [name for name in files(path.parent) if "compacting" in name]


def test_a_store_that_was_begun_is_not_sealed_by_it(tmp_path, made):
    path = tmp_path / f"begun{made[0].suffix}"
    gone = table().assign(split=[REMOVED if row in GONE else split for row, split in enumerate(table()["split"])])
    with writer_for(path) as writer:
        writer.prepare("marketcalls", TASKS, gone, SPECS, lengths_of(made[1]))
        fill(writer, made[1], without=(12,))
    assert compact(path).dropped == len(GONE)
    assert not open_store(path).is_finished and verify(open_store(path)) == []


def test_a_store_without_removed_rows_is_left_as_it_is(made):
    path, _ = made
    compact(path)
    content = {file: file.read_bytes() for file in [path, *path.rglob("*")] if file.is_file()}
    assert compact(path).dropped == 0
    assert {file: file.read_bytes() for file in [path, *path.rglob("*")] if file.is_file()} == content


def test_an_extraction_goes_on_from_a_compacted_store(made):
    path, contents = made
    compact(path)
    with writer_for(path) as writer:
        writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(contents))
        writer.finish()
    store = open_store(path)
    assert len(store.segments) == ROWS and store.segments["segment_id"].tolist()[-len(GONE) :] == [
        f"s{row}" for row in sorted(GONE)
    ]


def test_a_damaged_row_is_named_and_the_store_stays(made):
    path, _ = made
    store = open_store(path)
    extent = store._extents("hubert", 20, 1)[0]
    content = bytearray(extent.path.read_bytes())
    content[extent.offset] ^= 1
    extent.path.write_bytes(content)
    there = files(path.parent)
    with pytest.raises(StoreError, match="damaged"):
        compact(path)
    assert files(path.parent) == there and len(open_store(path).segments) == ROWS


def test_a_store_that_is_being_written_is_refused(made):
    path, _ = made
    with writer_for(path), pytest.raises(LockedError):
        compact(path)


def test_a_store_of_nothing_but_removed_rows_is_refused(made):
    path, contents = made
    with writer_for(path) as writer:
        new = table(2, segment_id=["other0", "other1"])
        writer.prepare("marketcalls", TASKS, new, SPECS, lengths_of(contents))
        writer.finish()
    compact(path)
    assert len(open_store(path).segments) == 2


@pytest.mark.parametrize("step", ["_copy", "_check", "_put_in_place"])
def test_a_kill_at_any_step_leaves_the_store(made, monkeypatch, step):
    path, _ = made
    before = open_store(path).fingerprint()

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(compacting, step, killed)
        patch.setattr(compacting.shutil, "rmtree", lambda *arguments, **options: None)  # nothing is tidied after a kill
        compact(path)
    assert open_store(path).fingerprint() == before and default_store(path.parent) == path
    assert compact(path).dropped == len(GONE)


def test_where_two_renames_are_needed_a_kill_between_them_is_mended(made, monkeypatch):
    path, _ = made
    if path.is_file():
        return  # a file is replaced by one rename
    monkeypatch.setattr(compacting, "exchanged", lambda one, other: False)
    replace = compacting.os.replace

    def until_the_second(source, target):
        if target == path:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(compacting.os, "replace", until_the_second)
        compact(path)
    assert not path.exists()
    assert compact(path).dropped == len(GONE) and verify(open_store(path)) == []


def test_no_name_at_all_is_no_store():
    with pytest.raises(StoreError, match="is no name of a store"):
        compact("")
