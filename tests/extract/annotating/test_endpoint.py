"""Labelling by a server: what is asked how often, what is kept, and what a server can do wrong."""

from __future__ import annotations

import email.utils
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from msmt.errors import LockedError, SettingError
from msmt.extract.annotating import endpoint as endpoints
from msmt.extract.annotating.annotate import annotate, plan
from msmt.extract.annotating.answering import EndpointError, RefusedError
from msmt.extract.annotating.config import AnnotateOptions
from msmt.extract.annotating.transcripts import of_csv
from msmt.features.durable import writer_lock
from msmt.tests.extract.annotating.made import (
    SECRET,
    Server,
    by_words,
    fails,
    says,
    write_transcripts,
)

TEXTS = ["it is fine", "awful thing", "a table", "it is fine", "", "=fine()"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(endpoints, "FIRST_PAUSE", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)


@pytest.fixture
def serve():
    servers = []

    def start(reply=by_words, seconds=0.0):
        servers.append(Server(reply, seconds))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def labelled(folder, server, texts=TEXTS, say=lambda line: None, **options):
    csv = write_transcripts(folder / "transcripts.csv", texts)
    chosen = AnnotateOptions(**{"endpoint": server.endpoint, "model": "m", **options})
    return annotate(of_csv(csv, "text"), folder / "labels.csv", chosen, say=say)


def read(folder) -> pd.DataFrame:
    return pd.read_csv(folder / "labels.csv", dtype=str, keep_default_na=False)


def test_each_different_text_is_asked_about_once_and_rows_keep_their_columns(tmp_path, serve):
    server = serve()
    made = labelled(tmp_path, server)
    table = read(tmp_path)
    assert table.columns.tolist() == ["id", "text", "label", "unusable"] and table["id"].tolist() == list("012345")
    assert table["label"].tolist() == ["positive", "negative", "neutral", "positive", "", "positive"]
    assert table["unusable"].tolist() == ["", "", "", "", "no text", ""]
    assert len(server.requests) == 4 and made.outcome.requests == 4
    assert table["text"].iloc[-1] == "'=fine()"  # no formula in a spreadsheet
    assert any("=fine()" in request["messages"][0]["content"] for request in server.requests)
    assert all(request["temperature"] == 0 and request["model"] == "m" for request in server.requests)
    assert "positive, negative or neutral" in server.requests[0]["messages"][0]["content"]


def test_running_again_asks_nothing_and_more_transcripts_are_all_that_is_asked(tmp_path, serve):
    server = serve()
    labelled(tmp_path, server)
    before = (tmp_path / "labels.csv").read_bytes()
    again = labelled(tmp_path, server)
    assert len(server.requests) == 4 and (tmp_path / "labels.csv").read_bytes() == before
    assert any("4 settled before, 0 asked now" in line for line in again.lines)
    labelled(tmp_path, server, [*TEXTS, "something new"])
    assert len(server.requests) == 5


@pytest.mark.parametrize(
    "changed", [{"prompt": "{classes}? {text}"}, {"classes": "neutral,positive,negative"}, {"model": "n"}]
)
def test_another_prompt_other_classes_and_another_model_are_asked_anew_and_the_first_is_remembered(
    tmp_path, serve, changed
):
    server = serve()
    labelled(tmp_path, server)
    labelled(tmp_path, server, **changed)
    assert len(server.requests) == 8
    labelled(tmp_path, server)
    assert len(server.requests) == 8


def test_no_more_requests_are_under_way_than_the_limit(tmp_path, serve):
    server = serve(seconds=0.05)
    labelled(tmp_path, server, [f"text {number}" for number in range(12)], concurrency=3)
    assert server.most_at_once == 3 and len(server.requests) == 12


def test_an_answer_outside_the_classes_is_asked_about_again_with_a_reminder_and_then_recorded(tmp_path, serve):
    server = serve(lambda text, number: says("I think it is nice" if number < 3 else "positive"))
    labelled(tmp_path, server, ["some text"])
    assert read(tmp_path)["label"].tolist() == ["positive"] and len(server.requests) == 3
    second = server.requests[1]["messages"]
    assert [each["role"] for each in second] == ["user", "assistant", "user"]
    assert second[1]["content"] == "I think it is nice" and "one of these words alone" in second[2]["content"]
    useless = serve(lambda text, number: says("=HYPERLINK(1) \x1b[31m neither positive nor negative"))
    (tmp_path / "labels.csv.journal").unlink()
    made = labelled(tmp_path, useless, ["some text", "another"], retries_of_answers=1)
    assert len(useless.requests) == 4 and made.is_rubbish
    assert "2 of 2 answers were outside the classes" in made.warnings[0]
    assert "\x1b" not in (tmp_path / "labels.csv").read_text() + "\n".join(made.warnings)
    labelled(tmp_path, useless, ["some text", "another"], retries_of_answers=1)
    assert len(useless.requests) == 4  # settled, though useless


@pytest.mark.parametrize(
    "trouble",
    [
        fails(500, "oops"),
        fails(503),
        fails(429, "slow down"),
        fails(429, "slow down", {"retry-after": "0.05"}),
        "drop",
        b"<html>no json</html>",
        (200, {}, {"choices": []}),
        (200, {}, {"unexpected": True}),
    ],
)
def test_what_may_pass_is_tried_again_and_nothing_is_lost(tmp_path, serve, trouble):
    server = serve(lambda text, number: trouble if number in (1, 2) else by_words(text, number))
    made = labelled(tmp_path, server)
    assert made.outcome.labels["it is fine"] == "positive" and len(made.outcome.labels) == 4
    assert len(server.requests) == 6


@pytest.mark.parametrize("as_date", [False, True])
def test_all_requests_wait_as_long_as_the_server_asks(tmp_path, serve, as_date):
    moments = []

    def reply(text, number):
        moments.append(time.monotonic())
        wait = email.utils.formatdate(time.time() + 2.0, usegmt=True) if as_date else "1"
        return fails(429, "wait", {"retry-after": wait}) if number == 1 else by_words(text, number)

    labelled(tmp_path, serve(reply), ["one text"])
    assert moments[1] - moments[0] > 0.8  # a date has whole seconds


def test_a_server_that_asks_for_too_long_a_wait_ends_it(tmp_path, serve):
    server = serve(lambda text, number: fails(429, "later", {"retry-after": "86400"}))
    with pytest.raises(EndpointError, match="asks to wait 86,400 seconds; answers that came are in the journal"):
        labelled(tmp_path, server, ["one text"])
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("reply", "said", "requests"),
    [
        (fails(401, f"bad key {SECRET}"), r"401, bad key \(key\); the key in OPENAI_API_KEY is refused", 1),
        (fails(403, "no"), "403, no; the key in OPENAI_API_KEY is refused", 1),
        (
            fails(404, "no such model"),
            "404, no such model; check --endpoint, which mostly ends with /v1, and --model",
            1,
        ),
        (fails(429, "pay", code="insufficient_quota"), "the account has no quota left", 1),
        (fails(500, "broken"), r"answers with status 500 \(broken\), 3 times", 3),
        ("drop", "cannot be reached, or drops the connection", 3),
    ],
)
def test_what_will_not_pass_ends_it_in_one_line(tmp_path, serve, reply, said, requests):
    server = serve(lambda text, number: reply)
    with pytest.raises(EndpointError, match=said) as raised:
        labelled(tmp_path, server, ["one text"], retries=2)
    assert len(server.requests) == requests and SECRET not in str(raised.value) and "\n" not in str(raised.value)
    assert not (tmp_path / "labels.csv").exists()


def test_a_slow_server_is_given_so_many_seconds(tmp_path, serve):
    with pytest.raises(EndpointError, match="gives no answer within 0.1 seconds, 2 times"):
        labelled(tmp_path, serve(seconds=1.0), ["one text"], timeout=0.1, retries=1)


def test_what_came_before_a_failure_is_not_asked_again(tmp_path, serve):
    server = serve(lambda text, number: by_words(text, number) if number < 4 else fails(401, "expired"))
    with pytest.raises(EndpointError):
        labelled(tmp_path, server, [f"text {number}" for number in range(8)], concurrency=1)
    after = serve()
    labelled(tmp_path, after, [f"text {number}" for number in range(8)])
    assert len(after.requests) == 5


def test_one_text_that_is_refused_is_recorded_and_a_server_that_refuses_all_is_not_asked_on(tmp_path, serve):
    server = serve(lambda text, number: fails(400, "too long") if "awful" in text else by_words(text, number))
    made = labelled(tmp_path, server, concurrency=1)
    assert made.outcome.refused == 1 and read(tmp_path)["unusable"].iloc[1] == "refused with status 400 (too long)"
    wrong = serve(lambda text, number: fails(400, "max_tokens is unknown"))
    with pytest.raises(RefusedError, match="every request is refused; the last: .*max_tokens is unknown"):
        labelled(tmp_path, wrong, [f"new {number}" for number in range(40)], concurrency=1)
    assert len(wrong.requests) == 5


def test_the_key_is_sent_but_never_written_or_shown(tmp_path, serve, capsys):
    server = serve(lambda text, number: says(f"positive {SECRET}"))
    lines = []
    made = labelled(tmp_path, server, say=lines.append)
    assert server.headers[0]["authorization"] == f"Bearer {SECRET}"
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"(key)" in written and SECRET.encode() not in written
    client = endpoints.Endpoint(AnnotateOptions(endpoint=server.endpoint, model="m"))
    shown = [*lines, *made.lines, *made.warnings, capsys.readouterr().out, repr(vars(client)), repr(client._hides)]
    assert not any(SECRET in each for each in shown)


def test_a_key_that_no_header_may_hold_is_refused_without_being_shown(tmp_path, serve, monkeypatch):
    monkeypatch.setenv("MY_KEY", "two\nlines")
    with pytest.raises(SettingError, match="the variable MY_KEY holds no key") as raised:
        labelled(tmp_path, serve(), key_variable="MY_KEY")
    assert "two" not in str(raised.value)


def test_a_key_and_texts_that_go_far_unencrypted_are_mentioned(monkeypatch):
    far = endpoints.Endpoint(AnnotateOptions(endpoint="http://example.org/v1", model="m"))
    assert "unencrypted" in far.remarks[0] and SECRET not in far.remarks[0]
    assert not endpoints.Endpoint(AnnotateOptions(endpoint="http://localhost:1/v1", model="m")).remarks


def test_a_plan_counts_what_is_left_and_sends_nothing(tmp_path, serve):
    server = serve()
    labelled(tmp_path, server, TEXTS[:2])
    csv = write_transcripts(tmp_path / "transcripts.csv", TEXTS)
    options = AnnotateOptions(endpoint=server.endpoint, model="m", prompt="xxxx{text}", answer_tokens=3)
    lines = plan(of_csv(csv, "text"), tmp_path / "labels.csv", options)
    assert lines[0] == "6 rows, 4 different texts, 1 without text" and "4 requests to make" in lines[1]
    # (4 + 10, 11, 7, 7 letters) / 4, rounded up, and 8 around each
    assert (
        lines[2].startswith(f"{4 + 4 + 3 + 3 + 4 * 8} tokens of prompts (estimated")
        and "at most 12 of answers" in lines[2]
    )
    same = AnnotateOptions(endpoint=server.endpoint, model="m")
    assert "2 texts settled" in plan(of_csv(csv, "text"), tmp_path / "labels.csv", same)[1]
    assert len(server.requests) == 2


def test_two_runs_do_not_write_one_file(tmp_path, serve):
    with writer_lock(tmp_path / "labels.csv"), pytest.raises(LockedError, match="is being written by"):
        labelled(tmp_path, serve())


def test_a_kill_loses_the_requests_under_way_alone(tmp_path, serve):
    texts = [f"text {number}" for number in range(30)]
    csv = write_transcripts(tmp_path / "transcripts.csv", texts)
    slow = serve(seconds=0.1)
    command = [sys.executable, "-m", "msmt", "annotate", str(csv), "-o", str(tmp_path / "labels.csv"), "--model", "m"]
    command += ["--endpoint", slow.endpoint, "--concurrency", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    while len(slow.requests) < 8:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    asked = {request["messages"][0]["content"] for request in slow.requests}
    journal = tmp_path / "labels.csv.journal"
    kept = journal.read_bytes().count(b"\n")
    assert len(asked) - 2 <= kept <= len(asked) and not (tmp_path / "labels.csv").exists()
    with open(journal, "ab") as file:
        file.write(b'0bad0bad {"key": "half of a li')
    rest = serve()
    labelled(tmp_path, rest, texts)
    assert len(rest.requests) == 30 - kept and len(read(tmp_path)) == 30
    assert journal.read_bytes().count(b"\n") == 30 and b"half of a li" not in journal.read_bytes()
