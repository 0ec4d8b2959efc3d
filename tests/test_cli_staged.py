"""``msmt train --model merits-l``: one command for all stages, which goes on where it stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import msmt
import pytest
from msmt.features.opening import open_store
from msmt.tests.features import made as on_disk
from msmt.tests.test_cli import run
from msmt.tests.train.test_loop import same_weights
from msmt.train import ablation
from msmt.train.models.merits_l import MeritsLSettings
from msmt.train.models.registry import staged_named
from msmt.train.plans import read_plan
from msmt.train.runs import Run, resolve
from safetensors.torch import load_file

TRAIN = ("train", "--model", "merits-l", "--epochs", "1", "--device", "cpu")
FIVE = ["audio-1", "text-1", "audio-2", "text-2", "3"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(folder):
    splits = ["train"] * 42 + ["val"] * 12 + ["test"] * 16
    on_disk.make_store(folder / "cache" / "marketcalls.zarr", split=splits)


def stages_there(runs="runs") -> list[str]:
    """The stages that have a run, in the order of their beginning."""
    found = [Run(path.parent) for path in sorted(resolve(runs).path.parent.glob("2*/config.json"))]
    found.sort(key=lambda each: each.path.stat().st_ctime_ns)
    return [each.settings.train.name.removeprefix("merits-l-").removesuffix("-seed0") for each in found]


def weights(run: Run):
    return load_file(run.path / "best.safetensors")


def test_one_command_trains_the_five_stages_and_the_last_is_the_run(here, monkeypatch, capsys):
    assert run(monkeypatch, *TRAIN) == 0
    summary = capsys.readouterr().out.splitlines()[-5:]
    assert [line.partition(": best epoch 1 of 1 by validation accuracy ")[0] for line in summary] == FIVE
    last = resolve("runs")
    assert last.settings.model.network == "merits-stage3" and str(last.path) in summary[-1]
    assert run(monkeypatch, "eval") == 0
    settings = {name: resolve("runs", f"merits-l-{name}-seed0").settings for name in FIVE}
    assert (settings["audio-1"].train.learning_rate, settings["3"].train.learning_rate) == (1e-4, 5e-5)
    assert {name: each.train.batch_recordings for name, each in settings.items()} == {
        **dict.fromkeys(("audio-1", "text-1"), 4),
        **dict.fromkeys(("audio-2", "text-2", "3"), 8),
    }
    assert run(monkeypatch, *TRAIN, "--seed", "0") == 0
    shown = capsys.readouterr().out
    assert shown.count("finished before") == 5 and shown.splitlines()[-5:] == summary
    assert run(monkeypatch, "train", "--model", "linear", "--epochs", "1") == 0
    assert run(monkeypatch, *TRAIN) == 0 and resolve("runs").path == last.path


def test_options_hold_for_all_stages_and_slots_go_where_they_are_read(here, monkeypatch, capsys):
    options = ("--joint", "--learning-rate", "0.01", "--no-mtl", "--slot", "text=roberta", "--slot", "pooled=hubert")
    assert run(monkeypatch, *TRAIN, *options, "--name", "mine", "--seed", "4") == 0
    assert len(list(here.glob("runs/2*"))) == 3
    found = {name: resolve("runs", f"mine-{name}-seed4").settings for name in ("audio-1", "text-1", "joint")}
    assert dict(found["audio-1"].slots) == {"audio": ("hubert",), "pooled": ("hubert",)}
    assert dict(found["text-1"].slots) == {"text": ("roberta",)} and found["joint"].model.joint
    assert all(each.train.learning_rate == 0.01 and not each.model.mtl for each in found.values())


def test_one_modality_has_two_stages(here, monkeypatch):
    assert run(monkeypatch, *TRAIN, "--modalities", "text") == 0
    assert stages_there() == ["text-1", "text-2"] and resolve("runs").settings.model.network == "merits-stage2"


@pytest.mark.parametrize(
    "again", [TRAIN, ("train", "--model", "merits-l", "--resume", "latest")], ids=["same", "resume"]
)
@pytest.mark.parametrize("where", ["training", "embedding"])
def test_it_goes_on_where_it_was_interrupted_to_the_same_numbers(here, monkeypatch, capsys, where, again):
    options = ("--modalities", "audio", "--learning-rate", "0.01")
    whole = here / "whole"
    make(whole)
    monkeypatch.chdir(whole)
    assert run(monkeypatch, *TRAIN, *options) == 0
    monkeypatch.chdir(here)
    with monkeypatch.context() as patch:
        name, real, calls = {"training": "train_together", "embedding": "embed"}[where], None, []
        real = getattr(ablation, name)

        def cut(*arguments, **more):
            calls.append(1)
            if len(calls) == (2 if where == "training" else 1):
                raise KeyboardInterrupt
            return real(*arguments, **more)

        patch.setattr(ablation, name, cut)
        assert run(monkeypatch, *TRAIN, *options) == 130
    assert stages_there() == ["audio-1"]
    first = {path: path.read_bytes() for path in resolve("runs").path.iterdir()}
    assert run(monkeypatch, *again, *(options if again == TRAIN else ())) == 0
    assert stages_there() == ["audio-1", "audio-2"] and all(path.read_bytes() == was for path, was in first.items())
    assert same_weights(weights(resolve("runs")), weights(resolve(whole / "runs")))


def test_a_kill_in_the_middle_loses_nothing_that_was_finished(here, monkeypatch):
    options = ("--modalities", "text", "--epochs", "30", "--patience", "0")
    command = [sys.executable, "-m", "msmt", *TRAIN, *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    until = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < until:
        if list(here.glob("runs/2*-text-2-seed0/metrics.jsonl")):
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = {path.name for path in here.glob("runs/2*")}
    assert len(killed) == 2
    assert run(monkeypatch, "train", "--resume", "latest") == 0
    assert {path.name for path in here.glob("runs/2*")} == killed and resolve("runs").epochs == 30
    whole = here / "whole"
    make(whole)
    monkeypatch.chdir(whole)
    assert run(monkeypatch, *TRAIN, *options) == 0
    assert same_weights(weights(resolve("runs")), weights(resolve(here / "runs")))


def test_help_shows_what_holds_for_all_stages(monkeypatch, capsys):
    assert run(monkeypatch, "train", "--model", "merits-l", "--help") == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--joint", "--co-attention", "--modalities", "--epochs", "--slot"))
    assert "chain of stages" in " ".join(shown.split()) and "--gru-width" not in shown


def test_what_it_cannot_do_is_refused_in_one_line(here, monkeypatch, capsys):
    def refused(*arguments) -> str:
        capsys.readouterr()
        assert run(monkeypatch, *arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("msmt: error: ") and error.count("\n") == 1
        return error

    assert "merits-l has no slot video: its slots are audio, pooled, text" in refused(*TRAIN, "--slot", "video=hubert")
    assert "has no feature care" in refused(*TRAIN, "--slot", "audio=care")
    (here / "plan.yaml").write_text("variants: {full: {}, all: {model: merits-l}}")
    said = refused("ablate", "plan.yaml")
    assert "plan.yaml: variant all: merits-l is a chain of stages" in said and "docs/systems/merits-l.md" in said
    assert "merits-l is a chain of stages" in refused("sweep", "--model", "merits-l", "--vary", "seed=1,2")
    assert "--gru-width is an option of" in refused(*TRAIN, "--gru-width", "4")
    with monkeypatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        assert "the stages of merits-l are trained in one process" in refused(*TRAIN)
    assert not list(here.glob("runs/2*"))
    assert run(monkeypatch, "train", "--model", "linear", "--epochs", "1") == 0
    assert "--model cannot be set" in refused("train", "--model", "merits-l", "--resume", "latest")


def test_each_run_says_what_it_is_part_of(here, monkeypatch):
    assert run(monkeypatch, *TRAIN, "--modalities", "text") == 0
    part_of = json.loads((resolve("runs").path / "environment.json").read_text())["part_of"]
    assert part_of["model"] == "merits-l" and part_of["options"] == {"epochs": 1, "device": "cpu"}
    (name,) = resolve("runs").settings.slots["text"]
    assert open_store(here / "cache/marketcalls.zarr").specs[name].encoder.endswith("merits-l-text-1-seed0")


def test_the_plan_of_the_page_trains_its_stages_as_the_command_does(here, monkeypatch):
    page = (Path(msmt.__file__).parent / "docs/systems/merits-l.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```yaml\n# merits-l-table.yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (here / "plan.yaml").write_text(text)
    variants = {each.name: each for each in read_plan(here / "plan.yaml", {}).variants}
    assert list(variants) == ["both", "joint", "text-2", "audio-2", "text-1", "audio-1"]
    for joint in (False, True):
        stages = staged_named("merits-l").stages(MeritsLSettings(joint=joint, modalities="both"))
        for stage in stages:
            variant = variants["both" if stage.name == "3" else stage.name]
            assert variant.model.network == stage.network and variant.sources == dict(stage.learns_from)
            said = {**asdict(variant.model), **asdict(variant.train)}
            assert {name: said[name] for name in stage.training} == dict(stage.training)
            assert {name: said[name] for name in stage.settings if name != "modalities"} == {
                name: value for name, value in stage.settings.items() if name != "modalities"
            }
