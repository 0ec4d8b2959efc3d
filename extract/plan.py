"""What an extraction would do, and how long it would take, without doing it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import AudioError
from ..features.segments import ORIGINAL, REMOVED
from ..features.store import BLOCK_ROWS, chunk_rows_for, merged_table, open_store
from ..progress import Track, silent
from .config import ExtractConfig
from .corpora.corpus import Corpus
from .pipeline import (
    Encoders,
    alike,
    find_work,
    identities_of,
    load_encoders,
    no_states,
    seconds_of_segments,
    states_of,
    tokenized,
)
from .review import announced, reviewed
from .silence import SilenceOptions
from .sound import load_input
from .views import ViewOptions
from .wanted import wanted_rows

_CALIBRATION_RUNS = 2  # timed encodings, after one that is not


@dataclass(frozen=True)
class FeaturePlan:
    """One feature of the plan."""

    feature: str
    missing: int
    stale: int
    done: int
    rows_to_compute: int
    """Valid frames or tokens of the segments to compute; what is copied from a row of the same input is not counted."""

    bytes_on_disk: int
    """Of the whole feature once it is complete, the rest of each last chunk counted."""

    seconds: float
    """Estimated from encoding a few of the segments here."""


@dataclass(frozen=True)
class Plan:
    """What ``msmt extract`` would do with these settings."""

    store: Path
    segments: int
    copies: int
    """Rows of altered views."""

    hours: float
    """Of audio, as far as file headers tell; views not counted."""

    features: tuple[FeaturePlan, ...]

    about: tuple[str, ...] = ()
    """Lines on what was read of the corpus."""

    def lines(self) -> list[str]:
        """The plan for the screen."""
        copies = f" and {self.copies} altered copies" if self.copies else ""
        lines = [
            f"{self.store}: {self.segments} segments{copies}, {self.hours:.2f} hours of audio; nothing was computed or written"
        ]
        width = max(16, 2 + max(len(plan.feature) for plan in self.features))
        columns = f"{'missing':>9}{'changed':>9}{'complete':>10}{'rows to compute':>17}{'MB on disk':>12}{'minutes':>9}"
        lines.append(f"{'feature':<{width}}{columns}")
        for plan in self.features:
            lines.append(
                f"{plan.feature:<{width}}{plan.missing:>9}{plan.stale:>9}{plan.done:>10}{plan.rows_to_compute:>17}"
                f"{plan.bytes_on_disk / 1e6:>12.1f}{plan.seconds / 60:>9.1f}"
            )
        return lines


def make_plan(
    corpus: Corpus,
    store: Path,
    config: ExtractConfig,
    track: Track = silent,
    views: ViewOptions = ViewOptions(),  # noqa: B008  frozen
    silence: SilenceOptions = SilenceOptions(),  # noqa: B008
) -> Plan:
    """Compare a corpus with a store, which need not exist, and time the encoders on a few segments.

    Raises SpecMismatchError as the extraction would.
    """
    corpus = reviewed(corpus, config.allow_shared_audio, track)
    about = announced(corpus, store)
    wanted = wanted_rows(corpus, store, config, views)
    encoders = load_encoders(config, store, silence, wanted)
    table = wanted.table
    if store.exists():
        there = open_store(store)
        encoders.check(there, config.overwrite)
        table = merged_table(there.segments, there.tasks, table, corpus.tasks)
    seconds = np.nan_to_num(seconds_of_segments(corpus.root, wanted.table))
    by_row = dict(zip(_keys(wanted.table), seconds.tolist(), strict=True))
    durations = [by_row.get(key, 0.0) for key in _keys(table)]
    tokens = tokenized(encoders.text, table)
    lengths = {
        encoders.audio_feature: np.array([encoders.audio.frames(int(one * config.sample_rate)) for one in durations]),
        encoders.text_feature: np.array([len(encoders.text.cut(tokens[text])) for text in table["text"]]),
    }
    timed = {
        encoders.audio_feature: lambda rows: _time_audio(corpus, encoders, table, rows),
        encoders.text_feature: lambda rows: _time_text(encoders, tokens, table, rows),
    }
    features = []
    for name, (to_compute, counts) in _to_do(corpus, store, encoders, table, config, track).items():
        spec, rows = encoders.specs[name], lengths[name]
        chunk = chunk_rows_for(spec, rows)
        rows_to_compute = int(rows[to_compute].sum())
        typical = _typical(to_compute.tolist(), rows)
        features.append(
            FeaturePlan(
                name,
                *counts,
                rows_to_compute=rows_to_compute,
                bytes_on_disk=int((-(-rows // chunk)).sum()) * chunk * spec.width * 2,
                seconds=timed[name](typical) * rows_to_compute if rows_to_compute else 0.0,
            )
        )
    originals = (wanted.table["view"] == ORIGINAL).to_numpy()
    return Plan(
        store,
        int(originals.sum()),
        int((~originals).sum()),
        float(seconds[originals].sum()) / 3600,
        tuple(features),
        tuple(about),
    )


def _keys(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(table["segment_id"], table["view"], strict=True))


def _to_do(
    corpus: Corpus, store: Path, encoders: Encoders, table: pd.DataFrame, config: ExtractConfig, track: Track
) -> dict[str, tuple[np.ndarray, tuple[int, int, int]]]:
    """For each feature the rows to compute, and how many are missing, stale and done."""
    number, count = config.share
    there = open_store(store) if store.exists() else None
    to_do = {}
    for name, identity in identities_of(corpus.root, table, encoders, track).items():
        if there and name in there.specs and there.specs[name].is_extended_by(encoders.specs[name]):
            work = find_work(there, {name: identity}, config.share, table)[0]
            states, rows = states_of(there, name, len(table)), work.rows
            counts = len(work.missing), len(work.stale), work.done
        else:
            mine = np.arange(len(table)) // BLOCK_ROWS % count == number - 1
            rows = np.flatnonzero(mine & (table["split"] != REMOVED).to_numpy())
            states, counts = no_states(len(table)), (len(rows), 0, 0)
        to_do[name] = alike(rows.tolist(), identity, states)[0], counts
    return to_do


def _typical(rows: list[int], lengths: np.ndarray) -> list[int]:
    """A few rows of middling length, the first of them to warm up."""
    ordered = sorted(rows, key=lambda row: lengths[row])
    middle = len(ordered) // 2
    return ordered[middle : middle + _CALIBRATION_RUNS + 1] or ordered


def _time_audio(corpus: Corpus, encoders: Encoders, table: pd.DataFrame, rows: list[int]) -> float:
    """Seconds per frame; 0 when none of the segments can be decoded."""
    loaded = [load_input(corpus.root, table.iloc[row], encoders.audio.spec, encoders.remover) for row in rows]
    samples = [one.samples for one in loaded if not isinstance(one, AudioError)]
    return _seconds_per_row(encoders.audio.encode, [one for one in samples if encoders.audio.frames(len(one))])


def _time_text(encoders: Encoders, tokens: dict[str, list[int]], table: pd.DataFrame, rows: list[int]) -> float:
    return _seconds_per_row(encoders.text.encode, [encoders.text.cut(tokens[table["text"].iloc[row]]) for row in rows])


def _seconds_per_row(encode, inputs: list) -> float:
    if not inputs:
        return 0.0
    encode(inputs[:1])
    started = time.perf_counter()
    rows = sum(len(encode([one])[0]) for one in inputs)
    return (time.perf_counter() - started) / rows
