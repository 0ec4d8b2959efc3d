"""Everything that determines the values of a feature, and its fingerprint."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import SettingError

# Where a folder lies and what a hub calls a commit say who made the weights, but the digest of the
# weights alone decides the values: a folder that was moved is still the same encoder.
_ONLY_FOR_THE_READER = ("encoder", "revision", "encoder_rate")
_MOST_VALUES = 2**31  # of one segment, as a store may claim: four gigabytes
# Fields that a spec has only where there is something to say, so that specs of long ago keep their fingerprints.
_UNLESS_EMPTY = ("channel", "silence", "views", "encoder_rate", "options")
_KINDS = {"audio": "speech", "text": "text"}  # what makes a feature, where its spec does not say
_UNITS = {"audio": "frame", "text": "token"}  # what its rows are, where its spec does not say
MODALITIES = ("audio", "text", "both", "vision")
UNITS = ("frame", "token", "vector")
DTYPES = ("float16", "float32")

# Classes of speech encoders that take a waveform: all of their published weights were trained at this rate.
SPEECH_RATE = 16_000
_SPEECH_CLASSES = (
    "Data2VecAudioModel",
    "HubertModel",
    "SEWDModel",
    "SEWModel",
    "UniSpeechModel",
    "UniSpeechSatModel",
    "Wav2Vec2ConformerModel",
    "Wav2Vec2Model",
    "WavLMModel",
)

RUN = "run"  # kind of a feature that a trained run has made
LEARNT_BY = "scheme"  # option of such a one: the way of splitting that the run learnt by, unless it is the corpus's own


@dataclass(frozen=True)
class FeatureSpec:
    """How one feature is made. Two stores agree on a feature when its fingerprints are equal."""

    modality: str
    """``audio`` or ``text``, or ``both`` for what a trained network made of both; ``vision`` of imported features."""

    encoder: str
    """Hub id or folder the encoder was loaded from, as the user gave it; else what made the feature."""

    encoder_class: str
    """Class of the model, such as ``HubertModel``; else what made the feature, with its version."""

    weights: str
    """Digest of the encoder's configuration, parameters and, for text, tokenizer; empty where nothing was learnt."""

    width: int
    """Values per row (d)."""

    max_rows: int
    """Rows of the longest input (T): 999 audio frames, 199 tokens by default; 1 for a vector."""

    revision: str | None = None
    """Commit on the hub, if the encoder came from there."""

    layer: int = -1
    """Index into the encoder's hidden states; -1 is the last."""

    sample_rate: int | None = None
    """Hertz the audio is resampled to; None for text."""

    max_samples: int | None = None
    """Longest input in samples; longer segments are cut, shorter ones zero-padded to it."""

    normalisation: str | None = None
    """What is done to a segment's samples before the encoder."""

    padding: str | None = None
    """The computation that defines the values of a frame."""

    precision: str = "float32"
    """Arithmetic of the encoder: ``float32`` or ``bfloat16``."""

    dtype: str = "float16"
    """Type of the stored values."""

    channel: int | None = None
    """The one channel of the audio that is used, 0 is the first; None for what the segment table says."""

    silence: Mapping | None = None
    """How silence is removed before anything else is done to the samples; None where it is kept."""

    views: Mapping[str, Mapping] = field(default_factory=dict)
    """The recipe of each view that alters what this feature is made from, by the view's name."""

    encoder_rate: int | None = None
    """Hertz the encoder was trained at, as far as it says so itself or its class is known; None for text."""

    kind: str = ""
    """What makes the feature: ``speech``, ``text``, ``mel``, …; unless given, speech of audio and text of text."""

    unit: str = ""
    """What a row is: ``frame``, ``token`` or ``vector``; unless given, a frame of audio and a token of text."""

    options: Mapping = field(default_factory=dict)
    """What else decides the values, as its kind names it: layers, bands, turns of context."""

    def __post_init__(self) -> None:
        _check_kinds(self)
        if self.modality not in MODALITIES:
            raise SettingError(f"modality must be {' or '.join(MODALITIES)}, but is {self.modality!r}")
        if self.dtype not in DTYPES:
            raise SettingError(f"dtype must be {' or '.join(DTYPES)}, but is {self.dtype!r}")
        object.__setattr__(self, "kind", self.kind or _KINDS.get(self.modality, ""))
        object.__setattr__(self, "unit", self.unit or _UNITS.get(self.modality, "vector"))
        if self.unit not in UNITS or self.unit == "vector" and self.max_rows != 1:
            raise SettingError(f"a {self.unit!r} of {self.max_rows} rows cannot be what a feature's rows are")
        if self.max_rows < 1 or self.width < 1:
            raise SettingError(f"a feature must have rows and columns, but is ({self.max_rows}, {self.width})")
        if self.max_rows * self.width > _MOST_VALUES:
            raise SettingError(f"a segment may have {_MOST_VALUES} values, but has {self.max_rows} x {self.width}")

    @property
    def fingerprint(self) -> str:
        """Hash of all fields that determine the values."""
        decisive = {name: value for name, value in self.to_json().items() if name not in _ONLY_FOR_THE_READER}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def value_bytes(self) -> int:
        """Bytes of one stored value."""
        return 2 if self.dtype == "float16" else 4

    @property
    def stored_type(self) -> str:
        """What numpy calls the type of stored values, little-endian."""
        return f"<f{self.value_bytes}"

    @property
    def row_bytes(self) -> int:
        """Bytes of one stored frame, token or vector."""
        return self.width * self.value_bytes

    @property
    def is_plain(self) -> bool:
        """Whether it is of the audio as recorded: of all channels, with its silences."""
        return self.silence is None and self.channel is None

    @property
    def trained_rate(self) -> int | None:
        """Hertz the encoder was trained at; by its class where the spec does not say."""
        return self.encoder_rate or known_rate(self.encoder_class)

    @property
    def is_at_another_rate(self) -> bool:
        """Whether the encoder is given audio of another rate than it was trained at, as far as that is known."""
        return self.modality == "audio" and self.trained_rate not in (None, self.sample_rate)

    @property
    def of_originals(self) -> FeatureSpec:
        """The spec without its views: all that determines the values of a segment as recorded."""
        return dataclasses.replace(self, views={})

    @property
    def unnamed(self) -> FeatureSpec:
        """The spec without what only its reader is told, which the fingerprint does not vouch for."""
        return dataclasses.replace(self, encoder="", revision=None, encoder_rate=None)

    def named_by(self, other: FeatureSpec) -> FeatureSpec:
        """The spec with what ``other`` tells its reader, where it tells nothing itself; see ``unnamed``."""
        if self != self.unnamed:
            return self
        return dataclasses.replace(self, **{name: getattr(other, name) for name in _ONLY_FOR_THE_READER})

    def is_extended_by(self, other: FeatureSpec) -> bool:
        """Whether ``other`` gives the originals the same values, whatever its views."""
        return not self.of_originals.differences(other.of_originals)

    def differences(self, other: FeatureSpec) -> list[str]:
        """One phrase per deciding field in which ``other`` differs, such as ``sample_rate 8000, not 16000``.

        A view that only one of them has is no difference: a feature may be given further views.
        """
        mine, theirs = dataclasses.asdict(self.of_originals), dataclasses.asdict(other.of_originals)
        phrases = [
            _difference(name, mine[name], theirs[name])
            for name in mine
            if mine[name] != theirs[name] and name not in _ONLY_FOR_THE_READER
        ]
        return phrases + self.differences_of_views(other.views)

    def differences_of_views(self, recipes: Mapping[str, Mapping]) -> list[str]:
        """One phrase per view whose recipe is another here: ``view noise with seed 0, not 1``."""
        return [
            _difference(f"view {view}", recipe, recipes[view])
            for view, recipe in self.views.items()
            if recipes.get(view, recipe) != recipe
        ]

    def to_json(self) -> dict:
        fields = dataclasses.asdict(self)
        fields["views"] = dict(sorted(fields["views"].items()))
        for name, known in (("kind", _KINDS), ("unit", _UNITS)):
            if fields[name] == known.get(self.modality):
                del fields[name]
        return {name: value for name, value in fields.items() if value not in (None, {}) or name not in _UNLESS_EMPTY}

    @classmethod
    def from_json(cls, fields: dict) -> FeatureSpec:
        return cls(**fields)


def _check_kinds(spec: FeatureSpec) -> None:
    """Specs are read from files too, and their numbers become allocations."""
    kinds = {"str": str, "int": int, "Mapping": Mapping, "Mapping[str, Mapping]": Mapping, "None": type(None)}
    for each in dataclasses.fields(spec):
        value = getattr(spec, each.name)
        allowed = [kinds[part.strip()] for part in each.type.split("|")]
        if not any(isinstance(value, kind) and not isinstance(value, bool) for kind in allowed):
            raise SettingError(f"{each.name} of a feature must be {each.type}, but is {value!r:.80}")
    if not all(isinstance(view, str) and isinstance(recipe, Mapping) for view, recipe in spec.views.items()):
        raise SettingError("views of a feature must be recipes by name")


def known_rate(encoder_class: str) -> int | None:
    """Hertz that encoders of a class, such as ``HubertModel``, were trained at; None where the class is not known."""
    return SPEECH_RATE if encoder_class in _SPEECH_CLASSES else None


def _difference(name: str, mine, theirs) -> str:
    """``sample_rate 8000, not 16000``; of a recipe only what differs: ``silence with threshold 0.5, not 0.7``."""
    if not (isinstance(mine, Mapping) and isinstance(theirs, Mapping)):
        return f"{name} {mine}, not {theirs}"
    parts = [part for part in {**mine, **theirs} if mine.get(part) != theirs.get(part)]
    return f"{name} with {' and '.join(f'{part} {mine.get(part)}, not {theirs.get(part)}' for part in parts)}"
