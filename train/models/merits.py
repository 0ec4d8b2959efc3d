"""What the stages of MERITS-L share: the modalities, vectors of utterances, and the context of a dialogue.

S. Dutta, S. Ganapathy, *LLM supervised Pre-training for Multimodal Emotion Recognition in Conversations*, ICASSP 2025.
The paper gives no sizes; those here are of CARE's published head and of the authors' later code. docs/systems/merits-l.md
says what the paper says, how it is read here, and which switch changes that.

Letters: S segments of all recordings together, N rows of all segments together, d values per row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

from ...errors import SettingError
from ..config import NetworkSettings
from ..linear import Linear
from ..rows import Layout, Rows
from .contract import Slot, SlotInput
from .layers import MeanPooling, SelfAttention

TEXT, AUDIO = "text", "audio"


def slots_of(settings: NetworkSettings) -> tuple[Slot, ...]:
    """Text, audio, or both, as vectors or what is averaged to one."""
    both = (
        Slot(TEXT, ("vector", "token"), (TEXT,), may_be_empty=True),
        Slot(AUDIO, ("vector", "frame"), (AUDIO,), may_be_empty=True),
    )
    return tuple(slot for slot in both if settings.modalities in ("auto", "both", slot.name))


def check_hears_one(settings: NetworkSettings) -> None:
    """Raises SettingError for both modalities where a network hears one; ``auto`` becomes both where both are there."""
    if settings.modalities == "both":
        raise SettingError(
            f"{settings.network} hears one modality, but text and audio would both be filled: choose modalities text or"
            f" modalities audio (--modalities)"
        )


def check_is_one(name: str, inputs: Mapping[str, SlotInput]) -> None:
    """Raises SettingError where text is filled beside audio, which any slot of another name is."""
    if TEXT in inputs and len(inputs) > 1:
        others = ", ".join(each for each in inputs if each != TEXT)
        raise SettingError(f"{name} hears one modality, but text is filled beside {others}: leave one of them out")


def mean_rows(slots: Mapping[str, Rows], names: Sequence[str]) -> Tensor:
    """(S, k·d) the mean of each segment's rows, slots side by side."""
    pooling = MeanPooling()
    rows = [slots[name] for name in names]
    return torch.cat([pooling(each.values, Layout(each.lengths, each.values.device)) for each in rows], dim=1).float()


def of_recordings(vectors: Tensor, segments: Sequence[int]) -> Tensor:
    """(S, d) -> (R, d) the mean of each recording's segments."""
    return torch.stack([each.mean(dim=0) for each in vectors.split(list(segments))])


def without_autocast(slots: Mapping[str, Rows]):
    """Recurrences and small heads are computed in float32: rounding errors gather, and there is little to save."""
    return torch.autocast(next(iter(slots.values())).values.device.type, enabled=False)


class DialogueContext(nn.Module):
    """Stage II of one modality: a Bi-GRU over the dialogue, layer norm, self-attention with residual and norm."""

    def __init__(self, width: int, gru_layers: int, gru_width: int, heads: int, dropout: float) -> None:
        super().__init__()
        between = dropout if gru_layers > 1 else 0.0
        self.gru = nn.GRU(width, gru_width, gru_layers, batch_first=True, bidirectional=True, dropout=between)
        self.norm = nn.LayerNorm(2 * gru_width)
        self.attention = SelfAttention(2 * gru_width, heads, dropout)

    def forward(self, vectors: Tensor, segments: Sequence[int]) -> Tensor:
        """(S, d) -> (S, 2g); ``segments`` are how many each recording has, g values per direction of the GRU."""
        outputs, _ = self.gru(pack_sequence(vectors.split(list(segments)), enforce_sorted=False))
        read = self.norm(torch.cat(unpack_sequence(outputs)))
        return self.attention(read, Layout(tuple(segments), read.device))


def linear_heads(counts: Sequence[int], width: int) -> nn.ModuleList:
    """A linear layer for each task."""
    return nn.ModuleList(Linear(width, count) for count in counts)
