"""Runs made before networks had names are read, gone on with, and come to the same numbers.

``tests/data/run-of-before-networks.tar.gz`` holds a run that was interrupted in its last epoch, the answers that its
best weights gave to the test split, and the figures and weights of a run that was not interrupted. That version made it by

    cut = train(calls(), MODEL, TRAIN, folder / "cut", score, say=quiet, track=Interrupting(3))
    whole = train(calls(), MODEL, TRAIN, folder / "whole", score, say=quiet)
    answers = {name: each.tolist() for name, each in predict(cut.run.path, calls(), "test").outputs.items()}
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from msmt.tests.train.made import MODEL, TRAIN, calls, quiet, score
from msmt.tests.train.test_loop import metrics, weights
from msmt.train.jobs import job_for
from msmt.train.loop import train
from msmt.train.predict import predict
from msmt.train.runs import Run, resolve
from safetensors.torch import load_file

KEPT = Path(__file__).parents[1] / "data" / "run-of-before-networks.tar.gz"


@pytest.fixture
def kept(tmp_path) -> Path:
    with tarfile.open(KEPT) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def test_its_settings_are_those_that_it_would_be_given_today(kept):
    run = Run(kept / "run")
    job = job_for(calls(), MODEL, TRAIN)
    assert run.settings == job.settings
    assert run.changes(calls(), job.material.learnt_rows, job.material.judged_rows) == []
    assert run.learnt.digest == job.material.learnt_rows.digest == "05303689e694aef9b7976941833c8c6c"  # as of then


def test_it_gives_the_same_answers(kept):
    expected = json.loads((kept / "answers.json").read_text())
    answers = predict(kept / "run", calls(), "test").outputs
    assert answers.keys() == expected.keys()
    for task, values in expected.items():
        np.testing.assert_allclose(answers[task], values, rtol=0, atol=1e-6)


def test_it_resumes_to_the_numbers_of_one_that_was_never_interrupted(kept):
    resumed = train(calls(), None, None, kept, score, resume="run", say=quiet)
    assert resumed.status == "finished" and resumed.run.path == kept / "run"
    expected = [json.loads(line) for line in (kept / "whole" / "metrics.jsonl").read_text().splitlines()]
    for line, other in zip(metrics(resumed), expected, strict=True):
        assert line.keys() == {name for name in other if not name.endswith("seconds")}
        for name, value in line.items():
            assert value == (other[name] if isinstance(value, str) else pytest.approx(other[name], rel=1e-5)), name
    ours, theirs = weights(resumed), load_file(kept / "whole" / "best.safetensors")
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-3, atol=1e-4, err_msg=name)


def test_what_is_trained_today_has_the_weights_of_then(kept, tmp_path):
    """On the machine that made it to the bit, elsewhere as far as another processor rounds otherwise."""
    today = train(calls(), MODEL, TRAIN, tmp_path / "today", score, say=quiet)
    ours, theirs = weights(today), load_file(kept / "whole" / "best.safetensors")
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-3, atol=1e-4, err_msg=name)
    assert resolve(tmp_path / "today").settings.to_json()["network"] == "msmt-fn"
