"""A store in the likeness of MELD, with made features of any names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from msmt.extract.corpora.meld import EMOTION
from msmt.features.opening import open_store, writer_for
from msmt.features.segments import segment_table
from msmt.features.spec import FeatureSpec
from msmt.features.tasks import Task
from msmt.tests.features import made as on_disk

NEXT = Task("next_emotion", EMOTION.classes, "segment", follows="emotion")
ROWS, TURNS = 72, 4  # segments, and those of a dialogue


def vector(modality: str, width: int = 12) -> FeatureSpec:
    return on_disk.spec(modality, width, 1, kind="text", unit="vector", sample_rate=None)


SPECS = {
    "functionals": vector("audio", 10),
    "openl3": vector("audio", 6),
    "roberta-last4": vector("text"),
    "hubert": on_disk.spec(max_rows=9),
    "roberta": on_disk.spec("text", max_rows=7),
}


def store_like_meld(path: Path, features=tuple(SPECS), tasks=(EMOTION, NEXT), dataset: str = "meld", speakers=True):
    """Dialogues of four turns, opened; two thirds are of training."""
    home, place = np.arange(ROWS) // TURNS, np.arange(ROWS) % TURNS
    emotion = (np.arange(ROWS) * 5 + home) % 7
    columns = {
        "segment_id": [f"s{row}" for row in range(ROWS)],
        "recording_id": [f"d{number}" for number in home],
        "index": place,
        "split": [("train", "train", "val", "train", "train", "test")[number % 6] for number in home],
        "audio": [f"{row}.wav" for row in range(ROWS)],
        "text": [f"turn {row}" for row in range(ROWS)],
        "speaker": [f"p{turn % 2}" if speakers else "" for turn in place],
    }
    labels = {"emotion": emotion, "next_emotion": np.where(place == TURNS - 1, -1, np.roll(emotion, -1))}
    columns |= {f"label_{task.name}": labels[task.name] for task in tasks}
    specs = {name: SPECS[name] for name in features}
    made = on_disk.contents(ROWS, specs=specs)
    with writer_for(path) as writer:
        writer.prepare(dataset, tasks, segment_table(pd.DataFrame(columns), tasks), specs, on_disk.lengths_of(made))
        on_disk.fill(writer, made)
        writer.finish()
    return open_store(path)
