"""MSMT-FN: its ablation on calls (table 6), and its figures on public corpora (tables 2 and 3)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .contract import Feature, Preset, Reading, Row, Rows, System

ORIGINAL = "original"  # the view; as in features.segments, which takes longer to import than help may

# Table 6 of the paper, the rows of its three parts, and beside them what else researchers ask of the method. The paper's
# full model learns from altered audio and keeps silences, so three of its rows are one variant; it is trained once.
_AUDIO_VIEWS = f"{ORIGINAL},noise,speed,mask"


def _call_row(name: str, paper: str = "", **options: object) -> Row:
    return Row(name, {"views": _AUDIO_VIEWS, **options}, paper=paper)


_TABLE_6 = (
    _call_row("full", "MSMT-FN"),
    _call_row("audio-augment", "MSMT-FN"),
    _call_row("text-augment", "MSMT-FN, text augmented", views=f"{ORIGINAL},homophone"),
    _call_row("no-augment", "MSMT-FN, not augmented", views=ORIGINAL),
    _call_row("silence-removed", "MSMT-FN, silence removed", audio_feature="*-nosilence"),
    _call_row("silence-kept", "MSMT-FN"),
    _call_row("no-bottleneck-no-mtl", "MSMT-FN, no bottleneck, no multi-task learning", bottleneck=False, mtl=False),
    _call_row("no-mtl", "MSMT-FN, no multi-task learning", mtl=False),
    _call_row("text-only", modalities="text"),
    _call_row("audio-only", modalities="audio"),
    _call_row("pooling-mean", pooling="mean"),
    _call_row("pooling-attention", pooling="attention"),
    _call_row("pooling-flatten", pooling="flatten"),
    _call_row("no-gru", context=False),
)


def _rows_of_table_6(store, preset: Preset, options: Mapping[str, object]) -> tuple[Rows, list[str]]:
    """The rows that the store has the views and features for, and a remark on each of the others."""
    kept, remarks = {}, []
    views = set(store.segments["view"])
    kinds = views | {re.sub(r"-\d+$", "", view) for view in views}
    quiet = [feature for feature in store.specs if feature.endswith("-nosilence")]
    has_audio_views = {"noise", "speed", "mask"} <= kinds
    modalities = {spec.modality for spec in store.specs.values()} & {"audio", "text"}
    for row in preset.rows:
        changes = {**row.options, **({"paper": row.paper} if row.paper else {})}
        if len(modalities) == 1 and "modalities" in changes:
            remarks.append(f"{row.name} is left out: the store has features of {next(iter(modalities))} alone")
            continue
        wanted = [view for view in str(changes["views"]).split(",") if view]
        lacking = [view for view in wanted if view not in kinds]
        if lacking and row.name in ("audio-augment", "text-augment"):
            remarks.append(f"{row.name} is left out: add its views with msmt extract --augment {','.join(lacking)}")
            continue
        if lacking:
            changes["views"] = ORIGINAL
        if changes.get("audio_feature") == "*-nosilence":
            if not quiet:
                remarks.append(f"{row.name} is left out: add its feature with msmt extract --silence remove")
                continue
            changes["audio_feature"] = quiet[0]
        elif quiet and "audio_feature" not in options:
            plain = [n for n, spec in store.specs.items() if spec.modality == "audio" and n not in quiet]
            changes |= {"audio_feature": plain[0]} if len(plain) == 1 else {}
        kept[row.name] = changes
    if not has_audio_views:
        remarks.append("the other rows learn from the original views, since the store has no altered audio")
    return kept, remarks


_BOTH = {"text": "roberta", "audio": "hubert"}
_ENGLISH = {
    "text": {"encoder": "roberta-base"},
    "audio": {"encoder": "facebook/hubert-base-ls960"},
}
_IN_ENGLISH = ("mosi", "mosei", "meld", "iemocap", "ravdess", "crema-d")


def _of_corpus(dataset: str, title: str, task: str, tokens: int, seconds: float, is_published: bool = True) -> Preset:
    """Tables 2 and 3: one head, and the longest inputs of the corpus."""
    published = "MSMT-FN" if is_published else ""
    return Preset(
        f"msmt-fn-{dataset}",
        title,
        (
            Row("full", slots=_BOTH, paper=published),
            Row("no-bottleneck", {"bottleneck": False}, _BOTH),
            Row("text-only", {"modalities": "text"}, {"text": "roberta"}),
            Row("audio-only", {"modalities": "audio"}, {"audio": "hubert"}),
            Row("no-gru", {"context": False}, _BOTH),
        ),
        {"mtl": False, "model": "msmt-fn"},
        dataset=dataset,
        tasks=(task,),
        lengths={"tokens": tokens, "seconds": seconds},
        any_feature=True,
    )


SYSTEM = System(
    name="msmt-fn",
    paper="H. Liu, R. Wan, Y. Han, J. Li, L. Lu, C. He, L. Cai: MSMT-FN: Multi-segment Multi-task Fusion Network for"
    " Marketing Audio Classification",
    networks=("msmt-fn",),
    features=(
        Feature(
            "hubert",
            "speech",
            {"encoder": "TencentGameMate/chinese-hubert-base"},
            dict.fromkeys(_IN_ENGLISH, _ENGLISH["audio"]),
        ),
        Feature(
            "roberta",
            "text",
            {"encoder": "hfl/chinese-roberta-wwm-ext"},
            dict.fromkeys(_IN_ENGLISH, _ENGLISH["text"]),
        ),
    ),
    # What the paper states (section 4.2) and what its authors' code adds to it. They trained the encoders
    # too; on frozen features this learns slowly.
    training={
        "msmt-fn": {
            "pooling": "flatten",
            "dropout": 0.3,
            "learning_rate": 1e-5,
            "weight_decay": 0.01,
            "schedule": "constant",
            "warmup": 0.0,
            "accumulation": 4,
            "patience": 8,
            "epochs": 35,
        },
    },
    presets=(
        Preset("table6", "table 6, of MarketCalls", _TABLE_6, dataset="marketcalls", settle=_rows_of_table_6),
        _of_corpus("mosi", "table 2, of CMU-MOSI", "sentiment", 96, 6.0),
        _of_corpus("mosei", "table 2, of CMU-MOSEI", "sentiment", 96, 6.0),
        _of_corpus("meld", "table 3, of MELD", "emotion", 60, 6.0),
        _of_corpus("sims", "the same of CH-SIMS, which the paper does not print", "sentiment", 48, 6.0, False),
    ),
    readings=(
        Reading(
            "encoders are trained with the rest, at a rate of 1e-5",
            "they are frozen; ablations take msmt's own rate, at which the rest learns from frozen features",
            "--preset paper of msmt train has 1e-5",
        ),
        Reading(
            "equations 3 and 4 write one Transformer for both streams",
            "one for each stream, as in its reference 15",
            "--shared-bottleneck",
        ),
        Reading("which stream becomes a segment's vector after the fusion", "the mean of both", "--segment-vector"),
        Reading("how a stream becomes one vector", "its first row; the authors' code flattens all rows", "--pooling"),
        Reading("one head where a corpus has one task", "tables 2 and 3 have no multi-task learning", "--mtl"),
        Reading(
            "encoders of English are not named",
            "roberta-base and facebook/hubert-base-ls960",
            "--text-encoder, --audio-encoder",
        ),
    ),
    bench=(Row("msmt-fn", {"model": "msmt-fn"}, _BOTH),),
)
