"""MERITS-L: stages I and II for each modality, and stage III for both, or stages II and III as one.

How each stage is trained unless options say otherwise is as its sources have it: stage I as CARE's head (Adam's 1e-4, 50
epochs; 32 utterances are about 4 dialogues), stages II and III with 5e-5, 8 dialogues a batch, 100 epochs, patience 20;
weight decay 0.01, a warm-up of 6 % and gradients of norm 1 throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..config import NetworkSettings
from .merits import AUDIO, TEXT
from .staged import Stage, StagedModel

_ALWAYS = {"weight_decay": 0.01, "warmup": 0.06, "clip_norm": 1.0, "accumulation": 1}
_OF_UTTERANCES = {**_ALWAYS, "learning_rate": 1e-4, "epochs": 50, "patience": 10, "batch_recordings": 4}
_OF_DIALOGUES = {**_ALWAYS, "learning_rate": 5e-5, "epochs": 100, "patience": 20, "batch_recordings": 8}
_READS = {AUDIO: (AUDIO, "pooled"), TEXT: (TEXT,)}


@dataclass(frozen=True)
class MeritsLSettings(NetworkSettings):
    """One variant of MERITS-L."""

    network: ClassVar[str] = "merits-l"
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"co_attention": ("block", "simple")}

    joint: bool = False
    """Train stages II and III as one, on the embeddings of stage I."""

    co_attention: str = "block"
    """How the modalities ask each other in stage III: block asks the other and then itself, simple the other alone."""


def stages(settings: MeritsLSettings) -> tuple[Stage, ...]:
    """Five, three where stages II and III are one, and two of one modality alone."""
    modalities = [settings.modalities] if settings.modalities in (TEXT, AUDIO) else [AUDIO, TEXT]
    mtl = {"mtl": settings.mtl}
    found = [
        Stage(
            f"{modality}-1",
            "merits-stage1",
            {**mtl, "modalities": modality},
            _OF_UTTERANCES,
            reads=_READS[modality],
            embeds="segment",
        )
        for modality in modalities
    ]
    if not settings.joint or len(modalities) == 1:
        found += [
            Stage(
                f"{modality}-2",
                "merits-stage2",
                {**mtl, "modalities": modality},
                _OF_DIALOGUES,
                learns_from={modality: f"{modality}-1"},
                embeds="context",
            )
            for modality in modalities
        ]
    if len(modalities) > 1:
        before = 1 if settings.joint else 2
        found.append(
            Stage(
                "joint" if settings.joint else "3",
                "merits-stage3",
                {**mtl, "joint": settings.joint, "co_attention": settings.co_attention},
                _OF_DIALOGUES,
                learns_from={modality: f"{modality}-{before}" for modality in modalities},
                embeds="context",
            )
        )
    return tuple(found)


STAGED = StagedModel(
    name="merits-l",
    help="MERITS-L: the stages of each modality, then both, trained one after another",
    settings=MeritsLSettings,
    stages=stages,
)
