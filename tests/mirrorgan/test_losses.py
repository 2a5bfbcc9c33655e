import math

import pytest
import torch
from torch.nn import functional as F

from mirrorgan.losses import (
    Judgement,
    caption_image_similarity,
    cross_entropy_discriminator,
    cross_entropy_generator,
    cross_entropy_sum_discriminator,
    damsm_loss,
    hinge_discriminator,
    hinge_generator,
    kl_divergence,
    matching_aware_penalty,
    matching_loss,
    redescription_loss,
    squared_grad_norm,
    transport_cost,
    transport_map,
    word_map_loss,
)

B, K = 3, 2


def judgements(unconditional):
    return [Judgement(torch.randn(B, K) if unconditional else None, torch.randn(B, K)) for _ in range(3)]


def values(logits):
    return logits.flatten().tolist()


def mean(numbers):
    numbers = list(numbers)
    return sum(numbers) / len(numbers)


def bce(logits, label):
    """-log sigmoid(x) where the label is 1, -log(1 - sigmoid(x)) where it is 0."""
    return mean(-math.log(1 / (1 + math.exp(-x if label else x))) for x in values(logits))


def test_cross_entropy_weighs_real_by_halves_and_false_by_thirds():
    real, fake, wrong = judgements(unconditional=True)
    expected = (bce(real.unconditional, 1) + bce(real.conditional, 1)) / 2
    expected += (bce(fake.unconditional, 0) + bce(fake.conditional, 0) + bce(wrong.conditional, 0)) / 3
    assert cross_entropy_discriminator(real, fake, wrong).item() == pytest.approx(expected, rel=1e-5)


def test_cross_entropy_without_an_unconditional_head_weighs_false_by_halves():
    real, fake, wrong = judgements(unconditional=False)
    expected = bce(real.conditional, 1) + (bce(fake.conditional, 0) + bce(wrong.conditional, 0)) / 2
    assert cross_entropy_discriminator(real, fake, wrong).item() == pytest.approx(expected, rel=1e-5)


def test_the_unconditional_judgement_of_wrong_pairs_does_not_count():
    real, fake, wrong = judgements(unconditional=True)
    other = wrong._replace(unconditional=torch.randn(B, K))
    for loss in (cross_entropy_discriminator, hinge_discriminator):
        assert (
            loss(real, fake, wrong) == loss(real, fake, other) == loss(real, fake, wrong._replace(unconditional=None))
        )


def test_a_discriminator_that_cannot_tell_pays_two_logarithms_of_two():
    nothing = Judgement(torch.zeros(B, K), torch.zeros(B, K))
    assert cross_entropy_discriminator(nothing, nothing, nothing).item() == pytest.approx(2 * math.log(2))
    assert cross_entropy_generator(nothing).item() == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize("unconditional", [True, False])
def test_the_generator_s_cross_entropy_is_that_of_passing_for_real(unconditional):
    fake = judgements(unconditional)[0]
    expected = bce(fake.conditional, 1) + (bce(fake.unconditional, 1) if unconditional else 0)
    assert cross_entropy_generator(fake).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("unconditional", [True, False])
def test_hinge_stops_at_a_margin_of_one(unconditional):
    real, fake, wrong = judgements(unconditional)
    expected = mean(max(0, 1 - x) for x in values(real.conditional))
    expected += mean(max(0, 1 + x) for x in values(fake.conditional)) / 2
    expected += mean(max(0, 1 + x) for x in values(wrong.conditional)) / 2
    if unconditional:
        expected += mean(max(0, 1 - x) for x in values(real.unconditional))
        expected += mean(max(0, 1 + x) for x in values(fake.unconditional))
    assert hinge_discriminator(real, fake, wrong).item() == pytest.approx(expected, rel=1e-5)

    sure = Judgement(torch.full((B, K), 1.5), torch.full((B, K), 1.5))
    doubted = Judgement(torch.full((B, K), -1.5), torch.full((B, K), -1.5))
    assert hinge_discriminator(sure, doubted, doubted) == 0


@pytest.mark.parametrize("unconditional", [True, False])
def test_stackgan_s_cross_entropy_is_the_sum_of_all(unconditional):
    real, fake, wrong = judgements(unconditional)
    expected = bce(real.conditional, 1) + bce(wrong.conditional, 0) + bce(fake.conditional, 0)
    if unconditional:
        expected += bce(real.unconditional, 1) + bce(wrong.unconditional, 1) + bce(fake.unconditional, 0)
    assert cross_entropy_sum_discriminator(real, fake, wrong).item() == pytest.approx(expected, rel=1e-4)


def test_of_a_linear_discriminator_the_penalty_is_known():
    # D(x, s) = a . x + b . s has the gradient (a, b) everywhere: the penalty is |(a, b)|^6, whatever the pictures.
    a, b = torch.randn(3 * 4 * 4, requires_grad=True), torch.randn(5, requires_grad=True)
    images, told = torch.randn(6, 3, 4, 4, requires_grad=True), torch.randn(6, 5, requires_grad=True)
    logits = (images.flatten(1) @ a + told @ b)[:, None]
    slopes = squared_grad_norm(Judgement(None, logits), images, told)
    length = (a.square().sum() + b.square().sum()).sqrt()
    torch.testing.assert_close(slopes, length.square().expand(6))
    penalty = matching_aware_penalty(slopes)
    torch.testing.assert_close(penalty, length**6)
    found = torch.autograd.grad(penalty, (a, b), retain_graph=True)
    for gradient, weight in zip(found, (a, b), strict=True):  # d |w|^6 / dw = 6 |w|^4 w
        torch.testing.assert_close(gradient, 6 * length.detach() ** 4 * weight.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(matching_aware_penalty(slopes, power=2.0), length.square())


def test_where_a_discriminator_is_flat_the_penalty_and_its_gradient_are_zero():
    a = torch.zeros(12, requires_grad=True)
    images, told = torch.randn(2, 3, 2, 2, requires_grad=True), torch.randn(2, 5, requires_grad=True)
    logits = (images.flatten(1) @ a + 0 * told.sum(dim=1))[:, None]
    penalty = matching_aware_penalty(squared_grad_norm(Judgement(None, logits), images, told))
    assert penalty == 0 and torch.equal(torch.autograd.grad(penalty, a)[0], torch.zeros(12))


def test_of_two_heads_the_slope_is_that_of_their_sum():
    images, told = torch.randn(2, 3, 2, 2, requires_grad=True), torch.randn(2, 5, requires_grad=True)
    one, two = images.flatten(1).sum(dim=1, keepdim=True), told.sum(dim=1, keepdim=True)
    both = squared_grad_norm(Judgement(one, one + two), images, told)
    torch.testing.assert_close(both, torch.full((2,), 12 * 4.0 + 5 * 1.0))


@pytest.mark.parametrize("unconditional", [True, False])
def test_the_generator_s_hinge_is_the_negative_mean(unconditional):
    fake = judgements(unconditional)[0]
    expected = -mean(values(fake.conditional)) - (mean(values(fake.unconditional)) if unconditional else 0)
    assert hinge_generator(fake).item() == pytest.approx(expected, rel=1e-5)


def test_divergence_is_the_integral_of_its_definition():
    # Per channel KL(N(mu, var) || N(0, 1)) = (var + mu^2 - 1 - log var) / 2; averaged over batch and channels.
    mu, logvar = torch.randn(3, 4), torch.randn(3, 4)
    terms = [(math.exp(v) + m * m - 1 - v) / 2 for m, v in zip(values(mu), values(logvar), strict=True)]
    assert kl_divergence(mu, logvar).item() == pytest.approx(mean(terms), rel=1e-5)


def test_divergence_of_the_standard_normal_is_zero_and_of_any_other_positive():
    zero = torch.zeros(3, 4)
    assert kl_divergence(zero, zero) == 0
    assert kl_divergence(zero + 0.1, zero) > 0
    assert kl_divergence(zero, zero - 0.1) > 0


# ------------------------------------------------------------------------------------------------ DAMSM


def similarity_by_hand(words, regions, mask, gamma1, gamma2):
    """Eqs. 7 to 10 of AttnGAN, for every image i and caption j alone."""
    result = torch.empty(len(regions), len(words))
    for i, v in enumerate(regions):
        for j in range(len(words)):
            e = words[j, mask[j]]
            a = torch.stack([torch.softmax(torch.stack([v_k @ e_t for e_t in e]), dim=0) for v_k in v])  # (k, t)
            total = 0.0
            for t, e_t in enumerate(e):
                alpha = torch.softmax(gamma1 * a[:, t], dim=0)
                context = sum(weight * v_k for weight, v_k in zip(alpha, v, strict=True))
                total += math.exp(gamma2 * (context @ e_t / (context.norm() * e_t.norm())))
            result[i, j] = math.log(total)
    return result


@pytest.fixture
def pairs():
    mask = torch.tensor([[True] * 4, [True, True, False, False], [True, False, False, False]])
    return torch.randn(3, 4, 5), torch.randn(3, 6, 5), mask


def test_similarity_matches_its_equations_written_as_loops(pairs):
    torch.testing.assert_close(caption_image_similarity(*pairs, 4.0, 5.0), similarity_by_hand(*pairs, 4.0, 5.0))
    torch.testing.assert_close(caption_image_similarity(*pairs, 2.0, 3.0), similarity_by_hand(*pairs, 2.0, 3.0))


def test_padding_changes_no_similarity(pairs):
    words, regions, mask = pairs
    longer = torch.cat([words.masked_fill(~mask[:, :, None], 7.0), torch.randn(3, 2, 5)], dim=1)
    longer_mask = torch.cat([mask, torch.zeros(3, 2, dtype=torch.bool)], dim=1)
    expected = caption_image_similarity(words, regions, mask)
    torch.testing.assert_close(caption_image_similarity(longer, regions, longer_mask), expected)


def test_padding_sends_no_broken_gradient_back(pairs):
    words, regions, mask = pairs
    words = words.masked_fill(~mask[:, :, None], 0.0).requires_grad_()  # as the text encoder leaves it
    caption_image_similarity(words, regions, mask).sum().backward()
    assert words.grad.isfinite().all()
    assert (words.grad[~mask] == 0).all()


def matching_by_hand(similarity, groups, gamma3):
    count = len(similarity)
    total = 0.0
    for table in (similarity, similarity.T):
        for i in range(count):
            allowed = [j for j in range(count) if j == i or groups is None or groups[i] != groups[j]]
            below = sum(math.exp(gamma3 * table[i, j]) for j in allowed)
            total -= math.log(math.exp(gamma3 * table[i, i]) / below) / count
    return total


@pytest.mark.parametrize("groups", [None, [0, 1, 2, 3], [0, 0, 1, 2], [5, 5, 5, 5]])
def test_matching_is_the_cross_entropy_of_both_directions(groups):
    similarity = torch.randn(4, 4)
    given = None if groups is None else torch.tensor(groups)
    expected = matching_by_hand(similarity, groups, 3.0)
    assert matching_loss(similarity, given, gamma3=3.0).item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_the_own_pair_is_never_left_out():
    # If it were, the logit of the label would be -inf and the loss infinite.
    loss = matching_loss(torch.randn(4, 4), torch.zeros(4, dtype=torch.long))
    assert loss == 0


def test_a_pair_of_one_class_is_no_wrong_pair():
    similarity = torch.randn(3, 3)
    confused = similarity.clone()
    confused[0, 1] = confused[1, 0] = 50.0
    groups = torch.tensor([7, 7, 2])
    torch.testing.assert_close(matching_loss(confused, groups), matching_loss(similarity, groups))
    assert matching_loss(confused) > matching_loss(similarity)


def test_images_and_captions_may_change_places():
    similarity, groups = torch.randn(5, 5), torch.tensor([0, 0, 1, 2, 3])
    torch.testing.assert_close(matching_loss(similarity, groups), matching_loss(similarity.T, groups))


def test_damsm_joins_words_and_sentence(pairs):
    words, regions, mask = pairs
    sentence, code, groups = torch.randn(3, 5), torch.randn(3, 5), torch.tensor([0, 1, 1])
    losses = damsm_loss(words, sentence, regions, code, mask, groups, 4.0, 5.0, 10.0)
    cosine = torch.stack([torch.stack([F.cosine_similarity(c, s, dim=0) for s in sentence]) for c in code])
    torch.testing.assert_close(losses["sentence"], matching_loss(cosine, groups, 10.0))
    torch.testing.assert_close(
        losses["words"], matching_loss(similarity_by_hand(words, regions, mask, 4.0, 5.0), groups, 10.0)
    )
    longer = damsm_loss(words, 3 * sentence, regions, 0.5 * code, mask, groups)
    torch.testing.assert_close(longer["sentence"], losses["sentence"])


# ----------------------------------------------------------------------------------------------- STREAM


def test_redescription_is_the_negative_log_probability_of_what_counts():
    logits, targets = torch.randn(2, 3, 5), torch.tensor([[4, 1, 2], [3, 0, 0]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    terms = [
        -math.log(math.exp(logits[b, t, targets[b, t]]) / sum(math.exp(x) for x in logits[b, t].tolist()))
        for b in range(2)
        for t in range(3)
        if mask[b, t]
    ]
    assert redescription_loss(logits, targets, mask).item() == pytest.approx(sum(terms) / 4, rel=1e-5)
    assert redescription_loss(logits, targets, mask, "sum").item() == pytest.approx(sum(terms) / 2, rel=1e-5)


def test_redescription_does_not_look_at_padding():
    logits, targets = torch.randn(2, 3, 5), torch.tensor([[4, 1, 2], [3, 0, 0]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    elsewhere = logits.masked_fill(~mask[:, :, None], 30.0)
    assert redescription_loss(logits, targets, mask) == redescription_loss(elsewhere, targets, mask)


def test_redescription_refuses_another_reduction():
    with pytest.raises(ValueError, match="'mean' or 'sum', not 'none'"):
        redescription_loss(torch.randn(1, 1, 2), torch.zeros(1, 1).long(), torch.ones(1, 1).bool(), "none")


# ------------------------------------------------------------------------------------------------- word maps


def some_maps(mask, height, width):
    """Word maps as a generator has them: (B, L, H, W), sums to 1 over words, 0 at padding."""
    scores = torch.randn(*mask.shape, height, width)
    return scores.masked_fill(~mask[:, :, None, None], float("-inf")).softmax(dim=1)


def some_looks(mask, side):
    """Looks as a captioner has them: (B, L, n, n), sums to 1 over places."""
    return torch.randn(*mask.shape, side * side).softmax(dim=2).unflatten(2, (side, side))


@pytest.fixture
def words_of_two():
    return torch.tensor([[True, True, True], [True, True, False]])


@pytest.mark.parametrize("sharpness", [1.0, 4.0])
def test_map_disagreement_by_hand(words_of_two, sharpness):
    attention, looks = some_maps(words_of_two, 6, 4), some_looks(words_of_two, 2)
    found = word_map_loss(attention, looks, words_of_two, sharpness)
    for b, length in enumerate((3, 2)):
        terms = []
        for i in range(2):
            for j in range(2):
                powers = [looks[b, word, i, j].item() ** sharpness for word in range(length)]
                for word in range(length):
                    heard = mean(attention[b, word, 3 * i : 3 * i + 3, 2 * j : 2 * j + 2].flatten().tolist())
                    terms.append(-powers[word] / sum(powers) * math.log(heard))
        assert found[b].item() == pytest.approx(sum(terms) / 4, rel=1e-4)


def test_map_disagreement_does_not_look_at_padding(words_of_two):
    attention, looks = some_maps(words_of_two, 4, 4), some_looks(words_of_two, 2)
    elsewhere = looks.clone()
    elsewhere[1, 2] = 1.0
    found = word_map_loss(attention, looks, words_of_two)
    assert torch.equal(found, word_map_loss(attention, elsewhere, words_of_two))
    torch.testing.assert_close(found[1:], word_map_loss(attention[1:, :2], looks[1:, :2], words_of_two[1:, :2]))


def test_maps_that_agree_have_nothing_to_learn(words_of_two):
    looks = some_looks(words_of_two, 2)
    scores = (4 * looks.log()).masked_fill(~words_of_two[:, :, None, None], float("-inf"))
    found = {}
    for name, start in (
        ("agree", scores),
        ("flat", torch.zeros_like(scores).masked_fill(~scores.isfinite(), -torch.inf)),
    ):
        start = start.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3).requires_grad_()
        loss = word_map_loss(start.softmax(dim=1), looks, words_of_two).sum()
        (slope,) = torch.autograd.grad(loss, start)
        found[name] = (loss.item(), slope.abs().max().item())
    assert found["agree"][1] < 1e-6 < 1e-3 < found["flat"][1]
    assert found["agree"][0] < found["flat"][0]


# -------------------------------------------------------------------------------------------- distribution


def gaussians(count=400, size=5):
    """Two sets of points of different mean and covariance, float64."""
    return [torch.randn(count, size).double() @ torch.randn(size, size).double() + torch.randn(size) for _ in range(2)]


def covariance(points):
    return torch.cov(points.T, correction=0)


def root(matrix):
    """The symmetric square root by Denman and Beavers' iteration: matrix products and inverses only."""
    y, z = matrix, torch.eye(len(matrix)).to(matrix)
    for _ in range(40):
        y, z = (y + z.inverse()) / 2, (z + y.inverse()) / 2
    return y


def closed_form(drawn, real):
    """|m - m'|^2 + tr(C + C' - 2 (C^(1/2) C' C^(1/2))^(1/2))."""
    first, second = covariance(drawn), covariance(real)
    half = root(first)
    cross = root(half @ second @ half)
    return (drawn.mean(dim=0) - real.mean(dim=0)).square().sum() + (first + second - 2 * cross).trace()


def moved_points(drawn, real):
    a = transport_map(covariance(drawn), covariance(real))
    return real.mean(dim=0) + (drawn - drawn.mean(dim=0)) @ a


def test_transported_points_have_the_wanted_mean_and_covariance():
    drawn, real = gaussians()
    moved = moved_points(drawn, real)
    torch.testing.assert_close(moved.mean(dim=0), real.mean(dim=0))
    torch.testing.assert_close(covariance(moved), covariance(real))


def test_the_transport_is_the_gradient_of_a_convex_function():
    a = transport_map(*(covariance(points) for points in gaussians()))
    torch.testing.assert_close(a, a.T)
    assert torch.linalg.eigvalsh(a).min() > 0


def test_of_independent_directions_the_transport_stretches_each():
    given, wanted = torch.tensor([1.0, 4.0, 0.25]).double(), torch.tensor([9.0, 1.0, 0.0]).double()
    expected = torch.diag(torch.tensor([3.0, 0.5, 0.0]).double())
    torch.testing.assert_close(transport_map(torch.diag(given), torch.diag(wanted)), expected)


def test_the_transport_s_cost_and_slope_are_those_of_the_frechet_distance():
    drawn, real = gaussians()
    costs, slopes = [], []
    for cost in (closed_form, lambda points, goal: transport_cost(points, moved_points(points, goal))):
        given = drawn.clone().requires_grad_()
        value = cost(given, real)
        value.backward()
        costs.append(value.detach())
        slopes.append(given.grad)
    torch.testing.assert_close(*costs)
    torch.testing.assert_close(*slopes, rtol=1e-5, atol=1e-9)
    assert slopes[0].abs().max() > 1e-4
