"""StackGAN's generator: a small picture, then one four times as large that is drawn over it. No attention.

Zhang et al., "StackGAN: Text to Photo-realistic Image Synthesis with Stacked Generative Adversarial Networks" (ICCV
2017). It was released twice, and the two differ: for birds in TensorFlow, for COCO in PyTorch; see FORMS. Both are
trained in two phases: the first stage alone, then the second one on top of it, which stands still. Here that is a run
of one stage, and one that grows from it with `first_trained` 1. A stage that stands still keeps the statistics of its
batch norms; in the released code those go on moving.

The released networks hear the mean of four captions' char-CNN-RNN embeddings of 1,024 channels (COCO: one caption's).

Dimensions: B batch, D text channels, Z condition channels, G channels (GF in the released code), S image size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirrorgan.generators.base import BaseGenerator, GeneratorOutput, StagedConfig, StageOutput
from mirrorgan.layers import (
    Bottleneck,
    StandardizedSentence,
    UpConv,
    check_size,
    image_head,
    initialize_stackgan,
    initialize_stackgan_coco,
    truncated,
    widths,
)
from mirrorgan.losses import kl_divergence


@dataclass(frozen=True, kw_only=True)
class Config(StagedConfig):
    """Defaults are the released bird generator: 64 and 256 pixels, 40,554,272 parameters, 14,264,192 of them of the
    first stage."""

    text_dim: int = 1024
    condition_dim: int = 128
    channels: tuple[int, ...] = (128, 128)
    """G of each stage, multiples of 4. One number: the first stage alone."""
    residual_blocks: int = 4
    """In the second stage (R_NUM)."""
    kl_weight: float = 2.0
    form: str = "birds"
    """"birds" (released in TensorFlow) or "coco" (released in PyTorch)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size("first_size", self.first_size, 16)
        if len(self.channels) > 2 or any(c % 4 for c in self.channels):
            raise ValueError(f"channels must be one or two multiples of 4, a number a stage, not {self.channels}")
        if self.form not in ("birds", "coco"):
            raise ValueError(f"form must be 'birds' or 'coco', not {self.form!r}")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels of every stage's image: the second one is four times as large."""
        return (self.first_size, 4 * self.first_size)[: len(self.channels)]


FORMS = {"birds": Config(), "coco": Config(form="coco", channels=(192, 192), residual_blocks=2)}
"""The released ones."""


class Conditioning(nn.Module):
    """A Gaussian around the sentence, each stage its own.

    birds:  mu, log sigma = leaky ReLU of (A s + a)        c = mu + sigma eps, eps of a normal cut off at 2
    coco:   mu, log sigma^2 = ReLU of (A s + a)            c = mu + sigma eps, eps normal; so mu >= 0, sigma >= 1
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.linear = nn.Linear(config.text_dim, 2 * config.condition_dim)
        self.birds = config.form == "birds"

    def forward(self, sentence: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """s (B, D) and standard normal noise (B, Z) to c, its mean and its log-variance, all (B, Z)."""
        said = self.linear(sentence)
        mu, spread = (F.leaky_relu(said, 0.2) if self.birds else said.relu()).chunk(2, dim=1)
        if not self.birds:
            return mu + noise * (0.5 * spread).exp(), mu, spread
        return mu + truncated(noise, 1.0) * spread.exp(), mu, 2 * spread


def up(channels: int, out_channels: int) -> list[nn.Module]:
    """(B, channels, q, q) to (B, out_channels, 2q, 2q): nearest neighbour, 3x3 convolution, batch norm."""
    return [UpConv(channels, out_channels), nn.BatchNorm2d(out_channels)]


class FirstStage(nn.Module):
    """A picture from noise and sentence; its own conditioning.

    For birds GAN-INT-CLS's generator with enlarging and 3x3 convolutions in the place of transposed ones; for COCO
    without bottlenecks and with one more convolution.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.condition = Conditioning(config)
        self.birds = config.form == "birds"
        inputs, channels = config.condition_dim + config.noise_dim, config.channels[0]
        if self.birds:
            wide = widths(config.first_size // 2, channels)
            layers: list[nn.Module] = [Bottleneck(wide[0], slope=0.0), nn.ReLU()]
            for number, (before, after) in enumerate(pairwise(wide)):
                layers += up(before, after)
                layers += [Bottleneck(after, slope=0.0)] if number == 0 else []
                layers.append(nn.ReLU())
            self.head: nn.Module = UpConv(wide[-1], 3)
        else:
            wide = [
                channels // 2 * config.first_size // 4 // 2**step for step in range(config.first_size.bit_length() - 2)
            ]
            layers = [layer for before, after in pairwise(wide) for layer in (*up(before, after), nn.ReLU())]
            self.head = image_head(wide[-1])
        start = [nn.Linear(inputs, 16 * wide[0], bias=self.birds), nn.BatchNorm1d(16 * wide[0])]
        self.start = nn.Sequential(*start, *([] if self.birds else [nn.ReLU()]))
        self.blocks = nn.Sequential(*layers)

    def forward(self, noise: Tensor, sentence: Tensor, sample: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, noise), s (B, D) and the conditioning's noise (B, Z) to a picture (B, 3, S, S) and the divergence."""
        conditioning, mu, logvar = self.condition(sentence, sample)
        start = self.start(torch.cat([conditioning, noise] if self.birds else [noise, conditioning], dim=1))
        image = self.head(self.blocks(start.unflatten(1, (-1, 4, 4)))).tanh()
        return image, kl_divergence(mu, logvar)


class ResBlock(nn.Module):
    """Two 3x3 convolutions beside an identity, ReLU after the sum. (B, C, q, q) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        return (features + self.block(features)).relu()


class SecondStage(nn.Module):
    """A picture made small in maps, told the sentence once more, and drawn anew, four times as large."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        c = config.channels[1]
        self.condition = Conditioning(config)
        self.look = nn.Sequential(
            nn.Conv2d(3, c, kernel_size=3, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(c, 2 * c, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * c),
            nn.ReLU(),
            nn.Conv2d(2 * c, 4 * c, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(4 * c),
            nn.ReLU(),
        )
        self.join = nn.Sequential(
            nn.Conv2d(4 * c + config.condition_dim, 4 * c, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(4 * c),
            nn.ReLU(),
        )
        self.refine = nn.Sequential(*[ResBlock(4 * c) for _ in range(config.residual_blocks)])
        wide = [4 * c, 2 * c, c, c // 2, c // 4]
        self.up = nn.Sequential(*[layer for a, b in pairwise(wide) for layer in (*up(a, b), nn.ReLU())])
        self.head = image_head(wide[-1])

    def forward(self, image: Tensor, sentence: Tensor, sample: Tensor) -> tuple[Tensor, Tensor]:
        """A picture (B, 3, S, S), s (B, D) and noise (B, Z) to a picture (B, 3, 4S, 4S) and the divergence."""
        conditioning, mu, logvar = self.condition(sentence, sample)
        seen = self.look(image)
        tiled = conditioning[:, :, None, None].expand(-1, -1, *seen.shape[2:]).to(seen.dtype)
        joined = self.join(torch.cat([seen, tiled], dim=1))  # the picture comes first
        return self.head(self.up(self.refine(joined))).tanh(), kl_divergence(mu, logvar)


class Generator(BaseGenerator):
    """Stage-I and Stage-II; the discriminators' condition: the sentence (birds), or the mean of the last stage's
    conditioning, from which nothing learns (COCO)."""

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        # z, then what samples the conditioning of each stage
        self.noise_dim = config.noise_dim + len(config.channels) * config.condition_dim
        self.sizes = config.sizes
        self.discriminator_condition_dim = config.text_dim if config.form == "birds" else config.condition_dim
        self.standardize = StandardizedSentence(config.text_dim) if config.standardize_text else nn.Identity()
        stages: list[nn.Module] = [FirstStage(config)]
        stages += [SecondStage(config)] if len(config.channels) == 2 else []
        self.stages = nn.ModuleList(stages)
        self.apply(initialize_stackgan if config.form == "birds" else initialize_stackgan_coco)

    def discriminator_condition(self, sentence: Tensor) -> Tensor:
        """(B, D) to (B, T): see the class."""
        if self.config.form == "birds":
            return sentence
        none = sentence.new_zeros(len(sentence), self.config.condition_dim)
        mu: Tensor = self.stages[-1].condition(self.standardize(sentence), none)[1]  # type: ignore[operator]
        return mu.detach()

    def parts(self) -> list[list[nn.Module]]:
        first, *second = self.stages
        return [[self.standardize, first], *([stage] for stage in second)]

    def forward(self, noise: Tensor, sentence: Tensor, words: Tensor, mask: Tensor) -> GeneratorOutput:
        drawn = list(self._stages(noise, sentence))
        divergence = torch.stack([apart for _, apart in drawn]).sum()
        stages = [StageOutput(image, None, None, None) for image, _ in drawn]
        return GeneratorOutput(stages, {"kl": self.config.kl_weight * divergence})

    def draw(self, noise: Tensor, sentence: Tensor, words: Tensor, mask: Tensor) -> Iterator[StageOutput]:
        """The words are not used: the caption enters by its sentence alone."""
        return (StageOutput(image, None, None, None) for image, _ in self._stages(noise, sentence))

    def _stages(self, noise: Tensor, sentence: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        sentence = self.standardize(sentence)
        given, *samples = noise.split([self.config.noise_dim] + [self.config.condition_dim] * len(self.stages), dim=1)
        for stage, sample in zip(self.stages, samples, strict=True):
            given, divergence = stage(given, sentence, sample)
            yield given, divergence
