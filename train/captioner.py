"""python -m train.captioner birds --data packed/birds

Trains STREAM: an LSTM that reads a sentence from the pooled feature of a frozen backbone, so features are computed
once. Epochs are chosen by CIDEr on classes held out of the training split.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mirrorgan.backbones import load_imagenet
from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.checkpoint import save_part
from mirrorgan.losses import redescription_loss
from train.batches import hold_out, pick_captions
from train.command import as_json, fail, parse
from train.config import RunConfig
from train.damsm import gather
from train.features import CachedFeatures, cached_features
from train.journal import Journal
from train.memory import keep_memory
from train.pack import PackedSplit, load_packed
from train.state import Stopper, batch_rows, load_state, save_state, seed_step
from train.trunks import keep_trunk


@dataclass(frozen=True, kw_only=True)
class CaptionerTraining(RunConfig):
    """Pretrains STREAM, the captioner."""

    data: Path = Path("packed/birds")
    name: str = "birds-captioner"
    steps: int = 2500
    batch: int = 128
    backbone: str = "efficientnet_lite1"
    """Trunk with ImageNet weights; see mirrorgan/backbones.py. The paper's is resnet152."""
    weights: Path | None = None
    """File of the trunk's weights; none: the installed package that carries them."""
    image_size: int = 128
    """Pixels of the pictures that the trunk sees. 224 in the paper."""
    ends: bool = True
    """Learn where a sentence ends; the released code does not."""
    dropout: float = 0.3
    """On word embeddings and LSTM outputs; none in the released code."""
    longest: int = 20
    """Words of a caption; a longer one loses some at random."""
    learning_rate: float = 2e-3
    """Of Adam; falls to zero along half a cosine."""
    held_out: int = 10
    """Classes of the training split that only choose the epoch."""
    validate_every: int = 250
    """Steps between two looks at the held-out classes."""


PRESETS = {
    "birds": CaptionerTraining(),
}


def train(config: CaptionerTraining) -> Path:
    """Trains, or goes on with, the run `config.name`; returns the folder with the best captioner so far."""
    keep_memory()
    split = load_packed(config.data, "train")
    torch.manual_seed(config.seed)
    backbone = load_imagenet(config.backbone, config.weights)
    keep_trunk(backbone, config.backbone, config.weights, config.folder / "best")
    cached = [
        cached_features(split, backbone, config.backbone, config.image_size, flipped, config.place)
        for flipped in (False, True)
    ]
    captioner = Captioner(
        CaptionerConfig(
            vocabulary_size=len(split.vocabulary),
            backbone=config.backbone,
            image_size=config.image_size,
            ends=config.ends,
            dropout=config.dropout,
        ),
        backbone,
    ).to(config.place)
    optimizer = torch.optim.Adam(captioner.parameters(), config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    kept, held = hold_out(split, config.held_out)

    step, best = 0, -1.0
    if (state := load_state(config.folder)) is not None:
        captioner.load_state_dict(state["captioner"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        step, best = state["step"], state["best"]
    journal, stopper = Journal(config.folder, as_json(config), config.steps, step), Stopper(config.minutes)

    def save() -> None:
        content = {"captioner": captioner.state_dict(), "optimizer": optimizer.state_dict()}
        save_state(config.folder, content | {"schedule": schedule.state_dict(), "step": step, "best": best})

    def keep() -> None:
        split.vocabulary.save(config.folder / "best" / "vocabulary.json")
        save_part(captioner, captioner.config, config.folder / "best", "captioner", split.vocabulary.hash)

    (config.folder / "best").mkdir(parents=True, exist_ok=True)
    while step < config.steps and not stopper.due(reserve=5):
        generator = seed_step(config.seed, step)
        rows = kept[batch_rows(len(kept), config.batch, config.seed, step)]
        tokens, mask, _ = pick_captions(split, rows, config.longest, generator)
        flipped = torch.rand(len(rows), generator=generator) < 0.5
        _, pooled = gather(cached, rows, flipped, config.place, regional=False)
        loss = train_step(captioner, optimizer, pooled, tokens.to(config.place), mask.to(config.place))
        schedule.step()
        step += 1
        journal.advance()
        if step % config.report_every == 0:
            journal.report(step, {"cross-entropy": loss})
        if step % config.validate_every == 0 or step == config.steps:
            scores = validate(captioner, split, cached[0], held)
            journal.report(step, scores)
            if scores["held-out CIDEr"] > best:
                best = scores["held-out CIDEr"]
                keep()
            save()
            said = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
            journal.say(f"step {step}: {said} (best {best:.3f})")
    save()
    if not (config.folder / "best" / "captioner.json").exists():
        keep()
    stopper.close()
    journal.close()
    return config.folder / "best"


def train_step(
    captioner: Captioner, optimizer: torch.optim.Optimizer, pooled: Tensor, tokens: Tensor, mask: Tensor
) -> Tensor:
    """One update on a batch of pictures (as pooled features) and captions; returns the loss, detached."""
    with torch.autocast(pooled.device.type, torch.bfloat16):
        logits = captioner.logits(captioner.project(pooled), tokens)
    loss = redescription_loss(logits, *captioner.targets(tokens, mask))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(captioner.parameters(), 5.0)
    optimizer.step()
    return loss.detach()


@torch.inference_mode()
def describe_all(captioner: Captioner, split: PackedSplit, cached: CachedFeatures, rows: Tensor) -> list[list[str]]:
    """Reads a sentence, greedily, from each of some pictures."""
    captioner.eval()
    place = captioner.linear.weight.device
    pooled = torch.from_numpy(cached.pooled[rows.numpy()]).to(place).float()
    sentences = captioner.greedy(captioner.project(pooled))
    captioner.train()
    return [split.vocabulary.decode(sentence.tokens) for sentence in sentences]


def references(split: PackedSplit, rows: Tensor) -> list[list[list[str]]]:
    """All captions of some pictures, as words."""
    counts = split.counts.tolist()
    return [
        [split.vocabulary.decode(split.caption(row, which)) for which in range(counts[row])] for row in rows.tolist()
    ]


def validate(captioner: Captioner, split: PackedSplit, cached: CachedFeatures, rows: Tensor) -> dict[str, float]:
    """CIDEr of greedy sentences against all captions of the held-out pictures."""
    from train.metrics.redescription import cider

    said = describe_all(captioner, split, cached, rows)
    return {"held-out CIDEr": float(cider(said, references(split, rows)))}


def main() -> None:
    config = parse(PRESETS, prog="python -m train.captioner")
    try:
        print(f"captioner: {train(config)}")
    except (ValueError, FileNotFoundError, FloatingPointError) as error:
        fail(error)


if __name__ == "__main__":
    main()
