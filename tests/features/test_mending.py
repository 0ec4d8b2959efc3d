"""What is left of stores that are damaged in several places, and what leads back to a good one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from msmt.errors import DamageError
from msmt.extract.moving import holders_of, identities_are_sealed
from msmt.features import hdf5_tree
from msmt.features.compacting import compact
from msmt.features.copying import convert, recover, repair
from msmt.features.opening import open_for_verification, open_store, writer_for
from msmt.features.rows import MISSING
from msmt.features.sealed import seal_of
from msmt.tests.features.damaged import assert_holds, damages_of, filled_again, overwrite
from msmt.tests.features.made import SPECS, TASKS, fill, lengths_of, make_store, table


def garble_tree(path: Path, text: str, content: bytes = b"\xff", which: int = 0) -> None:
    """Change what HDF5 reads where a text stands, such as a cell of the table or an attribute."""
    seal, _ = seal_of(path)
    offset = -1
    for _ in range(which + 1):
        offset = path.read_bytes().index(text.encode(), offset + 1, seal.start)
    overwrite(path, offset, content)


def lose_manifest(path: Path) -> None:
    seal, _ = seal_of(path)
    overwrite(path, seal.start + 40, b"\x00\x01\x02\x03")


def change_spec(path: Path, feature: str, **fields) -> None:
    """As other software would, which cuts off what msmt says of the file."""
    with h5py.File(path, "r+") as file:
        attributes = file[feature].attrs
        attributes["spec"] = json.dumps({**json.loads(attributes["spec"]), **fields})


def is_there(path: Path, feature: str) -> np.ndarray:
    return open_store(path).lengths(feature) != MISSING


class TestIdentities:
    """What a row was made from is believed only under a seal: a row moves to wherever its input is."""

    def test_those_of_two_blocks_that_changed_places_are_noticed_though_the_table_is_damaged_too(self, tmp_path):
        path = tmp_path / "a.zarr"
        made = make_store(path)
        overwrite(path / "segments/label_five/c/0", 29, b"\xff\xff\xff\xff")
        one, other = (path / f"roberta/identity/c/{block}" for block in (0, 1))
        swapped = one.read_bytes(), other.read_bytes()
        other.write_bytes(swapped[0])
        one.write_bytes(swapped[1])
        repair(path, damages_of(path))
        assert not is_there(path, "roberta")[:64].any() and is_there(path, "roberta")[64:].all()
        assert open_store(path).is_finished
        filled_again(path, made)
        assert_holds(path, made)

    @pytest.mark.parametrize("suffix", [".zarr", ".h5"])
    @pytest.mark.parametrize("then", ["repair", "convert", "compact", "extract another feature"])
    def test_of_a_store_that_was_begun_are_sealed_by_nothing_that_did_not_compare_them(self, tmp_path, suffix, then):
        path = tmp_path / f"a{suffix}"
        made = make_store(tmp_path / f"whole{suffix}")
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
            fill(writer, made)
        after = path
        if then == "repair":
            repair(path, [])
        elif then == "compact":
            compact(path)
        elif then == "convert":
            after = tmp_path / f"b{suffix}"
            convert(open_store(path), after)
        else:
            with writer_for(path) as writer:
                writer.prepare("marketcalls", TASKS, table(), {"hubert": SPECS["hubert"]}, lengths_of(made))
                writer.vouch_for(["hubert"])
                writer.finish()
        assert not open_store(after).is_finished
        filled_again(after, made)
        assert open_store(after).is_finished
        assert_holds(after, made)

    def test_those_of_another_block_are_not_believed_after_a_repair(self, tmp_path):
        path = tmp_path / "a.zarr"
        made = make_store(tmp_path / "whole.zarr")
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
            fill(writer, made)
        one, other = (path / f"hubert/identity/c/{block}" for block in (0, 1))
        one.write_bytes(other.read_bytes())
        (path / "hubert/checksum/c/1").write_bytes(b"")
        repair(path, damages_of(path))
        states = open_store(path).states("hubert")
        right = np.array([content.identity for content in made["hubert"]], np.uint64)
        lost = np.flatnonzero(states.length == MISSING)
        assert set(lost) == set(range(32, 64))
        assert holders_of(lost.tolist(), right, states, identities_are_sealed(path)) == {}

    def test_without_the_manifest_a_zarr_store_is_finished_only_by_an_extraction(self, tmp_path):
        path = tmp_path / "a.zarr"
        made = make_store(path)
        overwrite(path / "manifest/c/0", 900, b"?")
        repair(path, damages_of(path))
        assert not open_store(path).is_finished and damages_of(path) == []
        filled_again(path, made)
        assert open_store(path).is_finished

    def test_that_other_software_changed_in_an_hdf5_store_are_believed_only_after_an_extraction(self, tmp_path):
        path = tmp_path / "a.h5"
        made = make_store(path)
        with h5py.File(path, "r+") as file:  # which cuts off what msmt says of the file
            file["hubert/identity"][:2] = file["hubert/identity"][:2][::-1]
        repair(path, damages_of(path))
        assert not open_store(path).is_finished and damages_of(path) == []
        repair(path, [])  # nor by another repair without one
        filled_again(path, made)
        assert open_store(path).is_finished
        assert_holds(path, made)

    def test_under_the_seal_of_the_tree_are_believed_without_the_manifest(self, tmp_path):
        path = tmp_path / "a.h5"
        make_store(path)
        lose_manifest(path)
        repair(path, damages_of(path))
        assert open_store(path).is_finished

    def test_an_extraction_that_has_nothing_to_fill_says_that_they_are_right(self, tmp_path):
        path = tmp_path / "a.h5"
        made = make_store(path)
        lose_manifest(path)
        garble_tree(path, "第3句")
        for _ in recover(path, TASKS, table()):
            pass
        assert not open_store(path).is_finished
        filled_again(path, made)
        assert open_store(path).is_finished
        assert_holds(path, made)


class TestHdf5WithoutManifest:
    """Finished files whose manifest is damaged, and what HDF5 reads too."""

    def test_a_damaged_row_is_missing_and_the_others_stay(self, tmp_path):
        for mend in (lambda path: repair(path, damages_of(path)), lambda path: recover(path, TASKS, table())):
            path = tmp_path / "a.h5"
            made = make_store(path)
            overwrite(path, open_store(path)._extents("hubert", 3, 1)[0].offset, b"\x12\x34")
            lose_manifest(path)
            assert any("1 rows" in line for line in mend(path))
            assert np.flatnonzero(~is_there(path, "hubert")).tolist() == [3]
            assert_holds(path, made, without=[("hubert", 3)])
            filled_again(path, made)
            assert_holds(path, made)
            path.unlink()

    def test_a_table_that_is_no_text_is_written_anew_by_an_extraction_and_repair_says_so(self, tmp_path):
        path = tmp_path / "a.h5"
        made = make_store(path)
        lose_manifest(path)
        garble_tree(path, "第3句")
        with pytest.raises(DamageError, match="UnicodeDecodeError.*; run msmt extract, which writes it anew"):
            repair(path, damages_of(path))
        assert "written anew from the corpus" in " ".join(recover(path, TASKS, table()))
        assert all(is_there(path, name).all() for name in SPECS)
        filled_again(path, made)
        assert_holds(path, made)

    @pytest.mark.parametrize("lost", ["marketcalls", "A+B+C"])
    def test_a_head_that_cannot_be_read_comes_from_the_corpus_and_no_feature_is_lost(self, tmp_path, lost):
        path = tmp_path / "a.h5"
        made = make_store(path)
        lose_manifest(path)
        garble_tree(path, lost)
        with pytest.raises(DamageError, match="; run msmt extract, which keeps what can be read"):
            repair(path, damages_of(path))
        recover(path, TASKS, table(), "marketcalls")
        assert all(is_there(path, name).all() for name in SPECS)
        filled_again(path, made)
        assert_holds(path, made)

    def test_a_feature_that_says_nothing_whole_of_itself_is_made_again_and_the_others_stay(self, tmp_path):
        path = tmp_path / "a.h5"
        made = make_store(path)
        lose_manifest(path)
        garble_tree(path, '"modality": "text"')
        recover(path, TASKS, table(), "marketcalls")
        assert set(open_store(path).specs) == {"hubert", "vectors"}
        filled_again(path, made)
        assert_holds(path, made)

    @pytest.mark.parametrize(("field", "wrong"), [("revision", "string"), ("encoder", "nowhere"), ("encoder_rate", 1)])
    def test_what_a_spec_says_for_its_reader_alone_is_not_believed_where_the_head_is_damaged(
        self, tmp_path, field, wrong
    ):
        path = tmp_path / "a.h5"
        made = make_store(path)
        change_spec(path, "roberta", **{field: wrong})  # which no fingerprint covers
        with pytest.raises(DamageError, match="are not what was written"):
            repair(path, damages_of(path))
        assert "not the names of their encoders" in " ".join(recover(path, TASKS, table(), "marketcalls"))
        assert open_store(path).specs["roberta"].encoder == "" and is_there(path, "roberta").all()
        filled_again(path, made)
        assert_holds(path, made)

    def test_a_feature_that_is_not_extracted_again_does_not_say_what_nothing_vouches_for(self, tmp_path):
        path = tmp_path / "a.h5"
        made = make_store(path)
        change_spec(path, "roberta", revision="string")
        recover(path, TASKS, table(), "marketcalls")
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), {"hubert": SPECS["hubert"]}, lengths_of(made))
            writer.finish()
        specs = open_store(path).specs
        assert specs["hubert"] == SPECS["hubert"] and specs["roberta"].revision is None
        assert is_there(path, "roberta").all() and damages_of(path) == []

    def test_what_seems_to_be_another_dataset_is_not_taken_for_the_corpus(self, tmp_path):
        path = tmp_path / "a.h5"
        make_store(path)
        lose_manifest(path)
        garble_tree(path, "marketcalls", b"m")  # as it was
        garble_tree(path, "A+B+C")
        before = path.read_bytes()
        with pytest.raises(DamageError, match="seems to hold dataset 'marketcalls': delete it, or name another"):
            recover(path, TASKS, table(), "otherwise")
        assert path.read_bytes() == before

    def test_folds_that_are_lost_with_the_table_are_said_to_be(self, tmp_path):
        for suffix in (".zarr", ".h5"):
            path = tmp_path / f"a{suffix}"
            make_store(path)
            with writer_for(path) as writer:
                folds = {"schemes": {"folds": {"schemes": ["fold1"]}}}
                writer.retell(table().assign(scheme_fold1="train"), folds)
                writer.finish()
            if suffix == ".h5":
                lose_manifest(path)
                garble_tree(path, "第3句")
            else:
                overwrite(path / "manifest/c/0", 900, b"?")
                overwrite(path / "segments/text/c/0", 100, b"\xff\xff")
            said = " ".join(recover(path, TASKS, table(), "marketcalls"))
            assert "without its folds: msmt split makes them again" in said
            assert not open_store(path).head.facts


class TestEndlessTrees:
    """A file that leads the HDF5 library in circles, or out of its memory, is never handed to it."""

    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "a.h5"
        make_store(path)
        lose_manifest(path)
        garble_tree(path, "第3句")
        hdf5_tree._comes_to_an_end.cache_clear()
        return path

    @pytest.mark.parametrize("astray", ["while True: pass", "import os; os.abort()"])
    def test_another_process_looks_first_and_verify_repair_and_extract_say_what_to_do(
        self, path, tmp_path, monkeypatch, astray
    ):
        looks = tmp_path / "look.py"
        looks.write_text(f"open({str(tmp_path / 'looked')!r}, 'a').write('x')\n{astray}\n")
        monkeypatch.setattr(hdf5_tree, "_LOOK", looks)
        monkeypatch.setattr(hdf5_tree, "_PATIENCE", 5.0)
        monkeypatch.setattr(h5py, "File", lambda *arguments, **options: pytest.fail("HDF5 got the file"))
        store, damages = open_for_verification(path)
        assert store is None and "cannot come to an end" in damages[-1].reason
        with pytest.raises(DamageError, match="delete it and run msmt extract"):
            repair(path, damages)
        with pytest.raises(DamageError, match="delete it and run msmt extract"):
            recover(path, TASKS, table(), "marketcalls")
        assert (tmp_path / "looked").read_text() == "x"  # once is enough

    def test_the_look_goes_on_after_what_cannot_be_read(self, path, tmp_path):
        """Every attribute and array that msmt reads is looked at, and one that is no text does not end the look."""
        script = (
            "import runpy, sys, h5py\n"
            "seen, get = set(), h5py.AttributeManager.get\n"
            "def noted(self, name, default=None):\n"
            "    seen.add((self._id.__class__.__name__, name)); return get(self, name, default)\n"
            "h5py.AttributeManager.get = noted\n"
            "read = h5py.Dataset.__getitem__\n"
            "def array(self, *arguments):\n"
            "    print(self.name); return read(self, *arguments)\n"
            "h5py.Dataset.__getitem__ = array\n"
            "sys.argv = sys.argv[1:]\n"
            "runpy.run_path(sys.argv[0], run_name='__main__')\n"
            "print(*sorted(name for _, name in seen))\n"
        )
        garble_tree(path, "marketcalls")
        arguments = [sys.executable, "-c", script, str(hdf5_tree._LOOK), str(path)]
        looked = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True).stdout
        for name in (
            "/segments/text",
            "/segments/label_two",
            "/hubert/length",
            "/roberta/identity",
            "/vectors/checksum",
        ):
            assert name in looked
        assert "dataset" in looked and "fingerprint" in looked and "columns" in looked


class TestUnfinishedHdf5:
    @pytest.fixture
    def begun(self, tmp_path):
        """A finished store that an extraction has begun to bring up to date, and what it is to hold."""
        path = tmp_path / "a.h5"
        made = make_store(path, text=["before"] * 70)
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
            writer.commit("hubert", 0, {row: made["hubert"][row] for row in range(32)})
        assert (tmp_path / "a.h5.parts/base.h5").exists()
        return path, made

    @pytest.mark.parametrize("place", ["folder", "pipe", "nothing", "another store", "garbled"])
    def test_without_the_file_that_it_started_from_it_loses_the_rows_of_that_alone(self, begun, place):
        path, made = begun
        base = path.with_name("a.h5.parts") / "base.h5"
        base.unlink()
        if place == "folder":
            base.mkdir()
        elif place == "pipe":
            os.mkfifo(base)
        elif place == "another store":
            make_store(base, seed=1)
        elif place == "garbled":
            base.write_bytes(b"\x89HDF\r\n\x1a\n" * 100)
        with pytest.raises(DamageError, match="base.h5.*run msmt verify --repair, then msmt extract"):
            open_store(path).read("hubert", 40)
        assert damages_of(path)
        repair(path, damages_of(path))
        assert is_there(path, "hubert")[:32].all() and not is_there(path, "hubert")[32:].any()
        filled_again(path, made)
        assert_holds(path, made)

    def test_parts_that_are_links_or_no_files_lose_their_rows_alone_and_nothing_is_read_through_them(self, begun):
        path, made = begun
        parts, outside = path.with_name("a.h5.parts"), path.with_name("outside.h5")
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
            for block in (1, 2):
                rows = range(32 * block, min(32 * block + 32, 70))
                writer.commit("hubert", block, {row: made["hubert"][row] for row in rows})
        (parts / "hubert-000001.h5").rename(outside)
        (parts / "hubert-000001.h5").symlink_to(outside)
        (parts / "hubert-000002.h5").unlink()
        (parts / "hubert-000002.h5").mkdir()
        before = outside.read_bytes()
        with pytest.raises(DamageError, match="is a link, which a store has none of; put in its place what it leads"):
            open_store(path).states("hubert")
        repair(path, damages_of(path))
        assert np.flatnonzero(~is_there(path, "hubert")).tolist() == list(range(32, 70))
        assert is_there(path, "roberta").all() and outside.read_bytes() == before
        filled_again(path, made)
        assert_holds(path, made)

    @pytest.mark.parametrize("damage", ["another part", "cut off", "a value", "base", "nothing"])
    @pytest.mark.parametrize("table_is", ["without digest", "changed"])
    def test_a_table_and_rows_that_are_both_lost_are_mended_by_an_extraction_to_which_repair_sends(
        self, begun, table_is, damage
    ):
        path, made = begun
        parts = path.with_name("a.h5.parts")
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
            writer.commit("roberta", 0, {row: made["roberta"][row] for row in range(32)})
        part, place = parts / "hubert-000000.h5", open_store(path)._extents("hubert", 3, 1)[0].offset
        with h5py.File(path, "r+") as file:  # which cuts off what msmt says of the file
            if table_is == "changed":
                file["segments/text"][27] = "x"
            else:
                del file["segments"].attrs["digest"]
        if damage == "another part":
            shutil.copy(parts / "roberta-000000.h5", part)
        elif damage == "cut off":
            os.truncate(part, 2000)
        elif damage == "a value":
            overwrite(part, place, b"\x12\x34")
        elif damage == "base":
            (parts / "base.h5").unlink()
        with pytest.raises(DamageError, match="the segment table is damaged; run msmt extract|KeyError"):
            repair(path, damages_of(path))
        said = " ".join(recover(path, TASKS, table(), "marketcalls"))
        lost = {"nothing": 0, "a value": 1, "base": 2 * 38 + 70}.get(damage, 32)
        assert "written anew from the corpus" in said
        if damage == "base":
            assert "base.h5: is missing or damaged, and the rows that only it has are missing now" in said
        elif lost:
            assert f"{lost} rows cannot be read and are missing now" in said
        assert sum(int((~is_there(path, name)).sum()) for name in SPECS) == lost
        filled_again(path, made)
        assert_holds(path, made)

    def test_a_file_in_the_place_of_its_parts_makes_room_for_them(self, begun):
        path, made = begun
        shutil.rmtree(path.with_name("a.h5.parts"))
        path.with_name("a.h5.parts").write_text("no folder")
        assert damages_of(path)
        repair(path, damages_of(path))
        filled_again(path, made)
        assert_holds(path, made)

    def test_a_link_in_the_place_of_its_parts_is_not_written_through_where_the_store_is_gone(self, begun, tmp_path):
        path, made = begun
        outside = tmp_path / "outside"
        path.with_name("a.h5.parts").rename(outside)
        path.with_name("a.h5.parts").symlink_to(outside)
        path.unlink()
        path.symlink_to(tmp_path / "nowhere")
        before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in outside.iterdir()}
        shutil.copytree(outside, tmp_path / "copy")
        filled_again(path, made)
        assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in outside.iterdir()} == before
        assert_holds(path, made)


class TestStrangersInAZarrStore:
    """What no writer of msmt made is neither read nor sealed."""

    def test_folders_that_changed_places_are_made_anew_though_a_link_is_left_in_one(self, tmp_path):
        path, outside = tmp_path / "a.zarr", tmp_path / "outside"
        made = make_store(path)
        for source, target in (("segments", "aside"), ("roberta", "segments"), ("aside", "roberta")):
            (path / source).rename(path / target)
        chunk = path / "roberta/start/c/0"
        chunk.rename(outside)
        chunk.symlink_to(outside)
        before = outside.read_bytes()
        repair(path, damages_of(path))
        assert not is_there(path, "roberta").any() and is_there(path, "hubert").all()
        assert outside.read_bytes() == before
        filled_again(path, made)
        assert_holds(path, made)

    def test_a_file_that_somebody_put_there_may_change_after_a_repair(self, tmp_path):
        path = tmp_path / "a.zarr"
        made = make_store(path)
        notes = path / "roberta" / "notes.txt"
        notes.write_text("hello")
        overwrite(path / "zarr.json", 3, b"!")
        repair(path, damages_of(path))
        notes.write_text("changed")
        assert damages_of(path) == [] and notes.read_text() == "changed"
        assert_holds(path, made)
