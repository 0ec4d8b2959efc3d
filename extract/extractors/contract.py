"""What makes features. The pipeline, the plan and the doctor know of an extractor what stands here, and nothing else.

A kind of feature is a file of this folder with an ``Extractor`` and a frozen dataclass of its options, and a line in
registry.py. The fields of the dataclass are bool, int, float, str, or tuples of these such as ``tuple[int, ...] = ()``.
Those called rate, seconds, tokens, channel, silence and silence_… take the value of --sample-rate, --max-seconds,
--max-tokens, --channel, --silence and --silence-… unless a feature has its own.

Letters in shapes: N rows of the store, T rows of a feature (frames, tokens, or one vector), d values of each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch

from ...errors import AudioError
from ...features.segments import REMOVED
from ...features.spec import FeatureSpec
from ...progress import Track, silent
from ..sound import audio
from ..sound.views import AUDIO_VIEWS, kind_of


@dataclass(frozen=True)
class Material:
    """What there is to make features from."""

    root: Path
    """Folder that the audio's paths are relative to."""

    table: pd.DataFrame
    """(N) the rows of a store's segment table, those of removed segments too; row i is row i of every feature."""

    digest_of: Callable[[str], str]
    """The digest of an audio file's bytes, by its path in the table."""

    @cached_property
    def present(self) -> np.ndarray:
        """Numbers of the rows whose segments are still in the corpus: only these are made."""
        return np.flatnonzero((self.table["split"] != REMOVED).to_numpy())

    @cached_property
    def seconds(self) -> np.ndarray:
        """(N,) length of each segment in seconds as far as file headers tell; NaN where they do not."""
        files = {path for path in set(self.table["audio"].iloc[self.present]) if path}
        whole = {path: audio.seconds_of(self.root / path) for path in files}
        ends = self.table["end"].fillna(self.table["audio"].map(whole).astype(float))
        return (ends - self.table["start"].fillna(0.0)).to_numpy()


@dataclass(frozen=True)
class Loaded:
    """What an extractor is given of one row."""

    content: object
    """Samples, token ids, or what else ``encode`` takes; made in a thread or a process, so it can be pickled."""

    size: int
    """Frames or tokens that computing it costs: batches hold rows of like size, at most ``batch_rows`` together."""

    is_cut: bool = False
    """Whether there was more of it than the longest input."""

    said: Mapping[str, float] = field(default_factory=dict)
    """What else loading found out, for the logs: ``seconds``, ``removed_seconds`` and ``had_speech`` of audio."""

    rows: int | None = None
    """Frames or tokens that must come of it; other counts are a failure. None where that is not known."""


@dataclass(frozen=True)
class Setup:
    """What an extractor is given beside its own options when it is made."""

    device: torch.device
    precision: str = "float32"
    """Arithmetic of networks: ``float32`` or ``bfloat16``."""

    dataset: str = ""
    """What the corpus is called: the papers on some give audio at rates of their own."""

    there: Mapping[str, FeatureSpec] = field(default_factory=dict)
    """Specs of the features that the store holds, from which what is left open may follow."""

    recipes: Mapping[str, Mapping] = field(default_factory=dict)
    """The recipe of each view of the store, by its name."""

    agent_channel: int = -1
    """Channel that the agent is on in stereo calls; -1 where it is unknown."""

    is_named: bool = False
    """Whether a user named the feature, so that errors call its options by their own names, not by those of
    ``msmt extract``."""

    track: Track = silent
    """Where long work of loading reports how far it is."""

    def views_of(self, modality: str) -> dict[str, Mapping]:
        """The recipes of the views that alter ``audio`` or ``text``, by their names."""
        return {
            view: recipe
            for view, recipe in self.recipes.items()
            if (kind_of(view) in AUDIO_VIEWS) == (modality == "audio")
        }


Job = tuple[Callable[..., "Loaded | AudioError"], tuple]  # what a loader calls, and with what


class Extractor(ABC):
    """Makes one feature, or several of the same input in one pass, such as four layers of an encoder."""

    specs: Mapping[str, FeatureSpec]
    """By the features' names: all that decides their values."""

    remarks: tuple[str, ...] = ()
    """Lines that a user must not overlook, such as on the rate at which audio is heard."""

    batch_rows: int = 1
    """Frames or tokens that are computed at once, at most."""

    batches_matter: bool = False
    """Whether rounding depends on what else is in the batch, as the choice of a GPU's kernels does."""

    loads_in_processes: bool = False
    """Whether loading is work enough to be spread over processes beside a GPU."""

    is_made_in_loading: bool = False
    """Whether loading is all the work there is, so that every core may as well load."""

    is_on_gpu: bool = False

    costs: ClassVar[Mapping[str, float]] = {}
    """Bytes that an hour of audio takes, by what is asked for: some examples, for ``msmt features``."""

    @classmethod
    @abstractmethod
    def load(cls, name: str, options, setup: Setup) -> Extractor:
        """By the options of its kind, a frozen dataclass; ``name`` is its feature's, or "" for what is usual.

        Raises EncoderError or SettingError, in one line, for what cannot be made. One that makes several features calls
        them ``name`` with an ending each.
        """

    @abstractmethod
    def identities(self, material: Material) -> Mapping[str, np.ndarray]:
        """For each feature (N,) uint64: the hash of what each row should be made from; 0 for rows of removed segments.

        Two rows of one feature with the same identity have the same values, and one is copied from the other. A row's
        identity changes when anything changes that its values follow from: bytes, place, channel, text, view, spec.
        """

    @abstractmethod
    def expected_rows(self, material: Material) -> Mapping[str, np.ndarray]:
        """For each feature (N,) int: the rows T that each segment is expected to have; 0 where that is not known."""

    @abstractmethod
    def job(self, material: Material, row: int) -> Job:
        """What loads one row: called in a thread or a process, returns Loaded, or an AudioError with the reason."""

    @abstractmethod
    def encode(self, batch: Sequence[Loaded]) -> list[Mapping[str, torch.Tensor]]:
        """For each of the batch, by feature: (T, d) values in float32, on any device; never padded.

        A value that the feature's dtype cannot hold is left to the pipeline, which lists the segment as failed.
        """

    def define(self, loaded: Loaded) -> Mapping[str, torch.Tensor]:
        """The same by the definition, each row alone and padded where that is how it is defined; slow."""
        return self.encode([loaded])[0]

    def remarks_on(self, material: Material) -> tuple[str, ...]:
        """Lines on these segments that a user must not overlook, such as that of none it is known who speaks."""
        return ()

    def cut_rows(self, material: Material) -> np.ndarray:
        """(N,) bool: segments of which more is there than the longest input, as far as known before loading."""
        return np.zeros(len(material.table), bool)
