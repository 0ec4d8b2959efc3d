"""MMML against what it is said to compute, written down once more for one segment at a time."""

from __future__ import annotations

import math

import pytest
import torch
from msmt.errors import SettingError
from msmt.features.tasks import Task
from msmt.train.models.contract import SlotInput
from msmt.train.models.mmml import MmmlSettings, before_each, build
from msmt.train.rows import Rows

SENTIMENT = Task("sentiment", level="segment")
WIDTHS = {"text": 6, "audio": 10}  # the audio is projected, the text is not
SIZES = {"width": 6, "layers": 2, "heads": 2, "head_width": 5}
SEGMENTS = (3, 1)
LENGTHS = {"text": (4, 2, 5, 3), "audio": (7, 1, 6, 4)}
BEFORE = {"text": 2, "audio": 1}


def network(**changes):
    torch.manual_seed(0)
    settings = MmmlSettings(**{**SIZES, **changes})
    return build(settings, [SENTIMENT], {name: SlotInput(width, 9, "token") for name, width in WIDTHS.items()}).eval()


def given() -> dict[str, Rows]:
    random = torch.Generator().manual_seed(1)
    return {
        name: Rows(torch.randn(sum(LENGTHS[name]), width, generator=random), LENGTHS[name])
        for name, width in WIDTHS.items()
    }


def attended(block, stream, other, heads=2):
    keys, values = block.key_value(other).chunk(2, dim=1)
    queries, size = block.query(stream), stream.shape[1] // heads
    found = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        found.append((queries[:, part] @ keys[:, part].T / math.sqrt(size)).softmax(dim=1) @ values[:, part])
    return block.norm(stream + block.out(torch.cat(found, dim=1)))


def plain_fused(net, rows: dict[str, torch.Tensor]) -> torch.Tensor:
    """Both CLS of one segment after the last layer."""
    streams = {name: torch.cat([net.cls[name], net.projection[name](each)]) for name, each in rows.items()}
    for layer in net.layers:
        text = attended(layer.crossing["text"], streams["text"], streams["audio"])
        audio = attended(layer.crossing["audio"], streams["audio"], streams["text"])
        for name, stream in (("text", text), ("audio", audio)):
            stream = attended(layer.own[name], stream, stream)
            block = layer.feed_forward[name]
            streams[name] = block.norm(stream + block.out(torch.relu(block.inner(stream))))
    return torch.cat([streams["text"][0], streams["audio"][0]])


def segments_of(rows: dict[str, Rows]) -> list[list[dict[str, torch.Tensor]]]:
    """For each recording its segments, each with the rows of both modalities."""
    split = {name: each.values.split(each.lengths) for name, each in rows.items()}
    recordings, first = [], 0
    for count in SEGMENTS:
        recordings.append([{name: split[name][first + place] for name in split} for place in range(count)])
        first += count
    return recordings


def before(recording, place: int) -> dict[str, torch.Tensor]:
    empty = {name: torch.zeros(0, width) for name, width in WIDTHS.items()}
    return {
        name: torch.cat([empty[name], *(each[name] for each in recording[max(0, place - most) : place])])
        for name, most in BEFORE.items()
    }


@pytest.mark.parametrize("context", [False, True])
def test_values_are_those_of_one_segment_after_another(context):
    net = network(context=context)
    wanted = []
    with torch.no_grad():
        for recording in segments_of(given()):
            for place, rows in enumerate(recording):
                fused = [plain_fused(net, rows)]
                if context:
                    fused.append(plain_fused(net, before(recording, place)))
                wanted.append(net.heads[0](torch.cat(fused)[None]))
        found = net(given(), SEGMENTS)["sentiment"]
    torch.testing.assert_close(found, torch.cat(wanted), rtol=0, atol=1e-5)


def test_each_modality_has_a_loss_of_its_own_in_training():
    net = network(unimodal_weight=0.5).train()
    for block in net.modules():
        if isinstance(block, torch.nn.Dropout):
            block.p = 0.0
    beside = net(given(), SEGMENTS).by_slot
    assert {name: each.weight for name, each in beside.items()} == {"text": 0.5, "audio": 0.5}
    wanted = {"text": [], "audio": []}
    for recording in segments_of(given()):
        for place, rows in enumerate(recording):
            earlier = before(recording, place)
            first = earlier["text"][0] if len(earlier["text"]) else torch.zeros(6)
            mean = earlier["audio"].mean(dim=0) if len(earlier["audio"]) else torch.zeros(10)
            wanted["text"].append(net.alone["text"][0](torch.cat([rows["text"][0], first])[None]))
            wanted["audio"].append(net.alone["audio"][0](torch.cat([rows["audio"].mean(dim=0), mean])[None]))
    for name, each in wanted.items():
        torch.testing.assert_close(beside[name].outputs["sentiment"], torch.cat(each), rtol=0, atol=1e-5)


def test_a_modality_with_labels_of_its_own_is_held_against_those():
    own = [
        Task(name, level="segment") for name in ("sentiment", "sentiment_text", "sentiment_audio", "sentiment_vision")
    ]
    torch.manual_seed(0)
    inputs = {name: SlotInput(width, 9, "token") for name, width in WIDTHS.items()}
    net = build(MmmlSettings(**SIZES), own, inputs)
    learnt = net(given(), SEGMENTS)
    assert set(learnt) == {"sentiment", "sentiment_vision"}
    assert {name: set(each.outputs) for name, each in learnt.by_slot.items()} == {
        "text": {"sentiment_text", "sentiment_vision"},
        "audio": {"sentiment_audio", "sentiment_vision"},
    }
    answered = net.eval()(given(), SEGMENTS)
    assert set(answered) == {task.name for task in own}
    # Only the audio answers the audio's own task.
    changed = given()
    changed["text"] = Rows(changed["text"].values + 1, changed["text"].lengths)
    differs = {task: not torch.equal(values, answered[task]) for task, values in net(changed, SEGMENTS).items()}
    assert differs == {
        "sentiment": True,
        "sentiment_text": True,
        "sentiment_audio": False,
        "sentiment_vision": True,
    }


def test_labels_of_a_modality_are_any_others_without_losses_of_their_own():
    own = [Task("sentiment", level="segment"), Task("sentiment_text", level="segment")]
    inputs = {name: SlotInput(width, 9, "token") for name, width in WIDTHS.items()}
    assert set(build(MmmlSettings(**SIZES, unimodal_weight=0.0), own, inputs)(given(), SEGMENTS)) == {
        "sentiment",
        "sentiment_text",
    }
    alone = {"text": inputs["text"]}
    rows = {"text": given()["text"]}
    assert set(build(MmmlSettings(**SIZES), own, alone)(rows, SEGMENTS)) == {"sentiment", "sentiment_text"}


def test_context_is_what_stands_before_in_the_same_recording():
    rows = Rows(torch.arange(10.0)[:, None], (2, 3, 1, 4))
    found = before_each(rows, (3, 1), most=2)
    assert found.lengths == (0, 2, 5, 0)
    assert found.values[:, 0].tolist() == [0, 1, 0, 1, 2, 3, 4]


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(SettingError, match="heads must divide the width 6"):
        MmmlSettings(**{**SIZES, "heads": 4})
