"""MMML: text and audio cross, each with a loss of its own, the segments before as context."""

from __future__ import annotations

from .contract import Feature, Preset, Reading, Row, System

_LARGE = {"text": "roberta-large", "audio": "data2vec-large"}
_BASE = {"text": "roberta-base", "audio": "data2vec-base"}
_CHINESE_TEXT = {"encoder": "hfl/chinese-roberta-wwm-ext", "tokens": 64}
_CHINESE_AUDIO = {"encoder": "TencentGameMate/chinese-hubert-base"}
_SECONDS = 6.0  # 96,000 samples at 16,000 Hz

# The authors' code: AdamW, batches of 8, patience 8 by the validation loss. They train the encoders as well.
_PAPER = {
    "learning_rate": 5e-6,
    "schedule": "constant",
    "warmup": 0.0,
    "batch_recordings": 1,
    "accumulation": 1,
    "patience": 8,
    "value_loss": "absolute",
    "select": "loss",
}


def _row(name: str, slots: dict[str, str], paper: str = "", **options: object) -> Row:
    return Row(name, {"model": "mmml", **options}, slots, paper)


def _speech(name: str, encoder: str) -> Feature:
    on = {"sims": _CHINESE_AUDIO, "simsv2": _CHINESE_AUDIO}
    return Feature(name, "speech", {"encoder": encoder, "seconds": _SECONDS}, on)


def _text(name: str, encoder: str) -> Feature:
    return Feature(name, "text", {"encoder": encoder, "tokens": 96}, {"sims": _CHINESE_TEXT, "simsv2": _CHINESE_TEXT})


SYSTEM = System(
    name="mmml",
    paper="Z. Wu, Z. Gong, J. Koo, J. Hirschberg: Multimodal Multi-loss Fusion Network for Sentiment Analysis."
    " arXiv 2308.00264, 2024",
    networks=("mmml",),
    features=(
        _text("roberta-large", "roberta-large"),
        _speech("data2vec-large", "facebook/data2vec-audio-large-960h"),
        _text("roberta-base", "roberta-base"),
        _speech("data2vec-base", "facebook/data2vec-audio-base"),
    ),
    training={"mmml": _PAPER},
    presets=(
        Preset(
            "mmml",
            "its rows in table 2 of the paper on MSMT-FN, of CMU-MOSI and CMU-MOSEI",
            (
                _row("context", _LARGE, "MMML, with context"),
                _row("no-context", _BASE, "MMML", context=False),
                _row("no-unimodal-losses", _LARGE, unimodal_weight=0.0),
                _row("text", {"text": "roberta-large", "audio": ""}),
                _row("audio", {"text": "", "audio": "data2vec-large"}),
            ),
            {"value_loss": "absolute", "select": "loss"},
            tasks=("sentiment",),
            needs_task=False,
            lengths={"tokens": 96, "seconds": _SECONDS},
            any_feature=True,
        ),
    ),
    readings=(
        Reading(
            "encoders are trained with the rest, at a rate of 5e-6",
            "they are frozen; presets of ablations take msmt's own rate, at which the rest learns from frozen features",
            "--preset paper of msmt train has 5e-6",
        ),
        Reading(
            "batches of 8 segments",
            "a recording at a time: those of MOSI have 24 segments on average",
            "--batch-recordings, --accumulation",
        ),
        Reading(
            "context is the two texts before, joined, and the clip before, encoded anew",
            "the tokens and frames of these segments as they were encoded by themselves",
            "--no-context",
        ),
        Reading(
            "the loss of CH-SIMS takes a label of its own for text and audio",
            "so does this one where tasks X, X_text and X_audio are trained, as all of CH-SIMS are; what a modality says"
            " alone is then the answer to its own task",
            "--tasks sentiment",
        ),
        Reading("the clip norm of gradients", "msmt's own, 1", "--clip-norm 0"),
    ),
    bench=(_row("mmml", _LARGE),),
)
