"""How much spliced silence is removed from real speech, and how much of the speech with it.

    python benchmarks/silence.py --audio FOLDER [FOLDER ...] [--rate 8000] [--seed 0] [--json FILE]

Each recording is first cut to its own speech, found by level alone: frames of 20 ms at least 10 dB above its quiet
ones (the 5th percentile), where that threshold is held between 30 and 15 dB below its loud ones (the 95th); stretches
of at least 0.2 s, pauses up to 0.2 s included. Recordings whose quiet frames are less than 25 dB below the loud ones
are left out and named: level does not tell there what is speech. At pauses, after every 3 s of speech and at the end,
stretches of 1 to 3 s are spliced in: digital silence, and white noise at 50, 40 and 30 dB below the speech. Printed
are the shares of the spliced time and of the speech that are removed with the default options; the aims are at least
95 % and at most 5 %.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msmt.errors import AudioError
from msmt.extract.sound.audio import load_segment
from msmt.extract.sound.silence import SilenceOptions, SilenceRemover

FRAME_SECONDS = 0.02
SPLICES = {"digital silence": None, "noise at -50 dB": -50.0, "noise at -40 dB": -40.0, "noise at -30 dB": -30.0}


@dataclass(frozen=True)
class Spliced:
    """Speech with stretches of silence between."""

    samples: np.ndarray
    is_speech: np.ndarray


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path, nargs="+", required=True)
    parser.add_argument("--rate", type=int, default=8000, help="hertz")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    recordings, left_out = {}, []
    for path in sorted(path for folder in options.audio for path in folder.rglob("*") if path.is_file()):
        try:
            samples = load_segment(path, options.rate)
        except AudioError:
            continue
        stretches = speech_by_level(samples, options.rate)
        if stretches:
            recordings[path.name] = [samples[start:stop] for start, stop in stretches]
        else:
            left_out.append(path.name)
    if not recordings:
        print("no recording has a background at least 25 dB below its speech")
        return 1
    seconds = sum(len(part) for parts in recordings.values() for part in parts) / options.rate
    print(f"{len(recordings)} recordings, {seconds:.0f} s of speech at {options.rate} Hz, {len(left_out)} left out")
    for name in left_out:
        print(f"  left out: {name}")
    remover = SilenceRemover(SilenceOptions(silence="remove"))
    result, met = {}, True
    for name, decibels in SPLICES.items():
        shares = measure(recordings, decibels, options.rate, remover, np.random.default_rng(options.seed))
        met = met and shares["spliced_removed"] >= 0.95 and shares["speech_removed"] <= 0.05
        worst = ", ".join(f"{file} {share:.1%}" for file, share in shares["worst"].items())
        print(
            f"{name:<16} {shares['spliced_seconds']:5.0f} s spliced, {shares['spliced_removed']:6.1%} removed; "
            f"{shares['speech_removed']:5.1%} of the speech removed, most in {worst}"
        )
        result[name] = shares
    print("both aims are met" if met else "an aim is missed")
    if options.json:
        content = {"rate": options.rate, "recipe": remover.recipe(), "left_out": left_out, "shares": result}
        options.json.write_text(json.dumps(content, indent=2))
    return 0 if met else 1


def measure(
    recordings: dict, decibels: float | None, rate: int, remover: SilenceRemover, generator: np.random.Generator
) -> dict:
    """Shares over all recordings, and the recordings that lose most of their speech."""
    totals, lost = np.zeros(4), {}
    for name, parts in recordings.items():
        spliced = splice(parts, decibels, rate, generator)
        kept = remover.speech_in(spliced.samples, rate)
        silence = ~spliced.is_speech
        totals += [(silence & ~kept).sum(), silence.sum(), (~silence & ~kept).sum(), (~silence).sum()]
        lost[name] = float((~silence & ~kept).sum() / (~silence).sum())
    worst = sorted(lost, key=lost.get, reverse=True)[:3]
    return {
        "spliced_seconds": totals[1] / rate,
        "spliced_removed": totals[0] / totals[1],
        "speech_removed": totals[2] / totals[3],
        "worst": {name: lost[name] for name in worst},
    }


def speech_by_level(samples: np.ndarray, rate: int) -> list[tuple[int, int]]:
    """Stretches of speech in samples; none when the background is too loud for levels to tell."""
    frame = round(FRAME_SECONDS * rate)
    whole = samples[: len(samples) // frame * frame].reshape(-1, frame).astype(np.float64)
    levels = 10 * np.log10((whole**2).mean(axis=1) + 1e-12)
    quiet, loud = np.percentile(levels, [5, 95])
    if loud - quiet < 25:
        return []
    places = np.flatnonzero(levels > np.clip(quiet + 10, loud - 30, loud - 15))
    groups = np.split(places, np.flatnonzero(np.diff(places) > 10) + 1)
    return [(int(group[0]) * frame, (int(group[-1]) + 1) * frame) for group in groups if group[-1] - group[0] >= 9]


def splice(parts: list[np.ndarray], decibels: float | None, rate: int, generator: np.random.Generator) -> Spliced:
    """Stretches of silence or noise after every 3 s of speech, and after its end."""
    level = np.sqrt(np.mean(np.concatenate(parts).astype(np.float64) ** 2))
    samples, is_speech, since = [], [], 0
    for number, part in enumerate(parts):
        samples.append(part)
        is_speech.append(np.ones(len(part), bool))
        since += len(part)
        if since >= 3 * rate or number == len(parts) - 1:
            length = round(generator.uniform(1, 3) * rate)
            noise = generator.standard_normal(length) if decibels is not None else np.zeros(length)
            samples.append((level * 10 ** ((decibels or 0) / 20) * noise).astype(np.float32))
            is_speech.append(np.zeros(length, bool))
            since = 0
    return Spliced(np.concatenate(samples), np.concatenate(is_speech))


if __name__ == "__main__":
    sys.exit(main())
