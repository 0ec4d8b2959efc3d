"""The accuracies on MarketCalls that the MSMT-FN paper reports, in percent (its tables 1 and 6).

Table 6 has eight rows and six sets of figures: its rows audio-augment, Kp-silence and full are one model, MSMT_FN;
text-augment is TEXT_AUGMENTED, no-augment NOT_AUGMENTED, Rm-silence SILENCE_REMOVED, no-BF+MTL NO_BOTTLENECK_NO_MTL
and no-MTL NO_MTL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DATASET = "marketcalls"
TEST_RECORDINGS = 88  # table 4


@dataclass(frozen=True)
class PaperRow:
    """One row of the paper's tables."""

    name: str
    table: str
    accuracy: Mapping[str, float]
    """Percent, by the name of the task."""


def _row(name: str, table: str, two: float, three: float, four: float, five: float) -> PaperRow:
    return PaperRow(name, table, {"two": two, "three": three, "four": four, "five": five})


MMML = _row("MMML", "table 1", 78.09, 58.98, 54.23, 52.12)
MSMT_FN = _row("MSMT-FN", "tables 1 and 6", 76.60, 63.83, 61.70, 60.28)  # with augmented audio, silences kept
TEXT_AUGMENTED = _row("MSMT-FN, text augmented", "table 6", 72.34, 58.16, 60.99, 60.99)
NOT_AUGMENTED = _row("MSMT-FN, not augmented", "table 6", 75.89, 60.02, 58.16, 57.46)
SILENCE_REMOVED = _row("MSMT-FN, silence removed", "table 6", 64.61, 46.88, 46.10, 45.39)
NO_BOTTLENECK_NO_MTL = _row("MSMT-FN, no bottleneck, no multi-task learning", "table 6", 73.05, 55.32, 54.89, 56.74)
NO_MTL = _row("MSMT-FN, no multi-task learning", "table 6", 71.23, 53.90, 52.48, 51.77)

ROWS = (MMML, MSMT_FN, TEXT_AUGMENTED, NOT_AUGMENTED, SILENCE_REMOVED, NO_BOTTLENECK_NO_MTL, NO_MTL)
BESIDE = (MSMT_FN, MMML)  # what an evaluation on MarketCalls is shown beside


def row_named(name: str) -> PaperRow | None:
    """The row whose ``name`` this is, if the paper has one."""
    return next((row for row in ROWS if row.name == name), None)


def caution(split: str, recordings: int) -> str:
    """Why the paper's figures cannot be compared with those of this evaluation; empty if nothing speaks against it."""
    if split == "test" and recordings == TEST_RECORDINGS:
        return ""
    return (
        f"The paper's figures are for the {TEST_RECORDINGS} test recordings of MarketCalls. This split, {split},"
        f" is another set and has {recordings}, so the figures cannot be compared."
    )
