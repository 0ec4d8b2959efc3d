"""How often 95 % intervals hold the true figure.

    python benchmarks/interval_coverage.py [--tables 1000] [--quick] [--json FILE]

Evaluations are simulated and given intervals by the very functions that ``msmt eval`` uses; beside each stands, in
brackets, the 2.5 % to 97.5 % quantile of a bootstrap over recordings. Four classes, 16, 31, 43 and 10 % of the labels
as in MarketCalls, are answered right with probability p, else by any other class; real values have errors of a normal
distribution. In *clustered* cases a recording has 1 to 9 segments, and a mean of its own (deviation 1.5 of the logit,
0.5 of the value) that its segments share. The truth is the figure of endlessly many recordings.

With *3 seeds*, the interval is that of the mean over 3 runs of one procedure (runs as in false_marks.py), and the truth
is that of endlessly many seeds too.

Bounded by --tables, seeded; about three minutes. ``--quick`` makes 10 evaluations of each kind.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from msmt.evaluate import uncertainty
from msmt.evaluate.confusion import figures_of_confusion
from msmt.evaluate.tally import Tally
from msmt.features.tasks import Task

sys.path.insert(0, str(Path(__file__).parent))
import false_marks  # noqa: E402

RECORDINGS, RIGHT = (16, 30, 88, 300), (0.6, 0.9)
SHARES = np.array([0.16, 0.31, 0.43, 0.10])
CLASSES = Task("class", ("A", "B", "C", "D"), "segment")
VALUES = Task("value", (), "segment")
RESAMPLES = 400
CLASS_FIGURES = ("accuracy", "weighted_f1", "macro_f1", "uar")
VALUE_FIGURES = ("mae", "corr")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=1000, help="evaluations of each kind")
    parser.add_argument("--quick", action="store_true", help="10 evaluations of each kind")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tables = 10 if options.quick else options.tables
    found = simulate(tables)
    print(table_of(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


def simulate(tables: int) -> list[dict]:
    """What holds the truth how often, for each kind of evaluation; shares of 1."""
    found = []
    for is_clustered in (False, True):
        for recordings in RECORDINGS:
            for right in RIGHT:
                random = np.random.default_rng([is_clustered, recordings, int(10 * right)])
                cases = (classes_of(random, right, recordings, is_clustered) for _ in range(tables))
                about = {"task": f"p = {right}", "clustered": is_clustered, "recordings": recordings}
                found.append(about | coverage(random, CLASSES, cases, true_shares(right)))
            random = np.random.default_rng([2, is_clustered, recordings])
            cases = (values_of(random, recordings, is_clustered) for _ in range(tables))
            about = {"task": "values", "clustered": is_clustered, "recordings": recordings}
            found.append(about | coverage(random, VALUES, cases, true_values(is_clustered)))
    for recordings in RECORDINGS:
        random = np.random.default_rng([3, recordings])
        held = [holds_over_seeds(random, recordings) for _ in range(tables)]
        about = {"task": "p = 0.7, 3 seeds", "clustered": False, "recordings": recordings}
        found.append(about | {"accuracy": float(np.mean(held))})
    return found


def coverage(random: np.random.Generator, task: Task, cases, truth: dict[str, float]) -> dict[str, float]:
    """How often each figure's interval holds the truth; ``<figure>_quantiles`` are the bootstrap's."""
    held: dict[str, list[bool]] = {}
    for labels, answers, homes in cases:
        tally = Tally.of(task, labels, answers, homes)
        drawn = quantiles_of(random, tally)
        for name, true in truth.items():
            estimates = tally.estimates[name]
            ends = uncertainty.interval(name, estimates.mean, uncertainty.of_mean(estimates), tally.most_items[name])
            held.setdefault(name, []).append(ends[0] <= true <= ends[1])
            held.setdefault(f"{name}_quantiles", []).append(drawn[name][0] <= true <= drawn[name][1])
    return {name: float(np.mean(of)) for name, of in held.items()}


def quantiles_of(random: np.random.Generator, tally: Tally) -> dict[str, np.ndarray]:
    """The plain bootstrap over recordings."""
    recordings = len(tally.sums)
    drawn = random.multinomial(recordings, np.full(recordings, 1 / recordings), size=RESAMPLES) @ tally.sums
    return {name: np.quantile(values, [0.025, 0.975]) for name, values in tally.figures(drawn).items()}


def homes_of(random: np.random.Generator, recordings: int, is_clustered: bool) -> np.ndarray:
    """(n,) the recording of each segment."""
    return np.repeat(np.arange(recordings), random.integers(1, 10, recordings) if is_clustered else 1)


def classes_of(random: np.random.Generator, right: float, recordings: int, is_clustered: bool):
    """Labels, answers and recordings of (n,) segments."""
    homes = homes_of(random, recordings, is_clustered)
    labels = random.choice(4, len(homes), p=SHARES)
    chance = np.full(recordings, right)
    if is_clustered:
        chance = false_marks.probability(logit_of(right, 1.5) + 1.5 * random.standard_normal(recordings))
    wrong = (labels + random.integers(1, 4, len(homes))) % 4
    return labels, np.where(random.random(len(homes)) < chance[homes], labels, wrong), homes


def logit_of(share: float, deviation: float) -> float:
    """The mean of a normal distribution of logits at which that share is right."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    grid = np.linspace(-8, 8, 4001)
    shares = false_marks.probability(grid[:, None] + deviation * nodes) @ weights / weights.sum()
    return float(np.interp(share, shares, grid))


def true_shares(right: float) -> dict[str, float]:
    confusion = np.outer(SHARES, np.full(4, (1 - right) / 3))
    np.fill_diagonal(confusion, SHARES * right)
    return {name: float(values[0]) for name, values in figures_of_confusion(confusion[None]).items()}


def values_of(random: np.random.Generator, recordings: int, is_clustered: bool):
    """Labels, answers and recordings of (n,) segments, with errors of deviation 1."""
    homes = homes_of(random, recordings, is_clustered)
    labels, errors = random.standard_normal((2, len(homes)))
    if is_clustered:
        errors = np.sqrt(0.75) * errors + 0.5 * random.standard_normal(recordings)[homes]
    return labels, labels + errors, homes


def true_values(is_clustered: bool) -> dict[str, float]:
    return {"mae": float(np.sqrt(2 / np.pi)), "corr": float(np.sqrt(0.5))}  # errors have deviation 1 in both cases


def holds_over_seeds(random: np.random.Generator, recordings: int) -> bool:
    """Whether the interval of a mean over 3 seeds holds the procedure's accuracy."""
    right = false_marks.answers_of(random, [false_marks.RIGHT], 3, recordings)[0].astype(float)
    without = (right.sum(axis=1, keepdims=True) - right) / (recordings - 1)
    row = uncertainty.Estimates(right.mean(axis=1), without)
    low, high = uncertainty.interval("accuracy", row.mean, uncertainty.of_mean(row), recordings)
    return low <= false_marks.RIGHT <= high


def table_of(found: list[dict]) -> str:
    """A Markdown table: msmt's intervals, and the quantiles' in brackets; in per cent."""
    figures = (*CLASS_FIGURES, *VALUE_FIGURES)
    rows = [["", "segments", "n", *figures], ["---"] * 2 + ["---:"] * (1 + len(figures))]
    for line in found:
        row = [line["task"], "clustered" if line["clustered"] else "independent", str(line["recordings"])]
        for name in figures:
            quantiles = line.get(f"{name}_quantiles")
            other = "" if quantiles is None else f" ({100 * quantiles:.0f})"
            row.append(f"{100 * line[name]:.1f}{other}" if name in line else "")
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
