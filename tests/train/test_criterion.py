"""What the criterion promises: named losses, each with its weight, whose parts add up to those of the batch."""

import dataclasses
from typing import get_args, get_type_hints

import pytest
import torch

from tests.train.systems import SYSTEMS
from tests.train.test_gan import FRECHET, begin, feed_for, step_once
from train.adversarial.config import LOSS_WEIGHT, GanConfig, LossesConfig
from train.adversarial.criterion import Criterion
from train.adversarial.forwards import Forwards
from train.adversarial.generator_losses import GeneratorLoss, generator_losses
from train.adversarial.networks import set_trainable
from train.adversarial.objectives import OBJECTIVES
from train.adversarial.step import Gradients
from train.runtime.distributed import SINGLE_PROCESS
from train.runtime.options import as_json, with_options

WEIGHTS = [f"losses.{field.name}" for field in dataclasses.fields(LossesConfig) if LOSS_WEIGHT in field.metadata]
WEIGHTS.append("generator.kl_weight")
NAMES = {
    "generator.kl_weight": "kl",
    "losses.redescription": "redescription",
    "losses.word_maps": "word maps",
    "losses.damsm": "damsm",
    "losses.frechet": "frechet",
    "losses.interpolation": "interpolated",
    "losses.gradient_penalty": "gradient penalty",
}


@pytest.fixture
def everything(config, encoders):
    """All losses at once."""
    return with_options(
        config,
        {
            "captioner": encoders / "regions",
            "losses.word_maps": 2.0,
            "losses.interpolation": 0.5,
            "losses.gradient_penalty": 0.25,
            "generator.kl_weight": 1.0,
            "losses.redescription_share": 0.5,
            "precision": "float32",
            **FRECHET,
        },
    )


def losses_of(config, split, nets):
    batch = feed_for(config, split, nets).read(0)
    nets.generator.eval(), nets.discriminators.eval()
    criterion = Criterion(nets, config)
    output = criterion.sample(batch)
    both = criterion.generator(batch, output), criterion.discriminator(batch, output)
    for moments in nets.moments:
        moments.discard()
    return both


@pytest.mark.parametrize("option", WEIGHTS)
def test_a_loss_is_proportional_to_its_weight_and_the_others_do_not_depend_on_it(everything, split, option):
    doubled = with_options(everything, {option: 2 * as_json(everything)[option]})
    nets, _ = begin(everything, split)
    if option == "generator.kl_weight":
        nets.generator.config = doubled.generator_config(nets.generator.config.text_dim)
    after = losses_of(doubled, split, nets)
    if option == "generator.kl_weight":
        nets.generator.config = everything.generator_config(nets.generator.config.text_dim)
    before = losses_of(everything, split, nets)
    found = [losses.named for losses in before], [losses.named for losses in after]
    for mine, theirs in zip(*found, strict=True):
        for name, value in mine.items():
            if option == "losses.gradient_penalty" and name == "discriminator":  # the sum holds it
                expected = value + mine["gradient penalty"]
            else:
                expected = value * (2 if name == NAMES[option] else 1)
            torch.testing.assert_close(theirs[name], expected)
    assert any(NAMES[option] in named for named in found[0])


def test_totals_are_the_sums_of_what_is_named(everything, split):
    nets, _ = begin(everything, split)
    generator, discriminator = losses_of(everything, split, nets)
    torch.testing.assert_close(generator.total, torch.stack(list(generator.named.values())).sum())
    assert discriminator.total is discriminator.named["discriminator"]
    assert discriminator.named["logit real"] != discriminator.named["logit drawn"]


@pytest.mark.parametrize("option", WEIGHTS)
def test_a_weight_below_zero_or_no_number_is_refused(option):
    for value in (-1.0, float("nan"), float("inf")):
        with pytest.raises(
            ValueError, match=rf"{option.rpartition('.')[2]}(: expected .*| must be 0 or more), not {value}"
        ):
            with_options(GanConfig(), {option: value})


def test_every_loss_is_listed_under_a_name_of_its_own(everything, split):
    nets, _ = begin(everything, split)
    listed = generator_losses(everything, Forwards(nets, everything))
    assert {type(loss) for loss in listed} == set(GeneratorLoss.__subclasses__())
    assert len({loss.name for loss in listed}) == len(listed)
    assert not {loss.name for loss in listed} & {"discriminator", "gradient penalty", "encoders", "kl"}


def test_a_loss_without_a_weight_is_not_computed(config, split):
    config = with_options(config, {"losses.redescription": 0.0, "losses.damsm": 0.0})
    nets, _ = begin(config, split)
    assert [loss.name for loss in generator_losses(config, Forwards(nets, config))] == ["adversarial"]
    assert nets.captioner is None and nets.image_encoder is None


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("options", [{}, {"losses.wrong_pairs": "pictures", "losses.fresh_noise": True}])
def test_the_means_of_the_parts_are_the_batch_s(everything, split, options, count):
    config = with_options(everything, {"batch": 8, "losses.damsm": 0.0, "pictures.augment": 1.0, **options})
    nets, _ = begin(config, split)
    nets.generator.eval(), nets.discriminators.eval()
    batch = feed_for(config, split, nets).read(0)
    found = []
    for parts in (1, count):
        criterion = Criterion(nets, dataclasses.replace(config, accumulate=parts))
        gradients = Gradients(criterion)
        for part in gradients.parts(batch):
            gradients.add(criterion.discriminator(part, criterion.sample(part)))
            part = part.with_fresh_noise()
            gradients.add(criterion.generator(part, criterion.draw(part)))
        found.append(gradients.means)
        for moments in nets.moments:
            moments.discard()
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_pictures_of_other_classes_are_judged_beside_the_sentences_of_the_batch(config, split):
    config = with_options(config, {"losses.wrong_pairs": "pictures", "precision": "float32"})
    nets, _ = begin(config, split)
    nets.discriminators.eval()
    batch, criterion = feed_for(config, split, nets).read(0), Criterion(nets, config)
    output = criterion.sample(batch)
    expected = 0.0
    for judge, real, other, drawn in zip(nets.discriminators, batch.images, batch.others, output.images, strict=True):
        judgements = [judge(pictures, batch.sentence) for pictures in (real, drawn, other)]
        expected = expected + config.objective.discriminator(*judgements)
    torch.testing.assert_close(criterion.discriminator(batch, output).total, expected)


def test_what_a_generator_of_fresh_noise_does_not_learn_from_is_not_drawn(config, split):
    for fresh in (False, True):
        changed = with_options(config, {"losses.interpolation": 1.0, "losses.fresh_noise": fresh})
        nets, _ = begin(changed, split)
        batch, criterion = feed_for(changed, split, nets).read(0), Criterion(nets, changed)
        assert len(criterion.sample(batch).images[0]) == (4 if fresh else 6)
        assert len(criterion.draw(batch.with_fresh_noise()).images[0]) == 6
        assert torch.equal(batch.with_fresh_noise().noise, batch.fresh if fresh else batch.noise)


def test_a_step_leaves_frozen_what_is_frozen_between_steps(config, split):
    config = with_options(config, SYSTEMS["ssagan"])
    nets, optimizers = begin(config, split)
    step_once(config, split, nets, optimizers)
    assert not any(p.requires_grad for p in nets.image_encoder.parameters())
    assert all(p.requires_grad for p in nets.text_encoder.parameters())


def test_joining_processes_finds_the_discriminators_learning_whatever_was_before(config, split):
    nets, optimizers = begin(config, split)
    step_once(config, split, nets, optimizers)  # as a compiler is tried
    forwards = Forwards(nets, config)
    forwards.wrap_ddp(SINGLE_PROCESS)
    assert all(p.requires_grad for p in nets.discriminators.parameters())


def test_fixed_parts_of_a_discriminator_stay_fixed(config, split):
    config = with_options(
        config,
        {
            "discriminator": "projected",
            "discriminator.backbone": "tiny",
            "losses.objective": "hinge",
            "losses.damsm": 0.0,
        },
    )
    nets, _ = begin(config, split)
    fixed = {id(p) for d in nets.discriminators for part in d.fixed() for p in part.parameters()}
    for trainable in (False, True):
        set_trainable(nets.discriminators, trainable)
        for p in nets.discriminators.parameters():
            assert p.requires_grad == (trainable and id(p) not in fixed)
    assert fixed


def test_every_objective_can_be_chosen_by_its_name():
    assert set(get_args(get_type_hints(LossesConfig)["objective"])) == set(OBJECTIVES)
