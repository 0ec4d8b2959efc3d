"""msmt annotate and msmt finetune as they are typed: from transcripts to features, stopped and gone on with."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msmt.features.opening import open_store
from msmt.tests.extract.annotating.made import Server, by_words, write_transcripts
from msmt.tests.extract.finetuning.made import write_labels
from msmt.tests.extract.made import save_encoders, write_calls
from msmt.tests.test_cli import run

QUICK = ("--batch", "8", "--learning-rate", "2e-3")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    save_encoders(folder)
    write_calls(folder / "data/marketcalls", recordings=10)
    write_labels(folder / "labels.csv")
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def server():
    server = Server(by_words)
    yield server
    server.close()


def test_transcripts_become_labels_then_an_encoder_then_features(here, server, monkeypatch, capsys):
    texts = [f"{word} hello {number}" for number in range(10) for word in ("fine", "awful", "yes")]
    write_transcripts(here / "transcripts.csv", texts)
    asked = ("annotate", "transcripts.csv", "--endpoint", server.endpoint, "--model", "m", "-o", "made.csv")
    assert run(monkeypatch, *asked, "--plan") == 0 and not server.requests
    assert "30 requests to make" in capsys.readouterr().out
    assert run(monkeypatch, *asked) == 0
    assert run(monkeypatch, "finetune", "--csv", "made.csv", "--encoder", "encoders/text", "--name", "ft", *QUICK) == 0
    assert "train: 27 examples (negative 9, neutral 9, positive 9)" in capsys.readouterr().out
    lengths = ("--max-seconds", "2", "--max-tokens", "20", "--audio-encoder", "encoders/audio")
    tuned = ("--dataset", "marketcalls", "--encoder", "runs/ft/encoder", "--epochs", "1", "--name", "ft-calls")
    assert run(monkeypatch, "finetune", *tuned) == 0
    assert run(monkeypatch, "extract", *lengths, "--text-encoder", "runs/ft-calls/encoder") == 0
    said = capsys.readouterr().out
    assert "roberta: its encoder was fine-tuned on the training split of marketcalls (scheme standard)" in said
    record = json.loads(Path("runs/ft-calls/encoder/msmt.json").read_text())
    assert open_store(Path("cache/marketcalls.zarr")).specs["roberta"].weights == record["weights"]


def test_labels_are_held_against_a_gold_column_of_a_corpus(here, server, monkeypatch, capsys):
    asked = ("annotate", "--dataset", "marketcalls", "--endpoint", server.endpoint, "--model", "m")
    assert run(monkeypatch, *asked, "--gold", "two", "--gold-map", "A+B+C=neutral,*=negative") == 0
    said = capsys.readouterr().out
    assert "overlap" in said and "Cohen's kappa" in said and "precision" in said
    found = json.loads(Path("labels.agreement.json").read_text())
    assert found["rows"] == 20 and found["confusion"][2][2] > 0
    assert run(monkeypatch, *asked, "--gold", "mood") == 2
    assert "there is no column mood to hold the labels against" in capsys.readouterr().err


def test_fine_tuning_that_is_killed_goes_on_from_its_last_checkpoint(here, monkeypatch, capsys):
    command = ("finetune", "--csv", "labels.csv", "--encoder", "encoders/text", "--epochs", "40", *QUICK)
    process = subprocess.Popen([sys.executable, "-m", "msmt", *command, "--name", "killed", "-q"])
    while not list(Path("runs").glob("killed/checkpoints/checkpoint-*/whole")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not Path("runs/killed/encoder").exists()
    assert run(monkeypatch, "finetune", "--resume", "latest", "--epochs", "3") == 2
    assert "--epochs cannot be given with --resume" in capsys.readouterr().err
    assert run(monkeypatch, "finetune", "--resume", "latest", "--device", "cpu") == 0
    said = capsys.readouterr().out
    assert "going on with killed" in said and "epoch 1:" not in said and "epoch 40:" in said
    assert Path("runs/killed/encoder/config.json").exists() and not Path("runs/killed/checkpoints").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("finetune --encoder encoders/text", "name what to learn from: --dataset, or --csv"),
        ("finetune --csv labels.csv", "name the encoder to fine-tune with --encoder"),
        ("finetune --csv none.csv --encoder encoders/text", "none.csv: there is no such file"),
        ("finetune --csv labels.csv --encoder encoders/text --label-column mood", "column mood missing"),
        ("finetune --csv labels.csv --encoder encoders/text --name ../out", "name must be the name of a folder"),
        ("finetune --csv labels.csv --encoder encoders/audio", "is an encoder of speech"),
        ("finetune --dataset marketcalls --encoder encoders/text --task mood", "task must be one of five"),
        ("finetune --dataset marketcalls --encoder encoders/text --scheme fold9", "there is no scheme 'fold9'"),
        ("finetune --resume none", "there is no fine-tuning run none in runs"),
        ("annotate labels.csv", "say who answers"),
        ("annotate --local encoders/text", "name what to label"),
        ("annotate labels.csv --local encoders/text -o labels.csv", "is what is read; write the labels to another"),
        ("annotate labels.csv --local encoders/text --gold-map joy=glad", "gold-map must name a class"),
        ("annotate labels.csv --endpoint http://127.0.0.1:9/v1 --model m --retries 0 -o l.csv", "cannot be reached"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(here, monkeypatch, capsys, command, said):
    assert run(monkeypatch, *command.split()) == 2
    error = capsys.readouterr().err
    assert re.search(said, error) and error.count("msmt: error:") == 1 and "Traceback" not in error
    assert not list(Path(".").glob("runs/*/encoder"))
