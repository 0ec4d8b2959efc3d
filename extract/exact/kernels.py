"""Matrix products and convolutions over rows, by the fastest library that torch carries for the device.

On x86 CPUs torch hands float32 products to MKL, which reaches less than half of an AMD core's peak;
oneDNN, which torch also carries, comes close to the peak on AMD and Intel alike, and adds bias and
GELU while the result is in registers. Where oneDNN is not built in, torch's own functions serve.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
_BFLOAT16_TOO = _HAS_ONEDNN and torch.ops.mkldnn._is_mkldnn_bf16_supported()  # not on CPUs without AVX-512

_TYPICAL_ROWS = 512  # of one product; decides how oneDNN lays a weight out


def _by_onednn(tensor: Tensor) -> bool:
    """Whether oneDNN serves for a tensor of this type on this device."""
    return _HAS_ONEDNN and tensor.device.type == "cpu" and (_BFLOAT16_TOO or tensor.dtype != torch.bfloat16)


def laid_out(weight: Tensor) -> Tensor:
    """An (o, i) weight as ``linear`` reads it fastest: on a CPU in oneDNN's own layout, found once instead of in each product."""
    if _by_onednn(weight):
        return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _TYPICAL_ROWS)
    return weight


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool = False) -> Tensor:
    """(N, i) rows times (o, i) weight, laid out or not, plus (o,) bias, through GELU if asked: (N, o)."""
    if _by_onednn(rows):
        return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "gelu" if gelu else "none", [], "none")
    out = functional.linear(rows, weight, bias)
    return functional.gelu(out) if gelu else out


def convolve(rows: Tensor, weight: Tensor, bias: Tensor | None, stride: int, gelu: bool = False) -> Tensor:
    """A convolution over time: (N, i) rows and (o, i, 1, k) weight, channels last -> (N', o), no padding."""
    length, width = rows.shape
    image = rows.view(1, 1, length, width).permute(0, 3, 1, 2)  # (N, i) -> (1, i, 1, N) without a copy
    if _by_onednn(rows):
        activation = "gelu" if gelu else "none"
        out = torch.ops.mkldnn._convolution_pointwise(
            image, weight, bias, [0, 0], [1, stride], [1, 1], 1, activation, [], "none"
        )
    else:
        out = functional.conv2d(image, weight, bias, stride=(1, stride))
        out = functional.gelu(out) if gelu else out
    return out.permute(0, 2, 3, 1).reshape(-1, weight.shape[0])  # (1, o, 1, N') -> (N', o)


def attend(query: Tensor, key: Tensor, value: Tensor, scale: float, bias: Tensor | None = None) -> Tensor:
    """Attention of one segment over itself: three times (heads, T, e) -> (heads, T, e).

    ``bias``, (heads, T, T) in float32, is added to the scores of each row for each other.
    """
    if query.device.type == "cpu" and query.dtype == torch.bfloat16:
        # Twice as fast as torch's CPU kernel, which computes bfloat16 products in float32.
        weights = torch.bmm(query, key.transpose(1, 2)).float().mul_(scale)
        weights = (weights if bias is None else weights.add_(bias)).softmax(-1)
        return torch.bmm(weights.to(value.dtype), value)
    mask = None if bias is None else bias[None].to(query.dtype)
    return functional.scaled_dot_product_attention(query[None], key[None], value[None], mask, scale=scale)[0]
