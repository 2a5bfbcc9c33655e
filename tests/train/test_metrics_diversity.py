import pytest
import torch

from train.metrics import diversity as module
from train.metrics.diversity import diversity


def test_diversity_matches_its_definition_written_as_loops(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 5)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(18, 4, generator=generator)
    captions = torch.randint(5, (18,), generator=generator)

    within, between = [], []
    for i in range(18):
        for j in range(i):
            distance = float((features[i] - features[j]).double().norm())
            (within if captions[i] == captions[j] else between).append(distance)
    within_mean, between_mean = sum(within) / len(within), sum(between) / len(between)

    score = diversity(features, captions)
    assert score.within == pytest.approx(within_mean)
    assert score.between == pytest.approx(between_mean)
    assert score.ratio == pytest.approx(within_mean / between_mean)


def test_diversity_by_hand():
    # Caption 0 at 0 and 2, caption 1 at 10 and 10: within (2 + 0) / 2, between (10 + 10 + 8 + 8) / 4.
    score = diversity(torch.tensor([[0.0], [10.0], [2.0], [10.0]]), torch.tensor([0, 1, 0, 1]))
    assert (score.within, score.between, score.ratio) == pytest.approx((1.0, 9.0, 1 / 9))


def test_order_shift_and_scale_change_nothing():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(30, 3, generator=generator, dtype=torch.float64)
    captions = torch.arange(30) % 6
    order = torch.randperm(30, generator=generator)
    expected = diversity(features, captions).ratio
    assert diversity(features[order], captions[order]).ratio == pytest.approx(expected)
    assert diversity(3 * features + 1e8, captions).ratio == pytest.approx(expected, rel=1e-6)


def test_the_ends_of_the_ratio():
    generator = torch.Generator().manual_seed(2)
    by_caption = torch.randn(10, 8, generator=generator).repeat_interleave(4, dim=0)
    by_noise = torch.randn(4, 8, generator=generator).repeat(10, 1)
    captions = torch.arange(10).repeat_interleave(4)
    # The noise changes nothing. The caption changes nothing: of 16 pairs of seeds 12 differ. Nothing changes.
    assert diversity(by_caption, captions).ratio == 0
    assert diversity(by_noise, captions).ratio == pytest.approx(16 / 12)
    assert diversity(torch.full((40, 8), 0.1), captions).ratio == 0


def test_pairs_of_both_kinds_are_needed():
    with pytest.raises(ValueError, match="3 drawings of 3 captions"):
        diversity(torch.randn(3, 2), torch.arange(3))
    with pytest.raises(ValueError, match="3 drawings of 1 captions"):
        diversity(torch.randn(3, 2), torch.zeros(3))
    with pytest.raises(ValueError, match="do not match"):
        diversity(torch.randn(3, 2), torch.arange(4))
