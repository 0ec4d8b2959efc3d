"""What follows from the number of a step: its learning rate, and its random numbers."""

from __future__ import annotations

import math

import numpy as np

from .config import TrainConfig


def learning_rate_at(step: int, steps: int, config: TrainConfig) -> float:
    """Learning rate of optimizer step ``step`` (from 0) of ``steps``."""
    warmup = round(config.warmup * steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    done = (step - warmup) / (steps - warmup)
    share = {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "constant": 1.0}[config.schedule]
    return config.learning_rate * share


def seed_of(seed: int, epoch: int, batch: int) -> int:
    """The seed of one batch's random numbers."""
    return int(np.random.SeedSequence([seed, epoch, batch]).generate_state(1, np.uint64)[0] >> 1)
