"""Any hidden layer is that of the plain padded forward of transformers, and one pass makes several."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from msmt.errors import EncoderError, SettingError
from msmt.extract.extractors.contract import Loaded, Setup
from msmt.extract.extractors.speech import Speech, SpeechOptions
from msmt.extract.extractors.text import Text, TextOptions
from msmt.extract.sound.audio import normalised
from msmt.tests.extract.made import audio_encoder, speech_like, text_encoder, tokenizer

CPU = Setup(torch.device("cpu"))
LAYERS = 4
LONGEST = 24_000  # samples: 3 s
SECONDS = (0.1, 1.37, 2.6, 2.97, 3.0, 4.2)
AUDIO = [
    *(
        (kind, norm)
        for kind in ("hubert", "wav2vec2", "wavlm", "unispeech", "unispeech-sat")
        for norm in ("group", "layer")
    ),
    ("data2vec", "layer"),
]
TEXT = ("bert", "roberta", "xlm-roberta")
IDS = [[2, 7, 8, 9, 10, 11, 3], [2, 3], [2, *range(5, 21), 3]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("encoders")


def speech(folder, kind="hubert", norm="group", precision="float32", **options) -> Speech:
    source = folder / f"{kind}-{norm}"
    if not source.exists():
        audio_encoder(kind, norm, num_hidden_layers=LAYERS).save_pretrained(source)
    settings = SpeechOptions(encoder=str(source), seconds=3.0, rate=8000, **options)
    return Speech.load("it", settings, replace(CPU, precision=precision))


def text(folder, kind="bert", **options) -> Text:
    source = folder / kind
    if not source.exists():
        text_encoder(kind, num_hidden_layers=LAYERS).save_pretrained(source)
        tokenizer().save_pretrained(source)
    return Text.load("it", TextOptions(encoder=str(source), tokens=40, **options), CPU)


def of_audio(kind: str, norm: str, samples: np.ndarray):
    """What transformers says of samples padded to the longest input: all it returns, and the valid frames."""
    model = audio_encoder(kind, norm, num_hidden_layers=LAYERS)
    samples = samples[:LONGEST]
    padded = torch.zeros(1, LONGEST)
    padded[0, : len(samples)] = torch.from_numpy(samples)
    mask = (torch.arange(LONGEST)[None] < len(samples)).long()
    with torch.inference_mode():
        frames = int(model._get_feat_extract_output_lengths(torch.tensor(len(samples))))
        return model(padded, attention_mask=mask, output_hidden_states=True), frames


def of_text(kind: str, ids: list[int]):
    with torch.inference_mode():
        return text_encoder(kind, num_hidden_layers=LAYERS)(input_ids=torch.tensor([ids]), output_hidden_states=True)


def sounds() -> list[Loaded]:
    samples = [normalised(speech_like(seconds, seed=seed)) for seed, seconds in enumerate(SECONDS)]
    return [Loaded(each, 1) for each in samples]


def tokens() -> list[Loaded]:
    return [Loaded(tuple(ids), len(ids)) for ids in IDS]


def close(made: torch.Tensor, defined: torch.Tensor) -> bool:
    return made.shape == defined.shape and torch.allclose(made, defined, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("kind", "norm"), AUDIO)
def test_every_layer_of_speech_is_that_of_the_padded_forward(folder, kind, norm):
    extractor = speech(folder, kind, norm, layers=(*range(LAYERS), -1))
    assert not extractor.encoder.computes_padding
    batch = sounds()
    for loaded, together in zip(batch, extractor.encode(batch), strict=True):
        output, frames = of_audio(kind, norm, loaded.content)
        alone, defined = extractor.encode([loaded])[0], extractor.define(loaded)
        for layer, name in enumerate(extractor.specs):
            hidden = output.last_hidden_state if layer == LAYERS else output.hidden_states[layer]
            assert all(close(made[name], hidden[0, :frames]) for made in (together, alone, defined)), name


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_the_layer_behind_all_is_the_last_unless_another_norm_follows(folder, norm):
    extractor = speech(folder, norm=norm, layers=(LAYERS,))
    output, frames = of_audio("hubert", norm, sounds()[1].content)
    (name, values), (spec,) = *extractor.encode(sounds()[1:2])[0].items(), extractor.specs.values()
    assert name == f"it-layer{LAYERS}" and close(values, output.hidden_states[LAYERS][0, :frames])
    assert close(values, output.last_hidden_state[0, :frames]) == (norm == "group")
    assert spec.layer == (-1 if norm == "group" else LAYERS)


@pytest.mark.parametrize("kind", TEXT)
def test_every_layer_of_text_is_that_of_the_model_alone(folder, kind):
    extractor = text(folder, kind, layers=tuple(range(LAYERS + 1)))
    batch = tokens()
    for loaded, together in zip(batch, extractor.encode(batch), strict=True):
        output = of_text(kind, list(loaded.content))
        for layer, name in enumerate(extractor.specs):
            made = (together[name], extractor.encode([loaded])[0][name], extractor.define(loaded)[name])
            assert all(close(each, output.hidden_states[layer][0]) for each in made), name


def test_an_encoder_of_unknown_attention_runs_its_own_module_on_valid_frames(folder, monkeypatch):
    import msmt.extract.exact.valid as valid

    def unknown(model, dtype):
        raise ValueError("unknown attention")

    monkeypatch.setattr(valid, "transformer_of", unknown)
    for kind in ("wavlm", "hubert"):
        extractor = speech(folder, kind, "layer", layers=(0, 2, LAYERS, -1))
        assert not extractor.encoder.computes_padding and extractor.encoder._valid.transformer is None
        loaded = sounds()[2]
        for name, values in extractor.define(loaded).items():
            assert close(extractor.encode([loaded])[0][name], values), name
    assert speech(folder, "data2vec", "layer", layers=(2,)).encoder.computes_padding  # whose positions see the padding


def test_a_layer_that_cannot_be_proved_is_computed_with_the_padding(folder, monkeypatch):
    import msmt.extract.exact.transformer as transformer

    straight = transformer.Transformer.__call__

    def wrong_in_the_middle(self, rows, lengths, wanted):
        hidden = straight(self, rows, lengths, wanted)
        return {layer: values + 0.1 if layer == 2 else values for layer, values in hidden.items()}

    monkeypatch.setattr(transformer.Transformer, "__call__", wrong_in_the_middle)
    assert not speech(folder, layers=(1, 3)).encoder.computes_padding
    extractor = speech(folder, layers=(1, 2, 3))
    assert extractor.encoder.computes_padding
    output, frames = of_audio("hubert", "group", sounds()[1].content)
    assert close(extractor.encode(sounds()[1:2])[0]["it-layer2"], output.hidden_states[2][0, :frames])


@pytest.fixture
def computed(monkeypatch) -> list[str]:
    """Which parts of an encoder are computed, in their order."""
    import msmt.extract.exact.frontend as frontend
    import msmt.extract.exact.transformer as transformer

    noted = []
    front, feed = frontend.FrontEnd.__call__, transformer._fed_forward
    monkeypatch.setattr(frontend.FrontEnd, "__call__", lambda *given: (noted.append("front end"), front(*given))[1])
    monkeypatch.setattr(transformer, "_fed_forward", lambda *given: (noted.append("layer"), feed(*given))[1])
    return noted


def test_a_pass_of_four_layers_computes_the_encoder_once(folder, computed):
    four, one = speech(folder, layers=(1, 2, 3, -1)), speech(folder)
    for extractor in (four, one):
        computed.clear()
        extractor.encode(sounds()[:1])
        assert computed == ["front end"] + ["layer"] * LAYERS
    words = text(folder, layers=(1, 2, 3, 4))
    computed.clear()
    words.encode(tokens()[:1])
    assert computed == ["layer"] * LAYERS


def test_layers_behind_the_highest_are_not_computed(folder, computed):
    extractor = speech(folder, layers=(0, 2))
    computed.clear()
    extractor.encode(sounds()[:1])
    assert computed == ["front end", "layer", "layer"]
    extractor = speech(folder, "wavlm", layers=(0,))
    computed.clear()
    extractor.encode(sounds()[:1])
    assert computed == ["front end"]


def test_bfloat16_stays_close_in_every_layer(folder):
    for kind in ("wavlm", "data2vec"):
        exact, rough = (
            speech(folder, kind, "layer", precision, layers=(0, 1, 2, 3, -1)).encode(sounds()[2:3])[0]
            for precision in ("float32", "bfloat16")
        )
        for name in exact:
            assert torch.nn.functional.cosine_similarity(exact[name], rough[name], dim=-1).mean() > 0.999, name


def test_features_of_layers_are_named_by_them_and_have_specs_of_their_own(folder):
    specs = speech(folder, layers=(1, -2, -1)).specs
    assert list(specs) == ["it-layer1", "it-layer3", "it-layer4"] and [spec.layer for spec in specs.values()] == [
        1,
        3,
        -1,
    ]
    assert list(speech(folder, norm="layer", layers=(4, -1)).specs) == ["it-layer4", "it-last"]
    (plain,) = speech(folder).specs.values()
    assert specs["it-layer4"].fingerprint == plain.fingerprint and plain.layer == -1 and not plain.options
    assert len({spec.fingerprint for spec in specs.values()}) == 3
    assert list(speech(folder, layers=(-1,)).specs) == ["it"]


def test_joined_layers_are_one_feature_in_the_order_given(folder):
    joined = text(folder, layers=(-1, 0, -3), join=True)
    (name, spec), output = *joined.specs.items(), of_text("bert", IDS[0])
    beside = torch.cat([output.hidden_states[layer][0] for layer in (4, 0, 2)], dim=-1)
    assert name == "it" and close(joined.encode(tokens()[:1])[0]["it"], beside)
    assert spec.width == beside.shape[1] and spec.options == {"layers": [-1, 0, 2]} and spec.unit == "token"
    other = text(folder, layers=(0, -1, -3), join=True).specs["it"]
    assert other.fingerprint != spec.fingerprint
    of_speech = speech(folder, layers=(1, 2), join=True)
    assert of_speech.specs["it"].width == of_speech.encode(sounds()[:1])[0]["it"].shape[1] == 96


def test_pooled_tokens_are_one_vector(folder):
    plain = text(folder).encode(tokens())
    for pool, of in (("cls", lambda rows: rows[:1]), ("mean", lambda rows: rows.mean(0, keepdim=True))):
        extractor = text(folder, pool=pool)
        spec = extractor.specs["it"]
        assert (spec.unit, spec.max_rows, spec.options) == ("vector", 1, {"pool": pool, "tokens": 40})
        for rows, made in zip(plain, extractor.encode(tokens()), strict=True):
            assert torch.equal(made["it"], of(rows["it"]))
    last_four = text(folder, pool="cls", layers=(-4, -3, -2, -1), join=True)
    output = of_text("bert", IDS[0])
    beside = torch.cat([output.hidden_states[layer][0, :1] for layer in (1, 2, 3, 4)], dim=-1)
    assert close(last_four.encode(tokens()[:1])[0]["it"], beside) and last_four.specs["it"].width == 4 * 48


class TestBadLayers:
    def test_a_layer_that_the_encoder_has_not(self, folder):
        for layer in (5, -6):
            with pytest.raises(
                EncoderError, match=f"has 4 layers, so there is no layer {layer}: name 0 to 4, or -5 to"
            ):
                speech(folder, layers=(1, layer))
            with pytest.raises(EncoderError, match="has 4 layers"):
                text(folder, layers=(layer,))

    def test_a_layer_twice(self, folder):
        with pytest.raises(EncoderError, match="layer 3 is asked for twice"):
            speech(folder, layers=(3, -2))
        with pytest.raises(EncoderError, match="layer 4 is asked for twice"):
            speech(folder, layers=(-1, 4))

    def test_what_are_no_layers(self):
        for options in (SpeechOptions, TextOptions):
            with pytest.raises(SettingError, match="layers must be whole numbers"):
                options(layers=(1, "2"))
            with pytest.raises(SettingError, match="join puts several layers side by side: name at least two"):
                options(layers=(3,), join=True)

    def test_an_unknown_pool_and_no_turns(self):
        with pytest.raises(SettingError, match="pool must be none, cls or mean, but is 'max'"):
            TextOptions(pool="max")
        with pytest.raises(SettingError, match="turns must be at least 1"):
            TextOptions(turns=0)
        with pytest.raises(SettingError, match="tokens must be at least 3"):
            TextOptions(tokens=2)

    def test_an_encoder_whose_layers_have_other_frames_than_its_last(self, folder, tmp_path):
        audio_encoder("wav2vec2", add_adapter=True, num_adapter_layers=1).save_pretrained(tmp_path)
        options = SpeechOptions(encoder=str(tmp_path), seconds=3.0, rate=8000)
        loaded = sounds()[1]
        extractor = Speech.load("it", options, CPU)
        assert len(extractor.encode([loaded])[0]["it"]) == extractor.encoder.frames(len(loaded.content))
        with pytest.raises(EncoderError, match="layers have other frames than its last; leave layers out"):
            Speech.load("it", replace(options, layers=(1,)), CPU)
