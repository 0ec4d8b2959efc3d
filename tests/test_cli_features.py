"""msmt extract --features and --feature, and msmt features, as they are typed."""

from __future__ import annotations

import sys

import pytest
from msmt.cli import main
from msmt.features.opening import open_store
from msmt.tests.extract.made import audio_encoder, save_encoders, text_encoder, tokenizer, write_calls

FEATURES = """
features:
  hubert:        {kind: speech, encoder: encoders/audio, layers: [1, 2]}
  wavlm:         {kind: speech, encoder: encoders/wavlm, layers: [0, 1, 2]}
  roberta:       {kind: text, encoder: encoders/text}
  roberta-last2: {kind: text, encoder: encoders/roberta, layers: [-2, -1], pool: cls, join: true}
  dialogue:      {kind: text, encoder: encoders/text, turns: 3, speakers: true}
  mel:           {kind: mel, bands: 32, hop: 0.01}
  egemaps:       {kind: opensmile, set: eGeMAPSv02}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a corpus and encoders."""
    write_calls(tmp_path / "data/marketcalls", recordings=5)
    save_encoders(tmp_path)
    audio_encoder("wavlm").save_pretrained(tmp_path / "encoders/wavlm")
    text_encoder("roberta").save_pretrained(tmp_path / "encoders/roberta")
    tokenizer().save_pretrained(tmp_path / "encoders/roberta")
    (tmp_path / "features.yaml").write_text(FEATURES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch, *arguments: str) -> int:
    """Exit status of ``msmt`` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["msmt", *arguments])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_one_command_makes_all_kinds_of_features(folder, monkeypatch, capsys):
    command = ("extract", "--features", "features.yaml", "--max-seconds", "1.5", "--max-tokens", "60")
    nameless = "dialogue: the corpus says of no segment who speaks, so turns have no s1:, s2:, …\n"
    assert run(monkeypatch, *command, "--plan") == 0
    assert nameless in capsys.readouterr().out and not (folder / "cache").exists()
    assert run(monkeypatch, *command, "--precision", "float32") == 0
    assert capsys.readouterr().out.count(nameless) == 1
    store = open_store("cache/marketcalls.zarr")
    shapes = {name: (spec.kind, spec.unit, spec.width, spec.dtype) for name, spec in store.specs.items()}
    assert shapes == {
        "hubert-layer1": ("speech", "frame", 48, "float16"),
        "hubert-layer2": ("speech", "frame", 48, "float16"),
        "wavlm-layer0": ("speech", "frame", 48, "float16"),
        "wavlm-layer1": ("speech", "frame", 48, "float16"),
        "wavlm-layer2": ("speech", "frame", 48, "float16"),
        "roberta": ("text", "token", 48, "float16"),
        "roberta-last2": ("text", "vector", 96, "float16"),
        "dialogue": ("text", "token", 48, "float16"),
        "mel": ("mel", "frame", 32, "float16"),
        "egemaps": ("opensmile", "vector", 88, "float32"),
    }
    assert all((store.lengths(name) > 0).all() for name in store.specs)
    capsys.readouterr()
    assert run(monkeypatch, *command, "--precision", "float32") == 0
    assert "hubert-layer1: 0 computed, 10 were complete, 0 missing" in capsys.readouterr().out
    assert run(monkeypatch, "info", "cache/marketcalls.zarr") == 0
    shown = capsys.readouterr().out
    assert "RATE: the encoder of wavlm-layer0, wavlm-layer1, wavlm-layer2 was trained at" in shown
    assert "encoders/wavlm, layer 1, 8000 Hz" in shown and "encoders/wavlm, last layer, 8000 Hz" in shown
    assert "encoders/roberta, layers 1 and last side by side, cls, float32" in shown
    assert "encoders/text, last layer, 3 turns with speakers, float32" in shown
    assert "opensmile: openSMILE " in shown and " eGeMAPSv02, 16000 Hz" in shown
    assert run(monkeypatch, "verify", "cache/marketcalls.zarr") == 0
    assert run(monkeypatch, "features", "cache/marketcalls.zarr") == 0
    shown = capsys.readouterr().out
    assert "32 float16 a frame" in shown and "an hour takes" in shown and "layers" in shown
    assert run(monkeypatch, "doctor", *command[1:], "--precision", "float32") == 0
    assert "egemaps" in capsys.readouterr().out
    assert run(monkeypatch, "listen", "cache/marketcalls.zarr", "call0_1", "--feature", "mel", "-o", "a.wav") == 0
    assert run(monkeypatch, "listen", "cache/marketcalls.zarr", "call0_1", "--feature", "roberta") == 2
    assert "has no audio feature roberta" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--feature", "a=mell"), "there is no kind 'mell'"),
        (("--feature", "a=mel:bends=3"), "has no option 'bends'"),
        (("--feature", "a=mel", "--feature", "a=mel"), "two features of this name"),
        (("--feature", "a=opensmile:set=none"), "none"),
        (("--feature", "a=mel", "--modalities", "audio"), "leave out --modalities"),
        (("--config", "bad.yaml"), "bad.yaml: "),
        (("--features", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
        (("--features", "empty.yaml"), "empty.yaml: must hold 'features:'"),
        (("--feature", "a=speech:encoder=encoders/audio,layers=[9]"), "layer"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(folder, monkeypatch, capsys, arguments, message):
    (folder / "empty.yaml").write_text("")
    (folder / "bad.yaml").write_text("feature: [a=mell]")
    assert run(monkeypatch, "extract", *arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error and not (folder / "cache").exists()


def test_features_may_stand_in_a_file_of_options(folder, monkeypatch):
    (folder / "options.yaml").write_text(
        "feature: [bands=mel:bands=16, 'frames=mel:bands=8,hop=0.02']\nsample_rate: 8000"
    )
    assert run(monkeypatch, "extract", "--config", "options.yaml", "-q") == 0
    store = open_store("cache/marketcalls.zarr")
    assert {name: (spec.width, spec.sample_rate) for name, spec in store.specs.items()} == {
        "bands": (16, 8000),
        "frames": (8, 8000),
    }


def test_features_without_a_store_lists_the_kinds(monkeypatch, capsys):
    assert run(monkeypatch, "features") == 0
    shown = capsys.readouterr().out
    assert all(f"{kind}: " in shown for kind in ("speech", "text", "mel", "opensmile"))
    assert run(monkeypatch, "features", "nowhere.zarr") == 2
