"""A plan names what an extraction would stumble over, and counts what it would compute and keep."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
import soundfile
from msmt.extract.config import ExtractConfig
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.failures import failures_path
from msmt.extract.pipeline import extract
from msmt.extract.plan import make_plan
from msmt.extract.timing import estimated_seconds
from msmt.extract.sound.views import ViewOptions
from msmt.tests.extract.made import save_encoders, speech_like, write_calls


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    return save_encoders(tmp_path_factory.mktemp("encoders"))


@pytest.fixture
def data(tmp_path):
    write_calls(tmp_path / "calls")
    return tmp_path / "calls"


def settings(encoders, **changes) -> ExtractConfig:
    fields = {"max_seconds": 1.5, "max_tokens": 30, "precision": "float32", **changes}
    return ExtractConfig(*map(str, encoders), **fields)


class TestFilesThatCannotBeUsed:
    """One is missing, one is empty, one is no audio: all are treated alike."""

    REASONS = {
        "call0_1": "there is no such file",
        "call1_1": "the file is empty",
        "call2_1": "is not audio that can be decoded (Invalid data found when processing input)",
    }

    @pytest.fixture
    def spoilt(self, data):
        (data / "audio/call0_1.wav").unlink()
        (data / "audio/call1_1.wav").write_bytes(b"")
        (data / "audio/call2_1.wav").write_bytes(b"not audio at all, just bytes" * 9)
        return data

    def test_the_plan_lists_them_with_their_rows(self, spoilt, tmp_path, encoders):
        plan = make_plan(load_corpus("marketcalls", spoilt), tmp_path / "a.zarr", settings(encoders))
        assert {one.segment_id: one.reason for one in plan.failures} == self.REASONS
        shown = "\n".join(plan.lines())
        assert "3 segments have files that cannot be used, more than --max-failures allows" in shown
        assert "train.csv row 2: audio/call0_1.wav: there is no such file" in shown
        config = settings(encoders, max_failures="3")
        allowed = make_plan(load_corpus("marketcalls", spoilt), tmp_path / "a.zarr", config)
        assert "more than --max-failures" not in "\n".join(allowed.lines())

    @pytest.mark.parametrize("suffix", [".zarr", ".h5"])
    def test_the_extraction_lists_them_and_does_the_rest(self, spoilt, tmp_path, encoders, suffix):
        store = tmp_path / f"a{suffix}"
        summary = extract(load_corpus("marketcalls", spoilt), store, settings(encoders, max_failures="3"))
        assert {one.segment_id: one.reason for one in summary.failures} == self.REASONS
        assert summary.computed == {"hubert": 15, "roberta": 18} and not summary.stopped_early
        with open(failures_path(store), newline="") as file:
            assert {row["segment_id"]: row["reason"] for row in csv.DictReader(file)} == self.REASONS

    def test_a_missing_file_counts_towards_max_failures(self, data, tmp_path, encoders):
        (data / "audio/call0_1.wav").unlink()
        summary = extract(load_corpus("marketcalls", data), tmp_path / "a.zarr", settings(encoders, max_failures="0"))
        assert summary.stopped_early and len(summary.failures) == 1

    def test_a_file_that_turns_up_is_filled_in(self, spoilt, tmp_path, encoders):
        store = tmp_path / "a.zarr"
        extract(load_corpus("marketcalls", spoilt), store, settings(encoders, max_failures="3"))
        for name in self.REASONS:
            soundfile.write(spoilt / f"audio/{name}.wav", speech_like(0.7, seed=len(name)), 8000)
        summary = extract(load_corpus("marketcalls", spoilt), store, settings(encoders))
        assert summary.computed == {"hubert": 3} and not summary.failures


def test_the_list_of_failures_is_called_after_the_whole_store(tmp_path):
    assert failures_path(tmp_path / "a.zarr") == tmp_path / "a.zarr.failures.csv"
    assert failures_path(tmp_path / "a.h5", "1/2") == tmp_path / "a.h5.failures.1-of-2.csv"


def test_removed_rows_take_neither_bytes_nor_time(data, tmp_path, encoders):
    store, config = tmp_path / "a.zarr", settings(encoders)
    extract(load_corpus("marketcalls", data), store, config)
    train = pd.read_csv(data / "train.csv")
    train[~train["phone"].isin(["call0", "call1"])].to_csv(data / "train.csv", index=False)
    before = make_plan(load_corpus("marketcalls", data), tmp_path / "new.zarr", config)
    extract(load_corpus("marketcalls", data), store, config)
    after = make_plan(load_corpus("marketcalls", data), store, config)
    assert [one.bytes_on_disk for one in after.features] == [one.bytes_on_disk for one in before.features]
    assert [one.seconds for one in after.features] == [0, 0] and after.segments == 14


def test_a_share_says_that_it_counts_its_own_rows(data, tmp_path, encoders):
    config = settings(encoders, shard="1/2")
    plan = make_plan(load_corpus("marketcalls", data), tmp_path / "a.zarr", config)
    assert "of share 1/2 alone" in "\n".join(plan.lines())
    summary = extract(load_corpus("marketcalls", data), tmp_path / "a.zarr", config)
    assert "of share 1/2 alone" in summary.lines()[1]


def test_what_views_share_with_their_originals_is_counted_as_copied(data, tmp_path, encoders):
    views = ViewOptions(augment="noise,homophone")
    plan = make_plan(load_corpus("marketcalls", data), tmp_path / "a.zarr", settings(encoders), views=views)
    hubert = plan.features[0]
    assert (hubert.missing, hubert.copied) == (18 + 24, 12) and hubert.seconds > 0


class Clock:
    """Time that passes only when something is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Made(list):
    def cpu(self):
        return self


class TestEstimates:
    """Against encoders whose cost is known."""

    @pytest.fixture
    def clock(self, monkeypatch):
        clock = Clock()
        monkeypatch.setattr("msmt.extract.timing.time", clock)
        monkeypatch.setattr("msmt.extract.timing.os.cpu_count", lambda: 2)
        return clock

    def estimate(self, clock, lengths, cost, views=None, load_cost=lambda row: 0.0, most_rows=1, shares_cores=True):
        first = []

        def encode(batch):
            clock.now += sum(cost(length) for length in batch) + (0 if first else 100.0)  # the first call sets up
            first.append(True)
            return [Made([0] * length) for length in batch]

        def load(row):
            clock.now += load_cost(row)
            return int(lengths[row])

        views = views or {"original": range(len(lengths))}
        return estimated_seconds(views, lengths, load, encode, most_rows, 2, shares_cores)

    def test_long_segments_cost_more_than_their_length(self, clock):
        lengths = np.random.default_rng(0).lognormal(5.5, 0.6, 500).astype(int).clip(50, 999)

        def cost(length):
            return 1e-3 * length + 1e-6 * length**2

        assert self.estimate(clock, lengths, cost) == pytest.approx(sum(map(cost, lengths)), rel=0.1)

    def test_short_segments_have_a_cost_of_their_own(self, clock):
        lengths = np.random.default_rng(0).integers(5, 60, 500)

        def cost(length):
            return 0.02 + 1e-4 * length

        assert self.estimate(clock, lengths, cost) == pytest.approx(sum(map(cost, lengths)), rel=0.1)

    def test_each_view_is_timed_by_what_it_costs_to_make(self, clock):
        lengths = np.full(200, 100)
        views = {"original": range(100), "speed": range(100, 200)}
        seconds = self.estimate(
            clock, lengths, lambda length: 0.1, views, load_cost=lambda row: 0.02 if row < 100 else 0.4
        )
        assert seconds == pytest.approx(200 * 0.1 + (100 * 0.02 + 100 * 0.4) / 2)

    def test_beside_a_gpu_loading_goes_on_meanwhile(self, clock):
        lengths = np.full(100, 100)
        slow_loading = self.estimate(
            clock, lengths, lambda length: 0.01, load_cost=lambda row: 0.1, most_rows=1000, shares_cores=False
        )
        assert slow_loading == pytest.approx(100 * 0.1 / 2)
