from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest
from msmt.errors import AudioError
from msmt.extract.corpora import meld as adapter
from msmt.extract.corpora.config import CorpusOptions
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.layouts import meld
from msmt.extract.layouts.registry import write_layout
from msmt.extract.sound.audio import load_segment
from msmt.tests.extract.layouts.hearing import digests


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("meld")
    write_layout("meld", folder, seed=0)
    return folder


def clip(made: Path, split: str, dialogue: int, utterance: int) -> Path:
    return made / meld.SPLITS[split].folder / f"dia{dialogue}_utt{utterance}.mp4"


def test_the_adapter_finds_every_dialogue_in_its_split(made):
    corpus = load_corpus("meld", made)
    for split, written in meld.SPLITS.items():
        part = corpus.table[corpus.table["split"] == split]
        assert set(part["recording_id"]) == {f"{split}_dia{number}" for number in written.dialogues}
        sizes = part.groupby("recording_id").size()
        assert sizes.between(3, 8).all()
        assert all(sizes[f"{split}_dia{number}"] == turns for number, turns in written.turns.items())
    assert [task.name for task in corpus.tasks] == ["emotion", "sentiment", "next_emotion"]
    assert set(corpus.table["label_emotion"]) == set(range(7)) and set(corpus.table["label_sentiment"]) == {0, 1, 2}


def test_friends_come_back_in_all_splits_and_others_now_and_then(made):
    table = load_corpus("meld", made).table
    counts = table["speaker"].value_counts()
    assert set(counts.index) <= {*meld.MAINS, *meld.GUESTS} and set(counts.index[:4]) <= set(meld.MAINS)
    for split in meld.SPLITS:
        assert len(set(table.loc[table["split"] == split, "speaker"]) & set(meld.MAINS)) >= 4


def test_the_csv_files_are_written_as_those_of_the_release(made):
    for split in meld.SPLITS.values():
        content = (made / split.csv).read_bytes()
        lines = content.decode("utf-8").split("\r\n")
        header = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
        assert lines[0] == header and lines[-1] == "" and content.count(b"\n") == content.count(b"\r\n")
        assert all(line.endswith('"') for line in lines[1:-1])  # time stamps hold a comma, so they are quoted
        assert [row["Sr No."] for row in csv.DictReader(lines[:-1])] == [str(n) for n in range(1, len(lines) - 1)]
    assert (
        "’" in (made / meld.SPLITS["train"].csv).read_text()
        and "'" not in (made / meld.SPLITS["train"].csv).read_text()
    )


def test_clips_are_as_long_as_their_time_stamps_say(made):
    items = adapter.read(made, CorpusOptions()).items
    for row in items[items["split"] == "val"].itertuples():
        if (made / row.audio).exists():
            assert len(load_segment(made / row.audio, 16000)) / 16000 == pytest.approx(row.stated, abs=0.1)


def test_the_known_defects_are_where_the_release_has_them(made):
    items = adapter.read(made, CorpusOptions()).items.set_index("segment_id")
    known = {defect.item for defect in adapter.DEFECTS}
    for split, dialogue, utterance in (meld.CORRUPT, meld.WITHOUT_CLIP, meld.MISCUT, meld.NO_LENGTH):
        assert f"{split}_dia{dialogue}_utt{utterance}" in known & set(items.index)
    with pytest.raises(AudioError, match="decoded"):
        load_segment(clip(made, *meld.CORRUPT), 16000)
    assert not clip(made, *meld.WITHOUT_CLIP).exists()
    assert len(load_segment(clip(made, *meld.MISCUT), 16000)) / 16000 == pytest.approx(33, abs=0.1)
    assert items.loc["test_dia38_utt4", "stated"] == pytest.approx(33, abs=0.01)
    assert items.loc["test_dia155_utt3", "stated"] == 0
    dialogues = set(items["recording_id"])
    assert {"train_dia59", "train_dia61"} <= dialogues and "train_dia60" not in dialogues


def test_what_lies_beside_the_clips_is_passed_over(made):
    reading = adapter.read(made, CorpusOptions())
    assert [Path(orphan.name).name for orphan in reading.orphans] == ["final_videos_testdia0_utt0.mp4"]
    assert reading.notes == ("passed over: 3 hidden files, such as a Mac leaves",)


def test_all_clips_but_those_with_defects_can_be_heard(made):
    items = adapter.read(made, CorpusOptions()).items
    absent = {row.segment_id for row in items.itertuples() if not (made / row.audio).exists()}
    assert absent == {"val_dia110_utt7"}
    for row in items[items["split"] == "test"].itertuples():
        load_segment(made / row.audio, 16000)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path, monkeypatch):
    shorter = {"train": (0, 125), "val": (0,), "test": (0, 1)}
    parts = {name: dataclasses.replace(split, dialogues=shorter[name]) for name, split in meld.SPLITS.items()}
    monkeypatch.setattr(meld, "SPLITS", parts)
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        (tmp_path / name).mkdir()
        write_layout("meld", tmp_path / name, seed)
    assert digests(tmp_path / "one") == digests(tmp_path / "same")
    assert digests(tmp_path / "one") != digests(tmp_path / "other")


def test_it_is_small(made):
    assert sum(path.stat().st_size for path in made.rglob("*") if path.is_file()) < 30e6
