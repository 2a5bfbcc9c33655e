"""python -m train.benchmarks.step birds-128

Pictures a second of this trainer's step, of a plain loop that does what the released one does, and their ratio, from
one run: the two take turns, round by round, so that whatever else the machine does meets both. The networks are those
of the preset, of random weights; pictures and captions are random too, so that nothing but this is needed.

The plain loop: float32, contiguous layout, batch norms of the frozen trunks not folded, maps doubled and then
convolved, a pass through a discriminator for each of real pictures, real pictures with another sentence, and drawn
ones, discriminators that collect gradients while the generator learns, an optimizer for every discriminator, the
average moved tensor by tensor, and every loss read by .item() at every step. `shared look` is the same but for one look
at the real pictures for both sentences, as in AttnGAN's released code. Growing, frozen stages and the share that STREAM
reads are part of a preset, and the same in all loops. Reading data is in none of them.

With `--against` the other loop is this trainer's own with some options changed, for what an option costs or saves:

    python -m train.benchmarks.step birds-cascade-256 \\
        --against crop_size=0 look_sizes=0,0,64,128,256 look_pixels=0,0,0,128,256
"""

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirrorgan import losses
from mirrorgan.backbones import Backbone, build_backbone, fold_batch_norms
from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.console import escape_unencodable, whole_number
from mirrorgan.expert import NAME as EXPERT
from mirrorgan.expert import Expert, ExpertConfig
from mirrorgan.generators.base import BaseGenerator, Crop, GeneratorOutput
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.images import to_channels_last
from mirrorgan.layers import UpConv
from mirrorgan.plugins import documentation
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from train.adversarial import ema
from train.adversarial.config import GanConfig
from train.adversarial.criterion import Criterion
from train.adversarial.frechet_loss import Statistics
from train.adversarial.generator_losses import DrawnBatch
from train.adversarial.growing import frozen_parts
from train.adversarial.loader import Batch, read_rows
from train.adversarial.networks import (
    Networks,
    build_discriminator,
    build_generator,
    set_trainable,
    set_training,
)
from train.adversarial.optimizers import build_optimizers
from train.adversarial.presets import PRESETS
from train.adversarial.step import train_step, try_compile
from train.data.augmentation import NUMBERS, augment
from train.runtime import device
from train.runtime.command import read_options

WORDS = 5450  # of the birds' dictionary
EXPERT_OF_BIRDS = ExpertConfig(classes=tuple(map(str, range(150))), parts=tuple(map(str, range(15))))


def random_networks(config: GanConfig, ours: bool) -> Networks:
    """A preset's networks with random weights; `ours`: folded trunks, channels last."""
    torch.manual_seed(config.seed)
    ours_looks = config.discriminator == "projected"

    def trunk(name: str) -> Backbone:
        backbone = build_backbone(name) if name != EXPERT else Expert(EXPERT_OF_BIRDS)
        return to_channels_last(fold_batch_norms(backbone), config.place) if ours else backbone.to(config.place)

    text = TextEncoder(TextEncoderConfig(vocabulary_size=WORDS))
    captioner = image_encoder = None
    if config.reads:
        name, size = ("efficientnet_lite1", 128) if ours_looks else ("resnet152_raw", 224)
        width = 64 if config.word_guidance else 0
        stream = CaptionerConfig(vocabulary_size=WORDS, backbone=name, image_size=size, attention_dim=width)
        captioner = Captioner(stream, trunk(name))
    if config.damsm:
        name, size = ("efficientnet_lite1", 256) if ours_looks else ("inception_v3", 299)
        image_encoder = ImageEncoder(ImageEncoderConfig(backbone=name, image_size=size), trunk(name))
    for frozen in (text, captioner, image_encoder):
        if frozen is not None:
            frozen.requires_grad_(False).eval().to(config.place)
    generator = build_generator(config, 256).to(config.place)
    for module in frozen_parts(generator, config.first_trained):
        module.requires_grad_(False)
    judged = [stage for stage, size in enumerate(config.look_sizes) if size]
    trunks: dict[str, Backbone] = {}
    opponents = nn.ModuleList(
        [
            build_discriminator(config, stage, generator.told_dim, lambda name: trunks.setdefault(name, trunk(name)))
            for stage in judged
        ]
    ).to(config.place)
    if ours:
        to_channels_last(generator, config.place)
        to_channels_last(opponents, config.place)
    else:
        double_plainly(generator)
    average = ema.follow(generator)
    assert isinstance(average, BaseGenerator)
    set_training(generator, config.first_trained)
    statistics = [Statistics(trunk(name), config.frechet_size, kinds) for name, kinds in config.compared]
    moments = nn.ModuleList()
    for some in statistics:
        for (places, channels), known in zip(some.shapes, some.moments(text.config.text_dim), strict=True):
            known.to(config.place)
            features, sentences = (torch.randn(1000, size, device=config.place) for size in (places * channels, 256))
            known.fit(features, sentences)
            known.distance(features, sentences)
            known.update()
            moments.append(known)
    set_trainable(opponents, True)
    return Networks(generator, average, opponents, judged, text, captioner, image_encoder, statistics, moments)


class DoubledConv(UpConv):
    """The same map in the two steps of the released code."""

    def forward(self, features: Tensor) -> Tensor:
        return F.conv2d(F.interpolate(features, scale_factor=2.0), self.weight, padding=1)


def double_plainly(module: nn.Module) -> None:
    """Every UpConv becomes a DoubledConv of the same weights, in place."""
    for name, child in list(module.named_children()):
        if isinstance(child, UpConv):
            plain = DoubledConv(child.in_channels, child.out_channels).to(child.weight.device)
            plain.load_state_dict(child.state_dict())
            setattr(module, name, plain.requires_grad_(child.weight.requires_grad))
        else:
            double_plainly(child)


def random_batch(config: GanConfig, nets: Networks, channels_last: bool) -> Batch:
    """Noise in the place of pictures, captions of 8 to `longest` words."""
    numbers = torch.Generator().manual_seed(config.seed)
    count, place = config.batch, config.place
    lengths = torch.randint(min(8, config.longest), config.longest + 1, (count,), generator=numbers)
    tokens = torch.randint(1, WORDS, (count, config.longest), generator=numbers)
    mask = torch.arange(config.longest)[None, :] < lengths[:, None]
    tokens = tokens.masked_fill(~mask, 0).to(place)
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def pictures() -> list[Tensor]:
        return [
            (torch.rand(count, 3, size, size, generator=numbers) * 2 - 1).to(place).contiguous(memory_format=layout)
            for size in config.train_sizes
        ]

    images = pictures()
    with torch.no_grad():
        words, sentence = nets.text_encoder(tokens, mask.to(place), lengths)
    read = read_rows(count, config.redescription_share)
    crop = None
    if config.crop_size:
        most, places = config.sizes[-1] // 2, config.crop_size // 2
        crop = Crop(torch.randint(0, most - places + 1, (count, 2), generator=numbers).to(place), places)
    batch = Batch(
        images,
        tokens,
        mask.to(place),
        words,
        sentence,
        sentence.roll(1, dims=0),
        torch.arange(count, device=place),
        torch.randn(count, nets.generator.noise_dim, generator=numbers).to(place),
        torch.rand(3 * len(config.sizes) + 1, count, NUMBERS, generator=numbers).to(place),
        read.tolist(),
        len(read),
        int(lengths[read].sum()) + len(read),
        crop,
    )
    if config.wrong_pairs == "pictures":
        changes = torch.rand(len(config.sizes), count, NUMBERS, generator=numbers).to(place)
        batch = batch._replace(others=pictures(), other_changes=changes)
    if config.fresh_noise:
        batch = batch._replace(fresh=torch.randn(count, nets.generator.noise_dim, generator=numbers).to(place))
    return batch


def our_loop(config: GanConfig, compiled: bool) -> Callable[[], None]:
    """One step of train.gan, as a function."""
    nets = random_networks(config, ours=True)
    optimizers = build_optimizers(nets, config)
    batch = random_batch(config, nets, channels_last=True)
    criterion = Criterion(nets, config)
    if compiled:
        criterion = try_compile(batch, criterion, optimizers, print)
    steps = iter(range(1, 10**9))

    def step() -> None:
        train_step(batch, criterion, optimizers)
        ema.update(nets.average, nets.generator, next(steps), config.ema)

    return step


def plain_loop(config: GanConfig, looks: int) -> Callable[[], None]:
    """One step of the plain loop, as a function; `looks` at the real pictures: 2, or 1 for both sentences.

    Raises:
        ValueError: the preset has losses that the plain loop has not.
    """
    goal = config.goal
    if goal.gradient_penalty or goal.interpolation or config.text_training != "frozen":
        raise ValueError(f"there is no plain loop for the objective {config.objective} of {config.name}")
    nets = random_networks(config, ours=False)
    batch = random_batch(config, nets, channels_last=False)
    betas = (config.beta1, config.beta2)
    learning = [p for p in nets.generator.parameters() if p.requires_grad]
    generator_optimizer = torch.optim.Adam(learning, config.generator_rate, betas, foreach=False)
    criterion = Criterion(nets, config)
    ours = [loss for loss in criterion.generator_losses if loss.name in ("word maps", "frechet")]
    opponents = list(zip(nets.discriminators, nets.judged_stages, strict=True))
    optimizers = [
        torch.optim.Adam(
            [p for p in opponent.parameters() if p.requires_grad], config.discriminator_rate, betas, foreach=False
        )
        for opponent in nets.discriminators
    ]
    read = torch.tensor(batch.read, device=config.place)

    def changed(images: Tensor, use: int) -> Tensor:
        return augment(images, batch.changes[use], config.augment).contiguous()

    def draw(noise: Tensor) -> GeneratorOutput:
        crop = () if batch.crop is None else (batch.crop,)
        output: GeneratorOutput = nets.generator(noise, batch.sentence, batch.words, batch.mask, *crop)
        return output

    def judge_mismatched(opponent: Any, stage: int, seen: list[Tensor], condition: Tensor) -> losses.Judgement:
        if batch.others is not None and batch.other_changes is not None:
            other = augment(batch.others[stage], batch.other_changes[stage], config.augment).contiguous()
            judgement = opponent(other, condition)
        else:
            again = opponent.look(changed(batch.images[stage], 3 * stage)) if looks == 2 else seen
            if config.wrong_pairs in ("neighbours", "next"):
                judgement = opponent.judge([maps[:-1] for maps in again], condition[1:])
            else:
                judgement = opponent.judge(again, nets.generator.tell(batch.wrong).detach())
        assert isinstance(judgement, losses.Judgement)
        return judgement

    def step() -> None:
        condition = nets.generator.tell(batch.sentence)
        drawn = draw(batch.noise)
        for (opponent, stage), optimizer in zip(opponents, optimizers, strict=True):
            optimizer.zero_grad()
            real = changed(batch.images[stage], 3 * stage)
            seen = opponent.look(real)  # type: ignore[operator]
            matched = opponent.judge(seen, condition.detach())  # type: ignore[operator]
            mismatched = judge_mismatched(opponent, stage, seen, condition.detach())
            forged = opponent(changed(drawn.images[stage].detach(), 3 * stage + 1), condition.detach())
            loss = goal.discriminator(matched, forged, mismatched)
            loss.backward()
            optimizer.step()
            loss.item()
        if batch.fresh is not None:
            drawn = draw(batch.fresh)
        whole = drawn.stages[: config.whole_stages]
        picture = whole[-1].image
        generator_optimizer.zero_grad()
        total = torch.stack([torch.zeros((), device=config.place), *drawn.penalties.values()]).sum()
        total.item()
        for opponent, stage in opponents:
            loss = goal.generator(opponent(changed(drawn.images[stage], 3 * stage + 2), condition))
            loss.item()
            total = total + loss
        if nets.captioner is not None:
            shown = augment(picture[read], batch.changes[-1][read], config.augment).contiguous()
            loss = config.redescription * nets.captioner.loss(shown, batch.tokens[read], batch.mask[read])
            loss.item()
            total = total + loss
        if nets.image_encoder is not None:
            regions, code = nets.image_encoder(picture)
            parts = losses.damsm_loss(batch.words, batch.sentence, regions, code, batch.mask, batch.groups)
            for part in parts.values():
                part.item()
                total = total + config.damsm * part
        maps = [stage.word_attention for stage in whole if stage.word_attention is not None]
        for own in ours:
            loss = own.weight * own(batch, DrawnBatch([], picture, maps))
            loss.item()
            total = total + loss
        criterion.update_moments()
        total.backward()
        generator_optimizer.step()
        with torch.no_grad():
            for mine, their in zip(nets.average.parameters(), nets.generator.parameters(), strict=True):
                mine.mul_(config.ema).add_(their, alpha=1 - config.ema)

    return step


def standing_alone(preset: GanConfig, place: str, batch: int | None = None) -> GanConfig:
    """A preset that needs no data and no run before it."""
    alone = dataclasses.replace(preset, device=place, data=Path(), grow_from=None, grown_rate=None)
    return dataclasses.replace(alone, batch=batch or preset.batch)


def seconds(step: Callable[[], None], steps: int, place: str) -> float:
    """Of `steps` steps."""
    if torch.device(place).type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    if torch.device(place).type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    escape_unencodable()
    parser = argparse.ArgumentParser(prog="python -m train.benchmarks.step", description=documentation(__name__, 1, 2))
    parser.add_argument("preset", choices=sorted(PRESETS))
    parser.add_argument("--rounds", type=whole_number(1), default=5, help="turns that each loop gets")
    parser.add_argument("--steps", type=whole_number(1), default=1, help="steps of a turn")
    parser.add_argument("--batch", type=whole_number(1), help="pictures a step; of the preset if left out")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto")
    parser.add_argument("--compile", action="store_true", help="our networks compiled")
    parser.add_argument(
        "--shared-look", action="store_true", help="the plain loop that looks once at real pictures, too"
    )
    parser.add_argument(
        "--against", nargs="+", metavar="NAME=VALUE", help="options of our other loop, instead of the plain loop"
    )
    given = parser.parse_args()
    if given.against and given.shared_look:
        sys.exit("error: --shared-look is of the plain loop, which --against takes the place of; give one of the two")
    try:
        config = standing_alone(PRESETS[given.preset], given.device, given.batch)
        other = dataclasses.replace(config, **read_options(GanConfig, given.against or ()))
        if other.batch != config.batch or other.place != config.place:
            raise ValueError("--against compares loops of one batch and device; give --batch and --device instead")
    except ValueError as error:
        sys.exit(f"error: {error}")
    device.prepare(config.place)
    try:
        loops = {"ours": our_loop(config, given.compile)}
        if given.against:
            loops = {" ".join(given.against): our_loop(other, given.compile)} | loops
        else:
            loops = {"plain": plain_loop(config, looks=2)} | loops
    except ValueError as error:
        sys.exit(f"error: {error}")
    if given.shared_look:
        loops["plain, shared look"] = plain_loop(config, looks=1)
    for step in loops.values():
        seconds(step, 1, config.place)  # first steps pick their algorithms
    taken: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(given.rounds):
        for name, step in loops.items():
            taken[name].append(seconds(step, given.steps, config.place))
    what = torch.cuda.get_device_name() if config.place == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    sizes = "-".join(map(str, config.sizes)) + " pixels"
    if config.crop_size:
        sizes += f", the last one in crops of {config.crop_size}"
    print(f"{given.preset}: {sizes}, batch {config.batch}, {what}; median of {given.rounds} rounds")
    for name, times in taken.items():
        speed = config.batch * given.steps / statistics.median(times)
        ratios = [other / mine for mine, other in zip(taken["ours"], times, strict=True)]
        spread = f"ours is {statistics.median(ratios):.2f} x as fast ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"  {name:20} {speed:8.2f} pictures a second" + (f"   {spread}" if name != "ours" else ""))


if __name__ == "__main__":
    main()
