"""What splits have in common that should be apart: speakers, videos, recordings, and audio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from ..shown import as_line
from .segments import ORIGINAL, REMOVED, VIDEO

FACT = "shared_audio"  # in the facts of a store's head
_MOST_NAMES = 3  # that a line names
_PLURALS = {"speaker": "speakers", "video": "videos", "recording": "recordings", "audio": "audio"}


@dataclass(frozen=True)
class Shared:
    """What two splits have in common, of one kind."""

    what: str
    """``speaker``, ``video``, ``recording`` or ``audio``."""

    splits: tuple[str, str]
    """In the order of the table."""

    names: tuple[str, ...]
    """Speakers, videos or recordings; of each sound a segment of either split, such as ``a1 = b7``."""

    places: tuple[tuple[int, int], ...]
    """For each name, a row of either split where it occurs."""

    @property
    def line(self) -> str:
        """``train and test share 2 speakers: amy, bob``"""
        return f"{as_line(' and '.join(self.splits))} share {self.count}: {_listed(self.names)}"

    @property
    def count(self) -> str:
        """``2 speakers``, or the ``audio of 1 segment``."""
        number = len(self.names)
        if self.what == "audio":
            return f"the audio of {number} segment{'s' if number != 1 else ''}"
        return f"{number} {self.what if number == 1 else _PLURALS[self.what]}"


def shared_between_splits(
    table: pd.DataFrame, sounds: Sequence | None = None, first: Sequence[str] = ()
) -> list[Shared]:
    """What each pair of splits has in common; nothing where all is as it should be.

    ``sounds`` (N,) tells for each row of the segment table what its audio file holds, by default the file's path. An
    empty speaker is nobody, and an empty path no audio. Views and removed rows do not count. Splits are paired in the order
    of the table, those in ``first`` before all others.
    """
    columns = {
        "speaker": table["speaker"].to_numpy(),
        **({"video": table[VIDEO].to_numpy()} if VIDEO in table else {}),
        "recording": table["recording_id"].to_numpy(),
        "audio": table["audio"].to_numpy() if sounds is None else np.asarray(sounds, object),
    }
    counting = ((table["view"] == ORIGINAL) & (table["split"] != REMOVED)).to_numpy()
    names, splits = table["segment_id"].to_numpy(), table["split"].to_numpy()
    found = []
    for what, values in columns.items():
        seen = pd.DataFrame({"value": values, "split": splits, "row": np.arange(len(table))})[counting & (values != "")]
        seen = seen.drop_duplicates(["value", "split"])
        order = {split: place for place, split in enumerate(dict.fromkeys([*first, *seen["split"]]))}
        pairs: dict[tuple[str, str], list[tuple[object, tuple[int, int]]]] = {}
        for value, of_value in seen[seen["value"].duplicated(keep=False)].groupby("value", sort=False):
            rows = sorted(zip(of_value["split"], of_value["row"], strict=True), key=lambda item: order[item[0]])
            for (one, here), (other, there) in combinations(rows, 2):
                pairs.setdefault((one, other), []).append((value, (int(here), int(there))))
        for pair in sorted(pairs, key=lambda pair: (order[pair[0]], order[pair[1]])):
            called = [f"{names[a]} = {names[b]}" if what == "audio" else str(value) for value, (a, b) in pairs[pair]]
            found.append(Shared(what, pair, tuple(called), tuple(rows for _, rows in pairs[pair])))
    return found


def shared_in(store) -> list[Shared]:
    """The same of a store: files of one name, and rows that were made from the same stretch of the same bytes."""
    return shared_between_splits(store.segments, sounds_in(store)[0])


def sounds_in(store) -> tuple[np.ndarray, np.ndarray]:
    """For each row of a store, what its audio file holds, and which stretch of it that is; ``""`` without audio."""
    table = store.segments
    paths = table["audio"].to_numpy()
    stretch = table.groupby(["audio", "start", "end", "channel"], sort=False, dropna=False).ngroup().to_numpy(copy=True)
    heard = [name for name, spec in store.specs.items() if spec.modality == "audio"]
    identity = store.states(heard[0]).identity if heard else np.zeros(len(table), np.uint64)
    home: dict[object, object] = {}  # of each path the first one that the same was heard in

    def home_of(path: object) -> object:
        while home.setdefault(path, path) != path:
            path = home[path]
        return path

    first: dict[int, int] = {}
    repeated = pd.Series(identity).duplicated(keep=False).to_numpy() & (identity != 0)
    for row in np.flatnonzero(repeated & (table["view"] == ORIGINAL).to_numpy()):
        known = first.setdefault(int(identity[row]), int(row))
        home[home_of(paths[row])] = home_of(paths[known])
        stretch[row] = stretch[known]
    return np.array([home_of(path) for path in paths], object), np.where(paths == "", "", stretch.astype(object))


def sharing_lines(shared: Sequence[Shared], table: pd.DataFrame) -> list[str]:
    """For the screen: a line for each thing shared, or one that says that there is none."""
    rows = table[(table["view"] == ORIGINAL) & (table["split"] != REMOVED)]
    if rows["split"].nunique() < 2:
        return []
    lines = [each.line for each in shared]
    if lines:
        return lines
    if (rows["speaker"] == "").all():
        return ["no recording and no audio is in two splits; who speaks is not known"]
    return ["no speaker, no recording and no audio is in two splits"]


def fact_of(shared: Sequence[Shared]) -> dict[str, object]:
    """What a store keeps in mind of audio that its splits share; empty where they share none."""
    pairs = [
        {"splits": list(each.splits), "count": len(each.names), "examples": list(each.names[:_MOST_NAMES])}
        for each in shared
        if each.what == "audio"
    ]
    return {FACT: pairs} if pairs else {}


def recorded_in(facts: Mapping[str, object]) -> list[tuple[tuple[str, str], str]]:
    """What ``fact_of`` has left in a store: pairs of splits, and what to say of each. Anything else is passed over."""
    found = []
    pairs = facts.get(FACT)
    for pair in pairs if isinstance(pairs, list) else []:
        match pair:
            case {"splits": [str(one), str(other)], "count": int(count), "examples": list(examples)}:
                number = f"{count} segment{'s' if count != 1 else ''}"
                found.append(((one, other), f"the audio of {number}: {_listed(examples, count)}"))
    return found


def remarks_on(split: str, facts: Mapping[str, object], shared: Sequence[Shared]) -> list[str]:
    """What a reader of figures of ``split`` must know: that its audio or its speakers are in other splits too."""
    recorded = recorded_in(facts)
    remarks = [
        f"{as_line(' and '.join(splits))} share {what}. What was learnt by heart counts as right."
        for splits, what in recorded
        if split in splits
    ]
    known = {splits for splits, _ in recorded}
    for each in shared:
        if split in each.splits and not (each.what == "audio" and each.splits in known):
            remarks.append(f"{each.line}.")
    return remarks


def _listed(names: Sequence[str], count: int | None = None) -> str:
    left = (len(names) if count is None else count) - min(len(names), _MOST_NAMES)
    return ", ".join(map(as_line, names[:_MOST_NAMES])) + (f" and {left} more" if left else "")
