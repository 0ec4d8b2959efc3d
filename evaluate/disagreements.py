"""Where runs disagree: item by item, and whether two of them are right equally often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import RunError
from ..features.tasks import Task
from .metrics import has_label
from .results import McNemar
from .same_items import on_the_same_items
from .scored import Scored


def mcnemar(a: Scored, b: Scored, task: Task | str) -> McNemar:
    """Whether two runs are right on the same items equally often, by the exact binomial test.

    Segments of a recording count as independent here; for the p of ``compare`` they do not.
    Raises RunError when the runs do not answer for the same items, or the task is one of real values.
    """
    a, b = on_the_same_items([a, b], same_store=False)
    task = task_of(a, task)
    task_of(b, task)
    if task.is_value:
        raise RunError(f"task {task.name} has real values, and McNemar's test is one of classes: use its difference")
    from scipy.stats import binomtest

    truth = a.labels[task.name]
    present = has_label(task, truth)
    right_a, right_b = (one.predictions[task.name][present] == truth[present] for one in (a, b))
    b_only, a_only = int((right_b & ~right_a).sum()), int((right_a & ~right_b).sum())
    p = float(binomtest(b_only, b_only + a_only).pvalue) if b_only + a_only else 1.0
    return McNemar(b_only, a_only, p)


def disagreements(scored: Sequence[Scored], task: Task | str | None = None):
    """A pandas.DataFrame of the items on which the runs predict different classes, in the order of the first run.

    Its columns are task (unless one is asked for), recording_id, segment_id (where tasks are ones of segments),
    label, and one for each row; a row of several seeds has a column for each of them. Tasks of real values, and
    runs that lack a task, have nothing to disagree about. Raises RunError as ``compare`` does.
    """
    import pandas as pd

    scored = on_the_same_items(scored, same_store=False)
    tasks = all_tasks(scored) if task is None else (task_of(scored[0], task),)
    ids = {"recording_id": np.asarray(scored[0].recording_ids, object)}
    if scored[0].segment_ids is not None:
        ids["segment_id"] = np.asarray(scored[0].segment_ids, object)
    headings = _headings(scored, taken={"task", "label", *ids})
    frames = []
    for one_task in tasks:
        if one_task.is_value:
            continue
        having = with_task(scored, one_task)
        answers = np.stack([one.predictions[one_task.name] for one in having], axis=1)  # (n, runs)
        differ = (answers != answers[:, :1]).any(axis=1)
        names = np.array([*one_task.classes, ""], object)  # the last one is of no label, -1
        columns = {"task": np.full(differ.sum(), one_task.name, object)} if task is None else {}
        columns |= {name: values[differ] for name, values in ids.items()}
        columns["label"] = names[having[0].labels[one_task.name][differ]]
        for one, heading in zip(scored, headings, strict=True):
            has_task = one_task.name in one.predictions
            columns[heading] = names[one.predictions[one_task.name][differ]] if has_task else ""
        frames.append(pd.DataFrame(columns))
    if not frames:
        return pd.DataFrame(columns=[*(["task"] if task is None else []), *ids, "label", *headings])
    return pd.concat(frames, ignore_index=True)


def _headings(scored: Sequence[Scored], taken: set[str]) -> list[str]:
    """A column's name for each run: that of its row, with the seed where the row has several."""
    variants = [one.variant for one in scored]
    headings = []
    for one in scored:
        several = variants.count(one.variant) > 1
        heading = f"{one.variant}, seed {one.seed}" if several else one.variant
        headings.append(f"{heading} (row)" if heading in taken else heading)
    return headings


def task_of(scored: Scored, task: Task | str) -> Task:
    name = task if isinstance(task, str) else task.name
    found = next((own for own in scored.tasks if own.name == name), None)
    if found is None:
        has = ", ".join(own.name for own in scored.tasks) or "none"
        raise RunError(f"run {scored.run} has no labelled predictions of task {name}: choose one of its own ({has})")
    return found


def all_tasks(scored: Sequence[Scored]) -> tuple[Task, ...]:
    return tuple({task.name: task for one in scored for task in one.tasks}.values())


def with_task(scored: Sequence[Scored], task: Task) -> list[Scored]:
    return [one for one in scored if task.name in one.predictions]
