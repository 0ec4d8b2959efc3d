"""The scripts that say how often marks are false and intervals hold, on few tables: rates are told coarsely."""

from __future__ import annotations

import sys
from pathlib import Path

import msmt
import numpy as np
import pytest


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(msmt.__file__).parent / "benchmarks"))
    yield
    for name in ("false_marks", "coverage"):
        sys.modules.pop(name, None)


def test_identical_procedures_are_seldom_marked_and_better_ones_are(scripts):
    import false_marks

    random = np.random.default_rng(0)
    twins = [false_marks.answers_of(random, [0.7, 0.7], 3, 88) for _ in range(200)]
    over_recordings = sum(false_marks.bootstrap_p(random, right, with_seeds=False) < 0.05 for right in twins)
    marked = sum(false_marks.any_marked(right) for right in twins)
    assert marked <= 15 < 20 < over_recordings  # 5 % would be 10
    better = [false_marks.answers_of(random, [0.6, 0.8], 5, 88) for _ in range(50)]
    assert sum(false_marks.any_marked(right) for right in better) >= 40


def test_quick_forms_give_all_lines(scripts):
    import false_marks
    import interval_coverage

    lines = false_marks.simulate(2)
    assert [(line.seeds, line.recordings) for line in lines] == [(s, n) for s in (3, 5) for n in (16, 88, 600)]
    assert len(false_marks.table_of(lines).splitlines()) == 2 + len(lines)
    found = interval_coverage.simulate(2)
    assert len(interval_coverage.table_of(found).splitlines()) == 2 + len(found) == 2 + 3 * 8 + 4


@pytest.mark.parametrize("is_clustered", [False, True])
def test_intervals_of_few_recordings_hold_the_truth_where_quantiles_do_not(scripts, is_clustered):
    import interval_coverage

    random = np.random.default_rng(1)
    cases = (interval_coverage.classes_of(random, 0.9, 16, is_clustered) for _ in range(200))
    held = interval_coverage.coverage(random, interval_coverage.CLASSES, cases, interval_coverage.true_shares(0.9))
    for name in interval_coverage.CLASS_FIGURES:
        assert held[name] >= 0.9 > held[f"{name}_quantiles"], name
