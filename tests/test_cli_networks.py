"""Networks by name from the command line, in files and plans, and embedding a run."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from msmt.features.opening import open_store
from msmt.tests.features import made as on_disk
from msmt.tests.test_cli import run
from msmt.train.models.registry import NETWORKS, all_options
from msmt.train.runs import resolve

FAST = ("--epochs", "1", "--batch-recordings", "4", "--device", "cpu")
SMALL = ("--heads", "2", "--feed-forward", "16", "--complementary-layers", "1", "--bottleneck-layers", "1")
SMALL += ("--gru-width", "4", "--head-width", "8")
BIGRU = ("--model", "bigru", "--width", "4", "--gru-width", "4", "--head-width", "8")


@pytest.fixture
def here(tmp_path, monkeypatch):
    splits = ["train"] * 42 + ["val"] * 12 + ["test"] * 16
    on_disk.make_store(tmp_path / "cache" / "marketcalls.zarr", split=splits)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(monkeypatch, capsys, *arguments) -> str:
    capsys.readouterr()
    assert run(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("msmt: error: ") and error.count("\n") == 1
    return error


def owners(option: str) -> str:
    """The networks that have an option, as an error lists them."""
    *most, last = all_options()[option]
    return f"{', '.join(most)} and {last}" if most else last


@pytest.mark.parametrize(
    "model, own, others",
    [
        ("msmt-fn", ("--bottleneck-tokens", "--segment-vector", "[flatten|cls|mean|attention]"), ("--both-ways",)),
        ("bigru", ("--both-ways", "[attention|mean|cls]"), ("--bottleneck-tokens", "--deviation")),
        ("linear", ("--deviation / --no-deviation",), ("--gru-width", "--pooling")),
    ],
)
@pytest.mark.parametrize("command", ["train", "ablate", "sweep"])
def test_help_shows_the_options_of_the_network_that_is_named(monkeypatch, capsys, command, model, own, others):
    assert run(monkeypatch, command, "--model", model, "--help") == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in (*own, "--mtl", "--modalities", "--label-smoothing", "--slot"))
    assert not any(option in shown for option in others)
    assert "Network to train: msmt-fn, linear, bigru" in " ".join(shown.split())


def test_the_network_that_is_not_named_is_that_of_the_paper(here, monkeypatch):
    assert run(monkeypatch, "train", *SMALL, *FAST) == 0
    settings = resolve(here / "runs").settings
    assert settings.model.network == "msmt-fn" and dict(settings.slots) == {"text": ("roberta",), "audio": ("hubert",)}


def test_an_option_of_another_network_says_whose_it_is(here, monkeypatch, capsys):
    said = refused(monkeypatch, capsys, "train", "--model", "linear", "--gru-width", "3")
    assert f"--gru-width is an option of {owners('gru_width')}, not of linear" in said
    said = refused(monkeypatch, capsys, "train", "--no-both-ways")
    assert "--both-ways is an option of bigru, not of msmt-fn" in said or "no-both-ways" in said
    (here / "c.yaml").write_text("model: linear\npooling: mean\n")
    said = refused(monkeypatch, capsys, "train", "--config", "c.yaml")
    assert "c.yaml: pooling is an option of msmt-fn, bigru and emotional-cues, not of linear" in said
    (here / "plan.yaml").write_text("variants: {full: {}, base: {model: linear, heads: 2}}")
    said = refused(monkeypatch, capsys, "ablate", "plan.yaml")
    assert f"plan.yaml: variant base: heads is an option of {owners('heads')}, not of linear" in said
    (here / "plan.yaml").write_text("deviation: false\nvariants: {full: {}, seq: {model: bigru}}")
    assert "deviation is an option of linear, not of msmt-fn" in refused(monkeypatch, capsys, "ablate", "plan.yaml")
    said = refused(monkeypatch, capsys, "train", "--model", "bigru", "--preset", "paper")
    assert "--preset paper sets options of msmt-fn, mmml, cm-roberta" in said and "not of bigru" in said
    said = refused(monkeypatch, capsys, "sweep", "--model", "bigru", "--vary", "heads=2,4")
    assert f"--heads is an option of {owners('heads')}, not of bigru" in said
    assert not (here / "runs").exists()


def test_a_network_that_is_not_there_is_refused(here, monkeypatch, capsys):
    assert run(monkeypatch, "train", "--model", "nothing") == 2
    assert "'nothing' is not one of 'msmt-fn', 'linear', 'bigru'" in capsys.readouterr().err
    (here / "plan.yaml").write_text("variants: {full: {}, base: {model: nothing}}")
    said = refused(monkeypatch, capsys, "ablate", "plan.yaml")
    assert f"plan.yaml: variant base: model must be one of {', '.join(NETWORKS)}, but is 'nothing'" in said


def test_slots_are_named_on_the_command_line_or_in_a_file(here, monkeypatch, capsys):
    slots = ("--slot", "more=vectors", "--slot", "again=hubert")
    assert run(monkeypatch, "train", *BIGRU, *FAST, *slots) == 0
    expected = {"text": ("roberta",), "audio": ("hubert",), "more": ("vectors",), "again": ("hubert",)}
    assert dict(resolve(here / "runs").settings.slots) == expected
    for written in ("[more=vectors, again=hubert]", "more=vectors,again=hubert"):
        (here / "c.yaml").write_text(f"model: bigru\nwidth: 4\nslot: {written}\n")
        assert run(monkeypatch, "train", "--config", "c.yaml", *FAST) == 0
        assert dict(resolve(here / "runs").settings.slots) == expected
    for slot, said in (
        ("audio=vectors", "vectors does not fit slot audio of msmt-fn: it has vectors of both audio and text"),
        ("audio=opensmile", "has no feature opensmile: choose --slot audio=FEATURE from hubert"),
        ("video=hubert", "msmt-fn has no slot video: its slots are text, audio"),
        ("hubert", "slot must be SLOT=FEATURE"),
    ):
        assert said in refused(monkeypatch, capsys, "train", "--slot", slot)


def test_a_plan_mixes_networks_in_one_pass_and_its_rerun_trains_nothing(here, monkeypatch, capsys):
    (here / "plan.yaml").write_text(
        "width: 8\nslot: [text=roberta]\n"
        "variants: {full: {heads: 2, feed_forward: 8}, base: {model: linear}, seq: {model: bigru, modalities: text}}"
    )
    assert run(monkeypatch, "ablate", "plan.yaml", *FAST) == 0
    assert "3 runs in one pass" in capsys.readouterr().out
    table = pd.read_csv("ablations/plan/ablation.csv")
    assert table["variant"].tolist()[:3] == ["full", "base", "seq"]
    commands = table["command"].tolist()[:3] if "command" in table else []
    assert not commands or ["--model linear" in each for each in commands] == [False, True, False]
    settings = resolve("ablations/plan/runs", "seq-seed0").settings
    assert (settings.model.network, settings.model.width, dict(settings.slots)) == ("bigru", 8, {"text": ("roberta",)})
    assert run(monkeypatch, "ablate", "plan.yaml", *FAST) == 0
    assert capsys.readouterr().out.count("finished before") == 3
    plan = json.loads((here / "ablations/plan/plan.json").read_text())
    assert [plan["variants"][name].get("model") for name in ("full", "base", "seq")] == [None, "linear", "bigru"]


def test_a_sweep_tries_networks_and_writes_a_file_that_trains_the_best(here, monkeypatch, capsys):
    vary = ("--vary", "model=linear,bigru", "--vary", "dropout=0.1,0.2", "--sampler", "grid", "--no-prune")
    assert run(monkeypatch, "sweep", *vary, *BIGRU[2:4], *FAST, "--heads", "2") == 0
    trials = pd.read_csv("sweep/trials.csv")
    assert sorted(zip(trials["--model"], trials["--dropout"], strict=True)) == [
        ("bigru", 0.1),
        ("bigru", 0.2),
        ("linear", 0.1),
        ("linear", 0.2),
    ]
    best = yaml.safe_load((here / "sweep" / "best.yaml").read_text())
    assert best["model"] in ("linear", "bigru")
    assert run(monkeypatch, "train", "--config", "sweep/best.yaml") == 0
    assert resolve(here / "runs").settings.model.network == best["model"]


def test_a_run_is_embedded_and_its_vectors_are_learnt_from(here, monkeypatch, capsys):
    assert run(monkeypatch, "train", *BIGRU, *FAST, "--name", "one") == 0
    assert run(monkeypatch, "embed", "one", "--name", "stage1", "--from", "context") == 0
    shown = capsys.readouterr().out
    assert "stage1: 70 rows computed, 0 kept, in cache/marketcalls.zarr" in shown
    assert run(monkeypatch, "embed", "one", "--name", "stage1", "--from", "context") == 0
    assert "stage1: 0 rows computed, 70 kept" in capsys.readouterr().out
    assert run(monkeypatch, "verify", "cache/marketcalls.zarr") == 0
    second = ("--slot", "text=", "--slot", "audio=", "--slot", "before=stage1")
    assert run(monkeypatch, "train", *BIGRU, *FAST, *second) == 0
    assert run(monkeypatch, "eval") == 0
    values = open_store("cache/marketcalls.zarr").read("stage1", 0)
    assert values.shape == (1, 8) and values.dtype == np.float32
    said = refused(monkeypatch, capsys, "embed", "one", "--name", "stage1")
    assert "replace them with --overwrite" in said


def test_a_run_is_resumed_with_its_own_network(here, monkeypatch, capsys):
    assert run(monkeypatch, "train", *BIGRU, *FAST) == 0
    assert run(monkeypatch, "train", "--resume", "latest") == 0
    assert "nothing to resume" in capsys.readouterr().out
    assert "--model cannot be set" in refused(monkeypatch, capsys, "train", "--resume", "latest", "--model", "bigru")


def test_the_weights_of_layers_are_shown_after_training(here, monkeypatch, capsys):
    assert run(monkeypatch, "train", *BIGRU, *FAST, "--slot", "more=*bert*") == 2  # hubert and roberta are no layers
    assert "slot more cannot sum hubert and roberta" in capsys.readouterr().err
