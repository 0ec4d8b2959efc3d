"""The contract for writing a store: see store.py for what is in one, and opening.py for the writer of a format."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from .. import __version__
from ..errors import StoreError
from .durable import explained, writer_lock
from .head import FeatureHead, StoreHead
from .rows import MISSING, Row, block_of, block_range, check_rows, chunk_rows_for
from .schemes import FACT, families_of
from .segments import merged_table, segment_table, table_digest
from .spec import FeatureSpec
from .store import Damage, FeatureStore
from .tasks import Task


@dataclass(frozen=True)
class Anew:
    """What a corpus says of its segments, for a store whose own table is lost."""

    tasks: tuple[Task, ...]
    table: pd.DataFrame

    dataset: str = ""
    """Its name; empty where a store whose head is lost too is not to be mended."""

    facts: Mapping[str, object] = field(default_factory=dict)

    def head_with(self, features: Mapping[str, FeatureHead]) -> StoreHead:
        """The head of a store that has lost its own, and that holds these features.

        Of their specs it takes what a fingerprint vouches for; ``prepare`` says again which encoders made them.
        """
        proved = {name: replace(feature, spec=feature.spec.unnamed) for name, feature in features.items()}
        return new_head(self.dataset, self.tasks, proved, self.facts)

    def told_to(self, head: StoreHead) -> tuple[StoreHead, pd.DataFrame, str]:
        """Head and table for a store with another head, and what else is lost with its table, in words.

        Of folds a corpus knows nothing.
        """
        facts = {name: value for name, value in head.facts.items() if name != FACT}
        lost = "" if facts == head.facts else ", without its folds: msmt split makes them again"
        return replace(head, tasks=self.tasks, facts=facts), segment_table(self.table, self.tasks), lost


class StoreWriter(ABC):
    """The right to write one store, held as a context manager by one process.

    ``commit`` puts rows on the disk block by block; ``finish`` leaves the store in its final form.
    Whatever ends the process in between, each row is complete or missing.
    """

    kind: type[FeatureStore]
    """The stores that it writes."""

    store: FeatureStore

    def __init__(self, path: Path, shared: bool = False) -> None:
        self.path = Path(path)
        self._shared = shared
        self._held = ExitStack()
        self._are_identities_proved = True  # False for a store in which no checksum vouches for them

    def __enter__(self) -> StoreWriter:
        self._held.enter_context(writer_lock(self.path, self._shared))
        return self

    def __exit__(self, *error) -> None:
        self._held.close()

    def prepare(
        self,
        dataset: str,
        tasks: Sequence[Task],
        table: pd.DataFrame,
        specs: Mapping[str, FeatureSpec],
        expected_lengths: Mapping[str, np.ndarray],
        overwrite: bool = False,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        """Make the store hold these segments and features, so that rows can be committed.

        A new store takes ``table`` as it is. In an existing one every known segment keeps its row,
        new segments follow at the end, and segments that are gone keep their rows under the split
        ``removed``; labels and other columns are brought up to date.

        A feature may be given further views. Raises SpecMismatchError when it exists with another spec, or with another
        recipe for a view, unless ``overwrite``; then its rows, or those of the view, are dropped.
        ``expected_lengths`` (N,) decides the chunk size of a new feature. ``facts`` replace those of the store's head,
        unless None; schemes stay that the corpus does not bring itself.
        """
        path = self.path
        if not path.exists():
            features = {
                name: FeatureHead(spec, chunk_rows_for(spec, expected_lengths[name])) for name, spec in specs.items()
            }
            with explained(path):
                self._create(new_head(dataset, tasks, features, facts or {}), table)
            self.store = self.kind.open(path)
            return
        self.recover()
        store = self.go_on()
        if store.dataset != dataset:
            raise StoreError(f"{path}: holds dataset {store.dataset!r}, not {dataset!r}; name another with --store")
        facts = _kept_facts(store, facts)
        changed = store.changed_specs(specs)
        if changed and not overwrite:
            raise store.mismatch(changed)
        emptied = {name for name in changed if name in specs and not store.specs[name].is_extended_by(specs[name])}
        self._empty_views(specs, emptied)
        made = {
            name: FeatureHead(spec, chunk_rows_for(spec, expected_lengths[name]))
            for name, spec in specs.items()
            if name not in store.specs or name in emptied
        }
        head = replace(
            store.head,
            tasks=tuple(tasks),
            features={**_extended(store, specs), **made},
            facts=facts,
        )
        merged = merged_table(store.segments, store.tasks, table, tasks)
        is_other = head != store.head
        if emptied or is_other or table_digest(merged) != table_digest(store.segments):
            with explained(path):
                self._replace(head, merged, emptied)
        self.store = self.kind.open(path)

    def _empty_views(self, specs: Mapping[str, FeatureSpec], emptied: set[str]) -> None:
        """Mark the rows of each view missing that is to have another recipe.

        Before the recipe is replaced: whatever the specs say, a row that is there was made so.
        """
        store = self.store
        recipes = {view: recipe for spec in specs.values() for view, recipe in spec.views.items()}
        for name, spec in store.specs.items():
            changed = [view for view, recipe in spec.views.items() if recipes.get(view, recipe) != recipe]
            if name in emptied or not changed:
                continue
            rows = np.flatnonzero(store.segments["view"].isin(changed).to_numpy() & (store.lengths(name) != MISSING))
            for block in sorted({block_of(int(row)) for row in rows}):
                self.commit(name, block, {int(row): None for row in rows if block_of(int(row)) == block})

    def commit(self, feature: str, block: int, rows: Mapping[int, Row | None]) -> None:
        """Replace some rows of a block, durably, and leave its other rows as they are.

        Keys are row numbers within the block's range; None marks a row missing. Raises StoreError, and writes nothing,
        for a row that the feature's spec does not allow.
        """
        members = block_range(block, len(self.store.segments))
        if not set(rows) <= set(members):
            raise StoreError(f"{self.path}: rows {sorted(set(rows) - set(members))} are not in block {block}")
        check_rows(self.path, feature, self.store.specs[feature], rows)
        self._commit(feature, block, rows)

    def would_change(
        self,
        dataset: str,
        tasks: Sequence[Task],
        table: pd.DataFrame,
        specs: Mapping[str, FeatureSpec],
        facts: Mapping[str, object] | None = None,
    ) -> bool:
        """Whether ``prepare`` with these has anything to do."""
        if not self.path.exists():
            return True
        store = self.kind.open(self.path)
        if store.dataset != dataset or store.tasks != tuple(tasks):
            return True
        if store.head.facts != _kept_facts(store, facts):
            return True
        if set(specs) - set(store.specs) or store.changed_specs(specs):
            return True
        if _extended(store, specs) != store.head.features:
            return True
        merged = merged_table(store.segments, store.tasks, table, tasks)
        return table_digest(merged) != table_digest(store.segments)

    def go_on(self) -> FeatureStore:
        """Open the store that is there, to write on."""
        self.store = self.kind.open(self.path)
        self._are_identities_proved &= self.store.is_finished
        return self.store

    def vouch_for(self, features: Iterable[str]) -> None:
        """Say that what each row of these features was made from has been compared with what it should be made from.

        Unless a seal was there before, ``finish`` makes none until this is said of all features: it would seal damage too,
        and an extraction would take rows for those of other segments.
        """
        self._are_identities_proved |= set(self.store.specs) <= set(features)

    def vouch_as(self, source: FeatureStore) -> None:
        """Say no more of what rows were made from than ``source`` does, of which they are copies."""
        self._are_identities_proved = source.is_finished

    def begin_copy(self, source: FeatureStore) -> None:
        """Make the store one with the head and table of ``source``, or go on with one that was begun so.

        Raises StoreError when there is a store of something else.
        """
        if not self.path.exists():
            with explained(self.path):
                self._create(source.head, source.segments)
        self.recover()
        self.store = self.kind.open(self.path)
        if self.store.head != source.head or table_digest(self.store.segments) != table_digest(source.segments):
            raise StoreError(f"{self.path}: exists and is no copy of {source.path}; name another, or delete it")
        self.vouch_as(source)  # each is compared with the source's

    def retell(self, table: pd.DataFrame, facts: Mapping[str, object]) -> None:
        """Give the store another segment table of the same rows, and other facts. No feature is touched."""
        self.recover()
        self.store = self.kind.open(self.path)
        with explained(self.path):
            self._replace(replace(self.store.head, facts=dict(facts)), segment_table(table, self.store.tasks), set())
        self.store = self.kind.open(self.path)

    def mend(self, damages: Sequence[Damage]) -> list[str]:
        """Mark damaged rows missing and rewrite damaged files, so that an extraction can fill them again.

        Returns what was done, a sentence each.
        """
        notes = self.recover()
        self.go_on()
        rows = self._rows_lost(damages)
        notes += self._mark_missing(rows)
        self.finish()
        marked = sum(map(len, rows.values()))
        return [*notes, *([f"{marked} rows are marked missing; run msmt extract to fill them"] if marked else [])]

    def lose_unreadable(self) -> list[str]:
        """Mark the rows missing that cannot be read, after ``recover`` from a corpus; a sentence on it, if need be.

        ``mend`` cannot do it where it needs the corpus, and an extraction that is to mend cannot send back to it.
        """
        if self.go_on().is_finished:
            return []
        rows = self._rows_lost(list(self.store.damage()))
        if rows:
            self._mark_missing(rows)
        lost = sum(map(len, rows.values()))
        return [f"{self.path}: {lost} rows cannot be read and are missing now"] if lost else []

    def _rows_lost(self, damages: Sequence[Damage]) -> dict[tuple[str, int], set[int]]:
        """The rows that these damages leave unreadable, by feature and block; none where only a file is damaged."""
        store = self.store
        rows: dict[tuple[str, int], set[int]] = {}
        for damage in damages:
            if damage.row >= 0:
                rows.setdefault((damage.feature, block_of(damage.row)), set()).add(damage.row)
            elif damage.block >= 0:
                rows.setdefault((damage.feature, damage.block), set())  # its file is written anew
        for feature in store.specs:
            for damage in store._damaged_states(feature):
                # Nothing says any more which of the block's rows are whole.
                rows[feature, damage.block] = set(block_range(damage.block, len(store.segments)))
        for feature, spec in store.specs.items():
            length = store._raw_states(feature).length
            for row in np.flatnonzero((length < MISSING) | (length > spec.max_rows)):
                rows.setdefault((feature, block_of(int(row))), set()).add(int(row))
        return rows

    @abstractmethod
    def recover(self, anew: Anew | None = None) -> list[str]:
        """Complete what a writer that was killed left half-way, and bring manifest and its second copy in line.

        Where the segment table can be read from neither, it becomes that of ``anew``: rows are then known again by what
        they were made from. Returns what was damaged and mended, a sentence each. Raises DamageError for what cannot be.
        """

    @abstractmethod
    def finish(self) -> None:
        """Bring the store into its final form and drop what only an extraction in progress needs.

        After ``recover`` from what has no checksum it is not said to be finished: an extraction has yet to go over it.
        """

    @abstractmethod
    def _commit(self, feature: str, block: int, rows: Mapping[int, Row | None]) -> None:
        """``commit`` of rows that have been looked at."""

    @abstractmethod
    def _mark_missing(self, rows: Mapping[tuple[str, int], set[int]]) -> list[str]:
        """Mark rows missing, by feature and block, whatever their files are like; a block without rows is written anew.

        Returns what else was done, a sentence each.
        """

    @abstractmethod
    def _create(self, head: StoreHead, table: pd.DataFrame) -> None: ...

    @abstractmethod
    def _replace(self, head: StoreHead, table: pd.DataFrame, emptied: set[str]) -> None:
        """Give an existing store another head and table; rows keep their numbers, ``emptied`` features lose theirs."""


def _extended(store: FeatureStore, specs: Mapping[str, FeatureSpec]) -> dict[str, FeatureHead]:
    """The features of a store with the views of ``specs`` besides their own; one that has another recipe loses the view.

    Where a store has lost the names of the encoders, they are those of ``specs``.
    """
    recipes = {view: recipe for spec in specs.values() for view, recipe in spec.views.items()}
    features = {}
    for name, head in store.head.features.items():
        kept = {view: recipe for view, recipe in head.spec.views.items() if recipes.get(view, recipe) == recipe}
        views = {**kept, **(specs[name].views if name in specs else {})}
        spec = head.spec.named_by(specs[name]) if name in specs else head.spec
        features[name] = replace(head, spec=replace(spec, views=views))
    return features


def _kept_facts(store: FeatureStore, facts: Mapping[str, object] | None) -> dict[str, object]:
    """Those that replace a store's, with its families of schemes except those whose schemes the corpus brings itself."""
    own = store.head.facts
    if facts is None or FACT not in own:
        return dict(own if facts is None else facts)
    brought = facts.get(FACT)
    if not (isinstance(brought, Mapping) and isinstance(own[FACT], Mapping)):
        return {FACT: own[FACT], **facts}
    schemes = {name for names in families_of(facts).values() for name in names}
    replaced = {family for family, names in families_of(own).items() if schemes & set(names)}
    kept = {family: made for family, made in own[FACT].items() if family not in replaced}
    return {**facts, FACT: {**kept, **brought}}


def new_head(
    dataset: str, tasks: Sequence[Task], features: Mapping[str, FeatureHead], facts: Mapping[str, object]
) -> StoreHead:
    """The head of a store that is made now."""
    # Reproducible builds fix the clock with this variable; two stores made under it can be compared byte by byte.
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.fromtimestamp(int(fixed), UTC) if fixed else datetime.now(UTC)
    return StoreHead(dataset, tuple(tasks), now.isoformat(timespec="seconds"), __version__, features, dict(facts))
