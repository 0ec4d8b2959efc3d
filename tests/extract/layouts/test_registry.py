from __future__ import annotations

from msmt.extract.corpora.config import DATASETS
from msmt.extract.layouts.registry import LAYOUTS


def test_every_public_corpus_has_a_layout():
    assert set(LAYOUTS) == set(DATASETS) - {"marketcalls", "generic"}
