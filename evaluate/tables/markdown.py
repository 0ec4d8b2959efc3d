"""A comparison as a page of Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ...shown import as_line
from ..results import Comparison, Row
from .cells import BOLD, Screen, difference_table, main_table
from .notes import caption, notes_on
from .rows import about


def comparison_markdown(comparison: Comparison, failed: Mapping[str, str] | None = None) -> str:
    """The table, a table of differences for each task, and how to rerun each row."""
    failed = failed or {}
    reference, compared = comparison.rows[0].variant, len(comparison.rows) - 1
    blocks = [
        f"# Comparison on {in_markdown(comparison.split)}",
        f"{in_markdown(caption(comparison))}{BOLD}",
        markdown_table(main_table(comparison, failed, Markdown)),
        "\n".join(f"- {in_markdown(note)}" for note in notes_on(comparison, failed)),
    ]
    for task in comparison.tasks:
        blocks += [
            f"## Task {in_markdown(task.name)}"
            + (f", and differences to {in_markdown(reference)}" if compared else ""),
            markdown_table(difference_table(comparison, task, Markdown)),
        ]
    blocks += ["## Rerun", "\n".join(_markdown_rerun(row) for row in comparison.rows)]
    return "\n\n".join(blocks) + "\n"


class Markdown(Screen):
    spaces = ("", "")

    @staticmethod
    def text(text: str) -> str:
        return in_markdown(text)

    @staticmethod
    def best(text: str) -> str:
        return f"**{text}**"


def markdown_table(table: Sequence[Sequence[str]]) -> str:
    """A header and rows of text that is escaped already; all columns but the first are numbers."""
    header, *rows = table
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *rows])


def _markdown_rerun(row: Row) -> str:
    lines = [f"- {in_markdown(row.variant)}: {about(row, in_markdown)}"]
    return "\n".join([*lines, *(f"  - {_markdown_code(command)}" for command in row.commands)])


def in_markdown(text: str) -> str:
    """With all that has a meaning in Markdown escaped; an underscore inside a word has none."""
    return re.sub(r"[\\`*|\[\]$]|<(?=[\w/!?])|&(?=#?\w+;)|(?<!\w)_|_(?!\w)|^[#>+-]", r"\\\g<0>", as_line(text))


def _markdown_code(text: str) -> str:
    text = as_line(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"
