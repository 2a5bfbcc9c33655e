"""What the generator and its discriminators are trained for, by name.

An objective is two losses on judgements, and what some systems add to them: a penalty on the discriminators' slope, and
captions between captions.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from mirrorgan import losses
from mirrorgan.losses import Judgement


class Objective(NamedTuple):
    discriminator: Callable[[Judgement, Judgement, Judgement], Tensor]
    """Loss of one discriminator on real pictures, drawn ones, and real ones beside other sentences."""
    generator: Callable[[Judgement], Tensor]
    """Loss of the generator by one discriminator's judgement of drawn pictures."""
    margin: float
    """The mean logit beyond which a discriminator has nothing left to learn."""
    gradient_penalty: float = 0.0
    """Weight of the matching-aware gradient penalty."""
    interpolation: float = 0.0
    """Weight of the generator's loss on pictures of sentences halfway between two captions."""


OBJECTIVES = {
    # AttnGAN, MirrorGAN
    "cross_entropy": Objective(losses.cross_entropy_discriminator, losses.cross_entropy_generator, 4.0),
    # StackGAN++
    "cross_entropy_sum": Objective(losses.cross_entropy_sum_discriminator, losses.cross_entropy_generator, 4.0),
    # GAN-INT-CLS: its loss is one mean over B rows and B/2 rows between captions, each row of which counts as much:
    # 2/3 (the mean of the first + 1/2 the mean of the others)
    "gan_int_cls": Objective(
        losses.cross_entropy_discriminator, losses.cross_entropy_generator, 4.0, interpolation=0.5
    ),
    "hinge": Objective(losses.hinge_discriminator, losses.hinge_generator, 1.0),
    # SSA-GAN, DF-GAN
    "hinge_ma_gp": Objective(losses.hinge_discriminator, losses.hinge_generator, 1.0, gradient_penalty=2.0),
}
