"""python -m train.compare runs/a runs/b ours=runs/c --out runs/comparison

Holds several generators to the same scores, and shows them beside each other: runs of train.gan, or checkpoints. Writes
comparison.md (a table of all scores, what is the same and what differs, the commands), curves.png (numbers of the logs
and scores, over pictures seen) and sheet.png (the same captions and seeds). What was measured before is not measured
again; to measure all anew, remove the folder.

Two numbers stand in one row only if protocol, count and the sha256 of all that judged agree. NAME=FOLDER gives a name;
folders of one name are stages of one training: the one that saw most is compared, all are points of its curve.

The question of MirrorGAN's paper, whether reading back and sentence attention help, asked fairly: five generators at 64
pixels, the largest that two cores can train, of the same data, encoders and number of pictures (12,800; higher --steps
go on from there), in batches of 16, each of 1.4 to 1.7 million parameters:

    python -m train.gan birds-paper --name 64-birds-paper --encoders runs/birds-damsm/best \\
        --captioner runs/birds-captioner/best --generator.first-size 16 --disc-input-sizes 16 32 64 --batch 16 \\
        --steps 800
    python -m train.gan attngan-paper --name 64-attngan-paper --encoders runs/birds-damsm/best \\
        --captioner runs/birds-captioner/best --generator.first-size 16 --disc-input-sizes 16 32 64 --batch 16 \\
        --steps 800
    python -m train.gan birds --name 64-without-stream --generator.first-size 16 --generator.channels 32 32 32 \\
        --disc-input-sizes 0 64 64 --pixel-head-sizes 0 0 64 --batch 16 --steps 800 --losses.frechet 0 \\
        --losses.redescription 0 --losses.word-maps 0
    python -m train.gan birds --name 64-without-sentence --generator.first-size 16 --generator.channels 32 32 32 \\
        --disc-input-sizes 0 64 64 --pixel-head-sizes 0 0 64 --batch 16 --steps 800 --losses.frechet 0 \\
        --generator.no-sentence-attention
    python -m train.gan birds --name 64-ours --generator.first-size 16 --generator.channels 32 32 32 \\
        --disc-input-sizes 0 64 64 --pixel-head-sizes 0 0 64 --batch 16 --steps 800 --losses.frechet 0
    python -m train.compare runs/64-birds-paper runs/64-attngan-paper runs/64-without-stream \\
        runs/64-without-sentence runs/64-ours --captioner runs/birds-regions --judge runs/birds-judge \\
        --judge-encoders runs/birds-judge-damsm --out runs/comparison-64

Ours has since learnt by the Frechet loss, too (train/adversarial/frechet_loss.py), at other rates; of as many pictures:

    python -m train.gan birds-64-frechet --name 64-frechet --steps 800
    python -m train.compare runs/64-birds-paper runs/64-ours runs/64-frechet --captioner runs/birds-regions \\
        --judge runs/birds-judge --judge-encoders runs/birds-judge-damsm --out runs/comparison-frechet-64

The other systems at 64 pixels, of as many pictures each, with their published losses and rates; weights are averaged
for all. SSA-GAN and DF-GAN have 16 channels here (a quarter and half of the released ones): at 4x4 as many as AttnGAN's
stages. GAN-INT-CLS never drew more than 64 pixels and is as published. Parameters of the generators, and pictures per
second of CPU time (one thread, a few steps, of the published batch): AttnGAN 1.65 million, 7.1; SSA-GAN 3.14 million,
7.8; DF-GAN 1.75 million, 26.5; StackGAN++ 3.39 million, 13.2; GAN-INT-CLS 18.8 million, 16.0:

    python -m train.gan ssagan-paper --name 64-ssagan-paper --encoders runs/birds-damsm/best \\
        --captioner runs/birds-captioner/best --generator.first-size 64 --disc-input-sizes 64 \\
        --generator.channels 16 --discriminator.channels 16 --optimizer.ema 0.999 --batch 16 --steps 800
    python -m train.gan dfgan-paper --name 64-dfgan-paper --encoders runs/birds-damsm/best \\
        --captioner runs/birds-captioner/best --generator.first-size 64 --disc-input-sizes 64 \\
        --generator.channels 16 --discriminator.channels 16 --optimizer.ema 0.999 --batch 16 --steps 800
    python -m train.gan stackgan2-paper --name 64-stackgan2-paper --encoders runs/birds-damsm/best \\
        --captioner runs/birds-captioner/best --generator.first-size 16 --disc-input-sizes 16 32 64 --batch 16 \\
        --steps 800
    python -m train.gan gan-int-cls-paper --name 64-gan-int-cls-paper --encoders runs/birds-damsm/best \\
        --captioner runs/birds-captioner/best --optimizer.lr-halve-every 0 --optimizer.ema 0.999 --batch 16 \\
        --steps 800
    python -m train.compare runs/64-birds-paper runs/64-attngan-paper runs/64-ssagan-paper runs/64-dfgan-paper \\
        runs/64-stackgan2-paper runs/64-gan-int-cls-paper --captioner runs/birds-regions --judge runs/birds-judge \\
        --judge-encoders runs/birds-judge-damsm --out runs/comparison-systems-64
"""

import argparse
import sys
from pathlib import Path

import torch

from mirrorgan.console import escape_unencodable, whole_number
from mirrorgan.plugins import documentation
from train.evaluation.comparison import compare, data_of, named
from train.evaluation.scores import SCORES, Options
from train.runtime.command_line import fail
from train.runtime.malloc import disable_trim


def main() -> None:
    escape_unencodable()
    parser = argparse.ArgumentParser(
        prog="python -m train.compare",
        description=documentation(__name__, 1),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", type=named, nargs="+", metavar="[NAME=]FOLDER")
    parser.add_argument("--out", type=Path, default=Path("runs/comparison"))
    parser.add_argument("--data", type=Path, help="what train.pack wrote; what the first was trained on if not given")
    parser.add_argument("--encoders", type=Path, help="run of train.damsm for all; each run's own if not given")
    parser.add_argument("--captioner", type=Path, help="run of train.captioner for all; each run's own if not given")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"some of: {', '.join(SCORES)}")
    parser.add_argument("--count", type=whole_number(1), help="test pictures at most; all if not given")
    parser.add_argument("--seeds", type=whole_number(0), nargs="+", default=[0], help="as in train.evaluate")
    parser.add_argument("--judge", type=Path, help="as in train.evaluate")
    parser.add_argument("--judge-encoders", type=Path, help="as in train.evaluate")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    given = parser.parse_args()
    device = given.device if given.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    disable_trim()
    try:
        if device == "cuda" and not torch.cuda.is_available():
            raise ValueError("--device cuda, but this machine has none that torch can use")
        options = Options(
            data=data_of(given.model[0][1], given.data), count=given.count, seeds=tuple(given.seeds),
            judge=given.judge, judge_encoders=given.judge_encoders, device=device,
        )  # fmt: skip
        print(compare(given.model, given.out, options, given.encoders, given.captioner, given.only))
    except (ValueError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit("stopped; what was measured is kept, and the same command goes on from there")


if __name__ == "__main__":
    main()
