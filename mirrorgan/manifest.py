"""What a checkpoint says of itself, and JSON beside its weights: read without torch, held to its types and hashes.

The folder is described in mirrorgan/checkpoint.py.
"""

import hashlib
import json
import math
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mirrorgan import untrusted
from mirrorgan.drawing import CheckpointError
from mirrorgan.files import write_text
from mirrorgan.untrusted import check_regular, readable, shortened

Config = TypeVar("Config")

FORMAT = 1
TRAINING_STATE = "training_state"
"""Name of the part that only a training reads; it may be missing."""
LARGEST = 2**53
"""Of the whole numbers in a configuration: JSON's readers agree on no larger ones."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a checkpoint.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it holds no JSON object, or what untrusted.read_json refuses.
    """
    try:
        content = untrusted.read_json(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{readable(path)}: missing; a checkpoint needs it") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{readable(path)}: expected an object, found {type(content).__name__}")
    return content


def has_part(folder: Path, name: str) -> bool:
    """Whether a part that may be missing is there; half of one counts, so that loading it tells what is not."""
    return any((folder / f"{name}{suffix}").exists() for suffix in (".json", ".safetensors"))


def read_config(kind: type[Config], given: Any, path: Path) -> Config:
    """A configuration dataclass from what a .json file says of it.

    Raises:
        CheckpointError: a field is missing, unknown, of another type than the dataclass says, or has a value that
            cannot be.
    """
    if not isinstance(given, dict):
        raise CheckpointError(f"{readable(path)}: no configuration in it")
    hints = typing.get_type_hints(kind)
    values = {key: _as_typed(value) for key, value in given.items()}
    for key, value in values.items():
        if key in hints and not is_of_type(value, hints[key]):
            wanted = getattr(hints[key], "__name__", None) if isinstance(hints[key], type) else None
            raise CheckpointError(
                f"{readable(path)}: {key} is {shortened(given[key])}; {wanted or str(hints[key])} was expected"
            )
    build: Callable[..., Config] = kind
    try:
        return build(**values)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise CheckpointError(f"{readable(path)}: {error}") from error


def _as_typed(value: Any) -> Any:
    """JSON has no tuples: its lists are tuples here."""
    if isinstance(value, list):
        return tuple(_as_typed(one) for one in value)
    return value


def is_of_type(value: Any, hint: Any) -> bool:
    """Whether a value from JSON is of the type that a field of a configuration has."""
    origin, within = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(is_of_type(value, one) for one in within)
    if origin is typing.Literal:
        return any(value == one and type(value) is type(one) for one in within)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(within) == 2 and within[1] is Ellipsis:
            return all(is_of_type(one, within[0]) for one in value)
        return len(value) == len(within) and all(is_of_type(one, kind) for one, kind in zip(value, within, strict=True))
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, origin or hint) if isinstance(origin or hint, type) else True


def sha256(path: Path) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def without_training_state(files: dict[str, str]) -> dict[str, str]:
    """The files of a manifest that drawings and scores depend on."""
    return {name: digest for name, digest in files.items() if Path(name).stem != TRAINING_STATE}


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Writes checkpoint.json: `content`, and the sha256 of every other file of weights and settings.

    Raises:
        CheckpointError: one of them is no regular file.
    """
    files = sorted(p for p in folder.iterdir() if p.suffix in (".json", ".safetensors") and p.name != "checkpoint.json")
    for path in files:
        check_regular(path)
    manifest = {"format": FORMAT, **content, "files": {path.name: sha256(path) for path in files}}
    write_text(folder / "checkpoint.json", json.dumps(manifest, indent=2) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """checkpoint.json, after holding every file to its sha256.

    Raises:
        FileNotFoundError: the folder or a file is missing.
        CheckpointError: another format, an entry of another type than it has, or a file that was changed, cut short or
            exchanged.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{readable(folder)}: no such checkpoint folder")
    manifest = read_json(folder / "checkpoint.json")
    where = f"{readable(folder)}/checkpoint.json"
    if manifest.get("format") != FORMAT or isinstance(manifest.get("format"), bool):
        raise CheckpointError(f"{where}: format {shortened(manifest.get('format'))}, this code reads {FORMAT}")
    files = manifest.get("files")
    if not isinstance(files, dict) or not files:
        raise CheckpointError(f"{where}: it names no files")
    for name, expected in files.items():
        check_listed(folder, name, expected, "checkpoint.json")
    _check_entries(manifest, where)
    return manifest


def check_listed(folder: Path, name: str, expected: Any, listing: str) -> None:
    """Holds a file of a folder to the sha256 that `listing`, a file there, says of it.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is no plain name in the folder, or the file was changed, cut short or exchanged.
    """
    if Path(name).name != name or name in ("", "..") or "\0" in name:
        raise CheckpointError(f"{readable(folder)}/{listing}: {shortened(name)} is not a plain file name")
    path = folder / name
    try:
        check_regular(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{readable(path)}: missing; {listing} names it") from None
    if (found := sha256(path)) != expected:
        raise CheckpointError(
            f"{readable(path)}: its sha256 is {found[:8]}, {listing} says {readable(str(expected)[:8])}"
        )


ENTRIES: dict[str, Any] = {
    "name": str, "summary": str, "trained": bool, "vocabulary": str, "max_words": int, "examples": tuple[str, ...],
}  # fmt: skip
"""Types of what checkpoint.json says, where it says it."""


def _check_entries(manifest: dict[str, Any], where: str) -> None:
    for key, kind in ENTRIES.items():
        if key in manifest and not is_of_type(_as_typed(manifest[key]), kind):
            wanted = "a list of texts" if key == "examples" else {str: "a text", bool: "true or false"}.get(kind)
            raise CheckpointError(
                f"{where}: {key} is {shortened(manifest[key])}; {wanted or 'a whole number'} was expected"
            )
    if manifest.get("max_words", 1) < 1:
        raise CheckpointError(f"{where}: max_words is {manifest['max_words']}; at least 1 was expected")
