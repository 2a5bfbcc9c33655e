"""The criterion: the networks of a run, the weights of their losses, and how both are called.

A training step asks it for drawings and for losses, and knows nothing else of what is trained.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mirrorgan import losses
from mirrorgan.generators.base import GeneratorOutput
from train.adversarial.config import GanConfig
from train.adversarial.forwards import Forwards, condition_of, identity
from train.adversarial.frechet_loss import FrechetLoss
from train.adversarial.generator_losses import Damsm, DrawnBatch, generator_losses
from train.adversarial.loader import Batch, encode_text
from train.adversarial.networks import Networks, text_parameters
from train.data.augmentation import augment
from train.runtime.distributed import SINGLE_PROCESS, World, gather_rows

REAL, FORGED, SHOWN = range(3)
"""Uses of a stage's pictures in a step, each augmented in its own way: real and drawn ones for the discriminator's
loss, drawn ones for the generator's."""


class Losses(NamedTuple):
    """The losses of one network, of some rows."""

    total: Tensor
    """Scalar: what is differentiated."""
    named: dict[str, Tensor]
    """Scalars by name, weighted, and what else is worth a curve."""


class Criterion:
    """The losses of a run.

    Args:
        networks: they are called, not changed.
        world: the processes that share a batch.
        compiled: makes a compiled function of a network; see `Forwards`.
    """

    def __init__(
        self,
        networks: Networks,
        config: GanConfig,
        world: World = SINGLE_PROCESS,
        compiled: Callable[[Any], Any] = identity,
    ) -> None:
        self.networks, self.config, self.world = networks, config, world
        self.forwards = Forwards(networks, config, compiled)
        self.generator_losses = generator_losses(config, self.forwards, world)
        self._damsm = Damsm(1.0, config, self.forwards, world)

    def draw(self, batch: Batch, interpolated: bool = True) -> GeneratorOutput:
        """The batch drawn; below it interpolated sentences, where the objective has those and `interpolated` is set."""
        if self.config.text.training == "joint":  # the graph goes on into the text encoder
            words, sentence = encode_text(self.networks.text_encoder, self.config, batch.tokens, batch.mask)
            batch = batch._replace(words=words, sentence=sentence)
        if interpolated and self.config.objective.interpolation:
            batch = batch.with_interpolated()
        return self.forwards.draw(batch)

    def draw_for_both(self, batch: Batch) -> GeneratorOutput | None:
        """The batch drawn once, for both halves of a step. None where each half draws for itself: the generator from
        other noise, or a batch in parts, of which no graph is kept."""
        return self.draw(batch) if self.config.accumulate == 1 and batch.fresh is None else None

    @torch.no_grad()
    def sample(self, batch: Batch) -> GeneratorOutput:
        """The batch drawn without a graph, for the discriminators' loss.

        Where the generator has noise of its own, nothing is drawn here that the discriminators do not look at.
        """
        return self.draw(batch, interpolated=not self.config.losses.fresh_noise)

    def discriminator(self, batch: Batch, output: GeneratorOutput) -> Losses:
        """Eq. 10 of MirrorGAN, summed over stages: real pictures from drawn ones, true sentences from
        wrong ones, see `LossesConfig.wrong_pairs`.

        Named are the sum (with the gradient penalty, if that has no step of its own), the penalty, and the mean logits
        of real and of drawn pictures.
        """
        goal, rows = self.config.objective, len(batch.sentence)
        with torch.no_grad():
            condition, wrong = (
                condition_of(self.networks.generator, each, batch.where) for each in (batch.sentence, batch.wrong)
            )
        total, penalties, real_logits, drawn_logits = [], [], [], []
        for number, stage in enumerate(self.networks.judged_stages):
            real = self._augmented(batch, batch.images[stage], stage, REAL)
            drawn = self._augmented(batch, output.images[stage][:rows].detach(), stage, FORGED)
            matched, forged, mismatched, norms = self.forwards.discriminate(
                number, real, drawn, condition, wrong, self._other(batch, stage)
            )
            total.append(goal.discriminator(matched, forged, mismatched))
            real_logits.append(matched.conditional.mean())
            drawn_logits.append(forged.conditional.mean())
            if norms is not None:
                penalties.append(goal.gradient_penalty * losses.matching_aware_penalty(norms))
        named = {"gradient penalty": torch.stack(penalties).sum()} if penalties else {}
        named["discriminator"] = torch.stack([*total, *penalties]).sum()
        named["logit real"], named["logit drawn"] = (torch.stack(each).mean() for each in (real_logits, drawn_logits))
        return Losses(named["discriminator"], named)

    @property
    def penalizes_apart(self) -> bool:
        """Whether the discriminators' gradient penalty has a step of its own."""
        return bool(self.forwards.penalties)

    def penalty(self, batch: Batch) -> Losses:
        """The matching-aware gradient penalty, alone, at real pictures with their own sentences."""
        with torch.no_grad():
            condition = condition_of(self.networks.generator, batch.sentence, batch.where)
        penalties = []
        for penalty, stage in zip(self.forwards.penalties, self.networks.judged_stages, strict=True):
            norms = penalty(self._augmented(batch, batch.images[stage], stage, REAL), condition)
            penalties.append(losses.matching_aware_penalty(norms))
        total = self.config.objective.gradient_penalty * torch.stack(penalties).sum()
        return Losses(total, {"gradient penalty": total})

    def generator(self, batch: Batch, output: GeneratorOutput) -> Losses:
        """Every loss of `generator_losses`, and the generator's own penalties (of its conditioning, say)."""
        drawn = self.drawn_batch(batch, output)
        named = {loss.name: loss.weight * loss(batch, drawn) for loss in self.generator_losses} | output.penalties
        total = torch.stack(list(named.values())).sum()
        if self.world.size > 1:  # DistributedDataParallel waits for gradients of stages without a discriminator too
            unjudged = [image for stage, image in enumerate(output.images) if stage not in self.networks.judged_stages]
            total = total + 0.0 * sum(image.sum() for image in unjudged)
        return Losses(total, named)

    def drawn_batch(self, batch: Batch, output: GeneratorOutput) -> DrawnBatch:
        """What the generator's losses see of its output."""
        shown = batch.with_interpolated() if self.config.objective.interpolation else batch
        judgements = []
        for number, stage in enumerate(self.networks.judged_stages):
            pictures = self._augmented(shown, output.images[stage], stage, SHOWN)
            judgements.append(self.forwards.judge(number, pictures, shown.sentence, shown.where))
        whole = output.stages[: self.config.whole_stages]
        word_maps = [stage.word_attention for stage in whole if stage.word_attention is not None]
        return DrawnBatch(judgements, whole[-1].image[: len(batch.sentence)], word_maps)

    @property
    def text_parameters(self) -> list[nn.Parameter]:
        """What learns of the encoders; nothing where they do not."""
        return text_parameters(self.networks)

    def encoders(self, batch: Batch) -> Losses:
        """Where the encoders learn: the DAMSM loss of real pictures and their captions."""
        words, sentence = encode_text(self.networks.text_encoder, self.config, batch.tokens, batch.mask)
        total = self._damsm.between(batch, batch.images[self.config.whole_stages - 1], words, sentence)
        return Losses(total, {"encoders": total})

    @torch.no_grad()
    def update_moments(self) -> None:
        """Takes the pictures of this step into the moments of the Frechet loss, of all processes."""
        for moments in self.networks.moments:
            assert isinstance(moments, FrechetLoss)
            moments.update(lambda points: gather_rows(points, self.world))

    def _other(self, batch: Batch, stage: int) -> Tensor | None:
        """Pictures of other classes, changed as real ones are, where wrong pairs are of those."""
        if batch.others is None or batch.other_changes is None:
            return None
        return augment(batch.others[stage], batch.other_changes[stage], self.config.pictures.augment)

    def _augmented(self, batch: Batch, pictures: Tensor, stage: int, use: int) -> Tensor:
        """Pictures of a stage in float32, changed by the batch's random numbers for one of their uses."""
        return augment(pictures.float(), batch.changes[3 * stage + use], self.config.pictures.augment)
