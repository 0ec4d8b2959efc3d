"""Inputs as people and strangers write them: csv files, configuration files, plans, ranges and command lines."""

from __future__ import annotations

import csv
import dataclasses
import importlib
import io
import json
import math
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd
import soundfile
from msmt.extract.review import reviewed

from .cases import Case, Ending, Outcome, Reached, judge, typed
from .stores import Stores
from .workers import in_child

_EXTRACTION = "msmt.extract.pipeline.extract"
# The costly work at the end of each command, which is not done here: to get there is what counts. Only what an
# extraction refuses of a corpus before anything is costly is seen.
COSTLY = (
    *(_EXTRACTION, "msmt.extract.plan.make_plan", "msmt.extract.several.extract_on_devices"),
    *("msmt.extract.doctor.examine", "msmt.extract.demo.make_demo", "msmt.train.loop.train"),
    *("msmt.train.ablation.run_plan", "msmt.train.sweep.train_together", "msmt.studies.scoring.score_run"),
)
_ARGUMENTS = "arguments-"
_WITH_CONFIG = (*3 * ("extract", "train"), "doctor", "eval", "ablate", "compare", "sweep")
_LONG = "9" * 5000
_JOINED = ("slot",)  # options that may be repeated, whose values are kept as one text

# What stands in a cell, or follows an option.
TEXTS = (
    *(
        "",
        " ",
        "0",
        "-1",
        "1",
        "1.5",
        "2",
        "nan",
        "inf",
        "-inf",
        "1e308",
        "1e-308",
        "-0",
        "1_000",
        "１２",
        "0x10",
        _LONG,
    ),
    *("\0", "a\0b", "a\nb", "a\rb", "\t", "\x1b[31mred\x1b[0m", "\x07", "\x85", "\ud800", "\udcff", "\ufeff", "\u202e"),
    *(
        "é" * 200,
        "x" * 300,
        "x" * 5000,
        "a/" * 3000,
        "..",
        "../..",
        "../outside/secret.wav",
        "./.",
        "~",
        "-",
        "--",
        "-x",
    ),
    *(
        "=1+1",
        "@SUM(1)",
        "+1",
        "'",
        '"',
        '"""',
        ",",
        ";",
        "a,b",
        "{}",
        "[]",
        "null",
        "true",
        "None",
        "%s%n",
        "{0}",
        "$HOME",
    ),
    *(
        "removed",
        "train",
        "val",
        "test",
        "original",
        "A",
        "E",
        "F",
        "latest",
        "cpu",
        "cuda",
        "cache",
        "auto",
        "mean",
        "你好",
    ),
)
# The values of a YAML file, as they are written there.
VALUES = (
    *(
        "",
        "null",
        "~",
        "true",
        "false",
        "yes",
        "on",
        "0",
        "1",
        "2",
        "-1",
        "3",
        "2.0",
        "2.9",
        "4.9",
        "1e3",
        "1e-3",
        "1.0e-3",
    ),
    *(
        ".inf",
        "-.inf",
        ".nan",
        "0x10",
        "0o17",
        "017",
        "1_000",
        "12:30:45",
        "1e400",
        "0.5",
        "0.05",
        "1" + "0" * 30,
        _LONG,
    ),
    *(
        "'2'",
        "'0.5'",
        "'true'",
        "''",
        "' '",
        "abc",
        "'a,b'",
        "é",
        "'\\0'",
        '"\\0"',
        '"\\e[31m"',
        '"a\\nb"',
        "'x" + "x" * 5000 + "'",
    ),
    *(
        "2020-01-01",
        "2020-01-01 10:00:00",
        "[]",
        "[1]",
        "[1, 2]",
        "[a, b]",
        "[[]]",
        "{}",
        "{a: 1}",
        "!!binary aGk=",
        "!!set {a}",
    ),
    *(
        "!!python/object:os.system {}",
        "&a [*a]",
        "*nowhere",
        "both",
        "text",
        "cpu",
        "mean",
        "train",
        "100000000",
        "2147483648",
    ),
)
_KEYS = (
    *("", "? [1, 2]\n", "'a\\nb'", '"a\\nb"', '"\\e[31m"', "1", "null", "true", "1.5", "é", "__class__", "x" * 3000),
)


@dataclass(frozen=True)
class Trial:
    """One command line to type, and what to think of what it came to."""

    arguments: list[str]
    about: str
    check: Callable[[Ending], str] = lambda ending: ""
    """What is wrong with what was accepted, in words; empty if nothing is."""


class Inputs:
    """The corpora and the store that inputs speak of, and the check of one input."""

    def __init__(self, folder: Path, stores: Stores) -> None:
        self.folder, self.store = folder, stores.folder / "zarr/cache/marketcalls.zarr"
        in_child(self._make)

    def _make(self) -> None:
        """Two corpora of a few short files."""
        for name in ("marketcalls", "generic"):
            (self.folder / name / "audio").mkdir(parents=True)
            for number in range(12):
                path = self.folder / name / f"audio/a{number}.wav"
                soundfile.write(path, np.full(800, 0.01 * number, np.float32), 8000)
        (self.folder / "secret.wav").write_bytes((self.folder / "generic/audio/a1.wav").read_bytes())

    def check(self, case: Case, here: Path, begin: Callable[[str], None]) -> Outcome:
        """Write an input into the folder ``here``, and type the command that reads it."""
        _replace_costly()
        os.chdir(here)
        outcome = Outcome(case)
        Path("outside").mkdir()
        shutil.copytree(self.store, "cache/marketcalls.zarr")
        trial = self.written(case)
        outcome.about = trial.about
        operation = trial.arguments[0] if trial.arguments and trial.arguments[0] in _COMMANDS else "msmt"
        begin(f"{operation} | {trial.about[:2000]}")
        ending = typed(trial.arguments)
        if judge(outcome, operation, ending) and (why := trial.check(ending)):
            outcome.find("wrong value", operation, why, why.split(":")[0])
        return outcome

    def written(self, case: Case) -> Trial:
        """The input of a case, written into the working folder; the same in every process."""
        return _MAKERS[case.kind](self, random.Random(str(case)), case)

    # -------------------------------------------------------------------------------------------------- csv

    def csv_marketcalls(self, drawn: random.Random, case: Case) -> Trial:
        header = ["phone", "Audio_id", "Segment_number", "text", "label"]
        rows = [[f"r{n // 2}", f"a{n}.wav", str(n % 2 + 1), f"text {n}, 你好", "ABCDE"[n // 2 % 5]] for n in range(12)]
        splits = {"train": rows[:8], "val": rows[8:10], "test": rows[10:]}
        self._link_audio("marketcalls")
        changed = drawn.choice(list(splits))
        about = []
        for split, some in splits.items():
            content = _csv(header, some)
            if split == changed:
                content, about = _changed_csv(drawn, header, some)
            Path(f"data/marketcalls/{split}.csv").write_bytes(content)

        def check(ending: Ending) -> str:
            return _corpus_differences(ending, [Path(f"data/marketcalls/{split}.csv") for split in splits], "text")

        return Trial(["extract", "--device", "cpu"], f"{changed}.csv: {about}", check)

    def csv_generic(self, drawn: random.Random, case: Case) -> Trial:
        header = ["recording", "segment", "audio", "text", "label", "split", "start", "end", "channel", "speaker"]
        rows = []
        for n in range(12):
            split = ("train", "train", "val", "test")[n // 3]
            start = f"{0.01 * (n % 3):.2f}"
            rows.append([f"r{n // 3}", str(n % 3 + 1), f"a{n}.wav", f"text {n}", "xyz"[n // 3 % 3], split, start])
            rows[-1] += [f"{float(start) + 0.02:.2f}", "0", "agent"]
        # Columns that may be absent; without a recording, segments of one file must not come apart.
        may_be_absent = ("recording", "segment", "split", "start", "end", "channel", "speaker")
        absent = {name for name in may_be_absent if drawn.random() < 0.2}
        if drawn.random() < 0.15:
            absent |= {"recording", "split"}
        elif drawn.random() < 0.1:
            for row in rows[drawn.randrange(12) // 3 * 3 :]:
                row[5] = "removed"
        if drawn.random() < 0.3:
            for n, row in enumerate(rows):
                row[2] = f"a{n // 3}.wav"
        kept = [place for place, name in enumerate(header) if name not in absent]
        header, rows = [header[place] for place in kept], [[row[place] for place in kept] for row in rows]
        self._link_audio("generic")
        content, about = _changed_csv(drawn, header, rows)
        path = Path("data/generic/segments.csv")
        path.write_bytes(content)
        more = ["--label-kind", "value"] if drawn.random() < 0.2 else []
        about = f"segments.csv without {sorted(absent)}: {about} {more}"
        return Trial(
            ["extract", "--dataset", "generic", "--device", "cpu", *more],
            about,
            lambda ending: _corpus_differences(ending, [path], "text"),
        )

    def _link_audio(self, name: str) -> None:
        folder = Path("data", name)
        folder.mkdir(parents=True)
        (folder / "audio").symlink_to(self.folder / name / "audio")

    # -------------------------------------------------------------------------------------- files of options

    def config(self, drawn: random.Random, case: Case) -> Trial:
        command = drawn.choice(_WITH_CONFIG)
        self._link_audio("marketcalls")
        self._write_corpus()
        options = [name for name in _options(command) if name not in ("config", "plan", "quiet", "verbose", "help")]
        text, about, must_refuse = _document(drawn, options, ".json" if drawn.random() < 0.2 else ".yaml")
        path = Path("c" + about[0])
        path.write_bytes(text)
        arguments = [command, "--config", str(path)]
        if command == "sweep":
            arguments += ["--vary", "pooling=cls,mean"]
        if command == "ablate":
            arguments += ["--preset", "table6"]
        if command == "compare":
            arguments += ["one", "other"]

        def check(ending: Ending) -> str:
            if must_refuse:
                return f"{must_refuse}: was accepted"
            return _option_differences(ending, _loaded(path), command)

        return Trial(arguments, f"{command} {about[1]}: {text[:300]!r}", check)

    def _write_corpus(self) -> None:
        rows = [[f"r{n // 2}", f"a{n}.wav", str(n % 2), f"t{n}", "ABCDE"[n // 2 % 5]] for n in range(12)]
        header = ["phone", "Audio_id", "Segment_number", "text", "label"]
        for split, some in {"train": rows[:8], "val": rows[8:10], "test": rows[10:]}.items():
            Path(f"data/marketcalls/{split}.csv").write_bytes(_csv(header, some))

    def plan(self, drawn: random.Random, case: Case) -> Trial:
        options = [name for name in _options("train") if name not in _NOT_IN_PLANS]
        text, about, must_refuse = _document(
            drawn, [*8 * ["seeds"], *options], ".yaml", beside="variants: {full: {}, other: {mtl: false}}\n"
        )
        if drawn.random() < 0.4:
            inner = f"{drawn.choice(options)}: {drawn.choice(VALUES)}"
            name = drawn.choice(["full", "other", *_KEYS])
            text = f"epochs: 2\nvariants: {{full: {{}}, {name.strip()}: {{{inner}}}}}\n".encode(errors="surrogatepass")
            about, must_refuse = (".yaml", "a variant"), ""
        path = Path("plan.yaml")
        path.write_bytes(text)

        def check(ending: Ending) -> str:
            if must_refuse:
                return f"{must_refuse}: was accepted"
            return _plan_differences(ending, _loaded(path))

        return Trial(["ablate", str(path)], f"{about[1]}: {text[:300]!r}", check)

    def vary(self, drawn: random.Random, case: Case) -> Trial:
        options = _options("train")
        name = drawn.choice([*options, *options, *TEXTS])
        some = lambda: drawn.choice(TEXTS + ("0.1", "0.3", "2", "4", "cls", "mean", "text"))  # noqa: E731
        text = drawn.choice(
            [
                f"{name}={some()},{some()}",
                f"{name}={some()}:{some()}",
                f"{name}={some()}:{some()}:{drawn.choice(['log', 'lin', ''])}",
                f"{name}={some()}",
                f"{name}",
                f"{some()}",
                f"{name}={','.join(some() for _ in range(drawn.randrange(1, 6)))}",
            ]
        )
        sampler = drawn.choice(["tpe", "grid"])
        arguments = ["sweep", "--vary", text, "--sampler", sampler, "--trials", "2", "--quiet"]

        def check(ending: Ending) -> str:
            return _vary_differences(ending, text)

        return Trial(arguments, f"{text[:300]!r} {sampler}", check)

    # ---------------------------------------------------------------------------------------- command lines

    def arguments(self, drawn: random.Random, case: Case) -> Trial:
        command = case.kind.removeprefix(_ARGUMENTS)
        self._link_audio("marketcalls")
        self._write_corpus()
        arguments: list[str] = [command]
        for parameter in _COMMANDS[command].params:
            odd = drawn.choice(TEXTS)
            if isinstance(parameter, click.Argument):
                count = 1 if parameter.nargs == 1 else drawn.randrange(4)
                usual = {"store": "cache/marketcalls.zarr", "source": "cache/marketcalls.zarr", "target": "copy.h5"}
                usual |= {"segment": "call0_1"}
                for _ in range(count):
                    arguments.append(usual.get(parameter.name, odd) if drawn.random() < 0.5 else drawn.choice(TEXTS))
            elif drawn.random() < (0.6 if drawn.random() < 0.1 else 2 / len(_COMMANDS[command].params)):
                name = drawn.choice([*parameter.opts, *parameter.secondary_opts])
                arguments.append(name)
                if not parameter.is_flag:
                    arguments.append(odd)
        if drawn.random() < 0.1:
            arguments.insert(drawn.randrange(len(arguments) + 1), drawn.choice(TEXTS))
        return Trial(arguments, " ".join(repr(each[:80]) for each in arguments))


def _command_group() -> Mapping[str, click.Command]:
    from msmt.cli import msmt

    context = click.Context(msmt)
    return {name: msmt.get_command(context, name) for name in msmt.list_commands(context)}


_COMMANDS = _command_group()
_NOT_IN_PLANS = ("seed", "name", "store", "runs", "preset", "resume", "config", "quiet", "verbose", "help")
_MAKERS = {
    "csv-marketcalls": Inputs.csv_marketcalls,
    "csv-generic": Inputs.csv_generic,
    "config": Inputs.config,
    "plan": Inputs.plan,
    "vary": Inputs.vary,
    **{_ARGUMENTS + name: Inputs.arguments for name in _COMMANDS},
}
# Files are what people write most of, and what goes wrong without a word.
KINDS = (*_MAKERS, *4 * ("csv-marketcalls", "csv-generic", "config", "config", "plan", "vary"))


def _options(command: str) -> list[str]:
    return [parameter.name for parameter in _COMMANDS[command].params if isinstance(parameter, click.Option)]


def _replace_costly() -> None:
    for name in COSTLY:
        module, _, function = name.rpartition(".")
        owner = importlib.import_module(module)
        getattr(owner, function)  # fails where it is called otherwise by now

        def reached(*arguments, name=name, **options):
            if name == _EXTRACTION:
                corpus, store, config, *others = arguments
                arguments = (reviewed(corpus, config.allow_shared_audio), store, config, *others)
            raise Reached(name, arguments, options)

        setattr(owner, function, reached)


# ------------------------------------------------------------------------------------------------------- csv


def _csv(header: list[str], rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    return text.getvalue().encode(errors="surrogatepass")


def _changed_csv(drawn: random.Random, header: list[str], rows: list[list[str]]) -> tuple[bytes, str]:
    """The file with a change or two, and what they were."""
    header, rows, about = list(header), [list(row) for row in rows], []
    for _ in range(drawn.choice([1, 1, 1, 2, 4])):
        row, column = drawn.randrange(len(rows)), drawn.randrange(len(header))
        match drawn.choice(["cell"] * 5 + ["column", "swap", "header", "drop", "double", "short", "blank"]):
            case "column":
                value = drawn.choice(TEXTS)
                for each in rows:
                    each[column : column + 1] = [value]
                about.append(f"column {header[column]} is {value[:60]!r}")
            case "swap":
                other = drawn.randrange(len(rows))
                rows[row][column : column + 1], rows[other][column : column + 1] = (
                    rows[other][column : column + 1],
                    rows[row][column : column + 1],
                )
                about.append(f"{header[column]} of rows {row} and {other} swapped")
            case "header":
                header[column] = drawn.choice([*TEXTS, *header])
                about.append(f"column {column} is called {header[column][:60]!r}")
            case "drop" if len(rows) > 1:
                about.append(f"row {row} dropped")
                del rows[row]
            case "double":
                rows.append(list(rows[row]))
                about.append(f"row {row} twice")
            case "short":
                del rows[row][column:]
                about.append(f"row {row} has {column} fields")
            case "blank":
                rows.insert(row, [""] * len(header))
                about.append(f"a blank row {row}")
            case _:
                rows[row][column : column + 1] = [drawn.choice(TEXTS)]
                about.append(
                    f"{header[column][:60]!r} of row {row} is {''.join(rows[row][column : column + 1])[:60]!r}"
                )
    content = _csv(header, rows)
    if drawn.random() < 0.2:
        content, said = _changed_text(drawn, content)
        about.append(said)
    return content, "; ".join(about)


def _changed_text(drawn: random.Random, content: bytes) -> tuple[bytes, str]:
    """The same text in another encoding, or with bytes that are none."""
    text = content.decode(errors="surrogateescape")
    way = drawn.choice(
        ["gb18030", "utf-16", "utf-16-le", "utf-8-sig", "latin-1", "byte", "cut", "quote", "empty", "cr"]
    )
    match way:
        case "byte":
            at = drawn.randrange(len(content) or 1)
            content = content[:at] + drawn.randbytes(1) + content[at + 1 :]
        case "cut":
            content = content[: drawn.randrange(len(content) or 1)]
        case "quote":
            at = drawn.randrange(len(content) or 1)
            content = content[:at] + b'"' + content[at:]
        case "empty":
            content = drawn.choice([b"", b"\n", b"\xef\xbb\xbf", b"\0" * 100, b"\xff\xfe"])
        case "cr":
            content = content.replace(b"\n", b"\r")
        case _:
            content = text.encode(way, errors="replace")
    return content, f"as {way}"


def _corpus_differences(ending: Ending, paths: list[Path], text_column: str) -> str:
    """How the corpus that a command has read differs from its files, read as plainly as can be."""
    corpus = (
        next((each for each in ending.reached.arguments if hasattr(each, "table")), None) if ending.reached else None
    )
    if corpus is None:
        return ""
    table: pd.DataFrame = corpus.table
    if (table["split"] == "removed").any():
        return "split removed: a corpus has a split that is msmt's own mark"
    for path in table["audio"]:
        if Path(os.path.normpath(path)).parts[:1] == ("..",) or os.path.isabs(path):
            return f"audio: {path} lies outside"
    if not np.isfinite(table[["start", "end"]].fillna(0).to_numpy()).all() or (table[["start", "end"]] > 1e6).any(
        axis=None
    ):
        return f"time: a segment ends or begins {table['end'].max():g} s into a file"
    homes = table.groupby("audio")["split"].nunique()
    if (homes > 1).any():
        return f"shared audio: {homes.idxmax()} is in {homes.max()} splits"
    try:
        records = [record for path in paths for record in _records(path)]
    except (ValueError, csv.Error, KeyError):
        return ""  # read some other way, such as from another encoding
    if len(records) != len(table):
        return f"rows: {len(table)} of {len(records)}"
    texts = sorted(record[text_column] for record in records)
    if sorted(table["text"]) != texts:
        return f"text: {sorted(set(table['text']) ^ set(texts))}"
    return ""


def _records(path: Path) -> Iterator[dict[str, str]]:
    text = path.read_bytes().decode("utf-8-sig")
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""), strict=True)]
    for row in rows[1:]:
        if any(row):
            yield dict(zip(rows[0], row, strict=True))


# -------------------------------------------------------------------------------------------- files of options


def _document(
    drawn: random.Random, options: list[str], suffix: str, beside: str = ""
) -> tuple[bytes, tuple[str, str], str]:
    """A file of options with something odd in it; its suffix and what is odd; why it must be refused, if it must."""
    name, value = drawn.choice(options), drawn.choice(VALUES)
    name = name.replace("_", "-") if drawn.random() < 0.5 else name
    way = drawn.choice(
        ["value"] * 12 + ["twice", "twice", "key", "bomb", "deep", "bytes", "bytes", "top", "long", "many"]
    )
    must_refuse = ""
    match way:
        case "twice":
            text = f"{name}: {value}\n{beside}{drawn.choice([name, name.replace('-', '_')])}: {drawn.choice(VALUES)}\n"
            must_refuse = "a name given twice"
        case "key":
            key = drawn.choice([*_KEYS, *TEXTS])
            text = f"{key}: {value}\n{beside}"
        case "bomb":
            text = "a: &a [x, x, x, x, x, x, x, x, x]\n"
            for old, new in zip("abcdef", "bcdefg", strict=True):
                text += f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
            text += f"{name}: *g\n{beside}"
        case "deep":
            text = f"{name}: {'[' * 20_000}{']' * 20_000}\n{beside}"
        case "top":
            text = drawn.choice(
                ["", "[]", "x", "1", "null", "- a\n- b", "--- {}\n--- {}", "{", "\t", "a: b: c", "[1, 2]: 3"]
            )
        case "long":
            text = f"{name}: {'x' * 100_000}\n{beside}"
        case "many":
            text = beside + "".join(
                f"{each}: {drawn.choice(VALUES)}\n" for each in drawn.sample(options, min(4, len(options)))
            )
        case _:
            text = f"{name}: {value}\n{beside}"
    if suffix == ".json":
        odd = drawn.choice(
            ["null", "true", "1", "2.0", "2.9", "-1", "NaN", "1e400", '""', '"2"', "[]", "{}", _LONG, '"\\ud800"']
        )
        text = f'{{"{name}": {odd}}}' if way != "twice" else f'{{"{name}": 1, "{name}": {odd}}}'
        text = text if way != "deep" else f'{{"{name}": {"[" * 20_000}'
    content = text.encode(errors="surrogatepass")
    if way == "bytes":
        content, said = _changed_text(drawn, (text + "# 你好\n").encode(errors="surrogatepass"))
        return content, (suffix, said), ""
    return content, (suffix, way), must_refuse


def _loaded(path: Path):
    """What a file of options holds; None where it is not plain UTF-8, or nothing that can be compared."""
    import yaml

    try:
        text = path.read_bytes().decode("utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, RecursionError, TypeError, AttributeError):
        return None
    return content if isinstance(content, dict) else None


def _settings(ending: Ending) -> list:
    """The settings that a command has come to."""
    if ending.reached is None:
        return []
    found = []
    for argument in ending.reached.arguments:
        some = argument if isinstance(argument, list | tuple) else [argument]
        for each in some:
            each = getattr(each, "settings", each)  # of a job
            each = each.variants[0] if hasattr(each, "variants") else each  # of a plan
            nested = [getattr(each, name) for name in ("model", "train") if hasattr(each, name)]
            found += nested or ([each] if dataclasses.is_dataclass(each) else [])
    return found


def _option_differences(ending: Ending, content: dict | None, command: str) -> str:
    """Which value of a file became another on its way."""
    if not content or ending.reached is None:
        return ""
    if set(content) <= set(_COMMANDS):  # sections
        content = content.get(command) or {}
    wanted = {str(name).replace("-", "_"): value for name, value in content.items()}
    overruled = {"sweep": ("pooling", "name"), "ablate": ("views", "audio_feature")}.get(
        command, ()
    )  # by what else is typed
    for settings in _settings(ending):
        for field in dataclasses.fields(settings):
            if field.name in wanted and field.name not in overruled and field.name in _options(command):
                if why := _value_difference(field.name, wanted[field.name], getattr(settings, field.name), field):
                    return why
    return ""


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _value_difference(name: str, wanted, got, field: dataclasses.Field) -> str:
    if wanted is None and got == field.default:
        return ""  # blank may mean the default
    if type(wanted) is type(got) and (wanted == got or wanted != wanted):
        return ""
    if type(wanted) is int and type(got) is float and wanted == got:
        return ""
    if type(wanted) is int and type(got) is str and str(wanted) == got:
        return ""
    if type(got) is str and not isinstance(wanted, str | list | dict | None):
        return (
            ""  # what YAML 1.1 takes for something else, such as on, 017 or .nan, is text in YAML 1.2, as it is written
        )
    if isinstance(wanted, str) and type(got) is float and _is_number(wanted) and float(wanted) == got:
        return ""  # a number in quotes is still that number
    if isinstance(wanted, str) and type(got) is float and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", wanted):
        return (
            "" if float(wanted) == got else f"a number: {name} {wanted!r} became {got!r}"
        )  # YAML takes 1e-3 for a text
    if isinstance(wanted, list) and isinstance(got, tuple) and list(got) == wanted:
        return ""
    if isinstance(wanted, list) and name in _JOINED and got == ",".join(map(str, wanted)):
        return ""
    kinds = f"{type(wanted).__name__} for {type(got).__name__}"
    return f"{kinds}: {name} {str(wanted)[:100]!r} became {str(got)[:100]!r}"


def _plan_differences(ending: Ending, content: dict | None) -> str:
    if not content or ending.reached is None:
        return ""
    plan = next(each for each in ending.reached.arguments if hasattr(each, "variants"))
    seeds = content.get("seeds", 1)
    wanted = list(range(seeds)) if type(seeds) is int else seeds
    as_written = range(int(f"{seeds:o}")) if type(seeds) is int and seeds >= 0 else ()  # 017 is 17 in YAML 1.2
    if isinstance(wanted, list) and list(plan.seeds) not in (wanted, list(as_written)):
        return f"seeds: {seeds!r} became {plan.seeds[:20]}"
    if not isinstance(seeds, int | list | str) or isinstance(seeds, bool):
        return f"seeds: {seeds!r} became {plan.seeds[:20]}"
    for variant, (name, changes) in zip(plan.variants, content["variants"].items(), strict=True):
        if str(name) != variant.name and isinstance(name, str):
            return f"a name: {name!r} became {variant.name!r}"
        options = {str(key).replace("-", "_"): value for key, value in {**content, **(changes or {})}.items()}
        for settings in (variant.model, variant.train):
            for field in dataclasses.fields(settings):
                if field.name in options and field.name not in ("seed", "name"):
                    why = _value_difference(field.name, options[field.name], getattr(settings, field.name), field)
                    if why:
                        return why
    return ""


def _vary_differences(ending: Ending, text: str) -> str:
    """Whether each trial has a value that the range names."""
    name, _, given = text.partition("=")
    name = name.strip().replace("-", "_")
    for settings in _settings(ending):
        if not hasattr(settings, name):
            continue
        got = getattr(settings, name)
        if ":" in given and not isinstance(got, str):
            low, high = given.split(":")[:2]
            if not float(low) <= got <= float(high):
                return f"a range: {text!r} became {got!r}"
        else:
            texts = [part.strip() for part in given.split(",")]
            numbers = [part for part in texts if re.fullmatch(r"[+-]?[\d.]+([eE][+-]?\d+)?", part)]
            is_there = str(got) in texts or any(
                float(part) == got for part in numbers if not isinstance(got, str | bool)
            )
            if not is_there and not isinstance(got, bool):
                return f"a list: {text!r} became {got!r}"
    return ""
