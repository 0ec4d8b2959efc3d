"""How torch's threads wait and how many there are, settled before torch is loaded.

Threads that have nothing to do spin for a while by default, in case more comes soon. On a machine that does other work
as well, they take the processor from the very threads they wait for. Here they sleep at once.
"""

from __future__ import annotations

import contextlib
import os

# One for each runtime that torch may have been built with: the OpenMP standard's, which oneDNN's threads follow too,
# then what GNU's and LLVM's (also Intel's) take it to mean in numbers.
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
_ALSO_OF_USERS = ("KMP_LIBRARY",)  # says the same; whoever sets any of them has settled how threads wait


def wait_passively() -> None:
    """Let idle threads sleep, in this process and those it starts, unless the user has settled how they wait.

    Takes effect only before torch is imported.
    """
    if not any(name in os.environ for name in (*PASSIVE, *_ALSO_OF_USERS)):
        os.environ.update(PASSIVE)


def use_threads(count: int) -> None:
    """Let torch compute with so many threads, in this process and those it starts; 0 leaves it to torch."""
    if not count:
        return
    os.environ["OMP_NUM_THREADS"] = str(count)
    import torch

    torch.set_num_threads(count)
    with contextlib.suppress(RuntimeError):  # torch takes this once, and only before it has used such threads
        torch.set_num_interop_threads(count)
