"""CMU-MOSI, CMU-MOSEI and CH-SIMS (v1 and v2) as MMSA's authors give them out: clips with a value of sentiment each.

One csv for all splits and a clip for each of its rows: ``label.csv`` (``meta.csv`` of SIMS v2) with the columns
``video_id, clip_id, text, label, label_T, label_A, label_V, annotation, mode``, and ``Raw/<video_id>/<clip_id>.mp4``.
Columns are read by name, for MOSEI has ``annotation, mode`` before ``label_T``. Folders of sound alone with the same
tree (``wav/``, ``Audio/``) and flat ones (``<video_id>_<clip_id>.wav``) are read as well, and the csv may have lost the
zeros before a clip's number.

A recording is a video, its segments are the clips in order. CH-SIMS deals the clips of one video to all splits: there
the part of a video in one split is a recording, and ``extra_video_id`` keeps what belongs together. Who speaks is left
open: the csv does not say it, a video of SIMS has several speakers, and in MOSI and MOSEI some people made several.
Sources: A. Zadeh et al., IEEE Intelligent Systems 31(6), 2016; A. Zadeh et al., ACL 2018; W. Yu et al., ACL 2020;
Y. Liu et al., ICMI 2022.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from ...errors import CorpusError, shown
from ...features.segments import EXTRA, VIDEO
from ...features.splits import TEST, TRAIN, VALIDATION, kind_of_split
from ...shown import counted
from .arranging import Listing, listing_of
from .checks import check_filled, integers, numbers
from .config import CorpusOptions
from .contract import Adapter, Aside, Count, Reading
from .label_csv_clips import Clips, clips_of
from .label_csv_releases import COLUMN_OF, RELEASES, TWO, UNLABELLED_FOLDERS, Release
from .tables import CsvTable, read_csv

_REQUIRED = ("video_id", "clip_id", "text", "label", "mode")
_ANNOTATION = EXTRA + "annotation"
_SIGNS = ("Negative", "Neutral", "Positive")
_SPLITS = (TRAIN, VALIDATION, TEST)
_SPREADSHEET = re.compile(r"#[A-Z]+[?!]")  # what becomes of an id that begins with - or =
_MISSING = ("nan", "none", "null")  # as programs write an empty cell
_ROUNDING = 1e-6  # that a label may lie beyond the scale
_NAMED = 3  # of many, in a line

_TWICE = "for an earlier row says the same of the same clip"
_OTHERWISE = "for an earlier row names the same clip, with another text, value or split"
_UNLABELLED = "for their label is empty"
_UNKNOWN = "for no row of the csv names them"


def _read(release: Release, data_dir: Path, options: CorpusOptions) -> Reading:
    """Find a release in a folder. Raises CorpusError where its csv is not there, or is of another corpus."""
    listing = listing_of(data_dir)
    path = _csv_in(listing, release)
    required = (*_REQUIRED, *(COLUMN_OF[task.name] for task in release.tasks if task.name in COLUMN_OF))
    table = read_csv(data_dir / path, tuple(dict.fromkeys(required)), release.encoding, release.header)
    _check_release(table, release)
    items, left_out = _items(table, release)
    notes = [*listing.notes, *table.notes, *_contradictions(table, items)]
    clips = clips_of(listing, items, str(PurePosixPath(path).parent))
    items["audio"] = [
        clips.path_of(video, number, written, release.digits)
        for video, number, written in zip(items["recording_id"], items["number"], items["clip"], strict=True)
    ]
    notes += [f"clips are taken from {clips.home}; those in {other} are not read" for other in clips.others]
    notes += [*_absent_videos(items, clips), *_by_recording(items, release), *_unlabelled_modalities(items, release)]
    elsewhere = f"for clips are taken from {clips.home}"
    orphans = [
        Aside(each, elsewhere if is_elsewhere else _UNKNOWN) for each, is_elsewhere in clips.beside(items["audio"])
    ]
    return Reading(
        release.name,
        data_dir,
        f"found {path} and {clips.said}",
        items.drop(columns=["number", "clip"]),
        release.tasks,
        _counts(release),
        release.defects,
        tuple(orphans),
        left_out,
        tuple(notes),
        longest=release.longest,
    )


ADAPTERS = {
    release.name: Adapter(release.name, release.title, partial(_read, release), 6.0, release.max_tokens)
    for release in RELEASES
}


def _csv_in(listing: Listing, release: Release) -> str:
    """The csv of a release, in its own folder where there is one; relative to the root."""
    homes = {name: each.name for each in RELEASES for name in each.folders} | dict.fromkeys(UNLABELLED_FOLDERS, "")
    elsewhere = []
    for name in release.csv:
        by_home: dict[str | None, list[str]] = {}
        for path in listing.named(name):
            told = [homes[_plain(part)] for part in PurePosixPath(path).parts[:-1] if _plain(part) in homes]
            by_home.setdefault(told[-1] if told else None, []).append(path)
        found = by_home.get(release.name) or by_home.get(None) or []
        nearest = [path for path in found if path.count("/") == found[0].count("/")]
        if len(nearest) > 1:
            raise CorpusError(
                f"{listing.root}: holds both {nearest[0]} and {nearest[1]}; name the folder of one with --data"
            )
        if nearest:
            return nearest[0]
        elsewhere += [path for home, paths in by_home.items() if home != release.name for path in paths]
    others = f" of its own, only {', '.join(elsewhere[:_NAMED])}" if elsewhere else ""
    raise CorpusError(
        f"{listing.root}: holds no {' or '.join(release.csv)}{others}; {release.name} is read from the csv and the"
        " folder Raw as MMSA's authors give them out: name the folder of both with --data"
    )


def _plain(name: str) -> str:
    """``CH-SIMS v2(s)`` -> ``chsimsv2s``"""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _check_release(table: CsvTable, release: Release) -> None:
    """What is as long as another release, and not as this, is that one."""
    rows = len(table.rows)
    for other in RELEASES:
        if rows == sum(other.items) != sum(release.items):
            raise CorpusError(
                f"{table.path}: holds {rows:,} rows, as {other.name} has, and {release.name} has"
                f" {sum(release.items):,}; extract it with --dataset {other.name}"
            )


def _items(table: CsvTable, release: Release) -> tuple[pd.DataFrame, tuple[Aside, ...]]:
    """The rows that are taken, and those that are not."""
    rows = table.rows
    items = pd.DataFrame({"origin": table.origins, "video": rows["video_id"].tolist()}, dtype=object)
    items["clip"], items["mode"] = rows["clip_id"].tolist(), rows["mode"].tolist()
    for column, called in (("video", "video_id"), ("clip", "clip_id"), ("mode", "mode")):
        check_filled(items, column, called)
    items["number"] = integers(items, "clip", "clip_id")
    for video, number, origin in zip(items["video"], items["number"], items["origin"], strict=True):
        if "/" in video or "\\" in video or video in (".", "..") or number < 0:
            raise CorpusError(f"{origin}: video_id and clip_id must be names of a folder and of a file in it")
        if _SPREADSHEET.fullmatch(video):
            raise CorpusError(
                f"{origin}: video_id is {video}, which a spreadsheet has made of an id that begins with - or =;"
                " take the csv as it was downloaded"
            )
    items["split"] = [_split_of(mode, origin) for mode, origin in zip(items["mode"], items["origin"], strict=True)]
    items["text"], items["speaker"] = rows["text"].tolist(), ""
    for task in release.tasks:
        if column := COLUMN_OF.get(task.name):
            items[task.column] = _values(rows[column].tolist(), table, column, release)
    items[_ANNOTATION] = rows["annotation"].tolist() if "annotation" in rows else ""
    left_out = _left_out(items, table, release)
    taken = items[~items["origin"].isin([aside.origin for aside in left_out])].reset_index(drop=True)
    if TWO in release.tasks:
        taken[TWO.column] = (taken["label_sentiment"] >= 0).astype(np.int64)
    clips = [f"{number:0{release.digits}d}" for number in taken["number"]]
    taken["segment_id"] = [f"{video}_{clip}" for video, clip in zip(taken["video"], clips, strict=True)]
    taken["recording_id"], taken["index"], taken["stated"] = taken["video"], taken["number"], np.nan
    taken[VIDEO], taken[EXTRA + "clip_id"] = taken["video"], clips
    return taken.drop(columns=["video", "mode"]), left_out


def _split_of(mode: str, origin: str) -> str:
    split = kind_of_split(mode)
    if not split:
        raise CorpusError(f"{origin}: mode must be train, valid or test, but is {shown(mode)}")
    return split


def _values(texts: list[str], table: CsvTable, called: str, release: Release) -> np.ndarray:
    """(n,) float64 of a column of labels; NaN where one is empty, or written as pandas writes what is missing."""
    cleaned = ["" if text.lower() in _MISSING else text for text in texts]
    rows = pd.DataFrame({"origin": table.origins, "value": cleaned}, dtype=object)
    values = numbers(rows, "value", called)
    for value, origin in zip(values, rows["origin"], strict=True):
        if abs(value) > release.limit + _ROUNDING:
            raise CorpusError(
                f"{origin}: {called} must be from {-release.limit:g} to {release.limit:g}, but is {value:g};"
                f" is it a csv of {release.name}?"
            )
    return values


def _left_out(items: pd.DataFrame, table: CsvTable, release: Release) -> tuple[Aside, ...]:
    """Rows without a label, and those of a clip that an earlier row has named."""
    labelled = items["label_sentiment"].notna()
    if not labelled.any():
        raise CorpusError(
            f"{table.path}: label is empty in all rows; a part without labels, as SIMS v2 has one, is not read:"
            " name the folder of the labelled part with --data"
        )
    labels = [items[task.column].astype(str) for task in release.tasks if task.name in COLUMN_OF]
    rows = zip(
        labelled, items["origin"], items["video"], items["number"], items["split"], items["text"], *labels, strict=True
    )
    seen: dict[str, tuple] = {}
    asides = []
    for is_labelled, origin, video, number, *said in rows:
        name, split = f"{video}_{number:0{release.digits}d}", said[0]
        if not is_labelled:
            asides.append(Aside(name, _UNLABELLED, origin, split))
        elif (first := seen.setdefault(name, said)) is not said:
            asides.append(Aside(name, _TWICE if first == said else _OTHERWISE, origin, split))
    return tuple(asides)


def _contradictions(table: CsvTable, items: pd.DataFrame) -> list[str]:
    """A line on rows whose annotation in words has another sign than their value."""
    found = []
    for word, value, origin in zip(items[_ANNOTATION], items["label_sentiment"], items["origin"], strict=True):
        said = next((sign for sign in _SIGNS if word.lower().endswith(sign.lower())), "")
        if said and said != _SIGNS[1 + int(np.sign(value))]:
            found.append(f"{origin} ({word}, {value:g})")
    if not found:
        return []
    return [
        f"{counted(len(found), 'row')} of {table.path.name} with an annotation of another sign than the value,"
        f" such as {found[0]}: the value counts"
    ]


def _absent_videos(items: pd.DataFrame, clips: Clips) -> list[str]:
    """A line on videos without a single clip, where others have theirs."""
    there = clips.videos
    absent = [video for video in dict.fromkeys(items["recording_id"]) if video not in there]
    if not absent or not there:
        return []
    more = ", …" if len(absent) > _NAMED else ""
    return [f"{len(absent):,} videos have no clip at all: {', '.join(absent[:_NAMED])}{more}"]


def _by_recording(items: pd.DataFrame, release: Release) -> list[str]:
    """Make the part of a video in each split a recording of its own where it is in several; a line that says so."""
    splits = items.groupby("recording_id", sort=False)["split"].nunique()
    dealt = set(splits.index[splits > 1])
    if not dealt:
        return []
    items["recording_id"] = [
        f"{video}_{split}" if video in dealt else video
        for video, split in zip(items["recording_id"], items["split"], strict=True)
    ]
    whose = (
        "as the corpus is given out" if release.deals_out_videos else f"which is not so in {release.name} as released"
    )
    example = next(name for name, video in zip(items["recording_id"], items[VIDEO], strict=True) if name != video)
    return [
        f"{len(dealt):,} of {len(splits):,} videos have clips in several splits, {whose}: what is learnt of a scene and"
        f" its voices helps in another split; the part of a video in each is a recording, such as {example}"
    ]


def _unlabelled_modalities(items: pd.DataFrame, release: Release) -> list[str]:
    counts = {task.name: int(items[task.column].isna().sum()) for task in release.tasks}
    return [f"{count:,} clips have no value of {name}" for name, count in counts.items() if count]


def _counts(release: Release) -> tuple[Count, ...]:
    counts = [Count({"split": split}, number) for split, number in zip(_SPLITS, release.items, strict=True)]
    counts += [
        Count({"split": split}, number, "recording") for split, number in zip(_SPLITS, release.videos, strict=False)
    ]
    for split, (negative, neutral, positive) in zip(_SPLITS, release.signs, strict=False):
        if TWO in release.tasks:
            counts.append(Count({"split": split, TWO.name: "negative"}, negative))
            counts.append(Count({"split": split, TWO.name: "positive"}, neutral + positive))
        else:
            of_sign = zip(_SIGNS, (negative, neutral, positive), strict=True)
            counts += [Count({"split": split, _ANNOTATION: sign}, number) for sign, number in of_sign]
    return tuple(counts)
