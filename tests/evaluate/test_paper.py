from __future__ import annotations

from msmt.evaluate.published import marketcalls as paper
from msmt.evaluate.published.registry import rows_named


def test_every_row_of_the_paper_names_the_four_tasks():
    assert all(set(row.accuracy) == {"two", "three", "four", "five"} for row in paper.ROWS)
    assert paper.FULL.accuracy["five"] == 60.28 and paper.NO_MTL.accuracy["two"] == 71.23


def test_the_eight_rows_of_table_6_are_there():
    table = {
        "audio-augment": (paper.FULL, (76.60, 63.83, 61.70, 60.28)),
        "text-augment": (paper.TEXT_AUGMENTED, (72.34, 58.16, 60.99, 60.99)),
        "no-augment": (paper.NOT_AUGMENTED, (75.89, 60.02, 58.16, 57.46)),
        "Rm-silence": (paper.SILENCE_REMOVED, (64.61, 46.88, 46.10, 45.39)),
        "Kp-silence": (paper.FULL, (76.60, 63.83, 61.70, 60.28)),
        "no-BF+MTL": (paper.NO_BOTTLENECK_NO_MTL, (73.05, 55.32, 54.89, 56.74)),
        "no-MTL": (paper.NO_MTL, (71.23, 53.90, 52.48, 51.77)),
        "full": (paper.FULL, (76.60, 63.83, 61.70, 60.28)),
    }
    for row, published in table.values():
        assert tuple(row.accuracy[task] for task in ("two", "three", "four", "five")) == published


def test_rows_are_found_by_name():
    assert all(rows_named(row.name) == (row,) for row in paper.ROWS)
    assert len({row.name for row in paper.ROWS}) == len(paper.ROWS)
    assert rows_named("") == () and rows_named("no such row") == ()
