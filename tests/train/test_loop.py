"""Training: it learns, repeats itself, resumes, stops, and says what is wrong."""

from __future__ import annotations

import dataclasses
import json
import math
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch
from msmt.errors import RunError, SettingError, StoreError
from msmt.evaluate.metrics import score as figures_of_all
from msmt.tests.train.made import FAST, MODEL, TASKS, TRAIN, calls, quiet, score, segment_store, store_of
from msmt.train import learner
from msmt.train.config import ModelConfig, TrainConfig
from msmt.train.jobs import job_for
from msmt.train.learner import learning_rate_at
from msmt.train.loop import train
from msmt.train.objective import Objective
from msmt.train.predict import predict
from msmt.train.runs import Run
from safetensors.torch import load_file

STILL = dataclasses.replace(MODEL, dropout=0.0, context_dropout=0.0)


def go(store, folder, model=MODEL, score=score, say=quiet, track=None, resume=None, **settings):
    """Train with few lines."""
    more = {} if track is None else {"track": track}
    if resume is not None:
        return train(store, None, None, folder, score, resume=resume, say=say, **more)
    return train(store, model, dataclasses.replace(TRAIN, **settings), folder, score, say=say, **more)


def metrics(trained) -> list[dict]:
    """The lines of metrics.jsonl without what depends on the clock."""
    lines = [json.loads(line) for line in (trained.run.path / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.endswith("seconds")} for line in lines]


def weights(trained) -> dict[str, torch.Tensor]:
    return load_file(trained.run.path / "best.safetensors")


def same_weights(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Interrupting:
    """A Track on which Ctrl-C is pressed after some recordings of an epoch."""

    def __init__(self, epoch: int, recordings: int = 1) -> None:
        self.epoch, self.left = f"epoch {epoch}", recordings  # of both splits

    @contextmanager
    def __call__(self, description, total, unit="items"):
        def advance(count):
            self.left -= count if description.removesuffix(", validation") == self.epoch else 0
            if self.left <= 0:
                raise KeyboardInterrupt

        yield advance


def test_a_model_overfits_eight_recordings(tmp_path):
    labels, segments = [0, 1, 2, 3, 4, 0, 1, 2], [1, 2, 3, 1, 2, 3, 1, 2]
    store = store_of(labels * 2, ["train"] * 8 + ["val"] * 8, segments * 2)
    for rows in store.features.values():  # validation repeats training, so that its figures tell
        rows[sum(segments) :] = rows[: sum(segments)]
    model = dataclasses.replace(STILL, width=32, feed_forward=64, gru_width=16, head_width=32)
    settings = {"epochs": 45, "patience": 0, "batch_recordings": 2, "accumulation": 1, "learning_rate": 5e-3}
    trained = go(store, tmp_path, model, schedule="constant", **settings)
    last = metrics(trained)[-1]
    assert last["train_loss"] < 0.1
    assert all(trained.best[f"val/{task.name}/accuracy"] == 1.0 for task in TASKS)


def test_a_run_leaves_its_files(tmp_path):
    trained = go(calls(), tmp_path)
    names = sorted(path.name.split(".tfevents")[0] for path in trained.run.path.iterdir())
    assert names == [
        *("best.safetensors", "config.json", "environment.json", "events.out", "last.pt", "metrics.jsonl"),
        *("rows-train.npz", "rows-validation.npz"),
    ]
    assert trained.status == "finished" and trained.epochs == 3
    assert [line["epoch"] for line in metrics(trained)] == [1, 2, 3]
    assert trained.best["epoch"] == trained.best_epoch
    assert trained.best_epoch == [line["epoch"] for line in metrics(trained) if line["best"]][-1]
    assert {"train_loss", "val_loss", "val/five/accuracy", "val/two/accuracy"} <= set(trained.best)
    assert trained.select == "accuracy"


def test_tensorboard_gets_the_curves_of_every_epoch(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    interrupted = go(calls(), tmp_path, track=Interrupting(epoch=3))
    trained = go(calls(), tmp_path, resume=interrupted.run.name)
    events = EventAccumulator(str(trained.run.path))
    events.Reload()
    assert {"loss/train", "loss/validation", "accuracy/five", "learning rate"} <= set(events.Tags()["scalars"])
    # Two files begun within one second are read in the order of their names, which need not be that of time.
    curve = sorted(events.Scalars("loss/train"), key=lambda point: point.step)
    assert [point.step for point in curve] == [1, 2, 3]
    assert [point.value for point in curve] == pytest.approx([line["train_loss"] for line in metrics(trained)])


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(tmp_path):
    first, again, other = (go(calls(), tmp_path, seed=seed) for seed in (1, 1, 2))
    assert metrics(first) == metrics(again) != metrics(other)
    assert same_weights(weights(first), weights(again))


def test_training_leaves_random_numbers_outside_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    go(calls(), tmp_path, epochs=1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("epoch, recordings", [(1, 1), (2, 7), (3, 15)])
def test_a_resumed_run_equals_one_that_was_not_interrupted(tmp_path, monkeypatch, epoch, recordings):
    monkeypatch.setattr(learner, "_MOMENT", 1e9)  # saved after every epoch, however busy the machine
    whole = go(calls(), tmp_path / "whole")
    said = []
    interrupted = go(calls(), tmp_path / "cut", track=Interrupting(epoch, recordings), say=said.append)
    assert interrupted.status == "interrupted" and interrupted.epochs == epoch - 1
    assert said[-1] == (
        f"interrupted, {epoch - 1} of 3 epochs are kept: "
        f"go on with msmt train --resume {interrupted.run.name} --runs {tmp_path / 'cut'}"
    )
    resumed = go(calls(), tmp_path / "cut", resume="latest")
    assert resumed.run == interrupted.run and resumed.status == "finished"
    assert metrics(resumed) == metrics(whole)
    assert same_weights(weights(resumed), weights(whole))


def test_a_large_state_is_not_saved_after_every_epoch_and_resuming_comes_to_the_same(tmp_path, monkeypatch):
    whole = go(calls(), tmp_path / "whole", epochs=5)
    saved, save = [], Run.save_last
    monkeypatch.setattr(
        Run, "save_last", lambda self, state: (saved.append(state["progress"]["epoch"]), save(self, state))
    )
    monkeypatch.setattr(learner, "_MOMENT", -1.0)  # every saving takes long
    monkeypatch.setattr(learner, "_SAVING_SHARE", 1e-9)
    cut = go(calls(), tmp_path / "cut", epochs=5, track=Interrupting(4))
    assert saved == [1] and cut.epochs == 1 and len(metrics(cut)) == 3
    monkeypatch.setattr(learner, "_MOMENT", 1e9)
    again = go(calls(), tmp_path / "cut", resume=cut.run.name, track=Interrupting(4))
    assert saved == [1, 2, 3] and again.epochs == 3  # the first time, and then each
    resumed = go(calls(), tmp_path / "cut", resume=cut.run.name)
    assert metrics(resumed) == metrics(whole) and same_weights(weights(resumed), weights(whole))


def test_a_run_can_be_interrupted_again_and_again(tmp_path):
    whole = go(calls(), tmp_path / "whole", epochs=4)
    run = go(calls(), tmp_path / "cut", epochs=4, track=Interrupting(2)).run
    for epoch in (2, 3, 4):
        assert go(calls(), tmp_path / "cut", resume=run.name, track=Interrupting(epoch)).status == "interrupted"
    assert metrics(go(calls(), tmp_path / "cut", resume=run.name)) == metrics(whole)


def test_a_run_that_was_killed_before_its_first_epoch_ended_starts_again(tmp_path):
    whole = go(calls(), tmp_path / "whole")
    run = go(calls(), tmp_path / "cut", track=Interrupting(1)).run
    assert run.is_untouched
    assert metrics(go(calls(), tmp_path / "cut", resume=run.name)) == metrics(whole)


def test_a_run_that_was_killed_between_its_first_two_files_starts_again(tmp_path, monkeypatch):
    whole = go(calls(), tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_last", lambda self, state: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            go(calls(), tmp_path / "cut")
    resumed = go(calls(), tmp_path / "cut", resume="latest")
    assert metrics(resumed) == metrics(whole) and same_weights(weights(resumed), weights(whole))


def test_a_run_that_lost_its_state_cannot_be_resumed(tmp_path):
    run = go(calls(), tmp_path, track=Interrupting(2)).run
    (run.path / "last.pt").unlink()
    with pytest.raises(RunError, match="has no last.pt, so it cannot be resumed: train again"):
        go(calls(), tmp_path, resume="latest")


def test_what_resuming_needs_is_plain_data(tmp_path):
    run = go(calls(), tmp_path, track=Interrupting(2)).run
    state = torch.load(run.path / "last.pt", weights_only=True)
    assert set(state) == {"progress", "model", "optimizer"}
    assert state["progress"]["epoch"] == 1


def test_a_finished_run_says_so_and_is_left_as_it_is(tmp_path):
    first = go(calls(), tmp_path)
    before = {path: path.read_bytes() for path in first.run.path.iterdir()}
    said = []
    again = go(calls(), tmp_path, resume="latest", say=said.append)
    assert said == [f"run {first.run.name} is done (finished after epoch 3): nothing to resume"]
    assert (again.status, again.best_epoch, dict(again.best)) == ("finished", first.best_epoch, dict(first.best))
    assert {path: path.read_bytes() for path in first.run.path.iterdir()} == before


def test_a_run_does_not_go_on_with_another_store(tmp_path):
    go(calls(), tmp_path, track=Interrupting(2))
    changed = calls()
    changed.features["hubert"][0] = changed.features["hubert"][0] + 1
    with pytest.raises(RunError, match=r"since it began has changed: hubert features of 1 segment of train"):
        go(changed, tmp_path, resume="latest")
    with pytest.raises(RunError, match="is not the store that run .* was trained on .*, or has changed since"):
        go(calls(seed=1), tmp_path, resume="latest")


def test_a_run_does_not_go_on_with_other_settings(tmp_path):
    go(calls(), tmp_path, track=Interrupting(2))
    with pytest.raises(SettingError, match="goes on with its own settings, learning_rate 0.01 and not 0.5"):
        train(calls(), None, dataclasses.replace(TRAIN, learning_rate=0.5), tmp_path, score, resume="latest", say=quiet)
    assert train(calls(), MODEL, TRAIN, tmp_path, score, resume="latest", say=quiet).status == "finished"


def test_accumulated_batches_learn_what_one_big_batch_learns(tmp_path):
    settings = {"epochs": 2, "class_weights": "balanced"}  # 13 recordings: the last step is smaller than the others
    small = go(calls(), tmp_path, STILL, batch_recordings=2, accumulation=4, **settings)
    big = go(calls(), tmp_path, STILL, batch_recordings=8, accumulation=1, **settings)
    for one, other in zip(metrics(small), metrics(big), strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=1e-3)


def test_a_last_partial_step_counts_like_any_other(tmp_path):
    """One step of all 13 recordings, or one of 12 and one of 1: while nothing is learnt, the loss agrees."""
    losses = [
        metrics(go(calls(), tmp_path, STILL, epochs=1, learning_rate=1e-12, batch_recordings=size, accumulation=1))[0]
        for size in (13, 12)
    ]
    assert losses[0]["train_loss"] == pytest.approx(losses[1]["train_loss"], rel=1e-5)


def test_balanced_class_weights_change_the_loss_of_uneven_classes_only(tmp_path):
    def first_loss(labels, class_weights):
        store = store_of(labels * 2, ["train"] * len(labels) + ["val"] * len(labels))
        only_five = {"tasks": "five", "epochs": 1, "batch_recordings": 20, "accumulation": 1}
        return metrics(go(store, tmp_path, STILL, class_weights=class_weights, **only_five))[0]["train_loss"]

    even, uneven = [0, 1, 2, 3, 4], [0, 0, 0, 0, 1, 2, 3, 4]
    assert first_loss(even, "balanced") == pytest.approx(first_loss(even, "none"), rel=1e-6)
    assert abs(first_loss(uneven, "balanced") - first_loss(uneven, "none")) > 1e-4


def test_tasks_of_segments_and_real_values_are_learnt(tmp_path):
    trained = go(segment_store(), tmp_path, STILL, epochs=60, patience=0, batch_recordings=7, accumulation=1)
    lines = metrics(trained)
    assert lines[-1]["train_loss"] < 0.3 * lines[0]["train_loss"]
    assert trained.best["val/emotion/accuracy"] == 1.0
    assert trained.best["val/strength/mae"] < 0.5


def test_a_store_of_real_values_is_selected_by_their_error(tmp_path):
    trained = go(segment_store(), tmp_path, tasks="strength")
    assert trained.select == "mae"
    assert trained.best["selected"] == pytest.approx(min(line["val/strength/mae"] for line in metrics(trained)))


def test_without_mtl_the_finest_task_alone_is_learnt(tmp_path):
    trained = go(calls(), tmp_path, dataclasses.replace(MODEL, mtl=False))
    assert [name for name in trained.best if name.startswith("val/")] == ["val/five/accuracy"]
    assert list(predict(trained.run.path, calls(), "test").outputs) == ["five"]


def test_the_best_epoch_is_the_one_with_the_highest_figure_then_the_lowest_loss(tmp_path):
    figures = iter([0.5, 0.7, 0.7, 0.6])
    trained = go(calls(), tmp_path, score=lambda *given: {"five/accuracy": next(figures)}, epochs=4)
    lines = metrics(trained)
    ranks = [(line["selected"], -line["val_loss"]) for line in lines]
    assert trained.best_epoch == 1 + ranks.index(max(ranks)) != 1
    assert [line["selected"] for line in lines] == [0.5, 0.7, 0.7, 0.6]


def test_training_stops_when_validation_gets_no_better(tmp_path):
    figures = iter([0.5, 0.9, 0.1, 0.2, 0.3, 0.4])
    said = []
    trained = go(
        calls(), tmp_path, score=lambda *given: {"five/accuracy": next(figures)}, epochs=9, patience=2, say=said.append
    )
    assert (trained.status, trained.epochs, trained.best_epoch) == ("stopped early", 4, 2)
    assert said[-1] == "stopped early: epoch 2 is still the best after 2 more"


def test_a_figure_that_is_no_number_is_never_the_best(tmp_path):
    figures = iter([math.nan, 0.1, math.nan])
    trained = go(calls(), tmp_path, score=lambda *given: {"five/accuracy": next(figures)})
    assert trained.best_epoch == 2
    assert [line["selected"] for line in metrics(trained)] == [None, 0.1, None]


def test_the_test_split_is_never_read(tmp_path):
    store = calls()
    go(store, tmp_path)
    test_rows = set(np.flatnonzero(store.segments["split"] == "test"))
    assert test_rows and not test_rows & set(store.seen)


def test_views_are_learnt_from_and_never_validated_on(tmp_path):
    store, said = calls(), []
    learnt = store.segments.index[store.segments["split"] == "train"]
    store.segments = pd.concat([store.segments, store.segments.loc[learnt].assign(view="noise")], ignore_index=True)
    for rows in store.features.values():
        rows += [rows[row] for row in learnt]
    go(store, tmp_path, epochs=1, say=said.append)
    assert said[1].startswith(
        "learns from 13 recordings in 2 views, 26 in all (50 segments) of split train, is judged by 7 recordings (14"
    )
    go(store, tmp_path, epochs=1, views="original", say=said.append)
    assert any(line.startswith("learns from 13 recordings (25 segments)") for line in said)
    with pytest.raises(StoreError, match="has no view mask of split train, only original, noise"):
        go(store, tmp_path, views="mask")


def test_training_and_validation_may_have_other_names(tmp_path):
    store = calls()
    store.segments["split"] = store.segments["split"].replace({"val": "dev"})
    assert go(store, tmp_path, validation_split="dev").status == "finished"


def test_progress_tells_learning_from_validation(tmp_path):
    seen = []

    @contextmanager
    def track(description, total, unit="items"):
        counts = []
        yield counts.append
        seen.append((description, total, sum(counts), unit))

    go(calls(), tmp_path, track=track, epochs=2)
    assert seen == [
        ("epoch 1", 13, 13, "recordings"),
        ("epoch 1, validation", 7, 7, "recordings"),
        ("epoch 2", 13, 13, "recordings"),
        ("epoch 2, validation", 7, 7, "recordings"),
    ]


def test_training_says_which_store_it_took(tmp_path):
    said = []
    go(calls(), tmp_path, epochs=1, say=said.append)
    assert said[0].endswith(", from store memory.zarr (dataset made)")


def test_without_mtl_the_tasks_that_follow_from_the_trained_one_select_as_well(tmp_path):
    trained = go(calls(), tmp_path, dataclasses.replace(MODEL, mtl=False), score=figures_of_all, epochs=1)
    own = {name: value for name, value in trained.best.items() if name.endswith("/accuracy")}
    assert list(own) == [f"val/{task.name}/accuracy" for task in TASKS]
    assert trained.best["selected"] == pytest.approx(np.mean(list(own.values())))
    assert len(set(own.values())) > 1


def test_weight_decay_holds_for_norms_and_biases_too(tmp_path):
    """Where nothing is learnt but decay, all weights shrink by the same factor."""
    settings = {"epochs": 1, "schedule": "constant", "warmup": 0.0, "learning_rate": 1e-6, "weight_decay": 1e4}
    before = learner.build(job_for(calls(), MODEL, TRAIN).settings)
    after = weights(go(calls(), tmp_path, **settings))
    shrunk = (1 - 1e-6 * 1e4) ** 3  # three steps: 13 recordings, 6 a step
    for name, value in before.state_dict().items():
        if name.endswith("norm.weight"):
            torch.testing.assert_close(after[name], value * shrunk, rtol=0, atol=1e-5)


def test_a_partial_last_step_weighs_its_recordings_more():
    objective = Objective(TASKS[:1])
    outputs, labels = {"five": torch.zeros(1, 5)}, {"five": torch.tensor([0])}
    one_of_six = objective.loss(outputs, labels, objective.weights({"five": np.zeros(6, int)}))
    one_alone = objective.loss(outputs, labels, objective.weights({"five": np.zeros(1, int)}))
    assert float(one_alone) == pytest.approx(6 * float(one_of_six))


def test_each_epoch_says_a_line(tmp_path):
    said = []
    trained = go(calls(), tmp_path, say=said.append)
    assert said[0].startswith(f"run {trained.run.path}: 0.0 million weights on cpu")
    assert said[1] == (
        "learns from 13 recordings (25 segments) of split train, is judged by 7 recordings (14 segments) of split val"
    )
    assert [line.split(":")[0] for line in said[2:]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]


def test_segments_left_out_are_listed_and_counted(tmp_path):
    store = calls()
    store.features["hubert"][1] = None
    with pytest.raises(StoreError, match="1 of 25 segments of split train"):
        go(store, tmp_path)
    assert not list(tmp_path.iterdir())
    said = []
    trained = go(store, tmp_path, skip_missing=True, say=said.append)
    assert "segment_id,recording_id,split,reason" in (trained.run.path / "left-out.csv").read_text()
    assert any(line.startswith("left out: 1 segments without features") for line in said)
    assert len(trained.left_out) == 1


@pytest.mark.parametrize(
    "spoil, settings, error, said",
    [
        (lambda store: store.specs.clear(), {}, StoreError, "has no text feature"),
        (lambda store: None, {"validation_split": "dev"}, StoreError, "has no segments in split dev"),
        (lambda store: None, {"tasks": "six"}, SettingError, "there is no task six"),
        (lambda store: None, {"select": "mae"}, SettingError, "select cannot be mae, for all tasks have classes"),
        (
            lambda store: store.segments.__setitem__("label_five", 0),
            {},
            StoreError,
            "has only class A of task five",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(tmp_path, spoil, settings, error, said):
    store = calls()
    spoil(store)
    with pytest.raises(error, match=said):
        go(store, tmp_path / "runs", **settings)
    assert not (tmp_path / "runs").exists()


def test_heads_that_do_not_fit_the_features_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(SettingError, match="heads must divide the width"):
        go(calls(), tmp_path / "runs", ModelConfig())
    assert not (tmp_path / "runs").exists()


def test_a_validation_split_without_labels_is_refused(tmp_path):
    store = segment_store()
    store.segments.loc[store.segments["split"] == "val", "label_emotion"] = -1
    with pytest.raises(SettingError, match="split val .* has no label to select an epoch by"):
        go(store, tmp_path, tasks="emotion")


def test_a_loss_that_is_no_number_says_where_it_came_from(tmp_path):
    store = calls()
    store.features["hubert"][5][0, 0] = np.nan
    with pytest.raises(RunError, match="loss is nan in epoch 1, step .*: the hubert features of segment s5 are not"):
        go(store, tmp_path)


def test_a_loss_that_explodes_names_the_learning_rate(tmp_path):
    with pytest.raises(RunError, match=r"in epoch \d, step \d: lower --learning-rate \(now 1e\+30\)"):
        go(calls(), tmp_path, learning_rate=1e30, warmup=0.0, clip_norm=0.0)


def test_features_of_validation_that_are_no_numbers_are_named(tmp_path):
    store = calls()
    row = int(np.flatnonzero(store.segments["split"] == "val")[0])
    store.features["roberta"][row][0, 0] = np.inf
    with pytest.raises(RunError, match=f"on split val is nan after epoch 1: the roberta features of segment s{row}"):
        go(store, tmp_path)


def test_a_gpu_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingError, match="there is no GPU that torch can use: choose --device cpu"):
        go(calls(), tmp_path, device="cuda")


def test_bfloat16_trains_on_a_cpu(tmp_path):
    assert math.isfinite(metrics(go(calls(), tmp_path, precision="bfloat16", epochs=1))[0]["val_loss"])


@pytest.mark.parametrize("modalities", ["text", "audio"])
def test_one_modality_needs_no_features_of_the_other(tmp_path, modalities):
    store = calls()
    other = {"text": "hubert", "audio": "roberta"}[modalities]
    del store.specs[other], store.features[other]
    assert go(store, tmp_path, dataclasses.replace(MODEL, modalities=modalities), epochs=1).status == "finished"


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_training_finds_the_only_modality_that_a_store_has_and_says_so(tmp_path, modality):
    store = calls()
    other = {"text": "hubert", "audio": "roberta"}[modality]
    del store.specs[other], store.features[other]
    said: list[str] = []
    trained = go(store, tmp_path, epochs=1, say=said.append)
    assert trained.run.settings.model.modalities == modality and list(trained.run.settings.slots) == [modality]
    assert any(f"has features of {modality} alone" in line for line in said)
    with pytest.raises(StoreError, match="train without it"):
        go(store, tmp_path, dataclasses.replace(MODEL, modalities="both"), epochs=1)


def test_a_run_on_both_modalities_says_so_in_its_settings_whatever_auto_means_later(tmp_path):
    trained = go(calls(), tmp_path, epochs=1)
    assert trained.run.settings.model.modalities == "both" and trained.run.name.endswith("-full")


def test_a_recording_of_many_segments_trains_whole(tmp_path):
    store = store_of([0, 3, 1, 4], ["train", "train", "val", "val"], segments=[33, 2, 31, 1])
    assert go(store, tmp_path, epochs=1, tasks="five").status == "finished"


def test_the_learning_rate_rises_then_falls():
    def rates(**settings):
        config = TrainConfig(learning_rate=1.0, **settings)
        return [learning_rate_at(step, 10, config) for step in range(10)]

    assert rates(schedule="constant", warmup=0.0) == [1.0] * 10
    assert rates(schedule="linear", warmup=0.2) == pytest.approx([0.5, 1, *(left / 8 for left in range(8, 0, -1))])
    cosine = rates(schedule="cosine", warmup=0.2)
    assert cosine[2] == 1.0 and cosine[6] == pytest.approx(0.5)
    assert cosine == sorted(cosine[:2]) + sorted(cosine[2:], reverse=True)


def test_every_optimizer_step_has_its_own_rate(tmp_path):
    lines = metrics(go(calls(), tmp_path, schedule="linear", warmup=0.0))  # 13 recordings: 3 steps an epoch
    assert [line["learning_rate"] for line in lines] == pytest.approx([0.01 * left / 9 for left in (7, 4, 1)])


def test_clipping_holds_the_gradient(tmp_path, monkeypatch):
    asked = []
    clip = torch.nn.utils.clip_grad_norm_

    def spy(parameters, largest):
        parameters = list(parameters)
        norm = clip(parameters, largest)
        asked.append((largest, float(torch.nn.utils.get_total_norm([p.grad for p in parameters]))))
        return norm

    monkeypatch.setattr(learner.torch.nn.utils, "clip_grad_norm_", spy)
    go(calls(), tmp_path, epochs=1, clip_norm=0.1)
    assert asked and all(largest == 0.1 and norm < 0.101 for largest, norm in asked)
    asked.clear()
    go(calls(), tmp_path, epochs=1, clip_norm=0.0)
    assert all(largest == math.inf and norm > 0.101 for largest, norm in asked)


def test_fast_settings_are_not_the_defaults():
    assert all(getattr(TrainConfig(), name) != value for name, value in FAST.items() if name != "accumulation")
