"""Stores of values and of classes, and feature files in MMSA's layout, small and made up."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
from msmt.features.opening import open_store, writer_for
from msmt.features.rows import Row, block_range
from msmt.features.segments import segment_table
from msmt.features.store import FeatureStore
from msmt.features.tasks import Task
from msmt.tests.features.made import spec

SENTIMENT = Task("sentiment", level="segment", scale="sentiment")
MOOD = Task("mood", ("calm", "upset", "glad"), "segment")
SPECS = {"hubert": spec(max_rows=20), "roberta": spec("text", width=6, max_rows=9)}
SPLITS = ["train"] * 24 + ["val"] * 8 + ["test"] * 8
JUNK = 1e6  # past the lengths of a file


def make_store(
    path: Path, tasks=(SENTIMENT,), specs=SPECS, without: dict[str, tuple[int, ...]] | None = None, **columns
):
    """A store of 40 clips of 10 videos; rows in ``without`` are missing from a feature."""
    random = np.random.default_rng(0)
    rows = {
        "segment_id": [f"v{row // 4}/{row % 4}" for row in range(40)],
        "recording_id": [f"v{row // 4}" for row in range(40)],
        "index": [row % 4 for row in range(40)],
        "split": SPLITS,
        "audio": "",
        "text": [f"第{row}句 it's ok" for row in range(40)],
        "label_sentiment": np.linspace(-3, 3, 40).round(1),
        "label_mood": [row % 3 for row in range(40)],
    }
    table = segment_table(pd.DataFrame({**rows, **columns}), tasks)
    lengths = {name: random.integers(1, each.max_rows + 1, len(table)) for name, each in specs.items()}
    with writer_for(path) as writer:
        writer.prepare("clips", tasks, table, specs, lengths)
        for name, each in specs.items():
            for block in range(-(-len(table) // 32)):
                made = {}
                for row in block_range(block, len(table)):
                    values = random.standard_normal((lengths[name][row], each.width)).astype(each.stored_type)
                    made[row] = None if row in (without or {}).get(name, ()) else Row(values, row + 1)
                writer.commit(name, block, made)
        writer.finish()
    return open_store(path)


def rows_of(store: FeatureStore, feature: str) -> list[np.ndarray]:
    """The valid rows of every segment in float32."""
    return [store.read(feature, row).astype(np.float32) for row in range(len(store.segments))]


def mmsa_content(segments: int = 6, lengths: bool = True, seed: int = 0) -> dict[str, dict]:
    """What a feature file holds: junk past the lengths of audio, and past the mask of text."""
    random = np.random.default_rng(seed)
    content = {}
    for start, split in enumerate(("train", "valid", "test")):
        words, frames = random.integers(1, 9, segments), random.integers(1, 13, segments)
        values = np.round(random.uniform(-3, 3, segments), 1)
        values[:3] = (-1, 0, 1)[:segments]
        audio, text = (random.standard_normal((segments, size, 4)).astype(np.float32) for size in (12, 8))
        for place in range(segments):
            audio[place, frames[place] :], text[place, words[place] :] = JUNK, JUNK
        bert = np.zeros((segments, 3, 8), np.float32)
        bert[:, 1] = np.arange(8) < words[:, None]
        content[split] = {
            "raw_text": np.array([f"clip {place}" for place in range(segments)]),
            "id": np.array([f"video{start}{place % 2}$_${10 - place}" for place in range(segments)]),
            "audio": audio,
            "text": text,
            "vision": np.zeros((segments, 1, 1), np.float32),
            "text_bert": bert,
            "audio_lengths": frames.tolist(),
            "vision_lengths": [1] * segments,
            "annotations": np.array([("Negative", "Neutral", "Positive")[int(np.sign(each)) + 1] for each in values]),
            "classification_labels": np.sign(values) + 1,
            "regression_labels": values.astype(np.float32),
        }
        if not lengths:
            audio[np.arange(12) >= frames[:, None]] = 0
            del content[split]["audio_lengths"], content[split]["vision_lengths"]
    return content


def write_pickle(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path
