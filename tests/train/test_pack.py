import json
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from mirrorgan.checkpoint import sha256
from mirrorgan.drawing import CheckpointError
from mirrorgan.vocabulary import Vocabulary, tokenize
from train import pack as module
from train.datasets import available_datasets, find_dataset
from train.datasets.base import DataError, Example
from train.pack import _Parts, cut_to_box, encode_picture, load_packed, pack, to_rgb

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
    assert said == json.loads((tmp_path / "packed/pack.json").read_text())
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
    with pytest.raises(DataError, match=r"lies outside the picture of 100 x 80 pixels"):
        cut_to_box(Image.new("RGB", (100, 80)), box)


@pytest.mark.parametrize(("size", "stored"), [((100, 50), (64, 32)), ((50, 100), (32, 64)), ((20, 10), (20, 10))])
def test_pictures_are_shrunk_to_their_short_side_and_never_enlarged(tmp_path, size, stored):
    import io

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
    with pytest.raises(DataError, match=r"1 examples cannot be used: .*not a readable picture"):
        pack_birds(root, tmp_path / "packed", strict=True)
    assert not (tmp_path / "packed/pack.json").exists()


def test_strict_is_content_with_a_whole_data_set(root, tmp_path):
    pack_birds(root, tmp_path / "packed", strict=True)


def test_a_box_outside_its_picture_is_counted(root, tmp_path):
    (root / "CUB_200_2011/bounding_boxes.txt").write_text("1 500 500 20 20\n2 20 10 20 20\n3 20 10 20 20\n")
    said = pack_birds(root, tmp_path / "packed")
    assert said["counts"]["train"] == 1 and "lies outside" in next(iter(said["left_out"]))


def test_captions_without_a_word_are_left_out(root, tmp_path):
    (root / "text" / f"{KEYS[0]}.txt").write_text("...\na red bird\n!!\n")
    (root / "text" / f"{KEYS[1]}.txt").write_text("...\n")
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
    parts = _Parts(tmp_path / "packed", "train", limit)
    parts.write(whole[:150])
    parts.write(whole[150:])
    parts.close()
    said = json.loads((tmp_path / "packed/pack.json").read_text())
    said["files"] |= {path.name: sha256(path) for path in (tmp_path / "packed").glob("train-*.webp")}
    (tmp_path / "packed/pack.json").write_text(json.dumps(said))
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


def test_packing_again_and_failing_leaves_nothing_that_looks_whole(root, tmp_path):
    pack_birds(root, tmp_path / "packed")
    picture_of(root).write_bytes(b"no picture")
    with pytest.raises(DataError):
        pack_birds(root, tmp_path / "packed", strict=True)
    with pytest.raises(FileNotFoundError):
        load_packed(tmp_path / "packed", "train")


def test_a_missing_part_is_noticed(root, tmp_path):
    pack_birds(root, tmp_path / "packed")
    (tmp_path / "packed/train-00.webp").unlink()
    with pytest.raises(DataError, match="pictures of train are incomplete"):
        load_packed(tmp_path / "packed", "train").pictures(16)


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
    module.main()
    assert "packed {'train': 2, 'test': 1}" in capsys.readouterr().out
    assert isinstance(load_packed(tmp_path / "packed", "test").offsets, torch.Tensor)


def test_the_command_ends_with_a_sentence_if_there_is_no_data(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pack", "birds", str(tmp_path / "no"), "--out", str(tmp_path / "packed")])
    with pytest.raises(SystemExit, match=r"error: .*images\.txt"):
        module.main()


def test_a_picture_that_is_a_bomb_is_left_out(root, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match="DecompressionBombError"):
            encode_picture(Example("a", picture_of(root), ("a",), "a"), 32, 90)
