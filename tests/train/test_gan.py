import dataclasses

import pytest
import torch

from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.checkpoint import save_part, save_tensors
from mirrorgan.drawing import CheckpointError
from mirrorgan.generators.mirrorgan import Config as GeneratorConfig
from mirrorgan.generators.mirrorgan import Generator
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.images import from_uint8
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from train import ema
from train.feed import Feed
from train.gan import consistency, draw, generator_terms, train, train_step
from train.pack import load_packed
from train.players import (
    build_networks,
    build_optimizers,
    everything,
    frozen_parts,
    recalibrate,
    restore,
    set_training,
    take_over,
    ways_in,
)
from train.presets import GanConfig
from train.state import load_state, seed_step

KINDS = ["pyramid", "projected"]


@pytest.fixture
def split(packed):
    return load_packed(packed, "train")


@pytest.fixture
def encoders(tiny_backbone, split, tmp_path):
    """The folder that the trainings before this one leave, with random weights."""
    folder = tmp_path / "best"
    words = len(split.vocabulary)
    text = TextEncoderConfig(vocabulary_size=words, embedding_dim=5)
    save_part(TextEncoder(text), text, folder, "text_encoder", split.vocabulary.hash)
    see = ImageEncoderConfig(backbone="tiny", image_size=32)
    save_part(ImageEncoder(see, tiny_backbone), see, folder, "image_encoder", split.vocabulary.hash)
    read = CaptionerConfig(
        vocabulary_size=words, backbone="tiny", image_size=32, embedding_dim=6, hidden_dim=7, longest=6
    )
    save_part(Captioner(read, tiny_backbone), read, folder, "captioner", split.vocabulary.hash)
    save_tensors(tiny_backbone, folder / "backbone.tiny.safetensors")
    return folder


@pytest.fixture
def config(encoders, packed):
    return GanConfig(
        data=packed,
        name="small",
        steps=4,
        batch=4,
        device="cpu",
        encoders=encoders,
        captioner=encoders,
        first_size=16,
        channels=(4, 4),
        residual_blocks=1,
        look_sizes=(64, 64),
        backbone="tiny",
        discriminator_channels=2,
        longest=5,
        damsm=0.5,
        consistency=1.0,
    )


@pytest.fixture(params=KINDS)
def either(request, config):
    """The papers' losses and opponents, or ours."""
    if request.param == "pyramid":
        return config
    return dataclasses.replace(
        config, discriminator="projected", objective="hinge", augment=1.0, look_sizes=(0, 64), standardize_text=True
    )


def begin(config, split):
    nets = build_networks(config, split.vocabulary)
    return nets, build_optimizers(nets, config)


def pictures_for(config, split):
    size = config.sizes[-1]
    return split.pictures(size + size // 8)


def feed_for(config, split, nets=None, **options):
    nets = nets or build_networks(config, split.vocabulary)
    return Feed(split, config, nets.text_encoder, nets.generator.noise_dim, **options)


def step_once(config, split, nets, optimizers, step=0):
    seed_step(config.seed, step)
    set_training(nets.generator, config.first_trained)
    return train_step(feed_for(config, split, nets).read(step), nets, optimizers, config)


def copy_of(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def moved(module, before):
    return {key for key, value in module.state_dict().items() if not torch.equal(value, before[key])}


def parameters_of(module):
    return {name for name, p in module.named_parameters()}


# --------------------------------------------------------------------------------------------------- one batch


def test_a_batch_has_every_stage_s_size_and_range(config, split):
    batch = feed_for(config, split).read(0)
    assert [tuple(images.shape) for images in batch.images] == [(4, 3, 16, 16), (4, 3, 32, 32)]
    assert all(images.abs().max() <= 1 for images in batch.images)
    assert batch.tokens.shape == batch.mask.shape and batch.tokens.shape[1] <= 5
    assert batch.groups.shape == (4,)


def test_pictures_are_cut_out_of_their_own_and_mirrored_or_not(config, split):
    whole = from_uint8(torch.from_numpy(pictures_for(config, split).copy()))
    places, mirrored = set(), set()
    feed = feed_for(config, split)
    for step in range(12):
        for image in feed.read(step).images[-1]:
            found = [
                (y, x, flip)
                for source in whole
                for flip in (False, True)
                for y in range(5)
                for x in range(5)
                if torch.equal((image.flip(2) if flip else image), source[:, y : y + 32, x : x + 32])
            ]
            assert len(found) == 1
            places.add(found[0][:2])
            mirrored.add(found[0][2])
    assert len(places) > 8 and mirrored == {True, False}


def test_captions_and_pictures_belong_together(config, split):
    feed = feed_for(config, split)
    for step in range(3):
        batch = feed.read(step)
        for image, tokens, group in zip(batch.images[-1], batch.tokens, batch.groups, strict=True):
            colour = ["red", "blue", "yellow", "black"][int(group)]
            red, _, blue = image.mean(dim=(1, 2)).tolist()
            assert {"red": red > 0.2 > blue, "blue": blue > 0.2 > red, "yellow": red > 0.2, "black": red < -0.5}[colour]
            words = {split.vocabulary.words[token] for token in tokens.tolist() if token}
            assert not words & ({"red", "blue", "yellow", "black"} - {colour})


def test_a_step_s_batch_is_always_the_same(config, split):
    first, again = feed_for(config, split).read(5), feed_for(config, split).read(5)
    assert_same(first, again)
    assert not torch.equal(first.noise, feed_for(config, split).read(6).noise)


# ---------------------------------------------------------------------------------------------------- one step


def test_a_step_moves_both_players_and_nothing_frozen(either, split):
    nets, optimizers = begin(either, split)
    frozen = [nets.average, nets.text_encoder, nets.captioner, nets.captioner.backbone, nets.image_encoder]
    before = [copy_of(module) for module in frozen]
    generator, opponents = copy_of(nets.generator), copy_of(nets.discriminators)

    terms = step_once(either, split, nets, optimizers)

    for module, state in zip(frozen, before, strict=True):
        assert not moved(module, state), type(module).__name__
        assert all(p.grad is None for p in module.parameters()), type(module).__name__
    assert parameters_of(nets.generator) <= moved(nets.generator, generator)
    learning = {name for name in parameters_of(nets.discriminators) if ".mix." not in name}
    if either.objective == "hinge":  # inside its margin what real and drawn pictures do to a bias cancels
        learning = {name for name in learning if not name.endswith("score.bias")}
    assert learning <= moved(nets.discriminators, opponents)
    assert not {name for name in moved(nets.discriminators, opponents) if ".mix." in name}
    assert set(terms) == {
        "discriminator", "adversarial", "kl", "redescription", "damsm", "consistency", "logit real", "logit drawn",
    }  # fmt: skip
    assert all(term.ndim == 0 and term.isfinite() and not term.requires_grad for term in terms.values())


def test_the_generator_s_gradient_does_not_reach_the_opponents(either, split):
    # Two runs that differ in the generator's losses alone: after one step the opponents are the same.
    states = []
    for weight in (0.0, 50.0):
        config = dataclasses.replace(either, redescription=weight, consistency=weight, damsm=weight)
        nets, optimizers = begin(config, split)
        step_once(config, split, nets, optimizers)
        states.append([p.detach().clone() for p in nets.discriminators.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))


def test_stream_alone_moves_the_generator(config, split):
    # With the captioner frozen there must still be an open way from its loss to the generator's weights.
    config = dataclasses.replace(config, redescription=1.0, consistency=0.0, damsm=0.0, kl=0.0)
    nets = build_networks(config, split.vocabulary)
    batch = feed_for(config, split, nets).read(0)
    drawn = draw(ways_in(nets), batch, config)
    terms = generator_terms(batch, drawn, nets, config, ways_in(nets))
    terms["redescription"].backward()
    last = nets.generator.heads[-1].weight.grad
    assert last is not None and last.abs().sum() > 0
    assert all(p.grad is None for p in nets.captioner.parameters())


@pytest.mark.parametrize(
    ("option", "term"), [("redescription", "redescription"), ("damsm", "damsm"), ("consistency",) * 2]
)
def test_a_loss_of_no_weight_is_left_out(config, split, option, term):
    config = dataclasses.replace(config, **{option: 0.0})
    assert term not in step_once(config, split, *begin(config, split))


def test_stages_without_an_opponent_are_not_judged(config, split):
    config = dataclasses.replace(config, look_sizes=(0, 64))
    nets, optimizers = begin(config, split)
    assert nets.judged == [1] and len(nets.discriminators) == 1
    step_once(config, split, nets, optimizers)


def test_consistency_is_the_mean_difference_to_the_next_stage_made_smaller():
    small, middle, large = (torch.rand(2, 3, size, size, requires_grad=True) for size in (4, 8, 16))
    loss = consistency([small, middle, large])
    expected = 0.0
    for smaller, larger in ((small, middle), (middle, large)):
        size, total = smaller.shape[-1], 0.0
        for b in range(2):
            for c in range(3):
                for y in range(size):
                    for x in range(size):
                        mean = larger[b, c, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean()
                        total += float((smaller[b, c, y, x] - mean).abs().detach())
        expected += total / smaller.numel()
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    loss.backward()
    assert small.grad.abs().sum() > 0 and middle.grad.abs().sum() > 0
    assert large.grad is None  # only the smaller picture learns


# ---------------------------------------------------------------------------------------------------- resuming


def assert_same(first, second, where=""):
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_same(first[key], second[key], f"{where}/{key}")
    elif isinstance(first, list | tuple):
        for number, (a, b) in enumerate(zip(first, second, strict=True)):
            assert_same(a, b, f"{where}/{number}")
    else:
        assert first == second, where


def test_resuming_equals_not_stopping_bit_for_bit(either, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(dataclasses.replace(either, name="at-once", steps=3))
    train(dataclasses.replace(either, name="in-parts", steps=2))
    folder = train(dataclasses.replace(either, name="in-parts", steps=3))
    whole, parts = (load_state(tmp_path / "runs" / name) for name in ("at-once", "in-parts"))
    assert whole["step"] == 3
    assert_same(whole, parts)
    weights = [tmp_path / "runs" / name / "average/generator.safetensors" for name in ("at-once", "in-parts")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert {"generator.json", "generator.safetensors"} <= {path.name for path in (tmp_path / folder).iterdir()}


def test_a_state_put_back_is_the_whole_state(either, split):
    nets, optimizers = begin(either, split)
    for step in range(2):
        step_once(either, split, nets, optimizers, step)
        ema.update(nets.average, nets.generator, step, either.ema)
    state = everything(nets, optimizers, 2)
    other, other_optimizers = begin(dataclasses.replace(either, seed=9), split)
    assert restore(state, other, other_optimizers) == 2
    assert_same(everything(other, other_optimizers, 2), state)


def test_every_step_has_random_numbers_of_its_own(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn = []

    def watched(batch, *others):
        drawn.append((*torch.randn(3).tolist(), *batch.noise[0, :3].tolist(), *batch.changes[0, 0, :3].tolist()))
        return train_step(batch, *others)

    monkeypatch.setattr("train.gan.train_step", watched)
    train(dataclasses.replace(config, steps=3, sheet_every=2))
    assert all(len(set(numbers)) == 3 for numbers in zip(*drawn, strict=True))


def test_a_run_of_other_networks_is_not_gone_on_with(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(dataclasses.replace(config, steps=1))
    with pytest.raises(ValueError, match=r"runs/small holds a run of other networks .*or another --name"):
        train(dataclasses.replace(config, steps=2, channels=(4, 6)))


# ---------------------------------------------------------------------------------------------------- networks


def test_recalibrated_statistics_are_those_of_the_average_s_own_features(config, split):
    nets, optimizers = begin(config, split)
    step_once(config, split, nets, optimizers)
    with torch.no_grad():  # an average that is far from the generator
        for p in nets.average.parameters():
            p.mul_(2)
    ema.update(nets.average, nets.generator, 10**6, 1.0)  # takes the generator's statistics, none of its weights
    start = nets.average.first.start
    seen = []
    hook = start[1].register_forward_pre_hook(lambda module, given: seen.append(given[0].float()))
    recalibrate(nets, split, config, batches=3)
    hook.remove()
    assert len(seen) == 3
    expected = torch.stack([batch.mean(dim=0) for batch in seen]).mean(dim=0)
    torch.testing.assert_close(start[1].running_mean, expected, rtol=1e-3, atol=1e-3)
    spread = torch.stack([batch.var(dim=0) for batch in seen]).mean(dim=0)
    torch.testing.assert_close(start[1].running_var, spread, rtol=2e-2, atol=1e-3)
    assert not nets.average.training and not any(module.training for module in nets.average.modules())
    assert start[1].momentum == nets.generator.first.start[1].momentum


def test_recalibrating_leaves_alone_what_does_not_learn(config, split):
    config = dataclasses.replace(config, first_trained=1)
    nets, optimizers = begin(config, split)
    step_once(config, split, nets, optimizers)
    before = copy_of(nets.average)
    recalibrate(nets, split, config, batches=2)
    assert {name.split(".")[0] for name in moved(nets.average, before)} == {"stages"}


def test_networks_take_the_text_encoder_s_channels(config, split, encoders):
    text = TextEncoderConfig(vocabulary_size=len(split.vocabulary), embedding_dim=5, text_dim=12)
    save_part(TextEncoder(text), text, encoders, "text_encoder", split.vocabulary.hash)
    for kind in KINDS:
        kept = dataclasses.replace(config, discriminator=kind, damsm=0.0)
        nets, optimizers = begin(kept, split)
        assert nets.generator.config.text_dim == 12
        step_once(kept, split, nets, optimizers)


def test_the_same_seed_begins_with_the_same_networks(either, split):
    first, second = build_networks(either, split.vocabulary), build_networks(either, split.vocabulary)
    other = build_networks(dataclasses.replace(either, seed=1), split.vocabulary)
    assert not moved(first.generator, copy_of(second.generator))
    assert moved(first.generator, copy_of(other.generator))
    assert not moved(first.average, copy_of(first.generator))


def test_encoders_of_another_dictionary_are_refused(config, split):
    other = dataclasses.replace(split.vocabulary, words=("<end>", *reversed(split.vocabulary.words[1:])))
    with pytest.raises(CheckpointError, match="made with the dictionary"):
        build_networks(config, other)


def test_a_missing_encoder_is_named(config, split, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"text_encoder\.json"):
        build_networks(dataclasses.replace(config, encoders=tmp_path / "nowhere"), split.vocabulary)


def grown(tmp_path, **options):
    sizes = {"text_dim": 8, "first_size": 16, "residual_blocks": 1, "noise_dim": 6, "condition_dim": 5}
    small = GeneratorConfig(**sizes | {"channels": (4,)} | options)
    generator = Generator(small)
    save_part(generator, small, tmp_path / "run/average", "generator", "hash")
    return generator, Generator(GeneratorConfig(**sizes, channels=(4, 3)))


def test_growing_takes_the_smaller_generator_s_stages_over(tmp_path):
    small, large = grown(tmp_path)
    before = copy_of(large)
    take_over(large, tmp_path / "run")
    for key, value in small.state_dict().items():
        assert torch.equal(large.state_dict()[key], value)
    assert torch.equal(large.state_dict()["heads.1.weight"], before["heads.1.weight"])


def test_growing_from_something_else_is_refused_with_the_tensor_s_name(tmp_path):
    _, large = grown(tmp_path, channels=(5,))
    with pytest.raises(ValueError, match=r"run: first\.\S+ \(.*\) does not fit"):
        take_over(large, tmp_path / "run")
    with pytest.raises(FileNotFoundError, match=r"generator\.safetensors"):
        take_over(large, tmp_path / "nowhere")


def test_stages_before_the_first_trained_one_keep_their_weights(config, split):
    config = dataclasses.replace(config, first_trained=1)
    nets, optimizers = begin(config, split)
    before = copy_of(nets.generator)
    step_once(config, split, nets, optimizers)
    changed = moved(nets.generator, before)  # batch norms' statistics too
    assert {name.split(".")[0] for name in changed} == {"stages", "heads"}
    assert "heads.0.weight" not in changed and "heads.1.weight" in changed


def test_every_stage_belongs_to_one_side_of_the_first_trained_one():
    generator = Generator(GeneratorConfig(text_dim=8, first_size=8, channels=(2, 2, 2), residual_blocks=1))
    frozen = {id(p) for module in frozen_parts(generator, 2) for p in module.parameters()}
    learning = {".".join(name.split(".")[:2]) for name, p in generator.named_parameters() if id(p) not in frozen}
    assert learning == {"stages.1", "heads.2"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "wish"}, "objective must be one of cross_entropy, hinge, not 'wish'"),
        ({"discriminator": "judge"}, "discriminator must be one of projected, pyramid, not 'judge'"),
        ({"look_sizes": (64,)}, "look_sizes must name one size a stage: 3"),
        ({"look_sizes": (64, 64, 0)}, "the last stage needs a discriminator"),
        ({"redescription_share": 0.0}, r"redescription_share must be in \(0, 1\], not 0"),
        ({"consistency": 1.0, "channels": (4,), "look_sizes": (64,)}, "there is only one stage"),
        ({"first_trained": 3}, "first_trained must name one of 3 stages, not 3"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"batch": 1}, "batch must be at least 2"),
    ],
)
def test_options_that_cannot_be_are_refused_in_words(options, message):
    with pytest.raises(ValueError, match=message):
        GanConfig(**options)
