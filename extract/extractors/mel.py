"""The feature ``mel``: a log-mel spectrogram by torchaudio, a frame every ``hop`` seconds.

The definition, for samples (n,) at ``rate`` hertz and at the recording's own level:

- Frames are centred: frame t is of the ``window`` around sample t · hop, and where that reaches over an end of the
  segment there are zeros. So n samples make T = 1 + n // hop frames, with hop and window rounded to whole samples.
- Each frame is weighted with a periodic Hann window, and is filled up with zeros to the length of the Fourier
  transform: the least power of two that holds the window and leaves none of the bands without a frequency.
- Its power spectrum |X|² is summed by triangles of height 1 that are evenly spaced on HTK's mel scale,
  2595 · log10(1 + f / 700), from ``low`` to ``high`` hertz, each from the middle of the band below to that above.
- The value is the natural logarithm of that sum, or of 1e-10 where the sum is less.

With ``patch`` p the spectrogram is a picture as vision transformers take it, ``bands`` high, the lowest first, and T wide:
rows are its squares of p bands by p frames. Those of the first p frames come first, from low to high, then those of the
next p frames; what is lacking of the last p frames is ln 1e-10. The values of a square are its bands one after another,
from low to high, p frames of each: what a patch embedding's kernel (1, p, p) sees, flattened.

A segment that is shorter than one window has no value. Each is computed alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from ...errors import AudioError, SettingError
from ...features.spec import FeatureSpec
from ...values import check_least, check_most
from ..sound import audio
from . import hearing
from .contract import Extractor, Job, Loaded, Material, Setup
from .hearing import Hearing, HearingOptions

FLOOR = 1e-10  # of the power in a band, about 100 dB below a whisper
_USUAL_RATE = 16_000
_LONGEST_TRANSFORM = 1 << 16
_OF_PATCHES = (
    "; squares of bands x frames, from low to high, then on in time, flattened bands first, filled with the least"
)
_DEFINITION = "ln of HTK mel power, at least 1e-10; Hann, centred, zeros beyond the ends"
_MOST = {"bands": 4096, "patch": 1024, "hop": 10.0, "window": 10.0, "low": 384_000.0, "high": 384_000.0}


@dataclass(frozen=True)
class MelOptions(HearingOptions):
    """Options of a log-mel spectrogram."""

    bands: int = 128
    """Mel bands (d)."""

    hop: float = 0.01
    """Seconds from one frame to the next."""

    window: float = 0.025
    """Seconds that a frame hears, weighted with a Hann window."""

    low: float = 0.0
    """Where the lowest band begins, in hertz."""

    high: float = 0.0
    """Where the highest band ends, in hertz; 0 for half the rate."""

    patch: int = 0
    """Bands and frames of the squares that are the rows, as vision transformers take them, such as 16; 0 for frames."""

    rate: int = _USUAL_RATE
    """Rate in hertz that the audio is resampled to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_most(self, _MOST)
        check_least(self, 1, ["bands"])
        check_least(self, 0, ["low", "high", "patch"])
        if self.patch and self.bands % self.patch:
            raise SettingError(
                f"bands must be a multiple of patch, {self.patch}, such as {8 * self.patch}, but are {self.bands}"
            )
        if not self.rate:
            object.__setattr__(self, "rate", _USUAL_RATE)
        for name in ("hop", "window"):
            if not getattr(self, name) * self.rate >= 1:
                raise SettingError(f"{name} must be at least a sample, 1/{self.rate} s, but is {getattr(self, name)}")
        if self.hop > self.window:
            raise SettingError(
                f"hop must be at most window, {self.window} s, or samples in between go unheard, but is {self.hop}"
            )
        if not self.low < self.highest <= self.rate / 2:
            raise SettingError(
                f"bands must lie between 0 and half the rate, {self.rate / 2:g} Hz, but low is {self.low:g}"
                f" and high {self.highest:g}"
            )
        if self.seconds < self.window:
            raise SettingError(f"seconds must be at least window, {self.window} s, but is {self.seconds}")

    @property
    def highest(self) -> float:
        """Where the highest band ends, in hertz."""
        return self.high or self.rate / 2


@dataclass(frozen=True)
class MelShape:
    """The same in samples, as the computation takes it."""

    rate: int
    """Hertz."""

    hop: int
    """Samples from one frame to the next."""

    window: int
    """Samples of a frame."""

    transform: int
    """Samples of the Fourier transform."""

    bands: int
    low: float
    """Hertz."""

    high: float
    """Hertz."""

    @classmethod
    def of(cls, options: MelOptions) -> MelShape:
        """As the options say. SettingError for more bands than frequencies can be told apart."""
        window = round(options.window * options.rate)
        shape = cls(
            rate=options.rate,
            hop=round(options.hop * options.rate),
            window=window,
            transform=1 << math.ceil(math.log2(max(2, window))),
            bands=options.bands,
            low=float(options.low),
            high=float(options.highest),
        )
        while not shape.has_no_empty_band():
            if shape.transform >= _LONGEST_TRANSFORM:
                raise SettingError(
                    f"bands must be fewer between {shape.low:g} and {shape.high:g} Hz, but are {shape.bands}"
                )
            shape = replace(shape, transform=2 * shape.transform)
        return shape

    def has_no_empty_band(self) -> bool:
        """Whether at least one frequency of the transform lies within each band."""
        ends = 2595 * np.log10(1 + np.array([self.low, self.high]) / 700)
        corners = 700 * (10 ** (np.linspace(*ends, self.bands + 2) / 2595) - 1)
        step = self.rate / self.transform
        first_above = (np.floor(corners[:-2] / step) + 1) * step
        return bool((first_above < corners[2:]).all())

    def frames(self, samples: int | np.ndarray) -> int | np.ndarray:
        """Frames of so many samples."""
        return 1 + samples // self.hop

    def check(self, samples: np.ndarray) -> tuple[np.ndarray, int]:
        """Samples (n,) and their frames. AudioError when they are fewer than a window."""
        if len(samples) < self.window:
            raise AudioError(
                f"is too short: {len(samples)} samples at {self.rate} Hz, and a window of mel has {self.window}"
            )
        return samples, self.frames(len(samples))


class Mel(Extractor):
    """Makes one feature of log-mel frames, on the CPU."""

    loads_in_processes = True
    costs = {"128 bands, a frame each 0.01 s": 128 * 2 * 100 * 3600.0}

    def __init__(self, name: str, options: MelOptions, heard: Hearing) -> None:
        self.name = name
        self.hearing = heard
        self.shape = shape = MelShape.of(options)
        self.patch = options.patch
        self._power = audio.mel_spectrogram(**asdict(shape))
        fields = heard.spec_fields(options.rate, options.seconds, audio.AS_RECORDED)
        self.spec = FeatureSpec(
            modality="audio",
            encoder="torchaudio log-mel",
            encoder_class="MelSpectrogram",
            weights="",
            width=self.patch**2 or shape.bands,
            max_rows=int(self._rows(shape.frames(fields["max_samples"]))),
            kind="mel",
            unit="frame",
            options={
                "definition": _DEFINITION + (_OF_PATCHES if self.patch else ""),
                "hop": shape.hop,
                "window": shape.window,
                "transform": shape.transform,
                "low": shape.low,
                "high": shape.high,
                **({"patch": self.patch} if self.patch else {}),  # frames keep the fingerprints of long ago
            },
            **fields,
        )
        self.specs = {name: self.spec}

    @classmethod
    def load(cls, name: str, options: MelOptions, setup: Setup) -> Mel:
        heard = Hearing.of(options, setup)
        return cls(name or f"mel{heard.ending}", options, heard)

    def identities(self, material: Material) -> Mapping[str, np.ndarray]:
        return hearing.identities(material, self.specs)

    def expected_rows(self, material: Material) -> Mapping[str, np.ndarray]:
        samples = hearing.expected_samples(material, self.spec)
        return {self.name: np.where(samples > 0, self._rows(self.shape.frames(samples)), 0)}

    def job(self, material: Material, row: int) -> Job:
        return self.hearing.job(material, row, self.spec, self.shape.check)

    def encode(self, batch: Sequence[Loaded]) -> list[Mapping[str, torch.Tensor]]:
        # Spectrograms of a batch would save nothing: a segment has frames enough for every core.
        return [{self.name: self._spectrogram(torch.from_numpy(loaded.content))} for loaded in batch]

    def cut_rows(self, material: Material) -> np.ndarray:
        return hearing.cut_rows(material, self.spec)

    @torch.inference_mode()
    def _spectrogram(self, samples: torch.Tensor) -> torch.Tensor:
        """(n,) -> (T, d)"""
        values = self._power(samples).clamp(min=FLOOR).log()  # (bands, T)
        return patches_of(values, self.patch) if self.patch else values.T

    def _rows(self, frames: int | np.ndarray) -> int | np.ndarray:
        """Rows of so many frames."""
        return -(-frames // self.patch) * (self.shape.bands // self.patch) if self.patch else frames


def patches_of(values: torch.Tensor, patch: int) -> torch.Tensor:
    """(bands, T) -> (squares, patch²), in time and within it from low to high; the last are filled with the least."""
    bands, frames = values.shape
    whole = functional.pad(values, (0, -frames % patch), value=math.log(FLOOR))
    squares = whole.view(bands // patch, patch, -1, patch)  # of bands, of frames
    return squares.permute(2, 0, 1, 3).reshape(-1, patch**2)
