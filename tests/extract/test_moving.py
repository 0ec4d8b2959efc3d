"""Rows are known by what they are made from: a segment renamed, or in another's place, costs no computing."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from msmt.extract.config import ExtractConfig
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.encoders import AudioEncoder, TextEncoder
from msmt.extract.moving import first_of_each, holders_of, move_rows
from msmt.extract.pipeline import extract
from msmt.extract.plan import make_plan
from msmt.features.copying import verify
from msmt.features.opening import open_store, writer_for
from msmt.features.rows import BLOCK_ROWS, MISSING, Row, RowStates, block_of
from msmt.features.segments import REMOVED
from msmt.tests.extract.made import save_encoders, write_calls
from msmt.tests.features.made import SPECS, TASKS
from msmt.tests.features.made import table as table_of

BOTH = pytest.mark.parametrize("suffix", [".zarr", ".h5"])


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    return save_encoders(tmp_path_factory.mktemp("encoders"))


@pytest.fixture
def encoded(monkeypatch):
    """Counts what the encoders are given."""
    counts = {"audio": 0, "text": 0}
    for kind, encoder in (("audio", AudioEncoder), ("text", TextEncoder)):
        encode = encoder.encode

        def counted(self, batch, kind=kind, encode=encode):
            counts[kind] += len(batch)
            return encode(self, batch)

        monkeypatch.setattr(encoder, "encode", counted)
    return counts


def settings(encoders, **changes) -> ExtractConfig:
    fields = {"max_seconds": 1.5, "max_tokens": 30, "precision": "float32", **changes}
    return ExtractConfig(*map(str, encoders), **fields)


def by_sound(path, data) -> dict[tuple[str, bytes], np.ndarray]:
    """The values of each present row, by feature and by what its file and text hold."""
    store = open_store(path)
    return {
        (name, (data / segment["audio"]).read_bytes() + segment["text"].encode()): store.read(name, row)
        for name in store.specs
        for row, segment in store.segments.iterrows()
        if segment["split"] != REMOVED
    }


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def rename(data, naming) -> None:
    """Give every audio file another name, in the folder and in the tables."""
    for split in ("train", "val", "test"):
        table = pd.read_csv(data / f"{split}.csv")
        for name in table["Audio_id"]:
            (data / "audio" / name).rename(data / "audio" / f"{naming(name)}.new")
        table["Audio_id"] = table["Audio_id"].map(naming)
        table.to_csv(data / f"{split}.csv", index=False)
    for file in (data / "audio").glob("*.new"):
        file.rename(file.with_suffix(""))


@BOTH
def test_renaming_every_segment_computes_nothing(suffix, tmp_path, encoders, encoded):
    data, store, config = tmp_path / "calls", tmp_path / f"a{suffix}", settings(encoders)
    write_calls(data)
    extract(load_corpus("marketcalls", data), store, config)
    before, asked = by_sound(store, data), dict(encoded)
    rename(data, lambda name: f"renamed-{name}")
    plan = make_plan(load_corpus("marketcalls", data), store, config)
    for one in plan.features:
        assert (one.missing, one.copied, one.rows_to_compute, one.seconds) == (18, 18, 0, 0)
    summary = extract(load_corpus("marketcalls", data), store, config)
    assert encoded == asked and summary.copied == {"hubert": 18, "roberta": 18} and summary.removed == 18
    assert "hubert: 0 computed, 18 copied from rows of the same input" in "\n".join(summary.lines())
    assert equal(by_sound(store, data), before) and verify(open_store(store)) == []


@BOTH
def test_segments_that_trade_places_trade_their_rows(suffix, tmp_path, encoders, encoded):
    data, store, config = tmp_path / "calls", tmp_path / f"a{suffix}", settings(encoders)
    write_calls(data, recordings=25, segments=3)  # three blocks
    extract(load_corpus("marketcalls", data), store, config)
    before, asked = by_sound(store, data), dict(encoded)
    names = sorted(file.name for file in (data / "audio").iterdir())
    after = dict(zip(names, names[::-1], strict=True))
    sounds = {name: (data / "audio" / name).read_bytes() for name in names}
    for name in names:
        (data / "audio" / after[name]).write_bytes(sounds[name])
    texts = {}
    for split in ("train", "val", "test"):
        texts |= pd.read_csv(data / f"{split}.csv").set_index("Audio_id")["text"].to_dict()
    for split in ("train", "val", "test"):
        table = pd.read_csv(data / f"{split}.csv")
        table["text"] = [texts[after[name]] for name in table["Audio_id"]]
        table.to_csv(data / f"{split}.csv", index=False)
    summary = extract(load_corpus("marketcalls", data), store, config)
    assert encoded == asked and summary.copied["hubert"] == len(names) - len(names) % 2
    assert equal(by_sound(store, data), before) and verify(open_store(store)) == []
    assert not [file for file in tmp_path.iterdir() if "moving" in file.name]


def test_a_segment_that_left_and_came_back_under_another_name_is_not_computed(tmp_path, encoders, encoded):
    data, store, config = tmp_path / "calls", tmp_path / "a.zarr", settings(encoders)
    write_calls(data)
    extract(load_corpus("marketcalls", data), store, config)
    train = pd.read_csv(data / "train.csv")
    train[train["phone"] != "call0"].to_csv(data / "train.csv", index=False)
    extract(load_corpus("marketcalls", data), store, config)
    asked = dict(encoded)
    for name in ("call0_1.wav", "call0_2.wav"):
        (data / "audio" / name).rename(data / "audio" / f"again_{name}")
    train["Audio_id"] = train["Audio_id"].replace({name: f"again_{name}" for name in ("call0_1.wav", "call0_2.wav")})
    train.to_csv(data / "train.csv", index=False)
    summary = extract(load_corpus("marketcalls", data), store, config)
    assert encoded == asked and summary.copied == {"hubert": 2, "roberta": 2}


class TestRowsOfAStore:
    """Moves of any kind in a store of several blocks, each row with values of its own."""

    ROWS = 5 * BLOCK_ROWS

    def store(self, path, rows=ROWS):
        table = table_of(rows)
        lengths = {name: np.full(rows, 3) for name in SPECS}
        with writer_for(path) as writer:
            writer.prepare("made", TASKS, table, SPECS, lengths)
            for block in range(rows // BLOCK_ROWS):
                first = block * BLOCK_ROWS
                news = {row: Row(self.values(row), row + 1) for row in range(first, first + BLOCK_ROWS)}
                writer.commit("hubert", block, news)
            writer.finish()
        return path

    def values(self, number: int) -> np.ndarray:
        return np.full((1 + number % 3, SPECS["hubert"].width), number, np.float16)

    def moved(self, path, wanted: np.ndarray, until: int | None = None) -> set[int]:
        """Move rows so that row i has what row ``wanted[i]`` had; stop at a commit to see what a kill leaves."""
        identity = (wanted + 1).astype(np.uint64)
        commits = itertools.count()
        with writer_for(path) as writer:
            writer.store = open_store(path)
            rows = np.flatnonzero(wanted != np.arange(len(wanted))).tolist()

            def commit(results):
                if next(commits) == until:
                    raise KeyboardInterrupt
                for block in sorted({block_of(row) for row in results}):
                    writer.commit("hubert", block, {row: new for row, new in results.items() if block_of(row) == block})

            holders = holders_of(rows, identity, writer.store.states("hubert"))
            moved = move_rows(writer, "hubert", holders, identity, commit, path.with_name(".moving"))
            writer.finish()
        return moved

    @BOTH
    @pytest.mark.parametrize(
        "kind", ["one on", "one back", "reversed", "shuffled", "all from one", "pairs across blocks"]
    )
    def test_every_row_gets_what_it_is_to_be_made_from(self, suffix, tmp_path, kind):
        here = np.arange(self.ROWS)
        wanted = {
            "one on": np.roll(here, 1),
            "one back": np.roll(here, -1),
            "reversed": here[::-1].copy(),
            "shuffled": np.random.default_rng(0).permutation(self.ROWS),
            "all from one": np.where(here % 2, 7, here),
            "pairs across blocks": (here + self.ROWS // 2) % self.ROWS,
        }[kind]
        path = self.store(tmp_path / f"a{suffix}")
        assert self.moved(path, wanted) == set(np.flatnonzero(wanted != here).tolist())
        store = open_store(path)
        for row in range(self.ROWS):
            assert np.array_equal(store.read("hubert", row), self.values(wanted[row]))
        assert np.array_equal(store.states("hubert").identity, wanted + 1) and verify(store) == []
        assert not (tmp_path / ".moving").exists()

    def test_an_interruption_leaves_rows_that_are_what_they_say(self, tmp_path):
        for until in (0, 1):
            path = self.store(tmp_path / f"{until}.zarr")
            with pytest.raises(KeyboardInterrupt):
                self.moved(path, np.roll(np.arange(self.ROWS), 1), until)
            store = open_store(path)
            identity = store.states("hubert").identity
            for row in range(self.ROWS):
                assert np.array_equal(store.read("hubert", row), self.values(int(identity[row]) - 1))

    def test_what_a_killed_process_kept_aside_is_never_used(self, tmp_path):
        path = self.store(tmp_path / "a.zarr")
        (tmp_path / ".moving").mkdir()
        (tmp_path / ".moving/0").write_bytes(b"\1" * 10_000)
        self.moved(path, np.roll(np.arange(self.ROWS), 1))
        assert np.array_equal(open_store(path).read("hubert", 5), self.values(4))

    def test_a_row_whose_holder_is_damaged_is_left_to_be_computed(self, tmp_path):
        path = self.store(tmp_path / "a.zarr")
        shard = path / "hubert/features/c/0/0/0"
        content = bytearray(shard.read_bytes())
        content[0] ^= 1  # of row 0
        shard.write_bytes(content)
        here = np.arange(self.ROWS)
        assert self.moved(path, np.where(here == 150, 0, here)) == set()

    def test_a_row_that_keeps_its_values_is_the_holder_of_choice(self):
        length = np.array([3, 3, MISSING, 3], np.int32)
        states = RowStates(length, np.zeros(4, np.uint64), np.array([5, 5, 5, 6], np.uint64))
        identity = np.array([9, 5, 5, 6], np.uint64)
        assert holders_of([0, 2], identity, states) == {2: 1}
        leaders, followers = first_of_each([4, 5, 6], np.array([0, 0, 0, 0, 8, 8, 7], np.uint64))
        assert leaders.tolist() == [4, 6] and followers == {5: 4}
