"""SSA-GAN's and DF-GAN's discriminator: one output, for the picture and its sentence together.

Tao et al., "DF-GAN" (CVPR 2022); Liao et al., "SSA-GAN" (CVPR 2022). Both are the same network but for `widest`.

Dimensions: B batch, D text channels, S image size, C base channels (nf).
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirrorgan.discriminators.base import BaseDiscriminator, DiscriminatorConfig
from mirrorgan.layers import StandardizedSentence, check_size
from mirrorgan.losses import Judgement


@dataclass(frozen=True, kw_only=True)
class Config(DiscriminatorConfig):
    """Defaults are SSA-GAN's as released: 80,379,526 parameters at 256 pixels; with 32 channels 20,170,566.

    DF-GAN's: channels 32, widest 8: 6,619,206, and 295,936 of its conditional head.
    """

    image_size: int = 256
    """Pixels, a power of two of at least 8."""
    channels: int = 64
    """C, nf in the released code."""
    widest: int = 16
    """Blocks double the channels up to this many C: 16 in SSA-GAN, 8 in DF-GAN."""
    standardize_text: bool = False
    """The sentence's channels brought to mean 0 and deviation 1 over captions (ours)."""

    def __post_init__(self) -> None:
        check_size("image_size", self.image_size, 8)
        if min(self.channels, self.widest) < 1:
            raise ValueError(f"channels and widest must be at least 1, not {self.channels} and {self.widest}")


class Block(nn.Module):
    """(B, C, q, q) to (B, C', q/2, q/2): y = halved shortcut(x) + g R(x), no norm; the gate g starts shut.

    The shortcut is a 1x1 convolution. Where the channels stay, the released networks have it and do not use it; its
    weights are kept, never learn and change nothing.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(channels, out_channels, kernel_size=4, stride=2, padding=1, bias=False),
            nn.LeakyReLU(0.2),
            nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.LeakyReLU(0.2),
        )
        self.shortcut = nn.Conv2d(channels, out_channels, kernel_size=1)
        self.widens = channels != out_channels
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor) -> Tensor:
        past = self.shortcut(features) if self.widens else features
        return F.avg_pool2d(past, 2) + self.gate * self.residual(features)


class Discriminator(BaseDiscriminator):
    """NetD, halvings down to 4x4, and the conditional head that DF-GAN calls NetC."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        c, halvings = config.channels, config.image_size.bit_length() - 3
        wide = [c, *(c * min(config.widest, 2 ** (step + 1)) for step in range(halvings))]
        self.first = nn.Conv2d(3, c, kernel_size=3, padding=1)
        self.blocks = nn.Sequential(*[Block(a, b) for a, b in pairwise(wide)])
        self.standardize = StandardizedSentence(config.text_dim) if config.standardize_text else nn.Identity()
        self.conditional = nn.Sequential(
            nn.Conv2d(wide[-1] + config.text_dim, 2 * c, kernel_size=3, padding=1, bias=False),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * c, 1, kernel_size=4, bias=False),
        )
        for part in self.fixed():
            part.requires_grad_(False)

    def fixed(self) -> list[nn.Module]:
        return [block.shortcut for block in self.blocks if isinstance(block, Block) and not block.widens]

    def look(self, images: Tensor) -> list[Tensor]:
        return [self.blocks(self.first(images))]  # (B, C', 4, 4)

    def judge(self, features: list[Tensor], sentence: Tensor) -> Judgement:
        (seen,) = features
        tiled = self.standardize(sentence.float())[:, :, None, None].expand(-1, -1, *seen.shape[2:])
        return Judgement(None, self.conditional(torch.cat([seen, tiled.to(seen.dtype)], dim=1)).flatten(1))
