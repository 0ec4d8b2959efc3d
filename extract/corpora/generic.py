"""Any corpus that is one csv, a row per segment, and one folder of audio; options name the columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import CorpusError
from ...features.segments import MEAN_OF_CHANNELS
from ...features.tasks import NO_LABEL, Task
from .checks import (
    audio_paths,
    check_filled,
    check_folder,
    check_same_within_recording,
    check_several_classes,
    integers,
    numbers,
    stem,
)
from .config import GenericOptions
from .corpus import Corpus, assembled
from .tables import read_csv

NAME = "generic"
SPLITS = ("train", "val", "test")
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


def load(data_dir: Path, options: GenericOptions) -> Corpus:
    """Read and check the corpus in ``data_dir`` as the options describe it. Raises CorpusError."""
    check_folder(data_dir)
    path = _located(options.csv, data_dir, "segments.csv")
    if not path.is_file():
        raise CorpusError(f"{path}: there is no such file; name the csv of the segments with --csv")
    audio_dir = _located(options.audio_dir, data_dir, "audio")
    # A folder of audio that the user named elsewhere is the data folder as far as paths go.
    root = data_dir if audio_dir.resolve().is_relative_to(data_dir.resolve()) else audio_dir
    required = [options.audio_column, options.text_column]
    required += [getattr(options, field) for field in _OPTIONAL.values() if options.is_renamed(field)]
    csv = read_csv(path, list(dict.fromkeys(required)))
    absent = [column for column in options.labels if column not in csv.rows]
    if absent:
        raise CorpusError(
            f"{path} row 1: column {', '.join(absent)} missing; it has {', '.join(filter(None, csv.rows))}; name the"
            f" columns of labels with --label-columns, none where there are no labels"
        )
    columns = {"audio": options.audio_column, "text": options.text_column}
    columns |= {
        name: getattr(options, field) for name, field in _OPTIONAL.items() if getattr(options, field) in csv.rows
    }
    # The csv's columns under the segment table's names; labels stay apart, as they may be called anything.
    rows = pd.DataFrame(
        {"origin": csv.origins} | {name: csv.rows[column].tolist() for name, column in columns.items()}, dtype=object
    )
    notes = list(csv.notes)

    check_filled(rows, "audio", options.audio_column)
    rows["audio"] = audio_paths(rows, root, audio_dir)
    _name_recordings(rows, options)
    _number_segments(rows, options)
    _place_in_files(rows, options)
    tasks, labels = _tasks_and_labels(rows, csv.rows, path, options)
    rows = rows.assign(**labels)
    lacking = [column for column in options.labels if not any(csv.rows[column])]
    if lacking:
        notes.append(f"{path.name} has no labels in column {', '.join(lacking)}, so there is no such task")
    for task in tasks:
        unlabelled = int(rows[task.column].isna().sum() if task.is_value else (rows[task.column] == NO_LABEL).sum())
        if unlabelled:
            notes.append(f"{unlabelled} of {len(rows)} segments have no label for {task.name}")
    if "split" in rows:
        check_filled(rows, "split", options.split_column)
    elif not tasks:
        rows["split"] = _ALL
        notes.append(
            f"{path.name} has no labels and no column {options.split_column}: all recordings are of one split, {_ALL}"
        )
    else:
        splits = made_splits(_strata(rows, tasks[0]), options.ratios, options.split_seed, path)
        rows["split"] = [splits[recording] for recording in rows["recording_id"]]
        counts = ", ".join(f"{sum(split == name for split in splits.values())} {name}" for name in SPLITS)
        notes.append(
            f"{path.name} has no column {options.split_column}:"
            f" recordings were split with seed {options.split_seed} into {counts}"
        )
    return assembled(NAME, root, rows, tasks, notes)


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
    paths = [path.removesuffix(Path(path).suffix) for path in rows["audio"]]
    stems = [stem(path) for path in rows["audio"]]
    if len(set(stems)) == len(stems):
        rows["recording_id"] = stems
    elif len(set(paths)) == len(paths):
        rows["recording_id"] = paths
    else:
        rows["recording_id"] = [f"{path}:{number}" for path, number in zip(paths, _occurrences(paths), strict=True)]


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
    for start, end, origin in zip(rows["start"], rows["end"], rows["origin"], strict=True):
        if end <= (0 if np.isnan(start) else start):
            raise CorpusError(
                f"{origin}: the segment ends at {end:g} s, but starts at {0 if np.isnan(start) else start:g} s"
            )
    if "channel" in rows:
        given = rows[rows["channel"] != ""]
        channels = integers(given, "channel", options.channel_column)
        for channel, origin in zip(channels, given["origin"], strict=True):
            if channel < 0:
                raise CorpusError(f"{origin}: {options.channel_column} must be 0 or more, but is {channel}")
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


def made_splits(strata: Mapping[str, int], ratios: tuple[float, float, float], seed: int, path: Path) -> dict[str, str]:
    """A split for each recording, so that each stratum and the whole come close to ``ratios``.

    The same recordings, strata and seed give the same splits, whatever the order of the rows.
    """
    if len(strata) < len(SPLITS):
        raise CorpusError(
            f"{path}: {len(strata)} recordings cannot be split into {', '.join(SPLITS)}; give a column with splits"
        )
    random = np.random.default_rng(seed)
    shares = np.array(ratios)
    assigned = np.zeros(len(SPLITS))
    splits: dict[str, int] = {}
    for stratum in sorted(set(strata.values())):
        members = sorted(recording for recording, home in strata.items() if home == stratum)
        here = np.zeros(len(SPLITS))
        for recording in random.permutation(members).tolist():
            # The split that lacks most, in this stratum and over all of them so far.
            lacking = shares * (here.sum() + 1) - here + shares * (assigned.sum() + 1) - assigned
            split = int(lacking.argmax())
            splits[recording] = split
            here[split] += 1
            assigned[split] += 1
    for empty in np.flatnonzero(assigned == 0):
        largest = int(assigned.argmax())
        members = [recording for recording, split in splits.items() if split == largest]
        homes = [strata[recording] for recording in members]
        moved = max(members, key=lambda recording: homes.count(strata[recording]))  # its stratum can spare one
        splits[moved] = int(empty)
        assigned[largest] -= 1
        assigned[empty] += 1
    return {recording: SPLITS[split] for recording, split in splits.items()}
