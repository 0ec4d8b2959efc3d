"""A small corpus and features to put in a store, without encoders or audio."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from msmt.features.opening import writer_for
from msmt.features.rows import Row, block_range
from msmt.features.segments import segment_table
from msmt.features.spec import FeatureSpec
from msmt.features.tasks import Task, merged

FIVE = Task("five", tuple("ABCDE"))
TASKS = (FIVE, merged(FIVE, "two", "A+B+C", "D+E"))
ROWS = 70  # two full blocks and a part of a third


def spec(modality: str = "audio", width: int = 16, max_rows: int = 99, **changes) -> FeatureSpec:
    fields = {"encoder": "somewhere", "encoder_class": "HubertModel", "weights": "abc", "sample_rate": 8000}
    return FeatureSpec(modality=modality, width=width, max_rows=max_rows, **{**fields, **changes})


SPECS = {
    "hubert": spec(),
    "roberta": spec("text", max_rows=31),
    "vectors": spec(
        "both", width=24, max_rows=1, kind="run", unit="vector", dtype="float32", encoder_class="made", sample_rate=None
    ),
}
# What a store could hold before there was a second type of values.
FLOAT16 = {name: feature for name, feature in SPECS.items() if feature.dtype == "float16"}


def table(rows: int = ROWS, **changes) -> pd.DataFrame:
    columns = {
        "segment_id": [f"s{row}" for row in range(rows)],
        "recording_id": [f"r{row // 3}" for row in range(rows)],
        "index": [row % 3 for row in range(rows)],
        "split": ["train" if row < rows // 2 else "test" for row in range(rows)],
        "audio": [f"audio/{row}.wav" for row in range(rows)],
        "text": [f"第{row}句 it's ok" for row in range(rows)],
        "label_five": [row // 3 % 5 for row in range(rows)],
        "label_two": [int(row // 3 % 5 > 2) for row in range(rows)],
    }
    return segment_table(pd.DataFrame({**columns, **changes}), TASKS)


def contents(rows: int = ROWS, seed: int = 0, specs: Mapping[str, FeatureSpec] = SPECS) -> dict[str, list[Row]]:
    """For each feature, the row of every segment; some fill the longest input, some are one frame."""
    random = np.random.default_rng(seed)
    made = {}
    for name, feature in specs.items():
        lengths = random.integers(1, feature.max_rows + 1, rows)
        lengths[:2] = feature.max_rows, 1
        reach = 1 if feature.dtype == "float16" else 1e7  # which float16 could not hold
        values = [(reach * random.standard_normal((length, feature.width))).astype(feature.dtype) for length in lengths]
        made[name] = [Row(value, identity + 1) for identity, value in enumerate(values)]
    return made


def lengths_of(made: dict[str, list[Row]]) -> dict[str, np.ndarray]:
    return {name: np.array([len(row.values) for row in rows]) for name, rows in made.items()}


def fill(writer, made: dict[str, list[Row]], without: tuple[int, ...] = ()) -> None:
    """Commit every block of every feature."""
    rows = len(next(iter(made.values())))
    for name in made:
        for block in range(-(-rows // 32)):
            content = {row: made[name][row] for row in block_range(block, rows) if row not in without}
            writer.commit(name, block, content)


def make_store(path, rows: int = ROWS, without: tuple[int, ...] = (), seed: int = 0, specs=SPECS, **changes):
    """A finished store of made-up features; returns what is in it."""
    made = contents(rows, seed, specs)
    with writer_for(path) as writer:
        writer.prepare("marketcalls", TASKS, table(rows, **changes), specs, lengths_of(made))
        fill(writer, made, without)
        writer.finish()
    return made
