"""What a text encoder sees of a conversation: this turn and those before it, never a later one."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from msmt.errors import EncoderError
from msmt.extract.extractors.contract import Material, Setup
from msmt.extract.extractors.text import Text, TextOptions
from msmt.features.segments import segment_table
from msmt.features.rows import identity_of
from msmt.tests.extract.made import text_encoder, tokenizer
from transformers import BertTokenizerFast

CPU = Setup(torch.device("cpu"))
CALL = [("ann", "hello"), ("bob", "yes no"), ("ann", "price"), ("cy", "bye bye bye"), ("bob", "thanks")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small BERT, whose tokenizer knows who speaks."""
    folder = tmp_path_factory.mktemp("encoders") / "bert"
    words = [*tokenizer().get_vocab(), "s1", "s2", "s3", ":"]
    text_encoder().save_pretrained(folder)
    BertTokenizerFast(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder)
    return folder


def text(folder, tokens=40, **options) -> Text:
    return Text.load("it", TextOptions(encoder=str(folder), tokens=tokens, **options), CPU)


def material(turns=CALL, splits=None, views=(), texts=None) -> Material:
    """One recording of these turns, another of one turn, and a view of the row of each number, with a text of its own."""
    rows = [("call", index, *turn, "original") for index, turn in enumerate(turns, start=1)]
    rows += [("other", 1, "dan", "agent hello", "original")]
    rows += [(*rows[row][:3], words, f"homophone{row}") for row, words in views]
    columns = ["recording_id", "index", "speaker", "text", "view"]
    table = pd.DataFrame(rows, columns=columns).assign(audio="", split="train")
    table["segment_id"] = table["recording_id"] + table["index"].astype(str)
    for row in splits or ():
        table.loc[row, "split"] = "removed"
    return Material(None, segment_table(table, ()), lambda path: "")


def words_of(extractor: Text, of: Material, row: int) -> str:
    """What the encoder is given of a row, as words."""
    function, arguments = extractor.job(of, row)
    return " ".join(extractor.encoder.tokenizer.convert_ids_to_tokens(function(*arguments).content))


def identities(extractor: Text, of: Material) -> np.ndarray:
    return extractor.identities(of)["it"]


def values(extractor: Text, of: Material, row: int) -> torch.Tensor:
    function, arguments = extractor.job(of, row)
    return extractor.encode([function(*arguments)])[0]["it"]


def test_a_row_sees_its_own_turn_and_those_right_before_it(folder):
    extractor, call = text(folder, turns=3), material()
    assert words_of(extractor, call, 0) == "[CLS] hello [SEP]"
    assert words_of(extractor, call, 1) == "[CLS] hello [SEP] yes no [SEP]"
    assert words_of(extractor, call, 3) == "[CLS] yes no [SEP] price [SEP] bye bye bye [SEP]"
    assert words_of(extractor, call, 5) == "[CLS] agent hello [SEP]"  # the first of another recording


def test_speakers_are_numbered_as_they_appear_in_the_window(folder):
    extractor, call = text(folder, turns=3, speakers=True), material()
    assert words_of(extractor, call, 2) == "[CLS] s1 : hello [SEP] s2 : yes no [SEP] s1 : price [SEP]"
    assert words_of(extractor, call, 3) == "[CLS] s1 : yes no [SEP] s2 : price [SEP] s3 : bye bye bye [SEP]"
    unknown = material([("ann", "hello"), ("", "yes"), ("ann", "no")])
    assert words_of(extractor, unknown, 2) == "[CLS] s1 : hello [SEP] yes [SEP] s1 : no [SEP]"


def test_a_row_has_the_values_of_the_model_on_its_window(folder):
    extractor, call = text(folder, turns=3, speakers=True), material()
    ids = extractor.encoder.tokenizer("s1: yes no [SEP] s2: price [SEP] s3: bye bye bye")["input_ids"]
    with torch.inference_mode():
        defined = text_encoder()(input_ids=torch.tensor([ids])).last_hidden_state[0]
    assert torch.allclose(values(extractor, call, 3), defined, atol=1e-4, rtol=0)
    assert extractor.expected_rows(call)["it"][3] == len(defined)
    pooled = text(folder, turns=3, speakers=True, pool="mean")
    assert torch.allclose(values(pooled, call, 3)[0], defined.mean(0), atol=1e-4) and pooled.specs["it"].max_rows == 1


def test_one_turn_without_speakers_is_the_feature_of_the_segments_own_text(folder):
    plain, call = text(folder), material()
    spec = plain.specs["it"]
    assert not spec.options and spec.layer == -1 and spec.unit == "token"
    assert text(folder, turns=1, speakers=False).specs["it"].fingerprint == spec.fingerprint
    expected = [identity_of(spec.fingerprint, words) for words in call.table["text"]]
    assert identities(plain, call).tolist() == expected
    alone = plain.encoder.tokenizer("bye bye bye")["input_ids"]
    assert torch.equal(values(plain, call, 3), plain.encoder.encode([alone])[0][-1])


def test_a_changed_transcript_makes_exactly_the_rows_stale_that_saw_it(folder):
    for options in ({}, {"speakers": True}):
        extractor = text(folder, turns=3, **options)
        before = identities(extractor, material())
        for changed in range(len(CALL)):
            turns = [(who, "the a" if row == changed else words) for row, (who, words) in enumerate(CALL)]
            after = identities(extractor, material(turns))
            saw = [row for row in range(len(CALL)) if changed <= row <= changed + 2]
            assert np.flatnonzero(before != after).tolist() == saw


def test_another_speaker_makes_rows_stale_only_where_speakers_are_told(folder):
    other = material([*CALL[:1], ("ann", CALL[1][1]), *CALL[2:]])
    told, untold = text(folder, turns=2, speakers=True), text(folder, turns=2)
    assert np.flatnonzero(identities(told, material()) != identities(told, other)).tolist() == [1, 2]
    assert (identities(untold, material()) == identities(untold, other)).all()


def test_no_later_turn_ever_changes_a_row(folder):
    extractor = text(folder, turns=4, speakers=True)
    whole = material()
    for row in range(len(CALL)):
        rest = [("eve", f"agent {'no ' * later}") for later in range(len(CALL) - row)]
        changed = material([*CALL[: row + 1], *rest])
        assert identities(extractor, whole)[row] == identities(extractor, changed)[row]
        assert torch.equal(values(extractor, whole, row), values(extractor, changed, row))


def test_a_view_alters_the_own_turn_and_leaves_the_earlier_as_recorded(folder):
    extractor = text(folder, turns=2)
    call = material(views=[(1, "yes yes"), (2, "price")])
    assert words_of(extractor, call, 6) == "[CLS] hello [SEP] yes yes [SEP]"
    assert words_of(extractor, call, 2) == words_of(extractor, call, 7) == "[CLS] yes no [SEP] price [SEP]"
    made = identities(extractor, call)
    assert made[6] != made[1] and made[7] == made[2]


def test_turns_that_have_left_the_corpus_are_not_seen(folder):
    extractor, call = text(folder, turns=2), material(splits=[1])
    assert words_of(extractor, call, 2) == "[CLS] hello [SEP] price [SEP]"
    assert identities(extractor, call)[1] == 0 and extractor.expected_rows(call)["it"][1] == 0


def test_turns_are_those_before_by_their_index_wherever_their_rows_are(folder):
    call = material()
    shuffled = call.table.iloc[[4, 2, 5, 0, 3, 1]].reset_index(drop=True)
    extractor = text(folder, turns=3)
    mixed = Material(None, shuffled, call.digest_of)
    assert words_of(extractor, mixed, 4) == words_of(extractor, call, 3)


def test_a_window_that_is_too_long_loses_its_oldest_turns_and_is_counted(folder):
    call = material()
    extractor = text(folder, tokens=8, turns=3)  # two are special
    assert words_of(extractor, call, 3) == "[CLS] price [SEP] bye bye bye [SEP]"
    assert words_of(extractor, call, 2) == "[CLS] hello [SEP] yes no [SEP] price [SEP]"
    assert np.flatnonzero(extractor.cut_rows(call)).tolist() == [3, 4]
    tight = text(folder, tokens=4, turns=3)
    assert words_of(tight, call, 3) == "[CLS] bye bye [SEP]" and tight.cut_rows(call)[3]
    numbered = text(folder, tokens=13, turns=3, speakers=True)  # of those that are left, the first is s1
    assert words_of(numbered, call, 3) == "[CLS] s1 : price [SEP] s2 : bye bye bye [SEP]"


def test_a_turn_that_did_not_fit_makes_no_row_stale(folder):
    extractor = text(folder, tokens=8, turns=3)
    other = material([CALL[0], ("bob", "no no no no"), *CALL[2:]])
    assert identities(extractor, material())[3] == identities(extractor, other)[3]
    assert identities(extractor, material())[2] != identities(extractor, other)[2]


def test_the_spec_says_how_windows_are_made(folder):
    specs = [text(folder, **options).specs["it"] for options in ({}, {"turns": 2}, {"turns": 2, "speakers": True})]
    assert len({spec.fingerprint for spec in specs}) == 3
    assert specs[2].options["turns"] == 2 and specs[2].options["speakers"] is True and "s1:" in specs[2].options["form"]
    assert json.loads(json.dumps(specs[2].to_json())) == specs[2].to_json()


def test_speakers_of_a_corpus_that_names_none_are_no_labels_and_that_is_said(folder):
    call, extractor = material(), text(folder, turns=2, speakers=True)
    nameless = Material(call.root, call.table.assign(speaker=""), call.digest_of)
    assert words_of(extractor, nameless, 1) == "[CLS] hello [SEP] yes no [SEP]"
    [line] = extractor.remarks_on(nameless)
    assert line == "it: the corpus says of no segment who speaks, so turns have no s1:, s2:, …"
    assert extractor.remarks_on(call) == () == text(folder, turns=2).remarks_on(nameless)


def test_a_tokenizer_without_a_separator_has_no_context(folder, tmp_path):
    text_encoder().save_pretrained(tmp_path)
    made = BertTokenizerFast.from_pretrained(folder)
    made.sep_token = None
    made.save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match="has no separator, which turns of context need"):
        text(tmp_path, turns=2)
