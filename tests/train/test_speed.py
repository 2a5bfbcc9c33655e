import dataclasses

import pytest
import torch

from train.presets import PRESETS, GanConfig
from train.speed import our_loop, plain_loop, random_batch, random_networks, standing_alone


@pytest.fixture(params=["pyramid", "projected"])
def config(request, tiny_backbone):
    return GanConfig(
        device="cpu", batch=2, first_size=16, channels=(2, 2), residual_blocks=1, look_sizes=(64, 64), backbone="tiny",
        discriminator=request.param, discriminator_channels=2, redescription=0.0, consistency=1.0, longest=9,
        precision="float32", frechet=float(request.param == "projected"), frechet_trunks=("tiny",), frechet_size=32,
    )  # fmt: skip


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_timed_without_what_it_grows_from(name):
    config = standing_alone(PRESETS[name], "cpu", 4)
    assert config.batch == 4 and config.grow_from is None
    assert standing_alone(PRESETS[name], "cpu").batch == PRESETS[name].batch


def test_both_loops_take_a_step(config):
    for step in (our_loop(config, compiled=False), plain_loop(config, 2), plain_loop(config, 1)):
        step()
        step()


def test_both_loops_have_the_same_networks_and_batches(config):
    ours, plain = (random_networks(config, ours=flag) for flag in (True, False))
    for name, weight in plain.generator.state_dict().items():
        assert torch.equal(weight, ours.generator.state_dict()[name])
    mine, theirs = random_batch(config, ours, True), random_batch(config, plain, False)
    assert torch.equal(mine.images[-1], theirs.images[-1]) and torch.equal(mine.tokens, theirs.tokens)
    assert mine.mask.sum(dim=1).min() >= 8


def test_both_loops_learn_the_same(config, monkeypatch):
    # From one start, one step of each: the same gradients, but for spectral norms, which the plain loop refines more.
    config = dataclasses.replace(config, kl=1.0)
    seen = []
    step_of = torch.optim.Adam.step

    def watched(self, *given):
        seen[-1] += [p.grad.norm() for group in self.param_groups for p in group["params"] if p.grad is not None]
        return step_of(self, *given)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    for loop in (our_loop(config, compiled=False), plain_loop(config, 1)):
        seen.append([])
        loop()
    assert len(seen[0]) == len(seen[1]) > 20
    torch.testing.assert_close(
        torch.stack(seen[0]), torch.stack(seen[1]), rtol=1e-2 if config.discriminator == "pyramid" else 0.1, atol=1e-4
    )
