from __future__ import annotations

import pandas as pd
import pytest
from msmt.errors import CorpusError
from msmt.extract.corpora.marketcalls import TASKS, labels_of, load

HEADER = "phone,Audio_id,Segment_number,text,label"


def written(folder, **files: str):
    """A corpus whose csv files hold these lines under HEADER, and all audio they name."""
    (folder / "audio").mkdir(exist_ok=True)
    for name, lines in files.items():
        header = HEADER + (",split" if name == "calls" else "")
        (folder / f"{name}.csv").write_text("\n".join([header, *lines.split()]) + "\n")
        for line in lines.split():
            (folder / "audio" / line.split(",")[1]).touch()
    return folder


def test_the_four_tasks_follow_from_each_of_the_five_letters():
    named = {
        letter: tuple(task.classes[index] for task, index in zip(TASKS, row, strict=True))
        for letter, row in zip("ABCDE", labels_of(pd.Series(list("ABCDE"))).values.tolist(), strict=True)
    }
    assert named == {
        "A": ("A", "A", "A", "A+B+C"),
        "B": ("B", "B", "B+C", "A+B+C"),
        "C": ("C", "C", "B+C", "A+B+C"),
        "D": ("D", "D+E", "D+E", "D+E"),
        "E": ("E", "D+E", "D+E", "D+E"),
    }


def test_the_tasks_have_five_four_three_and_two_classes_per_recording():
    assert [(task.name, len(task.classes), task.level) for task in TASKS] == [
        ("five", 5, "recording"),
        ("four", 4, "recording"),
        ("three", 3, "recording"),
        ("two", 2, "recording"),
    ]


def test_the_files_say_which_split_a_recording_is_in(tmp_path):
    corpus = load(written(tmp_path, train="1,a.wav,1,x,A", val="2,b.wav,1,x,B", test="3,c.wav,1,x,E"))
    assert corpus.table["split"].tolist() == ["train", "val", "test"]
    assert corpus.table["label_five"].tolist() == [0, 1, 4]
    assert corpus.table["label_two"].tolist() == [0, 0, 1]


@pytest.mark.parametrize("label", ["F", "", "a", "A+B"])
def test_an_unknown_label_is_named_with_those_that_are_known(tmp_path, label):
    folder = written(tmp_path, train=f"1,a.wav,1,x,A 4,d.wav,1,x,{label}", val="2,b.wav,1,x,B", test="3,c.wav,1,x,E")
    with pytest.raises(CorpusError, match="train.csv row 3: label must be one of A, B, C, D, E"):
        load(folder)


def test_all_three_files_must_be_there(tmp_path):
    with pytest.raises(CorpusError, match="test.csv: there is no such file"):
        load(written(tmp_path, train="1,a.wav,1,x,A", val="2,b.wav,1,x,B"))


def test_one_file_beside_three_is_ambiguous(tmp_path):
    with pytest.raises(CorpusError, match="holds calls.csv and train.csv"):
        load(written(tmp_path, train="1,a.wav,1,x,A", calls="1,a.wav,1,x,A,train"))


def test_a_split_without_segments_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="calls.csv: no row is in split test"):
        load(written(tmp_path, calls="1,a.wav,1,x,A,train 2,b.wav,1,x,B,val"))


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="calls.csv row 3: split must be one of train, val, test, but is 'dev'"):
        load(written(tmp_path, calls="1,a.wav,1,x,A,train 2,b.wav,1,x,B,dev"))


def test_a_recording_in_two_files_is_in_two_splits(tmp_path):
    folder = written(tmp_path, train="1,a.wav,1,x,A 2,b.wav,1,x,B", val="2,c.wav,2,x,B", test="3,d.wav,1,x,E")
    with pytest.raises(
        CorpusError, match=r"val.csv row 2: recording 2 has split 'val', but 'train' in train.csv row 3"
    ):
        load(folder)


def test_ids_keep_their_leading_zeros(tmp_path):
    corpus = load(written(tmp_path, train="007,a.wav,1,x,A", val="02,b.wav,1,x,B", test="3,c.wav,1,x,E"))
    assert corpus.table["recording_id"].tolist() == ["007", "02", "3"]
