"""The networks of the generator's training: built, averaged, and set to learn or not."""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from mirrorgan.backbones import Backbone, fold_batch_norms
from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.checkpoint import load_part
from mirrorgan.discriminators import find_discriminator
from mirrorgan.discriminators.base import BaseDiscriminator
from mirrorgan.generators import find_generator
from mirrorgan.generators.base import BaseGenerator
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.images import to_channels_last
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.vocabulary import Vocabulary
from train.adversarial import ema
from train.adversarial.config import GanConfig
from train.adversarial.frechet_loss import Statistics
from train.adversarial.growing import frozen_parts, init_from_smaller
from train.data.locations import random_places
from train.data.packed import PackedSplit
from train.data.sampling import pick_captions
from train.encoders.trunks import find_trunk
from train.runtime import device
from train.runtime.distributed import SINGLE_PROCESS, World, share_batch_norms
from train.runtime.state import batch_rows, seed_step


class Networks(NamedTuple):
    generator: BaseGenerator
    average: BaseGenerator
    """The average of the generator's weights."""
    discriminators: nn.ModuleList
    judged_stages: list[int]
    """The stage that each discriminator judges."""
    text_encoder: TextEncoder
    captioner: Captioner | None
    """None if its loss has no weight."""
    image_encoder: ImageEncoder | None
    statistics: list[Statistics]
    """What is compared of every network that the Frechet loss looks through; none if it has no weight."""
    moments: nn.ModuleList
    """Of every statistic of each of them, in the same order."""

    def each_discriminator(self) -> list[BaseDiscriminator]:
        """The discriminators, by their type."""
        return [each for each in self.discriminators if isinstance(each, BaseDiscriminator)]


def set_trainable(module: nn.Module, trainable: bool) -> None:
    """Whether the weights of a module take gradients. Fixed parts of discriminators never do."""
    module.requires_grad_(trainable)
    for part in module.modules():
        if isinstance(part, BaseDiscriminator):
            for fixed in part.fixed():
                fixed.requires_grad_(False)


def build_networks(config: GanConfig, vocabulary: Vocabulary, world: World = SINGLE_PROCESS) -> Networks:
    """All networks of a run, on its device; encoders and captioner are frozen.

    Raises:
        FileNotFoundError: the folder of an encoder is missing; train it first.
        CheckpointError: it was trained with another dictionary.
        ValueError: the captioner does not look at regions, and losses.word_maps asks for it.
    """
    trunks: dict[str, Backbone] = {}

    def trunk(name: str) -> Backbone:
        if name not in trunks:
            trunks[name] = to_channels_last(
                fold_batch_norms(find_trunk(name, (config.encoders, config.captioner), config.expert)),
                config.torch_device,
            )
        return trunks[name]

    text_encoder = load_part(config.encoders, "text_encoder", TextEncoderConfig, TextEncoder, vocabulary.hash)
    captioner, image_encoder = None, None
    if config.uses_captioner:
        captioner = load_part(
            config.captioner, "captioner", CaptionerConfig, lambda c: Captioner(c, trunk(c.backbone)), vocabulary.hash
        )
        if config.losses.word_maps and captioner.attention is None:
            raise ValueError(
                f"losses.word_maps needs a captioner that looks at regions, and {config.captioner} does not; train one "
                "by python -m train.captioner birds-regions, or leave it 0"
            )
    if config.losses.damsm or config.text.training != "frozen":
        image_encoder = load_part(
            config.encoders, "image_encoder", ImageEncoderConfig, lambda c: ImageEncoder(c, trunk(c.backbone)),
            vocabulary.hash,
        )  # fmt: skip
    for frozen in (text_encoder, captioner, image_encoder):
        if frozen is not None:
            frozen.requires_grad_(False).eval().to(config.torch_device)

    if config.text.training != "frozen":
        text_encoder.requires_grad_(True)
        text_encoder.lstm.train()  # cuDNN asks for it; a single layer has no dropout
    if config.discriminator_trunk is not None:
        trunk(config.discriminator_trunk)  # before the seed, whatever else stands on it
    torch.manual_seed(config.seed)
    generator = build_generator(config, text_encoder.config.text_dim)
    if config.init_from is not None:
        init_from_smaller(generator, config.init_from)
    for module in frozen_parts(generator, config.first_trained):
        module.requires_grad_(False)
    judged_stages = [stage for stage, size in enumerate(config.disc_input_sizes) if size]
    stage_discriminators = [
        build_discriminator(config, stage, generator.discriminator_condition_dim, trunk) for stage in judged_stages
    ]
    to_channels_last(generator, config.torch_device)
    average = ema.follow(generator)
    discriminators = to_channels_last(nn.ModuleList(stage_discriminators), config.torch_device)
    assert isinstance(average, BaseGenerator)
    statistics = [Statistics(trunk(name), config.losses.frechet_size, kinds) for name, kinds in config.losses.compared]
    moments = nn.ModuleList(m for some in statistics for m in some.moments(text_encoder.config.text_dim))
    moments = moments.to(config.torch_device)
    set_trainable(discriminators, True)
    share_batch_norms(generator, world)
    share_batch_norms(discriminators, world)
    return Networks(
        generator, average, discriminators, judged_stages, text_encoder, captioner, image_encoder, statistics, moments
    )


def build_generator(config: GanConfig, text_dim: int) -> BaseGenerator:
    """The configuration's generator, for a text encoder of so many channels."""
    return find_generator(config.generator.plugin).Generator(config.generator_config(text_dim))


def build_discriminator(
    config: GanConfig, stage: int, condition_dim: int, trunk: Callable[[str], Backbone]
) -> BaseDiscriminator:
    """The discriminator of a stage; `trunk` gives the frozen network of a name to one that looks through it."""
    own = config.discriminator_config(stage, condition_dim)
    return find_discriminator(own.plugin).Discriminator.build(own, trunk)


def text_parameters(nets: Networks) -> list[nn.Parameter]:
    """What learns of the encoders, if they do: all of the text encoder, the two maps of the image encoder."""
    if nets.image_encoder is None or not next(nets.text_encoder.parameters()).requires_grad:
        return []
    return [*nets.text_encoder.parameters(), *nets.image_encoder.parameters()]


def set_training(generator: BaseGenerator, first_trained: int) -> None:
    """Training mode for the stages that learn; the others keep their batch norms' statistics too."""
    generator.train()
    for module in frozen_parts(generator, first_trained):
        module.eval()


@torch.no_grad()
def recalibrate(nets: Networks, split: PackedSplit, config: GanConfig, batches: int = 24) -> BaseGenerator:
    """A copy of the averaged generator whose batch norms have as statistics means over batches that it draws (ours).

    `ema.update` copies those of the generator in training, whose features differ from the average's: contrast and
    colours suffer. What did not learn keeps its statistics. The average itself, which is part of a run's state, stays
    as it is: the state of a step does not depend on how often it was looked at. Sets the global random numbers.
    """
    copied = copy.deepcopy(nets.average)
    norms = []
    for mine, theirs in zip(copied.modules(), nets.generator.modules(), strict=True):
        if isinstance(mine, nn.BatchNorm1d | nn.BatchNorm2d) and theirs.training:
            mine.train().reset_running_stats()
            norms.append((mine, mine.momentum))
            mine.momentum = None  # a plain mean over batches
    for number in range(batches):
        data = seed_step(config.seed, -1 - number)
        rows = batch_rows(len(split), config.batch // config.accumulate, config.seed, number)
        tokens, mask, _ = pick_captions(split, rows, config.text.longest, data)
        noise = device.send(torch.randn(len(rows), nets.generator.noise_dim, generator=data), config.torch_device)
        where = (
            []
            if (kind := config.location) is None
            else [random_places(split, kind, rows, config.pictures.vary_place, data)]
        )
        more = [device.send(places, config.torch_device) for places in where]
        lengths, mask = mask.sum(dim=1), device.send(mask, config.torch_device)
        words, sentence = nets.text_encoder(device.send(tokens, config.torch_device), mask, lengths)
        with device.autocast(config.torch_device, config.precision):
            copied(noise, sentence, words, mask, *more)
    for norm, momentum in norms:
        norm.momentum = momentum
        norm.eval()
    return copied
