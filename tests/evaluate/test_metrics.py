from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from msmt.errors import RunError
from msmt.evaluate.chance import constant_answers
from msmt.evaluate.confusion import figures_of_confusion
from msmt.evaluate.metrics import evaluate, score, with_coarser
from msmt.features.tasks import Task, merged
from scipy import stats
from sklearn import metrics as sklearn_metrics

FIVE = Task("five", ("A", "B", "C", "D", "E"))
THREE = merged(FIVE, "three", "A", "B+C", "D+E")
TWO = Task("two", ("A+B+C", "D+E"), coarsens="three", members=(("A", "B+C"), ("D+E",)))
VALUE = Task("sentiment", level="segment")


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def certain(classes, size: int) -> np.ndarray:
    """Probabilities (n, size) of a model that is sure of these classes."""
    return np.eye(size)[np.asarray(classes)]


def random_case(size: int, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) and probabilities (n, size) that agree more often than not."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, size, count)
    scores = random.random((count, size)) + 0.7 * np.eye(size)[labels]
    return labels, scores / scores.sum(axis=1, keepdims=True)


class TestCoarserTasks:
    def test_a_task_without_a_head_takes_the_home_of_the_finer_prediction(self):
        probabilities = np.array([[0.3, 0.0, 0.0, 0.3, 0.4], [0.4, 0.35, 0.25, 0.0, 0.0]])
        predictions = with_coarser([FIVE, THREE], {"five": probabilities})
        assert predictions["three"].values.tolist() == [2, 0]
        np.testing.assert_allclose(predictions["three"].probabilities, [[0.3, 0.0, 0.7], [0.4, 0.6, 0.0]])
        assert predictions["three"].derived_from == "five" and predictions["five"].derived_from is None

    def test_a_head_of_its_own_is_preferred(self):
        predictions = with_coarser([FIVE, THREE], {"five": certain([0], 5), "three": certain([2], 3)})
        assert predictions["three"].values.tolist() == [2] and predictions["three"].derived_from is None

    def test_a_coarser_form_of_a_coarser_form_follows_too(self):
        predictions = with_coarser([FIVE, THREE, TWO], {"five": certain([0, 1, 2, 3, 4], 5)})
        assert predictions["two"].values.tolist() == [0, 0, 0, 1, 1]

    def test_a_finer_task_cannot_be_derived(self):
        assert list(with_coarser([FIVE, THREE], {"three": certain([1], 3)})) == ["three"]

    def test_outputs_of_the_wrong_width_are_a_defect(self):
        with pytest.raises(ValueError, match=r"\(n, 5\)"):
            with_coarser([FIVE], {"five": np.zeros((2, 4))})


class TestClasses:
    def test_the_figures_of_a_known_confusion_matrix(self):
        # Rows are labels: A 3 right, 1 as B; B 2 right, 2 as C; C 0 right, 1 as A, 1 as B.
        labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
        predicted = [0, 0, 0, 1, 1, 1, 2, 2, 0, 1]
        task = Task("three", ("A", "B", "C"))
        report = evaluate([task], {"three": labels}, {"three": certain(predicted, 3)})["three"]
        assert report.confusion.tolist() == [[3, 1, 0], [0, 2, 2], [1, 1, 0]]
        assert report.count == report.recordings == 10
        figures = {name: figure.value for name, figure in report.figures.items()}
        assert figures["accuracy"] == pytest.approx(0.5)
        assert figures["uar"] == pytest.approx((3 / 4 + 2 / 4 + 0) / 3)
        assert figures["macro_f1"] == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)
        assert figures["weighted_f1"] == pytest.approx((4 * 3 / 4 + 4 * 1 / 2 + 0) / 10)
        first = report.classes[0]
        assert (first.name, first.precision, first.recall, first.f1, first.support) == ("A", 0.75, 0.75, 0.75, 4)

    def test_coarser_accuracies_come_from_finer_predictions(self):
        labels = {"five": np.array([0, 1, 2, 3, 4]), "three": np.array([0, 1, 1, 2, 2])}
        reports = evaluate([FIVE, THREE], labels, {"five": certain([0, 2, 1, 4, 0], 5)})
        assert reports["five"].figures["accuracy"].value == pytest.approx(1 / 5)
        assert reports["three"].figures["accuracy"].value == pytest.approx(4 / 5)
        assert reports["three"].derived_from == "five"

    def test_absent_classes_make_neither_warnings_nor_missing_numbers(self):
        labels = np.array([0, 0, 1, 1])
        report = evaluate([FIVE], {"five": labels}, {"five": certain([0, 3, 3, 1], 5)})["five"]
        numbers = [number for figure in report.figures.values() for number in (figure.value, figure.low, figure.high)]
        numbers += [number for figures in report.classes for number in (figures.precision, figures.recall, figures.f1)]
        assert np.isfinite(numbers).all()
        assert report.figures["macro_f1"].value == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)  # A, B and D occur
        assert report.figures["uar"].value == pytest.approx(0.5)  # A and B are labels

    def test_items_without_a_label_do_not_count(self):
        report = evaluate([FIVE], {"five": np.array([0, -1, 1])}, {"five": certain([0, 4, 1], 5)})["five"]
        assert report.count == 2 and report.figures["accuracy"].value == 1

    def test_a_task_without_any_label_has_no_report(self):
        labels = {"five": np.array([-1, -1]), "three": np.array([0, 1])}
        assert list(evaluate([FIVE, THREE], labels, {"five": certain([0, 1], 5)})) == ["three"]

    def test_predictions_that_are_no_numbers_are_refused(self):
        with pytest.raises(RunError, match="1 of 2 predictions"):
            evaluate([FIVE], {"five": np.array([0, 1])}, {"five": np.array([[1.0] * 5, [np.nan] * 5])})


class TestIntervals:
    def test_the_interval_of_an_accuracy_is_wilsons_with_t(self):
        count, right = 100, 70
        labels = np.zeros(count, int)
        predicted = np.repeat([0, 1], [right, count - right])
        figure = evaluate([FIVE], {"five": labels}, {"five": certain(predicted, 5)})["five"].figures["accuracy"]
        t = stats.t.ppf(0.975, count - 1)
        for end in (figure.low, figure.high):  # both ends solve Wilson's equation
            assert abs(0.7 - end) == pytest.approx(t * np.sqrt(end * (1 - end) / count))

    @pytest.mark.parametrize("wrong", [0, 1, 16])
    def test_shares_have_an_interval_that_stays_in_range_even_where_all_is_right_or_wrong(self, wrong):
        labels, predicted = np.arange(16) % 2, np.arange(16) % 2
        predicted[:wrong] = 1 - predicted[:wrong]
        task = Task("mood", ("x", "y"))
        figures = evaluate([task], {"mood": labels}, {"mood": certain(predicted, 2)})["mood"].figures
        for figure in figures.values():
            assert 0 <= figure.low <= figure.value <= figure.high <= 1 and 0.15 < figure.high - figure.low < 0.5

    def test_a_mean_over_classes_is_no_surer_than_its_rarest_class(self):
        labels = np.repeat([0, 1], [98, 2])  # all right, but of the second class there are two
        task = Task("mood", ("x", "y"))
        figures = evaluate([task], {"mood": labels}, {"mood": certain(labels, 2)})["mood"].figures
        assert figures["accuracy"].low > 0.95 and figures["uar"].low < 0.75

    def test_segments_of_a_recording_are_drawn_together(self):
        # Ten recordings of ten segments, each all right or all wrong: ten independent cases, not a hundred.
        task = Task("mood", ("x", "y"), "segment")
        labels, predicted = np.zeros(100, int), np.repeat([0, 1, 0, 1, 0, 1, 0, 1, 0, 1], 10)
        groups = np.repeat([f"r{i}" for i in range(10)], 10)
        together = evaluate([task], {"mood": labels}, {"mood": certain(predicted, 2)}, groups=groups)["mood"]
        apart = evaluate([task], {"mood": labels}, {"mood": certain(predicted, 2)})["mood"]
        assert (together.count, together.recordings) == (100, 10)
        ten = evaluate([task], {"mood": labels[::10]}, {"mood": certain(predicted[::10], 2)})["mood"]
        found = [(report.figures["accuracy"].low, report.figures["accuracy"].high) for report in (together, ten, apart)]
        assert found[0] == pytest.approx(found[1]) and found[2][0] == pytest.approx(0.404, abs=0.005)

    def test_speakers_are_left_out_whole(self):
        task = Task("mood", ("x", "y"))
        labels, predicted = np.zeros(40, int), np.repeat([0, 1, 0, 0], 10)
        speakers = np.repeat(list("abcd"), 10)
        report = evaluate([task], {"mood": labels}, {"mood": certain(predicted, 2)}, units=speakers, unit="speaker")
        assert (report["mood"].recordings, report["mood"].unit, report["mood"].units) == (40, "speaker", 4)
        four = evaluate([task], {"mood": labels[:4]}, {"mood": certain([0, 1, 0, 0], 2)})["mood"]
        assert report["mood"].figures["accuracy"].low == pytest.approx(four.figures["accuracy"].low)

    def test_one_recording_has_an_interval_without_width(self):
        report = evaluate([FIVE], {"five": np.array([1])}, {"five": certain([1], 5)})["five"]
        figure = report.figures["accuracy"]
        assert (figure.value, figure.low, figure.high) == (1, 1, 1) and not figure.has_width

    @pytest.mark.parametrize("size", [2, 5, 20])
    def test_resampled_figures_agree_with_sklearn(self, size):
        for seed in range(20):
            labels, outputs = random_case(size, 30, seed)  # with 20 classes some are absent
            predicted = outputs.argmax(axis=1)
            confusion = sklearn_metrics.confusion_matrix(labels, predicted, labels=range(size))
            mine = {name: values[0] for name, values in figures_of_confusion(confusion[None].astype(float)).items()}
            present = np.unique(labels)
            assert mine == pytest.approx(
                {
                    "accuracy": sklearn_metrics.accuracy_score(labels, predicted),
                    "weighted_f1": sklearn_metrics.f1_score(labels, predicted, average="weighted", zero_division=0),
                    "macro_f1": sklearn_metrics.f1_score(labels, predicted, average="macro", zero_division=0),
                    "uar": sklearn_metrics.recall_score(
                        labels, predicted, labels=present, average="macro", zero_division=0
                    ),
                }
            )

    def test_the_figure_lies_within_its_interval(self):
        labels, outputs = random_case(5, 200)
        for figure in evaluate([FIVE], {"five": labels}, {"five": outputs})["five"].figures.values():
            assert figure.low < figure.value < figure.high


class TestValues:
    def test_error_and_correlation_of_a_known_case(self):
        labels, outputs = np.array([100.0, 200, 300, np.nan]), np.array([[110.0], [190], [330], [0]])
        figures = evaluate([VALUE], {"sentiment": labels}, {"sentiment": outputs})["sentiment"].figures
        assert set(figures) == {"mae", "corr"}
        assert figures["mae"].value == pytest.approx(50 / 3)
        assert figures["corr"].value == pytest.approx(np.corrcoef([100, 200, 300], [110, 190, 330])[0, 1])

    def test_a_range_around_zero_has_accuracies_of_sign_and_of_rounded_values(self):
        labels = np.array([-2.8, -0.4, 0.0, 0.6, 3.0])
        outputs = np.array([[-3.4], [0.3], [0.2], [1.2], [1.0]])
        figures = evaluate([VALUE], {"sentiment": labels}, {"sentiment": outputs})["sentiment"].figures
        assert figures["accuracy_7"].value == pytest.approx(4 / 5)  # -3, 0, 0, 1 are right, 3 is not 1
        assert figures["accuracy_2_has0"].value == pytest.approx(4 / 5)
        assert figures["accuracy_2_non0"].value == pytest.approx(3 / 4)

    def test_the_interval_of_a_mean_error_is_that_of_the_normal_distribution(self):
        random = np.random.default_rng(0)
        errors = random.normal(10, 2, 400)  # all positive, so their mean is the mean absolute error
        report = evaluate([VALUE], {"sentiment": np.zeros(400)}, {"sentiment": errors[:, None]})["sentiment"]
        half = 1.96 * errors.std() / 20
        assert report.figures["mae"].low == pytest.approx(errors.mean() - half, abs=0.02)
        assert report.figures["mae"].high == pytest.approx(errors.mean() + half, abs=0.02)

    @pytest.mark.parametrize("constant", [0.1, 1e6])
    def test_a_correlation_with_a_constant_is_zero(self, constant):
        labels = np.array([1.0, 2, 3])
        figures = evaluate([VALUE], {"sentiment": labels}, {"sentiment": np.full((3, 1), constant)})[
            "sentiment"
        ].figures
        assert figures["corr"].value == figures["corr"].low == figures["corr"].high == 0
        assert not figures["corr"].has_width

    def test_intervals_of_errors_and_correlations_stay_in_range(self):
        random = np.random.default_rng(1)
        labels = random.normal(size=5)
        outputs = labels + 0.05 * random.normal(size=5)
        figures = evaluate([VALUE], {"sentiment": labels}, {"sentiment": outputs[:, None]})["sentiment"].figures
        assert 0 < figures["mae"].low < figures["mae"].value < figures["mae"].high
        assert -1 < figures["corr"].low < figures["corr"].value < figures["corr"].high < 1


class TestChance:
    def test_the_line_gives_the_training_splits_answer_to_every_item(self):
        labels = {"five": np.array([0, 1, 1, -1]), "sentiment": np.array([1.0, 2, 3, np.nan])}
        outputs = {"five": certain([0, 1, 2, 3], 5), "sentiment": np.ones((4, 1))}
        tasks = [FIVE, Task("sentiment")]
        reports = evaluate(tasks, labels, outputs, chance={"five": 1, "sentiment": 2.5})
        five, sentiment = reports["five"].chance, reports["sentiment"].chance
        assert (five.answer, five.figures["accuracy"]) == ("B", pytest.approx(2 / 3))
        assert (sentiment.answer, sentiment.figures["mae"]) == ("2.5", pytest.approx(2.5 / 3))
        assert reports["sentiment"].constant == "1" and reports["five"].constant == ""

    def test_it_comes_from_the_labels_of_the_training_split_a_recording_counting_once(self):
        segments = pd.DataFrame(
            {
                "recording_id": list("aaabbcdde"),
                "split": ["train"] * 6 + ["test"] * 3,
                "view": [*["original"] * 5, "noise", *["original"] * 3],
                "label_five": [0, 0, 0, 1, 1, 1, 4, 4, 4],
                "label_mood": [0, 0, 1, 1, 1, 1, 0, 0, 0],
                "label_sentiment": [1.0, 2, np.nan, 3, 4, 100, 0, 0, 0],
            }
        )
        tasks = [FIVE, Task("mood", ("x", "y"), "segment"), VALUE]
        assert constant_answers(tasks, segments, "train") == {"five": 0, "mood": 1, "sentiment": 2.5}
        assert constant_answers(tasks, segments, "fold") == {}


class TestScore:
    def test_names_are_flat_and_values_are_those_of_the_reports(self):
        labels, outputs = random_case(5, 40)
        labels = {"five": labels, "three": np.array([0, 1, 1, 2, 2])[labels]}
        scores = score([FIVE, THREE], labels, {"five": outputs})
        reports = evaluate([FIVE, THREE], labels, {"five": outputs})
        assert scores == {
            f"{task}/{name}": figure.value
            for task, report in reports.items()
            for name, figure in report.figures.items()
        }
        assert "three/uar" in scores

    def test_real_values_have_their_own(self):
        assert set(score([VALUE], {"sentiment": np.array([1.0, 2])}, {"sentiment": np.zeros((2, 1))})) == {
            "sentiment/mae",
            "sentiment/corr",
        }

    def test_tasks_without_labels_are_left_out(self):
        assert score([FIVE], {"five": np.array([-1])}, {"five": certain([0], 5)}) == {}
