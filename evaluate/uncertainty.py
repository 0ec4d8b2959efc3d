"""How far a figure may lie from the truth: over other recordings, and over other seeds of the same procedure.

Letters in shapes: S seeds, G recordings. What is said of recordings holds for speakers where these are resampled.

- **Recordings.** Each is left out once, with all its segments. Its *pseudo-value* is G f - (G - 1) f', where f is the
  figure and f' that without it; a figure that is a mean over recordings has the recordings' own values for these.
  The variance over recordings is that of the mean of the G pseudo-values (the jackknife).
- **Seeds.** The figure of a row is the mean over its seeds. The variance over seeds is that of a mean of S figures,
  s²/S. Both variances contain what is left when a recording's and a seed's own effect are taken away, so that their sum
  would count it twice: this rest is measured and taken off the seeds' part, which is never less than 0. The sum is what
  a bootstrap over recordings and seeds, crossed, estimates; but that is too narrow by (S - 1) / S, which is a third of
  three seeds, and knows no t.
- **Two rows** share their recordings, so pseudo-values are subtracted recording by recording. Their seeds are taken
  for independent: seeds of the same number share the order of the data, and nothing else.
- **Degrees of freedom** are those of Welch and Satterthwaite, from G - 1 for recordings and S - 1 for each row's seeds,
  at least 1; t is Student's with these. Three seeds that happen to agree are so not taken for certain.

An interval lies within its figure's range:

- shares of 1 (accuracy, F1, recall): Wilson's interval with t, and with as many independent items as give this figure
  the variance that it has, v (1 - v) / variance x G / (G - 1). Of one accuracy over independent recordings these are
  just n. They are never more than the items of all seeds, and where the variance is 0 (all right, or all wrong) they
  are the recordings;
- mean absolute error: value x exp(± t s / value), where s² is the variance;
- correlation: Fisher's, tanh(artanh r ± t s / (1 - r²));
- a difference: value ± t s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
_ROUNDING = 1e-9  # standard errors below this share of their figure are nothing but rounding
_NO_WIDTH = 1e-12


@dataclass(frozen=True)
class Estimates:
    """One figure of one row: as it is, and without each recording."""

    by_seed: np.ndarray
    """(S,) the figure of each seed."""

    without: np.ndarray
    """(S, G) the figure of each seed without each recording."""

    @property
    def mean(self) -> float:
        """The row's figure."""
        return float(self.by_seed.mean())

    @property
    def pseudo_values(self) -> np.ndarray:
        """(S, G) what each recording contributes, as the head of this file says."""
        recordings = self.without.shape[1]
        return recordings * self.by_seed[:, None] - (recordings - 1) * self.without


@dataclass(frozen=True)
class Uncertainty:
    """How a figure, or a difference of two, scatters around the truth."""

    variance: float
    """Of the figure; 0 where nothing scatters."""

    degrees: float
    """Degrees of freedom of the variance."""

    recordings: int
    """Recordings (G) that it comes from."""

    seeds: int
    """Seeds (S) of the row; of two rows, of the one that has fewer."""

    @property
    def deviation(self) -> float:
        """Standard error."""
        return math.sqrt(self.variance)

    @property
    def quantile(self) -> float:
        """Student's t that cuts off half of what lies outside an interval."""
        from scipy.special import stdtrit

        return float(stdtrit(self.degrees, (1 + CONFIDENCE) / 2))


def of_mean(row: Estimates, seeds: bool = True) -> Uncertainty | None:
    """Of a row's figure; None for a single recording. ``seeds=False`` takes its seeds for the only ones."""
    return _combined(row.pseudo_values.mean(axis=0), [row], seeds)


def of_difference(row: Estimates, reference: Estimates, seeds: bool = True) -> Uncertainty | None:
    """Of a row's figure minus that of the reference, on the same recordings."""
    contributions = row.pseudo_values.mean(axis=0) - reference.pseudo_values.mean(axis=0)
    return _combined(contributions, [row, reference], seeds)


def _combined(contributions: np.ndarray, rows: list[Estimates], seeds: bool) -> Uncertainty | None:
    """(G,) pseudo-values, and the rows whose seeds they are means over."""
    recordings = len(contributions)
    if recordings < 2:
        return None
    of_recordings = contributions.var(ddof=1) / recordings
    fewest = min(len(row.by_seed) for row in rows)
    seeds = seeds and fewest > 1
    parts = [(row.by_seed.var(ddof=1) / len(row.by_seed), len(row.by_seed) - 1) for row in rows] if seeds else []
    rest = sum(_rest(row.pseudo_values) for row in rows) if seeds else 0.0
    variance = of_recordings + max(0.0, sum(part for part, _ in parts) - rest)
    scale = max(float(np.abs(row.by_seed).max()) for row in rows)
    if variance <= (_ROUNDING * scale) ** 2:
        return Uncertainty(0.0, recordings - 1, recordings, fewest)
    scatter = of_recordings**2 / (recordings - 1) + sum(part**2 / degrees for part, degrees in parts)
    return Uncertainty(float(variance), float(max(1.0, variance**2 / scatter)), recordings, fewest)


def _rest(values: np.ndarray) -> float:
    """(S, G) -> variance of their mean by what neither a recording nor a seed explains."""
    seeds, recordings = values.shape
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    return float((rest**2).sum() / ((seeds - 1) * (recordings - 1)) / (seeds * recordings))


def interval(figure: str, value: float, uncertainty: Uncertainty | None, most_items: float) -> tuple[float, float]:
    """Lower and upper end for a figure of this name; both are ``value`` where nothing scatters.

    ``most_items`` is the number of independent items that a share of one seed cannot be surer than.
    """
    if uncertainty is None:
        return value, value
    t, deviation = uncertainty.quantile, uncertainty.deviation
    if figure == "mae":
        if not value:
            return value, value
        factor = math.exp(min(t * deviation / value, 50.0))  # of two recordings, t is 12.7
        return value / factor, value * factor
    if figure == "corr":
        if not deviation or abs(value) > 1 - _NO_WIDTH:
            return value, value
        half = t * deviation / (1 - value**2)
        return math.tanh(math.atanh(value) - half), math.tanh(math.atanh(value) + half)
    return _wilson(value, _independent_items(value, uncertainty, most_items), t)


def _independent_items(share: float, uncertainty: Uncertainty, most_items: float) -> float:
    recordings = uncertainty.recordings
    within = share * (1 - share)
    if not uncertainty.variance:
        # Recordings that are all alike say nothing of how alike their segments are, unless they vary inside.
        return min(most_items, recordings) if within < _NO_WIDTH else most_items
    return min(most_items * uncertainty.seeds, within / uncertainty.variance * recordings / (recordings - 1))


def _wilson(share: float, items: float, t: float) -> tuple[float, float]:
    if items <= 0:
        return 0.0, 1.0
    squared = t * t / items
    middle = share + squared / 2
    half = t * math.sqrt(max(0.0, share * (1 - share) / items + squared / (4 * items)))
    low, high = (middle - half) / (1 + squared), (middle + half) / (1 + squared)
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def interval_of_difference(value: float, uncertainty: Uncertainty | None, widest: float) -> tuple[float, float]:
    """Lower and upper end; ``widest`` is the largest difference that there can be."""
    if uncertainty is None:
        return value, value
    half = uncertainty.quantile * uncertainty.deviation
    return max(-widest, value - half), min(widest, value + half)


def probability(value: float, uncertainty: Uncertainty | None) -> float:
    """Two-sided p of a difference as large as this if there were none."""
    from scipy.special import stdtr

    if not value or uncertainty is None:
        return 1.0
    if not uncertainty.variance:
        return 0.0
    return float(2 * stdtr(uncertainty.degrees, -abs(value) / uncertainty.deviation))


def has_width(low: float, high: float) -> bool:
    """Whether an interval says anything."""
    return bool(high - low > _NO_WIDTH)
