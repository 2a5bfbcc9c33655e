"""Checkpoint folders and names of the Hugging Face Hub: where one lies, what it says of itself, and its parts."""

import contextlib
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from mirrorgan.backbones import Backbone, build_backbone, fold_batch_norms
from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.checkpoint import has_part, in_order, load_part, load_tensors, read_config, read_json, read_manifest
from mirrorgan.drawing import CheckpointError, CheckpointInfo
from mirrorgan.generators import find_generator
from mirrorgan.generators.base import BaseGenerator
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.inputs import shorten
from mirrorgan.inverter import Inverter, InverterConfig
from mirrorgan.keypoints import KeypointConfig, KeypointGenerator
from mirrorgan.locations import KEYPOINTS
from mirrorgan.vocabulary import Vocabulary, check_words

CODE = Path(__file__).resolve().parent.parent
KEPT_HERE = ("checkpoints", "packed", "runs")
"""Folders in which this project keeps things: a name that begins with one is never a repository on the Hub."""
Seeing = TypeVar("Seeing", bound=nn.Module)
OnTrunk = TypeVar("OnTrunk", CaptionerConfig, ImageEncoderConfig, InverterConfig)
"""Configurations that name a frozen trunk, `backbone`."""
Manifest = dict[str, Any]
"""What checkpoint.json says."""
Row = dict[str, Any]
"""A line of log.jsonl, or a score of scores.json."""
Trunks = dict[tuple[Path, str], Backbone]
"""Frozen trunks that are loaded already, by folder and name."""


def shipped(name: str) -> Path:
    """The place of what comes with the code, such as "checkpoints/birds", from whatever folder the command was started;
    as short as `name` where that is the code's own."""
    return Path(name) if Path(name).resolve() == CODE / name else CODE / name


def reads(where: str | Path) -> bool:
    """Whether a checkpoint has a captioner of its own; raises as `find_folder` does."""
    return has_part(find_folder(where), "captioner")


def is_hub_name(text: str) -> bool:
    """Whether a text can be the name of a repository on the Hub, user/name, and of no folder of this project."""
    if text.count("/") != 1 or Path(text).parts[0] in KEPT_HERE or Path(text).parent.is_dir():
        return False
    from huggingface_hub.errors import HFValidationError  # here: a local checkpoint needs no Hub
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return True


def find_folder(where: str | Path) -> Path:
    """The folder itself, or the local copy of a repository on the Hub.

    Args:
        where: a Path is a folder and never asked of the Hub; a text may be either, and a folder comes first.

    Raises:
        FileNotFoundError: there is neither.
    """
    path, text = Path(where), str(where)
    if path.is_dir():
        return path
    if isinstance(where, Path) or not is_hub_name(text):
        hint = "; a checkpoint is a folder, or user/name on the Hugging Face Hub"
        if not path.is_absolute() and (CODE / path).is_dir():
            hint = f"; there is one at {CODE / path}"
        raise FileNotFoundError(f"{text}: no such checkpoint folder{hint}")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(text, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:
        reason = f"{type(error).__name__}: {shorten(str(error))}"
        raise FileNotFoundError(f"{text}: no such folder, and not to be had from the Hub ({reason})") from error


def read_about(folder: Path) -> tuple[Manifest, Vocabulary]:
    """checkpoint.json and the dictionary that it names; see `MirrorGAN.load` for what is raised."""
    manifest = read_manifest(folder)
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    if manifest.get("vocabulary") != vocabulary.hash:
        raise CheckpointError(f"{folder}/vocabulary.json: not the dictionary that checkpoint.json names")
    return manifest, vocabulary


def read_info(folder: Path, manifest: Manifest, generator: BaseGenerator) -> CheckpointInfo:
    """What checkpoint.json says of a checkpoint with this generator.

    Raises:
        CheckpointError: an entry is missing.
    """
    digest = hashlib.sha256((folder / "checkpoint.json").read_bytes()).hexdigest()
    given = {key: manifest.get(key) for key in ("name", "trained", "summary", "examples", "max_words")}
    path = folder / "checkpoint.json"
    if missing := [key for key, value in given.items() if value is None]:
        raise CheckpointError(f"{path}: {missing[0]!r} is missing")
    info = read_config(CheckpointInfo, {**given, "sha256": digest, "sizes": generator.sizes}, path)
    return replace(info, location=generator.location, part_names=generator.part_names)


def read_history(folder: Path | None) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """The lines of log.jsonl and the scores of scores.json, as far as they are there and whole."""
    log, scores = [], []
    if folder is not None and (path := folder / "log.jsonl").is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                log.append(json.loads(line))
    if folder is not None and (path := folder / "scores.json").is_file():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            scores = list(json.loads(path.read_text(encoding="utf-8", errors="replace"))["scores"])
    return tuple(row for row in log if isinstance(row, dict)), tuple(row for row in scores if isinstance(row, dict))


def load_generator(folder: Path, vocabulary: str) -> BaseGenerator:
    """The generator of a checkpoint, of whichever kind its generator.json names.

    Raises:
        FileNotFoundError: a file is missing.
        CheckpointError: an unknown kind, or weights that do not fit.
    """
    path = folder / "generator.json"
    try:
        kind = find_generator(str(read_json(path).get("generator")))
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return load_part(folder, "generator", kind.Config, kind.Generator, vocabulary)


def load_keypoints(folder: Path, generator: BaseGenerator, vocabulary: str) -> KeypointGenerator | None:
    """What places parts for a generator by keypoints; None where the checkpoint has no such part, or need of it.

    Raises:
        CheckpointError: it places other parts.
    """
    if generator.location != KEYPOINTS or not has_part(folder, "keypoints"):
        return None
    keypoints = load_part(folder, "keypoints", KeypointConfig, KeypointGenerator, vocabulary)
    if keypoints.config.part_names != generator.part_names:
        raise CheckpointError(f"{folder}/keypoints.json: its parts are not those of generator.json")
    return keypoints


def load_captioner(folder: Path, vocabulary: Vocabulary, trunks: Trunks) -> Captioner:
    """STREAM of a checkpoint, for its own dictionary."""
    return load_on_trunk(folder, "captioner", CaptionerConfig, Captioner, vocabulary, trunks)


def load_image_encoder(folder: Path, vocabulary: Vocabulary, trunks: Trunks) -> ImageEncoder:
    """DAMSM's image encoder of a checkpoint, for its own dictionary."""
    return load_on_trunk(folder, "image_encoder", ImageEncoderConfig, ImageEncoder, vocabulary, trunks)


def load_inverter(folder: Path, vocabulary: Vocabulary, trunks: Trunks) -> Inverter:
    """The inverter of a checkpoint, on its trunk."""
    return load_on_trunk(folder, "inverter", InverterConfig, Inverter, vocabulary, trunks)


def load_on_trunk(
    folder: Path,
    name: str,
    config: type[OnTrunk],
    kind: Callable[[OnTrunk, Backbone], Seeing],
    vocabulary: Vocabulary,
    trunks: Trunks,
) -> Seeing:
    """A part of a checkpoint that stands on a frozen trunk."""
    return load_part(folder, name, config, lambda c: kind(c, load_trunk(folder, c.backbone, trunks)), vocabulary.hash)


def load_trunk(folder: Path, name: str, trunks: Trunks) -> Backbone:
    """A frozen trunk of a checkpoint, loaded once."""
    if (folder, name) not in trunks:
        try:
            trunk = build_backbone(name)
        except ValueError as error:
            raise CheckpointError(f"{folder}: {error}") from error
        load_tensors(trunk, folder / f"backbone.{name}.safetensors")
        fold_batch_norms(trunk)
        trunks[folder, name] = trunk
    return trunks[folder, name]


def named_reader(folder: Path, manifest: Manifest) -> Path | None:
    """The checkpoint beside this one that checkpoint.json names as its reader; None if it names none, has a captioner
    itself, or that folder is not there.

    Raises:
        CheckpointError: the name is not that of a folder beside this one.
    """
    name = manifest.get("reader")
    if name is None or has_part(folder, "captioner"):
        return None
    plain = isinstance(name, str) and name not in ("", ".", "..") and Path(name).name == name
    if not plain or name == folder.resolve().name:
        raise CheckpointError(f"{folder}/checkpoint.json: the reader {name!r} is not the name of a folder beside it")
    lender = folder.resolve().parent / name
    return lender if (lender / "checkpoint.json").is_file() else None


def same_text_encoder(folder: Path, other: Path) -> bool:
    """Whether two checkpoints have the very same STEM, as their manifests have it, and the same words in one order."""
    files = [read_json(one / "checkpoint.json").get("files", {}) for one in (folder, other)]
    names = ("text_encoder.safetensors", "text_encoder.json", "vocabulary.json")
    return all(files[0].get(name) == files[1].get(name) for name in names)


def borrow_captioner(lender: Path, vocabulary: Vocabulary, trunks: Trunks) -> Captioner:
    """STREAM of another checkpoint for the words of this one, in the order that they have here.

    Raises:
        FileNotFoundError: it has no captioner, or lacks a file.
        CheckpointError: it has other words, or is damaged.
    """
    theirs = read_about(lender)[1]
    check_words(vocabulary, theirs, f"{lender}: it cannot read for this checkpoint; it has", "the dictionary here")
    captioner = load_captioner(lender, theirs, trunks)
    captioner.load_state_dict(in_order(captioner.state_dict(), theirs, vocabulary))
    return captioner
