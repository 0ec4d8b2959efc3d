"""Features of one channel, and without silence, lie beside the others in one store."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from msmt.errors import SettingError, SpecMismatchError
from msmt.extract.config import ExtractConfig
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.doctor import examine
from msmt.extract.pipeline import extract, silence_path
from msmt.extract.sound.audio import load_segment
from msmt.extract.sound.inputs import sound_of
from msmt.extract.sound.silence import Removed, SilenceOptions, SilenceRemover
from msmt.extract.sound.views import ViewOptions
from msmt.features.copying import convert
from msmt.features.opening import open_store
from msmt.features.rows import MISSING
from msmt.features.segments import AGENT_CHANNEL, ORIGINAL
from msmt.tests.extract.made import save_encoders, speech_like, write_calls

REMOVE = SilenceOptions(silence="remove")


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    return save_encoders(tmp_path_factory.mktemp("encoders"))


@pytest.fixture
def data(tmp_path):
    write_calls(tmp_path / "calls", recordings=5)
    return tmp_path / "calls"


@pytest.fixture
def run(encoders, data):
    def extracted(store, silence=REMOVE, augment="", **config):
        return extract(
            load_corpus("marketcalls", data),
            store,
            settings(encoders, **config),
            views=ViewOptions(augment=augment),
            silence=silence,
        )

    return extracted


def settings(encoders, **changes) -> ExtractConfig:
    fields = {"max_seconds": 3.0, "max_tokens": 30, "precision": "float32", **changes}
    return ExtractConfig(*map(str, encoders), **fields)


@pytest.fixture(autouse=True)
def loud_is_speech(monkeypatch):
    """The detector's stand-in hears speech in every tenth of a second that is loud."""

    def loud(self, samples, rate):
        pieces = np.split(samples, range(rate // 10, len(samples), rate // 10))
        kept = [piece for piece in pieces if np.abs(piece).max() > 0.5]
        if not kept:
            return Removed(samples, 0.0, had_speech=False)
        speech = np.concatenate(kept)
        return Removed(speech, (len(samples) - len(speech)) / rate, had_speech=True)

    monkeypatch.setattr(SilenceRemover, "speech_only", loud)


def make_loud(data: Path, name: str, *stretches: tuple[float, bool]) -> None:
    """A file of stretches of so many seconds, loud or quiet."""
    parts = [speech_like(seconds, seed=7).clip(-0.4, 0.4) for seconds, _ in stretches]
    for part, (_, is_loud) in zip(parts, stretches, strict=True):
        part[::80] = 0.9 if is_loud else 0.0
    soundfile.write(data / "audio" / name, np.concatenate(parts), 8000, subtype="FLOAT")


def make_stereo(data: Path, *without: str) -> None:
    for number, path in enumerate(sorted((data / "audio").iterdir())):
        if path.name not in without:
            one, other = speech_like(1.0, seed=number), speech_like(1.0, seed=99 + number)
            soundfile.write(path, np.stack([one, other], 1), 8000, subtype="FLOAT")


class TestSilence:
    @pytest.mark.parametrize("suffix", [".zarr", ".h5"])
    def test_both_kinds_live_in_one_store_and_share_the_text(self, suffix, tmp_path, run, data):
        make_loud(data, "call0_1.wav", (0.5, True), (1.0, False), (0.5, True))
        store = tmp_path / f"a{suffix}"
        run(store, silence=SilenceOptions())
        summary = run(store)
        assert set(open_store(store).specs) == {"hubert", "hubert-nosilence", "roberta"}
        assert set(summary.computed) == {"hubert-nosilence"}
        opened = open_store(store)
        assert opened.specs["hubert-nosilence"].silence["threshold"] == REMOVE.silence_threshold
        assert opened.specs["hubert"].silence is None
        row = opened.segments["segment_id"].tolist().index("call0_1")
        long, short = (int(opened.lengths(name)[row]) for name in ("hubert", "hubert-nosilence"))
        assert abs(short - long / 2) <= 1
        assert run(store).computed == {} and run(store, silence=SilenceOptions()).computed == {}

    def test_what_was_removed_is_said_per_split_and_segments_without_speech_are_listed(self, tmp_path, run, data):
        for path in sorted((data / "audio").iterdir()):
            make_loud(data, path.name, (0.5, True), (0.5, False))
        make_loud(data, "call4_2.wav", (1.0, False))
        store, run = tmp_path / "a.zarr", partial(run, allow_shared_audio=True)
        shown = "\n".join(run(store).lines())
        assert "silence removed of train: 3.0 s of 6.0 s, 50.0%" in shown
        assert "silence removed of test: 0.5 s of 2.0 s, 25.0%" in shown
        listed = silence_path(store, "hubert-nosilence")
        assert f"1 segment has no speech and kept all audio, listed in {listed}" in shown
        with open(listed, newline="") as file:
            rows = {row["segment_id"]: row for row in csv.DictReader(file)}
        assert len(rows) == 10 and [name for name in rows if rows[name]["had_speech"] == "no"] == ["call4_2"]
        before = listed.read_bytes()
        again = run(store)
        assert again.computed == {} and again.lines()[3:] == run(store).lines()[3:] and listed.read_bytes() == before
        assert "silence removed of train: 3.0 s of 6.0 s" in "\n".join(again.lines())
        make_loud(data, "call4_2.wav", (0.5, True), (0.5, False))
        assert "no speech" not in "\n".join(run(store).lines())

    def test_other_thresholds_are_another_spec(self, tmp_path, run):
        store = tmp_path / "a.zarr"
        run(store)
        with pytest.raises(SpecMismatchError, match=r"\(hubert-nosilence: silence with threshold 0.\d+, not 0.7\);"):
            run(store, silence=SilenceOptions(silence="remove", silence_threshold=0.7))

    def test_views_are_made_of_what_is_left(self, tmp_path, run, data):
        make_loud(data, "call0_1.wav", (0.5, True), (1.0, False), (0.5, True))
        store = tmp_path / "a.zarr"
        run(store, augment="mask,homophone")
        opened = open_store(store)
        rows = np.flatnonzero(opened.segments["segment_id"] == "call0_1")
        assert len(set(opened.lengths("hubert-nosilence")[rows].tolist())) == 1
        assert (opened.lengths("hubert-nosilence") != MISSING).all()
        run(store, silence=SilenceOptions())  # the other kind gets the views that the store has
        assert (open_store(store).lengths("hubert") != MISSING).all()

    def test_a_thread_removes_the_silence_of_a_segment_once_for_all_its_views(self, tmp_path, run, data, monkeypatch):
        make_loud(data, "call0_1.wav", (0.5, True), (1.0, False), (0.5, True))
        run(tmp_path / "a.zarr", augment="noise,mask")
        opened, asked = open_store(tmp_path / "a.zarr"), []
        remove = SilenceRemover.speech_only
        monkeypatch.setattr(SilenceRemover, "speech_only", lambda *call: asked.append(call) or remove(*call))
        rows = opened.segments[opened.segments["segment_id"] == "call0_1"]
        spec = opened.specs["hubert-nosilence"]
        sounds = [sound_of(data, row, spec, SilenceRemover(REMOVE)) for _, row in rows.iterrows()]
        assert len(asked) == 1 and [len(one.samples) for one in sounds] == [8000] * 3
        assert [one.removed_seconds for one in sounds] == [1.0] * 3
        make_loud(data, "call0_1.wav", (0.7, True))
        assert len(sound_of(data, rows.iloc[0], spec, SilenceRemover(REMOVE)).samples) == 5600

    def test_doctor_knows_it(self, tmp_path, run, data, encoders):
        run(tmp_path / "a.zarr", augment="noise")
        distances = examine(
            load_corpus("marketcalls", data), tmp_path / "a.zarr", settings(encoders), segments=2, silence=REMOVE
        )
        assert {one.feature for one in distances} == {"hubert-nosilence", "roberta"}
        assert all(one.largest < 2e-3 for one in distances)
        assert sum(one.way == "in a.zarr" for one in distances) == 2


class TestChannels:
    def test_each_channel_is_a_feature_beside_the_mean(self, tmp_path, run, data):
        make_stereo(data)
        store = tmp_path / "a.zarr"
        run(store, silence=SilenceOptions())
        run(store, silence=SilenceOptions(), channel="0")
        run(store, silence=SilenceOptions(), channel="customer", agent_channel=0)
        run(store, channel="1")
        opened = open_store(store)
        assert set(opened.specs) == {
            "hubert",
            "hubert-channel0",
            "hubert-channel1",
            "hubert-channel1-nosilence",
            "roberta",
        }
        assert opened.specs["hubert-channel1"].channel == 1 and opened.specs["hubert"].channel is None
        segment = opened.segments.iloc[0]
        heard = sound_of(data, segment, opened.specs["hubert-channel1"]).samples
        assert np.array_equal(heard, load_segment(data / segment["audio"], 8000, channel=1))
        values = [opened.read(name, 0) for name in ("hubert", "hubert-channel0", "hubert-channel1")]
        assert not any(np.array_equal(values[one], values[other]) for one, other in ((0, 1), (1, 2), (0, 2)))
        convert(opened, tmp_path / "b.h5")
        assert open_store(tmp_path / "b.h5").segments[AGENT_CHANNEL].tolist() == [0] * 10

    def test_who_is_on_which_channel_is_kept_in_mind(self, tmp_path, run, data):
        make_stereo(data, "call0_2.wav")
        store = tmp_path / "a.zarr"
        run(store, silence=SilenceOptions())
        assert AGENT_CHANNEL not in open_store(store).segments
        run(store, silence=SilenceOptions(), agent_channel=1, augment="mask")
        before = open_store(store).segments
        known = dict(zip(before["segment_id"], before[AGENT_CHANNEL], strict=True))
        assert known.pop("call0_2") == -1 and set(known.values()) == {1}
        assert set(before["view"]) == {ORIGINAL, "mask"} and before[AGENT_CHANNEL].dtype == np.int32
        table = pd.read_csv(data / "train.csv")
        table[table["phone"] != "call2"].to_csv(data / "train.csv", index=False)
        run(store, silence=SilenceOptions())
        after = open_store(store).segments
        assert after[AGENT_CHANNEL].tolist() == before[AGENT_CHANNEL].tolist()

    @pytest.fixture
    def refuses(self, data, tmp_path):
        def refused(match, dataset="marketcalls", **config):
            settings = ExtractConfig("no-such-encoder", "nor-this", **config)
            with pytest.raises(SettingError, match=match):
                extract(load_corpus(dataset, data), tmp_path / "a.zarr", settings)
            assert not (tmp_path / "a.zarr").exists()

        return refused

    def test_a_channel_that_a_file_has_not_is_refused_before_an_encoder_is_loaded(self, refuses, data):
        refuses(r"train.csv row 2: .*call0_1.wav has 1 channel, so no channel 1", channel="1")
        refuses("the agent cannot be on channel 1", agent_channel=1)
        make_stereo(data, "call2_1.wav")
        refuses(r"call2_1.wav has 1 channel, so no channel 1", channel="agent", agent_channel=1)

    def test_a_channel_in_the_csv_must_be_there_and_is_not_overruled(self, refuses, data):
        table = pd.read_csv(data / "train.csv").rename(columns={"phone": "recording", "Audio_id": "audio"})
        table.assign(channel="").to_csv(data / "segments.csv", index=False)
        table.assign(channel=["0"] * 5 + ["1"]).to_csv(data / "segments.csv", index=False)
        refuses("segments.csv row 7: .* has 1 channel, so no channel 1", dataset="generic")
        refuses("segments.csv row 2: names a channel of its own", dataset="generic", channel="0")

    def test_settings_that_make_no_sense(self):
        for match, fields in (
            ("channel must be mean, agent, customer or a number", {"channel": "left"}),
            ("channel agent needs --agent-channel", {"channel": "agent"}),
            ("agent channel must be 0 or 1", {"agent_channel": 2}),
        ):
            with pytest.raises(SettingError, match=match):
                ExtractConfig(**fields)
