"""What reaches a slot: vectors of one scale, by the training split alone, and layers summed with learned weights."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from msmt.errors import RunError
from msmt.tests.train.made import TRAIN, calls, quiet, score
from msmt.tests.train.test_binding import vector, with_layers, with_vectors
from msmt.train.inputs import Inputs, Standardise
from msmt.train.loop import train
from msmt.train.models.bigru import BiGruSettings
from msmt.train.models.linear import LinearSettings
from msmt.train.rows import Rows
from safetensors.torch import load_file

SMALL = BiGruSettings(width=6, gru_width=5, head_width=12)


def measured(*parts: np.ndarray) -> Standardise:
    made = Standardise(parts[0].shape[1])
    made.begin()
    for part in parts:
        made(torch.from_numpy(part))
    made.end()
    return made


def test_mean_and_deviation_are_those_of_all_rows_however_they_are_cut():
    rows = np.random.default_rng(0).standard_normal((200, 3)) * [1, 1e-3, 10] + [0, 5, 1e6]
    rows = rows.astype(np.float32)
    standard = measured(*np.split(rows, [1, 60, 61]))
    wide = rows.astype(np.float64)
    np.testing.assert_allclose(standard.mean, wide.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(1 / standard.scale, wide.std(axis=0), rtol=1e-5)
    brought = standard(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(brought.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(brought.std(axis=0), 1, rtol=1e-3)


@pytest.mark.parametrize("constant", [0.0, 3.3, 1e7, -1e-20])
def test_a_constant_column_becomes_zero_and_never_blows_up(constant):
    rows = np.full((50, 1), constant, np.float32)
    standard = measured(rows[:7], rows[7:])
    other = np.float32([[constant], [constant + 1e6]])
    assert torch.equal(standard(torch.from_numpy(other)), torch.zeros(2, 1))


def test_a_slot_that_one_feature_fills_as_it_is_costs_nothing():
    store = calls()
    inputs = Inputs({"text": ("roberta",)}, store.specs, ("text",))
    rows = Rows(torch.randn(5, 8), (2, 3))
    assert inputs({"roberta": rows, "hubert": rows})["text"] is rows
    assert list(inputs.state_dict()) == []


def trained(store, folder, model=SMALL, say=quiet, **config):
    return train(store, model, dataclasses.replace(TRAIN, **config), folder, score, say=say)


def test_vectors_are_standardised_by_what_is_learnt_alone_and_the_run_keeps_how(tmp_path):
    store = with_vectors()
    store.features["egemaps"] = [row * np.float32(1e6) for row in store.features["egemaps"]]
    run = trained(store, tmp_path, slot="more=egemaps").run
    learnt = (store.segments["split"] == "train").to_numpy()
    seen = np.concatenate([row for row, own in zip(store.features["egemaps"], learnt) if own]).astype(np.float64)
    kept = load_file(run.path / "best.safetensors")
    np.testing.assert_allclose(kept["inputs.standards.2.0.mean"], seen.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(1 / kept["inputs.standards.2.0.scale"], seen.std(axis=0), rtol=1e-5)
    assert not [name for name in kept if name.startswith(("inputs.standards.0", "inputs.standards.1"))]


def test_recordings_without_a_label_are_not_measured(tmp_path):
    store = with_vectors()
    first = (store.segments["recording_id"] == "call-0").to_numpy()
    store.segments.loc[first, [task.column for task in store.tasks]] = -1
    store.features["egemaps"][0] = store.features["egemaps"][0] + np.float32(1e9)
    kept = load_file(trained(store, tmp_path, slot="more=egemaps").run.path / "best.safetensors")
    assert kept["inputs.standards.2.0.mean"].abs().max() < 10


def test_the_baseline_brings_means_and_deviations_to_one_scale(tmp_path):
    store = calls()
    kept = load_file(trained(store, tmp_path, LinearSettings()).run.path / "best.safetensors")
    learnt = (store.segments["split"] == "train").to_numpy()

    def summary(row: np.ndarray) -> np.ndarray:
        return np.concatenate([row.astype(np.float64).mean(axis=0), row.astype(np.float64).std(axis=0)])

    rows = [
        np.concatenate([summary(store.features[name][row]) for name in ("roberta", "hubert")])
        for row in np.flatnonzero(learnt)
    ]
    np.testing.assert_allclose(kept["standard.mean"], np.mean(rows, axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(1 / kept["standard.scale"], np.std(rows, axis=0), rtol=1e-3)


def test_vectors_that_are_no_numbers_are_named(tmp_path):
    store = with_vectors()
    store.features["egemaps"][3][0, 0] = np.nan
    with pytest.raises(RunError, match="the mean or deviation of vectors is not a number: the egemaps features of seg"):
        trained(store, tmp_path, slot="more=egemaps")


def test_layers_begin_as_their_mean_and_their_weights_are_shown_and_kept(tmp_path):
    store, said = with_layers(), []
    inputs = Inputs({"audio": tuple(f"hubert-layer{n}" for n in (3, 6, 9, 12))}, store.specs)
    rows = {name: Rows(torch.randn(4, 8), (4,)) for name in store.specs}
    mean = torch.stack([rows[f"hubert-layer{n}"].values for n in (3, 6, 9, 12)]).mean(dim=0)
    torch.testing.assert_close(inputs(rows)["audio"].values, mean)
    done = trained(store, tmp_path, slot="audio=hubert-layer*", say=said.append)
    kept = json.loads((done.run.path / "layer-weights.json").read_text())
    assert list(kept["audio"]) == ["hubert-layer3", "hubert-layer6", "hubert-layer9", "hubert-layer12"]
    assert sum(kept["audio"].values()) == pytest.approx(1) and len(set(kept["audio"].values())) == 4
    assert done.best["layers"] == kept
    shown = ", ".join(f"{layer} {weight:.3f}" for layer, weight in kept["audio"].items())
    assert said[-1] == f"slot audio sums {shown}"
    assert any("slot audio is a learned sum of hubert-layer3, hubert-layer6" in line for line in said)


def test_the_layer_that_tells_comes_to_weigh_most(tmp_path):
    store = with_layers()
    random = np.random.default_rng(5)
    for layer in (3, 6, 12):
        name = f"hubert-layer{layer}"
        store.features[name] = [random.standard_normal(row.shape).astype(np.float16) for row in store.features[name]]
    config = {"slot": "text=,audio=hubert-layer*", "epochs": 30, "patience": 0, "learning_rate": 3e-2}
    done = trained(store, tmp_path, dataclasses.replace(SMALL, dropout=0.0), **config)
    weights = json.loads((done.run.path / "layer-weights.json").read_text())["audio"]
    assert max(weights, key=weights.get) == "hubert-layer9"


def test_layers_of_vectors_are_summed_in_one_scale():
    specs = {"a": vector("text"), "b": vector("text")}
    inputs = Inputs({"text": ("a", "b")}, specs, ("text",))
    random = np.random.default_rng(1)
    rows = {"a": random.standard_normal((40, 5)), "b": 1e6 * random.standard_normal((40, 5)) + 1e6}
    given = {name: Rows(torch.from_numpy(each.astype(np.float32)), (1,) * 40) for name, each in rows.items()}
    for standards in inputs.standards:
        for standard in standards:
            standard.begin()
    inputs(given)
    for standards in inputs.standards:
        for standard in standards:
            standard.end()
    expected = sum((each - each.mean(axis=0)) / each.std(axis=0) for each in rows.values()) / 2
    np.testing.assert_allclose(inputs(given)["text"].values.detach(), expected, rtol=1e-3, atol=1e-3)
