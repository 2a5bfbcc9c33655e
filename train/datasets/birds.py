"""CUB-200-2011 with Reed et al.'s captions, in the folder layout that AttnGAN and MirrorGAN use.

    CUB_200_2011/images.txt                    "id class/name.jpg" a line
    CUB_200_2011/images/<class>/<name>.jpg
    CUB_200_2011/bounding_boxes.txt            "id x y width height" a line; may be missing
    text/<class>/<name>.txt                    one caption a line, ten are used
    train/filenames.pickle, test/filenames.pickle    lists of "<class>/<name>": 150 and 50 classes apart

Photographs belong to their owners; the data set is for non-commercial research.
"""

import io
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

from train.datasets.base import DataError, Example, Listing

CAPTIONS_PER_IMAGE = 10


def read(root: Path) -> Listing:
    """Lists train and test pictures. Pictures without a caption or file are passed over and counted.

    Raises:
        FileNotFoundError: a table is missing.
        DataError: a table cannot be read.
    """
    cub = root / "CUB_200_2011"
    names = {index: name for index, name in _rows(cub / "images.txt", 2)}
    ids = {Path(name).with_suffix("").as_posix(): index for index, name in names.items()}
    boxes_file = cub / "bounding_boxes.txt"
    boxes = {row[0]: row[1:] for row in _rows(boxes_file, 5)} if boxes_file.exists() else {}

    splits: dict[str, list[Example]] = {}
    left_out: Counter[str] = Counter()
    for split in ("train", "test"):
        splits[split] = []
        for key in read_name_list(root / split / "filenames.pickle"):
            if key not in ids:
                left_out["not in images.txt"] += 1
                continue
            image = cub / "images" / names[ids[key]]
            captions = _captions(root / "text" / f"{key}.txt")
            if not image.is_file():
                left_out["no picture file"] += 1
            elif not captions:
                left_out["no caption"] += 1
            else:
                box = boxes.get(ids[key])
                splits[split].append(
                    Example(key, image, captions, key.split("/")[0], _box(box, boxes_file) if box else None)
                )
    return Listing(splits, left_out)


def _rows(path: Path, columns: int) -> list[tuple[str, ...]]:
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        row = tuple(line.split())
        if not row:
            continue
        if len(row) != columns:
            raise DataError(f"{path}, line {number}: {len(row)} columns where {columns} are expected: {line[:80]!r}")
        rows.append(row)
    return rows


def _box(row: tuple[str, ...], path: Path) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = (float(value) for value in row)
    except ValueError as error:
        raise DataError(f"{path}: not a box of four numbers: {' '.join(row)}") from error
    return x, y, width, height


def _captions(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return tuple(line.strip() for line in lines if line.strip())[:CAPTIONS_PER_IMAGE]


class _ListUnpickler(pickle.Unpickler):
    """Reads lists of strings and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which a list of names never needs")


def read_name_list(path: Path) -> list[str]:
    """A pickled list of strings, as Python 2 or 3 wrote it; nothing else is allowed in it.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it holds anything but a list of strings.
    """
    try:
        names = _ListUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except FileNotFoundError:
        raise
    except Exception as error:
        raise DataError(f"{path}: not a pickled list of names ({error})") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: expected a list of names, found {type(names).__name__}")
    return names


def write_example(root: Path) -> None:
    """A folder of three tiny pictures in this layout."""
    from PIL import Image

    keys = ["001.Red_Bird/Red_Bird_0001", "002.Blue_Bird/Blue_Bird_0001", "003.Grey_Bird/Grey_Bird_0001"]
    cub = root / "CUB_200_2011"
    cub.mkdir(parents=True)
    for key, colour in zip(keys, ("red", "blue", "grey"), strict=True):
        for folder in (cub / "images" / key, root / "text" / key):
            folder.parent.mkdir(parents=True)
        Image.new("RGB", (60, 40), colour).save(cub / "images" / f"{key}.jpg")
        (root / "text" / f"{key}.txt").write_text(f"a {colour} bird\nthis bird is {colour}\n" * 5)
    (cub / "images.txt").write_text("".join(f"{i} {key}.jpg\n" for i, key in enumerate(keys, start=1)))
    (cub / "bounding_boxes.txt").write_text("".join(f"{i} 20.0 10.0 20.0 20.0\n" for i in (1, 2, 3)))
    for split, chosen in (("train", keys[:2]), ("test", keys[2:])):
        (root / split).mkdir()
        (root / split / "filenames.pickle").write_bytes(pickle.dumps(chosen, protocol=2))
