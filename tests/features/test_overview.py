"""What is said of a corpus before anything is computed, and what looks like a mistake in it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from msmt.features.overview import changes, counts_table, suspicions
from msmt.features.segments import segment_table
from msmt.features.tasks import Task, merged

MOOD = Task("mood", ("happy", "sad"))


def table_of(rows: list[tuple], task: Task = MOOD, **columns) -> pd.DataFrame:
    """Rows of recording, split and label, by class name; None for no label."""
    recordings, splits, labels = zip(*rows, strict=True)
    values = (
        [np.nan if label is None else label for label in labels]
        if task.is_value
        else [-1 if label is None else task.classes.index(label) for label in labels]
    )
    given = {
        "segment_id": [f"s{row}" for row in range(len(rows))],
        "recording_id": recordings,
        "index": range(len(rows)),
        "split": splits,
        "audio": [f"{row}.wav" for row in range(len(rows))],
        "text": "words",
        task.column: values,
    }
    return segment_table(pd.DataFrame(given | columns), [task])


BALANCED = [
    (f"r{i}", split, label)
    for i, (split, label) in enumerate(
        (split, label) for split in ("train", "val", "test") for label in ("happy", "sad")
    )
]


class TestCounts:
    def test_by_class_and_split_with_recordings_where_these_have_several_segments(self):
        table = table_of([*BALANCED, ("r0", "train", "happy")], speaker=["a", "b", "a", "c", "c", "c", ""])
        assert counts_table(table, [MOOD]) == [
            "segments (recordings) by class and split:",
            "",
            "mood   train    val   test    all",
            "happy  2 (1)  1 (1)  1 (1)  4 (3)",
            "sad    1 (1)  1 (1)  1 (1)  3 (3)",
            "all    3 (2)  2 (2)  2 (2)  7 (6)",
            "",
            "speakers: 2 in train, 2 in val, 1 in test; unknown of 1 segment",
        ]

    def test_of_segments_alone_where_each_is_a_recording(self):
        assert counts_table(table_of([*BALANCED, ("x", "val", None)]), [MOOD])[2:] == [
            "mood        train  val  test  all",
            "happy           1    1     1    3",
            "sad             1    1     1    3",
            "(no label)      0    1     0    1",
            "all             2    3     2    7",
        ]

    def test_of_real_values_with_their_range(self):
        task = Task("valence")
        lines = counts_table(table_of([("a", "train", -1.5), ("b", "train", 3.0), ("c", "val", None)], task), [task])
        assert "with a value      2    0    2" in lines and lines[-1] == "valence lies from -1.5 to 3 in train"

    def test_without_any_task_and_without_coarser_ones(self):
        fine = Task("five", ("A", "B", "C"))
        table = table_of([("a", "train", "A"), ("b", "train", "B")], fine)
        assert "segments      2" in counts_table(table, [])
        assert not any("two" in line for line in counts_table(table, [fine, merged(fine, "two", "A", "B+C")]))

    def test_of_many_classes_not_all(self):
        task = Task("word", tuple(f"w{i}" for i in range(50)))
        assert counts_table(table_of([("a", "train", "w1")], task), [task])[-1] == "and 10 more classes"


def of_classes(counts: dict[str, int]) -> list[str]:
    task = Task("mood", tuple(counts))
    rows = [(f"{name}{i}", "train", name) for name, count in counts.items() for i in range(count)]
    return suspicions(table_of(rows, task), [task])


class TestSuspicions:
    def test_a_corpus_in_order_raises_none(self):
        assert suspicions(table_of(BALANCED), [MOOD], [str(row) for row in range(6)]) == []

    @pytest.mark.parametrize("pair", [("Happy", "happy"), ("fâché", "fache"), ("very sad", "Very_Sad"), ("Ａ", "a")])
    def test_of_classes_that_differ_by_case_accents_or_spacing(self, pair):
        [line] = of_classes({pair[0]: 50, pair[1]: 40})
        assert repr(pair[0]) in line and repr(pair[1]) in line and "(40 segments)" in line and "are they one?" in line

    @pytest.mark.parametrize("slip", ["hapy", "happyy", "hapyp", "hoppy"])
    def test_of_a_rare_class_that_is_one_letter_from_another(self, slip):
        [line] = of_classes({"happy": 30, slip: 2, "neutral": 30})
        assert f"'{slip}' (2 segments)" in line and "differ by one letter" in line

    @pytest.mark.parametrize(
        "counts",
        [
            {"A": 300, "B": 2, "D": 1},
            {"neu": 300, "neg": 1, "pos": 1},
            {"anger": 300, "angst": 1},
            {"class1": 300, "class2": 1},
            {"male": 30, "sale": 20},
            {"非常满意": 300, "非常不满意": 2},
            {"A+B": 300, "A-B": 2},
            {"1": 30, "-1": 2, "10": 1},
        ],
    )
    def test_of_no_names_that_are_meant_to_be_alike(self, counts):
        assert of_classes(counts) == []

    def test_of_a_split_that_is_called_like_none(self):
        lines = suspicions(table_of([*BALANCED, ("x", "tset", "sad"), ("y", "tset", "happy")]), [MOOD])
        assert lines == ["split 'tset' (2 segments) is none of the usual names: is it test?"]

    def test_of_a_class_that_a_split_lacks(self):
        lines = suspicions(table_of([row for row in BALANCED if row[1:] != ("val", "sad")]), [MOOD])
        assert lines == ["split val has no segment of class sad of mood"]
        assert suspicions(table_of([*BALANCED, ("x", "new", None)]), [MOOD]) == []

    def test_of_texts_that_are_all_empty(self):
        table = table_of(BALANCED, text="")
        assert suspicions(table, [MOOD]) == ["every transcript is empty, so text says nothing"]
        assert suspicions(table, [MOOD], with_text=False) == []

    def test_of_the_same_audio_under_two_labels(self):
        [line] = suspicions(table_of(BALANCED), [MOOD], ["x", "x", "y", "", "y", ""])
        assert line == "the same audio has different labels of mood in 1 case: s0 happy, s1 sad"


class TestChanges:
    def test_of_labels_splits_and_speakers_are_counted_and_named(self):
        old = table_of(BALANCED, speaker="a")
        new = table_of([("r0", "train", "sad"), ("r1", "val", "sad"), *BALANCED[2:]], speaker=["a"] * 5 + ["b"])
        assert changes(old, [MOOD], new, [MOOD]) == [
            "split changed for 1 segment: s1 train → val",
            "speaker changed for 1 segment: s5 a → b",
            "label of mood changed for 1 segment: s0 happy → sad",
        ]

    def test_of_a_class_that_is_numbered_otherwise_are_none(self):
        other = Task("mood", ("angry", "happy", "sad"))
        assert changes(table_of(BALANCED), [MOOD], table_of(BALANCED, other), [other]) == []

    def test_of_tasks_are_named(self):
        table = table_of(BALANCED)
        both = table.assign(label_age=1.0)
        assert changes(table, [MOOD], both, [MOOD, Task("age")]) == ["task age is new"]
        assert changes(both, [MOOD, Task("age")], table, [MOOD]) == ["task age is not in the corpus any more"]

    def test_of_new_and_removed_segments_are_none(self):
        assert changes(table_of(BALANCED[:4]), [MOOD], table_of(BALANCED), [MOOD]) == []
