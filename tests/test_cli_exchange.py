"""``msmt export`` and ``msmt import`` as typed, what follows on a store that was imported, and docs/exchange.md."""

from __future__ import annotations

import json
import os
import pickle
import re
import shlex
from pathlib import Path

import msmt
import numpy as np
import pytest
from msmt.features.opening import open_store
from msmt.tests.extract.made import save_encoders
from msmt.tests.features.exchange.made import MOOD, SENTIMENT, make_store, mmsa_content, write_pickle
from msmt.tests.test_cli_corpus import run
from msmt.tests.test_docs import write_talks

PAGE = (Path(msmt.__file__).parent / "docs/exchange.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def big_content() -> dict:
    """Enough of it to train on."""
    return mmsa_content(24)


class Runs:
    def __reduce__(self):
        return os.system, ("touch RAN",)


@pytest.mark.parametrize("network", ["msmt-fn", "linear", "bigru"])
def test_every_network_learns_from_an_imported_file(network, monkeypatch, capsys):
    write_pickle(Path("aligned.pkl"), big_content())
    assert run(monkeypatch, "import", "--from", "mmsa", "aligned.pkl", "made.zarr") == 0
    small = {
        "msmt-fn": ("--width", 12, "--feed-forward", 32, "--head-width", 16),
        "bigru": ("--gru-width", 8, "--head-width", 16),
    }
    options = ("--store", "made.zarr", "--model", network, "--tasks", "label", "--epochs", 1, *small.get(network, ()))
    assert run(monkeypatch, "train", *options) == 0
    assert run(monkeypatch, "eval", "--split", "test") == 0, capsys.readouterr().err
    assert run(monkeypatch, "info", "made.zarr") == 0 and run(monkeypatch, "features", "made.zarr") == 0


def test_vision_fills_a_slot_when_it_is_named(monkeypatch, capsys):
    content = big_content()
    for split in content.values():
        split["vision"], split["vision_lengths"] = split["audio"][:, :, :3], split["audio_lengths"]
    write_pickle(Path("seen.pkl"), content)
    assert run(monkeypatch, "import", "--from", "mmsa", "seen.pkl", "made.zarr") == 0
    options = ("--store", "made.zarr", "--model", "linear", "--tasks", "label", "--epochs", 1)
    for more, slots in (((), {"audio", "text"}), (("--slot", "vision=vision"), {"audio", "text", "vision"})):
        assert run(monkeypatch, "train", *options, *more) == 0, capsys.readouterr().err
        assert set(json.loads(Path("runs/latest/config.json").read_text())["features"]) == slots


def test_an_extraction_leaves_an_imported_store_alone(monkeypatch, capsys):
    save_encoders(Path("."))
    write_talks(Path("data/generic"))
    write_pickle(Path("aligned.pkl"), mmsa_content())
    assert run(monkeypatch, "import", "--from", "mmsa", "aligned.pkl", "made.zarr") == 0
    before = open_store("made.zarr").fingerprint()
    encoders = ("--audio-encoder", "encoders/audio", "--text-encoder", "encoders/text")
    assert run(monkeypatch, "extract", "--dataset", "generic", "--store", "made.zarr", *encoders) == 2
    assert "holds dataset 'mmsa', not 'generic'" in capsys.readouterr().err
    assert open_store("made.zarr").fingerprint() == before


def test_a_pickle_that_would_run_code_is_status_2_in_one_line(monkeypatch, capsys):
    write_pickle(Path("bad.pkl"), {**mmsa_content(), "extra": Runs()})
    assert run(monkeypatch, "import", "--from", "mmsa", "bad.pkl", "made.zarr") == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "bad.pkl: asks for posix.system" in said.err and not said.out
    assert [each.name for each in Path().iterdir()] == ["bad.pkl"]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("--to", "npz", "-o", "a.npz", "--audio", "hubert"), "--audio is for --to mmsa, not for --to npz"),
        (("--to", "hf", "-o", "a", "--tokenizer", "x"), "--tokenizer is for --to mmsa, not for --to hf"),
        (("--to", "mmsa", "-o", "a.pkl", "--features", "hubert"), "--features is for --to npz and hf"),
        (("--to", "mmsa", "-o", "a.pkl", "--max-rows", "0"), "max_rows must be such as 400"),
        (("--to", "mmsa", "-o", "a.pkl", "--scheme", "fold1"), "there is no scheme 'fold1'"),
        (("--to", "mmsa", "-o", "a.pkl", "--tokenizer", "nowhere/x y"), "--tokenizer wants a hub id or a folder"),
    ],
)
def test_options_that_do_not_fit_are_one_line(monkeypatch, capsys, arguments, said):
    make_store(Path("clips.zarr"))
    assert run(monkeypatch, "export", "clips.zarr", *arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not Path(arguments[3]).exists()


def test_a_tokenizer_from_a_folder_gives_tokens(monkeypatch):
    save_encoders(Path("."))
    make_store(Path("clips.zarr"))
    options = ("--to", "mmsa", "-o", "clips.pkl", "--tokenizer", "encoders/text")
    assert run(monkeypatch, "export", "clips.zarr", *options) == 0
    tokens = pickle.loads(Path("clips.pkl").read_bytes())["train"]["text_bert"]
    assert (tokens[:, 0, 0] == 2).all() and (tokens[:, 0].max(axis=1) > 2).all()  # [CLS], and words


def test_the_page_works_as_typed(monkeypatch, capsys):
    Path("cache").mkdir()
    save_encoders(Path("."))
    make_store(Path("cache/mosi.zarr"), (SENTIMENT, MOOD))
    write_pickle(Path("aligned_50.pkl"), big_content())
    small = {"bigru": ("--gru-width", 8, "--head-width", 16)}
    for line in [line for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.S | re.M) for line in block.splitlines()]:
        if not line.startswith("msmt "):
            continue
        words = shlex.split(line.replace("bert-base-uncased", "encoders/text"))[1:]
        more = ("--epochs", 1, *small["bigru"]) if "train" in words else ()
        assert run(monkeypatch, *words, *more) == 0, (line, capsys.readouterr().err)
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.S | re.M):
        said: dict = {}
        exec(block, said)
        if "arrays" in said:
            assert np.array_equal(said["rows"], open_store("cache/mosi.zarr").read("hubert", 7))
