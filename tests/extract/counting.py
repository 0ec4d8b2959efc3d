"""A kind of feature that is quick to make: two features of one pass, whose values anyone can work out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from msmt.extract.extractors import hearing
from msmt.extract.extractors.contract import Extractor, Loaded, Material, Setup
from msmt.extract.extractors.hearing import Hearing, HearingOptions
from msmt.extract.extractors.registry import KINDS
from msmt.extract.sound.audio import AS_RECORDED
from msmt.features.spec import FeatureSpec

FRAME = 0.1  # seconds


@dataclass(frozen=True)
class CountingOptions(HearingOptions):
    """Options of what counts."""

    factor: float = 1.0
    """What every value is multiplied with."""

    numbers: tuple[int, ...] = ()
    """Numbers that decide nothing."""


class Counting(Extractor):
    """NAME-frames: mean and size of each tenth of a second, float16; NAME-vector: the same of all, float32."""

    loads_in_processes = True

    def __init__(self, name: str, options: CountingOptions, heard: Hearing) -> None:
        rate = options.rate or 8000
        fields = heard.spec_fields(rate, options.seconds, AS_RECORDED)
        self.hearing, self.frame, self.factor = heard, round(FRAME * rate), options.factor
        common = {"modality": "audio", "encoder": "counting", "encoder_class": "Counting", "weights": "", "width": 2}
        common |= {"kind": "counting", "options": {"factor": options.factor}, **fields}
        most = -(-fields["max_samples"] // self.frame)
        self.specs = {
            f"{name}-frames": FeatureSpec(**common, max_rows=most),
            f"{name}-vector": FeatureSpec(**common, max_rows=1, unit="vector", dtype="float32"),
        }

    @classmethod
    def load(cls, name: str, options: CountingOptions, setup: Setup) -> Counting:
        return cls(name or "counting", options, Hearing.of(options, setup))

    def identities(self, material: Material) -> Mapping[str, np.ndarray]:
        return hearing.identities(material, self.specs)

    def expected_rows(self, material: Material) -> Mapping[str, np.ndarray]:
        samples = hearing.expected_samples(material, next(iter(self.specs.values())))
        frames = -(-samples // self.frame)
        return {name: np.minimum(frames, spec.max_rows) for name, spec in self.specs.items()}

    def job(self, material: Material, row: int):
        return self.hearing.job(material, row, next(iter(self.specs.values())), Prepare(self.frame))

    def encode(self, batch: Sequence[Loaded]) -> list[Mapping[str, torch.Tensor]]:
        return [self._counted(loaded.content) for loaded in batch]

    def cut_rows(self, material: Material) -> np.ndarray:
        return hearing.cut_rows(material, next(iter(self.specs.values())))

    def _counted(self, samples: np.ndarray) -> dict[str, torch.Tensor]:
        frames = [samples[start : start + self.frame] for start in range(0, len(samples), self.frame)]
        frames_name, vector_name = self.specs
        return {
            frames_name: torch.from_numpy(np.stack([self._of(frame) for frame in frames])),
            vector_name: torch.from_numpy(self._of(samples)[None]),
        }

    def _of(self, samples: np.ndarray) -> np.ndarray:
        return np.array([samples.mean(), np.abs(samples).mean()], np.float32) * np.float32(self.factor)


@dataclass(frozen=True)
class Prepare:
    """What is computed of samples, and the frames that it costs; may be pickled."""

    frame: int

    def __call__(self, samples: np.ndarray) -> tuple[np.ndarray, int]:
        return samples, -(-len(samples) // self.frame)


class CountingKind:
    """As registry.py would have it."""

    modality = "audio"
    help = "Counts."
    load = staticmethod(lambda: Counting)
    options = staticmethod(lambda: CountingOptions)


def known(monkeypatch) -> None:
    """Make the kind one that msmt knows."""
    monkeypatch.setitem(KINDS, "counting", CountingKind)
