"""IEMOCAP as it lies on disk: two dialogues of five utterances of each actor in each session, and what can be wrong."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from msmt.errors import CorpusError, SettingError
from msmt.extract.corpora.config import CorpusOptions
from msmt.extract.corpora.contract import Count, Reading
from msmt.extract.corpora.iemocap import read
from msmt.extract.corpora.iemocap_files import is_dialogue, read_annotation, read_transcript
from msmt.extract.corpora.registry import load_corpus
from msmt.extract.corpus_report import lines_of
from msmt.extract.reconcile import reconcile
from msmt.features.schemes import families_of

# In the order of time; the man's utterances are annotated after the woman's.
CATEGORIES = {"F": ("neu", "ang", "exc", "xxx", "sad"), "M": ("hap", "fru", "neu", "sad", "sur")}
PER_DIALOGUE = 10
OF_FOUR, OF_SIX = 7, 8  # of each dialogue


def write_session(release: Path, number: int, called: str = "Session{}", audio: str = "sentences") -> Path:
    home = release / called.format(number)
    for dialogue in (f"Ses0{number}F_impro01", f"Ses0{number}M_script01_1b"):
        annotation, transcript = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""], []
        for who, categories in CATEGORIES.items():
            for index, category in enumerate(categories):
                start = 6.5 * index + (3.25 if who == "M" else 0.0)
                name = f"{dialogue}_{who}{index:03d}"
                time = f"[{start:.4f} - {start + 2:.4f}]"
                annotation += [f"{time}\t{name}\t{category}\t[2.5000, 3.0000, {1.5 + index / 2:.4f}]"]
                annotation += ["C-E2:\tNeutral;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
                transcript.append(f"{name} [{start:08.4f}-{start + 2:08.4f}]: Words of {name}.")
                if audio == "sentences":
                    touch(home / "sentences" / "wav" / dialogue / f"{name}.wav")
        if audio == "dialogues":
            touch(home / "dialog" / "wav" / f"{dialogue}.wav")
        write_lines(home / "dialog" / "EmoEvaluation" / f"{dialogue}.txt", annotation)
        write_lines(home / "dialog" / "transcriptions" / f"{dialogue}.txt", transcript)
        for folder in ("Attribute", "Categorical", "Self-evaluation"):
            write_lines(home / "dialog" / "EmoEvaluation" / folder / f"{dialogue}_e1.txt", annotation)
    return home


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def release(tmp_path):
    """All five sessions, as the archive unpacks."""
    for number in range(1, 6):
        write_session(tmp_path / "IEMOCAP_full_release", number)
    return tmp_path / "IEMOCAP_full_release"


def found(root: Path, **options) -> Reading:
    return read(root, CorpusOptions(**options))


def annotation_of(release: Path, dialogue: str) -> Path:
    return release / f"Session{dialogue[4]}" / "dialog" / "EmoEvaluation" / f"{dialogue}.txt"


def said(reading: Reading, words: str) -> str:
    (line,) = [line for line in reading.notes if words in line]
    return line


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


class TestHalfACorpus:
    def test_sessions_that_are_not_there_are_named_and_the_others_read(self, tmp_path):
        for number in (1, 2, 3):
            write_session(tmp_path, number)
        reading = found(tmp_path)
        assert said(reading, "of 5") == "sessions 4, 5 of 5 are not there, so the standard split has no val and no test"
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
        assert "1 hidden files, such as a Mac leaves, were passed over" in reading.notes
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
