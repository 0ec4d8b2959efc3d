"""Views are rows of the store like others: computed once, resumable, and never outside the training split."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import soundfile
import zarr
from msmt.errors import SettingError, SpecMismatchError, StoreError
from msmt.extract.config import ExtractConfig
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.encoders import AudioEncoder, TextEncoder
from msmt.extract.pipeline import extract
from msmt.extract.plan import make_plan
from msmt.extract.sound.views import ViewOptions
from msmt.features.copying import convert, verify
from msmt.features.opening import open_store
from msmt.features.rows import MISSING
from msmt.features.segments import ORIGINAL, REMOVED
from msmt.tests.extract.made import save_encoders, speech_like, write_calls

ALL = "noise,speed,mask,homophone"
SEGMENTS, TRAINING = 18, 12  # of the small corpus
BOTH = pytest.mark.parametrize("suffix", [".zarr", ".h5"])


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    return save_encoders(tmp_path_factory.mktemp("encoders"))


@pytest.fixture
def data(tmp_path):
    write_calls(tmp_path / "calls")
    return tmp_path / "calls"


@pytest.fixture
def run(encoders, data):
    """Extract the small corpus, or another, into a store with these views and settings."""
    audio, text = map(str, encoders)

    def extracted(store, augment="", config=None, data=data, **views):
        fields = {"max_seconds": 1.5, "max_tokens": 30, "precision": "float32", **(config or {})}
        settings = ExtractConfig(audio_encoder=audio, text_encoder=text, **fields)
        return extract(load_corpus("marketcalls", data), store, settings, views=ViewOptions(augment=augment, **views))

    return extracted


@pytest.fixture
def encoded(monkeypatch):
    """Counts what the encoders are given."""
    counts = {"audio": 0, "text": 0}
    for kind, encoder in (("audio", AudioEncoder), ("text", TextEncoder)):
        encode = encoder.encode

        def counted(self, batch, kind=kind, encode=encode):
            counts[kind] += len(batch)
            return encode(self, batch)

        monkeypatch.setattr(encoder, "encode", counted)
    return counts


def content(store: Path) -> list[bytes]:
    files = [store] if store.is_file() else [file for file in sorted(store.rglob("*")) if file.is_file()]
    return [file.read_bytes() for file in files]


def values(path: Path, views: tuple[str, ...] = ()) -> dict[tuple[str, str, str], np.ndarray]:
    """The values of every present row by feature, segment and view."""
    store = open_store(path)
    return {
        (name, segment["segment_id"], segment["view"]): store.read(name, row)
        for name in store.specs
        for row, segment in store.segments.iterrows()
        if segment["split"] != REMOVED and (not views or segment["view"] in views)
    }


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def identities(path: Path, feature: str) -> dict[tuple[str, str], int]:
    store = open_store(path)
    keys = zip(store.segments["segment_id"], store.segments["view"], strict=True)
    return dict(zip(keys, store.states(feature).identity.tolist(), strict=True))


def edit(data: Path, split: str, change) -> None:
    table = pd.read_csv(data / f"{split}.csv")
    change(table).to_csv(data / f"{split}.csv", index=False)


@BOTH
def test_every_view_of_the_training_split_and_of_no_other(suffix, tmp_path, run, encoded):
    path = tmp_path / f"a{suffix}"
    summary = run(path, ALL, copies=2)
    segments = open_store(path).segments
    views = segments[segments["view"] != ORIGINAL]
    assert set(views["split"]) == {"train"} and len(views) == 8 * TRAINING and len(segments) == SEGMENTS + len(views)
    assert (segments["view"] == ORIGINAL).sum() == SEGMENTS
    one = segments[segments["segment_id"] == "call0_1"]
    kinds = ("noise", "noise-2", "speed", "speed-2", "mask", "mask-2", "homophone", "homophone-2")
    assert one["view"].tolist() == [ORIGINAL, *kinds] and one.index.tolist() == list(range(9))
    for column in ("recording_id", "index", "split", "audio", "label_five"):
        assert one[column].nunique() == 1
    assert encoded["audio"] == SEGMENTS + 6 * TRAINING
    assert summary.copied["hubert"] == 2 * TRAINING and summary.computed["hubert"] == len(segments)
    assert verify(open_store(path)) == []
    tree = zarr.open_group(str(path), mode="r") if suffix == ".zarr" else h5py.File(path)
    spec, literal = tree["hubert"].attrs["spec"], tree["hubert/features"][7]
    recipes = (json.loads(spec) if isinstance(spec, str) else spec)["views"]
    assert set(recipes) == set(kinds[:6]) and recipes["speed-2"]["factors"] == [0.9, 1.1]
    store = open_store(path)
    assert set(store.recipes) == set(kinds)
    assert np.array_equal(literal[: store.lengths("hubert")[7]], store.read("hubert", 0))


def test_rows_of_a_view_of_the_text_have_the_identity_of_the_audio_and_the_reverse(tmp_path, run):
    path = tmp_path / "a.zarr"
    run(path, ALL)
    audio, text = identities(path, "hubert"), identities(path, "roberta")
    segments = open_store(path).segments
    texts = {(row["segment_id"], row["view"]): row["text"] for _, row in segments.iterrows()}
    for segment in {segment for segment, view in audio if view == "noise"}:
        assert audio[segment, "homophone"] == audio[segment, ORIGINAL]
        assert len({audio[segment, view] for view in (ORIGINAL, "noise", "speed", "mask")}) == 4
        assert {text[segment, view] for view in ("noise", "speed", "mask")} == {text[segment, ORIGINAL]}
        is_altered = texts[segment, "homophone"] != texts[segment, ORIGINAL]
        assert (text[segment, "homophone"] != text[segment, ORIGINAL]) == is_altered
        assert len(texts[segment, "homophone"]) == len(texts[segment, ORIGINAL])


def test_a_zarr_shard_holds_rows_of_equal_values_once(tmp_path, run):
    run(tmp_path / "plain.zarr")
    run(tmp_path / "a.zarr", "homophone")
    sizes = []
    for name in ("plain", "a"):
        store = open_store(tmp_path / f"{name}.zarr")
        frames = sum(-(-int(length) // store.head.features["hubert"].chunk_rows) for length in store.lengths("hubert"))
        sizes.append((sum(f.stat().st_size for f in (tmp_path / f"{name}.zarr/hubert/features/c").rglob("0")), frames))
    assert sizes[1][0] - sizes[0][0] < 1000 and sizes[1][1] > sizes[0][1]  # hardly more bytes, though more rows
    convert(open_store(tmp_path / "a.zarr"), tmp_path / "b.h5")
    convert(open_store(tmp_path / "b.h5"), tmp_path / "c.zarr")
    assert verify(open_store(tmp_path / "b.h5")) == verify(open_store(tmp_path / "a.zarr")) == []
    assert content(tmp_path / "c.zarr") == content(tmp_path / "a.zarr")
    shard = tmp_path / "a.zarr/hubert/features/c/0/0/0"
    damaged = bytearray(shard.read_bytes())
    damaged[100] ^= 1
    shard.write_bytes(damaged)
    assert {damage.row for damage in verify(open_store(tmp_path / "a.zarr"))} == {0, 1}  # both rows that share it


@BOTH
@pytest.mark.parametrize("extends", [False, True])
def test_views_cut_short_end_with_the_bytes_of_an_extraction_that_was_not(suffix, extends, tmp_path, run, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    for path in (whole, cut) if extends else ():
        run(path)
    run(whole, ALL)
    encode, calls = AudioEncoder.encode, []

    def until_tired(self, batch):
        calls.append(batch)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return encode(self, batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(AudioEncoder, "encode", until_tired)
        patch.setattr("msmt.extract.windows.WINDOW_BLOCKS", 1)
        run(cut, ALL)
    assert (open_store(cut).lengths("hubert") == MISSING).any()
    run(cut, ALL)
    assert content(cut) == content(whole)


def test_the_same_seed_gives_the_same_rows_whatever_the_order_the_workers_and_the_shares(tmp_path, run, data):
    run(tmp_path / "a.zarr", ALL, seed=3)
    defined = values(tmp_path / "a.zarr")
    run(tmp_path / "b.zarr", ALL, seed=3, config={"workers": 2})
    for shard in ("1/2", "2/2"):
        run(tmp_path / "c.zarr", ALL, seed=3, config={"shard": shard})
    edit(data, "train", lambda table: table[::-1])
    run(tmp_path / "d.h5", "mask,homophone", seed=3)
    run(tmp_path / "d.h5", "speed,noise", seed=3)
    assert all(equal(defined, values(tmp_path / name)) for name in ("b.zarr", "c.zarr", "d.h5"))
    run(tmp_path / "e.zarr", ALL, seed=4)
    other = values(tmp_path / "e.zarr")
    assert not np.array_equal(other["hubert", "call0_1", "noise"], defined["hubert", "call0_1", "noise"])


@BOTH
def test_a_store_is_extended_by_a_view(suffix, tmp_path, run, encoded):
    path = tmp_path / f"a{suffix}"
    run(path, "noise")
    before = values(path)
    encoded.update(audio=0, text=0)
    summary = run(path, "homophone")
    assert encoded["audio"] == 0 and 0 < encoded["text"] <= TRAINING
    assert summary.computed["hubert"] == summary.copied["hubert"] == TRAINING
    after = values(path)
    assert equal(before, {key: after[key] for key in before}) and len(after) == len(before) + 2 * TRAINING
    assert set(open_store(path).recipes) == {"noise", "homophone"} and verify(open_store(path)) == []


@BOTH
def test_without_augment_views_stay_and_are_kept_up_with_their_originals(suffix, tmp_path, run, data):
    path = tmp_path / f"a{suffix}"
    run(path, ALL)
    before = content(path)
    assert run(path).computed == {} and content(path) == before
    old = values(path)
    soundfile.write(data / "audio/call1_1.wav", speech_like(0.9, seed=77), 8000)
    edit(data, "train", lambda table: table.assign(text=table["text"].where(table.index != 0, "你好不要买谢谢你好我")))
    first = pd.read_csv(data / "train.csv")["Audio_id"][0].removesuffix(".wav")
    summary = run(path)
    assert summary.computed["hubert"] == 5 and summary.copied["hubert"] == 1
    new = values(path)
    changed = {key for key in old if not np.array_equal(old[key], new[key])}
    assert {key for key in changed if key[0] == "hubert"} == {
        ("hubert", "call1_1", view) for view in (ORIGINAL, *ALL.split(","))
    }
    assert {key[1] for key in changed if key[0] == "roberta"} == {first}
    assert summary.removed_views == 0 and verify(open_store(path)) == []


@BOTH
def test_another_recipe_is_refused_and_overwriting_makes_that_view_anew(suffix, tmp_path, run, encoded):
    path = tmp_path / f"a{suffix}"
    run(path, "noise,mask,homophone")
    before = values(path)
    encoded.update(audio=0, text=0)
    with pytest.raises(
        SpecMismatchError, match=r"view noise with decibels \[10.0, 40.0\], not \[20.0, 30.0\].*--overwrite"
    ):
        run(path, "noise", noise_db="20:30")
    with pytest.raises(SpecMismatchError, match="roberta: view homophone with seed 0, not 1"):
        run(path, "homophone", seed=1)
    run(path, "noise,speed", noise_db="20:30", config={"overwrite": True})
    assert encoded == {"audio": 2 * TRAINING, "text": 0}
    after = values(path)
    changed = {key for key in before if not np.array_equal(before[key], after[key])}
    assert {(feature, view) for feature, _, view in changed} == {("hubert", "noise")} and len(changed) == TRAINING
    assert open_store(path).specs["hubert"].views["noise"]["decibels"] == [20, 30]


def test_a_recipe_that_is_replaced_takes_its_rows_from_other_features_too(tmp_path, run):
    path = tmp_path / "a.zarr"
    run(path, "noise")
    run(path, config={"audio_feature": "again"})
    assert (open_store(path).lengths("again") != MISSING).all()  # a new feature is made of all views there are
    run(path, "noise", seed=1, config={"overwrite": True})
    store = open_store(path)
    is_view = (store.segments["view"] == "noise").to_numpy()
    assert ((store.lengths("again") == MISSING) == is_view).all() and store.specs["again"].views == {}
    run(path, config={"audio_feature": "again"})
    assert open_store(path).specs["again"].views == open_store(path).specs["hubert"].views
    one, two = (identities(path, name) for name in ("again", "hubert"))
    assert one == two


def test_views_of_a_segment_that_leaves_the_training_split_leave_with_it(tmp_path, run, data):
    path = tmp_path / "a.zarr"
    run(path, "noise,homophone")
    train, val = (pd.read_csv(data / f"{split}.csv") for split in ("train", "val"))
    moved = train[train["phone"] == "call1"]
    train.drop(moved.index).to_csv(data / "train.csv", index=False)
    pd.concat([val, moved]).to_csv(data / "val.csv", index=False)
    summary = run(path)
    segments = open_store(path).segments
    views = segments[segments["view"] != ORIGINAL]
    assert set(views["split"]) == {"train", REMOVED}
    assert set(views["recording_id"][views["split"] == REMOVED]) == {"call1"}
    assert summary.removed_views == 2 and summary.removed == 0 and summary.computed == {}
    train.to_csv(data / "train.csv", index=False)
    val.to_csv(data / "val.csv", index=False)
    assert run(path, "noise,homophone").computed == {}  # what was there is used again
    segments = open_store(path).segments
    assert set(segments["split"][segments["view"] != ORIGINAL]) == {"train"}


def test_copies_can_be_limited_to_classes(tmp_path, run):
    path = tmp_path / "a.zarr"
    summary = run(path, "noise,homophone", augment_classes="A,C")
    segments = open_store(path).segments
    assert set(segments["label_five"][segments["view"] != ORIGINAL]) == {0, 2}
    assert summary.classes_before == {"A": 2, "B": 4, "C": 4, "D": 2}
    assert summary.classes_after == {"A": 6, "B": 4, "C": 12, "D": 2}
    shown = "\n".join(summary.lines())
    assert "rows of train without copies: A 2, B 4, C 4, D 2" in shown and "with copies: A 6, B 4" in shown


def test_a_broken_file_is_named_once_though_it_has_views(tmp_path, run, data):
    (data / "audio/call1_1.wav").write_bytes(b"broken")
    path = tmp_path / "a.zarr"
    summary = run(path, ALL, config={"max_failures": "1"})
    assert [failure.segment_id for failure in summary.failures] == ["call1_1"] and not summary.stopped_early
    store = open_store(path)
    assert (store.segments["segment_id"][store.lengths("hubert") == MISSING] == "call1_1").all()


def test_a_plan_counts_views_and_what_has_to_be_computed_of_them(tmp_path, run, data, encoders):
    path, corpus = tmp_path / "a.zarr", load_corpus("marketcalls", data)
    config = ExtractConfig(*map(str, encoders), max_seconds=1.5, max_tokens=30, precision="float32")
    new = make_plan(corpus, path, config, views=ViewOptions(augment="homophone"))
    run(path, "homophone")
    store = open_store(path)
    originals = (store.segments["view"] == ORIGINAL).to_numpy()
    assert new.copies == TRAINING and new.segments == SEGMENTS
    assert new.features[0].rows_to_compute == store.lengths("hubert")[originals].sum()
    later = make_plan(corpus, path, config, views=ViewOptions(augment="noise"))
    audio, text = later.features
    assert (audio.missing, audio.done) == (TRAINING, SEGMENTS + TRAINING) and audio.rows_to_compute > 0
    assert (text.missing, text.rows_to_compute) == (TRAINING, 0)


class TestRefused:
    """Before an encoder is loaded: the encoders named here do not exist."""

    @pytest.fixture
    def refuses(self, data, tmp_path):
        def refused(match, store="a.zarr", config=None, **views):
            settings = ExtractConfig("no-such-encoder", "nor-this", **(config or {}))
            with pytest.raises((SettingError, StoreError), match=match):
                extract(load_corpus("marketcalls", data), tmp_path / store, settings, views=ViewOptions(**views))
            assert not (tmp_path / store).exists() or store == "there.zarr"

        return refused

    def test_another_split_than_training(self, refuses):
        refuses("only the training split can be augmented", augment="noise", config={"train_split": "val"})
        refuses("there is no split fit to augment: the corpus has", augment="noise", config={"train_split": "fit"})

    def test_classes_that_are_not(self, refuses):
        refuses("task five has A, B, C, D, E, but not 'Z'", augment="noise", augment_classes="A,Z")
        refuses("the training split has no segment of E", augment="noise", augment_classes="E")

    def test_homophones_without_chinese(self, refuses, data):
        edit(data, "train", lambda table: table.assign(text="hello yes"))
        refuses("no transcript holds a Chinese character", augment="homophone")

    def test_another_recipe_than_the_stores(self, refuses, run, tmp_path):
        run(tmp_path / "there.zarr", "speed")
        refuses(r"factors \[0.9, 1.1\], not \[0.5, 2.0\]", "there.zarr", augment="speed", speed_range="0.5:2")

    def test_views_that_cannot_be_made_here_again(self, refuses, run, tmp_path, monkeypatch):
        run(tmp_path / "there.zarr", "homophone")
        monkeypatch.setattr("msmt.extract.sound.homophones.sources", lambda: {"readings": "pypinyin 9"})
        refuses("made by .*not what is installed here; make it anew with --augment homophone --overwrite", "there.zarr")
