"""The training of both encoders by the DAMSM loss (Eq. 14 to 17 of AttnGAN)."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mirrorgan.checkpoint import save_part
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.losses import damsm_loss
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.vocabulary import pad
from train.data.features import CachedFeatures
from train.data.packed import PackedSplit
from train.data.sampling import pick_captions
from train.encoders.pretraining import CaptionedConfig, PretrainData, Pretraining, read_data
from train.metrics.retrieval import r_precision
from train.runtime.device import autocast
from train.runtime.distributed import World
from train.runtime.loop import run
from train.runtime.state import Stopper, batch_rows, step_numbers


@dataclass(frozen=True, kw_only=True)
class DamsmConfig(CaptionedConfig):
    """Pretrains the text encoder and the image encoder."""

    name: str = "birds-damsm"
    steps: int = 4000
    image_size: int = 256
    longest: int = 18
    text_dim: int = 256
    """Channels of words and sentence, D."""
    pool: int = 2
    """Regions are means over pool x pool places; 1: the papers' (four times the work of 2)."""
    clip: float = 0.25
    """Largest norm of the text encoder's gradient."""
    gamma1: float = 4.0
    """How sharply a word attends to regions. 4 in the released bird configuration, 5 in the paper."""
    gamma2: float = 5.0
    """How much the best word counts."""
    gamma3: float = 10.0
    """How sharply a caption chooses its picture."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.text_dim < 2 or self.text_dim % 2:
            raise ValueError(f"text_dim is shared by two directions and must be even, not {self.text_dim}")
        if self.pool < 1:
            raise ValueError(f"pool must be at least 1, not {self.pool}")
        for field in ("clip", "gamma1", "gamma2", "gamma3"):
            if not 0 < getattr(self, field) < math.inf:
                raise ValueError(f"{field} must be positive, not {getattr(self, field)}")


def judge(preset: DamsmConfig, name: str) -> DamsmConfig:
    """A second pair of encoders, which no generator learns with: another trunk and size of pictures, another seed."""
    return replace(preset, name=name, backbone="efficientnet_lite2", image_size=224, seed=1)


_BIRDS = DamsmConfig()
_PAPER = DamsmConfig(  # AttnGAN's, without its random cuts: features are computed once, of the middle and mirrored
    name="birds-paper-damsm",
    steps=36_800,  # epoch 200, the one that was released, of 184 batches
    backbone="inception_v3",
    image_size=299,
    pool=1,
    schedule="released",
    held_out=0,
)
_COCO = DamsmConfig(
    data=Path("packed/coco"), name="coco-damsm", steps=40_000, longest=15, held_out=1000, validate_every=1000
)
_SHAPES = DamsmConfig(
    data=Path("packed/shapes"), name="shapes-damsm", steps=300, image_size=128, pool=1, validate_every=100
)
_FOLDER = DamsmConfig(data=Path("packed/folder"), name="folder-damsm", validate_every=100)

PRESETS = {
    "birds": _BIRDS,
    "birds-judge": replace(judge(_BIRDS, "birds-judge-damsm"), steps=1000),  # most is learnt by then: train/LOG.md
    "birds-paper": _PAPER,
    "coco": _COCO,
    "coco-judge": judge(_COCO, "coco-judge-damsm"),
    "coco-paper": replace(
        _PAPER, data=_COCO.data, name="coco-paper-damsm", longest=15, steps=172_400  # epoch 100 of 1,724 batches
    ),
    "shapes": _SHAPES,
    "shapes-judge": judge(_SHAPES, "shapes-judge-damsm"),
    "folder": _FOLDER,
    "folder-judge": judge(_FOLDER, "folder-judge-damsm"),
}  # fmt: skip


class Encoders(nn.Module):
    """The two sides, trained together."""

    def __init__(self, text: TextEncoder, image: ImageEncoder) -> None:
        super().__init__()
        self.text = text
        self.image = image


def build(config: DamsmConfig, data: PretrainData) -> Encoders:
    """Both encoders with their random start, on the run's device."""
    torch.manual_seed(config.seed)
    text = TextEncoder(TextEncoderConfig(vocabulary_size=len(data.split.vocabulary), text_dim=config.text_dim))
    shape = ImageEncoderConfig(
        backbone=config.backbone, image_size=config.image_size, text_dim=config.text_dim, pool=config.pool
    )
    return Encoders(text, ImageEncoder(shape, data.backbone)).to(config.torch_device)


def train(config: DamsmConfig) -> Path:
    """Trains, or goes on with, the run `config.name`; returns the folder with the best encoders so far.

    Raises:
        ValueError: the data cannot teach it: all of several pictures are of one class.
        others: see `train.runtime.loop.run`.
    """
    return run(DamsmPretraining, config)


class DamsmPretraining(Pretraining[DamsmConfig]):
    """Both encoders on cached features and captions."""

    network: Encoders

    def __init__(self, config: DamsmConfig, world: World, stopper: Stopper) -> None:
        data = read_data(config, stopper)
        if len(data.split) == 1:
            print("there is only one picture: no other caption can be wrong for it, so the encoders learn nothing")
        elif len(data.split.groups.unique()) < 2:
            raise ValueError(f"{config.data}: all pictures are of one class; pictures of others are needed beside them")
        super().__init__(config, world, stopper, data)

    def build(self, state: dict[str, Any] | None) -> None:
        self.network = build(self.config, self.data)
        self.optimizer = torch.optim.Adam(self.network.parameters(), self.config.lr, betas=(0.5, 0.999))

    def learn(self, number: int) -> dict[str, Tensor]:
        return train_step(self.network, self.optimizer, self.config, self.data, number)

    def validate(self) -> tuple[str, float]:
        return validate(self.network, self.data.split, self.data.cached[0], self.data.val_rows)

    def save(self, folder: Path) -> None:
        save_encoders(self.network, self.data.split, folder)


def train_step(
    nets: Encoders, optimizer: torch.optim.Optimizer, config: DamsmConfig, data: PretrainData, step: int
) -> dict[str, Tensor]:
    """One update of both encoders on the pairs of a step; returns the losses, detached.

    Nothing here waits for the accelerator: lengths of captions are counted on the CPU.
    """
    generator = step_numbers(config.seed, step)
    rows = data.train_rows[batch_rows(len(data.train_rows), config.batch, config.seed, step)]
    tokens, mask, _ = pick_captions(data.split, rows, config.longest, generator)
    flipped = torch.rand(len(rows), generator=generator) < 0.5
    words, sentence = nets.text(tokens.to(config.torch_device, non_blocking=True), mask)
    regions, image_code = nets.image.project(*data.gather(rows, flipped, config.torch_device))
    groups = data.split.groups[rows].to(config.torch_device, non_blocking=True)
    there = mask.to(config.torch_device, non_blocking=True)
    with autocast(config.torch_device, "auto"):
        losses = damsm_loss(
            words, sentence, regions, image_code, there, groups, config.gamma1, config.gamma2, config.gamma3
        )
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()
    nn.utils.clip_grad_norm_(nets.text.parameters(), config.clip)
    optimizer.step()
    return {name: loss.detach() for name, loss in losses.items()}


@torch.inference_mode()
def codes(nets: Encoders, split: PackedSplit, cached: CachedFeatures, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Global image codes and sentence codes of the first caption of some pictures, each (n, D) on the CPU."""
    place = nets.image.to_global.weight.device
    nets.eval()
    images, sentences = [], []
    for chunk in rows.split(256):
        images.append(nets.image.to_global(torch.from_numpy(cached.pooled[chunk.numpy()]).to(place).float()))
        tokens, mask = pad([split.caption(row, 0) for row in chunk.tolist()])
        sentences.append(nets.text(tokens.to(place), mask.to(place))[1])
    nets.train()
    return torch.cat(images).cpu(), torch.cat(sentences).cpu()


def validate(nets: Encoders, split: PackedSplit, cached: CachedFeatures, rows: Tensor) -> tuple[str, float]:
    """Retrieval of the true caption by the global code: 1 of 100, or of fewer where there are fewer of other classes
    (the name says so); a tie counts as a miss."""
    images, sentences = codes(nets, split, cached, rows)
    groups = split.groups[rows].long()
    candidates = min(100, 1 + len(rows) - int(groups.unique(return_counts=True)[1].max()))
    name = "held-out retrieval" if candidates == 100 else f"held-out retrieval of {candidates}"
    if candidates < 2:
        return name, 0.0
    return name, r_precision(images, sentences, groups, candidates, folds=1).mean


def save_encoders(nets: Encoders, split: PackedSplit, folder: Path) -> None:
    """Writes both encoders and the vocabulary as parts of a checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    split.vocabulary.save(folder / "vocabulary.json")
    save_part(nets.text, nets.text.config, folder, "text_encoder", split.vocabulary.hash)
    save_part(nets.image, nets.image.config, folder, "image_encoder", split.vocabulary.hash)
