"""A frozen transformer over the valid rows of several segments at once, without any padding.

All segments' rows lie one after the other in one matrix; whatever treats rows alone (projections,
feed-forward, norms) runs on that matrix, and attention runs segment by segment. HuBERT, wav2vec2,
UniSpeech, data2vec, BERT and RoBERTa share one layer, norms after (base) or before (large) each half;
WavLM's differs in a bias of its attention (see relative.py). Sums along the residual stream and norms
stay in float32 in either precision.

Letters in shapes: N rows of all segments, T rows of one, d width, h heads, e = d / h.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from . import kernels
from .relative import Gate, RelativePositions

# Among hidden states, what the model itself calls its last: after the norm that follows the layers, where there is one.
LAST = -1

_OF_SPEECH = ("Hubert", "Wav2Vec2", "WavLM", "UniSpeech", "UniSpeechSat", "Data2VecAudio")
_OF_TEXT = ("Bert", "Roberta", "XLMRoberta")
_NORM_FIRST = "EncoderStableLayerNorm"


@dataclass(frozen=True)
class Layer:
    """The parameters of one layer in the precision of its products; norms and the gate stay in float32."""

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
    gate: Gate | None = None
    """Of the bias of positions, where the attention has one."""


class Transformer:
    """Layers and their order of norms; called on the rows that enter the first layer."""

    def __init__(
        self,
        layers: Sequence[Layer],
        norm_first: bool,
        final_norm: nn.LayerNorm | None,
        positions: RelativePositions | None = None,
    ) -> None:
        self.layers, self.norm_first, self.final_norm = layers, norm_first, final_norm
        self.positions = positions

    def __call__(self, rows: Tensor, lengths: Sequence[int], wanted: Collection[int]) -> dict[int, Tensor]:
        """(N, d) float32, the first ``lengths[0]`` rows are the first segment's, and so on.

        Returns the hidden states that are wanted, each (N, d) float32: 0 is what enters the first layer, i what leaves
        the i-th, and LAST the last one. Layers past the highest that is wanted are not computed.
        """
        count = len(self.layers) if LAST in wanted else max(wanted)
        bias = self.positions(max(lengths)) if self.positions and count else None
        kept = {}
        for index, layer in enumerate(self.layers[:count]):
            if index in wanted:
                kept[index] = rows
            if self.norm_first:
                rows = rows + _attended(layer, _norm(layer.attention_norm, rows), lengths, bias)
                rows = rows + _fed_forward(layer, _norm(layer.feed_forward_norm, rows))
            else:
                rows = _norm(layer.attention_norm, rows + _attended(layer, rows, lengths, bias))
                rows = _norm(layer.feed_forward_norm, rows + _fed_forward(layer, rows))
        if count in wanted:
            kept[count] = rows
        if LAST in wanted:
            kept[LAST] = rows if self.final_norm is None else _norm(self.final_norm, rows)
        return kept


def transformer_of(model: nn.Module, dtype: torch.dtype) -> Transformer:
    """The transformer of a HuBERT-like or BERT-like model of transformers.

    Raises ValueError for a structure that is not known here.
    """
    encoder, config = model.encoder, model.config
    if config.hidden_act != "gelu":
        raise ValueError("unknown activation")
    kind = type(encoder).__name__
    norm_first = kind.endswith(_NORM_FIRST)
    family = kind.removesuffix(_NORM_FIRST).removesuffix("Encoder")
    if family in _OF_SPEECH:
        if any(getattr(layer, "adapter_layer", None) is not None for layer in encoder.layers):
            raise ValueError("unknown adapters")
        layers = [_of_hubert(layer, dtype) for layer in encoder.layers]
        positions = RelativePositions(encoder.layers[0].attention) if family == "WavLM" else None
        return Transformer(layers, norm_first, encoder.layer_norm if norm_first else None, positions)
    if family in _OF_TEXT and not config.is_decoder:
        return Transformer([_of_bert(layer, dtype) for layer in encoder.layer], False, None)
    raise ValueError(f"unknown encoder {kind}")


def _of_hubert(layer: nn.Module, dtype: torch.dtype) -> Layer:
    attention, feed = layer.attention, layer.feed_forward
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    ends = (attention.out_proj, feed.intermediate_dense, feed.output_dense)
    gate = Gate(attention) if hasattr(attention, "gru_rel_pos_linear") else None
    return _layer(attention.num_heads, projections, ends, layer.layer_norm, layer.final_layer_norm, dtype, gate)


def _of_bert(layer: nn.Module, dtype: torch.dtype) -> Layer:
    attention, out = layer.attention.self, layer.attention.output
    projections = (attention.query, attention.key, attention.value)
    ends = (out.dense, layer.intermediate.dense, layer.output.dense)
    return _layer(attention.num_attention_heads, projections, ends, out.LayerNorm, layer.output.LayerNorm, dtype)


def _layer(
    heads: int, projections, ends, attention_norm, feed_forward_norm, dtype: torch.dtype, gate: Gate | None = None
) -> Layer:
    qkv = torch.cat([projection.weight for projection in projections])
    qkv_bias = torch.cat([projection.bias for projection in projections])
    products = [(qkv, qkv_bias), *((end.weight, end.bias) for end in ends)]
    tensors = []
    for weight, bias in products:
        tensors += [kernels.laid_out(weight.detach().to(dtype)), bias.detach().to(dtype)]
    return Layer(heads, *tensors, attention_norm, feed_forward_norm, gate)


def _attended(layer: Layer, rows: Tensor, lengths: Sequence[int], bias: Tensor | None) -> Tensor:
    """``bias`` is that of positions, (h, T, T) for the longest segment; the shorter ones' is its first corner."""
    count, width = rows.shape
    each = width // layer.heads
    projected = kernels.linear(rows.to(layer.qkv.dtype), layer.qkv, layer.qkv_bias)  # (N, 3d)
    mixed = torch.empty(count, width, dtype=projected.dtype, device=rows.device)
    start = 0
    for length in lengths:
        segment = projected[start : start + length].view(length, 3, layer.heads, each)
        query, key, value = segment.permute(1, 2, 0, 3)  # (T, 3, h, e) -> 3 x (h, T, e)
        gated = None
        if layer.gate is not None:
            entering = rows[start : start + length].view(length, layer.heads, each)
            gated = layer.gate(entering) * bias[:, :length, :length]
        attended = kernels.attend(query, key, value, each**-0.5, gated)
        mixed[start : start + length].view(length, layer.heads, each).copy_(attended.transpose(0, 1))
        start += length
    return kernels.linear(mixed, layer.out, layer.out_bias).float()


def _fed_forward(layer: Layer, rows: Tensor) -> Tensor:
    inner = kernels.linear(rows.to(layer.up.dtype), layer.up, layer.up_bias, gelu=True)
    return kernels.linear(inner, layer.down, layer.down_bias).float()


def _norm(norm: nn.LayerNorm, rows: Tensor) -> Tensor:
    return functional.layer_norm(rows, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
