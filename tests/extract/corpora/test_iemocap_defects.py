"""IEMOCAP as it should not be: half of it, or with files and lines that are missing, odd or there twice."""

from __future__ import annotations

import re

import pytest
from msmt.errors import CorpusError
from msmt.extract.corpora.config import CorpusOptions
from msmt.extract.corpora.iemocap_files import read_annotation, read_transcript
from msmt.extract.corpora.registry import load_corpus
from msmt.features.schemes import families_of
from msmt.tests.extract.corpora.iemocap_made import (
    OF_FOUR,
    annotation_of,
    found,
    said,
    touch,
    write_lines,
    write_session,
)


@pytest.fixture
def release(tmp_path):
    """All five sessions, as the archive unpacks."""
    for number in range(1, 6):
        write_session(tmp_path / "IEMOCAP_full_release", number)
    return tmp_path / "IEMOCAP_full_release"


class TestHalfACorpus:
    def test_sessions_that_are_not_there_are_named_and_the_others_read(self, tmp_path):
        for number in (1, 2, 3):
            write_session(tmp_path, number)
        reading = found(tmp_path)
        assert said(reading, "of 5") == "sessions 4, 5 of 5 are not there"
        assert said(reading, "standard").startswith("the standard split has no val and no test: ")
        assert families_of({"schemes": reading.schemes})["sessions"] == ("session1", "session2", "session3")
        assert dict(zip(reading.items["extra_session"], reading.items["scheme_session3"], strict=True)) == {
            "1": "val",
            "2": "train",
            "3": "test",
        }

    def test_schemes_that_leave_nothing_to_learn_from_are_not_made(self, tmp_path):
        write_session(tmp_path, 5)
        reading = found(tmp_path)
        assert not reading.schemes and not [name for name in reading.items if name.startswith("scheme_")]
        assert said(reading, "no scheme sessions") and said(reading, "no scheme speakers")

    def test_a_session_without_annotation_is_left_out_and_its_files_named(self, release):
        for path in (release / "Session2" / "dialog" / "EmoEvaluation").glob("*.txt"):
            path.unlink()
        reading = found(release)
        assert said(reading, "session 2") == (
            "session 2: Session2 has no dialog/EmoEvaluation, so the session is left out as a whole"
        )
        assert len(reading.orphans) == 20 and {aside.reason for aside in reading.orphans} == {
            "for session 2 has no annotation"
        }

    def test_nothing_of_the_classes_that_are_asked_for_is_one_line(self, tmp_path):
        write_session(tmp_path, 1)
        for path in tmp_path.glob("Session1/dialog/EmoEvaluation/*.txt"):
            path.write_text(re.sub(r"\t[a-z]{3}\t", "\txxx\t", path.read_text()))
        with pytest.raises(CorpusError, match="nothing of iemocap that was asked for is there"):
            load_corpus("iemocap", tmp_path)
        assert len(load_corpus("iemocap", tmp_path, of_corpus=CorpusOptions(classes="all")).table) == 20

    def test_a_session_without_audio_is_read_and_said_to_have_none(self, tmp_path):
        write_session(tmp_path, 1)
        write_session(tmp_path, 2, audio="none")
        reading = found(tmp_path)
        assert "session 2 in the folder itself, no audio" in reading.arrangement
        assert "14 of 28 items have no audio file: an extraction lists them" in load_corpus("iemocap", tmp_path).notes

    def test_the_last_session_without_audio_takes_the_schemes_with_it_that_would_test_it(self, tmp_path):
        for number in range(1, 6):
            write_session(tmp_path, number, audio="sentences" if number < 5 else "none")
        corpus = load_corpus("iemocap", tmp_path)
        assert set(corpus.table["split"]) == {"train", "val"} and not corpus.facts
        assert not [name for name in corpus.table if name.startswith("scheme_")]
        assert "the schemes sessions are left out, for session4 would have no val" in corpus.notes
        texts = load_corpus("iemocap", tmp_path, modalities="text")
        assert set(families_of(texts.facts)) == {"sessions", "speakers"} and set(texts.table["split"]) >= {"test"}

    def test_transcripts_that_are_not_there_leave_empty_texts(self, release):
        (release / "Session1" / "dialog" / "transcriptions" / "Ses01F_impro01.txt").unlink()
        for path in (release / "Session2" / "dialog" / "transcriptions").glob("*.txt"):
            path.unlink()
        reading = found(release)
        assert said(reading, "no transcript").startswith("Ses01F_impro01: no transcript is there")
        assert said(reading, "Session2") == "session 2: Session2 has no dialog/transcriptions, so its texts are empty"
        empty = reading.items["text"] == ""
        assert set(reading.items["recording_id"][empty]) == {"Ses01F_impro01", "Ses02F_impro01", "Ses02M_script01_1b"}


class TestWhatIsWrong:
    def test_an_utterance_without_a_file_and_a_file_without_an_utterance(self, release):
        folder = release / "Session1" / "sentences" / "wav" / "Ses01F_impro01"
        (folder / "Ses01F_impro01_F000.wav").rename(folder / "Ses01F_impro01_F077.wav")
        touch(folder / "._Ses01F_impro01_F001.wav")
        reading = found(release)
        (orphan,) = reading.orphans
        assert orphan.name.endswith("Ses01F_impro01_F077.wav") and orphan.reason == "for no annotation names them"
        assert reading.items["audio"][0].endswith("Ses01F_impro01/Ses01F_impro01_F000.wav")
        assert "passed over: 1 hidden file, such as a Mac leaves" in reading.notes
        assert "1 of 70 items have no audio file: an extraction lists them" in load_corpus("iemocap", release).notes

    def test_files_of_utterances_of_other_emotions_are_no_orphans(self, release):
        assert not found(release).orphans

    def test_lines_that_cannot_be_read_are_named_and_left_out(self, release):
        path = annotation_of(release, "Ses01F_impro01")
        text = path.read_text()
        text = text.replace("[0.0000 - 2.0000]\tSes01F_impro01_F000\tneu\t[2.5000, 3.0000, 1.5000]", "[0.0000 - 2.0")
        text = text.replace("Ses01F_impro01_F001\tang\t[2.5000, 3.0000", "Ses01F_impro01_F001\tang\t[2.5000, many")
        path.write_text(text.replace("[13.0000 - 15.0000]\tSes01F", "[nan - 15.0000]\tSes01F"))
        reading = found(release)
        reason = "its line in the annotation cannot be read"
        asides = [aside for aside in reading.left_out if aside.reason == reason]
        assert [aside.name for aside in asides] == ["[0.0000 - 2.0", "Ses01F_impro01_F001", "Ses01F_impro01_F002"]
        where = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
        assert said(reading, reason) == f"{where} line 3, {where} line 7, {where} line 11: {reason}"
        assert len(reading.items) == 10 * OF_FOUR - 3

    def test_a_category_that_there_is_not_an_utterance_twice_and_one_of_another_session(self, release):
        path = annotation_of(release, "Ses01F_impro01")
        lines = path.read_text().splitlines()
        more = [lines[2].replace("\tneu", "\tang"), lines[6].replace("F001\tang", "F007\tjoy")]
        path.write_text("\n".join([*lines, *more, lines[10].replace("Ses01F", "Ses02F")]))
        reading = found(release)
        last = len(lines) + 1
        assert [(aside.name, aside.reason, aside.origin) for aside in reading.left_out[:3]] == [
            (name, reason, f"Session1/dialog/EmoEvaluation/Ses01F_impro01.txt line {last + place}")
            for place, (name, reason) in enumerate(
                [
                    ("Ses01F_impro01_F000", "it is annotated twice, and the first is taken"),
                    ("Ses01F_impro01_F007", "its category 'joy' is none of IEMOCAP"),
                    ("Ses02F_impro01_F002", "it lies in Session1 but is of session 2"),
                ]
            )
        ]
        assert reading.items["extra_category"][0] == "neu" and len(reading.items) == 10 * OF_FOUR

    def test_transcripts_in_latin_1_are_read_and_named(self, release):
        path = release / "Session1" / "dialog" / "transcriptions" / "Ses01F_impro01.txt"
        path.write_bytes(path.read_bytes().replace(b"Words of Ses01F_impro01_F000.", b"I\x92m at the caf\xe9\x81."))
        reading = found(release)
        assert reading.items["text"][0] == "I’m at the café\x81."
        assert said(reading, "latin-1") == (
            "Session1/dialog/transcriptions/Ses01F_impro01.txt: not UTF-8, and read as Windows-1252 (latin-1)"
        )

    def test_odd_lines_of_transcripts_are_named_and_those_of_nobody_counted(self, release):
        path = release / "Session1" / "dialog" / "transcriptions" / "Ses01F_impro01.txt"
        lines = path.read_text().splitlines()
        lines[0] = "Ses01F_impro01_F000 no time and no colon"
        lines += [
            "M: [LAUGHTER]",
            "",
            "Ses01F_impro01_MXX0 [041.0000-042.0000]: Hm.",
            lines[1].replace("Words", "Swords"),
        ]
        write_lines(path, lines)
        reading = found(release)
        where = "Session1/dialog/transcriptions/Ses01F_impro01.txt"
        assert said(reading, "cannot be read").startswith(f"{where} line 1: these lines of transcripts cannot be read")
        assert said(reading, "another transcript").startswith(f"{where} line {len(lines)}: ")
        assert said(reading, "no annotation").startswith(
            "Ses01F_impro01_MXX0: they have a transcript but no annotation"
        )
        assert reading.items["text"][0] == "" and reading.items["text"][2] == "Words of Ses01F_impro01_F001."

    def test_folders_of_single_annotators_are_not_read(self, release):
        write_lines(
            release / "Session1" / "dialog" / "EmoEvaluation" / "Attribute" / "Ses01F_impro99.txt",
            ["[0.0000 - 2.0000]\tSes01F_impro99_F000\tneu\t[2.5000, 3.0000, 1.5000]"],
        )
        assert "Ses01F_impro99" not in set(found(release).items["recording_id"])

    def test_a_file_that_is_no_text_is_refused_by_name(self, release):
        annotation_of(release, "Ses01F_impro01").write_bytes(b"\0\1\2")
        with pytest.raises(CorpusError, match="Ses01F_impro01.txt: is no text of a dialogue"):
            found(release)

    def test_an_annotation_that_holds_nothing_is_named(self, release):
        annotation_of(release, "Ses01F_impro01").write_text("% nothing\n")
        reading = found(release)
        assert said(reading, "holds no utterance").startswith("Session1/dialog/EmoEvaluation/Ses01F_impro01.txt")
        for path in release.glob("Session*/dialog/EmoEvaluation/*.txt"):
            path.write_text("")
        with pytest.raises(CorpusError, match="no annotation of IEMOCAP holds an utterance"):
            found(release)

    def test_lines_may_end_as_on_windows_and_begin_with_a_byte_order_mark(self, tmp_path):
        path = tmp_path / "Ses01F_impro01.txt"
        line = "[6.2901 - 8.2357]\tSes01F_impro01_F000\tNEU\t[2.5000, 2.5000, 2.5000]"
        path.write_bytes(b"\xef\xbb\xbf" + f"{line}\r\nC-E2:\tNeutral;\t()\r\n".encode())
        (utterance,) = read_annotation(path, "here").utterances
        assert (utterance.start, utterance.category, utterance.origin) == (6.2901, "neu", "here line 1")
        path.write_bytes(b"Ses01F_impro01_F000 [006.2901-008.2357]:Excuse me.\r\n")
        assert read_transcript(path, "here").texts == {"Ses01F_impro01_F000": "Excuse me."}
