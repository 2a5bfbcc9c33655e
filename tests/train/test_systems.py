"""What the trainer promises for every system: one step, stop and go on, parts, precision, and what each adds to it."""

import copy
import dataclasses
import json
from typing import get_args

import pytest
import torch
from torch import nn

from mirrorgan.checkpoint import load_part
from mirrorgan.generators import available_generators, find_generator
from mirrorgan.layers import SpectralNorm
from mirrorgan.losses import Judgement, squared_grad_norm
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from tests.train.systems import SYSTEMS
from tests.train.test_gan import assert_same, begin, copy_of, feed_for, moved, step_once
from train.adversarial.config import WrongPairs
from train.adversarial.criterion import Criterion
from train.adversarial.forwards import DiscriminatorPass, GradientPenalty
from train.adversarial.networks import (
    build_discriminator,
    build_networks,
    set_trainable,
    set_training,
    text_parameters,
)
from train.adversarial.objectives import OBJECTIVES
from train.adversarial.optimizers import set_rates
from train.adversarial.step import train_step
from train.adversarial.training import train
from train.encoders.trunks import find_trunk
from train.runtime.options import with_options
from train.runtime.state import load_state


@pytest.fixture(params=SYSTEMS)
def system(request, config):
    return with_options(config, SYSTEMS[request.param])


def small(config, name, options=None, **run):
    return with_options(config, SYSTEMS[name] | run | (options or {}))


def test_every_system_and_every_objective_is_here(config):
    mine = [small(config, name) for name in SYSTEMS]
    assert {c.generator.plugin for c in mine} | {"mirrorgan"} == set(available_generators())
    assert {c.losses.objective for c in mine} | {"hinge"} == set(OBJECTIVES)


def test_a_step_moves_both_players_and_nothing_frozen(system, split):
    nets, optimizers = begin(system, split)
    learnt = [nets.text_encoder, nets.image_encoder] if text_parameters(nets) else []
    frozen = [m for m in (nets.average, nets.text_encoder, nets.image_encoder, nets.captioner) if m not in learnt]
    before = [copy_of(module) for module in frozen if module is not None]
    moving = [copy_of(module) for module in (nets.generator, nets.discriminators, *learnt)]
    fixed = [copy_of(part) for d in nets.discriminators for part in d.fixed()]
    for step in range(2):
        terms = step_once(system, split, nets, optimizers, step)
        assert all(term.ndim == 0 and term.isfinite() and not term.requires_grad for term in terms.values())
    for module, state in zip([m for m in frozen if m is not None], before, strict=True):
        assert not moved(module, state), type(module).__name__
    for module, state in zip((nets.generator, nets.discriminators, *learnt), moving, strict=True):
        assert moved(module, state), type(module).__name__
    for part, state in zip((part for d in nets.discriminators for part in d.fixed()), fixed, strict=True):
        assert not moved(part, state)
    assert ("gradient penalty" in terms) == bool(system.objective.gradient_penalty)
    assert ("interpolated" in terms) == bool(system.objective.interpolation)
    assert ("encoders" in terms) == bool(learnt)


def test_resuming_equals_not_stopping_bit_for_bit(system, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(dataclasses.replace(system, name="at-once", steps=3))
    train(dataclasses.replace(system, name="in-parts", steps=2))
    folder = train(dataclasses.replace(system, name="in-parts", steps=3))
    whole, parts = (load_state(tmp_path / "runs" / name) for name in ("at-once", "in-parts"))
    assert_same(whole, parts)
    about = json.loads((folder / "generator.json").read_text(encoding="utf-8"))
    assert about["generator"] == system.generator.plugin
    assert (folder / "text_encoder.json").exists() == (system.text.training != "frozen")
    module = find_generator(about["generator"])
    again = load_part(folder, "generator", module.Config, module.Generator, about["vocabulary"])
    assert again.sizes == system.sizes


def test_a_batch_in_parts_is_the_batch_at_once_where_no_norm_looks(system, split):
    config = with_options(
        system,
        {
            "batch": 8,
            "losses.damsm": 0.0,
            "text.training": "frozen",
            "precision": "float32",
            "pictures.augment": 1.0,
            "optimizer.lr_halve_every": 0,
        },
    )
    states, reported = [], []
    for count in (1, 2):
        nets, optimizers = begin(config, split)
        with torch.no_grad():
            for p in [*nets.generator.parameters(), *nets.discriminators.parameters()]:
                if not p.any():
                    p.fill_(0.3)  # gates that start shut
        batch = feed_for(config, split, nets).read(0)
        for module in (nets.generator, nets.discriminators):
            for child in module.modules():
                child.train(not isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d | SpectralNorm))
        terms = train_step(batch, Criterion(nets, dataclasses.replace(config, accumulate=count)), optimizers)
        reported.append(torch.stack(list(terms.values())))
        states.append([s["exp_avg_sq"].sqrt() for o in optimizers for s in o.state_dict()["state"].values()])
    torch.testing.assert_close(reported[0], reported[1], rtol=1e-3, atol=1e-5)
    for whole, added in zip(*states, strict=True):
        assert (whole - added).norm() < 1e-3 * whole.norm() + 1e-7


def test_bfloat16_is_used_and_what_counts_stays_float32(system, split):
    config = dataclasses.replace(system, precision="bfloat16")
    nets, optimizers = begin(config, split)
    seen = []
    for module in (nets.generator, nets.discriminators):
        convolutions = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
        convolutions[0].register_forward_hook(lambda module, given, out: seen.append(out.dtype))
    terms = step_once(config, split, nets, optimizers)
    assert torch.bfloat16 in seen
    assert all(term.isfinite() for term in terms.values())
    assert all(p.dtype == torch.float32 for p in [*nets.generator.parameters(), *nets.discriminators.parameters()])


# ---------------------------------------------------------------------------------------- gradient penalty


def norms_by_hand(discriminator, images, condition):
    """Row by row, with a graph of its own."""
    total = []
    for row in range(len(images)):
        x, s = (rows[row : row + 1].clone().requires_grad_() for rows in (images, condition))
        logit = discriminator(x, s).conditional.mean()
        total.append(sum(float(g.square().sum()) for g in torch.autograd.grad(logit, (x, s))))
    return torch.tensor(total)


@pytest.mark.parametrize("name", ["ssagan", "dfgan"])
def test_the_penalty_is_the_sixth_power_of_the_gradient_norm_at_real_pictures_and_their_sentences(config, split, name):
    config = small(config, name, precision="float32")
    nets, _ = begin(config, split)
    with torch.no_grad():
        for p in nets.discriminators.parameters():
            p.mul_(3) if p.any() else p.fill_(1.0)
    batch = feed_for(config, split, nets).read(0)
    expected = norms_by_hand(nets.discriminators[0], batch.images[0], batch.sentence)
    torch.testing.assert_close(
        GradientPenalty(nets.discriminators[0])(batch.images[0], batch.sentence).detach(), expected
    )
    whole = DiscriminatorPass(nets.discriminators[0], penalized=True)
    *_, norms = whole(batch.images[0], -batch.images[0], batch.sentence, batch.wrong)
    torch.testing.assert_close(norms.detach(), expected)
    if config.losses.separate_penalty_step:
        found = Criterion(nets, config).penalty(batch).named["gradient penalty"]
        torch.testing.assert_close(found.detach(), 2 * (expected**3).mean())


def test_a_discriminator_pass_judges_the_same_with_a_penalty_and_without(config, split):
    config = small(config, "dfgan")
    nets, _ = begin(config, split)
    batch = feed_for(config, split, nets).read(0)
    given = batch.images[0], -batch.images[0], batch.sentence, batch.wrong
    *plain, none = DiscriminatorPass(nets.discriminators[0])(*given)
    *penalized, _ = DiscriminatorPass(nets.discriminators[0], penalized=True)(*given)
    assert none is None
    for one, other in zip(plain, penalized, strict=True):
        torch.testing.assert_close(one.conditional, other.conditional)


def test_apart_and_together_the_first_steps_differ_and_a_penalty_of_none_is_none(config, split):
    states = []
    for options in (
        {"losses.separate_penalty_step": True},
        {"losses.separate_penalty_step": False},
        {"losses.gradient_penalty": 0.0},
    ):
        changed = (
            small(config, "dfgan", {"losses.gradient_penalty": 2e4})
            if options.get("losses.gradient_penalty") is None
            else None
        )
        changed = with_options(changed or small(config, "dfgan"), options)
        nets, optimizers = begin(changed, split)
        terms = [step_once(changed, split, nets, optimizers, step) for step in range(2)]
        states.append(torch.cat([p.detach().flatten() for p in nets.discriminators.parameters()]))
        assert ("gradient penalty" in terms[0]) == (options.get("losses.gradient_penalty") is None)
        counts = {float(s["step"]) for s in optimizers.discriminators.state_dict()["state"].values()}
        assert counts == ({4.0} if options.get("losses.separate_penalty_step") else {2.0})
    assert not torch.allclose(states[0], states[1]) and not torch.allclose(states[1], states[2])


def test_the_gradient_of_two_heads_and_of_batch_norms_can_be_penalised_too(config, split):
    for discriminator in ("pyramid", "projected", "gan_int_cls"):
        changed = with_options(
            config,
            {
                "losses.objective": "hinge_ma_gp",
                "discriminator": discriminator,
                "losses.separate_penalty_step": True,
                "losses.damsm": 0.0,
            },
        )
        nets, optimizers = begin(changed, split)
        assert step_once(changed, split, nets, optimizers)["gradient penalty"] > 0


# ------------------------------------------------------------------------------------------- wrong pairs


@pytest.mark.parametrize("pairs", get_args(WrongPairs))
def test_wrong_pairs_are_other_sentences_neighbours_or_other_pictures(config, pairs):
    # In training mode: what is looked at apart has the statistics of its own rows.
    judges = [build_discriminator(config, 0, 6, find_trunk) for _ in range(2)]
    judges[1].load_state_dict(judges[0].state_dict())
    real, drawn, other, told = *torch.randn(3, 4, 3, 16, 16), torch.randn(4, 6)
    judge_all = DiscriminatorPass(judges[0], wrong_pairs=pairs)
    others = [other] if pairs == "pictures" else []
    matched, forged, mismatched, _ = judge_all(real, drawn, told, told.roll(1, dims=0), *others)
    if pairs == "sentences":
        expected = [judges[1].judge(judges[1].look(real), told[[3, 0, 1, 2]])]
    elif pairs == "pictures":
        expected = [judges[1](other, told)]
    else:
        expected = [judges[1].judge([features[:3] for features in judges[1].look(real)], told[[1, 2, 3]])]
    for found, wanted in zip((mismatched, matched, forged), [*expected, judges[1](real, told), judges[1](drawn, told)],
                             strict=True):  # fmt: skip
        torch.testing.assert_close(found.conditional, wanted.conditional)
        torch.testing.assert_close(found.unconditional, wanted.unconditional)
    assert len(mismatched.conditional) == (3 if pairs in ("neighbours", "next") else 4)


def test_neighbours_are_those_of_falling_length(config, split):
    plain, sorted_ = (
        with_options(config, {"losses.wrong_pairs": pairs, "batch": 6}) for pairs in ("sentences", "neighbours")
    )
    nets = build_networks(plain, split.vocabulary)
    for step in range(3):
        one, other = feed_for(plain, split, nets).read(step), feed_for(sorted_, split, nets).read(step)
        lengths = other.mask.sum(dim=1)
        assert (lengths[:-1] >= lengths[1:]).all() and torch.equal(one.noise, other.noise)
        order = one.mask.sum(dim=1).argsort(descending=True, stable=True)
        assert torch.equal(other.tokens, one.tokens[order]) and torch.equal(other.images[-1], one.images[-1][order])
        assert torch.equal(other.groups, one.groups[order])


def test_other_pictures_are_read_beside_the_same_batch(config, split):
    plain, more = config, with_options(config, {"losses.wrong_pairs": "pictures", "losses.fresh_noise": True})
    nets = build_networks(plain, split.vocabulary)
    one, other = feed_for(plain, split, nets).read(0), feed_for(more, split, nets).read(0)
    assert one.others is None and one.fresh is None
    for name in ("tokens", "noise", "changes"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert [image.shape for image in other.others] == [image.shape for image in one.images]
    assert not any(torch.equal(a, b) for a in other.others[0] for b in one.images[0])
    assert other.fresh.shape == one.noise.shape and not torch.equal(other.fresh, one.noise)
    parts = [other.part(number, 2) for number in range(2)]
    for name in ("fresh", "other_changes"):
        together = torch.cat([getattr(part, name) for part in parts], dim=int(name == "other_changes"))
        assert torch.equal(together, getattr(other, name))
    assert torch.equal(torch.cat([part.others[1] for part in parts]), other.others[1])


def test_with_fresh_noise_each_half_of_a_step_draws_from_its_own(config, split):
    config = small(config, "gan_int_cls")
    nets, optimizers = begin(config, split)
    batch = feed_for(config, split, nets).read(0)
    seen = []
    nets.generator.register_forward_pre_hook(lambda module, given: seen.append(given[0].clone()))
    train_step(batch, Criterion(nets, config), optimizers)
    first, second = seen
    assert torch.equal(first, batch.noise)  # B rows, none between captions
    assert torch.equal(second, torch.cat([batch.fresh, -batch.fresh[::2]]))


@pytest.mark.parametrize("training", ["detached", "joint"])
def test_with_encoder_dropout_a_caption_is_heard_otherwise_every_time(config, split, training):
    heard = []
    for dropout in (False, True):
        changed = small(config, "ssagan", {"text.training": training, "text.dropout": dropout})
        nets, optimizers = begin(changed, split)
        loader = feed_for(changed, split, nets)
        for seed in (0, 1, 1):
            torch.manual_seed(seed)
            heard.append(loader.read(0).sentence)
        assert all(term.isfinite() for term in step_once(changed, split, nets, optimizers).values())
        assert not nets.text_encoder.dropout.training  # who draws or measures hears a caption as it is
    assert torch.equal(heard[0], heard[1]) and not torch.allclose(heard[3], heard[4])
    assert torch.equal(heard[4], heard[5])


@pytest.mark.parametrize(("margin", "size"), [(0.125, 36), (0.1875, 38), (0.0, 32)])
def test_pictures_are_larger_than_what_is_cut_by_the_margin(config, split, margin, size):
    loader = feed_for(with_options(config, {"pictures.cut_margin": margin}), split)
    assert loader.pictures.shape[1:] == (size, size, 3)
    assert loader.read(0).images[-1].shape == (4, 3, 32, 32)


# ---------------------------------------------------------------------------------------- captions between


def test_sentences_between_captions_are_halfway_and_half_as_many(config, split):
    config = small(config, "gan_int_cls", batch=6)
    nets, _ = begin(config, split)
    batch = feed_for(config, split, nets).read(0)
    more = batch.with_interpolated()
    assert torch.equal(more.sentence[:6], batch.sentence) and torch.equal(more.noise[:6], batch.noise)
    for place, row in enumerate((0, 2, 4)):
        before = batch.sentence[(row - 1) % 6]
        torch.testing.assert_close(more.sentence[6 + place], (batch.sentence[row] + before) / 2)
        assert torch.equal(more.noise[6 + place], -batch.noise[row])
    assert len(more.sentence) == len(more.noise) == len(more.words) == len(more.mask) == 9
    assert torch.equal(more.changes[:, 6:], batch.changes[:, ::2])
    parts = [batch.part(number, 3).with_interpolated() for number in range(3)]
    assert torch.equal(torch.cat([part.sentence[2:] for part in parts]), more.sentence[6:])


@pytest.mark.parametrize("weight", [0.0, 1.0, 3.0])
def test_their_loss_is_weighed_and_judged_beside_their_own_sentences(config, split, weight):
    config = small(config, "gan_int_cls", {"losses.interpolation": weight}, precision="float32")
    nets, _ = begin(config, split)
    set_training(nets.generator, 0)
    nets.discriminators.eval()
    batch = feed_for(config, split, nets).read(0)
    criterion = Criterion(nets, config)
    drawn = criterion.draw(batch)
    terms = criterion.generator(batch, drawn).named
    assert len(drawn.images[0]) == (4 if weight == 0 else 6)
    judge = nets.discriminators[0]
    real = nn.functional.softplus(-judge(drawn.images[0][:4], batch.sentence).conditional).mean()
    torch.testing.assert_close(terms["adversarial"], real)
    if weight:
        halfway = (batch.sentence + batch.wrong)[::2] / 2
        expected = nn.functional.softplus(-judge(drawn.images[0][4:], halfway).conditional).mean()
        torch.testing.assert_close(terms["interpolated"], weight * expected)


def test_rates_are_halved_again_and_again(config, split):
    config = small(config, "gan_int_cls")
    _, optimizers = begin(config, split)
    found = []
    for step in range(6):
        set_rates(optimizers, step, config)
        found.append([o.param_groups[0]["lr"] for o in optimizers])
    assert found == [[2e-4 / 2 ** (step // 2)] * 2 for step in range(6)]


def test_only_the_generator_s_rates_rise_at_first(config, split):
    config = with_options(
        small(config, "gan_int_cls"),
        {"optimizer.lr_halve_every": 0, "optimizer.warmup": 3, "optimizer.generator_lr": 4e-4},
    )
    _, optimizers = begin(config, split)
    found = []
    for step in (5, 0, 1, 2, 3, 4):  # whatever came before
        set_rates(optimizers, step, config)
        found += [o.param_groups[0]["lr"] for o in optimizers]
    expected = [value for rate in (4e-4, 1e-4, 2e-4, 3e-4, 4e-4, 4e-4) for value in (rate, 2e-4)]
    assert found == pytest.approx(expected)


# ------------------------------------------------------------------------------------------ encoders that learn


def test_detached_the_generator_s_loss_does_not_reach_the_encoders_and_jointly_it_does(config, split):
    for training in ("detached", "joint"):
        changed = small(config, "ssagan-joint", {"text.training": training})
        nets, _ = begin(changed, split)
        with torch.no_grad():
            for p in [*nets.generator.parameters(), *nets.discriminators.parameters()]:
                if not p.any():
                    p.fill_(0.3)
        set_trainable(nets.discriminators, False)
        batch, criterion = feed_for(changed, split, nets).read(0), Criterion(nets, changed)
        criterion.generator(batch, criterion.draw(batch)).named["adversarial"].backward()
        reached = [p.grad is not None and bool(p.grad.any()) for p in nets.text_encoder.parameters()]
        assert all(reached) if training == "joint" else not any(reached)
        assert all(p.grad is None for p in nets.image_encoder.parameters())


def test_the_encoders_learn_by_real_pictures_alone(config, split):
    # Two runs that differ in the generator's rate and losses: beside it, the encoders take the same steps.
    states = []
    for rate in (1e-4, 1e-2):
        changed = small(config, "ssagan", {"optimizer.generator_lr": rate, "losses.damsm": rate})
        nets, optimizers = begin(changed, split)
        for step in range(2):
            step_once(changed, split, nets, optimizers, step)
        states.append([p.detach().clone() for p in text_parameters(nets)])
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))


def test_their_loss_is_damsm_of_real_pictures(config, split):
    config = small(
        config, "ssagan", {"losses.damsm_by": "sentence", "losses.damsm_gammas": (5.0, 5.0, 7.0)}, precision="float32"
    )
    nets, _ = begin(config, split)
    batch = feed_for(config, split, nets).read(0)
    loss = Criterion(nets, config).encoders(batch).total
    _, code = nets.image_encoder(batch.images[-1])
    cosine = nn.functional.normalize(code, dim=1) @ nn.functional.normalize(batch.sentence, dim=1).T
    same = batch.groups[:, None] == batch.groups[None, :]
    logits = (7 * cosine).masked_fill(same & ~torch.eye(4, dtype=torch.bool), float("-inf"))
    expected = -logits.log_softmax(dim=1).diagonal().mean() - logits.log_softmax(dim=0).diagonal().mean()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


def test_encoders_that_learnt_are_kept_beside_the_generator(config, split, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = small(config, "ssagan-joint", steps=2)
    folder = train(config)
    state = load_state(tmp_path / "runs/small")
    again = load_part(folder, "text_encoder", TextEncoderConfig, TextEncoder, split.vocabulary.hash)
    assert not moved(again, state["text encoder"])
    first = build_networks(config, split.vocabulary).text_encoder
    assert moved(first, state["text encoder"])


def test_encoders_do_not_begin_to_learn_in_a_run_where_they_were_frozen(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(small(config, "ssagan", {"text.training": "frozen"}, steps=1))
    with pytest.raises(ValueError, match=r"was begun with --text\.training frozen, not detached"):
        train(small(config, "ssagan", steps=2))


# ---------------------------------------------------------------------------------------------- stackgan2


def test_stackgan_s_discriminators_condition_on_means_and_the_generator_learns_by_them(config, split):
    config = small(config, "stackgan2", {"generator.kl_weight": 0.0}, precision="float32")
    nets, _ = begin(config, split)
    batch, criterion = feed_for(config, split, nets).read(0), Criterion(nets, config)
    conditions = []
    for discriminator in nets.discriminators:
        discriminator.joint[0].register_forward_pre_hook(lambda module, given: conditions.append(given[0][:, :5, 0, 0]))
    set_trainable(nets.discriminators, False)
    drawn = criterion.draw(batch)
    detached = drawn._replace(stages=[s._replace(image=s.image.detach()) for s in drawn.stages])
    criterion.generator(batch, detached).named["adversarial"].backward()
    assert len(conditions) == 2 and torch.equal(conditions[0], nets.generator.discriminator_condition(batch.sentence))
    assert nets.generator.condition.linear.weight.grad.abs().sum() > 0  # by the condition alone
    assert nets.discriminators[0].joint[0].in_channels == 8 * 2 + 5


def test_a_judgement_s_rows_are_those_of_both_heads():
    both = Judgement(torch.arange(4.0)[:, None], torch.arange(4.0)[:, None] + 10)
    assert both.rows(slice(1, 3)).unconditional.flatten().tolist() == [1, 2]
    assert both.rows(slice(3, None)).conditional.flatten().tolist() == [13]
    assert Judgement(None, both.conditional).rows(slice(2)).unconditional is None


def test_slopes_do_not_depend_on_the_rows_beside_them():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Tanh(), nn.Linear(4, 1))
    images, told = torch.randn(5, 3, 2, 2, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    logits = network(images) + (told**2).sum(dim=1, keepdim=True)
    together = squared_grad_norm(Judgement(None, logits), images, told)
    x, s = images[2:3].detach().requires_grad_(), told[2:3].detach().requires_grad_()
    alone = squared_grad_norm(Judgement(None, network(x) + (s**2).sum(dim=1, keepdim=True)), x, s)
    torch.testing.assert_close(together[2:3], alone)


def test_a_step_put_back_leaves_nothing(system, split):
    from train.adversarial.checkpointing import Snapshot, state_dict

    nets, optimizers = begin(system, split)
    step_once(system, split, nets, optimizers)
    before = copy.deepcopy(state_dict(nets, optimizers, 1))
    snapshot = Snapshot(nets, optimizers)
    step_once(system, split, nets, optimizers, 1)
    snapshot.put_back()
    assert_same(state_dict(nets, optimizers, 0) | {"step": 1}, before)
