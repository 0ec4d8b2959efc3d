"""A store with folds, and what stands in for training: answers that can be counted by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from msmt.evaluate.scored import Scored, scored_from
from msmt.features.opening import open_store, writer_for
from msmt.features.segments import segment_table
from msmt.studies.schemes import segments_by
from msmt.tests.features import made as on_disk
from msmt.train.ablation import Outcome
from msmt.train.plans import Plan
from msmt.train.trained import FINISHED

RECORDINGS = 24  # r0 to r23; recording i has class i mod 5 of A to E
FOLDS = ("fold1", "fold2", "fold3")


def splits_of_fold(fold: int, folds: int = len(FOLDS)) -> list[str]:
    """By recording: every third is tested, the one after it validates."""
    return [{fold: "test", (fold + 1) % folds: "val"}.get(index % folds, "train") for index in range(RECORDINGS)]


def folded_store(
    path: Path, by_recording: Mapping[str, list[str]] | None = None, families=None, tasks=on_disk.TASKS, **columns
) -> Path:
    """A store with the scheme ``folds`` of three folds, or with other schemes by the split of each recording."""
    by_recording = by_recording or {name: splits_of_fold(index) for index, name in enumerate(FOLDS)}
    families = families or {"folds": list(by_recording)}
    home = np.arange(on_disk.ROWS) // 3
    schemes = {f"scheme_{name}": [splits[index] for index in home] for name, splits in by_recording.items()}
    standard = [("train", "train", "val", "test")[index % 4] for index in home]
    labels = {name: values for name, values in columns.items() if name.startswith("label_")}
    table = segment_table(on_disk.table(**{"split": standard, **schemes, **columns}).assign(**labels), tasks)
    made = on_disk.contents()
    facts = {"schemes": {family: {"schemes": names} for family, names in families.items()}}
    with writer_for(path) as writer:
        writer.prepare("marketcalls", tasks, table, on_disk.SPECS, on_disk.lengths_of(made), facts=facts)
        on_disk.fill(writer, made)
        writer.finish()
    return path


class Trainer:
    """Takes the place of training and scoring; ``broken`` says why runs fail, by variant and seed."""

    def __init__(self, right: Callable[[str, int], bool], broken: Mapping[tuple[str, int], tuple[str, str]] = {}):
        self.right, self.broken = right, broken
        self.trained: list[tuple[str, int]] = []

    def run_plan(self, plan: Plan, out, score, together, track, say, after_each) -> list[Outcome]:
        outcomes = []
        for seed in plan.seeds:
            for variant in plan.variants:
                self.trained.append((variant.name, seed))
                status, error = self.broken.get((variant.name, seed), (FINISHED, ""))
                run = SimpleNamespace(settings=SimpleNamespace(train=variant.settings_for(seed)), times_scored={})
                outcomes.append(Outcome(variant, seed, variant.store or plan.store, None, run, status, error))
                after_each(outcomes[-1])
        return sorted(outcomes, key=lambda outcome: plan.variants.index(outcome.variant))

    def scores_of(self, run, store_path: Path, split: str, track, say) -> Scored:
        """Answers to every recording of the split by the run's scheme, right where ``right`` of name and number is."""
        store, config = open_store(store_path), run.settings.train
        run.times_scored[split] = 1
        table = segments_by(store, config.scheme)
        table = table[table["split"] == split].drop_duplicates("recording_id")
        labels = {task.name: table[task.column].to_numpy() for task in store.tasks}
        answers = [
            label if self.right(config.name, int(recording[1:])) else (label + 1) % 5
            for label, recording in zip(labels["five"], table["recording_id"], strict=True)
        ]
        return scored_from(
            variant=config.name,
            seed=config.seed,
            run=config.name,
            split=split,
            tasks=store.tasks,
            labels=labels,
            outputs={"five": np.eye(5)[answers]},
            recording_ids=table["recording_id"],
            segment_ids=None,
            store=str(store_path),
            fingerprint="f00d",
            command="msmt train",
            times_scored=1,
            chance={"five": 0, "two": 0},
            scheme=config.scheme,
            network="msmt-fn",
        )


def csv_of(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "ablation.csv", index_col="variant")
