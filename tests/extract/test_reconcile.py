"""What a public corpus is, against what it should be: each thing that can be wrong is named, counted and acted on."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner
from msmt.cli import msmt
from msmt.extract.corpora.config import CorpusOptions
from msmt.extract.corpora.contract import (
    DUPLICATE,
    LONGER,
    MISCUT,
    NO_AUDIO,
    NO_LENGTH,
    NO_TEXT,
    UNREADABLE,
    Count,
    KnownDefect,
)
from msmt.extract.corpora.meld import read
from msmt.extract.corpus_report import lines_of, write_items
from msmt.extract.reconcile import reconcile
from .corpora.test_meld import FOLDERS, meld, rows_of, write_clip, write_csv  # noqa: F401  a fixture


def problems(folder: Path, decode: bool = False) -> dict[str, tuple[str, ...]]:
    items = reconcile(read(folder, CorpusOptions()), decode=decode).items
    return {name: words for name, words in zip(items["segment_id"], items["problems"], strict=True) if words}


def test_a_corpus_without_fault_has_no_problems(meld):  # noqa: F811
    assert problems(meld) == {}


def test_files_that_are_missing_empty_or_no_audio_are_told_by_their_headers(meld):  # noqa: F811
    folder = meld / FOLDERS["train"]
    (folder / "dia0_utt0.wav").unlink()
    (folder / "dia0_utt1.wav").write_bytes(b"")
    (folder / "dia0_utt2.wav").write_bytes(b"this is no audio" * 100)
    assert problems(meld) == {
        "train_dia0_utt0": (NO_AUDIO,),
        "train_dia0_utt1": (UNREADABLE,),
        "train_dia0_utt2": (UNREADABLE,),
    }


def test_what_only_a_decoder_notices_is_found_when_all_is_decoded(meld):  # noqa: F811
    path = meld / FOLDERS["train"] / "dia0_utt0.wav"
    soundfile.write(path, [0.0] * 4000, 8000)
    assert problems(meld) == {}
    assert problems(meld, decode=True) == {"train_dia0_utt0": (UNREADABLE,)}


def test_lengths_are_held_against_the_time_stamps_of_the_csv(meld):  # noqa: F811
    rows = rows_of("train")
    rows[0]["EndTime"] = rows[0]["StartTime"]
    rows[1]["EndTime"] = "00:05:00,000"
    write_csv(meld / "train_sent_emo.csv", rows)
    write_clip(meld / FOLDERS["train"] / "dia0_utt2.wav", seconds=9.0)
    assert problems(meld) == {
        "train_dia0_utt0": (NO_LENGTH,),
        "train_dia0_utt1": (MISCUT,),
        "train_dia0_utt2": (LONGER,),
    }


def test_the_same_bytes_twice_and_an_empty_transcript_are_named(meld):  # noqa: F811
    clip = meld / FOLDERS["train"] / "dia0_utt0.wav"
    (meld / FOLDERS["test"] / "dia1_utt1.wav").write_bytes(clip.read_bytes())
    rows = rows_of("dev")
    rows[0]["Utterance"] = ""
    write_csv(meld / "dev_sent_emo.csv", rows)
    found = reconcile(read(meld, CorpusOptions()))
    twice = found.items.set_index("segment_id").loc["test_dia1_utt1"]
    assert (twice["problems"], twice["details"]) == ((DUPLICATE,), ("as train_dia0_utt0",))
    assert problems(meld)["val_dia0_utt0"] == (NO_TEXT,)


def test_known_defects_are_met_or_not_and_are_no_reason_to_call_a_corpus_out_of_order(meld):  # noqa: F811
    rows = rows_of("test", dialogues=40, turns=5)
    write_csv(meld / "test_sent_emo.csv", rows)
    for row in rows:
        write_clip(meld / FOLDERS["test"] / f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}.wav")
    met = {each.defect.item: each.is_met for each in reconcile(read(meld, CorpusOptions())).defects}
    assert met["test_dia38_utt4"] is False
    assert met["train_dia60"] is True
    assert met["train_dia125_utt3"] is None
    write_clip(meld / FOLDERS["test"] / "dia38_utt4.wav", seconds=33.0)
    found = reconcile(read(meld, CorpusOptions()))
    assert {each.defect.item: each.is_met for each in found.defects}["test_dia38_utt4"] is True
    assert not len(found.unexpected)


def test_counts_are_expected_annotated_and_usable(meld):  # noqa: F811
    (meld / FOLDERS["train"] / "dia0_utt0.wav").unlink()
    found = reconcile(read(meld, CorpusOptions()))
    train = next(each for each in found.counts if each.count == Count({"split": "train"}, 9989))
    assert (train.annotated, train.usable, train.is_off) == (6, 5, True)
    assert not found.is_in_order
    assert "6 ≠ 9,989 (5)" in "\n".join(lines_of(found))


def test_every_item_and_every_other_file_is_in_the_csv_with_what_an_extraction_does(meld, tmp_path):  # noqa: F811
    write_clip(meld / FOLDERS["test"] / "dia9_utt9.wav")
    (meld / FOLDERS["train"] / "dia0_utt0.wav").unlink()
    write_items(reconcile(read(meld, CorpusOptions())), tmp_path / "items.csv")
    with open(tmp_path / "items.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 19
    assert rows[0]["verdict"] == NO_AUDIO and rows[0]["extract"] == "listed, without audio features"
    assert rows[1]["verdict"] == "in order" and rows[1]["extract"] == "taken"
    assert rows[-1]["audio"].endswith("dia9_utt9.wav") and rows[-1]["extract"] == "left out"


def test_a_split_without_any_clip_is_said_to_be_left_out(meld):  # noqa: F811
    for path in (meld / FOLDERS["dev"]).iterdir():
        path.unlink()
    actions = reconcile(read(meld, CorpusOptions())).items.groupby("split")["action"].unique()
    assert actions["val"].tolist() == ["left out with its split"]
    assert actions["train"].tolist() == ["taken"]


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(msmt, ["corpus", *arguments])


def test_the_command_says_what_is_off_and_ends_with_status_1(meld, command):  # noqa: F811
    done = command("meld", "--data", str(meld))
    assert done.exit_code == 1
    assert "NOT in order" in done.output
    assert (meld / "meld.items.csv").exists()
    report = json.loads(command("meld", "--data", str(meld), "--json", "--quiet").stdout)
    assert report["items"] == 18 and report["in_order"] is False


def test_a_dataset_without_a_public_release_is_no_choice(command):
    assert command("generic").exit_code == 2


def test_a_defect_that_only_a_decoder_notices_cannot_be_told_by_headers(meld):  # noqa: F811
    soundfile.write(meld / FOLDERS["train"] / "dia0_utt0.wav", [0.0] * 4000, 8000)
    silent = KnownDefect("train_dia0_utt0", UNREADABLE, "it is silent", "its audio is left out")
    reading = dataclasses.replace(read(meld, CorpusOptions()), defects=(silent,))
    assert [reconcile(reading, decode=decode).defects[0].is_met for decode in (False, True)] == [None, True]


def test_of_single_speakers_those_are_shown_of_whom_a_part_is_there(meld):  # noqa: F811
    reading = read(meld, CorpusOptions())
    has = reading.items["speaker"].value_counts()
    counts = [Count({"speaker": name}, int(number)) for name, number in has.items()]
    counts[0] = dataclasses.replace(counts[0], expected=99)
    counts += [Count({"speaker": "Nobody"}, 7)]
    lines = lines_of(reconcile(dataclasses.replace(reading, counts=tuple(counts))))
    assert [line.split(" ≠ ")[1][:2] for line in lines if line.startswith("speaker ")] == ["99"]
    assert f"{len(has) - 1} speakers have the items that they should, each" in lines
    assert "1 speakers have none: Nobody" in lines
