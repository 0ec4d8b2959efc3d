"""A corpus of the field from its store to its tables: which figures are printed, and whose stand beside them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from msmt.features.opening import writer_for
from msmt.features.segments import segment_table
from msmt.features.tasks import Task
from msmt.tests.features import made as on_disk
from msmt.tests.test_cli import run
from msmt.train.runs import resolve

TASKS = (Task("sentiment", level="segment", scale="sentiment"),)
LINEAR = ("--model", "linear", "--epochs", "1", "--batch-recordings", "4", "--device", "cpu")
PLAN = """
store: cache/mosi.zarr
variants:
  full: {paper: MSMT-FN}
  text: {modalities: text, paper: "MMML, with context"}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    made, rows = on_disk.contents(), on_disk.ROWS
    table = on_disk.table(split=["train"] * 42 + ["val"] * 12 + ["test"] * 16).drop(columns=["label_five", "label_two"])
    table["label_sentiment"] = np.round(np.linspace(-3, 3, rows) * 5) / 5
    with writer_for(tmp_path / "cache" / "mosi.zarr") as writer:
        writer.prepare("mosi", TASKS, segment_table(table, TASKS), on_disk.SPECS, on_disk.lengths_of(made))
        on_disk.fill(writer, made)
        writer.finish()
    (tmp_path / "plan.yaml").write_text(PLAN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_epoch_is_chosen_by_a_figure_of_the_field_and_papers_stand_beside_the_scores(here, monkeypatch, capsys):
    assert run(monkeypatch, "train", *LINEAR, "--select", "f1_2_non0", "--name", "mine") == 0
    assert "by validation f1_2_non0" in capsys.readouterr().out
    assert run(monkeypatch, "eval", "--run", "mine") == 0
    shown = capsys.readouterr().out
    assert "2-class weighted F1 without 0" in shown and "5-class accuracy" in shown
    assert "sentiment, published" in shown and "MMML, with context" in shown
    assert "This split, test, is another set and has 16" in shown
    mine = resolve(here / "runs", "mine").path
    metrics = json.loads((mine / "metrics-test.json").read_bytes())
    assert {row["name"] for row in metrics["published"]["sentiment"]} >= {"LMF", "MSMT-FN"}
    assert "| LMF | MSMT-FN, table 2 |" in (mine / "published-test.md").read_text()


def test_a_figure_of_another_scale_is_refused_in_one_line(here, monkeypatch, capsys):
    assert run(monkeypatch, "train", *LINEAR, "--select", "accuracy_3") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "select cannot be accuracy_3, for no task has that figure" in said


def test_an_ablation_has_the_error_that_papers_print_on_its_own_corpus(here, monkeypatch):
    assert run(monkeypatch, "ablate", "plan.yaml", *LINEAR) == 0
    table = pd.read_csv(here / "ablations" / "plan" / "ablation.csv")
    assert table["sentiment_paper"].tolist()[:2] == [0.6458, 0.5831]
    assert table["sentiment_f1_2_has0_paper"].tolist()[:2] == [0.8614, 0.8745]


def test_a_row_that_nobody_has_published_is_refused_with_those_of_the_corpus(here, monkeypatch, capsys):
    (here / "plan.yaml").write_text(PLAN.replace("MMML, with context", "GPT"))
    assert run(monkeypatch, "ablate", "plan.yaml", *LINEAR) == 2
    said = capsys.readouterr().err
    assert "variant text: the paper has no row 'GPT', it has: LMF; TFN; " in said and "audio" not in said
