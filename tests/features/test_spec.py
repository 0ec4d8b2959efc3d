"""A spec tells what determines a feature's values; what it has nothing to say of leaves it as it was."""

from __future__ import annotations

import pytest
from msmt.features.spec import FeatureSpec
from msmt.tests.features.made import spec

NOISE = {"kind": "noise", "seed": 0, "decibels": [10.0, 40.0]}


def test_stores_made_before_there_were_views_keep_their_fingerprints():
    plain = FeatureSpec("audio", "a", "HubertModel", "abc", width=16, max_rows=99, sample_rate=8000)
    assert plain.fingerprint == "0dd6d2072343c9aea84036d73d06e0de"
    assert not {"views", "silence", "channel"} & set(plain.to_json())
    assert FeatureSpec.from_json(plain.to_json()) == plain


@pytest.mark.parametrize("change", [{"channel": 0}, {"silence": {"threshold": 0.5}}, {"views": {"noise": NOISE}}])
def test_each_of_them_is_part_of_the_spec_where_it_is_there(change):
    changed = spec(**change)
    assert changed.fingerprint != spec().fingerprint and FeatureSpec.from_json(changed.to_json()) == changed


def test_further_views_are_no_difference_and_another_recipe_is():
    one, other = spec(views={"noise": NOISE}), spec(views={"noise": {**NOISE, "seed": 1}, "mask": {"kind": "mask"}})
    assert spec().differences(other) == other.differences(spec()) == []
    assert one.differences(other) == ["view noise with seed 0, not 1"]
    assert one.is_extended_by(other) and one.of_originals == spec()
    assert spec(silence={"a": 1, "b": 2}).differences(spec(silence={"a": 1, "b": 3})) == ["silence with b 2, not 3"]
    assert spec().differences(spec(channel=1)) == ["channel None, not 1"] and not spec().is_extended_by(spec(channel=1))
