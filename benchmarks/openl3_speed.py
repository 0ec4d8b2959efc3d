"""OpenL3 on a CPU against a straight evaluation of the same network, window by window.

    python benchmarks/openl3_speed.py [--seconds 3] [--repeats 5] [--threads 2] [--representation mel256] [--json FILE]

References, in the same run and on the same sound, with random weights of the real size:

* ``as published``: each window alone; the Fourier transform as two convolutions, as the published front end has it, and
  the network layer by layer, in float32.
* ``window by window``: the same, with torch.stft in place of the convolutions.
* ``batches of 32``: the same, 32 windows at once.
* ``without numba``: msmt where numba is not installed.

In each repeat every way takes its turn, so that all of them meet the machine in the same state. Times are medians, and
ratios are medians of the repeats' own. The largest difference is relative to the greatest value.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from msmt.extract.extractors.openl3 import Openl3Options, network_of, windowed
from msmt.extract.extractors.openl3_compiled import Compiled
from msmt.extract.extractors.openl3_network import HOP_OF_FRAMES, RATE, REPRESENTATIONS, Pictures, decibels
from msmt.extract.extractors.openl3_quick import QuickOpenL3
from msmt.extract.extractors.openl3_tiles import ByMatrices
from msmt.extract.layouts.checkpoints import write_openl3
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent))
from made import speech_like  # noqa: E402

HOP = RATE // 10
MSMT = "msmt"


class PublishedPictures(torch.nn.Module):
    """The front end as published: a Fourier transform written out as convolutions."""

    def __init__(self, pictures: Pictures) -> None:
        super().__init__()
        self.shape, self.basis = pictures.shape, getattr(pictures, "mel_basis", None)
        numbers, times = torch.arange(self.shape.frequencies)[:, None], torch.arange(self.shape.transform)
        phases = 2 * torch.pi * (numbers * times % self.shape.transform) / self.shape.transform
        self.real = (phases.cos() * pictures.hann)[:, None]
        self.imaginary = (-phases.sin() * pictures.hann)[:, None]

    def forward(self, windows: Tensor) -> Tensor:
        padded = functional.pad(windows, self.shape.padding)[:, None]
        power = sum(
            functional.conv1d(padded, kernels, stride=HOP_OF_FRAMES).square() for kernels in (self.real, self.imaginary)
        )
        return decibels((power if self.basis is None else self.basis @ power).sqrt())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="of sound")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--representation", choices=tuple(REPRESENTATIONS), default="mel256")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)

    shape = REPRESENTATIONS[options.representation]
    with tempfile.TemporaryDirectory() as folder:
        path = write_openl3(Path(folder), seed=0, representation=options.representation)
        asked = Openl3Options(weights=str(path), representation=options.representation)
        network = network_of(asked, load_file(path))
    pictures = Pictures(shape)
    published = PublishedPictures(pictures)
    quick, plain = (QuickOpenL3(pictures, network, steps) for steps in (Compiled(), ByMatrices()))
    sound = torch.from_numpy(speech_like(options.seconds, 0)).repeat_interleave(RATE // 8000)
    windows = windowed(sound[: round(options.seconds * RATE)], HOP)

    def by(front_end, at_once: int) -> Tensor:
        return torch.cat([network(front_end(some)) for some in windows.split(at_once)])

    ways = {
        "as published": lambda: by(published, 1),
        "window by window": lambda: by(pictures, 1),
        "batches of 32": lambda: by(pictures, 32),
        "without numba": lambda: plain(windows),
        MSMT: lambda: quick(windows),
    }
    made = {name: way() for name, way in ways.items()}  # warms up, too
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - started)

    count = len(windows)
    result: dict = {"representation": options.representation, "windows": count, "threads": options.threads}
    print(f"{options.representation}, {count} windows of {options.seconds:g} s, {options.threads} threads")
    for name, each in times.items():
        result[name] = statistics.median(each) / count
        print(f"{name:<18}{1000 * result[name]:>9.1f} ms a window")
    for name in list(ways)[:-1]:
        ratios = [slow / fast for slow, fast in zip(times[name], times[MSMT], strict=True)]
        difference = float((made[MSMT] - made[name]).abs().max() / made[name].abs().max())
        result[f"against {name}"] = {"ratio": statistics.median(ratios), "difference": difference}
        print(
            f"msmt against {name}: {statistics.median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f}),"
            f" largest difference {difference:.1e}"
        )
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
