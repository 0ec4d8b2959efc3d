"""From a store to batches: which segments, in which order, and what is refused."""

from __future__ import annotations


import numpy as np
import pandas as pd
import pytest
import torch
from msmt.errors import SettingError, StoreError
from msmt.features.tasks import Task
from msmt.tests.train.made import EMOTION, FIVE, STRENGTH, TASKS, calls, segment_store, store_of
from msmt.train.data import (
    check_learnable,
    choose_tasks,
    groups_of_similar_length,
    read_batch,
    recordings_of,
    training_steps,
    views_of,
    with_labels,
)

BOTH = {"text": "roberta", "audio": "hubert"}


def refused(error, call, *arguments, **more) -> str:
    with pytest.raises(error) as caught:
        call(*arguments, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_segments_of_a_recording_come_in_the_order_of_their_index():
    store = store_of([0, 1, 2], segments=[3, 1, 4])
    order = np.random.default_rng(0).permutation(8)
    store.segments = store.segments.iloc[order].reset_index(drop=True)
    recordings = recordings_of(store, "train", BOTH)
    table = store.segments
    for name, rows in zip(recordings.ids, recordings.rows, strict=True):
        assert (table["recording_id"].iloc[rows] == name).all()
        assert table["index"].iloc[rows].is_monotonic_increasing
    assert recordings.segments == 8
    assert recordings.ids == tuple(dict.fromkeys(table["recording_id"]))
    expected = [int(name.removeprefix("call-")) for name in recordings.ids]
    assert recordings.labels["five"].tolist() == expected  # call-i has class i


def test_augmented_views_and_removed_rows_are_not_read():
    store = store_of([0, 1, 2], segments=[2, 2, 2])
    store.segments.loc[1, "view"] = "noise"
    store.segments.loc[4, "split"] = "removed"
    assert [rows.tolist() for rows in recordings_of(store, "train", BOTH).rows] == [[0], [2, 3], [5]]


def with_views():
    """Two calls to learn from, of which the second has a noisy copy and two fast ones, and one to validate on."""
    store = store_of([0, 1, 2], ["train", "train", "val"], segments=[1, 2, 1])
    copies = [store.segments.iloc[[1, 2]].assign(view=view) for view in ("noise", "speed", "speed-2")]
    store.segments = pd.concat([store.segments, *copies], ignore_index=True)
    for rows in store.features.values():
        rows += rows[1:3] * 3
    return store


def test_each_view_of_a_recording_is_a_recording_to_learn_from():
    store = with_views()
    recordings = recordings_of(store, "train", BOTH, views=("original", "noise", "speed", "speed-2"))
    assert [rows.tolist() for rows in recordings.rows] == [[0], [1, 2], [4, 5], [6, 7], [8, 9]]
    assert recordings.ids == ("call-0", "call-1", "call-1", "call-1", "call-1")
    assert recordings.labels["five"].tolist() == [0, 1, 1, 1, 1]
    assert recordings_of(store, "train", BOTH).ids == ("call-0", "call-1")


def test_views_are_all_that_there_are_or_those_that_are_named_with_their_copies():
    store = with_views()
    assert views_of(store, "train", ()) == ("original", "noise", "speed", "speed-2")
    assert views_of(store, "train", ("original", "speed")) == ("original", "speed", "speed-2")
    assert views_of(store, "train", ("speed-2",)) == ("speed-2",)
    assert views_of(store, "val", ()) == ("original",)
    said = refused(StoreError, views_of, store, "train", ("original", "mask"))
    assert said == (
        "memory.zarr has no view mask of split train, only original, noise, speed, speed-2: "
        "add it with msmt extract --augment mask"
    )


def test_batches_are_the_same_whatever_the_modalities():
    store = store_of(list(range(5)) * 4)
    longest = [recordings_of(store, "train", {name: BOTH[name]}).longest.tolist() for name in BOTH]
    assert longest[0] == longest[1] == recordings_of(store, "train", BOTH).longest.tolist()


def test_a_split_without_segments_is_an_error_that_names_the_splits():
    said = refused(StoreError, recordings_of, calls(), "dev", BOTH)
    assert said == "memory.zarr has no segments in split dev: its splits are train, val, test"


def test_the_split_of_removed_rows_cannot_be_read():
    store = store_of([0, 1])
    store.segments.loc[0, "split"] = "removed"
    assert "its splits are train" in refused(StoreError, recordings_of, store, "removed", BOTH)


def test_missing_features_are_an_error_that_says_how_many_and_what_to_do():
    store = store_of([0, 1, 2], segments=[2, 2, 2])
    store.features["hubert"][1] = store.features["hubert"][4] = store.features["roberta"][4] = None
    said = refused(StoreError, recordings_of, store, "train", BOTH)
    assert said == (
        "2 of 6 segments of split train in memory.zarr have no features of roberta, hubert (the first: s1): "
        "run msmt extract again, or leave them out with --skip-missing"
    )
    assert recordings_of(store, "train", {"text": "roberta"}, skip_missing=True).segments == 5


def test_missing_features_can_be_left_out_and_are_listed():
    store = store_of([0, 1, 2], segments=[2, 1, 2])
    store.features["hubert"][1] = store.features["hubert"][2] = store.features["roberta"][2] = None
    recordings = recordings_of(store, "train", BOTH, skip_missing=True)
    assert recordings.ids == ("call-0", "call-2")
    assert [rows.tolist() for rows in recordings.rows] == [[0], [3, 4]]
    assert recordings.labels["five"].tolist() == [0, 2]
    assert recordings.left_out.to_dict("records") == [
        {"segment_id": "s1", "recording_id": "call-0", "split": "train", "reason": "no features: hubert"},
        {"segment_id": "s2", "recording_id": "call-1", "split": "train", "reason": "no features: roberta, hubert"},
    ]


def test_segments_with_a_known_defect_are_left_out_unasked_and_say_so():
    store = store_of([0, 1, 2], segments=[2, 1, 2])
    store.facts = {"known_defects": {"s1": "its clip cannot be decoded", "s3": "it has no clip"}}
    store.features["hubert"][1] = None
    recordings = recordings_of(store, "train", BOTH)
    assert [rows.tolist() for rows in recordings.rows] == [[0], [2], [3, 4]]
    assert recordings.left_out["reason"].tolist() == ["no features: hubert; a known defect: its clip cannot be decoded"]
    store.features["hubert"][2] = None
    assert "(the first: s2)" in refused(StoreError, recordings_of, store, "train", BOTH)


def test_a_split_without_any_features_cannot_be_skipped():
    store = store_of([0, 1])
    store.features["hubert"] = [None] * len(store.segments)
    said = refused(StoreError, recordings_of, store, "train", BOTH, skip_missing=True)
    assert said.endswith("run msmt extract again")


def test_a_recording_with_two_labels_is_refused():
    store = store_of([0, 1], segments=[2, 2])
    store.segments.loc[3, "label_two"] = 1
    assert "recording call-1 has more than one label of task two" in refused(
        StoreError, recordings_of, store, "train", BOTH
    )


def test_tasks_are_chosen_by_name_and_without_mtl_the_finest_is_left():
    assert choose_tasks(TASKS, (), mtl=True) == TASKS
    assert choose_tasks(TASKS, ("two", "five"), mtl=True) == (TASKS[0], TASKS[3])
    assert choose_tasks(TASKS, (), mtl=False) == (FIVE,)
    assert choose_tasks(tuple(reversed(TASKS)), (), mtl=False) == (FIVE,)
    assert choose_tasks(TASKS, ("two",), mtl=False) == (TASKS[3],)
    assert "there is no task six: choose --tasks from five, four" in refused(
        SettingError, choose_tasks, TASKS, ("six",), True
    )


def test_one_class_only_cannot_be_learnt():
    recordings = recordings_of(store_of([0, 1, 2]), "train", BOTH)
    check_learnable(recordings, [FIVE])
    said = refused(StoreError, check_learnable, recordings, TASKS)
    assert said == (
        "split train of memory.zarr has only class A+B+C of task two, so nothing can be learnt: "
        "leave it out with --tasks"
    )


def test_a_task_without_labels_cannot_be_learnt():
    store = segment_store()
    store.segments["label_strength"] = np.nan
    recordings = recordings_of(store, "train", BOTH)
    assert "has no label of task strength" in refused(StoreError, check_learnable, recordings, [EMOTION, STRENGTH])
    store.segments["label_strength"] = 2.5
    assert "has only value 2.5" in refused(StoreError, check_learnable, recordings_of(store, "train", BOTH), [STRENGTH])


def test_recordings_without_a_label_are_known():
    store = segment_store()
    first = recordings_of(store, "train", BOTH)
    assert with_labels(first, [EMOTION]).tolist() == list(range(7))
    store.segments.loc[first.rows[3], "label_emotion"] = -1
    assert with_labels(recordings_of(store, "train", BOTH), [EMOTION]).tolist() == [0, 1, 2, 4, 5, 6]
    assert with_labels(recordings_of(store, "train", BOTH), [EMOTION, STRENGTH]).tolist() == list(range(7))


def test_a_batch_holds_whole_recordings_without_padding():
    store = calls()
    recordings = recordings_of(store, "train", BOTH)
    batch = read_batch(recordings, np.array([4, 2]))
    rows = [*recordings.rows[4], *recordings.rows[2]]
    assert batch.counts == (len(recordings.rows[4]), len(recordings.rows[2]))
    for modality, name in BOTH.items():
        assert batch.features[modality].lengths == tuple(store.lengths(name)[rows])
        expected = np.concatenate([store.features[name][row] for row in rows])
        assert np.array_equal(batch.features[modality].values, expected)
    assert batch.labels["five"].tolist() == [4, 2] and batch.labels["five"].dtype == torch.int64


def test_a_batch_of_segment_labels_holds_those_of_its_segments():
    store = segment_store()
    recordings = recordings_of(store, "train", BOTH)
    batch = read_batch(recordings, np.array([2, 0]))
    rows = [*recordings.rows[2], *recordings.rows[0]]
    assert batch.labels["emotion"].tolist() == store.segments["label_emotion"].iloc[rows].tolist()
    assert batch.labels["strength"].dtype == torch.float32
    assert recordings.segment_ids[:3] == ("s0", "s1", "s2")
    assert recordings.recording_ids[:3] == ("call-0", "call-0", "call-1")


def test_an_epoch_visits_every_recording_once_in_an_order_of_its_own():
    longest = np.random.default_rng(0).integers(1, 99, 23)

    def visits(seed, epoch):
        steps = training_steps(np.arange(23), longest, seed, epoch, batch_recordings=3, accumulation=2)
        assert [len(step) for step in steps] == [2, 2, 2, 2]
        return [group.tolist() for step in steps for group in step]

    assert sorted(sum(visits(0, 1), [])) == list(range(23))
    assert visits(0, 1) == visits(0, 1)
    assert visits(0, 1) != visits(0, 2) != visits(1, 2)


def test_the_recordings_of_a_step_do_not_depend_on_how_it_is_cut_into_batches():
    longest = np.arange(24)

    def members(batch, accumulation):
        steps = training_steps(np.arange(24), longest, 0, 1, batch, accumulation)
        return [sorted(np.concatenate(step).tolist()) for step in steps]

    assert members(8, 1) == members(2, 4) == members(1, 8)


def test_recordings_of_similar_length_share_a_batch():
    groups = groups_of_similar_length(np.arange(6), np.array([5, 90, 6, 80, 70, 4]), size=3)
    assert [group.tolist() for group in groups] == [[1, 3, 4], [2, 0, 5]]


def test_a_task_may_be_called_anything():
    odd = Task("type", ("a.b", "c"))
    assert choose_tasks((odd,), ("type",), mtl=True) == (odd,)
