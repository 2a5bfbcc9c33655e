"""The Plug & Play sampler: its step as loops, what each of its terms does, and the network that inverts a trunk."""

import dataclasses

import pytest
import torch
from torch import nn

from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.checkpoint import load_part, save_part
from mirrorgan.inverter import Inverter, InverterConfig
from mirrorgan.sampler import SamplerConfig, caption_condition, class_condition, start_at, walk

torch.manual_seed(0)
G = torch.randn(12, 5, dtype=torch.float64) / 3
E = torch.linalg.pinv(G) + 0.05 * torch.randn(5, 12, dtype=torch.float64)
WANTED = torch.randn(12, dtype=torch.float64)
START = torch.rand(3, 5, dtype=torch.float64) * 4


def encode(images):
    return (images.flatten(1) @ E.T).clamp(0, 6)


def generate(features):
    return (features @ G.T).unflatten(1, (3, 2, 2))


def condition(images):
    return -(images.flatten(1) - WANTED).square().sum(dim=1)


def walked(most=6.0, deviation=1.0, start=START, seed=0, **options):
    config = SamplerConfig(**{"steps": 30, "rate": 0.1} | options)
    return list(walk(encode, generate, condition, start, config, most, deviation, torch.Generator().manual_seed(seed)))


def test_a_step_is_its_equation_written_as_loops():
    options = {"steps": 4, "prior": 0.7, "condition": 0.2, "rate": 0.5, "last_rate": 0.1}
    found = walked(most=2.0, deviation=0.3, **options)
    for row in range(3):
        h = [min(max(float(x), 0.0), 2.0) for x in START[row]]
        for step in range(5):
            assert found[step].features[row].tolist() == pytest.approx(h)
            picture = [sum(float(G[i, k]) * h[k] for k in range(5)) for i in range(12)]
            again = [min(max(sum(float(E[k, i]) * picture[i] for i in range(12)), 0.0), 6.0) for k in range(5)]
            slope = [sum(-2 * (picture[i] - float(WANTED[i])) * float(G[i, k]) for i in range(12)) for k in range(5)]
            assert float(found[step].reconstruction[row]) == pytest.approx(
                sum(abs(again[k] - h[k]) for k in range(5)) / 5
            )
            d = [0.7 * (again[k] - h[k]) + 0.2 * slope[k] for k in range(5)]
            length = sum(abs(x) for x in d) / 5
            rate = 0.3 * (0.5 + (0.1 - 0.5) * step / 3)
            h = [min(max(h[k] + rate / length * d[k], 0.0), 2.0) for k in range(5)]
    assert [sample.step for sample in found] == list(range(5))


def test_the_prior_alone_brings_features_to_where_the_trunk_sees_them():
    found = walked(condition=0.0)
    assert (found[-1].reconstruction < found[0].reconstruction).all()


def test_the_condition_alone_raises_its_likelihood():
    found = walked(prior=0.0, rate=0.05)
    assert (found[-1].log_likelihood > found[0].log_likelihood).all()


def test_only_how_the_terms_stand_to_each_other_matters():
    one, other = walked(prior=0.3, condition=0.1)[-1], walked(prior=30.0, condition=10.0)[-1]
    torch.testing.assert_close(one.features, other.features)
    assert not torch.allclose(one.features, walked(prior=0.3, condition=1.0)[-1].features)


def test_a_walk_is_its_seed_s_and_rows_know_nothing_of_each_other():
    noisy = {"noise": 0.5}
    one, same, other = (walked(seed=seed, **noisy)[-1].features for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.allclose(one, other)
    torch.testing.assert_close(walked(start=START[1:2])[-1].features[0], walked()[-1].features[1])


def test_a_walk_may_be_stopped_at_any_step_and_steps_are_made_when_asked_for():
    calls = []

    def counted(features):
        calls.append(1)
        return generate(features)

    steps = walk(encode, counted, condition, START, SamplerConfig(steps=200), 6.0)
    for _ in range(3):
        next(steps)
    steps.close()
    assert len(calls) == 3


def test_features_stay_in_their_range_and_leave_no_graph():
    for sample in walked(rate=50.0, last_rate=50.0, most=1.5):
        assert sample.features.min() >= 0 and sample.features.max() <= 1.5
        assert not any(tensor.requires_grad for tensor in sample[1:])


def test_where_nothing_pulls_nothing_moves():
    def still(images):
        return 0 * images.flatten(1).sum(dim=1)

    still_there = list(walk(encode, generate, still, START, SamplerConfig(steps=3, prior=0.0), 6.0))
    assert torch.equal(still_there[0].features, still_there[-1].features)


def test_a_start_is_normal_and_of_the_deviation():
    start = start_at(40, 500, torch.Generator().manual_seed(0), 0.25)
    assert start.mean().abs() < 0.01 and start.std() == pytest.approx(0.25, rel=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be from 1 to 500, not 0"),
        ({"steps": 501}, "steps must be from 1 to 500, not 501"),
        ({"noise": -1.0}, "noise must be 0 or more, not -1.0"),
        ({"rate": float("nan")}, "rate must be 0 or more, not nan"),
        ({"prior": 0.0, "condition": 0.0}, "no step would go anywhere"),
    ],
)
def test_a_walk_that_cannot_be_is_refused_in_words(options, message):
    with pytest.raises(ValueError, match=message):
        SamplerConfig(**options)


# ----------------------------------------------------------------------------------------------- conditions


@pytest.mark.parametrize("ends", [True, False])
def test_a_caption_s_condition_is_the_sum_of_its_words_log_probabilities_and_has_the_picture_s_gradient(
    tiny_backbone, ends
):
    config = CaptionerConfig(
        vocabulary_size=9, backbone="tiny", image_size=32, embedding_dim=6, hidden_dim=7, ends=ends
    )
    captioner = Captioner(config, tiny_backbone).eval().requires_grad_(False)
    tokens, mask = torch.tensor([[3, 5, 2]]), torch.ones(1, 3, dtype=torch.bool)
    images = (torch.rand(2, 3, 32, 32) * 2 - 1).requires_grad_()
    found = caption_condition(captioner, tokens, mask)(images)
    expected = captioner.score(captioner.see(images), tokens.expand(2, -1), mask.expand(2, -1)).sum(dim=1)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert (images.grad.abs().sum(dim=(1, 2, 3)) > 0).all()


def test_a_class_s_condition_is_its_log_probability():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    images = torch.randn(2, 3, 2, 2)
    found = class_condition(network, 2)(images)
    torch.testing.assert_close(found, network(images).softmax(dim=1)[:, 2].log())


# ------------------------------------------------------------------------------------------------- inverter


def test_the_inverter_has_as_many_parameters_as_the_released_one():
    with torch.device("meta"):
        network = Inverter(InverterConfig(feature_dim=4096, first_size=256, channels=32), nn.Identity())
    assert sum(p.numel() for p in network.parameters()) == 56_097_891
    convolutions = [m for m in network.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [m.out_channels for m in convolutions] == [256, 512, 256, 256, 128, 128, 64, 32, 3]
    assert [m.stride[0] for m in convolutions] == [2, 1, 2, 1, 2, 1, 2, 2, 2]


def inverter(backbone, **options):
    config = InverterConfig(feature_dim=backbone.pooled_dim, look_size=32, channels=2, **options)
    return Inverter(config, backbone)


@pytest.mark.parametrize("size", [16, 32, 64, 128, 256, 512])
def test_pictures_of_every_size_stay_in_range(tiny_backbone, size):
    network = inverter(tiny_backbone, first_size=size)
    with torch.no_grad():
        pictures = network(torch.rand(2, tiny_backbone.pooled_dim) * 100)
        assert pictures.shape == (2, 3, size, size) and pictures.abs().max() <= 1
        assert network.encode(pictures).shape == (2, tiny_backbone.pooled_dim)


def test_features_are_centred_and_divided_by_the_deviation_of_training(tiny_backbone):
    network = inverter(tiny_backbone, first_size=16)
    features = torch.rand(2, tiny_backbone.pooled_dim)
    plain = network(features)
    network.deviation.fill_(3.0)
    network.mean.fill_(2.0)
    torch.testing.assert_close(network(3 * features + 2), plain)


def test_the_trunk_is_no_part_of_the_weights_and_what_was_written_draws_the_same(tiny_backbone, tmp_path):
    network = inverter(tiny_backbone, first_size=16)
    network.deviation.fill_(0.5)
    assert not [name for name in network.state_dict() if "trunk" in name]
    save_part(network, network.config, tmp_path, "inverter", "hash")
    again = load_part(tmp_path, "inverter", InverterConfig, lambda c: Inverter(c, tiny_backbone), "hash")
    features = torch.rand(2, tiny_backbone.pooled_dim)
    assert torch.equal(again(features), network(features)) and again.config == network.config


def test_gradients_of_a_caption_reach_the_feature_through_pictures(tiny_backbone):
    network = inverter(tiny_backbone, first_size=16)
    features = torch.rand(2, tiny_backbone.pooled_dim, requires_grad=True)
    network.encode(network(features)).square().sum().backward()
    assert (features.grad.abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "nothing"}, "backbone must be one of"),
        ({"first_size": 48}, "power of two"),
        ({"channels": 0}, "channels must be at least 1, not 0"),
        ({"most": float("inf")}, "most must be positive, not inf"),
    ],
)
def test_configurations_that_cannot_be_are_refused_in_words(options, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(InverterConfig(), **options)
