"""What every data set promises: examples by split, and a word about everything that was left out.

A data set is a module with

    read(root: Path) -> Listing          lists the examples without opening a picture
    write_example(root: Path) -> None    writes a tiny folder in the data set's own layout (for its tests)

One that can do without a folder gives `root` the default None.

A table that cannot be understood stops the reading with a DataError that names file and line. A picture that cannot
be used is left out, and the listing says which and why.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from PIL import Image

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels, from the upper left corner of the picture as it is shown."""
Point = tuple[float, float]
"""x, y in pixels, likewise."""


class DataError(ValueError):
    """Files of a data set cannot be used; the message names the file and says what to do."""


@dataclass(frozen=True)
class Example:
    """One picture with its captions."""

    key: str
    """Unique, e.g. "002.Laysan_Albatross/Laysan_Albatross_0002_1027"."""
    image: Path | Callable[[], Image.Image]
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

    @property
    def place(self) -> str:
        """The picture's file and where it was listed."""
        name = str(self.image) if isinstance(self.image, Path) else self.key
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


def read_text(path: Path) -> str:
    """A UTF-8 file, with or without a byte order mark.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is not UTF-8; the message names the line.
    """
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from error


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


def find_files(root: Path, suffixes: tuple[str, ...] = PICTURE_SUFFIXES) -> list[str]:
    """Files below `root` with one of the suffixes, relative to it with "/", in order.

    Links are followed; what is hidden (its name begins with a dot) is not looked at.
    """
    found, seen = [], set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))] if real not in seen else []
        if real not in seen:
            names = [name for name in files if name.lower().endswith(suffixes) and not name.startswith(".")]
            found += [(Path(folder) / name).relative_to(root).as_posix() for name in names]
        seen.add(real)
    return sorted(found)


def share(key: str) -> float:
    """A number in [0, 1) that depends on the key alone, evenly spread over keys."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
