"""MOSI, MOSEI and SIMS in small are read as the real ones are, with what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from msmt.extract.corpora.config import CorpusOptions
from msmt.extract.corpora.contract import UNREADABLE
from msmt.extract.corpora.label_csv import ADAPTERS
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.layouts.registry import write_layout
from msmt.extract.reconcile import Reconciled, reconcile


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    folders = {name: tmp_path_factory.mktemp(name) for name in ("mosei", "sims")}
    for name, folder in folders.items():
        write_layout(name, folder, 0)
    return folders


def found_in(folder: Path, dataset: str) -> Reconciled:
    return reconcile(ADAPTERS[dataset].read(folder, CorpusOptions()), decode=True)


def test_mosei_is_met_with_its_known_defect_and_what_downloads_have_besides(written):
    found = found_in(written["mosei"], "mosei")
    assert found.reading.items["recording_id"].nunique() == 20
    assert {met.defect.item for met in found.defects if met.is_met} == {"3aIQUQgawaI_12"}
    assert found.problems == {UNREADABLE: 1} and not len(found.unexpected)
    assert len(found.reading.orphans) == 1 and any("hidden file" in note for note in found.reading.notes)
    assert len({aside.reason for aside in found.reading.left_out}) == len(found.reading.left_out) == 2


def test_videos_of_mosei_are_in_one_split_and_those_of_sims_in_several(written):
    table = load_corpus("mosei", written["mosei"]).table
    assert (table.groupby("extra_video_id")["split"].nunique() == 1).all()
    assert {"-", "_"} <= set(table["recording_id"].str[0])
    table = load_corpus("sims", written["sims"]).table
    assert (table.groupby("extra_video_id")["split"].nunique() > 1).any()


def test_sims_is_in_mandarin_with_values_of_each_modality_and_one_contradiction(written):
    corpus = load_corpus("sims", written["sims"])
    assert not corpus.table["text"].str.contains("[a-z]").any()
    values = corpus.table[["label_sentiment", "label_sentiment_text", "label_sentiment_audio"]]
    assert values.abs().max().max() <= 1 and values.corr().min().min() > 0.3
    assert any(note.startswith("1 row of label.csv with an annotation of another sign") for note in corpus.notes)


def test_each_split_has_both_signs(written):
    for name, folder in written.items():
        table = load_corpus(name, folder).table
        for split, values in table.groupby("split")["label_sentiment"]:
            assert values.min() < 0 < values.max(), (name, split)
