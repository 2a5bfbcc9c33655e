"""CUB-200-2011 with Reed et al.'s captions, in the folder layout that AttnGAN and MirrorGAN use.

    CUB_200_2011/images.txt                    "id class/name.jpg" a line
    CUB_200_2011/images/<class>/<name>.jpg     the photographs, of any size
    CUB_200_2011/bounding_boxes.txt            "id x y width height" a line, in pixels of these files; may be missing
    CUB_200_2011/parts/parts.txt, part_locs.txt    "id part" and "image part x y visible" a line; may be missing
    CUB_200_2011/parts/original_bounding_boxes.txt    only where the photographs were cut and shrunk: their boxes
                                               before that, in whose coordinates part_locs.txt is
    CUB_200_2011/classes.txt, image_class_labels.txt    may be missing; held against images.txt if they are there
    text/<class>/<name>.txt                    one caption a line, ten are used (the folder may be called text_c10)
    train/filenames.pickle, test/filenames.pickle    lists of "<class>/<name>": 150 and 50 classes apart

Photographs belong to their owners; the data set is for non-commercial research.
"""

import math
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from mirrorgan.drawing import CheckpointError
from mirrorgan.untrusted import as_text, read_pickle, readable
from train.data.datasets.base import (
    Box,
    DataError,
    Example,
    FilesByName,
    LeftOut,
    Listing,
    Point,
    cut_of,
    inside,
    parse_box,
    read_bytes,
    read_text,
)

CAPTIONS_PER_IMAGE = 10
SPLITS = ("train", "test")
CAPTION_FOLDERS = ("text", "text_c10")  # AttnGAN's name, Reed's own


def read(root: Path) -> Listing:
    """Lists train and test pictures. Pictures without a caption or file are passed over and counted.

    Raises:
        FileNotFoundError: a part of the data set is missing; the message names all that are.
        DataError: a table cannot be read, or two of them contradict each other.
    """
    cub, text = root / "CUB_200_2011", _check_parts(root)
    names, seen = {}, set()
    for where, (index, name) in _rows(cub / "images.txt", 2):
        if index in names or name in seen:
            raise DataError(f"{where}: {index} {name} is listed for the second time")
        names[index] = inside(cub / "images", name, where)
        seen.add(name)
    ids = {Path(name).with_suffix("").as_posix(): index for index, name in names.items()}
    boxes = _boxes(cub / "bounding_boxes.txt", names)
    _check_classes(cub, names)
    part_names, parts = _parts(cub, names, boxes)

    pictures, texts = FilesByName(cub / "images"), FilesByName(text, (".txt",))
    splits: dict[str, list[Example]] = {}
    left_out: list[LeftOut] = []
    for split in SPLITS:
        splits[split] = []
        table = root / split / "filenames.pickle"
        for key in read_name_list(table):
            if key not in ids:
                left_out.append(LeftOut("not in images.txt", f"{table}: {key}"))
                continue
            image, captions_file = pictures.find(names[ids[key]]), texts.find(f"{key}.txt")
            captions = _captions(captions_file) if captions_file else ()
            if image is None:
                left_out.append(LeftOut("no picture file", pictures.missing(names[ids[key]])))
            elif not captions:
                where = str(captions_file) if captions_file else texts.missing(f"{key}.txt")
                left_out.append(LeftOut("no caption", where))
            else:
                box, listed = boxes.get(ids[key], (None, ""))
                known = parts.get(ids[key], ())
                splits[split].append(Example(key, image, captions, key.split("/")[0], box, listed, known))
    return Listing(splits, left_out, part_names)


def _check_parts(root: Path) -> Path:
    """The folder of captions, once everything that cannot be done without is there."""
    cub = root / "CUB_200_2011"
    text = next((root / name for name in CAPTION_FOLDERS if (root / name).is_dir()), root / CAPTION_FOLDERS[0])
    lists = [root / split / "filenames.pickle" for split in SPLITS]
    wanted = [
        (cub / "images.txt", "the table of CUB_200_2011.tgz"),
        (cub / "images", "the photographs of CUB_200_2011.tgz"),
        (text, "Reed et al.'s captions" + ("; unpack text.zip" if (root / "text.zip").is_file() else "")),
        *((path, "a list of AttnGAN's birds.zip") for path in lists),
    ]
    missing = [f"{path.relative_to(root)} ({what})" for path, what in wanted if not path.exists()]
    if missing:
        raise FileNotFoundError(f"{root}: no {', no '.join(missing)}; the layout is in train/data/datasets/birds.py")
    return text


def _rows(path: Path, columns: int) -> list[tuple[str, tuple[str, ...]]]:
    """Lines of a table that are not blank: where each is, and its columns."""
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        row, where = tuple(line.split()), f"{path}, line {number}"
        if not row:
            continue
        if len(row) != columns:
            raise DataError(f"{where}: {len(row)} columns where {columns} are expected: {line[:80]!r}")
        rows.append((where, row))
    return rows


def _boxes(path: Path, names: dict[str, str]) -> dict[str, tuple[Box, str]]:
    """Box of each picture, and where it is written."""
    found: dict[str, tuple[Box, str]] = {}
    for where, (index, *values) in _rows(path, 5) if path.exists() else []:
        box = parse_box(values, where)
        if index not in names:
            raise DataError(f"{where}: a box for picture {index}, which images.txt does not list")
        if index in found:
            raise DataError(f"{where}: the second box of picture {index}")
        found[index] = (box, where)
    return found


def _parts(
    cub: Path, names: dict[str, str], boxes: dict[str, tuple[Box, str]]
) -> tuple[tuple[str, ...], dict[str, tuple[Point | None, ...]]]:
    """Names of the parts, and where those of each picture are; nothing if the tables are missing.

    Raises:
        DataError: a line cannot be read, or names a part or a picture that there is not.
    """
    listed, located = cub / "parts/parts.txt", cub / "parts/part_locs.txt"
    if not (listed.is_file() and located.is_file()):
        return (), {}
    titles: dict[str, str] = {}
    for number, line in enumerate(read_text(listed).splitlines(), start=1):
        if line.strip():
            index, _, title = line.strip().partition(" ")
            if not title.strip() or index in titles:
                raise DataError(f"{listed}, line {number}: expected a new number and a name, found {line[:80]!r}")
            titles[index] = title.strip()
    columns = {index: column for column, index in enumerate(titles)}
    before = _boxes(cub / "parts/original_bounding_boxes.txt", names)
    found: dict[str, list[Point | None]] = {}
    for where, (index, part, *values) in _rows(located, 5):
        if index not in names:
            raise DataError(f"{where}: a part of picture {index}, which images.txt does not list")
        if part not in columns:
            raise DataError(f"{where}: part {part}, which parts.txt does not list")
        try:
            x, y, visible = (float(value) for value in values)
        except ValueError as error:
            raise DataError(f"{where}: expected x, y and 0 or 1, found {' '.join(values)}") from error
        if not (math.isfinite(x) and math.isfinite(y) and visible in (0, 1)):
            raise DataError(f"{where}: expected x, y and 0 or 1, found {' '.join(values)}")
        points = found.setdefault(index, [None] * len(titles))
        if visible:
            points[columns[part]] = (x, y)
    if before:
        for index, points in found.items():
            if index not in before or index not in boxes:
                raise DataError(f"{located}: picture {index} was cut, but has no box before or after; give it one")
            move = cut_and_shrunk(before[index][0], boxes[index][0])
            found[index] = [None if point is None else move(point) for point in points]
    return tuple(titles.values()), {index: tuple(points) for index, points in found.items()}


def cut_and_shrunk(before: Box, after: Box) -> Callable[[Point], Point]:
    """Where a point of a photograph lies after AttnGAN's cut around its box and a shrinking, from the box before and
    after that."""
    left, top, _, _ = cut_of(before, sys.maxsize, sys.maxsize)  # the corner does not depend on the photograph's size
    scale = after[2] / before[2]
    return lambda point: ((point[0] - left) * scale, (point[1] - top) * scale)


def _check_classes(cub: Path, names: dict[str, str]) -> None:
    """Holds the class tables against the folders of the pictures, where there are such tables."""
    tables = [cub / "classes.txt", cub / "image_class_labels.txt"]
    if not all(path.exists() for path in tables):
        return
    classes = {label: name for _, (label, name) in _rows(tables[0], 2)}
    for where, (index, label) in _rows(tables[1], 2):
        if index not in names:
            raise DataError(f"{where}: a class for picture {index}, which images.txt does not list")
        if label not in classes:
            raise DataError(f"{where}: class {label}, which classes.txt does not list")
        if classes[label] != names[index].split("/")[0]:
            raise DataError(f"{where}: picture {index} is of class {classes[label]}, but its file is {names[index]}")


def _captions(path: Path) -> tuple[str, ...]:
    """What is no UTF-8 becomes U+FFFD, as a lost character is in the released files; the tokeniser reads a blank."""
    lines = read_bytes(path).decode("utf-8", "replace").splitlines()
    return tuple(line.strip() for line in lines if line.strip())[:CAPTIONS_PER_IMAGE]


def read_name_list(path: Path) -> list[str]:
    """A pickled list of strings, as Python 2 or 3 wrote it; nothing else is allowed in it.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it holds anything but a list of strings.
    """
    try:
        found = read_pickle(path)
        names = [as_text(name) for name in found] if isinstance(found, list) else None
    except TypeError:
        names = None
    except CheckpointError as error:
        reason = str(error).removeprefix(f"{readable(path)}: ")
        raise DataError(f"{path}: not a pickled list of names ({reason})") from error
    if names is None:
        raise DataError(f"{path}: expected a list of names, found {type(found).__name__}")
    return names


def write_example(root: Path) -> None:
    """A folder of three tiny pictures in this layout."""
    keys = ["001.Red_Bird/Red_Bird_0001", "002.Blue_Bird/Blue_Bird_0001", "003.Grey_Bird/Grey_Bird_0001"]
    cub = root / "CUB_200_2011"
    cub.mkdir(parents=True)
    for key, colour in zip(keys, ("red", "blue", "grey"), strict=True):
        for folder in (cub / "images" / key, root / "text" / key):
            folder.parent.mkdir(parents=True)
        Image.new("RGB", (60, 40), colour).save(cub / "images" / f"{key}.jpg")
        (root / "text" / f"{key}.txt").write_text(f"a {colour} bird\nthis bird is {colour}\n" * 5, encoding="utf-8")
    (cub / "images.txt").write_text(
        "".join(f"{i} {key}.jpg\n" for i, key in enumerate(keys, start=1)), encoding="utf-8"
    )
    (cub / "bounding_boxes.txt").write_text("".join(f"{i} 20.0 10.0 20.0 20.0\n" for i in (1, 2, 3)), encoding="utf-8")
    (cub / "parts").mkdir()
    (cub / "parts/parts.txt").write_text("1 beak\n2 left eye\n3 right eye\n", encoding="utf-8")
    (cub / "parts/part_locs.txt").write_text(
        "".join(f"{i} 1 25.0 20.0 1\n{i} 2 30.0 15.0 1\n{i} 3 0.0 0.0 0\n" for i in (1, 2, 3)),
        encoding="utf-8",
    )
    (cub / "classes.txt").write_text(
        "".join(f"{i} {key.split('/')[0]}\n" for i, key in enumerate(keys, start=1)), encoding="utf-8"
    )
    (cub / "image_class_labels.txt").write_text("1 1\n2 2\n3 3\n", encoding="utf-8")
    for split, chosen in (("train", keys[:2]), ("test", keys[2:])):
        (root / split).mkdir()
        (root / split / "filenames.pickle").write_bytes(pickle.dumps(chosen, protocol=2))
