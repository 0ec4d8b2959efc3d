"""MELD in the arrangements in which its users have it, and what is wrong with it."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from msmt.errors import CorpusError
from msmt.extract.corpora.config import CorpusOptions
from msmt.extract.corpora.meld import read
from msmt.extract.corpora.registry import lengths_of, load_corpus
from msmt.features.tasks import NO_LABEL

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
EMOTIONS = ("neutral", "joy", "anger")


def rows_of(split: str, dialogues: int = 2, turns: int = 3) -> list[dict[str, str]]:
    rows = []
    for dialogue in range(dialogues):
        for turn in range(turns):
            number = len(rows) + 1
            emotion = EMOTIONS[number % 3]
            cells = (
                number,
                f"What, {split} {number}?",
                ("Ross", "Rachel")[turn % 2],
                emotion,
                "neutral",
                dialogue,
                turn,
            )
            times = (1, 2, f"00:00:{number:02d},000", f"00:00:{number + 1:02d},500")
            rows.append(dict(zip(HEADER.split(","), map(str, (*cells, *times)), strict=True)))
    return rows


def write_csv(path: Path, rows: list[dict[str, str]], encoding: str = "utf-8") -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.getvalue().encode(encoding))


def write_clip(path: Path, seconds: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(abs(hash(path.name + path.parent.name)) % 2**32)
    soundfile.write(path, noise.normal(0, 0.1, int(seconds * 8000)), 8000)


@pytest.fixture
def meld(tmp_path) -> Path:
    """Archives unpacked into one folder; clips as sound."""
    for split, folder in FOLDERS.items():
        rows = rows_of(split)
        write_csv(tmp_path / f"{split}_sent_emo.csv", rows)
        for row in rows:
            write_clip(tmp_path / folder / f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}.wav")
    return tmp_path


def test_each_utterance_is_a_segment_of_its_dialogue_with_its_clip_speaker_and_labels(meld):
    corpus = load_corpus("meld", meld)
    table = corpus.table
    assert table["segment_id"].tolist()[:4] == [
        "train_dia0_utt0",
        "train_dia0_utt1",
        "train_dia0_utt2",
        "train_dia1_utt0",
    ]
    assert table["split"].value_counts().to_dict() == {"train": 6, "val": 6, "test": 6}
    assert table["audio"].iloc[0] == "train_splits/dia0_utt0.wav"
    assert table["speaker"].tolist()[:3] == ["Ross", "Rachel", "Ross"]
    emotion = next(task for task in corpus.tasks if task.name == "emotion")
    assert [emotion.classes[label] for label in table["label_emotion"][:3]] == ["joy", "anger", "neutral"]


def test_the_next_emotion_is_that_of_the_following_utterance_and_none_at_the_end_of_a_dialogue(meld):
    table = load_corpus("meld", meld).table
    own, following = table["label_emotion"].tolist(), table["label_next_emotion"].tolist()
    assert following[:6] == [own[1], own[2], NO_LABEL, own[4], own[5], NO_LABEL]


def test_archives_in_folders_of_their_own_are_recognised_and_the_arrangement_is_said(meld):
    for split, folder in FOLDERS.items():
        (meld / split).mkdir()
        shutil.move(meld / folder, meld / split / folder)
    (meld / "train_sent_emo.csv").rename(meld / "train" / "train_sent_emo.csv")
    corpus = load_corpus("meld", meld)
    assert corpus.table["audio"].iloc[0] == "train/train_splits/dia0_utt0.wav"
    assert "train of train/train_sent_emo.csv and train/train_splits" in corpus.notes[0]


def test_of_sound_and_video_of_one_split_the_sound_is_heard_and_the_other_named(meld):
    (meld / "train_video").mkdir()
    (meld / "train_video" / "dia0_utt0.mp4").write_bytes(b"video")
    corpus = load_corpus("meld", meld)
    assert corpus.table["audio"].iloc[0] == "train_splits/dia0_utt0.wav"
    assert any("those in train_video are not read" in note for note in corpus.notes)


def test_columns_are_read_by_name_whatever_their_order(meld):
    rows = [dict(reversed(list(row.items()))) for row in rows_of("dev")]
    before = load_corpus("meld", meld).table
    write_csv(meld / "dev_sent_emo.csv", rows)
    assert load_corpus("meld", meld).table.equals(before)


def test_quotes_of_an_older_copy_are_read_as_such_and_not_as_chinese(meld):
    rows = rows_of("dev")
    rows[0]["Utterance"] = "Oh my God, he’s lost it."
    write_csv(meld / "dev_sent_emo.csv", rows, encoding="cp1252")
    corpus = load_corpus("meld", meld)
    assert "Oh my God, he’s lost it." in corpus.table["text"].tolist()
    assert any("cp1252" in note for note in corpus.notes)


def test_a_split_without_its_clips_is_left_out_as_a_whole_and_said(meld):
    shutil.rmtree(meld / FOLDERS["dev"])
    corpus = load_corpus("meld", meld)
    assert set(corpus.table["split"]) == {"train", "test"}
    assert any(note.startswith("val: no audio file of its 6 items") for note in corpus.notes)
    assert set(load_corpus("meld", meld, modalities="text").table["split"]) == {"train", "val", "test"}


def test_clips_without_their_csv_are_named(meld):
    (meld / "dev_sent_emo.csv").unlink()
    notes = load_corpus("meld", meld).notes
    assert any("there is no dev_sent_emo.csv" in note and "left out as a whole" in note for note in notes)
    assert any(note.startswith("6 audio or video files are passed over") for note in notes)


def test_a_clip_that_is_missing_keeps_its_row_for_the_list_of_what_could_not_be_used(meld):
    (meld / FOLDERS["train"] / "dia0_utt1.wav").unlink()
    corpus = load_corpus("meld", meld)
    assert "train_splits/dia0_utt1.mp4" in corpus.table["audio"].tolist()
    assert any("1 of 18 items have no audio file" in note for note in corpus.notes)


def test_files_that_a_mac_leaves_are_passed_over_and_counted_and_others_named(meld):
    (meld / FOLDERS["train"] / "._dia0_utt0.mp4").write_bytes(b"\0")
    write_clip(meld / FOLDERS["test"] / "dia9_utt9.wav")
    reading = read(meld, CorpusOptions())
    assert "passed over: 1 hidden file, such as a Mac leaves" in reading.notes
    assert [orphan.name for orphan in reading.orphans] == [f"{FOLDERS['test']}/dia9_utt9.wav"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"Emotion": "hapy"}, "Emotion must be one of"),
        ({"Emotion": ""}, "Emotion is empty"),
        ({"Dialogue_ID": "x"}, "Dialogue_ID must be a whole number"),
        ({"Utterance_ID": "0", "Dialogue_ID": "1"}, "segment number 0 twice"),
    ],
)
def test_a_row_that_makes_no_sense_is_named(meld, change, says):
    rows = rows_of("dev")
    rows[-1].update(change)
    write_csv(meld / "dev_sent_emo.csv", rows)
    with pytest.raises(CorpusError, match=says) as error:
        load_corpus("meld", meld)
    assert "dev_sent_emo.csv row 7" in str(error.value)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="holds none of train_sent_emo.csv"):
        load_corpus("meld", tmp_path)


def test_the_lengths_of_the_papers_are_those_of_the_dataset():
    assert lengths_of("meld") == {"max_seconds": 6.0, "max_tokens": 60}
    assert lengths_of("marketcalls") == {}
