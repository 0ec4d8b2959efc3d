"""Any corpus that is one csv, a row per segment, and one folder of audio; options name the columns."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from ...errors import CorpusError
from ...features.segments import MEAN_OF_CHANNELS
from ...features.tasks import NO_LABEL, Task
from ..digests import same_sounds
from .checks import (
    audio_paths,
    check_filled,
    check_folder,
    check_same_within_recording,
    check_several_classes,
    integers,
    numbers,
)
from .config import BY_RECORDING, BY_SPEAKER, GenericOptions
from .corpus import Corpus, assembled
from .splitting import SPLITS, connected, grouped_splits, made_splits
from .tables import kept_columns, read_csv

NAME = "generic"
_MOST_SECONDS = 1e7  # four months: no recording is as long
_MOST_CHANNEL = 999
_ALL = "all"  # split of recordings that have no labels, where the csv has no splits
_VALUE_STRATA = 4  # recordings with real-valued labels are shared out by quartile

# Columns of the segment table that the csv may lack, with the option that names each.
_OPTIONAL = {
    "recording_id": "recording_column",
    "index": "segment_column",
    "split": "split_column",
    "start": "start_column",
    "end": "end_column",
    "channel": "channel_column",
    "speaker": "speaker_column",
}


def load(data_dir: Path, options: GenericOptions, modalities: str = "both") -> Corpus:
    """Read and check the corpus in ``data_dir`` as the options describe it. Raises CorpusError.

    With ``modalities`` audio or text, the column of the other may be absent, and audio files too.
    """
    check_folder(data_dir)
    path = _located(options.csv, data_dir, "segments.csv")
    if not path.is_file():
        raise CorpusError(f"{path}: there is no such file; name the csv of the segments with --csv")
    audio_dir = _located(options.audio_dir, data_dir, "audio")
    # A folder of audio that the user named elsewhere is the data folder as far as paths go.
    root = data_dir if audio_dir.resolve().is_relative_to(data_dir.resolve()) else audio_dir
    optional = dict(_OPTIONAL)
    required: list[str] = []
    for modality in ("audio", "text"):
        optional[modality] = f"{modality}_column"
        if modalities in ("both", modality):
            required.append(getattr(options, optional[modality]))
    required += [getattr(options, field) for field in optional.values() if options.is_renamed(field)]
    required += [*options.split_by_columns, *options.kept]
    csv = read_csv(path, list(dict.fromkeys(required)))
    absent = [column for column in options.labels if column not in csv.rows]
    if absent:
        raise CorpusError(
            f"{path} row 1: column {', '.join(absent)} missing; it has {', '.join(filter(None, csv.rows))}; name the"
            f" columns of labels with --label-columns, none where there are no labels"
        )
    columns = {name: getattr(options, field) for name, field in optional.items() if getattr(options, field) in csv.rows}
    # The csv's columns under the segment table's names; labels stay apart, as they may be called anything.
    rows = pd.DataFrame(
        {"origin": csv.origins} | {name: csv.rows[column].tolist() for name, column in columns.items()}, dtype=object
    )
    used = {*columns.values(), *options.labels}
    rows = rows.assign(**kept_columns(csv, options.keep_columns, options.kept, used))
    notes = list(csv.notes)

    if "audio" in rows:
        check_filled(rows, "audio", options.audio_column)
        rows["audio"] = audio_paths(rows, root, audio_dir, are_needed=modalities != "text")
        inside = os.path.relpath(audio_dir, root)
        suffixes = [PurePosixPath(path).suffix for path in rows["audio"]]
        rows["file"] = [
            os.path.relpath(path.removesuffix(suffix), inside)
            for path, suffix in zip(rows["audio"], suffixes, strict=True)
        ]
    else:
        rows["audio"] = rows["file"] = ""
    files_are_recordings = "recording_id" not in rows
    _name_recordings(rows, options)
    _number_segments(rows, options)
    _place_in_files(rows, options)
    rows["segment_id"] = _segment_names(rows)
    if files_are_recordings and rows["recording_id"].nunique() < len(rows):
        notes.append(f"{path.name} has no column {options.recording_column}: each audio file is a recording")
    tasks, labels = _tasks_and_labels(rows, csv.rows, path, options)
    rows = rows.assign(**labels)
    lacking = [column for column in options.labels if not any(csv.rows[column])]
    if lacking:
        notes.append(f"{path.name} has no labels in column {', '.join(lacking)}, so there is no such task")
    for task in tasks:
        unlabelled = int(rows[task.column].isna().sum() if task.is_value else (rows[task.column] == NO_LABEL).sum())
        if unlabelled:
            notes.append(f"{unlabelled} of {len(rows)} segments have no label of task {task.name}")
    facts: dict[str, object] = {}
    if "split" in rows:
        check_filled(rows, "split", options.split_column)
        if options.split_by:
            raise CorpusError(
                f"{path} row 1: has a column {options.split_column}, so there is nothing for --split-by to split;"
                " leave that out, or rename the column"
            )
    elif not tasks:
        rows["split"] = _ALL
        notes.append(
            f"{path.name} has no labels and no column {options.split_column}: all recordings are of one split, {_ALL}"
        )
    else:
        splits, by, how = _splits(rows, csv.rows, tasks[0], root, path, options)
        rows["split"] = [splits[recording] for recording in rows["recording_id"]]
        notes.append(f"{path.name} has no column {options.split_column}: {how}")
        facts["made_splits"] = {"by": by, "seed": options.split_seed, "ratios": list(options.ratios)}
    corpus = assembled(NAME, root, rows, tasks, notes, has_texts=modalities != "audio")
    return dataclasses.replace(corpus, facts=facts)


def _located(given: str, data_dir: Path, default: str) -> Path:
    """A file or folder that the user may have named from the data folder or from the working directory."""
    inside = data_dir / (given or default)
    if not given or inside.exists():
        return inside
    return Path(given).expanduser()


def _name_recordings(rows: pd.DataFrame, options: GenericOptions) -> None:
    if "recording_id" in rows:
        check_filled(rows, "recording_id", options.recording_column)
        return
    if not rows["audio"].any():
        rows["recording_id"] = [f"row{origin.rpartition(' ')[2]}" for origin in rows["origin"]]
        return
    # The file is the recording: stretches of one are of one conversation. Its path says which, whatever else is there.
    rows["recording_id"] = rows["file"]
    seen: dict[str, tuple[str, str]] = {}
    for name, audio, origin in zip(rows["file"], rows["audio"], rows["origin"], strict=True):
        known, where = seen.setdefault(name, (audio, origin))
        if known != audio:
            raise CorpusError(
                f"{origin}: {audio} would be recording {name}, as {known} in {where} is; rename one of the files, or"
                " say which recording each row is of with --recording-column"
            )


def _segment_names(rows: pd.DataFrame) -> list[str]:
    """The file, and which stretch of it: nothing that rows of other files could change.

    Rows of the very same stretch, such as one for each channel, are told apart by number, or by recording and number;
    so are all where there is no audio.
    """
    stretches: dict[str, list[int]] = {}
    for row, (file, start, end) in enumerate(zip(rows["file"], rows["start"], rows["end"], strict=True)):
        is_whole = math.isnan(start) and math.isnan(end)
        first, last = 0 if math.isnan(start) else start, "" if math.isnan(end) else f"{end:.12g}"
        stretches.setdefault(file if is_whole else f"{file}:{first:.12g}-{last}", []).append(row)
    names = [""] * len(rows)
    for stretch, same in stretches.items():
        marks = [str(number) for number in rows["index"].iloc[same]]
        if len(set(marks)) < len(same) or not stretch:
            marks = [f"{rows['recording_id'].iloc[row]}_{mark}" for row, mark in zip(same, marks, strict=True)]
        for row, mark in zip(same, marks, strict=True):
            names[row] = f"{stretch}:{mark}" if stretch and len(same) > 1 else stretch or mark
    return names


def _number_segments(rows: pd.DataFrame, options: GenericOptions) -> None:
    if "index" in rows:
        rows["index"] = integers(rows, "index", options.segment_column)
    else:
        rows["index"] = _occurrences(rows["recording_id"])


def _occurrences(values: Sequence[str]) -> list[int]:
    """For each value, how often it has occurred so far: ``a a b a`` -> 1 2 1 3."""
    counts: dict[str, int] = {}
    numbered = []
    for value in values:
        counts[value] = counts.get(value, 0) + 1
        numbered.append(counts[value])
    return numbered


def _place_in_files(rows: pd.DataFrame, options: GenericOptions) -> None:
    """Turn start, end and channel into numbers and check them, where the csv has them."""
    for column in ("start", "end"):
        if column not in rows:
            rows[column] = np.nan
            continue
        called = getattr(options, _OPTIONAL[column])
        rows[column] = numbers(rows, column, called)
        for value, origin in zip(rows[column], rows["origin"], strict=True):
            if value < 0:
                raise CorpusError(f"{origin}: {called} must not be negative, but is {value:g}")
            if value > _MOST_SECONDS:
                raise CorpusError(f"{origin}: {called} must be a time in seconds, but is {value:g}")
        rows[column] += 0.0  # -0 is 0
    for start, end, origin in zip(rows["start"], rows["end"], rows["origin"], strict=True):
        if end <= (0 if np.isnan(start) else start):
            raise CorpusError(
                f"{origin}: the segment ends at {end:g} s, but starts at {0 if np.isnan(start) else start:g} s"
            )
    if "channel" in rows:
        given = rows[rows["channel"] != ""]
        channels = integers(given, "channel", options.channel_column)
        for channel, origin in zip(channels, given["origin"], strict=True):
            if not 0 <= channel <= _MOST_CHANNEL:
                limits = "0 or more" if channel < 0 else f"{_MOST_CHANNEL} at most"
                raise CorpusError(f"{origin}: {options.channel_column} must be {limits}, but is {channel}")
        rows["channel"] = pd.Series(channels, index=given.index).reindex(rows.index, fill_value=MEAN_OF_CHANNELS)


def _tasks_and_labels(
    rows: pd.DataFrame, csv: pd.DataFrame, path: Path, options: GenericOptions
) -> tuple[list[Task], dict[str, np.ndarray]]:
    """A task for each label column, and the columns of the segment table that hold their labels."""
    tasks, labels = [], {}
    for column in options.labels:
        if not any(csv[column]):
            continue  # recordings that are yet to be labelled
        texts = rows[["origin", "recording_id"]].assign(label=csv[column].tolist())
        if options.label_kind == "value":
            values = numbers(texts, "label", column)
            given: list = ["" if np.isnan(value) else value for value in values.tolist()]
            classes: tuple[str, ...] = ()
        else:
            given = texts["label"].tolist()
            classes = tuple(sorted_classes([text for text in given if text]))
            home = {name: index for index, name in enumerate(classes)}
            values = np.array([home.get(text, NO_LABEL) for text in given])
        try:
            check_several_classes(path, f"column {column}", [label for label in given if label != ""])
        except CorpusError as error:
            raise CorpusError(f"{error}; leave it out with --label-columns, none for no labels at all") from None
        if options.label_level == "recording":
            check_same_within_recording(
                rows, given, column, "; if each segment has its own label, set --label-level segment"
            )
        task = Task(re.sub(r"[^\w-]+", "_", column), classes, options.label_level)
        if task.column in labels:
            raise CorpusError(
                f"{path} row 1: columns {options.label_columns} would all be called task {task.name}; rename one"
            )
        tasks.append(task)
        labels[task.column] = values
    return tasks, labels


def sorted_classes(labels: Sequence[str]) -> list[str]:
    """The different labels in order: by value if all are numbers, else as text."""
    different = sorted(set(labels))
    try:
        values = [float(label) for label in different]
    except ValueError:
        return different
    return sorted(different, key=float) if np.isfinite(values).all() else different


def _strata(rows: pd.DataFrame, task: Task) -> dict[str, int]:
    """The stratum of each recording: its class or its most frequent one, or its mean value's quartile."""
    labels = rows.groupby("recording_id")[task.column]
    if not task.is_value:
        return labels.agg(lambda column: column.value_counts().sort_index().idxmax()).to_dict()
    means = labels.mean()
    return (means.rank(pct=True, method="first") * _VALUE_STRATA).apply(np.ceil).fillna(0).astype(int).to_dict()


def _splits(
    rows: pd.DataFrame, csv: pd.DataFrame, task: Task, root: Path, path: Path, options: GenericOptions
) -> tuple[dict[str, str], str, str]:
    """A split for each recording, what is kept together besides recordings, and a line on how they were made.

    Recordings of one group, as ``--split-by`` says, and those of which files have the same bytes stay together.
    """
    strata = _strata(rows, task)
    sounds = same_sounds(root, rows["audio"])
    heard = [sounds[audio] for audio in rows["audio"]]
    by, values = _groups_asked_for(rows, csv, path, options)
    groups = connected(rows["recording_id"], [heard, values] if by else [heard])
    why = ""
    if by == BY_SPEAKER and not options.split_by and len(groups) < len(SPLITS):
        # A column that names roles, such as agent and customer, ties everything to everything.
        why = f", for its speakers tie {len(strata)} recordings into {len(groups)}"
        by, groups = "", connected(rows["recording_id"], [heard])
    if len(groups) < len(SPLITS) <= len(strata):
        tied = f"by {by} or audio" if by else "by audio"
        remedy = "split by something else with --split-by" if by else "give a column with splits"
        raise CorpusError(
            f"{path}: {len(strata)} recordings that are tied {tied} into {len(groups)} cannot be split into"
            f" {', '.join(SPLITS)}; {remedy}"
        )
    if len(groups) == len(strata):
        splits = made_splits(strata, options.ratios, options.split_seed, path)
    else:
        splits = grouped_splits(groups, strata, options.ratios, options.split_seed)
    counts = ", ".join(f"{sum(split == name for split in splits.values())} {name}" for name in SPLITS)
    how = f"recordings were split with seed {options.split_seed} into {counts}"
    if by:
        where = [
            {value for value, one in zip(values, rows["recording_id"], strict=True) if value and splits[one] == name}
            for name in SPLITS
        ]
        shares = ", ".join(f"{len(found)} in {name}" for found, name in zip(where, SPLITS, strict=True))
        chosen = "" if options.split_by else "; --split-by recording splits without regard to them"
        how = f"recordings were split by {by} with seed {options.split_seed} into {counts} (of {by if by != BY_SPEAKER else 'speakers'} {shares}){chosen}"
    return splits, by, how + why


def _groups_asked_for(
    rows: pd.DataFrame, csv: pd.DataFrame, path: Path, options: GenericOptions
) -> tuple[str, list[str]]:
    """By what recordings are to be kept together, and its value for each row; nothing, if by themselves alone."""
    speakers = rows["speaker"].tolist() if "speaker" in rows else []
    by = options.split_by or (BY_SPEAKER if any(speakers) else BY_RECORDING)
    if by == BY_RECORDING:
        return "", []
    values = speakers if by == BY_SPEAKER else csv[by].tolist()
    if not any(values):
        called = options.speaker_column if by == BY_SPEAKER else by
        raise CorpusError(f"{path}: column {called} is empty in all rows, so nothing can be split by it")
    return by, values
