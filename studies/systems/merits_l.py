"""MERITS-L: a text encoder taught by an LLM, frozen speech embeddings, and three stages of training."""

from __future__ import annotations

from .contract import Feature, Given, Preset, Reading, Row, System

_TOKENS, _SECONDS = 128, 20.0  # longest inputs of a reproduction, and of CARE
_STAGE_1, _STAGE_2, _STAGE_3 = "merits-stage1", "merits-stage2", "merits-stage3"
_AUDIO = ("care-layer*", "wavlm-layer*")  # CARE, or what takes its place
_SPEECH = {"audio": _AUDIO, "pooled": ("care-pooled", "")}
_TEXT, _PLAIN = "roberta-ft", "roberta-cls"

_OF_ALL = {"weight_decay": 0.01, "warmup": 0.06, "clip_norm": 1.0, "accumulation": 1}
_PAPER_1 = {**_OF_ALL, "learning_rate": 1e-4, "batch_recordings": 4, "epochs": 50, "patience": 10}
_PAPER_2 = {**_OF_ALL, "learning_rate": 5e-5, "batch_recordings": 8, "epochs": 100, "patience": 20}
_PAPER_3 = _PAPER_2


def _stages(prefix: str = "") -> tuple[Row, ...]:
    """Table I: each stage learns from the vectors of the one before it."""
    text_1, audio_1 = f"{prefix}text-stage1", f"{prefix}audio-stage1"
    text_2, audio_2 = f"{prefix}text-stage2", f"{prefix}audio-stage2"
    of_text, of_audio = {"modalities": "text"}, {"modalities": "audio"}
    return (
        Row(f"{prefix}stage3", {"model": _STAGE_3, **_PAPER_3}, {"text": f"@{text_2}", "audio": f"@{audio_2}"}),
        Row(audio_1, {"model": _STAGE_1, "embeds": "segment", **of_audio, **_PAPER_1}, _SPEECH),
        Row(audio_2, {"model": _STAGE_2, "embeds": "context", **of_audio, **_PAPER_2}, {"audio": f"@{audio_1}"}),
        Row(text_1, {"model": _STAGE_1, "embeds": "segment", **of_text, **_PAPER_1}, {"text": (_TEXT, _PLAIN)}),
        Row(text_2, {"model": _STAGE_2, "embeds": "context", **of_text, **_PAPER_2}, {"text": f"@{text_1}"}),
    )


def _joint() -> Row:
    """Figure 4: stages II and III in one."""
    slots = {"text": "@text-stage1", "audio": "@audio-stage1"}
    return Row("joint", {"model": _STAGE_3, "joint": True, **_PAPER_3}, slots)


def _text_of(annotator: str, feature: str) -> Row:
    """Figure 3: stage I of text, by what labelled the transcripts that its encoder was taught with."""
    return Row(f"text-stage1-{annotator}", {"model": _STAGE_1, "modalities": "text", **_PAPER_1}, {"text": feature})


def _taught_by(name: str, annotator: str, is_optional: bool = True) -> Feature:
    what = (
        f"RoBERTa-large fine-tuned on labels of {annotator}: the folder encoder of a run of msmt finetune, on a csv of"
        " msmt annotate"
    )
    given = Given(name, "encoder", what)
    return Feature(name, "text", {"pool": "cls", "tokens": _TOKENS}, given=given, is_optional=is_optional)


SYSTEM = System(
    name="merits-l",
    paper="S. Dutta, S. Ganapathy: LLM supervised Pre-training for Multimodal Emotion Recognition in Conversations."
    " ICASSP 2025",
    networks=(_STAGE_1, _STAGE_2, _STAGE_3),
    features=(
        Feature(
            "care",
            "care",
            given=Given(
                "care", "weights", "weights of CARE by its official parameter names, of github.com/iiscleap/CARE"
            ),
            is_optional=True,
            makes=("care-layer*", "care-pooled"),
        ),
        Feature(
            "wavlm",
            "speech",
            {"encoder": "microsoft/wavlm-base", "layers": list(range(13)), "seconds": _SECONDS},
            instead_of="care",
            makes=("wavlm-layer*",),
        ),
        _taught_by(_TEXT, "an LLM, GPT-3.5 Turbo in the paper"),
        Feature(_PLAIN, "text", {"encoder": "roberta-large", "pool": "cls", "tokens": _TOKENS}),
        _taught_by("roberta-ft-mixtral", "Mixtral-8x7B-Instruct"),
        _taught_by("roberta-ft-llama", "Llama-3-8b-chat"),
    ),
    training={_STAGE_1: _PAPER_1, _STAGE_2: _PAPER_2, _STAGE_3: _PAPER_3},
    presets=(
        Preset(
            "merits-l",
            "table I (five stages), figure 3 (which LLM, and none) and figure 4 (stages II and III in one), of IEMOCAP,"
            " MELD and CMU-MOSI",
            (
                *_stages(),
                _joint(),
                _text_of("no-llm", _PLAIN),
                _text_of("mixtral", "roberta-ft-mixtral"),
                _text_of("llama", "roberta-ft-llama"),
            ),
            tasks=("emotion", "two"),
        ),
    ),
    readings=(
        Reading(
            "rates, batches and epochs of the stages are illegible in the text that is public",
            "those of a reproduction: stage I 1e-4 and 50 epochs, stages II and III 5e-5, 8 dialogues a batch, 100 epochs",
            "--learning-rate, --batch-recordings, --epochs",
        ),
        Reading(
            "speech embeddings of CARE, whose checkpoint is not public",
            "a state dict of its official names, or all 13 layers of WavLM-base, summed with learned weights",
            "--given care=FILE",
        ),
        Reading(
            "RoBERTa-FT is fine-tuned on each corpus in stage I",
            "msmt finetune does it beforehand; stage I is then a classifier on its first token",
            "--given roberta-ft=FOLDER",
        ),
        Reading(
            "depth and width of the co-attention", "as its authors' later code, with a mask", "options of merits-stage3"
        ),
        Reading("two classes of MOSI", "0 and above is positive: the task two", "--tasks two"),
        Reading("sessions of IEMOCAP", "test is session 5, one other validates", "--scheme session5"),
        Reading(
            "tables and figures print no numbers in the text that is public",
            "so none stand beside ours",
        ),
    ),
    bench=_stages("merits-l-"),
)
