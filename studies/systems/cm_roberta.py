"""CM-RoBERTa: functionals and OpenL3 of the audio, four layers of RoBERTa, crossed over the dialogue."""

from __future__ import annotations

from .contract import Feature, Given, Preset, Reading, Row, System

_TEXT, _FUNCTIONALS, _OPENL3 = "roberta-last4", "functionals", "openl3"
_SECONDS = 40.0  # longer than all of MELD but the clips that are cut wrongly
_FULL = {"text": _TEXT, "audio": _FUNCTIONALS, "openl3": _OPENL3}

# Section 4.3: batches of 32 dialogues, 200 epochs, 15 without a lower validation loss, Adam, L2.
_PAPER = {
    "learning_rate": 1e-4,
    "optimizer": "adam",
    "weight_decay": 3e-4,
    "schedule": "constant",
    "warmup": 0.0,
    "batch_recordings": 32,
    "accumulation": 1,
    "epochs": 200,
    "patience": 15,
    "select": "loss",
}


def _row(name: str, paper: str = "", slots: dict[str, str] | None = None, **options: object) -> Row:
    return Row(name, {"model": "cm-roberta", **options}, slots or _FULL, paper)


SYSTEM = System(
    name="cm-roberta",
    paper="J. Luo, H. Phan, J. Reiss: Cross-Modal Fusion Techniques for Utterance-Level Emotion Recognition from Text"
    " and Speech. ICASSP 2023",
    networks=("cm-roberta",),
    features=(
        Feature(
            _FUNCTIONALS,
            "opensmile",
            {"seconds": _SECONDS},
            given=Given(
                "emo_large",
                "conf",
                "emo_large.conf, the set of 6,552 functionals, from config/misc of github.com/audeering/opensmile",
            ),
        ),
        Feature(
            _OPENL3,
            "openl3",
            {"seconds": _SECONDS},
            given=Given(
                "openl3",
                "weights",
                "the OpenL3 checkpoint of 6,144 values, a .pth.tar of github.com/torchopenl3/torchopenl3",
            ),
        ),
        Feature(
            _TEXT,
            "text",
            {"encoder": "roberta-large", "layers": [-4, -3, -2, -1], "join": True, "pool": "cls", "tokens": 199},
        ),
    ),
    training={"cm-roberta": _PAPER},
    presets=(
        Preset(
            "cm-roberta",
            "tables 1 to 3, of MELD",
            (
                _row("full", "CM-RoBERTa"),
                _row("no-attention", "CM-RoBERTa, no attention unit", attention=False),
                _row("text", "CM-RoBERTa, text", {"text": _TEXT, "audio": ""}),
                _row("audio", "CM-RoBERTa, audio", {"text": "", "audio": _FUNCTIONALS, "openl3": _OPENL3}),
                _row(
                    "audio-no-functionals",
                    "CM-RoBERTa, audio, no functionals",
                    {"text": "", "audio": "", "openl3": _OPENL3},
                ),
                _row("audio-no-openl3", "CM-RoBERTa, audio, no OpenL3", {"text": "", "audio": _FUNCTIONALS}),
                _row("join-concat", join="concat"),
            ),
            _PAPER,
            dataset="meld",
            tasks=("emotion",),
        ),
    ),
    readings=(
        Reading(
            "⊕ inside the layer norms of equations 3 to 9 is called concatenation",
            "a residual sum, as in its reference 28; then the width stays as it is from layer to layer",
            "--join concat",
        ),
        Reading(
            "equation 3 joins the audio with what the text's queries draw from it, the text around it says the opposite",
            "the equations as printed: H_a with softmax(Q_t K_aᵀ) V_a, H_t with softmax(Q_a K_tᵀ) V_t",
        ),
        Reading("the number of attention heads", "one, as the equations have it", "--heads"),
        Reading("128 hidden neurons", "of each direction of an LSTM, and inside feed-forward blocks", "--width"),
        Reading(
            "figure 2 has LSTMs for equation 10, its text H_a and x_a",
            "two stacked LSTMs over H_a and H_t, side by side into a bidirectional one",
        ),
        Reading(
            "models of one modality are LSTM layer and residual block (table 1)",
            "so they have neither attention nor fusion",
            "--slot audio= or --slot text=",
        ),
        Reading(
            "how the frames of OpenL3 become one vector of an utterance",
            "their mean",
            "--feature openl3=openl3:weights=FILE,pool=none",
        ),
        Reading(
            "RoBERTa is fine-tuned, on what is not said",
            "on the training split of the corpus, by msmt finetune; without that the hub's own weights are taken",
            "--text-encoder FOLDER",
        ),
        Reading(
            "the token whose last four layers are taken", "the first, <s>", "--feature roberta-last4=… with pool mean"
        ),
        Reading("what the stop after 15 epochs keeps", "the epoch of lowest validation loss", "--select weighted_f1"),
        Reading("the longest inputs", "40 s and 199 tokens: of MELD, only clips that are cut wrongly are longer"),
        Reading("clipping of gradients", "msmt's own, a norm of 1", "--clip-norm 0"),
    ),
    bench=(_row("cm-roberta"),),
)
