from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from msmt.extract.layouts.voices import Manner, speech

PLAIN = Manner(pitch=200.0, melody=0.0, rate=5.0, effort=0.5, hesitation=0.0)


def said(text: str, manner: Manner = PLAIN, rate: int = 16000, language: str = "en") -> np.ndarray:
    return speech(text, manner, np.random.default_rng(0), rate, language)


@pytest.mark.parametrize(
    ("text", "syllables"), [("no", 1), ("time", 1), ("believe it", 3), ("banana", 3), ("rhythm tsk", 2), ("I don't", 2)]
)
def test_an_english_word_has_a_syllable_for_every_group_of_vowels(text, syllables):
    assert len(said(text)) / 16000 == pytest.approx(syllables / PLAIN.rate, rel=0.25)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_voice_is_as_high_and_as_fast_at_any_rate(rate):
    sound = said("la la la la la la", rate=rate)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    frequency = np.fft.rfftfreq(len(sound), 1 / rate)
    between = (frequency > 150) & (frequency < 250)
    assert frequency[between][spectrum[between].argmax()] == pytest.approx(200, rel=0.05)
    assert len(sound) / rate == pytest.approx(6 / PLAIN.rate, rel=0.2)


def test_hesitation_makes_pauses_between_words_and_none_within():
    hesitating = dataclasses.replace(PLAIN, hesitation=1.0)
    assert len(said("banana", hesitating)) < len(said("ba na na", hesitating)) - 0.2 * 16000


def test_a_shorter_vocal_tract_has_higher_resonances():
    def balance(manner: Manner) -> float:
        spectrum = np.abs(np.fft.rfft(said("a a a a", manner))) ** 2
        frequency = np.fft.rfftfreq(2 * (len(spectrum) - 1), 1 / 16000)
        return float((spectrum * frequency).sum() / spectrum.sum())

    assert balance(dataclasses.replace(PLAIN, tract=1.17)) > balance(PLAIN)
