import numpy as np
import pytest
import torch
from PIL import Image

from train.evaluation.score_sheets import (
    ACROSS,
    HEADS_ACROSS,
    HEADS_SIDE,
    SIDE,
    Looked,
    attention_sheet,
    heads_sheet,
    nearest_sheet,
    plot_distances,
)
from train.publishing.figures import save_picture


def plain(*colours):
    """Pictures of one colour each, (n, 32, 32, 3)."""
    return np.stack([np.full((32, 32, 3), colour, dtype=np.uint8) for colour in colours])


def test_every_drawing_stands_left_of_its_nearest_photographs():
    drawings, photographs = plain(*range(10, 17)), plain(*range(100, 120))
    places = torch.arange(14).reshape(7, 2)
    sheet = nearest_sheet(drawings, photographs, places)
    group = 3 * SIDE + 6
    assert sheet.size == (ACROSS * group - 6, 2 * SIDE)
    for number in range(7):
        left, middle = number % ACROSS * group, number // ACROSS * SIDE + SIDE // 2
        found = [sheet.getpixel((left + column * SIDE + SIDE // 2, middle))[0] for column in range(3)]
        assert found == [10 + number, 100 + 2 * number, 101 + 2 * number]


def test_every_drawing_stands_left_of_its_map_of_heads_with_both_peaks_ringed():
    points = np.tile(np.array([[0.25, 0.5], [0.75, 0.5]]), (5, 1, 1))
    sheet = heads_sheet(plain(*range(10, 15)), np.zeros((5, 4, 4)), points, [0.5] * 5)
    group = 2 * HEADS_SIDE + 8
    assert sheet.size == (HEADS_ACROSS * group - 8, 2 * (HEADS_SIDE + 16))
    for number in range(5):
        left, top = number % HEADS_ACROSS * group, number // HEADS_ACROSS * (HEADS_SIDE + 16)
        assert sheet.getpixel((left + HEADS_SIDE // 2, top + HEADS_SIDE // 2))[0] == 10 + number
        for share in (0.25, 0.75):
            red = sheet.getpixel((left + HEADS_SIDE + int(share * HEADS_SIDE) + 7, top + HEADS_SIDE // 2))
            assert red[0] > 200 and red[1] < 50


def test_the_curve_of_distances_is_the_share_that_is_nearer():
    values = np.random.default_rng(0).normal(size=50)
    (line,) = plot_distances({"drawings": values}).axes[0].lines
    for distance, share in line.get_xydata():
        assert share == pytest.approx((values <= distance).mean())


def test_examples_are_titled_with_word_and_share_and_the_object_is_outlined():
    mask = np.zeros((32, 32), dtype=bool)
    mask[8:24, 8:24] = True
    looked = Looked("red", "a small red bird", 0.634, plain(128)[0], mask, np.random.default_rng(0).random((8, 8)))
    flat = Looked("wing", "$\\frac{ <b>", 0.0, plain(128)[0], np.zeros((32, 32), dtype=bool), np.zeros((8, 8)))
    figure = attention_sheet({"colours": [looked, looked], "parts": [flat]})
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["“red”: 63% inside"] * 2 + ["“wing”: 0% inside"]
    outlined = [axes for axes in figure.axes if axes.collections]
    assert len(outlined) == 2
    x, y = outlined[0].collections[0].get_paths()[0].vertices.T
    assert (x.min(), x.max(), y.min(), y.max()) == pytest.approx((48, 144, 48, 144), abs=3)  # of 192 pixels


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet.png", "figure.png", "figure.jpg"])
def test_a_picture_is_written_whole_in_the_format_of_its_name(tmp_path, name):
    picture = plot_distances({"a": np.arange(3.0)}) if name.startswith("figure") else Image.new("RGB", (8, 8), "red")
    save_picture(picture, tmp_path / name)
    with Image.open(tmp_path / name) as opened:
        assert opened.format == ("JPEG" if name.endswith(".jpg") else "PNG")
    assert [path.name for path in tmp_path.iterdir()] == [name]
