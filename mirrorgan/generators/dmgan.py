"""DM-GAN's generator: AttnGAN's skeleton, whose later stages read a memory of the words.

Zhu et al., "DM-GAN: Dynamic Memory Generative Adversarial Networks for Text-to-Image Synthesis" (CVPR 2019), as its
released code has it. First stage, residual blocks, doubling and heads are AttnGAN's; in the place of its word attention
stand a memory and two gates. Its own loss on top of the adversarial ones is DAMSM, and its discriminators are AttnGAN's
with spectral norm in the place of batch norm (`norm` "spectral" of the pyramid).

Dimensions: B batch, L words, D text channels, Z condition channels, C channels of a stage, M channels of a memory slot,
q a map's size, S image size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from mirrorgan.attention import check_mask_mode, mask_rows
from mirrorgan.generators.base import BaseGenerator, GeneratorOutput, StagedConfig, StageOutput
from mirrorgan.layers import (
    ConditioningAugmentation,
    FirstStage,
    ResBlock,
    StandardizedSentence,
    image_head,
    initialize,
    standardize_words,
    up_block,
)
from mirrorgan.losses import kl_divergence


@dataclass(frozen=True, kw_only=True)
class Config(StagedConfig):
    """Defaults are the released bird generator: 64, 128 and 256 pixels, 21,449,042 parameters; see FORMS for COCO's."""

    channels: tuple[int, ...] = (64, 64, 64)
    mask_mode: str = "fixed"
    """"fixed", or "legacy" for weights trained with the released code's mask order; see attention.mask_rows."""
    kl_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_mask_mode(self.mask_mode)


FORMS = {"birds": Config(), "coco": Config(residual_blocks=3)}
"""The released ones."""


class DynamicMemory(nn.Module):
    """One slot a word, written with what the picture shows so far and read by every place of it.

        hbar = mean of h over places
        a_l = sigmoid(A w_l + B hbar)                                         writing gate
        m_l = a_l relu(M_w w_l) + (1 - a_l) relu(M_r hbar)                    memory
        s_nl = softmax over l of h_n . relu(K m_l)                            addressing
        o_n = sum_l s_nl relu(V m_l)                                          reading
        r_n = sigmoid(R [h_n, o_n])        h'_n = (1 - r_n) h_n + r_n o_n     response gate

    As the released code has it, which lets nothing learn through hbar.
    """

    def __init__(self, word_dim: int, channels: int, mask_mode: str = "fixed") -> None:
        super().__init__()
        self.mask_mode = mask_mode
        slot = 2 * channels
        self.gate_words = nn.Linear(word_dim, 1, bias=False)  # A
        self.gate_features = nn.Linear(channels, 1, bias=False)  # B
        self.write_words = nn.Linear(word_dim, slot)  # M_w
        self.write_features = nn.Linear(channels, slot)  # M_r
        self.key = nn.Linear(slot, channels)  # K
        self.value = nn.Linear(slot, channels)  # V
        self.respond = nn.Conv2d(2 * channels, 1, kernel_size=1)  # R

    def forward(self, features: Tensor, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Features h (B, C, q, q) after reading, and how much every place read of every word.

        Args:
            words: w, (B, L, D).
            mask: (B, L) bool, True where there is a word.

        Returns:
            h', (B, C, q, q); and s, (B, L, q, q): sums to 1 over L, 0 at padding.
        """
        memory = self.write(features, words)
        scores = torch.einsum("bchw,blc->blhw", features, self.key(memory).relu())
        real = mask_rows(mask, features.shape[2], features.shape[3], self.mask_mode)
        addressed = scores.masked_fill(~real, float("-inf")).softmax(dim=1)
        read = torch.einsum("blhw,blc->bchw", addressed, self.value(memory).relu())
        response = self.respond(torch.cat([features, read], dim=1)).sigmoid()
        return (1 - response) * features + response * read, addressed

    def write(self, features: Tensor, words: Tensor) -> Tensor:
        """The memory m, (B, L, M), of features h (B, C, q, q) and words w (B, L, D)."""
        shown = features.mean(dim=(2, 3)).detach()[:, None]
        gate = (self.gate_words(words) + self.gate_features(shown)).sigmoid()
        return gate * self.write_words(words).relu() + (1 - gate) * self.write_features(shown).relu()


class NextStage(nn.Module):
    """Features read the memory, are refined, and double in size."""

    def __init__(self, config: Config, channels: int, out_channels: int) -> None:
        super().__init__()
        self.memory = DynamicMemory(config.text_dim, channels, config.mask_mode)
        self.refine = nn.Sequential(*[ResBlock(2 * channels) for _ in range(config.residual_blocks)])
        self.up = up_block(2 * channels, out_channels)

    def forward(self, features: Tensor, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, q, q) to (B, C', 2q, 2q), with the word maps (B, L, q, q)."""
        features, word_maps = self.memory(features, words, mask)
        twice = torch.cat([features, features], dim=1)  # the same two times: the released code's, not the paper's
        return self.up(self.refine(twice)), word_maps


class Generator(BaseGenerator):
    """A picture after each stage; words enter from the second on."""

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.noise_dim = config.noise_dim + config.condition_dim  # z, then what samples the conditioning
        self.sizes, self.discriminator_condition_dim = config.sizes, config.text_dim
        self.standardize = StandardizedSentence(config.text_dim) if config.standardize_text else None
        self.condition = ConditioningAugmentation(config.text_dim, config.condition_dim)
        self.first = FirstStage(config.condition_dim + config.noise_dim, config.channels[0], config.first_size)
        self.stages = nn.ModuleList([NextStage(config, c, after) for c, after in pairwise(config.channels)])
        self.heads = nn.ModuleList([image_head(c) for c in config.channels])
        self.apply(initialize)

    def parts(self) -> list[list[nn.Module]]:
        first = [self.condition, self.first, self.heads[0]]
        first += [] if self.standardize is None else [self.standardize]
        return [first, *([stage, head] for stage, head in zip(self.stages, self.heads[1:], strict=True))]

    def forward(self, noise: Tensor, sentence: Tensor, words: Tensor, mask: Tensor) -> GeneratorOutput:
        words, sentence = self._standardized(words, sentence)
        z, sample = noise.split([self.config.noise_dim, self.config.condition_dim], dim=1)
        conditioning, mu, logvar = self.condition(sentence, sample)
        stages = list(self._stages(z, conditioning, words, mask))
        return GeneratorOutput(stages, {"kl": self.config.kl_weight * kl_divergence(mu, logvar)})

    def draw(self, noise: Tensor, sentence: Tensor, words: Tensor, mask: Tensor) -> Iterator[StageOutput]:
        words, sentence = self._standardized(words, sentence)
        z, sample = noise.split([self.config.noise_dim, self.config.condition_dim], dim=1)
        return self._stages(z, self.condition(sentence, sample)[0], words, mask)

    def _standardized(self, words: Tensor, sentence: Tensor) -> tuple[Tensor, Tensor]:
        if self.standardize is None:
            return words, sentence
        sentence = self.standardize(sentence)
        return standardize_words(words, self.standardize), sentence

    def _stages(self, noise: Tensor, conditioning: Tensor, words: Tensor, mask: Tensor) -> Iterator[StageOutput]:
        features = self.first(conditioning, noise)
        yield StageOutput(self.heads[0](features).tanh(), None, None, None)
        for stage, head in zip(self.stages, list(self.heads)[1:], strict=True):
            features, word_maps = stage(features, words, mask)
            yield StageOutput(head(features).tanh(), word_maps, None, None)
