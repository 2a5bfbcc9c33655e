"""python -m train.export checkpoints/birds --generator runs/birds-128 --encoders runs/birds-damsm \\
       --captioner runs/birds-captioner --summary "8,855 bird photographs, 100,000 pictures seen, 32 to 128 pixels"

Gathers what the three trainings wrote into one checkpoint folder that is enough by itself: weights in float16,
vocabulary, frozen trunks, the runs' configuration, the generator's log, previews, and a manifest with the sha256 of
every file.
"""

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from mirrorgan.checkpoint import read_json, read_tensors, save_tensors, write_manifest, write_tensors
from mirrorgan.drawing import CheckpointError
from mirrorgan.pipeline import MirrorGAN
from mirrorgan.vocabulary import Vocabulary
from train.command import fail
from train.previews import write_previews
from train.sheets import BIRD_CAPTIONS
from train.trunks import find_trunk

PARTS = {"generator": "generator", "text_encoder": "encoders", "image_encoder": "encoders", "captioner": "captioner"}
"""Name of every part, and the run that made it."""


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Folders under runs/, one a training."""

    generator: Path
    encoders: Path
    captioner: Path

    def weights(self, run: str) -> Path:
        """Where a run keeps its weights: the generator's average, the encoders' and captioner's best epoch."""
        return getattr(self, run) / ("average" if run == "generator" else "best")


def export(out: Path, runs: Runs, summary: str, examples: list[str], max_words: int = 25) -> Path:
    """Writes the checkpoint folder `out`; what is in it of an older checkpoint is replaced.

    Raises:
        FileNotFoundError: a part is missing; the message names the file.
        CheckpointError: the parts were made with different dictionaries.
    """
    vocabulary = Vocabulary.load(runs.weights("encoders") / "vocabulary.json")
    described = {name: read_json(runs.weights(run) / f"{name}.json") for name, run in PARTS.items()}
    for name, content in described.items():
        if content.get("vocabulary") != vocabulary.hash:
            raise CheckpointError(f"{runs.weights(PARTS[name])}/{name}.json: made with another dictionary")

    out.mkdir(parents=True, exist_ok=True)
    for old in [*out.glob("*.safetensors"), *out.glob("*.json")]:
        old.unlink()
    vocabulary.save(out / "vocabulary.json")
    for name, run in PARTS.items():
        shutil.copy(runs.weights(run) / f"{name}.json", out)
        write_tensors(read_tensors(runs.weights(run) / f"{name}.safetensors"), out / f"{name}.safetensors", half=True)
    folders = (runs.weights("encoders"), runs.weights("captioner"))
    for trunk in sorted(
        {content["config"]["backbone"] for content in described.values() if "backbone" in content["config"]}
    ):
        save_tensors(find_trunk(trunk, folders), out / f"backbone.{trunk}.safetensors", half=True)
    training = {run: read_json(getattr(runs, run) / "config.json") for run in ("encoders", "captioner", "generator")}
    (out / "training.json").write_text(json.dumps(training, indent=2) + "\n")
    manifest = {"name": out.name, "trained": True, "summary": summary, "examples": examples, "max_words": max_words}
    write_manifest(out, manifest | {"vocabulary": vocabulary.hash})
    log = runs.generator / "log.jsonl"
    if log.exists():
        shutil.copy(log, out / "log.jsonl")
    write_previews(MirrorGAN.load(out), out, log)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m train.export", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("out", type=Path, help="the checkpoint's folder")
    for run, wrote in (("generator", "train.gan"), ("encoders", "train.damsm"), ("captioner", "train.captioner")):
        parser.add_argument(f"--{run}", type=Path, required=True, help=f"folder of the run of {wrote}")
    parser.add_argument("--summary", required=True, help="one line: data, pictures seen, sizes")
    parser.add_argument("--examples", nargs="*", default=list(BIRD_CAPTIONS), help="captions to show first")
    given = parser.parse_args()
    runs = Runs(generator=given.generator, encoders=given.encoders, captioner=given.captioner)
    try:
        out = export(given.out, runs, given.summary, given.examples)
    except (ValueError, FileNotFoundError) as error:
        fail(error)
    size = sum(path.stat().st_size for path in out.iterdir() if path.is_file())
    print(f"{out}: {size / 1e6:.1f} MB; try it: python -m mirrorgan {given.examples[0]!r} --checkpoint {out}")


if __name__ == "__main__":
    main()
