"""The generator's losses: Eq. 9 of MirrorGAN (adversarial and STREAM's), and those that other systems and we add.

A loss is an object with a name, a weight, and a call that takes a batch and what was drawn of it. It knows nothing of
how the batch is split into parts and over processes, nor of mixed precision. To add one, write its class and its line
in `generator_losses` here, and its weight in `LossesConfig`.

Dimensions: B batch, B' the batch and its interpolated sentences, L words, S image size, H and W feature-map size.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from mirrorgan import losses
from mirrorgan.losses import Judgement
from train.adversarial.config import GanConfig
from train.adversarial.forwards import Forwards
from train.adversarial.frechet_loss import FrechetLoss
from train.adversarial.loader import Batch
from train.data.augmentation import augment
from train.runtime.device import send
from train.runtime.distributed import SINGLE_PROCESS, World, gather_rows


class DrawnBatch(NamedTuple):
    """What the generator drew of a batch, as its losses see it."""

    judgements: list[Judgement]
    """By every discriminator, of (B',) augmented pictures: those of the batch, then those of interpolated sentences."""
    picture: Tensor
    """(B, 3, S, S) in [-1, 1], of the last stage that is drawn whole."""
    word_maps: list[Tensor]
    """Word attention of the stages that are drawn whole and have it, each (B', L, H, W)."""


class GeneratorLoss(ABC):
    """A loss of the generator.

    Args:
        weight: what the loss is multiplied by in the sum.
        config: for settings of the loss.
        forwards: the networks, as they are called.
        world: the processes that share a batch.
    """

    name: ClassVar[str]
    """In logs and curves."""

    def __init__(self, weight: float, config: GanConfig, forwards: Forwards, world: World = SINGLE_PROCESS) -> None:
        self.weight, self.config, self.forwards, self.world = weight, config, forwards, world

    @abstractmethod
    def __call__(self, batch: Batch, drawn: DrawnBatch) -> Tensor:
        """The unweighted loss, a scalar: a mean over the rows of the batch."""


class Adversarial(GeneratorLoss):
    """Drawn pictures should pass for real, alone and with their sentences: Eq. 7 of MirrorGAN, summed over stages."""

    name = "adversarial"

    def __call__(self, batch: Batch, drawn: DrawnBatch) -> Tensor:
        rows = slice(len(batch.sentence))
        return torch.stack([self.config.objective.generator(each.rows(rows)) for each in drawn.judgements]).sum()


class Interpolated(GeneratorLoss):
    """The same for pictures of sentences halfway between two captions (GAN-INT, see `Batch.with_interpolated`)."""

    name = "interpolated"

    def __call__(self, batch: Batch, drawn: DrawnBatch) -> Tensor:
        rows = slice(len(batch.sentence), None)
        return torch.stack([self.config.objective.generator(each.rows(rows)) for each in drawn.judgements]).sum()


class Redescription(GeneratorLoss):
    """STREAM's cross-entropy, Eq. 8 of MirrorGAN: its mean over the words of all rows that it reads.

    Pictures are augmented, so that the generator cannot exploit STREAM by adversarial texture.
    """

    name = "redescription"

    def __call__(self, batch: Batch, drawn: DrawnBatch) -> Tensor:
        images, tokens, mask, numbers = drawn.picture, batch.tokens, batch.mask, batch.changes[-1]
        if not batch.read:
            return images.new_zeros(())
        if len(batch.read) < len(images):
            rows = send(torch.tensor(batch.read), self.config.torch_device)
            images, tokens, mask, numbers = images.index_select(0, rows), tokens[rows], mask[rows], numbers[rows]
        assert self.forwards.networks.captioner is not None
        logits = self.forwards.caption_logits(augment(images.float(), numbers, self.config.pictures.augment), tokens)
        targets, counted = self.forwards.networks.captioner.targets(tokens, mask)
        per_row = losses.redescription_loss(logits, targets, counted, reduction="sum")
        return per_row * len(images) / batch.read_tokens


class WordMaps(GeneratorLoss):
    """How far the stages' word maps are from where STREAM looks on the picture, over the rows that it reads (ours).

    See `losses.word_map_loss`. The maps learn from it, the picture does not.
    """

    name = "word maps"

    def __call__(self, batch: Batch, drawn: DrawnBatch) -> Tensor:
        if not drawn.word_maps:
            raise ValueError(
                f"losses.word_maps is for generators that have word maps; {self.config.generator.plugin} draws without"
            )
        if not batch.read:
            return drawn.picture.new_zeros(())
        rows = send(torch.tensor(batch.read), self.config.torch_device)
        # Not augmented: the maps of a picture that was moved or cut would not fit.
        looks = self.forwards.caption_maps(drawn.picture.detach()[rows], batch.tokens[rows])
        return word_map_loss([maps[rows].float() for maps in drawn.word_maps], looks, batch.mask[rows]).sum() / (
            batch.read_count
        )


def word_map_loss(maps: list[Tensor], looks: Tensor, mask: Tensor) -> Tensor:
    """`losses.word_map_loss` of every stage's word maps, each (B, L, H, W), as the mean over stages: (B,)."""
    return torch.stack([losses.word_map_loss(attention, looks, mask) for attention in maps]).mean(dim=0)


class Damsm(GeneratorLoss):
    """The DAMSM loss of AttnGAN between drawn pictures and their captions, over the rows of all processes."""

    name = "damsm"

    def __call__(self, batch: Batch, drawn: DrawnBatch) -> Tensor:
        return self.between(batch, drawn.picture, batch.words, batch.sentence)

    def between(self, batch: Batch, pictures: Tensor, words: Tensor, sentence: Tensor) -> Tensor:
        """The same between any pictures and the embeddings of a batch's captions."""
        regions, code = self.forwards.image_codes(pictures)
        own = (words, sentence, regions, code, batch.mask, batch.groups)
        words, sentence, regions, code, mask, groups = (gather_rows(values, self.world) for values in own)
        parts = losses.damsm_loss(words, sentence, regions, code, mask, groups, *self.config.losses.damsm_gammas)
        chosen = list(parts.values()) if self.config.losses.damsm_by == "both" else [parts[self.config.losses.damsm_by]]
        return torch.stack(chosen).sum()


class Frechet(GeneratorLoss):
    """The Frechet loss, the mean over all statistics of all networks; see train/adversarial/frechet_loss.py."""

    name = "frechet"

    def __call__(self, batch: Batch, drawn: DrawnBatch) -> Tensor:
        return self.distance(batch, drawn.picture)

    def distance(self, batch: Batch, pictures: Tensor) -> Tensor:
        """The same of any drawn pictures (B, 3, S, S) of a batch. `FrechetLoss.update` takes them in."""
        distances = []
        for moments, features in zip(self.forwards.networks.moments, self.forwards.features(pictures), strict=True):
            assert isinstance(moments, FrechetLoss)
            distances.append(moments.distance(features, batch.sentence.detach()))
        return torch.stack(distances).mean()


def generator_losses(config: GanConfig, forwards: Forwards, world: World = SINGLE_PROCESS) -> list[GeneratorLoss]:
    """The losses of a run: all that there are, without those of no weight."""
    weights: dict[type[GeneratorLoss], float] = {
        Adversarial: 1.0,
        Interpolated: config.objective.interpolation,
        Redescription: config.losses.redescription,
        WordMaps: config.losses.word_maps,
        Damsm: config.losses.damsm,
        Frechet: config.losses.frechet,
    }
    return [loss(weight, config, forwards, world) for loss, weight in weights.items() if weight]
