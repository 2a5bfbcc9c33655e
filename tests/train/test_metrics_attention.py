import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from train.metrics.attention import (
    CELLS,
    FUNCTION_WORDS,
    PARTS,
    box_masks,
    kind_of,
    mass_inside,
    object_masks,
    otsu,
    to_lab,
)
from train.metrics.colour import COLOURS

# ------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("word", "kind"),
    [("grey", "colour"), ("gray", "colour"), ("beak", "part"), ("wings", "part"), ("the", "function"), ("bird", None),
     ("small", None), ("reddish", None)],
)  # fmt: skip
def test_words_are_of_the_kind_that_a_reader_would_say(word, kind):
    assert kind_of(word) == kind


def test_no_word_is_of_two_kinds():
    colours = {name for names in COLOURS.values() for name in names}
    for first, second in itertools.combinations([colours, PARTS, FUNCTION_WORDS], 2):
        assert not first & second


# -------------------------------------------------------------------------------------------------------- mass


@pytest.mark.parametrize("size", [4, 8, 32])
def test_the_mass_inside_is_the_sum_over_the_cells_of_the_mask(size):
    maps = torch.rand(2, 3, size, size)
    masks = torch.rand(2, 8, 8) > 0.6
    found = mass_inside(maps, masks)
    for row, word in itertools.product(range(2), range(3)):
        inside = 0.0
        for y, x in itertools.product(range(32), range(32)):  # the finest of all: every place of it counts alike
            inside += float(maps[row, word, y * size // 32, x * size // 32]) * float(
                masks[row, y * 8 // 32, x * 8 // 32]
            )
        whole = float(maps[row, word].sum()) * (32 // size) ** 2
        assert float(found[row, word]) == pytest.approx(inside / whole, rel=1e-5)


def test_the_mass_does_not_depend_on_the_map_s_sum_and_a_flat_map_has_the_mask_s_area():
    maps, masks = torch.rand(2, 3, 8, 8), torch.rand(2, 16, 16) > 0.5
    torch.testing.assert_close(mass_inside(7 * maps, masks), mass_inside(maps, masks))
    flat = mass_inside(torch.full((2, 1, 8, 8), 0.3), masks)[:, 0]
    torch.testing.assert_close(flat, masks.float().mean(dim=(1, 2)))
    assert mass_inside(maps, torch.ones(2, 16, 16)).allclose(torch.ones(2, 3))
    assert mass_inside(torch.zeros(1, 1, 8, 8), masks[:1]).item() == 0.0


def test_a_box_covers_its_share_of_every_cell():
    (mask,) = box_masks([(0.1, 0.25, 0.5, 0.5)], cells=4)
    across, down = [0.6, 1.0, 0.4, 0.0], [0.0, 1.0, 1.0, 0.0]
    assert mask.tolist() == [[pytest.approx(x * y, abs=1e-6) for x in across] for y in down]


def test_a_box_that_reaches_over_the_border_is_clipped():
    found = box_masks([(-0.5, -0.5, 2.0, 2.0), (0.5, 0.5, 1.0, 1.0), (-0.5, 0.0, 0.75, 1.0)], cells=8)
    assert [float(mask.mean()) for mask in found] == pytest.approx([1.0, 0.25, 0.25])
    assert found.max() <= 1.0


# ------------------------------------------------------------------------------------------------------- masks


def scene(draw_background, shape, colour, size=128):
    """A picture of one filled ellipse or polygon, and where it is, (g, g)."""
    picture, where = draw_background(size), Image.new("L", (size, size))
    for image, fill in ((picture, colour), (where, 255)):
        pen = ImageDraw.Draw(image)
        pen.ellipse(shape, fill) if len(shape) == 4 else pen.polygon(shape, fill)
    cells = np.asarray(where).reshape(CELLS, size // CELLS, CELLS, size // CELLS).mean(axis=(1, 3))
    return np.array(picture), torch.from_numpy(cells > 127)


def plain(size):
    return Image.new("RGB", (size, size), (90, 140, 200))


def sloping(size):
    slope = np.linspace(60, 200, size)[:, None, None] * np.array([1.0, 0.9, 0.6])
    return Image.fromarray(np.broadcast_to(slope, (size, size, 3)).astype(np.uint8))


def rough(size):
    noise = np.random.default_rng(0).normal(0, 25, (size, size, 1)) + np.array([70, 120, 60])
    return Image.fromarray(noise.clip(0, 255).astype(np.uint8))


def halves(size):
    picture = Image.new("RGB", (size, size), (190, 210, 235))
    ImageDraw.Draw(picture).rectangle((0, size * 2 // 3, size, size), (110, 90, 60))
    return picture


def overlap(first, second):
    """Intersection over union."""
    return float((first & second).sum() / (first | second).sum())


@pytest.mark.parametrize("background", [plain, sloping, rough, halves])
@pytest.mark.parametrize("colour", [(200, 30, 30), (250, 250, 250), (20, 20, 20)], ids=["red", "white", "black"])
@pytest.mark.parametrize(
    "shape",
    [(30, 40, 80, 90), (20, 60, 110, 100), ((30, 100), (64, 20), (100, 100))],
    ids=["round", "long", "triangle"],
)
def test_the_object_of_a_scene_is_found(background, colour, shape):
    pixels, where = scene(background, shape, colour)
    (found,) = object_masks(torch.from_numpy(pixels)[None])
    assert overlap(found, where) > 0.8


def test_an_object_of_two_colours_that_touches_the_border_is_not_taken_for_what_is_behind_it():
    picture = plain(128)
    pen = ImageDraw.Draw(picture)
    pen.ellipse((40, 60, 90, 150), (220, 200, 40))  # runs out of the picture below
    pen.ellipse((50, 30, 80, 70), (20, 20, 20))
    (found,) = object_masks(torch.from_numpy(np.array(picture))[None])
    assert found[20:32, 12:21].float().mean() > 0.9 and found[9:16, 14:19].float().mean() > 0.9
    assert found[:, :8].float().mean() < 0.05 and found[:, 24:].float().mean() < 0.05


def test_masks_turn_with_the_picture_and_do_not_depend_on_the_others():
    pixels = torch.from_numpy(np.stack([scene(rough, (20, 60, 70, 110), (200, 30, 30))[0], np.asarray(halves(128))]))
    found = object_masks(pixels)
    assert torch.equal(object_masks(pixels.flip(2)), found.flip(2))
    assert torch.equal(object_masks(pixels.transpose(1, 2)), found.transpose(1, 2))
    assert torch.equal(object_masks(pixels[:1]), found[:1])


def test_a_picture_of_one_colour_has_no_object():
    assert not object_masks(torch.full((1, 64, 64, 3), 128, dtype=torch.uint8)).any()


def test_lab_of_known_colours():
    # White, black, and the red, green and blue of sRGB under D65, as tables of CIELAB give them.
    pixels = torch.tensor([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=torch.uint8)
    found = to_lab(pixels[None, None])[0, :, 0].T
    expected = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86]]
    torch.testing.assert_close(found, torch.tensor(expected), atol=0.05, rtol=0)


def test_otsu_is_the_split_of_largest_variance_between():
    values = torch.cat([torch.randn(3, 20), torch.randn(3, 9) + 4], dim=1)
    for row, threshold in zip(values, otsu(values), strict=True):
        best, place = -math.inf, None
        for split in sorted(row.tolist())[:-1]:
            low, high = row[row <= split], row[row > split]
            between = len(low) * len(high) * float(high.mean() - low.mean()) ** 2
            if between > best:
                best, place = between, split
        assert torch.equal(row > threshold, row > place)
    assert otsu(torch.full((1, 5), 2.0)).item() == 2.0
