"""Options come from settings, with their sentences, and from files, with the command line winning."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from msmt.errors import SettingError
from msmt.options import Commands, config_option, options_of, taken


@dataclass(frozen=True)
class Settings:
    """Some settings."""

    size: int = 3
    """Size of it, in metres."""

    is_open: bool = True
    """Whether it is open."""

    kind: str = "a"
    """Which
    kind."""

    share: float = 0.5
    """Share of it."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise SettingError(f"size must be at least 1, but is {self.size}")
        if self.share > self.size:
            raise SettingError("what is part of it cannot be larger")


@click.group(cls=Commands)
def group() -> None:
    pass


@group.command()
@options_of(Settings, {"kind": ("a", "b")})
@click.option("--times", type=click.IntRange(1, 9), default=1)
@click.option("--channel", default="mean")
@click.option("--word", multiple=True)
@click.option("--out", type=click.Path(path_type=Path))
@config_option
def show(times, channel, word, out, **values) -> None:
    click.echo(repr(taken(Settings, values)))
    if "--" in word:
        click.echo(f"{times} {channel} {word} {out}")
    if out:
        out.read_text()


def run(*arguments):
    return CliRunner().invoke(group, ["show", *arguments])


def test_fields_become_options_with_their_sentences():
    shown = run("--help").output
    assert "--size INTEGER" in shown and "Size of it, in metres  [default: 3]" in shown
    assert "--is-open / --no-is-open" in shown and "--kind [a|b]" in shown and "Which kind" in shown
    assert run("--size", "4", "--no-is-open").output == "Settings(size=4, is_open=False, kind='a', share=0.5)\n"
    assert run("--kind", "c").exit_code == 2


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_a_file_holds_options_and_the_command_line_wins(tmp_path, suffix):
    path = tmp_path / f"c{suffix}"
    path.write_text(json.dumps({"size": 7, "is-open": False}))
    assert run("--config", str(path)).output == "Settings(size=7, is_open=False, kind='a', share=0.5)\n"
    told = run("--config", str(path), "--size", "8", "--is-open").output
    assert told == "Settings(size=8, is_open=True, kind='a', share=0.5)\n"


def test_a_file_may_have_a_section_per_command(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("show:\n  size: 5\n")
    assert "size=5" in run("--config", str(path)).output


@pytest.mark.parametrize(
    ("text", "reason"),
    [("sise: 7", "has no option 'sise'"), ("- 1", "must hold options by name"), ("a: [", "is not valid YAML")],
)
def test_a_file_that_makes_no_sense_is_named(tmp_path, text, reason):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(SettingError, match=reason):
        CliRunner().invoke(group, ["show", "--config", str(path)], catch_exceptions=False)


def refused(*arguments) -> str:
    """The one line in which the arguments are refused."""
    with pytest.raises(SettingError) as caught:
        CliRunner().invoke(group, ["show", *arguments], catch_exceptions=False)
    line = str(caught.value)
    assert len(line.splitlines()) == 1 and len(line) <= 1000
    return line


@pytest.mark.parametrize(
    "text, said",
    [
        *((f"{name}:", f"{name} is blank: give it a value") for name in ("size", "kind", "out", "word")),
        ("is-open: null", "is_open is blank"),
        ("size: 2.9", "size must be of type int, but is 2.9"),
        ("size: true", "size must be of type int, but is True"),
        ("size: '3'", "size must be of type int, but is '3'"),
        ("size: 2026-01-31", "size must be of type int, but is '2026-01-31'"),
        ("size: [3]", "size must be of type int, but is [3]"),
        ("size: 0", "size must be at least 1, but is 0"),
        ("is_open: 2", "is_open must be of type bool, but is 2"),
        ("is_open: no", "is_open must be of type bool, but is 'no'"),
        ("share: .inf", "share must be of type float, but is '.inf'"),
        ("share: {a: 1}", "share must be of type float"),
        ("kind: c", "kind: 'c' is not one of 'a', 'b'"),
        ("kind: [a]", "kind must be of type str, but is ['a']"),
        ("kind: 1", "kind must be of type str, but is 1: write it in quotes"),
        ("times: 10", "times: 10 is not in the range 1<=x<=9"),
        ("word: x", "word must be a list, such as [a, b], but is 'x'"),
        ("word: [x, 1]", "word must be of type str, but is 1"),
        ('out: "a\\0b"', "out must be text in one line, but holds the character U+0000"),
        ("size: 3\nsize: 4", "'size' stands there twice"),
        ("is-open: true\nis_open: true", "is_open stands there twice, with - and with _"),
        ("config: c.yaml", "has no option 'config'"),
        ("help: true", "has no option 'help'"),
        ("show: 3", "show must hold options by name, but is 3"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_file_and_name(tmp_path, text, said):
    (tmp_path / "c.yaml").write_text(text)
    line = refused("--config", str(tmp_path / "c.yaml"))
    assert line.startswith(f"{tmp_path / 'c.yaml'}: ") and said in line


def test_values_that_do_not_go_together_name_the_file_only_if_it_holds_one_of_them(tmp_path):
    (tmp_path / "c.yaml").write_text("share: 2.5")
    line = refused("--config", str(tmp_path / "c.yaml"), "--size", "2")
    assert line.startswith(f"{tmp_path / 'c.yaml'}: share: what is part of it")
    (tmp_path / "c.yaml").write_text("kind: b")
    assert refused("--config", str(tmp_path / "c.yaml"), "--size", "0") == "size must be at least 1, but is 0"


def test_text_that_may_be_a_number_alone_may_be_written_as_one(tmp_path):
    (tmp_path / "c.yaml").write_text("channel: 1\nword: [a, --]\ntimes: 2\nshare: 1e-1\n")
    shown = run("--config", str(tmp_path / "c.yaml")).output
    assert "share=0.1)" in shown and "2 1 ('a', '--') None" in shown


@pytest.mark.parametrize("content", ["epochs: 3 # 中".encode("gb18030"), "size: 3".encode("utf-16"), b"size: 3\0"])
def test_a_file_of_another_encoding_is_refused(tmp_path, content):
    (tmp_path / "c.yaml").write_bytes(content)
    assert refused("--config", str(tmp_path / "c.yaml")).endswith("save it as UTF-8")


@pytest.mark.parametrize("argument", ["a\0b", "a\nb", "\x1b[31mred", "caf\udce9", "x" * 20_000])
def test_arguments_that_no_command_can_use_are_refused(argument):
    assert refused("--out", argument).startswith("argument 3 ")
    assert refused("--config", argument).startswith("argument 3 ")


def test_failures_of_files_are_one_line(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    for path, said in (
        (tmp_path / "none", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (tmp_path / "loop", "Too many levels of symbolic links"),
        (tmp_path / "file" / "x", "Not a directory"),
        (tmp_path / ("x" * 5000), "File name too long"),
    ):
        assert said in refused("--out", str(path))
