import dataclasses
import sys

import pytest
import torch

from train.adversarial.config import GanConfig
from train.adversarial.presets import PRESETS
from train.benchmarks.step import main, our_loop, plain_loop, random_batch, random_networks, standing_alone


@pytest.fixture(params=["pyramid", "projected"])
def config(request, tiny_backbone):
    return GanConfig(
        device="cpu", batch=2, first_size=16, channels=(2, 2), residual_blocks=1, look_sizes=(64, 64), backbone="tiny",
        discriminator=request.param, discriminator_channels=2, redescription=0.0, longest=9,
        precision="float32", frechet=float(request.param == "projected"), frechet_trunks=("tiny",), frechet_size=32,
    )  # fmt: skip


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_timed_without_what_it_grows_from(name):
    config = standing_alone(PRESETS[name], "cpu", 4)
    assert config.batch == 4 and config.grow_from is None
    assert standing_alone(PRESETS[name], "cpu").batch == PRESETS[name].batch


@pytest.mark.parametrize("options", [{}, {"channels": (2, 2, 2), "look_sizes": (0, 64, 64), "crop_size": 16}])
def test_both_loops_take_a_step(config, options):
    config = dataclasses.replace(config, **options)
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


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"channels": (2, 2, 2), "look_sizes": (0, 64, 64), "crop_size": 16},
        {"wrong_pairs": "pictures", "fresh_noise": True},
        {"wrong_pairs": "neighbours", "batch": 3},
    ],
)
def test_both_loops_learn_the_same(config, monkeypatch, options):
    # From one start, one step of each: the same gradients, but for spectral norms, which the plain loop refines more.
    config = dataclasses.replace(config, kl=1.0, **options)
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


def run(monkeypatch, config, *words):
    monkeypatch.setitem(PRESETS, "tiny", config)
    monkeypatch.setattr(sys, "argv", ["speed", "tiny", "--rounds", "1", "--device", "cpu", *words])
    main()


def test_an_option_is_measured_against_another_value(config, monkeypatch, capsys):
    config = dataclasses.replace(config, channels=(2, 2, 2), look_sizes=(0, 64, 64), crop_size=16)
    run(monkeypatch, config, "--against", "crop_size=0", "look_sizes=0,0,64")
    title, against, ours = capsys.readouterr().out.splitlines()
    assert title.startswith("tiny: 16-32-64 pixels, the last one in crops of 16, batch 2")
    assert against.split()[:2] == ["crop_size=0", "look_sizes=0,0,64"] and "x as fast" in against
    assert ours.split()[0] == "ours" and "pictures a second" in ours


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--against", "crop=0"], "there is no option crop; did you mean crop_size?"),
        (["--against", "crop_size=7"], "crop_size must be 0, or an even number"),
        (["--against", "batch=4"], "--against compares loops of one batch and device"),
        (["--against", "augment=0", "--shared-look"], "--shared-look is of the plain loop"),
    ],
)
def test_comparisons_that_cannot_be_are_refused(config, monkeypatch, words, message):
    with pytest.raises(SystemExit, match=message.replace("?", "[?]")):
        run(monkeypatch, config, *words)
