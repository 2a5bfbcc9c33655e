"""What every command promises of its console, of its text files and of the files that it writes."""

import argparse
import ast
import errno
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mirrorgan.checkpoint import write_tensors
from mirrorgan.console import escape_unencodable, whole_number
from mirrorgan.files import atomic_write, check_file, check_folder, write_bytes, write_text
from mirrorgan.vocabulary import Vocabulary
from train.publishing.card import CardText, write_card_text

ROOT = Path(__file__).parent.parent
PACKAGES = ("mirrorgan", "app", "train")
SOURCES = [ROOT / "app.py", *(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))]
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
MAINS = {
    name: node for name, tree in TREES.items() for node in tree.body
    if isinstance(node, ast.FunctionDef) and node.name == "main"
}  # fmt: skip


@pytest.mark.parametrize("name", MAINS)
def test_every_command_survives_any_console_from_its_first_line(name):
    first = MAINS[name].body[1 if ast.get_docstring(MAINS[name]) else 0]
    assert ast.unparse(first) == "escape_unencodable()"


def test_every_command_is_known():
    called = {name for name, tree in TREES.items() if "__name__ == '__main__'" in ast.unparse(tree)}
    assert called == set(MAINS) and len(MAINS) > 15


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "shift_jis", "utf-8"])
@pytest.mark.parametrize("text", ["a caf\xe9", "\u9ce5 and \u00b1 and \U0001f426", "half \udce9 a letter"])
def test_any_text_can_be_printed_on_any_console(encoding, text, monkeypatch):
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    escape_unencodable()
    for stream in streams:
        print(text, file=stream, flush=True)
        shown = stream.buffer.getvalue().decode(encoding)
        restored = re.sub(r"\\(?:x(..)|u(....)|U(........))", lambda m: chr(int(m[1] or m[2] or m[3], 16)), shown)
        assert restored == text + "\n"


def test_a_console_that_is_no_file_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)  # pythonw on Windows
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    escape_unencodable()


@pytest.mark.parametrize(
    ("low", "high", "text", "said"),
    [
        (1, None, "0", "expected a whole number of at least 1, not '0'"),
        (1, None, "-3", "of at least 1, not '-3'"),
        (1, None, "2.5", "not '2.5'"),
        (1, None, "many", "not 'many'"),
        (1, None, "", "not ''"),
        (0, 9, "10", "expected a whole number from 0 to 9, not '10'"),
        (0, 9, "nan", "not 'nan'"),
        (0, 9, "1e3", "not '1e3'"),
    ],
)
def test_a_number_out_of_range_is_named_with_the_range(low, high, text, said):
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(said)):
        whole_number(low, high)(text)


@pytest.mark.parametrize("text", ["0", "7", "9", " 3"])
def test_a_number_in_range_is_read(text):
    assert whole_number(0, 9)(text) == int(text)


# --------------------------------------------------------------------------------------------------------- files


NO_TEXT = ("self", "model_worker", "Image", "image", "tarfile", "archive", "os")
"""Whose `open` gives bytes, or no file."""


def text_calls(tree):
    """Calls that read or write text, or start a program and read its text."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        given = [a for a in (*node.args, *(k.value for k in node.keywords)) if isinstance(a, ast.Constant)]
        mode = next((a.value for a in given if re.fullmatch(r"[rwaxbt+]{1,4}", str(a.value))), "r")
        owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        if name == "read_text" or (name == "write_text" and owner):
            yield node, keywords
        elif name == "open" and "b" not in mode and owner not in NO_TEXT:
            if not owner.startswith(("registry", "parts[")) and not owner.endswith("model_worker"):
                yield node, keywords
        elif name in ("run", "Popen", "check_output") and "text" in keywords:
            yield node, keywords


@pytest.mark.parametrize("name", TREES)
def test_every_text_file_is_utf_8_whatever_the_locale(name):
    for node, keywords in text_calls(TREES[name]):
        own = ast.unparse(node.func) in ("read_text", "write_text")  # train.data.datasets.base's
        if not own and not ast.unparse(node.func).startswith("shelf["):
            assert "utf-8" in keywords.get("encoding", ""), f"{name}, line {node.lineno}: say encoding='utf-8'"


class FullDiskError(OSError):
    pass


WRITERS = {
    "text": lambda path: write_text(path, "new"),
    "bytes": lambda path: write_bytes(path, b"new"),
    "weights": lambda path: write_tensors({}, path),
    "vocabulary": lambda path: Vocabulary(("<end>", "a")).save(path),
    "card": lambda path: write_card_text(CardText(opening="caf\xe9"), path),
}


@pytest.mark.parametrize("moment", ["fsync", "replace"])
@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("before", [b"what was there", None])
def test_a_file_is_written_whole_or_left_as_it_was(kind, moment, before, tmp_path, monkeypatch):
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)

    def full(*given):
        raise FullDiskError

    with monkeypatch.context() as patch:
        patch.setattr(os, moment, full)
        with pytest.raises(FullDiskError):
            WRITERS[kind](path)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == ({} if before is None else {"file": before})
    WRITERS[kind](path)
    assert [one.name for one in tmp_path.iterdir()] == ["file"] and path.read_bytes() != before


@pytest.mark.parametrize(
    ("place", "why"),
    [("file/x", "file is a file"), ("file/a/b/x", "file is a file"), ("folder", "it is a folder")],
)
def test_a_file_that_cannot_be_written_is_found_out_before_the_work(place, why, tmp_path):
    (tmp_path / "file").write_bytes(b"kept")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=rf"--out .*{place}: cannot write there \(.*{why}\); name a file"):
        check_file(tmp_path / place, "--out")
    if why == "it is a folder":
        return
    with pytest.raises(OSError, match=rf"--out .*{place}: cannot write there \(.*{why}\); name a folder"):
        check_folder(tmp_path / place, "--out")


@pytest.mark.parametrize("check", [check_file, check_folder])
@pytest.mark.parametrize("number", ["ENOSPC", "EROFS", "EACCES"])
def test_a_place_that_takes_no_file_is_found_out_before_the_work(check, number, tmp_path, monkeypatch):
    code = getattr(errno, number)

    def refuse(dir):
        raise OSError(code, os.strerror(code))

    check(tmp_path / "new/place", "--out")
    assert [path.name for path in (tmp_path / "new").rglob("*") if path.is_file()] == []
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(OSError, match=rf"--out .*place: cannot write there \({os.strerror(code)}\)"):
        check(tmp_path / "new/place", "--out")


def test_what_fails_half_way_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half \udce9 a letter")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as part:
        part.write_bytes(b"half of")
        raise KeyboardInterrupt
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"before"]


ASCII = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}


def test_the_page_s_parts_and_a_card_are_read_and_written_in_an_ascii_locale(tmp_path):
    code = """
import sys, pathlib, locale
assert locale.getpreferredencoding(False).lower() in ("ansi_x3.4-1968", "ascii", "us-ascii", "646")
import app.export
from mirrorgan.console import escape_unencodable
from train.card import CardText, read_card_text, write_card_text
path = pathlib.Path(sys.argv[1]) / "card.json"
text = CardText(opening="A caf\\xe9 \\u2260 a bird \\U0001f426.")
write_card_text(text, path)
assert read_card_text(path) == text
assert b"@@" not in app.export.page({"caption": "\\u9ce5"})
escape_unencodable()
print(text.opening)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, env=ASCII, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == rb"A caf\xe9 \u2260 a bird \U0001f426." + os.linesep.encode()
