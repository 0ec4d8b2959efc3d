"""The valid rows of a segment, computed without computing any padding.

``valid_frames`` and ``valid_tokens`` take a model apart into what frontend.py, positions.py and
transformer.py know. A model whose structure they do not know, or for which a trial shows other numbers
in any of the hidden states asked for than the padded computation gives, is left to that computation.

Letters in shapes: S samples, T frames or tokens, d width.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.nn import functional

from . import kernels
from .frontend import FrontEnd
from .positions import Positions
from .transformer import LAST, Transformer, transformer_of

Hidden = dict[int, Tensor]  # hidden states by layer, or LAST, each (T, d)

_TRIAL_SECONDS = (1.3, 3.0)  # of samples, and of the longest input they are padded to
_TRIAL_TOLERANCE = 1e-3  # of a value, and a tenth of it of a value's size: some models' layers reach thousands


def hidden_of(output, layers: Sequence[int]) -> Hidden:
    """The hidden states of the first of a batch, as a model of transformers returns them."""
    return {layer: (output.last_hidden_state if layer == LAST else output.hidden_states[layer])[0] for layer in layers}


def asks_inside(layers: Sequence[int]) -> bool:
    """Whether a model must return more than its last hidden state."""
    return any(layer != LAST for layer in layers)


class ValidFrames:
    """The valid frames of HuBERT-like encoders."""

    def __init__(self, model: nn.Module, max_samples: int, dtype: torch.dtype, layers: Sequence[int]) -> None:
        """Raises ValueError when the model's structure is not known."""
        self.model, self.dtype, self.layers = model, dtype, tuple(layers)
        if getattr(model, "adapter", None) is not None:
            raise ValueError("unknown adapter")
        self.front_end = FrontEnd(model.feature_extractor, model.config, max_samples, dtype)
        projection = model.feature_projection
        self.input_norm = getattr(projection, "layer_norm", None)
        self.projection = projection.projection.weight.detach().to(dtype)
        self.projection_bias = projection.projection.bias.detach().to(dtype)
        try:
            self.transformer: Transformer | None = transformer_of(model, dtype)
            padded_frames = int(model._get_feat_extract_output_lengths(max_samples))
            self.positions = Positions(model.encoder.pos_conv_embed, padded_frames, dtype)
        except (ValueError, AttributeError):
            # Another attention, say: its own module runs, on valid frames all the same.
            self.transformer = None

    def __call__(self, batch: Sequence[Tensor], frames: Sequence[int]) -> list[Hidden]:
        """B times (S,) float32 samples -> B times (T, d) float32 by layer."""
        hidden = [self._projected(self.front_end(samples, count)) for samples, count in zip(batch, frames, strict=True)]
        if self.transformer is None:
            return [self._by_its_own_module(rows) for rows in hidden]
        rows = torch.cat([segment + self.positions(segment) for segment in hidden])
        if not self.transformer.norm_first:
            norm = self.model.encoder.layer_norm
            rows = functional.layer_norm(rows, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        return _apart(self.transformer(rows, frames, self.layers), frames)

    def _by_its_own_module(self, rows: Tensor) -> Hidden:
        encoder, kept = self.model.encoder, {}

        def keep(layer: int, rows: Tensor) -> None:
            if layer in self.layers:
                kept[layer] = rows[0].float()

        with ExitStack() as hooks, torch.autocast(rows.device.type, self.dtype, enabled=self.dtype != torch.float32):
            if asks_inside(self.layers):
                first = encoder.layers[0].register_forward_pre_hook(lambda module, given: keep(0, given[0]))
                hooks.callback(first.remove)
                for number, layer in enumerate(encoder.layers, start=1):
                    hook = layer.register_forward_hook(
                        lambda module, given, made, number=number: keep(
                            number, made if torch.is_tensor(made) else made[0]
                        )
                    )
                    hooks.callback(hook.remove)
            keep(LAST, encoder(rows[None]).last_hidden_state)
        return kept

    def _projected(self, rows: Tensor) -> Tensor:
        norm = self.input_norm
        if norm is not None:
            rows = functional.layer_norm(rows.float(), norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        return kernels.linear(rows.to(self.dtype), self.projection, self.projection_bias).float()


def valid_frames(
    model: nn.Module, sample_rate: int, max_samples: int, dtype: torch.dtype, layers: Sequence[int]
) -> ValidFrames | None:
    """The computation without padding, or None when it cannot be shown to give the padded one's numbers."""
    try:
        used, longest = (round(seconds * sample_rate) for seconds in _TRIAL_SECONDS)
        trial = ValidFrames(model, longest, torch.float32, layers)
        device = next(model.parameters()).device
        samples = torch.randn(used, generator=torch.Generator().manual_seed(0)).to(device)
        frames = int(model._get_feat_extract_output_lengths(used))
        mask = torch.zeros(1, longest, dtype=torch.long, device=device)
        mask[0, :used] = 1
        with torch.inference_mode():
            padded = functional.pad(samples, (0, longest - used))[None]
            output = model(padded, attention_mask=mask, output_hidden_states=asks_inside(layers))
            defined = {layer: rows[:frames] for layer, rows in hidden_of(output, layers).items()}
            is_proved = _agree(trial([samples], [frames])[0], defined)
        return ValidFrames(model, max_samples, dtype, layers) if is_proved else None
    except (ValueError, AttributeError):
        return None


class ValidTokens:
    """The valid tokens of BERT-like encoders."""

    def __init__(self, model: nn.Module, dtype: torch.dtype, layers: Sequence[int]) -> None:
        """Raises ValueError when the model's structure is not known."""
        self.embeddings, self.layers = model.embeddings, tuple(layers)
        self.transformer = transformer_of(model, dtype)

    def __call__(self, batch: Sequence[Tensor]) -> list[Hidden]:
        """B times (T,) token ids -> B times (T, d) float32 by layer."""
        lengths = [len(tokens) for tokens in batch]
        rows = torch.cat([self.embeddings(input_ids=tokens[None])[0] for tokens in batch])
        return _apart(self.transformer(rows, lengths, self.layers), lengths)


def valid_tokens(model: nn.Module, dtype: torch.dtype, layers: Sequence[int]) -> ValidTokens | None:
    """The fast computation, or None when it cannot be shown to give the model's own numbers."""
    try:
        trial = ValidTokens(model, torch.float32, layers)
        device = next(model.parameters()).device
        ids = torch.arange(7, device=device) % model.config.vocab_size + 0
        ids = torch.where(ids == model.config.pad_token_id, 1 + ids, ids)
        with torch.inference_mode():
            mask = torch.ones_like(ids)[None]
            output = model(input_ids=ids[None], attention_mask=mask, output_hidden_states=asks_inside(layers))
            is_proved = _agree(trial([ids])[0], hidden_of(output, layers))
        return ValidTokens(model, dtype, layers) if is_proved else None
    except (ValueError, AttributeError):
        return None


def _agree(made: Hidden, defined: Hidden) -> bool:
    """Whether every hidden state is what it is defined to be."""
    return made.keys() == defined.keys() and all(
        made[layer].shape == rows.shape
        and torch.allclose(made[layer], rows, atol=_TRIAL_TOLERANCE, rtol=_TRIAL_TOLERANCE / 10)
        for layer, rows in defined.items()
    )


def _apart(hidden: Hidden, lengths: Sequence[int]) -> list[Hidden]:
    """The hidden states of all segments, (N, d) each, segment by segment."""
    parts = {layer: rows.split(list(lengths)) for layer, rows in hidden.items()}
    return [{layer: rows[number] for layer, rows in parts.items()} for number in range(len(lengths))]
