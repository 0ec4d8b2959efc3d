"""Variants that share passes against the same variants one after another, and the cost of one more variant.

    python benchmarks/ablate_speed.py [--segments 72] [--epochs 2] [--variants 6] [--device cpu] [--json FILE]

The variants are those of ``--preset table6`` that a store without altered audio has, in the paper's size; both ways go
through msmt's own training, files of the runs included, and the weights they come to are compared bit for bit. The cost
of one more variant is the time that the last one adds to the shared passes, for each recording of an epoch, in per
cent of a step of the published way on a recording of 3 segments (see published.py).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from msmt.evaluate.metrics import score
from msmt.studies.systems.presets import preset_plan
from msmt.train.jobs import job_for
from msmt.train.loop import train, train_together
from msmt.train.models.contract import SlotInput
from msmt.train.models.msmt_fn import build
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parent))
from made import write_store  # noqa: E402
from published import Published, step_of  # noqa: E402
from step_speed import SECONDS, SEGMENTS, TOKENS, timed  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=72)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--variants", type=int, default=6)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device = torch.device(options.device)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        store = write_store(folder / "store.zarr", options.segments)
        settings = {"epochs": options.epochs, "device": options.device, "patience": 0}
        plan, _ = preset_plan("table6", store, settings)
        different = [each for each in plan.variants if each.name not in ("no-augment", "silence-kept")]
        variants = different[: options.variants]
        quiet = {"say": lambda line: None}

        def together(count: int, name: str):
            jobs = [job_for(store, each.model, each.settings_for(0)) for each in variants[:count]]
            started = time.perf_counter()
            trained = train_together(store, jobs, folder / name, score, **quiet)
            return time.perf_counter() - started, trained

        together(1, "warm")
        alone, runs = 0.0, []
        for each in variants:
            started = time.perf_counter()
            runs.append(train(store, each.model, each.settings_for(0), folder / "alone", score, **quiet))
            alone += time.perf_counter() - started
        shared, trained = together(len(variants), "together")
        without_last, _ = together(len(variants) - 1, "without-last")
        same = all(
            equal(load_file(one.run.path / "best.safetensors"), load_file(other.run.path / "best.safetensors"))
            for one, other in zip(trained, runs, strict=True)
        )
        learning = jobs_recordings(store, variants[0])
        inputs = {"text": SlotInput.of(store.specs["roberta"]), "audio": SlotInput.of(store.specs["hubert"])}
        torch.manual_seed(0)
        published = Published(build(variants[0].model, store.tasks, inputs)).to(device)
        step = step_of(published, SECONDS, TOKENS, SEGMENTS, device, "float32")
        step()
        step_seconds = float(np.median([timed(step, device) for _ in range(3)]))
    names = ", ".join(each.name for each in variants)
    more = (shared - without_last) / (options.epochs * learning)
    print(f"{len(variants)} variants ({names}), {options.epochs} epochs, {learning} training recordings, {device}")
    print(f"alone {alone:.1f} s, together {shared:.1f} s: {alone / shared:.2f} times as fast; the same weights: {same}")
    print(
        f"one more variant: {more:.3f} s a recording, {more / step_seconds:.2%} of the published way's step of "
        f"{step_seconds:.1f} s"
    )
    if options.json:
        figures = {"alone": alone, "together": shared, "same": same, "one_more": more, "published_step": step_seconds}
        options.json.write_text(json.dumps(figures, indent=2))


def jobs_recordings(store, variant) -> int:
    return len(job_for(store, variant.model, variant.settings_for(0)).material.learning)


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


if __name__ == "__main__":
    main()
