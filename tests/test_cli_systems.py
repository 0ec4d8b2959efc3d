"""The systems of the papers from the command line: their features, their tables, and all of them at once."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
import yaml
from msmt.features.opening import open_store
from msmt.tests.extract.made import save_encoders, write_calls
from msmt.tests.studies.systems_made import store_like_meld
from msmt.tests.test_cli import run
from msmt.tests.test_cli_networks import refused
from msmt.train.runs import resolve

FAST = ("--epochs", "2", "--batch-recordings", "4", "--device", "cpu")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store_like_meld(tmp_path / "cache" / "meld.zarr")
    return tmp_path


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """A working folder with a corpus whose speakers are not known, and small encoders."""
    write_calls(tmp_path / "data/marketcalls", recordings=5)
    save_encoders(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_systems_are_listed_and_one_is_shown_as_a_file_to_use(monkeypatch, capsys):
    assert run(monkeypatch, "systems") == 0
    assert "cm-roberta: J. Luo" in capsys.readouterr().out
    assert run(monkeypatch, "systems", "cm-roberta") == 0
    shown = capsys.readouterr().out
    features = re.search(r"^features:\n(?:  .*\n)+", shown, re.MULTILINE)[0]
    assert yaml.safe_load(features)["features"]["roberta-last4"]["encoder"] == "roberta-large"
    assert "66.28" in shown and "[--join concat]" in " ".join(shown.split())
    assert run(monkeypatch, "systems", "msmt-fn", "--dataset", "meld") == 0
    assert "facebook/hubert-base-ls960" in capsys.readouterr().out
    assert run(monkeypatch, "systems", "nothing") == 2


def test_a_system_is_extracted_with_encoders_and_features_of_ones_own(calls, monkeypatch, capsys):
    small = ("--text-encoder", "encoders/text", "--audio-encoder", "encoders/audio", "--max-seconds", "2")
    assert run(monkeypatch, "extract", "--preset", "mmml", *small, "--plan") == 0
    assert "roberta-large" in capsys.readouterr().out
    assert run(monkeypatch, "extract", "--preset", "mmml", *small) == 0
    store = open_store("cache/marketcalls.zarr")
    assert set(store.specs) == {"roberta-large", "roberta-base", "data2vec-large", "data2vec-base"}
    assert store.specs["roberta-large"].max_rows == 96 and store.specs["data2vec-base"].encoder == "encoders/audio"
    own = "--feature", "roberta-last4=text:encoder=encoders/text,layers=[-2,-1],join=true,pool=cls"
    assert run(monkeypatch, "extract", "--preset", "cm-roberta", *own, "--given", "emo_large=") == 2
    assert "cm-roberta needs --given openl3=PATH, which is the OpenL3 checkpoint" in capsys.readouterr().err
    none = ("--given", "emo_large=", "--given", "openl3=")
    assert run(monkeypatch, "extract", "--preset", "cm-roberta", *own, *none, "--plan") == 0
    assert run(monkeypatch, "extract", "--preset", "mmml", *small, *own) == 0  # beside what the preset names
    assert open_store("cache/marketcalls.zarr").specs["roberta-last4"].unit == "vector"
    left = ("--text-encoder", "encoders/nowhere")
    assert "encoders/nowhere" in refused(monkeypatch, capsys, "extract", "--preset", "cm-roberta", *left, *none)


def test_what_makes_no_sense_of_a_preset_is_one_line(calls, monkeypatch, capsys):
    assert "name the preset too" in refused(monkeypatch, capsys, "extract", "--given", "openl3=x")
    said = refused(monkeypatch, capsys, "extract", "--preset", "cm-roberta", "--given", "conceptnet=x")
    assert "cm-roberta takes no --given 'conceptnet': it takes emo_large, openl3" in said
    from msmt.studies.systems import mmml
    import dataclasses

    monkeypatch.setattr(mmml, "SYSTEM", dataclasses.replace(mmml.SYSTEM, needs_speakers=True))
    said = refused(monkeypatch, capsys, "extract", "--preset", "mmml", "--text-encoder", "encoders/text")
    assert "mmml tells speakers apart, but the corpus marketcalls does not say who speaks" in said


def test_the_table_of_a_paper_has_its_figures_beside_ours(here, monkeypatch, capsys):
    small = ("--width", "4", "--feed-forward", "8", "--head-width", "8")
    assert run(monkeypatch, "ablate", "--preset", "cm-roberta", *small, *FAST) == 0  # options of its own network
    shown = capsys.readouterr().out
    line = next(each for each in shown.splitlines() if each.startswith("full "))
    assert "66.28" in line and "emotion (weighted F1, paper)" in shown
    table = pd.read_csv("ablations/cm-roberta/ablation.csv").set_index("variant")
    assert table.loc["audio-no-openl3", "emotion_weighted_f1_paper"] == 0.413
    run_of_text = resolve("ablations/cm-roberta/runs", "text-seed0").settings
    assert dict(run_of_text.slots) == {"text": ("roberta-last4",)}
    assert (run_of_text.train.optimizer, run_of_text.train.weight_decay) == ("adam", 3e-4)


def test_train_takes_the_settings_of_the_networks_paper(here, monkeypatch, capsys):
    slots = ("--slot", "text=roberta-last4", "--slot", "audio=functionals", "--tasks", "emotion")
    own = ("--model", "cm-roberta", "--preset", "paper", "--epochs", "1", "--device", "cpu")
    assert run(monkeypatch, "train", *own, *slots) == 0
    config = resolve("runs").settings.train
    assert (config.optimizer, config.batch_recordings, config.patience, config.epochs) == ("adam", 32, 15, 1)
    assert "not of linear" in refused(monkeypatch, capsys, "train", "--model", "linear", "--preset", "paper")


def test_all_systems_stand_in_one_table_with_what_they_cost(here, monkeypatch, capsys):
    small = ("--slot", "text=roberta", "--slot", "audio=hubert", "--heads", "2", "--feed-forward", "8", *FAST)
    said = refused(monkeypatch, capsys, "ablate", "--preset", "all-systems", "--together", "4", *small)
    assert "it trains one run at a time: leave out --together" in said
    assert run(monkeypatch, "ablate", "--preset", "all-systems", "--seeds", "2", "--tasks", "emotion", *small) == 0
    shown = capsys.readouterr().out
    assert "1 run in one pass: linear-seed0" in shown and "2 runs in one pass" not in shown
    header = next(line for line in shown.splitlines() if line.startswith("variant "))
    assert header.split()[:5] == ["variant", "network", "parameters", "s/epoch", "seeds"]
    table = pd.read_csv("ablations/all-systems/ablation.csv").set_index("variant")
    assert list(table.columns[-2:]) == ["parameters", "epoch_seconds"]
    costs = table.loc[["msmt-fn", "linear", "bigru", "cm-roberta", "mmml"]]
    assert (costs["epoch_seconds"] > 0).all() and (costs["emotion_p"].notna().sum()) == len(costs) - 1
    found = resolve("ablations/all-systems/runs", "linear-seed0")
    weights = found.load_best()
    counted = sum(values.numel() for name, values in weights.items() if not name.startswith("standard"))
    assert costs.loc["linear", "parameters"] == counted == found.parameters
    lines = [json.loads(line) for line in (found.path / "metrics.jsonl").read_text().splitlines()]
    assert all(0 < line["train_seconds"] <= line["seconds"] + 0.001 for line in lines)
    assert "s/epoch: seconds that the training steps" in (here / "ablations/all-systems/ablation.md").read_text()


def test_help_of_a_presets_ablation_shows_the_options_of_its_network(monkeypatch, capsys):
    assert run(monkeypatch, "ablate", "--preset", "cm-roberta", "--help") == 0
    assert "--attention-layers" in capsys.readouterr().out
