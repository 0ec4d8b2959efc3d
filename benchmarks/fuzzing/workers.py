"""Processes that try cases: forked, limited in memory, and killed when they hang."""

from __future__ import annotations

import math
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import connection
from pathlib import Path

from .cases import Case, Outcome

FORK = multiprocessing.get_context("fork")
_MEMORY_BYTES = 4 << 30  # that a case may take beyond what is loaded
_FILE_BYTES = 1 << 28  # of the largest file that a case may write
_CLOCK_A_PROCESSOR = 3  # seconds of the clock that a process may take for each of its processor

Check = Callable[[Case, Path, Callable[[str], None]], Outcome]
"""Tries a case in an empty folder, saying each operation as it begins."""


def in_child(function: Callable, *arguments, seconds: float | None = None):
    """What a function returns in a process of its own; raises TimeoutError, or RuntimeError if it did not return.

    ``seconds`` are those of its processor, so that a busy machine makes nothing hang; of the clock it has three times as many.
    """
    return in_children([(function, *arguments)], seconds)[0]


def in_children(calls: Sequence[tuple], seconds: float | None = None) -> list:
    """What each of some functions returns, all at once, each in a process of its own; see ``in_child``."""
    running = []
    try:
        for call in calls:
            ours, theirs = FORK.Pipe(duplex=False)
            process = FORK.Process(target=_call, args=(theirs, seconds, *call))
            process.start()
            theirs.close()
            running.append((process, ours))
        returned = []
        for (function, *_), (_, pipe) in zip(calls, running, strict=True):
            if not pipe.poll(seconds and _CLOCK_A_PROCESSOR * seconds):
                raise TimeoutError(f"{function.__name__} takes longer than {_CLOCK_A_PROCESSOR * seconds:g} s")
            try:
                returned.append(pipe.recv())
            except EOFError:
                raise RuntimeError(f"{function.__name__} has failed") from None
        return returned
    finally:
        for process, pipe in running:
            process.kill()
            process.join()
            pipe.close()


def _call(pipe: connection.Connection, seconds: float | None, function: Callable, *arguments) -> None:
    if seconds:
        used = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used + seconds), resource.RLIM_INFINITY))
    pipe.send(function(*arguments))


def tried(
    batches: Iterable[Sequence[Case]], check: Check, folder: Path, jobs: int, patience_seconds: float, until: float
) -> Iterator[Outcome]:
    """The outcome of each case, as they come; a batch shares a process, and none is begun after ``until``."""
    waiting, workers = deque(batches), []
    try:
        while waiting or workers:
            while waiting and len(workers) < jobs and time.monotonic() < until:
                workers.append(_Worker(waiting.popleft(), check, folder))
            if not workers:
                return
            ready = connection.wait([worker.pipe for worker in workers], timeout=0.5)
            for worker in list(workers):
                if worker.pipe in ready:
                    yield from worker.heard()
                elif time.monotonic() - worker.since > patience_seconds:
                    yield worker.lost("hang", f"still busy after {patience_seconds:g} s")
                if worker.is_over:
                    workers.remove(worker)
                    worker.end()
                    if worker.left:
                        waiting.appendleft(worker.left)
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process with the cases that are left to it."""

    def __init__(self, cases: Sequence[Case], check: Check, folder: Path) -> None:
        self.left, self.operation, self.since = list(cases), "", time.monotonic()
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.is_over = False
        self.pipe, theirs = FORK.Pipe(duplex=False)
        self._process = FORK.Process(target=_try_all, args=(self.left, check, self.folder, theirs))
        self._process.start()
        theirs.close()

    def heard(self) -> Iterator[Outcome]:
        try:
            news = self.pipe.recv()
        except EOFError:
            self._process.join()
            if self.left:
                yield self.lost("died", f"the process ended with {self._process.exitcode}")
            self.is_over = True
            return
        if isinstance(news, str):
            self.operation = news
            return
        self.left.pop(0)
        self.since = time.monotonic()
        yield news

    def lost(self, kind: str, detail: str) -> Outcome:
        """What is known of the case in hand, when the process is of no use any more."""
        self.is_over = True
        outcome = Outcome(self.left.pop(0), about=self.operation.partition(" | ")[2])
        operation = self.operation.partition(" | ")[0]
        outcome.find(kind, operation, detail, operation)
        return outcome

    def end(self) -> None:
        """Kill the process, and those that it has started."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            self._process.kill()
        self._process.join()
        self.pipe.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _try_all(cases: Sequence[Case], check: Check, folder: Path, pipe: connection.Connection) -> None:
    os.setsid()
    nowhere = os.open(folder / "stderr", os.O_CREAT | os.O_WRONLY)  # for what libraries in C have to say
    os.dup2(nowhere, 2)
    for what, most in (
        (resource.RLIMIT_AS, _address_space() + _MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, resource.getrlimit(what)[1]))
    for number, case in enumerate(list(cases)):
        here = folder / f"case-{number}"
        here.mkdir()
        outcome = check(case, here, pipe.send)
        os.chdir(folder)
        pipe.send(outcome)
        shutil.rmtree(here, ignore_errors=True)
    pipe.close()


def _address_space() -> int:
    """Bytes of this process's address space; a generous guess where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 64 << 30
