"""Views, silence and channels as they are typed."""

from __future__ import annotations

import shutil
import sys

import pandas as pd
import pytest
import soundfile
from msmt.cli import main
from msmt.features.opening import open_store
from msmt.tests.extract.made import save_encoders, write_calls

STORE = "cache/marketcalls.zarr"
ENCODERS = ("--audio-encoder", "encoders/audio", "--text-encoder", "encoders/text", "--max-tokens", "30")


def run(monkeypatch, *arguments) -> int:
    """Exit status of ``msmt`` with these arguments."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["msmt", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0)
    return 0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with data/marketcalls, encoders, and a store with two views."""
    folder = tmp_path_factory.mktemp("made")
    save_encoders(folder)
    write_calls(folder / "data/marketcalls", recordings=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(patch, "extract", "--augment", "speed,homophone", "-q", *ENCODERS) == 0
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def test_views_are_planned_extracted_counted_and_heard(here, monkeypatch, capsys):
    assert run(monkeypatch, "extract", "--augment", "noise", "--plan", *ENCODERS) == 0
    assert "10 segments and 18 altered copies" in capsys.readouterr().out
    assert run(monkeypatch, "extract", "--augment", "noise", "--augment-classes", "B", *ENCODERS) == 0
    shown = capsys.readouterr().out
    assert "rows of train without copies: A 2, B 2, C 2" in shown and "with copies: A 6, B 8, C 6" in shown
    assert run(monkeypatch, "info", STORE) == 0
    shown = capsys.readouterr().out
    assert "10 segments of 5 recordings" in shown and "speed 6  homophone 6  noise 2" in shown
    assert run(monkeypatch, "listen", STORE, "call1_1", "--view", "speed", "-o", "out.wav") == 0
    assert soundfile.info("out.wav").samplerate == 8000 and (here / "out.png").exists()
    assert run(monkeypatch, "listen", STORE, "call1_1", "--view", "homophone") == 0
    assert "characters replaced" in capsys.readouterr().out


def test_silence_is_removed_into_a_feature_of_its_own(here, monkeypatch, capsys):
    assert run(monkeypatch, "extract", "--silence", "remove", *ENCODERS) == 0
    assert "silence removed of train" in capsys.readouterr().out
    assert set(open_store(STORE).specs) == {"hubert", "hubert-nosilence", "roberta"}
    assert run(monkeypatch, "doctor", "--silence", "remove", *ENCODERS) == 0
    assert run(monkeypatch, "listen", STORE, "call0_1", "-o", "b.wav") == 0
    assert "what hubert was made from" in capsys.readouterr().out
    assert run(monkeypatch, "listen", STORE, "call0_1", "--feature", "hubert-nosilence", "-o", "a.wav") == 0


class TestBadInput:
    """One line, exit status 2, nothing written, and no encoder loaded: those named here do not exist."""

    @pytest.fixture(autouse=True)
    def around(self, here, monkeypatch, capsys):
        self.here, self.monkeypatch, self.capsys = here, monkeypatch, capsys

    def refuses(self, reason: str, *arguments, command: str = "extract") -> None:
        before = {path: path.stat().st_mtime_ns for path in self.here.rglob("*") if "lock" not in path.name}
        self.capsys.readouterr()
        encoders = ("--audio-encoder", "none", "--text-encoder", "none") if command == "extract" else ()
        assert run(self.monkeypatch, command, *arguments, *encoders) == 2
        shown = self.capsys.readouterr().err.strip()
        assert shown.startswith("msmt: error: ") and len(shown.splitlines()) == 1 and reason in shown, shown
        after = {path: path.stat().st_mtime_ns for path in self.here.rglob("*") if "lock" not in path.name}
        assert after == before

    def test_views_and_ranges(self):
        self.refuses("names 'echo'", "--augment", "echo")
        self.refuses("must be a range such as", "--augment", "noise", "--noise-db", "")
        self.refuses("write 10:40", "--augment", "noise", "--noise-db", "40:10")
        self.refuses("copies must be at least 1", "--augment", "noise", "--copies", "0")
        self.refuses("mask share must be", "--augment", "mask", "--mask-share", "1")

    def test_another_split_or_recipe(self):
        self.refuses("only the training split can be augmented", "--augment", "noise", "--train-split", "test")
        self.refuses("view speed with factors", "--augment", "speed", "--speed-range", "0.8:1.2")
        self.refuses(
            "view homophone with tones keep, not ignore", "--augment", "homophone", "--homophone-tones", "ignore"
        )

    def test_homophones_without_chinese(self):
        table = pd.read_csv("data/marketcalls/train.csv").assign(text="hello")
        table.to_csv("data/marketcalls/train.csv", index=False)
        self.refuses("no transcript holds a Chinese character", "--augment", "homophone", "--store", "new.zarr")

    def test_channels(self):
        self.refuses("call0_1.wav has 1 channel, so no channel 1", "--channel", "1")
        self.refuses("call0_1.wav has 1 channel, so no channel 1", "--channel", "1", "--devices", "cpu,cpu")
        self.refuses("channel must be mean", "--channel", "left")
        self.refuses("needs --agent-channel", "--channel", "customer")
        self.refuses("cannot be on channel 0", "--agent-channel", "0")

    def test_silence(self):
        self.refuses("silence threshold must be", "--silence", "remove", "--silence-threshold", "1.5")

    def test_listening_to_what_is_not_there(self):
        self.refuses("has no segment 'x'", STORE, "x", command="listen")
        self.refuses(
            "has no view 'noise', only original, speed, homophone",
            STORE,
            "call1_1",
            "--view",
            "noise",
            command="listen",
        )
