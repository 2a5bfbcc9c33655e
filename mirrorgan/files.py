"""Files: written whole or not at all, so that a kill or a full disk leaves what was there before; and opened only if
they are regular ones."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
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
    with atomic_write(path) as part:
        part.write_bytes(text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole."""
    with atomic_write(path) as part:
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


class NotRegularError(ValueError):
    """A path is a folder, a pipe, a device or a broken link; the message says which."""


KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def kind_of(path: Path) -> str:
    """What a path is: "a file", "a folder", "a pipe (FIFO)", ...; links are followed. Nothing is opened."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        if not os.path.islink(path):
            return "not there" if isinstance(error, FileNotFoundError) else f"not readable ({error})"
        return "a link that leads nowhere" if isinstance(error, FileNotFoundError) else "a link that leads in a circle"
    if stat.S_ISREG(mode):
        return "a file"
    return next((name for test, name in KINDS if test(mode)), "no regular file")


def open_regular(path: Path) -> BinaryIO:
    """Opens a file for reading, and nothing but a file: a pipe or a device may wait for ever.

    Raises:
        FileNotFoundError: there is no such file.
        NotRegularError: it is no regular file.
        OSError: it cannot be read.
    """
    if (kind := kind_of(path)) not in ("a file", "not there"):
        raise NotRegularError(kind)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # exchanged between the two looks
        file.close()
        raise NotRegularError("no regular file")
    return file
