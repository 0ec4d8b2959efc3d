"""The figures of CMU-MOSI, CMU-MOSEI and CH-SIMS against their definitions, written down once more in plain loops.

Nothing of msmt's formulas is used on the plain side: values are taken one by one, counted with ``if``, and divided.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from msmt.evaluate.metrics import evaluate, figures_of_answers
from msmt.evaluate.results import figures_of
from msmt.evaluate.tally import Tally
from msmt.features.tasks import Task
from sklearn.metrics import accuracy_score, f1_score

SENTIMENT = Task("sentiment", level="segment", scale="sentiment")
SIMS = Task("sentiment_text", level="segment", scale="sims")
CASES = 10_000
ODD = [
    0.0,
    -0.0,
    0.1,
    -0.1,
    0.7,
    -0.7,
    0.5,
    -0.5,
    1.5,
    -1.5,
    2.5,
    -2.5,
    1.0,
    -1.0,
    2.0,
    -2.0,
    3.0,
    -3.0,
    3.5,
    -7.0,
    1.2,
]


def plain_accuracy(labels, answers):
    if not labels:
        return 0.0
    right = 0
    for label, answer in zip(labels, answers, strict=True):
        if label == answer:
            right += 1
    return right / len(labels)


def plain_weighted_f1(labels, answers):
    if not labels:
        return 0.0
    total = 0.0
    for wanted in set(labels):
        both = sum(1 for label, answer in zip(labels, answers, strict=True) if label == answer == wanted)
        given, said = labels.count(wanted), answers.count(wanted)
        total += 2 * both / (given + said) * given
    return total / len(labels)


def plain_error_and_correlation(labels, answers):
    count = len(labels)
    error = math.fsum(abs(label - answer) for label, answer in zip(labels, answers, strict=True)) / count
    for values in (labels, answers):
        if max(values) - min(values) <= 1e-12 * max(map(abs, values)):  # equal, or but for rounding
            return error, 0.0
    middle, middle_answer = math.fsum(labels) / count, math.fsum(answers) / count
    together = math.fsum((x - middle) * (y - middle_answer) for x, y in zip(labels, answers, strict=True))
    of_labels = math.fsum((x - middle) ** 2 for x in labels)
    of_answers = math.fsum((y - middle_answer) ** 2 for y in answers)
    return error, together / math.sqrt(of_labels * of_answers)


def clipped(value, limit):
    return max(-limit, min(limit, value))


def plain_sentiment(labels, answers):
    error, correlation = plain_error_and_correlation(labels, answers)
    has0 = [label >= 0 for label in labels], [answer >= 0 for answer in answers]
    kept = [(label, answer) for label, answer in zip(labels, answers, strict=True) if label != 0]
    non0 = [label > 0 for label, _ in kept], [answer > 0 for _, answer in kept]
    # Python's round takes halves to the even side.
    sevens = [round(clipped(label, 3.0)) for label in labels], [round(clipped(answer, 3.0)) for answer in answers]
    fives = [round(clipped(label, 2.0)) for label in labels], [round(clipped(answer, 2.0)) for answer in answers]
    return {
        "accuracy_2_has0": plain_accuracy(*has0),
        "f1_2_has0": plain_weighted_f1(*has0),
        "accuracy_2_non0": plain_accuracy(*non0),
        "f1_2_non0": plain_weighted_f1(*non0),
        "accuracy_7": plain_accuracy(*sevens),
        "accuracy_5": plain_accuracy(*fives),
        "mae": error,
        "corr": correlation,
    }


def class_between(value, edges):
    for place, edge in enumerate(edges):
        if np.float32(value) <= np.float32(edge):
            return place
    return len(edges)


def plain_sims(labels, answers):
    labels, answers = [clipped(label, 1.0) for label in labels], [clipped(answer, 1.0) for answer in answers]
    error, correlation = plain_error_and_correlation(labels, answers)

    def cut(*edges):
        return [class_between(label, edges) for label in labels], [class_between(answer, edges) for answer in answers]

    return {
        "accuracy_2": plain_accuracy(*cut(0.0)),
        "accuracy_3": plain_accuracy(*cut(-0.1, 0.1)),
        "accuracy_5": plain_accuracy(*cut(-0.7, -0.1, 0.1, 0.7)),
        "f1_2": plain_weighted_f1(*cut(0.0)),
        "mae": error,
        "corr": correlation,
    }


PLAIN = {"sentiment": plain_sentiment, "sims": plain_sims}


def worst(found, wanted):
    """The largest difference of any figure; they have the same ones."""
    assert set(found) == set(wanted)
    return max(abs(found[name] - value) for name, value in wanted.items())


def one_side(random, count, kind):
    """Labels or answers: spread, on edges and halves, in steps as annotators give them, constant, or far too large."""
    made = {
        "spread": random.normal(0, random.choice([0.3, 1.0, 3.0]), count),
        "odd": random.choice(ODD, count),
        "steps": np.round(random.uniform(-1.2, 1.2, count), 1),
        "thirds": random.integers(-9, 10, count) / 3,
        "constant": np.full(count, random.choice([*ODD, 1 / 3])),
        "large": random.normal(0, 40, count),
    }[kind]
    return made.astype(np.float32) if random.integers(2) else made


def cases(seed):
    random = np.random.default_rng(seed)
    kinds = ["spread", "odd", "odd", "steps", "thirds", "constant", "large"]
    for number in range(CASES // 2):
        count = int(random.choice([1, 2, 3, 5, 12])) if number % 200 else 200
        truth, predicted = (one_side(random, count, random.choice(kinds)) for _ in range(2))
        if number % 9 == 0:  # what is answered is nearly right
            predicted = truth + random.choice([0.0, 0.1, -0.5], count)
        yield number, truth, predicted, np.unique(random.integers(0, 6, count), return_inverse=True)[1]


@pytest.mark.parametrize("task", [SENTIMENT, SIMS], ids=["sentiment", "sims"])
class TestAgainstTheDefinitions:
    def test_every_figure_is_that_of_the_definition(self, task):
        for number, truth, predicted, homes in cases(seed=len(task.name)):
            wanted = PLAIN[task.scale](truth.astype(float).tolist(), predicted.astype(float).tolist())
            found = figures_of_answers(task, truth, predicted)
            assert list(found) == list(wanted)
            assert worst(found, wanted) <= 1e-12, (number, truth, predicted)
            if number % 10 == 0:
                as_it_is = {
                    name: float(of.by_seed[0]) for name, of in Tally.of(task, truth, predicted, homes).estimates.items()
                }
                assert worst(as_it_is, wanted) <= 1e-12, (number, truth, predicted)

    def test_without_each_recording_the_figures_are_those_of_the_others(self, task):
        for number, truth, predicted, homes in cases(seed=7):
            if number % 20 or homes.max() < 1:
                continue
            estimates = Tally.of(task, truth, predicted, homes).estimates
            for home in range(homes.max() + 1):
                left = homes != home
                wanted = PLAIN[task.scale](truth[left].astype(float).tolist(), predicted[left].astype(float).tolist())
                found = {name: float(of.without[0, home]) for name, of in estimates.items()}
                assert worst(found, wanted) <= 1e-12, (number, home)


class TestTheTranscription:
    def test_its_f1_and_accuracy_are_those_of_scikit_learn(self):
        random = np.random.default_rng(0)
        for _ in range(200):
            labels, answers = (random.integers(0, 2, random.integers(1, 9)).tolist() for _ in range(2))
            labels = labels[: len(answers)] or [0]
            answers = answers[: len(labels)]
            wanted = f1_score(labels, answers, average="weighted", zero_division=0)
            assert plain_weighted_f1(labels, answers) == pytest.approx(wanted, abs=1e-12)
            assert plain_accuracy(labels, answers) == accuracy_score(labels, answers)


class TestEdges:
    def figures(self, task, labels, answers):
        return figures_of_answers(task, np.array(labels), np.array(answers, np.float32))

    def test_a_zero_is_positive_with_zeros_and_negative_as_an_answer_without(self):
        assert self.figures(SENTIMENT, [0.0, 1.0], [-1.0, 1.0])["accuracy_2_has0"] == 0.5
        found = self.figures(SENTIMENT, [0.0, 1.0, -1.0], [9.0, 0.0, 0.0])
        assert found["accuracy_2_non0"] == 0.5  # 0 is not above 0; the item whose label is 0 does not count

    def test_labels_that_are_all_zero_leave_nothing_to_be_right_about(self):
        found = self.figures(SENTIMENT, [0.0, 0.0], [1.0, -1.0])
        assert found["accuracy_2_non0"] == found["f1_2_non0"] == 0 and found["accuracy_2_has0"] == 0.5

    def test_halves_go_to_the_even_side_after_clipping(self):
        assert self.figures(SENTIMENT, [2.0, 0.0, 2.0, 3.0], [2.5, 0.5, 1.5, 8.0])["accuracy_7"] == 1
        assert self.figures(SENTIMENT, [3.0, -2.0, 2.0], [1.6, -2.9, 1.5])["accuracy_5"] == 1
        assert self.figures(SENTIMENT, [1.0, 3.0], [0.5, 2.5])["accuracy_7"] == 0

    def test_error_and_correlation_are_clipped_for_sims_alone(self):
        assert self.figures(SENTIMENT, [3.0, -3.0], [6.0, -3.0])["mae"] == 1.5
        assert self.figures(SIMS, [1.0, -1.0], [6.0, -1.0])["mae"] == 0
        three = [1.0, -1.0, 0.0], [5.0, -1.0, 0.0]
        assert self.figures(SIMS, *three)["corr"] == pytest.approx(1) and self.figures(SENTIMENT, *three)["corr"] < 0.99

    @pytest.mark.parametrize("edge", [-0.7, -0.1, 0.1, 0.7])
    def test_an_edge_belongs_to_the_class_below_it_in_single_and_in_double_precision(self, edge):
        for kind in (np.float32, np.float64):
            labels = np.array([edge, edge], kind)
            found = figures_of_answers(SIMS, labels, np.array([edge - 0.01, edge + 0.01], np.float32))
            assert found["accuracy_5"] == 0.5
            assert figures_of_answers(SIMS, labels, labels - 0.01)["accuracy_5"] == 1

    def test_zero_is_negative_for_sims(self):
        assert self.figures(SIMS, [0.0, 0.0], [-0.3, 0.3])["accuracy_2"] == 0.5

    def test_a_scale_decides_whatever_the_labels_are(self):
        only_positive = np.array([1.0, 2.0]), np.array([1.0, 2.0])
        assert "accuracy_7" in figures_of_answers(SENTIMENT, *only_positive)
        assert list(figures_of_answers(Task("x"), *only_positive)) == ["mae", "corr"]

    def test_values_without_a_scale_have_the_figures_that_they_had(self):
        labels = np.array([-1.0, 2.0, 0.4])
        names = ["mae", "corr", "accuracy_7", "accuracy_2_has0", "accuracy_2_non0"]
        assert list(figures_of_answers(Task("x"), labels, labels)) == names


@pytest.mark.parametrize("task", [SENTIMENT, SIMS], ids=["sentiment", "sims"])
class TestInReports:
    def report(self, task, chance=None):
        random = np.random.default_rng(3)
        labels = np.round(random.uniform(-1, 1, 60), 1)
        outputs = (labels + random.normal(0, 0.4, 60))[:, None].astype(np.float32)
        homes = [f"r{number // 3}" for number in range(60)]
        return evaluate([task], {task.name: labels}, {task.name: outputs}, homes, chance)[task.name]

    def test_every_figure_has_an_interval_around_it_and_a_chance(self, task):
        report = self.report(task, {task.name: 0.05})
        assert set(report.figures) == set(report.chance.figures) == set(figures_of(task))
        for name, figure in report.figures.items():
            assert figure.low < figure.value < figure.high, name

    def test_shares_stay_within_0_and_1(self, task):
        report = self.report(task)
        shares = [figure for name, figure in report.figures.items() if name not in ("mae", "corr")]
        assert all(0 <= figure.low and figure.high <= 1 for figure in shares)


def test_the_figures_without_zeros_are_no_surer_than_the_items_that_are_left():
    labels = np.array([0.0] * 90 + [1.0, -1.0] * 5)
    tally = Tally.of(SENTIMENT, labels, labels, np.arange(100))
    assert tally.most_items["f1_2_non0"] == tally.most_items["accuracy_2_non0"] == 10
    assert tally.most_items["f1_2_has0"] == tally.most_items["accuracy_5"] == 100
