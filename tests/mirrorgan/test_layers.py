import math

import pytest
import torch

from mirrorgan.layers import (
    GLU,
    Bottleneck,
    ConditioningAugmentation,
    FirstStage,
    ResBlock,
    StandardizedSentence,
    UpConv,
    WholeConv,
    crop_each,
    down_block,
    same_block,
    text_map,
    truncated,
    up_block,
    widths,
)
from mirrorgan.losses import kl_divergence


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_every_map_of_a_batch_is_cropped_at_its_own_place(layout):
    maps = torch.randn(3, 2, 6, 7).contiguous(memory_format=layout).requires_grad_()
    corners = [(0, 0), (1, 4), (3, 2)]
    crops = crop_each(maps, torch.tensor(corners), 3)
    pull = torch.randn(3, 2, 3, 3)
    (gradient,) = torch.autograd.grad(crops, maps, pull)
    expected = torch.zeros_like(maps)
    for row, (top, left) in enumerate(corners):
        assert torch.equal(crops[row], maps[row, :, top : top + 3, left : left + 3])
        expected[row, :, top : top + 3, left : left + 3] = pull[row]
    assert torch.equal(gradient, expected)


def test_a_gated_unit_lets_the_second_half_decide():
    x = torch.randn(2, 6, 3, 3)
    torch.testing.assert_close(GLU()(x), x[:, :3] * torch.sigmoid(x[:, 3:]))


@pytest.mark.parametrize(("training", "size"), [(True, (4, 6)), (False, (4, 6)), (False, (32, 33))])
def test_doubling_in_one_step_is_doubling_and_then_convolving(training, size):
    layer = UpConv(3, 5).double().train(training)
    x = torch.randn(2, 3, *size, dtype=torch.double, requires_grad=True)
    doubled = torch.nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
    expected = torch.nn.functional.conv2d(doubled, layer.weight, padding=1)
    torch.testing.assert_close(layer(x), expected)
    pull = torch.randn_like(expected)
    for mine, theirs in zip(
        torch.autograd.grad(layer(x), [x, layer.weight], pull),
        torch.autograd.grad(expected, [x, layer.weight], pull),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_convolution_of_the_whole_map_is_a_matrix_product(layout):
    layer = WholeConv(3, 5, 4).to(memory_format=layout)
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=layout)
    torch.testing.assert_close(layer(x), torch.nn.functional.conv2d(x, layer.weight, layer.bias))
    with pytest.raises(RuntimeError):
        layer(torch.randn(2, 3, 5, 5))


@pytest.mark.parametrize(
    ("block", "shape"),
    [
        (up_block(4, 3), (2, 3, 16, 16)),
        (down_block(4, 3), (2, 3, 4, 4)),
        (same_block(4, 3), (2, 3, 8, 8)),
        (ResBlock(4), (2, 4, 8, 8)),
    ],
)
def test_blocks_change_the_size_that_their_names_say(block, shape):
    assert block(torch.randn(2, 4, 8, 8)).shape == shape


def test_no_convolution_before_a_batch_norm_has_a_bias():
    # The norm would take it away again; the released networks have none, and their parameter counts show it.
    for block in (up_block(4, 3), down_block(4, 3), same_block(4, 3), ResBlock(4)):
        assert all(m.bias is None for m in block.modules() if isinstance(m, torch.nn.Conv2d))


def test_a_residual_block_whose_last_norm_is_zero_changes_nothing():
    block = ResBlock(4)
    torch.nn.init.zeros_(block.block[-1].weight)
    x = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(block(x), x)  # so there is no activation after the sum


def test_conditioning_is_the_mean_where_the_noise_is_zero():
    conditioning, mu, _ = ConditioningAugmentation(8, 5)(torch.randn(3, 8), torch.zeros(3, 5))
    assert torch.equal(conditioning, mu)


@pytest.mark.parametrize("training", [True, False])
def test_conditioning_is_its_mean_and_so_many_deviations_as_the_noise_says(training):
    condition = ConditioningAugmentation(8, 2).train(training)
    noise = torch.randn(3, 2)
    conditioning, mu, logvar = condition(torch.randn(3, 8), noise)
    for row in range(3):
        for column in range(2):
            deviation = math.exp(logvar[row, column].item()) ** 0.5
            expected = mu[row, column].item() + deviation * noise[row, column].item()
            assert conditioning[row, column].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_conditioning_halves_its_gated_features_into_mean_and_log_variance():
    condition = ConditioningAugmentation(8, 5)
    sentence = torch.randn(3, 8)
    hidden = sentence @ condition.linear.weight.T + condition.linear.bias
    gated = hidden[:, :10] * torch.sigmoid(hidden[:, 10:])
    _, mu, logvar = condition(sentence, torch.randn(3, 5))
    torch.testing.assert_close(mu, gated[:, :5])
    torch.testing.assert_close(logvar, gated[:, 5:])


def test_a_sentence_of_which_nothing_is_known_costs_nothing():
    condition = ConditioningAugmentation(8, 5)
    torch.nn.init.zeros_(condition.linear.weight)
    torch.nn.init.zeros_(condition.linear.bias)
    _, mu, logvar = condition(torch.randn(3, 8), torch.randn(3, 5))
    assert kl_divergence(mu, logvar) == 0


def test_a_gated_half_is_the_same_with_and_without_gradients_and_keeps_its_layout():
    features = torch.randn(2, 6, 4, 4).contiguous(memory_format=torch.channels_last)
    layouts = []
    learning = features.clone(memory_format=torch.preserve_format).requires_grad_()
    learning.register_hook(lambda grad: layouts.append(grad.is_contiguous(memory_format=torch.channels_last)))
    gated = GLU()(learning)
    torch.testing.assert_close(gated, GLU()(features))
    gated.square().sum().backward()
    plain = features.clone(memory_format=torch.preserve_format).requires_grad_()
    torch.nn.functional.glu(plain, dim=1).square().sum().backward()
    torch.testing.assert_close(learning.grad, plain.grad)
    assert layouts == [True]


def test_truncated_noise_is_a_cut_normal_in_the_same_order():
    noise = torch.linspace(-6, 6, 4001)
    cut = truncated(noise, 0.88)
    assert cut.abs().max() <= 2 * 0.88 and (cut.diff() >= 0).all()
    torch.testing.assert_close(cut, -cut.flip(0), atol=1e-5, rtol=0)
    assert truncated(torch.tensor([9.0, -9.0]), 1.0).tolist() == pytest.approx([2.0, -2.0])
    # P(cut <= t) = (P(z <= t) - P(z <= -2)) / (P(z <= 2) - P(z <= -2)): the deviation of that is 0.8796.
    many = truncated(torch.randn(200_000), 1.0)
    assert float(many.std()) == pytest.approx(0.8796, abs=0.005)
    torch.testing.assert_close(truncated(noise, 0.5), cut * 0.5 / 0.88)


@pytest.mark.parametrize(
    ("size", "expected"), [(256, [8, 8, 8, 8, 4, 2, 1]), (64, [8, 8, 4, 2, 1]), (16, [4, 2, 1]), (8, [2, 1])]
)
def test_maps_are_widest_where_they_are_small(size, expected):
    assert widths(size, 3) == [3 * times for times in expected]


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_a_map_of_the_text_says_the_same_of_every_caption_at_first(start):
    said = text_map(5, 6, 7, start)
    assert torch.equal(said(torch.randn(4, 5)), torch.full((4, 7), start))


def test_a_standardized_sentence_has_mean_0_and_deviation_1():
    sentence = 0.2 * torch.randn(64, 5) + 3
    found = StandardizedSentence(5)(sentence)
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std(dim=0, unbiased=False), torch.ones(5), atol=1e-2, rtol=0)


def test_a_bottleneck_adds_to_what_it_is_given():
    block = Bottleneck(8, slope=0.0)
    x = torch.randn(3, 8, 4, 4)
    with torch.no_grad():
        block.block[-1].weight.zero_()
    assert torch.equal(block(x), x)
    assert [m.out_channels for m in block.block if isinstance(m, torch.nn.Conv2d)] == [2, 2, 8]


def test_a_first_stage_reads_the_conditioning_first_and_ends_at_its_size():
    stage = FirstStage(5, 3, 16).eval()
    c, z = torch.randn(2, 2), torch.randn(2, 3)
    assert stage(c, z).shape == (2, 3, 16, 16)
    torch.testing.assert_close(stage(c, z), stage(torch.cat([c, z], dim=1), z[:, :0]))
