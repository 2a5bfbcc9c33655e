"""GAWWN's discriminators: picture, sentence and place judged together, once over the whole and once at the place alone.

Reed et al., "Learning What and Where to Draw" (NeurIPS 2016), as released in Torch. That by boxes cuts the box out of
what it sees, where the generator pastes into it.

Dimensions: B batch, D text channels, T channels of the projected sentence, S image size, M map size, C base channels
(ndf), W numbers of a place, P parts.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from mirrorgan.discriminators.base import BaseDiscriminator, DiscriminatorConfig
from mirrorgan.layers import StandardizedSentence, check_size, initialize_normal
from mirrorgan.locations import BIRD_PARTS, BOX, KEYPOINTS, WHOLE, crop, part_maps
from mirrorgan.losses import Judgement

MAP = 16
"""Places along one side of the map that places are marked on, of pictures of at least 32 pixels."""


@dataclass(frozen=True, kw_only=True)
class Config(DiscriminatorConfig):
    """Defaults are the released settings on 1,024 channels of text: 16,763,137 parameters at 128 pixels by boxes, and
    14,667,905 by keypoints."""

    supplied: ClassVar[frozenset[str]] = frozenset({"image_size", "text_dim", "location", "part_names"})

    image_size: int = 128
    """Pixels, a power of two of at least 16."""
    text_dim: int = 1024
    channels: int = 128
    """C, ndf in the released code."""
    condition_dim: int = 128
    """T, channels that the sentence is projected to."""
    location: str = BOX
    """The condition on the place: "box" or "keypoints"; its generator's."""
    part_names: tuple[str, ...] = BIRD_PARTS
    """Of the P parts that keypoints are of."""
    standardize_text: bool = False
    """The sentence's channels brought to mean 0 and deviation 1 over captions (ours)."""

    def __post_init__(self) -> None:
        check_size("image_size", self.image_size, 16)
        if self.location not in (BOX, KEYPOINTS):
            raise ValueError(f"location must be '{BOX}' or '{KEYPOINTS}', not {self.location!r}")

    @property
    def map_size(self) -> int:
        """M."""
        return min(MAP, self.image_size // 2)


def leaky(convolution: nn.Module, channels: int, norm: bool = True) -> list[nn.Module]:
    """A convolution, batch norm, leaky ReLU."""
    return [convolution, *([nn.BatchNorm2d(channels)] if norm else []), nn.LeakyReLU(0.2)]


def halving(channels: int, out_channels: int) -> nn.Conv2d:
    """(B, C, q, q) to (B, C', q/2, q/2)."""
    return nn.Conv2d(channels, out_channels, kernel_size=4, stride=2, padding=1)


class Discriminator(BaseDiscriminator):
    """Judges a picture beside a sentence at a place, and never alone.

    Its condition is a sentence (B, D) with its place beside it, (B, D + W); of a sentence alone the place is the whole
    picture, and no part is seen.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        c, told, size, parts = config.channels, config.condition_dim, config.map_size, len(config.part_names)
        self.boxes = config.location == BOX
        self.location_dim = 4 if self.boxes else 3 * parts
        halvings = (config.image_size // size).bit_length() - 1  # from the picture to the map
        wide = [3, *[c] * (halvings - 1), 2 * c]
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise(wide)):
            layers += leaky(halving(before, after), after, norm=number == halvings - 1)
        self.trunk = nn.Sequential(*layers, *leaky(nn.Conv2d(2 * c, 2 * c, kernel_size=3, padding=1), 2 * c))
        self.standardize = StandardizedSentence(config.text_dim) if config.standardize_text else nn.Identity()
        self.project = nn.Sequential(nn.Linear(config.text_dim, told), nn.LeakyReLU(0.2))

        # At the place
        seen = 2 * c + told
        self.local_look = nn.Sequential(*leaky(nn.Conv2d(seen, 2 * c, kernel_size=3, padding=1), 2 * c))
        at_place = 2 * c if self.boxes else 2 * c + parts
        self.local = nn.Sequential(
            *leaky(nn.Conv2d(at_place, 2 * c, kernel_size=1), 2 * c), nn.Conv2d(2 * c, c, kernel_size=1)
        )

        # Over the whole
        steps = (size // 4).bit_length() - 1  # from the map to 4x4
        wide = [2 * c, *[4 * c] * (steps - 1), 8 * c]
        self.whole = nn.Sequential(
            *[layer for before, after in pairwise(wide) for layer in leaky(halving(before, after), after)]
        )
        told_wide = [told, *[4 * c] * (steps - 1), c]
        coded = [
            layer
            for before, after in pairwise(told_wide)
            for layer in (halving(before, after), nn.BatchNorm2d(after), nn.ReLU())
        ]
        self.told_code = nn.Sequential(*coded) if self.boxes else None
        self.whole_join = nn.Sequential(
            *leaky(nn.Conv2d(8 * c + (c if self.boxes else told), 4 * c, kernel_size=1), 4 * c),
            *leaky(nn.Conv2d(4 * c, c, kernel_size=4), c),
        )
        self.head = nn.Sequential(nn.Linear(2 * c, c), nn.BatchNorm1d(c), nn.LeakyReLU(0.2), nn.Linear(c, 1))
        self.apply(initialize_normal)

    def look(self, images: Tensor) -> list[Tensor]:
        features = self.trunk(images)
        return [features, self.whole(features)]  # (B, 2C, M, M) and (B, 8C, 4, 4)

    def judge(self, features: list[Tensor], sentence: Tensor) -> Judgement:
        seen, whole = features
        sentence, places = self._split(sentence)
        told = self.project(self.standardize(sentence.float())).to(seen.dtype)[:, :, None, None]
        at_place = self.local_look(torch.cat([seen, told.expand(-1, -1, *seen.shape[2:])], dim=1))
        tiled = told.expand(-1, -1, *seen.shape[2:])
        if self.told_code is not None:
            at_place = crop(at_place, places)
            # Of a map that is the same everywhere nothing but its edge says where it was cut.
            coded = self.told_code(crop(tiled, places))
        else:
            maps = part_maps(places, seen.shape[2]).to(seen.dtype)
            at_place = torch.cat([at_place * maps.sum(dim=1, keepdim=True).clamp(0, 1), maps], dim=1)
            coded = told.expand(-1, -1, *whole.shape[2:])
        local = nn.functional.leaky_relu(self.local(at_place).mean(dim=(2, 3)), 0.2)
        together = self.whole_join(torch.cat([whole, coded.to(whole.dtype)], dim=1)).flatten(1)
        return Judgement(None, self.head(torch.cat([local, together], dim=1)))

    def _split(self, told: Tensor) -> tuple[Tensor, Tensor]:
        """Sentence (B, D) and place (B, W) of what it was told."""
        if told.shape[1] == self.config.text_dim:
            usual = WHOLE if self.boxes else (0.0,) * self.location_dim
            return told, told.new_tensor([usual]).expand(len(told), -1)
        sentence, places = told.split([self.config.text_dim, self.location_dim], dim=1)
        return sentence, places
