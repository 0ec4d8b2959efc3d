"""What a store says of itself is checked before anything is believed of it."""

from __future__ import annotations

import pytest
from msmt.errors import DamageError
from msmt.features.head import FeatureHead, StoreHead
from msmt.features.spec import FeatureSpec
from msmt.features.tasks import Task

SPEC = FeatureSpec(modality="text", encoder="e", encoder_class="E", weights="w", width=4, max_rows=8)


def head_of(**changes) -> dict:
    feature = FeatureHead(SPEC, 2).to_json()
    tasks = (Task("mood", ("low", "high")),)
    fields = StoreHead("calls", tasks, "2026-01-01T00:00:00+00:00", "0.1.0", {}, {"made": "so"}).to_json()
    return {
        **{name: value for name, value in fields.items() if name != "digest"},
        "features": {"e": feature},
        **changes,
    }


def test_what_was_written_is_read_back():
    assert StoreHead.from_json(head_of()).features["e"].spec == SPEC


@pytest.mark.parametrize("changes", [{"dataset": "\ud800"}, {"facts": {"made": ["\udfff"]}}], ids=str)
def test_half_a_character_is_damage_for_it_cannot_be_written_again(changes):
    with pytest.raises(DamageError, match="half a character"):
        StoreHead.from_json(head_of(**changes))


def test_half_a_character_of_a_spec_is_damage_of_its_feature_alone():
    fields = head_of()
    fields["features"]["e"]["spec"]["revision"] = "\ud800"
    with pytest.raises(DamageError, match="feature e: .*half a character"):
        StoreHead.from_json(fields)
