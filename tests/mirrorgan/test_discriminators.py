import dataclasses

import pytest
import torch

from mirrorgan.discriminators import (
    available_discriminators,
    find_discriminator,
    gan_int_cls,
    matching_aware,
    projected,
    pyramid,
    stackgan,
)
from mirrorgan.discriminators.base import BaseDiscriminator, DiscriminatorConfig
from mirrorgan.layers import Bottleneck, SpectralNorm
from mirrorgan.losses import squared_grad_norm

SENTENCES = 8
WITH_PIXELS = "projected, and the picture itself"
SPECTRAL = "pyramid, of spectral norm"


TINY = {
    "image_size": 16,
    "text_dim": SENTENCES,
    "channels": 4,
    "backbone": "tiny",
    "input_size": 64,
    "mixed": 6,
    "width": 8,
}


def build(name, backbone, **options):
    if name == WITH_PIXELS:
        name, options = "projected", {"pixel_head_size": 16, **options}
    if name == SPECTRAL:
        name, options = "pyramid", {"norm": "spectral", **options}
    module = find_discriminator(name)
    known = {field.name for field in dataclasses.fields(module.Config)}
    config = module.Config(**{key: value for key, value in TINY.items() if key in known} | options)
    network = module.Discriminator.build(config, lambda name: backbone)
    with torch.no_grad():  # gates that start shut
        for p in network.parameters():
            if not p.any():
                p.fill_(0.5)
    return network


@pytest.fixture(params=[*available_discriminators(), WITH_PIXELS, SPECTRAL])
def discriminator(request, tiny_backbone):
    return build(request.param, tiny_backbone)


@pytest.fixture
def inputs():
    return torch.rand(3, 3, 16, 16) * 2 - 1, torch.randn(3, SENTENCES)


def test_judgements_have_a_row_a_picture(discriminator, inputs):
    for logits in discriminator(*inputs):
        assert logits is None or (logits.ndim == 2 and len(logits) == 3 and logits.isfinite().all())


def test_another_sentence_changes_the_conditional_judgement_and_no_other(discriminator, inputs):
    discriminator.eval()
    images, sentence = inputs
    first, second = discriminator(images, sentence), discriminator(images, sentence.roll(1, dims=0))
    assert not torch.allclose(first.conditional, second.conditional)
    if first.unconditional is not None:
        assert torch.equal(first.unconditional, second.unconditional)


def test_looking_once_and_judging_twice_is_looking_twice(discriminator, inputs):
    discriminator.eval()
    images, sentence = inputs
    seen = discriminator.look(images)
    for given in (sentence, -sentence):
        torch.testing.assert_close(
            discriminator.judge(seen, given).conditional, discriminator(images, given).conditional
        )


def test_a_batch_equals_its_pictures_one_by_one_in_eval_mode(discriminator, inputs):
    discriminator.eval()
    images, sentence = inputs
    together = discriminator(images, sentence).conditional
    for row in range(3):
        alone = discriminator(images[row : row + 1], sentence[row : row + 1]).conditional
        torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-5)


def test_every_feature_has_the_batch_as_its_first_axis(discriminator, inputs):
    assert all(len(feature) == 3 for feature in discriminator.look(inputs[0]))


def test_the_gradient_reaches_the_picture_when_all_weights_are_frozen(discriminator, inputs):
    images, sentence = inputs
    images.requires_grad_()
    discriminator.requires_grad_(False)
    judgement = discriminator(images, sentence)
    judgement.conditional.sum().backward()
    assert (images.grad.abs().sum(dim=(1, 2, 3)) > 0).all()


def test_everything_that_may_learn_does(discriminator, inputs):
    judgement = discriminator(*inputs)
    torch.stack([x.square().mean() for x in judgement if x is not None]).sum().backward()
    learning = {name: p for name, p in discriminator.named_parameters() if p.requires_grad}
    assert learning
    assert not [name for name, p in learning.items() if p.grad is None or p.grad.abs().sum() == 0]


def test_what_is_fixed_neither_learns_nor_is_missing(discriminator, inputs):
    fixed = {id(p) for part in discriminator.fixed() for p in part.parameters()}
    assert fixed == {id(p) for p in discriminator.parameters() if not p.requires_grad}


def test_its_slope_is_the_length_of_its_gradient_and_has_a_gradient_itself(discriminator, inputs):
    discriminator.eval()
    images, told = (x.requires_grad_() for x in inputs)
    judgement = discriminator(images, told)
    slopes = squared_grad_norm(judgement, images, told)
    assert slopes.shape == (3,) and slopes.requires_grad
    gradients = torch.autograd.grad(
        sum(head.mean(dim=1).sum() for head in judgement if head is not None), (images, told), retain_graph=True
    )
    for row in range(3):
        expected = sum(float(g[row].square().sum()) for g in gradients)
        assert float(slopes[row].detach()) == pytest.approx(expected, rel=1e-3)
    slopes.sum().backward()  # once more
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in discriminator.parameters())


@pytest.mark.parametrize("name", available_discriminators())
def test_every_file_gives_a_frozen_configuration_and_a_discriminator(name):
    kind = find_discriminator(name)
    assert issubclass(kind.Config, DiscriminatorConfig) and issubclass(kind.Discriminator, BaseDiscriminator)
    assert dataclasses.is_dataclass(kind.Config) and kind.Config.__dataclass_params__.frozen
    assert kind.Config.__module__ == kind.Discriminator.__module__ == f"mirrorgan.discriminators.{name}"


def test_a_trunk_is_given_to_whoever_looks_through_one_and_asked_for_by_its_name(tiny_backbone):
    asked = []
    for name in available_discriminators():
        kind = find_discriminator(name)
        sizes = {"image_size": 16} if "image_size" in {field.name for field in dataclasses.fields(kind.Config)} else {}
        kind.Discriminator.build(
            kind.Config(**sizes), lambda trunk, name=name: asked.append((name, trunk)) or tiny_backbone
        )
    assert asked == [("projected", "efficientnet_lite0")]


def test_a_discriminator_through_a_trunk_takes_no_configuration_of_another():
    other = find_discriminator("pyramid").Config(image_size=16)
    with pytest.raises(
        TypeError, match=r"must be a mirrorgan\.discriminators\.projected\.Config, not Config\(image_size"
    ):
        find_discriminator("projected").Discriminator.build(other, None)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'judge'; there are: .*projected, pyramid"):
        find_discriminator("judge")


# ----------------------------------------------------------------------------------------------- pyramid


@pytest.mark.parametrize(
    ("size", "channels", "parameters"),
    [
        (64, 64, 6_313_730),
        (128, 64, 19_424_002),
        (256, 64, 71_858_946),
        (64, 96, 13_304_450),
        (128, 96, 42_800_258),
        (256, 96, 160_774_274),
    ],
)
def test_pyramids_have_as_many_parameters_as_the_released_ones(size, channels, parameters):
    with torch.device("meta"):
        network = pyramid.Discriminator(pyramid.Config(image_size=size, channels=channels))
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("size", [16, 32, 64, 128, 256])
def test_pyramids_of_every_size_give_one_logit_a_head(size):
    network = pyramid.Discriminator(pyramid.Config(image_size=size, text_dim=SENTENCES, channels=2))
    with torch.no_grad():
        judgement = network(torch.zeros(2, 3, size, size), torch.randn(2, SENTENCES))
    assert judgement.conditional.shape == judgement.unconditional.shape == (2, 1)


def test_a_pyramid_may_do_without_its_unconditional_head(inputs):
    network = pyramid.Discriminator(pyramid.Config(image_size=16, text_dim=SENTENCES, channels=4, unconditional=False))
    assert network(*inputs).unconditional is None
    assert not [name for name, _ in network.named_parameters() if name.startswith("unconditional")]


def test_spectral_norm_bounds_every_weight_s_largest_singular_value():
    network = pyramid.Discriminator(pyramid.Config(image_size=16, text_dim=SENTENCES, channels=4, spectral_norm=True))
    for _ in range(60):  # one power iteration each
        network(torch.randn(3, 3, 16, 16), torch.randn(3, SENTENCES))
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            assert torch.linalg.matrix_norm(module.weight.flatten(1), ord=2) < 1.02


def test_of_a_standardized_sentence_scale_and_what_all_share_do_not_matter():
    torch.manual_seed(0)
    config = pyramid.Config(image_size=16, text_dim=SENTENCES, channels=4, standardize_text=True)
    network = pyramid.Discriminator(config)
    images, sentence = torch.rand(6, 3, 16, 16), torch.randn(6, SENTENCES)
    first, second = network(images, sentence), network(images, 30 * sentence + 5)
    torch.testing.assert_close(first.conditional, second.conditional, rtol=1e-3, atol=1e-3)
    plain = pyramid.Discriminator(dataclasses.replace(config, standardize_text=False))
    assert plain.load_state_dict(network.state_dict(), strict=False).missing_keys == []
    assert not torch.allclose(plain(images, sentence).conditional, plain(images, 30 * sentence + 5).conditional)


@pytest.mark.parametrize("size", [8, 0, 48, 100])
def test_a_pyramid_needs_a_power_of_two(size):
    with pytest.raises(ValueError, match=f"power of two of at least 16, not {size}"):
        pyramid.Config(image_size=size)


# --------------------------------------------------------------------------------------------- projected


def test_only_the_heads_learn(tiny_backbone):
    network = build("projected", tiny_backbone)
    assert {name.split(".")[0] for name, p in network.named_parameters() if p.requires_grad} == {"heads"}


def test_a_step_moves_the_heads_and_neither_mixing_nor_trunk(tiny_backbone, inputs):
    network = build("projected", tiny_backbone).train()
    mixing = [p.clone() for p in network.mix.parameters()]
    heads = [p.detach().clone() for p in network.heads.parameters()]
    trunk = {name: tensor.clone() for name, tensor in tiny_backbone.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        network(*inputs).conditional.square().sum().backward()
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(mixing, network.mix.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(heads, network.heads.parameters(), strict=True))
    for name, tensor in tiny_backbone.state_dict().items():  # batch norm's running numbers as well
        assert torch.equal(tensor, trunk[name]), name


def test_the_trunk_is_no_part_of_the_state_and_what_is_random_or_counted_is(tiny_backbone):
    keys = {key.split(".")[0] for key in build("projected", tiny_backbone).state_dict()}
    assert keys == {"mix", "standardize", "heads"}


def test_mixing_goes_from_coarse_to_fine(tiny_backbone, inputs):
    network = build("projected", tiny_backbone).eval()
    before = network.look(inputs[0])
    with torch.no_grad():
        network.mix[3].bias += 1.0  # of the coarsest level
    assert all(not torch.allclose(a, b) for a, b in zip(before, network.look(inputs[0]), strict=True))
    before = network.look(inputs[0])
    with torch.no_grad():
        network.mix[0].bias += 1.0  # of the finest level
    after = network.look(inputs[0])
    assert not torch.allclose(before[0], after[0])
    assert all(torch.equal(a, b) for a, b in zip(before[1:], after[1:], strict=True))


def test_what_all_captions_share_and_their_scale_do_not_matter(tiny_backbone, inputs):
    images, sentence = inputs
    network = build("projected", tiny_backbone)
    network.heads.eval()  # spectral norm at rest; the sentences' statistics are the batch's own
    expected = network(images, sentence).conditional
    torch.testing.assert_close(network(images, 5 * sentence + 3).conditional, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("input_size", [64, 96, 128])
def test_pictures_of_any_size_are_judged_at_the_input_size(tiny_backbone, input_size):
    config = projected.Config(backbone="tiny", input_size=input_size, text_dim=SENTENCES, mixed=4, width=4)
    network = projected.Discriminator(config, tiny_backbone)
    shapes = {network(torch.zeros(2, 3, s, s), torch.randn(2, SENTENCES)).conditional.shape for s in (32, 64, 128)}
    assert len(shapes) == 1


def test_every_head_s_weights_are_spectrally_normal(tiny_backbone, inputs):
    network = build("projected", tiny_backbone)
    for _ in range(60):
        network(*inputs)
    for head in network.heads:
        for module in head.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                assert torch.linalg.matrix_norm(module.weight.flatten(1), ord=2) < 1.02


def test_one_more_head_sees_what_the_trunk_is_blind_to(tiny_backbone, inputs):
    network = build(WITH_PIXELS, tiny_backbone).eval()
    with torch.no_grad():
        for mix in network.mix:  # a trunk that sees nothing
            mix.weight.zero_()
    images, sentence = inputs
    one, other = (network(picture, sentence).conditional for picture in (images, images.flip(1)))
    assert one.shape[1] == build("projected", tiny_backbone)(*inputs).conditional.shape[1] + 1
    assert torch.equal(one[:, :-1], other[:, :-1]) and not torch.isclose(one[:, -1], other[:, -1]).any()


@pytest.mark.parametrize("pixels", [-8, 4, 24])
def test_the_pixels_that_a_head_sees_are_a_power_of_two(pixels):
    with pytest.raises(ValueError, match=f"power of two of at least 8, not {pixels}"):
        projected.Config(pixel_head_size=pixels)


@pytest.mark.parametrize("size", [32, 100, 0])
def test_an_input_size_needs_the_trunk_s_stride(size):
    with pytest.raises(ValueError, match=f"multiple of 32 of at least 64, not {size}"):
        projected.Config(input_size=size)


# ----------------------------------------------------------------------------------------------- one way


@pytest.mark.parametrize(
    ("channels", "widest", "parameters", "head"),
    [(64, 16, 80_379_526, 1_476_608), (32, 16, 20_170_566, 443_392), (32, 8, 6_619_206 + 295_936, 295_936)],
)
def test_one_way_discriminators_have_as_many_parameters_as_the_released_ones(channels, widest, parameters, head):
    with torch.device("meta"):
        network = matching_aware.Discriminator(matching_aware.Config(image_size=256, channels=channels, widest=widest))
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert sum(p.numel() for p in network.conditional.parameters()) == head
    assert len(network.state_dict()) == 34


def test_a_block_is_its_equation_and_starts_as_its_shortcut():
    block = matching_aware.Block(3, 6)
    x = torch.randn(2, 3, 8, 8)
    mixed = torch.einsum("oc,bchw->bohw", block.shortcut.weight[:, :, 0, 0], x) + block.shortcut.bias[:, None, None]
    halved = mixed.unflatten(2, (4, 2)).unflatten(4, (4, 2)).mean(dim=(3, 5))
    torch.testing.assert_close(block(x), halved)
    with torch.no_grad():
        block.gate.fill_(0.5)
    torch.testing.assert_close(block(x), halved + 0.5 * block.residual(x))


def test_a_shortcut_that_the_released_networks_do_not_use_changes_nothing(inputs):
    network = matching_aware.Discriminator(
        matching_aware.Config(image_size=16, text_dim=SENTENCES, channels=2, widest=1)
    )
    before = network(*inputs).conditional
    assert len(network.fixed()) == 2
    with torch.no_grad():
        for part in network.fixed():
            part.weight += 1
    assert torch.equal(network(*inputs).conditional, before)


@pytest.mark.parametrize("size", [8, 32, 64, 256])
def test_one_way_discriminators_of_every_size_give_one_logit(size):
    network = matching_aware.Discriminator(matching_aware.Config(image_size=size, text_dim=SENTENCES, channels=1))
    with torch.no_grad():
        judgement = network(torch.zeros(2, 3, size, size), torch.randn(2, SENTENCES))
    assert judgement.conditional.shape == (2, 1) and judgement.unconditional is None


# ------------------------------------------------------------------------------------------- gan_int_cls


def test_gan_int_cls_s_discriminator_has_the_maps_of_the_released_one():
    with torch.device("meta"):
        network = gan_int_cls.Discriminator(gan_int_cls.Config(image_size=64))
    halvings = [m for m in network.trunk if isinstance(m, torch.nn.Conv2d)]
    assert [(m.in_channels, m.out_channels) for m in halvings] == [(3, 64), (64, 128), (128, 256), (256, 512)]
    first, last = network.conditional[0], network.conditional[-1]
    assert (first.in_channels, first.kernel_size, last.kernel_size) == (512 + 128, (1, 1), (4, 4))
    assert not [m for m in network.modules() if isinstance(m, torch.nn.Conv2d) and m.bias is not None]


def activations(network):
    """For every halving of a trunk, and for the bottleneck, whether a leaky ReLU comes right before it."""
    layers = list(network.trunk)
    stops = [n for n, m in enumerate(layers) if n and isinstance(m, torch.nn.Conv2d | Bottleneck)]
    return [isinstance(layers[n - 1], torch.nn.LeakyReLU) for n in stops]


@pytest.mark.parametrize(
    ("size", "birds", "coco"),
    [
        (64, [True, True, False, False], [True, True, True, False]),
        (32, [True, False, False], [True, True, False]),
        (16, [True, False], [True, False]),
    ],
)
def test_gan_int_cls_s_last_halving_has_an_activation_before_it_for_coco_and_none_for_birds(size, birds, coco):
    made = [
        gan_int_cls.Discriminator(
            gan_int_cls.Config(image_size=size, channels=2, last_activation=last, text_norm=not last)
        )
        for last in (False, True)
    ]
    assert [activations(network) for network in made] == [birds, coco]
    norms = [[type(m) for m in network.project] for network in made]
    assert norms == [[torch.nn.Linear, torch.nn.BatchNorm1d, torch.nn.LeakyReLU], [torch.nn.Linear, torch.nn.LeakyReLU]]


def test_gan_int_cls_starts_as_torch_did():
    network = gan_int_cls.Discriminator(gan_int_cls.Config(image_size=64, text_dim=400, channels=16))
    linear = network.project[0]
    assert 0.045 < linear.weight.abs().max() <= 0.05 and 0.03 < linear.bias.abs().max() <= 0.05  # 1 / sqrt(400)
    assert linear.weight.std().item() == pytest.approx(0.05 / 3**0.5, rel=0.05)
    assert network.conditional[0].weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_a_sentence_that_comes_first_is_the_same_judgement_with_the_weights_exchanged(inputs):
    config = pyramid.Config(image_size=16, text_dim=SENTENCES, channels=4)
    plain = pyramid.Discriminator(config).eval()
    first = pyramid.Discriminator(dataclasses.replace(config, sentence_first=True)).eval()
    first.load_state_dict(plain.state_dict())
    assert not torch.allclose(first(*inputs).conditional, plain(*inputs).conditional)
    with torch.no_grad():
        first.joint[0].weight.copy_(plain.joint[0].weight.roll(SENTENCES, dims=1))
    torch.testing.assert_close(first(*inputs).conditional, plain(*inputs).conditional)


# ---------------------------------------------------------------------------------------------- stackgan


@pytest.mark.parametrize(
    ("text_dim", "size", "parameters"),
    [(1024, 64, 4_029_824), (1024, 256, 48_603_520), (256, 64, 3_931_520), (256, 256, 48_505_216)],
)
def test_stackgan_s_discriminators_have_as_many_parameters_as_the_released_ones(text_dim, size, parameters):
    config = stackgan.Config(image_size=size, text_dim=text_dim, narrow=size == 256)
    with torch.device("meta"):
        network = stackgan.Discriminator(config)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize(
    ("size", "unconditional", "channels", "parameters"),
    [
        (64, False, 96, 12_407_425),
        (256, True, 96, 159_889_538),
        (64, False, 64, 5_715_713),
        (256, True, 64, 71_269_122),
    ],
)
def test_pyramids_are_stackgan_s_discriminators_for_coco(size, unconditional, channels, parameters):
    config = pyramid.Config(
        image_size=size, text_dim=128, channels=channels, unconditional=unconditional, start="normal"
    )
    with torch.device("meta"):
        assert sum(p.numel() for p in pyramid.Discriminator(config).parameters()) == parameters


def test_a_pyramid_may_start_normal(inputs):
    config = pyramid.Config(image_size=16, text_dim=SENTENCES, channels=16, start="normal")
    weight = pyramid.Discriminator(config).joint[0].weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    with pytest.raises(ValueError, match="start must be one of orthogonal, normal, not 'zero'"):
        dataclasses.replace(config, start="zero")


def test_stackgan_s_second_discriminator_goes_back_to_eight_times_its_channels_by_1x1_convolutions():
    network = stackgan.Discriminator(stackgan.Config(image_size=256, text_dim=8, channels=2, narrow=True))
    convolutions = [m for m in network.trunk if isinstance(m, torch.nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.kernel_size[0]) for m in convolutions] == [
        (3, 2, 4), (2, 4, 4), (4, 8, 4), (8, 16, 4), (16, 32, 4), (32, 64, 4), (64, 32, 1), (32, 16, 1)
    ]  # fmt: skip
    # An activation before every convolution but the first, and none before the bottleneck.
    assert activations(network) == [True] * 7 + [False]
    with torch.no_grad():
        assert network(torch.zeros(2, 3, 256, 256), torch.randn(2, 8)).conditional.shape == (2, 1)


def test_stackgan_s_first_discriminator_has_gan_int_cls_s_trunk_and_no_norm_on_the_sentence():
    network = stackgan.Discriminator(stackgan.Config(image_size=64, text_dim=8, channels=2))
    assert activations(network) == [True, True, False, False]
    assert [type(m) for m in network.project] == [torch.nn.Linear, torch.nn.LeakyReLU]
    assert max(m.weight.abs().max() for m in network.trunk if isinstance(m, torch.nn.Conv2d)) <= 0.04


# --------------------------------------------------------------------------------------------- spectral norm


def spectral(size=16, **options):
    return pyramid.Discriminator(
        pyramid.Config(**{"image_size": size, "text_dim": SENTENCES, "channels": 2, "norm": "spectral"} | options)
    )


@pytest.mark.parametrize(("size", "parameters"), [(64, 1_878_242), (128, 5_155_810), (256, 18_264_546)])
def test_dm_gan_s_discriminators_have_as_many_parameters_as_the_released_ones(size, parameters):
    with torch.device("meta"):
        network = pyramid.Discriminator(pyramid.Config(image_size=size, channels=32, norm="spectral"))
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("size", [16, 32, 64])
def test_dm_gan_s_discriminators_have_no_batch_norm_and_plain_last_convolutions(size):
    network = spectral(size)
    plain = {name for name, m in network.named_modules() if isinstance(m, torch.nn.Conv2d)}
    normal = {name.removesuffix(".parametrizations.weight.0") for name, m in network.named_modules()
              if isinstance(m, SpectralNorm)}  # fmt: skip
    assert plain - normal == {"unconditional", "conditional"}
    assert not [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d)]
    assert all(m.bias is not None for m in network.modules() if isinstance(m, torch.nn.Conv2d))
    judgement = network(torch.zeros(2, 3, size, size), torch.randn(2, SENTENCES))
    assert judgement.conditional.shape == judgement.unconditional.shape == (2, 1)


@pytest.mark.parametrize("shape", [(3, 5), (4, 2, 3, 3), (1, 6), (2, 1, 1, 1)])
def test_a_spectral_norm_is_its_power_iteration_written_as_loops(shape):
    norm, weight = SpectralNorm(torch.empty(shape)), torch.randn(shape)
    u, rows = norm.u.tolist(), weight.reshape(shape[0], -1).tolist()
    columns = len(rows[0])
    for step in range(3):
        v = [sum(rows[i][j] * u[i] for i in range(len(rows))) for j in range(columns)]
        length = sum(x * x for x in v) ** 0.5
        v = [x / length for x in v]
        u = [sum(rows[i][j] * v[j] for j in range(columns)) for i in range(len(rows))]
        sigma = sum(x * x for x in u) ** 0.5  # u' W v with u = W v / |W v|
        u = [x / sigma for x in u]
        if step == 2:
            norm.eval()
        torch.testing.assert_close(norm(weight), weight / sigma)
    assert not torch.allclose(norm.u, torch.tensor(u), atol=1e-6) or min(shape[0], columns) == 1  # it was not kept
    assert torch.equal(norm(weight), norm(weight))
    largest = torch.linalg.svdvals(weight.flatten(1))[0]
    norm.train()
    for _ in range(200):
        found = norm(weight)
    torch.testing.assert_close(found, weight / largest, rtol=1e-3, atol=1e-4)


def test_through_a_spectral_norm_the_weight_s_own_length_does_not_learn():
    # What is normalised does not change when the weight is stretched: its gradient is at right angles to it.
    norm, weight = SpectralNorm(torch.empty(3, 4)), torch.randn(3, 4, requires_grad=True)
    for _ in range(100):
        norm(weight)
    (norm(weight) * torch.randn(3, 4)).sum().backward()
    assert weight.grad.norm() > 0.01 and abs(float((weight.grad * weight.detach()).sum())) < 1e-5


def test_a_bfloat16_step_does_not_coarsen_the_iteration():
    norm, weight = SpectralNorm(torch.empty(6, 8)).eval(), torch.randn(6, 8)
    expected = norm(weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(norm(weight), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "layer"}, "norm must be one of batch, spectral, not 'layer'"),
        ({"norm": "spectral", "spectral_norm": True}, "norm 'spectral' normalises the weights already"),
    ],
)
def test_a_pyramid_s_norm_is_one_of_two(options, message):
    with pytest.raises(ValueError, match=message):
        pyramid.Config(image_size=16, **options)
