import json
import math
from dataclasses import replace

import pytest
import torch

from mirrorgan.backbones import fold_batch_norms
from mirrorgan.drawing import CheckpointError
from mirrorgan.expert import Expert, ExpertConfig, load_expert
from mirrorgan.images import from_uint8
from train.adversarial.config import GanConfig
from train.adversarial.networks import build_networks
from train.adversarial.training import train as train_gan
from train.data.packed import load_packed
from train.encoders.expert import (
    PRESETS,
    ExpertTraining,
    build,
    build_optimizer,
    cut_parts,
    highest,
    hold_out_pictures,
    measure,
    mirrored,
    part_targets,
    train,
    train_step,
)
from train.encoders.pretraining import PretrainData
from train.encoders.trunks import find_trunk
from train.runtime.options import with_options
from train.runtime.state import load_state

NAMES = ("beak", "left eye", "right eye")


@pytest.fixture
def split(packed):
    return load_packed(packed, "train")


@pytest.fixture
def config(tiny_backbone, packed, monkeypatch):
    monkeypatch.setattr("train.encoders.expert.load_trunk", lambda name, weights: tiny_backbone)
    return ExpertTraining(
        name="small", data=packed, steps=6, batch=4, device="cpu", backbone="tiny", image_size=32, margin=4,
        held_out=2, validate_every=3, lr=1e-2, head_lr=3e-2, report_every=1, precision="float32",
    )  # fmt: skip


@pytest.fixture
def expert(tiny_backbone):
    return Expert(ExpertConfig(backbone="tiny", classes=("a", "b"), parts=NAMES), tiny_backbone)


def test_a_part_becomes_a_gaussian_around_its_place():
    parts = torch.tensor([[[0.3, 0.7], [math.nan, math.nan]]])
    found = part_targets(parts, 8, 0.8)
    assert found.shape == (1, 2, 8, 8) and not found[0, 1].any()
    for row in range(8):
        for column in range(8):
            away = ((column + 0.5) - 0.3 * 8) ** 2 + ((row + 0.5) - 0.7 * 8) ** 2
            assert found[0, 0, row, column].item() == pytest.approx(math.exp(-away / (2 * 0.8**2)), rel=1e-4)


def test_a_part_is_found_where_its_target_is_highest():
    parts = torch.rand(5, 3, 2)
    apart = highest(part_targets(parts, 10, 0.8)) - parts
    assert apart.abs().max() <= 0.05 + 1e-6  # half of a place


def test_mirroring_exchanges_left_and_right():
    assert mirrored(NAMES) == [0, 2, 1]
    assert mirrored(("left eye", "beak")) == [0, 1]  # no other side to change with


def test_parts_follow_their_picture_through_cut_and_mirror():
    """A bright dot a part, in a picture that is cut and mirrored as a step does it."""
    whole, size, corner = 20, 12, (3, 5)
    dots = [(9, 6), (12, 11), (7, 13)]  # x, y in pixels
    parts = torch.tensor([[((x + 0.5) / whole, (y + 0.5) / whole) for x, y in dots]])
    for flip in (False, True):
        moved = cut_parts(parts, torch.tensor([corner]), torch.tensor([flip]), NAMES, whole, size)
        for place, (x, y) in enumerate(dots):
            picture = torch.zeros(whole, whole)
            picture[y, x] = 1
            cut = picture[corner[0] : corner[0] + size, corner[1] : corner[1] + size]
            row, column = (cut.flip(1) if flip else cut).nonzero()[0].tolist()
            expected = torch.tensor([(column + 0.5) / size, (row + 0.5) / size])
            torch.testing.assert_close(moved[0, mirrored(NAMES)[place] if flip else place], expected)


def test_held_out_pictures_are_of_the_same_classes_and_not_learnt_from(split):
    kept, held = hold_out_pictures(split, 1000)
    assert len(held) == len(split) // 5 and not set(kept.tolist()) & set(held.tolist())
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(len(split)))


def test_two_steps_move_all_weights_and_no_batch_statistics(config, split, tiny_backbone):
    data = PretrainData(split, tiny_backbone, [], *hold_out_pictures(split, 2))
    expert = build(config, split, data)
    optimizer = build_optimizer(config, expert)
    before = {name: value.clone() for name, value in expert.state_dict().items()}
    given = {name: value.clone() for name, value in tiny_backbone.state_dict().items()}
    train_step(expert, optimizer, config, data, split.pictures(36), 0)  # the heads, which begin at zero
    losses = train_step(expert, optimizer, config, data, split.pictures(36), 1)
    assert set(losses) == {"classes", "parts"} and all(loss.isfinite() for loss in losses.values())
    still = {name for name, value in expert.state_dict().items() if torch.equal(value, before[name])}
    assert still == {name for name in before if "running" in name or "num_batches" in name}
    assert all(torch.equal(value, given[name]) for name, value in tiny_backbone.state_dict().items())


def test_it_learns_classes(config, split, tiny_backbone):
    config = replace(config, batch=8, dropout=0.0, head_lr=1e-1)
    data = PretrainData(split, tiny_backbone, [], *hold_out_pictures(split, 0))
    expert = build(config, split, data)
    optimizer = build_optimizer(config, expert)
    for group in optimizer.param_groups:
        group["lr"] = config.lr * group["lr_scale"]
    losses = [float(train_step(expert, optimizer, config, data, split.pictures(36), n)["classes"]) for n in range(60)]
    assert losses[-1] < 0.8 * losses[0]
    scores = measure(expert, split, split.pictures(36), torch.arange(len(split)), config)
    assert scores["classes"] >= 0.75 and set(scores) == {"classes", "beak", "left eye"}  # no right eye is to be seen


def test_a_run_stops_and_goes_on_to_the_same_numbers(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(config)
    train(replace(config, name="halves", steps=3, schedule="constant"))
    train(replace(config, name="whole", schedule="constant"))
    folder = train(replace(config, name="halves", schedule="constant"))
    one, other = (load_state(tmp_path / "runs" / name)["network"] for name in ("whole", "halves"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    content = json.loads((folder / "expert.json").read_text(encoding="utf-8"))
    assert content["pictures"] == 2 and 0 <= content["scores"]["classes"] <= 1
    assert "names the class of" in (folder / "README.md").read_text(encoding="utf-8")


def test_what_was_kept_is_a_trunk_by_name(config, split, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = train(config)
    trunk = find_trunk("expert", (), folder)
    assert trunk.config.parts == split.part_names and len(trunk.config.classes) == 4
    images = from_uint8(torch.from_numpy(split.pictures(32).copy()))
    plain = trunk(images)
    assert plain.parts.shape == (12, 3, 2, 2) and plain.parts.min() >= 0 and plain.parts.max() <= 1
    folded = fold_batch_norms(find_trunk("expert", (), folder))(images)
    torch.testing.assert_close(folded.parts, plain.parts, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(folded.pooled, plain.pooled, rtol=1e-3, atol=1e-4)
    assert not any(p.requires_grad for p in trunk.parameters())


def test_discriminators_and_the_frechet_loss_look_through_it(config, split, tmp_path, monkeypatch, encoders):
    monkeypatch.chdir(tmp_path)
    training = with_options(
        GanConfig(),
        {
            "data": config.data,
            "name": "gan",
            "steps": 1,
            "batch": 4,
            "device": "cpu",
            "encoders": encoders,
            "captioner": encoders,
            "expert": train(config),
            "generator.first_size": 16,
            "generator.channels": (4, 4),
            "generator.residual_blocks": 1,
            "disc_input_sizes": (0, 64),
            "text.longest": 5,
            "discriminator": "projected",
            "discriminator.backbone": "expert",
            "losses.objective": "hinge",
            "generator.standardize_text": True,
            "losses.redescription": 0.0,
            "losses.frechet": 1.0,
            "losses.frechet_pooled": ("expert",),
            "losses.frechet_spatial": ("expert", "tiny"),
            "losses.frechet_parts": ("expert",),
            "losses.frechet_size": 32,
            "precision": "float32",
        },
    )
    nets = build_networks(training, split.vocabulary)
    assert isinstance(nets.discriminators[0]._backbone[0], Expert)
    assert [known.places for known in nets.moments] == [1, 9, 1, 9]
    folder = train_gan(training)
    state = load_state(tmp_path / "runs/gan")["moments"]
    assert state["2.basis"].shape == (15, 15) and state["3.seen"] > 0  # five numbers of three parts
    assert (folder / "generator.safetensors").is_file()


def test_without_an_expert_the_message_says_how_to_get_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no expert in it \(expert\.json is missing\); train one"):
        find_trunk("expert", (), tmp_path)


def test_another_shape_than_the_files_say_is_refused(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = train(config)
    content = json.loads((folder / "expert.json").read_text(encoding="utf-8"))
    content["config"]["classes"] = content["config"]["classes"][:3]
    (folder / "expert.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"to_classes\.weight is \(4, 8\), but the configuration"):
        load_expert(folder)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"backbone": "efficientnet_lite2"}, "scores look through it"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"part_sigma": 0.0}, "part_sigma must be positive"),
        ({"margin": -1}, "margin must be 0 pixels or more"),
        ({"part_weight": -1.0}, "part_weight must be 0 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        with_options(PRESETS["birds"], wrong)


def test_a_trunk_without_parts_gives_no_heat_maps(expert, tiny_backbone):
    bare = Expert(ExpertConfig(backbone="tiny", classes=("a", "b")), tiny_backbone)
    images = torch.rand(2, 3, 32, 32)
    assert bare(images).parts is None and expert(images).parts.shape == (2, 3, 2, 2)
