"""StackGAN's discriminators as released for birds: GAN-INT-CLS's with a sentence that passes no batch norm.

Zhang et al., "StackGAN" (ICCV 2017), in TensorFlow. For COCO, in PyTorch, StackGAN had those that AttnGAN took over:
`pyramid`.
"""

from dataclasses import dataclass

from torch import nn

from mirrorgan.discriminators import gan_int_cls
from mirrorgan.discriminators.gan_int_cls import halving
from mirrorgan.layers import Bottleneck, initialize_stackgan

LAST = 8  # the heads work on 8C channels at 4x4


@dataclass(frozen=True, kw_only=True)
class Config(gan_int_cls.Config):
    """Defaults are the released settings on 1,024 channels of text: 4,029,824 parameters at 64 pixels; with `narrow`
    48,603,520 at 256."""

    text_dim: int = 1024
    text_norm: bool = False
    narrow: bool = False
    """The second stage's: an activation after every halving, then 1x1 convolutions from as many channels as there are
    at 4x4 back to 8C."""


class Discriminator(gan_int_cls.Discriminator):
    """Judges a picture beside a sentence, and never alone."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.apply(initialize_stackgan)

    @staticmethod
    def trunk_layers(config: gan_int_cls.Config) -> tuple[list[nn.Module], int]:
        if not (isinstance(config, Config) and config.narrow):
            return gan_int_cls.Discriminator.trunk_layers(config)
        c, width = config.channels, config.channels
        layers: list[nn.Module] = [halving(3, c), nn.LeakyReLU(0.2)]
        for _ in range(config.image_size.bit_length() - 4):
            layers += [halving(width, 2 * width), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2)]
            width *= 2
        while width > LAST * c:
            width //= 2
            layers += [nn.Conv2d(2 * width, width, kernel_size=1, bias=False), nn.BatchNorm2d(width)]
            layers += [nn.LeakyReLU(0.2)] if width > LAST * c else []
        return [*layers, Bottleneck(width, slope=0.2), nn.LeakyReLU(0.2)], width
