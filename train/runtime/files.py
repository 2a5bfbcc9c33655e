"""Files and folders that are written whole or not at all (see `mirrorgan.files`), and locks."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mirrorgan.files import atomic_write, check_file, check_folder, write_bytes, write_text

__all__ = ["atomic_dir", "atomic_write", "check_file", "check_folder", "exclusive_lock", "write_bytes", "write_text"]


@contextmanager
def atomic_dir(folder: Path) -> Iterator[Path]:
    """Gives a folder beside `folder` to fill; once on the disk, its files take the places of `folder`'s."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        for path in part.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        folder.mkdir(exist_ok=True)
        for path in sorted(part.iterdir()):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def exclusive_lock(path: Path, busy: str) -> Iterator[None]:
    """Holds a lock that ends with the process, however that ends.

    Raises:
        OSError: another process holds it; says `busy`.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OSError(busy) from None
    try:
        yield
    finally:
        lock.release()
