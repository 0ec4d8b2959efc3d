"""The linear layer computes what torch's own computes."""

from __future__ import annotations

import pytest
import torch
from msmt.train.linear import Linear


@pytest.mark.parametrize("rows", [0, 1, 37])
def test_values_and_gradients_are_those_of_torch(rows):
    torch.manual_seed(0)
    mine, torchs = Linear(24, 40), torch.nn.Linear(24, 40)
    torchs.load_state_dict(mine.state_dict())
    inputs = torch.randn(rows, 24)
    change = torch.randn(rows, 40)
    found = []
    for layer in (mine, torchs):
        own = inputs.clone().requires_grad_()
        out = layer(own)
        out.backward(change)
        found.append((out.detach(), own.grad, layer.weight.grad, layer.bias.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_inputs_that_are_constants_get_no_gradient():
    layer, constants = Linear(3, 4), torch.randn(5, 3)
    layer(constants).sum().backward()
    assert constants.grad is None and layer.weight.grad is not None


def test_autocast_decides_the_arithmetic():
    with torch.autocast("cpu", torch.bfloat16):
        assert Linear(3, 4)(torch.randn(5, 3)).dtype == torch.bfloat16
