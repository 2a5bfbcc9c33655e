"""DF-GAN's generator: one picture, grown from noise; every block is scaled and shifted by noise and sentence.

Tao et al., "DF-GAN: A Simple and Effective Baseline for Text-to-Image Synthesis" (CVPR 2022), as its released code has
it: there is no batch norm anywhere, and the condition of the affine maps is noise and sentence together.

Dimensions: B batch, D text channels, Z noise, C channels of a block, q its size, S image size.
"""

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirrorgan import layers
from mirrorgan.generators.base import OnePictureConfig, OnePictureGenerator, StageOutput
from mirrorgan.layers import image_head, text_map, widths


@dataclass(frozen=True, kw_only=True)
class Config(OnePictureConfig):
    """Defaults are the released settings for birds and COCO: 256 pixels, 9,744,131 parameters."""

    channels: tuple[int, ...] = (32,)
    truncation: float | None = 0.88
    """In eval mode the noise is that of a normal cut off at 2 deviations, times this (the released code's sampling).
    Smaller: safer pictures, less unlike each other. None: the noise as it comes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.truncation is not None and not 0 < self.truncation <= 1:
            raise ValueError(f"truncation must be in (0, 1] or none, not {self.truncation}")


class Affine(nn.Module):
    """x gamma(c) + beta(c), channel by channel; starts as the identity (Eqs. 2 and 3)."""

    def __init__(self, channels: int, condition_dim: int) -> None:
        super().__init__()
        self.gamma = text_map(condition_dim, channels, channels, start=1.0)
        self.beta = text_map(condition_dim, channels, channels)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        gamma, beta = (mapped(condition)[:, :, None, None] for mapped in (self.gamma, self.beta))
        return features * gamma + beta


class Fusion(nn.Module):
    """DFBlock: two affine maps, a leaky ReLU after each."""

    def __init__(self, channels: int, condition_dim: int) -> None:
        super().__init__()
        self.affine = nn.ModuleList([Affine(channels, condition_dim) for _ in range(2)])

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        for affine in self.affine:
            features = F.leaky_relu(affine(features, condition), 0.2)
        return features


class Block(nn.Module):
    """UPBlock without its doubling: shortcut(x) + R(x), R: fusion, 3x3 convolution, fusion, 3x3 convolution."""

    def __init__(self, channels: int, out_channels: int, condition_dim: int) -> None:
        super().__init__()
        self.fusions = nn.ModuleList([Fusion(c, condition_dim) for c in (channels, out_channels)])
        self.convolutions = nn.ModuleList([nn.Conv2d(c, out_channels, 3, padding=1) for c in (channels, out_channels)])
        self.shortcut = nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """(B, C, q, q) and (B, Z + D) to (B, C', q, q)."""
        residual = features
        for fusion, convolution in zip(self.fusions, self.convolutions, strict=True):
            residual = convolution(fusion(residual, condition))
        return self.shortcut(features) + residual


class Generator(OnePictureGenerator):
    """Six blocks at 256 pixels, each at twice the size of what comes before it."""

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        wide = widths(config.first_size, config.channels[0])
        self.start = nn.Linear(config.noise_dim, wide[0] * 4 * 4)
        condition_dim = config.noise_dim + config.text_dim
        self.blocks = nn.ModuleList([Block(c, d, condition_dim) for c, d in pairwise(wide)])
        self.head = image_head(wide[-1], bias=True)

    def truncated(self, truncation: float | None) -> "Generator":
        other = copy.copy(self)
        other.config = dataclasses.replace(self.config, truncation=truncation)
        return other

    def draw_quieter(
        self, noise: Tensor, share: float, sentence: Tensor, words: Tensor, mask: Tensor
    ) -> Iterator[StageOutput]:
        return self.truncated(None).draw(layers.truncated(noise, share), sentence, words, mask)

    def picture(self, noise: Tensor, sentence: Tensor) -> StageOutput:
        if self.config.truncation is not None and not self.training:
            noise = layers.truncated(noise, self.config.truncation)
        condition = torch.cat([noise, sentence], dim=1)
        features = self.start(noise).unflatten(1, (-1, 4, 4))
        for block in self.blocks:
            features = block(F.interpolate(features, scale_factor=2.0, mode="nearest"), condition)
        return StageOutput(self.head(F.leaky_relu(features, 0.2)).tanh(), None, None, None)
