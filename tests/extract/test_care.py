"""CARE's embeddings are what its two stacks make of a segment, by the names of its authors' state dicts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from msmt.errors import EncoderError, SettingError
from msmt.extract.extractors.care import Care, CareOptions
from msmt.extract.extractors.contract import Setup
from msmt.extract.extractors.speech import Speech, SpeechOptions
from msmt.extract.layouts.checkpoints import write_care
from msmt.tests.extract.made import audio_encoder, speech_like, text_encoder
from msmt.tests.extract.test_mel import loaded, material_of
from safetensors.torch import load_file, save_file

SETUP = Setup(torch.device("cpu"))
RATE = 16_000
WIDTH, LAYERS = 48, 2


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A state dict put together of a small WavLM of four layers and a RoBERTa of four, as CARE's authors do."""
    wavlm = audio_encoder("wavlm", num_hidden_layers=2 * LAYERS)
    roberta = text_encoder("roberta", num_hidden_layers=2 * LAYERS)
    tensors = dict(wavlm.feature_projection.state_dict(prefix="feature_projection_audio."))
    tensors |= wavlm.feature_extractor.conv_layers.state_dict(prefix="audio_feature_extractor.")
    tensors |= wavlm.encoder.pos_conv_embed.state_dict(prefix="pos_conv.")
    tensors |= wavlm.encoder.layer_norm.state_dict(prefix="wavlm_layer_norm.")
    for number in range(LAYERS):
        tensors |= wavlm.encoder.layers[number].state_dict(prefix=f"audio_model.{number}.")
        tensors |= wavlm.encoder.layers[LAYERS + number].state_dict(prefix=f"dual_model.{number}.")
        tensors |= roberta.encoder.layer[LAYERS + number].state_dict(prefix=f"common_model.{number}.")
        torch.manual_seed(number)
        tensors |= torch.nn.Conv1d(WIDTH, WIDTH, 5).state_dict(prefix=f"downblock.{number}.")
        tensors |= torch.nn.ConvTranspose1d(WIDTH, WIDTH, 5).state_dict(prefix=f"upblock.{number}.")
    tensors |= torch.nn.Linear(WIDTH, 16).state_dict(prefix="linear.")
    tensors |= roberta.embeddings.state_dict(prefix="roberta_embeddings.")
    path = tmp_path_factory.mktemp("care") / "care.safetensors"
    save_file({name: values.contiguous() for name, values in tensors.items()}, path)
    return path


def made_of(weights, sound, folder) -> dict[str, np.ndarray]:
    extractor = Care.load("care", CareOptions(weights=str(weights)), SETUP)
    material = material_of(folder, sound, rate=RATE)
    (values,) = extractor.encode([loaded(extractor, material)])
    return {name: each.numpy() for name, each in values.items()}


def semantic_by_definition(first: np.ndarray, tensors: dict) -> list[np.ndarray]:
    """(T, d) behind the shared layers -> what leaves each semantic layer, sums of convolutions written out."""
    rows, made, frames = first.astype(np.float64), [], len(first)
    for number in range(LAYERS):
        held = {name: values.double().numpy() for name, values in tensors.items()}
        kernel, bias = held[f"downblock.{number}.weight"], held[f"downblock.{number}.bias"]
        fewer = np.array(
            [
                bias + sum(kernel[:, :, place] @ rows[3 * at + place] for place in range(5))
                for at in range((frames - 5) // 3 + 1)
            ]
        )
        fewer = roberta_layer(fewer, held, f"common_model.{number}.")
        kernel, bias = held[f"upblock.{number}.weight"], held[f"upblock.{number}.bias"]
        again = np.tile(bias, (3 * len(fewer) + 3, 1))  # (n - 1) · 3 + 5 and one of output padding
        for at, row in enumerate(fewer):
            for place in range(5):
                again[3 * at + place] += row @ kernel[:, :, place]
        rows = np.zeros((frames, WIDTH))
        rows[: len(again)] = again[:frames]
        made.append(rows)
    return made


def roberta_layer(rows: np.ndarray, held: dict, name: str, heads: int = 4) -> np.ndarray:
    def linear(values, part):
        return values @ held[f"{name}{part}.weight"].T + held[f"{name}{part}.bias"]

    def norm(values, part):
        values = values - values.mean(1, keepdims=True)
        values = values / np.sqrt((values**2).mean(1, keepdims=True) + 1e-5)
        return values * held[f"{name}{part}.weight"] + held[f"{name}{part}.bias"]

    query, key, value = (
        linear(rows, f"attention.self.{part}").reshape(len(rows), heads, -1).transpose(1, 0, 2)
        for part in ("query", "key", "value")
    )
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1])
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    seen = (shares @ value).transpose(1, 0, 2).reshape(len(rows), -1)
    seen = norm(rows + linear(seen, "attention.output.dense"), "attention.output.LayerNorm")
    inner = torch.nn.functional.gelu(torch.from_numpy(linear(seen, "intermediate.dense"))).numpy()
    return norm(seen + linear(inner, "output.dense"), "output.LayerNorm")


def test_the_acoustic_half_is_wavlm_and_the_semantic_half_the_definition(weights, tmp_path):
    sound = speech_like(0.9, RATE)
    made = made_of(weights, sound, tmp_path)
    assert list(made) == [*(f"care-layer{layer}" for layer in range(1 + 2 * LAYERS)), "care-pooled"]
    wavlm = audio_encoder("wavlm", num_hidden_layers=2 * LAYERS)
    with torch.inference_mode():
        hidden = wavlm(torch.from_numpy(sound)[None], output_hidden_states=True).hidden_states
    behind = semantic_by_definition(hidden[LAYERS][0].numpy(), load_file(weights))
    semantic = [each[0].numpy() for each in hidden[: LAYERS + 1]] + behind
    for layer, (one, other) in enumerate(zip(semantic, hidden, strict=True)):
        expected = np.concatenate([one.mean(axis=0), other[0].numpy().mean(axis=0)])
        assert made[f"care-layer{layer}"].shape == (1, 2 * WIDTH)
        assert np.allclose(made[f"care-layer{layer}"][0], expected, atol=1e-4), layer
    assert np.allclose(made["care-pooled"][0], semantic[-1].mean(axis=0), atol=1e-4)


def test_what_is_shorter_than_half_a_second_is_filled_up_to_five(weights, tmp_path):
    sound = speech_like(0.49, RATE)
    short = made_of(weights, sound, tmp_path)
    filled = made_of(weights, np.pad(sound, (0, 80_000 - len(sound))), tmp_path)
    assert all(np.allclose(short[name], filled[name], atol=1e-6) for name in short)
    whole = made_of(weights, speech_like(0.5, RATE), tmp_path)
    assert not np.allclose(whole["care-layer1"], short["care-layer1"], atol=1e-3)


def test_a_saved_module_of_other_names_before_and_of_older_torch_is_the_same(weights, tmp_path):
    tensors = load_file(weights)
    for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
        tensors[f"pos_conv.conv.{old}"] = tensors.pop(f"pos_conv.conv.parametrizations.weight.{new}")
    torch.save({f"joint_model.{name}": values for name, values in tensors.items()}, tmp_path / "care.pt")
    one, other = (Care.load("care", CareOptions(weights=str(path)), SETUP) for path in (weights, tmp_path / "care.pt"))
    assert [spec.fingerprint for spec in one.specs.values()] == [spec.fingerprint for spec in other.specs.values()]


def test_specs_tell_layers_apart_and_say_what_is_pooled(weights):
    specs = Care.load("", CareOptions(weights=str(weights)), SETUP).specs
    assert len({spec.fingerprint for spec in specs.values()}) == len(specs) == 2 + 2 * LAYERS
    assert specs["care-layer3"].layer == 3 and specs["care-layer3"].width == 2 * WIDTH
    assert specs["care-pooled"].width == WIDTH and {spec.unit for spec in specs.values()} == {"vector"}


def test_a_state_dict_that_cannot_be_used_says_why_in_one_line(weights, tmp_path):
    tensors = load_file(weights)

    def refused(content, said):
        torch.save(content, tmp_path / "some.pt")
        with pytest.raises(EncoderError, match=said) as caught:
            Care.load("care", CareOptions(weights=str(tmp_path / "some.pt")), SETUP)
        assert "\n" not in str(caught.value)

    refused({"conv.weight": torch.zeros(2)}, "is no state dict of CARE's speech encoder")
    refused({name: each for name, each in tensors.items() if "common_model" not in name}, "lacks 'common_model'")
    refused(tensors | {"dual_model.0.layer_norm.weight": torch.zeros(3)}, "dual_model.0.layer_norm.weight is 3, and")
    refused({name: each for name, each in tensors.items() if "upblock.1" not in name}, r"lacks upblock.1.\w+")
    refused({"model": torch.nn.Linear(2, 2)}, "holds more than tensors")
    with pytest.raises(SettingError, match="weights must name a file: CARE's authors publish none"):
        Care.load("care", CareOptions(), SETUP)
    with pytest.raises(SettingError, match="rate must be 16000 for CARE, the only one that it knows, but is 8000"):
        CareOptions(rate=8000)


def test_a_small_one_with_random_weights_can_be_written_and_read(tmp_path):
    path = write_care(tmp_path, seed=0)
    assert len(Care.load("care", CareOptions(weights=str(path)), SETUP).specs) == 14
    assert path.read_bytes() == write_care(tmp_path / "again", seed=0).read_bytes()


def test_means_of_all_layers_of_an_encoder_of_speech_stand_in(tmp_path):
    wavlm = audio_encoder("wavlm")
    wavlm.save_pretrained(tmp_path / "wavlm")
    sound = speech_like(0.7, RATE)
    material = material_of(tmp_path, sound, rate=RATE)
    frames, vectors = (
        Speech.load("x", SpeechOptions(encoder=str(tmp_path / "wavlm"), rate=RATE, layers=(0, 1, -1), pool=pool), SETUP)
        for pool in ("none", "mean")
    )
    (each,), (mean,) = (one.encode([loaded(one, material)]) for one in (frames, vectors))
    assert list(each) == list(mean) == ["x-layer0", "x-layer1", "x-layer2"]
    for name, spec in vectors.specs.items():
        assert torch.allclose(mean[name], each[name].mean(0, keepdim=True)) and mean[name].shape == (1, 48)
        assert (spec.unit, spec.max_rows, spec.options) == ("vector", 1, {"pool": "mean"})
        assert frames.specs[name].options == {} and frames.specs[name].unit == "frame"
    with pytest.raises(SettingError, match="pool must be none or mean, but is 'cls'"):
        SpeechOptions(pool="cls")
