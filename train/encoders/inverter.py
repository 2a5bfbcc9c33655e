"""The training of the inverter, which draws a picture from a frozen trunk's feature of it: options, presets, its step.

The losses are DeePSiM's (Dosovitskiy and Brox, NeurIPS 2016): pixels, features, and a discriminator's. Their published
weights were not to be had; these are ours. The discriminator judges a picture beside the feature as it judges one
beside a sentence elsewhere, with features of other pictures as wrong pairs. Both networks take their step at once.

Dimensions: B batch, S pixels, P channels of the feature.
"""

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from mirrorgan import losses
from mirrorgan.checkpoint import save_part
from mirrorgan.discriminators import pyramid
from mirrorgan.images import from_uint8, to_channels_last
from mirrorgan.inverter import Inverter, InverterConfig
from train.data.packed import load_packed
from train.data.sampling import cut_pictures, hold_out
from train.encoders.pretraining import PretrainConfig, PretrainData, Pretraining
from train.encoders.trunks import load_trunk
from train.runtime.device import Precision, autocast
from train.runtime.distributed import World
from train.runtime.loop import run
from train.runtime.malloc import disable_trim
from train.runtime.state import Stopper, batch_rows, seed_step

NAME = "inverter"


@dataclass(frozen=True, kw_only=True)
class InverterTraining(PretrainConfig):
    """Trains an inverter of a frozen trunk."""

    name: str = "birds-inverter"
    steps: int = 20_000
    batch: int = 32
    backbone: str = "efficientnet_lite0"
    image_size: int = 64
    """Pixels of the picture that is drawn, a power of two; 32 or more."""
    look_size: int = 64
    """Pixels that pictures are brought to before the trunk."""
    channels: int = 16
    """Base channels of the inverter; 32 in the released one."""
    discriminator_channels: int = 32
    """Base channels of its discriminator."""
    margin: int = 8
    """Pixels by which stored pictures are larger than what a step cuts out of them at a random place."""
    lr: float = 2e-4
    """Learning rate of Adam, of both networks."""
    schedule: Literal["cosine", "constant", "released"] = "constant"
    pixel_weight: float = 1.0
    """Of the mean absolute difference of pixels."""
    feature_weight: float = 1.0
    """Of the mean squared difference of features, in deviations."""
    adversarial_weight: float = 0.1
    """Of the discriminator's judgement."""
    validate_every: int = 1000
    precision: Precision = "auto"
    """bfloat16, float32, or auto: bfloat16 where the device is faster in it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("pixel_weight", "feature_weight", "adversarial_weight"):
            if not 0 <= getattr(self, field) < math.inf:
                raise ValueError(f"{field} must be 0 or more, not {getattr(self, field)}")
        if self.margin < 0:
            raise ValueError(f"margin must be 0 pixels or more, not {self.margin}")
        if self.batch < 2:
            raise ValueError(f"batch must be at least 2: a wrong pair needs a second picture; not {self.batch}")
        self.shape(1)  # raises if its sizes cannot be

    def shape(self, feature_dim: int) -> InverterConfig:
        """The inverter's own configuration."""
        return InverterConfig(
            backbone=self.backbone, feature_dim=feature_dim, first_size=self.image_size, look_size=self.look_size,
            channels=self.channels,
        )  # fmt: skip


PRESETS = {
    "birds": InverterTraining(),
    "shapes": InverterTraining(
        name="shapes-inverter", data=Path("packed/shapes"), steps=1500, batch=16, image_size=32, channels=8,
        discriminator_channels=16, margin=4, lr=5e-4, validate_every=250,
    ),
}  # fmt: skip


class Players(NamedTuple):
    """Both networks, by their types; one module of them is what is saved."""

    inverter: Inverter
    discriminator: pyramid.Discriminator
    together: nn.ModuleDict


def train(config: InverterTraining) -> Path:
    """Trains, or goes on with, the run `config.name`; returns the folder of the best inverter so far.

    Raises:
        see `train.runtime.loop.run`.
    """
    return run(InverterPretraining, config)


class InverterPretraining(Pretraining[InverterTraining]):
    """An inverter and its discriminator on cut pictures."""

    def __init__(self, config: InverterTraining, world: World, stopper: Stopper) -> None:
        disable_trim()
        split = load_packed(config.data, "train")
        trunk = load_trunk(config.backbone, config.weights)
        super().__init__(config, world, stopper, PretrainData(split, trunk, [], *hold_out(split, config.held_out)))
        self.whole = split.pictures(config.image_size + config.margin)

    def build(self, state: dict[str, Any] | None) -> None:
        self.players = build(self.config, self.data, self.whole)
        self.network = self.players.together
        self.optimizer = torch.optim.Adam(self.network.parameters(), self.config.lr, betas=(0.5, 0.999))

    def learn(self, number: int) -> dict[str, Tensor]:
        return train_step(self.players, self.optimizer, self.config, self.data, self.whole, number)

    def validate(self) -> tuple[str, float]:
        return "variance explained", explained(self.players.inverter, self.data.val_rows, self.whole, self.config)

    def save(self, folder: Path) -> None:
        inverter = self.players.inverter
        save_part(inverter, inverter.config, folder, NAME, self.data.split.vocabulary.hash, half=True)


def build(config: InverterTraining, data: PretrainData, whole: np.ndarray) -> Players:
    """Both networks before their first step, on the run's device; mean and deviation of features are known."""
    torch.manual_seed(config.seed)
    trunk = to_channels_last(copy.deepcopy(data.backbone).requires_grad_(False), config.torch_device)
    inverter = Inverter(config.shape(trunk.pooled_dim), trunk)
    discriminator = pyramid.Discriminator(
        pyramid.Config(image_size=config.image_size, text_dim=trunk.pooled_dim, channels=config.discriminator_channels)
    )
    together = to_channels_last(
        nn.ModuleDict({"inverter": inverter, "discriminator": discriminator}), config.torch_device
    )
    with torch.no_grad():
        known = torch.cat([f for f, _ in middles(inverter, data.train_rows[: 16 * config.batch], whole, config)])
        inverter.mean.copy_(known.mean(dim=0))
        inverter.deviation.copy_(known.std(dim=0).mean().clamp_min(1e-3))
    return Players(inverter, discriminator, together)


def middles(
    inverter: Inverter, rows: Tensor, whole: np.ndarray, config: InverterTraining
) -> list[tuple[Tensor, Tensor]]:
    """Features (B, P) and pictures (B, 3, S, S) of the middle squares of some rows, a batch at a time."""
    found = []
    for chunk in tqdm(rows.split(config.batch), "pictures", leave=False):
        corners = torch.full((len(chunk), 2), config.margin // 2)
        pixels = cut_pictures(whole, chunk, corners, torch.zeros(len(chunk), dtype=torch.bool), config.image_size)
        images = from_uint8(pixels.to(config.torch_device))
        with torch.no_grad(), autocast(config.torch_device, config.precision):
            found.append((inverter.encode(images).float(), images))
    return found


def train_step(
    players: Players,
    optimizer: torch.optim.Optimizer,
    config: InverterTraining,
    data: PretrainData,
    whole: np.ndarray,
    step: int,
) -> dict[str, Tensor]:
    """One update of both networks on the pictures of a step; returns the losses, weighted and detached."""
    generator = seed_step(config.seed, step)
    rows = data.train_rows[batch_rows(len(data.train_rows), config.batch, config.seed, step)]
    corners = torch.randint(0, config.margin + 1, (len(rows), 2), generator=generator)
    flipped = torch.rand(len(rows), generator=generator) < 0.5
    images = from_uint8(cut_pictures(whole, rows, corners, flipped, config.image_size).to(config.torch_device))
    images = images.contiguous(memory_format=torch.channels_last)
    inverter, discriminator, _ = players
    optimizer.zero_grad(set_to_none=True)
    with autocast(config.torch_device, config.precision):
        with torch.no_grad():
            features = inverter.encode(images).float()
        told = (features - inverter.mean) / inverter.deviation
        drawn = inverter(features)
        terms = {}
        if config.adversarial_weight:
            seen = discriminator.look(images)
            real, wrong = discriminator.judge(seen, told), discriminator.judge(seen, told.roll(1, dims=0))
            fake = discriminator(drawn.detach(), told)
            terms["discriminator"] = losses.cross_entropy_discriminator(real, fake, wrong)
            terms["discriminator"].backward()
            discriminator.requires_grad_(False)  # what the inverter learns from does not reach it
            terms["adversarial"] = config.adversarial_weight * losses.cross_entropy_generator(
                discriminator(drawn, told)
            )
        terms["pixels"] = config.pixel_weight * (drawn.float() - images).abs().mean()
        again = inverter.encode(drawn).float()
        terms["features"] = config.feature_weight * ((again - features) / inverter.deviation).square().mean()
    torch.stack([term for name, term in terms.items() if name != "discriminator"]).sum().backward()
    discriminator.requires_grad_(True)
    optimizer.step()
    return {name: term.detach() for name, term in terms.items()}


@torch.no_grad()
def explained(inverter: Inverter, rows: Tensor, whole: np.ndarray, config: InverterTraining) -> float:
    """Share of the variance of features that is in those of the drawn pictures: 1 - |E(G(h)) - h|^2 / |h - mean|^2. At
    most 1; 0 for a picture that is always the same, at its best."""
    missed, there = 0.0, 0.0
    for features, _ in middles(inverter, rows, whole, config):
        again = inverter.encode(inverter(features)).float()
        missed += float((again - features).square().sum())
        there += float((features - inverter.mean).square().sum())
    return 1 - missed / max(there, 1e-12)
