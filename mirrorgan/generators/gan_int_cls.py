"""GAN-INT-CLS's generator: one small picture by transposed convolutions, the first system that drew captions.

Reed et al., "Generative Adversarial Text to Image Synthesis" (ICML 2016), as its released code has it, on STEM's
sentence in place of its char-CNN-RNN. What it is named for lies in its training: a discriminator that sees wrong
sentences (CLS), a generator that also draws sentences halfway between two captions (INT); see
`train/adversarial/objectives.py`.

Dimensions: B batch, D text channels, Z noise, T channels of the projected sentence, C channels, q map size, S image
size.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirrorgan.generators.base import OnePictureConfig, OnePictureGenerator, StageOutput
from mirrorgan.layers import Bottleneck, check_size, initialize_normal, widths


@dataclass(frozen=True, kw_only=True)
class Config(OnePictureConfig):
    """Defaults are the released settings on STEM's sentence: 64 pixels, 18,807,168 parameters; 18,905,472 with the
    1,024 text channels of the paper."""

    condition_dim: int = 128
    """T, channels that the sentence is projected to before it is joined with the noise."""
    first_size: int = 64
    """Pixels of the picture, a power of two of at least 16."""
    channels: tuple[int, ...] = (128,)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size("first_size", self.first_size, 16)


class Generator(OnePictureGenerator):
    """4x4 and doublings; residual bottlenecks at 4x4 and 8x8.

    The released code sets the biases of convolutions to zero after every step: here they have none.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        wide = widths(config.first_size // 2, config.channels[0])
        self.project = nn.Linear(config.text_dim, config.condition_dim)
        self.start = nn.ConvTranspose2d(config.noise_dim + config.condition_dim, wide[0], kernel_size=4, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(wide[0]), Bottleneck(wide[0], slope=0.0), nn.ReLU()]
        for number, (before, after) in enumerate(pairwise(wide)):
            layers += [doubling(before, after), nn.BatchNorm2d(after)]
            layers += [Bottleneck(after, slope=0.0)] if number == 0 else []
            layers.append(nn.ReLU())
        self.blocks = nn.Sequential(*layers, doubling(wide[-1], 3))
        self.apply(initialize_normal)

    def picture(self, noise: Tensor, sentence: Tensor) -> StageOutput:
        said = F.leaky_relu(self.project(sentence), 0.2)
        start = self.start(torch.cat([noise, said], dim=1)[:, :, None, None])  # the noise comes first
        return StageOutput(self.blocks(start).tanh(), None, None, None)


def doubling(channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """(B, C, q, q) to (B, C', 2q, 2q)."""
    return nn.ConvTranspose2d(channels, out_channels, kernel_size=4, stride=2, padding=1, bias=False)
