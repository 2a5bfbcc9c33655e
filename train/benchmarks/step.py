"""python -m train.benchmarks.step birds-128

Pictures a second of a training step of the generator's. The networks are those of the preset, of random weights;
pictures and captions are random too, so that nothing but this is needed. Reading data is not in it.

With `--against` the step with some options changed, which are the rest of the words, is measured beside it, for what an
option costs or saves. The two
take turns, round by round, so that whatever else the machine does meets both:

    python -m train.benchmarks.step birds-cascade-256 \\
        --against --pictures.crop-size 0 --disc-input-sizes 0 0 64 128 256 --pixel-head-sizes 0 0 0 128 256
"""

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from mirrorgan.backbones import Backbone, build_backbone, fold_batch_norms
from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.console import escape_unencodable, whole_number
from mirrorgan.expert import NAME as EXPERT
from mirrorgan.expert import Expert, ExpertConfig
from mirrorgan.generators.base import BaseGenerator, Crop
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.images import to_channels_last
from mirrorgan.plugins import documentation
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from train.adversarial import ema
from train.adversarial.config import GanConfig, without_init
from train.adversarial.criterion import Criterion
from train.adversarial.frechet_loss import Statistics
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
from train.data.augmentation import NUMBERS
from train.runtime import device
from train.runtime.command_line import parse

WORDS = 5450  # of the birds' dictionary
EXPERT_OF_BIRDS = ExpertConfig(classes=tuple(map(str, range(150))), parts=tuple(map(str, range(15))))


def random_networks(config: GanConfig) -> Networks:
    """A preset's networks with random weights."""
    torch.manual_seed(config.seed)
    projected = config.discriminator_trunk is not None

    def trunk(name: str) -> Backbone:
        backbone = build_backbone(name) if name != EXPERT else Expert(EXPERT_OF_BIRDS)
        return to_channels_last(fold_batch_norms(backbone), config.torch_device)

    text = TextEncoder(TextEncoderConfig(vocabulary_size=WORDS))
    captioner = image_encoder = None
    if config.uses_captioner:
        name, size = ("efficientnet_lite1", 128) if projected else ("resnet152_raw", 224)
        width = 64 if config.losses.word_maps else 0
        stream = CaptionerConfig(vocabulary_size=WORDS, backbone=name, image_size=size, attention_dim=width)
        captioner = Captioner(stream, trunk(name))
    if config.losses.damsm:
        name, size = ("efficientnet_lite1", 256) if projected else ("inception_v3", 299)
        image_encoder = ImageEncoder(ImageEncoderConfig(backbone=name, image_size=size), trunk(name))
    for frozen in (text, captioner, image_encoder):
        if frozen is not None:
            frozen.requires_grad_(False).eval().to(config.torch_device)
    generator = build_generator(config, 256).to(config.torch_device)
    for module in frozen_parts(generator, config.first_trained):
        module.requires_grad_(False)
    judged = [stage for stage, size in enumerate(config.disc_input_sizes) if size]
    trunks: dict[str, Backbone] = {}
    discriminators = nn.ModuleList(
        [
            build_discriminator(
                config, stage, generator.discriminator_condition_dim, lambda name: trunks.setdefault(name, trunk(name))
            )
            for stage in judged
        ]
    ).to(config.torch_device)
    to_channels_last(generator, config.torch_device)
    to_channels_last(discriminators, config.torch_device)
    average = ema.follow(generator)
    assert isinstance(average, BaseGenerator)
    set_training(generator, config.first_trained)
    statistics = [Statistics(trunk(name), config.losses.frechet_size, kinds) for name, kinds in config.losses.compared]
    moments = nn.ModuleList()
    for some in statistics:
        for (places, channels), known in zip(some.shapes, some.moments(text.config.text_dim), strict=True):
            known.to(config.torch_device)
            features, sentences = (
                torch.randn(1000, size, device=config.torch_device) for size in (places * channels, 256)
            )
            known.fit(features, sentences)
            known.distance(features, sentences)
            known.update()
            moments.append(known)
    set_trainable(discriminators, True)
    return Networks(generator, average, discriminators, judged, text, captioner, image_encoder, statistics, moments)


def random_batch(config: GanConfig, nets: Networks) -> Batch:
    """Noise in the place of pictures, captions of 8 to `longest` words."""
    numbers = torch.Generator().manual_seed(config.seed)
    count, place = config.batch, config.torch_device
    lengths = torch.randint(min(8, config.text.longest), config.text.longest + 1, (count,), generator=numbers)
    tokens = torch.randint(1, WORDS, (count, config.text.longest), generator=numbers)
    mask = torch.arange(config.text.longest)[None, :] < lengths[:, None]
    tokens = tokens.masked_fill(~mask, 0).to(place)
    images = random_pictures(config, numbers)
    with torch.no_grad():
        words, sentence = nets.text_encoder(tokens, mask.to(place), lengths)
    read = read_rows(count, config.losses.redescription_share)
    crop = None
    if config.pictures.crop_size:
        most, places = config.sizes[-1] // 2, config.pictures.crop_size // 2
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
    if config.losses.wrong_pairs == "pictures":
        changes = torch.rand(len(config.sizes), count, NUMBERS, generator=numbers).to(place)
        batch = batch._replace(others=random_pictures(config, numbers), other_changes=changes)
    if config.losses.fresh_noise:
        batch = batch._replace(fresh=torch.randn(count, nets.generator.noise_dim, generator=numbers).to(place))
    return batch


def random_pictures(config: GanConfig, numbers: torch.Generator) -> list[Tensor]:
    """Noise in the place of pictures, for every stage."""
    sizes = [(config.batch, 3, size, size) for size in config.train_sizes]
    return [
        (torch.rand(size, generator=numbers) * 2 - 1)
        .to(config.torch_device)
        .contiguous(memory_format=torch.channels_last)
        for size in sizes
    ]


class Step:
    """One step of train.gan, again and again on one batch."""

    def __init__(self, config: GanConfig, compiled: bool) -> None:
        self.config, self.done = config, 0
        self.nets = random_networks(config)
        self.optimizers = build_optimizers(self.nets, config)
        self.batch = random_batch(config, self.nets)
        self.criterion = Criterion(self.nets, config)
        if compiled:
            self.criterion = try_compile(self.batch, self.criterion, self.optimizers, print)

    def __call__(self) -> None:
        train_step(self.batch, self.criterion, self.optimizers)
        self.done += 1
        ema.update(self.nets.average, self.nets.generator, self.done, self.config.optimizer.ema)


def standing_alone(preset: GanConfig, place: Literal["auto", "cpu", "cuda"], batch: int | None = None) -> GanConfig:
    """A preset that needs no data and no run before it."""
    return dataclasses.replace(without_init(preset), device=place, data=Path(), batch=batch or preset.batch)


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
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--compile", action="store_true", help="our networks compiled")
    parser.add_argument(
        "--against", nargs=argparse.REMAINDER, metavar="OPTION", help="options of train.gan, of another step beside it"
    )
    given = parser.parse_args()
    try:
        config = standing_alone(PRESETS[given.preset], given.device, given.batch)
        against = [given.preset, *(given.against or ())]
        other = parse({given.preset: config}, against, prog="python -m train.benchmarks.step")
        if other.batch != config.batch or other.torch_device != config.torch_device:
            raise ValueError("--against compares steps of one batch and device; give --batch and --device instead")
    except ValueError as error:
        sys.exit(f"error: {error}")
    device.prepare(config.torch_device)
    steps = {given.preset: Step(config, given.compile)}
    if given.against:
        steps = {" ".join(given.against): Step(other, given.compile)} | steps
    for step in steps.values():
        seconds(step, 1, config.torch_device)  # first steps pick their algorithms
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(given.rounds):
        for name, step in steps.items():
            taken[name].append(seconds(step, given.steps, config.torch_device))
    what = torch.cuda.get_device_name() if config.torch_device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    sizes = "-".join(map(str, config.sizes)) + " pixels"
    if config.pictures.crop_size:
        sizes += f", the last one in crops of {config.pictures.crop_size}"
    print(f"{given.preset}: {sizes}, batch {config.batch}, {what}; median of {given.rounds} rounds")
    for name, times in taken.items():
        speed = config.batch * given.steps / statistics.median(times)
        ratios = [other / mine for mine, other in zip(taken[given.preset], times, strict=True)]
        spread = f"the preset is {statistics.median(ratios):.2f} x as fast ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"  {name:20} {speed:8.2f} pictures a second" + (f"   {spread}" if name != given.preset else ""))


if __name__ == "__main__":
    main()
