"""Features are those of the plain padded forward of transformers, whatever else is in the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from msmt.errors import AudioError, EncoderError
from msmt.extract.sound.audio import normalised
from msmt.extract.exact.transformer import LAST
from msmt.extract.extractors.loading import choose_device, feature_name
from msmt.extract.extractors.speech import AudioEncoder
from msmt.extract.extractors.text import TextEncoder
from msmt.tests.extract.made import audio_encoder, save_encoders, speech_like, text_encoder, tokenizer

CPU = torch.device("cpu")
SECONDS = (0.1, 0.5, 1.37, 2.99, 3.0, 4.2)  # the longest input is 3 s


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("encoders")


def saved(folder, name, model) -> str:
    path = folder / name
    if not path.exists():
        model.save_pretrained(path)
        if hasattr(model.config, "vocab_size") and "conv_dim" not in model.config.to_dict():
            tokenizer().save_pretrained(path)
    return str(path)


def load_audio(folder, kind="hubert", norm="group", precision="float32", max_seconds=3.0, **changes) -> AudioEncoder:
    name = "-".join([kind, norm, *(f"{key}{value}" for key, value in changes.items())])
    source = saved(folder, name, audio_encoder(kind, norm, **changes))
    return AudioEncoder.load(source, sample_rate=8000, max_seconds=max_seconds, device=CPU, precision=precision)


def load_text(folder, kind="bert", precision="float32", max_tokens=40) -> TextEncoder:
    return TextEncoder.load(
        saved(folder, kind, text_encoder(kind)), max_tokens=max_tokens, device=CPU, precision=precision
    )


def plain_padded_forward(model, samples: np.ndarray, longest: int) -> torch.Tensor:
    """The definition, written down again with nothing but transformers."""
    samples = samples[:longest]
    padded = torch.zeros(1, longest)
    padded[0, : len(samples)] = torch.from_numpy(samples)
    mask = (torch.arange(longest)[None] < len(samples)).long()
    with torch.inference_mode():
        frames = int(model._get_feat_extract_output_lengths(torch.tensor(len(samples))))
        return model(padded, attention_mask=mask).last_hidden_state[0, :frames]


@pytest.mark.parametrize(
    ("kind", "norm"),
    [
        ("hubert", "group"),
        ("hubert", "layer"),
        ("wav2vec2", "group"),
        ("wav2vec2", "layer"),
        ("wavlm", "group"),
        ("wavlm", "layer"),
        ("data2vec", "layer"),
        ("unispeech", "group"),
        ("unispeech", "layer"),
        ("unispeech-sat", "group"),
        ("unispeech-sat", "layer"),
    ],
)
def test_audio_features_are_those_of_the_padded_forward(folder, kind, norm):
    encoder = load_audio(folder, kind, norm)
    assert not encoder.computes_padding
    batch = [normalised(speech_like(seconds, seed=seed)) for seed, seconds in enumerate(SECONDS)]
    plain = audio_encoder(kind, norm)
    for samples, together in zip(batch, encoder.encode(batch), strict=True):
        defined = plain_padded_forward(plain, samples, 24_000)
        assert together[LAST].shape == defined.shape
        assert torch.allclose(together[LAST], defined, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "changes", [{"conv_pos_batch_norm": True}, {"feat_extract_activation": "relu"}, {"hidden_act": "relu"}]
)
def test_an_unusual_structure_still_gives_the_padded_numbers(folder, changes):
    encoder = load_audio(folder, **changes)
    samples = normalised(speech_like(1.2))
    defined = plain_padded_forward(audio_encoder(**changes), samples, 24_000)
    assert torch.allclose(encoder.encode([samples])[0][LAST], defined, atol=1e-4, rtol=0)


def test_an_encoder_that_the_shortcut_does_not_know_runs_padded(folder):
    encoder = load_audio(folder, feat_extract_activation="relu")
    assert encoder.computes_padding
    samples = normalised(speech_like(1.2))
    defined = plain_padded_forward(audio_encoder(feat_extract_activation="relu"), samples, 24_000)
    assert torch.allclose(encoder.encode([samples])[0][LAST], defined, atol=1e-4, rtol=0)


def test_features_do_not_depend_on_the_batch(folder):
    encoder = load_audio(folder)
    first, others = normalised(speech_like(1.0)), [normalised(speech_like(s, seed=9)) for s in (0.3, 2.5)]
    alone = encoder.encode([first])[0][LAST]
    assert torch.allclose(encoder.encode([*others, first])[2][LAST], alone, atol=1e-5)
    assert torch.allclose(encoder.encode([first, *others])[0][LAST], alone, atol=1e-5)


def test_the_trial_would_notice_a_front_end_that_ignores_the_padding(folder, monkeypatch):
    import msmt.extract.exact.frontend as frontend

    straight = frontend.FrontEnd._first_group

    def without_padding(self, samples, needed):
        self.padded_frames = -(-len(samples) // self.strides[0])
        return straight(self, samples, needed)

    monkeypatch.setattr(frontend.FrontEnd, "_first_group", without_padding)
    assert load_audio(folder).computes_padding


def test_bfloat16_stays_close_to_float32(folder):
    exact, rough = load_audio(folder), load_audio(folder, precision="bfloat16")
    samples = normalised(speech_like(2.0))
    assert exact.spec.fingerprint != rough.spec.fingerprint
    ours, theirs = (encoder.encode([samples])[0][LAST] for encoder in (exact, rough))
    cosine = torch.nn.functional.cosine_similarity(ours, theirs, dim=-1)
    assert cosine.mean() > 0.999


def test_the_default_spec_makes_999_frames_and_other_rates_their_own(folder):
    assert load_audio(folder, max_seconds=40.0).spec.max_rows == 999
    source = saved(folder, "hubert-group", audio_encoder())
    assert (
        AudioEncoder.load(source, sample_rate=16000, max_seconds=40, device=CPU, precision="float32").spec.max_rows
        == 1999
    )


def test_a_segment_shorter_than_a_frame_is_refused(folder):
    encoder = load_audio(folder)
    assert encoder.frames(399) == 0 and encoder.frames(400) == 1
    with pytest.raises(AudioError, match="too short: 399 samples at 8000 Hz"):
        encoder.encode_padded(np.ones(399, np.float32))


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_text_features_are_those_of_the_model_alone(folder, kind):
    encoder = load_text(folder, kind)
    ids = [encoder.cut(tokens) for tokens in encoder.tokenize(["", "hello", "customer : hello the price 你好 " * 20])]
    assert [len(tokens) for tokens in ids] == [2, 3, 40] and ids[2][-1] == ids[1][-1]
    plain = text_encoder(kind)
    for tokens, together in zip(ids, encoder.encode(ids), strict=True):
        with torch.inference_mode():
            alone = plain(input_ids=torch.tensor([tokens])).last_hidden_state[0]
        assert torch.allclose(together[LAST], alone, atol=1e-4, rtol=0)


def test_the_digest_follows_the_weights_and_not_the_folder(folder, tmp_path):
    here, there = load_audio(folder), load_audio(tmp_path)
    assert here.spec.encoder != there.spec.encoder and here.spec.fingerprint == there.spec.fingerprint
    model = audio_encoder()
    model.encoder.layers[0].final_layer_norm.weight.data[0] += 1e-3
    model.save_pretrained(tmp_path / "other")
    other = AudioEncoder.load(
        str(tmp_path / "other"), sample_rate=8000, max_seconds=3.0, device=CPU, precision="float32"
    )
    assert other.spec.differences(here.spec) == [f"weights {other.spec.weights}, not {here.spec.weights}"]


def test_chinese_roberta_of_the_bert_class_is_called_roberta():
    assert feature_name(text_encoder("bert")) == "roberta" and feature_name(audio_encoder("wavlm")) == "wavlm"


class TestBadEncoders:
    def load(self, source):
        return AudioEncoder.load(str(source), sample_rate=8000, max_seconds=3, device=CPU, precision="float32")

    def test_a_folder_without_a_config(self, tmp_path):
        with pytest.raises(EncoderError, match="is not an encoder folder: it has no config.json"):
            self.load(tmp_path)

    def test_no_such_folder(self, tmp_path):
        with pytest.raises(EncoderError, match="there is no such encoder folder"):
            self.load(tmp_path / "none")

    def test_a_hub_that_cannot_be_reached_points_to_a_folder(self, monkeypatch):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(EncoderError, match="cannot be reached .*hf download some/encoder .*--audio-encoder FOLDER"):
            self.load("some/encoder")

    def test_a_broken_config(self, tmp_path):
        (tmp_path / "config.json").write_text("{")
        with pytest.raises(EncoderError, match="cannot be loaded as an encoder"):
            self.load(tmp_path)

    def test_weights_that_are_missing(self, tmp_path):
        from safetensors.torch import load_file, save_file

        audio_encoder().save_pretrained(tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        del weights["encoder.layers.1.final_layer_norm.weight"]
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(EncoderError, match="lack or misfit encoder.layers.1.final_layer_norm.weight"):
            self.load(tmp_path)

    def test_the_wrong_kind(self, tmp_path):
        audio, text = save_encoders(tmp_path)
        with pytest.raises(EncoderError, match="BertModel, which takes no waveform"):
            self.load(text)
        with pytest.raises(EncoderError, match="HubertModel, which takes no tokens"):
            TextEncoder.load(str(audio), max_tokens=9, device=CPU, precision="float32")

    def test_more_tokens_than_the_encoder_takes(self, folder):
        with pytest.raises(EncoderError, match="takes 80 tokens at most, but --max-tokens is 81"):
            load_text(folder, "roberta", max_tokens=81)

    def test_a_tokenizer_of_another_model(self, tmp_path):
        text_encoder(vocab_size=7).save_pretrained(tmp_path)
        tokenizer().save_pretrained(tmp_path)
        with pytest.raises(EncoderError, match="they do not belong together"):
            TextEncoder.load(str(tmp_path), max_tokens=9, device=CPU, precision="float32")

    def test_a_gpu_where_there_is_none(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(EncoderError, match="no usable GPU here; use --device cpu"):
            choose_device("cuda")
        assert choose_device("auto") == CPU
