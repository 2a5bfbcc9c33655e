"""What every generator promises.

Dimensions: B batch, L words, D text channels, Z noise, S image size, H and W feature-map size, T channels of the
discriminators' condition.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from mirrorgan.layers import StandardizedSentence, check_size, crop_each
from mirrorgan.plugins import PluginConfig


class StageOutput(NamedTuple):
    """One stage of a drawing."""

    image: Tensor
    """(B, 3, S, S), float in [-1, 1]."""
    word_attention: Tensor | None
    """(B, L, H, W): sums to 1 over L, 0 at padding. None if the stage has no word attention."""
    sentence_attention: Tensor | None
    """(B, C, H, W): the weights of the sentence attention. None if the stage has none."""
    sentence_strength: Tensor | None
    """(B, H, W), at least 0: length over channels of the sentence context, for display."""
    masks: tuple[Tensor, ...] = ()
    """Where the sentence was let in: each (B, h, w) in [0, 1], coarse to fine. Empty if the stage has none."""


class GeneratorOutput(NamedTuple):
    """A batch of drawings."""

    stages: list[StageOutput]
    """Coarse to fine; every stage twice the size of the one before, or four times (StackGAN)."""
    penalties: dict[str, Tensor]
    """Scalar losses of the generator's own, already weighted; {} if none."""

    @property
    def images(self) -> list[Tensor]:
        return [stage.image for stage in self.stages]


class Crop(NamedTuple):
    """Squares of the last stage that are drawn instead of all of it, each picture's at a place of its own."""

    corners: Tensor
    """(B, 2) int64: top and left, in places of the map that the last stage takes, each of which becomes 2x2 pixels."""
    size: int
    """Places along one side."""

    def rows(self, rows: slice) -> "Crop":
        """The squares of some of the pictures."""
        return Crop(self.corners[rows], self.size)

    def of(self, maps: Tensor, scale: int = 1) -> Tensor:
        """The squares of maps (B, C, H, W) that have `scale` times as many places along one side."""
        return crop_each(maps, self.corners * scale, self.size * scale)

    def widened(self, margin: int, size: int) -> tuple["Crop", "Crop"]:
        """Larger squares, by `margin` places on every side but never over the edge of maps of `size` places; and where
        in them these squares lie."""
        wide = min(self.size + 2 * margin, size)
        corners = (self.corners - margin).clamp(0, size - wide)
        return Crop(corners, wide), Crop(self.corners - corners, self.size)


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig(PluginConfig, ABC):
    """What the configuration of every generator says."""

    supplied: ClassVar[frozenset[str]] = frozenset({"text_dim"})

    text_dim: int = 256
    """D of words and sentence."""
    noise_dim: int = 100
    """Of z, without the noise of a conditioning."""
    first_size: int
    """Pixels of the first stage's picture, a power of two of at least 8."""
    channels: tuple[int, ...]
    """Channels of each stage's features."""
    standardize_text: bool = False
    """Bring every text channel to mean 0 and deviation 1 over captions before it is used (ours). STEM's channels have a
    deviation of about 0.2, beside noise of 1: without it a caption is hardly heard for the first thousands of steps."""

    def __post_init__(self) -> None:
        check_size("first_size", self.first_size, 8)

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, ...]:
        """Pixels of every stage's picture, coarse to fine."""


class BaseGenerator(nn.Module, ABC):
    """Draws a batch of captions. Subclass this in a file of your own to add a generator."""

    config: GeneratorConfig
    """What it was built from: its file's `Config`."""
    noise_dim: int
    """Z, everything random that a drawing takes."""
    sizes: tuple[int, ...]
    """Pixels of every stage's image."""
    discriminator_condition_dim: int
    """T, channels of the condition that discriminators get of a caption."""
    location: str | None = None
    """The condition on the place of what it draws: "box" or "keypoints", see mirrorgan/locations.py; `draw` and
    `forward` take a tensor (B, W) of such places after the mask then. None: nothing."""
    location_dim: int = 0
    """W, numbers of a place."""
    part_names: tuple[str, ...] = ()
    """Of the parts that keypoints are of."""

    def discriminator_condition(self, sentence: Tensor) -> Tensor:
        """The condition that discriminators get of a caption, (B, D) to (B, T): the sentence embedding itself."""
        return sentence

    def parts(self) -> list[list[nn.Module]]:
        """For every stage the modules that it adds to those before it; together the whole generator."""
        return [[self]]

    def truncated(self, truncation: float | None) -> "BaseGenerator":
        """The same network and the same weights, drawing from noise that is cut off and scaled; None: as it comes.

        Raises:
            ValueError: this system has no truncation, or the value cannot be.
        """
        system = type(self).__module__.rpartition(".")[2]
        raise ValueError(f"{system} has no truncation: it draws from noise as it comes; dfgan has")

    @classmethod
    def check_crops(cls, config: GeneratorConfig) -> None:
        """Whether a generator of this configuration can draw a `Crop`: its `forward` takes one after the mask then.

        Raises:
            ValueError: it cannot.
        """
        system = cls.__module__.rpartition(".")[2]
        raise ValueError(f"{system} cannot draw a crop of its last stage; mirrorgan and attngan can")

    def draw_quieter(
        self, noise: Tensor, share: float, sentence: Tensor, words: Tensor, mask: Tensor
    ) -> Iterator[StageOutput]:
        """Draws as `draw` does, with noise times a share, 0 to 1; in a system with truncation that is what it is of."""
        return self.draw(noise * share, sentence, words, mask)

    @abstractmethod
    def draw(self, noise: Tensor, sentence: Tensor, words: Tensor, mask: Tensor) -> Iterator[StageOutput]:
        """Draws stage by stage, as `forward` does, for whoever wants to see or time them one by one."""

    @abstractmethod
    def forward(self, noise: Tensor, sentence: Tensor, words: Tensor, mask: Tensor) -> GeneratorOutput:
        """Draws each caption.

        Args:
            noise: z, (B, Z), standard normal. The caller draws it, so the caller owns the seed.
            sentence: sentence embedding s, (B, D).
            words: word embeddings w, (B, L, D).
            mask: (B, L) bool, True where there is a word.
        """


@dataclass(frozen=True, kw_only=True)
class StagedConfig(GeneratorConfig):
    """What generators of several stages have in common: as many stages as `channels` has numbers, each at twice the
    size of the one before."""

    first_size: int = 64
    condition_dim: int = 100
    """Channels of the augmented sentence."""
    residual_blocks: int = 2
    """In every stage after the first (R_NUM)."""
    kl_weight: float
    """Of the conditioning's divergence from N(0, I)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.channels or min(self.channels) < 1:
            raise ValueError(f"channels must name at least one stage of at least one channel, not {self.channels}")
        if not 0 <= self.kl_weight < math.inf:
            raise ValueError(f"kl_weight must be 0 or more, not {self.kl_weight}")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels of every stage's picture, coarse to fine."""
        return tuple(self.first_size * 2**stage for stage in range(len(self.channels)))


@dataclass(frozen=True, kw_only=True)
class OnePictureConfig(GeneratorConfig):
    """What generators of one picture have in common. `channels` is one number, C of the last map (nf); the first maps
    have 8 times as many."""

    first_size: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.channels) != 1 or self.channels[0] < 1:
            raise ValueError(f"channels must be one number of at least 1: there is one picture; not {self.channels}")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels of the picture."""
        return (self.first_size,)


class OnePictureGenerator(BaseGenerator):
    """Draws one picture, of noise and sentence; the words are not used, and there is no loss of its own."""

    def __init__(self, config: OnePictureConfig) -> None:
        super().__init__()
        self.config = config
        self.noise_dim, self.sizes, self.discriminator_condition_dim = config.noise_dim, config.sizes, config.text_dim
        self.standardize = StandardizedSentence(config.text_dim) if config.standardize_text else nn.Identity()

    @abstractmethod
    def picture(self, noise: Tensor, sentence: Tensor) -> StageOutput:
        """z (B, Z) and the standardised sentence (B, D) to the picture."""

    def draw(self, noise: Tensor, sentence: Tensor, words: Tensor, mask: Tensor) -> Iterator[StageOutput]:
        yield self.picture(noise, self.standardize(sentence))

    def forward(self, noise: Tensor, sentence: Tensor, words: Tensor, mask: Tensor) -> GeneratorOutput:
        return GeneratorOutput(list(self.draw(noise, sentence, words, mask)), {})
