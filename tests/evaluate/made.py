"""Runs as an evaluation would have left them, small enough to count by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msmt.evaluate.scored import Scored, scored_from
from msmt.features.tasks import Task, merged

FIVE = Task("five", ("A", "B", "C", "D", "E"))
TWO = merged(FIVE, "two", "A+B+C", "D+E")
MOOD = Task("mood", ("low", "high"), "segment")
VALUE = Task("sentiment", level="segment")


def run_of(
    variant: str,
    predicted: Sequence[int],
    labels: Sequence[int],
    seed: int = 0,
    tasks: Sequence[Task] = (FIVE,),
    **fields,
) -> Scored:
    """A run that predicts these classes of the first task, for recordings r0, r1, …"""
    finest, labels = tasks[0], np.asarray(labels)
    truth = {finest.name: labels}
    for task in tasks[1:]:
        truth[task.name] = np.where(labels < 0, -1, np.array(task.coarse_index(finest))[labels])
    given = {
        "run": f"{variant}-{seed}",
        "split": "test",
        "recording_ids": [f"r{index}" for index in range(len(labels))],
        "segment_ids": None,
        "store": "cache/marketcalls.zarr",
        "fingerprint": "f00d",
        "command": f"msmt train --name {variant} --seed {seed}",
        "times_scored": 1,
    }
    outputs = {finest.name: np.eye(len(finest.classes))[np.asarray(predicted)]}
    return scored_from(variant=variant, seed=seed, tasks=tasks, labels=truth, outputs=outputs, **(given | fields))


def guesses(labels: np.ndarray, skill: float, seed: int, classes: int = 5) -> np.ndarray:
    """Predictions that are right with probability ``skill``, else drawn from all classes."""
    random = np.random.default_rng([seed, int(1000 * skill)])
    return np.where(random.random(len(labels)) < skill, labels, random.integers(0, classes, len(labels)))


def ablation(variants: int, seeds: int = 3, recordings: int = 88, tasks: Sequence[Task] = (FIVE, TWO), **fields):
    """Runs of as many variants, each a little worse than the one before."""
    labels = np.random.default_rng(0).integers(0, 5, recordings)
    return [
        run_of(f"variant-{index}", guesses(labels, 0.8 - 0.03 * index, seed), labels, seed, tasks, **fields)
        for index in range(variants)
        for seed in range(seeds)
    ]
