"""A run's vectors become a feature of a store, and exactly the rows that saw a change are made again."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from msmt.errors import RunError, SettingError, StoreError
from msmt.features.opening import open_store, writer_for
from msmt.features.rows import Row
from msmt.tests.features import made
from msmt.tests.train.made import SMALL, TRAIN, quiet, score
from msmt.train import embed as embed_module
from msmt.train.config import ModelConfig
from msmt.train.data import read_batch, recordings_of
from msmt.train.embed import embed
from msmt.train.loop import train
from msmt.train.models.bigru import BiGruSettings
from msmt.train.models.linear import LinearSettings
from msmt.train.predict import with_weights
from msmt.train.rows import Rows
from msmt.train.runs import Run

CONFIG = dataclasses.replace(TRAIN, epochs=1, validation_split="test", batch_recordings=8, seed=3)
SETTINGS = ModelConfig(**SMALL)
CHANGED = 40  # a row whose recording is rows 39 to 41


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run, and the Zarr store that it learnt from."""
    folder = tmp_path_factory.mktemp("first")
    made.make_store(folder / "a.zarr")
    return train(open_store(folder / "a.zarr"), SETTINGS, CONFIG, folder / "runs", score, say=quiet).run


@pytest.fixture(params=[".zarr", ".h5"])
def path(request, tmp_path):
    path = tmp_path / f"a{request.param}"
    made.make_store(path)
    return path


def by_hand(run: Run, store, in_context: bool) -> np.ndarray:
    """(N, d) what the network says of each segment, a recording at a time."""
    model = with_weights(run, run.settings, run.load_best()).eval()
    given = recordings_of(store, "", {name: name for name in run.settings.features}, tasks=(), per_segment=True)
    found = {}
    for position in range(len(given)):
        batch = read_batch(given, np.array([position]))
        features = {name: Rows(rows.values.float(), rows.lengths) for name, rows in batch.features.items()}
        slots = model.inputs(features)
        with torch.no_grad():
            said = model.context_vectors(slots, batch.counts) if in_context else model.segment_vectors(slots)
        found |= dict(zip(given.rows[position].tolist(), said.numpy(), strict=True))
    return np.stack([found[row] for row in sorted(found)])


def values(path, name: str = "stage1") -> np.ndarray:
    store = open_store(path)
    return np.concatenate([store.read(name, row) for row in range(len(store.segments))])


def change(path, row: int = CHANGED) -> None:
    """Give one row of a feature other values."""
    with writer_for(path) as writer:
        store = open_store(path)
        lengths = {name: store.lengths(name) for name in store.specs}
        writer.prepare(store.dataset, store.tasks, store.segments, store.specs, lengths)
        writer.commit("roberta", row // 32, {row: Row(store.read("roberta", row) + np.float16(1), 4711)})
        writer.finish()


@pytest.mark.parametrize("source", ["segment", "context"])
def test_what_is_written_is_what_the_network_says(first, path, source):
    done = embed(first, path, "stage1", source)
    assert (done.computed, done.kept, done.left_out) == (made.ROWS, 0, 0)
    store = open_store(path)
    spec = store.specs["stage1"]
    assert (spec.kind, spec.unit, spec.dtype, spec.modality, spec.width) == ("run", "vector", "float32", "both", 16)
    np.testing.assert_allclose(values(path), by_hand(first, store, source == "context"), atol=1e-5)
    assert store.is_finished and list(store.damage()) == []
    assert done.line(path) == f"stage1: 70 rows computed, 0 kept, in {path}"


def test_other_features_stay_as_they_are(first, path):
    before = open_store(path)
    states = {name: before.states(name) for name in before.specs}
    embed(first, path, "stage1")
    after = open_store(path)
    for name, own in states.items():
        assert np.array_equal(own.checksum, after.states(name).checksum)
        assert np.array_equal(own.identity, after.states(name).identity)


@pytest.mark.parametrize("source, rows", [("segment", [CHANGED]), ("context", [39, 40, 41])])
def test_a_rerun_makes_exactly_the_rows_that_saw_a_change(first, path, source, rows):
    embed(first, path, "stage1", source)
    again = embed(first, path, "stage1", source)
    assert (again.computed, again.kept) == (0, made.ROWS)
    before = values(path)
    change(path)
    later = embed(first, path, "stage1", source)
    assert (later.computed, later.kept) == (len(rows), made.ROWS - len(rows))
    assert np.flatnonzero((values(path) != before).any(axis=1)).tolist() == rows
    np.testing.assert_allclose(values(path), by_hand(first, open_store(path), source == "context"), atol=1e-5)


def test_a_killed_call_goes_on_where_it_stopped_to_the_same_values(first, path, tmp_path, monkeypatch):
    whole = tmp_path / f"whole{path.suffix}"
    made.make_store(whole)
    embed(first, whole, "stage1")
    commits = []

    def vectors(self, *arguments, made_by=embed_module._Maker.vectors_of):
        for number, each in enumerate(made_by(self, *arguments)):
            if number == 15:
                raise KeyboardInterrupt
            commits.append(each)
            yield each

    with monkeypatch.context() as patch:
        patch.setattr(embed_module._Maker, "vectors_of", vectors)
        with pytest.raises(KeyboardInterrupt):
            embed(first, path, "stage1")
    there = open_store(path)
    assert (there.lengths("stage1") >= 0).sum() == 32  # the first block, which was whole
    rest = embed(first, path, "stage1")
    assert (rest.computed, rest.kept) == (made.ROWS - 32, 32)
    assert values(path).tobytes() == values(whole).tobytes()
    assert np.array_equal(open_store(path).states("stage1").identity, open_store(whole).states("stage1").identity)


def test_a_run_trained_anew_makes_all_rows_stale_and_one_of_other_settings_is_refused(first, path, tmp_path):
    embed(first, path, "stage1")
    before = values(path)
    config = dataclasses.replace(CONFIG, seed=4)
    other = train(open_store(path), SETTINGS, config, tmp_path / "runs", score, say=quiet).run
    sizes = dataclasses.replace(SETTINGS, pooling="mean" if SETTINGS.pooling != "mean" else "attention")
    third = train(open_store(path), sizes, config, tmp_path / "runs", score, say=quiet).run
    with pytest.raises(StoreError, match=r"stage1: .*options with settings .*; replace them with --overwrite"):
        embed(third, path, "stage1")
    with pytest.raises(StoreError, match="stage1: options with vector segment, not context"):
        embed(first, path, "stage1", "context")
    assert np.array_equal(values(path), before)
    assert embed(other, path, "stage1").computed == made.ROWS
    np.testing.assert_allclose(values(path), by_hand(other, open_store(path), False), atol=1e-5)
    assert embed(other, path, "stage1").computed == 0
    assert embed(third, path, "stage1", overwrite=True).computed == made.ROWS


def test_segments_without_features_stay_missing_and_are_counted(first, tmp_path):
    path = tmp_path / "holes.zarr"
    made.make_store(path, without=(4, 50))
    done = embed(first, path, "stage1", "context")
    assert (done.computed, done.left_out) == (made.ROWS - 2, 2)
    assert "2 left out, for they lack features that the run reads" in done.line(path)
    store = open_store(path)
    assert np.flatnonzero(store.lengths("stage1") < 0).tolist() == [4, 50]
    assert embed(first, path, "stage1", "context").computed == 0


def test_a_row_that_can_no_longer_be_made_is_missing(first, path):
    embed(first, path, "stage1")
    with writer_for(path) as writer:
        store = open_store(path)
        lengths = {name: store.lengths(name) for name in store.specs}
        writer.prepare(store.dataset, store.tasks, store.segments, store.specs, lengths)
        writer.commit("hubert", 0, {7: None})
        writer.finish()
    done = embed(first, path, "stage1")
    assert (done.computed, done.left_out) == (0, 1)
    store = open_store(path)
    assert np.flatnonzero(store.lengths("stage1") < 0).tolist() == [7]
    with pytest.raises(StoreError, match="features of stage1 .*: run msmt embed again"):
        recordings_of(store, "train", {"stage1": "stage1"})


def test_what_cannot_be_embedded_is_refused_and_nothing_is_written(first, path, tmp_path):
    before = open_store(path).fingerprint()
    with pytest.raises(SettingError, match="hubert is a feature that run .* reads: give its vectors another --name"):
        embed(first, path, "hubert")
    with pytest.raises(StoreError, match="vectors: .*encoder_class made, not msmt-fn"):
        embed(first, path, "vectors")
    for name in ("a/b", "segments", ""):
        with pytest.raises(SettingError, match="give another with --name"):
            embed(first, path, name)
    config = dataclasses.replace(CONFIG, slot="text=,audio=,more=vectors")
    linear = train(open_store(path), LinearSettings(), config, tmp_path / "runs", score, say=quiet).run
    with pytest.raises(SettingError, match="embed --from segment"):
        embed(linear, path, "stage1", "context")
    assert open_store(path).fingerprint() == before
    other = tmp_path / f"other{path.suffix}"
    shutil.copytree(path, other) if path.is_dir() else shutil.copy(path, other)
    with writer_for(other) as writer:
        store = open_store(other)
        spec = dataclasses.replace(store.specs["hubert"], sample_rate=16000)
        lengths = {"hubert": store.lengths("hubert")}
        writer.prepare(store.dataset, store.tasks, store.segments, {"hubert": spec}, lengths, overwrite=True)
        writer.finish()
    with pytest.raises(StoreError, match="made as hubert was: its hubert has sample_rate 16000, not 8000"):
        embed(first, other, "stage1")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text((first.path / "config.json").read_text())
    with pytest.raises(RunError, match="has no best.safetensors"):
        embed(Run(tmp_path / "empty"), path, "stage1")


def test_a_second_stage_learns_from_the_vectors_of_the_first(first, path, tmp_path):
    embed(first, path, "stage1", "segment")
    config = dataclasses.replace(CONFIG, slot="text=,audio=,before=stage1")
    second = train(open_store(path), BiGruSettings(width=4), config, tmp_path / "runs", score, say=quiet)
    assert dict(second.run.settings.slots) == {"before": ("stage1",)}
    seen = by_hand(first, open_store(path), False)[: made.ROWS // 2]
    kept = second.run.load_best()
    np.testing.assert_allclose(kept["inputs.standards.0.0.mean"], seen.mean(axis=0), rtol=1e-4, atol=1e-5)
    assert embed(second.run, path, "stage2", "context").computed == made.ROWS


def test_a_feature_of_a_run_of_another_scheme_is_warned_of(path, tmp_path):
    with writer_for(path) as writer:
        store = open_store(path)
        writer.retell(store.segments.assign(scheme_other=store.segments["split"]), store.facts)
        writer.finish()
    by_other = train(
        open_store(path),
        BiGruSettings(width=4),
        dataclasses.replace(CONFIG, scheme="other"),
        tmp_path,
        score,
        say=quiet,
    )
    embed(by_other.run, path, "stage1")
    for scheme, warned in (("standard", True), ("other", False)):
        said = []
        config = dataclasses.replace(CONFIG, slot="text=,audio=,before=stage1", scheme=scheme)
        train(open_store(path), BiGruSettings(width=4), config, tmp_path, score, say=said.append)
        assert any(line.startswith("warning: stage1 is of a run of scheme other") for line in said) == warned
