"""The page on labelling and fine-tuning stays true: its commands run as typed, and what it says of defaults holds."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import msmt
import pytest
from msmt.commands.annotating import annotate
from msmt.commands.finetuning import finetune
from msmt.extract.annotating.config import AnnotateOptions
from msmt.extract.finetuning.config import FinetuneOptions
from msmt.tests.extract.annotating.made import Server, by_words, write_transcripts
from msmt.tests.extract.made import save_encoders, write_calls
from msmt.tests.test_cli import run

PAGE = (Path(msmt.__file__).parent / "docs/annotate-finetune.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    return [
        line
        for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]


@pytest.fixture
def server():
    server = Server(by_words)
    yield server
    server.close()


def test_every_command_of_the_page_works_as_typed_on_small_things(tmp_path, server, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_encoders(tmp_path)
    write_calls(tmp_path / "data/marketcalls", recordings=5)
    write_transcripts(Path("transcripts.csv"), [f"{word} {n}" for n in range(6) for word in ("fine", "awful", "the")])
    here = {
        "http://localhost:8000/v1": server.endpoint,
        "FacebookAI/roberta-large": "encoders/text",
        "microsoft/wavlm-base-plus": "encoders/audio",
        "--dataset meld": "--dataset marketcalls",
        "--task sentiment": "--task five",
    }
    for line in commands():
        for said, there in here.items():
            line = line.replace(said, there)
        shortened = {"finetune": ["--epochs", "1"], "extract": ["--max-seconds", "2", "--max-tokens", "20"]}
        words = shlex.split(line)[1:]
        words += shortened.get(words[0], [])
        if words[0] == "extract" and "--audio-encoder" not in words:
            words += ["--audio-encoder", "encoders/audio"]
        assert run(monkeypatch, *words) == 0, line
    assert {path.name for path in Path("runs").glob("*") if path.is_dir()} == {
        *("roberta-ft", "roberta-meld", "balanced", "wavlm-meld")
    }


def test_options_and_defaults_that_the_page_names_are_there():
    names = {name for command in (annotate, finetune) for option in command.params for name in option.opts}
    others = {"--text-encoder", "--audio-encoder", "--modalities", "--store", "--help"}
    assert set(re.findall(r"`?(--[a-z][a-z-]+)", PAGE)) <= names | others
    asked, tuned = AnnotateOptions(), FinetuneOptions()
    for said in (
        f"`--classes {asked.classes}`",
        f"`--concurrency {asked.concurrency}`",
        f"`--retries {asked.retries}`",
    ):
        assert said in PAGE
    assert (
        f"`--retries-of-answers {asked.retries_of_answers}`" in PAGE
        and f"`--answer-tokens {asked.answer_tokens}`" in PAGE
    )
    assert f"`--timeout {asked.timeout:g}`" in PAGE and f"{tuned.tokens} tokens" in PAGE
    assert f"{tuned.epochs} epochs, batch {tuned.batch}, AdamW, {tuned.learning_rate:g}".replace("e-05", "e-5") in PAGE
