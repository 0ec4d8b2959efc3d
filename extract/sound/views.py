"""Views: altered copies of a segment that enlarge the training split (MSMT-FN, section 3.2).

A view is named by its kind, and by a number from the second copy on: ``noise``, ``noise-2``, ``speed``.
What it holds follows from its recipe, its name and the segment's id alone, so neither the order in which
rows are made nor the number of processes that make them can change it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import SettingError, shown
from ...values import LARGEST_SEED, check_kinds, check_most

if TYPE_CHECKING:
    import numpy as np

AUDIO_VIEWS = ("noise", "speed", "mask")
TEXT_VIEWS = ("homophone",)
CHOICES = {"homophone_tones": ("keep", "ignore")}

_KINDS = AUDIO_VIEWS + TEXT_VIEWS
_VERSION = 1  # of what the kinds do; a change of it makes the rows of all views stale
_DECIBELS = (-60.0, 120.0)  # beyond, a float32 sample holds either the noise or the signal alone
_FACTORS = (0.25, 4.0)  # beyond, a phase vocoder leaves nothing that sounds like speech
_MOST = {"copies": 1000, "seed": LARGEST_SEED, "mask_pieces": 1_000_000}  # beyond is a slip of the keyboard


@dataclass(frozen=True)
class ViewOptions:
    """Which altered copies of the training split are made, and how; each is an option of ``msmt extract``."""

    augment: str = ""
    """Altered copies of the training split to add, of noise, speed, mask and homophone, separated by commas."""

    copies: int = 1
    """Copies of each."""

    seed: int = 0
    """Seed of what is drawn for the copies."""

    augment_classes: str = ""
    """Copy only recordings of these classes of the finest task, separated by commas; all of them unless given."""

    noise_db: str = "10:40"
    """Range of the ratio of signal to added noise, in decibels, such as 10:40."""

    speed_range: str = "0.9:1.1"
    """Range of the factor by which speech gets faster, its pitch kept, such as 0.9:1.1."""

    mask_share: float = 0.1
    """Share of a segment that is masked with silence, between 0 and 1."""

    mask_pieces: int = 5
    """Most pieces that the masked share comes in."""

    homophone_rate: float = 0.1
    """Probability with which a Chinese character becomes another of the same sound."""

    homophone_tones: str = "keep"
    """Whether a homophone must have the same tone (keep) or only the same syllable (ignore)."""

    def __post_init__(self) -> None:
        check_kinds(self)
        check_most(self, _MOST)
        if self.augment.strip():
            kinds = _listed("augment", self.augment)
            for kind in kinds:
                if kind not in _KINDS:
                    raise SettingError(f"augment must name views of {', '.join(_KINDS)}, but names {shown(kind)}")
        if self.augment_classes.strip():
            _listed("augment classes", self.augment_classes)
        if self.copies < 1:
            raise SettingError(f"copies must be at least 1, but is {self.copies}")
        if self.seed < 0:
            raise SettingError(f"seed must be at least 0, but is {self.seed}")
        _range("noise db", self.noise_db, *_DECIBELS)
        _range("speed range", self.speed_range, *_FACTORS)
        if not 0 < self.mask_share < 1:
            raise SettingError(f"mask share must be above 0 and below 1, but is {self.mask_share}")
        if self.mask_pieces < 1:
            raise SettingError(f"mask pieces must be at least 1, but is {self.mask_pieces}")
        if not 0 < self.homophone_rate <= 1:
            raise SettingError(f"homophone rate must be above 0 and at most 1, but is {self.homophone_rate}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                words = name.replace("_", " ")
                raise SettingError(f"{words} must be {' or '.join(choices)}, but is {shown(getattr(self, name))}")

    @property
    def views(self) -> tuple[str, ...]:
        """Names of all views asked for, with their copies: ``("noise", "noise-2", "mask", "mask-2")``."""
        kinds = _listed("augment", self.augment) if self.augment.strip() else ()
        return tuple(kind if copy == 1 else f"{kind}-{copy}" for kind in kinds for copy in range(1, self.copies + 1))

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that copies are limited to; empty for all."""
        return _listed("augment classes", self.augment_classes) if self.augment_classes.strip() else ()


def kind_of(view: str) -> str:
    """What alters a view: ``noise`` for ``noise-2``. SettingError when nothing of that name does."""
    match = re.fullmatch(rf"({'|'.join(_KINDS)})(?:-([2-9]|[1-9]\d+))?", view)
    if not match:
        kinds = ", ".join(_KINDS)
        raise SettingError(f"there is no view {shown(view)}: the kinds are {kinds}, a second copy is noise-2")
    return match[1]


def recipe_of(view: str, options: ViewOptions) -> dict:
    """All that decides a view's values, besides the segment and the view's name, as JSON can hold it."""
    kind = kind_of(view)
    recipe = {"kind": kind, "version": _VERSION, "seed": options.seed}
    if kind == "noise":
        recipe["decibels"] = list(_range("noise db", options.noise_db, *_DECIBELS))
    elif kind == "speed":
        recipe["factors"] = list(_range("speed range", options.speed_range, *_FACTORS))
    elif kind == "mask":
        recipe |= {"share": options.mask_share, "pieces": options.mask_pieces}
    else:
        from .homophones import sources

        recipe |= {"rate": options.homophone_rate, "tones": options.homophone_tones, **sources()}
    return recipe


def generator_for(recipe: dict, segment_id: str, view: str) -> np.random.Generator:
    """What one row's values are drawn from: the same in every process, and in whatever order rows are made."""
    import numpy as np

    origin = json.dumps([recipe["seed"], segment_id, view]).encode()
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(origin).digest()[:16], "big")))


def alter_audio(samples: np.ndarray, sample_rate: int, recipe: dict, generator: np.random.Generator) -> np.ndarray:
    """A segment's samples (n,), float32, as its view has them: (m,), float32. Only ``speed`` makes m differ from n.

    ``sample_rate`` is that of the samples in hertz. They are altered before they are normalised, and kept whole.
    """
    import numpy as np

    if recipe["kind"] == "noise":
        altered = _with_noise(samples, _drawn_decibels(recipe, generator), generator)
    elif recipe["kind"] == "speed":
        from .audio import stretched

        altered = stretched(samples, _drawn_factor(recipe, generator), sample_rate)
    elif recipe["kind"] == "mask":
        altered = _masked(samples, recipe["share"], recipe["pieces"], generator)
    else:
        raise ValueError(f"{recipe['kind']} does not alter audio")
    return np.ascontiguousarray(altered, np.float32)


def drawn_for(recipe: dict, segment_id: str, view: str) -> str:
    """What was drawn for one row of a view of the audio, for people; empty where nothing is worth telling."""
    generator = generator_for(recipe, segment_id, view)
    if recipe["kind"] == "noise":
        return f"noise {_drawn_decibels(recipe, generator):.1f} dB below the segment"
    if recipe["kind"] == "speed":
        return f"{_drawn_factor(recipe, generator):.3f} times as fast"
    if recipe["kind"] == "mask":
        return f"{recipe['share']:.0%} masked, in {recipe['pieces']} pieces at most"
    return ""


def _drawn_decibels(recipe: dict, generator: np.random.Generator) -> float:
    return generator.uniform(*recipe["decibels"])


def _drawn_factor(recipe: dict, generator: np.random.Generator) -> float:
    return generator.uniform(*recipe["factors"])


def alter_text(text: str, recipe: dict, generator: np.random.Generator) -> str:
    """A segment's transcript as its view has it, of the same number of characters."""
    if recipe["kind"] != "homophone":
        raise ValueError(f"{recipe['kind']} does not alter text")
    from .homophones import with_homophones

    return with_homophones(text, recipe["rate"], recipe["tones"] == "keep", generator)


def check_text(texts: Iterable[str]) -> None:
    """SettingError when none of the transcripts that homophones are asked for holds a Chinese character."""
    from .homophones import has_chinese

    if not any(has_chinese(text) for text in texts):
        raise SettingError(
            "homophones are available only for Chinese text yet, and no transcript holds a Chinese character: "
            "leave homophone out of augment"
        )


def _with_noise(samples: np.ndarray, decibels: float, generator: np.random.Generator) -> np.ndarray:
    """Gaussian noise added at a ratio of the segment's power to the noise's power.

    The power is that about the mean, for normalisation takes the mean away. Where there is none, as in digital
    silence, the noise is none either.
    """
    import numpy as np

    noise = generator.standard_normal(len(samples))
    # Scaled by its own power, not by the one expected, so that short segments hit the ratio too.
    wanted = samples.var(dtype=np.float64) / 10 ** (decibels / 10)
    return samples + noise * np.sqrt(wanted / max(np.mean(noise**2), np.finfo(np.float64).tiny))


def _masked(samples: np.ndarray, share: float, most_pieces: int, generator: np.random.Generator) -> np.ndarray:
    """A share of the samples set to zero, in up to ``most_pieces`` stretches that do not touch."""
    import numpy as np

    masked = samples.copy()
    total = round(share * len(samples))
    kept = len(samples) - total
    if not total:
        return masked
    pieces = min(int(generator.integers(1, most_pieces + 1)), total, kept + 1)
    cuts = np.sort(generator.choice(total - 1, pieces - 1, replace=False)) + 1 if pieces > 1 else np.empty(0, int)
    lengths = np.diff([0, *cuts, total])
    # Each piece stands before another of the kept samples, or at the end.
    before = np.sort(generator.choice(kept + 1, pieces, replace=False))
    starts = before + np.cumsum(lengths) - lengths
    for start, length in zip(starts, lengths, strict=True):
        masked[start : start + length] = 0
    return masked


def _listed(name: str, text: str) -> tuple[str, ...]:
    """The parts of a list with commas; SettingError when one is empty or comes twice."""
    parts = tuple(part.strip() for part in text.split(","))
    if "" in parts:
        raise SettingError(f"{name} must be names separated by commas, but is {shown(text)}")
    for part in parts:
        if parts.count(part) > 1:
            raise SettingError(f"{name} must name each once, but names {shown(part)} {parts.count(part)} times")
    return parts


def _range(name: str, text: str, least: float, most: float) -> tuple[float, float]:
    """Both ends of a range such as ``10:40``; SettingError when it is none, reversed, or beyond the limits."""
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise SettingError(f"{name} must be a range such as {_example(name)}, but is {shown(text)}") from None
    if not (math.isfinite(low) and math.isfinite(high) and least <= low and high <= most):
        raise SettingError(f"{name} must lie between {least:g} and {most:g}, but is {shown(text)}")
    if low > high:
        raise SettingError(f"{name} must go from low to high, but is {shown(text)}: write {high:g}:{low:g}")
    return low, high


def _example(name: str) -> str:
    return "10:40" if name == "noise db" else "0.9:1.1"
