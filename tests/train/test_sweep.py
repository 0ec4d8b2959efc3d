"""Sweeps: what is searched, what is chosen, and that nothing is searched twice."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from msmt.errors import LockedError, SettingError
from msmt.features.durable import writer_lock
from msmt.tests.train.made import MODEL, TRAIN, calls, quiet, score
from msmt.tests.train.test_loop import Interrupting
from msmt.train import sweep as sweep_module
from msmt.train.config import ModelConfig, TrainConfig
from msmt.train.sweep import Range, parse_range
from msmt.train.sweep import sweep as run

GRID = ("pooling=cls,mean", "learning-rate=0.01,0.001")
CONFIG = dataclasses.replace(TRAIN, epochs=2)


def go(out, vary=GRID, sampler="grid", store=None, score=score, config=CONFIG, say=quiet, **more):
    return run(store or calls(), MODEL, config, vary, out, score, sampler=sampler, say=say, **more)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("pooling=cls,mean", Range("pooling", ("cls", "mean"))),
        ("mtl=true,false", Range("mtl", (True, False))),
        ("heads=2,4", Range("heads", (2, 4))),
        ("dropout=0:0.5", Range("dropout", low=0.0, high=0.5)),
        ("learning-rate=1e-5:1e-3:log", Range("learning_rate", low=1e-5, high=1e-3, is_log=True)),
        ("gru-layers=1:3", Range("gru_layers", low=1, high=3, is_whole=True)),
    ],
)
def test_what_is_varied_is_a_list_or_a_range(text, expected):
    assert parse_range(text) == expected


@pytest.mark.parametrize(
    "text, said",
    [
        ("lr=1,2", "'lr' is no option of msmt train"),
        ("name=a,b", "'name' is no option of msmt train"),
        ("dropout", "must be NAME=VALUES"),
        ("dropout=", "must be NAME=VALUES"),
        ("learning-rate=1e-5:inf:log", "must go from a lower to a higher number above 0"),
        ("dropout=0.5:0.1", "must go from a lower to a higher number"),
        ("dropout=0:0.5:log", "must go from a lower to a higher number above 0"),
        ("dropout=0:0.5:fast", "a range is LOW:HIGH or LOW:HIGH:log"),
        ("dropout=a,b", "'a' is not of type float"),
        ("dropout=0.1", "needs two different values or more"),
        ("dropout=0.1,0.1", "needs two different values or more"),
        ("pooling=cls,max", "pooling must be one of"),
        ("mtl=1,0", "'1' must be true or false"),
        ("mtl=yes,no", "'yes' must be true or false"),
        ("heads=2.9,4", "'2.9' is not of type int"),
        ("heads=1_0,2", "'1_0' is not of type int"),
        ("dropout=0.1,,0.2", "needs 2 to 1000 values with commas between them"),
    ],
)
def test_what_cannot_be_varied_is_refused_in_one_line(text, said):
    with pytest.raises(SettingError) as caught:
        parse_range(text)
    assert f"--vary {text}: " in str(caught.value) and said in str(caught.value)


def test_a_grid_tries_every_combination_once_and_the_best_by_validation_is_written(tmp_path):
    swept = go(tmp_path, trials=99, together=3)
    table = pd.read_csv(tmp_path / "trials.csv")
    tried = set(zip(table["--pooling"], table["--learning-rate"], strict=True))
    assert len(table) == 4 and tried == {(pool, rate) for pool in ("cls", "mean") for rate in (0.01, 0.001)}
    assert set(table["status"]) == {"finished"} and list(table["epochs"]) == [2] * 4
    best = yaml.safe_load(swept.best_file.read_text())
    row = table.loc[table["accuracy"].idxmax()]
    assert (best.get("pooling", "cls"), best["learning_rate"]) == (row["--pooling"], row["--learning-rate"])
    fields = {field.name for field in dataclasses.fields(ModelConfig)}
    ModelConfig(**{name: value for name, value in best.items() if name in fields})
    TrainConfig(**{name: value for name, value in best.items() if name not in fields})
    assert any(f"msmt train --config {swept.best_file}" in line for line in swept.lines())


def test_a_grid_without_end_is_refused(tmp_path):
    many = ",".join(map(str, range(1, 501)))
    with pytest.raises(SettingError, match="a grid has at most 100,000 combinations"):
        go(tmp_path, vary=(f"epochs={many}", f"patience={many}"))
    with pytest.raises(SettingError, match="needs 2 to 1000 values"):
        parse_range("epochs=" + ",".join(map(str, range(1, 1500))))


def test_a_sweep_takes_every_seed_that_a_run_takes(tmp_path):
    go(tmp_path, vary=("dropout=0.1:0.2",), sampler="tpe", trials=1, config=dataclasses.replace(CONFIG, seed=2**63 - 1))


def test_a_finished_sweep_trains_nothing_more(tmp_path):
    first = go(tmp_path)
    before = sorted((tmp_path / "runs").iterdir())
    again = go(tmp_path)
    assert sorted((tmp_path / "runs").iterdir()) == before
    assert again.trials.equals(first.trials)


def test_an_interrupted_sweep_resumes_its_trials(tmp_path):
    whole = go(tmp_path / "whole", together=2)
    cut = go(tmp_path / "cut", together=2, track=Interrupting("2 of 2 runs"))
    assert cut.is_interrupted and set(cut.trials["status"]) == {"not finished"} and cut.best_file is None
    resumed = go(tmp_path / "cut", together=2)
    assert not resumed.is_interrupted and len(list((tmp_path / "cut" / "runs").glob("*-trial-*"))) == 4
    keys = ["--pooling", "--learning-rate"]
    one, other = (each.trials.sort_values(keys)["accuracy"].tolist() for each in (resumed, whole))
    assert one == other


@pytest.mark.parametrize("drawn", [0, 1])
def test_a_trial_that_was_killed_while_its_values_were_drawn_gets_all_of_them(tmp_path, monkeypatch, drawn):
    draw, count = sweep_module._suggested, []

    def killed(trial, each):
        count.append(0)
        if len(count) > drawn:
            raise SystemExit("killed")
        return draw(trial, each)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(sweep_module, "_suggested", killed)
        go(tmp_path)
    swept = go(tmp_path)
    assert set(swept.trials["status"]) == {"finished"}
    assert len(set(zip(swept.trials["--pooling"], swept.trials["--learning-rate"], strict=True))) == 4


def test_values_that_do_not_go_together_cost_one_trial_and_not_the_sweep(tmp_path):
    said = []
    swept = go(tmp_path, ("segment-vector=mean,text", "bottleneck-layers=1,2"), say=said.append)
    table = swept.trials.set_index(["--segment-vector", "--bottleneck-layers"])["status"]
    assert table["text", 1] == "failed" and sorted(table) == ["failed"] + ["finished"] * 3
    assert sum("segment_vector text learns of the other stream" in line for line in said) == 1


def test_a_sweep_from_before_an_option_was_there_goes_on(tmp_path):
    ranges = [parse_range(text) for text in GRID]
    first = go(tmp_path)
    study = sweep_module._study(tmp_path, ranges, "grid", True, CONFIG.seed, False)
    begun = study.user_attrs["settings"]
    del begun["model"]["segment_vector"], begun["model"]["shared_bottleneck"]
    study.set_user_attr("settings", begun)
    assert go(tmp_path).trials.equals(first.trials)
    with pytest.raises(SettingError, match="holds a sweep with another train"):
        go(tmp_path, config=dataclasses.replace(CONFIG, epochs=3))


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(SettingError, match="is there and is no folder: name another with --out"):
        go(tmp_path / "out")


def test_ranges_are_searched_by_optuna_until_there_are_enough_trials(tmp_path):
    vary = ("learning-rate=1e-4:1e-1:log", "gru-layers=1:2")
    swept = go(tmp_path, vary, sampler="tpe", trials=3, together=2)
    assert len(swept.trials) == 3
    assert swept.trials["--learning-rate"].between(1e-4, 1e-1).all() and swept.trials["--gru-layers"].isin([1, 2]).all()
    assert len(go(tmp_path, vary, sampler="tpe", trials=4, together=2).trials) == 4


def test_poor_trials_are_ended_early(tmp_path):
    def by_rate(tasks, labels, outputs):
        calls_so_far.append(0)
        return {"five/accuracy": 0.9 if len(calls_so_far) <= 5 * 6 else 0.1}

    calls_so_far: list[int] = []
    config = dataclasses.replace(CONFIG, epochs=6, patience=0)
    vary = ("learning-rate=1e-4:1e-1:log",)
    swept = go(tmp_path, vary, sampler="tpe", trials=7, together=1, score=by_rate, config=config)
    assert swept.trials["status"].tolist() == ["finished"] * 5 + ["pruned"] * 2
    assert (swept.trials["epochs"][5:] < 6).all()
    calls_so_far.clear()
    kept = go(tmp_path / "all", vary, sampler="tpe", trials=6, together=1, score=by_rate, config=config, prune=False)
    assert set(kept.trials["status"]) == {"finished"}


def test_values_that_do_not_go_together_are_listed_and_left(tmp_path):
    said = []
    swept = go(tmp_path, ("heads=2,3", "pooling=cls,mean"), say=said.append, trials=10)
    assert sorted(swept.trials["status"]) == ["failed", "failed", "finished", "finished"]
    assert any("heads must divide the width" in line for line in said)


def test_the_lowest_error_wins_where_errors_are_judged(tmp_path):
    from msmt.tests.train.made import segment_store

    config = dataclasses.replace(CONFIG, tasks="strength")
    swept = go(tmp_path, store=segment_store(), config=config)
    best = swept.trials.sort_values("rank").iloc[-1]
    assert swept.select == "mae" and best["mae"] == swept.trials["mae"].min()


def test_the_test_split_is_never_read(tmp_path):
    store = calls()
    go(tmp_path, store=store)
    assert not set(np.flatnonzero(store.segments["split"] == "test")) & set(store.seen)


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"vary": ("pooling=cls,mean",)}, "another vary"),
        ({"config": dataclasses.replace(CONFIG, epochs=1)}, "another train"),
        ({"store": calls(seed=4)}, "another store"),
    ],
)
def test_a_folder_holds_one_sweep(tmp_path_factory, swept_folder, changed, said):
    with pytest.raises(SettingError, match=f"holds a sweep with {said}: name another folder with --out"):
        go(swept_folder, **changed)


@pytest.fixture(scope="module")
def swept_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept")
    go(folder)
    return folder


@pytest.mark.parametrize(
    "vary, sampler, said",
    [
        ((), "tpe", "there is nothing to search"),
        (("dropout=0.1,0.2", "dropout=0.3,0.4"), "tpe", "an option is varied twice"),
        (("dropout=0.1:0.2",), "grid", "a grid needs lists of values"),
        (("dropout=0.5:1.5",), "tpe", "dropout must be at least 0 and below 1"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_before_anything_is_trained(tmp_path, vary, sampler, said):
    with pytest.raises(SettingError, match=said):
        go(tmp_path / "out", vary, sampler=sampler)
    assert not (tmp_path / "out").exists()


def test_two_sweeps_in_one_folder_at_once_are_refused(tmp_path):
    with writer_lock(tmp_path / "out"), pytest.raises(LockedError, match="is being written by"):
        go(tmp_path / "out")


def test_without_optuna_the_remedy_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SettingError, match=r"install it with pip install 'msmt\[sweep\]'"):
        go(tmp_path)
