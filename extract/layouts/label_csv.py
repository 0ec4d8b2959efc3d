"""CMU-MOSI, CMU-MOSEI, CH-SIMS and CH-SIMS v2 in small: people who speak their minds, as the real ones come unpacked.

In MOSI and MOSEI one person speaks in a video, and a video is in one split; in SIMS several speak, and each clip is
dealt to a split by itself. Beside them lies what lies in real downloads too: a file that a Mac has left, a clip that no
row names, a row that stands there twice, one without a value; in MOSEI a clip that nobody can decode; in SIMS a row
whose annotation contradicts its value. Nothing of it keeps anybody from training.
"""

from __future__ import annotations

import csv
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..corpora.label_csv_releases import BY_NAME, Release
from .scenario import Person, Utterance, dialogue, person
from .writing import truncate, write_video

_EMOTIONS = ("anger", "disgust", "sadness", "neutral", "calm", "joy", "excited")
_VIDEOS = 20
_CLIPS = (3, 7)  # of a video, the second not included
_IN_TURN = ("train", "test", "train", "valid", "train")
_YOUTUBE = string.ascii_letters + string.digits
_UNREADABLE = ("3aIQUQgawaI", 12)  # of MOSEI, as everybody has it
_SIGNS = ("Negative", "Neutral", "Positive")


@dataclass(frozen=True)
class _Clip:
    """A row of the csv with what is heard in it."""

    video: str
    number: int
    said: Utterance
    label: float

    of_modalities: tuple[float, ...]
    """Values of text, audio and vision by themselves; none where the corpus has none."""

    mode: str


def write(layout: str, folder: Path, random: np.random.Generator) -> None:
    """Fill a folder with ``label.csv`` or ``meta.csv``, and ``Raw/`` with the clips."""
    release = BY_NAME[layout]
    clips = [clip for video in _videos(release, random) for clip in _clips_of(video, release, random)]
    if not release.deals_out_videos:
        clips = _with_whole_videos(clips)
    if layout == "mosei":
        video = clips[0].video
        last = max(place for place, clip in enumerate(clips) if clip.video == video)
        clips[last] = replace(clips[last], number=_UNREADABLE[1])
    for clip in clips:
        path = _path(folder, release, clip.video, clip.number)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, clip.said.samples, clip.said.rate)
        if (clip.video, clip.number) == _UNREADABLE:
            truncate(path)
    _write_csv(folder / release.csv[0], clips, release)
    _add_strays(folder, release, clips[-1])


def _videos(release: Release, random: np.random.Generator) -> list[str]:
    """Their names: as those of YouTube, some of which begin with - or _, or counted."""
    if release.name == "sims":
        return [f"video_{number:04d}" for number in range(1, _VIDEOS + 1)]
    if release.name == "simsv2":
        return [f"aqgy{1 + number // 8}_{number:04d}" for number in range(1, _VIDEOS + 1)]
    names = ["".join(random.choice(list(_YOUTUBE), 11)) for _ in range(_VIDEOS)]
    names[1], names[2] = f"-{names[1][1:]}", f"_{names[2][1:]}"
    if release.name == "mosei":
        names[0] = _UNREADABLE[0]
    return names


def _clips_of(video: str, release: Release, random: np.random.Generator) -> list[_Clip]:
    is_scene = release.deals_out_videos
    count = int(random.integers(*_CLIPS))
    people: Sequence[Person] = [
        person(random, f"{video} {number}", bool(random.random() < 0.5)) for number in range(2 if is_scene else 1)
    ]
    said = dialogue(random, people, _EMOTIONS, count, "zh" if is_scene else "en")
    first = 0 if release.name in ("mosei", "simsv2") else 1
    clips = []
    for number, each in enumerate(said, start=first):
        seen = float(np.clip(each.valence + random.normal(0, 0.15), -1, 1))  # a face tells it too
        values = [_rated(value, release) for value in (each.valence, each.words_valence, each.voice_valence, seen)]
        mode = str(random.choice(_IN_TURN))
        clips.append(_Clip(video, number, each, values[0], tuple(values[1:]) if is_scene else (), mode))
    return clips


def _rated(valence: float, release: Release) -> float:
    """A mean over people who rate in whole steps: fifths of MOSI and SIMS, thirds of MOSEI."""
    steps = 3 if release.name == "mosei" else 5
    return round(valence * release.limit * steps) / steps


def _with_whole_videos(clips: list[_Clip]) -> list[_Clip]:
    """The clips, those of one video all in one split, and each split with videos of all opinions."""
    labels: dict[str, list[float]] = {}
    for clip in clips:
        labels.setdefault(clip.video, []).append(clip.label)
    videos = sorted(labels, key=lambda video: (np.mean(labels[video]), video))
    modes = {video: _IN_TURN[place % len(_IN_TURN)] for place, video in enumerate(videos)}
    return [replace(clip, mode=modes[clip.video]) for clip in clips]


def _path(folder: Path, release: Release, video: str, number: int) -> Path:
    return folder / "Raw" / video / f"{number:0{release.digits}d}.mp4"


def _write_csv(path: Path, clips: Sequence[_Clip], release: Release) -> None:
    rows = [_row(clip, release) for clip in clips]
    if release.name == "sims":
        next(row for row in rows if row["annotation"] == "Positive")["annotation"] = "Negative"
    stray = clips[-1]
    rows += [rows[-1], _row(replace(stray, number=stray.number + 2), release) | {"label": "", "annotation": ""}]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, release.header, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _row(clip: _Clip, release: Release) -> dict[str, object]:
    return {
        "video_id": clip.video,
        "clip_id": f"{clip.number:0{release.digits}d}",
        "text": clip.said.text,
        "label": clip.label,
        **dict(zip(("label_T", "label_A", "label_V"), clip.of_modalities, strict=False)),
        "annotation": _SIGNS[1 + int(np.sign(clip.label))],
        "mode": clip.mode,
    }


def _add_strays(folder: Path, release: Release, last: _Clip) -> None:
    """A clip that no row names, and what a Mac leaves beside it."""
    stray = _path(folder, release, last.video, last.number + 1)
    write_video(stray, last.said.samples[: last.said.rate], last.said.rate)
    stray.with_name(f"._{stray.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
