"""The folders depend on each other in one direction, and the command line stays quick."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import msmt
import pytest

ROOT = Path(msmt.__file__).parent
ALLOWED = {
    "features": {"errors", "progress", "shown"},
    "extract": {"errors", "progress", "shown", "values", "features"},
    "train": {"errors", "progress", "shown", "values", "features"},
    "evaluate": {"errors", "progress", "shown", "features"},
    "studies": {"errors", "progress", "shown", "values", "features", "extract", "train", "evaluate"},
    "commands": {
        *("errors", "progress", "shown", "values", "options", "threads"),
        *("features", "extract", "train", "evaluate", "studies"),
    },
}


def imported_by(file: Path) -> set[str]:
    """Names right below the package that a file imports, such as ``features``."""
    depth = len(file.relative_to(ROOT).parts)
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            names |= {(node.module or "").split(".")[0]} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "msmt":
            names.add(f"absolute {node.module}")
    return names


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_follow_one_arrow(folder):
    for file in (ROOT / folder).rglob("*.py"):
        foreign = imported_by(file) - ALLOWED[folder] - {"__version__"}
        assert not foreign, f"{file.relative_to(ROOT)} imports {foreign}"


def test_only_extract_knows_encoders_and_audio_libraries():
    for file in [*ROOT.glob("*.py"), *(file for folder in ALLOWED for file in (ROOT / folder).rglob("*.py"))]:
        words = {
            word
            for word in ("transformers", "torchaudio", "soundfile")
            if f"import {word}" in file.read_text() or f"from {word}" in file.read_text()
        }
        assert not words or file.is_relative_to(ROOT / "extract"), file
        assert "torchaudio" not in words or file.name == "audio.py"


def test_no_heavy_import_stands_in_the_way_of_help():
    program = (
        "import sys; from msmt.cli import msmt; msmt(['--help'], standalone_mode=False);"
        "heavy = {'torch', 'transformers', 'pandas', 'numpy', 'h5py', 'zarr', 'matplotlib', 'sklearn', 'yaml'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL).returncode == 0


def test_every_folder_of_the_package_is_installed():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    listed = {name for name in settings["options"]["packages"].split() if name != "msmt"}
    there = {
        "msmt." + ".".join(file.parent.relative_to(ROOT).parts)
        for folder in ALLOWED
        for file in (ROOT / folder).rglob("__init__.py")
    }
    assert there == listed
