"""The log-mel spectrogram is what its definition says, for segments of any length."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
import torchaudio
from msmt.errors import AudioError, SettingError
from msmt.extract.extractors.contract import Material, Setup
from msmt.extract.extractors.mel import FLOOR, Mel, MelOptions
from msmt.extract.sound.views import ViewOptions, recipe_of
from msmt.features.segments import REMOVED
from msmt.tests.extract.made import speech_like

SETUP = Setup(torch.device("cpu"))
LOUD = speech_like(1.3, 16_000)


def material_of(folder, *sounds, rate=16_000, **columns) -> Material:
    """Rows of a store, one for each of the sounds (n,) or (n, channels)."""
    rows = []
    for number, samples in enumerate(sounds):
        soundfile.write(folder / f"{number}.wav", samples, rate, subtype="FLOAT")
        rows.append(
            {"segment_id": f"s{number}", "recording_id": "r", "split": "train", "view": "original", "text": ""}
            | {"audio": f"{number}.wav", "start": np.nan, "end": np.nan, "channel": -1}
        )
    table = pd.DataFrame(rows).assign(**columns)
    return Material(folder, table, lambda path: f"digest of {path}")


def loaded(extractor, material, row=0):
    function, arguments = pickle.loads(pickle.dumps(extractor.job(material, row)))  # as a process is given it
    return function(*arguments)


def mel_of(options, folder, *sounds, rate=16_000) -> list[np.ndarray]:
    extractor, material = Mel.load("mel", options, SETUP), material_of(folder, *sounds, rate=rate)
    batch = [loaded(extractor, material, row) for row in range(len(sounds))]
    return [values["mel"].numpy() for values in extractor.encode(batch)]


def by_definition(samples, rate, bands, hop, window, transform, low, high) -> np.ndarray:
    """(T, bands) in float64, one frame after another."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    frequencies = np.arange(transform // 2 + 1) * rate / transform
    mels = np.linspace(*(2595 * np.log10(1 + np.array([low, high]) / 700)), bands + 2)
    corners = 700 * (10 ** (mels / 2595) - 1)
    triangles = [
        np.clip(np.minimum((frequencies - a) / (b - a), (c - frequencies) / (c - b)), 0, None)
        for a, b, c in zip(corners, corners[1:], corners[2:], strict=False)
    ]
    around = np.concatenate([np.zeros(window), samples, np.zeros(window)]).astype(np.float64)
    rows = []
    for frame in range(1 + len(samples) // hop):
        start = frame * hop + window - window // 2
        power = np.abs(np.fft.rfft(around[start : start + window] * hann, transform)) ** 2
        rows.append(np.log(np.maximum([power @ triangle for triangle in triangles], FLOOR)))
    return np.array(rows)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        (MelOptions(), (16_000, 128, 160, 400, 1024, 0, 8000)),
        (MelOptions(rate=8000, bands=40, hop=0.02, window=0.032), (8000, 40, 160, 256, 256, 0, 4000)),
        (MelOptions(bands=23, low=64, high=7600, hop=0.0125, window=0.05), (16_000, 23, 200, 800, 1024, 64, 7600)),
    ],
)
def test_values_are_those_of_the_definition(tmp_path, options, shape):
    samples = speech_like(1.3, shape[0])
    (values,) = mel_of(options, tmp_path, samples, rate=shape[0])
    assert values.dtype == np.float32
    assert np.abs(values - by_definition(samples, *shape)).max() < 2e-3
    assert np.abs(np.exp(values) / np.exp(by_definition(samples, *shape)) - 1).mean() < 1e-5


def test_values_are_those_of_torchaudio(tmp_path):
    (values,) = mel_of(MelOptions(), tmp_path, LOUD)
    made = torchaudio.transforms.MelSpectrogram(
        16_000, n_fft=1024, win_length=400, hop_length=160, n_mels=128, center=True, pad_mode="constant", power=2.0
    )
    assert np.array_equal(values, made(torch.from_numpy(LOUD)).T.clamp(min=1e-10).log().numpy())


def test_no_band_is_without_a_frequency(tmp_path):
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) / 10
    (values,) = mel_of(MelOptions(), tmp_path, noise)
    assert (values > np.log(FLOOR)).all()
    with pytest.raises(SettingError, match="bands must be fewer between 0 and 500 Hz, but are 4096"):
        Mel.load("mel", MelOptions(bands=4096, high=500.0), SETUP)


def test_levels_are_those_of_the_recording(tmp_path):
    loud, faint = mel_of(MelOptions(), tmp_path, LOUD, LOUD / 10)
    assert np.allclose(loud - faint, np.log(100), atol=1e-3)
    assert Mel.load("mel", MelOptions(), SETUP).spec.normalisation == "none: samples at the recording's own level"


def test_digital_silence_within_a_segment_is_the_floor(tmp_path):
    (values,) = mel_of(MelOptions(), tmp_path, np.concatenate([LOUD, np.zeros(8000, np.float32)]))
    assert np.allclose(values[-10:], np.log(FLOOR))
    assert np.isfinite(values.astype(np.float16)).all()


@pytest.mark.parametrize("samples", [400, 401, 559, 560, 16_000, 639_999])
def test_as_many_frames_are_made_as_expected(tmp_path, samples):
    extractor = Mel.load("mel", MelOptions(), SETUP)
    material = material_of(tmp_path, np.resize(LOUD, samples))
    (values,) = (each["mel"] for each in extractor.encode([loaded(extractor, material)]))
    assert values.shape == (1 + samples // 160, 128)
    assert extractor.expected_rows(material)["mel"].tolist() == [len(values)]
    assert loaded(extractor, material).size == len(values) <= extractor.spec.max_rows


def test_a_segment_shorter_than_a_window_is_a_failure(tmp_path):
    extractor = Mel.load("mel", MelOptions(), SETUP)
    got = loaded(extractor, material_of(tmp_path, LOUD[:399]))
    assert isinstance(got, AudioError)
    assert str(got) == "is too short: 399 samples at 16000 Hz, and a window of mel has 400"


def test_a_batch_gives_what_each_gives_alone(tmp_path):
    extractor = Mel.load("mel", MelOptions(), SETUP)
    material = material_of(tmp_path, *(speech_like(seconds, 16_000) for seconds in (0.1, 2.0, 0.7)))
    batch = [loaded(extractor, material, row) for row in range(3)]
    together = extractor.encode(batch)
    for row in range(3):
        assert torch.equal(together[row]["mel"], extractor.encode([batch[row]])[0]["mel"])
        assert torch.equal(together[row]["mel"], extractor.define(batch[row])["mel"])


def test_what_is_longer_than_the_longest_input_is_cut_and_counted(tmp_path):
    extractor = Mel.load("mel", MelOptions(seconds=0.5), SETUP)
    material = material_of(tmp_path, LOUD, LOUD[:8000])
    assert extractor.cut_rows(material).tolist() == [True, False]
    assert loaded(extractor, material).is_cut and not loaded(extractor, material, 1).is_cut
    long, short = (extractor.encode([loaded(extractor, material, row)])[0]["mel"] for row in (0, 1))
    assert torch.equal(long, short) and len(long) == extractor.spec.max_rows == 51


def test_a_channel_is_heard_alone(tmp_path):
    other = speech_like(1.3, 16_000, seed=1)
    material = material_of(tmp_path, np.stack([LOUD, other], 1), LOUD, other, (LOUD + other) / 2)
    _, first, second, mean = (
        Mel.load("", MelOptions(), SETUP).encode([loaded(Mel.load("", MelOptions(), SETUP), material, row)])[0]["mel"]
        for row in range(4)
    )
    agent = Setup(torch.device("cpu"), agent_channel=1)
    for options, name, expected in (
        (MelOptions(channel="0"), "mel-channel0", first),
        (MelOptions(channel="agent"), "mel-channel1", second),
        (MelOptions(channel="customer"), "mel-channel0", first),
        (MelOptions(), "mel", mean),
    ):
        extractor = Mel.load("", options, agent)
        assert list(extractor.specs) == [name]
        assert torch.allclose(extractor.encode([loaded(extractor, material)])[0][name], expected, atol=1e-3)
    with pytest.raises(SettingError, match="channel agent needs --agent-channel"):
        Mel.load("", MelOptions(channel="agent"), SETUP)


def test_silence_is_removed_before_anything_is_computed(tmp_path):
    extractor = Mel.load("", MelOptions(silence="remove"), SETUP)
    assert list(extractor.specs) == ["mel-nosilence"] and extractor.spec.silence["threshold"] == 0.3
    extractor.hearing.remover.find_speech = lambda samples: [(4000, 12_000)]
    function, arguments = extractor.job(material_of(tmp_path, LOUD), 0)
    got = function(*arguments)
    assert 0.5 <= got.said["seconds"] - got.said["removed_seconds"] < 0.6
    assert got.size == 1 + round((got.said["seconds"] - got.said["removed_seconds"]) * 16_000) // 160


def test_views_are_altered_at_their_own_level_and_are_rows_of_their_own(tmp_path):
    recipe = recipe_of("noise", ViewOptions(augment="noise", noise_db="20:20"))
    extractor = Mel.load("mel", MelOptions(), Setup(torch.device("cpu"), recipes={"noise": recipe}))
    material = material_of(tmp_path, LOUD, LOUD, LOUD, view=["original", "noise", "homophone"])
    material.table["audio"] = "0.wav"
    identities = extractor.identities(material)["mel"]
    assert identities[0] == identities[2] != identities[1]
    plain, noisy, homophone = (extractor.encode([loaded(extractor, material, row)])[0]["mel"] for row in range(3))
    assert torch.equal(plain, homophone) and not torch.allclose(plain, noisy)
    assert abs(float(noisy.exp().sum() / plain.exp().sum()) - 1.01) < 0.01


def test_identities_follow_the_bytes_the_place_the_channel_and_the_options(tmp_path):
    material = material_of(tmp_path, *[LOUD] * 5, end=[np.nan, np.nan, 1.0, 1.0, 1.0], channel=[-1, -1, -1, 0, 0])
    material.table["audio"] = ["0.wav", "1.wav", "1.wav", "1.wav", "1.wav"]
    material.table.loc[4, "split"] = REMOVED
    identities = Mel.load("mel", MelOptions(), SETUP).identities(material)["mel"]
    assert len(set(identities[:4].tolist())) == 4 and identities[4] == 0
    for changed in (MelOptions(bands=64), MelOptions(low=20), MelOptions(rate=8000), MelOptions(seconds=30)):
        other = Mel.load("mel", changed, SETUP).identities(material)["mel"]
        assert not set(other[:4].tolist()) & set(identities.tolist())


def test_a_spec_says_all_that_decides_the_values():
    spec = Mel.load("mel", MelOptions(high=7000.0), SETUP).spec
    assert (spec.kind, spec.unit, spec.modality, spec.dtype, spec.width) == ("mel", "frame", "audio", "float16", 128)
    assert spec.max_rows == 1 + 40 * 100 and spec.sample_rate == 16_000 and spec.max_samples == 640_000
    assert spec.options["transform"] == 1024 and spec.options["high"] == 7000.0
    assert not spec.is_at_another_rate


@pytest.mark.parametrize("samples", [2400, 16_000, 15_359, 15_360])
def test_patches_are_squares_of_the_picture_from_low_to_high_and_then_on_in_time(samples, tmp_path):
    sound = np.resize(LOUD, samples)
    (frames,) = mel_of(MelOptions(bands=8), tmp_path, sound)  # (T, bands)
    (rows,) = mel_of(MelOptions(bands=8, patch=4), tmp_path, sound)
    columns = -(-len(frames) // 4)
    assert rows.shape == (2 * columns, 16)
    for column in range(columns):
        for place in range(2):
            for band in range(4):
                for frame in range(4):
                    time = 4 * column + frame
                    expected = frames[time, 4 * place + band] if time < len(frames) else np.log(np.float32(FLOOR))
                    assert rows[2 * column + place, 4 * band + frame] == pytest.approx(expected, rel=1e-6)


def test_patches_are_what_a_patch_embedding_sees(tmp_path):
    (frames,) = mel_of(MelOptions(bands=32), tmp_path, np.resize(LOUD, 160 * 31))
    (rows,) = mel_of(MelOptions(bands=32, patch=16), tmp_path, np.resize(LOUD, 160 * 31))
    kernels = torch.randn(5, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    made = torch.nn.functional.conv2d(torch.from_numpy(frames.T.copy())[None, None], kernels, stride=16)  # (1, 5, 2, 2)
    by_rows = torch.from_numpy(rows) @ kernels.flatten(1).T
    assert len(frames) == 32 and torch.allclose(made[0].permute(2, 1, 0).reshape(4, 5), by_rows, atol=1e-2, rtol=1e-4)


def test_patches_say_so_in_their_spec_and_frames_keep_theirs():
    spec = Mel.load("mel", MelOptions(patch=16), SETUP).spec
    assert (spec.width, spec.max_rows, spec.options["patch"]) == (256, 8 * 251, 16)
    assert "squares" in spec.options["definition"]
    frames = Mel.load("mel", MelOptions(), SETUP).spec
    assert "patch" not in frames.options and frames.fingerprint == "c40cbd4a992c0ec4628b9c542e5aa6c8"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bands": 40, "patch": 16}, "bands must be a multiple of patch, 16, such as 128, but are 40"),
        ({"patch": -1}, "patch must be at least 0"),
        ({"bands": 0}, "bands must be at least 1, but is 0"),
        ({"hop": 0.0}, "hop must be at least a sample, 1/16000 s, but is 0.0"),
        ({"hop": 0.03}, "hop must be at most window, 0.025 s"),
        ({"high": 9000.0}, "bands must lie between 0 and half the rate, 8000 Hz, but low is 0 and high 9000"),
        ({"low": 8000.0}, "bands must lie between 0 and half the rate"),
        ({"low": float("nan")}, "low must be at least 0"),
        ({"rate": 500}, "rate must be at least 1000 Hz"),
        ({"seconds": 0.01}, "seconds must be at least window"),
        ({"channel": "left"}, "channel must be mean, agent, customer or a number from 0, but is 'left'"),
        ({"silence": "cut"}, "silence must be keep or remove"),
        ({"bands": 12.5}, "bands must be of type int"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(SettingError, match=said):
        MelOptions(**options)
