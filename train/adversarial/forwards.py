"""How a training step calls the networks: in mixed precision, compiled or not, alone or joined with other processes.

Losses call networks through `Forwards` alone, so that none of this stands in a loss.

Dimensions: B batch, L words, S image size, T channels of the condition, D of a sentence embedding, N regions, n x n
places of a captioner's map, F features.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mirrorgan.discriminators.base import BaseDiscriminator
from mirrorgan.generators.base import BaseGenerator, GeneratorOutput
from mirrorgan.losses import Judgement, squared_grad_norm
from train.adversarial.config import GanConfig, LossesConfig
from train.adversarial.loader import Batch
from train.adversarial.networks import Networks, set_trainable
from train.runtime.device import autocast
from train.runtime.distributed import World, wrap_ddp


class DiscriminatorPass(nn.Module):
    """Everything that a discriminator computes for its own loss, as one call.

    Args:
        penalized: whether that includes the gradient norms of its penalty.
        wrong_pairs: see `LossesConfig.wrong_pairs`.
    """

    def __init__(
        self, discriminator: BaseDiscriminator, penalized: bool = False, wrong_pairs: str = LossesConfig.wrong_pairs
    ) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.penalized = penalized
        self.wrong_pairs = wrong_pairs

    def forward(
        self, real: Tensor, drawn: Tensor, condition: Tensor, wrong: Tensor, other: Tensor | None = None
    ) -> tuple[Judgement, Judgement, Judgement, Tensor | None]:
        """Judgements of real pictures with their conditions, of drawn ones, and of wrong pairs.

        Pictures (B, 3, S, S) in [-1, 1]; conditions (B, T), and those of other sentences, `wrong`; `other`: pictures of
        other classes, where wrong pairs are of those. There are B wrong pairs, or B - 1 where neighbours make them.
        Last: squared gradient norms (B,) or None.
        """
        # Weights that are normalised spectrally are so once for all three.
        with contextlib.nullcontext() if torch.compiler.is_compiling() else parametrize.cached():
            norms = None
            if self.penalized:
                features, matched, norms = grad_norm(self.discriminator, real, condition)
            else:
                features = self.discriminator.look(real)
                matched = self.discriminator.judge(features, condition)
            if self.wrong_pairs == "pictures":
                mismatched = self.discriminator(other, condition)
            elif self.wrong_pairs in ("neighbours", "next"):
                mismatched = self.discriminator.judge([maps[:-1] for maps in features], condition[1:])
            else:
                mismatched = self.discriminator.judge(features, wrong)
            return matched, self.discriminator(drawn, condition), mismatched, norms


class GradientPenalty(nn.Module):
    """The gradient norms of a discriminator's penalty, as one call, where the penalty has a step of its own."""

    def __init__(self, discriminator: BaseDiscriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, real: Tensor, condition: Tensor) -> Tensor:
        """Real pictures (B, 3, S, S) and their conditions (B, T) to squared gradient norms (B,)."""
        with parametrize.cached():
            _, matched, norms = grad_norm(self.discriminator, real, condition)
        # The gradient does not depend on every bias; DistributedDataParallel waits for those all the same.
        return norms + 0.0 * sum(head.sum() for head in matched if head is not None)


def grad_norm(
    discriminator: BaseDiscriminator, real: Tensor, condition: Tensor
) -> tuple[list[Tensor], Judgement, Tensor]:
    """Features of pictures, their judgement, and its squared gradient norms (B,) by picture and condition.

    In float32, as the penalty raises the norms to the 6th power.
    """
    with torch.autocast(real.device.type, enabled=False):
        real, condition = real.detach().float().requires_grad_(), condition.detach().float().requires_grad_()
        features = discriminator.look(real)
        judgement = discriminator.judge(features, condition)
        return features, judgement, squared_grad_norm(judgement, real, condition)


def identity(function: Any) -> Any:
    """What stands in the place of a compiler if nothing is compiled."""
    return function


def condition_of(generator: BaseGenerator, sentence: Tensor, where: Tensor | None) -> Tensor:
    """What discriminators are told of sentences (B, D): (B, T), and where the generator is told places, those (B, W)
    beside it."""
    condition = generator.discriminator_condition(sentence)
    return condition if where is None else torch.cat([condition, where.to(condition.dtype)], dim=1)


class Forwards:
    """The networks of a run as a step calls them. Logits, codes and features come back in float32.

    Args:
        compiled: makes a compiled function of a network or of a function; `identity`: none is compiled.
    """

    def __init__(self, networks: Networks, config: GanConfig, compiled: Callable[[Any], Any] = identity) -> None:
        self.networks, self.config = networks, config
        penalized = bool(config.objective.gradient_penalty)
        within = penalized and not config.losses.separate_penalty_step
        compiled_pass = identity if within else compiled  # the gradient of a gradient cannot be compiled
        self.generator = compiled(networks.generator)
        self.passes = [
            compiled_pass(DiscriminatorPass(each, within, config.losses.wrong_pairs))
            for each in networks.each_discriminator()
        ]
        apart = penalized and config.losses.separate_penalty_step
        self.penalties: list[Any] = [GradientPenalty(each) for each in networks.each_discriminator()] if apart else []
        self._judges = [compiled(each) for each in networks.each_discriminator()]
        self._see = None if networks.captioner is None else compiled(networks.captioner.see)
        self._features = [compiled(each) for each in networks.statistics]

    def wrap_ddp(self, world: World) -> None:
        """Makes gradients of the generator and the discriminators the means over all processes, from here on."""
        set_trainable(self.networks.discriminators, True)  # as DistributedDataParallel asks for
        self.generator = wrap_ddp(self.generator, world)
        self.passes = [wrap_ddp(each, world) for each in self.passes]
        self.penalties = [wrap_ddp(each, world) for each in self.penalties]

    def draw(self, batch: Batch) -> GeneratorOutput:
        """The generator's output for a batch."""
        more = [each for each in (batch.crop, batch.where) if each is not None]  # no generator takes both
        with self._mixed_precision():
            output: GeneratorOutput = self.generator(batch.noise, batch.sentence, batch.words, batch.mask, *more)
        return output

    def discriminate(
        self,
        number: int,
        real: Tensor,
        drawn: Tensor,
        condition: Tensor,
        wrong: Tensor,
        other: Tensor | None = None,
    ) -> tuple[Judgement, Judgement, Judgement, Tensor | None]:
        """A discriminator's `DiscriminatorPass`."""
        with self._mixed_precision():
            matched, forged, mismatched, norms = self.passes[number](real, drawn, condition, wrong, other)
        return as_float(matched), as_float(forged), as_float(mismatched), norms

    def judge(self, number: int, pictures: Tensor, sentence: Tensor, where: Tensor | None = None) -> Judgement:
        """A discriminator's judgement of drawn pictures (B, 3, S, S) with sentence embeddings (B, D), and places."""
        with self._mixed_precision():
            return as_float(self._judges[number](pictures, condition_of(self.networks.generator, sentence, where)))

    def caption_logits(self, pictures: Tensor, tokens: Tensor) -> Tensor:
        """STREAM's logits for the words of captions (B, L) on pictures (B, 3, S, S), as `Captioner.logits`."""
        assert self.networks.captioner is not None and self._see is not None
        with self._mixed_precision():
            return self.networks.captioner.logits(self._see(pictures), tokens)

    @torch.no_grad()
    def caption_maps(self, pictures: Tensor, tokens: Tensor) -> Tensor:
        """Where STREAM looks on pictures (B, 3, S, S) for the words of captions (B, L): (B, L, n, n), no gradients."""
        captioner = self.networks.captioner
        assert captioner is not None
        with self._mixed_precision():
            maps = captioner.maps(captioner.see(pictures.float()), tokens)
        assert maps is not None
        return maps.clone()  # out of inference mode

    def image_codes(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """DAMSM's codes of pictures' regions (B, N, D) and of whole pictures (B, D)."""
        assert self.networks.image_encoder is not None
        with self._mixed_precision():
            regions, code = self.networks.image_encoder(pictures.float())
        return regions.float(), code.float()

    def features(self, pictures: Tensor) -> list[Tensor]:
        """All statistics of pictures (B, 3, S, S) that the Frechet loss compares, each (B, F)."""
        with self._mixed_precision():
            return [features.float() for statistics in self._features for features in statistics(pictures)]

    def _mixed_precision(self) -> contextlib.AbstractContextManager[Any]:
        return autocast(self.config.torch_device, self.config.precision)


def as_float(judgement: Judgement) -> Judgement:
    """The same logits in float32."""
    unconditional, conditional = judgement
    return Judgement(None if unconditional is None else unconditional.float(), conditional.float())
