"""Which features fill the slots of a network, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from msmt.errors import SettingError, StoreError
from msmt.features.spec import FeatureSpec
from msmt.tests.train.made import calls, spec
from msmt.train.binding import bind, check_layers
from msmt.train.config import TrainConfig
from msmt.train.models.registry import network_named, settings_of

BOTH = {"text": ("roberta",), "audio": ("hubert",)}


def choose(store, modalities="auto", model="msmt-fn", **options):
    """What a run with these options would read."""
    network = network_named(model)
    slots = network.slots(settings_of(model)(modalities=modalities))
    return bind(store, network, slots, TrainConfig(**options).slots, modalities)


def refused(error, *arguments, **more) -> str:
    with pytest.raises(error) as caught:
        choose(*arguments, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def vector(modality: str, width: int = 5) -> FeatureSpec:
    return FeatureSpec(modality, "e", "E", "v", width, 1, unit="vector", kind="made", dtype="float32")


def with_vectors():
    store = calls()
    random = np.random.default_rng(3)
    for name, modality in (("egemaps", "audio"), ("roberta-last4", "text"), ("stage1", "both")):
        store.specs[name] = vector(modality)
        store.features[name] = [random.standard_normal((1, 5)).astype(np.float32) for _ in store.segments.index]
    return store


def with_layers(width: int = 8):
    """Twelve layers of one encoder, each with the rows of hubert."""
    store = calls()
    del store.specs["hubert"]
    rows = store.features.pop("hubert")
    for layer in (3, 6, 9, 12):
        store.specs[f"hubert-layer{layer}"] = dataclasses.replace(spec("audio", width), layer=layer)
        store.features[f"hubert-layer{layer}"] = [(row * np.float16(1 + layer / 8)) for row in rows]
    return store


@pytest.mark.parametrize("model", ["msmt-fn", "linear", "bigru"])
@pytest.mark.parametrize(
    "modalities, options, chosen",
    [
        ("both", {}, BOTH),
        ("auto", {}, BOTH),
        ("text", {}, {"text": ("roberta",)}),
        ("audio", {"audio_feature": "hubert"}, {"audio": ("hubert",)}),
        ("audio", {"slot": "audio=hubert"}, {"audio": ("hubert",)}),
        ("auto", {"slot": "text="}, {"audio": ("hubert",)}),
    ],
)
def test_the_only_feature_that_fits_is_chosen(model, modalities, options, chosen):
    assert choose(calls(), modalities, model, **options) == chosen


def test_a_choice_of_features_that_is_open_or_impossible_is_refused():
    store = calls()
    store.specs["wavlm"] = spec("audio")
    assert "choose --slot audio=FEATURE from hubert, wavlm" in refused(SettingError, store, "both")
    assert choose(store, "both", audio_feature="wavlm") == {"text": ("roberta",), "audio": ("wavlm",)}
    assert choose(store, slot="audio=wavlm") == {"text": ("roberta",), "audio": ("wavlm",)}
    assert "has no feature bert: choose --slot text=FEATURE from roberta" in refused(
        SettingError, store, "both", text_feature="bert"
    )
    del store.specs["roberta"]
    assert "has no text feature, it holds hubert, wavlm" in refused(StoreError, store, "text")


def test_a_feature_without_silence_is_learnt_from_only_when_it_is_named():
    store = calls()
    store.specs["hubert-nosilence"] = dataclasses.replace(store.specs["hubert"], silence={"threshold": 0.3})
    assert choose(store, "both") == BOTH
    assert choose(store, "audio", audio_feature="hubert-nosilence") == {"audio": ("hubert-nosilence",)}


@pytest.mark.parametrize("model", ["msmt-fn", "linear", "bigru"])
def test_vectors_beside_frames_and_tokens_leave_the_choice_clear(model):
    assert choose(with_vectors(), model=model) == BOTH


def test_where_there_are_vectors_alone_networks_that_take_them_do():
    store = with_vectors()
    for name in ("hubert", "roberta"):
        del store.specs[name]
    assert choose(store, model="bigru") == {"text": ("roberta-last4",), "audio": ("egemaps",)}
    assert refused(StoreError, store) == (
        "memory.zarr has no feature for slot text of msmt-fn, which takes tokens of text; it holds egemaps (vectors of "
        "audio), roberta-last4 (vectors of text), stage1 (vectors of both audio and text)"
    )


@pytest.mark.parametrize(
    "model, slot, said",
    [
        ("msmt-fn", "audio=egemaps", "egemaps does not fit slot audio of msmt-fn: it has vectors of audio, the slot"),
        ("msmt-fn", "text=hubert", "hubert does not fit slot text of msmt-fn: it has frames of audio, the slot takes"),
        ("msmt-fn", "more=egemaps", "msmt-fn has no slot more: its slots are text, audio"),
        ("bigru", "more=opensmile", "has no feature opensmile: choose a feature from roberta, hubert, egemaps"),
        ("bigru", "audio=layer*", "has no feature layer*: choose --slot audio=FEATURE from hubert"),
        ("bigru", "audio=,text=", "all slots of bigru are left empty: fill one, such as --slot text=FEATURE"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(model, slot, said):
    assert said in refused(SettingError, with_vectors(), model=model, slot=slot)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"slot": "audio"}, "slot must be SLOT=FEATURE, such as text=roberta, but is 'audio'"),
        ({"slot": "a.b=c"}, "slot must be SLOT=FEATURE, such as text=roberta, but is 'a.b=c'"),
        ({"slot": "text=a,text=b"}, "slot text is filled twice, by 'a' and 'b'"),
        ({"slot": "text=a", "text_feature": "b"}, "slot text is filled twice, by 'a' and 'b'"),
    ],
)
def test_a_slot_that_cannot_be_meant_is_refused(options, said):
    with pytest.raises(SettingError, match=said):
        TrainConfig(**options)


def test_networks_of_any_slots_take_further_ones_in_the_order_in_which_they_are_named():
    bound = choose(with_vectors(), model="bigru", slot="second=stage1, first=egemaps")
    assert list(bound.items()) == [*BOTH.items(), ("second", ("stage1",)), ("first", ("egemaps",))]
    alone = choose(with_vectors(), model="linear", slot="text=,audio=,stage1=stage1")
    assert alone == {"stage1": ("stage1",)}


def test_a_pattern_names_layers_in_their_order():
    store = with_layers()
    layers = tuple(f"hubert-layer{layer}" for layer in (3, 6, 9, 12))
    assert choose(store, slot="audio=hubert-layer*") == {"text": ("roberta",), "audio": layers}
    assert choose(store, slot="audio=hubert-layer?")["audio"] == layers[:3]
    assert "choose --slot audio=FEATURE from hubert-layer3, hubert-layer6" in refused(SettingError, store)


def test_layers_of_other_widths_or_rows_cannot_be_summed():
    store = with_layers()
    rows = np.arange(len(store.segments))
    slots = {"audio": ("hubert-layer3", "hubert-layer6")}
    check_layers(store, slots, rows)
    store.features["hubert-layer6"][4] = store.features["hubert-layer6"][4][:-1]
    with pytest.raises(SettingError, match=r"cannot sum hubert-layer3 and hubert-layer6, for of segment s4 they have"):
        check_layers(store, slots, rows)
    check_layers(store, slots, rows[:4])
    store.specs["hubert-layer6"] = spec("audio", 9)
    with pytest.raises(SettingError, match="for they are 8 and 9 values wide: name layers of one encoder"):
        check_layers(store, slots, rows)
