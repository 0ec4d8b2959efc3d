"""At which rate an encoder is given audio, and what is said of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import EncoderError
from ..features.spec import FeatureSpec

PAPER_RATES = {"marketcalls": 8000}  # hertz, by dataset: what the papers on it resample to


@dataclass(frozen=True)
class TrainedRate:
    """The rate that an encoder was trained at."""

    hertz: int | None
    """None where neither the encoder nor its class tells."""

    is_stated: bool
    """Whether the encoder's own preprocessor_config.json says so."""


@dataclass(frozen=True)
class ChosenRate:
    """The rate that an encoder is given."""

    hertz: int
    reason: str
    """What decided it, such as ``as --sample-rate says``."""


def choose_rate(
    asked: int,
    dataset: str,
    source: str,
    trained: TrainedRate,
    specs: Mapping[str, FeatureSpec],
    names: tuple[str, ...],
) -> ChosenRate:
    """The rate to give an encoder: the one asked for, else the stored feature's, else the dataset's, else its own.

    ``specs`` are those of the store, ``names`` what the feature is called, and what the plain one of its encoder is.
    Raises EncoderError when nothing tells.
    """
    if asked:
        return ChosenRate(asked, "as --sample-rate says")
    for name in names:
        if name in specs and specs[name].sample_rate:
            rate = specs[name].sample_rate
            other = f"; --sample-rate {trained.hertz} in another --store, or with --overwrite, gives its own"
            is_own = dataset in PAPER_RATES or trained.hertz in (None, rate)
            return ChosenRate(rate, f"as {name} of the store was made{'' if is_own else other}")
    if dataset in PAPER_RATES:
        return ChosenRate(PAPER_RATES[dataset], "as the paper does")
    if trained.hertz is None:
        raise EncoderError(
            f"{source}: does not say at which rate it was trained (it has no preprocessor_config.json with a"
            " sampling_rate): name the rate with --sample-rate"
        )
    return ChosenRate(trained.hertz, "")


def remarks_on(feature: str, source: str, encoder_class: str, trained: TrainedRate, chosen: ChosenRate) -> list[str]:
    """The line that a user must not overlook, where there is one: rates differ, or the encoder's own is a guess."""
    if trained.hertz is None:
        return [f"RATE: the encoder of {feature} does not say its rate and gets {chosen.hertz:,} Hz, {chosen.reason}"]
    guess = "" if trained.is_stated else f" (by its class, {encoder_class}: it has no preprocessor_config.json)"
    if trained.hertz != chosen.hertz:
        return [
            f"RATE: the encoder of {feature} was trained at {trained.hertz:,} Hz{guess} and is given"
            f" {chosen.hertz:,} Hz, {chosen.reason}"
        ]
    if guess:
        return [f"{Path(source).name}: is given {chosen.hertz:,} Hz, at which it was trained{guess}"]
    return []
