"""A store in memory, with features that tell the classes apart, and a network small enough for a test."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from msmt.errors import StoreError
from msmt.features.rows import Extent, RowStates, checksum_of
from msmt.features.segments import segment_table
from msmt.features.spec import FeatureSpec
from msmt.features.tasks import Task, merged
from msmt.train.config import ModelConfig, TrainConfig

FIVE = Task("five", tuple("ABCDE"))
TASKS = (
    FIVE,
    merged(FIVE, "four", "A", "B", "C", "D+E"),
    merged(FIVE, "three", "A", "B+C", "D+E"),
    merged(FIVE, "two", "A+B+C", "D+E"),
)
EMOTION = Task("emotion", ("calm", "angry"), level="segment")
STRENGTH = Task("strength", level="segment")
WIDTH = 8
MOST_ROWS = {"text": 9, "audio": 23}

SMALL = {
    "heads": 2,
    "feed_forward": 16,
    "complementary_layers": 2,
    "gru_layers": 2,
    "gru_width": 6,
    "head_width": 12,
    "bottleneck_tokens": 3,
}
MODEL = ModelConfig(**SMALL)
FAST = {"epochs": 3, "learning_rate": 1e-2, "batch_recordings": 3, "accumulation": 2, "device": "cpu"}
TRAIN = TrainConfig(**FAST)


def spec(modality: str, width: int = WIDTH) -> FeatureSpec:
    return FeatureSpec(
        modality=modality, encoder="e", encoder_class="E", weights="w", width=width, max_rows=MOST_ROWS[modality]
    )


class MemoryStore:
    """What training asks of a store, from arrays: ``features`` hold one (length, d) array per row, None if missing."""

    def __init__(self, table: pd.DataFrame, tasks: Sequence[Task], specs: dict, features: dict) -> None:
        self.path = Path("memory.zarr")
        self.dataset = "made"
        self.facts: dict = {}
        self.segments, self.tasks, self.specs, self.features = table, tuple(tasks), specs, features
        self.seen: list[int] = []
        self._folder: tempfile.TemporaryDirectory | None = None

    def lengths(self, name: str) -> np.ndarray:
        return np.array([-1 if row is None else len(row) for row in self.features[name]], dtype=np.int32)

    def states(self, name: str) -> RowStates:
        """Each row was made from audio or text of its own."""
        checksums = [0 if row is None else checksum_of(row) for row in self.features[name]]
        own = np.arange(1, len(checksums) + 1, dtype=np.uint64)
        return RowStates(self.lengths(name), np.array(checksums, np.uint64), own)

    def read(self, name: str, row: int) -> np.ndarray:
        self.seen.append(row)
        if self.features[name][row] is None:
            raise StoreError(f"row {row} of {name} is missing")
        return self.features[name][row]

    def _extents(self, name: str, row: int, rows: int) -> list[Extent]:
        """A ``RowReader`` reads files, so the row is put into one."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name, f"{name}-{row}")
        path.write_bytes(self.read(name, row).tobytes())
        return [Extent(path, 0, rows)]

    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.segments.to_csv().encode())
        for name, rows in self.features.items():
            digest.update(name.encode() + b"".join(b"-" if row is None else row.tobytes() for row in rows))
        return digest.hexdigest()


def table_of(split_of: Sequence[str], segments: Sequence[int], labels: dict[str, Sequence], tasks) -> pd.DataFrame:
    """One row per segment; ``labels`` per recording, or per segment where the task says so."""
    recordings = np.repeat(np.arange(len(segments)), segments)
    columns = {
        "segment_id": [f"s{row}" for row in range(len(recordings))],
        "recording_id": [f"call-{recording}" for recording in recordings],
        "index": np.concatenate([np.arange(count) for count in segments]) + 1,
        "split": [split_of[recording] for recording in recordings],
        "audio": [f"{row}.wav" for row in range(len(recordings))],
    }
    for task in tasks:
        values = np.asarray(labels[task.name])
        columns[task.column] = values if task.level == "segment" else values[recordings]
    return segment_table(pd.DataFrame(columns), tasks)


def store_of(
    labels: Sequence[int],
    splits: Sequence[str] | None = None,
    segments: Sequence[int] | None = None,
    seed: int = 0,
    widths: dict[str, int] | None = None,
) -> MemoryStore:
    """A MarketCalls-like store: recording i has class ``labels[i]`` of five, and ``segments[i]`` segments."""
    random = np.random.default_rng(seed)
    segments = segments or [1 + i % 3 for i in range(len(labels))]
    coarse = {task.name: [task.coarse_index(FIVE)[label] for label in labels] for task in TASKS[1:]}
    table = table_of(splits or ["train"] * len(labels), segments, {"five": labels, **coarse}, TASKS)
    return with_features(table, TASKS, np.repeat(labels, segments), random, widths)


def segment_store(seed: int = 0) -> MemoryStore:
    """Ten dialogues whose segments have a class each, or none, and a real value each, or none."""
    random = np.random.default_rng(seed)
    segments = [2, 3, 4, 1, 3, 2, 3, 2, 3, 2]
    emotion = random.integers(0, 2, sum(segments))
    strength = np.where(emotion == 1, 1.5, -1.0)
    kinds = emotion.copy()
    emotion[3], strength[4] = -1, np.nan
    splits = ["train"] * 7 + ["val"] * 2 + ["test"]
    tasks = (EMOTION, STRENGTH)
    table = table_of(splits, segments, {"emotion": emotion, "strength": strength}, tasks)
    return with_features(table, tasks, kinds, random)


def with_features(table, tasks, kinds, random, widths: dict[str, int] | None = None) -> MemoryStore:
    widths = widths or {"text": WIDTH, "audio": WIDTH}
    specs = {"roberta": spec("text", widths["text"]), "hubert": spec("audio", widths["audio"])}
    means = {name: random.standard_normal((8, each.width)) for name, each in specs.items()}
    features = {
        name: [
            (
                means[name][kind] + 0.3 * random.standard_normal((random.integers(2, each.max_rows + 1), each.width))
            ).astype(np.float16)
            for kind in kinds
        ]
        for name, each in specs.items()
    }
    return MemoryStore(table, tasks, specs, features)


def calls(seed: int = 0) -> MemoryStore:
    """24 calls of all classes: 13 to learn from, 7 to validate on, 4 to test."""
    labels = [i % 5 for i in range(24)]
    return store_of(labels, ["train"] * 13 + ["val"] * 7 + ["test"] * 4, seed=seed)


def score(tasks, labels, outputs) -> dict[str, float]:
    """Accuracy or mean absolute error of each task that has outputs."""
    figures = {}
    for task in tasks:
        if task.name not in outputs:
            continue
        if task.is_value:
            figures[f"{task.name}/mae"] = float(np.nanmean(np.abs(outputs[task.name][:, 0] - labels[task.name])))
        else:
            there = labels[task.name] != -1
            right = outputs[task.name].argmax(axis=1)[there] == labels[task.name][there]
            figures[f"{task.name}/accuracy"] = float(right.mean()) if there.any() else math.nan
    return figures


def quiet(line: str) -> None:
    """A ``say`` that nobody hears."""
