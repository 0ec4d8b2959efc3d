"""Splits for a corpus that brings none: seeded, stratified, and such that what belongs together stays together."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...errors import CorpusError

SPLITS = ("train", "val", "test")
_MOST_ROUNDS = 20  # of improving; far fewer are needed


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


def grouped_splits(
    groups: Sequence[Sequence[str]], strata: Mapping[str, int], ratios: tuple[float, float, float], seed: int
) -> dict[str, str]:
    """A split for each recording; those of a group share one. There must be a group for each split.

    Groups are as they are, so the ratios, of the whole and of each stratum, are met as far as they allow: the largest
    are placed first, each where the squared distance from the ratios grows least, and then moved while that helps.
    The same recordings, groups, strata and seed give the same splits, whatever the order of the rows.
    """
    kinds = sorted(set(strata.values()))
    ordered = sorted(sorted(group) for group in groups)
    ordered = [ordered[place] for place in np.random.default_rng(seed).permutation(len(ordered))]
    ordered.sort(key=len, reverse=True)
    counts = np.array(
        [[*(sum(strata[one] == kind for one in group) for kind in kinds), len(group)] for group in ordered]
    )
    # (splits, strata and the whole): the recordings that each should have, never none, and those that it has.
    wanted = np.maximum(np.outer(ratios, counts.sum(axis=0)), 1e-9)
    has = np.zeros_like(wanted)
    home = np.full(len(ordered), -1)

    def growth(count: np.ndarray) -> np.ndarray:
        """(splits,) how much further from the ratios each would be with ``count`` more."""
        return (count * (count + 2 * (has - wanted)) / wanted).sum(axis=1)

    for group, count in enumerate(counts):
        home[group] = int(growth(count).argmin())
        has[home[group]] += count
    for empty in [split for split in range(len(SPLITS)) if split not in home]:
        crowded = int(np.bincount(home, minlength=len(SPLITS)).argmax())
        moved = int(np.flatnonzero(home == crowded)[-1])  # its smallest
        has[crowded] -= counts[moved]
        has[empty] += counts[moved]
        home[moved] = empty
    for _ in range(_MOST_ROUNDS):
        is_better = False
        for group, count in enumerate(counts):
            own = home[group]
            if (home == own).sum() == 1:
                continue
            has[own] -= count
            home[group] = int(growth(count).argmin())
            has[home[group]] += count
            is_better |= home[group] != own
        if not is_better:
            break
    return {one: SPLITS[home[group]] for group, members in enumerate(ordered) for one in members}


def connected(recordings: Sequence[str], links: Sequence[Sequence[Hashable]]) -> list[list[str]]:
    """The recordings (n,), repeated or not, in groups: those with one of the ``links`` (n,) in common are together.

    A link that is empty ties nothing.
    """
    home: dict[Hashable, Hashable] = {}

    def root(node: Hashable) -> Hashable:
        while home.setdefault(node, node) != node:
            home[node] = home[home[node]]
            node = home[node]
        return node

    for kind, values in enumerate(links):
        for recording, value in zip(recordings, values, strict=True):
            if value != "":
                home[root(("link", kind, value))] = root(("recording", recording))
    groups: dict[Hashable, list[str]] = {}
    for recording in dict.fromkeys(recordings):
        groups.setdefault(root(("recording", recording)), []).append(recording)
    return list(groups.values())
