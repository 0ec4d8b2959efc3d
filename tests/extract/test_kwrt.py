"""The importance of words by recurrence and ConceptNet, worked by hand, and how it lies beside the tokens of a text."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
import torch
from msmt.errors import EncoderError, SettingError
from msmt.extract.extractors.contract import Material, Setup
from msmt.extract.extractors.function_words import ENGLISH
from msmt.extract.extractors.kwrt import Kwrt, KwrtOptions
from msmt.extract.extractors.text import Text, TextOptions
from msmt.extract.extractors.word_importance import content_words, importances
from msmt.features.segments import segment_table
from msmt.tests.extract.assertions import write
from msmt.tests.extract.made import text_encoder
from tokenizers import ByteLevelBPETokenizer
from transformers import BertTokenizerFast, RobertaTokenizerFast

CPU = Setup(torch.device("cpu"))
PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "s",
    "##1",
    "##2",
    ":",
    "the",
    "kang",
    "##aroo",
    "was",
    "a",
    ".",
]
PIECES += ["surprise", "in", "scene", "it", "asleep", "'", "i", "saw", "!", "s1", "s2", "tired", "kicks", "other"]
DIALOGUE = [
    ("ann", "In the scene it was a kangaroo."),
    ("bob", "A surprise!"),
    ("ann", "I saw the kangaroo's asleep."),
]
KNOWN = [
    ("IsA", "scene", "kangaroo"),
    ("HasContext", "surprise/n", "kangaroo"),
    ("HasContext", "asleep/a", "kangaroo"),
    ("HasContext", "asleep", "surprise"),
    ("Causes", "surprise", "asleep/a/wn/state"),
    ("IsA", "kangaroo", "kangaroo/n/wn/animal"),
    ("RelatedTo", "scene", "asleep"),
    ("IsA", "kangaroo", "the"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small BERT whose tokenizer splits words in pieces, and a file of assertions."""
    folder = tmp_path_factory.mktemp("encoders")
    text_encoder().save_pretrained(folder / "bert")
    BertTokenizerFast(vocab={piece: number for number, piece in enumerate(PIECES)}).save_pretrained(folder / "bert")
    write(folder / "assertions.csv", KNOWN)
    return folder


def options(folder, **changes) -> KwrtOptions:
    given = {"encoder": str(folder / "bert"), "conceptnet": str(folder / "assertions.csv"), "tokens": 40}
    return KwrtOptions(**{**given, **changes})


def kwrt(folder, **changes) -> Kwrt:
    return Kwrt.load("it", options(folder, **changes), CPU)


def material(turns=DIALOGUE, **columns) -> Material:
    rows = [("talk", index, *turn, "original") for index, turn in enumerate(turns, start=1)]
    table = pd.DataFrame(rows, columns=["recording_id", "index", "speaker", "text", "view"]).assign(audio="")
    table["segment_id"], table["split"] = table["recording_id"] + table["index"].astype(str), "train"
    return Material(None, segment_table(table.assign(**columns), ()), lambda path: "")


def values(extractor, of: Material, row: int) -> list[int]:
    function, arguments = extractor.job(of, row)
    return extractor.encode([function(*arguments)])[0]["it"][:, 0].tolist()


def matrices(terms, known) -> tuple[np.ndarray, np.ndarray]:
    """M_rec and M_rel by their definition, pair by pair."""
    size = len(terms)
    recurs, related = np.zeros((size, size), int), np.zeros((size, size), int)
    pairs = {(name, start.split("/")[0], end.split("/")[0]) for name, start, end in known}
    for i, one in enumerate(terms):
        for j, other in enumerate(terms):
            if i != j:
                recurs[i, j] = one == other
            if one != other:
                related[i, j] = sum(
                    (name, one, other) in pairs or (name, other, one) in pairs
                    for name in ("IsA", "HasContext", "Causes")
                )
    return recurs, related


def test_the_matrices_of_a_dialogue_of_three_turns_worked_by_hand(folder):
    extractor = kwrt(folder, turns=3, speakers=True)
    of = material()
    function, arguments = extractor.job(of, 2)
    terms = [term for term, _ in extractor.words_of(function(*arguments).content)]
    assert terms == ["scene", "kangaroo", "surprise", "saw", "kangaroo", "asleep"]
    recurs, related = matrices(terms, KNOWN)
    assert recurs.tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    assert related.tolist() == [
        [0, 1, 0, 0, 1, 0],  # a scene is (IsA) a kangaroo, both times
        [1, 0, 1, 0, 0, 1],
        [0, 1, 0, 0, 1, 2],  # surprise and asleep: HasContext and Causes
        [0, 0, 0, 0, 0, 0],  # saw: ConceptNet knows nothing
        [1, 0, 1, 0, 0, 1],
        [0, 1, 2, 0, 1, 0],
    ]
    assert (recurs + related).sum(axis=1).tolist() == [2, 4, 4, 0, 4, 4]
    # [CLS] s1 : in the scene it was a kang aroo . [SEP] s2 : a surprise ! [SEP] s1 : i saw the kang aroo ' s asleep . [SEP]
    first = [0, 0, 0, 0, 0, 2, 0, 0, 0, 4, 4, 0, 0]
    assert values(extractor, of, 2) == first + [0, 0, 0, 4, 0, 0] + [0, 0, 0, 0, 0, 4, 4, 0, 0, 4, 0, 0]


def test_what_is_counted_by_distinct_words_is_the_sum_over_all_pairs():
    chance = random.Random(0)
    words = [f"w{number}" for number in range(12)]
    known = [(chance.choice(("IsA", "HasContext", "Causes")), *chance.sample(words, 2)) for _ in range(60)]
    relations: dict[str, dict[str, int]] = {}
    _, related = matrices(words, known)
    for i, j in zip(*related.nonzero(), strict=True):
        relations.setdefault(words[i], {})[words[j]] = int(related[i, j])
    for size in (0, 1, 2, 7, 40):
        terms = [chance.choice(words) for _ in range(size)]
        recurs, related = matrices(terms, known)
        assert importances(terms, relations) == (recurs + related).sum(axis=1).tolist()


@pytest.mark.parametrize("context", [{}, {"turns": 2}, {"turns": 3, "speakers": True}, {"speakers": True}])
@pytest.mark.parametrize("tokens", [40, 14, 5])
def test_it_has_a_value_for_each_token_of_the_text_feature(folder, tokens, context):
    of = material()
    text = Text.load("it", TextOptions(encoder=str(folder / "bert"), tokens=tokens, **context), CPU)
    extractor = kwrt(folder, tokens=tokens, **context)
    assert np.array_equal(extractor.expected_rows(of)["it"], text.expected_rows(of)["it"])
    assert np.array_equal(extractor.cut_rows(of), text.cut_rows(of))
    for row in range(3):
        made, loaded = (each.job(of, row)[1] for each in (extractor, text))
        assert made[0].tokens == loaded[0] and len(values(extractor, of, row)) == len(loaded[0])


def test_words_that_the_encoder_does_not_see_do_not_count(folder):
    of = material([("ann", "scene surprise asleep kangaroo kangaroo")])
    # [CLS] scene surprise asleep kang aroo kang aroo [SEP]
    assert values(kwrt(folder), of, 0) == [0, 2, 4, 4, 4, 4, 4, 4, 0]
    assert values(kwrt(folder, tokens=6), of, 0) == [0, 1, 3, 3, 3, 0]  # the first kangaroo, half of it
    assert values(kwrt(folder, tokens=5), of, 0) == [0, 0, 2, 2, 0]
    assert values(kwrt(folder, tokens=6, turns=2), of, 0) == [0, 1, 3, 3, 3, 0]


def test_a_row_depends_on_its_own_turn_and_those_before_it_alone(folder):
    extractor = kwrt(folder, turns=2)
    before = extractor.identities(material())["it"]
    rated = [values(extractor, material(), row) for row in range(3)]
    changed = [DIALOGUE[0], ("bob", "Tired, the kangaroo kicks the other!"), DIALOGUE[2]]
    after = extractor.identities(material(changed))["it"]
    assert (before != after).tolist() == [False, True, True]
    assert values(extractor, material(changed), 0) == rated[0]
    assert values(extractor, material(changed), 2) != rated[2]
    assert values(extractor, material(DIALOGUE[:2]), 1) == rated[1]


def test_its_identity_is_of_the_knowledge_and_not_of_the_file(folder, tmp_path):
    plain = kwrt(folder).spec
    again = kwrt(folder, conceptnet=str(write(tmp_path / "other.csv.gz", KNOWN[::-1]))).spec
    assert again.fingerprint == plain.fingerprint
    more = kwrt(folder, conceptnet=str(write(tmp_path / "more.csv", [*KNOWN, ("Causes", "saw", "tired")]))).spec
    (tmp_path / "words.txt").write_text("the\na kangaroo")
    own = kwrt(folder, function_words=str(tmp_path / "words.txt")).spec
    assert len({plain.fingerprint, more.fingerprint, own.fingerprint, kwrt(folder, turns=2).spec.fingerprint}) == 4


def test_what_was_kept_of_the_file_is_said_once(folder, tmp_path):
    dump = write(tmp_path / "assertions.csv", KNOWN)
    (line,) = kwrt(folder, conceptnet=str(dump)).remarks
    assert line == f"it: of 8 assertions 7 are kept, in {tmp_path / 'assertions.csv.en.sqlite'}"
    assert kwrt(folder, conceptnet=str(dump)).remarks == ()


def test_bytes_of_roberta_are_words_all_the_same(folder, tmp_path):
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(["the kangaroo is asleep", "a scene"] * 9, vocab_size=300, special_tokens=special)
    bpe.save_model(str(tmp_path))
    tokenizer = RobertaTokenizerFast(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    tokenizer.save_pretrained(tmp_path / "roberta")
    text_encoder("roberta").save_pretrained(tmp_path / "roberta")
    of = material([("ann", "A scene, the Kangaroo—asleep… naïve kangaroo")])
    made = values(kwrt(folder, encoder=str(tmp_path / "roberta")), of, 0)
    text = of.table["text"][0]
    places = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    wanted = {"scene": 2, "Kangaroo": 3, "asleep": 2, "naïve": 0, "kangaroo": 3}
    by_character = np.zeros(len(text))
    for word, value in wanted.items():
        by_character[text.index(word) : text.index(word) + len(word)] = value
    assert made == [max(by_character[start:end], default=0) for start, end in places]
    assert max(made) == 3


def test_words_are_letters_in_lower_case_without_function_words():
    def terms(text, without=ENGLISH):
        return [word.term for word in content_words(text, without)]

    assert terms("I'm HAPPY, don\u2019t you think it's 2024?") == ["happy", "think"]
    assert terms("The dog's well-known; Joey\x92s o'clock") == ["dog", "known", "joey", "o'clock"]
    assert terms("She won't, they've can't") == []
    assert terms("我很高兴 ok", without={"很"}) == ["我", "高", "兴", "ok"]
    assert {"the", "and", "not", "was"} <= ENGLISH and not {"happy", "love", "time", "man", "good"} & ENGLISH


def test_what_makes_no_sense_is_refused_in_a_line(folder, tmp_path):
    for changes, phrase in (
        ({"conceptnet": ""}, "conceptnet must name the file"),
        ({"conceptnet": "nowhere.csv"}, "there is no such file"),
        ({"language": "de"}, "function_words must name a file of the function words of language de"),
        ({"language": "English"}, "language must be as ConceptNet writes it"),
        ({"function_words": "nowhere.txt"}, "nowhere.txt: cannot be read"),
        ({"tokens": 2}, "tokens must be at least 3"),
        ({"turns": 0}, "turns must be at least 1"),
    ):
        with pytest.raises(SettingError) as caught:
            kwrt(folder, **changes)
        assert phrase in str(caught.value) and "\n" not in str(caught.value)
    for content, phrase in ((b"\xff\xfe", "is not UTF-8"), (b" \n", "holds no words"), (b"a " * 600_000, "no list")):
        (tmp_path / "words.txt").write_bytes(content)
        with pytest.raises(SettingError, match=phrase):
            kwrt(folder, function_words=str(tmp_path / "words.txt"))
    with pytest.raises(EncoderError, match="there is no such encoder folder"):
        kwrt(folder, encoder="./nowhere/bert")
