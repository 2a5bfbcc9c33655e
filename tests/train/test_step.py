"""A step is Algorithm 1, written out: one network after the other, one loss after the other."""

import copy

import pytest
import torch

from train.adversarial.criterion import Criterion
from train.adversarial.generator_losses import DrawnBatch
from train.adversarial.optimizers import build_optimizers
from train.adversarial.step import train_step
from train.benchmarks.step import random_batch, random_networks
from train.data.augmentation import augment
from train.runtime.options import with_options


@pytest.fixture
def config(tiny_config):
    return with_options(tiny_config, {"batch": 3, "generator.kl_weight": 1.0, "pictures.augment": 1.0})


def plain_step(config, nets, batch):
    """Every network by itself, every loss differentiated on its own; gradients are left with the weights."""
    goal, generator = config.objective, nets.generator

    def changed(images, use):
        return augment(images, batch.changes[use], config.pictures.augment)

    def draw(noise):
        crop = () if batch.crop is None else (batch.crop,)
        return generator(noise, batch.sentence, batch.words, batch.mask, *crop)

    discriminators = list(zip(nets.discriminators, nets.judged_stages, strict=True))
    condition, wrong = (
        generator.discriminator_condition(sentence).detach() for sentence in (batch.sentence, batch.wrong)
    )
    drawn = draw(batch.noise)
    for discriminator, stage in discriminators:
        learning = [p for p in discriminator.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(
            learning, config.optimizer.discriminator_lr, (config.optimizer.beta1, config.optimizer.beta2)
        )
        seen = discriminator.look(changed(batch.images[stage], 3 * stage))
        if config.losses.wrong_pairs == "pictures":
            others = augment(batch.others[stage], batch.other_changes[stage], config.pictures.augment)
            mismatched = discriminator(others, condition)
        elif config.losses.wrong_pairs == "neighbours":
            mismatched = discriminator.judge([maps[:-1] for maps in seen], condition[1:])
        else:
            mismatched = discriminator.judge(seen, wrong)
        matched = discriminator.judge(seen, condition)
        forged = discriminator(changed(drawn.images[stage].detach(), 3 * stage + 1), condition)
        goal.discriminator(matched, forged, mismatched).backward()
        optimizer.step()
    found = {name: p.grad.clone() for name, p in nets.discriminators.named_parameters() if p.grad is not None}
    if batch.fresh is not None:
        drawn = draw(batch.fresh)
    for penalty in drawn.penalties.values():
        penalty.backward(retain_graph=True)
    for discriminator, stage in discriminators:
        judgement = discriminator(
            changed(drawn.images[stage], 3 * stage + 2), generator.discriminator_condition(batch.sentence)
        )
        goal.generator(judgement).backward(retain_graph=True)
    whole = drawn.stages[: config.whole_stages]
    for loss in Criterion(nets, config).generator_losses:
        if loss.name == "frechet":
            (loss.weight * loss(batch, DrawnBatch([], whole[-1].image, []))).backward(retain_graph=True)
    return found | {f"generator.{name}": p.grad for name, p in generator.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"generator.channels": (2, 2, 2), "disc_input_sizes": (0, 64, 64), "pictures.crop_size": 16},
        {"losses.wrong_pairs": "pictures", "losses.fresh_noise": True},
        {"losses.wrong_pairs": "neighbours"},
    ],
)
def test_a_step_has_the_gradients_of_the_algorithm_written_out(config, options):
    config = with_options(config, options)
    nets = random_networks(config)
    nets.discriminators.eval()  # spectral norms are refined at every pass, and the two make not as many
    batch = random_batch(config, nets)
    plain = copy.deepcopy(nets)
    train_step(batch, Criterion(nets, config), build_optimizers(nets, config))
    expected = plain_step(config, plain, batch)
    found = {name: p.grad for name, p in nets.discriminators.named_parameters() if p.grad is not None}
    found |= {f"generator.{name}": p.grad for name, p in nets.generator.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys() and len(found) > 20
    for name, gradient in expected.items():
        near = 1e-3 * gradient.abs().max()
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=float(near) + 1e-7, msg=name)
