"""The papers' discriminators (AttnGAN, MirrorGAN, DM-GAN): one convolutional pyramid a stage, two heads.

Dimensions: B batch, D text channels, S image size, C base channels (ndf).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mirrorgan.discriminators.base import BaseDiscriminator, DiscriminatorConfig
from mirrorgan.layers import SpectralNorm, down_block, initialize, initialize_normal, same_block
from mirrorgan.losses import Judgement

LAST = 8  # the heads work on 8C channels at 4x4
STARTS = ("orthogonal", "normal")
NORMS = ("batch", "spectral")


@dataclass(frozen=True, kw_only=True)
class Config(DiscriminatorConfig):
    """Defaults are the released bird discriminators: 6,313,730 / 19,424,002 / 71,858,946 parameters at 64, 128, 256.

    DM-GAN's: channels 32, norm "spectral": 1,878,242 / 5,155,810 / 18,264,546.
    """

    image_size: int = 256
    """Pixels, a power of two of at least 16."""
    channels: int = 64
    """C, ndf in the released code."""
    unconditional: bool = True
    """A head that judges without the sentence."""
    sentence_first: bool = False
    """The sentence before the picture's features where both are joined: StackGAN++'s; AttnGAN's is the other way
    round."""
    norm: str = "batch"
    """"batch", or "spectral": DM-GAN's, whose convolutions have biases and normalised weights in the place of batch
    norms, but for the last one of each head, which is plain."""
    spectral_norm: bool = False
    """Normalise every weight's largest singular value beside the batch norms, heads and all (not in the papers;
    AttnGAN++ gains much by it)."""
    start: str = "orthogonal"
    """Of the weights: "orthogonal" (AttnGAN and later), or "normal", N(0, 0.02) (StackGAN's for COCO)."""
    standardize_text: bool = False
    """The sentence's channels brought to mean 0 and deviation 1 over captions (ours): as it comes, it is several times
    smaller than what it is joined with."""

    def __post_init__(self) -> None:
        if self.image_size < 16 or self.image_size & (self.image_size - 1):
            raise ValueError(f"image_size must be a power of two of at least 16, not {self.image_size}")
        if self.start not in STARTS:
            raise ValueError(f"start must be one of {', '.join(STARTS)}, not {self.start!r}")
        if self.norm not in NORMS:
            raise ValueError(f"norm must be one of {', '.join(NORMS)}, not {self.norm!r}")
        if self.norm == "spectral" and self.spectral_norm:
            raise ValueError(
                "norm 'spectral' normalises the weights already; spectral_norm is for norm 'batch', leave it out"
            )


class Discriminator(BaseDiscriminator):
    """D_i of MirrorGAN's Eqs. 7 and 10.

    Four halvings to 8C channels, then halvings that go on doubling the channels until 4x4, then 3x3 convolutions back
    to 8C. At 16 and 32 pixels there are fewer halvings and one 3x3 convolution up to 8C (ours). The condition is the
    sentence embedding s itself, not its augmentation.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        c, batch = config.channels, config.norm == "batch"
        halvings = config.image_size.bit_length() - 3  # down to 4x4
        blocks: list[nn.Module] = [
            nn.Conv2d(3, c, kernel_size=4, stride=2, padding=1, bias=not batch),
            nn.LeakyReLU(0.2),
        ]
        width = 1
        for _ in range(halvings - 1):
            blocks.append(down_block(width * c, 2 * width * c, batch))
            width *= 2
        if width < LAST:
            blocks.append(same_block(width * c, LAST * c, batch))
        while width > LAST:
            blocks.append(same_block(width * c, width * c // 2, batch))
            width //= 2
        self.trunk = nn.Sequential(*blocks)
        self.unconditional = nn.Conv2d(LAST * c, 1, kernel_size=4, stride=4) if config.unconditional else None
        self.sentence_first = config.sentence_first
        self.standardize = nn.BatchNorm1d(config.text_dim, affine=False) if config.standardize_text else None
        self.joint = same_block(LAST * c + config.text_dim, LAST * c, batch)
        self.conditional = nn.Conv2d(LAST * c, 1, kernel_size=4, stride=4)
        self.apply(initialize if config.start == "orthogonal" else initialize_normal)
        if not batch:
            for module in (*self.trunk.modules(), *self.joint.modules()):
                if isinstance(module, nn.Conv2d):
                    nn.utils.parametrize.register_parametrization(
                        module, "weight", SpectralNorm(module.weight), unsafe=True
                    )
        if config.spectral_norm:
            for module in list(self.modules()):
                if isinstance(module, nn.Conv2d):
                    nn.utils.parametrizations.spectral_norm(module)

    def look(self, images: Tensor) -> list[Tensor]:
        return [self.trunk(images)]  # (B, 8C, 4, 4)

    def judge(self, features: list[Tensor], sentence: Tensor) -> Judgement:
        (seen,) = features
        if self.standardize is not None:
            sentence = self.standardize(sentence.float())
        tiled = sentence[:, :, None, None].expand(-1, -1, *seen.shape[2:]).to(seen.dtype)
        joined = self.joint(torch.cat([tiled, seen] if self.sentence_first else [seen, tiled], dim=1))
        unconditional = None if self.unconditional is None else self.unconditional(seen).flatten(1)
        return Judgement(unconditional, self.conditional(joined).flatten(1))
