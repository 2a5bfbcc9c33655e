"""python -m train.damsm birds --data packed/birds

Trains STEM (the text encoder) and the two linear maps of the image encoder so that captions and pictures find each
other: DAMSM of AttnGAN, which MirrorGAN uses to pretrain its text encoder. The backbone is frozen, so its features
are computed once. Epochs are chosen by retrieval on classes held out of the training split.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mirrorgan.checkpoint import save_part
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.losses import damsm_loss
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.vocabulary import pad
from train.batches import pick_captions
from train.command import fail, parse
from train.features import CachedFeatures
from train.metrics.retrieval import r_precision
from train.pack import PackedSplit
from train.pretrain import Material, PretrainConfig, pretrain, read_material
from train.state import batch_rows, seed_step


@dataclass(frozen=True, kw_only=True)
class DamsmConfig(PretrainConfig):
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


PRESETS = {
    "birds": DamsmConfig(),
}


class Encoders(nn.Module):
    """The two sides, trained together."""

    def __init__(self, text: TextEncoder, image: ImageEncoder) -> None:
        super().__init__()
        self.text = text
        self.image = image


def build(config: DamsmConfig, material: Material) -> Encoders:
    """Both encoders with their random start, on the run's device."""
    torch.manual_seed(config.seed)
    text = TextEncoder(TextEncoderConfig(vocabulary_size=len(material.split.vocabulary), text_dim=config.text_dim))
    shape = ImageEncoderConfig(
        backbone=config.backbone, image_size=config.image_size, text_dim=config.text_dim, pool=config.pool
    )
    return Encoders(text, ImageEncoder(shape, material.backbone)).to(config.place)


def train(config: DamsmConfig) -> Path:
    """Trains, or goes on with, the run `config.name`; returns the folder with the best encoders so far."""
    material = read_material(config)
    nets = build(config, material)
    optimizer = torch.optim.Adam(nets.parameters(), config.learning_rate, betas=(0.5, 0.999))

    def validated() -> tuple[str, float]:
        return "held-out retrieval", validate(nets, material.split, material.cached[0], material.held)

    return pretrain(
        config,
        nets,
        optimizer,
        learn=lambda step: train_step(nets, optimizer, config, material, step),
        validate=validated,
        keep=lambda folder: save_encoders(nets, material.split, folder),
    )


def train_step(
    nets: Encoders, optimizer: torch.optim.Optimizer, config: DamsmConfig, material: Material, step: int
) -> dict[str, Tensor]:
    """One update of both encoders on the pairs of a step; returns the losses, detached."""
    generator = seed_step(config.seed, step)
    rows = material.kept[batch_rows(len(material.kept), config.batch, config.seed, step)]
    tokens, mask, _ = pick_captions(material.split, rows, config.longest, generator)
    tokens, mask = tokens.to(config.place), mask.to(config.place)
    flipped = torch.rand(len(rows), generator=generator) < 0.5
    words, sentence = nets.text(tokens, mask)
    regions, image_code = nets.image.project(*material.gather(rows, flipped, config.place))
    groups = material.split.groups[rows].to(config.place)
    with torch.autocast(torch.device(config.place).type, torch.bfloat16):
        losses = damsm_loss(
            words, sentence, regions, image_code, mask, groups, config.gamma1, config.gamma2, config.gamma3
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
