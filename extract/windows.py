"""Rows in the groups in which they are worked on: some blocks at a time, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ..features.rows import BLOCK_ROWS, Row, block_of

WINDOW_BLOCKS = 4  # blocks whose rows are held in memory at once, and sorted by length together


def windows(rows: np.ndarray, companions: np.ndarray | None = None) -> Iterator[tuple[list[int], list[int]]]:
    """Rows in groups of WINDOW_BLOCKS blocks, each group with its companions; groups without a row are left out.

    A group is made of the blocks that the companions cover, so it is the same whichever of them are wanted.
    """
    together = rows if companions is None else companions
    wanted = set(rows.tolist())
    order = {block: place for place, block in enumerate(dict.fromkeys((together // BLOCK_ROWS).tolist()))}
    groups: dict[int, list[int]] = {}
    for row in together.tolist():
        groups.setdefault(order[block_of(row)] // WINDOW_BLOCKS, []).append(row)
    for group in groups.values():
        chosen = [row for row in group if row in wanted]
        if chosen:
            yield chosen, group


def by_block(results: Mapping[int, Row | None]) -> dict[int, dict[int, Row | None]]:
    """Rows to commit, by their block."""
    blocks: dict[int, dict[int, Row | None]] = {}
    for row in sorted(results):
        blocks.setdefault(block_of(row), {})[row] = results[row]
    return blocks
