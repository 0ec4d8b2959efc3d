from __future__ import annotations

import av
import numpy as np
import pytest
from msmt.errors import AudioError
from msmt.extract.layouts import writing
from msmt.extract.sound.audio import load_segment

RATE = 16000


@pytest.fixture
def samples() -> np.ndarray:
    time = np.arange(int(1.7 * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * 300 * time) * np.sin(2 * np.pi * time)).astype(np.float32)


@pytest.mark.parametrize("video", [True, False])
def test_a_video_holds_the_sound_that_it_was_given(tmp_path, samples, video):
    writing.write_video(tmp_path / "a.mp4", samples, RATE, video)
    heard = load_segment(tmp_path / "a.mp4", RATE)
    assert abs(len(heard) - len(samples)) < 0.1 * RATE
    assert np.corrcoef(heard[: len(samples)], samples)[0, 1] > 0.99
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert [len(container.streams.video), len(container.streams.audio)] == [int(video), 1]
        assert float(container.duration / av.time_base) == pytest.approx(1.7, abs=0.15)


def test_the_same_samples_give_the_same_bytes(tmp_path, samples):
    for name in ("a", "b"):
        writing.write_video(tmp_path / f"{name}.mp4", samples, RATE)
        writing.write_wav(tmp_path / f"{name}.wav", samples, RATE)
    for kind in ("mp4", "wav"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_a_wav_holds_its_samples(tmp_path, samples):
    writing.write_wav(tmp_path / "a.wav", samples, RATE)
    np.testing.assert_allclose(load_segment(tmp_path / "a.wav", RATE), samples, atol=1e-4)


def test_silence_and_a_missing_track_are_what_they_are_called(tmp_path):
    writing.write_silent_video(tmp_path / "silent.mp4", 1.5)
    writing.write_video_without_audio(tmp_path / "mute.mp4", 1.5)
    with pytest.raises(AudioError, match="is silent"):
        load_segment(tmp_path / "silent.mp4", RATE)
    with pytest.raises(AudioError, match="holds no audio stream"):
        load_segment(tmp_path / "mute.mp4", RATE)
    with av.open(str(tmp_path / "mute.mp4")) as container:
        assert float(container.duration / av.time_base) == pytest.approx(1.5, abs=0.15)


@pytest.mark.parametrize("kind", ["mp4", "wav"])
def test_what_was_cut_off_cannot_be_decoded(tmp_path, samples, kind):
    path = tmp_path / f"a.{kind}"
    (writing.write_video if kind == "mp4" else writing.write_wav)(path, samples, RATE)
    writing.truncate(path)
    assert path.stat().st_size
    with pytest.raises(AudioError, match="decoded"):
        load_segment(path, RATE)
