"""What all tests share: a fixed seed, and a trunk and a data set that are small enough for a test."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mirrorgan import backbones
from mirrorgan.backbones import Backbone, BackboneFeatures, build_backbone
from train.pack import pack


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


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
        (root / "text" / f"{key}.txt").write_text(f"a small {colour} bird\nthis bird has {colour} wings and a beak\n")
    lines = [f"{number} {key}.jpg\n" for number, key in enumerate(keys)]
    (root / "CUB_200_2011/images.txt").write_text("".join(lines))
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
