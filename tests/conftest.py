"""What all tests share: a fixed seed, and a trunk and a data set that are small enough for a test."""

import json
import os
import pickle

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tensors are small, and pytest may run in two processes
os.environ.pop(
    "PYTHONWARNDEFAULTENCODING", None
)  # of this process it is true; programs that tests start would warn too

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mirrorgan import backbones
from mirrorgan.backbones import Backbone, BackboneFeatures, build_backbone
from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.checkpoint import save_part, save_tensors
from mirrorgan.generators.mirrorgan import Config as GeneratorConfig
from mirrorgan.generators.mirrorgan import Generator
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from train import gan
from train.data.packed import load_packed
from train.data.packing import pack
from train.encoders import captioner as stream
from train.encoders import damsm
from train.publishing.export import Runs
from train.runtime.options import as_json, with_options


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


@pytest.fixture
def need_file_names():
    """Skips a test whose file names the locale cannot write."""

    def need(*names):
        try:
            for name in names:
                os.fsencode(name)
        except UnicodeEncodeError:
            pytest.skip("this locale cannot write such file names")

    return need


class TinyBackbone(Backbone):
    """Four convolutions with batch norm, at strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = (4, 5, 6, 8)
        self.pooled_dim = 8
        self.image_size = 32
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=stride, padding=1)
            for before, after, stride in zip((3, 4, 5, 6), self.channels, (4, 2, 2, 2), strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(after) for after in self.channels)
        self.eval()

    def forward(self, images):
        x, levels = images, []
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = norm(convolution(x)).tanh()
            levels.append(x)
        return BackboneFeatures(levels, x.mean(dim=(2, 3)))


@pytest.fixture
def tiny_backbone(monkeypatch):
    """A frozen trunk that is also known by the name "tiny"."""
    monkeypatch.setitem(backbones.BUILDERS, "tiny", TinyBackbone)
    return build_backbone("tiny")


COLOURS = {"red": (200, 40, 40), "blue": (40, 60, 200), "yellow": (220, 200, 60), "black": (20, 20, 20)}


def write_birds(root, pictures):
    """A folder in the layout of birds: for each colour a class, in it so many pictures with two captions each to train
    on, and one to test."""
    classes = [f"{number:03}.{colour}/{colour}" for number, colour in enumerate(COLOURS, start=1)]
    train = [f"{name}_{index:03}" for name in classes for index in range(pictures)]
    test = [f"{name}_{pictures:03}" for name in classes]
    keys = train + test
    numbers = np.random.default_rng(0)
    for key in keys:
        colour = key.split(".")[1].split("/")[0]
        for path in (root / "CUB_200_2011/images" / key, root / "text" / key):
            path.parent.mkdir(parents=True, exist_ok=True)
        pixels = numbers.integers(-30, 31, (40, 48, 3)) + COLOURS[colour]
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "CUB_200_2011/images" / f"{key}.jpg")
        (root / "text" / f"{key}.txt").write_text(
            f"a small {colour} bird\nthis bird has {colour} wings and a beak\n", encoding="utf-8"
        )
    lines = [f"{number} {key}.jpg\n" for number, key in enumerate(keys)]
    (root / "CUB_200_2011/images.txt").write_text("".join(lines), encoding="utf-8")
    (root / "CUB_200_2011/parts").mkdir()
    (root / "CUB_200_2011/parts/parts.txt").write_text("1 beak\n2 left eye\n3 right eye\n", encoding="utf-8")
    places = "".join(f"{n} 1 30 10 1\n{n} 2 24 8 1\n{n} 3 0 0 0\n" for n in range(len(keys)))
    (root / "CUB_200_2011/parts/part_locs.txt").write_text(places, encoding="utf-8")
    for split, chosen in (("train", train), ("test", test)):
        (root / split).mkdir()
        (root / split / "filenames.pickle").write_bytes(pickle.dumps(chosen, protocol=2))
    return root


@pytest.fixture(scope="session")
def pack_birds(tmp_path_factory):
    """Packs birds of four colours; takes how many pictures there should be of each."""

    def pack_them(pictures):
        folder = tmp_path_factory.mktemp("birds")
        pack("birds", write_birds(folder / "raw", pictures), folder / "packed", 40, 90, 1, strict=True)
        return folder / "packed"

    return pack_them


@pytest.fixture(scope="session")
def packed(pack_birds):
    """Twelve packed birds."""
    return pack_birds(3)


@pytest.fixture
def runs(tiny_backbone, packed, tmp_path):
    """Finished runs of random networks: encoders, captioner, and a generator that grew from one stage to two."""
    folder = tmp_path / "runs"
    vocabulary = load_packed(packed, "test").vocabulary

    def begin(name, preset, **options):
        run = folder / name
        (run / "best").mkdir(parents=True)
        config = with_options(preset, {"data": packed, "name": name, **options})
        (run / "config.json").write_text(json.dumps(as_json(config)), encoding="utf-8")
        vocabulary.save(run / "best/vocabulary.json")
        save_tensors(tiny_backbone, run / "best/backbone.tiny.safetensors")
        return run

    encoders = begin("encoders", damsm.PRESETS["birds"], backbone="tiny", batch=16)
    text = TextEncoderConfig(vocabulary_size=len(vocabulary), text_dim=8, embedding_dim=5)
    save_part(TextEncoder(text), text, encoders / "best", "text_encoder", vocabulary.hash)
    see = ImageEncoderConfig(backbone="tiny", image_size=32, text_dim=8)
    save_part(ImageEncoder(see, tiny_backbone), see, encoders / "best", "image_encoder", vocabulary.hash)
    captioner = begin("captioner", stream.PRESETS["birds"], backbone="tiny")
    read = CaptionerConfig(
        vocabulary_size=len(vocabulary), backbone="tiny", image_size=32, embedding_dim=6, hidden_dim=7, longest=6
    )
    save_part(Captioner(read, tiny_backbone), read, captioner / "best", "captioner", vocabulary.hash)
    first: dict[str, torch.Tensor] = {}
    for name, channels, options in (
        ("first", (4,), {"disc_input_sizes": (64,)}),
        ("second", (4, 4), {"disc_input_sizes": (0, 64), "first_trained": 1, "init_from": folder / "first"}),
    ):
        preset = gan.PRESETS["birds-32"]
        options |= {
            "encoders": encoders / "best",
            "captioner": captioner / "best",
            "generator.first_size": 16,
            "generator.channels": channels,
            "discriminator.backbone": "tiny",
            "batch": 4,
        }
        run = begin(name, preset, **options)
        shape = GeneratorConfig(
            text_dim=8, noise_dim=6, condition_dim=5, first_size=16, channels=channels, residual_blocks=1
        )
        generator = Generator(shape)
        first = {**generator.state_dict(), **first}
        generator.load_state_dict(first)
        save_part(
            generator, shape, run / "average", "generator", vocabulary.hash,
            generator="mirrorgan", steps=10 * len(channels), images=40 * len(channels),
        )  # fmt: skip
    logs = {
        "encoders": [(1, 30.0, {"words": 2.0}), (2, 60.0, {"held-out retrieval": 0.25})],
        "captioner": [(2, 5.0, {"held-out CIDEr": 0.5}), (4, 1.0, {"held-out CIDEr": 0.5}), (6, 7.0, {"x": 1.0})],
        "first": [(5, 90.0, {"discriminator": 1.0}), (8, 30.0, {"discriminator": 0.5})],
        "second": [(20, 600.0, {"discriminator": 1.0})],
    }
    for name, reports in logs.items():
        lines = [json.dumps({"step": step, "seconds": seconds} | numbers) for step, seconds, numbers in reports]
        (folder / name / "log.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Runs(generator=folder / "second", encoders=encoders, captioner=captioner)
