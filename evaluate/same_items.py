"""The answers of several runs in one order; what was scored on other items, labels or stores is refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import RunError
from ..features.tasks import Task
from ..shown import as_line
from .scored import Scored

_LEAST_COMMON = 0.9  # of all items: where less is common, runs were scored on something else


def on_the_same_items(scored: Sequence[Scored], same_store: bool) -> list[Scored]:
    """The runs, each with its items in the order of the first one's. Raises RunError unless they can be compared."""
    if not scored:
        raise RunError("there is no scored run to compare: train and score one first")
    first = scored[0]
    ordered = [first]
    for other in scored[1:]:
        pair = f"runs {first.run} ({first.variant}) and {other.run} ({other.variant})"
        if other.split != first.split:
            raise RunError(
                f"{pair} were scored on different splits, {first.split} and {other.split}: score both on one"
            )
        if other.scheme != first.scheme and set(other.items) != set(first.items):
            raise RunError(
                f"{pair} were scored on different recordings, {first.split} of {first.scheme} and of {other.scheme}:"
                " compare runs of one scheme, or train all folds with msmt ablate --scheme, which pools their answers"
            )
        if same_store and other.fingerprint != first.fingerprint:
            _check_same_rows(first, other, pair)
        if (other.segment_ids is None) != (first.segment_ids is None):
            raise RunError(f"{pair}: one predicts for recordings and one for segments; compare each with its like")
        ordered.append(_reordered(other, first.items, pair))
    known: dict[str, tuple[Task, Scored]] = {}
    for one in ordered:
        for task in one.tasks:
            of, earlier = known.setdefault(task.name, (task, one))
            _check_task(task, of, one, earlier)
    return ordered


def on_common_items(scored: Sequence[Scored]) -> tuple[list[Scored], list[str]]:
    """The runs, each with the items alone that all runs on the same split and scheme have, and a line where some lack any.

    A run on text has answers of segments of which the audio cannot be used, and one on audio does not. Runs that have
    hardly anything in common stay as they are, for ``on_the_same_items`` to refuse.
    """
    groups: dict[tuple, list[int]] = {}
    for place, one in enumerate(scored):
        groups.setdefault((one.split, one.scheme, one.segment_ids is None), []).append(place)
    restricted, lines = list(scored), []
    for (split, _, are_recordings), members in groups.items():
        sets = [set(scored[place].items) for place in members]
        every, common = set.union(*sets), set.intersection(*sets)
        if len(common) == len(every) or len(common) < _LEAST_COMMON * len(every):
            continue
        for place in members:
            one = scored[place]
            restricted[place] = _at(one, np.array([row for row, item in enumerate(one.items) if item in common], int))
        kind = "recordings" if are_recordings else "segments"
        first = next(item for place in members for item in scored[place].items if item not in common)
        lines.append(
            f"{len(every) - len(common)} of {len(every)} {kind} of {as_line(split)} are left out of all rows, for one or more"
            f" rows have no features of them; the first is {as_line(first)}"
        )
    return restricted, lines


def _check_same_rows(first: Scored, other: Scored, pair: str) -> None:
    """Stores that differ, or one that has grown between, must hold the same of what the runs were scored on.

    Recordings and labels are compared by themselves; here, their segments, and the values of features that both read.
    """
    stores = f"{first.store} ({first.fingerprint}) and {other.store} ({other.fingerprint})"
    if not (first.segments and other.segments):
        raise RunError(f"{pair} were scored on different stores, {stores}: train and score both on one")
    if first.segments == other.segments:
        shared = set(first.values) & set(other.values)
        if all(first.values[spec] == other.values[spec] for spec in shared):
            return
        raise RunError(
            f"{pair} were scored on different values of the same feature for the same segments of {first.split}, in "
            f"stores {stores}: score both on one"
        )
    if set(first.items) == set(other.items):
        raise RunError(
            f"{pair} were scored on recordings of {first.split} with other segments, in stores {stores}: score both on "
            f"one"
        )


def _reordered(scored: Scored, items: Sequence[str], pair: str) -> Scored:
    if scored.items == tuple(items):
        return scored
    place = {item: index for index, item in enumerate(scored.items)}
    kind = "recordings" if scored.segment_ids is None else "segments"
    gone, added = [item for item in items if item not in place], set(place) - set(items)
    if gone or added or len(items) != len(scored.items):
        odd = gone[0] if gone else min(added, default="one that is there twice")
        raise RunError(
            f"{pair} were scored on different {kind} of {scored.split} ({len(items)} and {len(scored.items)}; only one"
            f" has {odd}): extract what is missing and score again, or leave one of them out"
        )
    return _at(scored, np.array([place[item] for item in items], int))


def _at(scored: Scored, order: np.ndarray) -> Scored:
    """The items in these places, in this order."""
    segments = scored.segment_ids
    return replace(
        scored,
        recording_ids=tuple(scored.recording_ids[index] for index in order),
        speakers=None if scored.speakers is None else tuple(scored.speakers[index] for index in order),
        segment_ids=None if segments is None else tuple(segments[index] for index in order),
        labels={name: values[order] for name, values in scored.labels.items()},
        predictions={name: values[order] for name, values in scored.predictions.items()},
    )


def _check_task(task: Task, of: Task, one: Scored, earlier: Scored) -> None:
    if task != of:
        raise RunError(
            f"runs {earlier.run} and {one.run} mean different things by task {task.name} (its classes or what it"
            " merges): score both on stores of one corpus"
        )
    ours, theirs = one.labels[task.name], earlier.labels[task.name]
    same = (ours == theirs) | ((ours != ours) & (theirs != theirs))  # NaN is no label, and not itself
    same &= np.asarray(one.recording_ids, object) == np.asarray(earlier.recording_ids, object)
    if not same.all():
        at = one.items[int(np.argmin(same))]
        raise RunError(
            f"runs {earlier.run} and {one.run} were scored on different labels of task {task.name}, first at {at}:"
            " extract both stores from one corpus and score again"
        )
