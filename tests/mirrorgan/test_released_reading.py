"""Files of any Python and PyTorch are read; files that would run code are refused, and nothing in them runs."""

import json
import os
import pickle
import pickletools
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from mirrorgan.drawing import CheckpointError
from mirrorgan.released.convert import convert
from mirrorgan.released.options import Options
from mirrorgan.released.reading import read_captions, read_states

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "captions.pickle"


def python2(theirs, content, path):
    with path.open("wb") as out:
        theirs.dump_python2(content, out)
    return path


# ------------------------------------------------------------------------------------------------- dictionary


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_captions_of_every_python_3_protocol(theirs, file, protocol):
    file.write_bytes(pickle.dumps(theirs.captions_of(), protocol=protocol))
    read = read_captions(file)
    assert read.vocabulary.words == theirs.words
    assert read.test == theirs.captions_of()[1]


def test_captions_as_python_2_wrote_them(theirs, file):
    python2(theirs, theirs.captions_of(), file)
    assert any(op.name == "SHORT_BINSTRING" for op, _, _ in pickletools.genops(file.read_bytes()))
    assert read_captions(file).vocabulary.words == theirs.words


def test_captions_as_python_2_wrote_them_as_text(theirs, file):
    # Protocol 0, the default of Python 2: every `str` is a line with quotes and escapes.
    class AsText(theirs.Python2Pickler):
        dispatch: ClassVar = dict(theirs.Python2Pickler.dispatch)

        def save_text(self, text):
            self.write(pickle.STRING + repr(text.encode("latin1"))[1:].encode() + b"\n")
            self.memoize(text)

        dispatch[str] = save_text

    words = [*theirs.words, "caf\xe9", "o'clock"]
    with file.open("wb") as out:
        AsText(out, protocol=0).dump(theirs.captions_of(words))
    assert b"S'caf\\xe9'\n" in file.read_bytes()
    assert read_captions(file).vocabulary.words == tuple(words)


def write_ids(numbers):
    """The four parts with ids as `numbers` makes them."""

    def write(words):
        by_id, by_word = {numbers(i): w for i, w in enumerate(words)}, {w: numbers(i) for i, w in enumerate(words)}
        return [[[numbers(1), numbers(2)]], [np.array([3, 4])], by_id, by_word]

    return write


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint16, np.dtype(">i8").type, int])
@pytest.mark.parametrize("protocol", [2, 4])
def test_ids_may_be_numpy_s(theirs, file, kind, protocol):
    file.write_bytes(pickle.dumps(write_ids(kind)(theirs.words), protocol=protocol))
    read = read_captions(file)
    assert read.vocabulary.words == theirs.words
    assert (read.train, read.test) == ([[1, 2]], [[3, 4]])


def test_words_in_utf_8_latin_1_and_bytes(theirs, file):
    words = ["<end>", "bird", "caf\xe9", "owl"]
    for encoding in ("utf-8", "latin1"):
        content = [[], [], *theirs.tables([word.encode(encoding) for word in words])]
        for protocol in (2, 4):
            file.write_bytes(pickle.dumps(content, protocol=protocol))
            assert read_captions(file).vocabulary.words == tuple(words)
    python2(theirs, [[], [], OrderedDict(enumerate(words)), theirs.tables(words)[1]], file)
    assert read_captions(file).vocabulary.words == tuple(words)


class Runs:
    """Asks whoever unpickles it to make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_would_run_code_is_refused_and_named(theirs, file, tmp_path, protocol):
    train, test, *tables = theirs.captions_of()
    for content in (Runs(tmp_path / "ran"), [train, [*test, Runs(tmp_path / "ran")], *tables]):
        file.write_bytes(pickle.dumps(content, protocol=protocol))
        with pytest.raises(CheckpointError, match=r"captions.pickle: refused: to open it, posix.system would run"):
            read_captions(file)
    file.write_bytes(b'cbuiltins\neval\n(S\'open("ran", "w")\'\ntR.')
    with pytest.raises(CheckpointError, match=r"builtins.eval would run"):
        read_captions(file)
    file.write_bytes(pickle.dumps([*theirs.captions_of()[:3], np.array([object()], dtype=object)], protocol=2))
    with pytest.raises(CheckpointError, match=r"refused|numpy numbers of kind"):
        read_captions(file)
    assert not (tmp_path / "ran").exists() and not Path("ran").exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t, v, i, w: [t, v, i], r"not the released captions"),
        (lambda t, v, i, w: {"a": 1}, r"not the released captions"),
        (lambda t, v, i, w: [t, v, w, i], "an id is bytes, not a number, in its dictionary"),
        (
            lambda t, v, i, w: [t, v, {k + 1: x for k, x in i.items()}, w],
            r"ids of its 11 words do not run from 0 to 10",
        ),
        (lambda t, v, i, w: [t, v, i, {**w, "owl": 11}], r"ixtoword \(11 words\) and wordtoix \(12\) contradict"),
        (lambda t, v, i, w: [t, v, i, {**w, "bird": 3, "red": 2}], "contradict each other"),
        (lambda t, v, i, w: [t, v, {0: "this", 1: "<end>"}, {"this": 0, "<end>": 1}], "word 0 is 'this', '<end>' is"),
        (lambda t, v, i, w: [t, v, {0: "<end>", 1: "a\nb"}, {"<end>": 0, "a\nb": 1}], r"'a\\nb' is no word \(1 such\)"),
        (lambda t, v, i, w: [[[1, 99]], v, i, w], "a caption names word 99, its dictionary has 11"),
        (lambda t, v, i, w: [["a bird"], v, i, w], "its captions are not lists of ids"),
    ],
)
def test_what_is_no_dictionary(theirs, file, change, complaint):
    python2(theirs, change(*theirs.captions_of()), file)
    with pytest.raises(CheckpointError, match=complaint):
        read_captions(file)


def test_damaged_and_missing_dictionaries(theirs, file, tmp_path):
    whole = python2(theirs, theirs.captions_of(), file).read_bytes()
    for cut in (b"", whole[:40], whole[:-1], b"not a pickle", b"\x80\x02]" + bytes(range(200))):
        file.write_bytes(cut)
        with pytest.raises(
            CheckpointError, match=r"captions.pickle: (damaged|not the released|refused|an empty file|a text)"
        ):
            read_captions(file)
    with pytest.raises(FileNotFoundError, match=r"none\.pickle: no such file"):
        read_captions(tmp_path / "none.pickle")


# ---------------------------------------------------------------------------------------------------- weights


STATE = OrderedDict(weight=torch.arange(6.0).view(2, 3), bias=torch.ones(2), num_batches_tracked=torch.tensor(7))


@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_of_pytorch(tmp_path, zipped):
    torch.save(STATE, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    read = read_states(tmp_path / "x.pth")[""]
    assert read.keys() == {"weight", "bias"}
    assert torch.equal(read["weight"], STATE["weight"])


def test_weights_that_python_2_wrote(theirs, tmp_path):
    # torch.save pickles with what it is given: names then are bytes without an encoding.
    class Python2(pickle._Pickler):
        dispatch = theirs.Python2Pickler.dispatch
        save_text = theirs.Python2Pickler.save_text

    module = type("module", (), {"Pickler": Python2, "dump": lambda x, f, protocol: Python2(f, protocol).dump(x)})
    torch.save(
        {"\xe9.weight": torch.ones(2), "module.x": torch.zeros(3)}, tmp_path / "x.pth",
        pickle_module=module, _use_new_zipfile_serialization=False,
    )  # fmt: skip
    raw = (tmp_path / "x.pth").read_bytes()
    assert b"U\x08module.x" in raw  # SHORT_BINSTRING of eight bytes
    assert read_states(tmp_path / "x.pth")[""].keys() == {"\xe9.weight", "x"}


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_that_would_run_code_are_refused_and_named(tmp_path, zipped):
    for content in ({**STATE, "x": Runs(tmp_path / "ran")}, torch.nn.Sequential(torch.nn.Linear(2, 2))):
        torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
        with pytest.raises(CheckpointError, match=r"x.pth: refused: to open it, (posix.system|torch.nn.*) would run"):
            read_states(tmp_path / "x.pth")
    assert not (tmp_path / "ran").exists()


def test_damaged_weights(tmp_path):
    path = tmp_path / "x.pth"
    for zipped in (True, False):
        torch.save(STATE, path, _use_new_zipfile_serialization=zipped)
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(
            CheckpointError,
            match=r"x.pth: (damaged|not a file of PyTorch weights|refused|a zip archive, .* damaged)",
        ):
            read_states(path)
    for raw in (b"", b"<html>moved</html>"):
        path.write_bytes(raw)
        with pytest.raises(CheckpointError, match=r"x.pth: (an empty file|a web page)"):
            read_states(path)
    torch.save({"x": torch.zeros(3, dtype=torch.complex64)}, path)
    with pytest.raises(CheckpointError, match=r"x is a tensor of kind torch.complex64"):
        read_states(path)
    with pytest.raises(FileNotFoundError):
        read_states(tmp_path / "none.pth")


# ---------------------------------------------------------------------------------------------- command line


def test_the_command_converts_and_complains(theirs, tmp_path):
    torch.save(theirs.RnnEncoder(11, 7, 8).state_dict(), tmp_path / "text_encoder200.pth")
    python2(theirs, theirs.captions_of(), tmp_path / "captions.pickle")
    convert([tmp_path], tmp_path / "ours", Options(partial=True))
    assert (
        json.loads((tmp_path / "ours/text_encoder.json").read_text(encoding="utf-8"))["config"]["vocabulary_size"] == 11
    )
    assert set(json.loads((tmp_path / "ours/released.json").read_text(encoding="utf-8"))["files"]) == {
        "captions.pickle", "text_encoder200.pth"
    }  # fmt: skip
    command = [sys.executable, "-m", "mirrorgan.released", str(tmp_path), "--out", str(tmp_path / "more")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, encoding="utf-8")
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: half of a set: no generator (netG*.pth), no cnn_encoder.ckpt")
    assert "Traceback" not in ran.stderr
