"""A training step on cached features against a step of the published way, on the same machine in the same run.

    python benchmarks/step_speed.py [--repeats 5] [--precisions float32,bfloat16] [--pooling cls] [--device cpu] [--busy 1]
                                   [--json FILE]

A step is forward, backward and the optimizer's update for one recording of 3 segments of 15 s with 60 tokens each. The
published way (see published.py) runs both encoders in it, forward and backward, padded, eager, and the same fusion
network; msmt's step sees the cached features of the valid frames and tokens. Both have the same settings and heads.
With ``--busy 1`` a process that never rests takes one core meanwhile.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from msmt.features.spec import FeatureSpec
from msmt.train.config import ModelConfig
from msmt.train.devices import arithmetic
from msmt.train.models.contract import SlotInput
from msmt.train.models.msmt_fn import build
from msmt.train.objective import Objective
from msmt.train.rows import Rows

sys.path.insert(0, str(Path(__file__).parent))
from made import marketcalls_tasks  # noqa: E402
from published import Published, step_of  # noqa: E402
from shared_cpu import counting  # noqa: E402

SEGMENTS, SECONDS, TOKENS = 3, 15.0, 60
FRAMES = 374  # of 15 s at 8,000 Hz


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precisions", default="float32,bfloat16")
    parser.add_argument("--pooling", default="cls")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--busy", type=int, choices=(0, 1), default=0, help="processes that count on a core meanwhile")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with counting(bool(options.busy)):
        measure(options)


def measure(options: argparse.Namespace) -> None:
    """Print the table of medians, and write it where that is asked for."""
    device, result = torch.device(options.device), {}
    tasks = marketcalls_tasks()
    specs = {
        "text": FeatureSpec("text", "made", "BertModel", "made", width=768, max_rows=199),
        "audio": FeatureSpec("audio", "made", "HubertModel", "made", width=768, max_rows=999, sample_rate=8000),
    }
    config = ModelConfig(pooling=options.pooling)
    torch.manual_seed(0)
    inputs = {modality: SlotInput.of(spec) for modality, spec in specs.items()}
    published = Published(build(config, tasks, inputs)).to(device)
    network = build(config, tasks, inputs).to(device)
    print(f"{SEGMENTS} segments of {SECONDS:g} s and {TOKENS} tokens, pooling {options.pooling}, {device}")
    print(f"{'':<12}{'published':>12}{'msmt':>12}{'ratio':>8}   seconds a step, medians")
    for precision in options.precisions.split(","):
        steps = {
            "published": step_of(published, SECONDS, TOKENS, SEGMENTS, device, precision),
            "msmt": msmt_step(network, tasks, device, precision),
        }
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for number in range(options.repeats + 1):
            for name, step in steps.items():
                for _ in range(1 if name == "published" else 5):
                    taken = timed(step, device)
                    if number:
                        seconds[name].append(taken)
        medians = {name: float(np.median(found)) for name, found in seconds.items()}
        result[precision] = {**medians, "ratio": medians["published"] / medians["msmt"]}
        print(f"{precision:<12}{medians['published']:>12.3f}{medians['msmt']:>12.4f}{result[precision]['ratio']:>8.1f}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


def msmt_step(network, tasks, device: torch.device, precision: str):
    """A function that does one training step on the cached features of one recording."""
    random = np.random.default_rng(0)
    stored = {
        name: torch.from_numpy(random.standard_normal((SEGMENTS * rows, 768)).astype(np.float16)).to(device)
        for name, rows in (("text", TOKENS), ("audio", FRAMES))
    }
    lengths = {"text": (TOKENS,) * SEGMENTS, "audio": (FRAMES,) * SEGMENTS}
    objective = Objective(tasks)
    labels = {task.name: np.zeros(1, int) for task in tasks}
    tensors = {name: torch.from_numpy(values).to(device) for name, values in labels.items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    network.train()

    def step() -> None:
        features = {name: Rows(values.float(), lengths[name]) for name, values in stored.items()}
        with arithmetic(device, precision):
            outputs = network(features, (SEGMENTS,))
            loss = objective.loss(outputs, tensors, objective.weights(labels))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def timed(step, device: torch.device) -> float:
    started = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
