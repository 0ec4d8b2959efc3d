from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from msmt.errors import CorpusError, SettingError
from msmt.extract.corpora.config import GenericOptions
from msmt.extract.corpora.generic import load, made_splits, sorted_classes


def written(folder, rows: list[dict], csv: str = "segments.csv", audio: str = "audio"):
    """A corpus with these rows, and the audio files that they name."""
    (folder / audio).mkdir(parents=True, exist_ok=True)
    for row in rows:
        (folder / audio / row["audio"]).parent.mkdir(parents=True, exist_ok=True)
        (folder / audio / row["audio"]).touch()
    pd.DataFrame(rows).to_csv(folder / csv, index=False)
    return folder


def clips(count: int, **more) -> list[dict]:
    """Rows of their own recordings, labelled x and y in turn."""
    return [{"audio": f"{i:03d}.wav", "text": "words", "label": "xy"[i % 2]} | more for i in range(count)]


def refuse(folder, options: GenericOptions, match: str):
    with pytest.raises(CorpusError, match=match):
        load(folder, options)


def test_a_csv_of_audio_text_and_label_is_enough(tmp_path):
    corpus = load(written(tmp_path, clips(10)), GenericOptions())
    assert corpus.table["recording_id"].tolist() == [f"{i:03d}" for i in range(10)]
    assert set(corpus.table["index"]) == {1} and set(corpus.table["channel"]) == {-1}
    assert corpus.table["start"].isna().all() and corpus.table["end"].isna().all()
    assert [task.classes for task in corpus.tasks] == [("x", "y")]
    assert corpus.notes == (
        "segments.csv has no column split: recordings were split with seed 0 into 8 train, 1 val, 1 test",
    )


def test_a_column_that_an_option_names_must_exist(tmp_path):
    written(tmp_path, clips(4))
    refuse(tmp_path, GenericOptions(speaker_column="who"), "row 1: column who missing")


def test_segments_without_numbers_are_in_the_order_of_the_rows(tmp_path):
    rows = [row | {"recording": "ab"[i // 2], "split": "train"} for i, row in enumerate(clips(4))]
    for row, label in zip(rows, "xxyy", strict=True):
        row["label"] = label
    table = load(written(tmp_path, rows), GenericOptions()).table
    assert table["index"].tolist() == [1, 2, 1, 2]


def test_several_segments_may_share_a_file(tmp_path):
    rows = [
        {
            "recording": "r",
            "audio": "r.wav",
            "text": "a",
            "label": "x",
            "start": "",
            "end": 1.5,
            "channel": "",
            "speaker": "amy",
        },
        {
            "recording": "r",
            "audio": "r.wav",
            "text": "b",
            "label": "x",
            "start": 1.5,
            "end": "",
            "channel": 1,
            "speaker": "bob",
        },
        {
            "recording": "s",
            "audio": "s.wav",
            "text": "c",
            "label": "y",
            "start": "",
            "end": "",
            "channel": 0,
            "speaker": "",
        },
    ]
    table = load(written(tmp_path, [row | {"split": "train"} for row in rows]), GenericOptions()).table
    np.testing.assert_array_equal(table["start"], [np.nan, 1.5, np.nan])
    np.testing.assert_array_equal(table["end"], [1.5, np.nan, np.nan])
    assert table["channel"].tolist() == [-1, 1, 0]
    assert table["speaker"].tolist() == ["amy", "bob", ""]
    assert table["segment_id"].tolist() == ["r_1", "r_2", "s_1"]


def test_rows_that_share_a_file_are_recordings_of_their_own_without_a_column_for_them(tmp_path):
    rows = [row | {"audio": "one.wav", "start": i, "end": i + 1} for i, row in enumerate(clips(4))]
    table = load(written(tmp_path, rows), GenericOptions()).table
    assert table["recording_id"].tolist() == [f"audio/one:{i}" for i in (1, 2, 3, 4)]


def test_files_of_one_name_in_different_folders_are_different_recordings(tmp_path):
    rows = [row | {"audio": f"speaker{i}/hello.wav"} for i, row in enumerate(clips(4))]
    table = load(written(tmp_path, rows), GenericOptions()).table
    assert table["recording_id"].tolist() == [f"audio/speaker{i}/hello" for i in range(4)]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"start": "2", "end": "1"}, "row 3: the segment ends at 1 s, but starts at 2 s"),
        ({"start": "2", "end": "2"}, "row 3: the segment ends at 2 s, but starts at 2 s"),
        ({"start": "", "end": "0"}, "row 3: the segment ends at 0 s, but starts at 0 s"),
        ({"start": "-1", "end": "2"}, "row 3: start must not be negative, but is -1"),
        ({"start": "soon", "end": "2"}, "row 3: start must be a number, but is 'soon'"),
        ({"start": "0", "end": "inf"}, "row 3: end must be a number, but is 'inf'"),
        ({"start": "0", "end": "2", "channel": "-1"}, "row 3: channel must be 0 or more, but is -1"),
        ({"start": "0", "end": "2", "channel": "left"}, "row 3: channel must be a whole number, but is 'left'"),
    ],
)
def test_impossible_places_in_a_file_are_named_with_their_row(tmp_path, cells, message):
    rows = clips(4, start="0", end="1", channel="0")
    rows[1] |= cells
    refuse(written(tmp_path, rows), GenericOptions(), message)


def test_several_label_columns_are_several_tasks(tmp_path):
    rows = [row | {"mood": "ab"[i // 2], "topic / kind": str(i)} for i, row in enumerate(clips(4))]
    corpus = load(written(tmp_path, rows), GenericOptions(label_columns="mood, topic / kind"))
    assert [task.name for task in corpus.tasks] == ["mood", "topic_kind"]
    assert corpus.table["label_mood"].tolist() == [0, 0, 1, 1]


def test_label_columns_whose_tasks_would_share_a_name_are_refused(tmp_path):
    rows = [row | {"a b": "xy"[i % 2], "a/b": "xy"[i % 2]} for i, row in enumerate(clips(4))]
    refuse(written(tmp_path, rows), GenericOptions(label_columns="a b,a/b"), "would all be called task a_b")


def test_classes_that_are_numbers_are_sorted_as_numbers():
    assert sorted_classes(["10", "9", "-1", "9"]) == ["-1", "9", "10"]
    assert sorted_classes(["10", "9", "none"]) == ["10", "9", "none"]


def test_labels_may_belong_to_segments(tmp_path):
    rows = [row | {"recording": "ab"[i // 2], "split": "train"} for i, row in enumerate(clips(4))]
    written(tmp_path, rows)
    refuse(
        tmp_path,
        GenericOptions(),
        "row 3: recording a has label 'y', but 'x' in segments.csv row 2; .*--label-level segment",
    )
    corpus = load(tmp_path, GenericOptions(label_level="segment"))
    assert corpus.tasks[0].level == "segment"
    assert corpus.table["label_label"].tolist() == [0, 1, 0, 1]


def test_labels_may_be_real_values(tmp_path):
    rows = [row | {"label": ["-1.5", "", "0.25", "3"][i]} for i, row in enumerate(clips(4))]
    corpus = load(written(tmp_path, rows), GenericOptions(label_kind="value"))
    assert corpus.tasks[0].is_value
    np.testing.assert_array_equal(corpus.table["label_label"], [-1.5, np.nan, 0.25, 3])
    assert "1 of 4 segments have no label for label" in corpus.notes


@pytest.mark.parametrize("text", ["good", "nan", "1,5"])
def test_a_value_that_is_no_number_is_named_with_its_row(tmp_path, text):
    rows = [row | {"label": str(i)} for i, row in enumerate(clips(4))]
    rows[2]["label"] = text
    refuse(
        written(tmp_path, rows), GenericOptions(label_kind="value"), f"row 4: label must be a number, but is '{text}'"
    )


def test_segments_without_a_label_are_kept_and_counted(tmp_path):
    rows = clips(6)
    rows[5]["label"] = ""
    corpus = load(written(tmp_path, rows), GenericOptions())
    assert corpus.table["label_label"].tolist() == [0, 1, 0, 1, 0, -1]
    assert "1 of 6 segments have no label for label" in corpus.notes


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        (clips(4, label=""), GenericOptions(), "segments.csv has no labels in column label, so there is no such task"),
        (clips(4), GenericOptions(label_columns="none"), "no labels and no column split: all recordings are of one"),
    ],
)
def test_recordings_that_are_yet_to_be_labelled_have_no_task_and_one_split(tmp_path, rows, options, said):
    corpus = load(written(tmp_path, rows), options)
    assert corpus.tasks == () and set(corpus.table["split"]) == {"all"}
    assert not [column for column in corpus.table if column.startswith("label")]
    assert any(said in note for note in corpus.notes)


def test_splits_that_are_given_hold_without_labels_too(tmp_path):
    rows = [row | {"split": split} for row, split in zip(clips(4), ("a", "a", "b", "b"), strict=True)]
    assert load(written(tmp_path, rows), GenericOptions(label_columns="none")).table["split"].tolist() == list("aabb")


def test_one_column_of_labels_may_be_empty_beside_others(tmp_path):
    corpus = load(written(tmp_path, clips(10, mood="")), GenericOptions(label_columns="label,mood"))
    assert [task.name for task in corpus.tasks] == ["label"]


def test_a_csv_without_the_column_of_labels_says_how_to_do_without(tmp_path):
    rows = [{"audio": "1.wav", "text": "x"}]
    refuse(written(tmp_path, rows), GenericOptions(), "column label missing; it has audio, text; .*none where there are")


def test_a_split_must_not_be_empty_where_there_is_a_column_for_it(tmp_path):
    rows = clips(4, split="train")
    rows[2]["split"] = ""
    refuse(written(tmp_path, rows), GenericOptions(), "row 4: split is empty")


def test_csv_and_audio_may_lie_elsewhere(tmp_path, monkeypatch):
    written(tmp_path / "data", clips(4), csv="list.csv", audio="sounds")
    table = load(tmp_path / "data", GenericOptions(csv="list.csv", audio_dir="sounds")).table
    assert table["audio"][0] == "sounds/000.wav"
    (tmp_path / "data" / "list.csv").rename(tmp_path / "list.csv")
    monkeypatch.chdir(tmp_path)
    assert len(load(tmp_path / "data", GenericOptions(csv="list.csv", audio_dir="sounds")).table) == 4
    (tmp_path / "empty").mkdir()
    corpus = load(tmp_path / "empty", GenericOptions(csv="list.csv", audio_dir=str(tmp_path / "data" / "sounds")))
    assert corpus.root == tmp_path / "data" / "sounds" and corpus.table["audio"][0] == "000.wav"


def test_a_missing_csv_is_named_with_the_option_that_names_another(tmp_path):
    (tmp_path / "audio").mkdir()
    refuse(tmp_path, GenericOptions(), "segments.csv: there is no such file; .*--csv")


class TestMadeSplits:
    strata = {f"r{i}": i % 3 for i in range(60)}
    ratios = (0.8, 0.1, 0.1)

    def test_the_whole_and_each_stratum_keep_the_ratios(self, tmp_path):
        splits = made_splits(self.strata, self.ratios, 0, tmp_path)
        assert [list(splits.values()).count(name) for name in ("train", "val", "test")] == [48, 6, 6]
        for stratum in range(3):
            here = [splits[recording] for recording, home in self.strata.items() if home == stratum]
            assert [here.count(name) for name in ("train", "val", "test")] == [16, 2, 2]

    def test_the_order_of_the_rows_does_not_matter(self, tmp_path):
        turned = dict(reversed(self.strata.items()))
        assert made_splits(turned, self.ratios, 3, tmp_path) == made_splits(self.strata, self.ratios, 3, tmp_path)

    def test_another_seed_gives_other_splits(self, tmp_path):
        assert made_splits(self.strata, self.ratios, 0, tmp_path) != made_splits(self.strata, self.ratios, 1, tmp_path)

    @pytest.mark.parametrize("count", [3, 4, 5])
    def test_no_split_stays_empty(self, tmp_path, count):
        splits = made_splits({f"r{i}": 0 for i in range(count)}, (0.98, 0.01, 0.01), 0, tmp_path)
        assert set(splits.values()) == {"train", "val", "test"}

    @pytest.mark.parametrize("seed", range(5))
    def test_training_sees_every_class_of_five_recordings(self, tmp_path, seed):
        strata = {"a": 0, "b": 1, "c": 0, "d": 1, "e": 0}
        splits = made_splits(strata, self.ratios, seed, tmp_path)
        assert {strata[recording] for recording, split in splits.items() if split == "train"} == {0, 1}

    def test_two_recordings_cannot_fill_three_splits(self, tmp_path):
        with pytest.raises(CorpusError, match="2 recordings cannot be split"):
            made_splits({"a": 0, "b": 0}, self.ratios, 0, tmp_path / "segments.csv")

    def test_all_segments_of_a_recording_go_to_one_split(self, tmp_path):
        rows = [row | {"recording": f"r{i // 3}", "label": "xy"[i // 3 % 2]} for i, row in enumerate(clips(30))]
        table = load(written(tmp_path, rows), GenericOptions()).table
        assert (table.groupby("recording_id")["split"].nunique() == 1).all()

    def test_real_values_are_shared_out_by_quartile(self, tmp_path):
        rows = [row | {"label": str(i)} for i, row in enumerate(clips(40))]
        table = load(written(tmp_path, rows), GenericOptions(label_kind="value", split_ratios="0.5,0.25,0.25")).table
        assert table.groupby([table["label_label"] // 10, "split"]).size().between(2, 6).all()


@pytest.mark.parametrize(
    "fields",
    [
        {"split_ratios": "0.8,0.2"},
        {"split_ratios": "1,0,0"},
        {"split_ratios": "most,some,few"},
        {"label_columns": ""},
        {"label_columns": "a,a"},
        {"text_column": " "},
        {"label_level": "word"},
        {"label_kind": "colour"},
        {"split_seed": -1},
    ],
)
def test_options_that_make_no_sense_are_refused(fields):
    with pytest.raises(SettingError, match=next(iter(fields))):
        GenericOptions(**fields)
