"""What pretraining the encoders and the captioner have in common: cached features, held-out classes, the loop."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mirrorgan.backbones import Backbone, load_imagenet
from train.batches import hold_out
from train.command import as_json
from train.config import RunConfig
from train.features import CachedFeatures, cached_features
from train.journal import Journal
from train.memory import keep_memory
from train.pack import PackedSplit, load_packed
from train.state import Stopper, load_state, save_state
from train.trunks import keep_trunk


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(RunConfig):
    """A training on cached features of a frozen trunk."""

    data: Path = Path("packed/birds")
    backbone: str = "efficientnet_lite1"
    """Trunk with ImageNet weights; see mirrorgan/backbones.py. The papers': inception_v3 and resnet152."""
    weights: Path | None = None
    """File of the trunk's weights; none: the installed package that carries them."""
    image_size: int
    """Pixels of the pictures that the trunk sees."""
    longest: int
    """Words of a caption; a longer one loses some at random."""
    learning_rate: float = 2e-3
    """Of Adam; falls to zero along half a cosine."""
    held_out: int = 10
    """Classes of the training split that only choose the epoch."""
    validate_every: int = 250
    """Steps between two looks at the held-out classes."""


@dataclass(frozen=True, eq=False)
class Material:
    """What a pretraining learns from."""

    split: PackedSplit
    backbone: Backbone
    cached: list[CachedFeatures]
    """Of the pictures as they are, and mirrored."""
    kept: Tensor
    """Rows to train on, (n,) int64."""
    held: Tensor
    """Rows of the held-out classes."""

    def gather(self, rows: Tensor, flipped: Tensor, place: str, regional: bool = True) -> tuple[Tensor, Tensor]:
        """Cached features of some pictures, each mirrored or not: (B, C, h, w) and (B, P), float32.

        The first is empty where `regional` is False.
        """
        picked = [(self.cached[int(flip)], row) for row, flip in zip(rows.tolist(), flipped.tolist(), strict=True)]
        levels = torch.empty(0)
        if regional:
            levels = torch.from_numpy(np.stack([features.regional[row] for features, row in picked]))
        pooled = torch.from_numpy(np.stack([features.pooled[row] for features, row in picked]))
        return levels.to(place).float(), pooled.to(place).float()


def read_material(config: PretrainConfig) -> Material:
    """Opens the training split, and computes the trunk's features of it unless they are there already."""
    keep_memory()
    split = load_packed(config.data, "train")
    backbone = load_imagenet(config.backbone, config.weights)
    keep_trunk(backbone, config.backbone, config.weights, config.folder / "best")
    cached = [
        cached_features(split, backbone, config.backbone, config.image_size, flipped, config.place)
        for flipped in (False, True)
    ]
    return Material(split, backbone, cached, *hold_out(split, config.held_out))


def pretrain(
    config: PretrainConfig,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    learn: Callable[[int], dict[str, Tensor]],
    validate: Callable[[], tuple[str, float]],
    keep: Callable[[Path], None],
) -> Path:
    """Trains, or goes on with, the run `config.name`, and keeps the step that does best on the held-out classes.

    Args:
        learn: one update, from the number of the step; returns its losses.
        validate: name and value of the score on the held-out classes; higher is better.
        keep: writes the network into a folder.

    Returns:
        the folder of the best step's weights.
    """
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    step, best, folder = 0, float("-inf"), config.folder / "best"
    if (state := load_state(config.folder)) is not None:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        step, best = state["step"], state["best"]
    journal, stopper = Journal(config.folder, as_json(config), config.steps, step), Stopper(config.minutes)

    def save() -> None:
        content = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
        save_state(config.folder, content | {"schedule": schedule.state_dict(), "step": step, "best": best})

    saved = time.monotonic()
    try:
        while step < config.steps and not stopper.due(reserve=5):
            losses = learn(step)
            schedule.step()
            step += 1
            journal.advance()
            if step % config.report_every == 0:
                journal.report(step, losses)
            if step % config.validate_every == 0 or step == config.steps:
                name, score = validate()
                journal.report(step, {name: score})
                if score > best:
                    best = score
                    keep(folder)
                journal.say(f"step {step}: {name} {score:.3f} (best {best:.3f})")
            if time.monotonic() - saved > 60 * config.save_minutes:
                save()
                saved = time.monotonic()
        save()
        if best == float("-inf"):
            keep(folder)
    finally:
        stopper.close()
        journal.close()
    return folder
