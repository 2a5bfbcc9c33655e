"""The training of the inverter: its losses as they are written down, and stop and go on."""

import dataclasses

import pytest
import torch

from mirrorgan import losses
from mirrorgan.checkpoint import load_part
from mirrorgan.images import from_uint8
from mirrorgan.inverter import Inverter, InverterConfig
from tests.train.test_gan import assert_same
from train.data.packed import load_packed
from train.data.sampling import cut_pictures
from train.encoders.inverter import PRESETS, InverterTraining, build, explained, train, train_step
from train.encoders.pretraining import PretrainData
from train.runtime.state import batch_rows, load_state, seed_step


@pytest.fixture
def split(packed):
    return load_packed(packed, "train")


@pytest.fixture
def config(tiny_backbone, packed, monkeypatch):
    monkeypatch.setattr("train.encoders.inverter.load_trunk", lambda name, weights: tiny_backbone)
    return InverterTraining(
        name="small", data=packed, steps=4, batch=4, device="cpu", backbone="tiny", image_size=32, look_size=32,
        margin=4, held_out=0, validate_every=2, channels=2, discriminator_channels=2, report_every=1,
        precision="float32",
    )  # fmt: skip


@pytest.fixture
def ready(config, split, tiny_backbone):
    data = PretrainData(split, tiny_backbone, [], torch.arange(len(split)), torch.arange(2))
    whole = split.pictures(config.image_size + config.margin)
    players = build(config, data, whole)
    return players, data, whole, torch.optim.Adam(players.together.parameters(), 1e-3)


def test_a_step_has_the_losses_that_are_written_down_and_moves_both_networks(config, split, ready):
    players, data, whole, optimizer = ready
    before = [p.detach().clone() for p in players.together.parameters()]
    generator = seed_step(config.seed, 0)
    rows = batch_rows(len(split), 4, config.seed, 0)
    corners = torch.randint(0, 5, (4, 2), generator=generator)
    flipped = torch.rand(4, generator=generator) < 0.5
    x = from_uint8(cut_pictures(whole, rows, corners, flipped, 32))
    inverter, judge = players.inverter, players.discriminator
    with torch.no_grad():
        h = inverter.encode(x)
        y = inverter(h)
        told = (h - inverter.mean) / inverter.deviation
        seen = judge.look(x)
        real, wrong, fake = judge.judge(seen, told), judge.judge(seen, told[[3, 0, 1, 2]]), judge(y, told)
        expected = {
            "discriminator": losses.cross_entropy_discriminator(real, fake, wrong),
            "adversarial": 0.1 * losses.cross_entropy_generator(judge(y, told)),
            "pixels": (y - x).abs().sum() / x.numel(),
            "features": ((inverter.encode(y) - h) ** 2).sum() / h.numel() / inverter.deviation**2,
        }
    found = train_step(players, optimizer, config, data, whole, 0)
    assert found.keys() == expected.keys()
    for name in found:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-5)
    assert all(not torch.equal(a, b) for a, b in zip(before, players.together.parameters(), strict=True))
    assert not any(p.requires_grad or p.grad is not None for p in inverter.backbone.parameters())


def test_what_the_inverter_learns_from_does_not_reach_the_discriminator(config, ready):
    players, data, whole, optimizer = ready
    gradients = []
    for weight in (1.0, 100.0):
        torch.manual_seed(0)
        changed = dataclasses.replace(config, pixel_weight=weight, adversarial_weight=weight)
        state = {name: value.clone() for name, value in players.together.state_dict().items()}
        train_step(players, optimizer, changed, data, whole, 0)
        gradients.append([p.grad.clone() for p in players.discriminator.parameters()])
        players.together.load_state_dict(state)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_without_a_discriminator_s_weight_there_is_none_of_its_losses(config, ready):
    players, data, whole, optimizer = ready
    found = train_step(players, optimizer, dataclasses.replace(config, adversarial_weight=0.0), data, whole, 0)
    assert found.keys() == {"pixels", "features"}


def test_it_knows_mean_and_deviation_of_the_features_before_it_learns(config, ready):
    players, _, whole, _ = ready
    pixels = torch.from_numpy(whole[:, 2:34, 2:34].copy())
    features = players.inverter.encode(from_uint8(pixels))
    torch.testing.assert_close(players.inverter.mean, features.mean(dim=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(players.inverter.deviation, features.std(dim=0).mean())


def test_variance_is_explained_wholly_by_an_inverse_and_not_by_a_grey_picture(config, ready, monkeypatch):
    players, data, whole, _ = ready
    rows = data.train_rows[:6]
    grey = explained(players.inverter, rows, whole, config)
    assert grey < 0.5
    monkeypatch.setattr(Inverter, "forward", lambda self, features: features)
    monkeypatch.setattr(Inverter, "encode", lambda self, x: x if x.ndim == 2 else x.flatten(1)[:, :8])
    assert explained(players.inverter, rows, whole, config) == pytest.approx(1.0)


def test_stopping_and_going_on_equals_not_stopping_bit_for_bit(config, tiny_backbone, split, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(dataclasses.replace(config, name="at-once"))
    train(dataclasses.replace(config, name="in-parts", steps=2))
    folder = train(dataclasses.replace(config, name="in-parts"))
    whole, parts = (load_state(tmp_path / "runs" / name) for name in ("at-once", "in-parts"))
    assert_same(whole["network"], parts["network"])
    assert_same(whole["optimizer"], parts["optimizer"])
    again = load_part(folder, "inverter", InverterConfig, lambda c: Inverter(c, tiny_backbone), split.vocabulary.hash)
    assert again.config == config.shape(tiny_backbone.pooled_dim)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pixel_weight": -1.0}, "pixel_weight must be 0 or more, not -1.0"),
        ({"margin": -1}, "margin must be 0 pixels or more"),
        ({"batch": 1}, "a wrong pair needs a second picture; not 1"),
        ({"image_size": 48}, "power of two"),
    ],
)
def test_trainings_that_cannot_be_are_refused_in_words(options, message):
    with pytest.raises(ValueError, match=message):
        InverterTraining(**options)


def test_presets_bear_names_of_their_own():
    assert {name: preset.name for name, preset in PRESETS.items()} == {
        "birds": "birds-inverter", "shapes": "shapes-inverter",
    }  # fmt: skip
