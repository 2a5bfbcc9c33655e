"""StackGAN++'s generator (StackGAN-v2): a tree of stages that all hear one sample around the sentence, no attention.

Zhang et al., "StackGAN++: Realistic Image Synthesis with Stacked Generative Adversarial Networks" (TPAMI 2018), as its
released code has it. AttnGAN took first stage, residual blocks, doubling and heads from here. Its discriminators are
told the mean of the conditioning in place of the sentence.

Dimensions: B batch, D text channels, Z condition channels, C channels of a stage, q its size, S image size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from mirrorgan.generators.base import BaseGenerator, GeneratorOutput, StagedConfig, StageOutput
from mirrorgan.layers import (
    GLU,
    ConditioningAugmentation,
    FirstStage,
    ResBlock,
    StandardizedSentence,
    image_head,
    initialize,
    up_block,
)
from mirrorgan.losses import kl_divergence


@dataclass(frozen=True, kw_only=True)
class Config(StagedConfig):
    """Defaults are the released bird generator, which was told 1,024 channels of a char-CNN-RNN: 21,239,696 parameters.

    STEM gives it 256.
    """

    text_dim: int = 1024
    condition_dim: int = 128
    channels: tuple[int, ...] = (64, 32, 16)
    kl_weight: float = 2.0


class NextStage(nn.Module):
    """Features hear the conditioning at every place, are refined, and double in size."""

    def __init__(self, config: Config, channels: int, out_channels: int) -> None:
        super().__init__()
        self.join = nn.Sequential(
            nn.Conv2d(config.condition_dim + channels, 2 * channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(2 * channels),
            GLU(),
        )
        self.refine = nn.Sequential(*[ResBlock(channels) for _ in range(config.residual_blocks)])
        self.up = up_block(channels, out_channels)

    def forward(self, features: Tensor, conditioning: Tensor) -> Tensor:
        """(B, C, q, q) and (B, Z) to (B, C', 2q, 2q)."""
        tiled = conditioning[:, :, None, None].expand(-1, -1, *features.shape[2:])
        joined = self.join(torch.cat([tiled.to(features.dtype), features], dim=1))  # the conditioning comes first
        return self.up(self.refine(joined))


class Generator(BaseGenerator):
    """Stages F_0, F_1, ... of the paper's Eqs. 6 and 7, a picture after each."""

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.noise_dim = config.noise_dim + config.condition_dim  # z, then what samples the conditioning
        self.sizes, self.discriminator_condition_dim = config.sizes, config.condition_dim
        self.standardize = StandardizedSentence(config.text_dim) if config.standardize_text else nn.Identity()
        self.condition = ConditioningAugmentation(config.text_dim, config.condition_dim)
        self.first = FirstStage(config.condition_dim + config.noise_dim, config.channels[0], config.first_size)
        self.stages = nn.ModuleList([NextStage(config, c, after) for c, after in pairwise(config.channels)])
        self.heads = nn.ModuleList([image_head(c) for c in config.channels])
        self.apply(initialize)

    def discriminator_condition(self, sentence: Tensor) -> Tensor:
        """The mean of the conditioning, (B, Z). The generator learns by it, too: its own losses do not detach it."""
        none = sentence.new_zeros(len(sentence), self.config.condition_dim)
        return self.condition(self.standardize(sentence), none)[1]

    def parts(self) -> list[list[nn.Module]]:
        first = [self.standardize, self.condition, self.first, self.heads[0]]
        return [first, *([stage, head] for stage, head in zip(self.stages, self.heads[1:], strict=True))]

    def forward(self, noise: Tensor, sentence: Tensor, words: Tensor, mask: Tensor) -> GeneratorOutput:
        z, sample = noise.split([self.config.noise_dim, self.config.condition_dim], dim=1)
        conditioning, mu, logvar = self.condition(self.standardize(sentence), sample)
        stages = list(self._stages(z, conditioning))
        return GeneratorOutput(stages, {"kl": self.config.kl_weight * kl_divergence(mu, logvar)})

    def draw(self, noise: Tensor, sentence: Tensor, words: Tensor, mask: Tensor) -> Iterator[StageOutput]:
        """The words are not used: the caption enters by its sentence alone."""
        z, sample = noise.split([self.config.noise_dim, self.config.condition_dim], dim=1)
        return self._stages(z, self.condition(self.standardize(sentence), sample)[0])

    def _stages(self, noise: Tensor, conditioning: Tensor) -> Iterator[StageOutput]:
        features = self.first(conditioning, noise)
        yield StageOutput(self.heads[0](features).tanh(), None, None, None)
        for stage, head in zip(self.stages, list(self.heads)[1:], strict=True):
            features = stage(features, conditioning)
            yield StageOutput(head(features).tanh(), None, None, None)
