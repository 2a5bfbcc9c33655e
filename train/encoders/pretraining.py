"""What pretraining the encoders and the captioner have in common: cached features, held-out classes, the loop."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from mirrorgan.backbones import Backbone, available_backbones
from train.data.features import CachedFeatures, StoppedEarly, cached_features, trunk_hash
from train.data.packed import PackedSplit, load_packed
from train.data.sampling import hold_out
from train.encoders.trunks import keep_trunk, load_trunk
from train.runtime.command import as_json
from train.runtime.config import RunConfig, check_steps, hold_to
from train.runtime.files import atomic_dir, write_text
from train.runtime.logger import RunLogger
from train.runtime.malloc import disable_trim
from train.runtime.provenance import data_hash
from train.runtime.state import Stopper, load_state, save_state

SCHEDULES = ("cosine", "constant", "released")
CLOSING = 4.0
"""Seconds that are left for the report of a run whose time is up."""


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
    learning_rate: float = 2e-3
    """Of Adam, at the first step."""
    schedule: str = "cosine"
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
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, not {self.schedule!r}")
        if self.validate_every < 1:
            raise ValueError(f"validate_every must be at least 1, not {self.validate_every}")
        if self.image_size < 32:
            raise ValueError(f"image_size must be at least 32 pixels, not {self.image_size}")
        if self.warmup < 0:
            raise ValueError(f"warmup must be at least 0, not {self.warmup}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be positive, not {self.learning_rate}")
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


Pretraining = TypeVar("Pretraining", bound=PretrainConfig)


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

    def due() -> bool:
        return stopper.due(reserve=1)

    cached = []
    for flipped in (False, True):
        try:
            cached.append(
                cached_features(
                    split, backbone, config.backbone, config.image_size, flipped, config.place, regional, due
                )
            )
        except StoppedEarly as error:
            why = "you asked to stop" if stopper.asked else f"{config.minutes} minutes are too few to compute features"
            raise StoppedEarly(
                f"{why}: {error}, nothing has been learnt yet; the same command goes on from there"
            ) from None
    return PretrainData(split, backbone, cached, kept, held, make_resident(cached, config.place))


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


def fit_batch(config: Pretraining, data: PretrainData) -> Pretraining:
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
    rate = config.learning_rate * min(1.0, (step + 1) / (config.warmup + 1))
    if config.schedule == "cosine":
        return rate * (1 + math.cos(math.pi * step / config.steps)) / 2
    if config.schedule == "released":
        for _ in range(step // epoch):
            if rate <= 2e-4:
                break
            rate *= 0.98
    return rate


def pretrain(
    config: PretrainConfig,
    stopper: Stopper,
    data: PretrainData,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    learn: Callable[[int], dict[str, Tensor]],
    validate: Callable[[], tuple[str, float]],
    keep: Callable[[Path], None],
) -> Path:
    """Trains, or goes on with, the run `config.name`, and keeps the step that does best on the held-out classes.

    A step depends on its number, the weights and the optimizer alone, so that a run that was stopped anywhere and
    goes on ends as one that was not.

    Args:
        stopper: says when to stop; the caller closes it.
        learn: one update, from the number of the step; returns its losses.
        validate: name and value of the score on the held-out classes; higher is better. Not asked if there are none.
        keep: writes the network into a folder.

    Returns:
        the folder of the best step's weights.

    Raises:
        FloatingPointError: a loss or a weight is not finite; the last good state and the best weights are kept.
        OSError: something could not be written; what was written before is kept.
        StoppedEarly: there was no time for a single step.
        ValueError: the run was begun with other options, data or networks.
    """
    folder, epoch = config.folder / "best", max(1, len(data.train_rows) // config.batch)
    made_of = {"data": data_hash(config.data), "trunk": trunk_hash(data.backbone)}
    step, best, best_step = 0, float("-inf"), 0
    changed: list[str] = []
    if (state := load_state(config.folder)) is not None:
        step, best, best_step, changed = restore(config, made_of, state, network, optimizer)
    written(lambda: keep_trunk(data.backbone, config.backbone, config.weights, folder), step)
    logger = RunLogger(config.folder, as_json(config), config.steps, step)
    saved_step, saved, losses = step, time.monotonic(), dict[str, Tensor]()
    longest = {"learn": 0.0, "validate": 5.0, "save": 1.0}

    def timed(part: str, act: Callable[[], None]) -> None:
        began = time.monotonic()
        act()
        longest[part] = max(longest[part], time.monotonic() - began)

    def validates(after: int) -> bool:
        return len(data.val_rows) > 0 and (after % config.validate_every == 0 or after == config.steps)

    def time_is_up() -> bool:
        reserve = CLOSING + longest["learn"] + longest["save"] + (longest["validate"] if validates(step + 1) else 0)
        return stopper.due(reserve if config.minutes is None else min(reserve, 30 * config.minutes))

    def save() -> None:
        nonlocal saved_step, saved
        check_finite(step, network, losses)
        content = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "best": best}
        content |= {"best step": best_step, "config": as_json(config), "made of": made_of}
        written(lambda: save_state(config.folder, content), saved_step)
        saved_step, saved = step, time.monotonic()

    def keep_best(score: float | None) -> None:
        def write() -> None:
            with atomic_dir(folder) as into:
                keep(into)
                write_text(into / "best.json", json.dumps({"step": step, "score": score}) + "\n")

        written(write, saved_step)

    def look() -> None:
        nonlocal best, best_step
        check_finite(step, network, losses)
        name, score = validate()
        logger.log(step, {name: score})
        if score > best:
            best, best_step = score, step
            keep_best(score)
        logger.print(f"step {step}: {name} {score:.3f} (best {best:.3f} at step {best_step})")

    try:
        if changed:
            logger.print(f"goes on at step {step} with {', '.join(changed)}")
        if step == config.steps:
            logger.print(f"all {step} steps are done; give more --steps to go on")
        while step < config.steps and not time_is_up():
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(config, step, epoch) * group.get("lr_scale", 1.0)
            if config.schedule == "released" and step % epoch == 0:
                optimizer.state.clear()
            began = time.monotonic()
            losses = learn(step)
            longest["learn"] = max(longest["learn"], time.monotonic() - began)
            step += 1
            logger.advance()
            if step % config.report_every == 0:
                logger.log(step, losses)
            if validates(step):
                timed("validate", look)
            if time.monotonic() - saved > 60 * config.save_minutes:
                timed("save", save)
        if step == 0:
            raise StoppedEarly("there was no time for a single step; nothing has been written")
        if step > saved_step:
            save()
        if best == float("-inf"):
            keep_best(None)
            if len(data.val_rows):
                logger.print(f"stopped before the first look at the held-out classes; the weights are of step {step}")
        if step < config.steps:
            logger.print(f"stopped at step {step} of {config.steps}; the same command goes on from there")
    except FloatingPointError as error:
        raise FloatingPointError(
            f"{error} (of step {saved_step}), and so are the best weights (of step {best_step}); "
            "give the same command again with a smaller --learning-rate"
        ) from None
    finally:
        logger.close()
    return folder


def restore(
    config: PretrainConfig,
    made_of: dict[str, Any],
    state: dict[str, Any],
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> tuple[int, float, int, list[str]]:
    """Puts a state back; returns its step, the best score so far, the step of that, and the options that have changed.

    Rates and other settings of the optimizer stay those of the configuration.

    Raises:
        ValueError: the run was begun with other options, data, weights or networks, or has done more steps already.
    """
    changed = hold_to(config.folder, config, state.get("config", {}), made_of, state.get("made of", {}))
    check_steps(config.folder, state["step"], config)
    try:
        network.load_state_dict(state["network"])
        settings, given = optimizer.state_dict()["param_groups"], state["optimizer"]
        sizes = [[len(group["params"]) for group in groups] for groups in (settings, given["param_groups"])]
        if sizes[0] != sizes[1]:
            raise ValueError(f"its optimizer has {sizes[1]} parameters, not {sizes[0]}")
        optimizer.load_state_dict({"state": given["state"], "param_groups": settings})
    except (KeyError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ValueError(
            f"{config.folder} holds a run of other networks ({reason}); give the options that it was begun with, or "
            "another --name"
        ) from error
    return state["step"], state["best"], state.get("best step", 0), changed


def check_finite(step: int, network: nn.Module, losses: dict[str, Tensor]) -> None:
    """Raises FloatingPointError if a loss or a parameter is not finite."""
    named = {**losses, **dict(network.named_parameters())}
    if not named:
        return
    finite = torch.stack([tensor.detach().isfinite().all() for tensor in named.values()]).tolist()
    broken = [name for name, fine in zip(named, finite, strict=True) if not fine]
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise FloatingPointError(f"step {step}: {', '.join(broken[:3])}{more} not finite; the last saved state is kept")


def written(write: Callable[[], None], saved_step: int) -> None:
    """Writes; a full disk becomes a sentence.

    Raises:
        OSError: it could not be written.
    """
    try:
        write()
    except (OSError, RuntimeError, SafetensorError) as error:
        raise OSError(
            f"the run could not be written ({error}); its state of step {saved_step} is kept: make room, then give the "
            "same command again"
        ) from error
