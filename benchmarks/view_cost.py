"""What views cost: time to add them to a store, against the time its originals took.

    python benchmarks/view_cost.py [--segments 24] [--small] [--json FILE]

Encoders are of the real (base) size with random weights, unless ``--small``. All segments are in the training split. In
one run: the originals alone are extracted; then, into copies of that store, noise, speed and mask are added, and
homophone alone. Adding noise, speed and mask runs the audio encoder three times on as much sound, so its time should be
little more than three times that of the originals' audio. Adding homophone should take no more than the text encoder
does, which is measured by itself on the same transcripts.

Times are those of the thread that encodes, with all that it waits for, and leave out what comes before: loading encoders,
hashing files.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
from msmt.extract.config import ExtractConfig
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.encoders import TextEncoder, choose_device
from msmt.extract.pipeline import Summary, extract
from msmt.extract.sound.views import ViewOptions
from msmt.features.opening import open_store
from msmt.tests.extract.made import save_encoders

sys.path.insert(0, str(Path(__file__).parent))
from made import RATE, call_lengths, save_real_size_encoders, speech_like  # noqa: E402

CHARACTERS = "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作"
CHARACTERS_A_SECOND = 4
TOKENS = 199
AUDIO_VIEWS = "noise,speed,mask"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=24)
    parser.add_argument("--small", action="store_true", help="tiny encoders, to try the program out")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        audio, text = (save_encoders if options.small else save_real_size_encoders)(folder)
        config = ExtractConfig(str(audio), str(text), max_tokens=TOKENS, precision="float32", device=options.device)
        seconds = write_corpus(folder / "data", options.segments)
        stores = {what: folder / f"{what}.zarr" for what in ("warm-up", "originals", "audio", "homophone")}

        def run(what: str, augment: str = "", start: Path | None = None) -> Summary:
            if start:
                shutil.copytree(start, stores[what])
            views = ViewOptions(augment=augment)
            return extract(load_corpus("generic", folder / "data"), stores[what], config, views=views)

        run("warm-up")
        originals = run("originals")
        views = run("audio", AUDIO_VIEWS, stores["originals"])
        homophones = run("homophone", "homophone", stores["originals"])
        took = {
            "originals": time_of(originals),
            AUDIO_VIEWS: time_of(views),
            "homophone": time_of(homophones),
            "text encoder alone": text_alone(config, stores["homophone"]),
        }

    print(f"{options.segments} segments, mean {seconds.mean():.1f} s, {torch.get_num_threads()} threads")
    for what, spent in took.items():
        print(f"{what:<20}{spent:>9.2f} s")
    for what, summary in (("originals", originals), (AUDIO_VIEWS, views), ("homophone", homophones)):
        copied = ", ".join(f"{feature} {count} copied" for feature, count in summary.copied.items() if count)
        stages = ", ".join(f"{stage} {spent:.2f} s" for stage, spent in summary.waits.seconds.items())
        print(f"  {what}: {stages}{'; ' + copied if copied else ''}")
    ratios = {
        f"{AUDIO_VIEWS} against originals": took[AUDIO_VIEWS] / took["originals"],
        "homophone against originals": took["homophone"] / took["originals"],
        "homophone against text encoder alone": took["homophone"] / took["text encoder alone"],
    }
    for what, ratio in ratios.items():
        print(f"{what}: {ratio:.2f} x")
    if options.json:
        result = {"segments": options.segments, "mean_seconds": float(seconds.mean()), "seconds": took, **ratios}
        options.json.write_text(json.dumps(result, indent=2))


def time_of(summary: Summary) -> float:
    """Seconds of the encoding thread."""
    return sum(summary.waits.seconds.values())


def text_alone(config: ExtractConfig, store: Path) -> float:
    """Seconds that the text encoder takes for the altered transcripts of a store, one by one and into no store."""
    device = choose_device(config.device)
    encoder = TextEncoder.load(config.text_encoder, max_tokens=TOKENS, device=device, precision=config.precision)
    table = open_store(store).segments
    altered = set(table["text"][table["view"] == "homophone"]) - set(table["text"][table["view"] == "original"])
    tokens = [encoder.cut(ids) for ids in encoder.tokenize(sorted(altered))]
    encoder.encode(tokens[:1])
    started = time.perf_counter()
    for ids in tokens:
        encoder.encode([ids])[0].half().cpu()
    return time.perf_counter() - started


def write_corpus(data: Path, segments: int) -> np.ndarray:
    """A generic corpus, all of it training, with Chinese transcripts; returns the seconds of each segment."""
    seconds = call_lengths(segments)
    (data / "audio").mkdir(parents=True)
    with open(data / "segments.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("recording", "audio", "text", "label", "split"))
        for number, length in enumerate(seconds):
            soundfile.write(data / f"audio/s{number}.wav", speech_like(length, number), RATE, subtype="PCM_16")
            count = int(np.clip(CHARACTERS_A_SECOND * length, 3, TOKENS - 2))
            text = "".join(np.random.default_rng(number).choice(list(CHARACTERS), count))
            rows.writerow((f"r{number}", f"s{number}.wav", text, "AB"[number % 2], "train"))
    return seconds


if __name__ == "__main__":
    main()
