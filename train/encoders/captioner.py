"""The training of STREAM on features of a frozen trunk: options, presets, its step, and scores on held-out classes."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mirrorgan.captioner import Captioner, CaptionerConfig, Sentence
from mirrorgan.checkpoint import save_part
from mirrorgan.losses import redescription_loss
from train.data.features import CachedFeatures
from train.data.packed import PackedSplit
from train.data.sampling import pick_captions
from train.encoders.pretraining import CaptionedConfig, PretrainData, Pretraining, read_data
from train.runtime.device import autocast
from train.runtime.distributed import World
from train.runtime.loop import run
from train.runtime.state import Stopper, batch_rows, step_numbers


@dataclass(frozen=True, kw_only=True)
class CaptionerTraining(CaptionedConfig):
    """Pretrains STREAM, the captioner."""

    name: str = "birds-captioner"
    steps: int = 1500
    batch: int = 128
    image_size: int = 128
    longest: int = 20
    ends: bool = True
    """Learn where a sentence ends; the released code does not."""
    dropout: float = 0.3
    """On word embeddings and LSTM outputs; none in the released code."""
    attention_dim: int = 0
    """Width of the attention by which every word looks at regions of the picture; 0: none, as in the paper."""
    clip: float = 5.0
    """Largest norm of the gradient."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, not {self.dropout}")
        if self.attention_dim < 0:
            raise ValueError(f"attention_dim must be 0 (no attention) or more, not {self.attention_dim}")
        if not 0 < self.clip < math.inf:
            raise ValueError(f"clip must be positive, not {self.clip}")


def judge(preset: CaptionerTraining, name: str) -> CaptionerTraining:
    """The same training of a second captioner, on another trunk and from another seed, so that scores need not be
    judged by the one that the generator learnt to please."""
    return replace(preset, name=name, backbone="efficientnet_lite2", image_size=160, seed=1)


def regions(preset: CaptionerTraining, name: str) -> CaptionerTraining:
    """The same training of a captioner whose every word looks at regions of the picture, and so has a map."""
    return replace(preset, name=name, attention_dim=64)


_BIRDS = CaptionerTraining()
_COCO = CaptionerTraining(
    data=Path("packed/coco"), name="coco-captioner", steps=20_000, held_out=1000, validate_every=1000
)
_SHAPES = CaptionerTraining(data=Path("packed/shapes"), name="shapes-captioner", steps=200, validate_every=100)
_FOLDER = CaptionerTraining(data=Path("packed/folder"), name="folder-captioner", validate_every=100)
_PAPER = CaptionerTraining(  # the paper does not say how long; forks train 50 epochs. No random cuts: see train.damsm
    name="birds-paper-captioner",
    steps=3450,  # 50 epochs of 69 batches
    backbone="resnet152",
    image_size=224,
    lr=1e-3,
    schedule="constant",
    held_out=0,
    ends=False,
    dropout=0.0,
)

PRESETS = {
    "birds": _BIRDS,
    "birds-judge": judge(_BIRDS, "birds-judge"),
    "birds-regions": regions(_BIRDS, "birds-regions"),
    "birds-paper": _PAPER,
    "coco": _COCO,
    "coco-judge": judge(_COCO, "coco-judge"),
    "coco-regions": regions(_COCO, "coco-regions"),
    "coco-paper": replace(_PAPER, data=_COCO.data, name="coco-paper-captioner", steps=32_300),  # 50 epochs of 646
    "shapes": _SHAPES,
    "shapes-judge": judge(_SHAPES, "shapes-judge"),
    "shapes-regions": regions(_SHAPES, "shapes-regions"),
    "folder": _FOLDER,
    "folder-judge": judge(_FOLDER, "folder-judge"),
    "folder-regions": regions(_FOLDER, "folder-regions"),
}


def build(config: CaptionerTraining, data: PretrainData) -> Captioner:
    """The captioner with its random start, on the run's device."""
    torch.manual_seed(config.seed)
    shape = CaptionerConfig(
        vocabulary_size=len(data.split.vocabulary),
        backbone=config.backbone,
        image_size=config.image_size,
        ends=config.ends,
        dropout=config.dropout,
        attention_dim=config.attention_dim,
    )
    return Captioner(shape, data.backbone).to(config.torch_device)


def train(config: CaptionerTraining) -> Path:
    """Trains, or goes on with, the run `config.name`; returns the folder with the best captioner so far.

    Raises:
        see `train.runtime.loop.run`.
    """
    return run(CaptionerPretraining, config)


class CaptionerPretraining(Pretraining[CaptionerTraining]):
    """STREAM on cached features and captions."""

    network: Captioner

    def __init__(self, config: CaptionerTraining, world: World, stopper: Stopper) -> None:
        super().__init__(config, world, stopper, read_data(config, stopper, regional=config.attention_dim > 0))

    def build(self, state: dict[str, Any] | None) -> None:
        self.network = build(self.config, self.data)
        self.optimizer = torch.optim.Adam(self.network.parameters(), self.config.lr)

    def learn(self, number: int) -> dict[str, Tensor]:
        return train_step(self.network, self.optimizer, self.config, self.data, number)

    def validate(self) -> tuple[str, float]:
        return "held-out CIDEr", validate(self.network, self.data.split, self.data.cached[0], self.data.val_rows)

    def save(self, folder: Path) -> None:
        vocabulary = self.data.split.vocabulary
        vocabulary.save(folder / "vocabulary.json")
        save_part(self.network, self.network.config, folder, "captioner", vocabulary.hash)


def train_step(
    captioner: Captioner, optimizer: torch.optim.Optimizer, config: CaptionerTraining, data: PretrainData, step: int
) -> dict[str, Tensor]:
    """One update on the pictures (as cached features) and captions of a step; returns the loss, detached.

    Nothing here waits for the accelerator: which words count is known on the CPU.
    """
    generator = step_numbers(config.seed, step)
    rows = data.train_rows[batch_rows(len(data.train_rows), config.batch, config.seed, step)]
    tokens, mask, _ = pick_captions(data.split, rows, config.longest, generator)
    targets, counted = captioner.targets(tokens, mask)
    flipped = torch.rand(len(rows), generator=generator) < 0.5
    regional, pooled = data.gather(rows, flipped, config.torch_device, regional=config.attention_dim > 0)
    with autocast(config.torch_device, "auto"):
        logits = captioner.logits(
            captioner.project(pooled, regional), tokens.to(config.torch_device, non_blocking=True)
        )
    loss = redescription_loss(logits, targets.to(config.torch_device, non_blocking=True), counted)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(captioner.parameters(), config.clip)
    optimizer.step()
    return {"cross-entropy": loss.detach()}


@torch.inference_mode()
def describe_all(captioner: Captioner, split: PackedSplit, cached: CachedFeatures, rows: Tensor) -> list[list[str]]:
    """Reads a sentence, greedily, from each of some pictures."""
    captioner.eval()
    place = captioner.linear.weight.device
    sentences: list[Sentence] = []
    for some in rows.split(1024):
        pooled = torch.from_numpy(cached.pooled[some.numpy()]).to(place).float()
        regional = None
        if captioner.attention is not None:
            assert cached.regional is not None
            regional = torch.from_numpy(cached.regional[some.numpy()]).to(place).float()
        sentences += captioner.greedy(captioner.project(pooled, regional))
    captioner.train()
    return [split.vocabulary.decode(sentence.tokens) for sentence in sentences]


def references(split: PackedSplit, rows: Tensor) -> list[list[list[str]]]:
    """All captions of some pictures, as words."""
    counts = split.counts.tolist()
    return [
        [split.vocabulary.decode(split.caption(row, which)) for which in range(counts[row])] for row in rows.tolist()
    ]


def validate(captioner: Captioner, split: PackedSplit, cached: CachedFeatures, rows: Tensor) -> float:
    """CIDEr of greedy sentences against all captions of the held-out pictures."""
    from train.metrics.redescription import cider

    return cider(describe_all(captioner, split, cached, rows), references(split, rows))
