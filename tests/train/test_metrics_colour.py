import pytest
import torch
from torch.nn import functional as F

from train.metrics.colour import COLOURS, area_under_curve, colour_agreement, colours_named, fit_colour_probes


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def photographs(count, generator, noise=1.0):
    """Features in which a few channels tell red, blue and grey, and captions that name what is there."""
    there = torch.rand(count, 3, generator=generator) < torch.tensor([0.5, 0.3, 0.1])
    features = torch.randn(count, 6, generator=generator) * noise
    features[:, :3] += 2 * there
    words = ("red", "blue", "gray")
    captions = [["a", *(w for w, is_there in zip(words, row, strict=True) if is_there)] for row in there.tolist()]
    return features, captions


def area_by_pairs(scores, labels):
    wins = [
        float(positive > negative) + float(positive == negative) / 2
        for positive in scores[labels]
        for negative in scores[~labels]
    ]
    return sum(wins) / len(wins)


@pytest.mark.parametrize("values", [2, 5, 1000])
def test_area_matches_the_count_of_pairs_with_ties(generator, values):
    scores = torch.randint(values, (80,), generator=generator).float()
    labels = torch.rand(80, generator=generator) < 0.3
    assert area_under_curve(scores, labels) == area_by_pairs(scores, labels)


def test_area_by_hand():
    labels = torch.tensor([True, True, False, False])
    assert area_under_curve(torch.tensor([3.0, 2.0, 1.0, 0.0]), labels) == 1
    assert area_under_curve(torch.tensor([0.0, 1.0, 2.0, 3.0]), labels) == 0
    assert area_under_curve(torch.tensor([5.0, 5.0, 5.0, 5.0]), labels) == 0.5
    assert area_under_curve(torch.tensor([2.0, 1.0, 1.0, 0.0]), labels) == 3.5 / 4


def test_area_knows_only_the_order_of_the_scores(generator):
    scores = torch.randn(50, generator=generator, dtype=torch.float64)
    labels = torch.rand(50, generator=generator) < 0.5
    order = torch.randperm(50, generator=generator)
    area = area_under_curve(scores, labels)
    assert area_under_curve(scores[order], labels[order]) == area
    assert area_under_curve(scores.exp() + 7, labels) == area
    assert area_under_curve(-scores, labels) == pytest.approx(1 - area)
    assert area_under_curve(scores, ~labels) == pytest.approx(1 - area)


def test_area_needs_both_kinds():
    with pytest.raises(ValueError, match="0 positives and 3 negatives"):
        area_under_curve(torch.zeros(3), torch.zeros(3, dtype=torch.bool))


def test_a_colour_is_named_by_its_own_word_only():
    named = colours_named([["a", "reddish", "bird"], ["gray", "and", "red"], ["grey"], []])
    rows = [{colour for colour, is_named in zip(COLOURS, row, strict=True) if is_named} for row in named.tolist()]
    assert rows == [set(), {"red", "grey"}, {"grey"}, set()]
    assert len(COLOURS) == 9
    with pytest.raises(ValueError, match="cut it into a list of tokens"):
        colours_named(["a red bird"])


def test_fitted_probes_are_at_the_minimum_of_the_penalised_cross_entropy(generator):
    features, captions = photographs(200, generator)
    probes = fit_colour_probes(features, captions, l2=0.05)
    assert probes.colours == ("red", "blue", "grey")

    inputs = (features.double() - features.double().mean(dim=0)) / features.double().std(dim=0, correction=0)
    for k, words in enumerate([{"red"}, {"blue"}, {"gray"}]):
        labels = torch.tensor([bool(words & set(caption)) for caption in captions]).double()
        weight, bias = probes.weight[k].clone().requires_grad_(), probes.bias[k].clone().requires_grad_()
        entropy = F.binary_cross_entropy_with_logits(inputs @ weight + bias, labels)
        (entropy + 0.05 / 2 * weight.square().sum()).backward()
        assert weight.grad.abs().max() < 1e-5
        assert bias.grad.abs() < 1e-5
        torch.testing.assert_close(probes.logits(features)[:, k], (inputs @ weight + bias).detach())
    assert probes.weight.abs().max() > 0.5


def test_probes_do_not_depend_on_shift_and_scale_of_a_channel_or_on_order(generator):
    features, captions = photographs(150, generator)
    probes = fit_colour_probes(features, captions)
    stretch, shift = (
        torch.tensor([1.0, 10.0, 0.1, 5.0, 1.0, 2.0]),
        torch.tensor([100.0, -3.0, 0.0, 1.0, 2.0, 0.0]),
    )
    order = torch.randperm(150, generator=generator)
    moved = features * stretch + shift
    other = fit_colour_probes(moved[order], [captions[i] for i in order.tolist()])
    torch.testing.assert_close(other.logits(moved), probes.logits(features), atol=1e-3, rtol=1e-3)


def test_a_channel_that_never_changes_does_no_harm(generator):
    features, captions = photographs(100, generator)
    features[:, 5] = 3.0
    probes = fit_colour_probes(features, captions)
    assert probes.logits(features).isfinite().all()
    assert (probes.weight[:, 5] == 0).all()


def test_a_stronger_penalty_makes_smaller_weights(generator):
    features, captions = photographs(100, generator)
    weights = [fit_colour_probes(features, captions, l2=l2).weight.norm() for l2 in (1e-3, 1e-1, 10.0)]
    assert weights[0] > weights[1] > weights[2] > 0


def test_agreement_is_high_for_the_right_captions_and_chance_for_shuffled_ones(generator):
    probes = fit_colour_probes(*photographs(400, generator))
    features, captions = photographs(600, generator)
    right = colour_agreement(probes, features, captions)
    shuffled = [captions[i] for i in torch.randperm(600, generator=generator).tolist()]
    wrong = colour_agreement(probes, features, shuffled)
    # Two standard deviations apart: the best possible area is Phi(2 / sqrt 2) = 0.92.
    assert set(right.auc) == {"red", "blue", "grey"}
    assert all(0.85 < area < 0.97 for area in right.auc.values())
    assert wrong.mean == pytest.approx(0.5, abs=0.08)
    assert right.mean == pytest.approx(sum(right.auc.values()) / 3)


def test_agreement_is_the_area_of_the_logits(generator):
    probes = fit_colour_probes(*photographs(100, generator))
    features, captions = photographs(60, generator)
    captions[0] = ["green"]  # not probed: photographs never show it
    agreement = colour_agreement(probes, features, captions)
    assert set(agreement.auc) == {"red", "blue", "grey"}
    for k, word in enumerate(("red", "blue", "gray")):
        labels = torch.tensor([word in caption for caption in captions])
        assert agreement.auc[probes.colours[k]] == area_by_pairs(probes.logits(features)[:, k], labels)


def test_a_drawing_that_never_changes_agrees_by_chance(generator):
    probes = fit_colour_probes(*photographs(100, generator))
    _, captions = photographs(50, generator)
    assert colour_agreement(probes, torch.ones(50, 6), captions).mean == 0.5


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_probes_can_be_fitted_while_gradients_are_off(generator, mode):
    features, captions = photographs(60, generator)
    expected = fit_colour_probes(features, captions)
    with mode():
        probes = fit_colour_probes(features.double() * 1, captions)
    torch.testing.assert_close(probes.weight, expected.weight)
    assert not probes.weight.requires_grad


def test_what_does_not_fit_is_named(generator):
    features, captions = photographs(30, generator)
    with pytest.raises(ValueError, match=r"\(29, 6\) do not go with 30 captions"):
        fit_colour_probes(features[:29], captions)
    with pytest.raises(ValueError, match="none of red, orange"):
        fit_colour_probes(features, [["a", "bird"]] * 30)
    with pytest.raises(ValueError, match="none of red, blue, grey"):
        colour_agreement(fit_colour_probes(features, captions), features, [["red", "blue", "gray"]] * 30)
