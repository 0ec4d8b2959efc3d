"""What emotional-cues says of an utterance follows from it and those before it: nothing later, from the files on.

Texts, speakers and audio of the utterances after one are changed, or these are taken away; neither its features nor
what the network says of it may change. Two variants that look ahead, one in extraction and one in the network, are
caught.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from msmt.extract.digests import file_digest
from msmt.extract.extractors.context import Windows
from msmt.extract.extractors.contract import Material, Setup
from msmt.extract.extractors.registry import KINDS
from msmt.features.segments import segment_table
from msmt.features.tasks import Task
from msmt.tests.extract import assertions
from msmt.tests.extract.made import audio_encoder, save_encoders, speech_like
from msmt.tests.train import cues
from msmt.train.models import emotional_cues, windows
from msmt.train.models.contract import SlotInput
from msmt.train.models.emotional_cues import EmotionalCuesSettings, build
from msmt.train.rows import Rows

NEXT = Task("next_emotion", ("calm", "angry", "sad"), level="segment")
TALK = [("ann", "hello agent"), ("bob", "price yes no"), ("ann", "no price"), ("bob", "agent yes"), ("cy", "bye hello")]
HERE = 2  # the utterance that is looked at
KNOWN = [("IsA", "price", "agent"), ("Causes", "hello", "bye"), ("HasContext", "yes", "price"), ("IsA", "yes", "hello")]


@pytest.fixture(scope="module")
def extractors(tmp_path_factory):
    """What makes the feature of each slot."""
    folder = tmp_path_factory.mktemp("made")
    _, text = save_encoders(folder)
    audio_encoder("wavlm").save_pretrained(folder / "wavlm")
    window = {"encoder": str(text), "tokens": 60, "turns": 3, "speakers": True}
    dump = str(assertions.write(folder / "assertions.csv", KNOWN))
    asked = {
        "text": ("text", window),
        "importance": ("kwrt", {**window, "conceptnet": dump}),
        "audio": ("speech", {"encoder": str(folder / "wavlm"), "seconds": 2.0, "rate": 16_000}),
        "mel": ("mel", {"bands": cues.PATCH, "hop": 0.05, "window": 0.05, "rate": 8000}),
    }
    setup = Setup(torch.device("cpu"))
    return {
        slot: KINDS[kind].load().load(slot, KINDS[kind].options()(**options), setup)
        for slot, (kind, options) in asked.items()
    }


def corpus(folder, turns=TALK, other_audio=()) -> Material:
    """One dialogue of these turns; those in ``other_audio`` sound otherwise."""
    folder.mkdir()
    for place in range(len(turns)):
        samples = speech_like(0.4 + 0.1 * place, seed=place + 50 * (place in other_audio))
        soundfile.write(folder / f"{place}.wav", samples, 8000)
    rows = [(f"u{place}", "talk", place, *turn, f"{place}.wav") for place, turn in enumerate(turns)]
    table = pd.DataFrame(rows, columns=["segment_id", "recording_id", "index", "speaker", "text", "audio"])
    return Material(folder, segment_table(table.assign(split="train"), ()), lambda path: file_digest(folder / path))


def features(extractors, material) -> dict[str, list[torch.Tensor]]:
    made = {}
    for slot, extractor in extractors.items():
        made[slot] = []
        for row in range(len(material.table)):
            function, arguments = extractor.job(material, row)
            made[slot].append(extractor.encode([function(*arguments)])[0][slot])
    return made


def network(extractors):
    torch.manual_seed(0)
    folders = {"language_layers": cues.bert(), "vision_layers": cues.vit()}
    sizes = {"width": 8, "layers": 1, "heads": 2, "feed_forward": 12, "patch_bands": 1}
    inputs = {slot: SlotInput.of(each.specs[slot]) for slot, each in extractors.items()}
    return build(EmotionalCuesSettings(**sizes, **folders), [NEXT], inputs).eval()


def said(net, made) -> torch.Tensor:
    """(S, classes)"""
    rows = {slot: Rows(torch.cat(each), tuple(map(len, each))) for slot, each in made.items()}
    with torch.no_grad():
        return net(rows, [len(made["text"])])["next_emotion"]


def later(tmp_path):
    """The dialogue with another future, by what is changed in it."""
    kept = TALK[: HERE + 1]
    return {
        "texts": corpus(tmp_path / "texts", [*kept, ("bob", "hello price price"), ("cy", "no yes hello bye")]),
        "speakers": corpus(tmp_path / "speakers", [*kept, ("ann", TALK[3][1]), ("ann", TALK[4][1])]),
        "audio": corpus(tmp_path / "audio", other_audio=(3, 4)),
        "one taken away": corpus(tmp_path / "one", TALK[:-1]),
        "all taken away": corpus(tmp_path / "all", kept),
        "more": corpus(tmp_path / "more", [*TALK, ("dan", "yes bye price")]),
    }


def leaks(extractors, tmp_path) -> set[tuple[str, str]]:
    """What of the utterance, or of those before it, another future changes: by future, and feature or ``answer``."""
    net = network(extractors)
    plain = corpus(tmp_path / "plain")
    made, identities = (
        features(extractors, plain),
        {slot: each.identities(plain)[slot] for slot, each in extractors.items()},
    )
    before, found = said(net, made), set()
    for future, material in later(tmp_path).items():
        others = features(extractors, material)
        for slot, extractor in extractors.items():
            same_rows = all(torch.equal(made[slot][row], others[slot][row]) for row in range(HERE + 1))
            same = np.array_equal(extractor.identities(material)[slot][: HERE + 1], identities[slot][: HERE + 1])
            if not (same_rows and same):
                found.add((future, slot))
        if not torch.allclose(said(net, others)[: HERE + 1], before[: HERE + 1], rtol=0, atol=1e-6):
            found.add((future, "answer"))
    return found


def test_nothing_later_changes_features_or_answers(extractors, tmp_path):
    assert not emotional_cues.NETWORK.sees_future(EmotionalCuesSettings())
    assert leaks(extractors, tmp_path) == set()


def test_what_is_before_does_change_them(extractors, tmp_path):
    turns = [TALK[0], ("bob", "hello bye"), *TALK[2:]]
    made = features(extractors, corpus(tmp_path / "plain"))
    others = features(extractors, corpus(tmp_path / "other", turns, other_audio=(1,)))
    assert not torch.equal(made["text"][HERE], others["text"][HERE])
    assert not torch.equal(made["importance"][HERE].sum(), others["importance"][HERE].sum())
    net = network(extractors)
    for slot in ("text", "audio", "mel"):
        changed = {**made, slot: others[slot]}
        changed |= {"importance": others["importance"]} if slot == "text" else {}
        assert (said(net, changed)[HERE] - said(net, made)[HERE]).abs().max() > 1e-5, slot


def test_a_text_feature_that_looks_ahead_would_be_caught(extractors, tmp_path, monkeypatch):
    def seen(self, table, rows):
        order = table["index"].tolist()
        for row in rows.tolist():
            place = bisect_left(order, order[row])
            yield row, [*range(max(0, place - 1), min(len(order), place + 2))]

    monkeypatch.setattr(Windows, "_seen", seen)
    found = leaks(extractors, tmp_path)
    assert {("texts", "text"), ("texts", "importance"), ("texts", "answer"), ("speakers", "text")} <= found


def test_a_network_that_hears_ahead_would_be_caught(extractors, tmp_path, monkeypatch):
    def ahead(rows, segments, turns):
        places = [range(own, min(own + turns, len(rows.lengths))) for own in range(len(rows.lengths))]
        return windows._gathered(rows, places)

    monkeypatch.setattr(emotional_cues, "up_to_each", ahead)
    found = leaks(extractors, tmp_path)
    assert {("audio", "answer"), ("all taken away", "answer")} <= found
    assert {what for _, what in found} == {"answer"}
