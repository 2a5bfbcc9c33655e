"""SSA-GAN's generator: one picture, grown from noise; the caption enters where a predicted mask lets it.

Liao et al., "Text to Image Generation with Semantic-Spatial Aware GAN" (CVPR 2022), as its released code has it. The
masks are this system's kind of attention: they say where the sentence changed the picture, not which word did.

Dimensions: B batch, D text channels, Z noise, C channels of a block, q its size, S image size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirrorgan.generators.base import OnePictureConfig, OnePictureGenerator, StageOutput
from mirrorgan.layers import image_head, text_map, widths


@dataclass(frozen=True, kw_only=True)
class Config(OnePictureConfig):
    """Defaults are the released settings for birds and COCO: 256 pixels, 29,494,273 parameters."""

    channels: tuple[int, ...] = (64,)
    """Released: 64; the class's own default is 32, with 10,327,425 parameters."""
    mask_channels: int = 100
    """Between the two convolutions that predict a mask."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mask_channels < 1:
            raise ValueError(f"mask_channels must be at least 1, not {self.mask_channels}")


class SemanticSpatialNorm(nn.Module):
    """SSCBN: batch norm, then the sentence's scale and shift where the mask lets them.

    x_hat * (1 + m gamma(s)) + m beta(s), x_hat the batch norm of x without weights of its own (Eqs. 4 to 6). Both maps
    start at zero: at first the sentence changes nothing.
    """

    def __init__(self, channels: int, text_dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gamma = text_map(text_dim, text_dim, channels)
        self.beta = text_map(text_dim, text_dim, channels)

    def forward(self, features: Tensor, sentence: Tensor, mask: Tensor) -> Tensor:
        """(B, C, q, q), (B, D) and a mask (B, 1, q, q) in [0, 1] to (B, C, q, q)."""
        gamma, beta = (mapped(sentence)[:, :, None, None] for mapped in (self.gamma, self.beta))
        return self.norm(features) * (1 + mask * gamma) + mask * beta


class Block(nn.Module):
    """SSACN without its doubling: a residual branch that hears the sentence, behind a gate that starts shut.

    y = shortcut(x) + g R(x), R: norm, ReLU, 3x3 convolution, norm, ReLU, 3x3 convolution; both norms with one mask.
    """

    def __init__(self, channels: int, out_channels: int, text_dim: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([SemanticSpatialNorm(c, text_dim) for c in (channels, out_channels)])
        self.convolutions = nn.ModuleList([nn.Conv2d(c, out_channels, 3, padding=1) for c in (channels, out_channels)])
        self.shortcut = nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor, sentence: Tensor, mask: Tensor) -> Tensor:
        """(B, C, q, q), (B, D) and (B, 1, q, q) to (B, C', q, q)."""
        residual = features
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            residual = convolution(norm(residual, sentence, mask).relu())
        return self.shortcut(features) + self.gate * residual


def mask_head(channels: int, hidden: int) -> nn.Sequential:
    """(B, C, q, q) to the logits of a mask, (B, 1, q, q)."""
    return nn.Sequential(
        nn.Conv2d(channels, hidden, kernel_size=3, padding=1),
        nn.BatchNorm2d(hidden),
        nn.ReLU(),
        nn.Conv2d(hidden, 1, kernel_size=1),
    )


class Generator(OnePictureGenerator):
    """Seven blocks at 256 pixels, the first at 4x4, each later one at twice the size of the one before."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        after = widths(config.first_size, config.channels[0])
        before = [after[0], *after[:-1]]
        self.start = nn.Linear(config.noise_dim, after[0] * 4 * 4)
        self.blocks = nn.ModuleList([Block(c, d, config.text_dim) for c, d in zip(before, after, strict=True)])
        self.masks = nn.ModuleList([mask_head(c, config.mask_channels) for c in before])
        self.norm = nn.BatchNorm2d(after[-1])
        self.head = image_head(after[-1], bias=True)

    def picture(self, noise: Tensor, sentence: Tensor) -> StageOutput:
        features = self.start(noise).unflatten(1, (-1, 4, 4))
        masks = []
        for number, (block, predict) in enumerate(zip(self.blocks, self.masks, strict=True)):
            # Where the sentence is let in is read off the features before they are doubled; sigmoid comes last.
            logits = predict(features)
            if number:
                logits = F.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=True)
                features = F.interpolate(features, scale_factor=2.0, mode="nearest")
            masks.append(logits.sigmoid())
            features = block(features, sentence, masks[-1])
        image = self.head(F.leaky_relu(self.norm(features), 0.2)).tanh()
        return StageOutput(image, None, None, None, tuple(where[:, 0] for where in masks))
