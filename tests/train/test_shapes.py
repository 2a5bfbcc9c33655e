"""The test bed: a judge that knows what it sees, and a model that learns to draw what captions say."""

import sys
from pathlib import Path

import pytest
from PIL import Image

from mirrorgan import MirrorGAN
from tests.train.scenes import look
from train import captioner, damsm, gan
from train.datasets import shapes
from train.export import Runs, export
from train.pack import main as pack


def test_the_judge_knows_real_pictures_at_the_size_that_is_drawn():
    examples = shapes.read().splits["test"]
    seen = [look(example.image().resize((32, 32), Image.Resampling.BILINEAR)) for example in examples]
    right = [
        found == (example.image.things[0].colour, example.image.things[0].shape)
        for found, example in zip(seen, examples, strict=True)
    ]
    assert sum(right) >= 0.99 * len(right)


def test_the_judge_is_not_pleased_by_anything():
    assert look(Image.new("RGB", (32, 32), "red")) is None
    half = Image.new("RGB", (32, 32), "blue")
    half.paste((205, 35, 35), (8, 8, 24, 24))
    assert look(half) == ("red", "square")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_colours_and_forms_follow_captions_in_minutes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pack", "shapes", "--out", "packed/shapes"])
    pack()
    damsm.train(damsm.PRESETS["shapes"])
    captioner.train(captioner.PRESETS["shapes"])
    gan.train(gan.PRESETS["shapes"])
    runs = Runs(
        generator=Path("runs/shapes"), encoders=Path("runs/shapes-damsm"), captioner=Path("runs/shapes-captioner")
    )
    model = MirrorGAN.load(export(tmp_path / "mine", runs, "shapes", ["a large red cross on a white background"]))
    examples = shapes.read().splits["train"][:300]
    drawn = [list(model.grow(example.captions[0], seed, False))[-1].image for seed, example in enumerate(examples)]
    asked = [(example.image.things[0].colour, example.image.things[0].shape) for example in examples]
    right = [sum(a[k] == b[k] for a, b in zip(map(look, drawn), asked, strict=True) if a) / 300 for k in (0, 1)]
    with capsys.disabled():
        print(f"colour {right[0]:.1%}, form {right[1]:.1%}")
    assert right[0] >= 0.9 and right[1] >= 0.55  # chance: 20 % and 25 %
