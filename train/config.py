"""Every size and switch of a training run.

The command line makes one option of each field, with the sentence under the field as its help. Settings of the network
that is trained unless another is named stand here too, and not in its own file: its help needs no torch then.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..errors import SettingError, shown
from ..values import LARGEST_SEED, check_kinds, check_least, check_most
from .selecting import FIGURES

CHOICES: dict[str, tuple[str, ...]] = {
    "modalities": ("auto", "both", "text", "audio"),
    "pooling": ("flatten", "cls", "mean", "attention"),
    "segment_vector": ("mean", "text", "complementary"),
    "optimizer": ("adamw", "adam"),
    "schedule": ("cosine", "linear", "constant"),
    "class_weights": ("none", "balanced"),
    "value_loss": ("squared", "absolute"),
    "select": ("auto", *FIGURES, "loss"),
    "precision": ("auto", "float32", "bfloat16"),
    "device": ("auto", "cpu", "cuda"),
    "cache_in": ("auto", "none", "ram", "gpu"),
}

SAMPLERS = ("tpe", "grid")  # how a sweep chooses values

# Sizes that no machine has room or time for: a slip of the keyboard is refused here, before it asks for the memory.
_MOST: dict[str, float] = {
    "width": 65_536,
    "heads": 65_536,
    "feed_forward": 1_048_576,
    "complementary_layers": 256,
    "text_layers": 256,
    "bottleneck_layers": 256,
    "bottleneck_tokens": 4096,
    "gru_layers": 256,
    "gru_width": 65_536,
    "head_width": 65_536,
    "seed": LARGEST_SEED,
    "epochs": 1_000_000,
    "patience": 1_000_000,
    "learning_rate": 1e30,
    "weight_decay": 1e6,
    "clip_norm": 1e30,
    "batch_recordings": 1_000_000,
    "accumulation": 1_000_000,
    "readers": 256,
    "cache_gb": 1e6,
}
_SLOT = re.compile(r"[A-Za-z][\w-]{0,63}", re.ASCII)  # what a slot may be called
_LONGEST_NAME = 200  # bytes; the time stands before it in the name of a run's folder


@dataclass(frozen=True)
class NetworkSettings:
    """What the settings of all networks have; those of each network add its sizes and switches."""

    network: ClassVar[str] = ""
    """Name of the network that they belong to."""

    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The words that a field may be, by the field's name."""

    mtl: bool = True
    """Multi-task learning: one head per task; without it only the finest task has one."""

    modalities: str = "auto"
    """Features the network sees; auto is both, or those of the one modality that the store has."""

    def __post_init__(self) -> None:
        check_kinds(self)
        check_choices(self, {"modalities": CHOICES["modalities"], **self.choices})
        check_most(self, _MOST)

    def check_shares(self, *names: str) -> None:
        """Raises SettingError for a share of values to drop that is not from 0 to below 1."""
        for name in names:
            if not 0 <= getattr(self, name) < 1:
                raise SettingError(f"{name} must be at least 0 and below 1, but is {getattr(self, name)}")

    @property
    def variant(self) -> str:
        """What a run is called unless it has a name: the network, and the switches that are not at their defaults."""
        named = [self.network] + ([] if self.mtl else ["no-mtl"])
        return "-".join(named + ([self.modalities] if self.modalities in ("text", "audio") else []))


@dataclass(frozen=True)
class ModelConfig(NetworkSettings):
    """One variant of MSMT-FN."""

    network: ClassVar[str] = "msmt-fn"
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {name: CHOICES[name] for name in ("pooling", "segment_vector")}

    bottleneck: bool = True
    """Fuse the two streams through bottleneck tokens; without it they meet only in the segment's vector."""

    segment_vector: str = "mean"
    """Stream that becomes a segment's vector after the fusion: one of the two, or the mean of both."""

    shared_bottleneck: bool = False
    """One Transformer for both streams in each bottleneck layer; without it each stream has its own."""

    pooling: str = "cls"
    """How a segment's stream becomes one vector; flatten has a weight for every position and value."""

    width: int = 0
    """Values per row inside the network; 0 for the features' own width, else features are projected to it."""

    heads: int = 12
    """Attention heads; must divide the width."""

    feed_forward: int = 3072
    """Values inside each feed-forward block."""

    complementary_layers: int = 4
    """Layers in which the text queries the audio."""

    text_layers: int = 1
    """Self-attention layers of the text stream, or of the audio stream if there is no text."""

    bottleneck_layers: int = 2
    """Layers of bottleneck fusion."""

    bottleneck_tokens: int = 4
    """Vectors through which the two streams exchange what they know."""

    context: bool = True
    """Read a recording's segments in order with a Bi-GRU; without it their vectors are averaged."""

    gru_layers: int = 2
    """Layers of the Bi-GRU."""

    gru_width: int = 128
    """Values per direction of the Bi-GRU."""

    head_width: int = 512
    """Values inside each task's head."""

    dropout: float = 0.3
    """Share of values dropped inside the streams, the fusion and the heads."""

    context_dropout: float = 0.5
    """Share of values dropped after the Bi-GRU."""

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = ("heads", "feed_forward", "gru_layers", "gru_width", "head_width")
        check_least(self, 1, counts + ("complementary_layers", "bottleneck_layers", "bottleneck_tokens"))
        check_least(self, 0, ("width", "text_layers"))
        self.check_shares("dropout", "context_dropout")
        if self.width % self.heads:
            raise SettingError(f"heads must divide the width, but {self.heads} does not divide {self.width}")
        self._check_streams()

    def _check_streams(self) -> None:
        """Refuses switches that would change nothing, or leave a stream without any effect."""
        vector = self.segment_vector
        if self.modalities in ("text", "audio"):
            if vector != "mean":
                raise SettingError(
                    f"segment_vector {vector} chooses between two streams, but with modalities {self.modalities} there "
                    f"is one: choose modalities both, or leave segment_vector at mean"
                )
            if self.shared_bottleneck:
                raise SettingError(
                    f"shared_bottleneck is about two streams, but with modalities {self.modalities} there is one: "
                    f"choose modalities both, or leave it out"
                )
        if self.shared_bottleneck and not self.bottleneck:
            raise SettingError("shared_bottleneck is about the bottleneck, which is switched off: leave one out")
        if vector == "text" and not self.bottleneck:
            raise SettingError(
                "segment_vector text never hears the audio without the bottleneck: choose modalities text, or another "
                "segment_vector"
            )
        if vector != "mean" and self.bottleneck and self.bottleneck_layers < 2:
            raise SettingError(
                f"segment_vector {vector} learns of the other stream from the second bottleneck layer on, but "
                f"bottleneck_layers is {self.bottleneck_layers}: choose 2 or more, or segment_vector mean"
            )

    @property
    def variant(self) -> str:
        """The switches that are not at their defaults, such as ``no-mtl-text``; ``full`` if all are."""
        switches = ("mtl", "bottleneck", "context")
        named = [f"no-{name}" for name in switches if not getattr(self, name)]
        named += [self.modalities] if self.modalities in ("text", "audio") else []
        named += [f"{self.segment_vector}-vector"] if self.segment_vector != "mean" else []
        named += ["shared-bottleneck"] if self.shared_bottleneck else []
        return "-".join(named) or "full"


@dataclass(frozen=True)
class TrainConfig:
    """How one variant is trained."""

    name: str = ""
    """Name of the run; empty for the name of the variant."""

    seed: int = 0
    """Seed of the first weights, the order of the recordings and dropout."""

    epochs: int = 35
    """Most passes over the training split."""

    patience: int = 8
    """Epochs without a better validation result before training stops; 0 never stops early."""

    learning_rate: float = 1e-4
    """Highest learning rate, reached after the warm-up."""

    optimizer: str = "adamw"
    """What takes the steps: AdamW, or Adam, whose weight decay is a part of the gradient (L2)."""

    schedule: str = "cosine"
    """Course of the learning rate after the warm-up, down to 0 at the last epoch."""

    warmup: float = 0.05
    """Share of all optimizer steps in which the learning rate rises from 0."""

    weight_decay: float = 0.01
    """Weight decay, on all weights: those of norms and biases too."""

    clip_norm: float = 1.0
    """Largest norm of the gradient, larger ones are scaled down to it; 0 leaves them as they are."""

    batch_recordings: int = 4
    """Recordings that go through the network at once."""

    accumulation: int = 4
    """Batches whose gradients are added up before each optimizer step."""

    class_weights: str = "none"
    """Weight of a class in the loss; balanced weighs it by the inverse of its share in the training split."""

    label_smoothing: float = 0.0
    """Share of each label that the loss spreads evenly over all classes."""

    value_loss: str = "squared"
    """Loss of a real value: its squared error, or its absolute one, which papers on sentiment take."""

    select: str = "auto"
    """Validation figure that picks the best epoch, averaged over the trained tasks and the coarser ones that follow
    from them, also without multi-task learning; auto is accuracy, or mae for real values."""

    tasks: str = ""
    """Tasks to train, separated by commas; empty for all of the store."""

    slot: str = ""
    """Feature of the store that fills an input of the network, as SLOT=FEATURE, such as text=roberta; several layers,
    as audio=hubert-layer*, are summed with learned weights, and text= leaves the slot empty. May be repeated."""

    text_feature: str = ""
    """Text feature of the store to train on, as --slot text=FEATURE; empty for the only one."""

    audio_feature: str = ""
    """Audio feature of the store to train on, as --slot audio=FEATURE; empty for the only one."""

    scheme: str = "standard"
    """Way of splitting the recordings, of those that the store has; standard is the corpus's own."""

    train_split: str = "train"
    """Split whose recordings are learnt."""

    views: str = ""
    """Views of the training split to learn from, separated by commas; empty for all in the store."""

    validation_split: str = "val"
    """Split that stops training and picks the best epoch."""

    skip_missing: bool = False
    """Leave out segments whose features are missing, and list them, instead of refusing to start."""

    precision: str = "auto"
    """Arithmetic of the network; auto is bfloat16 where the device is made for it."""

    device: str = "auto"
    """Where the network runs; auto takes a GPU if there is one."""

    compile: bool = False
    """Let torch.compile fuse what works on rows one by one; pays on a GPU, after a minute at the start."""

    readers: int = 1
    """Threads that read batches ahead; 0 reads them when they are needed."""

    cache_in: str = "auto"
    """Where features stay after their first reading; auto is the GPU if they fit, else the files' own cache."""

    cache_gb: float = 0.0
    """Most gigabytes of features to keep in memory or mapped; 0 for half of what is free."""

    def __post_init__(self) -> None:
        check_kinds(self)
        check_choices(self, CHOICES)
        check_least(self, 1, ("epochs", "batch_recordings", "accumulation"))
        check_least(self, 0, ("seed", "patience", "weight_decay", "clip_norm", "readers", "cache_gb"))
        check_most(self, _MOST)
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise SettingError(f"learning_rate must be above 0, but is {self.learning_rate}")
        for share in ("warmup", "label_smoothing"):
            if not 0 <= getattr(self, share) < 1:
                raise SettingError(f"{share} must be at least 0 and below 1, but is {getattr(self, share)}")
        self.slots  # noqa: B018  what is wrong with it is said at once
        if self.name in (".", "..") or any(mark in self.name for mark in "/\\\0"):
            raise SettingError(f"name must be usable as the name of a folder, but is {shown(self.name)}")
        if len(self.name.encode()) > _LONGEST_NAME:
            raise SettingError(f"name must have at most {_LONGEST_NAME} bytes, but is {shown(self.name)}")
        if self.train_split == self.validation_split:
            raise SettingError(f"train_split and validation_split must differ, but both are {shown(self.train_split)}")

    @property
    def slots(self) -> dict[str, str]:
        """By slot the name of a feature, or a pattern of several, as ``slot`` and the two older options say.

        Raises SettingError for what is no SLOT=FEATURE, and for a slot that is filled twice.
        """
        asked: dict[str, str] = {}
        for part in _listed_in(self.slot):
            name, equals, feature = (each.strip() for each in part.partition("="))
            if not equals or not _SLOT.fullmatch(name):
                raise SettingError(f"slot must be SLOT=FEATURE, such as text=roberta, but is {shown(part)}")
            if asked.setdefault(name, feature) != feature:
                raise SettingError(f"slot {name} is filled twice, by {shown(asked[name])} and {shown(feature)}")
        for name, feature in (("text", self.text_feature), ("audio", self.audio_feature)):
            if feature and asked.setdefault(name, feature) != feature:
                raise SettingError(f"slot {name} is filled twice, by {shown(asked[name])} and {shown(feature)}")
        return asked

    @property
    def task_names(self) -> tuple[str, ...]:
        """The names in ``tasks``."""
        return _listed_in(self.tasks)

    @property
    def view_names(self) -> tuple[str, ...]:
        """The names in ``views``."""
        return _listed_in(self.views)


def _listed_in(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


def slot_option(slots: Mapping[str, str]) -> str:
    """The option ``slot`` that fills slots so; ``TrainConfig.slots`` reads it."""
    return ",".join(f"{slot}={feature}" for slot, feature in slots.items())


def check_choices(settings: object, choices_of: Mapping[str, tuple[str, ...]]) -> None:
    """Raises SettingError for a field that is none of the words that it may be."""
    for name, choices in choices_of.items():
        value = getattr(settings, name, choices[0])
        if value not in choices:
            raise SettingError(f"{name} must be one of {', '.join(choices)}, but is {shown(value)}")
