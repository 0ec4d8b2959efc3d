"""Chains of variants: what is trained after what, on which vectors, and what a rerun repeats."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from msmt.errors import SettingError
from msmt.features.opening import open_store, writer_for
from msmt.features.rows import Row
from msmt.features.spec import LEARNT_BY
from msmt.progress import silent
from msmt.studies.ablations import ablate
from msmt.tests.features import made as on_disk
from msmt.tests.studies.made import FOLDS, csv_of, folded_store
from msmt.tests.test_cli import run
from msmt.tests.train.made import FAST, quiet, score
from msmt.tests.train.test_loop import Interrupting, same_weights
from msmt.train import ablation as ablation_module
from msmt.train import chains
from msmt.train import embed as embed_module
from msmt.train.ablation import run_plan
from msmt.train.embed import embed
from msmt.train.plans import Plan, read_plan, variants_of, waves_of
from msmt.train.runs import resolve
from safetensors.torch import load_file

FIRST = {"model": "merits-stage1", "hidden": 6, "width": 4, "embeds": "segment"}
SECOND = {"model": "merits-stage2", "gru_width": 3, "heads": 2, "embeds": "context"}
STAGES = {  # the last stands first, as a table would have it
    "both": {
        "model": "merits-stage3",
        "slot": "text=@text-2,audio=@audio-2",
        "width": 4,
        "attention_width": 4,
        "heads": 2,
        "head_width": 6,
    },
    "text-1": {**FIRST, "modalities": "text"},
    "audio-1": {**FIRST, "modalities": "audio"},
    "text-2": {**SECOND, "modalities": "text", "slot": "text=@text-1"},
    "audio-2": {**SECOND, "modalities": "audio", "slot": "audio=@audio-1"},
}
TEXT = {name: STAGES[name] for name in ("text-1", "text-2")}
SPLITS = ["train"] * 42 + ["val"] * 12 + ["test"] * 16
OPTIONS = {**FAST, "epochs": 2}


def make(path: Path) -> Path:
    on_disk.make_store(path, split=SPLITS)
    return path


@pytest.fixture
def store(tmp_path):
    return make(tmp_path / "made.zarr")


def plan_of(store: Path, variants=STAGES, seeds=(0,), **options) -> Plan:
    return Plan(variants_of(variants, {**OPTIONS, **options}, "plan"), seeds, store)


def go(plan, out, **more):
    return run_plan(plan, out, score, say=more.pop("say", quiet), **more)


def weights_of(outcome):
    return load_file(outcome.run.path / "best.safetensors")


def files_of(outcome) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in outcome.run.path.rglob("*") if path.is_file()}


def all_the_same(ones, others) -> bool:
    return all(a.is_done and same_weights(weights_of(a), weights_of(b)) for a, b in zip(ones, others, strict=True))


class InTheSecondWave:
    """A ``track`` with Ctrl-C in the second epoch of the second wave."""

    def __init__(self) -> None:
        self.passes, self.cut = 0, Interrupting("2 of 2 runs")

    def __call__(self, what: str, **more):
        self.passes += what == "epoch 2 of 2 runs"
        return (self.cut if self.passes == 2 else silent)(what, **more)


def change(path: Path, feature: str = "roberta", row: int = 4) -> None:
    """Give one row of a feature other values."""
    with writer_for(path) as writer:
        store = open_store(path)
        lengths = {name: store.lengths(name) for name in store.specs}
        writer.prepare(store.dataset, store.tasks, store.segments, store.specs, lengths)
        writer.commit(feature, row // 32, {row: Row(store.read(feature, row) + np.float16(1), 4711)})
        writer.finish()


def test_stages_are_trained_in_waves_that_share_passes_each_on_vectors_of_its_sources(tmp_path, store):
    said = []
    plan = plan_of(store)
    outcomes = {each.variant.name: each for each in go(plan, tmp_path, say=said.append)}
    assert list(outcomes) == list(STAGES) and all(each.is_done for each in outcomes.values())
    assert [line for line in said if " in one pass" in line] == [
        "2 runs in one pass: text-1-seed0, audio-1-seed0",
        "2 runs in one pass: text-2-seed0, audio-2-seed0",
        "1 run in one pass: both-seed0",
    ]
    names = {name: chains.feature_of(plan.variants, name, 0) for name in STAGES}
    assert dict(outcomes["both"].run.settings.slots) == {"text": (names["text-2"],), "audio": (names["audio-2"],)}
    there = open_store(store)
    made = {name: feature for name, feature in names.items() if name != "both"}
    assert set(there.specs) == {"hubert", "roberta", "vectors", *made.values()}
    for name, feature in made.items():  # and what is there is what their runs make
        assert there.specs[feature].encoder == outcomes[name].run.name
        source = STAGES[name]["embeds"]
        assert embed(outcomes[name].run, store, feature, source).computed == 0


@pytest.mark.parametrize("ending", [".zarr", ".h5"])
def test_a_rerun_trains_and_writes_nothing(tmp_path, ending):
    plan = plan_of(make(tmp_path / f"made{ending}"), TEXT)
    before, fingerprint = go(plan, tmp_path), open_store(plan.store).fingerprint()
    files, said = [files_of(each) for each in before], []
    after = go(plan, tmp_path, say=said.append)
    assert [each.run for each in after] == [each.run for each in before]
    assert [files_of(each) for each in after] == files and open_store(plan.store).fingerprint() == fingerprint
    assert len(said) == 2 and all("finished before" in line for line in said)


class TestInterruptions:
    @pytest.fixture(scope="class")
    def whole(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("whole")
        return go(plan_of(make(folder / "made.zarr")), folder)

    def test_in_a_later_stage(self, tmp_path, store, whole):
        plan = plan_of(store)
        cut = go(plan, tmp_path, track=InTheSecondWave())
        statuses = {each.variant.name: each.status for each in cut}
        assert statuses == {
            **dict.fromkeys(("text-1", "audio-1"), "finished"),
            **dict.fromkeys(("text-2", "audio-2"), "interrupted"),
            "both": "not begun",
        }
        first = next(each for each in cut if each.variant.name == "text-1")
        before = files_of(first)
        resumed = go(plan, tmp_path)
        assert all_the_same(resumed, whole) and files_of(first) == before
        assert [each.run for each in resumed][1:] == [each.run for each in cut][1:]

    def test_between_stages_while_vectors_are_written(self, tmp_path, store, whole, monkeypatch):
        plan, asked = plan_of(store), []

        def cut_short(run, *arguments, **more):
            asked.append(run)
            if len(asked) == 2:
                raise KeyboardInterrupt
            return embed(run, *arguments, **more)

        with monkeypatch.context() as patch:
            patch.setattr(ablation_module, "embed", cut_short)
            cut = go(plan, tmp_path)
        assert [each.status for each in cut] == ["not begun", "finished", "finished", "not begun", "not begun"]
        resumed = go(plan, tmp_path)
        assert all_the_same(resumed, whole) and [each.run for each in resumed][1:3] == [each.run for each in cut][1:3]

    def test_in_the_middle_of_vectors(self, tmp_path, store, whole, monkeypatch):
        plan, made = plan_of(store), embed_module._Maker.vectors_of

        def vectors_of(self, *arguments):
            for number, each in enumerate(made(self, *arguments)):
                if number == 15:
                    raise KeyboardInterrupt
                yield each

        said = []
        with monkeypatch.context() as patch:
            patch.setattr(embed_module._Maker, "vectors_of", vectors_of)
            cut = go(plan, tmp_path, say=said.append)
        assert said[-1].startswith("interrupted, the rows of text-1-seed0-")
        name = chains.feature_of(plan.variants, "text-1", 0)
        assert 0 < (open_store(store).lengths(name) >= 0).sum() < on_disk.ROWS
        resumed = go(plan, tmp_path, say=said.append)
        assert f"{name}: {on_disk.ROWS - 32} rows computed, 32 kept, in {store}" in said
        assert all_the_same(resumed, whole) and [each.run for each in resumed][1:3] == [each.run for each in cut][1:3]


def test_every_seed_has_a_chain_of_its_own(tmp_path, store):
    plan = plan_of(store, TEXT, seeds=(0, 7))
    outcomes = {(each.variant.name, each.seed): each for each in go(plan, tmp_path / "both")}
    for seed in (0, 7):
        (name,) = outcomes["text-2", seed].run.settings.slots["text"]
        assert name.startswith(f"text-1-seed{seed}-")
    folder = tmp_path / "alone"
    folder.mkdir()
    alone = go(plan_of(make(folder / "made.zarr"), TEXT, seeds=(7,)), folder)
    assert all_the_same(alone, [outcomes["text-1", 7], outcomes["text-2", 7]])


def test_after_a_source_is_trained_anew_so_is_what_learns_from_it_and_nothing_else(tmp_path, store):
    plan = plan_of(store)
    before = {each.variant.name: each.run for each in go(plan, tmp_path)}
    change(store, "roberta")
    after = {each.variant.name: each.run for each in go(plan, tmp_path)}
    assert {name for name in STAGES if before[name] != after[name]} == {"text-1", "text-2", "both"}


def test_a_plan_that_means_something_else_by_a_name_has_vectors_of_its_own(tmp_path, store):
    go(plan_of(store, TEXT), tmp_path / "one")
    wide = {**TEXT, "text-1": {**TEXT["text-1"], "width": 5}}
    go(plan_of(store, wide), tmp_path / "two")
    made = [name for name in open_store(store).specs if name.startswith("text-1-seed0-")]
    assert sorted(open_store(store).specs[name].width for name in made) == [4, 5]
    again = []
    go(plan_of(store, TEXT), tmp_path / "one", say=again.append)
    assert all("finished before" in line for line in again)


def test_vectors_that_are_left_there_are_taken_only_when_named(tmp_path, store):
    go(plan_of(store, TEXT), tmp_path)
    (outcome,) = go(plan_of(store, {"cm": {"model": "cm-roberta", "width": 4, "modalities": "text"}}), tmp_path)
    assert dict(outcome.run.settings.slots) == {"text": ("roberta",)}


def test_what_learns_from_a_variant_that_failed_has_failed_and_says_why(tmp_path, store):
    wild = {"learning_rate": 1e30, "warmup": 0.0, "clip_norm": 0.0}
    plan = plan_of(store, {**TEXT, "text-1": {**TEXT["text-1"], **wild}, "audio-1": STAGES["audio-1"]})
    first, second, other = go(plan, tmp_path)
    assert (first.status, second.status, other.status) == ("failed", "failed", "finished")
    assert second.error.startswith("its source text-1 has no vectors: ") and "lower --learning-rate" in second.error


def test_the_commands_of_a_row_train_its_whole_chain_to_the_same_numbers(tmp_path, store, monkeypatch):
    plan = plan_of(store, seeds=(3,))
    last = go(plan, tmp_path)[0]
    make(tmp_path / "new" / "made.zarr")
    monkeypatch.chdir(tmp_path / "new")
    commands = chains.commands_for(plan, plan.variants[0], Path("made.zarr"), 3).split(" && ")
    assert [shlex.split(each)[1] for each in commands] == ["train", "embed"] * 4 + ["train"]
    for each in commands:
        assert run(monkeypatch, *shlex.split(each)[1:]) == 0
    alone = resolve("runs")
    assert same_weights(load_file(alone.path / "best.safetensors"), weights_of(last))


class TestFolds:
    def test_the_chain_of_a_fold_learns_from_that_fold_alone(self, tmp_path):
        store, said = folded_store(tmp_path / "made.zarr"), []
        content = {"scheme": "folds", **OPTIONS, "variants": TEXT}
        (tmp_path / "plan.yaml").write_text(json.dumps(content))
        ablated = ablate(tmp_path / "plan.yaml", "", {}, "2", store, tmp_path / "out", "test", 0, say=said.append)
        assert not ablated.failures and ablated.comparison.folds == FOLDS
        assert not [line for line in said if "warning" in line]
        specs = open_store(store).specs
        for outcome in ablated.outcomes:
            settings = outcome.run.settings
            if settings.train.name.startswith("text-2"):
                (name,) = settings.slots["text"]
                assert name.startswith(settings.train.name.replace("text-2", "text-1"))
                assert specs[name].options[LEARNT_BY] == settings.train.scheme
        commands = csv_of(tmp_path / "out").loc["text-2", "command"].split("; ")
        assert len(commands) == 6 and all(each.count("msmt embed text-1-fold") == 1 for each in commands)


class TestPlans:
    @pytest.mark.parametrize(
        "text, said",
        [
            (
                "a: {slot: text=@b}",
                "variant a: slot text is to learn from @b, but there is no such variant: name one of a",
            ),
            (
                "a: {}, b: {slot: text=@a}",
                "variant b: slot text is to learn from @a, which embeds nothing: give a embeds",
            ),
            ("a: {slot: text=@a, embeds: segment}", "in a circle: a from a"),
            (
                "x: {slot: text=@b}, a: {slot: text=@b, embeds: segment}, b: {text_feature: '@a', embeds: segment}",
                "variants learn from each other in a circle: b from a from b",
            ),
            ("a: {embeds: both}", "variant a: embeds must be segment or context, but is 'both'"),
            ("a: {embeds: 3}", "variant a: embeds must be of type str, but is 3"),
            ("a: {model: merits-l}", "variant a: merits-l is a chain of stages"),
        ],
    )
    def test_what_is_no_chain_is_refused_in_one_line_that_names_the_file(self, tmp_path, text, said):
        (tmp_path / "plan.yaml").write_text("variants: {%s}" % text)
        with pytest.raises(SettingError) as caught:
            read_plan(tmp_path / "plan.yaml", {})
        assert said in str(caught.value) and "plan.yaml" in str(caught.value) and "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "changes, said",
        [
            ({"text-2": {"slot": "text=@text-1,video=@text-1"}}, "variant text-2: merits-stage2 has no slot video"),
            ({"text-2": {"slot": "audio=@text-1", "modalities": "audio"}}, "does not fit slot audio"),
            ({"text-1": {"embeds": "context"}}, "variant text-1: merits-stage1 treats segments apart"),
            ({"text-2": {"views": "noise"}}, "variant text-2: .* has no view noise"),
            ({"text-2": {"store": "other.zarr"}}, "the vectors of its source text-1 will be in .*made.zarr: give both"),
        ],
        ids=lambda each: "",
    )
    def test_what_can_be_checked_is_checked_before_anything_is_trained(self, tmp_path, store, changes, said):
        variants = {name: {**TEXT[name], **changes.get(name, {})} for name in TEXT}
        with pytest.raises(SettingError if "view" not in said else Exception, match=said):
            go(plan_of(store, variants), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_what_was_run_can_be_run_again(self, tmp_path):
        (tmp_path / "plan.json").write_text(json.dumps({"store": "a.zarr", "variants": STAGES}))
        plan = read_plan(tmp_path / "plan.json", {})
        (tmp_path / "again.json").write_text(json.dumps(plan.to_json()))
        assert read_plan(tmp_path / "again.json", {}) == plan
        assert [[each.name for each in wave] for wave in waves_of(plan.variants)] == [
            ["text-1", "audio-1"],
            ["text-2", "audio-2"],
            ["both"],
        ]

    def test_any_name_makes_a_feature_of_its_own(self):
        names = ("a.b", "a b", "无", "x" * 300)
        variants = variants_of({name: {"embeds": "segment"} for name in names}, {}, "plan")
        features = [chains.feature_of(variants, name, 2) for name in names]
        assert len(set(features)) == 4 and all(len(each) <= 200 for each in features)
