"""python -m train.damsm birds --data packed/birds

Trains STEM (the text encoder) and the two linear maps of the image encoder so that captions and pictures find each
other: DAMSM of AttnGAN, which MirrorGAN uses to pretrain its text encoder. The backbone is frozen, so its features
are computed once. Epochs are chosen by retrieval on classes held out of the training split.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mirrorgan.backbones import load_imagenet
from mirrorgan.checkpoint import save_part
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.losses import damsm_loss
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.vocabulary import pad
from train.batches import hold_out, pick_captions
from train.command import as_json, fail, parse
from train.config import RunConfig
from train.features import CachedFeatures, cached_features
from train.journal import Journal
from train.memory import keep_memory
from train.metrics.retrieval import r_precision
from train.pack import PackedSplit, load_packed
from train.state import Stopper, batch_rows, load_state, save_state, seed_step
from train.trunks import keep_trunk


@dataclass(frozen=True, kw_only=True)
class DamsmConfig(RunConfig):
    """Pretrains the text encoder and the image encoder."""

    data: Path = Path("packed/birds")
    name: str = "birds-damsm"
    steps: int = 6000
    backbone: str = "efficientnet_lite1"
    """Trunk of the image encoder, with ImageNet weights; see mirrorgan/backbones.py."""
    weights: Path | None = None
    """File of the trunk's weights; none: the installed package that carries them."""
    image_size: int = 256
    """Pixels of the pictures that the trunk sees."""
    text_dim: int = 256
    """Channels of words and sentence, D."""
    pool: int = 2
    """Regions are means over pool x pool places; 1: the papers' (four times the work of 2)."""
    longest: int = 18
    """Words of a caption; a longer one loses some at random."""
    learning_rate: float = 2e-3
    """Of Adam; falls to zero along half a cosine."""
    clip: float = 0.25
    """Largest norm of the text encoder's gradient."""
    gamma1: float = 4.0
    """How sharply a word attends to regions. 4 in the released bird configuration, 5 in the paper."""
    gamma2: float = 5.0
    """How much the best word counts."""
    gamma3: float = 10.0
    """How sharply a caption chooses its picture."""
    held_out: int = 10
    """Classes of the training split that only choose the epoch."""
    validate_every: int = 400
    """Steps between two looks at the held-out classes."""


PRESETS = {
    "birds": DamsmConfig(),
}


class Encoders(nn.Module):
    """The two sides, trained together."""

    def __init__(self, text: TextEncoder, image: ImageEncoder) -> None:
        super().__init__()
        self.text = text
        self.image = image


def train(config: DamsmConfig) -> Path:
    """Trains, or goes on with, the run `config.name`; returns the folder with the best encoders so far."""
    keep_memory()
    split = load_packed(config.data, "train")
    torch.manual_seed(config.seed)
    backbone = load_imagenet(config.backbone, config.weights)
    keep_trunk(backbone, config.backbone, config.weights, config.folder / "best")
    cached = [
        cached_features(split, backbone, config.backbone, config.image_size, flipped, config.place)
        for flipped in (False, True)
    ]
    nets = Encoders(
        TextEncoder(TextEncoderConfig(vocabulary_size=len(split.vocabulary), text_dim=config.text_dim)),
        ImageEncoder(
            ImageEncoderConfig(
                backbone=config.backbone,
                image_size=config.image_size,
                text_dim=config.text_dim,
                pool=config.pool,
            ),
            backbone,
        ),
    ).to(config.place)
    optimizer = torch.optim.Adam(nets.parameters(), config.learning_rate, betas=(0.5, 0.999))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    kept, held = hold_out(split, config.held_out)

    step, best = 0, -1.0
    if (state := load_state(config.folder)) is not None:
        nets.load_state_dict(state["nets"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        step, best = state["step"], state["best"]
    journal, stopper = Journal(config.folder, as_json(config), config.steps, step), Stopper(config.minutes)

    def save() -> None:
        content: dict[str, Any] = {"nets": nets.state_dict(), "optimizer": optimizer.state_dict()}
        save_state(config.folder, content | {"schedule": schedule.state_dict(), "step": step, "best": best})

    while step < config.steps and not stopper.due(reserve=5):
        generator = seed_step(config.seed, step)
        rows = kept[batch_rows(len(kept), config.batch, config.seed, step)]
        tokens, mask, _ = pick_captions(split, rows, config.longest, generator)
        losses = train_step(nets, optimizer, config, split, cached, rows, tokens, mask, generator)
        schedule.step()
        step += 1
        journal.advance()
        if step % config.report_every == 0:
            journal.report(step, losses)
        if step % config.validate_every == 0 or step == config.steps:
            score = validate(nets, split, cached[0], held)
            journal.report(step, {"held-out retrieval": score})
            if score > best:
                best = score
                save_encoders(nets, split, config.folder / "best")
            save()
            journal.say(f"step {step}: held-out 1-of-100 retrieval {score:.3f} (best {best:.3f})")
    save()
    if not (config.folder / "best" / "text_encoder.json").exists():
        save_encoders(nets, split, config.folder / "best")
    stopper.close()
    journal.close()
    return config.folder / "best"


def train_step(
    nets: Encoders,
    optimizer: torch.optim.Optimizer,
    config: DamsmConfig,
    split: PackedSplit,
    cached: list[CachedFeatures],
    rows: Tensor,
    tokens: Tensor,
    mask: Tensor,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """One update of both encoders on a batch of pairs; returns the losses, detached."""
    flipped = torch.rand(len(rows), generator=generator) < 0.5
    regional, pooled = gather(cached, rows, flipped, config.place)
    words, sentence = nets.text(tokens.to(config.place), mask.to(config.place))
    regions, image_code = nets.image.project(regional, pooled)
    groups = split.groups[rows].to(config.place)
    with torch.autocast(torch.device(config.place).type, torch.bfloat16):
        losses = damsm_loss(
            words, sentence, regions, image_code, mask.to(config.place), groups,
            config.gamma1, config.gamma2, config.gamma3,
        )  # fmt: skip
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()
    nn.utils.clip_grad_norm_(nets.text.parameters(), config.clip)
    optimizer.step()
    return {name: loss.detach() for name, loss in losses.items()}


def gather(
    cached: list[CachedFeatures], rows: Tensor, flipped: Tensor, place: str, regional: bool = True
) -> tuple[Tensor, Tensor]:
    """Cached features of some pictures, each mirrored or not: (B, C, h, w) and (B, P), float32.

    The first is empty where `regional` is False.
    """
    picked = [(cached[int(flip)], row) for row, flip in zip(rows.tolist(), flipped.tolist(), strict=True)]
    levels = torch.empty(0)
    if regional:
        levels = torch.from_numpy(np.stack([features.regional[row] for features, row in picked]))
    pooled = torch.from_numpy(np.stack([features.pooled[row] for features, row in picked]))
    return levels.to(place).float(), pooled.to(place).float()


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


def validate(nets: Encoders, split: PackedSplit, cached: CachedFeatures, rows: Tensor) -> float:
    """1-of-100 retrieval of the true caption by the global code; a tie counts as a miss."""
    images, sentences = codes(nets, split, cached, rows)
    return r_precision(images, sentences, split.groups[rows].long()).mean


def save_encoders(nets: Encoders, split: PackedSplit, folder: Path) -> None:
    """Writes both encoders and the vocabulary as parts of a checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    split.vocabulary.save(folder / "vocabulary.json")
    save_part(nets.text, nets.text.config, folder, "text_encoder", split.vocabulary.hash)
    save_part(nets.image, nets.image.config, folder, "image_encoder", split.vocabulary.hash)


def main() -> None:
    config = parse(PRESETS, prog="python -m train.damsm")
    try:
        print(f"encoders: {train(config)}")
    except (ValueError, FileNotFoundError, FloatingPointError) as error:
        fail(error)


if __name__ == "__main__":
    main()
