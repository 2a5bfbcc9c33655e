import base64
import io

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from app.render import COLOURS, Scale, address, colour_tables, enlarge, heatmap, normalise, numbers_of, scale_of


def corner(height: int = 4, width: int = 4) -> np.ndarray:
    attention = np.zeros((height, width), dtype=np.float32)
    attention[0, -1] = 1.0
    return attention


def colour_of(share: float, colours: str) -> np.ndarray:
    return np.array(colormaps[colours](share, bytes=True)[:3], dtype=int)


@pytest.mark.parametrize("colours", COLOURS)
def test_the_corner_that_listened_is_lit(colours):
    picture = np.asarray(heatmap(corner(), (64, 64), colours, Scale(0, 1))).astype(int)
    assert np.abs(picture[0, -1] - colour_of(1.0, colours)).max() <= 2
    for dark in (picture[0, 0], picture[-1, 0], picture[-1, -1]):
        assert np.abs(dark - colour_of(0.0, colours)).max() <= 2


@pytest.mark.parametrize("size", [(64, 64), (90, 40), (40, 90)])
def test_width_and_height_are_not_mixed_up(size):
    picture = np.asarray(heatmap(corner(2, 8), size, "gray", Scale(0, 1)))
    assert picture.shape == (size[1], size[0], 3)
    assert picture[0, -1].min() > 250 and picture[-1, 0].max() < 5 and picture[0, 0].max() < 5


def test_a_wider_scale_dims_the_same_map():
    own, shared = (np.asarray(heatmap(corner(), (4, 4), "gray", Scale(0, high)))[0, -1, 0] for high in (1, 2))
    assert own == 255
    assert shared == pytest.approx(128, abs=1)


def test_a_flat_map_is_dark_and_divides_by_nothing():
    flat = np.full((4, 4), 0.25, dtype=np.float32)
    assert scale_of(flat) == Scale(0.25, 0.25)
    np.testing.assert_array_equal(normalise(flat, scale_of(flat)), np.zeros((4, 4)))
    assert np.asarray(heatmap(flat, (8, 8), "gray", scale_of(flat))).max() == 0


def test_the_scale_ends_at_the_real_values():
    maps = np.array([[[0.1, 0.2]], [[0.05, 0.7]]], dtype=np.float32)
    assert scale_of(maps) == pytest.approx((0.05, 0.7))
    assert scale_of(maps[0]) == pytest.approx((0.1, 0.2))


@pytest.mark.parametrize("colours", COLOURS)
def test_the_tables_of_the_browser_are_matplotlib_s(colours):
    table = np.frombuffer(base64.b64decode(colour_tables()[colours]), np.uint8).reshape(256, 3)
    for place in (0, 17, 128, 255):
        np.testing.assert_array_equal(table[place], colour_of(place / 255, colours))


@pytest.mark.parametrize("colours", COLOURS)
def test_colours_only_grow_lighter(colours):
    table = np.frombuffer(base64.b64decode(colour_tables()[colours]), np.uint8).reshape(256, 3)
    assert np.diff(table @ np.array([0.2126, 0.7152, 0.0722])).min() > -1.5


def test_numbers_name_the_peak_and_its_place():
    attention = np.zeros((3, 5), dtype=np.float32)
    attention[1, 4] = 0.6
    assert numbers_of(attention) == pytest.approx((0.6, 1, 4, 0.04, 0.0))


def test_entropy_counts_the_places_that_are_heard_alike():
    attention = np.zeros((4, 4), dtype=np.float32)
    attention[0] = 0.3
    assert numbers_of(attention).entropy == pytest.approx(2)
    assert numbers_of(np.full((8, 8), 0.1, np.float32)).entropy == pytest.approx(6)
    assert numbers_of(np.zeros((8, 8), np.float32)).entropy == pytest.approx(6)


def test_squares_stay_squares_and_smooth_does_not():
    image = Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).convert("RGB")
    squares, smooth = enlarge(image, 64, smooth=False), enlarge(image, 64)
    assert squares.size == smooth.size == (64, 32)
    assert set(np.unique(squares)) == {0, 255}
    assert len(np.unique(smooth)) > 8


@pytest.mark.parametrize(("kind", "options", "worst"), [("png", {}, 0), ("webp", {"quality": 90}, 12)])
def test_an_address_holds_the_picture(kind, options, worst):
    image = Image.linear_gradient("L").convert("RGB")
    kept = Image.open(io.BytesIO(base64.b64decode(address(image, kind, **options).split(",", 1)[1])))
    assert np.abs(np.asarray(kept).astype(int) - np.asarray(image)).max() <= worst
