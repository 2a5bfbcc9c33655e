"""Pictures that visitors bring: what is taken, judged by the content and never by the name.

Only the decoded pixels go on; the bytes that came are read by nothing else.
"""

import contextlib
import io
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from app.limits import RefusedError
from mirrorgan.images import PictureError, read_picture

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MAX_BYTES = 4 * 2**20
MAX_SIDE = 8192
MAX_PIXELS = 24_000_000
MIN_SIDE = 16
KEPT_SECONDS = 600
"""How long the file of a picture stays where the server put it: long enough to try a few captions with it."""
KEPT_BYTES = 64 * 2**20
"""Of all files together."""
KEPT_FILES = 256


def picture_from(content: object) -> Image.Image:
    """The picture in the bytes of a file, as `mirrorgan.images.read_picture` reads it; of an animation the first frame.

    Raises:
        RefusedError: It is no picture of a kind that is taken, is damaged, or has too many or too few pixels. The
            size is judged before anything is decoded.
    """
    if content is None:
        raise RefusedError("Choose a picture first.")
    if not isinstance(content, bytes | bytearray):
        raise RefusedError("This is no picture file.")
    if len(content) > MAX_BYTES:
        raise RefusedError(f"This file has {len(content) / 2**20:.1f} MB. Please use {MAX_BYTES // 2**20} MB or less.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, and about sizes that are refused below anyway
            return read_picture(io.BytesIO(content), FORMATS, _check_size)
    except PictureError as error:
        if isinstance(error.__cause__, UnidentifiedImageError):
            kinds = ", ".join(FORMATS)
            raise RefusedError(f"This is no picture file that is read here. Please use one of: {kinds}.") from None
        if isinstance(error.__cause__, Image.DecompressionBombError):
            raise RefusedError("This picture has far too many pixels.") from None
        raise RefusedError("This picture file is damaged.") from None


def _check_size(width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise RefusedError(
            f"This picture is {width:,} by {height:,} pixels large. "
            f"Please use one of at most {MAX_SIDE:,} a side and {MAX_PIXELS // 10**6} million in all."
        )
    if min(width, height) < MIN_SIDE:
        raise RefusedError(f"This picture is smaller than {MIN_SIDE} pixels.")


@dataclass
class _Kept:
    size: int
    since: float
    addresses: set[str] = field(default_factory=set)


class UploadStore:
    """The files of pictures that visitors brought: which are there, since when, and who brought them. What is too old,
    and the oldest of too many, is deleted. May be used by several threads at once."""

    def __init__(
        self,
        forget: Callable[[str], None] = lambda _path: None,
        most_bytes: int = KEPT_BYTES,
        most_files: int = KEPT_FILES,
        seconds: float = KEPT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            forget: Is called with the path of every file that was deleted.
        """
        self._forget, self._clock = forget, clock
        self._most_bytes, self._most_files, self._seconds = most_bytes, most_files, seconds
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, address: str, paths: Iterable[str]) -> None:
        """Notes files that somebody at an address brought, and deletes what no longer fits."""
        with self._lock:
            for path in paths:
                try:
                    size = Path(path).stat().st_size
                except OSError:
                    continue
                known = self._kept.pop(path, None)
                addresses = known.addresses if known else set()
                self._kept[path] = _Kept(size, self._clock(), addresses | {address})
            self._tidy()

    def belongs_to(self, path: str, address: str) -> bool:
        """True if somebody at this address brought this file, and it is still kept."""
        with self._lock:
            self._tidy()
            return path in self._kept and address in self._kept[path].addresses

    def _tidy(self) -> None:
        now = self._clock()
        held = sum(file.size for file in self._kept.values())
        while self._kept:
            path, oldest = next(iter(self._kept.items()))
            fits = held <= self._most_bytes and len(self._kept) <= self._most_files
            if fits and now - oldest.since <= self._seconds:
                return
            del self._kept[path]
            held -= oldest.size
            with contextlib.suppress(OSError):
                Path(path).unlink(missing_ok=True)
                Path(path).parent.rmdir()  # gradio gives every file a folder of its own
            self._forget(path)
