"""The extractors that the settings of an extraction ask for."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..errors import MsmtError, SettingError, StoreError, shown
from ..features.opening import open_store
from ..features.spec import FeatureSpec
from ..features.store import FeatureStore
from ..progress import Track, silent
from ..values import for_field, from_text
from .asked import Named
from .config import ExtractConfig
from .extractors.contract import Extractor, Material, Setup
from .extractors.hearing import ending_of
from .extractors.loading import choose_device, native_precision
from .extractors.registry import KINDS
from .sound.silence import SilenceOptions

# Options of every kind that has them that are options of msmt extract too, by the names that they have there.
_SHARED = {"rate": "sample_rate", "seconds": "max_seconds", "tokens": "max_tokens", "channel": "channel"}
_TYPES = {"bool": bool, "int": int, "float": float, "str": str}


@dataclass(frozen=True)
class Extractors:
    """What makes the features of an extraction."""

    each: tuple[Extractor, ...]
    places: tuple[str, ...]
    """How errors about each begin: with the file that asks for it, and its name; empty for the usual two."""

    def __iter__(self) -> Iterator[Extractor]:
        return iter(self.each)

    @property
    def specs(self) -> dict[str, FeatureSpec]:
        """The spec of each feature, by name."""
        return {name: spec for extractor in self.each for name, spec in extractor.specs.items()}

    @property
    def remarks(self) -> tuple[str, ...]:
        """Lines that a user must not overlook, as on the rate at which audio is heard."""
        return tuple(dict.fromkeys(line for extractor in self.each for line in extractor.remarks))  # each once

    @property
    def need_audio(self) -> bool:
        """Whether some feature is made of the audio."""
        return any(spec.modality != "text" for spec in self.specs.values())

    @property
    def need_text(self) -> bool:
        """Whether some feature is made of the text."""
        return any(spec.modality != "audio" for spec in self.specs.values())

    @property
    def of_audio(self) -> tuple[str, ...]:
        """Names of the features that are made of the audio."""
        return tuple(name for name, spec in self.specs.items() if spec.modality != "text")

    def expected_rows(self, material: Material) -> dict[str, np.ndarray]:
        """For each feature (N,) int: the rows T that each segment is expected to have; 0 where that is not known.

        Raises SettingError for options that make no sense of this corpus.
        """
        expected = {}
        for extractor, place in zip(self.each, self.places, strict=True):
            with _naming(place):
                expected.update(extractor.expected_rows(material))
        return expected

    def remarks_on(self, material: Material) -> tuple[str, ...]:
        """Lines on these segments that a user must not overlook, as that of none it is known who speaks."""
        return tuple(line for extractor in self.each for line in extractor.remarks_on(material))

    def check(self, store: FeatureStore, overwrite: bool) -> None:
        """Raise SpecMismatchError when the store holds these features made in another way, unless ``overwrite``."""
        changed = store.changed_specs(self.specs)
        if changed and not overwrite:
            raise store.mismatch(changed)


def made_extractors(
    config: ExtractConfig,
    store: Path,
    silence: SilenceOptions = SilenceOptions(),  # noqa: B008  frozen
    recipes: Mapping[str, Mapping] | None = None,
    dataset: str = "",
    track: Track = silent,
) -> Extractors:
    """Load what makes the features that the settings ask for; precision ``auto`` follows a store that exists.

    The ``recipes`` of views become part of the specs. Rates may follow from the ``dataset``.
    """
    device = choose_device(config.device)
    there = open_store(store).specs if store.exists() and not config.overwrite else {}
    each, asked = [], config.named or _usual(config, silence)
    for one in asked:
        options = _options(one, config, silence)
        precision = config.precision
        if precision == "auto":
            precision = _stored_precision(there, one.name) or native_precision(device)
        setup = Setup(device, precision, dataset, there, recipes or {}, config.agent_channel, bool(one.place), track)
        with _naming(one.place):
            each.append(KINDS[one.kind].load().load(one.name, options, setup))
    _check_names(each, bool(config.named))
    return Extractors(tuple(each), tuple(one.place for one in asked))


def check_options(config: ExtractConfig) -> None:
    """Raise SettingError for options of named features that make no sense; nothing is loaded."""
    for one in config.named:
        _options(one, config, SilenceOptions())


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Have errors begin with what asks for a feature."""
    try:
        yield
    except MsmtError as error:
        raise type(error)(f"{place}: {error}" if place else str(error)) from error


def _usual(config: ExtractConfig, silence: SilenceOptions) -> list[Named]:
    """The two features that are made unless others are named."""
    usual = []
    if config.makes_audio:
        # A name that was given is that of the plain feature.
        ending = ending_of(config.one_channel, silence.removes) if config.audio_feature else ""
        usual.append(Named(config.audio_feature + ending, "speech", {"encoder": config.audio_encoder}))
    if config.makes_text:
        usual.append(Named(config.text_feature, "text", {"encoder": config.text_encoder}))
    return usual


def _options(one: Named, config: ExtractConfig, silence: SilenceOptions) -> object:
    """The options of a kind, as they were given for one feature, or else for all."""
    kind = KINDS[one.kind].options()
    fields = {each.name: each for each in dataclasses.fields(kind)}
    for name in one.values:
        if name not in fields:
            raise SettingError(
                f"{one.place}: kind {one.kind} has no option {shown(name)}; its options are {', '.join(fields)}"
            )
    given = {name: _value(one, fields[name], value) for name, value in one.values.items()}
    try:
        with _naming(one.place):
            return kind(**{name: value for name, value in _common(config, silence).items() if name in fields} | given)
    except TypeError:
        required = [name for name, each in fields.items() if each.default is each.default_factory]  # both are MISSING
        missing = [name for name in required if name not in given]
        raise SettingError(f"{one.place}: kind {one.kind} needs the option {' and '.join(missing)}") from None


def _common(config: ExtractConfig, silence: SilenceOptions) -> dict[str, object]:
    """The options of msmt extract that hold for every feature, where they are not what they are by default."""
    plain = ExtractConfig()
    common = {name: getattr(config, option) for name, option in _SHARED.items()}
    common = {name: value for name, value in common.items() if value != getattr(plain, _SHARED[name])}
    return common | {name: value for name, value in asdict(silence).items() if value != getattr(SilenceOptions, name)}


def _value(one: Named, field: dataclasses.Field, value: object) -> object:
    """What was given for an option, in the type that the option has."""
    called = f"{one.place}: {field.name}"
    kinds = re.findall(r"\w+", field.type)
    read = from_text if one.are_words else for_field
    if kinds[0] != "tuple":
        if field.name == "channel" and type(value) is int:
            value = str(value)
        if isinstance(value, list):
            raise SettingError(f"{called} must be one value, but is a list of {len(value)}")
        return read(called, value, _TYPES[kinds[0]])
    if not isinstance(value, list):
        value = [value]
    return tuple(read(called, each, _TYPES[kinds[1]]) for each in value)


def _stored_precision(there: Mapping[str, FeatureSpec], name: str) -> str | None:
    """The precision of a feature of this name that is stored, else of all that are; None where they differ."""
    learnt = {feature: spec.precision for feature, spec in there.items() if spec.weights}
    own = {
        precision
        for feature, precision in learnt.items()
        if name and re.fullmatch(rf"{name}(-layer\d+|-last)?", feature)
    }
    known = own or set(learnt.values())
    return known.pop() if len(known) == 1 else None


def _check_names(each: list[Extractor], are_named: bool) -> None:
    """Two features may not have one name."""
    names = [name for extractor in each for name in extractor.specs]
    for name in names:
        if names.count(name) > 1:
            if are_named:
                raise SettingError(f"two features would be called {name}; give them other names")
            raise StoreError(f"audio and text features are both called {name}; name one with --audio-feature")
