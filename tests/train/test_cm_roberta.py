"""CM-RoBERTa against its equations, written down once more for one dialogue at a time."""

from __future__ import annotations

import math

import pytest
import torch
from msmt.errors import SettingError
from msmt.features.tasks import Task
from msmt.train.models.cm_roberta import CmRobertaSettings, build
from msmt.train.models.contract import SlotInput
from msmt.train.rows import Rows

EMOTION = Task("emotion", ("calm", "angry", "sad"), "segment")
WIDTHS = {"text": 7, "audio": 5, "openl3": 3}
SEGMENTS = (4, 1, 3)
SIZES = {"width": 4, "feed_forward": 6, "head_width": 8}


def network(**changes):
    torch.manual_seed(0)
    settings = CmRobertaSettings(**{**SIZES, **changes})
    inputs = {name: SlotInput(width, 1, "vector") for name, width in WIDTHS.items()}
    if settings.modalities in ("text", "audio"):
        inputs = {name: each for name, each in inputs.items() if (name == "text") == (settings.modalities == "text")}
    return build(settings, [EMOTION], inputs).eval()


def dialogues() -> dict[str, Rows]:
    random = torch.Generator().manual_seed(1)
    rows = sum(SEGMENTS)
    return {name: Rows(torch.randn(rows, width, generator=random), (1,) * rows) for name, width in WIDTHS.items()}


def plain(net, slots, segments, heads: int, has_attention: bool, join: str) -> torch.Tensor:
    """Each dialogue by itself, equation by equation."""

    def joined(block, x, y):
        return block.norm(x + y if join == "residual" else block.project(torch.cat([x, y], dim=1)))

    def attention(queries, keys, values):
        size = queries.shape[1] // heads
        found = []
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            scores = queries[:, part] @ keys[:, part].T / math.sqrt(size)
            found.append(scores.softmax(dim=1) @ values[:, part])
        return torch.cat(found, dim=1)

    logits, start = [], 0
    for count in segments:
        rows = slice(start, start + count)
        start += count
        x = {"audio": torch.cat([slots["audio"].values[rows], slots["openl3"].values[rows]], dim=1)}
        x["text"] = slots["text"].values[rows]
        hidden = {m: net.encoders[m].lstm(x[m][None])[0][0] for m in x}
        parts = []
        if has_attention:
            cross, own = dict(hidden), dict(hidden)
            for step in range(len(net.cross["text"])):
                a, t = net.cross["audio"][step], net.cross["text"][step]
                from_text = attention(t.query(cross["text"]), a.key(cross["audio"]), a.value(cross["audio"]))  # eq. 2
                from_audio = attention(a.query(cross["audio"]), t.key(cross["text"]), t.value(cross["text"]))  # eq. 1
                normed = {"audio": joined(a.joined, cross["audio"], from_text)}  # eq. 3
                normed["text"] = joined(t.joined, cross["text"], from_audio)  # eq. 4
                cross = {m: joined(b.fed, normed[m], b.feed_forward(normed[m])) for m, b in (("audio", a), ("text", t))}
                for m in own:
                    b = net.own[m][step]
                    after = joined(b.joined, own[m], attention(b.query(own[m]), b.key(own[m]), b.value(own[m])))
                    own[m] = joined(b.fed, after, b.feed_forward(after))  # eqs. 7 to 9
            parts += [cross["audio"], cross["text"], own["audio"], own["text"]]
        stacked = torch.cat([net.stacks[m].lstm(hidden[m][None])[0][0] for m in ("audio", "text")], dim=1)
        parts.append(net.fused(net.fusion.lstm(stacked[None])[0][0]))  # eq. 10
        parts += [net.residuals[m](x[m]) for m in ("audio", "text")]
        logits.append(net.heads[0](torch.cat(parts, dim=1)))
    return torch.cat(logits)


@pytest.mark.parametrize(
    "changes", [{}, {"join": "concat"}, {"heads": 2}, {"attention": False}, {"attention_layers": 3}], ids=str
)
def test_logits_are_those_of_the_equations(changes):
    net = network(**changes)
    settings = CmRobertaSettings(**{**SIZES, **changes})
    with torch.no_grad():
        found = net(dialogues(), SEGMENTS)["emotion"]
        wanted = plain(net, dialogues(), SEGMENTS, settings.heads, settings.attention, settings.join)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_a_model_of_one_modality_is_lstm_and_residual(modality):
    net = network(modalities=modality)
    slots = {name: rows for name, rows in dialogues().items() if (name == "text") == (modality == "text")}
    assert net.cross is net.own is net.stacks is None
    x = torch.cat([rows.values for rows in slots.values()], dim=1)[:4]
    first = {name: Rows(rows.values[:4], (1,) * 4) for name, rows in slots.items()}
    with torch.no_grad():
        wanted = torch.cat([net.encoders[modality].lstm(x[None])[0][0], net.residuals[modality](x)], dim=1)
        torch.testing.assert_close(net(first, (4,))["emotion"], net.heads[0](wanted))


def test_the_paper_s_features_side_by_side_are_as_wide_as_it_says():
    inputs = {"text": 4096, "audio": 6552, "openl3": 6144}
    net = build(CmRobertaSettings(), [EMOTION], {n: SlotInput(width, 1, "vector") for n, width in inputs.items()})
    assert net.encoders["audio"].lstm.input_size == 6552 + 6144
    assert net.heads[0][1].in_features == 7 * 256


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(SettingError, match="heads must divide twice the width 4"):
        CmRobertaSettings(**SIZES, heads=3)
