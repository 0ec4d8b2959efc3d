"""From what an adapter found of a corpus to what an extraction takes."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping

import pandas as pd

from ...errors import CorpusError
from ...features import defects, schemes
from ...features.segments import SCHEME
from .contract import NO_AUDIO, WITHOUT_AUDIO, Reading
from .corpus import Corpus, assembled

_NAMED = 3  # of many items of one kind, in a line


def corpus_of(reading: Reading, modalities: str = "both") -> Corpus:
    """The corpus of a reading, where its audio is needed without the splits of which no file is there.

    An item that lacks its file stays: an extraction lists it with all others that it cannot use. Raises CorpusError where
    there is nothing to extract, or rows contradict each other.
    """
    items, notes = reading.items, [f"{reading.name}: {reading.arrangement}", *reading.notes]
    if not len(items):
        raise CorpusError(f"{reading.root}: nothing of {reading.name} that was asked for is there")
    if modalities != "text":
        items, lines = _with_audio(reading)
        notes += lines
    items, families, lines = _whole_families(reading, items)
    notes += lines
    known = {defect.item: f"{defect.what}; {defect.action}" for defect in reading.defects}
    notes += _lines_of_defects(reading, items)
    reasons = Counter(aside.reason for aside in reading.left_out)
    notes += [
        f"{count:,} annotated item{'s are' if count != 1 else ' is'} left out: {reason}"
        for reason, count in reasons.items()
    ]
    notes += _lines_of_orphans(reading)
    rows = items.drop(columns=[column for column in ("stated",) if column in items]).reset_index(drop=True)
    corpus = assembled(reading.name, reading.root, rows, reading.tasks, notes, has_texts=modalities != "audio")
    facts: dict[str, object] = {schemes.FACT: families} if families else {}
    there = set(corpus.table["segment_id"])
    without_audio = {defect.item for defect in reading.defects if defect.problem in WITHOUT_AUDIO}
    if lacking := {item: known[item] for item in known if item in without_audio & there}:
        facts[defects.FACT] = lacking
    return dataclasses.replace(corpus, facts=facts, known=known)


def _whole_families(reading: Reading, items: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Mapping], list[str]]:
    """The items without the schemes of which a split is gone with its audio, the families that stay, and a line on each
    that does not.
    """
    kept, dropped, lines = {}, [], []
    for family, made in reading.schemes.items():
        columns = [SCHEME + name for name in made["schemes"]]
        halved = [name for name in columns if set(reading.items[name]) - set(items[name])]
        if halved:
            dropped += columns
            name = halved[0].removeprefix(SCHEME)
            gone = " and no ".join(sorted(set(reading.items[halved[0]]) - set(items[halved[0]])))
            lines.append(f"the schemes {family} are left out, for {name} would have no {gone}")
        else:
            kept[family] = made
    return items.drop(columns=dropped), kept, lines


def is_there(reading: Reading) -> pd.Series:
    """(n,) whether each item's file is there."""
    exists = {path: os.path.isfile(reading.root / path) for path in set(reading.items["audio"])}
    return reading.items["audio"].map(exists)


def _with_audio(reading: Reading) -> tuple[pd.DataFrame, list[str]]:
    items, there, lines = reading.items, is_there(reading), []
    by_split = there.groupby(items["split"], sort=False)
    absent = [split for split, found in by_split if not found.any()]
    if len(absent) == items["split"].nunique():
        raise CorpusError(
            f"{reading.root}: has none of the {len(items):,} audio or video files of {reading.name}, such as"
            f" {items['audio'].iloc[0]}; unpack them there, name their folder with --data, or extract --modalities text"
        )
    for split in absent:
        count = int((items["split"] == split).sum())
        lines.append(f"{split}: {NO_AUDIO} of its {count:,} items is there, so the split is left out as a whole")
    kept = ~items["split"].isin(absent)
    lacking = int((kept & ~there).sum())
    if lacking:
        lines.append(f"{lacking:,} of {int(kept.sum()):,} items have {NO_AUDIO}: an extraction lists them")
    return items[kept], lines


def _lines_of_defects(reading: Reading, items: pd.DataFrame) -> list[str]:
    there = {*items["segment_id"], *items["recording_id"]}
    known = [defect for defect in reading.defects if defect.item in there]
    if not known:
        return []
    named = "; ".join(f"{defect.item}: {defect.what}, {defect.action}" for defect in known)
    return [f"known defects of {reading.name}, as msmt corpus {reading.name} reports them: {named}"]


def _lines_of_orphans(reading: Reading) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for aside in reading.orphans:
        by_reason.setdefault(aside.reason, []).append(aside.name)
    lines = []
    for reason, names in by_reason.items():
        more = ", …" if len(names) > _NAMED else ""
        lines.append(
            f"{len(names):,} audio or video file{'s are' if len(names) != 1 else ' is'} passed over, {reason}: {', '.join(names[:_NAMED])}{more}"
        )
    return lines
