"""Progress of long work: a bar on a terminal, plain lines elsewhere, nothing when nobody listens.

Work reports through a ``Track``: ``with track("extract", total=877, unit="segments") as advance``,
then ``advance(3)`` for every three segments done.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from .shown import as_line

Advance = Callable[[int], None]
Track = Callable[..., AbstractContextManager[Advance]]

SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def silent(description: str, total: int, unit: str = "items") -> Iterator[Advance]:
    """The Track that shows nothing; the default of every function that takes one."""
    yield lambda count: None


def for_terminal(stream=None) -> Track:
    """The Track that suits ``stream`` (standard error unless told otherwise)."""
    stream = stream or sys.stderr
    return _bar(stream) if stream.isatty() else _lines(stream)


def _bar(stream) -> Track:
    @contextmanager
    def track(description: str, total: int, unit: str = "items") -> Iterator[Advance]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),  # a name may hold brackets
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(file=stream), transient=True) as progress:
            bar = progress.add_task(as_line(description), total=total, rate="")
            started, done = time.monotonic(), 0

            def advance(count: int) -> None:
                nonlocal done
                done += count
                progress.update(bar, advance=count, rate=_rate(done, time.monotonic() - started, unit))

            yield advance

    return track


def _lines(stream) -> Track:
    @contextmanager
    def track(description: str, total: int, unit: str = "items") -> Iterator[Advance]:
        started = last_line = time.monotonic()
        done = 0

        def advance(count: int) -> None:
            nonlocal done, last_line
            done += count
            now = time.monotonic()
            if now - last_line >= SECONDS_BETWEEN_LINES:
                last_line = now
                left = (total - done) * (now - started) / max(done, 1)
                rate = _rate(done, now - started, unit)
                print(
                    f"{as_line(description)}: {done}/{total} {unit}, {rate}, {_clock(left)} left",
                    file=stream,
                    flush=True,
                )

        yield advance

    return track


def _rate(done: int, seconds: float, unit: str) -> str:
    return f"{done / seconds:.1f} {unit}/s" if seconds > 0 else ""


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
