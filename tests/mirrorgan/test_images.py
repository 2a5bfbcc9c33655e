import numpy as np
import pytest
import torch
from PIL import Image

from mirrorgan.images import from_pictures, from_uint8, to_pictures, to_uint8


def test_every_byte_comes_back_as_it_was():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 8, 32, 1).expand(-1, -1, -1, 3)
    images = from_uint8(pixels)
    assert torch.equal(to_uint8(images), pixels)
    assert torch.equal(to_uint8(images.double()), pixels)


def test_black_is_minus_one_and_white_is_one():
    images = from_uint8(torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 2, 1).expand(-1, -1, -1, 3))
    assert images[0, 0, 0].tolist() == [-1.0, 1.0]
    assert images.dtype == torch.float32


def test_numbers_are_rounded_and_not_cut():
    # 127.5 (x + 1): 0.6 becomes 1, 0.4 becomes 0. Cutting would make 0 of both.
    for byte, rounded in [(0.4, 0), (0.6, 1), (200.4, 200), (200.6, 201), (254.6, 255)]:
        assert to_uint8(torch.full((1, 3, 1, 1), byte / 127.5 - 1)).unique().tolist() == [rounded]


def test_numbers_beyond_the_ends_become_the_ends():
    assert to_uint8(torch.tensor([-3.0, 3.0]).reshape(1, 1, 1, 2).expand(-1, 3, -1, -1))[0, 0, :, 0].tolist() == [
        0,
        255,
    ]


def test_half_precision_loses_no_more_than_itself():
    images = from_uint8(torch.arange(256, dtype=torch.uint8).reshape(1, 1, 256, 1).expand(-1, -1, -1, 3))
    away = (to_uint8(images.half()).int() - to_uint8(images).int()).abs()
    assert away.max() == 0  # float16 has 11 bits


def test_pictures_keep_their_axes():
    # Not square, one red corner: transposed axes or channels would show.
    picture = Image.new("RGB", (5, 3), (10, 20, 30))
    picture.putpixel((4, 0), (255, 0, 0))
    images = from_pictures([picture])
    assert images.shape == (1, 3, 3, 5)
    assert images[0, :, 0, 4].tolist() == [1.0, -1.0, -1.0]
    (again,) = to_pictures(images)
    assert again.mode == "RGB"
    assert np.array_equal(np.asarray(again), np.asarray(picture))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_pictures_of_other_kinds_become_rgb(mode):
    assert from_pictures([Image.new(mode, (4, 4))]).shape == (1, 3, 4, 4)


def test_a_batch_keeps_its_order():
    pictures = [Image.new("RGB", (2, 2), (value, value, value)) for value in (0, 100, 255)]
    assert [picture.getpixel((0, 0))[0] for picture in to_pictures(from_pictures(pictures))] == [0, 100, 255]
