"""Everything that extractors of the audio share: how a segment is heard, what its rows are made from, and loading it.

What is heard of a segment stands in the spec of the feature: ``sample_rate``, ``max_samples``, ``normalisation``,
``channel``, ``silence`` and ``views``. An extractor adds what is computed of the samples.

Letters in shapes: N rows of the store, n samples.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import AudioError, SettingError, shown
from ...features.rows import identity_of
from ...features.spec import FeatureSpec
from ...values import check_most
from ..sound.inputs import load_input
from ..sound.silence import SilenceOptions, SilenceRemover
from .contract import Job, Loaded, Material, Setup

Content = tuple[object, int]  # what an extractor is given of a row, and the frames that computing it costs
Prepare = Callable[[np.ndarray], Content]  # of (n,) samples; can be pickled, and raises AudioError


@dataclass(frozen=True)
class HearingOptions(SilenceOptions):
    """How audio is heard: the options that every kind of feature of the audio has."""

    rate: int = 0
    """Rate in hertz that the audio is resampled to; 0 for what is usual."""

    seconds: float = 40.0
    """Longest input in seconds; what goes beyond it is cut off, and counted."""

    channel: str = "mean"
    """Channel that is heard: mean over all, a number from 0, or agent or customer of a stereo call."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_most(self, {"rate": 768_000})
        if self.rate and self.rate < 1000:
            raise SettingError(f"rate must be at least 1000 Hz, or 0 for what is usual, but is {self.rate}")
        if not 0 < self.seconds <= 3600:
            raise SettingError(f"seconds must be above 0 and at most 3600, but is {self.seconds}")
        if not re.fullmatch(r"mean|agent|customer|\d{1,3}", self.channel):
            raise SettingError(
                f"channel must be mean, agent, customer or a number from 0, but is {shown(self.channel)}"
            )


@dataclass(frozen=True)
class Hearing:
    """What is heard of every segment, at whatever rate."""

    channel: int | None = None
    """The one channel that is heard, from 0; None for what the segment table says."""

    remover: SilenceRemover | None = None
    """What removes silence before anything else is done to the samples; None where it is kept."""

    views: Mapping[str, Mapping] = field(default_factory=dict)
    """The recipe of each view that alters the audio, by the view's name."""

    @classmethod
    def of(cls, options: HearingOptions, setup: Setup) -> Hearing:
        """As the options of a feature say. SettingError for the agent's channel where it is unknown."""
        remover = SilenceRemover(silence_of(options)) if options.removes else None
        return cls(_channel(options.channel, setup.agent_channel), remover, setup.views_of("audio"))

    @property
    def ending(self) -> str:
        """What the usual name of a feature ends with that is not of the audio as recorded: ``-channel0-nosilence``."""
        return ending_of(self.channel, self.remover is not None)

    def spec_fields(self, sample_rate: int, max_seconds: float, normalisation: str) -> dict:
        """The fields of a spec that say how audio is heard, at a rate in hertz and of so many seconds at most."""
        return {
            "sample_rate": sample_rate,
            "max_samples": round(max_seconds * sample_rate),
            "normalisation": normalisation,
            "channel": self.channel,
            "silence": self.remover.recipe() if self.remover else None,
            "views": dict(self.views),
        }

    def job(self, material: Material, row: int, spec: FeatureSpec, prepare: Prepare) -> Job:
        """What loads one row as ``spec`` has it heard, and prepares its samples, cut at the longest input."""
        return load, (material.root, material.table.iloc[row], spec, self.remover, prepare)


def ending_of(channel: int | None, is_without_silence: bool) -> str:
    """The same, of one channel or all."""
    return ("" if channel is None else f"-channel{channel}") + ("-nosilence" if is_without_silence else "")


def silence_of(options: SilenceOptions) -> SilenceOptions:
    """The options of silence alone, without what else a kind of feature has."""
    return SilenceOptions(options.silence, options.silence_threshold, options.silence_min_ms, options.silence_pad_ms)


def _channel(channel: str, agent_channel: int) -> int | None:
    if channel == "mean":
        return None
    if channel in ("agent", "customer"):
        if agent_channel < 0:
            raise SettingError(f"channel {channel} needs --agent-channel, which says who is on which channel")
        return agent_channel if channel == "agent" else 1 - agent_channel
    return int(channel)


def load(
    root: Path, segment: pd.Series, spec: FeatureSpec, remover: SilenceRemover | None, prepare: Prepare
) -> Loaded | AudioError:
    """What an extractor is given of a row of the segment table, or the reason why there is nothing."""
    heard = load_input(root, segment, spec, remover)
    if isinstance(heard, AudioError):
        return heard
    try:
        content, size = prepare(heard.samples)
    except AudioError as error:
        return error
    said = {
        "seconds": heard.seconds,
        "removed_seconds": heard.removed_seconds,
        "had_speech": float(heard.had_speech),
    }
    return Loaded(content, size, heard.is_cut, said)


def identities(material: Material, specs: Mapping[str, FeatureSpec]) -> dict[str, np.ndarray]:
    """For each feature (N,) uint64: the hash of what each row should be made from; 0 for rows of removed segments."""
    table = material.table
    digests = {path: material.digest_of(path) for path in sorted(set(table["audio"].iloc[material.present]))}
    made = {name: np.zeros(len(table), np.uint64) for name in specs}
    made_by = {name: spec.of_originals.fingerprint for name, spec in specs.items()}
    for row in material.present:
        segment = table.iloc[row]
        for name, spec in specs.items():
            made[name][row] = audio_identity(made_by[name], spec.views, segment, digests[segment["audio"]])
    return made


def audio_identity(made_by: str, recipes: Mapping[str, Mapping], segment: pd.Series, digest: str) -> int:
    """The hash of what a row of an audio feature is made from.

    ``made_by`` is the fingerprint of the feature's spec without its views, ``recipes`` are the views, ``digest`` is the
    audio file's. A view that leaves the audio as it is has the original's identity.
    """
    where = (str(segment[name]) for name in ("start", "end", "channel"))
    recipe = recipes.get(segment["view"])
    view = (json.dumps(recipe, sort_keys=True), segment["segment_id"], segment["view"]) if recipe else ()
    return identity_of(made_by, digest, *where, *view)


def expected_samples(material: Material, spec: FeatureSpec) -> np.ndarray:
    """(N,) int: samples of each segment at the spec's rate, cut at the longest input; 0 where headers do not tell."""
    samples = (np.nan_to_num(material.seconds) * spec.sample_rate).astype(int)
    return samples.clip(0, spec.max_samples)


def cut_rows(material: Material, spec: FeatureSpec) -> np.ndarray:
    """(N,) bool: segments longer than the longest input. Where silence is removed, that is known once it is gone."""
    if spec.silence:
        return np.zeros(len(material.table), bool)
    return material.seconds > spec.max_samples / spec.sample_rate
