"""The contract that every generator keeps. A new file in mirrorgan/generators/ is tested by being there."""

import dataclasses
import math
from itertools import pairwise

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mirrorgan.checkpoint import load_part, save_part
from mirrorgan.generators import (
    attngan,
    available_generators,
    dfgan,
    dmgan,
    find_generator,
    gan_int_cls,
    mirrorgan,
    ssagan,
    stackgan,
    stackgan2,
)
from mirrorgan.generators.base import BaseGenerator, Crop, GeneratorConfig
from mirrorgan.generators.mirrorgan import Config, Generator
from mirrorgan.layers import Bottleneck, truncated
from mirrorgan.losses import kl_divergence

MASK = torch.tensor([[True, True, True, True], [True, True, False, False], [True, False, False, False]])
TINY = {"first_size": 16, "channels": (4, 4, 4), "residual_blocks": 1, "condition_dim": 5, "noise_dim": 6}


@pytest.fixture(params=available_generators())
def name(request):
    return request.param


@pytest.fixture
def config(name):
    """The generator's own configuration, as small as its fields allow."""
    return tiny(find_generator(name).Config)


def tiny(kind, **options):
    known = {field.name for field in dataclasses.fields(kind)}
    small = TINY | {"channels": TINY["channels"][: len(kind().channels)]}
    return kind(text_dim=8, **{key: value for key, value in small.items() if key in known} | options)


@pytest.fixture
def generator(name, config):
    return woken(find_generator(name).Generator(config))


def woken(generator):
    """Moves what starts at zero (gates, maps of the sentence) or so small that nothing is to be seen in eval mode, as
    the first steps of a training do."""
    with torch.no_grad():
        for p in generator.parameters():
            if not p.any():
                p.normal_(0, 0.3)
        for module in generator.modules():
            if isinstance(module, torch.nn.Conv2d) and module.weight.std() < 0.03:
                module.weight.mul_(0.1 / module.weight.std())
    return generator


@pytest.fixture
def inputs(generator):
    return torch.randn(3, generator.noise_dim), torch.randn(3, 8), torch.randn(3, 4, 8), MASK


def test_images_grow_in_size_and_stay_in_range(name, generator, inputs):
    images = generator(*inputs).images
    assert tuple(image.shape[-1] for image in images) == tuple(image.shape[-2] for image in images) == generator.sizes
    times = 4 if name == "stackgan" else 2
    assert all(large == times * small for small, large in pairwise(generator.sizes))
    assert all(image.shape[:2] == (3, 3) and image.abs().max() <= 1 for image in images)


def test_attention_is_a_distribution_over_the_words_and_silent_at_padding(generator, inputs):
    for stage in generator(*inputs).stages:
        if stage.word_attention is not None:
            total = stage.word_attention.sum(dim=1)
            torch.testing.assert_close(total, torch.ones_like(total))
            assert (stage.word_attention[~MASK] == 0).all()
        if stage.sentence_strength is not None:
            assert stage.sentence_strength.shape[0] == 3 and stage.sentence_strength.ndim == 3
            assert (stage.sentence_strength >= 0).all()
        for where in stage.masks:
            assert where.shape[0] == 3 and where.shape[1] == where.shape[2]
            assert (where >= 0).all() and (where <= 1).all()


def test_discriminators_are_told_as_many_channels_as_promised(generator, inputs):
    told = generator.discriminator_condition(inputs[1])
    assert told.shape == (3, generator.discriminator_condition_dim)
    assert not torch.allclose(told[0], told[1])


def test_every_module_belongs_to_one_stage(generator):
    parts = generator.parts()
    assert len(parts) == len(generator.sizes)
    owned = [id(p) for stage in parts for module in stage for p in module.parameters()]
    assert sorted(owned) == sorted(id(p) for p in generator.parameters())


def test_from_its_own_start_everything_learns_within_a_few_steps(name, config, inputs):
    # Gates and maps that start at zero let nothing through at first.
    generator = find_generator(name).Generator(config)
    optimizer = torch.optim.Adam(generator.parameters(), lr=0.02)
    learning = set()
    for _ in range(5):
        optimizer.zero_grad(set_to_none=True)
        output = generator(*inputs)
        torch.stack([x.square().mean() for x in output.images] + list(output.penalties.values())).sum().backward()
        learning |= {name for name, p in generator.named_parameters() if p.grad is not None and p.grad.any()}
        optimizer.step()
    assert learning == {name for name, _ in generator.named_parameters()}


def test_every_parameter_learns(generator, inputs):
    output = generator(*inputs)
    losses = [image.square().mean() for image in output.images] + list(output.penalties.values())
    torch.stack(losses).sum().backward()
    assert not [name for name, p in generator.named_parameters() if p.grad is None]
    assert not [name for name, p in generator.named_parameters() if not p.grad.isfinite().all()]
    assert not [name for name, p in generator.named_parameters() if p.grad.abs().sum() == 0]


def test_gradients_reach_words_and_sentence(generator, inputs):
    noise, sentence, words, mask = inputs
    sentence.requires_grad_()
    words.requires_grad_()
    output = generator(noise, sentence, words, mask)
    output.images[-1].square().mean().backward()
    assert sentence.grad.abs().sum() > 0
    if any(stage.word_attention is not None for stage in output.stages):
        assert words.grad[MASK].abs().sum() > 0 and (words.grad[~MASK] == 0).all()
    else:
        assert words.grad is None or not words.grad.any()


def test_same_noise_same_drawing_in_eval_mode(generator, inputs):
    generator.eval()
    first, second = generator(*inputs).images, generator(*inputs).images
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_other_noise_other_drawing(generator, inputs):
    generator.eval()
    noise, *text = inputs
    assert not torch.allclose(generator(noise, *text).images[-1], generator(-noise, *text).images[-1])


def test_drawing_stage_by_stage_gives_what_forward_returns(generator, inputs):
    generator.eval()
    stages = list(generator.draw(*inputs))
    expected = generator(*inputs).stages
    assert len(stages) == len(expected) == len(generator.sizes)
    for stage, same in zip(stages, expected, strict=True):
        for found, wanted in zip(stage[:-1], same[:-1], strict=True):
            assert (found is None) == (wanted is None)
            assert found is None or torch.equal(found, wanted)
        assert all(torch.equal(found, wanted) for found, wanted in zip(stage.masks, same.masks, strict=True))


def test_stages_are_drawn_one_at_a_time(generator, inputs):
    # Whoever times or shows them must not wait for the last.
    stages = generator.eval().draw(*inputs)
    assert next(iter(stages)).image.shape[-1] == generator.sizes[0]


def test_a_batch_equals_its_captions_one_by_one_in_eval_mode(generator, inputs):
    generator.eval()
    images = generator(*inputs).images
    for row in range(3):
        length = int(MASK[row].sum())
        noise, sentence, words, mask = (x[row : row + 1] for x in inputs)
        alone = generator(noise, sentence, words[:, :length], mask[:, :length]).images
        for together, single in zip(images, alone, strict=True):
            torch.testing.assert_close(together[row], single[0], rtol=1e-4, atol=1e-5)


def test_padding_is_never_heard(generator, inputs):
    generator.eval()
    noise, sentence, words, mask = inputs
    other = words.masked_fill(~mask[:, :, None], 9.0)
    torch.testing.assert_close(
        generator(noise, sentence, other, mask).images[-1], generator(noise, sentence, words, mask).images[-1]
    )


def test_same_drawing_after_a_round_trip_to_disk(name, config, generator, inputs, tmp_path):
    expected = generator.eval()(*inputs).images[-1]
    save_part(generator, config, tmp_path, "generator", "hash", generator=name)
    module = find_generator(name)
    again = load_part(tmp_path, "generator", module.Config, module.Generator, "hash").eval()
    assert torch.equal(again(*inputs).images[-1], expected)


def test_penalties_are_finite_scalars(generator, inputs):
    for penalty in generator(*inputs).penalties.values():
        assert penalty.ndim == 0 and penalty.isfinite()


def test_every_generator_keeps_the_base(generator, config):
    assert isinstance(generator, BaseGenerator)
    assert generator.config == config and generator.sizes == config.sizes


def test_a_crop_is_drawn_or_refused_in_a_sentence(name, generator, inputs):
    crop = Crop(torch.tensor([[0, 8], [3, 5], [8, 8]]), 8)
    if name in ("mirrorgan", "attngan"):
        generator.check_crops(generator.config)
        assert generator(*inputs, crop).images[-1].shape == (3, 3, 16, 16)
    else:
        with pytest.raises(ValueError, match=f"{name} cannot draw a crop of its last stage; mirrorgan and attngan can"):
            generator.check_crops(generator.config)


def test_a_generator_of_the_defaults_is_as_large_as_its_configuration_says(name):
    kind = find_generator(name).Config
    with torch.device("meta"):
        generator = find_generator(name).Generator(kind())
    parameters = f"{sum(p.numel() for p in generator.parameters()):,}"
    assert parameters in kind.__doc__, f"{parameters} parameters"


def test_every_file_gives_a_frozen_configuration_and_a_generator(name):
    kind = find_generator(name)
    assert issubclass(kind.Config, GeneratorConfig) and issubclass(kind.Generator, BaseGenerator)
    assert dataclasses.is_dataclass(kind.Config) and kind.Config.__dataclass_params__.frozen
    assert kind.Config.__module__ == f"mirrorgan.generators.{name}"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'three_wishes'; there are: .*mirrorgan"):
        find_generator("three_wishes")


# --------------------------------------------------------------------------------------------- mirrorgan


def build(**options):
    return Generator(Config(text_dim=8, **TINY | options))


def forward(generator):
    return generator(torch.randn(3, generator.noise_dim), torch.randn(3, 8), torch.randn(3, 4, 8), MASK)


def count(generator):
    return sum(p.numel() for p in generator.parameters())


def test_it_has_as_many_parameters_as_the_released_one():
    with torch.device("meta"):
        assert count(Generator(Config())) == 7_105_392


@pytest.mark.parametrize(("channels", "blocks", "parameters"), [(32, 2, 7_084_592), (48, 3, 13_811_456)])
def test_without_sentence_attention_it_is_attngan_s(channels, blocks, parameters):
    # Features and what the words say are 2C together, so nothing needs to be reduced.
    sizes = {"channels": (channels,) * 3, "residual_blocks": blocks}
    with torch.device("meta"):
        mine, theirs = Generator(Config(**sizes, sentence_attention=False)), Generator(attngan.Config(**sizes))
    assert count(mine) == count(theirs) == parameters
    shapes = [{name: p.shape for name, p in network.state_dict().items()} for network in (mine, theirs)]
    assert shapes[0] == shapes[1] and len(shapes[0]) == {2: 97, 3: 121}[blocks]
    assert attngan.FORMS["coco" if blocks == 3 else "birds"] == attngan.Config(**sizes)


@pytest.mark.parametrize(
    "options",
    [
        {"join": "reduce"},
        {"join": "wide"},
        {"sentence_axis": "spatial"},
        {"sentence_preconv": False},
        {"sentence_bias": False},
        {"sentence_of": "sentence"},
        {"pictures": "last"},
        {"pictures": "last", "channels": (4,)},
        {"mask_mode": "legacy"},
        {"word_attention": False},
        {"sentence_attention": False},
        {"word_attention": False, "sentence_attention": False},
        {"word_attention": False, "sentence_attention": False, "join": "wide"},
        {"residual_blocks": 0},
        {"standardize_text": True},
        {"channels": (8, 6, 2)},
        {"channels": (4,)},
    ],
)
def test_every_option_draws_and_every_parameter_learns(options):
    generator = build(**options)
    output = forward(generator)
    assert tuple(image.shape[-1] for image in output.images) == generator.sizes
    torch.stack([image.square().mean() for image in output.images] + list(output.penalties.values())).sum().backward()
    assert not [name for name, p in generator.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    for stage in output.stages[1:] if len(generator.stages) == len(output.stages) - 1 else output.stages[:0]:
        assert (stage.word_attention is None) == (options.get("word_attention") is False)
        assert (stage.sentence_attention is None) == (options.get("sentence_attention") is False)
        assert (stage.sentence_strength is None) == (stage.sentence_attention is None)
    if len(output.stages) > 1:
        assert output.stages[0].word_attention is None and output.stages[0].sentence_attention is None


@pytest.mark.parametrize("form", mirrorgan.FORMS)
def test_every_form_of_the_paper_s_sentence_attention_is_its_equation(form):
    options = dataclasses.asdict(mirrorgan.FORMS[form])
    generator = Generator(tiny(Config, **{name: options[name] for name in options if name[:8] in ("sentence", "join")}))
    noise, sentence, words = torch.randn(3, 11), torch.randn(3, 8), torch.randn(3, 4, 8)
    stage, seen = generator.stages[0], []
    stage.sentence.register_forward_pre_hook(lambda module, given: seen.append(given))
    stage.refine.register_forward_pre_hook(lambda module, given: seen.append(given))
    maps = generator(noise, sentence, words, MASK).stages[1].sentence_attention
    (features, heard), (joined,) = seen[:2]
    conditioning = generator.condition(sentence, noise[:, 6:])[0]
    torch.testing.assert_close(heard, sentence if form == "fork" else conditioning)
    value = heard @ stage.sentence.project.weight.T
    if form == "released":
        scores = torch.nn.functional.conv2d(
            features * (value + stage.sentence.project.bias)[:, :, None, None], stage.sentence.preconv.weight
        )
        torch.testing.assert_close(maps, scores.exp() / scores.exp().sum(dim=1, keepdim=True))
        assert joined.shape[1] == 2 * 4
    else:
        scores = (features * value[:, :, None, None]).exp()
        torch.testing.assert_close(maps, scores / scores.sum(dim=(2, 3), keepdim=True))
        torch.testing.assert_close(joined[:, 8:], value[:, :, None, None] * maps)
        assert joined.shape[1] == 3 * 4


def test_attndcgan_draws_its_last_stage_alone():
    generator = attngan.Generator(tiny(attngan.Config, residual_blocks=0, pictures="last"))
    (stage,) = generator(torch.randn(3, 11), torch.randn(3, 8), torch.randn(3, 4, 8), MASK).stages
    assert generator.sizes == (64,) and stage.image.shape[-1] == 64
    assert stage.word_attention.shape == (3, 4, 32, 32)
    released = {key for key in generator.state_dict() if "refine" in key or key.startswith("heads")}
    assert released == {"heads.0.weight"}
    assert attngan.FORMS["dcgan"].sizes == (256,)


@pytest.mark.parametrize(("first", "sizes"), [(16, (16, 32, 64)), (32, (32, 64, 128)), (64, (64, 128, 256))])
def test_the_first_size_decides_the_others(first, sizes):
    generator = build(first_size=first, channels=(2, 2, 2))
    assert generator.sizes == sizes
    with torch.no_grad():
        assert tuple(image.shape[-1] for image in forward(generator).images) == sizes


def test_five_stages_from_16_to_256_pixels_are_within_2_5_gmac_and_listen_from_32_on():
    shape = {"first_size": 16, "channels": (64, 48, 32, 20, 16), "residual_blocks": 1}
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        generator = Generator(Config(**shape, skip_images=True, standardize_text=True)).eval()
        words, mask = torch.randn(1, 25, 256), torch.ones(1, 25, dtype=torch.bool)
        stages = generator(torch.randn(1, generator.noise_dim), torch.randn(1, 256), words, mask).stages
    assert generator.sizes == (16, 32, 64, 128, 256)
    assert 2.4e9 < counter.get_total_flops() / 2 <= 2.5e9  # two operations a multiplication with its addition
    assert stages[0].word_attention is None and stages[0].sentence_strength is None
    for stage, maps in zip(stages[1:], (16, 32, 64, 128), strict=True):
        assert stage.word_attention.shape == (1, 25, maps, maps)
        assert stage.sentence_strength.shape == (1, maps, maps)


def test_the_sentence_s_strength_is_the_length_of_what_was_heard():
    generator = build().eval()
    noise, sentence, words = torch.randn(3, 11), torch.randn(3, 8), torch.randn(3, 4, 8)
    stage = generator(noise, sentence, words, MASK).stages[1]
    value = generator.stages[0].sentence.project(generator.condition(sentence, noise[:, 6:])[0])[:, :, None, None]
    expected = (value * stage.sentence_attention).square().sum(dim=1).sqrt()
    torch.testing.assert_close(stage.sentence_strength, expected)


def test_standardized_text_is_heard_whatever_its_scale_and_mean():
    # After many captions the running numbers are the captions' own: shifting and stretching them changes nothing.
    plain, shifted = build(standardize_text=True), build(standardize_text=True)
    shifted.load_state_dict(plain.state_dict())
    noise, sentence, words = torch.randn(3, 11), torch.randn(3, 8), torch.randn(3, 4, 8)
    captions = torch.randn(400, 8)
    for generator, change in ((plain, lambda x: x), (shifted, lambda x: 0.2 * x + 3)):
        for _ in range(100):
            generator.standardize(change(captions))
        generator.eval()
    expected = plain(noise, sentence, words, MASK).images[-1]
    found = shifted(noise, 0.2 * sentence + 3, 0.2 * words + 3, MASK).images[-1]
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)
    assert not torch.allclose(plain(noise, 0.2 * sentence + 3, words, MASK).images[-1], expected, atol=1e-2)


@pytest.mark.parametrize(("axis", "over"), [("channel", (1,)), ("spatial", (2, 3))])
def test_the_sentence_axis_reaches_the_attention(axis, over):
    total = forward(build(sentence_axis=axis)).stages[1].sentence_attention.sum(dim=over)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_with_skip_images_every_stage_starts_as_the_enlarged_first():
    # The later heads start at zero: before training a stage adds nothing to the picture below it.
    generator = build(skip_images=True).eval()
    small, middle, large = forward(generator).images
    for smaller, larger in ((small, middle), (middle, large)):
        enlarged = torch.nn.functional.interpolate(smaller.atanh(), scale_factor=2.0, mode="bilinear")
        torch.testing.assert_close(larger, enlarged.tanh(), rtol=1e-3, atol=1e-4)


def test_with_skip_images_everything_learns_once_the_heads_have_moved():
    # A head of zeros passes no gradient on, so at the first step only the heads and the first stage learn.
    generator = build(skip_images=True)
    optimizer = torch.optim.SGD(generator.parameters(), lr=0.1)

    def learn():
        optimizer.zero_grad(set_to_none=True)
        forward(generator).images[-1].square().mean().backward()
        optimizer.step()
        return {name for name, p in generator.named_parameters() if p.grad.abs().sum() > 0}

    at_first = learn()
    assert {"heads.0.weight", "heads.2.weight", "first.start.0.weight"} <= at_first
    assert not any(name.startswith("stages.") for name in at_first)
    learn()
    assert {name for name, _ in generator.named_parameters()} == learn()


def test_the_divergence_is_weighed():
    plain, heavy, none = build(), build(kl_weight=3.0), build(kl_weight=0.0)
    heavy.load_state_dict(plain.state_dict())
    sentence = torch.randn(3, 8)
    inputs = torch.randn(3, 11), sentence, torch.randn(3, 4, 8), MASK
    _, mu, logvar = plain.condition(sentence, torch.zeros(3, 5))
    torch.testing.assert_close(plain(*inputs).penalties["kl"], kl_divergence(mu, logvar))
    torch.testing.assert_close(heavy(*inputs).penalties["kl"], 3 * kl_divergence(mu, logvar))
    assert none(*inputs).penalties["kl"] == 0


def test_the_first_stage_reads_the_conditioning_before_the_noise():
    generator = build().eval()
    seen = []
    generator.first.start.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    noise, sentence = torch.randn(3, 11), torch.randn(3, 8)
    generator(noise, sentence, torch.randn(3, 4, 8), MASK)
    conditioning = generator.condition(sentence, noise[:, 6:])[0]
    torch.testing.assert_close(seen[0], torch.cat([conditioning, noise[:, :6]], dim=1))


def test_weights_start_orthogonal():
    rows = build().stages[0].join.weight.flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first_size": 48}, "power of two of at least 8, not 48"),
        ({"first_size": 4}, "power of two of at least 8, not 4"),
        ({"channels": ()}, "at least one stage"),
        ({"channels": (4, 0)}, "at least one channel"),
        ({"join": "loose"}, "'reduce' or 'wide', not 'loose'"),
        ({"sentence_axis": "time"}, "channel, spatial, not 'time'"),
        ({"mask_mode": "none"}, "fixed, legacy, not 'none'"),
        ({"sentence_of": "words"}, "'conditioning' or 'sentence', not 'words'"),
        ({"pictures": "first"}, "'all' or 'last', not 'first'"),
        ({"pictures": "last", "skip_images": True}, "skip_images adds up"),
    ],
)
def test_options_that_cannot_be_are_refused_in_words(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


# ------------------------------------------------------------------------------------------------- dmgan


@pytest.mark.parametrize(("form", "parameters"), [("birds", 21_449_042), ("coco", 22_335_314)])
def test_dm_gan_has_as_many_parameters_as_the_released_one(form, parameters):
    with torch.device("meta"):
        generator = dmgan.Generator(dmgan.FORMS[form])
    assert count(generator) == parameters and generator.sizes == (64, 128, 256) and generator.noise_dim == 200


@torch.no_grad()
def test_a_dynamic_memory_is_its_equations_written_as_loops():
    channels, text_dim, side = 3, 5, 2
    memory = dmgan.DynamicMemory(text_dim, channels)
    h, w = torch.randn(3, channels, side, side), torch.randn(3, 4, text_dim)
    answered, maps = memory(h, w, MASK)

    def affine(layer, x):
        return layer.weight.flatten(1) @ x + (0 if layer.bias is None else layer.bias)

    for b in range(3):
        length = int(MASK[b].sum())
        mean = torch.stack([h[b, c].sum() / side**2 for c in range(channels)])
        keys, values = [], []
        for t in range(length):
            gate = 1 / (1 + (-memory.gate_words.weight[0] @ w[b, t] - memory.gate_features.weight[0] @ mean).exp())
            written, shown = affine(memory.write_words, w[b, t]), affine(memory.write_features, mean)
            slot = gate * written.clamp(min=0) + (1 - gate) * shown.clamp(min=0)
            assert len(slot) == 2 * channels
            keys.append(affine(memory.key, slot).clamp(min=0))
            values.append(affine(memory.value, slot).clamp(min=0))
        for i in range(side):
            for j in range(side):
                place = h[b, :, i, j]
                weights = torch.stack([(place @ key).exp() for key in keys])
                weights = weights / weights.sum()
                torch.testing.assert_close(maps[b, :length, i, j], weights)
                assert not maps[b, length:].any()
                read = sum(weight * value for weight, value in zip(weights, values, strict=True))
                r = affine(memory.respond, torch.cat([place, read])).sigmoid()
                torch.testing.assert_close(answered[b, :, i, j], (1 - r) * place + r * read)


@torch.no_grad()
def test_a_writing_gate_without_weights_is_a_half_and_a_shut_response_gate_leaves_the_features():
    memory = dmgan.DynamicMemory(5, 3)
    h, w = torch.randn(3, 3, 2, 2), torch.randn(3, 4, 5)
    memory.gate_words.weight.zero_(), memory.gate_features.weight.zero_()
    shown = memory.write_features(h.mean(dim=(2, 3))).relu()[:, None]
    torch.testing.assert_close(memory.write(h, w), (memory.write_words(w).relu() + shown) / 2)
    memory.respond.weight.zero_(), memory.respond.bias.fill_(-40.0)
    torch.testing.assert_close(memory(h, w, MASK)[0], h)
    memory.respond.bias.fill_(40.0)  # and an open one puts what was read in their place
    values = memory.value(memory.write(h, w)).relu()
    answered, maps = memory(h, w, MASK)
    torch.testing.assert_close(answered, torch.einsum("blhw,blc->bchw", maps, values))


def test_nothing_learns_through_the_mean_that_the_memory_is_written_with():
    memory = dmgan.DynamicMemory(5, 3)
    h = torch.randn(3, 3, 2, 2, requires_grad=True)
    memory.write(h, torch.randn(3, 4, 5)).square().sum().backward()
    assert h.grad is None and memory.write_features.weight.grad.abs().sum() > 0


def test_dm_gan_s_residual_blocks_see_the_same_features_twice():
    generator = dmgan.Generator(tiny(dmgan.Config))
    seen = []
    for stage in generator.stages:
        stage.refine.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    stages = forward(generator).stages
    assert [(twice.shape[1], twice.shape[-1]) for twice in seen] == [(8, 16), (8, 32)]
    assert all(torch.equal(twice[:, :4], twice[:, 4:]) for twice in seen)
    assert stages[0].word_attention is None
    assert [stage.word_attention.shape[1:] for stage in stages[1:]] == [(4, 16, 16), (4, 32, 32)]


def test_dm_gan_s_legacy_mask_is_another_in_a_batch_and_the_same_alone():
    plain = dmgan.Generator(tiny(dmgan.Config)).eval()
    legacy = dmgan.Generator(tiny(dmgan.Config, mask_mode="legacy")).eval()
    legacy.load_state_dict(plain.state_dict())
    inputs = torch.randn(3, 11), torch.randn(3, 8), torch.randn(3, 4, 8), MASK
    assert not torch.allclose(plain(*inputs).images[-1], legacy(*inputs).images[-1])
    alone = [x[1:2] for x in inputs]
    assert torch.equal(plain(*alone).images[-1], legacy(*alone).images[-1])
    with pytest.raises(ValueError, match="mask_mode must be one of fixed, legacy, not 'none'"):
        dmgan.Config(mask_mode="none")


@pytest.mark.parametrize(
    "options", [{"residual_blocks": 0}, {"standardize_text": True}, {"channels": (8, 6, 2)}, {"channels": (4,)}]
)
def test_every_option_of_dm_gan_draws_and_every_parameter_learns(options):
    generator = dmgan.Generator(tiny(dmgan.Config, **options))
    output = forward(generator)
    assert tuple(image.shape[-1] for image in output.images) == generator.sizes
    torch.stack([image.square().mean() for image in output.images] + list(output.penalties.values())).sum().backward()
    assert not [name for name, p in generator.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]


# ------------------------------------------------------------------------------------------------ ssagan


@pytest.fixture
def semantic():
    return ssagan.Generator(tiny(ssagan.Config)).eval()


@pytest.mark.parametrize(("channels", "parameters"), [(64, 29_494_273), (32, 10_327_425)])
def test_ssa_gan_has_as_many_parameters_and_tensors_as_the_released_one(channels, parameters):
    with torch.device("meta"):
        generator = ssagan.Generator(ssagan.Config(channels=(channels,)))
    assert count(generator) == parameters and len(generator.state_dict()) == 267


def test_ssa_gan_does_not_hear_the_sentence_before_it_has_learnt(semantic):
    noise, sentence, words = torch.randn(3, 6), torch.randn(3, 8), torch.randn(3, 4, 8)
    first, other = (semantic(noise, s, words, MASK) for s in (sentence, 3 - sentence))
    assert torch.equal(first.images[0], other.images[0])
    assert not torch.allclose(*(woken(semantic)(noise, s, words, MASK).images[0] for s in (sentence, 3 - sentence)))


def test_every_block_of_ssa_gan_starts_as_its_shortcut(semantic):
    for block in semantic.blocks:
        features = torch.randn(2, block.convolutions[0].in_channels, 4, 4)
        given = block(features, torch.randn(2, 8), torch.rand(2, 1, 4, 4))
        torch.testing.assert_close(given, block.shortcut(features))


@pytest.mark.parametrize(("size", "masks"), [(16, (4, 8, 16)), (256, (4, 8, 16, 32, 64, 128, 256))])
def test_ssa_gan_has_a_mask_a_block(size, masks):
    generator = ssagan.Generator(tiny(ssagan.Config, first_size=size, channels=(1,), mask_channels=2)).eval()
    with torch.no_grad():
        (stage,) = generator(torch.randn(1, 6), torch.randn(1, 8), torch.randn(1, 4, 8), MASK[:1]).stages
    assert tuple(where.shape[-1] for where in stage.masks) == masks
    assert all((where > 0).all() and (where < 1).all() for where in stage.masks)


def test_a_semantic_spatial_norm_is_its_equation_written_as_loops():
    norm = woken(ssagan.SemanticSpatialNorm(3, 5))
    x, s, m = torch.randn(2, 3, 4, 4), torch.randn(2, 5), torch.rand(2, 1, 4, 4)
    found = norm(x, s, m)

    def mapped(layers, given):
        first, _, second = layers
        return second.weight @ (first.weight @ given + first.bias).clamp(min=0) + second.bias

    for c in range(3):
        mean, var = x[:, c].mean(), x[:, c].var(unbiased=False)
        for b in range(2):
            gamma, beta = mapped(norm.gamma, s[b])[c], mapped(norm.beta, s[b])[c]
            for i in range(4):
                for j in range(4):
                    normal = (x[b, c, i, j] - mean) / (var + 1e-5).sqrt()
                    expected = normal * (1 + m[b, 0, i, j] * gamma) + m[b, 0, i, j] * beta
                    torch.testing.assert_close(found[b, c, i, j], expected, rtol=1e-4, atol=1e-5)


def test_a_shut_mask_keeps_the_sentence_out_and_an_open_one_lets_it_in():
    norm = woken(ssagan.SemanticSpatialNorm(3, 5)).eval()
    x, mask = torch.randn(2, 3, 4, 4), torch.zeros(2, 1, 4, 4)
    mask[:, :, :2] = 1
    first, other = norm(x, torch.randn(2, 5), mask), norm(x, torch.randn(2, 5), mask)
    assert torch.equal(first[:, :, 2:], other[:, :, 2:]) and not torch.allclose(first[:, :, :2], other[:, :, :2])


def test_a_mask_is_enlarged_before_its_sigmoid_with_its_corners_kept(semantic):
    logits = []
    for head in semantic.masks:
        head.register_forward_hook(lambda module, given, out: logits.append(out[0, 0]))
    (stage,) = semantic(torch.randn(1, 6), torch.randn(1, 8), torch.randn(1, 4, 8), MASK[:1]).stages
    torch.testing.assert_close(stage.masks[0][0], logits[0].sigmoid())
    for raw, where in zip(logits[1:], stage.masks[1:], strict=True):
        small, large = len(raw), where.shape[-1]
        for i in range(large):
            y, x = i * (small - 1) / (large - 1), 0  # along the left side
            low, part = int(y), y - int(y)
            value = raw[low, x] * (1 - part) + raw[min(low + 1, small - 1), x] * part
            torch.testing.assert_close(where[0, i, 0], value.sigmoid(), rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------------------------------- dfgan


def test_df_gan_has_as_many_tensors_as_the_released_one():
    with torch.device("meta"):
        generator = dfgan.Generator(dfgan.Config())
    assert count(generator) == 9_744_131 and len(generator.state_dict()) == 226


def test_a_fusion_is_its_equation_and_starts_as_two_leaky_units():
    fusion = dfgan.Fusion(3, 5)
    x, c = torch.randn(2, 3, 4, 4), torch.randn(2, 5)
    leak = torch.where(x > 0, x, 0.2 * x)
    torch.testing.assert_close(fusion(x, c), torch.where(leak > 0, leak, 0.2 * leak))
    woken(fusion)
    expected = x
    for affine in fusion.affine:
        for b in range(2):
            gamma, beta = affine.gamma(c[b : b + 1])[0], affine.beta(c[b : b + 1])[0]
            rows = torch.stack([expected[b, k] * gamma[k] + beta[k] for k in range(3)])
            expected = torch.cat([expected[:b], torch.where(rows > 0, rows, 0.2 * rows)[None], expected[b + 1 :]])
    torch.testing.assert_close(fusion(x, c), expected)


def test_df_gan_s_condition_is_noise_and_then_sentence():
    generator = dfgan.Generator(tiny(dfgan.Config))
    seen = []
    generator.blocks[0].register_forward_pre_hook(lambda module, given: seen.append(given[1]))
    noise, sentence = torch.randn(3, 6), torch.randn(3, 8)
    generator(noise, sentence, torch.randn(3, 4, 8), MASK)
    assert torch.equal(seen[0], torch.cat([noise, sentence], dim=1))


def test_df_gan_truncates_its_noise_when_drawing_and_not_when_learning():
    generator = dfgan.Generator(tiny(dfgan.Config, truncation=0.5))
    plain = dfgan.Generator(tiny(dfgan.Config, truncation=None))
    plain.load_state_dict(generator.state_dict())
    text = torch.randn(3, 8), torch.randn(3, 4, 8), MASK
    noise = torch.randn(3, 6)
    assert torch.equal(generator(noise, *text).images[0], plain(noise, *text).images[0])
    generator.eval(), plain.eval()
    expected = plain(truncated(noise, 0.5), *text).images[0]
    torch.testing.assert_close(generator(noise, *text).images[0], expected)
    assert not torch.allclose(plain(noise, *text).images[0], expected)


@pytest.mark.parametrize("kind", [ssagan.Config, dfgan.Config, gan_int_cls.Config])
def test_one_picture_has_one_number_of_channels(kind):
    with pytest.raises(ValueError, match="there is one picture"):
        kind(channels=(4, 4))
    with pytest.raises(ValueError, match=r"first_size must be a power of two of at least \d+, not 12"):
        kind(first_size=12)


@pytest.mark.parametrize("rate", [0.0, 1.5])
def test_a_truncation_is_a_share(rate):
    with pytest.raises(ValueError, match="truncation must be in"):
        dfgan.Config(truncation=rate)


# --------------------------------------------------------------------------------------------- stackgan2


def test_stackgan_s_tree_has_as_many_parameters_and_tensors_as_the_released_one():
    with torch.device("meta"):
        generator = stackgan2.Generator(stackgan2.Config())
    assert count(generator) == 21_239_696 and len(generator.state_dict()) == 107
    assert generator.sizes == (64, 128, 256)


def test_stackgan_s_discriminators_are_told_the_mean_whatever_the_sample():
    generator = stackgan2.Generator(tiny(stackgan2.Config)).eval()
    sentence = torch.randn(3, 8)
    samples = [generator.condition(sentence, torch.randn(3, 5))[0] for _ in range(4000)]
    assert (torch.stack(samples).mean(dim=0) - generator.discriminator_condition(sentence)).abs().max() < 0.1
    assert torch.equal(generator.discriminator_condition(sentence), generator.discriminator_condition(sentence))
    generator.discriminator_condition(sentence).square().sum().backward()  # the generator learns by what it tells
    assert generator.condition.linear.weight.grad.abs().sum() > 0


def test_every_later_stage_of_stackgan_hears_the_same_sample_everywhere():
    generator = stackgan2.Generator(tiny(stackgan2.Config)).eval()
    seen = []
    for stage in generator.stages:
        stage.join.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    noise, sentence = torch.randn(3, 11), torch.randn(3, 8)
    generator(noise, sentence, torch.randn(3, 4, 8), MASK)
    conditioning = generator.condition(sentence, noise[:, 6:])[0]
    for joined in seen:
        heard = joined[:, :5]
        torch.testing.assert_close(heard, conditioning[:, :, None, None].expand_as(heard))
        assert joined.shape[1] == 5 + 4
    assert [joined.shape[-1] for joined in seen] == [16, 32]


# ---------------------------------------------------------------------------------------------- stackgan


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, [14_264_192, 26_290_080]),
        ({"text_dim": 256}, [14_067_584, 26_093_472]),
        ({"channels": (128,)}, [14_264_192]),
        ({"form": "coco"}, [10_301_248, 26_290_080]),
        ({"form": "coco", "channels": (192, 192), "residual_blocks": 2}, [20_020_832, 37_130_480]),
    ],
)
def test_stackgan_s_stages_have_as_many_parameters_as_the_released_ones(options, parameters):
    with torch.device("meta"):
        generator = stackgan.Generator(stackgan.Config(**options))
    assert [count(stage) for stage in generator.stages] == parameters
    assert generator.sizes == (64, 256)[: len(parameters)]
    assert generator.noise_dim == 100 + 128 * len(parameters)


FORMS_OF_STACKGAN = pytest.mark.parametrize("form", ["birds", "coco"])


def small_stackgan(form, **options):
    return stackgan.Generator(tiny(stackgan.Config, form=form, **options))


@FORMS_OF_STACKGAN
@torch.no_grad()
def test_stackgan_s_conditioning_is_its_equation_written_as_loops(form):
    condition = small_stackgan(form).stages[0].condition
    condition.linear.weight.normal_(), condition.linear.bias.normal_()
    s, eps = torch.randn(3, 8), torch.randn(3, 5)
    found, mu, logvar = condition(s, eps)
    cut = truncated(eps, 1.0)
    divergence = 0.0
    for b in range(3):
        said = [float(condition.linear.weight[k] @ s[b] + condition.linear.bias[k]) for k in range(10)]
        said = [x if x > 0 else (0.2 * x if form == "birds" else 0.0) for x in said]
        for k in range(5):
            mean, spread = said[k], said[5 + k]
            log_sigma = spread if form == "birds" else spread / 2
            noise = float((cut if form == "birds" else eps)[b, k])
            assert float(found[b, k]) == pytest.approx(mean + math.exp(log_sigma) * noise, rel=1e-4, abs=1e-5)
            divergence += -log_sigma + (math.exp(2 * log_sigma) + mean**2 - 1) / 2
    assert float(kl_divergence(mu, logvar)) == pytest.approx(divergence / 15, rel=1e-4)
    if form == "birds":
        assert cut.abs().max() <= 2 and (condition(s, 50 * eps)[0] - mu).abs().max() <= 2.001 * (logvar / 2).exp().max()
    else:
        assert mu.min() >= 0 and logvar.min() >= 0
    torch.testing.assert_close(condition(s, torch.zeros(3, 5))[0], mu)


@FORMS_OF_STACKGAN
@torch.no_grad()
def test_stackgan_s_divergence_is_nothing_for_a_sentence_that_says_nothing(form):
    generator = small_stackgan(form, channels=(4,), kl_weight=3.0)
    inputs = torch.randn(3, generator.noise_dim), torch.randn(3, 8), torch.randn(3, 4, 8), MASK
    expected = kl_divergence(*generator.stages[0].condition(inputs[1], inputs[0][:, 6:])[1:])
    torch.testing.assert_close(generator(*inputs).penalties["kl"], 3 * expected)
    generator.stages[0].condition.linear.weight.zero_()
    assert generator(*inputs).penalties["kl"].abs() < 1e-6


@FORMS_OF_STACKGAN
def test_stackgan_reads_conditioning_and_noise_in_its_form_s_order(form):
    generator = small_stackgan(form).eval()
    seen = []
    generator.stages[0].start.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    generator.stages[1].join.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    noise, sentence = torch.randn(3, 16), torch.randn(3, 8)
    generator(noise, sentence, torch.randn(3, 4, 8), MASK)
    first, second = (stage.condition(sentence, noise[:, 6 + 5 * n : 11 + 5 * n])[0]
                     for n, stage in enumerate(generator.stages))  # fmt: skip
    parts = [first, noise[:, :6]] if form == "birds" else [noise[:, :6], first]
    torch.testing.assert_close(seen[0], torch.cat(parts, dim=1))
    assert seen[1].shape == (3, 4 * 4 + 5, 4, 4)  # of 16 pixels, halved twice; the picture's features come first
    torch.testing.assert_close(seen[1][:, 16:], second[:, :, None, None].expand(-1, -1, 4, 4))


@FORMS_OF_STACKGAN
def test_stackgan_s_second_stage_draws_over_the_first_one_s_picture(form):
    generator = small_stackgan(form).eval()
    seen = []
    generator.stages[1].look.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    noise, *text = torch.randn(3, 16), torch.randn(3, 8), torch.randn(3, 4, 8), MASK
    images = generator(noise, *text).images
    assert torch.equal(seen[0], images[0])
    other = noise.clone()
    other[:, 11:] += 1.0  # the second stage's own sample
    small, large = generator(other, *text).images
    assert torch.equal(small, images[0]) and not torch.allclose(large, images[1])


@FORMS_OF_STACKGAN
def test_stackgan_s_first_stage_alone_is_the_first_of_two(form):
    both = small_stackgan(form).eval()
    alone = small_stackgan(form, channels=(4,)).eval()
    given = alone.state_dict()
    assert set(given) <= set(both.state_dict()) and not any(name.startswith("stages.1") for name in given)
    alone.load_state_dict({name: both.state_dict()[name] for name in given})
    noise, text = torch.randn(3, 16), (torch.randn(3, 8), torch.randn(3, 4, 8), MASK)
    assert torch.equal(alone(noise[:, :11], *text).images[0], both(noise, *text).images[0])


def test_stackgan_tells_the_sentence_or_the_last_stage_s_mean_without_a_gradient():
    sentence = torch.randn(3, 8)
    assert torch.equal(small_stackgan("birds").discriminator_condition(sentence), sentence)
    generator = small_stackgan("coco")
    told = generator.discriminator_condition(sentence)
    torch.testing.assert_close(told, generator.stages[1].condition(sentence, torch.randn(3, 5))[1])
    assert not told.requires_grad and told.shape == (3, generator.discriminator_condition_dim)


@torch.no_grad()
def test_a_residual_block_of_stackgan_has_its_activation_after_the_sum():
    block = stackgan.ResBlock(3).eval()
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(block(x), (x + block.block(x)).clamp(min=0))
    assert [type(layer) for layer in block.block] == [
        torch.nn.Conv2d, torch.nn.BatchNorm2d, torch.nn.ReLU, torch.nn.Conv2d, torch.nn.BatchNorm2d
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": (4, 4, 4)}, r"one or two multiples of 4, a number a stage, not \(4, 4, 4\)"),
        ({"channels": (6,)}, "multiples of 4"),
        ({"form": "flowers"}, "form must be 'birds' or 'coco', not 'flowers'"),
        ({"first_size": 8}, "first_size must be a power of two of at least 16, not 8"),
    ],
)
def test_a_stackgan_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        stackgan.Config(**options)


def test_stackgan_starts_small_and_cut_off_for_birds():
    birds, coco = (small_stackgan(form, channels=(32, 16)) for form in ("birds", "coco"))
    weights = [g.stages[1].join[0].weight.detach() for g in (birds, coco)]
    assert weights[0].abs().max() <= 0.04 < weights[1].abs().max()
    assert all(w.std().item() == pytest.approx(std, rel=0.1) for w, std in zip(weights, (0.0176, 0.02), strict=True))
    for generator in (birds, coco):
        linear = generator.stages[0].start[0]
        assert linear.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert linear.bias is None or not linear.bias.any()


# ------------------------------------------------------------------------------------------- gan_int_cls


def test_gan_int_cls_reads_the_noise_before_the_projected_sentence():
    generator = gan_int_cls.Generator(tiny(gan_int_cls.Config))
    seen = []
    generator.start.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    noise, sentence = torch.randn(3, 6), torch.randn(3, 8)
    generator(noise, sentence, torch.randn(3, 4, 8), MASK)
    said = sentence @ generator.project.weight.T + generator.project.bias
    expected = torch.cat([noise, torch.where(said > 0, said, 0.2 * said)], dim=1)
    torch.testing.assert_close(seen[0][:, :, 0, 0], expected)


@pytest.mark.parametrize(("text_dim", "parameters"), [(1024, 18_905_472), (256, 18_807_168)])
def test_gan_int_cls_has_as_many_parameters_as_the_released_one(text_dim, parameters):
    with torch.device("meta"):
        assert count(gan_int_cls.Generator(gan_int_cls.Config(text_dim=text_dim))) == parameters


def test_gan_int_cls_has_the_maps_of_the_released_one():
    with torch.device("meta"):
        generator = gan_int_cls.Generator(gan_int_cls.Config())
    maps = [(m.in_channels, m.out_channels) for m in generator.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert maps == [(228, 1024), (1024, 512), (512, 256), (256, 128), (128, 3)]
    assert [m.block[0].out_channels for m in generator.modules() if isinstance(m, Bottleneck)] == [256, 128]
    assert all(m.bias is None for m in generator.modules() if isinstance(m, torch.nn.ConvTranspose2d | torch.nn.Conv2d))


# ------------------------------------------------------------------------------------------------------- crops


CORNERS = torch.tensor([[0, 0], [7, 22], [24, 13]])
"""Of crops of 8 places in a map of 32: in a corner, inside, at an edge."""


def cut(maps, scale):
    """The crops' places of maps (3, C, H, W), one by one."""
    corners = [(scale * top, scale * left) for top, left in CORNERS.tolist()]
    size = 8 * scale
    return torch.stack(
        [m[:, top : top + size, left : left + size] for m, (top, left) in zip(maps, corners, strict=True)]
    )


def cropping(**options):
    """A generator of three stages that draws as it does after a training, and its inputs."""
    generator = woken(build(**options)).eval()
    return generator, (torch.randn(3, generator.noise_dim), torch.randn(3, 8), torch.randn(3, 4, 8), MASK)


@pytest.mark.parametrize(
    "options",
    [
        {"skip_images": True},
        {"skip_images": False},
        {"residual_blocks": 0},
        {"residual_blocks": 3},
        {"standardize_text": True, "sentence_of": "sentence", "join": "wide"},
        {"sentence_attention": False, "sentence_axis": "spatial"},
        {"word_attention": False, "mask_mode": "legacy"},
    ],
)
def test_a_crop_is_the_same_places_of_the_whole_picture_up_to_its_border(options):
    generator, inputs = cropping(**options)
    *before, whole = generator(*inputs).stages
    *stages, cropped = generator(*inputs, Crop(CORNERS, 8)).stages
    for stage, same in zip(stages, before, strict=True):
        assert torch.equal(stage.image, same.image)
    torch.testing.assert_close(cropped.image, cut(whole.image, 2), rtol=1e-4, atol=1e-5)
    for name in ("word_attention", "sentence_attention"):
        found, wanted = getattr(cropped, name), getattr(whole, name)
        assert (found is None) == (wanted is None)
        if found is not None:
            torch.testing.assert_close(found, cut(wanted, 1), rtol=1e-4, atol=1e-5)
    if whole.sentence_strength is not None:
        torch.testing.assert_close(cropped.sentence_strength, cut(whole.sentence_strength[:, None], 1)[:, 0])


def test_a_crop_of_everything_is_everything():
    generator, inputs = cropping(skip_images=True)
    whole = generator(*inputs).images
    cropped = generator(*inputs, Crop(torch.zeros(3, 2, dtype=torch.long), 32)).images
    for a, b in zip(whole, cropped, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("skip_images", [True, False])
def test_a_crop_s_gradient_is_that_of_the_whole_picture_under_the_crop_s_loss(skip_images):
    generator, inputs = cropping(skip_images=skip_images)
    weights = torch.randn(3, 3, 16, 16)
    gradients = []
    for cropped in (False, True):
        generator.zero_grad()
        image = generator(*inputs, Crop(CORNERS, 8) if cropped else None).images[-1]
        ((image if cropped else cut(image, 2)) * weights).square().sum().backward()
        gradients.append({name: p.grad for name, p in generator.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() and len(gradients[0]) >= 40
    for name, whole in gradients[0].items():
        assert (gradients[1][name] - whole).norm() <= 1e-4 * whole.norm() + 1e-6, name


def test_the_last_stage_works_on_the_crop_and_what_its_border_depends_on_only():
    generator, inputs = cropping(residual_blocks=2)
    seen = []
    for stage in generator.stages:
        stage.refine.register_forward_pre_hook(lambda module, given: seen.append(tuple(given[0].shape[2:])))
    generator(*inputs, Crop(CORNERS, 8))
    assert seen == [(16, 16), (18, 18)]  # 8 places, and 2 x 2 + 1 on either side


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sentence_axis": "spatial"}, "sentence_axis is 'spatial': its softmax runs over all places.*use 'channel'"),
        ({"mask_mode": "legacy"}, "mask_mode is 'legacy': which words a place hears depends on.*use 'fixed'"),
        ({"pictures": "last"}, "there is one picture"),
        ({"channels": (4,)}, "there is one picture"),
    ],
)
def test_a_crop_that_would_be_another_picture_is_refused(options, message):
    generator, inputs = cropping(**options)
    with pytest.raises(ValueError, match=message):
        generator(*inputs, Crop(CORNERS, 8))
