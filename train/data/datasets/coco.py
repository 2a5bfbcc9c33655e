"""COCO captions, 2014 or 2017, as downloaded from cocodataset.org.

    annotations/captions_train2014.json, annotations/captions_val2014.json    (or 2017)
    train2014/, val2014/                                     the pictures; they may be in a folder images/

The pictures of train are the split "train", those of val the split "test". Both years have the same pictures, divided
in another way: where both are there, 2014 is read, as in the papers. Five captions a picture are used. A picture is
used whole and is a group of its own: the boxes and classes of instances_*.json are not needed and not read.

Lin et al., "Microsoft COCO: Common Objects in Context" (ECCV 2014); Chen et al., "Microsoft COCO Captions" (2015).
"""

import json
from pathlib import Path
from typing import Any

from PIL import Image

from train.data.datasets.base import (
    DataError,
    Example,
    FilesByName,
    LeftOut,
    Listing,
    find_files,
    inside,
    read_json,
    short,
)

CAPTIONS_PER_IMAGE = 5
YEARS = ("2014", "2017")
SPLITS = {"train": "train", "test": "val"}


def read(root: Path) -> Listing:
    """Lists the captioned pictures of one year. What has no caption or no file is passed over and counted.

    Raises:
        FileNotFoundError: captions or pictures are missing; the message names what is.
        DataError: a file of captions is not what COCO publishes.
    """
    year = _find_year(root)
    splits: dict[str, list[Example]] = {}
    left_out: list[LeftOut] = []
    for split, name in SPLITS.items():
        folder, table = f"{name}{year}", root / "annotations" / f"captions_{name}{year}.json"
        splits[split] = _read_split(_pictures(root, folder) or root / folder, folder, table, left_out)
    return Listing(splits, left_out)


def _find_year(root: Path) -> str:
    """The year of which everything is there."""
    missing: dict[str, list[str]] = {}
    for year in YEARS:
        wanted = [f"{name}{year}" for name in SPLITS.values()]
        missing[year] = [f"annotations/captions_{name}.json" for name in wanted]
        missing[year] = [path for path in missing[year] if not (root / path).exists()]
        missing[year] += [name for name in wanted if _pictures(root, name) is None]
        if not missing[year]:
            return year
    nearest = min(YEARS, key=lambda year: len(missing[year]))
    raise FileNotFoundError(
        f"{root}: no {', no '.join(missing[nearest])}; the layout is in train/data/datasets/coco.py"
    )


def _pictures(root: Path, name: str) -> Path | None:
    """The folder of the pictures of a split, if it is there."""
    return next((folder for folder in (root / name, root / "images" / name) if folder.is_dir()), None)


def _read_split(folder: Path, prefix: str, table: Path, left_out: list[LeftOut]) -> list[Example]:
    images, annotations = _read_table(table)
    names: dict[int, str] = {}
    for number, image in enumerate(images):
        index, name = _fields(image, {"id": int, "file_name": str}, f"{table}: images[{number}]")
        if index in names:
            raise DataError(f"{table}: images[{number}]: the id {index} is listed for the second time")
        names[index] = inside(folder, name, f"{table}: images[{number}]")
    captions: dict[int, list[str]] = {index: [] for index in names}
    empty = []
    for number, annotation in enumerate(annotations):
        where = f"{table}: annotations[{number}]"
        index, caption = _fields(annotation, {"image_id": int, "caption": str}, where)
        if index not in captions:
            left_out.append(LeftOut("caption of an unknown picture", f"{where}: image_id {index}"))
        elif not caption.strip():
            empty.append((index, where))
        else:
            captions[index].append(" ".join(caption.split()))

    left_out += [LeftOut("empty caption", f"{where}: {names[index]}") for index, where in empty if captions[index]]
    files, by_name = set(find_files(folder, left_out=left_out)), FilesByName(folder)
    examples: list[Example] = []
    used: set[str] = set()
    for index, name in names.items():
        if not captions[index]:
            left_out.append(LeftOut("no caption", str(folder / name)))
        elif (path := folder / name if name in files else by_name.find(name)) is None:
            left_out.append(LeftOut("no picture file", by_name.missing(name)))
        else:
            key = f"{prefix}/{Path(name).with_suffix('').as_posix()}"
            used.add(path.relative_to(folder).as_posix())
            examples.append(Example(key, path, tuple(captions[index][:CAPTIONS_PER_IMAGE]), key))
    uncaptioned = sorted(files - set(names.values()) - used)
    left_out += [LeftOut("no caption", str(folder / name)) for name in uncaptioned]
    return examples


def _read_table(table: Path) -> tuple[list[Any], list[Any]]:
    content = read_json(table)
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in ("images", "annotations")):
        raise DataError(f'{table}: not COCO\'s captions: it needs the lists "images" and "annotations"')
    return content["images"], content["annotations"]


def _fields(entry: Any, kinds: dict[str, type], where: str) -> list[Any]:
    """Some fields of an entry, each held to its type."""
    for name, kind in kinds.items():
        if not isinstance(entry, dict) or not isinstance(entry.get(name), kind):
            raise DataError(f"{where}: it needs {name!r} of type {kind.__name__}; found {short(entry)}")
    return [entry[name] for name in kinds]


def write_example(root: Path) -> None:
    """Four tiny pictures in the layout of 2017."""
    (root / "annotations").mkdir(parents=True)
    colours = {"train": ["red", "blue", "grey"], "val": ["green"]}
    for name, of_split in colours.items():
        (root / f"{name}2017").mkdir()
        images, annotations = [], []
        for index, colour in enumerate(of_split, start=len(name) * 100):
            Image.new("RGB", (60, 40), colour).save(root / f"{name}2017" / f"{index:012}.jpg")
            images.append({"license": 1, "file_name": f"{index:012}.jpg", "height": 40, "width": 60, "id": index})
            for number in range(5):
                caption = f"A {colour} wall, seen {number} times. "
                annotations.append({"image_id": index, "id": 10 * index + number, "caption": caption})
        content = {"info": {}, "licenses": [], "images": images, "annotations": annotations[::-1]}
        (root / "annotations" / f"captions_{name}2017.json").write_text(json.dumps(content), encoding="utf-8")
