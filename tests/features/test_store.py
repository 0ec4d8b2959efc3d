"""Both formats keep the same promises, so both pass the same tests."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from msmt.errors import SpecMismatchError, StoreError
from msmt.features import zarr_writer
from msmt.features.hdf5_parts import parts_folder
from msmt.features.opening import default_store, open_store, writer_for
from msmt.features.rows import MISSING, Row
from msmt.features.segments import REMOVED, segment_table
from msmt.features.tasks import Task
from msmt.tests.features.made import ROWS, SPECS, TASKS, contents, fill, lengths_of, make_store, spec, table

AS_IF_NOW = {"SOURCE_DATE_EPOCH": "1700000000"}


def files_of(path: Path) -> dict[str, bytes]:
    """Every file of a store, by its name within it."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def same(made, store, without=()) -> bool:
    return all(
        np.array_equal(store.read(name, row), made[name][row].values)
        for name in made
        for row in range(len(store.segments))
        if row not in without
    )


def found_damage(path) -> bool:
    try:
        return bool(list(open_store(path).damage()))
    except StoreError:  # too damaged to be opened at all
        return True


def read_in_another_process(store, row, queue):
    queue.put(store.read("hubert", row).tobytes())


class StoreContract:
    """What every format must do. Subclasses name the suffix and how a plain library opens the store."""

    suffix: str
    plain: Callable

    @pytest.fixture
    def path(self, tmp_path, monkeypatch):
        monkeypatch.setenv(*next(iter(AS_IF_NOW.items())))
        return tmp_path / f"calls{self.suffix}"

    def test_what_was_written_is_read_back(self, path):
        made = make_store(path)
        store = open_store(path)
        assert same(made, store)
        assert store.dataset == "marketcalls" and store.tasks == TASKS and store.specs == SPECS
        assert store.segments.equals(table())

    def test_a_plain_library_reads_literal_tensors_with_zeros_past_the_length(self, path):
        made = make_store(path, without=(5,))
        tree = self.plain(path)
        for name, rows in made.items():
            shape = (SPECS[name].max_rows, SPECS[name].width)
            assert tree[f"{name}/features"].shape == (ROWS, *shape)
            assert tree[f"{name}/features"].dtype == SPECS[name].dtype
            for row in (0, 1, 33, 69):
                tensor, length = tree[f"{name}/features"][row], int(tree[f"{name}/length"][row])
                assert tensor.shape == shape and length == len(rows[row].values)
                assert np.array_equal(tensor[:length], rows[row].values)
                assert not tensor[length:].any()
            assert tree[f"{name}/length"][5] == MISSING and not tree[f"{name}/features"][5].any()

    def test_default_shapes_are_999_and_199_by_768(self, path):
        specs = {"hubert": spec(width=768, max_rows=999), "roberta": spec("text", width=768, max_rows=199)}
        values = {"hubert": np.ones((375, 768), np.float16), "roberta": np.ones((60, 768), np.float16)}
        with writer_for(path) as writer:
            expected = {name: np.array([len(value)]) for name, value in values.items()}
            writer.prepare("marketcalls", TASKS, table(1), specs, expected)
            for name, value in values.items():
                writer.commit(name, 0, {0: Row(value, 1)})
            writer.finish()
        tree = self.plain(path)
        assert tree["hubert/features"][0].shape == (999, 768) and tree["roberta/features"][0].shape == (199, 768)
        assert tree["hubert/features"][0].sum(dtype=np.float64) == 375 * 768

    def test_padding_is_free(self, path):
        specs = {"hubert": spec(width=256, max_rows=999)}
        lengths = np.random.default_rng(0).lognormal(np.log(340), 0.5, 64).clip(50, 999).astype(int)
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(64), specs, {"hubert": lengths})
            for block in (0, 1):
                rows = range(32 * block, 32 * block + 32)
                writer.commit("hubert", block, {row: Row(np.ones((lengths[row], 256), np.float16), 1) for row in rows})
            writer.finish()
        assert open_store(path).bytes_on_disk() <= 1.15 * lengths.sum() * 256 * 2

    def test_a_store_in_progress_is_readable_and_its_missing_rows_are_marked(self, path):
        made = contents()
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
            writer.commit("hubert", 1, {row: made["hubert"][row] for row in range(32, 64) if row != 40})
        store = open_store(path)
        assert (store.lengths("hubert") == MISSING).sum() == ROWS - 31
        assert np.array_equal(store.read("hubert", 41), made["hubert"][41].values)
        with pytest.raises(StoreError, match="row 40 of hubert is missing; run msmt extract"):
            store.read("hubert", 40)
        tree = self.plain(path)
        assert tree["hubert/length"][41] == len(made["hubert"][41].values)
        assert np.array_equal(tree["hubert/features"][41][: tree["hubert/length"][41]], made["hubert"][41].values)
        assert not tree["hubert/features"][40].any() and not tree["hubert/features"][0].any()

    def test_resumed_ends_with_the_same_bytes_as_uninterrupted(self, path, tmp_path):
        made = make_store(path)
        other = tmp_path / "resumed" / path.name
        with writer_for(other) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
            writer.commit("roberta", 2, {65: made["roberta"][65]})
            writer.commit("hubert", 0, {row: made["hubert"][row] for row in range(10)})
        with writer_for(other) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
            fill(writer, made, without=(0, 65))
            writer.commit("hubert", 2, {65: made["hubert"][65]})
            writer.commit("roberta", 0, {0: made["roberta"][0]})
            writer.commit("vectors", 0, {0: made["vectors"][0]})
            writer.commit("vectors", 2, {65: made["vectors"][65]})
            writer.vouch_for(made)
            writer.finish()
        assert files_of(other) == files_of(path)

    def test_a_finished_store_takes_changed_rows_and_ends_as_if_made_so(self, path, tmp_path):
        before, after = contents(seed=1), contents(seed=1)
        for name in after:
            after[name][33] = contents(seed=2)[name][33]
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(after))
            fill(writer, before)
            writer.finish()
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(after))
            for name in after:
                writer.commit(name, 1, {33: after[name][33]})
            writer.finish()
        fresh = tmp_path / "fresh" / path.name
        with writer_for(fresh) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(after))
            fill(writer, after)
            writer.finish()
        assert files_of(path) == files_of(fresh)

    def test_a_row_can_be_marked_missing_again(self, path):
        made = make_store(path)
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
            writer.commit("hubert", 0, {3: None})
            writer.finish()
        store = open_store(path)
        assert store.lengths("hubert")[3] == MISSING and (store.lengths("hubert") == MISSING).sum() == 1
        assert same({"roberta": made["roberta"]}, store) and same({"hubert": made["hubert"]}, store, without=(3,))
        assert not self.plain(path)["hubert/features"][3].any()

    @pytest.mark.parametrize("change", [{"encoder_class": "WavLMModel"}, {"sample_rate": 16000}, {"max_rows": 98}])
    def test_another_spec_is_refused_with_the_difference_and_nothing_changes(self, path, change):
        made = make_store(path)
        before = files_of(path)
        specs = {**SPECS, "hubert": spec(**change)}
        (name, value), old = next(iter(change.items())), SPECS["hubert"].to_json()[next(iter(change))]
        with writer_for(path) as writer, pytest.raises(SpecMismatchError, match=f"{name} {old}, not {value}"):
            writer.prepare("marketcalls", TASKS, table(), specs, lengths_of(made))
        assert files_of(path) == before

    def test_overwrite_drops_the_rows_of_the_changed_feature_alone(self, path):
        made = make_store(path)
        specs = {**SPECS, "hubert": spec(sample_rate=16000)}
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), specs, lengths_of(made), overwrite=True)
            store = open_store(path)
            assert (store.lengths("hubert") == MISSING).all() and store.specs["hubert"].sample_rate == 16000
            assert same({"roberta": made["roberta"]}, store)
            writer.finish()
        assert same({"roberta": made["roberta"]}, open_store(path))

    def test_a_feature_can_be_added_to_a_finished_store(self, path):
        made = make_store(path)
        with writer_for(path) as writer:
            expected = {"wavlm": np.full(ROWS, 9)}
            writer.prepare("marketcalls", TASKS, table(), {"wavlm": spec(width=8)}, expected)
            writer.commit("wavlm", 2, {64: Row(np.ones((9, 8), np.float16), 1)})
            writer.finish()
        store = open_store(path)
        assert same(made, store) and store.read("wavlm", 64).sum() == 72
        assert set(store.specs) == {*SPECS, "wavlm"}

    def test_changed_labels_reach_the_store_and_keep_every_row(self, path):
        made = make_store(path)
        print_before = open_store(path).fingerprint()
        relabelled = table(label_five=[0] * ROWS, label_two=[0] * ROWS)
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, relabelled, SPECS, lengths_of(made))
            writer.finish()
        store = open_store(path)
        assert same(made, store) and store.segments.equals(relabelled)
        assert store.fingerprint() != print_before

    def test_new_segments_follow_and_removed_ones_keep_their_rows(self, path):
        made = make_store(path)
        news = table(80).iloc[10:].reset_index(drop=True)  # ten segments have gone, ten have come
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, news, SPECS, lengths_of(made))
            writer.commit("hubert", 2, {79: made["hubert"][0]})
            writer.finish()
        store = open_store(path)
        assert store.segments["segment_id"].tolist() == [f"s{row}" for row in range(80)]
        assert (store.segments["split"][:10] == REMOVED).all() and (store.segments["split"][10:] != REMOVED).all()
        assert same({"roberta": made["roberta"]}, store, without=range(70, 80))
        assert np.array_equal(store.read("hubert", 79), made["hubert"][0].values)
        assert (store.lengths("roberta")[70:] == MISSING).all()
        assert self.plain(path)["hubert/features"].shape[0] == 80

    def test_other_tasks_replace_the_old_ones(self, path):
        made = make_store(path)
        tasks = (Task("mood"),)
        moods = segment_table(table().assign(label_mood=0.5), tasks)
        with writer_for(path) as writer:
            writer.prepare("marketcalls", tasks, moods, SPECS, lengths_of(made))
            writer.finish()
        store = open_store(path)
        assert store.tasks == tasks and (store.segments["label_mood"] == 0.5).all() and same(made, store)

    def test_a_store_of_another_dataset_is_refused(self, path):
        made = make_store(path)
        with writer_for(path) as writer, pytest.raises(StoreError, match="holds dataset 'marketcalls', not 'meld'"):
            writer.prepare("meld", TASKS, table(), SPECS, lengths_of(made))

    def test_a_second_writer_is_refused_by_name(self, path):
        make_store(path)
        program = f"from msmt.features.opening import writer_for\nwith writer_for({str(path)!r}): pass"
        with writer_for(path):
            second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert second.returncode != 0
        assert f"is being written by process {os.getpid()}" in second.stderr
        assert subprocess.run([sys.executable, "-c", program]).returncode == 0

    @pytest.mark.parametrize("method", ["fork", "spawn"])
    def test_readers_in_other_processes_see_the_same(self, path, method):
        made = make_store(path)
        store = open_store(path)
        store.read("hubert", 0)  # a store that has been read from is handed on
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        readers = [context.Process(target=read_in_another_process, args=(store, row, queue)) for row in (2, 40)]
        for reader in readers:
            reader.start()
        got = {queue.get(timeout=60) for _ in readers}
        for reader in readers:
            reader.join()
        assert got == {made["hubert"][row].values.tobytes() for row in (2, 40)}

    def test_a_pickled_store_carries_no_data(self, path):
        make_store(path)
        store = open_store(path)
        store.read("hubert", 0)
        assert len(pickle.dumps(store)) < 500

    def test_an_intact_store_has_no_damage(self, path):
        make_store(path, without=(4, 50))
        assert list(open_store(path).damage()) == []

    def test_any_flipped_byte_of_the_features_is_found(self, path):
        make_store(path, rows=40)
        random = np.random.default_rng(0)
        shards = path / "hubert/features/c"
        for file in [path] if path.is_file() else [file for file in shards.rglob("*") if file.is_file()]:
            content = file.read_bytes()
            for place in {0, len(content) - 1, len(content) - 5, *random.integers(0, len(content), 60).tolist()}:
                flipped = content[place] ^ 1 << int(random.integers(8))
                file.write_bytes(content[:place] + bytes([flipped]) + content[place + 1 :])
                assert found_damage(path), f"byte {place} of {file}"
            file.write_bytes(content)
        assert not found_damage(path)

    def test_a_damaged_row_is_named(self, path):
        made = make_store(path, rows=40)
        needle = made["roberta"][35].values.tobytes()
        for file in [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]:
            content = file.read_bytes()
            if needle in content:
                at = content.index(needle) + 7
                file.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        damages = [damage for damage in open_store(path).damage() if damage.row >= 0]
        assert [(damage.feature, damage.row) for damage in damages] == [("roberta", 35)]
        assert "checksum" in damages[0].reason

    def test_the_working_folder_does_not_matter(self, path, tmp_path, monkeypatch):
        made = contents()
        monkeypatch.chdir(path.parent)
        with writer_for(path.name) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
            fill(writer, made)
            (tmp_path / "elsewhere").mkdir()
            monkeypatch.chdir(tmp_path / "elsewhere")
            assert np.array_equal(self.plain(path)["hubert/features"][0], made["hubert"][0].values)
            monkeypatch.chdir(path.parent)
            writer.finish()

    def test_a_read_only_folder_is_refused_with_the_remedy(self, path, monkeypatch):
        made = contents()

        def refuse(*arguments, **options):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("os.replace", refuse)
        with pytest.raises(StoreError, match="cannot be written .*choose another folder"), writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))

    def test_a_full_disk_keeps_what_was_committed(self, path, monkeypatch):
        made = contents()
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
            writer.commit("hubert", 0, dict(enumerate(made["hubert"][:32])))
            with monkeypatch.context() as patch:

                def full(descriptor):
                    raise OSError(28, "No space left on device")

                patch.setattr("os.fsync", full)
                with pytest.raises(StoreError, match="no space left on the disk; all that was committed stays"):
                    writer.commit("hubert", 1, {row: made["hubert"][row] for row in range(32, 64)})
            store = open_store(path)
            assert (store.lengths("hubert")[:32] > 0).all() and (store.lengths("hubert")[32:] == MISSING).all()
            fill(writer, made)
            writer.finish()
        assert same(made, open_store(path)) and list(open_store(path).damage()) == []


class TestZarr(StoreContract):
    suffix = ".zarr"

    def plain(self, path):
        return zarr.open_group(str(path), mode="r")

    def test_a_table_replaced_half_way_still_opens_and_is_completed(self, path):
        made = make_store(path)
        os.rename(path / "segments", path / "segments.aside")  # what a kill between the two renames leaves
        assert same(made, open_store(path))
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(label_five=[1] * ROWS), SPECS, lengths_of(made))
        assert (path / "segments").exists() and (open_store(path).segments["label_five"] == 1).all()

    def test_rows_of_equal_values_share_their_chunks_and_older_stores_that_hold_them_twice_are_intact(
        self, path, tmp_path, monkeypatch
    ):
        made = contents(rows=40)
        for row in (3, 9, 35):
            made["hubert"][row] = Row(made["hubert"][1].values, identity=2)

        def written(where):
            with writer_for(where) as writer:
                writer.prepare("marketcalls", TASKS, table(rows=40), SPECS, lengths_of(made))
                fill(writer, made)
                writer.commit("hubert", 0, {9: made["hubert"][9]})
            assert same(made, open_store(where)) and list(open_store(where).damage()) == []
            assert np.array_equal(self.plain(where)["hubert/features"][9], self.plain(where)["hubert/features"][1])
            return (where / "hubert/features/c/0/0/0").stat().st_size, (
                where / "hubert/features/c/1/0/0"
            ).stat().st_size

        once = written(path)
        pieces = zarr_writer.shard_pieces
        monkeypatch.setattr(zarr_writer, "shard_pieces", lambda head, values, sums: pieces(head, values, range(32)))
        twice = written(tmp_path / "older.zarr")
        head = open_store(path).head.features["hubert"]
        chunks = -(-len(made["hubert"][1].values) // head.chunk_rows)
        assert twice[0] - once[0] == 2 * chunks * head.chunk_rows * head.spec.width * 2 and twice[1] == once[1]

    def test_writers_of_different_blocks_work_at_once(self, path):
        made = contents()
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
        writers = []
        with writer_for(path, shared=True) as first, writer_for(path, shared=True) as second:
            for writer in (first, second):
                writer.store = open_store(path)
                writers.append(writer)
            for name in made:
                for block in range(3):
                    rows = {row: made[name][row] for row in range(32 * block, min(32 * block + 32, ROWS))}
                    writers[block % 2].commit(name, block, rows)
        assert same(made, open_store(path)) and list(open_store(path).damage()) == []


class TestHdf5(StoreContract):
    suffix = ".h5"

    def plain(self, path):
        return h5py.File(path, "r")

    def test_a_finished_store_is_one_plain_file(self, path):
        make_store(path)
        assert not parts_folder(path).exists()
        with h5py.File(path) as file:
            assert not file["hubert/features"].is_virtual and file["hubert/features"].chunks is not None

    def test_parts_left_beside_a_finished_file_are_ignored_and_deleted(self, path):
        made = make_store(path)
        parts_folder(path).mkdir()
        (parts_folder(path) / "hubert-000000.h5").write_bytes(b"left by a kill after the merge")
        assert same(made, open_store(path))
        with writer_for(path) as writer:
            writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
            writer.finish()
        assert not parts_folder(path).exists() and same(made, open_store(path))

    def test_a_second_writer_at_once_is_refused(self, path):
        with pytest.raises(StoreError, match="one writer at a time; use --format zarr"):
            writer_for(path, shared=True)


def test_the_two_formats_have_one_fingerprint(tmp_path):
    make_store(tmp_path / "a.zarr")
    make_store(tmp_path / "a.h5")
    assert open_store(tmp_path / "a.zarr").fingerprint() == open_store(tmp_path / "a.h5").fingerprint()


def test_opening_what_is_no_store_says_what_to_do(tmp_path):
    with pytest.raises(StoreError, match="there is no such store; run msmt extract"):
        open_store(tmp_path / "none.zarr")
    (tmp_path / "folder.zarr").mkdir()
    with pytest.raises(StoreError, match="is not a feature store"):
        open_store(tmp_path / "folder.zarr")
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(StoreError, match="not a readable HDF5 file"):
        open_store(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(StoreError, match="is not a feature store of msmt"):
        open_store(tmp_path / "other.h5")
    with pytest.raises(StoreError, match="must end in .zarr, .h5 or .hdf5"):
        open_store(tmp_path / "store.npy")


def test_the_newest_store_is_the_default(tmp_path):
    with pytest.raises(StoreError, match="there is no store; run msmt extract first"):
        default_store(tmp_path)
    make_store(tmp_path / "a.zarr")
    make_store(tmp_path / "b.h5")
    os.utime(tmp_path / "a.zarr", (1, 1))
    assert default_store(tmp_path) == tmp_path / "b.h5"
    assert default_store(tmp_path, "a") == tmp_path / "a.zarr"


def test_a_store_can_be_moved(tmp_path):
    made = make_store(tmp_path / "a.h5")
    shutil.move(tmp_path / "a.h5", tmp_path / "b.h5")
    assert same(made, open_store(tmp_path / "b.h5"))
