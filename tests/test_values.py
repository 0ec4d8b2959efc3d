"""Files of settings are read in one way, and nothing in them is taken for something else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from msmt.errors import SettingError
from msmt.values import check_kinds, check_most, for_field, from_text, read_file

DEEP = 100_000


def written(tmp_path, content: str | bytes, name: str = "c.yaml") -> Path:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path / name


def refused(path: Path) -> str:
    """The one line in which a file is refused, without its name."""
    with pytest.raises(SettingError) as caught:
        read_file(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ") and len(line.splitlines()) == 1 and len(line) <= 1000
    return line.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3),
        ("-2", -2),
        ("0.5", 0.5),
        ("1e-4", 1e-4),
        (".5", 0.5),
        ("true", True),
        ("False", False),
        ("", None),
        ("~", None),
        ("null", None),
        ("'3'", "3"),
        ('"a\\tb"', "a\tb"),
        ("[1, a]", [1, "a"]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        # what YAML of 2005 takes for a truth value, an octal number, 640 seconds, a date, and infinity
        *((text, text) for text in ("no", "on", "010", "10:40", "2026-01-31", ".inf", "nan", "0x10", "1_000", "+1")),
        ("9" * 1001, "9" * 1001),
    ],
)
def test_a_value_is_what_it_looks_like(tmp_path, text, value):
    read = read_file(written(tmp_path, f"key: {text}\n"))
    assert read == {"key": value} and type(read["key"]) is type(value)


def test_names_are_text_whatever_they_look_like(tmp_path):
    assert list(read_file(written(tmp_path, "1: a\ntrue: b\n1.50: c\n'null': d\n"))) == ["1", "true", "1.50", "null"]


@pytest.mark.parametrize("name", ["c.yaml", "c.json"])
def test_a_file_may_begin_with_a_byte_order_mark(tmp_path, name):
    assert read_file(written(tmp_path, '{"名": "值"}'.encode("utf-8-sig"), name)) == {"名": "值"}


@pytest.mark.parametrize("name", ["c.yaml", "c.json"])
@pytest.mark.parametrize(
    "content, said",
    [
        ('{"名": 1}'.encode("gb18030"), "is not UTF-8 (line 1): save it as UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "is not UTF-8 (line 1): save it as UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), "holds NUL characters: save it as UTF-8"),
        (b'{"a": "' + b"x" * 1_000_000 + b'"}', "has over 1,000,000 bytes"),
        (b'{"a": 1, "b": 2, "a": 3}', "'a' stands there twice"),
        (b'{"a": {"b": [{"c": 1, "c": 2}]}}', "'c' stands there twice"),
        (b'{"a": ' + b"[" * 20 + b"]" * 20 + b"}", "nested too deep"),
        (b"[" * DEEP + b"]" * DEEP, "nested too deep"),
        (b'{"a": [', "is not valid "),
        (b'{"a\\nb": 1}', "must be text in one line, but holds the character U+000A: 'a\\nb'"),
    ],
)
def test_a_file_that_is_none_of_settings_is_refused_in_one_line(tmp_path, name, content, said):
    assert said in refused(written(tmp_path, content, name))


@pytest.mark.parametrize(
    "text, said",
    [
        ("a: &x [1]\nb: *x\n", "line 1 has an anchor or an alias: write the value out"),
        ("a: *x\n", "line 1 has an anchor or an alias"),
        ("a: !!binary AAAA\n", "line 1 has the tag tag:yaml.org,2002:binary"),
        ("a: !!python/object/apply:os.system [ls]\n", "line 1 has the tag"),
        ("a: 1\n[1, 2]: 3\n", "line 2 has a name that is no text"),
        ("a: 1\n? {b: 2}\n: 3\n", "line 2 has a name that is no text"),
        ("~: 1\n", "line 1 has a blank name"),
        ("a: 1\n---\nb: 2\n", "a second document begins in line"),
        ("{a: " * DEEP, "nested too deep"),
        ("{" * DEEP, "line 1 has a name that is no text"),
        ("- " * DEEP, "nested too deep"),
        ("a: 1\n b: 2\n", "is not valid YAML (line 2: "),
    ],
)
def test_what_yaml_has_beyond_plain_values_is_refused(tmp_path, text, said):
    assert said in refused(written(tmp_path, text))


def test_aliases_that_multiply_are_refused_before_they_do(tmp_path):
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))]
    assert "has an anchor" in refused(written(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize("word", ["NaN", "Infinity", "9" * 5000, "'a'"])
def test_json_holds_numbers_only(tmp_path, word):
    assert "is not valid" in refused(written(tmp_path, f'{{"a": {word}}}', "c.json"))


def test_files_that_cannot_be_read_are_named(tmp_path):
    assert "cannot be read (No such file or directory)" in refused(tmp_path / "none.yaml")
    assert "cannot be read (Is a directory)" in refused(tmp_path)
    with pytest.raises(SettingError, match="cannot be read .File name too long"):
        read_file(tmp_path / ("x" * 5000))
    with pytest.raises(SettingError, match="cannot be read .embedded null byte"):
        read_file(tmp_path / "a\0b")


@pytest.mark.parametrize(
    "value, kind, meant",
    [(3, int, 3), (3, float, 3), ("1e-4", float, 1e-4), (0.5, float, 0.5), ("x", str, "x"), (False, bool, False)],
)
def test_a_value_of_the_right_type_is_taken(value, kind, meant):
    taken = for_field("size", value, kind)
    assert taken == meant and type(taken) is type(meant)


@pytest.mark.parametrize("kind", [bool, int, float, str])
@pytest.mark.parametrize(
    "value",
    [None, [1], {"a": 1}, 2.9, True, 3, "3", "fast", ".inf", b"x", "a\nb", "a\0b", "\ud800", 10**400, 10**5000],
    ids=lambda value: type(value).__name__,
)
def test_nothing_is_rounded_or_taken_for_something_else(value, kind):
    fits = type(value) is kind or (kind is float and value in (3, "3"))
    if fits and not (isinstance(value, str) and kind is str and not value.isprintable()):
        assert for_field("size", value, kind) == (3.0 if value == "3" and kind is float else value)
        return
    with pytest.raises(SettingError) as caught:
        for_field("size", value, kind)
    assert str(caught.value).startswith("size ") and len(str(caught.value)) < 200


def test_words_of_the_command_line_follow_the_rules_of_files():
    assert from_text("n", "3", int) == 3 and from_text("n", "true", bool) is True and from_text("n", "3", str) == "3"
    assert from_text("n", "1e-4", float) == 1e-4 and from_text("n", "3", float) == 3
    for text, kind in (("2.9", int), ("1_0", int), ("010", int), ("1", bool), ("yes", bool), ("x", float)):
        with pytest.raises(SettingError, match="n must be of type"):
            from_text("n", text, kind)


def test_settings_are_checked_whoever_makes_them():
    @dataclass(frozen=True)
    class Settings:
        count: int = 1
        name: str = ""

    for wrong in (Settings(count=True), Settings(count=1.5), Settings(name=None), Settings(name="a\x1b[0m")):
        with pytest.raises(SettingError, match="must be"):
            check_kinds(wrong)
    with pytest.raises(SettingError, match="count must be at most 5, but is 6"):
        check_most(Settings(count=6), {"count": 5, "other": 1})


def test_what_was_written_by_json_is_read_by_both(tmp_path):
    content = {"seeds": [0, 7], "variants": {"a": {"mtl": False, "dropout": 0.25, "learning_rate": 1e-05, "x": ""}}}
    for name in ("c.json", "c.yaml"):
        assert read_file(written(tmp_path, json.dumps(content, indent=2), name)) == content
