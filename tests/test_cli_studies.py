"""The commands ablate, compare and sweep, and what eval counts."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from msmt.evaluate.metrics import score
from msmt.features.durable import writer_lock
from msmt.features.opening import open_store, writer_for
from msmt.tests.features import made as on_disk
from msmt.tests.studies.made import FOLDS, RECORDINGS, folded_store
from msmt.tests.test_cli import run
from msmt.tests.train.test_loop import Interrupting
from msmt.train.config import ModelConfig, TrainConfig
from msmt.train.loop import train

SMALL = ("--heads", "2", "--feed-forward", "16", "--complementary-layers", "1", "--bottleneck-layers", "1")
SMALL += ("--gru-width", "4", "--head-width", "8", "--epochs", "2", "--batch-recordings", "4", "--device", "cpu")
VARIANTS = ["full", "no-mtl", "text"]
PLAN = "variants: {full: {}, no-mtl: {mtl: false, paper: 'MSMT-FN, no multi-task learning'}, text: {modalities: text}}"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a store and a plan, of which everything was run; copied for each test."""
    folder = tmp_path_factory.mktemp("made")
    on_disk.make_store(folder / "cache" / "marketcalls.zarr", split=["train"] * 42 + ["val"] * 12 + ["test"] * 16)
    (folder / "plan.yaml").write_text(PLAN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(patch, "ablate", "plan.yaml", "--seeds", "2", *SMALL) == 0
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def test_an_ablation_leaves_tables_and_a_picture(here):
    out = here / "ablations" / "plan"
    table = pd.read_csv(out / "ablation.csv")
    assert table.columns[0] == "variant" and table["variant"].tolist() == [*VARIANTS, "most frequent class"]
    table = table[:3]
    assert table["seeds"].tolist() == [2, 2, 2] and table["test_scored"].tolist() == [1, 1, 1]
    assert table["five_paper"].tolist()[1] == 0.5177 and table["fingerprint"].nunique() == 1
    markdown = (out / "ablation.md").read_text()
    assert "| full | 2 |" in markdown and "51.77" in markdown and "msmt train --store" in markdown
    assert r"\toprule" in (out / "ablation.tex").read_text()
    assert (out / "ablation.png").read_bytes()[:4] == b"\x89PNG"
    assert json.loads((out / "plan.json").read_text())["seeds"] == [0, 1]


def test_the_same_command_again_trains_and_scores_nothing(here, monkeypatch, capsys):
    before = {path: path.stat().st_mtime_ns for path in (here / "ablations/plan/runs").rglob("*") if path.is_file()}
    assert run(monkeypatch, "ablate", "plan.yaml", "--seeds", "2", *SMALL) == 0
    after = {path: path.stat().st_mtime_ns for path in (here / "ablations/plan/runs").rglob("*") if path.is_file()}
    assert after == before
    shown = capsys.readouterr().out
    assert shown.count("finished before") == 6 and "epoch" not in shown
    assert re.search(r"^full +2 ", shown, re.MULTILINE) and "p (Holm)" not in shown


def test_a_further_seed_is_all_that_is_trained(here, monkeypatch, capsys):
    assert run(monkeypatch, "ablate", "plan.yaml", "--seeds", "0,1,7", *SMALL, "-v") == 0
    shown = capsys.readouterr().out
    assert shown.count("finished before") == 6 and "3 runs in one pass" in shown and "p (Holm)" in shown
    assert pd.read_csv("ablations/plan/ablation.csv")["seeds"].tolist() == [3, 3, 3, 0]


def test_the_command_of_a_row_runs_its_run_again(here, monkeypatch):
    command = pd.read_csv("ablations/plan/ablation.csv").set_index("variant").loc["no-mtl", "command"]
    train, score = command.split("; ")[0].split(" && ")
    assert run(monkeypatch, *shlex.split(train)[1:]) == 0
    assert run(monkeypatch, *shlex.split(score)[1:]) == 0
    (again,) = (here / "runs").glob("*-no-mtl-seed0")
    (first,) = (here / "ablations/plan/runs").glob("*-no-mtl-seed0")
    for name in ("best.safetensors", "predictions-test.csv"):
        assert (again / name).read_bytes() == (first / name).read_bytes()


def test_a_variant_that_fails_has_a_row_and_ends_with_status_1(here, monkeypatch, capsys):
    wild = "wild: {learning_rate: 1.0e+30, warmup: 0.0, clip_norm: 0.0}"
    (here / "plan.yaml").write_text(PLAN.replace("full: {}", f"full: {{}}, {wild}"))
    assert run(monkeypatch, "ablate", "plan.yaml", "--seeds", "1", *SMALL) == 1
    told = capsys.readouterr()
    assert "wild, seed 0: " in told.err and "lower --learning-rate" in told.err
    table = pd.read_csv("ablations/plan/ablation.csv").set_index("variant")
    assert table.loc["wild", "seeds"] == 0 and table.loc["full", "seeds"] == 1


def test_alike_variants_both_stand_in_the_table_of_any_split(here, monkeypatch):
    (here / "alike.yaml").write_text("variants: {full: {}, same: {}, text: {modalities: text}}")
    assert run(monkeypatch, "ablate", "alike.yaml", "--split", "val", *SMALL) == 0
    table = pd.read_csv("ablations/alike/ablation.csv")
    assert table["variant"].tolist() == ["full", "same", "text", "most frequent class"]
    assert table["val_scored"].tolist()[:3] == [1, 1, 1]
    assert table["runs"][0] == table["runs"][1] and table["five_difference"][1] == 0


def test_an_ablation_that_was_killed_goes_on(here, monkeypatch):
    """Killed for good, by a signal that no process can catch, at three moments of its life."""
    command = [sys.executable, "-m", "msmt", "ablate", "plan.yaml", "--seeds", "5,6", "--out", "killed", *SMALL]
    for names in ("*/events*", "*-seed5/scored*", "*-seed6/last.pt"):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not list((here / "killed/runs").glob(names)):
            time.sleep(0.01)
        process.kill()
        process.wait()
        finished = {path.parent: path.stat().st_mtime_ns for path in (here / "killed/runs").glob("*/scored-test.json")}
    assert run(monkeypatch, "ablate", "plan.yaml", "--seeds", "5,6", "--out", "killed", *SMALL) == 0
    assert run(monkeypatch, "ablate", "plan.yaml", "--seeds", "5,6", "--out", "whole", *SMALL) == 0
    assert {path: (path / "scored-test.json").stat().st_mtime_ns for path in finished} == finished
    figures = [pd.read_csv(f"{name}/ablation.csv").filter(regex="accuracy|f1|uar|_p") for name in ("killed", "whole")]
    pd.testing.assert_frame_equal(*figures)


def test_two_ablations_in_one_folder_at_once_are_refused(here, monkeypatch, capsys):
    with writer_lock(here / "ablations" / "plan"):
        assert run(monkeypatch, "ablate", "plan.yaml", *SMALL) == 2
    assert "is being written by" in capsys.readouterr().err


def test_the_preset_runs_on_a_plain_store_and_says_what_it_lacks(here, monkeypatch, capsys):
    assert run(monkeypatch, "ablate", "--preset", "table6", *SMALL, "--epochs", "1") == 0
    table = pd.read_csv("ablations/table6/ablation.csv")
    assert {"full", "no-mtl", "no-bottleneck-no-mtl", "text-only", "pooling-flatten", "no-gru"} <= set(table["variant"])
    assert "text-augment is left out: add its views" in (here / "ablations/table6/ablation.md").read_text()
    assert "text-augment is left out: add its views" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["ablate"], "needs either a plan or a preset"),
        (["ablate", "plan.yaml", "--preset", "table6"], "needs either a plan or a preset"),
        (["ablate", "plan.yaml", "--split", "dev"], "has no split dev to score: choose --split from train, val, test"),
        (["ablate", "plan.yaml", "--together", "0"], "--together must be a number from 1 or auto, but is '0'"),
        (["ablate", "plan.yaml", "--seeds", "x"], "seeds must be how many"),
        (["ablate", "wrong.yaml"], "the paper has no row 'GPT'"),
        (["ablate", "plan.yaml", "--out", "plan.yaml"], "is there and is no folder"),
        (["compare", "latest"], "name two runs or more"),
        (["compare", "a", "b"], "there is no run"),
        (["sweep"], "there is nothing to search"),
        (["eval", "a", "--run", "b"], "give either RUN or --run RUN"),
        (["predict", "a", "--store", "cache/marketcalls.zarr"], "there is no run a"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_status_2(here, monkeypatch, capsys, arguments, said):
    (here / "wrong.yaml").write_text("variants: {a: {paper: GPT}}")
    assert run(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("msmt: error: ") and said in error and error.count("\n") == 1
    assert not (here / "ablations" / "wrong").exists()


class TestStoresThatChange:
    """What growth leaves alone, and what a change of the scored or of the learnt recordings brings about."""

    def remade(self, here, **changes) -> None:
        shutil.rmtree(here / "cache")
        splits = ["train"] * 42 + ["val"] * 12 + ["test"] * 16
        on_disk.make_store(here / "cache" / "marketcalls.zarr", **{"split": splits, **changes})

    def test_what_was_scored_is_scored_again_where_it_has_changed_and_every_look_counts(
        self, here, monkeypatch, capsys
    ):
        labels = on_disk.table()["label_five"].to_numpy()
        self.remade(here, label_five=np.where(np.arange(70) >= 69, 1, labels))  # the last recording, of test
        assert run(monkeypatch, "ablate", "plan.yaml", "--seeds", "2", *SMALL) == 0
        shown = capsys.readouterr().out
        assert shown.count("finished before") == 6 and "epoch" not in shown
        assert "scored on test again, where since then has changed: labels of task five of 1 recording of test" in shown
        assert "One run was scored on test 2 times" in shown
        assert pd.read_csv("ablations/plan/ablation.csv")["test_scored"].tolist()[:3] == [2, 2, 2]
        labels = np.where(np.arange(70) < 3, 4, labels)  # the first recording, of train: everything is trained anew
        self.remade(here, label_five=np.where(np.arange(70) >= 69, 1, labels))
        assert run(monkeypatch, "ablate", "plan.yaml", "--seeds", "2", *SMALL) == 0
        assert "finished before" not in capsys.readouterr().out
        assert pd.read_csv("ablations/plan/ablation.csv")["test_scored"].tolist()[:3] == [3, 3, 3]

    def test_a_run_of_before_and_one_of_after_the_store_grew_are_compared(self, here, monkeypatch, capsys):
        assert run(monkeypatch, "train", "--name", "before", *SMALL) == 0
        assert run(monkeypatch, "eval", "before") == 0
        table = on_disk.table(split=["train"] * 42 + ["val"] * 12 + ["test"] * 16)
        copies = table[table["split"] == "train"].assign(view="noise")
        made = on_disk.contents()
        made = {name: rows + rows[:42] for name, rows in made.items()}
        with writer_for(here / "cache" / "marketcalls.zarr") as writer:
            both = pd.concat([table, copies], ignore_index=True)
            writer.prepare("marketcalls", on_disk.TASKS, both, on_disk.SPECS, on_disk.lengths_of(made))
            on_disk.fill(writer, made)
            writer.finish()
        assert run(monkeypatch, "train", "--name", "after", *SMALL) == 0
        assert run(monkeypatch, "compare", "before", "after") == 0
        stores = pd.read_csv("comparison/comparison.csv")
        assert stores["fingerprint"].nunique() == 2 and stores["test_scored"].tolist()[:2] == [1, 1]
        assert "scored on test again" not in capsys.readouterr().out
        assert run(monkeypatch, "eval", "before") == 0 and not capsys.readouterr().err

    def test_a_store_that_was_moved_is_asked_for(self, here, monkeypatch, capsys):
        assert run(monkeypatch, "train", "--name", "one", *SMALL) == 0
        (here / "cache/marketcalls.zarr").rename(here / "moved.zarr")
        for command in (["eval", "one"], ["train", "--resume", "one"]):
            assert run(monkeypatch, *command) == 2
            assert "is not there: if it was moved, say where it is with --store" in capsys.readouterr().err
        assert run(monkeypatch, "eval", "one", "--store", "moved.zarr") == 0


class TestPredict:
    def test_a_run_is_applied_to_another_store(self, here, monkeypatch, capsys):
        (model,) = (here / "ablations/plan/runs").glob("*-no-mtl-seed0")
        self.new(here / "new.h5")
        assert run(monkeypatch, "predict", str(model), "--store", "new.h5", "--out", "out/new.csv") == 0
        shown = capsys.readouterr()
        assert "all splits: 24 recordings without labels" in shown.out and not shown.err
        table = pd.read_csv("out/new.csv")
        assert len(table) == 24 and table["five_label"].isna().all()
        assert np.allclose(table.filter(like="five_p_").sum(axis=1), 1, atol=1e-4)
        assert [path.name for path in (here / "out").iterdir()] == ["new.csv"]
        assert json.loads((model / "scored.json").read_text()) == {"test": 1}

    def test_labels_bring_the_figures_of_eval_and_a_look_where_the_store_is_the_runs_own(
        self, here, monkeypatch, capsys
    ):
        (model,) = (here / "ablations/plan/runs").glob("*-no-mtl-seed0")
        arguments = ("predict", str(model), "--store", "cache/marketcalls.zarr", "--split", "test")
        assert run(monkeypatch, *arguments) == 0
        shown = capsys.readouterr()
        assert "times that it was scored: test 2" in shown.err and "\nfive" in shown.out
        before = json.loads((model / "metrics-test.json").read_text())["tasks"]
        after = json.loads((model / "predictions-of-marketcalls-test-metrics.json").read_text())["tasks"]
        assert after == before
        assert (model / "predictions-of-marketcalls-test-confusion-two.png").exists()

    def new(self, path) -> None:
        """A store of the same features without labels."""
        made = on_disk.contents(seed=9)
        table = on_disk.table().drop(columns=["label_five", "label_two"]).assign(split="all")
        with writer_for(path) as writer:
            writer.prepare("generic", (), table, on_disk.SPECS, on_disk.lengths_of(made))
            on_disk.fill(writer, made)
            writer.finish()


class TestCompare:
    def names(self, here) -> list[str]:
        return sorted(path.name for path in (here / "ablations/plan/runs").glob("*-seed0"))

    def test_runs_are_compared_on_the_same_recordings(self, here, monkeypatch, capsys):
        names = self.names(here)
        assert run(monkeypatch, "compare", *names, "--runs", "ablations/plan/runs", "--out", "c") == 0
        shown = capsys.readouterr().out
        assert "McNemar" in shown and all(name in shown for name in names)
        table = pd.read_csv("c/comparison.csv")
        assert table["variant"].tolist() == [*names, "most frequent class"]
        assert table["test_scored"].tolist()[:3] == [1, 1, 1]
        assert "recording_id" in pd.read_csv("c/comparison-disagreements.csv").columns

    def test_a_split_that_was_not_scored_is_scored(self, here, monkeypatch):
        names = self.names(here)[:2]
        assert run(monkeypatch, "compare", *names, "--runs", "ablations/plan/runs", "--split", "val") == 0
        for name in names:
            counts = json.loads((here / "ablations/plan/runs" / name / "scored.json").read_text())
            assert counts == {"test": 1, "val": 1}

    def test_runs_on_other_data_cannot_be_compared(self, here, monkeypatch, capsys):
        splits = ["train"] * 42 + ["val"] * 12 + ["test"] * 16
        on_disk.make_store(here / "other.zarr", seed=5, split=splits)
        assert run(monkeypatch, "train", "--store", "other.zarr", "--name", "other", *SMALL) == 0
        first = here / "ablations/plan/runs" / self.names(here)[0]
        assert run(monkeypatch, "compare", "other", str(first)) == 2
        assert "store" in capsys.readouterr().err

    def test_one_run_has_the_same_interval_as_in_an_evaluation(self, here, monkeypatch):
        names = self.names(here)[:2]
        assert run(monkeypatch, "compare", *names, "--runs", "ablations/plan/runs", "--out", "c") == 0
        table = pd.read_csv("c/comparison.csv").set_index("variant")
        for name in names:
            metrics = json.loads((here / "ablations/plan/runs" / name / "metrics-test.json").read_text())
            for figure, values in metrics["tasks"]["five"]["figures"].items():
                ends = [table.loc[name, f"five_{figure}_{end}"] for end in ("low", "high")]
                assert ends == pytest.approx([values["low"], values["high"]], rel=1e-5)


class TestSpeakers:
    """Two recordings of each speaker."""

    @pytest.fixture
    def spoken(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        splits = ["train"] * 42 + ["val"] * 12 + ["test"] * 16
        segments = on_disk.table(len(splits), split=splits)
        recordings = segments["recording_id"].drop_duplicates().tolist()
        speaker = {recording: f"speaker-{number // 2}" for number, recording in enumerate(recordings)}
        on_disk.make_store(
            tmp_path / "cache" / "spoken.zarr", split=splits, speaker=[speaker[one] for one in segments["recording_id"]]
        )
        tested = segments[segments["split"] == "test"]["recording_id"].drop_duplicates()
        return len(tested), len({speaker[recording] for recording in tested})

    def test_eval_ablate_and_compare_resample_them(self, spoken, monkeypatch, capsys):
        recordings, speakers = spoken
        assert 2 <= speakers < recordings
        counted = f"{recordings} recordings of {speakers} speakers"
        Path("plan.yaml").write_text("variants: {full: {}, text: {modalities: text}}")
        assert run(monkeypatch, "ablate", "plan.yaml", *SMALL, "--resample", "speaker") == 0
        assert f"({counted})" in capsys.readouterr().out
        runs = "ablations/plan/runs"
        assert run(monkeypatch, "eval", "--runs", runs, "--resample", "speaker") == 0
        assert f"test: {counted}, 95% intervals over speakers" in capsys.readouterr().out
        names = [str(path) for path in sorted(Path(runs).glob("*-seed0"))]
        assert run(monkeypatch, "compare", *names, "--resample", "speaker") == 0
        assert f"({counted})" in capsys.readouterr().out


def test_without_speakers_nothing_is_trained_or_scored(here, monkeypatch, capsys):
    for command in (["ablate", "plan.yaml", "--out", "new"], ["eval", "--runs", "ablations/plan/runs"]):
        assert run(monkeypatch, *command, "--resample", "speaker", *(SMALL if command[0] == "ablate" else ())) == 2
        error = capsys.readouterr().err
        assert "recordings of test have no speaker, the first is " in error and error.count("\n") == 1
    assert not (here / "new").exists()


def test_eval_shows_the_chance_line_of_the_training_split(here, monkeypatch, capsys):
    assert run(monkeypatch, "eval", "--runs", "ablations/plan/runs") == 0
    shown = re.search(r"most frequent class \((.)\) +(\d+\.\d)", capsys.readouterr().out)
    segments = open_store(here / "cache/marketcalls.zarr").segments.drop_duplicates("recording_id")
    trained, tested = (segments[segments["split"] == split]["label_five"] for split in ("train", "test"))
    most = trained.value_counts().sort_index().idxmax()
    assert shown[1] == "ABCDE"[most] and float(shown[2]) == pytest.approx(100 * (tested == most).mean(), abs=0.05)


def test_eval_counts_how_often_a_split_was_scored(here, monkeypatch, capsys):
    assert run(monkeypatch, "train", "--name", "one", *SMALL) == 0
    assert run(monkeypatch, "eval", "--split", "test") == 0
    assert "has now been scored" not in capsys.readouterr().out
    assert run(monkeypatch, "eval", "--split", "test") == 0
    assert "This run has now been scored on test 2 times." in capsys.readouterr().out
    (folder,) = (here / "runs").glob("*-one")
    assert json.loads((folder / "scored.json").read_text()) == {"test": 2}
    assert json.loads((folder / "metrics-test.json").read_text())["times_scored"] == 2


class TestGroups:
    """A store that keeps a column: half of the recordings are of the north, one has parts of both, one has a gap."""

    @pytest.fixture
    def called(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        splits = ["train"] * 30 + ["val"] * 9 + ["test"] * 31
        recordings = np.arange(70) // 3
        dialect = np.where(recordings % 2, "south", "=north\x1b[31m").astype(object)
        dialect[65], dialect[68] = "", "south"  # the last segments of recordings of the south and of the north
        on_disk.make_store(tmp_path / "cache" / "called.zarr", split=splits, extra_dialect=dialect)
        assert run(monkeypatch, "train", "--name", "one", *SMALL) == 0
        (folder,) = (tmp_path / "runs").glob("*-one")
        return folder

    def test_eval_shows_and_writes_figures_of_each_group(self, called, monkeypatch, capsys):
        capsys.readouterr()
        assert run(monkeypatch, "eval", "--by", "dialect") == 0
        shown = capsys.readouterr().out
        assert re.search(r"^five by extra_dialect +n +accuracy +macro F1 +most frequent class", shown, re.MULTILINE)
        assert re.search(r"^=north\\x1b\[31m +\d+ ", shown, re.MULTILINE) and "\x1b" not in shown
        assert "two by extra_dialect" in shown and "by-extra_dialect-test.csv" in shown
        metrics = json.loads((called / "metrics-test.json").read_text())
        groups = {group["group"]: group for group in metrics["by"]["groups"]}
        assert metrics["by"]["column"] == "extra_dialect"
        assert list(groups) == ["=north\x1b[31m", "south", "several", "unknown"]
        counts = [group["tasks"]["five"]["count"] for group in groups.values()]
        assert sum(counts) == metrics["tasks"]["five"]["count"] and counts[2:] == [1, 1]
        right = [group["tasks"]["five"]["figures"]["accuracy"]["value"] for group in groups.values()]
        whole = metrics["tasks"]["five"]["figures"]["accuracy"]["value"]
        assert np.average(right, weights=counts) == pytest.approx(whole)
        table = pd.read_csv(called / "by-extra_dialect-test.csv")
        assert table["group"].tolist()[:2] == ["'=north\\x1b[31m", "south"] and len(table) == 8

    def test_groups_are_no_further_look_and_change_no_other_figure(self, called, monkeypatch):
        assert run(monkeypatch, "eval") == 0
        before = json.loads((called / "metrics-test.json").read_text())
        assert run(monkeypatch, "eval", "--by", "split") == 0
        after = json.loads((called / "metrics-test.json").read_text())
        assert json.loads((called / "scored.json").read_text()) == {"test": 2}
        assert after["tasks"] == before["tasks"] and "by" not in before
        assert after["by"]["groups"][0]["tasks"] == before["tasks"]

    def test_figures_of_groups_go_with_the_figures_that_they_belong_to(self, called, monkeypatch):
        assert run(monkeypatch, "eval", "--by", "dialect") == 0
        assert run(monkeypatch, "eval", "--split", "val", "--by", "split") == 0
        assert run(monkeypatch, "eval") == 0
        assert [path.name for path in called.glob("by-*.csv")] == ["by-split-val.csv"]

    def test_an_unknown_column_is_one_line_and_no_look(self, called, monkeypatch, capsys):
        for command in (["eval"], ["predict", "--store", "cache/called.zarr"]):
            assert run(monkeypatch, *command, "--by", "view") == 2
            error = capsys.readouterr().err
            assert error.startswith("msmt: error: ") and error.count("\n") == 1
            assert "no column 'view' to group by, it has recording_id, split, channel, speaker, dialect" in error
        assert not (called / "scored.json").exists()

    def test_predict_groups_the_splits_of_a_whole_store(self, called, monkeypatch, capsys):
        assert run(monkeypatch, "predict", "--store", "cache/called.zarr", "--out", "p.csv", "--by", "split") == 0
        assert "five by split" in capsys.readouterr().out
        assert pd.read_csv("p-by-split.csv")["group"].tolist() == ["test", "train", "val"] * 2
        assert json.loads(Path("p-metrics.json").read_text())["by"]["column"] == "split"


class TestFolds:
    """Two networks on three folds, in which each of 24 recordings is tested once."""

    QUICK = ("--epochs", "2", "--batch-recordings", "4", "--device", "cpu")

    @pytest.fixture(scope="class")
    def folded(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("folded")
        folded_store(folder / "cache" / "marketcalls.zarr")
        (folder / "plan.yaml").write_text("scheme: folds\nvariants: {linear: {model: linear}, bigru: {model: bigru}}")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            assert run(patch, "ablate", "plan.yaml", *self.QUICK) == 0
        return folder

    @pytest.fixture
    def here(self, folded, tmp_path, monkeypatch):
        shutil.copytree(folded, tmp_path / "here", symlinks=True)
        monkeypatch.chdir(tmp_path / "here")
        return tmp_path / "here"

    def test_what_the_folds_answer_is_pooled_and_counted_by_hand(self, here):
        answers = []
        for fold in FOLDS:
            (folder,) = (here / "ablations/plan/runs").glob(f"*-bigru-{fold}-seed0")
            answers.append(pd.read_csv(folder / "predictions-test.csv"))
            assert json.loads((folder / "scored.json").read_text()) == {"test": 1}
        pooled = pd.concat(answers)
        assert sorted(pooled["recording_id"]) == sorted(f"r{index}" for index in range(RECORDINGS))
        right = [(each["five_label"] == each["five_prediction"]).mean() for each in (pooled, *answers)]
        row = pd.read_csv("ablations/plan/ablation.csv").set_index("variant").loc["bigru"]
        columns = ["five_accuracy_mean", *(f"five_accuracy_{fold}" for fold in FOLDS)]
        assert row[columns].tolist() == pytest.approx(right, rel=1e-5)
        assert row["network"] == "bigru" and row["test_scored"] == 1

    def test_going_on_trains_and_scores_only_what_is_lacking(self, here, monkeypatch, capsys):
        before = pd.read_csv("ablations/plan/ablation.csv")
        (gone,) = (here / "ablations/plan/runs").glob("*-bigru-fold2-seed0")
        shutil.rmtree(gone)
        assert run(monkeypatch, "ablate", "plan.yaml", *self.QUICK) == 0
        shown = capsys.readouterr().out
        assert shown.count("finished before") == 5 and "1 run in one pass: bigru-fold2-seed0" in shown
        after = pd.read_csv("ablations/plan/ablation.csv")
        figures = [table.filter(regex="accuracy|f1|uar|_p$") for table in (before, after)]
        pd.testing.assert_frame_equal(*figures)

    def test_a_run_of_a_fold_is_evaluated_by_that_fold(self, here, monkeypatch, capsys):
        (folder,) = (here / "ablations/plan/runs").glob("*-linear-fold3-seed0")
        assert run(monkeypatch, "eval", str(folder), "--by", "split") == 0
        assert "test of fold3: 8 recordings" in capsys.readouterr().out
        metrics = json.loads((folder / "metrics-test.json").read_text())
        assert metrics["scheme"] == "fold3" and [group["group"] for group in metrics["by"]["groups"]] == ["test"]

    def test_runs_of_different_folds_are_not_compared(self, here, monkeypatch, capsys):
        names = [
            str(folder)
            for fold in FOLDS[:2]
            for folder in (here / "ablations/plan/runs").glob(f"*-linear-{fold}-seed0")
        ]
        assert run(monkeypatch, "compare", *names) == 2
        error = capsys.readouterr().err
        assert "test of fold1 and of fold2" in error and "msmt ablate --scheme" in error and error.count("\n") == 1

    def test_an_unknown_scheme_is_one_line_and_nothing_is_written(self, here, monkeypatch, capsys):
        (here / "other.yaml").write_text("variants: {full: {}}")
        assert run(monkeypatch, "ablate", "other.yaml", "--scheme", "parts") == 2
        error = capsys.readouterr().err
        assert "has no scheme 'parts', it has folds, standard, fold1" in error and error.count("\n") == 1
        assert not (here / "ablations" / "other").exists()


class TestUnfinished:
    @pytest.fixture
    def unfinished(self, here):
        store = open_store("cache/marketcalls.zarr")
        model = ModelConfig(heads=2, feed_forward=16, gru_width=4, head_width=8)
        config = TrainConfig(epochs=3, device="cpu")
        return train(store, model, config, "elsewhere", score, Interrupting(3), say=lambda line: None).run

    def test_eval_says_that_a_run_is_not_finished_and_how_to_go_on(self, unfinished, monkeypatch, capsys):
        arguments = ("eval", "--run", unfinished.name, "--runs", "elsewhere")
        assert run(monkeypatch, *arguments) == 0
        shown = capsys.readouterr().out
        (line,) = [line for line in shown.splitlines() if "is not finished" in line]
        assert "2 of 3 epochs are done and the best of them is scored: go on with msmt train" in line
        metrics = json.loads((unfinished.path / "metrics-test.json").read_text())
        assert (metrics["status"], metrics["epochs"]) == ("unfinished", 2)
        assert run(monkeypatch, *shlex.split(line.partition("go on with ")[2])[1:]) == 0
        capsys.readouterr()
        assert run(monkeypatch, *arguments) == 0
        assert "not finished" not in capsys.readouterr().out
        metrics = json.loads((unfinished.path / "metrics-test.json").read_text())
        assert (metrics["status"], metrics["epochs"]) == ("finished", 3)

    def test_eval_of_weights_alone_says_that_it_does_not_know(self, unfinished, monkeypatch, capsys):
        (unfinished.path / "last.pt").unlink()
        assert run(monkeypatch, "eval", "--run", unfinished.name, "--runs", "elsewhere") == 0
        assert "has no readable last.pt: whether it was finished is not known" in capsys.readouterr().out

    def test_eval_says_that_a_sweep_ended_a_run(self, unfinished, monkeypatch, capsys):
        state = unfinished.load_last()
        state["progress"]["status"] = "pruned"
        unfinished.save_last(state)
        assert run(monkeypatch, "eval", "--run", unfinished.name, "--runs", "elsewhere") == 0
        assert "was ended by its sweep after 2 of 3 epochs" in capsys.readouterr().out


def test_a_sweep_ends_in_a_file_that_train_takes(here, monkeypatch, capsys):
    arguments = ("--vary", "pooling=cls,mean", "--sampler", "grid", *SMALL)
    assert run(monkeypatch, "sweep", *arguments) == 0
    assert "train it with: msmt train --config sweep/best.yaml" in capsys.readouterr().out
    assert run(monkeypatch, "train", "--config", "sweep/best.yaml", "--name", "best") == 0
    best = pd.read_csv("sweep/trials.csv").sort_values("accuracy", ascending=False).iloc[0]
    (again,) = (here / "runs").glob("*-best")
    first = here / "sweep" / "runs" / best["run"]
    assert (again / "best.safetensors").read_bytes() == (first / "best.safetensors").read_bytes()
