"""ConceptNet's assertions, read once into a database: what is kept of them, and which files are refused."""

from __future__ import annotations

import gzip
import os
import sqlite3
import threading

import pytest
from msmt.errors import SettingError
from msmt.extract import conceptnet
from msmt.extract.conceptnet import knowledge_of
from msmt.tests.extract.assertions import line, write

SOME = [
    ("IsA", "kangaroo", "animal"),
    ("IsA", "kangaroo/n", "animal/n/wn/animal"),  # the same pair in other senses
    ("HasContext", "animal/n", "kangaroo"),  # another relation, the other way round
    ("Causes", "run/v", "tired"),
    ("IsA", "dog/n", "dog/n/wn/food"),  # a word and itself
    ("RelatedTo", "kangaroo", "tired"),
    ("IsA", "/c/fr/chien", "/c/fr/animal"),
    ("HasContext", "/c/en/chien", "/c/fr/animal"),
    ("Causes", "/c/eng/run", "/c/eng/tired"),
]
WORDS = {"kangaroo", "animal", "run", "tired", "dog", "chien"}


def dump(tmp_path, name="assertions.csv"):
    return write(tmp_path / name, SOME)


def refused(path, language="en", **more) -> str:
    with pytest.raises(SettingError) as caught:
        knowledge_of(path, language, **more)
    assert "\n" not in str(caught.value) and not list(path.parent.glob("*.sqlite*"))
    return str(caught.value)


@pytest.mark.parametrize("name", ["assertions.csv", "assertions.csv.gz", "gzipped-but-not-called-so"])
def test_three_relations_of_one_language_are_kept_in_both_directions(tmp_path, name):
    path = dump(tmp_path, name)
    if name == "gzipped-but-not-called-so":
        path.write_bytes(gzip.compress(path.read_bytes()))
    knowledge = knowledge_of(path, "en")
    assert (knowledge.read, knowledge.kept, knowledge.is_new) == (9, 5, True)
    assert knowledge.relations_between(WORDS, WORDS) == {
        "kangaroo": {"animal": 2},
        "animal": {"kangaroo": 2},
        "run": {"tired": 1},
        "tired": {"run": 1},
    }
    assert knowledge.relations_between({"run"}, {"kangaroo"}) == {}


def test_the_file_is_read_once(tmp_path, monkeypatch):
    path = dump(tmp_path)
    first = knowledge_of(path, "en")
    monkeypatch.setattr(conceptnet, "_make", None)
    again = knowledge_of(path, "en")
    assert not again.is_new and again.digest == first.digest and again.path == first.path
    os.utime(path, (1, 1))  # copied, say
    assert not knowledge_of(path, "en").is_new


def test_a_changed_file_is_read_again_and_what_it_says_is_what_counts(tmp_path):
    path = dump(tmp_path)
    first = knowledge_of(path, "en")
    write(path, SOME[::-1] + [("RelatedTo", "a", "b")])
    reordered = knowledge_of(path, "en")
    assert reordered.is_new and reordered.digest == first.digest and reordered.read == 10
    write(path, [*SOME, ("Causes", "kangaroo", "animal")])
    more = knowledge_of(path, "en")
    assert more.digest != first.digest and more.relations_between({"kangaroo"}, WORDS) == {"kangaroo": {"animal": 3}}
    assert knowledge_of(path, "fr").digest not in (first.digest, more.digest)


def test_the_database_goes_elsewhere_where_it_is_told_to(tmp_path):
    folder = tmp_path / "elsewhere"
    assert "there is no such folder" in refused(dump(tmp_path), folder=folder)
    folder.mkdir()
    assert knowledge_of(dump(tmp_path), "en", folder).path.parent == folder


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path, monkeypatch):
    path = dump(tmp_path)
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    assert "index=FOLDER" in refused(path)


def test_a_database_that_is_damaged_is_made_again(tmp_path):
    path = dump(tmp_path)
    made = knowledge_of(path, "en").path
    made.write_bytes(made.read_bytes()[:100])
    assert knowledge_of(path, "en").is_new and not knowledge_of(path, "en").is_new


def test_an_interruption_leaves_nothing_that_could_be_taken_for_a_database(tmp_path, monkeypatch):
    path = dump(tmp_path)

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(conceptnet, "_digest_of_pairs", killed)
        knowledge_of(path, "en")
    assert not list(tmp_path.glob("*.sqlite"))
    left = tmp_path / "assertions.csv.en.sqlite.abc.part"  # of a process that was killed, long ago
    left.write_bytes(b"some")
    os.utime(left, (1, 1))
    assert knowledge_of(path, "en").is_new
    assert sorted(each.name for each in tmp_path.iterdir()) == ["assertions.csv", "assertions.csv.en.sqlite"]


def test_several_may_make_it_at_once(tmp_path):
    path, made = dump(tmp_path), []
    threads = [threading.Thread(target=lambda: made.append(knowledge_of(path, "en"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.digest for each in made}) == 1 and len(made) == 4
    with sqlite3.connect(made[0].path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_progress_is_told(tmp_path):
    from contextlib import contextmanager

    told = []

    @contextmanager
    def track(description, total, unit):
        told.append((description, total, unit))
        yield told.append

    path = tmp_path / "assertions.csv"
    path.write_bytes(line("IsA", "/c/en/a", "/c/en/b").encode() * 30_000)
    knowledge_of(path, "en", track=track)
    size = path.stat().st_size >> 20
    assert told[0] == ("indexing assertions.csv", size, "MB") and sum(told[1:]) == size > 1


def test_files_that_are_none_of_its_assertions_are_refused_in_a_line(tmp_path):
    path = tmp_path / "it"
    assert "there is no such file" in refused(path)
    good = "".join(line("IsA", "/c/en/a", f"/c/en/b{n}") for n in range(1000)).encode()
    packed = gzip.compress(good)
    ten = good.replace(b"\t{", b"\t/ctx/all\t1.0\t/s/a\t/e/b\t/d/c\t{")
    for content, phrase in (
        (b"", "is empty"),
        (gzip.compress(b""), "is empty"),
        (packed[:-30], "is cut short"),
        (packed[: len(packed) // 2], "is cut short"),
        (packed[:200] + bytes(60) + packed[260:], "is damaged"),
        (good[:-20], "is cut short in its last line"),
        (good[:-1].rpartition(b"\t")[0], "is cut short in its last line"),
        (ten, "has 10 columns in line 1, and the assertions of ConceptNet 5.5 to 5.7 have 5"),
        (good + ten, "has 10 columns in line 2000"),
        (b"PK\x03\x04" + bytes(100), "is a zip archive"),
        (b"\x93\xa5edges" + bytes(range(256)) * 9, "does not hold ConceptNet's assertions"),
        (b"uri,rel,start,end\n1,2,3,4\n", "does not hold ConceptNet's assertions"),
        (line("Synonym", "/c/en/a", "/c/en/b").encode(), "none of its 1 assertions is IsA, HasContext or Causes"),
    ):
        path.write_bytes(content)
        assert phrase in refused(path), phrase
    path.write_bytes(good)
    assert "words of language xx" in refused(path, "xx")
