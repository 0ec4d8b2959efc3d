"""The emotional-cues network against its equations, written down once more for one segment at a time."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil

import pytest
import torch
from msmt.errors import EncoderError, RunError, SettingError, StoreError
from msmt.features.tasks import Task
from msmt.tests.train import cues
from msmt.tests.train.made import MODEL, TRAIN, calls, quiet, score, segment_store
from msmt.train.assembly import build_on_paper
from msmt.train.jobs import job_for
from msmt.train.loop import train
from msmt.train.models.contract import SlotInput
from msmt.train.models.emotional_cues import EmotionalCuesSettings, build
from msmt.train.models.frozen_layers import Found, weights_of
from msmt.train.predict import predict
from msmt.train.rows import Layout, Rows
from safetensors import safe_open
from torch.nn import functional
from transformers import BertModel, ViTModel

EMOTION = Task("emotion", ("calm", "angry", "sad"), level="segment")
WIDTHS = {"text": 6, "importance": 1, "audio": 5, "mel": cues.PATCH}
SEGMENTS = (3, 1)
LENGTHS = {"text": (4, 2, 5, 3), "audio": (9, 1, 17, 4), "mel": (2, 4, 6, 2)}
SIZES = {"width": 8, "layers": 2, "heads": 2, "feed_forward": 12, "bridge": 3, "patch_bands": 2, "turns": 2}


def settings(**changes) -> EmotionalCuesSettings:
    folders = {"language_layers": cues.bert(), "vision_layers": cues.vit()}
    return EmotionalCuesSettings(**{**SIZES, **folders, **changes})


def network(slots=tuple(WIDTHS), **changes):
    torch.manual_seed(0)
    inputs = {name: SlotInput(WIDTHS[name], 99, "frame") for name in slots}
    net = build(settings(**changes), [EMOTION], inputs).eval()
    net.start()
    with torch.no_grad():  # nothing that begins at 0 or 1 stays there
        for name, values in net.named_parameters():
            if values.requires_grad:
                values += 0.3 * torch.randn(values.shape)
    return net


def given(slots=tuple(WIDTHS)) -> dict[str, Rows]:
    random = torch.Generator().manual_seed(1)
    lengths = {**LENGTHS, "importance": LENGTHS["text"]}
    made = {name: torch.randn(sum(lengths[name]), width, generator=random) for name, width in WIDTHS.items()}
    made["importance"] = made["importance"].abs().mul(4).floor()
    return {name: Rows(made[name], lengths[name]) for name in slots}


def attended(block, stream, other):
    keys, values = block.key_value(other).chunk(2, dim=1)
    queries, size = block.query(stream), stream.shape[1] // block.heads
    found = []
    for head in range(block.heads):
        part = slice(head * size, (head + 1) * size)
        found.append((queries[:, part] @ keys[:, part].T / math.sqrt(size)).softmax(dim=1) @ values[:, part])
    return block.norm(stream + block.out(torch.cat(found, dim=1)))


def fed(block, stream):
    return block.norm(stream + block.out(torch.relu(block.inner(stream))))


def through(encoder, rows, more=0.0):
    stream = encoder.into(rows) + more
    for layer in encoder.layers:
        stream = fed(layer.feed_forward, attended(layer.self_attention, stream, stream))
    return stream


def heard(part, rows, groups):
    """Rhythm or pitch of one segment, with torch's own group norm and the taking of every 8th row as it is told."""
    grid = rows.T[None]
    for convolution, norm in zip(part.convolutions, part.norms, strict=True):
        grid = torch.relu(functional.group_norm(convolution(grid), groups, norm.weight, norm.bias))
    states = part.lstm(grid.transpose(1, 2))[0][0]
    half, length = states.shape[1] // 2, len(rows)
    forward, backward = states[:, :half], states[:, half:]
    kept = [torch.cat([forward[min(first + 7, length - 1)], backward[first]]) for first in range(0, length, 8)]
    return torch.stack(kept).repeat_interleave(8, dim=0)[:length]


def plain(net, text, importance, audio, mel, *, fuses=True):
    """The logits of one segment; ``audio`` and ``mel`` are lists, oldest segment first."""
    f_t = through(net.text, text) * net.importance(importance)
    ages = torch.cat([net.ages[age].expand(len(rows), -1) for age, rows in zip(range(len(audio))[::-1], audio)])
    h_a = through(net.audio, torch.cat(audio), ages)
    prosody = net.prosody.out(torch.cat([heard(net.prosody.rhythm, h_a, 8), heard(net.prosody.pitch, h_a, 16)], dim=1))
    fused = h_a + net.prosody_norm(prosody)
    for layer in net.first:
        fused = fed(layer.feed_forward, attended(layer.crossing, fused, f_t))
    if not fuses:
        return net.heads[0][0](fused.mean(dim=0))
    theirs = BertModel.from_pretrained(cues.bert(), add_pooling_layer=False).eval().encoder.layer
    seen = ViTModel.from_pretrained(cues.vit(), add_pooling_layer=False).eval().layers
    rows, patches = net.second.into(fused), embedded(net.second.patches, torch.cat(mel))
    for number, block in enumerate(net.second.blocks):

        def language(given, layer=theirs[number]):
            made = layer(given[None])
            return (made[0] if isinstance(made, tuple) else made)[0]

        def vision(given, layer=seen[number]):
            return layer(given[None])[0]

        bridge = vision(torch.cat([patches, block.from_vision]))[len(patches) :]  # eq. 3
        on = language(torch.cat([rows, block.to_language(bridge)]))[: len(rows)]  # eq. 4
        bridge = language(torch.cat([rows, block.from_language]))[len(rows) :]  # eq. 5
        patches = vision(torch.cat([patches, block.to_vision(bridge)]))[: len(patches)]  # eq. 6
        rows = on
    return (net.heads[0][0](rows.mean(dim=0)) + net.heads[0][1](patches.mean(dim=0))) / 2


def embedded(patches, rows):
    embedded = []
    for place, row in enumerate(rows):
        moment, band = divmod(place, patches.bands)
        width = patches.embed.out_features
        speeds = [10_000 ** (-step / (width // 2)) for step in range(width // 2)]
        waves = [math.sin(moment * speed) for speed in speeds] + [math.cos(moment * speed) for speed in speeds]
        embedded.append(patches.embed(row[None])[0] + patches.band[band] + patches.time * torch.tensor(waves))
    return torch.stack(embedded)


@pytest.mark.parametrize("two_step", [True, False])
def test_logits_are_those_of_one_segment_after_another(two_step):
    slots = tuple(WIDTHS) if two_step else ("text", "importance", "audio")
    net, rows = network(slots, two_step=two_step), given()
    split = {name: each.values.split(each.lengths) for name, each in rows.items()}
    wanted, first = [], 0
    with torch.no_grad():
        for count in SEGMENTS:
            for own in range(first, first + count):
                window = slice(max(first, own - 1), own + 1)
                text = split["text"][own], split["importance"][own]
                wanted.append(plain(net, *text, split["audio"][window], split["mel"][window], fuses=two_step))
            first += count
        found = net(given(slots), SEGMENTS)["emotion"]
    torch.testing.assert_close(found, torch.stack(wanted), rtol=0, atol=1e-5)


@pytest.mark.parametrize("slots", [("text",), ("text", "importance"), ("audio",), ("audio", "mel"), ("text", "audio")])
def test_every_combination_of_its_slots_gives_an_answer(slots):
    with torch.no_grad():
        assert network(slots)(given(slots), SEGMENTS)["emotion"].shape == (4, 3)


def test_frozen_layers_do_not_learn_and_are_passed_through():
    net = network().train()
    net(given(), SEGMENTS)["emotion"].sum().backward()
    learns = {name: values.grad is not None for name, values in net.named_parameters()}
    frozen = {name for name, values in net.named_parameters() if not values.requires_grad}
    assert all(".language." in name or ".vision." in name for name in frozen) and len(frozen) == 2 * 2 * 16
    assert learns == {name: name not in frozen for name in learns}
    assert net.audio.into.weight.grad.abs().sum() > 0 and net.second.patches.embed.weight.grad.abs().sum() > 0


def test_an_importance_of_one_value_is_a_factor_on_every_value_of_its_token():
    net, rows = network(("text", "importance")), given(("text", "importance"))
    with torch.no_grad():
        net.importance.weight.fill_(0.5)
        net.importance.bias.fill_(1.0)
        plain_rows = net.text(rows["text"].values, Layout(LENGTHS["text"], torch.device("cpu")))
        torch.testing.assert_close(net._text(rows), plain_rows * (1 + 0.5 * rows["importance"].values))


def test_rows_that_do_not_lie_beside_each_other_are_refused(tmp_path):
    store = calls()
    cues.added(store)
    store.features["kwrt"][5] = store.features["kwrt"][5][:-1]
    with pytest.raises(
        SettingError, match="kwrt in slot importance has .* rows of segment s5, and roberta in slot text"
    ):
        job_for(store, settings(), TRAIN)


def test_features_that_are_missing_are_said_with_the_command_that_makes_them():
    store = calls()
    for kind, slot in (("kwrt", "importance"), ("mel", "mel")):
        with pytest.raises(StoreError) as caught:
            job_for(store, settings(words=kind == "kwrt"), TRAIN)
        assert f"run msmt extract --feature {kind}={kind}:" in str(caught.value) and f"--slot {slot}=" in str(
            caught.value
        )
    job = job_for(store, settings(), dataclasses.replace(TRAIN, slot="importance=,mel="))
    assert list(job.settings.slots) == ["text", "audio"] and not job.settings.model.language_found


def test_patches_that_fill_no_moment_are_refused():
    with pytest.raises(SettingError, match="a segment has 2 patches, no multiple of patch_bands 4"):
        network(patch_bands=4)(given(), SEGMENTS)


def test_a_rating_beside_the_text_is_not_taken_for_text():
    store = calls()
    cues.added(store)
    assert job_for(store, MODEL, dataclasses.replace(TRAIN, slot="audio=hubert")).settings.slots["text"] == ("roberta",)


@pytest.fixture
def own_layers(tmp_path):
    """Copies of the small encoders, that may be changed."""
    for name, folder in (("bert", cues.bert()), ("vit", cues.vit())):
        shutil.copytree(folder, tmp_path / name)
    weights_of.cache_clear()
    yield {"language_layers": str(tmp_path / "bert"), "vision_layers": str(tmp_path / "vit")}
    weights_of.cache_clear()


def test_a_run_is_resumed_and_evaluated_without_the_encoders(tmp_path, own_layers):
    store = segment_store()
    cues.added(store)
    trained = train(
        store, settings(layers=1, **own_layers), dataclasses.replace(TRAIN, epochs=1), tmp_path, score, say=quiet
    )
    kept = json.loads((trained.run.path / "config.json").read_text())["model"]
    assert Found.read(kept["language_found"]).width == 12 and Found.read(kept["vision_found"]).patch == 16
    with safe_open(trained.run.path / "best.safetensors", "pt") as file:
        held = file.get_tensor("second.blocks.1.language.query.weight")
    theirs = BertModel.from_pretrained(own_layers["language_layers"]).encoder.layer[1].attention.self.query.weight
    assert torch.equal(held, theirs)
    for folder in own_layers.values():
        shutil.rmtree(folder)
    weights_of.cache_clear()
    prediction = predict(trained.run.path, store, "val")
    figures = score(prediction.tasks, prediction.labels, prediction.outputs)
    assert all(trained.best[f"val/{name}"] == pytest.approx(value) for name, value in figures.items())
    assert build_on_paper(trained.run.settings).second.blocks[0].language.heads == 4


def test_layers_that_have_changed_since_the_run_began_are_noticed(own_layers):
    store = segment_store()
    cues.added(store)
    job = job_for(store, settings(**own_layers), TRAIN)
    assert job_for(store, settings(**own_layers), TRAIN).settings == job.settings
    model = BertModel.from_pretrained(own_layers["language_layers"])
    with torch.no_grad():
        model.encoder.layer[0].output.dense.bias += 1
    model.save_pretrained(own_layers["language_layers"])
    weights_of.cache_clear()
    net = build(job.settings.model, [EMOTION], {name: SlotInput(width, 99, "frame") for name, width in WIDTHS.items()})
    with pytest.raises(RunError, match="are not those that the run began with"):
        net.start()


def test_encoders_of_another_kind_or_too_few_layers_are_refused_in_a_line(own_layers, tmp_path):
    for changes, phrase in (
        ({"language_layers": own_layers["vision_layers"]}, "is a vit, and language_layers wants a bert"),
        ({"blocks": 3}, "has 2 layers, but blocks is 3"),
        ({"vision_layers": str(tmp_path / "nowhere")}, "vision_layers wants a hub id or a folder of a vit"),
    ):
        with pytest.raises(EncoderError) as caught:
            network(**{**own_layers, **changes})
        assert phrase in str(caught.value) and "\n" not in str(caught.value)


def test_sizes_that_do_not_fit_are_refused():
    for changes, phrase in (
        ({"heads": 3}, "heads must divide the width 8"),
        ({"turns": 0}, "turns must be at least 1"),
        ({"language_found": "768"}, "says nothing of layers"),
    ):
        with pytest.raises(SettingError, match=phrase):
            settings(**changes)
