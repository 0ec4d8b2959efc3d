"""Segments that could not be used, listed in a csv beside the store."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from ..features.durable import write_whole
from ..shown import as_cell
from .unusable import Failure, failure_of


class Failures:
    """The segments that an extraction could not use, each named once for each reason, not for each of its views."""

    def __init__(
        self,
        origins: Mapping[str, str],
        audio_features: Iterable[str],
        known: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """``origins`` are the places in the corpus that name the segments; the features are those made of audio.

        ``known`` says by segment what is wrong with it wherever the corpus is.
        """
        self._origins, self._audio_features, self._known = origins, frozenset(audio_features), known
        self._first: dict[tuple[str, str], Failure] = {}
        self._features: dict[tuple[str, str], dict[str, None]] = {}

    def add(self, segment: pd.Series, features: Iterable[str], reason: str) -> None:
        """Note that these features of a row of the segment table could not be made."""
        key = segment["segment_id"], reason
        if key not in self._first:
            self._first[key] = failure_of(segment, self._origins, reason, self._known)
        self._features.setdefault(key, {}).update(dict.fromkeys(features))

    @property
    def segments(self) -> int:
        """How many segments failed that nothing was known to be wrong with."""
        return len({segment_id for segment_id, _ in self._first if segment_id not in self._known})

    def listed(self) -> list[Failure]:
        """All of them; those that lost every feature of their audio name none."""
        return [replace(failure, feature=self._named(self._features[key])) for key, failure in self._first.items()]

    def _named(self, features: Mapping[str, None]) -> str:
        return "" if self._audio_features and self._audio_features <= set(features) else ", ".join(features)


def failures_path(store: Path, shard: str = "") -> Path:
    """Where the segments that could not be used are listed; each share of an extraction has its own list."""
    return store.with_name(f"{store.name}.failures{of_share(shard)}.csv")


def of_share(shard: str) -> str:
    """What the name of a file beside a store has for a share."""
    return f".{shard.replace('/', '-of-')}" if shard else ""


def write_failures(path: Path, failures: Sequence[Failure]) -> Path | None:
    """List failures in a file; returns its path, or None where there are none and so no file."""
    if not failures:
        path.unlink(missing_ok=True)
        return None
    text = io.StringIO()
    rows = csv.DictWriter(text, [item.name for item in fields(Failure)])
    rows.writeheader()
    rows.writerows({name: as_cell(cell) for name, cell in asdict(failure).items()} for failure in failures)
    write_whole(path, [text.getvalue().encode()])
    return path
