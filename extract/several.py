"""One extraction on several GPUs of a machine: a process for each, every one with its share of the row blocks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import SettingError
from .config import ExtractConfig
from .corpora.corpus import Corpus
from .kept_splits import with_known_splits
from .making import check_options
from .review import reviewed
from .sound.views import ViewOptions
from .wanted import wanted_rows


def extract_on_devices(
    devices: str, corpus: Corpus, store: Path, config: ExtractConfig, views: ViewOptions, arguments: Sequence[str]
) -> int:
    """Run ``msmt`` with the same arguments once per device; returns the worst exit status.

    ``devices`` are numbers of GPUs, such as ``0,1,2``, or ``cpu``. Raises SettingError for HDF5, which has one writer,
    and for whatever the processes would refuse alike.
    """
    names = [name.strip() for name in devices.split(",") if name.strip()]
    if not names or not all(name == "cpu" or name.isdigit() for name in names):
        raise SettingError(f"devices must be numbers of GPUs such as 0,1,2, but is {devices!r}")
    if store.suffix != ".zarr":
        raise SettingError(f"{store}: an HDF5 store has one writer; extract to Zarr, then run msmt convert")
    if config.shard:
        raise SettingError("devices and shard both share out the work; give one of them")
    check_options(config)
    reviewed(with_known_splits(corpus, store)[0], config.allow_shared_audio)
    wanted_rows(corpus, store, config, views)
    common = _without_devices(arguments)
    processes = []
    for number, name in enumerate(names, start=1):
        here = [*common, "--shard", f"{number}/{len(names)}", "--device", "cpu" if name == "cpu" else "cuda"]
        visible = {} if name == "cpu" else {"CUDA_VISIBLE_DEVICES": name}
        processes.append(subprocess.Popen([sys.executable, "-m", "msmt", *here], env={**os.environ, **visible}))
    try:
        return max(process.wait() for process in processes)
    except KeyboardInterrupt:
        # The terminal sends Ctrl-C to the children as well; what they have committed stays.
        return max(process.wait() for process in processes)


def _without_devices(arguments: Sequence[str]) -> list[str]:
    kept, skip = [], False
    for argument in arguments:
        if skip or argument.startswith("--devices="):
            skip = False
        elif argument == "--devices":
            skip = True
        else:
            kept.append(argument)
    return kept
