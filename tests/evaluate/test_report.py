from __future__ import annotations

import csv
import io
import json
import re
import warnings

import numpy as np
import pytest
from msmt.evaluate.published import marketcalls
from msmt.evaluate.metrics import evaluate
from msmt.evaluate.report import confusion_png, metrics_json, predictions_csv, write_report
from msmt.evaluate.score_table import score_table
from msmt.features.tasks import Task, merged
from msmt.shown import aligned

FIVE = Task("five", ("A", "B", "C", "D", "E"))
TWO = merged(FIVE, "two", "A+B+C", "D+E")
LABELS = {"five": np.array([0, 1, 4, -1]), "two": np.array([0, 0, 1, -1])}
OUTPUTS = {"five": np.array([[0.6, 0.4, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0.25, 0.75], [1, 0, 0, 0, 0]])}
RECORDINGS = ("r1", "r2", "r3", "r4")


def small_reports():
    return evaluate([FIVE, TWO], LABELS, OUTPUTS)


def case_of(task: Task, count: int = 60):
    """Labels and outputs of a model that is right more often than not."""
    random = np.random.default_rng(0)
    labels = random.integers(0, len(task.classes), count)
    return {task.name: labels}, {
        task.name: random.random((count, len(task.classes))) + np.eye(len(task.classes))[labels]
    }


class TestPredictions:
    def test_a_row_per_recording_with_label_prediction_and_probabilities(self):
        rows = list(csv.DictReader(io.StringIO(predictions_csv([FIVE, TWO], LABELS, OUTPUTS, RECORDINGS))))
        assert list(rows[0]) == [
            "recording_id",
            *("five_label", "five_prediction", "five_p_A", "five_p_B", "five_p_C", "five_p_D", "five_p_E"),
            *("two_label", "two_prediction", "two_p_A+B+C", "two_p_D+E"),
        ]
        assert [row["recording_id"] for row in rows] == list(RECORDINGS)
        assert [row["five_label"] for row in rows] == ["A", "B", "E", ""]
        assert [row["five_prediction"] for row in rows] == ["A", "C", "E", "A"]
        assert (rows[0]["five_p_B"], rows[2]["two_p_D+E"]) == ("0.400000", "1.000000")

    def test_segments_have_ids_of_their_own(self):
        task = Task("mood", ("x", "y"), "segment")
        text = predictions_csv([task], {"mood": np.array([0, 1])}, {"mood": np.eye(2)}, ["r", "r"], ["r_1", "r_2"])
        assert text.splitlines()[1] == "r,r_1,x,x,1.000000,0.000000"

    def test_real_values_have_no_probabilities(self):
        text = predictions_csv([Task("v")], {"v": np.array([1.5, np.nan])}, {"v": np.array([[0.25], [3]])}, ["a", "b"])
        assert text.splitlines() == ["recording_id,v_label,v_prediction", "a,1.5,0.25", "b,,3"]


class TestMetrics:
    def test_the_json_is_strict_and_complete(self):
        text = metrics_json("test", small_reports(), {"run": "first"})
        document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
        assert (document["run"], document["split"], document["confidence"]) == ("first", "test", 0.95)
        five, two = document["tasks"]["five"], document["tasks"]["two"]
        assert five["figures"]["accuracy"]["value"] == pytest.approx(2 / 3)
        assert five["count"] == 3 and five["confusion"][1] == [0, 0, 1, 0, 0]
        assert five["classes"][0] == {"name": "A", "precision": 1, "recall": 1, "f1": 1, "support": 1}
        assert two["figures"]["accuracy"]["value"] == 1 and two["derived_from"] == "five"
        assert (five["resampled"], five["resampled_units"], five["chance"]) == ("recording", 3, None)
        assert five["figures"]["accuracy"]["interval_has_width"] is True

    def test_chance_and_a_constant_answer_are_in_the_json(self):
        reports = evaluate([FIVE], {"five": np.array([0, 1, 1])}, {"five": np.eye(5)[[2, 2, 2]]}, chance={"five": 1})
        five = json.loads(metrics_json("test", reports, {}))["tasks"]["five"]
        assert five["constant_answer"] == "C" and five["chance"]["answer"] == "B"
        assert five["chance"]["figures"]["accuracy"] == pytest.approx(2 / 3)


class TestConfusionPicture:
    @pytest.mark.parametrize(
        "classes",
        [
            ("no", "yes"),
            tuple("ABCDE"),
            tuple(f"a rather long topic {i}" for i in range(20)),
            ("积极", "消极", "$x$ and $y"),
        ],
    )
    def test_any_number_and_spelling_of_classes_gives_a_picture_without_warnings(self, classes):
        task = Task("topic", classes)
        report = evaluate([task], *case_of(task))["topic"]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert confusion_png(report, "test").startswith(b"\x89PNG")

    def test_the_same_report_gives_the_same_bytes(self):
        report = small_reports()["five"]
        assert confusion_png(report, "test") == confusion_png(report, "test")

    def test_no_global_state_of_pyplot_is_touched(self):
        import sys

        known = "matplotlib.pyplot" in sys.modules
        confusion_png(small_reports()["two"], "test")
        assert ("matplotlib.pyplot" in sys.modules) == known


class TestFiles:
    def test_all_files_are_written_and_nothing_is_left_aside(self, tmp_path):
        paths = write_report(tmp_path, "test", [FIVE, TWO], LABELS, OUTPUTS, small_reports(), RECORDINGS)
        names = ["metrics-test.json", "predictions-test.csv", "confusion-five.png", "confusion-two.png"]
        assert [path.name for path in paths] == names
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)

    def test_names_of_splits_and_tasks_make_no_folders(self, tmp_path):
        task = Task("情感", ("x", "y"))
        labels, outputs = case_of(task, 5)
        reports = evaluate([task], labels, outputs)
        paths = write_report(tmp_path, "fold/1", [task], labels, outputs, reports, [str(i) for i in range(5)])
        names = ["metrics-fold_1.json", "predictions-fold_1.csv", "confusion-情感-fold_1.png"]
        assert [path.name for path in paths] == names
        assert all(path.parent == tmp_path for path in paths)

    def test_another_split_replaces_no_file(self, tmp_path):
        for split in ("test", "val"):
            write_report(tmp_path, split, [FIVE, TWO], LABELS, OUTPUTS, small_reports(), RECORDINGS)
        assert {"confusion-five.png", "confusion-five-val.png"} <= {path.name for path in tmp_path.iterdir()}
        assert len(list(tmp_path.iterdir())) == 8

    def test_real_values_have_no_confusion_matrix(self, tmp_path):
        task, labels, outputs = Task("v"), {"v": np.array([1.0, 2])}, {"v": np.array([[1.0], [3]])}
        paths = write_report(tmp_path, "val", [task], labels, outputs, evaluate([task], labels, outputs), ["a", "b"])
        assert [path.suffix for path in paths] == [".json", ".csv"]


class TestScoreTable:
    def test_each_task_has_a_row_with_its_interval(self):
        lines = score_table("val", small_reports()).splitlines()
        assert lines[0].startswith("val: 3 recordings")
        assert lines[2].split() == ["task", "n", "accuracy", "weighted", "F1", "macro", "F1", "UAR"]
        five = lines[3].split()
        assert five[:3] == ["five", "3", "66.7"] and five[3].startswith("[")
        assert "two: from the prediction of five, made coarser" in lines
        assert lines[0].endswith("95% intervals over recordings")

    def test_the_chance_line_follows_each_task(self):
        reports = evaluate([FIVE, TWO], LABELS, OUTPUTS, chance={"five": 4, "two": 0})
        lines = score_table("test", reports, "marketcalls").splitlines()
        assert re.fullmatch(r"  most frequent class \(E\) +33\.3 +16\.7 .*", lines[4])
        assert re.fullmatch(r"  most frequent class \(A\+B\+C\) +66\.7 .*", lines[6])

    def test_the_chance_line_of_real_values_is_a_column(self):
        labels, outputs = {"v": np.array([1.0, 2, 6])}, {"v": np.array([[1.5], [2], [5]])}
        lines = score_table("test", evaluate([Task("v")], labels, outputs, chance={"v": 3.0})).splitlines()
        assert lines[2].endswith("mean of training (3)")
        assert re.fullmatch(r"  MAE +0\.500 +\[.*\] +2\.000", lines[3])

    def test_one_answer_to_everything_is_marked(self):
        outputs = {"five": np.eye(5)[[2, 2, 2, 2]]}
        text = score_table("test", evaluate([FIVE], {"five": LABELS["five"]}, outputs))
        assert "\nfive ‡ " in text
        assert "‡ five: the model answers C to each of 3 recordings, whatever it is given" in text

    def test_an_interval_without_width_says_so(self):
        text = score_table("test", evaluate([FIVE], {"five": np.array([1])}, {"five": np.eye(5)[[1]]}))
        assert "[no width]: without any recording the figure is the same, so its interval says nothing" in text
        assert "100.0  [no width]" in text and "no width" not in score_table("test", small_reports())

    def test_speakers_are_counted(self):
        reports = evaluate([FIVE], {"five": LABELS["five"]}, OUTPUTS, units=list("aabb"), unit="speaker")
        assert score_table("test", reports).startswith("test: 3 recordings of 2 speakers, 95% intervals over speakers")

    def test_the_paper_stands_beside_with_a_caution_for_any_other_set(self):
        text = score_table("test", small_reports(), "marketcalls")
        assert "MSMT-FN (paper)" in text and "60.28" in text and "MMML (paper)" in text and "78.09" in text
        assert "cannot be compared" in text

    def test_the_caution_is_absent_for_as_many_recordings_as_the_paper_had(self):
        labels, outputs = case_of(FIVE, marketcalls.TEST_RECORDINGS)
        reports = evaluate([FIVE], labels, outputs)
        assert "cannot be compared" not in score_table("test", reports, "marketcalls")
        assert "cannot be compared" in score_table("val", reports, "marketcalls")

    def test_the_paper_is_absent_unless_asked_for(self):
        assert "paper" not in score_table("test", small_reports())

    def test_real_values_have_a_block_of_their_own(self):
        task = Task("v", level="segment")
        reports = evaluate(
            [task], {"v": np.array([-1.0, 0.5, 2])}, {"v": np.array([[-1.0], [1], [2]])}, groups=list("aab")
        )
        text = score_table("test", reports)
        assert text.startswith("test: 3 segments of 2 recordings") and "MAE" in text and "7-class accuracy" in text

    def test_columns_stay_below_each_other_with_chinese_names(self):
        assert aligned([["静音", "1"], ["full", "2"]]) == "静音  1\nfull  2"

    def test_a_split_without_labels_says_so(self):
        assert score_table("test", {}) == "test: no labels, so no scores"
