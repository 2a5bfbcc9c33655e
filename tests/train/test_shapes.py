"""The test bed: a judge that knows what it sees, and a model that learns to draw what captions say."""

import sys
from pathlib import Path

import pytest
from PIL import Image

from mirrorgan import MirrorGAN
from tests.train.scenes import look
from train import gan
from train.data.datasets import shapes
from train.encoders import captioner, damsm
from train.evaluation.placement import measure
from train.pack import main as pack
from train.publishing.export import Runs, export


@pytest.mark.parametrize(("size", "least"), [(16, 0.95), (32, 0.99)])
def test_the_judge_knows_real_pictures_at_the_size_that_is_drawn(size, least):
    examples = shapes.read().splits["test"]
    seen = [look(example.image().resize((size, size), Image.Resampling.BILINEAR)) for example in examples]
    right = [
        found == (example.image.things[0].colour, example.image.things[0].shape)
        for found, example in zip(seen, examples, strict=True)
    ]
    assert sum(right) >= least * len(right)


def test_the_judge_is_not_pleased_by_anything():
    assert look(Image.new("RGB", (32, 32), "red")) is None
    half = Image.new("RGB", (32, 32), "blue")
    half.paste((205, 35, 35), (8, 8, 24, 24))
    assert look(half) == ("red", "square")


@pytest.fixture(scope="module")
def schooled(tmp_path_factory):
    """A folder with packed shapes, and with encoders and a captioner that know them: once for all systems."""
    folder = tmp_path_factory.mktemp("shapes")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["pack", "shapes", "--out", "packed/shapes"])
        pack()
        damsm.train(damsm.PRESETS["shapes"])
        captioner.train(captioner.PRESETS["shapes"])
    return folder


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("preset", "colour", "form"),
    [
        ("shapes", 0.9, 0.55),
        ("shapes-attngan", 0.9, 0.4),
        ("shapes-dmgan", 0.9, 0.4),
        ("shapes-ssagan", 0.85, 0.6),
        ("shapes-gan-int-cls", 0.9, 0.4),
        ("shapes-stackgan2", 0.9, 0.0),  # forms take longer than this
        ("shapes-dfgan", 0.6, 0.0),
    ],
)
def test_colours_and_forms_follow_captions_in_minutes(schooled, monkeypatch, capsys, preset, colour, form):
    """The least shares of drawings that have what their caption asks for; chance: 20 % and 25 %."""
    monkeypatch.chdir(schooled)
    gan.train(gan.PRESETS[preset])
    runs = Runs(
        generator=Path("runs") / preset, encoders=Path("runs/shapes-damsm"), captioner=Path("runs/shapes-captioner")
    )
    model = MirrorGAN.load(export(schooled / preset, runs, preset, ["a large red cross on a white background"]))
    examples = shapes.read().splits["train"][:300]
    drawn = [list(model.grow(example.captions[0], seed, False))[-1].image for seed, example in enumerate(examples)]
    asked = [(example.image.things[0].colour, example.image.things[0].shape) for example in examples]
    right = [sum(a[k] == b[k] for a, b in zip(map(look, drawn), asked, strict=True) if a) / 300 for k in (0, 1)]
    with capsys.disabled():
        print(f"{preset}: colour {right[0]:.1%}, form {right[1]:.1%}")
    assert right[0] >= colour and right[1] >= form


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_shape_is_drawn_where_it_is_told(schooled, monkeypatch, capsys):
    """Better than by never moving: the same box in the middle overlaps with those that are told by 0.38, and the boxes
    that are told, in another order, by 0.27 (4,000 boxes)."""
    monkeypatch.chdir(schooled)
    gan.train(gan.PRESETS["shapes-gawwn"])
    runs = Runs(
        generator=Path("runs/shapes-gawwn"), encoders=Path("runs/shapes-damsm"),
        captioner=Path("runs/shapes-captioner"),
    )  # fmt: skip
    model = MirrorGAN.load(export(schooled / "gawwn", runs, "gawwn", ["a large red cross on a white background"]))
    captions = [example.captions[0] for example in shapes.read().splits["train"][:100]]
    found = measure(model, captions)
    with capsys.disabled():
        print(found)
    assert found.overlap > 0.4 and found.across > 0.5 and found.down > 0.5 and found.size > 0.2
