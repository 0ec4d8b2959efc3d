"""Schemes: several ways of splitting in one segment table."""

from __future__ import annotations

import pytest
from msmt.errors import StoreError
from msmt.features.head import StoreHead
from msmt.features.schemes import folds_of, schemes_in, splits_of
from msmt.features.segments import REMOVED, segment_table
from msmt.tests.features.made import TASKS, table

FOLDS = {"schemes": {"folds": {"schemes": ["fold1", "fold2"], "by": "recording", "seed": 0}}}


def head(facts) -> StoreHead:
    return StoreHead("marketcalls", TASKS, "now", "1", {}, facts)


def test_the_corpus_s_own_split_is_the_scheme_standard():
    assert splits_of(table()).equals(table()["split"]) and splits_of(table(), "standard").equals(table()["split"])


def test_another_scheme_is_a_column_and_removed_rows_are_removed_in_every_scheme():
    rows = table(4, scheme_fold1=["train", "", "test", "val"], split=["train", "train", "test", REMOVED])
    assert schemes_in(rows) == ("standard", "fold1")
    assert splits_of(rows, "fold1").tolist() == ["train", "", "test", REMOVED]
    assert segment_table(rows, TASKS).equals(rows)


def test_an_unknown_scheme_is_refused_with_those_that_there_are():
    with pytest.raises(StoreError, match="no scheme 'fold2', only standard, fold1; msmt split makes others"):
        splits_of(table(4, scheme_fold1=[""] * 4), "fold2")


def test_folds_are_named_by_the_head():
    assert folds_of(head(FOLDS), "folds") == ("fold1", "fold2")
    with pytest.raises(StoreError, match="no folds 'parts', only folds; msmt split makes some"):
        folds_of(head(FOLDS), "parts")
    for facts in ({}, {"schemes": 3}, {"schemes": {"folds": {"schemes": "fold1"}}}):
        with pytest.raises(StoreError, match="no folds 'folds', nor any other"):
            folds_of(head(facts), "folds")
