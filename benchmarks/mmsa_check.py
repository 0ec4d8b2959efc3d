"""Whether MMSA itself reads what ``msmt export --to mmsa`` writes, and learns from it.

Makes a small store of values, exports it, loads the pickle with the loader of the real package, compares what a network
would be given with the store, and trains lf_dnn until validation stops it, in some seconds on a CPU. Then the file is
imported again and its rows are compared with the store's. Where MMSA is not installed, it says so and ends.

    pip install --no-deps --target FOLDER MMSA==2.2.1 easydict nvidia-ml-py3
    PYTHONPATH=FOLDER python -m msmt.benchmarks.mmsa_check
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import logging
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from msmt.features.exchange.from_mmsa import import_mmsa
from msmt.features.exchange.to_mmsa import export_mmsa
from msmt.features.opening import open_store, writer_for
from msmt.features.rows import Row, block_range
from msmt.features.segments import segment_table
from msmt.features.spec import FeatureSpec
from msmt.features.store import FeatureStore
from msmt.features.tasks import Task

CLIPS = {"train": 160, "val": 48, "test": 64}
SPECS = {
    "audio": FeatureSpec("audio", "made", "Made", "made", width=12, max_rows=60),
    "text": FeatureSpec("text", "made", "Made", "made", width=20, max_rows=25),
}


def make_store(path: Path) -> FeatureStore:
    """Videos of four clips each, whose value shows in the mean of their text, and less so in that of their audio."""
    random = np.random.default_rng(0)
    splits = [split for split, clips in CLIPS.items() for _ in range(clips)]
    values = np.clip(random.normal(0, 1.5, len(splits)), -3, 3)
    rows = pd.DataFrame(
        {
            "segment_id": [f"video{clip // 4}/{clip % 4}" for clip in range(len(splits))],
            "recording_id": [f"video{clip // 4}" for clip in range(len(splits))],
            "index": [clip % 4 for clip in range(len(splits))],
            "split": splits,
            "audio": "",
            "text": [f"clip {clip}" for clip in range(len(splits))],
            **{f"label_sentiment{end}": values for end in ("", "_T", "_A", "_V")},
        }
    )
    tasks = tuple(Task(f"sentiment{end}", level="segment") for end in ("", "_T", "_A", "_V"))
    lengths = {name: random.integers(5, spec.max_rows + 1, len(splits)) for name, spec in SPECS.items()}
    with writer_for(path) as writer:
        writer.prepare("made", tasks, segment_table(rows, tasks), SPECS, lengths)
        for name, spec in SPECS.items():
            share = 1.0 if name == "text" else 0.3
            for block in range(-(-len(splits) // 32)):
                made = {
                    row: share * values[row] + random.standard_normal((lengths[name][row], spec.width))
                    for row in block_range(block, len(splits))
                }
                writer.commit(name, block, {row: Row(own.astype("<f2"), row + 1) for row, own in made.items()})
        writer.finish()
    return open_store(path)


def loaded(path: Path) -> dict[str, object]:
    """What MMSA's own dataset makes of the file, by split."""
    from MMSA.data_loader import MMDataset

    settings = {"dataset_name": "sims", "custom_feature": str(path), "feature_T": "", "feature_A": "", "feature_V": ""}
    settings |= {"need_data_aligned": False, "feature_dims": [0, 0, 0]}
    return {split: MMDataset(dict(settings), split) for split in ("train", "valid", "test")}


def compare(store: FeatureStore, splits: dict[str, object]) -> None:
    """Raise AssertionError unless MMSA would hear of each segment what the store holds."""
    table = store.segments
    for split, own in {"train": "train", "valid": "val", "test": "test"}.items():
        rows = np.flatnonzero(table["split"] == own)
        data = splits[split]
        assert len(data) == len(rows)
        for place, row in enumerate(rows.tolist()):
            sample = data[place]
            for name in SPECS:
                values = store.read(name, row).astype(np.float32)
                assert (sample[name][: len(values)].numpy() == values).all() and not sample[name][len(values) :].any()
            assert int(sample["audio_lengths"]) == store.lengths("audio")[row]
            assert sample["id"] == f"{table['recording_id'][row]}$_${table['index'][row]}"
            for end, label in (("M", ""), ("T", "_T"), ("A", "_A"), ("V", "_V")):
                assert float(sample["labels"][end][0]) == np.float32(table[f"label_sentiment{label}"][row])


def train(path: Path, folder: Path, network: str) -> pd.DataFrame:
    """The table that MMSA writes after one seed."""
    from MMSA import MMSA_run

    torch.cuda.set_device = lambda device: None  # MMSA calls it on a CPU too
    MMSA_run(
        network,
        "mosi",
        config={"early_stop": 2},
        seeds=[1111],
        custom_feature=str(path),
        gpu_ids=[],
        num_workers=0,
        verbose_level=0,
        model_save_dir=folder / "models",
        res_save_dir=folder / "results",
        log_dir=folder / "logs",
    )
    return pd.read_csv(next((folder / "results").rglob("*.csv")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--network", default="lf_dnn", help="one of MMSA's")
    network = parser.parse_args().network
    if importlib.util.find_spec("MMSA") is None:
        print("skipped: MMSA is not installed; see the first lines of this file")
        return
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = make_store(folder / "made.zarr")
        path = folder / "made.pkl"
        for line in export_mmsa(store, path).lines:
            print(line)
        compare(store, loaded(path))
        print("MMSA's loader gives each segment the rows, lengths, id and label that the store has")
        with contextlib.redirect_stderr(io.StringIO()):  # its bars
            said = train(path, folder, network)
        print(said.to_string(index=False))
        again = open_store(import_mmsa(path, folder / "again.zarr").path)
        for feature in SPECS:
            for row in range(len(store.segments)):
                assert (again.read(feature, row) == store.read(feature, row).astype(np.float32)).all()
        print("imported again, each row is the same")


if __name__ == "__main__":
    main()
