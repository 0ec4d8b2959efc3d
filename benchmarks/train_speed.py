"""Training steps fed by the stream against the same steps on batches that are in memory already.

    python benchmarks/train_speed.py [--segments 96] [--epochs 3] [--device cpu] [--precision auto] [--readers 1] [--json FILE]

Both take the same optimizer steps (forward, backward, update) with the network in the paper's size, on the same
batches of 4 recordings; the epochs of both ways and both formats are interleaved. "Waiting" is the share of an epoch's
time in which a batch was asked for and not yet there. On a GPU, --segments 2293 is the training split of MarketCalls;
batches in memory are then on the GPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from msmt.train.config import ModelConfig, TrainConfig
from msmt.train.data import Batch, recordings_of, training_steps
from msmt.train.devices import arithmetic
from msmt.train.models.contract import SlotInput
from msmt.train.models.msmt_fn import build
from msmt.train.objective import Objective
from msmt.train.rows import Rows
from msmt.train.stream import Stream

sys.path.insert(0, str(Path(__file__).parent))
from made import write_store  # noqa: E402

FEATURES = {"text": "roberta", "audio": "hubert"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--readers", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device = torch.device(options.device)
    config = TrainConfig(readers=options.readers, cache_in="none", precision=options.precision)
    result: dict[str, list] = {}
    with tempfile.TemporaryDirectory() as folder:
        stores = {name: write_store(Path(folder, f"store{name}"), options.segments) for name in (".zarr", ".h5")}
        recordings = {name: recordings_of(store, "train", FEATURES) for name, store in stores.items()}
        streams = {name: Stream(store, FEATURES, [recordings[name]], device, config) for name, store in stores.items()}
        of_split = recordings[".zarr"]
        everyone = np.arange(len(of_split))
        steps = training_steps(everyone, of_split.longest, 0, 1, config.batch_recordings, 1)
        groups = [group for step in steps for group in step]
        in_memory = [kept(batch) for batch in streams[".zarr"].batches(of_split, groups)]
        torch.manual_seed(0)
        store = stores[".zarr"]
        inputs = {modality: SlotInput.of(store.specs[name]) for modality, name in FEATURES.items()}
        model = build(ModelConfig(), store.tasks, inputs).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
        step = stepper(model, optimizer, store.tasks, device, config)
        sources = {
            "in memory": lambda: iter(in_memory),
            "stream, zarr": lambda: streams[".zarr"].batches(recordings[".zarr"], groups),
            "stream, hdf5": lambda: streams[".h5"].batches(recordings[".h5"], groups),
        }
        for epoch in range(options.epochs + 1):
            for name, source in sources.items():
                seconds, waited = timed(source(), step, device)
                if epoch:  # the first is for warming up, and for the checksums of the first reading
                    result.setdefault(name, []).append((len(groups) / seconds, waited / seconds))
    print(
        f"{len(of_split)} recordings, {of_split.segments} segments, {len(groups)} steps an epoch, {device}, "
        f"{options.precision}, {options.readers} reader threads"
    )
    print(f"{'':<16}{'steps/s':>10}{'of in memory':>14}{'waiting':>10}   medians of {options.epochs} epochs")
    medians = {name: np.median(np.array(found), axis=0) for name, found in result.items()}
    for name, (rate, waited) in medians.items():
        print(f"{name:<16}{rate:>10.2f}{rate / medians['in memory'][0]:>14.3f}{waited:>10.2%}")
    if options.json:
        options.json.write_text(
            json.dumps({name: list(map(float, found)) for name, found in medians.items()}, indent=2)
        )


def kept(batch: Batch) -> Batch:
    """A copy whose memory the stream does not use again."""
    features = {name: Rows(rows.values.clone(), rows.lengths) for name, rows in batch.features.items()}
    return dataclasses.replace(batch, features=features)


def stepper(model, optimizer, tasks, device: torch.device, config: TrainConfig):
    objective = Objective(tasks)
    model.train()

    def step(batch: Batch) -> None:
        weights = {task.name: float(len(batch.positions)) for task in tasks}
        with arithmetic(device, config.precision):
            loss = objective.loss(model(batch.features, batch.counts), batch.labels, weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def timed(batches, step, device: torch.device) -> tuple[float, float]:
    """Seconds of all steps, and those in which the next batch was waited for."""
    waited, began = 0.0, time.perf_counter()
    while True:
        asked = time.perf_counter()
        batch = next(batches, None)
        waited += time.perf_counter() - asked
        if batch is None:
            break
        step(batch)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began, waited


if __name__ == "__main__":
    main()
