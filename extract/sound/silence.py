"""Silence removed from segments, by voice activity detection with Silero VAD, which carries its model.

The detector hears a segment at 16 kHz and at one level, whatever its own, for it misses faint speech otherwise, and
finds less at 8 kHz. It hears speech on for some tenths of a second after its end, so the ends of what it finds are
drawn in to where the level is that of speech, and then padded. What is kept is joined without a gap.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import SettingError, shown
from ...values import check_kinds, check_most

if TYPE_CHECKING:
    import numpy as np

CHOICES = {"silence": ("keep", "remove")}
_MOST = {"silence_min_ms": 3_600_000, "silence_pad_ms": 3_600_000}  # an hour

_MODEL = "data/silero_vad.jit"  # within the package
_RATE = 16_000  # hertz at which the detector hears
_LEVEL = 0.1  # of loud frames, as root mean square, at which it hears them
_MOST_GAIN = 100.0  # 40 dB: what is fainter than any recording of speech stays faint
_SHORTEST_SPEECH_MS = 100  # shorter finds are clicks; a spoken syllable lasts longer
_FRAME_MS = 16  # over which levels are taken
_LOUD_FRAMES = 32  # half a second: the level of loud speech is that of so many loudest frames, or of the loudest 5 %
_FAINT = 10 ** (-25 / 20)  # of that level: the ends of a stretch that are 25 dB fainter than loud speech are none
_MOST_DRAWN_IN_MS = 400  # the longest that the detector was seen to hear speech on
_VERSION = 1  # of all of this


@dataclass(frozen=True)
class SilenceOptions:
    """What becomes of silence; each is an option of ``msmt extract``."""

    silence: str = "keep"
    """Whether silence within a segment is kept or removed."""

    silence_threshold: float = 0.3
    """Probability of speech from which the detector's finds count as speech, between 0 and 1."""

    silence_min_ms: int = 300
    """Shortest pause that counts as silence, in milliseconds."""

    silence_pad_ms: int = 30
    """Time kept before and after speech, in milliseconds."""

    def __post_init__(self) -> None:
        check_kinds(self)
        check_most(self, _MOST)
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise SettingError(f"{name} must be {' or '.join(choices)}, but is {shown(getattr(self, name))}")
        if not 0 < self.silence_threshold < 1:
            raise SettingError(f"silence threshold must be above 0 and below 1, but is {self.silence_threshold}")
        if self.silence_min_ms < 0:
            raise SettingError(f"silence min ms must be at least 0, but is {self.silence_min_ms}")
        if self.silence_pad_ms < 0:
            raise SettingError(f"silence pad ms must be at least 0, but is {self.silence_pad_ms}")

    @property
    def removes(self) -> bool:
        """Whether silence is to be removed."""
        return self.silence == "remove"


@dataclass(frozen=True)
class Removed:
    """A segment without its silence."""

    samples: np.ndarray
    """(m,) float32: the stretches of speech, one after another; all samples when there is no speech."""

    removed_seconds: float
    """Length of what was removed, in seconds."""

    had_speech: bool
    """Whether any speech was found; where there was none, nothing is removed."""


class SilenceRemover:
    """Keeps a segment's speech. May be pickled, and used by several threads at once: the model is loaded by each.

    ``find_speech(samples)``, of samples (n,) at 16 kHz, returns stretches of speech as pairs of the first sample and
    the one after the last, in order and apart; Silero VAD unless given.
    """

    def __init__(
        self, options: SilenceOptions, find_speech: Callable[[np.ndarray], list[tuple[int, int]]] | None = None
    ) -> None:
        self.options = options
        self.find_speech = find_speech or _Silero(options)

    def speech_only(self, samples: np.ndarray, sample_rate: int) -> Removed:
        """The speech of samples (n,), float32, at a rate in hertz; what is kept is the very samples given."""
        kept = self.speech_in(samples, sample_rate)
        if not kept.any():
            return Removed(samples, 0.0, had_speech=False)
        return Removed(samples[kept], float((~kept).sum() / sample_rate), had_speech=True)

    def speech_in(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        """Which of the samples (n,) are speech or its padding: (n,) bool."""
        import numpy as np

        from .audio import resampled

        frame = max(1, round(_FRAME_MS * sample_rate / 1000))
        levels = _levels(samples, frame)
        loud = np.sort(levels)[-max(1, min(_LOUD_FRAMES, len(levels) // 20)) :].min()
        heard = samples * np.float32(min(_LEVEL / loud, _MOST_GAIN)) if loud else samples
        if sample_rate != _RATE:
            heard = resampled(heard, sample_rate, _RATE)
        padding = round(self.options.silence_pad_ms * sample_rate / 1000)
        is_speech = np.zeros(len(samples), bool)
        for start, stop in self.find_speech(heard):
            start, stop = round(start * sample_rate / _RATE), round(stop * sample_rate / _RATE)
            start, stop = _drawn_in(start, stop, levels >= _FAINT * loud, frame)
            is_speech[max(0, start - padding) : stop + padding] = True
        return is_speech

    def recipe(self) -> dict:
        """All that decides what is removed, as JSON can hold it."""
        return {
            "detector": f"silero-vad {metadata.version('silero-vad')}",
            "model": _model_digest(),
            "threshold": self.options.silence_threshold,
            "min_ms": self.options.silence_min_ms,
            "pad_ms": self.options.silence_pad_ms,
            "version": _VERSION,
        }


def _levels(samples: np.ndarray, frame: int) -> np.ndarray:
    """Root mean square of each frame of so many samples, the last one filled up with zeros."""
    import numpy as np

    whole = np.pad(samples, (0, -len(samples) % frame)).astype(np.float64)
    return np.sqrt((whole.reshape(-1, frame) ** 2).mean(axis=1))


def _drawn_in(start: int, stop: int, is_loud: np.ndarray, frame: int) -> tuple[int, int]:
    """A stretch of samples without the faint frames at its ends; as it is where it has no others."""
    import numpy as np

    places = start // frame + np.flatnonzero(is_loud[start // frame : -(-stop // frame)])
    if not len(places):
        return start, stop
    most = _MOST_DRAWN_IN_MS // _FRAME_MS * frame
    return (
        min(max(start, int(places[0]) * frame), start + most),
        max(min(stop, (int(places[-1]) + 1) * frame), stop - most),
    )


@dataclass(frozen=True)
class _Silero:
    """Stretches of speech by Silero VAD, not padded."""

    options: SilenceOptions

    def __call__(self, samples: np.ndarray) -> list[tuple[int, int]]:
        import numpy as np
        import torch

        model, timestamps = _loaded()
        found = timestamps(
            torch.from_numpy(np.ascontiguousarray(samples, np.float32)),
            model,
            sampling_rate=_RATE,
            threshold=self.options.silence_threshold,
            min_speech_duration_ms=_SHORTEST_SPEECH_MS,
            min_silence_duration_ms=self.options.silence_min_ms,
            speech_pad_ms=0,
        )
        return [(stretch["start"], stretch["end"]) for stretch in found]


_OF_THREAD = threading.local()
_IMPORT = threading.Lock()


def _loaded() -> tuple:
    """This thread's model, which carries a state along the samples, and the library's function that asks it."""
    if not hasattr(_OF_THREAD, "model"):
        import torch

        with _IMPORT:
            threads = torch.get_num_threads()
            from silero_vad import get_speech_timestamps

            torch.set_num_threads(threads)  # the import leaves the whole process with one
        _OF_THREAD.model = torch.jit.load(str(_model_path()), map_location="cpu").eval()
        _OF_THREAD.timestamps = get_speech_timestamps
    return _OF_THREAD.model, _OF_THREAD.timestamps


def _model_path() -> Path:
    return Path(find_spec("silero_vad").submodule_search_locations[0]) / _MODEL


@cache
def _model_digest() -> str:
    return hashlib.sha256(_model_path().read_bytes()).hexdigest()[:16]
