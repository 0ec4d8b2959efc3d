from __future__ import annotations

import pytest
from msmt.features.splits import is_usual, kind_of_split, split_named


@pytest.mark.parametrize(
    ("asked", "there", "meant"),
    [
        ("train", ["train", "Train"], "train"),
        ("train", ["Train", "Val", "Test"], "Train"),
        ("val", ["train", "dev", "test"], "dev"),
        ("test", ["TRAIN", "VALID", "Evaluation"], "Evaluation"),
        ("TEST", ["train", "test"], "test"),
        ("val", ["train", "dev", "validation"], "val"),
        ("dev", ["train", "val", "test"], "dev"),
        ("fold1", ["fold2"], "fold1"),
    ],
)
def test_the_usual_names_are_found_in_any_spelling_unless_two_fit(asked, there, meant):
    assert split_named(asked, there) == meant


@pytest.mark.parametrize(
    "name", ["train", "Dev", "test-clean", "test_other", "fold3", "Session5", "7", "holdout", "all"]
)
def test_names_that_tell_what_a_split_is_for_are_usual(name):
    assert is_usual(name)


@pytest.mark.parametrize("name", ["tset", "trian", "foo", "A"])
def test_other_names_are_not(name):
    assert not is_usual(name) and not kind_of_split(name)
