"""What an extraction would do, and how long it would take, without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import AudioError
from ..features.opening import open_store
from ..features.rows import BLOCK_ROWS, chunk_rows_for
from ..features.segments import ORIGINAL, REMOVED, merged_table
from ..progress import Track, silent
from .config import ExtractConfig
from .corpora.corpus import Corpus
from .encoders import in_halves
from .kept_splits import with_known_splits
from .moving import first_of_each, holders_of
from .pipeline import (
    Encoders,
    expected_lengths,
    find_work,
    identities_of,
    load_encoders,
    loaders_for,
    no_states,
    seconds_of_segments,
    states_of,
    tokenized,
)
from .review import announced, reviewed
from .sound.inputs import load_input
from .sound.silence import SilenceOptions
from .sound.views import ViewOptions
from .timing import estimated_seconds
from .unusable import Failure, unusable
from .wanted import wanted_rows

_FAILURES_SHOWN = 10


@dataclass(frozen=True)
class FeaturePlan:
    """One feature of the plan."""

    feature: str
    missing: int
    stale: int
    done: int
    copied: int
    """Segments among the missing and stale that are copied from rows of the same input."""

    rows_to_compute: int
    """Valid frames or tokens of the segments to compute; what is copied is not counted."""

    bytes_on_disk: int
    """Of all segments of the corpus once they are complete, the rest of each last chunk counted."""

    seconds: float
    """Estimated from encoding some of the segments of each view here."""


@dataclass(frozen=True)
class Plan:
    """What ``msmt extract`` would do with these settings."""

    store: Path
    segments: int
    copies: int
    """Rows of altered views."""

    hours: float | None
    """Of audio, as far as file headers tell; views not counted. None where no audio feature is made."""

    features: tuple[FeaturePlan, ...]
    remarks: tuple[str, ...] = ()
    """Lines that a user must not overlook, as on the rate at which audio is heard."""

    failures: tuple[Failure, ...] = ()
    """Segments whose files are missing, empty or no audio, as far as their headers tell."""

    failures_allowed: float = 0.0
    """How many segments may fail before the extraction stops."""

    shard: str = ""
    """The share of the row blocks that is counted, such as ``2/3``; empty for all."""

    about: tuple[str, ...] = ()
    """Lines on what was read of the corpus."""

    def lines(self) -> list[str]:
        """The plan for the screen."""
        copies = f" and {self.copies} altered copies" if self.copies else ""
        hours = "" if self.hours is None else f", {self.hours:.2f} hours of audio"
        what = f"{self.segments} segments{copies}{hours}"
        lines = [*self.remarks, f"{self.store}: {what}; nothing was computed or written"]
        if self.shard:
            lines.append(f"counted below are the rows of share {self.shard} alone; MB on disk are of all")
        width = max(16, 2 + max(len(plan.feature) for plan in self.features))
        columns = f"{'missing':>9}{'changed':>9}{'complete':>10}{'copied':>8}{'rows to compute':>17}{'MB on disk':>12}"
        lines.append(f"{'feature':<{width}}{columns}{'minutes':>9}")
        for plan in self.features:
            lines.append(
                f"{plan.feature:<{width}}{plan.missing:>9}{plan.stale:>9}{plan.done:>10}{plan.copied:>8}"
                f"{plan.rows_to_compute:>17}{plan.bytes_on_disk / 1e6:>12.1f}{plan.seconds / 60:>9.1f}"
            )
        return lines + self._lines_of_failures()

    def _lines_of_failures(self) -> list[str]:
        if not self.failures:
            return []
        stops = len(self.failures) > self.failures_allowed
        after = ", more than --max-failures allows, so that extract would stop early" if stops else ""
        lines = [f"{len(self.failures)} segments have files that cannot be used{after}:"]
        lines += [f"  {one.origin}: {one.audio}: {one.reason}" for one in self.failures[:_FAILURES_SHOWN]]
        if len(self.failures) > _FAILURES_SHOWN:
            lines.append(f"  and {len(self.failures) - _FAILURES_SHOWN} more")
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
    corpus, line = with_known_splits(corpus, store)
    corpus = reviewed(corpus, config.allow_shared_audio, track)
    about = [*([line] if line else []), *announced(corpus, store, config.makes_text)]
    wanted = wanted_rows(corpus, store, config, views)
    encoders = load_encoders(config, store, silence, wanted, corpus.name)
    table = wanted.table
    if store.exists():
        there = open_store(store)
        encoders.check(there, config.overwrite)
        table = merged_table(there.segments, there.tasks, table, corpus.tasks)
    present = (table["split"] != REMOVED).to_numpy()
    originals = (table["view"] == ORIGINAL).to_numpy() & present
    failures: Sequence[Failure] = ()
    seconds = np.zeros(len(table))
    if encoders.audio:
        failures = unusable(corpus.root, table[originals], corpus.origins)
        seconds[present] = np.nan_to_num(seconds_of_segments(corpus.root, table[present]))
        seconds[table["segment_id"].isin([failure.segment_id for failure in failures])] = 0.0
    tokens = tokenized(encoders.text, table[present])
    lengths = {name: np.zeros(len(table), int) for name in encoders.specs}
    for name, values in expected_lengths(encoders, seconds[present], table["text"][present], tokens).items():
        lengths[name][present] = values
    features = []
    for name, work in _to_do(corpus, store, encoders, table, config, track).items():
        spec, rows = encoders.specs[name], lengths[name]
        chunk = chunk_rows_for(spec, rows)
        features.append(
            FeaturePlan(
                name,
                work.missing,
                work.stale,
                work.done,
                work.copied,
                rows_to_compute=int(rows[work.to_compute].sum()),
                bytes_on_disk=int((-(-rows // chunk)).sum()) * chunk * spec.row_bytes,
                seconds=_seconds(corpus, encoders, tokens, table, config, name, work.to_compute, rows),
            )
        )
    return Plan(
        store,
        int(originals.sum()),
        int((present & ~originals).sum()),
        float(seconds[originals].sum()) / 3600 if encoders.audio else None,
        tuple(features),
        encoders.remarks,
        tuple(failures),
        config.failures_allowed(int(originals.sum())),
        config.shard,
        tuple(about),
    )


@dataclass(frozen=True)
class _Work:
    """What there is to do for one feature."""

    missing: int
    stale: int
    done: int
    copied: int
    to_compute: np.ndarray
    """Row numbers."""


def _to_do(
    corpus: Corpus, store: Path, encoders: Encoders, table: pd.DataFrame, config: ExtractConfig, track: Track
) -> dict[str, _Work]:
    """What there is to do for each feature."""
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
        held = holders_of(rows.tolist(), identity, states, bool(there and there.is_finished))
        to_compute, followers = first_of_each([row for row in rows.tolist() if row not in held], identity)
        to_do[name] = _Work(*counts, len(held) + len(followers), to_compute)
    return to_do


def _seconds(
    corpus: Corpus,
    encoders: Encoders,
    tokens: dict[str, list[int]],
    table: pd.DataFrame,
    config: ExtractConfig,
    feature: str,
    to_compute: np.ndarray,
    lengths: np.ndarray,
) -> float:
    """How long the rows to compute of one feature will take."""
    is_audio = feature == encoders.audio_feature
    encoder = encoders.audio if is_audio else encoders.text

    def load(row: int):
        if not is_audio:
            return encoder.cut(tokens[table["text"].iloc[row]])
        got = load_input(corpus.root, table.iloc[row], encoder.spec, encoders.remover)
        return None if isinstance(got, AudioError) or not encoder.frames(len(got.samples)) else got.samples

    usable = to_compute[lengths[to_compute] > 0]
    return estimated_seconds(
        {view: usable[(table["view"].iloc[usable] == view).to_numpy()] for view in dict.fromkeys(table["view"])},
        lengths,
        load,
        lambda batch: in_halves(encoder.encode, batch),
        encoder.batch_rows,
        loaders_for(config, encoder)[0],
        shares_cores=encoder.device.type == "cpu",
    )
