"""docs/features.md stays true: its commands and files work as typed, in the order of the page, on a small corpus."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import msmt
import pytest
from msmt.extract.kinds import options_of_kind
from msmt.extract.extractors.registry import KINDS
from msmt.features.opening import open_store
from msmt.tests.extract.made import audio_encoder, text_encoder, tokenizer
from msmt.tests.test_cli_corpus import run
from msmt.tests.test_docs import write_talks
from msmt.train.models.registry import NETWORKS

PAGE = (Path(msmt.__file__).parent / "docs/features.md").read_text(encoding="utf-8")
ENCODERS = {"microsoft/wavlm-base-plus": "encoders/wavlm", "roberta-base": "encoders/roberta"}


def blocks(language: str) -> list[str]:
    """The fenced blocks of the page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def columns(header: str) -> dict[str, list[str]]:
    """The table of the page under a header: its other cells, by what its first one names in code."""
    rows = PAGE.split(header)[1].split("\n\n")[0].splitlines()[2:]
    return {name.strip(" `"): cells for name, *cells in (row.strip("|").split("|") for row in rows)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with the page's files, a corpus, and small encoders of twelve layers."""
    folder = tmp_path_factory.mktemp("page")
    write_talks(folder / "data/generic")
    audio_encoder("wavlm", num_hidden_layers=12).save_pretrained(folder / "encoders/wavlm")
    text_encoder("roberta", num_hidden_layers=12, max_position_embeddings=256).save_pretrained(
        folder / "encoders/roberta"
    )
    tokenizer().save_pretrained(folder / "encoders/roberta")
    for block in blocks("yaml"):
        for name, path in ENCODERS.items():
            block = block.replace(f"encoder: {name}", f"encoder: {path}")
        (folder / re.match(r"# (\S+)\n", block)[1]).write_text(block)
    return folder


def test_every_command_works_as_typed(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    shown = {}
    for line in (line for block in blocks("sh") for line in block.splitlines()):
        small = ("--head-width", "16", "--gru-width", "8") if "--model bigru" in line else ()
        assert run(monkeypatch, *shlex.split(line)[1:], *small) == 0, (line, capsys.readouterr().err)
        shown[line] = capsys.readouterr().out
    said = "\n".join(shown.values())
    for part in re.findall(r"^(?:slot audio is|stage1: ).*", PAGE, re.MULTILINE):
        assert part in said
    store = open_store("cache/generic.zarr")
    chained = [name for name in store.specs if "-seed" in name]
    assert sorted(name.rpartition("-")[0] for name in chained) == ["first-seed0", "first-seed1"]
    assert {name: (spec.unit, spec.dtype) for name, spec in store.specs.items() if name not in chained} == {
        **{f"wavlm-layer{layer}": ("frame", "float16") for layer in (3, 6, 9, 12)},
        "roberta": ("token", "float16"),
        "roberta-last4": ("vector", "float16"),
        "dialogue": ("token", "float16"),
        "mel": ("frame", "float16"),
        "egemaps": ("vector", "float32"),
        "mel40": ("frame", "float16"),
        "prosody": ("frame", "float32"),
        "stage1": ("vector", "float32"),
    }
    assert run(monkeypatch, "embed", "first", "--name", "stage1") == 0
    assert "0 rows computed, 32 kept" in capsys.readouterr().out
    assert run(monkeypatch, "extract", "--dataset", "generic", "--feature", "mel40=mel:bands=20") == 2
    assert "mel40: width 40, not 20" in capsys.readouterr().err
    assert run(monkeypatch, "train", "--model", "bigru") == 2
    assert "choose --slot text=FEATURE from roberta, dialogue" in capsys.readouterr().err
    assert store.specs["roberta-last4"].width == 4 * store.specs["roberta"].width
    assert "0 computed" not in shown["msmt extract --dataset generic --features features.yaml"]
    assert "with-prosody" in shown["msmt ablate networks.yaml --scheme folds"]
    assert list(Path("runs").glob("*-first/config.json")) and Path("ablations/networks/ablation.md").is_file()


def test_a_corrected_transcript_makes_the_rows_stale_that_the_page_names(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    extract = ("extract", "--dataset", "generic", "--features", "features.yaml")
    assert run(monkeypatch, *extract) == 0
    table = Path("data/generic/segments.csv")
    first = re.search(r"^call0,1,.*", table.read_text(), re.MULTILINE)[0]
    corrected = first.replace(first.split(",")[3], "a b c d")
    table.write_text(table.read_text().replace(first, corrected))
    capsys.readouterr()
    assert run(monkeypatch, *extract, "--plan") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    changed = {words[0]: int(words[2]) for words in lines if len(words) == 8 and words[2].isdigit()}
    assert (changed["roberta"], changed["roberta-last4"], changed["dialogue"], changed["mel"]) == (1, 1, 3, 0)


def test_the_tables_name_every_kind_with_its_options_and_every_network():
    kinds = columns("| kind | makes | options of its own |")
    assert set(kinds) == set(KINDS)
    heard = {option.name for option in options_of_kind("opensmile")} & {
        option.name for option in options_of_kind("mel")
    }
    [sentence] = re.findall(r"^Kinds made from audio also have (.*)\.$", PAGE, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", sentence)) == heard
    for kind, (_, options) in kinds.items():
        assert set(re.findall(r"`(\w+)`", options)) == {option.name for option in options_of_kind(kind)} - heard, kind
    assert set(columns("| `--model` | is |")) == set(NETWORKS)
