"""Settings of the fine-tuning of an encoder."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import SettingError, shown
from ...values import LARGEST_SEED, check_kinds, check_least, check_most

CHOICES = {
    "select": ("auto", "weighted_f1", "macro_f1", "accuracy", "uar", "mae", "corr", "loss"),
    "schedule": ("linear", "cosine", "constant"),
    "class_weights": ("none", "balanced"),
    "precision": ("float32", "bfloat16"),
    "device": ("auto", "cpu", "cuda"),
}
OF_CLASSES, OF_VALUES = ("weighted_f1", "macro_f1", "accuracy", "uar", "loss"), ("mae", "corr", "loss")
SMALLER_IS_BETTER = ("loss", "mae")

_MOST = {
    "epochs": 100_000,
    "patience": 100_000,
    "save_steps": 10**9,
    "batch": 1_000_000,
    "accumulation": 1_000_000,
    "learning_rate": 1.0,
    "weight_decay": 1e6,
    "clip_norm": 1e30,
    "freeze_layers": 10_000,
    "tokens": 100_000,
    "seconds": 3600,
    "rate": 768_000,
    "seed": LARGEST_SEED,
}


@dataclass(frozen=True)
class FinetuneOptions:
    """How an encoder is fine-tuned."""

    encoder: str = ""
    """Encoder of text or of speech: a hub id, or a folder, such as one that fine-tuning has written before."""

    task: str = ""
    """Task of the corpus to learn; unless given, its first."""

    scheme: str = "standard"
    """Splits of the corpus: standard, or another that it brings, such as session5."""

    epochs: int = 10
    """Times that the training data are gone through."""

    batch: int = 32
    """Examples of a step, or of a part of it where gradients are accumulated."""

    accumulation: int = 1
    """Parts of a step: gradients are summed over as many batches."""

    learning_rate: float = 2e-5
    """Largest learning rate of AdamW; large encoders collapse at 1e-4."""

    schedule: str = "linear"
    """How the learning rate falls to zero after warm-up: linear, cosine, or constant, not at all."""

    warmup: float = 0.06
    """Share of all steps over which the learning rate rises from zero."""

    weight_decay: float = 0.01
    """Weight decay of AdamW, not of biases and norms."""

    clip_norm: float = 1.0
    """Largest norm of the gradient; 0 for any."""

    dropout: float = 0.1
    """Share of values that are dropped before the head; the encoder keeps its own."""

    label_smoothing: float = 0.0
    """Share of the label that is spread over all classes."""

    class_weights: str = "none"
    """Weights of the classes in the loss: balanced is the inverse of how often each occurs in training."""

    freeze_layers: int = 0
    """Lowest layers that stay as they are, with the embeddings; the convolutions of speech encoders always do."""

    tokens: int = 128
    """Longest text in tokens, special tokens included; what goes beyond it is cut off."""

    seconds: float = 10.0
    """Longest audio in seconds; what goes beyond it is cut off."""

    rate: int = 0
    """Rate in hertz that audio is resampled to; 0 for what msmt extract would take."""

    channel: str = "mean"
    """Channel that is heard: mean over all, or a number from 0."""

    validation_share: float = 0.1
    """Share of the training data that is held out for validation, where there is no split for it."""

    select: str = "auto"
    """Figure of validation by which the best epoch is chosen; auto is weighted_f1, and mae of real values."""

    patience: int = 0
    """Epochs without a better figure after which training ends; 0 for never."""

    save_steps: int = 0
    """Steps after which a checkpoint is written within an epoch; 0 for the end of each epoch alone."""

    precision: str = "float32"
    """Arithmetic: bfloat16 halves time and memory where the hardware multiplies it; weights stay in float32."""

    device: str = "auto"
    """Where the encoder runs."""

    seed: int = 0
    """Seed of the head's first weights, of the order of examples, of dropout, and of the validation share."""

    def __post_init__(self) -> None:
        check_kinds(self)
        check_most(self, _MOST)
        check_least(self, 1, ("epochs", "batch", "accumulation"))
        zero = ("patience", "save_steps", "freeze_layers", "rate", "seed", "weight_decay", "clip_norm")
        check_least(self, 0, zero)
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise SettingError(f"{name} must be {' or '.join(choices)}, but is {shown(getattr(self, name))}")
        for name in ("warmup", "dropout", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingError(f"{name} must be at least 0 and below 1, but is {getattr(self, name)}")
        if not 0 < self.validation_share < 1:
            raise SettingError(f"validation_share must be above 0 and below 1, but is {self.validation_share}")
        if not self.learning_rate > 0:
            raise SettingError(f"learning_rate must be above 0, but is {self.learning_rate}")
        if self.tokens < 3:
            raise SettingError(f"tokens must be at least 3 (two are special), but is {self.tokens}")
        if not self.seconds > 0:
            raise SettingError(f"seconds must be above 0, but is {self.seconds}")
        if not re.fullmatch(r"mean|\d{1,3}", self.channel, re.ASCII):
            raise SettingError(f"channel must be mean or a number from 0, but is {shown(self.channel)}")

    def figure(self, is_value: bool) -> str:
        """The figure behind ``select``. Raises SettingError where the task has none of that name."""
        if self.select == "auto":
            return "mae" if is_value else "weighted_f1"
        known = OF_VALUES if is_value else OF_CLASSES
        if self.select not in known:
            kind = "real values" if is_value else "classes"
            raise SettingError(f"select cannot be {self.select} of a task of {kind}: choose auto or {', '.join(known)}")
        return self.select
