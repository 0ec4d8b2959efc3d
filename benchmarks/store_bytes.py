"""Bytes on disk of both formats against the valid bytes: those of the rows that are not padding.

    python benchmarks/store_bytes.py [--segments 256] [--json FILE]

For calls (mean 15 s at 25 frames a second), short utterances (mean 3 s) and transcripts (mean 60 tokens), of 768 float16
a row, and for vectors of 88 and 6,373 float32, each in a store of its own, with the chunk that the store chooses for such
lengths. Bytes on disk are the sizes of all files of the store, table and metadata included, of which a short vector has
as many as a long one. The aim is 1.15 for calls. The padded size, as literal arrays would have it
without chunks, stands beside.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from msmt.features.opening import SUFFIXES, writer_for
from msmt.features.rows import BLOCK_ROWS, Row, block_range
from msmt.features.segments import segment_table
from msmt.features.spec import FeatureSpec
from msmt.features.store import FeatureStore
from msmt.features.tasks import Task

sys.path.insert(0, str(Path(__file__).parent))
from made import call_lengths  # noqa: E402

AUDIO = FeatureSpec("audio", "made", "HubertModel", "made", width=768, max_rows=999, sample_rate=8000)
TEXT = FeatureSpec("text", "made", "BertModel", "made", width=768, max_rows=199)
VECTOR = FeatureSpec(
    "audio", "made", "made", "", width=88, max_rows=1, kind="opensmile", unit="vector", dtype="float32"
)
FRAMES_PER_SECOND = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=256)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    count = options.segments
    kinds = {
        "calls, mean 15 s": (AUDIO, FRAMES_PER_SECOND * call_lengths(count)),
        "utterances, mean 3 s": (AUDIO, FRAMES_PER_SECOND * call_lengths(count, mean=3.0, shortest=0.3)),
        "transcripts, mean 60 tokens": (TEXT, call_lengths(count, mean=60.0, shortest=3.0, longest=TEXT.max_rows)),
        "vectors of 88": (VECTOR, np.ones(count)),
        "vectors of 6,373": (replace(VECTOR, width=6373), np.ones(count)),
    }
    result = {}
    print(
        f"{count} segments{'':<25}{'chunk':>8}{'valid MB':>10}{'padded MB':>11}{'on disk MB':>12}{'on disk / valid':>17}"
    )
    for kind, (spec, drawn) in kinds.items():
        lengths = drawn.round().astype(int).clip(1, spec.max_rows)
        valid, padded = (int(rows * spec.row_bytes) for rows in (lengths.sum(), count * spec.max_rows))
        for name, suffix in SUFFIXES.items():
            with tempfile.TemporaryDirectory() as folder:
                store = made_store(Path(folder, f"store{suffix}"), spec, lengths)
                chunk, on_disk = store.head.features["feature"].chunk_rows, store.bytes_on_disk()
            result[f"{kind}, {name}"] = {
                "chunk_rows": chunk,
                "valid": valid,
                "padded": padded,
                "on_disk": on_disk,
                "ratio": on_disk / valid,
            }
            print(
                f"{kind:<30}{name:<6}{chunk:>8}{valid / 1e6:>10.1f}{padded / 1e6:>11.1f}{on_disk / 1e6:>12.1f}{on_disk / valid:>17.3f}"
            )
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


def made_store(path: Path, spec: FeatureSpec, lengths: np.ndarray) -> FeatureStore:
    """A finished store with one feature of random values."""
    random, task = np.random.default_rng(0), Task("five", tuple("ABCDE"))
    names = [f"segment{row}" for row in range(len(lengths))]
    columns = {"segment_id": names, "recording_id": names, "index": 0, "split": "train", "audio": names, "text": names}
    with writer_for(path) as writer:
        writer.prepare(
            "made", (task,), segment_table(pd.DataFrame(columns), (task,)), {"feature": spec}, {"feature": lengths}
        )
        for block in range(-(-len(lengths) // BLOCK_ROWS)):
            rows = block_range(block, len(lengths))
            values = {
                row: random.standard_normal((lengths[row], spec.width), np.float32).astype(spec.dtype) for row in rows
            }
            writer.commit("feature", block, {row: Row(value, row) for row, value in values.items()})
        writer.finish()
        return writer.store


if __name__ == "__main__":
    main()
