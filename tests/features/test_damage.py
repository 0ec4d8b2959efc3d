"""Stores that were damaged, garbled, or made by a stranger: nothing wrong is read, nothing is unnoticed, all is one line."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from msmt.errors import DamageError, StoreError
from msmt.features.copying import convert, recover, repair
from msmt.features.info import describe
from msmt.features.opening import SUFFIXES, open_store, writer_for
from msmt.features.reader import RowReader
from msmt.features.rows import MISSING
from msmt.features.sealed import seal_of
from msmt.features.segments import segment_table
from msmt.tests.features.damaged import assert_holds, damages_of, filled_again, overwrite
from msmt.tests.features.made import FLOAT16, SPECS, TASKS, fill, lengths_of, make_store, table

BOTH = pytest.mark.parametrize("suffix", SUFFIXES.values())
MADE_BY_VERSION_1 = Path(__file__).parents[1] / "data/version-1.tar.gz"
FINGERPRINT_OF_VERSION_1 = "488baf1651784699e6cc50115009a62d"


def change_json(path: Path, change) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def as_version_1(path: Path) -> None:
    """A finished Zarr store as it was before there was a manifest."""
    shutil.rmtree(path / "manifest")

    def change(document) -> None:
        document["attributes"].update(format_version=1)
        del document["attributes"]["digest"]

    change_json(path / "zarr.json", change)


class TestSegmentTable:
    def test_one_that_is_damaged_is_named_and_written_anew_by_repair_from_the_manifest(self, tmp_path):
        path = tmp_path / "a.zarr"
        made = make_store(path)
        overwrite(path / "segments/label_five/c/0", 29, b"\xff\xff\xff\xff")
        assert [damage.reason for damage in damages_of(path)] == ["segments/label_five/c/0 is not what was written"]
        assert open_store(path).segments.equals(table())
        assert any("segments/label_five/c/0" in line for line in repair(path, damages_of(path)))
        assert_holds(path, made)

    def test_one_that_is_damaged_is_written_anew_by_an_extraction(self, tmp_path):
        path = tmp_path / "a.zarr"
        made = make_store(path)
        overwrite(path / "segments/label_five/c/0", 29, b"\xff\xff\xff\xff")
        filled_again(path, made)
        assert_holds(path, made)

    def test_of_version_1_repair_says_that_extract_can_mend_it_and_extract_does(self, tmp_path):
        path = tmp_path / "a.zarr"
        made = make_store(path)
        as_version_1(path)
        overwrite(path / "segments/label_five/c/0", 29, b"\xff\xff\xff\xff")
        with pytest.raises(DamageError, match="segment table is damaged; run msmt extract, which writes it anew"):
            repair(path, damages_of(path))
        filled_again(path, made)
        assert_holds(path, made)

    def test_lost_with_the_manifest_it_comes_from_the_corpus_and_no_row_is_lost(self, tmp_path):
        path = tmp_path / "a.zarr"
        make_store(path)
        overwrite(path / "manifest/c/0", 900, b"?")
        overwrite(path / "segments/label_five/c/0", 29, b"\xff\xff\xff\xff")
        assert "written anew from the corpus" in " ".join(recover(path, TASKS, table()))
        assert (open_store(path).lengths("hubert") != MISSING).all()


class TestManifest:
    @BOTH
    @pytest.mark.parametrize("where", [0.0, 0.3, 0.99])
    def test_one_that_is_damaged_is_named_and_mended_from_what_plain_libraries_read(self, tmp_path, suffix, where):
        path = tmp_path / f"a{suffix}"
        made = make_store(path)
        if suffix == ".zarr":
            file, start, stop = path / "manifest/c/0", 0, (path / "manifest/c/0").stat().st_size
        else:
            seal, _ = seal_of(path)
            file, start, stop = path, seal.start, seal.stop
        overwrite(file, start + int(where * (stop - start)), b"\x00\x01\x02\x03")
        with pytest.raises(DamageError, match="damaged.*run msmt verify --repair, then msmt extract"):
            open_store(path)
        assert len(damages_of(path)) == 1
        repair(path, damages_of(path))
        assert_holds(path, made)

    def test_one_that_is_missing_is_damage_too(self, tmp_path):
        path = tmp_path / "a.zarr"
        made = make_store(path)
        shutil.rmtree(path / "manifest")
        with pytest.raises(DamageError, match="manifest/c/0: is missing"):
            open_store(path)
        filled_again(path, made)
        assert_holds(path, made)

    def test_an_hdf5_file_that_lost_its_first_bytes_is_read_by_its_last_and_the_reverse(self, tmp_path):
        for name, offset in (("first", 0), ("last", -512)):
            path = tmp_path / f"{name}.h5"
            made = make_store(path)
            overwrite(path, offset % path.stat().st_size, bytes(512))
            assert np.array_equal(open_store(path).read("hubert", 3), made["hubert"][3].values)
            assert len(damages_of(path)) == 1
            repair(path, damages_of(path))
            assert_holds(path, made)

    def test_an_hdf5_file_rewritten_by_other_software_says_so_and_is_mended(self, tmp_path):
        path, other = tmp_path / "a.h5", tmp_path / "other.h5"
        made = make_store(path)
        with h5py.File(path) as source, h5py.File(other, "w") as target:
            target.attrs.update(source.attrs)
            for name in source:
                source.copy(name, target)
        with pytest.raises(DamageError, match="has lost what msmt says of it"):
            open_store(other)
        repair(other, damages_of(other))
        assert_holds(other, made)

    def test_where_everything_is_damaged_the_error_says_so(self, tmp_path):
        path = tmp_path / "a.h5"
        make_store(path)
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size // 3)
        with pytest.raises(StoreError, match="delete it and run msmt extract"):
            repair(path, damages_of(path))
        zarr_path = tmp_path / "a.zarr"
        make_store(zarr_path)
        (zarr_path / "manifest/c/0").write_bytes(b"")
        (zarr_path / "hubert/zarr.json").write_text("{")
        with pytest.raises(StoreError, match="delete it and run msmt extract"):
            repair(zarr_path, damages_of(zarr_path))


GARBLED = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "not text": lambda path: path.write_bytes(b"\xff\xfe\x00garbled" + path.read_bytes()),
    "another document": lambda path: path.write_text('{"attributes": [1, 2], "shape": ["x"]}'),
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("file", ["zarr.json", "segments/zarr.json", "segments/text/c/0", "hubert/zarr.json"])
@pytest.mark.parametrize("kind", GARBLED)
def test_garbled_metadata_of_a_zarr_store_is_named_and_mended(tmp_path, file, kind):
    path = tmp_path / "a.zarr"
    made = make_store(path)
    GARBLED[kind](path / file)
    assert [damage.reason for damage in damages_of(path) if file in damage.reason]
    describe(open_store(path))
    if kind == "a folder":
        (path / file).rmdir()
    repair(path, damages_of(path))
    assert_holds(path, made)


@pytest.mark.parametrize("file", ["zarr.json", "segments/zarr.json", "segments/text/zarr.json", "hubert/zarr.json"])
@pytest.mark.parametrize("kind", GARBLED)
def test_garbled_metadata_of_version_1_is_one_line_wherever_it_is_read(tmp_path, file, kind):
    path = tmp_path / "a.zarr"
    make_store(path)
    as_version_1(path)
    GARBLED[kind](path / file)
    if (file, kind) == ("hubert/zarr.json", "gone"):
        assert set(open_store(path).specs) == {"roberta", "vectors"}  # version 1 does not know that there was another
        return
    for command in (
        lambda: describe(open_store(path)),
        lambda: convert(open_store(path), tmp_path / "b.h5"),
    ):
        with pytest.raises(StoreError) as error:
            command()
        assert len(str(error.value).splitlines()) == 1 and str(path) in str(error.value)
    assert damages_of(path)


@pytest.mark.parametrize("suffix", [".zarr"])
def test_a_shard_that_was_removed_is_named_and_does_not_stop_the_rest(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    make_store(path)
    (path / "hubert/features/c/0/0/0").unlink()
    overwrite(path / "roberta/features/c/2/0/0", 0, b"\x01\x02\x03\x04")
    damages = damages_of(path)
    assert {damage.row for damage in damages if damage.feature == "hubert"} == set(range(32))
    assert {damage.row for damage in damages if damage.feature == "roberta"} == {64}
    with pytest.raises(DamageError, match="hubert/features/c/0/0/0: is missing; run msmt verify --repair"):
        open_store(path).read("hubert", 3)
    with pytest.raises(DamageError, match="hubert/features/c/0/0/0: is missing"):
        RowReader(open_store(path), "hubert").copy(np.array([3]), np.empty((99, 16), np.float16))
    with pytest.raises(DamageError, match="is missing"):
        convert(open_store(path), tmp_path / "b.h5")


class TestWhatAStoreSaysOfItself:
    @BOTH
    def test_classes_that_were_swapped_are_noticed_and_not_believed(self, tmp_path, suffix):
        path = tmp_path / f"a{suffix}"
        made = make_store(path)
        if suffix == ".zarr":
            swap = lambda document: document["attributes"]["tasks"][0].update(classes=list("BACDE"))  # noqa: E731
            change_json(path / "segments/zarr.json", swap)
        else:
            content = path.read_bytes()
            swapped = content.replace(b'["A", "B", "C", "D", "E"]', b'["B", "A", "C", "D", "E"]')
            assert swapped != content
            path.write_bytes(swapped)
        assert open_store(path).tasks == TASKS
        assert damages_of(path)
        repair(path, damages_of(path))
        assert_holds(path, made)

    def test_a_byte_of_a_spec_and_a_feature_that_vanished_are_noticed(self, tmp_path):
        path = tmp_path / "a.zarr"
        make_store(path)
        change_json(path / "hubert/zarr.json", lambda document: document["attributes"]["spec"].update(encoder="b"))
        (path / "roberta/zarr.json").unlink()
        assert {damage.reason for damage in damages_of(path)} == {
            "hubert/zarr.json is not what was written",
            "roberta/zarr.json is missing",
        }
        assert set(open_store(path).specs) == set(SPECS)

    def test_what_plain_zarr_would_read_otherwise_is_noticed(self, tmp_path):
        path = tmp_path / "a.zarr"
        make_store(path)
        change_json(path / "hubert/features/zarr.json", lambda document: document.update(fill_value=1.0))
        assert [damage.reason for damage in damages_of(path)] == ["hubert/features/zarr.json is not what was written"]

    @BOTH
    def test_tasks_and_facts_are_in_the_fingerprint(self, tmp_path, suffix):
        fingerprints = set()
        for number, (tasks, facts) in enumerate([(TASKS, {}), (TASKS, {"shared_audio": True}), (TASKS[:1], {})]):
            path = tmp_path / f"{number}{suffix}"
            with writer_for(path) as writer:
                lengths = {name: np.ones(70) for name in SPECS}
                writer.prepare("marketcalls", tasks, segment_table(table(), tasks), SPECS, lengths, facts=facts)
                writer.finish()
            fingerprints.add(open_store(path).fingerprint())
        assert len(fingerprints) == 3

    def test_rows_marked_missing_or_made_from_something_else_behind_its_back_are_noticed(self, tmp_path):
        for name in ("length", "identity"):
            path = tmp_path / f"{name}.zarr"
            made = make_store(path)
            content = bytearray((path / f"hubert/{name}/c/0").read_bytes())
            content[:4] = b"\xff\xff\xff\xff"
            (path / f"hubert/{name}/c/0").write_bytes(content)
            assert [(damage.feature, damage.block) for damage in damages_of(path)] == [("hubert", 0)]
            with pytest.raises(DamageError, match="rows 0 to 31 are not those that were written"):
                open_store(path).states("hubert")
            repair(path, damages_of(path))
            assert (open_store(path).lengths("hubert")[:32] == MISSING).all()
            filled_again(path, made)
            assert_holds(path, made)

    def test_state_chunks_that_changed_places_are_noticed(self, tmp_path):
        path = tmp_path / "a.zarr"
        make_store(path)
        one, other = path / "hubert/identity/c/0", path / "hubert/identity/c/1"
        first = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(first)
        assert {damage.block for damage in damages_of(path)} == {0, 1}


class TestBelievedNumbers:
    @pytest.mark.parametrize("length", [10**9, -5, -(2**31), 100])
    def test_a_length_that_cannot_be_is_refused_when_states_are_read(self, tmp_path, length):
        path = tmp_path / "a.zarr"
        make_store(path)
        as_version_1(path)  # of version 2 the seal notices any change
        content = np.fromfile(path / "hubert/length/c/0", "<i4")
        content[7] = length
        content.tofile(path / "hubert/length/c/0")
        with pytest.raises(DamageError, match=f"the length of row 7 of hubert is {length}, outside -1 to 99; run msmt"):
            open_store(path).states("hubert")
        with pytest.raises(DamageError):
            describe(open_store(path))
        damages = damages_of(path)
        assert [(damage.feature, damage.row) for damage in damages] == [("hubert", 7)]
        repair(path, damages)
        assert damages_of(path) == [] and np.flatnonzero(open_store(path).lengths("hubert") == MISSING).tolist() == [7]

    @pytest.mark.parametrize("change", [{"width": "16"}, {"max_rows": 10**12}, {"width": True}, {"views": [1]}])
    def test_a_spec_that_cannot_be_is_refused(self, tmp_path, change):
        path = tmp_path / "a.zarr"
        make_store(path)
        as_version_1(path)
        change_json(path / "hubert/zarr.json", lambda document: document["attributes"]["spec"].update(change))
        with pytest.raises(StoreError, match="hubert"):
            open_store(path)


@BOTH
def test_reading_a_row_checks_it_unless_told_otherwise(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    made = make_store(path)
    needle = made["hubert"][2].values.tobytes()
    for file in [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]:
        content = file.read_bytes()
        if needle in content:
            overwrite(file, content.find(needle) + 5, bytes([needle[5] ^ 4]))
    with pytest.raises(DamageError, match="row 2 of hubert is damaged"):
        open_store(path).read("hubert", 2)
    assert open_store(path).read("hubert", 2, checked=False).shape == made["hubert"][2].values.shape
    assert np.array_equal(open_store(path).read("hubert", 3), made["hubert"][3].values)


def test_an_hdf5_store_whose_tree_is_damaged_is_read_without_it_and_written_anew(tmp_path):
    path = tmp_path / "a.h5"
    made = make_store(path)
    seal, _ = seal_of(path)
    with h5py.File(path) as file:
        heap = file["segments/text"].id.get_offset()
    for start in (512, heap):
        overwrite(path, start, bytes(1024))
    store = open_store(path)
    describe(store)  # neither hangs nor fails: msmt reads its own copy
    whole = [row for row in range(70) if not store._row_damage("hubert", row, store.states("hubert"))]
    assert len(whole) > 60
    assert any("bytes that HDF5 reads" in damage.reason for damage in damages_of(path))
    repair(path, damages_of(path))
    assert damages_of(path) == []
    with h5py.File(path) as file:
        assert file["segments/text"].asstr()[5] == table()["text"][5]
        values = made["hubert"][whole[0]].values
        assert np.array_equal(file["hubert/features"][whole[0]][: len(values)], values)


@BOTH
def test_an_unfinished_store_whose_block_is_damaged_loses_that_block_alone(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    made = make_store(tmp_path / f"whole{suffix}")
    with writer_for(path) as writer:
        writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
        fill(writer, made)
    part = path / "hubert/length/c/1" if suffix == ".zarr" else path.with_name("a.h5.parts") / "hubert-000001.h5"
    part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    damages = damages_of(path)
    assert {damage.block for damage in damages if damage.feature == "hubert" and damage.row < 0} == {1}
    repair(path, damages)
    assert np.flatnonzero(open_store(path).lengths("hubert") == MISSING).tolist() == list(range(32, 64))
    filled_again(path, made)
    assert_holds(path, made)


class TestStrangers:
    """A store that somebody else made may read or write nothing outside itself."""

    def test_a_group_named_to_lead_out_is_refused(self, tmp_path):
        path = tmp_path / "evil.h5"
        make_store(path)
        store = open_store(path)
        evil = replace(store.head, features={"..": store.head.features["hubert"]})
        with pytest.raises(StoreError, match="cannot be the name"):
            writer_for(tmp_path / "made.zarr")._create(evil, store.segments)
        unsealed = tmp_path / "unsealed.h5"
        with h5py.File(path) as source, h5py.File(unsealed, "w") as target:
            target.attrs.update({**source.attrs, "format_version": 1})
            del target.attrs["digest"]
            source.copy("segments", target)
            source.copy("hubert", target, name="a..b")
        with pytest.raises(StoreError, match="cannot be the name of a feature"):
            convert(open_store(unsealed), tmp_path / "dir/out.zarr")
        assert not (tmp_path / "dir").exists() or not list((tmp_path / "dir").iterdir())

    @pytest.mark.parametrize("kind", ["external storage", "external link", "virtual"])
    def test_hdf5_data_outside_the_file_is_refused(self, tmp_path, kind):
        (tmp_path / "secret.bin").write_bytes(bytes(range(256)) * 10)
        path, other = tmp_path / "a.h5", tmp_path / "other.h5"
        make_store(path)
        with h5py.File(path) as source, h5py.File(other, "w") as target:
            target.attrs.update({**source.attrs, "format_version": 1})
            del target.attrs["digest"]
            for name in source:
                source.copy(name, target)
            length = target["hubert/length"][:]
            del target["hubert/length"]
            if kind == "external storage":
                secret = [(str(tmp_path / "secret.bin"), 0, 280)]
                target["hubert"].create_dataset("length", (70,), "<i4", external=secret)
            elif kind == "external link":
                with h5py.File(tmp_path / "linked.h5", "w") as linked:
                    linked["length"] = length
                target["hubert/length"] = h5py.ExternalLink(str(tmp_path / "linked.h5"), "/length")
            else:
                layout = h5py.VirtualLayout((70,), "<i4")
                layout[:] = h5py.VirtualSource(str(tmp_path / "linked.h5"), "length", (70,), "<i4")
                target["hubert"].create_virtual_dataset("length", layout)
        with pytest.raises(StoreError, match="a link, which a store has none of|leads out of the file"):
            open_store(other).states("hubert")

    @pytest.mark.parametrize("place", ["hubert", "hubert/length/c", "hubert/features/c/0", "manifest", "manifest/c/0"])
    def test_links_inside_a_zarr_store_are_refused(self, tmp_path, place):
        path = tmp_path / "a.zarr"
        made = make_store(path)
        outside = tmp_path / "outside"
        (path / place).rename(outside)
        (path / place).symlink_to(outside)
        before = {file: file.read_bytes() for file in outside.rglob("*") if file.is_file()}
        with pytest.raises(StoreError, match="is a link, which a store has none of"):
            filled_again(path, made)
            open_store(path).read("hubert", 0)
        assert {file: file.read_bytes() for file in outside.rglob("*") if file.is_file()} == before

    @BOTH
    def test_a_lock_that_is_a_link_is_refused_and_its_target_stays_as_it_is(self, tmp_path, suffix):
        victim = tmp_path / "victim.txt"
        victim.write_text("precious")
        path = tmp_path / f"a{suffix}"
        (tmp_path / f".a{suffix}.lock").symlink_to(victim)
        with pytest.raises(StoreError, match="is no lock of msmt"):
            make_store(path)
        (tmp_path / f".a{suffix}.lock").unlink()
        os.link(victim, tmp_path / f".a{suffix}.lock")
        with pytest.raises(StoreError, match="is no lock of msmt"):
            make_store(path)
        assert victim.read_text() == "precious"


class TestVersion1:
    """Stores that were made before there was a manifest."""

    @pytest.fixture
    def folder(self, tmp_path):
        with tarfile.open(MADE_BY_VERSION_1) as archive:
            archive.extractall(tmp_path, filter="data")
        return tmp_path / "version-1"

    @BOTH
    def test_a_finished_one_is_read_as_it_is_and_written_on(self, folder, suffix):
        path = folder / f"small{suffix}"
        before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        store = open_store(path)
        assert store.manifest is None and store.fingerprint_version_1() == FINGERPRINT_OF_VERSION_1
        assert damages_of(path) == []
        made = make_store(folder / f"new{suffix}", rows=34, specs=FLOAT16, without=(5,))
        for name, rows in made.items():
            for row in set(range(34)) - {5}:
                assert np.array_equal(store.read(name, row), rows[row].values)
        assert {file: file.read_bytes() for file in before} == before
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(34), FLOAT16, lengths_of(made))
            writer.commit("hubert", 0, {5: made["hubert"][5]})
            writer.vouch_for(FLOAT16)
            writer.finish()
        store = open_store(path)
        assert store.is_finished and damages_of(path) == []
        assert np.array_equal(store.read("hubert", 5), made["hubert"][5].values)
        assert np.array_equal(store.read("roberta", 33), made["roberta"][33].values)

    @BOTH
    def test_an_unfinished_one_is_gone_on_with(self, folder, suffix):
        path = folder / f"unfinished{suffix}"
        made = make_store(folder / f"new{suffix}", rows=34, specs=FLOAT16)
        assert (open_store(path).lengths("hubert")[:32] > 0).all()
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(34), FLOAT16, lengths_of(made))
            assert (writer.store.lengths("hubert")[:32] > 0).all()
            writer.commit("hubert", 1, {row: made["hubert"][row] for row in (32, 33)})
            for block, rows in ((0, range(32)), (1, range(32, 34))):
                writer.commit("roberta", block, {row: made["roberta"][row] for row in rows})
            writer.finish()
        assert damages_of(path) == []
        assert open_store(path).fingerprint() == open_store(folder / f"new{suffix}").fingerprint()

    @BOTH
    def test_one_is_converted(self, folder, suffix):
        target = folder / f"copy{'.h5' if suffix == '.zarr' else '.zarr'}"
        convert(open_store(folder / f"small{suffix}"), target)
        assert open_store(target).fingerprint_version_1() == FINGERPRINT_OF_VERSION_1


def test_the_manifest_is_text_that_plain_zarr_reads(tmp_path):
    make_store(tmp_path / "a.zarr")
    text = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")["manifest"][0].item()
    assert json.loads(text.split("\n", 1)[1])["dataset"] == "marketcalls"


class TestUnfinished:
    def test_a_part_in_the_place_of_another_is_refused(self, tmp_path):
        path, made = tmp_path / "a.h5", make_store(tmp_path / "whole.h5")
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
            fill(writer, made)
        parts = path.with_name("a.h5.parts")
        shutil.copy(parts / "hubert-000000.h5", parts / "hubert-000001.h5")
        with pytest.raises(DamageError, match="hubert-000001.h5.*is a part of something else"):
            open_store(path).states("hubert")
        repair(path, damages_of(path))
        filled_again(path, made)
        assert_holds(path, made)

    def test_a_damaged_column_is_noticed_and_mended_before_the_end_too(self, tmp_path):
        path, made = tmp_path / "a.zarr", make_store(tmp_path / "whole.zarr")
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
            writer.commit("hubert", 0, {row: made["hubert"][row] for row in range(32)})
        overwrite(path / "segments/text/c/0", 100, b"\xff\xff")
        assert [damage.reason for damage in damages_of(path)] == ["segments/text/c/0 is not what was written"]
        filled_again(path, made)
        assert_holds(path, made)


def test_a_pipe_in_the_place_of_a_file_does_not_keep_anyone_waiting(tmp_path):
    for file in ("manifest/c/0", "hubert/length/c/0", "hubert/features/c/0/0/0", "segments/text/zarr.json"):
        path = tmp_path / f"{file.replace('/', '-')}.zarr"
        make_store(path)
        (path / file).unlink()
        os.mkfifo(path / file)
        assert damages_of(path)
    os.mkfifo(tmp_path / "a.h5")
    with pytest.raises(StoreError, match="is not a feature store"):
        open_store(tmp_path / "a.h5")


def test_an_hdf5_store_that_somebody_added_to_is_mended(tmp_path):
    path = tmp_path / "a.h5"
    made = make_store(path)
    with h5py.File(path, "r+") as file:
        file["notes"] = np.arange(100_000)
        del file["notes"]
        file.attrs["seen"] = "by me"
    assert damages_of(path)
    repair(path, damages_of(path))
    assert_holds(path, made)
