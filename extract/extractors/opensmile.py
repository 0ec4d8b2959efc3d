"""The feature ``opensmile``: a feature set of openSMILE, as functionals of a segment or as descriptors of its frames.

openSMILE hears samples at the recording's own level, of the channel or the mean that all features of the audio hear,
rounded to 16 bits; what is beyond full scale is clipped. The values are those that its own Python package gives.
"""

from __future__ import annotations

import hashlib
import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...errors import AudioError, SettingError, shown
from ...features.spec import FeatureSpec
from ..sound import audio, smile
from ..sound.smile_conf import standing_alone
from . import hearing
from .contract import Extractor, Job, Loaded, Material, Setup
from .hearing import Content, Hearing, HearingOptions

LICENCE = (
    "openSMILE, and features made with it, are licensed for research and education only;"
    " commercial use needs a licence of audEERING"
)
_USUAL_RATE = 16_000
_USUAL_SET = "eGeMAPSv02"
_TRIED_SECONDS = 4.0  # of noise, by which rows are counted
CHOICES = {"level": tuple(smile.LEVELS)}


@dataclass(frozen=True)
class OpenSmileOptions(HearingOptions):
    """Options of openSMILE's features."""

    set: str = ""
    """Feature set that the package ships: eGeMAPSv02 unless given, ComParE_2016, emobase, …"""

    conf: str = ""
    """Configuration file of one's own, instead of a set; written for the package or for openSMILE's command line."""

    level: str = "functionals"
    """What is taken: functionals (one vector a segment), lld (descriptors, a row a frame), or deltas of these."""

    conf_level: str = ""
    """What a configuration file of one's own calls that level; func, lld or lld_de unless given."""

    rate: int = _USUAL_RATE
    """Rate in hertz that the audio is resampled to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rate:
            object.__setattr__(self, "rate", _USUAL_RATE)
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise SettingError(f"{name} must be {' or '.join(choices)}, but is {shown(getattr(self, name))}")
        if self.set and self.conf:
            raise SettingError(f"set and conf cannot both be given, but are {shown(self.set)} and {shown(self.conf)}")
        if self.conf_level and not self.conf:
            raise SettingError("conf level needs conf; the package's sets know functionals, lld and deltas")
        if self.conf_level and not re.fullmatch(r"\w{1,64}", self.conf_level):
            raise SettingError(f"conf level must be the name of a level, but is {shown(self.conf_level)}")


class OpenSmile(Extractor):
    """Makes one feature. All is computed where segments are loaded, for openSMILE takes one segment on one core."""

    remarks = (LICENCE,)
    costs = {
        "eGeMAPSv02, functionals of segments of 10 s": 88 * 4 * 360.0,
        "ComParE_2016, functionals of segments of 10 s": 6373 * 4 * 360.0,
        "eGeMAPSv02, lld": 25 * 4 * 100 * 3600.0,
    }
    loads_in_processes = is_made_in_loading = True

    def __init__(self, name: str, options: OpenSmileOptions, heard: Hearing) -> None:
        decisive = self._settle(options)
        unit = "vector" if options.level == "functionals" else "frame"
        level_ending = "" if unit == "vector" else f"-{options.level}"
        self.name = name or f"{_as_name(self.recipe.feature_set)}{level_ending}{heard.ending}"
        self.hearing = heard
        fields = heard.spec_fields(options.rate, options.seconds, audio.AS_RECORDED)
        self._rows = _Rows.of(self.recipe, fields["max_samples"])
        if unit == "vector" and self._rows.most != 1:
            raise SettingError(
                f"{options.conf or self.recipe.feature_set}: makes {self._rows.most} rows, so it is no vector of"
                " functionals: use level lld, and conf level for what is read"
            )
        self.spec = FeatureSpec(
            modality="audio",
            encoder=options.conf or self.recipe.feature_set,
            encoder_class=f"openSMILE {smile.version()}",
            weights="",
            width=len(self.columns),
            max_rows=self._rows.most,
            dtype="float32",
            kind="opensmile",
            unit=unit,
            options=decisive,
            **fields,
        )
        self.specs = {self.name: self.spec}

    @classmethod
    def load(cls, name: str, options: OpenSmileOptions, setup: Setup) -> OpenSmile:
        return cls(name, options, Hearing.of(options, setup))

    @property
    def columns(self) -> list[str]:
        """What each value (d,) is called."""
        return smile.columns(self.recipe)

    def identities(self, material: Material) -> Mapping[str, np.ndarray]:
        return hearing.identities(material, self.specs)

    def expected_rows(self, material: Material) -> Mapping[str, np.ndarray]:
        return {self.name: self._rows.expected(hearing.expected_samples(material, self.spec))}

    def job(self, material: Material, row: int) -> Job:
        return self.hearing.job(material, row, self.spec, partial(_computed, self.recipe, self.spec.max_rows))

    def encode(self, batch: Sequence[Loaded]) -> list[Mapping[str, torch.Tensor]]:
        return [{self.name: torch.from_numpy(loaded.content)} for loaded in batch]

    def cut_rows(self, material: Material) -> np.ndarray:
        return hearing.cut_rows(material, self.spec)

    def _settle(self, options: OpenSmileOptions) -> dict:
        """Make ``recipe``; returns what of it decides the values, as the spec says it."""
        level = options.conf_level or smile.LEVELS[options.level]
        if not options.conf:
            feature_set = smile.shipped_set(options.set or _USUAL_SET)
            self.recipe = smile.SmileRecipe(feature_set, level, options.rate)
            return {"set": feature_set, "level": level}
        conf = Path(options.conf)
        text = standing_alone(conf, smile.shared_files()).encode()
        self._folder = tempfile.TemporaryDirectory(prefix="msmt-opensmile-")  # gone with this extractor
        path = Path(self._folder.name) / "standing_alone.conf"
        path.write_bytes(text)
        self.recipe = smile.SmileRecipe(conf.stem, level, options.rate, path)
        return {"conf": hashlib.sha256(text).hexdigest()[:32], "level": level}


@dataclass(frozen=True)
class _Rows:
    """How many rows are made of how many samples, by trial."""

    most: int
    """Of the longest input."""

    samples: int
    """The longest input."""

    each: float
    """Samples from one row to the next; 0 where there is one row, however long the segment."""

    @classmethod
    def of(cls, recipe: smile.SmileRecipe, max_samples: int) -> _Rows:
        tried = min(max_samples, round(_TRIED_SECONDS * recipe.rate))
        whole, half = (_rows_of(recipe, samples) for samples in (tried, tried // 2))
        if whole == half:
            return cls(whole, max_samples, 0.0)
        each = (tried - tried // 2) / (whole - half)
        beyond = (max_samples - tried) / each
        if not each.is_integer():  # a row more or less in what was tried is many in an hour
            beyond *= 1 + 1 / (whole - half)
        return cls(whole + math.ceil(beyond), max_samples, each)

    def expected(self, samples: np.ndarray) -> np.ndarray:
        """(N,) rows of so many samples, but 0 where there are none."""
        if not self.each:
            return np.where(samples > 0, self.most, 0)
        rows = np.rint(self.most - (self.samples - samples) / self.each).astype(int)
        return np.where(samples > 0, rows.clip(1, self.most), 0)


def _rows_of(recipe: smile.SmileRecipe, samples: int) -> int:
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, samples).astype(np.float32)
    try:
        return len(smile.values(recipe, noise))
    except AudioError as error:
        raise SettingError(f"seconds must be more for openSMILE: the longest input {error}") from error


def _computed(recipe: smile.SmileRecipe, max_rows: int, samples: np.ndarray) -> Content:
    made = smile.values(recipe, samples)
    if len(made) > max_rows:
        raise AudioError(f"makes {len(made)} rows, and {recipe.feature_set} should make {max_rows} at most")
    return made, len(made)


def _as_name(feature_set: str) -> str:
    """What a feature may be called after a set, or after a file."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", feature_set)[:60].strip("-") or "opensmile"
