"""Writes a data set as packed files; train/pack.py says which."""

import io
import json
import math
import os
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm

from mirrorgan.images import PictureError, picture_size, read_picture, to_rgb
from mirrorgan.manifest import sha256
from mirrorgan.untrusted import readable
from mirrorgan.vocabulary import Vocabulary, tokenize
from train.data.datasets import find_dataset
from train.data.datasets.base import (
    MOST_PIXELS,
    Box,
    DataError,
    Example,
    LeftOut,
    Listing,
    Member,
    count_reasons,
    cut_of,
    describe_left_out,
    open_regular,
)
from train.data.packed import _manifest
from train.runtime.files import write_text

CHUNK = 256  # pictures that are decoded together
SMALLEST = 16  # pixels of the short side; what is smaller is no picture to learn from
LONGEST_WEBP = 16383  # pixels; the format's limit
LARGE = 25_000_000  # pixels; of larger pictures one is decoded at a time
MOST_WORDS = 1000  # of a caption; what is longer is cut
MOST_CAPTIONS = 1000  # of a picture
CACHES = ("decoded", "features")  # folders of what was computed from the pictures


class Unusable(DataError):
    """A picture that cannot be used. Those with the same `reason` are counted together."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


def cut_to_box(image: Image.Image, box: Box | None) -> Image.Image:
    """What `cut_of` says of a picture; all of it if there is no box.

    Raises:
        Unusable: the box lies outside the picture.
    """
    if box is None:
        return image
    x, y, w, h = box
    if not all(abs(number) <= MOST_PIXELS for number in box):  # nor is NaN
        raise Unusable("its box lies outside the picture", f"{box} of {image.width} x {image.height} pixels")
    left, top, right, bottom = cut_of(box, image.width, image.height)
    touches = x < image.width and y < image.height and x + w > 0 and y + h > 0
    if not touches or right <= left or bottom <= top:
        raise Unusable("its box lies outside the picture", f"{box} of {image.width} x {image.height} pixels")
    return image.crop((left, top, right, bottom))


def square_of(box: Box | None, width: int, height: int) -> tuple[float, float, float]:
    """Left, top and side of the middle square of what `cut_to_box` leaves of a picture of `width` x `height` pixels."""
    left, top, right, bottom = (0, 0, width, height) if box is None else cut_of(box, width, height)
    side = min(right - left, bottom - top)
    return (left + right - side) / 2, (top + bottom - side) / 2, side


def parts_in_square(example: Example, count: int) -> Tensor:
    """(count, 2) float32: x and y of every part as shares of the middle square that the packed picture shows; below 0
    or above 1 beside it, NaN where a part is not seen."""
    where = torch.full((count, 2), math.nan)
    if example.parts:
        left, top, side = square_of(example.box, *size_of(example))
        for column, point in enumerate(example.parts):
            if point is not None:
                where[column] = torch.tensor([(point[0] - left) / side, (point[1] - top) / side])
    return where


def box_in_square(example: Example, width: int, height: int) -> Box:
    """Follows the box around the object of a picture of `width` x `height` pixels through the cut and the middle square
    of it: x, y, width and height as shares of that square, over whose border it may reach."""
    box = example.box or example.extent
    assert box is not None
    x, y, w, h = box
    x0, y0, side = square_of(example.box, width, height)
    return (x - x0) / side, (y - y0) / side, w / side, h / side


_one_large_picture = threading.Lock()


def _file_of(image: Path | Member) -> BinaryIO:
    return image.open() if isinstance(image, Member) else open_regular(image)


def size_of(example: Example) -> tuple[int, int]:
    """Width and height of a picture as it is shown, without decoding it."""
    if not isinstance(example.image, Path | Member):
        known: tuple[int, int] | None = getattr(example.image, "size", None)
        return known or example.image().size
    with _file_of(example.image) as file:
        return picture_size(file)


def open_picture(example: Example) -> Image.Image:
    """The picture of an example as it is shown: RGB, turned as its EXIF data says.

    Raises:
        Unusable: the file is no picture, or no regular file.
    """
    try:
        if not isinstance(example.image, Path | Member):
            return to_rgb(example.image())
        with _file_of(example.image) as file:
            return read_picture(file)
    except PictureError as error:
        raise Unusable(error.reason, error.detail) from error
    except DataError as error:
        raise Unusable("no regular file", str(error)) from error
    except OSError as error:
        raise Unusable(f"not a readable picture ({type(error).__name__})") from error


def encode_picture(example: Example, size: int, quality: int) -> bytes:
    """One picture, cut, shrunk to a short side of `size` pixels, as WebP.

    Raises:
        Unusable: the file is no picture, a tiny or an endless one, or its box lies outside it.
    """
    with _one_large_picture if _is_large(example) else nullcontext():
        return _encode(example, size, quality)


def _is_large(example: Example) -> bool:
    """Whether a picture takes so much memory that no other of the kind is to be decoded beside it."""
    if not isinstance(example.image, Path | Member):
        return False
    try:
        return math.prod(size_of(example)) > LARGE
    except Exception:  # it is opened again, and what is wrong said there
        return False


def _encode(example: Example, size: int, quality: int) -> bytes:
    image = cut_to_box(open_picture(example), example.box)
    short = min(image.size)
    if short < SMALLEST:
        raise Unusable(f"smaller than {SMALLEST} pixels", f"{image.width} x {image.height} pixels")
    if short > size:
        scale = size / short
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    if max(image.size) > LONGEST_WEBP:
        raise Unusable(f"longer than {LONGEST_WEBP} pixels", f"{image.width} x {image.height} pixels")
    out = io.BytesIO()
    image.save(out, "WEBP", quality=quality, method=2)
    return out.getvalue()


def pack(
    name: str, root: Path | None, out: Path, size: int, quality: int, part_size: int, strict: bool
) -> dict[str, Any]:
    """Packs a data set; returns what was written into pack.json, and prints what was left out.

    Args:
        root: the data set's folder; None for one that needs none.
        size: short side of the stored pictures, in pixels; smaller ones stay as they are.
        quality: of WebP, 0 to 100.
        part_size: largest file of pictures, in MiB.

    Raises:
        DataError: the data set cannot be read, a split is empty, or `strict` and something had to be left out.
        FileNotFoundError: the data set, or a part of it, is missing.
    """
    if root is not None and out.resolve() == root.resolve():
        raise DataError(f"{out}: the data set itself is there; pack it into a folder of its own")
    listing = find_dataset(name).read(root) if root is not None else find_dataset(name).read()
    for line in listing.understood:
        print(readable(line))
    _check_keys(listing)
    for split, examples in listing.splits.items():
        if not examples:
            _say(listing.left_out)
            raise DataError(f"the split {split!r} of {name} has no usable picture")
    staging = out / "unfinished"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        content = _write(name, listing, staging, size, quality, part_size, strict)
        _put_in_place(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        with suppress(OSError):
            out.rmdir()  # if there is nothing in it
    return content


def _check_keys(listing: Listing) -> None:
    seen: dict[str, str] = {}
    for split, examples in listing.splits.items():
        for example in examples:
            if example.key in seen:
                raise DataError(f"{example.place}: {example.key} is in {seen[example.key]} and again in {split}")
            seen[example.key] = split


def _write(
    name: str, listing: Listing, folder: Path, size: int, quality: int, part_size: int, strict: bool
) -> dict[str, Any]:
    """Writes all files, pack.json last."""
    left_out = list(listing.left_out)
    _hold_to(strict, left_out)
    listing = replace(listing, splits={split: _bounded(some, left_out) for split, some in listing.splits.items()})
    captions = [c for examples in listing.splits.values() for e in examples for c in e.captions]
    vocabulary = Vocabulary.from_captions(captions)
    if len(vocabulary) > 32767:
        raise DataError(f"{len(vocabulary)} different words; at most 32,767 can be packed")
    _warn_of_lost_letters(captions)
    counts = {}
    seen = Counter[int]()
    for split, examples in listing.splits.items():
        kept, tokens, offsets = [], [], [0]
        with (
            _Parts(folder, split, part_size * 2**20) as parts,
            closing(_encoded(examples, size, quality, split)) as attempts,
        ):
            for example, encoded in attempts:
                ids = [vocabulary.encode(tokenize(caption)) for caption in example.captions]
                ids = [caption for caption in ids if caption]
                if isinstance(encoded, Unusable):
                    detail = f": {encoded.detail}" if encoded.detail else ""
                    left_out.append(LeftOut(encoded.reason, example.place + detail))
                elif not ids:
                    left_out.append(LeftOut("no caption with a word", example.place))
                else:
                    parts.write(encoded)
                    kept.append(example)
                    tokens.append(ids)
                    if split == "train":
                        seen.update(word for caption in ids for word in caption)
                    offsets.append(offsets[-1] + len(encoded))
        if not kept:
            _say(left_out)
            raise DataError(f"the split {split!r} of {name} has no usable picture")
        _write_split(folder, split, kept, tokens, offsets, listing.part_names)
        counts[split] = len(kept)
    vocabulary = replace(vocabulary, counts=tuple(seen[index] for index in range(len(vocabulary))))
    vocabulary.save(folder / "vocabulary.json")
    _hold_to(strict, left_out)
    _say(left_out)
    names = sorted(path.name for path in folder.iterdir())
    content = {
        "format": 1,
        "dataset": name,
        "size": size,
        "counts": counts,
        "left_out": dict(count_reasons(left_out)),
        "vocabulary": vocabulary.hash,
        "files": {name: sha256(folder / name) for name in names},
    }
    write_text(folder / "pack.json", json.dumps(content, indent=2) + "\n")
    return content


def _bounded(examples: list[Example], left_out: list[LeftOut]) -> list[Example]:
    """The examples with no caption of more than MOST_WORDS words and no more than MOST_CAPTIONS captions: a table of
    all tokens has room for the longest in every row."""
    kept = []
    for example in examples:
        captions = example.captions
        if len(captions) > MOST_CAPTIONS:
            left_out.append(LeftOut(f"all but the first {MOST_CAPTIONS:,} captions of a picture", example.place))
            captions = captions[:MOST_CAPTIONS]
        if any(len(caption) > MOST_WORDS and len(caption.split()) > MOST_WORDS for caption in captions):
            left_out.append(LeftOut(f"all but the first {MOST_WORDS:,} words of a caption", example.place))
            captions = tuple(" ".join(caption.split()[:MOST_WORDS]) for caption in captions)
        kept.append(example if captions is example.captions else replace(example, captions=captions))
    return kept


def _write_split(
    folder: Path,
    split: str,
    examples: list[Example],
    tokens: list[list[list[int]]],
    offsets: list[int],
    part_names: tuple[str, ...],
) -> None:
    """Tokens, keys and parts of the pictures of one split."""
    groups = sorted({example.group for example in examples})
    index = {group: number for number, group in enumerate(groups)}
    most, longest = max(map(len, tokens)), max(len(caption) for of_one in tokens for caption in of_one)
    table = torch.zeros(len(examples), most, longest, dtype=torch.int16)
    for row, of_one in enumerate(tokens):
        for column, caption in enumerate(of_one):
            table[row, column, : len(caption)] = torch.tensor(caption, dtype=torch.int16)
    tensors = {
        "tokens": table,
        "counts": torch.tensor([len(of_one) for of_one in tokens], dtype=torch.int32),
        "groups": torch.tensor([index[example.group] for example in examples], dtype=torch.int32),
        "offsets": torch.tensor(offsets, dtype=torch.int64),
    }
    keys: dict[str, list[str]] = {"keys": [example.key for example in examples], "groups": groups}
    if part_names:
        tensors["parts"] = torch.stack([parts_in_square(example, len(part_names)) for example in examples])
        keys["parts"] = list(part_names)
    if any(example.box or example.extent for example in examples):
        known = [
            box_in_square(example, *size_of(example)) if example.box or example.extent else (math.nan,) * 4
            for example in examples
        ]
        tensors["boxes"] = torch.tensor(known)
    (folder / f"{split}.safetensors").write_bytes(save(tensors))
    write_text(folder / f"{split}.keys.json", json.dumps(keys) + "\n")


def _put_in_place(staging: Path, out: Path) -> None:
    """Exchanges what was packed before, and what was computed from it, for the new files; pack.json comes last."""
    for computed in CACHES:
        for path in [*(out / computed).glob("*.npy"), *(out / computed).glob("*.part")]:
            path.unlink()
    old = {}
    with suppress(FileNotFoundError, DataError):  # nothing there, or damaged, which is why it is packed again
        old = _manifest(out)["files"]
    (out / "pack.json").unlink(missing_ok=True)
    for name in old:
        (out / Path(name).name).unlink(missing_ok=True)
    for path in sorted(staging.iterdir(), key=lambda path: path.name == "pack.json"):
        os.replace(path, out / path.name)


def _say(left_out: list[LeftOut]) -> None:
    """Prints how much was left out, by reason, with the first few of each."""
    for line in describe_left_out(left_out):
        print(readable(line), file=sys.stderr)


def _hold_to(strict: bool, left_out: list[LeftOut]) -> None:
    if strict and left_out:
        _say(left_out)
        counted = ", ".join(f"{count} x {reason}" for reason, count in count_reasons(left_out).most_common())
        raise DataError(f"nothing was packed, because nothing may be left out, and this would be: {counted}")


def _warn_of_lost_letters(captions: list[str]) -> None:
    """The papers' tokeniser drops letters outside ASCII; nobody should learn that from the results."""
    lossy = [c for c in captions if not c.isascii() and any(letter.isalnum() and not letter.isascii() for letter in c)]
    if lossy:
        words = " ".join(tokenize(lossy[0]))
        print(
            f"note: {len(lossy)} captions have letters outside ASCII, which are dropped: "
            f"{lossy[0][:60]!r} is read as {words[:60]!r}",
            file=sys.stderr,
        )


def _encoded(
    examples: list[Example], size: int, quality: int, split: str
) -> Generator[tuple[Example, bytes | Unusable], None, None]:
    def attempt(example: Example) -> bytes | Unusable:
        try:
            return encode_picture(example, size, quality)
        except Unusable as error:
            return error

    pool = ThreadPoolExecutor()
    try:
        with tqdm(total=len(examples), desc=f"pack {split}", unit="pic") as bar:
            for start in range(0, len(examples), CHUNK):
                chunk = examples[start : start + CHUNK]
                for example, encoded in zip(chunk, pool.map(attempt, chunk), strict=True):
                    yield example, encoded
                    bar.update()
    finally:
        pool.shutdown(cancel_futures=True)  # whoever presses Ctrl-C does not wait for the rest of the chunk


class _Parts:
    """A run of bytes, cut into files of at most `limit` bytes. A picture may go across two of them."""

    def __init__(self, folder: Path, split: str, limit: int) -> None:
        self.folder, self.split, self.limit = folder, split, limit
        self.number, self.room = 0, limit
        self.file = self._path().open("wb")

    def _path(self) -> Path:
        return self.folder / f"{self.split}-{self.number:02}.webp"

    def write(self, content: bytes) -> None:
        while content:
            if self.room == 0:
                self.file.close()
                self.number, self.room = self.number + 1, self.limit
                self.file = self._path().open("wb")
            self.file.write(content[: self.room])
            content, self.room = content[self.room :], max(0, self.room - len(content))

    def __enter__(self) -> "_Parts":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
