"""What the tests of the layouts share: simple features of words and prosody, how well they tell emotions, and digests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from msmt.extract.layouts.scenario import Utterance
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict

_FRAME = 0.04  # seconds
_LOWEST, _HIGHEST = 70, 500  # hertz of a voice


def prosody(said: Utterance) -> list[float]:
    """Pitch and its course, loudness, balance of the spectrum, pauses and length of one utterance."""
    size = int(_FRAME * said.rate)
    frames = said.samples[: len(said.samples) // size * size].reshape(-1, size).astype(np.float64)
    loudness = np.sqrt(np.mean(frames**2, axis=1)) + 1e-6
    is_voiced = loudness > 0.3 * np.median(loudness)
    spectra = np.abs(np.fft.rfft(frames[is_voiced] * np.hanning(size), 2 * size)) ** 2
    frequency = np.fft.rfftfreq(2 * size, 1 / said.rate)
    echoes = np.fft.irfft(spectra)[:, int(said.rate / _HIGHEST) : int(said.rate / _LOWEST)]
    pitch = np.log(said.rate / (echoes.argmax(axis=1) + int(said.rate / _HIGHEST)))
    tilt = np.log(spectra[:, frequency > 1000].sum(axis=1) / spectra[:, frequency <= 1000].sum(axis=1))
    spread = np.percentile(pitch, (10, 50, 90))
    letters = len(said.text)
    return [
        *(*spread, spread[2] - spread[0], np.log(loudness[is_voiced]).mean(), tilt.mean()),
        *(1 - is_voiced.mean(), np.log(said.seconds / letters)),
    ]


def prosody_of(said: Sequence[Utterance], beside_speaker: bool = False) -> np.ndarray:
    """(n, features) in units of their deviation; with ``beside_speaker`` from what is usual of each speaker."""
    heard = np.array([prosody(each) for each in said])
    heard = (heard - heard.mean(axis=0)) / heard.std(axis=0)
    if beside_speaker:
        speakers = np.array([each.speaker for each in said])
        for speaker in set(speakers):
            heard[speakers == speaker] -= heard[speakers == speaker].mean(axis=0)
    return heard


def words(said: Sequence[Utterance]) -> np.ndarray:
    """(n, words) which words each utterance has."""
    return CountVectorizer(binary=True, token_pattern=r"\w+").fit_transform([each.text for each in said]).toarray()


def named(values: Sequence[str]) -> np.ndarray:
    """(n, names) 1 where a value is that name."""
    names = sorted(set(values))
    return np.array([[float(value == name) for name in names] for value in values])


def share_right(labels: Sequence[str], groups: Sequence[int], *features: np.ndarray) -> float:
    """Share of labels (n,) that a linear classifier gets right on groups that it has not seen."""
    classifier = LogisticRegression(C=0.5, max_iter=500)
    told = cross_val_predict(classifier, np.hstack(features), labels, groups=groups, cv=GroupKFold(4))
    return float(np.mean(told == np.asarray(labels)))


def digests(folder: Path) -> dict[str, str]:
    """By path a digest of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
