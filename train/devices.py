"""Where the network runs, and with which arithmetic."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from ..errors import SettingError


def choose_device(name: str) -> torch.device:
    """The device behind one choice of ``TrainConfig.device``. Raises SettingError for a GPU that is not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise SettingError("device is cuda, but there is no GPU that torch can use: choose --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def arithmetic(device: torch.device, precision: str) -> AbstractContextManager:
    """The context in which the network runs under one choice of ``TrainConfig.precision``."""
    made_for_it = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bfloat16" or (precision == "auto" and made_for_it):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


@contextmanager
def reproducible(device: torch.device, seed: int) -> Iterator[None]:
    """Random numbers from ``seed``, and on a GPU only algorithms that repeat themselves; afterwards all as before."""
    before = torch.are_deterministic_algorithms_enabled()
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS may not repeat itself
        torch.use_deterministic_algorithms(True)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)


def describe(device: torch.device) -> str:
    """The device in words, such as ``cpu, 2 threads``."""
    if device.type == "cuda":
        return f"cuda, {torch.cuda.get_device_name(device)}"
    return f"{device.type}, {torch.get_num_threads()} threads"
