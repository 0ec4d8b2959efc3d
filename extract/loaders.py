"""Who loads what an extractor is given, beside the thread that encodes."""

from __future__ import annotations

import os
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from .config import ExtractConfig
from .extractors.contract import Extractor

_THREADS = 2  # that load ahead of an encoder on the CPU
_MOST_PROCESSES = 8  # that load ahead of an encoder on a GPU


@dataclass(frozen=True)
class Loaders:
    """Threads or processes that load rows."""

    count: int
    are_processes: bool

    def start(self) -> Executor:
        """Start them."""
        # Not forked: torch's threads, and CUDA, do not survive a fork.
        if self.are_processes:
            return ProcessPoolExecutor(self.count, mp_context=get_context("spawn"))
        return ThreadPoolExecutor(self.count)


def loaders_for(config: ExtractConfig, extractor: Extractor) -> Loaders:
    """How many load for an extractor, and whether they are processes."""
    if not extractor.loads_in_processes:
        return Loaders(_THREADS, are_processes=False)
    processes = config.workers
    if not processes and extractor.is_on_gpu:
        processes = min(_MOST_PROCESSES, os.cpu_count() or 1)
    threads = max(_THREADS, os.cpu_count() or 1) if extractor.is_made_in_loading else _THREADS
    return Loaders(processes or threads, are_processes=bool(processes))
