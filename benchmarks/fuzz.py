"""Damage stores and mutate inputs, and see that msmt notices, says so in one line, and mends what it can.

    python benchmarks/fuzz.py [--stores 200] [--inputs 1000] [--minutes 30] [--jobs 2] [--seed 0] [--kinds KIND,…]
                              [--only KIND:SEED] [--show 10] [--json FILE]

A damaged store is one of six (Zarr or HDF5; finished, begun, or cut off while it was brought up to date; tiny
encoders) after a damage of some kind: bytes, files, folders, links, metadata, states, hostile names and content.
On it run info, verify, every way of reading, conversion, training, repair and extraction. A mutated input is a csv, a
configuration file, a plan, a --vary or a command line; the costly work at the end of a command is replaced.

Findings are exceptions that are no errors of msmt's, hangs, deaths, exit statuses but 0, 1 and 2, errors of more than
a line or that name no file, control characters on the screen, damage that verify does not notice though msmt or the
format's own library reads other values, wrong values without an error, files touched outside of the store, what
cannot be mended though nothing says so, and values of a file that were not taken as they stand. The exit status is 1
if there is any.

A campaign with another --seed tries other cases; ``--only KIND:SEED`` tries one again and tells all that happened.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from msmt.benchmarks.fuzzing import inputs, stores, workers
from msmt.benchmarks.fuzzing.cases import Case, Finding, Outcome
from msmt.progress import for_terminal, silent

PATIENCE_SECONDS = 60.0
_INPUTS_A_PROCESS = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stores", type=int, default=200)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=30.0, help="begin no case after so long")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default="", help="only cases of these kinds, separated by commas")
    parser.add_argument("--only", default="", metavar="KIND:SEED", help="try one case and tell all of it")
    parser.add_argument("--show", type=int, default=10, help="findings to print in full, each of another cause")
    parser.add_argument("--patience", type=float, default=PATIENCE_SECONDS, help="seconds until a case hangs")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    kinds = [kind for kind in options.kinds.split(",") if kind]
    if options.only:
        kind, _, seed = options.only.rpartition(":")
        cases = [Case(kind, int(seed))]
    else:
        cases = drawn(options.stores, options.inputs, options.seed, kinds)
    if unknown := {case.kind for case in cases} - {*stores.KINDS, *inputs.KINDS}:
        parser.error(f"there is no kind {', '.join(unknown)}; there are {', '.join((*stores.KINDS, *inputs.KINDS))}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell has its background processes ignore
    outcomes = campaign(cases, options.jobs, options.minutes, options.patience, for_terminal(), at_once)
    if options.only:
        print(*(line for outcome in outcomes for line in told(outcome)), sep="\n")
    print("\n".join(summary(outcomes, options.show)))
    if options.json:
        options.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    sys.exit(1 if any(outcome.findings for outcome in outcomes) else 0)


def at_once(outcome: Outcome) -> None:
    """Print what was found in a case, so that nothing is lost of a campaign that is cut off."""
    if outcome.findings:
        print(*told(outcome), sep="\n", flush=True)


def drawn(store_count: int, input_count: int, seed: int, kinds: Sequence[str] = ()) -> list[Case]:
    """The cases of a campaign: the kinds by turns, in an order that the seed decides, each with a seed of its own."""
    cases = []
    for known, count in ((stores.KINDS, store_count), (inputs.KINDS, input_count)):
        wanted = [kind for kind in random.Random(seed).sample(known, len(known)) if not kinds or kind in kinds]
        cases += [Case(wanted[number % len(wanted)], seed * 1_000_000 + number) for number in range(count) if wanted]
    return cases


def campaign(
    cases: Sequence[Case],
    jobs: int,
    minutes: float,
    patience_seconds: float = PATIENCE_SECONDS,
    track=silent,
    tell: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """What comes of each case, which ``tell`` is told at once; those that are left when time is up are not tried."""
    import_all()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    until = time.monotonic() + minutes * 60
    outcomes = []
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        made = stores.Stores(Path(name, "stores"))
        tables = inputs.Inputs(Path(name, "inputs"), made)
        of_stores = [[case] for case in cases if case.kind in stores.KINDS]
        others = [case for case in cases if case.kind in inputs.KINDS]
        of_inputs = [others[start : start + _INPUTS_A_PROCESS] for start in range(0, len(others), _INPUTS_A_PROCESS)]
        for what, batches, check in (("stores", of_stores, made.check), ("inputs", of_inputs, tables.check)):
            total = sum(map(len, batches))
            with track(what, total=total, unit=what) as advance:
                try:
                    for outcome in workers.tried(batches, check, Path(name), jobs, patience_seconds, until):
                        outcomes.append(outcome)
                        tell(outcome)
                        advance(1)
                except KeyboardInterrupt:  # what was tried counts
                    return outcomes
    return outcomes


def import_all() -> None:
    """Once, here: each process that tries a case is a fork, and torch must not compute before."""
    import importlib

    warnings.simplefilter("ignore")
    studies = ("studies.ablations", "studies.applying", "studies.comparing")
    for module in ("cli", *studies, "extract.pipeline", "extract.plan", "extract.doctor", "extract.listen"):
        importlib.import_module(f"msmt.{module}")
    for module in (
        "msmt.train.loop",
        "msmt.train.sweep",
        "msmt.extract.several",
        "optuna",
        "matplotlib.pyplot",
        "zarr",
    ):
        importlib.import_module(module)
    from transformers.utils import logging as of_transformers

    of_transformers.disable_progress_bar()
    logging.disable(logging.CRITICAL)


def told(outcome: Outcome) -> list[str]:
    """All that happened in one case."""
    lines = [f"{outcome.case}  {outcome.about}", *(f"  {operation}: {end}" for operation, end in outcome.endings)]
    lines += [f"  {each.kind} in {each.operation}: {each.detail}" for each in outcome.findings]
    return [*map(_harmless, lines), ""]


def summary(outcomes: Sequence[Outcome], shown: int) -> list[str]:
    """Counts of cases, of how operations ended by kind of case, and of findings; the first of each cause in full."""
    lines = []
    for title, known in (("damaged stores", stores.KINDS), ("mutated inputs", inputs.KINDS)):
        some = [outcome for outcome in outcomes if outcome.case.kind in known]
        if some:
            lines += ["", f"{len(some)} {title}", *_counted(some)]
    found = [(outcome, finding) for outcome in outcomes for finding in outcome.findings]
    if not found:
        return [*lines, "", f"{len(outcomes)} cases, no finding"]
    with_any = sum(bool(outcome.findings) for outcome in outcomes)
    lines += ["", f"{len(outcomes)} cases, {with_any} of them with findings, {len(found)} findings:", ""]
    causes: Counter = Counter((finding.kind, finding.operation, finding.cause) for _, finding in found)
    first = {}
    for outcome, finding in found:
        first.setdefault((finding.kind, finding.operation, finding.cause), (outcome, finding))
    for (kind, operation, cause), count in causes.most_common():
        case = first[kind, operation, cause][0].case
        lines.append(f"{count:>6}  {kind} in {operation}{f', {cause}' if cause else ''}   first: --only {case}")
    for outcome, finding in _of_several_kinds(first.values(), shown):
        lines += ["", f"{finding.kind} in {finding.operation}   --only {outcome.case}", f"  {outcome.about}"]
        lines.append(f"  {finding.detail}")
    return [_harmless(line) for line in lines]


def _of_several_kinds(found: Iterable[tuple[Outcome, Finding]], most: int) -> list[tuple[Outcome, Finding]]:
    """Some findings, by turns of each kind."""
    by_kind: dict[str, list] = {}
    for each in found:
        by_kind.setdefault(each[1].kind, []).append(each)
    turns = [each for turn in range(most) for some in by_kind.values() for each in some[turn : turn + 1]]
    return turns[:most]


def _counted(outcomes: Sequence[Outcome]) -> list[str]:
    """A line per kind of case: how many, and how often operations ended how."""
    lines = []
    for kind in dict.fromkeys(outcome.case.kind for outcome in outcomes):
        some = [outcome for outcome in outcomes if outcome.case.kind == kind]
        ends: dict[str, Counter] = {}
        for outcome in some:
            for operation, end in outcome.endings:
                ends.setdefault(operation, Counter())[end] += 1
        said = "; ".join(
            f"{operation} {', '.join(f'{count} {end}' for end, count in counts.most_common())}"
            for operation, counts in ends.items()
        )
        lines.append(f"{kind:<18}{len(some):>6}  {said}")
    return lines


def _harmless(line: str) -> str:
    """Without what a terminal would obey."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in line)


if __name__ == "__main__":
    main()
