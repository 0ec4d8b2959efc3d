"""What a corpus calls things must not command the terminal, the document or the spreadsheet that shows it."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from msmt.evaluate.comparison import compare
from msmt.evaluate.disagreements import disagreements
from msmt.evaluate.tables.files import write_comparison
from msmt.evaluate.tables.latex import comparison_latex
from msmt.evaluate.tables.markdown import comparison_markdown
from msmt.evaluate.tables.picture import intervals_png
from msmt.evaluate.tables.records import comparison_csv
from msmt.evaluate.tables.screen import table_text
from msmt.evaluate.lettering import Lettering
from msmt.evaluate.metrics import evaluate
from msmt.evaluate.report import metrics_json, predictions_csv
from msmt.evaluate.score_table import score_table
from msmt.features.tasks import Task
from msmt.progress import for_terminal
from msmt.shown import as_cell, as_line, as_lines
from msmt.tests.evaluate.made import run_of

HOSTILE = "\x1b[2J\x9b31mred\x07\u202egpj\nsecond"
LABELS = np.array([0, 1, 1, 0])


def is_harmless(text: str) -> bool:
    return not any(mark in text for mark in ("\x1b", "\x9b", "\x07", "\u202e"))


def test_what_a_terminal_obeys_is_spelled_out_and_lines_stay_one():
    assert as_line(HOSTILE) == "\\x1b[2J\\x9b31mred\\x07\\u202egpj second"
    assert as_line("生气 très\u200dfâché") == "生气 très\u200dfâché"
    assert as_line("half \ud800 a character").encode() == b"half \\ud800 a character"


def test_a_text_of_several_lines_keeps_its_lines_and_their_indentation():
    assert as_lines("a\n  b\x1b[0m\n") == "a\n  b\\x1b[0m\n"


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "-1-2", "--", "=-1"])
def test_a_cell_that_a_spreadsheet_would_compute_is_text(text):
    assert as_cell(text).startswith("'")


@pytest.mark.parametrize("value", ["-0.123", "+5", "-1e-5", ".5", "-.5", "words", "A+B+C", "a=b", "", -0.5, 3, None])
def test_numbers_and_names_stay_as_they_are(value):
    assert as_cell(value) == value and type(as_cell(value)) is type(value)


class TestTables:
    task = Task(f"mood{HOSTILE}", (f"=1{HOSTILE}", "-0.5"))

    def reports(self):
        labels = {self.task.name: LABELS}
        return evaluate([self.task], labels, {self.task.name: np.eye(2)[LABELS]})

    def compared(self):
        runs = [
            run_of(f"+{name}{HOSTILE}", answer, LABELS, tasks=(self.task,), split=f"t{HOSTILE}")
            for name, answer in (("a", LABELS), ("b", 1 - LABELS))
        ]
        return compare(runs), disagreements(runs)

    def test_of_scores(self):
        shown = score_table(f"test{HOSTILE}", self.reports())
        assert is_harmless(shown) and "mood\\x1b[2J" in shown and "test\\x1b[2J" in shown

    def test_of_predictions_while_the_metrics_stay_exact(self):
        outputs = {self.task.name: np.eye(2)[LABELS]}
        text = predictions_csv([self.task], {self.task.name: LABELS}, outputs, ["@r1", "r2", "-3", f"r{HOSTILE}"])
        rows = list(csv.reader(io.StringIO(text)))
        assert is_harmless(text) and len(rows) == 5
        assert [row[0] for row in rows[1:]] == ["'@r1", "r2", "-3", as_line(f"r{HOSTILE}")]
        assert rows[1][1].startswith("'=1") and rows[2][1] == "-0.5"
        assert "\\u001b" in metrics_json("test", self.reports(), {})

    def test_of_comparisons_in_every_form(self):
        compared, differing = self.compared()
        failed = {f"c{HOSTILE}": f"no\x1b[0m\nreason{HOSTILE}"}
        for form in (comparison_csv, comparison_markdown, comparison_latex, table_text):
            assert is_harmless(form(compared, failed)), form
        assert intervals_png(compared).startswith(b"\x89PNG")
        names = [row["variant"] for row in csv.DictReader(io.StringIO(comparison_csv(compared, failed)))]
        assert names[0].startswith("'+a") and names[2].startswith("c\\x1b")
        assert len(differing) == 4

    def test_of_disagreements(self, tmp_path):
        compared, differing = self.compared()
        files = write_comparison(tmp_path, "comparison", compared, differing)
        text = files[-1].read_text()
        rows = list(csv.reader(io.StringIO(text)))
        assert is_harmless(text) and rows[0][-1].startswith("'+b") and rows[1][2].startswith("'=1")

    def test_in_figures(self):
        assert is_harmless(Lettering().shown(HOSTILE, "otherwise"))
        assert all(map(is_harmless, Lettering().class_names(self.task.classes)))


def test_progress_names_nothing_that_a_terminal_obeys():
    stream, seconds = io.StringIO(), iter(range(0, 1000, 100))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("msmt.progress.time.monotonic", lambda: next(seconds))
        with for_terminal(stream)(f"predict {HOSTILE}", total=2, unit="files") as advance:
            advance(1)
    assert "predict" in stream.getvalue() and is_harmless(stream.getvalue())
