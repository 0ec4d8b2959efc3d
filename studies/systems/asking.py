"""What ``msmt extract --preset`` makes: the features of a system, with the files that the user gives."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ...errors import SettingError, shown
from ...extract.asked import Named
from ...extract.extractors.registry import KINDS
from .contract import Feature, System

_TEXT, _AUDIO = "text", "audio"


@dataclass(frozen=True)
class Asked:
    """What a preset comes to."""

    named: tuple[Named, ...]
    """The features to make."""

    remarks: tuple[str, ...]
    """What is left out and why, a line each."""


def files_given(words: Sequence[str]) -> dict[str, str]:
    """``NAME=PATH`` by name; an empty path leaves the feature out. Raises SettingError for what is none."""
    found: dict[str, str] = {}
    for word in words:
        name, sign, path = word.partition("=")
        if not sign or not name:
            raise SettingError(f"--given must be NAME=PATH, such as openl3=FILE, but is {shown(word)}")
        if name in found:
            raise SettingError(f"--given {name} stands there twice")
        found[name] = path
    return found


def features_asked(
    system: System,
    dataset: str,
    given: Mapping[str, str],
    encoders: Mapping[str, str],
    elsewhere: Collection[str] = (),
    there: Collection[str] = (),
) -> Asked:
    """The features of a system, for a corpus.

    ``given`` are paths by name, ``encoders`` those that take the place of the system's own, by ``text`` and ``audio``.
    Features whose names are ``elsewhere``, for the user names them with other options, are left to these; those that a
    store holds (``there``) are not asked for again where their file is not given. Raises SettingError for a file that
    is missing.
    """
    takes = {each.given.name: each.given for each in system.features if each.given}
    unknown = next((name for name in given if name not in takes), None)
    if unknown is not None:
        raise SettingError(
            f"{system.name} takes no --given {shown(unknown)}"
            + (f": it takes {', '.join(takes)}" if takes else ", nor any other")
        )
    named, remarks, left_out = [], [], set()
    for feature in system.features:
        if feature.name in elsewhere:
            continue
        if feature.instead_of and feature.instead_of not in left_out:
            continue
        path = given.get(feature.given.name) if feature.given else ""
        if feature.given and not path:
            left_out.add(feature.name)
            if path is None and _is_in(there, feature):
                remarks.append(f"{feature.name} is in the store and stays as it is")
            elif path == "" or feature.is_optional:
                remarks.append(f"{feature.name} is left out: it needs {_how_to_give(feature)}")
            else:
                raise SettingError(
                    f"{system.name} needs {_how_to_give(feature)}, or --given {feature.given.name}= to leave"
                    f" {feature.name} out, or a --feature {feature.name}=… of your own"
                )
            continue
        named.append(_named(system, feature, dataset, path, encoders))
    return Asked(tuple(named), tuple(remarks))


def without_speakers(system: System, speakers: Collection[str], what: str) -> None:
    """Raises SettingError where a system says who speaks and of nobody is that known; ``what`` is where."""
    if system.needs_speakers and not any(speakers):
        raise SettingError(
            f"{system.name} tells speakers apart, but {what} does not say who speaks: name the column with"
            " --speaker-column, or take a system that does without"
        )


def _named(system: System, feature: Feature, dataset: str, path: str | None, encoders: Mapping[str, str]) -> Named:
    place = f"preset {system.name}: feature {feature.name}"
    if feature.kind not in KINDS:
        raise SettingError(f"{place}: there is no kind {feature.kind}; choose from {', '.join(KINDS)}")
    options = feature.options_for(dataset)
    if feature.given:
        if not Path(path).exists():
            raise SettingError(
                f"--given {feature.given.name}={path}: there is no such file; it is {feature.given.what}"
            )
        options[feature.given.option] = path
    other = encoders.get(KINDS[feature.kind].modality)
    if other and "encoder" in options and not (feature.given and feature.given.option == "encoder"):
        options["encoder"] = other
    return Named(feature.name, feature.kind, options, place)


def _how_to_give(feature: Feature) -> str:
    return f"--given {feature.given.name}=PATH, which is {feature.given.what}"


def _is_in(names: Collection[str], feature: Feature) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in feature.in_store for name in names)


def command_for(system: System, lacking: Sequence[str], store) -> str:
    """The ``msmt extract`` that adds what a store lacks, by names or patterns in the store."""
    words = ["msmt extract", f"--dataset {store.dataset}", f"--preset {system.name}"]
    if store.path.name != f"{store.dataset}{store.path.suffix}" or store.path.parent != Path("cache"):
        words.append(f"--store {store.path}")
    made = [system.feature_named(pattern) for pattern in lacking]
    words += dict.fromkeys(f"--given {each.given.name}=PATH" for each in made if each and each.given)
    return " ".join(words)


def as_file(system: System, dataset: str = "") -> dict[str, dict[str, object]]:
    """Its features as a file of features has them; what must be given is called by its name in capitals."""
    return {
        feature.name: {
            "kind": feature.kind,
            **feature.options_for(dataset),
            **({feature.given.option: feature.given.name.upper()} if feature.given else {}),
        }
        for feature in system.features
    }
