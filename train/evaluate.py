"""python -m train.evaluate checkpoints/birds --data packed/birds

Scores a checkpoint on the test split: encoders and captioner on real photographs, the generator on one drawing a
photograph. Prints one table and saves it as scores.json, with the protocol of every number.

No score here is comparable with one printed in a paper: the feature network is EfficientNet-Lite2, which neither the
generator nor its opponents, encoders or captioner have met.
"""

import argparse
import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mirrorgan.backbones import Backbone, fold_batch_norms, load_imagenet, resize
from mirrorgan.checkpoint import read_json
from mirrorgan.images import from_uint8, to_channels_last, to_uint8
from mirrorgan.pipeline import MirrorGAN
from mirrorgan.vocabulary import pad
from train.captioner import references
from train.card import write_card
from train.command import fail
from train.memory import keep_memory
from train.metrics.colour import ColourProbes, colour_agreement, fit_colour_probes
from train.metrics.diversity import diversity
from train.metrics.frechet import FeatureStatistics, frechet_distance
from train.metrics.redescription import bleu, cider, rouge_l
from train.metrics.retrieval import r_precision
from train.pack import PackedSplit, load_packed
from train.sheets import seeded_noise

JUDGE = "efficientnet_lite2"
CHUNK = 32


@dataclass(frozen=True)
class Result:
    """One number of the table."""

    name: str
    on: str
    """What was scored."""
    value: float
    protocol: str
    """How, in one line."""


def photographs(split: PackedSplit, size: int, rows: Tensor) -> np.ndarray:
    """(n, size, size, 3) uint8: the middle square of some photographs."""
    pixels = split.pictures(size)
    return np.stack([pixels[row] for row in rows.tolist()])


@torch.inference_mode()
def judge_features(pictures: np.ndarray, judge: Backbone, title: str) -> Tensor:
    """Pooled features of the judge, (n, P) float32; pictures (n, S, S, 3) uint8 are resized to its own size."""
    found = []
    for start in tqdm(range(0, len(pictures), CHUNK), desc=f"features of {title}", unit="batch"):
        images = resize(from_uint8(torch.from_numpy(pictures[start : start + CHUNK])), judge.image_size)
        with torch.autocast("cpu", torch.bfloat16):
            found.append(judge(images).pooled.float())
    return torch.cat(found)


@torch.inference_mode()
def draw_all(model: MirrorGAN, split: PackedSplit, rows: Tensor, which: int, seed: int) -> np.ndarray:
    """The last stage of a drawing for one caption of some pictures, (n, S, S, 3) uint8; picture i has seed + i."""
    drawn = []
    chunks = rows.split(CHUNK)
    for number, chunk in enumerate(tqdm(chunks, desc="draw", unit="batch")):
        tokens, mask = pad([split.caption(row, which)[: model.info.max_words] for row in chunk.tolist()])
        words, sentence = model.text_encoder(tokens, mask)
        noise = seeded_noise([seed + number * CHUNK + i for i in range(len(chunk))], model.generator.noise_dim)
        drawn.append(to_uint8(model.generator(noise, sentence, words, mask).images[-1]).numpy())
    return np.concatenate(drawn)


@torch.inference_mode()
def score_encoders(model: MirrorGAN, split: PackedSplit, pictures: np.ndarray, rows: Tensor, on: str) -> Result:
    """1-of-100 retrieval of the true caption by the checkpoint's own DAMSM encoders."""
    assert model.image_encoder is not None
    codes, sentences = [], []
    for start in tqdm(range(0, len(rows), CHUNK), desc=f"retrieval on {on}", unit="batch"):
        images = from_uint8(torch.from_numpy(pictures[start : start + CHUNK]))
        codes.append(model.image_encoder(images)[1])
        tokens, mask = pad([split.caption(row, 0) for row in rows[start : start + CHUNK].tolist()])
        sentences.append(model.text_encoder(tokens, mask)[1])
    score = r_precision(torch.cat(codes), torch.cat(sentences), split.groups[rows].long())
    protocol = (
        f"DAMSM code, first caption + 99 of other classes, tie = miss, seed 0, n = {score.count}, +- {score.std:.3f}"
    )
    return Result("retrieval 1 of 100", on, score.mean, protocol)


@torch.inference_mode()
def score_captioner(
    model: MirrorGAN, split: PackedSplit, pictures: np.ndarray, rows: Tensor, on: str
) -> tuple[list[Result], list[list[str]]]:
    """BLEU, CIDEr-D and ROUGE-L of greedy sentences, and of the same sentences given to other pictures."""
    said: list[list[str]] = []
    for start in tqdm(range(0, len(pictures), CHUNK), desc=f"describe {on}", unit="batch"):
        seen = model.captioner.see(from_uint8(torch.from_numpy(pictures[start : start + CHUNK])))
        said += [split.vocabulary.decode(sentence.tokens) for sentence in model.captioner.greedy(seen)]
    known = references(split, rows)
    order = torch.randperm(len(said), generator=torch.Generator().manual_seed(0)).tolist()
    results = []
    for label, sentences in ((on, said), (f"{on}, sentences shuffled", [said[place] for place in order])):
        protocol = f"greedy, all captions as references, n = {len(said)}"
        results += [Result(name, label, value, protocol) for name, value in bleu(sentences, known).items()]
        results.append(Result("CIDEr-D", label, cider(sentences, known, "CIDEr-D"), protocol))
        results.append(Result("ROUGE-L", label, rouge_l(sentences, known), protocol))
    return results, said


def sentences_of(split: PackedSplit, rows: Tensor) -> list[list[str]]:
    return [split.vocabulary.decode(split.caption(row, 0)) for row in rows.tolist()]


def evaluate(model: MirrorGAN, data: Path, count: int | None) -> list[Result]:
    """Every score of the table.

    Args:
        data: what train.pack wrote.
        count: pictures of the test split at most; all if None.
    """
    train, test = load_packed(data, "train"), load_packed(data, "test")
    if test.vocabulary.hash != model.vocabulary.hash:
        raise ValueError(f"{data}: packed with another dictionary than the checkpoint's; pack it anew or train anew")
    generator = torch.Generator().manual_seed(0)
    rows = torch.randperm(len(test), generator=generator)[:count].sort().values
    train_rows = torch.randperm(len(train), generator=generator)[: len(rows)].sort().values
    size = model.generator.sizes[-1]
    judge = to_channels_last(fold_batch_norms(load_imagenet(JUDGE)), "cpu")

    # The encoders and the captioner on real photographs.
    assert model.image_encoder is not None
    full = photographs(test, model.image_encoder.config.image_size, rows)
    results = [score_encoders(model, test, full, rows, "test photographs")]
    small = photographs(test, size, rows)
    results += score_captioner(model, test, small, rows, "test photographs")[0]

    # The generator.
    drawn = draw_all(model, test, rows, which=0, seed=0)
    results.append(score_encoders(model, test, drawn, rows, "drawings"))
    results += score_captioner(model, test, drawn, rows, "drawings")[0]
    real = judge_features(small, judge, "test photographs")
    floor = judge_features(photographs(train, size, train_rows), judge, "training photographs")
    fake = judge_features(drawn, judge, "drawings")
    protocol = f"{JUDGE}, pooled, pictures at {size} px, n = {len(rows)} and {len(rows)}"
    for name, features in (("drawings", fake), ("training photographs", floor)):
        distance = frechet_distance(FeatureStatistics.of(features), FeatureStatistics.of(real))
        results.append(Result(f"Frechet distance ({JUDGE})", f"{name} to test photographs", distance, protocol))
    results += score_colours(train, test, train_rows, rows, floor, real, fake)
    results.append(score_diversity(model, test, judge, rows))
    return results


def score_colours(
    train: PackedSplit, test: PackedSplit, train_rows: Tensor, rows: Tensor, floor: Tensor, real: Tensor, fake: Tensor
) -> list[Result]:
    """How well the colours that a caption names can be told from the picture: mean AUC of nine probes."""
    probes: ColourProbes = fit_colour_probes(floor, sentences_of(train, train_rows))
    captions = sentences_of(test, rows)
    protocol = (
        f"{JUDGE}, logistic probes fitted on {len(train_rows)} training photographs, mean AUC of {len(probes.colours)}"
    )
    results = []
    for name, features in (("test photographs", real), ("drawings", fake)):
        agreement = colour_agreement(probes, features, captions)
        results.append(Result("colour agreement", name, agreement.mean, protocol))
    return results


def score_diversity(model: MirrorGAN, test: PackedSplit, judge: Backbone, rows: Tensor) -> Result:
    """Feature distance of eight seeds of a caption, as a share of that of different captions' drawings."""
    chosen = rows[:: max(1, len(rows) // 32)][:32]
    drawn = [draw_all(model, test, chosen, 0, 10_000 * (1 + seed)) for seed in range(8)]
    features = judge_features(np.concatenate(drawn), judge, "eight seeds")
    ratio = diversity(features, torch.arange(len(chosen)).repeat(8)).ratio
    return Result(
        "diversity of seeds", "drawings", ratio, f"{JUDGE}, {len(chosen)} captions x 8 seeds, within / between"
    )


def as_table(results: list[Result]) -> str:
    width = max(len(result.name) for result in results), max(len(result.on) for result in results)
    lines = [f"{'score':{width[0]}}  {'on':{width[1]}}  {'value':>8}  protocol"]
    lines += [f"{r.name:{width[0]}}  {r.on:{width[1]}}  {r.value:8.4f}  {r.protocol}" for r in results]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m train.evaluate", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, default=Path("packed/birds"), help="what train.pack wrote")
    parser.add_argument("--count", type=int, default=None, help="test pictures at most; all if not given")
    parser.add_argument(
        "--out", type=Path, default=None, help="where to save the table (scores.json in the checkpoint)"
    )
    given = parser.parse_args()
    keep_memory()
    try:
        model = MirrorGAN.load(given.checkpoint)
        results = evaluate(model, given.data, given.count)
    except (ValueError, FileNotFoundError) as error:
        fail(error)
    print(as_table(results))
    content = {
        "checkpoint": {
            "name": model.info.name,
            "files": read_json(given.checkpoint / "checkpoint.json")["files"],
        },
        "torch": torch.__version__,
        "machine": platform.machine(),
        "scores": [asdict(result) for result in results],
    }
    (given.out or given.checkpoint / "scores.json").write_text(json.dumps(content, indent=2) + "\n")
    if given.out is None:
        write_card(given.checkpoint)


if __name__ == "__main__":
    main()
