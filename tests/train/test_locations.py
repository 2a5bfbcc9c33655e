"""Places of objects in training pictures, and whether drawings follow them."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from mirrorgan.locations import BOX, KEYPOINTS
from tests.train.systems import SYSTEMS
from tests.train.test_gan import feed_for
from train.adversarial.networks import build_networks
from train.data.datasets import shapes
from train.data.datasets.base import DataError
from train.data.locations import (
    Move,
    bounds,
    follow_cut,
    follow_move,
    inside,
    move_pictures,
    random_move,
    random_places,
    split_places,
)
from train.data.packed import load_packed
from train.data.packing import pack
from train.evaluation.placement import measure
from train.metrics.placement import box_overlaps, following, object_boxes, spread_boxes
from train.runtime.options import with_options

BOXES = torch.tensor([[0.25, 0.125, 0.5, 0.375], [0.0, 0.5, 0.25, 0.25]])
PARTS = torch.tensor([[0.25, 0.5, 1.0, 0.0, 0.0, 0.0], [0.75, 1.0, 1.0, 0.5, 0.25, 1.0]])


def scene(box, size=64):
    """A red box on grey, (1, 3, size, size) in [-1, 1]."""
    picture = torch.full((1, 3, size, size), 0.2)
    x, y, w, h = (round(size * share) for share in box)
    picture[:, :, y : y + h, x : x + w] = torch.tensor([1.0, -1.0, -1.0])[:, None, None]
    return picture


def as_pixels(pictures):
    return ((pictures.permute(0, 2, 3, 1) + 1) * 127.5).round().to(torch.uint8).numpy()


@pytest.mark.parametrize("flip", [False, True])
def test_a_box_follows_a_cut_and_a_flip_as_the_pixels_do(flip):
    big = scene(BOXES[0].tolist(), 80)
    top, left, size = 3, 9, 64
    cut = big[:, :, top : top + size, left : left + size]
    cut = cut.flip(3) if flip else cut
    found = object_boxes(as_pixels(cut))[0]
    expected = follow_cut(BOXES[:1], BOX, torch.tensor([[top, left]]), torch.tensor([flip]), 80, size)
    np.testing.assert_allclose(found, expected[0], atol=0.5 / 64)


def test_parts_follow_a_cut_and_keep_their_names_when_mirrored():
    corners, flipped = torch.tensor([[2, 4], [0, 0]]), torch.tensor([True, False])
    found = follow_cut(PARTS, KEYPOINTS, corners, flipped, 20, 16)
    expected = [
        [1 - (0.25 * 20 - 4) / 16, (0.5 * 20 - 2) / 16, 1, 0, 0, 0],
        [0.75 * 20 / 16, 1.25, 1, 0.625, 0.3125, 1],
    ]
    torch.testing.assert_close(found, torch.tensor(expected))
    # What the cut leaves out is not seen.
    torch.testing.assert_close(inside(found, KEYPOINTS)[1], torch.tensor([0, 0, 0, 0.625, 0.3125, 1]))


def test_a_box_is_cut_at_the_picture_s_edge_and_never_of_no_size():
    given = torch.tensor([[-0.2, 0.1, 0.6, 1.2], [0.2, 0.3, 0.1, 0.2], [1.5, -3.0, 0.2, 0.2]])
    expected = torch.tensor([[0.0, 0.1, 0.4, 0.9], [0.2, 0.3, 0.1, 0.2], [0.9, 0.0, 0.1, 0.1]])
    torch.testing.assert_close(inside(given, BOX), expected)


@pytest.mark.parametrize(
    ("scale", "shift"), [(1.0, (0.0, 0.0)), (0.5, (0.3, 0.1)), (0.75, (0.0, 0.25)), (1.1, (0, -0.1))]
)
def test_pictures_and_boxes_move_alike_and_the_ground_goes_on(scale, shift):
    box = (0.375, 0.25, 0.25, 0.5)
    move = Move(torch.tensor([scale]), torch.tensor([shift]))
    moved = move_pictures(scene(box), move)
    expected = inside(follow_move(torch.tensor([box]), BOX, move), BOX)[0]
    np.testing.assert_allclose(object_boxes(as_pixels(moved))[0], expected, atol=1.2 / 64)
    assert moved.min() >= -1 and moved.max() <= 1
    torch.testing.assert_close(moved[0, :, 0, 0], torch.full((3,), 0.2))  # a plain ground stays plain
    torch.testing.assert_close(moved[0, :, -1, -1], torch.full((3,), 0.2))


def test_a_scale_of_one_and_no_shift_change_the_border_alone():
    images = torch.rand(2, 3, 40, 40) * 2 - 1
    still = move_pictures(images, Move(torch.ones(2), torch.zeros(2, 2)))
    torch.testing.assert_close(still[:, :, 2:-2, 2:-2], images[:, :, 2:-2, 2:-2], atol=1e-5, rtol=0)


def test_objects_are_moved_anywhere_as_a_whole_and_to_every_scale():
    torch.manual_seed(0)
    places = BOXES[:1].expand(4000, -1)
    move = random_move(places, BOX, torch.rand(4000, 3))
    moved = follow_move(places, BOX, move)
    assert moved[:, :2].min() >= 0 and (moved[:, :2] + moved[:, 2:]).max() <= 1 + 1e-6
    low, high = move.scale.aminmax()
    assert low >= 0.5 and low < 0.51 and high <= 1.1 and high > 1.09
    share = moved[:, :2] / (1 - moved[:, 2:])  # of the room that there is
    assert (share.mean(dim=0) - 0.5).abs().max() < 0.02 and (share.std(dim=0) - 12**-0.5).abs().max() < 0.02


def test_an_object_larger_than_the_picture_keeps_its_middle():
    wide = torch.tensor([[-0.1, 0.0, 1.2, 0.5]])
    moved = follow_move(wide, BOX, random_move(wide, BOX, torch.tensor([[0.9, 0.1, 0.2]])))
    assert moved[0, 0] + moved[0, 2] / 2 == pytest.approx(0.5)


def test_the_bounds_of_parts_hold_those_that_are_seen():
    none = torch.zeros(1, 6)
    found = bounds(torch.cat([PARTS, none]))
    torch.testing.assert_close(found, torch.tensor([[0.25, 0.5, 0, 0], [0.5, 0.25, 0.25, 0.75], [0, 0, 1, 1]]))


def test_what_a_data_set_does_not_know_is_said_or_taken_from_what_it_knows(split):
    parts = split_places(split, KEYPOINTS)
    assert parts.shape == (len(split), 9) and set(parts[:, 2::3].unique().tolist()) <= {0.0, 1.0}
    torch.testing.assert_close(split_places(split, BOX), bounds(parts))
    unknown = torch.full((len(split), 4), math.nan)
    assert split_places(dataclasses.replace(split, boxes=unknown), BOX).unique(dim=0).tolist() == [[0, 0, 1, 1]]
    bare = dataclasses.replace(split, parts=None)
    for kind, what in ((BOX, "no boxes and no places of parts"), (KEYPOINTS, "no places of parts")):
        with pytest.raises(DataError, match=f"{what} in it, and this training is told where objects are"):
            split_places(bare, kind)


@pytest.fixture(scope="module")
def packed_shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    shapes.write_example(folder / "root")
    pack("shapes", folder / "root", folder / "out", 72, 95, 8, False)
    return load_packed(folder / "out", "train")


def test_packed_boxes_of_shapes_are_where_the_shapes_are(packed_shapes):
    found = object_boxes(packed_shapes.pictures(72))
    seen = ~np.isnan(found).any(axis=1)  # a yellow shape on white hardly differs
    assert seen.sum() >= 6
    assert box_overlaps(found[seen], packed_shapes.boxes.numpy()[seen].astype(float)).min() > 0.8
    top, middle, bottom = packed_shapes.parts.unbind(dim=1)
    x, y, width, height = packed_shapes.boxes.unbind(dim=1)
    torch.testing.assert_close(top[:, 1], y)
    torch.testing.assert_close(bottom[:, 1], y + height)
    torch.testing.assert_close(middle, torch.stack([x + width / 2, y + height / 2], dim=1))


def placed(config, name, options=None):
    return with_options(config, SYSTEMS[name] | (options or {}))


@pytest.mark.parametrize("name", ["gawwn", "gawwn_keypoints"])
def test_a_batch_says_where_its_pictures_show_what_they_show(config, split, name):
    varied, still = placed(config, name), placed(config, name, {"pictures.vary_place": False})
    nets = build_networks(varied, split.vocabulary)
    loader = feed_for(varied, split, nets)
    one, again, plain = loader.read(0), loader.read(0), feed_for(still, split, nets).read(0)
    assert one.where.shape == (4, nets.generator.location_dim) and torch.equal(one.where, again.where)
    assert not torch.equal(one.where, loader.read(1).where) and not torch.equal(one.images[-1], plain.images[-1])
    assert one.where.min() >= 0 and one.where.max() <= 1
    for name in ("tokens", "noise", "changes"):  # what varies is drawn last
        assert torch.equal(getattr(one, name), getattr(plain, name))
    halves = [one.part(number, 2) for number in range(2)]
    assert torch.equal(torch.cat([half.where for half in halves]), one.where)
    assert torch.equal(one.with_interpolated().where, torch.cat([one.where, one.where[::2]]))


def test_other_systems_have_no_places(config, split):
    assert feed_for(config, split).read(0).where is None and config.location is None


@pytest.mark.parametrize("kind", [BOX, KEYPOINTS])
def test_places_for_the_average_are_those_of_a_training(split, kind):
    rows = torch.arange(len(split))
    one, same = (random_places(split, kind, rows, True, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, same) and one.min() >= 0 and one.max() <= 1
    assert torch.equal(
        random_places(split, kind, rows, False, torch.Generator()), inside(split_places(split, kind), kind)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"discriminator": "pyramid"}, "its discriminator must be gawwn, not pyramid"),
        ({"losses.wrong_pairs": "pictures"}, "wrong_pairs 'sentences', which keep the place, not 'pictures'"),
        ({"generator": "gan_int_cls"}, "vary_place is for a generator that is told places, such as gawwn"),
        ({"generator.location": "tree"}, "location must be 'box' or 'keypoints', not 'tree'"),
    ],
)
def test_trainings_that_cannot_be_are_refused_in_words(config, options, message):
    with pytest.raises(ValueError, match=message):
        placed(config, "gawwn", options)


def test_parts_of_another_data_set_are_refused_in_words(config, split):
    changed = placed(config, "gawwn_keypoints", {"generator.part_names": ("top", "bottom")})
    with pytest.raises(DataError, match="has places of beak, left eye, right eye; the generator is told those of top"):
        feed_for(changed, split, build_networks(changed, split.vocabulary))


# ----------------------------------------------------------------------------------------------- following


def test_object_boxes_are_those_of_what_differs_from_the_ground():
    boxes = spread_boxes(20, seed=1)
    pictures = np.concatenate([as_pixels(scene(box)) for box in boxes])
    assert box_overlaps(object_boxes(pictures), boxes).min() > 0.85
    assert np.isnan(object_boxes(np.full((1, 8, 8, 3), 7, np.uint8))).all()


def test_overlap_is_shared_area_over_all_area():
    one, other = np.array([[0.0, 0, 0.5, 0.5]]), np.array([[0.25, 0.25, 0.5, 0.5]])
    assert box_overlaps(one, other)[0] == pytest.approx(0.0625 / (0.25 + 0.25 - 0.0625))
    assert box_overlaps(one, one)[0] == 1 and box_overlaps(one, one + np.array([0.5, 0, 0, 0]))[0] == 0


def test_what_follows_has_slopes_of_one_and_what_stays_of_none():
    told = spread_boxes(200)
    perfect = following(told, told)
    np.testing.assert_allclose(perfect, [1, 1, 1, 1, 1])
    stays = following(told, np.tile([0.3, 0.3, 0.4, 0.4], (200, 1)))
    assert stays.overlap < 0.5 and stays[1:] == pytest.approx((0, 0, 0, 1))
    half = told.copy()
    half[:, :2] = 0.25 + 0.5 * (told[:, :2] + told[:, 2:] / 2) - told[:, 2:] / 2
    assert following(told, half)[1:3] == pytest.approx((0.5, 0.5))
    half[:100] = np.nan
    lost = following(told, half)
    assert lost.found == 0.5 and lost.overlap < following(told[100:], half[100:]).overlap


def test_of_too_few_drawings_with_an_object_nothing_is_said():
    with pytest.raises(ValueError, match="2 of 3 drawings show an object; 3 are needed"):
        following(spread_boxes(3), np.array([[math.nan] * 4, [0, 0, 1, 1], [0, 0, 1, 1]]))
    with pytest.raises(ValueError, match="12 of 12 edges of boxes are NaN"):
        following(np.full((3, 4), math.nan), spread_boxes(3))


def test_spread_boxes_lie_inside():
    boxes = spread_boxes(500)
    assert boxes.min() >= 0 and (boxes[:, :2] + boxes[:, 2:]).max() <= 1 and np.ptp(boxes[:, 2]) > 0.35


def test_a_model_is_measured_by_what_it_draws_into_boxes():
    class Painter:
        """Draws a box where it is told."""

        def grow(self, caption, seed, read_back, where):
            assert not read_back
            seeds.append(seed)
            yield SimpleNamespace(image=None)
            yield SimpleNamespace(image=Image.fromarray(as_pixels(scene(where))[0]))

    seeds = []
    found = measure(Painter(), ["a red square"] * 12, seed=5)
    assert found.overlap > 0.9 and found.across == pytest.approx(1, abs=0.05) and found.found == 1
    assert seeds == list(range(5, 17))
