"""What every generator promises.

Dimensions: B batch, L words, D text channels, Z noise, S image size, H and W feature-map size, T told channels.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

from torch import Tensor, nn


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
    stages: list[StageOutput]
    """Coarse to fine; every stage twice the size of the one before."""
    penalties: dict[str, Tensor]
    """Scalar losses of the generator's own, already weighted; {} if none."""

    @property
    def images(self) -> list[Tensor]:
        return [stage.image for stage in self.stages]


class BaseGenerator(nn.Module, ABC):
    """Draws a batch of captions. Subclass this in a file of your own to add a generator."""

    config: Any
    """What it was built from: its file's `Config`."""
    noise_dim: int
    """Z, everything random that a drawing takes."""
    sizes: tuple[int, ...]
    """Pixels of every stage's image."""
    told_dim: int
    """T, channels of what discriminators are told of a caption."""

    def tell(self, sentence: Tensor) -> Tensor:
        """What discriminators are told of a caption, (B, D) to (B, T): the sentence embedding itself."""
        return sentence

    def parts(self) -> list[list[nn.Module]]:
        """For every stage the modules that it adds to those before it; together the whole generator."""
        return [[self]]

    def truncated(self, truncation: float | None) -> Self:
        """The same network and the same weights, drawing from noise that is cut off and scaled; None: as it comes.

        Raises:
            ValueError: this system has no truncation, or the value cannot be.
        """
        system = type(self).__module__.rpartition(".")[2]
        raise ValueError(f"{system} has no truncation: it draws from noise as it comes; dfgan has")

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
