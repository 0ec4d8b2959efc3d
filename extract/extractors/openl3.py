"""The feature ``openl3``: embeddings of OpenL3, of a published checkpoint, a window of a second every ``hop`` seconds.

The definition, for samples (n,) at 48,000 hertz and at the recording's own level:

- Half a second of zeros is put in front, so that window t has its middle at t · hop; zeros at the end fill the last
  window. L = n + 24,000 samples make T = 1 + ceil((L - 48,000) / hop) windows, at least one, with hop in whole samples.
- Each window becomes a picture, and each picture a row of 6,144 or 512 values, as openl3_network.py says. Windows are
  computed alone: the picture is relative to the window's own maximum.
- With ``pool: mean`` the feature is the mean of the rows, one vector.

On a CPU it is computed as openl3_quick.py says, on a GPU by the definition in float32, many windows at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...errors import EncoderError, SettingError, shown
from ...features.spec import FeatureSpec
from ...values import check_most
from ..sound import audio
from . import hearing
from .checkpoints import check_sizes, digest_of, read_tensors
from .contract import Extractor, Job, Loaded, Material, Setup
from .hearing import Content, Hearing, HearingOptions
from .loading import in_halves
from .openl3_network import (
    MEL_BASIS,
    RATE,
    REPRESENTATIONS,
    WIDTHS,
    WINDOW,
    OpenL3,
    Pictures,
    has_other_kernels,
    representations_of,
)
from .openl3_quick import QuickOpenL3

SOURCE = "the published ones are torchopenl3's assets, called such as torchopenl3_mel256_music_6144.pth.tar"
CHOICES = {
    "representation": tuple(REPRESENTATIONS),
    "content": ("music", "env"),
    "width": WIDTHS,
    "pool": ("mean", "none"),
}
_GPU_WINDOWS = 128
_DEFINITION = "0.5 s of zeros in front, windows of 1 s, HTK mel, decibels below each window's maximum, at least -80"


@dataclass(frozen=True)
class Openl3Options(HearingOptions):
    """Options of OpenL3's embeddings."""

    weights: str = ""
    """File of a published checkpoint, as torchopenl3 has them (.pth.tar), or the same tensors as safetensors."""

    representation: str = "mel256"
    """What the checkpoint sees: linear, mel128 or mel256."""

    content: str = "music"
    """What the checkpoint was trained on: music or env; said in the feature's spec."""

    width: int = 6144
    """Values of a window: 6144 or 512."""

    hop: float = 0.1
    """Seconds from one window of a second to the next."""

    pool: str = "mean"
    """What is kept of the windows: mean makes one vector of them, none keeps each."""

    rate: int = RATE
    """Rate in hertz that the audio is resampled to: 48000, OpenL3 knows no other."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rate:
            object.__setattr__(self, "rate", RATE)
        if self.rate != RATE:
            raise SettingError(
                f"rate must be {RATE} for OpenL3, the only one that it knows, but is {self.rate}; give the feature"
                f" rate={RATE} where --sample-rate is meant for others"
            )
        check_most(self, {"hop": 10.0})
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                allowed = f"{', '.join(map(str, choices[:-1]))} or {choices[-1]}"
                raise SettingError(f"{name} must be {allowed}, but is {shown(getattr(self, name))}")
        if not self.hop * RATE >= 1:
            raise SettingError(f"hop must be at least a sample, 1/{RATE} s, but is {self.hop}")


class Openl3(Extractor):
    """Makes one feature of OpenL3's embeddings."""

    loads_in_processes = True
    costs = {
        "one vector of 6,144 for segments of 10 s": 6144 * 2 * 360.0,
        "6,144 values each 0.1 s": 6144 * 2 * 10 * 3600.0,
    }

    def __init__(self, name: str, options: Openl3Options, heard: Hearing, device: torch.device) -> None:
        self.name, self.hearing, self.device = name, heard, device
        self.hop = int(options.hop * RATE + 1e-6)
        self.is_pooled = options.pool == "mean"
        shape = REPRESENTATIONS[options.representation]
        tensors = read_tensors(options.weights, SOURCE)
        self.network = network_of(options, tensors).to(device)
        self.pictures = Pictures(shape, tensors.get(MEL_BASIS) if shape.bands else None).to(device)
        self.is_on_gpu = self.batches_matter = device.type != "cpu"
        self.batch_rows = _GPU_WINDOWS if self.is_on_gpu else 1
        self._quick = None if self.is_on_gpu else QuickOpenL3(self.pictures, self.network)
        fields = heard.spec_fields(RATE, options.seconds, audio.AS_RECORDED)
        decisive = {name: each for name, each in self.network.state_dict().items() if "num_batches" not in name}
        bands = {MEL_BASIS: self.pictures.mel_basis} if shape.bands else {}
        self.spec = FeatureSpec(
            modality="audio",
            encoder=options.weights,
            encoder_class="OpenL3",
            weights=digest_of(decisive | bands),
            width=options.width,
            max_rows=1 if self.is_pooled else windows_of(fields["max_samples"], self.hop),
            kind="openl3",
            unit="vector" if self.is_pooled else "frame",
            options={
                "definition": _DEFINITION,
                "representation": options.representation,
                "content": options.content,
                "hop": self.hop,
                "pool": options.pool,
            },
            **fields,
        )
        self.specs = {name: self.spec}

    @classmethod
    def load(cls, name: str, options: Openl3Options, setup: Setup) -> Openl3:
        heard = Hearing.of(options, setup)
        return cls(name or f"openl3{heard.ending}", options, heard, setup.device)

    def identities(self, material: Material) -> Mapping[str, np.ndarray]:
        return hearing.identities(material, self.specs)

    def expected_rows(self, material: Material) -> Mapping[str, np.ndarray]:
        samples = hearing.expected_samples(material, self.spec)
        rows = 1 if self.is_pooled else np.array([windows_of(int(count), self.hop) for count in samples], int)
        return {self.name: np.where(samples > 0, rows, 0)}

    def job(self, material: Material, row: int) -> Job:
        return self.hearing.job(material, row, self.spec, partial(_prepared, self.hop))

    @torch.inference_mode()
    def encode(self, batch: Sequence[Loaded]) -> list[Mapping[str, Tensor]]:
        if self._quick:
            return [self._pooled(self._quick(self._windows(loaded))) for loaded in batch]
        return in_halves(self._together, list(batch))

    @torch.inference_mode()
    def define(self, loaded: Loaded) -> Mapping[str, Tensor]:
        return self._pooled(self._rows(self._windows(loaded), at_once=1))

    def cut_rows(self, material: Material) -> np.ndarray:
        return hearing.cut_rows(material, self.spec)

    def _windows(self, loaded: Loaded) -> Tensor:
        """(T, 48,000), a view of the padded samples."""
        return windowed(torch.from_numpy(loaded.content).to(self.device), self.hop)

    def _rows(self, windows: Tensor, at_once: int) -> Tensor:
        """(T, 48,000) -> (T, d), by the definition"""
        return torch.cat([self.network(self.pictures(some)) for some in windows.split(at_once)])

    def _pooled(self, rows: Tensor) -> dict[str, Tensor]:
        """(T, d) -> by name (T, d), or (1, d) where their mean is taken"""
        return {self.name: rows.mean(dim=0, keepdim=True) if self.is_pooled else rows}

    def _together(self, batch: list[Loaded]) -> list[Mapping[str, Tensor]]:
        each = [self._windows(loaded) for loaded in batch]
        rows = self._rows(torch.cat(each), _GPU_WINDOWS)
        return [self._pooled(one) for one in rows.split([len(windows) for windows in each])]


def windows_of(samples: int, hop: int) -> int:
    """Windows (T) of so many samples."""
    return 1 + max(0, -(-(samples + WINDOW // 2 - WINDOW) // hop))


def windowed(samples: Tensor, hop: int) -> Tensor:
    """(n,) -> (T, 48,000), with half a window of zeros in front and as many as it takes behind."""
    count = windows_of(len(samples), hop)
    whole = WINDOW + (count - 1) * hop
    return functional.pad(samples, (WINDOW // 2, whole - WINDOW // 2 - len(samples))).unfold(0, WINDOW, hop)


def _prepared(hop: int, samples: np.ndarray) -> Content:
    """Samples (n,), and the windows that they cost."""
    return samples, windows_of(len(samples), hop)


def network_of(options: Openl3Options, tensors: Mapping[str, Tensor]) -> OpenL3:
    """The network with a checkpoint's values. EncoderError for one of other sizes, or of another representation."""
    shape = REPRESENTATIONS[options.representation]
    network = OpenL3(shape, options.width).eval()
    names = {name: each.shape for name, each in network.state_dict().items() if "num_batches" not in name}
    check_sizes(options.weights, tensors, names, "a checkpoint of OpenL3")
    held = representations_of(tensors)
    if options.representation not in held:
        seems = f"seems to be {' or '.join(held)}: give representation={held[0]}" if held else "is none of OpenL3's"
        raise EncoderError(
            f"{options.weights}: its front end is not that of {options.representation}, and {seems} (width is not held"
            f" by the file: {options.width} is what was asked for)"
        )
    if has_other_kernels(tensors, shape):
        raise EncoderError(
            f"{options.weights}: its front end has another transform than OpenL3's, a Fourier transform under a Hann"
            " window; take the published file"
        )
    network.load_state_dict({name: tensors[name] for name in names}, strict=False)
    return network
