"""Extraction: what a store lacks of a corpus is computed and committed, block by block.

Rows are worked on in windows of some row blocks. Within a window segments are sorted by length, so
that a batch holds segments of like length; a block is committed as soon as its last row is known.
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import AudioError, LockedError, StoreError
from ..features.copying import recover
from ..features.durable import write_whole
from ..features.opening import open_store, writer_for
from ..features.rows import BLOCK_ROWS, MISSING, Row, RowStates, block_of, identity_of
from ..features.segments import ORIGINAL, REMOVED
from ..features.spec import FeatureSpec
from ..features.store import FeatureStore
from ..features.writer import StoreWriter
from ..progress import Track, silent
from ..shown import as_cell, as_line
from .config import ExtractConfig
from .corpora.registry import Corpus
from .digests import file_digest
from .encoders import (
    AudioEncoder,
    AudioModel,
    TextEncoder,
    as_stored,
    choose_device,
    feature_name,
    in_halves,
    native_precision,
)
from .kept_splits import with_known_splits
from .moving import first_of_each, holders_of, identities_are_sealed, move_rows
from .rate import choose_rate, remarks_on
from .removed import SilenceLog
from .review import announced, reviewed
from .sound import audio
from .sound.inputs import Input, load_input
from .sound.silence import SilenceOptions, SilenceRemover
from .sound.views import ViewOptions
from .unusable import Failure, failure_of
from .wanted import Wanted, rows_per_class, wanted_rows
from .windows import by_block, windows

_THREADS = 2  # that decode ahead of an encoder on the CPU, and hash files
_MOST_PROCESSES = 8  # that decode ahead of an encoder on a GPU
_PATIENCE = 60.0  # seconds that a share waits for another to prepare the store


@dataclass(frozen=True)
class FeatureWork:
    """What an extraction finds to do for one feature, as row numbers of the store."""

    feature: str
    missing: np.ndarray
    stale: np.ndarray
    """Rows whose audio or text has changed since they were made."""

    done: int
    """Rows that are complete and need nothing."""

    @property
    def rows(self) -> np.ndarray:
        return np.sort(np.concatenate([self.missing, self.stale]))


class Waits:
    """Seconds the encoding thread spent on each stage: waiting for the others, or encoding."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {"loading": 0.0, "encoding": 0.0, "committing": 0.0}

    @contextmanager
    def measured(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - started


@dataclass
class Summary:
    """What an extraction did."""

    store: Path
    segments: int
    works: list[FeatureWork] = field(default_factory=list)
    copies: int = 0
    """Rows of altered views."""

    shard: str = ""
    """The share of the row blocks that was worked on, such as ``2/3``; empty for all."""

    computed: dict[str, int] = field(default_factory=dict)
    """Rows committed, by feature, those included that were copied."""

    copied: dict[str, int] = field(default_factory=dict)
    """How many of these were copied from rows made from the same input."""

    failures: list[Failure] = field(default_factory=list)
    failures_file: Path | None = None
    stopped_early: bool = False
    """Whether more segments failed than were allowed, so that the rest was not tried."""

    cut_audio: int = 0
    """Segments longer than the longest audio input."""

    cut_text: int = 0
    """Segments with more tokens than the longest text input."""

    empty_texts: int = 0
    removed: int = 0
    """Segments of the store that have left the corpus."""

    removed_views: int = 0
    """Segments with views that are not wanted any more, mostly because they have left the training split."""

    split: str = ""
    """The training split."""

    classes_before: dict[str, int] = field(default_factory=dict)
    """Rows of the training split by class, originals only; empty without views."""

    classes_after: dict[str, int] = field(default_factory=dict)
    """The same with all views."""

    silence: SilenceLog | None = None
    """What was removed where silence is."""

    waits: Waits = field(default_factory=Waits)

    def lines(self) -> list[str]:
        """The summary for the screen."""
        views = f" and {self.copies} altered copies" if self.copies else ""
        lines = [f"{self.store}: {self.segments} segments{views}"]
        if self.shard:
            lines.append(f"  of these, counted below are the rows of share {self.shard} alone")
        for work in self.works:
            committed, copied = self.computed.get(work.feature, 0), self.copied.get(work.feature, 0)
            alike = f"{copied} copied from rows of the same input, " if copied else ""
            lines.append(
                f"  {work.feature}: {committed - copied} computed, {alike}{work.done} were complete,"
                f" {len(work.rows) - committed} missing"
            )
        if self.classes_after:
            for when, counts in (("without", self.classes_before), ("with", self.classes_after)):
                shown = ", ".join(f"{as_line(name)} {count}" for name, count in counts.items())
                lines.append(f"  rows of {as_line(self.split)} {when} copies: {shown}")
        if self.silence:
            lines += [f"  {line}" for line in self.silence.lines()]
        remarks = (
            (self.cut_audio, "longer than the longest audio input, cut"),
            (self.cut_text, "with more tokens than the longest text input, cut"),
            (self.empty_texts, "with an empty transcript"),
            (self.removed, "no longer in the corpus; their rows stay under the split 'removed' and are not used"),
            (
                self.removed_views,
                "with copies that are no longer wanted; these stay under the split 'removed' and are not used",
            ),
        )
        lines += [f"  {count} segment{'s' if count != 1 else ''} {what}" for count, what in remarks if count]
        total = sum(self.waits.seconds.values())
        if total > 1:
            shares = ", ".join(f"{stage} {seconds / total:.0%}" for stage, seconds in self.waits.seconds.items())
            lines.append(f"  time of the encoding thread: {shares}")
        if self.failures:
            first = self.failures[0]
            lines.append(
                f"  {len(self.failures)} segments have no audio feature, listed in {self.failures_file}; the first:"
            )
            lines.append("    " + as_line(f"{first.origin}: {first.audio}: {first.reason}"))
        if self.stopped_early:
            lines.append("  stopped early: more segments failed than --max-failures allows; what was computed stays")
        return lines


@dataclass(frozen=True)
class Encoders:
    """The encoders of a store, and the names of their features."""

    audio: AudioEncoder | None
    """None where no audio feature is made."""

    text: TextEncoder | None
    """None where no text feature is made."""

    audio_feature: str = ""
    text_feature: str = ""
    remover: SilenceRemover | None = None
    """What removes silence, where the audio's spec has it removed."""

    remarks: tuple[str, ...] = ()
    """Lines that a user must not overlook, as on the rate at which audio is heard."""

    @property
    def specs(self) -> dict[str, FeatureSpec]:
        """The spec of each feature, by name."""
        made = ((self.audio_feature, self.audio), (self.text_feature, self.text))
        return {name: encoder.spec for name, encoder in made if encoder}

    def check(self, store: FeatureStore, overwrite: bool) -> None:
        """Raise SpecMismatchError when the store holds these features made in another way, unless ``overwrite``."""
        changed = store.changed_specs(self.specs)
        if changed and not overwrite:
            raise store.mismatch(changed)


def load_encoders(
    config: ExtractConfig,
    store: Path,
    silence: SilenceOptions = SilenceOptions(),  # noqa: B008  frozen
    wanted: Wanted | None = None,
    dataset: str = "",
) -> Encoders:
    """Load the encoders that the settings ask for; precision ``auto`` follows a store that exists.

    The recipes of the views that are ``wanted`` become part of the specs. Rates may follow from the ``dataset``.
    """
    device = choose_device(config.device)
    precision = config.precision
    there = open_store(store).specs if store.exists() and not config.overwrite else {}
    if precision == "auto":
        known = {spec.precision for spec in there.values()}
        precision = known.pop() if len(known) == 1 else native_precision(device)
    audio_encoder = text_encoder = remover = None
    audio_name = text_name = ""
    remarks: list[str] = []
    if config.makes_audio:
        loaded = AudioModel.load(config.audio_encoder)
        remover, channel = SilenceRemover(silence) if silence.removes else None, config.one_channel
        plain_name = config.audio_feature or feature_name(loaded.module)
        audio_name = plain_name + ("" if channel is None else f"-channel{channel}") + ("-nosilence" if remover else "")
        rate = choose_rate(
            config.sample_rate, dataset, config.audio_encoder, loaded.rate, there, (audio_name, plain_name)
        )
        audio_encoder = AudioEncoder.of(
            loaded, sample_rate=rate.hertz, max_seconds=config.max_seconds, device=device, precision=precision
        )
        remarks += remarks_on(audio_name, config.audio_encoder, audio_encoder.spec.encoder_class, loaded.rate, rate)
        audio_encoder.spec = replace(
            audio_encoder.spec,
            channel=channel,
            silence=remover.recipe() if remover else None,
            views=wanted.recipes_of("audio") if wanted else {},
        )
    if config.makes_text:
        text_encoder = TextEncoder.load(
            config.text_encoder, max_tokens=config.max_tokens, device=device, precision=precision
        )
        text_name = config.text_feature or feature_name(text_encoder.model)
        text_encoder.spec = replace(text_encoder.spec, views=wanted.recipes_of("text") if wanted else {})
    if audio_name == text_name:
        raise StoreError(f"audio and text features are both called {audio_name}; name one with --audio-feature")
    return Encoders(audio_encoder, text_encoder, audio_name, text_name, remover, tuple(remarks))


def expected_lengths(encoders: Encoders, seconds: np.ndarray, texts: Sequence[str], tokens: Mapping[str, list[int]]):
    """For each feature (N,) the frames or tokens of segments that last so many ``seconds`` and have these texts."""
    lengths = {}
    if encoders.audio:
        rate = encoders.audio.spec.sample_rate
        frames = [encoders.audio.frames(int(length * rate)) for length in np.nan_to_num(seconds)]
        lengths[encoders.audio_feature] = np.array(frames, int)
    if encoders.text:
        most = encoders.text.spec.max_rows
        lengths[encoders.text_feature] = np.array([min(len(tokens[text]), most) for text in texts], int)
    return lengths


def extract(
    corpus: Corpus,
    store: Path,
    config: ExtractConfig,
    track: Track = silent,
    say: Callable[[str], None] = lambda line: None,
    views: ViewOptions = ViewOptions(),  # noqa: B008  frozen
    silence: SilenceOptions = SilenceOptions(),  # noqa: B008
) -> Summary:
    """Make the store at ``store`` hold every feature of every segment of the corpus, and of the views asked for.

    Rows that are complete and unchanged are left alone, and those whose input another row had are copied from there.
    Segments whose audio cannot be used are listed in ``<store>.failures.csv`` and in the summary.
    """
    for line in recover(store, corpus.tasks, corpus.table):
        say(line)
    corpus, line = with_known_splits(corpus, store)
    if line:
        say(line)
    corpus = reviewed(corpus, config.allow_shared_audio, track)
    if config.share[0] == 1:
        for line in announced(corpus, store, config.makes_text):
            say(line)
    wanted = wanted_rows(corpus, store, config, views)
    encoders = load_encoders(config, store, silence, wanted, corpus.name)
    for remark in encoders.remarks:
        say(remark)
    tokens = tokenized(encoders.text, wanted.table)
    seconds = seconds_of_segments(corpus.root, wanted.table) if encoders.audio else np.zeros(len(wanted.table))
    expected = expected_lengths(encoders, seconds, wanted.table["text"], tokens)
    are_sealed = identities_are_sealed(store)
    with _prepared(store, corpus, wanted.table, encoders.specs, expected, config) as writer:
        identities = identities_of(corpus.root, writer.store.segments, encoders, track)
        summary = _summary(corpus, writer.store, encoders, wanted, tokens, seconds, identities, config)
        run = _Run(corpus, config, writer, encoders, tokens, identities, summary, are_sealed)
        try:
            for work in summary.works:
                if len(work.rows) and not summary.stopped_early:
                    say(_plan_line(work))
                    with track(work.feature, total=len(work.rows), unit="segments") as advance:
                        run.fill(work, advance)
        finally:
            summary.failures_file = _write_failures(failures_path(store, config.shard), summary.failures)
        writer.finish()
    return summary


@contextmanager
def _prepared(
    store: Path, corpus: Corpus, table: pd.DataFrame, specs, expected, config: ExtractConfig
) -> Iterator[StoreWriter]:
    """A writer of the store, which holds the corpus's segments and the features' specs.

    Shares of one extraction write at once. Whoever comes first prepares the store alone; the others wait for that.
    """
    if not config.shard:
        with writer_for(store) as writer:
            writer.prepare(corpus.name, corpus.tasks, table, specs, expected, config.overwrite, corpus.facts)
            yield writer
        return
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with writer_for(store, shared=True) as writer:
                if not writer.would_change(corpus.name, corpus.tasks, table, specs, corpus.facts):
                    writer.store = open_store(store)
                    yield writer
                    return
            with writer_for(store) as writer:
                writer.prepare(corpus.name, corpus.tasks, table, specs, expected, config.overwrite, corpus.facts)
        except LockedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def find_work(
    store: FeatureStore,
    identities: Mapping[str, np.ndarray],
    share: tuple[int, int] = (1, 1),
    segments: pd.DataFrame | None = None,
) -> list[FeatureWork]:
    """Compare what a store holds with the identities its rows should have; removed rows need nothing.

    ``share`` is the number, from 1, and the count of the shares that row blocks are dealt out to; ``segments``
    stands in for the store's own table where that is not yet up to date.
    """
    segments = store.segments if segments is None else segments
    number, count = share
    mine = np.arange(len(segments)) // BLOCK_ROWS % count == number - 1
    present = mine & (segments["split"] != REMOVED).to_numpy()
    works = []
    for feature, identity in identities.items():
        states = states_of(store, feature, len(segments))
        complete = states.length != MISSING
        same = states.identity == identity
        works.append(
            FeatureWork(
                feature,
                missing=np.flatnonzero(present & ~complete),
                stale=np.flatnonzero(present & complete & ~same),
                done=int((present & complete & same).sum()),
            )
        )
    return works


def states_of(store: FeatureStore, feature: str, rows: int) -> RowStates:
    """The states of a feature's rows, as many as a store will have that may have fewer yet."""
    states = store.states(feature)
    absent = rows - len(states.length)
    return RowStates(
        np.pad(states.length, (0, absent), constant_values=MISSING),
        np.pad(states.checksum, (0, absent)),
        np.pad(states.identity, (0, absent)),
    )


def no_states(rows: int) -> RowStates:
    """The states of a feature of which nothing is there yet."""
    return RowStates(np.full(rows, MISSING, np.int32), np.zeros(rows, np.uint64), np.zeros(rows, np.uint64))


@dataclass
class _Run:
    """What the steps of one extraction share."""

    corpus: Corpus
    config: ExtractConfig
    writer: StoreWriter
    encoders: Encoders
    tokens: Mapping[str, list[int]]
    identities: Mapping[str, np.ndarray]
    summary: Summary
    are_identities_sealed: bool

    def fill(self, work: FeatureWork, advance: Callable[[int], None]) -> None:
        """Compute and commit the rows of one feature.

        Three things go on at once: the segments of the next window are decoded, those of this one
        are encoded, and those of the last one are committed.
        """
        rows, identity = work.rows.tolist(), self.identities[work.feature]
        states = self.writer.store.states(work.feature)
        holders = holders_of(rows, identity, states, self.are_identities_sealed)
        moved = self._move(work.feature, holders, advance)
        leaders, followers = first_of_each([row for row in rows if row not in moved], identity)
        self._compute(work.feature, leaders, followers, advance)
        with self.summary.waits.measured("committing"):
            self._copy(work.feature, followers, advance)

    def _move(self, feature: str, holders: Mapping[int, int], advance: Callable[[int], None]) -> set[int]:
        """Copy what the store holds already of rows made from the same input; returns the rows that have it now."""

        def commit(results: Mapping[int, Row]) -> None:
            self._commit(feature, results)
            self._note_copied(feature, len(results))
            advance(len(results))

        with self.summary.waits.measured("committing"):
            aside = moving_path(self.writer.store.path, self.config.shard)
            return move_rows(self.writer, feature, holders, self.identities[feature], commit, aside)

    def _note_copied(self, feature: str, rows: int) -> None:
        self.summary.copied[feature] = self.summary.copied.get(feature, 0) + rows

    def _compute(
        self, feature: str, rows: np.ndarray, followers: dict[int, int], advance: Callable[[int], None]
    ) -> None:
        """Encode and commit rows, and the followers in their blocks with them, which are taken out of ``followers``."""
        is_audio = feature == self.encoders.audio_feature
        encoder = self.encoders.audio if is_audio else self.encoders.text
        encode = self._encode_audio if is_audio else self._encode_text
        groups = windows(rows, self._companions(encoder, feature, rows))
        waits = self.summary.waits
        with self._loaders(encoder) as loaders, ThreadPoolExecutor(1) as committer:

            def start(window: tuple[list[int], list[int]]) -> tuple[list[int], dict[int, Future]]:
                wanted, together = window
                return wanted, {row: loaders.submit(*self._loading(is_audio, row)) for row in together}

            committing: Future | None = None
            for wanted, loading in _ahead(groups, start):
                with waits.measured("loading"):
                    loaded = {row: future.result() for row, future in loading.items()}
                with waits.measured("encoding"):
                    results = encode(feature, loaded, set(wanted), advance)
                    self._join(feature, results, followers, advance)
                with waits.measured("committing"):
                    if committing:
                        committing.result()
                committing = committer.submit(self._commit, feature, results)
                if self.summary.stopped_early:
                    loaders.shutdown(cancel_futures=True)
                    break
            if committing:
                with waits.measured("committing"):
                    committing.result()

    def _commit(self, feature: str, results: Mapping[int, Row | None]) -> None:
        states = self.writer.store.states(feature)
        # A kill may have left the identity of a row that it had marked missing; only a blank row needs no commit.
        blank = (states.length == MISSING) & (states.identity == 0)
        news = {row: new for row, new in results.items() if new is not None or not blank[row]}
        for block, rows in by_block(news).items():
            self.writer.commit(feature, block, rows)
            computed = sum(new is not None for new in rows.values())
            self.summary.computed[feature] = self.summary.computed.get(feature, 0) + computed

    def _join(
        self,
        feature: str,
        results: dict[int, Row | None],
        followers: dict[int, int],
        advance: Callable[[int], None],
    ) -> None:
        """Add to the results of a window the followers in its blocks, so that these are written once."""
        blocks = {block_of(row) for row in results}
        joined = {row: leader for row, leader in followers.items() if block_of(row) in blocks and results.get(leader)}
        for row, leader in joined.items():
            results[row] = results[leader]
            del followers[row]
        self._note_copied(feature, len(joined))
        advance(len(joined))

    def _copy(self, feature: str, followers: Mapping[int, int], advance: Callable[[int], None]) -> None:
        """Give rows the values of those made from the same input; where these failed, so do the rows."""
        for window, _ in windows(np.array(sorted(followers), int)):
            results: dict[int, Row | None] = {}
            reasons = {failure.segment_id: failure.reason for failure in self.summary.failures}
            for row in window:
                leader = followers[row]
                if self.writer.store.lengths(feature)[leader] != MISSING:
                    results[row] = Row(self.writer.store.read(feature, leader), int(self.identities[feature][row]))
                elif not self.summary.stopped_early:
                    segment_id = self.writer.store.segments["segment_id"].iloc[leader]
                    results[row] = self._failed(row, reasons[segment_id])
            self._note_copied(feature, sum(new is not None for new in results.values()))
            self._commit(feature, results)
            advance(len(window))

    def _companions(self, encoder: AudioEncoder | TextEncoder, feature: str, rows: np.ndarray) -> np.ndarray:
        """The rows that are encoded along so that batches, and with them the rounding, are those of a whole run."""
        if not encoder.batches_matter:
            return rows
        mine = [row for row in range(len(self.writer.store.segments)) if self._is_mine(row)]
        # Of rows made from the same input a whole run encodes the first.
        firsts = {
            int(identity): row for row, identity in zip(mine[::-1], self.identities[feature][mine[::-1]], strict=True)
        }
        return np.array(sorted(firsts.values()), int)

    def _is_mine(self, row: int) -> bool:
        number, count = self.config.share
        return block_of(row) % count == number - 1 and self.writer.store.segments["split"].iloc[row] != REMOVED

    def _loaders(self, encoder: AudioEncoder | TextEncoder) -> Executor:
        count, are_processes = loaders_for(self.config, encoder)
        # Not forked: torch's threads, and CUDA, do not survive a fork.
        if are_processes:
            return ProcessPoolExecutor(count, mp_context=get_context("spawn"))
        return ThreadPoolExecutor(count)

    def _loading(self, is_audio: bool, row: int) -> tuple:
        """What a loader calls, and with what, to load a row."""
        segment = self.writer.store.segments.iloc[row]
        if not is_audio:
            return self.encoders.text.cut, self.tokens[segment["text"]]
        return load_input, self.corpus.root, segment, self.encoders.audio.spec, self.encoders.remover

    def _encode_audio(
        self,
        feature: str,
        loaded: Mapping[int, Input | AudioError],
        wanted: set[int],
        advance: Callable[[int], None],
    ) -> dict[int, Row | None]:
        """The wanted rows of a window; None for a segment that failed. Stops early past the allowed failures."""
        encoder, usable, results = self.encoders.audio, {}, {}
        for row, got in loaded.items():
            if not isinstance(got, AudioError) and not encoder.frames(len(got.samples)):
                got = AudioError(
                    f"is too short: {len(got.samples)} samples at {encoder.spec.sample_rate} Hz make no frame"
                )
            if not isinstance(got, AudioError):
                usable[row] = got.samples
                if self.summary.silence and row in wanted:
                    self.summary.silence.note(int(self.identities[feature][row]), got)
                    is_original = self.writer.store.segments["view"].iloc[row] == ORIGINAL
                    self.summary.cut_audio += got.is_cut and is_original
            elif row in wanted:
                results[row] = self._failed(row, str(got))
                advance(1)
        if self.summary.silence:
            self.summary.silence.write()  # before the rows are committed, so that a complete row is always listed
        for batch in batches_of(
            {row: encoder.frames(len(samples)) for row, samples in usable.items()}, encoder.batch_rows
        ):
            if self.summary.stopped_early:
                break
            for row, features in zip(batch, in_halves(encoder.encode, [usable[row] for row in batch]), strict=True):
                if row not in wanted:
                    continue
                values = as_stored(features)
                if len(values) != encoder.frames(len(usable[row])):
                    results[row] = self._failed(
                        row, f"the encoder made {len(values)} frames of {len(usable[row])} samples"
                    )
                elif np.isfinite(values).all():
                    results[row] = Row(values, int(self.identities[feature][row]))
                else:
                    results[row] = self._failed(row, "the encoder's features are not finite numbers in float16")
                advance(1)
        return results

    def _encode_text(
        self, feature: str, loaded: Mapping[int, list[int]], wanted: set[int], advance: Callable[[int], None]
    ) -> dict[int, Row | None]:
        encoder, results = self.encoders.text, {}
        for batch in batches_of({row: len(tokens) for row, tokens in loaded.items()}, encoder.batch_rows):
            for row, features in zip(batch, in_halves(encoder.encode, [loaded[row] for row in batch]), strict=True):
                if row not in wanted:
                    continue
                values = as_stored(features)
                if not np.isfinite(values).all():
                    segment_id = self.writer.store.segments["segment_id"].iloc[row]
                    raise StoreError(
                        f"{segment_id}: the text encoder's features are not finite in float16; use another encoder"
                    )
                results[row] = Row(values, int(self.identities[feature][row]))
                advance(1)
        return results

    def _failed(self, row: int, reason: str) -> None:
        segment = self.writer.store.segments.iloc[row]
        if any(known.segment_id == segment["segment_id"] and known.reason == reason for known in self.summary.failures):
            return  # a segment whose audio cannot be used is named once, not for each of its views
        self.summary.failures.append(failure_of(segment, self.corpus.origins, reason))
        allowed = self.config.failures_allowed(self.summary.segments)
        self.summary.stopped_early = len(self.summary.failures) > allowed


def loaders_for(config: ExtractConfig, encoder: AudioEncoder | TextEncoder) -> tuple[int, bool]:
    """How many threads load what an encoder is given, and whether they are processes instead."""
    if not isinstance(encoder, AudioEncoder):
        return _THREADS, False
    processes = config.workers
    if not processes and encoder.device.type == "cuda":
        processes = min(_MOST_PROCESSES, os.cpu_count() or 1)
    return (processes, True) if processes else (_THREADS, False)


def tokenized(encoder: TextEncoder | None, table: pd.DataFrame) -> dict[str, list[int]]:
    """Token ids, not yet cut, by text; none without an encoder."""
    if encoder is None:
        return {}
    texts = list(dict.fromkeys(table["text"]))
    return dict(zip(texts, encoder.tokenize(texts), strict=True))


def seconds_of_segments(root: Path, table: pd.DataFrame) -> np.ndarray:
    """Length of each segment in seconds as far as file headers tell; NaN where they do not."""
    whole = {path: audio.seconds_of(root / path) for path in set(table["audio"])}
    ends = table["end"].fillna(table["audio"].map(whole).astype(float))
    return (ends - table["start"].fillna(0.0)).to_numpy()


def identities_of(root: Path, segments: pd.DataFrame, encoders: Encoders, track: Track) -> dict[str, np.ndarray]:
    """(N,) uint64 for each feature: the hash of what each row of the store should be made from."""
    present = np.flatnonzero((segments["split"] != REMOVED).to_numpy())
    identities = {}
    if encoders.audio:
        digests = _digests_of(root, sorted(set(segments["audio"].iloc[present])), track)
        spec, from_audio = encoders.audio.spec, np.zeros(len(segments), np.uint64)
        made_by = spec.of_originals.fingerprint
        for row in present:
            segment = segments.iloc[row]
            from_audio[row] = audio_identity(made_by, spec.views, segment, digests[segment["audio"]])
        identities[encoders.audio_feature] = from_audio
    if encoders.text:
        made_by, from_text = encoders.text.spec.of_originals.fingerprint, np.zeros(len(segments), np.uint64)
        for row in present:
            from_text[row] = identity_of(made_by, segments["text"].iloc[row])
        identities[encoders.text_feature] = from_text
    return identities


def _digests_of(root: Path, files: Sequence[str], track: Track) -> dict[str, str]:
    """The digest of each file; one that cannot be read has one of its own, which no row was ever made from."""

    def digest_of(path: str) -> str:
        try:
            return file_digest(root / path)
        except OSError:
            return f"unreadable: {path}"

    digests = {}
    with track("checking audio files", total=len(files), unit="files") as advance, ThreadPoolExecutor(_THREADS) as pool:
        for path, digest in zip(files, pool.map(digest_of, files), strict=True):
            digests[path] = digest
            advance(1)
    return digests


def audio_identity(made_by: str, recipes: Mapping[str, Mapping], segment: pd.Series, digest: str) -> int:
    """The hash of what a row of an audio feature is made from.

    ``made_by`` is the fingerprint of the feature's spec without its views, ``recipes`` are the views, ``digest`` is the
    audio file's. A view that leaves the audio as it is has the original's identity. In a text feature the altered
    transcript itself says what a row is made from, and one in which nothing was replaced has the original's.
    """
    where = (str(segment[name]) for name in ("start", "end", "channel"))
    recipe = recipes.get(segment["view"])
    view = (json.dumps(recipe, sort_keys=True), segment["segment_id"], segment["view"]) if recipe else ()
    return identity_of(made_by, digest, *where, *view)


def _summary(
    corpus: Corpus,
    store: FeatureStore,
    encoders: Encoders,
    wanted: Wanted,
    tokens: Mapping[str, list[int]],
    seconds: np.ndarray,
    identities: Mapping[str, np.ndarray],
    config: ExtractConfig,
) -> Summary:
    rows = store.segments
    originals = (wanted.table["view"] == ORIGINAL).to_numpy()
    is_removed, of_views = rows["split"] == REMOVED, rows["view"] != ORIGINAL
    left = is_removed & ~of_views
    summary = Summary(
        store=store.path,
        segments=int(originals.sum()),
        copies=int((~originals).sum()),
        shard=config.shard,
        works=find_work(store, identities, config.share),
        removed=int(left.sum()),
        removed_views=rows["segment_id"][is_removed & of_views].nunique(),
        split=wanted.split,
    )
    if encoders.text:
        most = encoders.text.spec.max_rows
        summary.cut_text = sum(len(tokens[text]) > most for text in corpus.table["text"])
        summary.empty_texts = int((corpus.table["text"] == "").sum())
    spec = encoders.audio.spec if encoders.audio else None
    if spec and spec.silence:
        # How much is left of a segment is known once it is loaded; what is longer than the longest input counts then.
        mine = rows[~is_removed & ~of_views]
        path = silence_path(store.path, encoders.audio_feature, config.shard)
        summary.silence = SilenceLog(path, mine, identities[encoders.audio_feature][mine.index])
    elif spec:
        summary.cut_audio = int((seconds[originals] > spec.max_samples / spec.sample_rate).sum())
    if not originals.all():
        summary.classes_before, summary.classes_after = rows_per_class(wanted.table, corpus, wanted.split)
    return summary


def _ahead(items: Iterator, start: Callable) -> Iterator:
    """``start`` each item one turn before it is yielded."""
    started = None
    for item in items:
        upcoming = start(item)
        if started is not None:
            yield started
        started = upcoming
    if started is not None:
        yield started


def batches_of(lengths: Mapping[int, int], most_rows: int) -> Iterator[list[int]]:
    """Rows in batches of at most so many frames or tokens in total, longest first, like beside like."""
    batch: list[int] = []
    total = 0
    for row in sorted(lengths, key=lambda row: (-lengths[row], row)):
        if batch and total + lengths[row] > most_rows:
            yield batch
            batch, total = [], 0
        batch.append(row)
        total += lengths[row]
    if batch:
        yield batch


def _plan_line(work: FeatureWork) -> str:
    parts = [f"{len(work.missing)} to compute"]
    if len(work.stale):
        parts.append(f"{len(work.stale)} changed since they were made")
    if work.done:
        parts.append(f"{work.done} complete")
    return f"{work.feature}: {', '.join(parts)}"


def failures_path(store: Path, shard: str = "") -> Path:
    """Where the segments that could not be used are listed; each share of an extraction has its own list."""
    return store.with_name(f"{store.name}.failures{_of_share(shard)}.csv")


def silence_path(store: Path, feature: str, shard: str = "") -> Path:
    """Where is listed what was removed of each segment."""
    return store.with_name(f"{store.stem}.{feature}.silence{_of_share(shard)}.csv")


def moving_path(store: Path, shard: str = "") -> Path:
    """Where values wait that are overwritten before all that need them have them."""
    return store.with_name(f".{store.name}.moving{_of_share(shard)}")


def _of_share(shard: str) -> str:
    return f".{shard.replace('/', '-of-')}" if shard else ""


def _write_failures(path: Path, failures: Sequence[Failure]) -> Path | None:
    if not failures:
        path.unlink(missing_ok=True)
        return None
    text = io.StringIO()
    rows = csv.DictWriter(text, [item.name for item in fields(Failure)])
    rows.writeheader()
    rows.writerows({name: as_cell(cell) for name, cell in asdict(failure).items()} for failure in failures)
    write_whole(path, [text.getvalue().encode()])
    return path
