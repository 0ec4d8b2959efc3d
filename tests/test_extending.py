"""What docs/extending.md says is all that a new kind of feature and a new network need: it is done, and tried."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import msmt
import pytest
from msmt.tests.test_docs import write_talks

ROOT = Path(msmt.__file__).parent
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE) for line in block.splitlines()
]


def follow_the_page(package: Path) -> list[str]:
    """Write its files into a copy of the package, and its lines at the end of the lists that it names; returns where."""
    places = []
    for place, body in re.findall(r"^```python\n# ([^\n]+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        path, _, name = place.partition(": ")
        file = package / path
        if not name:
            assert not file.exists()
            file.write_text(body, encoding="utf-8")
        else:
            text = file.read_text(encoding="utf-8")
            [whole] = re.findall(rf"^{name} = [{{\[].*?^[}}\]]", text, re.DOTALL | re.MULTILINE)
            file.write_text(text.replace(whole, whole[:-1] + body + whole[-1]), encoding="utf-8")
        places.append(place)
    return places


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package with what the page adds."""
    copy = tmp_path_factory.mktemp("clone") / "msmt"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "demo", "build", "*.egg-info"))
    assert follow_the_page(copy) == [
        "extract/extractors/loudness.py",
        "extract/extractors/registry.py: KINDS",
        "tests/extract/test_extractors.py: EXTRACTORS",
        "train/models/attentive.py",
        "train/models/registry.py: NETWORKS",
        "tests/train/test_networks.py: CASES",
    ]
    return copy


def run(package: Path, folder: Path, *arguments: str) -> str:
    """What ``python`` prints with these arguments, the copy being the package that it knows; it must end well."""
    settings = {**os.environ, "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.parametrize(
    ("file", "least"), [("tests/extract/test_extractors.py", 15), ("tests/train/test_networks.py", 18)]
)
def test_the_shared_tests_pass_with_what_the_page_adds(package, file, least):
    [line] = [line for line in COMMANDS if line.startswith("python ") and file in line]
    words = shlex.split(line)[1:]
    words[-1] = f"({words[-1]}) and not two_processes"  # which is slow, and tried with the networks that are there
    told = run(package, package, *words, "-p", "no:cacheprovider", "-v")
    assert int(re.search(r"(\d+) passed", told)[1]) >= least


PROGRAM = """
import sys
from msmt.cli import main
for line in sys.argv[1:]:
    sys.argv = line.split()
    print(f"$ {line}", flush=True)
    try:
        main()
    except SystemExit as end:
        assert not end.code, line
"""


def test_the_commands_of_the_page_work_in_its_order(package, tmp_path):
    write_talks(tmp_path / "data/generic")
    told = run(package, tmp_path, "-c", PROGRAM, *[line for line in COMMANDS if line.startswith("msmt ")])
    listed, extracted, helped, trained, scored, embedded = told.split("$ msmt ")[1:]
    assert "loudness: Level in decibels" in listed and "frame = 0.05" in listed
    assert "loudness: 32 computed" in extracted and "slow: 32 computed" in extracted
    assert "--hidden" in helped and "Values of the hidden layer" in helped
    assert "best epoch" in trained and "accuracy" in scored and "attended: 32 rows computed" in embedded
