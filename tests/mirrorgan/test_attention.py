import math

import pytest
import torch

from mirrorgan.attention import SentenceAttention, WordAttention, mask_rows

MASK = torch.tensor([[True, True, True, True], [True, True, False, False], [True, True, True, False]])


@pytest.fixture
def inputs():
    return torch.randn(3, 3, 2, 5), torch.randn(3, 4, 6), MASK


def test_word_attention_matches_equation_4_written_as_loops(inputs):
    features, words, mask = inputs
    attend = WordAttention(word_dim=6, image_dim=3)

    context, attention = attend(features, words, mask)

    for b in range(3):
        keys = words[b, mask[b]] @ attend.project.weight.T  # the real words only
        for h in range(2):
            for w in range(5):
                weights = (keys @ features[b, :, h, w]).softmax(dim=0)
                torch.testing.assert_close(attention[b, mask[b], h, w], weights)
                torch.testing.assert_close(context[b, :, h, w], weights @ keys)


def test_padding_is_never_heard(inputs):
    features, words, mask = inputs
    attend = WordAttention(word_dim=6, image_dim=3)
    other_padding = words.masked_fill(~mask[:, :, None], 9.0)

    context, attention = attend(features, words, mask)

    assert (attention.movedim(1, 3)[~mask[:, None, None, :].expand(3, 2, 5, 4)] == 0).all()
    torch.testing.assert_close(context, attend(features, other_padding, mask)[0])


@pytest.mark.parametrize("mode", ["fixed", "legacy"])
def test_word_attention_sums_to_one_over_the_words(inputs, mode):
    _, attention = WordAttention(6, 3, mode)(*inputs)
    torch.testing.assert_close(attention.sum(dim=1), torch.ones(3, 2, 5))


def test_a_batch_hears_what_each_caption_alone_would(inputs):
    features, words, mask = inputs
    attend = WordAttention(6, 3)
    context, attention = attend(features, words, mask)
    for b in range(3):
        length = int(mask[b].sum())
        alone, alone_attention = attend(features[b : b + 1], words[b : b + 1, :length], mask[b : b + 1, :length])
        torch.testing.assert_close(context[b], alone[0])
        torch.testing.assert_close(attention[b, :length], alone_attention[0])


def test_gradients_reach_words_features_and_projection(inputs):
    features, words, mask = inputs
    features.requires_grad_()
    words.requires_grad_()
    attend = WordAttention(6, 3)
    attend(features, words, mask)[0].square().sum().backward()
    assert features.grad.abs().sum() > 0
    assert attend.project.weight.grad.abs().sum() > 0
    assert (words.grad[mask].abs().sum(dim=1) > 0).all()
    assert (words.grad[~mask] == 0).all()


def test_the_legacy_mask_lies_as_the_released_code_laid_it():
    # There: scores (B, N, L) are seen as (B*N, L) rows, and the (B, L) mask is repeated N times below itself.
    rows = mask_rows(MASK, 2, 5, "legacy")
    batch, sub_regions = 3, 10
    for r in range(batch * sub_regions):
        b, n = divmod(r, sub_regions)
        assert torch.equal(rows[b, :, n // 5, n % 5], MASK[r % batch])
    assert torch.equal(rows.flatten(2).transpose(1, 2).reshape(-1, 4), MASK.repeat(sub_regions, 1))


def test_the_fixed_mask_is_everybody_s_own():
    rows = mask_rows(MASK, 2, 5, "fixed")
    for b in range(3):
        for h in range(2):
            for w in range(5):
                assert torch.equal(rows[b, :, h, w], MASK[b])


def test_legacy_and_fixed_agree_for_a_batch_of_one():
    for row in MASK:
        assert torch.equal(mask_rows(row[None], 2, 3, "legacy"), mask_rows(row[None], 2, 3, "fixed"))


def test_legacy_and_fixed_differ_for_two_captions_of_different_length(inputs):
    features, words, mask = (x[:2] for x in inputs)
    fixed, legacy = WordAttention(6, 3), WordAttention(6, 3, "legacy")
    legacy.load_state_dict(fixed.state_dict())
    assert not torch.allclose(fixed(features, words, mask)[0], legacy(features, words, mask)[0])


def test_legacy_and_fixed_agree_for_captions_of_equal_length(inputs):
    features, words, _ = inputs
    full = torch.ones(3, 4, dtype=torch.bool)
    fixed, legacy = WordAttention(6, 3), WordAttention(6, 3, "legacy")
    legacy.load_state_dict(fixed.state_dict())
    torch.testing.assert_close(fixed(features, words, full)[0], legacy(features, words, full)[0])


def by_hand(attend, features, conditioning, axis, preconv):
    """Eq. 5 as loops: Att_s = (V s_ca) .* softmax(f .* (V s_ca))."""
    batch, channels, height, width = features.shape
    value = torch.stack([attend.project.weight @ row + attend.project.bias for row in conditioning])
    scores = torch.empty_like(features)
    for b in range(batch):
        for h in range(height):
            for w in range(width):
                product = features[b, :, h, w] * value[b]
                scores[b, :, h, w] = attend.preconv.weight[:, :, 0, 0] @ product if preconv else product
    attention = torch.empty_like(features)
    for b in range(batch):
        if axis == "channel":
            for h in range(height):
                for w in range(width):
                    e = scores[b, :, h, w].exp()
                    attention[b, :, h, w] = e / e.sum()
        else:
            for c in range(channels):
                e = scores[b, c].exp()
                attention[b, c] = e / e.sum()
    return value[:, :, None, None] * attention, attention


@pytest.mark.parametrize("preconv", [True, False])
@pytest.mark.parametrize("axis", ["channel", "spatial"])
def test_sentence_attention_matches_equation_5_written_as_loops(axis, preconv):
    attend = SentenceAttention(condition_dim=4, image_dim=3, axis=axis, preconv=preconv)
    features, conditioning = torch.randn(2, 3, 2, 5), torch.randn(2, 4)
    context, attention = attend(features, conditioning)
    expected_context, expected = by_hand(attend, features, conditioning, axis, preconv)
    torch.testing.assert_close(attention, expected)
    torch.testing.assert_close(context, expected_context)


@pytest.mark.parametrize(("axis", "over"), [("channel", (1,)), ("spatial", (2, 3))])
def test_sentence_attention_sums_to_one_over_its_axis_and_not_over_the_other(axis, over):
    _, attention = SentenceAttention(4, 3, axis)(torch.randn(2, 3, 2, 5), torch.randn(2, 4))
    total = attention.sum(dim=over)
    torch.testing.assert_close(total, torch.ones_like(total))
    other = attention.sum(dim=(2, 3) if axis == "channel" else (1,))
    assert not torch.allclose(other, torch.ones_like(other))
    assert attention.min() >= 0


def test_the_paper_s_variant_has_no_convolution():
    with_it = {name for name, _ in SentenceAttention(4, 3, preconv=True).named_parameters()}
    without = {name for name, _ in SentenceAttention(4, 3, preconv=False).named_parameters()}
    assert with_it - without == {"preconv.weight"}


def test_options_that_do_not_exist_are_refused_and_the_others_named():
    with pytest.raises(ValueError, match="channel, spatial, not 'batch'"):
        SentenceAttention(4, 3, axis="batch")
    with pytest.raises(ValueError, match="fixed, legacy, not 'none'"):
        WordAttention(4, 3, mask_mode="none")


def test_the_numbers_of_a_place_are_equation_4_by_hand(inputs):
    features, words, _ = inputs
    attend = WordAttention(6, 3)
    context, attention = attend(features[:1], words[:1], MASK[:1])
    found = attend.at(features[:1], words[:1], 1, 3)
    f = features[0, :, 1, 3]
    keys = [attend.project.weight @ word for word in words[0]]
    scores = [float((f * key).sum().detach()) for key in keys]
    total = sum(math.exp(score) for score in scores)
    weights = [math.exp(score) / total for score in scores]
    torch.testing.assert_close(found.query, f)
    torch.testing.assert_close(found.keys, torch.stack(keys))
    torch.testing.assert_close(found.scores, torch.tensor(scores))
    torch.testing.assert_close(found.weights, torch.tensor(weights))
    torch.testing.assert_close(found.mix, sum(weight * key for weight, key in zip(weights, keys, strict=True)))
    torch.testing.assert_close(found.weights, attention[0, :, 1, 3])
    torch.testing.assert_close(found.mix, context[0, :, 1, 3])


@pytest.mark.parametrize("preconv", [True, False])
@pytest.mark.parametrize("axis", ["channel", "spatial"])
def test_the_numbers_of_a_place_are_equation_5_by_hand(inputs, axis, preconv):
    features, conditioning = inputs[0][:1], torch.randn(1, 4)
    attend = SentenceAttention(4, 3, axis=axis, preconv=preconv)
    found = attend.at(features, conditioning, 1, 3)
    value = attend.project.weight @ conditioning[0] + attend.project.bias

    def scores(row, column):
        product = features[0, :, row, column] * value
        return attend.preconv.weight[:, :, 0, 0] @ product if preconv else product

    torch.testing.assert_close(found.value, value)
    torch.testing.assert_close(found.scores, scores(1, 3))
    if axis == "channel":
        totals = sum(score.exp() for score in scores(1, 3)).expand(3)
    else:
        totals = sum(scores(row, column).exp() for row in range(2) for column in range(5))
    torch.testing.assert_close(found.weights, scores(1, 3).exp() / totals)
    torch.testing.assert_close(found.mix, found.value * found.weights)
    torch.testing.assert_close(found.mix, attend(features, conditioning)[0][0, :, 1, 3])
