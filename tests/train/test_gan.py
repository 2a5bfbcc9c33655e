import copy
import dataclasses
import functools
import itertools
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch

from mirrorgan import losses
from mirrorgan.checkpoint import read_tensors, save_part, write_tensors
from mirrorgan.drawing import CheckpointError
from mirrorgan.generators import stackgan
from mirrorgan.generators.base import Crop
from mirrorgan.generators.mirrorgan import Config as GeneratorConfig
from mirrorgan.generators.mirrorgan import Generator
from mirrorgan.images import from_uint8
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from train.adversarial import ema
from train.adversarial.checkpointing import load_state_dict, state_dict
from train.adversarial.config import GanConfig, OptimizerConfig
from train.adversarial.criterion import Criterion
from train.adversarial.growing import frozen_parts, inherited_tensors, init_from_smaller
from train.adversarial.loader import BatchLoader, read_rows
from train.adversarial.networks import (
    build_discriminator,
    build_generator,
    build_networks,
    recalibrate,
    set_training,
)
from train.adversarial.objectives import OBJECTIVES
from train.adversarial.optimizers import build_optimizers
from train.adversarial.presets import PRESETS
from train.adversarial.step import train_step, try_compile
from train.adversarial.training import fit_statistics, train
from train.encoders.trunks import find_trunk
from train.metrics import NotFiniteError
from train.runtime import device
from train.runtime.command_line import parse
from train.runtime.logger import RunLogger
from train.runtime.options import as_json, as_words, spoken, with_options
from train.runtime.state import StoppedEarly, load_state, seed_step

KINDS = ["pyramid", "projected"]
FRECHET = {"losses.frechet": 1.0, "losses.frechet_pooled": ("tiny",), "losses.frechet_size": 32}


CROPS = {
    "generator.first_size": 8,
    "generator.channels": (4, 4, 4),
    "pictures.crop_size": 16,
    "disc_input_sizes": (0, 64, 64),
}
"""Stages of 8, 16 and 32 pixels, the last of which learns from a quarter of itself."""


@pytest.fixture(params=[*KINDS, "crops"])
def either(request, config):
    """The papers' losses and discriminators, or ours, or ours with crops of the last stage."""
    if request.param == "pyramid":
        return config
    options = {"disc_input_sizes": (0, 64), **FRECHET} if request.param == "projected" else CROPS
    return with_options(
        config,
        {
            "discriminator": "projected",
            "discriminator.backbone": "tiny",
            "losses.objective": "hinge",
            "pictures.augment": 1.0,
            "generator.standardize_text": True,
            **options,
        },
    )


def begin(config, split):
    nets = build_networks(config, split.vocabulary)
    fit_statistics(feed_for(config, split, nets), Criterion(nets, config), print)
    return nets, build_optimizers(nets, config)


def pictures_for(config, split):
    size = config.sizes[-1]
    return split.pictures(size + size // 8)


def feed_for(config, split, nets=None, **options):
    nets = nets or build_networks(config, split.vocabulary)
    return BatchLoader(split, config, nets.text_encoder, nets.generator.noise_dim, **options)


def step_once(config, split, nets, optimizers, step=0):
    seed_step(config.seed, step)
    set_training(nets.generator, config.first_trained)
    return train_step(feed_for(config, split, nets).read(step), Criterion(nets, config), optimizers)


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
    loader = feed_for(config, split)
    for step in range(12):
        for image in loader.read(step).images[-1]:
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
    loader = feed_for(config, split)
    for step in range(3):
        batch = loader.read(step)
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
    generator, discriminators = copy_of(nets.generator), copy_of(nets.discriminators)

    terms = step_once(either, split, nets, optimizers)

    for module, state in zip(frozen, before, strict=True):
        assert not moved(module, state), type(module).__name__
        assert all(p.grad is None for p in module.parameters()), type(module).__name__
    shown = {*nets.judged_stages, either.whole_stages - 1}  # nothing sees the pictures of the other stages
    unseen = {f"heads.{stage}.weight" for stage in range(len(either.sizes)) if stage not in shown}
    assert parameters_of(nets.generator) - moved(nets.generator, generator) == unseen
    learning = {name for name in parameters_of(nets.discriminators) if ".mix." not in name}
    if either.losses.objective == "hinge":  # inside its margin what real and drawn pictures do to these biases cancels
        learning = {name for name in learning if not name.endswith(("score.bias", "joint.bias"))}
    assert learning <= moved(nets.discriminators, discriminators)
    assert not {name for name in moved(nets.discriminators, discriminators) if ".mix." in name}
    assert set(terms) == {
        "discriminator", "adversarial", "kl", "redescription", "damsm", "logit real", "logit drawn",
        *(["frechet"] if either.losses.frechet else []),
    }  # fmt: skip
    assert all(term.ndim == 0 and term.isfinite() and not term.requires_grad for term in terms.values())


def test_the_generator_s_gradient_does_not_reach_the_opponents(either, split):
    # Two runs that differ in the generator's losses alone: after one step the discriminators are the same.
    states = []
    for weight in (0.0, 50.0):
        config = with_options(either, {"losses.redescription": weight, "losses.damsm": weight})
        nets, optimizers = begin(config, split)
        step_once(config, split, nets, optimizers)
        states.append([p.detach().clone() for p in nets.discriminators.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))


def test_stream_alone_moves_the_generator(config, split):
    # With the captioner frozen there must still be an open way from its loss to the generator's weights.
    config = with_options(config, {"losses.redescription": 1.0, "losses.damsm": 0.0, "generator.kl_weight": 0.0})
    nets = build_networks(config, split.vocabulary)
    batch = feed_for(config, split, nets).read(0)
    criterion = Criterion(nets, config)
    criterion.generator(batch, criterion.draw(batch)).named["redescription"].backward()
    last = nets.generator.heads[-1].weight.grad
    assert last is not None and last.abs().sum() > 0
    assert all(p.grad is None for p in nets.captioner.parameters())


@pytest.fixture
def guided(config, encoders):
    return with_options(config, {"captioner": encoders / "regions", "losses.word_maps": 2.0, "precision": "float32"})


def test_the_loss_of_word_maps_moves_word_maps_and_not_the_picture(guided, split):
    nets = build_networks(guided, split.vocabulary)
    batch, criterion = feed_for(guided, split, nets).read(0), Criterion(nets, guided)
    drawn = criterion.draw(batch)
    term = criterion.generator(batch, drawn).named["word maps"]
    looks = nets.captioner.maps(nets.captioner.see(drawn.images[-1]), batch.tokens).clone()
    expected = losses.word_map_loss(drawn.stages[1].word_attention, looks, batch.mask).mean()
    torch.testing.assert_close(term, 2 * expected)
    term.backward()
    assert nets.generator.stages[0].words.project.weight.grad.abs().sum() > 0
    assert nets.generator.heads[-1].weight.grad is None
    assert all(p.grad is None for p in nets.captioner.parameters())


def test_the_loss_of_word_maps_alone_needs_the_captioner(guided, split):
    alone = with_options(guided, {"losses.redescription": 0.0})
    terms = step_once(alone, split, *begin(alone, split))
    assert terms["word maps"] > 0 and "redescription" not in terms


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"regions": False},
            "losses.word_maps needs a captioner that looks at regions, and .*best does not; train one",
        ),
        (
            {"generator.word_attention": False},
            "losses.word_maps is for generators that have word maps; mirrorgan draws without",
        ),
    ],
)
def test_the_loss_of_word_maps_that_cannot_be_is_refused(guided, encoders, split, options, message):
    chosen = dict(options)
    folder = guided.captioner if chosen.pop("regions", True) else encoders
    config = with_options(guided, {"captioner": folder, **chosen})
    with pytest.raises(ValueError, match=message):
        step_once(config, split, *begin(config, split))


@pytest.mark.parametrize(
    ("option", "term"),
    [(f"losses.{name}", name) for name in ("redescription", "damsm", "frechet")] + [("losses.word_maps", "word maps")],
)
def test_a_loss_of_no_weight_is_left_out(guided, split, option, term):
    guided = with_options(guided, FRECHET)
    assert term in step_once(guided, split, *begin(guided, split))
    config = with_options(guided, {option: 0.0})
    assert term not in step_once(config, split, *begin(config, split))


def test_the_frechet_loss_knows_real_and_drawn_pictures_before_the_first_step(config, split, monkeypatch):
    monkeypatch.setattr("train.adversarial.training.FIRST", 10)
    config = with_options(config, FRECHET)
    nets = build_networks(config, split.vocabulary)
    before = copy_of(nets.generator)
    said: list[str] = []
    loader, criterion = feed_for(config, split, nets), Criterion(nets, config)
    fit_statistics(loader, criterion, said.append)
    (known,) = nets.moments
    assert known.fitted and known.seen == 12 and len(said) == 1  # three batches of 4
    assert moved(nets.generator, before).isdisjoint(parameters_of(nets.generator))
    state = copy_of(known)
    fit_statistics(loader, criterion, said.append)  # a run that goes on has it in its state
    assert not moved(known, state) and len(said) == 1

    batch = loader.read(0)
    drawn = criterion.draw(batch)
    term = criterion.generator(batch, drawn).named["frechet"]
    (features,) = criterion.forwards.features(drawn.images[-1])
    torch.testing.assert_close(term, config.losses.frechet * known.distance(features, batch.sentence))
    assert term > 0
    term.backward()
    assert all(p.grad is not None for p in nets.generator.stages.parameters())


@pytest.mark.parametrize("asked", [1, 4])  # while it looks at real pictures, and at drawn ones
def test_looking_at_pictures_can_be_stopped_and_begins_anew(config, split, monkeypatch, asked):
    monkeypatch.setattr("train.adversarial.training.FIRST", 10)
    config = with_options(config, FRECHET)
    nets = build_networks(config, split.vocabulary)
    loader, criterion, calls = feed_for(config, split, nets), Criterion(nets, config), itertools.count()
    with pytest.raises(StoppedEarly, match="the same command looks at them again"):
        fit_statistics(loader, criterion, print, lambda: next(calls) == asked)
    (known,) = nets.moments
    assert not known.fitted and not any(value.any() for value in known.state_dict().values())
    fit_statistics(loader, criterion, print)
    assert known.fitted and known.seen == 12


def test_stages_without_an_opponent_are_not_judged(config, split):
    config = with_options(config, {"disc_input_sizes": (0, 64)})
    nets, optimizers = begin(config, split)
    assert nets.judged_stages == [1] and len(nets.discriminators) == 1
    step_once(config, split, nets, optimizers)


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


def test_a_state_is_a_function_of_its_step_however_often_it_was_saved(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("train.adversarial.training.recalibrate", functools.partial(recalibrate, batches=1))
    monkeypatch.setattr("train.adversarial.training.draw_sheet", lambda *given: [None])
    for part in ("log_image", "_write_report"):
        monkeypatch.setattr(RunLogger, part, lambda *given: None)
    train(dataclasses.replace(config, name="once", steps=2))
    train(dataclasses.replace(config, name="always", steps=2, save_minutes=1e-9, sheet_every=1, report_every=1))
    once, always = (tmp_path / "runs" / name for name in ("once", "always"))
    assert_same(load_state(once), load_state(always))
    kept = [run / "average/generator.safetensors" for run in (once, always)]
    assert kept[0].read_bytes() == kept[1].read_bytes()


def test_a_state_put_back_is_the_whole_state(either, split):
    nets, optimizers = begin(either, split)
    for step in range(2):
        step_once(either, split, nets, optimizers, step)
        ema.update(nets.average, nets.generator, step, either.optimizer.ema)
    state = state_dict(nets, optimizers, 2)
    other, other_optimizers = begin(dataclasses.replace(either, seed=9), split)
    assert load_state_dict(state, other, other_optimizers) == 2
    assert_same(state_dict(other, other_optimizers, 2), state)


def test_every_step_has_random_numbers_of_its_own(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn = []

    def watched(batch, *others):
        drawn.append((*torch.randn(3).tolist(), *batch.noise[0, :3].tolist(), *batch.changes[0, 0, :3].tolist()))
        return train_step(batch, *others)

    monkeypatch.setattr("train.adversarial.training.train_step", watched)
    train(dataclasses.replace(config, steps=3, sheet_every=2))
    assert all(len(set(numbers)) == 3 for numbers in zip(*drawn, strict=True))


def test_a_run_goes_on_with_what_it_was_begun_with_and_says_what_has_changed(config, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    train(dataclasses.replace(config, steps=2))
    record = (tmp_path / "runs/small/config.json").read_text(encoding="utf-8")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs/small").rglob("*") if path.name != "lock"}
    refused = {
        "seed": 7,
        "batch": 6,
        "losses.objective": "hinge",
        "generator.channels": (4, 6),
        "losses.redescription": 1.0,
        "losses.damsm": 0.0,
        "optimizer.ema": 0.5,
        "generator.noise_dim": 6,
        "init_from": Path("runs/other"),
        "losses.frechet": 1.0,
    }
    for name, value in refused.items():
        given = [as_json(with_options(config, some))[name] for some in ({}, {name: value})]
        sentence = f"runs/small was begun with {as_words(name, given[0])}, not {spoken(given[1])}; give the options"
        with pytest.raises(ValueError, match=re.escape(sentence)):
            train(with_options(config, {name: value}))
    with pytest.raises(ValueError, match=r"--batch 4, not 6; with --seed 0, not 3; give the options"):
        train(dataclasses.replace(config, batch=6, seed=3))
    with pytest.raises(ValueError, match="runs/small has done 2 steps; --steps 1 is less: give at least 2"):
        train(dataclasses.replace(config, steps=1))
    assert {path: path.stat().st_mtime_ns for path in before} == before  # nothing was written over
    assert (tmp_path / "runs/small/config.json").read_text(encoding="utf-8") == record
    capfd.readouterr()
    free = {"steps": 3, "report_every": 7, "optimizer.generator_lr": 1e-5, "save_minutes": 9.0, "precision": "float32"}
    train(with_options(config, free))
    said = " ".join("".join(capfd.readouterr()).split())
    for change in (
        "steps 3 (it was 2)",
        "report_every 7 (it was 20)",
        "optimizer.generator_lr 1e-05 (it was 0.0002)",
        "save_minutes 9.0 (it was 5.0)",
        "precision float32 (it was auto)",
    ):
        assert change in said
    assert "runs/small goes on at step 2 with" in said


def test_a_run_goes_on_with_the_same_content_wherever_it_lies(config, tmp_path, monkeypatch, pack_birds, capfd):
    monkeypatch.chdir(tmp_path)
    train(dataclasses.replace(config, steps=1))
    with pytest.raises(ValueError, match=r"runs/small was begun with other data: .* has changed; give"):
        train(dataclasses.replace(config, data=pack_birds(2)))
    moved_to = shutil.copytree(config.encoders, tmp_path / "elsewhere")
    train(dataclasses.replace(config, encoders=moved_to, captioner=moved_to, steps=2))
    assert f"encoders {moved_to} (it was {config.encoders})" in " ".join("".join(capfd.readouterr()).split())
    for part in ("text_encoder", "captioner"):
        path = moved_to / f"{part}.safetensors"
        whole = path.read_bytes()
        write_tensors({name: tensor + 1 for name, tensor in read_tensors(path).items()}, path)
        with pytest.raises(ValueError, match=f"begun with other weights of the {part.replace('_', ' ')}; give"):
            train(dataclasses.replace(config, encoders=moved_to, captioner=moved_to))
        path.write_bytes(whole)


def test_a_run_from_before_states_said_what_they_are_of_is_held_to_its_files(config, tmp_path, monkeypatch, pack_birds):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs/small"
    train(dataclasses.replace(config, steps=1))
    state = load_state(run)
    del state["options"], state["made of"]
    torch.save(state, run / "state.pt")  # without a checksum, too
    (run / "state.previous.pt").unlink(missing_ok=True)
    recorded = json.loads((run / "config.json").read_text(encoding="utf-8"))
    del recorded["pictures.crop_size"], recorded["losses.damsm"], recorded["optimizer.warmup"]
    (run / "config.json").write_text(json.dumps(recorded), encoding="utf-8")
    begun = with_options(config, {"losses.damsm": 0.0})
    with pytest.raises(ValueError, match="begun with --seed 0, not 3"):
        train(dataclasses.replace(begun, seed=3))
    with pytest.raises(
        ValueError, match=r"begun with --losses.damsm 0\.0, not 0\.5"
    ):  # newer than the run: its default
        train(config)
    with pytest.raises(ValueError, match="begun with other data"):
        train(dataclasses.replace(begun, data=pack_birds(2)))
    train(with_options(begun, {"steps": 2, "optimizer.warmup": 3}))
    assert load_state(run)["step"] == 2


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
    before = copy_of(nets.average)
    calibrated = recalibrate(nets, split, config, batches=3)
    hook.remove()
    assert len(seen) == 3 and not moved(nets.average, before)  # a run's state has that
    start = calibrated.first.start
    expected = torch.stack([batch.mean(dim=0) for batch in seen]).mean(dim=0)
    torch.testing.assert_close(start[1].running_mean, expected, rtol=1e-3, atol=1e-3)
    spread = torch.stack([batch.var(dim=0) for batch in seen]).mean(dim=0)
    torch.testing.assert_close(start[1].running_var, spread, rtol=2e-2, atol=1e-3)
    assert not any(module.training for module in calibrated.modules())
    assert start[1].momentum == nets.generator.first.start[1].momentum


def test_recalibrating_leaves_alone_what_does_not_learn(config, split):
    config = dataclasses.replace(config, first_trained=1)
    nets, optimizers = begin(config, split)
    step_once(config, split, nets, optimizers)
    before = copy_of(nets.average)
    calibrated = recalibrate(nets, split, config, batches=2)
    assert {name.split(".")[0] for name in moved(calibrated, before)} == {"stages"}


def test_networks_take_the_text_encoder_s_channels(config, split, encoders):
    text = TextEncoderConfig(vocabulary_size=len(split.vocabulary), embedding_dim=5, text_dim=12)
    save_part(TextEncoder(text), text, encoders, "text_encoder", split.vocabulary.hash)
    for kind in KINDS:
        kept = with_options(config, {"discriminator": kind, "losses.damsm": 0.0})
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


def test_a_stage_becomes_the_beginning_of_a_larger_first_stage(tmp_path):
    small, large = grown(tmp_path, first_size=8, channels=(8,))
    head = large.heads[0].weight.clone()
    init_from_smaller(large, tmp_path / "run")
    conditioning, noise = torch.randn(3, 5), torch.randn(3, 6)
    small.eval(), large.eval()
    half_way = large.first.start(torch.cat([conditioning, noise], dim=1)).unflatten(1, (-1, 4, 4))
    for block in list(large.first.blocks)[:-1]:
        half_way = block(half_way)
    torch.testing.assert_close(half_way, small.first(conditioning, noise))
    assert torch.equal(large.heads[0].weight, head)
    learnt = {name for name, _ in small.named_parameters()} - {"heads.0.weight"}
    assert (
        learnt <= set(inherited_tensors(large.config, tmp_path / "run")) <= set(small.state_dict()) - {"heads.0.weight"}
    )


def test_growing_takes_the_smaller_generator_s_stages_over(tmp_path):
    small, large = grown(tmp_path)
    before = copy_of(large)
    init_from_smaller(large, tmp_path / "run")
    for key, value in small.state_dict().items():
        assert torch.equal(large.state_dict()[key], value)
    assert torch.equal(large.state_dict()["heads.1.weight"], before["heads.1.weight"])


def test_growing_from_something_else_is_refused_with_the_tensor_s_name(tmp_path):
    _, large = grown(tmp_path, channels=(5,))
    with pytest.raises(ValueError, match=r"run: first\.\S+ \(.*\) does not fit"):
        init_from_smaller(large, tmp_path / "run")
    _, large = grown(tmp_path, first_size=8, channels=(8, 4))  # more than its first stage cannot be swallowed
    with pytest.raises(ValueError, match=r"run: heads\.0\S+ \(.*\) does not fit"):
        init_from_smaller(large, tmp_path / "run")
    with pytest.raises(FileNotFoundError, match=r"generator\.safetensors"):
        init_from_smaller(large, tmp_path / "nowhere")


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
        (
            {"losses.objective": "wish"},
            "objective: expected one of cross_entropy, cross_entropy_sum, .*hinge_ma_gp, not 'wish'",
        ),
        ({"discriminator": "judge"}, "no discriminator 'judge'; there are: .*projected, pyramid, stackgan"),
        ({"disc_input_sizes": (64,)}, "disc_input_sizes must name one size a stage: 3"),
        ({"disc_input_sizes": (64, 64, 0)}, "the last stage needs a discriminator"),
        ({"losses.redescription_share": 0.0}, r"redescription_share must be in \(0, 1\], not 0"),
        ({"first_trained": 3}, "first_trained must name one of 3 stages, not 3"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"batch": 1}, "batch must be at least 2"),
        ({"losses.redescription": -1.0}, "redescription must be 0 or more, not -1"),
        ({"generator.kl_weight": float("nan")}, "kl_weight: expected float, not nan"),
        ({"optimizer.generator_lr": 0.0}, "generator_lr must be positive"),
        ({"optimizer.ema": 1.0}, "ema must be at least 0 and below 1"),
        ({"name": "a/../../b"}, "name must be that of a folder in runs/"),
        ({"generator": "wish"}, "no generator 'wish'; there are: attngan, .*stackgan2"),
        (
            {"generator": "ssagan", "generator.channels": (4,), "generator.kl_weight": 1.0},
            "no option kl_weight; there are: noise_dim",
        ),
        ({"generator": "ssagan", "generator.channels": (4, 4)}, "there is one picture"),
        ({"generator.jion": "wide"}, "no option jion; there are: .*join"),
        ({"generator.join": "loose"}, "join must be 'reduce' or 'wide', not 'loose'"),
        ({"generator.noise_dim": "few"}, "noise_dim: expected int, not 'few'"),
        ({"discriminator.unconditional": "perhaps"}, "unconditional: expected bool, not 'perhaps'"),
        ({"text.training": "often"}, "training: expected one of frozen, detached, joint, not 'often'"),
        ({"losses.damsm_by": "letters"}, "damsm_by: expected one of both, words, sentence, not"),
        ({"losses.damsm_gammas": (1.0,)}, r"damsm_gammas: expected tuple\[float, float, float\]"),
        ({"losses.separate_penalty_step": True}, "separate_penalty_step is for the gradient penalty"),
        ({"losses.gradient_penalty": -1.0}, "gradient_penalty must be 0 or more, not -1"),
        (
            {"pictures.crop_size": 15},
            "crop_size must be 0, or an even number of at least 8 and below .* 256 pixels, not 15",
        ),
        (
            {"pictures.crop_size": 6},
            "crop_size must be 0, or an even number of at least 8 and below .* 256 pixels, not 6",
        ),
        (
            {"pictures.crop_size": 256},
            "crop_size must be 0, or an even number of at least 8 and below .* 256 pixels, not 256",
        ),
        ({"pictures.crop_size": 96}, "image_size must be a power of two of at least 16, not 96"),
        (
            {"pictures.crop_size": 32, "generator.channels": (4,), "disc_input_sizes": (64,)},
            "a crop is of the last stage, beside whole pictures",
        ),
        (
            {
                "pictures.crop_size": 32,
                "generator.channels": (4, 4),
                "disc_input_sizes": (64, 64),
                "losses.word_maps": 1.0,
            },
            "losses.word_maps needs word maps of a stage after the first that is drawn whole.*at least three stages",
        ),
        (
            {"pictures.crop_size": 32, "generator.sentence_axis": "spatial"},
            "its softmax runs over all places of the map",
        ),
        (
            {"pictures.crop_size": 32, "generator": "stackgan2"},
            "stackgan2 cannot draw a crop of its last stage; mirrorgan and",
        ),
        ({"losses.frechet": -1.0}, "frechet must be 0 or more, not -1"),
        ({"losses.frechet": 1.0, "losses.frechet_pooled": ()}, "name a network in frechet_pooled"),
        ({"losses.frechet_pooled": ("wish",)}, "frechet_pooled must be some of .*resnet152.*, expert, not 'wish'"),
        ({"losses.frechet_parts": ("wish",)}, "frechet_parts must be some of .*resnet152.*, expert, not 'wish'"),
        ({"losses.frechet_size": 8}, "frechet_size must be at least 32, not 8"),
        (
            {"losses.wrong_pairs": "words"},
            "wrong_pairs: expected one of sentences, neighbours, next, pictures, not 'words'",
        ),
        ({"losses.wrong_pairs": "neighbours", "batch": 4, "accumulate": 2}, "give a batch of at least 6, not 4"),
        ({"pictures.cut_margin": -0.1}, "cut_margin must be at least 0 and at most 1, not -0.1"),
        ({"pictures.cut_margin": 2.0}, "cut_margin must be at least 0 and at most 1, not 2.0"),
        ({"text.dropout": True}, "dropout is for encoders that learn, and training is 'frozen'"),
    ],
)
def test_options_that_cannot_be_are_refused_in_words(options, message):
    with pytest.raises(ValueError, match=message):
        with_options(GanConfig(), options)


# ------------------------------------------------------------------------------------------------------ parts


def test_parts_hold_every_row_once(config, split):
    config = with_options(config, {"losses.redescription_share": 0.5})
    batch = feed_for(config, split).read(0)
    parts = [batch.part(number, 2) for number in range(2)]
    for name in ("tokens", "words", "sentence", "wrong", "groups", "noise"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(batch, name))
    assert torch.equal(torch.cat([part.changes for part in parts], dim=1), batch.changes)
    assert torch.equal(torch.cat([part.images[0] for part in parts]), batch.images[0])
    assert [*parts[0].read, *(row + 2 for row in parts[1].read)] == batch.read


@pytest.mark.parametrize(("batch", "share", "rows"), [(8, 1.0, range(8)), (24, 0.25, range(2, 24, 4)), (8, 0.01, [4])])
def test_rows_that_stream_reads_are_spread_evenly(batch, share, rows):
    assert read_rows(batch, share).tolist() == list(rows)


@pytest.mark.parametrize(("parts", "options"), [(2, {}), (4, {}), (2, CROPS)])
def test_a_batch_in_parts_is_the_batch_at_once_where_no_batch_norm_looks(guided, split, parts, options):
    config = with_options(
        guided,
        {
            "batch": 8,
            "losses.damsm": 0.0,
            "precision": "float32",
            "losses.redescription_share": 0.6,
            "pictures.augment": 1.0,
            **options,
        },
    )
    states, reported = [], []
    for count in (1, parts):
        nets, optimizers = begin(config, split)
        batch = feed_for(config, split, nets).read(0)
        for module in (nets.generator, nets.discriminators):
            for child in module.modules():
                child.train(not isinstance(child, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d))
        terms = train_step(batch, Criterion(nets, dataclasses.replace(config, accumulate=count)), optimizers)
        reported.append(torch.stack(list(terms.values())))
        states.append([s["exp_avg"] for o in optimizers for s in o.state_dict()["state"].values()])
    torch.testing.assert_close(reported[0], reported[1], rtol=1e-4, atol=1e-5)
    for whole, added in zip(*states, strict=True):
        assert (whole - added).norm() < 1e-4 * whole.norm() + 1e-7


def test_a_run_in_parts_learns_all_there_is(either, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(dataclasses.replace(either, steps=2, accumulate=2))
    assert load_state(tmp_path / "runs/small")["step"] == 2


# ----------------------------------------------------------------------------------------------------- crops


@pytest.fixture
def cropping(guided):
    return with_options(guided, CROPS)


def test_crops_change_nothing_else_of_a_batch(cropping, split):
    nets = build_networks(cropping, split.vocabulary)
    loader = feed_for(cropping, split, nets)
    plain = feed_for(with_options(cropping, {"pictures.crop_size": 0}), split, nets)
    for step in range(3):
        cropped, whole = loader.read(step), plain.read(step)
        assert whole.crop is None and cropped.crop.size == 8
        for image, corner, picture in zip(cropped.images[-1], cropped.crop.corners, whole.images[-1], strict=True):
            top, left = (2 * corner).tolist()
            assert torch.equal(image, picture[:, top : top + 16, left : left + 16])
        assert_same(cropped._replace(images=whole.images, crop=None), whole)
        assert_same(cropped.images[:-1], whole.images[:-1])


def test_crops_lie_everywhere(cropping, split):
    loader = feed_for(cropping, split)
    corners = torch.cat([loader.read(step).crop.corners for step in range(60)])
    for axis in (0, 1):
        assert set(corners[:, axis].tolist()) == set(range(9))
    assert not torch.equal(corners[:, 0], corners[:, 1])


def test_parts_and_sentences_halfway_keep_the_crops_of_their_rows(cropping, split):
    batch = feed_for(cropping, split).read(0)
    parts = [batch.part(number, 2) for number in range(2)]
    assert torch.equal(torch.cat([part.crop.corners for part in parts]), batch.crop.corners)
    assert torch.equal(torch.cat([part.images[-1] for part in parts]), batch.images[-1])
    assert torch.equal(batch.with_interpolated().crop.corners[4:], batch.crop.corners[::2])


def test_halfway_sentences_are_drawn_in_crops_too(cropping, split):
    config = with_options(cropping, {"losses.interpolation": 1.0})
    nets = build_networks(config, split.vocabulary)
    drawn = Criterion(nets, config).draw(feed_for(config, split, nets).read(0))
    assert [tuple(image.shape) for image in drawn.images] == [(6, 3, 8, 8), (6, 3, 16, 16), (6, 3, 16, 16)]
    assert step_once(config, split, *begin(config, split))["interpolated"].isfinite()


def test_what_is_drawn_of_a_crop_is_where_the_real_pictures_are_cut(cropping, split):
    nets = build_networks(cropping, split.vocabulary)
    batch, criterion = feed_for(cropping, split, nets).read(0), Criterion(nets, cropping)
    nets.generator.eval()
    whole = criterion.draw(batch._replace(crop=None)).images[-1]
    expected = Crop(batch.crop.corners, 8).of(whole, 2)
    torch.testing.assert_close(criterion.draw(batch).images[-1], expected, rtol=1e-4, atol=1e-5)


def test_losses_of_whole_pictures_look_at_the_last_whole_one(cropping, split, monkeypatch):
    monkeypatch.setattr("train.adversarial.training.FIRST", 10)
    config = with_options(cropping, {**FRECHET, "generator.kl_weight": 0.0})
    nets, _ = begin(config, split)
    batch, criterion = feed_for(config, split, nets).read(0), Criterion(nets, config)
    terms = criterion.generator(batch, criterion.draw(batch)).named
    names = ("redescription", "word maps", "damsm", "frechet")
    torch.stack([terms[name] for name in names]).sum().backward(retain_graph=True)
    assert all(p.grad is None for module in nets.generator.parts()[2] for p in module.parameters())
    assert all(p.grad is not None for module in nets.generator.parts()[1] for p in module.parameters())
    terms["adversarial"].backward()
    assert all(p.grad is not None for module in nets.generator.parts()[2] for p in module.parameters())


def test_the_frechet_loss_is_fitted_to_whole_real_pictures(cropping, split, monkeypatch):
    monkeypatch.setattr("train.adversarial.training.FIRST", 10)
    config = with_options(cropping, FRECHET)
    nets = build_networks(config, split.vocabulary)
    seen = []
    nets.statistics[0].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    loader = feed_for(config, split, nets)
    fit_statistics(loader, Criterion(nets, config), print)
    batches = len(split) // config.batch
    real, drawn = seen[:batches], seen[batches:]
    for step, images in enumerate(real):
        assert torch.equal(images, loader.read(step).images[1])
    assert len(drawn) == 3 and all(images.shape == (4, 3, 16, 16) for images in drawn)


def test_the_last_stage_s_opponent_judges_crops(cropping, split):
    nets = build_networks(cropping, split.vocabulary)
    assert [cropping.discriminator_config(stage).image_size for stage in nets.judged_stages] == [16, 16]
    seen = []
    for discriminator in nets.discriminators:
        discriminator.register_forward_pre_hook(lambda module, given: seen.append(tuple(given[0].shape)))
    batch = feed_for(cropping, split, nets).read(0)
    train_step(batch, Criterion(nets, cropping), build_optimizers(nets, cropping))
    assert set(seen) == {(4, 3, 16, 16)}


# ----------------------------------------------------------------------------------------------------- devices


@pytest.mark.parametrize("options", [{}, CROPS])
def test_pictures_on_the_device_are_cut_as_those_in_a_file(config, split, options):
    config = with_options(config, options)
    nets = build_networks(config, split.vocabulary)
    here, there = (feed_for(config, split, nets, resident=resident) for resident in (False, True))
    for step in range(4):
        assert_same(here.read(step), there.read(step))


def test_batches_made_ahead_are_the_same(config, split):
    loader = feed_for(config, split)
    loader.on_cuda = True  # made by a thread; captions all of one length
    ahead = loader.batches(3)
    for step in range(3, 7):
        batch = next(ahead)
        assert batch.tokens.shape == (4, 5)
        assert torch.equal(batch.images[-1], feed_for(config, split).read(step).images[-1])
    ahead.close()


def test_float32_is_float32_and_bfloat16_is_not(config, split):
    found = {}
    for precision in ("float32", "bfloat16"):
        nets = build_networks(config, split.vocabulary)
        seen = []
        nets.generator.first.register_forward_hook(lambda module, given, out, seen=seen: seen.append(out.dtype))
        exact = dataclasses.replace(config, precision=precision)
        Criterion(nets, exact).draw(feed_for(exact, split, nets).read(0))
        found[precision] = seen[0]
    assert found == {"float32": torch.float32, "bfloat16": torch.bfloat16}


@pytest.mark.parametrize(
    ("name", "supported", "amx", "faster"),
    [
        ("AMD EPYC", True, False, True),
        ("AMD EPYC", False, False, False),
        ("Intel(R) Xeon(R) Processor", True, True, True),
        ("Intel(R) Xeon(R) Processor", True, False, False),
    ],
)
def test_bfloat16_is_taken_where_it_is_faster(monkeypatch, name, supported, amx, faster):
    monkeypatch.setattr(device, "processor", lambda: name)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert device.has_bfloat16("cpu") is faster
    with device.autocast("cpu", "auto"):
        assert torch.is_autocast_enabled("cpu") is faster
    with device.autocast("cpu", "float32"):
        assert not torch.is_autocast_enabled("cpu")


def test_a_compiler_that_fails_is_done_without_and_nothing_is_changed(config, split, monkeypatch):
    nets, optimizers = begin(config, split)
    step_once(config, split, nets, optimizers)
    before = copy.deepcopy(state_dict(nets, optimizers, 1))
    batch, said = feed_for(config, split, nets).read(1), []

    def refuse(function):
        def call(*given):
            raise RuntimeError("no compiler\nand forty more lines")

        return call

    monkeypatch.setattr(device, "compiled", refuse)
    plain = Criterion(nets, config)
    assert try_compile(batch, plain, optimizers, said.append) is plain
    assert said == ["torch.compile does not work here (RuntimeError: no compiler); going on without it"]
    called = []
    monkeypatch.setattr(device, "compiled", lambda function: lambda *given: called.append(function) or function(*given))
    criterion = try_compile(batch, plain, optimizers, said.append)
    assert criterion is not plain and len(said) == 1  # it works: a step was made, and undone
    assert nets.generator in called
    assert_same(state_dict(nets, optimizers, 1), before)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, CROPS])
def test_compiled_networks_make_the_same_step(config, split, options):
    config = with_options(config, {"precision": "float32", "losses.damsm": 0.0, **options})
    reported = []
    for compiles in (False, True):
        nets, optimizers = begin(config, split)
        set_training(nets.generator, 0)
        batch, said = feed_for(config, split, nets).read(0), []
        criterion = Criterion(nets, config)
        if compiles:
            criterion = try_compile(batch, criterion, optimizers, said.append)
        if said:
            pytest.skip(said[0])
        reported.append(torch.stack(list(train_step(batch, criterion, optimizers).values())))
    torch.testing.assert_close(reported[0], reported[1], rtol=1e-3, atol=1e-4)


# ------------------------------------------------------------------------------------------------ older states


def test_a_state_of_an_optimizer_with_other_settings_is_taken(either, split):
    # Runs that were begun before Adam was fused, or with other rates.
    nets, optimizers = begin(either, split)
    step_once(either, split, nets, optimizers)
    state = copy.deepcopy(state_dict(nets, optimizers, 1))
    for player in ("generator optimizer", "discriminator optimizer"):
        for group in state[player]["param_groups"]:
            group |= {"fused": None, "foreach": None, "lr": 9.0}
    other, others = begin(either, split)
    load_state_dict(state, other, others)
    assert all(group["fused"] and group["lr"] == 2e-4 for o in others for group in o.param_groups)
    step_once(either, split, other, others, 1)
    step_once(either, split, nets, optimizers, 1)
    assert_same(other.generator.state_dict(), nets.generator.state_dict())


@pytest.mark.parametrize("beta1", [0.0, 0.5])
def test_a_compact_state_is_smaller_and_almost_the_same(config, split, beta1):
    config = with_options(config, {"optimizer.beta1": beta1})
    nets, optimizers = begin(config, split)
    step_once(config, split, nets, optimizers)
    state = copy.deepcopy(state_dict(nets, optimizers, 1, compact=True))
    other, others = begin(config, split)
    assert load_state_dict(state, other, others) == 1
    kept = {name for s in state["generator optimizer"]["state"].values() for name in s}
    assert kept == ({"step", "exp_avg_sq"} if beta1 == 0 else {"step", "exp_avg", "exp_avg_sq"})
    for mine, theirs in zip(optimizers, others, strict=True):
        for number, moments in mine.state_dict()["state"].items():
            found = theirs.state_dict()["state"][number]
            torch.testing.assert_close(found["exp_avg_sq"], moments["exp_avg_sq"], rtol=1e-2, atol=0)
            assert found["exp_avg_sq"].dtype == torch.float32 and found["step"] == 1
    for runs in ((nets, optimizers), (other, others)):
        step_once(config, split, *runs, 1)
    mine, theirs = (torch.cat([p.flatten() for p in n.generator.parameters()]) for n in (nets, other))
    assert ((theirs - mine).abs() > 0.1 * config.optimizer.generator_lr).float().mean() < 0.05


def test_what_was_taken_over_may_learn_more_slowly(config, split, tmp_path):
    small = with_options(config, {"generator.channels": (4,), "disc_input_sizes": (64,)})
    first = build_networks(small, split.vocabulary).generator
    save_part(first, first.config, tmp_path / "run/average", "generator", split.vocabulary.hash)
    config = with_options(config, {"init_from": tmp_path / "run", "optimizer.pretrained_lr": 1e-6})
    nets, optimizers = begin(config, split)
    before = copy_of(nets.generator)
    step_once(config, split, nets, optimizers)
    longest = {
        name.split(".")[0]: float((p.detach() - before[name]).abs().max())
        for name, p in nets.generator.named_parameters()
    }
    assert longest["first"] == pytest.approx(1e-6, rel=0.2) and longest["stages"] == pytest.approx(2e-4, rel=0.2)
    assert load_state_dict(state_dict(nets, optimizers, 1), *begin(config, split)) == 1


# ----------------------------------------------------------------------------------------------------- presets


def counted(module):
    return sum(p.numel() for p in module.parameters())


def test_presets_bear_their_own_names_and_survive_the_command_line():
    assert set(PRESETS) == {
        "birds-32", "birds-64", "birds-128", "birds-128-together", "birds-256", "birds-256-frechet",
        "birds-64-frechet", "birds-cascade-64", "birds-cascade-128", "birds",
        "birds-cascade-256",
        "coco", "shapes", "folder",
        "shapes-attngan", "shapes-dmgan", "shapes-ssagan", "shapes-dfgan", "shapes-stackgan2", "shapes-gan-int-cls",
        "birds-paper", "birds-released", "coco-paper", "attngan-paper", "attngan-coco-paper", "attndcgan-paper",
        "dmgan-paper", "dmgan-coco-paper", "shapes-stackgan", "shapes-stackgan-64", "stackgan-paper",
        "stackgan-256-paper", "stackgan-coco-paper", "stackgan-coco-256-paper",
        "shapes-gawwn", "shapes-gawwn-keypoints", "gawwn-paper", "gawwn-keypoints-paper",
        "ssagan-paper", "ssagan-coco-paper", "dfgan-paper", "dfgan-coco-paper", "stackgan2-paper", "gan-int-cls-paper",
    }  # fmt: skip
    for name, preset in PRESETS.items():
        assert preset.name == name
        assert parse(PRESETS, [name]) == preset
        words = [word for option, value in as_json(preset).items() for word in shlex.split(as_words(option, value))]
        assert parse({name: GanConfig()}, [name, *words]) == preset
        assert with_options(GanConfig(), json.loads(json.dumps(as_json(preset)))) == preset


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_s_networks_can_be_built(name):
    preset = PRESETS[name]
    with torch.device("meta"):
        generator = build_generator(preset, 256)
        for stage, size in enumerate(preset.disc_input_sizes):
            if size and preset.discriminator_trunk is None:
                build_discriminator(preset, stage, generator.discriminator_condition_dim, find_trunk)
            elif size:
                preset.discriminator_config(stage, generator.discriminator_condition_dim)
    assert generator.sizes == preset.sizes
    expected = {
        "birds-paper": 7_105_392, "attngan-paper": 7_084_592, "attngan-coco-paper": 13_811_456,
        "ssagan-paper": 29_494_273, "dfgan-paper": 9_744_131, "dmgan-paper": 21_449_042, "dmgan-coco-paper": 22_335_314,
        "gawwn-paper": 73_152_483, "gawwn-keypoints-paper": 26_077_827,
    }  # fmt: skip
    assert counted(generator) == expected.get(name, counted(generator))


def test_published_settings():
    # Learning rates, moments, weights, sizes: as in the released configurations.
    for name in ("birds-paper", "attngan-paper", "coco-paper"):
        preset = PRESETS[name]
        assert preset.sizes == (64, 128, 256)
        assert (preset.discriminator.plugin, preset.losses.objective) == ("pyramid", "cross_entropy")
        assert preset.pictures.augment == 0.0
        adam = OptimizerConfig(generator_lr=2e-4, discriminator_lr=2e-4, beta1=0.5, beta2=0.999, ema=0.999)
        assert (preset.optimizer, preset.objective) == (adam, OBJECTIVES["cross_entropy"])
        drawn = preset.generator
        assert all(preset.disc_input_sizes) and drawn.word_attention and drawn.kl_weight == 1.0
        assert not (drawn.skip_images or drawn.standardize_text)
    birds, attngan, coco = PRESETS["birds-paper"], PRESETS["attngan-paper"], PRESETS["coco-paper"]
    assert (birds.losses.redescription, birds.losses.redescription_share, birds.losses.damsm) == (20.0, 1.0, 0.0)
    assert birds.generator == GeneratorConfig() and birds.discriminator.channels == 64
    assert (birds.batch, birds.steps, birds.text.longest) == (12, 650 * 737, 18)
    assert (attngan.losses.redescription, attngan.losses.damsm) == (0.0, 5.0)
    assert attngan.generator.plugin == "attngan"
    assert (attngan.batch, attngan.steps, attngan.text.longest) == (20, 600 * 442, 18)
    assert coco.generator == GeneratorConfig(channels=(48, 48, 48), residual_blocks=3)
    assert coco.discriminator.channels == 96
    assert (coco.batch, coco.steps, coco.text.longest, coco.losses.redescription, coco.losses.damsm) == (
        14,
        120 * 5913,
        12,
        20.0,
        0.0,
    )


def test_published_settings_of_the_other_systems():
    ssagan, dfgan = PRESETS["ssagan-paper"], PRESETS["dfgan-paper"]
    for preset in (ssagan, dfgan):
        assert preset.objective == OBJECTIVES["hinge_ma_gp"] and preset.objective.gradient_penalty == 2.0
        adam = OptimizerConfig(generator_lr=1e-4, discriminator_lr=4e-4, beta1=0.0, beta2=0.9, ema=0.0)
        assert preset.sizes == (256,) and preset.optimizer == adam and preset.losses.redescription == 0
    assert (ssagan.batch, ssagan.steps, ssagan.losses.damsm, ssagan.text.training) == (24, 600 * 368, 0.1, "detached")
    assert (
        ssagan.losses.separate_penalty_step
        and ssagan.losses.damsm_gammas == (5.0, 5.0, 10.0)
        and ssagan.optimizer.text_lr == 4e-5
    )
    assert (dfgan.batch, dfgan.steps, dfgan.losses.damsm, dfgan.losses.separate_penalty_step) == (
        32,
        1301 * 276,
        0.0,
        False,
    )
    assert ssagan.discriminator_config(0).widest == 16 and dfgan.discriminator_config(0).widest == 8
    memory, coco = PRESETS["dmgan-paper"], PRESETS["dmgan-coco-paper"]
    for preset in (memory, coco):
        assert preset.objective == OBJECTIVES["cross_entropy"] and preset.sizes == (64, 128, 256)
        adam = OptimizerConfig(generator_lr=2e-4, discriminator_lr=2e-4, beta1=0.5, beta2=0.999, ema=0.999)
        assert (preset.optimizer, preset.losses.redescription) == (adam, 0.0)
        assert preset.losses.damsm_gammas == (4.0, 5.0, 10.0)
        judge = preset.discriminator_config(0)
        assert (judge.norm, judge.channels, judge.spectral_norm) == ("spectral", 32, False)
    assert (memory.batch, memory.steps, memory.losses.damsm, memory.text.longest) == (10, 800 * 885, 5.0, 18)
    assert (coco.batch, coco.steps, coco.losses.damsm, coco.text.longest) == (16, 200 * 5173, 50.0, 12)
    tree, first = PRESETS["stackgan2-paper"], PRESETS["gan-int-cls-paper"]
    assert (tree.batch, tree.steps, tree.sizes) == (24, 600 * 368, (64, 128, 256))
    assert tree.objective == OBJECTIVES["cross_entropy_sum"] and tree.generator.kl_weight == 2.0
    assert (first.batch, first.sizes, first.optimizer.beta1, first.optimizer.generator_lr) == (64, (64,), 0.5, 2e-4)
    assert first.objective.interpolation == 0.5 and first.optimizer.lr_halve_every * 6 == first.steps == 600 * 138
    for name in ("gawwn-paper", "gawwn-keypoints-paper"):
        preset = PRESETS[name]
        assert (preset.batch, preset.sizes) == (16, (128,)) and preset.discriminator.channels == 128
        halve_every = 100 * 553
        assert preset.optimizer == OptimizerConfig(generator_lr=2e-4, beta1=0.5, ema=0.0, lr_halve_every=halve_every)
        assert preset.steps == 6 * halve_every and preset.objective == OBJECTIVES["cross_entropy"]
        assert not preset.objective.interpolation and preset.discriminator_config(0).location == preset.location
    one, two = PRESETS["stackgan-paper"], PRESETS["stackgan-256-paper"]
    for preset, epochs in ((one, 50), (two, 100)):
        assert (preset.batch, preset.steps, preset.optimizer.ema, preset.optimizer.beta1) == (64, 600 * 138, 0.0, 0.5)
        assert preset.optimizer.lr_halve_every == epochs * 138 and preset.objective == OBJECTIVES["cross_entropy"]
        drawn, judge = preset.generator, preset.discriminator_config(preset is two)
        assert (drawn.kl_weight, drawn.condition_dim, drawn.form) == (2.0, 128, "birds")
        assert judge.narrow == (preset is two) and judge.channels == 64 and not judge.text_norm
    assert (one.sizes, two.sizes, two.disc_input_sizes, two.first_trained) == ((64,), (64, 256), (0, 256), 1)
    assert two.init_from == one.folder and two.generator.residual_blocks == 4
    one, two = PRESETS["stackgan-coco-paper"], PRESETS["stackgan-coco-256-paper"]
    assert (one.batch, one.steps, one.optimizer.lr_halve_every) == (128, 120 * 646, 20 * 646)
    assert (two.batch, two.steps, two.optimizer.lr_halve_every) == (40, 100 * 2069, 20 * 2069)
    assert two.generator_config(1024) == stackgan.FORMS["coco"] and two.init_from == one.folder
    judges = [one.discriminator_config(0, 128), two.discriminator_config(1, 128)]
    assert [(j.unconditional, j.start, j.channels) for j in judges] == [(False, "normal", 96), (True, "normal", 96)]
    dcgan = PRESETS["attndcgan-paper"]
    assert (dcgan.batch, dcgan.sizes, dcgan.losses.damsm) == (30, (256,), 1.0)
    assert not dcgan.discriminator_config(0).unconditional and dcgan.generator.residual_blocks == 0
    assert PRESETS["birds-released"].losses.redescription == 10.0 and PRESETS["attngan-coco-paper"].losses.damsm == 50.0


def test_published_pairs_cuts_and_modes():
    paper = {name: preset for name, preset in PRESETS.items() if name.endswith("-paper") or name == "birds-released"}
    own = {"stackgan2-paper": "pictures", "gan-int-cls-paper": "pictures", "stackgan-paper": "pictures",
           "stackgan-256-paper": "pictures", "stackgan-coco-paper": "next", "stackgan-coco-256-paper": "next",
           "dfgan-paper": "sentences", "dfgan-coco-paper": "sentences", "gawwn-paper": "sentences",
           "gawwn-keypoints-paper": "sentences"}  # fmt: skip
    assert len(paper) == 20
    for name, preset in paper.items():
        assert preset.losses.wrong_pairs == own.get(name, "neighbours"), name
        # 76 to 64 (AttnGAN and its relatives), GAWWN 150 to 128
        assert preset.pictures.cut_margin == (22 / 128 if name.startswith("gawwn") else 12 / 64)
        assert preset.text.dropout == name.startswith("ssagan")
        assert preset.losses.fresh_noise == (name in ("gan-int-cls-paper", "stackgan-paper", "stackgan-256-paper"))
    assert PRESETS["stackgan2-paper"].discriminator_config(0).sentence_first
    judge = PRESETS["gan-int-cls-paper"].discriminator_config(0)
    assert judge.text_norm and not judge.last_activation


def test_attngan_s_coco_generator_has_its_published_size():
    config = with_options(PRESETS["coco-paper"], {"generator": "attngan", "generator.residual_blocks": 3})
    with torch.device("meta"):
        assert counted(build_generator(config, 256)) == 13_811_456


def test_damsm_s_gradient_reaches_the_last_picture_through_frozen_networks(config, split):
    nets = build_networks(config, split.vocabulary)
    batch = feed_for(config, split, nets).read(0)
    criterion = Criterion(nets, config)
    drawn = criterion.draw(batch)
    pictures = drawn.images[-1]
    pictures.retain_grad()
    criterion.generator(batch, drawn).named["damsm"].backward()
    assert (pictures.grad.abs().sum(dim=(1, 2, 3)) > 0).all()
    assert all(p.grad is None for p in nets.image_encoder.parameters())


def test_without_redescription_no_captioner_is_needed(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(with_options(config, {"steps": 1, "losses.redescription": 0.0, "captioner": tmp_path / "nowhere"}))


# ------------------------------------------------------------------------------------------------------ guards


def test_what_the_frechet_loss_cannot_measure_stops_the_run_and_keeps_the_last_good_state(
    config, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    train(dataclasses.replace(config, steps=2))
    before = load_state(tmp_path / "runs/small")

    def unmeasurable(*given):
        raise NotFiniteError("3 of 4 values of features are NaN or infinite")

    monkeypatch.setattr("train.adversarial.training.train_step", unmeasurable)
    with pytest.raises(
        FloatingPointError, match=r"step 3: 3 of 4 .*saved state is kept.* lower --optimizer\.generator-lr"
    ):
        train(dataclasses.replace(config, steps=4))
    assert_same(load_state(tmp_path / "runs/small"), before)
