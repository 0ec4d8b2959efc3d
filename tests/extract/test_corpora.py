"""What every adapter promises, whatever the layout of its corpus."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from msmt.errors import CorpusError, SettingError
from msmt.extract.corpora.config import GenericOptions
from msmt.extract.corpora.corpus import Corpus
from msmt.extract.corpora.registry import load_corpus
from msmt.features.segments import segment_table

HEADER = ("recording", "audio", "number", "text", "label", "split")
ROWS = (
    ("r1", "r1_2.wav", "2", "and goodbye", "A", "train"),
    ("r1", "r1_1.wav", "1", "hello", "A", "train"),
    ("r2", "r2_1.wav", "1", "null", "B", "train"),
    ("r3", "r3_1.wav", "1", "NA", "A", "val"),
    ("r4", "r4_10.wav", "10", "ten", "B", "test"),
    ("r4", "r4_9.wav", "9", "nine", "B", "test"),
)


def changed(row: int, **cells: str) -> list[tuple[str, ...]]:
    """ROWS with some cells of one row, counted from 0, replaced."""
    rows = [list(cells_of_row) for cells_of_row in ROWS]
    for name, value in cells.items():
        rows[row][HEADER.index(name)] = value
    return [tuple(cells_of_row) for cells_of_row in rows]


class AdapterContract:
    """A subclass says how its layout spells HEADER and ROWS, and how it is loaded."""

    names: dict[str, str]  # column of HEADER -> column of the csv
    of_one_file = ("r1_1", "r1_2")  # two segments of r1 in r1_1.wav
    of_other_files = ("r1_2", "r4_9")  # segments of r1 and r4 in r4_9.wav

    def load(self, folder: Path) -> Corpus:
        raise AssertionError("a subclass loads")

    def files_of(self, rows) -> dict[str, tuple[tuple[str, ...], list]]:
        """By file name, the columns of HEADER it has, and its rows."""
        raise AssertionError("a subclass lays out")

    def place(self, row: int) -> str:
        """File and row where ROWS[row] stands."""
        raise AssertionError("a subclass knows")

    def write(self, folder: Path, rows=ROWS, encoding: str = "utf-8") -> Path:
        (folder / "audio").mkdir(parents=True)
        for row in ROWS:
            (folder / "audio" / row[HEADER.index("audio")]).write_bytes(b"sound")
        for name, (columns, content) in self.files_of(rows).items():
            with open(folder / name, "w", encoding=encoding, newline="") as file:
                writer = csv.writer(file)
                writer.writerow(self.names[column] for column in columns)
                writer.writerows([row[HEADER.index(column)] for column in columns] for row in content)
        return folder

    def first_file(self, folder: Path) -> Path:
        return folder / next(iter(self.files_of(ROWS)))

    def refuse(self, folder: Path, *words: str) -> str:
        with pytest.raises(CorpusError) as caught:
            self.load(folder)
        message = str(caught.value)
        assert "\n" not in message
        for word in words:
            assert word in message
        return message

    def test_the_table_has_the_columns_of_every_segment_table(self, tmp_path):
        corpus = self.load(self.write(tmp_path / "data"))
        assert list(corpus.table.columns) == list(segment_table(corpus.table, corpus.tasks).columns)
        assert corpus.table.dtypes.equals(segment_table(corpus.table, corpus.tasks).dtypes)

    def test_segments_of_a_recording_stand_together_in_the_order_of_their_numbers(self, tmp_path):
        table = self.load(self.write(tmp_path / "data")).table
        assert table["recording_id"].tolist() == ["r1", "r1", "r2", "r3", "r4", "r4"]
        assert table["index"].tolist() == [1, 2, 1, 1, 9, 10]

    def test_text_that_spells_a_missing_value_stays_text(self, tmp_path):
        texts = self.load(self.write(tmp_path / "data")).table["text"].tolist()
        assert texts == ["hello", "and goodbye", "null", "NA", "nine", "ten"]

    def test_segments_are_named_after_their_audio_files(self, tmp_path):
        table = self.load(self.write(tmp_path / "data")).table
        assert table["segment_id"].tolist() == ["r1_1", "r1_2", "r2_1", "r3_1", "r4_9", "r4_10"]

    def test_segments_whose_audio_files_share_a_name_are_numbered(self, tmp_path):
        folder = self.write(tmp_path / "data", changed(0, audio="r1_1.wav"))
        named = self.load(folder).table["segment_id"].tolist()
        assert named == [*self.of_one_file, "r2_1", "r3_1", "r4_9", "r4_10"]
        folder = self.write(tmp_path / "other", changed(0, audio="r4_9.wav"))
        second, last = self.of_other_files
        assert self.load(folder).table["segment_id"].tolist() == ["r1_1", second, "r2_1", "r3_1", last, "r4_10"]

    def test_paths_lead_from_the_data_folder_to_the_files(self, tmp_path):
        corpus = self.load(self.write(tmp_path / "data"))
        assert all((corpus.root / path).is_file() for path in corpus.table["audio"])

    def test_every_segment_knows_its_row(self, tmp_path):
        origins = self.load(self.write(tmp_path / "data")).origins
        assert origins["r1_2"] == self.place(0) and origins["r4_9"] == self.place(5)

    def test_an_audio_file_may_be_named_without_its_extension(self, tmp_path):
        corpus = self.load(self.write(tmp_path / "data", changed(2, audio="r2_1")))
        assert corpus.table["audio"][2] == "audio/r2_1.wav"

    def test_empty_transcripts_are_kept_and_counted(self, tmp_path):
        corpus = self.load(self.write(tmp_path / "data", changed(2, text="  \t ")))
        assert corpus.table["text"][2] == ""
        assert "1 of 6 segments have an empty transcript" in corpus.notes

    def test_a_corpus_in_order_needs_no_remarks(self, tmp_path):
        assert self.load(self.write(tmp_path / "data")).notes == ()

    @pytest.mark.parametrize("encoding", ["gbk", "gb18030"])
    def test_chinese_code_pages_are_read_and_named(self, tmp_path, encoding):
        rows = [row[:3] + ("您好，我想了解一下",) + row[4:] for row in ROWS]
        corpus = self.load(self.write(tmp_path / "data", rows, encoding))
        assert set(corpus.table["text"]) == {"您好，我想了解一下"}
        assert any("GB18030" in note for note in corpus.notes)

    def test_a_byte_order_mark_is_no_part_of_the_first_column(self, tmp_path):
        corpus = self.load(self.write(tmp_path / "data", encoding="utf-8-sig"))
        assert any("byte order mark" in note for note in corpus.notes)

    def test_a_missing_folder_is_named(self, tmp_path):
        self.refuse(tmp_path / "nowhere", str(tmp_path / "nowhere"), "--data")

    def test_a_folder_without_a_csv_is_named(self, tmp_path):
        (tmp_path / "data").mkdir()
        self.refuse(tmp_path / "data", str(tmp_path / "data"))

    def test_a_folder_without_audio_is_named(self, tmp_path):
        folder = self.write(tmp_path / "data")
        os.rename(folder / "audio", folder / "sounds")
        self.refuse(folder, str(folder / "audio"))

    def test_a_missing_column_is_named_beside_those_that_are_there(self, tmp_path):
        folder = self.write(tmp_path / "data")
        file = self.first_file(folder)
        file.write_text(file.read_text().replace(self.names["text"], "words", 1))
        self.refuse(folder, file.name, "row 1", f"column {self.names['text']} missing", "words")

    def test_an_empty_csv_is_named(self, tmp_path):
        folder = self.write(tmp_path / "data")
        self.first_file(folder).write_text("\n \n")
        self.refuse(folder, self.first_file(folder).name, "is empty")

    def test_a_csv_with_a_header_only_is_named(self, tmp_path):
        folder = self.write(tmp_path / "data")
        file = self.first_file(folder)
        file.write_text(file.read_text().splitlines()[0] + "\n")
        self.refuse(folder, file.name, "no rows")

    def test_where_most_audio_files_are_missing_the_first_is_named_with_the_count_of_all(self, tmp_path):
        folder = self.write(tmp_path / "data")
        files = sorted((folder / "audio").iterdir())
        for file in files:
            if file.name not in ("r1_1.wav", "r1_2.wav"):
                file.unlink()
        self.refuse(folder, self.place(2), "audio/r2_1.wav", "of 6")

    def test_one_missing_audio_file_keeps_its_name_and_is_left_to_the_extraction(self, tmp_path):
        folder = self.write(tmp_path / "data")
        (folder / "audio" / "r2_1.wav").unlink()
        assert "audio/r2_1.wav" in set(self.load(folder).table["audio"])

    @pytest.mark.parametrize("path", ["../../r2_1.wav", "/etc/hostname"])
    def test_a_path_that_leads_out_of_the_data_folder_is_refused(self, tmp_path, path):
        self.refuse(self.write(tmp_path / "data", changed(2, audio=path)), self.place(2), "outside")

    def test_an_audio_cell_must_not_be_empty(self, tmp_path):
        self.refuse(self.write(tmp_path / "data", changed(2, audio=" ")), self.place(2), self.names["audio"], "empty")

    def test_a_recording_must_have_an_id(self, tmp_path):
        self.refuse(
            self.write(tmp_path / "data", changed(2, recording=" ")), self.place(2), self.names["recording"], "empty"
        )

    @pytest.mark.parametrize("number", ["", "one", "1.5", "99999999999"])
    def test_a_segment_number_must_be_whole(self, tmp_path, number):
        self.refuse(
            self.write(tmp_path / "data", changed(2, number=number)),
            self.place(2),
            self.names["number"],
            "whole number",
        )

    def test_a_segment_number_may_look_like_a_spreadsheet_wrote_it(self, tmp_path):
        assert self.load(self.write(tmp_path / "data", changed(0, number="2.0"))).table["index"][1] == 2

    def test_a_segment_number_must_not_repeat_within_a_recording(self, tmp_path):
        self.refuse(
            self.write(tmp_path / "data", changed(1, number="2")), self.place(1), self.place(0), "r1", "number 2"
        )

    def test_a_label_must_not_change_within_a_recording(self, tmp_path):
        self.refuse(
            self.write(tmp_path / "data", changed(1, label="B")), self.place(1), self.place(0), "r1", "'A'", "'B'"
        )

    def test_a_recording_must_not_be_in_two_splits(self, tmp_path):
        rows = changed(1, split="val", recording="r2", label="B")
        self.refuse(self.write(tmp_path / "data", [rows[1], *rows[2:]]), "r2", "'train'", "'val'")

    def test_one_class_only_is_refused(self, tmp_path):
        rows = [row[:4] + ("A",) + row[5:] for row in ROWS]
        self.refuse(self.write(tmp_path / "data", rows), "'A'", "one class only")


class TestMarketCallsInThreeFiles(AdapterContract):
    names = {"recording": "phone", "audio": "Audio_id", "number": "Segment_number", "text": "text", "label": "label"}

    def load(self, folder):
        return load_corpus("marketcalls", folder)

    def files_of(self, rows):
        return {
            f"{split}.csv": (HEADER[:-1], [row for row in rows if row[-1] == split])
            for split in ("train", "val", "test")
        }

    def place(self, row):
        return [
            "train.csv row 2",
            "train.csv row 3",
            "train.csv row 4",
            "val.csv row 2",
            "test.csv row 2",
            "test.csv row 3",
        ][row]


class TestMarketCallsInOneFile(AdapterContract):
    names = TestMarketCallsInThreeFiles.names | {"split": "split"}

    def load(self, folder):
        return load_corpus("marketcalls", folder)

    def files_of(self, rows):
        return {"calls.csv": (HEADER, rows)}

    def place(self, row):
        return f"calls.csv row {row + 2}"


class TestGeneric(AdapterContract):
    of_one_file = ("r1_1:1", "r1_1:2")
    of_other_files = ("r4_9:2", "r4_9:9")
    names = {
        "recording": "dialogue",
        "audio": "audio",
        "number": "turn",
        "text": "transcript",
        "label": "mood",
        "split": "part",
    }

    def load(self, folder):
        options = GenericOptions(
            recording_column="dialogue",
            segment_column="turn",
            text_column="transcript",
            label_columns="mood",
            split_column="part",
        )
        return load_corpus("generic", folder, options)

    def files_of(self, rows):
        return {"segments.csv": (HEADER, rows)}

    def place(self, row):
        return f"segments.csv row {row + 2}"

    def test_the_split_removed_is_refused_for_it_is_msmts_own(self, tmp_path):
        rows = [row[:-1] + ("removed",) if row[0] == "r4" else row for row in ROWS]
        self.refuse(self.write(tmp_path / "data", rows), self.place(4), "cannot be called removed")

    def test_other_columns_are_kept_where_that_is_asked(self, tmp_path):
        folder = self.write(tmp_path / "data")
        options = GenericOptions(
            text_column="transcript", label_columns="mood", split_column="part", keep_columns="all"
        )
        table = load_corpus("generic", folder, options).table
        assert table["extra_dialogue"].tolist() == ["r1", "r1", "r2", "r3", "r4", "r4"]
        assert [column for column in table if column.startswith("extra_")] == ["extra_dialogue", "extra_turn"]


def test_a_dataset_that_is_not_known_is_refused(tmp_path):
    with pytest.raises(SettingError, match="marketcalls or generic"):
        load_corpus("melt", tmp_path)


def test_options_of_the_generic_corpus_do_not_go_unheard_with_another(tmp_path):
    with pytest.raises(SettingError, match="generic only"):
        load_corpus("marketcalls", tmp_path, GenericOptions(text_column="words"))
