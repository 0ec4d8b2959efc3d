"""Rows in the batches in which they are computed, and what becomes of the values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from ..features.spec import FeatureSpec


def batches_of(lengths: Mapping[int, int], most_rows: int) -> Iterator[list[int]]:
    """Rows in batches of at most so many frames or tokens in total, longest first, like beside like."""
    batch: list[int] = []
    total = 0
    for row in sorted(lengths, key=lambda row: (-lengths[row], row)):
        if batch and total + lengths[row] > most_rows:
            yield batch
            batch, total = [], 0
        batch.append(row)
        total += lengths[row]
    if batch:
        yield batch


def as_stored(values: torch.Tensor, spec: FeatureSpec) -> np.ndarray:
    """(T, d) values as a store holds them; infinite where the spec's dtype does not reach."""
    return values.to(torch.float16 if spec.dtype == "float16" else torch.float32).cpu().numpy()


def problem_of(values: np.ndarray, spec: FeatureSpec, rows: int | None = None) -> str | None:
    """Why (T, d) values cannot be stored, ``rows`` being how many there should be; None where they can."""
    if values.ndim != 2 or values.shape[1] != spec.width or not 1 <= len(values) <= spec.max_rows:
        wanted = f"(1 to {spec.max_rows}, {spec.width})"
        return f"the encoder made values of shape {tuple(values.shape)}, which must be {wanted}"
    if rows is not None and spec.unit != "vector" and len(values) != rows:
        return f"the encoder made {len(values)} {spec.unit}s where there must be {rows}"
    if not np.isfinite(values).all():
        return f"the encoder's features are not finite numbers in {spec.dtype}"
    return None
