"""python -m train.evaluate checkpoints/birds --data packed/birds

Scores a checkpoint on the test split: encoders and captioner on real photographs, the generator on its drawings of the
photographs' captions. Prints one table and saves it as scores.json, each score as soon as it is there, with protocol
id, counts, seeds, and the hashes of all that it depends on; beside it pictures of where words looked, of the nearest
training photographs and of second heads; and writes the model card anew.

No score here is comparable with one printed in a paper, whatever the feature network: cut, resize and number of the
pictures differ. Each compares checkpoints with each other under the same protocol id, and drawings with photographs.
"""

import argparse
import sys
from pathlib import Path

import torch

from mirrorgan.console import escape_unencodable, whole_number
from mirrorgan.manifest import read_json
from mirrorgan.plugins import documentation
from train.evaluation.score_curve import keep_curve
from train.evaluation.scores import SCORES, Options, evaluate, packed_folder, pictures_seen
from train.metrics.networks import NETWORKS
from train.publishing.card import write_card
from train.publishing.history import picture_sizes
from train.runtime.command_line import fail
from train.runtime.files import check_file
from train.runtime.malloc import disable_trim


def main() -> None:
    escape_unencodable()
    parser = argparse.ArgumentParser(prog="python -m train.evaluate", description=documentation(__name__, 1, 2))
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument(
        "--data",
        type=Path,
        help="what train.pack wrote: a folder, or its name in packed/; what the checkpoint was trained on if not given",
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"some of: {', '.join(SCORES)}")
    parser.add_argument("--count", type=whole_number(1), help="test pictures at most; all if not given")
    parser.add_argument(
        "--captions",
        type=whole_number(1),
        default=1,
        help="drawings a picture, each for another caption (the papers: 10); default 1",
    )
    parser.add_argument(
        "--seeds", type=whole_number(0), nargs="+", default=[0], help="draw all once a seed, and average; default 0"
    )
    parser.add_argument(
        "--size",
        type=whole_number(1),
        metavar="PIXELS",
        help="bring drawings to this size first, to compare them with others of it",
    )
    parser.add_argument("--features", choices=NETWORKS, default=NETWORKS[0], help="what looks at the pictures")
    parser.add_argument("--inception-weights", type=Path, help="weights-inception-2015-12-05-6726825d.pth")
    parser.add_argument("--judge", type=Path, help="a run of train.captioner that was trained apart")
    parser.add_argument("--judge-encoders", type=Path, help="a run of train.damsm that was trained apart")
    parser.add_argument(
        "--boxes",
        type=Path,
        metavar="ROOT",
        help="the data set's own folder: where read-back words look in photographs is then held to its boxes",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--curve",
        type=Path,
        metavar="FILE",
        help="a .jsonl of scores over pictures seen, to which this one is added; its plot is drawn beside it",
    )
    parser.add_argument("--out", type=Path, help="where to save the table (scores.json in the checkpoint)")
    given = parser.parse_args()
    device = given.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    disable_trim()
    out = given.out or given.checkpoint / "scores.json"
    try:
        if device == "cuda" and not torch.cuda.is_available():
            raise ValueError("--device cuda, but this machine has none that torch can use")
        for option, path in (("--out", given.out), ("--curve", given.curve)):
            if path is not None:
                check_file(path, option)
        if given.size is not None and given.out is None:
            raise ValueError("--size needs --out FILE: scores.json holds the scores of drawings as they are")
        options = Options(
            data=packed_folder(given.checkpoint, given.data),
            count=given.count, captions=given.captions, seeds=tuple(given.seeds), features=given.features,
            inception_weights=given.inception_weights, judge=given.judge, judge_encoders=given.judge_encoders,
            boxes=given.boxes, device=device, size=given.size,
        )  # fmt: skip
        table = evaluate(given.checkpoint, options, given.only, out)
    except (ValueError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(f"stopped; the scores that were done are in {out}")
    print(table)
    for name, reason in table.left_out.items():
        print(f"left out: {name}: {reason}")
    if given.curve is not None:
        made = read_json(given.checkpoint / "generator.json")
        size = given.size or picture_sizes(made)[-1]
        print(f"curve: {keep_curve(given.curve, pictures_seen(given.checkpoint), size, table.rows)}")
    if given.out is None:
        print(f"card: {write_card(given.checkpoint)}")


if __name__ == "__main__":
    main()
