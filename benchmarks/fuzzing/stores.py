"""Stores to damage, what they hold in truth, and what every command makes of a damaged one."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from msmt.errors import MsmtError
from msmt.features.opening import open_store, writer_for
from msmt.features.reader import RowReader
from msmt.features.rows import BLOCK_ROWS, MISSING, Row, block_range
from msmt.features.segments import REMOVED
from msmt.features.spec import FeatureSpec
from msmt.features.store import FeatureStore
from msmt.features.tasks import Task
from msmt.tests.extract.made import save_encoders, write_calls

from . import damages
from .cases import Case, Ending, Outcome, judge, note_trace, typed
from .workers import in_child, in_children

# Stores whose extraction is done, was cut off, or was cut off while it brought a finished store up to date.
BASES = ("zarr", "hdf5", "zarr-begun", "hdf5-begun", "zarr-updated", "hdf5-updated")
FINISHED = BASES[:2]
KINDS = (*damages.ALL, "two-damages", "hostile", "undamaged")
_COMMITS = 2  # before an extraction is cut off
# What is extracted into which, and after how many commits it is cut off; three at once, of different stores.
_STEPS = (
    *(("zarr", "after", None), ("zarr-updated", "before", None), ("zarr-begun", "after", _COMMITS)),
    *(("hdf5", "after", None), ("hdf5-updated", "before", None), ("hdf5-begun", "after", _COMMITS)),
    *(("zarr-updated", "after", _COMMITS), ("hdf5-updated", "after", _COMMITS)),
)
_RECORDINGS = 18  # of 2 segments, with a view of each in training: 60 rows, a full block and a part of one
_BATCH = 8
_MOST_BYTES = 1 << 28  # that rows of so small a store may ask for
_PLAIN_SECONDS = 10.0
_SMALL = "--heads 2 --width 8 --feed-forward 32 --complementary-layers 1 --bottleneck-layers 1 --gru-width 8".split()
_SMALL += "--head-width 16 --epochs 1 --batch-recordings 4 --device cpu --name small --quiet".split()
# How rarely operations that take long, or that hide what others find, are tried.
_TRAINS_ONE_IN, _EXTRACTS_AT_ONCE_ONE_IN = 4, 4
_IS_LINK = re.compile(r"error: (.+): is a link, which a store has none of; put in its place what it leads to")
_MOST_ADVICE = 4  # that is followed one after another

Plain = dict[str, np.ndarray | str]
"""What the format's own library reads, by path in the tree; attributes as JSON, under the path and ``@``."""


@dataclass(frozen=True)
class Truth:
    """What a store holds, as msmt reads it before it is damaged."""

    head: Mapping[str, object]
    table: pd.DataFrame
    lengths: Mapping[str, np.ndarray]
    rows: Mapping[str, list[np.ndarray | None]]
    """For each feature, the values of every row; None where it is missing."""


@dataclass(frozen=True)
class Base:
    """A store to damage."""

    name: str
    truth: Truth
    plain: Plain
    weights: Mapping[str, np.ndarray] | None
    """What a short training comes to; None where rows are missing."""

    @property
    def is_finished(self) -> bool:
        return self.name in FINISHED


def _suffix(name: str) -> str:
    return ".zarr" if name.startswith("zarr") else ".h5"


class Stores:
    """The undamaged stores in ``folder``, and the check of a damaged copy."""

    def __init__(self, folder: Path) -> None:
        """Makes the stores, in processes of their own: torch must not compute before this one forks."""
        os.environ["SOURCE_DATE_EPOCH"] = (
            "1700000000"  # fixes the time of creation, so that a case has the same bytes always
        )
        self.folder = folder
        self._extraction = [
            *("--audio-encoder", "encoders/audio", "--text-encoder", "encoders/text"),  # linked beside each store
            *("--max-seconds", "1.5", "--max-tokens", "30", "--precision", "float32", "--augment", "noise"),
            *("--device", "cpu", "--quiet"),
        ]
        in_child(self._make_corpora)
        self._load_once()
        in_children([(self._extracted, name, corpus, most) for name, corpus, most in _STEPS[:3]])
        in_children([(self._extracted, name, corpus, most) for name, corpus, most in _STEPS[3:6]])
        in_children([(self._extracted, name, corpus, most) for name, corpus, most in _STEPS[6:]])
        self.bases = dict(zip(BASES, in_children([(self._base, name) for name in BASES]), strict=True))
        self.whole = self.bases["zarr"].truth

    def check(self, case: Case, here: Path, begin: Callable[[str], None]) -> Outcome:
        """Damage a copy of a store in the folder ``here``, and try all that can be done with it."""
        drawn = random.Random(str(case))
        if case.kind == "hostile":
            return self._check_hostile(case, drawn, here, begin)
        for attempt in range(1000):
            base = self.bases[drawn.choice(BASES)]
            attempted = here / f"attempt-{attempt}"
            victim = self._copied(base, attempted)
            kinds = {"undamaged": [], "two-damages": drawn.sample(sorted(damages.ALL), 2)}.get(case.kind, [case.kind])
            about = _done(kinds, drawn, victim)
            if about is not None:
                break
            shutil.rmtree(attempted)
        else:
            raise ValueError(f"{case.kind} can be done to no store")
        outcome = Outcome(case, about=f"{base.name}: {'; and '.join(about) or 'as it was'}")
        leads_outside = any(damages.ALL[kind] in damages.LEADING_OUTSIDE for kind in kinds)
        os.chdir(attempted)
        _Trial(self, base, victim, outcome, drawn, begin, leads_outside).run()
        return outcome

    def _check_hostile(self, case: Case, drawn: random.Random, here: Path, begin: Callable[[str], None]) -> Outcome:
        """Write a store that is in order but for what a stranger wrote into it, and try what its reader would."""
        victim = self._copied(self.bases[drawn.choice(FINISHED)], here / "hostile")
        shutil.copy(self.folder / "after/audio/call0_1.wav", victim.outside / "secret.wav")
        shutil.rmtree(victim.path) if victim.is_zarr else victim.path.unlink()
        os.chdir(here / "hostile")
        outcome = Outcome(case)
        begin("write | a hostile store")
        try:
            outcome.about = self._write_hostile(drawn, victim)
            store = open_store(victim.path)
            base = Base("zarr" if victim.is_zarr else "hdf5", truth_of(store), {}, None)
        except MsmtError as error:
            judge(outcome, "write", Ending(2, "", f"msmt: error: {error}"))
            return outcome
        except Exception as error:  # noqa: BLE001
            note_trace(outcome, "write", error)
            return outcome
        trial = _Trial(self, base, victim, outcome, drawn, begin, leads_outside=False)
        trial.differing = []
        trial.info()
        trial.verify()
        trial.convert()
        trial.listen(base.truth.table["segment_id"][0], self.folder / "after")
        return outcome

    def _write_hostile(self, drawn: random.Random, victim: damages.Victim) -> str:
        """Returns what is hostile about the store."""
        truth = self.whole
        table, tasks = truth.table.copy(), [Task.from_json(fields) for fields in truth.head["tasks"]]
        dataset, names = "marketcalls", {name: name for name in truth.rows}
        odd = drawn.choice(
            ["\x1b[2J\x1b[31mred", "a\nb", "..", "../../outside", "=1+1", "\x07", "x" * 300, "a/b", "/tmp"]
        )
        way = drawn.choice(["audio", "audio", "feature", "feature", "dataset", "class", "segment", "split"])
        match way:
            case "audio":
                odd = os.path.relpath(victim.outside / "secret.wav", self.folder / "after")
                odd = odd if drawn.random() < 0.5 else str(victim.outside / "secret.wav")
                table["audio"] = odd
            case "feature":
                names["hubert"] = odd
            case "dataset":
                dataset = odd
            case "class":
                tasks = [Task("five", (odd, *tasks[0].classes[1:]))]
                table = table.drop(
                    columns=[name for name in table if name.startswith("label_") and name != "label_five"]
                )
            case "segment":
                table.loc[0, "segment_id"] = odd
            case "split":
                table.loc[table["split"] == "test", "split"] = odd
        specs = {names[name]: FeatureSpec.from_json(fields) for name, fields in truth.head["features"].items()}
        lengths = {names[name]: truth.lengths[name] for name in names}
        with writer_for(victim.path) as writer:
            writer.prepare(dataset, tasks, table, specs, lengths)
            for name, rows in truth.rows.items():
                for block in range(-(-len(rows) // BLOCK_ROWS)):
                    content = {row: Row(rows[row], row + 1) for row in block_range(block, len(rows))}
                    writer.commit(names[name], block, content)
            writer.finish()
        return f"{victim.path.suffix}: {way} is {odd!r}"

    def _copied(self, base: Base, folder: Path) -> damages.Victim:
        shutil.copytree(self.folder / base.name, folder, symlinks=True)
        outside = folder / "outside"
        outside.mkdir()
        (outside / "secret.txt").write_text("this is not msmt's\n" * 20)
        return damages.Victim(folder / f"cache/marketcalls{_suffix(base.name)}", outside)

    def _make_corpora(self) -> None:
        """One corpus before and after some transcripts changed, a segment came and one left."""
        save_encoders(self.folder)
        write_calls(self.folder / "after", recordings=_RECORDINGS)
        shutil.copytree(self.folder / "after", self.folder / "before")
        path = self.folder / "before/train.csv"
        table = pd.read_csv(path)
        table.loc[:3, "text"] = "yes yes"
        table.drop(index=5).to_csv(path, index=False)

    def _load_once(self) -> None:
        """What transformers works out at the first loading of a model is there for all processes forked from here."""
        from transformers import AutoModel

        torch.set_num_threads(1)
        for name in ("audio", "text"):
            AutoModel.from_pretrained(self.folder / "encoders" / name)

    def _extracted(self, name: str, corpus: str, most: int | None) -> None:
        """Extract into the base of that name; with ``most``, until so many blocks are committed."""
        torch.set_num_threads(1)
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        if not Path("encoders").exists():
            Path("encoders").symlink_to(self.folder / "encoders")
        path = Path(f"cache/marketcalls{_suffix(name)}")
        if most is None:
            ending = self.extract(path, corpus)
            assert ending.status == 0 and ending.trace is None, ending
            return
        process = os.fork()
        if not process:
            self._cut_off(path, corpus, most)
        assert os.waitpid(process, 0)[1] == 0, "the extraction was not cut off"

    def _cut_off(self, path: Path, corpus: str, most: int) -> None:
        """Extract until so many blocks are committed; ends the process."""
        writer = type(writer_for(path))
        commit, left = writer.commit, most

        def counted(self, *arguments, **options):
            nonlocal left
            if not left:
                os._exit(0)
            left -= 1
            return commit(self, *arguments, **options)

        writer.commit = counted
        self.extract(path, corpus)
        os._exit(1)

    def extract(self, path: Path, corpus: str = "after", *more: str) -> Ending:
        """Type ``msmt extract``."""
        data = self.folder / corpus
        return typed(["extract", "--data", str(data), "--store", str(path), *self._extraction, *more])

    def _base(self, name: str) -> Base:
        torch.set_num_threads(1)
        os.chdir(self.folder / name)
        (path,) = (path for path in Path("cache").iterdir() if path.suffix in (".zarr", ".h5"))
        weights = None
        if name in FINISHED:
            trained = train(path, Path("runs"))
            assert trained.status == 0, trained
            weights = weights_in(Path("runs"))
            shutil.rmtree("runs")
        for lock in Path("cache").glob(".*.lock"):
            lock.unlink()
        return Base(name, truth_of(open_store(path)), plain_of(path), weights)


class _Trial:
    """All that is done with one damaged store."""

    def __init__(
        self,
        stores: Stores,
        base: Base,
        victim: damages.Victim,
        outcome: Outcome,
        drawn: random.Random,
        begin: Callable[[str], None],
        leads_outside: bool,
    ) -> None:
        self.stores, self.base, self.path, self.outcome = stores, base, victim.path, outcome
        self.outside, self.drawn, self.leads_outside = victim.outside, drawn, leads_outside
        self._begin = begin
        self._opened: list[str] = []
        self._is_watching = False
        self._names = (victim.path.name, "copy.", "runs/")
        self._about_outside: dict[str, tuple] = {}
        sys.addaudithook(self._note_opened)

    def run(self) -> None:
        torch.set_num_threads(1)
        with self.operation("plain"):
            self.differing = self._plain_differences()
        self._kept = _listed(Path("."))
        if self.drawn.randrange(_EXTRACTS_AT_ONCE_ONE_IN) == 0:
            self.extract("extract at once")
        else:
            self.info()
            is_well = self.verify()
            self.read(is_well)
            self.convert()
            if self.base.weights and self.drawn.randrange(_TRAINS_ONE_IN) == 0:
                self.train()
        self.repair()
        self.extract("extract")

    @contextlib.contextmanager
    def operation(self, name: str, may_change: tuple[str, ...] = ()) -> Iterator[None]:
        """Say what begins, and see afterwards that nothing but ``may_change`` has changed, nor was opened outside."""
        self._begin(f"{name} | {self.outcome.about}")
        before = _listed(Path("."))
        self._opened.clear()
        self._is_watching = True
        try:
            yield
        finally:
            self._is_watching = False
        after = _listed(Path("."))
        changed = {path for path, _ in before.items() ^ after.items()}
        wrong = sorted(path for path in changed if not path.startswith((*may_change, "cache/.marketcalls")))
        if wrong:
            is_own = all(path.startswith("cache/") for path in wrong)
            kind = "changed by reading" if is_own else "changed outside"
            self.outcome.find(kind, name, f"changed: {', '.join(wrong[:5])}", wrong[0].split("/")[0])
        if self._opened:
            self.outcome.find("opened outside", name, f"opened {', '.join(sorted(set(self._opened))[:3])}", "")

    def _note_opened(self, event: str, arguments: tuple) -> None:
        if event == "open" and self._is_watching and isinstance(arguments[0], str | bytes | os.PathLike):
            try:
                path = os.fsdecode(arguments[0])
                if (arguments[2] or 0) & os.O_NOFOLLOW:  # then a link at its end is refused
                    real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
                else:
                    real = os.path.realpath(path)
            except (OSError, ValueError):
                return
            if real.startswith(os.path.realpath(self.outside) + os.sep):
                self._opened.append(os.path.relpath(real, self.outside))

    def _plain_differences(self) -> list[str]:
        try:
            now = in_child(plain_of, self.path.absolute(), seconds=_PLAIN_SECONDS)
        except (TimeoutError, RuntimeError) as error:
            return [f"the format's own library cannot read it ({error})"]
        return plain_differences(self.base.plain, now, self.base.is_finished)

    def info(self) -> None:
        with self.operation("info"):
            as_json = self.drawn.random() < 0.7
            ending = typed(["info", str(self.path), *(["--json"] if as_json else [])])
            if not judge(self.outcome, "info", ending, self._names) or not as_json:
                return
            told = json.loads(ending.shown)
            for name, feature in told["features"].items():
                if not 0 <= feature["mean_length"] <= feature["shape"][1]:
                    self.outcome.find("wrong value", "info", f"{name} has a mean length of {feature['mean_length']:g}")

    def verify(self, operation: str = "verify") -> bool:
        """Whether verify says that all is well."""
        with self.operation(operation):
            ending = typed(["verify", str(self.path)])
            is_well = judge(self.outcome, operation, ending, self._names)
        if is_well and operation == "verify":
            if self.leads_outside:
                self.outcome.find("followed", "verify", "all is said to be well, but the store leads outside")
            if self.differing:
                detail = f"all is said to be well, but the format's own library reads: {'; '.join(self.differing[:4])}"
                self.outcome.find("unnoticed damage", "verify", detail, self.differing[0].split(":")[0])
        return is_well

    def read(self, is_well: bool) -> None:
        """Head, table, states and rows, through Python."""
        self._refused = False
        truth = self.base.truth
        with self.operation("read"):
            store = self._tried("read", lambda: open_store(self.path))
            if store is None:
                return
            head = self._tried("read", lambda: head_of(store))
            if head is not None and head != truth.head:
                wrong = [name for name in head if head[name] != truth.head.get(name)]
                detail = f"{wrong[0]} is {str(head[wrong[0]])[:300]}, not {str(truth.head.get(wrong[0]))[:300]}"
                self._differs("read", is_well, f"head {wrong[0]}", detail)
            table = self._tried("read", lambda: store.segments)
            if table is not None and (why := _table_difference(truth.table, table)):
                self._differs("read", is_well, "table", why)
            for name in head["features"] if head else ():
                self._rows(store, name, is_well)
        if not self.outcome.findings:
            self.outcome.ended("read", "refused" if self._refused else "fine")

    def _rows(self, store: FeatureStore, name: str, is_well: bool) -> None:
        truth = self.base.truth
        lengths = self._tried("read", lambda: store.states(name).length)
        if lengths is None or name not in truth.rows:
            return
        rows, known = truth.rows[name], truth.lengths[name]
        if is_well and not _lengths_agree(known, lengths, self.base.is_finished):
            self.outcome.find("unnoticed damage", "read", f"lengths of {name} differ", "lengths")
        present = [row for row in range(min(len(lengths), len(rows))) if lengths[row] != MISSING]
        for row in present:
            values = self._tried("read", lambda row=row: store.read(name, row))
            if values is not None and not _same_values(values, rows[row]):
                self._differs("read", is_well, "row", f"{name} row {row} has other values")
                break
        if is_well and len(present) < sum(row is not None for row in rows) and self.base.is_finished:
            self.outcome.find("unnoticed damage", "read", f"rows of {name} have gone missing", "missing rows")
        reader = self._tried("reader", lambda: RowReader(store, name))
        for start in range(0, len(present), _BATCH):
            members = present[start : start + _BATCH]
            if reader is None or not self._batch(reader, name, rows, np.array(members)):
                break

    def _batch(self, reader: RowReader, name: str, rows: list, members: np.ndarray) -> bool:
        """Read a batch as a training does; whether to go on."""
        lengths = np.asarray(reader.lengths)[members].astype(np.int64)
        if (lengths < 0).any() or lengths.sum() * reader.spec.row_bytes > _MOST_BYTES:
            detail = f"{name}: a batch of {len(members)} rows is said to have {lengths.sum()} frames"
            self.outcome.find("wrong value", "reader", detail, "believed length")
            return False
        out = np.zeros((int(lengths.sum()), reader.width), reader.spec.stored_type)
        if self._tried("reader", lambda: (reader.copy(members, out), True)) is None:
            return False
        if not any(rows[row] is None for row in members):
            right = np.concatenate([rows[row] for row in members])
            if not _same_values(out, right):
                self.outcome.find("wrong value", "reader", f"{name} rows {members.tolist()} have other values", "rows")
                return False
        return True

    def _tried(self, operation: str, function: Callable):
        """What a function returns; None where it refuses, as it may, or fails, which is noted."""
        try:
            return function()
        except MsmtError as error:
            self._refused = True
            refused = Ending(2, "", f"msmt: error: {error}")
            judge(self.outcome, operation, refused, self._names)
        except Exception as error:  # noqa: BLE001
            self._refused = True
            note_trace(self.outcome, operation, error)
        return None

    def _differs(self, operation: str, is_well: bool, what: str, detail: str) -> None:
        kind = "unnoticed damage" if is_well else "wrong value"
        self.outcome.find(kind, operation, detail, what)

    def convert(self) -> None:
        target = Path("copy", f"copy{'.h5' if self.path.suffix == '.zarr' else '.zarr'}")
        target.parent.mkdir()
        names = (str(target), f"copy/.{target.name}")
        with self.operation("convert", names):
            ending = typed(["convert", str(self.path), str(target), "--quiet"])
            is_done = judge(self.outcome, "convert", ending, self._names)
        if not is_done:
            return
        with self.operation("convert", names):
            try:
                made = truth_of(open_store(target))
            except MsmtError as error:
                self.outcome.find("wrong value", "convert", f"what was made cannot be read: {error}", "unreadable")
                return
        for why in _truth_differences(self.base.truth, made, self.base.is_finished):
            self.outcome.find("wrong value", "convert", why, why.split(":")[0])
            return

    def train(self) -> None:
        with self.operation("train", ("runs",)):
            ending = train(self.path, Path("runs"))
            if not judge(self.outcome, "train", ending, self._names):
                return
            right, got = self.base.weights, weights_in(Path("runs"))
        if right.keys() != got.keys() or any(not np.array_equal(right[name], got[name]) for name in right):
            self.outcome.find("wrong value", "train", "learnt other weights than from the undamaged store", "weights")

    def listen(self, segment: str, data: Path) -> None:
        with self.operation("listen", ("heard.",)):
            ending = typed(["listen", str(self.path), segment, "--data", str(data), "--out", "heard.wav"])
            judge(self.outcome, "listen", ending)

    def repair(self) -> None:
        """Mend what can be mended without the corpus."""
        ending, _ = self._with_advice("repair", lambda: typed(["verify", str(self.path), "--repair", "--quiet"]))
        if ending.trace is None and ending.status in (0, 1) and not _owns_up(ending):
            if not self.verify("verify after repair") and not self.outcome.findings:
                detail = f"repair says {ending.shown.strip()[-300:]!r}, but verify finds damage again"
                self.outcome.find("not mended", "repair", detail, "repair")

    def _with_advice(self, operation: str, command: Callable[[], Ending]) -> tuple[Ending, bool]:
        """How a command ended that may change the store, and whether it did its work.

        Where it asks the user to remove a lock or to put something in the place of a link, that is done, and it is run
        again.
        """
        again = ""
        for _ in range(_MOST_ADVICE):
            with self.operation(operation + again, ("cache/",)):
                ending = command()
                is_done = judge(self.outcome, operation + again, ending, self._names)
            if is_done or ending.status != 2 or not self._heeded(ending.message):
                break
            again = " as advised"
        return ending, is_done

    def _heeded(self, advice: str) -> bool:
        """Do by hand what a refusal asks for; whether there was any such thing."""
        locks = [path for path in Path("cache").glob(".*.lock") if path.is_symlink()]
        if advice.endswith("remove it") and locks:
            for lock in locks:
                lock.unlink()
            return True
        told = _IS_LINK.search(advice)
        if not told or not Path(told[1]).is_symlink():
            return False
        link = Path(told[1])
        aside = link.with_name("aside")
        with contextlib.suppress(OSError):  # it may lead nowhere, or in a circle
            shutil.copytree(link, aside, symlinks=True) if link.is_dir() else shutil.copyfile(link, aside)
        link.unlink()
        if aside.exists():
            aside.rename(link)
        return True

    def extract(self, operation: str) -> None:
        """Bring the store back; what a refusal advises is done, once."""
        may_change = ("cache/",)
        ending, is_done = self._with_advice(operation, lambda: self.stores.extract(self.path))
        if not is_done and ending.status == 2 and "--overwrite" in ending.message:
            with self.operation(f"{operation} --overwrite", may_change):
                ending = self.stores.extract(self.path, "after", "--overwrite")
                is_done = judge(self.outcome, f"{operation} --overwrite", ending, self._names)
        if not is_done:
            if "delete it" in ending.message:  # it cannot be mended, and that is said
                return
            if ending.status == 2 and "msmt extract" in ending.message:
                # It may send to verify --repair first, which comes next where this was the first thing tried.
                if operation == "extract" or "--repair" not in ending.message:
                    self.outcome.find("dead end", operation, f"extract says: {ending.message}", "extract")
            elif ending.status == 2 and "--repair" in ending.message and operation == "extract":
                self.outcome.find(
                    "dead end", operation, f"repair was tried, and extract says: {ending.message}", "repair"
                )
            return
        if operation != "extract":
            return  # rows that are damaged may still be there: extract does not recompute every checksum
        with self.operation("read again"):
            try:
                got = truth_of(open_store(self.path))
            except Exception as error:  # noqa: BLE001
                self.outcome.find("not mended", "extract", f"after repair and extract, reading says: {error!r}", "read")
                return
        for why in _by_segment_differences(self.stores.whole, got):
            self.outcome.find("not mended", "extract", f"after repair and extract, {why}", why.split(":")[0])
            return
        if not self.verify("verify after extract") and self.outcome.endings[-1] == ("verify after extract", "told"):
            shown = typed(["verify", str(self.path)]).shown
            self.outcome.find(
                "not mended", "extract", f"after repair and extract, verify says: {shown[:500]}", "verify"
            )


def _done(kinds: Sequence[str], drawn: random.Random, victim: damages.Victim) -> list[str] | None:
    """Damage a store in these ways one after another: what was done.

    None where there was nothing to damage so, or an earlier damage stands in the way of a later one.
    """
    about: list[str] = []
    for kind in kinds:
        if about:  # what is damaged already may lead a library astray that is to damage it again
            try:
                said, state = in_child(_tried_damage, kind, drawn, victim, seconds=_PLAIN_SECONDS)
                drawn.setstate(state)
            except (TimeoutError, RuntimeError):
                said = None
        else:
            said, _ = _tried_damage(kind, drawn, victim)
        if said is None:
            return None
        about.append(said)
    return about


def _tried_damage(kind: str, drawn: random.Random, victim: damages.Victim) -> tuple[str | None, tuple]:
    """What was done, None where it could not be, and how chance goes on."""
    try:
        return damages.ALL[kind](drawn, victim), drawn.getstate()
    except Exception:  # noqa: BLE001
        return None, drawn.getstate()


def _owns_up(ending: Ending) -> bool:
    """Whether a repair says that it cannot do all."""
    return ending.status == 2 or "cannot" in ending.shown


def train(path: Path, runs: Path) -> Ending:
    return typed(["train", "--store", str(path), "--runs", str(runs), *_SMALL])


def weights_in(runs: Path) -> dict[str, np.ndarray]:
    """The weights of the one run in a folder."""
    from safetensors.numpy import load_file

    (file,) = {path.resolve() for path in runs.glob("*/best.safetensors")}
    return load_file(file)


def truth_of(store: FeatureStore) -> Truth:
    """Everything that a store holds; raises MsmtError where it cannot be had."""
    head, table, lengths, rows = head_of(store), store.segments, {}, {}
    for name in store.specs:
        lengths[name] = np.array(store.states(name).length)
        rows[name] = [store.read(name, row) if n != MISSING else None for row, n in enumerate(lengths[name])]
    return Truth(head, table.copy(), lengths, rows)


def head_of(store: FeatureStore) -> dict[str, object]:
    return {
        "dataset": store.dataset,
        "tasks": [task.to_json() for task in store.tasks],
        "features": {name: spec.to_json() for name, spec in store.specs.items()},
        "facts": dict(store.head.facts),
    }


def plain_of(path: Path) -> Plain:
    """The whole tree as plain zarr or h5py reads it."""
    found: Plain = {}
    if path.suffix == ".zarr":
        import zarr

        group = zarr.open_group(str(path), mode="r", use_consolidated=False)
        found["@"] = _as_json(dict(group.attrs))
        for name, item in group.members(max_depth=None):
            found[f"{name}@"] = _as_json(dict(item.attrs))
            if isinstance(item, zarr.Array):
                found[name] = _normal(item[...])
        return found
    with h5py.File(path, "r") as file:
        found["@"] = _as_json(dict(file.attrs))

        def note(name: str, item) -> None:
            found[f"{name}@"] = _as_json(dict(item.attrs))
            if isinstance(item, h5py.Dataset):
                found[name] = _normal(item.asstr()[...] if h5py.check_string_dtype(item.dtype) else item[...])

        file.visititems(note)
    return found


def _as_json(attributes: dict) -> str:
    return json.dumps(attributes, sort_keys=True, default=lambda value: np.asarray(value).tolist())


def _normal(values: np.ndarray) -> np.ndarray:
    return np.array([str(value) for value in values.ravel()]) if values.dtype.kind in "OTU" else values


def plain_differences(before: Plain, now: Plain, is_finished: bool) -> list[str]:
    """Where two trees differ; in an unfinished store rows may have gone missing, or belong to nothing any more.

    Those are extracted again.
    """
    differing = []
    for name, value in before.items():
        other = now.get(name)
        if other is None or isinstance(value, str) or isinstance(other, str):
            if not isinstance(value, str) or value != other:
                differing.append(f"{name}: {'is gone' if other is None else str(other)[:200]}")
            continue
        if (value.shape, value.dtype.kind) != (other.shape, other.dtype.kind):
            differing.append(f"{name}: is {other.shape} {other.dtype}, not {value.shape} {value.dtype}")
            continue
        group = name.rpartition("/")[0]
        if name.endswith("/identity") and not is_finished:
            continue  # sealed at the end only, as verify says; until then a row of another identity is made again
        if f"{group}/length" in before and not is_finished:
            lengths = before[f"{group}/length"], now.get(f"{group}/length")
            # An array that is something else than lengths is named as such, and tells of no row.
            if isinstance(lengths[1], np.ndarray) and lengths[1].shape == lengths[0].shape == value.shape[:1]:
                # A commit that was cut off may leave something of rows that are missing.
                present = (lengths[0] != MISSING) & (lengths[1] != MISSING)
                value, other = value[present], other[present]
        if not np.array_equal(value, other, equal_nan=value.dtype.kind == "f"):
            differing.append(f"{name}: other values")
    return differing


def _lengths_agree(known: np.ndarray, got: np.ndarray, is_finished: bool) -> bool:
    if known.shape != got.shape:
        return False
    return bool(((known == got) | ((got == MISSING) & (not is_finished))).all())


def _same_values(values: np.ndarray, right: np.ndarray | None) -> bool:
    return right is not None and values.shape == right.shape and values.tobytes() == right.tobytes()


def _table_difference(right: pd.DataFrame, got: pd.DataFrame) -> str:
    """In words; empty where there is none."""
    if list(right.columns) != list(got.columns) or len(right) != len(got):
        return f"the table has columns {list(got.columns)} and {len(got)} rows"
    for column in right:
        same = (right[column] == got[column]) | (right[column].isna() & got[column].isna())
        if not same.all():
            row = int(np.flatnonzero(~same)[0])
            return f"{column} of row {row} is {got[column].iloc[row]!r}, not {right[column].iloc[row]!r}"
    return ""


def _truth_differences(right: Truth, got: Truth, is_finished: bool) -> Iterator[str]:
    for name in right.head:
        if right.head[name] != got.head[name]:
            yield f"{name}: is {str(got.head[name])[:300]}"
    if why := _table_difference(right.table, got.table):
        yield f"table: {why}"
    for name, rows in right.rows.items():
        for row, (one, other) in enumerate(zip(rows, got.rows.get(name, [None] * len(rows)), strict=False)):
            if other is None and (one is None or not is_finished):
                continue
            if other is None or not _same_values(other, one):
                yield f"rows: {name} row {row} {'is missing' if other is None else 'has other values'}"


def _by_segment_differences(right: Truth, got: Truth) -> Iterator[str]:
    """The same whatever the order of the rows, which a store keeps through its life."""
    for name in right.head:
        if right.head[name] != got.head[name]:
            yield f"{name}: is {str(got.head[name])[:300]}"
            return
    places = {key: row for row, key in enumerate(zip(got.table["segment_id"], got.table["view"], strict=True))}
    keys = list(zip(right.table["segment_id"], right.table["view"], strict=True))
    if absent := [key for key in keys if key not in places]:
        yield f"table: lacks {absent[0]}"
        return
    extra = got.table.drop(index=[places[key] for key in keys])
    if (extra["split"] != REMOVED).any():
        yield f"table: has {len(extra)} rows more"
    if why := _table_difference(right.table, got.table.iloc[[places[key] for key in keys]].reset_index(drop=True)):
        yield f"table: {why}"
    for name, rows in right.rows.items():
        for key, one in zip(keys, rows, strict=True):
            other = got.rows[name][places[key]]
            if other is None or not _same_values(other, one):
                yield f"rows: {name} of {key} {'is missing' if other is None else 'has other values'}"
                return


def _listed(folder: Path) -> dict[str, tuple]:
    """Size, time and kind of everything below a folder, links not followed."""
    listed = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            status = path.lstat()
            is_folder = name in folders and not path.is_symlink()
            listed[str(path)] = (status.st_mode,) if is_folder else (status.st_mode, status.st_size, status.st_mtime_ns)
    return listed
