"""Configuration files of openSMILE that were written for its command line, made fit to be given samples.

Such a file reads a WAV file and writes tables. Here its source becomes the one that samples are handed to, its sinks
give way to the one that values are taken from, and what it includes is put in its place, so that the text stands alone:
its digest says what is computed, wherever the files lie.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ...errors import SettingError
from ...values import first_bytes

SOURCE = r"\{\cm[source{?}:source include config]}"
SINK = r"\{\cm[sink{?}:include external sink]}"
_LEVEL = "wave"  # that the source of samples writes
_MOST_LEVELS = 8  # of includes within includes
_MOST_BYTES = 10_000_000  # of one file
_COMMENT = (";", "//", "#", "%")
_BLOCK_COMMENT = re.compile(r"^[ \t]*/\*.*?\*/", re.MULTILINE | re.DOTALL)
_INCLUDE = re.compile(r"\\\{(.+)\}")
_NAMED = re.compile(r"\\cm\[(\w+)(?:\(\w\))?(?:\{(.*?)\})?(?::.*)?\]")  # of the command line: its name, its default
_SECTION = re.compile(r"\[(\w+):(\w+)\]")
_INSTANCE = re.compile(r"instance\[(\w+)\]\.type\s*=\s*(\w+)")
_READS_FILES = re.compile(r"cWaveSource")
_WRITES_FILES = re.compile(r"(?!cExternalSink)c\w*Sink\w*")


def standing_alone(path: Path, shared: Path) -> str:
    """The text of a configuration file with all that it includes, its source and its sinks exchanged.

    What is included and not there is looked for, by its name, in the folder ``shared`` of openSMILE's own files. Raises
    SettingError, which names the file.
    """
    lines = list(_without_files(path, list(_lines(path, shared, {}, 0))))
    if SOURCE not in lines:
        raise SettingError(
            f"{path}: has no source of samples: a cWaveSource that writes the level {_LEVEL}, or the include of"
            " standard_wave_input.conf.inc"
        )
    if SINK not in lines:
        lines.append(SINK)
    return "\n".join(lines) + "\n"


def _lines(path: Path, shared: Path, defaults: dict[str, str], depth: int) -> Iterator[str]:
    """Lines that say something, those of included files in their place; ``defaults`` are what \\cm names stood for."""
    if depth > _MOST_LEVELS:
        raise SettingError(f"{path}: is included within over {_MOST_LEVELS} files; one of them includes itself")
    for line in _BLOCK_COMMENT.sub("", _text_of(path)).splitlines():
        line = line.strip()
        include = _INCLUDE.fullmatch(line)
        if not line or line.startswith(_COMMENT):
            continue
        if not include:
            yield line
            continue
        name = _included(path, include[1].strip(), defaults)
        if name in (SOURCE, SINK):
            yield name
        else:
            yield from _lines(_found(path, name, shared), shared, defaults, depth + 1)


def _included(path: Path, include: str, defaults: dict[str, str]) -> str:
    """What an include names: a file, or SOURCE or SINK."""
    named = _NAMED.fullmatch(include)
    if named:
        option, default = named.groups()
        if option in ("source", "sink"):
            return SOURCE if option == "source" else SINK
        if default:
            defaults.setdefault(option, default)
        if option not in defaults:
            raise SettingError(f"{path}: includes what its option {option} names, and gives it no default")
        include = defaults[option]
    file = include.replace("\\", "/").rpartition("/")[2]
    if re.fullmatch(r"standard_(external_)?wave_input\w*\.conf\.inc", file):
        return SOURCE
    if re.fullmatch(r"standard_(external_)?data_output\w*\.conf\.inc", file):
        return SINK
    return include


def _found(path: Path, name: str, shared: Path) -> Path:
    beside = path.parent / name
    if beside.is_file():
        return beside
    if (shared / beside.name).is_file():
        return shared / beside.name
    raise SettingError(f"{path}: includes {name}, and there is no such file")


def _without_files(path: Path, lines: list[str]) -> Iterator[str]:
    """The lines without the components that read and write files, and with the include of the source in their place."""
    types = dict(match.groups() for line in lines if (match := _INSTANCE.fullmatch(line)))
    reading = {name for name, kind in types.items() if _READS_FILES.fullmatch(kind)}
    writing = {name for name, kind in types.items() if _WRITES_FILES.fullmatch(kind)}
    section = ""
    for line in lines:
        header, instance = _SECTION.fullmatch(line), _INSTANCE.fullmatch(line)
        if header or line in (SOURCE, SINK):
            section = header[1] if header else ""
        if section in reading:
            _check_level(path, line)
        if header and section in reading:
            yield SOURCE
        elif not (section in reading | writing or instance and instance[1] in reading | writing):
            yield line


def _check_level(path: Path, line: str) -> None:
    name, _, level = (part.strip() for part in line.partition("="))
    if name == "writer.dmLevel" and level != _LEVEL:
        raise SettingError(f"{path}: its wave source must write the level {_LEVEL}, but writes {level}")


def _text_of(path: Path) -> str:
    content = first_bytes(path, _MOST_BYTES)
    if len(content) > _MOST_BYTES or b"\0" in content:
        raise SettingError(f"{path}: is no configuration file of openSMILE")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")
