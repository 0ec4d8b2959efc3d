"""The pages in docs stay true: what they tell a user to type works on a small corpus, in the order of the page."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import msmt
import numpy as np
import pytest
import soundfile
from msmt.extract.corpora.config import GenericOptions
from msmt.features.opening import open_store
from msmt.tests.extract.made import save_encoders, speech_like
from msmt.tests.test_cli_corpus import run

PAGE = (Path(msmt.__file__).parent / "docs/first-corpus.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of the page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """The command lines of the page, in its order."""
    return [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]


def write_files(encoders: tuple[Path, Path]) -> None:
    """The scripts and settings of the page under the names in their first lines, with an encoder that is there."""
    for block in blocks("python") + blocks("yaml"):
        name = re.match(r"# (\S+)\n", block)[1]
        Path(name).write_text(re.sub("(?m)^audio_encoder: .*", f"audio_encoder: {encoders[0]}", block))


def write_sound(path: Path, seconds: float, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, speech_like(seconds, seed=seed), 8000)


def write_talks(data: Path, recordings: int = 8, segments: int = 4) -> None:
    """A corpus of recordings with transcripts, speakers who take turns, splits, and two classes; upset ones are louder."""
    words = np.random.default_rng(0)
    rows = ["recording,segment,audio,text,speaker,label,split"]
    for number in range(recordings):
        label, split = ("calm", "upset")[number % 2], ("train", "train", "val", "test")[number // 2 % 4]
        for turn in range(1, segments + 1):
            path = data / f"audio/call{number}_{turn}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            seed = number * segments + turn
            samples = speech_like(0.4 + 0.1 * (seed % 7), 16_000, seed) * (1.0 if label == "upset" else 0.3)
            soundfile.write(path, samples, 16_000)
            text = " ".join(words.choice(["hello", "yes", "no", "price", "thanks"], 3))
            speaker = f"agent{number // 2}" if turn % 2 else f"caller{number}"
            rows.append(f"call{number},{turn},{path.name},{text},{speaker},{label},{split}")
    (data / "segments.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture
def encoders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return save_encoders(tmp_path)


def test_the_sample_csv_is_extracted_as_the_page_says(encoders, monkeypatch, capsys):
    [sample] = blocks("csv")
    table = np.array([line.split(",") for line in sample.replace('"hello, yes"', "hello yes").splitlines()])
    for number, name in enumerate(sorted(set(table[1:, table[0] == "audio"][:, 0]))):
        write_sound(Path("data/generic/audio", name).with_suffix(".wav"), 3.0, seed=number)
    Path("data/generic/segments.csv").write_text(sample)
    asked = [line for line in commands() if line.startswith("msmt extract --dataset generic")]
    assert [line.endswith("--plan") for line in asked] == [True, False]
    for line in asked:
        models = ("--audio-encoder", encoders[0], "--text-encoder", encoders[1])
        assert run(monkeypatch, *shlex.split(line)[1:], *models) == 0
        assert "no speaker, no recording and no audio is in two splits" in capsys.readouterr().out
    stored = open_store(Path("cache/generic.zarr"))
    assert len(stored.segments) == len(table) - 1 and not stored.states("hubert").length.min() < 0
    assert dict(zip(stored.segments["recording_id"], stored.segments["split"], strict=True)) == {
        row[0]: row[-1] for row in table[1:].tolist()
    }


def test_the_table_of_columns_names_every_option_and_default():
    options = GenericOptions()
    for field in vars(options):
        if field.endswith(("_column", "_columns")) and field != "keep_columns":
            [row] = [line for line in PAGE.splitlines() if f"`--{field.replace('_', '-')}`" in line and line[0] == "|"]
            assert f"`{getattr(options, field)}`" in row.split("|")[1], field
    assert all(f"`{name}`" in PAGE for name in blocks("csv")[0].splitlines()[0].split(","))


def test_every_command_of_the_walk_works_as_typed(encoders, monkeypatch, capsys):
    for actor in range(1, 13):
        for emotion in (3, 5):
            name = f"03-01-{emotion:02d}-01-01-01-{actor:02d}.wav"
            write_sound(Path("data/emotions/audio", name), 0.4, seed=100 * emotion + actor)
    for number in range(2):
        write_sound(Path(f"data/new/audio/new{number}.wav"), 0.4, seed=number)
    write_files(encoders)
    shown = {}
    for line in commands():
        if line.startswith("msmt extract --dataset generic"):
            continue
        if line.startswith("msmt "):
            is_long = line.startswith(("msmt train", "msmt ablate"))
            shortened = ("--epochs", "1", "--feed-forward", "32", "--head-width", "16") if is_long else ()
            assert run(monkeypatch, *shlex.split(line)[1:], *shortened) == 0, line
        else:
            made = re.sub("^python ", f"{shlex.quote(sys.executable)} ", line)
            subprocess.run(made, shell=True, check=True)
        shown.setdefault(line, []).append(capsys.readouterr().out)
    assert "nothing was computed or written" in shown["msmt extract --config emotions.yaml --plan"][0]
    first, last = shown["msmt extract --config emotions.yaml"]
    assert "24 computed" in first and "0 computed, 24 were complete" in last and "split changed" not in last
    assert "no speaker, no recording and no audio is in two splits" in shown["msmt info cache/emotions.zarr"][0]
    assert len(next(Path("runs/latest").glob("predictions-of-new.csv")).read_text().splitlines()) == 3
    assert Path("ablations/plan/ablation.md").is_file()
