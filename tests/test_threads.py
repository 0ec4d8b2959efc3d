"""Idle threads sleep unless the user says otherwise, and torch takes no more of them than it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from msmt.threads import PASSIVE

SETTINGS = (*PASSIVE, "KMP_LIBRARY")


def told(program: str, *arguments: str, **environment: str):
    """What a fresh process prints as JSON, with no setting of how threads wait but those given."""
    kept = {name: value for name, value in os.environ.items() if name not in (*SETTINGS, "OMP_NUM_THREADS")}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env={**kept, **environment}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


SHOWN = "import json, os; print(json.dumps({{name: os.environ.get(name) for name in {names}}}))".format(names=SETTINGS)


@pytest.mark.parametrize("entry", ["import msmt", "from msmt.cli import main", "import msmt.features.store"])
def test_every_entry_settles_how_threads_wait(entry):
    assert told(f"{entry}; {SHOWN}") == {**PASSIVE, "KMP_LIBRARY": None}


@pytest.mark.parametrize(
    "own",
    [
        {"OMP_WAIT_POLICY": "active"},
        {"GOMP_SPINCOUNT": "1000"},
        {"KMP_BLOCKTIME": "200"},
        {"KMP_LIBRARY": "turnaround"},
    ],
)
def test_what_the_user_has_settled_is_left_alone(own):
    assert told(f"import msmt; {SHOWN}", **own) == {name: own.get(name) for name in SETTINGS}


def test_it_is_settled_before_torch_is_there_and_for_processes_that_are_started():
    program = f"""
import subprocess, sys
import msmt
assert "torch" not in sys.modules
print(subprocess.run([sys.executable, "-c", {SHOWN!r}], capture_output=True, text=True).stdout.strip())
"""
    assert told(program)["OMP_WAIT_POLICY"] == "PASSIVE"


def test_threads_hold_in_this_process_and_in_those_it_starts():
    program = """
import json, os
from msmt.threads import use_threads
use_threads(3)
import torch
print(json.dumps([torch.get_num_threads(), torch.get_num_interop_threads(), os.environ["OMP_NUM_THREADS"]]))
"""
    assert told(program) == [3, 3, "3"]


@pytest.mark.parametrize("command", ["extract", "doctor", "train", "eval", "ablate", "sweep"])
def test_every_command_that_computes_takes_threads(command):
    program = """
import json, sys
from msmt import cli, threads
given = []
threads.use_threads = given.append
try:
    cli.msmt([sys.argv[1], "--threads", "3", "--store", "nothing.of.ours"], standalone_mode=False)
except Exception:
    pass
print(json.dumps(given))
"""
    assert told(program, command) == [3]
