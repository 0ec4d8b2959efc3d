"""Peak memory of streaming: a store four times as large must not take more.

    python benchmarks/stream_memory.py [--segments 400] [--cache-gb 0.1] [--json FILE]

Each store is streamed for two epochs by a process of its own, which reports its peak resident memory. The memory
allowed is smaller than either store, so that nothing is mapped or kept.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

FEATURES = {"text": "roberta", "audio": "hubert"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=400)
    parser.add_argument("--cache-gb", type=float, default=0.1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", type=Path)
    options = parser.parse_args()
    if options.child:
        print(stream(options.child, options.cache_gb))
        return
    sys.path.insert(0, str(Path(__file__).parent))
    from made import write_store

    result = {}
    print(f"{'':<8}{'segments':>10}{'valid MB':>10}{'peak MB':>10}")
    for suffix in (".zarr", ".h5"):
        peaks = []
        for segments in (options.segments, 4 * options.segments):
            with tempfile.TemporaryDirectory() as folder:
                store = write_store(Path(folder, f"store{suffix}"), segments)
                valid = sum(int(store.lengths(name).sum()) * 768 * 2 for name in FEATURES.values())
                command = [sys.executable, __file__, "--child", str(store.path), "--cache-gb", str(options.cache_gb)]
                peaks.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            print(f"{suffix:<8}{segments:>10}{valid / 1e6:>10.0f}{peaks[-1]:>10.1f}")
        result[suffix] = peaks[1] / peaks[0]
        print(f"{suffix:<8}ratio {result[suffix]:.3f}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


def stream(path: Path, cache_gb: float) -> float:
    """Peak resident memory in MB after two epochs."""
    import numpy as np
    import torch
    from msmt.features.opening import open_store
    from msmt.train.config import TrainConfig
    from msmt.train.data import recordings_of, training_steps
    from msmt.train.stream import Stream

    store = open_store(path)
    recordings = recordings_of(store, "train", FEATURES)
    config = TrainConfig(cache_in="none", cache_gb=cache_gb)
    with Stream(store, FEATURES, [recordings], torch.device("cpu"), config) as reader:
        for epoch in (1, 2):
            steps = training_steps(np.arange(len(recordings)), recordings.longest, 0, epoch, 4, 4)
            for batch in reader.batches(recordings, [group for step in steps for group in step]):
                assert batch.features["audio"].values.isfinite().all()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
