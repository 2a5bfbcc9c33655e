"""Files of strangers: what is in them is read or named, none of their code runs, and reading them ends."""

import collections
import gzip
import io
import json
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save

from mirrorgan.checkpoint import read_tensors
from mirrorgan.drawing import CheckpointError
from mirrorgan.manifest import read_json, write_manifest
from mirrorgan.untrusted import Numbers, as_text, load_torch, read_pickle, readable, stored
from mirrorgan.vocabulary import Vocabulary

READERS = {
    "a.json": read_json, "b.json": Vocabulary.load, "c.safetensors": read_tensors, "d.pickle": read_pickle,
    "e.pth": load_torch,
}  # fmt: skip


# ------------------------------------------------------------------------------------------------- regular files


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "loop", "long", "null"])
def test_only_regular_files_are_opened(tmp_path, name, kind):
    path = tmp_path / name
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind in ("device", "loop"):
        path.symlink_to("/dev/zero" if kind == "device" else path)
    else:
        path = tmp_path / ("n" * 5000 + name if kind == "long" else "\0" + name)
    said = {"pipe": "a pipe", "folder": "a folder", "device": "a device"}.get(kind, "cannot be read")
    with pytest.raises(CheckpointError, match=said):
        READERS[name](path)


@pytest.mark.parametrize("name", READERS)
def test_a_name_that_is_no_utf_8_is_shown_and_read(tmp_path, name):
    path = tmp_path / os.fsdecode(b"\xff\xe9" + name.encode())
    with pytest.raises(FileNotFoundError) as caught:
        READERS[name](path)
    assert str(caught.value).encode() and "\\xff\\xe9" in str(caught.value)
    path.write_bytes(save({"a": torch.ones(2)}))
    if name == "c.safetensors":
        assert torch.equal(read_tensors(path)["a"], torch.ones(2))


def test_a_manifest_is_not_written_over_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(CheckpointError, match=r"x\.json: a pipe"):
        write_manifest(tmp_path, {})


def test_every_text_can_be_shown():
    assert readable("Flügel 鳥 a b") == "Flügel 鳥 a b"
    assert readable("a\nb\x1b[31m\udcff") == "a\\nb\\x1b[31m\\xff"


# ---------------------------------------------------------------------------------------------------------- JSON


@pytest.mark.parametrize("reader", [read_json, Vocabulary.load])
@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"[" * 50_000, "nested too deeply"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested too deeply"),
        (b'{"words": ' + b"[" * 150 + b"]" * 150 + b"}", "nested too deeply; 100"),
        (b'{"a": NaN}', "NaN is no finite number"),
        (b'{"a": [1, {"b": -Infinity}]}', "-Infinity is no finite number"),
        (b'{"a": 1e999}', "1e999 is no finite number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a": "\\ud83d"}', r"\\ud83d, half of a character"),
        (b'{"a": "\xe9"}', "not JSON"),
        ('{"a": 1}'.encode("utf-16"), "not JSON"),
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 12\n", "a Git LFS pointer to a file of 12 bytes"),
        (b"<!doctype html><title>404</title>", r"a web page \('404'\)"),
    ],
)
def test_json_that_cannot_be_is_refused_in_a_sentence(tmp_path, reader, raw, said):
    (tmp_path / "x.json").write_bytes(raw)
    with pytest.raises(CheckpointError, match=rf"x\.json: .*{said}"):
        reader(tmp_path / "x.json")


def test_json_of_any_size_ends(tmp_path):
    with (tmp_path / "x.json").open("wb") as file:
        file.truncate(2**36)  # a file with a hole, of which nothing is on the disk
    with pytest.raises(CheckpointError, match="68,719,476,736 bytes; such a file has 33,554,432 bytes at most"):
        read_json(tmp_path / "x.json")


def test_whole_characters_and_depth_within_bounds_are_read(tmp_path):
    content = {"bird": "\U0001f426", "deep": json.loads("[" * 90 + "]" * 90)}
    (tmp_path / "x.json").write_text(json.dumps(content))
    assert read_json(tmp_path / "x.json") == content
    (tmp_path / "x.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8-sig")
    assert read_json(tmp_path / "x.json") == content


# ------------------------------------------------------------------------------------------------------- pickles


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("content", "plain"),
    [
        (np.float64(2.5), 2.5),
        (np.int32(-3), -3),
        (np.bool_(True), True),
        (np.str_("owl"), "owl"),
        (collections.OrderedDict(a=[1, 2.5, None]), {"a": [1, 2.5, None]}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.defaultdict(list, {3: [4]}), {3: [4]}),
        ({"a": (1, {"b": [True, "é", 2**70]})}, {"a": (1, {"b": [True, "é", 2**70]})}),
    ],
)
def test_plain_content_of_every_protocol(tmp_path, protocol, content, plain):
    (tmp_path / "x.pickle").write_bytes(pickle.dumps(content, protocol=protocol))
    assert read_pickle(tmp_path / "x.pickle") == plain


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", [">i8", "<u2", "f4", "U5", "O"])
def test_arrays_of_numpy_give_what_is_in_them(tmp_path, protocol, kind):
    array = np.array(["3", "10"] if kind == "U5" else [3, 10]).astype(kind)
    (tmp_path / "x.pickle").write_bytes(pickle.dumps([array], protocol=protocol))
    (read,) = read_pickle(tmp_path / "x.pickle")
    assert isinstance(read, Numbers) and list(read) == array.tolist()


TUPLES = b")" + b"\x85" * 300_000


@pytest.mark.parametrize(
    "raw",
    [
        b"\x80\x02}" + TUPLES + b"K\x01s.",  # to hash the key would end the process
        b"\x80\x02}(" + TUPLES + b"K\x01u.",
        b"\x80\x02(" + TUPLES + b"K\x01d.",
        b"\x80\x04\x8f(" + TUPLES + b"\x90.",
        b"\x80\x02ccollections\nOrderedDict\n](]" + TUPLES[:50] + b"aK\x01ee\x85R.",
        b"\x80\x02c_codecs\nencode\n}X\x01\x00\x00\x00aK\x01sb.",  # states for what stands for functions
        b"\x80\x02cnumpy\nndarray\nN}X\x08\x00\x00\x00__iter__K\x01s\x86b.",
        b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b".",
        b"\x80\x02K\x01Q.",
        b"\x80\x02\x82\x01.",
        b"\x80\x05\x97.",
        b"I" + b"9" * 10_000 + b"\n.",
        b"\x80\x02}(K\x01u.",
        b"\x80\x02e.",
        b"\x80\x02h\x07.",
    ],
)
def test_pickles_made_to_do_harm_are_refused(tmp_path, raw):
    (tmp_path / "x.pickle").write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"x\.pickle: "):
        read_pickle(tmp_path / "x.pickle")
    (tmp_path / "x.pickle").write_bytes(pickle.dumps([np.arange(2), b"a"], protocol=2))
    array, text = read_pickle(tmp_path / "x.pickle")  # and nothing that reads the next one has changed
    assert list(array) == [0, 1] and as_text(text) == "a"


def test_a_pickle_takes_no_more_memory_than_it_has_bytes(tmp_path):
    # The number of a thing that may be named again: Python's reader in C makes a table of as many places.
    (tmp_path / "x.pickle").write_bytes(b"\x80\x02Nr\xff\xff\xff\x7f.")
    assert read_pickle(tmp_path / "x.pickle") is None


# ----------------------------------------------------------------------------------------------- PyTorch's files


@pytest.mark.parametrize("zipped", [True, False])
def test_numbers_of_numpy_beside_tensors_are_plain_ones(tmp_path, zipped):
    content = {
        "a": torch.ones(2), "fid": np.float64(3.5), "epoch": np.int64(7), "best": np.bool_(True), "name": np.str_("x"),
        "curve": np.arange(3.0), "half": np.float16(2),
    }  # fmt: skip
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    read = load_torch(tmp_path / "x.pth")
    assert (read["fid"], read["epoch"], read["best"], read["name"], read["half"]) == (3.5, 7, True, "x", 2.0)
    assert list(read["curve"]) == [0.0, 1.0, 2.0] and torch.equal(read["a"], torch.ones(2))


def test_a_view_is_told_from_what_is_stored():
    numbers = torch.zeros(12)
    for whole in (numbers, numbers.view(3, 4).T, numbers[2:5], numbers[::3], numbers.expand(1, 12), torch.zeros(0)):
        assert stored(whole)
    views = [numbers[:1].expand(10**6, 10**6), numbers.as_strided((5, 12), (0, 1)), numbers.unfold(0, 6, 1)]
    for view in [*views, torch.zeros(3, device="meta"), torch.zeros(3).to_sparse()]:
        assert not stored(view)


def test_an_archive_that_unpacks_to_more_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", bytes(10**6))
    with pytest.raises(CheckpointError, match="bytes that unpack to 1,000,000"):
        load_torch(tmp_path / "x.pth")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("build", [b"\x85", b"\x94\x85", b"2\x86"])
def test_a_key_of_tuples_in_tuples_does_not_end_the_process(tmp_path, zipped, build):
    def key_of(levels):
        return b"\x80\x02}" + b")" + build * levels + b"K\x01s."

    def write(content):
        path = tmp_path / "x.pth"
        if zipped:
            with zipfile.ZipFile(path, "w") as archive:
                for name, part in {"data.pkl": content, "version": b"3\n", "byteorder": b"little"}.items():
                    archive.writestr(f"x/{name}", part)
        else:
            head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
            path.write_bytes(b"".join(pickle.dumps(part, 2) for part in head) + content + pickle.dumps([], 2))
        return path

    with pytest.raises(CheckpointError, match="tuples are nested too deeply; 100 levels are allowed"):
        load_torch(write(key_of(200_000)))
    if build == b"\x85":
        ((key, value),) = load_torch(write(key_of(90))).items()
        assert value == 1 and str(key).count("(") == 91


# ---------------------------------------------------------------------------------------- what a file is instead


def packed(kind):
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            for name in ("readme.txt", "models/netG.pth", "a", "b"):
                archive.writestr(name, "x")
    elif kind == "tar":
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("birds/captions.pickle"))
    else:
        np.save(file, np.ones(2))
    return file.getvalue()


WEIGHTS, OLDER = io.BytesIO(), io.BytesIO()
torch.save({"a": torch.arange(3000.0)}, WEIGHTS)
torch.save({"a": torch.arange(3000.0)}, OLDER, _use_new_zipfile_serialization=False)


def crlf(raw):
    return raw.replace(b"\n", b"\r\n")


def as_saved_text(raw):
    return raw.decode("utf-8", "replace").encode()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "an empty file"),
        (
            b"version https://git-lfs.github.com/spec/v1\r\noid sha256:0\r\nsize 28440122\r\n",
            "LFS pointer .*28,440,122",
        ),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html><title>Drive\n- scan</title>", r"a web page \('Drive.*- scan'\)"),
        (b"<HTML><BODY>moved</BODY></HTML>", "a web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML document"),
        (b"Entry not found", "a text that begins with 'Entry not found'"),
        (packed("zip"), r"a zip archive of readme\.txt, models/netG\.pth, a and 1 more, and not PyTorch's; unpack"),
        (packed("tar"), r"a tar archive of birds/captions\.pickle; unpack"),
        (packed("npy"), "a numpy array"),
        (gzip.compress(b"x", mtime=0), "a gzip archive"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "a 7z archive"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "a PNG picture"),
        (save({"a": torch.ones(2)}), "a safetensors file"),
        (WEIGHTS.getvalue()[:-40], "a zip archive, as PyTorch writes, that is damaged or cut short"),
        (crlf(WEIGHTS.getvalue()), r"\(CRLF\)"),
        (crlf(OLDER.getvalue()), r"\(CRLF\)"),
        (as_saved_text(WEIGHTS.getvalue()), "saved as text, in which bytes are lost"),
        (as_saved_text(OLDER.getvalue()), "saved as text, in which bytes are lost"),
        (bytes(range(256)) * 4, "damaged, or not a file of PyTorch weights"),
    ],
)
def test_what_is_no_file_of_weights_is_called_what_it_is(tmp_path, raw, said):
    (tmp_path / "x.pth").write_bytes(raw)
    with pytest.raises(CheckpointError, match=rf"(?s)x\.pth: .*{said}"):
        load_torch(tmp_path / "x.pth")


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_a_pickle_with_line_ends_of_windows_is_called_that(tmp_path, protocol):
    content = ["001.Albatross/Albatross_0001", np.int64(10), {10: "\n", "ten": 10}, "x" * 10]
    raw = pickle.dumps(content, protocol=protocol)
    assert b"\n" in raw
    (tmp_path / "x.pickle").write_bytes(crlf(raw))
    with pytest.raises(CheckpointError, match=r"x\.pickle: .*\(CRLF\)"):
        read_pickle(tmp_path / "x.pickle")


def test_a_program_of_torchscript_is_called_that(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        for name in ("x/constants.pkl", "x/data.pkl", "x/code/__torch__.py"):
            archive.writestr(name, b"\x80\x02).")
    with pytest.raises(CheckpointError, match="a TorchScript program"):
        load_torch(tmp_path / "x.pth")
