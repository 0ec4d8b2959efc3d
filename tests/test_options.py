"""Options come from settings, with their sentences, and from files, with the command line winning."""

from __future__ import annotations

import json
from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner
from msmt.errors import SettingError
from msmt.options import config_option, options_of, taken


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


@click.group()
def group() -> None:
    pass


@group.command()
@options_of(Settings, {"kind": ("a", "b")})
@config_option
def show(**values) -> None:
    click.echo(repr(taken(Settings, values)))


def run(*arguments):
    return CliRunner().invoke(group, ["show", *arguments])


def test_fields_become_options_with_their_sentences():
    shown = run("--help").output
    assert "--size INTEGER" in shown and "Size of it, in metres  [default: 3]" in shown
    assert "--is-open / --no-is-open" in shown and "--kind [a|b]" in shown and "Which kind" in shown
    assert run("--size", "4", "--no-is-open").output == "Settings(size=4, is_open=False, kind='a')\n"
    assert run("--kind", "c").exit_code == 2


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_a_file_holds_options_and_the_command_line_wins(tmp_path, suffix):
    path = tmp_path / f"c{suffix}"
    path.write_text(json.dumps({"size": 7, "is-open": False}))
    assert run("--config", str(path)).output == "Settings(size=7, is_open=False, kind='a')\n"
    assert run("--config", str(path), "--size", "8", "--is-open").output == "Settings(size=8, is_open=True, kind='a')\n"


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
