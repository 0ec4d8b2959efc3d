"""Damaging a made-up store, what verify says of it, and what an extraction makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from msmt.features.copying import recover, verify
from msmt.features.opening import open_for_verification, open_store, writer_for
from msmt.features.rows import MISSING
from msmt.tests.features.made import SPECS, TASKS, lengths_of, table


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(content)


def damages_of(path: Path) -> list:
    store, damages = open_for_verification(path)
    return damages + (verify(store) if store else [])


def assert_holds(path: Path, made, without=()) -> None:
    """Every row is as it was made, and nothing is damaged."""
    assert damages_of(path) == []
    store = open_store(path)
    assert store.segments.equals(table()) and store.tasks == TASKS and store.specs == SPECS
    for name, rows in made.items():
        for row, content in enumerate(rows):
            if (name, row) not in without:
                assert np.array_equal(store.read(name, row), content.values)


def filled_again(path: Path, made) -> None:
    """What an extraction does: prepare the store and commit what is missing or was made from something else."""
    for note in recover(path, TASKS, table(), "marketcalls"):
        assert "\n" not in note
    with writer_for(path) as writer:
        writer.prepare("marketcalls", TASKS, table(), SPECS, lengths_of(made))
        lacking = {}
        for name, rows in made.items():
            states = writer.store.states(name)
            right = [content.identity for content in rows]
            lacking[name] = set(np.flatnonzero((states.length == MISSING) | (states.identity != right)).tolist())
        for name, rows in made.items():
            for block in sorted({row // 32 for row in lacking[name]}):
                writer.commit(name, block, {row: rows[row] for row in lacking[name] if row // 32 == block})
        writer.vouch_for(made)
        writer.finish()
