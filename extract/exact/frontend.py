"""The convolutional front end of HuBERT-like encoders, computed without its padding.

A segment's features are defined by the computation on samples padded with zeros to the longest
input. The result for the valid frames can be had without the padding:

* A valid frame's receptive field lies within the segment, so convolutions need no sample past it.
* A layer norm treats each frame alone.
* A group norm (one group per channel) takes mean and variance over all frames of the padded input.
  It follows the first convolution. With w its kernel, x_t the window of samples at frame t, and T
  the frames of the padded input, a channel's mean is w·m and its variance wᵀRw - (w·m)², where
  m = Σ x_t / T and R = Σ x_t x_tᵀ / T. Windows in the padding add nothing to either sum, windows
  that straddle the segment's end are counted with their zeros, and a bias shifts the mean alone,
  which the norm takes away again. R is 10 × 10, so the statistics cost next to nothing, and the norm
  folds into the convolution's kernel and bias.

Letters in shapes: S samples, T frames, c channels, k kernel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from . import kernels


class FrontEnd:
    """Convolutions, norms and activations from samples to frames, one segment at a time."""

    def __init__(self, extractor: nn.Module, config, max_samples: int, dtype: torch.dtype) -> None:
        """``extractor`` is the encoder's ``feature_extractor``. Raises ValueError for a structure not known here."""
        if config.feat_extract_activation != "gelu":
            raise ValueError("unknown activation")
        self.strides = list(config.conv_stride)
        self.kernel_sizes = list(config.conv_kernel)
        self.dtype = dtype
        layers = list(extractor.conv_layers)
        first = layers[0].conv
        if first.in_channels != 1 or any(layer.conv.padding != (0,) or layer.conv.groups != 1 for layer in layers):
            raise ValueError("unknown convolutions")
        self.first = first.weight.detach()[:, 0, :].float()  # (c, k)
        self.first_bias = None if first.bias is None else first.bias.detach().float()
        self.weights, self.biases = [], []
        for layer in layers[1:]:
            weight = layer.conv.weight.detach()[:, :, None, :]  # (o, c, 1, k)
            self.weights.append(weight.to(dtype).contiguous(memory_format=torch.channels_last))
            self.biases.append(None if layer.conv.bias is None else layer.conv.bias.detach().to(dtype))
        self.norms = [layer.layer_norm for layer in layers if getattr(layer, "layer_norm", None) is not None]
        kinds = [type(norm) for norm in self.norms]
        self.is_group = kinds == [nn.GroupNorm]
        if not self.is_group and kinds != [nn.LayerNorm] * len(layers):
            raise ValueError("unknown norms")
        if self.is_group and self.norms[0].num_groups != self.norms[0].num_channels:
            raise ValueError("unknown groups")
        self.padded_frames = (max_samples - self.kernel_sizes[0]) // self.strides[0] + 1

    def __call__(self, samples: Tensor, frames: int) -> Tensor:
        """(S,) float32 samples -> (T, c), T = ``frames`` valid frames."""
        needed = self._needed(frames)
        if self.is_group:
            hidden = self._first_group(samples, needed[0])
        else:
            hidden = kernels.linear(self._windows(samples, needed[0]), self.first, self.first_bias)
            hidden = self._normed(hidden, 0)
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True), start=1):
            # (T, c) -> (T', c); the last rows that a later layer does not need are never computed
            reach = (needed[index] - 1) * self.strides[index] + self.kernel_sizes[index]
            hidden = kernels.convolve(hidden[:reach], weight, bias, self.strides[index], gelu=self.is_group)
            if not self.is_group:
                hidden = self._normed(hidden, index)
        return hidden

    def _needed(self, frames: int) -> list[int]:
        """Frames that each layer must make so that the last makes ``frames``."""
        needed = [frames]
        for kernel, stride in zip(self.kernel_sizes[:0:-1], self.strides[:0:-1], strict=True):
            needed.insert(0, (needed[0] - 1) * stride + kernel)
        return needed

    def _windows(self, samples: Tensor, count: int) -> Tensor:
        """(count, k): what the first convolution sees at each frame, zeros past the segment's end."""
        kernel, stride = self.kernel_sizes[0], self.strides[0]
        missing = (count - 1) * stride + kernel - len(samples)
        if missing > 0:
            samples = functional.pad(samples, (0, missing))
        return samples.as_strided((count, kernel), (stride, 1)).contiguous()

    def _first_group(self, samples: Tensor, needed: int) -> Tensor:
        norm = self.norms[0]
        touching = min(self.padded_frames, -(-len(samples) // self.strides[0]))  # windows that see a sample
        windows = self._windows(samples, touching)
        # Sums in float64: the variance is a difference of two of them.
        exact = windows.double()
        mean_window = exact.sum(0) / self.padded_frames  # (k,)
        products = exact.T @ exact / self.padded_frames  # (k, k)
        kernel = self.first.double()
        mean = kernel @ mean_window  # (c,)
        variance = ((kernel @ products) * kernel).sum(1) - mean**2
        scale = norm.weight.double() * torch.rsqrt(variance.clamp_min(0) + norm.eps)
        weight = (kernel * scale[:, None]).float()
        bias = (norm.bias.double() - mean * scale).float()
        return kernels.linear(windows[:needed].to(self.dtype), weight.to(self.dtype), bias.to(self.dtype), gelu=True)

    def _normed(self, hidden: Tensor, index: int) -> Tensor:
        norm = self.norms[index]
        hidden = functional.layer_norm(hidden.float(), norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        return functional.gelu(hidden).to(self.dtype)
