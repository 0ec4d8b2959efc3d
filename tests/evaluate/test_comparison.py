from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from msmt.errors import RunError, SettingError
from msmt.evaluate.comparison import compare
from msmt.evaluate.disagreements import disagreements, mcnemar
from msmt.evaluate.metrics import evaluate, score
from msmt.evaluate.same_items import on_common_items
from msmt.evaluate.scored import scored_from
from msmt.features.tasks import Task, merged
from msmt.tests.evaluate.made import FIVE, MOOD, TWO, VALUE, ablation, guesses, run_of
from scipy import stats

LABELS = np.random.default_rng(7).integers(0, 5, 60)


def right_at(labels, *right: int) -> np.ndarray:
    """Predictions that are right at these places only."""
    wrong = (np.asarray(labels) + 1) % 5
    wrong[list(right)] = np.asarray(labels)[list(right)]
    return wrong


def segments_run(variant: str, answers: np.ndarray, labels: np.ndarray, recordings, task: Task = MOOD, seed: int = 0):
    ids = [f"s{index}" for index in range(len(labels))]
    labels, outputs = {task.name: labels}, {task.name: answers[:, None] if task.is_value else np.eye(2)[answers]}
    return scored_from(variant, seed, variant, "test", [task], labels, outputs, recordings, ids, "s", "f", "c", 1)


class TestRows:
    def test_the_first_variant_is_the_reference_and_rows_keep_their_order(self):
        runs = [run_of(name, LABELS, LABELS, seed) for seed in (0, 1) for name in ("full", "small", "also")]
        comparison = compare(runs)
        assert [row.variant for row in comparison.rows] == ["full", "small", "also"]
        assert [row.cells["five"].difference is None for row in comparison.rows] == [True, False, False]
        assert comparison.rows[1].runs == ("small-0", "small-1") and comparison.rows[1].seeds == (0, 1)

    def test_mean_and_standard_deviation_are_over_seeds(self):
        runs = [
            run_of("full", right_at(LABELS, *range(count)), LABELS, seed) for seed, count in enumerate((30, 36, 45))
        ]
        accuracy = compare(runs).rows[0].cells["five"].figures["accuracy"]
        assert accuracy.by_seed == pytest.approx((0.5, 0.6, 0.75))
        assert accuracy.mean == pytest.approx(np.mean([0.5, 0.6, 0.75]))
        assert accuracy.deviation == pytest.approx(np.std([0.5, 0.6, 0.75], ddof=1))

    def test_one_seed_has_no_deviation(self):
        cell = compare([run_of("full", LABELS, LABELS)]).rows[0].cells["five"]
        assert all(figure.deviation is None for figure in cell.figures.values())

    def test_figures_and_intervals_of_one_run_are_those_of_an_evaluation(self):
        predicted = guesses(LABELS, 0.6, 0)
        cell = compare([run_of("full", predicted, LABELS)]).rows[0].cells["five"]
        outputs = {"five": np.eye(5)[predicted]}
        report = evaluate([FIVE], {"five": LABELS}, outputs)["five"]
        for name, figure in report.figures.items():
            mine = cell.figures[name]
            assert (mine.low, mine.high) == pytest.approx((figure.low, figure.high))

    def test_a_seed_that_is_missing_leaves_the_others(self):
        runs = [run for run in ablation(3) if (run.variant, run.seed) != ("variant-1", 2)]
        rows = compare(runs).rows
        assert [len(row.seeds) for row in rows] == [3, 2, 3]
        assert rows[1].cells["five"].difference is not None

    def test_items_without_a_label_do_not_count(self):
        labels = np.array([0, 1, -1, 2])
        comparison = compare([run_of("full", [0, 1, 3, 0], labels)])
        assert comparison.rows[0].cells["five"].figures["accuracy"].mean == pytest.approx(2 / 3)
        assert comparison.recordings["five"] == comparison.items["five"] == 3

    def test_a_row_may_lack_a_task(self):
        lacking = run_of("text", LABELS, LABELS)
        rows = compare([run_of("full", LABELS, LABELS, tasks=(FIVE, TWO)), lacking]).rows
        assert set(rows[0].cells) == {"five", "two"} and set(rows[1].cells) == {"five"}
        backwards = compare([lacking, run_of("full", LABELS, LABELS, tasks=(FIVE, TWO))]).rows
        assert backwards[1].cells["two"].difference is None

    def test_real_values_are_tested_by_their_error(self):
        labels = np.array([0.0, 1, 2, 3, np.nan])
        runs = [
            segments_run(name, np.array([0.0, 1, 2, 3, 9]) + shift, labels, list("aabbb"), VALUE)
            for name, shift in (("full", 0.5), ("off", -1.0))
        ]
        full, off = (row.cells["sentiment"] for row in compare(runs).rows)
        assert set(full.figures) == {"mae", "corr"} and off.mcnemar is None
        assert (full.figures["mae"].mean, off.figures["mae"].mean) == (0.5, 1.0)
        assert off.difference.value == pytest.approx(0.5) and off.figures["corr"].mean == pytest.approx(1)


class TestDifferences:
    def test_p_and_interval_of_single_runs_are_those_of_a_paired_t_test(self):
        ours, theirs = guesses(LABELS, 0.7, 0), guesses(LABELS, 0.5, 1)
        difference = compare([run_of("full", theirs, LABELS), run_of("new", ours, LABELS)]).rows[1].cells["five"]
        difference = difference.difference
        test = stats.ttest_1samp((ours == LABELS).astype(float) - (theirs == LABELS), 0)
        ends = test.confidence_interval(0.95)
        assert difference.p == pytest.approx(test.pvalue)
        assert (difference.low, difference.high) == pytest.approx((ends.low, ends.high))
        assert not difference.is_over_seeds

    def test_where_recordings_say_nothing_p_and_interval_are_those_of_welchs_t_test_over_seeds(self):
        # Each seed answers all 600 recordings with an error of its own, so recordings scatter no more than 0 does.
        errors = {"full": (0.1, 0.4, 0.2), "new": (0.6, 0.5, 0.8, 0.7)}
        recordings = [f"r{index}" for index in range(600)]
        runs = [
            segments_run(name, np.full(600, error), np.zeros(600), recordings, VALUE, seed)
            for name, of_seeds in errors.items()
            for seed, error in enumerate(of_seeds)
        ]
        difference = compare(runs).rows[1].cells["sentiment"].difference
        test = stats.ttest_ind(errors["new"], errors["full"], equal_var=False)
        ends = test.confidence_interval(0.95)
        assert difference.p == pytest.approx(test.pvalue)
        assert (difference.low, difference.high) == pytest.approx((ends.low, ends.high))
        assert difference.is_over_seeds and difference.is_marked

    def test_the_same_answers_give_p_one(self):
        predicted = guesses(LABELS, 0.5, 0)
        cell = compare([run_of("full", predicted, LABELS), run_of("same", predicted, LABELS)]).rows[1].cells["five"]
        difference = cell.difference
        assert (difference.value, difference.low, difference.high, difference.p) == (0, 0, 0, 1)

    def test_seeds_widen_an_interval_and_raise_a_p(self):
        skills = {"full": (0.45, 0.6, 0.75), "new": (0.6, 0.75, 0.9)}
        runs = [
            run_of(name, guesses(LABELS, skill, 10 * seed), LABELS, seed)
            for name, of_seeds in skills.items()
            for seed, skill in enumerate(of_seeds)
        ]
        cell = compare(runs).rows[1].cells["five"]
        fixed = np.mean([run.predictions["five"] == LABELS for run in runs[3:]], axis=0)
        fixed = fixed - np.mean([run.predictions["five"] == LABELS for run in runs[:3]], axis=0)
        over_recordings = stats.ttest_1samp(fixed, 0)
        width = np.diff(tuple(over_recordings.confidence_interval(0.95))).item()
        assert cell.difference.high - cell.difference.low > 1.2 * width
        assert cell.difference.p > over_recordings.pvalue

    @pytest.mark.parametrize(("seeds", "is_marked"), [(1, False), (2, False), (3, True), (5, True)])
    def test_a_row_is_marked_from_three_seeds_on_however_small_its_p(self, seeds, is_marked):
        labels = np.zeros(200, int)
        runs = [
            run_of(name, np.where(np.arange(200) % step == seed, 1, 0), labels, seed)
            for name, step in (("full", 5), ("new", 50))
            for seed in range(seeds)
        ]
        difference = compare(runs).rows[1].cells["five"].difference
        assert difference.p_holm < 1e-4 and difference.is_marked == is_marked
        assert difference.is_over_seeds == (seeds > 1)

    def test_one_seed_of_the_first_row_marks_nothing(self):
        runs = [run_of("full", right_at(LABELS), LABELS)] + [run_of("new", LABELS, LABELS, seed) for seed in range(3)]
        difference = compare(runs).rows[1].cells["five"].difference
        assert difference.p_holm < 1e-9 and not difference.is_marked and not difference.is_over_seeds

    def test_p_is_never_zero(self):
        rows = compare([run_of("full", right_at(LABELS), LABELS), run_of("new", LABELS, LABELS)]).rows
        assert rows[1].cells["five"].difference.p == pytest.approx(2 / 2**60)

    def test_few_recordings_never_make_a_certain_difference(self):
        labels = np.arange(5)
        rows = compare([run_of("full", right_at(labels), labels), run_of("new", labels, labels)]).rows
        assert rows[1].cells["five"].difference.p == pytest.approx(2 / 2**5)

    def test_p_is_below_a_level_about_as_often_as_the_level_says_where_nothing_differs(self):
        below = 0
        for seed in range(300):
            labels = np.random.default_rng([1, seed]).integers(0, 5, 80)
            runs = [run_of(name, guesses(labels, 0.6, 2 * seed + place), labels) for place, name in enumerate("ab")]
            below += compare(runs).rows[1].cells["five"].difference.p < 0.05
        assert 3 <= below <= 27  # 15 are expected, with a standard deviation of 3.8

    def test_seeds_are_averaged_within_each_recording(self):
        # Each seed is right on one half: averaged, every recording counts a half and no resample differs from another.
        halves = [right_at(LABELS, *range(30)), right_at(LABELS, *range(30, 60))]
        runs = [run_of("full", LABELS, LABELS)] + [
            run_of("new", half, LABELS, seed) for seed, half in enumerate(halves)
        ]
        difference = compare(runs).rows[1].cells["five"].difference
        assert (difference.low, difference.value, difference.high) == pytest.approx((-0.5, -0.5, -0.5))
        assert not difference.is_over_seeds  # of one seed of the first row nothing is known

    def test_segments_of_a_recording_stay_together(self):
        # Ten recordings of ten segments; four of them turned from all wrong to all right.
        labels, recordings = np.zeros(100, int), np.repeat([f"r{index}" for index in range(10)], 10)
        better = np.repeat([0] * 4 + [1] * 6, 10)
        runs = [
            segments_run("full", np.ones(100, int), labels, recordings),
            segments_run("new", better, labels, recordings),
        ]
        comparison = compare(runs)
        difference = comparison.rows[1].cells["mood"].difference
        assert (comparison.recordings["mood"], comparison.items["mood"]) == (10, 100)
        assert difference.p == pytest.approx(2 / 2**4)
        ends = stats.ttest_1samp([1] * 4 + [0] * 6, 0).confidence_interval(0.95)
        assert (difference.low, difference.high) == pytest.approx((ends.low, ends.high))

    def test_nothing_is_drawn_so_that_a_comparison_is_always_the_same(self):
        runs = ablation(3, 3)
        assert compare(runs).rows == compare(runs).rows

    def test_holm_multiplies_the_least_p_by_all_rows_and_never_falls(self):
        rows = compare(ablation(6)).rows
        for name in ("five", "two"):
            pairs = sorted((row.cells[name].difference.p, row.cells[name].difference.p_holm) for row in rows[1:])
            expected, least = [], 0.0
            for place, (p, _) in enumerate(pairs):
                least = max(least, min(1.0, (5 - place) * p))
                expected.append(least)
            assert [holm for _, holm in pairs] == pytest.approx(expected)

    def test_two_rows_need_no_correction(self):
        difference = compare(ablation(2)).rows[1].cells["five"].difference
        assert difference.p_holm == difference.p


class TestSpeakers:
    def runs(self, **fields):
        labels = np.arange(24) % 5
        fields = {"speakers": [f"s{index // 6}" for index in range(24)]} | fields
        return [
            run_of("full", guesses(labels, 0.4, 1), labels, **fields),
            run_of("new", guesses(labels, 0.8, 2), labels, **fields),
        ]

    def test_speakers_are_left_out_whole(self):
        comparison = compare(self.runs(), unit="speaker")
        assert (comparison.unit, comparison.units["five"], comparison.recordings["five"]) == ("speaker", 4, 24)
        runs = self.runs()
        gains = np.subtract(*(run.predictions["five"] == run.labels["five"] for run in runs[::-1]), dtype=float)
        ends = stats.ttest_1samp(gains.reshape(4, 6).mean(axis=1), 0).confidence_interval(0.95)
        difference = comparison.rows[1].cells["five"].difference
        assert (difference.low, difference.high) == pytest.approx((ends.low, ends.high))
        assert difference.p >= 2 / 2**4

    @pytest.mark.parametrize(
        ("speakers", "says"),
        [
            (None, "run full-0 was scored on test before msmt kept speakers: score it again with msmt eval"),
            ([""] * 2 + ["a"] * 22, "2 of 24 recordings of test have no speaker, the first is r0: resample recordings"),
            (["a"] * 24, "all recordings of test are of one speaker.*: resample recordings"),
        ],
    )
    def test_without_speakers_it_says_what_to_do(self, speakers, says):
        with pytest.raises(RunError, match=says):
            compare(self.runs(speakers=speakers), unit="speaker")

    def test_another_unit_is_refused(self):
        with pytest.raises(SettingError, match="resample must be recording or speaker, but is 'call'"):
            compare(self.runs(), unit="call")

    def test_another_order_of_the_recordings_keeps_their_speakers(self):
        first, second = self.runs()
        order = np.random.default_rng(0).permutation(24)
        labels = np.arange(24) % 5
        shuffled = run_of(
            "new",
            second.predictions["five"][order],
            labels[order],
            recording_ids=[f"r{index}" for index in order],
            speakers=[second.speakers[index] for index in order],
        )
        mixed, plain = (compare([first, other], unit="speaker").rows[1] for other in (shuffled, second))
        assert mixed.cells["five"].difference == plain.cells["five"].difference


class TestChance:
    def test_the_line_answers_the_class_that_the_training_split_has_most_of(self):
        labels = np.array([0, 1, 1, 2])
        runs = [run_of(name, labels, labels, chance={"five": 1}) for name in ("full", "new")]
        chance = compare(runs).chance["five"]
        assert (chance.answer, chance.figures["accuracy"], chance.figures["uar"]) == ("B", 0.5, pytest.approx(1 / 3))

    def test_it_is_absent_where_no_run_knows_it(self):
        assert compare(ablation(2)).chance == {}

    def test_seeds_that_answer_one_class_only_are_found(self):
        runs = [run_of("full", guesses(LABELS, 0.6, 0), LABELS), run_of("flat", np.full(60, 2), LABELS)]
        runs += [run_of("half", answers, LABELS, seed) for seed, answers in enumerate((np.full(60, 1), LABELS))]
        full, flat, half = (row.cells["five"] for row in compare(runs).rows)
        assert (full.constant_answers, full.is_constant) == ((), False)
        assert (flat.constant_answers, flat.is_constant) == ((2,), True)
        assert (half.constant_answers, half.is_constant) == ((1,), False)

    def test_one_class_is_no_flaw_where_there_is_but_one_label(self):
        labels = np.zeros(5, int)
        assert not compare([run_of("full", labels, labels)]).rows[0].cells["five"].is_constant

    def test_values_that_hardly_vary_are_one_answer(self):
        labels, recordings = np.linspace(-2, 2, 20), [f"r{index}" for index in range(20)]
        runs = [
            segments_run(name, 0.3 + spread * labels, labels, recordings, VALUE)
            for name, spread in (("full", 0.5), ("flat", 1e-4))
        ]
        full, flat = (row.cells["sentiment"] for row in compare(runs).rows)
        assert not full.is_constant and flat.constant_answers == (pytest.approx(0.3),)


class TestRefusals:
    def other(self, **fields):
        return dataclasses.replace(run_of("other", LABELS, LABELS), **fields)

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"split": "val"}, "different splits, test and val: score both on one"),
            ({"fingerprint": "beef"}, r"different stores.*\(f00d\).*\(beef\): train and score both on one"),
            ({"recording_ids": tuple(f"r{i}" for i in range(1, 61))}, "different recordings of test.*only one has r0"),
            ({"segment_ids": tuple(f"s{i}" for i in range(60))}, "one predicts for recordings and one for segments"),
            (
                {"labels": {"five": np.where(np.arange(60) == 4, 0, LABELS)}},
                "different labels of task five, first at r4",
            ),
        ],
    )
    def test_what_cannot_be_compared_is_refused_in_one_line(self, fields, says):
        assert LABELS[4] != 0
        with pytest.raises(RunError, match=says) as caught:
            compare([run_of("full", LABELS, LABELS), self.other(**fields)])
        assert "\n" not in str(caught.value) and "full-0" in str(caught.value) and "other-0" in str(caught.value)

    def test_fewer_recordings_are_refused(self):
        with pytest.raises(RunError, match="60 and 59; only one has r59"):
            compare([run_of("full", LABELS, LABELS), run_of("other", LABELS[:59], LABELS[:59])])

    def test_a_store_that_grew_between_is_no_other_as_long_as_what_was_scored_is_the_same(self):
        read = {"segments": "s", "values": {"hubert": "h", "roberta": "r"}}
        first = dataclasses.replace(run_of("full", LABELS, LABELS), **read)
        text_only = self.other(fingerprint="beef", **(read | {"values": {"roberta": "r", "wavlm": "w"}}))
        assert len(compare([first, text_only]).rows) == 2
        for other, says in (
            ({"values": {"hubert": "H"}}, "different values of the same feature for the same segments of test"),
            ({"segments": "S"}, "recordings of test with other segments"),
        ):
            with pytest.raises(RunError, match=says):
                compare([first, self.other(fingerprint="beef", **(read | other))])

    def test_several_stores_can_be_allowed(self):
        runs = [run_of("full", LABELS, LABELS), self.other(fingerprint="beef", store="cache/quiet.zarr")]
        row = compare(runs, same_store=False).rows[1]
        assert (row.stores, row.fingerprints) == (("cache/quiet.zarr",), ("beef",))

    def test_another_order_of_the_recordings_is_no_other_set(self):
        order = np.random.default_rng(0).permutation(60)
        predicted = guesses(LABELS, 0.5, 0)
        shuffled = run_of("same", predicted[order], LABELS[order], recording_ids=[f"r{index}" for index in order])
        runs = [run_of("full", predicted, LABELS), shuffled]
        assert compare(runs).rows[1].cells["five"].difference.value == 0
        assert mcnemar(*runs, FIVE).p == 1 and disagreements(runs).empty

    def test_a_task_that_means_something_else_is_refused(self):
        runs = [
            run_of(name, LABELS, LABELS, tasks=(FIVE, merged(FIVE, "two", *groups)))
            for name, groups in (("full", ("A", "B+C+D+E")), ("other", ("A+B", "C+D+E")))
        ]
        with pytest.raises(RunError, match="mean different things by task two"):
            compare(runs)

    def test_a_seed_that_is_there_twice_is_refused(self):
        runs = [run_of("full", LABELS, LABELS), run_of("full", LABELS, LABELS, run="again")]
        with pytest.raises(RunError, match="two results for seed 0, of runs full-0 and again: leave one out"):
            compare(runs)

    def test_nothing_to_compare_is_said(self):
        with pytest.raises(RunError, match="no scored run"):
            compare([])
        with pytest.raises(RunError, match="test has no labels"):
            compare([run_of("full", [0], [-1])])


class TestMcNemar:
    def test_the_p_is_the_exact_binomial_one(self):
        labels = np.zeros(12, int)
        a, b = right_at(labels, 0, 1, 2), right_at(labels, *range(2, 11))
        test = mcnemar(run_of("a", a, labels), run_of("b", b, labels), "five")
        assert (test.b_only, test.a_only) == (8, 2)
        assert test.p == pytest.approx(2 * (1 + 10 + 45) / 2**10)

    def test_equal_answers_have_nothing_to_divide(self):
        test = mcnemar(run_of("a", LABELS, LABELS), run_of("b", LABELS, LABELS), FIVE)
        assert (test.b_only, test.a_only, test.p) == (0, 0, 1)

    def test_unlabelled_items_do_not_count(self):
        test = mcnemar(run_of("a", [0, 1], [0, -1]), run_of("b", [1, -1], [0, -1]), FIVE)
        assert (test.b_only, test.a_only) == (0, 1)

    def test_real_values_and_unknown_tasks_are_refused(self):
        run = segments_run("a", np.zeros(2), np.zeros(2), ["r", "r"], VALUE)
        with pytest.raises(RunError, match="has real values"):
            mcnemar(run, run, VALUE)
        with pytest.raises(RunError, match=r"task five: choose one of its own \(sentiment\)"):
            mcnemar(run, run, "five")

    def test_it_is_part_of_a_comparison_of_single_runs_only(self):
        assert compare(ablation(2, 1)).rows[1].cells["five"].mcnemar is not None
        assert compare(ablation(2, 2)).rows[1].cells["five"].mcnemar is None


class TestDisagreements:
    def test_a_row_for_each_recording_with_label_and_predictions(self):
        labels = np.array([0, 1, 2, -1])
        frame = disagreements([run_of("a", [0, 1, 1, 0], labels), run_of("b", [0, 3, 1, 2], labels)], "five")
        assert frame.columns.tolist() == ["recording_id", "label", "a", "b"]
        assert frame.values.tolist() == [["r1", "B", "B", "D"], ["r3", "", "A", "C"]]

    def test_all_tasks_stand_below_each_other(self):
        labels = np.array([0, 1])
        runs = [run_of(name, answer, labels, tasks=(FIVE, TWO)) for name, answer in (("a", [0, 1]), ("b", [1, 4]))]
        frame = disagreements(runs)
        assert frame[["task", "recording_id", "a", "b"]].values.tolist() == [
            ["five", "r0", "A", "B"],
            ["five", "r1", "B", "E"],
            ["two", "r1", "A+B+C", "D+E"],
        ]

    def test_seeds_of_a_row_have_columns_of_their_own_and_no_name_is_taken_twice(self):
        runs = [run_of("label", [0], [0], seed) for seed in (0, 1)] + [run_of("task", [1], [0])]
        assert disagreements(runs).columns.tolist()[2:] == ["label", "label, seed 0", "label, seed 1", "task (row)"]

    def test_segments_are_named(self):
        labels = np.array([0, 1])
        runs = [segments_run("a", np.array([0, 1]), labels, "rr"), segments_run("b", np.array([0, 0]), labels, "rr")]
        assert disagreements(runs, MOOD).values.tolist() == [["r", "s1", "high", "high", "low"]]

    def test_real_values_have_none(self):
        runs = [
            segments_run(name, np.full(2, float(value)), np.zeros(2), "rr", VALUE)
            for name, value in (("a", 1), ("b", 2))
        ]
        assert disagreements(runs).columns.tolist() == ["task", "recording_id", "segment_id", "label", "a", "b"]


def test_each_seeds_figures_are_those_that_training_watches():
    run = run_of("full", guesses(LABELS, 0.6, 0), LABELS)
    cell = compare([run]).rows[0].cells["five"]
    watched = score([FIVE], {"five": LABELS}, {"five": np.eye(5)[run.predictions["five"]]})
    assert {f"five/{name}": figure.by_seed[0] for name, figure in cell.figures.items()} == pytest.approx(watched)


class TestItemsThatSomeRunsLack:
    """A run on text has answers of segments of which the audio cannot be used."""

    def test_all_rows_are_of_the_items_that_all_have_and_a_line_says_which_are_left_out(self):
        labels = np.arange(60) % 5
        text, audio = run_of("text", labels, labels), run_of("audio", labels[:59], labels[:59])
        (one, other), lines = on_common_items([text, audio])
        assert one.items == other.items == audio.items
        assert lines == [
            "1 of 60 recordings of test are left out of all rows, for one or more rows have no features of them; the first"
            " is r59"
        ]
        assert compare([one, other]).tasks
        assert one.labels["five"].tolist() == labels[:59].tolist()

    def test_runs_of_the_same_items_stay_as_they_are(self):
        runs = ablation(2)
        same, lines = on_common_items(runs)
        assert same == runs and lines == []

    def test_what_has_little_in_common_is_left_to_be_refused(self):
        labels = np.arange(60) % 5
        runs = [run_of("whole", labels, labels), run_of("half", labels[:30], labels[:30])]
        same, lines = on_common_items(runs)
        assert same == runs and lines == []
