"""What papers have published: rows that say what they are, and how they stand beside an evaluation."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
from msmt.evaluate.comparison import compare
from msmt.evaluate.metrics import evaluate
from msmt.evaluate.published.beside import published_json, published_markdown
from msmt.evaluate.published.registry import CORPORA, caution, is_published, published_figure, rows_named, rows_of
from msmt.evaluate.results import figures_of
from msmt.evaluate.score_table import score_table
from msmt.evaluate.scored import scored_from
from msmt.evaluate.tables.markdown import comparison_markdown
from msmt.evaluate.tables.picture import intervals_png
from msmt.evaluate.tables.records import comparison_csv
from msmt.evaluate.tables.screen import table_text
from msmt.features.tasks import Task

EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
TASKS = {
    "marketcalls": [Task("five", tuple("ABCDE")), *(Task(name, ("x", "y")) for name in ("two", "three", "four"))],
    "mosi": [Task("sentiment", level="segment", scale="sentiment")],
    "mosei": [Task("sentiment", level="segment", scale="sentiment")],
    "meld": [Task("emotion", EMOTIONS, "segment"), Task("next_emotion", EMOTIONS, "segment", follows="emotion")],
    "iemocap": [
        Task("emotion", ("angry", "happy", "neutral", "sad"), "segment"),
        Task("next_emotion", ("angry", "happy", "neutral", "sad"), "segment", follows="emotion"),
    ],
}
EMOTION, NEXT = TASKS["meld"]
SENTIMENT = TASKS["mosi"][0]
ROWS = [(dataset, row) for dataset, corpus in CORPORA.items() for row in corpus.rows]


class TestTheRows:
    def test_each_names_a_task_of_its_corpus_and_figures_that_this_task_has(self):
        for dataset, row in ROWS:
            tasks = {task.name: task for task in TASKS[dataset]}
            for name, figures in row.figures.items():
                assert figures and set(figures) <= set(figures_of(tasks[name])), row
                assert dataset == "marketcalls" or row in rows_of(tasks[name], dataset), row
            if row.f1_of_classes:
                assert set(row.f1_of_classes) <= set(tasks["emotion"].classes), row

    def test_shares_are_in_percent_and_errors_and_correlations_are_not(self):
        for _, row in ROWS:
            assert all(0 <= share <= 100 for share in row.f1_of_classes.values())
            for figures in row.figures.values():
                for name, number in figures.items():
                    low, high = (0, 1) if name in ("mae", "corr") else (20, 100)
                    assert low < number < high, (row, name)

    def test_no_two_rows_are_of_the_same_name_and_task(self):
        keys = [(dataset, row.name, task) for dataset, row in ROWS for task in row.figures]
        assert len(set(keys)) == len(keys)

    @pytest.mark.parametrize("dataset", CORPORA)
    def test_few_of_each_task_are_shown_and_all_of_these_are_there(self, dataset):
        corpus = CORPORA[dataset]
        assert set(corpus.beside) <= {row.name for row in corpus.rows}
        for task in TASKS[dataset]:
            assert 0 < len([row for row in corpus.shown if task.name in row.figures]) <= 6

    def test_all_rows_of_the_tables_are_there(self):
        counts = {dataset: len(corpus.rows) for dataset, corpus in CORPORA.items()}
        # MELD: 3 rows of MSMT-FN; 7 × 3 systems and 4 rows of CM-RoBERTa, 2 more for audio; emotional cues 9 + 3 + 9.
        assert counts == {"marketcalls": 7, "mosi": 16, "mosei": 14, "meld": 3 + 21 + 4 + 2 + 21, "iemocap": 21}

    def test_differences_of_an_ablation_are_taken_off_the_full_system(self):
        assert published_figure("Emotional cues, no KWRT", "iemocap", TASKS["iemocap"][1], "uar") == 80.99
        assert round(81.92 - 0.93, 2) == 80.99


class TestLookingUp:
    def test_a_name_means_the_row_of_the_dataset(self):
        assert published_figure("MMML", "mosi", SENTIMENT, "mae") == 0.6429
        assert published_figure("MMML", "mosei", SENTIMENT, "mae") == 0.5174
        assert published_figure("MMML", "marketcalls", TASKS["marketcalls"][0], "accuracy") == 52.12

    def test_all_tables_of_a_name_are_found(self):
        assert [row.table for row in rows_named("CM-RoBERTa, no attention unit", "meld")] == ["table 1"]
        assert [row.table for row in rows_named("Emotional cues", "iemocap")] == ["table 1", "table 2"]

    def test_rows_of_one_corpus_are_not_taken_for_those_of_another(self):
        assert rows_named("CM-RoBERTa", "emodb") == () and is_published("CM-RoBERTa") and not is_published("GPT")
        assert published_figure("CM-RoBERTa", "emodb", EMOTION, "weighted_f1") is None

    def test_a_name_without_a_dataset_is_one_of_marketcalls(self):
        assert published_figure("MMML", "", TASKS["marketcalls"][0], "accuracy") == 52.12

    def test_rows_of_other_classes_do_not_fit(self):
        assert rows_of(EMOTION, "meld") and not rows_of(Task("emotion", EMOTIONS[:4], "segment"), "meld")
        six = Task("emotion", ("angry", "excited", "frustrated", "happy", "neutral", "sad"), "segment")
        assert rows_of(six, "iemocap") == rows_of(TASKS["iemocap"][0], "iemocap")  # the paper does not say which
        assert rows_of(EMOTION, "a corpus of one's own") == ()


class TestCautions:
    def test_the_test_split_of_the_usual_size_needs_none(self):
        assert caution("mosi", "test", 686) == caution("meld", "test", 2610) == caution("iemocap", "test", 7) == ""

    def test_a_few_items_less_are_nearly_the_same(self):
        assert "2,609 with a label, so they are of nearly the same segments" in caution("meld", "test", 2609)

    def test_another_size_split_or_fold_cannot_be_compared(self):
        for split, count in (("test", 2000), ("val", 2610), ("test of fold1", 2610)):
            assert "is another set" in caution("meld", split, count)

    def test_what_no_paper_says_is_taken_to_be(self):
        assert "figures are taken to be for the 686 test segments of CMU-MOSI" in caution("mosi", "val", 229)
        assert "figures are for the 2,610 test segments of MELD" in caution("meld", "val", 1109)

    def test_how_many_segments_are_followed_by_another_one_is_not_known(self):
        assert caution("meld", "test", 2330, NEXT) == "" and caution("meld", "val", 1000, NEXT)


def of_meld(count=300):
    random = np.random.default_rng(0)
    labels = random.integers(0, 7, count)
    following = np.where(np.arange(count) % 10 == 9, -1, np.roll(labels, -1))
    answers = {name: np.eye(7)[random.integers(0, 7, count)] for name in ("emotion", "next_emotion")}
    dialogues = [f"d{index // 10}" for index in range(count)]
    labels = {"emotion": labels, "next_emotion": following}
    return evaluate([EMOTION, NEXT], labels, answers, dialogues, {"emotion": 4, "next_emotion": 4})


def of_mosi(count=60):
    labels = np.round(np.random.default_rng(1).uniform(-3, 3, count), 1)
    return evaluate([SENTIMENT], {"sentiment": labels}, {"sentiment": labels[:, None] / 2})


class TestOnTheScreen:
    def test_figures_of_a_value_stand_above_those_of_papers_in_the_order_of_their_table(self):
        lines = score_table("test", of_mosi(), "mosi").splitlines()
        start = next(place for place, line in enumerate(lines) if line.startswith("sentiment, published"))
        headings = ["acc-2 has0", "F1 has0", "acc-2 non0", "F1 non0", "acc-7", "MAE", "corr"]
        assert [word.strip() for word in lines[start].split("  ") if word.strip()][2:] == headings
        assert lines[start + 1].startswith("this run")
        row = next(line for line in lines if line.startswith("MSMT-FN "))
        assert row.split() == "MSMT-FN MSMT-FN, table 2 86.15 86.14 91.21 91.38 51.02 0.646 0.824".split()
        assert "All 16 published rows of sentiment are in the Markdown file." in lines

    def test_f1_of_each_class_stands_beside_those_that_are_printed(self):
        lines = score_table("test", of_meld(), "meld").splitlines()
        start = next(place for place, line in enumerate(lines) if line.startswith("emotion, F1 of each class"))
        assert lines[start].split()[-7:] == list(EMOTIONS)
        assert lines[start + 1].startswith("this run") and lines[start + 2].split()[0] == "n"
        row = next(line for line in lines[start:] if line.startswith("MSMT-FN "))
        assert row.split()[-7:] == ["55.96", "–", "–", "56.98", "85.12", "35.78", "72.24"]

    def test_what_comes_next_is_judged_by_mean_recall_first(self):
        text = score_table("test", of_meld(), "meld")
        lines = [line.split() for line in text.splitlines()]
        place = next(place for place, words in enumerate(lines) if words[:2] == ["next_emotion", "270"])
        assert lines[place - 1] == ["task", "n", "UAR", "macro", "F1", "accuracy", "weighted", "F1"]
        assert lines[place + 1][:4] == ["most", "frequent", "class", "(neutral)"] and lines[place + 1][4] == "14.3"

    def test_a_split_that_is_not_theirs_is_said(self):
        assert "is another set and has 60, so the figures cannot be compared" in score_table("val", of_mosi(), "mosi")

    def test_nothing_is_published_on_other_corpora(self):
        assert "published" not in score_table("test", of_mosi(), "sims") + score_table("test", of_mosi())


class TestInFiles:
    def test_all_rows_are_in_the_page(self):
        page = published_markdown("test", of_meld(), "meld")
        assert page.count("\n| ") == 3 * 3 + 1 + 39 + 12 + 6  # headings, rules and ours; n; theirs
        assert "| Emotional cues, no KWRT | Emotional cues, table 3 | 44.98 | 44.63 |" in page
        assert "- CM-RoBERTa says that it was tested on 2,610 segments." in page

    def test_there_is_no_page_where_nothing_is_published(self):
        assert published_markdown("test", of_mosi(), "sims") == "" and published_json(of_mosi(), "sims") == {}

    def test_programs_read_the_same_rows(self):
        rows = json.loads(json.dumps(published_json(of_mosi(), "mosi")))["sentiment"]
        ours = next(row for row in rows if row["name"] == "MSMT-FN")
        assert ours["paper"] == "MSMT-FN" and ours["table"] == "table 2" and ours["figures"]["accuracy_7"] == 51.02


def runs_of(task, published, dataset, kind="value"):
    """Two variants of three seeds, the second one worse."""
    random = np.random.default_rng(5)
    count = 120
    labels = np.round(random.uniform(-3, 3, count), 1) if task.is_value else random.integers(0, 7, count)
    ids = [f"r{index // 4}" for index in range(count)], [f"s{index}" for index in range(count)]
    runs = []
    for variant, noise, paper in zip(("full", "less"), (0.3, 0.7), published, strict=True):
        for seed in range(3):
            if task.is_value:
                outputs = labels[:, None] + random.normal(0, 3 * noise, (count, 1))
            else:
                outputs = np.eye(7)[np.where(random.random(count) < noise, random.integers(0, 7, count), labels)]
            about = ("store", "f00d", "msmt train", 1, paper)
            outputs, truth = {task.name: outputs}, {task.name: labels}
            run = f"{variant}-{seed}"
            runs.append(scored_from(variant, seed, run, "test", [task], truth, outputs, *ids, *about, dataset=dataset))
    return compare(runs)


class TestInComparisons:
    def header_and_rows(self, comparison):
        table = next(line for line in comparison_markdown(comparison).split("\n\n") if line.startswith("| variant"))
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]

    def test_the_error_that_is_published_stands_beside_ours(self):
        header, _, full, less = self.header_and_rows(runs_of(SENTIMENT, ["MSMT-FN", "MMML"], "mosi"))
        assert header == ["variant", "seeds", "sentiment (MAE)", "sentiment (paper)"]
        assert (full[3], less[3]) == ("0.646", "0.643")

    def test_another_figure_that_is_published_stands_beside_ours_of_that_name(self):
        published = ["CM-RoBERTa", "CM-RoBERTa, no attention unit"]
        header, _, full, less = self.header_and_rows(runs_of(EMOTION, published, "meld"))
        assert header[2:] == ["emotion", "emotion (weighted F1)", "emotion (weighted F1, paper)"]
        assert (full[4], less[4]) == ("66.28", "65.66") and full[3] != full[2] and 0 < float(full[3]) < 100

    def test_what_comes_next_is_tested_by_mean_recall(self):
        comparison = runs_of(NEXT, ["Emotional cues", "Emotional cues, no PE"], "meld")
        header, _, full, less = self.header_and_rows(comparison)
        assert header[2:] == ["next_emotion (UAR)", "next_emotion (paper)"] and full[3] == "46.10"
        cell = comparison.rows[1].cells["next_emotion"]
        reference = comparison.rows[0].cells["next_emotion"]
        assert cell.difference.value == pytest.approx(cell.figures["uar"].mean - reference.figures["uar"].mean)
        assert table_text(comparison).splitlines()[0].split()[2:4] == ["next_emotion", "(UAR)"]
        assert "UAR (mean recall of the classes) in per cent of what comes next on the split test" in table_text(
            comparison
        )

    def test_every_figure_of_a_scale_is_a_column_for_programs(self):
        frame = pd.read_csv(io.StringIO(comparison_csv(runs_of(SENTIMENT, ["MSMT-FN", ""], "mosi"))))
        assert {f"sentiment_{name}_low" for name in figures_of(SENTIMENT)} <= set(frame)
        assert frame["sentiment_paper"][0] == 0.6458 and np.isnan(frame["sentiment_paper"][1])
        assert frame["sentiment_corr_paper"][0] == 0.8243 and frame["sentiment_f1_2_non0_paper"][0] == 0.9138

    def test_rerun_lines_name_the_paper(self):
        text = comparison_markdown(runs_of(EMOTION, ["DF-ERC", ""], "meld"))
        assert "; the published DF-ERC (MSMT-FN, table 3) stands beside" in text
        assert "The published figures are for the 2,610 test segments of MELD." in text

    def test_pictures_are_drawn(self):
        for task, dataset in ((SENTIMENT, "mosi"), (NEXT, "meld")):
            assert intervals_png(runs_of(task, ["MSMT-FN", ""], dataset)).startswith(b"\x89PNG")

    def test_columns_of_many_figures_have_the_short_names_of_papers(self):
        lines = table_text(runs_of(SENTIMENT, ["MSMT-FN", ""], "mosi")).splitlines()
        header = next(line for line in lines if line.startswith("sentiment "))
        names = ["acc-2 has0", "F1 has0", "acc-2 non0", "F1 non0", "acc-7", "acc-5", "corr"]
        assert [word.strip() for word in header.split("  ") if word.strip()][-7:] == names

    def test_only_published_rows_of_the_tasks_at_hand_are_named(self):
        text = comparison_markdown(runs_of(NEXT, ["Emotional cues", ""], "meld"))
        assert "Emotional cues, table 1) stands" in text and "Emotional cues, table 2" not in text
