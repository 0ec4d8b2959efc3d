"""Emotional cues: word importance, prosody and two steps of fusion, for the emotion of this or of the next utterance."""

from __future__ import annotations

from .contract import Feature, Given, Preset, Reading, Row, System

_TURNS, _TOKENS = 3, 256
_WINDOW = {"encoder": "roberta-base", "turns": _TURNS, "speakers": True, "tokens": _TOKENS}
_BOTH = {"text": "dialogue", "importance": "kwrt", "audio": "wavlm", "mel": "mel-patches"}
_TEXT = {**_BOTH, "audio": "", "mel": ""}
_SPEECH = {**_BOTH, "text": "", "importance": ""}
# A network that is told to do without a part has no slot for it.
_NO_WORDS = {slot: feature for slot, feature in _BOTH.items() if slot != "importance"}
_NO_MEL = {slot: feature for slot, feature in _BOTH.items() if slot != "mel"}

# Section 3.2: Adam, 0.0001, batches of 32 samples. A dialogue of MELD has ten utterances, each of which is a sample.
_PAPER = {
    "learning_rate": 1e-4,
    "optimizer": "adam",
    "weight_decay": 0.0,
    "schedule": "constant",
    "warmup": 0.0,
    "batch_recordings": 3,
    "accumulation": 1,
}


def _row(name: str, paper: str = "", slots: dict[str, str] | None = None, **options: object) -> Row:
    return Row(name, {"model": "emotional-cues", **options}, _BOTH if slots is None else slots, paper)


_MODALITIES = (
    _row("text", "Emotional cues, text", _TEXT),
    _row("speech", "Emotional cues, speech", _SPEECH),
)

SYSTEM = System(
    name="emotional-cues",
    paper="H. Shi, Z. Liang, J. Yu: Emotional Cues Extraction and Fusion for Multi-modal Emotion Prediction and"
    " Recognition in Conversation. Interspeech 2024",
    networks=("emotional-cues",),
    features=(
        Feature("dialogue", "text", _WINDOW),
        Feature(
            "kwrt",
            "kwrt",
            _WINDOW,
            given=Given(
                "conceptnet",
                "conceptnet",
                "the public dump of ConceptNet's assertions, conceptnet-assertions-5.7.0.csv.gz, from"
                " github.com/commonsense/conceptnet5 (Downloads)",
            ),
        ),
        Feature("wavlm", "speech", {"encoder": "microsoft/wavlm-base"}),
        Feature("mel-patches", "mel", {"bands": 128, "patch": 16}),
    ),
    training={"emotional-cues": _PAPER},
    presets=(
        Preset(
            "emotional-cues-epc",
            "tables 1 and 3, the emotion of the next utterance, of MELD and IEMOCAP",
            (
                _row("full", "Emotional cues"),
                *_MODALITIES,
                _row("no-kwrt", "Emotional cues, no KWRT", _NO_WORDS, words=False),
                _row("no-pe", "Emotional cues, no PE", prosody=False),
                _row("no-tmf", "Emotional cues, no TMF", _NO_MEL, two_step=False),
            ),
            _PAPER,
            tasks=("next_emotion",),
        ),
        Preset(
            "emotional-cues-erc",
            "table 2, the emotion of the utterance itself, of MELD and IEMOCAP",
            (
                _row("full", "Emotional cues"),
                *_MODALITIES,
                _row("no-kwrt", slots=_NO_WORDS, words=False),
                _row("no-pe", prosody=False),
                _row("no-tmf", slots=_NO_MEL, two_step=False),
            ),
            _PAPER,
            tasks=("emotion",),
        ),
    ),
    readings=(
        Reading(
            "how many turns a sample has; figure 2 shows three",
            "this one and the two before it",
            "--feature dialogue=text:turns=…, and kwrt alike",
        ),
        Reading(
            "the longest window",
            "256 tokens; of a longer one the oldest turns are left out",
            "--feature dialogue=text:tokens=…, and kwrt alike",
        ),
        Reading(
            "speakers are told apart by special tokens [s1], [s2]",
            "plain text s1:, s2:, for a frozen encoder knows no token that was added to it",
            "--feature dialogue=text:speakers=false",
        ),
        Reading(
            "the prosody encoder of reference 17, fine-tuned",
            "its blocks as wide as h_a, projected to 1,024, trained with the rest",
            "--no-prosody",
        ),
        Reading(
            "epochs, and when training stops",
            "msmt's own: at most 35, 8 without a better result",
            "--epochs, --patience",
        ),
        Reading(
            "batches of 32 samples",
            "three dialogues at a time, of ten utterances each in MELD",
            "--batch-recordings",
        ),
        Reading("which emotions and sessions of IEMOCAP", "those that the store has", "--classes of msmt extract"),
        Reading(
            "table 3 prints differences to a full system that it does not name",
            "that of text and speech; figures here are its minus the difference",
        ),
    ),
    bench=(_row("emotional-cues"),),
    needs_speakers=True,
)
