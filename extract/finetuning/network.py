"""An encoder with a head: what is trained. Only the encoder goes on; the head is kept beside it.

Letters in shapes: B examples of a batch, T tokens, S samples, F frames, d width of the encoder, C classes, or 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ...errors import SettingError
from ..extractors.speech import FrameCount

_SWITCHED_OFF = ("apply_spec_augment",)  # masks spans of the input, which short segments are shorter than


class Head(nn.Module):
    """From one vector of an example to its classes or its value, as sequence classifiers of RoBERTa have it."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(width, width)
        self.output = nn.Linear(width, outputs)
        for layer in (self.dense, self.output):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, d) -> (B, C)"""
        return self.output(self.dropout(torch.tanh(self.dense(self.dropout(vectors)))))


class Finetuned(nn.Module):
    """Encoder, head and loss. A text stands as its first token (CLS), a segment of audio as the mean of its frames."""

    def __init__(
        self, encoder: nn.Module, head: Head, class_weights: Tensor | None, label_smoothing: float, is_value: bool
    ) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.is_value, self.label_smoothing = is_value, label_smoothing
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.frames = FrameCount.of(encoder, 2**62) if hasattr(encoder, "feature_extractor") else None

    def forward(
        self,
        attention_mask: Tensor,
        labels: Tensor | None = None,
        input_ids: Tensor | None = None,
        input_values: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """(B, T) tokens or (B, S) samples, and their mask -> logits (B, C), and with labels (B,) the loss."""
        if self.frames is None:
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            vectors = hidden[:, 0]  # (B, T, d) -> (B, d)
        else:
            hidden = self.encoder(input_values, attention_mask=attention_mask).last_hidden_state  # (B, F, d)
            counts = torch.tensor([self.frames(int(n)) for n in attention_mask.sum(1)], device=hidden.device)
            is_valid = torch.arange(hidden.shape[1], device=hidden.device) < counts[:, None]  # (B, F)
            vectors = (hidden * is_valid[..., None]).sum(1) / counts[:, None]
        logits = self.head(vectors)
        if labels is None:
            return {"logits": logits}
        return {"loss": self._loss(logits.float(), labels), "logits": logits}

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.is_value:
            return nn.functional.mse_loss(logits[:, 0], labels.float())
        return nn.functional.cross_entropy(
            logits, labels.long(), weight=self.class_weights, label_smoothing=self.label_smoothing
        )


def freeze(encoder: nn.Module, lowest: int, source: str) -> None:
    """Leave the convolutions of a speech encoder as they are, and the ``lowest`` layers with what is below them.

    Raises SettingError for more layers than there are.
    """
    for name in ("feature_extractor", "pooler"):  # nothing reads what a pooler makes
        part = getattr(encoder, name, None)
        if part is not None:
            part.requires_grad_(False)
    if not lowest:
        return
    inside = getattr(encoder, "encoder", encoder)
    layers = getattr(inside, "layer", None) or getattr(inside, "layers", None)
    if layers is None:
        raise SettingError(f"{source}: is a {type(encoder).__name__}, whose layers are not known; use freeze_layers 0")
    if lowest > len(layers):
        raise SettingError(f"freeze_layers must be at most {len(layers)}, all that {source} has, but is {lowest}")
    for part in (*layers[:lowest], *(getattr(encoder, name, None) for name in ("embeddings", "feature_projection"))):
        if part is not None:
            part.requires_grad_(False)


@contextmanager
def for_training(encoder: nn.Module) -> Iterator[None]:
    """Without the encoder's own augmentation, of which its configuration says again what it did afterwards."""
    before = {name: getattr(encoder.config, name) for name in _SWITCHED_OFF if hasattr(encoder.config, name)}
    try:
        for name in before:
            setattr(encoder.config, name, False)
        yield
    finally:
        for name, value in before.items():
            setattr(encoder.config, name, value)


def balanced_weights(counts: list[int]) -> Tensor:
    """(C,) the inverse of how often each class occurs, 1 on average over the examples; 0 for one that never does."""
    total, occurring = sum(counts), sum(count > 0 for count in counts)
    return torch.tensor([total / (occurring * count) if count else 0.0 for count in counts])
