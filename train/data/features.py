"""Features of a frozen backbone over a whole split, computed once and mapped from disk afterwards.

In <data>/features/, for every split, backbone, size and side:

    <stem>-pooled.npy, <stem>-regional.npy     the arrays
    <stem>.json                                written last: what they were made from
    <stem>.part.json, <stem>-*.part            the same, unfinished: how many pictures are done

Arrays are used only if their .json says that they are whole, and were made from the pictures (sha256 of pack.json)
and the weights (sha256 of every tensor) that are there now. An unfinished computation goes on where it stopped.

Dimensions: N pictures, C and P channels, h and w places of the regional level.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mirrorgan.backbones import Backbone
from mirrorgan.images import from_uint8, to_channels_last
from train.data.packed import PackedSplit
from train.runtime.device import autocast
from train.runtime.files import exclusive_lock, write_text
from train.runtime.provenance import data_hash
from train.runtime.state import StoppedEarly

REGIONAL_LEVEL = 2  # stride 16
BATCH = {"cpu": 32, "cuda": 256}
"""Pictures that go through the trunk together, by kind of device."""
SAVE_SECONDS = 20.0
"""How often an unfinished computation is written down."""


@dataclass(frozen=True, eq=False)
class CachedFeatures:
    regional: np.ndarray | None
    """(N, C, h, w) float16, the level at stride 16. None where it was not asked for."""
    pooled: np.ndarray
    """(N, P) float16."""


def trunk_hash(backbone: Backbone) -> str:
    """sha256 over the names and values of all weights."""
    digest = hashlib.sha256()
    for key, tensor in backbone.state_dict().items():
        digest.update(key.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def cached_features(
    split: PackedSplit,
    backbone: Backbone,
    name: str,
    size: int,
    flipped: bool,
    device: str = "cpu",
    regional: bool = True,
    due: Callable[[], bool] = lambda: False,
) -> CachedFeatures:
    """Features of every picture of a split at `size` pixels, from disk if they were computed before.

    Args:
        name: of the backbone, for the file names.
        flipped: mirror the pictures from left to right first.
        regional: also the level at stride 16, which takes most of the room.
        due: asked after every batch whether to stop.

    Raises:
        StoppedEarly: `due` said so; what was computed is kept.
        OSError: the disk has no room for them, or another process computes the same ones.
    """
    folder = split.folder / "features"
    folder.mkdir(exist_ok=True)
    stem = f"{split.name}-{name}-{size}{'-flipped' if flipped else ''}"
    kinds = ("pooled", "regional") if regional else ("pooled",)
    made_of = {"pictures": data_hash(split.folder), "trunk": trunk_hash(backbone), "count": len(split)}
    found = _whole(folder, stem, kinds, made_of)
    if found is None:
        busy = (
            f"another training computes the same features right now ({folder / stem}); "
            "give the command again when it has done so"
        )
        with exclusive_lock(folder / f"{stem}.lock", busy):
            found = _whole(folder, stem, kinds, made_of)  # another process may have been at it
            if found is None:
                _compute(split, backbone, size, flipped, device, folder, stem, kinds, made_of, due)
                found = _whole(folder, stem, kinds, made_of)
                assert found is not None
    return CachedFeatures(found.get("regional"), found["pooled"])


def _whole(folder: Path, stem: str, kinds: tuple[str, ...], made_of: dict[str, Any]) -> dict[str, np.ndarray] | None:
    """The arrays, if all are there, whole, and made of the same."""
    said = _read(folder / f"{stem}.json")
    if any(said.get(key) != value for key, value in made_of.items()):
        return None
    try:
        arrays = {kind: np.load(folder / f"{stem}-{kind}.npy", mmap_mode="r") for kind in kinds}
    except (OSError, ValueError):
        return None
    whole = all(list(array.shape) == said.get("shapes", {}).get(kind) for kind, array in arrays.items())
    return arrays if whole else None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


@torch.inference_mode()
def _compute(
    split: PackedSplit,
    backbone: Backbone,
    size: int,
    flipped: bool,
    device: str,
    folder: Path,
    stem: str,
    kinds: tuple[str, ...],
    made_of: dict[str, Any],
    due: Callable[[], bool],
) -> None:
    pictures = split.pictures(size)
    backbone = to_channels_last(backbone, device)
    batch = BATCH.get(torch.device(device).type, 256)

    def features(start: int) -> dict[str, Tensor]:
        images = from_uint8(torch.from_numpy(np.array(pictures[start : start + batch])).to(device))
        with autocast(device, "auto"):
            levels, pooled, _ = backbone(images.flip(3) if flipped else images)
        found = {"pooled": pooled, "regional": levels[REGIONAL_LEVEL]}
        return {kind: found[kind].float().half() for kind in kinds}

    unfinished = folder / f"{stem}.part.json"
    said = _read(unfinished)
    parts = {kind: folder / f"{stem}-{kind}.part" for kind in kinds}
    done, arrays = 0, {}
    if said.get("of") == [made_of, list(kinds), batch]:
        try:
            arrays = {kind: np.lib.format.open_memmap(path, mode="r+") for kind, path in parts.items()}
            done = int(said["done"])
        except (OSError, ValueError, KeyError):
            arrays = {}
    first: dict[str, Tensor] | None = None
    if not arrays:
        unfinished.unlink(missing_ok=True)
        done, first = 0, features(0)
        shapes = {kind: (len(split), *tensor.shape[1:]) for kind, tensor in first.items()}
        _check_room(folder, sum(2 * int(np.prod(shape)) for shape in shapes.values()))
        arrays = {kind: _reserve(parts[kind], shape) for kind, shape in shapes.items()}

    def note() -> None:
        for array in arrays.values():
            array.flush()
        write_text(unfinished, json.dumps({"of": [made_of, list(kinds), batch], "done": done}) + "\n")

    noted = time.monotonic()
    with tqdm(total=len(split), initial=done, desc=f"features {stem}", unit="pic") as bar:
        while done < len(split):
            if due():
                note()
                raise StoppedEarly(f"features of {done:,} of {len(split):,} pictures ({stem}) are done and kept")
            found, first = features(done) if first is None else first, None
            for kind, tensor in found.items():
                arrays[kind][done : done + len(tensor)] = tensor.cpu().numpy()
            bar.update(len(tensor))
            done += len(tensor)
            if time.monotonic() - noted > SAVE_SECONDS:
                note()
                noted = time.monotonic()
    note()
    (folder / f"{stem}.json").unlink(missing_ok=True)
    for kind in kinds:
        os.replace(parts[kind], folder / f"{stem}-{kind}.npy")
    shapes_said = {kind: list(array.shape) for kind, array in arrays.items()}
    write_text(folder / f"{stem}.json", json.dumps(made_of | {"shapes": shapes_said}, indent=2) + "\n")
    unfinished.unlink()


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(f"{folder}: the features need {needed / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are free")


def _reserve(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """A new array on disk whose room is taken at once: a full disk is an error here, and not a fault while writing."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
