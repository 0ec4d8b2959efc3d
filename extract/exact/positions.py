"""The convolutions that tell frames their positions, without computing the padding behind a segment.

Letters in shapes: T frames, d width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Positions:
    """Grouped convolutions over frames, one (HuBERT, wav2vec2, WavLM, UniSpeech) or a stack (data2vec).

    The padded computation has zeros behind a segment when the first convolution sees it, which are those that a
    convolution pads with itself. A second one would see there what the first has made of them: so a stack is given as
    many zeros behind the segment as it can see, as far as there are any before the end of the longest input.
    """

    def __init__(self, module: nn.Module, padded_frames: int, dtype: torch.dtype) -> None:
        """``padded_frames`` are those of the longest input. Raises ValueError for a structure not known here."""
        if getattr(module, "batch_norm", None) is not None:
            raise ValueError("unknown positions")
        stack = getattr(module, "layers", None)
        convolutions = [module.conv] if stack is None else [layer.conv for layer in stack]
        norms = [None] if stack is None else [layer.layer_norm for layer in stack]
        self.steps = [_Step(*step, dtype) for step in zip(convolutions, norms, strict=True)]
        self.padded_frames = padded_frames
        self.sees = sum(step.padding for step in self.steps) if len(self.steps) > 1 else 0

    def __call__(self, rows: Tensor) -> Tensor:
        """(T, d) float32 -> (T, d) float32."""
        length = len(rows)
        behind = min(self.sees, max(0, self.padded_frames - length))
        hidden = functional.pad(rows, (0, 0, 0, behind))
        for step in self.steps:
            hidden = step(hidden)
        return hidden[:length].float()


class _Step:
    """One convolution, a norm without parameters where there is one, and the activation."""

    def __init__(self, conv: nn.Conv1d, norm: nn.LayerNorm | None, dtype: torch.dtype) -> None:
        if norm is not None and norm.elementwise_affine:
            raise ValueError("unknown norms of positions")
        self.weight = conv.weight.detach()[:, :, None, :].to(dtype).contiguous(memory_format=torch.channels_last)
        self.bias = conv.bias.detach().to(dtype)
        self.groups, self.padding = conv.groups, conv.padding[0]
        self.norm = norm

    def __call__(self, rows: Tensor) -> Tensor:
        length, width = rows.shape
        image = rows.to(self.weight.dtype).view(1, 1, length, width).permute(0, 3, 1, 2)
        out = functional.conv2d(image, self.weight, self.bias, padding=(0, self.padding), groups=self.groups)
        out = out[0, :, 0, :length]  # (d, T); an even kernel makes one frame too many, which the models drop
        if self.norm is None:
            return functional.gelu(out).T
        return functional.gelu(functional.layer_norm(out.T.float(), (width,), eps=self.norm.eps))
