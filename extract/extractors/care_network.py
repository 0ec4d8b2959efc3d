"""CARE's speech encoder, with the names of its authors' state dicts.

WavLM's convolutions and its first layers are shared. Behind them are two stacks of as many layers each: the acoustic
one, WavLM's further layers; and the semantic one, RoBERTa's, each between a convolution that makes a third of the
frames and its reverse, behind which frames that are lacking are zeros and further ones are cut off.

All sizes follow from the tensors' own. Strides are WavLM's, and RoBERTa's layers have as many heads as WavLM's, as in
the base sizes of both (12).

Letters in shapes: S samples, T frames, d width.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (5, 2, 2, 2, 2, 2, 2)  # of WavLM's convolutions
THIRD, KERNEL = 3, 5  # stride and kernel of the convolutions around RoBERTa's layers
_MARK = "wavlm_layer_norm.weight"  # by which a state dict is known
# What the authors' modules hold beside: for text, and for training.
_UNUSED = re.compile(r"(text_model|roberta_embeddings|linear|decoder|attenpool|fc_\w+)\b.*")


@dataclass(frozen=True)
class CareSizes:
    """What a state dict is of."""

    width: int
    """Values of a frame (d)."""

    heads: int
    inner: int
    """Width within the feed-forward halves of layers."""

    channels: tuple[int, ...]
    """Of each of the convolutions."""

    kernels: tuple[int, ...]
    shared: int
    """Layers that both stacks begin with."""

    apart: int
    """Further layers of each stack."""

    buckets: int
    """Of relative positions."""

    position_kernel: int
    position_groups: int
    has_thirds: bool
    """Whether RoBERTa's layers stand between convolutions."""

    @property
    def layers(self) -> int:
        """Hidden states of each stack, what enters the first layer among them."""
        return 1 + self.shared + self.apart

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> CareSizes:
        """By the tensors' sizes. KeyError, ValueError or IndexError for what is no state dict of CARE."""
        convolutions = [tensors[f"audio_feature_extractor.{number}.conv.weight"] for number in range(len(STRIDES))]
        positions = tensors["pos_conv.conv.parametrizations.weight.original1"]
        buckets, heads = tensors["audio_model.0.attention.rel_attn_embed.weight"].shape
        return cls(
            width=len(tensors[_MARK]),
            heads=heads,
            inner=len(tensors["audio_model.0.feed_forward.intermediate_dense.weight"]),
            channels=tuple(len(each) for each in convolutions),
            kernels=tuple(each.shape[2] for each in convolutions),
            shared=_count(tensors, "audio_model"),
            apart=_count(tensors, "common_model"),
            buckets=buckets,
            position_kernel=positions.shape[2],
            position_groups=len(tensors[_MARK]) // positions.shape[1],
            has_thirds=any(name.startswith("downblock.") for name in tensors),
        )


@dataclass(frozen=True)
class Heard:
    """What CARE makes of a segment."""

    layers: list[Tensor]
    """Of each hidden state (T, 2 d): the semantic stack's frames beside the acoustic stack's."""

    pooled: Tensor
    """(d,) mean over time of what leaves the semantic stack."""


class Care(nn.Module):
    """Samples (S,) -> hidden states of both stacks."""

    def __init__(self, sizes: CareSizes) -> None:
        from transformers import RobertaConfig, WavLMConfig
        from transformers.models.roberta.modeling_roberta import RobertaLayer
        from transformers.models.wavlm import modeling_wavlm as wavlm

        super().__init__()
        same = {"hidden_size": sizes.width, "num_attention_heads": sizes.heads, "intermediate_size": sizes.inner}
        config = WavLMConfig(
            conv_dim=sizes.channels,
            conv_kernel=sizes.kernels,
            conv_stride=STRIDES,
            num_conv_pos_embeddings=sizes.position_kernel,
            num_conv_pos_embedding_groups=sizes.position_groups,
            num_buckets=sizes.buckets,
            **same,
        )
        of_text = RobertaConfig(layer_norm_eps=1e-5, attn_implementation="eager", **same)
        self.audio_feature_extractor = nn.Sequential(*wavlm.WavLMFeatureEncoder(config).conv_layers)
        self.feature_projection_audio = wavlm.WavLMFeatureProjection(config)
        self.pos_conv = wavlm.WavLMPositionalConvEmbedding(config)
        self.wavlm_layer_norm = nn.LayerNorm(sizes.width, eps=config.layer_norm_eps)
        self.audio_model = nn.ModuleList(
            wavlm.WavLMEncoderLayer(config, has_relative_position_bias=number == 0) for number in range(sizes.shared)
        )
        self.dual_model = nn.ModuleList(
            wavlm.WavLMEncoderLayer(config, has_relative_position_bias=False) for _ in range(sizes.apart)
        )
        self.common_model = nn.ModuleList(RobertaLayer(of_text) for _ in range(sizes.apart))
        if sizes.has_thirds:
            width, how = sizes.width, {"kernel_size": KERNEL, "stride": THIRD}
            self.downblock = nn.ModuleList(nn.Conv1d(width, width, **how) for _ in range(sizes.apart))
            self.upblock = nn.ModuleList(
                nn.ConvTranspose1d(width, width, output_padding=1, **how) for _ in range(sizes.apart)
            )

    def forward(self, samples: Tensor) -> Heard:
        frames = self.audio_feature_extractor(samples[None, None])  # (1, C, T)
        rows = self.feature_projection_audio(frames.transpose(1, 2))[0]  # (1, T, d)
        rows = self.wavlm_layer_norm(rows + self.pos_conv(rows))
        shared, positions = [rows], None
        for layer in self.audio_model:
            rows, positions = layer(rows, position_bias=positions)
            shared.append(rows)
        acoustic, semantic = list(shared), list(shared)
        for layer in self.dual_model:
            made, positions = layer(acoustic[-1], position_bias=positions)
            acoustic.append(made)
        for number in range(len(self.common_model)):
            semantic.append(self._by_meaning(number, semantic[-1]))
        layers = [torch.cat(pair, dim=-1)[0] for pair in zip(semantic, acoustic, strict=True)]
        return Heard(layers, semantic[-1][0].mean(dim=0))

    def _by_meaning(self, number: int, rows: Tensor) -> Tensor:
        """(1, T, d) -> (1, T, d) through one of RoBERTa's layers, at a third of the frames."""
        frames = rows.shape[1]
        if not hasattr(self, "downblock"):
            return self.common_model[number](rows)
        fewer = self.downblock[number](rows.transpose(1, 2)).transpose(1, 2)
        again = self.upblock[number](self.common_model[number](fewer).transpose(1, 2)).transpose(1, 2)[:, :frames]
        return functional.pad(again, (0, 0, 0, frames - again.shape[1]))


def with_own_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names that Care has: without what stands before all of them, and what is not for speech.

    Empty where there are none of CARE's.
    """
    before = next((name.removesuffix(_MARK) for name in tensors if name.endswith(_MARK)), None)
    if before is None:
        return {}
    named = {name.removeprefix(before): values for name, values in tensors.items() if name.startswith(before)}
    former = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    for old, new in former.items():
        if f"pos_conv.conv.{old}" in named:
            named[f"pos_conv.conv.{new}"] = named.pop(f"pos_conv.conv.{old}")
    return {name: values for name, values in named.items() if not _UNUSED.fullmatch(name)}


def frames_of(samples: int, kernels: tuple[int, ...]) -> int:
    """Frames (T) of so many samples."""
    for kernel, stride in zip(kernels, STRIDES, strict=True):
        samples = (samples - kernel) // stride + 1
    return max(0, samples)


def _count(tensors: Mapping[str, Tensor], name: str) -> int:
    numbers = {int(match[1]) for each in tensors if (match := re.match(rf"{name}\.(\d+)\.", each))}
    if not numbers:
        raise KeyError(name)
    return 1 + max(numbers)
