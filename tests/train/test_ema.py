import pytest
import torch
from torch import nn

from train.adversarial import ema


@pytest.fixture
def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_it_follows_as_its_closed_form_says(network):
    # After n steps with a constant decay d: d^n start + (1 - d) sum_k d^(n-k) network_k.
    average, decay = ema.follow(network), 0.75
    start = average[0].weight.clone()
    seen = []
    for _ in range(5):
        nn.init.normal_(network[0].weight)
        seen.append(network[0].weight.detach().clone())
        ema.update(average, network, step=10_000, decay=decay)
    expected = decay**5 * start + sum((1 - decay) * decay ** (4 - k) * weight for k, weight in enumerate(seen))
    torch.testing.assert_close(average[0].weight, expected)


@pytest.mark.parametrize(("step", "decay"), [(0, 1 / 10), (1, 2 / 11), (8, 9 / 18), (100_000, 0.9)])
def test_the_random_start_is_soon_forgotten(network, step, decay):
    average = ema.follow(network)
    start = average[0].weight.clone()
    nn.init.normal_(network[0].weight)
    ema.update(average, network, step, decay=0.9)
    torch.testing.assert_close(average[0].weight, decay * start + (1 - decay) * network[0].weight)


def test_buffers_are_the_live_ones(network):
    average = ema.follow(network)
    network(torch.randn(6, 3))
    ema.update(average, network, 3, 0.999)
    for mine, theirs in zip(average.buffers(), network.buffers(), strict=True):
        assert torch.equal(mine, theirs)
    assert int(average[1].num_batches_tracked) == 1


def test_it_is_a_frozen_copy_in_eval_mode(network):
    average = ema.follow(network)
    assert not average.training and network.training
    assert not any(p.requires_grad for p in average.parameters())
    assert all(p.requires_grad for p in network.parameters())
    before = average[0].weight.clone()
    nn.init.zeros_(network[0].weight)
    assert torch.equal(average[0].weight, before)


def test_a_network_that_stands_still_is_reached_and_not_changed(network):
    average = ema.follow(network)
    nn.init.normal_(network[0].weight)
    live = network[0].weight.detach().clone()
    for step in range(200):
        ema.update(average, network, step, 0.9)
    torch.testing.assert_close(average[0].weight, live)
    assert torch.equal(network[0].weight, live)
