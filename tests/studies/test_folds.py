"""An ablation over all folds of a scheme: what is trained, what is pooled of it, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from msmt.errors import SettingError, StoreError
from msmt.features.opening import open_store
from msmt.features.tasks import Task
from msmt.studies import ablations
from msmt.studies.ablations import ablate
from msmt.studies.folds import folds_of_plan, lacking_classes, over_folds
from msmt.tests.features import made as on_disk
from msmt.tests.studies.made import FOLDS, RECORDINGS, Trainer, csv_of, folded_store, splits_of_fold
from msmt.train.config import TrainConfig
from msmt.train.plans import read_plan
from msmt.train.trained import FAILED, INTERRUPTED

PLAN = "scheme: folds\nvariants: {full: {}, no-mtl: {mtl: false}}"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return folded_store(tmp_path_factory.mktemp("stores") / "made.zarr")


@pytest.fixture
def go(store, tmp_path, monkeypatch):
    """Runs a plan with a trainer that only pretends."""

    def run(trainer=None, plan=PLAN, options=(), seeds="", path=store, split="test", **more):
        trainer = trainer or Trainer(lambda name, recording: recording < 12)
        monkeypatch.setattr(ablations.ablation, "run_plan", trainer.run_plan)
        monkeypatch.setattr(ablations, "scores_of", trainer.scores_of)
        (tmp_path / "plan.yaml").write_text(plan)
        given = (tmp_path / "plan.yaml", "", dict(options), seeds, path, tmp_path / "out", split, 0)
        return ablate(*given, **{"say": lambda line: None, **more})

    return run


def test_every_variant_and_seed_is_trained_on_every_fold(go):
    trainer = Trainer(lambda name, recording: True)
    ablated = go(trainer, seeds="2")
    names = [f"{variant}-{fold}" for variant in ("full", "no-mtl") for fold in FOLDS]
    assert trainer.trained == [(name, seed) for seed in (0, 1) for name in names]
    assert {outcome.run.settings.train.name for outcome in ablated.outcomes} == {
        f"{name}-seed{seed}" for name in names for seed in (0, 1)
    }


def test_the_figures_are_of_every_recording_once(go, tmp_path):
    ablated = go()
    assert ablated.comparison.recordings["five"] == RECORDINGS and ablated.comparison.folds == FOLDS
    table = csv_of(tmp_path / "out")
    assert table.loc["full", "five_accuracy_mean"] == 12 / 24
    assert table.loc["full", ["five_accuracy_fold1", "five_accuracy_over_folds_mean"]].tolist() == [4 / 8, 0.5]
    assert "full-fold3-seed0" in table.loc["full", "runs"] and "3 folds" in ablated.table()


def test_how_to_run_each_fold_again_is_kept(go, tmp_path):
    go()
    commands = csv_of(tmp_path / "out").loc["no-mtl", "command"].split("; ")
    assert len(commands) == 3 and all(f"--scheme {fold}" in line for fold, line in zip(FOLDS, commands, strict=True))
    assert json.loads((tmp_path / "out" / "plan.json").read_text())["variants"]["full"]["scheme"] == "folds"


def test_the_command_line_is_over_the_plan(go):
    assert go(plan="variants: {full: {}}", options={"scheme": "folds"}).comparison.folds == FOLDS
    assert go(options={"scheme": "fold2"}).comparison.folds == ()


def test_one_fold_is_a_way_of_splitting_like_any_other(go, tmp_path):
    ablated = go(plan=PLAN.replace("folds", "fold2"))
    assert ablated.comparison.recordings["five"] == 8 and "on the split test of fold2" in ablated.table()
    assert "full-seed0" == csv_of(tmp_path / "out").loc["full", "runs"]


def test_what_is_true_of_all_runs_is_said_once(go, store):
    class Talking(Trainer):
        def run_plan(self, plan, out, score, together, track, say, after_each):
            for variant in plan.variants:
                say(f"{variant.name}: splits are not apart: train and val share 2 speakers: amy, bob")
                say(f"{variant.name}: {store} has features of audio alone: the network learns from these")
                say(f"{variant.name}: stopped early: epoch 1 is still the best after 8 more")
            return super().run_plan(plan, out, score, together, track, say, after_each)

    lines = []
    go(Talking(lambda name, recording: True), say=lines.append)
    counts = [sum(words in line for line in lines) for words in ("share 2 speakers", "audio alone", "stopped early")]
    assert counts == [1, 1, 6]


class TestFailures:
    def test_a_fold_that_failed_leaves_its_seed_without_a_pooled_figure(self, go, tmp_path):
        broken = {("full-fold2", 1): (FAILED, "out of memory.")}
        ablated = go(Trainer(lambda name, recording: True, broken), seeds="2")
        assert csv_of(tmp_path / "out").loc[["full", "no-mtl"], "seeds"].tolist() == [1, 2]
        assert "full, seed 1, is not pooled: fold2 failed: out of memory." in ablated.table()
        assert [outcome.variant.name for outcome in ablated.failed] == ["full-fold2"]

    def test_a_variant_without_any_whole_seed_has_a_row_that_says_why(self, go, tmp_path):
        broken = {("full-fold2", 0): (FAILED, "out of memory"), ("full-fold3", 0): (FAILED, "later")}
        ablated = go(Trainer(lambda name, recording: True, broken))
        assert ablated.failures == {"full": "fold2 failed: out of memory"}
        assert csv_of(tmp_path / "out").loc["full", "seeds"] == 0
        assert "No seed of full has a result: fold2 failed: out of memory." in ablated.table()

    def test_an_interruption_leaves_no_table(self, go, tmp_path):
        ablated = go(Trainer(lambda name, recording: True, {("full-fold3", 0): (INTERRUPTED, "")}))
        assert ablated.is_interrupted and not (tmp_path / "out" / "ablation.csv").exists()


class TestClasses:
    """Class B, of the recordings 1, 6, 11, 16 and 21, is tested in the first fold alone, and E in the last alone."""

    @pytest.fixture(scope="class")
    def odd(self, tmp_path_factory):
        home = {index: 0 if index % 5 == 1 else 1 + index % 2 for index in range(RECORDINGS)}
        by_recording = {
            name: ["test" if home[index] == fold else "train" if index % 4 else "val" for index in range(RECORDINGS)]
            for fold, name in enumerate(FOLDS)
        }
        return folded_store(tmp_path_factory.mktemp("odd") / "odd.zarr", by_recording)

    def test_a_fold_that_lacks_one_in_training_is_named(self, odd):
        config = TrainConfig(scheme="fold1")
        said = lacking_classes(open_store(odd), config)
        assert said.startswith("fold1 has no recording of class B of task five in its split train: ")
        assert not lacking_classes(open_store(odd), TrainConfig(scheme="fold1", tasks="two"))
        assert not lacking_classes(open_store(odd), TrainConfig(scheme="fold2"))

    def test_where_no_variant_is_left_nothing_is_trained(self, odd, go, tmp_path):
        trainer = Trainer(lambda name, recording: True)
        with pytest.raises(StoreError, match="odd.zarr: fold1 has no recording of class B of task five") as raised:
            go(trainer, path=odd)
        assert not trainer.trained and not (tmp_path / "out").exists() and "\n" not in str(raised.value)

    def test_variants_that_do_not_learn_the_task_go_on(self, odd, go):
        trainer = Trainer(lambda name, recording: True)
        ablated = go(trainer, "scheme: folds\nvariants: {full: {}, two: {tasks: two}}", path=odd)
        assert {name for name, _ in trainer.trained} == {f"two-{fold}" for fold in FOLDS}
        assert "fold1 failed: fold1 has no recording of class B" in ablated.failures["full"]
        assert [row.variant for row in ablated.comparison.rows] == ["two"]

    def test_one_that_the_corpus_does_not_have_is_not_missed(self, go, tmp_path):
        labels = [index // 3 % 4 for index in range(on_disk.ROWS)]  # no E
        path = folded_store(tmp_path / "four.zarr", label_five=labels, label_two=[int(label > 2) for label in labels])
        assert go(path=path).comparison.recordings["five"] == RECORDINGS


class TestSpeakers:
    def test_who_speaks_in_two_folds_is_one(self, go, tmp_path):
        path = folded_store(tmp_path / "s.zarr", speaker=[f"s{row // 3 % 4}" for row in range(on_disk.ROWS)])
        assert go(path=path, resample="speaker").comparison.units["five"] == 4

    def test_a_fold_of_one_speaker_will_do(self, go, tmp_path):
        path = folded_store(tmp_path / "s.zarr", speaker=[f"s{row // 3 % 3}" for row in range(on_disk.ROWS)])
        assert go(path=path, resample="speaker").comparison.units["five"] == 3


def refused(go, said: str, **more) -> None:
    trainer = Trainer(lambda name, recording: True)
    with pytest.raises(SettingError) as raised:
        go(trainer, **more)
    assert said in str(raised.value) and "\n" not in str(raised.value) and not trainer.trained


class TestRefused:
    def test_a_scheme_that_the_store_does_not_have(self, go):
        said = "has no scheme 'parts', it has folds, standard, fold1, fold2, fold3; msmt split makes others"
        refused(go, said, plan=PLAN.replace("folds", "parts"))

    def test_folds_of_which_there_is_one(self, go, tmp_path):
        path = folded_store(tmp_path / "one.zarr", {"fold1": splits_of_fold(0)})
        refused(go, "folds has one fold, fold1, so there is nothing to pool", path=path)

    def test_variants_of_several_schemes(self, go):
        plan = "variants: {full: {scheme: folds}, other: {}}"
        refused(go, "variant full has the scheme folds and other has standard", plan=plan)

    def test_recordings_that_are_tested_twice_or_never(self, go, tmp_path):
        by_recording = {name: splits_of_fold(index) for index, name in enumerate(FOLDS)}
        by_recording["fold2"][0] = "test"
        path = folded_store(tmp_path / "twice.zarr", by_recording)
        refused(go, "recording r0 is in the split test of fold1 and of fold2", path=path)
        by_recording["fold1"][0] = "train"
        by_recording["fold2"][0] = "train"
        path = folded_store(tmp_path / "never.zarr", by_recording)
        refused(go, "1 of 24 recordings are in the split test of no fold, the first is r0", path=path)

    def test_segments_that_are_tested_twice_or_never_where_segments_have_the_labels(self, go, tmp_path):
        """Three segments of each recording: the first two are tested by one fold each, the last by none, or both."""
        tasks = (Task("mood", ("low", "high"), "segment"),)
        part = np.arange(on_disk.ROWS) % 3

        def stored(name: str, first, second):
            splits = [np.where(np.isin(part, tested), "test", "train").astype(object) for tested in (first, second)]
            columns = {"scheme_one": splits[0], "scheme_other": splits[1], "label_mood": np.arange(on_disk.ROWS) % 2}
            by_recording = {"one": splits_of_fold(0), "other": splits_of_fold(1)}
            return folded_store(tmp_path / name, by_recording, {"parts": ["one", "other"]}, tasks, **columns)

        plan = "scheme: parts\nvariants: {full: {}}"
        twice = stored("twice.zarr", [0, 2], [1, 2])
        refused(go, "segment s2 is in the split test of one and of other", path=twice, plan=plan)
        never = stored("never.zarr", [0], [1])
        refused(go, "23 of 70 segments are in the split test of no fold, the first is s11", path=never, plan=plan)
        once = stored("once.zarr", [0], [1, 2])
        (tmp_path / "plan.yaml").write_text(f"store: {once}\n{plan}")
        asked = read_plan(tmp_path / "plan.yaml", {})
        folded = over_folds(asked, folds_of_plan(asked, {once: open_store(once)}), {once: open_store(once)}, "test")
        assert [variant.train.scheme for variant in folded.plan.variants] == ["one", "other"]

    def test_a_split_that_folds_do_not_have(self, go):
        refused(go, "has no split holdout in fold1: choose --split from test, val, train", split="holdout")

    def test_variants_whose_folds_would_be_called_alike(self, go, tmp_path):
        by_recording = {name: splits_of_fold(index) for index, name in enumerate(("x", "a-x", "y"))}
        path = folded_store(tmp_path / "alike.zarr", by_recording)
        refused(go, "v-a-x would be the name of two runs", plan="scheme: folds\nvariants: {v: {}, v-a: {}}", path=path)
