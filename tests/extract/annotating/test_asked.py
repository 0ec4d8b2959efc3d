"""Which class an answer names, what is asked, and what the journal takes back."""

from __future__ import annotations

import pytest
from msmt.errors import SettingError
from msmt.extract.annotating.asked import Question, key_of, label_in
from msmt.extract.annotating.config import DEFAULT_PROMPT, AnnotateOptions
from msmt.extract.annotating.journal import Answer, Journal

CLASSES = ("positive", "negative", "neutral")


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("positive", "positive"),
        (" Positive.\n", "positive"),
        ("**NEUTRAL**", "neutral"),
        ("Label: negative", "negative"),
        ('{"label": "negative"}', "negative"),
        ("The sentiment is positive, clearly positive.", "positive"),
        ("<think>negative? neutral?</think>\nneutral", "neutral"),
        ("ｐｏｓｉｔｉｖｅ", "positive"),
        ("positive or negative", None),
        ("positive, negative, neutral", None),
        ("not positive", None),
        ("It isn't negative", None),
        ("non-negative", None),
        ("positively", None),
        ("unpositive", None),
        ("", None),
        ("I cannot say", None),
        ("<think>positive", None),
    ],
)
def test_an_answer_names_a_class_or_none(answer, label):
    assert label_in(answer, CLASSES) == label


def test_names_within_names_and_scripts_without_spaces_are_told_apart():
    assert label_in("very positive", ("positive", "very positive")) == "very positive"
    assert label_in("情感是积极的。", ("积极", "消极", "中性")) == "积极"
    assert label_in("不是积极", ("积极", "消极", "中性")) is None
    assert label_in("Class A", ("A", "B")) == "A"


def test_a_transcript_with_braces_stays_as_it_is():
    question = Question("{classes}: {text}", ("a", "b"))
    [message] = question.about("say {classes} and {0} {")
    assert message == {"role": "user", "content": "a or b: say {classes} and {0} {"}


def test_all_that_an_answer_depends_on_is_in_its_key():
    question = Question(DEFAULT_PROMPT, CLASSES)
    keys = {
        key_of("text", question, {"model": "m"}),
        key_of("other", question, {"model": "m"}),
        key_of("text", question, {"model": "n"}),
        key_of("text", Question("{text}", CLASSES), {"model": "m"}),
        key_of("text", Question(DEFAULT_PROMPT, CLASSES[:2]), {"model": "m"}),
    }
    assert len(keys) == 5 and key_of("text", question, {"model": "m"}) in keys


def test_a_damaged_line_is_passed_over_and_a_torn_one_is_cut_off(tmp_path):
    path = tmp_path / "labels.csv.journal"
    journal = Journal(path)
    for number in range(3):
        journal.add(f"key{number}", Answer(f"answer {number}\nwith 积极", 5, 1))
    journal.close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"answer", b"anzwer") + lines[2] + lines[0][:20])
    again = Journal(path)
    assert again.damaged == 1 and set(again.answers) == {"key0", "key2"}
    assert again.of("key2") == [Answer("answer 2\nwith 积极", 5, 1)]
    again.add("key3", Answer("more"))
    again.close()
    assert set(Journal(path).answers) == {"key0", "key2", "key3"} and Journal(path).damaged == 1


def test_a_file_that_is_no_journal_is_left_alone(tmp_path):
    path = tmp_path / "labels.csv.journal"
    path.write_text("dear diary\n")
    with pytest.raises(SettingError, match="is no journal of msmt annotate"):
        Journal(path)
    assert path.read_text() == "dear diary\n"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"classes": "positive"}, "at least two different labels"),
        ({"classes": "a,A"}, "at least two different labels"),
        ({"prompt": "what?"}, "prompt must hold {text}"),
        ({"endpoint": "localhost:8000"}, "endpoint must be an address"),
        ({"endpoint": "http://user:pass@host/v1"}, "endpoint must be an address"),
        ({"key_variable": "sk-123"}, "key_variable must be the name of a variable"),
        ({"concurrency": 0}, "concurrency must be at least 1"),
        ({"timeout": 0.0}, "timeout must be above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, said):
    with pytest.raises(SettingError, match=said) as raised:
        AnnotateOptions(**wrong)
    assert "pass@" not in str(raised.value)


def test_it_must_be_said_who_answers():
    for wrong in ({}, {"endpoint": "http://h/v1", "model": "m", "local": "x"}, {"endpoint": "http://h/v1"}):
        with pytest.raises(SettingError, match="who answers|needs --model"):
            AnnotateOptions(**wrong).check_backend()


def test_a_prompt_of_several_lines_comes_from_a_file(tmp_path):
    path = tmp_path / "prompt.txt"
    path.write_text("One of {classes}.\n\n{text}\n")
    assert AnnotateOptions(prompt_file=str(path)).template() == "One of {classes}.\n\n{text}"
    path.write_text("no place")
    with pytest.raises(SettingError, match="must hold {text}"):
        AnnotateOptions(prompt_file=str(path)).template()
    with pytest.raises(SettingError, match="there is no such file"):
        AnnotateOptions(prompt_file=str(tmp_path / "none")).template()
