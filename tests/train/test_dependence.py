"""A run depends on the rows that it read: a store may grow under it, and what has changed is named."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from msmt.errors import RunError
from msmt.features.tasks import Task
from msmt.tests.train.made import MODEL, TRAIN, calls, quiet, score, segment_store, spec
from msmt.tests.train.test_loop import Interrupting, same_weights, weights
from msmt.train.data import recordings_of
from msmt.train.dependence import RowsRead, rows_read
from msmt.train.loop import train
from msmt.train.predict import predict
from msmt.train.runs import Run

BOTH = {"text": "roberta", "audio": "hubert"}
MOOD = Task("mood", ("calm", "angry"))


def with_rows(store, rows: pd.DataFrame, like: np.ndarray, change: float = 0.0):
    """The store with further rows at its end, whose features are those of the rows ``like``, shifted."""
    store.segments = pd.concat([store.segments, rows], ignore_index=True)
    for features in store.features.values():
        features += [features[row] + np.float16(change) for row in like]
    return store


def with_views(store, view: str = "noise"):
    rows = np.flatnonzero(store.segments["split"] == "train")
    return with_rows(store, store.segments.iloc[rows].assign(view=view), rows, 0.5)


def with_recordings(store, split: str = "later"):
    rows = np.flatnonzero(store.segments["split"] == "test")
    copies = store.segments.iloc[rows]
    copies = copies.assign(
        split=split, segment_id="new-" + copies["segment_id"], recording_id="new-" + copies["recording_id"]
    )
    return with_rows(store, copies, rows, 0.25)


def with_feature(store, name: str = "aaa"):
    """An audio feature that comes before all others by its name, and has other lengths."""
    store.specs = {**store.specs, name: dataclasses.replace(spec("audio"), weights=name, channel=1)}
    random = np.random.default_rng(7)
    store.features[name] = [
        random.standard_normal((random.integers(1, 23), 8)).astype(np.float16) for _ in store.segments.index
    ]
    return store


def with_task(store):
    store.tasks = (*store.tasks, MOOD)
    numbers = store.segments["recording_id"].str.extract(r"(\d+)")[0].astype(int)
    store.segments = store.segments.assign(label_mood=(numbers % 2).astype(np.int32))
    return store


def grown():
    return with_task(with_feature(with_recordings(with_views(calls()))))


def rows_of(store, split: str = "val", views=("original",)) -> RowsRead:
    return rows_read(recordings_of(store, split, BOTH, views=views), store.tasks)


def go(store, folder, **more):
    config = dataclasses.replace(TRAIN, views="original")
    resume = more.get("resume")
    return train(store, None if resume else MODEL, None if resume else config, folder, score, say=quiet, **more)


@pytest.mark.parametrize("grow", [with_views, with_recordings, with_feature, with_task, lambda store: grown()])
def test_a_run_goes_on_in_a_store_that_has_grown_to_the_same_weights(tmp_path, grow):
    whole = go(calls(), tmp_path / "whole")
    go(calls(), tmp_path / "cut", track=Interrupting(2))
    resumed = go(grow(calls()), tmp_path / "cut", resume="latest")
    assert resumed.status == "finished" and same_weights(weights(resumed), weights(whole))


def test_a_run_of_every_view_goes_on_with_the_views_that_there_were(tmp_path):
    whole = train(with_views(calls()), MODEL, TRAIN, tmp_path / "whole", score, say=quiet)
    train(with_views(calls()), MODEL, TRAIN, tmp_path / "cut", score, say=quiet, track=Interrupting(2))
    resumed = go(with_views(with_views(calls()), "speed"), tmp_path / "cut", resume="latest")
    assert same_weights(weights(resumed), weights(whole))


def relabelled(store):
    store.segments.loc[store.segments["recording_id"] == "call-14", "label_five"] = 0


def revoiced(store):
    store.features["hubert"][0] = store.features["hubert"][0] + 1


def shortened(store):
    store.segments.loc[store.segments["segment_id"] == "s1", "split"] = "removed"


def moved(store):
    store.segments.loc[store.segments["recording_id"] == "call-0", "split"] = "val"


def renumbered(store):
    store.segments.loc[store.segments["segment_id"] == "s2", "index"] = 9


def renamed_classes(store):
    store.tasks = (Task("five", tuple("ABCDX")), *store.tasks[1:])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (relabelled, "has changed: labels of task five of 1 recording of val (the first: call-14)"),
        (revoiced, "has changed: hubert features of 1 segment of train (the first: s0)"),
        (shortened, "has changed: 1 segment no longer in train (the first: s1)"),
        (moved, "1 segment no longer in train (the first: s0); 1 segment more in val (the first: s0)"),
        (renumbered, "has changed: recording or number of 1 segment of train (the first: s2)"),
        (lambda store: with_recordings(store, "train"), "segments more in train (the first: new-s"),
        (renamed_classes, "task five has A, B, C, D, X, not A, B, C, D, E"),
    ],
)
def test_what_a_run_would_learn_otherwise_is_named_and_it_does_not_go_on(tmp_path, change, said):
    go(calls(), tmp_path, track=Interrupting(2))
    store = calls()
    change(store)
    with pytest.raises(RunError) as caught:
        go(store, tmp_path, resume="latest")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_recordings_in_another_order_are_another_thing_to_learn_from_but_not_to_be_scored_on():
    store, other = calls(), calls()
    order = np.r_[1, 2, 0, 3 : len(other.segments)]  # the second recording before the first
    other.segments = other.segments.iloc[order].reset_index(drop=True)
    other.features = {name: [rows[row] for row in order] for name, rows in other.features.items()}
    before, now = rows_of(store, "train"), rows_of(other, "train")
    assert before.differences(now, other) == ["order of the segments of train"]
    assert before.differences(now, other, in_order=False) == []
    assert (before.of_segments, before.of_values) == (now.of_segments, now.of_values)


def test_another_spec_is_spelled_out():
    store, other = calls(), calls()
    other.specs["hubert"] = dataclasses.replace(other.specs["hubert"], sample_rate=16000)
    assert rows_of(store).differences(rows_of(other), other) == ["hubert has sample_rate 16000, not None"]


def test_what_was_read_comes_back_as_it_was(tmp_path):
    for store, split in ((grown(), "train"), (segment_store(), "val")):
        rows = rows_of(store, split, ("original", "noise"))
        rows.save(tmp_path / "rows.npz")
        again = RowsRead.load(tmp_path / "rows.npz")
        assert again.differences(rows, store) == [] and again.digest == rows.digest
        assert (again.tasks, again.views, dict(again.specs)) == (rows.tasks, rows.views, dict(rows.specs))
        assert rows.is_in(store)
    assert RowsRead.load(tmp_path / "none.npz") is None
    (tmp_path / "rows.npz").write_bytes(b"half")
    with pytest.raises(RunError, match="rows.npz cannot be read"):
        RowsRead.load(tmp_path / "rows.npz")


def test_labels_are_told_apart_by_the_names_of_their_classes():
    store, other = calls(), calls()
    other.tasks = (Task("five", tuple("EDCBA")), *other.tasks[1:])
    other.segments = other.segments.assign(label_five=4 - other.segments["label_five"])
    assert rows_of(store).differences(rows_of(other), other) == ["task five has E, D, C, B, A, not A, B, C, D, E"]


def without_rows(run: Run) -> Run:
    """As a version of msmt left it that did not keep what a run read."""
    for path in run.path.glob("rows-*.npz"):
        path.unlink()
    return run


def test_a_run_that_did_not_keep_its_rows_depends_on_the_whole_store(tmp_path):
    run = without_rows(go(calls(), tmp_path, track=Interrupting(2)).run)
    with pytest.raises(RunError, match="is not the store that run"):
        predict(run.path, grown(), "test")
    with pytest.raises(RunError, match="is not the store that run"):
        go(grown(), tmp_path, resume="latest")
    assert len(predict(run.path, calls(), "test").recording_ids) == 4
    assert go(calls(), tmp_path, resume="latest").status == "finished"


def test_a_run_made_before_fingerprints_covered_more_is_still_known(tmp_path):
    run = without_rows(go(calls(), tmp_path).run)
    store = calls()
    store.fingerprint_version_1, store.fingerprint = store.fingerprint, lambda: "another"
    assert len(predict(run.path, store, "test").recording_ids) == 4
