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

FOLDERS = (*ALLOWED, "commands")
MOST_LINES = 400


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


def module_of(file: Path) -> str:
    """``features.store`` of a file of the package; the package itself is ``""``."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules_imported_by(file: Path, modules: set[str]) -> set[str]:
    """The modules of the package that a file imports, anywhere in it: at its top, in a function, for types alone."""
    package = file.relative_to(ROOT).parent.parts
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".", 1)[1] for alias in node.names if alias.name.startswith("msmt.")]
        elif isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "msmt"):
            start = package[: len(package) - node.level + 1] if node.level else ()
            named = (node.module or "").split(".")[0 if node.level else 1 :]
            base = ".".join([*start, *(part for part in named if part)])
            # What is imported from a package may be a module of it, or a name in it.
            names = [each if (each := f"{base}.{alias.name}".strip(".")) in modules else base for alias in node.names]
        else:
            continue
        found |= set(names)
    return found & modules


def module_graph() -> dict[str, set[str]]:
    files = [*ROOT.glob("*.py"), *(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))]
    modules = {module_of(file) for file in files}
    return {module_of(file): modules_imported_by(file, modules) for file in files}


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """Modules each of which imports the next, the last the first; empty where there is no circle."""
    done: set[str] = set()

    def circle_from(module: str, way: list[str]) -> list[str]:
        if module in way:
            return [*way[way.index(module) :], module]
        if module in done:
            return []
        for other in sorted(graph[module]):
            if circle := circle_from(other, [*way, module]):
                return circle
        done.add(module)
        return []

    return next((circle for module in sorted(graph) if (circle := circle_from(module, []))), [])


def test_no_module_imports_itself_by_way_of_others():
    graph = module_graph()
    assert len(graph) > 80 and "features.rows" in graph["features.store"]
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    circle = circle_in(graph)
    assert not circle, f"a circle of imports: {' -> '.join(circle)}"


def test_commands_know_studies_and_nothing_below_knows_them():
    for module, imported in module_graph().items():
        folder = module.split(".")[0]
        above = {"commands": {"cli"}, "studies": {"commands", "cli"}}.get(folder, {"commands", "cli", "studies"})
        wrong = {each for each in imported if each.split(".")[0] in above}
        assert folder == "cli" or folder == "__main__" or not wrong, f"{module} imports {wrong}"


def test_no_file_of_the_store_is_long():
    lengths = {file.name: len(file.read_text().splitlines()) for file in (ROOT / "features").glob("*.py")}
    assert not {name: length for name, length in lengths.items() if length > MOST_LINES}


# A network may hold layers of an encoder that stay as they were trained; one file brings these.
LAYERS_OF_ENCODERS = ROOT / "train/models/frozen_layers.py"


def test_only_extract_knows_encoders_and_audio_libraries():
    for file in [*ROOT.glob("*.py"), *(file for folder in ALLOWED for file in (ROOT / folder).rglob("*.py"))]:
        words = {
            word
            for word in ("transformers", "torchaudio", "soundfile")
            if f"import {word}" in file.read_text() or f"from {word}" in file.read_text()
        }
        if file == LAYERS_OF_ENCODERS:
            assert words == {"transformers"}
            continue
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
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("__init__.py")
    }
    assert there == listed
