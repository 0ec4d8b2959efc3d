"""What holds for every kind of feature alike. A new kind is one more line of EXTRACTORS."""

from __future__ import annotations

import dataclasses
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from msmt.errors import AudioError
from msmt.extract.batches import as_stored, problem_of
from msmt.extract.config import ExtractConfig
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.digests import file_digest
from msmt.extract.extractors.contract import Extractor, Material
from msmt.extract.extractors.registry import KINDS
from msmt.extract.layouts.checkpoints import write_care, write_openl3
from msmt.extract.making import made_extractors
from msmt.extract.pipeline import extract
from msmt.extract.plan import make_plan
from msmt.extract.sound.views import ViewOptions
from msmt.features.opening import open_store
from msmt.features.rows import MISSING
from msmt.features.segments import ORIGINAL, REMOVED
from msmt.features.spec import FeatureSpec
from msmt.tests.extract import assertions, counting
from msmt.tests.extract.made import save_encoders, speech_like, write_calls

EXTRACTORS = {  # by kind, and what is special about it behind a comma: options, and a change that makes other features
    "speech": ("encoder={audio},seconds=1.5", "seconds=1.2"),
    "speech, vectors": ("encoder={audio},seconds=1.5,layers=[0,1,-1],pool=mean", "seconds=1.2"),
    "speech, layers": ("encoder={audio},seconds=1.5,layers=[0,1,-1]", "seconds=1.2"),
    "text": ("encoder={text},tokens=30", "tokens=20"),
    "text, a vector of two layers": ("encoder={text},tokens=30,layers=[-2,-1],join=true,pool=cls", "tokens=20"),
    "text, turns": ("encoder={text},tokens=30,turns=2", "tokens=20"),
    "kwrt": ("encoder={text},tokens=30,conceptnet={known},language=zh,function_words={words}", "tokens=20"),
    "kwrt, turns": (
        "encoder={text},tokens=30,turns=2,speakers=true,conceptnet={known},language=zh,function_words={words}",
        "turns=3",
    ),
    "mel": ("bands=16,rate=8000,seconds=1.5", "bands=12"),
    "mel, patches": ("bands=16,patch=4,rate=8000,seconds=1.5", "patch=8"),
    "openl3": ("weights={openl3},representation=mel128,seconds=0.6,pool=none", "hop=0.05"),
    "care": ("weights={care},seconds=1.5", "seconds=1.2"),
    "opensmile": ("set=eGeMAPSv02,rate=8000,seconds=1.5", "level=lld"),
    "counting": ("rate=8000,seconds=1.5", "factor=2"),  # two features of one pass, one of them a vector
}
BOTH_FORMATS = pytest.mark.parametrize("suffix", [".zarr", ".h5"])


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Where each encoder is, and knowledge of words, by what options call it."""
    folder = tmp_path_factory.mktemp("encoders")
    audio, text = save_encoders(folder)
    openl3, care = write_openl3(folder, seed=0, representation="mel128"), write_care(folder, seed=0, layers=2)
    known = assertions.write(
        folder / "known.csv", [("IsA", "/c/zh/你", "/c/zh/好"), ("Causes", "/c/zh/yes", "/c/zh/no")]
    )
    (folder / "words.txt").write_text("the a")
    files = {"known": known, "words": folder / "words.txt"}
    return {"audio": audio, "text": text, "openl3": openl3, "care": care, **files}


@pytest.fixture
def data(tmp_path):
    write_calls(tmp_path / "calls", recordings=5)
    return tmp_path / "calls"


def content(store: Path) -> list[bytes]:
    files = [store] if store.is_file() else [file for file in sorted(store.rglob("*")) if file.is_file()]
    return [file.read_bytes() for file in files]


def test_every_kind_is_tried_here():
    assert set(KINDS) <= set(EXTRACTORS)


@pytest.mark.parametrize("entry", EXTRACTORS)
class TestExtractor:
    @pytest.fixture(autouse=True)
    def prepared(self, entry, encoders, monkeypatch):
        counting.known(monkeypatch)
        self.kind, self.encoders = entry.partition(",")[0], encoders
        self.options, self.other = EXTRACTORS[entry]

    @property
    def is_audio(self) -> bool:
        return KINDS[self.kind].modality == "audio"

    def config(self, changes: str = "", **settings) -> ExtractConfig:
        words = re.split(r",(?=\w+=)", self.options.format(**self.encoders))
        options = dict(part.split("=", 1) for part in words)
        options |= dict(part.split("=", 1) for part in changes.split(",") if part)
        word = f"it={self.kind}:" + ",".join(f"{name}={value}" for name, value in options.items())
        return ExtractConfig(feature=(word,), precision="float32", **settings)

    def extractor(self, changes: str = "", recipes=None) -> Extractor:
        (made,) = made_extractors(self.config(changes), Path("nowhere.zarr"), recipes=recipes)
        return made

    def material(self, data, **columns) -> Material:
        table = load_corpus("marketcalls", data).table.assign(**columns)
        return Material(data, table, lambda path: file_digest(data / path))

    def loaded(self, extractor, material, rows):
        """As processes load them."""
        loaded = []
        for row in rows:
            function, arguments = pickle.loads(pickle.dumps(extractor.job(material, row)))
            loaded.append(pickle.loads(pickle.dumps(function(*arguments))))
        return loaded

    def run(self, data, store, **settings):
        options = {name: settings.pop(name) for name in ("views",) if name in settings}
        return extract(load_corpus("marketcalls", data), store, self.config(**settings), **options)

    def encoded(self, monkeypatch, stop_after: int = 10**9) -> list:
        """What the extractor was asked to encode, from now on; it is interrupted after so many segments."""
        cls, given = KINDS[self.kind].load(), []
        encode = cls.encode

        def counted(extractor, batch):
            given.extend(batch)
            if len(given) > stop_after:
                raise KeyboardInterrupt
            return encode(extractor, batch)

        monkeypatch.setattr(cls, "encode", counted)
        return given

    def test_its_specs_say_all_and_come_back_from_json(self):
        extractor = self.extractor()
        assert extractor.specs and all(name.startswith("it") for name in extractor.specs)
        for name, spec in extractor.specs.items():
            again = FeatureSpec.from_json(json.loads(json.dumps(spec.to_json())))
            assert again == spec and again.fingerprint == spec.fingerprint, name
            assert spec.kind == self.kind and spec.modality == KINDS[self.kind].modality
        others = self.extractor(self.other).specs.values()
        assert not {spec.fingerprint for spec in others} & {spec.fingerprint for spec in extractor.specs.values()}

    def test_its_options_have_a_sentence_each_and_fit_a_file(self):
        from msmt.extract.kinds import options_of_kind

        for option in options_of_kind(self.kind):
            assert option.help and option.default is not dataclasses.MISSING, option.name
            assert type(option.default) in (bool, int, float, str, tuple), option.name

    def test_an_identity_changes_when_what_a_row_is_made_from_does(self, data):
        extractor, table = self.extractor(), self.material(data).table
        before = extractor.identities(self.material(data))
        again = extractor.identities(self.material(data))
        for name, identity in before.items():
            assert identity.dtype == np.uint64 and identity.all() and (again[name] == identity).all()
        changes = {
            "start": np.where(table.index == 3, 0.1, table["start"]),
            "channel": np.where(table.index == 3, 0, table["channel"]),
            "text": np.where(table.index == 3, "yes yes", table["text"]),
            "speaker": table["speaker"],
        }
        of_audio = {"start", "channel"}
        for column, values in changes.items():
            matters = (column in of_audio) == self.is_audio and column != "speaker"
            for name, identity in extractor.identities(self.material(data, **{column: values})).items():
                changed = np.flatnonzero(identity != before[name])
                assert (3 in changed) == matters, (name, column)
                assert set(changed) <= {3, 4, 5}, (name, column)  # those behind it may have seen it, none before

    def test_an_identity_is_of_the_bytes_of_its_own_file(self, data):
        extractor, material = self.extractor(), self.material(data)
        before = extractor.identities(material)
        soundfile.write(data / material.table["audio"].iloc[2], speech_like(0.8, seed=5), 8000)
        for name, identity in extractor.identities(self.material(data)).items():
            assert np.flatnonzero(identity != before[name]).tolist() == ([2] if self.is_audio else [])

    def test_an_identity_is_of_the_spec_and_nothing_for_removed_rows(self, data):
        material = self.material(data)
        before = next(iter(self.extractor().identities(material).values()))
        after = next(iter(self.extractor(self.other).identities(material).values()))
        assert not set(before.tolist()) & set(after.tolist())
        gone = np.where(material.table.index == 3, REMOVED, material.table["split"])
        for name, identity in self.extractor().identities(self.material(data, split=gone)).items():
            assert identity[3] == 0 and (np.delete(identity, 3) != 0).all(), name

    def test_a_batch_gives_what_each_gives_alone_and_by_the_definition(self, data):
        extractor, material = self.extractor(), self.material(data)
        batch = self.loaded(extractor, material, range(6))
        for one, together in zip(batch, extractor.encode(batch), strict=True):
            (alone,), defined = extractor.encode([one]), extractor.define(one)
            assert set(together) == set(alone) == set(defined) == set(extractor.specs)
            for name, spec in extractor.specs.items():
                values = together[name]
                assert values.dtype == torch.float32 and values.shape[1] == spec.width and not values.isnan().any()
                assert problem_of(as_stored(values, spec), spec, one.rows) is None
                scale = 1e-4 * max(1.0, float(values.abs().max()))
                assert torch.allclose(values, alone[name], atol=scale, rtol=0)
                assert torch.allclose(values, defined[name], atol=scale, rtol=0)

    def test_as_many_rows_come_as_were_expected(self, data):
        gone = np.arange(10) == 4
        table = self.material(data).table
        material = self.material(data, split=np.where(gone, REMOVED, table["split"]))
        extractor = self.extractor()
        expected = extractor.expected_rows(material)
        rows = [row for row in range(6) if row != 4]
        for row, made in zip(rows, extractor.encode(self.loaded(extractor, material, rows)), strict=True):
            for name, values in made.items():
                assert abs(len(values) - expected[name][row]) <= 1 and len(values) <= extractor.specs[name].max_rows
        assert extractor.cut_rows(material).shape == (10,)

    @BOTH_FORMATS
    def test_an_interrupted_extraction_goes_on_to_the_same_bytes(self, suffix, tmp_path, data, monkeypatch):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        write_calls(data, recordings=20)  # two blocks
        whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
        summary = self.run(data, whole)
        assert all(summary.computed[work.feature] == 40 for work in summary.works) and not summary.failures
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            self.encoded(patch, stop_after=35)
            self.run(data, cut)
        self.run(data, cut)
        assert content(cut) == content(whole)
        before = content(whole)
        assert self.run(data, whole).computed == {} and content(whole) == before

    def test_views_of_its_modality_are_made_and_others_are_copied(self, tmp_path, data):
        view = "noise" if self.is_audio else "homophone"
        table = pd.read_csv(data / "train.csv").assign(text="你好我要买不贵谢")
        table.to_csv(data / "train.csv", index=False)
        options = ViewOptions(augment=view, homophone_rate=1.0, homophone_tones="ignore")
        self.run(data, tmp_path / "a.zarr", views=options)
        store = open_store(tmp_path / "a.zarr")
        altered = store.segments[store.segments["view"] == view]
        assert len(altered) == 6
        for name in store.specs:
            assert (store.lengths(name) != MISSING).all() and set(store.specs[name].views) == {view}
            for row, segment in altered.iterrows():
                same = (store.segments["segment_id"] == segment["segment_id"]) & (store.segments["view"] == ORIGINAL)
                assert not np.array_equal(store.read(name, row), store.read(name, int(np.flatnonzero(same)[0])))

    def test_what_is_there_twice_is_computed_once(self, tmp_path, data, monkeypatch):
        sound = (data / "audio/call0_1.wav").read_bytes()
        for split in ("train", "val", "test"):
            table = pd.read_csv(data / f"{split}.csv").assign(text="hello yes")
            table.to_csv(data / f"{split}.csv", index=False)
            for name in table["Audio_id"]:
                (data / "audio" / name).write_bytes(sound)
        given = self.encoded(monkeypatch)
        summary = self.run(data, tmp_path / "a.zarr", allow_shared_audio=True)
        # Where the turns before are seen, a recording's second segment is another input than its first.
        assert len(given) <= 2 and all(summary.copied[work.feature] >= 8 for work in summary.works)
        assert all(summary.computed[work.feature] == 10 for work in summary.works)

    def test_audio_that_cannot_be_used_is_listed_and_the_rest_is_made(self, tmp_path, data):
        (data / "audio/call1_2.wav").write_bytes(b"not audio at all, just bytes" * 9)
        summary = self.run(data, tmp_path / "a.zarr", max_failures="1")
        store = open_store(tmp_path / "a.zarr")
        missing = {name: int((store.lengths(name) == MISSING).sum()) for name in store.specs}
        assert set(missing.values()) == {1 if self.is_audio else 0}
        assert [one.segment_id for one in summary.failures] == (["call1_2"] if self.is_audio else [])
        assert all("is not audio that can be decoded" in one.reason and not one.feature for one in summary.failures)

    def test_loading_a_file_that_is_not_there_returns_the_reason(self, data):
        if self.is_audio:
            material = self.material(data)
            (data / material.table["audio"].iloc[0]).unlink()
            (got,) = self.loaded(self.extractor(), material, [0])
            assert isinstance(got, AudioError) and "no such file" in str(got)

    def test_the_plan_counts_what_the_extraction_makes(self, tmp_path, data):
        plan = make_plan(load_corpus("marketcalls", data), tmp_path / "a.zarr", self.config())
        self.run(data, tmp_path / "a.zarr")
        store = open_store(tmp_path / "a.zarr")
        assert [one.feature for one in plan.features] == list(store.specs)
        for one in plan.features:
            made = int(store.lengths(one.feature).sum())
            assert one.missing == 10 and abs(one.rows_to_compute - made) <= 10 and one.seconds > 0
            assert one.bytes_on_disk >= made * store.specs[one.feature].row_bytes * 0.9
