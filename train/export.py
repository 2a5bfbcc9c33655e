"""python -m train.export checkpoints/birds --generator runs/birds-128 --encoders runs/birds-damsm \\
       --captioner runs/birds-captioner --summary "8,855 bird photographs, 100,000 pictures seen, 32 to 128 pixels"

Gathers what the three trainings wrote into one checkpoint folder that is enough by itself: weights in float16,
vocabulary, frozen trunks, the runs' configuration, the generator's log, previews, a model card, and a manifest with the
sha256 of every file. It is made in a folder beside and takes the place of an older checkpoint only once it is whole.
With --reader it leaves out what reads and judges drawings, and borrows that from another checkpoint.
With --training-state it holds what a training needs to go on from it, on any machine.
"""

import argparse
from pathlib import Path

from mirrorgan.console import escape_unencodable
from mirrorgan.manifest import read_json
from mirrorgan.plugins import documentation
from train.publishing.export import Runs, export, find_examples
from train.publishing.history import TRAININGS
from train.publishing.hub import check_name, describe, push
from train.runtime.command_line import fail


def main() -> None:
    escape_unencodable()
    parser = argparse.ArgumentParser(prog="python -m train.export", description=documentation(__name__, 1, 2))
    parser.add_argument("out", type=Path, help="the checkpoint's folder")
    for run, command in TRAININGS.items():
        parser.add_argument(f"--{run}", type=Path, required=True, help=f"folder of the run of {command}")
    parser.add_argument("--summary", required=True, help="one line: data, pictures seen, sizes")
    parser.add_argument(
        "--examples", nargs="+", help="captions to show first; of birds, or some of the data's own, if not given"
    )
    parser.add_argument(
        "--reader", type=Path, metavar="FOLDER",
        help="a checkpoint beside OUT with the same captioner and image encoder, which are then left out here",
    )  # fmt: skip
    parser.add_argument(
        "--training-state", action="store_true",
        help="add what a training needs to go on from this checkpoint, anywhere: train.gan PRESET --resume-from OUT",
    )  # fmt: skip
    parser.add_argument(
        "--card", type=Path, help="card.json with the model card's paragraphs (what the folder has; see train.card)"
    )
    parser.add_argument(
        "--push", metavar="USER/NAME", help="send the checkpoint to this repository of the Hugging Face Hub"
    )
    parser.add_argument("--private", action="store_true", help="with --push: a new repository is only yours to see")
    parser.add_argument("--dry-run", action="store_true", help="with --push: say what would be sent, and send nothing")
    given = parser.parse_args()
    if given.push is None and (given.private or given.dry_run):
        parser.error("--private and --dry-run go with --push USER/NAME")
    runs = Runs(generator=given.generator, encoders=given.encoders, captioner=given.captioner)
    try:
        if given.push is not None:
            check_name(given.push)
        examples = given.examples or find_examples(runs)
        out = export(
            given.out, runs, given.summary, examples, card=given.card, reader=given.reader,
            with_training_state=given.training_state,
        )  # fmt: skip
    except (ValueError, FileNotFoundError) as error:
        fail(error)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    for entry in read_json(out / "training.json")["history"]:
        if entry.get("missing"):
            print(f"the generator grew from {entry['run']}, which is gone: its figures are not in the card")
    print(f"{given.out}: {size / 1e6:.1f} MB; try it: python -m mirrorgan {examples[0]!r} --checkpoint {given.out}")
    if given.push is None:
        return
    try:
        print(describe(out, given.push))
        if given.dry_run:
            print("nothing was sent (--dry-run)")
        else:
            print(f"sent: {push(out, given.push, given.private)}; anybody draws with --checkpoint {given.push}")
    except (ValueError, FileNotFoundError) as error:
        fail(error)


if __name__ == "__main__":
    main()
