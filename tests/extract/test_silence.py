"""What is not speech goes, what is stays as it was, and a segment without speech is kept whole."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from msmt.errors import SettingError
from msmt.extract.sound.silence import SilenceOptions, SilenceRemover

REMOVE = SilenceOptions(silence="remove")


class FakeDetector:
    """Finds speech at given seconds, and remembers what it heard."""

    def __init__(self, *seconds):
        self.seconds = seconds

    def __call__(self, samples):
        self.heard = samples
        return [(round(start * 16_000), round(stop * 16_000)) for start, stop in self.seconds]


def noise(seconds, rate=8000, level=0.1, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def joined(*parts, rate=8000):
    """Noise as loud as speech, as it were, for each positive number of seconds, digital silence for each negative."""
    return np.concatenate(
        [noise(part, rate) if part > 0 else np.zeros(round(-part * rate), np.float32) for part in parts]
    )


class TestRemoval:
    @pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 44_100])
    def test_stretches_of_speech_are_kept_with_padding_whatever_the_rate(self, rate):
        samples = joined(5.0, rate=rate)
        result = SilenceRemover(REMOVE, FakeDetector((1.0, 2.0), (3.0, 4.0))).speech_only(samples, rate)
        pad, at = 0.03, lambda second: round(second * rate)
        expected = [samples[at(start) - at(pad) : at(stop) + at(pad)] for start, stop in ((1, 2), (3, 4))]
        assert np.array_equal(result.samples, np.concatenate(expected))
        assert result.had_speech and abs(result.removed_seconds - (5 - 2 - 4 * pad)) < 1e-3
        assert result.samples.dtype == np.float32

    def test_padding_stops_at_the_segment_s_ends_and_where_stretches_meet(self):
        samples = joined(2.0)
        result = SilenceRemover(REMOVE, FakeDetector((0.0, 1.0), (1.02, 2.0))).speech_only(samples, 8000)
        assert np.array_equal(result.samples, samples) and result.removed_seconds == 0

    def test_a_segment_without_speech_keeps_its_audio(self):
        samples = noise(1.0)
        result = SilenceRemover(REMOVE, FakeDetector()).speech_only(samples, 8000)
        assert result.samples is samples and result.removed_seconds == 0 and not result.had_speech

    def test_what_the_detector_hears_after_the_end_is_drawn_in(self):
        for end in (np.zeros(8000, np.float32), noise(1.0, level=0.001, seed=1)):
            samples = np.concatenate([end, noise(1.0), end])
            result = SilenceRemover(REMOVE, FakeDetector((0.9, 2.3))).speech_only(samples, 8000)
            assert abs(len(result.samples) / 8000 - 1.06) < 0.04

    def test_only_so_much_is_drawn_in_and_faint_speech_alone_is_left(self):
        samples = joined(-1.0, 1.0, -1.0)
        result = SilenceRemover(REMOVE, FakeDetector((0.0, 3.0))).speech_only(samples, 8000)
        assert abs(len(result.samples) / 8000 - (3 - 2 * 0.4 + 2 * 0.03)) < 0.001
        samples = np.concatenate([noise(1.0), noise(1.0, level=0.001)])
        result = SilenceRemover(REMOVE, FakeDetector((1.2, 1.8))).speech_only(samples, 8000)
        assert abs(len(result.samples) / 8000 - 0.66) < 0.001

    @pytest.mark.parametrize("level", [0.0005, 0.01, 0.5])
    def test_the_detector_hears_16_khz_at_one_level_and_the_samples_keep_theirs(self, level):
        detector, samples = FakeDetector((0.0, 1.0)), noise(2.0, level=level)
        kept = SilenceRemover(REMOVE, detector).speech_only(samples, 8000).samples
        assert len(detector.heard) == 32_000
        assert 0.04 < np.sqrt(np.mean(detector.heard**2)) < 0.15
        assert np.array_equal(kept, samples[: len(kept)])

    def test_what_is_fainter_than_any_speech_stays_faint(self):
        detector = FakeDetector()
        SilenceRemover(REMOVE, detector).speech_only(noise(2.0, level=1e-6), 8000)
        assert np.abs(detector.heard).max() < 1e-3

    @pytest.mark.parametrize("count", [1, 2, 100, 129])
    def test_however_short_a_segment_is_it_works(self, count):
        result = SilenceRemover(REMOVE, FakeDetector((0.0, 1.0))).speech_only(noise(1.0)[:count], 8000)
        assert len(result.samples) == count


class TestDetector:
    @pytest.mark.parametrize("rate", [8000, 16_000, 22_050])
    def test_it_finds_no_speech_in_silence_and_noise(self, rate):
        remover = SilenceRemover(REMOVE)
        hum = 0.01 * np.sin(2 * np.pi * 50 * np.arange(3 * rate) / rate).astype(np.float32)
        for samples in (np.zeros(3 * rate, np.float32), noise(3.0, rate, 0.0003), noise(3.0, rate, 0.03), hum):
            assert not remover.speech_only(samples, rate).had_speech

    @pytest.mark.parametrize("count", [1, 10, 255, 257])
    def test_however_short_a_segment_is_it_works(self, count):
        assert len(SilenceRemover(REMOVE).speech_only(noise(1.0)[:count], 8000).samples) == count

    def test_the_number_of_torch_threads_is_left_alone(self):
        program = (
            "import numpy, torch; torch.set_num_threads(3);"
            "from msmt.extract.sound.silence import SilenceOptions, SilenceRemover;"
            "SilenceRemover(SilenceOptions('remove')).speech_only(numpy.zeros(8000, 'f4'), 8000);"
            "print(torch.get_num_threads())"
        )
        assert subprocess.run([sys.executable, "-c", program], capture_output=True).stdout.strip() == b"3"

    def test_threads_and_spawned_processes_find_the_same(self):
        remover, samples = SilenceRemover(SilenceOptions("remove", silence_threshold=0.001)), vowels()
        expected = remover.speech_in(samples, 8000)
        assert np.array_equal(remover.speech_in(samples, 8000), expected)
        assert 0 < expected.sum() < len(samples)
        with ThreadPoolExecutor(3) as threads:
            for found in threads.map(remover.speech_in, [samples] * 6, [8000] * 6):
                assert np.array_equal(found, expected)
        with ProcessPoolExecutor(1, get_context("spawn")) as processes:
            assert np.array_equal(processes.submit(remover.speech_in, samples, 8000).result(), expected)


def vowels(rate=8000):
    """Pulses through the resonances of an open vowel, between pauses: the detector gives it some probability."""
    random, parts = np.random.default_rng(0), []
    for _ in range(4):
        time = np.arange(round(0.5 * rate)) / rate
        pitch = np.cumsum(120 + 20 * np.sin(2 * np.pi * 3 * time + random.uniform(0, 6))) / rate
        harmonics = range(1, 25)
        peaks = ((700, 80), (1200, 100), (2600, 150))
        weight = [sum(1 / (1 + ((number * 120 - peak) / width) ** 2) for peak, width in peaks) for number in harmonics]
        voice = sum(loud * np.sin(2 * np.pi * number * pitch) for loud, number in zip(weight, harmonics, strict=True))
        parts += [0.1 * voice * np.hanning(len(time)), np.zeros(rate)]
    return np.concatenate(parts).astype(np.float32)


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"silence": "drop"}, "silence must be keep or remove, but is 'drop'"),
            ({"silence_threshold": 0.0}, "silence threshold must be above 0 and below 1, but is 0.0"),
            ({"silence_threshold": float("nan")}, "silence threshold"),
            ({"silence_min_ms": -1}, "silence min ms must be at least 0, but is -1"),
            ({"silence_pad_ms": -1}, "silence pad ms must be at least 0, but is -1"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, options, reason):
        with pytest.raises(SettingError, match=reason):
            SilenceOptions(**options)

    def test_silence_is_kept_unless_asked(self):
        assert not SilenceOptions().removes and REMOVE.removes

    def test_the_recipe_tells_detector_and_thresholds(self):
        recipe = SilenceRemover(REMOVE).recipe()
        assert json.loads(json.dumps(recipe)) == recipe
        assert recipe["detector"].startswith("silero-vad ") and len(recipe["model"]) == 16
        for change in ({"silence_threshold": 0.7}, {"silence_min_ms": 50}, {"silence_pad_ms": 0}):
            assert SilenceRemover(SilenceOptions("remove", **change)).recipe() != recipe

    def test_options_and_recipe_need_no_heavy_import(self):
        program = (
            "import sys; from msmt.extract.sound.silence import SilenceOptions, SilenceRemover;"
            "SilenceRemover(SilenceOptions('remove')).recipe();"
            "sys.exit(str({'numpy', 'torch', 'torchaudio', 'silero_vad'} & set(sys.modules) or ''))"
        )
        assert subprocess.run([sys.executable, "-c", program], capture_output=True).stderr.strip() == b""
