"""Errors reach the terminal in one line that cannot steer it, however odd or long what they speak of is."""

from __future__ import annotations

import pytest
from msmt.errors import MsmtError, SettingError, one_line, shown


@pytest.mark.parametrize(
    "text, written",
    [
        ("a\nb", r"a\nb"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("line\u2028break", r"line\u2028break"),
        ("abc\u202etxt.exe", r"abc\u202etxt.exe"),
        ("half \ud800", r"half \ud800"),
        ("无 é 👍🏽", "无 é 👍🏽"),
    ],
)
def test_what_would_steer_a_terminal_is_written_out(text, written):
    assert one_line(text) == written == str(MsmtError(text)) == one_line(written)
    written.encode("utf-8")


def test_a_long_error_keeps_its_beginning_and_its_end():
    line = str(SettingError(f"plan.yaml: {'x' * 10**6}: leave it out"))
    assert len(line) == 1000 and line.startswith("plan.yaml: xxx") and line.endswith("xxx: leave it out")


def test_values_are_shown_cut():
    assert shown("a") == "'a'" and shown([1]) == "[1]" and len(shown("x" * 5000)) == 80
    assert shown(10**5000) == "a huge int" and shown(10**400).startswith("10000")
