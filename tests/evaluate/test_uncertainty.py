from __future__ import annotations

import numpy as np
import pytest
from msmt.evaluate.uncertainty import Estimates, has_width, interval, of_difference, of_mean, probability


def means_of(values: np.ndarray) -> Estimates:
    """The mean of (S, G) values as a figure."""
    total, recordings = values.sum(axis=1, keepdims=True), values.shape[1]
    return Estimates(values.mean(axis=1), (total - values) / (recordings - 1))


def made(seeds: int, recordings: int, of_seeds: float, of_recordings: float, rest: float, number: int) -> np.ndarray:
    """(S, G) values with a deviation of seeds, of recordings, and of what neither explains."""
    random = np.random.default_rng(number)
    values = of_seeds * random.standard_normal((seeds, 1)) + of_recordings * random.standard_normal((1, recordings))
    return values + rest * random.standard_normal((seeds, recordings))


def test_pseudo_values_of_a_mean_are_the_values():
    values = made(3, 8, 1, 1, 1, 0)
    np.testing.assert_allclose(means_of(values).pseudo_values, values)


def mean_variance(of_seeds: float, of_recordings: float, rest: float) -> float:
    """What the estimate is on average, as a share of the true variance."""
    found = [of_mean(means_of(made(4, 20, of_seeds, of_recordings, rest, number))).variance for number in range(2000)]
    return np.mean(found) / (of_seeds**2 / 4 + of_recordings**2 / 20 + rest**2 / 80)


@pytest.mark.parametrize(("of_seeds", "of_recordings", "rest"), [(1, 1, 1), (2, 0.5, 0), (1, 0, 6)])
def test_the_variance_of_a_row_is_that_of_means_over_other_seeds_and_recordings(of_seeds, of_recordings, rest):
    assert 0.97 < mean_variance(of_seeds, of_recordings, rest) < 1.12


def test_where_seeds_change_nothing_the_variance_is_not_too_small():
    assert 1 < mean_variance(of_seeds=0, of_recordings=1, rest=4) < 1.3  # the seeds' part is never below 0


def test_a_difference_does_not_see_what_both_rows_share():
    shared = 100 * np.random.default_rng(0).standard_normal(20)
    rows = [made(3, 20, 0.1, 0, 0.1, number) for number in (1, 2)]
    apart = of_difference(*map(means_of, rows))
    together = of_difference(*(means_of(row + shared) for row in rows))
    assert together.variance == pytest.approx(apart.variance, rel=1e-6)


def test_degrees_of_freedom_are_few_where_seeds_decide_and_many_where_recordings_do():
    assert of_mean(means_of(made(3, 200, 5, 0.1, 0.1, 0))).degrees == pytest.approx(2, rel=0.01)
    assert of_mean(means_of(made(3, 200, 0, 5, 0.01, 0))).degrees == pytest.approx(199, rel=0.01)


def test_of_a_single_recording_nothing_is_known():
    assert of_mean(Estimates(np.array([0.5]), np.array([[0.0]]))) is None
    assert interval("accuracy", 0.5, None, 1) == (0.5, 0.5) and not has_width(0.5, 0.5)
    assert probability(0.5, None) == 1


def test_two_recordings_give_a_wide_interval_within_the_range():
    sure = of_mean(means_of(np.array([[0.0, 1.0]])))
    assert interval("accuracy", 0.5, sure, 2) == (pytest.approx(0.0, abs=0.01), pytest.approx(1.0, abs=0.01))
    low, high = interval("mae", 0.5, sure, 2)
    assert 0 < low < 0.01 and 100 < high < np.inf
