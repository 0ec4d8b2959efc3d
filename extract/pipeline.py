"""Extraction: what a store lacks of a corpus is computed and committed, block by block.

Rows are worked on in windows of some row blocks. Within a window segments are sorted by length, so
that a batch holds segments of like length; a block is committed as soon as its last row is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import AudioError
from ..features.copying import recover
from ..features.rows import MISSING, Row, block_of
from ..features.segments import ORIGINAL, REMOVED
from ..features.writer import StoreWriter
from ..progress import Track, silent
from .batches import as_stored, batches_of, problem_of
from .config import ExtractConfig
from .corpora.corpus import Corpus
from .extractors.contract import Extractor, Loaded, Material
from .failures import Failures, failures_path, of_share, write_failures
from .kept_splits import with_known_splits
from .loaders import loaders_for
from .making import made_extractors
from .material import material_of
from .moving import first_of_each, holders_of, identities_are_sealed, move_rows
from .preparing import prepared
from .review import announced, reviewed
from .sound.silence import SilenceOptions
from .sound.views import ViewOptions
from .summary import Summary, summary_before
from .wanted import wanted_rows
from .windows import by_block, windows
from .work import FeatureWork

Advance = Callable[[int], None]
Results = dict[str, dict[int, Row | None]]  # of some rows, by feature; None for what cannot be had


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
    Segments that cannot be used are listed in ``<store>.failures.csv`` and in the summary.
    """
    for line in recover(store, corpus.tasks, corpus.table, corpus.name, corpus.facts):
        say(line)
    corpus, line = with_known_splits(corpus, store)
    if line:
        say(line)
    corpus = reviewed(corpus, config.allow_shared_audio, track)
    if config.share[0] == 1:
        for line in announced(corpus, store, config.makes_text):
            say(line)
    wanted = wanted_rows(corpus, store, config, views)
    extractors = made_extractors(config, store, silence, wanted.recipes, corpus.name, track)
    for remark in extractors.remarks:
        say(remark)
    asked = material_of(corpus.root, wanted.table, track)
    for remark in extractors.remarks_on(asked):
        say(remark)
    expected = extractors.expected_rows(asked)
    are_sealed = identities_are_sealed(store)
    with prepared(store, corpus, wanted.table, extractors.specs, expected, config) as writer:
        rows = writer.store.segments
        material = asked if rows.equals(asked.table) else material_of(corpus.root, rows, track)
        identities = {name: each for one in extractors for name, each in one.identities(material).items()}
        summary = summary_before(corpus, writer.store, extractors, wanted, asked, identities, config)
        works = {work.feature: work for work in summary.works}
        failures = Failures(corpus.origins, extractors.of_audio, corpus.known)
        run = _Run(material, config, writer, identities, summary, failures, are_sealed)
        try:
            for extractor in extractors:
                to_do = [works[name] for name in extractor.specs if len(works[name].rows)]
                if to_do and not summary.stopped_early:
                    for work in to_do:
                        say(_plan_line(work))
                    total = sum(len(work.rows) for work in to_do)
                    unit = "segments" if len(to_do) == 1 else "rows"  # a segment has one in each feature
                    with track(", ".join(work.feature for work in to_do), total=total, unit=unit) as advance:
                        _Pass(run, extractor, to_do, advance).fill()
        finally:
            summary.failures = failures.listed()
            summary.failures_file = write_failures(failures_path(store, config.shard), summary.failures)
        writer.vouch_for(identities)
        writer.finish()
    return summary


@dataclass
class _Run:
    """What the passes of one extraction share."""

    material: Material
    config: ExtractConfig
    writer: StoreWriter
    identities: Mapping[str, np.ndarray]
    summary: Summary
    failures: Failures
    are_identities_sealed: bool

    @property
    def mine(self) -> list[int]:
        """Numbers of the rows of this share whose segments are in the corpus."""
        number, count = self.config.share
        splits = self.writer.store.segments["split"].to_numpy()
        return [row for row in range(len(splits)) if block_of(row) % count == number - 1 and splits[row] != REMOVED]


@dataclass
class _Pass:
    """One extractor over the rows that its features lack."""

    run: _Run
    extractor: Extractor
    works: list[FeatureWork]
    advance: Advance
    """Told of every row of a feature that is settled."""

    lacking: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """By row the features that are computed for it."""

    reasons: dict[tuple[str, int], str] = field(default_factory=dict)
    """Why a row of a feature cannot be had."""

    def fill(self) -> None:
        """Compute and commit the rows that the features lack, each row once for all of them.

        Three things go on at once: the segments of the next window are loaded, those of this one
        are encoded, and those of the last one are committed.
        """
        lacking: dict[int, tuple[str, ...]] = {}
        for work in self.works:
            moved = self._move(work)
            for row in work.rows.tolist():
                if row not in moved:
                    lacking[row] = (*lacking.get(row, ()), work.feature)
        self.lacking = {row: lacking[row] for row in sorted(lacking)}
        leaders, followers = first_of_each([*self.lacking], self._inputs(self.lacking))
        self._compute(leaders, followers)
        with self.run.summary.waits.measured("committing"):
            self._copy(followers)

    def _inputs(self, rows: Iterable[int]) -> dict[int, tuple]:
        """For each row what it is to be made from, and which features are to be made of it."""
        identities = [self.run.identities[name] for name in self.extractor.specs]
        return {row: (*(int(each[row]) for each in identities), self.lacking.get(row)) for row in rows}

    def _move(self, work: FeatureWork) -> set[int]:
        """Copy what the store holds already of rows made from the same input; returns the rows that have it now."""
        run, feature = self.run, work.feature
        identity, states = run.identities[feature], run.writer.store.states(feature)
        holders = holders_of(work.rows.tolist(), identity, states, run.are_identities_sealed)

        def commit(results: Mapping[int, Row]) -> None:
            self._commit({feature: results})
            run.summary.note_copied(feature, len(results))
            self.advance(len(results))

        with run.summary.waits.measured("committing"):
            aside = moving_path(run.writer.store.path, run.config.shard)
            return move_rows(run.writer, feature, holders, identity, commit, aside)

    def _compute(self, rows: np.ndarray, followers: dict[int, int]) -> None:
        """Encode and commit rows, and the followers in their blocks with them, which are taken out of ``followers``."""
        groups = windows(rows, self._companions(rows), len(self.extractor.specs))
        waits = self.run.summary.waits
        with loaders_for(self.run.config, self.extractor).start() as loaders, ThreadPoolExecutor(1) as committer:

            def start(window: tuple[list[int], list[int]]) -> tuple[list[int], dict[int, Future]]:
                wanted, together = window
                return wanted, {row: self._loading(loaders.submit, row) for row in together}

            committing: Future | None = None
            for wanted, loading in _ahead(groups, start):
                with waits.measured("loading"):
                    loaded = {row: future.result() for row, future in loading.items()}
                with waits.measured("encoding"):
                    results = self._encode(loaded, set(wanted))
                    self._join(results, followers)
                with waits.measured("committing"):
                    if committing:
                        committing.result()
                committing = committer.submit(self._commit, results)
                if self.run.summary.stopped_early:
                    loaders.shutdown(cancel_futures=True)
                    break
            if committing:
                with waits.measured("committing"):
                    committing.result()

    def _loading(self, submit: Callable[..., Future], row: int) -> Future:
        load, arguments = self.extractor.job(self.run.material, row)
        return submit(load, *arguments)

    def _companions(self, rows: np.ndarray) -> np.ndarray:
        """The rows that are encoded along so that batches, and with them the rounding, are those of a whole run."""
        if not self.extractor.batches_matter:
            return rows
        mine = self.run.mine
        # Of rows made from the same input a whole run encodes the first.
        firsts: dict[tuple, int] = {}
        for row, made_from in self._inputs(mine).items():
            firsts.setdefault(made_from[:-1], row)
        return np.array(sorted({*firsts.values(), *rows.tolist()}), int)

    def _encode(self, loaded: Mapping[int, Loaded | AudioError], wanted: set[int]) -> Results:
        """The wanted rows of a window. Stops early past the allowed failures."""
        results: Results = {name: {} for name in self.extractor.specs}
        usable: dict[int, Loaded] = {}
        for row, got in loaded.items():
            if not isinstance(got, AudioError):
                usable[row] = got
                if row in wanted:
                    self._note(row, got)
            elif row in wanted:
                self._settle(row, results, {}, str(got))
        for log in self._logs():
            log.write()  # before the rows are committed, so that a complete row is always listed
        for batch in batches_of({row: one.size for row, one in usable.items()}, self.extractor.batch_rows):
            if self.run.summary.stopped_early:
                break
            together = [usable[row] for row in batch]
            for row, made in zip(batch, self.extractor.encode(together), strict=True):
                if row in wanted:
                    self._settle(row, results, made, rows=usable[row].rows)
        return results

    def _settle(self, row: int, results: Results, made: Mapping, reason: str = "", rows: int | None = None) -> None:
        """Add what was made of a row to the results, feature by feature, or the ``reason`` why there is nothing."""
        failed: dict[str, list[str]] = {}
        for name in self.lacking[row]:
            spec, problem, values = self.extractor.specs[name], reason, None
            if not problem:
                values = as_stored(made[name], spec)
                problem = problem_of(values, spec, rows)
            results[name][row] = None if problem else Row(values, int(self.run.identities[name][row]))
            if problem:
                failed.setdefault(problem, []).append(name)
        for problem, names in failed.items():
            self._fail(row, names, problem)
        self.advance(len(self.lacking[row]))

    def _note(self, row: int, got: Loaded) -> None:
        """What loading found out of a segment that the headers of files do not tell."""
        summary = self.run.summary
        for name, log in summary.silences.items():
            if name in self.extractor.specs:
                log.note(int(self.run.identities[name][row]), got)
                segment = self.run.writer.store.segments.iloc[row]
                if got.is_cut and segment["view"] == ORIGINAL:
                    summary.cut["audio"].add(segment["segment_id"])

    def _logs(self):
        return [log for name, log in self.run.summary.silences.items() if name in self.extractor.specs]

    def _join(self, results: Results, followers: dict[int, int]) -> None:
        """Add to the results of a window the followers in its blocks, so that these are written once."""
        blocks = {block_of(row) for rows in results.values() for row in rows}
        joined = {
            row: leader
            for row, leader in followers.items()
            if block_of(row) in blocks and all(results[name].get(leader) for name in self.lacking[row])
        }
        for row, leader in joined.items():
            for name in self.lacking[row]:
                results[name][row] = results[name][leader]
                self.run.summary.note_copied(name, 1)
            self.advance(len(self.lacking[row]))
            del followers[row]

    def _copy(self, followers: Mapping[int, int]) -> None:
        """Give rows the values of those made from the same input; where these failed, so do the rows."""
        store = self.run.writer.store
        for window, _ in windows(np.array(sorted(followers), int)):
            results: Results = {name: {} for name in self.extractor.specs}
            for row in window:
                leader = followers[row]
                for name in self.lacking[row]:
                    if store.lengths(name)[leader] != MISSING:
                        results[name][row] = Row(store.read(name, leader), int(self.run.identities[name][row]))
                        self.run.summary.note_copied(name, 1)
                    elif (name, leader) in self.reasons:
                        results[name][row] = None
                        self._fail(row, [name], self.reasons[name, leader])
                self.advance(len(self.lacking[row]))
            self._commit(results)

    def _commit(self, results: Mapping[str, Mapping[int, Row | None]]) -> None:
        for name, rows_of_feature in results.items():
            states = self.run.writer.store.states(name)
            # A kill may have left the identity of a row that it had marked missing; only a blank row needs no commit.
            blank = (states.length == MISSING) & (states.identity == 0)
            news = {row: new for row, new in rows_of_feature.items() if new is not None or not blank[row]}
            for block, rows in by_block(news).items():
                self.run.writer.commit(name, block, rows)
                self.run.summary.note_computed(name, sum(new is not None for new in rows.values()))

    def _fail(self, row: int, features: list[str], reason: str) -> None:
        run = self.run
        self.reasons.update({(name, row): reason for name in features})
        run.failures.add(run.writer.store.segments.iloc[row], features, reason)
        allowed = run.config.failures_allowed(run.summary.segments)
        run.summary.stopped_early = run.failures.segments > allowed


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


def _plan_line(work: FeatureWork) -> str:
    parts = [f"{len(work.missing)} to compute"]
    if len(work.stale):
        parts.append(f"{len(work.stale)} changed since they were made")
    if work.done:
        parts.append(f"{work.done} complete")
    return f"{work.feature}: {', '.join(parts)}"


def moving_path(store: Path, shard: str = "") -> Path:
    """Where values wait that are overwritten before all that need them have them."""
    return store.with_name(f".{store.name}.moving{of_share(shard)}")
