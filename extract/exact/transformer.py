"""A frozen transformer over the valid rows of several segments at once, without any padding.

All segments' rows lie one after the other in one matrix; whatever treats rows alone (projections,
feed-forward, norms) runs on that matrix, and attention runs segment by segment. HuBERT, wav2vec2,
BERT and RoBERTa share one layer, norms after (base) or before (large) each half. Sums along the
residual stream and norms stay in float32 in either precision.

Letters in shapes: N rows of all segments, T rows of one, d width, h heads, e = d / h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from . import kernels


@dataclass(frozen=True)
class Layer:
    """The parameters of one layer in the precision of its products; norms stay modules in float32."""

    heads: int
    qkv: Tensor
    qkv_bias: Tensor
    out: Tensor
    out_bias: Tensor
    up: Tensor
    up_bias: Tensor
    down: Tensor
    down_bias: Tensor
    attention_norm: nn.LayerNorm
    feed_forward_norm: nn.LayerNorm


class Transformer:
    """Layers and their order of norms; called on the rows that enter the first layer."""

    def __init__(self, layers: Sequence[Layer], norm_first: bool, final_norm: nn.LayerNorm | None) -> None:
        self.layers, self.norm_first, self.final_norm = layers, norm_first, final_norm

    def __call__(self, rows: Tensor, lengths: Sequence[int]) -> Tensor:
        """(N, d) float32, the first ``lengths[0]`` rows are the first segment's, and so on -> (N, d) float32."""
        for layer in self.layers:
            if self.norm_first:
                rows = rows + _attended(layer, _norm(layer.attention_norm, rows), lengths)
                rows = rows + _fed_forward(layer, _norm(layer.feed_forward_norm, rows))
            else:
                rows = _norm(layer.attention_norm, rows + _attended(layer, rows, lengths))
                rows = _norm(layer.feed_forward_norm, rows + _fed_forward(layer, rows))
        return rows if self.final_norm is None else _norm(self.final_norm, rows)


def transformer_of(model: nn.Module, dtype: torch.dtype) -> Transformer:
    """The transformer of a HuBERT-like or BERT-like model of transformers.

    Raises ValueError for a structure that is not known here.
    """
    encoder, config = model.encoder, model.config
    if config.hidden_act != "gelu":
        raise ValueError("unknown activation")
    kind = type(encoder).__name__
    if kind in ("HubertEncoder", "Wav2Vec2Encoder", "HubertEncoderStableLayerNorm", "Wav2Vec2EncoderStableLayerNorm"):
        norm_first = kind.endswith("StableLayerNorm")
        if any(getattr(layer, "adapter_layer", None) is not None for layer in encoder.layers):
            raise ValueError("unknown adapters")
        layers = [_of_hubert(layer, dtype) for layer in encoder.layers]
        return Transformer(layers, norm_first, encoder.layer_norm if norm_first else None)
    if kind in ("BertEncoder", "RobertaEncoder", "XLMRobertaEncoder") and not config.is_decoder:
        return Transformer([_of_bert(layer, dtype) for layer in encoder.layer], False, None)
    raise ValueError(f"unknown encoder {kind}")


def _of_hubert(layer: nn.Module, dtype: torch.dtype) -> Layer:
    attention, feed = layer.attention, layer.feed_forward
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    ends = (attention.out_proj, feed.intermediate_dense, feed.output_dense)
    return _layer(attention.num_heads, projections, ends, layer.layer_norm, layer.final_layer_norm, dtype)


def _of_bert(layer: nn.Module, dtype: torch.dtype) -> Layer:
    attention, out = layer.attention.self, layer.attention.output
    projections = (attention.query, attention.key, attention.value)
    ends = (out.dense, layer.intermediate.dense, layer.output.dense)
    return _layer(attention.num_attention_heads, projections, ends, out.LayerNorm, layer.output.LayerNorm, dtype)


def _layer(heads: int, projections, ends, attention_norm, feed_forward_norm, dtype: torch.dtype) -> Layer:
    qkv = torch.cat([projection.weight for projection in projections])
    qkv_bias = torch.cat([projection.bias for projection in projections])
    products = [(qkv, qkv_bias), *((end.weight, end.bias) for end in ends)]
    tensors = []
    for weight, bias in products:
        tensors += [kernels.laid_out(weight.detach().to(dtype)), bias.detach().to(dtype)]
    return Layer(heads, *tensors, attention_norm, feed_forward_norm)


def _attended(layer: Layer, rows: Tensor, lengths: Sequence[int]) -> Tensor:
    count, width = rows.shape
    each = width // layer.heads
    projected = kernels.linear(rows.to(layer.qkv.dtype), layer.qkv, layer.qkv_bias)  # (N, 3d)
    mixed = torch.empty(count, width, dtype=projected.dtype, device=rows.device)
    start = 0
    for length in lengths:
        segment = projected[start : start + length].view(length, 3, layer.heads, each)
        query, key, value = segment.permute(1, 2, 0, 3)  # (T, 3, h, e) -> 3 x (h, T, e)
        attended = kernels.attend(query, key, value, each**-0.5)
        mixed[start : start + length].view(length, layer.heads, each).copy_(attended.transpose(0, 1))
        start += length
    return kernels.linear(mixed, layer.out, layer.out_bias).float()


def _fed_forward(layer: Layer, rows: Tensor) -> Tensor:
    inner = kernels.linear(rows.to(layer.up.dtype), layer.up, layer.up_bias, gelu=True)
    return kernels.linear(inner, layer.down, layer.down_bias).float()


def _norm(norm: nn.LayerNorm, rows: Tensor) -> Tensor:
    return functional.layer_norm(rows, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
