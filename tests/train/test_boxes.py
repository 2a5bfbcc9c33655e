import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from mirrorgan.images import ORIENTATION
from train.data.boxes import boxes_in_squares
from train.data.datasets.base import DataError, Example
from train.data.datasets.birds import write_example
from train.data.packed import _decode, load_packed
from train.data.packing import box_in_square, encode_picture, pack, size_of


def example(box, width, height):
    """A green picture whose box is red."""
    x, y, w, h = map(int, box)
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[..., 1] = 200
    pixels[max(0, y) : y + h, max(0, x) : x + w] = (250, 0, 0)
    return Example("one", lambda: Image.fromarray(pixels), ("a bird",), "one", box)


@pytest.mark.parametrize(
    ("box", "size"),
    [((40, 50, 60, 30), (200, 160)), ((0, 0, 90, 40), (120, 200)), ((150, 20, 50, 120), (200, 150)),
     ((10, 80, 180, 40), (200, 150)), ((1, 1, 158, 118), (160, 120))],
    ids=["inside", "corner", "right border", "wide", "nearly all"],
)  # fmt: skip
def test_a_box_lies_where_packing_puts_what_is_in_it(box, size):
    given = example(box, *size)
    blob = encode_picture(given, 1000, 100)
    square = _decode(blob, (0, len(blob)), 256)
    red = (square[..., 0] > 120) & (square[..., 1] < 100)
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    seen = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    x, y, w, h = box_in_square(given, *size)
    expected = [min(max(edge, 0), 1) * 256 for edge in (x, y, x + w, y + h)]
    assert seen == pytest.approx(expected, abs=4)


def test_boxes_of_a_packed_split_come_in_its_order(tmp_path):
    write_example(tmp_path / "birds")
    pack("birds", tmp_path / "birds", tmp_path / "packed", 40, 90, 1, strict=True)
    split = load_packed(tmp_path / "packed", "train")
    found = boxes_in_squares(tmp_path / "birds", split)
    # 60 x 40 pixels, box (20, 10, 20, 20): cut to 30 x 30 around (30, 20).
    assert found == [pytest.approx((5 / 30, 5 / 30, 20 / 30, 20 / 30))] * 2


def test_without_boxes_it_says_so(tmp_path):
    write_example(tmp_path / "birds")
    pack("birds", tmp_path / "birds", tmp_path / "packed", 40, 90, 1, strict=True)
    (tmp_path / "birds/CUB_200_2011/bounding_boxes.txt").unlink()
    with pytest.raises(DataError, match=r"no box for 001\.Red_Bird/Red_Bird_0001, nor for 1 others of 2"):
        boxes_in_squares(tmp_path / "birds", load_packed(tmp_path / "packed", "train"))


def test_a_picture_that_is_shown_upright_has_its_sides_exchanged(tmp_path):
    picture = Image.new("RGB", (60, 40))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    picture.save(tmp_path / "plain.jpg")
    sizes = [size_of(Example("x", tmp_path / name, ("a bird",), "x")) for name in ("turned.jpg", "plain.jpg")]
    assert sizes == [(40, 60), (60, 40)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_is_of_the_picture_as_it_is_shown_however_it_is_stored(tmp_path, orientation):
    box, size = (120, 20, 60, 30), (200, 110)
    shown = example(box, *size).image()
    # A camera stores the picture so that turning it back gives what was seen: the inverse of each turn.
    back = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    stored = turned(shown, back)
    exif = stored.getexif()
    exif[ORIENTATION] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    given = Example("a", tmp_path / "a.png", ("a bird",), "a", box)
    assert size_of(given) == size
    blob = encode_picture(given, 1000, 100)
    square = _decode(blob, (0, len(blob)), 256)
    red = (square[..., 0] > 120) & (square[..., 1] < 100)
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    x, y, w, h = box_in_square(given, *size_of(given))
    expected = [256 * edge for edge in (x, y, x + w, y + h)]
    assert [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1] == pytest.approx(expected, abs=4)


def turned(picture, orientation):
    """The picture that is shown where `picture` is stored with an orientation of EXIF."""
    exif = picture.getexif()
    exif[ORIENTATION] = orientation
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif)
    return ImageOps.exif_transpose(Image.open(file))
