"""What can be decoded simply works; what cannot says why."""

from __future__ import annotations

import av
import numpy as np
import pytest
import soundfile
from msmt.errors import AudioError
from msmt.extract.sound.audio import (
    channels_of,
    decoded_seconds,
    header_of,
    load_segment,
    normalised,
    problem_of,
    seconds_of,
)
from msmt.tests.extract.made import speech_like

SPEECH = speech_like(2.0)


def write(path, samples=SPEECH, rate=8000, **options):
    soundfile.write(path, samples, rate, **options)
    return path


def write_with_av(path, codec, container, rate=8000):
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray((SPEECH[None] * 32767).astype(np.int16), format="s16", layout="mono")
        frame.rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return path


@pytest.mark.parametrize(
    ("subtype", "tolerance"), [("PCM_16", 1e-4), ("PCM_24", 1e-6), ("FLOAT", 1e-7), ("ALAW", 0.02), ("ULAW", 0.02)]
)
def test_common_encodings_decode_to_the_same_samples(tmp_path, subtype, tolerance):
    path = write(tmp_path / "a.wav", subtype=subtype)
    assert np.allclose(load_segment(path, 8000), SPEECH, atol=tolerance)


def test_channels_are_averaged_or_picked(tmp_path):
    path = write(tmp_path / "a.wav", np.stack([SPEECH, -0.5 * SPEECH], axis=1), subtype="FLOAT")
    assert np.allclose(load_segment(path, 8000), 0.25 * SPEECH, atol=1e-6)
    assert np.allclose(load_segment(path, 8000, channel=1), -0.5 * SPEECH, atol=1e-6)
    with pytest.raises(AudioError, match="has 2 channels, so no channel 2"):
        load_segment(path, 8000, channel=2)


def test_other_rates_are_resampled_without_a_change_of_pitch(tmp_path):
    tone = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100).astype(np.float32)
    samples = load_segment(write(tmp_path / "a.wav", tone, 44_100), 8000)
    assert len(samples) == 8000
    assert np.argmax(np.abs(np.fft.rfft(samples))) == 440


def test_a_stretch_of_a_file_is_that_stretch(tmp_path):
    path = write(tmp_path / "a.wav", subtype="FLOAT")
    assert np.array_equal(load_segment(path, 8000, start=0.5, end=1.25), SPEECH[4000:10_000])
    with pytest.raises(AudioError, match="ends at 2.00 s, before the segment's start at 2.5 s"):
        load_segment(path, 8000, start=2.5, end=3.0)
    with pytest.raises(AudioError, match="ends at 2.00 s, before the segment's end at 3.0 s"):
        load_segment(path, 8000, start=1.0, end=3.0)


@pytest.mark.parametrize(
    ("codec", "container", "suffix"),
    [("aac", "mp4", ".m4a"), ("aac", "adts", ".aac"), ("pcm_s16le", "matroska", ".mka")],
)
def test_what_libsndfile_does_not_know_is_decoded_by_ffmpeg(tmp_path, codec, container, suffix):
    samples = load_segment(write_with_av(tmp_path / f"a{suffix}", codec, container), 8000)
    assert abs(len(samples) - len(SPEECH)) <= 2048
    assert np.abs(samples).max() > 0.1


@pytest.mark.parametrize(
    ("codec", "container"), [("aac", "mp4"), ("aac", "mov"), ("pcm_s16le", "matroska"), ("aac", "avi")]
)
def test_containers_of_video_are_never_given_to_libsndfile_which_may_take_them_for_mp3(
    tmp_path, monkeypatch, codec, container
):
    path = write_with_av(tmp_path / "clip", codec, container)
    for name in ("info", "SoundFile"):
        monkeypatch.setattr(soundfile, name, lambda *arguments, **options: pytest.fail("libsndfile was asked"))
    assert abs(len(load_segment(path, 8000)) - len(SPEECH)) <= 2048
    assert problem_of(path) is None and channels_of(path) == 1
    assert container == "matroska" or abs(seconds_of(path) - 2.0) < 0.3


def test_the_length_of_all_that_can_be_decoded_is_told_and_silence_refused(tmp_path):
    assert decoded_seconds(write(tmp_path / "a.wav")) == 2.0
    with pytest.raises(AudioError, match="silent"):
        decoded_seconds(write(tmp_path / "b.wav", np.zeros(100)))


def test_a_file_that_a_mac_leaves_beside_another_is_not_taken_for_a_part_of_it(tmp_path):
    path = write_with_av(tmp_path / "a.aac", "aac", "adts")
    (tmp_path / "._a.aac").write_bytes(bytes(range(256)) * 16)
    assert abs(len(load_segment(path, 8000)) - len(SPEECH)) <= 2048
    assert problem_of(path) is None


def test_flac_and_ogg_decode(tmp_path):
    for name in ("a.flac", "a.ogg", "a.mp3"):
        assert abs(len(load_segment(write(tmp_path / name), 8000)) - len(SPEECH)) < 100


def test_samples_are_normalised_to_zero_mean_and_unit_variance():
    samples = normalised(0.5 * SPEECH + 0.3)
    assert abs(samples.mean()) < 1e-6 and abs(samples.std() - 1) < 1e-3 and samples.dtype == np.float32


def test_a_header_tells_the_length(tmp_path):
    assert seconds_of(write(tmp_path / "a.wav")) == 2.0
    (tmp_path / "b.wav").write_text("no")
    assert seconds_of(tmp_path / "b.wav") is None


def test_a_header_is_read_once_for_what_is_wrong_and_for_the_length(tmp_path, monkeypatch):
    path = write_with_av(tmp_path / "clip", "aac", "mp4")
    opened = []
    open_with_av = av.open
    monkeypatch.setattr(
        av, "open", lambda *arguments, **options: opened.append(1) or open_with_av(*arguments, **options)
    )
    header = header_of(path)
    assert header.problem is None and abs(header.seconds - 2.0) < 0.3 and len(opened) == 1
    path.write_bytes(path.read_bytes()[:40])
    assert "not audio that can be decoded" in header_of(path).problem and header_of(path).seconds is None


def test_a_wav_of_unknown_length_from_a_stream_is_not_cut_off(tmp_path):
    content = bytearray(write(tmp_path / "a.wav").read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(content)
    assert len(load_segment(tmp_path / "a.wav", 8000)) == len(SPEECH)


class TestUnusableFiles:
    def refuses(self, path, reason):
        with pytest.raises(AudioError, match=reason):
            load_segment(path, 8000)

    def test_an_empty_file(self, tmp_path):
        (tmp_path / "a.wav").write_bytes(b"")
        self.refuses(tmp_path / "a.wav", "the file is empty")

    def test_a_file_without_samples(self, tmp_path):
        self.refuses(write(tmp_path / "a.wav", SPEECH[:0]), "holds no samples")

    def test_text(self, tmp_path):
        (tmp_path / "a.wav").write_text("this is not audio, whatever it is called\n" * 99)
        self.refuses(tmp_path / "a.wav", "is not audio that can be decoded")

    @pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg"])
    def test_a_file_that_is_cut_off(self, tmp_path, name):
        path = write(tmp_path / name, speech_like(20.0))
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        self.refuses(path, "is cut off|cannot be decoded")

    def test_silence(self, tmp_path):
        self.refuses(write(tmp_path / "a.wav", 0 * SPEECH), "silent: all its samples are zero")

    def test_a_constant(self, tmp_path):
        self.refuses(write(tmp_path / "a.wav", 0 * SPEECH + 0.25), "silent: all its samples are equal")

    def test_numbers_that_are_not(self, tmp_path):
        samples = SPEECH.copy()
        samples[77] = np.nan
        self.refuses(write(tmp_path / "a.wav", samples, subtype="FLOAT"), "not finite numbers")

    def test_a_video_without_sound(self, tmp_path):
        with av.open(str(tmp_path / "a.mp4"), "w") as output:
            stream = output.add_stream("mpeg4", rate=5)
            stream.width = stream.height = 32
            for packet in [*stream.encode(av.VideoFrame(32, 32, "yuv420p")), *stream.encode(None)]:
                output.mux(packet)
        self.refuses(tmp_path / "a.mp4", "holds no audio stream")
