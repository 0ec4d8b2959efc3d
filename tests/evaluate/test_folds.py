"""Folds, small enough to count by hand: what they answer is pooled, and each is a figure by itself."""

from __future__ import annotations

import dataclasses
import io
import warnings

import numpy as np
import pandas as pd
import pytest
from msmt.errors import RunError
from msmt.evaluate.comparison import compare
from msmt.evaluate.folds import OverFolds, pooled
from msmt.evaluate.metrics import evaluate
from msmt.evaluate.scored import load, save
from msmt.evaluate.tables.latex import comparison_latex
from msmt.evaluate.tables.markdown import comparison_markdown
from msmt.evaluate.tables.picture import intervals_png
from msmt.evaluate.tables.records import comparison_csv
from msmt.evaluate.tables.screen import table_text
from msmt.tests.evaluate.made import FIVE, MOOD, TWO, guesses, run_of

A, B, C = 0, 1, 2
# Three folds of 4, 2 and 4 recordings. By hand: 3 of 4, 0 of 2 and 3 of 4 are right, 6 of 10 together.
TRUTH = ([A, A, B, B], [A, B], [B, B, B, A])
ANSWERS = ([A, A, B, A], [B, A], [B, B, A, A])
LEARNT_MOST = (A, B, B)  # the most frequent class of each fold's training split


def fold(number: int, truth=None, answers=None, variant: str = "full", seed: int = 0, **fields):
    """The answers of one run on the test split of its fold."""
    truth, answers = truth or TRUTH[number], answers or ANSWERS[number]
    given = {
        "recording_ids": [f"{number}-{index}" for index in range(len(truth))],
        "scheme": f"fold{number + 1}",
        "chance": {"five": LEARNT_MOST[number]},
        "run": f"{variant}-fold{number + 1}-seed{seed}",
        "command": f"msmt train --name {variant}-fold{number + 1}-seed{seed}",
    }
    return run_of(variant, answers, truth, seed, **(given | fields))


def whole(variant: str = "full", seed: int = 0, answers=ANSWERS, **fields):
    parts = [fold(number, None, answers[number], variant, seed, **fields) for number in range(3)]
    return pooled(parts, "folds", fields.pop("whose", None))


def at_random(variant: str, skill: float, seed: int, size: int = 30, **fields):
    random = np.random.default_rng(5)
    labels = [random.integers(0, 3, size).tolist() for _ in range(3)]
    parts = [
        fold(
            number,
            labels[number],
            guesses(np.array(labels[number]), skill, seed + number).tolist(),
            variant,
            seed,
            **fields,
        )
        for number in range(3)
    ]
    return pooled(parts, "folds")


class TestFigures:
    def test_are_of_all_answers_together_and_not_the_mean_of_the_folds(self):
        accuracy = compare([whole()]).rows[0].cells["five"].figures["accuracy"]
        assert accuracy.mean == pytest.approx(6 / 10)
        assert accuracy.folds.by_fold == pytest.approx((3 / 4, 0, 3 / 4))
        assert accuracy.folds.mean == pytest.approx(0.5)
        assert accuracy.folds.deviation == pytest.approx(np.std([0.75, 0, 0.75], ddof=1))

    def test_of_recalls_are_those_of_the_pooled_confusion(self):
        # Of the 4 As, 2 + 0 + 1 are right; of the 6 Bs, 1 + 0 + 2.
        recall = compare([whole()]).rows[0].cells["five"].figures["uar"]
        assert recall.mean == pytest.approx((3 / 4 + 3 / 6) / 2)
        assert recall.folds.by_fold == pytest.approx(((1 + 1 / 2) / 2, 0, (2 / 3 + 1) / 2))

    def test_have_the_interval_of_one_evaluation_of_all_recordings(self):
        answers, truth = np.concatenate(ANSWERS), np.concatenate(TRUTH)
        expected = evaluate([FIVE], {"five": truth}, {"five": np.eye(5)[answers]})["five"].figures
        for name, figure in compare([whole()]).rows[0].cells["five"].figures.items():
            assert (figure.low, figure.high) == pytest.approx((expected[name].low, expected[name].high))

    def test_of_a_fold_are_the_mean_over_seeds(self):
        other = ([A, A, B, B], [A, B], [B, B, B, A])  # all right
        folds = compare([whole(), whole(seed=1, answers=other)]).rows[0].cells["five"].figures["accuracy"].folds
        assert folds.by_fold == pytest.approx(((3 / 4 + 1) / 2, 1 / 2, (3 / 4 + 1) / 2))

    def test_of_the_chance_line_are_of_the_most_frequent_class_of_each_folds_own_training(self):
        chance = compare([whole()]).chance["five"]
        assert chance.figures["accuracy"] == pytest.approx((2 + 1 + 3) / 10)  # A on the first fold, B on the others
        assert chance.by_fold["accuracy"] == pytest.approx((2 / 4, 1 / 2, 3 / 4))
        assert chance.answer == "B in 2 folds, A in 1 fold"

    def test_of_differences_are_paired_by_recording_in_whatever_order_folds_were_pooled(self):
        worse = [fold(number, None, [C] * len(TRUTH[number]), "worse") for number in (2, 0, 1)]
        cell = compare([whole(), pooled(worse, "folds")]).rows[1].cells["five"]
        assert cell.difference.value == pytest.approx(-6 / 10) and cell.mcnemar.a_only == 6
        assert cell.figures["accuracy"].folds.by_fold == (0, 0, 0)

    def test_a_fold_without_a_label_of_a_task_does_not_count(self):
        parts = [fold(0), fold(1), fold(2, [-1] * 4, [A] * 4)]
        assert not parts[2].tasks
        accuracy = compare([pooled(parts, "folds")]).rows[0].cells["five"].figures["accuracy"]
        assert accuracy.mean == pytest.approx(3 / 6)
        assert accuracy.folds.mean == pytest.approx(3 / 8) and np.isnan(accuracy.folds.by_fold[2])

    def test_of_one_fold_have_no_deviation(self):
        assert OverFolds((0.5, np.nan)).deviation is None and OverFolds((0.5, np.nan)).mean == 0.5


class TestPooling:
    def test_a_recording_that_is_tested_twice_is_refused(self):
        parts = [fold(0), fold(1, recording_ids=["0-1", "1-1"])]
        with pytest.raises(RunError, match="recording 0-1 is in the split test of fold1 and of fold2, but .* once"):
            pooled(parts, "folds")

    def test_every_run_and_the_most_looks_stay_known(self):
        parts = [fold(0), fold(1, times_scored=3), fold(2)]
        [row] = compare([pooled(parts, "folds")]).rows
        assert row.runs == tuple(f"full-fold{number}-seed0" for number in (1, 2, 3)) and len(row.commands) == 3
        assert row.times_scored == 3

    def test_speakers_of_all_folds_can_be_resampled(self):
        whose = {f"{number}-{index}": f"speaker-{index % 2}" for number in range(3) for index in range(4)}
        parts = [fold(number) for number in range(3)]
        comparison = compare([pooled(parts, "folds", whose)], unit="speaker")
        assert comparison.units["five"] == 2 and comparison.recordings["five"] == 10


class TestFoldsThatPartRecordings:
    """Two dialogues of anna and ben; the first fold tests what anna says, the second what ben does."""

    @staticmethod
    def part(fold: int, answers, segments=None):
        who = "ab"[fold]
        return run_of(
            "full",
            answers,
            [0, 1, 1],
            tasks=(MOOD,),
            recording_ids=["d1", "d1", "d2"],
            segment_ids=segments or [f"d1-{who}1", f"d1-{who}2", f"d2-{who}1"],
            scheme=f"speaker-{who}",
            run=f"full-{who}",
            chance={"mood": fold},
        )

    def test_are_pooled_segment_by_segment(self):
        answers = pooled([self.part(0, [0, 1, 1]), self.part(1, [1, 1, 1])], "speakers")
        cell = compare([answers]).rows[0].cells["mood"]
        assert len(answers.items) == 6 and cell.figures["accuracy"].mean == pytest.approx(5 / 6)
        assert cell.figures["accuracy"].folds.by_fold == pytest.approx((1, 2 / 3))
        assert "each segment tested once" in table_text(compare([answers]))

    def test_answer_always_what_each_fold_learnt_most(self):
        chance = compare([pooled([self.part(0, [0, 1, 1]), self.part(1, [1, 1, 1])], "speakers")]).chance["mood"]
        assert chance.figures["accuracy"] == pytest.approx((1 + 2) / 6)  # low of the first, high of the second

    def test_may_not_test_a_segment_twice(self):
        again = self.part(1, [1, 1, 1], ["d1-a1", "d1-b2", "d2-b1"])
        with pytest.raises(RunError, match="segment d1-a1 is in the split test of speaker-a and of speaker-b"):
            pooled([self.part(0, [0, 1, 1]), again], "speakers")


def test_runs_of_different_folds_are_not_compared_with_each_other():
    with pytest.raises(RunError, match="different recordings, test of fold1 and of fold2: .*msmt ablate --scheme"):
        compare([fold(0), fold(1, variant="other")])


def test_the_scheme_and_the_network_are_kept_and_files_without_them_are_of_the_standard_one(tmp_path):
    kept = dataclasses.replace(fold(1), network="bigru")
    save(kept, tmp_path / "scored.json")
    assert (load(tmp_path / "scored.json").scheme, load(tmp_path / "scored.json").network) == ("fold2", "bigru")
    text = (tmp_path / "scored.json").read_text()
    earlier = text.replace('"scheme": "fold2", "network": "bigru", ', "")
    assert earlier != text
    (tmp_path / "scored.json").write_text(earlier)
    assert (load(tmp_path / "scored.json").scheme, load(tmp_path / "scored.json").network) == ("standard", "")


class TestTables:
    def test_rows_say_how_many_folds_are_pooled_and_how_far_they_lie_apart(self):
        lines = table_text(compare([whole(), whole("other")])).splitlines()
        assert lines[0].split("  ")[0] == "variant" and "pooled" in lines[0] and "five over folds" in lines[0]
        assert "3 folds" in lines[1] and "60.0" in lines[1] and "50.0 ± 43.3" in lines[1]
        (chance,) = [line for line in lines if line.startswith("most frequent class  ")]
        assert "60.0" in chance and "58.3 ± 14.4" in chance

    def test_the_caption_and_the_notes_say_what_pooling_is(self):
        text = comparison_markdown(compare([whole()]))
        for needed in (
            "pooled over the split test of all 3 folds (scheme folds), each recording tested once (10 recordings)",
            "Over folds: mean ± standard deviation of the folds' own figures.",
            "is no error of their mean",
            "of the training split of each fold to everything: B in 2 folds, A in 1 fold (five).",
        ):
            assert needed in text, needed

    def test_the_csv_has_a_column_for_each_fold(self):
        frame = pd.read_csv(
            io.StringIO(comparison_csv(compare([whole()]), {"wide": "fold2 failed"})), index_col="variant"
        )
        row = frame.loc["full"]
        assert (row["scheme"], row["folds"]) == ("folds", 3)
        assert row["five_accuracy_over_folds_mean"] == 0.5
        assert row[["five_accuracy_fold1", "five_accuracy_fold2", "five_accuracy_fold3"]].tolist() == [0.75, 0, 0.75]
        assert frame.loc["most frequent class", "five_accuracy_fold3"] == 0.75
        assert frame.loc["wide", "seeds"] == 0

    def test_latex_has_as_many_cells_as_columns(self):
        text = comparison_latex(compare([whole(), whole("other")]), {"wide": "fold2 failed"})
        rows = [line for line in text.splitlines() if line.startswith("    ") and "&" in line]
        assert len(rows) == 5 and {row.count("&") for row in rows} == {4}

    def test_the_picture_shows_the_folds_without_warnings(self):
        runs = [at_random(name, skill, seed) for name, skill in (("full", 0.9), ("small", 0.4)) for seed in range(3)]
        alone = [run_of(run.variant, run.predictions["five"], run.labels["five"], run.seed) for run in runs]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert intervals_png(compare(runs)) != intervals_png(compare(alone))

    def test_a_single_fold_is_named_by_the_caption(self):
        assert "on the split test of fold1 (4 recordings)" in comparison_markdown(compare([fold(0)]))

    def test_without_folds_there_is_no_column_of_them(self):
        runs = [run_of("full", [A, B], [A, B], tasks=(FIVE, TWO))]
        assert "folds" not in comparison_markdown(compare(runs)) and "fold" not in comparison_csv(compare(runs))


class TestNetworks:
    def rows(self, *networks: str):
        return compare(
            [run_of(f"row-{index}", [A, B, C], [A, B, A], network=name) for index, name in enumerate(networks)]
        )

    def test_that_differ_have_a_column(self):
        lines = table_text(self.rows("msmt-fn", "bigru")).splitlines()
        assert lines[0].split()[:3] == ["variant", "network", "seeds"] and lines[2].split()[:2] == ["row-1", "bigru"]
        frame = pd.read_csv(io.StringIO(comparison_csv(self.rows("msmt-fn", "bigru"))))
        assert frame["network"].tolist() == ["msmt-fn", "bigru"]

    def test_that_are_all_the_same_have_none(self):
        assert "network" not in table_text(self.rows("bigru", "bigru"))
        assert "network" not in comparison_csv(self.rows("bigru", "bigru"))
