"""IEMOCAP as it lies on disk: its arrangements, classes, splits, schemes and counts."""

from __future__ import annotations

import pandas as pd
import pytest
from msmt.errors import CorpusError, SettingError
from msmt.extract.corpora.config import CorpusOptions
from msmt.extract.corpora.contract import Count
from msmt.extract.corpora.iemocap_files import is_dialogue
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.corpus_report import lines_of
from msmt.extract.reconcile import reconcile
from msmt.features.schemes import families_of
from msmt.tests.extract.corpora.iemocap_made import OF_FOUR, found, said, touch, write_session


@pytest.fixture
def release(tmp_path):
    """All five sessions, as the archive unpacks."""
    for number in range(1, 6):
        write_session(tmp_path / "IEMOCAP_full_release", number)
    return tmp_path / "IEMOCAP_full_release"


class TestArrangement:
    def test_sessions_lie_in_the_root_or_in_the_release_s_folder(self, release):
        below, inside = found(release.parent), found(release)
        assert below.arrangement == ("found sessions 1, 2, 3, 4, 5 in IEMOCAP_full_release, a file for each utterance")
        assert inside.arrangement == "found sessions 1, 2, 3, 4, 5 in the folder itself, a file for each utterance"
        columns = ["segment_id", "recording_id", "text", "split"]
        pd.testing.assert_frame_equal(below.items[columns], inside.items[columns])
        assert below.items["audio"][0] == "IEMOCAP_full_release/" + inside.items["audio"][0]

    def test_utterances_are_stretches_where_only_dialogues_are_there(self, tmp_path):
        write_session(tmp_path, 1, audio="dialogues")
        write_session(tmp_path, 2)
        reading = found(tmp_path)
        assert "session 1 in the folder itself, utterances as stretches of dialogues as a whole" in reading.arrangement
        first, other = reading.items.iloc[1], reading.items[reading.items["extra_session"] == "2"].iloc[0]
        assert first["audio"] == "Session1/dialog/wav/Ses01F_impro01.wav" and first["segment_id"].endswith("M000")
        assert (first["start"], first["end"], first["stated"]) == (3.25, 5.25, 2.0)
        assert other["audio"].endswith("sentences/wav/Ses02F_impro01/Ses02F_impro01_F000.wav")
        assert pd.isna(other["start"]) and pd.isna(other["end"]) and not reading.orphans

    def test_dialogues_as_a_whole_are_not_read_where_utterances_are_there(self, release):
        touch(release / "Session1" / "dialog" / "wav" / "Ses01F_impro01.wav")
        touch(release / "Session1" / "dialog" / "avi" / "DivX" / "Ses01F_impro01.avi")
        reading = found(release)
        assert "session 1 in the folder itself, a file for each utterance; the dialogues as a whole are not read" in (
            reading.arrangement
        )
        assert "/sentences/" in reading.items["audio"][0] and not reading.orphans

    def test_folders_are_found_whatever_the_case_of_their_names(self, tmp_path):
        for number in range(1, 4):
            write_session(tmp_path, number, "session_{}" if number == 1 else "SESSION{}")
        (tmp_path / "session_1" / "dialog").rename(tmp_path / "session_1" / "Dialog")
        reading = found(tmp_path)
        assert "found sessions 1, 2, 3 in the folder itself" in reading.arrangement
        assert len(reading.items) == 3 * 2 * OF_FOUR

    def test_two_copies_of_a_session_are_told_apart_or_refused(self, release):
        write_session(release / "copy", 1)
        assert said(found(release), "copy") == "session 1 is taken from Session1; copy/Session1 is not read"
        write_session(release, 1, "session{}")
        with pytest.raises(CorpusError, match="holds both Session1 and session1; name the folder of one with --data"):
            found(release)

    def test_what_is_none_of_it_is_refused_in_one_line(self, tmp_path):
        touch(tmp_path / "Session1" / "sentences" / "wav" / "Ses01F_impro01" / "Ses01F_impro01_F000.wav")
        with pytest.raises(CorpusError, match="holds no Session1 to Session5 with dialog/EmoEvaluation") as raised:
            found(tmp_path)
        assert "\n" not in str(raised.value)
        with pytest.raises(CorpusError, match="there is no such folder"):
            found(tmp_path / "elsewhere")


class TestUtterances:
    def test_are_numbered_within_their_dialogue_by_time(self, release):
        rows = found(release, classes="all").items.iloc[:4]
        assert rows["segment_id"].tolist() == [f"Ses01F_impro01_{each}" for each in ("F000", "M000", "F001", "M001")]
        assert rows["index"].tolist() == [0, 1, 2, 3] and set(rows["recording_id"]) == {"Ses01F_impro01"}
        assert rows["speaker"].tolist() == ["Ses01F", "Ses01M"] * 2
        assert rows["text"][1] == "Words of Ses01F_impro01_M000."
        assert rows["origin"][0] == "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt line 3"

    def test_keep_their_numbers_where_others_are_left_out(self, release):
        first = found(release).items.iloc[:7]
        assert first["index"].tolist() == [0, 1, 2, 4, 5, 7, 8]

    def test_have_valence_activation_and_dominance(self, release):
        row = found(release).items.iloc[2]
        assert (row["label_valence"], row["label_activation"], row["label_dominance"]) == (2.5, 3.0, 2.0)

    def test_are_improvised_or_scripted(self, release):
        table = load_corpus("iemocap", release).table
        assert set(zip(table["recording_id"].str.contains("script"), table["extra_setting"], strict=True)) == {
            (False, "improvised"),
            (True, "scripted"),
        }

    @pytest.mark.parametrize("name", ["Ses01F_impro01", "Ses05M_script01_1b", "Ses03M_impro08b", "Ses02F_script03_2"])
    def test_dialogues_have_such_names(self, name):
        assert is_dialogue(name)

    @pytest.mark.parametrize("name", ["Ses06F_impro01", "Ses01F", "notes", "Ses01F_01", "._Ses01F_impro01"])
    def test_dialogues_have_no_other_names(self, name):
        assert not is_dialogue(name)


class TestClasses:
    def test_excited_is_happy_among_four(self, release):
        reading = found(release)
        task = reading.tasks[0]
        assert task.classes == ("neutral", "angry", "sad", "happy") and len(reading.items) == 10 * OF_FOUR
        by_category = dict(zip(reading.items["extra_category"], reading.items["label_emotion"], strict=True))
        assert by_category == {"neu": 0, "ang": 1, "sad": 2, "exc": 3, "hap": 3}

    def test_six_keep_it_apart(self, release):
        reading = found(release, classes="6")
        assert reading.tasks[0].classes == ("neutral", "frustrated", "angry", "sad", "excited", "happy")
        by_category = dict(zip(reading.items["extra_category"], reading.items["label_emotion"], strict=True))
        assert by_category == {"neu": 0, "fru": 1, "ang": 2, "sad": 3, "exc": 4, "hap": 5}

    def test_what_is_of_other_emotions_is_left_out_and_counted(self, release):
        left_out = pd.Series([aside.reason for aside in found(release).left_out])
        assert left_out.value_counts().to_dict() == {
            "annotators did not agree (xxx)": 10,
            "frustrated, none of the 4 classes": 10,
            "surprised, none of the 4 classes": 10,
        }
        assert said(found(release), "are taken") == "of 100 annotated utterances 70 are taken, by --classes 4"
        notes = load_corpus("iemocap", release).notes
        assert "10 annotated items are left out: annotators did not agree (xxx)" in notes

    def test_or_kept_as_context_without_a_label(self, release):
        reading = found(release, keep_context=True)
        assert len(reading.items) == 100 and not reading.left_out
        assert (reading.items["label_emotion"] == -1).sum() == 30

    def test_all_have_every_category_and_no_label_where_annotators_did_not_agree(self, release):
        reading = found(release, classes="all")
        none = reading.items[reading.items["label_emotion"] == -1]
        assert len(reading.tasks[0].classes) == 10 and set(none["extra_category"]) == {"xxx"} and len(none) == 10
        assert none["label_valence"].notna().all()

    def test_others_are_refused(self, release):
        with pytest.raises(SettingError, match="classes must be 4, 6, all, but is '5'"):
            found(release, classes="5")
        with pytest.raises(SettingError, match="meld knows no --keep-context; leave it out"):
            load_corpus("meld", release, of_corpus=CorpusOptions(keep_context=True))

    def test_what_follows_is_the_next_utterance_that_is_taken(self, release):
        table = load_corpus("iemocap", release).table
        dialogue = table[table["recording_id"] == "Ses01F_impro01"]
        assert dialogue["label_next_emotion"].tolist() == [*dialogue["label_emotion"][1:], -1]
        everything = load_corpus("iemocap", release, of_corpus=CorpusOptions(keep_context=True)).table
        dialogue = everything[everything["recording_id"] == "Ses01F_impro01"]
        assert dialogue["label_next_emotion"].tolist() == [*dialogue["label_emotion"][1:], -1]
        assert dialogue["label_next_emotion"].tolist()[2] == -1  # who is frustrated is context


class TestSplits:
    def test_the_last_session_is_tested_and_the_fourth_validates(self, release):
        items = found(release).items
        assert dict(zip(items["extra_session"], items["split"], strict=True)) == {
            "1": "train",
            "2": "train",
            "3": "train",
            "4": "val",
            "5": "test",
        }

    def test_a_session_is_left_out_and_the_next_validates(self, release):
        corpus = load_corpus("iemocap", release)
        names = families_of(corpus.facts)["sessions"]
        assert names == ("session1", "session2", "session3", "session4", "session5")
        for number, name in enumerate(names, start=1):
            of_split = corpus.table.groupby(f"scheme_{name}")["extra_session"].agg(set)
            assert of_split["test"] == {str(number)} and of_split["val"] == {str(number % 5 + 1)}
            assert len(of_split["train"]) == 3

    def test_a_speaker_is_left_out_and_the_other_of_the_session_validates(self, release):
        corpus = load_corpus("iemocap", release)
        names = families_of(corpus.facts)["speakers"]
        assert len(names) == 10
        tested = []
        for name in names:
            of_split = corpus.table.groupby(f"scheme_{name}")["speaker"].agg(set)
            other = name[:-1] + {"F": "M", "M": "F"}[name[-1]]
            assert of_split["test"] == {name} and of_split["val"] == {other}
            assert of_split["train"] == {*names} - {name, other}
            tested += corpus.table["segment_id"][corpus.table[f"scheme_{name}"] == "test"].tolist()
        assert sorted(tested) == sorted(corpus.table["segment_id"])

    def test_no_scheme_learns_from_a_dialogue_that_it_tests_or_judges_by(self, release):
        table = load_corpus("iemocap", release).table
        for column in (name for name in table if name.startswith("scheme_")):
            of_split = table.groupby(column)["recording_id"].agg(set)
            assert not of_split["train"] & (of_split["test"] | of_split["val"]), column


class TestCounts:
    @staticmethod
    def of(counts: tuple[Count, ...], unit: str = "item", **where) -> list[int]:
        where = {name if name == "emotion" else f"extra_{name}": value for name, value in where.items()}
        return [count.expected for count in counts if dict(count.where) == where and count.unit == unit]

    def test_of_four_classes_are_those_of_the_field(self, release):
        counts = found(release).counts
        assert self.of(counts) == [5531]
        assert [self.of(counts, emotion=name) for name in ("neutral", "angry", "sad", "happy")] == [
            [1708],
            [1103],
            [1084],
            [1636],
        ]
        assert [self.of(counts, category=name) for name in ("exc", "hap")] == [[1041], [595]]
        sessions = [self.of(counts, session=str(number))[0] for number in range(1, 6)]
        assert sum(sessions) == 5531 and (sessions[0], sessions[4]) == (1085, 1241) and sum(sessions[1:4]) == 3205

    def test_of_six_classes_stand_beside_the_number_that_is_quoted(self, release):
        counts = found(release, classes="6").counts
        first, quoted = [count for count in counts if not count.where and count.unit == "item"]
        assert (first.expected, first.source, quoted.expected) == (7380, "", 7433) and "7,380" in quoted.source
        assert self.of(counts, session="5") == [1622]

    def test_the_report_shows_what_is_expected_and_what_is_quoted(self, release):
        lines = lines_of(reconcile(found(release, classes="6")))
        assert any(line.split() == ["items", "80", "≠", "7,380", "(0)"] for line in lines)
        assert any(line.startswith("recordings of session 1 ") for line in lines)
        quoted = "7,433 according to many papers (the counts of the classes make 7,380), -7,353 here"
        assert f"items: {quoted}" in lines

    def test_of_everything_are_of_the_release(self, release):
        for options in ({"classes": "all"}, {"keep_context": True}):
            counts = found(release, **options).counts
            assert self.of(counts) == [10_039] and self.of(counts, category="xxx") == [2507]
            assert self.of(counts, "recording") == [151] and self.of(counts, "speaker") == [10]
            assert [self.of(counts, "recording", session=str(number)) for number in range(1, 6)] == [
                [28],
                [30],
                [32],
                [30],
                [31],
            ]
        of_classes = [count.expected for count in found(release, classes="all").counts if "emotion" in count.where]
        assert sum(of_classes) == 10_039 - 2507
