"""Extraction computes what a store lacks, no more, and says what it could not use."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from msmt.errors import SpecMismatchError, StoreError
from msmt.extract.config import ExtractConfig
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.encoders import AudioEncoder, TextEncoder
from msmt.extract.pipeline import extract, failures_path
from msmt.extract.sound.audio import load_segment, normalised
from msmt.extract.windows import WINDOW_BLOCKS
from msmt.features.opening import open_store
from msmt.features.rows import BLOCK_ROWS, MISSING
from msmt.features.segments import REMOVED
from msmt.tests.extract.made import save_encoders, speech_like, write_calls

pytestmark = pytest.mark.parametrize("suffix", [".zarr", ".h5"])


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    return save_encoders(tmp_path_factory.mktemp("encoders"))


@pytest.fixture
def data(tmp_path):
    write_calls(tmp_path / "calls")
    return tmp_path / "calls"


def settings(encoders, **changes) -> ExtractConfig:
    audio, text = map(str, encoders)
    fields = {
        "audio_encoder": audio,
        "text_encoder": text,
        "max_seconds": 1.5,
        "max_tokens": 30,
        "precision": "float32",
    }
    return ExtractConfig(**{**fields, **changes})


def run(data, store, config, **options):
    return extract(load_corpus("marketcalls", data), store, config, **options)


def content(store: Path) -> dict[str, bytes]:
    files = [store] if store.is_file() else [file for file in sorted(store.rglob("*")) if file.is_file()]
    return {str(file.relative_to(store)): file.read_bytes() for file in files}


def test_every_row_holds_what_the_definition_gives(suffix, tmp_path, data, encoders):
    store_path = tmp_path / f"a{suffix}"
    summary = run(data, store_path, settings(encoders))
    store = open_store(store_path)
    cpu = torch.device("cpu")
    audio = AudioEncoder.load(str(encoders[0]), sample_rate=8000, max_seconds=1.5, device=cpu, precision="float32")
    text = TextEncoder.load(str(encoders[1]), max_tokens=30, device=cpu, precision="float32")
    for row, segment in store.segments.iterrows():
        samples = normalised(load_segment(data / segment["audio"], 8000))
        defined = audio.encode_padded(samples)
        got = store.read("hubert", row)
        assert got.shape == tuple(defined.shape) and np.allclose(got, defined, atol=2e-3)
        tokens = text.encode_alone(text.cut(text.tokenize([segment["text"]])[0]))
        assert np.allclose(store.read("roberta", row), tokens, atol=2e-3)
    assert summary.computed == {"hubert": 18, "roberta": 18}
    assert summary.cut_audio == sum(soundfile.info(file).duration > 1.5 for file in (data / "audio").iterdir()) > 0


def test_a_second_run_computes_nothing_and_changes_no_byte(suffix, tmp_path, data, encoders):
    store = tmp_path / f"a{suffix}"
    run(data, store, settings(encoders))
    before = content(store)
    again = run(data, store, settings(encoders))
    assert again.computed == {} and [work.done for work in again.works] == [18, 18]
    assert content(store) == before


def test_an_extraction_cut_short_ends_with_the_bytes_of_one_that_was_not(suffix, tmp_path, encoders, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    data = tmp_path / "calls"
    write_calls(data, recordings=40, segments=4)  # more than a window of blocks
    assert 160 > WINDOW_BLOCKS * BLOCK_ROWS
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    run(data, whole, settings(encoders))
    encoded = AudioEncoder.encode

    def until_tired(self, batch, calls=[0]):  # noqa: B006  counts across calls
        calls[0] += 1
        if calls[0] == 150:
            raise KeyboardInterrupt
        return encoded(self, batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(AudioEncoder, "encode", until_tired)
        run(data, cut, settings(encoders))
    done = int((open_store(cut).lengths("hubert") != MISSING).sum())
    assert 0 < done < 160
    resumed = run(data, cut, settings(encoders))
    assert resumed.computed["hubert"] == 160 - done
    assert list(content(cut).values()) == list(content(whole).values())


def test_a_changed_file_or_transcript_makes_its_own_row_stale(suffix, tmp_path, data, encoders):
    store = tmp_path / f"a{suffix}"
    run(data, store, settings(encoders))
    before = open_store(store)
    old = {name: [before.read(name, row) for row in range(18)] for name in before.specs}
    soundfile.write(data / "audio/call1_1.wav", speech_like(0.9, seed=77), 8000)
    table = pd.read_csv(data / "train.csv")
    table.loc[table["Audio_id"] == "call2_2.wav", "text"] = "yes yes yes"
    table.to_csv(data / "train.csv", index=False)
    summary = run(data, store, settings(encoders))
    assert summary.computed == {"hubert": 1, "roberta": 1}
    after = open_store(store)
    assert after.segments["segment_id"].tolist() == before.segments["segment_id"].tolist()
    changed = {
        (name, before.segments["segment_id"][row])
        for name in old
        for row in range(18)
        if not np.array_equal(after.read(name, row), old[name][row])
    }
    assert changed == {("hubert", "call1_1"), ("roberta", "call2_2")}


def test_a_changed_label_computes_nothing_and_reaches_the_store(suffix, tmp_path, data, encoders):
    store = tmp_path / f"a{suffix}"
    run(data, store, settings(encoders))
    table = pd.read_csv(data / "test.csv")
    table["label"] = "E"
    table.to_csv(data / "test.csv", index=False)
    assert run(data, store, settings(encoders)).computed == {}
    segments = open_store(store).segments
    assert (segments["label_five"][segments["split"] == "test"] == 4).all()


def test_removed_segments_are_reported_and_new_ones_computed(suffix, tmp_path, data, encoders):
    store = tmp_path / f"a{suffix}"
    run(data, store, settings(encoders))
    table = pd.read_csv(data / "train.csv")
    soundfile.write(data / "audio/new_1.wav", speech_like(0.5), 8000)
    table = pd.concat(
        [table[table["phone"] != "call0"], pd.DataFrame([["new", "new_1.wav", 1, "hello", "B"]], columns=table.columns)]
    )
    table.to_csv(data / "train.csv", index=False)
    summary = run(data, store, settings(encoders))
    assert summary.removed == 2 and summary.computed == {"hubert": 1, "roberta": 1}
    segments = open_store(store).segments
    assert segments["split"][segments["recording_id"] == "call0"].eq(REMOVED).all()


@pytest.mark.parametrize("change", [{"sample_rate": 16000}, {"max_seconds": 2.0}, {"precision": "bfloat16"}])
def test_another_spec_is_refused_until_told_to_overwrite(suffix, tmp_path, data, encoders, change):
    store = tmp_path / f"a{suffix}"
    run(data, store, settings(encoders))
    before = content(store)
    with pytest.raises(SpecMismatchError, match="made in another way .*--overwrite, or keep both with another --store"):
        run(data, store, settings(encoders, **change))
    assert content(store) == before
    summary = run(data, store, settings(encoders, **change, overwrite=True))
    assert summary.computed["hubert"] == 18


def test_precision_auto_follows_the_store(suffix, tmp_path, data, encoders):
    store = tmp_path / f"a{suffix}"
    for precision in ("float32", "auto"):
        run(data, store, settings(encoders, precision=precision))
    assert open_store(store).specs["hubert"].precision == "float32"


class TestBrokenAudio:
    def spoil(self, data, *names):
        for name in names:
            (data / "audio" / name).write_bytes(b"not audio at all, just bytes" * 9)

    def test_it_is_listed_and_the_rest_is_done(self, suffix, tmp_path, data, encoders):
        self.spoil(data, "call1_2.wav")
        soundfile.write(data / "audio/call3_1.wav", np.zeros(8000), 8000)
        soundfile.write(data / "audio/call4_1.wav", speech_like(0.04), 8000)
        store = tmp_path / f"a{suffix}"
        summary = run(data, store, settings(encoders, max_failures="3"))
        assert not summary.stopped_early and summary.computed == {"hubert": 15, "roberta": 18}
        assert (open_store(store).lengths("hubert") == MISSING).sum() == 3
        with open(failures_path(store), newline="") as file:
            rows = {row["segment_id"]: row for row in csv.DictReader(file)}
        assert {name: row["reason"] for name, row in rows.items()} == {
            "call1_2": "is not audio that can be decoded (Invalid data found when processing input)",
            "call3_1": "is silent: all its samples are zero",
            "call4_1": "is too short: 320 samples at 8000 Hz make no frame",
        }
        assert rows["call1_2"]["origin"] == "train.csv row 5"
        shown = "\n".join(summary.lines())
        assert (
            "3 segments have no audio feature" in shown and "train.csv row 5: audio/call1_2.wav: is not audio" in shown
        )

    def test_mended_files_are_filled_in_and_the_list_disappears(self, suffix, tmp_path, data, encoders):
        self.spoil(data, "call1_2.wav")
        store = tmp_path / f"a{suffix}"
        run(data, store, settings(encoders, max_failures="1"))
        assert failures_path(store).exists()
        soundfile.write(data / "audio/call1_2.wav", speech_like(0.7), 8000)
        summary = run(data, store, settings(encoders))
        assert summary.computed == {"hubert": 1} and not summary.failures and not failures_path(store).exists()

    def test_a_file_that_breaks_later_loses_its_row(self, suffix, tmp_path, data, encoders):
        store = tmp_path / f"a{suffix}"
        run(data, store, settings(encoders))
        self.spoil(data, "call1_2.wav")
        summary = run(data, store, settings(encoders, max_failures="1"))
        assert [failure.segment_id for failure in summary.failures] == ["call1_2"]
        assert (open_store(store).lengths("hubert") == MISSING).sum() == 1

    @pytest.mark.parametrize("allowed", ["1", "5%"])
    def test_too_many_stop_the_extraction_early(self, suffix, tmp_path, data, encoders, allowed):
        self.spoil(data, "call0_1.wav", "call1_1.wav", "call2_1.wav")
        summary = run(data, tmp_path / f"a{suffix}", settings(encoders, max_failures=allowed))
        assert summary.stopped_early and "stopped early" in summary.lines()[-1]
        assert summary.failures_file == failures_path(tmp_path / f"a{suffix}")

    def test_features_that_float16_cannot_hold_are_never_written(self, suffix, tmp_path, data, encoders, monkeypatch):
        encoded = AudioEncoder.encode
        monkeypatch.setattr(
            AudioEncoder, "encode", lambda self, batch: [values * 1e6 for values in encoded(self, batch)]
        )
        store = tmp_path / f"a{suffix}"
        summary = run(data, store, settings(encoders, max_failures="100%"))
        assert len(summary.failures) == 18 and "not finite numbers in float16" in summary.failures[0].reason
        assert (open_store(store).lengths("hubert") == MISSING).all()


def test_empty_transcripts_work_and_are_counted(suffix, tmp_path, data, encoders):
    table = pd.read_csv(data / "val.csv")
    table.loc[0, "text"] = ""
    table.to_csv(data / "val.csv", index=False)
    store = tmp_path / f"a{suffix}"
    summary = run(data, store, settings(encoders))
    assert summary.empty_texts == 1 and open_store(store).lengths("roberta").min() == 2


def test_stereo_wide_and_odd_encodings_simply_work(suffix, tmp_path, data, encoders):
    speech = speech_like(1.0, 44_100)
    soundfile.write(data / "audio/call0_1.wav", np.stack([speech, speech], 1), 44_100, subtype="PCM_24")
    soundfile.write(data / "audio/call0_2.wav", speech_like(1.0), 8000, subtype="ALAW")
    soundfile.write(data / "audio/call1_1.wav", speech_like(1.0, 16_000), 16_000, subtype="FLOAT")
    summary = run(data, tmp_path / f"a{suffix}", settings(encoders))
    assert not summary.failures and summary.computed["hubert"] == 18


def test_one_name_for_both_features_is_refused(suffix, tmp_path, data, encoders):
    with pytest.raises(StoreError, match="both called x; name one"):
        run(data, tmp_path / f"a{suffix}", settings(encoders, audio_feature="x", text_feature="x"))


def test_identical_inputs_are_encoded_once(suffix, tmp_path, data, encoders, monkeypatch):
    sound = (data / "audio/call0_1.wav").read_bytes()
    for name in ("call1_1.wav", "call2_1.wav"):
        (data / "audio" / name).write_bytes(sound)
    encoded, counted = AudioEncoder.encode, []
    monkeypatch.setattr(AudioEncoder, "encode", lambda self, batch: (counted.extend(batch), encoded(self, batch))[1])
    summary = run(data, tmp_path / f"a{suffix}", settings(encoders))
    assert len(counted) == 16 and summary.computed["hubert"] == 18
    store = open_store(tmp_path / f"a{suffix}")
    rows = {name: row for row, name in enumerate(store.segments["segment_id"])}
    assert np.array_equal(store.read("hubert", rows["call0_1"]), store.read("hubert", rows["call2_1"]))


def test_identical_broken_files_all_fail(suffix, tmp_path, data, encoders):
    for name in ("call1_1.wav", "call2_1.wav"):
        (data / "audio" / name).write_bytes(b"broken")
    summary = run(data, tmp_path / f"a{suffix}", settings(encoders, max_failures="5"))
    assert sorted(failure.segment_id for failure in summary.failures) == ["call1_1", "call2_1"]


def test_decoding_in_processes_gives_the_same(suffix, tmp_path, data, encoders, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    run(data, one, settings(encoders))
    run(data, two, settings(encoders, workers=2))
    assert list(content(one).values()) == list(content(two).values())


def test_where_batches_matter_a_resumed_run_forms_the_same_ones(suffix, tmp_path, data, encoders, monkeypatch):
    """On a GPU rounding depends on the batch, so missing rows are encoded beside the rows they were batched with."""
    batches: list[list[int]] = []
    encoded = AudioEncoder.encode
    monkeypatch.setattr(AudioEncoder, "batches_matter", True)
    monkeypatch.setattr(AudioEncoder, "batch_rows", 60, raising=False)
    monkeypatch.setattr(
        AudioEncoder,
        "__setattr__",
        lambda self, name, value: name == "batch_rows" or object.__setattr__(self, name, value),
    )
    monkeypatch.setattr(
        AudioEncoder,
        "encode",
        lambda self, batch: (batches.append([len(one) for one in batch]), encoded(self, batch))[1],
    )
    store = tmp_path / f"a{suffix}"
    run(data, store, settings(encoders))
    first, batches[:] = list(batches), []
    assert max(map(len, first)) > 1
    before = content(store)
    soundfile.write(data / "audio/call1_1.wav", soundfile.read(data / "audio/call1_1.wav")[0] * 0.5, 8000)
    assert run(data, store, settings(encoders)).computed == {"hubert": 1}
    assert batches == first and content(store) != before


def test_shares_of_an_extraction_make_the_whole(suffix, tmp_path, encoders, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    data = tmp_path / "calls"
    write_calls(data, recordings=25, segments=4)
    store, whole = tmp_path / f"shares{suffix}", tmp_path / f"whole{suffix}"
    if suffix == ".h5":
        with pytest.raises(StoreError, match="one writer at a time; use --format zarr"):
            run(data, store, settings(encoders, shard="1/2"))
        return
    run(data, whole, settings(encoders))
    first = run(data, store, settings(encoders, shard="1/2"))
    lengths = open_store(store).lengths("hubert")
    assert first.computed["hubert"] == (lengths != MISSING).sum() == 64 and (lengths[32:64] == MISSING).all()
    run(data, store, settings(encoders, shard="2/2"))
    assert list(content(store).values()) == list(content(whole).values())
