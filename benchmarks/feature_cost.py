"""What each kind of feature costs: bytes and seconds for an hour of audio.

    python benchmarks/feature_cost.py [--data FOLDER] [--segments 12] [--feature NAME=KIND[:key=value,…] …]
                                      [--small] [--device cpu] [--json FILE]

Every audio file below ``--data`` is a segment (the first ``--segments`` of them by name); without it, sounds as long as
those of calls are made. Transcripts are made, of 4 tokens a second. Features are those of ``msmt extract --feature``;
unless named, one or more of each kind, where speech and text have encoders of the real (base) size with random weights.

Each feature is made of every segment in one process, one segment after another: loaded as extraction loads it, computed
in the batches that extraction computes. Seconds are those of the faster of two rounds, after a warm-up, with torch's
threads as they are set; those of the processor leave out what a busy machine made it wait. Bytes are those of the
values, as ``msmt features`` counts them; a vector's depend on how long segments are.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from msmt.errors import AudioError, MsmtError
from msmt.extract.batches import batches_of
from msmt.extract.config import ExtractConfig
from msmt.extract.extractors.contract import Extractor, Material
from msmt.extract.making import made_extractors
from msmt.features.segments import MEAN_OF_CHANNELS, ORIGINAL

sys.path.insert(0, str(Path(__file__).parent))
from made import RATE, call_lengths, save_real_size_encoders, speech_like, transcript  # noqa: E402

SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus"}
TOKENS_A_SECOND = 4
ROUNDS = 2


@dataclass(frozen=True)
class Cost:
    """What one feature costs."""

    feature: str
    kind: str
    shape: str
    """Of a segment of middle length: rows x values, and their type."""

    bytes_per_hour: float
    """Of values, for an hour of audio."""

    seconds_per_hour: float
    """To load and compute them, for an hour of audio."""

    processor_seconds_per_hour: float
    """Of all cores of the processor, for the same."""

    loading_share: float
    """Of the seconds; openSMILE computes while it loads."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="A folder of audio files. [made sounds]")
    parser.add_argument("--segments", type=int, default=12)
    parser.add_argument("--feature", action="append", default=[], metavar="NAME=KIND[:key=value,…]")
    parser.add_argument("--small", action="store_true", help="tiny encoders, to try the program out")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = options.data or write_sounds(folder / "audio", options.segments)
        material = material_of(root, options.segments)
        hours = float(np.nansum(material.seconds)) / 3600
        costs = []
        for feature in options.feature or usual_features(folder / "encoders", options.small):
            config = ExtractConfig(feature=(feature,), device=options.device)
            try:
                (extractor,) = made_extractors(config, folder / "none.zarr")
            except MsmtError as error:
                sys.exit(str(error))
            costs += costs_of(extractor, material, hours)
    print(f"{len(material.table)} segments, {hours * 60:.1f} minutes of audio")
    heads = f"{'MB/hour':>9}{'seconds/hour':>14}{'of processor':>14}{'of loading':>12}"
    print(f"{'feature':<22}{'kind':<11}{'shape of a segment':<24}{heads}")
    for cost in costs:
        print(
            f"{cost.feature:<22}{cost.kind:<11}{cost.shape:<24}{cost.bytes_per_hour / 1e6:>9.2f}"
            f"{cost.seconds_per_hour:>14.1f}{cost.processor_seconds_per_hour:>14.1f}{cost.loading_share:>12.0%}"
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(cost) for cost in costs], indent=2))


def usual_features(folder: Path, small: bool) -> list[str]:
    """Something of every kind."""
    if small:
        from msmt.tests.extract.made import save_encoders

        audio, text = save_encoders(folder)
    else:
        audio, text = save_real_size_encoders(folder)
    return [
        f"hubert=speech:encoder={audio}",
        f"hubert-8000=speech:encoder={audio},rate=8000",
        f"roberta=text:encoder={text}",
        "mel=mel",
        "egemaps=opensmile:set=eGeMAPSv02",
        "egemaps-lld=opensmile:set=eGeMAPSv02,level=lld",
        "compare=opensmile:set=ComParE_2016",
        "compare-lld=opensmile:set=ComParE_2016,level=lld",
    ]


def write_sounds(folder: Path, segments: int) -> Path:
    folder.mkdir()
    for number, seconds in enumerate(call_lengths(segments)):
        soundfile.write(folder / f"{number:04}.wav", speech_like(seconds, number), RATE)
    return folder


def material_of(root: Path, segments: int) -> Material:
    """The first audio files below a folder, each a segment with a made transcript."""
    files = sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        sys.exit(f"{root}: holds no audio files of {', '.join(sorted(SUFFIXES))}")
    table = pd.DataFrame({"audio": files[:segments]})
    table = table.assign(
        segment_id=table["audio"],
        recording_id=table["audio"],
        index=0,
        split="train",
        view=ORIGINAL,
        start=np.nan,
        end=np.nan,
        channel=MEAN_OF_CHANNELS,
        speaker="",
        text="",
    )
    material = Material(root, table, str)
    tokens = 2 + np.rint(TOKENS_A_SECOND * np.nan_to_num(material.seconds)).astype(int)
    table["text"] = [transcript(count, number) for number, count in enumerate(tokens)]
    return material


def costs_of(extractor: Extractor, material: Material, hours: float) -> list[Cost]:
    """What each of an extractor's features costs; all of them the seconds of the one pass."""
    extractor.identities(material)  # some read all texts once
    make(extractor, material, [0])
    rounds = [make(extractor, material, range(len(material.table))) for _ in range(ROUNDS)]
    took = min(rounds, key=lambda one: one.loading + one.computing)
    seconds = took.loading + took.computing
    costs = []
    for name, spec in extractor.specs.items():
        rows = took.lengths[name]
        middle = int(np.median(rows)) if rows else 0
        costs.append(
            Cost(
                feature=name,
                kind=spec.kind,
                shape=f"{middle:,} x {spec.width:,} {spec.dtype}",
                bytes_per_hour=sum(rows) * spec.width * spec.value_bytes / hours,
                seconds_per_hour=seconds / hours,
                processor_seconds_per_hour=took.processor / hours,
                loading_share=took.loading / seconds,
            )
        )
    return costs


@dataclass(frozen=True)
class Round:
    """What making the features of all segments took, in seconds."""

    loading: float
    computing: float
    processor: float
    lengths: dict[str, list[int]]
    """Rows T of each segment, by feature."""


def make(extractor: Extractor, material: Material, rows: range | list[int]) -> Round:
    """Make the features of some rows, and drop them."""
    started, processor = time.perf_counter(), time.process_time()
    loaded = {}
    for row in rows:
        function, arguments = extractor.job(material, row)
        got = function(*arguments)
        if isinstance(got, AudioError):
            print(f"{material.table['audio'].iloc[row]}: {got}", file=sys.stderr)
        else:
            loaded[row] = got
    loading = time.perf_counter() - started
    lengths: dict[str, list[int]] = {name: [] for name in extractor.specs}
    started = time.perf_counter()
    for batch in batches_of({row: got.size for row, got in loaded.items()}, extractor.batch_rows):
        for made in extractor.encode([loaded[row] for row in batch]):
            for name, values in made.items():
                lengths[name].append(len(values.cpu()))
    return Round(loading, time.perf_counter() - started, time.process_time() - processor, lengths)


if __name__ == "__main__":
    main()
