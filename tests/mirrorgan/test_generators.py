"""The contract that every generator keeps. A new file in mirrorgan/generators/ is tested by being there."""

import dataclasses
from itertools import pairwise

import pytest
import torch

from mirrorgan.checkpoint import load_part, save_part
from mirrorgan.generators import available_generators, find_generator
from mirrorgan.generators.base import BaseGenerator
from mirrorgan.generators.mirrorgan import Config, Generator
from mirrorgan.losses import kl_divergence

MASK = torch.tensor([[True, True, True, True], [True, True, False, False], [True, False, False, False]])
TINY = {"first_size": 16, "channels": (4, 4, 4), "residual_blocks": 1, "condition_dim": 5, "noise_dim": 6}


@pytest.fixture(params=available_generators())
def name(request):
    return request.param


@pytest.fixture
def config(name):
    """The generator's own configuration, as small as its fields allow."""
    kind = find_generator(name).Config
    known = {field.name for field in dataclasses.fields(kind)}
    return kind(text_dim=8, **{key: value for key, value in TINY.items() if key in known})


@pytest.fixture
def generator(name, config):
    return find_generator(name).Generator(config)


@pytest.fixture
def inputs(generator):
    return torch.randn(3, generator.noise_dim), torch.randn(3, 8), torch.randn(3, 4, 8), MASK


def test_images_double_in_size_and_stay_in_range(generator, inputs):
    images = generator(*inputs).images
    assert tuple(image.shape[-1] for image in images) == tuple(image.shape[-2] for image in images) == generator.sizes
    assert all(large == 2 * small for small, large in pairwise(generator.sizes))
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
    generator(noise, sentence, words, mask).images[-1].square().mean().backward()
    assert sentence.grad.abs().sum() > 0
    assert words.grad[MASK].abs().sum() > 0 and (words.grad[~MASK] == 0).all()


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
        for found, wanted in zip(stage, same, strict=True):
            assert (found is None) == (wanted is None)
            assert found is None or torch.equal(found, wanted)


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


def test_every_generator_keeps_the_base(generator):
    assert isinstance(generator, BaseGenerator)


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
def test_without_sentence_attention_it_is_the_size_of_attngan_s(channels, blocks, parameters):
    # Features and what the words say are 2C together, so nothing needs to be reduced.
    with torch.device("meta"):
        config = Config(channels=(channels,) * 3, residual_blocks=blocks, sentence_attention=False)
        assert count(Generator(config)) == parameters


@pytest.mark.parametrize(
    "options",
    [
        {"join": "reduce"},
        {"join": "wide"},
        {"sentence_axis": "spatial"},
        {"sentence_preconv": False},
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
    for stage in output.stages[1:]:
        assert (stage.word_attention is None) == (options.get("word_attention") is False)
        assert (stage.sentence_attention is None) == (options.get("sentence_attention") is False)
        assert (stage.sentence_strength is None) == (stage.sentence_attention is None)
    assert output.stages[0].word_attention is None and output.stages[0].sentence_attention is None


@pytest.mark.parametrize(("first", "sizes"), [(16, (16, 32, 64)), (32, (32, 64, 128)), (64, (64, 128, 256))])
def test_the_first_size_decides_the_others(first, sizes):
    generator = build(first_size=first, channels=(2, 2, 2))
    assert generator.sizes == sizes
    with torch.no_grad():
        assert tuple(image.shape[-1] for image in forward(generator).images) == sizes


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
    ],
)
def test_options_that_cannot_be_are_refused_in_words(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
