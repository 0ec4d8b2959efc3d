"""The made corpora in the layouts of the acted ones are read as those are, and have some of what is wrong with them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import soundfile
from msmt.extract.corpora.acted import read
from msmt.extract.corpora.acted_names import CORPORA
from msmt.extract.corpora.config import CorpusOptions
from msmt.extract.corpora.contract import DUPLICATE, UNREADABLE
from msmt.extract.corpora.speaker_folds import dealt, standard_splits
from msmt.extract.layouts import acted
from msmt.extract.layouts.registry import write_layout
from msmt.extract.reconcile import reconcile

RATES = {"emodb": 16000, "ravdess": 48000, "crema-d": 16000}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Of each the folder, and what is found there. Of RAVDESS some actors, for it has three times the samples."""
    whole, acted.RAVDESS_ACTORS = acted.RAVDESS_ACTORS, ("01", "05", "06")
    folders = {}
    try:
        for name in CORPORA:
            folders[name] = tmp_path_factory.mktemp(name)
            write_layout(name, folders[name], 0)
    finally:
        acted.RAVDESS_ACTORS = whole
    return {
        name: (folder, reconcile(read(CORPORA[name], folder, CorpusOptions()), decode=True))
        for name, folder in folders.items()
    }


@pytest.mark.parametrize("name", list(CORPORA))
def test_each_has_all_emotions_at_the_rate_of_the_release(made, name):
    folder, found = made[name]
    assert set(found.items["label_emotion"]) == set(range(len(CORPORA[name].classes)))
    usable = found.items[[UNREADABLE not in words for words in found.items["problems"]]]
    assert {soundfile.info(folder / path).samplerate for path in usable["audio"]} == {RATES[name]}


@pytest.mark.parametrize("name", ["emodb", "crema-d"])
def test_every_split_and_fold_has_a_woman_and_a_man(made, name):
    items = made[name][1].items
    for column in ("split", "scheme_fold1", "scheme_fold5"):
        assert (items.groupby(column)["extra_sex"].nunique() == 2).all()
        assert set(items[column]) == {"train", "val", "test"}


def test_the_actors_of_ravdess_fill_every_fold():
    corpus = CORPORA["ravdess"]
    for deal in (dealt(corpus.sexes, 5), standard_splits(corpus.sexes, corpus.parts)):
        homes = Counter((deal[actor], corpus.sexes[actor]) for actor in acted.RAVDESS_ACTORS)
        assert set(homes) == {(home, sex) for home in set(deal.values()) for sex in ("female", "male")}


def test_ravdess_has_a_second_copy_a_song_a_broken_file_and_what_a_mac_leaves(made):
    folder, found = made["ravdess"]
    assert Counter(aside.reason for aside in found.reading.left_out) == {
        "they are songs": 1,
        "a file of the same name and size is taken": 16,
    }
    assert found.problems == {UNREADABLE: 1}
    assert "3 hidden files" in found.reading.notes[0]
    assert [path.suffix for path in (folder / "Actor_06").iterdir()].count(".WAV") == 1


def test_emodb_has_a_broken_file_and_one_that_was_downloaded_twice(made):
    _, found = made["emodb"]
    assert found.problems == {UNREADABLE: 1}
    assert [aside.name.endswith(" (1).wav") for aside in found.reading.orphans] == [True]
    assert not ((found.items["speaker"] == "08") & (found.items["label_emotion"] == 2)).any()


def test_crema_d_has_defects_of_the_release_and_a_file_that_was_not_fetched(made):
    _, found = made["crema-d"]
    assert {met.defect.item for met in found.defects if met.is_met} == {"1076_MTI_SAD_XX", "1017_IWW_FEA_XX"}
    assert found.problems == {UNREADABLE: 2, DUPLICATE: 1}
    assert found.unexpected["segment_id"].tolist() == ["1005_DFA_ANG_XX"]
    assert any("pointers of git-lfs" in note for note in found.reading.notes)


def test_an_emotion_can_be_heard(made):
    """Anger is louder than sadness, whoever acts it."""
    folder, found = made["crema-d"]
    emotions = CORPORA["crema-d"].classes
    power = {}
    for label, path, words in zip(
        found.items["label_emotion"], found.items["audio"], found.items["problems"], strict=True
    ):
        if UNREADABLE not in words:
            power.setdefault(emotions[label], []).append(np.std(soundfile.read(folder / path)[0]))
    assert np.median(power["anger"]) > 1.3 * np.median(power["sad"])
