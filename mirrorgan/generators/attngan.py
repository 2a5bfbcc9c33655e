"""AttnGAN's generator: stages that listen to the words. Xu et al., "AttnGAN" (CVPR 2018).

MirrorGAN's is this one with sentence attention beside the word attention and a 1x1 convolution that joins them, so the
network stands in `mirrorgan/generators/mirrorgan.py`, its later and larger form; here are the values that make it
AttnGAN's. AttnGAN's own loss on top of the adversarial ones is DAMSM on the last picture (Eq. 5, `losses.damsm_loss`).
"""

from dataclasses import dataclass

from mirrorgan.generators import mirrorgan
from mirrorgan.generators.mirrorgan import Generator

__all__ = ["FORMS", "Config", "Generator"]


@dataclass(frozen=True, kw_only=True)
class Config(mirrorgan.Config):
    """Defaults are the released bird generator: 64, 128 and 256 pixels, 7,084,592 parameters."""

    sentence_attention: bool = False
    """True makes it MirrorGAN's."""


FORMS = {
    "birds": Config(),
    "coco": Config(channels=(48, 48, 48), residual_blocks=3),
    "dcgan": Config(residual_blocks=0, pictures="last"),
}
"""The released ones. The DCGAN variant draws one picture of 256 pixels, without residual blocks; its discriminator has
no unconditional head."""
