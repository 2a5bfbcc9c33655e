"""GAWWN's generator: one picture of a caption at a place: in a box, or with parts where they are wanted. No attention.

Reed et al., "Learning What and Where to Draw" (NeurIPS 2016), as released in Torch; see FORMS. What is to be drawn goes
two ways: a global one that knows the whole picture, and a local one that acts at the place alone.

The released networks hear the mean of four captions' char-CNN-RNN embeddings of 1,024 channels. They take several boxes
a picture and are trained with one: here there is one.

Dimensions: B batch, D text channels, Z noise, G channels (ngf), M map size, S image size, W numbers of a place, P
parts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from mirrorgan.generators.base import BaseGenerator, GeneratorOutput, OnePictureConfig, StageOutput
from mirrorgan.layers import Bottleneck, StandardizedSentence, check_size, initialize_normal
from mirrorgan.locations import BIRD_PARTS, BOX, KEYPOINTS, check_box, part_maps, paste

MAP = 16
"""Places along one side of the map that places are marked on, of pictures of at least 32 pixels."""


@dataclass(frozen=True, kw_only=True)
class Config(OnePictureConfig):
    """Defaults are the released generator by boxes: 128 pixels, 73,545,699 parameters."""

    text_dim: int = 1024
    first_size: int = 128
    """Pixels of the picture, a power of two of at least 16."""
    channels: tuple[int, ...] = (128,)
    """G, a multiple of 4."""
    location: str = BOX
    """What it is told of the place: "box" or "keypoints"."""
    part_names: tuple[str, ...] = BIRD_PARTS
    """Of the P parts that keypoints are of."""
    usual_box: tuple[float, ...] = (0.2, 0.2, 0.6, 0.6)
    """x, y, width and height of the box that is drawn into where none is given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size("first_size", self.first_size, 16)
        if self.channels[0] % 4:
            raise ValueError(f"channels must be a multiple of 4, not {self.channels}")
        if self.location not in (BOX, KEYPOINTS):
            raise ValueError(f"location must be '{BOX}' or '{KEYPOINTS}', not {self.location!r}")
        if not self.part_names or len(set(self.part_names)) != len(self.part_names):
            raise ValueError(f"part_names must name each part once, not {self.part_names}")
        try:
            check_box(self.usual_box)
        except ValueError as error:
            raise ValueError(f"usual_box cannot be: {error}") from None

    @property
    def doublings(self) -> int:
        """From the map of M x M places to the picture."""
        return (self.first_size // self.map_size).bit_length() - 1

    @property
    def map_size(self) -> int:
        """M."""
        return min(MAP, self.first_size // 2)


FORMS = {"box": Config(), "keypoints": Config(location=KEYPOINTS)}
"""The released ones."""


def tconv(channels: int, out_channels: int, *, size: int = 4, stride: int = 2, padding: int = 1) -> nn.ConvTranspose2d:
    """A transposed convolution with a bias; by itself one that doubles the map."""
    return nn.ConvTranspose2d(channels, out_channels, kernel_size=size, stride=stride, padding=padding)


def opening(channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """(B, C, 1, 1) to (B, C', 4, 4)."""
    return tconv(channels, out_channels, stride=1, padding=0)


def keeping(channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """(B, C, q, q) to (B, C', q, q), 3x3."""
    return tconv(channels, out_channels, size=3, stride=1)


def seen(convolution: nn.Module, channels: int) -> list[nn.Module]:
    """A convolution, batch norm, ReLU."""
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU()]


def placed_code(widths: list[int]) -> nn.Sequential:
    """Maps (B, C, M, M), halved to 4x4, then seen whole: (B, C', 1, 1). `widths`: channels from first to last."""
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(widths)):
        last = number == len(widths) - 2
        layers += seen(
            nn.Conv2d(before, after, kernel_size=4, stride=1 if last else 2, padding=0 if last else 1), after
        )
    return nn.Sequential(*layers)


def opened(channels: int, size: int, last: int) -> list[nn.Module]:
    """(B, channels, 1, 1) to (B, last, size, size): opened to 4x4, then doubled; channels halve."""
    width = last * size // 4
    layers = seen(opening(channels, width), width)
    while width > last:
        layers += seen(tconv(width, width // 2), width // 2)
        width //= 2
    return layers


def drawn(channels: int, first: int, count: int) -> list[nn.Module]:
    """(B, channels, M, M) to (B, 3, S, S) in `count` doublings without the tanh: `first` channels, a quarter of them
    in all that follow, then three."""
    wide = [channels, *[first, *[first // 4] * count][: count - 1]]
    layers = [layer for before, after in pairwise(wide) for layer in seen(tconv(before, after), after)]
    return [*layers, tconv(wide[-1], 3)]


class BoxPaths(nn.Module):
    """Both ways to the map of M x M places, and the picture, of a generator by boxes."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        g, size, doublings = config.channels[0], config.map_size, config.doublings
        self.size = size
        self.text = nn.Linear(config.text_dim, 4 * g)  # u, of both ways; no activation of its own
        self.noise = nn.Linear(config.noise_dim, 4 * g)
        self.local_noise = nn.Linear(config.noise_dim, 4 * g)
        self.where = placed_code([4 * g] * (size // 4).bit_length() + [4 * g])
        self.whole = nn.Sequential(*opened(8 * g, size, 2 * g))
        wide = [2 * g * 2**step for step in range((size // 4).bit_length() - 1, -1, -1)]
        layers: list[nn.Module] = []
        for number, width in enumerate(wide):
            layers += [tconv(wide[number - 1], width) if number else opening(8 * g, width), nn.BatchNorm2d(width)]
            layers += [Bottleneck(width, slope=0.0, bias=True), nn.ReLU()] if width > 2 * g else []
        self.local = nn.Sequential(*layers)
        self.join = nn.Sequential(*seen(keeping(4 * g, 2 * g), 2 * g), *drawn(2 * g, g, doublings))

    def forward(self, noise: Tensor, sentence: Tensor, boxes: Tensor) -> Tensor:
        """z (B, Z), s (B, D) and boxes (B, 4) to a picture (B, 3, S, S) before its tanh."""
        text = self.text(sentence)
        tiled = text[:, :, None, None].expand(-1, -1, self.size, self.size)
        where = self.where(paste(tiled, boxes))
        whole = self.whole(torch.cat([self.noise(noise).relu()[:, :, None, None], where], dim=1))
        inside = torch.cat([self.local_noise(noise), text], dim=1).relu()[:, :, None, None]
        local = paste(self.local(inside), boxes).relu()
        picture: Tensor = self.join(torch.cat([whole, local], dim=1))
        return picture


class KeypointPaths(nn.Module):
    """Both ways to the map of M x M places, and the picture, of a generator by keypoints."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        g, size, doublings = config.channels[0], config.map_size, config.doublings
        parts = len(config.part_names)
        self.size = size
        self.text = nn.Linear(config.text_dim, 4 * g)
        self.noise = nn.Linear(config.noise_dim, 4 * g)
        self.region_start = nn.Sequential(nn.Linear(8 * g, 4 * g), nn.BatchNorm1d(4 * g), nn.ReLU())
        self.region = nn.Sequential(*seen(keeping(4 * g, 4 * g), 4 * g))
        self.whole_start = nn.Sequential(nn.Linear(8 * g, 4 * g), nn.BatchNorm1d(4 * g), nn.ReLU())
        halvings = (size // 4).bit_length() - 1
        self.where = placed_code([parts, *[g * 2**step for step in range(halvings)], 4 * g])
        self.whole = nn.Sequential(*opened(8 * g, size, g))
        self.join = nn.Sequential(
            *seen(keeping(5 * g + parts, 4 * g), 4 * g),
            keeping(4 * g, 4 * g),
            nn.BatchNorm2d(4 * g),
            Bottleneck(4 * g, slope=0.0, bias=True),
            nn.ReLU(),
            *drawn_by_halves(4 * g, doublings),
        )

    def forward(self, noise: Tensor, sentence: Tensor, places: Tensor) -> Tensor:
        """z (B, Z), s (B, D) and places of parts (B, 3P) to a picture (B, 3, S, S) before its tanh."""
        start = torch.cat([self.noise(noise), self.text(sentence)], dim=1).relu()
        maps = part_maps(places, self.size).to(start.dtype)
        anywhere = maps.sum(dim=1, keepdim=True).clamp(0, 1)  # K
        region = self.region(self.region_start(start)[:, :, None, None] * anywhere)
        whole = self.whole(torch.cat([self.whole_start(start)[:, :, None, None], self.where(maps)], dim=1))
        picture: Tensor = self.join(torch.cat([whole, region, maps], dim=1))
        return picture


def drawn_by_halves(channels: int, count: int) -> list[nn.Module]:
    """(B, channels, M, M) to (B, 3, S, S) in `count` doublings without the tanh; channels halve."""
    wide = [channels // 2**step for step in range(count)]
    layers = [layer for before, after in pairwise(wide) for layer in seen(tconv(before, after), after)]
    return [*layers, tconv(wide[-1], 3)]


class Generator(BaseGenerator):
    """Draws one picture, of noise, sentence and place; the words are not used, and there is no loss of its own."""

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config: Config = config
        self.noise_dim, self.sizes, self.discriminator_condition_dim = config.noise_dim, config.sizes, config.text_dim
        self.location, self.part_names = config.location, config.part_names
        self.location_dim = 4 if config.location == BOX else 3 * len(config.part_names)
        self.standardize = StandardizedSentence(config.text_dim) if config.standardize_text else nn.Identity()
        self.paths = BoxPaths(config) if config.location == BOX else KeypointPaths(config)
        self.apply(initialize_normal)

    def usual_place(self) -> Tensor:
        """Where it draws if it is told nothing, (1, W): the usual box; of keypoints none is seen."""
        numbers = self.config.usual_box if self.location == BOX else (0.0,) * self.location_dim
        return torch.tensor([numbers], device=next(self.parameters()).device)

    def draw(
        self, noise: Tensor, sentence: Tensor, words: Tensor, mask: Tensor, where: Tensor | None = None
    ) -> Iterator[StageOutput]:
        """As `BaseGenerator.draw`; `where`: the places, (B, W), or None for the usual one."""
        places = self.usual_place().expand(len(noise), -1) if where is None else where
        yield StageOutput(self.paths(noise, self.standardize(sentence), places).tanh(), None, None, None)

    def forward(
        self, noise: Tensor, sentence: Tensor, words: Tensor, mask: Tensor, where: Tensor | None = None
    ) -> GeneratorOutput:
        return GeneratorOutput(list(self.draw(noise, sentence, words, mask, where)), {})
