"""From finished runs to a checkpoint folder, which takes the place of an older one only once it is whole."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirrorgan.checkpoint import read_tensors, same_weights, save_tensors, write_tensors
from mirrorgan.drawing import CheckpointError
from mirrorgan.manifest import read_json, sha256, without_training_state, write_manifest
from mirrorgan.pipeline import MirrorGAN
from mirrorgan.vocabulary import COUNTS_FILE, Vocabulary
from train.adversarial import training_state
from train.adversarial.sample_grid import sheet_captions
from train.data.packed import load_packed
from train.encoders.trunks import find_trunk
from train.publishing.card import LIMITS_PICTURE, PICTURES, read_card_text, write_card
from train.publishing.failure_cases import write_failure_cases
from train.publishing.figures import write_previews
from train.publishing.history import TRAININGS, chain, history
from train.runtime.files import write_text
from train.runtime.recorded_options import read_options
from train.runtime.run_dir import best_weights_dir, parent_record, recorded_config

PARTS = {"generator": "generator", "text_encoder": "encoders", "image_encoder": "encoders", "captioner": "captioner"}
"""Name of every part, and the run that made it."""

LENT = ("image_encoder", "captioner")
"""Parts that another checkpoint may have in place of this one."""

MADE = frozenset(("README.md", "log.jsonl", "sheet.jpg", "example.png", "curves.png", LIMITS_PICTURE))
"""What an export writes beside weights and settings; other files in an older checkpoint's folder are kept."""
SCORED = frozenset(PICTURES)
"""What train.evaluate draws beside scores.json, and what is kept only as long as that is."""


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Folders under runs/, one a training. Encoders and captioner may be those of a checkpoint."""

    generator: Path
    encoders: Path
    captioner: Path

    def weights(self, run: str) -> Path:
        """Where a run keeps its weights: the generator's average, the encoders' and captioner's best epoch."""
        folder: Path = getattr(self, run)
        return folder / "average" if run == "generator" else best_weights_dir(folder)

    def part(self, name: str) -> Path:
        """Where a part's weights are: with its run, or with the generator, if the encoders learnt beside it."""
        beside = self.weights("generator")
        learnt = PARTS[name] == "encoders" and (beside / f"{name}.json").is_file()
        return beside if learnt else self.weights(PARTS[name])


def export(
    out: Path, runs: Runs, summary: str, examples: list[str], max_words: int = 25, card: Path | None = None,
    previews: bool = True, reader: Path | None = None, with_training_state: bool = False,
) -> Path:  # fmt: skip
    """Writes the checkpoint folder `out`. If that fails, an older checkpoint there stays as it was.

    Of an older checkpoint, card.json is kept, files that no export writes, and scores.json if the weights and settings
    are the same.

    Args:
        card: a card.json with the paragraphs that a person wrote; the older checkpoint's if None.
        previews: draw the pictures that go with it, which takes most of the time.
        reader: a checkpoint beside `out` with this captioner and image encoder: they are left out here, and borrowed
            from there (see `MirrorGAN.load`).
        with_training_state: add what a training needs to go on, from the state in the generator's run.

    Raises:
        FileNotFoundError: a part is missing; the message names the file.
        CheckpointError: the parts were made with different dictionaries or encoders, a weight is not finite, or `out`
            is a folder of something else; or the reader is not beside it or has other parts; or the run's state is of
            another step than its generator.
    """
    out = out.resolve()
    check_place(out)
    vocabulary, described = check_parts(runs)
    if vocabulary.counts is None and (counts := out / COUNTS_FILE).is_file():
        # Data packed before words were counted: the older checkpoint's are of the same words, or of no use.
        vocabulary = vocabulary.with_counts_of(counts) if counts_are_of(counts, vocabulary) else vocabulary
    if reader is not None:
        check_reader(reader, out, runs)
        described = {name: content for name, content in described.items() if name not in LENT}
    if card is not None and not card.is_file():
        raise FileNotFoundError(f"{card}: no such file with the card's paragraphs")
    kept = card if card is not None else out / "card.json"
    read_card_text(kept)
    fresh = out.with_name(f".{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        write_weights(fresh, runs, vocabulary, described)
        if with_training_state:
            training_state.write(fresh, runs.generator)
        write_text(fresh / "training.json", json.dumps(record(runs), indent=2) + "\n")
        manifest = {"name": out.name, "trained": True, "summary": summary, "examples": examples, "max_words": max_words}
        manifest |= {"vocabulary": vocabulary.hash} | ({} if reader is None else {"reader": reader.resolve().name})
        write_manifest(fresh, manifest)
        log = runs.generator / "log.jsonl"
        if log.exists():
            shutil.copy(log, fresh / "log.jsonl")
        if previews:
            model = MirrorGAN.load(fresh)
            write_previews(model, fresh, log)
            write_failure_cases(model, fresh)
        keep_older(out, fresh)
        if kept.is_file():
            shutil.copy(kept, fresh / "card.json")
        write_card(fresh)
        swap(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return out


def counts_are_of(path: Path, vocabulary: Vocabulary) -> bool:
    content = read_json(path)
    return isinstance(content, dict) and content.get("vocabulary") == vocabulary.hash


def check_place(out: Path) -> None:
    """Raises CheckpointError if `out` is a file, or a folder that holds something else than a checkpoint."""
    before = beside(out)
    if not out.exists() and before.exists():
        before.rename(out)  # an export was cut off between its two renames
    if (
        out.is_dir()
        and any(out.iterdir())
        and not any((out / name).exists() for name in ("checkpoint.json", "card.json"))
    ):
        raise CheckpointError(f"{out}: a folder with files that are no checkpoint; name a new one")
    if out.exists() and not out.is_dir():
        raise CheckpointError(f"{out}: a file; name a folder")


def check_parts(runs: Runs) -> tuple[Vocabulary, dict[str, dict[str, Any]]]:
    """The dictionary and every part's .json, after holding the parts to each other; see `export` for what it raises."""
    for name, run in PARTS.items():
        for suffix in ("json", "safetensors"):
            path = runs.part(name) / f"{name}.{suffix}"
            if not path.is_file():
                raise FileNotFoundError(f"{path}: missing; {TRAININGS[run]} writes it, and a checkpoint needs it")
    vocabulary = Vocabulary.load(runs.weights("encoders") / "vocabulary.json")
    described = {name: read_json(runs.part(name) / f"{name}.json") for name in PARTS}
    for name, content in described.items():
        if content.get("vocabulary") != vocabulary.hash:
            raise CheckpointError(f"{runs.part(name)}/{name}.json: made with another dictionary")
    learnt_with = Path(read_options(runs.generator).get("encoders", ""))
    theirs, ours = (folder / "text_encoder.safetensors" for folder in (learnt_with, runs.weights("encoders")))
    own = runs.part("text_encoder") == runs.weights("generator")
    if not own and theirs.is_file() and sha256(theirs) != sha256(ours):
        raise CheckpointError(
            f"{runs.generator}: this generator learnt to hear the encoders in {learnt_with}, not those in "
            f"{runs.encoders}; name theirs with --encoders"
        )
    return vocabulary, described


def check_reader(reader: Path, out: Path, runs: Runs) -> None:
    """Raises CheckpointError unless a checkpoint lies beside `out` and has what would be left out there, with the text
    encoder that it belongs to."""
    if reader.resolve().parent != out.parent or reader.resolve() == out:
        raise CheckpointError(f"{reader}: a reader must be another checkpoint in {out.parent}, to be found again")
    for name in (*LENT, "text_encoder"):
        theirs, ours = reader / f"{name}.safetensors", runs.part(name) / f"{name}.safetensors"
        if not theirs.is_file():
            raise FileNotFoundError(f"{theirs}: missing; a reader has a captioner and an image encoder")
        if not same_weights(read_tensors(theirs), read_tensors(ours)):
            raise CheckpointError(f"{theirs}: not the weights in {ours}, so it cannot stand in for them")


def write_weights(folder: Path, runs: Runs, vocabulary: Vocabulary, described: dict[str, dict[str, Any]]) -> None:
    """Vocabulary, the described parts and their frozen trunks, in float16."""
    vocabulary.save(folder / "vocabulary.json")
    for name in described:
        source = runs.part(name) / f"{name}.safetensors"
        tensors = read_tensors(source)
        shutil.copy(source.with_suffix(".json"), folder)
        write_tensors(tensors, folder / source.name, half=True)
    folders = (runs.weights("encoders"), runs.weights("captioner"))
    for trunk in sorted(
        {content["config"]["backbone"] for content in described.values() if "backbone" in content["config"]}
    ):
        backbone = find_trunk(trunk, folders)
        save_tensors(backbone, folder / f"backbone.{trunk}.safetensors", half=True)


def record(runs: Runs) -> dict[str, Any]:
    """What goes into training.json: every run's configuration, what each was (see `history`), and the data."""
    older = [run for run in chain(runs.generator)[:-1] if (run / "config.json").exists()]
    content: dict[str, Any] = {name: recorded_config(name, getattr(runs, name)) for name in TRAININGS}
    given = parent_record(chain(runs.generator)[0]) or {}
    content["grown_from"] = [*given.get("grown_from", []), *([given["generator"]] if "generator" in given else [])]
    content["grown_from"] += [read_json(run / "config.json") for run in older]
    content["history"] = history(runs.encoders, runs.captioner, runs.generator)
    pack = Path(content["generator"]["data"]) / "pack.json"
    if pack.is_file():
        about = read_json(pack)
        content["data"] = {name: about[name] for name in ("dataset", "counts", "left_out")} | {"sha256": sha256(pack)}
    return content


def keep_older(out: Path, fresh: Path) -> None:
    """Copies what an older checkpoint has and no export writes; and its scores with their pictures, if they are of the
    same files."""
    for path in out.iterdir() if out.is_dir() else ():
        if path.is_dir():
            shutil.copytree(path, fresh / path.name, symlinks=True)
        elif path.suffix not in (".json", ".safetensors") and path.name not in MADE | SCORED:
            shutil.copy(path, fresh / path.name)
    scores = out / "scores.json"
    if scores.is_file():
        measured = read_json(scores).get("checkpoint", {})
        measured = measured.get("files") if isinstance(measured, dict) else None
        files = without_training_state(read_json(fresh / "checkpoint.json")["files"])
        if isinstance(measured, dict) and without_training_state(measured) == files:
            for path in (scores, *(out / name for name in SCORED)):
                if path.is_file():
                    shutil.copy(path, fresh)


def beside(out: Path) -> Path:
    return out.with_name(f".{out.name}.old")


def swap(fresh: Path, out: Path) -> None:
    """Puts `fresh` in the place of `out`; if that cannot be done, `out` is what it was."""
    before = beside(out)
    shutil.rmtree(before, ignore_errors=True)
    if out.exists():
        os.rename(out, before)
    try:
        os.rename(fresh, out)
    except OSError:
        if before.exists():
            os.rename(before, out)
        raise
    shutil.rmtree(before, ignore_errors=True)


def find_examples(runs: Runs) -> list[str]:
    """Captions to show first, from the data that the generator was trained on.

    Raises:
        FileNotFoundError: the run or its data is not there any more.
    """
    data = Path(read_options(runs.generator)["data"])
    try:
        return sheet_captions(load_packed(data, "train"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; or give captions to show first: --examples CAPTION ...") from error
