"""An encoder hears the rate it was trained at, unless the paper or the user says otherwise, and that is said aloud."""

from __future__ import annotations

import json
import shutil

import pytest
from msmt.errors import EncoderError
from msmt.extract.config import ExtractConfig
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.doctor import examine
from msmt.extract.encoders import AudioModel
from msmt.extract.pipeline import extract
from msmt.extract.plan import make_plan
from msmt.extract.rate import TrainedRate, choose_rate
from msmt.features.info import describe, table_of
from msmt.features.opening import open_store
from msmt.features.spec import FeatureSpec
from msmt.tests.extract.made import save_encoders, write_calls


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Folders of encoders, of which the one for audio says that it was trained at 11,025 Hz."""
    audio, text = save_encoders(tmp_path_factory.mktemp("encoders"))
    (audio / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 11025}))
    return audio, text


@pytest.fixture
def data(tmp_path):
    """One corpus in both layouts."""
    table = write_calls(tmp_path / "data")
    renamed = table.rename(columns={"phone": "recording", "Audio_id": "audio", "Segment_number": "segment"})
    renamed.to_csv(tmp_path / "data/segments.csv", index=False)
    return tmp_path / "data"


def settings(encoders, **changes) -> ExtractConfig:
    fields = {"max_seconds": 1.5, "max_tokens": 30, "precision": "float32", **changes}
    return ExtractConfig(*map(str, encoders), **fields)


def run(dataset, data, store, config) -> list[str]:
    """Extract, and what was said."""
    said: list[str] = []
    extract(load_corpus(dataset, data), store, config, say=said.append)
    return said


def rates(lines) -> list[str]:
    return [line for line in lines if line.startswith("RATE: ")]


def test_a_generic_corpus_is_heard_at_the_encoders_own_rate_without_a_word(tmp_path, data, encoders):
    said = run("generic", data, tmp_path / "a.zarr", settings(encoders))
    spec = open_store(tmp_path / "a.zarr").specs["hubert"]
    assert (spec.sample_rate, spec.encoder_rate) == (11025, 11025) and spec.max_samples == round(1.5 * 11025)
    assert not rates(said)


def test_marketcalls_is_heard_as_in_the_paper_and_every_command_says_so(tmp_path, data, encoders):
    store, config = tmp_path / "a.zarr", settings(encoders)
    corpus = load_corpus("marketcalls", data)
    line = "RATE: the encoder of hubert was trained at 11,025 Hz and is given 8,000 Hz, as the paper does"
    assert line in make_plan(corpus, store, config).lines()
    assert rates(run("marketcalls", data, store, config)) == [line]
    said: list[str] = []
    examine(corpus, store, config, say=said.append)
    assert said == [line.replace("as the paper does", "as hubert of the store was made")]
    assert open_store(store).specs["hubert"].sample_rate == 8000
    shown = table_of(describe(open_store(store)))
    assert "RATE: the encoder of hubert was trained at 11,025 Hz and was given 8,000 Hz" in shown


def test_the_option_wins_and_is_said_too(tmp_path, data, encoders):
    said = run("marketcalls", data, tmp_path / "a.zarr", settings(encoders, sample_rate=11025))
    assert open_store(tmp_path / "a.zarr").specs["hubert"].sample_rate == 11025 and not rates(said)
    said = run("generic", data, tmp_path / "b.zarr", settings(encoders, sample_rate=8000))
    assert rates(said) == [
        "RATE: the encoder of hubert was trained at 11,025 Hz and is given 8,000 Hz, as --sample-rate says"
    ]


def test_an_encoder_that_does_not_say_its_rate_is_known_by_its_class(tmp_path, data, encoders):
    audio = tmp_path / "silent"
    shutil.copytree(encoders[0], audio)
    (audio / "preprocessor_config.json").unlink()
    assert AudioModel.load(str(audio)).rate == TrainedRate(16_000, is_stated=False)
    said = run("generic", data, tmp_path / "a.zarr", settings((audio, encoders[1])))
    assert open_store(tmp_path / "a.zarr").specs["hubert"].sample_rate == 16_000
    assert any("is given 16,000 Hz, at which it was trained (by its class, HubertModel" in line for line in said)


def test_a_store_made_at_another_rate_keeps_it_until_told_otherwise(tmp_path, data, encoders):
    store = tmp_path / "a.zarr"
    run("generic", data, store, settings(encoders, sample_rate=8000))
    before = open_store(store).fingerprint()
    said = run("generic", data, store, settings(encoders))
    assert open_store(store).fingerprint() == before
    (line,) = rates(said)
    assert "is given 8,000 Hz, as hubert of the store was made; --sample-rate 11025" in line
    run("generic", data, store, settings(encoders, overwrite=True))
    assert open_store(store).specs["hubert"].sample_rate == 11025


def test_an_encoder_of_no_known_rate_needs_the_option():
    unknown = TrainedRate(None, is_stated=False)
    with pytest.raises(EncoderError, match="name the rate with --sample-rate"):
        choose_rate(0, "generic", "somebody/encoder", unknown, {}, ("new",))
    assert choose_rate(8000, "generic", "somebody/encoder", unknown, {}, ("new",)).hertz == 8000
    assert choose_rate(0, "marketcalls", "somebody/encoder", unknown, {}, ("new",)).hertz == 8000


@pytest.mark.parametrize("content", ["{", "[]", '{"sampling_rate": "fast"}', '{"sampling_rate": true}'])
def test_a_damaged_statement_of_the_rate_is_an_error_that_names_it(tmp_path, encoders, content):
    audio = tmp_path / "audio"
    shutil.copytree(encoders[0], audio)
    (audio / "preprocessor_config.json").write_text(content)
    with pytest.raises(EncoderError, match="preprocessor_config.json"):
        AudioModel.load(str(audio))


def test_the_encoders_rate_does_not_change_what_a_feature_is():
    plain = FeatureSpec("audio", "a", "SomeModel", "abc", width=16, max_rows=99, sample_rate=8000)
    told = FeatureSpec("audio", "a", "SomeModel", "abc", width=16, max_rows=99, sample_rate=8000, encoder_rate=16_000)
    assert told.fingerprint == plain.fingerprint and not told.differences(plain)
    assert "encoder_rate" not in plain.to_json() and FeatureSpec.from_json(told.to_json()) == told
    assert told.is_at_another_rate and not plain.is_at_another_rate
    # A store made before that was said is known by the class of its encoder.
    assert FeatureSpec("audio", "a", "HubertModel", "abc", width=16, max_rows=99, sample_rate=8000).is_at_another_rate
