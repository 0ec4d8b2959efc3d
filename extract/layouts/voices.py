"""Speech-like sound, computed from pulses and noise: a syllable for every Mandarin character or English vowel.

Nobody speaks in it and no word can be understood, but pitch, melody, rate, loudness, the balance of the spectrum, pauses
and the resonances of vowels are there, as prosody and encoders hear them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

TELEPHONE = 8000  # hertz

# Resonances of the vocal tract in hertz, by vowel letter (Peterson and Barney's averages for men, rounded).
_FORMANTS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}
_HESITATING = ("呃", "um", "uh")  # drawn out
_BANDWIDTHS = (80, 110, 170)  # hertz
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_VOWELS = "aeiouyäöü"
_NEAREST = {"y": "i", "ä": "e", "ö": "e", "ü": "i"}  # vowel letters without resonances of their own


@dataclass(frozen=True)
class Manner:
    """How somebody speaks; a speaker's own values scatter around these."""

    pitch: float
    """Hertz, in the middle of an utterance."""

    melody: float
    """Semitones that the pitch moves up and down."""

    rate: float
    """Syllables per second."""

    effort: float
    """0 soft to 1 loud: a strained voice is louder and has more energy at high frequencies."""

    hesitation: float
    """Probability of a pause after a word."""

    tract: float = 1.0
    """Resonances of the vowels as multiples of a man's: 1.17 for a woman, whose vocal tract is shorter."""


@dataclass(frozen=True)
class _Syllable:
    """What is sung of a text at one place."""

    vowel: str

    is_drawn_out: bool = False

    ends_word: bool = True
    """Whether a pause may follow."""


def speech(
    text: str, manner: Manner, random: np.random.Generator, rate: int = TELEPHONE, language: str = "zh"
) -> np.ndarray:
    """Speech-like sound of a text: (samples,) float64 within -1 and 1, at ``rate`` hertz.

    In Mandarin (``zh``) a voiced syllable for every character of ``text``, in any other language one for every group of
    vowels.
    """
    syllables = list(_characters(text) if language == "zh" else _groups_of_vowels(text))
    parts = []
    for place, syllable in enumerate(syllables):
        through = place / max(len(syllables) - 1, 1)  # 0 at the first syllable, 1 at the last
        melody = manner.melody * (np.sin(5 * through + random.normal(0, 0.3)) - 0.5 * through)
        pitch = manner.pitch * 2 ** (melody / 12)
        seconds = random.uniform(0.8, 1.2) / manner.rate * (2.0 if syllable.is_drawn_out else 1.0)
        parts.append(_syllable(syllable.vowel, pitch, seconds, manner, random, rate))
        if syllable.ends_word and random.random() < manner.hesitation:
            parts.append(np.zeros(int(rate * random.uniform(0.15, 0.4))))
    return np.concatenate(parts)


def _characters(text: str) -> Iterator[_Syllable]:
    from pypinyin import lazy_pinyin

    for character, syllable in zip(text, lazy_pinyin(text), strict=True):
        vowel = re.search("[aeiou]", syllable.replace("v", "u"))  # pinyin without marks writes ü as v
        yield _Syllable(vowel[0] if vowel else "e", is_drawn_out=character in _HESITATING)


def _groups_of_vowels(text: str) -> Iterator[_Syllable]:
    for word in _WORD.findall(text.lower()):
        groups = re.findall(f"[{_VOWELS}]+", word)
        if len(groups) > 1 and word.endswith("e") and groups[-1] == "e":  # silent: time, those
            groups.pop()
        for place, group in enumerate(groups or ["e"]):
            vowel = _NEAREST.get(group[0], group[0])
            yield _Syllable(vowel, word in _HESITATING, place == len(groups) - 1)


def _syllable(
    vowel: str, pitch: float, seconds: float, manner: Manner, random: np.random.Generator, rate: int
) -> np.ndarray:
    """A consonant-like burst of noise, then pulses at ``pitch`` that pass through the vowel's resonances."""
    count = max(int(seconds * rate), 2)
    time = np.arange(count) / rate
    glide = pitch * (1 + 0.03 * random.normal() * time / seconds)
    phase = np.cumsum(glide) / rate + random.random()
    source = _pulses(phase, harmonics=int(0.45 * rate / glide.max()))
    frequency = np.fft.rfftfreq(count, 1 / rate)
    gain = np.zeros(len(frequency))
    for order, (center, bandwidth) in enumerate(zip(_FORMANTS[vowel], _BANDWIDTHS, strict=True)):
        width = bandwidth * (1 + 0.2 * random.random())
        gain += width / np.hypot(frequency - center * manner.tract, width) / (order + 1)
    tilt = -12 + 9 * manner.effort  # decibels per octave
    gain *= (np.maximum(frequency, 100) / 100) ** (tilt / 6.02)
    voiced = np.fft.irfft(np.fft.rfft(source) * gain, count)
    voiced *= np.sin(np.pi * np.minimum(time / seconds * 1.15, 1)) ** 0.7
    burst = np.zeros(count)
    onset = min(int(0.035 * rate), count)
    burst[:onset] = np.diff(random.standard_normal(onset + 1)) * np.hanning(onset)
    level = 0.04 * 10 ** (12 * manner.effort / 20)  # 12 dB from soft to loud
    return level * (voiced / (np.sqrt(np.mean(voiced**2)) + 1e-9) + 0.25 * burst)


def _pulses(phase: np.ndarray, harmonics: int) -> np.ndarray:
    """A train of pulses, one per cycle of ``phase``, of equal harmonics and no others, so that nothing aliases."""
    half = np.pi * phase
    bottom = np.sin(half)
    near = np.abs(bottom) < 1e-6
    train = np.sin((2 * harmonics + 1) * half) / np.where(
        near, 1, bottom
    )  # = 1 + 2 Σ cos(2πk phase), k = 1 … harmonics
    return np.where(near, 2 * harmonics + 1, train) - 1
