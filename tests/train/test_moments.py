import copy

import pytest
import torch

from mirrorgan.backbones import Backbone, BackboneFeatures, build_backbone
from train.adversarial import frechet_loss as moments
from train.adversarial.frechet_loss import FrechetLoss, Statistics, part_statistics, principal
from train.metrics.frechet import FeatureStatistics, frechet_distance

D = 5


@pytest.fixture
def wide(tiny_backbone, monkeypatch):
    """Of all directions, so that nothing is left out."""
    monkeypatch.setattr(moments, "DIRECTIONS", tiny_backbone.pooled_dim)
    return FrechetLoss(tiny_backbone.pooled_dim, D)


def pairs(backbone, count, way=0.0):
    """Features and sentences; the features depend on the sentence by `way`."""
    sentences = torch.randn(count, D)
    given = torch.arange(1.0, D * backbone.pooled_dim + 1).sin().view(D, -1)
    return torch.randn(count, backbone.pooled_dim) + way * sentences @ given, sentences


def shown(known, features, sentences, size=8):
    """The same after it has seen the pictures, in batches."""
    known = copy.deepcopy(known)
    for start in range(0, len(features), size):
        known.distance(features[start : start + size], sentences[start : start + size])
        known.update()
    return known


def test_before_the_horizon_moments_are_those_of_all_that_was_seen(wide, tiny_backbone):
    real, drawn = pairs(tiny_backbone, 50), pairs(tiny_backbone, 44)
    wide.fit(*real)
    known = shown(wide, *drawn)
    points = known.place(*drawn)
    torch.testing.assert_close(known.mean, points.mean(dim=0))
    torch.testing.assert_close(known.covariance, torch.cov(points.T, correction=0))
    assert known.seen == 44


def test_later_what_was_seen_long_ago_is_forgotten(wide, tiny_backbone, monkeypatch):
    monkeypatch.setattr(moments, "HORIZON", 40)
    wide.fit(*pairs(tiny_backbone, 50))
    features, sentences = pairs(tiny_backbone, 400)
    features[:200] += 100
    known = shown(wide, features, sentences)
    still = 100 * (40 / 48) ** 25  # a fifth of the memory goes at every batch of 8
    away = (known.mean - known.place(features[200:], sentences[200:]).mean(dim=0))[: known.directions].norm()
    assert away < still * tiny_backbone.pooled_dim**0.5 + 1.5


def test_in_one_process_or_several_the_same(wide, tiny_backbone):
    wide.fit(*pairs(tiny_backbone, 50))
    features, sentences = pairs(tiny_backbone, 16)
    alone, first = copy.deepcopy(wide), copy.deepcopy(wide)
    alone.distance(features, sentences)
    alone.update()
    first.distance(features[:8], sentences[:8])
    other = first.place(features[8:], sentences[8:])
    first.update(lambda points: torch.cat([points, other]))
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(first.state_dict()[name], value, msg=name)


def test_the_loss_is_the_frechet_distance_of_features_where_sentences_say_nothing(wide, tiny_backbone, monkeypatch):
    monkeypatch.setattr(moments, "RIDGE", 1e-9)
    monkeypatch.setattr(moments, "REFRESH", 1)
    features, sentences = pairs(tiny_backbone, 4000)
    drawn = 0.5 * features.flip(0) + 1
    sentences = torch.zeros_like(sentences)
    sentences[:, 0] = torch.arange(4000.0).remainder(2) * 2 - 1
    wide.fit(features, sentences)
    known = shown(wide, drawn, sentences, size=500)
    apart = frechet_distance(FeatureStatistics.of(drawn), FeatureStatistics.of(features))
    variance = torch.cov(features.double().T).trace()
    assert known.distance(drawn, sentences).item() == pytest.approx(apart / variance.item(), rel=0.05)


def test_pictures_like_the_real_ones_are_at_no_distance(wide, tiny_backbone, monkeypatch):
    monkeypatch.setattr(moments, "REFRESH", 1)
    features, sentences = pairs(tiny_backbone, 400, way=1.0)
    wide.fit(features, sentences)
    known = shown(wide, features, sentences, size=100)
    assert known.distance(features, sentences) < 1e-4


def test_pictures_beside_other_sentences_are_at_a_distance(wide, tiny_backbone, monkeypatch):
    monkeypatch.setattr(moments, "REFRESH", 1)
    features, sentences = pairs(tiny_backbone, 400, way=1.0)
    wide.fit(features, sentences)
    known = shown(wide, features.roll(1, 0), sentences, size=100)
    features = features.roll(1, 0).requires_grad_()
    distance = known.distance(features, sentences)
    assert distance > 0.05
    distance.backward()
    nearer = (features - 100 * features.grad).detach()
    assert known.distance(nearer, sentences) < distance


def test_a_state_holds_all_of_it(wide, tiny_backbone):
    wide.fit(*pairs(tiny_backbone, 50))
    drawn = pairs(tiny_backbone, 400)
    known = shown(wide, *drawn)
    other = FrechetLoss(tiny_backbone.pooled_dim, D)
    assert not other.fitted
    other.load_state_dict(known.state_dict())
    assert other.fitted
    assert other.distance(*drawn) == known.distance(*drawn) > 0


def test_what_a_broken_step_asked_is_not_taken_in(wide, tiny_backbone):
    wide.fit(*pairs(tiny_backbone, 50))
    drawn = pairs(tiny_backbone, 40)
    clean = shown(wide, *drawn)
    wide.distance(*pairs(tiny_backbone, 8))
    wide.discard()
    for name, value in shown(wide, *drawn).state_dict().items():
        assert torch.equal(value, clean.state_dict()[name]), name


@pytest.mark.parametrize("kind", ["pooled", "spatial"])
def test_statistics_take_gradients_to_the_picture_and_not_to_the_network(tiny_backbone, kind):
    images = torch.rand(2, 3, 16, 16, requires_grad=True)
    looked = Statistics(tiny_backbone, 32, [kind])
    looked(images)[0].sum().backward()
    assert images.grad.abs().sum() > 0
    assert not list(looked.parameters())  # the network is not its own


def test_sentences_weigh_as_much_as_features(wide, tiny_backbone):
    wide.fit(*pairs(tiny_backbone, 400))
    variances = wide.wanted.diagonal()
    assert variances[: wide.directions].sum().item() == pytest.approx(variances[wide.directions :].sum().item())


def test_principal_directions_come_largest_first():
    points = torch.randn(3000, 3).double() * torch.tensor([1.0, 5.0, 2.0])
    variances, directions = principal(points, 2)
    assert [int(column.abs().argmax()) for column in directions.T] == [1, 2]
    torch.testing.assert_close(torch.cov((points @ directions).T, correction=0).diagonal(), variances)


def test_real_networks_have_fewer_directions_than_features():
    both = moments.DIRECTIONS + moments.SENTENCE_DIRECTIONS
    pooled, spatial = Statistics(build_backbone("efficientnet_lite0"), 32, ["pooled", "spatial"]).moments(256)
    assert pooled.basis.shape == (1280, moments.DIRECTIONS) and pooled.channel_basis is None
    assert spatial.channel_basis.shape == (320, moments.CHANNEL_DIRECTIONS)
    assert spatial.basis.shape == (9 * moments.CHANNEL_DIRECTIONS, moments.DIRECTIONS)
    assert pooled.way.shape == spatial.way.shape == (both, moments.DIRECTIONS)


class Window(Backbone):
    """Shows the picture itself, brought to the places of its last level: moving the picture moves the features."""

    channels, pooled_dim, image_size = (3, 3, 3, 3), 3, 12

    def __init__(self, parts=()):
        super().__init__()
        self.part_names = parts

    def forward(self, images):
        heat = images.clamp(0, 1)[:, : len(self.part_names)]
        return BackboneFeatures([images] * 4, images.mean(dim=(2, 3)), heat)


def birds(count, left=None, two=False, size=12):
    """Black pictures with a bright square, a 'bird' of 4 x 4 pixels, at a place that is random or `left` from the left
    border; or with another one below it."""
    pictures = torch.full((count, 3, size, size), -1.0)
    for picture in pictures:
        x = int(torch.randint(0, 3, ())) if left is None else left
        y = int(torch.randint(0, 3, ()))
        picture[:, y : y + 4, x : x + 4] = 1.0
        if two:
            picture[:, y + 6 : y + 10, x : x + 4] = 1.0
    return pictures


def distances_of(kinds, real, drawn, monkeypatch, parts=()):
    """The Frechet loss of each kind between real and drawn pictures, beside sentences that say nothing."""
    monkeypatch.setattr(moments, "REFRESH", 1)
    looked = Statistics(Window(parts), 12, kinds)
    sentences = torch.randn(len(real), D)
    found = []
    for known, some, others in zip(looked.moments(D), looked(real), looked(drawn), strict=True):
        known.fit(some + 1e-3 * torch.randn_like(some), sentences)
        known.distance(others, sentences)
        known.update()
        found.append(known.distance(others, sentences).item())
    return found


def test_a_bird_at_another_place_is_far_for_spatial_means_and_not_for_pooled_ones(monkeypatch):
    real, moved = birds(200), birds(200, left=8)
    pooled, spatial = distances_of(["pooled", "spatial"], real, moved, monkeypatch)
    assert spatial > 1 and pooled < 0.1 * spatial
    assert distances_of(["spatial"], real, birds(200), monkeypatch)[0] < 0.1


def test_two_birds_are_far_for_parts(monkeypatch):
    real = birds(200)
    (one,) = distances_of(["parts"], real, birds(200), monkeypatch, parts=("head", "tail"))
    (two,) = distances_of(["parts"], real, birds(200, two=True), monkeypatch, parts=("head", "tail"))
    assert two > 1 > 0.3 > one


def test_spatial_means_are_those_of_nine_places():
    images = torch.randn(2, 3, 12, 12)
    (found,) = Statistics(Window(), 12, ["spatial"])(images)
    for place in range(9):
        row, column = divmod(place, 3)
        mean = images[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].mean(dim=(2, 3))
        torch.testing.assert_close(found[:, 3 * place : 3 * place + 3], mean)


def test_statistics_of_parts_are_those_of_the_loop():
    maps = torch.rand(2, 3, 4, 5)
    found = part_statistics(maps).view(2, 5, 3)
    for b in range(2):
        for p in range(3):
            mass = energy = x = y = 0.0
            for row in range(4):
                for column in range(5):
                    heat = float(maps[b, p, row, column])
                    mass, energy = mass + heat, energy + heat**2
                    x, y = x + heat * (column + 0.5) / 5, y + heat * (row + 0.5) / 4
            whole = mass + moments.UNSEEN
            x, y = (x + 0.5 * moments.UNSEEN) / whole, (y + 0.5 * moments.UNSEEN) / whole
            spread = sum(
                float(maps[b, p, row, column]) * (((column + 0.5) / 5 - x) ** 2 + ((row + 0.5) / 4 - y) ** 2)
                for row in range(4)
                for column in range(5)
            )
            expected = torch.tensor([mass, energy, x, y, spread / whole])
            torch.testing.assert_close(found[b, :, p], expected)


def test_a_part_that_is_not_seen_lies_in_the_middle_and_takes_gradients():
    maps = torch.zeros(1, 1, 4, 4, requires_grad=True)
    found = part_statistics(maps)
    torch.testing.assert_close(found[0], torch.tensor([0.0, 0.0, 0.5, 0.5, 0.0]))
    found.sum().backward()
    assert maps.grad.isfinite().all()


def test_moments_of_several_places_are_those_of_all_directions_where_none_is_left_out(monkeypatch):
    """The same loss as by plain features of as many dimensions: the directions are only turned."""
    monkeypatch.setattr(moments, "REFRESH", 1)
    features, sentences = torch.randn(300, 12), torch.randn(300, D)
    drawn = torch.randn(300, 12) * 0.5 + 1
    found = []
    for known in (FrechetLoss(4, D, places=3), FrechetLoss(12, D)):
        known.fit(features, sentences)
        found.append(shown(known, drawn, sentences, size=100).distance(drawn, sentences).item())
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_standardized_features_may_have_any_unit(monkeypatch):
    monkeypatch.setattr(moments, "REFRESH", 1)
    features, sentences, drawn = torch.randn(300, 6), torch.randn(300, D), torch.randn(300, 6) + 0.3
    units = torch.tensor([1.0, 100.0, 0.01, 1.0, 5.0, 0.2])
    found = []
    for scale in (torch.ones(6), units):
        known = FrechetLoss(6, D, standardize=True)
        known.fit(features * scale, sentences)
        found.append(shown(known, drawn * scale, sentences, size=100).distance(drawn * scale, sentences).item())
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_parts_need_a_trunk_that_knows_them(tiny_backbone):
    with pytest.raises(ValueError, match=r"needs a trunk that knows parts: the expert"):
        Statistics(tiny_backbone, 32, ["parts"])
    with pytest.raises(ValueError, match=r"'heads' is no statistic; expected some of pooled, spatial, parts"):
        Statistics(tiny_backbone, 32, ["heads"])
