"""Features are asked for by name, in a file or in words, and whatever makes no sense is refused before anything is made."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from msmt.errors import EncoderError, MsmtError, SettingError, SpecMismatchError
from msmt.extract.config import ExtractConfig
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.doctor import examine
from msmt.extract.failures import failures_path
from msmt.extract.kinds import costs_of, lines_of_kinds
from msmt.extract.making import made_extractors
from msmt.extract.pipeline import extract
from msmt.extract.plan import make_plan
from msmt.extract.several import extract_on_devices
from msmt.extract.sound.silence import SilenceOptions
from msmt.extract.sound.views import ViewOptions
from msmt.features.opening import open_store
from msmt.features.rows import MISSING
from msmt.tests.extract import counting
from msmt.tests.extract.made import save_encoders, write_calls


@pytest.fixture(autouse=True)
def kind(monkeypatch):
    counting.known(monkeypatch)


@pytest.fixture
def data(tmp_path):
    write_calls(tmp_path / "calls", recordings=5)
    return tmp_path / "calls"


def asked(*words, **settings) -> ExtractConfig:
    return ExtractConfig(feature=words, precision="float32", **settings)


def in_file(tmp_path, text, **settings) -> ExtractConfig:
    path = tmp_path / "features.yaml"
    path.write_text(text)
    return ExtractConfig(features=str(path), precision="float32", **settings)


def specs(config, tmp_path, silence=SilenceOptions()) -> dict:  # noqa: B008  frozen
    return made_extractors(config, tmp_path / "none.zarr", silence).specs


def run(data, store, config, **options):
    return extract(load_corpus("marketcalls", data, modalities=config.made_from), store, config, **options)


def test_a_file_and_words_mean_the_same(tmp_path):
    text = """
    features:
      one:   {kind: counting, rate: 8000, factor: 2.5, numbers: [1, 2], channel: 0}
      bands: {kind: mel, bands: 16, hop: 0.02}
    """
    words = ("one=counting:rate=8000,factor=2.5,numbers=[1, 2],channel=0", "bands=mel:bands=16,hop=0.02")
    from_file = specs(in_file(tmp_path, text), tmp_path)
    assert from_file == specs(asked(*words), tmp_path)
    assert list(from_file) == ["one-frames", "one-vector", "bands"]
    assert from_file["one-vector"].options["factor"] == 2.5 and from_file["bands"].width == 16


def test_options_of_the_extraction_hold_for_features_that_have_no_own(tmp_path):
    config = asked("a=counting", "b=counting:seconds=2,channel=mean,silence=keep", max_seconds=1.0, sample_rate=8000)
    made = specs(config, tmp_path, SilenceOptions("remove", 0.5))
    assert made["a-vector"].max_samples == 8000 and made["a-vector"].silence["threshold"] == 0.5
    assert made["b-vector"].max_samples == 16_000 and made["b-vector"].silence is None
    assert specs(asked("a=counting", channel="1"), tmp_path)["a-vector"].channel == 1


def test_features_are_added_to_a_store_and_what_is_there_is_not_touched(tmp_path, data):
    store, encoders = tmp_path / "a.zarr", save_encoders(tmp_path)
    usual = ExtractConfig(*map(str, encoders), max_seconds=1.5, max_tokens=30, precision="float32")
    run(data, store, usual)
    before = {file: file.read_bytes() for file in store.rglob("features/c/**/*") if file.is_file()}
    segments, old = open_store(store).segments, open_store(store).specs
    summary = run(data, store, asked("one=counting:rate=8000", "bands=mel:bands=8"))
    assert summary.computed == {"one-frames": 10, "one-vector": 10, "bands": 10}
    after = open_store(store)
    assert list(after.specs) == ["hubert", "roberta", "one-frames", "one-vector", "bands"]
    assert {name: after.specs[name] for name in old} == old and after.segments.equals(segments)
    assert all(file.read_bytes() == content for file, content in before.items()) and before
    assert run(data, store, usual).computed == {}


def test_a_pass_computes_a_row_once_and_commits_what_each_feature_lacks(tmp_path, data, monkeypatch):
    store, config = tmp_path / "a.zarr", asked("one=counting:rate=8000")
    encode, given = counting.Counting.encode, []

    def counted(self, batch):
        given.extend(batch)
        return encode(self, batch)

    monkeypatch.setattr(counting.Counting, "encode", counted)
    run(data, store, config)
    assert len(given) == 10
    from msmt.features.opening import writer_for

    with writer_for(store) as writer:
        writer.store = open_store(store)
        writer.commit("one-frames", 0, {1: None, 2: None})
        writer.commit("one-vector", 0, {2: None, 3: None})
        writer.finish()
    given.clear()
    summary = run(data, store, config)
    assert len(given) == 3 and summary.computed == {"one-frames": 2, "one-vector": 2}


def test_a_value_that_the_type_cannot_hold_is_a_failure_of_that_feature_alone(tmp_path, data):
    store = tmp_path / "a.zarr"
    summary = run(data, store, asked("one=counting:rate=8000,factor=1000000", max_failures="100%"))
    there = open_store(store)
    assert (there.lengths("one-frames") == MISSING).all() and (there.lengths("one-vector") == 1).all()
    assert all(np.isfinite(there.read("one-vector", row)).all() for row in range(10))
    with open(failures_path(store), newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10 == len(summary.failures)
    for row in rows:
        assert row["feature"] == "one-frames" and row["reason"].endswith("not finite numbers in float16")
    assert "10 segments lack features, listed in" in "\n".join(summary.lines())


def test_text_that_no_type_can_hold_is_a_failure_too(tmp_path, data, monkeypatch):
    from msmt.extract.extractors.text import Text

    encoded = Text.encode

    def broken(self, batch):
        return [{name: values * 1e9 for name, values in each.items()} for each in encoded(self, batch)]

    monkeypatch.setattr(Text, "encode", broken)
    encoder = save_encoders(tmp_path)[1]
    summary = run(data, tmp_path / "a.zarr", asked(f"words=text:encoder={encoder},tokens=30", max_failures="100%"))
    assert {one.feature for one in summary.failures} == {"words"} and len(summary.failures) == 10


def test_plan_and_doctor_speak_of_every_feature(tmp_path, data):
    store, config = tmp_path / "a.zarr", asked("one=counting:rate=8000", "bands=mel:bands=8,rate=8000")
    corpus = load_corpus("marketcalls", data, modalities="audio")
    plan = make_plan(corpus, store, config)
    assert [one.feature for one in plan.features] == ["one-frames", "one-vector", "bands"]
    assert all(one.missing == 10 and one.bytes_on_disk > 0 for one in plan.features)
    run(data, store, config)
    distances = examine(corpus, store, config)
    ways = {(one.feature, one.way) for one in distances}
    assert ("one-vector", "in a.zarr") in ways and ("one-vector", "the same, rounded to float16") not in ways
    assert ("bands", "the same, rounded to float16") in ways and max(one.largest for one in distances) < 0.02


def test_what_features_cost_is_told_by_their_rows(tmp_path, data):
    store = tmp_path / "a.zarr"
    run(data, store, asked("one=counting:rate=8000", "bands=mel:bands=8,rate=8000"))
    for folder in (data, tmp_path / "nowhere"):  # with the files' lengths, and without
        costs = {one.feature: one for one in costs_of(open_store(store), folder)}
        assert costs["bands"].bytes_per_hour == pytest.approx(8 * 2 * 100 * 3600, rel=0.05)
        assert costs["one-frames"].bytes_per_hour == pytest.approx(2 * 2 * 10 * 3600, rel=0.1)
        assert costs["one-vector"].values == "2 float32 a vector" and 0 < costs["one-vector"].hours < 1
    shown = "\n".join(lines_of_kinds())
    for word in ("speech: ", "opensmile: ", "bands = 128", "an hour of audio takes about 92.2 MB"):
        assert word in shown


BAD_FILES = {
    "": "must hold 'features:'",
    "[]": "must hold 'features:'",
    "mel: {kind: mel}": "must hold 'features:'",
    "features:": "features must hold at least one",
    "features: [mel]": "features must hold at least one",
    "features: {mel: mel}": "feature 'mel': must be options by name with its kind",
    "features: {mel: {bands: 8}}": "feature 'mel': must be options by name with its kind",
    "features: {mel: {kind: mell}}": "feature 'mel': there is no kind 'mell'; choose from speech, text, kwrt, mel",
    "features: {mel: {kind: [mel]}}": "feature 'mel': there is no kind",
    "features: {mel: {kind: mel, band: 8}}": "feature 'mel': kind mel has no option 'band'; its options are",
    "features: {mel: {kind: mel, bands: 8.5}}": "feature 'mel': bands must be of type int, but is 8.5",
    "features: {mel: {kind: mel, bands: no}}": "feature 'mel': bands must be of type int",
    "features: {mel: {kind: mel, bands: }}": "feature 'mel': bands is blank",
    "features: {mel: {kind: mel, bands: [8]}}": "feature 'mel': bands must be one value",
    "features: {mel: {kind: mel, bands: 0}}": "feature 'mel': bands must be at least 1",
    "features: {mel: {kind: mel, channel: left}}": "feature 'mel': channel must be mean, agent",
    "features: {a: {kind: mel}, a: {kind: mel}}": "'a' stands there twice",
    "features: {'a b': {kind: mel}}": "a feature's name must be up to 100 letters",
    "features: {segments: {kind: mel}}": "a feature's name must be",
    "features: {x: {kind: opensmile, set: eGeMAPS99}}": "feature 'x': .*eGeMAPS99",
}


@pytest.mark.parametrize(("text", "match"), BAD_FILES.items())
def test_a_file_that_makes_no_sense_is_refused_in_one_line_that_names_it(tmp_path, text, match):
    with pytest.raises(SettingError, match=rf"features\.yaml: .*{match}"):
        specs(in_file(tmp_path, text), tmp_path)


BAD_WORDS = {
    "mel": "must be NAME=KIND",
    "=mel": "must be NAME=KIND",
    "a=": "must be NAME=KIND",
    "a=mell": "--feature 'a': there is no kind 'mell'",
    "a=mel:bands": "options must be key=value",
    "a=mel:bands=8,bands=9": "'bands' stands there twice",
    "a=mel:bands=[8": "brackets of .* do not match",
    "a=mel:bands=8]": "brackets of .* do not match",
    "a=mel:bands=eight": "--feature 'a': bands must be of type int",
    "a b=mel": "a feature's name must be",
}


@pytest.mark.parametrize(("word", "match"), BAD_WORDS.items())
def test_a_word_that_makes_no_sense_is_refused(tmp_path, word, match):
    with pytest.raises(SettingError, match=match):
        specs(asked(word), tmp_path)


def test_several_devices_are_not_started_for_what_makes_no_sense(tmp_path, data):
    corpus = load_corpus("marketcalls", data)
    with pytest.raises(SettingError, match="--feature 'a': kind mel has no option 'bends'"):
        extract_on_devices("cpu,cpu", corpus, tmp_path / "a.zarr", asked("a=mel:bends=3"), ViewOptions(), ["x"])


def test_two_features_of_one_name_are_refused(tmp_path):
    with pytest.raises(SettingError, match="two features of this name"):
        asked("a=mel", "a=counting")
    with pytest.raises(SettingError, match="two features of this name, the other in .*features.yaml"):
        in_file(tmp_path, "features: {a: {kind: mel}}", feature=("a=mel",))
    with pytest.raises(SettingError, match="two features would be called a-vector"):
        specs(asked("a=counting", "a-vector=mel"), tmp_path)


def test_options_of_the_usual_two_do_not_go_with_named_features():
    for option in ("audio_encoder", "text_encoder", "audio_feature", "text_feature"):
        with pytest.raises(SettingError, match=f"leave out --{option.replace('_', '-')}"):
            asked("a=mel", **{option: "other"})
    with pytest.raises(SettingError, match="leave out --modalities"):
        asked("a=mel", modalities="audio")


@pytest.mark.parametrize("layers", ["[7]", "[-9]", "[1,1]"])
def test_a_layer_that_the_encoder_has_not_is_refused(tmp_path, layers):
    audio, text = save_encoders(tmp_path)
    for kind, encoder in (("speech", audio), ("text", text)):
        with pytest.raises(MsmtError, match="--feature 'a': .*layer"):
            specs(asked(f"a={kind}:encoder={encoder},layers={layers}"), tmp_path)


def test_an_encoder_that_is_none_names_its_feature(tmp_path):
    for kind in ("speech", "text"):
        match = "--feature 'a': /no/where: there is no such encoder folder; encoder wants a hub id or a folder"
        with pytest.raises(EncoderError, match=match):
            specs(asked(f"a={kind}:encoder=/no/where"), tmp_path)
    text = save_encoders(tmp_path)[1]
    with pytest.raises(EncoderError, match="takes 256 tokens at most, but tokens is 300"):
        specs(asked(f"a=text:encoder={text},tokens=300"), tmp_path)


def test_a_feature_that_is_there_and_made_otherwise_is_refused_until_told_to_overwrite(tmp_path, data):
    store = tmp_path / "a.zarr"
    run(data, store, asked("one=counting:rate=8000", "bands=mel:bands=8"))
    before = {file: file.read_bytes() for file in store.rglob("*") if file.is_file()}
    other = ("one=counting:rate=8000", "bands=mel:bands=9")
    with pytest.raises(SpecMismatchError, match=r"holds features made in another way \(bands: width 8, not 9"):
        run(data, store, asked(*other))
    assert before == {file: file.read_bytes() for file in store.rglob("*") if file.is_file()}
    summary = run(data, store, asked(*other, overwrite=True))
    assert summary.computed == {"bands": 10} and open_store(store).specs["bands"].width == 9


def test_a_channel_that_a_file_has_not_is_refused_for_each_feature(tmp_path, data):
    with pytest.raises(SettingError, match="has 1 channel, so no channel 1"):
        run(data, tmp_path / "a.zarr", asked("a=mel", "b=mel:channel=1"))
    assert not (tmp_path / "a.zarr").exists()
