"""How often tables mark rows that differ by nothing but seeds, and how often rows that differ by 8 points.

    python benchmarks/false_marks.py [--tables 1000] [--quick] [--json FILE]

Runs are simulated and compared by the very function that makes msmt's tables. A recording's answer is right with a
probability whose logit is that of the procedure (70 % right), plus how easy the recording is (deviation 1, the same for
all rows), plus what the seed changes (deviation 0.3, of each run by itself). A false mark is one of a row that is the
same procedure as the first; of a table of six rows, any. The power is how often a second row is marked that is right 8
points more often. Beside msmt's mark stand, for two rows, two others on the same tables, each at p < 0.05:

- recordings: a bootstrap over recordings alone, which takes the seeds for the only ones there are;
- crossed: a bootstrap over recordings and seeds, whose scatter is taken as it is: with three seeds it is too little.

Bounded by --tables, seeded; about three minutes on two quiet cores. ``--quick`` makes 20 tables of each kind.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from msmt.evaluate.comparison import compare
from msmt.evaluate.scored import Scored
from msmt.features.tasks import Task

SEEDS, RECORDINGS = (3, 5), (16, 88, 600)
RIGHT, MORE = 0.7, 0.08
DEVIATION_OF_SEEDS, DEVIATION_OF_RECORDINGS = 0.3, 1.0  # of logits
RESAMPLES = 300
LEVEL = 0.05
TASK = Task("answer", ("right", "wrong"))


@dataclass(frozen=True)
class Line:
    """What tables of one size came to, shares of 1."""

    seeds: int
    recordings: int
    false_over_recordings: float
    """Two rows, marked by a bootstrap over recordings."""
    false_crossed: float
    """Two rows, marked by a bootstrap over recordings and seeds."""
    false: float
    """Two rows, marked by msmt."""
    false_of_six: float
    """Six rows, any of them marked by msmt."""
    power: float
    """A second row that is right 8 points more often, marked by msmt."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=1000, help="tables of each size")
    parser.add_argument("--quick", action="store_true", help="20 tables of each size")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lines = simulate(20 if options.quick else options.tables, options.processes)
    print(table_of(lines))
    if options.json:
        options.json.write_text(json.dumps([asdict(line) for line in lines], indent=2))


def simulate(tables: int, processes: int = 1) -> list[Line]:
    """A line for each number of seeds and recordings, the same for any number of processes."""
    sizes = [(seeds, recordings) for seeds in SEEDS for recordings in RECORDINGS]
    if processes == 1:
        return [line_of(*size, tables) for size in sizes]
    with ProcessPoolExecutor(processes) as pool:
        largest_first = sorted(sizes, key=lambda size: -size[0] * size[1])
        found = {size: pool.submit(line_of, *size, tables) for size in largest_first}
        return [found[size].result() for size in sizes]


def line_of(seeds: int, recordings: int, tables: int) -> Line:
    random = np.random.default_rng([seeds, recordings])
    twins = [answers_of(random, [RIGHT] * 2, seeds, recordings) for _ in range(tables)]
    sixes = (answers_of(random, [RIGHT] * 6, seeds, recordings) for _ in range(tables))
    unlike = (answers_of(random, [RIGHT, RIGHT + MORE], seeds, recordings) for _ in range(tables))
    return Line(
        seeds,
        recordings,
        share(bootstrap_p(random, right, with_seeds=False) < LEVEL for right in twins),
        share(bootstrap_p(random, right, with_seeds=True) < LEVEL for right in twins),
        share(any_marked(right) for right in twins),
        share(any_marked(right) for right in sixes),
        share(any_marked(right) for right in unlike),
    )


def share(found) -> float:
    return float(np.mean(list(found)))


def answers_of(random: np.random.Generator, skills: list[float], seeds: int, recordings: int) -> np.ndarray:
    """(rows, S, G) whether each answer is right."""
    logits = np.array([logit_of(skill) for skill in skills])[:, None, None]
    logits = logits + DEVIATION_OF_SEEDS * random.standard_normal((len(skills), seeds, 1))
    logits = logits + DEVIATION_OF_RECORDINGS * random.standard_normal(recordings)
    return random.random(logits.shape) < probability(logits)


def probability(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


@cache
def logit_of(skill: float) -> float:
    """The procedure's logit at which that share of answers is right."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    spread = np.hypot(DEVIATION_OF_SEEDS, DEVIATION_OF_RECORDINGS)
    low, high = -10.0, 10.0
    for _ in range(50):
        middle = (low + high) / 2
        is_low = weights @ probability(middle + spread * nodes) / weights.sum() < skill
        low, high = (middle, high) if is_low else (low, middle)
    return middle


def any_marked(right: np.ndarray) -> bool:
    """Whether msmt marks any row of a table; (rows, S, G) whether each answer is right."""
    recordings = tuple(f"r{number}" for number in range(right.shape[2]))
    labels = {TASK.name: np.arange(right.shape[2]) % 2}
    runs = [
        Scored(
            variant=f"row {row}",
            seed=seed,
            run=f"{row}-{seed}",
            split="test",
            recording_ids=recordings,
            segment_ids=None,
            tasks=(TASK,),
            labels=labels,
            predictions={TASK.name: np.where(right[row, seed], labels[TASK.name], 1 - labels[TASK.name])},
            store="",
            fingerprint="",
            command="",
            times_scored=1,
        )
        for row, seed in np.ndindex(right.shape[:2])
    ]
    cells = [row.cells[TASK.name] for row in compare(runs).rows[1:]]
    return any(cell.difference.is_marked for cell in cells)


def bootstrap_p(random: np.random.Generator, right: np.ndarray, with_seeds: bool) -> float:
    """Of the second row's difference to the first: how often resamples scatter as far as it is large."""
    _, seeds, recordings = right.shape
    drawn = random.multinomial(recordings, np.full(recordings, 1 / recordings), size=RESAMPLES) / recordings
    of_seeds = np.full((2, RESAMPLES, seeds), 1 / seeds)
    if with_seeds:
        of_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=(2, RESAMPLES)) / seeds
    first, second = (
        np.einsum("rs,sr->r", weights, answers @ drawn.T)
        for weights, answers in zip(of_seeds, right.astype(float), strict=True)
    )
    difference = right[1].mean() - right[0].mean()
    as_far = np.abs(second - first - difference) >= abs(difference) - 1e-9
    return (as_far.sum() + 1) / (RESAMPLES + 1)


def table_of(lines: list[Line]) -> str:
    """In per cent, as a Markdown table."""
    header = ["seeds", "recordings", "false: recordings", "false: crossed", "false: msmt", "six rows", "power"]
    rows = [header, ["---:"] * len(header)]
    for line in lines:
        shares = (line.false_over_recordings, line.false_crossed, line.false, line.false_of_six, line.power)
        rows.append([str(line.seeds), str(line.recordings), *(f"{100 * one:.1f} %" for one in shares)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
