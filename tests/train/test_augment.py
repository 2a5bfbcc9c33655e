import pytest
import torch

from train.data.augmentation import NUMBERS, augment, colour, cutout, translate


def numbers(count, width=NUMBERS):
    return torch.rand(count, width)


@pytest.fixture
def images():
    return torch.rand(4, 3, 16, 16) * 2 - 1


def test_without_strength_nothing_is_changed(images):
    assert augment(images, numbers(4), 0) is images
    for step in (
        colour(images, numbers(4, 3), 0),
        translate(images, numbers(4, 2), 0),
        cutout(images, numbers(4, 2), 0),
    ):
        torch.testing.assert_close(step, images)


def test_the_same_numbers_change_in_the_same_way(images):
    chosen = numbers(4)
    first = augment(images, chosen)
    torch.rand(3)
    assert torch.equal(augment(images, chosen), first)
    assert not torch.equal(augment(images, numbers(4)), first)


def test_a_part_of_a_batch_is_changed_as_in_the_whole(images):
    chosen = numbers(4)
    whole = augment(images, chosen)
    assert torch.equal(torch.cat([augment(images[:1], chosen[:1]), augment(images[1:], chosen[1:])]), whole)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: augment(x, numbers(8)),
        lambda x: colour(x, numbers(8, 3), 1.0),
        lambda x: translate(x, numbers(8, 2), 0.25),
        lambda x: cutout(x, numbers(8, 2), 0.5),
    ],
)
def test_every_picture_is_changed_in_its_own_way(change):
    same = (torch.rand(1, 3, 16, 16) * 2 - 1).expand(8, -1, -1, -1)
    changed = change(same)
    assert changed.shape == same.shape
    assert len({tuple(picture.flatten().tolist()) for picture in changed}) > 4


def test_gradients_go_through(images):
    images.requires_grad_()
    augment(images, numbers(4)).square().sum().backward()
    assert images.grad.isfinite().all()
    assert (images.grad.abs().sum(dim=(1, 2, 3)) > 0).all()


def test_gradients_agree_with_differences(images):
    # Linear in each pixel but for the means: a numerical derivative must agree.
    small = images[:2, :, :8, :8].double().requires_grad_()
    chosen = numbers(2)
    assert torch.autograd.gradcheck(lambda x: augment(x, chosen), (small,), fast_mode=True)


def test_translation_moves_and_keeps_what_is_inside():
    # A block that stays inside wherever it is moved to keeps its pixels, all by one shift.
    images = torch.zeros(6, 3, 16, 16)
    block = torch.rand(3, 4, 4) + 1
    images[:, :, 6:10, 6:10] = block
    shifts = set()
    for moved in translate(images, numbers(6, 2), 0.25):
        rows, columns = (moved[0] != 0).nonzero(as_tuple=True)
        top, left = int(rows.min()), int(columns.min())
        assert torch.equal(moved[:, top : top + 4, left : left + 4], block)
        assert (moved != 0).sum() == (block != 0).sum()
        assert abs(top - 6) <= 4 and abs(left - 6) <= 4
        shifts.add((top - 6, left - 6))
    assert len(shifts) > 1


def test_translation_mirrors_the_edges(images):
    for moved, original in zip(translate(images, numbers(4, 2), 0.125), images, strict=True):
        assert torch.isin(moved, original).all()  # no new pixel


def test_cutting_out_greys_a_square_and_leaves_the_rest():
    images = torch.ones(8, 3, 20, 20)
    for cut in cutout(images, numbers(8, 2), 0.5):
        hole = cut[0] == 0
        assert torch.equal(cut == 0, hole.expand(3, -1, -1))
        rows, columns = hole.any(dim=1), hole.any(dim=0)
        assert torch.equal(hole, rows[:, None] & columns[None, :])
        assert 0 < int(rows.sum()) <= 10 and 0 < int(columns.sum()) <= 10
        assert ((cut == 0) | (cut == 1)).all()


@pytest.mark.parametrize(("share", "side"), [(0.1, 4), (0.25, 10), (0.3, 12), (0.5, 20), (1.0, 40)])
def test_a_hole_in_the_middle_has_that_share_of_the_side(share, side):
    hole = cutout(torch.ones(1, 3, 40, 40), torch.full((1, 2), 0.5), share)[0, 0] == 0
    assert int(hole.any(dim=1).sum()) == int(hole.any(dim=0).sum()) == side
    assert int(hole.sum()) == side**2


@pytest.mark.parametrize(("strength", "side"), [(1.0, 12), (0.5, 6)])
def test_augmentation_cuts_three_tenths_of_the_side(strength, side):
    middle = torch.full((1, NUMBERS), 0.5)  # no other change
    assert int((augment(torch.ones(1, 3, 40, 40), middle, strength)[0, 0] == 0).sum()) == side**2


def test_colours_keep_the_hue():
    # Brightness, saturation and contrast are one straight line on all three channels: their order stays.
    images = torch.rand(16, 3, 1, 1) * 0.5
    changed = colour(images, numbers(16, 3), 1.0)
    assert torch.equal(changed.argsort(dim=1), images.argsort(dim=1))


def test_brightness_and_contrast_stay_in_their_bounds():
    grey = torch.zeros(500, 3, 2, 2)
    changed = colour(grey, numbers(500, 3), 1.0)
    assert 0.15 < changed.abs().max() <= 0.2 + 1e-6
    halves = torch.zeros(500, 3, 2, 2)
    halves[..., 0] = 1.0
    spread = colour(halves, numbers(500, 3), 1.0)
    contrast = spread[..., 0] - spread[..., 1]
    assert 0.75 - 1e-5 <= contrast.min() < 0.8 and 1.2 < contrast.max() <= 1.25 + 1e-5


@pytest.mark.parametrize(
    ("number", "strength", "factor"),
    [(0.0, 1.0, 0.6), (0.5, 1.0, 1.0), (1.0, 1.0, 1.4), (0.0, 0.5, 0.8), (1.0, 0.5, 1.2)],
)
def test_saturation_scales_the_distance_from_grey(number, strength, factor):
    images = torch.rand(4, 3, 1, 1)
    numbers = torch.tensor([[0.5, number, 0.5]]).expand(4, -1)  # brightness and contrast stay
    changed, grey = colour(images, numbers, strength), images.mean(dim=1, keepdim=True)
    torch.testing.assert_close(changed - grey, factor * (images - grey))


def test_half_the_strength_is_half_the_change():
    grey = torch.zeros(500, 3, 2, 2)
    assert 0.07 < colour(grey, numbers(500, 3), 0.5).abs().max() <= 0.1 + 1e-6


def test_every_shift_is_drawn_as_often():
    # A ramp tells by how much it was moved: -2 to 2 pixels of 8 at a share of 1/4.
    images = torch.arange(8.0)[None, None, :, None].expand(5000, 1, 8, 8)
    moved = translate(images, numbers(5000, 2), 0.25)[:, 0, 3, 3].long() - 3
    shares = torch.bincount(moved + 2, minlength=5) / 5000
    assert len(shares) == 5 and (shares - 0.2).abs().max() < 0.03
