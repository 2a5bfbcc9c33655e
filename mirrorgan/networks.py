"""What the pipeline asks of the networks of a checkpoint, whoever runs them. No torch is needed to import this.

A value of type `Any` belongs to the networks that gave it: it comes out of one method and goes into another.

Dimensions: L words of the caption, T tokens of it, its end among them if that counts.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from mirrorgan.drawing import Stage

BEAM_WIDTH = 3
"""Of the search for the sentence that is read back."""
ALTERNATIVES = 5
"""Words that are named with their probabilities at every word that is read back."""


@dataclass(frozen=True)
class Said:
    """A sentence that STREAM reads in a picture."""

    tokens: tuple[int, ...]
    """Without the end."""
    probabilities: tuple[float, ...]
    """Of every token, given those before it and the picture."""
    complete: bool
    """It came to its end by itself."""
    log_likelihood: float
    """Of all tokens, and of the end if it was reached."""
    maps: np.ndarray | None = None
    """(tokens, N, N) float32, each sums to 1: where it looked for every token. None without attention over regions."""
    alternatives: tuple[tuple[tuple[int, float], ...], ...] = ()
    """For every token the likeliest ones there, best first, each with its probability."""


@dataclass(frozen=True)
class ReadBack:
    """What STREAM reads in a picture, and how it takes a caption that is given."""

    said: Said
    log_likelihood: float
    """Mean log-probability of the T tokens of the caption; 0 without one."""
    expected: tuple[float, ...]
    """Probabilities of the L words of the caption, given those before; empty without one."""


class Networks(ABC):
    """The trained parts of a checkpoint. Calls change nothing in them, so they may be shared.

    Attributes:
        sizes: pixels of the stages.
        noise_dim: random numbers that a drawing takes.
        text_dim: channels of words and sentence.
        reads: there is a captioner.
        matches: there is an image encoder.
        location: what it can be told of the place of what it draws: "box" or "keypoints"; None: nothing.
        part_names: of the parts that keypoints are of.
        suffix: what the name of the checkpoint is followed by in drawings, such as ", truncation 0.5".
    """

    sizes: tuple[int, ...]
    noise_dim: int
    text_dim: int
    reads: bool
    matches: bool
    location: str | None = None
    part_names: tuple[str, ...] = ()
    suffix: str = ""

    @abstractmethod
    def encode(self, tokens: Sequence[int]) -> Any:
        """A caption's words and sentence, from the ids of its L words."""

    @abstractmethod
    def noise(self, seed: int) -> Any:
        """Of a seed, the same for all that run the networks, but for rounding."""

    @abstractmethod
    def place(self, where: Any, noise: Any, caption: Any, system: str) -> tuple[Any, tuple[Any, ...] | None]:
        """The place to draw at as `draw` takes it, and as a drawing says it; None: where it draws by itself.

        Args:
            where: see `MirrorGAN.draw`.
            system: what to call it in a message.

        Raises:
            CaptionError: the place cannot be, or it takes none.
        """

    @abstractmethod
    def draw(
        self, noise: Any, caption: Any, share: float | None = None, place: Any = None
    ) -> Iterator[tuple[Stage, Any]]:
        """Every stage, coarse to fine, and its picture as `read` and `match` take it.

        Args:
            share: of the noise, 0 to 1; in a system with truncation that is what it is of. None: all of the noise, and
                the checkpoint's own truncation.
            place: what `place` gave.
        """

    @abstractmethod
    def between(self, start: tuple[Any, Any], end: tuple[Any, Any], share: float) -> tuple[Any, Any]:
        """Noise and caption at a share, 0 to 1, of the way between two; see `MirrorGAN.walk`."""

    @abstractmethod
    def picture(self, picture: Image.Image) -> Any:
        """A square RGB picture as `read` and `match` take it."""

    @abstractmethod
    def read(self, picture: Any, tokens: Sequence[int] = ()) -> ReadBack:
        """Reads a picture by beam search, and follows a caption through it. Only if it `reads`."""

    @abstractmethod
    def readings(self, picture: Any, first: Said | None, count: int) -> list[Said]:
        """See `MirrorGAN.readings`. Only if it `reads`.

        Args:
            first: the first sentence; None: it is searched for.
        """

    @abstractmethod
    def match(self, picture: Any, caption: Any) -> float:
        """Cosine of picture and caption in DAMSM's space. Only if it `matches`."""

    @abstractmethod
    def truncated(self, truncation: float | None) -> "Networks":
        """The same, drawing from noise that is cut off and scaled; None: from noise as it comes.

        Raises:
            ValueError: this system has no truncation, or the value cannot be.
        """

    @abstractmethod
    def climb(self, seed: int, tokens: Sequence[int], steps: int, rate: float) -> Iterator[tuple[float, list[Stage]]]:
        """See `MirrorGAN.refine`: of every step the log-likelihood and the stages.

        Raises:
            CheckpointError: these networks give no gradients.
        """

    @abstractmethod
    def check_sampler(self, system: str) -> None:
        """Raises CheckpointError if `sample` has not what it needs; `system` is what to call it."""

    @abstractmethod
    def sample(self, seed: int, tokens: Sequence[int], config: Any) -> Iterator[tuple[int, float, list[Stage]]]:
        """See `MirrorGAN.sample`: of every step its number, the mean log-likelihood of a token, and the picture."""

    @abstractmethod
    def parameters(self) -> dict[str, int]:
        """Numbers that were learnt, by part; see `Inside.parameters`."""

    def synchronize(self) -> None:
        """Waits until all is computed that was asked for; so that it can be timed."""
        return
