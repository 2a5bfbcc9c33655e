"""Places of all parts from a caption and from those that are given, so that nobody need place fifteen of them.

Reed et al., "Learning What and Where to Draw" (NeurIPS 2016), section 4.4, as released in Torch: a GAN of its own, on
45 numbers for 15 parts in the place of pictures.

Dimensions: B batch, D text channels, Z noise, P parts, G and C base channels (ngf, ndf).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mirrorgan.layers import StandardizedSentence, initialize_normal
from mirrorgan.locations import BIRD_PARTS


@dataclass(frozen=True, kw_only=True)
class KeypointConfig:
    """Defaults are the released ones: 2,715,949 parameters of the generator, 946,177 of its discriminator."""

    text_dim: int = 1024
    noise_dim: int = 100
    channels: int = 128
    """G and C."""
    part_names: tuple[str, ...] = BIRD_PARTS
    """Of the P parts."""
    standardize_text: bool = False
    """The sentence's channels brought to mean 0 and deviation 1 over captions (ours)."""


class KeypointGenerator(nn.Module):
    """Completes places of parts."""

    def __init__(self, config: KeypointConfig) -> None:
        super().__init__()
        self.config = config
        g, numbers = config.channels, 3 * len(config.part_names)
        self.standardize = StandardizedSentence(config.text_dim) if config.standardize_text else nn.Identity()
        self.noise = nn.Sequential(nn.Linear(config.noise_dim, 4 * g), nn.ReLU())
        self.text = nn.Sequential(nn.Linear(config.text_dim, 4 * g), nn.ReLU())
        self.given = nn.Sequential(*normed(numbers, 4 * g), *normed(4 * g, 2 * g))
        self.join = nn.Sequential(
            *normed(10 * g, 8 * g), *normed(8 * g, 4 * g), *normed(4 * g, 2 * g), nn.Linear(2 * g, numbers)
        )
        self.apply(initialize_normal)

    def forward(self, noise: Tensor, sentence: Tensor, given: Tensor) -> Tensor:
        """z (B, Z), s (B, D) and places (B, 3P) to places of all parts (B, 3P), each number in [0, 1].

        Args:
            given: x, y and whether it is given, of every part; 0, 0, 0 where it is not. A given part comes out as it
                went in.
        """
        said = [self.noise(noise), self.text(self.standardize(sentence)), self.given(given)]
        made = self.join(torch.cat(said, dim=1)).sigmoid()
        known = given.unflatten(1, (-1, 3))[:, :, 2:].expand(-1, -1, 3).flatten(1)  # v of the part, for its numbers
        completed: Tensor = given * known + made * (1 - known)
        return completed


class KeypointDiscriminator(nn.Module):
    """Tells places of parts of photographs from those that were made, beside a sentence."""

    def __init__(self, config: KeypointConfig) -> None:
        super().__init__()
        c, numbers = config.channels, 3 * len(config.part_names)
        self.standardize = StandardizedSentence(config.text_dim) if config.standardize_text else nn.Identity()
        self.places = nn.Sequential(*normed(numbers, 4 * c, 0.2), *normed(4 * c, 2 * c, 0.2))
        self.text = nn.Sequential(*normed(config.text_dim, 4 * c, 0.2), *normed(4 * c, 2 * c, 0.2))
        self.join = nn.Sequential(*normed(4 * c, 2 * c, 0.2), nn.Linear(2 * c, 1))
        self.apply(initialize_normal)

    def forward(self, places: Tensor, sentence: Tensor) -> Tensor:
        """Places (B, 3P) and s (B, D) to logits (B, 1)."""
        said = self.text(self.standardize(sentence))
        logits: Tensor = self.join(torch.cat([self.places(places), said], dim=1))
        return logits


def normed(channels: int, out_channels: int, slope: float = 0.0) -> list[nn.Module]:
    """A linear layer, batch norm, ReLU or leaky ReLU."""
    return [nn.Linear(channels, out_channels), nn.BatchNorm1d(out_channels), nn.LeakyReLU(slope)]


def seen_parts(places: Tensor, least: float = 0.5) -> Tensor:
    """Places (B, 3P) with whether a part is seen as 0 or 1, and 0, 0, 0 where it is not.

    Args:
        least: above which it is seen; the released code draws with 0.5 and trains with 0.1.
    """
    each = places.unflatten(1, (-1, 3))
    seen = (each[:, :, 2:] > least).to(places.dtype)
    return torch.cat([each[:, :, :2] * seen, seen], dim=2).flatten(1)
