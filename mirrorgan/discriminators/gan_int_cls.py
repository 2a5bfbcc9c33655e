"""GAN-INT-CLS's discriminator: picture and sentence judged together (Reed et al., ICML 2016, as released).

Dimensions: B batch, D text channels, T channels of the projected sentence, S image size, C base channels (ndf).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mirrorgan.discriminators.base import BaseDiscriminator
from mirrorgan.layers import Bottleneck, StandardizedSentence, check_size, initialize_normal
from mirrorgan.losses import Judgement


@dataclass(frozen=True, kw_only=True)
class Config:
    """Defaults are the released settings on STEM's sentence: 3,931,776 parameters at 64 pixels."""

    image_size: int
    """Pixels, a power of two of at least 16."""
    text_dim: int = 256
    channels: int = 64
    """C, ndf in the released code."""
    condition_dim: int = 128
    """T, channels that the sentence is projected to."""
    standardize_text: bool = False
    """The sentence's channels brought to mean 0 and deviation 1 over captions (ours)."""

    def __post_init__(self) -> None:
        check_size("image_size", self.image_size, 16)


class Discriminator(BaseDiscriminator):
    """Halvings to 4x4 that double the channels, a bottleneck, then a 1x1 convolution over picture and sentence.

    The released code sets the biases of convolutions to zero after every step: here they have none.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.channels
        layers: list[nn.Module] = [halving(3, width), nn.LeakyReLU(0.2)]
        for number in range(config.image_size.bit_length() - 4):
            layers += [nn.LeakyReLU(0.2)] if number else []
            layers += [halving(width, 2 * width), nn.BatchNorm2d(2 * width)]
            width *= 2
        self.trunk = nn.Sequential(*layers, Bottleneck(width, slope=0.2), nn.LeakyReLU(0.2))
        self.standardize = StandardizedSentence(config.text_dim) if config.standardize_text else nn.Identity()
        self.project = nn.Sequential(
            nn.Linear(config.text_dim, config.condition_dim), nn.BatchNorm1d(config.condition_dim), nn.LeakyReLU(0.2)
        )
        self.conditional = nn.Sequential(
            nn.Conv2d(width + config.condition_dim, width, kernel_size=1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 1, kernel_size=4, bias=False),
        )
        self.apply(initialize_normal)

    def look(self, images: Tensor) -> list[Tensor]:
        return [self.trunk(images)]  # (B, 8C, 4, 4) at 64 pixels

    def judge(self, features: list[Tensor], sentence: Tensor) -> Judgement:
        (seen,) = features
        said = self.project(self.standardize(sentence.float()))
        tiled = said[:, :, None, None].expand(-1, -1, *seen.shape[2:])
        return Judgement(None, self.conditional(torch.cat([seen, tiled.to(seen.dtype)], dim=1)).flatten(1))


def halving(channels: int, out_channels: int) -> nn.Conv2d:
    """(B, C, q, q) to (B, C', q/2, q/2)."""
    return nn.Conv2d(channels, out_channels, kernel_size=4, stride=2, padding=1, bias=False)
