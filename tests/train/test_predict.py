"""Predictions from a run: whose they are, and when they are refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from msmt.errors import RunError, StoreError
from msmt.features.segments import segment_table
from msmt.features.tasks import Task
from msmt.tests.train.made import MODEL, TASKS, TRAIN, MemoryStore, calls, quiet, score, segment_store
from msmt.tests.train.test_dependence import grown
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


def test_a_store_may_grow_under_a_run(run):
    before, after = predict(run.path, calls(), "test"), predict(run.path, grown(), "test")
    assert after.recording_ids == before.recording_ids and after.notes == ()
    for task in TASKS:
        np.testing.assert_array_equal(after.outputs[task.name], before.outputs[task.name])
        np.testing.assert_array_equal(after.labels[task.name], before.labels[task.name])


def test_what_has_changed_of_the_training_data_is_said_and_the_run_is_scored(run):
    changed = calls()
    changed.segments.loc[0, "label_five"] = 3
    changed.features["hubert"][20] = changed.features["hubert"][20] * 2
    assert predict(run.path, changed, "test").notes == (
        f"since run {run.name} was trained has changed: labels of task five of 1 recording of train (the first: call-0)"
        "; hubert features of 1 segment of train (the first: s20)",
    )
    changed.segments.loc[changed.segments["split"] == "train", "split"] = "removed"
    assert "no segments in split train" in predict(run.path, changed, "test").notes[0]


def test_another_store_or_features_made_in_another_way_are_refused(run):
    with pytest.raises(RunError, match="is not the store that run .* with msmt predict"):
        predict(run.path, calls(seed=1), "test")
    changed = calls()
    changed.specs["hubert"] = dataclasses.replace(changed.specs["hubert"], sample_rate=16000, layer=7)
    with pytest.raises(StoreError, match="its hubert has layer 7, not -1 and sample_rate 16000, not None; extract"):
        predict(run.path, changed, "test")


def test_tasks_that_mean_other_things_are_refused(run):
    changed = calls()
    changed.tasks = (Task("five", tuple("ABCDX")), *changed.tasks[1:])
    with pytest.raises(RunError, match="task five has A, B, C, D, X, not A, B, C, D, E as run"):
        predict(run.path, changed, "test")
    changed.tasks = changed.tasks[1:]
    with pytest.raises(RunError, match="task five is not there"):
        predict(run.path, changed, "test")


class TestOtherStores:
    """A run of ``five`` and its coarser tasks, applied to recordings that it was not trained beside."""

    def other(self, tasks=(), **labels):
        """The test recordings of ``calls`` in a store of their own."""
        store = calls()
        rows = np.flatnonzero(store.segments["split"] == "test")
        table = store.segments.iloc[rows].assign(segment_id=[f"n{row}" for row in rows], split="new", **labels)
        features = {name: [each[row] for row in rows] for name, each in store.features.items()}
        return MemoryStore(segment_table(table.reset_index(drop=True), tasks), tasks, dict(store.specs), features)

    @pytest.mark.parametrize("split", ["new", ""])
    def test_recordings_without_labels_get_the_answers_of_those_with(self, run, split):
        known, prediction = predict(run.path, calls(), "test"), predict(run.path, self.other(), split, any_store=True)
        assert prediction.recording_ids == known.recording_ids and prediction.splits == ("new",)
        assert not prediction.is_own_store and prediction.notes == ()
        for task in TASKS:
            np.testing.assert_allclose(prediction.outputs[task.name], known.outputs[task.name], atol=1e-6)
            assert (prediction.labels[task.name] == -1).all()

    def test_segments_and_values_too(self, segment_run):
        store = segment_store()
        store.tasks = ()
        prediction = predict(segment_run.path, store, "", any_store=True)
        assert len(prediction.segment_ids) == len(store.segments) and prediction.splits == ("train", "val", "test")
        assert np.isnan(prediction.labels["strength"]).all() and (prediction.labels["emotion"] == -1).all()
        assert "of 25 segments have the very features of segments that run" in prediction.notes[0]

    def test_labels_are_matched_by_the_names_of_classes(self, run):
        tasks = (Task("five", tuple("CBA")),)
        numbers = np.where(np.arange(len(self.other().segments)) < 3, 0, -1)
        labels = predict(run.path, self.other(tasks, label_five=numbers), "new", any_store=True).labels["five"]
        assert set(labels.tolist()) <= {2, -1} and 2 in labels

    def test_a_task_of_another_name_is_known_by_its_classes(self, run):
        tasks = (Task("intent", tuple("ED")),)
        labels = predict(run.path, self.other(tasks, label_intent=1), "new", any_store=True).labels
        assert labels["five"].tolist() == [3] * 4 and labels["two"].tolist() == [-1] * 4

    def test_classes_that_the_run_was_never_shown_are_wrong(self, run):
        tasks = (Task("five", tuple("AF")),)
        prediction = predict(run.path, self.other(tasks, label_five=1), "new", any_store=True)
        (five,) = [task for task in prediction.tasks if task.name == "five"]
        assert five.classes == tuple("ABCDEF") and prediction.labels["five"].tolist() == [5] * 4
        assert prediction.outputs["five"].shape == (4, 6) and not prediction.outputs["five"][:, 5].any()
        assert prediction.notes == (
            "task five: 4 recordings are of classes that the run was never shown (F), which cannot be right",
        )

    def test_features_may_be_called_otherwise_but_not_be_made_otherwise(self, run):
        store = self.other()
        store.specs = {"words": store.specs["roberta"], "sounds": store.specs["hubert"]}
        store.features = {"words": store.features["roberta"], "sounds": store.features["hubert"]}
        known = predict(run.path, calls(), "test").outputs["five"]
        np.testing.assert_allclose(predict(run.path, store, "", any_store=True).outputs["five"], known, atol=1e-6)
        store.specs["sounds"] = dataclasses.replace(store.specs["sounds"], weights="other")
        with pytest.raises(StoreError, match="feature that was made as hubert was: its sounds has weights other"):
            predict(run.path, store, "", any_store=True)
        del store.specs["sounds"]
        with pytest.raises(StoreError, match="made as hubert was: it holds words"):
            predict(run.path, store, "", any_store=True)

    def test_a_store_without_tasks_cannot_be_learnt_from(self, tmp_path):
        with pytest.raises(StoreError, match="has no tasks, for its corpus has no labels"):
            train(self.other(), MODEL, TRAIN, tmp_path, score, say=quiet)
        assert not list(tmp_path.iterdir())


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
