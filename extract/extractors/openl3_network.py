"""OpenL3's front end and network, as its published checkpoints have them: 4,687,042 parameters.

A window is a second of sound at 48,000 hertz. Its picture is a spectrogram in decibels below the window's own maximum:

- linear: |X| of frames of 512 samples, 242 apart, none reaching over an end: 257 x 197.
- mel128 and mel256: the root of mel bands of |X|², frames of 2,048 samples, 242 apart, 1,686 zeros shared between both
  ends: 128 or 256 x 199. The bands are those that the checkpoint holds; without any, triangles of equal area on HTK's
  mel scale.

Both are 10 · log10 of the value, at least 1e-10, less the window's greatest, and at least -80.

Letters in shapes: B windows, H and W height and width of a picture, frequency upwards and time, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

RATE = 48_000  # hertz
WINDOW = RATE  # samples
WIDTHS = (6144, 512)
HOP_OF_FRAMES = 242  # samples
NORM_EPSILON = 1e-3
_FLOOR, _LOWEST_DECIBELS = 1e-10, -80.0
_CHANNELS = (1, 64, 64, 128, 128, 256, 256, 512, 512)  # into the first convolution, and out of each of the eight
POOLED_AFTER = (2, 4, 6)  # convolutions, counted from 1
EMBEDDING = "audio_embedding_layer"
MEL_BASIS = "speclayer.mel_basis"
_KERNELS = ("speclayer.dft_real_kernels", "speclayer.dft_imag_kernels")


@dataclass(frozen=True)
class Representation:
    """How a window becomes a picture."""

    transform: int
    """Samples of a frame, and of its Fourier transform."""

    bands: int
    """Mel bands; 0 for the frequencies themselves."""

    @property
    def frequencies(self) -> int:
        """Frequencies of the transform."""
        return self.transform // 2 + 1

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros before and after a window."""
        both = max(0, self.transform - WINDOW % HOP_OF_FRAMES) if self.bands else 0
        return both // 2, both - both // 2

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of a picture."""
        frames = 1 + (WINDOW + sum(self.padding) - self.transform) // HOP_OF_FRAMES
        return self.bands or self.frequencies, frames

    def pool_of(self, width: int) -> tuple[int, int]:
        """The last maximum, of height and width, of which ``width`` values are left."""
        height, frames = (each // 8 for each in self.size)
        return (height, frames) if width == 512 else (height // 4, frames // 3)


REPRESENTATIONS = {
    "linear": Representation(512, 0),
    "mel128": Representation(2048, 128),
    "mel256": Representation(2048, 256),
}


class Pictures(nn.Module):
    """What makes windows (B, 48,000) pictures (B, H, W)."""

    def __init__(self, shape: Representation, mel_basis: Tensor | None = None) -> None:
        """``mel_basis`` (bands, frequencies) is the checkpoint's own, if it has one."""
        super().__init__()
        self.shape = shape
        self.register_buffer("hann", torch.hann_window(shape.transform))
        if shape.bands:
            basis = htk_bands(shape) if mel_basis is None else mel_basis.float()
            self.register_buffer("mel_basis", basis)

    def forward(self, windows: Tensor) -> Tensor:
        shape = self.shape
        padded = functional.pad(windows, shape.padding)
        spectra = torch.stft(
            padded, shape.transform, HOP_OF_FRAMES, window=self.hann, center=False, return_complex=True
        )  # (B, frequencies, W)
        power = spectra.real.square() + spectra.imag.square()
        return decibels((self.mel_basis @ power if shape.bands else power).sqrt())


def decibels(values: Tensor) -> Tensor:
    """(B, H, W) magnitudes -> decibels below each window's greatest, at least -80."""
    levels = 10 * values.clamp(min=_FLOOR).log10()
    return (levels - levels.amax(dim=(1, 2), keepdim=True)).clamp(min=_LOWEST_DECIBELS)


def htk_bands(shape: Representation) -> Tensor:
    """(bands, frequencies) triangles of equal area, evenly spaced on HTK's mel scale from 0 to 24,000 hertz."""
    mels = torch.linspace(0, 2595 * torch.log10(torch.tensor(1 + RATE / 2 / 700, dtype=torch.float64)), shape.bands + 2)
    corners = 700 * (10 ** (mels.double() / 2595) - 1)
    hertz = torch.linspace(0, RATE / 2, shape.frequencies, dtype=torch.float64)
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    triangles = torch.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)).clamp(min=0)
    return (triangles * 2 / (high - low)).float()


class OpenL3(nn.Module):
    """The network by its definition: pictures (B, H, W) -> (B, 6144 or 512) values. Its names are the checkpoints'."""

    def __init__(self, shape: Representation, width: int) -> None:
        super().__init__()
        self.pool = shape.pool_of(width)
        for number, channels in enumerate(_CHANNELS[:-1], 1):
            setattr(self, f"batch_normalization_{number}", nn.BatchNorm2d(channels, eps=NORM_EPSILON))
            name = f"conv2d_{number}" if number < 8 else EMBEDDING
            setattr(self, name, nn.Conv2d(channels, _CHANNELS[number], 3, padding=1))

    @property
    def convolutions(self) -> list[nn.Conv2d]:
        """All eight, in the order in which they are met."""
        return [*(getattr(self, f"conv2d_{number}") for number in range(1, 8)), getattr(self, EMBEDDING)]

    @property
    def norms(self) -> list[nn.BatchNorm2d]:
        """All eight: the picture's, and those behind the first seven convolutions."""
        return [getattr(self, f"batch_normalization_{number}") for number in range(1, 9)]

    def forward(self, pictures: Tensor) -> Tensor:
        values = self.norms[0](pictures[:, None])  # (B, 1, H, W)
        for number, convolution in enumerate(self.convolutions, 1):
            values = convolution(values)
            if number < 8:
                values = functional.relu(self.norms[number](values))
            if number in POOLED_AFTER:
                values = functional.max_pool2d(values, 2)
        values = functional.max_pool2d(values, self.pool)  # (B, 512, 4, 3) or (B, 512, 1, 1)
        return values.permute(0, 2, 3, 1).flatten(1)  # channels last


def representations_of(tensors: Mapping[str, Tensor]) -> list[str]:
    """The representations that a checkpoint's front end may be of: all of them where it holds none."""
    kernels, basis = tensors.get(_KERNELS[0]), tensors.get(MEL_BASIS)
    return [
        name
        for name, shape in REPRESENTATIONS.items()
        if (kernels is None or kernels.shape[-1] == shape.transform)
        and (basis is None or tuple(basis.shape) == (shape.bands, shape.frequencies))
    ]


def has_other_kernels(tensors: Mapping[str, Tensor], shape: Representation) -> bool:
    """Whether a checkpoint's front end takes another transform than that of frames under a periodic Hann window."""
    phases = torch.arange(shape.frequencies)[:, None] * torch.arange(shape.transform) * (2 * torch.pi / shape.transform)
    hann = torch.hann_window(shape.transform)
    for name, kernels in zip(_KERNELS, (phases.cos() * hann, -phases.sin() * hann), strict=True):
        held = tensors.get(name)
        if held is not None and (
            held.numel() != kernels.numel() or (held.view_as(kernels) - kernels).abs().max() > 1e-2
        ):
            return True
    return False
