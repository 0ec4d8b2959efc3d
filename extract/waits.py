"""Where the time of an extraction goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Waits:
    """Seconds the encoding thread spent on each stage: waiting for the others, or encoding."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {"loading": 0.0, "encoding": 0.0, "committing": 0.0}

    @contextmanager
    def measured(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - started
