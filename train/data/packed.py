"""Reads what `train.data.packing` wrote."""

import io
import math
import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from mirrorgan.manifest import sha256
from mirrorgan.vocabulary import Vocabulary
from train.data.datasets.base import DataError, read_json


@dataclass(frozen=True, eq=False)
class PackedSplit:
    """One split of a packed data set, in memory but for its pictures."""

    folder: Path
    name: str
    keys: list[str]
    tokens: Tensor
    """(N, K, L) int16, 0 is padding."""
    counts: Tensor
    """(N,) int32, captions of a picture."""
    groups: Tensor
    """(N,) int32."""
    offsets: Tensor
    """(N + 1,) int64, bytes."""
    vocabulary: Vocabulary
    parts: Tensor | None = None
    """(N, P, 2) float32: x and y of every part as shares of the middle square, NaN where it is not seen; None if the
    data set has no places of parts, or was packed before they were kept."""
    part_names: tuple[str, ...] = ()
    """P names, e.g. "beak"."""
    group_names: tuple[str, ...] = ()
    """Names of the numbers in `groups`."""
    boxes: Tensor | None = None
    """(N, 4) float32: x, y, width and height of the box around every object as shares of the middle square, over whose
    border it may reach; NaN where it is not known. None if the data set has no boxes, or was packed before they were
    kept."""

    def __len__(self) -> int:
        return len(self.keys)

    def caption(self, picture: int, which: int) -> list[int]:
        """Token ids without padding."""
        row = self.tokens[picture, which].tolist()
        return row[: row.index(0)] if 0 in row else row

    def pictures(self, size: int) -> np.ndarray:
        """All pictures as (N, size, size, 3) uint8: shrunk to a short side of `size`, the middle square.

        Decoded once; later calls map the array from <folder>/decoded/.
        """
        path = self.folder / "decoded" / f"{self.name}-{size}.npy"
        shape = (len(self), size, size, 3)
        if path.exists():
            found: np.ndarray = np.load(path, mmap_mode="r")
            if found.shape == shape:
                return found
        path.parent.mkdir(exist_ok=True)
        blob = self._read_parts()
        spans = list(zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True))
        needed, free = math.prod(shape), shutil.disk_usage(path.parent).free
        if needed > free:  # a mapped file that meets a full disk would end the program without a word
            raise DataError(
                f"{path}: needs {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free; make room for it"
            )
        unfinished = path.with_suffix(f".{os.getpid()}.part")
        try:
            pixels = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
            with ThreadPoolExecutor() as pool:
                decoded = pool.map(partial(_decode, blob, size=size), spans)
                for row, picture in enumerate(tqdm(decoded, total=len(spans), desc=f"decode {self.name}", unit="pic")):
                    pixels[row] = picture
            pixels.flush()
            del pixels
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
        mapped: np.ndarray = np.load(path, mmap_mode="r")
        return mapped

    def _read_parts(self) -> bytes:
        """The run of all pictures, held to its sha256."""
        named = _manifest(self.folder)["files"]
        parts = [name for name in named if re.fullmatch(rf"{re.escape(self.name)}-\d+\.webp", name)]
        parts.sort(key=lambda name: int(Path(name).stem.rsplit("-", 1)[1]))
        check_files(self.folder, parts)
        blob = b"".join((self.folder / part).read_bytes() for part in parts)
        if len(blob) != int(self.offsets[-1]):
            raise DataError(f"{self.folder}: the pictures of {self.name} are incomplete; pack the data set again")
        return blob


def _decode(blob: bytes, span: tuple[int, int], size: int) -> np.ndarray:
    image = Image.open(io.BytesIO(blob[span[0] : span[1]])).convert("RGB")
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def load_packed(folder: Path, split: str) -> PackedSplit:
    """Opens one split of what `pack` wrote, and holds its tokens and keys to their sha256 (the pictures are held to
    theirs when they are decoded).

    Raises:
        FileNotFoundError: the folder is not a packed data set.
        DataError: there is no such split, or a file was damaged.
    """
    if not (folder / "pack.json").is_file():
        raise FileNotFoundError(f"{folder}: no pack.json; make it with: python -m train.pack NAME ROOT --out {folder}")
    content = _manifest(folder)
    if split not in content["counts"]:
        raise DataError(f"{folder}: no split {split!r}; there are: {', '.join(content['counts'])}")
    check_files(folder, ["vocabulary.json", f"{split}.safetensors", f"{split}.keys.json"])
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    tensors = _read(folder / f"{split}.safetensors", load_file)
    named = _read(folder / f"{split}.keys.json", _json)
    _check_content(folder / split, tensors, named)
    return PackedSplit(
        folder,
        split,
        named["keys"],
        tensors["tokens"],
        tensors["counts"],
        tensors["groups"],
        tensors["offsets"],
        vocabulary,
        tensors.get("parts"),
        tuple(named.get("parts", ())),
        tuple(named["groups"]),
        tensors.get("boxes"),
    )


def _manifest(folder: Path) -> dict[str, Any]:
    """What pack.json says.

    Raises:
        DataError: it is not what `pack` writes.
    """
    content = _read(folder / "pack.json", _json)
    for key, kind in {"counts": int, "files": str}.items():
        values = content.get(key)
        if not isinstance(values, dict) or not all(type(value) is kind for value in values.values()):
            raise DataError(f"{folder / 'pack.json'}: damaged ({key} is {str(values)[:60]}); pack the data set again")
    return content


def _check_content(path: Path, tensors: dict[str, Tensor], named: dict[str, Any]) -> None:
    """Raises DataError unless a split's tokens and keys are of the same pictures."""
    keys, groups = named.get("keys"), named.get("groups")
    known = all(isinstance(names, list) and all(isinstance(n, str) for n in names) for names in (keys, groups))
    count = len(keys) if known and keys is not None else -1
    sizes = {"tokens": count, "counts": count, "groups": count, "offsets": count + 1}
    if count < 1 or any(name not in tensors or len(tensors[name]) != size for name, size in sizes.items()):
        raise DataError(f"{path}.safetensors, {path.name}.keys.json: not of the same pictures; pack the data set again")


def check_files(folder: Path, names: list[str]) -> None:
    """Holds files of a packed data set to pack.json.

    Raises:
        FileNotFoundError: one is missing.
        DataError: one was changed, cut short or exchanged, or pack.json does not name it.
    """
    expected = _manifest(folder)["files"]
    for name in names:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name}: missing; pack the data set again")
        if sha256(folder / name) != expected.get(name):
            raise DataError(f"{folder / name}: not the file that pack.json names; pack the data set again")


def _read(path: Path, how: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    try:
        return how(path)
    except (SafetensorError, ValueError) as error:
        raise DataError(f"{path}: damaged ({error}); pack the data set again") from error


def _json(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise DataError(f"{type(content).__name__} where an object is expected")
    return content
