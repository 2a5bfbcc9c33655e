import io
import sys
import traceback

import pytest

from app import logs
from app.logs import LINE, LINES, clean


@pytest.mark.parametrize(
    "text", ["", "\n", "a line\n", "two\n  lines\n", "\tat a tab", "птица 🐦 é\n", "x" * LINE + "\n"]
)
def test_an_ordinary_line_stays_as_it_is(text):
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\rb", "a\\rb"),
        ("a\x00\x07b", "a\\x00\\x07b"),
        ("a\u202eb\u2066", "a\\u202eb\\u2066"),
        ("a\u2028b\x85", "a\\u2028b\\x85"),
        ("\ud800", "\\ud800"),
        ("ValueError: x\nINFO: all is well\n", "ValueError: x\n    INFO: all is well\n"),
        ("x" * (LINE + 1234), "x" * LINE + " ... 1,234 more characters"),
    ],
)
def test_what_was_sent_changes_no_terminal_and_makes_no_line_of_the_server(text, written):
    assert clean(text) == written


def test_many_lines_are_cut():
    lines = clean("x\n" * 10_000).split("\n")
    assert len(lines) == LINES + 2 and lines[-2:] == ["    ... 9961 more lines", ""]


def test_a_traceback_with_what_was_sent_is_short_and_on_its_own_lines(monkeypatch):
    out, error = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", error)
    logs.clean_output()
    print("id=a\x1b[0m\nINFO: b", flush=True)
    try:
        raise ValueError("Value: " + "y" * 10**6 + "\nINFO: all is well\r\x1b[1A")
    except ValueError:
        traceback.print_exc()
    sys.stderr.writelines(["one\n", "two\x07\n"])
    assert out.getvalue() == "id=a\\x1b[0m\n    INFO: b\n"
    said = error.getvalue()
    assert len(said) < 3000 and "\x1b" not in said and "\r" not in said and "\nINFO" not in said
    assert said.startswith("Traceback") and said.endswith("one\ntwo\\x07\n")
    assert not sys.stderr.isatty()
