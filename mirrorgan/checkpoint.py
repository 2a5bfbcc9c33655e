"""Weights on disk: tensors in .safetensors, the sizes that shape them in .json, never a pickle.

A checkpoint is a folder that is enough by itself:

    checkpoint.json            format, name, what it was trained on, example captions, sha256 of every file
    vocabulary.json            all words in order, with their hash
    generator.*  text_encoder.*  image_encoder.*  captioner.*    .json: configuration, vocabulary hash
    backbone.<name>.safetensors                                  frozen trunks, shared by the encoders
    training_state.*           what a training needs to go on (train/training_state.py); nothing that draws reads it

Image encoder and captioner may be missing: without them pictures are drawn, but not scored and not read back.
Weights may be stored as float16; they are float32 again once loaded.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from mirrorgan.drawing import CheckpointError
from mirrorgan.vocabulary import Vocabulary

FORMAT = 1
TRAINING_STATE = "training_state"
"""Name of the part that only a training reads; it may be missing."""
BY_WORD = ("embedding.weight", "to_words.weight", "to_words.bias")
"""Tensors of a text encoder and a captioner whose rows are words."""
Module = TypeVar("Module", bound=nn.Module)


def save_part(
    module: nn.Module, config: Any, folder: Path, name: str, vocabulary: str, half: bool = False, **extra: Any
) -> None:
    """Writes <name>.json and <name>.safetensors.

    Args:
        config: a dataclass, what the module was built from.
        vocabulary: hash of the dictionary that the module was trained with.
        half: store floats as float16.
        extra: more entries for the .json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = {**extra, "config": dataclasses.asdict(config), "vocabulary": vocabulary}
    (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    save_tensors(module, folder / f"{name}.safetensors", half)


def save_tensors(module: nn.Module, path: Path, half: bool = False) -> None:
    """Writes a module's state; batch counters, which only training needs, are left out."""
    write_tensors(module.state_dict(), path, half)


def write_tensors(tensors: dict[str, Tensor], path: Path, half: bool = False) -> None:
    """Writes tensors by name; see `save_tensors`."""
    kept = {key: value for key, value in tensors.items() if not key.endswith("num_batches_tracked")}
    path.write_bytes(
        save({key: _stored(value, half) for key, value in kept.items()})
    )  # save_file's are its owner's only


def _stored(tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu()
    if half and tensor.is_floating_point():
        if bool((tensor.abs() > torch.finfo(torch.float16).max).any()):
            raise ValueError("a weight is too large for float16; store this part in float32")
        tensor = tensor.half()
    return tensor.contiguous().clone()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a checkpoint.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it holds no JSON object.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: missing; a checkpoint needs it") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected an object, found {type(content).__name__}")
    return content


def has_part(folder: Path, name: str) -> bool:
    """Whether a part that may be missing is there; half of one counts, so that loading it tells what is not."""
    return any((folder / f"{name}{suffix}").exists() for suffix in (".json", ".safetensors"))


def read_config(kind: type[Any], given: Any, path: Path) -> Any:
    """A configuration dataclass from what a .json file says of it.

    Raises:
        CheckpointError: a field is missing, unknown, or has a value that cannot be.
    """
    if not isinstance(given, dict):
        raise CheckpointError(f"{path}: no configuration in it")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def load_part(
    folder: Path, name: str, config_kind: type[Any], build: Callable[[Any], Module], vocabulary: str
) -> Module:
    """Rebuilds a module that `save_part` wrote; strict about every tensor.

    Raises:
        FileNotFoundError: a file is missing.
        CheckpointError: another dictionary, a bad configuration, or weights that do not fit it.
    """
    path = folder / f"{name}.json"
    content = read_json(path)
    if content.get("vocabulary") != vocabulary:
        found = str(content.get("vocabulary"))[:8]
        raise CheckpointError(
            f"{path}: made with the dictionary {found}, but vocabulary.json is {vocabulary[:8]}; "
            "the files are of two models"
        )
    config = read_config(config_kind, content.get("config"), path)
    try:
        module = build(config)
    except CheckpointError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    load_tensors(module, folder / f"{name}.safetensors")
    return module


def load_tensors(module: nn.Module, path: Path) -> None:
    """Fills a module from a .safetensors file, every tensor and nothing more.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is damaged, or a tensor is missing, unknown or of another shape (both shapes are named).
    """
    tensors = read_tensors(path)
    state = {key: value for key, value in module.state_dict().items() if not key.endswith("num_batches_tracked")}
    for key, value in state.items():
        if key not in tensors:
            raise CheckpointError(f"{path}: {key} is missing, {tuple(value.shape)} expected")
        if tensors[key].shape != value.shape:
            shapes = f"{tuple(tensors[key].shape)}, but the configuration beside it asks for {tuple(value.shape)}"
            raise CheckpointError(f"{path}: {key} is {shapes}")
    if unknown := sorted(set(tensors) - set(state)):
        raise CheckpointError(f"{path}: {unknown[0]} is no tensor of this model ({len(unknown)} such)")
    with torch.no_grad():
        for key, value in state.items():
            value.copy_(tensors[key])


def in_order(tensors: dict[str, Tensor], given: Vocabulary, wanted: Vocabulary) -> dict[str, Tensor]:
    """The same network for the same words in another order: its rows change places, and nothing else."""
    order = [given.ids[word] for word in wanted.words]
    return {name: tensor[order] if name in BY_WORD else tensor for name, tensor in tensors.items()}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a .safetensors file.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is damaged or of another format.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; a checkpoint needs it")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged, or no safetensors file ({error})") from error


def same_weights(some: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    """Whether all of some weights are found among others, compared in float16: checkpoints store no more."""
    return some.keys() <= others.keys() and all(
        some[key].shape == others[key].shape and torch.equal(some[key].half().cpu(), others[key].half().cpu())
        for key in some
    )


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def without_training_state(files: dict[str, str]) -> dict[str, str]:
    """The files of a manifest that drawings and scores depend on."""
    return {name: digest for name, digest in files.items() if Path(name).stem != TRAINING_STATE}


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Writes checkpoint.json: `content`, and the sha256 of every other file of weights and settings."""
    files = sorted(p for p in folder.iterdir() if p.suffix in (".json", ".safetensors") and p.name != "checkpoint.json")
    manifest = {"format": FORMAT, **content, "files": {path.name: sha256(path) for path in files}}
    (folder / "checkpoint.json").write_text(json.dumps(manifest, indent=2) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """checkpoint.json, after holding every file to its sha256.

    Raises:
        FileNotFoundError: the folder or a file is missing.
        CheckpointError: another format, or a file that was changed, cut short or exchanged.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such checkpoint folder")
    manifest = read_json(folder / "checkpoint.json")
    if manifest.get("format") != FORMAT:
        raise CheckpointError(f"{folder}/checkpoint.json: format {manifest.get('format')!r}, this code reads {FORMAT}")
    files = manifest.get("files")
    if not isinstance(files, dict) or not files:
        raise CheckpointError(f"{folder}/checkpoint.json: it names no files")
    for name, expected in files.items():
        if Path(name).name != name:
            raise CheckpointError(f"{folder}/checkpoint.json: {name!r} is not a plain file name")
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{path}: missing; checkpoint.json names it")
        if (found := sha256(path)) != expected:
            raise CheckpointError(f"{path}: its sha256 is {found[:8]}, checkpoint.json says {str(expected)[:8]}")
    return manifest
