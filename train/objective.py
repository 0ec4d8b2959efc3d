"""What training minimises: the sum of the tasks' losses (paper equation 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..features.tasks import NO_LABEL, Task


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """(classes,) weights under which every class that occurs counts the same; 0 for those that do not occur."""
    counts = np.bincount(labels[labels != NO_LABEL], minlength=classes)
    shares = counts * max(np.count_nonzero(counts), 1)
    return np.divide(counts.sum(), shares, out=np.zeros(classes), where=shares > 0)


class Objective:
    """Cross-entropy of each task with classes and squared or absolute error of each real value, summed over tasks.

    A task's loss is a mean over all labels of an optimizer step, so that it does not matter in how many batches
    they went through the network: ``weights`` counts the labels of the step, ``loss`` is one batch's share of it.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        class_weights: Mapping[str, np.ndarray] | None = None,
        label_smoothing: float = 0.0,
        value_loss: str = "squared",
    ) -> None:
        """``class_weights``: per task name one weight per class; tasks without an entry weigh all classes alike.

        ``label_smoothing``: the share of each label that is spread evenly over all classes. ``value_loss``: ``squared``
        or ``absolute``.
        """
        self.tasks = tuple(tasks)
        self.class_weights = dict(class_weights or {})
        self.label_smoothing = label_smoothing
        self.value_loss = value_loss

    def weights(self, labels: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Per task, how much all ``labels`` (n,) weigh together."""
        totals = {}
        for task in self.tasks:
            there = has_label(labels[task.name])
            if task.name in self.class_weights:
                totals[task.name] = float(self.class_weights[task.name][labels[task.name][there]].sum())
            else:
                totals[task.name] = float(there.sum())
        return totals

    def loss(
        self,
        outputs: Mapping[str, Tensor],
        labels: Mapping[str, Tensor],
        weights: Mapping[str, float],
        smooth: bool = True,
    ) -> Tensor:
        """A scalar: the share of these ``outputs`` (n, classes) and ``labels`` (n,) in the loss of a step.

        What a network says from single slots counts beside its answers, by their weight; where they say nothing of a
        task, they have no part in its loss. Without ``smooth`` labels count as they are.
        """
        total = self._loss(outputs, labels, weights, smooth)
        for beside in getattr(outputs, "by_slot", {}).values():
            total = total + beside.weight * self._loss(beside.outputs, labels, weights, smooth)
        return total

    def _loss(
        self, outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor], weights: Mapping[str, float], smooth: bool
    ) -> Tensor:
        total = torch.zeros((), device=next(iter(outputs.values())).device)
        for task in self.tasks:
            if weights[task.name] > 0 and task.name in outputs:
                share = self._sum(task, outputs[task.name].float(), labels[task.name], smooth)
                total = total + share / weights[task.name]
        return total

    def _sum(self, task: Task, outputs: Tensor, labels: Tensor, smooth: bool) -> Tensor:
        if task.is_value:
            error = torch.where(labels.isnan(), 0.0, outputs[:, 0] - labels.nan_to_num())
            return (error.abs() if self.value_loss == "absolute" else error.square()).sum()
        weight = self.class_weights.get(task.name)
        if weight is not None:
            weight = torch.as_tensor(weight, dtype=outputs.dtype, device=outputs.device)
        return cross_entropy(
            outputs,
            labels,
            weight=weight,
            ignore_index=NO_LABEL,
            reduction="sum",
            label_smoothing=self.label_smoothing if smooth else 0.0,
        )


def has_label(labels: np.ndarray) -> np.ndarray:
    """(n,) whether there is a label: a class index that is not -1, or a value that is not NaN."""
    return ~np.isnan(labels) if labels.dtype.kind == "f" else labels != NO_LABEL
