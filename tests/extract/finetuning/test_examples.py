"""What is learnt from: which rows, which part, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from msmt.errors import CorpusError, SettingError
from msmt.extract.corpora.config import GenericOptions
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.finetuning.config import FinetuneOptions
from msmt.extract.finetuning.examples import (
    TRAIN,
    VALIDATION,
    held_out,
    of_corpus,
    of_csv,
)
from msmt.features.tasks import Task
from msmt.tests.extract.made import write_calls

CLASSES = Task("label", ("a", "b"))


def examples_of(path, content: str, is_value: bool = False, **options):
    path.write_text(content)
    return of_csv(path, "text", "label", "split", is_value, FinetuneOptions(**options))


def test_a_csv_with_splits_is_divided_by_them_and_test_is_not_looked_at(tmp_path):
    rows = ["text,label,split", "one,a,train", "two,b,train", "three,a,dev", "four,c,test"]
    examples = examples_of(tmp_path / "l.csv", "\n".join(rows))
    assert examples.of(TRAIN)["text"].tolist() == ["one", "two"] and examples.of(VALIDATION)["text"].tolist() == [
        "three"
    ]
    assert examples.task.classes == ("a", "b")  # c is of test alone
    assert examples.notes == ("1 row of other splits than train and val are not looked at",)


def test_without_splits_a_share_of_each_class_is_held_out_and_equal_texts_stay_together():
    texts = [f"text {number // 2}" for number in range(200)]
    labels = [number // 2 % 4 == 0 for number in range(200)]
    parts = held_out(texts, labels, 0.2, 0, CLASSES)
    by_text = {}
    for text, part in zip(texts, parts, strict=True):
        by_text.setdefault(text, set()).add(part)
    assert all(len(found) == 1 for found in by_text.values())
    held = np.array([part == VALIDATION for part in parts])
    assert held[np.array(labels)].mean() == pytest.approx(0.2, abs=0.02) == held[~np.array(labels)].mean()
    order = np.random.default_rng(1).permutation(200)
    again = held_out([texts[row] for row in order], [labels[row] for row in order], 0.2, 0, CLASSES)
    assert [parts[row] for row in order] == again != held_out(texts, labels, 0.2, 1, CLASSES)


def test_rows_without_label_are_left_out_and_what_was_kept_from_being_a_formula_is_itself_again(tmp_path):
    rows = ["text,label,unusable", "'-well,a,", "'quoted,b,", "x,,outside", ",a,no text", "y,a,", "z,b,"]
    examples = examples_of(tmp_path / "l.csv", "\n".join(rows))
    assert sorted(examples.table["text"]) == ["'quoted", "-well", "y", "z"]
    assert "2 rows without text or label are left out" in examples.notes


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text,label\na,x\nb,x\n", "every label in label is 'x'"),
        ("text,mood\na,x\nb,y\n", "column label missing; it has text, mood"),
        ("text,label,split\na,x,train\nb,y,train\nc,x,test\n", "nothing with a label is left for val"),
        ("text,label,split\na,x,val\nb,y,val\n", "nothing with a label is left for train"),
        ("text,label,split\na,x,train\nb,y,val\n", "examples of one class only"),
        ("text,label\n,\n", "has a header but no rows|nothing"),
        ('text,label\n"a,x\n', "row 2"),
    ],
)
def test_a_csv_that_nothing_can_be_learnt_from_is_refused_by_name(tmp_path, content, said):
    with pytest.raises(CorpusError, match=said) as raised:
        examples_of(tmp_path / "l.csv", content)
    assert "l.csv" in str(raised.value)


def test_values_must_be_numbers_and_the_row_is_named(tmp_path):
    rows = "text,label\na,1.5\nb,0\nc,high\n"
    with pytest.raises(CorpusError, match="l.csv row 4: label must be a number, but is 'high'"):
        examples_of(tmp_path / "l.csv", rows, is_value=True)


def test_a_corpus_gives_the_task_and_the_scheme_that_are_asked_for(tmp_path):
    write_calls(tmp_path, recordings=10)
    corpus = load_corpus("marketcalls", tmp_path, GenericOptions(), "text")
    examples = of_corpus(corpus, "text", FinetuneOptions(task="two"))
    assert examples.task.name == "two" and len(examples.of(TRAIN)) == 12 and len(examples.of(VALIDATION)) == 4
    assert set(examples.of(TRAIN)["split"]) == {"train"}
    with pytest.raises(SettingError, match="task must be one of five, four, three, two, but is 'mood'"):
        of_corpus(corpus, "text", FinetuneOptions(task="mood"))


def test_a_corpus_without_validation_holds_recordings_out(tmp_path):
    write_calls(tmp_path, recordings=20)
    corpus = load_corpus("marketcalls", tmp_path, GenericOptions(), "text")
    table = corpus.table.assign(split=corpus.table["split"].replace("val", "train"))
    corpus = dataclasses.replace(corpus, table=table)
    examples = of_corpus(corpus, "text", FinetuneOptions(validation_share=0.25))
    parts = examples.table.groupby("recording_id")["part"].nunique()
    assert (parts == 1).all() and 0 < len(examples.of(VALIDATION)) < len(examples.of(TRAIN))
    assert "is held out" in examples.notes[-1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"batch": 0}, "batch must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1"),
        ({"validation_share": 0.0}, "validation_share must be above 0"),
        ({"select": "luck"}, "select must be"),
        ({"channel": "left"}, "channel must be mean or a number"),
        ({"tokens": 2}, "tokens must be at least 3"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, said):
    with pytest.raises(SettingError, match=said):
        FinetuneOptions(**wrong)


def test_a_figure_that_the_task_does_not_have_is_refused():
    assert FinetuneOptions().figure(False) == "weighted_f1" and FinetuneOptions().figure(True) == "mae"
    with pytest.raises(SettingError, match="select cannot be mae of a task of classes"):
        FinetuneOptions(select="mae").figure(False)
