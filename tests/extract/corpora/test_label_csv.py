"""CMU-MOSI, CMU-MOSEI and CH-SIMS in the arrangements in which their users have them, and what is wrong with them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from msmt.errors import CorpusError
from msmt.extract.corpora.config import CorpusOptions
from msmt.extract.corpora.contract import Reading
from msmt.extract.corpora.label_csv import ADAPTERS
from msmt.extract.corpora.label_csv_releases import BY_NAME, COLUMN_OF
from msmt.extract.corpora.registry import lengths_of, load_corpus
from msmt.extract.corpus_report import lines_of, write_items
from msmt.extract.reconcile import reconcile
from msmt.features.sharing import shared_between_splits, sharing_lines

SIGNS = ("Negative", "Neutral", "Positive")
ENGLISH = (("-THoVjtIkeU", "train"), ("_dI--eQ6qVU", "valid"), ("03bSnISJMiM", "test"))
CHINESE = (("video_0001", "train"), ("video_0002", "valid"), ("video_0003", "test"))


def rows_of(dataset: str = "mosi") -> list[dict[str, str]]:
    """Three videos with two clips each, one in each split."""
    is_sims = dataset.startswith("sims")
    rows = []
    for video, mode in CHINESE if is_sims else ENGLISH:
        for clip in (1, 2):
            label = (-1.0, 0.6)[clip - 1]
            row = dict.fromkeys(BY_NAME[dataset].header, "")
            row |= {"video_id": video, "clip_id": f"{clip:0{BY_NAME[dataset].digits}d}", "mode": mode}
            row |= {"text": "我不想去" if is_sims else "It’s a good film", "label": str(label)}
            row |= {"annotation": SIGNS[0 if label < 0 else 2]}
            if is_sims:
                row |= {"label_T": "-0.2", "label_A": "0.0", "label_V": "0.4"}
            rows.append(row)
    return rows


def write_csv(path: Path, rows: list[dict[str, str]], encoding: str = "utf-8", header: bool = True) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    if header:
        writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.getvalue().encode(encoding))


def put(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())


def lay(root: Path, dataset: str = "mosi", rows: list[dict[str, str]] | None = None, folder: str = "Raw") -> Path:
    """A corpus as it comes unpacked; nothing but the doctor opens its clips."""
    rows = rows or rows_of(dataset)
    write_csv(root / BY_NAME[dataset].csv[0], rows)
    for row in rows:
        put(root / folder / row["video_id"] / f"{row['clip_id']}.mp4")
    return root


def read(root: Path, dataset: str = "mosi") -> Reading:
    return ADAPTERS[dataset].read(root, CorpusOptions())


@pytest.mark.parametrize("dataset", ADAPTERS)
def test_each_row_is_a_segment_of_its_video_with_its_clip_and_its_values(tmp_path, dataset):
    corpus = load_corpus(dataset, lay(tmp_path, dataset))
    first = corpus.table.iloc[0]
    video = rows_of(dataset)[0]["video_id"]
    clip = {"mosi": "1", "mosei": "1", "sims": "0001", "simsv2": "00001"}[dataset]
    assert (first["segment_id"], first["recording_id"], first["index"]) == (f"{video}_{clip}", video, 1)
    assert (first["audio"], first["speaker"]) == (f"Raw/{video}/{clip}.mp4", "")
    assert corpus.table["split"].tolist() == ["train", "train", "val", "val", "test", "test"]
    assert corpus.table["label_sentiment"].tolist() == [-1.0, 0.6] * 3
    assert {task.name: task.scale for task in corpus.tasks if task.is_value} == dict.fromkeys(
        (name for name in COLUMN_OF if name == "sentiment" or dataset.startswith("sims")),
        "sims" if dataset.startswith("sims") else "sentiment",
    )
    assert all(task.level == "segment" for task in corpus.tasks)


def test_of_two_classes_zero_is_positive(tmp_path):
    rows = rows_of()
    rows[0]["label"], rows[1]["label"], rows[2]["label"] = "0.0", "-0.2", "-0.0"
    table = load_corpus("mosi", lay(tmp_path, rows=rows)).table
    assert table["label_two"].tolist()[:3] == [1, 0, 1]


def test_sims_has_a_value_of_each_modality_and_an_empty_one_is_counted(tmp_path):
    rows = rows_of("sims")
    rows[0]["label_A"] = ""
    corpus = load_corpus("sims", lay(tmp_path, "sims", rows))
    columns = ["label_sentiment_text", "label_sentiment_audio", "label_sentiment_vision"]
    assert corpus.table[columns].iloc[1].tolist() == [-0.2, 0.0, 0.4]
    assert corpus.table["label_sentiment_audio"].isna().tolist() == [True] + [False] * 5
    assert any("1 clips have no value of sentiment_audio" in note for note in corpus.notes)


def test_columns_are_read_by_name_as_mosei_has_them_in_another_order(tmp_path):
    assert BY_NAME["mosei"].header.index("mode") < BY_NAME["mosei"].header.index("label_T")
    one = load_corpus("mosi", lay(tmp_path / "one")).table
    turned = [dict(reversed(list(row.items()))) for row in rows_of()]
    other = load_corpus("mosi", lay(tmp_path / "other", rows=turned)).table
    assert one.equals(other)


@pytest.mark.parametrize("dataset", ("sims", "mosei"))
def test_a_csv_that_has_lost_its_header_is_read_in_the_order_of_its_release(tmp_path, dataset):
    before = load_corpus(dataset, lay(tmp_path, dataset)).table
    write_csv(tmp_path / "label.csv", rows_of(dataset), header=False)
    corpus = load_corpus(dataset, tmp_path)
    assert corpus.table.equals(before)
    assert corpus.origins[corpus.table["segment_id"].iloc[0]] == "label.csv row 1"


@pytest.mark.parametrize("written", ("1", "0001", "1.0", "00001"))
def test_a_clip_is_found_whatever_zeros_its_number_has_lost_or_won(tmp_path, written):
    rows = rows_of("sims")
    lay(tmp_path, "sims", rows)
    rows[0]["clip_id"] = written
    write_csv(tmp_path / "label.csv", rows)
    first = load_corpus("sims", tmp_path).table.iloc[0]
    assert (first["audio"], first["segment_id"]) == ("Raw/video_0001/0001.mp4", "video_0001_0001")
    assert first["extra_clip_id"] == "0001"


def test_of_files_that_differ_in_their_zeros_alone_the_one_that_the_csv_names_is_taken(tmp_path):
    lay(tmp_path, "sims")
    put(tmp_path / "Raw/video_0001/1.mp4")
    reading = read(tmp_path, "sims")
    assert reading.items["audio"].iloc[0] == "Raw/video_0001/0001.mp4"
    assert [orphan.name for orphan in reading.orphans] == ["Raw/video_0001/1.mp4"]


@pytest.mark.parametrize(
    ("dataset", "folder"),
    [("mosi", "MOSI"), ("mosei", "CMU-MOSEI"), ("sims", "CH-SIMS"), ("simsv2", "CH-SIMS v2/CH-SIMS v2(s)")],
)
def test_a_corpus_is_found_in_its_folder_among_others(tmp_path, dataset, folder):
    for each, other in (("mosi", "MOSI"), ("mosei", "CMU-MOSEI"), ("sims", "CH-SIMS"), ("simsv2", "ch-simsv2u")):
        lay(tmp_path / other, each)
    lay(tmp_path / folder, dataset)
    reading = read(tmp_path, dataset)
    assert set(reading.items["audio"].str.split("/Raw/").str[0]) == {folder}
    assert not reading.orphans and f"{folder}/{BY_NAME[dataset].csv[0]}" in reading.arrangement


def test_a_corpus_that_is_not_among_those_of_a_folder_is_refused_and_the_others_named(tmp_path):
    lay(tmp_path / "MOSEI", "mosei")
    with pytest.raises(CorpusError, match="holds no label.csv of its own, only MOSEI/label.csv"):
        read(tmp_path, "mosi")
    with pytest.raises(CorpusError, match="holds no label.csv; mosi is read from"):
        read(tmp_path / "MOSEI" / "Raw", "mosi")


@pytest.mark.parametrize("name", ("raw/{video}/{clip}", "Raw/{video}/{video}_{clip}", "Segmented/{video}_{clip}"))
def test_clips_are_found_in_any_of_the_usual_trees(tmp_path, name):
    rows = rows_of()
    write_csv(tmp_path / "label.csv", rows)
    paths = [f"{name.format(video=row['video_id'], clip=row['clip_id'])}.mp4" for row in rows]
    put(*(tmp_path / path for path in paths))
    reading = read(tmp_path)
    assert reading.items["audio"].tolist() == paths and not reading.orphans
    assert reading.arrangement == f"found label.csv and clips of 3 videos in {name.split('/')[0]}"


def test_sound_alone_is_heard_rather_than_video_and_the_other_folder_is_named(tmp_path):
    lay(tmp_path)
    for row in rows_of():
        put(tmp_path / "wav" / row["video_id"] / f"{row['clip_id']}.wav")
    reading = read(tmp_path)
    assert reading.items["audio"].iloc[0] == "wav/-THoVjtIkeU/1.wav"
    assert "clips are taken from wav; those in Raw are not read" in reading.notes
    assert len(reading.orphans) == 6 and {each.reason for each in reading.orphans} == {"for clips are taken from wav"}


def test_a_few_clips_of_sound_do_not_stand_for_the_whole_corpus(tmp_path):
    lay(tmp_path)
    put(tmp_path / "wav/-THoVjtIkeU/1.wav")
    assert set(read(tmp_path).items["audio"].str.split("/").str[0]) == {"Raw"}


def test_videos_whose_clips_are_dealt_to_several_splits_become_a_recording_in_each(tmp_path):
    rows = rows_of("sims")
    rows[1]["mode"] = "test"
    corpus = load_corpus("sims", lay(tmp_path, "sims", rows))
    assert corpus.table["recording_id"].tolist() == [
        *("video_0001_train", "video_0001_test", "video_0002", "video_0002", "video_0003", "video_0003"),
    ]
    assert corpus.table["segment_id"].iloc[1] == "video_0001_0002"
    assert any(note.startswith("1 of 3 videos have clips in several splits, as the corpus") for note in corpus.notes)
    assert sharing_lines(shared_between_splits(corpus.table), corpus.table) == [
        "train and test share 1 video: video_0001"
    ]


def test_a_video_of_mosi_in_two_splits_is_said_to_be_no_release(tmp_path):
    rows = rows_of()
    rows[1]["mode"] = "test"
    notes = load_corpus("mosi", lay(tmp_path, rows=rows)).notes
    assert any("which is not so in mosi as released" in note for note in notes)


@pytest.mark.parametrize(("dataset", "encoding"), [("mosi", "cp1252"), ("sims", "gb18030"), ("sims", "utf-8-sig")])
def test_a_csv_in_another_encoding_is_read_in_that_of_its_language_and_said(tmp_path, dataset, encoding):
    before = load_corpus(dataset, lay(tmp_path, dataset)).table
    write_csv(tmp_path / "label.csv", rows_of(dataset), encoding)
    corpus = load_corpus(dataset, tmp_path)
    assert corpus.table.equals(before)
    assert any("label.csv" in note and "read as" in note for note in corpus.notes)


def test_a_clip_that_is_named_twice_is_taken_once_and_the_other_row_listed(tmp_path):
    rows = rows_of()
    rows += [dict(rows[0]), rows[1] | {"label": "2.0"}]
    reading = read(lay(tmp_path, rows=rows))
    assert len(reading.items) == 6 and reading.items["label_sentiment"].iloc[1] == 0.6
    assert [(each.name, each.origin) for each in reading.left_out] == [
        ("-THoVjtIkeU_1", "label.csv row 8"),
        ("-THoVjtIkeU_2", "label.csv row 9"),
    ]
    assert "says the same" in reading.left_out[0].reason and "another text, value" in reading.left_out[1].reason


@pytest.mark.parametrize("empty", ("", "nan", "NaN"))
def test_a_row_without_a_value_is_left_out_and_named(tmp_path, empty):
    rows = rows_of()
    rows[2]["label"] = empty
    reading = read(lay(tmp_path, rows=rows))
    assert [(each.name, each.split) for each in reading.left_out] == [("_dI--eQ6qVU_1", "val")]
    assert len(reading.items) == 5


def test_annotations_of_another_sign_are_counted_and_the_value_counts(tmp_path):
    rows = rows_of("sims")
    rows[0]["annotation"] = "Weakly Positive"
    rows[1]["annotation"] = "Weakly Positive"
    corpus = load_corpus("sims", lay(tmp_path, "sims", rows))
    [note] = [note for note in corpus.notes if "another sign" in note]
    assert note.startswith("1 row of label.csv") and "label.csv row 2 (Weakly Positive, -1)" in note
    assert corpus.table["label_sentiment"].iloc[0] == -1.0


def test_clips_and_folders_that_are_missing_or_unknown_are_named(tmp_path):
    lay(tmp_path)
    for path in (tmp_path / "Raw" / "03bSnISJMiM").iterdir():
        path.unlink()
    (tmp_path / "Raw/-THoVjtIkeU/2.mp4").unlink()
    put(tmp_path / "Raw/-THoVjtIkeU/7.mp4", tmp_path / "Raw/other/1.mp4", tmp_path / "Raw/-THoVjtIkeU/._1.mp4")
    reading = read(tmp_path)
    assert "1 videos have no clip at all: 03bSnISJMiM" in reading.notes
    assert "passed over: 1 hidden file, such as a Mac leaves" in reading.notes
    assert [orphan.name for orphan in reading.orphans] == ["Raw/-THoVjtIkeU/7.mp4", "Raw/other/1.mp4"]
    assert reading.items["audio"].iloc[1] == "Raw/-THoVjtIkeU/2.mp4"
    corpus = load_corpus("mosi", tmp_path)
    assert set(corpus.table["split"]) == {"train", "val"}
    assert any(note.startswith("test: no audio file of its 2 items is there") for note in corpus.notes)


def test_without_any_clip_the_text_alone_can_be_taken(tmp_path):
    write_csv(tmp_path / "label.csv", rows_of())
    with pytest.raises(CorpusError, match="such as Raw/-THoVjtIkeU/1.mp4"):
        load_corpus("mosi", tmp_path)
    assert len(load_corpus("mosi", tmp_path, modalities="text").table) == 6


@pytest.mark.parametrize(
    ("dataset", "change", "says"),
    [
        ("mosi", {"label": "good"}, "label must be a number, but is 'good'"),
        ("mosi", {"label": "3.2"}, "label must be from -3 to 3, but is 3.2"),
        ("sims", {"label": "-3"}, "label must be from -1 to 1, but is -3"),
        ("sims", {"label_V": "1.4"}, "label_V must be from -1 to 1"),
        ("mosi", {"mode": "unlabelled"}, "mode must be train, valid or test, but is 'unlabelled'"),
        ("mosi", {"mode": ""}, "mode is empty"),
        ("mosi", {"clip_id": "a"}, "clip_id must be a whole number"),
        ("mosi", {"clip_id": "-1"}, "must be names of a folder and of a file"),
        ("mosi", {"video_id": "../secret"}, "must be names of a folder and of a file"),
        ("mosi", {"video_id": "#NAME?"}, "a spreadsheet has made of an id that begins with -"),
    ],
)
def test_a_row_that_makes_no_sense_is_named(tmp_path, dataset, change, says):
    rows = rows_of(dataset)
    lay(tmp_path, dataset)
    rows[3].update(change)
    write_csv(tmp_path / "label.csv", rows)
    with pytest.raises(CorpusError) as error:
        load_corpus(dataset, tmp_path)
    assert says in str(error.value) and "label.csv row 5" in str(error.value)


def test_sims_without_the_values_of_each_modality_is_another_release(tmp_path):
    rows = [{name: cell for name, cell in row.items() if name != "label_A"} for row in rows_of("sims")]
    write_csv(tmp_path / "label.csv", rows)
    with pytest.raises(CorpusError, match="column label_A missing"):
        read(tmp_path, "sims")


def test_the_part_of_sims_v2_without_labels_is_refused(tmp_path):
    rows = [row | {"label": ""} for row in rows_of("simsv2")]
    with pytest.raises(CorpusError, match="label is empty in all rows; a part without labels"):
        read(lay(tmp_path, "simsv2", rows), "simsv2")


def test_a_csv_as_long_as_another_release_is_that_one(tmp_path):
    template = rows_of()[0]
    write_csv(tmp_path / "label.csv", [template | {"clip_id": str(number)} for number in range(2281)])
    with pytest.raises(CorpusError, match="holds 2,281 rows, as sims has, .* --dataset sims"):
        read(tmp_path, "mosi")


def test_the_lengths_of_the_papers_are_those_of_the_dataset():
    assert {name: lengths_of(name)["max_tokens"] for name in ADAPTERS} == {
        **{"mosi": 96, "mosei": 96},
        **{"sims": 48, "simsv2": 48},
    }
    assert {lengths_of(name)["max_seconds"] for name in ADAPTERS} == {6.0}


@pytest.mark.parametrize("release", BY_NAME.values(), ids=BY_NAME)
def test_what_is_expected_of_a_release_adds_up(release):
    assert all(sum(signs) == items for signs, items in zip(release.signs, release.items, strict=False))
    assert {"mosi": 2199, "mosei": 22856, "sims": 2281, "simsv2": 4403}[release.name] == sum(release.items)


def test_the_unreadable_clips_of_mosei_are_known_by_the_names_of_their_segments(tmp_path):
    rows = [
        row | {"video_id": "aE-X_QdDaqQ", "mode": "train", "clip_id": f"{clip}"}
        for clip, row in enumerate(rows_of("mosei"))
    ]
    corpus = load_corpus("mosei", lay(tmp_path, "mosei", rows))
    assert "its clip cannot be decoded" in corpus.known["aE-X_QdDaqQ_3"]
    assert len(BY_NAME["mosei"].defects) == 6 and set(corpus.known) >= {
        defect.item for defect in BY_NAME["mosei"].defects
    }


def test_the_doctor_counts_splits_and_classes_of_a_release_and_calls_the_annotation_by_its_name(tmp_path):
    report = "\n".join(lines_of(reconcile(read(lay(tmp_path, "sims"), "sims"))))
    assert "annotation Negative" in report and "extra_" not in report
    assert "2 ≠ 1,368" in report and "NOT in order" in report


def test_the_list_of_items_has_a_verdict_for_each_clip_and_what_was_passed_over(tmp_path):
    lay(tmp_path / "sims", "sims", [*rows_of("sims"), rows_of("sims")[0]])
    put(tmp_path / "sims/Raw/video_0009/0001.mp4")
    write_items(reconcile(read(tmp_path / "sims", "sims")), tmp_path / "items.csv")
    with (tmp_path / "items.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 and rows[0]["segment_id"] == "video_0001_0001"
    assert "audio cannot be read" in rows[0]["verdict"]
    assert [row["detail"] for row in rows[6:]] == [
        *("for an earlier row says the same of the same clip", "for no row of the csv names them"),
    ]
