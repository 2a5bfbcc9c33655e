"""What the tests of the generator's training share: encoders with random weights, and a small configuration."""

import functools
from dataclasses import replace

import pytest

from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.checkpoint import save_part, save_tensors
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from train.adversarial.config import GanConfig
from train.adversarial.networks import recalibrate
from train.data.packed import load_packed
from train.runtime.options import with_options


@pytest.fixture(autouse=True)
def few_drawings_beside_the_steps(monkeypatch):
    """A training draws 640 pictures before its first step, for the Frechet loss, and 24 batches at its end, for the
    average's batch norms. Of networks of a few channels, 16 pictures and two batches say as much."""
    monkeypatch.setattr("train.adversarial.training.FIRST", 16)
    monkeypatch.setattr("train.adversarial.training.recalibrate", functools.partial(recalibrate, batches=2))


@pytest.fixture
def split(packed):
    return load_packed(packed, "train")


@pytest.fixture
def encoders(tiny_backbone, split, tmp_path):
    """The folder that the trainings before this one leave, with random weights; in `regions` a captioner that looks at
    regions."""
    folder = tmp_path / "best"
    words = len(split.vocabulary)
    text = TextEncoderConfig(vocabulary_size=words, embedding_dim=5)
    save_part(TextEncoder(text), text, folder, "text_encoder", split.vocabulary.hash)
    see = ImageEncoderConfig(backbone="tiny", image_size=32)
    save_part(ImageEncoder(see, tiny_backbone), see, folder, "image_encoder", split.vocabulary.hash)
    read = CaptionerConfig(
        vocabulary_size=words, backbone="tiny", image_size=32, embedding_dim=6, hidden_dim=7, longest=6
    )
    for config, place in ((read, folder), (replace(read, attention_dim=3), folder / "regions")):
        save_part(Captioner(config, tiny_backbone), config, place, "captioner", split.vocabulary.hash)
    save_tensors(tiny_backbone, folder / "backbone.tiny.safetensors")
    return folder


@pytest.fixture
def gan_config(encoders, packed):
    """Four steps of a small generator on the packed birds."""
    return with_options(
        GanConfig(),
        {
            "data": packed,
            "name": "small",
            "steps": 4,
            "batch": 4,
            "device": "cpu",
            "encoders": encoders,
            "captioner": encoders,
            "generator.first_size": 16,
            "generator.channels": (4, 4),
            "generator.residual_blocks": 1,
            "disc_input_sizes": (64, 64),
            "discriminator.channels": 2,
            "text.longest": 5,
            "losses.damsm": 0.5,
        },
    )


@pytest.fixture
def config(gan_config):
    """What most tests train: the generator. A file of other trainings has a `config` of its own."""
    return gan_config


TINY = {"pyramid": {"discriminator.channels": 2}, "projected": {"discriminator.backbone": "tiny"}}


@pytest.fixture(params=TINY)
def tiny_config(request, tiny_backbone):
    """Two stages of two channels, by either discriminator, without data."""
    return with_options(
        GanConfig(),
        {
            "device": "cpu",
            "batch": 2,
            "generator.first_size": 16,
            "generator.channels": (2, 2),
            "generator.residual_blocks": 1,
            "disc_input_sizes": (64, 64),
            "discriminator": request.param,
            **TINY[request.param],
            "losses.redescription": 0.0,
            "text.longest": 9,
            "precision": "float32",
            "losses.frechet": float(request.param == "projected"),
            "losses.frechet_pooled": ("tiny",),
            "losses.frechet_size": 32,
        },
    )
