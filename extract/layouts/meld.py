"""MELD's layout: a csv and a folder of clips for each split, dialogues of six friends and those whom they meet.

The numbers of the dialogues are chosen such that some of the known defects of the release have their place.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .scenario import Person, Utterance, dialogue, person
from .writing import truncate, write_video

EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
COLUMNS = (
    *("Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID"),
    *("Season", "Episode", "StartTime", "EndTime"),
)
MAINS = {"Anna": True, "Ben": False, "Clara": True, "David": False, "Emma": True, "Frank": False}  # is_female
GUESTS = {"The Waiter": False, "Mrs. Moore": True, "All": False, "The Doctor": True}
_GUEST_SHARE = 0.35  # of the dialogues that somebody else takes part in
_RATE = 16000  # hertz
_NEGATIVE = ("anger", "disgust", "fear", "sadness")


@dataclass(frozen=True)
class Split:
    """Where one split lies, and which dialogues it has."""

    csv: str
    folder: str

    dialogues: tuple[int, ...]
    """Their numbers in the release."""

    turns: dict[int, int]
    """Turns of those dialogues that need so many for a known defect to have its place."""


SPLITS = {
    # Train has no dialogue 60, in the release either.
    "train": Split(
        "train/train_sent_emo.csv", "train/train_splits", (*range(11), *range(55, 60), *range(61, 68), 125), {125: 5}
    ),
    "val": Split("dev/dev_sent_emo.csv", "dev/dev_splits_complete", (*range(7), 110), {110: 8}),
    "test": Split("test/test_sent_emo.csv", "test/output_repeated_splits_test", (*range(6), 38, 155), {38: 6, 155: 5}),
}
CORRUPT = ("train", 125, 3)
WITHOUT_CLIP = ("val", 110, 7)
MISCUT = ("test", 38, 4)
NO_LENGTH = ("test", 155, 3)
_MISCUT_SECONDS = 33.0


def write(layout: str, folder: Path, random: np.random.Generator) -> None:
    """Write the three splits, with what a Mac and the release have left in the folder of test."""
    mains = [person(random, name, is_female) for name, is_female in MAINS.items()]
    guests = [person(random, name, is_female) for name, is_female in GUESTS.items()]
    for name, split in SPLITS.items():
        (folder / split.folder).mkdir(parents=True)
        rows: list[list[str | int]] = []
        for number in split.dialogues:
            turns = split.turns.get(number, int(random.integers(3, 9)))
            said = dialogue(random, _cast(mains, guests, random), EMOTIONS, turns, rate=_RATE)
            said = [
                _lengthened(each, random) if (name, number, place) == MISCUT else each
                for place, each in enumerate(said)
            ]
            rows += _rows(said, name, number, random)
            for place, each in enumerate(said):
                if (name, number, place) != WITHOUT_CLIP:
                    write_video(folder / split.folder / f"dia{number}_utt{place}.mp4", each.samples, each.rate)
        (folder / split.csv).write_text(_table(rows), newline="")
    split, number, place = CORRUPT
    truncate(folder / SPLITS[split].folder / f"dia{number}_utt{place}.mp4")
    _leave_over(folder / SPLITS["test"].folder)


def _cast(mains: Sequence[Person], guests: Sequence[Person], random: np.random.Generator) -> list[Person]:
    """Two or three of the friends, at times with somebody else."""
    cast = [mains[place] for place in random.choice(len(mains), int(random.integers(2, 4)), replace=False)]
    if random.random() < _GUEST_SHARE:
        cast.append(guests[int(random.integers(len(guests)))])
    return cast


def _lengthened(said: Utterance, random: np.random.Generator) -> Utterance:
    """The utterance with half a minute of a quiet room after it, as a clip that was cut at the wrong place."""
    samples = 0.002 * random.standard_normal(int(_MISCUT_SECONDS * said.rate)).astype(np.float32)
    samples[: len(said.samples)] += said.samples
    return dataclasses.replace(said, samples=samples)


def _rows(said: Sequence[Utterance], split: str, number: int, random: np.random.Generator) -> list[list[str | int]]:
    """Their rows of the csv, without the number at the beginning of each."""
    season, episode = int(random.integers(1, 10)), int(random.integers(1, 25))
    now = random.uniform(60, 1200)  # seconds within the episode
    rows = []
    for place, each in enumerate(said):
        end = now if (split, number, place) == NO_LENGTH else now + each.seconds
        times = (_time(now), _time(end))
        if (split, number, place) == NO_LENGTH:
            times = tuple(time.removeprefix("0") for time in times)  # as this one is written
        text = each.text.replace("'", "’")
        sentiment = _sentiment(each)
        rows.append([text, each.speaker, each.emotion, sentiment, number, place, season, episode, *times])
        now += each.seconds + random.uniform(0.05, 1.5)
    return rows


def _sentiment(said: Utterance) -> str:
    if said.emotion == "surprise":
        return "positive" if said.valence > 0.2 else "negative"
    return "negative" if said.emotion in _NEGATIVE else "positive" if said.emotion == "joy" else "neutral"


def _time(seconds: float) -> str:
    """976.059 -> ``00:16:16,059``"""
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d},{milliseconds % 1000:03d}"


def _table(rows: Sequence[Sequence[str | int]]) -> str:
    """A csv as the release has it: lines end as on Windows, only what holds a comma is quoted."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([number, *row] for number, row in enumerate(rows, start=1))
    return table.getvalue()


def _leave_over(folder: Path) -> None:
    """What lies beside the clips of test: files of a Mac's, and copies under another name."""
    for name in ("dia0_utt0", "dia0_utt1", "dia1_utt0"):
        (folder / f"._{name}.mp4").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ")
    shutil.copyfile(folder / "dia0_utt0.mp4", folder / "final_videos_testdia0_utt0.mp4")
