"""Published figures on MELD: MSMT-FN's table 3, CM-RoBERTa's tables 1 to 3, those of emotional cues.

Emotional cues prints what its parts are worth (table 3) as differences to the full system, which is taken to be the one
of text and speech; the figures here are that one's minus the difference.
"""

from __future__ import annotations

from .row import CM_ROBERTA, EMOTIONAL_CUES, MSMT_FN, PublishedCorpus, PublishedRow

TEST_SEGMENTS = 2610
CLASSES = 7
_CLASSES_OF_MSMT_FN = ("surprise", "anger", "sadness", "neutral", "joy")
_CLASSES_OF_CM_ROBERTA = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")


def _of_msmt_fn(name: str, accuracy: float | None, weighted_f1: float, *of_classes: float) -> PublishedRow:
    figures = {"accuracy": accuracy, "weighted_f1": weighted_f1}
    return PublishedRow(
        name,
        MSMT_FN,
        "table 3",
        {"emotion": {figure: number for figure, number in figures.items() if number is not None}},
        dict(zip(_CLASSES_OF_MSMT_FN, of_classes, strict=True)),
        CLASSES,
        note="MSMT-FN's table 3 does not name its figure of each class, which is read as F1 here.",
    )


def _of_cm_roberta(name: str, table: str, weighted_f1: float, *of_classes: float) -> PublishedRow:
    by_class = dict(zip(_CLASSES_OF_CM_ROBERTA, of_classes, strict=True)) if of_classes else {}
    figures = {"emotion": {"weighted_f1": weighted_f1}}
    return PublishedRow(name, CM_ROBERTA, table, figures, by_class, CLASSES, TEST_SEGMENTS)


def _of_next(name: str, table: str, uar: float, macro_f1: float) -> PublishedRow:
    figures = {"next_emotion": {"uar": uar, "macro_f1": macro_f1}}
    return PublishedRow(name, EMOTIONAL_CUES, table, figures, classes=CLASSES)


def _of_cues(name: str, accuracy: float | None, weighted_f1: float) -> PublishedRow:
    figures = {"accuracy": accuracy, "weighted_f1": weighted_f1}
    printed = {"emotion": {figure: number for figure, number in figures.items() if number is not None}}
    return PublishedRow(name, EMOTIONAL_CUES, "table 2", printed, classes=CLASSES)


ROWS = (
    _of_msmt_fn("CTNet", None, 60.5, 52.7, 44.6, 32.5, 77.4, 56.0),
    _of_msmt_fn("DF-ERC", 68.28, 67.03, 60.27, 55.50, 43.89, 80.17, 65.93),
    _of_msmt_fn("MSMT-FN", 64.82, 63.19, 72.24, 55.96, 35.78, 85.12, 56.98),
    _of_cm_roberta("SMIN, audio", "table 1", 45.2),
    _of_cm_roberta("SMIN, text", "table 1", 63.65),
    _of_cm_roberta("SMIN", "table 1", 64.5),
    _of_cm_roberta("EmoCaps, audio", "table 1", 31.26),
    _of_cm_roberta("EmoCaps, text", "table 1", 63.51),
    _of_cm_roberta("EmoCaps", "table 1", 63.73),
    _of_cm_roberta("EmbraceNet, audio", "table 1", 40),
    _of_cm_roberta("EmbraceNet, text", "table 1", 61),
    _of_cm_roberta("EmbraceNet", "table 1", 63.1),
    _of_cm_roberta("CMN, audio", "table 1", 38.3),
    _of_cm_roberta("CMN, text", "table 1", 54.5),
    _of_cm_roberta("CMN", "table 1", 55.5),
    _of_cm_roberta("ICON, audio", "table 1", 37.7),
    _of_cm_roberta("ICON, text", "table 1", 54.6),
    _of_cm_roberta("ICON", "table 1", 56.3),
    _of_cm_roberta("DialogueRNN, audio", "table 1", 34),
    _of_cm_roberta("DialogueRNN, text", "table 1", 55.1),
    _of_cm_roberta("DialogueRNN", "table 1", 57),
    _of_cm_roberta("bc-LSTM, audio", "table 1", 36.4),
    _of_cm_roberta("bc-LSTM, text", "table 1", 54.3),
    _of_cm_roberta("bc-LSTM", "table 1", 56.8),
    _of_cm_roberta("CM-RoBERTa, no attention unit", "table 1", 65.66),
    _of_cm_roberta("CM-RoBERTa, audio", "tables 1 to 3", 43.10, 62.9, 20.12, 0.0, 6.7, 22.65, 0.0, 53.21),
    _of_cm_roberta("CM-RoBERTa, text", "tables 1 and 2", 63.83, 76.39, 60.47, 30.5, 42.21, 63.21, 31.74, 45.82),
    _of_cm_roberta("CM-RoBERTa", "tables 1 and 2", 66.28, 78.67, 63.42, 28.7, 42.19, 63.65, 30.91, 53.56),
    _of_cm_roberta("CM-RoBERTa, audio, no functionals", "table 3", 37.3),
    _of_cm_roberta("CM-RoBERTa, audio, no OpenL3", "table 3", 41.3),
    _of_next("DEP, text", "table 1", 42.19, 42.67),
    _of_next("EAMT, text", "table 1", 45.44, 45.13),
    _of_next("Emotional cues, text", "table 1", 46.97, 46.23),
    _of_next("DEP, speech", "table 1", 26.96, 25.13),
    _of_next("EAMT, speech", "table 1", 28.67, 25.97),
    _of_next("Emotional cues, speech", "table 1", 29.12, 27.85),
    _of_next("DEP", "table 1", 42.39, 42.51),
    _of_next("EAMT", "table 1", 45.21, 44.36),
    _of_next("Emotional cues", "table 1", 46.10, 45.73),
    _of_next("Emotional cues, no KWRT", "table 3", 44.98, 44.63),
    _of_next("Emotional cues, no PE", "table 3", 45.39, 45.04),
    _of_next("Emotional cues, no TMF", "table 3", 45.27, 44.92),
    _of_cues("SCFA, text", 59.32, 57.76),
    _of_cues("DF-ERC, text", 65.17, 64.54),
    _of_cues("Emotional cues, text", 63.82, 63.01),
    _of_cues("SCFA, speech", 47.37, 44.18),
    _of_cues("DF-ERC, speech", 43.83, 41.72),
    _of_cues("Emotional cues, speech", 45.97, 42.94),
    _of_cues("MM-DFN", None, 58.34),
    _of_cues("SCFA", 64.86, 63.69),
    _of_cues("Emotional cues", 64.36, 63.73),
)
BESIDE = ("CTNet", "DF-ERC", "MSMT-FN", "bc-LSTM", "CM-RoBERTa", "DEP", "EAMT", "Emotional cues")
CORPUS = PublishedCorpus("MELD", ROWS, BESIDE, TEST_SEGMENTS)
