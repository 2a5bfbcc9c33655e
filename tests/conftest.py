"""What all tests share: a fixed seed, and a trunk that is small enough for a test."""

import pytest
import torch
from torch import nn

from mirrorgan import backbones
from mirrorgan.backbones import Backbone, BackboneFeatures, build_backbone


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
