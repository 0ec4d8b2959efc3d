"""The commands as they are typed: what they print, write, and refuse."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys

import click
import h5py
import numpy as np
import pandas as pd
import pytest
import soundfile
import zarr
from msmt.cli import main, msmt
from msmt.extract.corpora.config import DATASETS
from msmt.features.opening import open_store, writer_for
from msmt.features.store import Damage
from msmt.tests.extract.made import save_encoders, speech_like, write_calls

SMALL = [
    *(
        "--heads",
        "2",
        "--feed-forward",
        "32",
        "--complementary-layers",
        "1",
        "--bottleneck-layers",
        "1",
        "--gru-width",
        "8",
    ),
    *("--head-width", "16", "--epochs", "2", "--batch-recordings", "2"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with data/marketcalls, encoders, and a finished store and run; copied for each test."""
    folder = tmp_path_factory.mktemp("made")
    save_encoders(folder)
    write_calls(folder / "data/marketcalls", recordings=15)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(patch, "extract", *ENCODERS) == 0
        assert run(patch, "train", "--no-mtl", *SMALL) == 0
    return folder


ENCODERS = (
    "--audio-encoder",
    "encoders/audio",
    "--text-encoder",
    "encoders/text",
    "--max-seconds",
    "3",
    "--max-tokens",
    "30",
)


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def run(monkeypatch, *arguments) -> int:
    """Exit status of ``msmt`` with these arguments."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["msmt", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0)
    return 0


class TestThreeCommands:
    @pytest.mark.parametrize("store", ["zarr", "hdf5"])
    def test_extract_train_eval_one_after_another(self, here, monkeypatch, capsys, store):
        shutil.rmtree(here / "cache")
        shutil.rmtree(here / "runs")
        assert run(monkeypatch, "extract", "--dataset", "marketcalls", "--format", store, *ENCODERS) == 0
        assert run(monkeypatch, "train", "--no-mtl", *SMALL) == 0
        assert run(monkeypatch, "eval", "--split", "test") == 0
        shown = capsys.readouterr().out
        for task in ("five", "four", "three", "two"):
            assert f"\n{task}" in shown
        assert "MSMT-FN" in shown and "60.28" in shown
        tree = (
            zarr.open_group("cache/marketcalls.zarr", mode="r")
            if store == "zarr"
            else h5py.File("cache/marketcalls.h5")
        )
        assert tree["hubert/features"].shape == (30, 74, 48) and tree["roberta/features"].shape == (30, 30, 48)
        (latest,) = {path.resolve() for path in (here / "runs").iterdir()}
        names = {path.name for path in latest.iterdir()}
        assert {"config.json", "metrics.jsonl", "best.safetensors", "environment.json"} <= names
        assert {"predictions-test.csv", "metrics-test.json", "confusion-five.png", "confusion-two.png"} <= names
        predictions = pd.read_csv(latest / "predictions-test.csv")
        assert len(predictions) == 3
        assert np.allclose(predictions.filter(like="five_p_").sum(axis=1), 1, atol=1e-4)
        assert json.loads((latest / "metrics-test.json").read_text())["tasks"]["two"]["count"] == 3

    def test_a_config_file_holds_options_and_the_run_records_what_held(self, here, monkeypatch):
        (here / "c.yaml").write_text("epochs: 1\nheads: 2\nfeed-forward: 32\nseed: 5\n")
        assert run(monkeypatch, "train", "--config", "c.yaml", "--seed", "6", "--name", "told") == 0
        config = json.loads(next(here.glob("runs/*-told/config.json")).read_text())
        assert config["train"]["seed"] == 6 and config["train"]["epochs"] == 1 and config["model"]["heads"] == 2

    def test_the_paper_preset_is_the_papers_and_options_win_over_it(self, here, monkeypatch):
        assert run(monkeypatch, "train", "--preset", "paper", "--epochs", "1", "--heads", "2", "--name", "p") == 0
        config = json.loads(next(here.glob("runs/*-p/config.json")).read_text())
        assert config["train"]["learning_rate"] == 1e-5 and config["train"]["epochs"] == 1
        assert config["model"]["pooling"] == "flatten"


def test_info_in_words_and_as_json(here, monkeypatch, capsys):
    assert run(monkeypatch, "info", "cache/marketcalls.zarr") == 0
    shown = capsys.readouterr().out
    assert "30 segments of 15 recordings" in shown and "HubertModel" in shown
    assert run(monkeypatch, "info", "cache/marketcalls.zarr", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["features"]["hubert"]["complete"] == 30 and told["features"]["hubert"]["missing"] == 0
    assert sum(told["splits"]["train"]["labels"]["five"].values()) == told["splits"]["train"]["segments"] == 18
    assert told["bytes_valid"] < told["bytes_on_disk"] < told["bytes_padded"]


def test_plan_computes_and_writes_nothing(here, monkeypatch, capsys):
    before = sorted(here.rglob("*"))
    assert run(monkeypatch, "extract", "--plan", "--store", "other.zarr", *ENCODERS) == 0
    shown = capsys.readouterr().out
    assert "nothing was computed or written" in shown and sorted(here.rglob("*")) == before
    soundfile.write("data/marketcalls/audio/call0_1.wav", speech_like(1.0, seed=5), 8000)
    assert run(monkeypatch, "extract", "--plan", *ENCODERS) == 0
    hubert = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("hubert"))
    assert hubert.split()[1:4] == ["0", "1", "29"]


def test_doctor_compares_all_with_the_definition(here, monkeypatch, capsys):
    assert run(monkeypatch, "doctor", *ENCODERS) == 0
    shown = capsys.readouterr().out
    assert "float32, valid rows, in a batch" in shown and "in marketcalls.zarr" in shown
    exact = [line.split() for line in shown.splitlines() if "float32, valid rows" in line]
    assert len(exact) == 2 and all(float(line[-2]) < 1e-4 and float(line[-1]) > 0.99999 for line in exact)


def test_verify_names_bad_rows_and_repair_lets_extract_fill_them(here, monkeypatch, capsys):
    assert run(monkeypatch, "verify", "cache/marketcalls.zarr") == 0
    before = open_store("cache/marketcalls.zarr").fingerprint()
    shard = here / "cache/marketcalls.zarr/hubert/features/c/0/0/0"
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    capsys.readouterr()
    assert run(monkeypatch, "verify", "cache/marketcalls.zarr", "--repair") == 1
    assert "hubert row 0 (call0_1): its checksum does not match" in capsys.readouterr().out
    assert run(monkeypatch, "extract", *ENCODERS) == 0
    assert run(monkeypatch, "verify", "cache/marketcalls.zarr") == 0
    assert open_store("cache/marketcalls.zarr").fingerprint() == before


def test_convert_copies_to_the_other_format(here, monkeypatch):
    assert run(monkeypatch, "convert", "cache/marketcalls.zarr", "copy.h5") == 0
    assert open_store("copy.h5").fingerprint() == open_store("cache/marketcalls.zarr").fingerprint()


def test_several_devices_share_the_work(here, monkeypatch):
    assert run(monkeypatch, "extract", "--devices", "cpu,cpu", "--store", "two.zarr", "-q", *ENCODERS) == 0
    assert open_store("two.zarr").fingerprint() == open_store("cache/marketcalls.zarr").fingerprint()


def test_demo_says_that_it_is_one_and_ends_with_scores(tmp_path, monkeypatch, capsys):
    import msmt.extract.demo as demo

    monkeypatch.setattr(demo, "RECORDINGS", {"train": 10, "val": 5, "test": 5})
    monkeypatch.setattr(demo, "TRAINING", demo.TRAINING + "\nname: short\n")
    assert run(monkeypatch, "demo", "--out", tmp_path / "demo") == 0
    shown = capsys.readouterr().out
    assert "synthetic" in shown and "random" in shown and "metrics-test.json" in shown and "\nfive" in shown


def test_a_demo_in_a_layout_says_what_to_type_next_and_runs_nothing(tmp_path, monkeypatch, capsys):
    from msmt.extract.layouts import meld

    one = {
        name: dataclasses.replace(split, dialogues=(0, 125)[: 1 + (name == "train")])
        for name, split in meld.SPLITS.items()
    }
    monkeypatch.setattr(meld, "SPLITS", one)
    assert run(monkeypatch, "demo", "--layout", "meld", "--out", tmp_path / "demo") == 0
    shown = capsys.readouterr().out
    assert "synthetic" in shown and "random" in shown
    typed = [line for line in shown.splitlines() if line.startswith(("cd ", "msmt "))]
    assert [line.split()[1] for line in typed[1:]] == ["corpus", "extract", "train", "eval"]
    assert "--dataset meld --audio-encoder encoders/audio --text-encoder encoders/text" in typed[2]
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["data", "demo.yaml", "encoders"]
    assert run(monkeypatch, "demo", "--layout", "melt", "--out", tmp_path / "other") == 2
    assert "layout must be meld or" in capsys.readouterr().err


class TestBadInput:
    """One line that names file and row, exit status 2, nothing written."""

    @pytest.fixture(autouse=True)
    def around(self, here, monkeypatch, capsys):
        self.here, self.monkeypatch, self.capsys = here, monkeypatch, capsys

    def refuses(self, reason: str, *arguments) -> None:
        before = {path: path.stat().st_mtime_ns for path in self.here.rglob("*") if "lock" not in path.name}
        self.capsys.readouterr()
        assert run(self.monkeypatch, *arguments) == 2
        shown = self.capsys.readouterr().err.strip()
        assert shown.startswith("msmt: error: ") and len(shown.splitlines()) == 1 and reason in shown, shown
        after = {path: path.stat().st_mtime_ns for path in self.here.rglob("*") if "lock" not in path.name}
        assert after == before

    def edit(self, name: str, change) -> None:
        path = self.here / "data/marketcalls" / name
        table = pd.read_csv(path, keep_default_na=False)
        change(table).to_csv(path, index=False)

    def test_a_folder_that_is_missing(self):
        self.refuses("data/none", "extract", "--data", "data/none")

    def test_a_csv_that_is_missing(self):
        (self.here / "data/marketcalls/val.csv").unlink()
        self.refuses("val.csv", "extract", *ENCODERS)

    def test_a_column_that_is_missing(self):
        self.edit("val.csv", lambda table: table.drop(columns="label"))
        self.refuses("label", "extract", *ENCODERS)

    def test_a_folder_without_most_of_its_audio_files(self):
        for file in (self.here / "data/marketcalls/audio").glob("call*_1.wav"):
            file.unlink()
        (self.here / "data/marketcalls/audio/call0_2.wav").unlink()
        self.refuses("train.csv row 2", "extract", *ENCODERS)

    def test_an_unknown_label(self):
        self.edit("val.csv", lambda table: table.assign(label="Z"))
        self.refuses("val.csv row 2", "extract", *ENCODERS)

    def test_a_label_that_changes_inside_a_recording(self):
        self.edit("val.csv", lambda table: table.assign(label=["A", "B"] * (len(table) // 2)))
        self.refuses("val.csv row 3", "extract", *ENCODERS)

    def test_an_encoder_that_is_not_one(self):
        self.refuses("has no config.json", "extract", *ENCODERS[2:], "--audio-encoder", "data")

    def test_a_hub_that_cannot_be_reached(self):
        self.monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        self.refuses("--audio-encoder FOLDER", "extract", *ENCODERS[2:])

    def test_another_spec_than_the_stores(self):
        self.refuses("sample_rate 8000, not 16000", "extract", *ENCODERS, "--sample-rate", "16000")

    def test_settings_that_make_no_sense(self):
        self.refuses("sample rate must be", "extract", "--sample-rate", "3")
        self.refuses("max failures must be", "extract", "--max-failures", "many")
        self.refuses("heads must divide", "train", "--width", "30", "--heads", "4")
        self.refuses("must be between 0 and 3600", "extract", "--max-seconds", "0")

    def test_train_without_a_store(self):
        shutil.rmtree(self.here / "cache")
        self.refuses("there is no store; run msmt extract first", "train")

    def test_train_with_a_store_that_lacks_a_feature(self):
        shutil.rmtree(self.here / "cache/marketcalls.zarr/roberta")
        self.refuses("roberta", "train", "--modalities", "both", *SMALL)

    def test_train_with_rows_that_are_missing(self):
        path = self.here / "cache/marketcalls.zarr"
        with writer_for(path) as writer:
            writer.mend([Damage("hubert", 3, "made up")])
        self.refuses("--skip-missing", "train", *SMALL)
        assert run(self.monkeypatch, "train", "--skip-missing", *SMALL) == 0
        shown = self.capsys.readouterr().out
        assert shown.count("left-out.csv") == shown.count("left out") == 1

    def test_eval_with_an_unknown_split(self):
        self.refuses("train, val", "eval", "--split", "dev")

    def test_eval_when_the_store_has_changed_since(self):
        self.edit("test.csv", lambda table: table.assign(label="D"))
        assert run(self.monkeypatch, "extract", *ENCODERS) == 0
        assert run(self.monkeypatch, "eval") == 0  # of the recordings as they are labelled now

    def test_eval_without_a_run(self):
        shutil.rmtree(self.here / "runs")
        self.refuses("there is no run", "eval")

    def test_a_label_set_with_one_class_only(self):
        for split in ("train", "val", "test"):
            self.edit(f"{split}.csv", lambda table: table.assign(label="A"))
        self.refuses("class", "extract", *ENCODERS)

    def test_a_split_without_segments(self):
        self.edit("val.csv", lambda table: table[:0])
        self.refuses("val.csv", "extract", *ENCODERS)

    def test_a_store_of_another_kind(self):
        self.refuses("must end in .zarr", "info", "cache")
        self.refuses("there is no such store", "info", "none.h5")

    def test_an_unknown_option_in_a_file(self):
        (self.here / "c.yaml").write_text("epoch: 3\n")
        self.refuses("has no option 'epoch'", "train", "--config", "c.yaml")

    @pytest.mark.parametrize("command", ["extract", "doctor", "train", "eval", "ablate", "compare", "sweep"])
    def test_a_blank_value_of_any_option_in_a_file(self, command):
        for parameter in msmt.get_command(None, command).params:
            if parameter.name != "config":
                (self.here / "c.yaml").write_text(f"{parameter.name}:\n")
                self.refuses(f"c.yaml: {parameter.name} is blank", command, "--config", "c.yaml")

    @pytest.mark.parametrize("line", ["mtl: 2", "epochs: [3]", "name: {a: 1}", "seed: 2026-01-31", "dropout: .inf"])
    def test_a_value_of_another_kind_in_a_file(self, line):
        (self.here / "c.yaml").write_text(f"{line}\n")
        self.refuses(f"c.yaml: {line.split(':')[0]} must be of type", "train", "--config", "c.yaml")

    def test_values_that_an_option_would_refuse_too(self):
        for command, line in (
            ("extract", "sample_rate: 3"),
            ("extract", "max_failures: many"),
            ("extract", "agent_channel: 7"),
            ("extract", "audio_feature: a/b"),
            ("doctor", "segments: 0"),
            ("train", "epochs: 0"),
            ("train", "dropout: 1.0"),
            ("ablate", "epochs: 0"),
            ("ablate", "together: 0"),
            ("eval", "device: tpu"),
            ("sweep", "together: 0"),
        ):
            (self.here / "c.yaml").write_text(f"{line}\n")
            (self.here / "plan.yaml").write_text("variants: {full: {}}")
            more = {"ablate": ["plan.yaml"], "sweep": ["--vary", "dropout=0.1,0.2"]}.get(command, [])
            self.refuses(f"c.yaml: {line.split(':')[0]}", command, *more, "--config", "c.yaml")

    @pytest.mark.parametrize("argument", ["a\0b", "a\nb", "\x1b[31m", "caf\udce9", "x" * 20_000])
    def test_an_argument_that_no_command_can_use(self, argument):
        for name in msmt.list_commands(None):
            command = msmt.get_command(None, name)
            for parameter in command.params:
                option = [] if isinstance(parameter, click.Argument) else parameter.opts[:1]
                self.refuses(f"argument {len(option) + 2} ", name, *option, argument)

    def test_a_path_that_is_too_long(self):
        for words in (["info"], ["verify"], ["convert", "cache/marketcalls.zarr"], ["train", "--store"]):
            self.refuses("File name too long", *words, "x" * 5000 + ".zarr")
        self.refuses("File name too long", "ablate", "x" * 5000)
        self.refuses("File name too long", "train", "--config", "x" * 5000)

    def test_resuming_with_other_settings(self):
        self.refuses("--epochs cannot be set", "train", "--resume", "latest", "--epochs", "9")


@pytest.mark.parametrize("command", [("train", *SMALL), ("eval",), ("info", "cache/marketcalls.zarr")])
def test_an_interruption_while_a_command_starts_is_one_word_and_status_130(here, monkeypatch, capsys, command):
    def interrupted(path):
        raise KeyboardInterrupt

    for module in ("msmt.features.opening", "msmt.studies.scoring"):
        monkeypatch.setattr(f"{module}.open_store", interrupted)
    assert run(monkeypatch, *command) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_demo_ends_with_the_step_that_was_interrupted(tmp_path, monkeypatch, capsys):
    import msmt.extract.demo as demo

    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "RECORDINGS", {"train": 10, "val": 5, "test": 5})
    monkeypatch.setattr("msmt.extract.pipeline.extract", interrupted)
    assert run(monkeypatch, "demo", "--out", tmp_path / "demo") == 130
    assert "$ msmt train" not in capsys.readouterr().out


def test_compact_drops_what_has_left_the_corpus(here, monkeypatch, capsys):
    table = pd.read_csv("data/marketcalls/train.csv")
    table[table["phone"] != "call0"].to_csv("data/marketcalls/train.csv", index=False)
    assert run(monkeypatch, "extract", *ENCODERS) == 0
    assert len(open_store("cache/marketcalls.zarr").segments) == 30
    assert run(monkeypatch, "compact", "cache/marketcalls.zarr") == 0
    assert "2 rows dropped, 28 kept" in capsys.readouterr().out
    assert len(open_store("cache/marketcalls.zarr").segments) == 28
    assert run(monkeypatch, "verify", "cache/marketcalls.zarr") == 0


def test_audio_alone_is_extracted_learnt_and_scored_without_any_text(here, monkeypatch, capsys):
    shutil.rmtree("encoders/text")
    for split in ("train", "val", "test"):
        pd.read_csv(f"data/marketcalls/{split}.csv").drop(columns="text").to_csv(
            f"data/marketcalls/{split}.csv", index=False
        )
    audio_only = ("--modalities", "audio", "--store", "cache/heard.zarr")
    assert run(monkeypatch, "extract", *audio_only, *ENCODERS) == 0
    assert "RATE: the encoder of hubert was trained at 16,000 Hz" in capsys.readouterr().out
    assert run(monkeypatch, "train", "--no-mtl", "--store", "cache/heard.zarr", *SMALL) == 0
    assert "has features of audio alone" in capsys.readouterr().out
    assert run(monkeypatch, "eval", "--store", "cache/heard.zarr") == 0


def test_broken_audio_ends_with_status_1_and_a_list(here, monkeypatch, capsys):
    (here / "data/marketcalls/audio/call1_2.wav").write_bytes(b"no audio")
    assert run(monkeypatch, "extract", *ENCODERS) == 1
    shown = capsys.readouterr().out
    assert "cache/marketcalls.zarr.failures.csv" in shown and "train.csv row 5: audio/call1_2.wav" in shown


def test_every_dataset_has_its_name_in_the_help(monkeypatch, capsys):
    assert run(monkeypatch, "extract", "--help") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in DATASETS)


def test_version(monkeypatch, capsys):
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.startswith("msmt, version ")
