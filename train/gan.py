"""python -m train.gan birds-32 --data packed/birds

Trains the generator against discriminators, with STREAM reading its pictures back (Eq. 9 of MirrorGAN).

Dimensions: B batch, L words, S image size.
"""

import dataclasses
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirrorgan import losses
from mirrorgan.backbones import Backbone, fold_batch_norms, resize
from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.checkpoint import load_part, save_part
from mirrorgan.discriminators import available_discriminators, projected, pyramid
from mirrorgan.discriminators.base import BaseDiscriminator
from mirrorgan.generators.mirrorgan import Config as GeneratorConfig
from mirrorgan.generators.mirrorgan import Generator
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.images import from_uint8, to_channels_last
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.vocabulary import Vocabulary
from train import ema
from train.augment import augment
from train.batches import pick_captions
from train.command import as_json, fail, parse
from train.config import RunConfig
from train.journal import Journal
from train.memory import keep_memory
from train.pack import PackedSplit, load_packed
from train.sheets import BIRD_CAPTIONS, draw_sheet
from train.state import Stopper, batch_rows, load_state, save_state, seed_step
from train.trunks import find_trunk

OBJECTIVES = {
    "cross_entropy": (losses.cross_entropy_discriminator, losses.cross_entropy_generator),
    "hinge": (losses.hinge_discriminator, losses.hinge_generator),
}


@dataclass(frozen=True, kw_only=True)
class GanConfig(RunConfig):
    """Trains the generator."""

    data: Path = Path("packed/birds")
    name: str = "birds"
    steps: int = 200_000
    batch: int = 32
    encoders: Path = Path("runs/birds-damsm/best")
    """Folder of the text encoder (and image encoder), from train.damsm."""
    captioner: Path = Path("runs/birds-captioner/best")
    """Folder of STREAM, from train.captioner."""
    longest: int = 18
    """Words of a caption; a longer one loses some at random."""

    first_size: int = 64
    """Pixels of the first stage; every later stage doubles it."""
    channels: tuple[int, ...] = (32, 32, 32)
    """Channels of each stage; as many stages as numbers."""
    residual_blocks: int = 2
    """In every attentive stage."""
    skip_images: bool = False
    """Every stage adds to the enlarged smaller picture; the papers draw every picture anew."""
    standardize_text: bool = False
    """Text channels brought to mean 0 and deviation 1 before the generator uses them."""
    word_attention: bool = True
    """Word attention in every stage after the first."""
    sentence_attention: bool = True
    """Sentence attention in every stage after the first."""
    kl: float = 1.0
    """Weight of the conditioning's divergence."""

    discriminator: str = "pyramid"
    """A file name in mirrorgan/discriminators: pyramid (the papers') or projected (a frozen ImageNet network)."""
    backbone: str = "efficientnet_lite0"
    """Trunk of the projected discriminator. Not the captioner's, and not the one that scores use."""
    look_sizes: tuple[int, ...] = (64, 128, 256)
    """For each stage: the pixels that its projected discriminator looks at; 0: the stage has no discriminator."""
    discriminator_channels: int = 64
    """Channels of the pyramid's first layer (ndf)."""
    objective: str = "cross_entropy"
    """cross_entropy (the papers') or hinge."""
    augment: float = 0.0
    """Strength of differentiable augmentation; 0: none, as in the papers."""

    redescription: float = 20.0
    """lambda of STREAM's cross-entropy in Eq. 9: 20 in the paper, 10 in the released bird configuration."""
    redescription_share: float = 1.0
    """Share of the batch that STREAM reads at every step; below 1 saves time."""
    damsm: float = 0.0
    """Weight of the DAMSM loss on the last stage; 0 in MirrorGAN, 5 in AttnGAN."""
    consistency: float = 0.0
    """Weight of the mean difference between a stage and the next one made smaller (ours)."""

    generator_rate: float = 2e-4
    """Learning rate of Adam for the generator."""
    discriminator_rate: float = 2e-4
    """Learning rate of Adam for the discriminators."""
    beta1: float = 0.5
    """First moment of Adam."""
    beta2: float = 0.999
    """Second moment of Adam."""
    ema: float = 0.999
    """Decay of the average of the weights that is kept."""
    grow_from: Path | None = None
    """A run's folder whose generator's stages are taken over; later stages start anew."""
    first_trained: int = 0
    """Stages before this one stay as they are."""
    sheet_every: int = 500
    """Steps between two sample sheets."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch < 2:
            raise ValueError(f"batch must be at least 2, for a sentence of another picture; not {self.batch}")
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective must be one of {', '.join(OBJECTIVES)}, not {self.objective!r}")
        if self.discriminator not in available_discriminators():
            raise ValueError(
                f"discriminator must be one of {', '.join(available_discriminators())}, not {self.discriminator!r}"
            )
        if len(self.look_sizes) != len(self.channels):
            raise ValueError(f"look_sizes must name one size a stage: {len(self.channels)}, not {self.look_sizes}")
        if not self.look_sizes[-1]:
            raise ValueError("the last stage needs a discriminator; the last of look_sizes must not be 0")
        if not 0 < self.redescription_share <= 1:
            raise ValueError(f"redescription_share must be in (0, 1], not {self.redescription_share}")
        if self.consistency and len(self.channels) == 1:
            raise ValueError("consistency compares a stage with the next one; there is only one stage")
        if not 0 <= self.first_trained < len(self.channels):
            raise ValueError(f"first_trained must name one of {len(self.channels)} stages, not {self.first_trained}")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels of every stage's image."""
        return self.generator(GeneratorConfig.text_dim).sizes

    def generator(self, text_dim: int) -> GeneratorConfig:
        """The generator for a text encoder of so many channels."""
        return GeneratorConfig(
            text_dim=text_dim,
            first_size=self.first_size,
            channels=self.channels,
            residual_blocks=self.residual_blocks,
            skip_images=self.skip_images,
            standardize_text=self.standardize_text,
            word_attention=self.word_attention,
            sentence_attention=self.sentence_attention,
            kl_weight=self.kl,
        )


_FIRST = GanConfig(
    name="birds-32",
    first_size=32,
    channels=(64,),
    residual_blocks=1,
    skip_images=True,
    standardize_text=True,
    discriminator="projected",
    look_sizes=(64,),
    objective="hinge",
    augment=1.0,
    redescription=0.0,
    kl=0.05,
    beta1=0.0,
    beta2=0.99,
)
_LATER = dataclasses.replace(
    _FIRST,
    name="birds-128",
    batch=24,
    channels=(64, 32, 32),
    look_sizes=(0, 96, 128),
    redescription=0.1,
    redescription_share=0.25,
    grow_from=Path("runs/birds-32"),
    first_trained=1,
)

PRESETS = {
    "birds-32": _FIRST,
    "birds-128": _LATER,
    "birds-paper": GanConfig(name="birds-paper", batch=20),
}


class Batch(NamedTuple):
    images: list[Tensor]
    """Real pictures for every stage, small to large, each (B, 3, S, S) in [-1, 1]."""
    tokens: Tensor
    """(B, L) ids."""
    mask: Tensor
    """(B, L) bool."""
    groups: Tensor
    """(B,) classes."""


class Networks(NamedTuple):
    generator: Generator
    average: Generator
    """The average of the generator's weights."""
    discriminators: nn.ModuleList
    judged: list[int]
    """The stage that each discriminator judges."""
    text_encoder: TextEncoder
    captioner: Captioner
    image_encoder: ImageEncoder | None


class Optimizers(NamedTuple):
    generator: torch.optim.Optimizer
    discriminators: torch.optim.Optimizer


def read_batch(
    split: PackedSplit, pictures: np.ndarray, config: GanConfig, step: int, generator: torch.Generator
) -> Batch:
    """The pictures of a step, cut and mirrored at random, with one caption each."""
    size = config.sizes[-1]
    rows = batch_rows(len(split), config.batch, config.seed, step)
    corners = torch.randint(0, pictures.shape[1] - size + 1, (len(rows), 2), generator=generator).tolist()
    cut = [pictures[row, y : y + size, x : x + size] for row, (y, x) in zip(rows.tolist(), corners, strict=True)]
    images = from_uint8(torch.from_numpy(np.stack(cut)).to(config.place))
    flipped = (torch.rand(len(rows), generator=generator) < 0.5).to(config.place)
    images = torch.where(flipped[:, None, None, None], images.flip(3), images)
    tokens, mask, _ = pick_captions(split, rows, config.longest, generator)
    return Batch(
        [resize(images, smaller) for smaller in config.sizes],
        tokens.to(config.place),
        mask.to(config.place),
        split.groups[rows].to(config.place),
    )


def train_step(batch: Batch, nets: Networks, optimizers: Optimizers, config: GanConfig) -> dict[str, Tensor]:
    """One update of the discriminators, then one of the generator.

    Returns:
        every loss by name, weighted as it entered the sum, detached; and the mean logits of real and drawn pictures.
    """
    judge_loss, fool_loss = OBJECTIVES[config.objective]
    autocast = torch.autocast(torch.device(config.place).type, torch.bfloat16)
    with torch.no_grad():
        words, sentence = nets.text_encoder(batch.tokens, batch.mask)
    noise = torch.randn(len(sentence), nets.generator.noise_dim, device=sentence.device)
    with autocast:
        drawn = nets.generator(noise, sentence, words, batch.mask)
    stages = [
        (discriminator, batch.images[stage], drawn.images[stage].float())
        for discriminator, stage in zip(nets.discriminators, nets.judged, strict=True)
    ]

    # Discriminators: tell real from drawn, and the true sentence from another picture's (Eq. 10).
    d_losses, real_logits, fake_logits = [], [], []
    nets.discriminators.requires_grad_(True)
    for discriminator, real, fake in stages:
        assert isinstance(discriminator, BaseDiscriminator)
        freeze_mixing(discriminator)
        with autocast:
            seen = discriminator.look(augment(real, config.augment))
            matched = as_float(discriminator.judge(seen, sentence))
            mismatched = as_float(discriminator.judge(seen, sentence.roll(1, dims=0)))
            forged = as_float(discriminator(augment(fake.detach(), config.augment), sentence))
        d_losses.append(judge_loss(matched, forged, mismatched))
        real_logits.append(matched.conditional.mean())
        fake_logits.append(forged.conditional.mean())
    d_loss = torch.stack(d_losses).sum()
    optimizers.discriminators.zero_grad(set_to_none=True)
    d_loss.backward()
    optimizers.discriminators.step()

    # Generator: pass for real with its sentence (Eq. 7), and be described correctly (Eq. 8).
    nets.discriminators.requires_grad_(False)
    fooled = []
    for discriminator, _, fake in stages:
        with autocast:
            judgement = as_float(discriminator(augment(fake, config.augment), sentence))
        fooled.append(fool_loss(judgement))
    terms = {"adversarial": torch.stack(fooled).sum()} | drawn.penalties
    if config.redescription:
        read = max(1, round(config.redescription_share * len(sentence)))
        shown = augment(drawn.images[-1][:read].float(), config.augment)  # so that no fine texture can please STREAM
        with autocast:
            missed = nets.captioner.loss(shown, batch.tokens[:read], batch.mask[:read])
        terms["redescription"] = config.redescription * missed
    if config.damsm and nets.image_encoder is not None:
        with autocast:
            regions, code = nets.image_encoder(drawn.images[-1].float())
            parts = losses.damsm_loss(words, sentence, regions, code, batch.mask, batch.groups)
        terms["damsm"] = config.damsm * torch.stack(list(parts.values())).sum()
    if config.consistency:
        terms["consistency"] = config.consistency * consistency(drawn.images)
    optimizers.generator.zero_grad(set_to_none=True)
    torch.stack(list(terms.values())).sum().backward()
    optimizers.generator.step()

    logits = {"logit real": torch.stack(real_logits).mean(), "logit drawn": torch.stack(fake_logits).mean()}
    return {name: loss.detach() for name, loss in ({"discriminator": d_loss} | terms | logits).items()}


def as_float(judgement: losses.Judgement) -> losses.Judgement:
    unconditional, conditional = judgement
    return losses.Judgement(None if unconditional is None else unconditional.float(), conditional.float())


def freeze_mixing(discriminator: BaseDiscriminator) -> None:
    """The random mixing of a projected discriminator never learns."""
    if isinstance(discriminator, projected.Discriminator):
        discriminator.mix.requires_grad_(False)


def consistency(images: list[Tensor]) -> Tensor:
    """Mean absolute difference of every stage to the next one made smaller; only the smaller one learns from it."""
    pairs = itertools.pairwise(images)
    return torch.stack(
        [F.l1_loss(small.float(), F.avg_pool2d(large.detach().float(), 2)) for small, large in pairs]
    ).sum()


def build_networks(config: GanConfig, vocabulary: Vocabulary) -> Networks:
    """All networks of a run, on its device; encoders and captioner are frozen.

    Raises:
        FileNotFoundError: the folder of an encoder is missing; train it first.
        CheckpointError: it was trained with another dictionary.
    """
    trunks: dict[str, Backbone] = {}

    def trunk(name: str) -> Backbone:
        if name not in trunks:
            trunks[name] = to_channels_last(
                fold_batch_norms(find_trunk(name, (config.encoders, config.captioner))), config.place
            )
        return trunks[name]

    text_encoder = load_part(config.encoders, "text_encoder", TextEncoderConfig, TextEncoder, vocabulary.hash)
    captioner = load_part(
        config.captioner, "captioner", CaptionerConfig, lambda c: Captioner(c, trunk(c.backbone)), vocabulary.hash
    )
    image_encoder = None
    if config.damsm:
        image_encoder = load_part(
            config.encoders, "image_encoder", ImageEncoderConfig, lambda c: ImageEncoder(c, trunk(c.backbone)),
            vocabulary.hash,
        )  # fmt: skip
    for frozen in (text_encoder, captioner, image_encoder):
        if frozen is not None:
            frozen.requires_grad_(False).eval().to(config.place)

    torch.manual_seed(config.seed)
    text_dim = text_encoder.config.text_dim
    generator = Generator(config.generator(text_dim))
    if config.grow_from is not None:
        take_over(generator, config.grow_from)
    for module in frozen_parts(generator, config.first_trained):
        module.requires_grad_(False)
    discriminators: list[nn.Module] = []
    judged = [stage for stage, size in enumerate(config.look_sizes) if size]
    for stage in judged:
        if config.discriminator == "projected":
            look = projected.Config(backbone=config.backbone, look_size=config.look_sizes[stage], text_dim=text_dim)
            discriminators.append(projected.Discriminator(look, trunk(config.backbone)))
        else:
            c = pyramid.Config(
                image_size=config.sizes[stage], channels=config.discriminator_channels, text_dim=text_dim
            )
            discriminators.append(pyramid.Discriminator(c))
    to_channels_last(generator, config.place)
    average = ema.follow(generator)
    opponents = to_channels_last(nn.ModuleList(discriminators), config.place)
    assert isinstance(average, Generator)
    return Networks(generator, average, opponents, judged, text_encoder, captioner, image_encoder)


def take_over(generator: Generator, run: Path) -> None:
    """Copies every tensor that a smaller generator has from its averaged weights.

    Raises:
        FileNotFoundError: the run has no weights yet.
        ValueError: a tensor has another shape: the runs differ in more than their number of stages.
    """
    from mirrorgan.checkpoint import read_tensors

    given = read_tensors(run / "average" / "generator.safetensors")
    state = generator.state_dict()
    for key, tensor in given.items():
        if key not in state or state[key].shape != tensor.shape:
            raise ValueError(f"{run}: {key} {tuple(tensor.shape)} does not fit the generator that is to grow from it")
        state[key] = tensor
    generator.load_state_dict(state)


def frozen_parts(generator: Generator, first_trained: int) -> list[nn.Module]:
    """What does not learn: the stages before `first_trained`, and what comes before them."""
    if first_trained == 0:
        return []
    before: list[nn.Module] = [generator.condition, generator.first]
    if generator.standardize is not None:
        before.append(generator.standardize)
    return [*before, *list(generator.stages)[: first_trained - 1], *list(generator.heads)[:first_trained]]


def set_training(generator: Generator, first_trained: int) -> None:
    """Training mode for the stages that learn; the others keep their batch norms' statistics too."""
    generator.train()
    for module in frozen_parts(generator, first_trained):
        module.eval()


@torch.no_grad()
def recalibrate(nets: Networks, split: PackedSplit, config: GanConfig, batches: int = 24) -> None:
    """Statistics of the averaged generator's batch norms, as means over batches that it draws itself (ours).

    `ema.update` copies those of the generator in training, whose features differ from the average's: contrast and
    colours suffer. What did not learn keeps its statistics. Sets the global random numbers.
    """
    norms = []
    for mine, theirs in zip(nets.average.modules(), nets.generator.modules(), strict=True):
        if isinstance(mine, nn.BatchNorm1d | nn.BatchNorm2d) and theirs.training:
            mine.train().reset_running_stats()
            norms.append((mine, mine.momentum))
            mine.momentum = None  # a plain mean over batches
    for number in range(batches):
        data = seed_step(config.seed, -1 - number)
        rows = batch_rows(len(split), config.batch, config.seed, number)
        tokens, mask, _ = pick_captions(split, rows, config.longest, data)
        tokens, mask = tokens.to(config.place), mask.to(config.place)
        words, sentence = nets.text_encoder(tokens, mask)
        noise = torch.randn(len(sentence), nets.generator.noise_dim, device=sentence.device)
        with torch.autocast(torch.device(config.place).type, torch.bfloat16):
            nets.average(noise, sentence, words, mask)
    for norm, momentum in norms:
        norm.momentum = momentum
        norm.eval()


def build_optimizers(nets: Networks, config: GanConfig) -> Optimizers:
    betas = (config.beta1, config.beta2)
    learning = [p for p in nets.generator.parameters() if p.requires_grad]
    for discriminator in nets.discriminators:
        freeze_mixing(discriminator)  # type: ignore[arg-type]
    judging = [p for p in nets.discriminators.parameters() if p.requires_grad]
    return Optimizers(
        torch.optim.Adam(learning, config.generator_rate, betas),
        torch.optim.Adam(judging, config.discriminator_rate, betas),
    )


def train(config: GanConfig) -> Path:
    """Trains, or goes on with, the run `config.name`; returns the folder of the averaged generator."""
    keep_memory()
    split = load_packed(config.data, "train")
    size = config.sizes[-1]
    pictures = split.pictures(size + size // 8)
    nets = build_networks(config, split.vocabulary)
    optimizers = build_optimizers(nets, config)
    step = 0
    if (state := load_state(config.folder)) is not None:
        try:
            step = restore(state, nets, optimizers)
        except (KeyError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise ValueError(
                f"{config.folder} holds a run of other networks ({reason}); give the options that it was begun with, "
                "or another --name"
            ) from error
    set_training(nets.generator, config.first_trained)
    journal, stopper = Journal(config.folder, as_json(config), config.steps, step), Stopper(config.minutes)
    folder = config.folder / "average"

    def save() -> None:
        save_state(config.folder, everything(nets, optimizers, step))
        recalibrate(nets, split, config)
        images = step * config.batch
        save_part(nets.average, nets.generator.config, folder, "generator", split.vocabulary.hash,
                  generator="mirrorgan", steps=step, images=images)  # fmt: skip

    def sheet() -> None:
        recalibrate(nets, split, config)
        sheets = draw_sheet(nets.average, nets.text_encoder, split.vocabulary, list(BIRD_CAPTIONS), [0, 1, 2, 3])
        for stage_size, picture in zip(nets.average.sizes, sheets, strict=True):
            if stage_size == size:
                journal.sheet(step, f"average-{stage_size}", picture)

    saved, reported = time.monotonic(), time.monotonic()
    try:
        while step < config.steps and not stopper.due(reserve=20):
            batch = read_batch(split, pictures, config, step, seed_step(config.seed, step))
            terms = train_step(batch, nets, optimizers, config)
            step += 1
            ema.update(nets.average, nets.generator, step, config.ema)
            journal.advance()
            if step % config.report_every == 0:
                now = time.monotonic()
                speed = config.report_every * config.batch / (now - reported)
                reported = now
                journal.report(step, terms | {"pictures a second": torch.tensor(speed)})
            if step % config.sheet_every == 0:
                sheet()
            if time.monotonic() - saved > 60 * config.save_minutes:
                save()
                saved = time.monotonic()
        save()
        sheet()
    finally:
        stopper.close()
        journal.close()
    return folder


def everything(nets: Networks, optimizers: Optimizers, step: int) -> dict[str, Any]:
    """What a run needs to go on."""
    return {
        "step": step,
        "generator": nets.generator.state_dict(),
        "average": nets.average.state_dict(),
        "discriminators": nets.discriminators.state_dict(),
        "generator optimizer": optimizers.generator.state_dict(),
        "discriminator optimizer": optimizers.discriminators.state_dict(),
    }


def restore(state: dict[str, Any], nets: Networks, optimizers: Optimizers) -> int:
    """Puts a state back; returns the step it was saved at."""
    nets.generator.load_state_dict(state["generator"])
    nets.average.load_state_dict(state["average"])
    nets.discriminators.load_state_dict(state["discriminators"])
    for optimizer, name in ((optimizers.generator, "generator"), (optimizers.discriminators, "discriminator")):
        rates = [group["lr"] for group in optimizer.param_groups]
        optimizer.load_state_dict(state[f"{name} optimizer"])
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate  # the configuration's: a run may go on with another one
    return int(state["step"])


def main() -> None:
    config = parse(PRESETS, prog="python -m train.gan")
    try:
        print(f"averaged generator: {train(config)}")
    except (ValueError, FileNotFoundError, FloatingPointError) as error:
        fail(error)


if __name__ == "__main__":
    main()
