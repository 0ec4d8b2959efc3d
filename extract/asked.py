"""Features that a user names: in a file, or in words of the command line.

Only names, kinds and the shape of what is said are looked at here; what the options of a kind may be is its own matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import SettingError, shown
from ..values import read_file
from .extractors.registry import KINDS

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_EXAMPLE = "mel=mel:bands=64 or deep=speech:encoder=FOLDER,layers=[3,6]"


@dataclass(frozen=True)
class Named:
    """One entry of what features are to be made."""

    name: str
    kind: str
    values: Mapping[str, object] = field(default_factory=dict)
    """The options of the kind that were given, by name: as a file has them, or as words and lists of words."""

    place: str = ""
    """How errors begin: with the file, and the feature's name."""

    are_words: bool = False
    """Whether the values come from the command line, where everything is text."""

    @property
    def modality(self) -> str:
        """What it is made from: ``audio`` or ``text``."""
        return KINDS[self.kind].modality


def named_features(path: str, words: Sequence[str]) -> tuple[Named, ...]:
    """What a file of features (none where ``path`` is empty) and words of the command line ask for.

    Raises SettingError, which names the file, the feature and the option.
    """
    named = [*(_from_file(Path(path)) if path else ()), *map(_from_word, words)]
    places: dict[str, str] = {}
    for one in named:
        if one.name in places:
            raise SettingError(f"{one.place}: there are two features of this name, the other in {places[one.name]}")
        places[one.name] = one.place
    return tuple(named)


def check_name(called: str, name: str) -> None:
    """Raise SettingError for what cannot be the name of a feature."""
    if not _NAME.fullmatch(name) or name == "segments":
        raise SettingError(
            f"{called}: a feature's name must be up to 100 letters, digits, - and _, and not segments, but is {shown(name)}"
        )


def _from_file(path: Path) -> list[Named]:
    content = read_file(path)
    if not isinstance(content, dict) or set(content) != {"features"}:
        raise SettingError(f"{path}: must hold 'features:', and below it a line for each, such as 'mel: {{kind: mel}}'")
    features = content["features"]
    if not isinstance(features, dict) or not features:
        raise SettingError(f"{path}: features must hold at least one by name, such as 'mel: {{kind: mel}}'")
    named = []
    for name, values in features.items():
        place = f"{path}: feature {shown(name)}"
        check_name(place, name)
        if not isinstance(values, dict) or "kind" not in values:
            raise SettingError(f"{place}: must be options by name with its kind, such as {{kind: {next(iter(KINDS))}}}")
        kind = _known(place, values["kind"])
        named.append(Named(name, kind, {key: value for key, value in values.items() if key != "kind"}, place))
    return named


def _from_word(word: str) -> Named:
    name, sign, rest = word.partition("=")
    if not sign or not name or not rest:
        raise SettingError(
            f"--feature must be NAME=KIND or NAME=KIND:key=value,…, such as {_EXAMPLE}, not {shown(word)}"
        )
    place = f"--feature {shown(name)}"
    check_name(place, name)
    kind, _, listed = rest.partition(":")
    values: dict[str, object] = {}
    for part in _parts(place, listed) if listed else ():
        key, sign, value = part.partition("=")
        if not sign or not key:
            raise SettingError(f"{place}: options must be key=value, separated by commas, but one is {shown(part)}")
        if key in values:
            raise SettingError(f"{place}: {shown(key)} stands there twice")
        values[key] = _listed(value)
    return Named(name, _known(place, kind), values, place, are_words=True)


def _known(place: str, kind: object) -> str:
    if not isinstance(kind, str) or kind not in KINDS:
        raise SettingError(f"{place}: there is no kind {shown(kind)}; choose from {', '.join(KINDS)}")
    return kind


def _parts(place: str, listed: str) -> list[str]:
    """``a=1,b=[2,3]`` at its commas, but not at those within brackets."""
    parts, depth = [""], 0
    for sign in listed:
        depth += (sign == "[") - (sign == "]")
        if depth not in (0, 1):
            break
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    if depth:
        raise SettingError(f"{place}: the brackets of {shown(listed)} do not match")
    return parts


def _listed(value: str) -> str | list[str]:
    """A word, or the words of a list in brackets."""
    if not (value.startswith("[") and value.endswith("]")):
        return value
    return [part.strip() for part in value[1:-1].split(",")] if value[1:-1].strip() else []
