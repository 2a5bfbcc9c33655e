"""Files that are written whole or not at all: a kill or a full disk leaves what was there before."""

import os
import tempfile
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


def check_file(path: Path, option: str) -> None:
    """Tries that a file can be written, before the work is done that it is for; makes its folder if need be.

    Raises:
        OSError: it cannot; names `option`, the file and the reason.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OSError(f"{option} {path}: cannot write there ({_why(path.parent, error)}); name a file") from error
    if path.is_dir():
        raise OSError(f"{option} {path}: cannot write there (it is a folder); name a file")


def check_folder(path: Path, option: str) -> None:
    """The same of files in a folder."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OSError(f"{option} {path}: cannot write there ({_why(path, error)}); name a folder") from error


def _why(folder: Path, error: OSError) -> str:
    files = (path for path in (folder, *folder.parents) if path.exists() and not path.is_dir())
    place = next(files, None)
    return f"{place} is a file" if place is not None else error.strerror or str(error)
