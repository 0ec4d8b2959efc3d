"""What an extraction would do, and how long it would take, without doing it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import AudioError
from ..features.segments import REMOVED
from ..features.store import block_of, chunk_rows_for, open_store
from ..progress import Track, silent
from .config import ExtractConfig
from .corpora.corpus import Corpus
from .pipeline import Encoders, find_work, identities_of, load_encoders, load_samples, seconds_of_segments, tokenized

_CALIBRATION_RUNS = 2  # timed encodings, after one that is not


@dataclass(frozen=True)
class FeaturePlan:
    """One feature of the plan."""

    feature: str
    missing: int
    stale: int
    done: int
    rows_to_compute: int
    """Valid frames or tokens of the segments to compute."""

    bytes_on_disk: int
    """Of the whole feature once it is complete, the rest of each last chunk counted."""

    seconds: float
    """Estimated from encoding a few of the segments here."""


@dataclass(frozen=True)
class Plan:
    """What ``msmt extract`` would do with these settings."""

    store: Path
    segments: int
    hours: float
    """Of audio, as far as file headers tell."""

    features: tuple[FeaturePlan, ...]

    def lines(self) -> list[str]:
        """The plan for the screen."""
        lines = [
            f"{self.store}: {self.segments} segments, {self.hours:.2f} hours of audio; nothing was computed or written"
        ]
        columns = f"{'feature':<16}{'missing':>9}{'changed':>9}{'complete':>10}{'rows to compute':>17}{'MB on disk':>12}{'minutes':>9}"
        lines.append(columns)
        for plan in self.features:
            lines.append(
                f"{plan.feature:<16}{plan.missing:>9}{plan.stale:>9}{plan.done:>10}{plan.rows_to_compute:>17}"
                f"{plan.bytes_on_disk / 1e6:>12.1f}{plan.seconds / 60:>9.1f}"
            )
        return lines


def make_plan(corpus: Corpus, store: Path, config: ExtractConfig, track: Track = silent) -> Plan:
    """Compare a corpus with a store, which need not exist, and time the encoders on a few segments.

    Raises SpecMismatchError as the extraction would.
    """
    encoders = load_encoders(config, store)
    seconds = np.nan_to_num(seconds_of_segments(corpus))
    tokens = tokenized(encoders.text, corpus.table)
    ids = corpus.table["segment_id"]
    lengths = {
        encoders.audio_feature: dict(
            zip(ids, (encoders.audio.frames(int(one * config.sample_rate)) for one in seconds), strict=True)
        ),
        encoders.text_feature: {name: len(encoders.text.cut(tokens[name])) for name in ids},
    }
    to_do, counts = _to_do(corpus, store, encoders, config, track)
    timed = {
        encoders.audio_feature: lambda names: _time_audio(corpus, encoders, names),
        encoders.text_feature: lambda names: _time_text(encoders, tokens, names),
    }
    features = []
    for name, spec in encoders.specs.items():
        rows = np.array([lengths[name][one] for one in ids])
        chunk = chunk_rows_for(spec, rows)
        chosen = to_do[name]
        rows_to_compute = sum(lengths[name][one] for one in chosen)
        features.append(
            FeaturePlan(
                name,
                *counts[name],
                rows_to_compute=rows_to_compute,
                bytes_on_disk=int((-(-rows // chunk)).sum()) * chunk * spec.width * 2,
                seconds=timed[name](_typical(chosen, lengths[name])) * rows_to_compute if rows_to_compute else 0.0,
            )
        )
    return Plan(store, len(ids), float(seconds.sum()) / 3600, tuple(features))


def _to_do(corpus: Corpus, store: Path, encoders: Encoders, config: ExtractConfig, track: Track):
    """For each feature the ids of the segments to compute, and how many are missing, stale and done."""
    number, count = config.share
    if not store.exists():
        mine = [name for row, name in enumerate(corpus.table["segment_id"]) if block_of(row) % count == number - 1]
        return {name: mine for name in encoders.specs}, {name: (len(mine), 0, 0) for name in encoders.specs}
    there = open_store(store)
    encoders.check(there, config.overwrite)
    known = there.segments["segment_id"]
    gone = ~known.isin(corpus.table["segment_id"])
    current = there.segments.assign(split=there.segments["split"].mask(gone, REMOVED))
    fresh = [name for name in corpus.table["segment_id"] if name not in set(known)]
    columns = corpus.table.set_index("segment_id")
    for column in ("audio", "start", "end", "channel", "text", "split"):
        current.loc[~gone, column] = columns.loc[known[~gone], column].to_numpy()
    ids, counts = {}, {}
    for name, identity in identities_of(corpus.root, current, encoders, track).items():
        if name not in there.specs or there.specs[name].differences(encoders.specs[name]):
            ids[name] = corpus.table["segment_id"].tolist()
            counts[name] = (len(ids[name]), 0, 0)
            continue
        work = find_work(there, {name: identity}, config.share, current)[0]
        ids[name] = [*known.iloc[work.rows], *fresh]
        counts[name] = (len(work.missing) + len(fresh), len(work.stale), work.done)
    return ids, counts


def _typical(names: list[str], lengths: dict[str, int]) -> list[str]:
    """A few segments of middling length, the first of them to warm up."""
    ordered = sorted(names, key=lambda name: lengths[name])
    middle = len(ordered) // 2
    return ordered[middle : middle + _CALIBRATION_RUNS + 1] or ordered


def _time_audio(corpus: Corpus, encoders: Encoders, names: list[str]) -> float:
    """Seconds per frame; 0 when none of the segments can be decoded."""
    samples = [load_samples(corpus.root, segment, encoders.audio.spec) for segment in _segments(corpus, names)]
    usable = [one for one in samples if not isinstance(one, AudioError) and encoders.audio.frames(len(one))]
    return _seconds_per_row(encoders.audio.encode, usable)


def _segments(corpus: Corpus, names: list[str]):
    table = corpus.table.set_index("segment_id")
    return [table.loc[name] for name in names]


def _time_text(encoders: Encoders, tokens: dict[str, list[int]], names: list[str]) -> float:
    return _seconds_per_row(encoders.text.encode, [encoders.text.cut(tokens[name]) for name in names])


def _seconds_per_row(encode, inputs: list) -> float:
    if not inputs:
        return 0.0
    encode(inputs[:1])
    started = time.perf_counter()
    rows = sum(len(encode([one])[0]) for one in inputs)
    return (time.perf_counter() - started) / rows
