"""What a corpus holds is shown before anything is computed, and one sound in two splits is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
import soundfile
from msmt.errors import CorpusError
from msmt.extract import digests
from msmt.extract.config import ExtractConfig
from msmt.extract.corpora.config import GenericOptions
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.digests import file_digest, same_sounds
from msmt.extract.pipeline import extract
from msmt.extract.plan import make_plan
from msmt.extract.review import announced, reviewed
from msmt.features.copying import convert
from msmt.features.info import describe, table_of
from msmt.features.opening import open_store
from msmt.features.sharing import shared_in
from msmt.tests.extract.made import save_encoders, speech_like, write_calls


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    return save_encoders(tmp_path_factory.mktemp("encoders"))


def settings(encoders, **changes) -> ExtractConfig:
    audio, text = map(str, encoders)
    fields = {
        "audio_encoder": audio,
        "text_encoder": text,
        "max_seconds": 1.5,
        "max_tokens": 30,
        "precision": "float32",
    }
    return ExtractConfig(**{**fields, **changes})


def written(folder: Path, rows: list[dict], seconds: float = 0.5) -> Path:
    """A generic corpus; each audio file holds a sound of its own."""
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(dict.fromkeys(row["audio"] for row in rows)):
        soundfile.write(folder / "audio" / name, speech_like(seconds, seed=number), 8000)
    pd.DataFrame(rows).to_csv(folder / "segments.csv", index=False)
    return folder


def clips(count: int = 6, **more) -> list[dict]:
    splits = ("train", "train", "val", "val", "test", "test")
    return [
        {"audio": f"{i}.wav", "text": "hello", "label": ("calm", "angry")[i % 2], "split": splits[i % 6]} | more
        for i in range(count)
    ]


def test_files_of_the_same_bytes_are_found_and_only_those_of_one_size_are_read(tmp_path):
    for name, content in {"a": b"same", "b": b"same", "c": b"else", "d": b"longer", "e": b"", "f": b""}.items():
        (tmp_path / name).write_bytes(content)
    asked = digests._digest.cache_info().currsize
    homes = same_sounds(tmp_path, ["a", "b", "c", "d", "e", "f", "gone"])
    assert homes == {"a": "a", "b": "a", "c": "c", "d": "d", "e": "e", "f": "f", "gone": "gone"}
    assert digests._digest.cache_info().currsize == asked + 3


def test_a_file_is_read_again_only_when_it_has_changed(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    before, asked = file_digest(path), digests._digest.cache_info().misses
    assert file_digest(path) == before and digests._digest.cache_info().misses == asked
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert file_digest(path) != before


class TestOneSoundInTwoSplits:
    def of_one_file(self, folder):
        rows = [row | {"recording": f"r{i}", "start": 0.1 * i, "end": 0.1 * i + 0.1} for i, row in enumerate(clips(4))]
        return written(folder, [row | {"audio": "0.wav"} for row in rows])

    def of_two_files(self, folder):
        written(folder, clips())
        (folder / "audio/4.wav").write_bytes((folder / "audio/1.wav").read_bytes())
        return folder

    def test_one_file_is_refused_with_both_rows(self, tmp_path):
        corpus = load_corpus("generic", self.of_one_file(tmp_path))
        with pytest.raises(
            CorpusError,
            match="segments.csv row 2 and segments.csv row 4: audio/0.wav in split train is the same file, which is in"
            " split val: .*--allow-shared-audio",
        ):
            reviewed(corpus)

    def test_the_same_bytes_are_refused_with_both_rows(self, tmp_path):
        corpus = load_corpus("generic", self.of_two_files(tmp_path))
        with pytest.raises(
            CorpusError,
            match="row 3 and segments.csv row 6: audio/1.wav in split train has the very bytes of audio/4.wav, which is"
            " in split test",
        ):
            reviewed(corpus)

    def test_of_marketcalls_is_refused_alike(self, tmp_path):
        table = write_calls(tmp_path)
        [test] = table["Audio_id"][(table["split"] == "test") & (table["Segment_number"] == 1)]
        (tmp_path / "audio" / test).write_bytes((tmp_path / "audio/call0_1.wav").read_bytes())
        with pytest.raises(CorpusError, match="train.csv row 2 and test.csv row 2"):
            reviewed(load_corpus("marketcalls", tmp_path))

    def test_of_one_split_is_nobodys_business(self, tmp_path):
        folder = written(tmp_path, clips())
        (folder / "audio/1.wav").write_bytes((folder / "audio/0.wav").read_bytes())
        assert reviewed(load_corpus("generic", folder)).facts == {}

    def test_is_never_made_by_splits_that_msmt_makes(self, tmp_path):
        rows = [
            {"audio": f"{file}.wav", "text": "hello", "label": "xy"[file % 2], "start": i / 10, "end": i / 10 + 0.1}
            for file in range(3)
            for i in range(8)
        ]
        corpus = reviewed(load_corpus("generic", written(tmp_path, rows, seconds=1.0)))
        assert "shared_audio" not in corpus.facts and corpus.table["split"].nunique() == 3

    def test_stops_plan_and_extraction_before_anything_is_loaded_or_written(self, tmp_path, encoders):
        corpus = load_corpus("generic", self.of_two_files(tmp_path / "data"))
        config = settings(encoders, audio_encoder="nowhere")
        for work in (extract, make_plan):
            with pytest.raises(CorpusError, match="--allow-shared-audio"):
                work(corpus, tmp_path / "a.zarr", config)
        assert not (tmp_path / "a.zarr").exists()

    @pytest.mark.parametrize("suffix", [".zarr", ".h5"])
    def test_is_recorded_in_the_store_where_it_is_allowed_and_forgotten_when_it_is_mended(
        self, tmp_path, encoders, suffix
    ):
        folder, path = self.of_two_files(tmp_path / "data"), tmp_path / f"a{suffix}"
        extract(load_corpus("generic", folder), path, settings(encoders, allow_shared_audio=True))
        store = open_store(path)
        pair = {"splits": ["train", "test"], "count": 1, "examples": ["1 = 4"]}
        assert store.head.facts == {"shared_audio": [pair]}
        assert [each.line for each in shared_in(store)] == ["train and test share the audio of 1 segment: 1 = 4"]
        assert "train and test share the audio of 1 segment: 1 = 4" in table_of(describe(store))
        copy = tmp_path / ("b.h5" if suffix == ".zarr" else "b.zarr")
        assert convert(store, copy).head.facts == store.head.facts
        soundfile.write(folder / "audio/4.wav", speech_like(0.4, seed=9), 8000)
        extract(load_corpus("generic", folder), path, settings(encoders))
        assert open_store(path).head.facts == {} and not shared_in(open_store(path))


def lines_of(folder, store="none.zarr", options=GenericOptions()):  # noqa: B008  frozen
    return announced(reviewed(load_corpus("generic", folder, options)), Path(store))


def test_counts_and_what_splits_share_are_shown_of_every_corpus(tmp_path):
    lines = lines_of(written(tmp_path, clips(speaker="amy")))
    assert "calm       1    1     1    3" in lines and "speakers: 1 in train, 1 in val, 1 in test" in lines
    assert "train and test share 1 speaker: amy" in lines


def test_the_very_same_audio_under_two_labels_is_named(tmp_path):
    folder = written(tmp_path, clips())
    (folder / "audio/1.wav").write_bytes((folder / "audio/0.wav").read_bytes())
    assert "warning: the same audio has different labels of label in 1 case: 0 calm, 1 angry" in lines_of(folder)


def test_an_extraction_says_what_it_read_and_what_has_changed(tmp_path, encoders):
    folder, path, said = written(tmp_path / "data", clips(speaker="amy")), tmp_path / "a.zarr", []
    extract(load_corpus("generic", folder), path, settings(encoders), say=said.append)
    assert any(line.startswith("calm ") for line in said) and not any("changed for" in line for line in said)
    rows = clips(speaker="amy")
    rows[0] |= {"label": "angry", "speaker": "bob"}
    rows[1] |= {"label": "calm"}
    pd.DataFrame(rows).to_csv(folder / "segments.csv", index=False)
    corpus, said = load_corpus("generic", folder), []
    planned = make_plan(corpus, path, settings(encoders)).about
    summary = extract(corpus, path, settings(encoders), say=said.append)
    changed = [
        f"{path}: speaker changed for 1 segment: 0 amy → bob",
        f"{path}: label of label changed for 2 segments: 0 calm → angry, 1 angry → calm",
    ]
    assert (
        [line for line in said if "changed for" in line] == changed == [line for line in planned if "changed" in line]
    )
    assert summary.computed == {}


def test_a_share_of_an_extraction_says_it_only_once(tmp_path, encoders):
    folder, said = written(tmp_path / "data", clips()), []
    for share in ("1/2", "2/2"):
        extract(load_corpus("generic", folder), tmp_path / "a.zarr", settings(encoders, shard=share), say=said.append)
    assert sum("by class and split" in line for line in said) == 1


@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
def test_kept_columns_stay_with_their_rows_whatever_comes_and_goes(tmp_path, encoders, suffix):
    options, path = GenericOptions(keep_columns="age"), tmp_path / f"a{suffix}"
    rows = [row | {"age": str(20 + i)} for i, row in enumerate(clips())]
    folder = written(tmp_path / "data", rows)
    extract(load_corpus("generic", folder, options), path, settings(encoders))
    assert open_store(path).segments["extra_age"].tolist() == ["20", "21", "22", "23", "24", "25"]
    written(folder, [*rows[1:], clips(1)[0] | {"audio": "new.wav", "age": "90"}])
    extract(load_corpus("generic", folder, options), path, settings(encoders))
    assert open_store(path).segments["extra_age"].tolist() == ["20", "21", "22", "23", "24", "25", "90"]
    again = extract(load_corpus("generic", folder), path, settings(encoders))
    assert again.computed == {} and set(open_store(path).segments["extra_age"]) <= {"20", ""}


def test_kept_columns_of_marketcalls_too(tmp_path):
    write_calls(tmp_path)
    for split in ("train", "val", "test"):
        table = pd.read_csv(tmp_path / f"{split}.csv")
        table.assign(agent=split + "-agent").to_csv(tmp_path / f"{split}.csv", index=False)
    table = load_corpus("marketcalls", tmp_path, GenericOptions(keep_columns="agent")).table
    assert (table["extra_agent"] == table["split"] + "-agent").all()


def test_made_splits_stay_as_the_store_has_them(tmp_path, encoders):
    rows = [{"audio": f"{i}.wav", "text": "你好", "label": "xy"[i % 2], "speaker": f"s{i // 3}"} for i in range(24)]
    folder, store = written(tmp_path / "data", rows), tmp_path / "a.zarr"
    options = GenericOptions()
    extract(load_corpus("generic", folder, options), store, settings(encoders))
    before = open_store(store).segments.set_index("recording_id")["split"].to_dict()
    for row in rows[:7]:
        row["label"] = "y"
    written(tmp_path / "data", [*rows[2:], {"audio": "new.wav", "text": "你好", "label": "x", "speaker": "s1"}])
    corpus = load_corpus("generic", folder, options)
    assert corpus.table.set_index("recording_id")["split"].to_dict() != before  # by themselves they would be others
    said = []
    extract(corpus, store, settings(encoders), say=said.append)
    table = open_store(store).segments
    after = table[table["split"] != "removed"].set_index("recording_id")["split"].to_dict()
    assert after.pop("new") == before["3"]  # where its speaker is
    assert after == {name: split for name, split in before.items() if name in after} and len(after) == 22
    assert any("in the splits that the store has known; another --split-seed splits anew" in line for line in said)
    again = load_corpus("generic", folder, GenericOptions(split_seed=5))
    extract(again, store, settings(encoders))
    table = open_store(store).segments
    assert table[table["split"] != "removed"]["split"].tolist() == again.table["split"].tolist()
