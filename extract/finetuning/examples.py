"""What an encoder is fine-tuned on: texts or segments with labels, and which of them are for validation."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import CorpusError, SettingError, shown
from ...features.schemes import splits_of
from ...features.tasks import NO_LABEL, Task
from ...shown import as_line, counted, from_cell
from ..corpora.corpus import Corpus
from ..corpora.tables import read_csv
from ..digests import file_digest

TRAIN, VALIDATION = "train", "val"
_NAMES_OF_VALIDATION = ("val", "valid", "validation", "dev")
_MOST_CLASSES = 1000  # more are values, or texts, taken for classes


@dataclass(frozen=True)
class Examples:
    """Items of both parts with their labels."""

    task: Task

    table: pd.DataFrame
    """(n) ``text``, or the columns of a segment table; ``part`` is train or val, ``label`` a class index or a value."""

    root: Path
    """Folder that the audio's paths are relative to; of a csv of texts, where it lies."""

    source: Mapping[str, object]
    """Where they come from, for the record: the corpus and its splits, or the csv."""

    notes: tuple[str, ...] = ()
    """What a user should know of how they were chosen."""

    left_out: Mapping[str, str] = field(default_factory=dict)
    """By name of an item why it is not learnt from, where that is a defect of it."""

    def of(self, part: str) -> pd.DataFrame:
        """The rows of train or val."""
        return self.table[self.table["part"] == part].reset_index(drop=True)

    def counts(self, part: str) -> dict[str, int]:
        """How often each class occurs in a part."""
        found = Counter(self.of(part)["label"].tolist())
        return {name: found[number] for number, name in enumerate(self.task.classes)}

    def digests(self, modality: str) -> dict[str, dict]:
        """By part how many items, and hashes of what is learnt from and of the labels."""
        return {part: self._digests_of(part, modality) for part in (TRAIN, VALIDATION)}

    def _digests_of(self, part: str, modality: str) -> dict:
        rows = self.of(part)
        if modality == "text":
            inputs = rows["text"].tolist()
        else:
            places = rows[["audio", "start", "end", "channel"]].astype(str).to_numpy().tolist()
            inputs = [[file_digest(self.root / place[0]), *place[1:]] for place in places]
        return {"count": len(rows), modality: _digest(inputs), "labels": _digest(rows["label"].tolist())}

    def without(self, unusable: Mapping[int, str]) -> Examples:
        """Without these rows of the table, whose reasons are kept. Raises CorpusError where nothing is left."""
        if not unusable:
            return self
        names = self.table["segment_id"].iloc[list(unusable)].tolist()
        left_out = {**self.left_out, **dict(zip(names, unusable.values(), strict=True))}
        kept = self.table.drop(self.table.index[list(unusable)]).reset_index(drop=True)
        examples = replace(self, table=kept, left_out=left_out)
        _check_parts(examples, str(self.root))
        return examples


def of_corpus(corpus: Corpus, modality: str, options) -> Examples:
    """The labelled segments of a corpus's training and validation splits.

    ``options`` are FinetuneOptions. Segments without text are left out of texts, and those without audio of audio.
    Raises CorpusError, or SettingError for a task that the corpus does not have.
    """
    task = _task_of(corpus, options.task)
    splits = splits_of(corpus.table, options.scheme)
    table = corpus.table.assign(split=splits, label=corpus.table[task.column])
    is_labelled = table["label"].notna() & (task.is_value | (table["label"] != NO_LABEL))
    column = "text" if modality == "text" else "audio"
    has_input = table[column].str.strip() != ""
    parts = table["split"].map(_part_of)
    notes = []
    for count, what in (
        (int((parts.notna() & ~is_labelled).sum()), f"without a label of {as_line(task.name)}"),
        (int((parts.notna() & is_labelled & ~has_input).sum()), f"without {column}"),
    ):
        if count:
            notes.append(f"{counted(count, 'segment')} {what} are left out")
    table = table.assign(part=parts)[parts.notna() & is_labelled & has_input].reset_index(drop=True)
    how = f"the split val of {options.scheme}"
    if not (table["part"] == VALIDATION).any() and len(table):
        table["part"] = held_out(table["recording_id"], table["label"], options.validation_share, options.seed, task)
        how = f"a share of {options.validation_share:g} of the training recordings, seed {options.seed}"
        notes.append(f"there is no split for validation in {as_line(options.scheme)}: {how} is held out")
    source = {"dataset": corpus.name, "scheme": options.scheme, "task": task.name, "split": TRAIN, "validation": how}
    examples = Examples(task, table, corpus.root, source, tuple(notes))
    _check_parts(examples, str(corpus.root))
    return examples


def of_csv(path: Path, text_column: str, label_column: str, split_column: str, is_value: bool, options) -> Examples:
    """The labelled rows of a csv of texts, such as msmt annotate writes.

    Its column of splits says what is for training and validation; without one a share of the texts is held out, by
    class, and equal texts stay together. Raises CorpusError, which names file and row.
    """
    csv = read_csv(path, [text_column, label_column])
    texts = [from_cell(text) for text in csv.rows[text_column]]
    labels = [from_cell(label) for label in csv.rows[label_column]]
    notes = list(csv.notes)
    table = pd.DataFrame({"text": texts, "label": labels, "origin": csv.origins})
    parts = pd.Series(TRAIN, index=table.index)
    has_splits = split_column in csv.rows
    if has_splits:
        parts = pd.Series([_part_of(split) for split in csv.rows[split_column]], index=table.index, dtype=object)
        elsewhere = int(parts.isna().sum())
        if elsewhere:
            notes.append(f"{counted(elsewhere, 'row')} of other splits than train and val are not looked at")
    usable = (table["text"] != "") & (table["label"] != "")
    unusable = int((parts.notna() & ~usable).sum())
    if unusable:
        notes.append(f"{counted(unusable, 'row')} without text or label are left out")
    table = table.assign(part=parts)[parts.notna() & usable].reset_index(drop=True)
    task = _task_of_labels(path, label_column, table, is_value)
    table["label"] = _numbers(path, table, task)
    how = f"rows of {split_column} val"
    if not (table["part"] == VALIDATION).any() and len(table):
        table["part"] = held_out(table["text"], table["label"], options.validation_share, options.seed, task)
        how = f"a share of {options.validation_share:g} of the texts, seed {options.seed}"
        notes.append(f"there is no split for validation: {how} is held out")
    source = {"csv": path.name, "task": task.name, "split": TRAIN, "validation": how}
    examples = Examples(task, table, path.parent, source, tuple(notes))
    _check_parts(examples, str(path))
    return examples


def held_out(groups: Sequence, labels: Sequence, share: float, seed: int, task: Task) -> list[str]:
    """Train or val for each row: about a ``share`` of the groups of each class is held out; a group stays together.

    The same groups, labels and seed give the same parts, whatever the order of the rows.
    """
    strata: dict[object, list] = {}
    first_label: dict[object, object] = {}
    for group, label in sorted(zip(map(str, groups), labels, strict=True), key=lambda pair: (pair[0], pair[1])):
        first_label.setdefault(group, 0 if task.is_value else label)
    for group, label in first_label.items():
        strata.setdefault(label, []).append(group)
    random = np.random.default_rng(seed)
    chosen: set = set()
    for label in sorted(strata):
        members = strata[label]
        count = max(1, round(share * len(members))) if len(members) > 1 else 0
        chosen |= {members[number] for number in random.permutation(len(members))[:count]}
    return [VALIDATION if str(group) in chosen else TRAIN for group in groups]


def _task_of(corpus: Corpus, name: str) -> Task:
    if not corpus.tasks:
        raise CorpusError(f"{corpus.root}: the corpus has no labels to learn from")
    if not name:
        return corpus.tasks[0]
    found = next((task for task in corpus.tasks if task.name == name), None)
    if found is None:
        there = ", ".join(task.name for task in corpus.tasks)
        raise SettingError(f"task must be one of {there}, but is {shown(name)}")
    return found


def _task_of_labels(path: Path, column: str, table: pd.DataFrame, is_value: bool) -> Task:
    if is_value:
        return Task(column, level="segment")
    classes = tuple(sorted(set(table["label"])))
    if len(classes) == 1:
        raise CorpusError(f"{path}: every label in {column} is {shown(classes[0])}, so nothing can be learnt")
    if len(classes) > _MOST_CLASSES:
        raise CorpusError(
            f"{path}: column {column} has {len(classes):,} different labels; if they are numbers, --label-kind value"
        )
    return Task(column, classes, level="segment")


def _numbers(path: Path, table: pd.DataFrame, task: Task) -> list:
    if not task.is_value:
        number_of = {name: number for number, name in enumerate(task.classes)}
        return [number_of[label] for label in table["label"]]
    values = []
    for label, origin in zip(table["label"], table["origin"], strict=True):
        try:
            values.append(float(label))
        except ValueError:
            values.append(math.nan)
        if not math.isfinite(values[-1]):
            raise CorpusError(f"{path.parent / origin}: {task.name} must be a number, but is {shown(label)}")
    return values


def _part_of(split: str) -> str | None:
    name = str(split).strip().casefold()
    return TRAIN if name == TRAIN else VALIDATION if name in _NAMES_OF_VALIDATION else None


def _check_parts(examples: Examples, where: str) -> None:
    sizes = {part: len(examples.of(part)) for part in (TRAIN, VALIDATION)}
    empty = [part for part, size in sizes.items() if not size]
    if empty:
        raise CorpusError(f"{where}: nothing with a label is left for {' and '.join(empty)}")
    if not examples.task.is_value and len(set(examples.of(TRAIN)["label"])) < 2:
        raise CorpusError(f"{where}: the training part has examples of one class only, so nothing can be learnt")


def _digest(values: Sequence) -> str:
    return hashlib.sha256(json.dumps(list(values), ensure_ascii=True).encode()).hexdigest()[:32]
