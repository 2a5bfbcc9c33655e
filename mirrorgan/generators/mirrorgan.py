"""MirrorGAN's generator: GLAM, a first stage from noise and sentence, and stages that listen to words and sentence.

Three forms are known, and are values of one configuration: see `FORMS`. Without its sentence attention it is AttnGAN's
(`mirrorgan/generators/attngan.py`).

Dimensions: B batch, L words, D text channels, Z condition channels, C channels of a stage, q its size, S image size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirrorgan.attention import SentenceAttention, SentenceAttentionAt, WordAttention, WordAttentionAt
from mirrorgan.generators.base import BaseGenerator, Crop, GeneratorOutput, StagedConfig, StageOutput
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
    """Defaults are the released bird generator: 64, 128 and 256 pixels, 7,105,392 parameters; see FORMS for others."""

    condition_dim: int = 100
    """Z of the augmented sentence. The released code only works with 100."""
    channels: tuple[int, ...] = (32, 32, 32)
    word_attention: bool = True
    """False leaves it out, for comparison."""
    sentence_attention: bool = True
    """False leaves it out: AttnGAN's stages with MirrorGAN's join."""
    sentence_axis: str = "channel"
    """"channel" (released code) or "spatial"; see SentenceAttention."""
    sentence_preconv: bool = True
    """A 1x1 convolution before the softmax: True in the released code, False in the paper."""
    sentence_bias: bool = True
    """Of the projection V: True in the released code, False in the paper."""
    sentence_of: str = "conditioning"
    """What V projects: "conditioning", the augmented sentence s_ca (paper and released code), or "sentence", s itself
    (the fork of samuel8503)."""
    join: str = "reduce"
    """"reduce": a 1x1 convolution brings features and contexts to 2C before the residual blocks (released code);
    "wide": the residual blocks work on all of them (forks, and the paper's formula)."""
    mask_mode: str = "fixed"
    """"fixed", or "legacy" for weights trained with the released code's mask order; see attention.mask_rows."""
    pictures: str = "all"
    """"all": every stage draws; "last": only the last one does (AttnGAN's DCGAN variant)."""
    skip_images: bool = False
    """Every stage's head adds to the enlarged smaller picture before tanh (ours). Released: every head draws anew."""
    kl_weight: float = 1.0
    """Of the conditioning's divergence from N(0, I). In the released code, not in the paper's objective."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.join not in ("reduce", "wide"):
            raise ValueError(f"join must be 'reduce' or 'wide', not {self.join!r}")
        if self.sentence_of not in ("conditioning", "sentence"):
            raise ValueError(f"sentence_of must be 'conditioning' or 'sentence', not {self.sentence_of!r}")
        if self.pictures not in ("all", "last"):
            raise ValueError(f"pictures must be 'all' or 'last', not {self.pictures!r}")
        if self.skip_images and self.pictures == "last":
            raise ValueError("skip_images adds up the pictures of all stages; with pictures 'last' there is only one")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels of every stage's image."""
        return super().sizes if self.pictures == "all" else super().sizes[-1:]


FORMS = {
    "released": Config(),
    "paper": Config(sentence_axis="spatial", sentence_preconv=False, sentence_bias=False, join="wide"),
    "fork": Config(
        sentence_axis="spatial", sentence_preconv=False, sentence_bias=False, sentence_of="sentence", join="wide"
    ),
}
"""MirrorGAN as its authors' code has it; as its paper's formulas have it, where the axis of Eq. 5's softmax is not
spelled out and the spatial one is the likelier reading; and as the fork of samuel8503 has it, one of several whose
softmax is spatial."""


class AttentiveStage(nn.Module):
    """F_i of Eq. 3, i > 0: features listen to words and sentence, are refined, and double in size."""

    def __init__(self, config: Config, channels: int, out_channels: int) -> None:
        super().__init__()
        self.words = WordAttention(config.text_dim, channels, config.mask_mode) if config.word_attention else None
        self.sentence = None
        if config.sentence_attention:
            heard_dim = config.condition_dim if config.sentence_of == "conditioning" else config.text_dim
            self.sentence = SentenceAttention(
                heard_dim, channels, config.sentence_axis, config.sentence_preconv, config.sentence_bias
            )
        joined = channels * (1 + config.word_attention + config.sentence_attention)
        width = joined if config.join == "wide" else 2 * channels
        # The 1x1 reduction is in the released code only.
        self.join = nn.Identity() if width == joined else nn.Conv2d(joined, width, kernel_size=1, bias=False)
        self.refine = nn.Sequential(*[ResBlock(width) for _ in range(config.residual_blocks)])
        self.up = up_block(width, out_channels)

    def forward(
        self, features: Tensor, words: Tensor, mask: Tensor, sentence: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """(B, C, q, q) to (B, C', 2q, 2q), with the word maps, the sentence weights and the sentence's strength."""
        heard, word_maps, sentence_maps, strength = [features], None, None, None
        if self.words is not None:
            context, word_maps = self.words(features, words, mask)
            heard.append(context)
        if self.sentence is not None:
            context, sentence_maps = self.sentence(features, sentence)
            heard.append(context)
            strength = context.float().norm(dim=1)
        joined = self.join(torch.cat(heard, dim=1))
        return self.up(self.refine(joined)), word_maps, sentence_maps, strength


class Generator(BaseGenerator):
    """Eq. 3 of Qiao et al., "MirrorGAN" (CVPR 2019)."""

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.noise_dim = config.noise_dim + config.condition_dim  # z, then what samples the conditioning
        self.sizes = config.sizes
        self.discriminator_condition_dim = config.text_dim
        self.standardize = StandardizedSentence(config.text_dim) if config.standardize_text else None
        self.condition = ConditioningAugmentation(config.text_dim, config.condition_dim)
        self.first = FirstStage(config.condition_dim + config.noise_dim, config.channels[0], config.first_size)
        self.stages = nn.ModuleList(
            [AttentiveStage(config, c, after) for c, after in zip(config.channels, config.channels[1:], strict=False)]
        )
        drawing = config.channels if config.pictures == "all" else config.channels[-1:]
        self.heads = nn.ModuleList([image_head(c) for c in drawing])
        self.apply(initialize)
        if config.skip_images:
            for head in list(self.heads)[1:]:
                nn.init.zeros_(head.weight)  # type: ignore[arg-type]

    def parts(self) -> list[list[nn.Module]]:
        first: list[nn.Module] = [self.condition, self.first]
        if self.standardize is not None:
            first.append(self.standardize)
        if self.config.pictures == "last":
            return [[*first, *self.stages, *self.heads]]
        return [
            [*first, self.heads[0]],
            *([stage, head] for stage, head in zip(self.stages, self.heads[1:], strict=True)),
        ]

    @classmethod
    def check_crops(cls, config: Any) -> None:
        assert isinstance(config, Config)
        if len(config.channels) < 2 or config.pictures == "last":
            raise ValueError(
                "a crop is of the last stage, beside whole pictures of those before it; there is one picture"
            )
        if config.sentence_attention and config.sentence_axis == "spatial":
            raise ValueError(
                "sentence_axis is 'spatial': its softmax runs over all places of the map, so that a crop of the last "
                "stage would be another picture; use 'channel', or draw the whole picture"
            )
        if config.word_attention and config.mask_mode == "legacy":
            raise ValueError(
                "mask_mode is 'legacy': which words a place hears depends on the size of the map, so that a crop of "
                "the last stage would be another picture; use 'fixed', or draw the whole picture"
            )

    def forward(
        self, noise: Tensor, sentence: Tensor, words: Tensor, mask: Tensor, crop: Crop | None = None
    ) -> GeneratorOutput:
        """Draws each caption; of the last stage only the crop, if there is one.

        Image and maps of the last stage are those of the whole picture at these places, but for the statistics of batch
        norms in training: whatever the border depends on is computed, too.

        Raises:
            ValueError: a crop would be another picture than the same places of the whole one.
        """
        if crop is not None:
            self.check_crops(self.config)
        words, sentence = self._standardized(words, sentence)
        z, sample = noise.split([self.config.noise_dim, self.config.condition_dim], dim=1)
        conditioning, mu, logvar = self.condition(sentence, sample)
        stages = list(self._stages(z, conditioning, sentence, words, mask, crop))
        return GeneratorOutput(stages, {"kl": self.config.kl_weight * kl_divergence(mu, logvar)})

    def draw(self, noise: Tensor, sentence: Tensor, words: Tensor, mask: Tensor) -> Iterator[StageOutput]:
        words, sentence = self._standardized(words, sentence)
        z, sample = noise.split([self.config.noise_dim, self.config.condition_dim], dim=1)
        return self._stages(z, self.condition(sentence, sample)[0], sentence, words, mask)

    def attention_at(
        self, noise: Tensor, sentence: Tensor, words: Tensor, mask: Tensor, size: int, row: int, column: int
    ) -> tuple[WordAttentionAt | None, SentenceAttentionAt | None]:
        """What Eq. 4 and 5 compute at one sub-region of the stage that draws `size` pixels, for one caption.

        Raises:
            ValueError: no stage of that size has attention, or the place lies outside its map.
        """
        words, sentence = self._standardized(words, sentence)
        z, sample = noise.split([self.config.noise_dim, self.config.condition_dim], dim=1)
        conditioning = self.condition(sentence, sample)[0]
        weighed = conditioning if self.config.sentence_of == "conditioning" else sentence
        features = self.first(conditioning, z)
        for stage in self.stages:
            assert isinstance(stage, AttentiveStage)
            if 2 * features.shape[2] == size:
                if not (0 <= row < features.shape[2] and 0 <= column < features.shape[3]):
                    raise ValueError(
                        f"row {row}, column {column} lies outside the map; it has {features.shape[2]} rows and columns"
                    )
                return (
                    None if stage.words is None else stage.words.at(features, words, row, column),
                    None if stage.sentence is None else stage.sentence.at(features, weighed, row, column),
                )
            features = stage(features, words, mask, weighed)[0]
        sizes = [self.config.first_size * 2**number for number in range(1, len(self.stages) + 1)]
        raise ValueError(f"no stage of {size} pixels has attention; those of {', '.join(map(str, sizes))} have")

    def _standardized(self, words: Tensor, sentence: Tensor) -> tuple[Tensor, Tensor]:
        """Words and sentence by the sentence's statistics."""
        norm = self.standardize
        if norm is None:
            return words, sentence
        sentence = norm(sentence)
        return standardize_words(words, norm), sentence

    def _stages(
        self,
        noise: Tensor,
        conditioning: Tensor,
        sentence: Tensor,
        words: Tensor,
        mask: Tensor,
        crop: Crop | None = None,
    ) -> Iterator[StageOutput]:
        # A first sketch from the sentence and the noise.
        features = self.first(conditioning, noise)
        heads = list(self.heads)
        colour = None
        if self.config.pictures == "all" or not self.stages:
            colour = heads.pop(0)(features)
            yield StageOutput(colour.tanh(), None, None, None)

        # Every later stage listens to the words and the sentence.
        weighed = conditioning if self.config.sentence_of == "conditioning" else sentence
        for number, stage in enumerate(self.stages, start=1):
            inner = None
            if crop is not None and number == len(self.stages):
                assert colour is not None
                # What pixels depend on: two 3x3 convolutions a residual block, then two on the doubled map, one of them
                # the head's.
                outer, inner = crop.widened(2 * self.config.residual_blocks + 1, features.shape[2])
                features, colour = outer.of(features), outer.of(colour)
            features, word_maps, sentence_maps, strength = stage(features, words, mask, weighed)
            if self.config.pictures == "last" and number < len(self.stages):
                continue
            drawn = heads.pop(0)(features)
            if self.config.skip_images:
                assert colour is not None
                drawn = drawn + F.interpolate(colour, scale_factor=2.0, mode="bilinear", align_corners=False)
            colour = drawn
            if inner is not None:
                colour = inner.of(colour, 2)
                word_maps, sentence_maps = (m if m is None else inner.of(m) for m in (word_maps, sentence_maps))
                strength = strength if strength is None else inner.of(strength[:, None])[:, 0]
            yield StageOutput(colour.tanh(), word_maps, sentence_maps, strength)
