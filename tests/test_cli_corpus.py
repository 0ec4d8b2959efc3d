"""What the commands show of a corpus: counts, likely mistakes, what splits share; and no name commands a terminal."""

from __future__ import annotations

import json
import sys

import pandas as pd
import pytest
import soundfile
from msmt.cli import main
from msmt.tests.extract.made import save_encoders, speech_like
from msmt.tests.test_cli import ENCODERS, SMALL

HOSTILE = "\x1b[2J\x9b31m\x07\u202e"


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
def encoders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    save_encoders(folder)
    return folder / "encoders"


@pytest.fixture
def here(tmp_path, monkeypatch, encoders):
    (tmp_path / "encoders").symlink_to(encoders)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(here, rows: list[dict], same: dict[str, str] = {}) -> None:  # noqa: B006  not written to
    """A generic corpus; a file named in ``same`` holds what another holds."""
    audio = here / "data/generic/audio"
    audio.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        soundfile.write(audio / row["audio"], speech_like(0.4, seed=number), 8000)
    for copy, original in same.items():
        (audio / copy).write_bytes((audio / original).read_bytes())
    pd.DataFrame(rows).to_csv(here / "data/generic/segments.csv", index=False)


def clips(count: int = 12, **more) -> list[dict]:
    splits = ("train",) * 6 + ("val",) * 3 + ("test",) * 3
    return [
        {"audio": f"{i}.wav", "text": "hello", "label": ("calm", "angry")[i % 2], "split": splits[i]} | more
        for i in range(count)
    ]


EXTRACT = ("extract", "--dataset", "generic", *ENCODERS)


def test_no_name_of_a_corpus_reaches_the_terminal_or_a_spreadsheet_as_a_command(here, monkeypatch, capfd):
    rows = clips(speaker=f"=amy{HOSTILE}")
    for i, row in enumerate(rows):
        row |= {"label": f"={row['label']}{HOSTILE}\nx", "recording": f"@r{i}{HOSTILE}", "text": f"hello{HOSTILE}"}
        row |= {"split": row["split"] + ("=1+1" if row["split"] == "test" else "")}
    write(here, rows)
    (here / "data/generic/audio/0.wav").write_bytes(b"no audio")
    test = "test=1+1"
    assert run(monkeypatch, *EXTRACT, "--plan", "--max-failures", "2") == 0
    assert run(monkeypatch, *EXTRACT, "--max-failures", "2") == 1
    assert run(monkeypatch, "info", "cache/generic.zarr") == 0
    assert run(monkeypatch, "train", "--skip-missing", *SMALL, "--name", "one") == 0
    assert run(monkeypatch, "train", "--skip-missing", *SMALL, "--name", "two", "--seed", "5") == 0
    assert run(monkeypatch, "eval", "--split", test) == 0
    one, two = sorted(path.name for path in (here / "runs").iterdir() if not path.is_symlink())
    assert run(monkeypatch, "compare", one, two, "--split", test) == 0
    shown = "".join(capfd.readouterr())
    assert "calm\\x1b[2J" in shown and not any(
        mark in shown for mark in HOSTILE if not mark.isprintable() or mark > "~"
    )
    lists = [*here.rglob("*.csv"), *here.rglob("*.md"), *here.rglob("*.tex")]
    lists = [path for path in lists if path.parent.name != "generic"]
    assert {path.name for path in lists} >= {
        "generic.zarr.failures.csv",
        "left-out.csv",
        "comparison.csv",
        "comparison.md",
    }
    for path in lists:
        text = path.read_text()
        assert not any(mark in text for mark in HOSTILE if mark not in "[2J31m"), path
        if path.suffix == ".csv":
            cells = pd.read_csv(path, dtype=str, keep_default_na=False)
            assert not [cell for row in cells.to_numpy() for cell in row if cell[:1] in "=+@\t\r" and cell], path
    assert HOSTILE in json.loads(next((here / "runs" / two).glob("scored-*.json")).read_text())["recording_ids"][0]


def test_what_was_read_is_shown_unless_nothing_is_to_be_said(here, monkeypatch, capsys):
    rows = clips(speaker="amy")
    rows[2] |= {"label": "angri"}
    write(here, rows)
    for arguments in (("--plan",), ()):
        assert run(monkeypatch, *EXTRACT, *arguments) == 0
        shown = capsys.readouterr().out
        assert "label  train  val  test  all" in shown and "calm       2    2     1    5" in shown
        assert "warning: classes 'angri' (1 segment) and 'angry' (6 segments) of label differ by one letter" in shown
        assert "train and test share 1 speaker: amy" in shown
    assert run(monkeypatch, *EXTRACT, "--plan", "-q") == 0
    assert "cache/generic.zarr: 12 segments" in capsys.readouterr().out
    assert run(monkeypatch, "info", "cache/generic.zarr") == 0
    shown = capsys.readouterr().out
    assert "train: 6 segments of 6 recordings, 1 speaker\n" in shown and "warning: classes 'angri'" in shown
    assert "train and test share 1 speaker: amy" in shown
    assert run(monkeypatch, "info", "cache/generic.zarr", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {"what": "speaker", "splits": ["train", "val"], "names": ["amy"]} in told["shared"]
    assert run(monkeypatch, "train", *SMALL) == 0
    assert "splits are not apart: train and val share 1 speaker: amy" in capsys.readouterr().out


def test_shared_audio_is_refused_or_allowed_and_then_never_forgotten(here, monkeypatch, capsys):
    write(here, clips(), same={"11.wav": "0.wav"})
    assert run(monkeypatch, *EXTRACT, "--plan") == 2
    refused = capsys.readouterr().err
    assert "segments.csv row 2 and segments.csv row 13" in refused and len(refused.splitlines()) == 1
    assert run(monkeypatch, *EXTRACT) == 2 and not (here / "cache").exists()
    assert run(monkeypatch, *EXTRACT, "--allow-shared-audio") == 0
    assert run(monkeypatch, "train", *SMALL) == 0
    capsys.readouterr()
    assert run(monkeypatch, "eval") == 0
    assert "train and test share the audio of 1 segment: 0 = 11. What was learnt by heart" in capsys.readouterr().out
    assert run(monkeypatch, "info", "cache/generic.zarr") == 0
    assert "train and test share the audio of 1 segment: 0 = 11" in capsys.readouterr().out


def test_splits_are_found_by_their_usual_names_and_others_are_listed(here, monkeypatch, capsys):
    write(here, [row | {"split": row["split"].title()} for row in clips()])
    assert run(monkeypatch, *EXTRACT, "-q") == 0
    assert run(monkeypatch, "train", *SMALL) == 0
    assert "of split Train, is judged by 3 recordings (3 segments) of split Val" in capsys.readouterr().out
    assert run(monkeypatch, "eval", "--split", "test") == 0
    assert "Test: 3 recordings" in capsys.readouterr().out and next(here.glob("runs/*/predictions-Test.csv"))
    assert run(monkeypatch, "train", "--train-split", "fold1", *SMALL) == 2
    assert "has no segments in split fold1: its splits are Train, Val, Test" in capsys.readouterr().err


def test_made_splits_keep_speakers_apart(here, monkeypatch, capsys):
    rows = [{**row, "speaker": f"s{i % 4}"} for i, row in enumerate(clips())]
    for row in rows:
        del row["split"]
    write(here, rows)
    assert run(monkeypatch, *EXTRACT, "--plan") == 0
    shown = capsys.readouterr().out
    assert "recordings were split by speaker" in shown and "no speaker, no recording and no audio is in two" in shown
    assert run(monkeypatch, *EXTRACT, "--plan", "--split-by", "recording") == 0
    assert "and test share" in capsys.readouterr().out
