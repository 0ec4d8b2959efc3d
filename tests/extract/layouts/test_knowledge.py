"""The made-up knowledge of the demo: in ConceptNet's format, about the words of its sentences."""

from __future__ import annotations

from msmt.extract.conceptnet import knowledge_of
from msmt.extract.layouts.knowledge import write_conceptnet
from msmt.extract.layouts.sentences import words


def test_it_relates_words_of_the_sentences_and_is_the_same_each_time(tmp_path):
    path = write_conceptnet(tmp_path)
    content = path.read_bytes()
    assert write_conceptnet(tmp_path).read_bytes() == content
    knowledge = knowledge_of(path, "en")
    said = set(words())
    related = knowledge.relations_between(said, said)
    assert len(related) > 100 and set(related) <= said
    assert knowledge.kept < knowledge.read  # other relations and languages are in the file too


def test_words_of_one_emotion_are_related(tmp_path):
    knowledge = knowledge_of(write_conceptnet(tmp_path), "en")
    of_fear = {"afraid", "alone", "careful", "dark", "door", "fall", "find", "hand", "hear", "hold", "leave", "lock"}
    assert sum(map(len, knowledge.relations_between(of_fear, of_fear).values())) >= 10
