"""Labelling by a language model that runs here, and by a real server of one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from msmt.errors import EncoderError
from msmt.extract.annotating.annotate import annotate, answerer_of, plan
from msmt.extract.annotating.config import AnnotateOptions
from msmt.extract.annotating.transcripts import of_csv
from msmt.tests.extract.annotating.chat import write_chat_model
from msmt.tests.extract.annotating.made import write_transcripts

TEXTS = ["one text", "another text that is longer", "one text", ""]


def labelled(folder: Path, model: Path, texts=TEXTS, **options):
    csv = write_transcripts(folder / "transcripts.csv", texts)
    chosen = AnnotateOptions(local=str(model), **{"device": "cpu", "answer_tokens": 4, **options})
    return annotate(of_csv(csv, "text"), folder / "labels.csv", chosen)


def test_a_random_model_gives_rubbish_and_that_is_said(tmp_path):
    made = labelled(tmp_path, write_chat_model(tmp_path / "chat"))
    assert made.is_rubbish and "2 of 2 answers were outside the classes" in made.warnings[0]
    assert made.labels == [""] * 4 and made.outcome.requests == 6  # each of two texts three times


def test_texts_are_answered_together_as_they_are_alone(tmp_path):
    model = write_chat_model(tmp_path / "chat", words=["positive", "negative", "neutral", *"abcdefgh"])
    answerers = [answerer_of(AnnotateOptions(local=str(model), concurrency=count, device="cpu")) for count in (1, 8)]
    questions = [[{"role": "user", "content": " ".join("abcdefgh"[: 1 + number])}] for number in range(6)]
    from threading import Event

    alone = [answerers[0].answers([each], Event())[0] for each in questions]
    together = answerers[1].answers(questions, Event())
    assert alone == together and len({answer.text for answer in alone}) > 1


def test_nothing_is_asked_twice_and_other_weights_are_another_model(tmp_path):
    first = write_chat_model(tmp_path / "chat")
    labelled(tmp_path, first)
    assert labelled(tmp_path, first).outcome.requests == 0
    write_chat_model(tmp_path / "chat", seed=1)
    assert labelled(tmp_path, first).outcome.requests == 6


def test_a_plan_counts_by_the_tokenizer_without_loading_the_weights(tmp_path):
    model = write_chat_model(tmp_path / "chat")
    (model / "model.safetensors").write_bytes(b"no weights")
    csv = write_transcripts(tmp_path / "transcripts.csv", TEXTS)
    options = AnnotateOptions(local=str(model), prompt="say {text}")
    lines = plan(of_csv(csv, "text"), tmp_path / "labels.csv", options)
    # user : say … <end> assistant : are 6 tokens beside the texts' 2 and 5
    assert lines[2].startswith(f"{6 + 2 + 6 + 5} tokens of prompts (by the model's tokenizer), at most 32 of answers")


def test_a_text_that_does_not_fit_the_model_is_recorded_as_refused(tmp_path):
    model = write_chat_model(tmp_path / "chat", positions=110)
    made = labelled(tmp_path, model, ["short", "long " * 100])
    assert made.outcome.refused == 1 and "the model takes 110" in made.outcome.unusable[("long " * 100).strip()]


def test_what_is_no_language_model_is_refused_in_a_line(tmp_path):
    with pytest.raises(EncoderError, match="--local wants a hub id or a folder"):
        labelled(tmp_path, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EncoderError, match="it has no config.json"):
        labelled(tmp_path, tmp_path / "empty")


@pytest.fixture
def served(tmp_path):
    """The address of transformers' own server with a tiny random model, and what it logs."""
    model = write_chat_model(tmp_path / "chat")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hub = tmp_path / "hub-cache"
    (hub / "hub").mkdir(parents=True)
    environment = {**os.environ, "HF_HOME": str(hub), "HF_HUB_OFFLINE": "1"}
    script = "from transformers.cli.transformers import main; main()"
    command = [sys.executable, "-c", script, "serve", str(model), "--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path / "served.log"
    with open(log, "wb") as file:
        process = subprocess.Popen([*command, "--device", "cpu"], stdout=file, stderr=file, env=environment)
    try:
        for _ in range(1200):
            assert process.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1", str(model), log
    finally:
        process.kill()
        process.wait()


def test_a_real_server_is_asked_killed_and_asked_on_and_its_rubbish_is_called_so(tmp_path, served):
    endpoint, model, log = served
    texts = [f"this is text number {number}" for number in range(12)]
    csv = write_transcripts(tmp_path / "transcripts.csv", texts)
    journal = tmp_path / "labels.csv.journal"
    command = [sys.executable, "-m", "msmt", "annotate", str(csv), "-o", str(tmp_path / "labels.csv")]
    command += ["--endpoint", endpoint, "--model", model, "--concurrency", "2", "--answer-tokens", "4"]
    command += ["--retries-of-answers", "1"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not journal.exists() or journal.read_bytes().count(b"\n") < 6:
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = journal.read_bytes().count(b"\n")
    assert 6 <= kept < 24
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 1 and "Traceback" not in again.stderr
    assert "12 of 12 answers were outside the classes" in again.stderr
    assert f"asked now in {24 - kept} requests" in again.stdout
    assert journal.read_bytes().count(b"\n") == 24
    assert 24 <= log.read_text(errors="replace").count("POST /v1/chat/completions") <= 24 + 2
