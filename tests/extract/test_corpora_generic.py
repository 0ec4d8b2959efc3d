from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from msmt.errors import CorpusError, SettingError
from msmt.extract.corpora.config import GenericOptions
from msmt.extract.corpora.generic import load, sorted_classes
from msmt.extract.corpora.splitting import SPLITS, grouped_splits, made_splits


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
    assert table["segment_id"].tolist() == ["r:0-1.5", "r:1.5-", "s"]


def stretches(files: int, count: int) -> list[dict]:
    """Rows of as many stretches of each file; a file has one label."""
    return [
        {"audio": f"f{file}.wav", "text": "words", "label": "xy"[file % 2], "start": 2 * i, "end": 2 * i + 1.5}
        for file in range(files)
        for i in range(count)
    ]


def test_a_file_of_several_segments_is_a_recording_without_a_column_for_them(tmp_path):
    corpus = load(written(tmp_path, stretches(3, 8)), GenericOptions())
    table = corpus.table
    assert corpus.notes[0] == "segments.csv has no column recording: each audio file is a recording"
    assert table["recording_id"].unique().tolist() == ["f0", "f1", "f2"]
    assert table["segment_id"].tolist()[:2] == ["f0:0-1.5", "f0:2-3.5"] and set(table["index"]) == set(range(1, 9))
    assert (table.groupby("audio")["split"].nunique() == 1).all()


def ids_of(folder, rows, options=GenericOptions()):  # noqa: B008  frozen
    """Segment and recording ids by the csv's row, from 0."""
    corpus = load(written(folder, rows), options)
    place = {name: int(origin.split()[-1]) - 2 for name, origin in corpus.origins.items()}
    table = corpus.table
    return {place[one]: (one, two) for one, two in zip(table["segment_id"], table["recording_id"], strict=True)}


@pytest.mark.parametrize("start", ["0", "1", ""])
def test_ids_do_not_depend_on_rows_of_other_files(tmp_path, start):
    rows = [*stretches(3, 2), *({**row, "start": "", "end": ""} for row in clips(4))]
    before = ids_of(tmp_path / "before", rows)
    # Of one name in another folder, of a name that numbering might give, and another stretch of the last file.
    more = [
        {**rows[0], "audio": name, "start": start} for name in ("other/f0.wav", "f0_1.wav", "000_1.wav", "f2_2.wav")
    ]
    after = ids_of(tmp_path / "after", [*rows, *more])
    assert {row: after[row] for row in before} == before and len(set(after.values())) == len(after)


def test_rows_of_one_stretch_are_told_apart_by_number(tmp_path):
    rows = [
        {**stretches(1, 1)[0], "label": "xy"[i // 2], "channel": i % 2, "audio": f"f{i // 2}.wav"} for i in range(4)
    ]
    rows += [{**row, "audio": "f2.wav"} for row in rows[:2]] + [{**row, "audio": "f3.wav"} for row in rows[:2]]
    names = [one for one, _ in ids_of(tmp_path, rows).values()]
    assert names[:4] == ["f0:0-1.5:1", "f0:0-1.5:2", "f1:0-1.5:1", "f1:0-1.5:2"]
    named = [{**row, "recording": f"r{i}", "split": "train"} for i, row in enumerate(rows)]
    assert ids_of(tmp_path, named)[0][0] == "f0:0-1.5:r0_1"


def test_files_that_differ_in_their_extension_alone_are_named_with_both_rows(tmp_path):
    rows = [*clips(4), clips(1)[0] | {"audio": "001.flac", "label": "y"}]
    refuse(
        written(tmp_path, rows),
        GenericOptions(),
        "row 6: audio/001.flac would be recording 001, as audio/001.wav in segm",
    )
    named = [row | {"recording": str(i), "split": "train"} for i, row in enumerate(rows)]
    assert [one for one, _ in ids_of(tmp_path / "named", named).values()][1::3] == ["001:1_1", "001:4_1"]


def test_files_of_one_name_in_different_folders_are_different_recordings(tmp_path):
    rows = [row | {"audio": f"speaker{i}/hello.wav"} for i, row in enumerate(clips(4))]
    table = load(written(tmp_path, rows), GenericOptions()).table
    assert table["recording_id"].tolist() == [f"speaker{i}/hello" for i in range(4)]


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
    assert "1 of 4 segments have no label of task label" in corpus.notes


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
    assert "1 of 6 segments have no label of task label" in corpus.notes


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
    refuse(
        written(tmp_path, rows), GenericOptions(), "column label missing; it has audio, text; .*none where there are"
    )


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


@pytest.mark.parametrize(
    "column, cell, said",
    [
        ("start", "1e308", "start must be a time in seconds, but is 1e.308"),
        ("end", "1e300", "end must be a time in seconds, but is 1e.300"),
        ("start", "9" * 5000, "start must be a number, but is '999"),
        ("segment", "7" * 5000, "segment must be a whole number, but is '777"),
        ("segment", "7" * 300, "segment must be a whole number, but is '777"),
        ("channel", "1000000000", "channel must be 999 at most, but is 1000000000"),
        ("channel", "1" * 5000, "channel must be a whole number, but is '111"),
    ],
)
def test_numbers_that_no_recording_has_are_refused_with_file_and_row(tmp_path, column, cell, said):
    rows = clips(10, **{column: "1"})
    rows[3][column] = cell
    if column == "end":
        rows = [row | {"start": "0"} for row in rows]
    with pytest.raises(CorpusError, match=f"segments.csv row 5: {said}") as caught:
        load(written(tmp_path, rows), GenericOptions())
    assert len(str(caught.value)) < 300


def test_minus_zero_is_zero(tmp_path):
    starts = load(written(tmp_path, clips(10, start="-0")), GenericOptions()).table["start"]
    assert not np.signbit(starts).any()


class TestSplitsBySpeaker:
    def spoken(self, speakers=6, each=5) -> list[dict]:
        return [
            row | {"speaker": f"s{i % speakers}", "label": "xy"[i // speakers % 2]}
            for i, row in enumerate(clips(speakers * each))
        ]

    def test_a_speaker_is_in_one_split_where_a_column_says_who_speaks(self, tmp_path):
        corpus = load(written(tmp_path, self.spoken()), GenericOptions())
        assert (corpus.table.groupby("speaker")["split"].nunique() == 1).all()
        assert corpus.notes == (
            "segments.csv has no column split: recordings were split by speaker with seed 0 into 20 train, 5 val, 5"
            " test (of speakers 4 in train, 1 in val, 1 in test); --split-by recording splits without regard to them",
        )

    def test_recordings_alone_are_split_where_that_is_asked(self, tmp_path):
        folder = written(tmp_path, self.spoken())
        without = load(written(tmp_path / "other", clips(30)), GenericOptions()).table["split"].tolist()
        table = load(folder, GenericOptions(split_by="recording")).table
        assert table.groupby("speaker")["split"].nunique().max() > 1 and table["split"].tolist() != []
        assert sorted(without) == sorted(table["split"])

    def test_any_column_can_say_what_stays_together(self, tmp_path):
        rows = [row | {"street": f"street {i % 4}"} for i, row in enumerate(self.spoken())]
        corpus = load(written(tmp_path, rows), GenericOptions(split_by="street", keep_columns="street"))
        assert (corpus.table.groupby("extra_street")["split"].nunique() == 1).all()
        assert "recordings were split by street" in corpus.notes[0]

    def test_rows_without_a_speaker_tie_nothing(self, tmp_path):
        rows = [row | {"speaker": "" if i < 20 else row["speaker"]} for i, row in enumerate(self.spoken())]
        table = load(written(tmp_path, rows), GenericOptions()).table
        known = table[table["speaker"] != ""]
        assert (known.groupby("speaker")["split"].nunique() == 1).all()
        assert table[table["speaker"] == ""]["split"].nunique() == 3

    def test_a_column_of_roles_splits_by_recording_unless_it_was_asked_for(self, tmp_path):
        rows = [
            clips(1)[0]
            | {
                "audio": f"{i}.wav",
                "recording": f"r{i // 2}",
                "label": "xy"[i // 2 % 2],
                "speaker": ("agent", "customer")[i % 2],
            }
            for i in range(40)
        ]
        folder = written(tmp_path, rows)
        corpus = load(folder, GenericOptions())
        assert (
            "recordings were split with seed 0 into 16 train, 2 val, 2 test, for its speakers tie 20 recordings into 1"
            in corpus.notes[0]
        )
        refuse(
            folder, GenericOptions(split_by="speaker"), "20 recordings that are tied by speaker or audio into 1 cannot"
        )

    def test_files_of_the_same_bytes_stay_together(self, tmp_path):
        folder = written(tmp_path, clips(12))
        for i in range(12):
            (folder / "audio" / f"{i:03d}.wav").write_bytes(b"sound %d" % (i // 4))
        table = load(folder, GenericOptions()).table
        assert table["split"].tolist() in [[a] * 4 + [b] * 4 + [c] * 4 for a, b, c in permutations(SPLITS)]

    @pytest.mark.parametrize("seed", range(4))
    def test_classes_are_shared_out_as_far_as_groups_allow(self, seed):
        random = np.random.default_rng(seed)
        groups = [[f"g{group}_{i}" for i in range(random.integers(5, 15))] for group in range(40)]
        strata = {one: int(random.integers(3)) for group in groups for one in group}
        splits = grouped_splits(groups, strata, (0.8, 0.1, 0.1), seed)
        assert splits == grouped_splits([group[::-1] for group in groups[::-1]], strata, (0.8, 0.1, 0.1), seed)
        assert splits != grouped_splits(groups, strata, (0.8, 0.1, 0.1), seed + 1)
        assert all(len({splits[one] for one in group}) == 1 for group in groups)
        for stratum in range(3):
            here = [splits[one] for one in strata if strata[one] == stratum]
            shares = [here.count(name) / len(here) for name in SPLITS]
            assert np.allclose(shares, (0.8, 0.1, 0.1), atol=0.05), shares

    def test_three_groups_fill_three_splits(self):
        groups = [["a1", "a2", "a3"], ["b1"], ["c1"]]
        splits = grouped_splits(groups, {one: 0 for group in groups for one in group}, (0.8, 0.1, 0.1), 0)
        assert splits["a1"] == splits["a2"] == "train" and set(splits.values()) == set(SPLITS)

    def test_a_column_for_splits_leaves_nothing_to_split(self, tmp_path):
        folder = written(tmp_path, clips(4, split="train", speaker="s"))
        refuse(
            folder, GenericOptions(split_by="speaker"), "row 1: has a column split, so there is nothing for --split-by"
        )

    def test_a_column_that_is_not_there_or_empty_is_named(self, tmp_path):
        refuse(written(tmp_path, clips(4)), GenericOptions(split_by="speaker"), "column speaker missing")
        refuse(written(tmp_path, clips(4)), GenericOptions(split_by="town"), "column town missing")
        refuse(
            written(tmp_path, clips(4, town="")), GenericOptions(split_by="town"), "column town is empty in all rows"
        )


def test_other_columns_are_kept_under_names_that_files_can_have(tmp_path):
    rows = [row | {"Alter / Jahre": str(i), "note": "=1"} for i, row in enumerate(clips(4, split="train"))]
    table = load(written(tmp_path, rows), GenericOptions(keep_columns="Alter / Jahre")).table
    assert table["extra_Alter_Jahre"].tolist() == ["0", "1", "2", "3"] and "extra_note" not in table
    refuse(tmp_path, GenericOptions(keep_columns="age"), "column age missing")
    rows = [row | {"a b": "1", "a/b": "2"} for row in rows]
    refuse(written(tmp_path, rows), GenericOptions(keep_columns="all"), "would both be kept as extra_a_b")
