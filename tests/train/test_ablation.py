"""Ablations: what a plan means, what is trained of it, and what is not trained again."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from msmt.errors import SettingError, StoreError
from msmt.features.opening import open_store, writer_for
from msmt.features.rows import block_range
from msmt.studies.systems.presets import preset_plan
from msmt.studies.systems.registry import system_named
from msmt.tests.features import made as on_disk
from msmt.tests.train.made import FAST, SMALL, calls, quiet, score
from msmt.tests.train.test_loop import Interrupting, same_weights
from msmt.train import ablation, plans
from msmt.train.ablation import run_plan
from msmt.train.plans import Plan, read_plan, seeds_from, variants_of
from msmt.train.config import ModelConfig, TrainConfig
from safetensors.torch import load_file

OPTIONS = {**SMALL, **FAST}
VARIANTS = {"full": {}, "no-mtl": {"mtl": False}, "text": {"modalities": "text"}}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store on disk with the splits that training asks for."""
    path = tmp_path_factory.mktemp("stores") / "made.zarr"
    splits = ["train"] * 42 + ["val"] * 12 + ["test"] * 16
    on_disk.make_store(path, split=splits, label_two=on_disk.table()["label_two"])
    return path


def plan_of(store: Path, variants=None, seeds=(0,), **options) -> Plan:
    return Plan(variants_of(variants or VARIANTS, {**OPTIONS, **options}, "plan"), seeds, store)


def go(plan, out, **more):
    return run_plan(plan, out, score, say=more.pop("say", quiet), **more)


def weights_of(outcome):
    return load_file(outcome.run.path / "best.safetensors")


def load_file_of(plan, out, outcome):
    """The weights that an outcome's variant and seed come to by themselves."""
    (alone,) = go(dataclasses.replace(plan, variants=(outcome.variant,), seeds=(outcome.seed,)), out)
    return weights_of(alone)


def written(tmp_path, text: str, name: str = "plan.yaml") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


class TestPlans:
    def test_options_for_all_hold_where_a_variant_does_not_say_otherwise(self, tmp_path):
        text = """
            seeds: 2
            epochs: 20
            learning-rate: 1e-3
            variants: {full: , short: {epochs: 3}}
        """
        plan = read_plan(written(tmp_path, text), {"epochs": 7})
        assert [variant.name for variant in plan.variants] == ["full", "short"]
        assert [variant.train.epochs for variant in plan.variants] == [7, 3]
        assert plan.variants[0].train.learning_rate == 1e-3 and plan.seeds == (0, 1)

    def test_a_plan_may_be_json_and_name_stores_and_the_papers_rows(self, tmp_path):
        content = {"store": "a.zarr", "variants": {"x": {"store": "b.h5", "paper": "MMML"}, "y": {}}}
        plan = read_plan(written(tmp_path, json.dumps(content), "plan.json"), {}, "4,2")
        assert (plan.store, plan.seeds) == (Path("a.zarr"), (4, 2))
        assert (plan.variants[0].store, plan.variants[0].paper) == (Path("b.h5"), "MMML")

    def test_what_was_run_can_be_run_again(self, tmp_path):
        plan = read_plan(written(tmp_path, "store: s.zarr\nseeds: [3]\nvariants: {a: {mtl: false}, b: {}}"), {})
        assert read_plan(written(tmp_path, json.dumps(plan.to_json()), "again.json"), {}) == plan

    @pytest.mark.parametrize(
        "text, said",
        [
            ("", "must have variants"),
            ("variants: []", "must have variants"),
            ("variants: {}", "must have variants"),
            ("\tvariants: {}", "is not valid"),
            ("variants: {a: 3}", "variant a must be options by name"),
            ("variants: {a: {mlt: false}}", "variant a sets 'mlt', which is no option of msmt train"),
            ("variants: {a: {seed: 3}}", "variant a sets seed, which a plan sets for each run"),
            ("name: x\nvariants: {a: {}}", "sets name, which a plan sets for each run"),
            ("variants: {a: {epochs: 0}}", "variant a: epochs must be at least 1, but is 0"),
            ("variants: {a: {epochs: many}}", "variant a: epochs must be of type int"),
            ("variants: {a: {learning_rate: fast}}", "variant a: learning_rate must be of type float"),
            ("variants: {a: {pooling: max}}", "variant a: pooling must be one of"),
            ("seeds: 0\nvariants: {a: {}}", "seeds must be how many, or different numbers from 0"),
            ("seeds: 3.7\nvariants: {a: {}}", "seeds must be how many"),
            ("seeds: true\nvariants: {a: {}}", "seeds must be how many"),
            ("seeds: [0.5, 1]\nvariants: {a: {}}", "seeds must be how many"),
            ("variants: {1: {}, '1': {mtl: false}}", "is not valid ('1' stands there twice)"),
            ("variants: {a: {mtl: false}, b: {}, a: {}}", "is not valid ('a' stands there twice)"),
            ("epochs: 3\nvariants: {a: {}}\nepochs: 4", "is not valid ('epochs' stands there twice)"),
            ("store: 3\nvariants: {a: {}}", "store must be a path, but is 3"),
            ("variants: {a: {store: [x]}}", "variant a: store must be a path, but is ['x']"),
            ("seeds: [1, 1]\nvariants: {a: {}}", "seeds must be how many, or different numbers from 0"),
            ("seeds: 100000000\nvariants: {a: {}}", "seeds must be 1,000 at most, but are 100000000"),
            ("seeds: [9223372036854775808]\nvariants: {a: {}}", "seeds must be how many"),
            ("seeds: &x [1]\nvariants: {a: {}}", "line 1 has an anchor or an alias"),
            ("[1, 2]: 3\nvariants: {a: {}}", "line 1 has a name that is no text"),
            ('variants: {"a\\nb": {}}', "must be text in one line, but holds the character U+000A: 'a\\nb'"),
            ('variants: {"a\\e[31m": {}}', "must be text in one line, but holds the character U+001B"),
            ("variants: {null: {}}", "line 1 has a blank name"),
            ('variants: {"": {}}', "the name of a variant must be text of 1 to 500 characters, but is ''"),
            (f"variants: {{'{'x' * 501}': {{}}}}", "the name of a variant must be text of 1 to 500 characters"),
            ("variants: {%s}" % ", ".join(f"v{number}: {{}}" for number in range(1001)), "has 1,001 variants"),
            ("epochs:\nvariants: {a: {}}", "variant a: epochs is blank: give it a value, or leave it out"),
            ("variants: {a: {store: }}", "variant a: store must be a path, but is None"),
            ("variants: {a: {paper: 3}}", "variant a: paper must be of type str, but is 3"),
            ("variants: {a: {paper: }}", "variant a: paper is blank"),
            ("variants: {a: {heads: 4.9}}", "variant a: heads must be of type int, but is 4.9"),
            ("variants: {a: {epochs: true}}", "variant a: epochs must be of type int, but is True"),
            ("variants: {a: {mtl: no}}", "variant a: mtl must be of type bool, but is 'no'"),
            ("variants: {a: {clip_norm: 1e400}}", "variant a: clip_norm must be at least 0, but is inf"),
            (f"variants: {{a: {{epochs: 1{'0' * 400}}}}}", "variant a: epochs must be at most 1000000, but is 10000"),
            ("variants: {a: {gru_layers: 1000000000}}", "variant a: gru_layers must be at most 256"),
            ("variants: {a: {gru-layers: 1, gru_layers: 2}}", "variant a sets 'gru-layers' twice, with - and with _"),
        ],
    )
    def test_what_is_no_plan_is_refused_in_one_line_that_names_the_file(self, tmp_path, text, said):
        with pytest.raises(SettingError) as caught:
            read_plan(written(tmp_path, text), {})
        assert said in str(caught.value) and "plan.yaml" in str(caught.value) and "\n" not in str(caught.value)

    def test_names_of_variants_are_what_is_written(self, tmp_path):
        plan = read_plan(written(tmp_path, "variants: {1: {}, true: {}, no: {}, 1.50: {}}"), {})
        assert [variant.name for variant in plan.variants] == ["1", "true", "no", "1.50"]

    def test_a_plan_of_too_many_runs_is_refused(self, tmp_path):
        text = "seeds: 1000\nvariants: {%s}" % ", ".join(f"v{number}: {{}}" for number in range(11))
        with pytest.raises(SettingError, match="11,000 runs are too many for one ablation"):
            read_plan(written(tmp_path, text), {})

    def test_a_folder_or_a_huge_file_is_no_plan(self, tmp_path):
        with pytest.raises(SettingError, match="cannot be read .Is a directory"):
            read_plan(tmp_path, {})
        with pytest.raises(SettingError, match="has over 1,000,000 bytes"):
            read_plan(written(tmp_path, "#" * 1_000_001), {})

    def test_seeds_are_how_many_or_which(self):
        assert seeds_from(3, "seeds") == seeds_from("3", "seeds") == (0, 1, 2)
        assert seeds_from("3,", "seeds") == seeds_from([3], "seeds") == (3,)
        assert seeds_from("0,7,9", "seeds") == (0, 7, 9)
        for wrong in ("x", "-1", "1,x", "", [-1], None):
            with pytest.raises(SettingError, match="seeds must be how many"):
                seeds_from(wrong, "seeds")

    def test_a_plan_that_is_not_utf_8_is_refused(self, tmp_path):
        (tmp_path / "plan.yaml").write_bytes("variants: {é: {}}".encode("latin-1"))
        with pytest.raises(SettingError, match="is not UTF-8"):
            read_plan(tmp_path / "plan.yaml", {})

    def test_any_name_makes_a_folder_of_its_own(self, tmp_path):
        names = ("a-b", "a b", "a/b", "无", "../up", "...", "x" * 50, "x" * 300, "无" * 90, "无" * 91)
        stems = [variants_of({name: {}}, {}, "plan")[0].settings_for(2).name for name in names]
        assert len(set(stems)) == len(names) and stems[0] == "a-b-seed2" and stems[3] == "无-seed2"
        for stem in stems:
            (tmp_path / f"20261121-000000-{stem}").mkdir()


class TestRuns:
    def test_every_variant_is_trained_with_every_seed_and_none_twice(self, tmp_path, store):
        said = []
        plan = plan_of(store, seeds=(0, 5))
        outcomes = go(plan, tmp_path, say=said.append)
        assert [(each.variant.name, each.seed) for each in outcomes] == [
            (name, seed) for seed in (0, 5) for name in VARIANTS
        ]
        assert all(each.is_done for each in outcomes)
        assert sum("runs in one pass" in line for line in said) == 2  # seeds see other batches
        before = {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()}
        again = go(plan, tmp_path)
        assert [each.run for each in again] == [each.run for each in outcomes]
        assert {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()} == before

    def test_one_run_is_counted_as_one(self, tmp_path, store):
        said = []
        go(plan_of(store, {"full": {}}), tmp_path, say=said.append)
        assert said[0] == "1 run in one pass: full-seed0"

    def test_an_interrupted_plan_goes_on_to_the_same_results(self, tmp_path, store):
        plan = plan_of(store, seeds=(0, 1))
        whole = go(plan, tmp_path / "whole")
        cut = go(plan, tmp_path / "cut", track=Interrupting("2 of 3 runs"))
        assert [each.status for each in cut] == ["interrupted"] * 3 + ["not begun"] * 3
        resumed = go(plan, tmp_path / "cut")
        assert [each.run for each in resumed][:3] == [each.run for each in cut][:3]
        for one, other in zip(resumed, whole, strict=True):
            assert one.is_done and same_weights(weights_of(one), weights_of(other))

    def test_what_was_finished_before_an_interruption_is_left_as_it_is(self, tmp_path, store):
        plan = plan_of(store, seeds=(0, 1))
        cut = go(plan, tmp_path, track=Interrupting("2 of 3 runs", recordings=10**9))
        assert all(each.is_done for each in cut)
        shutil.rmtree(cut[4].run.path)
        before = {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()}
        again = go(plan, tmp_path)
        assert all(each.is_done for each in again) and again[4].run != cut[4].run
        assert all(path.read_bytes() == content for path, content in before.items())
        assert same_weights(weights_of(again[4]), load_file_of(plan, tmp_path / "alone", again[4]))

    def test_few_runs_at_once_come_to_the_same(self, tmp_path, store):
        together = go(plan_of(store), tmp_path / "all")
        pairs = go(plan_of(store), tmp_path / "pairs", together=2)
        assert all(same_weights(weights_of(a), weights_of(b)) for a, b in zip(together, pairs, strict=True))

    def test_a_variant_that_fails_is_told_and_tried_again(self, tmp_path, store):
        wild = {"learning_rate": 1e30, "warmup": 0.0, "clip_norm": 0.0}
        plan = plan_of(store, {"wild": wild, "full": {}})
        failed, fine = go(plan, tmp_path)
        assert failed.status == "failed" and "lower --learning-rate" in failed.error and fine.is_done
        assert ablation.failed_variants([failed, fine]) == {"wild": failed.error}
        said = []
        again = go(plan, tmp_path, say=said.append)
        assert [each.status for each in again] == ["failed", "finished"]
        assert any("full-seed0: finished before" in line for line in said)
        (alone,) = go(plan_of(store, {"wild": wild}), tmp_path / "alone")
        assert alone.status == "failed"

    def test_variants_that_differ_by_name_alone_are_trained_once(self, tmp_path, store):
        seen = []
        plan = plan_of(store, {"full": {}, "silence kept": {}, "no-mtl": {"mtl": False}})
        outcomes = go(plan, tmp_path, after_each=lambda outcome: seen.append(outcome.variant.name))
        assert [each.variant.name for each in outcomes] == ["full", "silence kept", "no-mtl"]
        assert outcomes[0].run == outcomes[1].run != outcomes[2].run
        assert sorted(seen) == ["full", "no-mtl", "silence kept"]

    def test_a_variant_may_learn_from_another_store(self, tmp_path, store):
        other = tmp_path / "other.h5"
        on_disk.make_store(other, seed=1, split=["train"] * 42 + ["val"] * 12 + ["test"] * 16)
        outcomes = go(plan_of(store, {"here": {}, "there": {"store": str(other)}}), tmp_path / "out")
        assert [each.store for each in outcomes] == [store, other]
        fingerprints = [each.run.environment["store"]["fingerprint"] for each in outcomes]
        assert fingerprints == [open_store(path).fingerprint() for path in (store, other)]

    def test_runs_on_data_that_has_changed_since_do_not_count(self, tmp_path):
        path, splits = tmp_path / "s.zarr", ["train"] * 42 + ["val"] * 12 + ["test"] * 16
        on_disk.make_store(path, split=splits)
        (first,) = go(plan_of(path, {"full": {}}), tmp_path)
        on_disk.make_store(tmp_path / "new.zarr", split=splits, seed=3)
        path.rename(tmp_path / "old.zarr"), (tmp_path / "new.zarr").rename(path)
        (second,) = go(plan_of(path, {"full": {}}), tmp_path)
        assert second.run != first.run

    def test_a_store_may_grow_under_a_finished_plan(self, tmp_path):
        path, splits = tmp_path / "s.zarr", ["train"] * 42 + ["val"] * 12 + ["test"] * 16
        made = on_disk.make_store(path, split=splits)
        plan = plan_of(path, views="original")
        before = go(plan, tmp_path)
        table = on_disk.table(split=splits)
        noisy = pd.concat([table, table[table["split"] == "train"].assign(view="noise")], ignore_index=True)
        noisy = pd.concat([noisy, table.iloc[60:62].assign(segment_id=["x", "y"], split="later")], ignore_index=True)
        with writer_for(path) as writer:
            recipe = {"noise": {"kind": "noise", "seed": 0}}
            specs = {"hubert": dataclasses.replace(on_disk.SPECS["hubert"], views=recipe)}
            specs |= {"roberta": on_disk.SPECS["roberta"], "wavlm": on_disk.spec(weights="wavlm")}
            lengths = {name: np.full(len(noisy), 5) for name in specs}
            writer.prepare("marketcalls", on_disk.TASKS, noisy, specs, lengths)
            for name in specs:
                source = made.get(name, made["hubert"])
                for block in range(-(-len(noisy) // 32)):
                    rows = block_range(block, len(noisy))
                    writer.commit(name, block, {row: source[row % 42 if row >= 70 else row] for row in rows})
            writer.finish()
        said = []
        again = go(plan, tmp_path, say=said.append)
        assert [each.run for each in again] == [each.run for each in before]
        assert said == [f"{each.run.settings.train.name}: finished before, {each.run.path}" for each in before]
        more = go(dataclasses.replace(plan, seeds=(0, 1)), tmp_path)  # which of two audio features is settled
        assert all(each.is_done for each in more) and more[-1].run.settings.slots == {"text": ("roberta",)}
        assert more[-3].run.settings.slots["audio"] == ("hubert",)
        with pytest.raises(SettingError, match="several features for slot audio"):
            go(plan, tmp_path / "anew")

    def test_what_a_store_cannot_serve_is_refused_before_anything_is_trained(self, tmp_path, store):
        with pytest.raises(StoreError, match="has no view noise of split train"):
            go(plan_of(store, {"full": {}, "loud": {"views": "noise"}}), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_torchrun_is_for_single_runs(self, tmp_path, store, monkeypatch):
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(SettingError, match="start it without torchrun"):
            go(plan_of(store), tmp_path)

    def test_the_command_of_a_run_names_what_is_not_a_default(self, store):
        variant = variants_of({"a-b": {"mtl": False, "skip_missing": True}}, {"epochs": 3}, "plan")[0]
        words = shlex.split(plans.command_for(variant, Path("my store.zarr"), 4))
        assert words[:4] == ["msmt", "train", "--store", "my store.zarr"]
        assert words[4:] == ["--no-mtl", "--name", "a-b-seed4", "--seed", "4", "--epochs", "3", "--skip-missing"]


class TestTable6:
    def rows(self, store, options=None):
        plan, notes = preset_plan("table6", store, {**OPTIONS, **(options or {})})
        return {variant.name: variant for variant in plan.variants}, notes

    def test_all_rows_stand_where_the_store_has_what_they_need(self):
        store = calls()
        copies = [
            store.segments[store.segments["split"] == "train"].assign(view=view)
            for view in ("noise", "speed", "mask", "homophone")
        ]
        store.segments = pd.concat([store.segments, *copies], ignore_index=True)
        for rows in store.features.values():
            rows += rows[: sum(map(len, copies))] * 1
        store.specs["hubert-nosilence"] = dataclasses.replace(store.specs["hubert"], silence={"threshold": 0.3})
        store.features["hubert-nosilence"] = store.features["hubert"]
        rows, notes = self.rows(store)
        assert list(rows)[:8] == [
            *("full", "audio-augment", "text-augment", "no-augment", "silence-removed", "silence-kept"),
            *("no-bottleneck-no-mtl", "no-mtl"),
        ]
        assert not notes and all(rows[name].paper for name in list(rows)[:8])
        assert rows["full"].train.view_names == ("original", "noise", "speed", "mask")
        assert rows["text-augment"].train.view_names == ("original", "homophone")
        assert rows["silence-removed"].train.audio_feature == "hubert-nosilence"
        assert rows["silence-kept"].train == rows["full"].train and rows["full"].train.audio_feature == "hubert"
        assert not rows["no-bottleneck-no-mtl"].model.bottleneck and not rows["no-gru"].model.context

    def test_rows_without_data_are_left_out_and_the_command_that_makes_it_is_told(self):
        rows, notes = self.rows(calls())
        assert not {"audio-augment", "text-augment", "silence-removed"} & set(rows)
        assert rows["full"].train.view_names == ("original",) and {"no-mtl", "text-only", "pooling-flatten"} <= set(
            rows
        )
        assert notes[:3] == [
            "audio-augment is left out: add its views with msmt extract --augment noise,speed,mask",
            "text-augment is left out: add its views with msmt extract --augment homophone",
            "silence-removed is left out: add its feature with msmt extract --silence remove",
        ]
        assert "original views" in notes[3]

    def test_the_rows_of_the_preset_are_options_that_exist(self):
        known = {field.name for kind in (ModelConfig, TrainConfig) for field in dataclasses.fields(kind)} | {"paper"}
        rows = [row for preset in system_named("msmt-fn").presets for row in preset.rows]
        assert all(set(row.options) <= known for row in rows)
