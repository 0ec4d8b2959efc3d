"""docs/systems/emotional-cues.md stays true: its options exist, and its counts of weights are those of the network."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import msmt
import torch
from msmt.extract.extractors.registry import KINDS
from msmt.features.tasks import Task
from msmt.train.models.contract import SlotInput
from msmt.train.models.emotional_cues import EmotionalCuesSettings, build
from msmt.values import read_file

PAGE = (Path(msmt.__file__).parent / "docs/systems/emotional-cues.md").read_text(encoding="utf-8")
WIDTHS = {"text": 768, "importance": 1, "audio": 768, "mel": 256}
FOUND = {name: f"768x12x3072:{patch}:{'0' * 32}" for name, patch in (("language_found", 0), ("vision_found", 256))}


def counted(slots, **changes) -> list[str]:
    """What the page says of a network for these slots."""
    with torch.device("meta"):
        inputs = {slot: SlotInput(WIDTHS[slot], 9, "frame") for slot in slots}
        net = build(EmotionalCuesSettings(**FOUND, **changes), [Task("e", tuple("abcdefg"), level="segment")], inputs)
    counts = [
        sum(each.numel() for each in net.parameters() if each.requires_grad == learns) for learns in (True, False)
    ]
    return [f"{count / 1e6:.1f} million" if count else "–" for count in counts]


def test_its_counts_of_weights_are_those_of_the_network():
    said = {}
    for row in PAGE.split("| | learn | frozen |")[1].split("\n\n")[0].splitlines()[2:]:
        name, *counts = (cell.strip() for cell in row.strip("|").split("|"))
        said[name] = counts
    assert said == {
        "text and speech": counted(WIDTHS),
        "without KWRT": counted(["text", "audio", "mel"]),
        "without PE": counted(WIDTHS, prosody=False),
        "without TMF": counted(["text", "importance", "audio"]),
        "text": counted(["text", "importance"]),
        "speech": counted(["audio", "mel"]),
    }


def test_its_switches_are_options_of_the_network():
    names = {field.name for field in dataclasses.fields(EmotionalCuesSettings)}
    for option in re.findall(r"`--(?:no-)?([a-z-]+)[^`]*`", PAGE.split("## What is read how")[1].split("## Sizes")[0]):
        assert option.replace("-", "_") in names, option


def test_its_features_are_asked_for_with_options_that_there_are(tmp_path):
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "it.yaml").write_text(block)
    for asked in read_file(tmp_path / "it.yaml")["features"].values():
        kind = asked.pop("kind")
        unknown = set(asked) - {field.name for field in dataclasses.fields(KINDS[kind].options())} - {"patch"}
        assert not unknown, kind
