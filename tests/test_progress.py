"""Progress is plain lines when the output is not a terminal, and a bar when it is."""

from __future__ import annotations

import io

from msmt import progress


def test_lines_tell_rate_and_time_left_but_not_too_often(monkeypatch):
    clock = iter([0.0, 1.0, 6.0, 7.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    with progress.for_terminal(stream)("hubert", total=100, unit="segments") as advance:
        for _ in range(3):
            advance(10)
    assert stream.getvalue() == "hubert: 20/100 segments, 3.3 segments/s, 0:24 left\n"


def test_a_terminal_gets_a_bar():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with progress.for_terminal(stream)("hubert", total=2, unit="segments") as advance:
        advance(2)
    assert "hubert" in stream.getvalue()


def test_silence_is_silent(capsys):
    with progress.silent("hubert", total=2) as advance:
        advance(2)
    assert capsys.readouterr() == ("", "")
