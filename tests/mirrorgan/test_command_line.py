import errno
import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from mirrorgan import MirrorGAN
from mirrorgan.__main__ import main as draw_from_the_command_line
from mirrorgan.__main__ import read_captions, typed
from tests.mirrorgan.tiny_checkpoint import CAPTION, LONG, ONE_PICTURE, write_checkpoint


def run_command(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["mirrorgan", *map(str, arguments)])
    draw_from_the_command_line()


def test_the_command_writes_stages_maps_and_what_was_read_back(staged, growing, tmp_path, monkeypatch, capsys):
    run_command(monkeypatch, CAPTION, "--checkpoint", staged, "--seed", 3, "--out", tmp_path / "out")
    _, sizes, drawing = growing
    names = {path.name for path in (tmp_path / "out").iterdir()}
    maps = {f"{kind}-{size}.png" for kind in ("words", "sentence") for size in sizes[1:]}
    assert names == maps | {f"{size}.png" for size in sizes} | {"attention.npz", "drawing.json"}
    kept = np.load(tmp_path / "out/attention.npz")
    assert all(np.array_equal(kept[name], one) for name, one in drawing.maps.items())
    said = json.loads((tmp_path / "out/drawing.json").read_text(encoding="utf-8"))["redescription"]["text"]
    assert f"read back       {said}\n" in capsys.readouterr().out


def test_the_command_writes_masks_on_one_scale_and_says_that_nobody_reads(tmp_path, monkeypatch, capsys):
    where = write_checkpoint(
        tmp_path / "ssagan", False, with_captioner=False, system="ssagan", **ONE_PICTURE, mask_channels=3
    )
    run_command(monkeypatch, "a red bird", "--checkpoint", where, "--out", tmp_path / "out")
    masks = [f"mask-16-{size}.png" for size in (4, 8, 16)]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {*masks, "16.png", "attention.npz", "drawing.json"}
    kept = np.load(tmp_path / "out/attention.npz")["mask_16_4"]
    seen = np.asarray(Image.open(tmp_path / "out" / masks[0]).resize((4, 4), Image.Resampling.BOX))
    assert np.abs(seen / 255 - kept).max() < 0.1  # on its own range it would go from 0 to 1
    assert "read back       no: this checkpoint has no captioner; --reader FOLDER" in capsys.readouterr().out


def test_the_command_takes_another_checkpoint_s_captioner(silent, folder, tmp_path, monkeypatch, capsys):
    run_command(monkeypatch, CAPTION, "--checkpoint", silent, "--reader", folder, "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out/drawing.json").read_text(encoding="utf-8"))["redescription"]["words"]
    assert "no captioner" not in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"error: .*no such checkpoint folder"):
        run_command(monkeypatch, CAPTION, "--checkpoint", silent, "--reader", tmp_path / "nobody")


@pytest.mark.parametrize(("typed", "told"), [("0.5", ", truncation 0.5"), ("none", ", no truncation")])
def test_the_command_truncates(dfgan, tmp_path, monkeypatch, typed, told):
    run_command(monkeypatch, CAPTION, "--checkpoint", dfgan, "--truncation", typed, "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out/drawing.json").read_text(encoding="utf-8"))["checkpoint"].endswith(told)


def test_the_command_says_which_truncation_cannot_be(dfgan, folder, monkeypatch):
    for where, given, message in (
        (dfgan, "half", "error: truncation is a number or none, not 'half'"),
        (dfgan, "2", "error: truncation must be in"),
        (folder, "0.5", "error: mirrorgan has no truncation"),
    ):
        with pytest.raises(SystemExit, match=message):
            run_command(monkeypatch, CAPTION, "--checkpoint", where, "--truncation", given)


def test_one_bad_caption_does_not_end_the_others(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    with pytest.raises(
        SystemExit, match=r"^error: 2 of 4 captions were not drawn: caption 1: None .* caption 3: Type a"
    ):
        run_command(monkeypatch, "zzzyx", "a red bird", " ", LONG, "--checkpoint", folder, "--out", out)
    assert sorted(path.name for path in out.iterdir()) == ["02", "04"]
    said = capsys.readouterr().out
    assert "not drawn       caption 3: Type a caption first" in said
    assert "only the first 12 known words were drawn; left out: 'white', 'belly', 'this', 'blue', 'bird'" in said


def test_letters_that_the_console_lacks_do_not_end_the_drawing(folder, tmp_path, monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", console)
    run_command(monkeypatch, "a café bird ≠ \U0001f426", "a bird", "--checkpoint", folder, "--out", tmp_path / "out")
    console.flush()
    assert rb"a caf\xe9 bird \u2260 \U0001f426" in console.buffer.getvalue()
    assert json.loads((tmp_path / "out/01/drawing.json").read_text(encoding="utf-8"))["caption"].startswith("a café")
    assert (tmp_path / "out/02/drawing.json").is_file()


def test_words_of_the_command_line_are_utf_8_whatever_the_locale():
    assert typed("a café".encode().decode("ascii", "surrogateescape")) == "a café"
    assert typed("a café") == "a café"
    assert typed("a \udce9 bird") == "a \udce9 bird"  # is no UTF-8: left for `clean`


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a red bird\na blue bird\n", [1, 2]),
        (b"a red bird\r\n\r\n  \r\na blue bird", [1, 4]),
        (b"\n\na red bird\ra blue bird\r", [3, 4]),
        (b"\xef\xbb\xbfa red bird\n\t\na blue bird\n\n", [1, 3]),
    ],
)
@pytest.mark.parametrize("piped", [False, True])
def test_captions_come_from_a_file_or_from_standard_input(content, lines, piped, tmp_path, monkeypatch):
    path = tmp_path / "captions.txt"
    path.write_bytes(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))
    name = "standard input" if piped else str(path)
    found = read_captions("-" if piped else str(path))
    assert [(place, text.strip()) for place, text in found] == [
        (f"{name}, line {line}", text) for line, text in zip(lines, ["a red bird", "a blue bird"], strict=True)
    ]


def test_the_captions_of_a_file_are_drawn_beside_those_that_were_typed(folder, model, tmp_path, monkeypatch):
    path, out = tmp_path / "captions.txt", tmp_path / "out"
    path.write_text("\na red bird\nzzzyx\n", encoding="utf-8")
    with pytest.raises(
        SystemExit, match=r"error: 1 of 3 captions were not drawn: .*captions\.txt, line 3: None of these"
    ):
        run_command(monkeypatch, "a blue bird", "--file", path, "--seed", 2, "--checkpoint", folder, "--out", out)
    for name, caption in (("01", "a blue bird"), ("02", "a red bird")):
        kept = np.asarray(Image.open(out / name / "64.png"))
        assert np.array_equal(kept, np.asarray(model.draw(caption, 2).image))
    assert not (out / "03").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r": cannot be read \(No such file"),
        (b"", "there is no caption in it; expected one a line"),
        (b"\xef\xbb\xbf\r\n \n", "there is no caption in it"),
        (b"a bird\na caf\xe9\n", "line 2: not UTF-8 \\(byte 0xe9\\); save it as UTF-8"),
        ("a bird\n".encode("utf-16"), "line 1: not UTF-8"),
        ("a bird\n".encode("utf-16-le"), "not a text file"),
        (b"a bird\n" * (2**24 // 7 + 1), "larger than 16 MiB"),
    ],
)
def test_a_file_that_holds_no_captions_is_named(content, said, tmp_path, monkeypatch):
    monkeypatch.setattr(MirrorGAN, "load", None)  # nothing is loaded for it
    if content is not None:
        (tmp_path / "captions.txt").write_bytes(content)
    with pytest.raises(SystemExit, match=f"error: .*captions.txt.*{said}"):
        run_command(monkeypatch, "--file", tmp_path / "captions.txt", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["file", "file/below", "file/far/below"])
@pytest.mark.parametrize("captions", [["a bird"], ["a bird", "a red bird"]])
def test_an_out_that_is_a_file_is_found_out_before_anything_is_loaded(out, captions, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"kept")
    monkeypatch.setattr(MirrorGAN, "load", None)
    with pytest.raises(SystemExit, match=r"error: --out .*: cannot write there \(.*file is a file\); name a folder"):
        run_command(monkeypatch, *captions, "--out", tmp_path / out)
    assert (tmp_path / "file").read_bytes() == b"kept" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("number", ["ENOSPC", "EROFS", "EACCES"])
def test_an_out_that_takes_no_file_is_found_out_before_anything_is_loaded(number, tmp_path, monkeypatch):
    def refuse(dir):
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))

    monkeypatch.setattr(MirrorGAN, "load", None)
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(SystemExit, match=rf"cannot write there \({os.strerror(getattr(errno, number))}\)"):
        run_command(monkeypatch, "a bird", "--out", tmp_path / "new/out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a bird", "--seed", "-1"], "A seed is a whole number from 0 to 4,294,967,295, not -1"),
        (["a bird", "--seed", str(2**32)], "A seed is a whole number"),
        (["a bird", "--truncation", "0"], r"truncation must be in \(0, 1\] or none, not 0"),
        (["a bird", "--truncation", "nan"], "or none, not nan"),
        (["a bird", "--truncation", "half"], "a number or none, not 'half'"),
    ],
)
def test_numbers_out_of_range_are_named_before_anything_is_loaded(arguments, said, tmp_path, monkeypatch):
    monkeypatch.setattr(MirrorGAN, "load", None)
    with pytest.raises(SystemExit, match=f"error: .*{said}"):
        run_command(monkeypatch, *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_any_caption_the_command_asks_for_one(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run_command(monkeypatch)
    assert "type a caption, or name a file of captions with --file" in capsys.readouterr().err
