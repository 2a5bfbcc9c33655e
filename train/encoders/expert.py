"""The training of the expert, a trunk that learns classes and places of parts: options, presets, and its step.

Dimensions: B batch, S pixels, K parts, h and w places of the heat maps.
"""

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from mirrorgan.backbones import available_backbones
from mirrorgan.checkpoint import save_part
from mirrorgan.expert import NAME, PART_LEVEL, Expert, ExpertConfig
from mirrorgan.images import from_uint8, to_channels_last
from train.data.augmentation import colour
from train.data.packed import PackedSplit, load_packed
from train.data.sampling import cut_pictures
from train.encoders.pretraining import PretrainConfig, PretrainData, Pretraining
from train.encoders.trunks import load_trunk
from train.metrics.anatomy import NEAR, gaussian_maps, share_found
from train.runtime.device import Precision, autocast
from train.runtime.distributed import World
from train.runtime.files import write_text
from train.runtime.loop import run
from train.runtime.malloc import disable_trim
from train.runtime.state import Stopper, batch_rows, step_numbers

SCORES_LOOK_THROUGH = "efficientnet_lite2"


@dataclass(frozen=True, kw_only=True)
class ExpertTraining(PretrainConfig):
    """Trains an expert: classes and places of parts."""

    name: str = "birds-expert"
    steps: int = 400
    batch: int = 32
    image_size: int = 144
    margin: int = 16
    """Pixels by which stored pictures are larger than what a step cuts out of them at a random place."""
    lr: float = 2.5e-4
    warmup: int = 40
    head_lr: float = 2e-3
    """Learning rate of the two new layers, which begin at zero, at its highest."""
    weight_decay: float = 0.01
    """Of AdamW."""
    label_smoothing: float = 0.1
    """Of the classes."""
    dropout: float = 0.2
    """On the pooled feature."""
    part_weight: float = 20.0
    """Of the parts' binary cross-entropy, a mean over places."""
    part_sigma: float = 0.8
    """Deviation of the Gaussian around a part, in places of the heat map."""
    held_out: int = 600
    """Pictures of the same classes that only say how good it is; at most a fifth of all. 0: none."""
    validate_every: int = 100
    precision: Precision = "auto"
    """bfloat16, float32, or auto: bfloat16 where the device is faster in it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.backbone == SCORES_LOOK_THROUGH:
            raise ValueError(
                f"backbone must not be {self.backbone}: scores look through it, and an expert of it would be judge in "
                f"its own cause; take one of {', '.join(n for n in available_backbones() if n != self.backbone)}"
            )
        if self.margin < 0:
            raise ValueError(f"margin must be 0 pixels or more, not {self.margin}")
        for field in ("head_lr", "part_sigma"):
            if not 0 < getattr(self, field) < math.inf:
                raise ValueError(f"{field} must be positive, not {getattr(self, field)}")
        for field in ("weight_decay", "part_weight"):
            if not 0 <= getattr(self, field) < math.inf:
                raise ValueError(f"{field} must be 0 or more, not {getattr(self, field)}")
        for field in ("label_smoothing", "dropout"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 0 and below 1, not {getattr(self, field)}")


PRESETS = {"birds": ExpertTraining()}


def hold_out_pictures(split: PackedSplit, count: int) -> tuple[Tensor, Tensor]:
    """Rows to learn from and rows held out, each ascending: pictures at random, whatever their class."""
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
    count = min(count, len(split) // 5)
    return order[count:].sort().values, order[:count].sort().values


def mirrored(names: tuple[str, ...]) -> list[int]:
    """For every part the place of the one that it becomes when the picture is mirrored: left and right change places.

    >>> mirrored(("beak", "left eye", "right eye"))
    [0, 2, 1]
    """
    other = {"left": "right", "right": "left"}
    turned = [" ".join(other.get(word, word) for word in name.split()) for name in names]
    return [names.index(name) if name in names else place for place, name in enumerate(turned)]


def part_targets(parts: Tensor, size: int, sigma: float) -> Tensor:
    """Heat maps of parts: a Gaussian of height 1 around each, 0 where a part is not seen.

    Args:
        parts: (B, K, 2), x and y as shares of the picture, NaN where a part is not seen.
        size: h = w.
        sigma: in places.

    Returns:
        (B, K, size, size) in [0, 1].
    """
    return gaussian_maps(parts.flatten(0, 1), size, sigma / size).unflatten(0, parts.shape[:2])


def cut_parts(parts: Tensor, corners: Tensor, flipped: Tensor, names: tuple[str, ...], whole: int, size: int) -> Tensor:
    """Where parts are after a picture of `whole` pixels was cut to `size` at a corner, and perhaps mirrored.

    Args:
        parts: (B, K, 2) shares of the whole picture.
        corners: (B, 2) pixels from the top and from the left.
        flipped: (B,) bool.
    """
    moved = (parts * whole - corners.flip(1)[:, None].to(parts.dtype)) / size
    turned = moved[:, mirrored(names)] * moved.new_tensor([-1.0, 1.0]) + moved.new_tensor([1.0, 0.0])
    return torch.where(flipped[:, None, None], turned, moved)


def train(config: ExpertTraining) -> Path:
    """Trains, or goes on with, the run `config.name`; returns the folder of the best expert so far.

    Raises:
        see `train.runtime.loop.run`.
    """
    return run(ExpertPretraining, config)


class ExpertPretraining(Pretraining[ExpertTraining]):
    """A trunk that learns classes and places of parts, on pictures."""

    network: Expert

    def __init__(self, config: ExpertTraining, world: World, stopper: Stopper) -> None:
        disable_trim()
        split = load_packed(config.data, "train")
        trunk = load_trunk(config.backbone, config.weights)
        data = PretrainData(split, trunk, [], *hold_out_pictures(split, config.held_out))
        super().__init__(config, world, stopper, data)
        self.whole = split.pictures(config.image_size + config.margin)
        self.scores: dict[str, float] = {}

    def build(self, state: dict[str, Any] | None) -> None:
        self.network = build(self.config, self.data.split, self.data)
        self.optimizer = build_optimizer(self.config, self.network)

    def learn(self, number: int) -> dict[str, Tensor]:
        return train_step(self.network, self.optimizer, self.config, self.data, self.whole, number)

    def validate(self) -> tuple[str, float]:
        self.scores = measure(self.network, self.data.split, self.whole, self.data.val_rows, self.config)
        return "held-out classes", self.scores["classes"]

    def save(self, folder: Path) -> None:
        shape, held = self.network.config, len(self.data.val_rows)
        save_part(self.network, shape, folder, NAME, NAME, half=True, scores=self.scores, pictures=held)
        write_text(folder / "README.md", card(shape, self.scores, len(self.data.train_rows), held))


def build(config: ExpertTraining, split: PackedSplit, data: PretrainData) -> Expert:
    """The expert before its first step: ImageNet's weights and two new layers, on the run's device."""
    torch.manual_seed(config.seed)
    names = read_class_names(split)
    shape = ExpertConfig(backbone=config.backbone, image_size=config.image_size, classes=names, parts=split.part_names)
    expert = Expert(shape, copy.deepcopy(data.backbone)).requires_grad_(True)
    for head in (expert.to_classes, expert.to_parts):
        if head is not None and head.bias is not None:  # at first they say nothing, and that parts are rare
            nn.init.zeros_(head.weight)
            nn.init.constant_(head.bias, 0.0 if head is expert.to_classes else -4.0)
    return to_channels_last(expert, config.torch_device)


def read_class_names(split: PackedSplit) -> tuple[str, ...]:
    """Names of the classes of a packed split, in the order of its numbers.

    Raises:
        ValueError: there is only one.
    """
    if len(split.group_names) < 2:
        raise ValueError(f"{split.folder}: all pictures are of one class; an expert needs several to tell apart")
    return split.group_names


def build_optimizer(config: ExpertTraining, expert: Expert) -> torch.optim.Optimizer:
    """AdamW; the new layers learn faster."""
    new = [*expert.to_classes.parameters(), *(expert.to_parts.parameters() if expert.to_parts is not None else ())]
    groups = [
        {"params": list(expert.trunk.parameters()), "lr_scale": 1.0},
        {"params": new, "lr_scale": config.head_lr / config.lr},
    ]
    return torch.optim.AdamW(groups, config.lr, weight_decay=config.weight_decay)


def train_step(
    expert: Expert,
    optimizer: torch.optim.Optimizer,
    config: ExpertTraining,
    data: PretrainData,
    whole: np.ndarray,
    step: int,
) -> dict[str, Tensor]:
    """One update on the pictures of a step; returns the losses, detached."""
    generator = step_numbers(config.seed, step)
    rows = data.train_rows[batch_rows(len(data.train_rows), config.batch, config.seed, step)]
    size, split = config.image_size, data.split
    corners = torch.randint(0, config.margin + 1, (len(rows), 2), generator=generator)
    flipped = torch.rand(len(rows), generator=generator) < 0.5
    changes = torch.rand(len(rows), 3, generator=generator)
    images = from_uint8(cut_pictures(whole, rows, corners, flipped, size).to(config.torch_device))
    images = colour(images, changes.to(config.torch_device), 0.5).contiguous(memory_format=torch.channels_last)
    with autocast(config.torch_device, config.precision):
        found = expert.trunk(images)
        logits = expert.classify(F.dropout(found.pooled, config.dropout))
        maps = None if expert.to_parts is None else expert.to_parts(found.levels[PART_LEVEL])
    groups = split.groups[rows].long().to(config.torch_device)
    terms = {"classes": F.cross_entropy(logits.float(), groups, label_smoothing=config.label_smoothing)}
    if maps is not None and split.parts is not None:
        parts = cut_parts(split.parts[rows], corners, flipped, split.part_names, whole.shape[1], size)
        targets = part_targets(parts, maps.shape[-1], config.part_sigma).to(config.torch_device)
        terms["parts"] = config.part_weight * F.binary_cross_entropy_with_logits(maps.float(), targets)
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(terms.values())).sum().backward()
    optimizer.step()
    return {name: term.detach() for name, term in terms.items()}


@torch.no_grad()
def measure(
    expert: Expert, split: PackedSplit, whole: np.ndarray, rows: Tensor, config: ExpertTraining
) -> dict[str, float]:
    """How good it is on some pictures: the share whose class it names ("classes"), and for every part the share of
    those where it is seen whose map is highest within `NEAR` of it."""
    size, low = config.image_size, config.margin // 2
    right, there, where = 0, list[Tensor](), list[Tensor]()
    for chunk in tqdm(rows.split(config.batch), "held-out pictures", leave=False):
        corners, flipped = torch.full((len(chunk), 2), low), torch.zeros(len(chunk), dtype=torch.bool)
        pixels = cut_pictures(whole, chunk, corners, flipped, size)
        with autocast(config.torch_device, config.precision):
            found = expert(from_uint8(pixels.to(config.torch_device)))
            logits = expert.classify(found.pooled)
        right += int((logits.argmax(dim=1).cpu() == split.groups[chunk]).sum())
        if found.parts is not None and split.parts is not None:
            there.append(cut_parts(split.parts[chunk], corners, flipped, split.part_names, whole.shape[1], size))
            where.append(highest(found.parts.cpu()))
    scores = {"classes": right / max(1, len(rows))}
    if there:
        places, maxima = torch.cat(there), torch.cat(where)
        scores |= {name: share_found(places[:, k], maxima[:, k]) for k, name in enumerate(split.part_names)}
    return {name: score for name, score in scores.items() if math.isfinite(score)}  # of what is never seen none


def highest(maps: Tensor) -> Tensor:
    """(B, K, h, w) to the places where they are highest, (B, K, 2): x and y as shares of the picture."""
    place = maps.flatten(2).argmax(dim=2)
    height, width = maps.shape[2:]
    return torch.stack([(place % width + 0.5) / width, (place // width + 0.5) / height], dim=2)


def card(config: ExpertConfig, scores: dict[str, float], learnt: int, held: int) -> str:
    """What it is and how good, as Markdown."""
    lines = [
        "# Expert",
        f"`{config.backbone}` with ImageNet weights, taught {len(config.classes)} classes"
        + (f" and the places of {len(config.parts)} parts" if config.parts else "")
        + f" of {learnt:,} pictures at {config.image_size} pixels by `python -m train.expert`. The Frechet loss and "
        "discriminators may look through it; scores do not.",
    ]
    if scores and held:
        lines.append(
            f"On {held:,} pictures of the same classes that it did not learn from, it names the class of "
            f"{scores['classes']:.1%}. A part's map is highest within {NEAR} of the picture's side around it, where it "
            "is seen:"
        )
        rows = ["| part | found |", "|---|---|"]
        lines.append("\n".join(rows + [f"| {name} | {scores[name]:.1%} |" for name in config.parts if name in scores]))
    return "\n\n".join(lines) + "\n"
