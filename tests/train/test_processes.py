"""Two processes that share each optimizer step learn what one learns."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest
import torch
from msmt.train.runs import resolve
from safetensors.torch import load_file

PROGRAM = """
import dataclasses, sys
from msmt.tests.train.made import MODEL, TRAIN, calls, score
from msmt.train.loop import train
settings = dataclasses.replace(TRAIN, batch_recordings=2, accumulation=3, learning_rate=1e-3, name=sys.argv[2])
changes = {"full": {}, "no-mtl": {"mtl": False}, "text-vector": {"mtl": False, "segment_vector": "text"}}
model = dataclasses.replace(MODEL, **changes[sys.argv[2]])
trained = train(calls(), model, settings, sys.argv[1], score, say=lambda line: print(line))
print("has", trained.epochs, trained.best_epoch, trained.run.name)
"""


def go(folder, processes: int, name: str, program: str = PROGRAM) -> list[str]:
    """Train in so many processes, as torchrun starts them; the output of each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(processes):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        if processes > 1:
            environment |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
            environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        command = [sys.executable, "-c", program, str(folder), name]
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    output = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0] * processes
    return output


@pytest.mark.parametrize("name", ["full", "no-mtl", "text-vector"])
def test_two_processes_match_one(tmp_path, name):
    go(tmp_path / "one", 1, name)
    said = go(tmp_path / "two", 2, name)
    one, two = resolve(tmp_path / "one"), resolve(tmp_path / "two")
    # 13 recordings in steps of 6: three batches of 2 for two processes, and a last step of a single batch.
    lines = [[json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()] for run in (one, two)]
    for alone, shared in zip(*lines, strict=True):
        for figure in ("train_loss", "val_loss"):
            assert shared[figure] == pytest.approx(alone[figure], rel=1e-5)
        for figure, value in alone.items():
            if figure.startswith("val/"):
                assert shared[figure] == value
    first, second = (load_file(run.path / "best.safetensors") for run in (one, two))
    for weight, value in first.items():
        # Adam makes steps of full size even of gradients that are all rounding, as those of key biases are.
        torch.testing.assert_close(second[weight], value, rtol=1e-3, atol=1e-3)
    # Only the first process speaks and writes; both know what came of it.
    assert [len(list((tmp_path / "two").glob("*/config.json"))) - 1] == [1]
    assert "epoch 1/3" in said[0] and "epoch" not in said[1]
    assert said[0].splitlines()[-1] == said[1].splitlines()[-1]
