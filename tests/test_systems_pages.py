"""docs/systems.md and the pages beside it stay true: tables, and the commands on made corpora."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import msmt
import pandas as pd
import pytest
from msmt.studies.systems.registry import SYSTEMS, system_named
from msmt.tests.test_cli import run

DOCS = Path(msmt.__file__).parent / "docs"
PAGES = {name: DOCS / f"systems/{name}.md" for name in SYSTEMS if (DOCS / f"systems/{name}.md").exists()}


def commands(page: str) -> list[str]:
    return [
        line
        for block in re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
        for line in block.split("\n")
    ]


def test_the_table_names_every_system_its_networks_presets_and_files():
    rows = re.findall(r"^\| `([\w-]+)` \| (.*?) \| (.*?) \| (.*?) \|", (DOCS / "systems.md").read_text(), re.MULTILINE)
    assert [row[0] for row in rows] == list(SYSTEMS)
    for name, networks, presets, needs in rows:
        system = system_named(name)
        assert re.findall(r"`([\w-]+)`", networks) == list(system.networks)
        assert re.findall(r"`([\w-]+)`", presets) == [preset.name for preset in system.presets]
        given = {each.given.name for each in system.features if each.given}
        named = set(re.findall(r"`([\w-]+)`", needs))
        required = {each.given.name for each in system.features if each.given and not each.is_optional}
        assert required <= named <= given and ("who speaks" in needs) == system.needs_speakers


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_every_row_with_its_preset_and_every_reading(name):
    page, system = PAGES[name].read_text(), system_named(name)
    for preset in system.presets:
        assert f"`{preset.name}`" in page or f"--preset {preset.name}" in page
    assert {"cm-roberta", "mmml", "msmt-fn"} <= set(PAGES)
    if name in ("cm-roberta", "mmml", "msmt-fn"):  # whose readings are written as they are declared
        assert all(f"| {reading.says} | {reading.read} |" in page for reading in system.readings)


@pytest.mark.parametrize("name", ["cm-roberta", "mmml", "msmt-fn", "emotional-cues"])
def test_the_commands_of_a_page_lead_to_its_table(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for line in commands(PAGES[name].read_text()):
        if line.startswith("cd "):
            os.chdir(line.removeprefix("cd "))
        elif line:
            short = ("--epochs", "1") if line.startswith("msmt ablate") else ()
            assert run(monkeypatch, *shlex.split(line)[1:], *short) == 0, (line, capsys.readouterr().err)
    out = {"cm-roberta": "all-rows", "mmml": "ablations/mmml", "msmt-fn": "ablations/msmt-fn-meld"}
    out = out.get(name, "ablations/emotional-cues-epc")
    table = pd.read_csv(f"{out}/ablation.csv").set_index("variant")
    preset = system_named(name).preset_named(Path(out).name if name != "cm-roberta" else name)
    assert set(table.index[: len(preset.rows)]) == {row.name for row in preset.rows}
    published = [table.loc[preset.rows[0].name, column] for column in table if column.endswith("_paper")]
    assert any(figure == figure for figure in published)
