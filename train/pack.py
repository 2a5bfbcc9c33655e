"""python -m train.pack birds ../data/birds --out packed/birds

Turns a data set into a few files that load in seconds and need neither nltk nor the original folder:

    pack.json              what is in here: splits, counts, what was left out, sha256 of every file
    vocabulary.json        all words, by frequency, then alphabet
    <split>.safetensors    tokens (N, K, L) int16 padded with 0, counts (N,) captions a picture, groups (N,) int32,
                           offsets (N + 1,): where each picture starts in the run of pictures
    <split>.keys.json      the key of every picture, the names of the groups
    <split>-00.webp ...    the pictures as one run of WebP files, cut into parts of at most --part-size MiB

Pictures are cut to the square of 1.5 x the bounding box where there is a box (clipped at the border, as AttnGAN
cuts it), made RGB, and shrunk so that the short side has --size pixels. They are decoded once, at the size that is
asked for, into an array that is mapped from disk: an epoch never waits for a decoder.
"""

import argparse
import io
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from mirrorgan.checkpoint import sha256
from mirrorgan.vocabulary import Vocabulary, tokenize
from train.datasets import available_datasets, find_dataset
from train.datasets.base import DataError, Example

CHUNK = 256  # pictures that are decoded together


def cut_to_box(image: Image.Image, box: tuple[float, float, float, float] | None) -> Image.Image:
    """The square of 1.5 x the longer side of the box around its centre, clipped at the border (so not always square).

    r = int(0.75 max(w, h)), centre = int((2x + w) / 2), int((2y + h) / 2), as in AttnGAN's released code.

    Raises:
        DataError: the box lies outside the picture.
    """
    if box is None:
        return image
    x, y, w, h = box
    r, cx, cy = int(0.75 * max(w, h)), int((2 * x + w) / 2), int((2 * y + h) / 2)
    left, top = max(0, cx - r), max(0, cy - r)
    right, bottom = min(image.width, cx + r), min(image.height, cy + r)
    if right <= left or bottom <= top:
        raise DataError(f"the box {box} lies outside the picture of {image.width} x {image.height} pixels")
    return image.crop((left, top, right, bottom))


def to_rgb(image: Image.Image) -> Image.Image:
    """RGB from grey, palette or CMYK pictures; transparent places become white."""
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def encode_picture(example: Example, size: int, quality: int) -> bytes:
    """One picture, cut, shrunk to a short side of `size` pixels, as WebP.

    Raises:
        DataError: the file is no picture, or its box lies outside it.
    """
    try:
        with Image.open(example.image) as opened:
            opened.load()
            image = cut_to_box(to_rgb(opened), example.box)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as error:
        raise DataError(f"not a readable picture ({type(error).__name__})") from error
    short = min(image.size)
    if short > size:
        scale = size / short
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=quality, method=2)
    return out.getvalue()


def pack(name: str, root: Path, out: Path, size: int, quality: int, part_size: int, strict: bool) -> dict:
    """Packs a data set; returns what was written into pack.json.

    Raises:
        DataError: a split is empty, or `strict` and something had to be left out.
    """
    listing = find_dataset(name).read(root)
    left_out, problems = Counter(listing.left_out), []
    captions = [c for examples in listing.splits.values() for e in examples for c in e.captions]
    vocabulary = Vocabulary.from_captions(captions)
    if len(vocabulary) > 32767:
        raise DataError(f"{len(vocabulary)} different words; at most 32,767 can be packed")
    out.mkdir(parents=True, exist_ok=True)
    (out / "pack.json").unlink(missing_ok=True)
    for made_of_older_pictures in ("decoded", "features"):
        shutil.rmtree(out / made_of_older_pictures, ignore_errors=True)
    vocabulary.save(out / "vocabulary.json")
    counts = {}
    for split, examples in listing.splits.items():
        kept, tokens, offsets = [], [], [0]
        parts = _Parts(out, split, part_size * 2**20)
        for example, encoded in _encoded(examples, size, quality, split):
            ids = [vocabulary.encode(tokenize(caption)) for caption in example.captions]
            ids = [caption for caption in ids if caption]
            if isinstance(encoded, DataError) or not ids:
                reason = str(encoded) if isinstance(encoded, DataError) else "no caption with a word"
                left_out[reason] += 1
                problems.append(f"{example.image}: {reason}")
                continue
            parts.write(encoded)
            kept.append(example)
            tokens.append(ids)
            offsets.append(offsets[-1] + len(encoded))
        parts.close()
        if not kept:
            raise DataError(f"{root}: the split {split!r} of {name} has no usable picture")
        groups = sorted({example.group for example in kept})
        index = {group: number for number, group in enumerate(groups)}
        most, longest = max(map(len, tokens)), max(len(caption) for of_one in tokens for caption in of_one)
        table = torch.zeros(len(kept), most, longest, dtype=torch.int16)
        for row, of_one in enumerate(tokens):
            for column, caption in enumerate(of_one):
                table[row, column, : len(caption)] = torch.tensor(caption, dtype=torch.int16)
        save_file(
            {
                "tokens": table,
                "counts": torch.tensor([len(of_one) for of_one in tokens], dtype=torch.int32),
                "groups": torch.tensor([index[example.group] for example in kept], dtype=torch.int32),
                "offsets": torch.tensor(offsets, dtype=torch.int64),
            },
            out / f"{split}.safetensors",
        )
        (out / f"{split}.keys.json").write_text(
            json.dumps({"keys": [example.key for example in kept], "groups": groups}) + "\n"
        )
        counts[split] = len(kept)
    for problem in problems[:20]:
        print(f"left out: {problem}", file=sys.stderr)
    if strict and left_out:
        raise DataError(f"{sum(left_out.values())} examples cannot be used: {dict(left_out)}")
    names = sorted(path.name for path in out.iterdir() if path.is_file() and path.name != "pack.json")
    content = {
        "format": 1,
        "dataset": name,
        "size": size,
        "counts": counts,
        "left_out": dict(left_out),
        "vocabulary": vocabulary.hash,
        "files": {name: sha256(out / name) for name in names},
    }
    (out / "pack.json").write_text(json.dumps(content, indent=2) + "\n")
    return content


def _encoded(
    examples: list[Example], size: int, quality: int, split: str
) -> Iterator[tuple[Example, bytes | DataError]]:
    def attempt(example: Example) -> bytes | DataError:
        try:
            return encode_picture(example, size, quality)
        except DataError as error:
            return error

    with ThreadPoolExecutor() as pool, tqdm(total=len(examples), desc=f"pack {split}", unit="pic") as bar:
        for start in range(0, len(examples), CHUNK):
            chunk = examples[start : start + CHUNK]
            for example, encoded in zip(chunk, pool.map(attempt, chunk), strict=True):
                yield example, encoded
                bar.update()


class _Parts:
    """A run of bytes, cut into files of at most `limit` bytes. A picture may go across two of them."""

    def __init__(self, folder: Path, split: str, limit: int) -> None:
        for old in folder.glob(f"{split}-*.webp"):
            old.unlink()
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

    def close(self) -> None:
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
        parts = sorted(self.folder.glob(f"{self.name}-*.webp"), key=lambda part: int(part.stem.rsplit("-", 1)[1]))
        check_files(self.folder, [part.name for part in parts])
        blob = b"".join(part.read_bytes() for part in parts)
        if len(blob) != int(self.offsets[-1]):
            raise DataError(f"{self.folder}: the pictures of {self.name} are incomplete; pack the data set again")
        spans = list(zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True))
        unfinished = path.with_suffix(".part")
        pixels = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
        with ThreadPoolExecutor() as pool:
            decoded = pool.map(partial(_decode, blob, size=size), spans)
            for row, picture in enumerate(tqdm(decoded, total=len(spans), desc=f"decode {self.name}", unit="pic")):
                pixels[row] = picture
        pixels.flush()
        del pixels
        unfinished.rename(path)
        return np.load(path, mmap_mode="r")


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
    content = _read(folder / "pack.json", _json)
    if split not in content["counts"]:
        raise DataError(f"{folder}: no split {split!r}; there are: {', '.join(content['counts'])}")
    check_files(folder, ["vocabulary.json", f"{split}.safetensors", f"{split}.keys.json"])
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    tensors = _read(folder / f"{split}.safetensors", load_file)
    keys = _read(folder / f"{split}.keys.json", _json)["keys"]
    return PackedSplit(
        folder, split, keys, tensors["tokens"], tensors["counts"], tensors["groups"], tensors["offsets"], vocabulary
    )


def check_files(folder: Path, names: list[str]) -> None:
    """Holds files of a packed data set to pack.json.

    Raises:
        FileNotFoundError: one is missing.
        DataError: one was changed, cut short or exchanged, or pack.json does not name it.
    """
    expected = _read(folder / "pack.json", _json).get("files", {})
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
    return json.loads(path.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m train.pack", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("dataset", choices=available_datasets())
    parser.add_argument("root", type=Path, help="the data set's folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=264, help="short side of the stored pictures, in pixels")
    parser.add_argument("--quality", type=int, default=90, help="of WebP, 0 to 100")
    parser.add_argument("--part-size", type=int, default=48, help="largest file of pictures, in MiB")
    parser.add_argument("--strict", action="store_true", help="fail if anything had to be left out")
    given = parser.parse_args()
    try:
        content = pack(given.dataset, given.root, given.out, given.size, given.quality, given.part_size, given.strict)
    except (DataError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
    left = ", ".join(f"{count} x {reason}" for reason, count in content["left_out"].items()) or "nothing"
    print(f"packed {content['counts']} into {given.out}; left out: {left}")


if __name__ == "__main__":
    main()
