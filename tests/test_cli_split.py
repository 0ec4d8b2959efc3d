"""``msmt split``: folds are added and shown, and what cannot be made is one line and status 2."""

from __future__ import annotations

import json
import sys

import pytest
from msmt.cli import main
from msmt.features.opening import open_store
from msmt.features.schemes import folds_of, splits_of
from msmt.tests.features.made import ROWS, make_store

LABELS = {
    "speaker": [f"p{row // 3 % 9}" for row in range(ROWS)],
    "label_five": [row // 3 % 4 for row in range(ROWS)],
    "label_two": [int(row // 3 % 4 > 2) for row in range(ROWS)],
}


@pytest.fixture(params=["calls.zarr", "calls.h5"])
def store(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_store(tmp_path / request.param, **LABELS)
    return request.param


def run(monkeypatch, *arguments) -> int:
    """Exit status of ``msmt`` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["msmt", *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_folds_are_added_and_shown_with_what_train_and_test_share(store, monkeypatch, capsys):
    assert run(monkeypatch, "split", store, "--folds", 3, "--stratify", "five", "--seed", 4) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "folds: by recording, stratified by five, seed 4, validation by the next fold"
    assert lines[1].split() == "segments (recordings); five in train/val/test train val test A B C D E".split()
    assert [line.split()[0] for line in lines[2:5]] == ["fold1", "fold2", "fold3"]
    assert lines[5].startswith("fold1: train and test share") and "speaker" in lines[5]
    made = open_store(store)
    assert folds_of(made.head, "folds") == ("fold1", "fold2", "fold3")
    tested = (splits_of(made.segments, "fold2") == "test").sum()
    assert f" {tested} (" in lines[3]
    assert run(monkeypatch, "info", store) == 0 and lines[5] in capsys.readouterr().out
    assert run(monkeypatch, "info", store, "--json") == 0
    told = json.loads(capsys.readouterr().out)["folds"]["folds"]
    assert told["seed"] == 4 and told["schemes"]["fold2"]["splits"]["test"]["segments"] == tested
    assert run(monkeypatch, "verify", store, "-q") == 0


def test_folds_are_replaced_with_overwrite(store, monkeypatch, capsys):
    for more in ((), ("--seed", 1, "--overwrite")):
        assert run(monkeypatch, "split", store, "--folds", 3, "--by", "speaker", "--stratify", "five", *more) == 0
    assert "seed 1" in capsys.readouterr().out and open_store(store).head.facts["schemes"]["folds"]["seed"] == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--folds", 1), "folds must be 2 to 1000, but are 1"),
        (("--folds", 50), "50 folds need as many groups, but by recording there are 24"),
        (("--folds", 10, "--by", "speaker"), "by speaker there are 9"),
        (("--by", "town"), "there is no column 'town'"),
        (("--stratify", "mood"), "there is no task 'mood'"),
        (("--scheme", "a/b"), "cannot be the name of folds"),
        (("--scheme", "standard"), "has a scheme 'standard' already"),
        (("--validation", "most"), "validation must be next or a share"),
        (("--folds", 20, "--stratify", "five"), "would have no segment of class"),
        (("--scheme", "taken", "--folds", 3, "--stratify", "five"), "another --seed, with --overwrite"),
    ],
)
def test_what_cannot_be_made_is_one_line_and_nothing_is_written(store, options, reason, monkeypatch, capsys, tmp_path):
    def files():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"}

    assert run(monkeypatch, "split", store, "--scheme", "taken", "--folds", 3, "--stratify", "five", "-q") == 0
    before = files()
    assert run(monkeypatch, "split", store, *options) == 2
    shown = capsys.readouterr().err.strip()
    assert shown.startswith("msmt: error: ") and len(shown.splitlines()) == 1 and reason in shown
    assert files() == before


def test_a_store_that_is_not_there_is_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "split", "none.zarr") == 2
    assert "there is no such store" in capsys.readouterr().err and not list(tmp_path.iterdir())
