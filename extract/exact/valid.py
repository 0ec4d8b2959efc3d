"""The valid rows of a segment, computed without computing any padding.

``valid_frames`` and ``valid_tokens`` take a model apart into what frontend.py and transformer.py know.
A model whose structure they do not know, or for which a trial shows other numbers than the padded
computation gives, is left to that computation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from . import kernels
from .frontend import FrontEnd
from .transformer import Transformer, transformer_of

_TRIAL_SECONDS = (1.3, 3.0)  # of samples, and of the longest input they are padded to
_TRIAL_TOLERANCE = 1e-3


class ValidFrames:
    """The valid frames of HuBERT-like encoders."""

    def __init__(self, model: nn.Module, max_samples: int, dtype: torch.dtype) -> None:
        """Raises ValueError when the model's structure is not known."""
        self.model, self.dtype = model, dtype
        if getattr(model, "adapter", None) is not None:
            raise ValueError("unknown adapter")
        self.front_end = FrontEnd(model.feature_extractor, model.config, max_samples, dtype)
        projection = model.feature_projection
        self.input_norm = getattr(projection, "layer_norm", None)
        self.projection = projection.projection.weight.detach().to(dtype)
        self.projection_bias = projection.projection.bias.detach().to(dtype)
        try:
            self.transformer: Transformer | None = transformer_of(model, dtype)
            self.positions = _Positions(model.encoder.pos_conv_embed, dtype)
        except ValueError:
            # WavLM's attention, for one: its own module runs, on valid frames all the same.
            self.transformer = None

    def __call__(self, batch: Sequence[Tensor], frames: Sequence[int]) -> list[Tensor]:
        """B times (S,) float32 samples -> B times (T, d) float32."""
        hidden = [self._projected(self.front_end(samples, count)) for samples, count in zip(batch, frames, strict=True)]
        if self.transformer is None:
            with torch.autocast(hidden[0].device.type, self.dtype, enabled=self.dtype != torch.float32):
                return [self.model.encoder(rows[None]).last_hidden_state[0].float() for rows in hidden]
        rows = torch.cat([segment + self.positions(segment) for segment in hidden])
        if not self.transformer.norm_first:
            norm = self.model.encoder.layer_norm
            rows = functional.layer_norm(rows, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        return list(self.transformer(rows, frames).split(list(frames)))

    def _projected(self, rows: Tensor) -> Tensor:
        norm = self.input_norm
        if norm is not None:
            rows = functional.layer_norm(rows.float(), norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        return kernels.linear(rows.to(self.dtype), self.projection, self.projection_bias).float()


class _Positions:
    """The grouped convolution that tells frames their positions: (T, d) -> (T, d)."""

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        if getattr(module, "batch_norm", None) is not None or not hasattr(module, "conv"):
            raise ValueError("unknown positions")
        conv = module.conv
        self.weight = conv.weight.detach()[:, :, None, :].to(dtype).contiguous(memory_format=torch.channels_last)
        self.bias = conv.bias.detach().to(dtype)
        self.groups, self.padding = conv.groups, conv.padding[0]

    def __call__(self, rows: Tensor) -> Tensor:
        length, width = rows.shape
        image = rows.to(self.weight.dtype).view(1, 1, length, width).permute(0, 3, 1, 2)
        out = functional.conv2d(image, self.weight, self.bias, padding=(0, self.padding), groups=self.groups)
        # An even kernel makes one frame too many, which the models drop.
        return functional.gelu(out[0, :, 0, :length]).T.float()


def valid_frames(model: nn.Module, sample_rate: int, max_samples: int, dtype: torch.dtype) -> ValidFrames | None:
    """The computation without padding, or None when it cannot be shown to give the padded one's numbers."""
    try:
        used, longest = (round(seconds * sample_rate) for seconds in _TRIAL_SECONDS)
        trial = ValidFrames(model, longest, torch.float32)
        device = next(model.parameters()).device
        samples = torch.randn(used, generator=torch.Generator().manual_seed(0)).to(device)
        frames = int(model._get_feat_extract_output_lengths(used))
        mask = torch.zeros(1, longest, dtype=torch.long, device=device)
        mask[0, :used] = 1
        with torch.inference_mode():
            padded = functional.pad(samples, (0, longest - used))[None]
            defined = model(padded, attention_mask=mask).last_hidden_state[0, :frames]
            difference = (trial([samples], [frames])[0] - defined).abs().max()
        return ValidFrames(model, max_samples, dtype) if difference < _TRIAL_TOLERANCE else None
    except (ValueError, AttributeError):
        return None


class ValidTokens:
    """The valid tokens of BERT-like encoders."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        """Raises ValueError when the model's structure is not known."""
        self.embeddings = model.embeddings
        self.transformer = transformer_of(model, dtype)

    def __call__(self, batch: Sequence[Tensor]) -> list[Tensor]:
        """B times (T,) token ids -> B times (T, d) float32."""
        lengths = [len(tokens) for tokens in batch]
        rows = torch.cat([self.embeddings(input_ids=tokens[None])[0] for tokens in batch])
        return list(self.transformer(rows, lengths).split(lengths))


def valid_tokens(model: nn.Module, dtype: torch.dtype) -> ValidTokens | None:
    """The fast computation, or None when it cannot be shown to give the model's own numbers."""
    try:
        trial = ValidTokens(model, torch.float32)
        device = next(model.parameters()).device
        ids = torch.arange(7, device=device) % model.config.vocab_size + 0
        ids = torch.where(ids == model.config.pad_token_id, 1 + ids, ids)
        with torch.inference_mode():
            defined = model(input_ids=ids[None], attention_mask=torch.ones_like(ids)[None]).last_hidden_state[0]
            difference = (trial([ids])[0] - defined).abs().max()
        return ValidTokens(model, dtype) if difference < _TRIAL_TOLERANCE else None
    except (ValueError, AttributeError):
        return None
