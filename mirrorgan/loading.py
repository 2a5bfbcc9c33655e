"""Checkpoint folders and names of the Hugging Face Hub: where one lies, and what it says of itself. No torch."""

import contextlib
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from mirrorgan.drawing import CheckpointError, CheckpointInfo
from mirrorgan.inputs import shorten
from mirrorgan.manifest import has_part, read_config, read_json, read_manifest
from mirrorgan.vocabulary import Vocabulary

CODE = Path(__file__).resolve().parent.parent
KEPT_HERE = ("checkpoints", "packed", "runs")
"""Folders in which this project keeps things: a name that begins with one is never a repository on the Hub."""
Manifest = dict[str, Any]
"""What checkpoint.json says."""
Row = dict[str, Any]
"""A line of log.jsonl, or a score of scores.json."""


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


def read_info(
    folder: Path,
    manifest: Manifest,
    sizes: tuple[int, ...],
    location: str | None = None,
    part_names: tuple[str, ...] = (),
) -> CheckpointInfo:
    """What checkpoint.json says of a checkpoint whose generator has these sizes, and is told of such places.

    Raises:
        CheckpointError: an entry is missing.
    """
    digest = hashlib.sha256((folder / "checkpoint.json").read_bytes()).hexdigest()
    given = {key: manifest.get(key) for key in ("name", "trained", "summary", "examples", "max_words")}
    path = folder / "checkpoint.json"
    if missing := [key for key, value in given.items() if value is None]:
        raise CheckpointError(f"{path}: {missing[0]!r} is missing")
    info = read_config(CheckpointInfo, {**given, "sha256": digest, "sizes": sizes}, path)
    return replace(info, location=location, part_names=part_names)


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
