"""What trainings on a frozen trunk have in common: options, cached features, held-out classes, learning rates."""

import functools
import json
import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from mirrorgan.backbones import Backbone, available_backbones
from train.data.features import CachedFeatures, cached_features, trunk_hash
from train.data.packed import PackedSplit, load_packed
from train.data.sampling import hold_out
from train.encoders.trunks import keep_trunk, load_trunk, trunk_file
from train.runtime.config import RunConfig
from train.runtime.distributed import World
from train.runtime.files import write_text
from train.runtime.loop import Training
from train.runtime.malloc import disable_trim
from train.runtime.provenance import data_hash
from train.runtime.state import StoppedEarly, Stopper


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(RunConfig):
    """A training on cached features of a frozen trunk."""

    data: Path = Path("packed/birds")
    backbone: str = "efficientnet_lite1"
    """Trunk with ImageNet weights; see mirrorgan/backbones.py. The papers': inception_v3 and resnet152."""
    weights: Path | None = None
    """File of the trunk's weights; None: the installed package that carries them."""
    image_size: int
    """Pixels of the pictures that the trunk sees."""
    lr: float = 2e-3
    """Learning rate of Adam, at the first step."""
    schedule: Literal["cosine", "constant", "released"] = "cosine"
    """cosine: the learning rate falls to zero along half a cosine over all steps (a run that goes on with other
    --steps follows the new curve from where it is; --minutes cuts the curve and does not shorten it). constant.
    released: AttnGAN's, x .98 an epoch while above 2e-4, and Adam's moments forgotten at every epoch."""
    warmup: int = 0
    """Steps over which the learning rate rises to what the schedule says."""
    held_out: int = 10
    """Classes of the training split that only choose the best step; a tenth of the pictures where there are too few
    classes. 0: none, and the last step is kept."""
    validate_every: int = 250
    """Steps between two looks at the held-out classes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.backbone not in available_backbones():
            raise ValueError(f"backbone must be one of {', '.join(available_backbones())}, not {self.backbone!r}")
        if self.validate_every < 1:
            raise ValueError(f"validate_every must be at least 1, not {self.validate_every}")
        if self.image_size < 32:
            raise ValueError(f"image_size must be at least 32 pixels, not {self.image_size}")
        if self.warmup < 0:
            raise ValueError(f"warmup must be at least 0, not {self.warmup}")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr must be positive, not {self.lr}")
        if self.held_out < 0:
            raise ValueError(f"held_out must be at least 0, not {self.held_out}")


@dataclass(frozen=True, kw_only=True)
class CaptionedConfig(PretrainConfig):
    """A pretraining that reads captions."""

    longest: int
    """Words of a caption; a longer one loses some at random."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.longest < 1:
            raise ValueError(f"longest must be at least 1, not {self.longest}")


Config = TypeVar("Config", bound=PretrainConfig)


@dataclass(frozen=True, eq=False)
class PretrainData:
    """What a pretraining learns from."""

    split: PackedSplit
    backbone: Backbone
    cached: list[CachedFeatures]
    """Of the pictures as they are, and mirrored."""
    train_rows: Tensor
    """Rows to train on, (n,) int64."""
    val_rows: Tensor
    """Rows of the held-out classes."""
    resident: tuple[Tensor | None, Tensor] | None = None
    """The same features in the accelerator's memory, (2, N, C, h, w) and (2, N, P) float16, where they fit."""

    def gather(self, rows: Tensor, flipped: Tensor, place: str, regional: bool = True) -> tuple[Tensor, Tensor]:
        """Cached features of some pictures, each mirrored or not: (B, C, h, w) and (B, P), float32.

        The first is empty where `regional` is False.
        """
        if self.resident is not None:
            levels, pooled = self.resident
            sides, places = flipped.long().to(place, non_blocking=True), rows.to(place, non_blocking=True)
            some = levels[sides, places].float() if regional and levels is not None else torch.empty(0)
            return some, pooled[sides, places].float()
        picked = [(self.cached[int(flip)], row) for row, flip in zip(rows.tolist(), flipped.tolist(), strict=True)]

        def load(arrays: list[np.ndarray]) -> Tensor:
            tensor = torch.from_numpy(np.stack(arrays))
            if torch.device(place).type == "cuda":
                return tensor.pin_memory().to(place, non_blocking=True).float()
            return tensor.to(place).float()

        some = torch.empty(0)
        if regional:
            some = load([features.regional[row] for features, row in picked if features.regional is not None])
        return some, load([features.pooled[row] for features, row in picked])


def read_data(config: PretrainConfig, stopper: Stopper, regional: bool = True) -> PretrainData:
    """Opens the training split, and computes the trunk's features of it unless they are there already.

    Args:
        stopper: ends the computation; what was computed is kept.
        regional: whether regions are needed beside the pooled features.

    Raises:
        FileNotFoundError: the data or the trunk's weights are not there.
        StoppedEarly: the time was up, or somebody asked to stop.
    """
    disable_trim()
    backbone = load_trunk(config.backbone, config.weights)
    split = load_packed(config.data, "train")
    kept, held = hold_out(split, config.held_out)
    if config.held_out and not len(held):
        print(f"{len(split)} pictures are too few to hold some out: all are learnt from, the last step is kept")

    cached = []
    for flipped in (False, True):
        try:
            cached.append(
                cached_features(
                    split,
                    backbone,
                    config.backbone,
                    config.image_size,
                    flipped,
                    config.torch_device,
                    regional,
                    functools.partial(stopper.due, 1.0),
                )
            )
        except StoppedEarly as error:
            why = "you asked to stop" if stopper.asked else f"{config.minutes} minutes are too few to compute features"
            raise StoppedEarly(
                f"{why}: {error}, nothing has been learnt yet; the same command goes on from there"
            ) from None
    return PretrainData(split, backbone, cached, kept, held, make_resident(cached, config.torch_device))


def make_resident(cached: list[CachedFeatures], place: str) -> tuple[Tensor | None, Tensor] | None:
    """Copies features into the accelerator's memory if they take at most half of what is free there."""
    if torch.device(place).type != "cuda":
        return None
    needed = sum(a.nbytes for features in cached for a in (features.regional, features.pooled) if a is not None)
    if needed > torch.cuda.mem_get_info()[0] / 2:
        return None
    return stack_sides(cached, place)


def stack_sides(cached: list[CachedFeatures], place: str, chunk: int = 1024) -> tuple[Tensor | None, Tensor]:
    """Features of both sides as one tensor each, on a device."""

    def stack(arrays: list[np.ndarray]) -> Tensor:
        out = torch.empty((len(arrays), *arrays[0].shape), dtype=torch.float16, device=place)
        for side, array in enumerate(arrays):
            for start in range(0, len(array), chunk):
                out[side, start : start + chunk] = torch.from_numpy(np.array(array[start : start + chunk]))
        return out

    regional = [features.regional for features in cached if features.regional is not None]
    return stack(regional) if regional else None, stack([features.pooled for features in cached])


def fit_batch(config: Config, data: PretrainData) -> Config:
    """The same configuration with a smaller batch where there are fewer pictures than one needs. No batch is smaller
    than 2, which batch norms need: a single picture is in it twice."""
    count = len(data.train_rows)
    if count >= config.batch:
        return config
    batch = max(2, count)
    print(f"pictures to learn from: {count}, fewer than a batch of {config.batch} needs; batches of {batch} instead")
    return replace(config, batch=batch)


def learning_rate_at(config: PretrainConfig, step: int, epoch: int) -> float:
    """The learning rate of a step (the first is 0), from the step alone.

    Args:
        epoch: steps of one.
    """
    rate = config.lr * min(1.0, (step + 1) / (config.warmup + 1))
    if config.schedule == "cosine":
        return rate * (1 + math.cos(math.pi * step / config.steps)) / 2
    if config.schedule == "released":
        for _ in range(step // epoch):
            if rate <= 2e-4:
                break
            rate *= 0.98
    return rate


class Pretraining(Training[Config]):
    """One network that learns on pictures of a frozen trunk. The step that does best on the held-out rows is kept."""

    network: nn.Module
    optimizer: torch.optim.Optimizer

    def __init__(self, config: Config, world: World, stopper: Stopper, data: PretrainData) -> None:
        super().__init__(fit_batch(config, data), world, stopper)
        self.data = data
        self.epoch = max(1, len(data.train_rows) // self.config.batch)
        """Steps of one."""

    @abstractmethod
    def learn(self, number: int) -> dict[str, Tensor]:
        """One update at the rates that are set; see `Training.step`."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Writes the network into an empty folder."""

    def made_of(self) -> dict[str, str | None]:
        return {"data": data_hash(self.config.data), "trunk": trunk_hash(self.data.backbone)}

    def step(self, number: int) -> dict[str, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate_at(self.config, number, self.epoch) * group.get("lr_scale", 1.0)
        if self.config.schedule == "released" and number % self.epoch == 0:
            self.optimizer.state.clear()
        return self.learn(number)

    def networks(self) -> list[tuple[str, nn.Module]]:
        return [("network", self.network)]

    def state_dict(self, step: int) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        settings, given = self.optimizer.state_dict()["param_groups"], state["optimizer"]
        sizes = [[len(group["params"]) for group in groups] for groups in (settings, given["param_groups"])]
        if sizes[0] != sizes[1]:
            raise ValueError(f"its optimizer has {sizes[1]} parameters, not {sizes[0]}")
        self.optimizer.load_state_dict({"state": given["state"], "param_groups": settings})

    def validates(self, step: int) -> bool:
        last = step == self.config.steps
        return len(self.data.val_rows) > 0 and (step % self.config.validate_every == 0 or last)

    def save_weights(self, folder: Path, step: int, score: float | None) -> None:
        self.save(folder)
        if not trunk_file(self.folder, self.config.backbone).exists():
            keep_trunk(self.data.backbone, self.config.backbone, self.config.weights, folder)
        write_text(folder / "best.json", json.dumps({"step": step, "score": score}) + "\n")
