"""Predictions from a run: whose they are, and when they are refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from msmt.errors import RunError, StoreError
from msmt.tests.train.made import MODEL, TASKS, TRAIN, calls, quiet, score, segment_store
from msmt.train.loop import train
from msmt.train.predict import predict


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(calls(), MODEL, TRAIN, tmp_path_factory.mktemp("runs"), score, say=quiet).run


@pytest.fixture(scope="module")
def segment_run(tmp_path_factory):
    return train(segment_store(), MODEL, TRAIN, tmp_path_factory.mktemp("runs"), score, say=quiet).run


def test_recordings_get_labels_and_probabilities_of_every_task(run):
    prediction = predict(run.path, calls(), "test")
    assert prediction.recording_ids == ("call-20", "call-21", "call-22", "call-23")
    assert prediction.segment_ids is None
    assert prediction.labels["five"].tolist() == [0, 1, 2, 3]
    assert prediction.labels["two"].tolist() == [0, 0, 0, 1]
    for task in TASKS:
        assert prediction.outputs[task.name].shape == (4, len(task.classes))
        np.testing.assert_allclose(prediction.outputs[task.name].sum(axis=1), 1, atol=1e-6)
    assert (prediction.run, prediction.split, len(prediction.left_out)) == (run.name, "test", 0)


def test_validation_scores_of_the_best_epoch_come_back(tmp_path):
    trained = train(calls(), MODEL, TRAIN, tmp_path, score, say=quiet)
    prediction = predict(trained.run.path, calls(), "val")
    figures = score(TASKS, prediction.labels, prediction.outputs)
    assert {name: trained.best[f"val/{name}"] for name in figures} == pytest.approx(figures)


def test_segments_get_their_own_answers(segment_run):
    store = segment_store()
    prediction = predict(segment_run.path, store, "val")
    rows = store.segments[store.segments["split"] == "val"]
    assert list(prediction.segment_ids) == rows["segment_id"].tolist()
    assert list(prediction.recording_ids) == rows["recording_id"].tolist()
    assert prediction.outputs["emotion"].shape == (len(rows), 2)
    assert prediction.outputs["strength"].shape == (len(rows), 1)
    np.testing.assert_array_equal(prediction.labels["emotion"], rows["label_emotion"])


def test_answers_do_not_depend_on_how_many_recordings_share_a_batch(run, tmp_path):
    import json
    import shutil

    copy = tmp_path / run.name
    shutil.copytree(run.path, copy)
    fields = json.loads((copy / "config.json").read_text())
    fields["train"]["batch_recordings"] = 1
    (copy / "config.json").write_text(json.dumps(fields))
    one, many = predict(copy, calls(), "val"), predict(run.path, calls(), "val")
    for task in TASKS:
        np.testing.assert_allclose(one.outputs[task.name], many.outputs[task.name], atol=1e-5)


def test_progress_counts_recordings(run):
    from contextlib import contextmanager

    seen = []

    @contextmanager
    def track(description, total, unit="items"):
        counts = []
        yield counts.append
        seen.append((description, total, sum(counts), unit))

    predict(run.path, calls(), "val", track)
    assert seen == [("predict val", 7, 7, "recordings")]


def test_an_unknown_split_is_an_error_that_names_the_splits(run):
    with pytest.raises(StoreError, match="no segments in split tset: its splits are train, val, test"):
        predict(run.path, calls(), "tset")


def test_a_store_that_has_changed_is_refused(run):
    changed = calls()
    changed.segments.loc[0, "label_five"] = 3
    with pytest.raises(RunError, match="has changed since: train again with msmt train"):
        predict(run.path, changed, "test")


def test_missing_features_are_refused_or_left_out(tmp_path):
    store = calls()
    row = int(np.flatnonzero(store.segments["split"] == "test")[0])
    store.features["hubert"][row] = None
    run = train(store, MODEL, TRAIN, tmp_path, score, say=quiet).run
    with pytest.raises(StoreError, match="or leave them out with --skip-missing"):
        predict(run.path, store, "test")
    prediction = predict(run.path, store, "test", skip_missing=True)
    assert prediction.left_out["segment_id"].tolist() == [f"s{row}"]


def test_a_run_without_weights_is_refused(run, tmp_path):
    (tmp_path / "config.json").write_text((run.path / "config.json").read_text())
    with pytest.raises(RunError, match="has no best.safetensors"):
        predict(tmp_path, calls(), "test")
    with pytest.raises(RunError, match="nowhere has no config.json"):
        predict(tmp_path / "nowhere", calls(), "test")


def test_weights_that_do_not_fit_are_an_error_in_one_line(tmp_path):
    run = train(calls(), MODEL, dataclasses.replace(TRAIN, epochs=1), tmp_path, score, say=quiet).run
    run.save_best({"weight": torch.zeros(2)}, epoch=1)
    with pytest.raises(RunError, match="best.safetensors does not fit config.json") as caught:
        predict(run.path, calls(), "test")
    assert "\n" not in str(caught.value)
