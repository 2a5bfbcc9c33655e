"""Your own pictures: a folder of them, with captions in one of the ways that people have.

    captions.csv      a table with the columns file and caption; class, box and split may be added
    captions.jsonl    the same, one JSON object a line; caption may be a list, box is [x, y, width, height]
    <name>.txt        beside each picture <name>.jpg, one caption a line

and others: train/data/caption_files.py has the table of them all, `python -m train.pack --help` prints it. A picture
with several captions has several rows, a list, or several lines. Files are named relative to the table or to the
folder; case, composed letters (NFC, NFD) and "/" or a backslash make no difference. If a table finds none of its
pictures there, they are looked for in the one place below the folder where there are such names.

class    pictures of one class are never each other's wrong pairs; without it, every picture is a class of its own
box      x y width height in pixels around what the captions speak of: the picture is cut to 1.5 x the longer side
split    train, val or test, for all pictures or for none

Beside files of captions, the class comes from the folders: a picture's folder is its class. If all pictures are of one
class, every picture is a class of its own.

The split comes from the table; else from the table's own name or folder (train.csv, test/metadata.jsonl); else from
the names of the folders, of whatever depth: train, training, train2017, train_images; val, valid, validation, dev;
test, testing, eval. A picture below a folder of test is never trained on. Pictures beside such folders are left out.
Without a test, val is the test; with one, val is packed apart, and no training reads it. Where this cannot be told, the
reading stops with a sentence. What was understood is printed.

Without a split, a tenth of the pictures becomes the test split, chosen by a hash of the file name, so that more
pictures do not move earlier ones; of fewer than 80 pictures it is 8, of fewer than 32 a quarter.
"""

import os
import posixpath
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from train.data import caption_files
from train.data.caption_files import BESIDE, NO_CAPTIONS, NOT_READ, OWN, SHARDS, TABLES, Row
from train.data.datasets.base import (
    PICTURE_SUFFIXES,
    DataError,
    Example,
    LeftOut,
    Listing,
    Member,
    Names,
    describe_left_out,
    find_files,
    fold,
    inside,
    read_text,
    share,
    split_in,
    splits_of,
)

IMAGE_FOLDERS = {"images", "image", "imgs", "img", "pictures", "photos", "jpg", "jpgs", "png"}
TEXT_FOLDERS = {"text", "texts", "txt", "txts", "captions", "caption", "labels", "annotations", "text_c10"}
"""Folders that stand side by side, with the same names of files in them."""
SPLITS = ("train", "val", "test")
TEST_SHARE = 0.1
SMALLEST_TEST = 8


@dataclass
class _Picture:
    """What is known of one picture."""

    file: str
    listed: str
    """Where its first row is."""
    image: Path | Member
    captions: list[str] = field(default_factory=list)
    facts: dict[str, tuple[Any, str]] = field(default_factory=dict)
    """Its class, box and split, and where each was said."""
    table_split: tuple[str, str] | None = None
    """What the name or the folder of the table says of the split, and which table."""
    folders: tuple[str, ...] = ()
    """Where it lies below the root."""

    def state(self, kind: str, value: Any, where: str) -> None:
        """Takes down a fact.

        Raises:
            DataError: another row says another thing.
        """
        if value is None or value == "":
            return
        before, line = self.facts.setdefault(kind, (value, where))
        if before != value:
            raise DataError(f"{where}: {kind} {value!r} of {self.file}, but {before!r} in {line.rsplit(', ', 1)[-1]}")


def read(root: Path) -> Listing:
    """Lists the captioned pictures of a folder. What has no caption or no file is passed over and counted.

    Raises:
        FileNotFoundError: there is no such folder.
        DataError: it has no pictures or no captions, a table cannot be understood, two rows contradict each other, or
            it cannot be told which pictures are to be trained on.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    left_out: list[LeftOut] = []
    files = find_files(root, PICTURE_SUFFIXES, left_out)
    texts = find_files(root, tuple({*TABLES, *BESIDE}), left_out)
    shards = find_files(root, SHARDS, left_out)
    if not files and not shards:
        others = _not_read(root, [])
        raise DataError("\n".join([*describe_left_out(left_out), f"{root}: no pictures below this folder{others}"]))
    beside, candidates = _sort_texts(files, texts)
    tables = _find_tables(root, candidates, left_out)
    understood = []
    if files and tables:
        pictures = _from_tables(root, files, tables, left_out)
        understood.append("captions: " + "; ".join(dict.fromkeys(said for _, _, said in tables)))
    elif files and beside:
        pictures = _beside(root, files, beside, left_out)
        left_out += [LeftOut("captions without a picture", str(root / name)) for name in candidates if _is_text(name)]
        kinds = Counter(posixpath.splitext(name)[1].lower() for name in beside)
        understood.append(f"captions: {' and '.join(kinds)} beside the pictures")
    elif shards:
        pictures = _from_shards(root, shards, left_out)
        left_out += [LeftOut("no caption", str(root / name)) for name in files]
        understood.append(f"captions: in {len(shards)} archives, beside their pictures")
    else:
        said = (
            f"{root}: no captions: neither captions.csv nor captions.jsonl, nor a .txt beside a picture, nor another "
            f"layout that is read (python -m train.pack --help lists them){_not_read(root, candidates)}"
        )
        raise DataError("\n".join([*describe_left_out(left_out), said]))
    if files and shards and (tables or beside):
        left_out += [LeftOut("an archive beside pictures that are read", str(root / name)) for name in shards]
    for name in [name for name, picture in pictures.items() if not picture.captions]:
        left_out.append(LeftOut("no caption", f"{pictures[name].listed}: {name}"))
        del pictures[name]
    if len(pictures) < 2:
        raise DataError(_too_few(root, len(pictures), left_out))
    splits, said = _divide(root, pictures, left_out)
    return Listing(splits, left_out, understood=(*understood, said))


def _too_few(root: Path, count: int, left_out: list[LeftOut]) -> str:
    """The reasons, then what follows from them."""
    said = f"{root}: {count} pictures with a caption; there must be one to train on and one to test"
    return "\n".join([*describe_left_out(left_out), said])


def _not_read(root: Path, candidates: list[str]) -> str:
    """What lies there instead, for a message."""
    other = {posixpath.splitext(name)[1].lower(): name for name in find_files(root, tuple(NOT_READ))}
    found = [f"{name} ({NOT_READ[suffix]})" for suffix, name in other.items() if suffix in NOT_READ]
    for name in candidates[:5]:
        head = caption_files.Source(root / name, []).head.strip()
        found.append(f"{name} (its first line is {head[:60]!r})" if head else f"{name} (empty)")
    more = f" and {len(found) - 4} more" if len(found) > 4 else ""
    return f"; found, but not read: {', '.join(found[:4])}{more}" if found else ""


# ------------------------------------------------------------------------------------------------------- tables


def _sort_texts(files: list[str], texts: list[str]) -> tuple[list[str], list[str]]:
    """Files of captions of the same names as pictures, of the first suffix of which there are any; and files that may
    be tables."""
    stems = {posixpath.splitext(posixpath.basename(fold(name)))[0] for name in files}
    of_pictures, candidates = [], []
    for name in texts:
        stem, suffix = posixpath.splitext(posixpath.basename(fold(name)))
        if suffix in BESIDE and stem in stems and stem + suffix not in OWN:
            of_pictures.append(name)
        elif suffix in (*TABLES, ".caption") and not NO_CAPTIONS.match(posixpath.basename(fold(name))):
            candidates.append(name)
    used = [name for name in of_pictures if not name.lower().endswith(".json")] or of_pictures
    return used, candidates


def _is_text(name: str) -> bool:
    return name.lower().endswith(BESIDE[:2])


def _find_tables(root: Path, candidates: list[str], left_out: list[LeftOut]) -> list[tuple[str, list[Row], str]]:
    """Those of the candidates that are tables: their names, their rows, and what was understood.

    Raises:
        DataError: two in one folder hold captions and do not differ by split, or one cannot be understood.
    """
    tables: list[tuple[str, list[Row], str]] = []
    places: dict[tuple[str, str | None], str] = {}

    def claim(name: str) -> None:
        place = (posixpath.dirname(name), split_in(_stem(name))[0])
        if places.setdefault(place, name) != name:
            raise DataError(f"{root}: both {places[place]} and {name} hold captions; keep one of them")

    for name in candidates:
        if posixpath.basename(name).casefold() in OWN:  # even if there is nothing in it yet
            claim(name)
    for name in candidates:
        read = caption_files.read_table(root / name, left_out)
        if read is not None:
            claim(name)
            tables.append((name, *read))
    return tables


def _stem(name: str) -> str:
    return posixpath.splitext(posixpath.basename(name))[0].casefold()


def _from_tables(
    root: Path, files: list[str], tables: list[tuple[str, list[Row], str]], left_out: list[LeftOut]
) -> dict[str, _Picture]:
    """Pictures by file, in the order of their first rows."""
    names = Names(files)
    pictures: dict[str, _Picture] = {}
    empty: list[tuple[str, str]] = []
    table_splits = splits_of(
        [part for name, _, _ in tables for part in (*PurePosixPath(name).parent.parts, _stem(name))]
    )
    for table, rows, _ in tables:
        folder = posixpath.dirname(table)
        parts = (*PurePosixPath(table).parent.parts, _stem(table))
        of_table = next((table_splits[part][0] for part in parts[::-1] if table_splits.get(part, ("", False))[1]), None)
        known: dict[str, str | None] = {}
        for row in rows:
            if row.file not in known:
                known[row.file] = _resolve(root, folder, row, names)
        if not any(known.values()):  # the table's names are not relative to where it lies
            known = {name: names.ending(name) for name in known}
        missing = set()
        for row in rows:
            file = known[row.file]
            if file is None:
                if row.file not in missing:
                    hint = names.hint(row.file)
                    left_out.append(LeftOut("no picture file", f"{row.where}: {row.file}{hint}"))
                missing.add(row.file)
                continue
            folders = PurePosixPath(file).parent.parts
            picture = pictures.setdefault(file, _Picture(file, row.where, root / file, folders=folders))
            if of_table is not None:
                picture.table_split = picture.table_split or (of_table, table)
                if picture.table_split[0] != of_table:
                    raise DataError(
                        f"{row.where}: {file} is of {of_table} by the name of this table, but of "
                        f"{picture.table_split[0]} by that of {picture.table_split[1]}"
                    )
            for caption in row.captions:
                if not caption:
                    empty.append((file, row.where))
                elif caption in picture.captions:
                    left_out.append(LeftOut("the same caption of a picture again", f"{row.where}: {file}"))
                else:
                    picture.captions.append(caption)
            picture.state("class", row.label, row.where)
            picture.state("box", row.box, row.where)
            picture.state("split", row.split, row.where)
    left_out += [LeftOut("no caption", str(root / name)) for name in files if name not in pictures]
    left_out += [LeftOut("empty caption", f"{where}: {name}") for name, where in empty if pictures[name].captions]
    return pictures


def _resolve(root: Path, folder: str, row: Row, names: Names) -> str | None:
    """The file that a row means, beside its table or below the root.

    Raises:
        DataError: it lies outside the folder.
    """
    file = inside(root, posixpath.join(folder, row.file) if row.file.strip() else row.file, row.where)
    below_root = inside(root, row.file, row.where) if not row.file.startswith("..") else file
    for name in (file, below_root):
        if (found := names.find(name)) is not None:
            return found
    for name in (file, below_root):  # one that is hidden, or has another suffix
        if os.path.isfile(root / name):
            return name
    return None


# ------------------------------------------------------------------------------------- files beside the pictures


def _beside(root: Path, files: list[str], texts: list[str], left_out: list[LeftOut]) -> dict[str, _Picture]:
    """Pictures by file; captions are in a file of the same name, class and split in the names of their folders."""
    by_stem: dict[str, list[str]] = {}
    by_place: dict[str, list[str]] = {}
    for name in texts:
        by_stem.setdefault(_place(name, ()), []).append(name)
        by_place.setdefault(_place(name, TEXT_FOLDERS), []).append(name)
    pictures: dict[str, _Picture] = {}
    owners: dict[str, str] = {}
    for file in sorted(files, key=lambda file: _place(file, ()) not in by_stem):  # those with a text beside them first
        exact = posixpath.splitext(file)[0]
        near = by_stem.get(_place(file, ())) or by_place.get(_place(file, IMAGE_FOLDERS), [])
        mine = [name for name in near if posixpath.splitext(name)[0] == exact] or near
        if not mine:
            left_out.append(LeftOut("no caption", str(root / file)))
            continue
        if len(mine) > 1:
            raise DataError(f"{root / file}: captions in both {mine[0]} and {mine[1]}; keep one of the two")
        (text,) = mine
        if text in owners:
            raise DataError(f"{root / text}: captions of both {owners[text]} and {file}; rename one of the two")
        owners[text] = file
        folders = PurePosixPath(file).parent.parts
        if text not in by_stem.get(_place(file, ()), []):  # images/ beside text/: that folder is no class
            folders = _without(folders, IMAGE_FOLDERS)
        try:
            content = read_text(root / text)
            if text.lower().endswith(".json"):
                captions = caption_files.caption_in_json(content, str(root / text))
            else:
                captions = caption_files.captions_in_text(content)
        except DataError as error:
            reason = "captions that are not UTF-8" if "UTF-8" in str(error) else "captions that cannot be read"
            left_out.append(LeftOut(reason, str(error)))
            continue
        picture = pictures[file] = _Picture(file, str(root / text), root / file, folders=folders)
        picture.captions = [caption for caption in dict.fromkeys(captions) if caption]
        picture.facts["class"] = ("", "")  # of its folders, once it is known which of them name a split
    left_out += [LeftOut("captions without a picture", str(root / name)) for name in texts if name not in owners]
    return {file: pictures[file] for file in files if file in pictures}


def _place(name: str, leave_out: set[str] | tuple[str, ...]) -> str:
    """Where a file lies, without its suffix and without a folder of one of the names."""
    path = PurePosixPath(posixpath.splitext(fold(name))[0])
    return "/".join((*_without(path.parent.parts, leave_out), path.name))


def _without(folders: tuple[str, ...], names: set[str] | tuple[str, ...]) -> tuple[str, ...]:
    """The folders but for the first that has one of the names."""
    place = next((place for place, name in enumerate(folders) if name.casefold() in names), None)
    return folders if place is None else (*folders[:place], *folders[place + 1 :])


def _from_shards(root: Path, shards: list[str], left_out: list[LeftOut]) -> dict[str, _Picture]:
    """Pictures of archives, by archive and name."""
    pictures: dict[str, _Picture] = {}
    for shard in shards:
        try:
            samples = caption_files.read_shard(root / shard, left_out)
        except DataError as error:
            left_out.append(LeftOut("an archive that cannot be read", str(error)))
            continue
        for name, sample in samples.items():
            key = f"{shard}/{name}"
            folders = (*PurePosixPath(shard).with_suffix("").parts, *PurePosixPath(name).parent.parts)
            picture = pictures[key] = _Picture(key, str(root / shard), sample.picture, folders=folders)
            picture.captions = [caption for caption in dict.fromkeys(sample.captions) if caption]
            picture.state("class", sample.label, picture.listed)
    return pictures


# -------------------------------------------------------------------------------------------------------- split


def _divide(root: Path, pictures: dict[str, _Picture], left_out: list[LeftOut]) -> tuple[dict[str, list[Example]], str]:
    """Train and test (and val, if there is one beside a test), each in the order of the pictures; and what was
    understood."""
    splits, how = _find_splits(root, pictures, left_out)
    sure = splits_of([folder for picture in pictures.values() for folder in picture.folders])
    for picture in pictures.values():
        if "class" in picture.facts and not picture.facts["class"][0]:
            folders = [name for name in picture.folders if not sure.get(name, ("", False))[1]]
            picture.facts["class"] = ("/".join(folders), picture.listed)
    classes = {picture.facts.get("class", ("",))[0] or name for name, picture in pictures.items()}
    named = {picture.facts.get("class", ("",))[0] for picture in pictures.values()} - {""}
    present = {splits[name] for name in pictures if name in splits}
    examples: dict[str, list[Example]] = {split: [] for split in SPLITS if split in present}
    for name, picture in pictures.items():
        if name in splits:
            group = (picture.facts.get("class", ("",))[0] or name) if len(classes) > 1 else name
            box = picture.facts.get("box", (None,))[0]
            example = Example(name, picture.image, tuple(picture.captions), group, box, picture.listed)
            examples[splits[name]].append(example)
    said = f"split: {how if how == 'by hash' else 'from ' + how}"
    if how == "by hash":
        said += ", a tenth (of few pictures up to a quarter) for the test"
    counted = ", ".join(f"{len(some)} {split}" for split, some in examples.items())
    apart = " (val is kept apart: no training reads it)" if "val" in examples else ""
    group_count = f"{len(named)} classes" if len(classes) > 1 and named else "no classes"
    return examples, f"{said}; {counted}{apart}; {group_count}"


def _find_splits(root: Path, pictures: dict[str, _Picture], left_out: list[LeftOut]) -> tuple[dict[str, str], str]:
    """The split of each picture that is in one, and where it was found.

    Raises:
        DataError: it cannot be told which pictures are to be trained on.
    """
    of_folders = _splits_of_folders(root, pictures)
    said = {name: picture.facts["split"][0] for name, picture in pictures.items() if "split" in picture.facts}
    how = "the table"
    if said and len(said) < len(pictures):
        name = next(name for name in pictures if name not in said)
        raise DataError(f"{pictures[name].listed}: {name} has no split, but others have; name it for all or for none")
    if not said and any(picture.table_split for picture in pictures.values()):
        how = "the names of the tables"
        said = {name: picture.table_split[0] for name, picture in pictures.items() if picture.table_split}
    for name, split in said.items():
        if split == "train" and of_folders.get(name) == "test":
            raise DataError(
                f"{pictures[name].listed}: split 'train' of {name}, but it is in a folder of the test split"
            )
    if not said:
        how, said = "folders", of_folders
    if not said:
        how, said = "the names of the pictures", _splits_of_names(list(pictures))
    without = [name for name in pictures if name not in said]
    present = set(said.values())
    if how != "the table" and present == {"train"} and not without:
        said = {}
    if not said:
        chosen = choose_test(list(pictures))
        return {name: "test" if name in chosen else "train" for name in pictures}, "by hash"
    if "train" not in present or (present == {"train"} and how == "the table"):
        raise DataError(
            f"{root}: no picture is of the split {'test' if 'train' in present else 'train'} ({how} name: "
            f"{', '.join(sorted(present))}); name pictures of both, or of neither"
        )
    if present == {"train"}:
        raise DataError(
            f"{root}: some pictures are in a folder of train and others, as {without[0]}, are beside it, but none is "
            "in one of test: is train the split, or a class? Add a folder test, rename train, or move the others"
        )
    left_out.extend(LeftOut(f"in no split, while {how} name one for others", f"{root}: {name}") for name in without)
    for name in without:
        del pictures[name]
    if "test" not in present:
        said = {name: "test" if split == "val" else split for name, split in said.items()}
        how += ", val as the test"
    return said, how


def _splits_of_folders(root: Path, pictures: dict[str, _Picture]) -> dict[str, str]:
    """The split of each picture that lies below a folder of one.

    Raises:
        DataError: a picture lies below folders of two splits, or below one that may be of a split or of a class.
    """
    known = splits_of([folder for picture in pictures.values() for folder in picture.folders])
    found: dict[str, str] = {}
    doubtful: dict[str, str] = {}
    for name, picture in pictures.items():
        sure = {folder: known[folder][0] for folder in picture.folders if folder in known and known[folder][1]}
        if len(set(sure.values())) > 1:
            raise DataError(
                f"{root / name}: below folders of two splits ({', '.join(sure)}); move it, or rename one of the folders"
            )
        if sure:
            found[name] = next(iter(sure.values()))
        else:
            doubtful |= {folder: name for folder in picture.folders if folder in known and known[folder][0] != "train"}
    elsewhere = any("split" in picture.facts or picture.table_split for picture in pictures.values())
    if doubtful and not found and not elsewhere:
        folder, name = next(iter(doubtful.items()))
        raise DataError(
            f"{root / name}: {folder!r} may be a split or a class; rename it ({known[folder][0]}, or without this "
            "word), or give captions.csv with a column split"
        )
    return found


def _splits_of_names(names: list[str]) -> dict[str, str]:
    """Splits where every picture's own name begins with one (train_0001.jpg) and there are several; else nothing."""
    first = {name: split_in(posixpath.basename(name).replace("-", "_").split("_")[0]) for name in names}
    said = {name: split for name, (split, rest) in first.items() if split is not None and not rest}
    return said if len(said) == len(names) and len(set(said.values())) > 1 else {}


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
