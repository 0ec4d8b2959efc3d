"""From a row of the segment table to the samples that a feature is computed of.

In this order: decoded, one channel or their mean, resampled, silence removed, altered as the row's view is,
normalised unless the spec wants the recording's own level, cut at the longest input.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import AudioError
from ...features.spec import FeatureSpec
from . import audio
from .silence import SilenceRemover
from .views import alter_audio, generator_for


@dataclass(frozen=True)
class Sound:
    """A segment as its view has it, at the recording's own level."""

    samples: np.ndarray
    """(n,) float32 at the spec's rate, neither normalised nor cut."""

    seconds: float
    """Length before silence was removed and the view was made."""

    removed_seconds: float = 0.0
    """Silence that was removed."""

    had_speech: bool = True
    """False where there was nothing but silence, which was kept then."""


@dataclass(frozen=True)
class Input:
    """What a feature of the audio is computed of."""

    samples: np.ndarray
    """(n,) float32, normalised as the spec says and cut at the longest input."""

    seconds: float
    """Length before silence was removed and the view was made."""

    removed_seconds: float
    had_speech: bool
    is_cut: bool
    """Whether the segment was longer than the longest input."""


def sound_of(root: Path, segment: pd.Series, spec: FeatureSpec, remover: SilenceRemover | None = None) -> Sound:
    """The sound of a row of the segment table, altered as its view is. Raises AudioError.

    ``remover`` must be given where the spec has silence removed.
    """
    plain = _plain_sound(root, segment, spec, remover)
    samples = plain.samples
    recipe = spec.views.get(segment["view"])
    if recipe:
        generator = generator_for(recipe, segment["segment_id"], segment["view"])
        samples = alter_audio(samples, spec.sample_rate, recipe, generator)
    return replace(plain, samples=samples)


_OF_THREAD = threading.local()  # the last sound that a thread made: a segment's views follow each other


def _plain_sound(root: Path, segment: pd.Series, spec: FeatureSpec, remover: SilenceRemover | None) -> Sound:
    """The sound of a segment before its view is made of it; its samples are not to be written to."""
    path, where = root / segment["audio"], (float(segment["start"]), float(segment["end"]))
    channel = int(segment["channel"]) if spec.channel is None else spec.channel
    try:
        status = path.stat()
        key = (str(path), status.st_ino, status.st_mtime_ns, status.st_size, str(where), channel)
        key += (spec.sample_rate, str(spec.silence))
        if getattr(_OF_THREAD, "key", None) != key:
            samples = audio.load_segment(path, spec.sample_rate, *where, channel)
            _OF_THREAD.sound = _without_silence(samples, spec, remover)
            _OF_THREAD.key = key
    except FileNotFoundError:
        raise AudioError("there is no such file") from None
    except OSError as error:
        raise AudioError(f"cannot be read ({error.strerror})") from error
    return _OF_THREAD.sound


def _without_silence(samples: np.ndarray, spec: FeatureSpec, remover: SilenceRemover | None) -> Sound:
    seconds = len(samples) / spec.sample_rate
    if not spec.silence:
        return Sound(samples, seconds)
    speech = remover.speech_only(samples, spec.sample_rate)
    return Sound(speech.samples, seconds, speech.removed_seconds, speech.had_speech)


def load_input(
    root: Path, segment: pd.Series, spec: FeatureSpec, remover: SilenceRemover | None = None
) -> Input | AudioError:
    """What a feature is computed of in a row, or the reason why there is nothing."""
    try:
        sound = sound_of(root, segment, spec, remover)
    except AudioError as error:
        return error
    is_as_recorded = spec.normalisation == audio.AS_RECORDED
    samples = (sound.samples if is_as_recorded else audio.normalised(sound.samples))[: spec.max_samples]
    is_cut = len(sound.samples) > spec.max_samples
    return Input(samples, sound.seconds, sound.removed_seconds, sound.had_speech, is_cut)
