"""Which figure an epoch is chosen by."""

import pytest
from msmt.errors import SettingError
from msmt.evaluate.metrics import score
from msmt.evaluate.values import names_of_figures
from msmt.features.tasks import Task
from msmt.train.config import CHOICES
from msmt.train.selecting import figure_to_select, figures_of, tasks_with

EMOTION = Task("emotion", ("a", "b"), "segment")
NEXT = Task("next_emotion", ("a", "b"), "segment", follows="emotion")
SENTIMENT = Task("sentiment", level="segment", scale="sentiment")
SIMS = Task("sentiment_text", level="segment", scale="sims")
VALUE = Task("valence", level="segment")


@pytest.mark.parametrize("task", [SENTIMENT, SIMS, VALUE], ids=["sentiment", "sims", "any"])
def test_an_epoch_can_be_chosen_by_each_figure_that_values_of_a_scale_have(task):
    assert set(figures_of(task)) == set(names_of_figures(task.scale)) <= set(CHOICES["select"])


def test_an_epoch_can_be_chosen_by_each_figure_of_classes():
    import numpy as np

    scored = score([EMOTION], {"emotion": np.array([0, 1])}, {"emotion": np.eye(2)})
    assert {name.removeprefix("emotion/") for name in scored} == set(figures_of(EMOTION))


def test_by_itself_it_is_the_error_of_values_the_accuracy_and_the_mean_recall_of_what_comes_next():
    assert figure_to_select("auto", [SENTIMENT, VALUE]) == "mae"
    assert figure_to_select("auto", [EMOTION, NEXT, VALUE]) == "accuracy"
    assert figure_to_select("auto", [NEXT]) == figure_to_select("auto", [NEXT, VALUE]) == "uar"


def test_tasks_that_have_the_figure_judge():
    tasks = [EMOTION, SENTIMENT, SIMS, VALUE]
    assert tasks_with("f1_2_non0", tasks) == [SENTIMENT] and tasks_with("accuracy_5", tasks) == [SENTIMENT, SIMS]
    assert tasks_with("corr", tasks) == tasks[1:] and tasks_with("loss", tasks) == tasks


def test_a_figure_that_no_task_has_is_refused_with_those_that_there_are():
    with pytest.raises(SettingError, match=r"select cannot be accuracy_7, for no task has .* corr, accuracy_2, f1_2"):
        figure_to_select("accuracy_7", [SIMS])
    with pytest.raises(SettingError, match="select cannot be uar, for all tasks have real values"):
        figure_to_select("uar", [VALUE])
