"""What every data set promises: examples by split, and a word about everything that was left out.

A data set is a module with

    read(root: Path) -> Listing          lists the examples without opening a picture
    write_example(root: Path) -> None    writes a tiny folder in the data set's own layout (for its tests)

One that can do without a folder gives `root` the default None.

A table that cannot be understood stops the reading with a DataError that names file and line. A picture that cannot
be used is left out, and the listing says which and why.
"""

import hashlib
import io
import json
import os
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from PIL import Image

from mirrorgan import files as regular_files
from mirrorgan.files import kind_of
from mirrorgan.untrusted import readable

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")

MOST_PIXELS = 10**6
"""No coordinate of a box is further from the corner of its picture: larger numbers are no pixels."""
MOST_TEXT = 2**31
"""Bytes of a file of captions; COCO's largest has 0.1 GB."""
NAMED = 3
"""Examples of what was left out for one reason, in messages."""

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels, from the upper left corner of the picture as it is shown."""
Point = tuple[float, float]
"""x, y in pixels, likewise."""


class DataError(ValueError):
    """Files of a data set cannot be used; the message names the file and says what to do."""


@dataclass(frozen=True)
class Member:
    """A file inside an archive that is not compressed. It is read where it lies and never unpacked."""

    archive: Path
    name: str
    offset: int
    """Of its first byte in the archive."""
    size: int

    def __str__(self) -> str:
        return f"{self.archive}: {self.name}"

    def open(self) -> BinaryIO:
        """Its content, in memory.

        Raises:
            OSError: the archive is gone, or is no regular file any more.
        """
        with open_regular(self.archive) as file:
            file.seek(self.offset)
            return io.BytesIO(file.read(self.size))


@dataclass(frozen=True)
class Example:
    """One picture with its captions."""

    key: str
    """Unique, e.g. "002.Laysan_Albatross/Laysan_Albatross_0002_1027"."""
    image: Path | Member | Callable[[], Image.Image]
    """A file, or what draws the picture: always the same one, in any thread."""
    captions: tuple[str, ...]
    group: str
    """Pictures of one group (class) must not serve as each other's wrong pairs; the key itself if unknown."""
    box: Box | None = None
    """Around the object, if known."""
    listed: str = ""
    """Where it was listed, e.g. "captions.csv, line 12"; for messages."""
    parts: tuple[Point | None, ...] = ()
    """Where each part of `Listing.part_names` is, None where it cannot be seen; () if nothing is known of any."""
    extent: Box | None = None
    """Around the object of a picture that is not to be cut to it, which `box` is for."""

    @property
    def place(self) -> str:
        """The picture's file and where it was listed."""
        name = str(self.image) if isinstance(self.image, Path | Member) else self.key
        return f"{name} ({self.listed})" if self.listed else name


@dataclass(frozen=True)
class LeftOut:
    """Something that was passed over."""

    reason: str
    """The same words for all that are counted together, e.g. "no caption"."""
    where: str
    """File, and line where there is one."""


@dataclass(frozen=True)
class Listing:
    """All examples of a data set."""

    splits: dict[str, list[Example]]
    """At least "train" and "test"."""
    left_out: list[LeftOut] = field(default_factory=list)
    part_names: tuple[str, ...] = ()
    """Parts of the object whose places are known, e.g. "beak"; () if the data set has none."""
    understood: tuple[str, ...] = ()
    """What the reader made of the files, where they may be arranged in several ways: lines to be printed."""


def cut_of(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the square of 1.5 x the longer side of the box around its centre, clipped at the
    border of a picture of `width` x `height` pixels (so not always square).

    r = int(0.75 max(w, h)), centre = int((2x + w) / 2), int((2y + h) / 2), as in AttnGAN's released code.
    """
    x, y, w, h = box
    r, cx, cy = int(0.75 * max(w, h)), int((2 * x + w) / 2), int((2 * y + h) / 2)
    return max(0, cx - r), max(0, cy - r), min(width, cx + r), min(height, cy + r)


def count_reasons(left_out: Iterable[LeftOut]) -> Counter[str]:
    """How many were left out, by reason."""
    return Counter(one.reason for one in left_out)


def describe_left_out(left_out: list[LeftOut]) -> list[str]:
    """Lines that say how much was left out, by reason, each with the first NAMED places below it."""
    lines = []
    for reason, count in count_reasons(left_out).most_common():
        places = [one.where for one in left_out if one.reason == reason]
        lines += [f"left out {count} x {reason}", *(f"    {place}" for place in places[:NAMED])]
        lines += [f"    and {count - NAMED} more"] if count > NAMED else []
    return lines


def short(value: Any) -> str:
    """At most 80 characters of a value, for messages."""
    try:
        text = repr(value) if isinstance(value, str) else str(value)
    except (RecursionError, ValueError):
        text = "something that cannot be written out"
    return readable(text if len(text) <= 80 else text[:77] + "...")


# -------------------------------------------------------------------------------------------------------- files


def open_regular(path: Path) -> BinaryIO:
    """`mirrorgan.files.open_regular`, with a sentence that names the file.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is no regular file.
        OSError: it cannot be read.
    """
    try:
        return regular_files.open_regular(path)
    except regular_files.NotRegularError as error:
        raise DataError(f"{readable(path)}: {error}; only regular files are read") from None


def read_bytes(path: Path, most: int = MOST_TEXT) -> bytes:
    """All of a regular file.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is no regular file, or has more than `most` bytes.
    """
    with open_regular(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > most:
            raise DataError(f"{readable(path)}: {size:,} bytes; at most {most:,} are read")
        return file.read()


def read_text(path: Path) -> str:
    """A UTF-8 file, with or without a byte order mark, or a UTF-16 file with one.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is no regular file, or not UTF-8; the message names the line.
    """
    return decode(read_bytes(path), str(path))


def decode(content: bytes, name: str) -> str:
    """The text of a file that was read; see `read_text`."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise DataError(f"{name}: it begins as UTF-16 and is not ({error.reason}); save it as UTF-8") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{name}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from error


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is not JSON; the message names file and line.
    """
    return parse_json(read_text(path), str(path))


def parse_json(text: str, where: str, one_line: bool = False) -> Any:
    """What a JSON text holds.

    Args:
        where: the file, for the message; with the line if `one_line`.

    Raises:
        DataError: it is not JSON, nested too deep, or has a number of thousands of digits.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = "" if one_line else f", line {error.lineno}"
        raise DataError(f"{where}{line}: not JSON ({error.msg})") from error
    except RecursionError as error:
        raise DataError(f"{where}: not JSON that is read (brackets nested too deep)") from error
    except ValueError as error:
        raise DataError(f"{where}: not JSON that is read ({str(error)[:80]})") from error


def parse_box(values: Any, where: str) -> Box:
    """A box of four numbers: x, y, width and height in pixels.

    Raises:
        DataError: it is none: width and height are above 0, and no number is above MOST_PIXELS or below its negative.
    """
    try:
        x, y, width, height = (float(value) for value in values)
        valid = all(abs(value) <= MOST_PIXELS for value in (x, y, width, height)) and width > 0 and height > 0
    except (TypeError, ValueError, OverflowError):
        valid = False
    if not valid or isinstance(values, str | dict):
        said = short(" ".join(map(short, values)).replace("'", "") if isinstance(values, list | tuple) else values)
        raise DataError(f"{where}: a box is x y width height in pixels, width and height above 0; found {said}")
    return x, y, width, height


def inside(root: Path, name: str, where: str) -> str:
    """The path of a file below `root`, relative to it, with "/" and without "." and "..".

    Args:
        where: file and line that name it, for the message.

    Raises:
        DataError: the path leaves the folder.
    """
    relative = os.path.relpath(os.path.join(os.path.abspath(root), name), os.path.abspath(root))
    path = PurePosixPath(Path(relative).as_posix())
    if not name.strip() or path.is_absolute() or path.parts[:1] in ((), ("..",)):
        raise DataError(f"{where}: {name!r} is not a file inside {root}; name files relative to that folder")
    return str(path)


def find_files(
    root: Path, suffixes: tuple[str, ...] = PICTURE_SUFFIXES, left_out: list[LeftOut] | None = None
) -> list[str]:
    """Regular files below `root` with one of the suffixes, relative to it with "/", in order.

    Links are followed; what is hidden (its name begins with a dot) is not looked at.

    Args:
        left_out: takes what has such a suffix but is a pipe, a device, a link that leads nowhere, or has a name that
            is not UTF-8; and folders that cannot be read.
    """
    strange: list[LeftOut] = [] if left_out is None else left_out
    found, seen = [], set()

    def unreadable(error: OSError) -> None:
        strange.append(LeftOut("a folder that cannot be read", f"{readable(error.filename)}: {error.strerror}"))

    for folder, folders, files in os.walk(root, followlinks=True, onerror=unreadable):
        real = os.path.realpath(folder)
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))] if real not in seen else []
        if real not in seen:
            for name in files:
                if name.lower().endswith(suffixes) and not name.startswith("."):
                    path = Path(folder) / name
                    relative = path.relative_to(root).as_posix()
                    if not _is_utf8(relative):
                        strange.append(LeftOut("a file name that is not UTF-8; rename it", readable(path)))
                    elif (kind := kind_of(path)) != "a file":
                        strange.append(LeftOut("no regular file", f"{path}: {kind}"))
                    else:
                        found.append(relative)
        seen.add(real)
    return sorted(found)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Names:
    """Files by name, as people write names: in whatever case, composed or not (NFC, NFD), with "/" or a backslash.

    Args:
        files: relative paths with "/".
    """

    def __init__(self, files: Iterable[str]) -> None:
        self.files = list(files)
        self._exact = set(self.files)
        self._folded: dict[str, list[str]] = {}
        self._last: dict[str, list[str]] = {}
        for file in self.files:
            folded = fold(file)
            self._folded.setdefault(folded, []).append(file)
            for name in {posixpath.basename(folded), posixpath.splitext(posixpath.basename(folded))[0]}:
                self._last.setdefault(name, []).append(file)

    def find(self, name: str) -> str | None:
        """The file that is meant; None if there is none, or if several could be."""
        if name in self._exact:
            return name
        same = self._folded.get(fold(name), [])
        return same[0] if len(same) == 1 else None

    def ending(self, name: str) -> str | None:
        """The one file below whatever folder whose path ends with `name`; None if there is none, or several."""
        folded = fold(name)
        near = self._last.get(posixpath.basename(folded), [])
        same = [file for file in near if fold(file) == folded or fold(file).endswith("/" + folded)]
        if not same and not posixpath.splitext(folded)[1]:
            bare = [posixpath.splitext(fold(file))[0] for file in near]
            same = [
                file for file, stem in zip(near, bare, strict=True) if stem == folded or stem.endswith("/" + folded)
            ]
        return same[0] if len(same) == 1 else None

    def hint(self, name: str) -> str:
        """Where a file of that name is instead, for a message; "" if it is nowhere."""
        last = posixpath.basename(fold(name))
        near = self._folded.get(fold(name)) or self._last.get(last) or self._last.get(posixpath.splitext(last)[0]) or []
        if not near:
            return ""
        more = f" and {len(near) - 1} more" if len(near) > 1 else ""
        return f"; {posixpath.basename(near[0])} is there as {near[0]}{more}"


class FilesByName:
    """Files below a folder by the names that a table gives them; the folder is only listed if one is not there.

    Args:
        root: the folder.
        suffixes: of the files.
    """

    def __init__(self, root: Path, suffixes: tuple[str, ...] = PICTURE_SUFFIXES) -> None:
        self.root, self.suffixes = root, suffixes

    @cached_property
    def _names(self) -> Names:
        return Names(find_files(self.root, self.suffixes))

    def find(self, name: str) -> Path | None:
        """The regular file of that name, or of one that differs as `Names` allows."""
        if os.path.isfile(self.root / name):
            return self.root / name
        found = self._names.find(name)
        return None if found is None else self.root / found

    def missing(self, name: str) -> str:
        """The path of a file that is not there, what is there in its place, and where there is one of that name."""
        kind = kind_of(self.root / name)
        other = f": {kind}" if kind not in ("not there", "a file") else ""
        return f"{self.root / name}{other}{self._names.hint(name)}"


def fold(name: str) -> str:
    """A relative path as it is compared: "/" for a backslash, no "./", composed (NFC), in lower case."""
    text = unicodedata.normalize("NFC", name.strip().replace("\\", "/"))
    return unicodedata.normalize("NFC", posixpath.normpath(text).casefold())


# ------------------------------------------------------------------------------------------------------- splits

SPLIT_WORDS = {
    "train": "train training trainset trainval restval trn",
    "val": "val valid validation validate valset validationset dev devel development devset minival",
    "test": "test tests testing testset tst eval evaluation evaluate evalset heldout holdout unseen",
}
"""Words that name a split, in whatever case."""
BESIDE_SPLIT = {
    "set", "sets", "data", "dataset", "split", "splits", "image", "images", "img", "imgs", "jpg", "jpeg", "jpegs",
    "png", "pngs", "picture", "pictures", "pic", "pics", "photo", "photos", "caption", "captions", "text", "texts",
    "txt", "annotation", "annotations", "metadata", "meta", "list", "file", "files", "of", "folder", "dir",
    "shard", "shards", "part", "parts", "karpathy", "coco", "flickr", "k",
}  # fmt: skip
"""Words that may stand beside one in the name of a folder or a file: "train_images", "captions-val2017"."""
_ROLES = {word: split for split, words in SPLIT_WORDS.items() for word in words.split()}


def split_in(name: str) -> tuple[str | None, tuple[str, ...]]:
    """The split that a folder's or a file's name speaks of ("train", "val", "test" or None), and its other words that
    do not usually stand beside one: () if it is surely a split. "train+val" is train, "test-dev" is test, and a name
    of both train and test ("train_test_split") is none.
    """
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    text = re.sub(r"(held|hold)[\W_]*out", r"\1out", text.casefold())
    words = re.findall(r"[^\W\d_]+", text)
    roles = {_ROLES[word] for word in words if word in _ROLES}
    rest = tuple(word for word in words if word not in _ROLES and word not in BESIDE_SPLIT)
    if not roles or {"train", "test"} <= roles:
        return None, rest
    return ("train" if "train" in roles else "test" if "test" in roles else "val"), rest


def splits_of(names: Iterable[str]) -> dict[str, tuple[str, bool]]:
    """For each name that speaks of a split: which, and whether it surely is one. "dogs_train" is one if there is a
    "dogs_test" or "dogs_val" beside it; alone, it may be a class."""
    said = {name: split_in(name) for name in names}
    spoken = {name: (split, rest) for name, (split, rest) in said.items() if split is not None}
    others: dict[tuple[str, ...], set[str]] = {}
    for split, rest in spoken.values():
        others.setdefault(rest, set()).add(split)
    return {name: (split, not rest or len(others[rest]) > 1) for name, (split, rest) in spoken.items()}


def share(key: str) -> float:
    """A number in [0, 1) that depends on the key alone, evenly spread over keys."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
