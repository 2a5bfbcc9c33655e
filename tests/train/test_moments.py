import copy

import pytest
import torch

from mirrorgan.backbones import build_backbone
from train import moments
from train.metrics.frechet import FeatureStatistics, frechet_distance
from train.moments import Moments, principal

D = 5


@pytest.fixture
def wide(tiny_backbone, monkeypatch):
    """Of all directions, so that nothing is left out."""
    monkeypatch.setattr(moments, "DIRECTIONS", tiny_backbone.pooled_dim)
    return Moments(tiny_backbone, 32, D)


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
    wide.measure(*real)
    known = shown(wide, *drawn)
    points = known.place(*drawn)
    torch.testing.assert_close(known.mean, points.mean(dim=0))
    torch.testing.assert_close(known.covariance, torch.cov(points.T, correction=0))
    assert known.seen == 44


def test_later_what_was_seen_long_ago_is_forgotten(wide, tiny_backbone, monkeypatch):
    monkeypatch.setattr(moments, "HORIZON", 40)
    wide.measure(*pairs(tiny_backbone, 50))
    features, sentences = pairs(tiny_backbone, 400)
    features[:200] += 100
    known = shown(wide, features, sentences)
    still = 100 * (40 / 48) ** 25  # a fifth of the memory goes at every batch of 8
    away = (known.mean - known.place(features[200:], sentences[200:]).mean(dim=0))[: known.directions].norm()
    assert away < still * tiny_backbone.pooled_dim**0.5 + 1.5


def test_in_one_process_or_several_the_same(wide, tiny_backbone):
    wide.measure(*pairs(tiny_backbone, 50))
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
    wide.measure(features, sentences)
    known = shown(wide, drawn, sentences, size=500)
    apart = frechet_distance(FeatureStatistics.of(drawn), FeatureStatistics.of(features))
    variance = torch.cov(features.double().T).trace()
    assert known.distance(drawn, sentences).item() == pytest.approx(apart / variance.item(), rel=0.05)


def test_pictures_like_the_real_ones_are_at_no_distance(wide, tiny_backbone, monkeypatch):
    monkeypatch.setattr(moments, "REFRESH", 1)
    features, sentences = pairs(tiny_backbone, 400, way=1.0)
    wide.measure(features, sentences)
    known = shown(wide, features, sentences, size=100)
    assert known.distance(features, sentences) < 1e-4


def test_pictures_beside_other_sentences_are_at_a_distance(wide, tiny_backbone, monkeypatch):
    monkeypatch.setattr(moments, "REFRESH", 1)
    features, sentences = pairs(tiny_backbone, 400, way=1.0)
    wide.measure(features, sentences)
    known = shown(wide, features.roll(1, 0), sentences, size=100)
    features = features.roll(1, 0).requires_grad_()
    distance = known.distance(features, sentences)
    assert distance > 0.05
    distance.backward()
    nearer = (features - 100 * features.grad).detach()
    assert known.distance(nearer, sentences) < distance


def test_a_state_holds_all_of_it(wide, tiny_backbone):
    wide.measure(*pairs(tiny_backbone, 50))
    drawn = pairs(tiny_backbone, 400)
    known = shown(wide, *drawn)
    other = Moments(tiny_backbone, 32, D)
    assert not other.measured
    other.load_state_dict(known.state_dict())
    assert other.measured
    assert other.distance(*drawn) == known.distance(*drawn) > 0


def test_what_a_broken_step_asked_is_not_taken_in(wide, tiny_backbone):
    wide.measure(*pairs(tiny_backbone, 50))
    drawn = pairs(tiny_backbone, 40)
    clean = shown(wide, *drawn)
    wide.distance(*pairs(tiny_backbone, 8))
    wide.discard()
    for name, value in shown(wide, *drawn).state_dict().items():
        assert torch.equal(value, clean.state_dict()[name]), name


def test_features_take_gradients_to_the_picture_and_not_to_the_network(wide):
    images = torch.rand(2, 3, 16, 16, requires_grad=True)
    wide.features(images).sum().backward()
    assert images.grad.abs().sum() > 0
    assert not list(wide.parameters())  # the network is not its own


def test_sentences_weigh_as_much_as_features(wide, tiny_backbone):
    wide.measure(*pairs(tiny_backbone, 400))
    variances = wide.wanted.diagonal()
    assert variances[: wide.directions].sum().item() == pytest.approx(variances[wide.directions :].sum().item())


def test_principal_directions_come_largest_first():
    points = torch.randn(3000, 3).double() * torch.tensor([1.0, 5.0, 2.0])
    variances, directions = principal(points, 2)
    assert [int(column.abs().argmax()) for column in directions.T] == [1, 2]
    torch.testing.assert_close(torch.cov((points @ directions).T, correction=0).diagonal(), variances)


def test_real_networks_have_fewer_directions_than_features():
    known = Moments(build_backbone("efficientnet_lite0"), 32, 256)
    assert known.basis.shape == (1280, moments.DIRECTIONS)
    assert known.way.shape == (moments.DIRECTIONS + moments.SENTENCE_DIRECTIONS, moments.DIRECTIONS)
