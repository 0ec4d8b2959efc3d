"""What is to be done, in which groups and batches, and what of the values may be stored."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from msmt.extract.batches import as_stored, batches_of, problem_of
from msmt.extract.extractors.hearing import audio_identity
from msmt.extract.failures import Failures
from msmt.extract.windows import WINDOW_BLOCKS, windows
from msmt.features.rows import BLOCK_ROWS, identity_of
from msmt.features.spec import FeatureSpec

AUDIO = FeatureSpec(
    "audio",
    "a",
    "HubertModel",
    "abc",
    width=16,
    max_rows=99,
    sample_rate=8000,
    max_samples=32_000,
    normalisation="n",
    padding="p",
    views={"noise": {"kind": "noise", "seed": 0}},
)
TEXT = FeatureSpec("text", "t", "BertModel", "def", width=16, max_rows=99, padding="none")


def test_rows_made_by_earlier_versions_are_known_again():
    """The numbers are those that stores have held since their first version."""
    segment = pd.Series({"segment_id": "call1_1", "view": "original", "start": 0.5, "end": np.nan, "channel": -1})
    made_by = AUDIO.of_originals.fingerprint
    assert made_by == "38a5e7b3ef8f9551c60bd93262788cfc" and TEXT.fingerprint == "53c031285fd182090109abbdf73faf40"
    assert audio_identity(made_by, AUDIO.views, segment, "d") == 5866955782196678139
    assert audio_identity(made_by, AUDIO.views, segment.replace("original", "noise"), "d") == 16887332862298045453
    assert identity_of(TEXT.fingerprint, "hello") == 12773363681111403233


def test_groups_of_many_features_hold_fewer_blocks():
    rows = np.arange(8 * BLOCK_ROWS)
    sizes = {count: [len(group) for group, _ in windows(rows, features=count)] for count in (1, 2, 4, 100)}
    assert sizes[1] == [WINDOW_BLOCKS * BLOCK_ROWS] * 2 and sizes[2] == [WINDOW_BLOCKS // 2 * BLOCK_ROWS] * 4
    assert sizes[4] == sizes[100] == [BLOCK_ROWS] * 8


def test_batches_hold_rows_of_like_length():
    assert list(batches_of({0: 5, 1: 9, 2: 1, 3: 4}, 10)) == [[1], [0, 3, 2]]
    assert list(batches_of({0: 5, 1: 9}, 1)) == [[1], [0]]


@pytest.mark.parametrize(
    ("values", "dtype", "rows", "problem"),
    [
        (torch.ones(3, 16), "float16", 3, None),
        (torch.full((3, 16), 7e4), "float16", None, "not finite numbers in float16"),
        (torch.full((3, 16), 7e4), "float32", None, None),
        (torch.full((3, 16), float("nan")), "float32", None, "not finite numbers in float32"),
        (torch.ones(3, 15), "float16", None, r"shape \(3, 15\), which must be \(1 to 99, 16\)"),
        (torch.ones(0, 16), "float16", None, r"shape \(0, 16\)"),
        (torch.ones(100, 16), "float16", None, r"shape \(100, 16\)"),
        (torch.ones(3, 16), "float16", 4, "made 3 frames where there must be 4"),
    ],
)
def test_values_that_cannot_be_stored_are_told_from_those_that_can(values, dtype, rows, problem):
    import dataclasses
    import re

    spec = dataclasses.replace(AUDIO, dtype=dtype)
    stored = as_stored(values, spec)
    assert stored.dtype == dtype
    found = problem_of(stored, spec, rows)
    assert found is None if problem is None else re.search(problem, found)


def test_a_failure_names_features_only_where_the_segment_has_others():
    segment = pd.Series(
        {"segment_id": "s", "recording_id": "r", "split": "train", "view": "original", "audio": "s.wav"}
    )
    failures = Failures({"s": "row 2"}, ["hubert", "mel"])
    failures.add(segment, ["hubert"], "is too short")
    assert [(one.reason, one.feature) for one in failures.listed()] == [("is too short", "hubert")]
    failures.add(segment, ["mel"], "is too short")
    failures.add(segment, ["roberta"], "is odd")
    assert [(one.reason, one.feature) for one in failures.listed()] == [("is too short", ""), ("is odd", "roberta")]
    assert failures.segments == 1
