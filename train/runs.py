"""Run directories: what a training run leaves behind, and how it is found again.

    runs/<time>-<name>/config.json        settings, tasks and features: all that the network is built from
                       environment.json   versions, seed, store and its fingerprint, command line, device
                       rows-train.npz     hashes of the rows it learns from, see dependence.py
                       rows-validation.npz  and of those it is judged by
                       left-out.csv       segments without features, if any were left out
                       metrics.jsonl      a line per epoch
                       layer-weights.json how much each layer weighs in a slot that sums several, at the best epoch
                       events.out.*       the same for TensorBoard
                       best.safetensors   weights of the best epoch
                       scored.json        how often each split has been scored
                       rows-scored-*.npz  hashes of the rows that it was last scored on, by split
                       last.pt            all that resuming needs after each epoch; no weights once the run is done
    runs/latest                           names the newest run: a link, or a text file where links are not to be had

Every file is written aside and renamed, so that a run that is killed leaves whole files.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import re
import shlex
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from .. import __version__
from ..errors import MsmtError, RunError
from ..shown import as_cell
from .dependence import RowsRead
from .settings import Settings

LATEST = "latest"
FOLDER = Path("runs")  # where msmt train puts runs unless told otherwise
LEARNT, JUDGED = "train", "validation"  # what the rows of a run are to it, whatever their split is called
_PACKAGES = ("torch", "numpy", "pandas", "safetensors", "transformers")


@dataclass(frozen=True)
class Run:
    """A run directory that is there."""

    path: Path
    """The directory."""

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def settings(self) -> Settings:
        """Raises RunError when config.json is missing or not of this version of msmt."""
        fields = self._read_json("config.json")
        try:
            return Settings.from_json(fields)
        except (KeyError, TypeError, MsmtError) as error:
            raise RunError(f"{self.path / 'config.json'} does not fit msmt {__version__}: {error}") from error

    @property
    def environment(self) -> dict:
        """What environment.json holds. Raises RunError when it is missing."""
        return self._read_json("environment.json")

    @property
    def learnt(self) -> RowsRead | None:
        """The rows it learns from; None for a run of a version of msmt that did not keep them."""
        return RowsRead.load(self.path / f"rows-{LEARNT}.npz")

    @property
    def judged(self) -> RowsRead | None:
        """The rows that its epochs are judged by; None as for ``learnt``."""
        return RowsRead.load(self.path / f"rows-{JUDGED}.npz")

    def scored_rows(self, split: str) -> RowsRead | None:
        """The rows that it was last scored on; None if it never was, or by a version that did not keep them."""
        rows = RowsRead.load(self.path / _file_of_scored(split))
        return rows if rows and rows.split == split else None

    def save_scored_rows(self, rows: RowsRead) -> None:
        """Keep the rows that it is scored on."""
        with written_aside(self.path / _file_of_scored(rows.split)) as path:
            rows.save(path)

    def changes(self, store, learnt: RowsRead, judged: RowsRead) -> list[str]:
        """What of the rows that it read is not in the store as it was, a phrase for each kind of thing.

        ``learnt`` and ``judged`` are what would be read of the store now. A run that did not keep its rows depends on
        the whole store.
        """
        kept = self.learnt, self.judged
        if None in kept:
            return [] if self.is_of_exactly(store) else ["something, for the run does not say which rows it read"]
        return [
            phrase
            for before, now in zip(kept, (learnt, judged), strict=True)
            for phrase in before.differences(now, store)
        ]

    def is_of_exactly(self, store) -> bool:
        """Whether the store is, byte for byte, what the run was trained on."""
        accepted = {store.fingerprint(), getattr(store, "fingerprint_version_1", store.fingerprint)()}
        return self.environment["store"]["fingerprint"] in accepted

    def not_its_store(self, store) -> RunError:
        """The error for a store that is not what the run was trained on."""
        return RunError(
            f"{store.path} is not the store that run {self.name} was trained on ({self.environment['store']['path']}), "
            f"or has changed since: give the right one with --store, train again with msmt train, or score it as other "
            f"data with msmt predict"
        )

    @property
    def is_untouched(self) -> bool:
        """Whether no epoch of it was finished; its seed is then all that it takes to go on."""
        # Weights alone may be there: they are written first, and a kill may come right after.
        return not any((self.path / name).exists() for name in ("last.pt", "metrics.jsonl"))

    def save_best(self, weights: Mapping[str, Tensor], epoch: int) -> None:
        with written_aside(self.path / "best.safetensors") as path:
            path.unlink(missing_ok=True)  # of a run that was killed
            path.touch()
            mode = path.stat().st_mode
            save_file(
                {name: weight.cpu().contiguous() for name, weight in weights.items()}, path, {"epoch": str(epoch)}
            )
            path.chmod(mode)  # safetensors lets nobody else read it, whatever the umask says

    def load_best(self) -> dict[str, Tensor]:
        """Weights of the best epoch. Raises RunError when no epoch has been finished."""
        path = self.path / "best.safetensors"
        if not path.exists():
            raise RunError(f"run {self.name} has no {path.name}, no epoch of it was finished: {self.how_to_resume()}")
        try:
            return load_file(path)
        except Exception as error:  # safetensors has no exception type of its own for each defect
            raise RunError(f"{path} cannot be read ({type(error).__name__}): train again") from error

    def save_last(self, state: dict) -> None:
        with written_aside(self.path / "last.pt") as path:
            torch.save(state, path)

    def load_last(self, device: torch.device | str = "cpu", mapped: bool = False) -> dict:
        """All that resuming needs; ``mapped`` reads weights only when they are used.

        Raises RunError when it is missing or damaged.
        """
        path = self.path / "last.pt"
        if not path.exists():
            raise RunError(f"run {self.name} has no {path.name}, so it cannot be resumed: train again")
        try:
            return torch.load(path, map_location=device, weights_only=True, mmap=mapped)
        except Exception as error:  # pickle, zip and torch errors of every kind mean the same here
            raise RunError(f"{path} cannot be read ({type(error).__name__}): train again") from error

    @property
    def parameters(self) -> int | None:
        """Weights that were trained; None for a run of a version that did not count them."""
        with suppress(RunError):
            return self.environment.get("parameters")
        return None

    @property
    def epoch_seconds(self) -> float | None:
        """What the training steps of an epoch took, the median of all epochs; None where nobody could tell."""
        path = self.path / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        with suppress(ValueError, TypeError, AttributeError):  # a file that somebody else has written
            found = [json.loads(line).get("train_seconds") for line in lines]
            known = [float(seconds) for seconds in found if seconds is not None]
            return statistics.median(known) if known else None
        return None

    def save_metrics(self, epochs: Sequence[Mapping[str, object]]) -> None:
        with written_aside(self.path / "metrics.jsonl") as path:
            path.write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))

    def save_layer_weights(self, weights: Mapping[str, Mapping[str, float]]) -> None:
        """By slot how much each layer weighs."""
        with written_aside(self.path / "layer-weights.json") as path:
            path.write_text(json.dumps(weights, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def count_scoring(self, split: str) -> int:
        """Record that a split is scored once more; returns how often that makes. Whoever reads a test score can ask."""
        counts = self.times_scored
        counts[split] = counts.get(split, 0) + 1
        with written_aside(self.path / "scored.json") as path:
            path.write_text(json.dumps(counts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return counts[split]

    @property
    def times_scored(self) -> dict[str, int]:
        """How often each split has been scored."""
        return self._read_json("scored.json") if (self.path / "scored.json").exists() else {}

    @property
    def status(self) -> str:
        """How training ended, ``running`` if it did not, or ``untouched`` if no epoch was finished."""
        if self.is_untouched:
            return "untouched"
        try:
            return self.load_last(mapped=True)["progress"]["status"]
        except (KeyError, TypeError) as error:
            raise RunError(f"run {self.name}: last.pt is not of this version of msmt, train again") from error

    @property
    def epochs(self) -> int:
        """Epochs that have been finished."""
        path = self.path / "metrics.jsonl"
        return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0

    def how_to_resume(self, store: Path | None = None) -> str:
        """The command that goes on with it, from here; with ``store`` where that is not the path the run recorded."""
        words = ["msmt", "train", "--resume", self.name]
        if self.path.parent.resolve() != FOLDER.resolve():
            words += ["--runs", str(self.path.parent)]
        if store is not None and str(store) != self.environment["store"]["path"]:
            words += ["--store", str(store)]
        return f"go on with {shlex.join(words)}"

    def _read_json(self, name: str) -> dict:
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(f"{self.path} has no {name}, so it is not a complete run directory") from None
        except ValueError as error:
            raise RunError(f"{path} is not JSON ({error})") from error


def create(
    runs_dir: Path | str,
    settings: Settings,
    environment: dict,
    left_out: pd.DataFrame,
    learnt: RowsRead | None = None,
    judged: RowsRead | None = None,
) -> Run:
    """A new run directory, named for the time and the run, which is then the latest."""
    runs_dir = Path(runs_dir)
    unfinished = runs_dir / f".{os.getpid()}-{time.monotonic_ns()}.partial"
    try:
        unfinished.mkdir(parents=True)
    except OSError as error:
        raise RunError(f"cannot make a run directory in {runs_dir}: {error.strerror}") from error
    for name, content in (("config.json", settings.to_json()), ("environment.json", environment)):
        (unfinished / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, rows in ((LEARNT, learnt), (JUDGED, judged)):
        if rows is not None:
            rows.save(unfinished / f"rows-{name}.npz")
    if len(left_out):
        left_out.map(as_cell).to_csv(unfinished / "left-out.csv", index=False)
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{settings.train.name or settings.model.variant}"
    path = _rename_to_free_name(unfinished, stem)
    point_latest_to(Run(path))
    return Run(path)


def _file_of_scored(split: str) -> str:
    name = re.sub(r"[^\w.-]+", "_", split)
    return f"rows-scored-{name}.npz"


def _rename_to_free_name(unfinished: Path, stem: str) -> Path:
    for count in itertools.count(1):  # more than one run may start within a second
        path = unfinished.with_name(stem if count == 1 else f"{stem}-{count}")
        try:
            return unfinished.rename(path)
        except OSError:
            if not path.exists():
                raise


def resolve(runs_dir: Path | str, wanted: Path | str = LATEST) -> Run:
    """The run that ``wanted`` means: ``latest``, a path, a directory's name, or the newest with that name.

    Raises RunError when there is none.
    """
    runs_dir = Path(runs_dir)
    there = sorted(path.parent.name for path in runs_dir.glob("*/config.json") if path.parent.name != LATEST)
    if str(wanted) == LATEST:
        if not there:
            raise RunError(f"there is no run in {runs_dir}: start one with msmt train")
        return Run(runs_dir / _latest(runs_dir, there))
    for path in (runs_dir / wanted, Path(wanted)):
        if path.is_dir():
            if not (path / "config.json").exists():
                raise RunError(f"{path} has no config.json, so it is not a complete run directory")
            return Run(path)
    same_name = [name for name in there if name.split("-", 2)[-1] == str(wanted)]
    if not same_name:
        newest = ", ".join(there[-5:]) or "none"
        raise RunError(f"there is no run {wanted} in {runs_dir} (the newest there: {newest})")
    return Run(runs_dir / same_name[-1])


def _latest(runs_dir: Path, there: Sequence[str]) -> str:
    latest = runs_dir / LATEST
    name = ""
    if latest.is_symlink():
        name = os.readlink(latest)
    elif latest.is_file():
        name = latest.read_text().strip()
    return name if name in there else there[-1]  # the run it named may have been deleted


def point_latest_to(run: Run) -> None:
    """Make a run the one that ``latest`` means among those beside it."""
    latest = run.path.parent / LATEST
    aside = run.path.parent / f".{LATEST}-{os.getpid()}"
    try:
        aside.symlink_to(run.name)
    except OSError:  # no links on this file system
        aside.write_text(run.name + "\n")
    aside.replace(latest)


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of ``path`` when the block ends well, and else disappears."""
    aside = path.with_name(f".{path.name}.partial")
    try:
        yield aside
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def environment(
    store,
    seed: int,
    device: str,
    command: Sequence[str] | None = None,
    part_of: Mapping[str, object] | None = None,
) -> dict:
    """What a run has to know about where it ran: versions, seed, store, command line, device, and what it is part of."""
    versions = {"msmt": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": list(sys.argv if command is None else command),
        "seed": seed,
        "device": device,
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "store": {"path": str(store.path), "dataset": store.dataset, "fingerprint": store.fingerprint()},
        "versions": versions,
        **({"part_of": dict(part_of)} if part_of else {}),
    }
