"""What every discriminator promises.

Dimensions: B batch, D channels of the condition, S image size, K judgements.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor, nn

from mirrorgan.backbones import Backbone
from mirrorgan.losses import Judgement
from mirrorgan.plugins import PluginConfig


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig(PluginConfig):
    """What all discriminators have in common."""

    supplied: ClassVar[frozenset[str]] = frozenset({"image_size", "text_dim"})

    image_size: int = 256
    """Pixels of the pictures that it judges."""
    text_dim: int = 256
    """D, channels of the condition."""

    def at_stage(self, image_size: int, condition_dim: int, input_size: int, pixel_head_size: int) -> Self:
        """The same for the pictures of one stage.

        Args:
            image_size: pixels of the pictures.
            condition_dim: D.
            input_size: pixels that pictures are brought to, where a frozen network looks at them.
            pixel_head_size: pixels of a further head that sees pictures as they are; 0: none.

        Raises:
            ValueError: it cannot be built for such pictures.
        """
        return dataclasses.replace(self, image_size=image_size, text_dim=condition_dim)


@dataclass(frozen=True, kw_only=True)
class TrunkDiscriminatorConfig(DiscriminatorConfig):
    """Of discriminators that look through a frozen network, which their `build` is given."""

    backbone: str = "efficientnet_lite0"
    """The frozen network. Use another one in the captioner and a third one in the scores."""


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
        """Judges what `look` saw beside sentences (B, D); of a generator with a condition on the place each with its
        place (B, W) beside it, (B, D + W)."""

    def forward(self, images: Tensor, sentence: Tensor) -> Judgement:
        return self.judge(self.look(images), sentence)
