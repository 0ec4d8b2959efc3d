"""Audio or text alone is enough: nothing of the other is read, loaded, or asked for."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest
from msmt.errors import CorpusError, SettingError
from msmt.extract.config import ExtractConfig
from msmt.extract.corpora.config import GenericOptions
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.doctor import examine
from msmt.extract.pipeline import extract
from msmt.extract.plan import make_plan
from msmt.extract.sound.views import ViewOptions
from msmt.features.opening import open_store
from msmt.features.rows import MISSING
from msmt.features.segments import ORIGINAL
from msmt.tests.extract.made import save_encoders, write_calls

NOWHERE = "/nowhere/encoder"


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    return save_encoders(tmp_path_factory.mktemp("encoders"))


@pytest.fixture
def data(tmp_path):
    """One corpus in both layouts."""
    table = write_calls(tmp_path / "data")
    renamed = table.rename(columns={"phone": "recording", "Audio_id": "audio", "Segment_number": "segment"})
    renamed.to_csv(tmp_path / "data/segments.csv", index=False)
    return tmp_path / "data"


def drop(data, *columns) -> None:
    """Take columns out of the tables of both layouts."""
    for file in data.glob("*.csv"):
        table = pd.read_csv(file)
        table.drop(columns=[name for name in columns if name in table]).to_csv(file, index=False)


def settings(audio, text, modalities, **changes) -> ExtractConfig:
    fields = {"max_seconds": 1.5, "max_tokens": 30, "precision": "float32", **changes}
    return ExtractConfig(str(audio), str(text), modalities=modalities, **fields)


@pytest.mark.parametrize("dataset", ["generic", "marketcalls"])
class TestEitherLayout:
    def test_audio_alone_needs_no_text_and_no_text_encoder(self, dataset, tmp_path, data, encoders):
        drop(data, "text")
        config = settings(encoders[0], NOWHERE, "audio")
        corpus = load_corpus(dataset, data, modalities="audio")
        assert not any("transcript" in note for note in corpus.notes)
        assert [one.feature for one in make_plan(corpus, tmp_path / "a.zarr", config).features] == ["hubert"]
        summary = extract(corpus, tmp_path / "a.zarr", config)
        store = open_store(tmp_path / "a.zarr")
        assert list(store.specs) == ["hubert"] and summary.computed == {"hubert": 18} and summary.empty_texts == 0
        assert (store.segments["text"] == "").all()
        assert {one.feature for one in examine(corpus, store.path, config)} == {"hubert"}

    def test_text_alone_needs_no_audio_and_no_audio_encoder(self, dataset, tmp_path, data, encoders):
        drop(data, "audio", "Audio_id")
        shutil.rmtree(data / "audio")
        config = settings(NOWHERE, encoders[1], "text")
        corpus = load_corpus(dataset, data, modalities="text")
        assert corpus.table["segment_id"].is_unique
        plan = make_plan(corpus, tmp_path / "a.zarr", config)
        assert [one.feature for one in plan.features] == ["roberta"] and "hours" not in plan.lines()[0]
        extract(corpus, tmp_path / "a.zarr", config)
        store = open_store(tmp_path / "a.zarr")
        assert list(store.specs) == ["roberta"] and (store.lengths("roberta") != MISSING).all()
        assert {one.feature for one in examine(corpus, store.path, config)} == {"roberta"}

    def test_text_alone_keeps_the_names_that_audio_gives_the_segments(self, dataset, tmp_path, data, encoders):
        both = load_corpus(dataset, data).table["segment_id"].tolist()
        shutil.rmtree(data / "audio")
        assert load_corpus(dataset, data, modalities="text").table["segment_id"].tolist() == both

    def test_the_other_modality_can_be_added_later(self, dataset, tmp_path, data, encoders):
        store = tmp_path / "a.zarr"
        extract(load_corpus(dataset, data, modalities="text"), store, settings(NOWHERE, encoders[1], "text"))
        summary = extract(load_corpus(dataset, data), store, settings(*encoders, "both"))
        assert summary.computed == {"hubert": 18} and set(open_store(store).specs) == {"hubert", "roberta"}

    def test_both_still_need_both(self, dataset, tmp_path, data):
        drop(data, "text")
        with pytest.raises(CorpusError, match="column text missing"):
            load_corpus(dataset, data)


def test_without_recordings_each_row_is_one_even_without_audio(data):
    drop(data, "audio", "recording", "segment")
    table = load_corpus("generic", data, GenericOptions(), modalities="text").table
    assert table["segment_id"].is_unique and table["recording_id"].nunique() == len(table)


@pytest.mark.parametrize(("modalities", "view", "what"), [("text", "noise", "sound"), ("audio", "homophone", "text")])
def test_copies_that_alter_nothing_of_what_is_made_are_refused(tmp_path, data, encoders, modalities, view, what):
    corpus = load_corpus("marketcalls", data, modalities=modalities)
    with pytest.raises(SettingError, match=f"{view} alters the {what}, of which --modalities {modalities}"):
        extract(corpus, tmp_path / "a.zarr", settings(*encoders, modalities), views=ViewOptions(augment=view))


def test_views_of_the_one_modality_are_made(tmp_path, data, encoders):
    corpus = load_corpus("marketcalls", data, modalities="audio")
    extract(corpus, tmp_path / "a.zarr", settings(encoders[0], NOWHERE, "audio"), views=ViewOptions(augment="noise"))
    store = open_store(tmp_path / "a.zarr")
    assert (store.segments["view"] != ORIGINAL).sum() == 12 and (store.lengths("hubert") != MISSING).all()
