import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from train.metrics import anatomy
from train.metrics.anatomy import (
    HeadDetector,
    NormalEquations,
    Peaks,
    Ridge,
    find_peaks,
    fit_head_detector,
    gaussian_maps,
    head_points,
    share_found,
    stack_levels,
)

# ------------------------------------------------------------------------------------------------------- ridge


def test_the_fit_is_the_least_of_the_penalised_squares():
    inputs, targets, penalty = 3 + torch.randn(40, 5).double() @ torch.randn(5, 5).double(), torch.randn(40), 0.1
    found = NormalEquations.of(inputs, targets).ridge(penalty)
    variance = float(inputs.var(dim=0, correction=0).mean())

    def loss(weight, bias):
        total = 0.0
        for row, target in zip(inputs.tolist(), targets.tolist(), strict=True):
            said = bias + sum(w * x for w, x in zip(weight, row, strict=True))
            total += (target - said) ** 2
        return total / len(inputs) + penalty * variance * sum(w * w for w in weight)

    weight, bias = found.weight.tolist(), float(found.bias)
    least = loss(weight, bias)
    for place, step in itertools.product(range(6), (-1e-3, 1e-3)):
        moved = [w + step * (place == column) for column, w in enumerate(weight)]
        assert loss(moved, bias + step * (place == 5)) > least


def test_without_a_penalty_a_linear_target_is_found_again():
    inputs = torch.randn(50, 4).double()
    weight = torch.tensor([1.0, -2.0, 0.5, 0.0]).double()
    found = NormalEquations.of(inputs, inputs @ weight + 7).ridge(penalty=1e-12)
    torch.testing.assert_close(found.weight, weight, atol=1e-8, rtol=0)
    assert float(found.bias) == pytest.approx(7)


def test_sums_of_batches_are_the_sums_of_all_and_a_batch_may_be_taken_out():
    inputs, targets = torch.randn(30, 4), torch.randn(30)
    parts = [NormalEquations.of(inputs[s : s + 7], targets[s : s + 7]) for s in range(0, 30, 7)]
    added = parts[0]
    for part in parts[1:]:
        added = added + part
    for one, other in (
        (added, NormalEquations.of(inputs, targets)),
        (added - parts[0], NormalEquations.of(inputs[7:], targets[7:])),
    ):
        assert one.count == other.count
        for mine, theirs in zip(one.ridge(), other.ridge(), strict=True):
            torch.testing.assert_close(mine, theirs)


def test_features_that_never_change_are_refused():
    with pytest.raises(ValueError, match="no channel of the features varies"):
        NormalEquations.of(torch.zeros(9, 2), torch.rand(9)).ridge()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_refused(value):
    inputs = torch.rand(8, 3)
    inputs[2, 1] = value
    with pytest.raises(ValueError, match="1 of 32 inputs or targets of ridge regression are NaN or infinite"):
        NormalEquations.of(inputs, torch.rand(8))
    maps = torch.rand(2, 4, 4)
    maps[1, 0, 0] = value
    with pytest.raises(ValueError, match="1 of 32 values of heat maps are NaN or infinite"):
        find_peaks(maps)
    detector = HeadDetector(Ridge(torch.ones(3).double(), torch.tensor(0.0).double()), 0.1, 0.2, 8)
    with pytest.raises(ValueError, match="values of heat maps are NaN or infinite"):
        detector.maps(inputs.reshape(2, 2, 2, 3))


# ----------------------------------------------------------------------------------------------------- targets


def test_a_heat_map_is_a_gaussian_around_its_point():
    points = torch.tensor([[0.3, 0.8], [math.nan, math.nan]])
    found = gaussian_maps(points, 5, 0.2)
    for y, x in itertools.product(range(5), range(5)):
        squared = ((x + 0.5) / 5 - 0.3) ** 2 + ((y + 0.5) / 5 - 0.8) ** 2
        assert float(found[0, y, x]) == pytest.approx(math.exp(-squared / 2 / 0.2**2), abs=1e-6)
    assert found[1].eq(0).all()


def test_a_head_is_in_the_middle_of_its_visible_parts():
    names = ("back", "beak", "crown", "left eye")
    parts = torch.full((3, 4, 2), math.nan)
    parts[0] = torch.tensor([[0.9, 0.9], [0.1, 0.5], [0.3, 0.3], [0.2, 0.1]])
    parts[1, 0], parts[1, 2] = 0.9, 0.3
    parts[2, 0] = 0.9
    found = head_points(parts, names)
    torch.testing.assert_close(found[:2], torch.tensor([[0.2, 0.3], [0.3, 0.3]]))
    assert found[2].isnan().all()
    with pytest.raises(ValueError, match="no part of a head among back, tail"):
        head_points(parts[:, :2], ("back", "tail"))


def test_levels_are_stacked_at_the_size_of_the_first():
    fine, coarse = torch.rand(2, 3, 6, 6), torch.rand(2, 2, 1, 1)
    found = stack_levels([fine, coarse])
    assert found.shape == (2, 6, 6, 5)
    assert torch.equal(found[..., :3], fine.permute(0, 2, 3, 1))
    torch.testing.assert_close(found[..., 3:], coarse.permute(0, 2, 3, 1).expand(2, 6, 6, 2))


# ------------------------------------------------------------------------------------------------------- peaks


def peaks_of(values, radius):
    """The two highest peaks by loops."""
    size = len(values)
    places = list(itertools.product(range(size), range(size)))
    first = max(places, key=lambda place: values[place])
    best = (-math.inf, None)
    for y, x in places:
        around = [values[v, u] for v in range(y - 1, y + 2) for u in range(x - 1, x + 2) if 0 <= v < size > u >= 0]
        if math.dist((y, x), first) > radius * size and values[y, x] >= max(around):
            best = max(best, (float(values[y, x]), (y, x)))
    return (float(values[first]), first), best


@pytest.mark.parametrize("radius", [0.15, 0.3])
def test_peaks_are_those_that_loops_find(radius):
    maps = torch.randn(20, 8, 8)
    found = find_peaks(maps, radius)
    for row, values in enumerate(maps):
        for column, (value, (y, x)) in enumerate(peaks_of(values, radius)):
            assert float(found.values[row, column]) == pytest.approx(value)
            assert found.points[row, column].tolist() == pytest.approx([(x + 0.5) / 8, (y + 0.5) / 8])


def test_the_slope_of_a_peak_is_no_second_one():
    one = gaussian_maps(torch.tensor([[0.3, 0.3]]), 17, 0.3)
    assert find_peaks(one).ratio.item() == 0.0
    other = gaussian_maps(torch.tensor([[12.5, 10.5]]) / 17, 17, 0.06)
    near = gaussian_maps(torch.tensor([[6.5, 5.5]]) / 17, 17, 0.03)
    thin = gaussian_maps(torch.tensor([[4.5, 5.5]]) / 17, 17, 0.03)
    assert find_peaks(thin + 0.7 * near).ratio.item() < 0.1
    assert find_peaks(thin + 0.7 * other).ratio.item() == pytest.approx(0.7, abs=1e-3)


def test_a_ratio_is_a_share_and_0_where_there_is_no_peak():
    values = torch.tensor([[0.8, 0.4], [0.8, -0.1], [-0.1, -0.2], [0.8, -math.inf], [0.5, 0.5]])
    assert Peaks(values, torch.zeros(5, 2, 2)).ratio.tolist() == pytest.approx([0.5, 0, 0, 0, 1])


def test_a_part_is_found_where_the_map_is_highest_nearby():
    points = torch.tensor([[0.5, 0.5], [0.5, 0.5], [math.nan, math.nan], [1.2, 0.5]])
    where = torch.tensor([[0.55, 0.55], [0.5, 0.65], [0.5, 0.5], [1.2, 0.5]])
    assert share_found(points, where) == 0.5
    assert math.isnan(share_found(points[2:3], where[2:3]))


# ----------------------------------------------------------------------------------------------------- drawn birds

SIDE, PLACES = 64, 16


def draw_birds(heads, bodies):
    """A green picture with a brown disc for a body and a red one for every head, (n, 3, S, S) in [0, 1].

    Args:
        heads: for every picture its heads, (n, k, 2) as shares.
        bodies: (n, k, 2).
    """
    y, x = torch.meshgrid(*[(torch.arange(SIDE) + 0.5) / SIDE] * 2, indexing="ij")
    pictures = []
    for number, (head, body) in enumerate(zip(heads.tolist(), bodies.tolist(), strict=True)):
        noise = 0.1 * torch.randn(3, SIDE, SIDE, generator=torch.Generator().manual_seed(number))
        picture = torch.tensor([0.2, 0.6, 0.2])[:, None, None] + noise
        for points, radius, colour in ((body, 0.15, [0.5, 0.3, 0.1]), (head, 0.06, [0.9, 0.1, 0.1])):
            for u, v in points:
                disc = (x - u) ** 2 + (y - v) ** 2 < radius**2
                picture = torch.where(disc, torch.tensor(colour)[:, None, None], picture)
        pictures.append(picture)
    return torch.stack(pictures)


def features_of(pictures):
    """Colours of each place and of what is around it, (n, h, w, D), in place of a network's features."""
    fine = F.adaptive_avg_pool2d(pictures, PLACES)
    around = F.avg_pool2d(fine, 3, stride=1, padding=1, count_include_pad=False)
    return torch.cat([fine, around, fine**2], dim=1).permute(0, 2, 3, 1)


def some_birds(count, seed):
    """Heads and bodies, (count, 1, 2) each."""
    generator = torch.Generator().manual_seed(seed)
    bodies = 0.35 + 0.3 * torch.rand(count, 1, 2, generator=generator)
    angle = 2 * math.pi * torch.rand(count, 1, generator=generator)
    return bodies + 0.2 * torch.stack([angle.cos(), angle.sin()], dim=2), bodies


@pytest.fixture(scope="module")
def detector():
    heads, bodies = some_birds(80, 0)
    return fit_head_detector(features_of(draw_birds(heads, bodies)), heads[:, 0])


def test_a_head_is_found_and_is_the_only_one(detector):
    heads, bodies = some_birds(40, 1)
    found = find_peaks(detector.maps(features_of(draw_birds(heads, bodies))))
    assert share_found(heads[:, 0], found.points[:, 0]) == 1.0
    assert not detector.second_head(found).any()
    assert detector.no_head(found).double().mean() < 0.1 and detector.count == 80


def test_two_pictures_beside_each_other_are_a_bird_with_two_heads(detector):
    heads, bodies = some_birds(40, 2)
    pictures = draw_birds(heads, bodies)
    middle = pictures[:, :, :, SIDE // 4 : -SIDE // 4]
    both = torch.cat([middle[:20], middle[20:]], dim=3)
    inside = ((heads[:, 0, 0] - 0.5).abs() < 0.18).reshape(2, 20).all(dim=0)  # not cut off
    found = find_peaks(detector.maps(features_of(both)))
    apart = (found.points[:, 0] - found.points[:, 1]).norm(dim=1)
    assert inside.sum() > 9 and (apart > anatomy.RADIUS).all()
    assert detector.second_head(found)[inside].double().mean() > 0.9


def test_a_bird_without_a_head_has_none(detector):
    heads, bodies = some_birds(20, 3)
    found = find_peaks(detector.maps(features_of(draw_birds(heads[:, :0], bodies))))
    assert detector.no_head(found).all() and not detector.second_head(found).any()


def test_the_peak_moves_with_the_picture(detector):
    heads, bodies = some_birds(10, 4)
    pictures = draw_birds(heads, bodies)
    step = SIDE // PLACES
    moved = pictures.roll((2 * step, -step), dims=(2, 3))
    before, after = (find_peaks(detector.maps(features_of(some))).points[:, 0] for some in (pictures, moved))
    torch.testing.assert_close(after - before, torch.tensor([[-1.0, 2.0]]).expand(10, 2) / PLACES)


def test_photographs_without_a_head_do_not_teach():
    heads, bodies = some_birds(40, 5)
    features, points = features_of(draw_birds(heads, bodies)), heads[:, 0].clone()
    kept = torch.arange(40) % 5 != 0
    points[~kept] = math.nan
    found, other = fit_head_detector(features, points), fit_head_detector(features[kept], points[kept])
    torch.testing.assert_close(found.ridge, other.ridge)
    assert found.threshold == pytest.approx(other.threshold) and found.count == other.count == 32
    with pytest.raises(ValueError, match="3 photographs with a head; a detector needs at least 4"):
        fit_head_detector(features[:3], points[1:4])


def test_the_threshold_is_a_quantile_of_photographs_that_were_held_out():
    heads, bodies = some_birds(12, 6)
    features, points = features_of(draw_birds(heads, bodies)), heads[:, 0]
    highest = []
    for fold in range(3):
        held = torch.arange(12) % 3 == fold
        rest = fit_head_detector(features[~held], points[~held], folds=2)
        highest += find_peaks(rest.maps(features[held])).values[:, 0].tolist()
    expected = torch.tensor(highest).quantile(anatomy.HEADLESS)
    assert fit_head_detector(features, points, folds=3).threshold == pytest.approx(float(expected), rel=1e-4)


def test_a_second_peak_counts_if_it_is_high_beside_the_first_and_by_itself():
    detector = HeadDetector(Ridge(torch.ones(1), torch.tensor(0.0)), threshold=0.1, faint=0.3, count=1)
    values = torch.tensor([[0.9, 0.5], [0.9, 0.6], [0.25, 0.2], [0.09, -0.1], [0.4, 0.3]])
    found = Peaks(values, torch.zeros(5, 2, 2))
    assert detector.second_head(found).tolist() == [False, True, False, False, True]
    assert detector.no_head(found).tolist() == [False, False, False, True, False]


def test_a_detector_comes_back_from_its_tensors(detector):
    again = HeadDetector.of(detector.tensors())
    features = torch.rand(2, 4, 4, 9)
    assert torch.equal(again.maps(features), detector.maps(features))
    assert again.threshold == pytest.approx(detector.threshold) and again.count == detector.count
