"""The demo in IEMOCAP's layout, read by the adapter: what it must hold, and what is wrong with it on purpose."""

from __future__ import annotations

import hashlib
import math

import pytest
import soundfile
from msmt.extract.corpora.config import CorpusOptions
from msmt.extract.corpora.iemocap import CATEGORIES, read
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.layouts.registry import write_layout
from msmt.features.schemes import families_of


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("iemocap")
    write_layout("iemocap", folder, 0)
    return folder


def test_every_session_has_every_class_and_every_family_of_schemes_is_there(demo):
    corpus = load_corpus("iemocap", demo)
    counts = corpus.table.groupby(["extra_session", "label_emotion"]).size().unstack()
    assert counts.shape == (5, 4) and counts.min().min() >= 4
    assert set(families_of(corpus.facts)) == {"sessions", "speakers"} and corpus.table["speaker"].nunique() == 10
    assert set(corpus.table["extra_setting"]) == {"improvised", "scripted"}


def test_what_is_wrong_with_it_is_met(demo):
    reading = read(demo, CorpusOptions())
    assert "passed over: 2 hidden files, such as a Mac leaves" in reading.notes
    assert any("Ses02F_impro01.txt: not UTF-8" in line for line in reading.notes)
    assert any("FXX0" in line and "no annotation" in line for line in reading.notes)
    assert any("café" in text for text in reading.items["text"])
    (orphan,) = reading.orphans
    assert orphan.name.endswith("Ses04M_script01_1_M099.wav")
    assert all((demo / path).is_file() for path in reading.items["audio"])
    of_six = read(demo, CorpusOptions(classes="6")).items
    missing = of_six[[not (demo / path).is_file() for path in of_six["audio"]]]
    assert missing["extra_category"].tolist() == ["fru"] and missing["recording_id"].tolist() == ["Ses03F_impro01"]
    reasons = {aside.reason for aside in reading.left_out}
    assert reasons == {"annotators did not agree (xxx)", "frustrated, none of the 4 classes"}


def test_its_wav_files_are_as_long_as_the_annotation_says(demo):
    items = read(demo, CorpusOptions(classes="all")).items
    heard = [(demo / path, stated) for path, stated in zip(items["audio"], items["stated"], strict=True)]
    infos = [(soundfile.info(path), stated) for path, stated in heard if path.is_file()]
    assert all(info.samplerate == 16000 and info.channels == 1 for info, _ in infos)
    assert all(math.isclose(info.duration, stated, abs_tol=1e-3) for info, stated in infos)
    assert set(items["extra_category"]) <= {*CATEGORIES, "xxx"} and items["label_valence"].between(1, 5).all()


def test_the_same_seed_gives_the_same_bytes(demo, tmp_path):
    write_layout("iemocap", tmp_path, 0)

    def digest(folder):
        paths = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return {str(path): hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in paths}

    assert digest(tmp_path) == digest(demo)
