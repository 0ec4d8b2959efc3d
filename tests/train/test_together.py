"""Runs that share a pass over the data come to what each comes to alone."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from msmt.errors import RunError, SettingError
from msmt.tests.train.made import MODEL, TRAIN, calls, quiet, score
from msmt.tests.train.test_loop import Interrupting, metrics, same_weights, weights
from msmt.train.jobs import job_for
from msmt.train.loop import passes, train, train_together
from msmt.train.runs import resolve

VARIANTS = {
    "full": {},
    "no-mtl": {"mtl": False},
    "no-bottleneck": {"bottleneck": False},
    "text": {"modalities": "text"},
    "audio": {"modalities": "audio"},
    "mean": {"pooling": "mean"},
    "text-vector": {"segment_vector": "text"},
    "complementary-vector-no-bottleneck": {"segment_vector": "complementary", "bottleneck": False},
    "complementary-vector-shared-bottleneck": {"segment_vector": "complementary", "shared_bottleneck": True},
}


def jobs_of(store, names=tuple(VARIANTS), resumed=None, **settings):
    return [
        job_for(
            store,
            dataclasses.replace(MODEL, **VARIANTS[name]),
            dataclasses.replace(TRAIN, name=name, **settings),
            resumed and resumed[name],
        )
        for name in names
    ]


def test_each_run_of_a_shared_pass_is_bit_for_bit_what_it_is_alone(tmp_path):
    store = calls()
    jobs = jobs_of(store)
    assert passes(jobs, together=99) == [list(range(len(VARIANTS)))]
    together = train_together(store, jobs, tmp_path / "together", score, say=quiet)
    for trained, job in zip(together, jobs, strict=True):
        alone = train(store, job.settings.model, job.settings.train, tmp_path / "alone", score, say=quiet)
        assert metrics(trained) == metrics(alone)
        assert same_weights(weights(trained), weights(alone))
    assert len({str(metrics(trained)) for trained in together}) == len(VARIANTS)


def test_a_run_that_stops_early_leaves_the_others_to_go_on(tmp_path):
    store = calls()
    figures = {"full": iter([0.9, 0.1, 0.1]), "no-mtl": iter([0.1, 0.2, 0.3, 0.4])}

    def by_run(tasks, labels, outputs):
        return {"five/accuracy": next(figures["full" if "two" in outputs else "no-mtl"])}

    jobs = jobs_of(store, ("full", "no-mtl"), epochs=4, patience=2)
    stopped, whole = train_together(store, jobs, tmp_path, by_run, say=quiet)
    assert (stopped.status, stopped.epochs) == ("stopped early", 3)
    assert (whole.status, whole.epochs) == ("finished", 4)


def test_an_interrupted_pass_resumes_to_the_same_numbers(tmp_path):
    store, names = calls(), ("full", "no-mtl")
    whole = train_together(store, jobs_of(store, names), tmp_path / "whole", score, say=quiet)
    cut = train_together(store, jobs_of(store, names), tmp_path / "cut", score, Interrupting("2 of 2 runs"), quiet)
    assert [each.status for each in cut] == ["interrupted", "interrupted"] and cut[0].epochs == 1
    # One of them gets further than the other, as after a kill between the two.
    ahead = train(store, None, None, tmp_path / "cut", score, Interrupting(3), resume=cut[0].run.name, say=quiet)
    assert ahead.epochs == 2
    there = {name: resolve(tmp_path / "cut", name) for name in names}
    resumed = train_together(store, jobs_of(store, names, there), tmp_path / "cut", score, say=quiet)
    for one, other in zip(resumed, whole, strict=True):
        assert one.status == "finished" and metrics(one) == metrics(other)
        assert same_weights(weights(one), weights(other))


def test_a_run_that_fails_does_not_take_the_others_down(tmp_path):
    store, said = calls(), []
    alone = train(store, MODEL, TRAIN, tmp_path / "alone", score, say=quiet)
    jobs = jobs_of(store, ("full", "text"))
    wild = dataclasses.replace(TRAIN, learning_rate=1e30, warmup=0.0, clip_norm=0.0, name="wild")
    jobs.insert(0, job_for(store, MODEL, wild))
    failed, fine, other = train_together(store, jobs, tmp_path / "together", score, say=said.append)
    assert failed.status == "failed" and "lower --learning-rate" in failed.error
    assert f"wild: failed: {failed.error}" in said
    assert (fine.status, other.status) == ("finished", "finished")
    assert metrics(fine) == metrics(alone) and same_weights(weights(fine), weights(alone))


def test_one_run_by_itself_raises(tmp_path):
    with pytest.raises(RunError, match="lower --learning-rate"):
        train_together(
            calls(), jobs_of(calls(), ("full",), learning_rate=1e30, clip_norm=0.0), tmp_path, score, say=quiet
        )


def test_memory_that_runs_out_fails_one_run(tmp_path, monkeypatch):
    store, jobs = calls(), jobs_of(calls(), ("full", "text"))
    backward = torch.Tensor.backward
    calls_so_far = []

    def out_of_memory(tensor):
        calls_so_far.append(0)
        if len(calls_so_far) == 3:
            raise torch.OutOfMemoryError("too much")
        backward(tensor)

    monkeypatch.setattr(torch.Tensor, "backward", out_of_memory)
    first, second = train_together(store, jobs, tmp_path, score, say=quiet)
    assert (first.status, second.status, first.error) == ("failed", "finished", "too much")


def test_a_run_can_be_ended_from_outside_after_any_epoch(tmp_path):
    store, asked = calls(), []

    def stop(job, line):
        asked.append((job, line["epoch"]))
        return job == 1 and line["epoch"] == 2

    went_on, ended = train_together(store, jobs_of(store, ("full", "text")), tmp_path, score, say=quiet, stop=stop)
    assert (went_on.status, ended.status, ended.epochs) == ("finished", "pruned", 2)
    assert asked == [(0, 1), (1, 1), (0, 2), (1, 2)]  # after the last epoch there is nothing to end


def test_only_runs_that_see_the_same_batches_share_a_pass():
    store = calls()
    other = calls()
    shorter = 3 + int(np.argmin(other.lengths("hubert")[3:6]))  # of call-2, whose longest segment another one is
    other.features["hubert"][shorter] = None
    jobs = [
        *jobs_of(store, ("full", "text")),
        *jobs_of(store, ("full",), seed=1),
        *jobs_of(store, ("mean",), batch_recordings=2),
        *jobs_of(store, ("audio",), learning_rate=1.0, epochs=9),
        *jobs_of(other, ("text",), skip_missing=True),
    ]
    assert passes(jobs, together=9) == [[0, 1, 4, 5], [2], [3]]
    assert passes(jobs, together=2) == [[0, 1], [2], [3], [4, 5]]


def test_what_cannot_be_trained_is_refused_before_any_run_begins(tmp_path):
    with pytest.raises(SettingError, match="heads must divide the width"):
        job_for(calls(), dataclasses.replace(MODEL, heads=12), TRAIN)
    assert not list(tmp_path.iterdir())


def test_progress_counts_each_recording_once_however_many_runs_learn_from_it(tmp_path):
    seen = []

    @contextmanager
    def track(description, total, unit="items"):
        counts = []
        yield counts.append
        seen.append((description, total, sum(counts)))

    train_together(calls(), jobs_of(calls(), ("full", "text"), epochs=1), tmp_path, score, track, quiet)
    assert seen == [("epoch 1 of 2 runs", 13, 13), ("epoch 1 of 2 runs, validation", 7, 7)]


def test_runs_of_a_plan_or_a_sweep_name_no_command_of_their_own_when_interrupted(tmp_path):
    said = []
    jobs = jobs_of(calls(), ("full",))
    train_together(calls(), jobs, tmp_path, score, Interrupting(2), said.append, alone=False)
    assert said[-1] == "interrupted, 1 of 3 epochs are kept"
