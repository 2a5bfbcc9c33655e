"""Files that are written whole or not at all: a kill or a full disk leaves what was there before."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to; what was written there takes the name `path` once it is on the disk."""
    part = path.with_name(path.name + ".part")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole, as UTF-8 whatever the locale, with the line ends that `text` has."""
    with whole(path) as part:
        part.write_bytes(text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole."""
    with whole(path) as part:
        part.write_bytes(content)
