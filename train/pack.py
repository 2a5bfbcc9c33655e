"""python -m train.pack birds ../data/birds --out packed/birds

Turns a data set into a few files that load in seconds and need neither nltk nor the original folder:

    pack.json              what is in here: splits, counts, what was left out, sha256 of every file
    vocabulary.json        all words, by frequency, then alphabet
    <split>.safetensors    tokens (N, K, L) int16 padded with 0, counts (N,) captions a picture, groups (N,) int32,
                           offsets (N + 1,): where each picture starts in the run of pictures; parts (N, P, 2) float32,
                           if the data set has any: x and y of every part as shares of the picture's middle square
    <split>.keys.json      the key of every picture, the names of the groups and of the parts
    <split>-00.webp ...    the pictures as one run of WebP files, cut into parts of at most --part-size MiB

Pictures are turned as their EXIF data says, cut to the square of 1.5 x the bounding box where there is a box (clipped
at the border, as AttnGAN cuts it), made RGB, and shrunk so that the short side has --size pixels. They are decoded
once, at the size that is asked for, into an array that is mapped from disk: an epoch never waits for a decoder.

The files are written into <out>/unfinished and moved to their place when all of them are whole. Whatever ends the
packing before leaves <out> as it was.
"""

import argparse
import io
import json
import math
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from tqdm import tqdm

from mirrorgan.checkpoint import sha256
from mirrorgan.console import escape_unencodable
from mirrorgan.images import PictureError, picture_size, read_picture, to_rgb
from mirrorgan.plugins import documentation
from mirrorgan.vocabulary import Vocabulary, tokenize
from train.caption_files import describe_formats
from train.datasets import available_datasets, find_dataset, needs_folder
from train.datasets.base import (
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
    read_json,
    shown,
)
from train.files import write_text

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


_one_large_picture = threading.Lock()


def _file_of(image: Path | Member) -> BinaryIO:
    return image.open() if isinstance(image, Member) else open_regular(image)


def size_of(example: Example) -> tuple[int, int]:
    """Width and height of a picture as it is shown, without decoding it."""
    if not isinstance(example.image, Path | Member):
        return example.image().size
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


def pack(name: str, root: Path | None, out: Path, size: int, quality: int, part_size: int, strict: bool) -> dict:
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
        _print(line)
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


def _write(name: str, listing: Listing, folder: Path, size: int, quality: int, part_size: int, strict: bool) -> dict:
    """Writes all files, pack.json last."""
    left_out = list(listing.left_out)
    _hold_to(strict, left_out)
    listing = replace(listing, splits={split: _bounded(some, left_out) for split, some in listing.splits.items()})
    captions = [c for examples in listing.splits.values() for e in examples for c in e.captions]
    vocabulary = Vocabulary.from_captions(captions)
    if len(vocabulary) > 32767:
        raise DataError(f"{len(vocabulary)} different words; at most 32,767 can be packed")
    _warn_of_lost_letters(captions)
    vocabulary.save(folder / "vocabulary.json")
    counts = {}
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
                    offsets.append(offsets[-1] + len(encoded))
        if not kept:
            _say(left_out)
            raise DataError(f"the split {split!r} of {name} has no usable picture")
        _write_split(folder, split, kept, tokens, offsets, listing.part_names)
        counts[split] = len(kept)
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
        print(shown(line), file=sys.stderr)


def _print(text: str) -> None:
    """Prints a line that may hold names of files, on a console of whatever encoding."""
    encoding = sys.stdout.encoding or "utf-8"
    print(shown(text).encode(encoding, "backslashreplace").decode(encoding))


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
            found = np.load(path, mmap_mode="r")
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
        return np.load(path, mmap_mode="r")

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
    )


def _manifest(folder: Path) -> dict:
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


def _check_content(path: Path, tensors: dict[str, Tensor], named: dict) -> None:
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


def _read(path: Path, how: Callable[[Path], dict]) -> dict:
    try:
        return how(path)
    except (SafetensorError, ValueError) as error:
        raise DataError(f"{path}: damaged ({error}); pack the data set again") from error


def _json(path: Path) -> dict:
    content = read_json(path)
    if not isinstance(content, dict):
        raise DataError(f"{type(content).__name__} where an object is expected")
    return content


def main() -> None:
    escape_unencodable()
    parser = argparse.ArgumentParser(
        prog="python -m train.pack",
        description=documentation(__name__, 1, 2),
        epilog=f"captions that the data set folder reads:\n{describe_formats()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("dataset", choices=available_datasets())
    parser.add_argument("root", type=Path, nargs="?", help="the data set's folder; what is drawn needs none")
    parser.add_argument("--out", type=Path, required=True, help="folder for the packed files")
    parser.add_argument("--size", type=int, default=264, help="short side of the stored pictures, in pixels")
    parser.add_argument("--quality", type=int, default=90, help="of WebP, 0 to 100")
    parser.add_argument("--part-size", type=int, default=48, help="largest file of pictures, in MiB")
    parser.add_argument("--strict", action="store_true", help="fail if anything had to be left out")
    given = parser.parse_args()
    if given.root is None and needs_folder(given.dataset):
        parser.error(f"{given.dataset} needs its folder: python -m train.pack {given.dataset} FOLDER --out {given.out}")
    for name, least, most in (("size", SMALLEST, LONGEST_WEBP), ("quality", 0, 100), ("part_size", 1, 2**20)):
        if not least <= getattr(given, name) <= most:
            option = name.replace("_", "-")
            parser.error(f"--{option} must be from {least} to {most}, not {getattr(given, name)}")
    start = time.monotonic()
    try:
        content = pack(given.dataset, given.root, given.out, given.size, given.quality, given.part_size, given.strict)
    except (DataError, SafetensorError) as error:
        sys.exit(f"error: {shown(str(error))}")
    except OSError as error:
        after = f" while packing; {given.out} is as it was before" if error.errno else ""  # the system's own sentence
        sys.exit(f"error: {error}{after}")
    except KeyboardInterrupt:
        sys.exit(f"stopped; {given.out} is as it was before")
    counted = " and ".join(f"{count} {split}" for split, count in content["counts"].items())
    written = sum((given.out / name).stat().st_size for name in content["files"]) / 2**20
    _print(
        f"packed {counted} pictures into {given.out}: {written:.1f} MiB, {time.monotonic() - start:.1f} s; "
        f"left out: {sum(content['left_out'].values()) or 'nothing'}"
    )


if __name__ == "__main__":
    main()
