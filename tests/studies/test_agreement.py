"""Agreement with gold labels, against figures worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from msmt.errors import SettingError
from msmt.studies.agreement import agreement, cohens_kappa, meaning_of

CLASSES = ("positive", "negative", "neutral")


def test_overlap_kappa_and_confusion_are_those_worked_by_hand():
    gold = ["positive"] * 4 + ["negative"] * 3 + ["neutral"] * 3
    labels = [*("positive", "positive", "positive", "neutral"), *("negative", "negative", "positive")]
    labels += ["neutral", "neutral", ""]
    found = agreement(labels, gold, CLASSES, meaning_of("", CLASSES))
    # 9 rows have both: 3 + 2 + 2 agree. By chance: (4*4 + 3*2 + 2*3) / 81 = 28/81.
    assert found.overlap == pytest.approx(7 / 9) and found.report.count == 9
    assert found.kappa == pytest.approx((7 / 9 - 28 / 81) / (1 - 28 / 81))
    assert found.report.confusion.tolist() == [[3, 0, 1], [1, 2, 0], [0, 0, 2]]
    assert found.unusable == 1 and found.overlap_of_all == pytest.approx(0.7)
    shown = "\n".join(found.lines())
    assert "overlap 77.8 %" in shown and "counted as wrong, the overlap is 70.0 %" in shown
    assert found.to_json()["confusion"] == found.report.confusion.tolist()


def test_kappa_is_one_zero_or_not_defined_where_it_must_be():
    assert cohens_kappa(np.array([[5, 0], [0, 5]])) == 1.0
    assert cohens_kappa(np.array([[2, 2], [2, 2]])) == 0.0
    assert cohens_kappa(np.array([[0, 5], [5, 0]])) == -1.0
    assert math.isnan(cohens_kappa(np.array([[5, 0], [0, 0]])))


def test_gold_values_mean_what_a_map_says():
    meaning = meaning_of("joy=positive, Anger=negative,*=neutral", CLASSES)
    assert [meaning(value) for value in ("joy", "anger ", "sadness", "")] == ["positive", "negative", "neutral", None]
    valence = meaning_of("1:3=negative,5:=positive,*=neutral", CLASSES)
    assert [valence(value) for value in ("1", "3.0", "4.2", "5", "99", "0.5")] == [
        *("negative", "negative", "neutral", "positive", "positive", "neutral")
    ]
    exact = meaning_of("", CLASSES)
    assert exact("Positive ") == "positive" and exact("joy") is None


@pytest.mark.parametrize("wrong", ["joy", "joy=happy", "=positive", "joy=positive,,"])
def test_a_map_that_names_no_class_is_refused(wrong):
    with pytest.raises(SettingError, match="gold-map must name a class for each value"):
        meaning_of(wrong, CLASSES)


def test_gold_that_means_nothing_is_said_with_its_values():
    with pytest.raises(SettingError, match="say with --gold-map what the gold values mean, which are 'joy', 'anger'"):
        agreement(["positive"] * 3, ["joy", "joy", "anger"], CLASSES, meaning_of("", CLASSES))
    found = agreement(["positive"] * 3, ["joy", "positive", "joy"], CLASSES, meaning_of("", CLASSES))
    assert "2 rows left out, whose gold means no class: joy (2)" in found.lines()[-1]
