"""What an extraction would do, and how long it would take, without doing it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import AudioError
from ..features.opening import open_store
from ..features.rows import BLOCK_ROWS, chunk_rows_for
from ..features.segments import ORIGINAL, REMOVED, merged_table
from ..progress import Track, silent
from .config import ExtractConfig
from .corpora.corpus import Corpus
from .extractors.contract import Extractor, Material
from .kept_splits import with_known_splits
from .loaders import loaders_for
from .making import Extractors, made_extractors
from .material import material_of
from .moving import first_of_each, holders_of
from .review import announced, reviewed
from .sound.silence import SilenceOptions
from .sound.views import ViewOptions
from .timing import Timed, estimated_seconds
from .unusable import Failure, unusable
from .wanted import wanted_rows
from .work import find_work, no_states, states_of

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
    extractors = made_extractors(config, store, silence, wanted.recipes, corpus.name, track)
    table = wanted.table
    if store.exists():
        there = open_store(store)
        extractors.check(there, config.overwrite)
        table = merged_table(there.segments, there.tasks, table, corpus.tasks)
    present = (table["split"] != REMOVED).to_numpy()
    originals = (table["view"] == ORIGINAL).to_numpy() & present
    material = material_of(corpus.root, table, track)
    failures = unusable(corpus.root, table[originals], corpus.origins, corpus.known) if extractors.need_audio else ()
    usable = present & ~table["segment_id"].isin([failure.segment_id for failure in failures]).to_numpy()
    lengths = _lengths(extractors, material, present, usable)
    to_do = _to_do(corpus, store, extractors, material, config)
    seconds = {
        name: seconds
        for extractor in extractors
        for name, seconds in _seconds(extractor, material, config, to_do, lengths).items()
    }
    features = []
    for name, work in to_do.items():
        spec, rows = extractors.specs[name], lengths[name]
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
                seconds=seconds[name],
            )
        )
    hours = None
    if extractors.need_audio:
        hours = float(np.nan_to_num(material.seconds[originals & usable]).sum()) / 3600
    return Plan(
        store,
        int(originals.sum()),
        int((present & ~originals).sum()),
        hours,
        tuple(features),
        extractors.remarks + extractors.remarks_on(material),
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


def _lengths(
    extractors: Extractors, material: Material, present: np.ndarray, usable: np.ndarray
) -> dict[str, np.ndarray]:
    """For each feature (N,) the rows that each segment is expected to have: none where it is gone, or its audio is."""
    lengths = {}
    for name, rows in extractors.expected_rows(material).items():
        lengths[name] = np.where(present if extractors.specs[name].modality == "text" else usable, rows, 0)
    return lengths


def _to_do(
    corpus: Corpus, store: Path, extractors: Extractors, material: Material, config: ExtractConfig
) -> dict[str, _Work]:
    """What there is to do for each feature."""
    number, count = config.share
    there, table = open_store(store) if store.exists() else None, material.table
    identities = {name: each for extractor in extractors for name, each in extractor.identities(material).items()}
    to_do = {}
    for name, identity in identities.items():
        if there and name in there.specs and there.specs[name].is_extended_by(extractors.specs[name]):
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
    extractor: Extractor,
    material: Material,
    config: ExtractConfig,
    to_do: dict[str, _Work],
    lengths: dict[str, np.ndarray],
) -> dict[str, float]:
    """How long the rows to compute will take: of one pass each of its features that lack rows has an equal part."""
    works = {name: to_do[name] for name in extractor.specs}
    longest = np.max([lengths[name] for name in works], axis=0)
    to_compute = np.unique(np.concatenate([work.to_compute for work in works.values()])).astype(int)
    usable = to_compute[longest[to_compute] > 0]
    size = longest
    if all(spec.unit == "vector" and spec.modality == "audio" for spec in extractor.specs.values()):
        size = np.maximum(1, np.nan_to_num(material.seconds) * 100).astype(int)  # one row, but as costly as it is long

    def load(row: int):
        call, arguments = extractor.job(material, row)
        got = call(*arguments)
        return None if isinstance(got, AudioError) else (int(size[row]), got)

    def encode(batch: list) -> list[Timed]:
        made = extractor.encode([got for _, got in batch])
        return [Timed(rows, tuple(one.values())) for (rows, _), one in zip(batch, made, strict=True)]

    table = material.table
    seconds = estimated_seconds(
        {view: usable[(table["view"].iloc[usable] == view).to_numpy()] for view in dict.fromkeys(table["view"])},
        size,
        load,
        encode,
        extractor.batch_rows,
        loaders_for(config, extractor).count,
        shares_cores=not extractor.is_on_gpu,
    )
    lacking = [name for name, work in works.items() if len(work.to_compute)]
    return {name: seconds / len(lacking) if name in lacking else 0.0 for name in works}
