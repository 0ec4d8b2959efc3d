"""The kinds of features with their options, and what they cost: for ``msmt features``."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..features.rows import MISSING
from ..features.segments import ORIGINAL, REMOVED
from ..features.store import FeatureStore
from ..shown import as_line
from .extractors.registry import KINDS
from .material import seconds_of_rows

_WIDTH = 112  # of a line on the screen
_INDENT = 26


@dataclass(frozen=True)
class Option:
    """One option of a kind of feature."""

    name: str
    default: object
    help: str
    """The sentence under the field."""


@dataclass(frozen=True)
class Cost:
    """What a feature of a store takes."""

    feature: str
    kind: str
    values: str
    """Width, type and what a row is, such as ``768 float16 a frame``."""

    bytes_per_hour: float
    """Valid bytes for each hour of the audio of its rows; NaN where no length is known."""

    hours: float
    """Of that audio, originals only."""


def options_of_kind(kind: str) -> list[Option]:
    """The options of a kind, those first that it has for itself."""
    settings = KINDS[kind].options()
    helps: dict[str, str] = {}
    for cls in reversed(settings.__mro__):
        if dataclasses.is_dataclass(cls):
            helps |= _sentences(cls)
    own = [name for name in vars(settings).get("__annotations__", {})]
    fields = {each.name: each for each in dataclasses.fields(settings)}
    names = [*[name for name in own if name in fields], *[name for name in fields if name not in own]]
    return [Option(name, fields[name].default, helps.get(name, "")) for name in names]


def lines_of_kinds() -> list[str]:
    """Every kind with its options, and what it takes, for the screen."""
    lines = []
    for name, kind in KINDS.items():
        lines += ["", f"{name}: {kind.help}"]
        for option in options_of_kind(name):
            default = _written(option.default)
            head = f"  {option.name}{f' = {default}' if default else ''}"
            if len(head) >= _INDENT:
                lines.append(head)
                head = ""
            lines += textwrap.wrap(
                option.help, _WIDTH, initial_indent=f"{head:<{_INDENT}}", subsequent_indent=" " * _INDENT
            )
        for what, size in kind.load().costs.items():
            lines.append(f"  an hour of audio takes about {_size(size)}: {what}")
    return lines[1:]


def costs_of(store: FeatureStore, data: Path) -> list[Cost]:
    """What each feature of a store takes for each hour of its audio, by the rows that are there.

    Lengths of segments are those of the segment table, else of the headers of the files below ``data``, else what
    follows from the rows of a feature of the audio.
    """
    table = store.segments
    seconds = seconds_of_rows(data, table)
    for name, spec in store.specs.items():
        if spec.modality == "audio" and spec.unit == "frame" and spec.max_samples and spec.silence is None:
            frames = store.lengths(name)
            row_seconds = spec.max_samples / spec.sample_rate / spec.max_rows
            seconds = np.where(np.isnan(seconds) & (frames != MISSING), frames * row_seconds, seconds)
    counted = ((table["split"] != REMOVED) & (table["view"] == ORIGINAL)).to_numpy() & ~np.isnan(seconds)
    costs = []
    for name, spec in store.specs.items():
        lengths = store.lengths(name)
        there = counted & (lengths != MISSING)
        hours = float(seconds[there].sum()) / 3600
        size = float(lengths[there].sum()) * spec.row_bytes
        values = f"{spec.width:,} {spec.dtype} a {spec.unit}"
        costs.append(Cost(name, spec.kind, values, size / hours if hours else float("nan"), hours))
    return costs


def lines_of_costs(store: FeatureStore, costs: list[Cost]) -> list[str]:
    """The same for the screen."""
    width = max(16, 2 + max((len(one.feature) for one in costs), default=0))
    lines = [f"{store.path}: what its features take for each hour of their audio"]
    lines.append(f"{'feature':<{width}}{'kind':<12}{'values':<26}{'an hour takes':>14}{'hours there':>13}")
    for one in costs:
        size = "?" if np.isnan(one.bytes_per_hour) else _size(one.bytes_per_hour)
        kind = as_line(one.kind)
        lines.append(f"{one.feature:<{width}}{kind:<12}{one.values:<26}{size:>14}{one.hours:>13.2f}")
    return lines


def _sentences(settings: type) -> dict[str, str]:
    """The docstring under each field that a dataclass has itself, in one line, without its full stop."""
    body = ast.parse(textwrap.dedent(inspect.getsource(settings))).body[0].body
    return {
        field.target.id: " ".join(ast.literal_eval(text.value).split()).rstrip(".").replace("``", "")
        for field, text in zip(body, body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def _written(default: object) -> str:
    """A default as one would write it; empty where there is none to show."""
    if default is dataclasses.MISSING or default in ("", ()):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return f"[{', '.join(map(str, default))}]" if isinstance(default, tuple) else str(default)


def _size(count: float) -> str:
    for scale, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count:.0f} B"
