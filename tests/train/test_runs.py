"""Run directories: whole files, names, and how a run is found."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest
import torch
from msmt.errors import RunError
from msmt.tests.train.made import MODEL, TASKS, TRAIN, calls, spec
from msmt.train import runs
from msmt.train.config import ModelConfig, TrainConfig
from msmt.train.data import LEFT_OUT_COLUMNS

NOTHING = pd.DataFrame(columns=LEFT_OUT_COLUMNS)


def settings(name: str = "", model: ModelConfig = MODEL) -> runs.Settings:
    return runs.Settings(model, TrainConfig(name=name), TASKS, {"text": ("roberta",)}, {"roberta": spec("text")})


def create(folder, name: str = "", **model):
    details = runs.environment(calls(), seed=0, device="cpu", command=["msmt", "train"])
    return runs.create(folder, settings(name, ModelConfig(**model)), details, NOTHING)


def test_a_run_is_named_for_the_time_and_its_variant_or_name(tmp_path):
    assert create(tmp_path, bottleneck=False).name[15:] == "-no-bottleneck"
    assert create(tmp_path, "first try").name[15:] == "-first try"


def test_runs_of_one_second_do_not_share_a_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(runs.time, "strftime", lambda form: "20250102-030405")
    names = [create(tmp_path).name for _ in range(3)]
    assert names == ["20250102-030405-full", "20250102-030405-full-2", "20250102-030405-full-3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names, "latest"]


def test_settings_come_back_as_they_were(tmp_path):
    run = create(tmp_path, "x", mtl=False)
    assert run.settings == settings("x", ModelConfig(mtl=False))


def test_the_environment_says_what_the_run_ran_on(tmp_path):
    found = create(tmp_path).environment
    assert found["command"] == ["msmt", "train"]
    assert found["store"] == {"path": "memory.zarr", "dataset": "made", "fingerprint": calls().fingerprint()}
    assert {"msmt", "python", "torch", "numpy"} <= set(found["versions"])


def test_latest_is_a_link_to_the_newest(tmp_path):
    create(tmp_path, "a")
    second = create(tmp_path, "b")
    assert (tmp_path / "latest").is_symlink()
    assert os.readlink(tmp_path / "latest") == second.name
    assert runs.resolve(tmp_path) == runs.resolve(tmp_path, "latest") == second


def test_latest_is_a_text_file_where_there_are_no_links(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "symlink_to", lambda *given: (_ for _ in ()).throw(OSError("no links here")))
    create(tmp_path, "a")
    second = create(tmp_path, "b")
    assert not (tmp_path / "latest").is_symlink()
    assert runs.resolve(tmp_path) == second


def test_a_run_is_found_by_name_path_and_its_own_name(tmp_path):
    first, second, other = create(tmp_path, "a"), create(tmp_path, "a-b"), create(tmp_path, "c")
    assert runs.resolve(tmp_path, first.name) == first
    assert runs.resolve(tmp_path / "elsewhere", str(first.path)) == first
    assert runs.resolve(tmp_path, "a") == first
    assert runs.resolve(tmp_path, "a-b") == second
    assert runs.resolve(tmp_path, "c") == other


def test_latest_falls_back_to_the_newest_that_is_left(tmp_path):
    first, second = create(tmp_path, "a"), create(tmp_path, "b")
    second.path.rename(tmp_path.parent / "moved")
    assert runs.resolve(tmp_path) == first


@pytest.mark.parametrize("wanted, said", [("latest", "there is no run in"), ("x", "there is no run x in")])
def test_a_run_that_is_not_there_is_an_error(tmp_path, wanted, said):
    with pytest.raises(RunError, match=said):
        runs.resolve(tmp_path / "runs", wanted)


def test_what_is_missing_in_a_run_is_named(tmp_path):
    run = create(tmp_path)
    with pytest.raises(RunError, match=f"has no best.safetensors.*msmt train --resume {run.name} --runs {tmp_path}"):
        run.load_best()
    with pytest.raises(RunError, match="has no last.pt"):
        run.load_last()
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="empty has no config.json, so it is not a complete run directory"):
        runs.resolve(tmp_path, "empty")
    (run.path / "environment.json").unlink()
    with pytest.raises(RunError, match="has no environment.json"):
        _ = run.environment


@pytest.mark.parametrize("name, call", [("last.pt", "load_last"), ("best.safetensors", "load_best")])
def test_damaged_weights_are_an_error_in_one_line(tmp_path, name, call):
    run = create(tmp_path)
    (run.path / name).write_bytes(b"no such thing")
    with pytest.raises(RunError, match=f"{name} cannot be read") as caught:
        getattr(run, call)()
    assert "\n" not in str(caught.value)


def test_settings_of_another_version_are_an_error(tmp_path):
    run = create(tmp_path)
    fields = json.loads((run.path / "config.json").read_text())
    fields["model"]["gates"] = 3
    (run.path / "config.json").write_text(json.dumps(fields))
    with pytest.raises(RunError, match="config.json does not fit msmt"):
        _ = run.settings
    (run.path / "config.json").write_text("{")
    with pytest.raises(RunError, match="config.json is not JSON"):
        _ = run.settings


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot make a run directory in"):
        create(tmp_path / "file")


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    run = create(tmp_path)
    run.save_last({"epoch": 1})
    with pytest.raises(KeyboardInterrupt), runs.written_aside(run.path / "last.pt") as path:
        path.write_bytes(b"half")
        raise KeyboardInterrupt
    assert run.load_last() == {"epoch": 1}
    assert not [path for path in run.path.iterdir() if path.name.endswith(".partial")]


def test_best_weights_can_be_read_without_msmt(tmp_path):
    from safetensors import safe_open

    run = create(tmp_path)
    run.save_best({"weight": torch.arange(6.0).view(2, 3).T}, epoch=4)
    with safe_open(run.path / "best.safetensors", "pt") as opened:
        assert opened.metadata() == {"epoch": "4"}
        assert opened.get_tensor("weight").shape == (3, 2)


def test_settings_of_a_run_are_those_it_trains_with():
    again = runs.Settings.from_json(json.loads(json.dumps(settings().to_json())))
    assert again == settings() and again.train != TRAIN


def test_a_run_from_before_a_switch_was_there_has_it_at_its_default(tmp_path):
    run = create(tmp_path)
    fields = json.loads((run.path / "config.json").read_text())
    for name in ("segment_vector", "shared_bottleneck"):
        del fields["model"][name]
    (run.path / "config.json").write_text(json.dumps(fields))
    assert run.settings == settings(model=ModelConfig())
    assert (run.settings.model.segment_vector, run.settings.model.shared_bottleneck) == ("mean", False)


@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_weights_may_be_read_by_whom_the_umask_lets(tmp_path, mask, mode):
    run, before = create(tmp_path), os.umask(mask)
    try:
        run.save_best({"weight": torch.ones(2)}, epoch=1)
        run.save_last({"epoch": 1})
    finally:
        os.umask(before)
    assert [(run.path / name).stat().st_mode & 0o777 for name in ("best.safetensors", "last.pt")] == [mode, mode]


def test_the_command_that_resumes_works_as_it_is_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    usual, other = create("runs"), create("my runs", "first try")
    assert usual.how_to_resume() == f"go on with msmt train --resume {usual.name}"
    assert runs.Run(usual.path.resolve()).how_to_resume(Path("memory.zarr")) == usual.how_to_resume()
    assert other.how_to_resume() == f"go on with msmt train --resume '{other.name}' --runs 'my runs'"
    assert usual.how_to_resume(Path("moved.zarr")).endswith(f"--resume {usual.name} --store moved.zarr")
