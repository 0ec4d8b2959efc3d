"""Values as people write them, read in one way: in configuration files, in plans, and on the command line.

YAML is read by its rules of 2009 (version 1.2), narrowly: ``true`` and ``false`` are truth values, ``3`` and ``-2``
whole numbers, ``0.5`` and ``1e-4`` real numbers, nothing, ``~`` and ``null`` are blank, and all else is text: ``no``,
``010``, ``10:40`` and ``2026-01-31`` too. Names are text, whatever they look like.
"""

from __future__ import annotations

import codecs
import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import SettingError, is_control, shown

LARGEST_SEED = 2**63 - 1  # of torch and numpy alike
_MOST_BYTES = 1_000_000  # of a file of settings
_MOST_LEVELS = 8  # of names within names; a plan has three
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,999}")  # only digits that come back as they were written
_REAL = re.compile(r"[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)")
_NOT_FINITE = ("inf", "-inf", "nan")  # in a word for a real number; what takes the number says what is wrong with it
_BLANK = ("", "~", "null", "Null", "NULL")
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def read_file(path: Path) -> object:
    """What a YAML or JSON file says: options by name, that is text, numbers, truth values, None for blank, and lists.

    Raises SettingError, which names the file, for one that cannot be read, is not UTF-8, says something twice, uses
    anchors or tags, or is too long or too deep to be a file of settings.
    """
    text = _text_of(path)
    language, read = ("JSON", _from_json) if path.suffix == ".json" else ("YAML", _from_yaml)
    try:
        content = read(text)
        _check_levels(content)
    except SettingError as error:
        raise SettingError(f"{path}: is not valid ({error})") from error
    except ValueError as error:
        raise SettingError(f"{path}: is not valid {language} ({' '.join(str(error).split())})") from error
    except RecursionError:
        raise SettingError(f"{path}: is not valid (it is nested too deep)") from None
    return content


def for_field(called: str, value: object, kind: type) -> object:
    """What a file's value means for an option of type ``kind``: bool, int, float or str.

    Nothing is rounded or taken for something else; a real number may be given as a whole one, or as text such as
    ``1e-4``. Raises SettingError, which begins with ``called``.
    """
    if value is None:
        raise SettingError(f"{called} is blank: give it a value, or leave it out")
    if kind is float and isinstance(value, str) and (_is_number(value) or value in _NOT_FINITE):
        value = float(value)
    if kind is str and type(value) in (bool, int, float):
        raise SettingError(f"{called} must be of type str, but is {shown(value)}: write it in quotes")
    check_kind(called, value, kind)
    if kind is str:
        check_text(called, value)
    return value


def from_text(called: str, text: str, kind: type) -> object:
    """What a word of the command line means for an option of type ``kind``, by the rules of files."""
    if kind is not str and _WHOLE.fullmatch(text):
        return for_field(called, int(text), kind)
    return for_field(called, _TRUTH.get(text, text) if kind is bool else text, kind)


def check_kind(called: str, value: object, kind: type) -> None:
    """Raises SettingError when a value is not of a type; a whole number is a real one too, but True is no number."""
    if not (type(value) is kind or (kind is float and type(value) is int and abs(value) < 10**300)):
        raise SettingError(f"{called} must be of type {kind.__name__}, but is {shown(value)}")


def check_kinds(settings: object) -> None:
    """Raises SettingError when a field of a settings dataclass has another type than its default, or odd text."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        check_kind(field.name, value, type(field.default))
        if isinstance(value, str):
            check_text(field.name, value)


def check_least(settings: object, least: float, names: Sequence[str]) -> None:
    """Raises SettingError when one of the named fields is below ``least``, or not finite."""
    for name in names:
        value = getattr(settings, name)
        if not least <= value < math.inf:
            raise SettingError(f"{name} must be at least {least}, but is {shown(value)}")


def check_most(settings: object, most: Mapping[str, float]) -> None:
    """Raises SettingError when a field is above what stands under its name: more than any machine could do."""
    for name, largest in most.items():
        if getattr(settings, name, 0) > largest:
            raise SettingError(f"{name} must be at most {largest}, but is {shown(getattr(settings, name))}")


def check_text(called: str, text: str) -> None:
    """Raises SettingError for text that holds what no name or path of use does, such as NUL or the end of a line."""
    odd = next((each for each in text if is_control(each)), None)
    if odd is not None:
        raise SettingError(
            f"{called} must be text in one line, but holds the character U+{ord(odd):04X}: {shown(text)}"
        )


def first_bytes(path: Path, most: int) -> bytes:
    """The bytes of a file, one more than ``most`` where there are more. Raises SettingError."""
    try:
        with open(path, "rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise SettingError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise SettingError(f"{path}: cannot be read ({error})") from error


def _text_of(path: Path) -> str:
    content = first_bytes(path, _MOST_BYTES)
    if len(content) > _MOST_BYTES:
        raise SettingError(f"{path}: has over {_MOST_BYTES:,} bytes, too many for a file of settings")
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingError(f"{path}: is not UTF-8 (line {line}): save it as UTF-8") from error
    if "\0" in text:  # as UTF-16 without its mark has
        raise SettingError(f"{path}: holds NUL characters: save it as UTF-8")
    return text


def _from_json(text: str):
    def refused(word: str):
        raise SettingError(f"{word} is no number")

    return json.loads(text, object_pairs_hook=_once, parse_constant=refused)


def _from_yaml(text: str):
    import yaml

    # One event after another, for the parser's time grows with the square of the depth, which is bounded here.
    events = yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    nodes = (each for each in events if isinstance(each, yaml.NodeEvent | yaml.CollectionEndEvent))
    try:
        first = next(nodes, None)
        content = None if first is None else _node(first, nodes, 1)
        second = next(nodes, None)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or str(error)
        raise ValueError(f"line {mark.line + 1}: {problem}" if mark else problem) from error
    if second is not None:
        raise SettingError(f"a second document begins in line {second.start_mark.line + 1}")
    return content


def _node(event, following, level: int):
    """What a node of YAML says, of which ``event`` is the first event and ``following`` gives the others."""
    import yaml

    line = event.start_mark.line + 1
    if isinstance(event, yaml.AliasEvent) or event.anchor:
        raise SettingError(f"line {line} has an anchor or an alias: write the value out")
    if event.tag:
        raise SettingError(f"line {line} has the tag {event.tag}: leave it out")
    if isinstance(event, yaml.ScalarEvent):
        return event.value if event.style else _plain(event.value)
    if level > _MOST_LEVELS:
        raise SettingError(f"line {line} is nested too deep")
    values, pairs = [], []
    while not isinstance(first := next(following), yaml.CollectionEndEvent):
        if isinstance(event, yaml.SequenceStartEvent):
            values.append(_node(first, following, level + 1))
            continue
        if not isinstance(first, yaml.ScalarEvent) or first.anchor or first.tag:
            raise SettingError(f"line {first.start_mark.line + 1} has a name that is no text")
        if not first.style and first.value in _BLANK:
            raise SettingError(f"line {first.start_mark.line + 1} has a blank name")
        pairs.append((first.value, _node(next(following), following, level + 1)))
    return values if isinstance(event, yaml.SequenceStartEvent) else _once(pairs)


def _plain(text: str):
    """What a scalar without quotes means."""
    if text in _BLANK:
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _REAL.fullmatch(text) else text


def _is_number(text: str) -> bool:
    return bool(_WHOLE.fullmatch(text) or _REAL.fullmatch(text))


def _once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    content: dict[str, object] = {}
    for name, value in pairs:
        if name in content:
            raise SettingError(f"{shown(name)} stands there twice")
        check_text("a name", name)
        content[name] = value
    return content


def _check_levels(content: object) -> None:
    level, deeper = 0, [content]
    while deeper:
        level += 1
        if level > _MOST_LEVELS + 1:
            raise SettingError("it is nested too deep")
        inner = [each.values() if isinstance(each, dict) else each for each in deeper if isinstance(each, dict | list)]
        deeper = [value for values in inner for value in values]
