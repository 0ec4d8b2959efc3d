"""A writer may be killed at any instant: no committed row is lost, and the next writer ends with the same bytes.

Every instant is tried that a kill can tell from the one before: those between two changes of names on the
disk. In between, files grow under names that no reader looks at, or bytes are forced to the disk, which
matters when the power goes and not when a process dies.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from msmt.features.copying import verify
from msmt.features.durable import ASIDE
from msmt.features.folds import FoldConfig, add_folds
from msmt.features.opening import open_store, writer_for
from msmt.features.rows import MISSING, Row, block_of, block_range
from msmt.features.schemes import families_in
from msmt.features.segments import ORIGINAL, segment_table
from msmt.features.spec import FeatureSpec
from msmt.features.store import FeatureStore
from msmt.features.tasks import Task
from msmt.tests.features.made import FIVE, SPECS, TASKS, contents, lengths_of, spec, table

CHANGES = ("mkdir", "link", "rename", "replace", "unlink", "rmdir")  # functions of os that change names on the disk
EVERY_HIDDEN = 25  # of the changes within a folder that is made or dropped aside, one in so many is tried
ROWS, ROWS_LATER = 40, 44  # a block and a part of a second
VIEWS = (12, 35)  # rows that are views


@dataclass(frozen=True)
class Wanted:
    """What a store should hold in the end."""

    table: pd.DataFrame
    rows: Mapping[str, list[Row | None]]
    """For each feature, the row of every segment of the store; None when it cannot be made."""

    tasks: tuple[Task, ...] = TASKS
    specs: Mapping[str, FeatureSpec] = field(default_factory=lambda: dict(SPECS))
    folds: FoldConfig | None = None
    """Folds that are added when all rows are there."""

    together: tuple[str, ...] = ()
    """Features that one pass fills, each block of one after that of the other; others have passes of their own."""

    def complete_in(self, store: FeatureStore) -> set[tuple[str, int]]:
        """Feature and number of every row of a store that is as it should be."""
        found = set()
        for name, rows in self.rows.items():
            if name not in store.specs:
                continue
            states = store.states(name)
            for row, (length, identity) in enumerate(
                zip(states.length.tolist(), states.identity.tolist(), strict=True)
            ):
                if length != MISSING and rows[row] is not None and identity == rows[row].identity:
                    found.add((name, row))
        return found


def with_views(seed: int) -> FeatureSpec:
    return replace(SPECS["hubert"], views={"noise": {"kind": "noise", "seed": seed}})


def views_of(rows: int) -> list[str]:
    return ["noise" if row in VIEWS else ORIGINAL for row in range(rows)]


def made() -> Wanted:
    return Wanted(table(ROWS, view=views_of(ROWS)), contents(ROWS), specs={**SPECS, "hubert": with_views(seed=0)})


def changed() -> Wanted:
    """Other labels and tasks, a segment gone, some new ones, one of them like another, audio that changed or broke, a
    view of another recipe, and another text encoder."""
    columns = {"label_five": [4] * ROWS_LATER, "view": views_of(ROWS_LATER)}
    later = segment_table(table(ROWS_LATER, **columns).drop(index=3), (FIVE,))
    before, after = contents(ROWS), contents(ROWS_LATER, seed=1)
    audio: list[Row | None] = [*before["hubert"], *after["hubert"][ROWS:]]
    audio[ROWS] = replace(audio[ROWS], values=audio[ROWS + 1].values)
    for row in (5, 33, *VIEWS):
        audio[row] = replace(after["hubert"][row], identity=1000 + row)
    audio[7] = None
    text = [replace(row, identity=2000 + row.identity) for row in after["roberta"]]
    vectors = [*before["vectors"], *after["vectors"][ROWS:]]
    vectors[5] = replace(after["vectors"][5], identity=3000)
    specs = {**SPECS, "hubert": with_views(seed=1), "roberta": spec("text", max_rows=31, weights="other")}
    return Wanted(later, {"hubert": audio, "roberta": text, "vectors": vectors}, (FIVE,), specs)


def folded() -> Wanted:
    """The same, and folds."""
    return replace(made(), folds=FoldConfig(folds=2, validation="0.2", stratify="five"))


def with_more_kinds() -> Wanted:
    """The same, and features that are asked for later: two layers that one pass fills, and functionals in float32."""
    before, later = made(), contents(ROWS, seed=1)
    specs = {f"wavlm-layer{layer}": replace(SPECS["hubert"], layer=layer) for layer in (3, 6)}
    specs["egemaps"] = replace(SPECS["vectors"], modality="audio", kind="opensmile", options={"set": "eGeMAPSv02"})
    named = {
        "wavlm-layer3": later["hubert"],
        "wavlm-layer6": [replace(row, identity=4000 + row.identity) for row in before.rows["hubert"]],
        "egemaps": later["vectors"],
    }
    together = ("wavlm-layer3", "wavlm-layer6")
    return replace(before, rows={**before.rows, **named}, specs={**before.specs, **specs}, together=together)


def passes_of(wanted: Wanted) -> list[tuple[str, ...]]:
    """Features by what fills them."""
    alone = [(name,) for name in wanted.rows if name not in wanted.together]
    return [wanted.together, *alone] if wanted.together else alone


def fill(
    path: Path, wanted: Wanted, committed: Callable[[str, int], None] = lambda name, row: None, most: int = 99
) -> None:
    """Bring a store to what is wanted, as an extraction does; stop after so many commits, and then finish nothing."""
    lengths = lengths_of({name: [row for row in rows if row is not None] for name, rows in wanted.rows.items()})
    with writer_for(path) as writer:
        writer.prepare("marketcalls", wanted.tasks, wanted.table, wanted.specs, lengths, overwrite=True)
        complete = wanted.complete_in(writer.store)
        for names in passes_of(wanted):
            news = {name: news_of(name, wanted, complete, writer.store) for name in names}
            for block in sorted({block_of(row) for rows in news.values() for row in rows}):
                for name in names:
                    rows = wanted.rows[name]
                    in_block = [row for row in news[name] if block_of(row) == block]
                    if not in_block:
                        continue
                    if not most:
                        return
                    most -= 1
                    writer.commit(name, block, {row: rows[row] for row in in_block})
                    for row in block_range(block, len(rows)):
                        if rows[row] is not None:
                            committed(name, row)
        writer.vouch_for(wanted.rows)
        writer.finish()
    if wanted.folds and wanted.folds.family not in families_in(open_store(path).head):
        add_folds(path, wanted.folds)


def news_of(name: str, wanted: Wanted, complete: set[tuple[str, int]], store: FeatureStore) -> list[int]:
    """The rows of a feature that are to be committed."""
    states = store.states(name)
    # A row that a kill left half marked missing still has an identity.
    blank = (states.length == MISSING) & (states.identity == 0)
    return [
        row
        for row, new in enumerate(wanted.rows[name])
        if (name, row) not in complete and not (new is None and blank[row])
    ]


def can_change(change: Callable, path: str | Path, *others) -> bool:
    """Whether it is not one of the folders that exist already, or lack their parent, that are made on the off chance."""
    return change.__name__ != "mkdir" or Path(path).parent.exists() and not Path(path).exists()


def before_changes(act: Callable[[], None]) -> None:
    """Make this process call ``act`` just before it changes a name on the disk."""
    hidden = 0

    def announced(change: Callable) -> Callable:
        def call(*arguments, **options):
            nonlocal hidden
            is_hidden = any(f"{ASIDE}/" in str(path) for path in arguments) or options.get("dir_fd") is not None
            hidden += is_hidden
            if can_change(change, *arguments) and (not is_hidden or hidden % EVERY_HIDDEN == 1):
                act()
            return change(*arguments, **options)

        return call

    for name in CHANGES:
        setattr(os, name, announced(getattr(os, name)))


def fill_and_die(path: Path, wanted: Wanted, instant: int, log: Path) -> None:
    """``fill``, killed at the change of this number, counted from 0; logs the rows whose commit has returned."""
    left = instant

    def count() -> None:
        nonlocal left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    with open(log, "w", buffering=1) as lines:
        before_changes(count)
        fill(path, wanted, lambda name, row: lines.write(f"{name} {row}\n"))


def killed(path: Path, wanted: Wanted, instant: int) -> tuple[bool, set[tuple[str, int]]]:
    """Fill a store in another process. Whether that was killed, and the rows whose commit had returned."""
    log = path.parent.with_suffix(".log")
    process = multiprocessing.get_context("fork").Process(target=fill_and_die, args=(path, wanted, instant, log))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    committed = {(name, int(row)) for name, row in map(str.split, log.read_text().splitlines())}
    return process.exitcode != 0, committed


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but the lock."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix != ".lock"]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def check_rows(path: Path, right: list[Wanted], safe: set[tuple[str, int]]) -> None:
    """The store opens, its rows are right or missing, and the safe ones are not missing."""
    if not path.exists():
        assert not safe
        return
    store = open_store(path)
    assert verify(store) == []
    for name in store.specs:
        for row in np.flatnonzero(store.lengths(name) != MISSING).tolist():
            rightful = [wanted.rows[name][row] for wanted in right if row < len(wanted.rows.get(name, ()))]
            values = store.read(name, row)
            assert any(one is not None and np.array_equal(values, one.values) for one in rightful), (
                f"{name} {row} is wrong"
            )
    assert not [(name, row) for name, row in safe if store.lengths(name)[row] == MISSING]


def put(folder: Path, start: Path | None) -> None:
    """Give ``folder`` the content of ``start``, or none."""
    shutil.rmtree(folder, ignore_errors=True)
    if start:
        shutil.copytree(start, folder)
    else:
        folder.mkdir()


@pytest.fixture
def scratch():
    """A folder, in memory where the system has such a place: some ten thousand files are made and removed."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("suffix", "old", "commits", "new"),
    [
        pytest.param(".zarr", None, 0, made, id="zarr, while it is made"),
        pytest.param(".h5", None, 0, made, id="hdf5, while it is made"),
        pytest.param(".zarr", made, 99, changed, id="zarr, while it is brought up to date"),
        pytest.param(".h5", made, 99, changed, id="hdf5, while it is brought up to date"),
        pytest.param(".zarr", made, 99, with_more_kinds, id="zarr, while features of more kinds are added"),
        pytest.param(".h5", made, 99, with_more_kinds, id="hdf5, while features of more kinds are added"),
        pytest.param(".zarr", made, 99, folded, id="zarr, while folds are added"),
        pytest.param(".h5", made, 99, folded, id="hdf5, while folds are added"),
        pytest.param(".h5", made, 3, changed, id="hdf5, while an unfinished one is brought up to date"),
    ],
)
def test_a_store_survives_a_kill_at_every_instant(suffix, old, commits, new, scratch, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # spares the waiting, see the top
    folder, whole, start = scratch / "killed", scratch / "whole", scratch / "start" if old else None
    path, wanted, safe = folder / f"calls{suffix}", new(), set()
    if old:
        fill(start / path.name, old(), most=commits)
        safe = wanted.complete_in(open_store(start / path.name))
    put(whole, start)
    fill(whole / path.name, wanted)
    expected = content(whole)

    instant, was_killed = 0, True
    while was_killed:
        put(folder, start)
        was_killed, committed = killed(path, wanted, instant)
        check_rows(path, [old(), wanted] if old else [wanted], safe | committed)
        fill(path, wanted)
        different = {name for name, _ in content(folder).items() ^ expected.items()}
        assert not different, f"after a kill at instant {instant}"
        instant += 1
    assert instant > (7 if wanted.folds else 9)
