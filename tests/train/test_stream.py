"""Batches come whole, in order, however they are read ahead and wherever they are kept."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest
import torch
from msmt.errors import SettingError, StoreError
from msmt.features.opening import open_store
from msmt.tests.features import made as on_disk
from msmt.tests.train.made import TRAIN, calls
from msmt.train import stream as stream_module
from msmt.train.data import read_batch, recordings_of
from msmt.train.stream import Stream

BOTH = {"text": "roberta", "audio": "hubert"}
CPU = torch.device("cpu")


def stream_of(store, recordings, features=BOTH, **settings):
    return Stream(store, features, [recordings], CPU, dataclasses.replace(TRAIN, **settings))


def singly(recordings) -> list[np.ndarray]:
    return [np.array([i]) for i in range(len(recordings))]


@pytest.fixture(scope="module", params=[".zarr", ".h5"])
def store(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("stores") / f"made{request.param}"
    on_disk.make_store(path)
    return open_store(path)


@pytest.mark.parametrize("readers", [0, 1, 3])
@pytest.mark.parametrize("kept", [{"cache_in": "none"}, {"cache_in": "none", "cache_gb": 1e-9}, {"cache_in": "ram"}])
@pytest.mark.parametrize("audio", ["hubert", "vectors"])
def test_batches_hold_what_the_store_holds_epoch_after_epoch(store, readers, kept, audio):
    features = {**BOTH, "audio": audio}
    recordings = recordings_of(store, "train", features)
    groups = [np.array([3, 0, 5]), np.array([1]), np.array([2, 4]), np.array([7, 6])]
    with stream_of(store, recordings, features, readers=readers, **kept) as stream:
        for _ in range(3):
            for batch, group in zip(stream.batches(recordings, groups), groups, strict=True):
                assert batch.positions.tolist() == group.tolist()
                expected = read_batch(recordings, group)
                assert batch.counts == expected.counts
                for modality in BOTH:
                    rows, own = batch.features[modality], expected.features[modality]
                    assert rows.lengths == own.lengths and rows.values.dtype == torch.float32
                    assert torch.equal(rows.values, own.values.float())
                assert all(torch.equal(batch.labels[name], expected.labels[name]) for name in expected.labels)


def test_batches_are_read_ahead_but_not_all_of_them():
    store = calls()
    recordings = recordings_of(store, "train", BOTH)
    started, read = threading.Event(), store.read
    third = recordings.rows[2][0]
    store.read = lambda name, row: (started.set() if row == third else None, read(name, row))[1]
    with stream_of(store, recordings, readers=1, cache_in="none") as stream:
        batches = stream.batches(recordings, singly(recordings))
        next(batches)
        assert started.wait(timeout=10)
        assert not set(store.seen) & set(recordings.rows[6])  # memory is bounded


def test_a_reader_that_fails_says_so_where_the_batch_is_needed():
    store = calls()
    recordings = recordings_of(store, "train", BOTH)
    store.features["hubert"][recordings.rows[1][0]] = None
    with stream_of(store, recordings) as stream:
        batches = stream.batches(recordings, singly(recordings))
        next(batches)
        with pytest.raises(StoreError, match="of hubert is missing"):
            next(batches)
        fine = [np.array([i]) for i in (2, 3, 4, 5, 6, 7, 8)]
        assert len(list(stream.batches(recordings, fine))) == 7  # no buffer was lost


def test_a_stream_that_is_left_early_can_be_used_again_and_ends():
    threads = threading.active_count()
    recordings = recordings_of(calls(), "train", BOTH)
    with stream_of(recordings.store, recordings) as stream:
        for _ in range(9):
            batches = stream.batches(recordings, singly(recordings))
            next(batches)
            batches.close()
        assert len(list(stream.batches(recordings, singly(recordings)))) == len(recordings)
    assert threading.active_count() == threads


def test_what_does_not_fit_is_refused_where_it_was_asked_for():
    recordings = recordings_of(calls(), "train", BOTH)
    with pytest.raises(SettingError, match="cache_in is ram, but the features take .* choose --cache-in none"):
        stream_of(recordings.store, recordings, cache_in="ram", cache_gb=1e-9)
    with pytest.raises(SettingError, match="cache_in is gpu, but the network runs on cpu"):
        stream_of(recordings.store, recordings, cache_in="gpu")


def test_files_are_mapped_only_where_they_fit_in_the_memory_allowed(store, monkeypatch):
    recordings, asked = recordings_of(store, "train", BOTH), []
    make = stream_module.RowReader
    monkeypatch.setattr(
        stream_module, "RowReader", lambda store, name, mapped: (asked.append(mapped), make(store, name, mapped))[1]
    )
    stream_of(store, recordings, cache_in="none")
    stream_of(store, recordings, cache_in="none", cache_gb=1e-9)
    stream_of(store, recordings, cache_in="ram")
    monkeypatch.setattr(stream_module, "may_map", lambda files: False)
    stream_of(store, recordings, cache_in="none")
    assert asked == [True, True, False, False, False, False, False, False]
