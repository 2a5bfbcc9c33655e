"""GAN-INT-CLS's discriminator: picture and sentence judged together (Reed et al., ICML 2016, as released).

Dimensions: B batch, D text channels, T channels of the projected sentence, S image size, C base channels (ndf).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mirrorgan.discriminators.base import BaseDiscriminator, DiscriminatorConfig
from mirrorgan.layers import Bottleneck, StandardizedSentence, check_size, initialize_normal
from mirrorgan.losses import Judgement


@dataclass(frozen=True, kw_only=True)
class Config(DiscriminatorConfig):
    """Defaults are the released settings on STEM's sentence: 3,931,776 parameters at 64 pixels."""

    image_size: int = 256
    """Pixels, a power of two of at least 16."""
    channels: int = 64
    """C, ndf in the released code."""
    condition_dim: int = 128
    """T, channels that the sentence is projected to."""
    last_activation: bool = False
    """A leaky ReLU before the last halving: the released code for COCO has one there, that for birds has none."""
    text_norm: bool = True
    """A batch norm on the projected sentence: the released code for birds has one, that for COCO has none."""
    standardize_text: bool = False
    """The sentence's channels brought to mean 0 and deviation 1 over captions (ours)."""

    def __post_init__(self) -> None:
        check_size("image_size", self.image_size, 16)


class Discriminator(BaseDiscriminator):
    """Halvings to 4x4 that double the channels, a bottleneck, then a 1x1 convolution over picture and sentence.

    Between the last two halvings there is no activation, nor before the bottleneck, in what was trained on birds.

    The released code sets the biases of convolutions to zero after every step: here they have none.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        layers, width = self.trunk_layers(config)
        self.trunk = nn.Sequential(*layers)
        self.standardize = StandardizedSentence(config.text_dim) if config.standardize_text else nn.Identity()
        norm = [nn.BatchNorm1d(config.condition_dim)] if config.text_norm else []
        self.project = nn.Sequential(nn.Linear(config.text_dim, config.condition_dim), *norm, nn.LeakyReLU(0.2))
        self.conditional = nn.Sequential(
            nn.Conv2d(width + config.condition_dim, width, kernel_size=1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 1, kernel_size=4, bias=False),
        )
        self.apply(initialize_normal)

    @staticmethod
    def trunk_layers(config: Config) -> tuple[list[nn.Module], int]:
        """What looks at a picture, and its channels at 4x4."""
        width = config.channels
        layers: list[nn.Module] = [halving(3, width), nn.LeakyReLU(0.2)]
        halvings = config.image_size.bit_length() - 4  # after the first
        for number in range(halvings):
            active = config.last_activation or number < halvings - 1
            layers += [nn.LeakyReLU(0.2)] if number and active else []
            layers += [halving(width, 2 * width), nn.BatchNorm2d(2 * width)]
            width *= 2
        return [*layers, Bottleneck(width, slope=0.2), nn.LeakyReLU(0.2)], width

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
