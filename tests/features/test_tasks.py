"""What a task may say of itself, and that what it does not say leaves no trace in files."""

import pytest

from msmt.errors import SettingError
from msmt.features.tasks import Task

EMOTION = ("anger", "joy", "neutral")


def test_a_task_without_scale_and_follows_is_written_as_it_always_was():
    assert list(Task("five", ("A", "B")).to_json()) == ["name", "classes", "level", "coarsens", "members"]


def test_a_file_without_scale_and_follows_gives_a_task_without():
    task = Task.from_json({"name": "mood", "classes": [], "level": "segment", "coarsens": None, "members": []})
    assert task == Task("mood", level="segment") and task.scale == "" and task.follows is None


@pytest.mark.parametrize(
    "task",
    [
        Task("sentiment", level="segment", scale="sentiment"),
        Task("sentiment_text", level="segment", scale="sims"),
        Task("next_emotion", EMOTION, "segment", follows="emotion"),
    ],
)
def test_scale_and_follows_come_back_from_a_file(task):
    assert Task.from_json(task.to_json()) == task


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"name": "mood", "scale": "percent"},
            "task mood: scale must be sentiment or sims, or empty, but is 'percent'",
        ),
        (
            {"name": "mood", "scale": ["sims"]},
            r"task mood: scale must be sentiment or sims, or empty, but is \['sims'\]",
        ),
        ({"name": "two", "classes": ("a", "b"), "scale": "sims"}, "task two: has classes, and only real values have a"),
        ({"name": "next", "classes": EMOTION, "level": "segment", "follows": "next"}, "follows must name another task"),
        ({"name": "next", "classes": EMOTION, "level": "segment", "follows": 3}, "follows must name another task"),
        ({"name": "next", "classes": EMOTION, "follows": "emotion"}, "so its level must be segment"),
    ],
)
def test_what_a_task_cannot_be_is_said_in_one_line(fields, said):
    with pytest.raises(SettingError, match=said) as refused:
        Task(**fields)
    assert "\n" not in str(refused.value)
