"""Published figures on IEMOCAP: the tables of emotional cues.

Its table 3 prints differences to the full system, as meld.py says.
"""

from __future__ import annotations

from .row import EMOTIONAL_CUES, PublishedCorpus, PublishedRow

_UNSETTLED = "Emotional cues says neither which classes nor which sessions of IEMOCAP it was tested on."


def _of_next(name: str, table: str, uar: float, macro_f1: float) -> PublishedRow:
    figures = {"next_emotion": {"uar": uar, "macro_f1": macro_f1}}
    return PublishedRow(name, EMOTIONAL_CUES, table, figures, note=_UNSETTLED)


def _of_cues(name: str, accuracy: float | None, weighted_f1: float) -> PublishedRow:
    figures = {"accuracy": accuracy, "weighted_f1": weighted_f1}
    printed = {"emotion": {figure: number for figure, number in figures.items() if number is not None}}
    return PublishedRow(name, EMOTIONAL_CUES, "table 2", printed, note=_UNSETTLED)


ROWS = (
    _of_next("DEP, text", "table 1", 74.96, 74.54),
    _of_next("EAMT, text", "table 1", 77.30, 76.67),
    _of_next("Emotional cues, text", "table 1", 78.53, 78.06),
    _of_next("DEP, speech", "table 1", 61.98, 60.21),
    _of_next("EAMT, speech", "table 1", 65.01, 65.91),
    _of_next("Emotional cues, speech", "table 1", 66.21, 66.32),
    _of_next("DEP", "table 1", 76.31, 75.50),
    _of_next("EAMT", "table 1", 80.18, 80.01),
    _of_next("Emotional cues", "table 1", 81.92, 81.53),
    _of_next("Emotional cues, no KWRT", "table 3", 80.99, 80.64),
    _of_next("Emotional cues, no PE", "table 3", 81.17, 80.81),
    _of_next("Emotional cues, no TMF", "table 3", 81.04, 80.69),
    _of_cues("SCFA, text", 63.82, 62.89),
    _of_cues("DF-ERC, text", 65.13, 65.46),
    _of_cues("Emotional cues, text", 64.83, 64.32),
    _of_cues("SCFA, speech", 49.24, 48.66),
    _of_cues("DF-ERC, speech", 41.47, 38.62),
    _of_cues("Emotional cues, speech", 47.84, 47.06),
    _of_cues("MM-DFN", None, 65.41),
    _of_cues("SCFA", 67.91, 66.42),
    _of_cues("Emotional cues", 67.79, 66.62),
)
BESIDE = ("DEP", "EAMT", "MM-DFN", "SCFA", "Emotional cues, text", "Emotional cues")
CORPUS = PublishedCorpus("IEMOCAP", ROWS, BESIDE, test_items=None)
