"""What takes the steps of training: AdamW as ever, or Adam with L2 in the gradient."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from msmt.errors import SettingError
from msmt.tests.train.made import MODEL, TRAIN, calls, quiet
from msmt.train.config import TrainConfig
from msmt.train.jobs import job_for
from msmt.train.learner import Learner
from msmt.train.processes import Processes

RATE, DECAY = 1e-3, 0.5


def learner(folder, **settings) -> Learner:
    config = dataclasses.replace(TRAIN, learning_rate=RATE, weight_decay=DECAY, **settings)
    job = job_for(calls(), MODEL, config)
    return Learner(calls(), job, folder, torch.device("cpu"), Processes(), quiet, lambda line: False)


@pytest.mark.parametrize("name", ["adamw", "adam"])
def test_a_first_step_is_that_of_the_definition(tmp_path, name):
    one = learner(tmp_path, **({} if name == "adamw" else {"optimizer": name}))
    parameter = next(one.model.parameters())
    before = parameter.detach().clone()
    parameter.grad = torch.full_like(parameter, 0.1)
    one.optimizer.step()
    gradient = parameter.grad if name == "adamw" else 0.1 + DECAY * before
    start = before * (1 - RATE * DECAY) if name == "adamw" else before
    expected = start - RATE * gradient / (gradient.abs() + 1e-8)  # the first step is one of the gradient's sign
    assert torch.allclose(parameter, expected, atol=1e-6)
    assert type(one.optimizer) is {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[name]


def test_another_optimizer_is_refused_and_runs_of_before_had_adamw():
    with pytest.raises(SettingError, match="optimizer must be one of adamw, adam"):
        TrainConfig(optimizer="sgd")
    older = {name: value for name, value in dataclasses.asdict(TRAIN).items() if name != "optimizer"}
    assert TrainConfig(**older).optimizer == "adamw"
