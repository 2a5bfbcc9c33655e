"""Drawings by the Plug & Play sampler."""

import copy

import numpy as np
import pytest
import torch

from mirrorgan import CheckpointError, MirrorGAN
from mirrorgan.backbones import build_backbone
from mirrorgan.checkpoint import save_part, save_tensors
from mirrorgan.inverter import Inverter, InverterConfig
from mirrorgan.manifest import read_json, write_manifest
from mirrorgan.sampler import SamplerConfig, start_at
from mirrorgan.vocabulary import pad
from tests.mirrorgan.tiny_checkpoint import CAPTION, TRUNK, WORDS, write_checkpoint


@pytest.fixture(scope="module")
def sampling(tmp_path_factory):
    """A checkpoint with an inverter of another trunk than its captioner's."""
    folder = write_checkpoint(tmp_path_factory.mktemp("sampling") / "tiny", False)
    other = "efficientnet_lite1"
    backbone = build_backbone(other)
    save_tensors(backbone, folder / f"backbone.{other}.safetensors", half=True)
    config = InverterConfig(backbone=other, first_size=32, look_size=32, channels=2)
    save_part(Inverter(config, backbone), config, folder, "inverter", WORDS.hash)
    about = read_json(folder / "checkpoint.json")
    write_manifest(folder, {key: value for key, value in about.items() if key != "files"})
    return MirrorGAN.load(folder)


def test_a_walk_shows_every_step_and_is_its_seed_s(sampling):
    config = SamplerConfig(steps=2)
    steps = list(sampling.sample(CAPTION, 3, config))
    assert [step.step for step in steps] == [0, 1, 2] and all(step.sketch.image.size == (32, 32) for step in steps)
    assert all(np.isfinite(step.log_likelihood) and step.log_likelihood < 0 for step in steps)
    pictures = [step.sketch.image.tobytes() for step in steps]
    assert pictures == [step.sketch.image.tobytes() for step in sampling.sample(CAPTION, 3, config)]
    assert pictures[0] != next(sampling.sample(CAPTION, 4, config)).sketch.image.tobytes()
    captioner = sampling.captioner
    tokens, mask = pad([sampling._tokens(steps[0].sketch.words)])
    generator = torch.Generator().manual_seed(3)
    start = start_at(1, 1280, generator, float(sampling.inverter.deviation)).clamp(0, 6)
    told = captioner.score(captioner.see(sampling.inverter(start)), tokens, mask)[0]
    assert steps[0].log_likelihood == pytest.approx(float(told.mean()), rel=1e-4)


def test_what_cannot_be_sampled_with_says_why(sampling, model):
    with pytest.raises(CheckpointError, match="tiny has no inverter, so nothing can be sampled with it; train one"):
        next(model.sample(CAPTION, 1))
    same = copy.copy(sampling)
    same.networks = copy.copy(sampling.networks)
    same.networks.inverter = Inverter(InverterConfig(backbone=TRUNK, channels=2), build_backbone(TRUNK))
    with pytest.raises(CheckpointError, match=f"both stand on {TRUNK}; the captioner must look through another trunk"):
        next(same.sample(CAPTION, 1))
    same.networks.captioner = None
    with pytest.raises(CheckpointError, match="has no captioner, so it cannot guide a walk"):
        next(same.sample(CAPTION, 1))
