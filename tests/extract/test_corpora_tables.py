from __future__ import annotations

import pytest
from msmt.errors import CorpusError
from msmt.extract.corpora.tables import read_csv


def written(tmp_path, content: str | bytes):
    path = tmp_path / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_every_field_is_text_without_space_around_it(tmp_path):
    rows = read_csv(written(tmp_path, "a,b,c\n 007 ,NA,\n1.0,\u3000,None\n"), ["a", "b"]).rows
    assert rows.values.tolist() == [["007", "NA", ""], ["1.0", "", "None"]]


def test_rows_are_numbered_as_a_spreadsheet_does(tmp_path):
    table = read_csv(written(tmp_path, 'a,b\n1,"two\nlines\nmore"\n\n2,x\n,\n3,y\n'), ["a"])
    assert table.rows.index.tolist() == [2, 4, 6]
    assert table.origins == ["rows.csv row 2", "rows.csv row 4", "rows.csv row 6"]
    assert table.notes == ["rows.csv has 2 blank rows, which were passed over"]


def test_lines_may_end_in_any_way(tmp_path):
    for ending in ("\n", "\r\n", "\r"):
        assert len(read_csv(written(tmp_path, ending.join(["a,b", "1,2", "3,4", ""])), ["a"]).rows) == 2


@pytest.mark.parametrize(
    ("encoding", "named"),
    [("utf-8", []), ("utf-8-sig", ["UTF-8 with a byte order mark"]), ("utf-16", ["UTF-16"]), ("gbk", ["GB18030"])],
)
def test_the_encoding_is_found_and_named_unless_it_is_plain(tmp_path, encoding, named):
    table = read_csv(written(tmp_path, "text\n不需要，谢谢\n".encode(encoding)), ["text"])
    assert table.rows["text"].tolist() == ["不需要，谢谢"]
    assert len(table.notes) == len(named) and all(name in note for name, note in zip(named, table.notes, strict=True))


def test_utf8_with_a_broken_byte_is_not_taken_for_a_code_page(tmp_path):
    content = "text\n您好您好您好\n再见".encode() + b"\xff\n"
    with pytest.raises(CorpusError, match="rows.csv: line 3 is damaged"):
        read_csv(written(tmp_path, content), ["text"])


def test_bytes_of_no_known_encoding_are_refused(tmp_path):
    with pytest.raises(CorpusError, match="line 2 is neither UTF-8 nor GB18030"):
        read_csv(written(tmp_path, b"text\nabc \xff\n"), ["text"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\ufeff\n", "is empty"),
        (",,\n1,2,3\n", "the first row is blank"),
        ("a,b\n", "no rows"),
        ("a,b\n,\n", "no rows"),
        ("b\n1\n", r"row 1: column a missing; it has b"),
        ("b;a\n1;2\n", "separated by semicolons"),
        ("b\ta\n1\t2\n", "separated by tabs"),
        ("a,b,a\n1,2,3\n", "row 1: column a is there more than once"),
        ("a,b\n1,2\n1,2,3\n", "row 3: has 3 fields, but the header has 2"),
        ('a,b\n1,"x\ny"\n1\n', "row 3: has 1 fields, but the header has 2"),
        ('a,b\n1,2\n1,"open\n2,3\n', "row 3: unexpected end of data"),
        ('a,b\n1,"x"y\n', "row 2: .*doubled"),
        ("a,b\n1,2\n3,\0\n", "row 3: holds NUL characters"),
        ("\0a,b\n1,2\n", "row 1: holds NUL characters"),
        (",".join(f"c{number}" for number in range(100_000)) + "\n", "column a missing"),
    ],
)
def test_what_cannot_be_read_is_refused_with_file_and_row(tmp_path, content, message):
    with pytest.raises(CorpusError, match=message) as caught:
        read_csv(written(tmp_path, content), ["a"])
    assert "rows.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CorpusError, match="none.csv: there is no such file"):
        read_csv(tmp_path / "none.csv", ["a"])


def test_a_folder_is_no_csv(tmp_path):
    with pytest.raises(CorpusError, match="cannot be read"):
        read_csv(tmp_path, ["a"])
