"""A discriminator that looks through a frozen ImageNet network: learns from far fewer pictures than the papers'.

Sauer et al., "Projected GANs Converge Faster" (NeurIPS 2021); heads that judge the sentence by projection as in
Sauer et al., "StyleGAN-T" (2023). Four levels of features are mixed by fixed random 1x1 convolutions, across
channels and from coarse to fine; each level has a small spectrally normalised head.

Dimensions: B batch, D text channels, S image size, M mixed channels, K judgements (all places of all levels).
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirrorgan.backbones import Backbone, resize
from mirrorgan.discriminators.base import BaseDiscriminator, DiscriminatorConfig, TrunkDiscriminatorConfig
from mirrorgan.layers import WholeConv
from mirrorgan.losses import Judgement

spectral_norm = nn.utils.parametrizations.spectral_norm


@dataclass(frozen=True, kw_only=True)
class Config(TrunkDiscriminatorConfig):
    """What it looks through, and the sizes of its heads."""

    supplied: ClassVar[frozenset[str]] = frozenset({"image_size", "text_dim", "input_size", "pixel_head_size"})

    input_size: int = 96
    """Pictures are resized to this many pixels before the network. A multiple of 32."""
    mixed: int = 64
    """M, channels of every level after the random mixing."""
    width: int = 256
    """Channels at the end of every head."""
    pixel_head_size: int = 0
    """One more head (ours) that looks at the picture itself, resized to this many pixels; 0: none. Features for
    ImageNet say little of how strong a colour is."""

    def __post_init__(self) -> None:
        if self.input_size < 64 or self.input_size % 32:
            raise ValueError(f"input_size must be a multiple of 32 of at least 64, not {self.input_size}")
        if self.pixel_head_size and (self.pixel_head_size < 8 or self.pixel_head_size & (self.pixel_head_size - 1)):
            raise ValueError(f"pixel_head_size must be 0 or a power of two of at least 8, not {self.pixel_head_size}")

    def at_stage(self, image_size: int, condition_dim: int, input_size: int, pixel_head_size: int) -> Self:
        """The same for the pictures of one stage, see `DiscriminatorConfig.at_stage`."""
        return dataclasses.replace(
            self,
            image_size=image_size,
            text_dim=condition_dim,
            input_size=input_size,
            pixel_head_size=pixel_head_size,
        )


class Head(nn.Module):
    """Shrinks one level to at most 4x4 and judges there, with and without the sentence.

    logit = w . h + (A h) . (B s) / sqrt(width), at each place.
    """

    def __init__(self, config: Config, channels: int, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        while size > 4:
            after = min(config.width, max(2 * channels, config.mixed))
            layers += [spectral_norm(nn.Conv2d(channels, after, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
            channels, size = after, size // 2
        layers += [spectral_norm(nn.Conv2d(channels, config.width, 3, padding=1)), nn.LeakyReLU(0.2)]
        self.shrink = nn.Sequential(*layers)
        self.scale = config.width**-0.5
        self.score = spectral_norm(WholeConv(config.width, 1, size))
        self.joint = spectral_norm(WholeConv(config.width, config.width, size))
        self.sentence = spectral_norm(nn.Linear(config.text_dim, config.width))

    def forward(self, features: Tensor, sentence: Tensor) -> Tensor:
        """(B, M, h, w) and (B, D) to logits (B, K)."""
        seen = self.shrink(features)
        matched = torch.einsum("bchw,bc->bhw", self.joint(seen), self.sentence(sentence))
        return self.score(seen).flatten(1) + matched.flatten(1) * self.scale


@torch.no_grad()
def level_sizes(backbone: Backbone, input_size: int) -> list[int]:
    """Places along one side of each level for pictures of `input_size` pixels.

    Raises:
        ValueError: the pictures are too small for the backbone.
    """
    example = next(backbone.parameters())
    try:
        levels = backbone(torch.zeros(1, 3, input_size, input_size, device=example.device, dtype=example.dtype)).levels
    except RuntimeError as error:
        raise ValueError(f"input_size {input_size} is too small for {type(backbone).__name__} ({error})") from error
    return [level.shape[-1] for level in levels]


class Discriminator(BaseDiscriminator):
    """Judges through a frozen backbone that belongs to the caller; only the heads learn.

    Every channel of the sentence is brought to mean 0 and deviation 1 over captions before the heads, so that what all
    captions share, and the text encoder's scale, do not matter.
    """

    def __init__(self, config: Config, backbone: Backbone) -> None:
        super().__init__()
        self.config = config
        self._backbone = [backbone]  # in a list: shared and frozen, not part of this module's state
        self.mix = nn.ModuleList([nn.Conv2d(c, config.mixed, kernel_size=1) for c in backbone.channels])
        self.mix.requires_grad_(False)  # random and fixed
        self.standardize = nn.BatchNorm1d(config.text_dim, affine=False)
        self.heads = nn.ModuleList(
            [Head(config, config.mixed, size) for size in level_sizes(backbone, config.input_size)]
        )
        if config.pixel_head_size:
            self.heads.append(Head(config, 3, config.pixel_head_size))

    @classmethod
    def build(cls, config: DiscriminatorConfig, trunk: Callable[[str], Backbone]) -> "Discriminator":
        if not isinstance(config, Config):
            raise TypeError(f"config must be a {Config.__module__}.Config, not {config}")
        return cls(config, trunk(config.backbone))

    def fixed(self) -> list[nn.Module]:
        return [self.mix]

    def look(self, images: Tensor) -> list[Tensor]:
        levels = self._backbone[0](resize(images, self.config.input_size)).levels
        mixed, coarser = [], None
        for mix, level in zip(reversed(self.mix), reversed(levels), strict=True):
            seen = mix(level)
            if coarser is not None:
                seen = seen + F.interpolate(coarser, size=seen.shape[2:], mode="bilinear", align_corners=False)
            mixed.append(seen)
            coarser = seen
        return mixed[::-1] + ([resize(images, self.config.pixel_head_size)] if self.config.pixel_head_size else [])

    def judge(self, features: list[Tensor], sentence: Tensor) -> Judgement:
        sentence = self.standardize(sentence.float())
        logits = [head(seen, sentence) for head, seen in zip(self.heads, features, strict=True)]
        return Judgement(None, torch.cat(logits, dim=1))
