"""Training by a scheme other than the corpus's own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from msmt.errors import RunError, StoreError
from msmt.tests.train.made import MODEL, TRAIN, calls, quiet, score
from msmt.tests.train.test_loop import Interrupting, metrics, same_weights, weights
from msmt.train.jobs import job_for
from msmt.train.loop import passes, train
from msmt.train.predict import predict


def folds(store, count: int = 3):
    """The store with so many folds, each of which tests every ``count``-th recording."""
    numbers = store.segments["recording_id"].str.extract(r"(\d+)")[0].astype(int).to_numpy()
    for fold in range(count):
        kinds = np.select([numbers % count == fold, numbers % count == (fold + 1) % count], ["test", "val"], "train")
        store.segments[f"scheme_fold{fold + 1}"] = np.where(numbers == 23, "", kinds)  # one recording is in none
    return store


def go(store, folder, **more):
    config = dataclasses.replace(TRAIN, scheme="fold2")
    resume = more.get("resume")
    return train(store, None if resume else MODEL, None if resume else config, folder, score, **{"say": quiet, **more})


def ids(recordings) -> set[str]:
    return {int(name.removeprefix("call-")) for name in recordings.ids}


def test_a_run_learns_and_is_judged_by_the_splits_of_its_scheme(tmp_path):
    store, said = folds(calls()), []
    material = job_for(store, MODEL, dataclasses.replace(TRAIN, scheme="fold2")).material
    assert ids(material.learning) == set(range(0, 24, 3)) and ids(material.validation) == set(range(2, 23, 3))
    trained = go(store, tmp_path, say=said.append)
    prediction = predict(trained.run.path, store, "test")
    assert {int(name.removeprefix("call-")) for name in prediction.recording_ids} == set(range(1, 24, 3))
    assert trained.run.settings.train.scheme == "fold2" and prediction.is_own_store


def test_a_scheme_added_later_changes_nothing_and_one_that_is_changed_is_named(tmp_path):
    whole = go(folds(calls()), tmp_path / "whole")
    cut = go(folds(calls()), tmp_path / "cut", track=Interrupting(2))
    grown = folds(calls())
    grown.segments["scheme_other"] = "train"
    resumed = go(grown, tmp_path / "cut", resume=cut.run.name)
    assert metrics(resumed) == metrics(whole) and same_weights(weights(resumed), weights(whole))
    cut = go(folds(calls()), tmp_path / "again", track=Interrupting(2))
    moved = folds(calls())
    moved.segments.loc[moved.segments["recording_id"] == "call-0", "scheme_fold2"] = "val"
    with pytest.raises(RunError, match="segment no longer in train"):
        go(moved, tmp_path / "again", resume=cut.run.name)


def test_runs_of_two_schemes_do_not_share_a_pass():
    store = folds(calls())
    jobs = [job_for(store, MODEL, dataclasses.replace(TRAIN, scheme=name)) for name in ("fold1", "fold2", "fold1")]
    assert passes(jobs, together=9) == [[0, 2], [1]]


def test_a_scheme_that_the_store_does_not_have_is_refused(tmp_path):
    with pytest.raises(StoreError, match="there is no scheme 'fold2', only standard"):
        go(calls(), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
