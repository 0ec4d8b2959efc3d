"""A whole extraction of MarketCalls' size, from wav files on disk to a finished store, with ``msmt extract``.

    python benchmarks/extract_marketcalls.py [--segments 14269] [--format zarr] [--folder FOLDER] [--json FILE]

Sounds, transcripts and encoders of the real size (random weights) are made first, which is not timed.
Prints the seconds from start to finish, segments per second, and how long the encoder waited.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from msmt.extract.config import ExtractConfig
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.pipeline import extract
from msmt.features.opening import SUFFIXES, open_store
from msmt.progress import for_terminal

sys.path.insert(0, str(Path(__file__).parent))
from made import save_real_size_encoders, write_marketcalls  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=14_269)
    parser.add_argument("--format", choices=tuple(SUFFIXES), default="zarr")
    parser.add_argument("--folder", type=Path, help="Where corpus and store go. [a temporary folder]")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        audio, text = map(str, save_real_size_encoders(folder / "encoders"))
        seconds = write_marketcalls(folder / "data", options.segments, distinct=20)
        store = folder / f"store{SUFFIXES[options.format]}"
        started = time.perf_counter()
        corpus = load_corpus("marketcalls", folder / "data")
        config = ExtractConfig(audio_encoder=audio, text_encoder=text, format=options.format)
        summary = extract(corpus, store, config, for_terminal(), print)
        took = time.perf_counter() - started
        spec = open_store(store).specs["hubert"]
        bytes_on_disk = open_store(store).bytes_on_disk()
    print("\n".join(summary.lines()))
    rate = options.segments / took
    print(
        f"{options.segments} segments, {seconds.sum() / 3600:.1f} hours of audio, {spec.precision}: {took:.1f} s, {rate:.1f} segments/s"
    )
    if options.json:
        result = {"segments": options.segments, "seconds": took, "segments_per_second": rate, "bytes": bytes_on_disk}
        options.json.write_text(json.dumps({**result, "stages": summary.waits.seconds}, indent=2))


if __name__ == "__main__":
    main()
