import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.checkpoint import save_part
from mirrorgan.images import from_uint8
from train import gan
from train.data.features import CachedFeatures
from train.data.packed import load_packed
from train.data.sampling import hold_out
from train.encoders.captioner import PRESETS, CaptionerTraining, build, describe_all, references, train_step, validate
from train.encoders.pretraining import PretrainData
from train.runtime.options import with_options


@pytest.fixture
def split(packed):
    return load_packed(packed, "train")


@pytest.fixture
def config(tiny_backbone):
    return CaptionerTraining(name="small", batch=12, device="cpu", backbone="tiny", image_size=32, dropout=0.0, lr=2e-2)


@pytest.fixture
def captioner(split, tiny_backbone):
    sizes = {"embedding_dim": 12, "hidden_dim": 16, "longest": 9}
    config = CaptionerConfig(vocabulary_size=len(split.vocabulary), backbone="tiny", image_size=32, **sizes)
    return Captioner(config, tiny_backbone)


@pytest.fixture
def attentive(split, tiny_backbone):
    sizes = {"embedding_dim": 12, "hidden_dim": 16, "longest": 9, "attention_dim": 8}
    config = CaptionerConfig(vocabulary_size=len(split.vocabulary), backbone="tiny", image_size=32, **sizes)
    return Captioner(config, tiny_backbone)


@pytest.fixture
def cached(split, tiny_backbone):
    with torch.inference_mode():
        levels, pooled, _ = tiny_backbone(from_uint8(torch.from_numpy(split.pictures(32).copy())))
    return CachedFeatures(levels[2].numpy().astype(np.float16), pooled.numpy().astype(np.float16))


def learn(captioner, config, split, cached, steps):
    data = PretrainData(split, captioner.backbone, [cached, cached], *hold_out(split, 0))
    optimizer = torch.optim.Adam(captioner.parameters(), config.lr)
    captioner.train()
    return [float(train_step(captioner, optimizer, config, data, step)["cross-entropy"]) for step in range(steps)]


def test_a_step_moves_the_captioner_and_not_its_trunk(captioner, config, split, cached, tiny_backbone):
    before = {name: p.detach().clone() for name, p in captioner.named_parameters()}
    trunk = {key: value.clone() for key, value in tiny_backbone.state_dict().items()}
    learn(captioner, config, split, cached, 2)
    still = {name for name, p in captioner.named_parameters() if torch.equal(p, before[name])}
    assert not still - {"linear.bias"}  # which the batch norm after it takes away again
    assert all(torch.equal(value, trunk[key]) for key, value in tiny_backbone.state_dict().items())


@pytest.mark.parametrize(("clip", "largest"), [(1e-4, 1.01e-4), (1e6, 1e6)])
def test_the_gradient_is_clipped_to_the_norm_that_is_asked_for(captioner, config, split, cached, clip, largest):
    data = PretrainData(split, captioner.backbone, [cached, cached], *hold_out(split, 0))
    standing = torch.optim.SGD(captioner.parameters(), 0.0)
    train_step(captioner, standing, replace(config, clip=clip), data, 0)
    norm = torch.stack([p.grad.norm() for p in captioner.parameters() if p.grad is not None]).norm()
    assert 0.99 * min(clip, 0.01) < norm <= largest  # a step as it comes has more than 0.01


def test_it_learns_to_say_the_colours(captioner, config, split, cached):
    captioner.norm.momentum = 0.1  # its 0.01 is for thousands of steps
    seen = torch.randn(4, 8)[split.groups.long()] + 0.1 * torch.randn(len(split), 8)  # every colour looks its own
    cached = CachedFeatures(cached.regional, seen.numpy().astype(np.float16))
    losses = learn(captioner, config, split, cached, 150)
    assert losses[-1] < 0.2 * losses[0]
    said = describe_all(captioner, split, cached, torch.arange(len(split)))
    right = [
        any(words == reference for reference in own)
        for words, own in zip(said, references(split, torch.arange(len(split))), strict=True)
    ]
    assert sum(right) >= 9  # of 12
    assert validate(captioner, split, cached, torch.arange(len(split))) > 0.5


def test_with_regions_it_learns_what_only_a_region_shows(attentive, config, split, cached):
    # Every picture looks the same as a whole; its colour is at one place, another one in each picture.
    config = replace(config, attention_dim=8)
    attentive.norm.momentum = 0.1
    pooled = torch.randn(1, 8).expand(len(split), 8) + 0.1 * torch.randn(len(split), 8)
    regional = 0.1 * torch.randn(len(split), 6, 2, 2)
    places = torch.arange(len(split)) % 4
    regional[torch.arange(len(split)), :, places // 2, places % 2] += 3 * torch.randn(4, 6)[split.groups.long()]
    cached = CachedFeatures(regional.numpy().astype(np.float16), pooled.numpy().astype(np.float16))
    learn(attentive, config, split, cached, 200)
    rows = torch.arange(len(split))
    said = describe_all(attentive, split, cached, rows)
    colours = ("red", "blue", "yellow", "black")
    named = [{word for word in words if word in colours} for words in said]
    asked = [{word for word in caption[0] if word in colours} for caption in references(split, rows)]
    assert sum(mine == theirs for mine, theirs in zip(named, asked, strict=True)) >= 9  # of 12
    attentive.eval()
    word = split.vocabulary.encode(["a", "small", "red", "bird"])
    seen = attentive.project(torch.from_numpy(cached.pooled).float(), torch.from_numpy(cached.regional).float())
    looks = attentive.maps(seen, torch.tensor([word]).expand(len(split), -1)).flatten(2)
    own = looks[torch.arange(len(split)), 2, places]  # of the colour word, at the place that shows it
    assert own.mean() > 0.5


def test_a_generator_learns_from_a_captioner_that_looks_at_regions(tmp_path, encoders, gan_config, split, tiny_backbone,
                                                                   monkeypatch):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    shape = CaptionerConfig(
        vocabulary_size=len(split.vocabulary), backbone="tiny", image_size=32, embedding_dim=6, hidden_dim=7, longest=6,
        attention_dim=5,
    )  # fmt: skip
    save_part(Captioner(shape, tiny_backbone), shape, encoders, "captioner", split.vocabulary.hash)
    small = {"steps": 2, "disc_input_sizes": (32, 32), "losses.damsm": 0.0, "losses.redescription": 1.0}
    config = with_options(gan_config, small | {"report_every": 1})
    gan.train(config)
    lines = [json.loads(line) for line in (tmp_path / "runs/small/log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["redescription"] > 0 for line in lines if "redescription" in line] == [True, True]


@pytest.mark.parametrize("name", ["birds", "coco", "shapes", "folder"])
def test_the_presets_with_regions_are_the_others_with_attention(name):
    with_regions = PRESETS[f"{name}-regions"]
    assert with_regions.attention_dim > 0
    assert replace(with_regions, attention_dim=0, name=PRESETS[name].name) == PRESETS[name]


def test_describing_leaves_the_captioner_in_training_and_itself(captioner, split, cached):
    captioner.train()
    before = {key: value.clone() for key, value in captioner.state_dict().items()}
    describe_all(captioner, split, cached, torch.tensor([0, 5]))
    assert captioner.training and captioner.norm.training
    assert all(torch.equal(value, before[key]) for key, value in captioner.state_dict().items())


def test_a_captioner_is_built_as_the_run_says(config, split, tiny_backbone, cached):
    data = PretrainData(split, tiny_backbone, [cached, cached], *hold_out(split, 0))
    first, second = build(config, data), build(config, data)
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())
    assert first.config == CaptionerConfig(
        vocabulary_size=len(split.vocabulary), backbone="tiny", image_size=32, ends=True, dropout=0.0
    )


def test_a_description_is_that_of_the_picture_itself(captioner, split, cached):
    rows = torch.tensor([7, 2])
    said = describe_all(captioner, split, cached, rows)
    captioner.eval()
    for words, row in zip(said, rows.tolist(), strict=True):
        seen = captioner.project(torch.from_numpy(cached.pooled[row : row + 1]).float())
        assert split.vocabulary.decode(captioner.greedy(seen)[0].tokens) == words


def test_references_are_all_captions_of_a_picture_as_words(split):
    (of_one,) = references(split, torch.tensor([0]))
    assert of_one == [["a", "small", "red", "bird"], ["this", "bird", "has", "red", "wings", "and", "a", "beak"]]
