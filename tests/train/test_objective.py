"""The loss: which labels count, and how much."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from msmt.features.tasks import Task
from msmt.train.models.contract import Answers, SlotAnswers
from msmt.train.objective import Objective, balanced_weights

FIVE, TWO, VALUE = Task("five", tuple("ABCDE")), Task("two", ("yes", "no")), Task("value")


def loss_of(objective, outputs, labels):
    """The loss of one step in one batch."""
    tensors = {name: torch.from_numpy(each) for name, each in labels.items()}
    return float(objective.loss(outputs, tensors, objective.weights(labels)))


def test_the_losses_of_all_tasks_are_added():
    outputs = {"five": torch.zeros(3, 5), "two": torch.zeros(3, 2)}
    labels = {"five": np.array([0, 1, 4]), "two": np.array([0, 0, 1])}
    assert loss_of(Objective([FIVE, TWO]), outputs, labels) == pytest.approx(math.log(5) + math.log(2))


def test_labels_that_are_not_there_do_not_count():
    outputs = {"two": torch.tensor([[0.0, 0.0], [9.0, -9.0]]), "value": torch.tensor([[1.0], [5.0]])}
    labels = {"two": np.array([1, -1]), "value": np.array([3.0, np.nan])}
    assert loss_of(Objective([TWO, VALUE]), outputs, labels) == pytest.approx(math.log(2) + 4.0)


def test_a_step_without_any_label_of_a_task_leaves_it_out():
    outputs = {"two": torch.zeros(2, 2), "value": torch.ones(2, 1)}
    labels = {"two": np.array([-1, -1]), "value": np.array([0.0, 0.0])}
    assert loss_of(Objective([TWO, VALUE]), outputs, labels) == pytest.approx(1.0)


def test_the_loss_of_a_value_is_its_squared_or_its_absolute_error():
    outputs, labels = {"value": torch.tensor([[1.0], [5.0]])}, {"value": np.array([3.0, 4.0])}
    assert loss_of(Objective([VALUE]), outputs, labels) == pytest.approx((4.0 + 1.0) / 2)
    assert loss_of(Objective([VALUE], value_loss="absolute"), outputs, labels) == pytest.approx((2.0 + 1.0) / 2)


def test_missing_values_give_no_gradient():
    output = torch.tensor([[2.0], [7.0]], requires_grad=True)
    labels = np.array([1.0, np.nan])
    Objective([VALUE]).loss({"value": output}, {"value": torch.from_numpy(labels)}, {"value": 1.0}).backward()
    assert output.grad.tolist() == [[2.0], [0.0]]


def test_balanced_weights_let_every_class_that_occurs_count_the_same():
    weights = balanced_weights(np.array([0, 0, 0, 1, -1]), classes=3)
    assert weights == pytest.approx([4 / 6, 2.0, 0.0])
    assert weights[0] * 3 == weights[1] * 1


def test_class_weights_make_a_weighted_mean():
    weights = np.array([0.5, 2.0])
    logits = torch.tensor([[1.0, 0.0], [0.0, 3.0], [0.5, 0.5]])
    labels = np.array([0, 0, 1])
    got = loss_of(Objective([TWO], {"two": weights}), {"two": logits}, {"two": labels})
    expected = torch.nn.CrossEntropyLoss(torch.tensor([0.5, 2.0]))(logits, torch.from_numpy(labels))
    assert got == pytest.approx(float(expected))


@pytest.mark.parametrize("class_weights", [{}, {"two": np.array([0.3, 1.7])}])
def test_batches_of_a_step_add_up_to_its_loss(class_weights):
    objective = Objective([TWO, VALUE], class_weights)
    outputs = {"two": torch.randn(7, 2), "value": torch.randn(7, 1)}
    labels = {"two": np.array([0, 1, -1, 1, 0, -1, 1]), "value": np.array([1, 2, np.nan, 3, np.nan, 4, 5])}
    weights = objective.weights(labels)
    parts = [
        objective.loss(
            {name: each[part] for name, each in outputs.items()},
            {name: torch.from_numpy(each[part]) for name, each in labels.items()},
            weights,
        )
        for part in (slice(0, 3), slice(3, 7))
    ]
    assert float(sum(parts)) == pytest.approx(loss_of(objective, outputs, labels), rel=1e-6)


def test_smoothed_labels_spread_a_share_over_all_classes_unless_judging():
    outputs = {"five": torch.randn(4, 5, generator=torch.Generator().manual_seed(0)), "value": torch.ones(4, 1)}
    labels = {"five": np.array([0, 1, -1, 4]), "value": np.zeros(4)}
    smoothed, plain = (Objective([FIVE, VALUE], label_smoothing=share) for share in (0.2, 0.0))
    chances = outputs["five"].log_softmax(dim=1)[[0, 1, 3]]
    right = -chances[range(3), [0, 1, 4]]
    expected = float((0.8 * right - 0.2 * chances.mean(dim=1)).mean()) + 1.0
    assert loss_of(smoothed, outputs, labels) == pytest.approx(expected)
    tensors = {name: torch.from_numpy(each) for name, each in labels.items()}
    judged = smoothed.loss(outputs, tensors, smoothed.weights(labels), smooth=False)
    assert float(judged) == pytest.approx(loss_of(plain, outputs, labels))


def test_what_single_slots_say_counts_beside_the_answers_by_its_weight():
    labels = {"five": np.array([0, 1]), "two": np.array([0, 0])}
    own = {"five": torch.zeros(2, 5), "two": torch.zeros(2, 2)}
    sure = {"five": torch.tensor([[9.0, 0, 0, 0, 0], [9.0, 0, 0, 0, 0]])}
    objective = Objective([FIVE, TWO])
    beside = Answers(own, {"text": SlotAnswers(own, 0.5), "audio": SlotAnswers(sure, 2.0)})
    alone = loss_of(objective, own, labels)
    of_audio = loss_of(Objective([FIVE]), sure, labels)
    assert loss_of(objective, beside, labels) == pytest.approx(1.5 * alone + 2.0 * of_audio)
