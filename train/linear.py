"""A linear layer whose float32 products run through oneDNN on CPUs, forward and backward.

On x86 CPUs torch hands float32 products to MKL, which reaches less than half of what oneDNN does on AMD, and no more
elsewhere. In bfloat16, and on GPUs, torch's own way is the fastest.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


class Linear(nn.Linear):
    """``nn.Linear`` for rows, (N, i) -> (N, o)."""

    def forward(self, rows: Tensor) -> Tensor:
        in_float32 = rows.dtype == torch.float32 and not torch.is_autocast_enabled(rows.device.type)
        if _HAS_ONEDNN and in_float32 and rows.device.type == "cpu" and not torch.compiler.is_compiling():
            return _Product.apply(rows, self.weight, self.bias)
        return super().forward(rows)


class _Product(torch.autograd.Function):
    """rows · weightᵀ + bias, and its derivatives."""

    @staticmethod
    def forward(context, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        context.save_for_backward(rows, weight)
        return _product(rows, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(context, change: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        rows, weight = context.saved_tensors
        of_rows, of_weight, of_bias = context.needs_input_grad
        return (
            _product(change, weight.t()) if of_rows else None,  # (N, o) · (o, i)
            _product(change.t(), rows.t()) if of_weight else None,  # (o, N) · (N, i)
            change.sum(dim=0) if of_bias else None,
        )


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if not rows.numel():
        return functional.linear(rows, weight, bias)  # oneDNN takes no empty matrices
    return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "none")
