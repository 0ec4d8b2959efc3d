"""A comparison as text."""

from __future__ import annotations

from collections.abc import Mapping

from ...shown import aligned, as_line
from ..results import Comparison
from .cells import Screen, difference_table, main_table
from .notes import caption, notes_on


def table_text(comparison: Comparison, failed: Mapping[str, str] | None = None, brief: bool = False) -> str:
    """The comparison for the screen; ``brief`` without the tables of differences."""
    failed = failed or {}
    blocks = [aligned(main_table(comparison, failed, Screen))]
    if len(comparison.rows) > 1 and not brief:
        for task in comparison.tasks:
            blocks.append(aligned(difference_table(comparison, task, Screen)))
    blocks.append("\n".join(map(as_line, [caption(comparison), *notes_on(comparison, failed)])))
    return "\n\n".join(blocks)
