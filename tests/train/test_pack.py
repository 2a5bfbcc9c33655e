import io
import json
import os
import shutil
import struct
import subprocess
import sys
import warnings
import zlib
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from mirrorgan.drawing import CheckpointError
from mirrorgan.manifest import sha256
from mirrorgan.vocabulary import Vocabulary, tokenize
from train import pack as pack_command
from train.data import packing as module
from train.data.datasets import available_datasets, find_dataset
from train.data.datasets.base import DataError, Example, Listing
from train.data.datasets.shapes import Settings
from train.data.packed import load_packed
from train.data.packing import _Parts, cut_to_box, encode_picture, open_picture, pack, to_rgb

KEYS = ["001.Red_Bird/Red_Bird_0001", "002.Blue_Bird/Blue_Bird_0001"]


def pack_birds(root, out, strict=False, name="birds"):
    return pack(name, root, out, size=32, quality=90, part_size=1, strict=strict)


@pytest.fixture
def root(tmp_path):
    find_dataset("birds").write_example(tmp_path / "birds")
    return tmp_path / "birds"


def picture_of(root, key=KEYS[0]):
    return root / "CUB_200_2011/images" / f"{key}.jpg"


@pytest.mark.parametrize("name", available_datasets())
def test_what_is_packed_comes_back(name, tmp_path):
    find_dataset(name).write_example(tmp_path / "raw")
    listing = find_dataset(name).read(tmp_path / "raw")
    pack_birds(tmp_path / "raw", tmp_path / "packed", name=name)
    captions = [c for examples in listing.splits.values() for e in examples for c in e.captions]
    for split_name, examples in listing.splits.items():
        split = load_packed(tmp_path / "packed", split_name)
        assert len(split) == len(examples) and split.keys == [example.key for example in examples]
        assert split.vocabulary == Vocabulary.from_captions(captions)
        for row, example in enumerate(examples):
            assert int(split.counts[row]) == len(example.captions)
            for which, caption in enumerate(example.captions):
                assert split.vocabulary.decode(split.caption(row, which)) == tokenize(caption)
        same = [[a.group == b.group for a in examples] for b in examples]
        assert (split.groups[:, None] == split.groups[None]).tolist() == same


def test_pictures_come_back_in_their_colours_and_order(root, tmp_path):
    pack_birds(root, tmp_path / "packed")
    split = load_packed(tmp_path / "packed", "train")
    pictures = split.pictures(16)
    assert pictures.shape == (2, 16, 16, 3) and pictures.dtype == np.uint8
    red, blue = pictures.reshape(2, -1, 3).mean(axis=1)
    assert red[0] > 240 > 20 > red[2]
    assert blue[2] > 240 > 20 > blue[0]
    assert np.array_equal(split.pictures(16), pictures)  # mapped from disk this time


def test_pack_json_says_what_is_inside(root, tmp_path):
    said = pack_birds(root, tmp_path / "packed")
    assert said == json.loads((tmp_path / "packed/pack.json").read_text(encoding="utf-8"))
    assert said["counts"] == {"train": 2, "test": 1} and said["left_out"] == {}
    assert set(said["files"]) == {p.name for p in (tmp_path / "packed").iterdir()} - {"pack.json"}


# ---------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 200, (200, 200, 200)),
        ("1", 1, (255, 255, 255)),
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("LA", (0, 0), (255, 255, 255)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
    ],
)
def test_every_kind_of_picture_becomes_rgb_on_white(mode, colour, expected):
    picture = to_rgb(Image.new(mode, (4, 4), colour))
    assert picture.mode == "RGB"
    assert picture.getpixel((1, 1)) == expected


def test_half_transparent_places_are_mixed_with_white():
    red, green, _ = to_rgb(Image.new("RGBA", (1, 1), (255, 0, 0, 128))).getpixel((0, 0))
    assert red == 255 and abs(green - 127) <= 1


def test_a_palette_with_a_transparent_colour_becomes_white_there(tmp_path):
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((0, 0), 1)
    picture.save(tmp_path / "p.png", transparency=1)
    with Image.open(tmp_path / "p.png") as opened:
        rgb = to_rgb(opened)
    assert rgb.getpixel((0, 0)) == (255, 255, 255) and rgb.getpixel((5, 5)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("box", "corners"),
    [
        (None, (0, 0, 100, 80)),
        # r = int(0.75 * 20) = 15 around (40, 30)
        ((30, 20, 20, 20), (25, 15, 55, 45)),
        # the longer side counts: r = int(0.75 * 30) = 22 around (45, 25)
        ((30, 20, 30, 10), (23, 3, 67, 47)),
        # numbers are cut, not rounded: r = int(0.75 * 21.9) = 16, centre int(40.95), int(30.95)
        ((30, 20, 21.9, 21.9), (24, 14, 56, 46)),
        # clipped at the left and the upper border, so no square: r = 15 around (5, 12)
        ((0, 2, 10, 20), (0, 0, 20, 27)),
        # and at the right and the lower one: r = 15 around (95, 75)
        ((85, 65, 20, 20), (80, 60, 100, 80)),
    ],
)
def test_cutting_follows_the_released_rule(box, corners):
    picture = Image.fromarray(np.arange(100 * 80 * 3, dtype=np.uint32).astype(np.uint8).reshape(80, 100, 3))
    left, top, right, bottom = corners
    cut = cut_to_box(picture, box)
    assert cut.size == (right - left, bottom - top)
    assert np.array_equal(np.asarray(cut), np.asarray(picture)[top:bottom, left:right])


@pytest.mark.parametrize("box", [(200, 10, 20, 20), (10, -90, 20, 20), (30, 20, 0, 0), (30, 20, 1, 1)])
def test_a_box_outside_the_picture_is_named(box):
    with pytest.raises(DataError, match=r"lies outside the picture: .* of 100 x 80 pixels"):
        cut_to_box(Image.new("RGB", (100, 80)), box)


@pytest.mark.parametrize(("size", "stored"), [((100, 50), (64, 32)), ((50, 100), (32, 64)), ((24, 16), (24, 16))])
def test_pictures_are_shrunk_to_their_short_side_and_never_enlarged(tmp_path, size, stored):
    Image.new("RGB", size, "red").save(tmp_path / "a.png")
    encoded = encode_picture(Example("a", tmp_path / "a.png", ("a",), "a"), 32, 90)
    assert Image.open(io.BytesIO(encoded)).size == stored


def test_the_middle_square_of_a_long_picture_is_shown(root, tmp_path):
    picture = Image.new("RGB", (120, 40), "red")
    picture.paste("blue", (40, 0, 80, 40))
    picture.save(picture_of(root), quality=95)
    (root / "CUB_200_2011/bounding_boxes.txt").unlink()
    pack_birds(root, tmp_path / "packed")
    middle = load_packed(tmp_path / "packed", "train").pictures(16)[0, 2:-2, 2:-2]
    assert middle[..., 2].min() > 180 and middle[..., 0].max() < 80


# ------------------------------------------------------------------------------------------------ what is wrong


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_a_broken_picture_is_counted_and_named(root, tmp_path, capsys, content):
    path = picture_of(root)
    path.write_bytes(path.read_bytes()[:200] if content is None else content)
    said = pack_birds(root, tmp_path / "packed")
    assert said["counts"]["train"] == 1 and sum(said["left_out"].values()) == 1
    assert "not a readable picture" in next(iter(said["left_out"]))
    assert str(path) in capsys.readouterr().err
    assert load_packed(tmp_path / "packed", "train").keys == KEYS[1:]


def test_strict_fails_over_a_broken_picture(root, tmp_path):
    picture_of(root).write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"nothing was packed.*: 1 x not a readable picture"):
        pack_birds(root, tmp_path / "packed", strict=True)
    assert not (tmp_path / "packed/pack.json").exists()


def test_strict_is_content_with_a_whole_data_set(root, tmp_path):
    pack_birds(root, tmp_path / "packed", strict=True)


def test_a_box_outside_its_picture_is_counted_and_named(root, tmp_path, capsys):
    (root / "CUB_200_2011/bounding_boxes.txt").write_text(
        "1 500 500 20 20\n2 20 10 20 20\n3 20 10 20 20\n", encoding="utf-8"
    )
    said = pack_birds(root, tmp_path / "packed")
    assert said["counts"]["train"] == 1 and said["left_out"] == {"its box lies outside the picture": 1}
    assert "bounding_boxes.txt, line 1): (500.0, 500.0, 20.0, 20.0) of 60 x 40 pixels" in capsys.readouterr().err


def test_captions_without_a_word_are_left_out(root, tmp_path):
    (root / "text" / f"{KEYS[0]}.txt").write_text("...\na red bird\n!!\n", encoding="utf-8")
    (root / "text" / f"{KEYS[1]}.txt").write_text("...\n", encoding="utf-8")
    said = pack_birds(root, tmp_path / "packed")
    assert said["left_out"] == {"no caption with a word": 1}
    assert load_packed(tmp_path / "packed", "train").counts.tolist() == [1]


def test_a_split_without_a_picture_is_named(root, tmp_path):
    for key in KEYS:
        picture_of(root, key).unlink()
    with pytest.raises(DataError, match="the split 'train' of birds has no usable picture"):
        pack_birds(root, tmp_path / "packed")


@pytest.mark.parametrize("limit", [3, 100, 1000])  # of 3: more parts than two digits can number
def test_parts_smaller_than_a_picture_are_joined_again(root, tmp_path, limit):
    pack_birds(root, tmp_path / "packed")
    whole = (tmp_path / "packed/train-00.webp").read_bytes()
    expected = load_packed(tmp_path / "packed", "train").pictures(16).copy()
    with _Parts(tmp_path / "packed", "train", limit) as parts:
        parts.write(whole[:150])
        parts.write(whole[150:])
    said = json.loads((tmp_path / "packed/pack.json").read_text(encoding="utf-8"))
    said["files"] |= {path.name: sha256(path) for path in (tmp_path / "packed").glob("train-*.webp")}
    (tmp_path / "packed/pack.json").write_text(json.dumps(said), encoding="utf-8")
    written = sorted((tmp_path / "packed").glob("train-*.webp"))
    assert len(written) == -(-len(whole) // limit)
    assert all(path.stat().st_size <= limit for path in written)
    (tmp_path / "packed/decoded/train-16.npy").unlink()
    assert np.array_equal(load_packed(tmp_path / "packed", "train").pictures(16), expected)


def test_packing_again_shows_the_new_pictures(root, tmp_path):
    pack_birds(root, tmp_path / "packed")
    load_packed(tmp_path / "packed", "train").pictures(16)
    Image.new("RGB", (60, 40), "white").save(picture_of(root))
    pack_birds(root, tmp_path / "packed")
    assert load_packed(tmp_path / "packed", "train").pictures(16)[0].min() > 240


def packed_files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_packing_again_and_failing_leaves_what_was_there(root, tmp_path):
    pack_birds(root, tmp_path / "packed")
    load_packed(tmp_path / "packed", "train").pictures(16)
    before = packed_files(tmp_path / "packed")
    picture_of(root).write_bytes(b"no picture")
    with pytest.raises(DataError):
        pack_birds(root, tmp_path / "packed", strict=True)
    assert packed_files(tmp_path / "packed") == before


@pytest.mark.parametrize("stopped_by", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("at", ["_Parts.write", "save", "sha256"])
def test_stopped_half_way_it_leaves_nothing(root, tmp_path, monkeypatch, stopped_by, at):
    def stop(*_):
        raise stopped_by

    monkeypatch.setattr(f"train.data.packing.{at}", stop)
    with pytest.raises(type(stopped_by)):
        pack_birds(root, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_killed_while_the_new_files_move_in_it_is_not_taken_for_whole(root, tmp_path, monkeypatch):
    pack_birds(root, tmp_path / "packed")
    load_packed(tmp_path / "packed", "train").pictures(16)
    Image.new("RGB", (60, 40), "white").save(picture_of(root))
    moved = []

    def kill(source, target):
        if Path(target).parent.name == "unfinished":  # written whole there, before anything moves in
            return Path(source).rename(target)
        if len(moved) == 3:
            raise KeyboardInterrupt
        return moved.append(source.rename(target))

    with monkeypatch.context() as patch:
        patch.setattr("train.data.packing.os.replace", kill)
        with pytest.raises(KeyboardInterrupt):
            pack_birds(root, tmp_path / "packed")
    with pytest.raises(FileNotFoundError, match=r"no pack\.json"):
        load_packed(tmp_path / "packed", "train")
    pack_birds(root, tmp_path / "packed")
    assert load_packed(tmp_path / "packed", "train").pictures(16)[0].min() > 240


def test_packing_again_in_fewer_parts_forgets_the_others(root, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_Parts", lambda folder, split, _: _Parts(folder, split, 100))
    pack_birds(root, tmp_path / "packed")
    assert len(list((tmp_path / "packed").glob("train-*.webp"))) > 1
    monkeypatch.undo()
    said = pack_birds(root, tmp_path / "packed")
    assert set(said["files"]) == {p.name for p in (tmp_path / "packed").iterdir()} - {"pack.json"}
    assert load_packed(tmp_path / "packed", "train").pictures(16).shape == (2, 16, 16, 3)


def test_what_is_damaged_can_be_packed_again(root, tmp_path):
    pack_birds(root, tmp_path / "packed")
    (tmp_path / "packed/pack.json").write_text("{", encoding="utf-8")
    pack_birds(root, tmp_path / "packed")
    assert len(load_packed(tmp_path / "packed", "train")) == 2


def test_other_files_in_the_folder_stay(root, tmp_path):
    (tmp_path / "packed/features").mkdir(parents=True)
    (tmp_path / "packed/features/mine.txt").write_text("mine", encoding="utf-8")
    pack_birds(root, tmp_path / "packed")
    pack_birds(root, tmp_path / "packed")
    assert (tmp_path / "packed/features/mine.txt").read_text(encoding="utf-8") == "mine"


def test_packing_twice_gives_the_same_files(root, tmp_path):
    assert pack_birds(root, tmp_path / "a") == pack_birds(root, tmp_path / "b")


def test_a_data_set_is_not_packed_into_itself(root):
    with pytest.raises(DataError, match="pack it into a folder of its own"):
        pack_birds(root, root)


def listing_of(monkeypatch, **splits):
    """Makes birds read as these examples."""
    monkeypatch.setattr("train.data.datasets.birds.read", lambda root: Listing(splits))


def grey():
    return Image.new("L", (20, 20), 128)


def test_a_key_in_two_splits_is_refused(tmp_path, monkeypatch):
    a, b = (Example(key, grey, ("a wall",), key, listed=f"table, line {key}") for key in "12")
    listing_of(monkeypatch, train=[a, b], test=[b])
    with pytest.raises(DataError, match=r"2 \(table, line 2\): 2 is in train and again in test"):
        pack_birds(tmp_path, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_tiny_pictures_are_counted_and_named(tmp_path, monkeypatch, capsys):
    examples = [Example(str(side), partial(Image.new, "RGB", (40, side)), ("a",), "a") for side in (15, 16, 1)]
    listing_of(monkeypatch, train=examples, test=[Example("b", grey, ("a",), "a")])
    said = pack_birds(tmp_path, tmp_path / "packed")
    assert load_packed(tmp_path / "packed", "train").keys == ["16"]
    assert said["left_out"] == {"smaller than 16 pixels": 2}
    assert "left out 2 x smaller than 16 pixels\n    15: 40 x 15 pixels\n    1: 40 x 1" in capsys.readouterr().err


def test_what_a_box_leaves_of_a_picture_may_be_tiny_too():
    with pytest.raises(DataError, match="smaller than 16 pixels: 14 x 14"):
        encode_picture(Example("a", grey, ("a",), "a", (5, 5, 10, 10)), 32, 90)


def test_an_endless_picture_is_left_out_in_words():
    with pytest.raises(DataError, match="longer than 16383 pixels: 16384 x 16"):
        encode_picture(Example("a", partial(Image.new, "L", (16384, 16)), ("a",), "a"), 32, 90)


def test_of_many_left_out_for_one_reason_the_first_few_are_named(tmp_path, monkeypatch, capsys):
    examples = [Example(f"number {n}", partial(Image.new, "L", (9, 9)), ("a",), "a") for n in range(12)]
    listing_of(monkeypatch, train=[*examples, Example("x", grey, ("a",), "a")], test=[Example("y", grey, ("a",), "a")])
    pack_birds(tmp_path, tmp_path / "packed")
    lines = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if line.startswith("    ")]
    assert lines == [*(f"    number {n}: 9 x 9 pixels" for n in range(3)), "    and 9 more"]


def test_letters_that_get_lost_are_said(tmp_path, monkeypatch, capsys):
    captions = ("a wall \ufffd\ufffd here", "eine gr\u00fcne Wand")
    listing_of(monkeypatch, train=[Example("a", grey, captions, "a")], test=[Example("b", grey, ("a",), "b")])
    pack_birds(tmp_path, tmp_path / "packed")
    assert "1 captions have letters outside ASCII" in (said := capsys.readouterr().err) and "eine grne wand" in said


def test_a_picture_is_turned_as_its_exif_data_says_before_its_box_is_cut(tmp_path):
    picture = Image.new("RGB", (60, 40), "red")
    picture.paste("blue", (0, 0, 30, 40))
    exif = picture.getexif()
    exif[0x0112] = 6  # the camera was held upright: to be turned by 90 degrees clockwise
    picture.save(tmp_path / "a.png", exif=exif)
    example = Example("a", tmp_path / "a.png", ("a",), "a", (10, 32, 20, 20))
    assert open_picture(example).size == (40, 60)
    shown = Image.open(io.BytesIO(encode_picture(example, 32, 100))).convert("RGB")
    assert shown.size == (30, 30)
    red, _, blue = np.asarray(shown, dtype=float)[2:-2, 2:-2].mean(axis=(0, 1))
    assert red > 220 > 30 > blue  # the left half of the file is the upper half of what is shown


def test_grey_of_16_bits_keeps_its_brightness(tmp_path):
    Image.fromarray(np.full((20, 20), 0x8040, dtype=np.uint16)).save(tmp_path / "a.png")
    assert open_picture(Example("a", tmp_path / "a.png", ("a",), "a")).getpixel((3, 3)) == (0x80, 0x80, 0x80)


def test_one_caption_no_box_and_no_class_are_enough(tmp_path, monkeypatch):
    train = [Example(f"p{n}", grey, ("a wall",), f"p{n}") for n in range(5)]
    listing_of(monkeypatch, train=train, test=[Example("t", grey, ("one word more",), "t")])
    pack_birds(tmp_path, tmp_path / "packed")
    split = load_packed(tmp_path / "packed", "train")
    assert split.tokens.shape == (5, 1, 2) and split.counts.tolist() == [1] * 5
    assert split.groups.tolist() == [0, 1, 2, 3, 4]


def test_a_full_disk_is_noticed_before_pictures_are_decoded(root, tmp_path, monkeypatch):
    pack_birds(root, tmp_path / "packed")
    monkeypatch.setattr("train.data.packing.shutil.disk_usage", lambda _: SimpleNamespace(free=2 * 16 * 16 * 3 - 1))
    with pytest.raises(DataError, match="GiB are free"):
        load_packed(tmp_path / "packed", "train").pictures(16)


def test_decoding_that_is_stopped_leaves_nothing(root, tmp_path, monkeypatch):
    pack_birds(root, tmp_path / "packed")

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("train.data.packed._decode", stop)
    with pytest.raises(KeyboardInterrupt):
        load_packed(tmp_path / "packed", "train").pictures(16)
    assert not list((tmp_path / "packed/decoded").iterdir())


def test_a_packed_data_set_needs_neither_nltk_nor_its_originals(root, tmp_path):
    pack_birds(root, tmp_path / "packed")
    shutil.rmtree(root)
    code = """
import sys
from pathlib import Path
sys.modules["nltk"] = None  # whoever imports it fails
import torch
from train.data.sampling import hold_out, pick_captions
from train.data.packed import load_packed
split = load_packed(Path(sys.argv[1]), "train")
split.pictures(16), hold_out(split, 1), pick_captions(split, torch.arange(2), 18, torch.Generator())
print(len(split))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "packed")]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, check=False, cwd=root, encoding="utf-8")
    assert done.stdout == "2\n", done.stderr


# ------------------------------------------------------------------------------------------------------ opening


def test_a_folder_that_is_not_packed_says_how_to_pack(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no pack\.json; make it with: python -m train\.pack"):
        load_packed(tmp_path, "train")


def test_an_unknown_split_lists_the_known_ones(root, tmp_path):
    pack_birds(root, tmp_path / "packed")
    with pytest.raises(DataError, match="no split 'val'; there are: train, test"):
        load_packed(tmp_path / "packed", "val")


def test_another_vocabulary_is_refused(root, tmp_path):
    pack_birds(root, tmp_path / "packed")
    Vocabulary(("<end>", "bird")).save(tmp_path / "packed/vocabulary.json")
    with pytest.raises(DataError, match=r"vocabulary\.json: not the file that pack\.json names"):
        load_packed(tmp_path / "packed", "train")


def test_exchanged_pictures_are_noticed(root, tmp_path):
    pack_birds(root, tmp_path / "packed")
    path = tmp_path / "packed/train-00.webp"
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(DataError, match=r"train-00\.webp: not the file that pack\.json names"):
        load_packed(tmp_path / "packed", "train").pictures(16)


@pytest.mark.parametrize("name", ["pack.json", "vocabulary.json", "train.safetensors", "train.keys.json"])
def test_a_damaged_file_is_named(root, tmp_path, name):
    pack_birds(root, tmp_path / "packed")
    path = tmp_path / "packed" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises((DataError, CheckpointError), match=name.replace(".", r"\.")):
        load_packed(tmp_path / "packed", "train")


def test_the_command_packs_and_says_so(root, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pack", "birds", str(root), "--out", str(tmp_path / "packed"), "--size", "32"])
    pack_command.main()
    assert "packed 2 train and 1 test pictures" in capsys.readouterr().out
    assert isinstance(load_packed(tmp_path / "packed", "test").offsets, torch.Tensor)


def test_the_command_ends_with_a_sentence_if_there_is_no_data(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pack", "birds", str(tmp_path / "no"), "--out", str(tmp_path / "packed")])
    with pytest.raises(SystemExit, match=r"error: .*no CUB_200_2011/images\.txt"):
        pack_command.main()


def test_a_picture_that_is_a_bomb_is_left_out(root, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match="DecompressionBombError"):
            encode_picture(Example("a", picture_of(root), ("a",), "a"), 32, 90)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["folder", "--out", "x"], "folder needs its folder: python -m train.pack folder FOLDER --out x"),
        (["shapes", "--out", "x", "--size", "8"], "--size must be from 16 to 16383, not 8"),
        (["shapes", "--out", "x", "--quality", "101"], "--quality must be from 0 to 100, not 101"),
        (["shapes", "--out", "x", "--part-size", "0"], "--part-size must be from 1 to"),
        (["shape", "--out", "x"], "invalid choice: 'shape' (choose from"),
        (["shapes", "--out", "x", "--stric"], "unrecognized arguments: --stric"),
    ],
)
def test_a_wrong_option_is_named(options, said, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pack", *options])
    with pytest.raises(SystemExit):
        pack_command.main()
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_shapes_are_packed_without_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("train.data.datasets.shapes.USUAL", Settings(train=5, test=2))
    monkeypatch.setattr(sys, "argv", ["pack", "shapes", "--out", str(tmp_path / "packed")])
    pack_command.main()
    assert "packed 5 train and 2 test pictures" in capsys.readouterr().out


def test_a_full_disk_ends_the_command_with_a_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("train.data.datasets.shapes.USUAL", Settings(train=5, test=2))
    monkeypatch.setattr("train.data.packing._Parts.write", full)
    monkeypatch.setattr(sys, "argv", ["pack", "shapes", "--out", str(tmp_path / "packed")])
    with pytest.raises(SystemExit, match=r"No space left on device while packing; .*packed is as it was before"):
        pack_command.main()


def test_parts_are_packed_as_shares_of_the_middle_square(tmp_path):
    """A white dot at the beak, in a picture that is cut around its box, is where the packed parts say."""
    find_dataset("birds").write_example(tmp_path / "birds")
    cub = tmp_path / "birds/CUB_200_2011"
    picture = np.zeros((40, 60, 3), dtype=np.uint8)
    picture[19:22, 24:27] = 255
    for path in cub.glob("images/*/*.jpg"):
        Image.fromarray(picture).save(path, quality=100)
    pack("birds", tmp_path / "birds", tmp_path / "packed", 264, 100, 48, False)
    split = load_packed(tmp_path / "packed", "train")
    assert split.part_names == ("beak", "left eye", "right eye") and split.parts is not None
    assert split.parts.shape == (2, 3, 2) and split.parts[:, 2].isnan().all()
    size = 60
    for row, pixels in enumerate(split.pictures(size)):
        ys, xs = np.nonzero(pixels[..., 0] > 128)
        found = torch.tensor([float(xs.mean()) + 0.5, float(ys.mean()) + 0.5]) / size
        assert torch.allclose(found, split.parts[row, 0] + 0.5 / 30, atol=0.03)


def test_what_has_no_parts_is_packed_without(tmp_path):
    find_dataset("birds").write_example(tmp_path / "birds")
    (tmp_path / "birds/CUB_200_2011/parts/parts.txt").unlink()
    pack("birds", tmp_path / "birds", tmp_path / "packed", 32, 90, 48, False)
    split = load_packed(tmp_path / "packed", "test")
    assert split.parts is None and split.part_names == ()


# ------------------------------------------------------------------------------------------ hostile or odd content


def example_of(path, box=None):
    return Example("a", path, ("a",), "a", box)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("strange", ["fifo", "device", "folder", "circle", "nowhere"])
def test_a_picture_that_is_no_regular_file_is_named_and_never_waited_for(tmp_path, strange):
    path = tmp_path / "a.png"
    if strange == "fifo":
        os.mkfifo(path)
    elif strange == "folder":
        path.mkdir()
    else:
        path.symlink_to({"device": "/dev/zero", "circle": path.name, "nowhere": "b.png"}[strange])
    with pytest.raises(DataError, match=r"no regular file: .*a\.png: "):
        encode_picture(example_of(path), 32, 90)


@pytest.mark.parametrize("number", [1e308, -1e308, float("nan"), float("inf"), 1e7])
@pytest.mark.parametrize("place", range(4))
def test_a_box_of_impossible_numbers_lies_outside_the_picture(number, place):
    box = [30.0, 20.0, 20.0, 20.0]
    box[place] = number
    with pytest.raises(DataError, match="lies outside the picture"):
        cut_to_box(Image.new("RGB", (100, 80)), tuple(box))


def bomb(width, height):
    """A PNG that says it is large and holds nothing."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (0, 5)])
def test_a_picture_of_billions_of_pixels_is_left_out_before_it_is_decoded(tmp_path, width, height):
    (tmp_path / "a.png").write_bytes(bomb(width, height))
    with pytest.raises(DataError, match="not a readable picture"):
        encode_picture(example_of(tmp_path / "a.png"), 32, 90)


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\nshowpage\n",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
        b"<html><body>404</body></html>",
        b"II*\x00\xff\xff\xff\xff",
        b"GIF89a" + b"\xff" * 40,
        b"RIFF\x04\x00\x00\x00WEBPVP8 " + b"\x00" * 12,
        b"BM" + b"\xff" * 60,
    ],
)
def test_what_is_no_picture_of_a_kind_that_is_read_is_left_out(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match="not a readable picture"):
        encode_picture(example_of(tmp_path / "a.jpg"), 32, 90)


def test_the_content_of_a_picture_counts_and_not_its_name(tmp_path):
    Image.new("RGB", (40, 40), "blue").save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert open_picture(example_of(tmp_path / "a.jpg")).getpixel((3, 3)) == (0, 0, 255)


def test_of_large_pictures_one_is_decoded_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGE", 1000)
    running, most = [0], [0]
    original = module._encode

    def counted(*given):
        running[0] += 1
        most[0] = max(most[0], running[0])
        try:
            return original(*given)
        finally:
            running[0] -= 1

    monkeypatch.setattr(module, "_encode", counted)
    examples = []
    for number in range(8):
        Image.new("RGB", (400, 300), "red").save(tmp_path / f"{number}.png")
        examples.append(Example(str(number), tmp_path / f"{number}.png", ("a",), "a"))
    assert all(isinstance(found, bytes) for _, found in module._encoded(examples, 32, 90, "train"))
    assert most == [1]


def test_endless_captions_are_cut_and_counted(tmp_path, monkeypatch):
    long = Example("a", grey, ("word " * 5000, "b"), "a")
    many = Example("c", grey, tuple(f"caption {number}" for number in range(1200)), "c")
    listing_of(monkeypatch, train=[long, many], test=[Example("t", grey, ("one",), "t")])
    said = pack_birds(tmp_path, tmp_path / "packed")
    assert load_packed(tmp_path / "packed", "train").tokens.shape == (2, 1000, 1000)
    assert said["left_out"] == {
        "all but the first 1,000 words of a caption": 1,
        "all but the first 1,000 captions of a picture": 1,
    }


def test_where_a_split_is_empty_the_reasons_are_said_before_any_picture_is_read(root, tmp_path, monkeypatch, capsys):
    for path in (root / "text").glob("*/*.txt"):
        path.write_text("", encoding="utf-8")
    monkeypatch.setattr(module, "_encoded", None)
    with pytest.raises(DataError, match="the split 'train' of birds has no usable picture"):
        pack_birds(root, tmp_path / "packed")
    assert capsys.readouterr().err.startswith("left out 3 x no caption\n")


def test_what_was_understood_is_printed_on_any_console(tmp_path, monkeypatch, need_file_names):
    need_file_names("\u00e9t\u00e9", "\u00fc")
    names = [f"{split}/\u00e9t\u00e9/{n}" for split in ("train", "test") for n in range(2)]
    for name in names:
        (tmp_path / f"raw/{name}").parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(tmp_path / f"raw/{name}.png")
        (tmp_path / f"raw/{name}.txt").write_text("a wall", encoding="utf-8")
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", console)
    monkeypatch.setattr(sys, "argv", ["pack", "folder", str(tmp_path / "raw"), "--out", str(tmp_path / "\u00fc")])
    pack_command.main()
    console.flush()
    said = console.buffer.getvalue().decode()
    assert "split: from folders; 2 train, 2 test; no classes" in said and r"\xfc" in said


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "3",
        "{}",
        '{"counts": [], "files": {}}',
        '{"counts": {"train": "2"}, "files": {}}',
        '{"counts": {"a": 1}, "files": {"a": 3}}',
        "[" * 50_000,
    ],
)
def test_a_pack_json_of_another_shape_is_named(root, tmp_path, content):
    pack_birds(root, tmp_path / "packed")
    (tmp_path / "packed/pack.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"pack\.json: damaged .*pack the data set again"):
        load_packed(tmp_path / "packed", "train")


@pytest.mark.parametrize("content", ["[]", '{"keys": ["a"], "groups": ["b"]}', '{"keys": [1, 2], "groups": []}', "{}"])
def test_keys_of_other_pictures_are_named(root, tmp_path, content):
    pack_birds(root, tmp_path / "packed")
    keys, manifest = tmp_path / "packed/train.keys.json", tmp_path / "packed/pack.json"
    keys.write_text(content, encoding="utf-8")
    said = json.loads(manifest.read_text(encoding="utf-8"))
    said["files"]["train.keys.json"] = sha256(keys)
    manifest.write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.keys\.json: .*pack the data set again"):
        load_packed(tmp_path / "packed", "train")


def test_the_help_lists_what_is_read(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pack", "--help"])
    with pytest.raises(SystemExit):
        pack_command.main()
    said = capsys.readouterr().out
    assert all(
        word in said for word in ("metadata.csv", "captions.txt", "results.csv", "Flickr8k.token", "shard-000.tar")
    )
