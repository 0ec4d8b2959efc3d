"""The accuracies on MarketCalls that the MSMT-FN paper reports (its tables 1 and 6).

Table 6 has eight rows and six sets of figures: its rows audio-augment, Kp-silence and full are one model, FULL;
text-augment is TEXT_AUGMENTED, no-augment NOT_AUGMENTED, Rm-silence SILENCE_REMOVED, no-BF+MTL NO_BOTTLENECK_NO_MTL
and no-MTL NO_MTL.
"""

from __future__ import annotations

from .row import MSMT_FN, PublishedCorpus, PublishedRow

TEST_RECORDINGS = 88  # table 4


def _row(name: str, table: str, two: float, three: float, four: float, five: float) -> PublishedRow:
    of_tasks = {"two": two, "three": three, "four": four, "five": five}
    figures = {task: {"accuracy": accuracy} for task, accuracy in of_tasks.items()}
    return PublishedRow(name, MSMT_FN, table, figures, test_items=TEST_RECORDINGS)


MMML = _row("MMML", "table 1", 78.09, 58.98, 54.23, 52.12)
FULL = _row("MSMT-FN", "tables 1 and 6", 76.60, 63.83, 61.70, 60.28)  # with augmented audio, silences kept
TEXT_AUGMENTED = _row("MSMT-FN, text augmented", "table 6", 72.34, 58.16, 60.99, 60.99)
NOT_AUGMENTED = _row("MSMT-FN, not augmented", "table 6", 75.89, 60.02, 58.16, 57.46)
SILENCE_REMOVED = _row("MSMT-FN, silence removed", "table 6", 64.61, 46.88, 46.10, 45.39)
NO_BOTTLENECK_NO_MTL = _row("MSMT-FN, no bottleneck, no multi-task learning", "table 6", 73.05, 55.32, 54.89, 56.74)
NO_MTL = _row("MSMT-FN, no multi-task learning", "table 6", 71.23, 53.90, 52.48, 51.77)

ROWS = (MMML, FULL, TEXT_AUGMENTED, NOT_AUGMENTED, SILENCE_REMOVED, NO_BOTTLENECK_NO_MTL, NO_MTL)
CORPUS = PublishedCorpus(
    "MarketCalls",
    ROWS,
    (FULL.name, MMML.name),
    TEST_RECORDINGS,
    items="recordings",
    whose="The paper's",
    in_columns=True,
)
