"""What every discriminator promises.

Dimensions: B batch, D channels of what is told of a sentence, S image size, K judgements.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from mirrorgan.backbones import Backbone
from mirrorgan.losses import Judgement


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """What the configuration of every discriminator says."""

    text_dim: int = 256
    """D of the sentence, or of what stands for it."""


class BaseDiscriminator(nn.Module, ABC):
    """Judges the pictures of one stage. Looking and judging are apart, so that one look at the real pictures serves
    the true and the wrong sentences."""

    @classmethod
    def build(cls, config: DiscriminatorConfig, trunk: Callable[[str], Backbone]) -> "BaseDiscriminator":
        """The discriminator of a configuration.

        Args:
            config: its file's `Config`.
            trunk: gives the frozen network of a name to a discriminator that looks through one.
        """
        return cls(config)

    def fixed(self) -> list[nn.Module]:
        """Parts whose weights never learn."""
        return []

    @abstractmethod
    def look(self, images: Tensor) -> list[Tensor]:
        """Features of pictures (B, 3, S, S) in [-1, 1]; what they are is the discriminator's own affair, but each
        has the batch as its first axis."""

    @abstractmethod
    def judge(self, features: list[Tensor], sentence: Tensor) -> Judgement:
        """Judges what `look` saw beside sentences (B, D); of a generator that is told places, each with its place
        (B, W) beside it, (B, D + W)."""

    def forward(self, images: Tensor, sentence: Tensor) -> Judgement:
        return self.judge(self.look(images), sentence)
