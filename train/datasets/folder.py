"""Your own pictures: a folder of them, with captions in one of three ways.

    captions.csv      a table with the columns file and caption; class, box and split may be added
    captions.jsonl    the same, one JSON object a line; caption may be a list, box is [x, y, width, height]
    <name>.txt        beside each picture <name>.jpg, one caption a line

A picture with several captions has several rows, a list, or several lines. Files are named relative to the folder.

class    pictures of one class are never each other's wrong pairs; without it, every picture is a class of its own
box      x y width height in pixels around what the captions speak of: the picture is cut to 1.5 x the longer side
split    train or test, for all pictures or for none

Beside a .txt, class and split come from the folders: below train/ and test/, if there are such, a picture's folder is
its class. If all pictures are of one class, every picture is a class of its own.

Without a split, a tenth of the pictures becomes the test split, chosen by a hash of the file name, so that more
pictures do not move earlier ones; of fewer than 80 pictures it is 8, of fewer than 32 a quarter.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from train.datasets.base import Box, DataError, Example, LeftOut, Listing, find_files, inside, read_text, share

TABLES = ("captions.csv", "captions.jsonl")
COLUMNS = ("file", "caption", "class", "box", "split")
REQUIRED = COLUMNS[:2]
FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "file": (str,),
    "caption": (str, list),
    "class": (str, int),
    "split": (str,),
}
SPLITS = ("train", "test")
TEST_SHARE = 0.1
SMALLEST_TEST = 8


@dataclass
class _Picture:
    """What the rows of one picture say together."""

    file: str
    listed: str
    """Where its first row is."""
    captions: list[str] = field(default_factory=list)
    facts: dict[str, tuple[Any, str]] = field(default_factory=dict)
    """Its class, box and split, and where each was said."""


def read(root: Path) -> Listing:
    """Lists the captioned pictures of a folder. What has no caption or no file is passed over and counted.

    Raises:
        FileNotFoundError: there is no such folder.
        DataError: it has no pictures or no captions, a table cannot be understood, or two rows contradict each other.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    files = find_files(root)
    tables = [root / name for name in TABLES if (root / name).is_file()]
    if len(tables) > 1:
        raise DataError(f"{root}: both {TABLES[0]} and {TABLES[1]}; keep one of them")
    if not files:
        raise DataError(f"{root}: no pictures below this folder")
    left_out: list[LeftOut] = []
    if not tables:
        pictures = _beside(root, files, left_out)
    else:
        rows = _csv_rows(tables[0]) if tables[0].suffix == ".csv" else _jsonl_rows(tables[0])
        pictures = _from_rows(root, rows, left_out)
        found = set(files)
        left_out += [LeftOut("no caption", str(root / name)) for name in files if name not in pictures]
        for name in [name for name in pictures if name not in found and not (root / name).is_file()]:
            left_out.append(LeftOut("no picture file", f"{pictures[name].listed}: {name}"))
            del pictures[name]
    for name in [name for name, picture in pictures.items() if not picture.captions]:
        left_out.append(LeftOut("no caption", f"{pictures[name].listed}: {name}"))
        del pictures[name]
    if len(pictures) < 2:
        raise DataError(
            f"{root}: {len(pictures)} pictures with a caption; there must be one to train on and one to test"
        )
    return Listing(_divide(root, pictures), left_out)


# ------------------------------------------------------------------------------------------------------- tables


def _csv_rows(table: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a CSV file below its header: where each begins, and its columns that are not blank."""
    reader = csv.reader(io.StringIO(read_text(table), newline=""), strict=True)
    header: list[str] | None = None
    while True:
        where = f"{table}, line {reader.line_num + 1}"
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{where}: not a row of a table ({error})") from error
        if values is None:
            break
        if not any(value.strip() for value in values):
            continue
        if header is None:
            header = [value.strip().lower() for value in values]
            _check_columns(header, where)
        elif len(values) != len(header):
            raise DataError(
                f"{where}: {len(values)} columns where the header has {len(header)}; "
                "a caption with a comma in it needs quotes around it"
            )
        else:
            row = {name: value.strip() for name, value in zip(header, values, strict=True) if value.strip()}
            yield where, row | ({"box": re.split(r"[\s,;]+", row["box"])} if "box" in row else {})
    if header is None:
        raise DataError(f"{table}: empty; its first line must name the columns: {', '.join(REQUIRED)}")


def _check_columns(names: list[str], where: str) -> None:
    missing = [name for name in REQUIRED if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    if missing or unknown or len(set(names)) < len(names):
        raise DataError(
            f"{where}: the columns must be {' and '.join(REQUIRED)}, and may be {', '.join(COLUMNS[2:])}, "
            f"with commas between them; found: {', '.join(names)[:120]}"
        )


def _jsonl_rows(table: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Objects of a JSONL file: where each is, and its fields that are not null."""
    for number, line in enumerate(read_text(table).split("\n"), start=1):
        where = f"{table}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: not JSON ({error.msg})") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}: one object a line is expected, found {line.strip()[:80]}")
        if "file" not in row or not set(row) <= set(COLUMNS):
            raise DataError(
                f"{where}: the fields must be {' and '.join(REQUIRED)}, and may be {', '.join(COLUMNS[2:])}; "
                f"found: {', '.join(row)[:120]}"
            )
        for name, kinds in FIELD_TYPES.items():
            if row.get(name) is not None and not isinstance(row[name], kinds):
                raise DataError(f"{where}: {name} cannot be {str(row[name])[:80]}")
        if isinstance(row.get("caption"), list) and not all(isinstance(caption, str) for caption in row["caption"]):
            raise DataError(f"{where}: caption must be a sentence or a list of sentences")
        yield where, {name: value for name, value in row.items() if value is not None}


def _from_rows(root: Path, rows: Iterator[tuple[str, dict[str, Any]]], left_out: list[LeftOut]) -> dict[str, _Picture]:
    """Pictures by file, in the order of their first rows."""
    pictures: dict[str, _Picture] = {}
    empty = []
    for where, row in rows:
        name = inside(root, row.get("file", ""), where)
        picture = pictures.setdefault(name, _Picture(name, where))
        captions = row.get("caption", "")
        for caption in [captions] if isinstance(captions, str) else captions:
            caption = " ".join(caption.split())
            if not caption:
                empty.append((name, where))
            elif caption in picture.captions:
                left_out.append(LeftOut("the same caption of a picture again", f"{where}: {name}"))
            else:
                picture.captions.append(caption)
        facts = {"class": str(row.get("class", "")).strip(), "box": _box(row, where), "split": row.get("split")}
        for kind, value in facts.items():
            if value in (None, ""):
                continue
            before, line = picture.facts.setdefault(kind, (value, where))
            if before != value:
                raise DataError(f"{where}: {kind} {value!r} of {name}, but {before!r} in {line.rsplit(', ', 1)[1]}")
    left_out += [LeftOut("empty caption", f"{where}: {name}") for name, where in empty if pictures[name].captions]
    return pictures


def _box(row: dict[str, Any], where: str) -> Box | None:
    if "box" not in row:
        return None
    values = row["box"]
    try:
        x, y, width, height = (float(value) for value in values)
        valid = math.isfinite(x) and math.isfinite(y) and 0 < width < math.inf and 0 < height < math.inf
    except (TypeError, ValueError):
        valid = False
    if not valid:
        said = " ".join(map(str, values)) if isinstance(values, list) else values
        raise DataError(f"{where}: a box is x y width height, width and height above 0; found {said!r}")
    return x, y, width, height


# --------------------------------------------------------------------------------------------- .txt beside them


def _beside(root: Path, files: list[str], left_out: list[LeftOut]) -> dict[str, _Picture]:
    """Pictures by file; captions are in a .txt of the same name, class and split in the names of their folders."""
    texts = {str(PurePosixPath(name).with_suffix("")): root / name for name in find_files(root, (".txt",))}
    if not texts:
        raise DataError(f"{root}: no captions: neither {TABLES[0]} nor {TABLES[1]}, nor a .txt beside a picture")
    split_by_folder = {file.split("/")[0] for file in files} == set(SPLITS)
    pictures: dict[str, _Picture] = {}
    owners: dict[str, str] = {}
    for file in files:
        stem = str(PurePosixPath(file).with_suffix(""))
        if stem not in texts:
            left_out.append(LeftOut("no caption", str(root / file)))
            continue
        if stem in owners:
            raise DataError(f"{texts[stem]}: captions of both {owners[stem]} and {file}; rename one of the two")
        owners[stem] = file
        picture = pictures[file] = _Picture(file, str(texts[stem]))
        try:
            lines = read_text(texts[stem]).splitlines()
        except DataError as error:
            left_out.append(LeftOut("captions that are not UTF-8", str(error)))
            del pictures[file]
            continue
        picture.captions = list(dict.fromkeys(" ".join(line.split()) for line in lines if line.strip()))
        folders = list(PurePosixPath(file).parent.parts)
        if split_by_folder:
            picture.facts["split"] = (folders.pop(0), picture.listed)
        if folders:
            picture.facts["class"] = ("/".join(folders), picture.listed)
    left_out += [LeftOut("captions without a picture", str(path)) for stem, path in texts.items() if stem not in owners]
    return pictures


# -------------------------------------------------------------------------------------------------------- split


def _divide(root: Path, pictures: dict[str, _Picture]) -> dict[str, list[Example]]:
    """Train and test, each in the order of the pictures."""
    one_class = len({picture.facts.get("class", (name,))[0] for name, picture in pictures.items()}) == 1
    said = {name: picture.facts["split"] for name, picture in pictures.items() if "split" in picture.facts}
    for name, (split, where) in said.items():
        if split not in SPLITS:
            raise DataError(f"{where}: split {split!r} of {name}; it is {' or '.join(SPLITS)}")
    if said and len(said) < len(pictures):
        name = next(name for name in pictures if name not in said)
        raise DataError(f"{pictures[name].listed}: {name} has no split, but others have; name it for all or for none")
    if said:
        chosen = {name for name, (split, _) in said.items() if split == "test"}
        if len(chosen) in (0, len(pictures)):
            raise DataError(f"{root}: no picture is of the split {'train' if chosen else 'test'}")
    else:
        chosen = choose_test(list(pictures))
    splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for name, picture in pictures.items():
        group = name if one_class else picture.facts.get("class", (name,))[0]
        box = picture.facts.get("box", (None,))[0]
        example = Example(name, root / name, tuple(picture.captions), group, box, picture.listed)
        splits["test" if name in chosen else "train"].append(example)
    return splits


def choose_test(keys: list[str]) -> set[str]:
    """The keys whose hash is below TEST_SHARE, at most half of them; of few keys, those with the smallest hashes:
    SMALLEST_TEST of them, but no more than a quarter and at least one."""
    order = sorted(keys, key=share)
    enough = max(1, min(SMALLEST_TEST, len(keys) // 4))
    below = min(sum(share(key) < TEST_SHARE for key in keys), len(keys) // 2)
    return set(order[: max(enough, below)])


def write_example(root: Path) -> None:
    """Six tiny pictures of two classes with captions.csv."""
    (root / "pictures").mkdir(parents=True)
    rows = ["file,caption,class,box\n"]
    for number, colour in enumerate(("red", "blue", "grey", "green", "black", "white")):
        name = f"pictures/{number}.png"
        Image.new("RGB", (60, 40), colour).save(root / name)
        rows.append(f'{name},"a wall, painted {colour}",{"dull" if number % 2 else "bright"},20 10 20 20\n')
        rows.append(f"{name},the {colour} wall,,\n")
    (root / "captions.csv").write_text("".join(rows), encoding="utf-8")
