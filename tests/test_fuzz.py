"""Damaged stores and mutated inputs: a small campaign of benchmarks/fuzz.py, and what a campaign must notice."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import msmt
import numpy as np
import pytest
from msmt.benchmarks import fuzz
from msmt.benchmarks.fuzzing import damages, inputs, stores, workers
from msmt.benchmarks.fuzzing.cases import Case, Ending, Outcome, judge, typed
from msmt.tests.features.made import make_store
from msmt.train.config import TrainConfig

SCRIPT = Path(msmt.__file__).parent / "benchmarks/fuzz.py"


def test_a_campaign_finds_nothing():
    # In a process of its own: a campaign forks, which a process must not do in which torch has computed.
    campaign = [sys.executable, SCRIPT, "--stores", "8", "--inputs", "240", "--seed", "1", "--minutes", "5"]
    ended = subprocess.run(campaign, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-2000:]
    assert "248 cases, no finding" in ended.stdout


def content(folder: Path) -> dict[str, tuple]:
    """What every file and link below a folder holds."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, os.readlink(path) if path.is_symlink() else "")
        + ((path.read_bytes(),) if path.is_file() else ())
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
@pytest.mark.parametrize("kind", [kind for kind in damages.ALL if kind not in ("linked-lock",)])
def test_a_damage_is_the_same_for_the_same_seed(kind, suffix, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    left = []
    for name in ("one", "other"):
        folder = tmp_path / name / "cache"
        (folder / "outside").mkdir(parents=True)
        make_store(folder / f"calls{suffix}")
        before, drawn = content(folder), random.Random(3)
        for _ in range(50):
            try:
                about = damages.ALL[kind](drawn, damages.Victim(folder / f"calls{suffix}", folder / "outside"))
                break
            except damages.NotApplicable:
                continue
        else:
            return  # only of the other format, or of unfinished stores
        assert content(folder) != before
        left.append(about)
    assert left[0] == left[1]


ABOUTS = """
import json, os, random
from pathlib import Path

from msmt.benchmarks.fuzzing import damages, inputs
from msmt.benchmarks.fuzzing.cases import Case
from msmt.tests.features.made import make_store

here = Path.cwd()
corpora = object.__new__(inputs.Inputs)  # without the stores and sounds, which decide nothing
corpora.folder = here
for kind in dict.fromkeys(inputs.KINDS):
    for seed in range(12):
        folder = here / f"{kind}-{seed}"
        folder.mkdir()
        os.chdir(folder)
        trial = corpora.written(Case(kind, seed))
        files = [path.read_bytes().hex() for path in sorted(Path(".").rglob("*")) if path.is_file()]
        print(json.dumps([kind, seed, trial.about, trial.arguments, files]))
os.chdir(here)
for suffix in (".zarr", ".h5"):
    for kind in damages.ALL:
        folder = here / f"{kind}{suffix}"
        (folder / "outside").mkdir(parents=True)
        make_store(folder / f"calls{suffix}")
        drawn = random.Random(3)
        for _ in range(50):
            try:
                victim = damages.Victim(folder / f"calls{suffix}", folder / "outside")
                print(json.dumps([kind, suffix, damages.ALL[kind](drawn, victim)]))
                break
            except damages.NotApplicable:
                continue
"""


def test_a_case_is_the_same_in_every_process(tmp_path):
    told = []
    for order in ("1", "2"):  # of sets, which is another in every process
        (tmp_path / order).mkdir()
        about = subprocess.run(
            [sys.executable, "-c", ABOUTS],
            cwd=tmp_path / order,
            env={**os.environ, "PYTHONHASHSEED": order, "SOURCE_DATE_EPOCH": "1700000000", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert about.returncode == 0, about.stderr[-2000:]
        told.append(about.stdout.splitlines())
    assert len(told[0]) > 12 * len(set(inputs.KINDS))
    assert [one for one, other in zip(*told, strict=True) if one != other] == []


def test_a_corpus_that_an_extraction_refuses_is_not_taken_for_one_that_it_takes(tmp_path):
    """One file in two splits, which is found out at the beginning of what is not done here."""
    said = subprocess.run(
        [sys.executable, "-c", SHARED_AUDIO], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert said.returncode == 0, said.stderr[-2000:]
    assert "put both into one split" in said.stdout and "reached None" in said.stdout


SHARED_AUDIO = """
from pathlib import Path

import numpy as np
import soundfile
from msmt.benchmarks.fuzzing import inputs
from msmt.benchmarks.fuzzing.cases import typed

Path("data/generic/audio").mkdir(parents=True)
soundfile.write("data/generic/audio/a.wav", np.zeros(800, np.float32), 8000)
splits = {"train": "x", "val": "y", "test": "x"}
rows = "".join(f"r{label}{split},a.wav,text,{label},{split}\\n" for split, label in splits.items())
Path("data/generic/segments.csv").write_text("recording,audio,text,label,split\\n" + rows)
inputs._replace_costly()
ending = typed(["extract", "--dataset", "generic", "--device", "cpu"])
print(ending.error, "reached", ending.reached)
"""


def test_every_kind_of_damage_is_done_to_some_store(tmp_path):
    campaign = fuzz.drawn(len(stores.KINDS), len(inputs.KINDS), seed=4)
    assert {case.kind for case in campaign} == {*stores.KINDS, *inputs.KINDS}
    assert len({(case.kind, case.seed) for case in campaign}) == len(campaign)


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        (Ending(1, "", "", trace=KeyError("text")), "traceback"),
        (Ending(1, "", "", trace=MemoryError()), "memory"),
        (Ending(3, "", ""), "status"),
        (Ending(2, "", "msmt: error: a.zarr: one\ntwo\n"), "message"),
        (Ending(2, "", "msmt: error: it is damaged\n"), "message"),
        (Ending(2, "", f"msmt: error: a.zarr: {'x' * 3000}\n"), "message"),
        (Ending(0, "a.zarr: \x1b[31mred\n", ""), "control character"),
        (Ending(2, "", "msmt: error: a.zarr: is damaged; run msmt extract\n"), ""),
        (Ending(2, "", "Usage: msmt info [OPTIONS]\nTry 'msmt info -h' for help.\n\nError: no such a.zarr\n"), ""),
        (
            Ending(
                2, "", "Usage: msmt info [OPTIONS]\n                 [a|b]\nTry 'msmt -h'.\n\nError: no such a.zarr\n"
            ),
            "",
        ),
        (Ending(0, "你好\n", ""), ""),
    ],
)
def test_bad_manners_are_findings(ending, kind):
    outcome = Outcome(Case("flipped-bits", 0))
    judge(outcome, "info", ending, must_name=("a.zarr",))
    assert [finding.kind for finding in outcome.findings] == ([kind] if kind else [])


def test_commands_are_typed_in_this_process(tmp_path):
    make_store(tmp_path / "calls.zarr")
    ending = typed(["info", str(tmp_path / "calls.zarr"), "--json"])
    assert ending.status == 0 and json.loads(ending.shown)["segments"] == 70
    ending = typed(["info", str(tmp_path / "none.zarr")])
    assert ending.status == 2 and ending.message.startswith("msmt: error: ") and ending.trace is None


def hang_die_or_end(case: Case, here: Path, begin) -> Outcome:
    begin(f"{case.kind} | a store")
    if case.kind == "hang":
        time.sleep(600)
    if case.kind == "die":
        os._exit(7)
    assert list(here.iterdir()) == []
    return Outcome(case)


def test_a_case_that_hangs_or_dies_is_a_finding_and_the_next_one_is_tried(tmp_path):
    cases = [Case(kind, number) for number, kind in enumerate(("end", "hang", "end", "die", "end"))]
    outcomes = list(workers.tried([cases], hang_die_or_end, tmp_path, 1, 2.0, time.monotonic() + 600))
    assert [outcome.case for outcome in outcomes] == cases
    found = [[finding.kind for finding in outcome.findings] for outcome in outcomes]
    assert found == [[], ["hang"], [], ["died"], []]
    assert outcomes[1].about == "a store" and not list(tmp_path.iterdir())


def test_no_case_is_begun_when_time_is_up(tmp_path):
    assert not list(workers.tried([[Case("end", 0)]], hang_die_or_end, tmp_path, 1, 2.0, time.monotonic()))


@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
def test_what_the_formats_library_reads_is_compared(suffix, tmp_path):
    make_store(tmp_path / f"calls{suffix}", without=(5,))
    plain = stores.plain_of(tmp_path / f"calls{suffix}")
    assert {"segments/text", "hubert/features", "hubert/length", "@"} <= set(plain)
    assert stores.plain_differences(plain, dict(plain), is_finished=True) == []
    for name in ("segments/text", "hubert/checksum", "segments@"):
        value = plain[name]
        other = value.replace("A", "B") if isinstance(value, str) else np.roll(value, 1)
        assert stores.plain_differences(plain, {**plain, name: other}, is_finished=True)
        assert stores.plain_differences(plain, {k: v for k, v in plain.items() if k != name}, is_finished=True)


def test_rows_of_an_unfinished_store_may_be_missing_but_not_others(tmp_path):
    make_store(tmp_path / "calls.zarr")
    plain = stores.plain_of(tmp_path / "calls.zarr")
    missing = {**plain, "hubert/length": np.where(np.arange(70) == 3, -1, plain["hubert/length"])}
    assert stores.plain_differences(plain, missing, is_finished=False) == []
    assert stores.plain_differences(plain, missing, is_finished=True)
    longer = {**plain, "hubert/length": plain["hubert/length"] + 1}
    assert stores.plain_differences(plain, longer, is_finished=False)


def test_features_in_the_place_of_lengths_are_a_difference_like_others(tmp_path):
    make_store(tmp_path / "calls.zarr")
    plain = stores.plain_of(tmp_path / "calls.zarr")
    swapped = {**plain, "hubert/length": plain["hubert/features"], "hubert/features": plain["hubert/length"]}
    assert stores.plain_differences(plain, swapped, is_finished=False)


@pytest.mark.parametrize(
    ("name", "wanted", "got", "is_right"),
    [
        ("epochs", 2, 2, True),
        ("epochs", 2.9, 2, False),
        ("epochs", 2.0, 2, False),
        ("epochs", True, 1, False),
        ("epochs", "2", 2, False),
        ("epochs", None, 35, True),
        ("epochs", None, 0, False),
        ("learning_rate", 1, 1.0, True),
        ("learning_rate", "1e-3", 1e-3, True),
        ("skip_missing", 1, True, False),
        ("tasks", ["five"], "['five']", False),
    ],
)
def test_a_value_of_a_file_must_be_taken_as_it_stands(name, wanted, got, is_right):
    field = next(field for field in dataclasses.fields(TrainConfig) if field.name == name)
    assert (inputs._value_difference(name, wanted, got, field) == "") == is_right
